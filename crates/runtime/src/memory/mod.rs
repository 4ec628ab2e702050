//! A log in memory: topics, consumer groups and transactions of one process, without a broker.
//!
//! It carries runs that need no Kafka and the tests of everything above the log. What it keeps of Kafka:
//! a transaction's records take their offsets when they are produced, readers wait for undecided ones and never
//! see aborted ones; offsets move with their transaction, and are not answered while they are undecided; a new
//! producer with the same transactional id ends what the old one left and fences it, a new member with the same
//! instance id fences the old one; offsets of a member that has missed a generation of its group are refused;
//! partitions are found by the same hash, a transaction leaves a gap in the offsets.
//!
//! Nothing happens by itself, since nobody's clock runs here: what a broker does on its own (a member that is
//! silent is removed, a transaction that is left open is aborted, marks of a decided one are written late, a
//! request arrives late) is done when it is asked for, by [`MemoryLog::remove_member`],
//! [`MemoryLog::time_out_transactions`], [`MemoryLog::hold_marks`], [`MemoryLog::end`] and
//! [`MemoryLog::change_leader`].
//!
//! Memory is bounded: records of a topic are dropped once every group and reader of it has passed them, and
//! a compacted topic keeps the latest record per key. A topic that nobody has registered for keeps all.

mod client;
mod faults;
mod group;
mod partition;
mod transaction;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use self::client::MemoryClient;
pub use self::faults::{Fault, FaultyLog};
pub use self::transaction::{EndRequest, OffsetsRequest};

use self::group::Group;
use self::partition::Partition;
use self::transaction::Producer;
use crate::log::{CommittedOffset, PollLimits};
use crate::outbox::{OutRecord, Outbox, To};
use crate::record::{RecordBatch, TimestampType, TopicPartition};

/// A topic of a [`MemoryLog`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryTopic {
    /// Full name.
    pub name: String,
    /// Number of partitions, at least 1.
    pub partitions: i32,
    /// Whether only the latest record per key is kept.
    pub compact: bool,
    /// Who sets timestamps.
    pub timestamps: TimestampType,
}

impl MemoryTopic {
    /// A topic whose records go when they are consumed; timestamps are the producer's.
    pub fn new(name: &str, partitions: i32) -> MemoryTopic {
        MemoryTopic {
            name: name.to_owned(),
            partitions,
            compact: false,
            timestamps: TimestampType::CreateTime,
        }
    }

    /// A topic that keeps the latest record per key.
    pub fn compacted(name: &str, partitions: i32) -> MemoryTopic {
        MemoryTopic { compact: true, ..MemoryTopic::new(name, partitions) }
    }
}

/// The log; clones share it.
#[derive(Debug, Clone, Default)]
pub struct MemoryLog(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    now_ms: i64,
    topics: BTreeMap<Arc<str>, Topic>,
    groups: BTreeMap<String, Group>,
    /// By transactional id.
    producers: BTreeMap<String, Producer>,
    /// Marks of decided transactions are not written at once.
    holds_marks: bool,
    readers: u64,
}

#[derive(Debug)]
struct Topic {
    spec: MemoryTopic,
    partitions: Vec<Partition>,
    next_keyless: usize,
}

impl MemoryLog {
    /// A log with these topics.
    pub fn new(topics: &[MemoryTopic]) -> MemoryLog {
        let log = MemoryLog::default();
        for topic in topics {
            log.create(topic);
        }
        log
    }

    /// Adds a topic; one that exists stays as it is.
    pub fn create(&self, topic: &MemoryTopic) {
        let mut state = self.lock();
        let name: Arc<str> = Arc::from(topic.name.as_str());
        state.topics.entry(name).or_insert_with(|| Topic {
            spec: topic.clone(),
            partitions: (0..topic.partitions.max(1)).map(|_| Partition::default()).collect(),
            next_keyless: 0,
        });
    }

    /// Deletes a topic and makes it anew: empty, from offset 0, without any group's offsets.
    pub fn remake(&self, name: &str) {
        let mut state = self.lock();
        if let Some(topic) = state.topics.get_mut(name) {
            topic.partitions.iter_mut().for_each(|partition| *partition = Partition::default());
        }
    }

    /// Sets the clock of the log, Unix milliseconds: the timestamp of `LogAppendTime` topics and of records
    /// without one.
    pub fn set_now_ms(&self, now_ms: i64) {
        self.lock().now_ms = now_ms;
    }

    /// Appends records outside any transaction, in order.
    ///
    /// # Panics
    /// When a topic or partition does not exist.
    pub fn append(&self, records: &Outbox) {
        let mut state = self.lock();
        for record in records.iter() {
            let partition = state.place(&record).expect("records go to topics that exist");
            state.append(&record, partition, None);
            state.compact_if_worthwhile(record.topic, partition);
        }
    }

