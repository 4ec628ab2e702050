//! Raw settings → checked configuration. Each reader answers `None` after it has written down what is wrong, so
//! that all errors come out at once.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use ripen_emitter::EmitOptions;
use ripen_ingest::Format;

use super::error::{ConfigError, ConfigErrors};
use super::keys::{Key, Kind, nearest};
use super::source::{Content, Node, Origin, Settings};
use super::{Commit, Config, Host, Http, Ingest, Kafka, Log, LogFormat, Secret, Source, Start, Topics};

/// Longest topic name that Kafka takes.
const TOPIC_MAX_BYTES: usize = 249;
/// Leaves room for the names of Ripen's own topics.
const PREFIX_MAX_BYTES: usize = 150;
const NAME_MAX_BYTES: usize = 100;
/// Secrets are short; a larger file is not one.
const SECRET_FILE_MAX_BYTES: u64 = 64 * 1024;

/// Properties that exactly-once processing depends on, or that have a key of their own.
const OWN_PROPERTIES: &[(&str, &str)] = &[
    ("bootstrap.servers", "kafka.bootstrap"),
    ("metadata.broker.list", "kafka.bootstrap"),
    ("security.protocol", "kafka.security.protocol"),
    ("sasl.mechanism", "kafka.security.mechanism"),
    ("sasl.mechanisms", "kafka.security.mechanism"),
    ("sasl.username", "kafka.security.username"),
    ("sasl.password", "kafka.security.password"),
    ("ssl.ca.location", "kafka.security.ca_file"),
    ("ssl.certificate.location", "kafka.security.certificate_file"),
    ("ssl.key.location", "kafka.security.key_file"),
    ("ssl.key.password", "kafka.security.key_password"),
    ("group.id", "prefix"),
    ("group.instance.id", "instance"),
    ("transactional.id", "instance"),
    ("client.id", "instance"),
    ("group.protocol", ""),
    ("partition.assignment.strategy", ""),
    ("enable.auto.commit", ""),
    ("auto.commit.enable", ""),
    ("enable.auto.offset.store", ""),
    ("auto.offset.reset", ""),
    ("isolation.level", ""),
    ("enable.idempotence", ""),
    ("enable.partition.eof", ""),
    ("acks", ""),
    ("request.required.acks", ""),
    ("partitioner", ""),
    ("allow.auto.create.topics", ""),
    ("transaction.timeout.ms", ""),
    ("check.crcs", ""),
    ("delivery.report.only.error", ""),
    ("log.connection.close", ""),
    // Its lines come the way of the acknowledgements that a commit waits for.
    ("debug", "log.level"),
    ("log_level", "log.level"),
];

pub(super) fn check(settings: &Settings, host: &Host) -> Result<Config, ConfigErrors> {
    let mut reader = Reader { settings, errors: ConfigErrors::default() };
    let kafka = reader.kafka();
    let namespace = reader.namespace();
    let prefix = reader.prefix();
    let instance = reader.instance(host);
    let workers =
        if settings.get("workers").is_some() { reader.integer("workers") } else { Some(host.cores as u64) };
    let sources = reader.sources();
    let ingest = reader.ingest();
    let topics = reader.topics();
    let commit = reader.commit();
    let http = reader.http();
    let log = reader.log();
    let config = (|| {
        Some(Config {
            kafka: kafka?,
            namespace: namespace?,
            prefix: prefix?,
            instance: instance?,
            workers: workers? as usize,
            sources,
            ingest: ingest?,
            topics: topics?,
            commit: commit?,
            http: http?,
            log: log?,
        })
    })();
    match config {
        Some(config) => reader.errors.or(config),
        None => Err(reader.errors),
    }
}

struct Reader<'a> {
    settings: &'a Settings,
    errors: ConfigErrors,
}

