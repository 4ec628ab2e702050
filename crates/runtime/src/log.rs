//! The seam to the log, at the level of client calls.
//!
//! One value of a `Log` is one member of a consumer group together with its transactional producer and a
//! reader for changelogs and tables. The transaction logic lives above it, in the worker, so that the same
//! logic runs over Kafka and over the log in memory, where every call can be made to fail.

use std::fmt;
use std::time::Duration;

use crate::outbox::Outbox;
use crate::record::{RecordBatch, TopicPartition};

/// What a caller can do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// Nothing happened; the same call may succeed later.
    Retriable,
    /// The transaction must be aborted; its records may be sent again in a new one.
    Abortable,
    /// The producer cannot be used any more; a new one with the same transactional id can.
    Fatal,
    /// This member or instance has been replaced by another one with the same id: it has to end.
    Fenced,
    /// Whether the call took effect is not known.
    Unknown,
}

/// The calls that can fail, for errors and for the decision what to do about them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Call {
    /// [`Log::poll`]
    Poll,
    /// [`Log::begin`]
    Begin,
    /// [`Log::produce`]
    Produce,
    /// [`Log::send_offsets`]
    SendOffsets,
    /// [`Log::commit`]
    Commit,
    /// [`Log::abort`]
    Abort,
    /// [`Log::recreate`]
    Recreate,
    /// [`Log::committed`]
    Committed,
    /// [`Log::watermarks`], [`Log::stable_end`], [`Log::offset_at`]
    Watermarks,
    /// [`Log::start`], [`Log::release`]
    Assign,
    /// [`Log::read_from`], [`Log::read`]
    Read,
    /// [`Log::partition_count`]
    Metadata,
}

impl Call {
    /// The call as a word for messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Call::Poll => "poll",
            Call::Begin => "begin transaction",
            Call::Produce => "produce",
            Call::SendOffsets => "send offsets to transaction",
            Call::Commit => "commit transaction",
            Call::Abort => "abort transaction",
            Call::Recreate => "initialise transactions",
            Call::Committed => "read committed offsets",
            Call::Watermarks => "read watermarks",
            Call::Assign => "assign",
            Call::Read => "read",
            Call::Metadata => "read metadata",
        }
    }
}

/// A failed call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogError {
    /// What can be done about it.
    pub class: ErrorClass,
    /// Which call.
    pub call: Call,
    /// The topic and partition, where there is one.
    pub place: Option<TopicPartition>,
    /// What the client says, and what to do where that is known.
    pub message: String,
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "{} of {place}: {}", self.call.as_str(), self.message),
            None => write!(f, "{}: {}", self.call.as_str(), self.message),
        }
    }
}

impl std::error::Error for LogError {}

/// A change of what this member owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupEvent {
    /// New partitions: nothing is read from them until [`Log::start`].
    Assigned(Vec<TopicPartition>),
    /// Partitions to give back in order: still owned, so the open transaction may be finished; then
    /// [`Log::release`].
    Revoked(Vec<TopicPartition>),
    /// Partitions that somebody else may own already: nothing of them may be committed; then
    /// [`Log::release`].
    Lost(Vec<TopicPartition>),
}

/// A committed offset and the text committed with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedOffset {
    /// Offset of the next record to read.
    pub offset: i64,
    /// The transaction marker (see [`Log::send_offsets`]).
    pub marker: String,
}

/// How much one call may bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PollLimits {
    /// Records.
    pub records: usize,
    /// Bytes; passed by at most one record.
    pub bytes: usize,
}

impl PollLimits {
    /// What is left of them after so much. The first record always fits.
    pub(crate) fn left(self, records: usize, bytes: usize) -> PollLimits {
        let left = self.bytes.saturating_sub(bytes);
        PollLimits {
            records: self.records.saturating_sub(records),
            bytes: if records == 0 { left.max(1) } else { left },
        }
    }
}

/// A log with consumer groups and transactions.
pub trait Log {
    /// Serves the group and appends records of started partitions to `batch`, at most `limits`, except those
    /// of `held` partitions. Never waits.
    ///
    /// # Errors
    /// `Fenced`: another member with this instance id; `Fatal`: the place and what to do are in the message.
    fn poll(
        &mut self,
        batch: &mut RecordBatch,
        limits: PollLimits,
        held: &[TopicPartition],
    ) -> Result<(), LogError>;

    /// The next change of ownership, oldest first; to be taken after every [`Log::poll`].
    fn next_event(&mut self) -> Option<GroupEvent>;

    /// Starts to read an assigned partition at this offset.
    ///
    /// # Errors
    /// When the partition is not assigned any more.
    fn start(&mut self, partition: &TopicPartition, offset: i64) -> Result<(), LogError>;

