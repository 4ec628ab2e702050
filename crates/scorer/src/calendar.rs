//! Local hours, days and ISO weeks in the model's zone, as numbers.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use ripen_model::compiled::{Hours, KeyPart};

const MS_PER_MINUTE: i64 = 60_000;
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

/// The instant at which business hours from `start_ms` on add up to `open_ms`: inside a span its exact instant, at a
/// span's end that end. `i64::MAX` if there are no hours in the week.
pub(crate) fn after_hours_ms(zone: &TimeZone, hours: &Hours, start_ms: i64, open_ms: i64) -> i64 {
    let weekly_ms: i64 =
        hours.week.iter().flatten().map(|(from, to)| i64::from(to - from) * MS_PER_MINUTE).sum();
    if weekly_ms == 0 {
        return i64::MAX;
    }
    let mut left_ms = open_ms;
    let mut today = day(zone, start_ms);
    // A clock change takes or gives an hour of a span: two weeks more than enough.
    let last = today.saturating_add(7 * (open_ms / weekly_ms + 2) + 7);
    while today <= last {
        let weekday = (today + EPOCH_WEEKDAY).rem_euclid(7) as usize;
        for &(from, to) in &hours.week[weekday] {
            let from_ms = minute_of_day_ms(zone, today, from).max(start_ms);
            let to_ms = minute_of_day_ms(zone, today, to);
            let span_ms = (to_ms - from_ms).max(0);
            if span_ms > 0 && left_ms <= span_ms {
                return from_ms + left_ms;
            }
            left_ms -= span_ms;
        }
        today += 1;
    }
    i64::MAX
}

/// The instant of a local minute of a day; one that a clock change skips is when the clock jumps.
fn minute_of_day_ms(zone: &TimeZone, day: i64, minute: u16) -> i64 {
    if i64::from(minute) * MS_PER_MINUTE >= MS_PER_DAY {
        return day_start_ms(zone, day + 1);
    }
    let fallback = day_start_ms(zone, day) + i64::from(minute) * MS_PER_MINUTE;
    let (hour, minute) = ((minute / 60) as i8, (minute % 60) as i8);
    let at = civil(day).and_then(|date| date.at(hour, minute, 0, 0).to_zoned(zone.clone()).ok());
    at.map_or(fallback, |at| at.timestamp().as_millisecond())
}

fn week(day: i64) -> i64 {
    (day + EPOCH_WEEKDAY).div_euclid(7)
}

/// The instant at which a local day begins; a midnight that a clock change skips begins when the clock jumps.
fn day_start_ms(zone: &TimeZone, day: i64) -> i64 {
    let fallback = day * MS_PER_DAY;
    let midnight = civil(day).and_then(|date| date.to_zoned(zone.clone()).ok());
    midnight.map_or(fallback, |midnight| midnight.timestamp().as_millisecond())
}

fn civil(day: i64) -> Option<Date> {
    let days = i32::try_from(day).ok()?;
    Date::constant(1970, 1, 1).checked_add(jiff::Span::new().try_days(days).ok()?).ok()
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

    #[test]
    fn business_hours_add_up_over_nights_weekends_and_clock_changes() {
        let zone = berlin();
        let mut week: [Vec<(u16, u16)>; 7] = Default::default();
        week[..5].fill(vec![(9 * 60, 13 * 60), (14 * 60, 18 * 60)]);
        let hours = Hours { week };
        for (start, open, end) in [
            ("2026-01-05T08:00Z", 0, "2026-01-05T08:00Z"),
            ("2026-01-05T08:00Z", 5, "2026-01-05T08:05Z"),
            ("2026-01-05T06:00Z", 5, "2026-01-05T08:05Z"),
            ("2026-01-05T11:58Z", 5, "2026-01-05T13:03Z"),
            ("2026-01-09T16:58Z", 5, "2026-01-12T08:03Z"),
            ("2026-01-05T08:00Z", 8 * 60, "2026-01-05T17:00Z"),
            ("2026-03-27T16:00Z", 2 * 60, "2026-03-30T08:00Z"),
            ("2026-01-05T08:00Z", 40 * 60 + 1, "2026-01-12T08:01Z"),
            ("2026-01-09T18:00Z", 0, "2026-01-12T08:00Z"),
            ("2026-01-05T08:00Z", 140 * 40 * 60, "2028-09-08T16:00Z"),
        ] {
            assert_eq!(after(&hours, start, open), end.parse().ok(), "{start} + {open} min");
        }
        assert_eq!(after_hours_ms(&zone, &Hours::default(), 0, 1), i64::MAX);
    }

    #[test]
    fn few_business_hours_are_looked_for_as_long_as_it_takes() {
        for (span, start, open, end) in [
            // An hour before midnight of each Sunday.
            ((23 * 60, 24 * 60), "2026-01-05T08:00Z", 30 * 60, "2026-08-02T22:00Z"),
            // An hour that the clock skips on 29 March, and that it repeats on 25 October.
            ((2 * 60, 3 * 60), "2026-03-22T01:30Z", 45, "2026-04-05T00:15Z"),
            ((2 * 60, 3 * 60), "2026-10-25T00:00Z", 90, "2026-10-25T01:30Z"),
        ] {
            let mut hours = Hours::default();
            hours.week[6].push(span);
            assert_eq!(after(&hours, start, open), end.parse().ok(), "{start} + {open} min");
        }
    }

    fn after(hours: &Hours, start: &str, open: i64) -> Option<Timestamp> {
        let due_ms = after_hours_ms(&berlin(), hours, ms(start), open * MS_PER_MINUTE);
        Timestamp::from_millisecond(due_ms).ok()
    }

    #[test]
    fn an_hour_is_the_clocks_where_it_is_a_quarter_off() {
        let zone = TimeZone::get("Asia/Kathmandu").expect("the bundled database has it");
        let bucket = |t| bucket(&zone, &KeyPart::Hour, t).expect("of the calendar");
        // 05:45 ahead: it is two o'clock.
        let two = ms("2026-01-05T20:15Z");
        assert_eq!(bucket(two), bucket(two + MS_PER_HOUR - 1));
        assert_ne!(bucket(two), bucket(two - 1));
        assert_eq!(bucket_end_ms(&zone, &KeyPart::Hour, two), Some(two + MS_PER_HOUR));
    }
}
