//! Calls of librdkafka that its safe interface lacks: taking many records of a partition by one call, producing to a
//! topic by its handle instead of its name, looking at the brokers that a client knows and at the name that the group has
//! given a member; and one of the C library, for the memory that librdkafka takes and frees all the time. The only unsafe
//! code of the workspace; why it is worth that is in `docs/adr/0009-one-unsafe-module-for-kafka.md`.
//!
//! What the unsafe blocks rely on, each kept by a type here:
//!
//! * A native handle is used only while its client lives: each type owns a share of the client, and gives its
//!   handles back in `Drop`, which runs before the share goes.
//! * A message is read only between the call that took it and the one `rd_kafka_message_destroy` that gives it
//!   back; nothing borrowed from it leaves [`PartitionQueue::take`].
//! * Batches are taken from partition queues only. On the main queue the same call would swallow rebalances.
//! * A message that carries an error has the error's text for a payload, and neither headers nor timestamp: it
//!   becomes a [`KafkaError`] before anything else of it is looked at. Control records of transactions are passed
//!   over by librdkafka itself.

#![expect(unsafe_code, reason = "the module's purpose; see above")]

use std::ffi::{CStr, CString, c_char, c_void};
use std::fmt;
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::Arc;

use rdkafka::bindings as native;
use rdkafka::client::{Client, ClientContext};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, base_consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka::types::RDKafkaRespErr;

use super::client::Quiet;
use crate::log::PollLimits;
use crate::outbox::{OutRecord, To};
use crate::record::{Headers, Record, RecordBatch, TimestampType, TopicPartition};

/// Records of one call, and the most that wait here for the next one. More gain nothing: what a call costs is
/// gone among a tenth of these.
const TAKE_AT_ONCE: usize = 512;

/// Twice the next, as the C library itself would set it.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const KEPT_BYTES: libc::c_int = 32 << 20;
/// Above what is fetched, collected or produced at once in usual configurations; the C library takes 32 MiB at most.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const MAPPED_BYTES: libc::c_int = 16 << 20;

/// Has the C library keep memory that is freed, for what is asked for next, instead of giving it back to the system
/// and asking for it again: as it comes, that happens for every batch of records, page by page. Each of its heaps keeps
/// at most [`KEPT_BYTES`] of what was once used; larger buffers than [`MAPPED_BYTES`] go back at once. To be called
/// before there are other threads; elsewhere than on glibc it does nothing.
pub(super) fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: takes two numbers by value and changes limits of the allocator, nothing that is allocated.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_BYTES);
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT_BYTES);
    }
}

/// Whether a client knows a broker by what brokers have told it, and not by its configuration alone.
pub(super) fn knows_brokers<C: ClientContext>(client: &Client<C>) -> bool {
    let mut count = 0;
    // SAFETY: the client lives as long as the borrow; the list is ours to free, by the library's own allocator.
    unsafe {
        let ids = native::rd_kafka_brokers_learned_ids(client.native_ptr(), &raw mut count);
        native::rd_kafka_mem_free(client.native_ptr(), ids.cast());
    }
    count > 0
}

/// Gives a client brokers to ask, `host:port[,…]`. Returns how many of them it did not have.
pub(super) fn add_brokers<C: ClientContext>(client: &Client<C>, servers: &CStr) -> i32 {
    // SAFETY: the client and the text, which is copied, live as long as the borrows.
    unsafe { native::rd_kafka_brokers_add(client.native_ptr(), servers.as_ptr()) }
}

/// The name by which the group knows a member; `None` before it has joined, and once the group has forgotten it.
pub(super) fn member_id<C: ClientContext>(client: &Client<C>) -> Option<String> {
    // SAFETY: the client lives as long as the borrow; the text is ours to free, by the library's own allocator, and
    // copied before.
    unsafe {
        let id = native::rd_kafka_memberid(client.native_ptr());
        if id.is_null() {
            return None;
        }
        let text = CStr::from_ptr(id).to_string_lossy().into_owned();
        native::rd_kafka_mem_free(client.native_ptr(), id.cast());
        Some(text).filter(|text| !text.is_empty())
    }
}

