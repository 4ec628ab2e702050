//! The record of the decisions topic: one change of a lead, with everything that explains it.

/// One change of one lead. Keyed by the lead id in `ripen.decisions.v1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// UUIDv5 of (model id, lead id, `born_ms`, `seq`), hyphenated lower case.
    pub id: String,
    /// The lead id, `kind:value`.
    pub lead: String,
    /// Arrival of the life's first activity, ms UTC.
    pub born_ms: i64,
    /// 1, 2, 3 … within a life, without gaps.
    pub seq: u64,
    /// The exact instant of the change, ms UTC.
    pub effective_at_ms: i64,
    /// The partition's clock when it was decided, ms UTC.
    pub decided_at_ms: i64,
    /// Comes from a backfill of history.
    pub historical: bool,
    /// Why the lead was looked at.
    pub cause: Cause,
    /// What changed.
    pub change: Change,
    /// The model that decided: its id, version and hash.
    pub model_id: String,
    /// The model's version.
    pub model_version: i64,
    /// 64 lower-case hex digits.
    pub model_hash: String,
    /// The lead's stage after the change.
    pub stage: String,
    /// The owner of that stage.
    pub owner: String,
    /// The model's hint for whoever works with the leads of that stage.
    pub next_step: Option<String>,
    /// Every score of the model, in the file's order.
    pub scores: Vec<Score>,
    /// The instant at which the lead leaves its stage if nothing more happens, ms UTC.
    pub expected_exit_at_ms: Option<i64>,
    /// Probability of the stage times the model's amount, millionths of its unit; absent without an amount.
    pub expected_value_micros: Option<i64>,
    /// What the lead has brought in so far, by the CRM's answers; millionths of the model's unit.
    pub value_micros: i64,
    /// The model's route, in the file's order, each at most once; `topic` is one of them.
    pub attributes: Vec<Attribute>,
    /// Where the lead came from.
    pub touches: Touches,
    /// Topic, partition and offset of the clickstream record that decided; absent for a deadline.
    pub input: Option<DecidingInput>,
    /// The sums behind it.
    pub explanation: Explanation,
}

/// Why a lead was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the words of the language's documentation")]
pub enum Cause {
    Activity,
    Decay,
    FactExpired,
    Verdict,
    VerdictExpired,
    Merge,
    Feedback,
    ModelChange,
    Timer,
    Forgotten,
    Erased,
}

impl Cause {
    /// The word in records, labels and outputs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Cause::Activity => "activity",
            Cause::Decay => "decay",
            Cause::FactExpired => "fact_expired",
            Cause::Verdict => "verdict",
            Cause::VerdictExpired => "verdict_expired",
            Cause::Merge => "merge",
            Cause::Feedback => "feedback",
            Cause::ModelChange => "model_change",
            Cause::Timer => "timer",
            Cause::Forgotten => "forgotten",
            Cause::Erased => "erased",
        }
    }
}

/// What changed; one change a decision. In Avro a record of nullable parts, exactly one of them set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Another stage.
    StageChange(StageChange),
    /// Entered or left an audience.
    AudienceChange(AudienceChange),
    /// Handed over to sales.
    Handover(Handover),
    /// A step of the response clock.
    Response(ResponseStep),
    /// An alert without a stage change.
    Alert(Alert),
    /// Absorbed by the lead of this id; ends the life.
    MergedInto(String),
}

/// A move from one stage to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageChange {
    /// The stage left.
    pub from: String,
    /// The stage entered.
    pub to: String,
    /// The owner of the stage left.
    pub from_owner: String,
    /// The owner of the stage entered.
    pub to_owner: String,
    /// Stages newly latched below `to` in the same evaluation, lowest first.
    pub passed: Vec<String>,
}

/// Entering or leaving an audience.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AudienceChange {
    /// The audience.
    pub audience: String,
    /// Entered, or left.
    pub entered: bool,
}

/// The lead goes to sales.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handover {
    /// The stage that hands over.
    pub stage: String,
    /// `max_wait` ended before every trait to enrich was there.
    pub incomplete: bool,
    /// The traits to enrich that are absent.
    pub missing: Vec<String>,
    /// The required traits and those to enrich that are present, in the model's order.
    pub traits: Vec<HandoverTrait>,
    /// What the lead did last, oldest first; at most as many as the model says.
    pub history: Vec<HistoryEntry>,
}

/// A trait that travels with a hand-over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandoverTrait {
    /// Its name in the model.
    pub name: String,
    /// Its value as text; e-mail and phone are hashes.
    pub value: String,
}

