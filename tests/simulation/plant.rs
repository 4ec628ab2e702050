//! Planted bugs: the errors that a service or its log could have, made around the real ones.
//!
//! They show what the simulation can see. Nothing of them is in the program: each is a wrapper around the log or the
//! operator of a process, or something that the world does wrong.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use ripen::operators::{EmitterOperator, IngestOperator, ScorerOperator};
use ripen_records::{ActivityRecord, decode_activity};
use ripen_runtime::log::PollLimits;
use ripen_runtime::memory::{MemoryClient, MemoryLog};
use ripen_runtime::worker::META_KEY;
use ripen_runtime::{
    Blocked, Call, Changelog, CommittedOffset, ErrorClass, GroupEvent, Log, LogError, Operator, Outbox,
    Outcome, Record, RecordBatch, TopicPartition, Wiring,
};
use ripen_scorer::Base;

use crate::inputs;
use crate::log::error;
use crate::world::World;

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    /// The end of a transaction counts, whichever producer asks for it.
    ProducerNotFenced,
    /// The producer of an aborted transaction goes on.
    AbortedGoesOn,
    /// A producer goes on that has sent something twice.
    UnsteadyGoesOn,
    /// Offsets count, whoever sends them.
    MemberNotFenced,
    /// Leads and meta are written whether or not the transaction commits.
    ChangelogOutside,
    /// Decisions are.
    OutputsOutside,
    /// Offsets are committed, and then the rest.
    OffsetsFirst,
    /// Who does not know believes that it was committed.
    UnknownIsCommitted,
    /// Who does not know believes that it was aborted.
    UnknownIsAborted,
    /// What was lost is committed as if it had been asked back, by a member that does not say which one it is. (One that
    /// says so is refused by its group, so that this alone would be seen by nobody.)
    LostIsCommitted,
    /// What was lost is worked on.
    LostIsKept,
    /// A changelog is read although something in it is undecided.
    UndecidedChangelog,
    /// A committed offset is believed although a transaction over it is undecided.
    UndecidedOffset,
    /// An abort makes the stage the state.
    AbortMerges,
    /// An abort leaves the stage as it is.
    AbortKeepsStage,
    /// Restored leads have no deadline.
    DeadlineForgotten,
    /// A restored partition has no clock.
    ClockForgotten,
    /// A restored partition is under the first model.
    SwitchForgotten,
    /// A deletion is not restored.
    DeletionForgotten,
    /// A stub that has itself moved drops what comes for it, or sends it on twice.
    TransferLost,
    TransferDoubled,
    /// A record whose deadlines were cut is taken for applied.
    CutIsApplied,
}

impl Bug {
    pub(crate) const ALL: [Bug; 22] = [
        Bug::ProducerNotFenced,
        Bug::AbortedGoesOn,
        Bug::UnsteadyGoesOn,
        Bug::MemberNotFenced,
        Bug::ChangelogOutside,
        Bug::OutputsOutside,
        Bug::OffsetsFirst,
        Bug::UnknownIsCommitted,
        Bug::UnknownIsAborted,
        Bug::LostIsCommitted,
        Bug::LostIsKept,
        Bug::UndecidedChangelog,
        Bug::UndecidedOffset,
        Bug::AbortMerges,
        Bug::AbortKeepsStage,
        Bug::DeadlineForgotten,
        Bug::ClockForgotten,
        Bug::SwitchForgotten,
        Bug::DeletionForgotten,
        Bug::TransferLost,
        Bug::TransferDoubled,
        Bug::CutIsApplied,
    ];
}

/// A member's log, with a bug or without.
pub(crate) struct BentLog {
    client: MemoryClient,
    log: MemoryLog,
    group: String,
    changelog: String,
    bug: Option<Bug>,
    /// What was produced, to be sent after the offsets.
    later: Outbox,
    /// What was lost is being committed.
    has_lost: bool,
    /// The last call was an abort that succeeded.
    has_aborted: bool,
}

impl BentLog {
    pub(crate) fn new(
        client: MemoryClient,
        log: &MemoryLog,
        group: &str,
        changelog: &str,
        bug: Option<Bug>,
    ) -> BentLog {
        let (group, changelog) = (group.to_owned(), changelog.to_owned());
        let (log, later) = (log.clone(), Outbox::default());
        BentLog { client, log, group, changelog, bug, later, has_lost: false, has_aborted: false }
    }

