//! What the number of leads costs without a log: the longest pause that growing causes, over that of one map in place
//! of the 64 that the base is made of, and the scorer's CPU per event at many leads over few.
//!
//! `RIPEN_BENCH_LEADS=10000000 cargo bench --bench growth` grows to ten millions; an ordinary run to fewer.

mod hot;
mod measure;

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::Arc;
use std::time::Instant;

use hot::Drawn;
use measure::{figure, ns_per_item, ratio, thread_cpu};
use ripen_model::Model;
use ripen_records::ActivityRecord;
use ripen_scorer::{Applied, Budget, KeyHasher, LeadKey, Shard};

const LEADS: usize = 2_000_000;
const FEW: usize = 100_000;
/// Few enough that a lead of the few has hardly more activities than one of the many.
const EVENTS: usize = 50_000;
const ROUNDS: usize = 7;
/// Activities of a lead before it is drawn.
const ACTIVITIES: usize = 3;
/// Bytes of a lead with so many.
const LEAD_BYTES: usize = 251;
/// 1 November 2026.
const START_MS: i64 = 1_793_491_200_000;

fn main() {
    let leads = std::env::var("RIPEN_BENCH_LEADS").map_or(LEADS, |leads| leads.parse().expect("a number"));
    println!(
        "# from 0 to {leads} leads, {ACTIVITIES} activities each; transactions of {} activities",
        hot::BATCH
    );
    let one = one_map_longest_ms(leads);
    let base = base_longest_ms(leads);
    figure("growth_one_map_longest_insertion", "ms", &[one]);
    figure("growth_base_longest_insertion", "ms", &[base]);
    figure("growth_longest_insertion_over_one_map", "times", &[base / one]);
    let model = hot::model();
    let (mut many, longest, median) = grown(&model, leads);
    figure("growth_transaction", "ms", &[median]);
    figure("growth_longest_transaction", "ms", &[longest]);
    for (drawn, name) in [(Drawn::Evenly, "evenly"), (Drawn::Zipf, "zipf")] {
        let (mut above, mut below) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            let (mut few, ..) = grown(&model, FEW);
            below.push(events(&mut few, FEW, drawn, round));
            above.push(events(&mut many, leads, drawn, round));
        }
        figure(&format!("growth_event_at_few_leads_{name}"), "ns", &below);
        figure(&format!("growth_event_at_many_leads_{name}"), "ns", &above);
        ratio(&format!("growth_event_many_over_few_{name}"), &above, &below);
    }
}

/// Longest insertion into one map of entries as large as leads, in ms of CPU: what others do on the machine is no pause
/// of the map's.
fn one_map_longest_ms(leads: usize) -> f64 {
    let mut map: HashMap<LeadKey, Box<[u8]>, BuildHasherDefault<KeyHasher>> = HashMap::default();
    longest_insertion_ms(leads, |key, value| map.insert(key, value))
}

/// The same into the base of a partition.
fn base_longest_ms(leads: usize) -> f64 {
    let base = Shard::new().base();
    longest_insertion_ms(leads, |key, value| base.insert(key, value))
}

fn longest_insertion_ms(
    leads: usize,
    mut insert: impl FnMut(LeadKey, Box<[u8]>) -> Option<Box<[u8]>>,
) -> f64 {
    let mut longest_ms = 0.0_f64;
    for lead in 0..leads {
        let (key, value) = (LeadKey::of(&id(lead)), vec![0; LEAD_BYTES].into_boxed_slice());
        let began = thread_cpu();
        insert(key, value);
        longest_ms = longest_ms.max((thread_cpu() - began).as_secs_f64() * 1e3);
    }
    longest_ms
}

/// A partition with so many leads, and its longest and median transaction on the way there, in ms.
fn grown(model: &Arc<Model>, leads: usize) -> (Shard, f64, f64) {
    let mut shard = hot::shard(model);
    let mut taken_ms = Vec::new();
    let leads_at_once = hot::BATCH / ACTIVITIES;
    for first in (0..leads).step_by(leads_at_once) {
        let began = Instant::now();
        for lead in first..(first + leads_at_once).min(leads) {
            let id = id(lead);
            (0..ACTIVITIES).for_each(|n| view(&mut shard, lead, &id, n));
        }
        shard.seal(&mut |_, _| ());
        shard.commit();
        taken_ms.push(began.elapsed().as_secs_f64() * 1e3);
    }
    taken_ms.sort_by(f64::total_cmp);
    let (longest, median) = (taken_ms[taken_ms.len() - 1], taken_ms[taken_ms.len() / 2]);
    (shard, longest, median)
}

/// CPU per activity, in ns. As in a service, the records of a transaction are there before they are applied, and the
/// shard is told of which leads they are.
fn events(shard: &mut Shard, leads: usize, drawn: Drawn, round: usize) -> f64 {
    let mut seed = round as u64 + 1;
    ns_per_item(EVENTS, || {
        for first in (0..EVENTS).step_by(hot::BATCH) {
            let drawn: Vec<usize> = (0..hot::BATCH).map(|_| hot::draw(&mut seed, leads, drawn)).collect();
            let ids: Vec<String> = drawn.iter().map(|lead| id(*lead)).collect();
            let mut expected = 0;
            for (n, (lead, id)) in drawn.iter().zip(&ids).enumerate() {
                if n >= expected {
                    expected = n + shard.expect(ids[n..].iter().map(String::as_str));
                }
                view(shard, *lead, id, ACTIVITIES + round * EVENTS + first + n);
            }
            shard.seal(&mut |_, _| ());
            shard.commit();
        }
    })
}

fn view(shard: &mut Shard, lead: usize, id: &str, n: usize) {
    let event_id = format!("{lead}-{n}");
    let at = START_MS + (lead as i64) / 10 + n as i64 * 10;
    let path = ["/models/m", "/models/n", "/models/o"][n % 3];
    let record = ActivityRecord::Activity(hot::page_view(id, &event_id, path, at));
    let applied = shard.apply(id, &record, at + 3_600_000, &mut Budget::new(10_000), &mut Vec::new());
    assert!(matches!(applied, Ok(Applied::Accepted { .. })), "{applied:?}");
}

fn id(lead: usize) -> String {
    format!("anon:{lead:032x}")
}
