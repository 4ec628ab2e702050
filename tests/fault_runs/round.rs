//! One installation at work while things go wrong around it, and its return to peace.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ripen_harness::{Dice, Leash};
use ripen_records::{ActivityRecord, decode_activity};

use crate::checker::{Amount, Contents};
use crate::clicks::{Fed, Feed};
use crate::support::{Installation, Stored};
use crate::world::{self, World};

/// A member that has not been heard of for so long is out of its group. Short, so that a run sees many.
pub(crate) const SESSION_TIMEOUT: Duration = Duration::from_secs(4);
/// In which everything must have been worked off once the faults have ended.
const PEACE_LIMIT: Duration = Duration::from_secs(240);
const LOOK_INTERVAL: Duration = Duration::from_millis(40);

/// What goes wrong, and how often: weights.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Mix {
    /// `SIGKILL` of a service; it is started again at once.
    pub(crate) kill: u64,
    /// `SIGKILL`; it stays away for longer than the session timeout, others take over.
    pub(crate) long_kill: u64,
    /// `SIGSTOP` for longer than the session timeout, then `SIGCONT`.
    pub(crate) freeze: u64,
    /// `SIGKILL` of a broker; it comes back.
    pub(crate) broker_kill: u64,
    /// `SIGTERM` of a broker, which hands over what it leads; it comes back.
    pub(crate) broker_leave: u64,
    /// `SIGSTOP` of a broker for some seconds.
    pub(crate) broker_freeze: u64,
    /// The proxy delays, cuts, loses answers, leaves connections hanging or half open for some seconds.
    pub(crate) storm: u64,
}

/// What a run is asked to do.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) seed: u64,
    /// Ends after so many kills …
    pub(crate) kills: u32,
    /// … and so many faults of any kind.
    pub(crate) faults: u32,
    pub(crate) mix: Mix,
    /// Between two faults, ms.
    pub(crate) pause_ms: std::ops::Range<u64>,
    pub(crate) clicks_per_second: u32,
}

impl Order {
    /// Everything, mostly kills; at most `kills` of them, and few enough to be checked in one go.
    pub(crate) fn of_a_long_run(seed: u64, kills: u32) -> Order {
        let mix = Mix {
            kill: 60,
            long_kill: 8,
            freeze: 6,
            broker_kill: 4,
            broker_leave: 1,
            broker_freeze: 2,
            storm: 5,
        };
        Order { seed, kills: kills.min(80), faults: 0, mix, pause_ms: 50..2_500, clicks_per_second: 150 }
    }
}

/// What became of a run.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Services and brokers killed with `SIGKILL`.
    pub(crate) kills: u32,
    /// Everything that was done, by name.
    pub(crate) faults: BTreeMap<&'static str, u32>,
    /// Requests that met a proxy's mischief.
    pub(crate) met: u64,
    /// Reasons with which processes ended by themselves; each was started again, as a supervisor would.
    pub(crate) ended: BTreeMap<String, u32>,
    pub(crate) amount: Amount,
    /// Under faults, until everything was worked off, and for the check.
    pub(crate) took: [Duration; 3],
    pub(crate) violations: Vec<String>,
    /// What was looked at in the end, if it came to that.
    pub(crate) evidence: Option<(Contents, Fed)>,
}

impl Report {
    fn count(&mut self, fault: &'static str) {
        *self.faults.entry(fault).or_default() += 1;
    }

    /// In one line.
    pub(crate) fn line(&self) -> String {
        let Amount { clicks, decisions, transitions } = self.amount;
        let join = |parts: Vec<String>| parts.join(", ");
        let met = self.met;
        let faults = join(self.faults.iter().map(|(name, count)| format!("{count} {name}")).collect());
        let ended = join(self.ended.iter().map(|(reason, count)| format!("{count} × {reason}")).collect());
        let ended = if ended.is_empty() { "none".to_owned() } else { ended };
        let [faulty, calm, check] = self.took.map(|took| took.as_secs());
        format!(
            "{faults} ({met} requests hit); {clicks} clicks, {decisions} decisions, {transitions} transitions; ended by itself: {ended}; \
             {faulty} s under faults, {calm} s to recover, {check} s to check; {} violations",
            self.violations.len()
        )
    }
}

/// The processes of an installation.
#[derive(Debug)]
struct Fleet<'a> {
    site: &'a Installation,
    processes: Vec<Process>,
}

