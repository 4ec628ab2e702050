//! Persons who are forgotten on request: what an erasure ends, and what it refuses from then on.

use ripen_records::{Cause, IdKind, LeadId};

use super::identity::Message;
use super::{Fate, Lead, Reference, Refusal, look};

/// So long is it known that an id was erased.
const KNOWN_MS: i64 = 30 * 86_400_000;

/// What an erasure leaves of an id.
#[derive(Debug, Clone)]
pub(super) struct Mark {
    /// What arrived up to here is not wanted any more.
    at_ms: i64,
    /// Nothing is accepted again.
    is_suppressed: bool,
    /// Whom the id belonged to before, as far as is known: until it begins anew.
    belonged_to: Vec<LeadId>,
}

impl Reference {
    /// A request to forget an id.
    pub(crate) fn erase(&mut self, id: &LeadId, arrival_ms: i64, suppress: bool, timestamp_ms: i64) -> Fate {
        self.tick(timestamp_ms);
        let arrival_ms = arrival_ms.min(self.clock_ms);
        let mark = self.mark(id).cloned();
        if !suppress && mark.as_ref().is_some_and(|mark| arrival_ms <= mark.at_ms) {
            return Fate::Erased;
        }
        let (life, parent) = (self.leads.get_mut(id), self.parents.remove(id));
        let told = match (&life, &parent) {
            (Some(lead), _) => lead.ids.clone(),
            (None, parent) => parent.iter().map(|parent| parent.id.clone()).collect(),
        };
        let born_ms = life.as_ref().map(|lead| lead.born_ms).or(parent.as_ref().and_then(|of| of.born_ms));
        if let Some(lead) = life {
            lead.last_ms = lead.last_ms.max(arrival_ms);
            let decided = look::end(&lead.evidence, &lead.memory, lead.last_ms, Cause::Erased, lead.seq > 0);
            self.say(id, decided);
            self.leads.remove(id);
        }
        let (was_suppressed, mut belonged_to) =
            mark.as_ref().map_or((false, Vec::new()), |mark| (mark.is_suppressed, mark.belonged_to.clone()));
        belonged_to.extend(parent.map(|parent| parent.id));
        // Lives of one id are told apart by their births: the next one begins after it.
        let at_ms = [mark.map(|mark| mark.at_ms), born_ms].into_iter().flatten().fold(arrival_ms, i64::max);
        let is_suppressed = suppress || was_suppressed;
        self.erased.insert(id.clone(), Mark { at_ms, is_suppressed, belonged_to });
        for id in told {
            self.sent.push_back((id, Message::Erase { arrival_ms, suppress }));
        }
        Fate::Erased
    }

    /// The erasure of an id, as long as it is known.
    fn mark(&self, id: &LeadId) -> Option<&Mark> {
        self.erased.get(id).filter(|mark| mark.is_suppressed || self.clock_ms < mark.at_ms + KNOWN_MS)
    }

    /// Why nothing that has arrived then is accepted under an id.
    pub(super) fn refuses(&self, id: &LeadId, arrival_ms: i64) -> Option<Refusal> {
        let mark = self.mark(id)?;
        if arrival_ms.min(self.clock_ms) <= mark.at_ms {
            return Some(Refusal::Erased);
        }
        mark.is_suppressed.then_some(Refusal::Suppressed)
    }

    pub(super) fn is_suppressed(&self, id: &LeadId) -> bool {
        self.erased.get(id).is_some_and(|mark| mark.is_suppressed)
    }

    /// The instant after which the next life of an id begins.
    pub(super) fn ended_ms(&self, id: &LeadId) -> Option<i64> {
        self.mark(id).map(|mark| mark.at_ms)
    }

    /// What an id belonged to is of no more interest: it lives again, or belongs to another one.
    pub(super) fn begins_anew(&mut self, id: &LeadId) {
        if let Some(mark) = self.erased.get_mut(id) {
            mark.belonged_to.clear();
        }
    }

    /// A link shows late to whom an erased id belonged: that one is erased, too. Of several only the first one is.
    pub(super) fn erase_late(&mut self, own: &LeadId, other: &LeadId, explicit: bool) -> Fate {
        let is_note = !self.leads.contains_key(own) && !self.parents.contains_key(own);
        let mark = self.erased.get_mut(own).expect("it was erased");
        let rank = other.kind().rank();
        let is_peer = own.kind().rank() == rank && rank != IdKind::Anon.rank();
        let filtered = Fate::NotCounted(Refusal::Erased);
        let arrival_ms = mark.at_ms;
        if !is_note {
            if explicit || !is_peer {
                self.sent.push_back((other.clone(), Message::Erase { arrival_ms, suppress: false }));
            }
            return filtered;
        }
        if mark.belonged_to.contains(other) {
            return filtered;
        }
        let is_second = mark.belonged_to.iter().any(|of| of.kind().rank() == rank);
        if !explicit && (is_second || is_peer) {
            return Fate::LinkRefused;
        }
        mark.belonged_to.push(other.clone());
        let suppress = mark.is_suppressed;
        self.sent.push_back((other.clone(), Message::Erase { arrival_ms, suppress }));
        filtered
    }

    /// What was on its way to an erased id is dropped whole; whoever sent it is erased, too.
    pub(super) fn drop_whole(&mut self, own: &LeadId, from: LeadId, arrival_ms: i64) -> Fate {
        let mark = self.mark(own).expect("it refuses");
        let arrival_ms = arrival_ms.max(mark.at_ms);
        let suppress = mark.is_suppressed;
        self.sent.push_back((from, Message::Erase { arrival_ms, suppress }));
        Fate::NotCounted(Refusal::Erased)
    }
}

impl Lead {
    /// It knows of another id that is its own, and of those which that one knew.
    pub(super) fn know(&mut self, own: &LeadId, ids: impl IntoIterator<Item = LeadId>) {
        for id in ids {
            if id != *own && !self.ids.contains(&id) {
                self.ids.push(id);
            }
        }
    }
}