impl Reader<'_> {
    fn kafka(&mut self) -> Option<Kafka> {
        let bootstrap = self.text("kafka.bootstrap").and_then(|(text, origin)| {
            let is_address = |address: &str| {
                let address = address.trim();
                address.rsplit_once(':').is_some_and(|(host, port)| {
                    !host.is_empty() && !host.contains(char::is_whitespace) && port.parse::<u16>().is_ok()
                })
            };
            if text.split(',').all(is_address) {
                return Some(text.split(',').map(str::trim).collect::<Vec<_>>().join(","));
            }
            self.fail(&origin, format!("kafka.bootstrap: expected host:port, got {text:?}"))
        });
        let mut properties = self.properties();
        self.security(&mut properties);
        Some(Kafka { bootstrap: bootstrap?, properties })
    }

    fn properties(&mut self) -> BTreeMap<String, Secret> {
        let mut properties = BTreeMap::new();
        let Some(node) = self.settings.get("kafka.properties") else { return properties };
        let Content::Map(entries) = &node.content else {
            self.fail::<()>(&node.origin, "kafka.properties: expected a map".to_owned());
            return properties;
        };
        for (name, place, value) in entries {
            if let Some((_, key)) = OWN_PROPERTIES.iter().find(|(own, _)| own == name) {
                let advice = if key.is_empty() {
                    "exactly-once processing depends on it".to_owned()
                } else {
                    format!("set {key}")
                };
                self.fail::<()>(place, format!("kafka.properties: {name} is Ripen's own: {advice}"));
            } else if let Some(text) = self.scalar(&format!("kafka.properties.{name}"), value) {
                properties.insert(name.clone(), Secret::new(text));
            }
        }
        properties
    }

    fn security(&mut self, properties: &mut BTreeMap<String, Secret>) {
        let Some(protocol) = self.choice("kafka.security.protocol") else { return };
        let mut set = |name: &str, text: String| properties.insert(name.to_owned(), Secret::new(text));
        set("security.protocol", protocol.clone());
        if protocol.starts_with("sasl_") {
            let mechanism = self.choice("kafka.security.mechanism");
            let username = self.required_text("kafka.security.username", &protocol);
            let password = self.secret("kafka.security.password");
            if password.is_none() && !self.errors.mention("kafka.security.password") {
                self.require("kafka.security.password", &protocol);
            }
            if let (Some(mechanism), Some(username), Some(password)) = (mechanism, username, password) {
                set("sasl.mechanism", mechanism);
                set("sasl.username", username);
                set("sasl.password", password.expose().to_owned());
            }
        }
        for (key, property) in [
            ("kafka.security.ca_file", "ssl.ca.location"),
            ("kafka.security.certificate_file", "ssl.certificate.location"),
            ("kafka.security.key_file", "ssl.key.location"),
        ] {
            if let Some((path, origin)) = self.text(key) {
                if let Err(error) = std::fs::File::open(&path) {
                    self.fail::<()>(&origin, format!("{key}: cannot read {path}: {error}"));
                }
                set(property, path);
            }
        }
        if let Some(password) = self.secret("kafka.security.key_password") {
            set("ssl.key.password", password.expose().to_owned());
        }
    }

    fn namespace(&mut self) -> Option<String> {
        let (namespace, origin) = self.text("namespace")?;
        match EmitOptions::new(&namespace) {
            Ok(_) => Some(namespace),
            Err(error) => self.fail(&origin, error.to_string()),
        }
    }

    fn prefix(&mut self) -> Option<String> {
        let (prefix, origin) = self.text("prefix")?;
        if prefix.len() <= PREFIX_MAX_BYTES && prefix.chars().all(is_topic_char) {
            return Some(prefix);
        }
        self.fail(
            &origin,
            format!("prefix: expected at most {PREFIX_MAX_BYTES} of A-Z a-z 0-9 . _ -, got {prefix:?}"),
        )
    }

    fn instance(&mut self, host: &Host) -> Option<String> {
        if self.settings.get("instance").is_some() {
            return self.name("instance");
        }
        match &host.name {
            // A host's name may hold characters that ids do not take.
            Some(name) => Some(
                name.chars().map(|c| if is_topic_char(c) { c } else { '-' }).take(NAME_MAX_BYTES).collect(),
            ),
            None => {
                self.fail(&Origin::Default, "instance: this host has no name; set RIPEN_INSTANCE".to_owned())
            }
        }
    }

    fn name(&mut self, key: &str) -> Option<String> {
        let (name, origin) = self.text(key)?;
        if !name.is_empty() && name.len() <= NAME_MAX_BYTES && name.chars().all(is_topic_char) {
            return Some(name);
        }
        self.fail(
            &origin,
            format!("{key}: expected 1 to {NAME_MAX_BYTES} of A-Z a-z 0-9 . _ -, got {name:?}"),
        )
    }

    fn sources(&mut self) -> Vec<Source> {
        let Some(node) = self.settings.get("sources") else { return Vec::new() };
        let Content::List(items) = &node.content else {
            self.fail::<()>(&node.origin, "sources: expected a list of {topic, format}".to_owned());
            return Vec::new();
        };
        let mut sources: Vec<Source> = Vec::new();
        for item in items {
            if let Some(source) = self.source(item) {
                if sources.iter().any(|known| known.topic == source.topic) {
                    self.fail::<()>(&item.origin, format!("sources: topic {} stands twice", source.topic));
                } else {
                    sources.push(source);
                }
            }
        }
        sources
    }

    fn source(&mut self, item: &Node) -> Option<Source> {
        let Content::Map(entries) = &item.content else {
            return self.fail(&item.origin, "sources: expected {topic, format}".to_owned());
        };
        for (name, place, _) in entries {
            let full = format!("sources[].{name}");
            if Key::find(&full).is_none() {
                self.errors.push(ConfigError::unknown(place, &full, nearest(&full)));
            }
        }
        let value = |name: &str| entries.iter().find(|(key, ..)| key == name).map(|(_, _, value)| value);
        let Some(topic_node) = value("topic") else {
            return self.fail(&item.origin, "sources[].topic is missing".to_owned());
        };
        let topic = self.scalar("sources[].topic", topic_node)?;
        if topic.is_empty() || topic.len() > TOPIC_MAX_BYTES || !topic.chars().all(is_topic_char) {
            return self.fail(&topic_node.origin, format!("sources[].topic: {topic:?} is no topic name"));
        }
        let Some(format) = value("format") else {
            return self.fail(&item.origin, "sources[].format is missing".to_owned());
        };
        let word = self.choice_of("sources[].format", format)?;
        let format = Format::ALL.into_iter().find(|format| format.as_str() == word)?;
        Some(Source { topic, format })
    }

    fn ingest(&mut self) -> Option<Ingest> {
        let start = match self.text("ingest.start") {
            None => None,
            Some((text, origin)) => match Start::parse(&text) {
                Some(start) => Some(start),
                None => {
                    return self.fail(&origin, format!("ingest.start: {}, got {text:?}", Start::EXPECTED));
                }
            },
        };
        let record_bytes = self.integer("ingest.limits.record_bytes");
        let nesting = self.integer("ingest.limits.nesting");
        Some(Ingest { start, record_bytes: record_bytes? as usize, nesting: nesting? as usize })
    }

    fn topics(&mut self) -> Option<Topics> {
        let partitions = self.integer("topics.partitions");
        let replication = self.integer("topics.replication");
        let min_insync_replicas = self.integer("topics.min_insync_replicas");
        let (partitions, replication, min_insync_replicas) =
            (partitions?, replication?, min_insync_replicas?);
        if min_insync_replicas > replication {
            let origin =
                self.settings.get("topics.min_insync_replicas").map_or(Origin::Default, |n| n.origin.clone());
            let message = format!(
                "topics.min_insync_replicas: {min_insync_replicas} is over topics.replication {replication}"
            );
            return self.fail(&origin, message);
        }
        Some(Topics {
            partitions: partitions as u32,
            replication: replication as u32,
            min_insync_replicas: min_insync_replicas as u32,
        })
    }

    fn commit(&mut self) -> Option<Commit> {
        let (text, origin) = self.text("commit")?;
        if text == "auto" {
            return Some(Commit::Auto);
        }
        let Some(Kind::AutoOrDuration(min, max)) = Key::find("commit").map(|key| key.kind) else {
            return None;
        };
        match duration_ms(&text).filter(|ms| (min..=max).contains(ms)) {
            Some(ms) => Some(Commit::Every(Duration::from_millis(ms))),
            None => self.fail(&origin, format!("commit: expected auto, or {min}ms to {max}ms, got {text:?}")),
        }
    }

    fn http(&mut self) -> Option<Http> {
        let token = self.secret("http.token");
        let (text, origin) = self.text("http.listen")?;
        let listen: SocketAddr = match text.parse() {
            Ok(address) => address,
            Err(_) => return self.fail(&origin, format!("http.listen: expected ip:port, got {text:?}")),
        };
        if !listen.ip().is_loopback() && token.is_none() && !self.errors.mention("http.token") {
            let message =
                format!("http.listen: {listen} is not loopback: set http.token_file or RIPEN_HTTP_TOKEN");
            return self.fail(&origin, message);
        }
        Some(Http { listen, token })
    }

    fn log(&mut self) -> Option<Log> {
        let format = match self.choice("log.format")?.as_str() {
            "json" => LogFormat::Json,
            _ => LogFormat::Text,
        };
        let (level, origin) = self.text("log.level")?;
        match tracing_subscriber::EnvFilter::try_new(&level) {
            Ok(_) if !level.trim().is_empty() => Some(Log { format, level }),
            _ => {
                let expected = "expected error, warn, info, debug, trace or a list of module=level";
                self.fail(&origin, format!("log.level: {expected}, got {level:?}"))
            }
        }
    }

    /// A secret from `name`, or from the file named by `name_file`.
    fn secret(&mut self, name: &str) -> Option<Secret> {
        let file_key = format!("{name}_file");
        let direct = self.text(name);
        let Some((path, origin)) = self.text(&file_key) else {
            let (text, origin) = direct?;
            return self.non_empty(name, text, &origin);
        };
        if direct.is_some() {
            return self.fail(&origin, format!("{file_key}: {name} is set too; keep one"));
        }
        match read_secret(Path::new(&path)) {
            Ok(text) => self.non_empty(&file_key, text, &origin),
            Err(error) => self.fail(&origin, format!("{file_key}: cannot read {path}: {error}")),
        }
    }

    fn non_empty(&mut self, name: &str, text: String, origin: &Origin) -> Option<Secret> {
        if text.is_empty() {
            return self.fail(origin, format!("{name}: is empty"));
        }
        Some(Secret::new(text))
    }

    fn required_text(&mut self, name: &str, protocol: &str) -> Option<String> {
        match self.text(name) {
            Some((text, _)) => Some(text),
            None => {
                self.require(name, protocol);
                None
            }
        }
    }

    fn require(&mut self, name: &str, protocol: &str) {
        let origin =
            self.settings.get("kafka.security.protocol").map_or(Origin::Default, |node| node.origin.clone());
        self.errors
            .push(ConfigError::new(&origin, format!("{name} is missing: protocol {protocol} needs it")));
    }

    fn integer(&mut self, name: &str) -> Option<u64> {
        let (text, origin) = self.text(name)?;
        let Some(Kind::Integer(min, max)) = Key::find(name).map(|key| key.kind) else { return None };
        match text.parse::<u64>().ok().filter(|value| (min..=max).contains(value)) {
            Some(value) => Some(value),
            None => self
                .fail(&origin, format!("{name}: expected a whole number from {min} to {max}, got {text:?}")),
        }
    }

    fn choice(&mut self, name: &str) -> Option<String> {
        let node = self.settings.get(name)?.clone();
        self.choice_of(name, &node)
    }

    fn choice_of(&mut self, name: &str, node: &Node) -> Option<String> {
        let text = self.scalar(name, node)?;
        let Some(Kind::Choice(words)) = Key::find(name).map(|key| key.kind) else { return None };
        if words.contains(&text.as_str()) {
            return Some(text);
        }
        self.fail(&node.origin, format!("{name}: expected one of {}, got {text:?}", words.join(", ")))
    }

    fn text(&mut self, name: &str) -> Option<(String, Origin)> {
        let node = self.settings.get(name)?;
        Some((self.scalar(name, node)?, node.origin.clone()))
    }

    fn scalar(&mut self, name: &str, node: &Node) -> Option<String> {
        match &node.content {
            Content::Scalar(text) => Some(text.clone()),
            Content::Fraction => {
                self.fail(&node.origin, format!("{name}: expected text; put the number in quotes"))
            }
            _ => {
                let expected = Key::find(name).map_or("text".to_owned(), |key| key.kind.to_string());
                self.fail(&node.origin, format!("{name}: expected {expected}"))
            }
        }
    }

    fn fail<T>(&mut self, origin: &Origin, message: String) -> Option<T> {
        self.errors.push(ConfigError::new(origin, message));
        None
    }
}

