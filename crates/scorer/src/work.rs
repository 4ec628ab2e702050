//! The open transaction of a partition: leads that were touched, deadlines that were fired.

mod arriving;
mod committed;

use std::sync::Arc;

use self::arriving::Arriving;
use ripen_model::compiled::TraitSource;
use ripen_model::expression::EventField;
use ripen_records::{Activity, ActivityRecord, Cause, Decision, Field, IdKind, Input, LeadId, Origin, Text};

use crate::count::{self, Effects};
use crate::deadlines;
use crate::error::{FilterReason, Refused, StateError};
use crate::evidence;
use crate::explain::{self, Circumstances};
use crate::history::{EventName, HistoryEntry};
use crate::identity::{ERASURE_MS, Sent, begin_note, refused_ms};
use crate::layout::{self, Encoding};
use crate::lead::{BY_VISIT, Lead, NEVER, Standing};
use crate::lead_key::{Base, LeadKey};
use crate::moment::{Memo, Moment};
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
    /// Committed leads, without the stubs and erasures that stand beside them in the base.
    pub(crate) alive: usize,
    pub(crate) timers: Timers,
    pub(crate) clock_ms: i64,
    pub(crate) historical: bool,
    /// Leads whose deadlines have fired, and when; kept only if somebody wants to know.
    pub(crate) fired: Option<Vec<(String, i64)>>,
    pub(crate) overlay: Overlay,
    /// What `seal` encoded; `None` for a removal.
    sealed: Vec<(LeadKey, Option<Box<[u8]>>)>,
    is_sealed: bool,
    memo: Memo,
    pub(crate) scratch: Scratch,
    /// Records for other leads.
    pub(crate) sent: Vec<Sent>,
    /// Leads that may still stand under an older model, the first one last; `None`: not looked for yet.
    stale: Option<Vec<LeadKey>>,
    arriving: Arriving,
}

/// Room that is used again and again.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub(crate) reading: Reading,
    then: Reading,
    effects: Effects,
    /// Verdicts that held before an activity.
    held: Vec<u16>,
    pub(crate) encoding: Encoding,
}

impl Scratch {
    /// Gives a lead the next instant at which anything may change by itself, and the timer for it. The scores have been
    /// read at `at_ms`.
    pub(crate) fn next_timer(&mut self, plan: &Plan, lead: &mut Lead, at_ms: i64, key: LeadKey) -> Timer {
        let view = View { plan, lead, at_ms, now: &self.reading };
        lead.deadline_ms = deadlines::next_deadline_ms(&view, &mut self.then);
        Timer { deadline_ms: lead.deadline_ms, key }
    }
}

impl Work {
    pub(crate) fn new(base: Arc<Base>) -> Work {
        Work {
            base,
            alive: 0,
            timers: Timers::default(),
            clock_ms: i64::MIN,
            historical: false,
            fired: None,
            overlay: Overlay::default(),
            sealed: Vec::new(),
            is_sealed: false,
            memo: Memo::default(),
            scratch: Scratch::default(),
            sent: Vec::new(),
            stale: None,
            arriving: Arriving::default(),
        }
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
        if self.refresh(active, timer.key, out)? {
            // What it waited for may be another instant now, which is armed.
            return Ok(());
        }
        let Work { overlay, base, scratch, clock_ms, historical, fired, .. } = self;
        let plan = &*active.plan;
        let at_ms = timer.deadline_ms;
        let Some(touched) = overlay.touch(base, active, timer.key)? else { return Ok(()) };
        let lead = &mut touched.lead;
        if lead.standing != Standing::Alive {
            // A stub or an erasure that nothing asks for any more.
            (touched.is_removed, touched.is_changed) = (true, true);
            return Ok(());
        }
        if let Some(fired) = fired {
            fired.push((lead.id.clone(), at_ms));
        }
        scratch.reading.read(plan, lead, at_ms);
        let is_forgotten = stages::is_forgotten(plan, lead, at_ms);
        let evaluation = if is_forgotten {
            stages::end_life(lead)
        } else {
            stages::evaluate(plan, lead, at_ms, &scratch.reading, Occasion::Deadline)
        };
        // A life that was told of is told to be over, even if nothing is left of it.
        if is_forgotten || !evaluation.is_nothing() {
            lead.last_ms = lead.last_ms.max(at_ms);
            let view = View { plan, lead, at_ms, now: &scratch.reading };
            let cause = if is_forgotten {
                Cause::Forgotten
            } else {
                explain::cause_of_deadline(&view, &mut scratch.then)
            };
            let of = Circumstances::without_activity(cause, *clock_ms, *historical);
            lead.seq += explain::decide(&view, &evaluation, lead.seq + 1, of, out);
        }
        if is_forgotten && refused_ms(lead, at_ms) != NEVER {
            // What came before an erasure is not wanted for its time, whatever became of the life after it.
            let erased_ms = lead.erased_ms;
            begin_note(lead, (erased_ms, erased_ms), false, active.epoch);
            let deadline_ms = lead.deadline_ms;
            self.timers.arm(Timer { deadline_ms, key: timer.key });
        } else if is_forgotten {
            touched.is_removed = true;
        } else {
            self.timers.arm(scratch.next_timer(plan, lead, at_ms, timer.key));
        }
        touched.is_changed = true;
        Ok(())
    }

