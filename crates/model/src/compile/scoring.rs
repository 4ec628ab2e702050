//! Scores, groups and fits.

use super::rules::ReadRule;
use super::{Compiler, duration_ms, milli};
use crate::compiled::{Fit, FitTable, Group, RuleIx, Score, ScoreIx};
use crate::findings::did_you_mean;
use crate::language::LARGEST_SCORE;
use crate::number::exact_scaled;
use crate::yaml::Node;

/// Shortest half-life, ms.
const SHORTEST_HALF_LIFE_MS: i64 = 1_000;

impl Compiler<'_, '_> {
    pub(super) fn scores(&mut self) -> Vec<Score> {
        let mut scores = Vec::new();
        for (name, _, value) in self.named("scores") {
            self.names.scores.intern(name);
            let half_life = value.get("half_life");
            let half_life_ms = half_life.and_then(duration_ms);
            if let (Some(node), Some(ms)) = (half_life, half_life_ms)
                && ms < SHORTEST_HALF_LIFE_MS
            {
                self.findings.add(node.at(), "a half-life is at least 1s, or `never`");
            }
            let whole = [-LARGEST_SCORE * 1_000, LARGEST_SCORE * 1_000];
            let range = value.get("range").map_or(&[][..], Node::items);
            let bounds: Vec<i64> = range.iter().filter_map(milli).collect();
            let [min_milli, max_milli] = <[i64; 2]>::try_from(bounds).unwrap_or(whole);
            if min_milli >= max_milli {
                self.findings
                    .add(value.get("range").map_or(0, Node::at), "the range is empty: lower end first");
            }
            let labels = self.labels(value, min_milli, max_milli);
            scores.push(Score { name: name.to_owned(), half_life_ms, min_milli, max_milli, labels });
        }
        scores
    }

    fn labels(&mut self, score: &Node, min_milli: i64, max_milli: i64) -> Vec<(i64, String)> {
        let mut labels: Vec<(i64, String)> = Vec::new();
        for (key, value) in score.get("labels").map_or(&[][..], Node::entries) {
            let (Some(label), Some(bound)) = (key.raw(), milli(value)) else { continue };
            if labels.iter().any(|(known, _)| *known == bound) {
                self.findings.add(value.at(), format!("the label `{label}` starts where another one does"));
            }
            if min_milli < max_milli && (bound > max_milli || bound < min_milli) {
                self.findings
                    .add(value.at(), format!("the label `{label}` starts outside the score's range"));
            }
            labels.push((bound, label.to_owned()));
        }
        labels.sort();
        labels
    }

    pub(super) fn groups(&mut self) -> Vec<Group> {
        let mut groups = Vec::new();
        for (name, key, value) in self.named("groups") {
            let score = value.get("score").and_then(|node| self.score_named(node));
            let (min, max) = (value.get("min"), value.get("max"));
            let (min_milli, max_milli) = (min.and_then(milli), max.and_then(milli));
            if min.is_none() && max.is_none() && !value.entries().is_empty() {
                self.findings
                    .add(key.at(), format!("the group `{name}` caps nothing: it needs `max` or `min`"));
            }
            if let (Some(min_milli), Some(max_milli)) = (min_milli, max_milli)
                && min_milli > max_milli
            {
                self.findings.add(value.at(), format!("the group `{name}` has a `min` above its `max`"));
            }
            self.names.groups.intern(name);
            groups.push(Group {
                name: Some(name.to_owned()),
                score: score.unwrap_or(ScoreIx(u16::MAX)),
                min_milli,
                max_milli,
                terms: Vec::new(),
            });
        }
        groups
    }

    /// The score that a node names. `None` after a finding.
    pub(super) fn score_named(&mut self, node: &Node) -> Option<ScoreIx> {
        let name = node.raw()?;
        let found = self.names.score(name);
        if found.is_none() {
            let way_out = did_you_mean(name, self.names.scores.names());
            self.findings.suggest(node.at(), format!("unknown score `{name}`"), way_out);
        }
        found
    }

    pub(super) fn fits(&mut self) -> Vec<Fit> {
        self.unique_ids("fit", "fit");
        let mut fits = Vec::new();
        for (id, item) in self.listed("fit") {
            let score = item.get("score").and_then(|node| self.score_named(node));
            let source = item.get("trait").and_then(|node| self.trait_named(node));
            if let (Some(node), Some(source)) = (item.get("trait"), source)
                && crate::names::hashed(self.names.stored[source.ix()].kind)
            {
                self.findings
                    .add(node.at(), "e-mail addresses and phone numbers are stored hashed and fit nothing");
            }
            let table = match (item.get("map"), item.get("bands")) {
                (Some(map), None) => self.fit_map(map),
                (None, Some(bands)) => self.fit_bands(bands),
                _ => {
                    self.findings.add(item.at(), "a fit has either `map` or `bands`");
                    continue;
                }
            };
            let points = |key: &str| item.get(key).and_then(milli).unwrap_or(0);
            let (default_milli, missing_milli) = (points("default"), points("missing"));
            let (Some(source), Some(score)) = (source, score) else { continue };
            fits.push(Fit { id: id.to_owned(), source, score, table, default_milli, missing_milli });
        }
        fits
    }

    fn fit_map(&mut self, map: &Node) -> FitTable {
        let mut table = Vec::new();
        for (key, value) in map.entries() {
            let (Some(constant), Some(points)) = (self.scalar_constant(key), milli(value)) else { continue };
            if table.iter().any(|(known, _)| *known == constant) {
                self.findings.add(key.at(), "this value stands twice");
            }
            table.push((constant, points));
        }
        FitTable::Map(table)
    }

    fn fit_bands(&mut self, bands: &Node) -> FitTable {
        let mut table: Vec<(i64, i64)> = Vec::new();
        for band in bands.items() {
            let [bound, points] = band.items() else { continue };
            let bound_micros = bound.number().and_then(|text| exact_scaled(text, 6).ok());
            let (Some(bound_micros), Some(points)) = (bound_micros, milli(points)) else { continue };
            if table.last().is_some_and(|(above, _)| *above <= bound_micros) {
                let message = "the first bound that a value reaches counts: this band is never reached";
                self.findings.suggest(bound.at(), message, Some("put the largest bound first".to_owned()));
            }
            table.push((bound_micros, points));
        }
        FitTable::Bands(table)
    }
}

/// Gives each group its terms and each score with ungrouped rules its nameless group.
pub(super) fn assign_groups(groups: &mut Vec<Group>, rules: &[ReadRule]) {
    let named = groups.len();
    let mut scores: Vec<ScoreIx> =
        rules.iter().flat_map(|read| read.rule.points.iter().map(|(score, _)| *score)).collect();
    scores.sort();
    scores.dedup();
    for score in scores {
        groups.push(Group { name: None, score, min_milli: None, max_milli: None, terms: Vec::new() });
    }
    for (ix, read) in rules.iter().enumerate() {
        let rule_ix = RuleIx(u16::try_from(ix).unwrap_or(u16::MAX));
        for (score, points) in &read.rule.points {
            let own = read.group.filter(|group| groups[group.ix()].score == *score).map(|group| group.ix());
            let nameless = || (named..groups.len()).find(|ix| groups[*ix].score == *score);
            if let Some(group) = own.or_else(nameless) {
                groups[group].terms.push((rule_ix, *points));
            }
        }
    }
    groups.retain(|group| group.name.is_some() || !group.terms.is_empty());
}
