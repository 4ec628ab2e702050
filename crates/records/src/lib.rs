//! The records that travel between Ripen's services, and their Avro encoding.
//!
//! Owns the types of the activities and decisions topics and the lead ids in them; their schemas stand in
//! `schemas/` and are compiled in; also the names and policies of the topics, and a dead letter's headers. It does not own the outward contracts (crate `emitter`) nor the layout of
//! a lead's state (crate `scorer`).

mod activity;
mod avro;
mod codec;
mod decision;
pub mod headers;
mod lead_id;
mod topics;
mod value;

pub use activity::{
    Activity, ActivityRecord, Erase, Field, Input, Link, Origin, Page, Point, Switch, Tick, Transfer, Utm,
};
pub use avro::Fault;
pub use codec::{
    ACTIVITIES_FINGERPRINT, ACTIVITIES_SCHEMA, DECISIONS_FINGERPRINT, DECISIONS_SCHEMA, DecodeError,
    EncodeError, HEADER_BYTES, decode_activity, decode_decision, encode_activity, encode_decision,
};
pub use decision::{
    Alert, Atom, Attribute, AudienceChange, Cause, Change, DecidingInput, Decision, DecisiveActivity,
    Explanation, Handover, HandoverTrait, HistoryEntry, Line, LineKind, ResponseState, ResponseStep, Score,
    StageChange, Touch, Touches, VerdictInForce,
};
pub use headers::{DeadLetter, dead_letter_headers};
pub use lead_id::{IdKind, LeadId, LeadIdError};
pub use topics::{Cleanup, Partitions, Timestamps, TopicSpec, Topics};
pub use value::{MICROS_PER_UNIT, Text, Value};
