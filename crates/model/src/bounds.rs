//! How large a lead's state can get under a model: every collection in it is bounded by the file.
//!
//! The sizes per entry are generous for a compact encoding: an instant or a hash takes at most 10 bytes as a
//! variable-length integer, so no entry of the state can be larger than what is counted here.

use crate::compiled::{KeyPart, Model, Recurrence, Rule};

/// A model whose worst case is above this is refused.
pub const LARGEST_LEAD_BYTES: u64 = 256 * 1024;

/// Octaves of evidence held per rule and score.
const OCTAVES: u64 = 32;

/// An octave: its number and a 64-bit sum.
const OCTAVE_BYTES: u64 = 20;

/// A held key: its hash, the counted match's instant and event id hash.
const KEY_BYTES: u64 = 30;

/// A remembered activity: hash, instant, the index of its set of rules.
const REMEMBERED_BYTES: u64 = 24;

/// An interned set of rules, per rule in it.
const RULE_IN_SET_BYTES: u64 = 3;

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
const HISTORY_BYTES: u64 = 4 + 10 + 2 * (64 + 2) + 6;

/// Entries of history that every lead keeps, for the decisive activities of explanations.
const LEAST_HISTORY: u64 = 8;

/// First and last touch: an instant, an event id hash, five campaign parameters and a host, 64 bytes at most each.
const TOUCHES_BYTES: u64 = 2 * (10 + 10 + 6 * (64 + 2));

/// Identity (64 ids of 256 bytes at most are never all that long: 64 · 96), visit, clocks, sequence, value.
const FIXED_BYTES: u64 = 64 * 96 + 512;

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
        let sets = remembered * (4 + largest_set * RULE_IN_SET_BYTES);
        let facts: u64 = self.facts.iter().map(|fact| (fact.ttls_ms.len() as u64 + 1) * FACT_BYTES).sum();
        let traits = self.traits.len() as u64 * (TEXT_BYTES + TRAIT_BYTES);
        let history = self.handover.as_ref().map_or(0, |handover| u64::from(handover.history));
        FIXED_BYTES
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
            + history.max(LEAST_HISTORY) * HISTORY_BYTES
    }

    /// About what a visitor of a few activities takes, in bytes: three activities of two rules within one visit.
    pub fn typical_bytes_per_lead(&self) -> u64 {
        // Header, an id of a cookie, the visit; the remembered activities and their two sets of rules; their keys
        // and an octave for each score that the average rule feeds.
        let (header, id, visit, activity, set, key, octave) = (52, 41, 24, 16, 4, 12, 11);
        let scoring: Vec<u64> =
            self.file_rules().map(|rule| rule.points.len() as u64).filter(|scores| *scores > 0).collect();
        let scores = 2 * scoring.iter().sum::<u64>() / (scoring.len() as u64).max(1);
        header + id + visit + 3 * activity + 2 * set + 2 * key + scores * octave
    }

    fn rule_bytes(&self, rule: &Rule) -> u64 {
        let evidence = rule.points.len() as u64 * OCTAVES * OCTAVE_BYTES;
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
