//! Evidence: decayed counts of matches, kept as integers per octave (S5).
//!
//! An octave is one half-life. A match at `t = k·H + ρ` adds `2³²·2^(ρ/H)`, rounded once, to `B[k]`; whatever is
//! taken back subtracts the very same value. Integer addition is associative, so no order of arrival and no
//! order of taking back leaves a trace. Points are not part of it.

use crate::plan::Slot;
use crate::power::power;

/// Octaves after which a match weighs nothing.
pub(crate) const OCTAVES: i64 = 32;

/// One match at the very start of an octave.
pub(crate) const UNIT: u64 = 1 << 32;

/// The evidence of one slot that counts is cut here when it is read: 2²⁴ matches of full weight. It keeps every
/// product within 128 bits: 2²⁴ points · 2⁵⁶ · 2³² = 2¹¹².
const LARGEST_EVIDENCE: u64 = 1 << 56;

/// As long as no octave has as much left, no slot is cut: only [`OCTAVES`] of it have anything left.
pub(crate) const UNCUT: u64 = LARGEST_EVIDENCE / OCTAVES as u64;

/// A group's points are cut here, in thousandths: sums over all groups of a model stay within 64 bits.
const LARGEST_MILLI: i128 = 10_000_000_000_000;

/// The evidence of one slot from one octave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Octave {
    pub(crate) slot: u16,
    /// `⌊t/H⌋`; 0 for scores that never decay.
    pub(crate) k: i64,
    /// In 2⁻³² matches at the octave's start; for scores that never decay the number of matches times 2³².
    pub(crate) weight: u64,
}

/// The octave of a match at `t_ms`, and what it adds there.
pub(crate) fn contribution(t_ms: i64, half_life_ms: Option<i64>) -> (i64, u64) {
    let Some(half_life_ms) = half_life_ms else { return (0, UNIT) };
    let (k, rho) = (t_ms.div_euclid(half_life_ms), t_ms.rem_euclid(half_life_ms) as u64);
    if rho == 0 {
        return (k, UNIT);
    }
    let half_life = half_life_ms as u64;
    (k, (power(half_life - rho, half_life) + (1 << 29)) >> 30)
}

/// Adds (`sign` = 1) or takes back (−1) one match. `octaves` is sorted by (slot, k).
pub(crate) fn count(octaves: &mut Vec<Octave>, slot: u16, of: &Slot, t_ms: i64, add: bool) {
    let (k, value) = contribution(t_ms, of.half_life_ms);
    match octaves.binary_search_by(|o| (o.slot, o.k).cmp(&(slot, k))) {
        Ok(at) => {
            let weight = &mut octaves[at].weight;
            // 2³¹ matches of one rule within one octave saturate; nothing below that does.
            *weight = if add { weight.saturating_add(value) } else { weight.saturating_sub(value) };
            if *weight == 0 {
                octaves.remove(at);
            }
        }
        Err(at) if add => octaves.insert(at, Octave { slot, k, weight: value }),
        // The octave has been dropped for its age: what it held weighs nothing.
        Err(_) => {}
    }
}

/// Adds to `octaves`, under another half-life, what `rest` weighs at `at_ms`.
pub(crate) fn carry(
    rest: &[Octave],
    half_life_ms: Option<i64>,
    octaves: &mut Vec<Octave>,
    slot: u16,
    new_half_life_ms: Option<i64>,
    at_ms: i64,
) {
    let decay = Decay::at(at_ms, half_life_ms);
    let value = (u128::from(decay.live(rest)) * u128::from(decay.m)) >> 32;
    let (k, unit) = contribution(at_ms, new_half_life_ms);
    let weight = u64::try_from((value * u128::from(unit)) >> 32).unwrap_or(u64::MAX);
    if weight == 0 {
        return;
    }
    match octaves.binary_search_by(|octave| (octave.slot, octave.k).cmp(&(slot, k))) {
        Ok(at) => octaves[at].weight = octaves[at].weight.saturating_add(weight),
        Err(at) => octaves.insert(at, Octave { slot, k, weight }),
    }
}

