//! The effective configuration as YAML: each value with its origin, secrets redacted. What is printed can be read
//! again, save for the secrets.

use std::fmt::Write as _;

use super::keys::{KEYS, Key};
use super::source::{Content, Node, Settings};
use super::{Config, Origin};

const REDACTED: &str = "<redacted>";

/// Words in the names of librdkafka properties whose values are secrets.
const SECRET_WORDS: &[&str] =
    &["password", "secret", "token", "pem", "sasl.oauthbearer.config", "sasl.jaas.config"];

/// The effective configuration.
pub fn effective(settings: &Settings, config: &Config) -> String {
    let mut text = String::new();
    let mut open: Vec<&str> = Vec::new();
    for key in KEYS.iter().filter(|key| key.variable().is_some()) {
        let Some((value, origin)) = shown(key, settings, config) else { continue };
        let mut path: Vec<&str> = key.name.split('.').collect();
        let Some(last) = path.pop() else { continue };
        let common = open.iter().zip(&path).take_while(|(a, b)| a == b).count();
        for (depth, section) in path.iter().enumerate().skip(common) {
            let _ = writeln!(text, "{:indent$}{section}:", "", indent = depth * 2);
        }
        let _ = writeln!(text, "{:indent$}{last}: {value}  # {origin}", "", indent = path.len() * 2);
        open = path;
    }
    text
}

/// The value in flow style; `None` for a key without value.
fn shown(key: &Key, settings: &Settings, config: &Config) -> Option<(String, Origin)> {
    if let Some(node) = settings.get(key.name) {
        let value = if key.is_secret() { quoted(REDACTED) } else { flow(node) };
        return Some((value, node.origin.clone()));
    }
    let computed = match key.name {
        "instance" => quoted(&config.instance),
        "workers" => config.workers.to_string(),
        _ => return None,
    };
    Some((computed, Origin::Default))
}

fn flow(node: &Node) -> String {
    match &node.content {
        Content::Null => "null".to_owned(),
        Content::Scalar(text) => quoted(text),
        // Refused by the check: cannot be part of an effective configuration.
        Content::Fraction => "null".to_owned(),
        Content::List(items) => {
            let items: Vec<_> = items.iter().map(flow).collect();
            format!("[{}]", items.join(", "))
        }
        Content::Map(entries) => {
            let entries: Vec<_> = entries
                .iter()
                .map(|(name, _, value)| {
                    let value = if is_secret(name) { quoted(REDACTED) } else { flow(value) };
                    format!("{}: {value}", quoted(name))
                })
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
    }
}

fn is_secret(property: &str) -> bool {
    SECRET_WORDS.iter().any(|word| property.contains(word))
}

/// Plain where YAML reads the very same text back, else in double quotes.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/');
    let starts_well = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
    let is_number = !text.is_empty() && text.len() < 18 && text.bytes().all(|b| b.is_ascii_digit());
    let is_word =
        matches!(text.to_ascii_lowercase().as_str(), "null" | "true" | "false" | "yes" | "no" | "on" | "off");
    if is_number || (starts_well && !is_word && text.chars().all(plain)) {
        return text.to_owned();
    }
    serde_json::to_string(text).unwrap_or_else(|_| "\"\"".to_owned())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::{Host, Inputs};
    use super::*;

    #[test]
    fn shows_origins_hides_secrets_and_can_be_read_again() {
        let yaml = "kafka:\n  bootstrap: broker:9092\n  properties: {sasl.oauthbearer.client.secret: s3cret, socket.keepalive.enable: true}\n\
                    sources:\n  - {topic: clicks, format: segment}\n";
        let mut inputs = Inputs {
            file: Some((PathBuf::from("ripen.yaml"), yaml.to_owned())),
            environment: vec![
                ("RIPEN_HTTP_TOKEN".to_owned(), "s3cret".to_owned()),
                ("RIPEN_PREFIX".to_owned(), "shop-".to_owned()),
            ],
            flags: vec![("--set workers=2".to_owned(), "workers".to_owned(), "2".to_owned())],
        };
        let host = Host { name: Some("host".to_owned()), cores: 4 };
        let show = |inputs: &Inputs| {
            let settings = Settings::read(inputs).unwrap();
            effective(&settings, &Config::check(&settings, &host).unwrap())
        };
        let text = show(&inputs);
        assert!(!text.contains("s3cret"), "{text}");
        for line in [
            "  bootstrap: \"broker:9092\"  # ripen.yaml:2:14",
            "  properties: {sasl.oauthbearer.client.secret: \"<redacted>\", socket.keepalive.enable: \"true\"}  # ripen.yaml:3:15",
            "prefix: shop-  # environment variable RIPEN_PREFIX",
            "instance: host  # default",
            "workers: 2  # --set workers=2",
            "sources: [{topic: clicks, format: segment}]  # ripen.yaml:5:3",
            "  token: \"<redacted>\"  # environment variable RIPEN_HTTP_TOKEN",
            "    record_bytes: 1048576  # default",
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line}\nnot in\n{text}");
        }
        inputs.file = Some((PathBuf::from("shown.yaml"), text.clone()));
        inputs.flags.clear();
        assert_eq!(without_origins(&show(&inputs)), without_origins(&text));
    }

    fn without_origins(text: &str) -> Vec<&str> {
        text.lines().map(|line| line.split("  # ").next().unwrap_or(line)).collect()
    }
}
