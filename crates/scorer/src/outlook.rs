//! Predicates over a lead: whether they hold, and until when that cannot change by itself (S13).
//!
//! Every atom answers (truth at T, `next` > T): without an activity its truth stays until `next`. The answer is
//! never late; where it is early, whoever waited for it looks again.

use ripen_model::compare;
use ripen_model::compiled::{FactIx, RuleIx, ScoreIx, Verdict, VerdictHolds};
use ripen_model::expression::{Comparison, Expression, LeadAtom, LeadPredicate, LeadTest, Measure};

use crate::calendar;
use crate::lead::{FactMark, Key, Lead, TraitValue};
use crate::plan::Plan;
use crate::scores::{self, Curve, Reading};

/// How far from its guess the search for an instant looks first, and how much further each time: most guesses are right.
const FIRST_STEP_MS: i64 = 1;
const STEP_FACTOR: i64 = 16;

/// No change by itself, ever.
pub(crate) const NEVER_CHANGES: i64 = i64::MAX;

/// Truth now, and the instant before which it cannot change by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outlook {
    pub(crate) truth: bool,
    pub(crate) next_ms: i64,
}

/// How far an answer has to reach.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Reach<'a> {
    /// The exact instant where it can be known.
    Exact,
    /// Whether anything can change before the instant, at whose last millisecond the scores have been read; cheap.
    /// `next` is the instant, or the next millisecond.
    Until(i64, &'a Reading),
}

/// A lead at an instant, its scores read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) lead: &'a Lead,
    pub(crate) at_ms: i64,
    /// The scores at that instant.
    pub(crate) now: &'a Reading,
}

impl Outlook {
    /// True until `next_ms`, or false for ever if that is not in the future.
    fn until(next_ms: i64, at_ms: i64) -> Outlook {
        let truth = at_ms < next_ms;
        Outlook { truth, next_ms: if truth { next_ms } else { NEVER_CHANGES } }
    }

    /// False until `next_ms`, then true for ever.
    pub(crate) fn from(next_ms: i64, at_ms: i64) -> Outlook {
        Outlook::until(next_ms, at_ms).not()
    }

    fn constant(truth: bool) -> Outlook {
        Outlook { truth, next_ms: NEVER_CHANGES }
    }

    pub(crate) fn not(self) -> Outlook {
        Outlook { truth: !self.truth, ..self }
    }

    /// All of them: while false, it takes the last of the false ones to change; while true, the first of all.
    pub(crate) fn all(parts: impl Iterator<Item = Outlook>) -> Outlook {
        let (mut false_until, mut true_until) = (None, NEVER_CHANGES);
        for part in parts {
            if part.truth {
                true_until = true_until.min(part.next_ms);
            } else {
                false_until = false_until.max(Some(part.next_ms));
            }
        }
        match false_until {
            Some(next_ms) => Outlook { truth: false, next_ms },
            None => Outlook { truth: true, next_ms: true_until },
        }
    }

    /// At least one of them, by De Morgan.
    fn any(parts: impl Iterator<Item = Outlook>) -> Outlook {
        Outlook::all(parts.map(Outlook::not)).not()
    }
}

impl<'a> View<'a> {
    /// Whether a predicate holds.
    pub(crate) fn holds(&self, predicate: &LeadPredicate) -> bool {
        predicate.holds(&mut |atom| self.atom_holds(atom))
    }

    /// Whether a predicate holds, and until when that cannot change.
    pub(crate) fn outlook(&self, predicate: &LeadPredicate, reach: Reach<'_>) -> Outlook {
        match predicate {
            Expression::Constant(truth) => Outlook::constant(*truth),
            Expression::Atom(atom) => self.atom(atom, reach),
            Expression::Not(inner) => self.outlook(inner, reach).not(),
            Expression::All(parts) => Outlook::all(parts.iter().map(|part| self.outlook(part, reach))),
            Expression::Any(parts) => Outlook::any(parts.iter().map(|part| self.outlook(part, reach))),
        }
    }

    pub(crate) fn atom_holds(&self, atom: &LeadAtom) -> bool {
        match &atom.test {
            LeadTest::Score { terms, comparison, threshold_nano } => {
                comparison.holds(self.weighted_nano(terms).cmp(threshold_nano))
            }
            LeadTest::Window { measure, rule, window_ms, comparison, threshold } => {
                comparison.holds(self.measured(*measure, *rule, *window_ms).cmp(threshold))
            }
            LeadTest::AnyDefinition => {
                self.plan.model.definitions.iter().any(|definition| self.holds(&definition.when))
            }
            LeadTest::Disqualified => self.disqualifying().any(|verdict| self.verdict_holds(verdict)),
            _ => self.atom(atom, Reach::Exact).truth,
        }
    }