/// How a [`PartitionQueue::take`] ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Took {
    /// Nothing is left for now.
    Everything,
    /// A limit was reached; there may be more.
    UpToLimit,
}

/// The queue of one partition, split off its consumer's.
pub(super) struct PartitionQueue<C: ConsumerContext> {
    /// Another handle of the same queue: keeps it split, rings when it fills, and has a share of the consumer.
    _split: base_consumer::PartitionQueue<C>,
    queue: NonNull<native::rd_kafka_queue_t>,
    at: TopicPartition,
    /// Whether records come with their headers.
    headers: bool,
    /// Taken by the last call; those from `next` on are still to be given back.
    taken: Vec<*mut native::rd_kafka_message_t>,
    next: usize,
}

// SAFETY: librdkafka's handles may be used from any thread, and everything that changes takes `&mut self`. The
// safe handles of the same objects are `Send` as well.
unsafe impl<C: ConsumerContext> Send for PartitionQueue<C> {}

impl<C: ConsumerContext> fmt::Debug for PartitionQueue<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.taken.len() - self.next;
        f.debug_struct("PartitionQueue")
            .field("at", &self.at)
            .field("waiting", &waiting)
            .finish_non_exhaustive()
    }
}

impl<C: ConsumerContext> PartitionQueue<C> {
    /// Splits a partition's queue off; `None` if the client refuses. `ring` is called, from a thread of the client,
    /// whenever the queue is no longer empty.
    pub(super) fn split(
        consumer: &Arc<BaseConsumer<C>>,
        at: &TopicPartition,
        headers: bool,
        ring: impl Fn() + Send + Sync + 'static,
    ) -> Option<PartitionQueue<C>> {
        let mut split = consumer.split_partition_queue(&at.topic, at.partition)?;
        split.set_nonempty_callback(ring);
        let topic = CString::new(&*at.topic).ok()?;
        // SAFETY: the client lives as long as `consumer`; the handle is given back in `drop`.
        let queue = unsafe {
            native::rd_kafka_queue_get_partition(consumer.client().native_ptr(), topic.as_ptr(), at.partition)
        };
        Some(PartitionQueue {
            _split: split,
            queue: NonNull::new(queue)?,
            at: at.clone(),
            headers,
            taken: Vec::with_capacity(TAKE_AT_ONCE),
            next: 0,
        })
    }

    /// Which partition.
    pub(super) fn at(&self) -> &TopicPartition {
        &self.at
    }

    /// Appends what has arrived to `batch`, within `limits` (bytes are passed by at most one record). Never waits.
    ///
    /// # Errors
    /// What stands in the queue in place of a record, the partition's end among it; the records before it are in the
    /// batch, and the next call goes on behind it.
    pub(super) fn take(&mut self, batch: &mut RecordBatch, limits: PollLimits) -> Result<Took, KafkaError> {
        let (first_len, first_bytes) = (batch.len(), batch.bytes());
        loop {
            let records = limits.records.saturating_sub(batch.len() - first_len);
            if records == 0 || batch.bytes() - first_bytes >= limits.bytes {
                return Ok(Took::UpToLimit);
            }
            if self.next == self.taken.len() && !self.refill(records) {
                return Ok(Took::Everything);
            }
            let message = self.taken[self.next];
            self.next += 1;
            // SAFETY: taken from librdkafka and not given back yet; given back here, once, and not used after.
            unsafe {
                let copied = copy(&*message, &self.at, self.headers, batch);
                native::rd_kafka_message_destroy(message);
                copied?;
            }
        }
    }

