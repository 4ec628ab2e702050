//! Restoring a scorer's leads from their changelog on real Kafka: time, CPU over a raw batch consume of the same
//! changelog, and memory at its peak over memory afterwards.
//!
//! A virtual machine may have to ask its host for each page of memory that was not used just before, which takes longer
//! than all of Ripen's work with what is in it. So each round restores twice: as it comes, and right after another
//! process has used as much memory and given it back.
//!
//! `RIPEN_BENCH_LEADS=10000000 cargo bench --bench restore` restores ten millions; an ordinary run fewer.

#[path = "../tests/support/mod.rs"]
mod support;

mod changelog;
mod hot;
mod measure;
mod raw;

use std::hint::black_box;
use std::time::{Duration, Instant};

use measure::{cpu_seconds_of, figure, memory_of, nap, wait_for};
use ripen_harness::Leash;
use support::{Installation, Setup, are_shared};

const LEADS: usize = 400_000;
const PARTITIONS: i32 = 8;
const ROUNDS: usize = 3;
/// Until what the process gives back has been given back.
const SETTLE: Duration = Duration::from_secs(3);
/// The group waits for a killed scorer for longer than the changelog takes to fill, so that it comes back to the
/// partitions that it had.
const KEPT: &str = "{session.timeout.ms: 1700000, max.poll.interval.ms: 1700000}";
/// At least twice what a restored lead takes, with everything counted.
const ROOM_PER_LEAD: usize = 1_000;
const PAGE_BYTES: usize = 4_096;
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
    let [mut raw, mut steady, mut peak] = [const { Vec::new() }; 3];
    let mut restores = ["fresh", "used"].map(|memory| Restores { memory, ..Restores::default() });
    for _ in 0..rounds {
        // As many records as there are leads: the broker may have compacted the others, which say how far it has come.
        let raw_ns = raw::consume(&site, &site.topics.leads, PARTITIONS, leads);
        raw.push(raw_ns);
        for restores in &mut restores {
            if restores.memory == "used" {
                use_memory(leads * ROOM_PER_LEAD);
            }
            let (cpu_s, took, scorer) = started(&site);
            let lead_ns = (cpu_s - empty_s) * 1e9 / leads as f64;
            restores.lead_ns.push(lead_ns);
            restores.over_raw.push(raw_ns / lead_ns);
            restores.seconds.push(took.as_secs_f64());
            nap(SETTLE);
            let (now, most) = memory_of(scorer.pid());
            steady.push(now as f64 / leads as f64);
            peak.push(most as f64 / now as f64);
        }
    }
    figure("restore_raw_batch_consume_record", "ns", &raw);
    for Restores { memory, lead_ns, over_raw, seconds } in &restores {
        figure(&format!("restore_lead_{memory}_memory"), "ns", lead_ns);
        figure(&format!("restore_leads_per_cpu_second_over_raw_{memory}_memory"), "times", over_raw);
        figure(&format!("restore_from_start_to_ready_{memory}_memory"), "s", seconds);
    }
    figure("restore_memory_per_lead", "bytes", &steady);
    figure("restore_memory_peak_over_steady", "times", &peak);
}

/// What was measured with one kind of memory, one entry for each round.
#[derive(Default)]
struct Restores {
    memory: &'static str,
    lead_ns: Vec<f64>,
    over_raw: Vec<f64>,
    seconds: Vec<f64>,
}

/// Uses each page of so much memory once, and gives it back.
fn use_memory(bytes: usize) {
    let mut memory = Vec::<u8>::with_capacity(bytes);
    for page in memory.spare_capacity_mut().chunks_mut(PAGE_BYTES) {
        page[0].write(1);
    }
    black_box(&memory);
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
    wait_for("both workers have their share", LIMIT, || {
        are_shared(&scorer.output()[log_before..], PARTITIONS as usize / 2)
    });
}
