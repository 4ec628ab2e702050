//! A lead at an instant: scores, facts, conditions, from the whole history each time.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;
use std::sync::Arc;

use num_bigint::BigInt;
use ripen_model::Model;
use ripen_model::compiled::{Amount, FitTable, Reason, VerdictHolds};
use ripen_model::expression::{Comparison, Expression, LeadPredicate, LeadTest, Measure};
use ripen_records::LineKind;

use super::calendar::day;
use super::history::{Counted, FactMarks, History};
use super::power;
use super::values::{self, Known};

/// Octaves after which a match weighs nothing.
const OCTAVES: i64 = 32;

/// Half of what the sums of a group are divided by.
const HALF: i128 = 1 << 63;

/// What counts of a history, worked out once for all the instants at which it is read.
pub(crate) struct Evidence {
    pub(crate) model: Arc<Model>,
    pub(crate) history: History,
    /// By rule: what windows see.
    pub(crate) held: Vec<Vec<Counted>>,
    /// By group and term: what counts.
    terms: Vec<Vec<Term>>,
    facts: Vec<FactMarks>,
    traits: Vec<Option<Known>>,
    cooldowns: Vec<(usize, i64, i64)>,
    holds: Vec<(usize, i64, i64)>,
    /// By group: how far its sum may be from a real number that fades, in thousandths of 2^-64.
    slack: Vec<i128>,
    /// The tests of scores, each once, and all others that time alone may change.
    score_tests: Vec<LeadTest>,
    pub(crate) timed_tests: Vec<LeadTest>,
    /// What the groups were found to be at an instant.
    sums: RefCell<HashMap<i64, Rc<Vec<Vec<i128>>>>>,
}

/// What counts of one rule in one score.
struct Term {
    counted: Vec<Counted>,
    half_life_ms: Option<i64>,
    /// Its sum by octave, in units of 2^-32.
    octaves: BTreeMap<i64, i128>,
}

/// The stage and the instant of its entry, where conditions may read it.
pub(crate) type Place = Option<(usize, i64)>;

/// One line of an explanation: score, kind, id, thousandths.
pub(crate) type Line = (String, LineKind, String, i64);

impl Evidence {
    pub(crate) fn new(model: &Arc<Model>, history: History) -> Evidence {
        let held = (0..model.rules.len()).map(|rule| history.held(model, rule)).collect();
        let terms = model.groups.iter().map(|group| {
            let score = group.score.ix();
            let half_life_ms = model.scores[score].half_life_ms;
            let term = |rule: usize| Term::new(history.counted(model, rule, score), half_life_ms);
            group.terms.iter().map(|(rule, _)| term(rule.ix())).collect()
        });
        let terms: Vec<Vec<Term>> = terms.collect();
        let slack = model.groups.iter().zip(&terms).map(|(group, terms)| {
            let own = group.terms.iter().zip(terms).filter(|(_, term)| term.half_life_ms.is_some());
            own.map(|((_, points), term)| i128::from(points.abs()) * ((term.counted.len() as i128) << 34))
                .sum()
        });
        let slack = slack.collect();
        let (score_tests, timed_tests) = tests(model);
        Evidence {
            held,
            terms,
            slack,
            score_tests,
            timed_tests,
            facts: (0..model.facts.len()).map(|fact| history.fact(model, fact)).collect(),
            traits: (0..model.traits.len()).map(|ix| history.stored_trait(ix)).collect(),
            cooldowns: history.cooldowns(model),
            holds: history.holds(model),
            sums: RefCell::default(),
            model: Arc::clone(model),
            history,
        }
    }

    /// By group and term: points times evidence at an instant, in thousandths of 2^-64 (S5).
    fn sums(&self, at_ms: i64) -> Rc<Vec<Vec<i128>>> {
        if let Some(known) = self.sums.borrow().get(&at_ms) {
            return Rc::clone(known);
        }
        let groups = self.model.groups.iter().zip(&self.terms).map(|(group, terms)| {
            let terms = group.terms.iter().zip(terms);
            terms.map(|((_, points), term)| i128::from(*points) * term.evidence(at_ms)).collect()
        });
        let sums = Rc::new(groups.collect());
        self.sums.borrow_mut().insert(at_ms, Rc::clone(&sums));
        sums
    }

