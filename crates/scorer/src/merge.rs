//! Two leads become one (S10): everything either of them counted counts once.
//!
//! Evidence, keys, facts, traits and verdicts come out the same in whatever order leads are merged, while keys are
//! held; latches depend on the order, since they have a memory (S17).

use ripen_model::compiled::{FactIx, RuleIx, ScoreIx};

use crate::count;
use crate::evidence::{self, Octave};
use crate::lead::{self, AlertMark, BY_VISIT, FactMark, Key, Lead, Remembered, Stay, Visit};
use crate::plan::{KeyUse, Plan};

/// Ids that one lead knows of, its own aside. A lead of more ids still counts everything; what is beyond is not told
/// when the lead is erased.
pub(crate) const MOST_IDS: usize = 63;

/// Adds what `absorbed` is to `survivor`, at `at_ms`, which is not before either of them. Stage, audiences and timers
/// are the next evaluation's work.
pub(crate) fn merge(plan: &Plan, survivor: &mut Lead, absorbed: &mut Lead, at_ms: i64) {
    // Copies first: the keys that they hold, however old, are taken back with them.
    count_once(plan, survivor, absorbed);
    for side in [&mut *survivor, &mut *absorbed] {
        count::seal_keys(plan, side, at_ms);
        evidence::prune(&mut side.evidence, &plan.slots, at_ms);
    }
    level_clears(plan, survivor, absorbed);
    add_evidence(&mut survivor.evidence, &absorbed.evidence);
    add_keys(plan, survivor, &absorbed.keys);
    add_memory(plan, survivor, absorbed, at_ms);
    add_marks(survivor, absorbed);
    add_visit(survivor, absorbed);
    survivor.accepted_ms = survivor.accepted_ms.max(absorbed.accepted_ms);
    survivor.last_ms = at_ms;
    survivor.known_since_ms = match (survivor.known_since_ms, absorbed.known_since_ms) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    };
    survivor.value_micros = survivor.value_micros.saturating_add(absorbed.value_micros);
    survivor.touches.merge(&absorbed.touches);
    survivor.history.merge(&absorbed.history, plan.history);
    add_ids(survivor, absorbed);
}

/// Makes `lead` know of another id.
pub(crate) fn add_id(lead: &mut Lead, id: &str) {
    let is_new = *lead.id != *id && !lead.ids.iter().any(|known| **known == *id);
    if is_new && lead.ids.len() < MOST_IDS {
        lead.ids.push(id.into());
    }
}

fn add_ids(survivor: &mut Lead, absorbed: &Lead) {
    add_id(survivor, &absorbed.id);
    for id in &absorbed.ids {
        add_id(survivor, id);
    }
}

/// Of two copies of one activity the one with the larger `t` counts, else the survivor's: the matches of the other are
/// taken back, those that have been replaced already aside.
fn count_once(plan: &Plan, survivor: &mut Lead, absorbed: &mut Lead) {
    let copies = survivor.remembered.iter().filter_map(|one| {
        let other = absorbed.remembered.iter().find(|other| other.id == one.id)?;
        Some((*one, *other))
    });
    let copies: Vec<(Remembered, Remembered)> = copies.collect();
    for (one, other) in copies {
        if other.t_ms > one.t_ms {
            take_back(plan, survivor, one);
        } else {
            take_back(plan, absorbed, other);
        }
    }
}

/// A visit's beginning is an activity of its own, whose id is not known here: the keys that it holds on both sides are
/// one key, and meet as such.
fn take_back(plan: &Plan, lead: &mut Lead, copy: Remembered) {
    for marked in lead.sets.get(copy.set).to_vec() {
        let rule = RuleIx(marked & !BY_VISIT);
        let by_visit = marked & BY_VISIT != 0;
        let is_counted = match plan.key_use(rule) {
            KeyUse::None => true,
            KeyUse::Window => {
                if !by_visit {
                    drop_key(lead, rule, copy);
                }
                true
            }
            KeyUse::Newest | KeyUse::Calendar => !by_visit && drop_key(lead, rule, copy),
        };
        if is_counted {
            count::weigh(plan, lead, rule, copy.t_ms, false);
        }
    }
    lead.remembered.retain(|remembered| (remembered.t_ms, remembered.id) != (copy.t_ms, copy.id));
}

/// Whether the activity held a key of the rule, which it does no more.
fn drop_key(lead: &mut Lead, rule: RuleIx, copy: Remembered) -> bool {
    let before = lead.keys.len();
    lead.keys.retain(|key| key.rule != rule.0 || key.order() != (copy.t_ms, copy.id));
    lead.keys.len() < before
}

