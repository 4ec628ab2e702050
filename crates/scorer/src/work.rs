//! The open transaction of a partition: leads that were touched, deadlines that were fired.

use std::sync::Arc;

use ripen_model::compiled::TraitSource;
use ripen_model::expression::EventField;
use ripen_records::{Activity, Cause, Decision, Field, IdKind, Input, LeadId, Origin, Text};

use crate::count::{self, Effects};
use crate::deadlines;
use crate::error::{Refused, StateError};
use crate::evidence;
use crate::explain::{self, Circumstances};
use crate::layout::{self, Encoding};
use crate::lead::{BY_VISIT, EventName, HistoryEntry, Lead};
use crate::lead_key::{Base, LeadKey};
use crate::moment::{Moment, PageMemo};
use crate::outlook::View;
use crate::overlay::Overlay;
use crate::plan::Plan;
use crate::scores::Reading;
use crate::shard::{Active, Applied, Budget};
use crate::stages::{self, Happened, Occasion};
use crate::timers::{Timer, Timers};
use crate::view::{self, LeadView};
use crate::visit;

/// Leads, timers and clock of a partition; what is staged over the committed base.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) base: Arc<Base>,
    pub(crate) timers: Timers,
    pub(crate) clock_ms: i64,
    pub(crate) historical: bool,
    overlay: Overlay,
    /// What `seal` encoded; `None` for a removal.
    sealed: Vec<(LeadKey, Option<Box<[u8]>>)>,
    is_sealed: bool,
    memo: PageMemo,
    scratch: Scratch,
}

/// Room that is used again and again.
#[derive(Debug, Default)]
struct Scratch {
    reading: Reading,
    then: Reading,
    effects: Effects,
    encoding: Encoding,
}

impl Work {
    pub(crate) fn new(base: Arc<Base>) -> Work {
        Work {
            base,
            timers: Timers::default(),
            clock_ms: i64::MIN,
            historical: false,
            overlay: Overlay::default(),
            sealed: Vec::new(),
            is_sealed: false,
            memo: PageMemo::default(),
            scratch: Scratch::default(),
        }
    }

    /// Arms the deadlines of all committed leads.
    pub(crate) fn arm_restored(&mut self) -> Result<(), StateError> {
        let timers = self.base.iter().map(|entry| {
            let deadline_ms = layout::header(entry.value())?.deadline_ms;
            Ok(Timer { deadline_ms, key: *entry.key() })
        });
        let timers: Vec<Timer> = timers.collect::<Result<_, StateError>>()?;
        self.timers.restore(timers.into_iter());
        Ok(())
    }

    /// Fires what is due at the clock; false if the budget ended first.
    pub(crate) fn fire_due(
        &mut self,
        active: &Active,
        budget: &mut Budget,
        out: &mut Vec<Decision>,
    ) -> Result<bool, Refused> {
        while self.timers.next_ms().is_some_and(|next_ms| next_ms <= self.clock_ms) {
            if !budget.take() {
                return Ok(false);
            }
            let Work { timers, overlay, base, .. } = self;
            let Some(timer) = timers.take(self.clock_ms, |key| lead_id_of(overlay, base, key)) else { break };
            if self.is_wanted(timer)? {
                self.fire(active, timer, out)?;
            }
        }
        Ok(true)
    }

    /// Whether the timer is the lead's own deadline.
    fn is_wanted(&self, timer: Timer) -> Result<bool, StateError> {
        if let Some(touched) = self.overlay.get(timer.key) {
            return Ok(!touched.is_removed && touched.lead.deadline_ms == timer.deadline_ms);
        }
        match self.base.get(&timer.key) {
            Some(bytes) => Ok(layout::header(&bytes)?.deadline_ms == timer.deadline_ms),
            None => Ok(false),
        }
    }

