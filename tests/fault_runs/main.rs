//! Faults on a real Kafka: processes and brokers are killed, frozen and cut off while clicks come in; afterwards every
//! topic, read with the Java consumer, must hold what a sequential reference makes of the same clicks.
//!
//! An ordinary run kills 15 times (3 minutes at the most). `tests/faults --kills N` goes on for longer and does more.

mod checker;
mod clicks;
mod reference;
mod round;
mod scale;
#[path = "../support/mod.rs"]
mod support;
mod world;

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ripen_harness::Proxy;
use ripen_records::{ActivityRecord, decode_activity};

use checker::Contents;
use clicks::Fed;
use reference::Stored;
use round::{Mix, Order, Report, SESSION_TIMEOUT};
use support::{Installation, Setup};
use world::World;

/// Brokers and processes of two tests at once would only wait for each other.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn setup(name: &str, world: &World) -> Setup {
    let bootstrap = world.bootstrap();
    let session_ms = SESSION_TIMEOUT.as_millis();
    Setup {
        name: name.to_owned(),
        processes: world.proxy.as_ref().map_or_else(|| bootstrap.clone(), Proxy::bootstrap),
        bootstrap,
        partitions: 6,
        replication: world.brokers.len() as u32,
        workers: 1,
        commit: "auto".to_owned(),
        properties: format!("{{session.timeout.ms: '{session_ms}', heartbeat.interval.ms: '1000'}}"),
        model: PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fault_runs/quick.yaml"),
    }
}

fn assert_holds(report: &Report) {
    println!("{}", report.line());
    assert!(report.violations.is_empty(), "{}", report.violations.join("\n"));
    assert!(report.amount.decisions > 200, "too little happened: {:?}", report.amount);
}

/// Services are killed while they work, some for longer than their group waits for them.
#[test]
fn fifteen_kills_lose_and_double_nothing() {
    let _alone = alone();
    let mut world = World::one_broker();
    let mut site = Installation::of(&setup("kills", &world));
    let order = Order {
        seed: 15,
        kills: 15,
        faults: 15,
        mix: Mix { kill: 4, long_kill: 1, ..Mix::default() },
        pause_ms: 200..3_000,
        clicks_per_second: 200,
    };
    let report = round::run(&mut site, &mut world, &order);
    assert_eq!(report.kills, 15);
    assert_holds(&report);
    let (contents, fed) = report.evidence.as_ref().expect("it was checked");
    notices_what_is_wrong(&site, contents, fed);
}

/// Processes that are frozen for longer than their group waits, and for longer than a transaction may take, wake up
/// and go on as if nothing had happened: others have their partitions by then.
#[test]
fn what_a_frozen_process_does_when_it_wakes_counts_for_nothing() {
    let _alone = alone();
    let mut world = World::one_broker();
    let mut site = Installation::of(&setup("frozen", &world));
    let order = Order {
        seed: 3,
        kills: 0,
        faults: 5,
        mix: Mix { freeze: 1, ..Mix::default() },
        pause_ms: 2_000..5_000,
        clicks_per_second: 200,
    };
    assert_holds(&round::run(&mut site, &mut world, &order));
}

/// The only broker is killed and frozen while everybody works.
#[test]
fn a_broker_that_dies_and_comes_back_loses_nothing() {
    let _alone = alone();
    let mut world = World::one_broker();
    let mut site = Installation::of(&setup("broker", &world));
    let order = Order {
        seed: 5,
        kills: 2,
        faults: 4,
        mix: Mix { broker_kill: 2, broker_freeze: 1, broker_leave: 1, ..Mix::default() },
        pause_ms: 3_000..8_000,
        clicks_per_second: 200,
    };
    assert_holds(&round::run(&mut site, &mut world, &order));
}

/// Between processes and broker requests are delayed, above all the ends of transactions, connections are cut before
/// and after the broker has answered, hang, and are half open.
#[test]
fn connections_that_break_and_hang_lose_and_double_nothing() {
    let _alone = alone();
    let mut world = World::one_broker_behind_a_proxy(8);
    let mut site = Installation::of(&setup("storm", &world));
    let order = Order {
        seed: 8,
        kills: 0,
        faults: 6,
        mix: Mix { storm: 1, ..Mix::default() },
        pause_ms: 1_000..4_000,
        clicks_per_second: 200,
    };
    assert_holds(&round::run(&mut site, &mut world, &order));
}

/// Everything at once, for as long as is asked for: `tests/faults` runs this.
#[test]
#[ignore = "long: tests/faults --kills N"]
fn as_many_kills_as_asked_for() {
    let _alone = alone();
    let number = |name: &str, default: u64| {
        let text = std::env::var(name).unwrap_or_default();
        if text.is_empty() { default } else { text.parse().unwrap_or_else(|_| panic!("{name}: {text:?}")) }
    };
    let (kills, seed) = (number("RIPEN_FAULT_KILLS", 30) as u32, number("RIPEN_FAULT_SEED", 1));
    let (mut killed, mut violations) = (0, 0);
    for round in 0_u64.. {
        if killed >= kills {
            break;
        }
        let seed = seed.wrapping_add(round);
        let (kind, mut world) = World::of_round(round, seed);
        let mut site = Installation::of(&setup("long", &world));
        let report = round::run(&mut site, &mut world, &Order::of_a_long_run(seed, kills - killed));
        println!("round {round} (seed {seed}, {kind}): {}", report.line());
        for violation in &report.violations {
            println!("  {violation}");
        }
        killed += report.kills;
        violations += report.violations.len();
    }
    println!("{killed} kills, {violations} violations");
    assert_eq!(violations, 0);
}

/// A record that is missing, doubled or of somebody else, in any topic, and a click that was never fed, are violations.
fn notices_what_is_wrong(site: &Installation, contents: &Contents, fed: &Fed) {
    type Spoil = fn(&mut Contents, &mut Fed);
    fn double(records: &mut Vec<Stored>) {
        records.extend(records.last().cloned());
    }
    let spoils: [(&str, Spoil); 10] = [
        ("activity doubled", |contents, _| contents.activities.extend(an_activity(contents))),
        ("decision doubled", |contents, _| double(&mut contents.decisions)),
        ("decision lost", |contents, _| _ = contents.decisions.pop()),
        ("decisions exchanged", |contents, _| contents.decisions.reverse()),
        ("transition doubled", |contents, _| double(&mut contents.transitions)),
        ("transition lost", |contents, _| _ = contents.transitions.pop()),
        ("profile lost", |contents, _| _ = contents.profiles.pop()),
        ("lead lost", |contents, _| _ = contents.leads.pop()),
        ("dead letter lost", |contents, _| _ = contents.dead_letters.pop()),
        ("click lost", |_, fed| fed.clicks.push("m-lost".to_owned())),
    ];
    for (what, spoil) in spoils {
        let (mut contents, mut fed) = (contents.clone(), fed.clone());
        spoil(&mut contents, &mut fed);
        assert!(!contents.violations(site, &fed).is_empty(), "nobody noticed: {what}");
    }
}

/// The oldest activity: one that has certainly been scored.
fn an_activity(contents: &Contents) -> Option<Stored> {
    let is_activity = |record: &&Stored| {
        let value = record.value.as_deref().unwrap_or_default();
        matches!(decode_activity(value), Ok(ActivityRecord::Activity(_)))
    };
    contents.activities.iter().find(is_activity).cloned()
}