    /// Brings a lead that stands under an older model to the active one; whether it did.
    pub(crate) fn refresh(
        &mut self,
        active: &Active,
        key: LeadKey,
        out: &mut Vec<Decision>,
    ) -> Result<bool, StateError> {
        if active.is_swept {
            return Ok(false);
        }
        let Work { overlay, base, scratch, clock_ms, historical, .. } = self;
        let plan = &*active.plan;
        let Some(touched) = overlay.touch(base, active, key)? else { return Ok(false) };
        let lead = &mut touched.lead;
        if touched.is_removed || lead.epoch == active.epoch {
            return Ok(false);
        }
        let was = active.plan_of(lead.epoch)?;
        touched.is_changed = true;
        if lead.standing != Standing::Alive || Arc::ptr_eq(was, &active.plan) {
            lead.epoch = active.epoch;
            return Ok(false);
        }
        let at_ms = active.switched_ms.max(lead.last_ms);
        let gone = active.mapping_of(lead.epoch)?.convert(was, plan, lead, at_ms);
        lead.epoch = active.epoch;
        lead.last_ms = at_ms;
        scratch.reading.read(plan, lead, at_ms);
        let mut evaluation = stages::evaluate(plan, lead, at_ms, &scratch.reading, Occasion::Whole);
        evaluation.gone = gone.stage;
        let of = Circumstances::without_activity(Cause::ModelChange, *clock_ms, *historical);
        let view = View { plan, lead, at_ms, now: &scratch.reading };
        let mut seq = lead.seq + explain::decide(&view, &evaluation, lead.seq + 1, of, out);
        for audience in gone.audiences {
            seq += 1;
            out.push(explain::left_gone_audience(&view, audience, seq, of));
        }
        lead.seq = seq;
        self.timers.arm(scratch.next_timer(plan, lead, at_ms, key));
        Ok(true)
    }

    /// Applies an activity; deadlines before it have been fired.
    pub(crate) fn apply(
        &mut self,
        active: &Active,
        lead_id: &str,
        record: &ActivityRecord<'_>,
        activity: &Activity<'_>,
        out: &mut Vec<Decision>,
    ) -> Result<Applied, Refused> {
        let (key, known_place) = self.overlay.key_of(lead_id);
        self.refresh(active, key, out)?;
        let place = match known_place {
            Some(place) => Some(place),
            None => self.overlay.find(&self.base, active, key)?,
        };
        let mut erased_ms = NEVER;
        let mut alive = false;
        if let Some(touched) = place.map(|place| self.overlay.at(place))
            && !touched.is_removed
        {
            erased_ms = refused_ms(&touched.lead, self.clock_ms);
            if activity.arrival_ms.min(self.clock_ms) <= erased_ms {
                return Ok(Applied::Filtered(FilterReason::Erased));
            }
            match &touched.lead.standing {
                Standing::Alive => alive = true,
                Standing::Erased { is_suppressed: true } => {
                    return Ok(Applied::Filtered(FilterReason::Suppressed));
                }
                Standing::Erased { is_suppressed: false } => {}
                Standing::MergedInto(parent) => {
                    let parent = parent.clone();
                    self.forward(active, lead_id, &parent, record);
                    return Ok(Applied::Forwarded);
                }
            }
        }
        let Work { overlay, scratch, memo, clock_ms, historical, .. } = self;
        let plan = &*active.plan;
        let arrival_ms = activity.arrival_ms.min(*clock_ms);
        let known = activity.ids.iter().any(|id| is_known(id));
        let mut moment = Moment::new(plan, memo, activity, known, arrival_ms);
        let former = place.filter(|_| alive);
        if former.is_none() {
            LeadId::parse(lead_id)?;
        }
        // A life begins only with what is accepted: an erasure in its place stays otherwise.
        let lead = former.map(|place| &overlay.at(place).lead);
        if let Err(reason) = count::accept(lead, &moment, plan.model.time.late_accept_ms) {
            return Ok(Applied::Filtered(reason));
        }
        let touched = match former {
            Some(place) => overlay.at(place),
            None => overlay.begin(key, lead_id, arrival_ms, active.epoch),
        };
        touched.is_removed = false;
        let lead = &mut touched.lead;
        lead.erased_ms = erased_ms;
        let at_ms = arrival_ms.max(lead.last_ms);
        scratch.held.clear();
        if alive && !plan.model.verdicts.is_empty() {
            if plan.verdicts_read_scores {
                scratch.then.read(plan, lead, at_ms);
            }
            let before = View { plan, lead, at_ms, now: &scratch.then };
            stages::verdicts_in_force(&before, &mut scratch.held);
        }
        absorb(plan, lead, &mut moment, at_ms, &mut scratch.effects);
        let effects = &scratch.effects;
        touched.is_changed = true;
        if alive && !effects.moved && plan.rest.holds(lead, at_ms) {
            return Ok(Applied::Accepted { counted: 0, is_new_lead: false });
        }
        scratch.reading.read(plan, lead, at_ms);
        let happened = Happened {
            name: &moment.activity.name,
            t_ms: moment.t_ms,
            feedback: &effects.feedback,
            alerts: &effects.alerts,
            held: &scratch.held,
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
        let view = View { plan, lead, at_ms, now: &scratch.reading };
        if !deadlines::deadline_stands(&view, &mut scratch.then) {
            let armed_ms = lead.deadline_ms;
            let timer = scratch.next_timer(plan, lead, at_ms, key);
            if timer.deadline_ms != armed_ms {
                self.timers.arm(timer);
            }
        }
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
        let touched = match overlay.touch(base, active, key)?.filter(|touched| !touched.is_removed) {
            Some(touched) => touched,
            None => overlay.begin(key, lead_id, at_ms, active.epoch),
        };
        touched.is_removed = false;
        touched.is_changed = true;
        // Nothing is evaluated here: the next activity has to do it.
        touched.lead.deadline_ms = at_ms;
        let moment = Moment::new(plan, memo, &activity, false, at_ms);
        for (ix, value) in moment.carried_traits() {
            touched.lead.keep_trait(ix, at_ms, 0, value);
        }
        Ok(())
    }

    /// A lead as it stands in the open transaction.
    pub(crate) fn view(
        &self,
        active: &Active,
        key: LeadKey,
        at_ms: i64,
    ) -> Result<Option<LeadView>, StateError> {
        let mut lead = Lead::default();
        match (self.overlay.get(key), self.base.get(&key)) {
            (Some(touched), _) if touched.is_removed => return Ok(None),
            (Some(touched), _) => lead.clone_from(&touched.lead),
            (None, Some(bytes)) => {
                layout::decode(active.plan_of(layout::header(&bytes)?.epoch)?, &bytes, &mut lead)?;
            }
            (None, None) => return Ok(None),
        }
        if lead.standing != Standing::Alive {
            return Ok(None);
        }
        Ok(Some(view::view(active.plan_of(lead.epoch)?, &lead, at_ms)))
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
            // What was changed before a switch in the same transaction stands under the model of then.
            let plan = active.plan_of(lead.epoch).unwrap_or(&active.plan);
            evidence::prune(&mut lead.evidence, &plan.slots, lead.last_ms);
            if lead.erased_ms.saturating_add(ERASURE_MS) < lead.last_ms {
                lead.erased_ms = NEVER;
            }
            encoding.encode(plan, active.format, lead);
            write(&lead.id, Some(&encoding.bytes));
            self.sealed.push((touched.key, Some(encoding.bytes.as_slice().into())));
        }
        self.is_sealed = true;
    }

