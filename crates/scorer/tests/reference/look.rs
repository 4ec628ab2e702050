//! One look at a lead: what changes at an instant (S11), and the first instant at which anything does (S12, S13).

use ripen_model::Model;
use ripen_model::compiled::RuleOrigin;
use ripen_model::expression::LeadTest;
use ripen_records::Cause;

use super::decisive::{Decisive, Fed, decisive};
use super::history::{Accepted, Texts};
use super::reading::{Evidence, Line, Place, Reading};
use super::sales::{self, Sales, Step};

/// Longer than anything of a random model lasts: 139 years.
const ENDLESS_MS: i64 = 1 << 42;

/// What a lead remembers of its decisions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Memory {
    /// By stage: since when it is latched.
    pub(crate) latches: Vec<Option<i64>>,
    pub(crate) stage: usize,
    pub(crate) stage_since_ms: i64,
    /// By audience: whether the lead is in it.
    pub(crate) audiences: Vec<bool>,
    pub(crate) sales: Sales,
    /// By alert: whether its condition held, and when it fired.
    pub(super) alerts: Vec<(bool, Option<i64>)>,
}

/// What is decided, before it gets a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decided {
    pub(crate) at_ms: i64,
    pub(crate) cause: Cause,
    pub(crate) change: Changed,
    pub(crate) stage: usize,
    pub(crate) scores: Vec<i64>,
    pub(crate) labels: Vec<Option<String>>,
    pub(crate) touches: Vec<(i64, Texts)>,
    pub(crate) lines: Vec<Line>,
    pub(crate) facts: Vec<String>,
    /// Each with its reason.
    pub(crate) verdicts: Vec<(String, Option<String>)>,
    pub(crate) decisive: Vec<Decisive>,
    pub(crate) expected_exit_ms: Option<i64>,
    pub(crate) value_micros: i64,
    pub(crate) expected_value_micros: Option<i64>,
    pub(crate) attributes: Vec<(String, String)>,
}

/// The change itself, in the model's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Changed {
    Stage { from: String, to: String, passed: Vec<String> },
    Audience { audience: String, entered: bool },
    Sales(Step),
    Alert { alert: String, to: Vec<String> },
    MergedInto(String),
}

/// Why a lead is looked at.
#[derive(Clone, Copy)]
pub(crate) enum Why<'a> {
    /// An activity was accepted; what there was before.
    Activity(&'a Accepted, &'a Evidence),
    /// Only time has passed.
    Deadline,
    /// It has taken in another lead.
    Merge,
}

impl Memory {
    /// A new lead stands silently in the first stage, in no audience.
    pub(crate) fn new(model: &Model, born_ms: i64) -> Memory {
        let mut latches = vec![None; model.stages.len()];
        latches[0] = Some(born_ms);
        Memory {
            latches,
            stage: 0,
            stage_since_ms: born_ms,
            audiences: vec![false; model.audiences.len()],
            sales: Sales::default(),
            alerts: vec![(false, None); model.alerts.len()],
        }
    }

    pub(crate) fn place(&self) -> Place {
        Some((self.stage, self.stage_since_ms))
    }

    /// The instants after `after_ms` at which something ends that the decisions themselves have begun.
    fn ends_after(&self, evidence: &Evidence, after_ms: i64) -> Vec<i64> {
        let model = &evidence.model;
        let dwells = self.latches.iter().zip(&model.stages);
        let mut ends: Vec<i64> =
            dwells.filter_map(|(since_ms, stage)| Some((*since_ms)? + stage.min_dwell_ms)).collect();
        ends.extend(evidence.timed_tests.iter().filter_map(|test| match test {
            LeadTest::StageFor { age_ms } => Some(self.stage_since_ms + age_ms),
            _ => None,
        }));
        ends.extend(self.sales.ends(model));
        ends.retain(|end_ms| *end_ms > after_ms);
        ends
    }
}

