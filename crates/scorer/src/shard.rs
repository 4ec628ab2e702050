//! One partition: committed leads, the open transaction over them, timers and the clock.
//!
//! Everything that is applied is staged: `commit` makes it the state, `abort` drops it without a trace. The shard
//! reads no clock; the partition's clock is the largest timestamp among its records (S14).

use std::sync::Arc;

use ripen_model::Model;
use ripen_records::{ActivityRecord, Decision, Field, Switch};

use crate::convert::Mapping;
use crate::error::{FilterReason, Refused, StateError};
use crate::identity::Sent;
use crate::layout::{self, OLDEST_STATE_FORMAT};
use crate::lead_key::{Base, LeadKey, new_base};
use crate::meta::{self, Meta};
use crate::plan::Plan;
use crate::view::LeadView;
use crate::work::Work;

/// The version of the language's semantics that is executed here.
pub const SEMANTICS: u16 = 1;

/// Timestamps lie within ±2⁴⁶ ms of 1970: the years −260 to 4199, where no sum of them overflows.
const LATEST_MS: i64 = 1 << 46;

/// Leads that one tick brings to another model: some milliseconds of work.
const SWEPT_PER_TICK: usize = 256;

/// Models before the active one that are kept when no lead of the partition stands under them any more: a lead may be on
/// its way from a partition that is behind. One that is this many activations behind has not run for months.
const OLDER_KEPT: usize = 16;

/// No event time lies before this.
pub(crate) const EARLIEST_MS: i64 = -LATEST_MS;

/// One partition of leads.
#[derive(Debug)]
pub struct Shard {
    work: Work,
    active: Option<Active>,
    committed_active: Option<Active>,
    committed_clock_ms: i64,
    restored: Option<Meta>,
}

/// The model that holds.
#[derive(Debug, Clone)]
pub(crate) struct Active {
    pub(crate) epoch: u32,
    pub(crate) plan: Arc<Plan>,
    /// The instant from which on it holds, ms UTC.
    pub(crate) switched_ms: i64,
    /// Models that leads may still stand under, here or on their way from a partition that has not come to the switch.
    pub(crate) older: Vec<Older>,
    /// Whether all leads of this partition stand under the active model.
    pub(crate) is_swept: bool,
    /// The format that leads are written in: the newest one that a switch has named.
    pub(crate) format: u16,
}

/// A model that held before.
#[derive(Debug, Clone)]
pub(crate) struct Older {
    epoch: u32,
    plan: Arc<Plan>,
    /// To the active model.
    mapping: Arc<Mapping>,
}

impl Active {
    fn new(epoch: u32, plan: Arc<Plan>, switched_ms: i64, format: u16) -> Active {
        Active { epoch, plan, switched_ms, older: Vec::new(), is_swept: true, format }
    }

    /// The model that a lead of this epoch was written under.
    pub(crate) fn plan_of(&self, epoch: u32) -> Result<&Arc<Plan>, StateError> {
        if epoch == self.epoch {
            return Ok(&self.plan);
        }
        self.older(epoch).map(|older| &older.plan)
    }

    /// How a lead of an older epoch is brought to the active model.
    pub(crate) fn mapping_of(&self, epoch: u32) -> Result<&Mapping, StateError> {
        self.older(epoch).map(|older| &*older.mapping)
    }

    fn older(&self, epoch: u32) -> Result<&Older, StateError> {
        self.older.iter().find(|older| older.epoch == epoch).ok_or(StateError::Epoch { epoch })
    }

    /// Puts another model in its place.
    fn replaced_by(&self, epoch: u32, plan: Arc<Plan>, switched_ms: i64) -> Active {
        let before =
            self.older.iter().map(|older| (older.epoch, &older.plan)).chain([(self.epoch, &self.plan)]);
        let older = before.map(|(epoch, was)| Older {
            epoch,
            plan: Arc::clone(was),
            mapping: Arc::new(Mapping::new(was, &plan)),
        });
        Active {
            older: older.collect(),
            is_swept: false,
            ..Active::new(epoch, plan, switched_ms, self.format)
        }
    }
}

