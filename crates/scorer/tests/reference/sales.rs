//! Hand-over and response clock (S21).

use jiff::Timestamp;
use ripen_model::Model;
use ripen_model::compiled::{Hours, Response, TraitIx};
use ripen_records::ResponseState;

use super::history::{Accepted, Told};
use super::reading::Reading;

const MINUTE_MS: i64 = 60_000;

/// Where a lead stands with sales.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Sales {
    /// The instant of the entry to the hand-over stages, and whether the lead was handed over since.
    stay: Option<(i64, bool)>,
    clock: Option<Clock>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Clock {
    stage: usize,
    start_ms: i64,
    /// The instants of its steps: overdue, then each escalation.
    due_ms: Vec<i64>,
    taken: usize,
    is_answered: bool,
}

/// A step of the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    HandedOver { stage: String, missing: Vec<String>, traits: Vec<(String, String)>, history: Vec<Told> },
    Response { stage: String, state: ResponseState, escalation: usize, due_ms: Option<i64> },
}

impl Sales {
    pub(crate) fn is_handed_over(&self) -> bool {
        self.stay.is_some_and(|(_, is_handed_over)| is_handed_over)
    }

    pub(crate) fn response(&self) -> Option<String> {
        let clock = self.clock.as_ref()?;
        Some(match (clock.is_answered, clock.taken) {
            (true, _) => "answered".to_owned(),
            (false, 0) => "open".to_owned(),
            (false, 1) => "overdue".to_owned(),
            (false, taken) => format!("escalated_{}", taken - 1),
        })
    }

    /// Instants at which it may change by itself.
    pub(crate) fn ends(&self, model: &Model) -> Vec<i64> {
        let mut ends: Vec<i64> = self.clock.iter().flat_map(|clock| clock.due_ms.clone()).collect();
        let waits = self.stay.zip(model.handover.as_ref());
        ends.extend(waits.map(|((since_ms, _), handover)| since_ms + handover.max_wait_ms));
        ends
    }

    /// S10: handed over if either was; the clock that began first goes on.
    pub(crate) fn unite(&mut self, other: &Sales) {
        let stays: Vec<_> = [self.stay, other.stay].into_iter().flatten().collect();
        let since_ms = stays.iter().map(|(since_ms, _)| *since_ms).min();
        self.stay =
            since_ms.map(|since_ms| (since_ms, stays.iter().any(|(_, is_handed_over)| *is_handed_over)));
        let clocks = self.clock.take().into_iter().chain(other.clock.clone());
        self.clock = clocks.min_by_key(|clock| clock.start_ms);
    }

    /// Ends the clock; it is told if it still ran.
    pub(crate) fn close(&mut self, model: &Model) -> Option<Step> {
        let clock = self.clock.take().filter(|clock| !clock.is_answered)?;
        Some(clock.step(model, ResponseState::Closed, 0, None))
    }
}

impl Clock {
    fn step(&self, model: &Model, state: ResponseState, escalation: usize, due_ms: Option<i64>) -> Step {
        Step::Response { stage: model.stages[self.stage].id.clone(), state, escalation, due_ms }
    }
}

/// Follows a lead into `stage`; `activity` is what happened.
pub(crate) fn follow(
    reading: &Reading<'_>,
    sales: &mut Sales,
    stage: usize,
    activity: Option<&Accepted>,
) -> Vec<Step> {
    let model = &*reading.evidence.model;
    let at_ms = reading.at_ms;
    let Some(handover) = &model.handover else { return Vec::new() };
    if !handover.stages[stage] {
        sales.stay = None;
        return sales.close(model).into_iter().collect();
    }
    let mut steps = Vec::new();
    if let Some(clock) = sales.clock.as_mut().filter(|clock| !clock.is_answered) {
        let response = model.stages[clock.stage].response.as_ref().expect("it has a clock");
        if activity.is_some_and(|by| by.t_ms >= clock.start_ms && response.answered_by.contains(&by.name)) {
            clock.is_answered = true;
            steps.push(clock.step(model, ResponseState::Answered, 0, None));
        }
        while !clock.is_answered && clock.due_ms.get(clock.taken).is_some_and(|due_ms| *due_ms <= at_ms) {
            let state = if clock.taken == 0 { ResponseState::Overdue } else { ResponseState::Escalated };
            let next_ms = clock.due_ms.get(clock.taken + 1).copied();
            steps.push(clock.step(model, state, clock.taken, next_ms));
            clock.taken += 1;
        }
    }
    let (since_ms, was_handed_over) = sales.stay.unwrap_or((at_ms, false));
    sales.stay = Some((since_ms, was_handed_over));
    if !was_handed_over {
        let absent = |ix: &&TraitIx| reading.stored_trait(ix.ix()).is_none();
        let known = reading.evidence.history.known_since_ms.is_some();
        if !known || handover.require.iter().any(|ix| absent(&ix)) {
            return steps;
        }
        let name = |ix: &TraitIx| model.traits[ix.ix()].name.clone();
        let missing: Vec<String> = handover.enrich.iter().filter(absent).map(name).collect();
        if !missing.is_empty() && at_ms < since_ms + handover.max_wait_ms {
            return steps;
        }
        let asked = handover.require.iter().chain(&handover.enrich);
        let traits = asked.filter_map(|ix| Some((name(ix), reading.stored_trait(ix.ix())?.words())));
        let stage = model.stages[stage].id.clone();
        let history = reading.evidence.history.told(model);
        steps.push(Step::HandedOver { stage, missing, traits: traits.collect(), history });
        sales.stay = Some((since_ms, true));
    }
    if let Some(response) = &model.stages[stage].response
        && sales.clock.as_ref().is_none_or(|clock| clock.stage != stage)
    {
        steps.extend(sales.close(model));
        let due_ms = dues(model, response, at_ms);
        let clock = Clock { stage, start_ms: at_ms, due_ms, taken: 0, is_answered: false };
        steps.push(clock.step(model, ResponseState::Open, 0, clock.due_ms.first().copied()));
        sales.clock = Some(clock);
    }
    steps
}

/// The instants at which a clock that starts now is overdue and escalates.
fn dues(model: &Model, response: &Response, start_ms: i64) -> Vec<i64> {
    let after = [response.within_ms].into_iter().chain(response.escalate_ms.iter().copied());
    let due = |after_ms: i64| match &response.hours {
        None => start_ms + after_ms,
        Some(hours) => open_for(model, hours, start_ms, after_ms),
    };
    after.map(due).collect()
}

/// When the business will have been open for so long, counted minute by minute.
fn open_for(model: &Model, hours: &Hours, start_ms: i64, after_ms: i64) -> i64 {
    let (mut at_ms, mut left_ms) = (start_ms, after_ms);
    loop {
        let zone = model.time.zone.clone();
        let local = Timestamp::from_millisecond(at_ms).expect("within the calendar").to_zoned(zone);
        let minute = local.hour() as u16 * 60 + local.minute() as u16;
        let day = &hours.week[local.weekday().to_monday_zero_offset() as usize];
        let end_ms = at_ms.div_euclid(MINUTE_MS) * MINUTE_MS + MINUTE_MS;
        if day.iter().any(|(from, to)| (*from..*to).contains(&minute)) {
            let passed_ms = left_ms.min(end_ms - at_ms);
            left_ms -= passed_ms;
            if left_ms == 0 {
                return at_ms + passed_ms;
            }
        }
        at_ms = end_ms;
    }
}
