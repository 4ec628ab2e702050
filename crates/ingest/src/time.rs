//! When it happened and when it arrived.
//!
//! A tracker's clock may be wrong by years, but it is wrong by the same amount when the event is made and when
//! it is sent: event time is `received − (sent − made)`. Where a server has already corrected it (the record
//! has both `originalTimestamp` and `timestamp`), its word counts. Event time is never above arrival.

use jiff::Timestamp;
use jiff::civil;
use jiff::tz::TimeZone;

use ripen_records::MICROS_PER_UNIT;

use crate::json::Raw;

/// 2000-01-01T00:00:00Z. No tracker is older: an event time before it is an unset clock.
const EARLIEST_MS: i64 = 946_684_800_000;

/// 9999-12-31T23:59:59.999Z, the last instant that a text can name.
const LATEST_MS: i64 = 253_402_300_799_999;

/// Where a record's arrival is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// The source record's timestamp.
    Source,
    /// The record itself, for files: `receivedAt`, else `sentAt`, else the event's own time; the source's
    /// timestamp only if there is none of them.
    FromRecord,
}

/// Where an activity's event time came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TimeSource {
    /// A server had corrected the tracker's clock already.
    Server,
    /// The tracker's clock, corrected by the moments of sending and receiving.
    Corrected,
    /// The tracker's clock as it stands: the record does not say when it was sent.
    Tracker,
    /// The record has no event time: its receipt counts.
    Missing,
    /// The record's event time is unreadable or from an unset clock: its arrival counts.
    Unreadable,
    /// It lay in the future, beyond what is tolerated: its arrival counts.
    ClampedFuture,
}

impl TimeSource {
    /// The word in metrics and explanations.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Corrected => "corrected",
            Self::Tracker => "tracker",
            Self::Missing => "missing",
            Self::Unreadable => "unreadable",
            Self::ClampedFuture => "clamped_future",
        }
    }
}

/// 2200-01-01T00:00:00Z.
const LATEST_ARRIVAL_MS: i64 = 7_258_118_400_000;

/// Whether an arrival can be believed: it moves the clock, and with it every lead.
pub(crate) fn is_within_calendar(arrival_ms: i64) -> bool {
    (0..LATEST_ARRIVAL_MS).contains(&arrival_ms)
}

/// The times of a record as they stand in it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Times<'a> {
    pub(crate) timestamp: Raw<'a>,
    pub(crate) original_timestamp: Raw<'a>,
    pub(crate) sent_at: Raw<'a>,
    pub(crate) received_at: Raw<'a>,
}

/// The two times of an activity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) t_ms: i64,
    pub(crate) arrival_ms: i64,
    pub(crate) clamped: bool,
    pub(crate) source: TimeSource,
}

impl Times<'_> {
    /// Settles event time and arrival; `source_ms` is the source record's timestamp.
    pub(crate) fn settle(
        &self,
        arrival: Arrival,
        source_ms: i64,
        max_future_ms: i64,
        day: &mut LastDay,
    ) -> Moment {
        let timestamp = instant_ms(self.timestamp, day);
        let original = instant_ms(self.original_timestamp, day);
        let received = instant_ms(self.received_at, day);
        // Where a server has corrected the clock, nobody asks when it was sent.
        let sent = |day: &mut LastDay| instant_ms(self.sent_at, day);
        let arrival_ms = match arrival {
            Arrival::Source => source_ms,
            Arrival::FromRecord => {
                received.or_else(|| sent(day)).or(timestamp).or(original).unwrap_or(source_ms)
            }
        };
        let received = received.unwrap_or(arrival_ms);
        let (claimed, mut source) = match (timestamp, original) {
            (Some(corrected), Some(_)) => (corrected, TimeSource::Server),
            // A sending before the event is no sending time; a few ms of it are rounding.
            (Some(made), None) | (None, Some(made)) => match sent(day) {
                Some(sent) if sent.saturating_add(max_future_ms) >= made => {
                    (received.saturating_sub(sent.saturating_sub(made)), TimeSource::Corrected)
                }
                _ => (made, TimeSource::Tracker),
            },
            (None, None) if self.timestamp.or_if_empty(self.original_timestamp).bounded(1).is_some() => {
                (arrival_ms, TimeSource::Unreadable)
            }
            (None, None) => (received, TimeSource::Missing),
        };
        let mut t_ms = claimed.min(arrival_ms);
        if claimed < EARLIEST_MS && arrival_ms >= EARLIEST_MS {
            t_ms = arrival_ms;
            source = TimeSource::Unreadable;
        }
        let clamped = claimed > arrival_ms.saturating_add(max_future_ms);
        if clamped {
            source = TimeSource::ClampedFuture;
        }
        Moment { t_ms, arrival_ms, clamped, source }
    }
}

