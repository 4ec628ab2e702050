//! Every configuration key, once: its name, type, default and meaning.
//!
//! The file's reader, the environment, `ripen config check` and the generated reference all read this table, so
//! that a key cannot exist without its documentation.

use std::fmt;

/// One key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// Its place in the file, dots for nested maps; `sources[].topic` for a key of each item of a list.
    pub name: &'static str,
    /// What its value is.
    pub kind: Kind,
    /// What holds where nothing is given.
    pub default: DefaultValue,
    /// One or two sentences for the reference.
    pub doc: &'static str,
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// Text that is never shown and never taken from the command line, where other users could see it.
    Secret,
    /// The path of a file.
    Path,
    /// `host:port[,host:port…]`.
    Addresses,
    /// `ip:port`.
    SocketAddress,
    /// A whole number between two bounds, both included.
    Integer(u64, u64),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// `auto`, or a duration between two bounds (milliseconds).
    AutoOrDuration(u64, u64),
    /// `earliest`, `latest` or an RFC 3339 time.
    Start,
    /// A list of maps whose keys are in this table as `name[].key`.
    List,
    /// A map of names that are not Ripen's.
    Map,
}

/// What holds where nothing is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefaultValue {
    /// This text.
    Text(&'static str),
    /// A value of the machine, in words.
    Computed(&'static str),
    /// Nothing: the feature is off, or whoever needs it says so.
    None,
    /// Must be given in each item.
    Required,
}

use DefaultValue::{Computed, None as Unset, Required, Text as Default};

const fn key(name: &'static str, kind: Kind, default: DefaultValue, doc: &'static str) -> Key {
    Key { name, kind, default, doc }
}

/// The table, in the order of the reference.
pub const KEYS: &[Key] = &[
    key(
        "kafka.bootstrap",
        Kind::Addresses,
        Default("127.0.0.1:9092"),
        "Brokers to ask for the rest of the cluster.",
    ),
    key(
        "kafka.security.protocol",
        Kind::Choice(&["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"]),
        Default("plaintext"),
        "How to talk to the brokers.",
    ),
    key(
        "kafka.security.mechanism",
        Kind::Choice(&["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]),
        Default("SCRAM-SHA-512"),
        "SASL mechanism; read with a `sasl_` protocol.",
    ),
    key("kafka.security.username", Kind::Text, Unset, "SASL user; required with a `sasl_` protocol."),
    key(
        "kafka.security.password",
        Kind::Secret,
        Unset,
        "SASL password; better in the environment or in `password_file`.",
    ),
    key(
        "kafka.security.password_file",
        Kind::Path,
        Unset,
        "File that holds the SASL password; a line end after it is cut.",
    ),
    key(
        "kafka.security.ca_file",
        Kind::Path,
        Unset,
        "Certificates (PEM) that sign the brokers'; without it the system's are used.",
    ),
    key("kafka.security.certificate_file", Kind::Path, Unset, "Client certificate (PEM) for mutual TLS."),
    key("kafka.security.key_file", Kind::Path, Unset, "Private key (PEM) of the client certificate."),
    key("kafka.security.key_password", Kind::Secret, Unset, "Password of `key_file`."),
    key("kafka.security.key_password_file", Kind::Path, Unset, "File that holds the password of `key_file`."),
    key(
        "kafka.properties",
        Kind::Map,
        Unset,
        "Further librdkafka properties for every client, by their own names. Those that exactly-once processing \
         depends on (`group.id`, `isolation.level`, `transactional.id`, …) are refused; any other, as `linger.ms` or \
         `queued.max.messages.kbytes`, takes the place of what Ripen would choose.",
    ),
    key(
        "namespace",
        Kind::Text,
        Default("example"),
        "Your name in outward events: `ce_type` begins with `com.<namespace>.`, `ce_source` is `/ripen/<namespace>`. \
         Lower-case letters, digits, `-` and `.`; consumers match on it, so choose it once.",
    ),
    key(
        "prefix",
        Kind::Text,
        Default(""),
        "In front of the names of Ripen's own topics, consumer groups and transactional ids; source topics are named \
         in full. Two installations on one cluster have two prefixes.",
    ),
    key(
        "instance",
        Kind::Text,
        Computed("the host's name"),
        "This process among those of the same service: `group.instance.id` and transactional ids are made of it. Two \
         processes of one service with one instance name fence each other; a restart with the same name is cheap.",
    ),
    key(
        "workers",
        Kind::Integer(1, 1024),
        Computed("the number of cores"),
        "Worker threads of each service; each is a member of the consumer group.",
    ),
    key("sources", Kind::List, Unset, "Clickstream topics that `ripen ingest` reads, with their formats."),
    key("sources[].topic", Kind::Text, Required, "The topic's full name."),
    key(
        "sources[].format",
        Kind::Choice(&["segment", "ripen"]),
        Required,
        "Its format. `segment`: Segment, RudderStack and Jitsu JSON, single messages or batches. `ripen`: Ripen's own activities, one JSON object a record.",
    ),
    key(
        "ingest.start",
        Kind::Start,
        Unset,
        "Where ingest begins in a source partition that it has never read: `earliest`, `latest`, or an RFC 3339 time \
         (`2026-11-01T00:00:00Z`: the first record at or after it). Required by `ripen ingest`; partitions \
         that have been read go on where the last run ended.",
    ),
    key(
        "ingest.limits.record_bytes",
        Kind::Integer(1024, 16_777_216),
        Default("1048576"),
        "A larger source record is dead-lettered `too_large`.",
    ),
    key(
        "ingest.limits.nesting",
        Kind::Integer(2, 128),
        Default("32"),
        "A record nested deeper is dead-lettered `too_deep`.",
    ),
    key(
        "topics.partitions",
        Kind::Integer(1, 10_000),
        Default("64"),
        "Partitions of every keyed topic that `ripen topics apply` creates. Frozen afterwards: keys move with it.",
    ),
    key(
        "topics.replication",
        Kind::Integer(1, 32),
        Default("3"),
        "Replicas of every topic; 1 on a single broker.",
    ),
    key(
        "topics.min_insync_replicas",
        Kind::Integer(1, 32),
        Default("2"),
        "Replicas that must have a record before it counts as written; 1 on a single broker.",
    ),
    key(
        "commit",
        Kind::AutoOrDuration(5, 1000),
        Default("auto"),
        "How long a transaction collects input. `auto`: until the input is idle or the last commit has finished; or \
         a fixed interval of 5ms to 1000ms: longer ones cost less and answer later.",
    ),
    key(
        "http.listen",
        Kind::SocketAddress,
        Default("127.0.0.1:9464"),
        "Where `/livez`, `/readyz` and `/metrics` are served. Port 0 takes a free one and logs it.",
    ),
    key(
        "http.token",
        Kind::Secret,
        Unset,
        "Bearer token that `/metrics` asks for; required where `http.listen` is not loopback.",
    ),
    key(
        "http.token_file",
        Kind::Path,
        Unset,
        "File that holds the bearer token; a line end after it is cut.",
    ),
    key("log.format", Kind::Choice(&["text", "json"]), Default("text"), "Form of the log on stderr."),
    key(
        "log.level",
        Kind::Text,
        Default("info"),
        "`error`, `warn`, `info`, `debug` or `trace`, or a list of `module=level`.",
    ),
];

impl Key {
    /// The key with this name.
    pub fn find(name: &str) -> Option<&'static Key> {
        KEYS.iter().find(|key| key.name == name)
    }

    /// The environment variable that sets it; `None` for keys of a list's items.
    pub fn variable(&self) -> Option<String> {
        let settable = !self.name.contains("[]");
        settable.then(|| format!("RIPEN_{}", self.name.replace('.', "_").to_uppercase()))
    }

    /// Whether its value is never shown.
    pub fn is_secret(&self) -> bool {
        self.kind == Kind::Secret
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Text => f.write_str("text"),
            Kind::Secret => f.write_str("secret text"),
            Kind::Path => f.write_str("path"),
            Kind::Addresses => f.write_str("host:port, comma-separated"),
            Kind::SocketAddress => f.write_str("ip:port"),
            Kind::Integer(min, max) => write!(f, "whole number, {min} to {max}"),
            Kind::Choice(words) => write!(f, "one of {}", words.join(", ")),
            Kind::AutoOrDuration(min, max) => write!(f, "auto, or a duration of {min}ms to {max}ms"),
            Kind::Start => f.write_str("earliest, latest or a time"),
            Kind::List => f.write_str("list"),
            Kind::Map => f.write_str("map"),
        }
    }
}

/// Whether a name is that of a map in the file that holds keys of the table.
pub fn is_section(name: &str) -> bool {
    KEYS.iter().any(|key| key.name.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')))
}

/// The known name that an unknown one was probably meant to be.
pub fn nearest(unknown: &str) -> Option<&'static str> {
    let (section, last) = unknown.rsplit_once('.').unwrap_or(("", unknown));
    let siblings = names().filter(|name| name.rsplit_once('.').map_or("", |(parent, _)| parent) == section);
    let typing_error = closest(last, siblings.map(|name| (name, last_of(name))), 0.7);
    let elsewhere = || names().find(|name| last_of(name) == last);
    typing_error.or_else(elsewhere).or_else(|| closest(unknown, names().map(|name| (name, name)), 0.7))
}

/// Every key and section.
fn names() -> impl Iterator<Item = &'static str> {
    let sections = KEYS.iter().flat_map(|key| {
        key.name.match_indices('.').map(|(at, _)| &key.name[..at]).filter(|name| !name.contains("[]"))
    });
    KEYS.iter().map(|key| key.name).chain(sections)
}

