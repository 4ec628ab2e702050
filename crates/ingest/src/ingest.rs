//! The order in which a record is looked at: size, UTF-8, depth, JSON, envelope; then, for each message: type,
//! ids, user agent, times.
//!
//! Whatever fails first decides. The parser's quick path gives up beyond the depth and the general one is asked only
//! once the depth is known; everything up to there is linear in the record's bytes and needs no memory, so that
//! hostile records cost little.

use std::borrow::Cow;

use ripen_records::{ActivityRecord, LeadId, Text};
use serde_json::error::Category;

use crate::bots::Bots;
use crate::identity::{NoId, Ranked};
use crate::json::{self, Raw, Shape};
use crate::needed::{Needed, PageFields, Projection};
use crate::outcome::{Aside, DeadReason, Element, FilterReason, Outcome};
use crate::ripen::Stated;
use crate::segment::Message;
use crate::time::{Arrival, LastDay, Times, is_within_calendar};
use crate::{Format, Source, ripen};

/// The bounds of a record. Anything beyond is a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a record's value. Default 1 MiB, a broker's own default.
    pub value_bytes: usize,
    /// Levels of nested objects and lists. Default 32; trackers need 5.
    pub depth: usize,
    /// Elements of a batch. Default 2,500: over what fits Segment's limit of 500 KB a batch.
    pub batch_elements: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { value_bytes: 1 << 20, depth: 32, batch_elements: 2_500 }
    }
}

/// Reads raw records. One per partition's owner: what it remembers (verdicts on user agents, the day of the last
/// event) changes nothing but the cost.
#[derive(Debug)]
pub struct Ingest {
    limits: Limits,
    arrival: Arrival,
    page: PageFields,
    properties: Projection,
    traits: Projection,
    max_future_ms: i64,
    memory: Memory,
}

#[derive(Debug)]
struct Memory {
    bots: Bots,
    day: LastDay,
    /// Room for the ids of a record.
    ids: Vec<LeadId>,
}

impl Ingest {
    /// An ingest that keeps what the models need.
    pub fn new(limits: Limits, arrival: Arrival, needed: &Needed) -> Ingest {
        let mut ingest = Ingest {
            limits,
            arrival,
            page: PageFields::default(),
            properties: Projection::default(),
            traits: Projection::default(),
            max_future_ms: 0,
            memory: Memory { bots: Bots::new(), day: LastDay::default(), ids: Vec::new() },
        };
        ingest.set_needed(needed);
        ingest
    }

    /// Keeps other fields from here on: other models are in force.
    pub fn set_needed(&mut self, needed: &Needed) {
        self.page = needed.page;
        self.properties = Projection::new(&needed.properties);
        self.traits = Projection::new(&needed.traits);
        self.max_future_ms = needed.max_future_ms.max(0);
    }

