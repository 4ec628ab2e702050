//! How large a lead's state can get under a model: every collection in it is bounded by the file.
//!
//! The sizes are those of the state's layout, which the scorer's `layout` describes; its tests hold every state that
//! they make against the bound computed here.

use crate::compiled::{KeyPart, Model, Recurrence, Rule, ScoreIx};

/// A model whose worst case is above this is refused.
pub const LARGEST_LEAD_BYTES: u64 = 256 * 1024;

/// Things of a kind of which every place, and their number, fits a byte of a lead's state.
pub const NARROW_PLACES: usize = 254;

/// Octaves of evidence held per rule and score.
const OCTAVES: u64 = 32;

/// An octave: its slot, its age and a 64-bit sum.
const OCTAVE_BYTES: u64 = 11;

/// A held key: its rule, its hash, the place of its event; one that is not remembered any more brings its own instant
/// and hash.
const KEY_BYTES: u64 = 12 + 14;

/// A remembered activity: instant, hash, the place of its set of rules.
const REMEMBERED_BYTES: u64 = 16;

/// A set of rules: their number, and each of them.
const SET_BYTES: u64 = 2;
const RULE_IN_SET_BYTES: u64 = 2;

/// A text that travels with the state (trait values, paths) is cut at this many bytes.
const TEXT_BYTES: u64 = 256;

/// What stands beside such a text: its trait or rule, an instant, an event id hash, a length.
const TRAIT_BYTES: u64 = 40;

/// A fact's instant per time to live, and its newest unset.
const FACT_BYTES: u64 = 10;

/// A stage: its latch with `since`, the end of its cool-down, the end of what holds a recycled lead there.
const STAGE_BYTES: u64 = 3 * 12;

/// A score's newest `clear`.
const CLEAR_BYTES: u64 = 12;

/// Whether a verdict holds, whether the lead is in an audience.
const FLAG_BYTES: u64 = 4;

/// When an alert fired last, and whether its condition holds.
const ALERT_BYTES: u64 = 16;

/// The stay in the hand-over stages and the response clock.
const RESPONSE_BYTES: u64 = 64;

/// A history entry: the head of its id, instant, name and what it was about (64 bytes at most each), dwell.
const HISTORY_BYTES: u64 = HISTORY_HEAD_BYTES + 1 + 2 * 64 + 4;
const HISTORY_HEAD_BYTES: u64 = 12;
/// A visit that opened with an activity of the history: what it was about.
const VISIT_IN_HISTORY_BYTES: u64 = HISTORY_HEAD_BYTES + 64;

/// Entries of history that every lead keeps, for the decisive activities of explanations.
const LEAST_HISTORY: u64 = 8;

/// First and last touch: an instant, an event id hash, five campaign parameters and a host, 64 bytes at most each.
const TOUCHES_BYTES: u64 = 2 * (10 + 10 + 6 * (64 + 2));

/// Ids that a lead knows of, its own among them: their lengths and at most 256 bytes each.
const IDS_BYTES: u64 = 64 * (2 + 256);

/// Header, visit, clocks, sequence, value.
const FIXED_BYTES: u64 = 128;

/// What a lead takes in memory beside its bytes: its place in the map of leads (a key of 16 bytes, a pointer and a
/// length, at two thirds of its room), its timer (24 bytes, at three quarters), the allocator's own and rounding.
const MEMORY_BYTES: u64 = 50 + 32 + 24;

impl Model {
    /// An upper bound of one lead's encoded state, in bytes.
    pub fn worst_case_bytes_per_lead(&self) -> u64 {
        let rules: u64 = self.rules.iter().map(|rule| self.rule_bytes(rule)).sum();
        let remembered = u64::from(self.time.remember);
        // Every remembered activity may have a set of rules of its own: those of its event, and those of the visit
        // that it may have opened.
        let largest_set = self.events.named.values().map(Vec::len).max().unwrap_or(0);
        let largest_set = largest_set.max(self.events.any.len()) + self.events.rules("visit_started").len();
        let largest_set = largest_set as u64;
        let sets = remembered * (SET_BYTES + largest_set * RULE_IN_SET_BYTES);
        let facts: u64 = self.facts.iter().map(|fact| (fact.ttls_ms.len() as u64 + 1) * FACT_BYTES).sum();
        let traits = self.traits.len() as u64 * (TEXT_BYTES + TRAIT_BYTES);
        let history = self.handover.as_ref().map_or(0, |handover| u64::from(handover.history));
        let opens_visits = history > 0 && !self.events.rules("visit_started").is_empty();
        let visit_bytes = if opens_visits { VISIT_IN_HISTORY_BYTES } else { 0 };
        FIXED_BYTES
            + IDS_BYTES
            + rules
            + remembered * REMEMBERED_BYTES
            + sets
            + facts
            + traits
            + self.stages.len() as u64 * STAGE_BYTES
            + self.scores.len() as u64 * CLEAR_BYTES
            + (self.verdicts.len() + self.audiences.len()) as u64 * FLAG_BYTES
            + self.alerts.len() as u64 * ALERT_BYTES
            + RESPONSE_BYTES
            + TOUCHES_BYTES
            + history.max(LEAST_HISTORY) * (HISTORY_BYTES + visit_bytes)
    }