    /// Whether a verdict holds.
    pub(crate) fn verdict_holds(&self, verdict: &Verdict) -> bool {
        match &verdict.holds {
            VerdictHolds::Fact(fact) => self.fact(*fact).truth,
            VerdictHolds::While(when) => self.holds(when),
        }
    }

    pub(crate) fn verdict(&self, verdict: &Verdict, reach: Reach<'_>) -> Outlook {
        match &verdict.holds {
            VerdictHolds::Fact(fact) => self.fact(*fact),
            VerdictHolds::While(when) => self.outlook(when, reach),
        }
    }

    /// Verdicts that disqualify, instead of only hiding stages.
    fn disqualifying(&self) -> impl Iterator<Item = &'a Verdict> {
        self.plan.model.verdicts.iter().filter(|verdict| verdict.cap_stage.is_none())
    }

    /// `Σ weight·milli`, 10⁻⁹.
    pub(crate) fn weighted_nano(&self, terms: &[(ScoreIx, i64)]) -> i128 {
        terms.iter().map(|(score, weight)| i128::from(*weight) * i128::from(self.now.milli[score.ix()])).sum()
    }

    /// What a window function gives: keys, days, or millionths.
    pub(crate) fn measured(&self, measure: Measure, rule: RuleIx, window_ms: i64) -> i64 {
        let inside = self.inside(rule, window_ms);
        match measure {
            Measure::Count => inside.count() as i64,
            Measure::Sum => inside.fold(0_i64, |sum, key| sum.saturating_add(key.summed)),
            Measure::Days => {
                let zone = &self.plan.model.time.zone;
                let mut days: Vec<i64> = inside.map(|key| calendar::day(zone, key.t_ms)).collect();
                days.sort_unstable();
                days.dedup();
                days.len() as i64
            }
        }
    }

    /// Held keys with `T − w < t ≤ T`.
    fn inside(&self, rule: RuleIx, window_ms: i64) -> impl Iterator<Item = &'a Key> {
        let at_ms = self.at_ms;
        let held = self.lead.keys_of(rule).iter();
        held.filter(move |key| key.t_ms <= at_ms && at_ms < key.t_ms.saturating_add(window_ms))
    }

    fn atom(&self, atom: &LeadAtom, reach: Reach<'_>) -> Outlook {
        match &atom.test {
            LeadTest::Score { terms, comparison, threshold_nano } => {
                self.score_atom(terms, *comparison, *threshold_nano, reach)
            }
            LeadTest::Fact(fact) => self.fact(*fact),
            LeadTest::Trait(ix, test) => {
                Outlook::constant(test.holds(self.lead.stored_trait(ix.0).map(TraitValue::as_field)))
            }
            LeadTest::Traits(left, comparison, right) => {
                let value = |ix: u16| self.lead.stored_trait(ix).map(TraitValue::as_field);
                Outlook::constant(compare(value(left.0), *comparison, value(right.0)))
            }
            LeadTest::AnyDefinition => {
                let definitions = self.plan.model.definitions.iter();
                Outlook::any(definitions.map(|definition| self.outlook(&definition.when, reach)))
            }
            LeadTest::Disqualified => {
                Outlook::any(self.disqualifying().map(|verdict| self.verdict(verdict, reach)))
            }
            LeadTest::Stage(within) => {
                Outlook::constant(within.get(usize::from(self.lead.stage)).copied().unwrap_or(false))
            }
            LeadTest::StageFor { age_ms } => {
                Outlook::from(self.lead.stage_since_ms.saturating_add(*age_ms), self.at_ms)
            }
            LeadTest::Known => Outlook::constant(self.lead.known_since_ms.is_some()),
            LeadTest::KnownFor { age_ms } => match self.lead.known_since_ms {
                None => Outlook::constant(false),
                Some(since_ms) => Outlook::from(since_ms.saturating_add(*age_ms), self.at_ms),
            },
            LeadTest::Window { measure, rule, window_ms, comparison, threshold } => {
                let truth = comparison.holds(self.measured(*measure, *rule, *window_ms).cmp(threshold));
                let leaves = self.inside(*rule, *window_ms).map(|key| key.t_ms.saturating_add(*window_ms));
                Outlook { truth, next_ms: leaves.min().unwrap_or(NEVER_CHANGES) }
            }
        }
    }

    /// True until the last of the settings that no unsetting is newer than has expired (S8).
    pub(crate) fn fact(&self, fact: FactIx) -> Outlook {
        let marks = self.lead.fact_marks(fact);
        let unset_ms = marks.iter().find(|mark| mark.ttl == FactMark::UNSET).map(|mark| mark.t_ms);
        let ttls_ms = &self.plan.model.facts[fact.ix()].ttls_ms;
        let ends_ms = |mark: &FactMark| match ttls_ms.get(usize::from(mark.ttl)).copied().flatten() {
            Some(ttl_ms) => mark.t_ms.saturating_add(ttl_ms),
            None => NEVER_CHANGES,
        };
        let set = marks
            .iter()
            .filter(|mark| mark.ttl != FactMark::UNSET && unset_ms.is_none_or(|u| u <= mark.t_ms));
        match set.map(ends_ms).max() {
            Some(end_ms) => Outlook::until(end_ms, self.at_ms),
            None => Outlook::constant(false),
        }
    }

    /// The largest T' such that the sum cannot cross the constant anywhere in [T, T'] is found by bisection on
    /// integers: certain at T, and once uncertain for ever so, since the ranges only widen. Where all parts of the
    /// sum move in one direction, T' + 1 is exactly the first instant at which the truth is another.
    fn score_atom(
        &self,
        terms: &[(ScoreIx, i64)],
        comparison: Comparison,
        nano: i128,
        reach: Reach<'_>,
    ) -> Outlook {
        let truth = comparison.holds(self.weighted_nano(terms).cmp(&nano));
        let is_certain = |range_of: &mut dyn FnMut(usize, ScoreIx) -> (i64, i64)| {
            let (low, high) = weighted_range(terms, range_of);
            let (low, high) = (low.cmp(&nano), high.cmp(&nano));
            match comparison {
                Comparison::Equal | Comparison::NotEqual => low == high,
                _ => comparison.holds(low) == comparison.holds(high),
            }
        };
        // Until a bonus comes or goes, bonuses are constants.
        let bonuses_ms = self.bonuses_next_ms(terms, reach);
        if let Reach::Until(end_ms, then) = reach {
            if bonuses_ms < end_ms {
                return Outlook { truth, next_ms: self.at_ms + 1 };
            }
            let to_ms = end_ms - 1;
            let mut range_of = |_, score| {
                let ends = self.now.range_to(then, score);
                ends.unwrap_or_else(|| self.score_range(score, to_ms))
            };
            let next_ms = if is_certain(&mut range_of) { end_ms } else { self.at_ms + 1 };
            return Outlook { truth, next_ms };
        }
        let curve = |&(score, _): &(ScoreIx, i64)| {
            let one_way = self.now.moves_one_way(score);
            one_way.then(|| Curve::new(self.plan, self.lead, score, self.now.bonus_milli(score)))
        };
        let mut curves: Vec<Option<Curve<'_>>> = terms.iter().map(curve).collect();
        let certain_until = |curves: &mut [Option<Curve<'_>>], to_ms: i64| {
            is_certain(&mut |term, score| match &mut curves[term] {
                Some(curve) => {
                    let (now, then) = (self.now.milli[score.ix()], curve.milli_at(to_ms));
                    (now.min(then), now.max(then))
                }
                None => self.score_range(score, to_ms),
            })
        };
        let settled_ms =
            terms.iter().map(|(score, _)| scores::settled_ms(self.plan, self.lead, *score)).max();
        let settled_ms = settled_ms.unwrap_or(i64::MIN);
        // What lies behind the next bonus is looked for once it is there.
        let settled_ms = settled_ms.min(bonuses_ms);
        if settled_ms <= self.at_ms || certain_until(&mut curves, settled_ms) {
            return Outlook { truth, next_ms: bonuses_ms };
        }
        let guess_ms = match (curves.as_mut_slice(), terms) {
            ([Some(curve)], [(_, weight)]) => {
                curve.meets_ms(self.at_ms, lower_side_milli(comparison, *weight, nano))
            }
            _ => self.guess_ms(terms, nano),
        };
        let mut certain_until = |to_ms: i64| certain_until(&mut curves, to_ms);
        let next_ms = first_uncertain(self.at_ms, settled_ms, guess_ms, &mut certain_until);
        Outlook { truth, next_ms: next_ms.min(bonuses_ms) }
    }

    /// When a bonus of these scores may next come or go.
    fn bonuses_next_ms(&self, terms: &[(ScoreIx, i64)], reach: Reach<'_>) -> i64 {
        if self.plan.model.bonuses.is_empty() {
            return NEVER_CHANGES;
        }
        let bonuses = terms.iter().flat_map(|(score, _)| &self.plan.score_bonuses[score.ix()]);
        let next_ms = bonuses.map(|&bonus| self.outlook(&self.plan.model.bonuses[bonus].when, reach).next_ms);
        next_ms.min().unwrap_or(NEVER_CHANGES)
    }

    fn score_range(&self, score: ScoreIx, to_ms: i64) -> (i64, i64) {
        scores::range(self.plan, self.lead, score, self.now.bonus_milli(score), self.at_ms, to_ms)
    }

    /// Where one score without caps would meet the constant: a place to begin the search at, never its answer.
    fn guess_ms(&self, terms: &[(ScoreIx, i64)], nano: i128) -> Option<i64> {
        let [(score, weight)] = terms else { return None };
        let half_life_ms = self.plan.model.scores[score.ix()].half_life_ms?;
        let now = i128::from(*weight) * i128::from(self.now.milli[score.ix()]);
        let octaves = (now as f64 / nano as f64).log2();
        // Whatever a float makes of it, the search keeps within its ends.
        octaves.is_finite().then(|| self.at_ms.saturating_add((octaves * half_life_ms as f64) as i64))
    }
}