    /// Instants after `after_ms` at which anything but a score may change by itself.
    pub(crate) fn ends_after(&self, after_ms: i64) -> Vec<i64> {
        let mut ends: Vec<i64> = Vec::new();
        for marks in &self.facts {
            ends.extend(marks.sets.iter().filter_map(|(t_ms, ttl_ms)| Some(t_ms + (*ttl_ms)?)));
        }
        for test in &self.timed_tests {
            match test {
                LeadTest::Window { rule, window_ms, .. } => {
                    ends.extend(self.held[rule.ix()].iter().map(|found| found.t_ms + window_ms));
                }
                LeadTest::KnownFor { age_ms } => {
                    ends.extend(self.history.known_since_ms.map(|since_ms| since_ms + age_ms));
                }
                _ => {}
            }
        }
        ends.extend(self.cooldowns.iter().chain(&self.holds).map(|(_, _, until_ms)| until_ms));
        ends.retain(|end_ms| *end_ms > after_ms);
        ends
    }

    /// Whether a stage cools down.
    pub(crate) fn cools(&self, stage: usize, at_ms: i64) -> bool {
        within(&self.cooldowns, stage, at_ms)
    }

    /// Whether a recycled stage's exit is not read.
    pub(crate) fn is_held(&self, stage: usize, at_ms: i64) -> bool {
        within(&self.holds, stage, at_ms)
    }
}

fn within(times: &[(usize, i64, i64)], stage: usize, at_ms: i64) -> bool {
    times.iter().any(|(of, from_ms, until_ms)| *of == stage && *from_ms <= at_ms && at_ms < *until_ms)
}

/// The tests of every condition: those of scores, and those of windows and ages, each once.
fn tests(model: &Model) -> (Vec<LeadTest>, Vec<LeadTest>) {
    let stages = model.stages.iter().flat_map(|stage| stage.enter.iter().chain(&stage.exit));
    let verdicts = model.verdicts.iter().filter_map(|verdict| match &verdict.holds {
        VerdictHolds::While(when) => Some(when),
        VerdictHolds::Fact(_) => None,
    });
    let conditions = stages
        .chain(model.bonuses.iter().map(|bonus| &bonus.when))
        .chain(model.definitions.iter().map(|definition| &definition.when))
        .chain(verdicts)
        .chain(model.audiences.iter().map(|audience| &audience.when))
        .chain(model.alerts.iter().filter_map(|alert| alert.when.as_ref()));
    let mut texts = BTreeSet::new();
    let (mut of_scores, mut timed) = (Vec::new(), Vec::new());
    for atom in conditions.flat_map(Expression::atoms).filter(|atom| texts.insert(&atom.text)) {
        match &atom.test {
            LeadTest::Score { .. } => of_scores.push(atom.test.clone()),
            LeadTest::Window { .. } | LeadTest::KnownFor { .. } | LeadTest::StageFor { .. } => {
                timed.push(atom.test.clone());
            }
            _ => {}
        }
    }
    (of_scores, timed)
}

impl Term {
    fn new(counted: Vec<Counted>, half_life_ms: Option<i64>) -> Term {
        let mut octaves: BTreeMap<i64, i128> = BTreeMap::new();
        for (found, half_life_ms) in counted.iter().filter_map(|found| Some((found, half_life_ms?))) {
            let rest = found.t_ms.rem_euclid(half_life_ms);
            *octaves.entry(found.t_ms.div_euclid(half_life_ms)).or_default() +=
                power::grown(rest, half_life_ms);
        }
        Term { counted, half_life_ms, octaves }
    }

    /// Evidence at an instant, in units of 2^-64.
    fn evidence(&self, at_ms: i64) -> i128 {
        let Some(half_life_ms) = self.half_life_ms else { return (self.counted.len() as i128) << 64 };
        let octave = at_ms.div_euclid(half_life_ms);
        let young = self.octaves.iter().filter(|(own, _)| octave - **own < OCTAVES);
        let evidence: i128 = young.map(|(own, sum)| sum >> (octave - own)).sum();
        if evidence == 0 { 0 } else { evidence * power::faded(at_ms.rem_euclid(half_life_ms), half_life_ms) }
    }
}

