//! The log as one process sees it: every call may go wrong as the schedule says, or be the place where the process
//! sleeps while the others go on.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use ripen_runtime::log::PollLimits;
use ripen_runtime::{
    Call, CommittedOffset, ErrorClass, GroupEvent, Log, LogError, Outbox, RecordBatch, TopicPartition,
};

use crate::plant::BentLog;
use crate::schedule::Fault;
use crate::world::{Late, World};

/// What the schedule does to a process from outside.
#[derive(Debug)]
pub(crate) struct Control {
    pub(crate) slot: usize,
    /// Tells processes of one instance apart.
    pub(crate) pid: usize,
    /// It was killed: nothing that it does has any effect.
    pub(crate) killed: Cell<bool>,
    armed: RefCell<Vec<(Call, usize, Fault)>>,
}

impl Control {
    pub(crate) fn new(slot: usize, pid: usize) -> Rc<Control> {
        Rc::new(Control { slot, pid, killed: Cell::new(false), armed: RefCell::default() })
    }

    pub(crate) fn arm(&self, at: Call, skip: usize, fault: Fault) {
        self.armed.borrow_mut().push((at, skip, fault));
    }

    pub(crate) fn disarm(&self) {
        self.armed.borrow_mut().clear();
    }

    /// The fault of this call, if it has one.
    fn take(&self, call: Call) -> Option<Fault> {
        let mut armed = self.armed.borrow_mut();
        let index = armed.iter().position(|(at, ..)| *at == call)?;
        if armed[index].1 > 0 {
            armed[index].1 -= 1;
            return None;
        }
        Some(armed.remove(index).2)
    }
}

/// See the module.
pub(crate) struct ProcessLog {
    inner: BentLog,
    world: Rc<World>,
    control: Rc<Control>,
    /// What the call sends that is being done, if that can come late.
    sending: Option<Late>,
    /// The producer has sent something twice.
    unsteady: bool,
}

impl ProcessLog {
    pub(crate) fn new(inner: BentLog, world: Rc<World>, control: Rc<Control>) -> ProcessLog {
        ProcessLog { inner, world, control, sending: None, unsteady: false }
    }

    /// The process is gone without a word.
    pub(crate) fn vanish(&mut self) {
        self.inner.client().vanish();
    }

    fn killed(call: Call) -> LogError {
        error(call, ErrorClass::Fenced, "the process was killed")
    }

    fn sleep<T>(&mut self, call: Call, acts: usize, answer: T) -> Result<T, LogError> {
        self.world.sleep(&self.control, acts);
        if self.control.killed.get() { Err(Self::killed(call)) } else { Ok(answer) }
    }

    fn guard<T>(
        &mut self,
        call: Call,
        run: impl FnOnce(&mut BentLog) -> Result<T, LogError>,
    ) -> Result<T, LogError> {
        if self.control.killed.get() {
            return Err(Self::killed(call));
        }
        let sending = self.sending.take();
        let Some(fault) = self.control.take(call) else { return run(&mut self.inner) };
        self.world.tell(|| format!("{}: {fault:?} at `{}`", self.control.slot, call.as_str()));
        let planned = |class| error(call, class, "a planned fault");
        match fault {
            Fault::Retriable => Err(planned(ErrorClass::Retriable)),
            Fault::Abortable => Err(planned(ErrorClass::Abortable)),
            Fault::Fatal => Err(planned(ErrorClass::Fatal)),
            Fault::Unanswered => run(&mut self.inner).and(Err(planned(ErrorClass::Unknown))),
            Fault::UnansweredRetriable => run(&mut self.inner).and(Err(planned(ErrorClass::Retriable))),
            Fault::Late | Fault::LateCopy => {
                sending.into_iter().for_each(|request| self.world.send_late(request));
                if fault == Fault::LateCopy {
                    self.unsteady = true;
                    return run(&mut self.inner);
                }
                let is_end = call == Call::Commit;
                Err(planned(if is_end { ErrorClass::Unknown } else { ErrorClass::Abortable }))
            }
            Fault::Kill => {
                self.control.killed.set(true);
                Err(Self::killed(call))
            }
            Fault::KillAfter => {
                let _ = run(&mut self.inner);
                self.control.killed.set(true);
                Err(Self::killed(call))
            }
            Fault::Sleep(acts) => {
                self.sleep(call, acts, ())?;
                run(&mut self.inner)
            }
            Fault::SleepAfter(acts) => {
                let answer = run(&mut self.inner);
                self.sleep(call, acts, answer)?
            }
        }
    }
}

