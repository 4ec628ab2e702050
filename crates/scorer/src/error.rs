//! What a caller has to know when something is not applied.

/// Why an activity was not counted. Every one of them is a regular outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FilterReason {
    /// An activity with this event id has been accepted already.
    Duplicate,
    /// It is older than `late_accept`, or older than what the lead still remembers.
    Late,
    /// It arrived before its lead was erased.
    Erased,
    /// Its lead was erased for good.
    Suppressed,
}

impl FilterReason {
    /// Every reason.
    pub const ALL: [FilterReason; 4] =
        [FilterReason::Duplicate, FilterReason::Late, FilterReason::Erased, FilterReason::Suppressed];

    /// The word in metrics and traces.
    pub const fn as_str(self) -> &'static str {
        match self {
            FilterReason::Duplicate => "duplicate",
            FilterReason::Late => "late",
            FilterReason::Erased => "erased",
            FilterReason::Suppressed => "suppressed",
        }
    }
}

/// Why a record was not applied at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No model has been activated yet: nothing of the record is staged; apply it again after a switch.
    #[error("no model is active")]
    NoModel,
    /// The key is no lead id. A dead letter.
    #[error("the record's key is no lead id: {0}")]
    LeadId(#[from] ripen_records::LeadIdError),
    /// A timestamp beyond ±2⁴⁶ ms (the years −260 to 4199). A dead letter.
    #[error("timestamp {timestamp_ms} is beyond the calendar")]
    Timestamp {
        /// The timestamp.
        timestamp_ms: i64,
    },
    /// The switch asks for semantics or a state format that this version does not know. Blocks.
    #[error("switch to semantics {semantics} and state format {state_format} is beyond this version")]
    SwitchVersion {
        /// The version of the semantics asked for.
        semantics: u16,
        /// The state format asked for.
        state_format: u16,
    },
    /// The switch names another model than the one given.
    #[error("switch names model {named}, but was given {given}")]
    SwitchModel {
        /// The hash in the record.
        named: String,
        /// The hash of the model.
        given: String,
    },
    /// The lead's committed bytes cannot be read. Blocks.
    #[error("{0}")]
    State(#[from] StateError),
}

/// Why committed bytes cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// Fewer bytes than the layout says.
    #[error("state ends after {bytes} bytes")]
    Truncated {
        /// Their number.
        bytes: usize,
    },
    /// More bytes than the layout says.
    #[error("state has {bytes} bytes too many")]
    Trailing {
        /// Their number.
        bytes: usize,
    },
    /// Written by another version.
    #[error("state format {format} is unknown")]
    Format {
        /// The format in the header.
        format: u16,
    },
    /// A kind of entry that is not executed yet.
    #[error("state kind {kind} is unknown")]
    Kind {
        /// The kind in the header.
        kind: u8,
    },
    /// The value names another lead than its key.
    #[error("state belongs to another lead")]
    OtherLead,
    /// Something names a place that the model does not have.
    #[error("state names {what} {ix}, which the model does not have")]
    Unknown {
        /// What it is.
        what: &'static str,
        /// Its place.
        ix: u64,
    },
    /// The partition was written under another model.
    #[error("state was written under model {written}, not {given}")]
    Model {
        /// The hash in the partition's meta record; empty for none.
        written: String,
        /// The hash of the model given.
        given: String,
    },
    /// A lead was written under a model that is not known here.
    #[error("state was written in epoch {epoch}, whose model is not known here")]
    Epoch {
        /// The epoch.
        epoch: u32,
    },
    /// A text is not UTF-8.
    #[error("state holds a text that is not UTF-8")]
    Text,
}
