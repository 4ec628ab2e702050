//! Records as they are read: borrowed views and the batch that owns their bytes.

use std::fmt;
use std::sync::Arc;

use crate::arena::{self, Arena, HeaderSpan, Payload};

/// A topic's name and a partition's number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// Full topic name, prefix included.
    pub topic: Arc<str>,
    /// Partition number, from 0.
    pub partition: i32,
}

impl TopicPartition {
    /// Joins the two.
    pub fn new(topic: impl Into<Arc<str>>, partition: i32) -> TopicPartition {
        TopicPartition { topic: topic.into(), partition }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.topic, self.partition)
    }
}

/// Who set a record's timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer (`CreateTime`).
    CreateTime,
    /// The broker, when it appended the record (`LogAppendTime`).
    LogAppendTime,
}

/// One record as an operator sees it. Everything is borrowed; bytes are whatever the producer wrote.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// Full topic name.
    pub topic: &'a str,
    /// Partition number.
    pub partition: i32,
    /// Offset in the partition.
    pub offset: i64,
    /// The log's timestamp, Unix milliseconds; 0 if the log has none.
    pub timestamp_ms: i64,
    /// Who set `timestamp_ms`.
    pub timestamp_type: TimestampType,
    /// Key, if any.
    pub key: Option<&'a [u8]>,
    /// Value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Headers, in their order; names may repeat.
    pub headers: Headers<'a>,
}

/// Headers of a record, in their order.
#[derive(Clone, Copy)]
pub struct Headers<'a>(Repr<'a>);

#[derive(Clone, Copy)]
enum Repr<'a> {
    Plain(&'a [(&'a str, Option<&'a [u8]>)]),
    Packed { bytes: &'a [u8], spans: &'a [HeaderSpan] },
}

impl<'a> Headers<'a> {
    /// No headers.
    pub const EMPTY: Headers<'static> = Headers(Repr::Plain(&[]));

    /// Headers from a list of names and values.
    pub fn new(headers: &'a [(&'a str, Option<&'a [u8]>)]) -> Headers<'a> {
        Headers(Repr::Plain(headers))
    }

    pub(crate) fn packed(bytes: &'a [u8], spans: &'a [HeaderSpan]) -> Headers<'a> {
        Headers(Repr::Packed { bytes, spans })
    }

    /// Number of headers.
    pub fn len(&self) -> usize {
        match self.0 {
            Repr::Plain(headers) => headers.len(),
            Repr::Packed { spans, .. } => spans.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, Option<&'a [u8]>)> + use<'a> {
        let headers = *self;
        (0..headers.len()).map(move |index| headers.at(index))
    }

    /// The value of the last header of this name (Kafka's rule for repeated names); `None` if there is no such
    /// header or it has no value.
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        (0..self.len()).rev().map(|index| self.at(index)).find(|(n, _)| *n == name).and_then(|(_, v)| v)
    }

    fn at(&self, index: usize) -> (&'a str, Option<&'a [u8]>) {
        match self.0 {
            Repr::Plain(headers) => headers[index],
            Repr::Packed { bytes, spans } => {
                let span = spans[index];
                let name = arena::slice(bytes, span.name).unwrap_or_default();
                // Only `&str` names are ever stored, so this cannot fail.
                (std::str::from_utf8(name).unwrap_or_default(), arena::slice(bytes, span.value))
            }
        }
    }
}

impl fmt::Debug for Headers<'_> {
    /// Names and lengths only: values may hold personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|(name, value)| (name, value.map(<[u8]>::len)))).finish()
    }
}

/// Records read from the log, owned together: one buffer for a whole batch.
///
/// A worker keeps its batch until the transaction that covers it has committed, so that an abort can run it
/// again.
#[derive(Debug, Default)]
pub struct RecordBatch {
    arena: Arena,
    entries: Vec<Entry>,
    topics: Vec<Arc<str>>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    topic: u16,
    timestamp_type: TimestampType,
    partition: i32,
    offset: i64,
    timestamp_ms: i64,
    payload: Payload,
}

impl RecordBatch {
    /// An empty batch.
    pub fn new() -> RecordBatch {
        RecordBatch::default()
    }

    /// Copies a record to the end.
    pub fn push(&mut self, record: &Record<'_>) {
        let topic = intern(&mut self.topics, record.topic);
        let payload = self.arena.put(record.key, record.value, record.headers.iter());
        self.entries.push(Entry {
            topic,
            timestamp_type: record.timestamp_type,
            partition: record.partition,
            offset: record.offset,
            timestamp_ms: record.timestamp_ms,
            payload,
        });
    }

    /// The record at `index`, in the order of reading.
    ///
    /// # Panics
    /// If there is none.
    pub fn get(&self, index: usize) -> Record<'_> {
        let entry = &self.entries[index];
        Record {
            topic: &self.topics[entry.topic as usize],
            partition: entry.partition,
            offset: entry.offset,
            timestamp_ms: entry.timestamp_ms,
            timestamp_type: entry.timestamp_type,
            key: self.arena.key(&entry.payload),
            value: self.arena.value(&entry.payload),
            headers: self.arena.headers(&entry.payload),
        }
    }

    /// All records, in the order of reading.
    pub fn iter(&self) -> impl Iterator<Item = Record<'_>> {
        (0..self.len()).map(|index| self.get(index))
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of keys, values and headers.
    pub fn bytes(&self) -> usize {
        self.arena.bytes_len()
    }

    /// Copies all records of `other` to the end.
    pub fn append(&mut self, other: &RecordBatch) {
        for record in other.iter() {
            self.push(&record);
        }
    }

    /// Forgets the records, keeps the memory.
    pub fn clear(&mut self) {
        self.arena.clear();
        self.entries.clear();
    }

    /// Index of the first record at or after `offset`, in a batch of one partition.
    pub(crate) fn lower_bound(&self, offset: i64) -> usize {
        self.entries.partition_point(|entry| entry.offset < offset)
    }

    /// Moves the records of a partition from index `from` on to the end of `to`.
    pub(crate) fn move_partition(&mut self, from: usize, at: &TopicPartition, to: &mut RecordBatch) {
        for record in (from..self.len()).map(|index| self.get(index)) {
            if record.partition == at.partition && *record.topic == *at.topic {
                to.push(&record);
            }
        }
        self.remove_partition(from, at);
    }

    /// Removes the records of a partition from index `from` on; their bytes go with the next `clear`.
    pub(crate) fn remove_partition(&mut self, from: usize, at: &TopicPartition) {
        let Some(topic) = self.topics.iter().position(|topic| *topic == at.topic) else { return };
        let mut index = 0;
        self.entries.retain(|entry| {
            let keep = index < from || entry.topic as usize != topic || entry.partition != at.partition;
            index += 1;
            keep
        });
    }
}

/// The index of `topic` in a short list, appended if missing.
pub(crate) fn intern(topics: &mut Vec<Arc<str>>, topic: &str) -> u16 {
    let found = topics.iter().position(|known| **known == *topic);
    found.unwrap_or_else(|| {
        topics.push(Arc::from(topic));
        topics.len() - 1
    }) as u16
}