    /// A member of a group, with its producer. A former client with the same `instance` is fenced, and so is
    /// one with the same `transactional_id`.
    pub fn client(
        &self,
        group: &str,
        instance: &str,
        transactional_id: &str,
        inputs: &[String],
    ) -> MemoryClient {
        MemoryClient::join(self.clone(), group, instance, transactional_id, inputs)
    }

    /// Removes a member that has been silent for too long, as a coordinator does: its partitions go to others. It
    /// learns of it, as [`GroupEvent::Lost`](crate::GroupEvent::Lost), when it polls again, and joins anew. Answers
    /// whether there was such a member.
    pub fn remove_member(&self, group: &str, instance: &str) -> bool {
        self.lock().groups.get_mut(group).is_some_and(|group| group.remove(instance))
    }

    /// Aborts transactions that have been open for longer than `limit_ms` and fences their producers, as a
    /// coordinator does; answers how many.
    pub fn time_out_transactions(&self, limit_ms: i64) -> usize {
        let mut state = self.lock();
        let since_ms = state.now_ms - limit_ms;
        state.time_out(since_ms)
    }

    /// A partition gets another leader, whose clock is `ahead_ms` ahead of the log's (behind it, below 0): timestamps
    /// of a `LogAppendTime` topic may go back.
    pub fn change_leader(&self, at: &TopicPartition, ahead_ms: i64) {
        if let Some(partition) = self.lock().partition_mut(at) {
            partition.change_leader(ahead_ms);
        }
    }

    /// Drops what later records of the same key have replaced, and tombstones, in every partition of a compacted topic
    /// that has no undecided transaction.
    pub fn compact(&self, topic: &str) {
        let mut state = self.lock();
        if let Some(topic) = state.topics.get_mut(topic).filter(|topic| topic.spec.compact) {
            topic.partitions.iter_mut().for_each(Partition::compact_if_decided);
        }
    }

    /// From now on, marks of decided transactions wait until [`MemoryLog::write_mark`], or until their producer's
    /// next transaction.
    pub fn hold_marks(&self) {
        self.lock().holds_marks = true;
    }

    /// Writes one mark of a decided transaction, `pick` says which; answers whether there was one.
    pub fn write_mark(&self, pick: usize) -> bool {
        self.lock().write_any_mark(pick)
    }

    /// Number of marks that wait to be written.
    pub fn missing_marks(&self) -> usize {
        self.lock().missing_marks()
    }

    /// Ends a transaction at the request of a client, which may have arrived late; answers whether its producer has not
    /// been fenced.
    pub fn end(&self, request: &EndRequest) -> bool {
        self.lock().end(request)
    }

    /// Puts offsets into a transaction at the request of a client, which may have arrived late: into the one that is open
    /// then. Answers whether they count.
    pub fn add_offsets(&self, request: &OffsetsRequest) -> bool {
        self.lock().add_late_offsets(request)
    }

    /// What a group has committed of a partition, whether or not a transaction over it is at its end.
    pub fn committed(&self, group: &str, at: &TopicPartition) -> Option<CommittedOffset> {
        self.lock().partition(at)?.committed(group).cloned()
    }

    /// Who owns the partitions of a group, by instance.
    pub fn owners(&self, group: &str) -> BTreeMap<TopicPartition, String> {
        self.lock().groups.get(group).map(Group::owners).unwrap_or_default()
    }

    /// A reader of all partitions of a topic, from the oldest record on. Records stay in the log until it has
    /// read them.
    pub fn reader(&self, topic: &str) -> MemoryReader {
        let mut state = self.lock();
        state.readers += 1;
        let group = format!("\0reader-{}", state.readers);
        if let Some(topic) = state.topics.get_mut(topic) {
            for partition in &mut topic.partitions {
                partition.register(&group);
            }
        }
        MemoryReader { log: self.clone(), group, topic: Arc::from(topic) }
    }