/// What was cleared on one side is cleared on the other.
fn level_clears(plan: &Plan, survivor: &mut Lead, absorbed: &mut Lead) {
    for cleared in absorbed.clears.clone() {
        count::clear(plan, survivor, ScoreIx(cleared.score), cleared.t_ms);
    }
    for cleared in survivor.clears.clone() {
        count::clear(plan, absorbed, ScoreIx(cleared.score), cleared.t_ms);
    }
}

fn add_evidence(octaves: &mut Vec<Octave>, others: &[Octave]) {
    for other in others {
        match octaves.binary_search_by(|octave| (octave.slot, octave.k).cmp(&(other.slot, other.k))) {
            Ok(at) => octaves[at].weight = octaves[at].weight.saturating_add(other.weight),
            Err(at) => octaves.insert(at, *other),
        }
    }
}

/// Keys unite: the newest match of each counts, the newest `max` of a rule are held.
fn add_keys(plan: &Plan, lead: &mut Lead, others: &[Key]) {
    let counts_each = |rule: u16| plan.key_use_of(rule) == KeyUse::Window;
    for other in others {
        match lead.keys.binary_search_by(|key| (key.rule, key.key).cmp(&(other.rule, other.key))) {
            Err(at) => lead.keys.insert(at, *other),
            Ok(at) => {
                let held = lead.keys[at];
                let (newer, older) =
                    if other.order() > held.order() { (*other, held) } else { (held, *other) };
                lead.keys[at] = newer;
                if !counts_each(older.rule) {
                    count::weigh(plan, lead, RuleIx(older.rule), older.t_ms, false);
                }
            }
        }
    }
    count::hold_at_most(plan, lead);
}

fn add_memory(plan: &Plan, survivor: &mut Lead, absorbed: &Lead, at_ms: i64) {
    survivor.floor_ms = survivor.floor_ms.max(absorbed.floor_ms);
    for other in &absorbed.remembered {
        let set = survivor.sets.intern(absorbed.sets.get(other.set));
        survivor.remembered.push(Remembered { set, ..*other });
    }
    survivor.remembered.sort_unstable_by_key(|remembered| (remembered.t_ms, remembered.id));
    count::forget_oldest(plan, survivor, at_ms);
}

/// Everything of which the newest, the oldest or either counts.
fn add_marks(survivor: &mut Lead, absorbed: &mut Lead) {
    for FactMark { fact, ttl, t_ms } in absorbed.facts.drain(..) {
        survivor.mark_fact(FactIx(fact), ttl, t_ms);
    }
    for stored in absorbed.traits.drain(..) {
        survivor.keep_trait(stored.ix, stored.t_ms, stored.id, stored.value);
    }
    for latch in absorbed.latches.drain(..) {
        match survivor.latches.iter_mut().find(|known| known.stage == latch.stage) {
            Some(known) => known.since_ms = known.since_ms.min(latch.since_ms),
            None => survivor.set_latch(latch.stage, latch.since_ms),
        }
    }
    for of in &absorbed.cooldowns {
        lead::extend(&mut survivor.cooldowns, of.stage, of.until_ms);
    }
    for of in &absorbed.holds {
        lead::extend(&mut survivor.holds, of.stage, of.until_ms);
    }
    for mark in &absorbed.alerts {
        let known = survivor.alert_mark(mark.alert);
        let (is_on, fired_ms) = (known.is_on || mark.is_on, known.fired_ms.max(mark.fired_ms));
        survivor.put_alert_mark(AlertMark { is_on, fired_ms, ..*mark });
    }
    survivor.stay = match (survivor.stay, absorbed.stay) {
        (Some(one), Some(other)) => Some(Stay {
            since_ms: one.since_ms.min(other.since_ms),
            is_handed_over: one.is_handed_over || other.is_handed_over,
        }),
        (one, other) => one.or(other),
    };
    survivor.clock = match (survivor.clock, absorbed.clock) {
        (Some(one), Some(other)) => Some(if other.start_ms < one.start_ms { other } else { one }),
        (one, other) => one.or(other),
    };
}

/// Visits add up; the newer one goes on.
fn add_visit(survivor: &mut Lead, absorbed: &Lead) {
    let Some(other) = absorbed.visit else { return };
    survivor.visit = Some(match survivor.visit {
        None => other,
        Some(one) => {
            let newer = (other.last_ms, &absorbed.id) > (one.last_ms, &survivor.id);
            let number = one.number.saturating_add(other.number);
            Visit { number, ..if newer { other } else { one } }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_known_once_and_only_so_many_are() {
        let mut lead = Lead::default();
        lead.begin("user:0", 0, 1);
        for id in ["user:0", "anon:a", "anon:a"] {
            add_id(&mut lead, id);
        }
        assert_eq!(lead.ids.len(), 1);
        for n in 0..100 {
            add_id(&mut lead, &format!("anon:{n}"));
        }
        assert_eq!(lead.ids.len(), MOST_IDS);
    }
}
