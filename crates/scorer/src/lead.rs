//! A lead while it is being worked on: the decoded form of its committed bytes.
//!
//! Every list is sorted and bounded by the model: `remembered` by `time.remember`, `keys` by each rule's `max` or
//! by `late_accept`, `evidence` by 32 octaves a slot, `history` by `handover.history`, everything else by what the
//! model names.

use ripen_model::compiled::{FactIx, RuleIx};

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

/// The first and the newest activity that came with a campaign or from another site.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Touches {
    pub(crate) first: Option<Box<Touch>>,
    /// `None` while it is the first one.
    pub(crate) last: Option<Box<Touch>>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Touch {
    pub(crate) t_ms: i64,
    pub(crate) id: u64,
    /// Source, medium, campaign, term, content, the referrer's host; each at most [`Touch::TEXT_BYTES`] bytes.
    pub(crate) texts: [Option<Box<str>>; Touch::TEXTS],
}

impl Touch {
    pub(crate) const TEXTS: usize = 6;

    /// A text is cut here, in bytes.
    pub(crate) const TEXT_BYTES: usize = 64;
}

impl Touches {
    /// Takes in a touch of these texts: most often the newest one again, later.
    pub(crate) fn note(&mut self, t_ms: i64, id: u64, texts: [Option<&str>; Touch::TEXTS]) {
        let newest = self.last.as_mut().filter(|last| (t_ms, id) > (last.t_ms, last.id));
        match newest {
            Some(last) if last.texts.iter().map(Option::as_deref).eq(texts) => {
                (last.t_ms, last.id) = (t_ms, id);
            }
            _ => self.add(Touch { t_ms, id, texts: texts.map(|text| text.map(Into::into)) }),
        }
    }

    /// Takes in a touch: the smallest and the largest in canonical order stay.
    pub(crate) fn add(&mut self, touch: Touch) {
        match &self.first {
            None => self.first = Some(Box::new(touch)),
            Some(first) if (touch.t_ms, touch.id) < (first.t_ms, first.id) => {
                let before = self.first.replace(Box::new(touch));
                if self.last.is_none() {
                    self.last = before;
                }
            }
            Some(first) if (touch.t_ms, touch.id) == (first.t_ms, first.id) => {}
            Some(_) => {
                let newer =
                    self.last.as_ref().is_none_or(|last| (touch.t_ms, touch.id) > (last.t_ms, last.id));
                if newer {
                    self.last = Some(Box::new(touch));
                }
            }
        }
    }

    pub(crate) fn last(&self) -> Option<&Touch> {
        self.last.as_deref().or(self.first.as_deref())
    }
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

/// The lead's last activities, for explanations and the hand-over.
///
/// One run of bytes, oldest first by arrival, hardly ever read and so never taken apart. Each entry: the id's upper
/// half u32 · t · name u8 · about bytes u8, its top bit telling of a dwell · if the name is [`EventName::OTHER`]: its
/// bytes u8, the name · about · dwell u32 ms.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct History(pub(crate) Vec<u8>);

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HistoryEntry<'a> {
    /// The upper half of the event id's hash: enough to tell a few activities apart.
    pub(crate) id: u32,
    pub(crate) t_ms: i64,
    pub(crate) name: EventName<'a>,
    /// A path or a key's value; empty for none.
    pub(crate) about: &'a str,
    pub(crate) dwell_ms: Option<u32>,
}

/// The name of an event in a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventName<'a> {
    /// Not kept: the model asks for no history.
    Unkept,
    /// The place, below [`EventName::PLACES`], among the names that the model's rules look at.
    Named(u8),
    /// Any other name.
    Other(&'a str),
}

impl EventName<'_> {
    /// Names of the model that take one byte.
    pub(crate) const PLACES: u8 = 254;

    const UNKEPT: u8 = 254;
    const OTHER: u8 = 255;
}

impl History {
    /// Entries kept where the model asks for fewer: for the decisive activities of explanations.
    pub(crate) const LEAST: usize = 8;

    /// Names and what they were about are cut here, in bytes.
    const TEXT_BYTES: usize = 64;