/// How many deadlines may be fired before the caller wants to commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    left: u32,
}

impl Budget {
    /// Room for `deadlines` deadlines; 0 fires none.
    pub fn new(deadlines: u32) -> Budget {
        Budget { left: deadlines }
    }

    /// Takes one, if there is one.
    pub(crate) fn take(&mut self) -> bool {
        let some = self.left > 0;
        self.left = self.left.saturating_sub(1);
        some
    }
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Applied {
    /// An activity was accepted.
    Accepted {
        /// In how many rules it counted.
        counted: u16,
        /// It is its lead's first one.
        is_new_lead: bool,
    },
    /// An activity was not counted.
    Filtered(FilterReason),
    /// The id belongs to another lead: the record was sent on.
    Forwarded,
    /// Two ids are one person, or have been.
    Linked,
    /// A link that the rules of identity refuse (S1).
    LinkRefused,
    /// Another lead was taken in.
    Merged,
    /// A life was ended on request.
    Erased,
    /// A record that says nothing which is of use here.
    Ignored,
    /// Only time passed.
    Ticked,
    /// A switch: deadlines before it have been fired, [`Shard::switch`] activates its model.
    Switched,
    /// The budget is used up and deadlines are still due: commit, then apply the same record again.
    More,
}

impl Default for Shard {
    fn default() -> Self {
        Shard::new()
    }
}

impl Shard {
    /// An empty partition without a model.
    pub fn new() -> Shard {
        Shard {
            work: Work::new(new_base()),
            active: None,
            committed_active: None,
            committed_clock_ms: i64::MIN,
            restored: None,
        }
    }

    /// Marks all decisions as coming from a backfill of history.
    pub fn set_historical(&mut self, historical: bool) {
        self.work.historical = historical;
    }

    /// Keeps note of the deadlines that fire, for [`Shard::take_fired`].
    pub fn note_fired(&mut self) {
        self.work.fired.get_or_insert_default();
    }

