//! Raw record to activity: formats, time, bots, identity.
//!
//! Owns everything between the bytes of a clickstream record and an [`Activity`]: decoding, the correction of
//! event times, the ids of a lead, what is cut or hashed because it is personal, and which user agents are
//! crawlers. Every record, and every element of a batch, ends in exactly one [`Outcome`].
//!
//! It does not know Kafka, scores nothing, and learns from a model only which fields to keep: whatever no
//! model reads never leaves this crate. It has no clock; when a record arrived is part of its [`Source`].
//!
//! [`Activity`]: ripen_records::Activity

mod bots;
pub mod bounds;
mod identity;
mod ingest;
mod json;
mod links;
mod needed;
mod outcome;
mod page;
mod privacy;
mod ripen;
mod segment;
mod time;

pub use identity::is_illegal_id;
pub use ingest::{Ingest, Limits};
pub use links::{RecentLinks, links};
pub use needed::{Needed, NeededField, PageFields, Sensitive};
pub use outcome::{Aside, Consent, DeadReason, Element, FilterReason, Outcome};
pub use page::normalise_path;
pub use ripen::lead_id;
pub use time::{Arrival, TimeSource};

/// Where a raw record stands, and when it got there.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The topic, or a file's name.
    pub topic: &'a str,
    /// The partition; 0 for a file.
    pub partition: i32,
    /// The offset, or the number of the line, from 0.
    pub offset: i64,
    /// The record's timestamp, ms UTC.
    pub timestamp_ms: i64,
}

/// The shape of a topic's records. Fixed per topic, never guessed per record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// JSON of Segment, `RudderStack` and their like: one message, or a batch envelope.
    Segment,
    /// Ripen's own activities: one JSON object, see `schemas/ripen-input.v1.schema.json`.
    Ripen,
}

impl Format {
    /// Every format.
    pub const ALL: [Format; 2] = [Format::Segment, Format::Ripen];

    /// Its word in configuration and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Format::Segment => "segment",
            Format::Ripen => "ripen",
        }
    }

    /// The format of that word.
    pub fn parse(word: &str) -> Option<Format> {
        Self::ALL.into_iter().find(|format| format.as_str() == word)
    }
}