    /// Takes the next messages; answers whether there are any.
    fn refill(&mut self, records: usize) -> bool {
        self.taken.clear();
        self.next = 0;
        let room = records.min(self.taken.capacity());
        // SAFETY: there is room for `room` pointers, and librdkafka says how many it has written: as many as are
        // then claimed. An error, below zero, claims none.
        unsafe {
            let got =
                native::rd_kafka_consume_batch_queue(self.queue.as_ptr(), 0, self.taken.as_mut_ptr(), room);
            self.taken.set_len(usize::try_from(got).unwrap_or_default().min(room));
        }
        !self.taken.is_empty()
    }
}

impl<C: ConsumerContext> Drop for PartitionQueue<C> {
    fn drop(&mut self) {
        // SAFETY: each message from `next` on was taken and not given back; so was the queue. The client lives
        // until the fields are dropped, after this.
        unsafe {
            for message in &self.taken[self.next..] {
                native::rd_kafka_message_destroy(*message);
            }
            native::rd_kafka_queue_destroy(self.queue.as_ptr());
        }
    }
}

/// Copies a message into the batch.
///
/// # Safety
/// It has been taken from a consumer's queue and not been given back.
unsafe fn copy(
    message: &native::rd_kafka_message_t,
    at: &TopicPartition,
    with_headers: bool,
    batch: &mut RecordBatch,
) -> Result<(), KafkaError> {
    match message.err {
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR => {}
        RDKafkaRespErr::RD_KAFKA_RESP_ERR__PARTITION_EOF => {
            return Err(KafkaError::PartitionEOF(at.partition));
        }
        error => return Err(KafkaError::MessageConsumption(error.into())),
    }
    let mut kind = native::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
    // SAFETY: as the caller's; a message without an error has a timestamp, headers, and `len` and `key_len` bytes
    // where its pointers are not null.
    unsafe {
        let timestamp_ms = native::rd_kafka_message_timestamp(message, &raw mut kind);
        let (timestamp_ms, timestamp_type) = match kind {
            native::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME => {
                (timestamp_ms, TimestampType::LogAppendTime)
            }
            native::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_CREATE_TIME => {
                (timestamp_ms, TimestampType::CreateTime)
            }
            native::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE => {
                (0, TimestampType::CreateTime)
            }
        };
        let headers = if with_headers { headers(message) } else { Vec::new() };
        batch.push(&Record {
            topic: &at.topic,
            partition: message.partition,
            offset: message.offset,
            timestamp_ms,
            timestamp_type,
            key: bytes(message.key, message.key_len),
            value: bytes(message.payload, message.len),
            headers: Headers::new(&headers),
        });
    }
    Ok(())
}

/// The headers. One whose name is not UTF-8 is left out: nothing of ours reads it, and a record's bytes must not end
/// the process.
///
/// # Safety
/// The message has been taken from a consumer's queue and not been given back, and carries no error.
unsafe fn headers(message: &native::rd_kafka_message_t) -> Vec<(&str, Option<&[u8]>)> {
    let (mut list, mut all) = (ptr::null_mut(), Vec::new());
    // SAFETY: the list belongs to the message and lives as long; names end with a zero byte; a value that is not
    // null has `len` bytes. The call refuses an index behind the last one.
    unsafe {
        if native::rd_kafka_message_headers(message, &raw mut list)
            != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR
        {
            return all;
        }
        for index in 0.. {
            let (mut name, mut value, mut len): (*const c_char, *const c_void, usize) =
                (ptr::null(), ptr::null(), 0);
            let found =
                native::rd_kafka_header_get_all(list, index, &raw mut name, &raw mut value, &raw mut len);
            if found != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
                break;
            }
            if let Ok(name) = CStr::from_ptr(name).to_str() {
                all.push((name, bytes(value, len)));
            }
        }
    }
    all
}

/// # Safety
/// A pointer that is not null points to `len` bytes that live for `'a`.
unsafe fn bytes<'a>(start: *const c_void, len: usize) -> Option<&'a [u8]> {
    // SAFETY: as the caller's.
    (!start.is_null()).then(|| unsafe { slice::from_raw_parts(start.cast(), len) })
}

