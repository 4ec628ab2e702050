//! The transactional producer.

use std::fmt;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};

use super::client::Quiet;
use super::errors::classify;
use super::native::TopicHandles;
use super::{Bootstrap, KafkaConfig, MemberConfig, created, wall_clock_ms};
use crate::log::{Call, ErrorClass, LogError};
use crate::outbox::{OutRecord, Outbox, To};
use crate::record::TopicPartition;

/// One transactional call; the worker repeats a call that timed out.
const CALL_TIMEOUT: Duration = Duration::from_secs(3);
/// An offer of offsets has no answer by then that lies within the timeout of its call.
const OFFER_LIMIT: Duration = Duration::from_secs(6);
/// To begin waits for the end of a predecessor's transaction, and for a coordinator that is coming or moving: for so long
/// at a time, and begins no new try after twice the transaction timeout.
const INIT_TIMEOUT: Duration = Duration::from_secs(10);
const INIT_LIMIT_MS: i64 = 20_000;
const INIT_PAUSE: Duration = Duration::from_millis(100);
/// Acknowledgements are looked for this often at first (less often after many records: each takes longer than this to
/// come), then at an eighth of the time that has passed, and for at most this long: less than the transaction timeout.
const DRAIN_PAUSE: Duration = Duration::from_micros(200);
const DRAIN_PAUSE_PER_RECORD: Duration = Duration::from_nanos(250);
const DRAIN_LIMIT_MS: i64 = 8_000;
/// While a transaction is aborted, failed deliveries are taken in this often.
const ABORTING_PAUSE: Duration = Duration::from_millis(20);
/// At all other times the calls of a transaction take in what there is; between transactions nothing may pile up.
const IDLE_PAUSE: Duration = Duration::from_secs(1);
/// Events that are taken in at once: more than come within a pause while brokers are gone.
const EVENTS_AT_ONCE: usize = 50;
/// Until the producer's queue has room again.
const QUEUE_PAUSE: Duration = Duration::from_millis(1);

pub(super) struct TransactionalProducer {
    topics: TopicHandles,
    attendant: Attendant,
    producer: Arc<BaseProducer<Quiet>>,
    context: Quiet,
    /// Records of the open transaction.
    sent: u32,
}

impl fmt::Debug for TransactionalProducer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransactionalProducer").finish_non_exhaustive()
    }
}

impl TransactionalProducer {
    pub(super) fn create(config: &KafkaConfig, identity: &MemberConfig) -> Result<Self, LogError> {
        let mut client = config.client(&[
            ("linger.ms", "1"),
            ("compression.type", "lz4"),
            ("queue.buffering.max.messages", "1000000"),
            // The default of 1,000,000 lies below the brokers' own: each topic's limit decides, not ours.
            ("message.max.bytes", "16777216"),
        ]);
        client
            .set("transactional.id", &identity.transactional_id)
            // A frozen instance holds back every reader of what it wrote to for this long.
            .set("transaction.timeout.ms", "10000")
            .set("partitioner", "murmur2_random")
            .set("delivery.report.only.error", "true")
            // What the log says of broken connections decides whether a producer goes on.
            .set("log.connection.close", "true")
            .set_log_level(RDKafkaLogLevel::Info);
        let context = Quiet::default();
        let producer: BaseProducer<Quiet> = created(client.create_with_context(context.clone()))?;
        let producer = Arc::new(producer);
        let attendant = Attendant::start(&producer, Bootstrap::new(&config.bootstrap))?;
        let began_ms = wall_clock_ms();
        while let Err(error) = producer.init_transactions(INIT_TIMEOUT) {
            let error = classify(Call::Recreate, &error);
            if error.class != ErrorClass::Retriable || wall_clock_ms() - began_ms >= INIT_LIMIT_MS {
                return Err(error);
            }
            pause(INIT_PAUSE);
        }
        Ok(TransactionalProducer {
            topics: TopicHandles::new(&producer),
            attendant,
            producer,
            context,
            sent: 0,
        })
    }

    pub(super) fn begin(&mut self) -> Result<(), LogError> {
        self.sent = 0;
        self.attendant.take_in(&self.producer);
        self.context.take_undelivered();
        self.producer.begin_transaction().map_err(|error| classify(Call::Begin, &error))
    }