    /// Leads whose deadlines have fired since the last call, and their instants (ms UTC), in order.
    pub fn take_fired(&mut self) -> Vec<(String, i64)> {
        self.work.fired.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// The committed leads, for readers.
    pub fn base(&self) -> Arc<Base> {
        Arc::clone(&self.work.base)
    }

    /// Takes one changelog record; the newest one of a lead counts. Only its header is read. Readers see it once
    /// [`Shard::set_models`] has ended restoring, and one that comes after that at once.
    ///
    /// # Errors
    /// Bytes of another format, or of another lead.
    pub fn restore_lead(&mut self, lead_id: &str, value: &[u8]) -> Result<(), StateError> {
        let header = layout::header(value)?;
        if header.lead_id != lead_id {
            return Err(StateError::OtherLead);
        }
        if self.active.is_some() {
            self.work.put(LeadKey::of(lead_id), Some(value.into()));
        } else {
            self.work.restore(&header, value);
        }
        Ok(())
    }

    /// Takes a deletion from the changelog; it is seen when a lead would be.
    pub fn restore_removal(&mut self, lead_id: &str) {
        let key = LeadKey::of(lead_id);
        if self.active.is_some() {
            self.work.put(key, None);
        } else {
            self.work.restore_removal(key);
        }
    }

    /// Takes the partition's own state, as [`Shard::meta`] wrote it.
    ///
    /// # Errors
    /// Bytes that cannot be read.
    pub fn restore_meta(&mut self, bytes: &[u8]) -> Result<(), StateError> {
        let meta = meta::decode(bytes)?;
        self.work.clock_ms = meta.clock_ms;
        self.committed_clock_ms = meta.clock_ms;
        self.restored = Some(meta);
        Ok(())
    }

    /// The active epoch and model hash; after [`Shard::restore_meta`] those of the state.
    pub fn epoch(&self) -> Option<(u32, &str)> {
        let active = self.active.as_ref().map(|active| (active.epoch, active.plan.model.hash.as_str()));
        let restored = || self.restored.as_ref()?.epochs.last().map(|(epoch, hash)| (*epoch, hash.as_str()));
        active.or_else(restored)
    }

    /// Hashes of the models that restored leads were written under, the active one last.
    pub fn restored_models(&self) -> Vec<&str> {
        let epochs = self.restored.iter().flat_map(|meta| &meta.epochs);
        epochs.map(|(_, hash)| hash.as_str()).collect()
    }

    /// Ends restoring with the models of the restored epochs, as [`Shard::restored_models`] names them: deadlines are
    /// armed.
    ///
    /// # Errors
    /// The state was written under other models, or under none.
    pub fn set_models(&mut self, models: &[Arc<Model>]) -> Result<(), StateError> {
        let (epochs, switched_ms, format) = match &self.restored {
            Some(meta) if !meta.epochs.is_empty() => (meta.epochs.clone(), meta.switched_ms, meta.format),
            _ => {
                let given = models.last().map(|model| model.hash.clone()).unwrap_or_default();
                return Err(StateError::Model { written: String::new(), given });
            }
        };
        let mut active: Option<Active> = None;
        for (ix, (epoch, hash)) in epochs.into_iter().enumerate() {
            let model =
                models.get(ix).filter(|model| model.hash == hash).ok_or_else(|| StateError::Model {
                    given: models.get(ix).map(|model| model.hash.clone()).unwrap_or_default(),
                    written: hash,
                })?;
            active = Some(next(active.as_ref(), epoch, Arc::clone(model), switched_ms, format));
        }
        self.active = active;
        self.work.forget_pages();
        self.work.forget_stale();
        if let Some(active) = &mut self.active {
            let is_swept = self.work.arm_restored(active.epoch)?;
            // Whether the tick that ends a sweep has come is not in the state: the next one ends it, once more perhaps.
            active.is_swept = is_swept && active.older.is_empty();
        }
        self.committed_active.clone_from(&self.active);
        Ok(())
    }

    /// Activates a model, the one that `switch` names. Staged. The switch's record is applied first, until it
    /// answers [`Applied::Switched`]. Leads are brought to it as they are touched, and by ticks.
    ///
    /// # Errors
    /// See [`can_switch`].
    pub fn switch(&mut self, switch: &Switch<'_>, model: Arc<Model>) -> Result<(), Refused> {
        can_switch(switch, &model)?;
        self.work.put_arrived();
        self.work.forget_pages();
        self.work.forget_stale();
        self.active =
            Some(next(self.active.as_ref(), switch.epoch, model, switch.at_ms, switch.state_format));
        Ok(())
    }

    /// What the records applied since the last call ask to be sent to other leads; part of the same transaction.
    pub fn take_sent(&mut self) -> Vec<Sent> {
        std::mem::take(&mut self.work.sent)
    }

    /// Says of which leads the next records are, in their order, and gives back how many of them were taken in; after so
    /// many records is the time to say more. Their leads are fetched from memory together. Nothing else depends on it: other
    /// records may come.
    pub fn expect<'a>(&mut self, lead_ids: impl Iterator<Item = &'a str>) -> usize {
        self.work.overlay.expect(&self.work.base, lead_ids)
    }

