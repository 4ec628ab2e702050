//! A lead under another model (S18): what it counted goes on under the same names, nothing is replayed.
//!
//! Points, caps, thresholds and stages are not part of a lead: they hold at once. What is: evidence, which is carried
//! or counted again under a changed half-life; held keys, which are sealed where their fields changed; marks of facts,
//! traits, latches and so on, which move to the places of the new model. What the new model does not name is dropped.

use std::collections::HashMap;

use foldhash::fast::FixedState;
use ripen_model::Model;
use ripen_model::compiled::{KeyPart, Recurrence, Rule, RuleIx, RuleOrigin};
use ripen_model::expression::EventField;

use crate::count;
use crate::evidence::{self, Octave};
use crate::history::{EventName, History, HistoryEntry};
use crate::lead::{BY_VISIT, FactMark, Key, Lead, RuleSets};
use crate::plan::{KeyUse, Plan};

/// Where everything of one model stands in another one.
#[derive(Debug)]
pub(crate) struct Mapping {
    rules: Vec<Option<u16>>,
    /// By old rule: its keys mean something else now.
    rekeyed: Vec<bool>,
    /// By old fact: its place, and that of each of its times to live.
    facts: Vec<Option<(u16, Vec<u8>)>>,
    traits: Vec<Option<u16>>,
    scores: Vec<Option<u16>>,
    stages: Vec<Option<u16>>,
    audiences: Vec<Option<u16>>,
    verdicts: Vec<Option<u16>>,
    alerts: Vec<Option<u16>>,
    /// By new slot: the old slot whose evidence it takes over.
    slots: Vec<Option<u16>>,
}

/// What a lead had that the new model does not name, and that others have been told of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Gone {
    /// Id and owner of its stage.
    pub(crate) stage: Option<(String, String)>,
    /// Audiences that it was in.
    pub(crate) audiences: Vec<String>,
}

impl Mapping {
    pub(crate) fn new(old: &Plan, new: &Plan) -> Mapping {
        let (from, to) = (&*old.model, &*new.model);
        let rules = places(&from.rules, &to.rules, |rule| (tag(rule.origin), rule.id.clone()));
        let rekeyed = |(ix, rule): (usize, &Rule)| {
            rules[ix].is_some_and(|new| key_words(from, rule) != key_words(to, &to.rules[usize::from(new)]))
        };
        let fact_places = places(&from.facts, &to.facts, |fact| (fact.is_verdict, fact.name.clone()));
        let facts = from.facts.iter().zip(fact_places).map(|(fact, place)| {
            let ttls_ms = &to.facts[usize::from(place?)].ttls_ms;
            Some((place?, fact.ttls_ms.iter().map(|ttl_ms| nearest(ttls_ms, *ttl_ms)).collect()))
        });
        let facts = facts.collect();
        let scores = places(&from.scores, &to.scores, |score| score.name.clone());
        Mapping {
            rekeyed: from.rules.iter().enumerate().map(rekeyed).collect(),
            facts,
            traits: places(&from.traits, &to.traits, |kept| kept.name.clone()),
            stages: places(&from.stages, &to.stages, |stage| stage.id.clone()),
            audiences: places(&from.audiences, &to.audiences, |audience| audience.name.clone()),
            verdicts: places(&from.verdicts, &to.verdicts, |verdict| verdict.id.clone()),
            alerts: places(&from.alerts, &to.alerts, |alert| alert.id.clone()),
            slots: slot_sources(old, new, &rules, &scores),
            rules,
            scores,
        }
    }

    /// Brings a lead from the old model to the new one, at `at_ms`, which is not before its last instant.
    pub(crate) fn convert(&self, old: &Plan, new: &Plan, lead: &mut Lead, at_ms: i64) -> Gone {
        lead.evidence = self.evidence(old, new, lead, at_ms);
        self.keys(new, lead);
        self.memory(lead);
        self.marks(lead);
        let gone = self.stages(old, lead);
        self.history(old, new, lead);
        count::hold_at_most(new, lead);
        count::forget_oldest(new, lead, at_ms);
        evidence::prune(&mut lead.evidence, &new.slots, at_ms);
        gone
    }

