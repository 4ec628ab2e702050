//! Leads on their way into the base: from the changelog, or from a transaction that has committed.
//!
//! They wait until enough of them belong to one of the base's maps: a map that many leads go into at once stays in the
//! cache meanwhile, and is locked once.

use super::Work;
use crate::error::StateError;
use crate::layout;
use crate::lead_key::{LeadKey, Put, put_all};
use crate::timers::{Gathered, Timer};

/// Leads that wait for one map; 64 maps of a partition hold back some 16 MB of usual leads, most of which stay.
const WAITING: usize = 1_024;

/// What has not been put into the base yet.
#[derive(Debug, Default)]
pub(super) struct Arriving {
    /// By map of the base, in the order in which they came.
    waiting: Vec<Vec<Put>>,
    /// What restoring has shown so far.
    gathered: Gathered,
}

impl Work {
    /// Takes a committed lead from the changelog, and its deadline with it. It is seen once all of them are.
    pub(crate) fn restore(&mut self, header: &layout::Header<'_>, bytes: &[u8]) {
        let key = LeadKey::of(header.lead_id);
        let timer = Timer { deadline_ms: header.deadline_ms, key };
        let Arriving { waiting, gathered } = &mut self.arriving;
        let leads = || self.base.len() + waiting.iter().map(Vec::len).sum::<usize>();
        gathered.add(timer, header.epoch, leads);
        self.put_later(key, Some(bytes.into()));
    }

    /// Takes a deletion from the changelog.
    pub(crate) fn restore_removal(&mut self, key: LeadKey) {
        self.put_later(key, None);
    }

    /// Puts everything that has arrived into the base.
    pub(crate) fn put_arrived(&mut self) {
        for map in 0..self.arriving.waiting.len() {
            if !self.arriving.waiting[map].is_empty() {
                self.put_waiting(map);
            }
        }
    }

    /// Shows all restored leads and arms their deadlines; whether all of them stand under the model of `epoch`.
    pub(crate) fn arm_restored(&mut self, epoch: u32) -> Result<bool, StateError> {
        self.put_arrived();
        self.arriving.waiting = Vec::new();
        let gathered = std::mem::take(&mut self.arriving.gathered);
        // Older versions of leads may have stood under another model, or leave too many timers: one more look is needed.
        if !gathered.are_all_of(epoch, self.base.len()) {
            return self.rearm(epoch);
        }
        self.timers.replace(gathered);
        self.stale = Some(Vec::new());
        Ok(true)
    }

    /// Replaces a lead's committed bytes, at the latest when everything that has arrived is put; `None` removes them.
    pub(super) fn put_later(&mut self, key: LeadKey, bytes: Option<Box<[u8]>>) {
        self.alive += usize::from(bytes.as_deref().is_some_and(layout::is_alive));
        let map = self.base.determine_map(&key);
        let waiting = &mut self.arriving.waiting;
        if waiting.is_empty() {
            waiting.resize_with(self.base.shards().len(), Vec::new);
        }
        waiting[map].push((key, bytes));
        if waiting[map].len() == WAITING {
            self.put_waiting(map);
        }
    }

    fn put_waiting(&mut self, map: usize) {
        let Work { arriving, base, alive, .. } = self;
        let waiting = &mut arriving.waiting[map];
        put_all(base, map, waiting, |before| *alive -= usize::from(layout::is_alive(before)));
    }
}
