//! CPU per event from JSON to transition, without Kafka, beside a deliberately naive variant.

mod hot;
mod measure;
mod naive;

use std::process::Command;
use std::time::Duration;

use hot::{BATCH, Click, Hot};
use measure::{cpu, figure, ns_per_item, ratio};
use naive::Naive;
use ripen_runtime::kafka::keep_freed_memory;

const EVENTS: usize = 100_000;
const ROUNDS: usize = 7;

/// What one run of a side took and did.
struct Run {
    /// CPU per event, ns.
    event_ns: f64,
    /// The same without writing leads.
    unwritten_ns: f64,
    decided: usize,
}

fn main() {
    // Each run in a process of its own: none works in the heap that the other side has left behind.
    if let Some(side) = std::env::args().skip(1).find(|argument| !argument.starts_with('-')) {
        return measure_side(&side);
    }
    let (mut fused, mut rekeyed, mut naive, mut naive_unwritten) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut decided = (0, 0);
    for _ in 0..ROUNDS {
        let ripen = run_of("ripen");
        let plain = run_of("naive");
        fused.push(ripen.event_ns);
        rekeyed.push(run_of("rekeyed").event_ns);
        naive.push(plain.event_ns);
        naive_unwritten.push(plain.unwritten_ns);
        decided = (ripen.decided, plain.decided);
    }
    let (ripen, naive_told) = (decided.0 as f64, decided.1 as f64);
    assert!((ripen - naive_told).abs() < 0.1 * ripen, "both have to do the job: {decided:?}");
    println!("# transitions: ripen {}, naive {}", decided.0, decided.1);
    figure("pipeline_event", "ns", &fused);
    figure("pipeline_event_rekeyed", "ns", &rekeyed);
    figure("pipeline_naive_event", "ns", &naive);
    figure("pipeline_naive_event_unwritten", "ns", &naive_unwritten);
    ratio("pipeline_naive_over_ripen", &naive, &fused);
    ratio("pipeline_naive_unwritten_over_ripen", &naive_unwritten, &fused);
    ratio("pipeline_naive_over_rekeyed", &naive, &rekeyed);
}

fn run_of(side: &str) -> Run {
    let this = std::env::current_exe().expect("a path");
    let output = Command::new(this).arg(side).output().expect("it starts");
    assert!(output.status.success(), "{side}: {}", String::from_utf8_lossy(&output.stderr));
    let told = String::from_utf8(output.stdout).expect("numbers");
    let numbers: Vec<f64> = told.split_whitespace().map(|number| number.parse().expect("a number")).collect();
    let [event_ns, unwritten_ns, decided] = numbers[..] else { panic!("{side} told {told}") };
    Run { event_ns, unwritten_ns, decided: decided as usize }
}

/// Runs a side twice and prints what the second run took: a service that runs has its memory, and keeps it.
fn measure_side(side: &str) {
    keep_freed_memory();
    let clicks = hot::clicks(20_000, EVENTS);
    let score = || match side {
        "naive" => score_naively(&clicks),
        _ => score(&clicks, side == "rekeyed"),
    };
    score();
    let Run { event_ns, unwritten_ns, decided } = score();
    println!("{event_ns} {unwritten_ns} {decided}");
}

fn score(clicks: &[Click], rekeyed: bool) -> Run {
    let model = hot::model();
    let mut hot = Hot::new(&model);
    let event_ns = ns_per_item(EVENTS, || hot.run(clicks, rekeyed));
    assert!(hot.changelog_bytes > 0, "both write what they know");
    Run { event_ns, unwritten_ns: event_ns, decided: hot.decided }
}

fn score_naively(clicks: &[Click]) -> Run {
    let mut plain = Naive::new();
    let (mut decided, mut written_bytes, mut writing) = (0, 0, Duration::ZERO);
    let event_ns = ns_per_item(EVENTS, || {
        for batch in clicks.chunks(BATCH) {
            let told = batch.iter().flat_map(|click| plain.score(click.json, click.arrival_ms));
            decided +=
                told.filter(|change| change.from != change.to && change.explanation.is_object()).count();
            let before = cpu();
            written_bytes += plain.write();
            writing += cpu() - before;
        }
    });
    assert!(written_bytes > 0, "both write what they know");
    let unwritten_ns = event_ns - writing.as_nanos() as f64 / EVENTS as f64;
    Run { event_ns, unwritten_ns, decided }
}
