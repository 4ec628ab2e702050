//! Whether an activity that moves nothing can be left unevaluated.
//!
//! An evaluation reads evidence, keys, facts, traits, since when the lead is known, latches, and the time. Where no
//! rule matched, no trait came and nothing was learned of who it is, only the time is another. What time alone can do:
//!
//! * clear a latch, enter an `overrides` stage, flip an audience or an alert with a condition, hide a stage, ring a
//!   timer: each of them is watched, the armed deadline is never later than the first of them, and whatever was due up
//!   to the partition's clock has fired before the activity is looked at. A lead whose deadline lies ahead has none
//!   of them to come;
//! * move where a lead is forgotten: only further away, which leaves the armed deadline as it is;
//! * make the `enter` of another stage true, which nobody watches, since only an activity may set its latch. This is
//!   excluded: conditions there have to be such that time can only make them false, which a fact whose end would make
//!   one true is not, in leads that have it. What such a condition says no to it goes on saying no to, and what it
//!   said yes to was latched by the evaluation before, unless that one was of a deadline, whose yes would have been an
//!   earlier one's too;
//! * end a cool-down or a hold: models with feedback are excluded. So are models with verdicts, whose list is kept
//!   at every evaluation, and with a hand-over, which answers to the names of activities.

use ripen_model::Model;
use ripen_model::compiled::{FactIx, ScoreIx};
use ripen_model::expression::{Comparison, Expression, LeadAtom, LeadPredicate, LeadTest, Measure};

use crate::lead::{FactMark, Lead};
use crate::plan::Slot;

/// Which leads need no evaluation of an activity that moves nothing.
#[derive(Debug, Default)]
pub(crate) struct Rest {
    /// The model lets leads rest at all.
    is_possible: bool,
    /// Facts whose end can make a stage's `enter` true: a lead that has one of them does not rest.
    waking: Vec<FactIx>,
}

impl Rest {
    pub(crate) fn new(model: &Model, slots: &[Slot]) -> Rest {
        let mut rest = Rest::default();
        let enters = model.stages.iter().filter(|stage| !stage.overrides).filter_map(|s| s.enter.as_ref());
        let mut all_rest = true;
        for enter in enters {
            all_rest &= moves_only(model, slots, enter, false, &mut rest.waking);
        }
        rest.is_possible =
            all_rest && model.verdicts.is_empty() && model.feedback.is_empty() && model.handover.is_none();
        rest
    }

    /// Whether an activity at `at_ms` that moves nothing leaves the lead as it is.
    pub(crate) fn holds(&self, lead: &Lead, at_ms: i64) -> bool {
        let wakes = |mark: &FactMark| self.waking.iter().any(|fact| fact.0 == mark.fact);
        self.is_possible && lead.deadline_ms > at_ms && !lead.facts.iter().any(wakes)
    }
}

/// Whether time alone can make a predicate `to` and never the opposite, for leads without the `waking` facts.
fn moves_only(
    model: &Model,
    slots: &[Slot],
    predicate: &LeadPredicate,
    to: bool,
    waking: &mut Vec<FactIx>,
) -> bool {
    match predicate {
        Expression::Constant(_) => true,
        Expression::Atom(atom) => atom_moves_only(model, slots, atom, to, waking),
        Expression::Not(inner) => moves_only(model, slots, inner, !to, waking),
        Expression::All(parts) | Expression::Any(parts) => {
            parts.iter().all(|part| moves_only(model, slots, part, to, waking))
        }
    }
}

