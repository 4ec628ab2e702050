//! Whether a condition on a lead can hold at all: decided by intervals over the atoms of its alternatives.
//!
//! "No" is a proof: every alternative contradicts itself or the bounds of what the model can reach. "Yes" names an
//! alternative whose atoms are independent of each other. Everything between is said to be undecided, with what it
//! hangs on.

use std::collections::BTreeMap;

use super::reach;
use crate::compiled::{FactIx, Model, RuleIx, ScoreIx, TraitIx, VerdictHolds};
use crate::expression::{
    Comparison, Constant, Expression, FieldValue, LeadAtom, LeadPredicate, LeadTest, Measure, Test,
};
use crate::number::{canonical_text, plain_decimal_micros};

/// Alternatives looked at; a condition with more is undecided.
const ALTERNATIVES: usize = 4_096;

/// 10⁻⁹ units in a thousandth.
const NANO_PER_MILLI: i128 = 1_000_000;

/// Whether something can hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Can {
    /// Never, and why.
    No(String),
    /// With this alternative.
    Yes(String),
    /// Not decided, and what it hangs on.
    Undecided(String),
}

/// What is known of a model's atoms.
pub(super) struct Logic<'m> {
    model: &'m Model,
    /// Bounds of the scores, thousandths.
    bounds: Vec<(i64, i64)>,
}

/// An atom or its negation.
#[derive(Debug, Clone, Copy)]
struct Literal<'m> {
    truth: bool,
    what: What<'m>,
}

#[derive(Debug, Clone, Copy)]
enum What<'m> {
    Atom(&'m LeadAtom),
    /// A fact that no expression names: one that remembers a verdict.
    Fact(FactIx),
    Constant(bool),
}

type Alternative<'m> = Vec<Literal<'m>>;

/// A weighted sum of scores and what is left of its range, 10⁻⁹ units.
#[derive(Debug, Clone, Copy)]
struct Form<'m> {
    terms: &'m [(ScoreIx, i64)],
    low: i128,
    high: i128,
}

