//! Durations: `90s`, `5m`, `1d12h`.

/// The longest duration of a model, ms: 100 years of 365 days.
pub(crate) const LONGEST_MS: i64 = 100 * 365 * 86_400_000;

/// Milliseconds of `(\d+[smhdw])+`; a day is 86,400 s. `None` for anything else or beyond 100 years.
pub fn parse_duration_ms(text: &str) -> Option<i64> {
    let mut total: i64 = 0;
    let mut digits: Option<i64> = None;
    for c in text.chars() {
        if let Some(digit) = c.to_digit(10) {
            digits = Some(digits.unwrap_or(0).checked_mul(10)?.checked_add(i64::from(digit))?);
            continue;
        }
        let unit_ms: i64 = match c {
            's' => 1_000,
            'm' => 60_000,
            'h' => 3_600_000,
            'd' => 86_400_000,
            'w' => 7 * 86_400_000,
            _ => return None,
        };
        total = total.checked_add(digits.take()?.checked_mul(unit_ms)?)?;
    }
    (digits.is_none() && !text.is_empty() && total <= LONGEST_MS).then_some(total)
}

/// The shortest text of a duration, for messages: `31d`, `1d12h`.
pub(crate) fn duration_text(ms: i64) -> String {
    let mut left = ms;
    let mut text = String::new();
    for (unit, unit_ms) in [('d', 86_400_000), ('h', 3_600_000), ('m', 60_000), ('s', 1_000)] {
        if left >= unit_ms {
            text.push_str(&format!("{}{unit}", left / unit_ms));
            left %= unit_ms;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_exact() {
        for (text, expect) in [
            ("0h", Some(0)),
            ("90s", Some(90_000)),
            ("5m", Some(300_000)),
            ("1d12h", Some(129_600_000)),
            ("1w", Some(604_800_000)),
            ("36500d", Some(LONGEST_MS)),
            ("36501d", None),
            ("99999999999999999999d", None),
            ("5", None),
            ("d", None),
            ("", None),
            ("5 m", None),
            ("5M", None),
            ("-5m", None),
            ("1.5h", None),
            ("5m3", None),
        ] {
            assert_eq!(parse_duration_ms(text), expect, "{text}");
        }
        assert_eq!(duration_text(129_600_000), "1d12h");
    }
}
