//! Topics: what commands need of a cluster beside the workers.

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::Metadata;

use super::client::Quiet;
use super::errors::classify;
use super::{CONNECT_TIMEOUT, KafkaConfig, created};
use crate::log::{Call, ErrorClass, LogError};

/// How long the cluster may take to carry out a request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
/// New topics get their leaders a moment later; looked for this often, at these distances.
const LEADER_PAUSES: u32 = 100;
const LEADER_PAUSE: Duration = Duration::from_millis(100);
/// A broker setting that decides how soon readers go on after a frozen writer's transaction has timed out.
const CLEANUP_SETTING: &str = "transaction.abort.timed.out.transaction.cleanup.interval.ms";
const CLEANUP_LIMIT_MS: i64 = 1_000;

/// A topic as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSpec {
    /// Full name.
    pub name: String,
    /// Number of partitions.
    pub partitions: i32,
    /// Replication factor; `None`: the broker's default.
    pub replication: Option<i32>,
    /// Topic settings by Kafka's names: `cleanup.policy`, `retention.ms`, `message.timestamp.type`,
    /// `min.insync.replicas`, ….
    pub settings: Vec<(String, String)>,
}

/// A difference between what should be and what is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// There is no such topic.
    Missing {
        /// Its name.
        topic: String,
    },
    /// The number of partitions of a keyed topic cannot be changed.
    Partitions {
        /// Topic.
        topic: String,
        /// As it should be.
        expected: i32,
        /// As it is.
        found: i32,
    },
    /// A partition has fewer replicas than it should: one broker's loss may lose what is written to it.
    Replicas {
        /// Topic.
        topic: String,
        /// As many as there should be.
        expected: i32,
        /// The fewest that a partition has.
        found: i32,
    },
    /// A setting differs.
    Setting {
        /// Topic.
        topic: String,
        /// Setting.
        name: String,
        /// As it should be.
        expected: String,
        /// As it is.
        found: String,
    },
    /// A broker setting that costs something; nothing fails because of it.
    Broker {
        /// Setting.
        name: String,
        /// As it should be.
        advised: String,
        /// As it is.
        found: String,
    },
}

impl Finding {
    /// Whether services can work in spite of it.
    pub fn is_warning(&self) -> bool {
        matches!(self, Finding::Broker { .. } | Finding::Setting { .. })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Finding::Missing { topic } => {
                write!(f, "topic {topic} does not exist; `ripen topics apply` makes it")
            }
            Finding::Partitions { topic, expected, found } => write!(
                f,
                "topic {topic} has {found} partitions, {expected} are configured; the number is frozen: configure \
                 {found}, or use another prefix, whose topics `ripen topics apply` makes"
            ),
            Finding::Replicas { topic, expected, found } => write!(
                f,
                "topic {topic} has {found} replicas, {expected} are configured; `kafka-reassign-partitions` adds some, \
                 or configure topics.replication: {found}"
            ),
            Finding::Setting { topic, name, expected, found } => {
                write!(f, "topic {topic} has {name}={found}, should be {expected}")
            }
            Finding::Broker { name, advised, found } => write!(
                f,
                "the brokers have {name}={found}; with more than {advised} readers wait that long behind a writer \
                 that froze"
            ),
        }
    }
}

/// Answers within 10 s whether a broker can be reached.
///
/// # Errors
/// One that names the address.
pub fn reach(config: &KafkaConfig) -> Result<(), LogError> {
    metadata(&client(config)?, config).map(|_| ())
}

/// Compares topics, and the broker setting that matters, with what they should be.
///
/// # Errors
/// When the cluster cannot be asked.
pub fn check(config: &KafkaConfig, specs: &[TopicSpec]) -> Result<Vec<Finding>, LogError> {
    let client = client(config)?;
    let metadata = metadata(&client, config)?;
    let mut findings = Vec::new();
    let mut present = Vec::new();
    for spec in specs {
        match partitions(&metadata, &spec.name) {
            None => findings.push(Finding::Missing { topic: spec.name.clone() }),
            Some(found) => {
                if found != spec.partitions {
                    let (topic, expected) = (spec.name.clone(), spec.partitions);
                    findings.push(Finding::Partitions { topic, expected, found });
                }
                let expected = spec.replication.unwrap_or(0);
                if let Some(found) = fewest_replicas(&metadata, &spec.name).filter(|found| *found < expected)
                {
                    findings.push(Finding::Replicas { topic: spec.name.clone(), expected, found });
                }
                present.push(spec);
            }
        }
    }
    let broker = metadata.brokers().first().map(|broker| ResourceSpecifier::Broker(broker.id()));
    let topics = present.iter().map(|spec| ResourceSpecifier::Topic(&spec.name));
    let resources: Vec<_> = topics.chain(broker).collect();
    let described = block_on(client.describe_configs(&resources, &options()));
    let described = described.map_err(|error| classify(Call::Metadata, &error))?;
    for (index, found) in described.into_iter().enumerate() {
        // A cluster may refuse to show its settings; that is not ours to judge.
        let Ok(found) = found else { continue };
        let value = |name: &str| found.get(name).and_then(|entry| entry.value.clone());
        let Some(spec) = present.get(index) else {
            let interval = value(CLEANUP_SETTING);
            if let Some(found) = interval
                && found.parse::<i64>().is_ok_and(|found| found > CLEANUP_LIMIT_MS)
            {
                let (name, advised) = (CLEANUP_SETTING.to_owned(), CLEANUP_LIMIT_MS.to_string());
                findings.push(Finding::Broker { name, advised, found });
            }
            continue;
        };
        for (name, expected) in &spec.settings {
            if let Some(found) = value(name)
                && found != *expected
            {
                let (topic, name, expected) = (spec.name.clone(), name.clone(), expected.clone());
                findings.push(Finding::Setting { topic, name, expected, found });
            }
        }
    }
    Ok(findings)
}

