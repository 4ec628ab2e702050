//! `ripen reset` on real Kafka: what it says, what it changes, and that the services go on from there.

mod support;

use std::collections::BTreeMap;
use std::process::Output;

use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use support::{Installation, Setup, Stored};

const DAY_MS: i64 = 86_400_000;
const VISITORS: i64 = 200;
const PARTITIONS: i32 = 2;

#[test]
fn a_service_goes_on_where_it_was_reset_to() {
    let setup = Setup {
        properties: "{session.timeout.ms: 6000}".to_owned(),
        ..Setup::shared("reset", PARTITIONS, "auto")
    };
    let site = Installation::of(&setup);
    let clicks = clicks();
    site.produce(clicks.iter().map(|(json, at_ms)| ("", json.clone(), *at_ms)));
    work_off(&site);
    let (before, leads) = (site.read(&site.topics.decisions), site.read(&site.topics.leads));
    assert!(before.len() > 100, "only {} decisions", before.len());

    let dry = reset(&site, &["scorer"]);
    assert_eq!(dry.status.code(), Some(1));
    assert!(text(&dry.stdout).contains("leads are scored again from:"), "{}", text(&dry.stdout));
    assert!(text(&dry.stderr).contains("nothing was changed"), "{}", text(&dry.stderr));
    assert_eq!(site.read(&site.topics.leads), leads);

    scores_everything_again(&site, &before);
    reads_the_source_again(&site, clicks.len());
    begins_in_the_middle(&site);
}

/// The activities are all there: the same decisions come again, byte for byte.
fn scores_everything_again(site: &Installation, before: &[Stored]) {
    let mut scorer = site.start("scorer");
    support::wait_until("the scorer is in its group", || scorer.output().contains("ready with"));
    let refused = reset(site, &["scorer", "--yes"]);
    assert_eq!(scorer.terminate(), 0, "{}", scorer.output());
    assert_eq!(refused.status.code(), Some(1), "while somebody works");
    assert!(text(&refused.stderr).contains("stop every instance"), "{}", text(&refused.stderr));
    assert!(reset(site, &["scorer", "--yes"]).status.success());
    assert_eq!(site.read(&site.topics.leads), [], "nothing is left of the leads");
    work_off(site);
    let again = by_lead(&site.read(&site.topics.decisions));
    for (lead, first) in by_lead(before) {
        let all = &again[&lead];
        assert_eq!(all[first.len()..].get(..first.len()), Some(first.as_slice()), "{} decisions", all.len());
    }
}

/// Every click comes a second time, and none of them counts again.
fn reads_the_source_again(site: &Installation, clicks: usize) {
    let count = || (site.read(&site.topics.activities).len(), site.read(&site.topics.decisions).len());
    let (activities, decisions) = count();
    let moved = reset(site, &["ingest", "--to", "earliest", "--yes"]);
    assert!(moved.status.success(), "{}", text(&moved.stderr));
    assert!(text(&moved.stdout).contains("-> 0"), "{}", text(&moved.stdout));
    work_off(site);
    let (more, same) = count();
    assert!(more - activities >= clicks, "{} more activities", more - activities);
    assert_eq!(same, decisions, "repeated events decide nothing");
}

/// The oldest activities are gone, and with them the switch to the model: leads are scored from what is left.
fn begins_in_the_middle(site: &Installation) {
    cut(site, &site.topics.activities, 50);
    let done = reset(site, &["scorer", "--yes"]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    assert!(text(&done.stdout).contains("older activities are not there any more"), "{}", text(&done.stdout));
    let before = site.read(&site.topics.decisions).len();
    work_off(site);
    let after = site.read(&site.topics.decisions).len();
    assert!(after > before + 100, "{before} decisions, then {after}");
}

/// Runs all services until nothing is left to do.
fn work_off(site: &Installation) {
    let mut service = site.start("all");
    site.wait_until_consumed("ingest", &site.source);
    site.wait_until_consumed("scorer", &site.topics.activities);
    site.wait_until_consumed("emitter", &site.topics.decisions);
    assert_eq!(service.terminate(), 0, "{}", service.output());
}

fn reset(site: &Installation, arguments: &[&str]) -> Output {
    let command: Vec<&str> = ["reset"].iter().chain(arguments).copied().collect();
    site.try_run(&command)
}

/// Deletes the records of a topic before an offset, as its retention does.
fn cut(site: &Installation, topic: &str, offset: i64) {
    let client: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", site.bootstrap()).create().expect("a client");
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset(topic, partition, Offset::Offset(offset)).expect("a legal offset");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(client.delete_records(&list, &AdminOptions::new())).expect("the records go");
}

fn by_lead(decisions: &[Stored]) -> BTreeMap<Option<Vec<u8>>, Vec<Option<Vec<u8>>>> {
    let mut leads: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for record in decisions {
        leads.entry(record.key.clone()).or_default().push(record.value.clone());
    }
    leads
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Ten clicks of each visitor over the last days; the forms make MQLs of them.
fn clicks() -> Vec<(Vec<u8>, i64)> {
    let start_ms = jiff::Timestamp::now().as_millisecond() - 2 * DAY_MS;
    let mut clicks = Vec::new();
    for round in 0..10_i64 {
        for visitor in 0..VISITORS {
            let event = match round {
                3 => r#""type":"track","event":"credit_calculated""#,
                6 => r#""type":"track","event":"form_submit","properties":{"form":"price_list"}"#,
                _ => r#""type":"page","properties":{"path":"/models/a"}"#,
            };
            let json = format!(r#"{{"messageId":"m-{visitor}-{round}","anonymousId":"v{visitor}",{event}}}"#);
            clicks.push((json.into_bytes(), start_ms + round * 3_600_000 + visitor));
        }
    }
    clicks
}
