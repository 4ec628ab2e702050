//! Evaluation of tests on values. One rule runs through all of it: what is absent satisfies no test.

use std::cmp::Ordering;

use crate::expression::{
    Comparison, Constant, ConstantSet, EventAtom, EventPredicate, Expression, FieldValue, Fields, Test,
};
use crate::number::{canonical_text, plain_decimal_micros};

impl Comparison {
    /// Whether it holds for an order of left to right.
    pub fn holds(self, order: Ordering) -> bool {
        match self {
            Comparison::Equal => order.is_eq(),
            Comparison::NotEqual => order.is_ne(),
            Comparison::Less => order.is_lt(),
            Comparison::LessOrEqual => order.is_le(),
            Comparison::Greater => order.is_gt(),
            Comparison::GreaterOrEqual => order.is_ge(),
        }
    }

    /// The same comparison with its sides exchanged.
    pub fn flipped(self) -> Self {
        match self {
            Comparison::Less => Comparison::Greater,
            Comparison::LessOrEqual => Comparison::GreaterOrEqual,
            Comparison::Greater => Comparison::Less,
            Comparison::GreaterOrEqual => Comparison::LessOrEqual,
            same => same,
        }
    }

    /// For a boolean against anything: equal to the same boolean only, and in no order.
    fn holds_for_equality(self, equal: bool) -> bool {
        match self {
            Comparison::Equal => equal,
            Comparison::NotEqual => !equal,
            _ => false,
        }
    }
}

impl Test {
    /// Whether the test holds for a value; `None` is absent and satisfies no test.
    pub fn holds(&self, value: Option<FieldValue<'_>>) -> bool {
        let Some(value) = value else { return false };
        match self {
            Test::Compare(comparison, constant) => compare_constant(value, *comparison, constant),
            Test::In(set) => set.holds(value),
            Test::Has(constant) => match value {
                FieldValue::List(list) => {
                    list.any(&mut |element| compare_constant(element, Comparison::Equal, constant))
                }
                _ => false,
            },
            Test::StartsWith(part) => on_text(value, |text| text.starts_with(part.as_str())),
            Test::EndsWith(part) => on_text(value, |text| text.ends_with(part.as_str())),
            Test::Contains(part) => on_text(value, |text| text.contains(part.as_str())),
            Test::Matches(pattern) => on_text(value, |text| pattern.is_match(text)),
            Test::Present => match value {
                FieldValue::List(list) => list.any(&mut |_| true),
                FieldValue::Text(text) => !text.is_empty(),
                _ => true,
            },
            Test::IsTrue => matches!(value, FieldValue::Boolean(true)),
        }
    }
}

impl ConstantSet {
    /// Adds a constant.
    pub fn insert(&mut self, constant: Constant) {
        match constant {
            Constant::Boolean(truth) => self.booleans[usize::from(truth)] = true,
            Constant::Number(micros) => {
                self.numbers.insert(micros);
            }
            Constant::Text(text) => {
                self.texts.insert(text);
            }
        }
    }

    /// Whether the value equals one of the constants.
    pub fn holds(&self, value: FieldValue<'_>) -> bool {
        match value {
            FieldValue::Boolean(truth) => self.booleans[usize::from(truth)],
            FieldValue::Number(micros) => {
                self.numbers.contains(&micros)
                    || (!self.texts.is_empty() && self.texts.contains(canonical_text(micros).as_str()))
            }
            FieldValue::Text("") => false,
            FieldValue::Text(text) => {
                self.texts.contains(text)
                    || (!self.numbers.is_empty()
                        && plain_decimal_micros(text).is_some_and(|micros| self.numbers.contains(&micros)))
            }
            FieldValue::List(_) => false,
        }
    }
}

impl EventAtom {
    /// Whether the atom holds for an activity.
    pub fn holds(&self, fields: &impl Fields) -> bool {
        match self {
            EventAtom::Field(field, test) => test.holds(fields.field(*field)),
            EventAtom::Fields(left, comparison, right) => {
                compare(fields.field(*left), *comparison, fields.field(*right))
            }
            EventAtom::PageKind(kind) => fields.page_kind() == Some(*kind),
        }
    }
}

impl EventPredicate {
    /// Whether the condition holds for an activity.
    pub fn matches(&self, fields: &impl Fields) -> bool {
        match self {
            Expression::Atom(atom) => atom.holds(fields),
            tree => tree.holds(&mut |atom| atom.holds(fields)),
        }
    }
}

