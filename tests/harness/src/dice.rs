//! Chance that can be repeated: everything random in a fault run comes from one number, which it prints.

/// `SplitMix64` (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014): enough for choosing
/// moments and victims, and the same on every machine.
#[derive(Debug, Clone)]
pub struct Dice {
    state: u64,
}

impl Dice {
    /// The sequence of this seed.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next number.
    pub fn roll(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from `low` to `high`, `high` not among them.
    ///
    /// # Panics
    /// When there is none.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        assert!(low < high, "no number from {low} to {high}");
        low + self.roll() % (high - low)
    }

    /// Whether something happens that does so `per_mille` times in a thousand.
    pub fn happens(&mut self, per_mille: u64) -> bool {
        self.between(0, 1_000) < per_mille
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_sequence() {
        // The reference implementation's first values for the seed 0.
        let mut dice = Dice::new(0);
        assert_eq!([dice.roll(), dice.roll()], [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4]);
        let mut dice = Dice::new(7);
        let often = (0..10_000).filter(|_| dice.happens(250)).count();
        assert!((2_300..2_700).contains(&often), "{often}");
        assert!((0..1_000).all(|_| (3..5).contains(&dice.between(3, 5))));
    }
}