/// Drops octaves that weigh nothing at `at_ms` and ever after.
pub(crate) fn prune(octaves: &mut Vec<Octave>, slots: &[Slot], at_ms: i64) {
    // Slots often share a half-life: dividing is the dear part.
    let (mut known_ms, mut current) = (1, at_ms);
    octaves.retain(|o| match slots[usize::from(o.slot)].half_life_ms {
        Some(half_life_ms) => {
            if half_life_ms != known_ms {
                (known_ms, current) = (half_life_ms, at_ms.div_euclid(half_life_ms));
            }
            current - o.k < OCTAVES
        }
        None => true,
    });
}

/// How one speed of decay stands at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decay {
    /// `⌊T/H⌋`.
    k: i64,
    /// `2^(−σ/H)` in Q32, up to and including 2³².
    m: u64,
}

impl Decay {
    pub(crate) fn at(at_ms: i64, half_life_ms: Option<i64>) -> Decay {
        match half_life_ms {
            None => Decay { k: 0, m: UNIT },
            Some(half_life_ms) => Decay {
                k: at_ms.div_euclid(half_life_ms),
                m: power(at_ms.rem_euclid(half_life_ms) as u64, half_life_ms as u64) >> 31,
            },
        }
    }

    /// `⌊T/H⌋`: evidence stands still as long as this does.
    pub(crate) fn octave(self) -> i64 {
        self.k
    }

    /// `A`: the live evidence of one slot, given its octaves.
    pub(crate) fn live(self, octaves: &[Octave]) -> u64 {
        let live = octaves.iter().fold(0_u64, |live, octave| live.saturating_add(self.left(octave)));
        live.min(LARGEST_EVIDENCE)
    }

    /// What is left of one octave's evidence.
    pub(crate) fn left(self, octave: &Octave) -> u64 {
        // No match is younger than the instant it is read at; one that is too old weighs nothing.
        let age = self.k.wrapping_sub(octave.k) as u64;
        if age < OCTAVES as u64 { octave.weight >> age } else { 0 }
    }

    /// A weighted sum of live evidence at this instant, before rounding.
    pub(crate) fn scaled(self, sum: i128) -> i128 {
        sum * i128::from(self.m)
    }
}

/// The one rounding of a group: thousandths of `scaled` evidence, to the nearest, halves up.
pub(crate) fn round(scaled: i128) -> i64 {
    let milli = (scaled + (1 << 63)) >> 64;
    milli.clamp(-LARGEST_MILLI, LARGEST_MILLI) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(half_life_ms: Option<i64>) -> Slot {
        Slot { score: 0, group: 0, half_life_ms, points_milli: 1_000 }
    }

    #[test]
    fn a_match_weighs_one_at_its_instant_and_half_a_half_life_later() {
        for t in [-3_600_001, -1, 0, 1, 86_399_999, 1_767_571_200_123] {
            let half_life = Some(604_800_000);
            let mut octaves = Vec::new();
            count(&mut octaves, 0, &slot(half_life), t, true);
            for (age, thousandths) in [(0, 1_000_000), (604_800_000, 500_000), (2 * 604_800_000, 250_000)] {
                let decay = Decay::at(t + age, half_life);
                let live = i128::from(decay.live(&octaves));
                assert_eq!(round(decay.scaled(live * 1_000_000)), thousandths, "t = {t}, age = {age}");
            }
        }
    }

    #[test]
    fn what_is_taken_back_leaves_nothing() {
        let slot = slot(Some(1_000));
        let mut octaves = Vec::new();
        for t in [5, 1_001, 77, 999, 12_345] {
            count(&mut octaves, 3, &slot, t, true);
        }
        let before = octaves.clone();
        count(&mut octaves, 3, &slot, 500, true);
        count(&mut octaves, 3, &slot, 500, false);
        assert_eq!(octaves, before);
        for t in [999, 5, 12_345, 77, 1_001] {
            count(&mut octaves, 3, &slot, t, false);
        }
        assert_eq!(octaves, []);
    }

    #[test]
    fn a_match_of_thirty_two_octaves_ago_weighs_nothing_and_is_dropped() {
        let slot = slot(Some(1_000));
        let mut octaves = Vec::new();
        count(&mut octaves, 0, &slot, 999, true);
        assert_ne!(Decay::at(31_999, Some(1_000)).live(&octaves), 0);
        assert_eq!(Decay::at(32_000, Some(1_000)).live(&octaves), 0);
        prune(&mut octaves, &[slot], 31_999);
        assert_eq!(octaves.len(), 1);
        prune(&mut octaves, &[slot], 32_000);
        assert_eq!(octaves, []);
    }
}
