//! What the coordinator of a log in memory knows of producers: epochs, open transactions, decided ones whose marks
//! are still to be written.
//!
//! A transaction is decided at one instant, and seen partition by partition: each learns of it by a mark of its own,
//! and so do the committed offsets. Usually the marks follow at once; a log with
//! [`MemoryLog::hold_marks`](super::MemoryLog::hold_marks) writes them one by one.

use super::State;
use super::group::Standing;
use crate::log::CommittedOffset;
use crate::outbox::OutRecord;
use crate::record::TopicPartition;

/// A request to end a transaction, as it travels from a client to the coordinator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndRequest {
    /// Whose.
    pub transactional_id: String,
    /// The epoch of the producer that sends it; an older one than the coordinator's is refused.
    pub producer_epoch: u64,
    /// To commit, or to abort.
    pub commit: bool,
}

/// A request to put offsets into a transaction, as it travels from a client to the group's coordinator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetsRequest {
    /// Whose.
    pub transactional_id: String,
    /// As in [`EndRequest`].
    pub producer_epoch: u64,
    pub(super) group: String,
    pub(super) instance: String,
    pub(super) member_epoch: u64,
    pub(super) offsets: Vec<(TopicPartition, i64)>,
    pub(super) marker: String,
}

/// A transactional id.
#[derive(Debug)]
pub(super) struct Producer {
    /// Distinguishes it in the partitions.
    number: u64,
    pub(super) epoch: u64,
    transaction: Option<Transaction>,
}

#[derive(Debug)]
struct Transaction {
    began_ms: i64,
    /// `Some` once it is decided.
    committed: Option<bool>,
    /// Partitions written to that have no mark yet.
    places: Vec<TopicPartition>,
    /// Offsets that have no mark yet.
    offsets: Vec<PendingOffset>,
}

#[derive(Debug)]
struct PendingOffset {
    group: String,
    at: TopicPartition,
    offset: CommittedOffset,
}

impl State {
    /// A new producer with this id; ends what the former one left. Answers its epoch.
    pub(super) fn next_producer(&mut self, transactional_id: &str) -> u64 {
        let number = self.producers.len() as u64;
        let new = || Producer { number, epoch: 0, transaction: None };
        let producer = self.producers.entry(transactional_id.to_owned()).or_insert_with(new);
        producer.epoch += 1;
        let epoch = producer.epoch;
        self.decide(transactional_id, false);
        self.write_marks(transactional_id);
        epoch
    }

    pub(super) fn is_current(&self, transactional_id: &str, epoch: u64) -> bool {
        self.producers.get(transactional_id).is_some_and(|producer| producer.epoch == epoch)
    }

    /// The transaction that a producer's next record or offset belongs to. The one before is brought to its end first,
    /// as a coordinator does.
    fn transaction(&mut self, transactional_id: &str) -> Option<(u64, &mut Transaction)> {
        let now_ms = self.now_ms;
        let before = self.producers.get(transactional_id)?.transaction.as_ref();
        if before.is_some_and(|before| before.committed.is_some()) {
            self.write_marks(transactional_id);
        }
        let producer = self.producers.get_mut(transactional_id)?;
        let new =
            || Transaction { began_ms: now_ms, committed: None, places: Vec::new(), offsets: Vec::new() };
        Some((producer.number, producer.transaction.get_or_insert_with(new)))
    }

    /// Whether a transaction of this id is undecided.
    pub(super) fn is_undecided(&self, transactional_id: &str) -> bool {
        let open = self.producers.get(transactional_id).and_then(|producer| producer.transaction.as_ref());
        open.is_some_and(|transaction| transaction.committed.is_none())
    }

    pub(super) fn append_in_transaction(
        &mut self,
        transactional_id: &str,
        record: &OutRecord<'_>,
        partition: i32,
    ) {
        let Some((number, transaction)) = self.transaction(transactional_id) else { return };
        let is_known = |at: &TopicPartition| at.partition == partition && *at.topic == *record.topic;
        // Runs of records for one partition are common: the last one first.
        if !transaction.places.iter().rev().any(is_known) {
            transaction.places.push(TopicPartition::new(record.topic, partition));
        }
        self.append(record, partition, Some(number));
    }

    pub(super) fn add_offset(
        &mut self,
        transactional_id: &str,
        group: &str,
        at: &TopicPartition,
        offset: CommittedOffset,
    ) {
        let Some((_, transaction)) = self.transaction(transactional_id) else { return };
        transaction.offsets.retain(|pending| pending.at != *at || pending.group != group);
        transaction.offsets.push(PendingOffset { group: group.to_owned(), at: at.clone(), offset });
    }

