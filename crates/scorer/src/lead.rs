//! A lead while it is being worked on: the decoded form of its committed bytes.
//!
//! Every list is sorted and bounded by the model: `remembered` by `time.remember`, `keys` by each rule's `max` or
//! by `late_accept`, `evidence` by 32 octaves a slot, `history` by `handover.history`, everything else by what the
//! model names.

use ripen_model::compiled::{FactIx, RuleIx};

use crate::history::History;
use crate::touches::Touches;

/// Marks a rule in a remembered set as counted by the activity that opened a visit, not by the record itself.
pub(crate) const BY_VISIT: u16 = 0x8000;

/// Where an instant is not known.
pub(crate) const NEVER: i64 = i64::MIN;

/// One lead.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Lead {
    pub(crate) id: String,
    pub(crate) standing: Standing,
    /// Ids that it has absorbed, in the order in which it did.
    pub(crate) ids: Vec<Box<str>>,
    /// What arrived up to here before an erasure is not wanted any more; [`NEVER`] for no erasure.
    pub(crate) erased_ms: i64,
    /// Arrival of the life's first activity.
    pub(crate) born_ms: i64,
    /// The armed deadline: never later than the first instant at which anything may change by itself.
    pub(crate) deadline_ms: i64,
    /// The lead's own T: the largest instant of an accepted activity or of a deadline that changed something.
    pub(crate) last_ms: i64,
    /// T of the last accepted activity.
    pub(crate) accepted_ms: i64,
    /// Activities at or below this are too late; [`NEVER`] for none.
    pub(crate) floor_ms: i64,
    /// Event time of the earliest activity with a known id.
    pub(crate) known_since_ms: Option<i64>,
    pub(crate) epoch: u32,
    /// The number of decisions in this life.
    pub(crate) seq: u32,
    pub(crate) stage: u16,
    /// When the lead came to its stage.
    pub(crate) stage_since_ms: i64,
    pub(crate) visit: Option<Visit>,
    /// The stay in the hand-over stages, while there is one.
    pub(crate) stay: Option<Stay>,
    /// The response clock of the stay.
    pub(crate) clock: Option<Clock>,
    /// What feedback said that the lead has brought in, millionths.
    pub(crate) value_micros: i64,
    pub(crate) touches: Touches,
    /// By stage; the first stage, always latched, is not listed.
    pub(crate) latches: Vec<Latch>,
    /// By stage: cool-downs, which keep a latch off before this instant.
    pub(crate) cooldowns: Vec<StageUntil>,
    /// By stage: recycled stages, whose `exit` is not read before this instant.
    pub(crate) holds: Vec<StageUntil>,
    /// By score: the newest `clear`.
    pub(crate) clears: Vec<Cleared>,
    /// Verdicts that held at the last evaluation.
    pub(crate) verdicts: Vec<u16>,
    /// Audiences that the lead is in.
    pub(crate) audiences: Vec<u16>,
    /// By alert: those that have fired or whose condition holds.
    pub(crate) alerts: Vec<AlertMark>,
    /// By (fact, time to live), the unset mark last.
    pub(crate) facts: Vec<FactMark>,
    /// By (slot, octave).
    pub(crate) evidence: Vec<crate::evidence::Octave>,
    /// By (rule, key).
    pub(crate) keys: Vec<Key>,
    /// By (t, id).
    pub(crate) remembered: Vec<Remembered>,
    /// The sets that `remembered` points to.
    pub(crate) sets: RuleSets,
    /// By trait.
    pub(crate) traits: Vec<StoredTrait>,
    pub(crate) history: History,
}

/// What an id stands for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Standing {
    /// A lead.
    #[default]
    Alive,
    /// Another lead has absorbed it: what arrives goes there.
    MergedInto(Box<str>),
    /// Erased and not come back.
    Erased {
        /// Nothing is accepted again.
        is_suppressed: bool,
    },
}

/// The newest visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Visit {
    pub(crate) number: u32,
    /// Pages and screens of this visit so far.
    pub(crate) pages: u32,
    pub(crate) start_ms: i64,
    /// The largest event time of web origin.
    pub(crate) last_ms: i64,
    /// From the visit before; `None` in the first visit.
    pub(crate) gap_ms: Option<i64>,
    /// Hash of the tracker's session id, never 0.
    pub(crate) session: Option<u64>,
}

/// A stage that has been entered and not left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Latch {
    pub(crate) stage: u16,
    pub(crate) since_ms: i64,
}

