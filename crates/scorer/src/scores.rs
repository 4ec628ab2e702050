//! Scores at an instant: evidence times points, caps, bonuses, fits, the framework and ranges, in thousandths
//! (S5–S7).

use std::cell::OnceCell;

use ripen_model::compiled::{Criterion, FitTable, Framework, ScoreIx};
use ripen_model::expression::{FieldValue, List};
use ripen_model::plain_decimal_micros;

use crate::evidence::{self, Decay, OCTAVES, Octave, UNCUT};
use crate::lead::{Lead, TraitList, TraitValue};
use crate::outlook::View;
use crate::plan::Plan;

const POSITIVE: u8 = 1;
const NEGATIVE: u8 = 2;

/// Room to read scores in, kept between activities so that reading allocates nothing.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    /// Thousandths, by score.
    pub(crate) milli: Vec<i64>,
    /// By score: the signs of its live points, [`POSITIVE`] and [`NEGATIVE`].
    signs: Vec<u8>,
    /// By score: its bonuses, thousandths; empty if the model has none.
    bonuses: Vec<i64>,
    decays: Vec<Decay>,
    sums: Vec<i128>,
    /// When the lead leaves its stage as things stand at this instant, once somebody has asked.
    pub(crate) exit_ms: OnceCell<Option<i64>>,
}

impl Reading {
    /// Reads every score of a lead at an instant.
    pub(crate) fn read(&mut self, plan: &Plan, lead: &Lead, at_ms: i64) {
        let model = &plan.model;
        self.exit_ms = OnceCell::new();
        self.decays.clear();
        for (score, same) in model.scores.iter().zip(&plan.same_decay) {
            // Scores often share a half-life; the power is the dear part.
            let known = self.decays.get(*same).copied();
            self.decays.push(known.unwrap_or_else(|| Decay::at(at_ms, score.half_life_ms)));
        }
        self.sums.clear();
        self.sums.resize(model.groups.len(), 0);
        self.signs.clear();
        self.signs.resize(model.scores.len(), 0);
        let mut largest = 0;
        for octave in &lead.evidence {
            let slot = &plan.slots[usize::from(octave.slot)];
            let left = self.decays[usize::from(slot.score)].left(octave);
            largest = left.max(largest);
            self.sums[usize::from(slot.group)] += i128::from(slot.points_milli) * i128::from(left);
            self.signs[usize::from(slot.score)] |= if slot.points_milli < 0 { NEGATIVE } else { POSITIVE };
        }
        if largest >= UNCUT {
            self.sum_cut(plan, lead);
        }
        self.milli.clear();
        self.milli.extend((0..model.scores.len()).map(|score| fits_milli(plan, lead, score)));
        for (ix, (group, sum)) in model.groups.iter().zip(&self.sums).enumerate() {
            let score = group.score.ix();
            self.milli[score] += capped(plan, ix, evidence::round(self.decays[score].scaled(*sum)));
        }
        self.add_bonuses(plan, lead, at_ms);
        for (milli, score) in self.milli.iter_mut().zip(&model.scores) {
            *milli = (*milli).clamp(score.min_milli, score.max_milli);
        }
    }

    /// The weighted sums where a slot may hold more than counts: each is cut by itself.
    #[cold]
    fn sum_cut(&mut self, plan: &Plan, lead: &Lead) {
        self.sums.fill(0);
        for octaves in lead.evidence.chunk_by(|a, b| a.slot == b.slot) {
            let slot = &plan.slots[usize::from(octaves[0].slot)];
            let live = self.decays[usize::from(slot.score)].live(octaves);
            self.sums[usize::from(slot.group)] += i128::from(slot.points_milli) * i128::from(live);
        }
    }

    /// Bonuses read scores that have none: their conditions see those in range, and nothing of the others.
    fn add_bonuses(&mut self, plan: &Plan, lead: &Lead, at_ms: i64) {
        let model = &plan.model;
        self.bonuses.clear();
        if model.bonuses.is_empty() {
            return;
        }
        let mut bonuses = std::mem::take(&mut self.bonuses);
        bonuses.resize(model.scores.len(), 0);
        let unclamped = self.milli.clone();
        for (milli, score) in self.milli.iter_mut().zip(&model.scores) {
            *milli = (*milli).clamp(score.min_milli, score.max_milli);
        }
        let view = View { plan, lead, at_ms, now: self };
        for bonus in model.bonuses.iter().filter(|bonus| view.holds(&bonus.when)) {
            bonuses[bonus.score.ix()] += bonus.milli;
        }
        for ((milli, unclamped), bonus) in self.milli.iter_mut().zip(unclamped).zip(&bonuses) {
            *milli = unclamped + bonus;
        }
        self.bonuses = bonuses;
    }
}

