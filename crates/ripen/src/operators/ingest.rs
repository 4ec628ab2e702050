//! Ingest as an operator: raw records in, activities keyed by lead out.

use std::collections::BTreeMap;

use ripen_ingest::{
    Arrival, Aside, DeadReason, Element, Format, Ingest, Limits, Needed, RecentLinks, Source, links,
};
use ripen_records::{Activity, ActivityRecord, Link, Text, Tick, Topics, encode_activity};
use ripen_runtime::{Blocked, Headers, Operator, OutRecord, Outbox, Outcome, Record, To, Wiring};

use super::blocked::no_model;
use super::counts::Counts;
use super::dead_letter::{self, Place, Refusal};
use super::{Models, needed};

/// The largest activity that is written: with its key and frame below a topic's usual limit of 1 MiB.
const ACTIVITY_BYTES: usize = 1_000_000;

/// Reads source topics of known formats.
#[derive(Debug)]
pub struct IngestOperator {
    topics: Topics,
    /// A handful, compared for each record: that costs less than hashing its topic.
    formats: Vec<(String, Format)>,
    ingest: Ingest,
    recent_links: RecentLinks,
    models: Models,
    counts: Counts,
    /// The largest arrival or tick of a log of its own so far: when what has no time of its own was said.
    latest_ms: i64,
    // Reused from record to record.
    encoded: Vec<u8>,
}

impl IngestOperator {
    /// An ingest of these source topics, each with its format.
    pub fn new(
        topics: Topics,
        sources: impl IntoIterator<Item = (String, Format)>,
        limits: Limits,
        arrival: Arrival,
    ) -> IngestOperator {
        IngestOperator {
            topics,
            formats: sources.into_iter().collect(),
            ingest: Ingest::new(limits, arrival, &Needed::default()),
            recent_links: RecentLinks::default(),
            models: Models::default(),
            counts: Counts::new("ingest"),
            latest_ms: 0,
            encoded: Vec::new(),
        }
    }

    /// The models that came through the log.
    pub fn models(&self) -> &Models {
        &self.models
    }

    /// Committed outcomes since the start, by their word.
    pub fn totals(&self) -> &BTreeMap<&'static str, u64> {
        self.counts.totals()
    }
}

impl Operator for IngestOperator {
    fn wiring(&self) -> Wiring {
        let mut inputs: Vec<String> = self.formats.iter().map(|(topic, _)| topic.clone()).collect();
        inputs.sort();
        Wiring {
            inputs,
            tables: vec![self.topics.models.clone()],
            outputs: vec![self.topics.activities.clone(), self.topics.dead_letters.clone()],
            changelog: None,
            clocked: false,
        }
    }

