//! Who is who (S1): links, transfers, stubs, erasures. Every id is an actor that is addressed by its key.
//!
//! Of two linked ids the stronger one stays; the other one sends it everything it is and becomes a stub, which sends
//! on whatever still arrives. Ids only go up, so that this ends, and a stub is never pointed elsewhere: a repeated link
//! would overtake the transfer. What goes to other ids is asked for with [`Sent`]; it is part of the transaction.

use std::borrow::Cow;
use std::sync::Arc;

use ripen_records::{
    ActivityRecord, Cause, Decision, Erase, IdKind, LeadId, Link, Text, Transfer, encode_activity,
};

use crate::error::{FilterReason, Refused, StateError};
use crate::evidence;
use crate::explain::{self, Circumstances};
use crate::layout;
use crate::lead::{Lead, NEVER, Standing};
use crate::lead_key::LeadKey;
use crate::merge;
use crate::outlook::View;
use crate::overlay::Touched;
use crate::shard::{Active, Applied, EARLIEST_MS};
use crate::stages::{self, Occasion};
use crate::timers::Timer;
use crate::work::{Work, is_known};

/// An erasure is remembered for this long: an activity or a transfer that began before it may still come.
pub(crate) const ERASURE_MS: i64 = 30 * 86_400_000;

/// A stub that nothing has come to for this long is dropped; far longer than anything remembers a link.
const STUB_MS: i64 = 400 * 86_400_000;

/// A record for another lead, to be written in the same transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// The lead it is for, `kind:value`: the record's key.
    pub lead_id: String,
    /// The record of the activities topic, encoded.
    pub value: Vec<u8>,
}

impl Work {
    /// Two ids are one person.
    pub(crate) fn link(
        &mut self,
        active: &Active,
        lead_id: &str,
        link: &Link<'_>,
        out: &mut Vec<Decision>,
    ) -> Result<Applied, Refused> {
        let (own, a, b) = (LeadId::parse(lead_id)?, LeadId::parse(&link.a)?, LeadId::parse(&link.b)?);
        if a == b {
            return Ok(Applied::Linked);
        }
        let other = match (own == a, own == b) {
            (true, _) => b,
            (_, true) => a,
            _ => {
                self.send(a.max(b).as_str(), &ActivityRecord::Link(link.clone()));
                return Ok(Applied::Linked);
            }
        };
        self.refresh(active, LeadKey::of(lead_id), out)?;
        let standing = self.standing(active, lead_id)?;
        if other < own && self.is_erased_since(lead_id, link.arrival_ms) {
            return self.erase_parent(active, &own, &other, link.explicit);
        }
        match standing {
            Some(Standing::Erased { is_suppressed: true }) => Ok(Applied::Filtered(FilterReason::Suppressed)),
            Some(Standing::MergedInto(parent)) => {
                if *parent == *other.as_str() {
                    self.keep_stub(active, LeadKey::of(lead_id));
                    return Ok(Applied::Linked);
                }
                let parent = LeadId::parse(&parent)?;
                let belongs = parent.kind().rank() < own.kind().rank();
                if belongs && other.kind().rank() == parent.kind().rank() && !link.explicit {
                    return Ok(Applied::LinkRefused);
                }
                let (child, root) = if parent < other { (other, parent) } else { (parent, other) };
                let link = Link { a: Text::from(child.as_str()), b: Text::from(root.as_str()), ..*link };
                self.send(child.as_str(), &ActivityRecord::Link(link));
                Ok(Applied::Linked)
            }
            Some(Standing::Alive | Standing::Erased { is_suppressed: false }) | None => {
                let anonymous = own.kind().rank() == IdKind::Anon.rank();
                if own.kind().rank() == other.kind().rank() && !anonymous && !link.explicit {
                    return Ok(Applied::LinkRefused);
                }
                if own < other {
                    self.send(other.as_str(), &ActivityRecord::Link(link.clone()));
                    return Ok(Applied::Linked);
                }
                self.absorb_into(active, lead_id, &other, link, out)?;
                Ok(Applied::Linked)
            }
        }
    }

