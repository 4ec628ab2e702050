//! What follows from a lead's stage and scores for those outside: audiences, alerts, the route, sales.

use super::{Amount, ScoreIx, TraitIx};
use crate::expression::LeadPredicate;

/// A predicate whose entering and leaving are emitted.
#[derive(Debug)]
pub struct Audience {
    /// Its name.
    pub name: String,
    /// Who is in it; may read the stage.
    pub when: LeadPredicate,
}

/// Attributes that travel with transitions and hand-overs.
#[derive(Debug, Default)]
pub struct Route {
    /// Name and cases in the file's order: the first that holds gives the value.
    pub attributes: Vec<(String, Vec<(LeadPredicate, String)>)>,
    /// Scores of which the highest is the lead's topic; ties go to the first. Empty: no topic.
    pub topic: Vec<ScoreIx>,
}

/// Expected value: the probability of the stage times an amount.
#[derive(Debug)]
pub struct ExpectedValue {
    /// By stage, millionths, 0 to 1,000,000; 0 for stages not named.
    pub probability_micros: Vec<i64>,
    /// A constant or a trait.
    pub amount: Amount,
}

/// A decision of its own without a change of stage.
#[derive(Debug)]
pub struct Alert {
    /// Its id.
    pub id: String,
    /// Fires when this begins to hold; `None`: at an event, see [`RuleOrigin::Alert`](super::RuleOrigin::Alert). May read the stage.
    pub when: Option<LeadPredicate>,
    /// Whom it is for, in the file's words.
    pub to: Vec<String>,
    /// Silent for this long after it fired, ms.
    pub cool_down_ms: i64,
}

/// When and how a lead goes to sales (S21).
#[derive(Debug)]
pub struct Handover {
    /// By stage: whether it hands over.
    pub stages: Vec<bool>,
    /// Traits without which nothing is handed over.
    pub require: Vec<TraitIx>,
    /// Traits that are waited for.
    pub enrich: Vec<TraitIx>,
    /// How long, ms from the entry into the hand-over stages; 0: not at all.
    pub max_wait_ms: i64,
    /// Entries of history that travel with the hand-over, 0 to 400.
    pub history: u16,
}

/// How fast sales has to answer in a stage.
#[derive(Debug, Clone)]
pub struct Response {
    /// Overdue after this, ms from the clock's start.
    pub within_ms: i64,
    /// Events that answer.
    pub answered_by: Vec<String>,
    /// Escalations, ms from the clock's start, ascending, each above `within_ms`.
    pub escalate_ms: Vec<i64>,
    /// The clock counts only in these; `None`: always.
    pub hours: Option<Hours>,
}

/// Business hours, local in the model's zone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hours {
    /// From Monday: spans in minutes of the day, from inclusive to exclusive (1440 is midnight), ascending, apart.
    pub week: [Vec<(u16, u16)>; 7],
}