    /// Moves the clock to the record's log time, fires what is due, then applies the record. `timestamp_ms` is the
    /// broker's timestamp of the record; decisions are appended to `out`.
    ///
    /// # Errors
    /// See [`Refused`]; nothing of the record is staged then, save the time that it carried and the deadlines
    /// that were due before it. Without a model nothing at all is staged.
    pub fn apply(
        &mut self,
        lead_id: &str,
        record: &ActivityRecord<'_>,
        timestamp_ms: i64,
        budget: &mut Budget,
        out: &mut Vec<Decision>,
    ) -> Result<Applied, Refused> {
        check_timestamp(timestamp_ms)?;
        let Some(active) = &self.active else {
            return self.apply_without_model(record, timestamp_ms);
        };
        self.work.clock_ms = self.work.clock_ms.max(timestamp_ms);
        if !self.work.fire_due(active, budget, out)? {
            return Ok(Applied::More);
        }
        match record {
            ActivityRecord::Activity(activity) => {
                check_timestamp(activity.arrival_ms)?;
                self.work.apply(active, lead_id, record, activity, out)
            }
            ActivityRecord::Link(link) => {
                check_timestamp(link.arrival_ms)?;
                self.work.link(active, lead_id, link, out)
            }
            ActivityRecord::Transfer(transfer) => {
                check_timestamp(transfer.arrival_ms)?;
                self.work.transfer(active, lead_id, transfer, out)
            }
            ActivityRecord::Erase(erase) => {
                check_timestamp(erase.arrival_ms)?;
                self.work.erase(active, lead_id, erase, out)
            }
            ActivityRecord::Tick(_) => self.sweep(out),
            ActivityRecord::Switch(_) => Ok(Applied::Switched),
            // Only a shorter way, which is not taken here: what it is about arrives without it.
            ActivityRecord::Point(_) => Ok(Applied::Ignored),
        }
    }