    /// Whether places in the model's lists, which a lead's state is full of, may need two bytes instead of one.
    pub fn has_wide_places(&self) -> bool {
        let slots = self.rules.iter().map(|rule| rule.points.len()).sum();
        let lists = [
            slots,
            self.rules.len(),
            self.scores.len(),
            self.stages.len(),
            self.facts.len(),
            self.traits.len(),
            self.verdicts.len(),
            self.audiences.len(),
            self.alerts.len(),
        ];
        lists.into_iter().any(|len| len > NARROW_PLACES)
    }

    /// About what a visitor of a few activities takes in memory, in bytes: a cookie and three page views of one visit,
    /// each of which counts in a rule of its own kind.
    pub fn typical_bytes_per_lead(&self) -> u64 {
        const ACTIVITIES: u64 = 3;
        // The sizes above are those of wide places and counts: two bytes each. A narrow one saves one of them.
        let saved = u64::from(!self.has_wide_places());
        // Header, a cookie's id, a visit without a session; what pages were about takes some 12 bytes.
        let (header, id, visit, about) = (52 - 10 * saved, 37, 20, 12);
        let page_rules =
            || self.file_rules().filter(|rule| !rule.points.is_empty() && self.looks_at_pages(rule));
        let scores: u64 = page_rules().map(|rule| rule.points.len() as u64).sum();
        // An octave for each score of the average rule, rounded up: rarely do three views meet in one.
        let octaves = (ACTIVITIES * scores).div_ceil(2 * (page_rules().count() as u64).max(1));
        let keyed = page_rules().any(|rule| !matches!(rule.recurrence, Recurrence::Every));
        let keys = if keyed { ACTIVITIES } else { 0 };
        let value = header
            + id
            + visit
            + ACTIVITIES * (REMEMBERED_BYTES - saved + HISTORY_HEAD_BYTES + about)
            + 2 * (SET_BYTES + RULE_IN_SET_BYTES)
            + keys * (12 - 2 * saved)
            + octaves * (OCTAVE_BYTES - saved);
        value + MEMORY_BYTES
    }

    fn looks_at_pages(&self, rule: &Rule) -> bool {
        self.events.rules("page_view").iter().any(|ix| std::ptr::eq(&self.rules[ix.ix()], rule))
    }

    fn rule_bytes(&self, rule: &Rule) -> u64 {
        let octaves =
            |score: &ScoreIx| if self.scores[score.ix()].half_life_ms.is_some() { OCTAVES } else { 1 };
        let evidence = rule.points.iter().map(|(score, _)| octaves(score) * OCTAVE_BYTES).sum::<u64>();
        let summed = if rule.summed.is_some() { 10 } else { 0 };
        4 + evidence + self.keys_held(rule) * (KEY_BYTES + summed)
    }

    /// The most keys that a rule holds for one lead.
    pub fn keys_held(&self, rule: &Rule) -> u64 {
        match (rule.max, &rule.recurrence) {
            (Some(max), _) => u64::from(max),
            (None, Recurrence::Every) => 0,
            (None, Recurrence::Once) => 1,
            (None, Recurrence::Per(parts)) => {
                // Calendar buckets are sealed at `bucket end + late_accept + 1 d`; the coarsest part only adds
                // detail to the finest.
                let bucket_ms: i64 = if parts.contains(&KeyPart::Hour) {
                    3_600_000
                } else if parts.contains(&KeyPart::Day) {
                    86_400_000
                } else {
                    7 * 86_400_000
                };
                let held_ms = self.time.late_accept_ms + 86_400_000;
                // One more for the bucket that is open, one for the fraction, one for a clock change.
                (held_ms / bucket_ms).unsigned_abs() + 3
            }
        }
    }
}

/// Refuses a model whose worst case is too large, naming the rules that take most of it.
pub(crate) fn check(model: &Model) -> Result<(), String> {
    let bytes = model.worst_case_bytes_per_lead();
    if bytes <= LARGEST_LEAD_BYTES {
        return Ok(());
    }
    let mut rules: Vec<(u64, &str)> =
        model.rules.iter().map(|rule| (model.rule_bytes(rule), rule.id.as_str())).collect();
    rules.sort_by(|a, b| b.cmp(a));
    let largest: Vec<String> = rules.iter().take(3).map(|(bytes, id)| format!("`{id}` {bytes}")).collect();
    Err(format!(
        "one lead could take {bytes} bytes, {LARGEST_LEAD_BYTES} are allowed; the largest rules: {}",
        largest.join(", ")
    ))
}