/// An instant in ms UTC: ISO 8601 with any offset (none is UTC), a date, or a number since 1970, whose size
/// tells seconds, milliseconds, microseconds and nanoseconds apart.
fn instant_ms(raw: Raw<'_>, day: &mut LastDay) -> Option<i64> {
    if let Raw::Plain(text) = raw
        && let Some(ms) = utc_with_millis(text, day)
    {
        return Some(ms);
    }
    let text = raw.text()?;
    let text = text.trim();
    if text.len() > 64 {
        return None;
    }
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Some(timestamp.as_millisecond());
    }
    if text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+' | b'e' | b'E'))
        && let Some(ms) = epoch_ms(text)
    {
        return Some(ms);
    }
    let local = text.parse::<civil::DateTime>().ok()?;
    TimeZone::UTC.to_timestamp(local).ok().map(Timestamp::as_millisecond)
}

/// The day that was read last: the times of a record, and of those around it, are mostly of one day.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LastDay {
    /// As it was written, `2026-01-05`; zeros at first, which are no date.
    text: [u8; 10],
    start_ms: i64,
}

impl LastDay {
    /// The first instant of a day, ms UTC.
    fn start_ms(&mut self, text: &[u8; 10]) -> Option<i64> {
        if *text != self.text {
            let date: civil::Date = str::from_utf8(text).ok()?.parse().ok()?;
            let start = TimeZone::UTC.to_timestamp(date.to_datetime(civil::Time::midnight())).ok()?;
            *self = LastDay { text: *text, start_ms: start.as_millisecond() };
        }
        Some(self.start_ms)
    }
}

/// Exactly `2026-01-05T00:00:00.000Z`, as every JavaScript tracker writes it.
fn utc_with_millis(text: &str, day: &mut LastDay) -> Option<i64> {
    let bytes: &[u8; 24] = text.as_bytes().try_into().ok()?;
    let &[date @ .., b'T', h1, h2, b':', m1, m2, b':', s1, s2, b'.', d1, d2, d3, b'Z'] = bytes else {
        return None;
    };
    if (date[4], date[7]) != (b'-', b'-') {
        return None;
    }
    let mut all_digits = true;
    let mut digit = |byte: u8| {
        let digit = byte.wrapping_sub(b'0');
        all_digits &= digit <= 9;
        i64::from(digit)
    };
    let hour = digit(h1) * 10 + digit(h2);
    let minute = digit(m1) * 10 + digit(m2);
    let second = digit(s1) * 10 + digit(s2);
    let millisecond = (digit(d1) * 10 + digit(d2)) * 10 + digit(d3);
    // A leap second and whatever else is odd is for the general parser.
    if !all_digits || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    Some(day.start_ms(&date)? + ((hour * 60 + minute) * 60 + second) * 1_000 + millisecond)
}

