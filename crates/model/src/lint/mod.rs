//! What is allowed and doubtful all the same: the arithmetic of a compiled model, with the numbers in the message.
//!
//! Owns the findings that a person should look at before the model is signed. Nothing here changes a model or
//! refuses to compile one; whoever activates it decides what a level means. Unlike the core this module may
//! calculate in floating point: its numbers are for people, and bounds are rounded outwards.

mod logic;
mod places;
mod reach;
mod rules;
mod stages;

use std::collections::BTreeSet;
use std::fmt;

use self::logic::Logic;
use self::places::Places;
use crate::compiled::{Model, RuleIx, RuleOrigin};
use crate::expression::{EventPredicate, LeadPredicate};
use crate::findings;

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Level {
    Error,
    Warning,
    Info,
}

impl Level {
    /// The word in outputs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Info => "info",
        }
    }
}

/// One thing to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LintFinding {
    /// How grave it is.
    pub level: Level,
    /// A word of a closed set, for tools: `never_entered`, `habit`, ….
    pub code: &'static str,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The line's text, cut at 200 characters.
    pub excerpt: String,
    /// What it is, with the numbers.
    pub message: String,
    /// What to do about it.
    pub suggestion: Option<String>,
}

impl LintFinding {
    /// The finding as compilers print theirs: place, level, message, the line and a caret.
    pub fn display<'a>(&'a self, file_name: &'a str) -> impl fmt::Display + 'a {
        Displayed { finding: self, file_name }
    }
}

struct Displayed<'a> {
    finding: &'a LintFinding,
    file_name: &'a str,
}

impl fmt::Display for Displayed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LintFinding { level, code, line, column, excerpt, message, suggestion } = self.finding;
        let gutter = line.to_string();
        writeln!(f, "{}:{line}:{column}: {}[{code}]: {message}", self.file_name, level.as_str())?;
        writeln!(f, " {gutter} | {excerpt}")?;
        let column = (*column).min(200);
        write!(f, " {:width$} | {:>column$}", "", "^", width = gutter.len())?;
        match suggestion {
            Some(suggestion) => write!(f, " {suggestion}"),
            None => Ok(()),
        }
    }
}

/// Every finding of a model and of the text that it was compiled from, errors first, then by place.
pub fn lint(model: &Model, text: &str) -> Vec<LintFinding> {
    let mut linter = Linter::new(model, text);
    linter.stages();
    linter.rules();
    linter.bytes();
    linter.finish()
}

/// What a sample of events says about a model: names that the model reads and the sample does not hold, and the
/// other way round.
pub fn lint_sample(model: &Model, text: &str, seen: &BTreeSet<String>) -> Vec<LintFinding> {
    let mut linter = Linter::new(model, text);
    linter.sample(seen);
    linter.finish()
}

/// A model under the lens.
struct Linter<'m> {
    model: &'m Model,
    text: &'m str,
    places: Places,
    logic: Logic<'m>,
    found: Vec<Found>,
}

struct Found {
    level: Level,
    at: usize,
    code: &'static str,
    message: String,
    suggestion: Option<String>,
}

/// A condition on a lead and where it stands.
struct LeadUse<'m> {
    /// In words: "stage `mql`, `exit`".
    what: String,
    at: usize,
    predicate: &'m LeadPredicate,
}

/// A condition on an activity and where it stands.
struct EventUse<'m> {
    what: String,
    at: usize,
    predicate: &'m EventPredicate,
}

