//! Hours, days and weeks where the model lives, and when they are closed for good (S4).

use jiff::Timestamp;
use jiff::tz::TimeZone;
use ripen_model::Model;
use ripen_model::compiled::{KeyPart, Recurrence, Rule};

const QUARTER_MS: i64 = 900_000;
const DAY_MS: i64 = 86_400_000;

/// The name of a calendar bucket.
pub(super) fn bucket(zone: &TimeZone, part: &KeyPart, t_ms: i64) -> String {
    let local = Timestamp::from_millisecond(t_ms).expect("within the calendar").to_zoned(zone.clone());
    match part {
        KeyPart::Hour => format!("{} {} {}", local.date(), local.hour(), local.offset()),
        KeyPart::Day => local.date().to_string(),
        KeyPart::Week => format!("{:?}", local.date().iso_week_date().first_of_week()),
        KeyPart::Field(_) => unreachable!("a field is no bucket"),
    }
}

/// The day of an instant, for `days`.
pub(crate) fn day(zone: &TimeZone, t_ms: i64) -> String {
    bucket(zone, &KeyPart::Day, t_ms)
}

/// The last instant at which the bucket of a match is open; `None` for rules that are never sealed.
pub(super) fn sealed_at_ms(model: &Model, rule: &Rule, t_ms: i64) -> Option<i64> {
    let Recurrence::Per(parts) = &rule.recurrence else { return None };
    if rule.max.is_some() {
        return None;
    }
    let ends = parts.iter().map(|part| {
        let own = bucket(&model.time.zone, part, t_ms);
        // Clocks change on quarters of an hour at the finest.
        let mut at_ms = t_ms.div_euclid(QUARTER_MS) * QUARTER_MS + QUARTER_MS;
        while bucket(&model.time.zone, part, at_ms) == own {
            at_ms += QUARTER_MS;
        }
        at_ms
    });
    Some(ends.min()? + model.time.late_accept_ms + DAY_MS)
}