/// Looks at a lead: its memory afterwards, and what is decided.
pub(crate) fn look(
    evidence: &Evidence,
    before: &Memory,
    at_ms: i64,
    why: Why<'_>,
    active_ms: i64,
) -> (Memory, Vec<Decided>) {
    let model = &evidence.model;
    let mut memory = before.clone();
    let reading = Reading { evidence, at_ms, place: None };
    let (set, cleared) = latch(&reading, &mut memory, why);
    memory.stage = stage_of(&reading, &memory);
    let mut changes = Vec::new();
    if memory.stage != before.stage {
        memory.stage_since_ms = at_ms;
        let name = |ix: usize| model.stages[ix].id.clone();
        let passed = set.iter().filter(|ix| **ix < memory.stage).map(|ix| name(*ix)).collect();
        let stage = Changed::Stage { from: name(before.stage), to: name(memory.stage), passed };
        let fed = set.iter().map(|ix| Fed::Enter(*ix)).chain(cleared.iter().map(|ix| Fed::Exit(*ix)));
        changes.push((stage, fed.collect()));
    }
    let reading = Reading { place: memory.place(), ..reading };
    for (ix, audience) in model.audiences.iter().enumerate() {
        let entered = reading.holds(&audience.when);
        if entered != memory.audiences[ix] {
            memory.audiences[ix] = entered;
            let change = Changed::Audience { audience: audience.name.clone(), entered };
            changes.push((change, vec![Fed::Audience(ix)]));
        }
    }
    let activity = if let Why::Activity(activity, ..) = why { Some(activity) } else { None };
    let steps = sales::follow(&reading, &mut memory.sales, memory.stage, activity);
    changes.extend(steps.into_iter().map(|step| (Changed::Sales(step), Vec::new())));
    for (ix, alert) in model.alerts.iter().enumerate() {
        let (was_on, fired_ms) = memory.alerts[ix];
        let happened = activity.is_some_and(|activity| {
            let of = |origin| matches!(origin, RuleOrigin::Alert(alert) if alert.ix() == ix);
            activity.matches.iter().any(|found| of(model.rules[found.rule].origin))
        });
        let is_on = alert.when.as_ref().is_some_and(|when| reading.holds(when));
        memory.alerts[ix].0 = is_on;
        let silent = fired_ms.is_some_and(|fired_ms| at_ms < fired_ms + alert.cool_down_ms);
        if (happened || is_on && !was_on) && !silent {
            memory.alerts[ix].1 = Some(at_ms);
            let change = Changed::Alert { alert: alert.id.clone(), to: alert.to.clone() };
            changes.push((change, vec![Fed::Alert(ix)]));
        }
    }
    if changes.is_empty() {
        return (memory, Vec::new());
    }
    let cause = cause(&reading, before, &memory, why);
    let is_timed = matches!(why, Why::Deadline) && memory.stage == before.stage;
    let expected_exit_ms = expected_exit(evidence, &memory, at_ms, active_ms);
    let mut decided = told(evidence, &memory, at_ms, cause, changes, expected_exit_ms);
    for decided in
        decided.iter_mut().filter(|decided| is_timed && matches!(decided.change, Changed::Sales(_)))
    {
        decided.cause = Cause::Timer;
    }
    (memory, decided)
}

/// Latches bottom up; gives those that were set, and those that were cleared.
fn latch(reading: &Reading<'_>, memory: &mut Memory, why: Why<'_>) -> (Vec<usize>, Vec<usize>) {
    let model = &reading.evidence.model;
    let (mut recycled, mut reopened) = (None, Vec::new());
    if let Why::Activity(activity, ..) = why {
        for found in &activity.matches {
            let RuleOrigin::Feedback(feedback) = model.rules[found.rule].origin else { continue };
            let feedback = &model.feedback[feedback.ix()];
            recycled = feedback.recycle.map(|(stage, _)| stage.ix()).or(recycled);
            reopened.extend(feedback.reopen.iter().map(|stage| stage.ix()));
        }
    }
    let before = memory.clone();
    let (mut set, mut cleared) = (Vec::new(), Vec::new());
    for (ix, stage) in model.stages.iter().enumerate().skip(1) {
        let enters = || stage.enter.as_ref().is_some_and(|enter| reading.holds(enter));
        let is_cooling = reading.evidence.cools(ix, reading.at_ms);
        let sent_back = recycled.is_some_and(|to| ix > to) && !stage.terminal && !stage.overrides;
        if before.latches[ix].is_some() {
            if is_cooling || sent_back || reopened.contains(&ix) || clears(reading, &before, ix) {
                memory.latches[ix] = None;
                cleared.push(ix);
            }
        } else if (!matches!(why, Why::Deadline) || stage.overrides)
            && !is_cooling
            && (recycled == Some(ix) || enters())
        {
            memory.latches[ix] = Some(reading.at_ms);
            set.push(ix);
        }
    }
    (set, cleared)
}

/// The lead's stage, once the latches are known.
fn stage_of(reading: &Reading<'_>, memory: &Memory) -> usize {
    let model = &reading.evidence.model;
    let latched = || (0..model.stages.len()).rev().filter(|ix| memory.latches[*ix].is_some());
    let overriding = latched().find(|ix| model.stages[*ix].overrides);
    let capping = model.verdicts.iter().enumerate().filter(|(ix, _)| reading.verdict(*ix));
    let cap = capping.filter_map(|(_, verdict)| verdict.cap_stage).map(|stage| stage.ix()).min();
    let shown = latched().find(|ix| cap.is_none_or(|cap| *ix <= cap)).expect("the first stage is latched");
    overriding.unwrap_or(shown)
}

