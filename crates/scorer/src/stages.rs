//! Latches, the stage, and when they may change by themselves (S11–S13, S20's forgetting).

use crate::lead::Lead;
use crate::outlook::{NEVER_CHANGES, Outlook, Reach, View};
use crate::plan::Plan;
use crate::scores::Reading;

/// Steps from one possible change to the next before the search for an exact instant gives up. Predicates need a
/// step for each of their atoms; only sums of parts that move in opposite directions may need many.
const STEPS: u32 = 256;

/// Why a lead is evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Occasion {
    /// An accepted activity: latches may be set and cleared.
    Activity,
    /// A deadline: latches may be cleared, and only those of `overrides` stages set.
    Deadline,
}

/// What one evaluation changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Evaluation {
    /// Stages whose latch was set, ascending.
    pub(crate) set: Vec<u16>,
    /// Stages whose latch was cleared, ascending.
    pub(crate) cleared: Vec<u16>,
    pub(crate) from: u16,
    pub(crate) to: u16,
}

impl Evaluation {
    pub(crate) fn is_nothing(&self) -> bool {
        self.set.is_empty() && self.cleared.is_empty() && self.from == self.to
    }
}

/// Evaluates latches bottom up, then the stage. `reading` holds the scores at `at_ms`.
pub(crate) fn evaluate(
    plan: &Plan,
    lead: &mut Lead,
    at_ms: i64,
    reading: &Reading,
    on: Occasion,
) -> Evaluation {
    let mut evaluation = Evaluation { from: lead.stage, ..Evaluation::default() };
    for (ix, stage) in plan.model.stages.iter().enumerate().skip(1) {
        let ix = ix as u16;
        let view = View { plan, lead, at_ms, now: reading };
        match lead.latched_since(ix) {
            None => {
                let may_set = on == Occasion::Activity || stage.overrides;
                if may_set && stage.enter.as_ref().is_some_and(|enter| view.holds(enter)) {
                    evaluation.set.push(ix);
                }
            }
            Some(since_ms) => {
                // While `enter` holds, `exit` is not read.
                let clears = at_ms >= since_ms.saturating_add(stage.min_dwell_ms)
                    && stage.exit.as_ref().is_some_and(|exit| view.holds(exit))
                    && !stage.enter.as_ref().is_some_and(|enter| view.holds(enter));
                if clears {
                    evaluation.cleared.push(ix);
                }
            }
        }
    }
    for &stage in &evaluation.cleared {
        lead.clear_latch(stage);
    }
    for &stage in &evaluation.set {
        lead.set_latch(stage, at_ms);
    }
    lead.stage = stage_of(plan, lead);
    evaluation.to = lead.stage;
    evaluation
}

/// Ends a life: every latch falls, and with them the stage.
pub(crate) fn forget(lead: &mut Lead) -> Evaluation {
    let from = std::mem::take(&mut lead.stage);
    let cleared = lead.latches.drain(..).map(|latch| latch.stage).collect();
    Evaluation { set: Vec::new(), cleared, from, to: 0 }
}

/// An active `overrides` stage, the highest one, else the highest latched stage.
fn stage_of(plan: &Plan, lead: &Lead) -> u16 {
    let latched = || lead.latches.iter().rev().map(|latch| latch.stage);
    latched().find(|stage| plan.overrides.contains(stage)).or_else(|| latched().next()).unwrap_or(0)
}

/// The first instant, after `at_ms`, at which a latch changes by itself or the lead is forgotten; an earlier one only
/// if the search for it gave up. `reading` is used up.
pub(crate) fn next_deadline_ms(plan: &Plan, lead: &Lead, at_ms: i64, reading: &mut Reading) -> i64 {
    let mut soonest_ms = forget_ms(plan, lead, at_ms);
    for watch in watched(plan, lead) {
        soonest_ms = match watch.change(plan, lead, at_ms, soonest_ms, reading) {
            Found::At(change_ms) | Found::NotBefore(change_ms) => soonest_ms.min(change_ms),
        };
    }
    soonest_ms.max(at_ms + 1)
}

/// Whether the armed deadline is still not late, seen from `at_ms`. What only pushes a deadline away leaves it
/// armed as it is: whoever finds nothing to do at it arms it anew. `then` is room to read in.
pub(crate) fn deadline_stands(
    plan: &Plan,
    lead: &Lead,
    at_ms: i64,
    reading: &Reading,
    then: &mut Reading,
) -> bool {
    let armed_ms = lead.deadline_ms;
    if armed_ms <= at_ms || armed_ms > forget_ms(plan, lead, at_ms) {
        return false;
    }
    let mut watches = watched(plan, lead).filter(|watch| !watch.dwells_until(armed_ms)).peekable();
    if watches.peek().is_none() {
        return true;
    }
    then.read(plan, lead, armed_ms.saturating_sub(1));
    let view = View { plan, lead, at_ms, now: reading };
    watches.all(|watch| watch.stays_until(&view, armed_ms, then))
}

