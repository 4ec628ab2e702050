//! Who is who (S1): an id belongs to one other id or to none; whatever comes for it goes there.

use std::sync::Arc;

use ripen_records::{Activity, IdKind, LeadId};

use super::history::History;
use super::look::{self, Why};
use super::reading::Evidence;
use super::{Fate, Lead, Reference, Refusal};

/// What goes from one id to another.
pub(crate) enum Message {
    Activity(Box<Activity<'static>>),
    Link(Joined),
    /// All that a lead is, from where it was, at the arrival of the link.
    Whole {
        from: LeadId,
        lead: Option<Box<Lead>>,
        arrival_ms: i64,
    },
    /// The id is one of a person who is to be forgotten.
    Erase {
        arrival_ms: i64,
        suppress: bool,
    },
}

/// Whom an id belongs to.
pub(super) struct Parent {
    pub(super) id: LeadId,
    /// The birth of the life that went there, if there was one.
    pub(super) born_ms: Option<i64>,
}

/// Two ids are one person.
#[derive(Clone)]
pub(crate) struct Joined {
    pub(crate) ids: [LeadId; 2],
    /// Whether whatever their ranks.
    pub(crate) explicit: bool,
    pub(crate) arrival_ms: i64,
}

impl Reference {
    /// What was sent first comes to its id; `None` if nothing is on its way.
    pub(crate) fn deliver(&mut self, timestamp_ms: i64) -> Option<(LeadId, Fate)> {
        let (id, message) = self.sent.pop_front()?;
        let fate = match message {
            Message::Activity(activity) => self.apply(&id, &activity, timestamp_ms),
            Message::Link(joined) => self.link(&id, joined, timestamp_ms),
            Message::Whole { from, lead, arrival_ms } => {
                self.tick(timestamp_ms);
                self.take_in(&id, from, lead, arrival_ms)
            }
            Message::Erase { arrival_ms, suppress } => self.erase(&id, arrival_ms, suppress, timestamp_ms),
        };
        Some((id, fate))
    }

    /// A link comes to one of its two ids.
    pub(crate) fn link(&mut self, own: &LeadId, joined: Joined, timestamp_ms: i64) -> Fate {
        self.tick(timestamp_ms);
        let Some(other) = joined.ids.iter().find(|id| *id != own).cloned() else { return Fate::Linked };
        match self.refuses(own, joined.arrival_ms) {
            Some(Refusal::Erased) if other < *own => return self.erase_late(own, &other, joined.explicit),
            Some(_) if self.is_suppressed(own) => return Fate::NotCounted(Refusal::Suppressed),
            _ => {}
        }
        let rank = |id: &LeadId| id.kind().rank();
        if let Some(parent) = self.parents.get(own).map(|parent| parent.id.clone()) {
            if parent == other {
                return Fate::Linked;
            }
            if rank(&parent) < rank(own) && rank(&other) == rank(&parent) && !joined.explicit {
                return Fate::LinkRefused;
            }
            // It is known to whom the id belongs: the two others are one.
            self.send_link(Joined { ids: [parent, other], ..joined });
            return Fate::Linked;
        }
        if rank(own) == rank(&other) && rank(own) != IdKind::Anon.rank() && !joined.explicit {
            return Fate::LinkRefused;
        }
        if *own < other {
            self.send_link(joined);
            return Fate::Linked;
        }
        let arrival_ms = joined.arrival_ms;
        let lead = self.leads.contains_key(own).then(|| Box::new(self.leave(own, &other, arrival_ms)));
        self.begins_anew(own);
        let born_ms = lead.as_ref().map(|lead| lead.born_ms);
        self.parents.insert(own.clone(), Parent { id: other.clone(), born_ms });
        self.sent.push_back((other, Message::Whole { from: own.clone(), lead, arrival_ms }));
        Fate::Linked
    }

    /// A link is for the weaker of its ids.
    fn send_link(&mut self, joined: Joined) {
        let weaker = joined.ids.iter().max().expect("two ids").clone();
        self.sent.push_back((weaker, Message::Link(joined)));
    }

    fn leave(&mut self, own: &LeadId, into: &LeadId, arrival_ms: i64) -> Lead {
        let lead = self.leads.get_mut(own).expect("it is there");
        lead.last_ms = lead.last_ms.max(arrival_ms.min(self.clock_ms));
        let (evidence, memory) = (&lead.evidence, &lead.memory);
        let decided = look::goodbye(evidence, memory, lead.last_ms, lead.active_ms, into.as_str());
        self.say(own, decided);
        self.leads.remove(own).expect("it is there")
    }

    /// S10.
    fn take_in(&mut self, own: &LeadId, from: LeadId, lead: Option<Box<Lead>>, arrival_ms: i64) -> Fate {
        if self.refuses(own, arrival_ms).is_some() {
            return self.drop_whole(own, from, arrival_ms);
        }
        if let Some(parent) = self.parents.get(own) {
            self.sent.push_back((parent.id.clone(), Message::Whole { from, lead, arrival_ms }));
            return Fate::Forwarded;
        }
        let Some(other) = lead else {
            if let Some(lead) = self.leads.get_mut(own) {
                lead.know(own, [from]);
            }
            return Fate::Merged;
        };
        let model = Arc::clone(&self.model);
        let ended_ms = self.ended_ms(own);
        self.begins_anew(own);
        let lead = self.leads.entry(own.clone()).or_insert_with(|| {
            // Lives of one id are told apart by their births.
            Lead::new(&model, ended_ms.map_or(other.born_ms, |ended_ms| other.born_ms.max(ended_ms + 1)))
        });
        let at_ms = arrival_ms.min(self.clock_ms).max(lead.last_ms).max(other.last_ms);
        let mut history: History = lead.evidence.history.clone();
        history.unite(other.evidence.history, &model, at_ms, [own.as_str(), from.as_str()]);
        if own.kind().is_known() {
            history.known_since_ms.get_or_insert(at_ms);
        }
        lead.active_ms = lead.active_ms.max(other.active_ms);
        lead.memory.unite(&other.memory);
        lead.know(own, [from].into_iter().chain(other.ids));
        let evidence = Evidence::new(&model, history);
        let (memory, decided) = look::look(&evidence, &lead.memory, at_ms, Why::Merge, lead.active_ms);
        lead.evidence = evidence;
        lead.looked_at(memory, at_ms);
        self.say(own, decided);
        Fate::Merged
    }
}