impl Reading {
    /// The lowest and highest value that a score can take anywhere from this instant up to that of a later reading;
    /// `None` where the two ends do not tell.
    pub(crate) fn range_to(&self, later: &Reading, score: ScoreIx) -> Option<(i64, i64)> {
        let (now, then) = (self.milli[score.ix()], later.milli[score.ix()]);
        self.moves_one_way(score).then(|| (now.min(then), now.max(then)))
    }

    /// The bonuses of a score at this instant, thousandths.
    pub(crate) fn bonus_milli(&self, score: ScoreIx) -> i64 {
        self.bonuses.get(score.ix()).copied().unwrap_or(0)
    }

    /// Whether the score moves in one direction by itself: its points have one sign.
    pub(crate) fn moves_one_way(&self, score: ScoreIx) -> bool {
        self.signs[score.ix()] != POSITIVE | NEGATIVE
    }
}

/// What one score is made of, taken out of a lead to be read at many instants.
#[derive(Debug)]
pub(crate) struct Curve<'a> {
    plan: &'a Plan,
    score: ScoreIx,
    /// Octaves of one slot, its points, and the place of its group in `sums`.
    slots: Vec<(&'a [Octave], i128, usize)>,
    /// Fits, framework and bonuses.
    constant_milli: i64,
    /// By group, in the octave that was read last.
    sums: Vec<i128>,
    octave: Option<i64>,
    /// Room for the groups that move.
    moving: Vec<f64>,
}

/// Steps of [`Curve::meets_ms`]: each one is exact until a cap lets go or an octave ends.
const MEETING_STEPS: u32 = 6;

impl<'a> Curve<'a> {
    pub(crate) fn new(plan: &'a Plan, lead: &'a Lead, score: ScoreIx, bonus_milli: i64) -> Curve<'a> {
        let groups = &plan.score_groups[score.ix()];
        let mut slots = Vec::new();
        for octaves in lead.evidence.chunk_by(|a, b| a.slot == b.slot) {
            let slot = &plan.slots[usize::from(octaves[0].slot)];
            let group = groups.iter().position(|group| *group == usize::from(slot.group));
            slots.extend(group.map(|group| (octaves, i128::from(slot.points_milli), group)));
        }
        Curve {
            plan,
            score,
            slots,
            constant_milli: fits_milli(plan, lead, score.ix()) + bonus_milli,
            sums: vec![0; groups.len()],
            octave: None,
            moving: Vec::with_capacity(groups.len()),
        }
    }

    /// The score at an instant, thousandths.
    pub(crate) fn milli_at(&mut self, at_ms: i64) -> i64 {
        let definition = &self.plan.model.scores[self.score.ix()];
        let decay = self.enter(at_ms);
        let groups = self.plan.score_groups[self.score.ix()].iter().zip(&self.sums);
        let grouped: i64 =
            groups.map(|(&group, &sum)| capped(self.plan, group, evidence::round(decay.scaled(sum)))).sum();
        (grouped + self.constant_milli).clamp(definition.min_milli, definition.max_milli)
    }

    /// About when the score has come down to a value, or has risen beyond it, by itself: a place to begin a search at,
    /// never its answer, since floats take part.
    pub(crate) fn meets_ms(&mut self, from_ms: i64, milli: i64) -> Option<i64> {
        let half_life_ms = self.plan.model.scores[self.score.ix()].half_life_ms? as f64;
        let mut at_ms = from_ms;
        for _ in 0..MEETING_STEPS {
            let decay = self.enter(at_ms);
            self.moving.clear();
            let (mut still_milli, mut let_go) = (self.constant_milli, f64::INFINITY);
            for (&group, &sum) in self.plan.score_groups[self.score.ix()].iter().zip(&self.sums) {
                let scaled = decay.scaled(sum);
                let points = scaled as f64 / SCALE;
                match evidence::round(scaled) {
                    _ if scaled == 0 => {}
                    all if capped(self.plan, group, all) == all => self.moving.push(points),
                    all => {
                        let cap = capped(self.plan, group, all);
                        still_milli += cap;
                        let_go = let_go.min((points / cap as f64).log2());
                    }
                }
            }
            let octaves = octaves_until(&self.moving, (milli - still_milli) as f64);
            // What caps hold up moves once the first of them lets go.
            let octaves = octaves.or_else(|| let_go.is_finite().then_some(let_go))?;
            let step_ms = (octaves * half_life_ms) as i64;
            at_ms = at_ms.saturating_add(step_ms);
            if step_ms.abs() <= 1 {
                break;
            }
        }
        Some(at_ms)
    }

    /// Brings the sums to an instant.
    fn enter(&mut self, at_ms: i64) -> Decay {
        let decay = Decay::at(at_ms, self.plan.model.scores[self.score.ix()].half_life_ms);
        if self.octave != Some(decay.octave()) {
            self.sums.fill(0);
            for &(octaves, points_milli, group) in &self.slots {
                self.sums[group] += points_milli * i128::from(decay.live(octaves));
            }
            self.octave = Some(decay.octave());
        }
        decay
    }
}

