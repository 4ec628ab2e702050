//! What sales sees of a lead: the hand-over and the response clock (S21).

use ripen_model::compiled::{Handover, Response, TraitIx};
use ripen_records::ResponseState;

use crate::calendar;
use crate::lead::{Clock, Lead, Stay};
use crate::plan::Plan;

/// A step of a lead's way through sales.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SalesStep {
    HandedOver {
        stage: u16,
        /// Traits to enrich that are absent though they were waited for.
        missing: Vec<TraitIx>,
    },
    Response {
        stage: u16,
        state: ResponseState,
        /// The number of the escalation, from 1; 0 in other states.
        escalation: u16,
        /// When the next step is due.
        due_ms: Option<i64>,
    },
}

/// Takes the lead as far as it has come at `at_ms`. `activity` is the name and event time of what happened.
pub(crate) fn step(
    plan: &Plan,
    lead: &mut Lead,
    at_ms: i64,
    activity: Option<(&str, i64)>,
    out: &mut impl FnMut(SalesStep),
) {
    let Some(handover) = &plan.model.handover else { return };
    if !handover.stages[usize::from(lead.stage)] {
        end(lead).into_iter().for_each(out);
        return;
    }
    if let Some((name, t_ms)) = activity {
        answer(plan, lead, name, t_ms, out);
    }
    run_clock(plan, lead, at_ms, out);
    let stay = lead.stay.get_or_insert(Stay { since_ms: at_ms, is_handed_over: false });
    if !stay.is_handed_over {
        let since_ms = stay.since_ms;
        let Some(missing) = ready(handover, lead, since_ms, at_ms) else { return };
        lead.stay = Some(Stay { since_ms, is_handed_over: true });
        out(SalesStep::HandedOver { stage: lead.stage, missing });
    }
    start_clock(plan, lead, at_ms, out);
}

/// Ends the stay: a clock that still runs is closed.
pub(crate) fn end(lead: &mut Lead) -> Option<SalesStep> {
    lead.stay = None;
    close(lead)
}

/// When a timer of the lead is due.
pub(crate) fn due_ms(plan: &Plan, lead: &Lead) -> [Option<i64>; 2] {
    [wait_ends_ms(plan, lead), lead.clock.as_ref().and_then(|clock| clock_due_ms(plan, clock))]
}

/// When waiting for traits to enrich ends, where nothing else is waited for.
fn wait_ends_ms(plan: &Plan, lead: &Lead) -> Option<i64> {
    let handover = plan.model.handover.as_ref()?;
    let stay = lead.stay.filter(|stay| !stay.is_handed_over)?;
    let end_ms = stay.since_ms.saturating_add(handover.max_wait_ms);
    ready(handover, lead, stay.since_ms, end_ms).map(|_| end_ms)
}

/// What is missing when the lead is handed over at `at_ms`; `None` if it is not.
fn ready(handover: &Handover, lead: &Lead, since_ms: i64, at_ms: i64) -> Option<Vec<TraitIx>> {
    let is_absent = |ix: &&TraitIx| lead.stored_trait(ix.0).is_none();
    if lead.known_since_ms.is_none() || handover.require.iter().any(|ix| is_absent(&ix)) {
        return None;
    }
    let missing: Vec<TraitIx> = handover.enrich.iter().filter(is_absent).copied().collect();
    let has_waited = at_ms >= since_ms.saturating_add(handover.max_wait_ms);
    (missing.is_empty() || has_waited).then_some(missing)
}

fn response(plan: &Plan, stage: u16) -> Option<&Response> {
    plan.model.stages.get(usize::from(stage))?.response.as_ref()
}

/// The instant of the step after `steps`: overdue, then each escalation.
fn step_due_ms(plan: &Plan, response: &Response, start_ms: i64, steps: u8) -> Option<i64> {
    let after_ms = match steps {
        0 => response.within_ms,
        steps => *response.escalate_ms.get(usize::from(steps) - 1)?,
    };
    Some(match &response.hours {
        None => start_ms.saturating_add(after_ms),
        Some(hours) => calendar::after_hours_ms(&plan.model.time.zone, hours, start_ms, after_ms),
    })
}

fn clock_due_ms(plan: &Plan, clock: &Clock) -> Option<i64> {
    if clock.is_answered {
        return None;
    }
    step_due_ms(plan, response(plan, clock.stage)?, clock.start_ms, clock.steps)
}

/// An activity with `t` at or after the clock's start answers it, however late.
fn answer(plan: &Plan, lead: &mut Lead, name: &str, t_ms: i64, out: &mut impl FnMut(SalesStep)) {
    let Some(clock) = lead.clock.as_mut().filter(|clock| !clock.is_answered && t_ms >= clock.start_ms) else {
        return;
    };
    if response(plan, clock.stage).is_some_and(|response| response.answered_by.iter().any(|by| by == name)) {
        clock.is_answered = true;
        out(SalesStep::Response {
            stage: clock.stage,
            state: ResponseState::Answered,
            escalation: 0,
            due_ms: None,
        });
    }
}

/// Takes the steps that are due.
fn run_clock(plan: &Plan, lead: &mut Lead, at_ms: i64, out: &mut impl FnMut(SalesStep)) {
    while let Some(mut clock) = lead.clock
        && clock_due_ms(plan, &clock).is_some_and(|due_ms| due_ms <= at_ms)
    {
        clock.steps += 1;
        let escalation = u16::from(clock.steps) - 1;
        let state = if escalation == 0 { ResponseState::Overdue } else { ResponseState::Escalated };
        lead.clock = Some(clock);
        out(SalesStep::Response {
            stage: clock.stage,
            state,
            escalation,
            due_ms: clock_due_ms(plan, &clock),
        });
    }
}

/// Starts the clock of the lead's stage, if it has one that does not run yet; another stage's is closed.
fn start_clock(plan: &Plan, lead: &mut Lead, at_ms: i64, out: &mut impl FnMut(SalesStep)) {
    let stage = lead.stage;
    if lead.clock.is_some_and(|clock| clock.stage == stage) || response(plan, stage).is_none() {
        return;
    }
    close(lead).into_iter().for_each(&mut *out);
    let clock = Clock { stage, start_ms: at_ms, steps: 0, is_answered: false };
    lead.clock = Some(clock);
    let due_ms = clock_due_ms(plan, &clock);
    out(SalesStep::Response { stage, state: ResponseState::Open, escalation: 0, due_ms });
}

fn close(lead: &mut Lead) -> Option<SalesStep> {
    let clock = lead.clock.take().filter(|clock| !clock.is_answered)?;
    Some(SalesStep::Response {
        stage: clock.stage,
        state: ResponseState::Closed,
        escalation: 0,
        due_ms: None,
    })
}
