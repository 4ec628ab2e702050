//! What librdkafka's errors mean for the caller.

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use tracing::{debug, warn};

use crate::log::{Call, ErrorClass, LogError};
use crate::record::TopicPartition;

impl LogError {
    pub(super) fn at(self, place: &TopicPartition) -> LogError {
        LogError { place: Some(place.clone()), ..self }
    }
}

/// A failed call with its class.
pub(super) fn classify(call: Call, error: &KafkaError) -> LogError {
    let class = match error {
        KafkaError::Transaction(error) => transaction_class(
            call,
            error.code(),
            Flags {
                fatal: error.is_fatal(),
                retriable: error.is_retriable(),
                abortable: error.txn_requires_abort(),
            },
        ),
        KafkaError::MessageConsumptionFatal(code) => fatal_class(*code),
        error => error.rdkafka_error_code().map_or(ErrorClass::Fatal, |code| plain_class(call, code)),
    };
    LogError { class, call, place: None, message: error.to_string() }
}

/// What librdkafka says of a transactional error.
#[derive(Debug, Clone, Copy, Default)]
struct Flags {
    fatal: bool,
    retriable: bool,
    abortable: bool,
}

fn transaction_class(call: Call, code: Code, flags: Flags) -> ErrorClass {
    if code == Code::FencedInstanceId && flags.fatal {
        ErrorClass::Fenced
    } else if flags.fatal {
        // Fenced producers among them: a successor with our transactional id exists or existed. A new
        // producer fences it in turn; the group decides whose offsets count.
        ErrorClass::Fatal
    } else if flags.abortable {
        // A member that is joining again after its coordinator was gone has no member id, and the group then
        // says "fenced" of its own offsets. Whether it really was replaced its heartbeat finds out.
        ErrorClass::Abortable
    } else if flags.retriable {
        ErrorClass::Retriable
    } else if call == Call::Commit {
        ErrorClass::Unknown
    } else {
        ErrorClass::Fatal
    }
}

/// The class of an error after which a client is of no use.
pub(super) fn fatal_class(code: Code) -> ErrorClass {
    if code == Code::FencedInstanceId { ErrorClass::Fenced } else { ErrorClass::Fatal }
}

fn plain_class(call: Call, code: Code) -> ErrorClass {
    match code {
        Code::FencedInstanceId => ErrorClass::Fenced,
        // The producer has an abortable error pending; it says which at the next transactional call.
        Code::InvalidTransactionalState | Code::State | Code::PurgeQueue | Code::PurgeInflight
            if call == Call::Produce =>
        {
            ErrorClass::Abortable
        }
        // The client skips the batch, or stays in front of it for ever: either way records would be missing.
        Code::BadMessage | Code::BadCompression | Code::NotImplemented
            if matches!(call, Call::Poll | Call::Read) =>
        {
            ErrorClass::Fatal
        }
        Code::Fatal
        | Code::MessageSizeTooLarge
        | Code::UnknownTopic
        | Code::UnknownPartition
        | Code::UnknownTopicOrPartition
        | Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed
        | Code::SaslAuthenticationFailed
        | Code::Authentication
        | Code::InvalidArgument
        | Code::OffsetOutOfRange
        | Code::AutoOffsetReset => ErrorClass::Fatal,
        _ => ErrorClass::Retriable,
    }
}

/// Reasons that are remembered as told.
const TOLD_LIMIT: usize = 64;

/// Errors that librdkafka deals with itself. Each reason is told once.
#[derive(Debug, Default)]
pub(super) struct Passing {
    told: Vec<String>,
}

impl Passing {
    /// Passes over a retriable error.
    ///
    /// # Errors
    /// Every other.
    pub(super) fn pass(&mut self, error: LogError) -> Result<(), LogError> {
        if error.class != ErrorClass::Retriable {
            return Err(error);
        }
        let text = error.to_string();
        if self.told.contains(&text) {
            debug!("{text}");
            return Ok(());
        }
        warn!("{text}");
        if self.told.len() >= TOLD_LIMIT {
            self.told.clear();
        }
        self.told.push(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transactional_errors_have_their_class() {
        let fatal = Flags { fatal: true, ..Flags::default() };
        let retriable = Flags { retriable: true, ..Flags::default() };
        let abortable = Flags { abortable: true, ..Flags::default() };
        let none = Flags::default();
        let table = [
            (Call::SendOffsets, Code::FencedInstanceId, abortable, ErrorClass::Abortable),
            (Call::SendOffsets, Code::FencedInstanceId, fatal, ErrorClass::Fenced),
            (Call::Commit, Code::ProducerFenced, fatal, ErrorClass::Fatal),
            (Call::Commit, Code::InvalidProducerEpoch, fatal, ErrorClass::Fatal),
            (Call::Commit, Code::OperationTimedOut, retriable, ErrorClass::Retriable),
            (Call::SendOffsets, Code::IllegalGeneration, abortable, ErrorClass::Abortable),
            (Call::SendOffsets, Code::UnknownMemberId, abortable, ErrorClass::Abortable),
            (Call::Commit, Code::InvalidTransactionalState, none, ErrorClass::Unknown),
            (Call::Begin, Code::State, none, ErrorClass::Fatal),
        ];
        for (call, code, flags, class) in table {
            assert_eq!(transaction_class(call, code, flags), class, "{call:?} {code:?}");
        }
    }

    #[test]
    fn plain_errors_have_their_class() {
        let table = [
            (Call::Watermarks, Code::OperationTimedOut, ErrorClass::Retriable),
            (Call::Watermarks, Code::UnknownPartition, ErrorClass::Fatal),
            (Call::Poll, Code::AutoOffsetReset, ErrorClass::Fatal),
            (Call::Poll, Code::BrokerTransportFailure, ErrorClass::Retriable),
            (Call::Poll, Code::BadMessage, ErrorClass::Fatal),
            (Call::Read, Code::BadMessage, ErrorClass::Fatal),
            (Call::Read, Code::BadCompression, ErrorClass::Fatal),
            (Call::Read, Code::NotImplemented, ErrorClass::Fatal),
            (Call::Produce, Code::State, ErrorClass::Abortable),
            (Call::Produce, Code::MessageSizeTooLarge, ErrorClass::Fatal),
        ];
        for (call, code, class) in table {
            assert_eq!(plain_class(call, code), class, "{call:?} {code:?}");
        }
    }
}
