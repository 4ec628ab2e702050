//! The member of the consumer group: assignment, start offsets, partition queues.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rdkafka::client::Client;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerGroupMetadata};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};
use tracing::{debug, warn};

use super::client::{Bell, MemberContext, Quiet, Rebalance};
use super::errors::{Passing, classify, fatal_class};
use super::lookout::Lookout;
use super::native::{self, PartitionQueue, Took};
use super::{KafkaConfig, MemberConfig, REQUEST_TIMEOUT, created, watermarks};
use crate::log::{Call, CommittedOffset, ErrorClass, GroupEvent, LogError, PollLimits};
use crate::record::{RecordBatch, TopicPartition};

/// For how long a member stays away that has left the group and let go of its partitions: until the client has told
/// the group. One that subscribes before does not leave.
const AWAY: Duration = Duration::from_secs(1);

pub(super) struct Member {
    consumer: Arc<BaseConsumer<MemberContext>>,
    bell: Arc<Bell>,
    config: KafkaConfig,
    identity: MemberConfig,
    /// From the first assignment on.
    lookout: Option<Lookout>,
    /// Has left the group, or let go of its partitions thereupon.
    away_since: Option<Instant>,
    owned: Vec<Owned>,
    /// The name under which the group gave what is owned.
    given_to: Option<String>,
    /// What is owned was given under a name that the group has forgotten since: others may have had it meanwhile.
    /// librdkafka says so where a heartbeat tells it, but not where the answer to its joining again does; the member
    /// then has a new name, under which the brokers take offsets for whatever it owned before.
    is_stale: bool,
    /// Where the next poll begins, so that no partition starves.
    turn: usize,
    /// Why an assignment could not be carried out, to be told at the next poll.
    refused: Option<LogError>,
    passing: Passing,
}

/// An assigned partition with its queue.
struct Owned {
    queue: PartitionQueue<MemberContext>,
    /// Offset it was assigned with.
    assigned_at: i64,
    started: bool,
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member").field("owned", &self.owned.len()).finish_non_exhaustive()
    }
}

impl Member {
    pub(super) fn join(
        config: &KafkaConfig,
        identity: &MemberConfig,
        bell: &Arc<Bell>,
    ) -> Result<Self, LogError> {
        let mut client = config.client(&[
            ("heartbeat.interval.ms", "3000"),
            // The default of 1 s stalls a small queue for that long.
            ("fetch.queue.backoff.ms", "10"),
            ("fetch.error.backoff.ms", "100"),
            // Per partition.
            ("queued.max.messages.kbytes", "4096"),
        ]);
        client
            .set("session.timeout.ms", config.session_timeout().as_millis().to_string())
            .set("group.id", &identity.group)
            .set("group.instance.id", &identity.instance)
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("isolation.level", "read_committed")
            .set("check.crcs", "true");
        let mut consumer: BaseConsumer<MemberContext> =
            created(client.create_with_context(MemberContext::default()))?;
        let ringing = Arc::clone(bell);
        consumer.set_nonempty_callback(move || ringing.ring());
        let member = Member {
            consumer: Arc::new(consumer),
            bell: Arc::clone(bell),
            config: config.clone(),
            identity: identity.clone(),
            lookout: None,
            away_since: None,
            owned: Vec::new(),
            given_to: None,
            is_stale: false,
            turn: 0,
            refused: None,
            passing: Passing::default(),
        };
        if !identity.inputs.is_empty() {
            member.subscribe()?;
        }
        Ok(member)
    }

    pub(super) fn client(&self) -> &Client<MemberContext> {
        self.consumer.client()
    }

    fn subscribe(&self) -> Result<(), LogError> {
        let inputs: Vec<&str> = self.identity.inputs.iter().map(String::as_str).collect();
        self.consumer.subscribe(&inputs).map_err(|error| classify(Call::Assign, &error))
    }

    /// Leaves the group if it has given partitions to nobody, or if what it has left this member may be another's by now;
    /// comes back once the member has let go of its own.
    fn leave_and_return(&mut self) -> Result<(), LogError> {
        let has_reason = self.is_stale || self.lookout.as_ref().is_some_and(Lookout::has_found);
        if has_reason && self.away_since.is_none() {
            self.away_since = Some(Instant::now());
            self.consumer.unsubscribe();
        }
        if self.owned.is_empty() && self.away_since.is_some_and(|since| since.elapsed() >= AWAY) {
            self.subscribe()?;
            self.away_since = None;
        }
        Ok(())
    }

