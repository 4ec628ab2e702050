//! Values and the tests on them, as the language puts it: what is absent satisfies no test.

use std::cmp::Ordering;

use ripen_model::Model;
use ripen_model::expression::{
    Comparison, Constant, EventAtom, EventField, EventPredicate, Expression, Test,
};
use ripen_records::{Activity, Origin, Text, Value};

/// A present value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Known {
    Boolean(bool),
    /// Millionths.
    Number(i64),
    Text(String),
    List(Vec<Known>),
}

/// What an activity's visit was when it was applied.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stamp {
    pub(crate) number: i64,
    pub(crate) pages: i64,
    pub(crate) seconds_micros: i64,
    pub(crate) gap_days_micros: Option<i64>,
}

/// An activity as rules see it.
pub(crate) struct Seen<'a> {
    pub(crate) model: &'a Model,
    pub(crate) activity: &'a Activity<'a>,
    /// The derived `visit_started` instead of the activity itself.
    pub(crate) is_visit_start: bool,
    pub(crate) visit: Option<Stamp>,
}

impl Known {
    pub(crate) fn of(value: &Value<'_>) -> Option<Known> {
        match value {
            Value::Boolean(truth) => Some(Known::Boolean(*truth)),
            Value::Number { micros } => Some(Known::Number(*micros)),
            Value::String(text) if text.is_empty() => None,
            Value::String(text) => Some(Known::Text(text.to_string())),
            Value::Array(parts) => {
                let parts: Vec<Known> = parts.iter().filter_map(Known::of).collect();
                if parts.is_empty() { None } else { Some(Known::List(parts)) }
            }
        }
    }

    pub(crate) fn of_constant(constant: &Constant) -> Known {
        match constant {
            Constant::Boolean(truth) => Known::Boolean(*truth),
            Constant::Number(micros) => Known::Number(*micros),
            Constant::Text(text) => Known::Text(text.clone()),
        }
    }

    /// Millionths, if it is a number or a text that is a plain decimal.
    pub(crate) fn number(&self) -> Option<i64> {
        match self {
            Known::Number(micros) => Some(*micros),
            Known::Text(text) => plain_decimal(text),
            _ => None,
        }
    }

    /// The text of a text or the canonical one of a number.
    pub(crate) fn text(&self) -> Option<String> {
        match self {
            Known::Number(micros) => Some(canonical(*micros)),
            Known::Text(text) => Some(text.clone()),
            _ => None,
        }
    }

    /// As it travels with a hand-over.
    pub(crate) fn words(&self) -> String {
        match self {
            Known::Boolean(truth) => truth.to_string(),
            Known::List(parts) => parts.iter().map(Known::words).collect::<Vec<_>>().join(", "),
            other => other.text().expect("a number or a text"),
        }
    }

    /// As a part of a key: 1 and "1" are one.
    pub(crate) fn key(&self) -> String {
        match self {
            Known::Boolean(truth) => format!("boolean {truth}"),
            Known::List(parts) => format!("list {:?}", parts.iter().map(Known::key).collect::<Vec<_>>()),
            other => format!("text {:?}", other.text()),
        }
    }
}

/// `-?\d+(\.\d+)?` in millionths, floored; short enough that nothing saturates.
fn plain_decimal(text: &str) -> Option<i64> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (units, decimals) = digits.split_once('.').unwrap_or((digits, "0"));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !all_digits(units) || !all_digits(decimals) {
        return None;
    }
    let whole: i128 = format!("{units}{decimals}").parse().ok()?;
    let signed = if negative { -whole } else { whole };
    let scale = 10_i128.pow(u32::try_from(decimals.len()).ok()?);
    i64::try_from((signed * 1_000_000).div_euclid(scale)).ok()
}

/// The shortest decimal text of a number.
fn canonical(micros: i64) -> String {
    let digits = format!("{}.{:06}", micros.unsigned_abs() / 1_000_000, micros.unsigned_abs() % 1_000_000);
    let short = digits.trim_end_matches('0').trim_end_matches('.');
    if micros < 0 { format!("-{short}") } else { short.to_owned() }
}

pub(crate) fn ordered(comparison: Comparison, order: Ordering) -> bool {
    match comparison {
        Comparison::Equal => order == Ordering::Equal,
        Comparison::NotEqual => order != Ordering::Equal,
        Comparison::Less => order == Ordering::Less,
        Comparison::LessOrEqual => order != Ordering::Greater,
        Comparison::Greater => order == Ordering::Greater,
        Comparison::GreaterOrEqual => order != Ordering::Less,
    }
}

/// Two values of which the second is a constant if `fixed`: then its type decides, else a number on either side.
fn compared(left: &Known, comparison: Comparison, right: &Known, fixed: bool) -> bool {
    match (left, right) {
        (Known::List(_), _) | (_, Known::List(_)) => false,
        (Known::Boolean(_), _) | (_, Known::Boolean(_)) => match comparison {
            Comparison::Equal => left == right,
            Comparison::NotEqual => left != right,
            _ => false,
        },
        (Known::Text(left), Known::Text(right)) => ordered(comparison, left.as_bytes().cmp(right.as_bytes())),
        (Known::Number(_), Known::Text(right)) if fixed => {
            left.text().is_some_and(|left| ordered(comparison, left.as_bytes().cmp(right.as_bytes())))
        }
        _ => match (left.number(), right.number()) {
            (Some(left), Some(right)) => ordered(comparison, left.cmp(&right)),
            _ => false,
        },
    }
}

pub(crate) fn fields_compare(left: Option<&Known>, comparison: Comparison, right: Option<&Known>) -> bool {
    left.zip(right).is_some_and(|(left, right)| compared(left, comparison, right, false))
}

