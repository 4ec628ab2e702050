//! The log over Kafka: one group member, one transactional producer, one reader.
//!
//! What is set here and not left to defaults, and why:
//!
//! * The producer's transactions are initialised before the consumer subscribes, so that a predecessor's open
//!   transaction is decided before its partitions arrive.
//! * A commit drains the producer first by looking at its queue: `flush` and the wait inside commit advance in
//!   steps of 100 ms.
//! * While a transaction is aborted, the producer's events are taken in by a thread of its own: aborting with records
//!   in flight would otherwise wait for acknowledgements that nobody takes in.
//! * The same thread offers offsets to the transaction, and is left alone with an offer that does not end: the call's
//!   timeout counts only once the group's coordinator is found.
//! * Each partition has its own queue, so that a partition that is restoring or held is not read, without
//!   pause and resume, which lose partitions across a rebalance.
//! * `auto.offset.reset=error`: start offsets are always explicit, and an offset that has gone is an error.
//! * `check.crcs=true`: damaged bytes are an error that names their place, not input.
//! * Every two seconds each client is looked at whether it still knows a broker: `bootstrap`.
//! * The instance id is mandatory: a transaction from a member that the group has forgotten is refused only
//!   with one.
//!
//! Records are taken in batches and produced by topic handle, for which the safe interface has no call: `native`.

pub mod admin;
mod bootstrap;
mod client;
mod errors;
pub mod groups;
mod lookout;
mod member;
mod native;
mod producer;
mod reader;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;

pub use self::bootstrap::Bootstrap;
use self::client::{Bell, Quiet};
use self::errors::classify;
use self::member::Member;
use self::producer::TransactionalProducer;
use self::reader::Reader;
use crate::log::{Call, CommittedOffset, ErrorClass, GroupEvent, Log, LogError, PollLimits};
use crate::outbox::Outbox;
use crate::record::{RecordBatch, TopicPartition};

/// A member's, unless another is configured.
const SESSION_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a call for metadata, watermarks or offsets may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the first contact may take; the error then names the address.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(8);

/// A client of a Kafka cluster, as configured. Its properties hold secrets: they are shown by name only.
#[derive(Clone, Default)]
pub struct KafkaConfig {
    /// `host:port[,…]`.
    pub bootstrap: String,
    /// Shown by the brokers; carries the address at which this process answers queries.
    pub client_id: String,
    /// Further librdkafka properties: for TLS and SASL, and in the place of what the runtime would choose. Those that it
    /// relies on are set after them and win.
    pub properties: Vec<(String, String)>,
}

impl fmt::Debug for KafkaConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.properties.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("KafkaConfig")
            .field("bootstrap", &self.bootstrap)
            .field("client_id", &self.client_id)
            .field("properties", &names)
            .finish()
    }
}

/// The identity of one worker.
#[derive(Debug, Clone, Default)]
pub struct MemberConfig {
    /// Consumer group.
    pub group: String,
    /// `group.instance.id`: unique in the group, the same after a restart.
    pub instance: String,
    /// Unique in the cluster, the same after a restart.
    pub transactional_id: String,
    /// Topics to subscribe to; none: producer and reader only.
    pub inputs: Vec<String>,
    /// Topics whose records are read without their headers: asking for them costs an allocation for each record, even
    /// where there are none.
    pub headerless: Vec<String>,
}

impl KafkaConfig {
    /// How long the group waits for a member that is not heard of: the property `session.timeout.ms`, else 15 s.
    pub fn session_timeout(&self) -> Duration {
        let set = self.properties.iter().find(|(name, _)| name == "session.timeout.ms");
        set.and_then(|(_, ms)| ms.parse().ok()).map_or(SESSION_TIMEOUT, Duration::from_millis)
    }

    /// A client's configuration: these properties, as far as none is configured in their place, and the configured ones.
    fn client(&self, choices: &[(&str, &str)]) -> ClientConfig {
        let mut client = ClientConfig::new();
        // Back after a broker's restart within a second, not ten.
        for (name, value) in choices.iter().chain(&[("reconnect.backoff.max.ms", "1000")]) {
            if !self.properties.iter().any(|(known, _)| is_same_property(known, name)) {
                client.set(*name, *value);
            }
        }
        for (name, value) in &self.properties {
            client.set(name, value);
        }
        client
            .set("bootstrap.servers", &self.bootstrap)
            .set("client.id", &self.client_id)
            .set("allow.auto.create.topics", "false");
        client
    }
}

