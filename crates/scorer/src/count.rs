//! Which activities count, and what of them is kept: acceptance (S2), recurrence (S4), and what else a match does.

use ripen_model::compiled::{
    AlertIx, Amount, FeedbackIx, KeyPart, Reason, Recurrence, Rule, RuleIx, RuleOrigin, ScoreIx, VerdictIx,
};

use crate::calendar;
use crate::error::FilterReason;
use crate::evidence;
use crate::lead::{self, BY_VISIT, Cleared, FactMark, Key, Lead, Remembered};
use crate::moment::Moment;
use crate::plan::{KeyUse, Plan};
use crate::shard::EARLIEST_MS;

/// Calendar keys outlive the last activity that may still be accepted for them by this.
const SEAL_MARGIN_MS: i64 = 86_400_000;

/// What the matches of one activity did beside counting.
#[derive(Debug, Clone, Default)]
pub(crate) struct Effects {
    /// The rules it counted in, those of a visit that it opened marked [`BY_VISIT`].
    pub(crate) counted: Vec<u16>,
    pub(crate) feedback: Vec<FeedbackIx>,
    pub(crate) alerts: Vec<AlertIx>,
    /// Anything that an evaluation reads may be other than it was: a rule matched, a trait came.
    pub(crate) moved: bool,
}

impl Effects {
    pub(crate) fn clear(&mut self) {
        self.counted.clear();
        self.feedback.clear();
        self.alerts.clear();
        self.moved = false;
    }
}

/// Whether the activity may count at all, for a lead that is alive or the first time in a life. Nothing is changed.
pub(crate) fn accept(
    lead: Option<&Lead>,
    moment: &Moment<'_>,
    late_accept_ms: i64,
) -> Result<(), FilterReason> {
    let is_same = |lead: &Lead| lead.remembered.iter().any(|remembered| remembered.id == moment.id);
    if lead.is_some_and(is_same) {
        return Err(FilterReason::Duplicate);
    }
    let age_ms = moment.arrival_ms.saturating_sub(moment.t_ms);
    let is_forgotten = lead.is_some_and(|lead| moment.t_ms <= lead.floor_ms);
    if age_ms > late_accept_ms || is_forgotten || moment.t_ms < EARLIEST_MS {
        return Err(FilterReason::Late);
    }
    Ok(())
}

/// Keeps the event id.
pub(crate) fn remember(lead: &mut Lead, moment: &Moment<'_>, counted: &[u16]) {
    let set = lead.sets.intern(counted);
    let remembered = Remembered { t_ms: moment.t_ms, id: moment.id, set };
    let place = lead.remembered.partition_point(|r| (r.t_ms, r.id) < (remembered.t_ms, remembered.id));
    lead.remembered.insert(place, remembered);
}

/// Forgets event ids that are older than `late_accept`, then the smallest (t, id) of those that are too many. What is
/// forgotten raises the floor, so nothing can count twice; the newest may be forgotten at once.
pub(crate) fn forget_oldest(plan: &Plan, lead: &mut Lead, at_ms: i64) {
    let time = &plan.model.time;
    let too_old = lead.remembered.partition_point(|r| at_ms - r.t_ms > time.late_accept_ms);
    let too_many = lead.remembered.len().saturating_sub(usize::from(time.remember));
    for forgotten in lead.remembered.drain(..too_old.max(too_many)) {
        lead.floor_ms = lead.floor_ms.max(forgotten.t_ms);
    }
}

/// Counts an activity in every rule that it matches; what that did is added to `effects`.
pub(crate) fn count(plan: &Plan, lead: &mut Lead, moment: &Moment<'_>, at_ms: i64, effects: &mut Effects) {
    for &rule_ix in plan.model.events.rules(moment.name()) {
        let rule = &plan.model.rules[rule_ix.ix()];
        if !moment.matches(rule) {
            continue;
        }
        effects.moved = true;
        for &(fact, ttl) in &rule.set {
            lead.mark_fact(fact, ttl, moment.t_ms);
        }
        for &fact in &rule.unset {
            lead.mark_fact(fact, FactMark::UNSET, moment.t_ms);
        }
        match rule.origin {
            RuleOrigin::Rule => {}
            RuleOrigin::Verdict(verdict) => keep_reason(plan, lead, verdict, moment),
            RuleOrigin::Feedback(feedback) => effects.feedback.push(feedback),
            RuleOrigin::Alert(alert) => {
                effects.alerts.push(alert);
                continue;
            }
            RuleOrigin::Answers => {
                keep_answer(plan, lead, moment);
                continue;
            }
        }
        if count_match(plan, lead, rule_ix, rule, moment, at_ms) {
            effects.counted.push(if moment.opens_visit { rule_ix.0 | BY_VISIT } else { rule_ix.0 });
        }
    }
}

fn keep_reason(plan: &Plan, lead: &mut Lead, verdict: VerdictIx, moment: &Moment<'_>) {
    let Reason::Read(field, kept_in) = plan.model.verdicts[verdict.ix()].reason else { return };
    if let Some(reason) = moment.kept(field) {
        lead.keep_trait(kept_in.0, moment.t_ms, moment.id, reason);
    }
}

