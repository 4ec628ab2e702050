//! When anything of a lead may change by itself (S13): latches, hidden stages, audiences, alerts, timers.

use ripen_model::compiled::{Stage, Verdict};
use ripen_model::expression::LeadPredicate;

use crate::lead::Lead;
use crate::outlook::{Outlook, Reach, View};
use crate::plan::Plan;
use crate::sales;
use crate::scores::Reading;
use crate::stages::forget_ms;

/// Steps from one possible change to the next before the search for an exact instant gives up. Predicates need a
/// step for each of their atoms; only sums of parts that move in opposite directions may need many.
const STEPS: u32 = 256;

/// The first instant, after that of the view, at which anything changes by itself or the lead is forgotten; an earlier
/// one only if the search for it gave up. `room` is there to read in.
pub(crate) fn next_deadline_ms(view: &View<'_>, room: &mut Reading) -> i64 {
    let View { plan, lead, at_ms, now } = *view;
    let mut soonest_ms = forget_ms(plan, lead);
    for watch in watched(plan, lead) {
        // A decision that was just made may have looked for the exit from the lead's stage already.
        let known_ms = match &watch {
            Watch::Clears(latched) if latched.stage == lead.stage => now.exit_ms.get().copied().flatten(),
            _ => None,
        };
        soonest_ms = match known_ms {
            Some(exit_ms) => soonest_ms.min(exit_ms),
            None => match watch.change(view, soonest_ms, room) {
                Found::At(change_ms) | Found::NotBefore(change_ms) => soonest_ms.min(change_ms),
            },
        };
    }
    soonest_ms.max(at_ms + 1)
}

/// Whether the armed deadline is still not late, as things are viewed. What only pushes a deadline away leaves it
/// armed as it is: whoever finds nothing to do at it arms it anew. `then` is room to read in.
pub(crate) fn deadline_stands(view: &View<'_>, then: &mut Reading) -> bool {
    let View { plan, lead, at_ms, .. } = *view;
    let armed_ms = lead.deadline_ms;
    if armed_ms <= at_ms || armed_ms > forget_ms(plan, lead) {
        return false;
    }
    let mut watches = watched(plan, lead).filter(|watch| !watch.is_still_until(armed_ms)).peekable();
    if watches.peek().is_none() {
        return true;
    }
    then.read(plan, lead, armed_ms.saturating_sub(1));
    watches.all(|watch| watch.stays_until(view, armed_ms, then))
}

/// The exact instant at which the latch of the lead's stage clears if nothing more happens; `None` if it does
/// not before the lead is forgotten, or if it could not be found.
pub(crate) fn expected_exit_ms(view: &View<'_>) -> Option<i64> {
    *view.now.exit_ms.get_or_init(|| {
        let View { plan, lead, at_ms, .. } = *view;
        let latched = clearing(plan, lead).find(|latched| latched.stage == lead.stage)?;
        let forget_ms = forget_ms(plan, lead);
        match Watch::Clears(latched).change(view, forget_ms, &mut Reading::default()) {
            // What a late recycling latches although its exit holds is cleared at the next look, not at this one.
            Found::At(exit_ms) => Some(exit_ms.max(at_ms.saturating_add(1))),
            Found::NotBefore(_) => None,
        }
    })
}

