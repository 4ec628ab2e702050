//! The compiled model: what the scorer and ingest read. Names are resolved to indices, times to ms, points
//! to thousandths; everything is checked, so nothing here can fail when it is used.

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
    /// Which of [`Model::properties`] ingest stores hashed.
    pub hashed_properties: Vec<Option<HashedKind>>,
    /// Which of [`Model::record_traits`] ingest stores hashed.
    pub hashed_traits: Vec<Option<HashedKind>>,
    /// The scores, in the file's order.
    pub scores: Vec<Score>,
    /// The groups: those of the file in its order, then one nameless group for each score's ungrouped rules.
    pub groups: Vec<Group>,
    /// The rules, in the file's order.
    pub rules: Vec<Rule>,
    /// Which rules look at which event name.
    pub events: EventIndex,
    /// The facts, in the order of their first mention.
    pub facts: Vec<Fact>,
    /// Stored traits: those that lead-scope expressions or fits read.
    pub traits: Vec<Trait>,
    /// Fits, in the file's order.
    pub fits: Vec<Fit>,
    /// The stages, lowest first; there is at least one.
    pub stages: Vec<Stage>,
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
}

/// One stored trait.
#[derive(Debug, Clone)]
pub struct Trait {
    /// Its name.
    pub name: String,
    /// Where it is read from; the first present one counts.
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

/// The fields of a record that a model reads; everything else is left behind at ingest.
#[derive(Debug, Clone, Copy)]
pub struct ReadFields<'m> {
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
    /// The fields that ingest has to carry; pages, campaign parameters and visits always travel.
    pub fn fields(&self) -> ReadFields<'_> {
        ReadFields {
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
}
