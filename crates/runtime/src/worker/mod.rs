//! The worker: one member of a group, one transactional producer, one operator, as a value with
//! [`Worker::step`].
//!
//! A step serves, in this order: the group (a lost partition must not be worked on), side tables (records
//! may depend on them), restoring partitions, input records, ticks, and the commit of what they did. A step
//! never sleeps; it answers how long the caller may wait. Threads and clocks belong to the shells around it.
//!
//! A transaction exists at the broker only inside the commit: outputs are collected in memory while records
//! are applied, so that an abort before the commit costs no call, and the broker's transaction timeout
//! measures the commit alone.

mod decide;
mod meta;
mod partition;
mod restore;
mod status;
mod transaction;

use std::collections::VecDeque;

use tracing::{info, warn};

pub use self::decide::{Action, decide};
pub use self::meta::{META_KEY, PartitionMeta};
pub use self::status::{Aborts, PartitionState, PartitionStatus, Status};

use self::partition::{Hold, Partition};
use self::restore::{Tables, Turns};
use crate::log::{ErrorClass, GroupEvent, Log, LogError, PollLimits};
use crate::operator::{Blocked, Operator, Outcome, Wiring};
use crate::outbox::{Outbox, OutboxLimits};
use crate::record::{RecordBatch, TopicPartition};

/// A record this far ahead of the wall clock is held back.
const FUTURE_LIMIT_MS: i64 = 60_000;
/// A partition without records gets a tick this often, so that its clock does not stand still.
const IDLE_TICK_MS: i64 = 60_000;
/// A deadline that stays due (the broker's clock may be behind) is asked for again after this.
const DUE_TICK_MS: i64 = 1_000;

/// While every look at the log brings new records, `Auto` collects for at most this long.
const COLLECT_LIMIT_MS: i64 = 100;

/// When a transaction is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitInterval {
    /// As soon as nothing more has arrived: low latency at low load. While records keep arriving, after as long as the
    /// previous commit took: large batches at high load.
    Auto,
    /// This long after its first record, 5–1000 ms, or earlier when a limit is reached.
    FixedMs(u32),
}

/// Where an operator without state begins in a partition that has no committed offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstStart {
    /// At the oldest record.
    Earliest,
    /// After the newest record.
    Latest,
    /// At the first record at or after this time, Unix milliseconds.
    Time(i64),
}

/// Which clock drives deadlines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// The log's, helped by ticks when the wall clock passes a deadline.
    Wall,
    /// The log's alone: no ticks, no record is "in the future". For history and for runs in memory.
    Log,
}

/// Bounds and choices of a worker.
#[derive(Debug, Clone)]
pub struct WorkerConfig {
    /// Name in metrics and logs.
    pub service: String,
    /// Whose state a changelog holds: the name of the consumer group. State of another one is refused.
    pub application: String,
    /// Unique among all workers that ever ran; the first part of transaction markers.
    pub id: String,
    /// Its number among the workers of its service in this process, for metrics: `id` is another at each start and
    /// would leave a series behind each time.
    pub number: usize,
    /// When to commit.
    pub commit: CommitInterval,
    /// Input records per transaction.
    pub inputs: usize,
    /// Bytes of input records per transaction; passed by at most one record.
    pub input_bytes: usize,
    /// Output per transaction, the changelog not counted.
    pub outbox: OutboxLimits,
    /// Which clock drives deadlines.
    pub clock: Clock,
    /// Where to begin without a committed offset (operators with a changelog begin at the oldest record).
    pub first_start: FirstStart,
}

impl WorkerConfig {
    /// Usual bounds: 5,000 inputs, 16 MiB, commit `Auto`, wall clock, first start at the oldest record; the
    /// service is the application.
    pub fn new(service: &str, id: &str) -> WorkerConfig {
        WorkerConfig {
            service: service.to_owned(),
            application: service.to_owned(),
            id: id.to_owned(),
            number: 0,
            commit: CommitInterval::Auto,
            inputs: 5_000,
            input_bytes: 16 << 20,
            outbox: OutboxLimits::default(),
            clock: Clock::Wall,
            first_start: FirstStart::Earliest,
        }
    }
}

