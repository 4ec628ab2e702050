//! Local hours, days and ISO weeks in the model's zone, as numbers.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use ripen_model::compiled::KeyPart;

const MS_PER_HOUR: i64 = 3_600_000;
const MS_PER_DAY: i64 = 86_400_000;

/// 1 January 1970 was a Thursday: the third day of its week, counted from 0.
const EPOCH_WEEKDAY: i64 = 3;

/// The local calendar day: days since 1970-01-01.
pub(crate) fn day(zone: &TimeZone, t_ms: i64) -> i64 {
    (t_ms + offset_ms(zone, t_ms)).div_euclid(MS_PER_DAY)
}

/// A number for the calendar bucket of `part` that holds `t_ms`; `None` for parts that are fields.
///
/// The two passes of an hour that a clock change repeats differ in their offset, which is part of the number.
pub(crate) fn bucket(zone: &TimeZone, part: &KeyPart, t_ms: i64) -> Option<i64> {
    match part {
        KeyPart::Field(_) => None,
        KeyPart::Day => Some(day(zone, t_ms)),
        KeyPart::Week => Some(week(day(zone, t_ms))),
        KeyPart::Hour => {
            let offset_ms = offset_ms(zone, t_ms);
            let hour = (t_ms + offset_ms).div_euclid(MS_PER_HOUR);
            Some((hour << 20) | ((offset_ms / 1_000) & 0xF_FFFF))
        }
    }
}

/// The instant at which the calendar bucket of `part` that holds `t_ms` is over; `None` for parts that are
/// fields.
pub(crate) fn bucket_end_ms(zone: &TimeZone, part: &KeyPart, t_ms: i64) -> Option<i64> {
    match part {
        KeyPart::Field(_) => None,
        KeyPart::Day => Some(day_start_ms(zone, day(zone, t_ms) + 1)),
        KeyPart::Week => {
            let next_monday = (week(day(zone, t_ms)) + 1) * 7 - EPOCH_WEEKDAY;
            Some(day_start_ms(zone, next_monday))
        }
        KeyPart::Hour => {
            let offset_ms = offset_ms(zone, t_ms);
            Some(((t_ms + offset_ms).div_euclid(MS_PER_HOUR) + 1) * MS_PER_HOUR - offset_ms)
        }
    }
}

fn week(day: i64) -> i64 {
    (day + EPOCH_WEEKDAY).div_euclid(7)
}

/// The instant at which a local day begins; a midnight that a clock change skips begins when the clock jumps.
fn day_start_ms(zone: &TimeZone, day: i64) -> i64 {
    let fallback = day * MS_PER_DAY;
    let civil = i32::try_from(day).ok().and_then(|days| {
        let epoch = Date::constant(1970, 1, 1);
        epoch.checked_add(jiff::Span::new().try_days(days).ok()?).ok()
    });
    civil
        .and_then(|date| date.to_zoned(zone.clone()).ok())
        .map_or(fallback, |z| z.timestamp().as_millisecond())
}

fn offset_ms(zone: &TimeZone, t_ms: i64) -> i64 {
    // Instants are bounded long before the calendar's end; beyond it the zone would be a guess anyway.
    Timestamp::from_millisecond(t_ms).map_or(0, |at| i64::from(zone.to_offset(at).seconds()) * 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn berlin() -> TimeZone {
        TimeZone::get("Europe/Berlin").expect("the bundled database has it")
    }

    fn ms(text: &str) -> i64 {
        text.parse::<Timestamp>().expect("an instant").as_millisecond()
    }

    #[test]
    fn a_day_is_local() {
        let zone = berlin();
        let before = ms("2026-01-05T22:59:59.999Z");
        assert_eq!(day(&zone, before) + 1, day(&zone, before + 1));
        assert_eq!(bucket_end_ms(&zone, &KeyPart::Day, before), Some(before + 1));
        assert_eq!(day(&zone, -1), 0, "an hour ahead of UTC, 1970 has begun");
    }

    #[test]
    fn a_day_of_a_clock_change_has_23_or_25_hours() {
        let zone = berlin();
        for (start, hours) in [("2026-03-28T23:00Z", 23), ("2026-10-24T22:00Z", 25)] {
            let start = ms(start);
            assert_ne!(day(&zone, start - 1), day(&zone, start));
            assert_eq!(bucket_end_ms(&zone, &KeyPart::Day, start), Some(start + hours * MS_PER_HOUR));
        }
    }

    #[test]
    fn the_repeated_hour_is_two() {
        let zone = berlin();
        let first = ms("2026-10-25T00:30Z");
        let bucket = |t| bucket(&zone, &KeyPart::Hour, t).expect("of the calendar");
        assert_ne!(bucket(first), bucket(first + MS_PER_HOUR));
        assert_eq!(bucket(first), bucket(first + MS_PER_HOUR / 2 - 1));
        assert_eq!(bucket_end_ms(&zone, &KeyPart::Hour, first), Some(first + MS_PER_HOUR / 2));
    }

    #[test]
    fn a_week_begins_on_monday() {
        let zone = TimeZone::UTC;
        let sunday = ms("2026-11-22T23:59:59.999Z");
        let week = |t| bucket(&zone, &KeyPart::Week, t).expect("of the calendar");
        assert_eq!(week(sunday) + 1, week(sunday + 1));
        assert_eq!(week(sunday), week(sunday + 1 - 7 * MS_PER_DAY));
        assert_eq!(bucket_end_ms(&zone, &KeyPart::Week, sunday), Some(sunday + 1));
        assert_eq!(bucket_end_ms(&zone, &KeyPart::Week, sunday - 6 * MS_PER_DAY), Some(sunday + 1));
    }
}
