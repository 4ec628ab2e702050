//! Decoded leads of the open transaction.
//!
//! Their room is kept from one transaction to the next: decoding a lead then copies, and allocates nothing.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault};

use foldhash::fast::FixedState;

use crate::error::StateError;
use crate::layout;
use crate::lead::Lead;
use crate::lead_key::{Base, KeyHasher, LeadKey};
use crate::shard::Active;

/// Leads whose room is kept between transactions; a transaction may touch more.
const KEPT_LEADS: usize = 8_192;

/// Lead ids whose places are remembered, by a hash of theirs; a power of two.
const RECENT_LEADS: usize = 4_096;

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
        let hash = FixedState::default().hash_one(lead_id);
        &mut self.0[hash as usize % RECENT_LEADS]
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
                // Where it will stand if it is touched now for the first time.
                *slot = used.len() as u32;
                (LeadKey::of(lead_id), None)
            }
        }
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