    fn apply(&mut self, record: &Record<'_>, out: &mut Outbox) -> Outcome {
        // Without a model nobody knows which fields to keep.
        if self.models.newest().is_none() {
            return Outcome::Blocked(no_model());
        }
        let Some(format) =
            self.formats.iter().find(|(topic, _)| topic == record.topic).map(|(_, format)| *format)
        else {
            return Outcome::Blocked(Blocked {
                reason: format!("topic {} has no format", record.topic),
                advice: "name it under `sources` in the configuration".to_owned(),
            });
        };
        let Place { topic, partition, offset } = Place::of(record);
        let source = Source { topic, partition, offset, timestamp_ms: record.timestamp_ms };
        let Self { topics, ingest, recent_links, counts, encoded, latest_ms, .. } = self;
        let mut dead = Dead::default();
        ingest.read(format, &source, record.value, &mut |element: Element<'_>| match element.outcome {
            ripen_ingest::Outcome::Accepted { activity, record, aside } => {
                *latest_ms = activity.arrival_ms.max(*latest_ms);
                write_links(topics, activity, &aside, recent_links, encoded, out);
                match write_activity(topics, activity, record, encoded, out) {
                    Ok(()) => counts.add("accepted"),
                    Err(bytes) => {
                        counts.add_dead_letter(DeadReason::TooLarge.as_str());
                        dead.add(DeadReason::TooLarge, &format!("activity of {bytes} bytes"), element.index);
                    }
                }
            }
            ripen_ingest::Outcome::Tick { at_ms } => {
                *latest_ms = at_ms.max(*latest_ms);
                let tick = ActivityRecord::Tick(Tick { wall_ms: at_ms });
                // Ticks come from files only, and a file's log has one partition of activities.
                write_control(topics, To::Partition(0), None, &tick, at_ms, encoded, out);
                counts.add("ticked");
            }
            ripen_ingest::Outcome::Link { a, b, explicit, arrival_ms } => {
                let arrival_ms = arrival_ms.unwrap_or(*latest_ms);
                let (child, parent) = if a < b { (b, a) } else { (a, b) };
                let (child, parent) = (Text::from(child.as_str()), Text::from(parent.as_str()));
                let link = Link { a: child, b: parent, explicit, arrival_ms };
                write_link(topics, link, encoded, out);
                counts.add("accepted");
            }
            ripen_ingest::Outcome::Filtered(reason) => counts.add(reason.as_str()),
            ripen_ingest::Outcome::DeadLetter { reason, detail } => {
                counts.add_dead_letter(reason.as_str());
                dead.add(reason, &detail, element.index);
            }
        });
        for (reason, refused) in dead.0 {
            let Refused { detail, elements } = refused;
            let refusal =
                Refusal { service: "ingest", reason: reason.as_str(), detail: &detail, elements: &elements };
            dead_letter::write(&topics.dead_letters, record, &refusal, out);
        }
        Outcome::Applied
    }

    fn committed(&mut self) {
        self.counts.commit();
        self.recent_links.commit();
    }

    fn aborted(&mut self) {
        self.counts.abort();
        self.recent_links.abort();
    }

    fn table_record(&mut self, _topic: &str, key: &[u8], value: Option<&[u8]>) {
        self.models.record(key, value);
        if let Some(needed) = needed::of(self.models.iter()) {
            self.ingest.set_needed(&needed);
        }
    }

    fn outcomes(&mut self, report: &mut dyn FnMut(&'static str, u64)) {
        self.counts.report(report);
    }
}

/// What of one record could not be read, by reason. A batch is written once for each reason, not once for each
/// element, so that a bad one cannot multiply itself.
#[derive(Debug, Default)]
struct Dead(BTreeMap<DeadReason, Refused>);

#[derive(Debug)]
struct Refused {
    /// Of the first one.
    detail: String,
    elements: Vec<u32>,
}

impl Dead {
    fn add(&mut self, reason: DeadReason, detail: &str, element: Option<u32>) {
        let first = || Refused { detail: detail.to_owned(), elements: Vec::new() };
        self.0.entry(reason).or_insert_with(first).elements.extend(element);
    }
}

/// Writes what an activity shows of its ids, before it: whoever it belongs to should be whole when it comes. A link holds
/// whatever becomes of the activity.
fn write_links(
    topics: &Topics,
    activity: &Activity<'_>,
    aside: &Aside<'_>,
    recent: &mut RecentLinks,
    encoded: &mut Vec<u8>,
    out: &mut Outbox,
) {
    for link in links(activity, aside) {
        if recent.is_new(&link) {
            write_link(topics, link, encoded, out);
        }
    }
}

/// Writes a link to its child.
fn write_link(topics: &Topics, link: Link<'_>, encoded: &mut Vec<u8>, out: &mut Outbox) {
    let (child, arrival_ms) = (link.a.clone(), link.arrival_ms);
    let link = ActivityRecord::Link(link);
    write_control(topics, To::Key, Some(child.as_bytes()), &link, arrival_ms, encoded, out);
}

/// Writes an activity; one that its topic would refuse, which would stop the stream for good, is answered with its
/// size.
fn write_activity(
    topics: &Topics,
    activity: &Activity<'_>,
    record: &ActivityRecord<'_>,
    encoded: &mut Vec<u8>,
    out: &mut Outbox,
) -> Result<(), usize> {
    encoded.clear();
    encode_activity(record, encoded).expect("an activity of our own fits its schema");
    if encoded.len() > ACTIVITY_BYTES {
        return Err(encoded.len());
    }
    out.push(&OutRecord {
        topic: &topics.activities,
        to: To::Key,
        key: Some(activity.ids[0].as_bytes()),
        value: Some(encoded),
        headers: Headers::EMPTY,
        // The broker overwrites it (`LogAppendTime`); over a log of its own it is the clock.
        timestamp_ms: Some(activity.arrival_ms),
    });
    Ok(())
}