    /// Adds offsets that come late. As at a broker, which knows no transaction of a request but only its producer's epoch,
    /// they count for whichever transaction of that producer has offsets of this group and is undecided.
    pub(super) fn add_late_offsets(&mut self, request: &OffsetsRequest) -> bool {
        let OffsetsRequest { transactional_id, producer_epoch, group, .. } = request;
        let member =
            self.groups.get(group).map(|group| group.standing(&request.instance, request.member_epoch));
        let open = self.producers.get(transactional_id).and_then(|producer| producer.transaction.as_ref());
        let is_open = open.is_some_and(|transaction| {
            transaction.committed.is_none()
                && transaction.offsets.iter().any(|pending| pending.group == *group)
        });
        let counts = is_open
            && self.is_current(transactional_id, *producer_epoch)
            && member.is_some_and(|standing| standing == Standing::Current);
        if counts {
            for (at, offset) in &request.offsets {
                let offset = CommittedOffset { offset: *offset, marker: request.marker.clone() };
                self.add_offset(transactional_id, group, at, offset);
            }
        }
        counts
    }

    /// Whether a transaction that is not at its end holds an offset of this partition.
    pub(super) fn is_pending(&self, group: &str, at: &TopicPartition) -> bool {
        let transactions = self.producers.values().filter_map(|producer| producer.transaction.as_ref());
        let mut offsets = transactions.flat_map(|transaction| &transaction.offsets);
        offsets.any(|pending| pending.at == *at && pending.group == group)
    }

    /// Ends a transaction as a producer of this epoch asks; answers whether the producer is current.
    pub(super) fn end(&mut self, request: &EndRequest) -> bool {
        let EndRequest { transactional_id, producer_epoch, commit } = request;
        if !self.is_current(transactional_id, *producer_epoch) {
            return false;
        }
        self.decide(transactional_id, *commit);
        if !self.holds_marks {
            self.write_marks(transactional_id);
        }
        true
    }

    /// Decides a transaction that is open; answers whether there was one.
    fn decide(&mut self, transactional_id: &str, commit: bool) -> bool {
        let Some(producer) = self.producers.get_mut(transactional_id) else { return false };
        let Some(transaction) = &mut producer.transaction else { return false };
        if transaction.committed.is_some() {
            return false;
        }
        transaction.committed = Some(commit);
        true
    }

    /// Writes all marks of a decided transaction.
    pub(super) fn write_marks(&mut self, transactional_id: &str) {
        while self.write_mark(transactional_id, 0) {}
    }

    /// Number of marks that decided transactions still miss.
    pub(super) fn missing_marks(&self) -> usize {
        self.producers.values().map(Producer::missing_marks).sum()
    }

    /// Writes one mark of any decided transaction; answers whether there was one.
    pub(super) fn write_any_mark(&mut self, pick: usize) -> bool {
        let waiting = self.producers.iter().filter(|(_, producer)| producer.missing_marks() > 0);
        let waiting: Vec<String> = waiting.map(|(id, _)| id.clone()).collect();
        if waiting.is_empty() {
            return false;
        }
        let id = &waiting[pick % waiting.len()];
        self.write_mark(id, pick / waiting.len());
        true
    }

    /// Writes one mark of a decided transaction; answers whether it misses more of them.
    fn write_mark(&mut self, transactional_id: &str, pick: usize) -> bool {
        let Some(producer) = self.producers.get_mut(transactional_id) else { return false };
        let (number, missing) = (producer.number, producer.missing_marks());
        let Some(transaction) = &mut producer.transaction else { return false };
        let Some(committed) = transaction.committed else { return false };
        let pick = pick % missing.max(1);
        if pick < transaction.places.len() {
            let at = transaction.places.swap_remove(pick);
            self.end_transaction_if_whole(transactional_id);
            if let Some(topic) = self.topics.get_mut(&at.topic)
                && let Some(partition) = topic.partitions.get_mut(at.partition as usize)
            {
                partition.mark(number, committed);
                if topic.spec.compact {
                    partition.compact_if_worthwhile();
                }
            }
        } else {
            let offsets = std::mem::take(&mut transaction.offsets);
            self.end_transaction_if_whole(transactional_id);
            for PendingOffset { group, at, offset } in offsets.into_iter().filter(|_| committed) {
                let compact = self.topics.get(&at.topic).is_some_and(|topic| topic.spec.compact);
                if let Some(partition) = self.partition_mut(&at) {
                    partition.commit(&group, offset.offset, &offset.marker, compact);
                }
            }
        }
        missing > 1
    }

    fn end_transaction_if_whole(&mut self, transactional_id: &str) {
        if let Some(producer) = self.producers.get_mut(transactional_id)
            && producer.missing_marks() == 0
        {
            producer.transaction = None;
        }
    }

    /// Aborts what has been open since before `since_ms` and fences its producers.
    pub(super) fn time_out(&mut self, since_ms: i64) -> usize {
        let is_old =
            |transaction: &Transaction| transaction.committed.is_none() && transaction.began_ms < since_ms;
        let old =
            self.producers.iter().filter(|(_, producer)| producer.transaction.as_ref().is_some_and(is_old));
        let old: Vec<String> = old.map(|(id, _)| id.clone()).collect();
        for id in &old {
            self.next_producer(id);
        }
        old.len()
    }
}

impl Producer {
    /// Partitions without a mark, and one for the offsets.
    fn missing_marks(&self) -> usize {
        match &self.transaction {
            Some(Transaction { committed: Some(_), places, offsets, .. }) => {
                places.len() + usize::from(!offsets.is_empty())
            }
            _ => 0,
        }
    }
}
