//! What became of a record: exactly one outcome for each record, or for each element of a batch.

use std::borrow::Cow;
use std::net::IpAddr;

use ripen_records::{Activity, ActivityRecord, LeadId};

use crate::TimeSource;
use crate::json::Raw;

/// One record, or one element of a batch, and what became of it.
#[derive(Debug)]
pub struct Element<'a> {
    /// The element's place in its batch, from 0; `None` for a record that is no batch, or that ended as a whole.
    pub index: Option<u32>,
    /// What became of it.
    pub outcome: Outcome<'a>,
}

/// What became of a record.
#[derive(Debug)]
pub enum Outcome<'a> {
    /// It is an event of a lead; the lead is the first of its ids.
    Accepted {
        /// The event.
        activity: &'a Activity<'a>,
        /// The same, as it travels.
        record: &'a ActivityRecord<'a>,
        /// What was read beside it and does not travel.
        aside: Aside<'a>,
    },
    /// It says that time has passed, on a log of its own.
    Tick {
        /// The instant that has been reached, ms UTC.
        at_ms: i64,
    },
    /// It says that two ids are one person.
    Link {
        /// One id.
        a: LeadId,
        /// The other.
        b: LeadId,
        /// Whatever their ranks: somebody says so, and not only a record that shows both.
        explicit: bool,
        /// When it was said, ms UTC; `None`: now, on a log of its own.
        arrival_ms: Option<i64>,
    },
    /// It is well formed and deliberately not scored.
    Filtered(FilterReason),
    /// It cannot be read. The original bytes belong into the dead letters.
    DeadLetter {
        /// The closed reason: a header and a metric's label.
        reason: DeadReason,
        /// Where or how much, for people; never anything from the record's content.
        detail: Cow<'static, str>,
    },
}

/// Why a well-formed record is not scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FilterReason {
    /// Its ids are all placeholders (`null`, `undefined`, `guest`, an empty text, …).
    IllegalId,
    /// Its user agent declares itself to be a crawler.
    Bot,
    /// A batch without elements.
    EmptyBatch,
}

impl FilterReason {
    /// Every reason.
    pub const ALL: [FilterReason; 3] = [Self::IllegalId, Self::Bot, Self::EmptyBatch];

    /// The reason's word in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::IllegalId => "illegal_id",
            Self::Bot => "bot",
            Self::EmptyBatch => "empty_batch",
        }
    }
}

/// Why a record cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DeadReason {
    /// Not JSON.
    NotJson,
    /// JSON, but not an object with what its type needs.
    WrongShape,
    /// Nothing in it says whose event it is.
    NoId,
    /// Its `type` is none that is known.
    UnknownType,
    /// Over the limit of bytes, or a batch over the limit of elements.
    TooLarge,
    /// Nested deeper than the limit.
    TooDeep,
    /// Its bytes are not UTF-8.
    InvalidUtf8,
    /// It has no value.
    Tombstone,
}

impl DeadReason {
    /// Every reason.
    pub const ALL: [DeadReason; 8] = [
        Self::NotJson,
        Self::WrongShape,
        Self::NoId,
        Self::UnknownType,
        Self::TooLarge,
        Self::TooDeep,
        Self::InvalidUtf8,
        Self::Tombstone,
    ];

    /// The reason's word in headers and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotJson => "not_json",
            Self::WrongShape => "wrong_shape",
            Self::NoId => "no_id",
            Self::UnknownType => "unknown_type",
            Self::TooLarge => "too_large",
            Self::TooDeep => "too_deep",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::Tombstone => "tombstone",
        }
    }
}

/// What was read beside the activity: it stays within ingest. Texts are parsed when they are asked for.
#[derive(Debug, Clone, Copy)]
pub struct Aside<'a> {
    /// Where event time came from.
    pub time_source: TimeSource,
    /// Bit n: the record says that the activity's n-th id is another name of the person.
    pub(crate) aliases: u16,
    pub(crate) ip: Raw<'a>,
    pub(crate) group: Raw<'a>,
    pub(crate) consent: RawConsent<'a>,
}

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RawConsent<'a> {
    pub(crate) categories: Raw<'a>,
    pub(crate) allowed: Raw<'a>,
    pub(crate) denied: Raw<'a>,
}

/// What the visitor allowed. Categories are the site's own words; at most
/// [`bounds::CONSENT_CATEGORIES`](crate::bounds::CONSENT_CATEGORIES) are kept on either side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Consent {
    /// The record says nothing.
    Unstated,
    /// The record names categories; one that is not among `granted` is denied.
    Stated {
        /// Allowed categories.
        granted: Vec<String>,
        /// Denied categories.
        denied: Vec<String>,
    },
}

impl<'a> Aside<'a> {
    /// The client's address without its port.
    pub fn ip(&self) -> Option<IpAddr> {
        let text = self.ip.text()?;
        let text = text.trim();
        if let Ok(address) = text.parse::<IpAddr>() {
            return Some(address);
        }
        if let Ok(socket) = text.parse::<std::net::SocketAddr>() {
            return Some(socket.ip());
        }
        text.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
    }

    /// The account that the person belongs to, as the tracker names it.
    pub fn group_id(&self) -> Option<Cow<'a, str>> {
        self.group.text().filter(|group| !group.is_empty())
    }

    /// What the visitor allowed. Segment's empty object of categories denies all of them.
    pub fn consent(&self) -> Consent {
        if let Some(flags) = self.consent.categories.flags() {
            let (granted, denied): (Vec<_>, Vec<_>) = flags.into_iter().partition(|(_, allowed)| *allowed);
            let names = |flags: Vec<(String, bool)>| flags.into_iter().map(|(name, _)| name).collect();
            return Consent::Stated { granted: names(granted), denied: names(denied) };
        }
        match (self.consent.allowed.texts(), self.consent.denied.texts()) {
            (None, None) => Consent::Unstated,
            (granted, denied) => {
                Consent::Stated { granted: granted.unwrap_or_default(), denied: denied.unwrap_or_default() }
            }
        }
    }
}