    /// The evidence of every slot of the new model; the lead's keys are still those of the old one.
    fn evidence(&self, old: &Plan, new: &Plan, lead: &Lead, at_ms: i64) -> Vec<Octave> {
        let mut evidence = Vec::new();
        for (ix, source) in self.slots.iter().enumerate() {
            let is = &new.slots[ix];
            let Some(source) = *source else {
                self.count_held(new, lead, ix, &mut evidence);
                continue;
            };
            let was = &old.slots[usize::from(source)];
            let start = lead.evidence.partition_point(|octave| octave.slot < source);
            let octaves = lead.evidence[start..].iter().take_while(|octave| octave.slot == source);
            let slot = ix as u16;
            if was.half_life_ms == is.half_life_ms {
                evidence.extend(octaves.map(|octave| Octave { slot, ..*octave }));
                continue;
            }
            // Held keys are counted anew, the rest is carried by its value at the switch.
            let mut rest: Vec<Octave> = octaves.copied().collect();
            let mut anew = Vec::new();
            let rule = old.slot_rules[usize::from(source)];
            if matches!(old.key_use_of(rule), KeyUse::Newest | KeyUse::Calendar) {
                let cleared_ms = lead.cleared_at(was.score);
                for key in lead.keys_of(RuleIx(rule)) {
                    if cleared_ms.is_none_or(|cleared_ms| key.t_ms > cleared_ms) {
                        evidence::count(&mut rest, source, was, key.t_ms, false);
                        evidence::count(&mut anew, slot, is, key.t_ms, true);
                    }
                }
            }
            evidence::carry(&rest, was.half_life_ms, &mut anew, slot, is.half_life_ms, at_ms);
            evidence.extend(anew);
        }
        evidence
    }

    /// A rule that gave nothing gives points from now on: as much as its keys hold, since a key takes back what it gave.
    fn count_held(&self, new: &Plan, lead: &Lead, slot: usize, evidence: &mut Vec<Octave>) {
        let (is, rule) = (&new.slots[slot], new.slot_rules[slot]);
        if !matches!(new.key_use_of(rule), KeyUse::Newest | KeyUse::Calendar) {
            return;
        }
        let place = |places: &[Option<u16>], of| places.iter().position(|place| *place == Some(of));
        let Some(was) = place(&self.rules, rule).filter(|was| !self.rekeyed[*was]) else { return };
        let cleared_ms = place(&self.scores, is.score).and_then(|score| lead.cleared_at(score as u16));
        for key in lead.keys_of(RuleIx(was as u16)) {
            if cleared_ms.is_none_or(|cleared_ms| key.t_ms > cleared_ms) {
                evidence::count(evidence, slot as u16, is, key.t_ms, true);
            }
        }
    }

    fn keys(&self, new: &Plan, lead: &mut Lead) {
        let moved = lead.keys.iter().filter(|key| !self.rekeyed[usize::from(key.rule)]).filter_map(|key| {
            let rule = self.rules[usize::from(key.rule)]?;
            let holds = new.key_use_of(rule) != KeyUse::None;
            holds.then_some(Key { rule, ..*key })
        });
        let mut keys: Vec<Key> = moved.collect();
        keys.sort_unstable_by_key(|key| (key.rule, key.key));
        lead.keys = keys;
    }

    fn memory(&self, lead: &mut Lead) {
        let mut sets = RuleSets::default();
        let places: Vec<u16> = lead
            .sets
            .iter()
            .map(|set| {
                let moved = set.iter().filter_map(|rule| {
                    let place = self.rules.get(usize::from(rule & !BY_VISIT)).copied().flatten()?;
                    Some(place | (rule & BY_VISIT))
                });
                sets.intern(&moved.collect::<Vec<u16>>())
            })
            .collect();
        for remembered in &mut lead.remembered {
            remembered.set = places[usize::from(remembered.set)];
        }
        lead.sets = sets;
    }

    fn marks(&self, lead: &mut Lead) {
        for mark in std::mem::take(&mut lead.facts) {
            let Some((fact, ttls)) = &self.facts[usize::from(mark.fact)] else { continue };
            let ttl = if mark.ttl == FactMark::UNSET {
                Some(FactMark::UNSET)
            } else {
                ttls.get(usize::from(mark.ttl)).copied()
            };
            if let Some(ttl) = ttl {
                lead.mark_fact(ripen_model::compiled::FactIx(*fact), ttl, mark.t_ms);
            }
        }
        for stored in std::mem::take(&mut lead.traits) {
            if let Some(ix) = self.traits[usize::from(stored.ix)] {
                lead.keep_trait(ix, stored.t_ms, stored.id, stored.value);
            }
        }
        moved(&mut lead.clears, &self.scores, |cleared| &mut cleared.score);
        moved(&mut lead.verdicts, &self.verdicts, |verdict| verdict);
        moved(&mut lead.alerts, &self.alerts, |mark| &mut mark.alert);
    }

    fn stages(&self, old: &Plan, lead: &mut Lead) -> Gone {
        let mut gone = Gone::default();
        for audience in &lead.audiences {
            if self.audiences[usize::from(*audience)].is_none() {
                gone.audiences.push(old.model.audiences[usize::from(*audience)].name.clone());
            }
        }
        moved(&mut lead.audiences, &self.audiences, |audience| audience);
        moved(&mut lead.latches, &self.stages, |latch| &mut latch.stage);
        // The first stage of a model is never latched.
        lead.latches.retain(|latch| latch.stage != 0);
        moved(&mut lead.cooldowns, &self.stages, |of| &mut of.stage);
        moved(&mut lead.holds, &self.stages, |of| &mut of.stage);
        lead.clock = lead.clock.take().and_then(|mut clock| {
            clock.stage = self.stages[usize::from(clock.stage)]?;
            Some(clock)
        });
        match self.stages[usize::from(lead.stage)] {
            Some(stage) => lead.stage = stage,
            None => {
                let stage = &old.model.stages[usize::from(lead.stage)];
                gone.stage = Some((stage.id.clone(), stage.owner.clone()));
                lead.stage = 0;
            }
        }
        gone
    }

