//! CPU per event of ingest and scorer on real Kafka, exactly once, over that of a raw batch consume of the same topic
//! on the same broker.
//!
//! The services run as processes of their own; what they used is read from `/proc` before and after. A warm-up batch
//! comes first, so that starting, joining and restoring do not count, nor memory that is used for the first time. They
//! are stopped while the clicks are produced, and read a topic that is there, as the raw consume does.
//!
//! What the client library alone takes is measured beside it: fetching the clicks, writing the same activities, fetching
//! those and writing the same changelog, with nothing done to any of them.

#[path = "../tests/support/mod.rs"]
mod support;

mod hot;
mod measure;
mod raw;

use hot::Click;
use measure::{cpu_seconds_of, figure, ratio, wait_for};
use ripen_harness::Leash;
use support::{Installation, PATIENCE, wait_until_shared};

const WARM_UP: usize = 100_000;
const EVENTS: usize = 400_000;
const ROUNDS: usize = 3;
const SOURCE_PARTITIONS: i32 = 2;
/// As many as the services come to.
const RECORDS_OF_A_TRANSACTION: usize = 4_500;

fn main() {
    let clicks = hot::clicks(105_000, WARM_UP + EVENTS);
    let bytes: usize = clicks.iter().map(|click| click.json.len()).sum();
    println!(
        "# {EVENTS} events of {} bytes each on average, lz4, 8 partitions of leads",
        bytes / clicks.len()
    );
    let (mut raw, mut ingest, mut scorer, mut client) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut batches = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        let site = Installation::new("bench", 8, "auto");
        site.activate(&hot::patient_model());
        let mut services = [site.start("ingest"), site.start("scorer")];
        produce(&site, &clicks[..WARM_UP]);
        wait_until_shared(&services[0], 1);
        wait_until_shared(&services[1], 4);
        let ends = [site.end_of("ingest", &site.source), site.end_of("scorer", &site.topics.activities)];
        ends.iter().for_each(|ended| wait_for("the end", PATIENCE, ended));

        services.iter_mut().for_each(Leash::freeze);
        produce(&site, &clicks[WARM_UP..]);
        let cpu_seconds =
            |services: &[Leash; 2]| services.each_ref().map(|service| cpu_seconds_of(service.pid()));
        let before = cpu_seconds(&services);
        services.iter_mut().for_each(Leash::thaw);
        ends.iter().for_each(|ended| wait_for("the end", PATIENCE, ended));
        let after = cpu_seconds(&services);
        ingest.push((after[0] - before[0]) * 1e9 / EVENTS as f64);
        scorer.push((after[1] - before[1]) * 1e9 / EVENTS as f64);

        drop(services);
        let read = [("ingest", &site.source), ("scorer", &site.topics.activities)];
        for ((service, topic), batches) in read.into_iter().zip(&mut batches) {
            let transactions = site.transactions(service, topic).max(1);
            batches.push(clicks.len() as f64 / transactions as f64);
        }
        let raw_ns = raw::consume(&site, &site.source, SOURCE_PARTITIONS, clicks.len());
        raw.push(raw_ns);
        client.push(raw_ns + client_behind_ingest(&site, clicks.len()));
    }
    let both: Vec<f64> = ingest.iter().zip(&scorer).map(|(ingest, scorer)| ingest + scorer).collect();
    figure("kafka_raw_batch_consume_event", "ns", &raw);
    figure("kafka_ingest_event", "ns", &ingest);
    figure("kafka_scorer_event", "ns", &scorer);
    figure("kafka_client_alone_event", "ns", &client);
    figure("kafka_ingest_batch", "events", &batches[0]);
    figure("kafka_scorer_batch", "events", &batches[1]);
    ratio("kafka_ingest_and_scorer_over_raw", &both, &raw);
    ratio("kafka_client_alone_over_raw", &client, &raw);
}

/// What writing and fetching the activities and writing the changelog takes the client alone, ns for each click.
fn client_behind_ingest(site: &Installation, clicks: usize) -> f64 {
    let [activities, leads] =
        [&site.topics.activities, &site.topics.leads].map(|topic| (topic, site.read(topic)));
    let fetched_ns = raw::consume(site, activities.0, site.partitions, activities.1.len());
    let written_ns = [&activities, &leads].map(|(topic, records)| {
        raw::produce(site, topic, records, RECORDS_OF_A_TRANSACTION) * records.len() as f64
    });
    let fetched_ns = fetched_ns * activities.1.len() as f64;
    (fetched_ns + written_ns.iter().sum::<f64>()) / clicks as f64
}

fn produce(site: &Installation, clicks: &[Click]) {
    let now_ms = jiff::Timestamp::now().as_millisecond();
    site.produce(clicks.iter().map(|click| ("", click.json.to_vec(), now_ms)));
}
