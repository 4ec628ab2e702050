//! The processes of an installation and a supervisor that starts again what has ended.

use std::time::{Duration, Instant};

use ripen_harness::{Dice, Leash};

use crate::round::Report;
use crate::support::Installation;

/// A member that has not been heard of for so long is out of its group. Short, so that a run sees many.
pub(crate) const SESSION_TIMEOUT: Duration = Duration::from_secs(4);
const LOOK_INTERVAL: Duration = Duration::from_millis(40);
/// Services and their instances.
const PROCESSES: [(&str, &str); 4] =
    [("ingest", "ingest"), ("scorer", "scorer-a"), ("scorer", "scorer-b"), ("emitter", "emitter")];

/// Ingest, two scorers, the emitter.
#[derive(Debug)]
pub(crate) struct Fleet {
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

impl Fleet {
    /// Starts them all; ingest with this environment.
    pub(crate) fn start(site: &Installation, environment: &[String]) -> Fleet {
        let start = |(service, name): (&'static str, &'static str)| Process {
            service,
            name,
            leash: site.start_instance(service, name, if service == "ingest" { environment } else { &[] }),
            state: State::Running,
            seen_bytes: 0,
        };
        Fleet { processes: PROCESSES.map(start).into() }
    }

    /// Kills one that is not dead already; it is started again after `away`.
    pub(crate) fn kill(&mut self, dice: &mut Dice, away: Duration, report: &mut Report) {
        let process = self.victim(dice, report, |process| !matches!(process.state, State::Dead(_)));
        process.leash.kill9();
        process.state = State::Dead(Instant::now() + away);
        report.kills += 1;
        report.count(if away.is_zero() { "kills" } else { "long kills" });
    }

    /// Freezes one that is running, for so long.
    pub(crate) fn freeze(&mut self, dice: &mut Dice, away: Duration, report: &mut Report) {
        let process = self.victim(dice, report, Process::is_alive);
        process.leash.freeze();
        process.state = State::Frozen(Instant::now() + away);
        report.count("freezes");
    }

    fn victim(&mut self, dice: &mut Dice, report: &mut Report, fits: fn(&Process) -> bool) -> &mut Process {
        loop {
            let index = dice.between(0, PROCESSES.len() as u64) as usize;
            if fits(&self.processes[index]) {
                return &mut self.processes[index];
            }
            self.watch(LOOK_INTERVAL, report);
        }
    }

    /// Lets time pass: starts again what is dead, thaws what is frozen, when their time has come.
    pub(crate) fn watch(&mut self, time: Duration, report: &mut Report) {
        let until = Instant::now() + time;
        loop {
            for process in &mut self.processes {
                process.look(report);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            pause(left.min(LOOK_INTERVAL));
        }
    }

    /// Whether none is dead or frozen at this moment.
    pub(crate) fn is_complete(&self) -> bool {
        self.processes.iter().all(Process::is_alive)
    }

    /// `SIGTERM` to all instances of a service.
    pub(crate) fn stop(&mut self, service: &str, report: &mut Report) {
        for mut process in self.processes.extract_if(.., |process| process.service == service) {
            let code = process.leash.terminate();
            process.read_log(report);
            if code != 0 {
                let name = process.name;
                report.violations.push(format!("exit: {name} ended with {code} when asked to stop"));
            }
        }
    }

    /// The same of whatever still runs.
    pub(crate) fn stop_all(&mut self, report: &mut Report) {
        for (service, _) in PROCESSES {
            self.stop(service, report);
        }
    }
}

impl Process {
    fn is_alive(&self) -> bool {
        self.state == State::Running && !self.leash.has_ended()
    }

    fn look(&mut self, report: &mut Report) {
        let now = Instant::now();
        match self.state {
            State::Dead(until) if now >= until => {
                self.leash.start_again();
                self.state = State::Running;
            }
            State::Frozen(until) if now >= until => {
                self.leash.thaw();
                self.state = State::Running;
            }
            State::Running if self.leash.has_ended() => {
                self.leash.wait();
                let last = self.read_log(report).unwrap_or_else(|| "nothing in its log".to_owned());
                *report.ended.entry(last).or_default() += 1;
                self.leash.start_again();
            }
            _ => {}
        }
    }

    /// Counts the warnings and errors since the last reading; answers the last error.
    fn read_log(&mut self, report: &mut Report) -> Option<String> {
        let output = self.leash.output();
        let fresh = output.get(self.seen_bytes..).unwrap_or_default();
        let mut last = None;
        for line in fresh.lines() {
            if line.contains("panicked at") {
                report.violations.push(format!("panic: {}: {line}", self.name));
            }
            let said =
                ["WARN", "ERROR", "error:"].into_iter().find_map(|level| Some(line.split_once(level)?.1));
            let Some(said) = said else { continue };
            // Numbers and partitions differ from one time to the next.
            let said: String = said.trim().chars().filter(|c| !c.is_ascii_digit()).take(160).collect();
            let said = format!("{}: {said}", self.service);
            if line.contains("error:") || line.contains("ERROR") {
                last = Some(said.clone());
            }
            *report.warned.entry(said).or_default() += 1;
        }
        self.seen_bytes = output.len();
        last
    }
}

#[expect(clippy::disallowed_methods, reason = "faults come at moments of real time")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}
