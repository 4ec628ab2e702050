//! The compiled model: what the scorer and ingest read. Names are resolved to indices, times to ms, points
//! to thousandths; everything is checked, so nothing here can fail when it is used.

mod outward;
mod personas;

pub use outward::{Alert, Audience, ExpectedValue, Handover, Hours, Response, Route};
pub use personas::{Expectation, ExpectedHandover, Persona, PersonaEvent, PersonaValue};

use crate::expression::{EventField, EventPredicate, LeadPredicate};

macro_rules! index {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u16);

        impl $name {
            /// The index as a slice index.
            pub fn ix(self) -> usize {
                usize::from(self.0)
            }
        }
    };
}
index!(/// A place in [`Model::scores`].
    ScoreIx);
index!(/// A place in [`Model::groups`].
    GroupIx);
index!(/// A place in [`Model::rules`].
    RuleIx);
index!(/// A place in [`Model::facts`].
    FactIx);
index!(/// A place in [`Model::traits`].
    TraitIx);
index!(/// A place in [`Model::stages`].
    StageIx);
index!(/// A place in [`Model::properties`].
    PropertyIx);
index!(/// A place in [`Model::record_traits`].
    RecordTraitIx);
index!(/// A place in [`Model::page_parameters`].
    PageParameterIx);
index!(/// A place in [`Model::page_kinds`].
    PageKindIx);
index!(/// A place in [`Model::verdicts`].
    VerdictIx);
index!(/// A place in [`Model::feedback`].
    FeedbackIx);
index!(/// A place in [`Model::alerts`].
    AlertIx);
index!(/// A place in [`Model::audiences`].
    AudienceIx);

/// One scoring model, checked and compiled. Immutable; shared behind an `Arc`.
#[derive(Debug)]
pub struct Model {
    /// `model.id`.
    pub id: String,
    /// `model.version`.
    pub version: i64,
    /// BLAKE3 of the model file (lists included), 64 lower-case hex digits.
    pub hash: String,
    /// Departments that agreed, and those that have to.
    pub agreement: Agreement,
    /// The `time` section.
    pub time: TimeRules,
    /// Page kinds.
    pub pages: crate::pages::PageMatcher,
    /// Names of page kinds, in the file's order.
    pub page_kinds: Vec<String>,
    /// Names of page parameters (`model_id`), each once.
    pub page_parameters: Vec<String>,
    /// Properties that any expression, key or trait reads, each once, without `properties.`; dots for nested.
    pub properties: Vec<String>,
    /// Traits that any expression or trait definition reads from a record, each once, without `traits.`.
    pub record_traits: Vec<String>,
    /// What any expression or key reads of a page beside its path and its referrer.
    pub page_reads: PageReads,
    /// Which of [`Model::properties`] ingest stores hashed.
    pub hashed_properties: Vec<Option<HashedKind>>,
    /// Which of [`Model::record_traits`] ingest stores hashed.
    pub hashed_traits: Vec<Option<HashedKind>>,
    /// The scores, in the file's order.
    pub scores: Vec<Score>,
    /// The groups: those of the file in its order, then one nameless group for each score's ungrouped rules.
    pub groups: Vec<Group>,
    /// The rules, in the file's order, then what other sections make of events: see [`RuleOrigin`].
    pub rules: Vec<Rule>,
    /// Which rules look at which event name.
    pub events: EventIndex,
    /// The facts, in the order of their first mention, then those that remember event-bound verdicts
    /// (`verdict.paid_fake`).
    pub facts: Vec<Fact>,
    /// Stored traits, in the order of their first mention: those that lead-scope expressions, fits, the value or the
    /// hand-over read, and those without a source: answers by criterion (`answers.budget`) and reasons of verdicts
    /// (`reason.rival`).
    pub traits: Vec<Trait>,
    /// Fits, in the file's order.
    pub fits: Vec<Fit>,
    /// Bonuses, in the file's order.
    pub bonuses: Vec<Bonus>,
    /// The framework in use, if any.
    pub framework: Option<Framework>,
    /// Where answers are read from a record, if any framework says so.
    pub answers: Option<Answers>,
    /// Portraits of a sales-ready lead, in the file's order.
    pub definitions: Vec<Definition>,
    /// Disqualifications, in the file's order.
    pub verdicts: Vec<Verdict>,
    /// What the CRM's answers do, in the file's order.
    pub feedback: Vec<Feedback>,
    /// The stages, lowest first; there is at least one.
    pub stages: Vec<Stage>,
    /// Audiences, in the file's order.
    pub audiences: Vec<Audience>,
    /// Attributes that travel with transitions and hand-overs.
    pub route: Route,
    /// What a lead is worth, if the file says so.
    pub value: Option<ExpectedValue>,
    /// Alerts, in the file's order.
    pub alerts: Vec<Alert>,
    /// When and how a lead goes to sales.
    pub handover: Option<Handover>,
    /// The model's own tests.
    pub personas: Vec<Persona>,
}