/// Octaves until groups with so many points, each rounded by itself, come down to `milli` in all, or rise beyond it.
fn octaves_until(points: &[f64], milli: f64) -> Option<f64> {
    let whole: f64 = points.iter().sum();
    let left = if points.len() == 1 || whole < 0.0 {
        (milli + 0.5) / whole
    } else {
        // From where the sum is certain to be larger, whatever rounds up or down, from edge to edge.
        let mut left = (milli + 0.5 + points.len() as f64 / 2.0) / whole;
        for _ in 0..=points.len() {
            let rounded = |points: &f64| (points * left + 0.5).ceil() - 1.0;
            if points.iter().map(rounded).sum::<f64>() <= milli {
                break;
            }
            let edge = points.iter().map(|points| (rounded(points) - 0.5) / points);
            left = edge.fold(f64::NEG_INFINITY, f64::max);
        }
        left
    };
    let octaves = -left.log2();
    octaves.is_finite().then_some(octaves)
}

/// A thousandth in scaled evidence.
const SCALE: f64 = 18_446_744_073_709_551_616.0;

/// A group's points after its caps.
pub(crate) fn capped(plan: &Plan, group: usize, milli: i64) -> i64 {
    let group = &plan.model.groups[group];
    milli.min(group.max_milli.unwrap_or(i64::MAX)).max(group.min_milli.unwrap_or(i64::MIN))
}

/// The live evidence of each slot of a group with its points, at an instant.
pub(crate) fn live_terms(
    plan: &Plan,
    lead: &Lead,
    group: usize,
    decay: Decay,
) -> impl Iterator<Item = (u16, i128)> {
    let of_group = move |octaves: &&[evidence::Octave]| {
        usize::from(plan.slots[usize::from(octaves[0].slot)].group) == group
    };
    lead.evidence.chunk_by(|a, b| a.slot == b.slot).filter(of_group).map(move |octaves| {
        let slot = octaves[0].slot;
        (slot, i128::from(plan.slots[usize::from(slot)].points_milli) * i128::from(decay.live(octaves)))
    })
}

/// The points of all fits of a score, and of the framework if it feeds this score: what only activities move.
fn fits_milli(plan: &Plan, lead: &Lead, score: usize) -> i64 {
    let fits: i64 = plan.score_fits[score].iter().map(|&fit| fit_milli(plan, lead, fit)).sum();
    let framework = plan.model.framework.as_ref().filter(|framework| framework.score.ix() == score);
    fits + framework.map_or(0, |framework| framework_milli(lead, framework))
}

/// `100 · Σ weight of criteria answered positively / Σ weights`, in thousandths, halves up (S7).
pub(crate) fn framework_milli(lead: &Lead, framework: &Framework) -> i64 {
    let weight = |criterion: &Criterion| i128::from(criterion.weight_milli);
    let all: i128 = framework.criteria.iter().map(weight).sum();
    let positive: i128 = framework.criteria.iter().filter(|c| is_positive(lead, c)).map(weight).sum();
    if all == 0 {
        return 0;
    }
    ((200_000 * positive + all) / (2 * all)) as i64
}

/// Whether the newest answer to a criterion is a good one.
pub(crate) fn is_positive(lead: &Lead, criterion: &Criterion) -> bool {
    let answer = lead.stored_trait(criterion.answer.0).map(TraitValue::as_field);
    criterion.positive.iter().any(|test| test.holds(answer))
}

