//! Whether what was expected of a persona came of it, and the first moment at which things went another way.

use std::sync::Arc;

use ripen_model::Model;
use ripen_model::compiled::{Expectation, ExpectedHandover, Persona, StageIx};
use ripen_model::expression::{LeadPredicate, LeadTest};
use ripen_records::{Cause, Change, Decision, ResponseState, StageChange};
use ripen_scorer::LeadView;

use super::{Run, RunError, end_ms, run};
use crate::words::{points, since};

/// What came of a persona's test.
#[derive(Debug, Clone)]
pub struct Judged {
    /// The persona's name.
    pub name: String,
    /// Its line in the file.
    pub line: usize,
    /// Expectations that failed; none: it passed.
    pub failed: Vec<Failed>,
    /// Events that did not count, and why.
    pub dropped: Vec<(usize, String)>,
}

/// An expectation that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// Its line in the file.
    pub line: usize,
    /// The instant of it, ms from the persona's start.
    pub at_ms: i64,
    /// What was expected and what was found.
    pub message: String,
    /// The first moment at which things went another way, in words.
    pub turned: Option<String>,
}

/// Runs a persona and judges every expectation of it.
///
/// # Errors
/// See [`RunError`].
pub fn judge(model: &Arc<Model>, persona: &Persona) -> Result<Judged, RunError> {
    let last_ms = persona.events.last().map_or(0, |event| event.at_ms);
    let instants: Vec<i64> =
        persona.expect.iter().map(|e| persona.start_ms + e.at_ms.unwrap_or(last_ms)).collect();
    let lived = run(model, persona, &[&instants[..], &[end_ms(persona)]].concat())?;
    let mut failed = Vec::new();
    for (expected, at_ms) in persona.expect.iter().zip(instants) {
        let case = Case { model, persona, lived: &lived, expected, at_ms, view: lived.view(at_ms) };
        case.judge(&mut failed);
    }
    let Run { dropped, .. } = lived;
    Ok(Judged { name: persona.name.clone(), line: persona.line, failed, dropped })
}

/// One expectation of one persona.
struct Case<'a> {
    model: &'a Model,
    persona: &'a Persona,
    lived: &'a Run,
    expected: &'a Expectation,
    at_ms: i64,
    view: Option<&'a LeadView>,
}

