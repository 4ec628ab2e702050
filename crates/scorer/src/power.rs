//! `2^(−σ/H)` in integers: the one formula behind every score.
//!
//! No float anywhere, so that every machine gives the same bits. Two table steps take 16 bits of the exponent,
//! a cubic takes the rest:
//!
//! ```text
//! u = ⌊σ·2⁶⁴/H⌋;  i = u>>56;  j = (u>>48)&255;  w = u&(2⁴⁸−1)
//! y = (w·⌊ln2·2⁶⁴⌋)>>64;  p = 2⁶⁴ − y + y²/2 − y³/6
//! M = ((T1[i]·T2[j])>>63 · p)>>64,   T1[i] = round(2^(63−i/256)),  T2[j] = round(2^(63−j/65536))
//! ```
//!
//! **Error.** In units of 2⁻⁶³: each table entry is off by at most ½ and is multiplied by at most 1, the product's
//! shift loses less than 1; `u` is off by less than 2⁻⁶⁴ of an octave, the cubic's cut-off is `y⁴/24 < 2⁻⁶⁸`
//! (y < ln2·2⁻¹⁶), its shifts lose less than 4·2⁻⁶⁴ and the last shift less than 1: together at most 5.
//!
//! **Falling.** Within a cell (same i, j) `p` falls by at least the step of `y` less its own rounding, and for
//! H < 3·10¹⁷ ms one ms moves `y` by 42 units or more; across a cell's edge the true function has fallen by more
//! than both errors together. So M falls strictly with σ (the tests walk over every edge of the tables).

mod tables;

use tables::{T1, T2};

/// ⌊ln 2 · 2⁶⁴⌋.
const LN2: u64 = 12_786_308_645_202_655_659;

/// `2^(−σ/H)` in Q63: 2⁶³ at σ = 0, just above 2⁶² at σ = H − 1. For `0 ≤ sigma_ms < half_life_ms`.
pub(crate) fn power(sigma_ms: u64, half_life_ms: u64) -> u64 {
    debug_assert!(sigma_ms < half_life_ms, "σ lies within one octave");
    let u = ((u128::from(sigma_ms) << 64) / u128::from(half_life_ms)) as u64;
    let coarse = T1[(u >> 56) as usize];
    let fine = T2[((u >> 48) & 255) as usize];
    let w = u & ((1 << 48) - 1);
    let y = high(w, LN2);
    let y2 = high(y, y);
    let y3 = high(y2, y);
    let p = (1_u128 << 64) - u128::from(y) + u128::from(y2 >> 1) - u128::from(y3 / 6);
    let table = (u128::from(coarse) * u128::from(fine)) >> 63;
    // table ≤ 2⁶³ and p ≤ 2⁶⁴: the product fits.
    ((table * p) >> 64) as u64
}

fn high(a: u64, b: u64) -> u64 {
    ((u128::from(a) * u128::from(b)) >> 64) as u64
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use expect_test::expect_file;

    use super::*;

    /// The high half of a 128 × 128 bit product.
    fn high128(a: u128, b: u128) -> u128 {
        let mask = u128::from(u64::MAX);
        let (a1, a0, b1, b0) = (a >> 64, a & mask, b >> 64, b & mask);
        let low = a0 * b0;
        let mid1 = a1 * b0 + (low >> 64);
        let mid2 = a0 * b1 + (mid1 & mask);
        a1 * b1 + (mid1 >> 64) + (mid2 >> 64)
    }

    /// √v for v < 1 in Q128, rounded down, bit by bit.
    fn root(v: u128) -> u128 {
        let mut x = 0_u128;
        for bit in (0..128).rev() {
            let candidate = x | (1 << bit);
            if high128(candidate, candidate) <= v {
                x = candidate;
            }
        }
        x
    }

    /// 2^(−1/2ⁿ) in Q128 by repeated square roots of ½.
    fn root_of_half(n: u32) -> u128 {
        (0..n).fold(1 << 127, |v, _| root(v))
    }

    /// round(v·2⁶³) for v in Q128; the remainder must be far enough from ½ for the error of `v` not to matter.
    fn to_q63(v: u128) -> u64 {
        let rest = v & ((1 << 65) - 1);
        let distance = rest.abs_diff(1 << 64);
        assert!(distance > 1 << 16, "too close to a half to be rounded safely");
        ((v + (1 << 64)) >> 65) as u64
    }

    fn table(name: &str, doc: &str, step: u128) -> String {
        let mut text = format!("/// {doc}\n#[rustfmt::skip]\npub(super) static {name}: [u64; 256] = [\n");
        let mut value = 0;
        for entry in 0..256 {
            let rounded = match entry {
                0 => 1 << 63,
                1 => {
                    value = step;
                    to_q63(value)
                }
                _ => {
                    value = high128(value, step);
                    to_q63(value)
                }
            };
            let separator = if entry % 4 == 3 { "\n" } else { " " };
            let indent = if entry % 4 == 0 { "    " } else { "" };
            write!(text, "{indent}{rounded:#018x},{separator}").expect("a string grows");
        }
        text + "];\n"
    }

    #[test]
    fn the_tables_are_what_square_roots_give() {
        let text = format!(
            "//! Written by the test `the_tables_are_what_square_roots_give` (`UPDATE_EXPECT=1`), from square roots\n\
             //! in 128-bit integers.\n\n{}\n{}",
            table("T1", "round(2^(63−i/256)).", root_of_half(8)),
            table("T2", "round(2^(63−j/65536)).", root_of_half(16)),
        );
        expect_file!["power/tables.rs"].assert_eq(&text);
    }

    /// 2^(−u/2⁶⁴) in Q128 from one square root per bit of u: a second way, independent of the tables.
    fn reference(u: u64) -> u128 {
        let (mut value, mut factor) = (u128::MAX, 1_u128 << 127);
        for bit in (0..64).rev() {
            factor = root(factor);
            if u >> bit & 1 == 1 {
                value = high128(value, factor);
            }
        }
        value
    }

    #[test]
    fn the_error_is_at_most_five_units() {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        for round in 0..2_000_u64 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let half_life = 1_000 + (state >> 20) % (1 << (10 + round % 34));
            let sigma = (state >> 7) % half_life;
            let u = ((u128::from(sigma) << 64) / u128::from(half_life)) as u64;
            let exact = reference(u) >> 65;
            let off = exact.abs_diff(u128::from(power(sigma, half_life)));
            assert!(off <= 5, "σ = {sigma}, H = {half_life}: off by {off}");
        }
    }

    #[test]
    fn it_falls_strictly_over_every_edge_of_the_tables() {
        for half_life in [1_000, 86_400_000, 604_800_000, 31_536_000_000, 299_999_999_999_999_999] {
            let mut last = u64::MAX;
            for cell in 0..=u64::from(u16::MAX) {
                let edge = ((u128::from(cell) * u128::from(half_life)) >> 16) as u64;
                for sigma in edge.saturating_sub(1)..(edge + 2).min(half_life) {
                    let m = power(sigma, half_life);
                    let before = if sigma == 0 { u64::MAX } else { power(sigma - 1, half_life) };
                    assert!(m < before, "σ = {sigma}, H = {half_life}");
                    last = last.min(m);
                }
            }
            assert!(last > 1 << 62, "one octave halves at most");
        }
    }

    #[test]
    fn the_ends_are_exact() {
        assert_eq!(power(0, 604_800_000), 1 << 63);
        assert_eq!(power(302_400_000, 604_800_000), 0x5a82_7999_fcef_3242);
    }
}