/// The points of one fit for the trait's current value.
pub(crate) fn fit_milli(plan: &Plan, lead: &Lead, fit: usize) -> i64 {
    let fit_ix = fit;
    let fit = &plan.model.fits[fit];
    let Some(value) = lead.stored_trait(fit.source.0).map(TraitValue::as_field) else {
        return fit.missing_milli;
    };
    match &fit.table {
        FitTable::Map(_) => {
            let tests = plan.fit_tests[fit_ix].iter();
            let named = tests.clone().find(|(test, _)| test.holds(Some(value)));
            named.map_or(fit.default_milli, |(_, milli)| *milli)
        }
        FitTable::Bands(bands) => {
            let micros = match value {
                FieldValue::Number(micros) => Some(micros),
                FieldValue::Text(text) => plain_decimal_micros(text),
                FieldValue::Boolean(_) | FieldValue::List(_) => None,
            };
            let Some(micros) = micros else { return fit.missing_milli };
            bands.iter().find(|(bound, _)| *bound <= micros).map_or(fit.default_milli, |(_, milli)| *milli)
        }
    }
}

/// The lowest and highest value that a score can take anywhere in `[from_ms, to_ms]`, if nothing happens: exact for
/// each group, and so for a score whose groups move in one direction; else the sum of what each group can be.
pub(crate) fn range(
    plan: &Plan,
    lead: &Lead,
    score: ScoreIx,
    bonus_milli: i64,
    from_ms: i64,
    to_ms: i64,
) -> (i64, i64) {
    let definition = &plan.model.scores[score.ix()];
    let constant = fits_milli(plan, lead, score.ix()) + bonus_milli;
    let (mut low, mut high) = (constant, constant);
    for &group in &plan.score_groups[score.ix()] {
        let (group_low, group_high) = group_range(plan, lead, group, definition.half_life_ms, from_ms, to_ms);
        low += capped(plan, group, group_low);
        high += capped(plan, group, group_high);
    }
    (
        low.clamp(definition.min_milli, definition.max_milli),
        high.clamp(definition.min_milli, definition.max_milli),
    )
}

/// The range of a group's rounded points before caps.
///
/// Points of one sign only fall towards zero. With both signs the sum still moves in one direction within an
/// octave, where the evidence stands still and only `m` falls; the few bits that evidence loses at the edge of an
/// octave may turn it, so every octave is looked at.
fn group_range(
    plan: &Plan,
    lead: &Lead,
    group: usize,
    half_life_ms: Option<i64>,
    from_ms: i64,
    to_ms: i64,
) -> (i64, i64) {
    let milli_at = |at_ms: i64| {
        let decay = Decay::at(at_ms, half_life_ms);
        let (mut sum, mut signs) = (0, [false; 2]);
        for (_, term) in live_terms(plan, lead, group, decay) {
            sum += term;
            signs[usize::from(term < 0)] |= term != 0;
        }
        (evidence::round(decay.scaled(sum)), signs == [true, true])
    };
    let (from, mixed) = milli_at(from_ms);
    let (to, _) = milli_at(to_ms);
    let (mut low, mut high) = (from.min(to), from.max(to));
    let Some(half_life_ms) = half_life_ms.filter(|_| mixed) else { return (low, high) };
    let first = from_ms.div_euclid(half_life_ms);
    // Nothing is left after so many octaves: the end has been looked at.
    let edges = (first + 1..=first + OCTAVES).map(|octave| octave.saturating_mul(half_life_ms));
    for edge_ms in edges.take_while(|edge_ms| *edge_ms <= to_ms) {
        for at_ms in [edge_ms - 1, edge_ms] {
            let (milli, _) = milli_at(at_ms);
            (low, high) = (low.min(milli), high.max(milli));
        }
    }
    (low, high)
}

/// The instant from which on a score does not change by itself any more.
pub(crate) fn settled_ms(plan: &Plan, lead: &Lead, score: ScoreIx) -> i64 {
    let of_score = lead.evidence.iter().filter(|o| plan.slots[usize::from(o.slot)].score == score.0);
    let gone_ms = |o: &evidence::Octave| {
        let half_life_ms = plan.slots[usize::from(o.slot)].half_life_ms?;
        Some(o.k.saturating_add(OCTAVES).saturating_mul(half_life_ms))
    };
    of_score.filter_map(gone_ms).max().unwrap_or(i64::MIN)
}

