//! A small operator that counts records per key, with deadlines, for tests of the worker.
//!
//! Every input record gives one output `key=count`; so outputs show at once whether a record was lost or
//! counted twice. A record of value `until:T` sets a deadline for its key; when the clock of the partition
//! passes it, one output `key!T` is written.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part of this module")]

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ripen_runtime::{
    Blocked, Changelog, Headers, Operator, OutRecord, Outbox, Outcome, Record, RecordBatch, To, Wiring,
};

pub const SECOND_MS: i64 = 1_000;

/// Names of the toy's topics under a prefix.
#[derive(Debug, Clone)]
pub struct Topics {
    pub input: String,
    pub output: String,
    pub changelog: String,
    pub table: String,
}

impl Topics {
    pub fn new(prefix: &str) -> Topics {
        let name = |part: &str| format!("{prefix}{part}");
        Topics { input: name("in"), output: name("out"), changelog: name("counts"), table: name("words") }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Count {
    count: u64,
    deadline_ms: Option<i64>,
}

impl Count {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = self.count.to_le_bytes().to_vec();
        bytes.extend(self.deadline_ms.unwrap_or(i64::MAX).to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Count> {
        let (count, deadline) = bytes.split_at_checked(8)?;
        let deadline_ms = i64::from_le_bytes(deadline.try_into().ok()?);
        Some(Count {
            count: u64::from_le_bytes(count.try_into().ok()?),
            deadline_ms: (deadline_ms != i64::MAX).then_some(deadline_ms),
        })
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Shard {
    clock_ms: i64,
    counts: BTreeMap<Vec<u8>, Count>,
    touched: BTreeSet<Vec<u8>>,
}

impl Shard {
    fn next_deadline(&self) -> Option<(i64, Vec<u8>)> {
        let due = self.counts.iter().filter_map(|(key, count)| Some((count.deadline_ms?, key.clone())));
        due.min()
    }
}

/// The operator. Committed and staged state are kept as two whole copies: slow, and plainly right.
#[derive(Debug)]
pub struct Counter {
    topics: Topics,
    committed: BTreeMap<i32, Shard>,
    staged: BTreeMap<i32, Shard>,
    words: BTreeSet<Vec<u8>>,
    pub needs_table: bool,
    /// Without a changelog: nothing is restored.
    pub stateless: bool,
    pub restored_with_meta: usize,
    /// Records at once that are expected; 0: all.
    pub expects: usize,
    /// What is to be applied next, partitions and offsets.
    next: VecDeque<(i32, i64)>,
    /// Records that were applied without having been expected.
    pub unexpected: usize,
}

impl Counter {
    pub fn new(topics: &Topics) -> Counter {
        Counter {
            topics: topics.clone(),
            committed: BTreeMap::new(),
            staged: BTreeMap::new(),
            words: BTreeSet::new(),
            needs_table: false,
            stateless: false,
            restored_with_meta: 0,
            expects: 0,
            next: VecDeque::new(),
            unexpected: 0,
        }
    }

    /// Everything counted, committed.
    pub fn total(&self) -> u64 {
        self.committed.values().flat_map(|shard| shard.counts.values()).map(|count| count.count).sum()
    }

    fn output(&self, key: &[u8], text: &str, out: &mut Outbox) {
        out.push(&OutRecord {
            topic: &self.topics.output,
            to: To::Key,
            key: Some(key),
            value: Some(text.as_bytes()),
            headers: Headers::new(&[("kind", Some(b"toy"))]),
            // The time of producing: a broker deletes records that are older than its retention.
            timestamp_ms: None,
        });
    }
}

impl Operator for Counter {
    fn wiring(&self) -> Wiring {
        Wiring {
            inputs: vec![self.topics.input.clone()],
            tables: vec![self.topics.table.clone()],
            outputs: vec![self.topics.output.clone()],
            changelog: (!self.stateless).then(|| self.topics.changelog.clone()),
            clocked: true,
        }
    }

    fn expect(&mut self, records: &RecordBatch, from: usize) -> usize {
        let to = if self.expects == 0 { records.len() } else { records.len().min(from + self.expects) };
        let expected = (from..to).map(|index| records.get(index));
        self.next = expected.map(|record| (record.partition, record.offset)).collect();
        to
    }

    fn apply(&mut self, record: &Record<'_>, out: &mut Outbox) -> Outcome {
        if self.next.pop_front() != Some((record.partition, record.offset)) {
            self.unexpected += 1;
        }
        let value = std::str::from_utf8(record.value.unwrap_or_default()).unwrap_or_default();
        if self.needs_table && value.starts_with("word:") && !self.words.contains(&value.as_bytes()[5..]) {
            return Outcome::Blocked(Blocked {
                reason: format!("{value} is not known"),
                advice: "write it to the table".to_owned(),
            });
        }
        let mut shard = self.staged.remove(&record.partition).unwrap_or_default();
        shard.clock_ms = shard.clock_ms.max(record.timestamp_ms);
        let mut outcome = Outcome::Applied;
        while let Some((deadline_ms, key)) = shard.next_deadline()
            && deadline_ms <= shard.clock_ms
        {
            if out.is_full() {
                outcome = Outcome::More;
                break;
            }
            let text = format!("{}!{deadline_ms}", String::from_utf8_lossy(&key));
            self.output(&key, &text, out);
            shard.counts.entry(key.clone()).or_default().deadline_ms = None;
            shard.touched.insert(key);
        }
        if outcome == Outcome::Applied
            && self.needs_table
            && let Some(word) = value.strip_prefix("late:")
            && !self.words.contains(word.as_bytes())
        {
            // Deadlines have fired already: both are in the stage.
            self.staged.insert(record.partition, shard);
            return Outcome::Blocked(Blocked {
                reason: format!("{value} is not known"),
                advice: "write it to the table".to_owned(),
            });
        }
        if outcome == Outcome::Applied
            && let Some(key) = record.key
        {
            let count = shard.counts.entry(key.to_vec()).or_default();
            count.count += 1;
            if let Some(deadline) = value.strip_prefix("until:") {
                count.deadline_ms = deadline.parse().ok();
            }
            let text = format!("{}={}", String::from_utf8_lossy(key), count.count);
            shard.touched.insert(key.to_vec());
            self.output(key, &text, out);
        }
        self.staged.insert(record.partition, shard);
        outcome
    }

    fn committed(&mut self) {
        for shard in self.staged.values_mut() {
            shard.touched.clear();
        }
        self.committed.clone_from(&self.staged);
    }

    fn aborted(&mut self) {
        self.staged.clone_from(&self.committed);
    }

    fn table_record(&mut self, _topic: &str, key: &[u8], _value: Option<&[u8]>) {
        self.words.insert(key.to_vec());
    }

    fn newest_state_format(&self) -> u16 {
        1
    }

    fn assigned(&mut self, partition: i32) {
        self.staged.insert(partition, Shard::default());
    }

    fn restore(&mut self, partition: i32, key: &[u8], value: Option<&[u8]>) -> Result<(), Blocked> {
        let count = value.and_then(Count::decode).ok_or_else(|| Blocked {
            reason: "a count does not decode".to_owned(),
            advice: "reset".to_owned(),
        })?;
        let shard = self.staged.get_mut(&partition).expect("a partition is assigned before it is restored");
        shard.counts.insert(key.to_vec(), count);
        Ok(())
    }

    fn restored(&mut self, partition: i32, meta: Option<&[u8]>) -> Result<(), Blocked> {
        let shard = self.staged.get_mut(&partition).expect("a partition is assigned before it is restored");
        if let Some(meta) = meta {
            shard.clock_ms = i64::from_le_bytes(meta.try_into().expect("meta is the clock"));
            self.restored_with_meta += 1;
        }
        self.committed.insert(partition, shard.clone());
        Ok(())
    }

    fn clock(&self, partition: i32) -> Option<i64> {
        Some(self.committed.get(&partition)?.clock_ms).filter(|clock_ms| *clock_ms > 0)
    }

    fn revoked(&mut self, partition: i32) {
        assert_eq!(self.staged.remove(&partition), self.committed.remove(&partition), "nothing is staged");
    }

    fn seal(&mut self, partition: i32, changelog: &mut Changelog<'_>, meta: &mut Vec<u8>) {
        let Some(shard) = self.staged.get(&partition) else { return };
        for key in &shard.touched {
            changelog.put(key, &shard.counts[key].encode());
        }
        meta.extend(shard.clock_ms.to_le_bytes());
    }

    fn next_deadline(&self, partition: i32) -> Option<i64> {
        Some(self.committed.get(&partition)?.next_deadline()?.0)
    }

    fn tick(&mut self, partition: i32, _at_ms: i64, out: &mut Outbox) {
        out.push(&OutRecord {
            topic: &self.topics.input,
            to: To::Partition(partition),
            key: None,
            value: Some(b"tick"),
            headers: Headers::EMPTY,
            timestamp_ms: None,
        });
    }
}

/// Input records: keys `k0`…, counted up per key in the order of `keys`.
pub fn feed(topics: &Topics, keys: &[u8], timestamp_ms: i64) -> Outbox {
    let mut out = Outbox::default();
    for key in keys {
        push(&mut out, &topics.input, &format!("k{key}"), "", timestamp_ms);
    }
    out
}

pub fn push(out: &mut Outbox, topic: &str, key: &str, value: &str, timestamp_ms: i64) {
    out.push(&OutRecord {
        topic,
        to: To::Key,
        key: Some(key.as_bytes()),
        value: Some(value.as_bytes()),
        headers: Headers::EMPTY,
        timestamp_ms: Some(timestamp_ms),
    });
}

/// What [`Counter`] writes for `keys`, each counted once, sorted.
pub fn expected(keys: &[u8]) -> Vec<String> {
    let mut counts = BTreeMap::new();
    let mut outputs: Vec<String> = Vec::new();
    for key in keys {
        let count = counts.entry(key).or_insert(0);
        *count += 1;
        outputs.push(format!("k{key}={count}"));
    }
    outputs.sort();
    outputs
}