    /// Records now held for a topic, over all partitions.
    pub fn held(&self, topic: &str) -> usize {
        let state = self.lock();
        state.topics.get(topic).map_or(0, |topic| topic.partitions.iter().map(Partition::len).sum())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics half-way through a change but tests that are failing anyhow.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn partition(&self, at: &TopicPartition) -> Option<&Partition> {
        self.topics.get(&at.topic)?.partitions.get(at.partition as usize)
    }

    fn partition_mut(&mut self, at: &TopicPartition) -> Option<&mut Partition> {
        self.topics.get_mut(&at.topic)?.partitions.get_mut(at.partition as usize)
    }

    /// The partition a record goes to; `None` if it does not exist.
    fn place(&mut self, record: &OutRecord<'_>) -> Option<i32> {
        let topic = self.topics.get_mut(record.topic)?;
        let count = topic.partitions.len();
        match (record.to, record.key) {
            (To::Partition(partition), _) => (partition as usize) < count,
            (To::Key, _) => true,
        }
        .then(|| match (record.to, record.key) {
            (To::Partition(partition), _) => partition,
            (To::Key, Some(key)) => partition_of(key, count as i32),
            (To::Key, None) => {
                topic.next_keyless = (topic.next_keyless + 1) % count;
                topic.next_keyless as i32
            }
        })
    }

    fn append(&mut self, record: &OutRecord<'_>, partition: i32, producer: Option<u64>) {
        let now_ms = self.now_ms;
        let Some(topic) = self.topics.get_mut(record.topic) else { return };
        let timestamp_ms = match topic.spec.timestamps {
            TimestampType::LogAppendTime => now_ms,
            TimestampType::CreateTime => record.timestamp_ms.unwrap_or(now_ms),
        };
        let kind = topic.spec.timestamps;
        topic.partitions[partition as usize].append(record, partition, timestamp_ms, kind, producer);
    }

    fn compact_if_worthwhile(&mut self, topic: &str, partition: i32) {
        if let Some(topic) = self.topics.get_mut(topic).filter(|topic| topic.spec.compact) {
            topic.partitions[partition as usize].compact_if_worthwhile();
        }
    }
}

/// Reads a whole topic, outside any group.
#[derive(Debug)]
pub struct MemoryReader {
    log: MemoryLog,
    group: String,
    topic: Arc<str>,
}

impl MemoryReader {
    /// Appends to `batch` what has arrived, partition by partition, at most `limits`; answers how many.
    pub fn read(&mut self, batch: &mut RecordBatch, limits: PollLimits) -> usize {
        let before = batch.len();
        let mut state = self.log.lock();
        let Some(topic) = state.topics.get_mut(&self.topic) else { return 0 };
        for partition in &mut topic.partitions {
            let from = partition.consumed(&self.group).unwrap_or_default();
            let room = PollLimits { records: limits.records - (batch.len() - before), ..limits };
            let next = partition.read(from, room, batch);
            partition.consume(&self.group, next, topic.spec.compact);
        }
        batch.len() - before
    }
}

/// The partition of a key among `count`: Kafka's murmur2, as its Java client computes it.
pub fn partition_of(key: &[u8], count: i32) -> i32 {
    (murmur2(key) & 0x7fff_ffff) as i32 % count.max(1)
}

/// MurmurHash2, 32 bits, little-endian, with the seed Kafka uses (public-domain algorithm by A. Appleby).
fn murmur2(bytes: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    const R: u32 = 24;
    let mut hash = SEED ^ bytes.len() as u32;
    let mut words = bytes.chunks_exact(4);
    for word in &mut words {
        let mut k = u32::from_le_bytes([word[0], word[1], word[2], word[3]]).wrapping_mul(M);
        k ^= k >> R;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        for (index, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * index);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Headers;

    #[test]
    fn keys_hash_as_in_java() {
        // Vectors of org.apache.kafka.common.utils.UtilsTest#testMurmur2.
        let vectors: [(&str, i32); 6] = [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ];
        for (key, hash) in vectors {
            assert_eq!(murmur2(key.as_bytes()) as i32, hash, "{key}");
        }
    }

    #[test]
    fn a_compacted_topic_keeps_the_latest_record_per_key() {
        let log = MemoryLog::new(&[MemoryTopic::compacted("state", 1)]);
        let mut out = Outbox::default();
        for round in 0..10_000u32 {
            out.push(&OutRecord {
                topic: "state",
                to: To::Partition(0),
                key: Some(&(round % 7).to_le_bytes()),
                value: Some(&round.to_le_bytes()),
                headers: Headers::EMPTY,
                timestamp_ms: None,
            });
        }
        log.append(&out);
        assert!(log.held("state") < 5_000, "{} records are held", log.held("state"));
        let mut batch = RecordBatch::new();
        log.reader("state").read(&mut batch, PollLimits { records: usize::MAX, bytes: usize::MAX });
        let latest: BTreeMap<_, _> = batch
            .iter()
            .map(|record| (record.key.unwrap().to_vec(), record.value.unwrap().to_vec()))
            .collect();
        let expected: BTreeMap<_, _> =
            (9_993..10_000u32).map(|n| ((n % 7).to_le_bytes().to_vec(), n.to_le_bytes().to_vec())).collect();
        assert_eq!(latest, expected);
    }
}
