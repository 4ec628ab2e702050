//! The whole path in one process and without a broker: ingest, scorer and emitter, each in a worker of its own,
//! over a log in memory. `ripen demo` and `ripen score` run on it; the services run the same workers and
//! operators over Kafka.
//!
//! Time is the data's: arrival is the record's own (`receivedAt`, else `sentAt`, else its event time), and the
//! clock is the largest arrival so far. Nothing here reads a clock or draws a random number, so the same records
//! give the same bytes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use ripen_emitter::EmitOptions;
use ripen_ingest::{Arrival, Limits};
use ripen_model::Model;
use ripen_records::{
    ActivityRecord, Change, Decision, Tick, Topics, decode_decision, encode_activity, headers,
};
use ripen_runtime::log::PollLimits;
use ripen_runtime::memory::{MemoryClient, MemoryLog, MemoryReader, MemoryTopic};
use ripen_runtime::worker::{PartitionState, PartitionStatus, run_until_idle};
use ripen_runtime::{
    Blocked, Clock, Headers, Operator, OutRecord, Outbox, RecordBatch, To, Wiring, Worker, WorkerConfig,
    WorkerError,
};

use ripen_scorer::{LeadKey, LeadReader, LeadView};

use crate::activation::{ActiveModel, push_activation};
use crate::operators::{BetweenLeads, EmitterOperator, IngestOperator, ScorerOperator, Traced};

pub use ripen_ingest::Format as SourceFormat;

/// The one source topic; a record's true place travels in its headers.
const SOURCE: &str = "clickstream";

/// Leads are in one partition: its clock is the clock of all of them.
const PARTITIONS: i32 = 1;

/// Records taken from an outward topic at once.
const READ_LIMITS: PollLimits = PollLimits { records: 10_000, bytes: 64 << 20 };

/// Choices of a run in memory.
#[derive(Debug, Clone, Default)]
pub struct PipelineOptions {
    /// Bounds of a source record.
    pub limits: Limits,
    /// Tells every applied record and every fired deadline.
    pub trace: bool,
}

/// Where a record came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// The file's name.
    pub file: &'a str,
    /// The number of the line, from 0.
    pub line: i64,
}

/// One record of a clickstream.
#[derive(Debug, Clone, Copy)]
pub struct SourceRecord<'a> {
    /// Its key, if any.
    pub key: Option<&'a [u8]>,
    /// Its bytes.
    pub value: &'a [u8],
    /// Where it came from.
    pub place: Place<'a>,
}

/// What comes out.
#[derive(Debug)]
pub enum PipelineOutput<'a> {
    /// A stage transition: the decision, and the body of its outward record.
    Transition(&'a Decision, &'a str),
    /// A lead has become a part of another one.
    Merged {
        /// The lead that was.
        lead: &'a str,
        /// The lead that it is a part of.
        into: &'a str,
    },
    /// A lead after a record or a deadline, in their order; before the transitions of the same drain.
    Traced(&'a Traced),
    /// A record, or an element of one, that could not be used.
    DeadLetter {
        /// Where it came from.
        place: Place<'a>,
        /// Why.
        reason: &'a str,
        /// Where in the record, or how much.
        detail: &'a str,
    },
    /// A record that is well formed and deliberately not scored.
    Filtered {
        /// Why.
        reason: &'static str,
    },
}

/// What a run came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Leads at the end.
    pub leads: u64,
    /// Activities that were scored.
    pub scored: u64,
    /// Links between ids that were refused (S1).
    pub refused_links: u64,
}

/// Why a run cannot go on. Each one is a defect of the program, not of a record.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// A worker ended.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// A partition cannot go on.
    #[error("{at}: {blocked}")]
    Blocked {
        /// Topic and partition.
        at: String,
        /// Why, and what to do.
        blocked: Blocked,
    },
    /// A record of our own cannot be read.
    #[error("{0}")]
    Record(String),
}

/// The three services over a log in memory.
pub struct Pipeline {
    log: MemoryLog,
    ingest: Worker<MemoryClient, IngestOperator>,
    scorer: Worker<MemoryClient, ScorerOperator>,
    emitter: Worker<MemoryClient, EmitterOperator>,
    topics: Topics,
    fed: Outbox,
    decisions: MemoryReader,
    transitions: MemoryReader,
    dead_letters: MemoryReader,
    told: BTreeMap<&'static str, u64>,
    traced: Receiver<Traced>,
    model: Arc<Model>,
}