/// Writes a record that is no activity.
fn write_control(
    topics: &Topics,
    to: To,
    key: Option<&[u8]>,
    record: &ActivityRecord<'_>,
    timestamp_ms: i64,
    encoded: &mut Vec<u8>,
    out: &mut Outbox,
) {
    encoded.clear();
    encode_activity(record, encoded).expect("a control record fits its schema");
    out.push(&OutRecord {
        topic: &topics.activities,
        to,
        key,
        value: Some(encoded),
        headers: Headers::EMPTY,
        timestamp_ms: Some(timestamp_ms),
    });
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use ripen_runtime::TimestampType;

    use super::*;

    /// A model that reads a property in each of `count` rules.
    fn model(count: usize) -> String {
        let mut model = "apiVersion: ripen/v1\n\
            model: {id: wide, version: 1, agreed_by: [marketing], requires_agreement_of: [marketing]}\n\
            scores: {interest: {half_life: 7d, range: [0, 100]}}\n\
            stages: [{id: visitor, owner: marketing}, {id: warm, owner: marketing, enter: \"score.interest >= 5\"}]\n\
            rules:\n"
            .to_owned();
        for n in 0..count {
            let _ = writeln!(
                model,
                "  - {{id: r{n}, event: x, where: \"properties.p{n} == 'a'\", points: {{interest: 5}}, \
                 once_per: [day]}}"
            );
        }
        model
    }

    /// Ingest of a source of clicks, under such a model.
    fn ingest(count: usize, limits: Limits) -> IngestOperator {
        let file = model(count);
        let hash = ripen_model::compile("wide.yaml", &file).unwrap_or_else(|errors| panic!("{errors}")).hash;
        let source = [("clicks".to_owned(), Format::Segment)];
        let mut ingest = IngestOperator::new(Topics::with_prefix(""), source, limits, Arrival::Source);
        ingest.table_record("", hash.as_bytes(), Some(file.as_bytes()));
        ingest
    }

    fn click(value: &[u8]) -> Record<'_> {
        Record {
            topic: "clicks",
            partition: 0,
            offset: 0,
            timestamp_ms: 0,
            timestamp_type: TimestampType::CreateTime,
            key: None,
            value: Some(value),
            headers: Headers::EMPTY,
        }
    }

    #[test]
    fn a_link_goes_in_front_of_its_activity_once_it_is_committed_not_again() {
        let mut ingest = ingest(1, Limits::default());
        let keys_of = |ingest: &mut IngestOperator| {
            let value = br#"{"type":"page","messageId":"m","anonymousId":"a","userId":"u"}"#;
            let mut out = Outbox::default();
            assert_eq!(ingest.apply(&click(value), &mut out), Outcome::Applied);
            let keys =
                out.iter().map(|record| String::from_utf8_lossy(record.key.expect("a key")).into_owned());
            keys.collect::<Vec<_>>()
        };
        for _ in 0..2 {
            assert_eq!(keys_of(&mut ingest), ["anon:a", "user:u"], "what was aborted is written again");
            ingest.aborted();
        }
        assert_eq!(keys_of(&mut ingest), ["anon:a", "user:u"]);
        assert_eq!(keys_of(&mut ingest), ["user:u"], "in one transaction once");
        ingest.committed();
        assert_eq!(keys_of(&mut ingest), ["user:u"]);
    }

    #[test]
    fn an_activity_that_its_topic_would_refuse_is_a_dead_letter() {
        let topics = Topics::with_prefix("");
        let mut ingest = ingest(20, Limits { value_bytes: 4 << 20, ..Limits::default() });
        let list = format!("[{}]", vec![format!("\"{}\"", "x".repeat(1_024)); 64].join(","));
        for (count, expect) in [(10, &topics.activities), (20, &topics.dead_letters)] {
            let properties: Vec<String> = (0..count).map(|n| format!("\"p{n}\":{list}")).collect();
            let value = format!(
                r#"{{"type":"track","messageId":"m","anonymousId":"a","event":"x","properties":{{{}}}}}"#,
                properties.join(",")
            );
            let mut out = Outbox::default();
            assert_eq!(ingest.apply(&click(value.as_bytes()), &mut out), Outcome::Applied);
            let written: Vec<&str> = out.iter().map(|record| record.topic).collect();
            assert_eq!(written, [expect.as_str()], "{count} lists of 64 KiB");
        }
    }
}
