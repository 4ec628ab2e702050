//! Faults on a real Kafka: processes and brokers are killed, frozen and cut off while clicks come in; afterwards every
//! topic, read with the Java consumer, must hold what a sequential reference makes of the same clicks.
//!
//! An ordinary run kills 15 times (3 minutes at the most). `tests/faults --kills N` goes on for longer and does more.

mod checker;
mod clicks;
mod documented;
mod evidence;
mod fleet;
mod reference;
mod round;
mod scale;
#[path = "../support/mod.rs"]
mod support;
mod world;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ripen_harness::{Dice, END_TXN, Mischief, Proxy, Rule, SmallDisk, not_run};
use ripen_records::{ActivityRecord, decode_activity};
use ripen_runtime::worker::{META_KEY, PartitionMeta};

use checker::Contents;
use clicks::Fed;
use fleet::SESSION_TIMEOUT;
use reference::Stored;
use round::{Fault, Order, Report};
use support::{Installation, Setup};
use world::World;

/// What Ripen asks the brokers for.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(10);
/// Few enough for everything that happened to be checked in one go.
const KILLS_A_ROUND: u32 = 80;

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

/// An order of these faults, at an even pace.
fn order(seed: u64, faults: Vec<Fault>) -> Order {
    Order { seed, faults, pause_ms: 1_000..4_000, clicks_per_second: 200, environment: Vec::new() }
}

/// Services are killed while they work, some for longer than their group waits for them.
#[test]
fn fifteen_kills_lose_and_double_nothing() {
    let _alone = alone();
    let mut world = World::one_broker();
    let mut site = Installation::of(&setup("kills", &world));
    let faults = (1..=15).map(|number| if number % 5 == 0 { Fault::LongKill } else { Fault::Kill }).collect();
    let report = round::run(&mut site, &mut world, &Order { pause_ms: 200..3_000, ..order(15, faults) });
    assert_eq!(report.kills, 15);
    assert_holds(&report);
    let (contents, fed) = report.evidence.as_ref().expect("it was checked");
    let stages = ["customer", "mql", "nql", "sql", "visitor"].map(str::to_owned);
    assert_eq!(contents.stages(), stages.into(), "sales' answers lead to some of these");
    notices_what_is_wrong(&site, contents, fed);
}

/// Processes wake after longer than their group waits and a transaction may take, the only broker dies and stands
/// still, requests are held back, connections break.
#[test]
fn what_freezes_dies_or_breaks_loses_and_doubles_nothing() {
    let _alone = alone();
    let mut world = World::one_broker_behind_a_proxy(8);
    let mut site = Installation::of(&setup("mixed", &world));
    let faults = [Fault::Freeze, Fault::Storm, Fault::BrokerKill, Fault::Freeze, Fault::Storm];
    let report = round::run(&mut site, &mut world, &order(8, faults.into()));
    assert!(report.hit > 0, "no request met the storms");
    assert_holds(&report);
}

/// What a process does that was frozen for longer than its group waits counts for nothing: others have its partitions.
#[test]
#[ignore = "long: 1 minute"]
fn a_frozen_process_wakes_and_changes_nothing() {
    let _alone = alone();
    let mut world = World::one_broker();
    let mut site = Installation::of(&setup("frozen", &world));
    assert_holds(&round::run(&mut site, &mut world, &order(3, vec![Fault::Freeze; 8])));
}

/// The only broker is killed, stopped and frozen while everybody works.
#[test]
#[ignore = "long: 2 minutes"]
fn a_broker_that_dies_and_comes_back_loses_nothing() {
    let _alone = alone();
    let mut world = World::one_broker();
    let mut site = Installation::of(&setup("broker", &world));
    let faults = [Fault::BrokerKill, Fault::BrokerLeave, Fault::BrokerFreeze, Fault::BrokerKill];
    assert_holds(&round::run(&mut site, &mut world, &order(5, faults.into())));
}

/// Leaders of partitions and coordinators of groups and transactions move from node to node.
#[test]
#[ignore = "long: 3 minutes, three brokers"]
fn leaders_and_coordinators_move_and_nothing_is_lost() {
    let _alone = alone();
    let mut world = World::three_brokers();
    let mut site = Installation::of(&setup("movers", &world));
    let faults = [
        Fault::BrokerKill,
        Fault::BrokerLeave,
        Fault::BrokerKill,
        Fault::BrokerFreeze,
        Fault::BrokerKill,
        Fault::BrokerLeave,
    ];
    let order = Order { pause_ms: 4_000..8_000, ..order(11, faults.into()) };
    assert_holds(&round::run(&mut site, &mut world, &order));
}

/// The end of a transaction arrives so late that the broker has given it up: it is run again. Two seconds are enough
/// for every process to be hit.
#[test]
#[ignore = "long: 2 minutes"]
fn a_transaction_that_the_broker_gives_up_is_run_again() {
    let held = Mischief::DelayRequest(TRANSACTION_TIMEOUT + Duration::from_secs(4));
    let report = weather_on_commits("given-up", held);
    let given_up = report.warned.keys().any(|said| said.contains("transaction failed"));
    assert!(given_up, "no transaction was given up: {:?}", report.warned);
}

/// The broker commits, and the answer never arrives: the marker in the committed offset tells what became of it.
#[test]
#[ignore = "long: 1 minute"]
fn a_commit_without_an_answer_is_found_out() {
    let report = weather_on_commits("unanswered", Mischief::CutAfter);
    let noticed = report.warned.keys().any(|said| said.contains("replacing the producer"));
    assert!(noticed, "nobody noticed: {:?}", report.warned);
}