    pub(crate) fn commit(&mut self, active: &Active) {
        if !self.is_sealed {
            self.seal(active, &mut |_, _| {});
        }
        let mut sealed = std::mem::take(&mut self.sealed);
        for (key, bytes) in sealed.drain(..) {
            self.put_later(key, bytes);
        }
        self.sealed = sealed;
        self.put_arrived();
        self.timers.commit();
        self.forget_stage();
        if self.timers.wants_sweep(self.base.len()) {
            // Committed bytes have been read before; a header that cannot be read keeps its timers unswept.
            let _ = self.rearm(active.epoch);
        }
    }

    pub(crate) fn abort(&mut self) {
        self.timers.abort();
        self.sealed.clear();
        self.forget_stage();
        self.forget_stale();
    }

    /// Drops the memo of page kinds: it belongs to one model.
    pub(crate) fn forget_pages(&mut self) {
        self.memo.forget_pages();
    }

    fn forget_stage(&mut self) {
        self.overlay.clear();
        self.sent.clear();
        self.is_sealed = false;
    }
}

/// Lets a lead take in an accepted activity: visit, traits, facts, evidence, memory.
fn absorb(plan: &Plan, lead: &mut Lead, moment: &mut Moment<'_>, at_ms: i64, effects: &mut Effects) {
    effects.clear();
    lead.accepted_ms = at_ms;
    lead.last_ms = at_ms;
    let known = moment.known || is_known(&lead.id);
    if known && lead.known_since_ms.is_none_or(|since_ms| moment.t_ms < since_ms) {
        lead.known_since_ms = Some(moment.t_ms);
        effects.moved = true;
    }
    if moment.carries_traits() {
        effects.moved = true;
        for (ix, value) in moment.carried_traits() {
            lead.keep_trait(ix, moment.t_ms, moment.id, value);
        }
    }
    if let Some(touch) = moment.touch() {
        lead.touches.add(touch);
    }
    count::seal_keys(plan, lead, at_ms);
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
    count::remember(lead, moment, &effects.counted);
    // An answer that clears a score counts again what is still remembered.
    for &feedback in &effects.feedback {
        count::take_feedback(plan, lead, feedback, moment);
    }
    count::forget_oldest(plan, lead, at_ms);
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
pub(crate) fn is_known(id: &str) -> bool {
    IdKind::of(id).is_some_and(IdKind::is_known)
}
