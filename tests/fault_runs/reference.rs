//! The sequential reference: each service's operator, one record after the other, one transaction a record. No log, no
//! worker, no batches, nothing that can fail.

use std::collections::BTreeMap;

use ripen::operators::{EmitterOperator, IngestOperator, ScorerOperator};
use ripen_emitter::EmitOptions;
use ripen_harness::ConsoleRecord;
use ripen_ingest::{Arrival, Format, Limits};
use ripen_records::Topics;
use ripen_runtime::{Changelog, Headers, Operator, OutRecord, Outbox, Outcome, Record, TimestampType};

/// A record of a topic, to the last byte.
pub(crate) type Stored = ConsoleRecord<Vec<u8>>;

/// A record that an operator writes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Written {
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, String)>,
}

/// By topic, in the order of writing.
pub(crate) type Output = BTreeMap<String, Vec<Written>>;

/// The newest value of each key of the changelog, by partition and key; tombstones too.
pub(crate) type Leads = BTreeMap<(i32, Vec<u8>), Option<Vec<u8>>>;

/// What ingest makes of the source.
pub(crate) fn ingest(topics: &Topics, source: &str, models: &[Stored], records: &[Stored]) -> Output {
    let sources = [(source.to_owned(), Format::Segment)];
    let mut operator = IngestOperator::new(topics.clone(), sources, Limits::default(), Arrival::Source);
    tables(&mut operator, &topics.models, models);
    let mut output = Output::new();
    for record in records {
        apply(&mut operator, source, TimestampType::CreateTime, record, &mut output, |_| {});
    }
    output
}

/// What the scorer makes of the activities.
pub(crate) fn score(
    topics: &Topics,
    partitions: i32,
    models: &[Stored],
    records: &[Stored],
) -> (Output, Leads) {
    let mut operator = ScorerOperator::new(topics.clone());
    tables(&mut operator, &topics.models, models);
    for partition in 0..partitions {
        operator.assigned(partition);
        operator.restored(partition, None).expect("a partition without history");
    }
    let (mut output, mut leads) = (Output::new(), Leads::new());
    for record in records {
        let seal = |operator: &mut ScorerOperator| {
            let mut sealed = Outbox::default();
            let mut changelog = Changelog::new(&mut sealed, &topics.leads, record.partition);
            operator.seal(record.partition, &mut changelog, &mut Vec::new());
            for lead in sealed.iter() {
                let key = lead.key.unwrap_or_default().to_vec();
                leads.insert((record.partition, key), lead.value.map(<[u8]>::to_vec));
            }
        };
        let time = TimestampType::LogAppendTime;
        apply(&mut operator, &topics.activities, time, record, &mut output, seal);
    }
    (output, leads)
}

/// What the emitter makes of the decisions.
pub(crate) fn emit(topics: &Topics, namespace: &str, records: &[Stored]) -> Output {
    let options = EmitOptions::new(namespace).expect("a namespace");
    let mut operator = EmitterOperator::new(topics.clone(), options);
    let mut output = Output::new();
    for record in records {
        apply(&mut operator, &topics.decisions, TimestampType::CreateTime, record, &mut output, |_| {});
    }
    output
}

fn tables(operator: &mut impl Operator, topic: &str, records: &[Stored]) {
    for record in records {
        operator.table_record(topic, record.key.as_deref().unwrap_or_default(), record.value.as_deref());
    }
}

fn apply<O: Operator>(
    operator: &mut O,
    topic: &str,
    timestamp_type: TimestampType,
    stored: &Stored,
    output: &mut Output,
    mut seal: impl FnMut(&mut O),
) {
    let headers: Vec<(&str, Option<&[u8]>)> =
        stored.headers.iter().map(|(name, value)| (name.as_str(), Some(value.as_bytes()))).collect();
    let record = Record {
        topic,
        partition: stored.partition,
        offset: stored.offset,
        timestamp_ms: stored.timestamp_ms,
        timestamp_type,
        key: stored.key.as_deref(),
        value: stored.value.as_deref(),
        headers: Headers::new(&headers),
    };
    loop {
        let mut out = Outbox::default();
        let outcome = operator.apply(&record, &mut out);
        for written in out.iter() {
            output.entry(written.topic.to_owned()).or_default().push(Written::from(&written));
        }
        seal(operator);
        operator.committed();
        match outcome {
            Outcome::Applied => return,
            Outcome::More => {}
            Outcome::Blocked(blocked) => panic!("{topic}[{}]@{}: {blocked}", stored.partition, stored.offset),
        }
    }
}

impl From<&OutRecord<'_>> for Written {
    fn from(record: &OutRecord<'_>) -> Written {
        let text = |value: Option<&[u8]>| String::from_utf8_lossy(value.unwrap_or_default()).into_owned();
        Written {
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            headers: record.headers.iter().map(|(name, value)| (name.to_owned(), text(value))).collect(),
        }
    }
}

impl From<&Stored> for Written {
    fn from(record: &Stored) -> Written {
        Written { key: record.key.clone(), value: record.value.clone(), headers: record.headers.clone() }
    }
}