impl Pipeline {
    /// A pipeline with this model, which goes through the log like any other.
    ///
    /// # Errors
    /// A worker that cannot start.
    pub fn new(
        model: &Arc<Model>,
        model_text: &str,
        format: SourceFormat,
        options: &PipelineOptions,
    ) -> Result<Pipeline, PipelineError> {
        let topics = Topics::with_prefix("");
        let log = MemoryLog::new(&memory_topics(&topics));
        let decisions = log.reader(&topics.decisions);
        let transitions = log.reader(&topics.transitions);
        let dead_letters = log.reader(&topics.dead_letters);
        activate(&log, &topics, model, model_text);
        let source = [(SOURCE.to_owned(), format)];
        let ingest = IngestOperator::new(topics.clone(), source, options.limits, Arrival::FromRecord);
        let emit = EmitOptions::new("local").map_err(|error| PipelineError::Record(error.to_string()))?;
        let (sink, traced) = std::sync::mpsc::channel();
        // However many records are fed before a drain, the next one finds leads joined that the one before has joined.
        let scorer = ScorerOperator::new(topics.clone()).between_leads(BetweenLeads::AppliedAtOnce);
        let scorer = if options.trace { scorer.traced(sink) } else { scorer };
        Ok(Pipeline {
            ingest: worker(&log, "ingest", ingest)?,
            scorer: worker(&log, "scorer", scorer)?,
            emitter: worker(&log, "emitter", EmitterOperator::new(topics.clone(), emit))?,
            log,
            topics,
            fed: Outbox::default(),
            decisions,
            transitions,
            dead_letters,
            told: BTreeMap::new(),
            traced,
            model: Arc::clone(model),
        })
    }

    /// Puts a record into the source topic; it is scored at the next [`Pipeline::drain`].
    pub fn feed(&mut self, record: &SourceRecord<'_>) {
        let line = record.place.line.to_string();
        let place = [
            (headers::TOPIC, Some(record.place.file.as_bytes())),
            (headers::PARTITION, Some(b"0".as_slice())),
            (headers::OFFSET, Some(line.as_bytes())),
        ];
        self.fed.push(&OutRecord {
            topic: SOURCE,
            to: To::Partition(0),
            key: record.key,
            value: Some(record.value),
            headers: Headers::new(&place),
            timestamp_ms: Some(0),
        });
    }

