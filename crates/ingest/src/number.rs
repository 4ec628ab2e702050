//! Numbers from their JSON text, exactly: never through a float.

use std::borrow::Cow;

/// The largest magnitude in millionths: ±9.2·10¹² units.
const SATURATED_MICROS: i128 = 9_200_000_000_000_000_000;

/// A JSON number in millionths: further digits floored, saturated at ±9.2·10¹² units. `None` if it is none.
pub(crate) fn micros(json: &str) -> Option<i64> {
    scaled(json, 6).map(|value| value.clamp(-SATURATED_MICROS, SATURATED_MICROS) as i64)
}

/// A decimal (`-12.5e3`) times 10^`scale`, floored; saturated at ±10³⁰.
pub(crate) fn scaled(text: &str, scale: i64) -> Option<i128> {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (&unsigned[..at], exponent(&unsigned[at + 1..])?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return None;
    }
    // How many digits of whole ++ fraction stand before the point after scaling.
    let kept = (whole.len() as i64).saturating_add(exponent).saturating_add(scale);
    let mut value: i128 = 0;
    let mut remainder = false;
    for (place, digit) in whole.bytes().chain(fraction.bytes()).enumerate() {
        if (place as i64) < kept {
            value = push_digit(value, digit - b'0');
        } else {
            remainder |= digit != b'0';
        }
    }
    let digits = (whole.len() + fraction.len()) as i64;
    // 31 zeros saturate anything but 0.
    for _ in digits.max(0)..kept.min(digits + 31) {
        value = push_digit(value, 0);
    }
    Some(if negative { -value - i128::from(remainder) } else { value })
}

/// The canonical text of a JSON number as an id: `12.0` is `12`; integers of any length stay as they are.
pub(crate) fn canonical(json: &str) -> Cow<'_, str> {
    match json.split_once('.') {
        Some((whole, fraction)) if fraction.bytes().all(|b| b == b'0') => Cow::Borrowed(whole),
        _ => Cow::Borrowed(json),
    }
}

fn push_digit(value: i128, digit: u8) -> i128 {
    const CEILING: i128 = 10i128.pow(30);
    (value * 10 + i128::from(digit)).min(CEILING)
}

/// Saturated at ±1,000,000, far beyond any digit that counts.
fn exponent(text: &str) -> Option<i64> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let value = digits.bytes().fold(0i64, |value, b| (value * 10 + i64::from(b - b'0')).min(1_000_000));
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_exact_floored_and_saturated() {
        for (json, expect) in [
            ("0", 0),
            ("-0", 0),
            ("90", 90_000_000),
            ("0.1", 100_000),
            ("0.30000000000000004", 300_000),
            ("9007199254740993", 9_200_000_000_000_000_000),
            ("9199999999999.999999", 9_199_999_999_999_999_999),
            ("-9007199254740993e9", -9_200_000_000_000_000_000),
            ("0.0000019", 1),
            ("-0.0000019", -2),
            ("-0.0000010", -1),
            ("1e3", 1_000_000_000),
            ("1.5E-3", 1_500),
            ("1e-400", 0),
            ("-1e-400", -1),
            ("0e999999999999999999999", 0),
            ("1e999999999999999999999", 9_200_000_000_000_000_000),
            ("12345.6789015", 12_345_678_901),
        ] {
            assert_eq!(micros(json), Some(expect), "{json}");
        }
        for json in ["", "-", "1e", "abc", ".5", "1.2.3"] {
            assert_eq!(micros(json), None, "{json}");
        }
    }

    #[test]
    fn ids_keep_every_digit() {
        assert_eq!(canonical("12.0"), "12");
        assert_eq!(canonical("12345678901234567890123"), "12345678901234567890123");
    }
}
