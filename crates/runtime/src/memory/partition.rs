//! One partition of a log in memory: records in chunks, which of them are decided, and who has read how far.
//!
//! A transaction's records take their places when they are produced. Readers come as far as the first record
//! whose transaction is undecided, and never see one that was aborted.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Range;

use crate::log::{CommittedOffset, PollLimits};
use crate::outbox::OutRecord;
use crate::record::{Record, RecordBatch, TimestampType};

/// Records share a buffer up to these bounds; a chunk is the unit in which consumed records are dropped.
const CHUNK_RECORDS: usize = 4_096;
const CHUNK_BYTES: usize = 1 << 20;
/// A compacted partition is rewritten when it holds this many records beside twice those it kept last time.
const COMPACTION_SLACK: usize = 4_096;

#[derive(Debug, Default)]
pub(super) struct Partition {
    chunks: VecDeque<RecordBatch>,
    /// Offset of the next record or transaction mark.
    end: i64,
    /// Everything below has been dropped.
    low: i64,
    len: usize,
    kept: usize,
    last_timestamp_ms: i64,
    /// How far the clock of its leader is ahead of the log's.
    ahead_ms: i64,
    /// Offsets of undecided transactions, by producer, each list ascending.
    open: Vec<(u64, Vec<Range<i64>>)>,
    /// Offsets of aborted ones, ascending.
    aborted: Vec<Range<i64>>,
    /// Next offset by group or reader.
    consumed: BTreeMap<String, i64>,
    /// Committed offsets by group.
    committed: BTreeMap<String, CommittedOffset>,
}

impl Partition {
    pub(super) fn low(&self) -> i64 {
        self.low
    }