/// The largest value of a score that lies on the lower side of where `weight · score` and a constant change places.
fn lower_side_milli(comparison: Comparison, weight: i64, nano: i128) -> i64 {
    let weight_nano = i128::from(weight);
    let at_constant_too = match comparison {
        Comparison::Less | Comparison::GreaterOrEqual => weight < 0,
        Comparison::LessOrEqual | Comparison::Greater => weight > 0,
        Comparison::Equal | Comparison::NotEqual => true,
    };
    let below = nano.div_euclid(weight_nano) - i128::from(weight < 0 && nano.rem_euclid(weight_nano) != 0);
    let is_there = nano.rem_euclid(weight_nano) == 0;
    let milli = if is_there && !at_constant_too { below - 1 } else { below };
    milli.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
}

/// The range of a weighted sum of scores, given the range of each.
fn weighted_range(
    terms: &[(ScoreIx, i64)],
    range_of: &mut dyn FnMut(usize, ScoreIx) -> (i64, i64),
) -> (i128, i128) {
    let (mut low, mut high) = (0_i128, 0_i128);
    for (term, &(score, weight)) in terms.iter().enumerate() {
        let (score_low, score_high) = range_of(term, score);
        let ends = [i128::from(weight) * i128::from(score_low), i128::from(weight) * i128::from(score_high)];
        low += ends[0].min(ends[1]);
        high += ends[0].max(ends[1]);
    }
    (low, high)
}

