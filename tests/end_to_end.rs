//! The whole path on real Kafka: what trackers sent goes in, transitions come out, and nothing is lost or doubled
//! when the scorer is killed.

mod support;

use std::collections::BTreeMap;

use ripen::operators::{BetweenLeads, ScorerOperator};
use ripen_harness::{ConsoleRun, console_consumer};
use ripen_records::{ActivityRecord, Decision, decode_activity, decode_decision};
use ripen_runtime::log::PollLimits;
use ripen_runtime::memory::{MemoryLog, MemoryTopic};
use ripen_runtime::worker::run_until_idle;
use ripen_runtime::{Clock, Headers, Operator, OutRecord, Outbox, RecordBatch, To, Worker, WorkerConfig};

use support::{Installation, Stored, wait_until};

const DAY_MS: i64 = 86_400_000;

/// Concepts 41–43, as the real trackers told them: the first person becomes an MQL, the second, back after two
/// days, an SQL; the crawler nothing; the server's buyer an IQL.
#[test]
fn what_trackers_sent_becomes_transitions() {
    let site = Installation::new("fixtures", 4, "auto");
    let recent = Recent::new();
    site.produce(recent.raw());
    let mut service = site.start("all");
    site.wait_until_consumed("ingest", &site.source);
    site.wait_until_consumed("scorer", &site.topics.activities);
    site.wait_until_consumed("emitter", &site.topics.decisions);
    assert_eq!(service.terminate(), 0, "{}", service.output());

    let decisions = site.read(&site.topics.decisions).len();
    let run = ConsoleRun::of(decisions);
    let records = console_consumer(site.bootstrap(), &site.topics.transitions, &run);
    let mut told: Vec<String> = records
        .iter()
        .map(|record| {
            assert_eq!(record.header("ce_type"), Some("com.test.lead.stage.changed.v1"));
            assert_eq!(record.header("ce_subject"), record.key.as_deref());
            let body: serde_json::Value =
                serde_json::from_str(record.value.as_deref().expect("a body")).expect("JSON");
            let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
            let lead = record.key.clone().unwrap_or_default();
            let kind = lead.split(':').next().unwrap_or_default().to_owned();
            let at = recent.original(&text("effective_at"));
            format!("{at} {kind} {} -> {} by {}", text("from"), text("to"), text("cause"))
        })
        .collect();
    told.sort();
    assert_eq!(
        told,
        [
            "2026-01-05T09:06 anon visitor -> mql by activity",
            "2026-01-07T09:15 anon visitor -> sql by activity",
            "2026-01-07T11:00 user visitor -> iql by activity",
        ]
    );
    assert_replay_equals(&site);
}

/// The scorer is killed while it works, twice; afterwards every activity has counted once, every decision stands
/// once, numbered without gaps, and the log replayed in memory gives the same bytes.
#[test]
fn a_killed_scorer_decides_everything_once() {
    let site = Installation::new("kill", 4, "5ms");
    let clicks = clicks();
    let total = clicks.len();
    site.produce(clicks.iter().map(|(lead, json, at)| (lead.as_str(), json.clone(), *at)));
    let mut ingest = site.start("ingest");
    site.wait_until_consumed("ingest", &site.source);
    let activities = site.read(&site.topics.activities);
    let accepted = activities.iter().filter(|record| is_activity(record)).count();
    assert_eq!(accepted, total, "each click becomes one activity");

    let mut scorer = site.start("scorer");
    let done = || site.committed("scorer", &site.topics.activities).iter().sum::<i64>();
    let mut seen = 0;
    for kill in 1..=2 {
        wait_until("the scorer commits something new", || {
            let now = done();
            let more = now > seen;
            seen = now;
            more
        });
        scorer.kill9();
        let done = done();
        assert!(done < total as i64, "kill {kill} came after the work was done: {done} of {total}");
        scorer.start_again();
    }
    site.wait_until_consumed("scorer", &site.topics.activities);
    assert_eq!(scorer.terminate(), 0, "{}", scorer.output());
    assert_eq!(ingest.terminate(), 0, "{}", ingest.output());

    let decisions = site.read(&site.topics.decisions);
    assert!(decisions.len() > 500, "only {} decisions", decisions.len());
    assert_no_gaps(&decisions);
    assert_replay_equals(&site);
}

/// `seq` of each lead and life is 1, 2, 3 …, each once, and ids do not repeat.
fn assert_no_gaps(decisions: &[Stored]) {
    let mut lives: BTreeMap<(String, i64), Vec<u64>> = BTreeMap::new();
    for decision in decisions.iter().map(decision) {
        lives.entry((decision.lead.clone(), decision.born_ms)).or_default().push(decision.seq);
    }
    for ((lead, born), seqs) in lives {
        let expected: Vec<u64> = (1..=seqs.len() as u64).collect();
        assert_eq!(seqs, expected, "life of {lead} born {born}");
    }
}

/// The activities log, read back with the broker's timestamps, gives the same decision bytes over memory.
fn assert_replay_equals(site: &Installation) {
    let committed = site.committed("scorer", &site.topics.activities);
    let mut applied = site.read(&site.topics.activities);
    applied.retain(|record| record.offset < committed[record.partition as usize]);
    let replayed = replay(site, &applied);
    let written = by_lead(&site.read(&site.topics.decisions));
    assert_eq!(replayed.len(), written.len(), "leads with decisions");
    for (lead, bytes) in &written {
        let again = &replayed[lead];
        if again != bytes {
            let show = |all: &[Vec<u8>]| {
                all.iter().map(|b| format!("{:#?}", decode_decision(b))).collect::<Vec<_>>().join("\n")
            };
            panic!("replay differs\nwritten: {}\nreplayed: {}", show(bytes), show(again));
        }
    }
}