fn keep_answer(plan: &Plan, lead: &mut Lead, moment: &Moment<'_>) {
    let Some(answers) = &plan.model.answers else { return };
    let Some(criterion) = moment.word(answers.criterion) else { return };
    let kept_in = answers.kept.iter().find(|(name, _)| name == criterion);
    if let (Some((_, kept_in)), Some(answer)) = (kept_in, moment.kept(answers.value)) {
        lead.keep_trait(kept_in.0, moment.t_ms, moment.id, answer);
    }
}

/// What an answer of the CRM does to a lead's memory; latches it moves at the next evaluation. The activity is
/// remembered already.
pub(crate) fn take_feedback(plan: &Plan, lead: &mut Lead, feedback: FeedbackIx, moment: &Moment<'_>) {
    let feedback = &plan.model.feedback[feedback.ix()];
    if let Some((stage, for_ms)) = feedback.cooldown {
        lead::extend(&mut lead.cooldowns, stage.0, moment.t_ms.saturating_add(for_ms));
    }
    if let Some((stage, for_ms)) = feedback.recycle {
        lead::extend(&mut lead.holds, stage.0, moment.t_ms.saturating_add(for_ms));
    }
    for &score in &feedback.clear {
        clear(plan, lead, score, moment.t_ms);
    }
    let micros = match feedback.value {
        Some(Amount::Stated(micros)) => micros,
        Some(Amount::Field(field)) => moment.number(field).unwrap_or(0),
        Some(Amount::Trait(_)) | None => 0,
    };
    lead.value_micros = lead.value_micros.saturating_add(micros);
}

/// Drops a score's evidence up to `t_ms`: held keys and remembered activities after it are counted again, nothing up
/// to it ever counts for that score again (S17).
pub(crate) fn clear(plan: &Plan, lead: &mut Lead, score: ScoreIx, t_ms: i64) {
    let place = lead.clears.binary_search_by(|cleared| cleared.score.cmp(&score.0));
    match place {
        Ok(at) if lead.clears[at].t_ms >= t_ms => return,
        Ok(at) => lead.clears[at].t_ms = t_ms,
        Err(at) => lead.clears.insert(at, Cleared { score: score.0, t_ms }),
    }
    let of_score = |slot: u16| plan.slots[usize::from(slot)].score == score.0;
    lead.evidence.retain(|octave| !of_score(octave.slot));
    let slots_of = |rule: u16| plan.slots_of(RuleIx(rule)).filter(|slot| of_score(*slot));
    let keyed = |rule: u16| matches!(plan.key_use_of(rule), KeyUse::Newest | KeyUse::Calendar);
    let held = lead.keys.iter().filter(|key| keyed(key.rule)).map(|key| (key.rule, key.t_ms));
    let remembered = lead.remembered.iter().flat_map(|remembered| {
        let rules = lead.sets.get(remembered.set).iter().map(|rule| rule & !BY_VISIT);
        rules.filter(|rule| !keyed(*rule)).map(|rule| (rule, remembered.t_ms))
    });
    let again = held.chain(remembered).filter(|(_, counted_ms)| *counted_ms > t_ms);
    for (rule, counted_ms) in again {
        for slot in slots_of(rule) {
            evidence::count(&mut lead.evidence, slot, &plan.slots[usize::from(slot)], counted_ms, true);
        }
    }
}

/// Seals calendar keys that no accepted activity can reach any more: their evidence stays (S4). No window reaches back
/// so far, so that nothing is evaluated otherwise.
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
fn count_match(
    plan: &Plan,
    lead: &mut Lead,
    rule: RuleIx,
    definition: &Rule,
    moment: &Moment<'_>,
    at_ms: i64,
) -> bool {
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

/// Takes back what rules hold beyond their `max`, the oldest matches first.
pub(crate) fn hold_at_most(plan: &Plan, lead: &mut Lead) {
    for (ix, rule) in plan.model.rules.iter().enumerate() {
        let ix = RuleIx(ix as u16);
        while let Some(fallen) = drop_oldest(lead, ix, rule.max) {
            if plan.key_use(ix) != KeyUse::Window {
                weigh(plan, lead, ix, fallen.t_ms, false);
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

/// Counts a match at `t_ms` for all scores of a rule, or takes it back; a score that was cleared at or after it has
/// dropped it already.
pub(crate) fn weigh(plan: &Plan, lead: &mut Lead, rule: RuleIx, t_ms: i64, add: bool) {
    for slot in plan.slots_of(rule) {
        let definition = &plan.slots[usize::from(slot)];
        let is_cleared = !lead.clears.is_empty()
            && lead.cleared_at(definition.score).is_some_and(|cleared_ms| t_ms <= cleared_ms);
        if !is_cleared {
            evidence::count(&mut lead.evidence, slot, definition, t_ms, add);
        }
    }
}
