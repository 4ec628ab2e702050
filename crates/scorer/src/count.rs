//! Which activities count, and what of them is kept: acceptance (S2) and recurrence (S4).

use ripen_model::compiled::{KeyPart, Recurrence, RuleIx};

use crate::calendar;
use crate::error::FilterReason;
use crate::evidence;
use crate::lead::{BY_VISIT, FactMark, Key, Lead, Remembered};
use crate::moment::Moment;
use crate::plan::{KeyUse, Plan};
use crate::shard::EARLIEST_MS;

/// Calendar keys outlive the last activity that may still be accepted for them by this.
const SEAL_MARGIN_MS: i64 = 86_400_000;

/// Whether the activity may count at all. Nothing is changed.
pub(crate) fn accept(lead: &Lead, moment: &Moment<'_>, late_accept_ms: i64) -> Result<(), FilterReason> {
    if lead.remembered.iter().any(|remembered| remembered.id == moment.id) {
        return Err(FilterReason::Duplicate);
    }
    let age_ms = moment.arrival_ms.saturating_sub(moment.t_ms);
    if age_ms > late_accept_ms || moment.t_ms <= lead.floor_ms || moment.t_ms < EARLIEST_MS {
        return Err(FilterReason::Late);
    }
    Ok(())
}

/// Keeps the event id, and forgets the oldest ones: those older than `late_accept`, then the smallest (t, id).
/// What is forgotten raises the floor, so nothing can count twice; the new one may be forgotten at once.
pub(crate) fn remember(plan: &Plan, lead: &mut Lead, moment: &Moment<'_>, counted: &[u16], at_ms: i64) {
    let time = &plan.model.time;
    let set = lead.sets.intern(counted);
    let remembered = Remembered { t_ms: moment.t_ms, id: moment.id, set };
    let place = lead.remembered.partition_point(|r| (r.t_ms, r.id) < (remembered.t_ms, remembered.id));
    lead.remembered.insert(place, remembered);
    let too_old = lead.remembered.partition_point(|r| at_ms - r.t_ms > time.late_accept_ms);
    let too_many = lead.remembered.len().saturating_sub(usize::from(time.remember));
    for forgotten in lead.remembered.drain(..too_old.max(too_many)) {
        lead.floor_ms = lead.floor_ms.max(forgotten.t_ms);
    }
}

/// Counts an activity in every rule that it matches; the rules it counted in are appended to `counted`.
pub(crate) fn count(plan: &Plan, lead: &mut Lead, moment: &Moment<'_>, at_ms: i64, counted: &mut Vec<u16>) {
    for &rule_ix in plan.model.events.rules(moment.name()) {
        let rule = &plan.model.rules[rule_ix.ix()];
        if !moment.matches(rule) {
            continue;
        }
        for &(fact, ttl) in &rule.set {
            lead.mark_fact(fact, ttl, moment.t_ms);
        }
        for &fact in &rule.unset {
            lead.mark_fact(fact, FactMark::UNSET, moment.t_ms);
        }
        if count_match(plan, lead, rule_ix, moment, at_ms) {
            counted.push(if moment.opens_visit { rule_ix.0 | BY_VISIT } else { rule_ix.0 });
        }
    }
}

/// Seals calendar keys that no accepted activity can reach any more: their evidence stays (S4).
pub(crate) fn seal_keys(plan: &Plan, lead: &mut Lead, at_ms: i64) {
    let margin_ms = plan.model.time.late_accept_ms.saturating_add(SEAL_MARGIN_MS);
    // A bucket ends after every instant in it: younger keys need no calendar.
    if !lead.keys.iter().any(|key| key.t_ms.saturating_add(margin_ms) < at_ms) {
        return;
    }
    lead.keys.retain(|key| {
        let rule = RuleIx(key.rule);
        plan.key_use(rule) != KeyUse::Calendar || !is_sealed(plan, rule, key.t_ms, at_ms)
    });
}

fn is_sealed(plan: &Plan, rule: RuleIx, t_ms: i64, at_ms: i64) -> bool {
    let margin_ms = plan.model.time.late_accept_ms.saturating_add(SEAL_MARGIN_MS);
    if t_ms.saturating_add(margin_ms) >= at_ms {
        return false;
    }
    let Recurrence::Per(parts) = &plan.model.rules[rule.ix()].recurrence else { return false };
    let end_ms = |part: &KeyPart| calendar::bucket_end_ms(&plan.model.time.zone, part, t_ms);
    parts.iter().filter_map(end_ms).min().is_some_and(|end_ms| end_ms.saturating_add(margin_ms) < at_ms)
}

/// Whether the match is now the one that counts for its key.
fn count_match(plan: &Plan, lead: &mut Lead, rule: RuleIx, moment: &Moment<'_>, at_ms: i64) -> bool {
    let definition = &plan.model.rules[rule.ix()];
    let key_use = plan.key_use(rule);
    if key_use == KeyUse::None {
        weigh(plan, lead, rule, moment.t_ms, true);
        return true;
    }
    if key_use == KeyUse::Calendar && is_sealed(plan, rule, moment.t_ms, at_ms) {
        return false;
    }
    let key = Key {
        rule: rule.0,
        key: moment.key(definition),
        t_ms: moment.t_ms,
        id: moment.id,
        summed: moment.summed(definition),
    };
    let held = lead.key_range(rule.0);
    match lead.keys[held.clone()].binary_search_by(|k| k.key.cmp(&key.key)) {
        Ok(at) => {
            let replaced = lead.keys[held.start + at];
            if key.order() <= replaced.order() {
                return false;
            }
            lead.keys[held.start + at] = key;
            if key_use != KeyUse::Window {
                weigh(plan, lead, rule, replaced.t_ms, false);
            }
            weigh(plan, lead, rule, key.t_ms, true);
            true
        }
        Err(at) => {
            lead.keys.insert(held.start + at, key);
            weigh(plan, lead, rule, key.t_ms, true);
            let fallen = drop_oldest(lead, rule, definition.max);
            match fallen {
                Some(fallen) if key_use != KeyUse::Window => {
                    weigh(plan, lead, rule, fallen.t_ms, false);
                    fallen.id != key.id
                }
                _ => true,
            }
        }
    }
}

/// Drops the key with the oldest match, if there are more than `max`.
fn drop_oldest(lead: &mut Lead, rule: RuleIx, max: Option<u16>) -> Option<Key> {
    let held = lead.key_range(rule.0);
    if held.len() <= usize::from(max?) {
        return None;
    }
    let oldest = held.min_by_key(|&at| lead.keys[at].order())?;
    Some(lead.keys.remove(oldest))
}

fn weigh(plan: &Plan, lead: &mut Lead, rule: RuleIx, t_ms: i64, add: bool) {
    for slot in plan.slots_of(rule) {
        evidence::count(&mut lead.evidence, slot, &plan.slots[usize::from(slot)], t_ms, add);
    }
}