    pub(super) fn poll(
        &mut self,
        batch: &mut RecordBatch,
        limits: PollLimits,
        held: &[TopicPartition],
    ) -> Result<(), LogError> {
        if let Some(error) = self.refused.take() {
            return Err(error);
        }
        self.serve()?;
        self.leave_and_return()?;
        let (first_len, first_bytes) = (batch.len(), batch.bytes());
        let count = self.owned.len();
        for step in 0..count {
            let index = (self.turn + step) % count;
            if !self.owned[index].started || held.contains(self.owned[index].queue.at()) {
                continue;
            }
            let before = batch.len();
            loop {
                let left = limits.left(batch.len() - first_len, batch.bytes() - first_bytes);
                match self.owned[index].queue.take(batch, left) {
                    Ok(Took::Everything) => break,
                    Ok(Took::UpToLimit) => {
                        // One that has had its share goes to the end of the row, whatever it still has.
                        self.turn = if batch.len() > before { index + 1 } else { index };
                        return Ok(());
                    }
                    Err(error) => {
                        let error = self.failed(Call::Poll, &error).at(self.owned[index].queue.at());
                        let message = format!("{} ({})", error.message, self.consumer.context().reason());
                        self.passing.pass(LogError { message, ..error })?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Serves group, errors and log lines.
    fn serve(&mut self) -> Result<(), LogError> {
        while let Some(event) = self.consumer.poll(Duration::ZERO) {
            match event {
                Ok(_) => {
                    return Err(LogError {
                        class: ErrorClass::Fatal,
                        call: Call::Poll,
                        place: None,
                        message: "a record arrived outside its partition's queue; restart".to_owned(),
                    });
                }
                Err(KafkaError::PartitionEOF(_)) => {}
                Err(error) => {
                    let error = self.failed(Call::Poll, &error);
                    self.passing.pass(error)?;
                }
            }
        }
        Ok(())
    }

    /// The next change. New partitions are assigned to the client at once, which ends the rebalance, at their
    /// committed offset or else the oldest record; nothing is read before `start`.
    pub(super) fn next_event(&mut self, uncommitted: &BaseConsumer<Quiet>) -> Option<GroupEvent> {
        loop {
            let change = self.consumer.context().next()?;
            self.look_at_name();
            match change {
                Rebalance::Assign(partitions) => {
                    if let Err(error) = self.assign(&partitions, uncommitted) {
                        warn!("assignment will be tried again: {error}");
                        self.consumer.context().put_back(Rebalance::Assign(partitions));
                        self.refused = (error.class != ErrorClass::Retriable).then_some(error);
                        return None;
                    }
                    if !partitions.is_empty() {
                        return Some(GroupEvent::Assigned(partitions));
                    }
                }
                Rebalance::Revoke { partitions, lost } => {
                    let event = if lost || self.assignment_lost() {
                        GroupEvent::Lost(partitions)
                    } else {
                        GroupEvent::Revoked(partitions)
                    };
                    return Some(event);
                }
            }
        }
    }

    /// To be called before an answer to the group, which holds the name until then.
    fn look_at_name(&mut self) {
        let name = native::member_id(self.consumer.client());
        if self.owned.is_empty() {
            self.given_to = name;
            self.is_stale = false;
        } else if self.given_to != name {
            self.is_stale = true;
        }
    }

    fn assign(
        &mut self,
        partitions: &[TopicPartition],
        uncommitted: &BaseConsumer<Quiet>,
    ) -> Result<(), LogError> {
        let committed = self.committed(partitions)?;
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        let mut owned = Vec::with_capacity(partitions.len());
        for (at, committed) in partitions.iter().zip(committed) {
            let assigned_at = match committed {
                Some(committed) => committed.offset,
                None => watermarks(uncommitted, at)?.0,
            };
            let added = list.add_partition_offset(&at.topic, at.partition, Offset::Offset(assigned_at));
            added.map_err(|error| classify(Call::Assign, &error).at(at))?;
            // Before the assignment: a queue that is split off by the application stays so.
            let ringing = Arc::clone(&self.bell);
            let headers = !self.identity.headerless.iter().any(|topic| **topic == *at.topic);
            let queue = PartitionQueue::split(&self.consumer, at, headers, move || ringing.ring());
            let queue = queue.ok_or_else(|| not_assigned(at))?;
            owned.push(Owned { queue, assigned_at, started: false });
        }
        self.consumer.incremental_assign(&list).map_err(|error| self.failed(Call::Assign, &error))?;
        self.owned.retain(|known| !partitions.contains(known.queue.at()));
        self.owned.extend(owned);
        if self.lookout.is_none() {
            self.lookout = Some(Lookout::post(&self.config, &self.identity)?);
        }
        Ok(())
    }

    pub(super) fn start(&mut self, at: &TopicPartition, offset: i64) -> Result<(), LogError> {
        let owned =
            self.owned.iter_mut().find(|owned| owned.queue.at() == at).ok_or_else(|| not_assigned(at))?;
        if offset != owned.assigned_at {
            debug!(%at, offset, from = owned.assigned_at, "seeking");
            let sought = self.consumer.seek(&at.topic, at.partition, Offset::Offset(offset), REQUEST_TIMEOUT);
            // A broker that is gone for a moment is asked again: nothing is read before this has worked.
            sought.map_err(|error| {
                let error = classify(Call::Assign, &error).at(at);
                warn!("{error}");
                error
            })?;
        }
        owned.started = true;
        self.bell.ring();
        Ok(())
    }

    pub(super) fn release(&mut self, partitions: &[TopicPartition]) -> Result<(), LogError> {
        let mut list = TopicPartitionList::new();
        for at in partitions {
            if self.owned.iter().any(|owned| owned.queue.at() == at) {
                list.add_partition(&at.topic, at.partition);
            }
        }
        self.owned.retain(|owned| !partitions.contains(owned.queue.at()));
        self.is_stale &= !self.owned.is_empty();
        self.turn = 0;
        self.away_since = self.away_since.map(|_| Instant::now());
        self.consumer.incremental_unassign(&list).map_err(|error| self.failed(Call::Assign, &error))
    }

    pub(super) fn committed(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<Vec<Option<CommittedOffset>>, LogError> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for at in partitions {
            list.add_partition(&at.topic, at.partition);
        }
        // Read-committed, so this waits for offsets of transactions that are being finished.
        let found = self.consumer.committed_offsets(list, REQUEST_TIMEOUT);
        let found = found.map_err(|error| self.failed(Call::Committed, &error))?;
        let mut committed = Vec::with_capacity(partitions.len());
        for at in partitions {
            let element = found.find_partition(&at.topic, at.partition);
            let Some(element) = element else { return Err(not_assigned(at)) };
            element.error().map_err(|error| self.failed(Call::Committed, &error).at(at))?;
            committed.push(match element.offset() {
                Offset::Offset(offset) => {
                    Some(CommittedOffset { offset, marker: element.metadata().to_owned() })
                }
                _ => None,
            });
        }
        Ok(committed)
    }

    /// A failed call. Once the client has a fatal error it answers every call with that, not with the reason;
    /// the reason decides what can be done.
    fn failed(&self, call: Call, error: &KafkaError) -> LogError {
        let failed = classify(call, error);
        match self.consumer.client().fatal_error() {
            Some((code, message)) => LogError { class: fatal_class(code), message, ..failed },
            None => failed,
        }
    }

    pub(super) fn group_metadata(&self) -> Result<ConsumerGroupMetadata, LogError> {
        let abortable = |message: &str| LogError {
            class: ErrorClass::Abortable,
            call: Call::SendOffsets,
            place: None,
            message: message.to_owned(),
        };
        let group = self.consumer.group_metadata().ok_or_else(|| abortable("the group is not known yet"))?;
        // Looked at after what is sent, so that it cannot be older: with no generation the brokers take offsets for a
        // group that is empty by now, with a new name for what was given under another.
        let name = native::member_id(self.consumer.client());
        if self.assignment_lost() || name.is_none() || name != self.given_to {
            return Err(abortable("the group has given this member's partitions away"));
        }
        Ok(group)
    }

    pub(super) fn assignment_lost(&self) -> bool {
        self.is_stale || self.consumer.assignment_lost()
    }
}

impl Drop for Member {
    /// Answers a rebalance that is still waiting: closing would wait for the answer for ever. Both answers are
    /// empty, and so harmless where none is waited for. What is assigned stays so: closing then revokes it, waits,
    /// and the callback answers. Were it given back here, the group could end before an answer that nobody waits
    /// for arrives, and librdkafka drops such a call without a reply: its caller would hang. A static member does
    /// not leave the group: a restart within the session timeout keeps its partitions.
    fn drop(&mut self) {
        self.consumer.context().closing.store(true, Ordering::Relaxed);
        let none = TopicPartitionList::new();
        let assigned = self.consumer.incremental_assign(&none);
        let unassigned = self.consumer.incremental_unassign(&none);
        debug!(?assigned, ?unassigned, "closing");
    }
}

fn not_assigned(at: &TopicPartition) -> LogError {
    LogError {
        class: ErrorClass::Retriable,
        call: Call::Assign,
        place: Some(at.clone()),
        message: "not assigned".to_owned(),
    }
}
