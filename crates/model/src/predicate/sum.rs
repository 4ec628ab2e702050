//! Sums of scores with constant weights: `score.interest + 0.5 * score.intent >= 30`, exact.

use cel::common::ast::{Expr, IdedExpr, operators};

use super::{Path, Reader};
use crate::compiled::ScoreIx;
use crate::expression::{Comparison, Constant, LeadTest};
use crate::findings::did_you_mean;
use crate::number::MICROS_PER_UNIT;

/// The largest weight in a sum of scores.
const LARGEST_WEIGHT: i128 = 10_000;

/// 10⁻⁹ units in a unit and in a millionth: scores are thousandths, weights millionths.
const NANO_PER_UNIT: i128 = 1_000_000_000;
const NANO_PER_MICRO: i128 = 1_000;
const NANO_PER_MILLI: i128 = 1_000_000;

/// A weighted sum of scores and a constant.
pub(super) struct Linear {
    /// Weights in millionths.
    terms: Vec<(ScoreIx, i128)>,
    constant_nano: i128,
}

impl Reader<'_, '_> {
    pub(super) fn score_test(
        &mut self,
        left: Linear,
        comparison: Comparison,
        right: Linear,
        at: usize,
    ) -> Option<LeadTest> {
        let mut difference = sum(left, right, -1);
        let mut comparison = comparison;
        // Non-negative weights where the condition allows: such a sum only falls while nothing happens.
        if difference.terms.iter().all(|(_, weight)| weight.is_negative()) {
            difference = sum(constant(0), difference, -1);
            comparison = comparison.flipped();
        }
        let threshold_nano = -difference.constant_nano;
        let mut terms = Vec::new();
        for (score, weight) in difference.terms {
            if weight.abs() > LARGEST_WEIGHT * i128::from(MICROS_PER_UNIT) {
                self.add(at, format!("the weights of scores reach ±{LARGEST_WEIGHT}"));
                return None;
            }
            terms.push((score, i64::try_from(weight).unwrap_or(i64::MAX)));
        }
        if terms.is_empty() {
            self.add(at, "no score is left on either side: the condition would never change");
            return None;
        }
        if threshold_nano % NANO_PER_MILLI != 0 {
            self.add(at, "a threshold has at most 3 decimals");
            return None;
        }
        Some(LeadTest::Score { terms, comparison, threshold_nano })
    }

    /// A sum of scores with constant weights. `None` after a finding.
    pub(super) fn linear(&mut self, expr: &IdedExpr) -> Option<Linear> {
        match self.constant(expr).ok()? {
            Some(Constant::Number(micros)) => return Some(constant(micros)),
            Some(_) => {
                self.add(self.place(expr), "only numbers and scores can be added");
                return None;
            }
            None => {}
        }
        if let Some(path) = self.path(expr) {
            if path.root() != "score" {
                let message = format!("only scores can be added, `{}` is none", path.text());
                self.add(path.at(), message);
                return None;
            }
            let score = self.lead_score(&path)?;
            return Some(Linear { terms: vec![(score, i128::from(MICROS_PER_UNIT))], constant_nano: 0 });
        }
        let at = self.own_place(expr);
        let Expr::Call(call) = &expr.expr else {
            self.add(at, "only numbers and scores can be added");
            return None;
        };
        match (call.func_name.as_str(), &call.args[..]) {
            (operators::NEGATE, [inner]) => Some(sum(constant(0), self.linear(inner)?, -1)),
            (operators::ADD, [left, right]) => {
                let (left, right) = (self.linear(left), self.linear(right));
                Some(sum(left?, right?, 1))
            }
            (operators::SUBSTRACT, [left, right]) => {
                let (left, right) = (self.linear(left), self.linear(right));
                Some(sum(left?, right?, -1))
            }
            (operators::MULTIPLY, [left, right]) => {
                let (left, right) = (self.linear(left), self.linear(right));
                self.product(left?, right?, at)
            }
            _ => {
                self.add(at, "only numbers and scores can be added");
                None
            }
        }
    }

    fn product(&mut self, left: Linear, right: Linear, at: usize) -> Option<Linear> {
        let (scores, factor_nano) = match (left.terms.is_empty(), right.terms.is_empty()) {
            (_, true) => (left, right.constant_nano),
            (true, false) => (right, left.constant_nano),
            (false, false) => {
                self.add(at, "a score is multiplied with a number, not with a score");
                return None;
            }
        };
        let scale = |value: i128| {
            let product = value.checked_mul(factor_nano)?;
            (product % NANO_PER_UNIT == 0).then_some(product / NANO_PER_UNIT)
        };
        let scaled = scores.terms.iter().map(|(score, weight)| Some((*score, scale(*weight)?)));
        let terms: Option<Vec<_>> = scaled.collect();
        match (terms, scale(scores.constant_nano)) {
            (Some(terms), Some(constant_nano)) => Some(Linear { terms, constant_nano }),
            _ => {
                self.add(at, "the product of these constants has more than 6 decimals");
                None
            }
        }
    }

    pub(super) fn lead_score(&mut self, path: &Path) -> Option<ScoreIx> {
        let (name, at) = self.behind_root(path)?;
        let found = self.names.score(&name);
        if found.is_none() {
            let way_out = did_you_mean(&name, self.names.scores.names());
            self.suggest(at, format!("unknown score `{name}`"), way_out);
        }
        found
    }
}

/// A number as a sum of no scores.
pub(super) fn constant(micros: i64) -> Linear {
    Linear { terms: Vec::new(), constant_nano: i128::from(micros) * NANO_PER_MICRO }
}

/// `left + sign · right`, each score once, those that cancel left out.
fn sum(mut left: Linear, right: Linear, sign: i128) -> Linear {
    for (score, weight) in right.terms {
        match left.terms.iter_mut().find(|(known, _)| *known == score) {
            Some((_, sum)) => *sum = sum.saturating_add(sign * weight),
            None => left.terms.push((score, sign * weight)),
        }
    }
    left.terms.retain(|(_, weight)| *weight != 0);
    left.constant_nano = left.constant_nano.saturating_add(sign.saturating_mul(right.constant_nano));
    left
}
