//! How numbers and instants look in outward JSON.

use jiff::Timestamp;
use serde::ser::{SerializeMap, Serializer};
use serde::{Serialize, ser};
use serde_json::value::RawValue;

/// First instant that RFC 3339 can write, 0000-01-01T00:00:00Z, ms UTC.
const FIRST_MS: i64 = -62_167_219_200_000;

/// An instant in RFC 3339, UTC, three digits of seconds: `2026-01-05T09:30:00.000Z`.
/// Instants outside the years 0 to 9999 are written as the nearest inside.
pub(crate) fn instant(ms: i64) -> String {
    let timestamp = Timestamp::from_millisecond(ms.max(FIRST_MS)).unwrap_or(Timestamp::MAX);
    format!("{timestamp:.3}")
}

/// Thousandths as a JSON number with exactly three decimals: 59,400 is `59.400`. No float is involved, so the
/// lines of an explanation still add up to the score after a parser that reads decimals.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Milli(pub(crate) i64);

impl Serialize for Milli {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (sign, milli) = (if self.0 < 0 { "-" } else { "" }, self.0.unsigned_abs());
        let text = format!("{sign}{}.{:03}", milli / 1000, milli % 1000);
        RawValue::from_string(text).map_err(ser::Error::custom)?.serialize(serializer)
    }
}

/// Millionths as a JSON number without idle zeros: 22,500,500,000 is `22500.5`. No float is involved.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Micros(pub(crate) i64);

impl Serialize for Micros {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (sign, micros) = (if self.0 < 0 { "-" } else { "" }, self.0.unsigned_abs());
        let text = format!("{sign}{}.{:06}", micros / 1_000_000, micros % 1_000_000);
        let short = text.trim_end_matches('0').trim_end_matches('.').to_owned();
        RawValue::from_string(short).map_err(ser::Error::custom)?.serialize(serializer)
    }
}

/// Pairs as a JSON object, in their own order.
pub(crate) struct Object<'a, V>(pub(crate) Vec<(&'a str, V)>);

impl<V: Serialize> Serialize for Object<'_, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// The scores of a lead, by name, in the model's order.
pub(crate) fn scores(scores: &[ripen_records::Score]) -> Object<'_, Milli> {
    Object(scores.iter().map(|score| (score.name.as_str(), Milli(score.milli))).collect())
}

/// The labels of those scores that have one.
pub(crate) fn labels(scores: &[ripen_records::Score]) -> Object<'_, &str> {
    Object(scores.iter().filter_map(|score| Some((score.name.as_str(), score.label.as_deref()?))).collect())
}

/// The attributes of the model's route by name, in the model's order.
pub(crate) fn route(decision: &ripen_records::Decision) -> Object<'_, &str> {
    Object(decision.attributes.iter().map(|a| (a.name.as_str(), a.value.as_str())).collect())
}

/// The text of a body. Bodies have text keys and no numbers that JSON lacks, so they always serialize.
pub(crate) fn text(body: &impl Serialize) -> String {
    serde_json::to_string(body).expect("bodies have text keys and finite numbers")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousandths_keep_three_decimals() {
        for (milli, expect) in [
            (0, "0.000"),
            (1, "0.001"),
            (-1, "-0.001"),
            (59_400, "59.400"),
            (-12_345, "-12.345"),
            (i64::MAX, "9223372036854775.807"),
            (i64::MIN, "-9223372036854775.808"),
        ] {
            assert_eq!(text(&Milli(milli)), expect);
        }
    }

    #[test]
    fn millionths_lose_idle_zeros() {
        for (micros, expect) in [
            (0, "0"),
            (1, "0.000001"),
            (-1, "-0.000001"),
            (22_500_500_000, "22500.5"),
            (-100_000_000, "-100"),
            (i64::MAX, "9223372036854.775807"),
            (i64::MIN, "-9223372036854.775808"),
        ] {
            assert_eq!(text(&Micros(micros)), expect);
        }
    }

    #[test]
    fn instants_are_rfc_3339() {
        for (ms, expect) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_767_605_400_007, "2026-01-05T09:30:00.007Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (i64::MIN, "0000-01-01T00:00:00.000Z"),
            (i64::MAX, "9999-12-30T22:00:00.999Z"),
        ] {
            assert_eq!(instant(ms), expect);
        }
    }
}
