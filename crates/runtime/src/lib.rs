//! The loop every service runs: log, operator, transactions, restore.
//!
//! This crate is the only one that knows Kafka, and it knows no word of what the records mean. Two traits
//! are its seams: [`Log`] (a log at the level of client calls; implemented over Kafka and in memory) and
//! [`Operator`] (what a service does with a record, a deadline, an assignment). A worker
//! joins one of each and turns input records into output records, state and committed offsets, all in one
//! transaction.

pub mod kafka;
pub mod log;
pub mod memory;
pub mod metrics;
pub mod operator;
pub mod outbox;
pub mod record;
pub mod shell;
pub mod worker;

mod arena;

pub use crate::log::{Call, CommittedOffset, ErrorClass, GroupEvent, Log, LogError, PollLimits};
pub use crate::operator::{Blocked, Operator, Outcome, Wiring};
pub use crate::outbox::{Changelog, OutRecord, Outbox, OutboxLimits, To};
pub use crate::record::{Headers, Record, RecordBatch, TimestampType, TopicPartition};
pub use crate::worker::{
    Aborts, Clock, CommitInterval, FirstStart, PartitionState, PartitionStatus, Status, Step, Wait, Worker,
    WorkerConfig, WorkerError, run_until_idle,
};
