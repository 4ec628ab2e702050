//! CPU per event of ingest and scorer on real Kafka, exactly once, over that of a raw batch consume of the same topic
//! on the same broker.
//!
//! The services run as processes of their own; what they used is read from `/proc` before and after. A warm-up batch
//! comes first, so that starting, joining and restoring do not count.

#[path = "../tests/support/mod.rs"]
mod support;

mod hot;
mod measure;
mod raw;

use hot::Click;
use measure::{cpu_seconds_of, figure, ratio};
use support::{Installation, wait_until_shared};

const WARM_UP: usize = 5_000;
const EVENTS: usize = 200_000;
const ROUNDS: usize = 3;
const SOURCE_PARTITIONS: i32 = 2;

fn main() {
    let clicks = hot::clicks(40_000, WARM_UP + EVENTS);
    let bytes: usize = clicks.iter().map(|click| click.json.len()).sum();
    println!(
        "# {EVENTS} events of {} bytes each on average, lz4, 8 partitions of leads",
        bytes / clicks.len()
    );
    let (mut raw, mut ingest, mut scorer) = (Vec::new(), Vec::new(), Vec::new());
    let mut batches = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        let site = Installation::new("bench", 8, "auto");
        site.activate(&hot::patient_model());
        let services = [site.start("ingest"), site.start("scorer")];
        feed(&site, &clicks[..WARM_UP]);
        wait_until_shared(&services[0], 1);
        wait_until_shared(&services[1], 4);
        let before: Vec<f64> = services.iter().map(|service| cpu_seconds_of(service.pid())).collect();
        feed(&site, &clicks[WARM_UP..]);
        let used: Vec<f64> = services
            .iter()
            .zip(before)
            .map(|(service, before)| cpu_seconds_of(service.pid()) - before)
            .collect();
        ingest.push(used[0] * 1e9 / EVENTS as f64);
        scorer.push(used[1] * 1e9 / EVENTS as f64);
        drop(services);
        let read = [("ingest", &site.source), ("scorer", &site.topics.activities)];
        for ((service, topic), batches) in read.into_iter().zip(&mut batches) {
            let transactions = site.transactions(service, topic).max(1);
            batches.push((WARM_UP + EVENTS) as f64 / transactions as f64);
        }
        raw.push(raw::consume(&site, &site.source, SOURCE_PARTITIONS, WARM_UP + EVENTS));
    }
    let both: Vec<f64> = ingest.iter().zip(&scorer).map(|(ingest, scorer)| ingest + scorer).collect();
    figure("kafka_raw_batch_consume_event", "ns", &raw);
    figure("kafka_ingest_event", "ns", &ingest);
    figure("kafka_scorer_event", "ns", &scorer);
    figure("kafka_ingest_batch", "events", &batches[0]);
    figure("kafka_scorer_batch", "events", &batches[1]);
    ratio("kafka_ingest_and_scorer_over_raw", &both, &raw);
}

/// Produces the clicks and waits until both services have committed them.
fn feed(site: &Installation, clicks: &[Click]) {
    let now_ms = jiff::Timestamp::now().as_millisecond();
    site.produce(clicks.iter().map(|click| ("", click.json.to_vec(), now_ms)));
    site.wait_until_at_end("ingest", &site.source);
    site.wait_until_at_end("scorer", &site.topics.activities);
}
