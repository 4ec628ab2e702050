//! A member of a group on a log in memory.

use std::time::Duration;

use super::group::Standing;
use super::partition::Partition;
use super::transaction::{EndRequest, OffsetsRequest};
use super::{MemoryLog, State};
use crate::log::{Call, CommittedOffset, ErrorClass, GroupEvent, Log, LogError, PollLimits};
use crate::outbox::Outbox;
use crate::record::{RecordBatch, TopicPartition};

/// Consumer, producer and reader over a [`MemoryLog`]. Dropping it is leaving the group, without commit; a transaction
/// that is open stays so until the next producer with its id.
#[derive(Debug)]
pub struct MemoryClient {
    log: MemoryLog,
    group: String,
    instance: String,
    member_epoch: u64,
    transactional_id: String,
    producer_epoch: u64,
    /// Partitions being read, with their next offset.
    started: Vec<(TopicPartition, i64)>,
    /// Where the next poll begins, so that no partition starves.
    turn: usize,
    open: bool,
    vanishes: bool,
    reads: Vec<Read>,
}

#[derive(Debug)]
struct Read {
    at: TopicPartition,
    next: i64,
    ended: bool,
}

impl MemoryClient {
    pub(super) fn join(
        log: MemoryLog,
        group: &str,
        instance: &str,
        transactional_id: &str,
        inputs: &[String],
    ) -> MemoryClient {
        let mut state = log.lock();
        let mut all = Vec::new();
        for input in inputs {
            let Some(topic) = state.topics.get_mut(input.as_str()) else { continue };
            for (number, partition) in topic.partitions.iter_mut().enumerate() {
                partition.register(group);
                all.push(TopicPartition::new(input.as_str(), number as i32));
            }
        }
        let member_epoch = state.groups.entry(group.to_owned()).or_default().join(instance, all.into_iter());
        let producer_epoch = state.next_producer(transactional_id);
        drop(state);
        MemoryClient {
            log,
            group: group.to_owned(),
            instance: instance.to_owned(),
            member_epoch,
            transactional_id: transactional_id.to_owned(),
            producer_epoch,
            started: Vec::new(),
            turn: 0,
            open: false,
            vanishes: false,
            reads: Vec::new(),
        }
    }

    /// From now on dropping it says nothing to anybody, as when a process is killed: its partitions are its own until
    /// [`MemoryLog::remove_member`] or a successor with its instance id.
    pub fn vanish(&mut self) {
        self.vanishes = true;
    }

    /// The request that ends the open transaction, to be sent by other ways than [`Log::commit`] and [`Log::abort`].
    pub fn end_request(&self, commit: bool) -> EndRequest {
        let (transactional_id, producer_epoch) = (self.transactional_id.clone(), self.producer_epoch);
        EndRequest { transactional_id, producer_epoch, commit }
    }

    /// The request that [`Log::send_offsets`] would send, to be sent later.
    pub fn offsets_request(&self, offsets: &[(TopicPartition, i64)], marker: &str) -> OffsetsRequest {
        OffsetsRequest {
            transactional_id: self.transactional_id.clone(),
            producer_epoch: self.producer_epoch,
            group: self.group.clone(),
            instance: self.instance.clone(),
            member_epoch: self.member_epoch,
            offsets: offsets.to_vec(),
            marker: marker.to_owned(),
        }
    }

    /// [`Log::send_offsets`] as from a producer that says nothing of its group, which brokers accept whoever owns the
    /// partitions.
    ///
    /// # Errors
    /// As [`Log::send_offsets`], the group aside.
    pub fn send_offsets_of_nobody(
        &mut self,
        offsets: &[(TopicPartition, i64)],
        marker: &str,
    ) -> Result<(), LogError> {
        self.check_open(Call::SendOffsets)?;
        let mut state = self.log.lock();
        self.check_producer(&state, Call::SendOffsets)?;
        for (at, offset) in offsets {
            let offset = CommittedOffset { offset: *offset, marker: marker.to_owned() };
            state.add_offset(&self.transactional_id, &self.group, at, offset);
        }
        Ok(())
    }

    /// Forgets the group's committed offsets of all partitions, as a broker does after the group's retention.
    pub fn expire_offsets(&mut self) {
        let mut state = self.log.lock();
        for topic in state.topics.values_mut() {
            for partition in &mut topic.partitions {
                partition.expire(&self.group);
            }
        }
    }

    fn standing(&self, state: &State) -> Standing {
        let group = state.groups.get(&self.group);
        group.map_or(Standing::Replaced, |group| group.standing(&self.instance, self.member_epoch))
    }

