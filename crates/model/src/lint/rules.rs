//! Findings about rules, facts and fields.

use super::reach::{self, points_text};
use super::stages::hours;
use super::{Level, Linter};
use crate::compiled::{Group, KeyPart, Model, Recurrence, Rule, RuleIx, RuleOrigin, ScoreIx};
use crate::duration::duration_text;
use crate::expression::{
    Comparison, EventAtom, EventField, EventPredicate, Expression, LeadAtom, LeadPredicate, LeadTest,
    Measure, Test,
};

/// Repetitions of a habit that are tried before it is called endless.
const REPETITIONS: u32 = 10_000;

impl Linter<'_> {
    pub(super) fn rules(&mut self) {
        let model = self.model;
        let read = self.facts_read();
        for (ix, rule) in model.rules.iter().enumerate().filter(|(_, rule)| rule.origin == RuleOrigin::Rule) {
            let ix = RuleIx(ix as u16);
            self.effect(ix, rule, &read);
            self.double_click(ix, rule);
            self.fading(ix, rule);
            self.habit(ix, rule);
        }
        for (ix, fact) in model.facts.iter().enumerate().filter(|(_, fact)| !fact.is_verdict) {
            if !read[ix] {
                let at = self.fact_at(ix);
                let message = format!("the fact `{}` is set, and nothing reads it", fact.name);
                self.add(Level::Warning, "unread_fact", at, message);
            }
        }
        self.groups();
        self.fields();
        self.mixed_signs();
    }

    fn facts_read(&self) -> Vec<bool> {
        let mut read: Vec<bool> = self.model.facts.iter().map(|fact| fact.is_verdict).collect();
        for used in self.lead_uses() {
            for atom in used.predicate.atoms() {
                if let LeadTest::Fact(fact) = &atom.test {
                    read[fact.ix()] = true;
                }
            }
        }
        read
    }

    /// The first rule that sets a fact.
    fn fact_at(&self, fact: usize) -> usize {
        let sets = |rule: &&Rule| rule.set.iter().any(|(set, _)| set.ix() == fact);
        let Some(rule) = self.model.rules.iter().find(sets) else { return self.places.section("rules") };
        match rule.origin {
            RuleOrigin::Feedback(ix) => {
                self.places.part("feedback", &self.model.feedback[ix.ix()].event, "set")
            }
            _ => self.places.part("rules", &rule.id, "set"),
        }
    }

    fn effect(&mut self, ix: RuleIx, rule: &Rule, read: &[bool]) {
        let moves = |fact: usize| read[fact];
        let facts = rule.set.iter().map(|(fact, _)| fact.ix()).chain(rule.unset.iter().map(|fact| fact.ix()));
        if rule.points.is_empty() && !rule.windowed && !facts.into_iter().any(moves) {
            let message =
                format!("nothing reads the rule `{}`: it gives no points, no window counts it", rule.id);
            self.add(Level::Warning, "unread_rule", self.rule_at(ix, "id"), message);
        }
    }

    fn double_click(&mut self, ix: RuleIx, rule: &Rule) {
        if matches!(rule.recurrence, Recurrence::Every) && !rule.points.is_empty() {
            let message =
                format!("every match of the rule `{}` counts: a double click counts twice", rule.id);
            let way_out = "say `once: true`, or what makes two matches the same with `once_per`";
            self.suggest(Level::Warning, "double_click", self.rule_at(ix, "points"), message, way_out);
        }
    }

    fn fading(&mut self, ix: RuleIx, rule: &Rule) {
        for (score, milli) in rule.points.iter().filter(|(_, milli)| *milli < 0) {
            let score = &self.model.scores[score.ix()];
            let Some(half_life_ms) = score.half_life_ms else { continue };
            let message = format!(
                "the penalty of the rule `{}` fades: half of its {} points of `{}` come back within {}",
                rule.id,
                points_text(*milli as f64),
                score.name,
                duration_text(half_life_ms)
            );
            let way_out = "prefer a fact with an expiry: `set: {bad: 30d}` and `!fact.bad` where it matters";
            self.suggest(Level::Warning, "fading_penalty", self.rule_at(ix, "points"), message, way_out);
        }
    }

    /// Stages that one rule reaches alone by recurring, though not at its first match.
    fn habit(&mut self, ix: RuleIx, rule: &Rule) {
        let model = self.model;
        let (Some(period_ms), false) = (reach::period_ms(rule), rule.points.is_empty()) else { return };
        let mut reached = Vec::new();
        for stage in &model.stages {
            let Some(enter) = &stage.enter else { continue };
            let habit = |times: Option<u32>| Habit { model, ix, rule, period_ms, times };
            if habit(Some(1)).holds(enter) || !habit(None).holds(enter) {
                continue;
            }
            let times = first(|times| habit(Some(times)).holds(enter));
            reached.push(match times {
                Some(times) => format!("`{}` after {times}", stage.id),
                None => format!("`{}` in the end", stage.id),
            });
        }
        if reached.is_empty() {
            return;
        }
        let sums: Vec<String> = rule
            .points
            .iter()
            .map(|(score, milli)| {
                let score = &model.scores[score.ix()];
                let steady = reach::steady(reach::decay(period_ms, score.half_life_ms), rule.max);
                let (points, sum) = (points_text(*milli as f64), points_text(*milli as f64 * steady));
                format!("{points} points of `{}` add up to {sum}", score.name)
            })
            .collect();
        let message = format!(
            "the rule `{}` alone reaches {} by habit: once per {}, {} (p / (1 − 2^(−Δ/H)))",
            rule.id,
            reached.join(", "),
            reach::period_word(rule),
            sums.join(", ")
        );
        let way_out = "cap it in a group, or let the stage ask for something else, too";
        self.suggest(Level::Warning, "habit", self.rule_at(ix, "points"), message, way_out);
    }

    /// How long a full group stays full.
    fn groups(&mut self) {
        let model = self.model;
        for group in &model.groups {
            let (Some(name), Some(max_milli)) = (&group.name, group.max_milli) else { continue };
            let score = &model.scores[group.score.ix()];
            let raw = plausible_sum(model, group);
            let at = self.places.part("groups", name, "max");
            let full = match (raw, score.half_life_ms) {
                (Some(raw), _) if raw <= max_milli as f64 || max_milli <= 0 => continue,
                (_, None) => "for ever: its score never fades".to_owned(),
                (None, Some(_)) => {
                    "as long as there were matches: one of its rules counts every one".to_owned()
                }
                (Some(raw), Some(half_life_ms)) => {
                    let ms = half_life_ms as f64 * (raw / max_milli as f64).log2();
                    format!("for {} (H·log2(raw/cap), raw {})", hours(ms), points_text(raw))
                }
            };
            let message = format!(
                "after its plausible maximum the group `{name}` stays at its cap of {} {full}",
                points_text(max_milli as f64)
            );
            self.add(Level::Info, "cap_banking", at, message);
        }
    }

    fn fields(&mut self) {
        let model = self.model;
        for used in self.event_uses() {
            let mut fields: Vec<EventField> = Vec::new();
            for atom in used.predicate.atoms() {
                match atom {
                    EventAtom::Field(field, _) => fields.push(*field),
                    EventAtom::Fields(left, _, right) => fields.extend([*left, *right]),
                    EventAtom::PageKind(_) => {}
                }
            }
            self.visit(&used.what, used.at, fields);
            let mut doubtful = Vec::new();
            unequal_fields(used.predicate, false, &mut doubtful);
            let guarded = |field: &EventField| {
                used.predicate
                    .atoms()
                    .iter()
                    .any(|atom| matches!(atom, EventAtom::Field(present, Test::Present) if present == field))
            };
            doubtful.retain(|(field, _)| *field != EventField::Event && !guarded(field));
            for (field, negated) in doubtful {
                self.unequal(&used.what, used.at, &model.field_name(field), negated);
            }
        }
        for (ix, rule) in model.rules.iter().enumerate().filter(|(_, rule)| rule.origin == RuleOrigin::Rule) {
            if let Recurrence::Per(parts) = &rule.recurrence {
                let fields = parts.iter().filter_map(|part| match part {
                    KeyPart::Field(field) => Some(*field),
                    _ => None,
                });
                let at = self.rule_at(RuleIx(ix as u16), "once_per");
                self.visit(&format!("rule `{}`", rule.id), at, fields.collect());
            }
        }
        for used in self.lead_uses() {
            let mut doubtful = Vec::new();
            unequal_traits(used.predicate, false, &mut doubtful);
            for (name, negated) in doubtful {
                let name = &model.traits[name].name;
                let name = if name.starts_with("answers.") { name.clone() } else { format!("traits.{name}") };
                self.unequal(&used.what, used.at, &name, negated);
            }
        }
    }

    fn visit(&mut self, what: &str, at: usize, mut fields: Vec<EventField>) {
        fields.retain(|field| field.is_of_visit());
        if let Some(field) = fields.first() {
            let name = self.model.field_name(*field);
            let message = format!("{what} reads `{name}`: what it counts depends on the order of arrival");
            self.add(Level::Info, "reads_visit", at, message);
        }
    }

    fn unequal(&mut self, what: &str, at: usize, name: &str, negated: bool) {
        let (message, way_out) = if negated {
            (
                format!("{what}: the negation holds where `{name}` is absent, too"),
                format!("say `has({name}) && …` if it has to be there"),
            )
        } else {
            (
                format!("{what}: `!=` does not hold where `{name}` is absent"),
                format!("say `!({name} == …)` if an absent one is meant, too, or `has({name}) && …` if not"),
            )
        };
        self.suggest(Level::Warning, "unequal_optional", at, message, &way_out);
    }

    /// Sums that may rise while nothing happens.
    fn mixed_signs(&mut self) {
        let model = self.model;
        for used in self.lead_uses() {
            let mut told: Vec<&[(ScoreIx, i64)]> = Vec::new();
            for atom in used.predicate.atoms() {
                let LeadTest::Score { terms, .. } = &atom.test else { continue };
                if told.contains(&&terms[..]) || !has_mixed_signs(model, terms) {
                    continue;
                }
                told.push(terms);
                let message = format!(
                    "{}: what `{}` reads fades with both signs, so it may rise while nothing happens",
                    used.what, atom.text
                );
                self.add(Level::Warning, "mixed_signs", used.at, message);
            }
        }
    }
}