    /// An id that was erased learns late to whom it belonged before: that lead is erased, too. While nothing else has
    /// happened to the id, only the first one is: as if the link had come in time.
    fn erase_parent(
        &mut self,
        active: &Active,
        own: &LeadId,
        parent: &LeadId,
        explicit: bool,
    ) -> Result<Applied, Refused> {
        let filtered = Ok(Applied::Filtered(FilterReason::Erased));
        let key = LeadKey::of(own.as_str());
        let Some(touched) = self.overlay.touch(&self.base, active, key)? else { return filtered };
        let lead = &mut touched.lead;
        let rank = parent.kind().rank();
        let is_peer = own.kind().rank() == rank && rank != IdKind::Anon.rank();
        let Standing::Erased { is_suppressed } = lead.standing else {
            let erase =
                Erase { request_id: Text::from(own.as_str()), arrival_ms: lead.erased_ms, suppress: false };
            if explicit || !is_peer {
                self.send(parent.as_str(), &ActivityRecord::Erase(erase));
            }
            return filtered;
        };
        if lead.ids.iter().any(|id| **id == *parent.as_str()) {
            return filtered;
        }
        let belongs = lead.ids.iter().any(|id| IdKind::of(id).map(IdKind::rank) == Some(rank));
        if !explicit && (belongs || is_peer) {
            return Ok(Applied::LinkRefused);
        }
        merge::add_id(lead, parent.as_str());
        touched.is_changed = true;
        let (request_id, arrival_ms) = (Text::from(own.as_str()), lead.erased_ms);
        let erase = Erase { request_id, arrival_ms, suppress: is_suppressed };
        self.send(parent.as_str(), &ActivityRecord::Erase(erase));
        filtered
    }

    /// The lead says goodbye, sends everything it is to `root` and becomes a stub.
    fn absorb_into(
        &mut self,
        active: &Active,
        lead_id: &str,
        root: &LeadId,
        link: &Link<'_>,
        out: &mut Vec<Decision>,
    ) -> Result<(), Refused> {
        let key = LeadKey::of(lead_id);
        let Work { overlay, base, scratch, clock_ms, historical, .. } = self;
        let plan = &*active.plan;
        let arrival_ms = link.arrival_ms.min(*clock_ms);
        let mut state = Vec::new();
        let touched = match overlay.touch(base, active, key)?.filter(|touched| !touched.is_removed) {
            Some(touched) => {
                let lead = &mut touched.lead;
                lead.erased_ms = refused_ms(lead, *clock_ms);
                if lead.standing == Standing::Alive {
                    let at_ms = arrival_ms.max(lead.last_ms);
                    lead.last_ms = at_ms;
                    scratch.reading.read(plan, lead, at_ms);
                    let goodbye = stages::leave_audiences(lead);
                    let of = Circumstances::without_activity(Cause::Merge, *clock_ms, *historical);
                    let view = View { plan, lead, at_ms, now: &scratch.reading };
                    lead.seq += explain::decide(&view, &goodbye, lead.seq + 1, of, out);
                    lead.seq += 1;
                    let view = View { plan, lead, at_ms, now: &scratch.reading };
                    out.push(explain::merged_into(&view, root.as_str(), lead.seq, of));
                    evidence::prune(&mut lead.evidence, &plan.slots, lead.last_ms);
                    scratch.encoding.encode(plan, active.format, lead);
                    state.clone_from(&scratch.encoding.bytes);
                }
                touched
            }
            None => overlay.begin(key, lead_id, arrival_ms, active.epoch),
        };
        let lead = &mut touched.lead;
        // Whether a life went there, and which, is for an erasure that comes later.
        let born_ms = if state.is_empty() { EARLIEST_MS } else { lead.born_ms };
        let erased_ms = lead.erased_ms;
        lead.begin(lead_id, born_ms, active.epoch);
        lead.erased_ms = erased_ms;
        lead.standing = Standing::MergedInto(root.as_str().into());
        lead.last_ms = arrival_ms;
        lead.accepted_ms = arrival_ms;
        lead.deadline_ms = arrival_ms.saturating_add(STUB_MS);
        (touched.is_removed, touched.is_changed) = (false, true);
        let deadline_ms = lead.deadline_ms;
        self.timers.arm(Timer { deadline_ms, key });
        let transfer = Transfer {
            from: Text::from(lead_id),
            arrival_ms: link.arrival_ms,
            epoch: active.epoch,
            format: active.format,
            state: Cow::Owned(state),
        };
        self.send(root.as_str(), &ActivityRecord::Transfer(transfer));
        Ok(())
    }