/// How long the caller may wait before the next step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Not at all: there is more to do.
    Now,
    /// Until this time, Unix milliseconds, or until something arrives.
    Until(i64),
    /// Until something arrives.
    Idle,
}

/// Why a worker has to end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WorkerError {
    /// Another member or producer has this worker's identity.
    #[error(
        "{service}: replaced by another instance with the same id ({error}); give each instance its own id"
    )]
    Fenced {
        /// The service.
        service: String,
        /// What the log said.
        error: LogError,
    },
    /// The producer had to be replaced too often.
    #[error(
        "{service}: {count} new producers within 10 minutes, last because of: {error}; check the brokers"
    )]
    Unstable {
        /// The service.
        service: String,
        /// How often.
        count: usize,
        /// The last reason.
        error: LogError,
    },
    /// No transaction could be committed for too long.
    #[error("{service}: {count} transactions in a row were aborted, last because of: {error}")]
    Stuck {
        /// The service.
        service: String,
        /// How many.
        count: u32,
        /// The last reason.
        error: LogError,
    },
    /// A call failed that cannot be repeated.
    #[error("{service}: {error}")]
    Log {
        /// The service.
        service: String,
        /// What the log said.
        error: LogError,
    },
    /// A topic is missing or has the wrong number of partitions.
    #[error("{service}: {problem}; `ripen topics apply` makes it")]
    Topics {
        /// The service.
        service: String,
        /// Which topic, and what is wrong.
        problem: String,
    },
}

/// One member of a group at work. See the module.
#[derive(Debug)]
pub struct Worker<L, O> {
    log: L,
    operator: O,
    wiring: Wiring,
    config: WorkerConfig,
    partitions: Vec<Partition>,
    tables: Tables,
    turns: Turns,
    /// Records read; those before `start` are committed, those before `next` applied.
    batch: RecordBatch,
    start: usize,
    next: usize,
    out: Outbox,
    /// Wall clock when the open transaction began to collect.
    opened_ms: Option<i64>,
    /// The open transaction has reached a limit.
    full: bool,
    /// How long the last transaction took from its first call to its end.
    last_commit_ms: i64,
    transactions: u64,
    recreations_ms: VecDeque<i64>,
    aborts: Aborts,
    read: RecordBatch,
    ended: Vec<TopicPartition>,
    holds: Vec<TopicPartition>,
}

impl<L: Log, O: Operator> Worker<L, O> {
    /// Checks the topics and begins to read the side tables. Partitions arrive with the steps.
    ///
    /// # Errors
    /// A topic that is missing or has the wrong number of partitions; a log that cannot be reached.
    pub fn new(mut log: L, operator: O, config: WorkerConfig) -> Result<Worker<L, O>, WorkerError> {
        let wiring = operator.wiring();
        let tables = restore::open(&mut log, &wiring, &config)?;
        let out = Outbox::new(config.outbox);
        Ok(Worker {
            log,
            operator,
            wiring,
            config,
            partitions: Vec::new(),
            tables,
            turns: Turns::default(),
            batch: RecordBatch::new(),
            start: 0,
            next: 0,
            out,
            opened_ms: None,
            full: false,
            last_commit_ms: 0,
            transactions: 0,
            recreations_ms: VecDeque::new(),
            aborts: Aborts::default(),
            read: RecordBatch::new(),
            ended: Vec::new(),
            holds: Vec::new(),
        })
    }

    /// The operator; its committed state may be read between steps.
    pub fn operator(&self) -> &O {
        &self.operator
    }

    /// The log.
    pub fn log_mut(&mut self) -> &mut L {
        &mut self.log
    }

