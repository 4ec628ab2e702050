//! Restoring a scorer's leads from their changelog on real Kafka: time, CPU over a raw batch consume of the same
//! changelog, and memory at its peak over memory afterwards.
//!
//! `RIPEN_BENCH_LEADS=10000000 cargo bench --bench restore` restores ten millions; an ordinary run fewer.

#[path = "../tests/support/mod.rs"]
mod support;

mod changelog;
mod hot;
mod measure;
mod raw;

use std::time::{Duration, Instant};

use measure::{cpu_seconds_of, figure, memory_of, nap};
use ripen_harness::Leash;
use support::{Installation, Setup, are_shared};

const LEADS: usize = 400_000;
const PARTITIONS: i32 = 8;
const ROUNDS: usize = 3;
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Until what the process gives back has been given back.
const SETTLE: Duration = Duration::from_secs(3);
/// The group waits for a killed scorer for longer than the changelog takes to fill, so that it comes back to the
/// partitions that it had.
const KEPT: &str = "{session.timeout.ms: 1700000, max.poll.interval.ms: 1700000}";
/// Ten millions, on a busy machine.
const LIMIT: Duration = Duration::from_secs(600);

fn main() {
    let leads = std::env::var("RIPEN_BENCH_LEADS").map_or(LEADS, |leads| leads.parse().expect("a number"));
    let rounds = if leads > LEADS { 1 } else { ROUNDS };
    println!("# {leads} leads with 3 activities each, lz4, {PARTITIONS} partitions, two workers");
    let setup = Setup { properties: KEPT.to_owned(), ..Setup::shared("restore", PARTITIONS, "auto") };
    let site = Installation::of(&setup);
    let scorer = site.start("scorer");
    wait_until_ready(&scorer, 0);
    drop(scorer);
    let empty_s = started(&site).0;
    let began = Instant::now();
    changelog::fill(&site, leads);
    println!("# written in {:.0} s", began.elapsed().as_secs_f64());
    let [mut raw, mut lead, mut ratio, mut seconds, mut steady, mut peak] = [const { Vec::new() }; 6];
    for _ in 0..rounds {
        // As many records as there are leads: the broker may have compacted the others, which say how far it has come.
        let raw_ns = raw::consume(&site, &site.topics.leads, PARTITIONS, leads);
        let (cpu_s, took, scorer) = started(&site);
        seconds.push(took.as_secs_f64());
        let lead_ns = (cpu_s - empty_s) * 1e9 / leads as f64;
        raw.push(raw_ns);
        lead.push(lead_ns);
        ratio.push(raw_ns / lead_ns);
        nap(SETTLE);
        let (now, most) = memory_of(scorer.pid());
        steady.push(now as f64 / leads as f64);
        peak.push(most as f64 / now as f64);
    }
    figure("restore_raw_batch_consume_record", "ns", &raw);
    figure("restore_lead", "ns", &lead);
    figure("restore_leads_per_cpu_second_over_raw", "times", &ratio);
    figure("restore_from_start_to_ready", "s", &seconds);
    figure("restore_memory_per_lead", "bytes", &steady);
    figure("restore_memory_peak_over_steady", "times", &peak);
}

/// Starts a scorer that the group still knows, until it is ready: CPU so far in seconds, and how long that took.
fn started(site: &Installation) -> (f64, Duration, Leash) {
    let log_before = site.log("scorer").len();
    let began = Instant::now();
    let scorer = site.start("scorer");
    wait_until_ready(&scorer, log_before);
    (cpu_seconds_of(scorer.pid()), began.elapsed(), scorer)
}

/// Waits until both workers have restored their share; what the log said earlier does not count.
fn wait_until_ready(scorer: &Leash, log_before: usize) {
    let began = Instant::now();
    loop {
        let log = scorer.output();
        if are_shared(&log[log_before..], PARTITIONS as usize / 2) {
            return;
        }
        assert!(began.elapsed() < LIMIT, "{log}");
        nap(LOOK_EVERY);
    }
}
