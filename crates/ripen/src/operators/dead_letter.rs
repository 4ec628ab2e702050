//! Writing a record that cannot be used to the dead letters: original key, value and headers, and why.

use ripen_records::{DeadLetter, dead_letter_headers, headers};
use ripen_runtime::{Headers, OutRecord, Outbox, Outcome, Record, To};

use super::counts::Counts;

/// Header that names the elements of a batch that could not be used, from 0, separated by commas.
const ELEMENTS: &str = "x-ripen-elements";

/// Elements that are named at most; a batch may have thousands.
const NAMED_ELEMENTS: usize = 100;

/// Header of a record that was too large even for the dead letters: how many bytes it had before it was cut.
const CUT_FROM: &str = "x-ripen-cut-from-bytes";

/// What a dead letter may weigh: the topic's limit of 2 MiB, less the frame around the one record.
const LETTER_BYTES: usize = (2 << 20) - 1024;
/// What key and own headers may weigh, each, of a record that has to be cut.
const CUT_PART_BYTES: usize = 256 << 10;
/// Lengths in front of a header's name and value, at most.
const HEADER_FRAME_BYTES: usize = 10;

/// Longest topic that is believed: a Kafka topic has at most 249 bytes, a file's path may have more.
const TOPIC_BYTES: usize = 4096;

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
            topic: text(headers::TOPIC).filter(|topic| topic.len() <= TOPIC_BYTES)?,
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

/// Writes `record` to `topic` and counts it: it is dealt with.
pub(super) fn refuse(
    topic: &str,
    record: &Record<'_>,
    refusal: &Refusal<'_>,
    counts: &mut Counts,
    out: &mut Outbox,
) -> Outcome {
    write(topic, record, refusal, out);
    counts.add_dead_letter(refusal.reason);
    Outcome::Applied
}

/// Writes `record` to `topic` as it came, its reason and place in headers behind its own. A record over the
/// topic's limit, which would stop the stream for good, is cut and says so.
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
    let mut added: Vec<(&str, Option<&[u8]>)> =
        added.iter().map(|(name, value)| (*name, Some(value.as_bytes()))).collect();
    if !named.is_empty() {
        added.push((ELEMENTS, Some(named.as_bytes())));
    }
    let (mut key, mut value) = (record.key, record.value);
    let mut headers: Vec<(&str, Option<&[u8]>)> =
        record.headers.iter().filter(|(name, _)| !is_ours(name)).collect();
    let added_bytes: usize = added.iter().map(header_bytes).sum();
    let own_bytes = len(key) + len(value) + headers.iter().map(header_bytes).sum::<usize>();
    let cut_from = own_bytes.to_string();
    if own_bytes + added_bytes > LETTER_BYTES {
        key = key.map(|key| cut(key, CUT_PART_BYTES));
        let mut kept_bytes = 0;
        headers.retain(|header| {
            kept_bytes += header_bytes(header);
            kept_bytes <= CUT_PART_BYTES
        });
        added.push((CUT_FROM, Some(cut_from.as_bytes())));
        let beside = len(key) + headers.iter().chain(&added).map(header_bytes).sum::<usize>();
        value = value.map(|value| cut(value, LETTER_BYTES.saturating_sub(beside)));
    }
    headers.extend(added);
    out.push(&OutRecord {
        topic,
        to: To::Key,
        key,
        value,
        headers: Headers::new(&headers),
        // The time of producing: an old record must not fall out of the retention at once.
        timestamp_ms: None,
    });
}

fn header_bytes((name, value): &(&str, Option<&[u8]>)) -> usize {
    HEADER_FRAME_BYTES + name.len() + len(*value)
}

fn len(bytes: Option<&[u8]>) -> usize {
    bytes.map_or(0, <[u8]>::len)
}

fn cut(bytes: &[u8], at: usize) -> &[u8] {
    &bytes[..bytes.len().min(at)]
}

/// Headers of an earlier refusal of the same record, which this one replaces.
fn is_ours(name: &str) -> bool {
    name.starts_with("x-ripen-") || name.starts_with("__connect.errors.")
}

#[cfg(test)]
mod tests {
    use ripen_runtime::TimestampType;

    use super::*;

    const REFUSAL: Refusal<'_> =
        Refusal { service: "ingest", reason: "too_large", detail: "many bytes", elements: &[] };

    /// Writes a record with a key, a value and a header of these sizes; `kept` are those of key and value in the
    /// letter, `None` if it is whole.
    fn check(key: usize, value: usize, header: usize, kept: Option<(usize, std::ops::Range<usize>)>) {
        let (key, value, header) = (vec![1; key], vec![2; value], vec![3; header]);
        let own: [(&str, Option<&[u8]>); 2] = [("own", Some(&header)), ("x-ripen-reason", Some(b"older"))];
        let record = Record {
            topic: "clicks",
            partition: 3,
            offset: 7,
            timestamp_ms: 0,
            timestamp_type: TimestampType::CreateTime,
            key: Some(&key),
            value: Some(&value),
            headers: Headers::new(&own),
        };
        let mut out = Outbox::default();
        write("dead", &record, &REFUSAL, &mut out);
        let letter = out.get(0);
        assert!(out.bytes() <= LETTER_BYTES, "{} bytes", out.bytes());
        assert_eq!(letter.headers.get(headers::REASON), Some(b"too_large".as_slice()));
        assert_eq!(letter.headers.get("own").is_some(), header.len() < CUT_PART_BYTES);
        let cut_from =
            letter.headers.get(CUT_FROM).map(|digits| String::from_utf8_lossy(digits).into_owned());
        let Some((key_bytes, value_bytes)) = kept else {
            assert_eq!((letter.key, letter.value, cut_from), (record.key, record.value, None));
            return;
        };
        let all_bytes = key.len() + value.len() + "own".len() + HEADER_FRAME_BYTES + header.len();
        assert_eq!(cut_from, Some(all_bytes.to_string()));
        assert_eq!(len(letter.key), key_bytes);
        assert!(value_bytes.contains(&len(letter.value)), "{} bytes of value", len(letter.value));
    }

    #[test]
    fn a_letter_is_whole_if_its_topic_takes_it_else_cut() {
        let full = LETTER_BYTES - 1_000..LETTER_BYTES;
        check(10, 1 << 20, 10, None);
        check(10, LETTER_BYTES - 100, 10, Some((10, full.clone())));
        check(10, 8 << 20, 1 << 20, Some((10, full)));
        check(3 << 20, 100, 10, Some((CUT_PART_BYTES, 100..101)));
    }

    #[test]
    fn a_place_that_cannot_be_one_is_not_believed() {
        let long = "x".repeat(TOPIC_BYTES + 1);
        for (topic, expect) in [("other", "other"), (long.as_str(), "clicks")] {
            let named = [
                (headers::TOPIC, Some(topic.as_bytes())),
                (headers::PARTITION, Some(b"1".as_slice())),
                (headers::OFFSET, Some(b"2".as_slice())),
            ];
            let record = Record {
                topic: "clicks",
                partition: 3,
                offset: 7,
                timestamp_ms: 0,
                timestamp_type: TimestampType::CreateTime,
                key: None,
                value: None,
                headers: Headers::new(&named),
            };
            assert_eq!(Place::of(&record).topic, expect);
        }
    }
}
