//! One timer a lead, fired in the order (deadline, lead id) (S14).
//!
//! A heap: activities hardly ever touch it, since a deadline that only moves away stays armed where it is, and
//! firing a lead costs far more than taking it out. Leads of one deadline are taken out together and sorted by
//! id. What a transaction arms is kept apart and what it takes is remembered until it commits.
//!
//! A timer is only a hint: the lead's own deadline decides, and a timer that does not agree with it is dropped
//! where it is met. That lets a deadline move without a search for its old timer; when such timers outnumber the
//! leads, the heap is swept.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use ripen_records::LeadId;

use crate::lead_key::LeadKey;

/// Timers over twice the number of leads that are tolerated before a sweep.
const SLACK: usize = 4_096;

/// One lead's wish to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Timer {
    pub(crate) deadline_ms: i64,
    pub(crate) key: LeadKey,
}

/// The timers of one partition.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    committed: BinaryHeap<Reverse<Timer>>,
    /// Armed since the last commit.
    armed: BTreeSet<Timer>,
    /// Timers of one deadline that are being fired, by lead id, the first one last.
    batch: Vec<Due>,
    /// Taken since the last commit from what was committed before.
    taken: Vec<Timer>,
}

#[derive(Debug, Clone, Copy)]
struct Due {
    timer: Timer,
    /// Armed and due within one transaction: nothing to put back.
    fresh: bool,
}

impl Timers {
    /// Arms timers outside any transaction, for restoring.
    pub(crate) fn restore(&mut self, timers: impl Iterator<Item = Timer>) {
        self.committed = timers.filter(Timer::is_due_ever).map(Reverse).collect();
        self.armed.clear();
        self.batch.clear();
        self.taken.clear();
    }

    /// Arms a timer in the open transaction. An older timer of the lead stays and is dropped when met.
    pub(crate) fn arm(&mut self, timer: Timer) {
        if timer.is_due_ever() {
            self.armed.insert(timer);
        }
    }

    /// The earliest deadline, that of timers that are not wanted any more included.
    pub(crate) fn next_ms(&self) -> Option<i64> {
        let batch = self.batch.last().map(|due| due.timer.deadline_ms);
        let committed = self.committed.peek().map(|Reverse(timer)| timer.deadline_ms);
        let armed = self.armed.first().map(|timer| timer.deadline_ms);
        [batch, committed, armed].into_iter().flatten().min()
    }

    /// Takes the first timer at or before `until_ms`; `lead_id` gives the id of a lead, `None` if it is gone.
    ///
    /// A batch is fired to its end before anything that is armed meanwhile: a fired lead's successor is strictly
    /// later, and no activity is applied in between.
    pub(crate) fn take(
        &mut self,
        until_ms: i64,
        lead_id: impl Fn(LeadKey) -> Option<Box<str>>,
    ) -> Option<Timer> {
        if self.batch.is_empty() {
            let deadline_ms = self.next_ms().filter(|next_ms| *next_ms <= until_ms)?;
            self.gather(deadline_ms, lead_id);
        }
        let Due { timer, fresh } = self.batch.pop()?;
        if !fresh {
            self.taken.push(timer);
        }
        Some(timer)
    }

    /// What has been armed and taken since the last commit becomes the state.
    pub(crate) fn commit(&mut self) {
        self.taken.clear();
        self.batch.iter_mut().for_each(|due| due.fresh = false);
        let armed = std::mem::take(&mut self.armed);
        self.committed.extend(armed.into_iter().map(Reverse));
    }

    /// What has been armed since the last commit is dropped, what has been taken is put back.
    pub(crate) fn abort(&mut self) {
        self.armed.clear();
        let waiting = self.batch.drain(..).filter(|due| !due.fresh).map(|due| due.timer);
        self.committed.extend(self.taken.drain(..).chain(waiting).map(Reverse));
    }

    /// Whether timers that nobody wants any more outnumber the leads. Only between transactions.
    pub(crate) fn wants_sweep(&self, leads: usize) -> bool {
        self.committed.len() > 2 * leads + SLACK
    }

    fn gather(&mut self, deadline_ms: i64, lead_id: impl Fn(LeadKey) -> Option<Box<str>>) {
        while let Some(Reverse(timer)) =
            self.committed.peek().filter(|t| t.0.deadline_ms == deadline_ms).copied()
        {
            self.committed.pop();
            self.batch.push(Due { timer, fresh: false });
        }
        while let Some(timer) = self.armed.first().filter(|t| t.deadline_ms == deadline_ms).copied() {
            self.armed.remove(&timer);
            self.batch.push(Due { timer, fresh: true });
        }
        if self.batch.len() > 1 {
            let order = |due: &Due| lead_id(due.timer.key).and_then(|id| LeadId::parse(&id).ok());
            self.batch.sort_by_cached_key(|due| Reverse(order(due)));
        }
    }

    /// Every committed timer, sorted.
    #[cfg(test)]
    pub(crate) fn all(&self) -> Vec<Timer> {
        let waiting = self.batch.iter().map(|due| due.timer);
        let mut all: Vec<Timer> = self.committed.iter().map(|t| t.0).chain(waiting).collect();
        all.extend(&self.armed);
        all.sort_unstable();
        all
    }
}

impl Timer {
    fn is_due_ever(&self) -> bool {
        self.deadline_ms != i64::MAX
    }
}