    pub(super) fn produce(&mut self, out: &Outbox) -> Result<(), LogError> {
        let deadline_ms = wall_clock_ms() + DRAIN_LIMIT_MS;
        for record in out.iter() {
            while let Err(error) = self.send(&record) {
                let full = error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull);
                if full && wall_clock_ms() < deadline_ms {
                    pause(QUEUE_PAUSE);
                    continue;
                }
                let error = classify(Call::Produce, &error);
                let partition = if let To::Partition(partition) = record.to { partition } else { -1 };
                let bytes = record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len);
                let message = format!("a record of {bytes} bytes: {}", error.message);
                return Err(LogError { message, ..error }.at(&TopicPartition::new(record.topic, partition)));
            }
            self.sent += 1;
        }
        Ok(())
    }

    fn send(&mut self, record: &OutRecord<'_>) -> Result<(), KafkaError> {
        if record.headers.is_empty() {
            return self.topics.send(record);
        }
        let mut message: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(record.topic);
        message.key = record.key;
        message.payload = record.value;
        message.timestamp = record.timestamp_ms;
        if let To::Partition(partition) = record.to {
            message.partition = Some(partition);
        }
        let headers = OwnedHeaders::new_with_capacity(record.headers.len());
        let insert = |headers: OwnedHeaders, (key, value)| headers.insert(Header { key, value });
        message.headers = Some(record.headers.iter().fold(headers, insert));
        self.producer.send(message).map_err(|(error, _)| error)
    }

    pub(super) fn drain(&self) -> Result<(), LogError> {
        let began_ms = wall_clock_ms();
        let deadline_ms = began_ms + DRAIN_LIMIT_MS;
        let shortest = DRAIN_PAUSE.max(DRAIN_PAUSE_PER_RECORD * self.sent);
        loop {
            // A failed delivery is in flight until it is taken in.
            self.producer.poll(Duration::ZERO);
            if self.producer.in_flight_count() == 0 {
                break;
            }
            if wall_clock_ms() >= deadline_ms {
                return Err(LogError {
                    class: ErrorClass::Abortable,
                    call: Call::Produce,
                    place: None,
                    message: format!(
                        "{} records were not acknowledged within {DRAIN_LIMIT_MS} ms",
                        self.producer.in_flight_count()
                    ),
                });
            }
            let waited_ms = (wall_clock_ms() - began_ms).max(0).unsigned_abs();
            pause(shortest.max(Duration::from_micros(waited_ms * 125)));
        }
        match self.context.take_undelivered() {
            None => Ok(()),
            // The same record will be refused again; a new producer does not help, and soon the worker ends.
            Some((RDKafkaErrorCode::MessageSizeTooLarge, message)) => {
                Err(LogError { class: ErrorClass::Fatal, call: Call::Produce, place: None, message })
            }
            Some((_, message)) => {
                Err(LogError { class: ErrorClass::Abortable, call: Call::Produce, place: None, message })
            }
        }
    }

    pub(super) fn send_offsets(
        &mut self,
        offsets: &[(TopicPartition, i64)],
        marker: &str,
        group: ConsumerGroupMetadata,
    ) -> Result<(), LogError> {
        let mut list = TopicPartitionList::with_capacity(offsets.len());
        for (at, offset) in offsets {
            let mut element = list.add_partition(&at.topic, at.partition);
            element
                .set_offset(Offset::Offset(*offset))
                .map_err(|error| classify(Call::SendOffsets, &error))?;
            element.set_metadata(marker);
        }
        let sent = self.attendant.offer(list, group).ok_or_else(|| LogError {
            class: ErrorClass::Unknown,
            call: Call::SendOffsets,
            place: None,
            message: format!("no answer within {} s, and none to be waited for", OFFER_LIMIT.as_secs()),
        })?;
        sent.map_err(|error| classify(Call::SendOffsets, &error))
    }

    pub(super) fn commit(&self) -> Result<(), LogError> {
        self.producer.commit_transaction(CALL_TIMEOUT).map_err(|error| classify(Call::Commit, &error))
    }

    pub(super) fn abort(&self) -> Result<(), LogError> {
        self.attendant.give(Task::Abort(true));
        let aborted = self.producer.abort_transaction(CALL_TIMEOUT);
        self.attendant.give(Task::Abort(false));
        aborted.map_err(|error| classify(Call::Abort, &error))
    }

    /// Whether a connection in use broke or a request was given up, so that one may have been sent twice. To be asked
    /// when nothing is in flight any more: whatever then counts as in flight is an event that is not taken in.
    pub(super) fn was_unsteady(&self) -> bool {
        self.attendant.take_in(&self.producer);
        self.context.gave_up() || self.producer.in_flight_count() > 0
    }
}