    /// Does a bounded amount of work. `now_ms` is the wall clock, Unix milliseconds.
    ///
    /// # Errors
    /// When this worker has to end; what was not committed will be done again by its successor.
    pub fn step(&mut self, now_ms: i64) -> Result<Wait, WorkerError> {
        self.release_holds(now_ms);
        let fresh = self.poll()?;
        let moved = self.serve_group(now_ms)?;
        let tabled = self.read_side()?;
        let restored = self.restore(now_ms)?;
        if moved || tabled || restored {
            self.publish();
        }
        let applied = self.apply(now_ms);
        self.tick(now_ms);
        // An aborted transaction is something to do as well: it is tried again.
        let ended = self.commit_due(fresh, now_ms);
        if ended {
            self.commit(now_ms)?;
        }
        let busy = fresh || moved || tabled || restored || applied || ended || self.next < self.batch.len();
        Ok(if busy { Wait::Now } else { self.idle_until(now_ms) })
    }

    /// Commits what has been applied; to be called once before the worker is dropped in order. Bounded by the
    /// deadlines of the calls.
    ///
    /// # Errors
    /// As [`Worker::step`].
    pub fn finish(&mut self, now_ms: i64) -> Result<(), WorkerError> {
        if self.is_open() {
            self.commit(now_ms)?;
        }
        Ok(())
    }

    /// Reads input, unless there is still some to apply. The group is served in any case.
    fn poll(&mut self) -> Result<bool, WorkerError> {
        let before = self.batch.len();
        let room = self.next == before && !self.full;
        let limits = PollLimits {
            records: if room { self.config.inputs.saturating_sub(before - self.start) } else { 0 },
            bytes: self.config.input_bytes.saturating_sub(self.batch.bytes()),
        };
        self.log.poll(&mut self.batch, limits, &self.holds).map_err(|error| self.give_up(error))?;
        Ok(self.batch.len() > before)
    }

    fn serve_group(&mut self, now_ms: i64) -> Result<bool, WorkerError> {
        let mut any = false;
        while let Some(event) = self.log.next_event() {
            any = true;
            match event {
                GroupEvent::Assigned(partitions) => {
                    info!(service = self.config.service, count = partitions.len(), "partitions assigned");
                    for at in partitions {
                        self.drop_partition(&at);
                        if self.wiring.changelog.is_some() {
                            self.operator.assigned(at.partition);
                        }
                        self.partitions.push(Partition::new(at, now_ms));
                    }
                    self.partitions.sort_by(|a, b| a.at.cmp(&b.at));
                }
                GroupEvent::Revoked(partitions) => {
                    info!(service = self.config.service, count = partitions.len(), "partitions revoked");
                    if self.is_open() {
                        self.commit(now_ms)?;
                    }
                    self.give_back(&partitions)?;
                }
                GroupEvent::Lost(partitions) => {
                    warn!(service = self.config.service, count = partitions.len(), "partitions lost");
                    self.rerun();
                    self.give_back(&partitions)?;
                }
            }
        }
        Ok(any)
    }

    fn give_back(&mut self, partitions: &[TopicPartition]) -> Result<(), WorkerError> {
        for at in partitions {
            self.drop_partition(at);
        }
        self.log.release(partitions).map_err(|error| self.give_up(error))
    }

    fn drop_partition(&mut self, at: &TopicPartition) {
        let Some(index) = self.partitions.iter().position(|partition| partition.at == *at) else { return };
        self.partitions.remove(index);
        self.holds.retain(|held| held != at);
        self.batch.remove_partition(self.start.max(self.next), at);
        if let Some(changelog) = &self.wiring.changelog {
            self.log.read_stop(&TopicPartition::new(changelog.as_str(), at.partition));
            self.operator.revoked(at.partition);
        }
    }

