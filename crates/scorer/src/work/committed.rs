//! The committed leads as a whole: replaced, armed, and brought to another model some at a time.

use ripen_records::Decision;

use super::Work;
use crate::error::StateError;
use crate::layout;
use crate::lead_key::{LeadKey, SweepOrder};
use crate::shard::Active;
use crate::timers::{Gathered, Timer};

impl Work {
    /// Replaces a lead's committed bytes; `None` removes them.
    pub(crate) fn put(&mut self, key: LeadKey, bytes: Option<Box<[u8]>>) {
        let is_alive = bytes.as_deref().is_some_and(layout::is_alive);
        let before = match bytes {
            Some(bytes) => self.base.insert(key, bytes),
            None => self.base.remove(&key).map(|(_, bytes)| bytes),
        };
        self.alive -= usize::from(before.as_deref().is_some_and(layout::is_alive));
        self.alive += usize::from(is_alive);
    }

    /// Arms the deadlines of all committed leads and no others; whether all of them stand under the model of `epoch`.
    pub(super) fn rearm(&mut self, epoch: u32) -> Result<bool, StateError> {
        let (mut gathered, leads) = (Gathered::default(), self.base.len());
        for entry in self.base.iter() {
            let header = layout::header(entry.value())?;
            let timer = Timer { deadline_ms: header.deadline_ms, key: *entry.key() };
            gathered.add(timer, header.epoch, || leads);
        }
        let is_swept = leads == 0 || gathered.are_all_of(epoch, leads);
        self.timers.replace(gathered);
        self.stale = is_swept.then(Vec::new);
        Ok(is_swept)
    }

    /// Brings up to `most` leads that stand under an older model to the active one, in the order of the sweep;
    /// whether all of them are.
    pub(crate) fn sweep(
        &mut self,
        active: &Active,
        most: usize,
        out: &mut Vec<Decision>,
    ) -> Result<bool, StateError> {
        let mut stale = match self.stale.take() {
            Some(stale) => stale,
            None => self.find_stale(active.epoch)?,
        };
        let from = stale.len().saturating_sub(most);
        for key in stale.drain(from..).rev() {
            self.refresh(active, key, out)?;
        }
        let is_done = stale.is_empty();
        self.stale = Some(stale);
        Ok(is_done)
    }

    fn find_stale(&self, epoch: u32) -> Result<Vec<LeadKey>, StateError> {
        let mut stale = Vec::new();
        for entry in self.base.iter() {
            let header = layout::header(entry.value())?;
            if header.epoch != epoch && self.overlay.get(*entry.key()).is_none() {
                stale.push((SweepOrder::of(header.lead_id), *entry.key()));
            }
        }
        let touched =
            self.overlay.iter().filter(|touched| !touched.is_removed && touched.lead.epoch != epoch);
        stale.extend(touched.map(|touched| (SweepOrder::of(&touched.lead.id), touched.key)));
        stale.sort_unstable_by(|a, b| b.cmp(a));
        Ok(stale.into_iter().map(|(_, key)| key).collect())
    }

    /// Whoever is to be swept is looked for anew.
    pub(crate) fn forget_stale(&mut self) {
        self.stale = None;
    }
}
