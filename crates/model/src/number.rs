//! Exact decimal numbers: text to millionths and back, never through a float.

use std::fmt;
use std::ops::Deref;

/// Millionths in 1.
pub const MICROS_PER_UNIT: i64 = 1_000_000;

/// The largest magnitude of a number, in millionths: 9.2·10¹² units. Anything beyond is this.
pub const LARGEST_MICROS: i64 = 9_200_000_000_000 * MICROS_PER_UNIT;

/// Decimal digits kept behind the point.
const DECIMALS: i64 = 6;

/// Digits in front of the point from which on every number saturates.
const SATURATING_DIGITS: i64 = 14;

/// Millionths of a number as JSON writes it (`-12.5`, `1e3`), exact.
///
/// Digits behind the sixth decimal are floored (towards −∞), magnitudes beyond [`LARGEST_MICROS`] saturate.
/// `None` for anything but `-?digits[.digits][e[+-]digits]`.
pub fn parse_micros(text: &str) -> Option<i64> {
    let number = Decimal::parse(text)?;
    Some(number.micros())
}

/// Millionths of a plain decimal, `-?\d+(\.\d+)?`: what a text has to be to count as a number.
pub fn plain_decimal_micros(text: &str) -> Option<i64> {
    // The first byte alone tells most texts from numbers.
    let first = text.as_bytes().first()?;
    if !first.is_ascii_digit() && *first != b'-' {
        return None;
    }
    let number = Decimal::parse(text)?;
    if number.has_exponent { None } else { Some(number.micros()) }
}

/// The one text of a number: no exponent, no trailing zeros, no point without decimals (`1`, `-0.5`).
pub fn canonical_text(micros: i64) -> CanonicalText {
    let mut text = CanonicalText { bytes: [0; CanonicalText::CAPACITY], start: CanonicalText::CAPACITY };
    let magnitude = micros.unsigned_abs();
    let (mut units, mut decimals) = (magnitude / 1_000_000, magnitude % 1_000_000);
    if decimals != 0 {
        let mut left = DECIMALS;
        while decimals % 10 == 0 {
            decimals /= 10;
            left -= 1;
        }
        for _ in 0..left {
            text.push_front(b'0' + (decimals % 10) as u8);
            decimals /= 10;
        }
        text.push_front(b'.');
    }
    loop {
        text.push_front(b'0' + (units % 10) as u8);
        units /= 10;
        if units == 0 {
            break;
        }
    }
    if micros < 0 {
        text.push_front(b'-');
    }
    text
}

/// A number's canonical text, on the stack.
#[derive(Clone, Copy)]
pub struct CanonicalText {
    bytes: [u8; CanonicalText::CAPACITY],
    start: usize,
}

impl CanonicalText {
    /// Sign, 13 digits of units, point, six decimals, and room to spare.
    const CAPACITY: usize = 24;

    fn push_front(&mut self, byte: u8) {
        self.start -= 1;
        self.bytes[self.start] = byte;
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[self.start..]).unwrap_or_default()
    }
}

impl Deref for CanonicalText {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for CanonicalText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for CanonicalText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// A decimal as written in a model file: exactly `decimals` digits behind the point at most.
pub(crate) fn exact_scaled(text: &str, decimals: u32) -> Result<i64, NotExact> {
    let number = Decimal::parse(text).ok_or(NotExact::NotANumber)?;
    if number.has_exponent {
        return Err(NotExact::NotANumber);
    }
    if number.fraction.trim_end_matches('0').len() > decimals as usize {
        return Err(NotExact::TooManyDecimals);
    }
    let micros = number.micros();
    if micros.abs() >= LARGEST_MICROS {
        return Err(NotExact::TooLarge);
    }
    Ok(micros / 10_i64.pow(6 - decimals))
}

/// Why a literal is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotExact {
    NotANumber,
    TooManyDecimals,
    TooLarge,
}

/// The parts of a number's text.
struct Decimal<'a> {
    negative: bool,
    integer: &'a str,
    fraction: &'a str,
    has_exponent: bool,
    /// Saturated: an exponent beyond i64 moves every digit out of sight anyway.
    exponent: i64,
}

impl<'a> Decimal<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent_text) = match rest.find(['e', 'E']) {
            Some(at) => (&rest[..at], Some(&rest[at + 1..])),
            None => (rest, None),
        };
        let (integer, fraction) = match mantissa.split_once('.') {
            Some((_, "")) => return None,
            Some(parts) => parts,
            None => (mantissa, ""),
        };
        let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        if integer.is_empty() || !digits(integer) || !digits(fraction) {
            return None;
        }
        let exponent = match exponent_text {
            None => 0,
            Some(text) => parse_exponent(text)?,
        };
        Some(Decimal { negative, integer, fraction, has_exponent: exponent_text.is_some(), exponent })
    }

    /// Floor of the value in millionths, saturated.
    fn micros(&self) -> i64 {
        let digits = || self.integer.bytes().chain(self.fraction.bytes());
        let Some(leading_zeros) = digits().position(|b| b != b'0') else { return 0 };
        // Digits in front of the decimal point once the exponent is applied; may be negative.
        let point = (self.integer.len() as i64).saturating_add(self.exponent);
        let sign = if self.negative { -1 } else { 1 };
        if point.saturating_sub(leading_zeros as i64) >= SATURATING_DIGITS {
            return sign * LARGEST_MICROS;
        }
        let kept = point.saturating_add(DECIMALS); // how many leading digits make up the millionths
        let mut magnitude: i64 = 0;
        let mut remainder = false;
        let mut seen: i64 = 0;
        for digit in digits() {
            if seen < kept {
                magnitude = magnitude.saturating_mul(10).saturating_add(i64::from(digit - b'0'));
            } else if digit != b'0' {
                remainder = true;
                break;
            }
            seen += 1;
        }
        // At most 20 rounds: more significant places would have saturated above.
        for _ in seen..kept {
            magnitude = magnitude.saturating_mul(10);
        }
        if self.negative && remainder {
            magnitude = magnitude.saturating_add(1);
        }
        sign * magnitude.min(LARGEST_MICROS)
    }
}

