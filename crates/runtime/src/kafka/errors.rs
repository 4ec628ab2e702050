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
        // A broker that has just come back does not know its partitions yet. A topic that has really gone, the
        // member's own reading finds out.
        Code::UnknownPartition | Code::UnknownTopicOrPartition
            if matches!(call, Call::Watermarks | Call::Committed) =>
        {
            ErrorClass::Retriable
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
    use crate::worker::{Action, decide};

    /// Every error of librdkafka, its own and the brokers'.
    #[rustfmt::skip]
    const ALL: &[Code] = &[
        Code::BadMessage, Code::BadCompression, Code::BrokerDestroy, Code::Fail,
        Code::BrokerTransportFailure, Code::CriticalSystemResource, Code::Resolve, Code::MessageTimedOut,
        Code::PartitionEOF, Code::UnknownPartition, Code::FileSystem, Code::UnknownTopic,
        Code::AllBrokersDown, Code::InvalidArgument, Code::OperationTimedOut, Code::QueueFull,
        Code::ISRInsufficient, Code::NodeUpdate, Code::SSL, Code::WaitingForCoordinator,
        Code::UnknownGroup, Code::InProgress, Code::PreviousInProgress, Code::ExistingSubscription,
        Code::AssignPartitions, Code::RevokePartitions, Code::Conflict, Code::State,
        Code::UnknownProtocol, Code::NotImplemented, Code::Authentication, Code::NoOffset,
        Code::Outdated, Code::TimedOutQueue, Code::UnsupportedFeature, Code::WaitCache,
        Code::Interrupted, Code::KeySerialization, Code::ValueSerialization, Code::KeyDeserialization,
        Code::ValueDeserialization, Code::Partial, Code::ReadOnly, Code::NoEnt,
        Code::Underflow, Code::InvalidType, Code::Retry, Code::PurgeQueue,
        Code::PurgeInflight, Code::Fatal, Code::Inconsistent, Code::GaplessGuarantee,
        Code::PollExceeded, Code::UnknownBroker, Code::NotConfigured, Code::Fenced,
        Code::Application, Code::AssignmentLost, Code::Noop, Code::AutoOffsetReset,
        Code::LogTruncation, Code::InvalidDifferentRecord, Code::DestroyBroker, Code::Unknown,
        Code::OffsetOutOfRange, Code::InvalidMessage, Code::UnknownTopicOrPartition, Code::InvalidMessageSize,
        Code::LeaderNotAvailable, Code::NotLeaderForPartition, Code::RequestTimedOut, Code::BrokerNotAvailable,
        Code::ReplicaNotAvailable, Code::MessageSizeTooLarge, Code::StaleControllerEpoch, Code::OffsetMetadataTooLarge,
        Code::NetworkException, Code::CoordinatorLoadInProgress, Code::CoordinatorNotAvailable, Code::NotCoordinator,
        Code::InvalidTopic, Code::MessageBatchTooLarge, Code::NotEnoughReplicas, Code::NotEnoughReplicasAfterAppend,
        Code::InvalidRequiredAcks, Code::IllegalGeneration, Code::InconsistentGroupProtocol, Code::InvalidGroupId,
        Code::UnknownMemberId, Code::InvalidSessionTimeout, Code::RebalanceInProgress, Code::InvalidCommitOffsetSize,
        Code::TopicAuthorizationFailed, Code::GroupAuthorizationFailed, Code::ClusterAuthorizationFailed, Code::InvalidTimestamp,
        Code::UnsupportedSASLMechanism, Code::IllegalSASLState, Code::UnsupportedVersion, Code::TopicAlreadyExists,
        Code::InvalidPartitions, Code::InvalidReplicationFactor, Code::InvalidReplicaAssignment, Code::InvalidConfig,
        Code::NotController, Code::InvalidRequest, Code::UnsupportedForMessageFormat, Code::PolicyViolation,
        Code::OutOfOrderSequenceNumber, Code::DuplicateSequenceNumber, Code::InvalidProducerEpoch, Code::InvalidTransactionalState,
        Code::InvalidProducerIdMapping, Code::InvalidTransactionTimeout, Code::ConcurrentTransactions, Code::TransactionCoordinatorFenced,
        Code::TransactionalIdAuthorizationFailed, Code::SecurityDisabled, Code::OperationNotAttempted, Code::KafkaStorageError,
        Code::LogDirNotFound, Code::SaslAuthenticationFailed, Code::UnknownProducerId, Code::ReassignmentInProgress,
        Code::DelegationTokenAuthDisabled, Code::DelegationTokenNotFound, Code::DelegationTokenOwnerMismatch, Code::DelegationTokenRequestNotAllowed,
        Code::DelegationTokenAuthorizationFailed, Code::DelegationTokenExpired, Code::InvalidPrincipalType, Code::NonEmptyGroup,
        Code::GroupIdNotFound, Code::FetchSessionIdNotFound, Code::InvalidFetchSessionEpoch, Code::ListenerNotFound,
        Code::TopicDeletionDisabled, Code::FencedLeaderEpoch, Code::UnknownLeaderEpoch, Code::UnsupportedCompressionType,
        Code::StaleBrokerEpoch, Code::OffsetNotAvailable, Code::MemberIdRequired, Code::PreferredLeaderNotAvailable,
        Code::GroupMaxSizeReached, Code::FencedInstanceId, Code::EligibleLeadersNotAvailable, Code::ElectionNotNeeded,
        Code::NoReassignmentInProgress, Code::GroupSubscribedToTopic, Code::InvalidRecord, Code::UnstableOffsetCommit,
        Code::ThrottlingQuotaExceeded, Code::ProducerFenced, Code::ResourceNotFound, Code::DuplicateResource,
        Code::UnacceptableCredential, Code::InconsistentVoterSet, Code::InvalidUpdateVersion, Code::FeatureUpdateFailed,
        Code::PrincipalDeserializationFailure, Code::UnknownTopicId, Code::FencedMemberEpoch, Code::UnreleasedInstanceId,
        Code::UnsupportedAssignor, Code::StaleMemberEpoch, Code::UnknownSubscriptionId, Code::TelemetryTooLarge,
        Code::RebootstrapRequired,
    ];

    const FATAL: Flags = Flags { fatal: true, retriable: false, abortable: false };
    const RETRIABLE: Flags = Flags { fatal: false, retriable: true, abortable: false };
    const ABORTABLE: Flags = Flags { fatal: false, retriable: false, abortable: true };
    const NONE: Flags = Flags { fatal: false, retriable: false, abortable: false };

    /// What is done about an error of a transactional call, once repeating has not helped.
    fn action(call: Call, code: Code, flags: Flags) -> (ErrorClass, Action) {
        let class = transaction_class(call, code, flags);
        (class, decide(call, class, class == ErrorClass::Retriable))
    }

    /// What librdkafka documents for each transactional call, and what was met on a real broker.
    #[test]
    fn documented_errors_have_their_class_and_action() {
        use Action::*;
        use Call::*;
        use ErrorClass::*;
        let table = [
            (Recreate, Code::OperationTimedOut, RETRIABLE, Retriable, Resolve),
            (Recreate, Code::ConcurrentTransactions, RETRIABLE, Retriable, Resolve),
            (Recreate, Code::CoordinatorNotAvailable, RETRIABLE, Retriable, Resolve),
            (Recreate, Code::TransactionalIdAuthorizationFailed, FATAL, Fatal, Resolve),
            (Recreate, Code::InvalidTransactionTimeout, FATAL, Fatal, Resolve),
            (Recreate, Code::UnsupportedFeature, FATAL, Fatal, Resolve),
            (Begin, Code::State, NONE, Fatal, Resolve),
            (Begin, Code::Conflict, NONE, Fatal, Resolve),
            (Begin, Code::ProducerFenced, FATAL, Fatal, Resolve),
            (SendOffsets, Code::OperationTimedOut, RETRIABLE, Retriable, AbortAndRerun),
            (SendOffsets, Code::IllegalGeneration, ABORTABLE, Abortable, AbortAndRerun),
            (SendOffsets, Code::UnknownMemberId, ABORTABLE, Abortable, AbortAndRerun),
            (SendOffsets, Code::RebalanceInProgress, ABORTABLE, Abortable, AbortAndRerun),
            // A member that joins again after its coordinator was gone; really replaced, its heartbeat tells.
            (SendOffsets, Code::FencedInstanceId, ABORTABLE, Abortable, AbortAndRerun),
            (SendOffsets, Code::FencedInstanceId, FATAL, Fenced, Exit),
            (SendOffsets, Code::GroupAuthorizationFailed, ABORTABLE, Abortable, AbortAndRerun),
            (SendOffsets, Code::InvalidProducerIdMapping, FATAL, Fatal, Resolve),
            (Commit, Code::OperationTimedOut, RETRIABLE, Retriable, Resolve),
            (Commit, Code::CoordinatorLoadInProgress, RETRIABLE, Retriable, Resolve),
            (Commit, Code::MessageTimedOut, ABORTABLE, Abortable, AbortAndRerun),
            (Commit, Code::Inconsistent, ABORTABLE, Abortable, AbortAndRerun),
            (Commit, Code::OutOfOrderSequenceNumber, ABORTABLE, Abortable, AbortAndRerun),
            (Commit, Code::UnknownProducerId, ABORTABLE, Abortable, AbortAndRerun),
            (Commit, Code::GaplessGuarantee, FATAL, Fatal, Resolve),
            (Commit, Code::ProducerFenced, FATAL, Fatal, Resolve),
            (Commit, Code::InvalidProducerEpoch, FATAL, Fatal, Resolve),
            (Commit, Code::Fenced, FATAL, Fatal, Resolve),
            (Commit, Code::InvalidTransactionalState, NONE, Unknown, Resolve),
            (Abort, Code::OperationTimedOut, RETRIABLE, Retriable, Resolve),
            (Abort, Code::InvalidTransactionalState, NONE, Fatal, Resolve),
            (Abort, Code::ProducerFenced, FATAL, Fatal, Resolve),
        ];
        for (call, code, flags, class, done) in table {
            assert_eq!(action(call, code, flags), (class, done), "{call:?} {code:?} {flags:?}");
        }
    }

    /// Whatever the error, nothing is merged without a look at the group's offsets, nothing is sent twice, and a
    /// transaction whose end is not known is looked up.
    #[test]
    fn every_error_of_every_call_has_a_safe_action() {
        for &code in ALL {
            for call in [Call::Begin, Call::SendOffsets, Call::Commit, Call::Abort, Call::Recreate] {
                let what = format!("{call:?} {code:?}");
                let ends = if code == Code::FencedInstanceId { Action::Exit } else { Action::Resolve };
                assert_eq!(action(call, code, FATAL).1, ends, "fatal: {what}");
                let (class, done) = action(call, code, NONE);
                assert_eq!(done, Action::Resolve, "without a flag: {what}");
                assert_eq!(class == ErrorClass::Unknown, call == Call::Commit, "without a flag: {what}");
                let aborts = matches!(call, Call::Begin | Call::SendOffsets | Call::Commit);
                let done = action(call, code, ABORTABLE).1;
                assert_eq!(done, if aborts { Action::AbortAndRerun } else { Action::Resolve }, "{what}");
                let first = decide(call, transaction_class(call, code, RETRIABLE), false);
                assert_eq!(first, Action::Repeat, "retriable: {what}");
                let last = action(call, code, RETRIABLE).1;
                let aborts = call == Call::SendOffsets;
                assert_eq!(last, if aborts { Action::AbortAndRerun } else { Action::Resolve }, "{what}");
            }
            // Part of a batch may have been sent.
            let done = decide(Call::Produce, plain_class(Call::Produce, code), false);
            assert_ne!(done, Action::Repeat, "produce {code:?}");
        }
    }

    #[test]
    fn plain_errors_have_their_class() {
        let table = [
            (Call::Watermarks, Code::OperationTimedOut, ErrorClass::Retriable),
            (Call::Watermarks, Code::UnknownPartition, ErrorClass::Retriable),
            (Call::Poll, Code::UnknownPartition, ErrorClass::Fatal),
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
