//! CPU per event from JSON to transition, without Kafka, beside a deliberately naive variant.

mod hot;
mod measure;
mod naive;

use std::time::Duration;

use hot::{BATCH, Hot};
use measure::{cpu, figure, ns_per_item, ratio};
use naive::Naive;

const EVENTS: usize = 100_000;
const ROUNDS: usize = 7;

fn main() {
    let model = hot::model();
    let clicks = hot::clicks(20_000, EVENTS);
    let bytes: usize = clicks.iter().map(|click| click.json.len()).sum();
    let (mut fused, mut rekeyed, mut naive, mut naive_unwritten) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut decided = (0, 0);
    for _ in 0..ROUNDS {
        let mut hot = Hot::new(&model);
        fused.push(ns_per_item(EVENTS, || hot.run(&clicks, false)));
        decided.0 = hot.decided;
        let mut hot = Hot::new(&model);
        rekeyed.push(ns_per_item(EVENTS, || hot.run(&clicks, true)));
        let mut plain = Naive::new();
        let mut changes = 0;
        let mut written_bytes = 0;
        let mut writing = Duration::ZERO;
        let whole = ns_per_item(EVENTS, || {
            for batch in clicks.chunks(BATCH) {
                let told = batch.iter().flat_map(|click| plain.score(&click.json, click.arrival_ms));
                changes +=
                    told.filter(|change| change.from != change.to && change.explanation.is_object()).count();
                let before = cpu();
                written_bytes += plain.write();
                writing += cpu() - before;
            }
        });
        assert!(written_bytes > 0 && hot.changelog_bytes > 0, "both write what they know");
        naive.push(whole);
        naive_unwritten.push(whole - writing.as_nanos() as f64 / EVENTS as f64);
        decided.1 = changes;
    }
    let (ripen, naive_told) = (decided.0 as f64, decided.1 as f64);
    assert!((ripen - naive_told).abs() < 0.1 * ripen, "both have to do the job: {decided:?}");
    println!(
        "# {EVENTS} events of {} bytes each on average; transitions: ripen {}, naive {}",
        bytes / EVENTS,
        decided.0,
        decided.1
    );
    figure("pipeline_event", "ns", &fused);
    figure("pipeline_event_rekeyed", "ns", &rekeyed);
    figure("pipeline_naive_event", "ns", &naive);
    figure("pipeline_naive_event_unwritten", "ns", &naive_unwritten);
    ratio("pipeline_naive_over_ripen", &naive, &fused);
    ratio("pipeline_naive_unwritten_over_ripen", &naive_unwritten, &fused);
    ratio("pipeline_naive_over_rekeyed", &naive, &rekeyed);
}
