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

use measure::{cpu_seconds_of, figure, memory_of};
use ripen_harness::Leash;
use support::Installation;

const LEADS: usize = 400_000;
const PARTITIONS: i32 = 8;
const ROUNDS: usize = 3;
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Until what the process gives back has been given back.
const SETTLE: Duration = Duration::from_secs(3);
/// Ten millions, on a busy machine.
const LIMIT: Duration = Duration::from_secs(600);

fn main() {
    let leads = std::env::var("RIPEN_BENCH_LEADS").map_or(LEADS, |leads| leads.parse().expect("a number"));
    let rounds = if leads > LEADS { 1 } else { ROUNDS };
    println!("# {leads} leads with 3 activities each, lz4, {PARTITIONS} partitions, two workers");
    let site = Installation::new("restore", PARTITIONS, "auto");
    let empty_ns = {
        let scorer = site.start("scorer");
        wait_until_running(&scorer, 0);
        cpu_seconds_of(scorer.pid()) * 1e9
    };
    let site = Installation::new("restore", PARTITIONS, "auto");
    changelog::fill(&site, leads);
    let [mut raw, mut lead, mut ratio, mut seconds, mut steady, mut peak] = [const { Vec::new() }; 6];
    for round in 0..rounds {
        // As many records as there are leads: the broker may have compacted the others, which say how far it has come.
        let raw_ns = raw::consume(&site, &site.topics.leads, PARTITIONS, leads);
        let began = Instant::now();
        let scorer = site.start("scorer");
        wait_until_running(&scorer, round);
        seconds.push(began.elapsed().as_secs_f64());
        let lead_ns = (cpu_seconds_of(scorer.pid()) * 1e9 - empty_ns) / leads as f64;
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
    figure("restore_from_start_to_running", "s", &seconds);
    figure("restore_memory_per_lead", "bytes", &steady);
    figure("restore_memory_peak_over_steady", "times", &peak);
}

/// Waits until every partition is running; the log goes on where those of earlier rounds ended.
fn wait_until_running(scorer: &Leash, round: usize) {
    let began = Instant::now();
    while scorer.output().matches("partition running").count() < (round + 1) * PARTITIONS as usize {
        assert!(began.elapsed() < LIMIT, "{}", scorer.output());
        nap(LOOK_EVERY);
    }
}

#[expect(clippy::disallowed_methods, reason = "looking all the time would cost the CPU that is measured")]
fn nap(time: Duration) {
    std::thread::sleep(time);
}
