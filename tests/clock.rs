//! Time on its way through the services: the clock is the log's, whoever stood still, and whatever clock a host has.
//! Ingest and scorer run over a log in memory whose activities bear the log's own time.

use std::collections::BTreeMap;
use std::sync::Arc;

use ripen::activation::{ActiveModel, push_activation};
use ripen::operators::{IngestOperator, ScorerOperator};
use ripen_ingest::{Arrival, Format, Limits};
use ripen_model::Model;
use ripen_records::{Change, Decision, Topics, decode_decision};
use ripen_runtime::log::PollLimits;
use ripen_runtime::memory::{MemoryClient, MemoryLog, MemoryReader, MemoryTopic};
use ripen_runtime::worker::run_until_idle;
use ripen_runtime::{
    Headers, Operator, OutRecord, Outbox, RecordBatch, TimestampType, To, Worker, WorkerConfig,
};
use ripen_scorer::{LeadKey, LeadReader, LeadView};

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const START_MS: i64 = 1_767_603_600_000;
const LEADS: i64 = 24;

const MODEL: &str = "apiVersion: ripen/v1\n\
    model: {id: clock, version: 1}\n\
    scores: {interest: {half_life: 6h, range: [0, 1000]}}\n\
    rules:\n\
    \x20 - {id: view, event: page_view, points: {interest: 1}}\n\
    \x20 - {id: back, event: visit_started, points: {interest: 10}}\n\
    \x20 - {id: form, event: form_submit, points: {interest: 25}}\n\
    stages:\n\
    \x20 - {id: visitor, owner: marketing}\n\
    \x20 - {id: warm, owner: marketing, enter: \"score.interest >= 20\", exit: \"score.interest < 10\"}\n\
    \x20 - {id: hot, owner: sales, enter: \"score.interest >= 32\", exit: \"score.interest < 25\"}\n";

/// Who stands still, and when; whose clock is wrong.
#[derive(Debug, Clone, Copy, Default)]
struct Weather {
    /// Hours from the start during which ingest is down.
    ingest_down: (i64, i64),
    /// The same of the scorer: its process is gone, its state in the log.
    scorer_down: (i64, i64),
    /// How far the clock of ingest's host is ahead.
    ingest_ahead_ms: i64,
}

/// What a run of 36 hours came to.
#[derive(Debug, PartialEq)]
struct Outcome {
    decisions: Vec<Decision>,
    leads: BTreeMap<String, LeadView>,
    late: u64,
}

struct Site {
    log: MemoryLog,
    topics: Topics,
    model: Arc<Model>,
    ingest: Worker<MemoryClient, IngestOperator>,
    decisions: MemoryReader,
}

impl Site {
    fn new() -> Site {
        let topics = Topics::with_prefix("");
        let stamped = MemoryTopic {
            timestamps: TimestampType::LogAppendTime,
            ..MemoryTopic::new(&topics.activities, 1)
        };
        let log = MemoryLog::new(&[
            MemoryTopic::new("clicks", 1),
            stamped,
            MemoryTopic::compacted(&topics.leads, 1),
            MemoryTopic::compacted(&topics.models, 1),
            MemoryTopic::new(&topics.decisions, 1),
            MemoryTopic::new(&topics.dead_letters, 1),
        ]);
        let model = Arc::new(ripen_model::compile("clock.yaml", MODEL).unwrap_or_else(|e| panic!("{e}")));
        log.set_now_ms(START_MS);
        let mut out = Outbox::default();
        let active = ActiveModel { hash: model.hash.clone(), epoch: 1 };
        push_activation(&mut out, &topics, &active, MODEL, 1, START_MS);
        log.append(&out);
        let decisions = log.reader(&topics.decisions);
        let source = [("clicks".to_owned(), Format::Segment)];
        let ingest = IngestOperator::new(topics.clone(), source, Limits::default(), Arrival::Source);
        Site { ingest: worker(&log, ingest, "ingest"), log, topics, model, decisions }
    }

