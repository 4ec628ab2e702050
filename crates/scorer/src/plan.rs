//! What the scorer works out of a model once: evidence slots, who feeds what, names to indices.
//!
//! Nothing here is semantics; it only saves looking things up for every activity.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use foldhash::fast::FixedState;
use ripen_model::Model;
use ripen_model::compiled::{
    FactIx, Feedback, Fit, FitTable, KeyPart, PropertyIx, RecordTraitIx, Recurrence, Rule, RuleIx,
    RuleOrigin, Score, ScoreIx, TraitSource, VerdictHolds,
};
use ripen_model::expression::{Comparison, EventField, LeadPredicate, LeadTest, Test};

use crate::history::{EventName, History};
use crate::rest::Rest;

/// The name of the derived activity that opens a visit.
pub(crate) const VISIT_STARTED: &str = "visit_started";

/// The property with which trackers say how long a page was looked at, in seconds.
const DWELL: &str = "dwell_seconds";

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
    /// For each score the first one of its half-life.
    pub(crate) same_decay: Vec<usize>,
    /// Groups of each score, in the model's order.
    pub(crate) score_groups: Vec<Vec<usize>>,
    /// Fits of each score, in the model's order.
    pub(crate) score_fits: Vec<Vec<usize>>,
    /// For each fit with a map: the test of each entry, and its points.
    pub(crate) fit_tests: Vec<Vec<(Test, i64)>>,
    /// Bonuses of each score, in the model's order.
    pub(crate) score_bonuses: Vec<Vec<usize>>,
    /// For each stage, by rule: whether the rule feeds `enter`, and `exit`.
    feeds: Vec<StageFeeds>,
    /// For each audience, and for each alert, by rule: whether the rule feeds it.
    audience_feeds: Vec<Vec<bool>>,
    alert_feeds: Vec<Vec<bool>>,
    /// Verdicts that hide stages, and the highest stage that they leave.
    pub(crate) caps: Vec<(u16, u16)>,
    /// Whether a verdict asks for a score.
    pub(crate) verdicts_read_scores: bool,
    /// Entries of history that a lead keeps.
    pub(crate) history: usize,
    /// Whether the hand-over asks for history: names and dwell are kept.
    pub(crate) keeps_history: bool,
    /// Event names that rules look at, sorted.
    event_names: Vec<String>,
    /// `properties.dwell_seconds`, if the model carries it.
    pub(crate) dwell: Option<PropertyIx>,
    /// Stages with `overrides`, ascending.
    pub(crate) overrides: Vec<u16>,
    /// Which leads need no evaluation of an activity that moves nothing.
    pub(crate) rest: Rest,
    /// Whether opening a visit can count in any rule.
    pub(crate) visit_rules: bool,
    /// Whether a place in one of the model's lists may need two bytes.
    pub(crate) is_wide: bool,
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
        let first_of_half_life = |score: &Score| {
            let is_same = |other: &Score| other.half_life_ms == score.half_life_ms;
            model.scores.iter().position(is_same).unwrap_or_default()
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
            .enumerate()
            .map(|(stage, feeds)| fed_by_feedback(&model, stage, feeds))
            .collect();
        let bonuses_of = |score: usize| -> Vec<usize> {
            (0..model.bonuses.len()).filter(|&b| model.bonuses[b].score.ix() == score).collect()
        };
        let mut event_names: Vec<String> = model.events.named.keys().cloned().collect();
        event_names.sort_unstable();
        event_names.truncate(usize::from(EventName::PLACES));
        let history = usize::from(model.handover.as_ref().map_or(0, |handover| handover.history));
        let caps = model.verdicts.iter().enumerate();
        let caps = caps.filter_map(|(ix, verdict)| Some((ix as u16, verdict.cap_stage?.0))).collect();
        Plan {
            rest: Rest::new(&model, &slots),
            slot_rules,
            rule_slots,
            rule_keys: model.rules.iter().map(key_use).collect(),
            same_decay: model.scores.iter().map(first_of_half_life).collect(),
            score_groups: (0..model.scores.len()).map(groups_of).collect(),
            score_fits: (0..model.scores.len()).map(fits_of).collect(),
            score_bonuses: (0..model.scores.len()).map(bonuses_of).collect(),
            fit_tests: model.fits.iter().map(fit_tests).collect(),
            feeds,
            audience_feeds: model.audiences.iter().map(|a| rules_feeding(&model, Some(&a.when))).collect(),
            alert_feeds: model.alerts.iter().map(|a| rules_feeding(&model, a.when.as_ref())).collect(),
            caps,
            verdicts_read_scores: model.verdicts.iter().any(|verdict| match &verdict.holds {
                VerdictHolds::Fact(_) => false,
                VerdictHolds::While(when) => reads_scores(&model, when),
            }),
            history: history.max(History::LEAST),
            keeps_history: history > 0,
            event_names,
            dwell: model.properties.iter().position(|name| name == DWELL).map(|ix| PropertyIx(ix as u16)),
            overrides: (0..model.stages.len())
                .filter(|&s| model.stages[s].overrides)
                .map(|s| s as u16)
                .collect(),
            is_wide: model.has_wide_places(),
            visit_rules: !model.events.rules(VISIT_STARTED).is_empty(),
            properties: names(&model.properties, PropertyIx),
            record_traits: names(&model.record_traits, RecordTraitIx),
            slots,
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

    /// Whether matches of the rule can have moved what changed.
    pub(crate) fn feeds(&self, fed: Fed, rule: u16) -> bool {
        let by_rule = match fed {
            Fed::Enter(stage) => &self.feeds[usize::from(stage)].enter,
            Fed::Exit(stage) => &self.feeds[usize::from(stage)].exit,
            Fed::Audience(audience) => &self.audience_feeds[usize::from(audience)],
            Fed::Alert(alert) => &self.alert_feeds[usize::from(alert)],
        };
        by_rule.get(usize::from(rule)).copied().unwrap_or(false)
    }

    /// How an event's name stands in a lead's history.
    pub(crate) fn event_name<'a>(&self, name: &'a str) -> EventName<'a> {
        match self.event_names.binary_search_by(|known| known.as_str().cmp(name)) {
            _ if !self.keeps_history => EventName::Unkept,
            Ok(place) => EventName::Named(place as u8),
            Err(_) => EventName::Other(name),
        }
    }

    /// The name behind an entry of a lead's history; `None` for one that was not kept.
    pub(crate) fn event_text<'a>(&'a self, name: EventName<'a>) -> Option<&'a str> {
        match name {
            EventName::Unkept => None,
            EventName::Named(place) => self.event_names.get(usize::from(place)).map(String::as_str),
            EventName::Other(name) => Some(name),
        }
    }
}