    /// Gives partitions back after [`GroupEvent::Revoked`] or [`GroupEvent::Lost`].
    ///
    /// # Errors
    /// When the client refuses.
    fn release(&mut self, partitions: &[TopicPartition]) -> Result<(), LogError>;

    /// Blocks until something may have arrived, or the time is over. In memory it returns at once.
    fn wait(&mut self, timeout: Duration);

    /// Begins a transaction.
    ///
    /// # Errors
    /// Any class.
    fn begin(&mut self) -> Result<(), LogError>;

    /// Sends all records of `out` in the transaction, in order. Delivery is awaited by [`Log::drain`].
    ///
    /// # Errors
    /// Any class; a record over the size limit names topic and size.
    fn produce(&mut self, out: &Outbox) -> Result<(), LogError>;

    /// Waits until everything produced has been acknowledged.
    ///
    /// # Errors
    /// `Abortable` when a record could not be delivered.
    fn drain(&mut self) -> Result<(), LogError>;

    /// Puts input offsets into the transaction, with the group's metadata as of now, each with `marker` in
    /// its metadata string.
    ///
    /// # Errors
    /// Any class; `Abortable` when the group has moved on.
    fn send_offsets(&mut self, offsets: &[(TopicPartition, i64)], marker: &str) -> Result<(), LogError>;

    /// Commits.
    ///
    /// # Errors
    /// Any class; `Unknown` when the outcome is not known.
    fn commit(&mut self) -> Result<(), LogError>;

    /// Aborts.
    ///
    /// # Errors
    /// Any class.
    fn abort(&mut self) -> Result<(), LogError>;

    /// Appends the records of `out` in a transaction of its own.
    ///
    /// # Errors
    /// That of the first call that failed. Then nothing of it will be seen, unless the class is `Unknown`: what was
    /// begun is aborted, and should that fail too, by the next producer with this transactional id.
    fn append(&mut self, out: &Outbox) -> Result<(), LogError> {
        self.begin()?;
        let written = self.produce(out).and_then(|()| self.drain()).and_then(|()| self.commit());
        if written.is_err() {
            let _ = self.abort();
        }
        written
    }

    /// Replaces the producer by a new one with the same transactional id, which fences the old one and
    /// finishes or aborts what it left.
    ///
    /// # Errors
    /// `Retriable` or `Fatal`.
    fn recreate(&mut self) -> Result<(), LogError>;

    /// The group's stable committed offset of each partition: waits for a transaction that is being
    /// finished.
    ///
    /// # Errors
    /// `Retriable` when it does not become stable in time.
    fn committed(&mut self, partitions: &[TopicPartition]) -> Result<Vec<Option<CommittedOffset>>, LogError>;

    /// Low and high watermark as a read-uncommitted client sees them.
    ///
    /// # Errors
    /// `Retriable`, or `Fatal` when there is no such partition.
    fn watermarks(&mut self, partition: &TopicPartition) -> Result<(i64, i64), LogError>;

    /// The last stable offset: everything before it is decided.
    ///
    /// # Errors
    /// As [`Log::watermarks`].
    fn stable_end(&mut self, partition: &TopicPartition) -> Result<i64, LogError>;

    /// The offset of the first record at or after a time, Unix milliseconds; the end if there is none.
    ///
    /// # Errors
    /// As [`Log::watermarks`].
    fn offset_at(&mut self, partition: &TopicPartition, at_ms: i64) -> Result<i64, LogError>;

    /// Number of partitions; `None` if there is no such topic.
    ///
    /// # Errors
    /// `Retriable` when the log cannot be reached.
    fn partition_count(&mut self, topic: &str) -> Result<Option<i32>, LogError>;

    /// Starts to read a changelog or table partition, read-committed, outside the group.
    ///
    /// # Errors
    /// When the client refuses.
    fn read_from(&mut self, partition: &TopicPartition, offset: i64) -> Result<(), LogError>;

    /// Stops reading it.
    fn read_stop(&mut self, partition: &TopicPartition);

    /// Appends what has arrived to `batch`, and to `ended` each partition whose stable end was reached since
    /// it was last reported. Never waits.
    ///
    /// # Errors
    /// Any class; names the place.
    fn read(
        &mut self,
        batch: &mut RecordBatch,
        limits: PollLimits,
        ended: &mut Vec<TopicPartition>,
    ) -> Result<(), LogError>;

    /// Whether the assignment has been lost without this member being told in order.
    fn assignment_lost(&self) -> bool;

    /// Whether a connection of this producer broke, or a request of its was given up, even if the last commit
    /// succeeded: the client has then sent a request anew, and the first one may still be under way. So the producer
    /// should be replaced, which fences it.
    fn commit_was_unsteady(&mut self) -> bool {
        false
    }

    /// Milliseconds of the clock that deadlines of calls are measured with.
    fn now_ms(&self) -> i64;
}