    /// Takes in another lead.
    pub(crate) fn transfer(
        &mut self,
        active: &Active,
        lead_id: &str,
        transfer: &Transfer<'_>,
        out: &mut Vec<Decision>,
    ) -> Result<Applied, Refused> {
        LeadId::parse(lead_id)?;
        let key = LeadKey::of(lead_id);
        let standing = self.standing(active, lead_id)?;
        let is_suppressed = standing == Some(Standing::Erased { is_suppressed: true });
        if is_suppressed || self.is_erased_since(lead_id, transfer.arrival_ms) {
            // Whoever is erased is erased under all its ids.
            let erased_ms = self.overlay.get(key).map_or(NEVER, |touched| touched.lead.erased_ms);
            let arrival_ms = transfer.arrival_ms.max(erased_ms);
            let erase = Erase { request_id: Text::from(lead_id), arrival_ms, suppress: is_suppressed };
            self.send(&transfer.from, &ActivityRecord::Erase(erase));
            return Ok(Applied::Filtered(FilterReason::Erased));
        }
        if let Some(Standing::MergedInto(parent)) = &standing {
            self.send(parent, &ActivityRecord::Transfer(transfer.clone()));
            return Ok(Applied::Forwarded);
        }
        self.refresh(active, key, out)?;
        let Work { overlay, base, scratch, clock_ms, historical, .. } = self;
        let mut absorbed = Lead::default();
        let has_life = !transfer.state.is_empty();
        if has_life {
            if !layout::is_known(transfer.format) {
                return Err(Refused::State(StateError::Format { format: transfer.format }));
            }
            let was = active.plan_of(transfer.epoch)?;
            layout::decode(was, &transfer.state, &mut absorbed)?;
            if !Arc::ptr_eq(was, &active.plan) {
                let at_ms = active.switched_ms.max(absorbed.last_ms);
                active.mapping_of(transfer.epoch)?.convert(was, &active.plan, &mut absorbed, at_ms);
                absorbed.last_ms = at_ms;
            }
        }
        let plan = &*active.plan;
        let arrival_ms = transfer.arrival_ms.min(*clock_ms);
        let is_alive =
            |touched: &&mut Touched| !touched.is_removed && touched.lead.standing == Standing::Alive;
        let touched = match overlay.touch(base, active, key)?.filter(is_alive) {
            Some(touched) => touched,
            None if has_life => {
                // One that this transaction has removed has been forgotten with everything.
                let kept = overlay.get(key).filter(|touched| !touched.is_removed);
                let erased_ms = kept.map_or(NEVER, |touched| refused_ms(&touched.lead, *clock_ms));
                // Lives of one id are told apart by their births: one after an erasure began after it.
                let born_ms = if erased_ms == NEVER { i64::MIN } else { erased_ms + 1 }.max(absorbed.born_ms);
                let touched = overlay.begin(key, lead_id, born_ms, active.epoch);
                touched.lead.erased_ms = erased_ms;
                touched
            }
            // Nothing has been, on either side: there is nothing to keep.
            None => return Ok(Applied::Merged),
        };
        (touched.is_removed, touched.is_changed) = (false, true);
        let lead = &mut touched.lead;
        if !has_life {
            merge::add_id(lead, &transfer.from);
            return Ok(Applied::Merged);
        }
        let at_ms = arrival_ms.max(lead.last_ms).max(absorbed.last_ms);
        merge::merge(plan, lead, &mut absorbed, at_ms);
        if is_known(lead_id) && lead.known_since_ms.is_none() {
            lead.known_since_ms = Some(at_ms);
        }
        scratch.reading.read(plan, lead, at_ms);
        let evaluation = stages::evaluate(plan, lead, at_ms, &scratch.reading, Occasion::Whole);
        let of = Circumstances::without_activity(Cause::Merge, *clock_ms, *historical);
        let view = View { plan, lead, at_ms, now: &scratch.reading };
        lead.seq += explain::decide(&view, &evaluation, lead.seq + 1, of, out);
        self.timers.arm(scratch.next_timer(plan, lead, at_ms, key));
        Ok(Applied::Merged)
    }

