//! The records of the activities topic: one lead's accepted event, and the control records beside it.

use std::borrow::Cow;

use crate::{Text, Value};

/// A record of `ripen.activities.v1`; its key is the lead id `kind:value` (empty for `Tick` and `Switch`).
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every record is an Activity: a box would cost an allocation"
)]
pub enum ActivityRecord<'a> {
    /// One event of a lead.
    Activity(Activity<'a>),
    /// Two ids are one person.
    Link(Link<'a>),
    /// A lead's whole state on its way to another id.
    Transfer(Transfer<'a>),
    /// Where a stub's lead has gone.
    Point(Point<'a>),
    /// A request to forget a lead.
    Erase(Erase<'a>),
    /// Nothing happened, but time has passed: the broker's timestamp moves the clock.
    Tick(Tick),
    /// From here on another model holds.
    Switch(Switch<'a>),
}

/// One accepted, normalised event of a lead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activity<'a> {
    /// The tracker's event id, or a hash of the record's bytes and its timestamp. At most 256 bytes.
    pub event_id: Text<'a>,
    /// The event's name (`page_view`, `form_submit`, …).
    pub name: Text<'a>,
    /// Event time, corrected, never above `arrival_ms`; ms UTC.
    pub t_ms: i64,
    /// The source record's timestamp, ms UTC.
    pub arrival_ms: i64,
    /// Event time lay beyond `max_future` and was clamped.
    pub clamped: bool,
    /// Where the event was made.
    pub origin: Origin,
    /// Every legal id of the record, `kind:value`, highest rank first; the first one is the record's key.
    pub ids: Vec<Text<'a>>,
    /// The tracker's session id.
    pub session: Option<Text<'a>>,
    /// The page it happened on.
    pub page: Option<Page<'a>>,
    /// Campaign parameters.
    pub utm: Option<Utm<'a>>,
    /// The properties that a model reads, in the record's order; names without the `properties.` in front.
    pub properties: Vec<Field<'a>>,
    /// The traits that a model reads, as carried by this very record.
    pub traits: Vec<Field<'a>>,
    /// The clickstream record it was read from.
    pub input: Input<'a>,
}

/// Where an event was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Origin {
    Unstated,
    Web,
    App,
    Server,
}

/// A page, its path already cut, decoded and collapsed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page<'a> {
    /// The path without scheme, host, query and fragment: `/models/a`.
    pub path: Option<Text<'a>>,
    /// The URL, values of its query that look like personal data cut out.
    pub url: Option<Text<'a>>,
    /// The URL's host.
    pub host: Option<Text<'a>>,
    /// The page's title.
    pub title: Option<Text<'a>>,
    /// The URL it was reached from, cut like `url`.
    pub referrer: Option<Text<'a>>,
    /// The name that the tracker gave to a page or screen.
    pub name: Option<Text<'a>>,
}

/// Campaign parameters, trimmed and lower-cased.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "the names are the parameters' own")]
pub struct Utm<'a> {
    pub source: Option<Text<'a>>,
    pub medium: Option<Text<'a>>,
    pub campaign: Option<Text<'a>>,
    pub term: Option<Text<'a>>,
    pub content: Option<Text<'a>>,
}

/// One named value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name, dots for nested objects: `form`, `address.city`.
    pub name: Text<'a>,
    /// Its value.
    pub value: Value<'a>,
}

/// A place in a source topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input<'a> {
    /// The topic, or a file's name.
    pub topic: Text<'a>,
    /// The partition; 0 for a file.
    pub partition: i32,
    /// The offset, or the number of the line, from 0.
    pub offset: i64,
}

/// Two ids that one record shows to be one person; keyed by the child.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link<'a> {
    /// One id, `kind:value`.
    pub a: Text<'a>,
    /// The other id.
    pub b: Text<'a>,
    /// An explicit alias or merge record, which may join two ids of one rank.
    pub explicit: bool,
    /// The source record's timestamp, ms UTC.
    pub arrival_ms: i64,
}

/// A lead's whole state on its way to the id that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer<'a> {
    /// The id that it leaves.
    pub from: Text<'a>,
    /// The link's arrival, ms UTC.
    pub arrival_ms: i64,
    /// The model epoch the state was written under.
    pub epoch: u32,
    /// The state's format.
    pub format: u16,
    /// The state, in the layout of the changelog.
    pub state: Cow<'a, [u8]>,
}

/// Tells an id where its lead's root is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point<'a> {
    /// The root's id.
    pub root: Text<'a>,
}

/// A request to erase a lead and, if so told, to keep it away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erase<'a> {
    /// The request's own id.
    pub request_id: Text<'a>,
    /// The request's arrival, ms UTC.
    pub arrival_ms: i64,
    /// Whether the id stays suppressed afterwards.
    pub suppress: bool,
}

/// Moves a partition's clock; its time is the broker's timestamp of the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tick {
    /// The owner's wall clock when it wrote the tick, ms UTC; for people, not read.
    pub wall_ms: i64,
}

/// Activates a model, the same one in every partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Switch<'a> {
    /// Counts the activations, from 1.
    pub epoch: u32,
    /// The model file's hash: 64 lower-case hex digits, the key in `ripen.models.v1`.
    pub model_hash: Text<'a>,
    /// The version of the language's semantics.
    pub semantics: u16,
    /// The format in which leads are written from here on.
    pub state_format: u16,
    /// The one instant of the switch, ms UTC.
    pub at_ms: i64,
}