pub(crate) fn holds(test: &Test, value: Option<&Known>) -> bool {
    let Some(value) = value else { return false };
    let equals = |value: &Known, constant: &Known| compared(value, Comparison::Equal, constant, true);
    let on_text = |found: &dyn Fn(&str) -> bool| value.text().is_some_and(|text| found(&text));
    match test {
        Test::Compare(comparison, constant) => {
            compared(value, *comparison, &Known::of_constant(constant), true)
        }
        Test::In(set) => {
            let texts = set.texts.iter().map(|text| Known::Text(text.clone()));
            let numbers = set.numbers.iter().map(|micros| Known::Number(*micros));
            let booleans = [false, true].into_iter().zip(set.booleans);
            let booleans = booleans.filter(|(_, listed)| *listed).map(|(truth, _)| Known::Boolean(truth));
            texts.chain(numbers).chain(booleans).any(|constant| equals(value, &constant))
        }
        Test::Has(constant) => match value {
            Known::List(parts) => parts.iter().any(|part| equals(part, &Known::of_constant(constant))),
            _ => false,
        },
        Test::StartsWith(part) => on_text(&|text| text.starts_with(part.as_str())),
        Test::EndsWith(part) => on_text(&|text| text.ends_with(part.as_str())),
        Test::Contains(part) => on_text(&|text| text.contains(part.as_str())),
        Test::Matches(pattern) => on_text(&|text| pattern.is_match(text)),
        Test::Present => true,
        Test::IsTrue => *value == Known::Boolean(true),
    }
}

impl Seen<'_> {
    pub(crate) fn name(&self) -> &str {
        if self.is_visit_start { "visit_started" } else { &self.activity.name }
    }

    pub(crate) fn matches(&self, condition: &EventPredicate) -> bool {
        match condition {
            Expression::Constant(truth) => *truth,
            Expression::Not(inner) => !self.matches(inner),
            Expression::All(parts) => parts.iter().all(|part| self.matches(part)),
            Expression::Any(parts) => parts.iter().any(|part| self.matches(part)),
            Expression::Atom(EventAtom::Field(field, test)) => holds(test, self.field(*field).as_ref()),
            Expression::Atom(EventAtom::Fields(left, comparison, right)) => {
                fields_compare(self.field(*left).as_ref(), *comparison, self.field(*right).as_ref())
            }
            Expression::Atom(EventAtom::PageKind(kind)) => {
                let name = &self.model.page_kinds[usize::from(kind.0)];
                self.field(EventField::PageKind) == Some(Known::Text(name.clone()))
            }
        }
    }

    pub(crate) fn field(&self, field: EventField) -> Option<Known> {
        let page = self.activity.page.as_ref();
        let utm = self.activity.utm.as_ref();
        let text = |text: Option<&Text<'_>>| {
            text.filter(|text| !text.is_empty()).map(|text| Known::Text(text.to_string()))
        };
        let number = |micros: i64| Some(Known::Number(micros));
        let visit = self.visit.as_ref();
        match field {
            EventField::Event => Some(Known::Text(self.name().to_owned())),
            EventField::PageKind => {
                let found = self.model.pages.matches(page?.path.as_ref()?)?;
                Some(Known::Text(self.model.page_kinds[usize::from(found.kind.0)].clone()))
            }
            EventField::PageParameter(parameter) => {
                let found = self.model.pages.matches(page?.path.as_ref()?)?;
                let (_, value) = found.parameters.into_iter().find(|(ix, _)| *ix == parameter)?;
                if value.is_empty() { None } else { Some(Known::Text(value)) }
            }
            EventField::PagePath => text(page?.path.as_ref()),
            EventField::PageUrl => text(page?.url.as_ref()),
            EventField::PageHost => text(page?.host.as_ref()),
            EventField::PageTitle => text(page?.title.as_ref()),
            EventField::PageReferrer => text(page?.referrer.as_ref()),
            EventField::PageName => text(page?.name.as_ref()),
            EventField::UtmSource => text(utm?.source.as_ref()),
            EventField::UtmMedium => text(utm?.medium.as_ref()),
            EventField::UtmCampaign => text(utm?.campaign.as_ref()),
            EventField::UtmTerm => text(utm?.term.as_ref()),
            EventField::UtmContent => text(utm?.content.as_ref()),
            EventField::Property(ix) => {
                let name = &self.model.properties[usize::from(ix.0)];
                self.carried(&self.activity.properties, name)
            }
            EventField::RecordTrait(ix) => {
                let name = &self.model.record_traits[usize::from(ix.0)];
                self.carried(&self.activity.traits, name)
            }
            EventField::VisitNumber => number(visit?.number * 1_000_000),
            EventField::VisitPages => number(visit?.pages * 1_000_000),
            EventField::VisitSeconds => number(visit?.seconds_micros),
            EventField::VisitGapDays => number(visit?.gap_days_micros?),
        }
    }

    fn carried(&self, fields: &[ripen_records::Field<'_>], name: &str) -> Option<Known> {
        if self.is_visit_start {
            return None;
        }
        Known::of(&fields.iter().find(|field| *field.name == *name)?.value)
    }

    /// Whether the activity belongs to visits at all.
    pub(crate) fn is_of_visits(&self) -> bool {
        match self.activity.origin {
            Origin::Web | Origin::App => true,
            Origin::Server => false,
            Origin::Unstated => {
                self.is_page() || self.activity.session.is_some() || self.activity.page.is_some()
            }
        }
    }

    pub(crate) fn is_page(&self) -> bool {
        matches!(&*self.activity.name, "page_view" | "screen_view")
    }
}