/// Whether librdkafka takes two names for one property's. Of properties with two names, those that are chosen here.
fn is_same_property(one: &str, other: &str) -> bool {
    const TWO_NAMES: [[&str; 2]; 2] =
        [["compression.type", "compression.codec"], ["linger.ms", "queue.buffering.max.ms"]];
    one == other || TWO_NAMES.iter().any(|names| names.contains(&one) && names.contains(&other))
}

/// The log over Kafka. See the module.
pub struct KafkaLog {
    config: KafkaConfig,
    identity: MemberConfig,
    producer: Option<TransactionalProducer>,
    member: Member,
    reader: Reader,
    /// Sees the high watermark where the others see the last stable offset.
    uncommitted: BaseConsumer<Quiet>,
    bell: Arc<Bell>,
    bootstrap: Bootstrap,
}

impl fmt::Debug for KafkaLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaLog").field("identity", &self.identity).finish_non_exhaustive()
    }
}

impl KafkaLog {
    /// Connects, initialises transactions, then joins the group.
    ///
    /// # Errors
    /// A broker that cannot be reached, by its address, within 10 s; configuration that librdkafka refuses.
    pub fn connect(config: &KafkaConfig, identity: &MemberConfig) -> Result<KafkaLog, LogError> {
        let bell = Arc::new(Bell::default());
        let mut uncommitted = config.client(&[]);
        uncommitted.set("isolation.level", "read_uncommitted");
        let uncommitted: BaseConsumer<Quiet> = created(uncommitted.create_with_context(Quiet::default()))?;
        let metadata = uncommitted.fetch_metadata(None, CONNECT_TIMEOUT);
        metadata.map_err(|error| admin::unreachable_broker(config, &error))?;
        let producer = TransactionalProducer::create(config, identity)?;
        let reader = Reader::create(config, identity, &bell)?;
        let member = Member::join(config, identity, &bell)?;
        Ok(KafkaLog {
            config: config.clone(),
            identity: identity.clone(),
            producer: Some(producer),
            member,
            reader,
            uncommitted,
            bell,
            bootstrap: Bootstrap::new(&config.bootstrap),
        })
    }

    /// To be called again and again: in each step of the worker, and before whatever failed is tried again. The producer
    /// has a thread that does this for it.
    fn recall_brokers(&mut self) {
        if !self.bootstrap.is_due() {
            return;
        }
        self.bootstrap.recall(self.member.client());
        self.bootstrap.recall(self.reader.client());
        self.bootstrap.recall(self.uncommitted.client());
    }

    fn producer(&mut self, call: Call) -> Result<&mut TransactionalProducer, LogError> {
        self.producer.as_mut().ok_or_else(|| LogError {
            class: ErrorClass::Fatal,
            call,
            place: None,
            message: "the producer could not be replaced".to_owned(),
        })
    }
}

impl Log for KafkaLog {
    fn poll(
        &mut self,
        batch: &mut RecordBatch,
        limits: PollLimits,
        held: &[TopicPartition],
    ) -> Result<(), LogError> {
        self.recall_brokers();
        self.member.poll(batch, limits, held)
    }

    fn next_event(&mut self) -> Option<GroupEvent> {
        self.member.next_event(&self.uncommitted)
    }

    fn start(&mut self, partition: &TopicPartition, offset: i64) -> Result<(), LogError> {
        self.member.start(partition, offset)
    }

    fn release(&mut self, partitions: &[TopicPartition]) -> Result<(), LogError> {
        self.member.release(partitions)
    }

    fn wait(&mut self, timeout: Duration) {
        self.recall_brokers();
        self.bell.wait(timeout);
    }

    fn begin(&mut self) -> Result<(), LogError> {
        self.producer(Call::Begin)?.begin()
    }

    fn produce(&mut self, out: &Outbox) -> Result<(), LogError> {
        self.producer(Call::Produce)?.produce(out)
    }

    fn drain(&mut self) -> Result<(), LogError> {
        self.producer(Call::Produce)?.drain()
    }

    fn send_offsets(&mut self, offsets: &[(TopicPartition, i64)], marker: &str) -> Result<(), LogError> {
        let group = self.member.group_metadata()?;
        self.producer(Call::SendOffsets)?.send_offsets(offsets, marker, group)
    }

    fn commit(&mut self) -> Result<(), LogError> {
        self.producer(Call::Commit)?.commit()
    }

    fn abort(&mut self) -> Result<(), LogError> {
        self.producer(Call::Abort)?.abort()
    }

    fn recreate(&mut self) -> Result<(), LogError> {
        self.producer = None;
        self.producer = Some(TransactionalProducer::create(&self.config, &self.identity)?);
        Ok(())
    }

    fn committed(&mut self, partitions: &[TopicPartition]) -> Result<Vec<Option<CommittedOffset>>, LogError> {
        self.member.committed(partitions)
    }

