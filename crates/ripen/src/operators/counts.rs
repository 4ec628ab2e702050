//! Outcomes counted since the last report; nothing counts until its transaction has committed.

use std::collections::BTreeMap;

type ByWord = BTreeMap<&'static str, u64>;

/// Counts of one operator by a constant word.
#[derive(Debug)]
pub(super) struct Counts {
    service: &'static str,
    staged: ByWord,
    staged_dead_letters: ByWord,
    committed: ByWord,
    totals: ByWord,
}

impl Counts {
    pub(super) fn new(service: &'static str) -> Counts {
        let none = ByWord::new;
        Counts { service, staged: none(), staged_dead_letters: none(), committed: none(), totals: none() }
    }

    pub(super) fn add(&mut self, outcome: &'static str) {
        *self.staged.entry(outcome).or_default() += 1;
    }

    /// A record that became a dead letter: its reason is its outcome.
    pub(super) fn add_dead_letter(&mut self, reason: &'static str) {
        self.add(reason);
        *self.staged_dead_letters.entry(reason).or_default() += 1;
    }

    pub(super) fn commit(&mut self) {
        for (outcome, count) in std::mem::take(&mut self.staged) {
            *self.committed.entry(outcome).or_default() += count;
            *self.totals.entry(outcome).or_default() += count;
        }
        for (reason, count) in std::mem::take(&mut self.staged_dead_letters) {
            crate::metrics::count_dead_letters(self.service, reason, count);
        }
    }

    pub(super) fn abort(&mut self) {
        self.staged.clear();
        self.staged_dead_letters.clear();
    }

    /// Committed counts since the start.
    pub(super) fn totals(&self) -> &ByWord {
        &self.totals
    }

    /// Committed counts since the last report.
    pub(super) fn report(&mut self, report: &mut dyn FnMut(&'static str, u64)) {
        for (outcome, count) in std::mem::take(&mut self.committed) {
            report(outcome, count);
        }
    }
}