/// A stage and the end of what holds for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StageUntil {
    pub(crate) stage: u16,
    pub(crate) until_ms: i64,
}

/// A score whose evidence up to an instant counts nothing any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cleared {
    pub(crate) score: u16,
    pub(crate) t_ms: i64,
}

/// What is remembered of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AlertMark {
    pub(crate) alert: u16,
    /// Its condition holds.
    pub(crate) is_on: bool,
    /// When it last fired; [`NEVER`] if it has not.
    pub(crate) fired_ms: i64,
}

/// A stay in the hand-over stages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stay {
    pub(crate) since_ms: i64,
    pub(crate) is_handed_over: bool,
}

/// A response clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Clock {
    pub(crate) stage: u16,
    pub(crate) start_ms: i64,
    /// Steps behind it: 0 open, 1 overdue, 2 the first escalation, …
    pub(crate) steps: u8,
    pub(crate) is_answered: bool,
}

/// The newest setting of a fact with one time to live, or its newest unsetting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FactMark {
    pub(crate) fact: u16,
    /// A place in the fact's times to live, or [`FactMark::UNSET`].
    pub(crate) ttl: u8,
    pub(crate) t_ms: i64,
}

impl FactMark {
    pub(crate) const UNSET: u8 = u8::MAX;
}

/// The newest match of one key of one rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) rule: u16,
    pub(crate) key: u64,
    pub(crate) t_ms: i64,
    pub(crate) id: u64,
    /// The summed property, millionths; 0 for rules without.
    pub(crate) summed: i64,
}

impl Key {
    /// The place in canonical order.
    pub(crate) fn order(&self) -> (i64, u64) {
        (self.t_ms, self.id)
    }
}

/// An event id that must not count again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Remembered {
    pub(crate) t_ms: i64,
    pub(crate) id: u64,
    /// A place in the lead's [`RuleSets`].
    pub(crate) set: u16,
}

/// The distinct sets of rules that activities counted in, each its length followed by its rules. Few per lead: most of
/// its activities are alike.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct RuleSets(pub(crate) Vec<u16>);

impl RuleSets {
    /// The place of a set, which is added if it is new.
    pub(crate) fn intern(&mut self, rules: &[u16]) -> u16 {
        let known = self.iter().position(|set| set.first() == rules.first() && set == rules);
        known.unwrap_or_else(|| {
            let places = self.iter().count();
            self.0.push(rules.len() as u16);
            self.0.extend(rules);
            places
        }) as u16
    }

    pub(crate) fn get(&self, set: u16) -> &[u16] {
        self.iter().nth(usize::from(set)).unwrap_or_default()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u16]> {
        let mut rest = self.0.as_slice();
        std::iter::from_fn(move || {
            let (&length, after) = rest.split_first()?;
            let (rules, after) = after.split_at_checked(usize::from(length))?;
            rest = after;
            Some(rules)
        })
    }
}

/// A trait's newest value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredTrait {
    pub(crate) ix: u16,
    pub(crate) t_ms: i64,
    pub(crate) id: u64,
    pub(crate) value: TraitValue,
}

/// What a trait keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TraitValue {
    Boolean(bool),
    /// Millionths.
    Number(i64),
    Text(Box<str>),
    List(TraitList),
}

/// A flat list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TraitList(pub(crate) Vec<TraitValue>);

impl Lead {
    /// Makes it a lead without a past, before its first activity; whatever it was before is gone, its room is kept.
    pub(crate) fn begin(&mut self, id: &str, born_ms: i64, epoch: u32) {
        self.id.clear();
        self.id.push_str(id);
        self.standing = Standing::Alive;
        self.ids.clear();
        self.erased_ms = NEVER;
        self.born_ms = born_ms;
        self.deadline_ms = i64::MAX;
        self.last_ms = born_ms;
        self.accepted_ms = born_ms;
        self.floor_ms = NEVER;
        self.known_since_ms = None;
        self.epoch = epoch;
        self.seq = 0;
        self.stage = 0;
        self.stage_since_ms = born_ms;
        self.visit = None;
        self.stay = None;
        self.clock = None;
        self.value_micros = 0;
        self.touches.clear();
        self.latches.clear();
        self.cooldowns.clear();
        self.holds.clear();
        self.clears.clear();
        self.verdicts.clear();
        self.audiences.clear();
        self.alerts.clear();
        self.facts.clear();
        self.evidence.clear();
        self.keys.clear();
        self.remembered.clear();
        self.sets.0.clear();
        self.traits.clear();
        self.history.0.clear();
    }

