//! The activities that decided (S16): the newest that count in rules which feed what changed.

use std::collections::BTreeSet;

use ripen_model::Model;
use ripen_model::compiled::{Recurrence, Rule, RuleOrigin, VerdictHolds};
use ripen_model::expression::{LeadPredicate, LeadTest};

use super::calendar::sealed_at_ms;
use super::history::History;

/// At most so many are told.
const TOLD: usize = 5;

/// Something that activities can change.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fed {
    Enter(usize),
    Exit(usize),
    Audience(usize),
    Alert(usize),
}

/// Rule, event time, hash of the event id.
pub(crate) type Decisive = (String, i64, String);

pub(crate) fn decisive(history: &History, model: &Model, changed: &[Fed]) -> Vec<Decisive> {
    let rules: BTreeSet<usize> = changed.iter().flat_map(|fed| rules_of(model, *fed)).collect();
    let mut newest: Vec<(i64, u64, usize)> = Vec::new();
    for rule in rules {
        newest.extend(known(history, model, rule).into_iter().map(|(t_ms, id)| (t_ms, id, rule)));
    }
    newest.sort_unstable();
    let told = newest.iter().rev().take(TOLD);
    told.map(|(t_ms, id, rule)| (model.rules[*rule].id.clone(), *t_ms, format!("{id:016x}"))).collect()
}

/// The activities that are still known to count in a rule: those that hold its keys, or whose ids are remembered.
fn known(history: &History, model: &Model, rule: usize) -> Vec<(i64, u64)> {
    let definition = &model.rules[rule];
    if matches!(definition.origin, RuleOrigin::Alert(_) | RuleOrigin::Answers) {
        return Vec::new();
    }
    if matches!(definition.recurrence, Recurrence::Every) && !definition.windowed {
        let counting = history.counting(model, rule).into_iter();
        let activities = counting.map(|(activity, _)| &history.accepted[activity]);
        let activities = activities.map(|activity| (activity.t_ms, activity.id));
        return activities.filter(|known| history.remembered.contains(known)).collect();
    }
    let held = history.holding(model, rule).into_iter().map(|place| history.at(place));
    let open = held.filter(|found| {
        let sealed_ms = sealed_at_ms(model, definition, found.t_ms);
        sealed_ms.is_none_or(|sealed_ms| history.settled_ms <= sealed_ms)
    });
    open.map(|found| (found.t_ms, found.id)).collect()
}

/// The rules whose matches can change it.
fn rules_of(model: &Model, fed: Fed) -> Vec<usize> {
    let stages = &model.stages;
    let (condition, stage) = match fed {
        Fed::Enter(stage) => (stages[stage].enter.as_ref(), Some(stage)),
        Fed::Exit(stage) => (stages[stage].exit.as_ref(), Some(stage)),
        Fed::Audience(audience) => (Some(&model.audiences[audience].when), None),
        Fed::Alert(alert) => (model.alerts[alert].when.as_ref(), None),
    };
    let mut tests = Vec::new();
    condition.into_iter().for_each(|condition| add_tests(model, condition, &mut tests));
    let orders = |rule: &Rule| {
        let (RuleOrigin::Feedback(ix), Some(stage)) = (rule.origin, stage) else { return false };
        let feedback = &model.feedback[ix.ix()];
        let recycles_to = feedback.recycle.map(|(to, _)| to.ix());
        match fed {
            Fed::Enter(_) => recycles_to == Some(stage),
            _ => {
                recycles_to.is_some_and(|to| to < stage)
                    || feedback.cooldown.is_some_and(|(cooled, _)| cooled.ix() == stage)
                    || feedback.reopen.iter().any(|reopened| reopened.ix() == stage)
            }
        }
    };
    let rules = model.rules.iter().enumerate();
    let feeding =
        rules.filter(|(ix, rule)| orders(rule) || tests.iter().any(|test| moves(model, *ix, rule, test)));
    feeding.map(|(ix, _)| ix).collect()
}

/// The tests of a condition and of all that they ask for in turn.
fn add_tests<'m>(model: &'m Model, condition: &'m LeadPredicate, tests: &mut Vec<&'m LeadTest>) {
    for atom in condition.atoms() {
        tests.push(&atom.test);
        match &atom.test {
            LeadTest::Score { terms, .. } => {
                for bonus in &model.bonuses {
                    if terms.iter().any(|(score, _)| *score == bonus.score) {
                        add_tests(model, &bonus.when, tests);
                    }
                }
            }
            LeadTest::AnyDefinition => {
                model.definitions.iter().for_each(|definition| add_tests(model, &definition.when, tests));
            }
            LeadTest::Disqualified => {
                for verdict in model.verdicts.iter().filter(|verdict| verdict.cap_stage.is_none()) {
                    if let VerdictHolds::While(when) = &verdict.holds {
                        add_tests(model, when, tests);
                    }
                }
            }
            _ => {}
        }
    }
}

/// Whether matches of a rule can change what a test says, of itself.
fn moves(model: &Model, ix: usize, rule: &Rule, test: &LeadTest) -> bool {
    let marks = |fact: usize| {
        rule.set.iter().any(|(set, _)| set.ix() == fact) || rule.unset.iter().any(|unset| unset.ix() == fact)
    };
    match test {
        LeadTest::Score { terms, .. } => terms.iter().any(|(score, _)| {
            let clears = match rule.origin {
                RuleOrigin::Feedback(ix) => model.feedback[ix.ix()].clear.contains(score),
                _ => false,
            };
            clears || rule.points.iter().any(|(fed, _)| fed == score)
        }),
        LeadTest::Fact(fact) => marks(fact.ix()),
        LeadTest::Window { rule, .. } => rule.ix() == ix,
        LeadTest::Disqualified => {
            let verdicts = model.verdicts.iter().filter(|verdict| verdict.cap_stage.is_none());
            verdicts.into_iter().any(|verdict| match verdict.holds {
                VerdictHolds::Fact(fact) => marks(fact.ix()),
                VerdictHolds::While(_) => false,
            })
        }
        _ => false,
    }
}