fn parse_exponent(text: &str) -> Option<i64> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let magnitude = digits
        .bytes()
        .fold(0_i64, |value, digit| value.saturating_mul(10).saturating_add(i64::from(digit - b'0')));
    Some(if negative { -magnitude } else { magnitude })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_numbers_become_millionths() {
        let cases: &[(&str, Option<i64>)] = &[
            ("0", Some(0)),
            ("-0", Some(0)),
            ("-0.0", Some(0)),
            ("1", Some(1_000_000)),
            ("1.0", Some(1_000_000)),
            ("-1.5", Some(-1_500_000)),
            ("007", Some(7_000_000)),
            ("0.0000019", Some(1)),
            ("-0.0000011", Some(-2)),
            ("-0.0000001", Some(-1)),
            ("-1.0000000000", Some(-1_000_000)),
            ("1e3", Some(1_000_000_000)),
            ("1E+3", Some(1_000_000_000)),
            ("1.5e-1", Some(150_000)),
            ("15e-1", Some(1_500_000)),
            ("12345e-7", Some(1_234)),
            ("-12345e-7", Some(-1_235)),
            ("0e999999999999999999999", Some(0)),
            ("1e999999999999999999999", Some(LARGEST_MICROS)),
            ("-1e999999999999999999999", Some(-LARGEST_MICROS)),
            ("1e-999999999999999999999", Some(0)),
            ("-1e-999999999999999999999", Some(-1)),
            ("0.000000000000001e15", Some(1_000_000)),
            ("9200000000000", Some(LARGEST_MICROS)),
            ("9199999999999.999999", Some(LARGEST_MICROS - 1)),
            ("9200000000000.000001", Some(LARGEST_MICROS)),
            ("99999999999999", Some(LARGEST_MICROS)),
            ("9223372036854775807", Some(LARGEST_MICROS)),
            ("-9223372036854775808", Some(-LARGEST_MICROS)),
            ("9007199254740993", Some(LARGEST_MICROS)),
            ("1000000000000000000000000000000e-30", Some(1_000_000)),
            ("", None),
            ("-", None),
            ("+1", None),
            (".5", None),
            ("5.", None),
            ("1e", None),
            ("1e+", None),
            ("NaN", None),
            ("Infinity", None),
            ("0x10", None),
            (" 1", None),
            ("1_000", None),
            ("١", None),
        ];
        for (text, expect) in cases {
            assert_eq!(parse_micros(text), *expect, "{text}");
        }
    }

    #[test]
    fn only_plain_decimals_are_numbers_in_a_text() {
        for (text, expect) in [
            ("12.50", Some(12_500_000)),
            ("-3", Some(-3_000_000)),
            ("1e3", None),
            ("1.", None),
            ("+1", None),
            ("", None),
            ("é", None),
        ] {
            assert_eq!(plain_decimal_micros(text), expect, "{text}");
        }
    }

    #[test]
    fn a_number_has_one_text() {
        for (micros, expect) in [
            (0, "0"),
            (1_000_000, "1"),
            (-500_000, "-0.5"),
            (1, "0.000001"),
            (10_000_000, "10"),
            (1_230_000, "1.23"),
            (LARGEST_MICROS, "9200000000000"),
            (-LARGEST_MICROS, "-9200000000000"),
            (i64::MIN, "-9223372036854.775808"),
            (i64::MAX, "9223372036854.775807"),
        ] {
            assert_eq!(&*canonical_text(micros), expect);
        }
    }

    #[test]
    fn literals_are_exact_or_refused() {
        for (text, decimals, expect) in [
            ("0.125", 3, Ok(125)),
            ("-10", 3, Ok(-10_000)),
            ("1.1230", 3, Ok(1_123)),
            ("1.1234", 3, Err(NotExact::TooManyDecimals)),
            ("0.0000001", 6, Err(NotExact::TooManyDecimals)),
            ("9200000000000", 6, Err(NotExact::TooLarge)),
            ("1e3", 6, Err(NotExact::NotANumber)),
            ("ten", 6, Err(NotExact::NotANumber)),
        ] {
            assert_eq!(exact_scaled(text, decimals), expect, "{text}");
        }
    }
}