    pub(crate) fn client(&mut self) -> &mut MemoryClient {
        &mut self.client
    }

    /// What the worker hears of a commit, after everything that the schedule did to it.
    pub(crate) fn answer_of_commit(&mut self, answer: Result<(), LogError>) -> Result<(), LogError> {
        let is_unknown = matches!(&answer, Err(error) if error.class == ErrorClass::Unknown);
        match self.bug {
            Some(Bug::UnknownIsCommitted) if is_unknown => Ok(()),
            Some(Bug::UnknownIsAborted) if is_unknown => {
                self.client.recreate()?;
                Err(error(Call::Commit, ErrorClass::Abortable, "taken for aborted"))
            }
            _ => answer,
        }
    }

    /// Appends at once what is of the changelog (or what is not), produces the rest in the transaction.
    fn produce_apart(&mut self, out: &Outbox, changelog_at_once: bool) -> Result<(), LogError> {
        let (mut at_once, mut within) = (Outbox::default(), Outbox::default());
        for record in out.iter() {
            let is_changelog = *record.topic == *self.changelog;
            if is_changelog == changelog_at_once { at_once.push(&record) } else { within.push(&record) }
        }
        self.log.append(&at_once);
        self.client.produce(&within)
    }
}

impl Log for BentLog {
    fn poll(
        &mut self,
        batch: &mut RecordBatch,
        limits: PollLimits,
        held: &[TopicPartition],
    ) -> Result<(), LogError> {
        self.client.poll(batch, limits, held)
    }

    fn next_event(&mut self) -> Option<GroupEvent> {
        match self.client.next_event() {
            Some(GroupEvent::Lost(list)) if self.bug == Some(Bug::LostIsCommitted) => {
                self.has_lost = true;
                Some(GroupEvent::Revoked(list))
            }
            Some(GroupEvent::Lost(_)) if self.bug == Some(Bug::LostIsKept) => self.next_event(),
            event => event,
        }
    }

    fn start(&mut self, partition: &TopicPartition, offset: i64) -> Result<(), LogError> {
        self.client.start(partition, offset)
    }

    fn release(&mut self, partitions: &[TopicPartition]) -> Result<(), LogError> {
        self.has_lost = false;
        self.client.release(partitions)
    }

    fn wait(&mut self, _timeout: std::time::Duration) {}

    fn begin(&mut self) -> Result<(), LogError> {
        self.has_aborted = false;
        self.client.begin()
    }

    fn produce(&mut self, out: &Outbox) -> Result<(), LogError> {
        match self.bug {
            Some(Bug::ChangelogOutside) => self.produce_apart(out, true),
            Some(Bug::OutputsOutside) => self.produce_apart(out, false),
            Some(Bug::OffsetsFirst) => {
                self.later.clear();
                out.iter().for_each(|record| self.later.push(&record));
                Ok(())
            }
            _ => self.client.produce(out),
        }
    }

    fn drain(&mut self) -> Result<(), LogError> {
        self.client.drain()
    }

