//! What a run should have come to, found without workers, transactions, groups or faults: the operators applied to
//! one record after the other.

use std::collections::{BTreeMap, VecDeque};

use ripen::operators::{EmitterOperator, IngestOperator, ScorerOperator};
use ripen_emitter::EmitOptions;
use ripen_ingest::{Arrival, Limits};
use ripen_records::{ActivityRecord, Tick, Topics, encode_activity};
use ripen_runtime::memory::partition_of;
use ripen_runtime::{
    Changelog, Headers, Operator, OutRecord, Outbox, OutboxLimits, Outcome, Record, TimestampType, To,
};
use ripen_scorer::{LeadReader, LeadView};

use crate::inputs::{self, SOURCE};
use crate::world::Fed;

type Bytes = Vec<u8>;

/// A record as it stands in a topic, or as an operator wrote it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stored {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) timestamp_ms: i64,
    pub(crate) key: Option<Bytes>,
    pub(crate) value: Option<Bytes>,
    pub(crate) headers: Vec<(String, Option<Bytes>)>,
}

impl Stored {
    pub(crate) fn of(record: &Record<'_>) -> Stored {
        Stored {
            topic: record.topic.to_owned(),
            partition: record.partition,
            offset: record.offset,
            timestamp_ms: record.timestamp_ms,
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            headers: owned(&record.headers),
        }
    }

    fn written(record: &OutRecord<'_>, partitions: i32) -> Stored {
        Stored {
            topic: record.topic.to_owned(),
            partition: match (record.to, record.key) {
                (To::Partition(partition), _) => partition,
                (To::Key, Some(key)) => partition_of(key, partitions),
                (To::Key, None) => 0,
            },
            offset: 0,
            timestamp_ms: 0,
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            headers: owned(&record.headers),
        }
    }

    fn apply_to(&self, operator: &mut impl Operator, partitions: i32) -> Vec<Stored> {
        let headers: Vec<(&str, Option<&[u8]>)> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect();
        let record = Record {
            topic: &self.topic,
            partition: self.partition,
            offset: self.offset,
            timestamp_ms: self.timestamp_ms,
            timestamp_type: TimestampType::LogAppendTime,
            key: self.key.as_deref(),
            value: self.value.as_deref(),
            headers: Headers::new(&headers),
        };
        let mut out = Outbox::new(OutboxLimits { records: usize::MAX, bytes: usize::MAX });
        let outcome = operator.apply(&record, &mut out);
        assert_eq!(outcome, Outcome::Applied, "{self:?}");
        out.iter().map(|record| Stored::written(&record, partitions)).collect()
    }
}

fn owned(headers: &Headers<'_>) -> Vec<(String, Option<Bytes>)> {
    headers.iter().map(|(name, value)| (name.to_owned(), value.map(<[u8]>::to_vec))).collect()
}

/// What the scorer makes of a log of activities.
#[derive(Debug, Default)]
pub(crate) struct Scored {
    pub(crate) decisions: Vec<Stored>,
    /// Records for other leads, each with the partition of who sends it.
    pub(crate) sent: Vec<(i32, Stored)>,
    pub(crate) dead_letters: Vec<Stored>,
    /// Leads, stubs and erasures by partition and id.
    pub(crate) leads: BTreeMap<(i32, Bytes), Bytes>,
    /// The operator's own bytes of each partition.
    pub(crate) metas: BTreeMap<i32, Bytes>,
    /// The earliest deadline of each partition.
    pub(crate) deadlines: BTreeMap<i32, Option<i64>>,
    pub(crate) refused_links: u64,
}

/// The scorer over partitions of activities, a transaction for each record.
pub(crate) struct ScorerAlone {
    operator: ScorerOperator,
    topics: Topics,
    partitions: i32,
    pub(crate) scored: Scored,
}

impl ScorerAlone {
    /// `models` are those that are ever activated.
    pub(crate) fn new(topics: &Topics, partitions: i32, models: &[usize]) -> ScorerAlone {
        let mut operator = ScorerOperator::new(topics.clone());
        give_models(&mut operator, models);
        for partition in 0..partitions {
            operator.assigned(partition);
            operator.restored(partition, None).expect("nothing to restore");
        }
        ScorerAlone { operator, topics: topics.clone(), partitions, scored: Scored::default() }
    }

    /// Answers what goes to other leads.
    pub(crate) fn apply(&mut self, record: &Stored) -> Vec<Stored> {
        let mut sent = Vec::new();
        for written in record.apply_to(&mut self.operator, self.partitions) {
            if written.topic == self.topics.decisions {
                self.scored.decisions.push(written);
            } else if written.topic == self.topics.dead_letters {
                self.scored.dead_letters.push(written);
            } else {
                self.scored.sent.push((record.partition, written.clone()));
                sent.push(written);
            }
        }
        let (mut out, mut meta) = (Outbox::default(), Vec::new());
        let mut changelog = Changelog::new(&mut out, &self.topics.leads, record.partition);
        self.operator.seal(record.partition, &mut changelog, &mut meta);
        for entry in out.iter() {
            let key = (record.partition, entry.key.unwrap_or_default().to_vec());
            match entry.value {
                Some(value) => self.scored.leads.insert(key, value.to_vec()),
                None => self.scored.leads.remove(&key),
            };
        }
        self.scored.metas.insert(record.partition, meta);
        self.operator.committed();
        let deadline = self.operator.next_deadline(record.partition);
        self.scored.deadlines.insert(record.partition, deadline);
        sent
    }

