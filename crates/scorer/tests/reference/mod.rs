//! A reference interpreter of the scoring language: what a lead is worth and where it stands, from the list of its
//! accepted activities, by definition, each time anew. It shares no code with the core and is as naive as time
//! allows; only decisions that have memory (stages, visits, remembered ids) are kept from one look to the next.

mod calendar;
mod decisive;
mod erase;
mod history;
mod identity;
mod look;
pub(crate) mod power;
pub(crate) mod reading;
mod sales;
mod union;
mod values;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use ripen_model::Model;
use ripen_records::{Activity, Cause, LeadId};

use erase::Mark;
use history::History;
pub(crate) use history::{Refusal, Texts};
pub(crate) use identity::Joined;
use identity::{Message, Parent};
pub(crate) use look::{Changed, Decided};
use look::{Memory, Why};
use reading::{Evidence, Reading};
pub(crate) use sales::Step as SalesStep;

/// A decision with its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) lead: String,
    pub(crate) born_ms: i64,
    pub(crate) seq: u64,
    pub(crate) decided_ms: i64,
    pub(crate) decided: Decided,
}

/// One partition of leads.
pub(crate) struct Reference {
    model: Arc<Model>,
    clock_ms: i64,
    leads: BTreeMap<LeadId, Lead>,
    /// Ids that belong to another one.
    parents: BTreeMap<LeadId, Parent>,
    /// Ids that have been erased.
    erased: BTreeMap<LeadId, Mark>,
    /// What leads have sent to others.
    sent: VecDeque<(LeadId, Message)>,
    pub(crate) said: Vec<Said>,
    /// By the hash of an event id, what the activity may be said to have been about.
    pub(crate) abouts: BTreeSet<(String, String)>,
}

/// What becomes of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Accepted,
    NotCounted(Refusal),
    /// It is sent on to where the id belongs.
    Forwarded,
    Linked,
    LinkRefused,
    Merged,
    Erased,
    Ticked,
}

struct Lead {
    born_ms: i64,
    seq: u64,
    /// The largest instant at which an activity or a deadline changed it.
    last_ms: i64,
    /// The instant of its last accepted activity.
    active_ms: i64,
    evidence: Evidence,
    memory: Memory,
    /// Ids that it has taken in, in the order in which it did.
    ids: Vec<LeadId>,
    /// Up to when nothing changes by itself.
    quiet_until_ms: i64,
    /// The change that ends the quiet, if it has been found.
    next_ms: Option<i64>,
}

impl Lead {
    fn new(model: &Arc<Model>, born_ms: i64) -> Lead {
        Lead {
            born_ms,
            seq: 0,
            last_ms: born_ms,
            active_ms: born_ms,
            evidence: Evidence::new(model, History::new()),
            memory: Memory::new(model, born_ms),
            ids: Vec::new(),
            quiet_until_ms: born_ms,
            next_ms: None,
        }
    }

    /// S20: when it is removed if nothing more happens.
    fn forget_ms(&self) -> Option<i64> {
        let model = &self.evidence.model;
        if model
            .stages
            .iter()
            .zip(&self.memory.latches)
            .any(|(stage, latch)| stage.terminal && latch.is_some())
        {
            return None;
        }
        let at_all_ms = self.active_ms + model.time.forget_ms;
        if self.evidence.history.known_since_ms.is_some() || self.memory.stage != 0 {
            return Some(at_all_ms);
        }
        let anonymous_ms = self.active_ms + model.time.forget_anonymous_ms;
        Some(at_all_ms.min(anonymous_ms.max(self.memory.stage_since_ms + 1)))
    }

    /// The next instant up to `until_ms` at which it changes by itself.
    fn next_change(&mut self, until_ms: i64) -> Option<i64> {
        if self.next_ms.is_none() && self.quiet_until_ms < until_ms {
            let forget_ms = self.forget_ms().filter(|forget_ms| *forget_ms <= until_ms);
            let until_ms = forget_ms.unwrap_or(until_ms);
            let found = look::next_change(&self.evidence, &self.memory, self.quiet_until_ms, until_ms);
            self.next_ms = found.or(forget_ms);
            self.quiet_until_ms = until_ms;
        }
        self.next_ms.filter(|next_ms| *next_ms <= until_ms)
    }

    fn looked_at(&mut self, memory: Memory, at_ms: i64) {
        self.memory = memory;
        self.last_ms = at_ms;
        self.quiet_until_ms = at_ms;
        self.next_ms = None;
    }

    fn expected_exit(&self) -> Option<i64> {
        look::expected_exit(&self.evidence, &self.memory, self.last_ms, self.active_ms)
    }

    fn reading(&self, at_ms: i64) -> Reading<'_> {
        Reading { evidence: &self.evidence, at_ms, place: None }
    }
}

/// A lead as it stands, to be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) born_ms: i64,
    pub(crate) seq: u64,
    pub(crate) last_ms: i64,
    pub(crate) stage: String,
    pub(crate) scores: Vec<i64>,
    pub(crate) labels: Vec<Option<String>>,
    pub(crate) lines: Vec<reading::Line>,
    pub(crate) facts: Vec<String>,
    pub(crate) audiences: Vec<String>,
    /// Each with its reason.
    pub(crate) verdicts: Vec<(String, Option<String>)>,
    pub(crate) is_handed_over: bool,
    pub(crate) response: Option<String>,
    pub(crate) expected_exit_ms: Option<i64>,
}

