//! What the scorer works out of a model once: evidence slots, who feeds what, names to indices.
//!
//! Nothing here is semantics; it only saves looking things up for every activity.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use foldhash::fast::FixedState;
use ripen_model::Model;
use ripen_model::compiled::{
    Fit, FitTable, KeyPart, PropertyIx, RecordTraitIx, Recurrence, RuleIx, ScoreIx, TraitSource,
};
use ripen_model::expression::{Comparison, EventField, LeadPredicate, LeadTest, Test};

/// The name of the derived activity that opens a visit.
pub(crate) const VISIT_STARTED: &str = "visit_started";

/// A model and what follows from it.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) model: Arc<Model>,
    /// One for each (rule, score) that gives points, by rule.
    pub(crate) slots: Vec<Slot>,
    /// The rule of each slot.
    pub(crate) slot_rules: Vec<u16>,
    rule_slots: Vec<Range<u16>>,
    rule_keys: Vec<KeyUse>,
    /// Groups of each score, in the model's order.
    pub(crate) score_groups: Vec<Vec<usize>>,
    /// Fits of each score, in the model's order.
    pub(crate) score_fits: Vec<Vec<usize>>,
    /// For each fit with a map: the test of each entry, and its points.
    pub(crate) fit_tests: Vec<Vec<(Test, i64)>>,
    /// For each stage, by rule: whether the rule feeds `enter`, and `exit`.
    feeds: Vec<StageFeeds>,
    /// Stages with `overrides`, ascending.
    pub(crate) overrides: Vec<u16>,
    /// Whether opening a visit can count in any rule.
    pub(crate) visit_rules: bool,
    properties: HashMap<String, PropertyIx, FixedState>,
    record_traits: HashMap<String, RecordTraitIx, FixedState>,
}

/// Where the evidence of one rule for one score is kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slot {
    pub(crate) score: u16,
    pub(crate) group: u16,
    pub(crate) half_life_ms: Option<i64>,
    pub(crate) points_milli: i64,
}

/// How a rule holds keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyUse {
    /// Every activity counts, nothing is held.
    None,
    /// Every activity counts, the newest are held for windows; evidence counts all.
    Window,
    /// The newest match of each key counts, the newest `max` keys are held.
    Newest,
    /// The same, but keys are sealed by age, their parts being of the calendar alone.
    Calendar,
}

#[derive(Debug)]
struct StageFeeds {
    enter: Vec<bool>,
    exit: Vec<bool>,
}

impl Plan {
    pub(crate) fn new(model: Arc<Model>) -> Plan {
        let mut slots = Vec::new();
        let mut slot_rules = Vec::new();
        let mut rule_slots = Vec::with_capacity(model.rules.len());
        for (rule_ix, rule) in model.rules.iter().enumerate() {
            let start = slots.len() as u16;
            for &(score, points_milli) in &rule.points {
                slots.push(Slot {
                    score: score.0,
                    group: group_of(&model, rule_ix, score),
                    half_life_ms: model.scores[score.ix()].half_life_ms,
                    points_milli,
                });
                slot_rules.push(rule_ix as u16);
            }
            rule_slots.push(start..slots.len() as u16);
        }
        let groups_of = |score: usize| -> Vec<usize> {
            (0..model.groups.len()).filter(|&g| model.groups[g].score.ix() == score).collect()
        };
        let fits_of = |score: usize| -> Vec<usize> {
            (0..model.fits.len()).filter(|&f| model.fits[f].score.ix() == score).collect()
        };
        let feeds = model
            .stages
            .iter()
            .map(|stage| StageFeeds {
                enter: rules_feeding(&model, stage.enter.as_ref()),
                exit: rules_feeding(&model, stage.exit.as_ref()),
            })
            .collect();
        Plan {
            slots,
            slot_rules,
            rule_slots,
            rule_keys: model.rules.iter().map(key_use).collect(),
            score_groups: (0..model.scores.len()).map(groups_of).collect(),
            score_fits: (0..model.scores.len()).map(fits_of).collect(),
            fit_tests: model.fits.iter().map(fit_tests).collect(),
            feeds,
            overrides: (0..model.stages.len())
                .filter(|&s| model.stages[s].overrides)
                .map(|s| s as u16)
                .collect(),
            visit_rules: !model.events.rules(VISIT_STARTED).is_empty(),
            properties: names(&model.properties, PropertyIx),
            record_traits: names(&model.record_traits, RecordTraitIx),
            model,
        }
    }