/// The first instant in `(sure, unsure]` that is not certain, given that `unsure` is not: by steps that double away
/// from the guess, then by halves.
fn first_uncertain(
    sure: i64,
    unsure: i64,
    guess_ms: Option<i64>,
    certain_until: &mut dyn FnMut(i64) -> bool,
) -> i64 {
    let (mut sure, mut unsure) = (sure, unsure);
    if let Some(guess_ms) = guess_ms.filter(|guess_ms| sure < *guess_ms && *guess_ms < unsure) {
        let mut step_ms = FIRST_STEP_MS;
        let up = certain_until(guess_ms);
        let mut at_ms = guess_ms;
        loop {
            let certain = if at_ms == guess_ms { up } else { certain_until(at_ms) };
            if certain {
                sure = at_ms;
            } else {
                unsure = at_ms;
            }
            at_ms = if up { at_ms.saturating_add(step_ms) } else { at_ms.saturating_sub(step_ms) };
            if certain != up || at_ms <= sure || at_ms >= unsure {
                break;
            }
            step_ms = step_ms.saturating_mul(STEP_FACTOR);
        }
    }
    while unsure - sure > 1 {
        let middle = sure + (unsure - sure) / 2;
        if certain_until(middle) {
            sure = middle;
        } else {
            unsure = middle;
        }
    }
    unsure
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_lies_between_two_values_of_a_score() {
        let check = |comparison, weight, nano, expect| {
            assert_eq!(
                lower_side_milli(comparison, weight, nano),
                expect,
                "{weight} · score {comparison:?} {nano}"
            );
        };
        for (comparison, up, down) in [
            (Comparison::Less, 19_999, -20_000),
            (Comparison::GreaterOrEqual, 19_999, -20_000),
            (Comparison::LessOrEqual, 20_000, -20_001),
            (Comparison::Greater, 20_000, -20_001),
        ] {
            check(comparison, 1_000, 20_000_000, up);
            check(comparison, -1_000, 20_000_000, down);
            check(comparison, 3_000, 20_000_000, 6_666);
            check(comparison, -3_000, 20_000_000, -6_667);
        }
    }
}