/// The exact instant at which the latch of the lead's stage clears if nothing more happens; `None` if it does
/// not before the lead is forgotten, or if it could not be found.
pub(crate) fn expected_exit_ms(plan: &Plan, lead: &Lead, at_ms: i64) -> Option<i64> {
    let watch =
        watched(plan, lead).find(|watch| watch.stage == lead.stage && watch.latched_since.is_some())?;
    let forget_ms = forget_ms(plan, lead, at_ms);
    match watch.change(plan, lead, at_ms, forget_ms, &mut Reading::default()) {
        Found::At(exit_ms) => Some(exit_ms),
        Found::NotBefore(_) => None,
    }
}

/// When the lead is forgotten if nothing more happens; in the future of `at_ms` (S20).
pub(crate) fn forget_ms(plan: &Plan, lead: &Lead, at_ms: i64) -> i64 {
    if lead.latches.iter().any(|latch| plan.model.stages[usize::from(latch.stage)].terminal) {
        return NEVER_CHANGES;
    }
    let time = &plan.model.time;
    let fleeting = lead.known_since_ms.is_none() && lead.stage == 0;
    let after_ms = if fleeting { time.forget_anonymous_ms.min(time.forget_ms) } else { time.forget_ms };
    lead.accepted_ms.saturating_add(after_ms).max(at_ms + 1)
}

/// Whether the lead's time is up at its deadline.
pub(crate) fn is_forgotten(plan: &Plan, lead: &Lead, deadline_ms: i64) -> bool {
    forget_ms(plan, lead, deadline_ms - 1) <= deadline_ms
}

/// A latch that may change without an activity.
#[derive(Debug, Clone, Copy)]
struct Watch<'p> {
    stage: u16,
    definition: &'p ripen_model::compiled::Stage,
    latched_since: Option<i64>,
}

/// What a search for a change found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// The latch changes exactly then.
    At(i64),
    /// It does not change earlier.
    NotBefore(i64),
}

/// Latches that may be cleared, and `overrides` stages that may be entered.
fn watched<'p>(plan: &'p Plan, lead: &'p Lead) -> impl Iterator<Item = Watch<'p>> {
    let clearing = lead.latches.iter().filter_map(|latch| {
        let definition = &plan.model.stages[usize::from(latch.stage)];
        let watch = Watch { stage: latch.stage, definition, latched_since: Some(latch.since_ms) };
        definition.exit.is_some().then_some(watch)
    });
    let rising = plan.overrides.iter().filter(|stage| lead.latched_since(**stage).is_none()).map(|&stage| {
        let definition = &plan.model.stages[usize::from(stage)];
        Watch { stage, definition, latched_since: None }
    });
    clearing.chain(rising)
}

impl Watch<'_> {
    /// When the latch changes by itself, looked for from `from_ms` up to `until_ms`.
    fn change(&self, plan: &Plan, lead: &Lead, from_ms: i64, until_ms: i64, reading: &mut Reading) -> Found {
        let mut at_ms = from_ms;
        for _ in 0..STEPS {
            reading.read(plan, lead, at_ms);
            let outlook = self.outlook(&View { plan, lead, at_ms, now: reading }, Reach::Exact);
            if outlook.truth {
                return Found::At(at_ms);
            }
            if outlook.next_ms >= until_ms {
                return Found::NotBefore(until_ms);
            }
            at_ms = outlook.next_ms;
        }
        Found::NotBefore(at_ms)
    }

    /// Whether the latch cannot be cleared before `end_ms` whatever happens.
    fn dwells_until(&self, end_ms: i64) -> bool {
        self.latched_since
            .is_some_and(|since_ms| since_ms.saturating_add(self.definition.min_dwell_ms) >= end_ms)
    }

    /// Whether the latch cannot change by itself before `end_ms`: a condition that is missing stays missing.
    fn stays_until(&self, view: &View<'_>, end_ms: i64, then: &Reading) -> bool {
        let mut missing = self.conditions(view, Reach::Until(end_ms, then));
        missing.any(|condition| !condition.truth && condition.next_ms >= end_ms)
    }

    /// Whether the latch changes now, and when it may next.
    fn outlook(&self, view: &View<'_>, reach: Reach<'_>) -> Outlook {
        Outlook::all(self.conditions(view, reach))
    }

    /// What has to come together for the latch to change.
    fn conditions<'v>(&self, view: &'v View<'_>, reach: Reach<'v>) -> impl Iterator<Item = Outlook> {
        let definition = self.definition;
        let clears = self.latched_since.map(|since_ms| since_ms.saturating_add(definition.min_dwell_ms));
        let dwell = clears.map(|dwell_ms| Outlook::from(dwell_ms, view.at_ms));
        let exit = definition.exit.as_ref().filter(|_| clears.is_some());
        let exit = exit.into_iter().map(move |exit| view.outlook(exit, reach));
        let enter = definition.enter.iter().map(move |enter| {
            let enter = view.outlook(enter, reach);
            if clears.is_some() { enter.not() } else { enter }
        });
        dwell.into_iter().chain(exit).chain(enter)
    }
}