    /// Reads one record (`None` is a tombstone) and tells `sink` what became of it, or of each element if it is
    /// a batch: once each, in order.
    pub fn read(
        &mut self,
        format: Format,
        source: &Source<'_>,
        value: Option<&[u8]>,
        sink: &mut dyn FnMut(Element<'_>),
    ) {
        let read = match format {
            Format::Segment => self.read_checked(source, value, None, sink),
            Format::Ripen => self.read_line(source, value, sink),
        };
        if let Err((reason, detail)) = read {
            sink(Element { index: None, outcome: Outcome::DeadLetter { reason, detail } });
        }
    }

    /// The value, if there is one of a size that is read.
    fn bounded<'v>(&self, value: Option<&'v [u8]>) -> Result<&'v [u8], Dead> {
        let value = value.ok_or((DeadReason::Tombstone, "no value".into()))?;
        if value.len() > self.limits.value_bytes {
            return Err((DeadReason::TooLarge, format!("{} bytes", value.len()).into()));
        }
        Ok(value)
    }

    /// Fails before anything was told to `sink`.
    fn read_checked(
        &mut self,
        source: &Source<'_>,
        value: Option<&[u8]>,
        stated: Option<&Stated>,
        sink: &mut dyn FnMut(Element<'_>),
    ) -> Result<(), Dead> {
        let value = self.bounded(value)?;
        let text = match simdutf8::basic::from_utf8(value) {
            Ok(text) => text,
            Err(_) => {
                let error = simdutf8::compat::from_utf8(value).err();
                let at = error.map_or(0, |error| error.valid_up_to());
                return Err((DeadReason::InvalidUtf8, format!("at byte {at}").into()));
            }
        };
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut message = Message::new(text, &self.properties, &self.traits);
        match json::read_bounded(text, self.limits.depth, &mut message) {
            None => {
                return Err((DeadReason::TooDeep, format!("over {} levels", self.limits.depth).into()));
            }
            Some(Ok(Shape::Object)) => {}
            Some(Ok(Shape::Other)) => return Err((DeadReason::WrongShape, "not an object".into())),
            Some(Err(error)) => return Err(unreadable(&error)),
        }
        if message.batch.is_absent() {
            let reader = Reader { stated, ..self.reader() };
            reader.finish(&mut message, text, source, &mut self.memory, &mut |outcome| {
                sink(Element { index: None, outcome });
            });
            return Ok(());
        }
        let (batch, envelope) = (message.batch, message.times);
        self.read_batch(batch, envelope, source, sink)
    }

    /// A line of Ripen's own: its message is read like a tracker's, then completed.
    fn read_line(
        &mut self,
        source: &Source<'_>,
        value: Option<&[u8]>,
        sink: &mut dyn FnMut(Element<'_>),
    ) -> Result<(), Dead> {
        let value = self.bounded(value)?;
        let stated = match ripen::Line::parse(value) {
            Ok(ripen::Line::Activity(stated)) => stated,
            Ok(ripen::Line::Link { a, b, explicit }) => {
                let arrival_ms = (self.arrival == Arrival::Source).then_some(source.timestamp_ms);
                sink(Element { index: None, outcome: Outcome::Link { a, b, explicit, arrival_ms } });
                return Ok(());
            }
            Ok(ripen::Line::Tick(at_ms)) if self.arrival == Arrival::FromRecord => {
                sink(Element { index: None, outcome: Outcome::Tick { at_ms } });
                return Ok(());
            }
            Ok(ripen::Line::Tick(_)) => {
                let detail = "a tick belongs into a file: the clock of a topic is that of its brokers";
                return Err((DeadReason::WrongShape, detail.into()));
            }
            Err(ripen::Refusal::Filtered(reason)) => {
                sink(Element { index: None, outcome: Outcome::Filtered(reason) });
                return Ok(());
            }
            Err(ripen::Refusal::Dead(reason, detail)) => return Err((reason, detail)),
        };
        self.read_checked(source, Some(stated.message.as_bytes()), Some(&stated), sink)
    }

    fn reader(&self) -> Reader<'static> {
        Reader { arrival: self.arrival, page: self.page, max_future_ms: self.max_future_ms, stated: None }
    }

    fn read_batch(
        &mut self,
        batch: Raw<'_>,
        envelope: Times<'_>,
        source: &Source<'_>,
        sink: &mut dyn FnMut(Element<'_>),
    ) -> Result<(), Dead> {
        if !batch.is_array() {
            return Err((DeadReason::WrongShape, "batch is no list".into()));
        }
        let elements = batch.elements(self.limits.batch_elements);
        if elements.len() > self.limits.batch_elements {
            let detail = format!("batch of over {} elements", self.limits.batch_elements);
            return Err((DeadReason::TooLarge, detail.into()));
        }
        if elements.is_empty() {
            sink(Element { index: None, outcome: Outcome::Filtered(FilterReason::EmptyBatch) });
        }
        let reader = self.reader();
        for (index, element) in elements.into_iter().enumerate() {
            let index = u32::try_from(index).ok();
            let mut told = |outcome: Outcome<'_>| sink(Element { index, outcome });
            let mut message = Message::new(element.nested(), &self.properties, &self.traits);
            match element.read(&mut message) {
                Ok(Shape::Object) if message.batch.is_absent() => {
                    message.times.sent_at = message.times.sent_at.or_if_empty(envelope.sent_at);
                    message.times.received_at = message.times.received_at.or_if_empty(envelope.received_at);
                    reader.finish(&mut message, element.nested(), source, &mut self.memory, &mut told);
                }
                Ok(Shape::Object) => told(dead((DeadReason::WrongShape, "batch within a batch".into()))),
                Ok(Shape::Other) => told(dead((DeadReason::WrongShape, "not an object".into()))),
                Err(error) => told(dead(unreadable(&error))),
            }
        }
        Ok(())
    }
}

/// The room of a list for another one: collecting into one of the same size of elements happens in place.
fn emptied<T>(ids: Vec<Text<'_>>) -> Vec<T> {
    ids.into_iter().filter_map(|_| None).collect()
}

type Dead = (DeadReason, Cow<'static, str>);

fn dead((reason, detail): Dead) -> Outcome<'static> {
    Outcome::DeadLetter { reason, detail }
}

/// Only the place is told: the parser's own words may quote the record.
fn unreadable(error: &serde_json::Error) -> Dead {
    let reason = match error.classify() {
        Category::Data => DeadReason::WrongShape,
        Category::Syntax | Category::Eof | Category::Io => DeadReason::NotJson,
    };
    (reason, format!("line {} column {}", error.line(), error.column()).into())
}

/// What is left to do once a message is read.
#[derive(Clone, Copy)]
struct Reader<'s> {
    arrival: Arrival,
    page: PageFields,
    max_future_ms: i64,
    /// What a line of Ripen's own says beside its message.
    stated: Option<&'s Stated>,
}