/// Compares two values of an activity or a lead: as numbers if either is one, a boolean with a boolean only.
/// False if either is absent.
pub fn compare(left: Option<FieldValue<'_>>, comparison: Comparison, right: Option<FieldValue<'_>>) -> bool {
    use FieldValue::{Boolean, List, Text};
    let (Some(left), Some(right)) = (left, right) else { return false };
    match (left, right) {
        (List(_), _) | (_, List(_)) | (Text(""), _) | (_, Text("")) => false,
        (Boolean(a), Boolean(b)) => comparison.holds_for_equality(a == b),
        (Boolean(_), _) | (_, Boolean(_)) => comparison.holds_for_equality(false),
        (Text(a), Text(b)) => comparison.holds(a.cmp(b)),
        (a, b) => match (as_number(a), as_number(b)) {
            (Some(a), Some(b)) => comparison.holds(a.cmp(&b)),
            _ => false,
        },
    }
}

fn compare_constant(value: FieldValue<'_>, comparison: Comparison, constant: &Constant) -> bool {
    match (value, constant) {
        (FieldValue::List(_) | FieldValue::Text(""), _) => false,
        (FieldValue::Boolean(a), Constant::Boolean(b)) => comparison.holds_for_equality(a == *b),
        (FieldValue::Boolean(_), _) | (_, Constant::Boolean(_)) => comparison.holds_for_equality(false),
        (value, Constant::Number(number)) => {
            as_number(value).is_some_and(|value| comparison.holds(value.cmp(number)))
        }
        (FieldValue::Text(value), Constant::Text(text)) => comparison.holds(value.cmp(text)),
        (FieldValue::Number(micros), Constant::Text(text)) => {
            comparison.holds(canonical_text(micros).as_str().cmp(text))
        }
    }
}

fn as_number(value: FieldValue<'_>) -> Option<i64> {
    match value {
        FieldValue::Number(micros) => Some(micros),
        FieldValue::Text(text) => plain_decimal_micros(text),
        FieldValue::Boolean(_) | FieldValue::List(_) => None,
    }
}

