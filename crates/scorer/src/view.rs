//! A lead as readers see it: for queries, traces and tests. Reading changes nothing.

use std::sync::Arc;

use ripen_model::Model;
use ripen_records::{Attribute, Line, Score, VerdictInForce};

use crate::deadlines;
use crate::error::StateError;
use crate::explain;
use crate::layout;
use crate::lead::{Clock, Lead, Standing};
use crate::outlook::View;
use crate::plan::Plan;
use crate::scores::Reading;

/// Reads committed leads under one model.
#[derive(Debug, Clone)]
pub struct LeadReader {
    plan: Arc<Plan>,
}

/// A lead at an instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeadView {
    /// The lead id, `kind:value`.
    pub lead: String,
    /// Arrival of the life's first activity, ms UTC.
    pub born_ms: i64,
    /// The number of decisions in this life.
    pub seq: u64,
    /// The largest instant at which an activity or a deadline changed the lead, ms UTC.
    pub last_ms: i64,
    /// The stage.
    pub stage: String,
    /// Its owner.
    pub owner: String,
    /// Every score, in the file's order.
    pub scores: Vec<Score>,
    /// Lines that add up to the scores.
    pub lines: Vec<Line>,
    /// Facts in force.
    pub facts: Vec<String>,
    /// Verdicts in force.
    pub verdicts: Vec<VerdictInForce>,
    /// Audiences that the lead is in, in the file's order.
    pub audiences: Vec<String>,
    /// Whether the lead has been handed over in this stay in the hand-over stages.
    pub is_handed_over: bool,
    /// The response clock, if one was started in this stay: `open`, `overdue`, `escalated_1`, …, `answered`.
    pub response: Option<String>,
    /// What the CRM's answers say that the lead has brought in, millionths.
    pub value_micros: i64,
    /// Probability of the stage times the amount, millionths; `None` without an amount.
    pub expected_value_micros: Option<i64>,
    /// The model's route.
    pub attributes: Vec<Attribute>,
    /// The model's hint for the stage.
    pub next_step: Option<String>,
    /// When the lead leaves its stage if nothing more happens, ms UTC.
    pub expected_exit_at_ms: Option<i64>,
    /// The armed deadline, ms UTC; `None` for never.
    pub deadline_ms: Option<i64>,
}

impl LeadReader {
    /// A reader for leads that were written under this model.
    pub fn new(model: Arc<Model>) -> LeadReader {
        LeadReader { plan: Arc::new(Plan::new(model)) }
    }

    /// Reads a lead's committed bytes as of `at_ms`, or of its own last instant if that is later.
    ///
    /// `None` for an id that was merged into another lead, or erased.
    ///
    /// # Errors
    /// Bytes that are no lead of this model.
    pub fn read(&self, bytes: &[u8], at_ms: i64) -> Result<Option<LeadView>, StateError> {
        let mut lead = Lead::default();
        layout::decode(&self.plan, bytes, &mut lead)?;
        Ok((lead.standing == Standing::Alive).then(|| view(&self.plan, &lead, at_ms)))
    }
}

pub(crate) fn view(plan: &Plan, lead: &Lead, at_ms: i64) -> LeadView {
    let at_ms = at_ms.max(lead.last_ms);
    let mut reading = Reading::default();
    reading.read(plan, lead, at_ms);
    let view = View { plan, lead, at_ms, now: &reading };
    let stage = &plan.model.stages[usize::from(lead.stage)];
    LeadView {
        lead: lead.id.to_string(),
        born_ms: lead.born_ms,
        seq: u64::from(lead.seq),
        last_ms: lead.last_ms,
        stage: stage.id.clone(),
        owner: stage.owner.clone(),
        scores: explain::scores_of(plan, &view.now.milli),
        lines: explain::lines(&view),
        facts: explain::facts_in_force(&view),
        verdicts: explain::verdicts_in_force(&view),
        audiences: lead
            .audiences
            .iter()
            .map(|ix| plan.model.audiences[usize::from(*ix)].name.clone())
            .collect(),
        is_handed_over: lead.stay.is_some_and(|stay| stay.is_handed_over),
        response: lead.clock.map(response),
        value_micros: lead.value_micros,
        expected_value_micros: explain::expected_value_micros(&view),
        attributes: explain::attributes(&view),
        next_step: stage.next_step.clone(),
        expected_exit_at_ms: deadlines::expected_exit_ms(&view),
        deadline_ms: Some(lead.deadline_ms).filter(|deadline_ms| *deadline_ms != i64::MAX),
    }
}

fn response(clock: Clock) -> String {
    match (clock.is_answered, clock.steps) {
        (true, _) => "answered".to_owned(),
        (false, 0) => "open".to_owned(),
        (false, 1) => "overdue".to_owned(),
        (false, steps) => format!("escalated_{}", steps - 1),
    }
}