/// 10¹¹ s is the year 5138 and 10¹¹ ms is 1973: no real time is taken for another unit.
fn epoch_ms(text: &str) -> Option<i64> {
    let (whole, micros) = match text.parse::<i64>() {
        Ok(whole) => (whole, whole.saturating_mul(MICROS_PER_UNIT)),
        Err(_) => {
            let micros = ripen_model::parse_micros(text)?;
            (micros / MICROS_PER_UNIT, micros)
        }
    };
    let ms = match whole.unsigned_abs() {
        0..100_000_000_000 => micros / 1000,
        100_000_000_000..100_000_000_000_000 => whole,
        100_000_000_000_000..100_000_000_000_000_000 => whole / 1000,
        _ => whole / 1_000_000,
    };
    (ms <= LATEST_MS).then_some(ms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::tests::json;

    const ARRIVAL: i64 = 1_767_571_200_000; // 2026-01-05T00:00:00Z
    const MAX_FUTURE_MS: i64 = 300_000;

    #[test]
    fn instants_in_every_notation() {
        let mut day = LastDay::default();
        for (text, expect) in [
            (r#""2026-01-05T00:00:00Z""#, Some(ARRIVAL)),
            (r#""2026-01-05T00:00:00.000Z""#, Some(ARRIVAL)),
            (r#""2026-01-05T05:30:00+05:30""#, Some(ARRIVAL)),
            (r#""2026-01-04T19:00:00.000-05:00""#, Some(ARRIVAL)),
            (r#""2026-01-05 00:00:00Z""#, Some(ARRIVAL)),
            (r#""2026-01-05T00:00:00.123456789Z""#, Some(ARRIVAL + 123)),
            (r#""2026-01-05T00:00:00""#, Some(ARRIVAL)),
            (r#""2026-01-05""#, Some(ARRIVAL)),
            ("1767571200", Some(ARRIVAL)),
            ("1767571200.250", Some(ARRIVAL + 250)),
            ("1767571200000", Some(ARRIVAL)),
            ("1767571200000000", Some(ARRIVAL)),
            ("1767571200000000000", Some(ARRIVAL)),
            (r#""1767571200000""#, Some(ARRIVAL)),
            ("1.7675712e12", Some(ARRIVAL)),
            (r#""2026-13-05T00:00:00.000Z""#, None),
            (r#""2026-01-05T24:00:00.000Z""#, None),
            (r#""2026-02-30T00:00:00.000Z""#, None),
            (r#""soon""#, None),
            (r#""""#, None),
            ("null", None),
            ("{}", None),
            (r#""99999999999999999999""#, Some(9_200_000_000_000)),
        ] {
            assert_eq!(instant_ms(json(text), &mut day), expect, "{text}");
        }
    }

    #[test]
    fn the_short_way_agrees_with_the_general_parser() {
        // Days in turn and again: what is remembered of the one before must not count.
        let mut day = LastDay::default();
        for text in [
            "1970-01-01T00:00:00.000Z",
            "2000-02-29T23:59:59.999Z",
            "2001-02-29T23:59:59.999Z",
            "2000-02-29T03:04:05.678Z",
            "2026-11-22T03:04:05.678Z",
            "2026-11-22T03:60:05.678Z",
            "2026-11-2aT03:04:05.678Z",
            "2026x11-22T03:04:05.678Z",
            "2026-11-22T03:04:05.67aZ",
            "2026-11-22T03:04:05.678Z",
            "0001-01-01T00:00:00.000Z",
        ] {
            let general = text.parse::<Timestamp>().ok().map(Timestamp::as_millisecond);
            assert_eq!(utc_with_millis(text, &mut day), general, "{text}");
        }
        assert_eq!(utc_with_millis("2026-11-22T23:59:60.000Z", &mut day), None, "left to the general parser");
    }

    /// Columns: timestamp, originalTimestamp, sentAt, receivedAt; offsets from arrival in seconds.
    type Row = (Option<i64>, Option<i64>, Option<i64>, Option<i64>);

    fn settle(row: Row, arrival: Arrival) -> Moment {
        let texts = [row.0, row.1, row.2, row.3]
            .map(|offset| offset.map(|s| Timestamp::from_millisecond(ARRIVAL + s * 1000).unwrap()))
            .map(|instant| instant.map(|instant| format!("\"{instant}\"")).unwrap_or_default());
        let [timestamp, original_timestamp, sent_at, received_at] = texts.each_ref().map(|text| json(text));
        Times { timestamp, original_timestamp, sent_at, received_at }.settle(
            arrival,
            ARRIVAL,
            MAX_FUTURE_MS,
            &mut LastDay::default(),
        )
    }

    #[test]
    fn the_trackers_clock_is_corrected_once() {
        use TimeSource::*;
        for (row, t_s, clamped, source, why) in [
            ((Some(-60), Some(7200), Some(7260), Some(0)), -60, false, Server, "the server's word"),
            ((None, Some(7200), Some(7260), Some(0)), -60, false, Corrected, "only the original time"),
            (
                (Some(7200), None, Some(7260), None),
                -60,
                false,
                Corrected,
                "raw: the record's timestamp is its receipt",
            ),
            ((Some(-9000), None, Some(-8940), None), -60, false, Corrected, "a slow clock"),
            ((Some(7200), None, Some(7260), Some(-5)), -65, false, Corrected, "the collector's receipt"),
            ((Some(-60), None, None, None), -60, false, Tracker, "not said when it was sent"),
            ((Some(60), None, None, None), 0, false, Tracker, "a little fast: never above arrival"),
            ((Some(301), None, None, None), 0, true, ClampedFuture, "beyond max_future"),
            ((Some(300), None, None, None), 0, false, Tracker, "exactly max_future"),
            ((Some(-60), None, Some(-9000), None), -60, false, Tracker, "sent before it was made"),
            ((None, None, None, Some(-5)), -5, false, Missing, "the receipt counts"),
            ((None, None, None, None), 0, false, Missing, "the arrival counts"),
            ((Some(-ARRIVAL / 1000), None, None, None), 0, false, Unreadable, "an unset clock"),
            (
                (Some(60 - ARRIVAL / 1000), None, Some(120 - ARRIVAL / 1000), None),
                -60,
                false,
                Corrected,
                "unset, yet steady",
            ),
        ] {
            let moment = settle(row, Arrival::Source);
            let expect = Moment { t_ms: ARRIVAL + t_s * 1000, arrival_ms: ARRIVAL, clamped, source };
            assert_eq!(moment, expect, "{why}");
        }
    }

    #[test]
    fn files_carry_their_own_arrival() {
        for (row, arrival_s, t_s, why) in [
            ((Some(-60), None, Some(-50), Some(-10)), -10, -20, "receivedAt"),
            ((Some(-60), None, Some(-50), None), -50, -60, "sentAt"),
            ((Some(-60), None, None, None), -60, -60, "the event's time"),
            ((None, None, None, None), 0, 0, "the source's timestamp"),
        ] {
            let moment = settle(row, Arrival::FromRecord);
            assert_eq!(moment.arrival_ms, ARRIVAL + arrival_s * 1000, "{why}");
            assert_eq!(moment.t_ms, ARRIVAL + t_s * 1000, "{why}");
        }
    }

    #[test]
    fn unreadable_times_count_as_arrival() {
        let times = Times { timestamp: json(r#""yesterday""#), ..Times::default() };
        let moment = times.settle(Arrival::Source, ARRIVAL, MAX_FUTURE_MS, &mut LastDay::default());
        assert_eq!((moment.t_ms, moment.source), (ARRIVAL, TimeSource::Unreadable));
    }
}
