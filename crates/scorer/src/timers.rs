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

/// The timers of leads as a changelog shows them one after the other; older versions of a lead leave theirs behind.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    timers: Vec<Reverse<Timer>>,
    /// The oldest and the newest epoch.
    epochs: Option<(u32, u32)>,
    /// There were more than are tolerated.
    are_too_many: bool,
}

impl Gathered {
    /// Takes the timer of a lead that was written in `epoch`; `leads` counts those that are there.
    pub(crate) fn add(&mut self, timer: Timer, epoch: u32, leads: impl FnOnce() -> usize) {
        let (oldest, newest) = self.epochs.unwrap_or((epoch, epoch));
        self.epochs = Some((oldest.min(epoch), newest.max(epoch)));
        if self.are_too_many || !timer.is_due_ever() {
            return;
        }
        // Where there is no room for another one, it is time to ask whether there should be.
        let count = self.timers.len();
        if count == self.timers.capacity() && outnumber(count, leads()) {
            self.timers = Vec::new();
            self.are_too_many = true;
            return;
        }
        self.timers.push(Reverse(timer));
    }

    /// Whether every timer is here, all were written in this epoch, and not too many are of older versions of these
    /// leads.
    pub(crate) fn are_all_of(&self, epoch: u32, leads: usize) -> bool {
        self.epochs == Some((epoch, epoch)) && !self.are_too_many && !outnumber(self.timers.len(), leads)
    }
}

#[derive(Debug, Clone, Copy)]
struct Due {
    timer: Timer,
    /// Armed and due within one transaction: nothing to put back.
    fresh: bool,
}

impl Timers {
    /// Arms timers outside any transaction, in place of all others.
    pub(crate) fn replace(&mut self, gathered: Gathered) {
        self.committed = gathered.timers.into();
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
        outnumber(self.committed.len(), leads)
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

fn outnumber(timers: usize, leads: usize) -> bool {
    timers > 2 * leads + SLACK
}

impl Timer {
    fn is_due_ever(&self) -> bool {
        self.deadline_ms != i64::MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timer(deadline_ms: i64, lead_id: &str) -> Timer {
        Timer { deadline_ms, key: LeadKey::of(lead_id) }
    }

    const LEADS: [&str; 5] = ["anon:b", "user:2", "anon:a", "user:10", "crm:z"];

    fn name(key: LeadKey) -> Option<Box<str>> {
        LEADS.into_iter().find(|lead| LeadKey::of(lead) == key).map(Into::into)
    }

    fn take_all(timers: &mut Timers, until_ms: i64) -> Vec<(i64, String)> {
        let take = || timers.take(until_ms, name);
        let told = |timer: Timer| (timer.deadline_ms, name(timer.key).expect("a lead").into_string());
        std::iter::from_fn(take).map(told).collect()
    }

    #[test]
    fn they_fire_by_deadline_then_rank_then_id() {
        let mut timers = Timers::default();
        LEADS.iter().for_each(|lead| timers.arm(timer(7, lead)));
        timers.commit();
        timers.arm(timer(3, "user:2"));
        timers.arm(timer(9, "user:2"));
        let fired = take_all(&mut timers, 8);
        let expected =
            [(3, "user:2"), (7, "crm:z"), (7, "user:10"), (7, "user:2"), (7, "anon:a"), (7, "anon:b")];
        assert_eq!(fired, expected.map(|(at, lead)| (at, lead.to_owned())));
        assert_eq!(timers.next_ms(), Some(9));
    }

    #[test]
    fn an_abort_puts_back_what_was_taken_and_drops_what_was_armed() {
        let mut timers = Timers::default();
        LEADS.iter().zip(1..).for_each(|(lead, at)| timers.arm(timer(at / 2, lead)));
        timers.commit();
        let before = timers.all();
        for taken in 0..=LEADS.len() {
            timers.arm(timer(0, "anon:a"));
            timers.arm(timer(2, "anon:b"));
            for _ in 0..taken {
                let _ = timers.take(2, name);
            }
            timers.arm(timer(5, "anon:a"));
            timers.abort();
            assert_eq!(timers.all(), before, "{taken} taken");
        }
    }

    #[test]
    fn a_batch_survives_a_commit_in_its_middle() {
        let mut timers = Timers::default();
        LEADS.iter().for_each(|lead| timers.arm(timer(7, lead)));
        timers.commit();
        let first = timers.take(7, name);
        timers.commit();
        assert_eq!(timers.all().len(), 4);
        let second = timers.take(7, name);
        timers.abort();
        assert_eq!(timers.all().len(), 4, "the first is gone for good, the second is back");
        assert_eq!(first.map(|timer| timer.key), Some(LeadKey::of("crm:z")));
        assert_eq!(timers.take(7, name), second);
    }

    #[test]
    fn what_is_never_due_is_not_kept() {
        let mut timers = Timers::default();
        timers.arm(timer(i64::MAX, "anon:a"));
        let mut gathered = Gathered::default();
        for deadline_ms in [i64::MAX, 4] {
            gathered.add(timer(deadline_ms, "anon:b"), 1, || 1);
        }
        assert!(gathered.are_all_of(1, 1) && !gathered.are_all_of(2, 1));
        timers.replace(gathered);
        assert_eq!(timers.next_ms(), Some(4));
        assert_eq!(timers.all().len(), 1);
    }

    #[test]
    fn timers_of_older_versions_are_given_up_when_they_outnumber_the_leads() {
        let gathered = |versions: usize| {
            let mut gathered = Gathered::default();
            for deadline_ms in 0..versions {
                gathered.add(timer(deadline_ms as i64, "anon:a"), 1, || 1);
            }
            gathered
        };
        assert!(gathered(SLACK + 2).are_all_of(1, 1));
        // Room grows by doubling: so many still fit, but are too many in the end.
        let some = gathered(SLACK + 30);
        assert!(!some.are_too_many && !some.are_all_of(1, 1));
        let many = gathered(10 * SLACK);
        assert!(many.are_too_many && many.timers.capacity() == 0 && !many.are_all_of(1, usize::MAX / 4));
        let mut two = gathered(1);
        two.add(timer(1, "anon:b"), 2, || 1);
        assert!(!two.are_all_of(1, 2) && !two.are_all_of(2, 2), "some may be of another model");
    }
}
