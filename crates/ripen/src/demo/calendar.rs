//! The dealer's month: Moscow days and hours, as milliseconds UTC.

use super::prng::Prng;

pub(super) const SECOND_MS: i64 = 1_000;
pub(super) const MINUTE_MS: i64 = 60 * SECOND_MS;
pub(super) const HOUR_MS: i64 = 60 * MINUTE_MS;
pub(super) const DAY_MS: i64 = 24 * HOUR_MS;

/// 2026-10-01T00:00+03:00, a Thursday: the demo reads no clock. Moscow has kept +03:00 since 2014.
pub(super) const START_MS: i64 = 1_790_802_000_000;

/// Visits by the hour of the day: nights are quiet, lunch and the evening are not.
const HOURS: [u32; 24] =
    [14, 8, 5, 3, 3, 5, 12, 24, 38, 50, 58, 61, 64, 62, 57, 55, 56, 60, 66, 74, 80, 76, 56, 30];

/// First visits by the day of the week, Monday first: people look at cars at the weekend.
const WEEKDAYS: [u32; 7] = [92, 90, 93, 96, 100, 128, 134];

/// The instant at which the day `day` of the month begins, from 0.
pub(super) fn day_start_ms(day: i64) -> i64 {
    START_MS + day * DAY_MS
}

/// The day of the month, from 0, on which the instant lies.
pub(super) fn day_of(at_ms: i64) -> i64 {
    (at_ms - START_MS).div_euclid(DAY_MS)
}

/// An instant of the day at which people are awake more often than not.
pub(super) fn hour_of_day_ms(prng: &mut Prng) -> i64 {
    prng.weighted(&HOURS) as i64 * HOUR_MS + prng.between(0, HOUR_MS - 1)
}

/// The day of a first visit in a month of `days` days.
pub(super) fn first_day(prng: &mut Prng, days: i64) -> i64 {
    loop {
        let day = prng.between(0, days - 1);
        // The month begins on a Thursday.
        if prng.below(134) < u64::from(WEEKDAYS[((day + 3) % 7) as usize]) {
            return day;
        }
    }
}

/// RFC 3339 with milliseconds, in UTC: what trackers in a browser write.
pub(super) fn utc(at_ms: i64) -> String {
    format!("{:.3}", timestamp(at_ms))
}

/// RFC 3339 with milliseconds and the offset of Moscow: what some apps write.
pub(super) fn moscow(at_ms: i64) -> String {
    format!("{:.3}", timestamp(at_ms).display_with_offset(jiff::tz::offset(3)))
}

/// Day and time in Moscow for a reader: `12 Oct 14:03`.
pub(super) fn spoken(at_ms: i64) -> String {
    timestamp(at_ms + 3 * HOUR_MS).strftime("%d %b %H:%M").to_string()
}

fn timestamp(at_ms: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(at_ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_written_as_trackers_write_them() {
        assert_eq!(utc(START_MS), "2026-09-30T21:00:00.000Z");
        assert_eq!(moscow(START_MS + 5), "2026-10-01T00:00:00.005+03:00");
        assert_eq!(spoken(START_MS + DAY_MS), "02 Oct 00:00");
    }

    #[test]
    fn days_begin_at_midnight_in_moscow() {
        assert_eq!(day_of(day_start_ms(3)), 3);
        assert_eq!(day_of(day_start_ms(3) - 1), 2);
    }
}