    /// Sets traits of a lead as if they had been known since `at_ms`, by their names in the model and without an
    /// activity; a lead that is not there yet is born then. For the tests inside a model: nothing is evaluated, and a
    /// value that any activity from `at_ms` on carries is newer. Staged.
    ///
    /// # Errors
    /// See [`Refused`]: no model, no lead id, committed bytes that cannot be read.
    pub fn preset_traits(&mut self, lead_id: &str, traits: &[Field<'_>], at_ms: i64) -> Result<(), Refused> {
        check_timestamp(at_ms)?;
        let active = self.active.as_ref().ok_or(Refused::NoModel)?;
        self.work.preset_traits(active, lead_id, traits, at_ms)
    }

    /// Gives one changelog record for each touched lead, in the order in which they were touched: its id, and its
    /// bytes or `None` for a removal.
    pub fn seal(&mut self, write: &mut impl FnMut(&str, Option<&[u8]>)) {
        if let Some(active) = &self.active {
            self.work.seal(active, write);
        }
    }

    /// The format that leads are written in: the newest one that a switch has named, and before any switch the oldest.
    pub fn state_format(&self) -> u16 {
        self.active.as_ref().map_or(OLDEST_STATE_FORMAT, |active| active.format)
    }

    /// The partition's own state: clock, epochs, model hashes.
    pub fn meta(&self) -> Vec<u8> {
        let epochs = self.active.iter().flat_map(|active| {
            let older = active.older.iter().map(|older| (older.epoch, older.plan.model.hash.clone()));
            older.chain([(active.epoch, active.plan.model.hash.clone())])
        });
        meta::encode(&Meta {
            format: self.state_format(),
            clock_ms: self.work.clock_ms,
            switched_ms: self.active.as_ref().map_or(0, |active| active.switched_ms),
            epochs: epochs.collect(),
        })
    }

    /// Everything staged since the last commit becomes the state.
    pub fn commit(&mut self) {
        if let Some(active) = &self.active {
            self.work.commit(active);
        }
        self.committed_clock_ms = self.work.clock_ms;
        self.committed_active.clone_from(&self.active);
    }

    /// Everything staged since the last commit is dropped.
    pub fn abort(&mut self) {
        self.work.abort();
        self.work.forget_pages();
        self.work.clock_ms = self.committed_clock_ms;
        self.active.clone_from(&self.committed_active);
    }

    /// The earliest deadline, ms UTC; it may turn out to be one that nobody waits for any more. While leads are being
    /// brought to another model, it is at once.
    pub fn next_deadline(&self) -> Option<i64> {
        let sweeps = self.active.as_ref().is_some_and(|active| !active.is_swept);
        let sweep_ms = sweeps.then(|| self.work.clock_ms.saturating_add(1));
        [self.work.timers.next_ms(), sweep_ms].into_iter().flatten().min()
    }

    /// The partition's clock, ms UTC; `i64::MIN` before the first record.
    pub fn clock(&self) -> i64 {
        self.work.clock_ms
    }

    /// A lead as it stands in the open transaction, as of `at_ms` or its own last instant if that is later;
    /// `None` if there is no such lead.
    ///
    /// # Errors
    /// Committed bytes that cannot be read.
    pub fn lead(&self, lead_id: &str, at_ms: i64) -> Result<Option<LeadView>, StateError> {
        match &self.active {
            Some(active) => self.work.view(active, LeadKey::of(lead_id), at_ms),
            None => Ok(None),
        }
    }

    /// The number of committed leads; ids that belong to another lead and erased ones are none.
    pub fn leads(&self) -> usize {
        self.work.alive
    }

    /// Brings some leads of older models to the active one.
    fn sweep(&mut self, out: &mut Vec<Decision>) -> Result<Applied, Refused> {
        if let Some(active) = self.active.as_mut().filter(|active| !active.is_swept)
            && self.work.sweep(active, SWEPT_PER_TICK, out)?
        {
            active.is_swept = true;
            let beyond = active.older.len().saturating_sub(OLDER_KEPT);
            active.older.drain(..beyond);
        }
        Ok(Applied::Ticked)
    }

    fn apply_without_model(
        &mut self,
        record: &ActivityRecord<'_>,
        timestamp_ms: i64,
    ) -> Result<Applied, Refused> {
        let applied = match record {
            ActivityRecord::Tick(_) => Applied::Ticked,
            ActivityRecord::Switch(_) => Applied::Switched,
            _ => return Err(Refused::NoModel),
        };
        self.work.clock_ms = self.work.clock_ms.max(timestamp_ms);
        Ok(applied)
    }
}

/// Whether [`Shard::switch`] will take a switch: before anything else of its record is done, since a record that blocks
/// leaves nothing behind.
///
/// # Errors
/// Semantics of another version, a state format of a newer one, or another model than named.
pub fn can_switch(switch: &Switch<'_>, model: &Model) -> Result<(), Refused> {
    if switch.semantics != SEMANTICS || !layout::is_known(switch.state_format) {
        let Switch { semantics, state_format, .. } = *switch;
        return Err(Refused::SwitchVersion { semantics, state_format });
    }
    if *switch.model_hash != *model.hash {
        let named = switch.model_hash.to_string();
        return Err(Refused::SwitchModel { named, given: model.hash.clone() });
    }
    Ok(())
}

fn check_timestamp(timestamp_ms: i64) -> Result<(), Refused> {
    let within = (EARLIEST_MS..LATEST_MS).contains(&timestamp_ms);
    if within { Ok(()) } else { Err(Refused::Timestamp { timestamp_ms }) }
}

/// The model that follows, and the format if it is newer.
fn next(active: Option<&Active>, epoch: u32, model: Arc<Model>, switched_ms: i64, format: u16) -> Active {
    let mut next = match active {
        // The same model again: leads need nothing.
        Some(active) if active.plan.model.hash == model.hash => {
            active.replaced_by(epoch.max(active.epoch), Arc::clone(&active.plan), active.switched_ms)
        }
        // Leads tell by their epoch which model they stand under: two models never share one.
        Some(active) => {
            active.replaced_by(epoch.max(active.epoch + 1), Arc::new(Plan::new(model)), switched_ms)
        }
        None => Active::new(epoch, Arc::new(Plan::new(model)), switched_ms, format),
    };
    next.format = next.format.max(format);
    next
}