    /// Applies records until the batch is empty or the transaction is full.
    fn apply(&mut self, now_ms: i64) -> bool {
        let first = self.next;
        let mut expected = first;
        let mut cached = 0;
        let mut last_timestamp_ms = None;
        let mut holding = false;
        while self.next < self.batch.len() && !self.full {
            if self.next >= expected {
                expected = self.operator.expect(&self.batch, self.next);
            }
            let record = self.batch.get(self.next);
            let Some(index) = find(&self.partitions, cached, record.topic, record.partition) else {
                self.next += 1;
                continue;
            };
            cached = index;
            let partition = &mut self.partitions[index];
            let outcome = match future(&self.wiring, &self.config, partition, record.timestamp_ms, now_ms) {
                Some(hold) => Err(hold),
                None => match self.operator.apply(&record, &mut self.out) {
                    Outcome::Blocked(blocked) => Err(Hold::Blocked(blocked)),
                    outcome => Ok(outcome),
                },
            };
            match outcome {
                Err(hold) => {
                    if matches!(hold, Hold::Blocked(_)) {
                        // What the operator did before it met the obstacle, deadlines perhaps, is in its stage
                        // and goes with the transaction: so must this partition's changelog.
                        partition.touched = true;
                        self.opened_ms.get_or_insert(now_ms);
                    }
                    hold_back(&mut self.batch, self.next, partition, hold, &self.config.service);
                    if !self.holds.contains(&partition.at) {
                        self.holds.push(partition.at.clone());
                    }
                    holding = true;
                    continue;
                }
                Ok(Outcome::More) => self.full = true,
                Ok(_) => {
                    partition.position = record.offset + 1;
                    partition.last_record_ms = now_ms;
                    last_timestamp_ms = Some(record.timestamp_ms);
                    self.next += 1;
                }
            }
            partition.touched = true;
            self.opened_ms.get_or_insert(now_ms);
            self.full |= self.out.is_full();
        }
        if holding {
            self.publish();
        }
        if let Some(timestamp_ms) = last_timestamp_ms {
            self.record_clock_lag(now_ms - timestamp_ms);
        }
        self.next > first || self.full
    }

    /// Asks for ticks where the wall clock has passed a deadline, or where nothing has happened for a minute.
    fn tick(&mut self, now_ms: i64) {
        if !self.wiring.clocked || self.config.clock == Clock::Log || self.full {
            return;
        }
        for partition in &mut self.partitions {
            if tick_at(partition, &self.operator).is_some_and(|at_ms| at_ms <= now_ms) {
                self.operator.tick(partition.at.partition, now_ms, &mut self.out);
                partition.last_tick_ms = now_ms;
                partition.touched = true;
                self.opened_ms.get_or_insert(now_ms);
            }
        }
    }

    fn idle_until(&self, now_ms: i64) -> Wait {
        let mut until_ms = i64::MAX;
        if let (CommitInterval::FixedMs(interval_ms), Some(opened_ms)) = (self.config.commit, self.opened_ms)
        {
            until_ms = opened_ms + i64::from(interval_ms);
        }
        let ticking = self.wiring.clocked && self.config.clock == Clock::Wall;
        for partition in &self.partitions {
            let at_ms = match &partition.hold {
                Some(Hold::Future { until_ms, .. }) => Some(*until_ms),
                _ if ticking => tick_at(partition, &self.operator),
                _ => None,
            };
            until_ms = until_ms.min(at_ms.unwrap_or(i64::MAX));
            if !partition.is_running() && partition.trouble().is_none() {
                // A restoring partition waits for the log; look again soon.
                until_ms = until_ms.min(now_ms + 5);
            }
        }
        if until_ms == i64::MAX { Wait::Idle } else { Wait::Until(until_ms) }
    }

    fn release_holds(&mut self, now_ms: i64) {
        let tables_changed = std::mem::take(&mut self.tables.changed);
        if self.holds.is_empty() || self.next < self.batch.len() {
            self.tables.changed = tables_changed;
            return;
        }
        let holds = self.holds.len();
        for partition in &mut self.partitions {
            let free = match &partition.hold {
                None => false,
                Some(Hold::Blocked(_)) => tables_changed,
                Some(Hold::Future { until_ms, .. }) => now_ms >= *until_ms,
            };
            if free {
                partition.hold = None;
                self.holds.retain(|held| *held != partition.at);
                self.batch.append(&partition.held);
                partition.held.clear();
            }
        }
        if self.holds.len() < holds {
            self.publish();
        }
    }

    fn is_open(&self) -> bool {
        self.opened_ms.is_some()
    }