impl Model {
    /// The rules of the file's `rules` section.
    pub fn file_rules(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter(|rule| rule.origin == RuleOrigin::Rule)
    }
}

/// Who agreed on the model.
#[derive(Debug, Clone, Default)]
pub struct Agreement {
    /// `agreed_by`.
    pub agreed_by: Vec<String>,
    /// `requires_agreement_of`.
    pub required: Vec<String>,
    /// `agreed_on`, an ISO date.
    pub agreed_on: Option<String>,
}

impl Agreement {
    /// Those who have to agree and have not.
    pub fn missing(&self) -> Vec<&str> {
        self.required.iter().filter(|who| !self.agreed_by.contains(who)).map(String::as_str).collect()
    }
}

/// The `time` section, in ms.
#[derive(Debug, Clone)]
pub struct TimeRules {
    /// The zone of calendar buckets, from the bundled tz database.
    pub zone: jiff::tz::TimeZone,
    /// Event time further ahead of its arrival is flagged `clamped`. Default 5 min.
    pub max_future_ms: i64,
    /// An activity older than this at its arrival is filtered. Default 30 d.
    pub late_accept_ms: i64,
    /// A lead without an activity is removed after this. Default 400 d.
    pub forget_ms: i64,
    /// The same for one without a known id in the first stage. Default 90 d.
    pub forget_anonymous_ms: i64,
    /// How many event ids a lead remembers, 1 to 4096. Default 128.
    pub remember: u16,
}

/// One score.
#[derive(Debug, Clone)]
pub struct Score {
    /// Its name.
    pub name: String,
    /// Its half-life; `None` is `never`. Milliseconds, ≥ 1000.
    pub half_life_ms: Option<i64>,
    /// Lower end of the range, thousandths.
    pub min_milli: i64,
    /// Upper end of the range, thousandths.
    pub max_milli: i64,
    /// Labels with the lower bound (thousandths) of each, ascending.
    pub labels: Vec<(i64, String)>,
}

/// A sum of rules' points under one cap and one rounding.
#[derive(Debug, Clone)]
pub struct Group {
    /// `None` for a score's ungrouped rules.
    pub name: Option<String>,
    /// The score that it is part of.
    pub score: ScoreIx,
    /// Lower cap, thousandths.
    pub min_milli: Option<i64>,
    /// Upper cap, thousandths.
    pub max_milli: Option<i64>,
    /// Its rules with their points (thousandths, |points| ≤ 10,000,000), in rule order.
    pub terms: Vec<(RuleIx, i64)>,
}

/// One rule.
#[derive(Debug)]
pub struct Rule {
    /// Its id.
    pub id: String,
    /// Condition on the activity; `None` always holds.
    pub condition: Option<EventPredicate>,
    /// Scores it feeds, each once, with points in thousandths.
    pub points: Vec<(ScoreIx, i64)>,
    /// What counts as the same match again.
    pub recurrence: Recurrence,
    /// The largest number of keys held; for [`Recurrence::Every`] the entries held for windows.
    /// `None`: calendar-only keys, sealed by age, or no key at all.
    pub max: Option<u16>,
    /// Facts set, each with its place in [`Fact::ttls_ms`].
    pub set: Vec<(FactIx, u8)>,
    /// Facts taken back.
    pub unset: Vec<FactIx>,
    /// A property that `sum` reads with each held key.
    pub summed: Option<PropertyIx>,
    /// Whether a window function reads its held keys.
    pub windowed: bool,
    /// Whether activities without a known id count.
    pub anonymous: bool,
    /// Which section it stands for.
    pub origin: RuleOrigin,
}

/// What a match of a rule does beside its points and facts.
///
/// Every section that reacts to an event is matched as a rule without points and keys, whose id begins with the
/// section's name (`feedback.crm_won`, `disqualify.rival`, `alerts.pricing`, `frameworks.answers`); what `lift` takes
/// back is among the facts it unsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleOrigin {
    /// A rule of the file: nothing more.
    Rule,
    /// An event-bound disqualification: sets its fact, keeps its reason.
    Verdict(VerdictIx),
    /// An answer of the CRM.
    Feedback(FeedbackIx),
    /// An event-bound alert.
    Alert(AlertIx),
    /// Answers to a framework's questions: see [`Model::answers`].
    Answers,
}

