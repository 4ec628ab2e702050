//! One look at a lead: what changes at an instant (S11), and the first instant at which anything does (S12, S13).

use ripen_model::Model;
use ripen_records::Cause;

use super::reading::{Evidence, Line, Reading};

/// Longer than anything of a random model lasts: 139 years.
const ENDLESS_MS: i64 = 1 << 42;

/// What a lead remembers of its decisions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Memory {
    /// By stage: since when it is latched.
    pub(crate) latches: Vec<Option<i64>>,
    pub(crate) stage: usize,
    pub(crate) stage_since_ms: i64,
}

/// What is decided, before it gets a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decided {
    pub(crate) at_ms: i64,
    pub(crate) cause: Cause,
    pub(crate) change: Changed,
    pub(crate) stage: usize,
    pub(crate) scores: Vec<i64>,
    pub(crate) lines: Vec<Line>,
    pub(crate) facts: Vec<String>,
    pub(crate) expected_exit_ms: Option<i64>,
}

/// The change itself, in the model's words.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Changed {
    Stage { from: String, to: String, passed: Vec<String> },
}

/// Why a lead is looked at.
#[derive(Clone, Copy)]
pub(crate) enum Why {
    /// An activity was accepted.
    Activity,
    /// Only time has passed.
    Deadline,
}

impl Memory {
    /// A new lead stands silently in the first stage.
    pub(crate) fn new(model: &Model, born_ms: i64) -> Memory {
        let mut latches = vec![None; model.stages.len()];
        latches[0] = Some(born_ms);
        Memory { latches, stage: 0, stage_since_ms: born_ms }
    }

    /// The instants after `after_ms` at which something ends that the decisions themselves have begun.
    fn ends_after(&self, model: &Model, after_ms: i64) -> Vec<i64> {
        let dwells = self.latches.iter().zip(&model.stages);
        let ends = dwells.filter_map(|(since_ms, stage)| Some((*since_ms)? + stage.min_dwell_ms));
        ends.filter(|end_ms| *end_ms > after_ms).collect()
    }
}

/// Looks at a lead: its memory afterwards, and what is decided.
pub(crate) fn look(
    evidence: &Evidence,
    before: &Memory,
    at_ms: i64,
    why: Why,
    active_ms: i64,
) -> (Memory, Vec<Decided>) {
    let model = &evidence.model;
    let mut memory = before.clone();
    let reading = Reading { evidence, at_ms, place: None };
    let mut set = Vec::new();
    for (ix, stage) in model.stages.iter().enumerate().skip(1) {
        let enters = stage.enter.as_ref().is_some_and(|enter| reading.holds(enter));
        match memory.latches[ix] {
            None if enters && (matches!(why, Why::Activity) || stage.overrides) => {
                memory.latches[ix] = Some(at_ms);
                set.push(ix);
            }
            Some(_) if clears(&reading, before, ix) => memory.latches[ix] = None,
            _ => {}
        }
    }
    let latched = |ix: &usize| memory.latches[*ix].is_some();
    let overriding = (0..model.stages.len()).rev().find(|ix| model.stages[*ix].overrides && latched(ix));
    let highest = (0..model.stages.len()).rev().find(latched).expect("the first stage is always latched");
    memory.stage = overriding.unwrap_or(highest);
    let mut decided = Vec::new();
    if memory.stage != before.stage {
        memory.stage_since_ms = at_ms;
        let name = |ix: usize| model.stages[ix].id.clone();
        let passed = set.iter().filter(|ix| **ix < memory.stage).map(|ix| name(*ix)).collect();
        decided.push(Changed::Stage { from: name(before.stage), to: name(memory.stage), passed });
    }
    if decided.is_empty() {
        return (memory, Vec::new());
    }
    let cause = cause(evidence, at_ms, why);
    let expected_exit_ms = expected_exit(evidence, &memory, at_ms, active_ms);
    let decided = told(evidence, &memory, at_ms, cause, decided, expected_exit_ms);
    (memory, decided)
}

/// Changes with all that travels with them.
pub(crate) fn told(
    evidence: &Evidence,
    memory: &Memory,
    at_ms: i64,
    cause: Cause,
    changes: Vec<Changed>,
    expected_exit_ms: Option<i64>,
) -> Vec<Decided> {
    let model = &evidence.model;
    let reading = Reading { evidence, at_ms, place: None };
    let decide = |change| Decided {
        at_ms,
        cause,
        change,
        stage: memory.stage,
        scores: (0..model.scores.len()).map(|score| reading.score(score)).collect(),
        lines: reading.lines(),
        facts: reading.facts(),
        expected_exit_ms,
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
}

fn cause(evidence: &Evidence, at_ms: i64, why: Why) -> Cause {
    let Why::Deadline = why else { return Cause::Activity };
    let before = Reading { evidence, at_ms: at_ms - 1, place: None };
    let now = Reading { evidence, at_ms, place: None };
    let facts = evidence.model.facts.iter().enumerate().filter(|(_, fact)| !fact.is_verdict);
    let ended = facts.map(|(ix, _)| ix).any(|ix| before.fact(ix) && !now.fact(ix));
    if ended { Cause::FactExpired } else { Cause::Decay }
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
    ends.extend(memory.ends_after(&evidence.model, after_ms));
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