    const HEAD_BYTES: usize = 12;
    const HAS_DWELL: u8 = 0x80;

    /// Adds an entry; beyond `most` the oldest one goes.
    pub(crate) fn add(&mut self, entry: HistoryEntry<'_>, most: usize) {
        self.put(entry);
        self.cut_to(most);
    }

    /// Drops the oldest entries beyond `most`.
    pub(crate) fn cut_to(&mut self, most: usize) {
        let surplus = self.lengths().count().saturating_sub(most);
        if surplus > 0 {
            let bytes = self.lengths().take(surplus).sum::<usize>();
            self.0.drain(..bytes);
        }
    }

    /// The bytes that each entry takes, oldest first, from the entries' heads alone.
    fn lengths(&self) -> impl Iterator<Item = usize> {
        let mut rest = self.0.as_slice();
        std::iter::from_fn(move || {
            let &[code, about] = rest.get(Self::HEAD_BYTES - 2..Self::HEAD_BYTES)?.first_chunk::<2>()?;
            let name = match code {
                EventName::OTHER => 1 + usize::from(*rest.get(Self::HEAD_BYTES)?),
                _ => 0,
            };
            let dwell = if about & Self::HAS_DWELL != 0 { 4 } else { 0 };
            let bytes = Self::HEAD_BYTES + name + usize::from(about & !Self::HAS_DWELL) + dwell;
            rest = rest.get(bytes..)?;
            Some(bytes)
        })
    }

    /// Takes in another history, by event time.
    pub(crate) fn merge(&mut self, other: &History, most: usize) {
        let own = std::mem::take(self);
        let mut entries: Vec<HistoryEntry<'_>> = own.iter().chain(other.iter()).collect();
        entries.sort_by_key(|entry| (entry.t_ms, entry.id));
        entries.dedup_by_key(|entry| (entry.t_ms, entry.id));
        entries.into_iter().for_each(|entry| self.put(entry));
        self.cut_to(most);
    }

    /// What the activity `id` was about, if that is still known.
    pub(crate) fn about(&self, id: u64) -> Option<&str> {
        let id = (id >> 32) as u32;
        self.iter().find(|entry| entry.id == id && !entry.about.is_empty()).map(|entry| entry.about)
    }

    /// The entries, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = HistoryEntry<'_>> {
        let mut rest = self.0.as_slice();
        std::iter::from_fn(move || {
            let (entry, after) = HistoryEntry::split_first(rest)?;
            rest = after;
            Some(entry)
        })
    }

    /// Bytes at the end that are no entry; 0 for whatever was written here.
    pub(crate) fn trailing_bytes(&self) -> usize {
        self.0.len() - self.iter().map(|entry| entry.bytes()).sum::<usize>()
    }

    fn put(&mut self, entry: HistoryEntry<'_>) {
        let cut = |text: &str| text.floor_char_boundary(Self::TEXT_BYTES);
        let about = &entry.about[..cut(entry.about)];
        let dwell = if entry.dwell_ms.is_some() { Self::HAS_DWELL } else { 0 };
        self.0.extend(entry.id.to_le_bytes());
        self.0.extend(&entry.t_ms.to_le_bytes()[..6]);
        let (code, other) = match entry.name {
            EventName::Unkept => (EventName::UNKEPT, None),
            EventName::Named(place) => (place, None),
            EventName::Other(name) => (EventName::OTHER, Some(&name[..cut(name)])),
        };
        self.0.extend([code, about.len() as u8 | dwell]);
        if let Some(name) = other {
            self.0.push(name.len() as u8);
            self.0.extend(name.as_bytes());
        }
        self.0.extend(about.as_bytes());
        self.0.extend(entry.dwell_ms.iter().flat_map(|dwell_ms| dwell_ms.to_le_bytes()));
    }
}