    pub(super) fn end(&self) -> i64 {
        self.end
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The last stable offset: everything before it is decided.
    pub(super) fn stable_end(&self) -> i64 {
        let firsts = self.open.iter().filter_map(|(_, ranges)| ranges.first());
        firsts.map(|range| range.start).min().unwrap_or(self.end)
    }

    /// Appends a record, of a producer's transaction if one is named.
    pub(super) fn append(
        &mut self,
        record: &OutRecord<'_>,
        partition: i32,
        timestamp_ms: i64,
        timestamp_type: TimestampType,
        producer: Option<u64>,
    ) {
        let timestamp_ms = match timestamp_type {
            TimestampType::LogAppendTime => (timestamp_ms + self.ahead_ms).max(self.last_timestamp_ms),
            TimestampType::CreateTime => timestamp_ms,
        };
        self.last_timestamp_ms = timestamp_ms;
        let record = Record {
            topic: record.topic,
            partition,
            offset: self.end,
            timestamp_ms,
            timestamp_type,
            key: record.key,
            value: record.value,
            headers: record.headers,
        };
        self.put(&record);
        if let Some(producer) = producer {
            self.open_at(producer, self.end);
        }
        self.end += 1;
    }

    /// Another leader, with a clock of its own; it knows nothing of the former one's.
    pub(super) fn change_leader(&mut self, ahead_ms: i64) {
        self.ahead_ms = ahead_ms;
        self.last_timestamp_ms = i64::MIN;
    }

    /// Ends a producer's transaction with a mark, which takes an offset but is no record.
    pub(super) fn mark(&mut self, producer: u64, committed: bool) {
        let Some(index) = self.open.iter().position(|(of, _)| *of == producer) else { return };
        let (_, ranges) = self.open.swap_remove(index);
        if !committed {
            self.aborted.extend(ranges);
            self.aborted.sort_unstable_by_key(|range| range.start);
        }
        self.end += 1;
    }

    /// Drops what later records of the same key have replaced, now and then.
    pub(super) fn compact_if_worthwhile(&mut self) {
        if self.len > 2 * self.kept + COMPACTION_SLACK {
            self.compact_if_decided();
        }
    }

    /// Drops what later records of the same key have replaced, unless a transaction is undecided.
    pub(super) fn compact_if_decided(&mut self) {
        if self.open.is_empty() {
            self.compact();
        }
    }

    /// Appends decided, committed records from offset `from` on to `batch`; answers the offset to go on at.
    pub(super) fn read(&self, from: i64, limits: PollLimits, batch: &mut RecordBatch) -> i64 {
        let (first_len, first_bytes) = (batch.len(), batch.bytes());
        let stable = self.stable_end();
        let skip = self.chunks.partition_point(|chunk| last_offset(chunk) < from);
        for chunk in self.chunks.iter().skip(skip) {
            let first = chunk.lower_bound(from);
            for record in (first..chunk.len()).map(|index| chunk.get(index)) {
                let full = batch.len() - first_len >= limits.records
                    || (batch.len() > first_len && batch.bytes() - first_bytes >= limits.bytes);
                if full || record.offset >= stable {
                    return record.offset.min(stable).max(from);
                }
                if !self.is_aborted(record.offset) {
                    batch.push(&record);
                }
            }
        }
        stable.max(from)
    }

    /// The offset of the first record at or after a time.
    pub(super) fn offset_at(&self, at_ms: i64) -> i64 {
        let mut records = self.chunks.iter().flat_map(RecordBatch::iter);
        records.find(|record| record.timestamp_ms >= at_ms).map_or(self.end, |record| record.offset)
    }

    /// From now on records stay until `group` has consumed them.
    pub(super) fn register(&mut self, group: &str) {
        if !self.consumed.contains_key(group) {
            self.consumed.insert(group.to_owned(), self.low);
        }
    }

    pub(super) fn consumed(&self, group: &str) -> Option<i64> {
        self.consumed.get(group).copied()
    }

    /// `group` needs nothing below `next` any more.
    pub(super) fn consume(&mut self, group: &str, next: i64, compact: bool) {
        match self.consumed.get_mut(group) {
            Some(known) => *known = next,
            None => {
                self.consumed.insert(group.to_owned(), next);
            }
        }
        if compact {
            return;
        }
        let unread = self.consumed.values().copied().min().unwrap_or(self.low);
        while let Some(chunk) = self.chunks.front()
            && last_offset(chunk) < unread
        {
            self.len -= chunk.len();
            self.low = last_offset(chunk) + 1;
            self.chunks.pop_front();
        }
        let low = self.low;
        self.aborted.retain(|range| range.end > low);
    }

    pub(super) fn committed(&self, group: &str) -> Option<&CommittedOffset> {
        self.committed.get(group)
    }

    pub(super) fn commit(&mut self, group: &str, offset: i64, marker: &str, compact: bool) {
        match self.committed.get_mut(group) {
            Some(known) => {
                known.offset = offset;
                known.marker.clear();
                known.marker.push_str(marker);
            }
            None => {
                self.committed
                    .insert(group.to_owned(), CommittedOffset { offset, marker: marker.to_owned() });
            }
        }
        self.consume(group, offset, compact);
    }

    /// Forgets a group's committed offset, as a broker does when it expires.
    pub(super) fn expire(&mut self, group: &str) {
        self.committed.remove(group);
    }

    fn open_at(&mut self, producer: u64, offset: i64) {
        let index = self.open.iter().position(|(of, _)| *of == producer).unwrap_or_else(|| {
            self.open.push((producer, Vec::new()));
            self.open.len() - 1
        });
        let ranges = &mut self.open[index].1;
        match ranges.last_mut() {
            Some(last) if last.end == offset => last.end += 1,
            _ => ranges.push(offset..offset + 1),
        }
    }

    fn is_aborted(&self, offset: i64) -> bool {
        if self.aborted.is_empty() {
            return false;
        }
        let before = self.aborted.partition_point(|range| range.start <= offset);
        before > 0 && self.aborted[before - 1].contains(&offset)
    }

    fn put(&mut self, record: &Record<'_>) {
        let full = |chunk: &RecordBatch| chunk.len() >= CHUNK_RECORDS || chunk.bytes() >= CHUNK_BYTES;
        if self.chunks.back().is_none_or(full) {
            self.chunks.push_back(RecordBatch::new());
        }
        if let Some(chunk) = self.chunks.back_mut() {
            chunk.push(record);
            self.len += 1;
        }
    }

    /// Keeps the last record of each key; tombstones and records without a key go.
    fn compact(&mut self) {
        let old = std::mem::take(&mut self.chunks);
        let committed = |record: &Record<'_>| !self.is_aborted(record.offset);
        let records = || old.iter().flat_map(RecordBatch::iter).filter(committed);
        let last: HashMap<&[u8], i64> =
            records().filter_map(|record| record.key.map(|key| (key, record.offset))).collect();
        let kept: Vec<Record<'_>> = records()
            .filter(|record| record.value.is_some())
            .filter(|record| record.key.is_some_and(|key| last[key] == record.offset))
            .collect();
        self.len = 0;
        for record in &kept {
            self.put(record);
        }
        self.kept = self.len;
        self.aborted.clear();
    }
}

fn last_offset(chunk: &RecordBatch) -> i64 {
    if chunk.is_empty() { -1 } else { chunk.get(chunk.len() - 1).offset }
}
