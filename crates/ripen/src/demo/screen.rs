//! What the demo shows while it runs: on a terminal a progress bar and a readable choice of transitions, into a pipe
//! every transition as a line of JSON.

use std::collections::HashSet;
use std::io::{self, BufWriter, IsTerminal as _, StdoutLock, Write};
use std::sync::Arc;

use console::Term;
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use ripen_model::Model;
use ripen_records::{Cause, Change, Decision};

use super::calendar::{self, DAY_MS};
use super::tally::{self, Summary};
use super::words::Page;
use crate::failure::{Failure, say};

/// Beside the persons of the story and the first of every kind, this many transitions are shown over the month.
const SAMPLED: i64 = 16;

/// The demo's standard output and standard error.
pub(super) struct Screen {
    model: Arc<Model>,
    days: i64,
    bar: ProgressBar,
    stdout: Stdout,
    /// From, to and cause of the transitions shown so far.
    kinds: HashSet<(String, String, Cause)>,
    next_sample_ms: i64,
    hidden: u64,
}

enum Stdout {
    Terminal(Page),
    /// Boxed: it has a buffer of its own.
    Pipe(Box<BufWriter<StdoutLock<'static>>>),
}

impl Screen {
    pub(super) fn new(days: i64, model: Arc<Model>) -> Screen {
        let stdout = if io::stdout().is_terminal() {
            let columns = Term::stdout().size_checked().map_or(80, |(_, columns)| columns.into());
            Stdout::Terminal(Page::new(columns, console::colors_enabled()))
        } else {
            Stdout::Pipe(Box::new(BufWriter::new(io::stdout().lock())))
        };
        // Hidden where standard error is no terminal.
        let bar = ProgressBar::new(days as u64);
        if let Ok(style) = ProgressStyle::with_template("{bar:30} day {pos}/{len} · {msg}") {
            bar.set_style(style.progress_chars("━╸─"));
        }
        Screen {
            model,
            days,
            bar,
            stdout,
            kinds: HashSet::new(),
            next_sample_ms: calendar::START_MS,
            hidden: 0,
        }
    }

    pub(super) fn title(&mut self, seed: u64, visitors: u32) -> Result<(), Failure> {
        match &self.stdout {
            Stdout::Terminal(page) => {
                let title = page.title(seed, self.days, visitors, &self.model);
                self.print(&format!("{title}\n"))
            }
            Stdout::Pipe(_) => Ok(()),
        }
    }

    /// The demo has come to this instant and to so many records.
    pub(super) fn at(&self, now_ms: i64, records: u64) {
        self.bar.set_position(calendar::day_of(now_ms).clamp(0, self.days) as u64 + 1);
        self.bar.set_message(format!("{} records", HumanCount(records)));
    }

    /// Every transition as JSON into a pipe; on a terminal some of them, in words.
    pub(super) fn transition(&mut self, decision: &Decision, json: &str) -> Result<(), Failure> {
        let page = match &mut self.stdout {
            Stdout::Pipe(pipe) => return writeln!(pipe, "{json}").map_err(Failure::stdout),
            Stdout::Terminal(page) => *page,
        };
        if !self.shows(decision) {
            self.hidden += 1;
            return Ok(());
        }
        let text = page.transition(decision, &self.model);
        self.print(&text)
    }

    pub(super) fn end(mut self, summary: &Summary, next: &str) -> Result<(), Failure> {
        self.bar.finish_and_clear();
        let page = match &mut self.stdout {
            Stdout::Terminal(page) => *page,
            Stdout::Pipe(pipe) => {
                pipe.flush().map_err(Failure::stdout)?;
                Page::new(80, console::colors_enabled_stderr())
            }
        };
        let report = format!("{}\nNext, clicks of your own:\n  {next}", page.report(summary, self.hidden));
        match self.stdout {
            Stdout::Terminal(_) => self.print(&report),
            Stdout::Pipe(_) => {
                say(format_args!("{report}"));
                Ok(())
            }
        }
    }

    /// The persons of the story, the first of every kind, and a few over the month.
    fn shows(&mut self, decision: &Decision) -> bool {
        let Change::StageChange(change) = &decision.change else { return false };
        let first = self.kinds.insert((change.from.clone(), change.to.clone(), decision.cause));
        let sampled = decision.effective_at_ms >= self.next_sample_ms;
        if sampled {
            self.next_sample_ms = decision.effective_at_ms + self.days * DAY_MS / SAMPLED;
        }
        sampled || first || tally::person_of(&decision.lead).is_some()
    }

    /// Prints above the bar.
    fn print(&self, text: &str) -> Result<(), Failure> {
        self.bar.suspend(|| writeln!(io::stdout(), "{text}")).map_err(Failure::stdout)
    }
}
