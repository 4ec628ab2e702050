//! What a worker knows about one of its partitions.

use crate::operator::Blocked;
use crate::record::{RecordBatch, TopicPartition};
use crate::worker::meta::PartitionMeta;

/// One partition of this worker.
#[derive(Debug)]
pub(crate) struct Partition {
    pub(crate) at: TopicPartition,
    pub(crate) phase: Phase,
    /// Offset of the next record to apply, staged.
    pub(crate) position: i64,
    /// The same after the last committed transaction.
    pub(crate) committed_position: i64,
    /// Whether the open transaction has to carry this partition's offset.
    pub(crate) touched: bool,
    /// Whether its first start is not committed yet; the transaction stays open until it is.
    pub(crate) unpinned: bool,
    /// Why records are not applied for now.
    pub(crate) hold: Option<Hold>,
    /// Records read but not applied because of the hold; at most one batch.
    pub(crate) held: RecordBatch,
    /// Wall clock when it was assigned, Unix milliseconds.
    pub(crate) assigned_ms: i64,
    /// Wall clock of the last record applied and of the last tick written, Unix milliseconds.
    pub(crate) last_record_ms: i64,
    pub(crate) last_tick_ms: i64,
}

/// Where a partition stands between assignment and work.
#[derive(Debug)]
pub(crate) enum Phase {
    /// The committed offset is not known yet.
    Locating,
    /// The changelog may still hold undecided transactions before `target`. `late`: it has for too long.
    Settling { committed: Option<i64>, low: i64, target: i64, late: Option<Blocked> },
    /// The changelog is being read.
    Reading { committed: Option<i64>, low: i64, target: i64, reached: i64, meta: Option<PartitionMeta> },
    /// Everything has been read; state and offset are still to be compared.
    Complete { committed: Option<i64>, meta: Option<PartitionMeta> },
    /// State and offset agree; the partition is to be started here.
    Agreed { start: Option<i64> },
    /// Records are being applied.
    Running,
    /// Restoring failed; nothing is done until the partition is given away or the process restarted.
    Stopped(Blocked),
}

/// Why a running partition is not applied.
#[derive(Debug)]
pub(crate) enum Hold {
    /// The operator said so; released by the next table record.
    Blocked(Blocked),
    /// The record lies in the future; released when the wall clock reaches this, Unix milliseconds.
    Future { until_ms: i64, reason: Blocked },
}

impl Partition {
    pub(crate) fn new(at: TopicPartition, now_ms: i64) -> Partition {
        Partition {
            at,
            phase: Phase::Locating,
            position: 0,
            committed_position: 0,
            touched: false,
            unpinned: false,
            hold: None,
            held: RecordBatch::new(),
            assigned_ms: now_ms,
            last_record_ms: now_ms,
            last_tick_ms: i64::MIN / 2,
        }
    }

    pub(crate) fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running)
    }

    /// Changelog records still to be read, as far as known.
    pub(crate) fn remaining(&self) -> i64 {
        match &self.phase {
            Phase::Settling { low, target, .. } => target - low,
            Phase::Reading { reached, target, .. } => (target - reached).max(0),
            _ => 0,
        }
    }

    /// Why it does not go on, if so.
    pub(crate) fn trouble(&self) -> Option<&Blocked> {
        match (&self.phase, &self.hold) {
            (Phase::Stopped(blocked) | Phase::Settling { late: Some(blocked), .. }, _) => Some(blocked),
            (_, Some(Hold::Blocked(blocked) | Hold::Future { reason: blocked, .. })) => Some(blocked),
            _ => None,
        }
    }
}