impl ConfigErrors {
    /// Whether an error about a key (or its `_file`) has been written down.
    fn mention(&self, name: &str) -> bool {
        self.0.iter().any(|error| error.message.starts_with(name))
    }
}

fn is_topic_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

/// `250ms` or `1s`.
fn duration_ms(text: &str) -> Option<u64> {
    match text.strip_suffix("ms") {
        Some(number) => number.parse().ok(),
        None => text.strip_suffix('s')?.parse::<u64>().ok()?.checked_mul(1000),
    }
}

fn read_secret(path: &Path) -> std::io::Result<String> {
    let too_large = || std::io::Error::other(format!("over {SECRET_FILE_MAX_BYTES} bytes: not a secret"));
    if std::fs::metadata(path)?.len() > SECRET_FILE_MAX_BYTES {
        return Err(too_large());
    }
    Ok(std::fs::read_to_string(path)?.trim_end_matches(['\r', '\n']).to_owned())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::Inputs;
    use super::*;

    fn host() -> Host {
        Host { name: Some("dealer-1.example".to_owned()), cores: 3 }
    }

    fn read(
        yaml: &str,
        environment: &[(&str, &str)],
        flags: &[(&str, &str)],
    ) -> Result<Config, ConfigErrors> {
        let inputs = Inputs {
            file: Some((PathBuf::from("ripen.yaml"), yaml.to_owned())),
            environment: environment.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
            flags: flags
                .iter()
                .map(|(n, v)| ("--set".to_owned(), (*n).to_owned(), (*v).to_owned()))
                .collect(),
        };
        Config::check(&Settings::read(&inputs)?, &host())
    }

    fn errors(yaml: &str) -> String {
        read(yaml, &[], &[]).map_or_else(|errors| errors.to_string(), |_| "no error".to_owned())
    }

    #[test]
    fn nothing_given_is_the_documented_default() {
        let config = read("", &[], &[]).unwrap();
        assert_eq!((config.workers, config.instance.as_str()), (3, "dealer-1.example"));
        assert_eq!(config.topics, Topics { partitions: 64, replication: 3, min_insync_replicas: 2 });
        assert_eq!(config.http.listen.to_string(), "127.0.0.1:9464");
        assert_eq!((config.commit, config.ingest.start), (Commit::Auto, None));
    }

    #[test]
    fn flags_win_over_environment_wins_over_file() {
        let yaml = "prefix: file-\nnamespace: file\nworkers: 4\n";
        let environment = [("RIPEN_NAMESPACE", "variable"), ("RIPEN_WORKERS", "5")];
        let config = read(yaml, &environment, &[("workers", "6")]).unwrap();
        assert_eq!((&*config.prefix, &*config.namespace, config.workers), ("file-", "variable", 6));
    }

    #[test]
    fn sources_come_from_the_file_or_as_yaml_from_a_variable() {
        let expect = [Source { topic: "clicks".to_owned(), format: Format::Segment }];
        let from_file = read("sources:\n  - {topic: clicks, format: segment}\n", &[], &[]).unwrap();
        assert_eq!(from_file.sources, expect);
        let variable = [("RIPEN_SOURCES", "[{topic: clicks, format: segment}]")];
        assert_eq!(read("", &variable, &[]).unwrap().sources, expect);
    }

    #[test]
    fn errors_name_the_place_and_what_is_expected() {
        let check = |yaml: &str, expect: &str| assert_eq!(errors(yaml), expect, "{yaml}");
        check(
            "kafka:\n  bootstrp: a:1\n",
            "ripen.yaml:2:3: unknown key kafka.bootstrp; did you mean kafka.bootstrap?",
        );
        check("wurst: 1\n", "ripen.yaml:1:1: unknown key wurst; `ripen config reference` lists all");
        check("workers: 0\n", "ripen.yaml:1:10: workers: expected a whole number from 1 to 1024, got \"0\"");
        check("workers: [1]\n", "ripen.yaml:1:10: workers: expected whole number, 1 to 1024");
        check("commit: 2s\n", "ripen.yaml:1:9: commit: expected auto, or 5ms to 1000ms, got \"2s\"");
        check("prefix: 1.10\n", "ripen.yaml:1:9: prefix: expected text; put the number in quotes");
        check("kafka: 3\n", "ripen.yaml:1:8: kafka: expected a map of keys");
        check("- 3\n", "ripen.yaml:1:1: expected a map of keys");
        check(
            "sources:\n  - {topic: clicks, fromat: segment}\n",
            "ripen.yaml:2:21: unknown key sources[].fromat; did you mean sources[].format?\n\
             ripen.yaml:2:5: sources[].format is missing",
        );
        check(
            "sources: [{topic: a, format: segment}, {topic: a, format: segment}]",
            "ripen.yaml:1:40: sources: topic a stands twice",
        );
        check(
            "topics: {replication: 1}",
            "configuration: topics.min_insync_replicas: 2 is over topics.replication 1",
        );
        check(
            "http: {listen: 0.0.0.0:9464}",
            "ripen.yaml:1:16: http.listen: 0.0.0.0:9464 is not loopback: set http.token_file or RIPEN_HTTP_TOKEN",
        );
        check(
            "kafka:\n  properties: {auto.offset.reset: latest}",
            "ripen.yaml:2:16: kafka.properties: auto.offset.reset is Ripen's own: exactly-once processing depends on it",
        );
        check(
            "kafka:\n  properties: {debug: broker}",
            "ripen.yaml:2:16: kafka.properties: debug is Ripen's own: set log.level",
        );
        check(
            "kafka: {security: {protocol: sasl_ssl, username: ripen}}",
            "ripen.yaml:1:30: kafka.security.password is missing: protocol sasl_ssl needs it",
        );
        check(
            "ingest: {start: yesterday}",
            "ripen.yaml:1:17: ingest.start: expected earliest, latest or a time like 2026-11-01T00:00:00Z, got \"yesterday\"",
        );
    }

    #[test]
    fn broken_yaml_and_repeated_keys_have_a_place() {
        let check = |yaml: &str, place: &str| {
            let errors = errors(yaml);
            assert!(errors.starts_with(place) && errors.lines().count() == 1, "{errors}");
        };
        check("prefix: a\nprefix: b\n", "ripen.yaml:2:1: ");
        check("kafka: {bootstrap: [\n", "ripen.yaml:");
    }

    #[test]
    fn a_start_time_is_milliseconds() {
        let config = read("ingest: {start: 2026-11-01T00:00:00.5Z}", &[], &[]).unwrap();
        assert_eq!(config.ingest.start, Some(Start::At(1_793_491_200_500)));
    }

    #[test]
    fn secrets_come_from_files_and_hide_themselves() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file, b"s3cret\n").unwrap();
        let path = file.path().display();
        let yaml = format!(
            "kafka: {{security: {{protocol: sasl_ssl, username: u, password_file: {path}}}}}\nhttp: {{token_file: {path}}}"
        );
        let config = read(&yaml, &[], &[]).unwrap();
        assert_eq!(config.kafka.properties["sasl.password"].expose(), "s3cret");
        assert_eq!(config.http.token.as_ref().unwrap().expose(), "s3cret");
        assert!(!format!("{config:?}").contains("s3cret"));
    }

    #[test]
    fn a_secret_in_a_flag_is_refused_without_showing_it() {
        let errors = read("", &[], &[("http.token", "s3cret")]).unwrap_err().to_string();
        let expect =
            "--set: http.token: other users see flags; set RIPEN_HTTP_TOKEN or http.token_file instead";
        assert_eq!(errors, expect);
    }
}