/// S5's one rounding.
fn rounded(sum: i128) -> i64 {
    ((sum + HALF) >> 64) as i64
}

/// A lead at an instant.
#[derive(Clone, Copy)]
pub(crate) struct Reading<'a> {
    pub(crate) evidence: &'a Evidence,
    pub(crate) at_ms: i64,
    pub(crate) place: Place,
}

impl<'a> Reading<'a> {
    fn model(&self) -> &'a Model {
        &self.evidence.model
    }

    /// S16: lines that add up to the scores.
    pub(crate) fn lines(&self) -> Vec<Line> {
        let model = self.model();
        let lines = (0..model.scores.len()).flat_map(|score| self.lines_of(score));
        let mut lines: Vec<Line> = lines.filter(|line| line.3 != 0).collect();
        lines.sort_by_key(|line| (line.0.clone(), line.1.as_str(), line.2.clone()));
        lines
    }

    fn lines_of(&self, score: usize) -> Vec<Line> {
        let model = self.model();
        let name = &model.scores[score].name;
        let mut lines: Vec<Line> = Vec::new();
        let mut line = |kind, id: &str, milli| lines.push((name.clone(), kind, id.to_owned(), milli));
        let sums = self.evidence.sums(self.at_ms);
        for (group, sums) in model.groups.iter().zip(&*sums).filter(|(group, _)| group.score.ix() == score) {
            let mut prefix = 0;
            for ((rule, _), sum) in group.terms.iter().zip(sums) {
                line(LineKind::Rule, &model.rules[rule.ix()].id, rounded(prefix + sum) - rounded(prefix));
                prefix += sum;
            }
            let capped = capped(group, rounded(prefix));
            line(LineKind::Cap, group.name.as_deref().unwrap_or(name), capped - rounded(prefix));
        }
        for (id, milli) in self.fits(score) {
            line(LineKind::Fit, id, milli);
        }
        if let Some(framework) = model.framework.as_ref().filter(|framework| framework.score.ix() == score) {
            line(LineKind::Framework, &framework.name, self.framework());
        }
        for bonus in model.bonuses.iter().filter(|bonus| bonus.score.ix() == score && self.holds(&bonus.when))
        {
            line(LineKind::Bonus, &bonus.id, bonus.milli);
        }
        let sum: i64 = lines.iter().map(|line| line.3).sum();
        let clamped = sum.clamp(model.scores[score].min_milli, model.scores[score].max_milli);
        lines.push((name.clone(), LineKind::Range, name.clone(), clamped - sum));
        assert_eq!(clamped, self.score(score), "lines add up");
        lines
    }

    /// S6: thousandths.
    pub(crate) fn score(&self, score: usize) -> i64 {
        let model = self.model();
        let sums = self.evidence.sums(self.at_ms);
        let groups = model.groups.iter().zip(&*sums).filter(|(group, _)| group.score.ix() == score);
        let milli: i64 = groups.map(|(group, sums)| capped(group, rounded(sums.iter().sum()))).sum();
        let range = &model.scores[score];
        (milli + self.beside_groups(score)).clamp(range.min_milli, range.max_milli)
    }

    /// What fits, framework and bonuses give to a score.
    fn beside_groups(&self, score: usize) -> i64 {
        let model = self.model();
        let fits: i64 = self.fits(score).map(|(_, milli)| milli).sum();
        let framework = model.framework.as_ref().filter(|framework| framework.score.ix() == score);
        let bonuses = model.bonuses.iter().filter(|bonus| bonus.score.ix() == score);
        let bonuses = bonuses.filter(|bonus| self.holds(&bonus.when)).map(|bonus| bonus.milli);
        fits + framework.map_or(0, |_| self.framework()) + bonuses.sum::<i64>()
    }

    /// The least and the most that a score may be in `[self, until]`, if nothing changes but the time.
    fn score_within(&self, score: usize, until_ms: i64) -> (i64, i64) {
        let model = self.model();
        let (now, then) = (self.evidence.sums(self.at_ms), self.evidence.sums(until_ms));
        let (mut least, mut most) = (0, 0);
        for (ix, group) in model.groups.iter().enumerate().filter(|(_, group)| group.score.ix() == score) {
            // Each term only fades: an octave's sum at least halves where the next begins. All terms of a group
            // fade at one speed, so the ends of their sum are its extremes, too, but for what the integers are off.
            let terms = || now[ix].iter().zip(&then[ix]);
            let ends = [now[ix].iter().sum::<i128>(), then[ix].iter().sum::<i128>()];
            let slack = self.evidence.slack[ix];
            let low = terms().map(|(a, b)| a.min(b)).sum::<i128>().max(ends[0].min(ends[1]) - slack);
            let high = terms().map(|(a, b)| a.max(b)).sum::<i128>().min(ends[0].max(ends[1]) + slack);
            least += capped(group, rounded(low));
            most += capped(group, rounded(high));
        }
        let fixed = self.beside_groups(score);
        let range = &model.scores[score];
        let clamp = |milli: i64| (milli + fixed).clamp(range.min_milli, range.max_milli);
        (clamp(least), clamp(most))
    }

    fn fits(&self, score: usize) -> impl Iterator<Item = (&'a str, i64)> {
        let (model, evidence) = (self.model(), self.evidence);
        let fits = model.fits.iter().filter(move |fit| fit.score.ix() == score);
        fits.map(move |fit| {
            let value = evidence.traits[fit.source.ix()].as_ref();
            let milli = match (&fit.table, value) {
                (_, None) => fit.missing_milli,
                (FitTable::Map(table), Some(value)) => {
                    let named = table.iter().find(|(constant, _)| {
                        let equal =
                            ripen_model::expression::Test::Compare(Comparison::Equal, constant.clone());
                        values::holds(&equal, Some(value))
                    });
                    named.map_or(fit.default_milli, |(_, milli)| *milli)
                }
                (FitTable::Bands(bands), Some(value)) => match value.number() {
                    None => fit.missing_milli,
                    Some(micros) => {
                        let band = bands.iter().find(|(bound, _)| *bound <= micros);
                        band.map_or(fit.default_milli, |(_, milli)| *milli)
                    }
                },
            };
            (fit.id.as_str(), milli)
        })
    }

    /// S7, rounded half up.
    fn framework(&self) -> i64 {
        let Some(framework) = &self.model().framework else { return 0 };
        let (mut positive, mut all) = (0, 0);
        for criterion in &framework.criteria {
            let answer = self.evidence.traits[criterion.answer.ix()].as_ref();
            all += criterion.weight_milli;
            if criterion.positive.iter().any(|test| values::holds(test, answer)) {
                positive += criterion.weight_milli;
            }
        }
        (2 * 100_000 * positive + all).div_euclid(2 * all)
    }

    pub(crate) fn fact(&self, fact: usize) -> bool {
        let marks = &self.evidence.facts[fact];
        marks.sets.iter().any(|(t_ms, ttl_ms)| {
            marks.unset_ms.is_none_or(|unset_ms| unset_ms <= *t_ms)
                && ttl_ms.is_none_or(|ttl_ms| self.at_ms < t_ms + ttl_ms)
        })
    }

    /// Facts in force, in the model's order.
    pub(crate) fn facts(&self) -> Vec<String> {
        let facts = self.model().facts.iter().enumerate();
        let true_now = facts.filter(|(ix, fact)| !fact.is_verdict && self.fact(*ix));
        true_now.map(|(_, fact)| fact.name.clone()).collect()
    }

    pub(crate) fn verdict(&self, verdict: usize) -> bool {
        match &self.model().verdicts[verdict].holds {
            VerdictHolds::Fact(fact) => self.fact(fact.ix()),
            VerdictHolds::While(when) => self.holds(when),
        }
    }

    /// Verdicts that hold, each with its reason: the model's, or what its event carried.
    pub(crate) fn verdicts(&self) -> Vec<(String, Option<String>)> {
        let verdicts = self.model().verdicts.iter().enumerate().filter(|(ix, _)| self.verdict(*ix));
        let told = verdicts.map(|(_, verdict)| {
            let reason = match &verdict.reason {
                Reason::Stated(reason) => Some(reason.clone()),
                Reason::Read(_, place) => self.stored_trait(place.ix()).map(Known::words),
            };
            (verdict.id.clone(), reason)
        });
        told.collect()
    }

    /// Of each score the label of the highest bound that it has reached.
    pub(crate) fn labels(&self) -> Vec<Option<String>> {
        let scores = self.model().scores.iter().enumerate();
        let told = scores.map(|(ix, score)| {
            let milli = self.score(ix);
            let reached = score.labels.iter().filter(|(from_milli, _)| *from_milli <= milli);
            reached.max_by_key(|(from_milli, _)| *from_milli).map(|(_, label)| label.clone())
        });
        told.collect()
    }

    pub(crate) fn stored_trait(&self, ix: usize) -> Option<&'a Known> {
        self.evidence.traits[ix].as_ref()
    }

    /// Probability of the stage times the amount, floored to millionths.
    pub(crate) fn expected_value(&self) -> Option<i64> {
        let value = self.model().value.as_ref()?;
        let amount = match value.amount {
            Amount::Stated(micros) => micros,
            Amount::Trait(ix) => self.stored_trait(ix.ix())?.number()?,
            Amount::Field(_) => return None,
        };
        let (stage, _) = self.place?;
        let product = i128::from(amount) * i128::from(value.probability_micros[stage]);
        i64::try_from(product.div_euclid(1_000_000)).ok()
    }

    /// The route: the first case of each attribute that holds; the topic is the first of the highest scores above 0.
    pub(crate) fn attributes(&self) -> Vec<(String, String)> {
        let route = &self.model().route;
        let mut attributes = Vec::new();
        for (name, cases) in &route.attributes {
            if let Some((_, value)) = cases.iter().find(|(when, _)| self.holds(when)) {
                attributes.push((name.clone(), value.clone()));
            }
        }
        let highest =
            route.topic.iter().map(|score| self.score(score.ix())).max().filter(|highest| *highest > 0);
        if let Some(highest) = highest {
            let topic =
                route.topic.iter().find(|score| self.score(score.ix()) == highest).expect("the highest");
            attributes.push(("topic".to_owned(), self.model().scores[topic.ix()].name.clone()));
        }
        attributes
    }

    pub(crate) fn holds(&self, condition: &LeadPredicate) -> bool {
        match condition {
            Expression::Constant(truth) => *truth,
            Expression::Atom(atom) => self.passes(&atom.test),
            Expression::Not(inner) => !self.holds(inner),
            Expression::All(parts) => parts.iter().all(|part| self.holds(part)),
            Expression::Any(parts) => parts.iter().any(|part| self.holds(part)),
        }
    }

    pub(crate) fn passes(&self, test: &LeadTest) -> bool {
        let model = self.model();
        match test {
            LeadTest::Score { terms, comparison, threshold_nano } => {
                let products = terms
                    .iter()
                    .map(|(score, weight)| i128::from(self.score(score.ix())) * i128::from(*weight));
                values::ordered(*comparison, products.sum::<i128>().cmp(threshold_nano))
            }
            LeadTest::Fact(fact) => self.fact(fact.ix()),
            LeadTest::Trait(ix, test) => values::holds(test, self.stored_trait(ix.ix())),
            LeadTest::Traits(left, comparison, right) => values::fields_compare(
                self.stored_trait(left.ix()),
                *comparison,
                self.stored_trait(right.ix()),
            ),
            LeadTest::Known => self.evidence.history.known_since_ms.is_some(),
            LeadTest::KnownFor { age_ms } => {
                self.evidence.history.known_since_ms.is_some_and(|since_ms| self.at_ms - since_ms >= *age_ms)
            }
            LeadTest::AnyDefinition => {
                model.definitions.iter().any(|definition| self.holds(&definition.when))
            }
            LeadTest::Disqualified => (0..model.verdicts.len())
                .any(|verdict| model.verdicts[verdict].cap_stage.is_none() && self.verdict(verdict)),
            LeadTest::Stage(listed) => self.place.is_some_and(|(stage, _)| listed[stage]),
            LeadTest::StageFor { age_ms } => {
                self.place.is_some_and(|(_, since_ms)| self.at_ms - since_ms >= *age_ms)
            }
            LeadTest::Window { measure, rule, window_ms, comparison, threshold } => {
                let inside =
                    |found: &&Counted| self.at_ms - window_ms < found.t_ms && found.t_ms <= self.at_ms;
                let found: Vec<&Counted> = self.evidence.held[rule.ix()].iter().filter(inside).collect();
                let measured = match measure {
                    Measure::Count => found.len() as i64,
                    Measure::Days => {
                        let mut days: Vec<String> =
                            found.iter().map(|found| day(&model.time.zone, found.t_ms)).collect();
                        days.sort();
                        days.dedup();
                        days.len() as i64
                    }
                    Measure::Sum => found.iter().map(|found| found.summed).sum(),
                };
                values::ordered(*comparison, measured.cmp(threshold))
            }
        }
    }

    /// The truth of every test of scores, in order.
    pub(crate) fn score_tests(&self) -> Vec<bool> {
        self.evidence.score_tests.iter().map(|test| self.passes(test)).collect()
    }

    /// Whether every test of scores keeps its truth in `[self, until]`, as far as the ends can tell.
    pub(crate) fn scores_settled(&self, until_ms: i64) -> bool {
        let scores: Vec<(i64, i64)> =
            (0..self.model().scores.len()).map(|score| self.score_within(score, until_ms)).collect();
        self.evidence.score_tests.iter().all(|test| {
            let LeadTest::Score { terms, comparison, threshold_nano } = test else { return true };
            let (mut least, mut most) = (0, 0);
            for (score, weight) in terms {
                let (low, high) = scores[score.ix()];
                let ends = [i128::from(low) * i128::from(*weight), i128::from(high) * i128::from(*weight)];
                least += ends[0].min(ends[1]);
                most += ends[0].max(ends[1]);
            }
            let at = |sum: i128| values::ordered(*comparison, sum.cmp(threshold_nano));
            let crosses = least < *threshold_nano && *threshold_nano < most;
            at(least) == at(most) && !crosses
        })
    }

    /// How far each group is from its real value before rounding and caps, in thousandths of 2^-126, with the
    /// most that the integers allow.
    pub(crate) fn distances(&self) -> Vec<(BigInt, BigInt)> {
        let model = self.model();
        let sums = self.evidence.sums(self.at_ms);
        let groups = model.groups.iter().enumerate().map(|(ix, group)| {
            let half_life_ms = model.scores[group.score.ix()].half_life_ms;
            let (mut real, mut allowed) = (BigInt::default(), BigInt::from(1) << 125);
            for ((_, points), term) in group.terms.iter().zip(&self.evidence.terms[ix]) {
                for found in &term.counted {
                    let weight = match half_life_ms {
                        None => 1 << 126,
                        Some(half_life_ms) => {
                            let passed =
                                self.at_ms.div_euclid(half_life_ms) - found.t_ms.div_euclid(half_life_ms);
                            let weight = power::weight(self.at_ms - found.t_ms, half_life_ms);
                            if passed < OCTAVES { weight } else { 0 }
                        }
                    };
                    real += BigInt::from(*points) * BigInt::from(weight);
                    // Half a unit where it was added, one where its octave was cut, one where it was read.
                    allowed += BigInt::from(points.abs()) * (BigInt::from(3) << (126 - 32));
                }
            }
            let milli = rounded(sums[ix].iter().sum());
            ((BigInt::from(milli) << 126) - real, allowed)
        });
        groups.collect()
    }
}

fn capped(group: &ripen_model::compiled::Group, milli: i64) -> i64 {
    let milli = group.max_milli.map_or(milli, |max| milli.min(max));
    group.min_milli.map_or(milli, |min| milli.max(min))
}