impl<'m> Linter<'m> {
    fn new(model: &'m Model, text: &'m str) -> Linter<'m> {
        Linter { model, text, places: Places::new(text), logic: Logic::new(model), found: Vec::new() }
    }

    fn add(&mut self, level: Level, code: &'static str, at: usize, message: String) {
        self.found.push(Found { level, at, code, message, suggestion: None });
    }

    fn suggest(&mut self, level: Level, code: &'static str, at: usize, message: String, way_out: &str) {
        self.found.push(Found { level, at, code, message, suggestion: Some(way_out.to_owned()) });
    }

    fn finish(self) -> Vec<LintFinding> {
        let Linter { text, mut found, .. } = self;
        found.sort_by(|a, b| (a.level, a.at, a.code, &a.message).cmp(&(b.level, b.at, b.code, &b.message)));
        let place = |found: Found| {
            let (line, column, excerpt) = findings::place(text, found.at);
            let Found { level, code, message, suggestion, .. } = found;
            LintFinding { level, code, line, column, excerpt, message, suggestion }
        };
        found.into_iter().map(place).collect()
    }

    /// Every condition on a lead, in the order of the sections.
    fn lead_uses(&self) -> Vec<LeadUse<'m>> {
        let model = self.model;
        let places = &self.places;
        let mut uses = Vec::new();
        for stage in &model.stages {
            for (key, predicate) in [("enter", &stage.enter), ("exit", &stage.exit)] {
                if let Some(predicate) = predicate {
                    let at = places.part("stages", &stage.id, key);
                    uses.push(LeadUse { what: format!("stage `{}`, `{key}`", stage.id), at, predicate });
                }
            }
        }
        let mut simple = |what: &str, section: &str, id: &str, key: &str, predicate: &'m LeadPredicate| {
            let at = places.part(section, id, key);
            uses.push(LeadUse { what: format!("{what} `{id}`"), at, predicate });
        };
        for bonus in &model.bonuses {
            simple("bonus", "bonuses", &bonus.id, "when", &bonus.when);
        }
        for definition in &model.definitions {
            simple("definition", "definitions", &definition.name, "", &definition.when);
        }
        for verdict in &model.verdicts {
            if let crate::compiled::VerdictHolds::While(when) = &verdict.holds {
                simple("disqualification", "disqualify", &verdict.id, "when", when);
            }
        }
        for audience in &model.audiences {
            simple("audience", "audiences", &audience.name, "", &audience.when);
        }
        for alert in &model.alerts {
            if let Some(when) = &alert.when {
                simple("alert", "alerts", &alert.id, "when", when);
            }
        }
        for (name, cases) in &model.route.attributes {
            for (case, _) in cases {
                simple("route", "route", name, "", case);
            }
        }
        uses
    }

    /// Every condition on an activity: those of rules and of what else reacts to events.
    fn event_uses(&self) -> Vec<EventUse<'m>> {
        let model = self.model;
        let uses = model.rules.iter().filter_map(|rule| {
            let predicate = rule.condition.as_ref()?;
            let (what, section, id) = match rule.origin {
                RuleOrigin::Rule => ("rule", "rules", rule.id.as_str()),
                RuleOrigin::Verdict(ix) => {
                    ("disqualification", "disqualify", model.verdicts[ix.ix()].id.as_str())
                }
                RuleOrigin::Alert(ix) => ("alert", "alerts", model.alerts[ix.ix()].id.as_str()),
                RuleOrigin::Feedback(_) | RuleOrigin::Answers => return None,
            };
            let at = self.places.part(section, id, "where");
            Some(EventUse { what: format!("{what} `{id}`"), at, predicate })
        });
        uses.collect()
    }

    /// The place of a rule of the file.
    fn rule_at(&self, rule: RuleIx, key: &str) -> usize {
        self.places.part("rules", &self.model.rules[rule.ix()].id, key)
    }

    fn bytes(&mut self) {
        let (worst, typical) = (self.model.worst_case_bytes_per_lead(), self.model.typical_bytes_per_lead());
        let message = format!(
            "a lead takes about {typical} bytes (a visitor of a few activities), at most {worst} of the {} allowed",
            crate::LARGEST_LEAD_BYTES
        );
        let at = self.places.section("model");
        self.add(Level::Info, "bytes", at, message);
    }

    fn sample(&mut self, seen: &BTreeSet<String>) {
        let mut named: Vec<&String> = self.model.events.named.keys().collect();
        named.sort();
        for event in &named {
            // Derived from the visits of the others: no log holds it.
            if !seen.contains(*event) && *event != "visit_started" {
                let at = self.places.event(event);
                let near = findings::did_you_mean(event, seen.iter().map(String::as_str));
                let message = format!("the event `{event}` never occurs in the sample");
                let suggestion = near.unwrap_or_else(|| {
                    "a rule for an event that nobody sends never counts: check the tracking".to_owned()
                });
                self.suggest(Level::Warning, "event_not_in_sample", at, message, &suggestion);
            }
        }
        let at = self.places.section("rules");
        for event in seen {
            if !self.model.events.named.contains_key(event) {
                let message = match self.model.events.any.is_empty() {
                    true => format!("the event `{event}` of the sample is named by nothing in the model"),
                    false => format!("the event `{event}` of the sample is read by rules for `*` only"),
                };
                self.add(Level::Info, "event_not_in_model", at, message);
            }
        }
    }
}
