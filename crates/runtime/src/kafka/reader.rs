//! Reads changelogs and tables, read-committed, outside the group.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::client::Client;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};
use tracing::debug;

use super::client::{Bell, Quiet};
use super::errors::{Passing, classify};
use super::native::{PartitionQueue, Took};
use super::{KafkaConfig, MemberConfig, REQUEST_TIMEOUT, created, watermarks};
use crate::log::{Call, ErrorClass, LogError, PollLimits};
use crate::record::{RecordBatch, TopicPartition};

pub(super) struct Reader {
    consumer: Arc<BaseConsumer<Quiet>>,
    bell: Arc<Bell>,
    headerless: Vec<String>,
    reads: Vec<PartitionQueue<Quiet>>,
    /// Where the next read begins.
    turn: usize,
    passing: Passing,
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("reads", &self.reads.len()).finish_non_exhaustive()
    }
}

impl Reader {
    pub(super) fn create(
        config: &KafkaConfig,
        identity: &MemberConfig,
        bell: &Arc<Bell>,
    ) -> Result<Self, LogError> {
        let mut client = config.client(&[
            ("fetch.queue.backoff.ms", "10"),
            ("fetch.error.backoff.ms", "100"),
            // Per partition: what waits is still in the cache when it is taken.
            ("queued.max.messages.kbytes", "1024"),
        ]);
        client
            // librdkafka assigns only within a group; nothing is ever committed to this one.
            .set("group.id", format!("{}-reader", identity.group))
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("isolation.level", "read_committed")
            .set("check.crcs", "true")
            .set("enable.partition.eof", "true")
            // An end is told by an empty answer, and a question about offsets waits behind it: the default of 500 ms,
            // several times for each partition, made restoring a small one take a second.
            .set("fetch.wait.max.ms", "50");
        let consumer = created(client.create_with_context(Quiet::default()))?;
        Ok(Reader {
            consumer: Arc::new(consumer),
            bell: Arc::clone(bell),
            headerless: identity.headerless.clone(),
            reads: Vec::new(),
            turn: 0,
            passing: Passing::default(),
        })
    }

    pub(super) fn client(&self) -> &Client<Quiet> {
        self.consumer.client()
    }

    pub(super) fn stable_end(&self, at: &TopicPartition) -> Result<i64, LogError> {
        // A read-committed client is told the last stable offset as the high watermark.
        watermarks(&*self.consumer, at).map(|(_, stable)| stable)
    }

    pub(super) fn offset_at(&self, at: &TopicPartition, at_ms: i64) -> Result<i64, LogError> {
        let failed = |error: &KafkaError| classify(Call::Watermarks, error).at(at);
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&at.topic, at.partition, Offset::Offset(at_ms))
            .map_err(|error| failed(&error))?;
        let found = self.consumer.offsets_for_times(list, REQUEST_TIMEOUT).map_err(|error| failed(&error))?;
        let Some(element) = found.find_partition(&at.topic, at.partition) else { return self.stable_end(at) };
        // A failed one still holds the time.
        element.error().map_err(|error| failed(&error))?;
        match element.offset() {
            Offset::Offset(offset) => Ok(offset),
            _ => self.stable_end(at),
        }
    }

    pub(super) fn read_from(&mut self, at: &TopicPartition, offset: i64) -> Result<(), LogError> {
        self.read_stop(at);
        let failed =
            |error: &KafkaError| LogError { class: ErrorClass::Fatal, ..classify(Call::Read, error).at(at) };
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&at.topic, at.partition, Offset::Offset(offset))
            .map_err(|error| failed(&error))?;
        let ringing = Arc::clone(&self.bell);
        let headers = !self.headerless.iter().any(|topic| **topic == *at.topic);
        let queue = PartitionQueue::split(&self.consumer, at, headers, move || ringing.ring());
        let queue = queue.ok_or_else(|| failed(&KafkaError::NoMessageReceived))?;
        self.consumer.incremental_assign(&list).map_err(|error| failed(&error))?;
        self.reads.push(queue);
        Ok(())
    }

    pub(super) fn read_stop(&mut self, at: &TopicPartition) {
        let Some(index) = self.reads.iter().position(|queue| queue.at() == at) else { return };
        self.reads.remove(index);
        self.turn = 0;
        let mut list = TopicPartitionList::new();
        list.add_partition(&at.topic, at.partition);
        if let Err(error) = self.consumer.incremental_unassign(&list) {
            debug!(%at, "reading stopped: {error}");
        }
    }

    pub(super) fn read(
        &mut self,
        batch: &mut RecordBatch,
        limits: PollLimits,
        ended: &mut Vec<TopicPartition>,
    ) -> Result<(), LogError> {
        while let Some(event) = self.consumer.poll(Duration::ZERO) {
            let error = match event {
                Ok(_) | Err(KafkaError::PartitionEOF(_)) => LogError {
                    class: ErrorClass::Fatal,
                    call: Call::Read,
                    place: None,
                    message: "a record arrived outside its partition's queue; restart".to_owned(),
                },
                Err(error) => classify(Call::Read, &error),
            };
            self.passing.pass(error)?;
        }
        let (first_len, first_bytes) = (batch.len(), batch.bytes());
        let count = self.reads.len();
        for step in 0..count {
            let index = (self.turn + step) % count;
            let (queue, before) = (&mut self.reads[index], batch.len());
            loop {
                let left = limits.left(batch.len() - first_len, batch.bytes() - first_bytes);
                match queue.take(batch, left) {
                    Ok(Took::Everything) => break,
                    Ok(Took::UpToLimit) => {
                        // One that has had its share goes to the end of the row, whatever it still has.
                        self.turn = if batch.len() > before { index + 1 } else { index };
                        return Ok(());
                    }
                    Err(KafkaError::PartitionEOF(_)) => ended.push(queue.at().clone()),
                    Err(error) => {
                        let error = classify(Call::Read, &error).at(queue.at());
                        let message = format!("{} ({})", error.message, self.consumer.context().reason());
                        self.passing.pass(LogError { message, ..error })?;
                    }
                }
            }
        }
        Ok(())
    }
}
