//! How far restoring is: a bar on a terminal, a line in the log every few seconds elsewhere. One for all workers of a
//! process.

use std::collections::BTreeMap;
use std::fmt;
use std::io::IsTerminal as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use tracing::info;

/// Between two lines in the log.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// The restoring of one process.
pub struct Progress(Mutex<State>);

struct State {
    /// Changelog records still to be read, by service and worker.
    remaining: BTreeMap<(&'static str, usize), u64>,
    /// The most there ever were to read since nothing was.
    total: u64,
    told: Option<Instant>,
    /// On a terminal.
    bar: Option<ProgressBar>,
}

impl Default for Progress {
    fn default() -> Self {
        Progress(Mutex::new(State::new(std::io::stderr().is_terminal())))
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Progress").finish_non_exhaustive()
    }
}

impl Progress {
    /// A worker has so many records still to read; 0: it has none, or is done.
    pub fn set(&self, service: &'static str, worker: usize, remaining: u64) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = state.set((service, worker), remaining, Instant::now()) {
            info!("{line}");
        }
    }
}

impl State {
    fn new(on_terminal: bool) -> State {
        State { remaining: BTreeMap::new(), total: 0, told: None, bar: on_terminal.then(bar) }
    }

    /// Answers what is to be said in the log, if it is time to.
    fn set(&mut self, worker: (&'static str, usize), remaining: u64, now: Instant) -> Option<String> {
        if remaining == 0 && !self.remaining.contains_key(&worker) {
            return None;
        }
        if remaining == 0 {
            self.remaining.remove(&worker);
        } else {
            self.remaining.insert(worker, remaining);
        }
        let left: u64 = self.remaining.values().sum();
        if left == 0 {
            let total = std::mem::take(&mut self.total);
            self.told = None;
            if let Some(bar) = &self.bar {
                bar.finish_and_clear();
            }
            return Some(format!("restored: {total} changelog records read"));
        }
        if let Some(bar) = &self.bar {
            if self.total == 0 {
                bar.reset();
            }
            bar.set_length(self.total.max(left));
            bar.set_position(self.total.max(left) - left);
        }
        self.total = self.total.max(left);
        let due = self.told.is_none_or(|told| now.duration_since(told) >= LINE_EVERY);
        if !due || self.bar.is_some() {
            return None;
        }
        self.told = Some(now);
        let percent = (self.total - left) * 100 / self.total;
        Some(format!("restoring: {percent} % of {} changelog records read", self.total))
    }
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    match ProgressStyle::with_template("restoring {bar:30} {percent} % · {len} records · {eta} left") {
        Ok(style) => bar.with_style(style.progress_chars("━╸─")),
        Err(_) => bar,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_comes_at_once_then_every_five_seconds_and_at_the_end() {
        let mut state = State::new(false);
        let start = Instant::now();
        let mut at = |worker, remaining, seconds| {
            state.set(("scorer", worker), remaining, start + Duration::from_secs(seconds))
        };
        assert_eq!(at(0, 0, 0), None, "nothing to restore");
        assert_eq!(at(0, 300, 0).as_deref(), Some("restoring: 0 % of 300 changelog records read"));
        assert_eq!(at(1, 100, 1), None);
        assert_eq!(at(0, 100, 4), None);
        assert_eq!(at(1, 60, 5).as_deref(), Some("restoring: 60 % of 400 changelog records read"));
        assert_eq!(at(0, 0, 6), None);
        assert_eq!(at(1, 0, 6).as_deref(), Some("restored: 400 changelog records read"));
        assert_eq!(at(1, 0, 7), None);
    }
}