fn last_of(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(_, last)| last)
}

/// The name whose compared text is the most similar, if it is similar enough (0 nothing alike, 1 equal).
pub fn closest<'a>(
    text: &str,
    candidates: impl Iterator<Item = (&'a str, &'a str)>,
    least: f64,
) -> Option<&'a str> {
    candidates
        .map(|(name, compared)| (name, strsim::normalized_damerau_levenshtein(text, compared)))
        .filter(|(_, similarity)| *similarity >= least)
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_stands_once_with_a_variable_of_its_own() {
        let mut names: Vec<_> = KEYS.iter().map(|key| key.name).collect();
        let mut variables: Vec<_> = KEYS.iter().filter_map(Key::variable).collect();
        let (keys, settable) = (names.len(), variables.len());
        names.sort_unstable();
        names.dedup();
        variables.sort_unstable();
        variables.dedup();
        assert_eq!((names.len(), variables.len()), (keys, settable));
    }

    #[test]
    fn nearest_finds_typing_errors_and_misplaced_keys() {
        let check = |unknown: &str, expect: Option<&str>| assert_eq!(nearest(unknown), expect, "{unknown}");
        check("kafka.bootstrp", Some("kafka.bootstrap"));
        check("kafka.security.pasword", Some("kafka.security.password"));
        check("kafak", Some("kafka"));
        check("listen", Some("http.listen"));
        check("ingest.partitions", Some("topics.partitions"));
        check("sources[].fromat", Some("sources[].format"));
        check("wurst", None);
    }
}