/// The plausible maximum of a group, thousandths; `None` if one of its rules counts every match.
fn plausible_sum(model: &Model, group: &Group) -> Option<f64> {
    let half_life_ms = model.scores[group.score.ix()].half_life_ms;
    let positive = group.terms.iter().filter(|(_, milli)| *milli > 0);
    positive
        .map(|(rule, milli)| Some(*milli as f64 * reach::plausible(&model.rules[rule.ix()], half_life_ms)?))
        .sum()
}

fn has_mixed_signs(model: &Model, terms: &[(ScoreIx, i64)]) -> bool {
    let (mut positive, mut negative) = (false, false);
    for (score, weight) in terms.iter().filter(|(score, _)| model.scores[score.ix()].half_life_ms.is_some()) {
        for group in model.groups.iter().filter(|group| group.score == *score) {
            for (_, milli) in &group.terms {
                let weighted = milli * weight;
                positive |= weighted > 0;
                negative |= weighted < 0;
            }
        }
    }
    positive && negative
}

/// One rule that matches again and again, and nothing else.
struct Habit<'m> {
    model: &'m Model,
    ix: RuleIx,
    rule: &'m Rule,
    period_ms: f64,
    /// How often; `None`: for ever.
    times: Option<u32>,
}

impl Habit<'_> {
    fn holds(&self, predicate: &LeadPredicate) -> bool {
        predicate.holds(&mut |atom| self.atom(atom))
    }

    fn atom(&self, atom: &LeadAtom) -> bool {
        match &atom.test {
            LeadTest::Score { terms, comparison, threshold_nano } => {
                let sum: f64 = terms.iter().map(|(score, weight)| self.milli(*score) * *weight as f64).sum();
                comparison.holds(sum.total_cmp(&(*threshold_nano as f64)))
            }
            LeadTest::Fact(fact) => self.rule.set.iter().any(|(set, _)| set == fact),
            LeadTest::Window { measure, rule, window_ms, comparison, threshold } => {
                let within = (*window_ms as f64 / self.period_ms).ceil();
                let times = self.times.map_or(within, |times| within.min(f64::from(times)));
                let held = times.min(self.model.keys_held(self.rule) as f64) as i64;
                match measure {
                    Measure::Sum => false,
                    _ if *rule != self.ix => comparison.holds(0.cmp(threshold)),
                    _ => comparison.holds(held.cmp(threshold)),
                }
            }
            LeadTest::AnyDefinition => self.model.definitions.iter().any(|of| self.holds(&of.when)),
            LeadTest::Known | LeadTest::KnownFor { .. } => true,
            LeadTest::Trait(..)
            | LeadTest::Traits(..)
            | LeadTest::Disqualified
            | LeadTest::Stage(_)
            | LeadTest::StageFor { .. } => false,
        }
    }

    /// The score, thousandths: this rule's points under its group's cap, and fits of absent traits.
    fn milli(&self, score: ScoreIx) -> f64 {
        let of = &self.model.scores[score.ix()];
        let q = reach::decay(self.period_ms, of.half_life_ms);
        let count = match self.times {
            Some(times) => reach::repeated(times, q, self.rule.max),
            None => reach::steady(q, self.rule.max),
        };
        let mut sum = 0.0;
        for group in self.model.groups.iter().filter(|group| group.score == score) {
            for (_, milli) in group.terms.iter().filter(|(rule, _)| *rule == self.ix) {
                let points = *milli as f64 * count;
                sum += group.max_milli.map_or(points, |max| points.min(max as f64));
            }
        }
        for fit in self.model.fits.iter().filter(|fit| fit.score == score) {
            sum += fit.missing_milli as f64;
        }
        sum.max(of.min_milli as f64).min(of.max_milli as f64)
    }
}

