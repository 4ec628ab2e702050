//! Configuration: one YAML file, the environment over it, flags over both, checked once into [`Config`].
//!
//! [`keys`] is the table of every key. [`Settings`] are the raw values with their places; [`Config`] is what the
//! rest of the program is given, and cannot be built from values that do not fit.

pub mod error;
pub mod keys;
pub mod reference;
pub mod show;
pub mod source;

mod check;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use ripen_ingest::Format;

pub use error::{ConfigError, ConfigErrors};
pub use source::{Inputs, Origin, Settings};

/// The variable that names the configuration file.
pub const FILE_VARIABLE: &str = "RIPEN_CONFIG";

/// The configuration file that is read, if it exists, when none is named.
pub const DEFAULT_FILE: &str = "ripen.yaml";

/// The checked configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// How to reach Kafka.
    pub kafka: Kafka,
    /// The owner's name in outward events, as in `com.<namespace>.lead.stage.changed.v1`.
    pub namespace: String,
    /// In front of Ripen's own topics, groups and transactional ids; may be empty.
    pub prefix: String,
    /// This process among those of the same service.
    pub instance: String,
    /// Worker threads of each service, at least 1.
    pub workers: usize,
    /// Clickstream topics, each once.
    pub sources: Vec<Source>,
    /// What ingest does with them.
    pub ingest: Ingest,
    /// How topics are made.
    pub topics: Topics,
    /// How long a transaction collects input.
    pub commit: Commit,
    /// The HTTP server.
    pub http: Http,
    /// The log on stderr.
    pub log: Log,
}

/// How to reach Kafka.
#[derive(Debug, Clone)]
pub struct Kafka {
    /// `host:port[,host:port…]`.
    pub bootstrap: String,
    /// librdkafka properties for every client, `bootstrap.servers` not among them: the security settings and the
    /// `kafka.properties` map.
    pub properties: BTreeMap<String, Secret>,
}

/// A text that does not show itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The text.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<redacted>")
    }
}

/// A clickstream topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its full name.
    pub topic: String,
    /// The format of its records.
    pub format: Format,
}

/// What ingest does with its sources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ingest {
    /// Where it begins in a partition that it has never read; `None`: not said, an error at the first start.
    pub start: Option<Start>,
    /// The largest source record, bytes.
    pub record_bytes: usize,
    /// The deepest nesting of a source record.
    pub nesting: usize,
}

/// Where to begin in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At its oldest record.
    Earliest,
    /// Behind its newest record.
    Latest,
    /// At the first record with this timestamp (Unix milliseconds) or a later one.
    At(i64),
}

impl Start {
    /// What [`Start::parse`] takes, for messages.
    pub const EXPECTED: &str = "expected earliest, latest or a time like 2026-11-01T00:00:00Z";

    /// Reads `earliest`, `latest` or an RFC 3339 instant.
    pub fn parse(text: &str) -> Option<Start> {
        match text {
            "earliest" => Some(Start::Earliest),
            "latest" => Some(Start::Latest),
            time => Some(Start::At(time.parse::<jiff::Timestamp>().ok()?.as_millisecond())),
        }
    }
}

/// How topics are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Topics {
    /// Partitions of keyed topics.
    pub partitions: u32,
    /// Replicas.
    pub replication: u32,
    /// `min.insync.replicas`, at most `replication`.
    pub min_insync_replicas: u32,
}

/// How long a transaction collects input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commit {
    /// Until the input is idle or the last commit has finished.
    Auto,
    /// This long: 5 to 1000 ms.
    Every(Duration),
}

/// The HTTP server.
#[derive(Debug, Clone)]
pub struct Http {
    /// Where it listens.
    pub listen: SocketAddr,
    /// The bearer token that it asks for; always there when `listen` is not loopback.
    pub token: Option<Secret>,
}

/// The log on stderr.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// Its form.
    pub format: LogFormat,
    /// A level or filter directives, known to parse.
    pub level: String,
}

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What the machine contributes.
#[derive(Debug, Clone)]
pub struct Host {
    /// Its name, if known.
    pub name: Option<String>,
    /// Its cores, at least 1.
    pub cores: usize,
}

impl Host {
    /// This machine.
    pub fn this() -> Host {
        let name = ["/proc/sys/kernel/hostname", "/etc/hostname"]
            .iter()
            .find_map(|path| std::fs::read_to_string(path).ok())
            .or_else(|| std::env::var("HOSTNAME").ok())
            .map(|name| name.trim().to_owned())
            .filter(|name| !name.is_empty());
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Host { name, cores }
    }
}

impl Config {
    /// Checks the settings. Reads the files that hold secrets; whether other files that are named exist is found
    /// out by whoever uses them.
    ///
    /// # Errors
    /// Every value that does not fit, with its place and what is expected.
    pub fn check(settings: &Settings, host: &Host) -> Result<Config, ConfigErrors> {
        check::check(settings, host)
    }
}