/// What counts as the same match again (S4).
#[derive(Debug, Clone)]
pub enum Recurrence {
    /// Every accepted activity counts.
    Every,
    /// One key: the newest match counts.
    Once,
    /// One key a tuple of these.
    Per(Vec<KeyPart>),
}

/// One part of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyPart {
    /// A field of the activity.
    Field(EventField),
    /// The calendar hour in the model's zone; the repeated hour of a clock change is two.
    Hour,
    /// The calendar day.
    Day,
    /// The ISO week.
    Week,
}

/// Rules by event name; rules for `"*"` are in every list, rule order kept.
#[derive(Debug, Default)]
pub struct EventIndex {
    /// Rules of each named event.
    pub named: std::collections::HashMap<String, Vec<RuleIx>, foldhash::fast::FixedState>,
    /// Rules for any other event name.
    pub any: Vec<RuleIx>,
}

impl EventIndex {
    /// The rules that look at this event name, in rule order.
    pub fn rules(&self, event: &str) -> &[RuleIx] {
        self.named.get(event).unwrap_or(&self.any)
    }
}

/// One fact.
#[derive(Debug, Clone)]
pub struct Fact {
    /// Its name.
    pub name: String,
    /// The distinct times to live that any rule sets it with; `None` is endless.
    pub ttls_ms: Vec<Option<i64>>,
    /// Remembers an event-bound verdict; no fact in the file's words.
    pub is_verdict: bool,
}

/// One stored trait.
#[derive(Debug, Clone)]
pub struct Trait {
    /// Its name.
    pub name: String,
    /// Where it is read from; the first present one counts. Empty for answers and reasons, which rules keep.
    pub from: Vec<TraitSource>,
    /// Its type.
    pub kind: TraitKind,
}

/// A place in a record that a trait is read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TraitSource {
    /// `traits.<name>`.
    Trait(RecordTraitIx),
    /// `properties.<name>`.
    Property(PropertyIx),
}

/// The type of a trait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the language's own words")]
pub enum TraitKind {
    /// As it comes (unlisted traits).
    Any,
    Text,
    Number,
    Bool,
    /// Stored hashed.
    Email,
    /// Stored hashed.
    Phone,
}

/// Personal data that leaves ingest only as a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum HashedKind {
    Email,
    Phone,
}

/// What a model reads of a page beside its path, and its referrer with the page's own host, which every activity
/// carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "the names are the fields' own")]
pub struct PageReads {
    pub url: bool,
    pub host: bool,
    pub title: bool,
    pub name: bool,
}

/// The fields of a record that a model reads; everything else is left behind at ingest.
#[derive(Debug, Clone, Copy)]
pub struct ReadFields<'m> {
    /// Parts of pages.
    pub page: PageReads,
    /// Properties, without `properties.`; dots for nested.
    pub properties: &'m [String],
    /// Which of them are hashed.
    pub hashed_properties: &'m [Option<HashedKind>],
    /// Traits, without `traits.`.
    pub traits: &'m [String],
    /// Which of them are hashed.
    pub hashed_traits: &'m [Option<HashedKind>],
}

impl Model {
    /// The fields that ingest has to carry; paths, referrers, campaign parameters and visits always travel.
    pub fn fields(&self) -> ReadFields<'_> {
        ReadFields {
            page: self.page_reads,
            properties: &self.properties,
            hashed_properties: &self.hashed_properties,
            traits: &self.record_traits,
            hashed_traits: &self.hashed_traits,
        }
    }
}

/// Points from a trait's current value.
#[derive(Debug, Clone)]
pub struct Fit {
    /// Its id.
    pub id: String,
    /// The trait it reads.
    pub source: TraitIx,
    /// The score it feeds.
    pub score: ScoreIx,
    /// Value to points.
    pub table: FitTable,
    /// Points for a present value that the table does not name, thousandths.
    pub default_milli: i64,
    /// Points for an absent value, thousandths.
    pub missing_milli: i64,
}

/// Value to points, thousandths.
#[derive(Debug, Clone)]
pub enum FitTable {
    /// Exact values, in the file's order.
    Map(Vec<(crate::expression::Constant, i64)>),
    /// Lower bounds (millionths) in the file's order: the first bound ≤ value counts.
    Bands(Vec<(i64, i64)>),
}