impl Reference {
    pub(crate) fn new(model: &Arc<Model>) -> Reference {
        Reference {
            model: Arc::clone(model),
            clock_ms: i64::MIN,
            leads: BTreeMap::new(),
            parents: BTreeMap::new(),
            erased: BTreeMap::new(),
            sent: VecDeque::new(),
            said: Vec::new(),
            abouts: BTreeSet::new(),
        }
    }

    /// The clock moves: all that is due happens, in the order of instants.
    pub(crate) fn tick(&mut self, timestamp_ms: i64) -> Fate {
        self.clock_ms = self.clock_ms.max(timestamp_ms);
        let clock_ms = self.clock_ms;
        loop {
            let due = self.leads.iter_mut().filter_map(|(id, lead)| Some((lead.next_change(clock_ms)?, id)));
            let Some((at_ms, id)) = due.min().map(|(at_ms, id)| (at_ms, id.clone())) else {
                return Fate::Ticked;
            };
            self.fire(&id, at_ms);
        }
    }

    fn fire(&mut self, id: &LeadId, at_ms: i64) {
        let lead = self.leads.get_mut(id).expect("it is due");
        if lead.forget_ms() == Some(at_ms) {
            let decided = look::end(&lead.evidence, &lead.memory, at_ms, Cause::Forgotten, lead.seq > 0);
            self.say(id, decided);
            self.leads.remove(id);
            return;
        }
        let (memory, decided) =
            look::look(&lead.evidence, &lead.memory, at_ms, Why::Deadline, lead.active_ms);
        // That an alert's condition has ended tells nobody anything.
        let changed = !decided.is_empty() || memory.latches != lead.memory.latches;
        let last_ms = if changed { at_ms } else { lead.last_ms };
        lead.looked_at(memory, at_ms);
        lead.last_ms = last_ms;
        self.say(id, decided);
    }

    /// An activity of an id, whose record's log time is `timestamp_ms`.
    pub(crate) fn apply(&mut self, id: &LeadId, activity: &Activity<'static>, timestamp_ms: i64) -> Fate {
        self.tick(timestamp_ms);
        if let Some(refusal) = self.refuses(id, activity.arrival_ms) {
            return Fate::NotCounted(refusal);
        }
        if let Some(parent) = self.parents.get(id) {
            self.sent.push_back((parent.id.clone(), Message::Activity(Box::new(activity.clone()))));
            return Fate::Forwarded;
        }
        let activity = &Activity { arrival_ms: activity.arrival_ms.min(self.clock_ms), ..activity.clone() };
        let at_ms = activity.arrival_ms.max(self.leads.get(id).map_or(i64::MIN, |lead| lead.last_ms));
        let mut history = self.leads.get(id).map_or_else(History::new, |lead| lead.evidence.history.clone());
        if let Err(refusal) = history.accept(&self.model, activity, at_ms, id.kind().is_known()) {
            return Fate::NotCounted(refusal);
        }
        let model = Arc::clone(&self.model);
        self.begins_anew(id);
        let lead = self.leads.entry(id.clone()).or_insert_with(|| Lead::new(&model, at_ms));
        lead.active_ms = at_ms;
        let evidence = Evidence::new(&model, history);
        let accepted = evidence.history.accepted.last().expect("just accepted");
        let path =
            activity.page.as_ref().and_then(|page| page.path.as_ref()).map(|path| (accepted.id, &**path));
        let abouts = accepted.matches.iter().filter_map(|found| Some((found.id, found.about.as_deref()?)));
        for (id, about) in abouts.chain(path) {
            self.abouts.extend([id, accepted.id].map(|id| (format!("{id:016x}"), about.to_owned())));
        }
        let why = Why::Activity(accepted, &lead.evidence);
        let (memory, decided) = look::look(&evidence, &lead.memory, at_ms, why, at_ms);
        lead.evidence = evidence;
        lead.looked_at(memory, at_ms);
        self.say(id, decided);
        Fate::Accepted
    }

    fn say(&mut self, id: &LeadId, decided: Vec<Decided>) {
        let lead = self.leads.get_mut(id).expect("it decides");
        for decided in decided {
            lead.seq += 1;
            let (born_ms, seq) = (lead.born_ms, lead.seq);
            let said = Said { lead: id.to_string(), born_ms, seq, decided_ms: self.clock_ms, decided };
            self.said.push(said);
        }
    }

    /// A lead as of `at_ms`, or its own last instant if that is later.
    pub(crate) fn standing(&self, id: &str, at_ms: i64) -> Option<Standing> {
        let lead = self.leads.get(&LeadId::parse(id).expect("a lead id"))?;
        let at_ms = at_ms.max(lead.last_ms);
        let reading = lead.reading(at_ms);
        let is_last = at_ms == lead.last_ms;
        for (distance, allowed) in reading.distances() {
            assert!(distance.magnitude() <= allowed.magnitude(), "the integers stray from the real numbers");
        }
        Some(Standing {
            born_ms: lead.born_ms,
            seq: lead.seq,
            last_ms: lead.last_ms,
            stage: self.model.stages[lead.memory.stage].id.clone(),
            scores: (0..self.model.scores.len()).map(|score| reading.score(score)).collect(),
            labels: reading.labels(),
            lines: reading.lines(),
            facts: reading.facts(),
            audiences: {
                let audiences = self.model.audiences.iter().zip(&lead.memory.audiences);
                audiences.filter(|(_, is_in)| **is_in).map(|(audience, _)| audience.name.clone()).collect()
            },
            verdicts: reading.verdicts(),
            is_handed_over: lead.memory.sales.is_handed_over(),
            response: lead.memory.sales.response(),
            expected_exit_ms: is_last.then(|| lead.expected_exit()).flatten(),
        })
    }
}
