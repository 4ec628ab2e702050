//! Persons with several ids on their way through the services: over several partitions in memory, and on real Kafka.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ripen::activation::{ActiveModel, push_activation};
use ripen::operators::{IngestOperator, ScorerOperator};
use ripen_ingest::{Arrival, Format, Limits, lead_id};
use ripen_model::Model;
use ripen_records::{
    ActivityRecord, Cause, Change, Decision, Erase, Text, Topics, decode_activity, decode_decision,
    encode_activity,
};
use ripen_runtime::memory::{MemoryClient, MemoryLog, MemoryTopic};
use ripen_runtime::worker::run_until_idle;
use ripen_runtime::{Headers, Operator, OutRecord, Outbox, To, Worker, WorkerConfig};
use ripen_scorer::LeadReader;

use support::{Installation, Stored, wait_until};

const START_MS: i64 = 1_767_603_600_000;
const PERSONS: i64 = 40;

const MODEL: &str = "apiVersion: ripen/v1\n\
    model: {id: identity, version: 1}\n\
    scores: {total: {half_life: never}}\n\
    rules:\n\
    \x20 - {id: view, event: page_view, points: {total: 1}}\n\
    stages:\n\
    \x20 - {id: visitor, owner: marketing}\n";

/// Ingest and scorer over a log in memory.
struct Site {
    log: MemoryLog,
    topics: Topics,
    model: Arc<Model>,
    partitions: i32,
    ingest: Worker<MemoryClient, IngestOperator>,
    scorer: Worker<MemoryClient, ScorerOperator>,
}

impl Site {
    fn new(partitions: i32) -> Site {
        let topics = Topics::with_prefix("");
        let log = MemoryLog::new(&[
            MemoryTopic::new("clicks", 1),
            MemoryTopic::new(&topics.activities, partitions),
            MemoryTopic::compacted(&topics.leads, partitions),
            MemoryTopic::compacted(&topics.models, 1),
            MemoryTopic::new(&topics.decisions, 1),
            MemoryTopic::new(&topics.dead_letters, 1),
        ]);
        let model = Arc::new(ripen_model::compile("identity.yaml", MODEL).unwrap_or_else(|e| panic!("{e}")));
        log.set_now_ms(START_MS);
        let mut out = Outbox::default();
        let active = ActiveModel { hash: model.hash.clone(), epoch: 1 };
        push_activation(&mut out, &topics, &active, MODEL, partitions, START_MS);
        log.append(&out);
        let source = [("clicks".to_owned(), Format::Segment)];
        let ingest = IngestOperator::new(topics.clone(), source, Limits::default(), Arrival::Source);
        let ingest = worker(&log, ingest, "ingest");
        let scorer = worker(&log, ScorerOperator::new(topics.clone()), "scorer");
        Site { log, topics, model, partitions, ingest, scorer }
    }

    fn click(&self, json: &str, at_ms: i64) {
        self.append("clicks", To::Partition(0), None, json.as_bytes(), at_ms);
    }

    fn erase(&self, id: &str, at_ms: i64) {
        let erase = Erase { request_id: Text::from("r"), arrival_ms: at_ms, suppress: false };
        let mut value = Vec::new();
        encode_activity(&ActivityRecord::Erase(erase), &mut value).expect("it fits");
        self.append(&self.topics.activities, To::Key, Some(id.as_bytes()), &value, at_ms);
    }

    fn append(&self, topic: &str, to: To, key: Option<&[u8]>, value: &[u8], at_ms: i64) {
        let mut out = Outbox::default();
        let timestamp_ms = Some(at_ms);
        out.push(&OutRecord { topic, to, key, value: Some(value), headers: Headers::EMPTY, timestamp_ms });
        self.log.set_now_ms(at_ms);
        self.log.append(&out);
    }

    /// Leads and how often each has looked at a page.
    fn run(&mut self, now_ms: i64) -> BTreeMap<String, i64> {
        self.log.set_now_ms(now_ms);
        run_until_idle(&mut [&mut self.ingest, &mut self.scorer], now_ms).expect("it runs to the end");
        let reader = LeadReader::new(Arc::clone(&self.model));
        let bases = (0..self.partitions).filter_map(|partition| self.scorer.operator().base(partition));
        let mut leads = BTreeMap::new();
        for base in bases {
            for entry in base.iter() {
                if let Some(view) = reader.read(entry.value(), now_ms).expect("readable") {
                    leads.insert(view.lead.clone(), view.scores[0].milli / 1_000);
                }
            }
        }
        leads
    }
}

