//! What a worker says about itself, for readiness checks and metrics.

use super::Worker;
use super::partition::Phase;
use crate::log::Log;
use crate::metrics as names;
use crate::operator::{Blocked, Operator};
use crate::record::TopicPartition;

/// A worker's state at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// Whether the side tables have been read to their end.
    pub tables_read: bool,
    /// Transactions tried so far.
    pub transactions: u64,
    /// Those that have failed since the last one that was committed.
    pub aborts: Aborts,
    /// Its partitions.
    pub partitions: Vec<PartitionStatus>,
}

/// Transactions that were aborted one after the other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Aborts {
    /// How many; 0 as soon as one is committed.
    pub in_a_row: u32,
    /// Why the last of them was.
    pub reason: String,
}

impl Status {
    /// Whether everything it owns is running. A worker without partitions is ready: it may be one too many.
    pub fn ready(&self) -> bool {
        self.tables_read && self.partitions.iter().all(|partition| partition.state == PartitionState::Running)
    }
}

/// One partition of a [`Status`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionStatus {
    /// Which one.
    pub at: TopicPartition,
    /// How it is.
    pub state: PartitionState,
}

/// How a partition is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartitionState {
    /// Its state is being read; `remaining` changelog records at most.
    Restoring {
        /// Records to go.
        remaining: i64,
    },
    /// At work.
    Running,
    /// It cannot go on.
    Blocked(Blocked),
}

impl<L: Log, O: Operator> Worker<L, O> {
    /// The worker's state at this moment.
    pub fn status(&self) -> Status {
        let partitions = self.partitions.iter().map(|partition| {
            let state = match (partition.trouble(), &partition.phase) {
                (Some(blocked), _) => PartitionState::Blocked(blocked.clone()),
                (None, Phase::Running) => PartitionState::Running,
                (None, _) => PartitionState::Restoring { remaining: partition.remaining() },
            };
            PartitionStatus { at: partition.at.clone(), state }
        });
        Status {
            tables_read: self.tables.ready(),
            transactions: self.transactions,
            aborts: self.aborts.clone(),
            partitions: partitions.collect(),
        }
    }

    /// Sets the gauges.
    pub(super) fn publish(&self) {
        let labels = [("service", self.config.service.clone()), ("worker", self.config.number.to_string())];
        let running = self.partitions.iter().filter(|partition| partition.is_running()).count();
        let blocked = self.partitions.iter().filter(|partition| partition.trouble().is_some()).count();
        let remaining: i64 = self.partitions.iter().map(super::Partition::remaining).sum();
        metrics::gauge!(names::PARTITIONS_OWNED, &labels).set(running as f64);
        metrics::gauge!(names::PARTITIONS_BLOCKED, &labels).set(blocked as f64);
        metrics::gauge!(names::RESTORE_REMAINING_RECORDS, &labels).set(remaining as f64);
    }

    pub(super) fn record_clock_lag(&self, lag_ms: i64) {
        let labels = [("service", self.config.service.clone()), ("worker", self.config.number.to_string())];
        metrics::gauge!(names::CLOCK_LAG_SECONDS, &labels).set(lag_ms as f64 / 1_000.0);
    }
}