impl Log for ProcessLog {
    fn poll(
        &mut self,
        batch: &mut RecordBatch,
        limits: PollLimits,
        held: &[TopicPartition],
    ) -> Result<(), LogError> {
        self.guard(Call::Poll, |inner| inner.poll(batch, limits, held))
    }

    fn next_event(&mut self) -> Option<GroupEvent> {
        if self.control.killed.get() { None } else { self.inner.next_event() }
    }

    fn start(&mut self, partition: &TopicPartition, offset: i64) -> Result<(), LogError> {
        self.guard(Call::Assign, |inner| inner.start(partition, offset))
    }

    fn release(&mut self, partitions: &[TopicPartition]) -> Result<(), LogError> {
        self.guard(Call::Assign, |inner| inner.release(partitions))
    }

    fn wait(&mut self, timeout: Duration) {
        self.world.pass(timeout.as_millis() as i64);
    }

    fn begin(&mut self) -> Result<(), LogError> {
        self.guard(Call::Begin, BentLog::begin)
    }

    fn produce(&mut self, out: &Outbox) -> Result<(), LogError> {
        self.guard(Call::Produce, |inner| inner.produce(out))
    }

    fn drain(&mut self) -> Result<(), LogError> {
        self.guard(Call::Produce, BentLog::drain)
    }

    fn send_offsets(&mut self, offsets: &[(TopicPartition, i64)], marker: &str) -> Result<(), LogError> {
        self.sending = Some(Late::Offsets(self.inner.client().offsets_request(offsets, marker)));
        self.guard(Call::SendOffsets, |inner| inner.send_offsets(offsets, marker))
    }

    fn commit(&mut self) -> Result<(), LogError> {
        self.sending = Some(Late::End(self.inner.client().end_request(true)));
        let answer = self.guard(Call::Commit, BentLog::commit);
        self.inner.answer_of_commit(answer)
    }

    fn abort(&mut self) -> Result<(), LogError> {
        self.sending = Some(Late::End(self.inner.client().end_request(false)));
        self.guard(Call::Abort, BentLog::abort)
    }

    fn recreate(&mut self) -> Result<(), LogError> {
        self.guard(Call::Recreate, BentLog::recreate)?;
        self.unsteady = false;
        Ok(())
    }

    fn committed(&mut self, partitions: &[TopicPartition]) -> Result<Vec<Option<CommittedOffset>>, LogError> {
        self.guard(Call::Committed, |inner| inner.committed(partitions))
    }

    fn watermarks(&mut self, partition: &TopicPartition) -> Result<(i64, i64), LogError> {
        self.guard(Call::Watermarks, |inner| inner.watermarks(partition))
    }

    fn stable_end(&mut self, partition: &TopicPartition) -> Result<i64, LogError> {
        self.guard(Call::Watermarks, |inner| inner.stable_end(partition))
    }

    fn offset_at(&mut self, partition: &TopicPartition, at_ms: i64) -> Result<i64, LogError> {
        self.guard(Call::Watermarks, |inner| inner.offset_at(partition, at_ms))
    }

    fn partition_count(&mut self, topic: &str) -> Result<Option<i32>, LogError> {
        self.guard(Call::Metadata, |inner| inner.partition_count(topic))
    }

    fn read_from(&mut self, partition: &TopicPartition, offset: i64) -> Result<(), LogError> {
        self.guard(Call::Read, |inner| inner.read_from(partition, offset))
    }

    fn read_stop(&mut self, partition: &TopicPartition) {
        if !self.control.killed.get() {
            self.inner.read_stop(partition);
        }
    }

    fn read(
        &mut self,
        batch: &mut RecordBatch,
        limits: PollLimits,
        ended: &mut Vec<TopicPartition>,
    ) -> Result<(), LogError> {
        self.guard(Call::Read, |inner| inner.read(batch, limits, ended))
    }

    fn assignment_lost(&self) -> bool {
        self.inner.assignment_lost()
    }

    fn commit_was_unsteady(&mut self) -> bool {
        self.unsteady && self.inner.commit_was_unsteady()
    }

    fn now_ms(&self) -> i64 {
        self.world.now_ms()
    }
}

pub(crate) fn error(call: Call, class: ErrorClass, message: &str) -> LogError {
    LogError { class, call, place: None, message: message.to_owned() }
}