    fn fire(&mut self, active: &Active, timer: Timer, out: &mut Vec<Decision>) -> Result<(), Refused> {
        let Work { overlay, base, scratch, clock_ms, historical, .. } = self;
        let plan = &*active.plan;
        let at_ms = timer.deadline_ms;
        let Some(touched) = overlay.touch(base, plan, timer.key)? else { return Ok(()) };
        let lead = &mut touched.lead;
        scratch.reading.read(plan, lead, at_ms);
        let is_forgotten = stages::is_forgotten(plan, lead, at_ms);
        let evaluation = if is_forgotten {
            stages::end_life(lead)
        } else {
            stages::evaluate(plan, lead, at_ms, &scratch.reading, Occasion::Deadline)
        };
        if !evaluation.is_nothing() {
            lead.last_ms = lead.last_ms.max(at_ms);
            let view = View { plan, lead, at_ms, now: &scratch.reading };
            let cause = if is_forgotten {
                Cause::Forgotten
            } else {
                explain::cause_of_deadline(&view, &mut scratch.then)
            };
            let of = Circumstances { cause, decided_at_ms: *clock_ms, historical: *historical, moment: None };
            lead.seq += explain::decide(&view, &evaluation, lead.seq + 1, of, out);
        }
        if is_forgotten {
            touched.is_removed = true;
        } else {
            lead.deadline_ms = deadlines::next_deadline_ms(plan, lead, at_ms, &mut scratch.reading);
            self.timers.arm(Timer { deadline_ms: lead.deadline_ms, key: timer.key });
        }
        touched.is_changed = true;
        Ok(())
    }

    /// Applies an activity; deadlines before it have been fired.
    pub(crate) fn apply(
        &mut self,
        active: &Active,
        lead_id: &str,
        activity: &Activity<'_>,
        out: &mut Vec<Decision>,
    ) -> Result<Applied, Refused> {
        let Work { overlay, base, scratch, memo, clock_ms, historical, .. } = self;
        let plan = &*active.plan;
        let key = LeadKey::of(lead_id);
        let arrival_ms = activity.arrival_ms.min(*clock_ms);
        let alive = overlay.touch(base, plan, key)?.is_some_and(|touched| !touched.is_removed);
        let touched = if alive { overlay.touch(base, plan, key)? } else { None };
        let touched = match touched {
            Some(touched) => touched,
            None => {
                LeadId::parse(lead_id)?;
                overlay.begin(key, lead_id, arrival_ms, active.epoch)
            }
        };
        let known = is_known(lead_id) || activity.ids.iter().any(|id| is_known(id));
        let mut moment = Moment::new(plan, memo, activity, known, arrival_ms);
        if let Err(reason) = count::accept(&touched.lead, &moment, plan.model.time.late_accept_ms) {
            return Ok(Applied::Filtered(reason));
        }
        touched.is_removed = false;
        let lead = &mut touched.lead;
        let at_ms = arrival_ms.max(lead.last_ms);
        absorb(plan, lead, &mut moment, at_ms, &mut scratch.effects);
        let effects = &scratch.effects;
        scratch.reading.read(plan, lead, at_ms);
        let happened = Happened {
            name: &moment.activity.name,
            t_ms: moment.t_ms,
            feedback: &effects.feedback,
            alerts: &effects.alerts,
        };
        let evaluation = stages::evaluate(plan, lead, at_ms, &scratch.reading, Occasion::Activity(happened));
        let of = Circumstances {
            cause: explain::cause_of_activity(plan, &evaluation, !effects.feedback.is_empty()),
            decided_at_ms: *clock_ms,
            historical: *historical,
            moment: Some(&moment),
        };
        let view = View { plan, lead, at_ms, now: &scratch.reading };
        lead.seq += explain::decide(&view, &evaluation, lead.seq + 1, of, out);
        if !deadlines::deadline_stands(plan, lead, at_ms, &scratch.reading, &mut scratch.then) {
            let deadline_ms = deadlines::next_deadline_ms(plan, lead, at_ms, &mut scratch.reading);
            if deadline_ms != lead.deadline_ms {
                lead.deadline_ms = deadline_ms;
                self.timers.arm(Timer { deadline_ms, key });
            }
        }
        touched.is_changed = true;
        Ok(Applied::Accepted { counted: scratch.effects.counted.len() as u16, is_new_lead: !alive })
    }