    fn click(&self, lead: i64, number: i64, at_ms: i64) {
        self.event(r#""type":"page","properties":{"path":"/"}"#, lead, number, at_ms);
    }

    fn event(&self, what: &str, lead: i64, number: i64, at_ms: i64) {
        let json = format!(r#"{{"messageId":"m-{lead}-{number}","anonymousId":"a{lead}",{what}}}"#);
        let mut out = Outbox::default();
        out.push(&OutRecord {
            topic: "clicks",
            to: To::Partition(0),
            key: None,
            value: Some(json.as_bytes()),
            headers: Headers::EMPTY,
            timestamp_ms: Some(at_ms),
        });
        self.log.append(&out);
    }

    /// Decisions written since the last call.
    fn decided(&mut self) -> Vec<Decision> {
        let mut batch = RecordBatch::new();
        self.decisions.read(&mut batch, PollLimits { records: usize::MAX, bytes: usize::MAX });
        let decode = |value: Option<&[u8]>| decode_decision(value.expect("a value")).expect("a decision");
        batch.iter().map(|record| decode(record.value)).collect()
    }

    fn scorer(&self) -> Worker<MemoryClient, ScorerOperator> {
        worker(&self.log, ScorerOperator::new(self.topics.clone()), "scorer")
    }
}

fn worker<O: Operator>(log: &MemoryLog, operator: O, name: &str) -> Worker<MemoryClient, O> {
    let client = log.client(name, name, name, &operator.wiring().inputs);
    Worker::new(client, operator, WorkerConfig::new(name, name)).expect("the topics are there")
}

/// Each lead looks at a page every 9 minutes in visits of an hour, three of them within the first 8 hours, and then
/// is not seen again.
fn clicks_at(minute: i64) -> impl Iterator<Item = (i64, i64)> {
    (0..LEADS).filter_map(move |lead| {
        let since = minute - lead * 3;
        let in_visit = since.rem_euclid(150) < 60 && (0..450).contains(&since);
        (in_visit && since % 9 == 0).then_some((lead, since))
    })
}

fn run(weather: Weather) -> Outcome {
    let mut site = Site::new();
    let mut scorer = None;
    for minute in 0..36 * 60 {
        let at_ms = START_MS + minute * MINUTE_MS;
        site.log.set_now_ms(at_ms);
        for (lead, number) in clicks_at(minute) {
            site.click(lead, number, at_ms);
        }
        let down = |(from, to): (i64, i64)| (from * 60..to * 60).contains(&minute);
        if !down(weather.ingest_down) {
            run_until_idle(&mut [&mut site.ingest], at_ms + weather.ingest_ahead_ms).expect("ingest works");
        }
        if down(weather.scorer_down) {
            scorer = None;
        } else {
            let scorer = scorer
                .get_or_insert_with(|| worker(&site.log, ScorerOperator::new(site.topics.clone()), "scorer"));
            run_until_idle(&mut [scorer], at_ms).expect("the scorer works");
        }
    }
    let scorer = scorer.expect("the scorer works at the end");
    let base = scorer.operator().base(0).expect("the partition is here");
    let reader = LeadReader::new(Arc::clone(&site.model));
    let end_ms = START_MS + 36 * HOUR_MS;
    let view = |lead: i64| {
        let id = format!("anon:a{lead}");
        let bytes = base.get(&LeadKey::of(&id)).expect("the lead is there");
        (id, reader.read(&bytes, end_ms).expect("readable").expect("alive"))
    };
    Outcome {
        decisions: site.decided(),
        leads: (0..LEADS).map(view).collect(),
        late: scorer.operator().totals().get("late").copied().unwrap_or_default(),
    }
}

/// Decisions without the time at which they were taken.
fn what_and_when(decisions: &[Decision]) -> BTreeMap<(String, u64), (i64, String)> {
    let of = |decision: &Decision| {
        let Change::StageChange(change) = &decision.change else { panic!("{decision:?}") };
        let what = format!("{} -> {} by {}", change.from, change.to, decision.cause.as_str());
        ((decision.lead.clone(), decision.seq), (decision.effective_at_ms, what))
    };
    decisions.iter().map(of).collect()
}

#[test]
fn the_calm_run_rises_and_cools() {
    let calm = run(Weather::default());
    let to = |stage: &str| {
        let is = |d: &&Decision| matches!(&d.change, Change::StageChange(change) if change.to == stage);
        calm.decisions.iter().filter(is).count() as i64
    };
    assert!(to("hot") >= LEADS && to("visitor") >= LEADS, "{} {}", to("hot"), to("visitor"));
    for decision in calm.decisions.iter().filter(|d| d.cause.as_str() == "decay") {
        let late_ms = decision.decided_at_ms - decision.effective_at_ms;
        assert!((0..=MINUTE_MS).contains(&late_ms), "a tick comes within the minute: {late_ms} ms");
    }
}

#[test]
fn a_scorer_that_was_down_for_a_day_fires_every_missed_deadline_at_its_instant() {
    let calm = run(Weather::default());
    let back_ms = START_MS + 33 * HOUR_MS;
    let down = run(Weather { scorer_down: (9, 33), ..Weather::default() });
    assert_eq!(what_and_when(&down.decisions), what_and_when(&calm.decisions));
    assert_eq!(down.leads, calm.leads);
    let missed: Vec<&Decision> = down.decisions.iter().filter(|d| d.decided_at_ms >= back_ms).collect();
    let hours = |d: &&Decision| (back_ms - d.effective_at_ms) / HOUR_MS;
    assert!(
        missed.len() as i64 >= LEADS && missed.iter().any(|d| hours(d) > 12),
        "{} were missed",
        missed.len()
    );
    let instants: Vec<i64> = missed.iter().map(|d| d.effective_at_ms).collect();
    assert!(instants.is_sorted(), "in the order of their instants: {instants:?}");
}

#[test]
fn an_ingest_host_an_hour_ahead_changes_nothing() {
    let ahead = run(Weather { ingest_ahead_ms: HOUR_MS, ..Weather::default() });
    assert_eq!(ahead, run(Weather::default()));
}

#[test]
fn two_hours_without_ingest_leave_visits_and_lateness_as_they_were() {
    let calm = run(Weather::default());
    let without = run(Weather { ingest_down: (2, 4), ..Weather::default() });
    assert_eq!((without.late, calm.late), (0, 0));
    let scores = |outcome: &Outcome| -> Vec<_> {
        outcome.leads.values().map(|lead| (lead.scores.clone(), lead.lines.clone(), lead.born_ms)).collect()
    };
    assert_eq!(scores(&without), scores(&calm), "points once a visit included");
    // Promotions bear the instants of their clicks, not of their arrival at the scorer.
    let promotions = |outcome: &Outcome| -> Vec<(String, i64)> {
        let first = outcome.decisions.iter().filter(|d| d.seq == 1);
        let mut all: Vec<_> = first.map(|d| (d.lead.clone(), d.effective_at_ms)).collect();
        all.sort();
        all
    };
    assert_eq!(promotions(&without), promotions(&calm));
}

/// So many leads cool at one and the same instant that no transaction holds them all: they are cut into several, the
/// scorer dies after some of them, and each lead still cools once, at its instant. `RIPEN_STORM` sets the number.
#[test]
fn a_storm_of_deadlines_is_cut_and_goes_on_after_a_crash() {
    let leads: i64 = std::env::var("RIPEN_STORM").map_or(30_000, |n| n.parse().expect("a number of leads"));
    let mut site = Site::new();
    for lead in 0..leads {
        site.event(r#""type":"track","event":"form_submit""#, lead, 0, START_MS);
    }
    let mut scorer = site.scorer();
    run_until_idle(&mut [&mut site.ingest, &mut scorer], START_MS).expect("they work");
    assert_eq!(site.decided().len() as i64, leads, "all are warm");
    let late_ms = START_MS + 36 * HOUR_MS;
    site.log.set_now_ms(late_ms);
    let (mut cooled, mut transactions, mut crashed) = (Vec::new(), 0, false);
    while cooled.len() < leads as usize {
        scorer.step(late_ms).expect("it works");
        let decided = site.decided();
        assert!(decided.len() <= 10_000, "one transaction has {} decisions", decided.len());
        transactions += i64::from(!decided.is_empty());
        cooled.extend(decided);
        if transactions == 2 && !crashed {
            crashed = true;
            drop(scorer);
            scorer = site.scorer();
        }
    }
    run_until_idle(&mut [&mut scorer], late_ms).expect("it works");
    cooled.extend(site.decided());
    assert!(transactions >= leads / 10_000, "{transactions} transactions");
    let instants: Vec<i64> = cooled.iter().map(|d| d.effective_at_ms).collect();
    assert!(instants.iter().all(|at_ms| *at_ms == instants[0] && *at_ms < late_ms), "one instant");
    let mut who: Vec<(&str, u64)> = cooled.iter().map(|d| (d.lead.as_str(), d.seq)).collect();
    who.sort_unstable();
    who.dedup();
    assert_eq!((who.len(), cooled.len()), (leads as usize, leads as usize), "each lead once");
    assert!(who.iter().all(|(_, seq)| *seq == 2));
}