#[derive(Debug)]
struct Process {
    service: &'static str,
    name: &'static str,
    leash: Leash,
    state: State,
    /// Of its log, what has been looked at.
    seen_bytes: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Running,
    /// Dead until then.
    Dead(Instant),
    /// Frozen until then.
    Frozen(Instant),
}

/// Times of what comes one after the other.
#[derive(Debug)]
struct Stopwatch(Instant);

impl Default for Stopwatch {
    fn default() -> Stopwatch {
        Stopwatch(Instant::now())
    }
}

impl Stopwatch {
    fn lap(&mut self) -> Duration {
        let now = Instant::now();
        let lap = now - self.0;
        self.0 = now;
        lap
    }
}

/// Ingest, two scorers, the emitter.
const PROCESSES: [(&str, &str); 4] =
    [("ingest", "ingest"), ("scorer", "scorer-a"), ("scorer", "scorer-b"), ("emitter", "emitter")];

/// Feeds clicks and does what the order says, waits for everything to be worked off, checks.
pub(crate) fn run(site: &mut Installation, world: &mut World, order: &Order) -> Report {
    let mut report = Report::default();
    let mut dice = Dice::new(order.seed);
    let mut took = Stopwatch::default();
    let mut fleet = Fleet::start(site);
    let feed = Feed::start(site.bootstrap(), &site.source, order.seed ^ 0xfeed, order.clicks_per_second);
    while report.kills < order.kills || report.faults.values().sum::<u32>() < order.faults {
        let pause = dice.between(order.pause_ms.start, order.pause_ms.end);
        fleet.watch(Duration::from_millis(pause), &mut report);
        disturb(&mut fleet, world, order.mix, &mut dice, &mut report);
    }
    let faulty = took.lap();
    let fed = feed.stop();
    fleet.work_off(&mut report);
    let calm = took.lap();
    if !report.violations.iter().any(|violation| violation.starts_with("hang")) {
        let contents = Contents::read(site);
        report.amount = contents.amount();
        report.violations.extend(contents.violations(site, &fed));
        report.evidence = Some((contents, fed));
    }
    report.took = [faulty, calm, took.lap()];
    if !report.violations.is_empty() {
        println!("logs and configuration stay in {}", site.keep().display());
    }
    report
}

/// One thing goes wrong.
fn disturb(fleet: &mut Fleet<'_>, world: &mut World, mix: Mix, dice: &mut Dice, report: &mut Report) {
    let Mix { kill, long_kill, freeze, broker_kill, broker_leave, broker_freeze, storm } = mix;
    let weights = [kill, long_kill, freeze, broker_kill, broker_leave, broker_freeze, storm];
    let mut point = dice.between(0, weights.iter().sum());
    let choice = weights.iter().position(|weight| {
        let hit = point < *weight;
        point = point.saturating_sub(*weight);
        hit
    });
    let session = SESSION_TIMEOUT.as_millis() as u64;
    let index = dice.between(0, PROCESSES.len() as u64) as usize;
    match choice {
        Some(0) => fleet.kill(index, Duration::ZERO, report),
        Some(1) => {
            let away = Duration::from_millis(dice.between(session + 1_000, session + 6_000));
            fleet.kill(index, away, report);
        }
        Some(2) => {
            let away = Duration::from_millis(dice.between(session + 1_000, session + 12_000));
            fleet.freeze(index, away, report);
        }
        Some(fault @ 3..=5) => {
            let which = dice.between(0, world.brokers.len() as u64) as usize;
            let broker = &mut world.brokers[which];
            let away = Duration::from_millis(dice.between(0, 4_000));
            match fault {
                3 => {
                    broker.kill9();
                    report.kills += 1;
                    report.count("broker kills");
                }
                4 => {
                    broker.shut_down();
                    report.count("broker shutdowns");
                }
                _ => {
                    broker.freeze();
                    report.count("broker freezes");
                }
            }
            fleet.watch(away, report);
            if fault == 5 { broker.thaw() } else { broker.restart() }
        }
        _ => {
            let Some(proxy) = &world.proxy else { return };
            proxy.misbehave(&world::weather(dice));
            report.count("storms");
            fleet.watch(Duration::from_millis(dice.between(1_000, 6_000)), report);
            if dice.happens(200) {
                proxy.cut_all();
            }
            proxy.behave();
            report.met = proxy.done();
        }
    }
}