/// Creates the topics that do not exist; answers their names. What exists stays as it is; see [`check`].
///
/// # Errors
/// When the cluster refuses one: which, and why.
pub fn apply(config: &KafkaConfig, specs: &[TopicSpec]) -> Result<Vec<String>, LogError> {
    let client = client(config)?;
    let metadata = metadata(&client, config)?;
    let missing: Vec<&TopicSpec> =
        specs.iter().filter(|spec| partitions(&metadata, &spec.name).is_none()).collect();
    if missing.is_empty() {
        return Ok(Vec::new());
    }
    let topics: Vec<NewTopic<'_>> = missing.iter().map(|spec| new_topic(spec)).collect();
    let created = block_on(client.create_topics(&topics, &options()));
    let created = created.map_err(|error| classify(Call::Metadata, &error))?;
    let mut names = Vec::new();
    for result in created {
        match result {
            Ok(name) => names.push(name),
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((name, code)) => {
                let error = classify(Call::Metadata, &KafkaError::AdminOp(code));
                let message = format!("topic {name} could not be made: {code}");
                return Err(LogError { class: ErrorClass::Fatal, message, ..error });
            }
        }
    }
    await_leaders(&client, config, specs)?;
    Ok(names)
}

/// Deletes a topic with all its records, and returns once it has gone; one that does not exist is as good as deleted.
///
/// # Errors
/// When the cluster refuses, or does not do it in time.
pub fn delete_topic(config: &KafkaConfig, topic: &str) -> Result<(), LogError> {
    let client = client(config)?;
    let deleted = block_on(client.delete_topics(&[topic], &options()));
    for result in deleted.map_err(|error| classify(Call::Metadata, &error))? {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::UnknownTopicOrPartition)) => {}
            Err((_, code)) => return Err(not_deleted(topic, &code.to_string())),
        }
    }
    for _ in 0..LEADER_PAUSES {
        if partitions(&metadata(&client, config)?, topic).is_none() {
            return Ok(());
        }
        std::thread::park_timeout(LEADER_PAUSE);
    }
    Err(not_deleted(topic, "it is still there"))
}

fn not_deleted(topic: &str, reason: &str) -> LogError {
    LogError {
        class: ErrorClass::Fatal,
        call: Call::Metadata,
        place: None,
        message: format!("topic {topic} could not be deleted: {reason}"),
    }
}

/// Returns once every topic can be written to, or after [`LEADER_PAUSES`].
fn await_leaders(
    client: &AdminClient<Quiet>,
    config: &KafkaConfig,
    specs: &[TopicSpec],
) -> Result<(), LogError> {
    for _ in 0..LEADER_PAUSES {
        let metadata = metadata(client, config)?;
        let led = |name: &str| {
            let topic =
                metadata.topics().iter().find(|found| found.name() == name && found.error().is_none());
            topic.is_some_and(|topic| topic.partitions().iter().all(|partition| partition.leader() >= 0))
        };
        if specs.iter().all(|spec| led(&spec.name)) {
            return Ok(());
        }
        std::thread::park_timeout(LEADER_PAUSE);
    }
    Ok(())
}

pub(super) fn client(config: &KafkaConfig) -> Result<AdminClient<Quiet>, LogError> {
    created(config.client(&[]).create_with_context(Quiet::default()))
}

fn metadata(client: &AdminClient<Quiet>, config: &KafkaConfig) -> Result<Metadata, LogError> {
    client.inner().fetch_metadata(None, CONNECT_TIMEOUT).map_err(|error| unreachable_broker(config, &error))
}

pub(super) fn unreachable_broker(config: &KafkaConfig, error: &KafkaError) -> LogError {
    LogError {
        class: ErrorClass::Retriable,
        call: Call::Metadata,
        place: None,
        message: format!("no Kafka broker answers at {} ({error})", config.bootstrap),
    }
}

fn partitions(metadata: &Metadata, topic: &str) -> Option<i32> {
    let found = metadata.topics().iter().find(|found| found.name() == topic && found.error().is_none());
    found.map(|found| found.partitions().len() as i32)
}

fn fewest_replicas(metadata: &Metadata, topic: &str) -> Option<i32> {
    let found = metadata.topics().iter().find(|found| found.name() == topic)?;
    found.partitions().iter().map(|partition| partition.replicas().len() as i32).min()
}

fn new_topic(spec: &TopicSpec) -> NewTopic<'_> {
    // -1 is the protocol's word for the broker's default.
    let replication = TopicReplication::Fixed(spec.replication.unwrap_or(-1));
    let topic = NewTopic::new(&spec.name, spec.partitions, replication);
    spec.settings.iter().fold(topic, |topic, (name, value)| topic.set(name, value))
}

pub(super) fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(REQUEST_TIMEOUT)).operation_timeout(Some(REQUEST_TIMEOUT))
}

/// Runs a future of the client library to its end; it is driven by the client's own thread.
pub(super) fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        std::thread::park();
    }
}