impl TraitValue {
    pub(crate) fn as_field(&self) -> FieldValue<'_> {
        match self {
            TraitValue::Boolean(truth) => FieldValue::Boolean(*truth),
            TraitValue::Number(micros) => FieldValue::Number(*micros),
            TraitValue::Text(text) => FieldValue::Text(text),
            TraitValue::List(list) => FieldValue::List(list),
        }
    }
}

impl List for TraitList {
    fn any(&self, test: &mut dyn FnMut(FieldValue<'_>) -> bool) -> bool {
        self.0.iter().any(|value| test(value.as_field()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_reading_is_what_the_curve_says_however_much_evidence_there_is() {
        let text = "apiVersion: ripen/v1\nmodel: {id: m, version: 1}\n\
             scores: {a: {half_life: 1d}, b: {half_life: 2d}, c: {half_life: 1d}}\n\
             rules:\n  - {id: r, event: r, points: {a: 0.001, b: -0.001, c: 0.002}}\n  \
             - {id: s, event: s, points: {a: -0.001, c: 0.001}}\n\
             stages: [{id: x, owner: o}]\n";
        let model = ripen_model::compile("m.yaml", text).unwrap_or_else(|errors| panic!("{errors}"));
        let plan = Plan::new(Arc::new(model));
        let mut reading = Reading::default();
        let weights = [1, evidence::UNIT, UNCUT - 1, UNCUT, UNCUT + 1, UNCUT * 31, UNCUT * 32 + 1, u64::MAX];
        for (n, weight) in weights.into_iter().enumerate() {
            let octave = |slot, k, weight| Octave { slot, k, weight };
            let evidence = (0..5).flat_map(|slot| {
                let many =
                    (0..40).map(move |k| octave(slot, k, if slot % 2 == 0 { weight } else { weight / 3 }));
                many.skip(usize::from(slot) + n)
            });
            let lead = Lead { evidence: evidence.collect(), ..Lead::default() };
            for at_ms in [40 * 86_400_000, 41 * 86_400_000 + 12_345, 80 * 86_400_000 + 1] {
                reading.read(&plan, &lead, at_ms);
                for score in 0..3 {
                    let curve = Curve::new(&plan, &lead, ScoreIx(score), 0).milli_at(at_ms);
                    assert_eq!(
                        reading.milli[usize::from(score)],
                        curve,
                        "{weight} at {at_ms}, score {score}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_search_begins_where_the_score_meets_the_value() {
        let text = "apiVersion: ripen/v1\nmodel: {id: m, version: 1}\n\
             scores: {a: {half_life: 7d}}\n\
             groups: {some: {score: a, max: 30}, other: {score: a, max: 1000}}\n\
             rules:\n  - {id: r, event: r, points: {a: 7}, group: some}\n  \
             - {id: s, event: s, points: {a: 3}, group: other}\n  - {id: u, event: u, points: {a: 1.5}}\n\
             stages: [{id: x, owner: o}]\n";
        let model = ripen_model::compile("m.yaml", text).unwrap_or_else(|errors| panic!("{errors}"));
        let plan = Plan::new(Arc::new(model));
        let octave = |slot, k, matches: u64| Octave {
            slot,
            k,
            weight: matches * evidence::UNIT + matches * 1_234_567,
        };
        let from_ms = 10 * 7 * 86_400_000 + 98_765;
        // Evidence by slot; the first group is held at its cap in the second and third row.
        for evidence in [
            vec![octave(0, 10, 4)],
            vec![octave(0, 10, 9)],
            vec![octave(0, 9, 20), octave(1, 10, 3), octave(2, 8, 11)],
            vec![octave(0, 10, 3), octave(1, 9, 5), octave(1, 10, 2), octave(2, 10, 1)],
        ] {
            let lead = Lead { evidence, ..Lead::default() };
            let mut curve = Curve::new(&plan, &lead, ScoreIx(0), 0);
            let most = curve.milli_at(from_ms);
            for milli in [most - 1, 19_999, 12_345, 1_000, 3] {
                let at_ms = curve.meets_ms(from_ms, milli).expect("it falls below every value");
                let (before, after) = (curve.milli_at(at_ms - 2), curve.milli_at(at_ms + 2));
                assert!(
                    before > milli && after <= milli,
                    "{milli} at {at_ms}: {before}, {after} in {lead:?}"
                );
            }
        }
    }
}
