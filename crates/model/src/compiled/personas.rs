//! The model's own tests, as they are written; whoever runs them judges.

use super::{AlertIx, AudienceIx, ScoreIx, StageIx};
use crate::expression::Constant;

/// One of the model's own tests (S22).
#[derive(Debug)]
pub struct Persona {
    /// Its name.
    pub name: String,
    /// The line of the file, from 1.
    pub line: usize,
    /// The instant of `0h`, ms UTC.
    pub start_ms: i64,
    /// Traits set at the start, without an activity.
    pub traits: Vec<(String, PersonaValue)>,
    /// What happens, in the file's order, which is by `at`.
    pub events: Vec<PersonaEvent>,
    /// What has to come of it.
    pub expect: Vec<Expectation>,
}

/// A value in a test.
#[derive(Debug, Clone)]
pub enum PersonaValue {
    /// One value.
    One(Constant),
    /// A flat list.
    Many(Vec<Constant>),
    /// Nested one level: read as `name.key`.
    Map(Vec<(String, Constant)>),
}

/// One event of a test.
#[derive(Debug)]
pub struct PersonaEvent {
    /// ms from the persona's start.
    pub at_ms: i64,
    /// Its name.
    pub event: String,
    /// Its id; a test gives each event without one an id of its own.
    pub event_id: Option<String>,
    /// The page's path.
    pub path: Option<String>,
    /// The page's URL.
    pub url: Option<String>,
    /// Campaign parameters: source, medium, campaign, term, content.
    pub utm: [Option<String>; 5],
    /// Properties.
    pub properties: Vec<(String, PersonaValue)>,
    /// Traits that it carries.
    pub traits: Vec<(String, PersonaValue)>,
    /// `web`, `app`, `server`; by default `server` for feedback and `web` for everything else.
    pub origin: Option<String>,
    /// The tracker's session id.
    pub session: Option<String>,
    /// Whether it has an id beyond a cookie. Default true.
    pub known: bool,
}

/// What a test expects at one instant.
#[derive(Debug, Default)]
pub struct Expectation {
    /// The line of the file, from 1.
    pub line: usize,
    /// ms from the persona's start; `None`: at its last event.
    pub at_ms: Option<i64>,
    /// The stage.
    pub stage: Option<StageIx>,
    /// The stage's owner.
    pub owner: Option<String>,
    /// Audiences the lead is in.
    pub within: Vec<AudienceIx>,
    /// Audiences the lead is not in.
    pub outside: Vec<AudienceIx>,
    /// Scores, thousandths.
    pub scores: Vec<(ScoreIx, i64)>,
    /// Whether a hand-over was made up to then.
    pub handover: Option<ExpectedHandover>,
    /// The response clock's state: `open`, `overdue`, `escalated_1`, …, `answered`, `closed`, or `none`.
    pub response: Option<String>,
    /// Alerts that fired up to then.
    pub alerts: Vec<AlertIx>,
    /// The stage held at `at_ms` is left by a time-caused transition in (at, this], ms from the start.
    pub demoted_by_ms: Option<i64>,
    /// Stages that were never entered up to then.
    pub never: Vec<StageIx>,
}

/// What a test expects of hand-overs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpectedHandover {
    /// None was made.
    No,
    /// One was made.
    Yes,
    /// One was made, without every trait to enrich.
    Incomplete,
}