/// What a lead that is forgotten or erased leaves behind: all audiences, its sales, its stage.
pub(crate) fn end(
    evidence: &Evidence,
    before: &Memory,
    at_ms: i64,
    cause: Cause,
    has_spoken: bool,
) -> Vec<Decided> {
    let model = &evidence.model;
    let gone = Memory { stage: 0, latches: vec![None; model.stages.len()], ..before.clone() };
    let mut changes = leave_audiences(model, before);
    changes.extend(before.sales.clone().close(model).map(|step| (Changed::Sales(step), Vec::new())));
    // A life that was told of is told to be over.
    let latched = (1..model.stages.len()).filter(|ix| before.latches[*ix].is_some());
    let fed: Vec<Fed> = latched.map(Fed::Exit).collect();
    if before.stage != 0 || has_spoken {
        let (from, to) = (model.stages[before.stage].id.clone(), model.stages[0].id.clone());
        changes.push((Changed::Stage { from, to, passed: Vec::new() }, fed));
    }
    told(evidence, &gone, at_ms, cause, changes, None)
}

/// What a lead that goes into another one says last.
pub(crate) fn goodbye(
    evidence: &Evidence,
    before: &Memory,
    at_ms: i64,
    active_ms: i64,
    into: &str,
) -> Vec<Decided> {
    let mut changes = leave_audiences(&evidence.model, before);
    changes.push((Changed::MergedInto(into.to_owned()), Vec::new()));
    let expected_exit_ms = expected_exit(evidence, before, at_ms, active_ms);
    told(evidence, before, at_ms, Cause::Merge, changes, expected_exit_ms)
}

fn leave_audiences(model: &Model, before: &Memory) -> Vec<(Changed, Vec<Fed>)> {
    let audiences = model.audiences.iter().enumerate().filter(|(ix, _)| before.audiences[*ix]);
    let left = |name: &String| Changed::Audience { audience: name.clone(), entered: false };
    audiences.map(|(ix, audience)| (left(&audience.name), vec![Fed::Audience(ix)])).collect()
}

/// Changes with all that travels with them.
fn told(
    evidence: &Evidence,
    memory: &Memory,
    at_ms: i64,
    cause: Cause,
    changes: Vec<(Changed, Vec<Fed>)>,
    expected_exit_ms: Option<i64>,
) -> Vec<Decided> {
    let model = &evidence.model;
    let reading = Reading { evidence, at_ms, place: memory.place() };
    let decide = |(change, fed): (Changed, Vec<Fed>)| Decided {
        at_ms,
        cause,
        change,
        stage: memory.stage,
        scores: (0..model.scores.len()).map(|score| reading.score(score)).collect(),
        labels: reading.labels(),
        touches: evidence.history.touches(),
        lines: reading.lines(),
        facts: reading.facts(),
        verdicts: reading.verdicts(),
        decisive: decisive(&evidence.history, model, &fed),
        expected_exit_ms,
        value_micros: evidence.history.brought(),
        expected_value_micros: reading.expected_value(),
        attributes: reading.attributes(),
    };
    changes.into_iter().map(decide).collect()
}

/// Whether a latch that is set is cleared.
fn clears(reading: &Reading<'_>, memory: &Memory, ix: usize) -> bool {
    let stage = &reading.evidence.model.stages[ix];
    let Some(since_ms) = memory.latches[ix] else { return false };
    let exits = stage.exit.as_ref().is_some_and(|exit| reading.holds(exit));
    exits
        && !stage.enter.as_ref().is_some_and(|enter| reading.holds(enter))
        && reading.at_ms >= since_ms + stage.min_dwell_ms
        && !reading.evidence.is_held(ix, reading.at_ms)
}