    fn history(&self, old: &Plan, new: &Plan, lead: &mut Lead) {
        let before = std::mem::take(&mut lead.history);
        let mut history = History::default();
        for entry in before.iter() {
            let name = old.event_text(entry.name).map_or(EventName::Unkept, |name| new.event_name(name));
            history.add(HistoryEntry { name, ..entry }, new.history);
        }
        lead.history = history;
    }
}

/// Moves the places in a list, drops what has none, and sorts by place.
fn moved<T>(list: &mut Vec<T>, places: &[Option<u16>], place_of: impl Fn(&mut T) -> &mut u16) {
    list.retain_mut(|entry| {
        let place = place_of(entry);
        match places.get(usize::from(*place)).copied().flatten() {
            Some(new) => {
                *place = new;
                true
            }
            None => false,
        }
    });
    let mut keyed: Vec<(u16, T)> = list.drain(..).map(|mut entry| (*place_of(&mut entry), entry)).collect();
    keyed.sort_by_key(|(place, _)| *place);
    list.extend(keyed.into_iter().map(|(_, entry)| entry));
}

/// By old entry: the place of the new entry of the same name.
fn places<T, N: std::hash::Hash + Eq>(old: &[T], new: &[T], name: impl Fn(&T) -> N) -> Vec<Option<u16>> {
    let by_name: HashMap<N, u16, FixedState> =
        new.iter().enumerate().map(|(ix, entry)| (name(entry), ix as u16)).collect();
    old.iter().map(|entry| by_name.get(&name(entry)).copied()).collect()
}

/// By new slot: the old slot of the same rule and score; else, the rule being an old one, one of its other slots, which
/// counted the same matches: one of the same half-life first.
fn slot_sources(old: &Plan, new: &Plan, rules: &[Option<u16>], scores: &[Option<u16>]) -> Vec<Option<u16>> {
    let old_rule = |new_rule: u16| rules.iter().position(|place| *place == Some(new_rule));
    let slots = new.slots.iter().zip(&new.slot_rules);
    let source = |(slot, rule): (&crate::plan::Slot, &u16)| {
        let candidates = old.slots_of(RuleIx(old_rule(*rule)? as u16));
        let same_score =
            |at: &u16| scores[usize::from(old.slots[usize::from(*at)].score)] == Some(slot.score);
        let same_speed = |at: &u16| old.slots[usize::from(*at)].half_life_ms == slot.half_life_ms;
        let mut ordered: Vec<u16> = candidates.collect();
        ordered.sort_by_key(|at| (!same_score(at), !same_speed(at)));
        ordered.first().copied()
    };
    slots.map(source).collect()
}

/// Of the times to live of a fact the one that a mark goes on with: its own, else the next longer one, else the
/// longest.
fn nearest(ttls_ms: &[Option<i64>], ttl_ms: Option<i64>) -> u8 {
    let length = |ttl_ms: Option<i64>| ttl_ms.unwrap_or(i64::MAX);
    let wanted = length(ttl_ms);
    let order = |(_, ttl_ms): &(usize, &Option<i64>)| {
        let length = length(**ttl_ms);
        if length >= wanted { (0, length) } else { (1, -length) }
    };
    ttls_ms.iter().enumerate().min_by_key(order).map_or(0, |(place, _)| place as u8)
}

fn tag(origin: RuleOrigin) -> u8 {
    match origin {
        RuleOrigin::Rule => 0,
        RuleOrigin::Verdict(_) => 1,
        RuleOrigin::Feedback(_) => 2,
        RuleOrigin::Alert(_) => 3,
        RuleOrigin::Answers => 4,
    }
}

/// What a rule's keys are made of, in words that two models share.
fn key_words(model: &Model, rule: &Rule) -> Vec<String> {
    let zone = || model.time.zone.iana_name().unwrap_or("UTC").to_owned();
    let mut words = match &rule.recurrence {
        Recurrence::Every => vec!["every".to_owned()],
        Recurrence::Once => vec!["once".to_owned()],
        Recurrence::Per(parts) => parts
            .iter()
            .map(|part| match part {
                KeyPart::Field(EventField::Property(ix)) => {
                    format!("properties.{}", model.properties[ix.ix()])
                }
                KeyPart::Field(EventField::RecordTrait(ix)) => {
                    format!("traits.{}", model.record_traits[ix.ix()])
                }
                KeyPart::Field(EventField::PageParameter(ix)) => {
                    format!("page.{}", model.page_parameters[ix.ix()])
                }
                KeyPart::Field(field) => format!("{field:?}"),
                calendar => format!("{calendar:?} {}", zone()),
            })
            .collect(),
    };
    words.extend(rule.summed.map(|ix| format!("sum {}", model.properties[ix.ix()])));
    words
}