fn on_text(value: FieldValue<'_>, test: impl FnOnce(&str) -> bool) -> bool {
    match value {
        FieldValue::Text("") => false,
        FieldValue::Text(text) => test(text),
        FieldValue::Number(micros) => test(&canonical_text(micros)),
        FieldValue::Boolean(_) | FieldValue::List(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expression::List;

    #[derive(Debug)]
    struct Values(Vec<FieldValue<'static>>);

    impl List for Values {
        fn any(&self, test: &mut dyn FnMut(FieldValue<'_>) -> bool) -> bool {
            self.0.iter().any(|value| test(*value))
        }
    }

    fn number(text: &str) -> Constant {
        Constant::Number(crate::number::parse_micros(text).unwrap())
    }

    fn text(text: &str) -> Constant {
        Constant::Text(text.to_owned())
    }

    #[test]
    fn the_constant_decides_how_a_value_is_compared() {
        use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
        use FieldValue::{Boolean, Number, Text};
        let one = Some(Number(1_000_000));
        let list = Values(vec![Text("a")]);
        let cases: Vec<(Option<FieldValue<'_>>, Comparison, Constant, bool)> = vec![
            // 1, 1.0 and "1" are one.
            (one, Equal, number("1"), true),
            (one, Equal, number("1.0"), true),
            (one, Equal, text("1"), true),
            (one, Equal, text("1.0"), false),
            (Some(Text("1")), Equal, number("1"), true),
            (Some(Text("1.000")), Equal, number("1"), true),
            (Some(Text("1.000")), Equal, text("1"), false),
            (Some(Text("1e0")), Equal, number("1"), false),
            // A text that is no number is absent to a number, also for !=.
            (Some(Text("one")), NotEqual, number("1"), false),
            (Some(Text("2")), NotEqual, number("1"), true),
            (Some(Text("10")), Greater, number("9"), true),
            (Some(Text("10")), Greater, text("9"), false),
            (Some(Number(10_000_000)), Less, text("9"), true),
            (Some(Text("b")), GreaterOrEqual, text("a"), true),
            (Some(Text("a")), LessOrEqual, text("a"), true),
            // A boolean equals only a boolean and has no order.
            (Some(Boolean(true)), Equal, Constant::Boolean(true), true),
            (Some(Boolean(true)), Equal, text("true"), false),
            (Some(Boolean(true)), NotEqual, text("true"), true),
            (Some(Boolean(true)), Equal, number("1"), false),
            (Some(Text("true")), Equal, Constant::Boolean(true), false),
            (Some(Text("true")), NotEqual, Constant::Boolean(true), true),
            (Some(Boolean(true)), GreaterOrEqual, number("0"), false),
            (Some(Boolean(true)), GreaterOrEqual, Constant::Boolean(true), false),
            // Absent.
            (None, Equal, number("0"), false),
            (None, NotEqual, number("0"), false),
            (None, NotEqual, text("a"), false),
            (None, NotEqual, Constant::Boolean(false), false),
            (None, Less, number("1"), false),
            (Some(Text("")), NotEqual, text("a"), false),
            (Some(FieldValue::List(&list)), Equal, text("a"), false),
            (Some(FieldValue::List(&list)), NotEqual, text("b"), false),
        ];
        for (value, comparison, constant, expect) in cases {
            let test = Test::Compare(comparison, constant.clone());
            assert_eq!(test.holds(value), expect, "{value:?} {comparison:?} {constant:?}");
        }
    }

    #[test]
    fn two_values_compare_as_numbers_if_either_is_one() {
        use Comparison::{Equal, Less, NotEqual};
        use FieldValue::{Boolean, Number, Text};
        for (left, comparison, right, expect) in [
            (Some(Number(2_000_000)), Less, Some(Text("10")), true),
            (Some(Text("2")), Less, Some(Text("10")), false),
            (Some(Text("2")), Equal, Some(Number(2_000_000)), true),
            (Some(Text("two")), NotEqual, Some(Number(2_000_000)), false),
            (Some(Boolean(true)), Equal, Some(Boolean(true)), true),
            (Some(Boolean(true)), NotEqual, Some(Text("true")), true),
            (Some(Boolean(true)), Less, Some(Number(2_000_000)), false),
            (None, NotEqual, Some(Text("a")), false),
            (None, Equal, None, false),
        ] {
            assert_eq!(compare(left, comparison, right), expect, "{left:?} {comparison:?} {right:?}");
        }
    }

    #[test]
    fn membership_presence_and_text_functions() {
        use FieldValue::{Boolean, List, Number, Text};
        let mut set = ConstantSet::default();
        for constant in [text("a"), text("7"), number("2.5"), Constant::Boolean(true)] {
            set.insert(constant);
        }
        let tags = Values(vec![Text("a"), Number(3_000_000), Boolean(false)]);
        let empty = Values(vec![]);
        let one_in_set = |value| (Test::In(set.clone()), Some(value));
        let has = |constant| (Test::Has(constant), Some(List(&tags)));
        let pattern = |p: &str| Test::Matches(regex::Regex::new(p).unwrap());
        let cases: Vec<((Test, Option<FieldValue<'_>>), bool)> = vec![
            (one_in_set(Text("a")), true),
            (one_in_set(Text("b")), false),
            (one_in_set(Text("2.50")), true),
            (one_in_set(Number(7_000_000)), true),
            (one_in_set(Number(2_500_000)), true),
            (one_in_set(Boolean(true)), true),
            (one_in_set(Boolean(false)), false),
            (one_in_set(List(&tags)), false),
            ((Test::In(set.clone()), None), false),
            (has(text("a")), true),
            (has(text("3")), true),
            (has(number("3")), true),
            (has(Constant::Boolean(false)), true),
            (has(text("b")), false),
            ((Test::Has(text("a")), Some(Text("a"))), false),
            ((Test::Present, Some(List(&tags))), true),
            ((Test::Present, Some(List(&empty))), false),
            ((Test::Present, Some(Boolean(false))), true),
            ((Test::Present, Some(Number(0))), true),
            ((Test::Present, Some(Text(""))), false),
            ((Test::Present, None), false),
            ((Test::IsTrue, Some(Boolean(true))), true),
            ((Test::IsTrue, Some(Text("true"))), false),
            ((Test::StartsWith("12".into()), Some(Number(12_500_000))), true),
            ((Test::EndsWith(".5".into()), Some(Number(12_500_000))), true),
            ((Test::Contains("".into()), None), false),
            ((Test::Contains("b".into()), Some(Text("abc"))), true),
            ((Test::Contains("true".into()), Some(Boolean(true))), false),
            ((pattern("^a.c$"), Some(Text("abc"))), true),
            ((pattern("b"), Some(Text("abc"))), true),
            ((pattern("b"), None), false),
        ];
        for ((test, value), expect) in cases {
            assert_eq!(test.holds(value), expect, "{test:?} {value:?}");
        }
    }
}