/// The same with a connection on which nothing moves any more, and with one that is half open.
#[test]
#[ignore = "long: 3 minutes"]
fn a_commit_on_a_connection_that_hangs_is_found_out() {
    weather_on_commits("hanging", Mischief::Hang(Duration::from_secs(20)));
    weather_on_commits("half-open", Mischief::HalfClose);
}

fn weather_on_commits(name: &str, mischief: Mischief) -> Report {
    let _alone = alone();
    let mut world = World::one_broker_behind_a_proxy(9);
    let mut site = Installation::of(&setup(name, &world));
    let rules = vec![Rule { kind: Some(END_TXN), per_mille: 1_000, mischief }];
    let spell = Fault::Weather(rules, Duration::from_secs(2));
    let faults = vec![spell.clone(), Fault::Peace(Duration::from_secs(20)), spell];
    let report = round::run(&mut site, &mut world, &order(9, faults));
    assert!(report.hit > 4, "no commit was hit");
    assert_holds(&report);
    report
}

/// A full disk ends the broker. Once there is room again, everything goes on where it was.
#[test]
#[ignore = "long: 2 minutes"]
fn a_full_disk_at_the_broker_loses_nothing() {
    let _alone = alone();
    let Some(disk) = SmallDisk::mount(400) else {
        return not_run("a full disk at the broker", "mounting a tmpfs needs root");
    };
    let mut world = World::one_broker_on(disk);
    let mut site = Installation::of(&setup("disk", &world));
    let faults = vec![Fault::FullDisk, Fault::Peace(Duration::from_secs(5)), Fault::FullDisk];
    assert_holds(&round::run(&mut site, &mut world, &order(13, faults)));
}

/// An ingest whose wall clock is a year ahead ages nobody: time comes from the brokers.
#[test]
#[ignore = "long: 1 minute"]
fn a_clock_that_is_a_year_ahead_changes_nothing() {
    let _alone = alone();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let library = dir.path().join("ahead.so");
    let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fault_runs/ahead.c");
    let made =
        Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&library, &source]).arg("-ldl").status();
    if !made.is_ok_and(|status| status.success()) {
        return not_run(
            "a clock that is a year ahead",
            "no C compiler: sudo apt-get install build-essential",
        );
    }
    let mut world = World::one_broker();
    let mut site = Installation::of(&setup("clock", &world));
    let environment = vec![format!("LD_PRELOAD={}", library.display())];
    let faults =
        vec![Fault::Peace(Duration::from_secs(10)), Fault::Kill, Fault::Peace(Duration::from_secs(10))];
    let report = round::run(&mut site, &mut world, &Order { environment, ..order(17, faults) });
    let next_year = (jiff::Zoned::now().year() + 1).to_string();
    let log = site.log("ingest");
    assert!(log.starts_with(&next_year), "ingest's clock is not ahead: {log}");
    assert_holds(&report);
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
        let faults = Fault::drawn((kills - killed).min(KILLS_A_ROUND), &mut Dice::new(seed));
        let order = Order { pause_ms: 50..2_500, clicks_per_second: 150, ..order(seed, faults) };
        let report = round::run(&mut site, &mut world, &order);
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
    let spoils: [(&str, Spoil); 11] = [
        ("activity doubled", |contents, _| contents.activities.extend(an_activity(contents))),
        ("decision doubled", |contents, _| double(&mut contents.decisions)),
        ("decision lost", |contents, _| _ = contents.decisions.pop()),
        ("decisions exchanged", |contents, _| contents.decisions.reverse()),
        ("transition doubled", |contents, _| double(&mut contents.transitions)),
        ("transition lost", |contents, _| _ = contents.transitions.pop()),
        ("profile lost", |contents, _| _ = contents.profiles.pop()),
        ("lead lost", |contents, _| lose_a_lead(&mut contents.leads)),
        ("state of an older offset", |contents, _| set_back_an_offset(&mut contents.leads)),
        ("dead letter lost", |contents, _| _ = contents.dead_letters.pop()),
        ("click lost", |_, fed| fed.clicks.push("m-lost".to_owned())),
    ];
    for (what, spoil) in spoils {
        let (mut contents, mut fed) = (contents.clone(), fed.clone());
        spoil(&mut contents, &mut fed);
        assert!(!contents.violations(site, &fed).is_empty(), "nobody noticed: {what}");
    }
}

/// Takes all records of a lead that stands. Its last one alone need not be missed: a lead that came and went within one
/// transaction leaves a tombstone and nothing before it.
fn lose_a_lead(records: &mut Vec<Stored>) {
    let mut later = BTreeSet::new();
    let standing = records.iter().rev().find(|record| {
        let is_last = later.insert((record.partition, &record.key));
        is_last && record.key.as_deref() != Some(META_KEY) && record.value.is_some()
    });
    let (partition, key) = standing.map(|lead| (lead.partition, lead.key.clone())).expect("a lead stands");
    records.retain(|record| (record.partition, &record.key) != (partition, &key));
}

/// Makes the state of the last partition that has any say one offset too few.
fn set_back_an_offset(records: &mut [Stored]) {
    let last = records.iter_mut().rev().find(|record| record.key.as_deref() == Some(META_KEY));
    let value = &mut last.expect("a partition has state").value;
    let mut meta = PartitionMeta::decode(value.as_deref().unwrap_or_default()).expect("it was checked");
    meta.next_offset -= 1;
    *value = Some(meta.encode());
}

/// The oldest activity: one that has certainly been scored.
fn an_activity(contents: &Contents) -> Option<Stored> {
    let is_activity = |record: &&Stored| {
        let value = record.value.as_deref().unwrap_or_default();
        matches!(decode_activity(value), Ok(ActivityRecord::Activity(_)))
    };
    contents.activities.iter().find(is_activity).cloned()
}