/// The first number of repetitions for which it holds.
fn first(holds: impl Fn(u32) -> bool) -> Option<u32> {
    (1..=REPETITIONS).find(|times| holds(*times))
}

/// Fields that are tested to be unequal, and whether by a negation around an equality.
fn unequal_fields(predicate: &EventPredicate, negated: bool, found: &mut Vec<(EventField, bool)>) {
    match predicate {
        Expression::Constant(_) => {}
        Expression::Not(inner) => unequal_fields(inner, !negated, found),
        Expression::All(parts) | Expression::Any(parts) => {
            parts.iter().for_each(|part| unequal_fields(part, negated, found));
        }
        Expression::Atom(EventAtom::Field(field, test)) => {
            if is_unequal(test, negated) {
                found.push((*field, negated));
            }
        }
        Expression::Atom(EventAtom::Fields(left, comparison, _)) => {
            let unequal = if negated { Comparison::Equal } else { Comparison::NotEqual };
            if *comparison == unequal {
                found.push((*left, negated));
            }
        }
        Expression::Atom(EventAtom::PageKind(_)) => {
            if negated {
                found.push((EventField::PageKind, true));
            }
        }
    }
}

/// The same for stored traits.
fn unequal_traits(predicate: &LeadPredicate, negated: bool, found: &mut Vec<(usize, bool)>) {
    let atoms = predicate.atoms();
    let guarded = |ix: usize| {
        atoms.iter().any(|atom| matches!(&atom.test, LeadTest::Trait(read, Test::Present) if read.ix() == ix))
    };
    match predicate {
        Expression::Constant(_) => {}
        Expression::Not(inner) => unequal_traits(inner, !negated, found),
        Expression::All(parts) | Expression::Any(parts) => {
            parts.iter().for_each(|part| unequal_traits(part, negated, found));
            found.retain(|(ix, _)| !guarded(*ix));
        }
        Expression::Atom(atom) => match &atom.test {
            LeadTest::Trait(ix, test) if is_unequal(test, negated) => found.push((ix.ix(), negated)),
            LeadTest::Traits(left, Comparison::NotEqual, _) if !negated => found.push((left.ix(), false)),
            LeadTest::Traits(left, Comparison::Equal, _) if negated => found.push((left.ix(), true)),
            _ => {}
        },
    }
}

fn is_unequal(test: &Test, negated: bool) -> bool {
    match test {
        Test::Compare(Comparison::NotEqual, _) => !negated,
        Test::Compare(Comparison::Equal, _) | Test::In(_) => negated,
        _ => false,
    }
}
