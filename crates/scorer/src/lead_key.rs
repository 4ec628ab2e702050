//! The key of a lead in the committed base, and the base itself.

use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState};
use std::hint::black_box;
use std::sync::{Arc, LazyLock};

use dashmap::{DashMap, SharedValue};
use siphasher::sip128::SipHasher13;

/// Shards of the base: growing one of them stops writers for a 64th of the time that growing a whole map would.
const BASE_SHARDS: usize = 64;

/// Bytes that come from memory together.
const CACHE_LINE: usize = 64;

/// Its key is drawn by each process for itself: visitors choose their ids, and two of one lead key would be one lead.
static LEAD_HASHER: LazyLock<SipHasher13> = LazyLock::new(|| {
    #[expect(clippy::disallowed_methods, reason = "it decides where a lead lies in memory, and nothing else")]
    let chance = RandomState::new();
    SipHasher13::new_with_keys(chance.hash_one(0), chance.hash_one(1))
});

/// SipHash-1-3 of the lead id, 128 bits, under a key that no other process has: nothing that outlives the process, and no
/// order that anybody sees, may depend on it. The id itself stands in the lead's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeadKey([u64; 2]);

impl LeadKey {
    /// The key of the lead id `kind:value`.
    pub fn of(lead_id: &str) -> LeadKey {
        let hash = LEAD_HASHER.hash(lead_id.as_bytes());
        LeadKey([hash.h1, hash.h2])
    }
}

/// Where a lead stands among those that a sweep goes through: the first 128 bits of BLAKE3 of its id, the same in every
/// replay. Nobody who chooses ids brings many of them to one end of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SweepOrder([u8; 16]);

impl SweepOrder {
    pub(crate) fn of(lead_id: &str) -> SweepOrder {
        let mut first = [0; 16];
        first.copy_from_slice(&blake3::hash(lead_id.as_bytes()).as_bytes()[..16]);
        SweepOrder(first)
    }
}

impl Hash for LeadKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0[0]);
    }
}

/// Lead keys are hashes already.
#[derive(Debug, Clone, Copy, Default)]
pub struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Not on the path of lead keys; right for any other.
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = word;
    }
}

/// Committed leads of one partition: the bytes of the changelog. Readers see committed versions only.
pub type Base = DashMap<LeadKey, Box<[u8]>, BuildHasherDefault<KeyHasher>>;

/// A lead on its way into the base; `None` removes it.
pub(crate) type Put = (LeadKey, Option<Box<[u8]>>);

/// Puts leads of one of the base's maps into it, in their order, under one lock; `replaced` is told what each finds in
/// its place. One by one, every lead would wait for memory twice: its entry has to be there before its lock is free
/// again, and only then is the next one looked for. What is replaced is fetched together, since giving it back to the
/// allocator waits for it.
pub(crate) fn put_all(base: &Base, map: usize, puts: &mut Vec<Put>, mut replaced: impl FnMut(&[u8])) {
    let mut map = base.shards()[map].write();
    let hash_of = |key: &LeadKey| base.hasher().hash_one(key);
    map.reserve(puts.len(), |(key, _)| hash_of(key));
    let known = puts.iter().filter_map(|(key, _)| map.get(hash_of(key), |entry| entry.0 == *key));
    let first = known.filter_map(|entry| entry.1.get().first());
    black_box(first.fold(0, |sum: u8, byte| sum.wrapping_add(*byte)));
    for (key, bytes) in puts.drain(..) {
        let (hash, is_same) = (hash_of(&key), |entry: &(LeadKey, _)| entry.0 == key);
        let before = match bytes {
            None => map.remove_entry(hash, is_same).map(|(_, before)| before.into_inner()),
            Some(bytes) => match map.get_mut(hash, is_same) {
                Some((_, known)) => Some(std::mem::replace(known.get_mut(), bytes)),
                None => {
                    map.insert(hash, (key, SharedValue::new(bytes)), |(key, _)| hash_of(key));
                    None
                }
            },
        };
        if let Some(before) = before {
            replaced(&before);
        }
    }
}

/// Reads a byte of each cache line of these leads, so that they are near when they are decoded: looked for one by one,
/// each is waited for alone. All maps stay locked meanwhile, since a lock taken in between would wait for everything that
/// is still on its way.
pub(crate) fn fetch(base: &Base, keys: impl ExactSizeIterator<Item = LeadKey>) {
    let maps: Vec<_> = base.shards().iter().map(|map| map.read()).collect();
    let mut leads = Vec::with_capacity(keys.len());
    for key in keys {
        let entry = maps[base.determine_map(&key)].get(base.hasher().hash_one(key), |entry| entry.0 == key);
        leads.extend(entry.map(|entry| &**entry.1.get()));
    }
    let lines = leads.iter().flat_map(|lead| lead.chunks(CACHE_LINE));
    black_box(lines.fold(0, |sum: u8, line| sum.wrapping_add(line[0])));
}

pub(crate) fn new_base() -> Arc<Base> {
    Arc::new(DashMap::with_capacity_and_hasher_and_shard_amount(
        0,
        BuildHasherDefault::default(),
        BASE_SHARDS,
    ))
}
