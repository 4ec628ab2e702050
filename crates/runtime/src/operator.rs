//! The seam to a service: what it does with a record, a deadline, an assignment.
//!
//! An operator is pure bookkeeping: it never reads a clock, never talks to Kafka, never blocks. The worker
//! calls it from one thread and guarantees this order:
//!
//! ```text
//! table_record*                                  side tables, before anything else and whenever they change
//! assigned(p)  restore(p, key, value)*  restored(p, meta)      only operators with a changelog
//! ( apply*  tick*  seal(p)*  then  committed() or aborted() )*
//! revoked(p)
//! ```
//!
//! Everything that `apply` and `tick` touch is staged: until `committed()` the operator must be able to
//! return to exactly the state it had after the last `committed()`, and `aborted()` makes it do so. After
//! `aborted()` the worker applies the same records again.

use crate::outbox::{Changelog, Outbox};
use crate::record::{Record, RecordBatch};

/// The topics of an operator, full names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wiring {
    /// Topics whose partitions are shared among the group. An operator with a changelog has exactly one.
    pub inputs: Vec<String>,
    /// Compacted topics that every worker reads from the beginning before it works, and then follows; given
    /// to [`Operator::table_record`].
    pub tables: Vec<String>,
    /// Topics that the operator writes, the changelog not among them.
    pub outputs: Vec<String>,
    /// The compacted topic that keeps the operator's state, with the input's partition numbers; `None` for
    /// an operator without state.
    pub changelog: Option<String>,
    /// Whether record timestamps are the operator's clock. Such an operator has deadlines and gets ticks, and
    /// a record more than a minute ahead of the wall clock is held back instead of applied early.
    pub clocked: bool,
}

/// What became of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// Dealt with entirely: scored, filtered, dead-lettered; its offset may be committed.
    Applied,
    /// Deadlines before this record were cut at the outbox's limit. The worker commits what there is without
    /// advancing the offset and applies the same record again.
    More,
    /// This partition cannot go on. The record stays unread (nothing of it may be staged), other partitions
    /// go on, and the record is applied again after the next table record.
    Blocked(Blocked),
}

/// Why a partition cannot go on, and what a person can do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}; {advice}")]
pub struct Blocked {
    /// What is wrong, with the values; lowercase, no full stop, no personal data.
    pub reason: String,
    /// What to do, as an imperative: a command where there is one.
    pub advice: String,
}

/// A service, as the worker drives it. See the module for the order of calls.
///
/// Partition numbers in the state methods are those of the operator's single input topic.
pub trait Operator {
    /// The topics. Constant for the life of the operator.
    fn wiring(&self) -> Wiring;

    /// Says that `apply` will most likely be given the records from index `from` on next, and asks for the index of the
    /// first one to say so of again, which is larger. For an operator that fetches from memory together what several
    /// records need; whatever `apply` does must not depend on it.
    fn expect(&mut self, records: &RecordBatch, from: usize) -> usize {
        let _ = from;
        records.len()
    }

    /// Applies one record; outputs go to `out`. No input may make it panic or fail: what cannot be used is
    /// answered with a dead letter or a counted filter, both of which are [`Outcome::Applied`].
    fn apply(&mut self, record: &Record<'_>, out: &mut Outbox) -> Outcome;

    /// Everything since the last `committed()` is durable: the stage becomes the state.
    fn committed(&mut self) {}

    /// Nothing since the last `committed()` happened: the stage is dropped, without exception.
    fn aborted(&mut self) {}

    /// A record of a side table: the newest value of `key`, `None` if it was deleted. Not staged: tables are
    /// outside transactions, and the same record may come again.
    fn table_record(&mut self, topic: &str, key: &[u8], value: Option<&[u8]>) {
        let _ = (topic, key, value);
    }

    /// Reports, after `committed()`, how many records had which outcome since the last report, for the
    /// metric `ripen_records_total`; outcomes are few and constant. Called once per transaction.
    fn outcomes(&mut self, report: &mut dyn FnMut(&'static str, u64)) {
        let _ = report;
    }

    /// The newest version of the changelog's layout that this operator reads. A changelog with a higher one blocks
    /// the partition.
    fn newest_state_format(&self) -> u16 {
        0
    }

    /// The version that it writes into the changelog of this partition now.
    fn state_format(&self, partition: i32) -> u16 {
        let _ = partition;
        self.newest_state_format()
    }

    /// A partition arrives; its state will be restored.
    fn assigned(&mut self, partition: i32) {
        let _ = partition;
    }

    /// One changelog record of an arriving partition, in log order: the newest value of a key so far, or its
    /// deletion.
    ///
    /// # Errors
    /// A record that cannot be used stops the partition with this reason; nothing is skipped.
    fn restore(&mut self, partition: i32, key: &[u8], value: Option<&[u8]>) -> Result<(), Blocked> {
        let _ = (partition, key, value);
        Ok(())
    }

    /// The changelog has been read to its end. `meta` are the bytes that `seal` wrote last; `None` if the
    /// partition has no history.
    ///
    /// # Errors
    /// State that cannot be used stops the partition with this reason.
    fn restored(&mut self, partition: i32, meta: Option<&[u8]>) -> Result<(), Blocked> {
        let _ = (partition, meta);
        Ok(())
    }

    /// The largest timestamp among the records that a partition's committed state contains, Unix milliseconds;
    /// `None` if it is not here or contains none. A topic that holds later records before the state's next
    /// offset is not the one that the state came from.
    fn clock(&self, partition: i32) -> Option<i64> {
        let _ = partition;
        None
    }

    /// A partition has gone: its state is dropped. Nothing is staged for it at this moment.
    fn revoked(&mut self, partition: i32) {
        let _ = partition;
    }

    /// Ends a transaction for a partition that it touched: every changed key goes to `changelog` once, and
    /// the operator's own small per-partition state (its clock, for one) is appended to `meta`, which is
    /// handed back at [`Operator::restored`].
    fn seal(&mut self, partition: i32, changelog: &mut Changelog<'_>, meta: &mut Vec<u8>) {
        let _ = (partition, changelog, meta);
    }

    /// The earliest committed deadline of a partition, Unix milliseconds. When the wall clock passes it, the
    /// worker asks for a tick.
    fn next_deadline(&self, partition: i32) -> Option<i64> {
        let _ = partition;
        None
    }

    /// Writes a tick for a partition to `out`: a record into the operator's own input, explicit partition,
    /// whose timestamp moves the clock of whoever owns the partition. A duplicate must be harmless. `at_ms` is
    /// the wall clock.
    fn tick(&mut self, partition: i32, at_ms: i64, out: &mut Outbox) {
        let _ = (partition, at_ms, out);
    }
}
