//! Decoded leads of the open transaction.
//!
//! Their room is kept from one transaction to the next: decoding a lead then copies, and allocates nothing.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher};

use foldhash::fast::FixedState;

use crate::error::StateError;
use crate::layout;
use crate::lead::Lead;
use crate::lead_key::{Base, KeyHasher, LeadKey, fetch};
use crate::shard::Active;

/// Leads whose room is kept between transactions; a transaction may touch more.
const KEPT_LEADS: usize = 8_192;

/// Lead ids whose places are remembered, by a hash of theirs; a power of two.
const RECENT_LEADS: usize = 4_096;

/// Bytes of an id that its place is remembered by: its last ones, where ids differ.
const RECENT_BYTES: usize = 16;

/// Leads that are fetched together: few enough to be near still when their turn comes.
const EXPECTED_LEADS: usize = 256;

/// Fewer are not fetched: it takes all locks of the base.
const FETCHED_LEADS: usize = 16;

/// Marks a place as one among the expected leads.
const EXPECTED: u32 = 1 << 31;

/// A decoded lead.
#[derive(Debug)]
pub(crate) struct Touched {
    pub(crate) key: LeadKey,
    pub(crate) lead: Lead,
    /// Its bytes have to be written.
    pub(crate) is_changed: bool,
    /// Its life is over, or has not begun.
    pub(crate) is_removed: bool,
}

/// The leads that the open transaction has touched, in the order in which it did.
#[derive(Debug, Default)]
pub(crate) struct Overlay {
    places: HashMap<LeadKey, usize, BuildHasherDefault<KeyHasher>>,
    /// Those in use first, then room to be used again.
    leads: Vec<Touched>,
    recent: Recent,
    expected: Expected,
}

/// Leads that are looked for next, each once.
#[derive(Debug, Default)]
struct Expected {
    ids: String,
    /// Where the id ends, and the key.
    keys: Vec<(usize, LeadKey)>,
}

/// Places of leads by a cheap hash of their ids, which decides nothing: the id that stands at the place is compared.
/// Ids of one hash displace each other, whoever chose them, and cost what they would cost without it.
#[derive(Debug)]
struct Recent(Box<[u32]>);

impl Default for Recent {
    fn default() -> Recent {
        Recent(vec![0; RECENT_LEADS].into_boxed_slice())
    }
}

impl Recent {
    fn slot(&mut self, lead_id: &str) -> &mut u32 {
        let mut hasher = FixedState::default().build_hasher();
        hasher.write(&lead_id.as_bytes()[lead_id.len().saturating_sub(RECENT_BYTES)..]);
        &mut self.0[hasher.finish() as usize % RECENT_LEADS]
    }
}

impl Expected {
    fn clear(&mut self) {
        self.ids.clear();
        self.keys.clear();
    }

    /// Adds a lead; its place, marked.
    fn add(&mut self, lead_id: &str) -> u32 {
        self.ids.push_str(lead_id);
        self.keys.push((self.ids.len(), LeadKey::of(lead_id)));
        EXPECTED | (self.keys.len() - 1) as u32
    }

    /// The key of a lead, if it stands at the place.
    fn key(&self, place: u32, lead_id: &str) -> Option<LeadKey> {
        let place = place.checked_sub(EXPECTED)? as usize;
        let (end, key) = *self.keys.get(place)?;
        let start = place.checked_sub(1).map_or(0, |before| self.keys[before].0);
        (self.ids[start..end] == *lead_id).then_some(key)
    }
}

impl Overlay {
    pub(crate) fn get(&self, key: LeadKey) -> Option<&Touched> {
        self.places.get(&key).map(|place| &self.leads[*place])
    }

    /// The key of a lead; known already, and its place with it, if the transaction has touched it.
    pub(crate) fn key_of(&mut self, lead_id: &str) -> (LeadKey, Option<usize>) {
        let slot = self.recent.slot(lead_id);
        let used = &self.leads[..self.places.len()];
        let place = *slot as usize;
        match used.get(place) {
            Some(touched) if touched.lead.id == lead_id => (touched.key, Some(place)),
            _ => {
                let expected = self.expected.key(*slot, lead_id);
                // Where it will stand if it is touched now for the first time.
                *slot = used.len() as u32;
                (expected.unwrap_or_else(|| LeadKey::of(lead_id)), None)
            }
        }
    }

