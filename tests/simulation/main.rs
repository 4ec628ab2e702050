//! The runtime of Ripen under deterministic simulation: the real worker and the real operators of ingest, scorer and
//! emitter, several instances of each, over the log in memory, while a schedule drawn from a seed kills them, lets
//! them sleep and wake, rebalances them, loses the answers of their calls, delays what they sent.
//!
//! `schedule` says what happens, `world` lets it happen, `log` is where calls go wrong, `check` says what must hold
//! afterwards, `shrink` cuts a failing schedule down, `plant` makes bugs to see that they are found.

mod check;
mod dice;
mod inputs;
mod log;
mod plant;
mod reference;
mod schedule;
mod shrink;
mod stories;
mod world;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, Once};

use plant::Bug;
use schedule::Schedule;
use world::World;

/// Runs a schedule; answers what is wrong.
fn violations(schedule: &Schedule, bug: Option<Bug>) -> Vec<String> {
    run(schedule, bug, false).0
}

/// Runs a schedule; answers what is wrong, and what happened if it is to be told.
fn run(schedule: &Schedule, bug: Option<Bug>, is_told: bool) -> (Vec<String>, Vec<String>) {
    let world = World::new(schedule, bug, is_told);
    let finished = quietly(|| {
        catch_unwind(AssertUnwindSafe(|| {
            world.run();
            check::check(&world)
        }))
    });
    let wrong = finished.unwrap_or_else(|panic| {
        let words = panic.downcast_ref::<String>().cloned();
        let words = words.or_else(|| panic.downcast_ref::<&str>().map(|words| (*words).to_owned()));
        vec![format!("panic: {}", words.unwrap_or_default())]
    });
    let told = world.told();
    world.close();
    (wrong, told)
}

/// A failing seed in readable lines: the smallest schedule that still fails, what happened in it, what is wrong.
fn report(seed: u64, bug: Option<Bug>) -> String {
    let smallest = shrink::shrink(&Schedule::of(seed), |schedule| !violations(schedule, bug).is_empty());
    let (wrong, told) = run(&smallest, bug, true);
    let lines = |lines: &[String]| lines.iter().map(|line| format!("  {line}\n")).collect::<String>();
    format!(
        "seed {seed} fails; what is left of its schedule:\n{smallest}what happened (ms since the start):\n{}what is \
         wrong:\n{}",
        lines(&told),
        lines(&wrong)
    )
}

/// Runs seeds on all cores until as many as `enough` fail; answers those, with what is wrong first, ascending.
fn failing(
    seeds: Range<u64>,
    bug: Option<Bug>,
    enough: usize,
    progress: impl Fn(u64) + Sync,
) -> BTreeMap<u64, String> {
    let (next, done) = (AtomicU64::new(seeds.start), AtomicU64::new(0));
    let failing = Mutex::new(BTreeMap::new());
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end || failing.lock().is_ok_and(|failing| failing.len() >= enough) {
                return;
            }
            if let Some(first) = violations(&Schedule::of(seed), bug).into_iter().next() {
                failing.lock().expect("nobody panics with it").insert(seed, first);
            }
            progress(done.fetch_add(1, Ordering::Relaxed) + 1);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    failing.into_inner().expect("nobody panicked with it")
}

/// Whether panics of this thread are a run's answer, and nothing to be printed.
fn quietly<T>(run: impl FnOnce() -> T) -> T {
    thread_local!(static QUIET: Cell<bool> = const { Cell::new(false) });
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !QUIET.get() {
                usual(panic);
            }
        }));
    });
    QUIET.set(true);
    let answer = run();
    QUIET.set(false);
    answer
}

/// Schedules of an ordinary run: about a minute of one core, unoptimised.
const ORDINARY: Range<u64> = 0..2_000;

#[test]
fn two_thousand_schedules_leave_everything_as_it_should_be() {
    let failing = failing(ORDINARY, None, usize::MAX, |_| {});
    if let Some(seed) = failing.keys().next() {
        panic!("{} of {ORDINARY:?} fail: {failing:#?}\n{}", failing.len(), report(*seed, None));
    }
}

/// Each planted bug with a seed that finds it; `tests/simulate --planted` finds such seeds.
const PLANTED: [(Bug, u64); 22] = [
    (Bug::ProducerNotFenced, 6),
    (Bug::AbortedGoesOn, 140),
    (Bug::UnsteadyGoesOn, 481),
    (Bug::MemberNotFenced, 161),
    (Bug::ChangelogOutside, 10),
    (Bug::OutputsOutside, 0),
    (Bug::OffsetsFirst, 0),
    (Bug::UnknownIsCommitted, 30),
    (Bug::UnknownIsAborted, 18),
    (Bug::LostIsCommitted, 14),
    (Bug::LostIsKept, 8),
    (Bug::UndecidedChangelog, 843),
    (Bug::UndecidedOffset, 2),
    (Bug::AbortMerges, 0),
    (Bug::AbortKeepsStage, 7),
    (Bug::DeadlineForgotten, 0),
    (Bug::ClockForgotten, 32),
    (Bug::SwitchForgotten, 0),
    (Bug::DeletionForgotten, 16),
    (Bug::TransferLost, 6),
    (Bug::TransferDoubled, 6),
    (Bug::CutIsApplied, 0),
];

#[test]
fn each_planted_bug_is_found() {
    assert!(Bug::ALL.iter().all(|bug| PLANTED.iter().any(|(planted, _)| planted == bug)));
    for (bug, seed) in PLANTED {
        assert!(ORDINARY.contains(&seed));
        let schedule = Schedule::of(seed);
        assert_ne!(violations(&schedule, Some(bug)), Vec::<String>::new(), "{bug:?} is not found by {seed}");
        assert_eq!(violations(&schedule, None), Vec::<String>::new(), "{seed} without {bug:?}");
    }
}

#[test]
#[ignore = "long: as many schedules as asked for, by `tests/simulate`"]
fn as_many_schedules_as_asked_for() {
    let asked = |name: &str, usual: u64| {
        std::env::var(name)
            .map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
    };
    let (count, first) = (asked("RIPEN_SCHEDULES", 20_000), asked("RIPEN_SEED", ORDINARY.end));
    let progress = |done: u64| {
        if done.is_multiple_of(10_000) {
            println!("{done} done");
        }
    };
    let failing = failing(first..first + count, None, usize::MAX, progress);
    for (seed, what) in &failing {
        println!("seed {seed}: {what}");
    }
    if let Some(seed) = failing.keys().next() {
        println!("{}", report(*seed, None));
    }
    println!("{count} schedules, {} violations", failing.len());
    assert!(failing.is_empty());
}

#[test]
#[ignore = "long: which of the ordinary schedules find which planted bug, by `tests/simulate --planted`"]
fn seeds_of_planted_bugs() {
    let count = std::env::var("RIPEN_SCHEDULES").ok().and_then(|text| text.parse().ok());
    let only = std::env::var("RIPEN_BUG").unwrap_or_default();
    for bug in Bug::ALL.into_iter().filter(|bug| format!("{bug:?}").contains(&only)) {
        let (seeds, tried) = (0..count.unwrap_or(ORDINARY.end), AtomicU64::new(0));
        let failing = failing(seeds, Some(bug), 5, |done| tried.store(done, Ordering::Relaxed));
        let (first, what) = (failing.keys().collect::<Vec<_>>(), failing.values().next());
        println!("{bug:?}: the first of {tried:?} schedules that find it: {first:?}: {what:?}");
    }
}