/// A producer's topics by name. Producing by name looks the name up under the client's lock, for every record.
pub(super) struct TopicHandles {
    /// As many as an operator writes to.
    topics: Vec<(String, NonNull<native::rd_kafka_topic_t>)>,
    /// Behind `topics`, which belong to it.
    producer: Arc<BaseProducer<Quiet>>,
}

// SAFETY: as for `PartitionQueue`.
unsafe impl Send for TopicHandles {}

impl fmt::Debug for TopicHandles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.topics.iter().map(|(name, _)| name)).finish()
    }
}

impl TopicHandles {
    pub(super) fn new(producer: &Arc<BaseProducer<Quiet>>) -> TopicHandles {
        TopicHandles { topics: Vec::new(), producer: Arc::clone(producer) }
    }

    /// Puts a record without headers into the producer's queue, which copies it.
    ///
    /// # Errors
    /// What the client says, a full queue among it.
    pub(super) fn send(&mut self, record: &OutRecord<'_>) -> Result<(), KafkaError> {
        debug_assert!(record.headers.is_empty(), "headers go through the safe interface");
        let topic = self.handle(record.topic)?;
        let partition = if let To::Partition(partition) = record.to { partition } else { -1 };
        let (key, key_len) = parts(record.key);
        let (value, value_len) = parts(record.value);
        // SAFETY: client and topic are alive; each tag is followed by arguments of the types that librdkafka reads
        // for it, and `END` ends them; key and value are copied before the call returns.
        let code = unsafe {
            native::rd_kafka_producev(
                self.producer.client().native_ptr(),
                native::rd_kafka_vtype_t::RD_KAFKA_VTYPE_RKT,
                topic.as_ptr(),
                native::rd_kafka_vtype_t::RD_KAFKA_VTYPE_PARTITION,
                partition,
                native::rd_kafka_vtype_t::RD_KAFKA_VTYPE_MSGFLAGS,
                native::RD_KAFKA_MSG_F_COPY,
                native::rd_kafka_vtype_t::RD_KAFKA_VTYPE_VALUE,
                value,
                value_len,
                native::rd_kafka_vtype_t::RD_KAFKA_VTYPE_KEY,
                key,
                key_len,
                native::rd_kafka_vtype_t::RD_KAFKA_VTYPE_TIMESTAMP,
                record.timestamp_ms.unwrap_or_default(),
                native::rd_kafka_vtype_t::RD_KAFKA_VTYPE_END,
            )
        };
        match code {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(()),
            error => Err(KafkaError::MessageProduction(error.into())),
        }
    }

    fn handle(&mut self, topic: &str) -> Result<NonNull<native::rd_kafka_topic_t>, KafkaError> {
        if let Some((_, handle)) = self.topics.iter().find(|(known, _)| known == topic) {
            return Ok(*handle);
        }
        let refused = KafkaError::MessageProduction(RDKafkaErrorCode::InvalidArgument);
        let name = CString::new(topic).map_err(|_| refused.clone())?;
        // SAFETY: the client is alive; without a configuration of its own the topic gets the client's.
        let handle = unsafe {
            native::rd_kafka_topic_new(self.producer.client().native_ptr(), name.as_ptr(), ptr::null_mut())
        };
        let handle = NonNull::new(handle).ok_or(refused)?;
        self.topics.push((topic.to_owned(), handle));
        Ok(handle)
    }
}

impl Drop for TopicHandles {
    fn drop(&mut self) {
        for (_, handle) in &self.topics {
            // SAFETY: made by `rd_kafka_topic_new` and given back once; the producer is dropped after this.
            unsafe { native::rd_kafka_topic_destroy(handle.as_ptr()) };
        }
    }
}

fn parts(bytes: Option<&[u8]>) -> (*const c_void, usize) {
    bytes.map_or((ptr::null(), 0), |bytes| (bytes.as_ptr().cast(), bytes.len()))
}