fn worker<O: Operator>(log: &MemoryLog, operator: O, name: &str) -> Worker<MemoryClient, O> {
    let client = log.client(name, name, name, &operator.wiring().inputs);
    Worker::new(client, operator, WorkerConfig::new(name, name)).expect("the topics are there")
}

/// Each person comes as a cookie, leaves an address, signs in, comes from another device; in rounds, all at a time.
fn clicks() -> Vec<String> {
    let ids = [
        |n: i64| format!(r#""anonymousId":"laptop-{n}""#),
        |n: i64| {
            format!(r#""anonymousId":"laptop-{n}","context":{{"traits":{{"email":"p{n}@example.com"}}}}"#)
        },
        |n: i64| format!(r#""anonymousId":"phone-{n}""#),
        |n: i64| format!(r#""anonymousId":"laptop-{n}""#),
        |n: i64| format!(r#""anonymousId":"phone-{n}","userId":"u-{n}""#),
        |n: i64| format!(r#""userId":"u-{n}","context":{{"traits":{{"email":"p{n}@example.com"}}}}"#),
        |n: i64| format!(r#""anonymousId":"phone-{n}""#),
        |n: i64| format!(r#""anonymousId":"laptop-{n}""#),
    ];
    let click =
        |round: usize, n: i64| format!(r#"{{"type":"page","messageId":"m-{round}-{n}",{}}}"#, ids[round](n));
    (0..ids.len()).flat_map(|round| (0..PERSONS).map(move |n| click(round, n))).collect()
}

#[test]
fn a_person_is_one_lead_over_any_number_of_partitions() {
    let everybody: BTreeMap<String, i64> = (0..PERSONS).map(|n| (format!("user:u-{n}"), 8)).collect();
    for (partitions, at_once) in [(1, true), (1, false), (4, true), (4, false)] {
        let mut site = Site::new(partitions);
        let mut now_ms = START_MS;
        for click in clicks() {
            now_ms += 1_000;
            site.click(&click, now_ms);
            if !at_once {
                site.run(now_ms);
            }
        }
        assert_eq!(site.run(now_ms), everybody, "{partitions} partitions, at once: {at_once}");
    }
}

/// Concept 85 over partitions: one of the person's ids is enough, and what comes later is another life's.
#[test]
fn concept_85_a_request_for_one_id_erases_the_person_under_all_of_them() {
    for id in ["anon:laptop-7", "user:u-7", "email:p7@example.com", "anon:phone-7"] {
        let mut site = Site::new(4);
        let mut now_ms = START_MS;
        for click in clicks() {
            now_ms += 1_000;
            site.click(&click, now_ms);
        }
        site.run(now_ms);
        site.erase(lead_id(id).expect("an id").as_str(), now_ms + 1_000);
        let left = site.run(now_ms + 1_000);
        assert_eq!(left.len() as i64, PERSONS - 1, "{id}: {left:?}");
        assert!(!left.contains_key("user:u-7"));
        let late = r#"{"type":"page","messageId":"late","anonymousId":"laptop-7"}"#;
        site.click(late, now_ms + 500);
        assert_eq!(site.run(now_ms + 2_000).len() as i64, PERSONS - 1, "it arrived before the request");
        let back = r#"{"type":"page","messageId":"back","anonymousId":"laptop-7"}"#;
        site.click(back, now_ms + 3_000);
        let back = site.run(now_ms + 3_000);
        assert_eq!(back.get("anon:laptop-7"), Some(&1), "{id}: {back:?}");
    }
}

/// On real Kafka: whoever was anonymous, left an address and signed in is one lead; `ripen leads forget` erases all of
/// it, and the address stands nowhere.
#[test]
fn persons_are_joined_and_forgotten_on_kafka() {
    const ADDRESS: &str = "somebody@example.com";
    let site = Installation::new("identity", 4, "auto");
    let hour_ago = jiff::Timestamp::now().as_millisecond() - 3_600_000;
    let click = |n: i64, rest: &str| {
        (format!(r#"{{"messageId":"m-{n}",{rest}}}"#).into_bytes(), hour_ago + n * 60_000)
    };
    let form = r#""type":"track","event":"form_submit","properties":{"form":"price_list"}"#;
    let records = [
        click(1, &format!(r#""anonymousId":"a",{form}"#)),
        click(2, &format!(r#""anonymousId":"a","type":"identify","traits":{{"email":"{ADDRESS}"}}"#)),
        click(3, r#""anonymousId":"a","userId":"u","type":"identify""#),
        click(4, r#""anonymousId":"b","type":"page""#),
        click(5, r#""anonymousId":"a","userId":"u","type":"page""#),
    ];
    let mut service = site.start("all");
    for (json, at_ms) in records {
        site.produce([("", json, at_ms)]);
        settle(&site);
    }
    let told = decisions(&site);
    let merged: Vec<(&str, &str)> = told
        .iter()
        .filter_map(|decision| match &decision.change {
            Change::MergedInto(root) => Some((decision.lead.as_str(), root.as_str())),
            _ => None,
        })
        .collect();
    let email = lead_id(&format!("email:{ADDRESS}")).expect("an address");
    assert_eq!(merged.len(), 2, "{merged:?}");
    assert!(merged.contains(&("anon:a", email.as_str())) && merged.contains(&(email.as_str(), "user:u")));
    assert!(profile(&site, "user:u").is_some_and(|profile| profile.value.is_some()));

    let request = format!("email:{ADDRESS}");
    let only_told = site.try_run(&["leads", "forget", &request]);
    assert_eq!(only_told.status.code(), Some(1), "nothing is done without --yes");
    assert_eq!(decisions(&site).len(), told.len());
    let done = site.run(&["leads", "forget", &request, "--yes"]);
    settle(&site);
    for output in [&only_told, &done] {
        let said = [output.stdout.as_slice(), &output.stderr].concat();
        assert!(!String::from_utf8_lossy(&said).contains(ADDRESS));
        assert!(String::from_utf8_lossy(&said).contains(email.as_str()));
    }
    let last = decisions(&site).split_off(told.len());
    assert!(!last.is_empty(), "its end is told");
    assert!(
        last.iter().all(|decision| decision.lead == "user:u" && decision.cause == Cause::Erased),
        "{last:#?}"
    );
    assert_eq!(profile(&site, "user:u").expect("a record").value, None, "a tombstone");
    let erasures = site.read(&site.topics.activities);
    let told_ids = erasures.iter().filter(|record| is_erase(record)).filter_map(|record| record.key.clone());
    let told_ids: BTreeSet<Vec<u8>> = told_ids.collect();
    let ids = ["anon:a", email.as_str(), "user:u"].map(|id| id.as_bytes().to_vec());
    assert_eq!(told_ids, ids.into_iter().collect(), "every id of the person hears of it");
    assert_eq!(service.terminate(), 0, "{}", service.output());
    let written =
        [&site.topics.activities, &site.topics.leads, &site.topics.decisions, &site.topics.profiles];
    for record in written.into_iter().flat_map(|topic| site.read(topic)) {
        let bytes = [record.key.unwrap_or_default(), record.value.unwrap_or_default()].concat();
        assert!(!String::from_utf8_lossy(&bytes).contains(ADDRESS));
    }
    assert!(!service.output().contains(ADDRESS));
}

/// Waits until everything that is on its way has come to its end.
fn settle(site: &Installation) {
    wait_until("all services are at the end of their input", || {
        let at_end = |service: &str, topic: &str| {
            let committed = site.committed(service, topic);
            site.read(topic).iter().all(|record| record.offset < committed[record.partition as usize])
        };
        // In the order of the path, so that nothing can slip through behind a look.
        at_end("ingest", &site.source)
            && at_end("scorer", &site.topics.activities)
            && at_end("emitter", &site.topics.decisions)
    });
}

fn decisions(site: &Installation) -> Vec<Decision> {
    let records = site.read(&site.topics.decisions);
    records
        .iter()
        .map(|record| decode_decision(record.value.as_deref().expect("a decision")).expect("ours"))
        .collect()
}

/// The newest record of a lead among the profiles.
fn profile(site: &Installation, lead: &str) -> Option<Stored> {
    let records = site.read(&site.topics.profiles);
    records.into_iter().rev().find(|record| record.key.as_deref() == Some(lead.as_bytes()))
}

fn is_erase(record: &Stored) -> bool {
    matches!(record.value.as_deref().map(decode_activity), Some(Ok(ActivityRecord::Erase(_))))
}