    fn check_not_replaced(&self, state: &State, call: Call) -> Result<(), LogError> {
        if self.standing(state) != Standing::Replaced {
            return Ok(());
        }
        Err(failed(ErrorClass::Fenced, call, format!("instance {} has been replaced", self.instance)))
    }

    fn check_producer(&self, state: &State, call: Call) -> Result<(), LogError> {
        if state.is_current(&self.transactional_id, self.producer_epoch) {
            return Ok(());
        }
        Err(failed(ErrorClass::Fatal, call, format!("producer {} has been fenced", self.transactional_id)))
    }

    fn check_open(&self, call: Call) -> Result<(), LogError> {
        if self.open {
            return Ok(());
        }
        Err(failed(ErrorClass::Fatal, call, "no transaction is open".to_owned()))
    }

    fn end(&mut self, call: Call, commit: bool) -> Result<(), LogError> {
        let mut state = self.log.lock();
        self.check_producer(&state, call)?;
        state.end(&self.end_request(commit));
        drop(state);
        self.open = false;
        Ok(())
    }
}

impl Drop for MemoryClient {
    fn drop(&mut self) {
        if self.vanishes {
            return;
        }
        if let Some(group) = self.log.lock().groups.get_mut(&self.group) {
            group.leave(&self.instance, self.member_epoch);
        }
    }
}

impl State {
    fn bounds(&self, at: &TopicPartition) -> Result<(i64, i64), LogError> {
        let partition = self.partition(at).ok_or_else(|| LogError {
            class: ErrorClass::Fatal,
            call: Call::Watermarks,
            place: Some(at.clone()),
            message: "no such partition".to_owned(),
        })?;
        Ok((partition.low(), partition.end()))
    }
}

impl Log for MemoryClient {
    fn poll(
        &mut self,
        batch: &mut RecordBatch,
        limits: PollLimits,
        held: &[TopicPartition],
    ) -> Result<(), LogError> {
        let mut state = self.log.lock();
        self.check_not_replaced(&state, Call::Poll)?;
        if let Some(group) = state.groups.get_mut(&self.group) {
            group.poll(&self.instance);
        }
        let (first_len, first_bytes) = (batch.len(), batch.bytes());
        let count = self.started.len();
        for offset in 0..count {
            let index = (self.turn + offset) % count;
            let (at, next) = &mut self.started[index];
            let records = limits.records.saturating_sub(batch.len() - first_len);
            let bytes = limits.bytes.saturating_sub(batch.bytes() - first_bytes);
            if records == 0 || bytes == 0 {
                self.turn = index;
                return Ok(());
            }
            if held.contains(at) {
                continue;
            }
            if let Some(partition) = state.partition(at) {
                *next = partition.read(*next, PollLimits { records, bytes }, batch);
            }
        }
        Ok(())
    }

    fn next_event(&mut self) -> Option<GroupEvent> {
        let mut state = self.log.lock();
        let event = state.groups.get_mut(&self.group)?.next_event(&self.instance, self.member_epoch);
        drop(state);
        if let Some(GroupEvent::Assigned(list)) = &event {
            self.started.retain(|(at, _)| !list.contains(at));
        }
        event
    }

    fn start(&mut self, partition: &TopicPartition, offset: i64) -> Result<(), LogError> {
        let state = self.log.lock();
        let owned = state.groups.get(&self.group).is_some_and(|group| group.owns(&self.instance, partition));
        drop(state);
        if !owned {
            return Err(failed(ErrorClass::Retriable, Call::Assign, format!("{partition} is not assigned")));
        }
        self.started.retain(|(at, _)| at != partition);
        self.started.push((partition.clone(), offset));
        Ok(())
    }

    fn release(&mut self, partitions: &[TopicPartition]) -> Result<(), LogError> {
        self.started.retain(|(at, _)| !partitions.contains(at));
        if let Some(group) = self.log.lock().groups.get_mut(&self.group) {
            group.release(&self.instance, self.member_epoch, partitions);
        }
        Ok(())
    }

    fn wait(&mut self, _timeout: Duration) {}

    fn begin(&mut self) -> Result<(), LogError> {
        let state = self.log.lock();
        self.check_producer(&state, Call::Begin)?;
        if state.is_undecided(&self.transactional_id) {
            let message = format!("a transaction of {} is open", self.transactional_id);
            return Err(failed(ErrorClass::Fatal, Call::Begin, message));
        }
        drop(state);
        self.open = true;
        Ok(())
    }