fn replay(site: &Installation, applied: &[Stored]) -> BTreeMap<Vec<u8>, Vec<Vec<u8>>> {
    let topics = &site.topics;
    let log = MemoryLog::new(&[
        MemoryTopic::new(&topics.activities, site.partitions),
        MemoryTopic::compacted(&topics.leads, site.partitions),
        MemoryTopic::compacted(&topics.models, 1),
        MemoryTopic::new(&topics.decisions, 1),
        MemoryTopic::new(&topics.dead_letters, 1),
    ]);
    let mut decisions = log.reader(&topics.decisions);
    append(&log, &topics.models, &site.read(&topics.models));
    append(&log, &topics.activities, applied);
    let operator = ScorerOperator::new(topics.clone()).between_leads(BetweenLeads::Replayed);
    let client = log.client("replay", "replay", "replay", &operator.wiring().inputs);
    let config = WorkerConfig { clock: Clock::Log, ..WorkerConfig::new("scorer", "replay") };
    let mut worker = Worker::new(client, operator, config).expect("the topics are there");
    run_until_idle(&mut [&mut worker], 0).expect("it runs to the end");
    let mut batch = RecordBatch::new();
    decisions.read(&mut batch, PollLimits { records: usize::MAX, bytes: usize::MAX });
    let mut replayed: BTreeMap<Vec<u8>, Vec<Vec<u8>>> = BTreeMap::new();
    for record in batch.iter() {
        let (key, value) = (record.key.unwrap_or_default(), record.value.unwrap_or_default());
        replayed.entry(key.to_vec()).or_default().push(value.to_vec());
    }
    replayed
}

fn append(log: &MemoryLog, topic: &str, records: &[Stored]) {
    let mut out = Outbox::default();
    for record in records {
        out.push(&OutRecord {
            topic,
            to: To::Partition(record.partition),
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers: Headers::EMPTY,
            timestamp_ms: Some(record.timestamp_ms),
        });
    }
    log.append(&out);
}

fn by_lead(decisions: &[Stored]) -> BTreeMap<Vec<u8>, Vec<Vec<u8>>> {
    let mut leads: BTreeMap<Vec<u8>, Vec<Vec<u8>>> = BTreeMap::new();
    for record in decisions {
        let (key, value) = (record.key.clone().unwrap_or_default(), record.value.clone().unwrap_or_default());
        leads.entry(key).or_default().push(value);
    }
    leads
}

fn decision(record: &Stored) -> Decision {
    decode_decision(record.value.as_deref().expect("a decision")).expect("our own schema")
}

fn is_activity(record: &Stored) -> bool {
    let value = record.value.as_deref().expect("no tombstones");
    matches!(decode_activity(value), Ok(ActivityRecord::Activity(_)))
}

/// What the trackers sent on 5 and 7 January 2026, moved by whole days so that it ended yesterday: a live system
/// reads the recent past.
struct Recent {
    days: i64,
}

impl Recent {
    fn new() -> Recent {
        let today = jiff::Timestamp::now().as_millisecond().div_euclid(DAY_MS);
        let last: i64 = "2026-01-07T00:00:00Z".parse::<jiff::Timestamp>().unwrap().as_millisecond() / DAY_MS;
        Recent { days: today - 1 - last }
    }

    fn raw(&self) -> Vec<(&'static str, Vec<u8>, i64)> {
        let lines = include_str!("fixtures/trackers/raw.jsonl").lines();
        let received = include_str!("fixtures/trackers/raw.received_ms").lines();
        lines
            .zip(received)
            .map(|(line, received)| {
                let moved = (4..=9).fold(line.to_owned(), |line, day| {
                    let date = format!("2026-01-{day:02}");
                    line.replace(&date, &format!("\u{1}{}", self.moved(&date, self.days)))
                });
                let received: i64 = received.trim().parse().expect("milliseconds");
                ("", moved.replace('\u{1}', "").into_bytes(), received + self.days * DAY_MS)
            })
            .collect()
    }

    /// A moved instant as it was in the fixture, to the minute.
    fn original(&self, instant: &str) -> String {
        let (date, time) = instant.split_at(10);
        format!("{}{}", self.moved(date, -self.days), &time[..6])
    }

    fn moved(&self, date: &str, days: i64) -> String {
        let date: jiff::civil::Date = date.parse().expect("a date");
        date.saturating_add(jiff::Span::new().days(days)).to_string()
    }
}

/// 1,000 visitors over the last ten days, 40 clicks each, in order of arrival.
fn clicks() -> Vec<(String, Vec<u8>, i64)> {
    let start = jiff::Timestamp::now().as_millisecond() - 10 * DAY_MS;
    let mut clicks = Vec::new();
    for round in 0..40_i64 {
        for visitor in 0..1_000_i64 {
            let at = start + round * 6 * 3_600_000 + visitor * 1_000;
            let id = format!("visitor-{visitor}");
            let event = match (visitor + round) % 40 {
                7 => r#""type":"track","event":"credit_calculated""#.to_owned(),
                13 => r#""type":"track","event":"form_submit","properties":{"form":"price_list"}"#.to_owned(),
                29 if visitor % 3 == 0 => {
                    r#""type":"track","event":"form_submit","properties":{"form":"test_drive"}"#.to_owned()
                }
                n => {
                    let path = format!("/models/m{}", (n * visitor) % 11);
                    format!(
                        r#""type":"page","properties":{{"path":"{path}"}},"context":{{"page":{{"path":"{path}"}}}}"#
                    )
                }
            };
            let json = format!(r#"{{"messageId":"m-{visitor}-{round}","anonymousId":"{id}",{event}}}"#);
            clicks.push((id, json.into_bytes(), at));
        }
    }
    clicks
}