    /// Takes as many of the leads that are looked for next as are worth it, in their order, and fetches those from the
    /// base that the transaction has not touched; how many it took.
    pub(crate) fn expect<'a>(&mut self, base: &Base, lead_ids: impl Iterator<Item = &'a str>) -> usize {
        let Overlay { places, leads, recent, expected } = self;
        let used = &leads[..places.len()];
        expected.clear();
        let mut taken = 0;
        for lead_id in lead_ids.take(EXPECTED_LEADS) {
            taken += 1;
            let slot = recent.slot(lead_id);
            let is_touched = used.get(*slot as usize).is_some_and(|touched| touched.lead.id == lead_id);
            if !is_touched && expected.key(*slot, lead_id).is_none() {
                *slot = expected.add(lead_id);
            }
        }
        if expected.keys.len() >= FETCHED_LEADS {
            fetch(base, expected.keys.iter().map(|(_, key)| *key));
        }
        taken
    }

    /// The lead that stands at a place.
    pub(crate) fn at(&mut self, place: usize) -> &mut Touched {
        &mut self.leads[place]
    }

    /// The lead, decoded from the base at its first touch.
    pub(crate) fn touch(
        &mut self,
        base: &Base,
        active: &Active,
        key: LeadKey,
    ) -> Result<Option<&mut Touched>, StateError> {
        Ok(self.find(base, active, key)?.map(|place| self.at(place)))
    }

    /// The place of the lead, decoded from the base at its first touch. It keeps it until the transaction ends.
    pub(crate) fn find(
        &mut self,
        base: &Base,
        active: &Active,
        key: LeadKey,
    ) -> Result<Option<usize>, StateError> {
        if let Some(place) = self.places.get(&key) {
            return Ok(Some(*place));
        }
        let Some(bytes) = base.get(&key) else { return Ok(None) };
        let touched = self.room();
        let plan = active.plan_of(layout::header(&bytes)?.epoch)?;
        layout::decode(plan, &bytes, &mut touched.lead)?;
        let place = self.places.len();
        self.take_room(key);
        Ok(Some(place))
    }

    /// A lead whose life has not begun yet, in the place of one whose life is over.
    pub(crate) fn begin(&mut self, key: LeadKey, lead_id: &str, born_ms: i64, epoch: u32) -> &mut Touched {
        let touched = match self.places.get(&key) {
            Some(place) => &mut self.leads[*place],
            None => {
                self.room();
                self.take_room(key)
            }
        };
        touched.lead.begin(lead_id, born_ms, epoch);
        touched.is_removed = true;
        touched
    }

    /// Every touched lead.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Touched> {
        self.leads[..self.places.len()].iter()
    }

    /// The touched leads that have changed.
    pub(crate) fn changed(&mut self) -> impl Iterator<Item = &mut Touched> {
        self.leads[..self.places.len()].iter_mut().filter(|touched| touched.is_changed)
    }

    pub(crate) fn clear(&mut self) {
        self.places.clear();
        self.leads.truncate(KEPT_LEADS);
    }

    /// The first lead that is not in use.
    fn room(&mut self) -> &mut Touched {
        let used = self.places.len();
        if used == self.leads.len() {
            let key = LeadKey::of("");
            self.leads.push(Touched { key, lead: Lead::default(), is_changed: false, is_removed: false });
        }
        &mut self.leads[used]
    }

    fn take_room(&mut self, key: LeadKey) -> &mut Touched {
        let used = self.places.len();
        self.places.insert(key, used);
        let touched = &mut self.leads[used];
        (touched.key, touched.is_changed, touched.is_removed) = (key, false, false);
        touched
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of the looked-for ids had been expected, and not looked for since.
    fn check(expected: &[&str], looked_for: &[(&str, bool)]) {
        let (mut overlay, base) = (Overlay::default(), crate::lead_key::new_base());
        assert_eq!(overlay.expect(&base, expected.iter().copied()), expected.len().min(EXPECTED_LEADS));
        for (id, was_expected) in looked_for {
            let place = *overlay.recent.slot(id);
            assert_eq!(overlay.expected.key(place, id).is_some(), *was_expected, "{id} of {expected:?}");
            assert_eq!(overlay.key_of(id), (LeadKey::of(id), None), "{id} of {expected:?}");
        }
    }

    #[test]
    fn keys_of_expected_leads_are_known_once() {
        check(&[], &[("a", false)]);
        check(&["a", "bb", "", "a"], &[("a", true), ("bb", true), ("", true), ("a", false), ("c", false)]);
        check(&["a", "b", "c"], &[("c", true), ("x", false), ("a", true)]);
        let many = ["a"; EXPECTED_LEADS];
        check(&[&many[..], &["b"]].concat(), &[("a", true), ("b", false)]);
    }

    #[test]
    fn places_of_touched_leads_are_remembered_whatever_their_length() {
        let mut overlay = Overlay::default();
        for id in ["", "user:1", "anon:0123456789abcdef", "anon:1123456789abcdef", "user:ünïcödé-ünïcödé"]
        {
            let (key, place) = overlay.key_of(id);
            assert_eq!((key, place), (LeadKey::of(id), None), "{id}");
            overlay.begin(key, id, 0, 1);
            let place = overlay.places.len() - 1;
            assert_eq!(overlay.key_of(id), (key, Some(place)), "{id}");
            let base = crate::lead_key::new_base();
            overlay.expect(&base, [id].into_iter());
            assert!(overlay.expected.keys.is_empty(), "{id} is here already");
        }
    }
}
