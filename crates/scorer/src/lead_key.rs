//! The key of a lead in the committed base, and the base itself.

use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::Arc;

use dashmap::DashMap;

/// Shards of the base: growing one of them stops writers for a 64th of the time that growing a whole map would.
const BASE_SHARDS: usize = 64;

/// The first 128 bits of BLAKE3 of the lead id. The id itself stands in the lead's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeadKey([u64; 2]);

impl LeadKey {
    /// The key of the lead id `kind:value`.
    pub fn of(lead_id: &str) -> LeadKey {
        let hash = blake3::hash(lead_id.as_bytes());
        let word = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&hash.as_bytes()[at..at + 8]);
            u64::from_be_bytes(bytes)
        };
        LeadKey([word(0), word(8)])
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

pub(crate) fn new_base() -> Arc<Base> {
    Arc::new(DashMap::with_capacity_and_hasher_and_shard_amount(
        0,
        BuildHasherDefault::default(),
        BASE_SHARDS,
    ))
}
