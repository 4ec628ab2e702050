//! Ending a transaction: seal, produce, offsets, commit, and what follows from each way that can go.

use tracing::{debug, warn};

use super::decide::{Action, decide};
use super::meta::{META_KEY, PartitionMeta};
use super::{Aborts, Worker, WorkerError};
use crate::log::{Call, ErrorClass, Log, LogError};
use crate::metrics as names;
use crate::operator::Operator;
use crate::outbox::Changelog;
use crate::record::TopicPartition;
use std::time::Duration;

/// A call is repeated for at most this long, and at most this often. Below the broker's transaction timeout
/// (10 s), after which repeating cannot help.
const REPEAT_LIMIT_MS: i64 = 8_000;
const REPEAT_LIMIT: u32 = 100;
const REPEAT_PAUSE: Duration = Duration::from_millis(50);
/// After offsets and a commit slower than this the client may have sent a request twice, and the first one may still be
/// under way: the producer is replaced, so that it is refused when it comes.
const SLOW_COMMIT_MS: i64 = 2_000;
/// More new producers than this within the window, and the worker ends. Those that merely fence what an ended
/// transaction may have left under way are not counted: they are no sign that anything is wrong with the producer.
const RECREATION_LIMIT: usize = 5;
const RECREATION_WINDOW_MS: i64 = 10 * 60_000;

/// More aborted transactions than this in a row, and the worker ends: a minute at the least, at one per pause.
const ABORT_LIMIT: u32 = 1_200;

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Committed,
    Aborted,
}

impl<L: Log, O: Operator> Worker<L, O> {
    /// Ends the open transaction. If it was not committed, the stage is dropped and the batch will be applied
    /// again.
    pub(super) fn commit(&mut self, now_ms: i64) -> Result<(), WorkerError> {
        self.transactions += 1;
        let marker = format!("{}:{}", self.config.id, self.transactions);
        let offsets = self.seal(&marker);
        let began_ms = self.log.now_ms();
        let (end, commit_ms) = match self.send(&offsets, &marker) {
            Ok(commit_ms) => (End::Committed, commit_ms),
            // Committed after all only with a new producer, which has nothing to repeat.
            Err(error) => (self.recover(error, &offsets, &marker, now_ms)?, 0),
        };
        let took_ms = self.log.now_ms() - began_ms;
        self.last_commit_ms = took_ms;
        metrics::histogram!(names::COMMIT_SECONDS, "service" => self.config.service.clone())
            .record(took_ms as f64 / 1_000.0);
        let result = if end == End::Committed { "committed" } else { "aborted" };
        metrics::counter!(names::TRANSACTIONS_TOTAL, "service" => self.config.service.clone(), "result" => result)
            .increment(1);
        match end {
            End::Committed => {
                self.aborts = Aborts::default();
                self.merge();
            }
            End::Aborted => {
                self.aborts.in_a_row += 1;
                self.rerun();
            }
        }
        if end == End::Committed && (commit_ms > SLOW_COMMIT_MS || self.log.commit_was_unsteady()) {
            warn!(
                service = self.config.service,
                took_ms, commit_ms, "slow or unsteady commit: replacing the producer"
            );
            let error = LogError {
                class: ErrorClass::Unknown,
                call: Call::Commit,
                place: None,
                message: format!("a commit took {commit_ms} ms"),
            };
            self.replace_producer(error, now_ms)?;
        }
        Ok(())
    }

    /// Drops the stage; everything since the last commit will be applied again.
    pub(super) fn rerun(&mut self) {
        self.operator.aborted();
        for partition in &mut self.partitions {
            partition.position = partition.committed_position;
            partition.touched = partition.unpinned;
        }
        self.next = self.start;
        let opened_ms = self.opened_ms;
        self.close();
        if self.partitions.iter().any(|partition| partition.unpinned) {
            self.opened_ms = opened_ms;
        }
    }

    /// The stage has become the state.
    fn merge(&mut self) {
        self.operator.committed();
        for partition in &mut self.partitions {
            partition.committed_position = partition.position;
            partition.touched = false;
            partition.unpinned = false;
        }
        self.start = self.next;
        if self.start == self.batch.len() {
            self.batch.clear();
            self.start = 0;
            self.next = 0;
        }
        self.close();
        let service = &self.config.service;
        self.operator.outcomes(&mut |outcome, count| {
            metrics::counter!(names::RECORDS_TOTAL, "service" => service.clone(), "outcome" => outcome)
                .increment(count);
        });
    }

    fn close(&mut self) {
        self.out.clear();
        self.opened_ms = None;
        self.full = false;
    }

    /// Adds changelog and meta records of every touched partition to the outbox; answers their offsets.
    fn seal(&mut self, marker: &str) -> Vec<(TopicPartition, i64)> {
        let mut offsets = Vec::new();
        for partition in self.partitions.iter().filter(|partition| partition.touched) {
            offsets.push((partition.at.clone(), partition.position));
            let Some(topic) = &self.wiring.changelog else { continue };
            let number = partition.at.partition;
            let mut changelog = Changelog::new(&mut self.out, topic, number);
            let mut meta = PartitionMeta {
                next_offset: partition.position,
                state_format: self.operator.state_format(number),
                application: self.config.application.clone(),
                marker: marker.to_owned(),
                operator: Vec::new(),
            };
            self.operator.seal(number, &mut changelog, &mut meta.operator);
            changelog.put(META_KEY, &meta.encode());
        }
        offsets
    }

