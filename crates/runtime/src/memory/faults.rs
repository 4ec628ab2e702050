//! A log whose calls fail on demand, for tests and simulation.

use std::fmt;
use std::time::Duration;

use crate::log::{Call, CommittedOffset, ErrorClass, GroupEvent, Log, LogError, PollLimits};
use crate::outbox::Outbox;
use crate::record::{RecordBatch, TopicPartition};

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// What the caller is told.
    pub class: ErrorClass,
    /// Whether the call does its work all the same.
    pub takes_effect: bool,
}

/// A log around another one. The plan is asked before each call that can change something: by the number of
/// such calls so far and the call; its answer makes the call fail.
pub struct FaultyLog<L, P> {
    inner: L,
    plan: P,
    calls: u64,
    polled: u64,
}

impl<L: fmt::Debug, P> fmt::Debug for FaultyLog<L, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyLog")
            .field("inner", &self.inner)
            .field("calls", &self.calls)
            .finish_non_exhaustive()
    }
}

impl<L: Log, P: FnMut(u64, Call) -> Option<Fault>> FaultyLog<L, P> {
    /// Wraps `inner`.
    pub fn new(inner: L, plan: P) -> FaultyLog<L, P> {
        FaultyLog { inner, plan, calls: 0, polled: 0 }
    }

    /// Calls so far that could have failed.
    pub fn calls(&self) -> u64 {
        self.calls
    }

    /// Records polled so far.
    pub fn polled(&self) -> u64 {
        self.polled
    }

    fn guard<T>(
        &mut self,
        call: Call,
        run: impl FnOnce(&mut L) -> Result<T, LogError>,
    ) -> Result<T, LogError> {
        let fault = (self.plan)(self.calls, call);
        self.calls += 1;
        let Some(Fault { class, takes_effect }) = fault else { return run(&mut self.inner) };
        if takes_effect {
            run(&mut self.inner)?;
        }
        Err(LogError { class, call, place: None, message: "a planned fault".to_owned() })
    }
}

impl<L: Log, P: FnMut(u64, Call) -> Option<Fault>> Log for FaultyLog<L, P> {
    fn poll(
        &mut self,
        batch: &mut RecordBatch,
        limits: PollLimits,
        held: &[TopicPartition],
    ) -> Result<(), LogError> {
        let before = batch.len();
        let polled = self.inner.poll(batch, limits, held);
        self.polled += (batch.len() - before) as u64;
        polled
    }

    fn next_event(&mut self) -> Option<GroupEvent> {
        self.inner.next_event()
    }

    fn start(&mut self, partition: &TopicPartition, offset: i64) -> Result<(), LogError> {
        self.inner.start(partition, offset)
    }

    fn release(&mut self, partitions: &[TopicPartition]) -> Result<(), LogError> {
        self.inner.release(partitions)
    }

    fn wait(&mut self, timeout: Duration) {
        self.inner.wait(timeout);
    }

    fn begin(&mut self) -> Result<(), LogError> {
        self.guard(Call::Begin, L::begin)
    }

    fn produce(&mut self, out: &Outbox) -> Result<(), LogError> {
        self.guard(Call::Produce, |inner| inner.produce(out))
    }

    fn drain(&mut self) -> Result<(), LogError> {
        self.guard(Call::Produce, L::drain)
    }

    fn send_offsets(&mut self, offsets: &[(TopicPartition, i64)], marker: &str) -> Result<(), LogError> {
        self.guard(Call::SendOffsets, |inner| inner.send_offsets(offsets, marker))
    }

    fn commit(&mut self) -> Result<(), LogError> {
        self.guard(Call::Commit, L::commit)
    }

    fn abort(&mut self) -> Result<(), LogError> {
        self.guard(Call::Abort, L::abort)
    }

    fn recreate(&mut self) -> Result<(), LogError> {
        self.guard(Call::Recreate, L::recreate)
    }

    fn committed(&mut self, partitions: &[TopicPartition]) -> Result<Vec<Option<CommittedOffset>>, LogError> {
        self.guard(Call::Committed, |inner| inner.committed(partitions))
    }

    fn watermarks(&mut self, partition: &TopicPartition) -> Result<(i64, i64), LogError> {
        self.inner.watermarks(partition)
    }

    fn stable_end(&mut self, partition: &TopicPartition) -> Result<i64, LogError> {
        self.inner.stable_end(partition)
    }

    fn offset_at(&mut self, partition: &TopicPartition, at_ms: i64) -> Result<i64, LogError> {
        self.inner.offset_at(partition, at_ms)
    }

    fn partition_count(&mut self, topic: &str) -> Result<Option<i32>, LogError> {
        self.inner.partition_count(topic)
    }

    fn read_from(&mut self, partition: &TopicPartition, offset: i64) -> Result<(), LogError> {
        self.inner.read_from(partition, offset)
    }

    fn read_stop(&mut self, partition: &TopicPartition) {
        self.inner.read_stop(partition);
    }

    fn read(
        &mut self,
        batch: &mut RecordBatch,
        limits: PollLimits,
        ended: &mut Vec<TopicPartition>,
    ) -> Result<(), LogError> {
        self.inner.read(batch, limits, ended)
    }

    fn assignment_lost(&self) -> bool {
        self.inner.assignment_lost()
    }

    fn commit_was_unsteady(&mut self) -> bool {
        self.inner.commit_was_unsteady()
    }

    fn now_ms(&self) -> i64 {
        self.inner.now_ms()
    }
}
