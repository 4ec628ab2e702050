//! Leads on their way from the changelog into the base.
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

/// What restoring has shown so far.
#[derive(Debug, Default)]
pub(super) struct Restoring {
    /// By map of the base, in the order of the changelog.
    waiting: Vec<Vec<Put>>,
    gathered: Gathered,
}

impl Work {
    /// Takes a committed lead from the changelog, and its deadline with it. It is seen once all of them are.
    pub(crate) fn restore(&mut self, header: &layout::Header<'_>, bytes: &[u8]) {
        let key = LeadKey::of(header.lead_id);
        let timer = Timer { deadline_ms: header.deadline_ms, key };
        let Restoring { waiting, gathered } = &mut self.restoring;
        let leads = || self.base.len() + waiting.iter().map(Vec::len).sum::<usize>();
        gathered.add(timer, header.epoch, leads);
        self.alive += usize::from(layout::is_alive(bytes));
        self.put_later(key, Some(bytes.into()));
    }

    /// Takes a deletion from the changelog.
    pub(crate) fn restore_removal(&mut self, key: LeadKey) {
        self.put_later(key, None);
    }

    /// Shows everything that has been restored.
    pub(crate) fn show_restored(&mut self) {
        for (map, mut waiting) in std::mem::take(&mut self.restoring.waiting).into_iter().enumerate() {
            self.put_waiting(map, &mut waiting);
        }
    }

    /// Shows all restored leads and arms their deadlines; whether all of them stand under the model of `epoch`.
    pub(crate) fn arm_restored(&mut self, epoch: u32) -> Result<bool, StateError> {
        self.show_restored();
        let gathered = std::mem::take(&mut self.restoring.gathered);
        // Older versions of leads may have stood under another model, or leave too many timers: one more look is needed.
        if !gathered.are_all_of(epoch, self.base.len()) {
            return self.rearm(epoch);
        }
        self.timers.replace(gathered);
        self.stale = Some(Vec::new());
        Ok(true)
    }

    fn put_later(&mut self, key: LeadKey, bytes: Option<Box<[u8]>>) {
        let map = self.base.determine_map(&key);
        let waiting = &mut self.restoring.waiting;
        if waiting.is_empty() {
            waiting.resize_with(self.base.shards().len(), Vec::new);
        }
        waiting[map].push((key, bytes));
        if waiting[map].len() == WAITING {
            let mut full = std::mem::take(&mut waiting[map]);
            self.put_waiting(map, &mut full);
            self.restoring.waiting[map] = full;
        }
    }

    /// Leaves `waiting` empty, with its room. What is alive of it has been counted.
    fn put_waiting(&mut self, map: usize, waiting: &mut Vec<Put>) {
        let alive = &mut self.alive;
        put_all(&self.base, map, waiting.drain(..), |before| *alive -= usize::from(layout::is_alive(before)));
    }
}
