//! What the number of leads costs without a log: the longest pause while the state grows, over that of one map of the
//! same entries, and CPU per event at many leads over few.
//!
//! `RIPEN_BENCH_LEADS=10000000 cargo bench --bench growth` grows to ten millions; an ordinary run to fewer.

mod hot;
mod measure;

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::time::Instant;

use measure::{figure, ns_per_item, ratio};
use ripen_records::ActivityRecord;
use ripen_scorer::{Applied, Budget, KeyHasher, LeadKey, Shard};

const LEADS: usize = 2_000_000;
const FEW: usize = 100_000;
const EVENTS: usize = 400_000;
const ROUNDS: usize = 3;
/// 1 November 2026.
const START_MS: i64 = 1_793_491_200_000;

fn main() {
    let leads = std::env::var("RIPEN_BENCH_LEADS").map_or(LEADS, |leads| leads.parse().expect("a number"));
    println!("# from 0 to {leads} leads in transactions of {}; one partition", hot::BATCH);
    figure("growth_one_map_longest_pause", "ms", &[grow_one_map(leads)]);
    let model = hot::model();
    let mut few = hot::shard(&model);
    let mut many = hot::shard(&model);
    grow(&mut few, FEW);
    let (longest, median) = grow(&mut many, leads);
    figure("growth_transaction", "ms", &[median]);
    figure("growth_longest_transaction", "ms", &[longest]);
    let (mut above, mut below) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        below.push(events(&mut few, FEW, round));
        above.push(events(&mut many, leads, round));
    }
    figure("growth_event_at_few_leads", "ns", &below);
    figure("growth_event_at_many_leads", "ns", &above);
    ratio("growth_event_many_over_few", &above, &below);
}

/// Longest insertion into one map of entries as large as leads, in ms.
fn grow_one_map(leads: usize) -> f64 {
    let mut map: HashMap<LeadKey, Box<[u8]>, BuildHasherDefault<KeyHasher>> = HashMap::default();
    let mut longest_ms = 0.0_f64;
    for lead in 0..leads {
        let (key, value) = (LeadKey::of(&id(lead)), vec![0; 270].into_boxed_slice());
        let began = Instant::now();
        map.insert(key, value);
        longest_ms = longest_ms.max(began.elapsed().as_secs_f64() * 1e3);
    }
    longest_ms
}

/// Longest and median transaction while so many leads arrive, one activity each, in ms.
fn grow(shard: &mut Shard, leads: usize) -> (f64, f64) {
    let mut taken_ms = Vec::new();
    for first in (0..leads).step_by(hot::BATCH) {
        let began = Instant::now();
        for lead in first..(first + hot::BATCH).min(leads) {
            view(shard, lead, 0);
        }
        shard.seal(&mut |_, _| ());
        shard.commit();
        taken_ms.push(began.elapsed().as_secs_f64() * 1e3);
    }
    taken_ms.sort_by(f64::total_cmp);
    (taken_ms[taken_ms.len() - 1], taken_ms[taken_ms.len() / 2])
}

/// CPU per activity, of leads drawn evenly.
fn events(shard: &mut Shard, leads: usize, round: usize) -> f64 {
    let mut drawn = round as u64 + 1;
    ns_per_item(EVENTS, || {
        for n in 0..EVENTS {
            // SplitMix64's step and mix: the draws need no more than to be spread.
            drawn = drawn.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mixed = (drawn ^ (drawn >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let lead = ((mixed ^ (mixed >> 27)) % leads as u64) as usize;
            view(shard, lead, 1 + round * EVENTS + n);
            if n % hot::BATCH == hot::BATCH - 1 {
                shard.seal(&mut |_, _| ());
                shard.commit();
            }
        }
    })
}

fn view(shard: &mut Shard, lead: usize, n: usize) {
    let (id, event_id) = (id(lead), format!("{lead}-{n}"));
    let at = START_MS + (lead as i64) / 10 + n as i64 * 10;
    let path = ["/models/m", "/models/n", "/models/o"][n % 3];
    let record = ActivityRecord::Activity(hot::page_view(&id, &event_id, path, at));
    let applied = shard.apply(&id, &record, at + 3_600_000, &mut Budget::new(10_000), &mut Vec::new());
    assert!(matches!(applied, Ok(Applied::Accepted { .. })), "{applied:?}");
}

fn id(lead: usize) -> String {
    format!("anon:{lead:032x}")
}
