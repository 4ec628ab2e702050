//! One installation at work while things go wrong around it, its return to peace, and what became of it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use ripen_harness::{Broker, Dice, Rule};
use ripen_records::{ActivityRecord, decode_activity};

use crate::checker::{Amount, Contents};
use crate::clicks::{Fed, Feed};
use crate::evidence;
use crate::fleet::{Fleet, SESSION_TIMEOUT};
use crate::support::{Installation, Stored};
use crate::world::{World, weather};

/// In which everything must have been worked off once the faults have ended.
const PEACE_LIMIT: Duration = Duration::from_secs(240);
/// A broker whose disk is full ends by itself.
const FULL_DISK_LIMIT: Duration = Duration::from_secs(60);

/// What goes wrong.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// `SIGKILL` of a process; it is started again at once.
    Kill,
    /// `SIGKILL` of a process; it stays away for longer than the session timeout, others take over.
    LongKill,
    /// `SIGSTOP` of a process for longer than the session timeout, then `SIGCONT`.
    Freeze,
    /// `SIGKILL` of a broker; it comes back.
    BrokerKill,
    /// `SIGTERM` of a broker, which hands over what it leads; it comes back.
    BrokerLeave,
    /// `SIGSTOP` of a broker for some seconds.
    BrokerFreeze,
    /// The proxy delays, cuts, loses answers, leaves connections hanging or half open for some seconds.
    Storm,
    /// The proxy does this for so long.
    Weather(Vec<Rule>, Duration),
    /// The broker's disk takes nothing more; then there is room again, and the broker is started again.
    FullDisk,
    /// Nothing for so long.
    Peace(Duration),
}

impl Fault {
    fn is_kill(&self) -> bool {
        matches!(self, Fault::Kill | Fault::LongKill | Fault::BrokerKill)
    }

    /// Faults of every kind, mostly kills, until there are so many of these.
    pub(crate) fn drawn(kills: u32, dice: &mut Dice) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut drawn = 0;
        while drawn < kills {
            let fault = match dice.between(0, 86) {
                0..60 => Fault::Kill,
                60..68 => Fault::LongKill,
                68..74 => Fault::Freeze,
                74..78 => Fault::BrokerKill,
                78 => Fault::BrokerLeave,
                79..81 => Fault::BrokerFreeze,
                _ => Fault::Storm,
            };
            drawn += u32::from(fault.is_kill());
            faults.push(fault);
        }
        faults
    }
}

/// What a run is asked to do.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) seed: u64,
    pub(crate) faults: Vec<Fault>,
    /// Between two faults, ms.
    pub(crate) pause_ms: Range<u64>,
    pub(crate) clicks_per_second: u32,
    /// Of ingest, `NAME=value`.
    pub(crate) environment: Vec<String>,
}

/// What became of a run.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Services and brokers killed with `SIGKILL`.
    pub(crate) kills: u32,
    /// Everything that was done, by name.
    pub(crate) faults: BTreeMap<&'static str, u32>,
    /// Requests that met a proxy's mischief.
    pub(crate) hit: u64,
    /// Reasons with which processes ended by themselves; each was started again, as a supervisor would.
    pub(crate) ended: BTreeMap<String, u32>,
    /// Warnings and errors in the processes' logs.
    pub(crate) warned: BTreeMap<String, u32>,
    pub(crate) amount: Amount,
    /// Under faults, until everything was worked off, and for the check.
    pub(crate) took: [Duration; 3],
    pub(crate) violations: Vec<String>,
    /// What was looked at in the end, if it came to that.
    pub(crate) evidence: Option<(Contents, Fed)>,
}

impl Report {
    pub(crate) fn count(&mut self, fault: &'static str) {
        *self.faults.entry(fault).or_default() += 1;
    }

    /// In one line.
    pub(crate) fn line(&self) -> String {
        let Amount { clicks, decisions, transitions } = self.amount;
        let join = |parts: Vec<String>| parts.join(", ");
        let faults = join(self.faults.iter().map(|(name, count)| format!("{count} {name}")).collect());
        let ended = join(self.ended.iter().map(|(reason, count)| format!("{count} × {reason}")).collect());
        let ended = if ended.is_empty() { "none".to_owned() } else { ended };
        let [faulty, calm, check] = self.took.map(|took| took.as_secs());
        format!(
            "{faults}, {} requests hit; {clicks} clicks, {decisions} decisions, {transitions} transitions; ended by \
             itself: {ended}; {faulty} s under faults, {calm} s to recover, {check} s to check; {} violations",
            self.hit,
            self.violations.len()
        )
    }
}

/// Feeds clicks and does what the order says, waits for everything to be worked off, checks.
pub(crate) fn run(site: &mut Installation, world: &mut World, order: &Order) -> Report {
    let mut report = Report::default();
    let mut dice = Dice::new(order.seed);
    let mut took = Stopwatch::start();
    let mut fleet = Fleet::start(site, &order.environment);
    let feed = Feed::start(site, order.seed ^ 0xfeed, order.clicks_per_second);
    for fault in &order.faults {
        let pause = dice.between(order.pause_ms.start, order.pause_ms.end);
        fleet.watch(Duration::from_millis(pause), &mut report);
        disturb(fault, &mut fleet, world, &mut dice, &mut report);
    }
    let faulty = took.lap();
    let fed = feed.stop().and_then(|fed| work_off(&mut fleet, site, &mut report).map(|()| fed));
    fleet.stop_all(&mut report);
    let calm = took.lap();
    report.hit = world.proxy.as_ref().map_or(0, ripen_harness::Proxy::done);
    match fed {
        Ok(fed) => {
            let contents = Contents::read(site);
            report.amount = contents.amount();
            report.violations.extend(contents.violations(site, &fed));
            report.evidence = Some((contents, fed));
        }
        Err(reason) => report.violations.push(format!("hang: {reason}")),
    }
    report.took = [faulty, calm, took.lap()];
    if !report.violations.is_empty() {
        let kept = site.keep();
        let brokers = evidence::keep(world.brokers.iter().map(Broker::dir), kept);
        println!("logs and configuration stay in {}, what brokers have: {brokers:?}", kept.display());
    }
    report
}