    /// Whether the open transaction ends with this step; `fresh`: the step has found new records.
    fn commit_due(&self, fresh: bool, now_ms: i64) -> bool {
        let Some(opened_ms) = self.opened_ms else { return false };
        let open_ms = now_ms - opened_ms;
        let collected = self.next - self.start;
        let full =
            self.full || collected >= self.config.inputs || self.batch.bytes() >= self.config.input_bytes;
        match self.config.commit {
            CommitInterval::Auto => full || !fresh || open_ms >= self.last_commit_ms.min(COLLECT_LIMIT_MS),
            CommitInterval::FixedMs(interval_ms) => full || open_ms >= i64::from(interval_ms),
        }
    }

    fn give_up(&self, error: LogError) -> WorkerError {
        let service = self.config.service.clone();
        match error.class {
            ErrorClass::Fenced => WorkerError::Fenced { service, error },
            _ => WorkerError::Log { service, error },
        }
    }
}

fn find(partitions: &[Partition], cached: usize, topic: &str, partition: i32) -> Option<usize> {
    let is = |p: &Partition| p.at.partition == partition && *p.at.topic == *topic;
    if partitions.get(cached).is_some_and(is) { Some(cached) } else { partitions.iter().position(is) }
}

/// The hold for a record that lies in the future, if it does.
fn future(
    wiring: &Wiring,
    config: &WorkerConfig,
    partition: &Partition,
    timestamp_ms: i64,
    now_ms: i64,
) -> Option<Hold> {
    let ahead_ms = timestamp_ms - now_ms;
    if !wiring.clocked || config.clock == Clock::Log || ahead_ms <= FUTURE_LIMIT_MS {
        return None;
    }
    let reason = Blocked {
        reason: format!("a record of {} is {ahead_ms} ms ahead of this host's clock", partition.at),
        advice: "set the clocks of this host and of the brokers".to_owned(),
    };
    Some(Hold::Future { until_ms: timestamp_ms - FUTURE_LIMIT_MS, reason })
}

fn hold_back(batch: &mut RecordBatch, from: usize, partition: &mut Partition, hold: Hold, service: &str) {
    let (Hold::Blocked(blocked) | Hold::Future { reason: blocked, .. }) = &hold;
    warn!(service, at = %partition.at, offset = partition.position, "held: {blocked}");
    // Before those held already: an earlier record comes here again when its transaction was aborted.
    let later = std::mem::take(&mut partition.held);
    batch.move_partition(from, &partition.at, &mut partition.held);
    partition.held.append(&later);
    partition.hold = Some(hold);
}

/// When this partition wants its next tick.
fn tick_at(partition: &Partition, operator: &impl Operator) -> Option<i64> {
    if !partition.is_running() || partition.hold.is_some() {
        return None;
    }
    let idle_ms = partition.last_record_ms.max(partition.last_tick_ms) + IDLE_TICK_MS;
    let due_ms = operator.next_deadline(partition.at.partition).unwrap_or(i64::MAX);
    Some(idle_ms.min(due_ms.max(partition.last_tick_ms + DUE_TICK_MS)))
}

/// A worker of any operator, to be driven together with others.
pub trait Step {
    /// See [`Worker::step`].
    ///
    /// # Errors
    /// See [`Worker::step`].
    fn step(&mut self, now_ms: i64) -> Result<Wait, WorkerError>;
}

impl<L: Log, O: Operator> Step for Worker<L, O> {
    fn step(&mut self, now_ms: i64) -> Result<Wait, WorkerError> {
        Worker::step(self, now_ms)
    }
}

/// Steps the workers in turn until none has anything left to do. For logs in memory, where nothing arrives by
/// itself.
///
/// # Errors
/// The first worker that has to end.
pub fn run_until_idle(workers: &mut [&mut dyn Step], now_ms: i64) -> Result<(), WorkerError> {
    loop {
        let mut busy = false;
        for worker in workers.iter_mut() {
            busy |= worker.step(now_ms)? == Wait::Now;
        }
        if !busy {
            return Ok(());
        }
    }
}