    fn watermarks(&mut self, partition: &TopicPartition) -> Result<(i64, i64), LogError> {
        watermarks(&self.uncommitted, partition)
    }

    fn stable_end(&mut self, partition: &TopicPartition) -> Result<i64, LogError> {
        self.reader.stable_end(partition)
    }

    fn offset_at(&mut self, partition: &TopicPartition, at_ms: i64) -> Result<i64, LogError> {
        self.reader.offset_at(partition, at_ms)
    }

    fn partition_count(&mut self, topic: &str) -> Result<Option<i32>, LogError> {
        partition_count(&self.uncommitted, topic)
    }

    fn read_from(&mut self, partition: &TopicPartition, offset: i64) -> Result<(), LogError> {
        self.reader.read_from(partition, offset)
    }

    fn read_stop(&mut self, partition: &TopicPartition) {
        self.reader.read_stop(partition);
    }

    fn read(
        &mut self,
        batch: &mut RecordBatch,
        limits: PollLimits,
        ended: &mut Vec<TopicPartition>,
    ) -> Result<(), LogError> {
        self.reader.read(batch, limits, ended)
    }

    fn assignment_lost(&self) -> bool {
        self.member.assignment_lost()
    }

    fn commit_was_unsteady(&mut self) -> bool {
        self.producer.as_ref().is_some_and(TransactionalProducer::was_unsteady)
    }

    fn now_ms(&self) -> i64 {
        wall_clock_ms()
    }
}

/// Sets the process's allocator up for what the clients do with memory. To be called once, before any thread starts.
pub fn keep_freed_memory() {
    native::keep_freed_memory();
}

/// Unix milliseconds.
pub fn wall_clock_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

fn created<T>(result: Result<T, KafkaError>) -> Result<T, LogError> {
    result.map_err(|error| {
        let reason = match error {
            // The error's own text shows the value, which may be a secret under a misspelt name.
            KafkaError::ClientConfig(_, description, name, value) => {
                let description = description.replace(&format!("\"{value}\""), "a value");
                format!("property {name}: {description}")
            }
            error => error.to_string(),
        };
        LogError {
            class: ErrorClass::Fatal,
            call: Call::Metadata,
            place: None,
            message: format!("the client cannot be made from this configuration: {reason}"),
        }
    })
}

fn watermarks(consumer: &impl Consumer<Quiet>, at: &TopicPartition) -> Result<(i64, i64), LogError> {
    let watermarks = consumer.fetch_watermarks(&at.topic, at.partition, REQUEST_TIMEOUT);
    watermarks.map_err(|error| classify(Call::Watermarks, &error).at(at))
}

fn partition_count(consumer: &impl Consumer<Quiet>, topic: &str) -> Result<Option<i32>, LogError> {
    let metadata = consumer.fetch_metadata(Some(topic), REQUEST_TIMEOUT);
    let metadata = metadata.map_err(|error| classify(Call::Metadata, &error))?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    let count = found.filter(|found| found.error().is_none()).map(|found| found.partitions().len() as i32);
    Ok(count.filter(|count| *count > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_properties_are_never_shown() {
        for name in ["sasl.pasword", "security.protocol", "session.timeout.ms"] {
            let config = KafkaConfig {
                properties: vec![(name.to_owned(), "hunter2".to_owned())],
                ..KafkaConfig::default()
            };
            let made =
                created(config.client(&[]).create_with_context::<_, BaseConsumer<Quiet>>(Quiet::default()));
            let error = made.err().unwrap().to_string();
            for text in [error, format!("{config:?}")] {
                assert!(text.contains(name) && !text.contains("hunter2"), "{text}");
            }
        }
    }
    #[test]
    fn what_is_configured_takes_the_place_of_what_is_chosen() {
        let properties =
            [("queue.buffering.max.ms", "5"), ("queued.max.messages.kbytes", "64"), ("client.id", "no")];
        let config = KafkaConfig {
            client_id: "ours".to_owned(),
            properties: properties.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
            ..KafkaConfig::default()
        };
        let choices =
            [("linger.ms", "1"), ("queued.max.messages.kbytes", "4096"), ("compression.type", "lz4")];
        let client = config.client(&choices);
        let set = [
            ("linger.ms", None),
            ("queue.buffering.max.ms", Some("5")),
            ("queued.max.messages.kbytes", Some("64")),
            ("compression.type", Some("lz4")),
            ("reconnect.backoff.max.ms", Some("1000")),
            ("client.id", Some("ours")),
        ];
        for (name, value) in set {
            assert_eq!(client.get(name), value, "{name}");
        }
    }
}