fn atom_moves_only(
    model: &Model,
    slots: &[Slot],
    atom: &LeadAtom,
    to: bool,
    waking: &mut Vec<FactIx>,
) -> bool {
    match &atom.test {
        // Whatever is added up falls, or rises, towards nothing.
        LeadTest::Score { terms, comparison, .. } => {
            let all = |falls: bool| terms.iter().all(|term| term_moves_only(model, slots, *term, falls));
            match comparison {
                Comparison::Greater | Comparison::GreaterOrEqual => all(!to),
                Comparison::Less | Comparison::LessOrEqual => all(to),
                Comparison::Equal | Comparison::NotEqual => false,
            }
        }
        // A fact ends by itself and does not begin.
        LeadTest::Fact(fact) => {
            if to {
                waking.push(*fact);
            }
            true
        }
        LeadTest::Trait(..) | LeadTest::Traits(..) | LeadTest::Known => true,
        LeadTest::KnownFor { .. } => to,
        // Keys leave their window and come with activities only; what is added up may be below zero.
        LeadTest::Window { measure: Measure::Count | Measure::Days, comparison, .. } => match comparison {
            Comparison::Greater | Comparison::GreaterOrEqual => !to,
            Comparison::Less | Comparison::LessOrEqual => to,
            Comparison::Equal | Comparison::NotEqual => false,
        },
        LeadTest::Window { .. } => false,
        // The stage itself moves; the rest asks for more than this looks at.
        LeadTest::Stage(_) | LeadTest::StageFor { .. } | LeadTest::AnyDefinition | LeadTest::Disqualified => {
            false
        }
    }
}

/// Whether a weighted score can only fall by itself, or only rise: its points have one sign, and no bonus comes or
/// goes.
fn term_moves_only(model: &Model, slots: &[Slot], (score, weight): (ScoreIx, i64), falls: bool) -> bool {
    let has_bonus = model.bonuses.iter().any(|bonus| bonus.score == score);
    let mut of_score = slots.iter().filter(|slot| slot.score == score.0);
    !has_bonus
        && of_score.all(|slot| slot.points_milli == 0 || ((slot.points_milli > 0) == (weight > 0)) == falls)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::plan::Plan;

    /// What wakes a lead under a model whose second stage is entered by this; `None` if none rests.
    fn waking(enter: &str, more: &str) -> Option<usize> {
        let text = format!(
            "apiVersion: ripen/v1\nmodel: {{id: m, version: 1}}\n\
             scores: {{up: {{half_life: 1d}}, mixed: {{half_life: 1d}}, down: {{half_life: 1d}}}}\n\
             rules:\n  - {{id: a, event: a, points: {{up: 5, mixed: 5}}, once_per: [page.path], max: 9, set: {{f: 1d}}}}\n  \
             - {{id: b, event: b, points: {{down: -5, mixed: -5}}}}\n\
             stages: [{{id: x, owner: o}}, {{id: y, owner: o, enter: \"{enter}\"}}]\n{more}"
        );
        let model = ripen_model::compile("m.yaml", &text).unwrap_or_else(|errors| panic!("{errors}"));
        let rest = Plan::new(Arc::new(model)).rest;
        rest.is_possible.then_some(rest.waking.len())
    }

    #[test]
    fn leads_rest_where_time_only_takes_conditions_away() {
        let feedback = "feedback: {r: {unset: [f]}}\n";
        let bonus = "bonuses: [{id: b, when: \"fact.f\", score: up, points: 3}]\n";
        for (enter, more, expect) in [
            ("score.up >= 30", "", Some(0)),
            ("score.up >= 30 || fact.f", "", Some(0)),
            ("!(score.up < 30) && known", "", Some(0)),
            ("score.up >= 30 && !fact.f", "", Some(1)),
            ("score.down < -3", "", Some(0)),
            ("score.up + score.down > 3", "", None),
            ("score.up < 30", "", None),
            ("score.down > -3", "", None),
            ("score.mixed >= 3", "", None),
            ("count('a', '7d') >= 2", "", Some(0)),
            ("count('a', '7d') < 2", "", None),
            ("known_for('2d')", "", None),
            ("score.up >= 30", feedback, None),
            ("score.up >= 30", bonus, None),
            ("score.down < -3", bonus, Some(0)),
        ] {
            assert_eq!(waking(enter, more), expect, "{enter} {more}");
        }
    }
}
