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

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ripen_harness::{Broker, Proxy};
use ripen_records::{ActivityRecord, decode_activity};

use checker::Contents;
use clicks::Fed;
use reference::Stored;
use round::{Mix, Order, Report, SESSION_TIMEOUT, World};
use support::{Installation, Setup};

/// Brokers and processes of two tests at once would only wait for each other.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn setup(name: &str, broker: &Broker, proxy: Option<&Proxy>, replication: u32) -> Setup {
    let bootstrap = broker.bootstrap();
    let session_ms = SESSION_TIMEOUT.as_millis();
    Setup {
        name: name.to_owned(),
        processes: proxy.map_or_else(|| bootstrap.clone(), Proxy::bootstrap),
        bootstrap,
        partitions: 6,
        replication,
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
    let broker = Broker::start();
    let mut site = Installation::of(&setup("kills", &broker, None, 1));
    let order = Order {
        seed: 15,
        kills: 15,
        mix: Mix { kill: 4, long_kill: 1, ..Mix::default() },
        pause_ms: 200..3_000,
        clicks_per_second: 200,
    };
    let report = round::run(&mut site, &mut World { brokers: &mut [broker], proxy: None }, &order);
    assert_eq!(report.kills, 15);
    assert_holds(&report);
    let (contents, fed) = report.evidence.as_ref().expect("it was checked");
    notices_what_is_wrong(&site, contents, fed);
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