impl Case<'_> {
    fn judge(&self, failed: &mut Vec<Failed>) {
        let mut fail = |message: String, turned: Option<String>| {
            let at_ms = self.at_ms - self.persona.start_ms;
            failed.push(Failed { line: self.expected.line, at_ms, message, turned });
        };
        let stage = self.stage();
        if let Some(expected) = self.expected.stage
            && self.model.stages[expected.ix()].id != stage
        {
            let id = &self.model.stages[expected.ix()].id;
            fail(format!("the stage is `{stage}`, expected `{id}`"), self.turn_of_stage(expected));
        }
        if let Some(expected) = &self.expected.owner {
            let owner = self.view.map_or(self.model.stages[0].owner.as_str(), |view| &view.owner);
            if owner != expected {
                fail(format!("the owner is `{owner}`, expected `{expected}`"), self.last_stage_change());
            }
        }
        self.audiences(&mut fail);
        self.scores(&mut fail);
        self.handover(&mut fail);
        self.response(&mut fail);
        for alert in &self.expected.alerts {
            let id = &self.model.alerts[alert.ix()].id;
            let fired = |d: &&Decision| matches!(&d.change, Change::Alert(alert) if alert.alert == *id);
            if !self.so_far().any(|decision| fired(&decision)) {
                fail(format!("the alert `{id}` did not fire"), None);
            }
        }
        self.demotion(&mut fail);
        for never in &self.expected.never {
            let id = &self.model.stages[never.ix()].id;
            let entered = self.so_far().find(|d| stage_change(d).is_some_and(|change| change.to == *id));
            if let Some(decision) = entered {
                fail(format!("the stage `{id}` was entered, expected never"), Some(self.told(decision)));
            }
        }
    }

    /// Decisions up to the instant of the expectation.
    fn so_far(&self) -> impl Iterator<Item = &Decision> {
        self.lived.decisions.iter().filter(|decision| decision.effective_at_ms <= self.at_ms)
    }

    fn stage(&self) -> &str {
        self.view.map_or(self.model.stages[0].id.as_str(), |view| &view.stage)
    }

    fn audiences(&self, fail: &mut impl FnMut(String, Option<String>)) {
        let none: &[String] = &[];
        let inside = self.view.map_or(none, |view| &view.audiences);
        for (listed, wanted) in [(&self.expected.within, true), (&self.expected.outside, false)] {
            for ix in listed {
                let name = &self.model.audiences[ix.ix()].name;
                if inside.contains(name) == wanted {
                    continue;
                }
                let moved =
                    |d: &&Decision| matches!(&d.change, Change::AudienceChange(c) if c.audience == *name);
                let turned = self.so_far().filter(moved).last().map(|decision| self.told(decision));
                let (is, expected) = if wanted { ("not in", "in it") } else { ("in", "not in it") };
                let turned = turned.or_else(|| {
                    let audience = &self.model.audiences[ix.ix()];
                    wanted.then(|| format!("it was never entered: {}", self.missing(&audience.when)))
                });
                fail(format!("the lead is {is} the audience `{name}`, expected {expected}"), turned);
            }
        }
    }

    fn scores(&self, fail: &mut impl FnMut(String, Option<String>)) {
        for (ix, expected) in &self.expected.scores {
            let name = &self.model.scores[ix.ix()].name;
            let found = self.view.map_or(0, |view| view.scores[ix.ix()].milli);
            if found == *expected {
                continue;
            }
            let lines = self.view.map(|view| {
                let lines = view.lines.iter().filter(|line| line.score == *name);
                let parts: Vec<String> =
                    lines.map(|line| format!("{} {}", line.id, points(line.milli))).collect();
                format!(
                    "it is made of {}",
                    if parts.is_empty() { "nothing".to_owned() } else { parts.join(", ") }
                )
            });
            let message = format!("`score.{name}` is {}, expected {}", points(found), points(*expected));
            fail(message, lines);
        }
    }

    fn handover(&self, fail: &mut impl FnMut(String, Option<String>)) {
        let Some(expected) = self.expected.handover else { return };
        let last = self.so_far().filter_map(|decision| match &decision.change {
            Change::Handover(handover) => Some((decision, handover)),
            _ => None,
        });
        let last = last.last();
        let found = match last {
            None => ExpectedHandover::No,
            Some((_, handover)) if handover.incomplete => ExpectedHandover::Incomplete,
            Some(_) => ExpectedHandover::Yes,
        };
        let word = |handover| match handover {
            ExpectedHandover::No => "no hand-over",
            ExpectedHandover::Yes => "a hand-over",
            ExpectedHandover::Incomplete => "an incomplete hand-over",
        };
        let agrees = match expected {
            // An incomplete one is one.
            ExpectedHandover::Yes => found != ExpectedHandover::No,
            expected => found == expected,
        };
        if !agrees {
            let message = format!("there was {}, expected {}", word(found), word(expected));
            fail(message, last.map(|(decision, _)| self.told(decision)));
        }
    }

    fn response(&self, fail: &mut impl FnMut(String, Option<String>)) {
        let Some(expected) = self.expected.response.as_deref() else { return };
        let last = self.so_far().filter(|d| matches!(d.change, Change::Response(_))).last();
        // A clock that has ended is not the lead's any more: its last step tells how.
        let ended = last.and_then(|decision| match &decision.change {
            Change::Response(step) if step.state == ResponseState::Answered => Some("answered"),
            Change::Response(_) => Some("closed"),
            _ => None,
        });
        let running = self.view.and_then(|view| view.response.as_deref());
        let found = running.or(ended).unwrap_or("none");
        if found != expected {
            let message = format!("the response clock is `{found}`, expected `{expected}`");
            fail(message, last.map(|decision| self.told(decision)));
        }
    }

    fn demotion(&self, fail: &mut impl FnMut(String, Option<String>)) {
        let Some(by_ms) = self.expected.demoted_by_ms.map(|by_ms| self.persona.start_ms + by_ms) else {
            return;
        };
        let stage = self.stage();
        let left = self.lived.decisions.iter().find(|decision| {
            let is_later = decision.effective_at_ms > self.at_ms;
            is_later && stage_change(decision).is_some_and(|change| change.from == stage)
        });
        let by = since(by_ms - self.persona.start_ms);
        match left {
            Some(decision) if decision.effective_at_ms <= by_ms && is_of_time(decision) => {}
            Some(decision) if decision.effective_at_ms <= by_ms => {
                let message =
                    format!("the stage `{stage}` is left by an activity, expected by time, by {by}");
                fail(message, Some(self.told(decision)));
            }
            _ => {
                let exit = self.view.and_then(|view| view.expected_exit_at_ms);
                let turned = match exit {
                    Some(exit_ms) => {
                        format!(
                            "if nothing more happens, it is left at {}",
                            since(exit_ms - self.persona.start_ms)
                        )
                    }
                    None => "if nothing more happens, it is never left".to_owned(),
                };
                fail(format!("the stage `{stage}` is not left by time, by {by}"), Some(turned));
            }
        }
    }

    /// When the lead left the stage, or took another; or what was missing for it.
    fn turn_of_stage(&self, expected: StageIx) -> Option<String> {
        let stage = &self.model.stages[expected.ix()];
        let left =
            self.so_far().filter(|d| stage_change(d).is_some_and(|change| change.from == stage.id)).last();
        if let Some(decision) = left {
            return Some(self.told(decision));
        }
        // Where it went past the stage, it is higher; where it did not, something was missing.
        let passed = self.so_far().find(|decision| {
            let is_above =
                |to: &str| self.model.stages.iter().skip(expected.ix() + 1).any(|above| above.id == to);
            stage_change(decision).is_some_and(|change| is_above(&change.to))
        });
        if let Some(decision) = passed {
            return Some(self.told(decision));
        }
        let enter = stage.enter.as_ref()?;
        Some(format!("`{}` was not entered: {}", stage.id, self.missing(enter)))
    }

    fn last_stage_change(&self) -> Option<String> {
        self.so_far().filter(|decision| stage_change(decision).is_some()).last().map(|d| self.told(d))
    }

    /// The atoms of a condition with what can be read of them from outside.
    fn missing(&self, predicate: &LeadPredicate) -> String {
        let Some(view) = self.view else { return "there is no such lead at that time".to_owned() };
        let read = |test: &LeadTest| match test {
            LeadTest::Score { terms, .. } if terms.len() == 1 => {
                let score = &view.scores[terms[0].0.ix()];
                Some(points(score.milli))
            }
            LeadTest::Fact(fact) => {
                let name = &self.model.facts[fact.ix()].name;
                Some(if view.facts.contains(name) { "true" } else { "false" }.to_owned())
            }
            _ => None,
        };
        let mut parts: Vec<String> = Vec::new();
        for atom in predicate.atoms() {
            let part = match read(&atom.test) {
                Some(value) => format!("`{}` (it is {value})", atom.text),
                None => format!("`{}`", atom.text),
            };
            if !parts.contains(&part) {
                parts.push(part);
            }
        }
        parts.join(", ")
    }

    /// A decision in a line.
    fn told(&self, decision: &Decision) -> String {
        let at = since(decision.effective_at_ms - self.persona.start_ms);
        let what = match &decision.change {
            Change::StageChange(StageChange { from, to, .. }) => format!("{from} → {to}"),
            Change::AudienceChange(change) if change.entered => format!("entered `{}`", change.audience),
            Change::AudienceChange(change) => format!("left `{}`", change.audience),
            Change::Handover(handover) => format!("handed over from `{}`", handover.stage),
            Change::Response(step) => {
                format!("response clock of `{}`: {:?}", step.stage, step.state).to_lowercase()
            }
            Change::Alert(alert) => format!("alert `{}`", alert.alert),
            Change::MergedInto(lead) => format!("merged into {lead}"),
        };
        let rules: Vec<&str> =
            decision.explanation.decisive.iter().map(|activity| activity.rule.as_str()).collect();
        let held = decision.explanation.atoms.iter().filter(|atom| atom.truth).map(|atom| atom.text.as_str());
        let why: Vec<&str> = if rules.is_empty() { held.collect() } else { rules };
        let why = if why.is_empty() { String::new() } else { format!(": {}", why.join(", ")) };
        format!("{at} {what}, {}{why}", decision.cause.as_str())
    }
}

fn stage_change(decision: &Decision) -> Option<&StageChange> {
    match &decision.change {
        Change::StageChange(change) => Some(change),
        _ => None,
    }
}

fn is_of_time(decision: &Decision) -> bool {
    let by_record = matches!(
        decision.cause,
        Cause::Activity | Cause::Feedback | Cause::Merge | Cause::ModelChange | Cause::Erased
    );
    decision.input.is_none() && !by_record
}
