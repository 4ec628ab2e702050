//! Which ids of a record are one person, and which of these links have been written lately.
//!
//! Links go from the record's lead, its first id, to each of its other ids, and not between these: whoever is strongest
//! says to whom the others belong. Between them a link could join a stranger to a device before the device has
//! refused him (`docs/adr/0008-links-go-to-the-lead-of-the-record.md`).

use std::hash::BuildHasher;

use foldhash::quality::FixedState;
use ripen_records::{Activity, IdKind, Link, Text};

use crate::outcome::Aside;

/// Links that are kept in mind, a power of two: 1 MiB for each ingest.
const SLOTS: usize = 1 << 17;

/// A link is written once in each such span of arrivals, ms: seldom enough to cost little, soon enough again after its
/// ids were erased or forgotten.
const SPAN_MS: i64 = 3_600_000;

/// The links that a record shows, the child in front. None if it has one id.
pub fn links<'a>(activity: &'a Activity<'_>, aside: &Aside<'_>) -> impl Iterator<Item = Link<'a>> + use<'a> {
    let aliases = aside.aliases;
    let (lead, others) =
        activity.ids.split_first().map_or(("", [].as_slice()), |(lead, others)| (&**lead, others));
    let arrival_ms = activity.arrival_ms;
    others.iter().enumerate().map(move |(n, other)| {
        let (of_lead, of_other) = (rank(lead), rank(other));
        let (child, parent) =
            if (of_lead, lead) < (of_other, &**other) { (&**other, lead) } else { (lead, &**other) };
        // Of a lead that is an alias itself, its other name is of its own rank.
        let explicit = is_in(aliases, n + 1) || (is_in(aliases, 0) && of_lead == of_other);
        Link { a: Text::from(child), b: Text::from(parent), explicit, arrival_ms }
    })
}

fn rank(id: &str) -> u8 {
    IdKind::of(id).map_or(u8::MAX, IdKind::rank)
}

fn is_in(aliases: u16, place: usize) -> bool {
    place < 16 && aliases >> place & 1 == 1
}

/// Links that were written lately: most records show again what the one before has shown. What is forgotten is written
/// again, which is harmless.
///
/// Everything is staged: [`RecentLinks::commit`] keeps it, [`RecentLinks::abort`] drops it.
#[derive(Debug)]
pub struct RecentLinks {
    /// Hashes of a link and its span; the lowest bits say the place. A link with the hash of another one, one in 2⁶⁴,
    /// waits for the next span.
    slots: Box<[u64]>,
    /// What stood in the places that the open transaction has taken.
    staged: Vec<(usize, u64)>,
}

impl Default for RecentLinks {
    fn default() -> RecentLinks {
        RecentLinks { slots: vec![0; SLOTS].into_boxed_slice(), staged: Vec::new() }
    }
}

impl RecentLinks {
    /// Whether the link has to be written; it is kept in mind.
    pub fn is_new(&mut self, link: &Link<'_>) -> bool {
        let span = link.arrival_ms.div_euclid(SPAN_MS);
        let hash = FixedState::with_seed(0).hash_one((&*link.a, &*link.b, link.explicit, span));
        let place = hash as usize & (self.slots.len() - 1);
        let before = std::mem::replace(&mut self.slots[place], hash);
        if before == hash {
            return false;
        }
        self.staged.push((place, before));
        true
    }

    /// The links since the last commit were written.
    pub fn commit(&mut self) {
        self.staged.clear();
    }

    /// The links since the last commit were not written.
    pub fn abort(&mut self) {
        for (place, before) in self.staged.drain(..).rev() {
            self.slots[place] = before;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link<'a>(child: &'a str, parent: &'a str, arrival_ms: i64) -> Link<'a> {
        Link { a: Text::from(child), b: Text::from(parent), explicit: false, arrival_ms }
    }

    #[test]
    fn a_link_is_written_once_in_a_span_and_again_after_an_abort() {
        let mut recent = RecentLinks::default();
        let (one, other) = (link("anon:a", "user:u", 0), link("anon:b", "user:u", 0));
        assert!(recent.is_new(&one));
        assert!(!recent.is_new(&one), "also within one transaction");
        recent.commit();
        let before = recent.slots.clone();
        assert!(recent.is_new(&other));
        assert!(recent.is_new(&Link { explicit: true, ..one.clone() }), "to say so is another thing");
        assert!(recent.is_new(&link("anon:a", "user:u", SPAN_MS)));
        recent.abort();
        assert_eq!(recent.slots, before, "an abort leaves no trace");
        assert!(!recent.is_new(&one));
        assert!(recent.is_new(&other));
    }

    #[test]
    fn places_are_taken_over_and_given_back_in_order() {
        let mut recent = RecentLinks { slots: vec![0; 2].into_boxed_slice(), staged: Vec::new() };
        let ids: Vec<String> = (0..50).map(|n| format!("anon:{n}")).collect();
        assert!(recent.is_new(&link("anon:x", "user:u", 0)));
        recent.commit();
        for id in &ids {
            assert!(recent.is_new(&link(id, "user:u", 0)));
        }
        recent.abort();
        assert!(!recent.is_new(&link("anon:x", "user:u", 0)));
    }
}