/// A thread that does for a producer what the worker cannot.
///
/// It takes in the client's events during an abort: with records in flight that waits for acknowledgements, which
/// somebody has to take in. The library's own thread for this spins through the last millisecond of each of its waits:
/// one hundredth of a core for each producer, idle or not. One that looks every 20 ms at all times costs half of that.
///
/// It offers offsets, so that the worker need not wait for the answer: librdkafka looks at such a call's timeout only once
/// it has found the group's coordinator, which a client that was told of no brokers may never do.
///
/// It looks whether the client knows any broker.
#[derive(Debug)]
struct Attendant {
    /// Its end ends the thread.
    tasks: Option<Sender<Task>>,
    /// Held while events are taken in, which waits for nothing: who has it knows that none is half taken in.
    turn: Arc<Mutex<()>>,
    /// Until it is left alone with a call.
    thread: Option<JoinHandle<()>>,
}

enum Task {
    /// Whether an abort is under way.
    Abort(bool),
    Offer {
        offsets: TopicPartitionList,
        group: ConsumerGroupMetadata,
        answered: Sender<Result<(), KafkaError>>,
    },
}

impl Attendant {
    fn start(producer: &Arc<BaseProducer<Quiet>>, bootstrap: Bootstrap) -> Result<Attendant, LogError> {
        let (tasks, given) = mpsc::channel();
        let turn = Arc::<Mutex<()>>::default();
        let (producer, mine) = (Arc::clone(producer), Arc::clone(&turn));
        let thread = std::thread::Builder::new().name("producer-attendant".to_owned());
        let thread = thread.spawn(move || attend(&producer, bootstrap, &given, &mine));
        let thread = thread.map_err(|error| LogError {
            class: ErrorClass::Fatal,
            call: Call::Recreate,
            place: None,
            message: format!("no thread for the producer's events: {error}"),
        })?;
        Ok(Attendant { tasks: Some(tasks), turn, thread: Some(thread) })
    }

    /// Takes in what there is, up to a bound.
    fn take_in(&self, producer: &BaseProducer<Quiet>) {
        take_in_events(producer, &self.turn);
    }

    /// Tells the thread. One that has ended is noticed by whoever waits for its answer.
    fn give(&self, task: Task) {
        if let Some(tasks) = &self.tasks {
            let _ = tasks.send(task);
        }
    }

    /// The answer of the library, or `None` if none comes in time: then the thread keeps the client, until it does.
    fn offer(
        &mut self,
        offsets: TopicPartitionList,
        group: ConsumerGroupMetadata,
    ) -> Option<Result<(), KafkaError>> {
        let (answered, answer) = mpsc::channel();
        self.give(Task::Offer { offsets, group, answered });
        let answer = answer.recv_timeout(OFFER_LIMIT).ok();
        if answer.is_none() {
            self.thread = None;
        }
        answer
    }
}

impl Drop for Attendant {
    fn drop(&mut self) {
        self.tasks = None;
        if let Some(thread) = self.thread.take() {
            // It has nothing to panic about, and nothing is left to do if it did.
            let _ = thread.join();
        }
    }
}

fn attend(
    producer: &BaseProducer<Quiet>,
    mut bootstrap: Bootstrap,
    tasks: &Receiver<Task>,
    turn: &Mutex<()>,
) {
    let mut pause = IDLE_PAUSE;
    loop {
        match tasks.recv_timeout(pause) {
            Ok(Task::Abort(true)) => pause = ABORTING_PAUSE,
            Ok(Task::Abort(false)) => pause = IDLE_PAUSE,
            Ok(Task::Offer { offsets, group, answered }) => {
                // A worker that no longer waits has a new producer.
                let _ = answered.send(producer.send_offsets_to_transaction(&offsets, &group, CALL_TIMEOUT));
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        take_in_events(producer, turn);
        if bootstrap.is_due() {
            bootstrap.recall(producer.client());
        }
    }
}

/// A call of the client's takes in one event, if there is one, and does not say so.
fn take_in_events(producer: &BaseProducer<Quiet>, turn: &Mutex<()>) {
    let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
    for _ in 0..EVENTS_AT_ONCE {
        if producer.in_flight_count() == 0 {
            return;
        }
        producer.poll(Duration::ZERO);
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "librdkafka offers no wait for an empty queue but a 100 ms one"
)]
fn pause(duration: Duration) {
    std::thread::sleep(duration);
}
