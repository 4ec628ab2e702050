//! Compiled expressions: boolean trees over atoms of two scopes. An activity's fields decide event atoms,
//! a lead's state decides lead atoms (the scorer evaluates those).
//!
//! Values follow one rule: null, `""` and missing are absent, and every test of an absent operand is false.

use crate::compiled::{
    FactIx, PageKindIx, PageParameterIx, PropertyIx, RecordTraitIx, RuleIx, ScoreIx, TraitIx,
};

/// A boolean tree.
#[derive(Debug, Clone)]
pub enum Expression<A> {
    /// A literal.
    Constant(bool),
    /// A leaf.
    Atom(A),
    /// Negation.
    Not(Box<Expression<A>>),
    /// All hold.
    All(Vec<Expression<A>>),
    /// At least one holds.
    Any(Vec<Expression<A>>),
}

impl<A> Expression<A> {
    /// The truth, given the truth of each atom.
    pub fn holds(&self, atom: &mut impl FnMut(&A) -> bool) -> bool {
        match self {
            Expression::Constant(truth) => *truth,
            Expression::Atom(a) => atom(a),
            Expression::Not(inner) => !inner.holds(atom),
            Expression::All(parts) => parts.iter().all(|part| part.holds(atom)),
            Expression::Any(parts) => parts.iter().any(|part| part.holds(atom)),
        }
    }

    /// Every atom, left to right, those that evaluation would skip included.
    pub fn atoms(&self) -> Vec<&A> {
        match self {
            Expression::Constant(_) => Vec::new(),
            Expression::Atom(a) => vec![a],
            Expression::Not(inner) => inner.atoms(),
            Expression::All(parts) | Expression::Any(parts) => parts.iter().flat_map(Self::atoms).collect(),
        }
    }
}

/// A condition on one activity.
pub type EventPredicate = Expression<EventAtom>;

/// A condition on a lead.
pub type LeadPredicate = Expression<LeadAtom>;

/// A field of an activity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the language's own words")]
pub enum EventField {
    Event,
    PageKind,
    PagePath,
    PageUrl,
    PageHost,
    PageTitle,
    PageReferrer,
    PageName,
    PageParameter(PageParameterIx),
    UtmSource,
    UtmMedium,
    UtmCampaign,
    UtmTerm,
    UtmContent,
    Property(PropertyIx),
    RecordTrait(RecordTraitIx),
    VisitNumber,
    VisitPages,
    VisitSeconds,
    VisitGapDays,
}

/// Gives the fields of one activity.
pub trait Fields {
    /// The field's value; `None` is absent (`""` included).
    fn field(&self, field: EventField) -> Option<FieldValue<'_>>;

    /// The page's kind, resolved once per activity.
    fn page_kind(&self) -> Option<PageKindIx>;
}

/// A value while it is looked at.
#[derive(Debug, Clone, Copy)]
pub enum FieldValue<'a> {
    /// A boolean.
    Boolean(bool),
    /// Millionths.
    Number(i64),
    /// A text, never empty.
    Text(&'a str),
    /// A flat list.
    List(&'a dyn List),
}

/// A flat list of values.
pub trait List: std::fmt::Debug {
    /// Whether the test holds for any element.
    fn any(&self, test: &mut dyn FnMut(FieldValue<'_>) -> bool) -> bool;
}

/// A constant of the model file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Constant {
    /// A boolean.
    Boolean(bool),
    /// Millionths.
    Number(i64),
    /// A text.
    Text(String),
}

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A test of one value, shared by fields of activities and traits of leads.
#[derive(Debug, Clone)]
pub enum Test {
    /// Against a constant.
    Compare(Comparison, Constant),
    /// One of a constant list, hashed.
    In(ConstantSet),
    /// The value is a list that has this element.
    Has(Constant),
    /// `startsWith`.
    StartsWith(String),
    /// `endsWith`.
    EndsWith(String),
    /// `contains`.
    Contains(String),
    /// `matches`, unanchored.
    Matches(regex::Regex),
    /// `has(field)`.
    Present,
    /// The field alone, as a condition: it is `true`.
    IsTrue,
}

/// A constant list, by type, hashed.
#[derive(Debug, Clone, Default)]
pub struct ConstantSet {
    /// Its texts.
    pub texts: std::collections::HashSet<String, foldhash::fast::FixedState>,
    /// Its numbers, millionths.
    pub numbers: std::collections::HashSet<i64, foldhash::fast::FixedState>,
    /// Its booleans: false, true.
    pub booleans: [bool; 2],
}

/// A leaf of a condition on an activity.
#[derive(Debug, Clone)]
pub enum EventAtom {
    /// A test of one field.
    Field(EventField, Test),
    /// Two fields against each other.
    Fields(EventField, Comparison, EventField),
    /// `page.kind == 'x'`, resolved.
    PageKind(PageKindIx),
}

/// A leaf of a condition on a lead.
#[derive(Debug, Clone)]
pub struct LeadAtom {
    /// The atom in the file's words, for explanations.
    pub text: String,
    /// What is tested.
    pub test: LeadTest,
}

/// What a leaf of a condition on a lead tests.
#[derive(Debug, Clone)]
pub enum LeadTest {
    /// A weighted sum of scores against a constant. Weights in millionths (1,000,000 for a plain score);
    /// the threshold in thousandths where weights are 1, in general `Σ weight·milli ⋛ threshold_nano`, exact.
    Score {
        /// Scores and weights (millionths).
        terms: Vec<(ScoreIx, i64)>,
        /// The comparison.
        comparison: Comparison,
        /// The constant, in thousandths · millionths (10⁻⁹).
        threshold_nano: i128,
    },
    /// `fact.<name>`.
    Fact(FactIx),
    /// A test of a stored trait.
    Trait(TraitIx, Test),
    /// Two stored traits against each other.
    Traits(TraitIx, Comparison, TraitIx),
    /// `known`: has an id beyond a cookie.
    Known,
    /// `known_for(d) `: ms since the first activity with a known id.
    KnownFor {
        /// The least age, ms.
        age_ms: i64,
    },
    /// `any_definition`: at least one portrait of [`crate::Model::definitions`] fits.
    AnyDefinition,
    /// `disqualified`: a verdict without `cap_stage` holds.
    Disqualified,
    /// `stage == 'x'`, `stage in [...]`; by stage, whether it holds. In audiences, alerts and routes only.
    Stage(Vec<bool>),
    /// `stage_for(d)`: ms since the lead's stage was entered. In audiences, alerts and routes only.
    StageFor {
        /// The least age, ms.
        age_ms: i64,
    },
    /// `seen(rule, w)` (count ≥ 1), `count(rule, w) ⋛ n`, `days(rule, w) ⋛ n`, `sum(rule, property, w) ⋛ x`.
    Window {
        /// What is counted.
        measure: Measure,
        /// The rule whose held keys are read.
        rule: RuleIx,
        /// The window, ms: keys with `T − w < t ≤ T`.
        window_ms: i64,
        /// The comparison.
        comparison: Comparison,
        /// The constant: a number of keys or days, or millionths for `sum`.
        threshold: i64,
    },
}

/// What a window function measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Held keys.
    Count,
    /// Distinct calendar days of held keys.
    Days,
    /// The sum of the rule's summed property, millionths.
    Sum,
}