impl<'a> Fleet<'a> {
    fn start(site: &'a Installation) -> Fleet<'a> {
        let start = |(service, name): (&'static str, &'static str)| Process {
            service,
            name,
            leash: site.start_instance(service, name, &[]),
            state: State::Running,
            seen_bytes: 0,
        };
        Fleet { site, processes: PROCESSES.map(start).into() }
    }

    fn kill(&mut self, index: usize, away: Duration, report: &mut Report) {
        let process = &mut self.processes[index];
        if let State::Dead(_) = process.state {
            return;
        }
        process.leash.kill9();
        report.kills += 1;
        report.count(if away.is_zero() { "kills" } else { "long kills" });
        process.state = State::Dead(Instant::now() + away);
    }

    fn freeze(&mut self, index: usize, away: Duration, report: &mut Report) {
        let process = &mut self.processes[index];
        if process.state != State::Running || process.leash.has_ended() {
            return;
        }
        process.leash.freeze();
        report.count("freezes");
        process.state = State::Frozen(Instant::now() + away);
    }

    /// Lets time pass: starts again what is dead, thaws what is frozen, when their time has come.
    fn watch(&mut self, time: Duration, report: &mut Report) {
        let until = Instant::now() + time;
        loop {
            self.look(report);
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            pause(left.min(LOOK_INTERVAL));
        }
    }

    fn look(&mut self, report: &mut Report) {
        let now = Instant::now();
        for process in &mut self.processes {
            match process.state {
                State::Dead(until) if now >= until => {
                    process.leash.start_again();
                    process.state = State::Running;
                }
                State::Frozen(until) if now >= until => {
                    process.leash.thaw();
                    process.state = State::Running;
                }
                State::Running if process.leash.has_ended() => {
                    process.leash.wait();
                    process.note_end(report);
                    process.leash.start_again();
                }
                _ => {}
            }
        }
    }

    /// Waits until everything that was fed has gone all the way, and stops each service when it has done its part.
    fn work_off(&mut self, report: &mut Report) {
        let (site, topics) = (self.site, &self.site.topics);
        let done = self.until(report, || is_consumed(site, "ingest", &site.source, |_| true))
            && self.stop("ingest", report)
            // Ticks come as long as there is a lead that can still cool.
            && self.until(report, || is_consumed(site, "scorer", &topics.activities, is_work))
            && self.stop("scorer", report)
            && self.until(report, || is_consumed(site, "emitter", &topics.decisions, |_| true))
            && self.stop("emitter", report);
        if !done {
            report.violations.push(format!("hang: not worked off within {PEACE_LIMIT:?}"));
        }
    }

    fn until(&mut self, report: &mut Report, holds: impl Fn() -> bool) -> bool {
        let began = Instant::now();
        while began.elapsed() < PEACE_LIMIT {
            self.watch(Duration::from_millis(200), report);
            if self.processes.iter().all(|process| process.state == State::Running) && holds() {
                return true;
            }
        }
        false
    }

    /// `SIGTERM` to all instances of a service.
    fn stop(&mut self, service: &str, report: &mut Report) -> bool {
        for process in self.processes.extract_if(.., |process| process.service == service) {
            let Process { name, mut leash, .. } = process;
            let code = leash.terminate();
            if code != 0 {
                report.violations.push(format!("exit: {name} ended with {code} when asked to stop"));
            }
            if leash.output().contains("panicked at") {
                report.violations.push(format!("panic: {name}"));
            }
        }
        true
    }
}

impl Process {
    /// The last error in what it has printed since it was last looked at.
    fn note_end(&mut self, report: &mut Report) {
        let output = self.leash.output();
        let fresh = output.get(self.seen_bytes..).unwrap_or_default();
        let last =
            fresh.lines().rev().find(|line| line.starts_with("error")).unwrap_or("no error in its log");
        // Numbers differ from one time to the next.
        let reason: String = last.chars().map(|c| if c.is_ascii_digit() { '#' } else { c }).collect();
        *report.ended.entry(format!("{}: {reason}", self.service)).or_default() += 1;
        self.seen_bytes = output.len();
    }
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

#[expect(clippy::disallowed_methods, reason = "faults come at moments of real time")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}