impl<'a> HistoryEntry<'a> {
    fn split_first(bytes: &'a [u8]) -> Option<(HistoryEntry<'a>, &'a [u8])> {
        let (id, after) = bytes.split_first_chunk::<4>()?;
        let (t, after) = after.split_first_chunk::<6>()?;
        let (&[code, about], mut after) = after.split_first_chunk::<2>()?;
        let mut text = |bytes: usize| {
            let (text, rest) = after.split_at_checked(bytes)?;
            after = rest;
            Some(text)
        };
        let word = |bytes| std::str::from_utf8(bytes).unwrap_or_default();
        let name = match code {
            EventName::OTHER => {
                let length = usize::from(*text(1)?.first()?);
                EventName::Other(word(text(length)?))
            }
            EventName::UNKEPT => EventName::Unkept,
            place => EventName::Named(place),
        };
        let (has_dwell, about) = (about & History::HAS_DWELL != 0, about & !History::HAS_DWELL);
        let about = word(text(usize::from(about))?);
        let dwell_ms = if has_dwell { text(4)?.try_into().ok().map(u32::from_le_bytes) } else { None };
        let mut t_ms = [0; 8];
        t_ms[2..].copy_from_slice(t);
        let t_ms = i64::from_le_bytes(t_ms) >> 16;
        Some((HistoryEntry { id: u32::from_le_bytes(*id), t_ms, name, about, dwell_ms }, after))
    }

    fn bytes(&self) -> usize {
        let name = if let EventName::Other(name) = self.name { 1 + name.len() } else { 0 };
        let dwell = if self.dwell_ms.is_some() { 4 } else { 0 };
        History::HEAD_BYTES + name + self.about.len() + dwell
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

impl TraitValue {
    /// Its bytes in a lead's state.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            TraitValue::Boolean(_) => 2,
            TraitValue::Number(_) => 9,
            TraitValue::Text(text) => 3 + text.len(),
            TraitValue::List(list) => 3 + list.0.iter().map(TraitValue::bytes).sum::<usize>(),
        }
    }
}

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
        self.touches = Touches::default();
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
        let known = self.alerts.get(at).is_some_and(|known| known.alert == mark.alert);
        let says_nothing = !mark.is_on && mark.fired_ms == NEVER;
        match (known, says_nothing) {
            (true, true) => {
                self.alerts.remove(at);
            }
            (true, false) => self.alerts[at] = mark,
            (false, true) => {}
            (false, false) => self.alerts.insert(at, mark),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_entries_are_kept_cut_at_a_character() {
        let mut history = History::default();
        for id in 0..20_u32 {
            let about = format!("/{id}/{}", "ü".repeat(60));
            let name = if id == 12 { EventName::Other("odd") } else { EventName::Named(3) };
            let dwell_ms = (id % 2 == 0).then_some(id);
            history.add(HistoryEntry { id, t_ms: -5 + i64::from(id), name, about: &about, dwell_ms }, 8);
        }
        assert_eq!(history.iter().map(|entry| entry.id).collect::<Vec<_>>(), (12..20).collect::<Vec<_>>());
        assert_eq!(history.about(11 << 32), None);
        assert_eq!(history.about(19 << 32), Some(format!("/19/{}", "ü".repeat(30)).as_str()));
        let first = history.iter().next().map(|entry| (entry.t_ms, entry.name, entry.dwell_ms));
        assert_eq!(first, Some((7, EventName::Other("odd"), Some(12))));
        assert_eq!(history.iter().map(|entry| entry.bytes()).sum::<usize>(), history.0.len());
        assert_eq!(History(vec![1; 20]).about(1), None, "whatever bytes there are");
    }

    #[test]
    fn of_touches_the_smallest_and_the_largest_stay_in_any_order() {
        let touch = |t_ms: i64| Touch { t_ms, id: 1, texts: Default::default() };
        for order in [[1, 2, 3], [3, 2, 1], [2, 1, 3], [2, 3, 1]] {
            let mut touches = Touches::default();
            order.into_iter().for_each(|t_ms| touches.add(touch(t_ms)));
            assert_eq!(touches.first.as_ref().map(|touch| touch.t_ms), Some(1));
            assert_eq!(touches.last().map(|touch| touch.t_ms), Some(3));
        }
    }
}
