//! What points can add up to: bounds of scores, and the steady state of habits.
//!
//! A match that recurs every Δ and fades with the half-life H adds up to `p / (1 − q)`, `q = 2^(−Δ/H)`, right after
//! a match; after n of them to `p · (1 − qⁿ) / (1 − q)`.

use crate::compiled::{FitTable, KeyPart, Model, Recurrence, Rule, ScoreIx};

const HOUR_MS: f64 = 3_600_000.0;
const DAY_MS: f64 = 24.0 * HOUR_MS;

/// The period of a rule whose keys are calendar buckets only, ms: its finest one.
pub(super) fn period_ms(rule: &Rule) -> Option<f64> {
    let Recurrence::Per(parts) = &rule.recurrence else { return None };
    let mut finest = f64::INFINITY;
    for part in parts {
        finest = finest.min(match part {
            KeyPart::Hour => HOUR_MS,
            KeyPart::Day => DAY_MS,
            KeyPart::Week => 7.0 * DAY_MS,
            KeyPart::Field(_) => return None,
        });
    }
    Some(finest)
}

/// The word of that period.
pub(super) fn period_word(rule: &Rule) -> &'static str {
    match period_ms(rule) {
        Some(period) if period <= HOUR_MS => "hour",
        Some(period) if period <= DAY_MS => "day",
        _ => "week",
    }
}

/// The decay from one match to the next; 1 without a half-life.
pub(super) fn decay(period_ms: f64, half_life_ms: Option<i64>) -> f64 {
    half_life_ms.map_or(1.0, |half_life_ms| (-period_ms / half_life_ms as f64).exp2())
}

/// The decayed number of `n` matches in a row, right after the last: at most `max` of them count.
pub(super) fn repeated(n: u32, q: f64, max: Option<u16>) -> f64 {
    let n = max.map_or(n, |max| n.min(u32::from(max)));
    if q >= 1.0 { f64::from(n) } else { (1.0 - q.powi(n as i32)) / (1.0 - q) }
}

/// The same for ever: without bound where nothing fades (q = 1).
pub(super) fn steady(q: f64, max: Option<u16>) -> f64 {
    match max {
        Some(max) => repeated(u32::from(max), q, None),
        None => 1.0 / (1.0 - q),
    }
}

/// The plausible largest decayed number of a rule's matches: keys once each at one instant, habits in their steady
/// state. `None`: every match counts, there is no largest.
pub(super) fn plausible(rule: &Rule, half_life_ms: Option<i64>) -> Option<f64> {
    match (&rule.recurrence, period_ms(rule)) {
        (Recurrence::Every, _) => None,
        (Recurrence::Once, _) => Some(1.0),
        (Recurrence::Per(_), Some(period)) => Some(steady(decay(period, half_life_ms), rule.max)),
        (Recurrence::Per(_), None) => Some(f64::from(rule.max.unwrap_or(u16::MAX))),
    }
}

/// An upper bound of the decayed number of a rule's matches. Two days' matches may lie a moment apart, and a day may
/// have 23 hours: one match more, and a period of half an hour or an hour less.
fn at_most(rule: &Rule, half_life_ms: Option<i64>) -> f64 {
    match period_ms(rule) {
        Some(period) => {
            let shortest = if period <= HOUR_MS { HOUR_MS / 2.0 } else { period - HOUR_MS };
            let held = rule.max.map_or(f64::INFINITY, f64::from);
            // A little more than floating point may have lost.
            (1.0 + steady(decay(shortest, half_life_ms), None) * (1.0 + 1e-9)).min(held)
        }
        None => plausible(rule, half_life_ms).unwrap_or(f64::INFINITY),
    }
}

/// Bounds of a score, thousandths: nothing that a lead does takes it beyond them.
pub(super) fn bounds(model: &Model, score: ScoreIx) -> (i64, i64) {
    let of = &model.scores[score.ix()];
    let (mut low, mut high) = (0.0, 0.0);
    for group in model.groups.iter().filter(|group| group.score == score) {
        let (mut least, mut most) = (0.0, 0.0);
        for (rule, milli) in &group.terms {
            let points = *milli as f64 * at_most(&model.rules[rule.ix()], of.half_life_ms);
            if *milli < 0 {
                least += points
            } else if *milli > 0 {
                most += points
            }
        }
        let clamp = |value: f64| {
            value
                .max(group.min_milli.map_or(f64::NEG_INFINITY, |min| min as f64))
                .min(group.max_milli.map_or(f64::INFINITY, |max| max as f64))
        };
        low += clamp(least);
        high += clamp(most);
    }
    for (least, most) in beside_rules(model, score) {
        low += least as f64;
        high += most as f64;
    }
    // No rounding of a group goes beyond its exact sum at the matches' own instant.
    let low = low.max(of.min_milli as f64).min(of.max_milli as f64);
    let high = high.max(of.min_milli as f64).min(of.max_milli as f64);
    (low.floor() as i64, high.ceil() as i64)
}

/// What fits, bonuses and the framework can add to a score: the least and the most of each, thousandths.
pub(super) fn beside_rules(model: &Model, score: ScoreIx) -> Vec<(i64, i64)> {
    let mut parts = Vec::new();
    for fit in model.fits.iter().filter(|fit| fit.score == score) {
        let table: Vec<i64> = match &fit.table {
            FitTable::Map(values) => values.iter().map(|(_, milli)| *milli).collect(),
            FitTable::Bands(bands) => bands.iter().map(|(_, milli)| *milli).collect(),
        };
        let all = table.into_iter().chain([fit.default_milli, fit.missing_milli]);
        let (least, most) =
            all.fold((i64::MAX, i64::MIN), |(low, high), milli| (low.min(milli), high.max(milli)));
        parts.push((least, most));
    }
    for bonus in model.bonuses.iter().filter(|bonus| bonus.score == score) {
        parts.push((bonus.milli.min(0), bonus.milli.max(0)));
    }
    if model.framework.as_ref().is_some_and(|framework| framework.score == score) {
        parts.push((0, 100_000));
    }
    parts
}

/// Thousandths as points: `53`, `42.4`.
pub(super) fn points_text(milli: f64) -> String {
    if milli.is_infinite() {
        return "no bound".to_owned();
    }
    let tenths = (milli / 100.0).round() / 10.0;
    format!("{tenths}")
}