/// One activity of a lead's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryEntry {
    /// Its event time, ms UTC.
    pub t_ms: i64,
    /// Its name, at most 64 bytes.
    pub event: String,
    /// What it was about: a path or key value, at most 64 bytes.
    pub about: Option<String>,
    /// How long the lead stayed, where the tracker said so, ms.
    pub dwell_ms: Option<i64>,
}

/// A step of a response clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseStep {
    /// The stage whose clock it is.
    pub stage: String,
    /// The state entered.
    pub state: ResponseState,
    /// The number of the escalation, from 1; 0 in other states.
    pub step: u16,
    /// The instant of the clock's next step, ms UTC; absent if it has none.
    pub due_at_ms: Option<i64>,
}

/// The state of a response clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the words of the language's documentation")]
pub enum ResponseState {
    Open,
    Overdue,
    Escalated,
    Answered,
    Closed,
}

/// An alert of the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// The alert's id.
    pub alert: String,
    /// Whom it is for, in the model's words.
    pub to: Vec<String>,
}

/// One score of a lead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Score {
    /// The score's name.
    pub name: String,
    /// Thousandths.
    pub milli: i64,
    /// The label of the range it lies in, if the score has labels.
    pub label: Option<String>,
}

/// An attribute of the model's route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// Its name: `priority`, `queue`, `topic`.
    pub name: String,
    /// The value of the first case that held.
    pub value: String,
}

/// The first and the last activity that says where the lead came from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Touches {
    /// The oldest.
    pub first: Option<Touch>,
    /// The newest.
    pub last: Option<Touch>,
}

/// Where a lead came from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Touch {
    /// Event time of the activity, ms UTC.
    pub t_ms: i64,
    /// `utm.source`.
    pub source: Option<String>,
    /// `utm.medium`.
    pub medium: Option<String>,
    /// `utm.campaign`.
    pub campaign: Option<String>,
    /// `utm.term`.
    pub term: Option<String>,
    /// `utm.content`.
    pub content: Option<String>,
    /// The host of the page that led there.
    pub referrer_host: Option<String>,
}

/// Where the activity that decided came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecidingInput {
    /// The source topic, or a file's name.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
}

/// Everything that a decision rests on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Explanation {
    /// Lines that add up to each score exactly.
    pub lines: Vec<Line>,
    /// At most 5, newest first: counted activities of rules that feed the changed predicate.
    pub decisive: Vec<DecisiveActivity>,
    /// Every atom of the predicates that changed, with what was read.
    pub atoms: Vec<Atom>,
    /// Facts in force.
    pub facts: Vec<String>,
    /// Verdicts in force.
    pub verdicts: Vec<VerdictInForce>,
}

/// A verdict that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerdictInForce {
    /// The verdict.
    pub id: String,
    /// Its reason, stated by the model or read from the event.
    pub reason: Option<String>,
    /// The first instant at which it does not hold any more by itself, ms UTC; absent if none is known.
    pub until_ms: Option<i64>,
}

/// One line of a score.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The score it is part of.
    pub score: String,
    /// What kind of line it is.
    pub kind: LineKind,
    /// The rule, group, fit or bonus; the score itself for `range`.
    pub id: String,
    /// Thousandths.
    pub milli: i64,
}

/// The kind of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum LineKind {
    Rule,
    Cap,
    Range,
    Fit,
    Bonus,
    Framework,
}

impl LineKind {
    /// The word in records and outputs.
    pub const fn as_str(self) -> &'static str {
        match self {
            LineKind::Rule => "rule",
            LineKind::Cap => "cap",
            LineKind::Range => "range",
            LineKind::Fit => "fit",
            LineKind::Bonus => "bonus",
            LineKind::Framework => "framework",
        }
    }
}

/// A counted activity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecisiveActivity {
    /// The rule that it counts in.
    pub rule: String,
    /// Its event time, ms UTC.
    pub t_ms: i64,
    /// First 64 bits of BLAKE3 of its event id, 16 hex digits.
    pub event_id_hash: String,
    /// What it was about where the state keeps it: a path or key value, at most 64 bytes.
    pub about: Option<String>,
}

/// One atom of a predicate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Atom {
    /// The atom in the model's words: `score.interest >= 30`.
    pub text: String,
    /// What was read, in words; absent where the value is absent.
    pub value: Option<String>,
    /// Whether it held.
    pub truth: bool,
}