    /// Ends a life, under every id that it had.
    pub(crate) fn erase(
        &mut self,
        active: &Active,
        lead_id: &str,
        erase: &Erase<'_>,
        out: &mut Vec<Decision>,
    ) -> Result<Applied, Refused> {
        LeadId::parse(lead_id)?;
        let key = LeadKey::of(lead_id);
        self.refresh(active, key, out)?;
        let Work { overlay, base, scratch, clock_ms, historical, .. } = self;
        let plan = &*active.plan;
        // A host whose clock is fast must not keep the person away until its time has come.
        let arrival_ms = erase.arrival_ms.min(*clock_ms);
        let (touched, exists) = match overlay.touch(base, active, key)?.filter(|touched| !touched.is_removed)
        {
            Some(touched) => (touched, true),
            None => (overlay.begin(key, lead_id, arrival_ms, active.epoch), false),
        };
        let lead = &mut touched.lead;
        lead.erased_ms = refused_ms(lead, *clock_ms);
        if exists && arrival_ms <= lead.erased_ms && !erase.suppress {
            // Once is enough: what has come since then is another life's.
            return Ok(Applied::Erased);
        }
        let mut told: Vec<Box<str>> = Vec::new();
        // Whom it belonged to is known for links that come late.
        let mut belonged_to: Vec<Box<str>> = Vec::new();
        let mut is_suppressed = erase.suppress;
        match &lead.standing {
            Standing::Erased { is_suppressed: before } => {
                is_suppressed |= before;
                belonged_to.append(&mut lead.ids);
            }
            Standing::MergedInto(root) => {
                told.push(root.clone());
                belonged_to.push(root.clone());
            }
            Standing::Alive => {
                told.append(&mut lead.ids);
                if exists {
                    let at_ms = arrival_ms.max(lead.last_ms);
                    lead.last_ms = at_ms;
                    scratch.reading.read(plan, lead, at_ms);
                    let end = stages::end_life(lead);
                    let of = Circumstances::without_activity(Cause::Erased, *clock_ms, *historical);
                    let view = View { plan, lead, at_ms, now: &scratch.reading };
                    explain::decide(&view, &end, lead.seq + 1, of, out);
                }
            }
        }
        // A life that began while the request was on its way ends with it, or has ended already in another lead, and
        // the next one is born after it: lives of one id are told apart by their births.
        let erased_ms = lead.erased_ms.max(arrival_ms).max(lead.born_ms);
        begin_note(lead, (arrival_ms, erased_ms), is_suppressed, active.epoch);
        lead.ids = belonged_to;
        (touched.is_removed, touched.is_changed) = (false, true);
        let deadline_ms = lead.deadline_ms;
        self.timers.arm(Timer { deadline_ms, key });
        for id in told {
            self.send(&id, &ActivityRecord::Erase(Erase { arrival_ms, ..erase.clone() }));
        }
        Ok(Applied::Erased)
    }

    /// Sends an activity on to the lead that has absorbed its id.
    pub(crate) fn forward(
        &mut self,
        active: &Active,
        lead_id: &str,
        parent: &str,
        activity: &ActivityRecord<'_>,
    ) {
        self.send(parent, activity);
        self.keep_stub(active, LeadKey::of(lead_id));
    }

    /// A stub that is of use stays. Not written anew each time, for a year is long.
    fn keep_stub(&mut self, active: &Active, key: LeadKey) {
        let until_ms = self.clock_ms.saturating_add(STUB_MS);
        if let Ok(Some(touched)) = self.overlay.touch(&self.base, active, key)
            && touched.lead.deadline_ms < until_ms - STUB_MS / 8
        {
            touched.lead.deadline_ms = until_ms;
            touched.is_changed = true;
            self.timers.arm(Timer { deadline_ms: until_ms, key });
        }
    }

    fn send(&mut self, lead_id: &str, record: &ActivityRecord<'_>) {
        let mut value = Vec::new();
        encode_activity(record, &mut value).expect("what was decoded, or made here, fits the schema");
        self.sent.push(Sent { lead_id: lead_id.to_owned(), value });
    }

    /// What the id stands for; `None` if nothing is known of it.
    fn standing(&mut self, active: &Active, lead_id: &str) -> Result<Option<Standing>, Refused> {
        let touched = self.overlay.touch(&self.base, active, LeadKey::of(lead_id))?;
        Ok(touched.filter(|touched| !touched.is_removed).map(|touched| touched.lead.standing.clone()))
    }

    /// Whether the id was erased at or after an instant, which is not later than the clock.
    fn is_erased_since(&self, lead_id: &str, arrival_ms: i64) -> bool {
        let touched = self.overlay.get(LeadKey::of(lead_id)).filter(|touched| !touched.is_removed);
        let arrival_ms = arrival_ms.min(self.clock_ms);
        touched.is_some_and(|touched| arrival_ms <= refused_ms(&touched.lead, self.clock_ms))
    }
}

/// Up to which arrival an id refuses what comes: [`NEVER`] once its erasure is not remembered any more, whether the
/// mark has been taken off or not.
pub(crate) fn refused_ms(lead: &Lead, clock_ms: i64) -> i64 {
    let is_note = matches!(lead.standing, Standing::Erased { .. });
    if is_note || clock_ms < lead.erased_ms.saturating_add(ERASURE_MS) { lead.erased_ms } else { NEVER }
}

/// Makes it the note of an erasure: nothing of a life is left.
pub(crate) fn begin_note(lead: &mut Lead, (at_ms, erased_ms): (i64, i64), is_suppressed: bool, epoch: u32) {
    let id = std::mem::take(&mut lead.id);
    lead.begin(&id, at_ms, epoch);
    lead.standing = Standing::Erased { is_suppressed };
    lead.erased_ms = erased_ms;
    lead.deadline_ms = if is_suppressed { i64::MAX } else { erased_ms.saturating_add(ERASURE_MS) };
}