    pub(crate) fn latched_since(&self, stage: u16) -> Option<i64> {
        self.latches.iter().find(|latch| latch.stage == stage).map(|latch| latch.since_ms)
    }

    pub(crate) fn set_latch(&mut self, stage: u16, since_ms: i64) {
        let at = self.latches.partition_point(|latch| latch.stage < stage);
        self.latches.insert(at, Latch { stage, since_ms });
    }

    /// The end of a stage's cool-down.
    pub(crate) fn cooled_until(&self, stage: u16) -> Option<i64> {
        until(&self.cooldowns, stage)
    }

    /// The instant before which a recycled stage's `exit` is not read.
    pub(crate) fn held_until(&self, stage: u16) -> Option<i64> {
        until(&self.holds, stage)
    }

    /// Nothing at or before this counts for the score.
    pub(crate) fn cleared_at(&self, score: u16) -> Option<i64> {
        self.clears.iter().find(|cleared| cleared.score == score).map(|cleared| cleared.t_ms)
    }

    pub(crate) fn alert_mark(&self, alert: u16) -> AlertMark {
        let none = AlertMark { alert, is_on: false, fired_ms: NEVER };
        self.alerts.iter().find(|mark| mark.alert == alert).copied().unwrap_or(none)
    }

    pub(crate) fn put_alert_mark(&mut self, mark: AlertMark) {
        let at = self.alerts.partition_point(|known| known.alert < mark.alert);
        match self.alerts.get_mut(at) {
            Some(known) if known.alert == mark.alert => *known = mark,
            _ => self.alerts.insert(at, mark),
        }
    }

    pub(crate) fn clear_latch(&mut self, stage: u16) {
        self.latches.retain(|latch| latch.stage != stage);
    }

    /// Moves a fact's mark to `t_ms`, if that is newer: all marks are maxima (S8).
    pub(crate) fn mark_fact(&mut self, fact: FactIx, ttl: u8, t_ms: i64) {
        match self.facts.binary_search_by(|mark| (mark.fact, mark.ttl).cmp(&(fact.0, ttl))) {
            Ok(at) => self.facts[at].t_ms = self.facts[at].t_ms.max(t_ms),
            Err(at) => self.facts.insert(at, FactMark { fact: fact.0, ttl, t_ms }),
        }
    }

    pub(crate) fn fact_marks(&self, fact: FactIx) -> &[FactMark] {
        let start = self.facts.partition_point(|mark| mark.fact < fact.0);
        let end = self.facts.partition_point(|mark| mark.fact <= fact.0);
        &self.facts[start..end]
    }

    pub(crate) fn keys_of(&self, rule: RuleIx) -> &[Key] {
        let range = self.key_range(rule.0);
        &self.keys[range]
    }

    pub(crate) fn key_range(&self, rule: u16) -> std::ops::Range<usize> {
        let start = self.keys.partition_point(|key| key.rule < rule);
        start..start + self.keys[start..].partition_point(|key| key.rule == rule)
    }

    pub(crate) fn stored_trait(&self, ix: u16) -> Option<&TraitValue> {
        let at = self.traits.binary_search_by(|stored| stored.ix.cmp(&ix)).ok()?;
        Some(&self.traits[at].value)
    }

    /// Keeps a present value of a trait, if it is newer by `(t, id)`.
    pub(crate) fn keep_trait(&mut self, ix: u16, t_ms: i64, id: u64, value: TraitValue) {
        let stored = StoredTrait { ix, t_ms, id, value };
        match self.traits.binary_search_by(|stored| stored.ix.cmp(&ix)) {
            Ok(at) if (t_ms, id) > (self.traits[at].t_ms, self.traits[at].id) => self.traits[at] = stored,
            Ok(_) => {}
            Err(at) => self.traits.insert(at, stored),
        }
    }
}

fn until(list: &[StageUntil], stage: u16) -> Option<i64> {
    list.iter().find(|of| of.stage == stage).map(|of| of.until_ms)
}

/// Moves the end of what holds for a stage to `until_ms`, if that is later: all of them are maxima.
pub(crate) fn extend(list: &mut Vec<StageUntil>, stage: u16, until_ms: i64) {
    match list.binary_search_by(|of| of.stage.cmp(&stage)) {
        Ok(at) => list[at].until_ms = list[at].until_ms.max(until_ms),
        Err(at) => list.insert(at, StageUntil { stage, until_ms }),
    }
}