impl Reader<'_> {
    fn finish(
        self,
        message: &mut Message<'_, '_>,
        bytes: &str,
        source: &Source<'_>,
        memory: &mut Memory,
        told: &mut dyn FnMut(Outcome<'_>),
    ) {
        let call = match message.call() {
            Ok(call) => call,
            Err((reason, detail)) => return told(dead((reason, detail.into()))),
        };
        let Ranked { ids, aliases } = match message.ids(&call, std::mem::take(&mut memory.ids)) {
            Ok(ranked) => ranked,
            Err(NoId::Illegal) => return told(Outcome::Filtered(FilterReason::IllegalId)),
            Err(NoId::Missing) => return told(dead((DeadReason::NoId, "no id".into()))),
            Err(NoId::TooLong) => return told(dead((DeadReason::NoId, "id over 256 bytes".into()))),
        };
        if message.user_agent().is_some_and(|user_agent| memory.bots.is_bot(&user_agent)) {
            return told(Outcome::Filtered(FilterReason::Bot));
        }
        let moment =
            message.times.settle(self.arrival, source.timestamp_ms, self.max_future_ms, &mut memory.day);
        if !is_within_calendar(moment.arrival_ms) {
            return told(dead((DeadReason::WrongShape, "arrival before 1970 or after 2200".into())));
        }
        let aside = Aside {
            time_source: moment.source,
            aliases,
            ip: message.ip(),
            group: message.group(),
            consent: message.consent(),
        };
        let mut activity = message.take_activity(call, ids, moment, self.page, bytes, source);
        if let Some(stated) = self.stated {
            stated.complete(&mut activity, self.arrival, source.timestamp_ms, self.max_future_ms);
        }
        let record = ActivityRecord::Activity(activity);
        if let ActivityRecord::Activity(activity) = &record {
            told(Outcome::Accepted { activity, record: &record, aside });
        }
        if let ActivityRecord::Activity(activity) = record {
            memory.ids = emptied(activity.ids);
        }
    }
}