/// Something that changes by what rules count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fed {
    /// A stage's latch, set.
    Enter(u16),
    /// A stage's latch, cleared.
    Exit(u16),
    Audience(u16),
    Alert(u16),
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
    if let Some(predicate) = predicate {
        feed(model, predicate, &mut feeding);
    }
    feeding
}

/// Whether a predicate that does not ask for verdicts asks for a score.
fn reads_scores(model: &Model, predicate: &LeadPredicate) -> bool {
    predicate.atoms().into_iter().any(|atom| match &atom.test {
        LeadTest::Score { .. } => true,
        LeadTest::AnyDefinition => model.definitions.iter().any(|d| reads_scores(model, &d.when)),
        _ => false,
    })
}

/// Marks the rules that satisfy a test.
fn mark(model: &Model, feeding: &mut [bool], feeds: impl Fn(&Rule) -> bool) {
    feeding.iter_mut().zip(&model.rules).for_each(|(fed, rule)| *fed |= feeds(rule));
}

fn moves(rule: &Rule, fact: FactIx) -> bool {
    rule.set.iter().any(|(set, _)| *set == fact) || rule.unset.contains(&fact)
}

/// Marks the rules that can move a predicate. The compiler has refused predicates that read themselves.
fn feed(model: &Model, predicate: &LeadPredicate, feeding: &mut [bool]) {
    for atom in predicate.atoms() {
        match &atom.test {
            LeadTest::Score { terms, .. } => {
                for (score, _) in terms {
                    mark(model, feeding, |rule| {
                        rule.points.iter().any(|(fed, _)| fed == score)
                            || feedback_of(model, rule).is_some_and(|feedback| feedback.clear.contains(score))
                    });
                }
                let read = |score: ScoreIx| terms.iter().any(|(term, _)| *term == score);
                model.bonuses.iter().filter(|b| read(b.score)).for_each(|b| feed(model, &b.when, feeding));
            }
            LeadTest::Fact(fact) => mark(model, feeding, |rule| moves(rule, *fact)),
            LeadTest::Window { rule, .. } => feeding[rule.ix()] = true,
            LeadTest::AnyDefinition => model.definitions.iter().for_each(|d| feed(model, &d.when, feeding)),
            LeadTest::Disqualified => {
                for verdict in model.verdicts.iter().filter(|verdict| verdict.cap_stage.is_none()) {
                    match &verdict.holds {
                        VerdictHolds::Fact(fact) => mark(model, feeding, |rule| moves(rule, *fact)),
                        VerdictHolds::While(when) => feed(model, when, feeding),
                    }
                }
            }
            // What keeps a trait counts in no rule, an answer's included.
            LeadTest::Trait(..) | LeadTest::Traits(..) => {}
            LeadTest::Known | LeadTest::KnownFor { .. } | LeadTest::Stage(_) | LeadTest::StageFor { .. } => {}
        }
    }
}

fn feedback_of<'m>(model: &'m Model, rule: &Rule) -> Option<&'m Feedback> {
    match rule.origin {
        RuleOrigin::Feedback(ix) => model.feedback.get(ix.ix()),
        _ => None,
    }
}

/// Feedback that recycles, cools down or reopens moves latches without any predicate.
fn fed_by_feedback(model: &Model, stage: usize, mut feeds: StageFeeds) -> StageFeeds {
    for (ix, rule) in model.rules.iter().enumerate() {
        let Some(feedback) = feedback_of(model, rule) else { continue };
        let recycles = feedback.recycle.map(|(to, _)| to.ix());
        feeds.enter[ix] |= recycles == Some(stage);
        feeds.exit[ix] |= recycles.is_some_and(|to| to < stage)
            || feedback.cooldown.is_some_and(|(cooled, _)| cooled.ix() == stage)
            || feedback.reopen.iter().any(|reopened| reopened.ix() == stage);
    }
    feeds
}

/// Where a trait is read from, as fields of the record.
pub(crate) fn source_field(source: TraitSource) -> EventField {
    match source {
        TraitSource::Trait(ix) => EventField::RecordTrait(ix),
        TraitSource::Property(ix) => EventField::Property(ix),
    }
}
