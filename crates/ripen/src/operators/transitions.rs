//! Stage transitions counted by (from, to, cause), for the metric; bounded by the model's stages.

use std::collections::BTreeMap;

use ripen_records::Cause;

type Key = (String, String, &'static str);

/// Transitions since the last publication.
#[derive(Debug, Default)]
pub(super) struct Transitions {
    staged: BTreeMap<Key, u64>,
    committed: BTreeMap<Key, u64>,
}

impl Transitions {
    pub(super) fn add(&mut self, from: &str, to: &str, cause: Cause) {
        *self.staged.entry((from.to_owned(), to.to_owned(), cause.as_str())).or_default() += 1;
    }

    pub(super) fn commit(&mut self) {
        for (key, count) in std::mem::take(&mut self.staged) {
            *self.committed.entry(key).or_default() += count;
        }
    }

    pub(super) fn abort(&mut self) {
        self.staged.clear();
    }

    pub(super) fn publish(&mut self) {
        for ((from, to, cause), count) in std::mem::take(&mut self.committed) {
            crate::metrics::count_transitions(&from, &to, cause, count);
        }
    }
}
