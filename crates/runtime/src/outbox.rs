//! What an operator has to say in one transaction: output records and changelog records, counted and bounded.

use std::sync::Arc;

use crate::arena::{Arena, Payload};
use crate::record::{Headers, intern};

/// How an output record finds its partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    /// This partition.
    Partition(i32),
    /// The partition of the key: murmur2 as in Kafka's Java client, so that Java consumers co-partition.
    /// A record without a key may go anywhere.
    Key,
}

/// One output record.
#[derive(Debug, Clone, Copy)]
pub struct OutRecord<'a> {
    /// Full topic name; must be one of the operator's [`outputs`](crate::Wiring::outputs).
    pub topic: &'a str,
    /// Which partition.
    pub to: To,
    /// Key, if any.
    pub key: Option<&'a [u8]>,
    /// Value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Headers.
    pub headers: Headers<'a>,
    /// Unix milliseconds; `None`: the time of producing. A `LogAppendTime` topic overwrites it.
    pub timestamp_ms: Option<i64>,
}

/// When a transaction is full. Sizes are of keys, values and headers before compression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutboxLimits {
    /// Output records, changelog not counted.
    pub records: usize,
    /// Bytes of output records.
    pub bytes: usize,
}

impl Default for OutboxLimits {
    /// 10,000 records or 16 MiB: a transaction of either commits well within its 10 s timeout.
    fn default() -> OutboxLimits {
        OutboxLimits { records: 10_000, bytes: 16 << 20 }
    }
}

/// The output of a transaction, in order.
#[derive(Debug, Default)]
pub struct Outbox {
    arena: Arena,
    entries: Vec<Entry>,
    topics: Vec<Arc<str>>,
    limits: OutboxLimits,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    topic: u16,
    to: To,
    timestamp_ms: Option<i64>,
    payload: Payload,
}

impl Outbox {
    /// An empty outbox with these limits.
    pub fn new(limits: OutboxLimits) -> Outbox {
        Outbox { limits, ..Outbox::default() }
    }

    /// Appends a record. Never refuses: an operator finishes what one input causes, and the worker ends the
    /// transaction after it; only work that can be cut (firing deadlines) watches [`Outbox::is_full`].
    pub fn push(&mut self, record: &OutRecord<'_>) {
        let topic = intern(&mut self.topics, record.topic);
        let payload = self.arena.put(record.key, record.value, record.headers.iter());
        self.entries.push(Entry { topic, to: record.to, timestamp_ms: record.timestamp_ms, payload });
    }

    /// Whether a limit is reached. An operator that fires deadlines stops here and answers
    /// [`Outcome::More`](crate::Outcome::More).
    pub fn is_full(&self) -> bool {
        self.entries.len() >= self.limits.records || self.arena.bytes_len() >= self.limits.bytes
    }

    /// How many more records fit; 0 when a limit is reached.
    pub fn remaining(&self) -> usize {
        if self.is_full() { 0 } else { self.limits.records - self.entries.len() }
    }

    /// Records so far.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of keys, values and headers so far.
    pub fn bytes(&self) -> usize {
        self.arena.bytes_len()
    }

    /// The record at `index`, in the order of pushing.
    ///
    /// # Panics
    /// If there is none.
    pub fn get(&self, index: usize) -> OutRecord<'_> {
        let entry = &self.entries[index];
        OutRecord {
            topic: &self.topics[entry.topic as usize],
            to: entry.to,
            key: self.arena.key(&entry.payload),
            value: self.arena.value(&entry.payload),
            headers: self.arena.headers(&entry.payload),
            timestamp_ms: entry.timestamp_ms,
        }
    }

    /// All records, in the order of pushing.
    pub fn iter(&self) -> impl Iterator<Item = OutRecord<'_>> {
        (0..self.len()).map(|index| self.get(index))
    }

    /// Forgets the records, keeps the memory.
    pub fn clear(&mut self) {
        self.arena.clear();
        self.entries.clear();
    }
}

/// Where an operator writes the changelog of one partition when a transaction is sealed.
#[derive(Debug)]
pub struct Changelog<'a> {
    out: &'a mut Outbox,
    topic: &'a str,
    partition: i32,
}

impl<'a> Changelog<'a> {
    /// A writer to `partition` of the changelog `topic`, over an outbox.
    pub fn new(out: &'a mut Outbox, topic: &'a str, partition: i32) -> Changelog<'a> {
        Changelog { out, topic, partition }
    }

    /// The new value of a key; keys beginning with a zero byte belong to the runtime.
    pub fn put(&mut self, key: &[u8], value: &[u8]) {
        self.push(key, Some(value));
    }

    /// The key is no more.
    pub fn delete(&mut self, key: &[u8]) {
        self.push(key, None);
    }

    fn push(&mut self, key: &[u8], value: Option<&[u8]>) {
        self.out.push(&OutRecord {
            topic: self.topic,
            to: To::Partition(self.partition),
            key: Some(key),
            value,
            headers: Headers::EMPTY,
            timestamp_ms: None,
        });
    }
}