    /// Keeps traits by their names, as an activity of `at_ms` without anything else would carry them.
    pub(crate) fn preset_traits(
        &mut self,
        active: &Active,
        lead_id: &str,
        traits: &[Field<'_>],
        at_ms: i64,
    ) -> Result<(), Refused> {
        LeadId::parse(lead_id)?;
        let plan = &*active.plan;
        let activity = presetting(plan, traits, at_ms);
        let Work { overlay, base, memo, .. } = self;
        let key = LeadKey::of(lead_id);
        let alive = overlay.touch(base, plan, key)?.is_some_and(|touched| !touched.is_removed);
        let touched = if alive { overlay.touch(base, plan, key)? } else { None };
        let touched = match touched {
            Some(touched) => touched,
            None => overlay.begin(key, lead_id, at_ms, active.epoch),
        };
        touched.is_removed = false;
        touched.is_changed = true;
        let moment = Moment::new(plan, memo, &activity, false, at_ms);
        for (ix, value) in moment.carried_traits() {
            touched.lead.keep_trait(ix, at_ms, 0, value);
        }
        Ok(())
    }

    /// A lead as it stands in the open transaction.
    pub(crate) fn view(&self, plan: &Plan, key: LeadKey, at_ms: i64) -> Result<Option<LeadView>, StateError> {
        if let Some(touched) = self.overlay.get(key) {
            return Ok((!touched.is_removed).then(|| view::view(plan, &touched.lead, at_ms)));
        }
        let Some(bytes) = self.base.get(&key) else { return Ok(None) };
        let mut lead = Lead::default();
        layout::decode(plan, &bytes, &mut lead)?;
        Ok(Some(view::view(plan, &lead, at_ms)))
    }

    /// Encodes every changed lead, once.
    pub(crate) fn seal(&mut self, active: &Active, write: &mut impl FnMut(&str, Option<&[u8]>)) {
        self.sealed.clear();
        let encoding = &mut self.scratch.encoding;
        for touched in self.overlay.changed() {
            let lead = &mut touched.lead;
            if touched.is_removed {
                write(&lead.id, None);
                self.sealed.push((touched.key, None));
                continue;
            }
            evidence::prune(&mut lead.evidence, &active.plan.slots, lead.last_ms);
            encoding.encode(&active.plan, lead);
            write(&lead.id, Some(&encoding.bytes));
            self.sealed.push((touched.key, Some(encoding.bytes.as_slice().into())));
        }
        self.is_sealed = true;
    }

    pub(crate) fn commit(&mut self, active: &Active) {
        if !self.is_sealed {
            self.seal(active, &mut |_, _| {});
        }
        for (key, bytes) in self.sealed.drain(..) {
            match bytes {
                Some(bytes) => self.base.insert(key, bytes),
                None => self.base.remove(&key).map(|(_, bytes)| bytes),
            };
        }
        self.timers.commit();
        self.forget_stage();
        if self.timers.wants_sweep(self.base.len()) {
            // Committed bytes have been read before; a header that cannot be read keeps its timers unswept.
            self.arm_restored().unwrap_or_default();
        }
    }

    pub(crate) fn abort(&mut self) {
        self.timers.abort();
        self.sealed.clear();
        self.forget_stage();
    }

    /// Drops the memo of page kinds: it belongs to one model.
    pub(crate) fn forget_pages(&mut self) {
        self.memo.clear();
    }

    fn forget_stage(&mut self) {
        self.overlay.clear();
        self.is_sealed = false;
    }
}

/// Lets a lead take in an accepted activity: visit, traits, facts, evidence, memory.
fn absorb(plan: &Plan, lead: &mut Lead, moment: &mut Moment<'_>, at_ms: i64, effects: &mut Effects) {
    lead.accepted_ms = at_ms;
    lead.last_ms = at_ms;
    if moment.known {
        let since_ms = lead.known_since_ms.unwrap_or(moment.t_ms);
        lead.known_since_ms = Some(since_ms.min(moment.t_ms));
    }
    if moment.carries_traits() {
        for (ix, value) in moment.carried_traits() {
            lead.keep_trait(ix, moment.t_ms, moment.id, value);
        }
    }
    if let Some(touch) = moment.touch() {
        lead.touches.add(touch);
    }
    count::seal_keys(plan, lead, at_ms);
    effects.clear();
    let entry = visit::enter(lead, moment);
    moment.stamp = entry.map(|entry| entry.stamp);
    let opened = entry.is_some_and(|entry| entry.opened) && plan.visit_rules;
    if opened {
        let visit_started = moment.visit_started();
        count::count(plan, lead, &visit_started, at_ms, effects);
        note(plan, lead, &visit_started, &effects.counted);
    }
    let by_visit = effects.counted.len();
    count::count(plan, lead, moment, at_ms, effects);
    note(plan, lead, moment, &effects.counted[by_visit..]);
    count::remember(plan, lead, moment, &effects.counted, at_ms);
    for &feedback in &effects.feedback {
        count::take_feedback(plan, lead, feedback, moment);
    }
}

/// Notes an activity: what it was about if it counted, and if sales want the lead's history, every one.
fn note(plan: &Plan, lead: &mut Lead, moment: &Moment<'_>, counted: &[u16]) {
    let mut rules = counted.iter().map(|rule| &plan.model.rules[usize::from(rule & !BY_VISIT)]);
    let about = rules.find_map(|rule| moment.about(rule));
    let is_told = plan.keeps_history && !moment.opens_visit;
    if about.is_none() && !is_told {
        return;
    }
    let path = || moment.word(EventField::PagePath);
    let entry = HistoryEntry {
        id: (moment.id >> 32) as u32,
        t_ms: moment.t_ms,
        name: if is_told { plan.event_name(moment.name()) } else { EventName::Unkept },
        about: about.as_deref().or_else(path).unwrap_or_default(),
        dwell_ms: moment.dwell_ms(),
    };
    lead.history.add(entry, plan.history);
}

/// An activity that carries these traits where the model reads them first.
fn presetting<'a>(plan: &'a Plan, traits: &[Field<'a>], at_ms: i64) -> Activity<'a> {
    let model = &plan.model;
    let (mut of_record, mut properties) = (Vec::new(), Vec::new());
    for definition in &model.traits {
        let value = traits.iter().find(|field| *field.name == *definition.name).map(|field| &field.value);
        let (Some(value), Some(source)) = (value.cloned(), definition.from.first()) else { continue };
        match source {
            TraitSource::Trait(ix) => {
                let name = Text::from(model.record_traits[ix.ix()].as_str());
                of_record.push(Field { name, value });
            }
            TraitSource::Property(ix) => {
                let name = Text::from(model.properties[ix.ix()].as_str());
                properties.push(Field { name, value });
            }
        }
    }
    Activity {
        event_id: Text::from(""),
        name: Text::from(""),
        t_ms: at_ms,
        arrival_ms: at_ms,
        clamped: false,
        origin: Origin::Server,
        ids: Vec::new(),
        session: None,
        page: None,
        utm: None,
        properties,
        traits: of_record,
        input: Input { topic: Text::from(""), partition: 0, offset: 0 },
    }
}

fn lead_id_of(overlay: &Overlay, base: &Base, key: LeadKey) -> Option<Box<str>> {
    if let Some(touched) = overlay.get(key) {
        return Some(touched.lead.id.as_str().into());
    }
    let bytes = base.get(&key)?;
    layout::header(&bytes).ok().map(|header| header.lead_id.into())
}

/// Whether an id is more than a cookie or a device.
fn is_known(id: &str) -> bool {
    let kind = id.split_once(':').map(|(kind, _)| kind);
    kind.is_some_and(|kind| IdKind::ALL.into_iter().any(|k| k.is_known() && k.as_str() == kind))
}
