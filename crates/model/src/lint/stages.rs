//! Findings about stages: whether they can be entered, whether they flap, where a fall from them lands.

use super::logic::Can;
use super::reach::{self, points_text};
use super::{Level, Linter};
use crate::compiled::{ScoreIx, Stage};
use crate::duration::duration_text;
use crate::expression::{Comparison, LeadAtom, LeadPredicate, LeadTest};

/// A threshold on a sum of scores.
#[derive(Debug, Clone, Copy)]
struct Threshold<'m> {
    terms: &'m [(ScoreIx, i64)],
    milli: f64,
    text: &'m str,
}

impl Linter<'_> {
    pub(super) fn stages(&mut self) {
        for ix in 1..self.model.stages.len() {
            self.entering(ix);
            self.flapping(ix);
        }
        self.falls();
    }

    fn entering(&mut self, ix: usize) {
        let model = self.model;
        let stage = &model.stages[ix];
        let Some(enter) = &stage.enter else { return };
        let enter_at = self.places.part("stages", &stage.id, "enter");
        match self.logic.can_hold(&[(enter, true)]) {
            // Feedback sends leads there whatever `enter` says: that may be all that is wanted.
            Can::No(_) if self.is_recycled_to(ix) => return,
            Can::No(why) => {
                let message = format!("the stage `{}` can never be entered: {why}", stage.id);
                return self.add(Level::Error, "never_entered", enter_at, message);
            }
            Can::Undecided(why) => {
                let message =
                    format!("whether the stage `{}` can be entered is not decided: {why}", stage.id);
                self.add(Level::Info, "not_decided", enter_at, message);
            }
            Can::Yes(_) => {}
        }
        let Some(exit) = &stage.exit else { return };
        let exit_at = self.places.part("stages", &stage.id, "exit");
        match self.logic.can_hold(&[(enter, true), (exit, true)]) {
            Can::Yes(when) => self.suggest(
                Level::Error,
                "exit_while_enter",
                exit_at,
                format!("`exit` of the stage `{}` can hold while its `enter` holds: {when}", stage.id),
                "while `enter` holds, `exit` is not read: take from one what the other allows",
            ),
            Can::Undecided(why) => {
                let message = format!(
                    "whether `exit` of the stage `{}` can hold while its `enter` holds is not decided: {why}",
                    stage.id
                );
                self.add(Level::Info, "not_decided", exit_at, message);
            }
            Can::No(_) => {}
        }
    }

    fn is_recycled_to(&self, ix: usize) -> bool {
        let mut targets = self.model.feedback.iter().filter_map(|feedback| feedback.recycle);
        targets.any(|(stage, _)| stage.ix() == ix)
    }

    fn flapping(&mut self, ix: usize) {
        let model = self.model;
        let stage = &model.stages[ix];
        let (Some(enter), Some(exit)) = (&stage.enter, &stage.exit) else { return };
        let at = self.places.part("stages", &stage.id, "exit");
        let exits = thresholds(exit, &[Comparison::Less, Comparison::LessOrEqual]);
        for up in thresholds(enter, &[Comparison::GreaterOrEqual, Comparison::Greater]) {
            for down in exits.iter().filter(|down| down.terms == up.terms && down.milli <= up.milli) {
                let step = self.largest_step(up.terms);
                let dwell = self.dwell_ms(&up, down);
                let guaranteed = match dwell {
                    Some(ms) => format!("; without activity it holds for {} (H·log2(enter/exit))", hours(ms)),
                    None => String::new(),
                };
                let gap = up.milli - down.milli;
                let message = format!(
                    "the stage `{}` is entered at `{}` and left at `{}`, {} apart{guaranteed}",
                    stage.id,
                    up.text,
                    down.text,
                    points_text(gap)
                );
                if stage.min_dwell_ms == 0 && gap < step {
                    let message = format!("{message}; a single step is up to {}", points_text(step));
                    let way_out =
                        "one activity may carry a lead in and out: set `min_dwell`, or part the thresholds";
                    self.suggest(Level::Warning, "flapping", at, message, way_out);
                } else if dwell.is_some() {
                    self.add(Level::Info, "dwell", at, message);
                }
            }
        }
    }

    /// The most that one match, or one bonus, moves a sum, thousandths.
    fn largest_step(&self, terms: &[(ScoreIx, i64)]) -> f64 {
        let weighted = |points: &[(ScoreIx, i64)]| -> f64 {
            let of = |(score, milli): &(ScoreIx, i64)| {
                let weight = terms.iter().find(|(read, _)| read == score).map_or(0, |(_, weight)| *weight);
                *milli as f64 * weight as f64 / 1e6
            };
            points.iter().map(of).sum::<f64>().abs()
        };
        let rules = self.model.rules.iter().map(|rule| weighted(&rule.points));
        let bonuses = self.model.bonuses.iter().map(|bonus| weighted(&[(bonus.score, bonus.milli)]));
        rules.chain(bonuses).fold(0.0, f64::max)
    }

    /// How long a sum takes from one threshold to the other while nothing happens, at least: only where all of it fades,
    /// what is below zero no slower than the rest, and nothing else feeds it.
    fn dwell_ms(&self, up: &Threshold<'_>, down: &Threshold<'_>) -> Option<f64> {
        let mut shortest = f64::INFINITY;
        for (score, weight) in up.terms {
            let fed_beside = !reach::beside_rules(self.model, *score).is_empty();
            if weight.is_negative() || fed_beside || self.caps_penalties(*score) {
                return None;
            }
            // Beside another score it would take its own time, and its range may hold it.
            if up.terms.len() > 1 && reach::bounds(self.model, *score).0 < 0 {
                return None;
            }
            shortest = shortest.min(self.model.scores[score.ix()].half_life_ms? as f64);
        }
        (down.milli > 0.0).then(|| shortest * (up.milli / down.milli).log2())
    }

    /// Whether penalties of a score may stand at a cap: while what it cuts off fades, they do not.
    fn caps_penalties(&self, score: ScoreIx) -> bool {
        let mut groups = self.model.groups.iter().filter(|group| group.score == score);
        groups.any(|group| {
            let has_penalty = group.terms.iter().any(|(_, milli)| *milli < 0);
            group.max_milli.is_some_and(|max| max < 0)
                || (has_penalty && group.min_milli.is_some_and(|min| min < 0))
        })
    }

    /// Stages in which a fall may end and that no audience reads.
    fn falls(&mut self) {
        let model = self.model;
        if model.audiences.is_empty() {
            return;
        }
        let read: Vec<bool> = (0..model.stages.len()).map(|ix| self.is_read_by_audience(ix)).collect();
        let mut landings: Vec<(usize, Vec<&str>)> = Vec::new();
        for (ix, stage) in model.stages.iter().enumerate().skip(1) {
            if stage.exit.is_none() || stage.overrides {
                continue;
            }
            for below in (0..ix).rev().filter(|below| !model.stages[*below].overrides) {
                if !read[below] {
                    match landings.iter_mut().find(|(landing, _)| *landing == below) {
                        Some((_, from)) => from.push(&stage.id),
                        None => landings.push((below, vec![&stage.id])),
                    }
                }
                if self.is_held_by(stage, below) {
                    break;
                }
            }
        }
        for (landing, from) in landings {
            let id = &model.stages[landing].id;
            let at = self.places.part("stages", id, "id");
            let message =
                format!("a fall from `{}` may land in `{id}`, which no audience reads", from.join("`, `"));
            let way_out =
                "nobody speaks to those leads: name the stage in an audience, or set one below to catch them";
            self.suggest(Level::Warning, "unread_landing", at, message, way_out);
        }
    }

    fn is_read_by_audience(&self, stage: usize) -> bool {
        let names = |atom: &&LeadAtom| matches!(&atom.test, LeadTest::Stage(of) if of[stage]);
        self.model.audiences.iter().any(|audience| audience.when.atoms().iter().any(names))
    }

    /// Whether a lead in `stage` surely has the lower stage latched, so that no fall goes past it.
    fn is_held_by(&self, stage: &Stage, below: usize) -> bool {
        let lower = &self.model.stages[below];
        match (&lower.enter, &stage.enter) {
            (Some(lower_enter), Some(enter)) if lower.exit.is_none() => {
                matches!(self.logic.can_hold(&[(enter, true), (lower_enter, false)]), Can::No(_))
            }
            _ => false,
        }
    }
}

fn thresholds<'m>(predicate: &'m LeadPredicate, comparisons: &[Comparison]) -> Vec<Threshold<'m>> {
    let atoms = predicate.atoms().into_iter();
    let of = |atom: &'m LeadAtom| match &atom.test {
        LeadTest::Score { terms, comparison, threshold_nano } if comparisons.contains(comparison) => {
            Some(Threshold { terms, milli: *threshold_nano as f64 / 1e6, text: &atom.text })
        }
        _ => None,
    };
    atoms.filter_map(of).collect()
}

/// A time for people: to the hour from a day on, to the minute below.
pub(super) fn hours(ms: f64) -> String {
    let unit = if ms >= 86_400_000.0 { 3_600_000.0 } else { 60_000.0 };
    duration_text(((ms / unit).floor() * unit) as i64)
}
