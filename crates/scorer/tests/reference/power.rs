//! 2^x as a real number, to more than 110 binary digits: a product of roots of two, one for each digit of x.
//!
//! The roots come from integer square roots, so nothing here resembles the series and tables of the core.

use std::cell::Cell;
use std::sync::OnceLock;

use num_bigint::BigUint;

/// Results are in units of 2^-126.
const POINT: u32 = 126;

/// Digits of base 256 of an exponent that are looked at.
const DIGITS: usize = 16;

/// What the product may be off by, in units of 2^-126: two for each factor and its table entry, rounded up.
const OWN_ERROR: u128 = 1 << 8;

/// What the core's routine may be off by: 5 units of 2^-63.
const CORE_ERROR: u128 = 5 << (POINT - 63);

thread_local! {
    /// Roundings on this thread so near to an edge that the core may have gone to either side.
    static EDGES: Cell<u64> = const { Cell::new(0) };
}

/// Roundings met so far on this thread for which either neighbour is right.
pub(crate) fn edges() -> u64 {
    EDGES.with(Cell::get)
}

/// `2^(part/whole)` in units of 2^-126, for `0 <= part < whole`.
fn two_to(part: i64, whole: i64) -> u128 {
    let (part, whole) = (part as u128, whole as u128);
    let high = (part << 64) / whole;
    let low = (((part << 64) % whole) << 64) / whole;
    let digits = ((high << 64) | low).to_be_bytes();
    let table = roots();
    digits.iter().zip(table).fold(1 << POINT, |product, (digit, roots)| {
        if *digit == 0 { product } else { multiply(product, roots[usize::from(*digit)]) }
    })
}

/// What a match at `t = k·H + rest` adds to its octave: `2^(rest/H)` rounded to units of 2^-32.
pub(crate) fn grown(rest: i64, half_life_ms: i64) -> i128 {
    if rest == 0 {
        return 1 << 32;
    }
    // The core takes M of `H - rest`, of which this is twice the value: so is its error.
    rounded(two_to(rest, half_life_ms), 2 * CORE_ERROR, 1 << (POINT - 33))
}

/// `2^(-rest/H)` cut to units of 2^-32.
pub(crate) fn faded(rest: i64, half_life_ms: i64) -> i128 {
    if rest == 0 {
        return 1 << 32;
    }
    rounded(two_to(half_life_ms - rest, half_life_ms) / 2, CORE_ERROR, 0)
}

/// `2^(-age/H)` in units of 2^-126.
pub(crate) fn weight(age_ms: i64, half_life_ms: i64) -> u128 {
    let (octaves, rest) = (age_ms / half_life_ms, age_ms % half_life_ms);
    let within = if rest == 0 { 1 << POINT } else { two_to(half_life_ms - rest, half_life_ms) / 2 };
    if octaves > i64::from(POINT) { 0 } else { within >> octaves }
}

/// `⌊value + shift⌋` in units of 2^-32; counted if an error of this size could change it.
fn rounded(value: u128, error: u128, shift: u128) -> i128 {
    let whole = |value: u128| ((value + shift) >> (POINT - 32)) as i128;
    let error = error + OWN_ERROR;
    if whole(value - error) != whole(value + error) {
        EDGES.with(|edges| edges.set(edges.get() + 1));
    }
    whole(value)
}

/// `⌊a·b / 2^126⌋` of two numbers below 2^127.
fn multiply(a: u128, b: u128) -> u128 {
    let low = u128::from(u64::MAX);
    let (a1, a0, b1, b0) = (a >> 64, a & low, b >> 64, b & low);
    let middle = a1 * b0 + ((a0 * b0) >> 64);
    let middle_low = (middle & low) + a0 * b1;
    let high = a1 * b1 + (middle >> 64) + (middle_low >> 64);
    (high << (128 - POINT)) | ((middle_low & low) >> (POINT - 64))
}

/// For digit `i` of base 256 and each of its values `d`: `2^(d / 256^(i+1))` in units of 2^-126.
fn roots() -> &'static [[u128; 256]; DIGITS] {
    static ROOTS: OnceLock<Box<[[u128; 256]; DIGITS]>> = OnceLock::new();
    ROOTS.get_or_init(|| {
        const EXACT: u32 = 256;
        let mut root = BigUint::from(2_u8) << EXACT;
        let mut table = Box::new([[0; 256]; DIGITS]);
        for digit in table.iter_mut() {
            let bits: Vec<BigUint> = (0..8)
                .map(|_| {
                    root = (&root << EXACT).sqrt();
                    root.clone()
                })
                .collect();
            for (value, entry) in digit.iter_mut().enumerate() {
                // The first root belongs to the highest bit.
                let set = (0..8).filter(|bit| value >> (7 - bit) & 1 == 1);
                let product =
                    set.fold(BigUint::from(1_u8) << EXACT, |product, bit| (product * &bits[bit]) >> EXACT);
                *entry = u128::try_from(product >> (EXACT - POINT)).expect("below four");
            }
        }
        table
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_of_two_multiply_to_two() {
        for (part, whole) in [(1, 2), (1, 3), (7, 9), (1, 604_800_000), (604_799_999, 604_800_000)] {
            let product = multiply(two_to(part, whole), two_to(whole - part, whole));
            assert!(product.abs_diff(2 << POINT) < OWN_ERROR * 4, "{part}/{whole}");
        }
        // The square root of two, known to more places than any float has.
        let exact = "1.41421356237309504880168872420969807857";
        let digits: u128 = exact.replace('.', "").parse().expect("digits");
        let found = (BigUint::from(two_to(1, 2)) * BigUint::from(10_u8).pow(38)) >> POINT;
        assert!(u128::try_from(found).expect("small").abs_diff(digits) <= 1);
        assert_eq!(grown(0, 1_000), 1 << 32);
        assert_eq!(faded(0, 1_000), 1 << 32);
        assert_eq!(faded(500, 1_000), 3_037_000_499);
        assert_eq!(grown(500, 1_000), 6_074_001_000);
    }
}