    fn send_offsets(&mut self, offsets: &[(TopicPartition, i64)], marker: &str) -> Result<(), LogError> {
        if self.bug == Some(Bug::MemberNotFenced) || self.has_lost {
            return self.client.send_offsets_of_nobody(offsets, marker);
        }
        self.client.send_offsets(offsets, marker)?;
        if self.bug == Some(Bug::OffsetsFirst) {
            self.client.commit()?;
            self.client.begin()?;
            self.client.produce(&self.later)?;
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<(), LogError> {
        self.client.commit()
    }

    fn abort(&mut self) -> Result<(), LogError> {
        if self.bug == Some(Bug::UnknownIsAborted) {
            return self.client.abort().or(Ok(()));
        }
        self.client.abort()?;
        self.has_aborted = true;
        Ok(())
    }

    fn recreate(&mut self) -> Result<(), LogError> {
        if std::mem::take(&mut self.has_aborted) && self.bug == Some(Bug::AbortedGoesOn) {
            return Ok(());
        }
        self.client.recreate()
    }

    fn committed(&mut self, partitions: &[TopicPartition]) -> Result<Vec<Option<CommittedOffset>>, LogError> {
        if self.bug == Some(Bug::UndecidedOffset) {
            return Ok(partitions.iter().map(|at| self.log.committed(&self.group, at)).collect());
        }
        self.client.committed(partitions)
    }

    fn watermarks(&mut self, partition: &TopicPartition) -> Result<(i64, i64), LogError> {
        self.client.watermarks(partition)
    }

    fn stable_end(&mut self, partition: &TopicPartition) -> Result<i64, LogError> {
        if self.bug == Some(Bug::UndecidedChangelog) {
            return Ok(self.client.watermarks(partition)?.1);
        }
        self.client.stable_end(partition)
    }

    fn offset_at(&mut self, partition: &TopicPartition, at_ms: i64) -> Result<i64, LogError> {
        self.client.offset_at(partition, at_ms)
    }

    fn partition_count(&mut self, topic: &str) -> Result<Option<i32>, LogError> {
        self.client.partition_count(topic)
    }

    fn read_from(&mut self, partition: &TopicPartition, offset: i64) -> Result<(), LogError> {
        self.client.read_from(partition, offset)
    }

    fn read_stop(&mut self, partition: &TopicPartition) {
        self.client.read_stop(partition);
    }

    fn read(
        &mut self,
        batch: &mut RecordBatch,
        limits: PollLimits,
        ended: &mut Vec<TopicPartition>,
    ) -> Result<(), LogError> {
        self.client.read(batch, limits, ended)
    }

    fn assignment_lost(&self) -> bool {
        self.client.assignment_lost()
    }

    fn commit_was_unsteady(&mut self) -> bool {
        self.bug != Some(Bug::UnsteadyGoesOn)
    }

    fn now_ms(&self) -> i64 {
        0
    }
}

/// What can be seen of an operator's state from outside, besides its deadlines.
pub(crate) trait Peek {
    /// Of one partition.
    fn peek(&self, _partition: i32) -> (Option<i64>, usize) {
        (None, 0)
    }

    /// Committed leads of one partition.
    fn base(&self, _partition: i32) -> Option<Arc<Base>> {
        None
    }
}

impl Peek for ScorerOperator {
    fn peek(&self, partition: i32) -> (Option<i64>, usize) {
        (self.clock(partition), ScorerOperator::base(self, partition).map_or(0, |base| base.len()))
    }

    fn base(&self, partition: i32) -> Option<Arc<Base>> {
        ScorerOperator::base(self, partition)
    }
}

impl Peek for IngestOperator {}

impl Peek for EmitterOperator {}

/// By partition: the next deadline, and what else can be seen.
type Seen = BTreeMap<i32, (Option<i64>, (Option<i64>, usize))>;

/// An operator with a bug or without, watched: after an abort it is what it was after the last commit.
pub(crate) struct BentOperator<O> {
    inner: O,
    bug: Option<Bug>,
    world: Rc<World>,
    partitions: Vec<i32>,
    seen: Seen,
}

impl<O: Operator + Peek> BentOperator<O> {
    pub(crate) fn new(inner: O, bug: Option<Bug>, world: Rc<World>) -> BentOperator<O> {
        BentOperator { inner, bug, world, partitions: Vec::new(), seen: Seen::new() }
    }

    pub(crate) fn base(&self, partition: i32) -> Option<Arc<Base>> {
        self.inner.base(partition)
    }

    fn look(&self) -> Seen {
        let of = |partition: &i32| {
            (*partition, (self.inner.next_deadline(*partition), self.inner.peek(*partition)))
        };
        self.partitions.iter().map(of).collect()
    }

    /// A partition has come or gone; others may have something staged.
    fn see(&mut self, partition: i32) {
        match self.look().remove(&partition) {
            Some(look) => self.seen.insert(partition, look),
            None => self.seen.remove(&partition),
        };
    }

    /// Applies a record that is a transfer, and drops or doubles what is sent on.
    fn apply_transfer(&mut self, record: &Record<'_>, out: &mut Outbox, copies: usize) -> Outcome {
        let mut own = Outbox::default();
        let outcome = self.inner.apply(record, &mut own);
        for written in own.iter() {
            let is_transfer = written.topic == record.topic && is_transfer(written.value);
            for _ in 0..if is_transfer { copies } else { 1 } {
                out.push(&written);
            }
        }
        outcome
    }
}

impl<O: Operator + Peek> Operator for BentOperator<O> {
    fn wiring(&self) -> Wiring {
        self.inner.wiring()
    }

    fn apply(&mut self, record: &Record<'_>, out: &mut Outbox) -> Outcome {
        let outcome = match self.bug {
            Some(Bug::TransferLost) if is_transfer(record.value) => self.apply_transfer(record, out, 0),
            Some(Bug::TransferDoubled) if is_transfer(record.value) => self.apply_transfer(record, out, 2),
            _ => self.inner.apply(record, out),
        };
        match outcome {
            Outcome::More if self.bug == Some(Bug::CutIsApplied) => Outcome::Applied,
            outcome => outcome,
        }
    }

    fn committed(&mut self) {
        self.inner.committed();
        self.seen = self.look();
    }

    fn aborted(&mut self) {
        match self.bug {
            Some(Bug::AbortMerges) => self.inner.committed(),
            Some(Bug::AbortKeepsStage) => {}
            _ => {
                self.inner.aborted();
                if self.look() != self.seen {
                    let (was, is) = (&self.seen, self.look());
                    self.world.violation(format!("an abort left {is:?}, it was {was:?}"));
                }
            }
        }
    }

    fn table_record(&mut self, topic: &str, key: &[u8], value: Option<&[u8]>) {
        self.inner.table_record(topic, key, value);
    }

    fn outcomes(&mut self, report: &mut dyn FnMut(&'static str, u64)) {
        self.inner.outcomes(report);
    }

    fn newest_state_format(&self) -> u16 {
        self.inner.newest_state_format()
    }

    fn state_format(&self, partition: i32) -> u16 {
        self.inner.state_format(partition)
    }

    fn assigned(&mut self, partition: i32) {
        self.inner.assigned(partition);
        self.partitions.retain(|known| *known != partition);
        self.partitions.push(partition);
        self.see(partition);
    }

    fn restore(&mut self, partition: i32, key: &[u8], value: Option<&[u8]>) -> Result<(), Blocked> {
        let restored = match (self.bug, value) {
            (Some(Bug::DeletionForgotten), None) => Ok(()),
            (Some(Bug::DeadlineForgotten), Some(value)) if key != META_KEY => {
                self.inner.restore(partition, key, Some(&without_deadline(value)))
            }
            _ => self.inner.restore(partition, key, value),
        };
        // What is restored is no part of the stage: an abort meanwhile leaves it.
        self.see(partition);
        restored
    }

    fn restored(&mut self, partition: i32, meta: Option<&[u8]>) -> Result<(), Blocked> {
        let bent = meta.map(|meta| match self.bug {
            Some(Bug::ClockForgotten) => without_clock(meta),
            Some(Bug::SwitchForgotten) => under_model(self.world.setup.first_model(), meta),
            _ => meta.to_vec(),
        });
        let restored = self.inner.restored(partition, bent.as_deref());
        self.see(partition);
        restored
    }

    fn revoked(&mut self, partition: i32) {
        self.inner.revoked(partition);
        self.partitions.retain(|known| *known != partition);
        self.see(partition);
    }

    fn seal(&mut self, partition: i32, changelog: &mut Changelog<'_>, meta: &mut Vec<u8>) {
        self.inner.seal(partition, changelog, meta);
    }

    fn next_deadline(&self, partition: i32) -> Option<i64> {
        self.inner.next_deadline(partition)
    }

    fn tick(&mut self, partition: i32, at_ms: i64, out: &mut Outbox) {
        self.inner.tick(partition, at_ms, out);
    }
}

fn is_transfer(value: Option<&[u8]>) -> bool {
    value.is_some_and(|value| matches!(decode_activity(value), Ok(ActivityRecord::Transfer(_))))
}

/// A lead's deadline are six bytes at 8; the largest number is never.
fn without_deadline(value: &[u8]) -> Vec<u8> {
    let mut bytes = value.to_vec();
    bytes[8..14].copy_from_slice(&[0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]);
    bytes
}

/// The clock are eight bytes at 2.
fn without_clock(meta: &[u8]) -> Vec<u8> {
    let mut bytes = meta.to_vec();
    bytes[2..10].copy_from_slice(&i64::MIN.to_le_bytes());
    bytes
}

/// The hash of the active model is at the end.
fn under_model(which: usize, meta: &[u8]) -> Vec<u8> {
    let mut bytes = meta.to_vec();
    let hash = inputs::model(which).hash.as_bytes();
    if let Some(from) = bytes.len().checked_sub(hash.len()).filter(|from| *from > 18) {
        bytes[from..].copy_from_slice(hash);
    }
    bytes
}