    fn produce(&mut self, out: &Outbox) -> Result<(), LogError> {
        self.check_open(Call::Produce)?;
        let mut state = self.log.lock();
        self.check_producer(&state, Call::Produce)?;
        for record in out.iter() {
            let Some(partition) = state.place(&record) else {
                let message = format!("topic {} has no partition {:?}", record.topic, record.to);
                return Err(failed(ErrorClass::Fatal, Call::Produce, message));
            };
            state.append_in_transaction(&self.transactional_id, &record, partition);
        }
        Ok(())
    }

    fn drain(&mut self) -> Result<(), LogError> {
        self.check_open(Call::Produce)?;
        self.check_producer(&self.log.lock(), Call::Produce)
    }

    fn send_offsets(&mut self, offsets: &[(TopicPartition, i64)], marker: &str) -> Result<(), LogError> {
        let state = self.log.lock();
        let standing = self.standing(&state);
        self.check_not_replaced(&state, Call::SendOffsets)?;
        drop(state);
        if standing == Standing::Behind {
            let message = format!("group {} has moved on without {}", self.group, self.instance);
            return Err(failed(ErrorClass::Abortable, Call::SendOffsets, message));
        }
        self.send_offsets_of_nobody(offsets, marker)
    }

    fn commit(&mut self) -> Result<(), LogError> {
        self.check_open(Call::Commit)?;
        self.end(Call::Commit, true)
    }

    fn abort(&mut self) -> Result<(), LogError> {
        // What has been committed, answered or not, cannot be aborted.
        self.check_open(Call::Abort)?;
        self.end(Call::Abort, false)
    }

    fn recreate(&mut self) -> Result<(), LogError> {
        self.producer_epoch = self.log.lock().next_producer(&self.transactional_id);
        self.open = false;
        Ok(())
    }

    fn committed(&mut self, partitions: &[TopicPartition]) -> Result<Vec<Option<CommittedOffset>>, LogError> {
        let state = self.log.lock();
        if let Some(at) = partitions.iter().find(|at| state.is_pending(&self.group, at)) {
            let message = format!("a transaction over {at} is not at its end");
            return Err(failed(ErrorClass::Retriable, Call::Committed, message));
        }
        let committed =
            |at| state.partition(at).and_then(|partition| partition.committed(&self.group)).cloned();
        Ok(partitions.iter().map(committed).collect())
    }

    fn watermarks(&mut self, partition: &TopicPartition) -> Result<(i64, i64), LogError> {
        self.log.lock().bounds(partition)
    }

    fn stable_end(&mut self, partition: &TopicPartition) -> Result<i64, LogError> {
        let state = self.log.lock();
        let (_, end) = state.bounds(partition)?;
        Ok(state.partition(partition).map_or(end, Partition::stable_end))
    }

    fn offset_at(&mut self, partition: &TopicPartition, at_ms: i64) -> Result<i64, LogError> {
        let state = self.log.lock();
        state.bounds(partition)?;
        Ok(state.partition(partition).map_or(0, |partition| partition.offset_at(at_ms)))
    }

    fn partition_count(&mut self, topic: &str) -> Result<Option<i32>, LogError> {
        Ok(self.log.lock().topics.get(topic).map(|topic| topic.spec.partitions.max(1)))
    }

    fn read_from(&mut self, partition: &TopicPartition, offset: i64) -> Result<(), LogError> {
        self.read_stop(partition);
        self.reads.push(Read { at: partition.clone(), next: offset, ended: false });
        Ok(())
    }

    fn read_stop(&mut self, partition: &TopicPartition) {
        self.reads.retain(|read| read.at != *partition);
    }

    fn read(
        &mut self,
        batch: &mut RecordBatch,
        limits: PollLimits,
        ended: &mut Vec<TopicPartition>,
    ) -> Result<(), LogError> {
        let state = self.log.lock();
        let first_len = batch.len();
        for read in &mut self.reads {
            let Some(partition) = state.partition(&read.at) else { continue };
            let records = limits.records.saturating_sub(batch.len() - first_len);
            let before = read.next;
            read.next = partition.read(read.next, PollLimits { records, ..limits }, batch);
            let at_end = read.next >= partition.stable_end();
            if at_end && (!read.ended || read.next > before) {
                ended.push(read.at.clone());
            }
            read.ended = at_end;
        }
        Ok(())
    }

    fn assignment_lost(&self) -> bool {
        let state = self.log.lock();
        let group = state.groups.get(&self.group);
        self.standing(&state) == Standing::Replaced || !group.is_some_and(|group| group.has(&self.instance))
    }

    fn now_ms(&self) -> i64 {
        self.log.lock().now_ms
    }
}

fn failed(class: ErrorClass, call: Call, message: String) -> LogError {
    LogError { class, call, place: None, message }
}
