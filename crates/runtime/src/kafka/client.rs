//! What all clients share: their log lines, their errors, and the bell that ends a wait.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{DeliveryResult, NoCustomPartitioner, ProducerContext};
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaRespErr;
use tracing::{debug, warn};

use crate::record::TopicPartition;

/// A wake-up could be lost between two looks at a queue; nothing waits longer than this at once.
const WAIT_LIMIT: Duration = Duration::from_millis(20);

/// Rings when a queue is no longer empty.
#[derive(Debug, Default)]
pub(super) struct Bell {
    rung: Mutex<bool>,
    changed: Condvar,
}

impl Bell {
    pub(super) fn ring(&self) {
        *lock(&self.rung) = true;
        self.changed.notify_all();
    }

    pub(super) fn wait(&self, timeout: Duration) {
        let rung = lock(&self.rung);
        let (mut rung, _) = self
            .changed
            .wait_timeout_while(rung, timeout.min(WAIT_LIMIT), |rung| !*rung)
            .unwrap_or_else(PoisonError::into_inner);
        *rung = false;
    }
}

/// A client without callbacks: its log lines go to `tracing`, and it remembers its errors.
#[derive(Debug, Clone, Default)]
pub(super) struct Quiet {
    /// Whether it has ever given up a request or a connection that it used.
    gave_up: Arc<AtomicBool>,
    /// What the client said about its last error; the error itself has only a code.
    reason: Arc<Mutex<String>>,
    /// The first record that could not be delivered.
    undelivered: Arc<Mutex<Option<(RDKafkaErrorCode, String)>>>,
}

impl Quiet {
    pub(super) fn reason(&self) -> String {
        lock(&self.reason).clone()
    }

    /// Whether this client has said in its log, at level `Info`, that it gave up a request or a connection in use.
    pub(super) fn gave_up(&self) -> bool {
        self.gave_up.load(Ordering::Relaxed)
    }

    pub(super) fn take_undelivered(&self) -> Option<(RDKafkaErrorCode, String)> {
        lock(&self.undelivered).take()
    }
}

impl ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        if gives_up(facility, message) {
            self.gave_up.store(true, Ordering::Relaxed);
        }
        log_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        debug!(target: "kafka", "{error}: {reason}");
        reason.clone_into(&mut lock(&self.reason));
    }
}

impl ConsumerContext for Quiet {}

impl ProducerContext<NoCustomPartitioner> for Quiet {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, _: ()) {
        let Err((error, message)) = result else { return };
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
        let bytes = message.key_len() + message.payload_len();
        let (topic, partition) = (message.topic(), message.partition());
        let text = format!("a record of {bytes} bytes for {topic}[{partition}] was not delivered: {error}");
        debug!(target: "kafka", "{text}");
        lock(&self.undelivered).get_or_insert((code, text));
    }
}

/// The group's own words, as they arrive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Rebalance {
    Assign(Vec<TopicPartition>),
    Revoke { partitions: Vec<TopicPartition>, lost: bool },
}

/// The member's client. Its rebalance callback only forwards: librdkafka holds the rebalance until the worker
/// has answered with assign or unassign.
#[derive(Debug, Default)]
pub(super) struct MemberContext {
    events: Mutex<VecDeque<Rebalance>>,
    /// Nobody answers any more: the callback does it itself.
    pub(super) closing: AtomicBool,
    /// What the client said about its last error; the error itself has only a code.
    reason: Mutex<String>,
}

impl MemberContext {
    pub(super) fn reason(&self) -> String {
        lock(&self.reason).clone()
    }

    pub(super) fn next(&self) -> Option<Rebalance> {
        lock(&self.events).pop_front()
    }

    pub(super) fn put_back(&self, event: Rebalance) {
        lock(&self.events).push_front(event);
    }

    fn answer(consumer: &BaseConsumer<MemberContext>, assign: bool, list: &TopicPartitionList) {
        let answered = if assign {
            consumer.incremental_assign(&TopicPartitionList::new())
        } else {
            consumer.incremental_unassign(list)
        };
        if let Err(error) = answered {
            debug!(target: "kafka", "closing: {error}");
        }
    }
}

impl ClientContext for MemberContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        debug!(target: "kafka", "{error}: {reason}");
        reason.clone_into(&mut lock(&self.reason));
    }
}

impl ConsumerContext for MemberContext {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, error: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let assign = error == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        if self.closing.load(Ordering::Relaxed) {
            MemberContext::answer(consumer, assign, list);
            return;
        }
        let partitions =
            list.elements().iter().map(|e| TopicPartition::new(e.topic(), e.partition())).collect();
        let lost = !assign && consumer.assignment_lost();
        let event =
            if assign { Rebalance::Assign(partitions) } else { Rebalance::Revoke { partitions, lost } };
        lock(&self.events).push_back(event);
    }
}

/// States of a connection that carries no requests yet; a broker that is simply not there fails in one of these.
const BEFORE_USE: [&str; 8] = [
    "INIT",
    "DOWN",
    "TRY_CONNECT",
    "CONNECT",
    "SSL_HANDSHAKE",
    "APIVERSION_QUERY",
    "AUTH_HANDSHAKE",
    "AUTH_REQ",
];

/// Whether a line of the client's log says that requests may have been given up that are still under way. An error
/// event says so of a few broken connections only: none comes when the other side closes or resets one. The line is
/// queued before the requests fail, so before any of them is sent again. It is left out when the last two failures
/// of that broker's connection were the same, the last within 30 s: so a client that has said it once is unsteady for good.
fn gives_up(facility: &str, message: &str) -> bool {
    match facility {
        "REQTMOUT" => true,
        "FAIL" => !BEFORE_USE.iter().any(|state| {
            let mut found = message.match_indices(" in state ");
            found.any(|(at, before)| {
                let rest = &message[at + before.len()..];
                rest.strip_prefix(state).is_some_and(|rest| rest.starts_with([',', ')']))
            })
        }),
        _ => false,
    }
}

fn log_line(level: RDKafkaLogLevel, facility: &str, message: &str) {
    if (level as i32) <= RDKafkaLogLevel::Error as i32 {
        warn!(target: "kafka", facility, "{message}");
    } else {
        debug!(target: "kafka", facility, "{message}");
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_may_be_under_way_is_known_by_the_log() {
        let broker = "[thrd:127.0.0.1:9092/1]: 127.0.0.1:9092/1:";
        let table = [
            ("FAIL", "Disconnected (after 1206ms in state UP)", true),
            ("FAIL", "Disconnected (after 9ms in state UP, 2 identical error(s) suppressed)", true),
            ("FAIL", "Receive failed: Connection reset by peer (after 7ms in state REAUTH)", true),
            ("FAIL", "Send failed: Broken pipe", true),
            (
                "FAIL",
                "Connect to 127.0.0.1:9092 failed: Connection refused (after 0ms in state CONNECT)",
                false,
            ),
            (
                "FAIL",
                "Connection setup timed out in state CONNECT (after 30028ms in state CONNECT, 1 identical error(s) \
                 suppressed)",
                false,
            ),
            ("FAIL", "Disconnected (after 3ms in state APIVERSION_QUERY)", false),
            ("REQTMOUT", "Timed out TxnOffsetCommitRequest in flight (after 3001ms, timeout #0)", true),
            ("TERMINATE", "Terminating instance", false),
        ];
        for (facility, message, expected) in table {
            assert_eq!(gives_up(facility, &format!("{broker} {message}")), expected, "{message}");
        }
    }
}
