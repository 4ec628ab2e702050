//! Numbers that look random and are the same on every machine: one 64-bit seed, integers only.

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
#[derive(Debug, Clone)]
pub(super) struct Prng {
    state: u64,
}

impl Prng {
    /// The stream `stream` of the seed: streams do not depend on how much of another one was drawn.
    pub(super) fn new(seed: u64, stream: u64) -> Prng {
        let mut prng = Prng { state: seed };
        let whitened = prng.next();
        Prng { state: whitened ^ stream.wrapping_mul(0xd134_2543_de82_ef95) }
    }

    pub(super) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which must not be 0.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// A number of `low..=high`.
    pub(super) fn between(&mut self, low: i64, high: i64) -> i64 {
        low + self.below((high - low + 1) as u64) as i64
    }

    /// True in `of_ten_thousand` out of 10,000 cases.
    pub(super) fn chance(&mut self, of_ten_thousand: u64) -> bool {
        self.below(10_000) < of_ten_thousand
    }

    /// One of the items, each as likely as the others.
    pub(super) fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len() as u64) as usize]
    }

    /// An index into the weights, each as likely as its weight says.
    pub(super) fn weighted(&mut self, weights: &[u32]) -> usize {
        let mut left = self.below(weights.iter().map(|weight| u64::from(*weight)).sum());
        for (index, weight) in weights.iter().enumerate() {
            if left < u64::from(*weight) {
                return index;
            }
            left -= u64::from(*weight);
        }
        unreachable!("the draw lies below the sum of the weights")
    }

    /// A value of a distribution given by its quantiles at equal steps, straight lines between them.
    pub(super) fn quantile(&mut self, quantiles: &[i64]) -> i64 {
        let step = self.below(quantiles.len() as u64 - 1) as usize;
        self.between(quantiles[step], quantiles[step + 1])
    }

    /// A random UUID of version 4, hyphenated lower case.
    pub(super) fn uuid(&mut self) -> String {
        let (a, b) = (self.next(), self.next());
        uuid::Builder::from_random_bytes((u128::from(a) << 64 | u128::from(b)).to_be_bytes())
            .into_uuid()
            .to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_sequence_of_seed_zero() {
        let mut prng = Prng { state: 0 };
        assert_eq!(prng.next(), 0xe220_a839_7b1d_cdaf);
        assert_eq!(prng.next(), 0x6e78_9e6a_a1b9_65f4);
    }

    #[test]
    fn draws_stay_in_their_bounds() {
        let mut prng = Prng::new(7, 3);
        for _ in 0..1_000 {
            assert!((-5..=5).contains(&prng.between(-5, 5)));
            assert!((10..=90).contains(&prng.quantile(&[10, 20, 90])));
            assert_eq!(prng.weighted(&[0, 3, 0]), 1);
        }
    }
}