impl<'m> Logic<'m> {
    pub(super) fn new(model: &'m Model) -> Logic<'m> {
        let scores = 0..model.scores.len();
        Logic { model, bounds: scores.map(|ix| reach::bounds(model, ScoreIx(ix as u16))).collect() }
    }

    /// Whether all of these can hold at once; with `false` beside it a condition is negated.
    pub(super) fn can_hold(&self, conditions: &[(&'m LeadPredicate, bool)]) -> Can {
        let mut alternatives: Vec<Alternative<'m>> = vec![Vec::new()];
        for (predicate, truth) in conditions {
            let more = self.alternatives(predicate, *truth);
            let product = more.and_then(|more| product(&alternatives, &more));
            let Some(product) = product else {
                return Can::Undecided(format!("it has over {ALTERNATIVES} alternatives"));
            };
            alternatives = product;
        }
        let mut undecided = None;
        let mut refused = None;
        for alternative in &alternatives {
            match self.judge(alternative) {
                Can::Yes(why) => return Can::Yes(why),
                Can::Undecided(why) => undecided = undecided.or(Some(why)),
                Can::No(why) => refused = refused.or(Some(why)),
            }
        }
        match (undecided, refused) {
            (Some(why), _) => Can::Undecided(why),
            (None, why) => Can::No(why.unwrap_or_else(|| "it is never true".to_owned())),
        }
    }

    /// The disjunctive normal form.
    fn alternatives(&self, predicate: &'m LeadPredicate, truth: bool) -> Option<Vec<Alternative<'m>>> {
        match predicate {
            Expression::Constant(constant) => {
                Some(vec![vec![Literal { truth: true, what: What::Constant(*constant == truth) }]])
            }
            Expression::Not(inner) => self.alternatives(inner, !truth),
            Expression::All(parts) => self.combined(parts.iter(), truth, truth),
            Expression::Any(parts) => self.combined(parts.iter(), truth, !truth),
            Expression::Atom(atom) => match &atom.test {
                LeadTest::AnyDefinition => {
                    self.combined(self.model.definitions.iter().map(|d| &d.when), truth, !truth)
                }
                LeadTest::Disqualified => self.disqualified(truth),
                _ => Some(vec![vec![Literal { truth, what: What::Atom(atom) }]]),
            },
        }
    }

    fn disqualified(&self, truth: bool) -> Option<Vec<Alternative<'m>>> {
        let verdicts = self.model.verdicts.iter().filter(|verdict| verdict.cap_stage.is_none());
        let parts = verdicts.map(|verdict| match &verdict.holds {
            VerdictHolds::Fact(fact) => Some(vec![vec![Literal { truth, what: What::Fact(*fact) }]]),
            VerdictHolds::While(when) => self.alternatives(when, truth),
        });
        join(parts, !truth)
    }

    fn combined(
        &self,
        parts: impl Iterator<Item = &'m LeadPredicate>,
        truth: bool,
        all: bool,
    ) -> Option<Vec<Alternative<'m>>> {
        join(parts.map(|part| self.alternatives(part, truth)), all)
    }

    /// One alternative: a conjunction of literals.
    fn judge(&self, alternative: &Alternative<'m>) -> Can {
        let words = || {
            let shown: Vec<String> = alternative.iter().filter_map(|literal| self.words(literal)).collect();
            if shown.is_empty() { "always".to_owned() } else { shown.join(" && ") }
        };
        let mut doubts = Vec::new();
        let parts = [
            constants(alternative),
            opposed(alternative),
            self.facts(alternative),
            self.scores(alternative),
            self.traits(alternative),
            identity(alternative),
            self.windows(alternative),
        ];
        for part in parts {
            match part {
                Can::No(why) => return Can::No(why),
                Can::Undecided(why) => doubts.push(why),
                Can::Yes(_) => {}
            }
        }
        match doubts.into_iter().next() {
            Some(doubt) => Can::Undecided(format!("`{}`: {doubt}", words())),
            None => Can::Yes(words()),
        }
    }

    fn words(&self, literal: &Literal<'_>) -> Option<String> {
        let text = match literal.what {
            What::Atom(atom) => atom.text.clone(),
            What::Fact(fact) => self.model.facts[fact.ix()].name.clone(),
            What::Constant(_) => return None,
        };
        Some(if literal.truth { text } else { format!("!({text})") })
    }

    fn facts(&self, alternative: &Alternative<'m>) -> Can {
        let mut known: BTreeMap<FactIx, bool> = BTreeMap::new();
        for literal in alternative {
            let fact = match literal.what {
                What::Fact(fact) => fact,
                What::Atom(LeadAtom { test: LeadTest::Fact(fact), .. }) => *fact,
                _ => continue,
            };
            if *known.entry(fact).or_insert(literal.truth) != literal.truth {
                let name = &self.model.facts[fact.ix()].name;
                return Can::No(format!("`fact.{name}` cannot hold and not hold"));
            }
        }
        yes()
    }

    fn scores(&self, alternative: &Alternative<'m>) -> Can {
        let mut forms: Vec<Form<'m>> = Vec::new();
        for literal in alternative {
            let What::Atom(LeadAtom { test: LeadTest::Score { terms, comparison, threshold_nano }, text }) =
                literal.what
            else {
                continue;
            };
            let at = forms.iter().position(|form| form.terms == &terms[..]).unwrap_or_else(|| {
                let (low, high) = self.form_bounds(terms);
                forms.push(Form { terms, low, high });
                forms.len() - 1
            });
            let step =
                if terms.iter().all(|(_, weight)| weight % 1_000_000 == 0) { NANO_PER_MILLI } else { 1 };
            let comparison = if literal.truth { *comparison } else { opposite(*comparison) };
            let Form { low, high, .. } = &mut forms[at];
            let (before_low, before_high) = (*low, *high);
            narrow(low, high, comparison, *threshold_nano, step);
            if *low > *high {
                let named = if literal.truth { format!("`{text}`") } else { format!("`!({text})`") };
                let (low, high) = (nano_text(before_low), nano_text(before_high));
                return Can::No(format!("{named} cannot hold: what is left of its range is {low} to {high}"));
            }
        }
        self.independent(&forms, alternative)
    }

    /// Whether the scores of several sums can take any values of theirs at once.
    fn independent(&self, forms: &[Form<'m>], alternative: &Alternative<'m>) -> Can {
        let scores = |form: usize| forms[form].terms.iter().map(|(score, _)| *score);
        for a in 0..forms.len() {
            for b in a + 1..forms.len() {
                for (x, y) in scores(a).flat_map(|x| scores(b).map(move |y| (x, y))) {
                    if x == y || self.have_common_source(x, y) {
                        let name = |score: ScoreIx| &self.model.scores[score.ix()].name;
                        let doubt = match x == y {
                            true => format!("several sums read `score.{}`", name(x)),
                            false => format!("`{}` and `{}` rise by the same activities", name(x), name(y)),
                        };
                        return Can::Undecided(doubt);
                    }
                }
            }
        }
        let lasting =
            |form: usize| scores(form).find(|score| self.model.scores[score.ix()].half_life_ms.is_none());
        let others = alternative.len() > forms.len();
        match (0..forms.len()).find_map(lasting) {
            Some(score) if others => {
                let name = &self.model.scores[score.ix()].name;
                Can::Undecided(format!("`score.{name}` never fades and may hang on the rest"))
            }
            _ => yes(),
        }
    }

    fn have_common_source(&self, x: ScoreIx, y: ScoreIx) -> bool {
        let feeds = |score: ScoreIx, points: &[(ScoreIx, i64)]| points.iter().any(|(fed, _)| *fed == score);
        let by_rule = self.model.rules.iter().any(|rule| feeds(x, &rule.points) && feeds(y, &rule.points));
        let fed_by =
            |score| self.model.fits.iter().filter(move |fit| fit.score == score).map(|fit| fit.source);
        by_rule || fed_by(x).any(|a| fed_by(y).any(|b| a == b))
    }

    fn form_bounds(&self, terms: &[(ScoreIx, i64)]) -> (i128, i128) {
        terms.iter().fold((0, 0), |(low, high), (score, weight)| {
            let (least, most) = self.bounds[score.ix()];
            let (a, b) = (i128::from(least) * i128::from(*weight), i128::from(most) * i128::from(*weight));
            (low + a.min(b), high + a.max(b))
        })
    }

    fn traits(&self, alternative: &Alternative<'m>) -> Can {
        let mut tests: BTreeMap<TraitIx, Vec<(bool, &'m Test)>> = BTreeMap::new();
        let mut pairs = Vec::new();
        for literal in alternative {
            match literal.what {
                What::Atom(LeadAtom { test: LeadTest::Trait(ix, test), .. }) => {
                    tests.entry(*ix).or_default().push((literal.truth, test));
                }
                What::Atom(LeadAtom { test: LeadTest::Traits(a, comparison, b), .. }) => {
                    pairs.push((*a, *comparison, *b, literal.truth));
                }
                _ => {}
            }
        }
        let mut doubt = yes();
        for (ix, literals) in &tests {
            let name = &self.model.traits[ix.ix()].name;
            match of_one_value(literals) {
                Some(true) => {}
                Some(false) => return Can::No(format!("no value of `{name}` fits all of its conditions")),
                None => doubt = Can::Undecided(format!("the conditions on `{name}` are not comparable")),
            }
        }
        for (at, (a, comparison, b, truth)) in pairs.iter().enumerate() {
            let opposed = |other: &(TraitIx, Comparison, TraitIx, bool)| {
                (other.0, other.1, other.2) == (*a, *comparison, *b) && other.3 != *truth
            };
            if pairs[at..].iter().any(opposed) {
                return Can::No("a comparison of two traits cannot hold and not hold".to_owned());
            }
            if pairs.len() > 1 || tests.contains_key(a) || tests.contains_key(b) {
                doubt = Can::Undecided("two traits are compared that other conditions read, too".to_owned());
            }
        }
        doubt
    }

    fn windows(&self, alternative: &Alternative<'m>) -> Can {
        type Read = (u8, RuleIx, i64);
        let mut reads: BTreeMap<Read, (i128, i128)> = BTreeMap::new();
        for literal in alternative {
            let What::Atom(atom) = literal.what else { continue };
            let LeadTest::Window { measure, rule, window_ms, comparison, threshold } = &atom.test else {
                continue;
            };
            let held = i128::from(self.model.keys_held(&self.model.rules[rule.ix()]));
            let (kind, least, most) = match measure {
                Measure::Count => (0, 0, held),
                Measure::Days => (1, 0, held),
                Measure::Sum => (2, i128::MIN, i128::MAX),
            };
            let (low, high) = reads.entry((kind, *rule, *window_ms)).or_insert((least, most));
            let comparison = if literal.truth { *comparison } else { opposite(*comparison) };
            narrow(low, high, comparison, i128::from(*threshold), 1);
            if *low > *high {
                return Can::No(format!("`{}` contradicts the rest, or more than is held", atom.text));
            }
        }
        let mut rules: Vec<RuleIx> = reads.keys().map(|(_, rule, _)| *rule).collect();
        rules.sort_unstable();
        match rules.windows(2).any(|pair| pair[0] == pair[1]) {
            true => Can::Undecided("several windows read one rule".to_owned()),
            false => yes(),
        }
    }
}

fn yes() -> Can {
    Can::Yes(String::new())
}

fn constants(alternative: &Alternative<'_>) -> Can {
    match alternative.iter().any(|literal| matches!(literal.what, What::Constant(false))) {
        true => Can::No("it is never true".to_owned()),
        false => yes(),
    }
}

/// Atoms of the same words are the same question.
fn opposed(alternative: &Alternative<'_>) -> Can {
    let mut asked: BTreeMap<&str, bool> = BTreeMap::new();
    for literal in alternative {
        let What::Atom(atom) = literal.what else { continue };
        if *asked.entry(&atom.text).or_insert(literal.truth) != literal.truth {
            return Can::No(format!("`{}` cannot hold and not hold", atom.text));
        }
    }
    yes()
}

/// Nothing here asks for the stage: no condition of a stage can.
fn identity(alternative: &Alternative<'_>) -> Can {
    let mut unknown = false;
    // Known for at least this long, and for less than that.
    let (mut at_least_ms, mut below_ms) = (0, i64::MAX);
    for literal in alternative {
        let What::Atom(atom) = literal.what else { continue };
        match &atom.test {
            LeadTest::Known => unknown |= !literal.truth,
            LeadTest::KnownFor { age_ms } if literal.truth => at_least_ms = at_least_ms.max(*age_ms),
            LeadTest::KnownFor { age_ms } => below_ms = below_ms.min(*age_ms),
            _ => {}
        }
    }
    if at_least_ms >= below_ms {
        return Can::No("its ages contradict each other".to_owned());
    }
    if unknown && at_least_ms > 0 {
        return Can::No("an unknown lead is not known for any time".to_owned());
    }
    yes()
}

fn join<'m>(
    parts: impl Iterator<Item = Option<Vec<Alternative<'m>>>>,
    all: bool,
) -> Option<Vec<Alternative<'m>>> {
    let mut joined: Vec<Alternative<'m>> = if all { vec![Vec::new()] } else { Vec::new() };
    for part in parts {
        let part = part?;
        if all {
            joined = product(&joined, &part)?;
        } else {
            joined.extend(part);
            if joined.len() > ALTERNATIVES {
                return None;
            }
        }
    }
    Some(joined)
}

fn product<'m>(left: &[Alternative<'m>], right: &[Alternative<'m>]) -> Option<Vec<Alternative<'m>>> {
    if left.len().saturating_mul(right.len()) > ALTERNATIVES {
        return None;
    }
    let pairs = left.iter().flat_map(|l| right.iter().map(move |r| [l.as_slice(), r.as_slice()].concat()));
    Some(pairs.collect())
}

fn opposite(comparison: Comparison) -> Comparison {
    match comparison {
        Comparison::Equal => Comparison::NotEqual,
        Comparison::NotEqual => Comparison::Equal,
        Comparison::Less => Comparison::GreaterOrEqual,
        Comparison::LessOrEqual => Comparison::Greater,
        Comparison::Greater => Comparison::LessOrEqual,
        Comparison::GreaterOrEqual => Comparison::Less,
    }
}

/// Cuts an interval of multiples of `step`; it is empty when `low > high`.
fn narrow(low: &mut i128, high: &mut i128, comparison: Comparison, threshold: i128, step: i128) {
    let below = (threshold - 1).div_euclid(step) * step;
    let at_most = threshold.div_euclid(step) * step;
    let above = (threshold + step).div_euclid(step) * step;
    let at_least = (threshold + step - 1).div_euclid(step) * step;
    match comparison {
        Comparison::Less => *high = (*high).min(below),
        Comparison::LessOrEqual => *high = (*high).min(at_most),
        Comparison::Greater => *low = (*low).max(above),
        Comparison::GreaterOrEqual => *low = (*low).max(at_least),
        Comparison::Equal => {
            *high = (*high).min(at_most);
            *low = (*low).max(at_least);
        }
        Comparison::NotEqual => {
            if *low == threshold {
                *low += step;
            }
            if *high == threshold {
                *high -= step;
            }
        }
    }
}

/// Whether one value, or its absence, fits all tests; `None` if that is not decided.
fn of_one_value(literals: &[(bool, &Test)]) -> Option<bool> {
    let fits =
        |value: Option<FieldValue<'_>>| literals.iter().all(|(truth, test)| test.holds(value) == *truth);
    if fits(None) {
        return Some(true);
    }
    let mut candidates: Vec<Constant> = vec![Constant::Boolean(true), Constant::Boolean(false)];
    // Values to which one of the tests confines it.
    let mut confined: Option<Vec<Constant>> = None;
    let (mut least, mut most) = (i64::MIN, i64::MAX);
    for (truth, test) in literals {
        let named = constants_of(test);
        let confines = *truth && matches!(test, Test::Compare(Comparison::Equal, _) | Test::In(_));
        if confines {
            confined = Some(named.clone());
        }
        if let (true, Test::Compare(comparison, Constant::Number(micros))) = (*truth, test) {
            match comparison {
                Comparison::Less => most = most.min(micros.saturating_sub(1)),
                Comparison::LessOrEqual => most = most.min(*micros),
                Comparison::Greater => least = least.max(micros.saturating_add(1)),
                Comparison::GreaterOrEqual => least = least.max(*micros),
                Comparison::Equal | Comparison::NotEqual => {}
            }
        }
        candidates.extend(named);
    }
    if least > most {
        return Some(false);
    }
    candidates.extend([least, most].map(Constant::Number));
    if candidates.iter().any(|candidate| forms(candidate).iter().any(|form| fits(Some(value(form))))) {
        return Some(true);
    }
    // Other spellings of a number might pass a test of texts: only what has one form is decided.
    let single = |constant: &Constant| match constant {
        Constant::Text(text) => plain_decimal_micros(text).is_none(),
        Constant::Boolean(_) => true,
        Constant::Number(_) => false,
    };
    let numbers_only = || literals.iter().all(|(_, test)| matches!(test, Test::Compare(..) | Test::In(_)));
    match confined {
        Some(confined) if confined.iter().all(single) || numbers_only() => Some(false),
        _ => None,
    }
}

fn constants_of(test: &Test) -> Vec<Constant> {
    match test {
        Test::Compare(_, Constant::Number(micros)) => {
            [-1, 0, 1].map(|beside| Constant::Number(micros.saturating_add(beside))).to_vec()
        }
        Test::Compare(_, constant) | Test::Has(constant) => vec![constant.clone()],
        Test::In(set) => {
            let mut texts: Vec<&String> = set.texts.iter().collect();
            texts.sort();
            let mut numbers: Vec<i64> = set.numbers.iter().copied().collect();
            numbers.sort_unstable();
            let booleans = [false, true].into_iter().filter(|truth| set.booleans[usize::from(*truth)]);
            let texts = texts.into_iter().map(|text| Constant::Text(text.clone()));
            texts
                .chain(numbers.into_iter().map(Constant::Number))
                .chain(booleans.map(Constant::Boolean))
                .collect()
        }
        Test::StartsWith(text) | Test::EndsWith(text) | Test::Contains(text) => {
            vec![Constant::Text(text.clone())]
        }
        Test::Matches(_) | Test::Present | Test::IsTrue => Vec::new(),
    }
}

/// A number and the text of it: a trait may hold either.
fn forms(constant: &Constant) -> Vec<Constant> {
    match constant {
        Constant::Number(micros) => {
            vec![constant.clone(), Constant::Text(canonical_text(*micros).to_string())]
        }
        Constant::Text(text) => {
            let number = plain_decimal_micros(text).map(Constant::Number);
            std::iter::once(constant.clone()).chain(number).collect()
        }
        Constant::Boolean(_) => vec![constant.clone()],
    }
}

fn value(constant: &Constant) -> FieldValue<'_> {
    match constant {
        Constant::Boolean(truth) => FieldValue::Boolean(*truth),
        Constant::Number(micros) => FieldValue::Number(*micros),
        Constant::Text(text) => FieldValue::Text(text),
    }
}

/// 10⁻⁹ units as a decimal.
fn nano_text(nano: i128) -> String {
    format!("{}", nano as f64 / 1e9)
}
