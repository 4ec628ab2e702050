//! How instants, spans and points are written for people.

/// Thousandths with what they need of their three decimals: `59.4`, `-0.001`.
pub(crate) fn points(milli: i64) -> String {
    ripen_model::canonical_text(milli.saturating_mul(1_000)).to_string()
}

/// A time from a beginning: `2d 00:05`, with seconds and milliseconds where there are any.
pub(crate) fn since(ms: i64) -> String {
    let (sign, ms) = (if ms < 0 { "-" } else { "" }, ms.unsigned_abs());
    let (days, hours, minutes) = (ms / 86_400_000, ms / 3_600_000 % 24, ms / 60_000 % 60);
    let (seconds, millis) = (ms / 1_000 % 60, ms % 1_000);
    let fine = match (seconds, millis) {
        (0, 0) => String::new(),
        (_, 0) => format!(":{seconds:02}"),
        _ => format!(":{seconds:02}.{millis:03}"),
    };
    format!("{sign}{days}d {hours:02}:{minutes:02}{fine}")
}

/// An instant in RFC 3339, UTC, to the millisecond.
pub(crate) fn instant(ms: i64) -> String {
    match jiff::Timestamp::from_millisecond(ms) {
        Ok(timestamp) => format!("{timestamp:.3}"),
        Err(_) => format!("{ms} ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_say_what_they_need() {
        for (ms, expect) in [
            (0, "0d 00:00"),
            (172_800_000 + 300_000, "2d 00:05"),
            (90_000, "0d 00:01:30"),
            (398_644_899, "4d 14:44:04.899"),
            (-60_000, "-0d 00:01"),
        ] {
            assert_eq!(since(ms), expect);
        }
        assert_eq!((points(59_400), points(-1), points(0)), ("59.4".into(), "-0.001".into(), "0".into()));
        assert_eq!(instant(1_767_571_200_001), "2026-01-05T00:00:00.001Z");
    }
}