fn cause(now: &Reading<'_>, before: &Memory, after: &Memory, why: Why<'_>) -> Cause {
    let model = &now.evidence.model;
    let began_or_ended = |then: &Reading<'_>, began: bool| {
        // Nothing held of a lead that did not exist.
        let was_there = !then.evidence.history.accepted.is_empty();
        (0..model.verdicts.len())
            .any(|ix| now.verdict(ix) == began && (was_there && then.verdict(ix)) != began)
    };
    match why {
        Why::Activity(activity, evidence) => {
            let then = Reading { evidence, at_ms: now.at_ms, place: None };
            let is_feedback = |rule: usize| matches!(model.rules[rule].origin, RuleOrigin::Feedback(_));
            let overrides = model.stages[after.stage].overrides && after.stage != before.stage;
            if activity.matches.iter().any(|found| is_feedback(found.rule)) {
                Cause::Feedback
            } else if (after.stage < before.stage || overrides) && began_or_ended(&then, true) {
                Cause::Verdict
            } else {
                Cause::Activity
            }
        }
        Why::Merge => Cause::Merge,
        Why::Deadline => {
            let then = Reading { at_ms: now.at_ms - 1, ..*now };
            let mut facts = (0..model.facts.len()).filter(|ix| !model.facts[*ix].is_verdict);
            if began_or_ended(&then, false) {
                Cause::VerdictExpired
            } else if began_or_ended(&then, true) {
                Cause::Verdict
            } else if facts.any(|ix| then.fact(ix) && !now.fact(ix)) {
                Cause::FactExpired
            } else {
                Cause::Decay
            }
        }
    }
}

/// The instant at which the latch of the lead's stage clears if nothing more happens.
/// Nothing is announced that lies behind the removal of a lead that was active at `active_ms`.
pub(crate) fn expected_exit(evidence: &Evidence, memory: &Memory, at_ms: i64, active_ms: i64) -> Option<i64> {
    let model = &evidence.model;
    model.stages[memory.stage].exit.as_ref()?;
    let mut stands = model.stages.iter().zip(&memory.latches).filter(|(stage, _)| stage.terminal);
    let stays = stands.any(|(_, latch)| latch.is_some());
    let until_ms = active_ms + if stays { ENDLESS_MS } else { model.time.forget_ms - 1 };
    first_instant(evidence, memory, at_ms, until_ms, |at_ms| {
        clears(&Reading { evidence, at_ms, place: None }, memory, memory.stage)
    })
}

/// The first instant in `(after, until]` at which a look changes anything.
pub(crate) fn next_change(evidence: &Evidence, memory: &Memory, after_ms: i64, until_ms: i64) -> Option<i64> {
    first_instant(evidence, memory, after_ms, until_ms, |at_ms| {
        // What is announced does not matter here: nothing is searched for.
        let (then, decided) = look(evidence, memory, at_ms, Why::Deadline, at_ms - ENDLESS_MS);
        then != *memory || !decided.is_empty()
    })
}

/// The first instant in `(after, until]` at which `found` answers yes. It is asked wherever anything that
/// conditions read may have changed, to the millisecond.
fn first_instant(
    evidence: &Evidence,
    memory: &Memory,
    after_ms: i64,
    until_ms: i64,
    mut found: impl FnMut(i64) -> bool,
) -> Option<i64> {
    if until_ms <= after_ms {
        return None;
    }
    let mut ends = evidence.ends_after(after_ms);
    ends.extend(memory.ends_after(evidence, after_ms));
    // What the look at `after` has cleared may be latched again a millisecond later.
    ends.push(after_ms + 1);
    ends.retain(|end_ms| *end_ms < until_ms);
    ends.push(until_ms);
    ends.sort_unstable();
    ends.dedup();
    let mut from_ms = after_ms;
    for end_ms in ends {
        // What is read at `from` includes what ended there.
        while let Some(flip_ms) = first_flip(evidence, from_ms, end_ms - 1) {
            if found(flip_ms) {
                return Some(flip_ms);
            }
            from_ms = flip_ms;
        }
        if found(end_ms) {
            return Some(end_ms);
        }
        from_ms = end_ms;
    }
    None
}

/// The first instant in `(from, until]` at which a test of scores has another truth than at `from`; nothing but
/// scores changes in between. Halves what is not settled, down to single milliseconds.
fn first_flip(evidence: &Evidence, from_ms: i64, until_ms: i64) -> Option<i64> {
    let at = |at_ms: i64| Reading { evidence, at_ms, place: None };
    let truths = at(from_ms).score_tests();
    if truths.is_empty() || until_ms <= from_ms {
        return None;
    }
    let mut parts = vec![(from_ms, until_ms)];
    while let Some((from_ms, until_ms)) = parts.pop() {
        if from_ms == until_ms {
            if at(from_ms).score_tests() != truths {
                return Some(from_ms);
            }
        } else if !at(from_ms).scores_settled(until_ms) {
            let middle_ms = from_ms + (until_ms - from_ms) / 2;
            parts.push((middle_ms + 1, until_ms));
            parts.push((from_ms, middle_ms));
        } else if at(from_ms).score_tests() != truths {
            return Some(from_ms);
        }
    }
    None
}
