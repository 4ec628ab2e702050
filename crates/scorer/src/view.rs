//! A lead as readers see it: for queries, traces and tests. Reading changes nothing.

use std::sync::Arc;

use ripen_model::Model;
use ripen_records::{Line, Score};

use crate::error::StateError;
use crate::explain;
use crate::layout;
use crate::lead::Lead;
use crate::outlook::View;
use crate::plan::Plan;
use crate::scores::Reading;
use crate::stages;

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
    /// # Errors
    /// Bytes that are no lead of this model.
    pub fn read(&self, bytes: &[u8], at_ms: i64) -> Result<LeadView, StateError> {
        let mut lead = Lead::default();
        layout::decode(&self.plan, bytes, &mut lead)?;
        Ok(view(&self.plan, &lead, at_ms))
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
        expected_exit_at_ms: stages::expected_exit_ms(plan, lead, at_ms),
        deadline_ms: Some(lead.deadline_ms).filter(|deadline_ms| *deadline_ms != i64::MAX),
    }
}