    /// The calls of a transaction, each repeated while that can help. Answers how long offsets and commit took, in
    /// milliseconds: sending a large batch to a busy broker may take long and says nothing about them.
    fn send(&mut self, offsets: &[(TopicPartition, i64)], marker: &str) -> Result<i64, LogError> {
        self.repeat(|worker| worker.log.begin())?;
        self.repeat(|worker| worker.log.produce(&worker.out))?;
        self.repeat(|worker| worker.log.drain())?;
        let began_ms = self.log.now_ms();
        self.repeat(|worker| worker.log.send_offsets(offsets, marker))?;
        self.repeat(|worker| worker.log.commit())?;
        Ok(self.log.now_ms() - began_ms)
    }

    fn repeat(&mut self, call: impl Fn(&mut Self) -> Result<(), LogError>) -> Result<(), LogError> {
        let deadline_ms = self.log.now_ms() + REPEAT_LIMIT_MS;
        let mut times = 0;
        loop {
            let Err(error) = call(self) else { return Ok(()) };
            times += 1;
            let out_of_time = times >= REPEAT_LIMIT || self.log.now_ms() >= deadline_ms;
            if out_of_time || decide(error.call, error.class, false) != Action::Repeat {
                return Err(error);
            }
            debug!(service = self.config.service, "repeating: {error}");
            self.log.wait(REPEAT_PAUSE);
        }
    }

    /// Carries out the decision about an error that repeating did not cure.
    fn recover(
        &mut self,
        error: LogError,
        offsets: &[(TopicPartition, i64)],
        marker: &str,
        now_ms: i64,
    ) -> Result<End, WorkerError> {
        warn!(service = self.config.service, class = ?error.class, "transaction failed: {error}");
        self.aborts.reason = error.to_string();
        match decide(error.call, error.class, true) {
            Action::Exit => Err(self.give_up(error)),
            _ if self.aborts.in_a_row >= ABORT_LIMIT => {
                let service = self.config.service.clone();
                Err(WorkerError::Stuck { service, count: self.aborts.in_a_row, error })
            }
            Action::AbortAndRerun | Action::Repeat => match self.repeat(|worker| worker.log.abort()) {
                Ok(()) => {
                    // Offsets, or an end, of this transaction may still be under way. The brokers would take them for the
                    // next one's: a producer's transactions all have its epoch.
                    self.replace_producer(error, now_ms)?;
                    // Whatever made it fail, the group's next word perhaps, needs a moment.
                    self.log.wait(REPEAT_PAUSE);
                    Ok(End::Aborted)
                }
                Err(error) if error.class == ErrorClass::Fenced => Err(self.give_up(error)),
                Err(error) => self.resolve(error, offsets, marker, now_ms),
            },
            Action::Resolve => self.resolve(error, offsets, marker, now_ms),
        }
    }

    /// Replaces the producer, then finds out what became of the transaction: its marker is in the committed
    /// offset of each of its partitions, or it did not happen. (No earlier transaction's offsets can be in their place:
    /// each that may have left a request under way was followed by a new producer.) Partitions that have gone
    /// meanwhile are dropped by the group events that follow, whatever the answer.
    fn resolve(
        &mut self,
        error: LogError,
        offsets: &[(TopicPartition, i64)],
        marker: &str,
        now_ms: i64,
    ) -> Result<End, WorkerError> {
        self.new_producer(error, now_ms)?;
        let places: Vec<TopicPartition> = offsets.iter().map(|(at, _)| at.clone()).collect();
        let deadline_ms = self.log.now_ms() + REPEAT_LIMIT_MS;
        let mut times = 0;
        let committed = loop {
            times += 1;
            match self.log.committed(&places) {
                Ok(committed) => break committed,
                Err(error)
                    if error.class == ErrorClass::Retriable
                        && times < REPEAT_LIMIT
                        && self.log.now_ms() < deadline_ms =>
                {
                    self.log.wait(REPEAT_PAUSE);
                }
                Err(error) => return Err(self.give_up(error)),
            }
        };
        let found = committed.iter().flatten().any(|offset| offset.marker == marker);
        Ok(if found { End::Committed } else { End::Aborted })
    }

    /// A new producer after a failure; ends the worker when that happens too often.
    fn new_producer(&mut self, reason: LogError, now_ms: i64) -> Result<(), WorkerError> {
        let reason = self.count_recreation(reason, now_ms)?;
        self.replace_producer(reason, now_ms)
    }

    /// A new producer with the same transactional id; each further try is counted.
    fn replace_producer(&mut self, reason: LogError, now_ms: i64) -> Result<(), WorkerError> {
        debug!(service = self.config.service, "replacing the producer: {reason}");
        loop {
            match self.repeat(|worker| worker.log.recreate()) {
                Ok(()) => return Ok(()),
                Err(error) if error.class == ErrorClass::Fenced => return Err(self.give_up(error)),
                Err(error) => _ = self.count_recreation(error, now_ms)?,
            }
        }
    }

    /// Gives the reason back, or ends the worker with it.
    fn count_recreation(&mut self, reason: LogError, now_ms: i64) -> Result<LogError, WorkerError> {
        while self.recreations_ms.front().is_some_and(|at_ms| now_ms - at_ms > RECREATION_WINDOW_MS) {
            self.recreations_ms.pop_front();
        }
        if self.recreations_ms.len() >= RECREATION_LIMIT {
            let service = self.config.service.clone();
            return Err(WorkerError::Unstable { service, count: RECREATION_LIMIT, error: reason });
        }
        self.recreations_ms.push_back(now_ms);
        Ok(reason)
    }
}