    /// Scores what was fed and hands out what came of it, transitions in the order of their decisions.
    ///
    /// # Errors
    /// See [`PipelineError`].
    pub fn drain(&mut self, sink: &mut dyn FnMut(PipelineOutput<'_>)) -> Result<(), PipelineError> {
        self.log.append(&self.fed);
        self.fed.clear();
        run_until_idle(&mut [&mut self.ingest, &mut self.scorer, &mut self.emitter], 0)?;
        for traced in self.traced.try_iter() {
            sink(PipelineOutput::Traced(&traced));
        }
        self.tell_dead_letters(sink)?;
        self.tell_filtered(sink);
        self.tell_transitions(sink)
    }

    /// Lets time run to the last arrival, or on to `until_ms` (ms UTC) if that is later: every deadline up to
    /// then fires.
    ///
    /// # Errors
    /// See [`PipelineError`].
    pub fn finish(
        &mut self,
        until_ms: Option<i64>,
        sink: &mut dyn FnMut(PipelineOutput<'_>),
    ) -> Result<Summary, PipelineError> {
        self.drain(sink)?;
        let clock_ms = self.scorer.operator().clock(0).unwrap_or_default();
        let tick = ActivityRecord::Tick(Tick { wall_ms: clock_ms });
        push_control(&mut self.fed, &self.topics, &tick, until_ms.unwrap_or(clock_ms).max(clock_ms));
        self.drain(sink)?;
        for status in [self.ingest.status(), self.scorer.status(), self.emitter.status()] {
            if let Some(PartitionStatus { at, state: PartitionState::Blocked(blocked) }) = status
                .partitions
                .iter()
                .find(|partition| matches!(partition.state, PartitionState::Blocked(_)))
            {
                return Err(PipelineError::Blocked { at: at.to_string(), blocked: blocked.clone() });
            }
        }
        let scorer = self.scorer.operator();
        let total = |outcome| scorer.totals().get(outcome).copied().unwrap_or_default();
        Ok(Summary {
            leads: scorer.leads() as u64,
            scored: total("scored"),
            refused_links: total("link_conflict"),
        })
    }

    /// A lead as of `at_ms`, or of its own last instant if that is later; `None` if there is none, or if it was merged
    /// into another.
    ///
    /// # Errors
    /// See [`PipelineError`].
    pub fn lead(&self, lead_id: &str, at_ms: i64) -> Result<Option<LeadView>, PipelineError> {
        let Some(base) = self.scorer.operator().base(0) else { return Ok(None) };
        let Some(bytes) = base.get(&LeadKey::of(lead_id)) else { return Ok(None) };
        let reader = LeadReader::new(Arc::clone(&self.model));
        reader.read(&bytes, at_ms).map_err(|error| PipelineError::Record(error.to_string()))
    }

    /// The clock, ms UTC: the largest arrival so far.
    pub fn clock_ms(&self) -> i64 {
        self.scorer.operator().clock(0).unwrap_or_default()
    }

    fn tell_dead_letters(&mut self, sink: &mut dyn FnMut(PipelineOutput<'_>)) -> Result<(), PipelineError> {
        each(&mut self.dead_letters, |record| {
            let text = |name| {
                let value = record.headers.get(name).and_then(|value| std::str::from_utf8(value).ok());
                value.ok_or_else(|| PipelineError::Record(format!("dead letter without {name}")))
            };
            let line = text(headers::OFFSET)?.parse().unwrap_or_default();
            let place = Place { file: text(headers::TOPIC)?, line };
            let (reason, detail) = (text(headers::REASON)?, text(headers::DETAIL)?);
            sink(PipelineOutput::DeadLetter { place, reason, detail });
            Ok(())
        })
    }

    fn tell_filtered(&mut self, sink: &mut dyn FnMut(PipelineOutput<'_>)) {
        let totals = [self.ingest.operator().totals(), self.scorer.operator().totals()];
        for reason in filter_reasons() {
            let now: u64 = totals.iter().filter_map(|totals| totals.get(reason)).sum();
            let before = self.told.insert(reason, now).unwrap_or_default();
            for _ in before..now {
                sink(PipelineOutput::Filtered { reason });
            }
        }
    }

    /// Transitions and merges, in the order of their decisions.
    fn tell_transitions(&mut self, sink: &mut dyn FnMut(PipelineOutput<'_>)) -> Result<(), PipelineError> {
        let failed = |what: &str| PipelineError::Record(what.to_owned());
        let mut bodies: HashMap<String, String> = HashMap::new();
        each(&mut self.transitions, |record| {
            let id = record.headers.get("ce_id").and_then(|id| std::str::from_utf8(id).ok());
            let body = record.value.and_then(|body| std::str::from_utf8(body).ok());
            let (Some(id), Some(body)) = (id, body) else { return Err(failed("transition without its id")) };
            bodies.insert(id.to_owned(), body.to_owned());
            Ok(())
        })?;
        each(&mut self.decisions, |record| {
            let decision = decode_decision(record.value.unwrap_or_default())
                .map_err(|error| PipelineError::Record(error.to_string()))?;
            if let Change::MergedInto(into) = &decision.change {
                sink(PipelineOutput::Merged { lead: &decision.lead, into });
            } else if let Some(body) = bodies.remove(&decision.id) {
                sink(PipelineOutput::Transition(&decision, &body));
            }
            Ok(())
        })?;
        if bodies.is_empty() { Ok(()) } else { Err(failed("transition without its decision")) }
    }
}

fn memory_topics(topics: &Topics) -> Vec<MemoryTopic> {
    let Topics { activities, leads, models, decisions, transitions, profiles, dead_letters } = topics;
    vec![
        MemoryTopic::new(SOURCE, 1),
        MemoryTopic::new(activities, PARTITIONS),
        MemoryTopic::compacted(leads, PARTITIONS),
        MemoryTopic::compacted(models, 1),
        MemoryTopic::new(decisions, 1),
        MemoryTopic::new(transitions, 1),
        MemoryTopic::compacted(profiles, 1),
        MemoryTopic::new(dead_letters, 1),
    ]
}

/// Writes what `ripen model activate` writes, at the beginning of time.
fn activate(log: &MemoryLog, topics: &Topics, model: &Model, text: &str) {
    let mut out = Outbox::default();
    let active = ActiveModel { hash: model.hash.clone(), epoch: 1 };
    push_activation(&mut out, topics, &active, text, PARTITIONS, 0);
    log.append(&out);
}

fn push_control(out: &mut Outbox, topics: &Topics, record: &ActivityRecord<'_>, timestamp_ms: i64) {
    let mut value = Vec::new();
    encode_activity(record, &mut value).expect("a control record fits its schema");
    out.push(&OutRecord {
        topic: &topics.activities,
        to: To::Partition(0),
        key: None,
        value: Some(&value),
        headers: Headers::EMPTY,
        timestamp_ms: Some(timestamp_ms),
    });
}

fn worker<O: Operator>(
    log: &MemoryLog,
    service: &str,
    operator: O,
) -> Result<Worker<MemoryClient, O>, WorkerError> {
    let Wiring { inputs, .. } = operator.wiring();
    let client = log.client(service, service, service, &inputs);
    Worker::new(client, operator, WorkerConfig { clock: Clock::Log, ..WorkerConfig::new(service, service) })
}

fn filter_reasons() -> impl Iterator<Item = &'static str> {
    let ingest = ripen_ingest::FilterReason::ALL.into_iter().map(ripen_ingest::FilterReason::as_str);
    ingest.chain(ripen_scorer::FilterReason::ALL.into_iter().map(ripen_scorer::FilterReason::as_str))
}

fn each(
    reader: &mut MemoryReader,
    mut tell: impl FnMut(ripen_runtime::Record<'_>) -> Result<(), PipelineError>,
) -> Result<(), PipelineError> {
    let mut batch = RecordBatch::new();
    while reader.read(&mut batch, READ_LIMITS) > 0 {
        for record in batch.iter() {
            tell(record)?;
        }
        batch.clear();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_click_becomes_a_transition() {
        let text = include_str!("../../../models/auto-dealer.yaml");
        let model =
            Arc::new(ripen_model::compile("auto-dealer.yaml", text).expect("the bundled model compiles"));
        let mut pipeline = Pipeline::new(&model, text, SourceFormat::Segment, &PipelineOptions::default())
            .expect("it starts");
        let click = br#"{"type":"track","messageId":"m1","anonymousId":"a1","event":"form_submit",
            "properties":{"form":"price_list"},"timestamp":"2026-11-01T10:00:00Z"}"#;
        let place = Place { file: "clicks.jsonl", line: 0 };
        pipeline.feed(&SourceRecord { key: None, value: click, place });
        pipeline.feed(&SourceRecord { key: None, value: b"nonsense", place: Place { line: 1, ..place } });
        let mut told = Vec::new();
        let summary = pipeline.finish(None, &mut |output| {
            told.push(match output {
                PipelineOutput::Transition(decision, body) => {
                    let input = decision.input.as_ref().expect("an activity decided");
                    assert!(body.starts_with('{'), "{body}");
                    format!("{} {} {}:{}", decision.lead, decision.stage, input.topic, input.offset)
                }
                PipelineOutput::DeadLetter { place, reason, .. } => {
                    format!("{}:{} {reason}", place.file, place.line)
                }
                PipelineOutput::Filtered { reason } => reason.to_owned(),
                PipelineOutput::Traced(traced) => traced.lead.clone(),
                PipelineOutput::Merged { lead, into } => format!("{lead} {into}"),
            });
        });
        assert_eq!(told, ["clicks.jsonl:1 not_json", "anon:a1 iql clicks.jsonl:0"]);
        assert_eq!(summary.expect("it ends"), Summary { leads: 1, scored: 1, refused_links: 0 });
    }
}