/// Something that may change without an activity.
#[derive(Debug, Clone, Copy)]
enum Watch<'p> {
    /// A latch that may be cleared.
    Clears(Latched<'p>),
    /// An `overrides` stage that may be entered, once its cool-down is over.
    Rises { enter: &'p LeadPredicate, cooled_ms: Option<i64> },
    /// An audience or an alert: whether its condition held at the last evaluation.
    Flips { when: &'p LeadPredicate, held: bool },
    /// A verdict that hides stages: whether it held at the last evaluation.
    Hides { verdict: &'p Verdict, held: bool },
    /// A timer.
    Due(i64),
}

/// A latch that is on.
#[derive(Debug, Clone, Copy)]
struct Latched<'p> {
    stage: u16,
    definition: &'p Stage,
    /// When its dwell is over and its exit is read again.
    free_ms: i64,
}

/// What a search for a change found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// It changes exactly then.
    At(i64),
    /// It does not change earlier.
    NotBefore(i64),
}

fn watched<'p>(plan: &'p Plan, lead: &'p Lead) -> impl Iterator<Item = Watch<'p>> {
    let model = &plan.model;
    let rising = plan.overrides.iter().filter(|stage| lead.latched_since(**stage).is_none());
    let rising = rising.filter_map(|&stage| {
        let enter = model.stages[usize::from(stage)].enter.as_ref()?;
        Some(Watch::Rises { enter, cooled_ms: lead.cooled_until(stage) })
    });
    let audiences = model.audiences.iter().enumerate().map(|(ix, audience)| Watch::Flips {
        when: &audience.when,
        held: lead.audiences.binary_search(&(ix as u16)).is_ok(),
    });
    let alerts = model.alerts.iter().enumerate().filter_map(|(ix, alert)| {
        let when = alert.when.as_ref()?;
        Some(Watch::Flips { when, held: lead.alert_mark(ix as u16).is_on })
    });
    let is_hidden = |stage: u16| lead.latches.iter().any(|latch| latch.stage > stage);
    let hiding = plan.caps.iter().filter(move |(_, stage)| is_hidden(*stage)).map(|(verdict, _)| {
        let held = lead.verdicts.contains(verdict);
        Watch::Hides { verdict: &model.verdicts[usize::from(*verdict)], held }
    });
    let due = sales::due_ms(plan, lead).into_iter().flatten().map(Watch::Due);
    clearing(plan, lead)
        .map(Watch::Clears)
        .chain(rising)
        .chain(audiences)
        .chain(hiding)
        .chain(alerts)
        .chain(due)
}

fn clearing<'p>(plan: &'p Plan, lead: &'p Lead) -> impl Iterator<Item = Latched<'p>> {
    lead.latches.iter().filter_map(|latch| {
        let definition = &plan.model.stages[usize::from(latch.stage)];
        let dwells_ms = latch.since_ms.saturating_add(definition.min_dwell_ms);
        let free_ms = lead.held_until(latch.stage).map_or(dwells_ms, |held_ms| held_ms.max(dwells_ms));
        definition.exit.is_some().then_some(Latched { stage: latch.stage, definition, free_ms })
    })
}

impl Watch<'_> {
    /// When it changes by itself, looked for from the view's instant up to `until_ms`.
    fn change(&self, view: &View<'_>, until_ms: i64, room: &mut Reading) -> Found {
        let View { plan, lead, at_ms, .. } = *view;
        let mut at_ms = at_ms;
        let mut outlook = self.outlook(view);
        for _ in 0..STEPS {
            if outlook.truth {
                return Found::At(at_ms);
            }
            if outlook.next_ms >= until_ms {
                return Found::NotBefore(until_ms);
            }
            at_ms = outlook.next_ms;
            room.read(plan, lead, at_ms);
            outlook = self.outlook(&View { plan, lead, at_ms, now: room });
        }
        Found::NotBefore(at_ms)
    }

    /// Whether it cannot change before `end_ms` whatever the scores do.
    fn is_still_until(&self, end_ms: i64) -> bool {
        match self {
            Watch::Clears(latched) => latched.free_ms >= end_ms,
            Watch::Rises { cooled_ms, .. } => cooled_ms.is_some_and(|cooled_ms| cooled_ms >= end_ms),
            Watch::Due(due_ms) => *due_ms >= end_ms,
            Watch::Flips { .. } | Watch::Hides { .. } => false,
        }
    }

    /// Whether it cannot change by itself before `end_ms`: a condition that is missing stays missing.
    fn stays_until(&self, view: &View<'_>, end_ms: i64, then: &Reading) -> bool {
        let reach = Reach::Until(end_ms, then);
        let stays_missing = |condition: Outlook| !condition.truth && condition.next_ms >= end_ms;
        match self {
            Watch::Clears(latched) => latched.conditions(view, reach).any(stays_missing),
            Watch::Rises { enter, .. } => stays_missing(view.outlook(enter, reach)),
            Watch::Flips { when, held } => stays_missing(flip(view.outlook(when, reach), *held)),
            Watch::Hides { verdict, held } => stays_missing(flip(view.verdict(verdict, reach), *held)),
            Watch::Due(due_ms) => *due_ms >= end_ms,
        }
    }

    /// Whether it changes now, and when it may next.
    fn outlook(&self, view: &View<'_>) -> Outlook {
        match self {
            Watch::Clears(latched) => Outlook::all(latched.conditions(view, Reach::Exact)),
            Watch::Rises { enter, cooled_ms } => {
                let cooled = cooled_ms.map(|cooled_ms| Outlook::from(cooled_ms, view.at_ms));
                Outlook::all(cooled.into_iter().chain([view.outlook(enter, Reach::Exact)]))
            }
            Watch::Flips { when, held } => flip(view.outlook(when, Reach::Exact), *held),
            Watch::Hides { verdict, held } => flip(view.verdict(verdict, Reach::Exact), *held),
            Watch::Due(due_ms) => Outlook::from(*due_ms, view.at_ms),
        }
    }
}

/// Whether a condition is other than it was.
fn flip(condition: Outlook, held: bool) -> Outlook {
    if held { condition.not() } else { condition }
}

impl Latched<'_> {
    /// What has to come together for the latch to be cleared.
    fn conditions<'v>(&self, view: &'v View<'_>, reach: Reach<'v>) -> impl Iterator<Item = Outlook> {
        let definition = self.definition;
        let free = [Outlook::from(self.free_ms, view.at_ms)];
        let exit = definition.exit.iter().map(move |exit| view.outlook(exit, reach));
        let enter = definition.enter.iter().map(move |enter| view.outlook(enter, reach).not());
        free.into_iter().chain(exit).chain(enter)
    }
}