    pub(crate) fn slots_of(&self, rule: RuleIx) -> Range<u16> {
        self.rule_slots[rule.ix()].clone()
    }

    pub(crate) fn key_use(&self, rule: RuleIx) -> KeyUse {
        self.rule_keys[rule.ix()]
    }

    pub(crate) fn key_use_of(&self, rule: u16) -> KeyUse {
        self.rule_keys.get(usize::from(rule)).copied().unwrap_or(KeyUse::None)
    }

    pub(crate) fn property(&self, name: &str) -> Option<PropertyIx> {
        self.properties.get(name).copied()
    }

    pub(crate) fn record_trait(&self, name: &str) -> Option<RecordTraitIx> {
        self.record_traits.get(name).copied()
    }

    /// Whether matches of the rule can have moved the stage's `enter` (`entering`) or `exit`.
    pub(crate) fn feeds(&self, stage: u16, entering: bool, rule: u16) -> bool {
        let feeds = &self.feeds[usize::from(stage)];
        let by_rule = if entering { &feeds.enter } else { &feeds.exit };
        by_rule.get(usize::from(rule)).copied().unwrap_or(false)
    }
}

fn names<I>(all: &[String], index: fn(u16) -> I) -> HashMap<String, I, FixedState> {
    all.iter().enumerate().map(|(ix, name)| (name.clone(), index(ix as u16))).collect()
}

fn group_of(model: &Model, rule: usize, score: ScoreIx) -> u16 {
    let in_group = |group: &ripen_model::compiled::Group| {
        group.score == score && group.terms.iter().any(|(r, _)| r.ix() == rule)
    };
    // The compiler puts every (rule, score) into exactly one group, the nameless ones included.
    model.groups.iter().position(in_group).map_or(u16::MAX, |g| g as u16)
}

fn key_use(rule: &ripen_model::compiled::Rule) -> KeyUse {
    match &rule.recurrence {
        Recurrence::Every if rule.windowed => KeyUse::Window,
        Recurrence::Every => KeyUse::None,
        Recurrence::Once => KeyUse::Newest,
        Recurrence::Per(parts) => {
            let calendar_only = parts.iter().all(|part| !matches!(part, KeyPart::Field(_)));
            if calendar_only && rule.max.is_none() { KeyUse::Calendar } else { KeyUse::Newest }
        }
    }
}

fn fit_tests(fit: &Fit) -> Vec<(Test, i64)> {
    match &fit.table {
        FitTable::Map(entries) => {
            let test = |(constant, milli): &(ripen_model::expression::Constant, i64)| {
                (Test::Compare(Comparison::Equal, constant.clone()), *milli)
            };
            entries.iter().map(test).collect()
        }
        FitTable::Bands(_) => Vec::new(),
    }
}

fn rules_feeding(model: &Model, predicate: Option<&LeadPredicate>) -> Vec<bool> {
    let mut feeding = vec![false; model.rules.len()];
    for atom in predicate.map(LeadPredicate::atoms).unwrap_or_default() {
        for (fed, rule) in feeding.iter_mut().zip(&model.rules) {
            *fed |= match &atom.test {
                LeadTest::Score { terms, .. } => {
                    terms.iter().any(|(score, _)| rule.points.iter().any(|(fed, _)| fed == score))
                }
                LeadTest::Fact(fact) => {
                    rule.set.iter().any(|(set, _)| set == fact) || rule.unset.contains(fact)
                }
                LeadTest::Trait(..) | LeadTest::Traits(..) | LeadTest::Known | LeadTest::KnownFor { .. } => {
                    false
                }
                LeadTest::Window { .. } => false,
            };
        }
        if let LeadTest::Window { rule, .. } = &atom.test {
            feeding[rule.ix()] = true;
        }
    }
    feeding
}

/// Where a trait is read from, as fields of the record.
pub(crate) fn source_field(source: TraitSource) -> EventField {
    match source {
        TraitSource::Trait(ix) => EventField::RecordTrait(ix),
        TraitSource::Property(ix) => EventField::Property(ix),
    }
}