    pub(crate) fn finish(mut self) -> Scored {
        self.scored.refused_links = self.operator.totals().get("link_conflict").copied().unwrap_or_default();
        self.scored
    }
}

/// What ingest makes of its sources.
pub(crate) fn ingested(
    topics: &Topics,
    partitions: i32,
    models: &[usize],
    sources: &[Stored],
) -> Vec<Stored> {
    let mut operator = ingest(topics, models);
    let apply = |record: &Stored| {
        let written = record.apply_to(&mut operator, partitions);
        operator.committed();
        written
    };
    sources.iter().flat_map(apply).collect()
}

/// What the emitter makes of decisions.
pub(crate) fn emitted(topics: &Topics, decisions: &[Stored]) -> Vec<Stored> {
    let options = EmitOptions::new("simulated").expect("a namespace");
    let mut operator = EmitterOperator::new(topics.clone(), options);
    decisions.iter().flat_map(|record| record.apply_to(&mut operator, 2)).collect()
}

/// The whole of it over the inputs in the order in which they were fed, each dealt with before the next one comes;
/// time runs on to `until_ms`.
pub(crate) fn sequential(
    topics: &Topics,
    partitions: i32,
    models: &[usize],
    fed: &[(i64, Fed)],
    until_ms: i64,
) -> Scored {
    let mut ingest = ingest(topics, models);
    let mut scorer = ScorerAlone::new(topics, partitions, models);
    let mut offset = 0;
    for (at_ms, fed) in fed {
        let new = match fed {
            Fed::Click { partition, value, .. } => {
                offset += 1;
                let mut click = plain(SOURCE, *partition, None, value, *at_ms);
                click.offset = offset;
                let written = click.apply_to(&mut ingest, partitions);
                ingest.committed();
                written
            }
            Fed::Link { ids: [id, _], value } | Fed::Erase { id, value } => {
                let key = id.to_string().into_bytes();
                let partition = partition_of(&key, partitions);
                vec![plain(&topics.activities, partition, Some(key), value, *at_ms)]
            }
            Fed::Switch { which, epoch } => {
                let out = inputs::activate(topics, partitions, *which, *epoch, *at_ms);
                out.iter().map(|record| Stored::written(&record, partitions)).collect()
            }
        };
        apply_all(&mut scorer, topics, new, *at_ms);
    }
    // The first one may find leads under an older model.
    for _ in 0..2 {
        let mut value = Vec::new();
        let tick = ActivityRecord::Tick(Tick { wall_ms: until_ms });
        encode_activity(&tick, &mut value).expect("a tick fits its schema");
        let tick = |partition| plain(&topics.activities, partition, None, &value, until_ms);
        let ticks = (0..partitions).map(tick).collect();
        apply_all(&mut scorer, topics, ticks, until_ms);
    }
    scorer.finish()
}

fn apply_all(scorer: &mut ScorerAlone, topics: &Topics, new: Vec<Stored>, at_ms: i64) {
    let mut waiting: VecDeque<Stored> = new.into();
    while let Some(record) = waiting.pop_front() {
        if record.topic == topics.activities {
            let record = Stored { timestamp_ms: at_ms, ..record };
            waiting.extend(scorer.apply(&record));
        }
    }
}

/// What readers see of leads at an instant, by id; ids that belong to another lead and erased ones are not among them.
pub(crate) fn views(scored: &Scored, model: usize, at_ms: i64) -> Result<BTreeMap<String, LeadView>, String> {
    let reader = LeadReader::new(inputs::model(model).clone());
    let mut views = BTreeMap::new();
    for ((_, id), bytes) in &scored.leads {
        let id = String::from_utf8_lossy(id).into_owned();
        match reader.read(bytes, at_ms) {
            Ok(Some(view)) => {
                views.insert(id, view);
            }
            Ok(None) => {}
            Err(error) => return Err(format!("lead {id} cannot be read: {error}")),
        }
    }
    Ok(views)
}

fn ingest(topics: &Topics, models: &[usize]) -> IngestOperator {
    let source = [(SOURCE.to_owned(), inputs::format(SOURCE))];
    let mut operator = IngestOperator::new(topics.clone(), source, Limits::default(), Arrival::Source);
    give_models(&mut operator, models);
    operator
}

fn give_models(operator: &mut impl Operator, models: &[usize]) {
    for which in models {
        let (hash, text) = (&inputs::model(*which).hash, inputs::model_text(*which));
        operator.table_record("", hash.as_bytes(), Some(text.as_bytes()));
    }
}

fn plain(topic: &str, partition: i32, key: Option<Bytes>, value: &[u8], timestamp_ms: i64) -> Stored {
    let (topic, value, headers) = (topic.to_owned(), Some(value.to_vec()), Vec::new());
    Stored { topic, partition, offset: 0, timestamp_ms, key, value, headers }
}
