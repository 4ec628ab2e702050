//! Two leads become one (S10): their activities are one list, save what either had dropped for good by then.

use ripen_model::Model;
use ripen_model::compiled::Recurrence;

use super::calendar::sealed_at_ms;
use super::history::{History, Place, Told, Visit};
use super::look::Memory;

/// What a lead did last is kept for as many activities as the hand-over asks for, at least so many.
const KEPT: usize = 8;

impl History {
    /// Takes in another lead's history at `at_ms`; `ids` are the lead's own and the other one's.
    pub(crate) fn unite(&mut self, mut other: History, model: &Model, at_ms: i64, ids: [&str; 2]) {
        self.drop_for_good(model);
        other.drop_for_good(model);
        self.count_once(&mut other, model);
        for score in 0..model.scores.len() {
            let (own, others) = (self.cleared_ms(model, score), other.cleared_ms(model, score));
            self.clear_as_of(model, score, own, others, at_ms);
            other.clear_as_of(model, score, others, own, at_ms);
        }
        // Sealed by now, so no key that the other side could meet.
        for found in other.accepted.iter_mut().flat_map(|activity| &mut activity.matches) {
            let sealed_ms = sealed_at_ms(model, &model.rules[found.rule], found.t_ms);
            if let Some(key) =
                found.key.as_mut().filter(|_| sealed_ms.is_some_and(|sealed_ms| at_ms > sealed_ms))
            {
                *key += &format!("\nof {}", ids[1]);
            }
        }
        self.visit = visits(self.visit.take(), other.visit.take(), ids);
        self.keep_log(other.log, model);
        self.known_since_ms = [self.known_since_ms, other.known_since_ms].into_iter().flatten().min();
        self.accepted.append(&mut other.accepted);
        self.floor_ms = self.floor_ms.max(other.floor_ms);
        self.remembered.append(&mut other.remembered);
        self.settled_ms = at_ms;
        self.forget_ids(model, at_ms);
    }

    /// What has been replaced, or is beyond a rule's `max`, does not come back when something else is taken back.
    fn drop_for_good(&mut self, model: &Model) {
        for rule in 0..model.rules.len() {
            let every = matches!(model.rules[rule].recurrence, Recurrence::Every);
            let stays = self.holding(model, rule);
            let gone: Vec<Place> = self.matches(rule).filter(|place| !stays.contains(place)).collect();
            for (activity, ix) in gone {
                let found = &mut self.accepted[activity].matches[ix];
                if every {
                    found.is_held = false;
                } else {
                    found.counts = false;
                }
            }
        }
    }

    /// Of two copies of one activity that both sides remember, the one with the larger `t` counts, else the own one.
    fn count_once(&mut self, other: &mut History, model: &Model) {
        let of = |id: u64| move |(_, known): &&(i64, u64)| *known == id;
        let copies: Vec<_> = self
            .remembered
            .iter()
            .filter_map(|one| Some((*one, *other.remembered.iter().find(of(one.1))?)))
            .collect();
        for (one, another) in copies {
            if another.0 > one.0 { self.take_back(one, model) } else { other.take_back(another, model) }
        }
    }

    /// Facts, traits and what it told of itself stay. The visit that it began is another activity, which no side
    /// remembers by its id: the keys that it holds stay and meet those of the other copy's visit.
    fn take_back(&mut self, copy: (i64, u64), model: &Model) {
        self.remembered.retain(|known| *known != copy);
        // One that has been taken back by an earlier merge stands beside its copy.
        let mut counting = self.accepted.iter_mut().filter(|activity| !activity.is_taken_back);
        let taken = counting.find(|activity| (activity.t_ms, activity.id) == copy);
        let taken = taken.expect("what is remembered was accepted");
        taken.is_taken_back = true;
        for found in &mut taken.matches {
            let is_own = found.id == taken.id;
            let every = matches!(model.rules[found.rule].recurrence, Recurrence::Every);
            found.counts &= !(is_own || every);
            found.is_held &= !is_own;
        }
    }

    /// S17 as of the other side's clear: what neither holds a key nor is remembered is not counted again.
    fn clear_as_of(
        &mut self,
        model: &Model,
        score: usize,
        own: Option<i64>,
        others: Option<i64>,
        at_ms: i64,
    ) {
        let Some(clear_ms) = others.filter(|others| own.is_none_or(|own| own < *others)) else { return };
        for activity in &mut self.accepted {
            let is_remembered = self.remembered.contains(&(activity.t_ms, activity.id));
            for found in activity.matches.iter_mut().filter(|found| found.t_ms > clear_ms) {
                let rule = &model.rules[found.rule];
                let counts_again = match rule.recurrence {
                    Recurrence::Every => is_remembered,
                    _ => sealed_at_ms(model, rule, found.t_ms).is_none_or(|sealed_ms| at_ms <= sealed_ms),
                };
                if !counts_again {
                    found.cleared.push(score);
                }
            }
        }
    }

    fn keep_log(&mut self, mut others: Vec<(u64, Told)>, model: &Model) {
        let asked = model.handover.as_ref().map_or(0, |handover| usize::from(handover.history));
        let most = asked.max(KEPT);
        for log in [&mut self.log, &mut others] {
            log.drain(..log.len().saturating_sub(most));
        }
        self.log.append(&mut others);
        self.log.sort_by_key(|(id, (t_ms, ..))| (*t_ms, *id));
        self.log.dedup_by_key(|(id, (t_ms, ..))| (*t_ms, *id));
    }
}

/// Visits add up; the one with the larger `t` goes on, of equal ones that of the larger lead id.
fn visits(own: Option<Visit>, other: Option<Visit>, ids: [&str; 2]) -> Option<Visit> {
    let (Some(one), Some(another)) = (own.clone(), other.clone()) else { return own.or(other) };
    let number = one.number + another.number;
    let mut newer = if (another.last_ms, ids[1]) > (one.last_ms, ids[0]) { another } else { one };
    newer.number = number;
    Some(newer)
}

impl Memory {
    /// A latch is on if either was; what was begun, was begun when it was first.
    pub(crate) fn unite(&mut self, other: &Memory) {
        for (own, other) in self.latches.iter_mut().zip(&other.latches) {
            *own = [*own, *other].into_iter().flatten().min();
        }
        for (own, other) in self.alerts.iter_mut().zip(&other.alerts) {
            *own = (own.0 || other.0, own.1.max(other.1));
        }
        self.sales.unite(&other.sales);
    }
}