/// One stage.
#[derive(Debug)]
pub struct Stage {
    /// Its id.
    pub id: String,
    /// Who works with its leads.
    pub owner: String,
    /// Sets the latch; `None` for the first stage, which is always latched.
    pub enter: Option<LeadPredicate>,
    /// Clears the latch; `None`: the stage stays.
    pub exit: Option<LeadPredicate>,
    /// How long the latch holds at least, ms.
    pub min_dwell_ms: i64,
    /// Cleared by `reopen` only.
    pub terminal: bool,
    /// `overrides: all`: active, it is the lead's stage whatever else is latched.
    pub overrides: bool,
    /// A hint for whoever works with its leads.
    pub next_step: Option<String>,
    /// How fast sales has to answer.
    pub response: Option<Response>,
}

/// Points while a condition holds; nothing is stored.
#[derive(Debug)]
pub struct Bonus {
    /// Its id.
    pub id: String,
    /// While this holds. Reads no score that depends on a bonus.
    pub when: LeadPredicate,
    /// The score it feeds.
    pub score: ScoreIx,
    /// Thousandths.
    pub milli: i64,
}

/// A qualification framework: the share of its criteria that were answered well (S7).
#[derive(Debug, Clone)]
pub struct Framework {
    /// Its name in the file: BANT, ANUM, …
    pub name: String,
    /// The score it feeds, with 0 to 100 points: `100 · Σ weight of criteria answered positively / Σ weights`.
    pub score: ScoreIx,
    /// Its criteria in the file's order; the sum of their weights is above 0.
    pub criteria: Vec<Criterion>,
}

/// One criterion of a framework.
#[derive(Debug, Clone)]
pub struct Criterion {
    /// Its name in this framework.
    pub name: String,
    /// The newest answer, kept as a trait.
    pub answer: TraitIx,
    /// Thousandths, ≥ 0.
    pub weight_milli: i64,
    /// An answer is positive if any of these holds.
    pub positive: Vec<crate::expression::Test>,
}

/// Where answers are read from a record.
#[derive(Debug, Clone)]
pub struct Answers {
    /// The field that names the criterion.
    pub criterion: EventField,
    /// The field that holds the answer.
    pub value: EventField,
    /// Criteria of all frameworks and conditions, by name, with the trait that keeps the answer; then their other
    /// names, by alphabet.
    pub kept: Vec<(String, TraitIx)>,
}

/// A portrait of a sales-ready lead.
#[derive(Debug)]
pub struct Definition {
    /// Its name.
    pub name: String,
    /// The portrait.
    pub when: LeadPredicate,
}

/// One disqualification (S9).
#[derive(Debug)]
pub struct Verdict {
    /// Its id.
    pub id: String,
    /// What makes it hold.
    pub holds: VerdictHolds,
    /// The reason that travels with decisions.
    pub reason: Reason,
    /// Stages above this are hidden; `None`: the lead is disqualified.
    pub cap_stage: Option<StageIx>,
}

/// What makes a verdict hold.
#[derive(Debug)]
pub enum VerdictHolds {
    /// An event set this fact, which may expire and be lifted.
    Fact(FactIx),
    /// Exactly while the condition holds.
    While(LeadPredicate),
}

/// The reason of a verdict.
#[derive(Debug, Clone)]
pub enum Reason {
    /// In the file.
    Stated(String),
    /// Read from the event into a trait: the field, and the trait that keeps it.
    Read(EventField, TraitIx),
}

/// What an answer of the CRM does beside facts and verdicts.
#[derive(Debug)]
pub struct Feedback {
    /// The event.
    pub event: String,
    /// Clears the stage's latch and keeps it from being entered for this long, ms from the event's time.
    pub cooldown: Option<(StageIx, i64)>,
    /// Latches the stage, clears those above; its `exit` is ignored for this long, ms from the event's time.
    pub recycle: Option<(StageIx, i64)>,
    /// Scores whose evidence up to the event's time is dropped.
    pub clear: Vec<ScoreIx>,
    /// Terminal stages whose latch is cleared.
    pub reopen: Vec<StageIx>,
    /// Added to what the lead has brought in.
    pub value: Option<Amount>,
}

/// An amount of money, in the file's own unit.
#[derive(Debug, Clone, Copy)]
pub enum Amount {
    /// Millionths.
    Stated(i64),
    /// A field of the event; no number adds nothing.
    Field(EventField),
    /// A trait of the lead; no number is no amount.
    Trait(TraitIx),
}
