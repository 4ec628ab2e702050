//! Writing a record that cannot be used to the dead letters: original key, value and headers, and why.

use ripen_records::{DeadLetter, dead_letter_headers, headers};
use ripen_runtime::{Headers, OutRecord, Outbox, Record, To};

/// Header that names the elements of a batch that could not be used, from 0, separated by commas.
const ELEMENTS: &str = "x-ripen-elements";

/// Elements that are named at most; a batch may have thousands.
const NAMED_ELEMENTS: usize = 100;

/// Where a record was first read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place<'a> {
    pub(super) topic: &'a str,
    pub(super) partition: i32,
    pub(super) offset: i64,
}

impl<'a> Place<'a> {
    /// The place that the record's own dead-letter headers name (a dead letter given back keeps the place where
    /// it was first read, a file's line has no other), else where it stands.
    pub(super) fn of(record: &Record<'a>) -> Place<'a> {
        Self::named(&record.headers).unwrap_or(Place {
            topic: record.topic,
            partition: record.partition,
            offset: record.offset,
        })
    }

    fn named(named: &Headers<'a>) -> Option<Place<'a>> {
        if named.is_empty() {
            return None;
        }
        let text = |name| named.get(name).and_then(|value| std::str::from_utf8(value).ok());
        Some(Place {
            topic: text(headers::TOPIC)?,
            partition: text(headers::PARTITION)?.parse().ok()?,
            offset: text(headers::OFFSET)?.parse().ok()?,
        })
    }
}

/// What could not be used, and why.
pub(super) struct Refusal<'a> {
    /// The service that gave up: `ingest`, `scorer`, `emitter`.
    pub(super) service: &'static str,
    /// A word of a closed set.
    pub(super) reason: &'static str,
    /// Where or how much; nothing of the record's content.
    pub(super) detail: &'a str,
    /// The elements of a batch that could not be used; empty if it is the whole record.
    pub(super) elements: &'a [u32],
}

/// Writes `record` to `topic` as it came, its reason and place in headers behind its own.
pub(super) fn write(topic: &str, record: &Record<'_>, refusal: &Refusal<'_>, out: &mut Outbox) {
    let Place { topic: from, partition, offset } = Place::of(record);
    let added = dead_letter_headers(&DeadLetter {
        service: refusal.service,
        reason: refusal.reason,
        detail: refusal.detail,
        topic: from,
        partition,
        offset,
    });
    let named: Vec<String> = refusal.elements.iter().take(NAMED_ELEMENTS).map(u32::to_string).collect();
    let named = named.join(",");
    let mut headers: Vec<(&str, Option<&[u8]>)> =
        record.headers.iter().filter(|(name, _)| !is_ours(name)).collect();
    headers.extend(added.iter().map(|(name, value)| (*name, Some(value.as_bytes()))));
    if !named.is_empty() {
        headers.push((ELEMENTS, Some(named.as_bytes())));
    }
    out.push(&OutRecord {
        topic,
        to: To::Key,
        key: record.key,
        value: record.value,
        headers: Headers::new(&headers),
        // The time of producing: an old record must not fall out of the retention at once.
        timestamp_ms: None,
    });
}

/// Headers of an earlier refusal of the same record, which this one replaces.
fn is_ours(name: &str) -> bool {
    name.starts_with("x-ripen-") || name.starts_with("__connect.errors.")
}