/// One thing goes wrong.
fn disturb(fault: &Fault, fleet: &mut Fleet, world: &mut World, dice: &mut Dice, report: &mut Report) {
    let session = SESSION_TIMEOUT.as_millis() as u64;
    let seconds = |dice: &mut Dice, range: Range<u64>| {
        Duration::from_millis(dice.between(range.start * 1_000, range.end * 1_000))
    };
    match fault {
        Fault::Kill => fleet.kill(dice, Duration::ZERO, report),
        Fault::LongKill => {
            let away = Duration::from_millis(dice.between(session + 1_000, session + 6_000));
            fleet.kill(dice, away, report);
        }
        Fault::Freeze => {
            let away = Duration::from_millis(dice.between(session + 1_000, session + 12_000));
            fleet.freeze(dice, away, report);
        }
        Fault::BrokerKill | Fault::BrokerLeave | Fault::BrokerFreeze => {
            let which = dice.between(0, world.brokers.len() as u64) as usize;
            let broker = &mut world.brokers[which];
            let away = seconds(dice, 0..4);
            match fault {
                Fault::BrokerKill => broker.kill9(),
                Fault::BrokerLeave => broker.shut_down(),
                _ => broker.freeze(),
            }
            report.kills += u32::from(fault.is_kill());
            report.count(match fault {
                Fault::BrokerKill => "broker kills",
                Fault::BrokerLeave => "broker shutdowns",
                _ => "broker freezes",
            });
            fleet.watch(away, report);
            if matches!(fault, Fault::BrokerFreeze) { broker.thaw() } else { broker.restart() }
        }
        Fault::Storm => {
            let rules = weather(dice);
            let lasts = seconds(dice, 1..6);
            storm(&rules, lasts, fleet, world, report);
            if let Some(proxy) = world.proxy.as_ref().filter(|_| dice.happens(200)) {
                proxy.cut_all();
            }
        }
        Fault::Weather(rules, lasts) => storm(rules, *lasts, fleet, world, report),
        Fault::FullDisk => {
            let disk = world.disk.as_ref().expect("a world with a small disk");
            disk.fill();
            report.count("full disks");
            let began = Instant::now();
            while !world.brokers[0].has_ended() {
                assert!(began.elapsed() < FULL_DISK_LIMIT, "the broker does not mind a full disk");
                fleet.watch(Duration::from_millis(100), report);
            }
            disk.make_room();
            world.brokers[0].restart();
        }
        Fault::Peace(time) => fleet.watch(*time, report),
    }
}

/// Only where there is a proxy.
fn storm(rules: &[Rule], lasts: Duration, fleet: &mut Fleet, world: &World, report: &mut Report) {
    let Some(proxy) = &world.proxy else { return };
    proxy.misbehave(rules);
    report.count("storms");
    fleet.watch(lasts, report);
    proxy.behave();
}

/// Waits until everything that was fed has gone all the way, and stops each service when it has done its part.
fn work_off(fleet: &mut Fleet, site: &Installation, report: &mut Report) -> Result<(), String> {
    let topics = &site.topics;
    type Stage<'a> = (&'a str, &'a str, fn(&Stored) -> bool);
    let stages: [Stage<'_>; 3] = [
        ("ingest", &site.source, |_| true),
        // Ticks come as long as there is a lead that can still cool.
        ("scorer", &topics.activities, is_work),
        ("emitter", &topics.decisions, |_| true),
    ];
    for (service, topic, matters) in stages {
        let began = Instant::now();
        loop {
            fleet.watch(Duration::from_millis(200), report);
            if fleet.is_complete() && is_consumed(site, service, topic, matters) {
                break;
            }
            if began.elapsed() > PEACE_LIMIT {
                return Err(format!("{service} has not worked off {topic} within {PEACE_LIMIT:?}"));
            }
        }
        fleet.stop(service, report);
    }
    Ok(())
}

/// Whether a service has committed everything that matters in a topic.
pub(crate) fn is_consumed(
    site: &Installation,
    service: &str,
    topic: &str,
    matters: fn(&Stored) -> bool,
) -> bool {
    let committed = site.committed(service, topic);
    let mut records = site.read(topic).into_iter().filter(matters);
    records.all(|record| record.offset < committed[record.partition as usize])
}

pub(crate) fn is_work(record: &Stored) -> bool {
    !matches!(decode_activity(record.value.as_deref().unwrap_or_default()), Ok(ActivityRecord::Tick(_)))
}

/// Times of what comes one after the other.
#[derive(Debug)]
struct Stopwatch(Instant);

impl Stopwatch {
    fn start() -> Stopwatch {
        Stopwatch(Instant::now())
    }

    fn lap(&mut self) -> Duration {
        let now = Instant::now();
        let lap = now - self.0;
        self.0 = now;
        lap
    }
}
