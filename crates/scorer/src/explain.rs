//! Decisions and what they rest on, in words of the model (S15, S16).

use ripen_model::canonical_text;
use ripen_model::compiled::FactIx;
use ripen_model::expression::{LeadAtom, LeadPredicate, LeadTest, Measure};
use ripen_records::{
    Atom, Cause, Change, DecidingInput, Decision, DecisiveActivity, Explanation, Line, LineKind, Score,
    StageChange, Touches,
};
use uuid::Uuid;

use crate::evidence::{self, Decay};
use crate::lead::{BY_VISIT, Lead, TraitValue};
use crate::moment::Moment;
use crate::outlook::View;
use crate::plan::{KeyUse, Plan};
use crate::scores;
use crate::stages::{self, Evaluation};

/// The namespace of decision ids: UUIDv5 of `decisions.ripen` in the DNS namespace of RFC 9562, fixed for ever.
const DECISIONS: Uuid = Uuid::from_u128(0x434e_042e_ed5b_5631_bf9b_9c40_1beb_4f77);

/// Decisive activities of a decision.
const DECISIVE: usize = 5;

/// The circumstances of a decision.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Circumstances<'a> {
    pub(crate) cause: Cause,
    pub(crate) decided_at_ms: i64,
    pub(crate) historical: bool,
    /// The activity that decided; `None` at a deadline.
    pub(crate) moment: Option<&'a Moment<'a>>,
}

/// The decision on a change of stage; `view.lead` has its new stage and `seq`.
pub(crate) fn stage_change(view: &View<'_>, evaluation: &Evaluation, of: Circumstances<'_>) -> Decision {
    let View { plan, lead, at_ms, .. } = *view;
    let model = &plan.model;
    let (from, to) = (&model.stages[usize::from(evaluation.from)], &model.stages[usize::from(evaluation.to)]);
    let passed = evaluation.set.iter().filter(|stage| **stage < evaluation.to);
    let input = of.moment.map(|moment| DecidingInput {
        topic: moment.activity.input.topic.to_string(),
        partition: moment.activity.input.partition,
        offset: moment.activity.input.offset,
    });
    Decision {
        id: decision_id(&model.id, &lead.id, lead.born_ms, lead.seq).to_string(),
        lead: lead.id.to_string(),
        born_ms: lead.born_ms,
        seq: u64::from(lead.seq),
        effective_at_ms: at_ms,
        decided_at_ms: of.decided_at_ms,
        historical: of.historical,
        cause: of.cause,
        change: Change::StageChange(StageChange {
            from: from.id.clone(),
            to: to.id.clone(),
            from_owner: from.owner.clone(),
            to_owner: to.owner.clone(),
            passed: passed.map(|stage| model.stages[usize::from(*stage)].id.clone()).collect(),
        }),
        model_id: model.id.clone(),
        model_version: model.version,
        model_hash: model.hash.clone(),
        stage: to.id.clone(),
        owner: to.owner.clone(),
        next_step: None,
        scores: scores_of(plan, &view.now.milli),
        expected_exit_at_ms: stages::expected_exit_ms(plan, lead, at_ms),
        expected_value_micros: None,
        value_micros: 0,
        attributes: Vec::new(),
        touches: Touches::default(),
        input,
        explanation: Explanation {
            lines: lines(view),
            decisive: decisive(plan, lead, evaluation),
            atoms: atoms(view, evaluation),
            facts: facts_in_force(view),
            verdicts: Vec::new(),
        },
    }
}

/// UUIDv5 of (model id, lead id, born, seq), zero bytes between them.
fn decision_id(model_id: &str, lead_id: &str, born_ms: i64, seq: u32) -> Uuid {
    Uuid::new_v5(&DECISIONS, format!("{model_id}\0{lead_id}\0{born_ms}\0{seq}").as_bytes())
}

pub(crate) fn scores_of(plan: &Plan, milli: &[i64]) -> Vec<Score> {
    let scores = plan.model.scores.iter().zip(milli);
    scores
        .map(|(score, &milli)| {
            let label = score.labels.iter().rev().find(|(from_milli, _)| *from_milli <= milli);
            Score { name: score.name.clone(), milli, label: label.map(|(_, label)| label.clone()) }
        })
        .collect()
}

/// Lines that add up to each score: the i-th rule of a group brings the rounded sum up to it less the rounded sum
/// before it; caps, fits and the range are lines of their own. Lines of 0 are left out.
pub(crate) fn lines(view: &View<'_>) -> Vec<Line> {
    let View { plan, lead, at_ms, now } = *view;
    let mut lines = Vec::new();
    for (ix, score) in plan.model.scores.iter().enumerate() {
        let mut total = 0;
        let mut line = |kind: LineKind, id: &str, milli: i64| {
            total += milli;
            if milli != 0 {
                lines.push(Line { score: score.name.clone(), kind, id: id.to_owned(), milli });
            }
        };
        let decay = Decay::at(at_ms, score.half_life_ms);
        for &group_ix in &plan.score_groups[ix] {
            let group = &plan.model.groups[group_ix];
            let (mut sum, mut before) = (0, 0);
            for (slot, term) in scores::live_terms(plan, lead, group_ix, decay) {
                sum += term;
                let rounded = evidence::round(decay.scaled(sum));
                line(
                    LineKind::Rule,
                    &plan.model.rules[usize::from(plan.slot_rules[usize::from(slot)])].id,
                    rounded - before,
                );
                before = rounded;
            }
            let name = group.name.as_deref().unwrap_or(&score.name);
            line(LineKind::Cap, name, scores::capped(plan, group_ix, before) - before);
        }
        for &fit in &plan.score_fits[ix] {
            line(LineKind::Fit, &plan.model.fits[fit].id, scores::fit_milli(plan, lead, fit));
        }
        let range = now.milli[ix] - total;
        if range != 0 {
            lines.push(Line {
                score: score.name.clone(),
                kind: LineKind::Range,
                id: score.name.clone(),
                milli: range,
            });
        }
    }
    lines
}

/// The predicates that changed a latch: (stage, `enter` or `exit`).
fn changed(evaluation: &Evaluation) -> impl Iterator<Item = (u16, bool)> {
    evaluation
        .set
        .iter()
        .map(|stage| (*stage, true))
        .chain(evaluation.cleared.iter().map(|stage| (*stage, false)))
}

fn atoms(view: &View<'_>, evaluation: &Evaluation) -> Vec<Atom> {
    let mut atoms: Vec<Atom> = Vec::new();
    for (stage, entering) in changed(evaluation) {
        let stage = &view.plan.model.stages[usize::from(stage)];
        let predicate = if entering { &stage.enter } else { &stage.exit };
        for atom in predicate.as_ref().map(LeadPredicate::atoms).unwrap_or_default() {
            if atoms.iter().all(|known| known.text != atom.text) {
                atoms.push(Atom {
                    text: atom.text.clone(),
                    value: value_of(view, atom),
                    truth: view.atom_holds(atom),
                });
            }
        }
    }
    atoms
}

/// What an atom read, in words; `None` for an absent trait.
fn value_of(view: &View<'_>, atom: &LeadAtom) -> Option<String> {
    match &atom.test {
        LeadTest::Score { terms, .. } => {
            let micros = view.weighted_nano(terms).div_euclid(1_000);
            Some(canonical_text(micros as i64).to_string())
        }
        LeadTest::Fact(_) | LeadTest::Known => Some(view.atom_holds(atom).to_string()),
        LeadTest::Trait(ix, _) | LeadTest::Traits(ix, ..) => view.lead.stored_trait(ix.0).map(trait_text),
        LeadTest::KnownFor { .. } => {
            let since_ms = view.lead.known_since_ms?;
            Some(format!("{}s", (view.at_ms - since_ms) / 1_000))
        }
        LeadTest::Window { measure, rule, window_ms, .. } => {
            let measured = view.measured(*measure, *rule, *window_ms);
            Some(match measure {
                Measure::Sum => canonical_text(measured).to_string(),
                Measure::Count | Measure::Days => measured.to_string(),
            })
        }
    }
}

fn trait_text(value: &TraitValue) -> String {
    match value {
        TraitValue::Boolean(truth) => truth.to_string(),
        TraitValue::Number(micros) => canonical_text(*micros).to_string(),
        TraitValue::Text(text) => text.to_string(),
        TraitValue::List(list) => {
            let elements: Vec<String> = list.0.iter().map(trait_text).collect();
            elements.join(", ")
        }
    }
}

pub(crate) fn facts_in_force(view: &View<'_>) -> Vec<String> {
    let facts = view.plan.model.facts.iter().enumerate();
    let in_force = facts.filter(|(ix, _)| view.fact(FactIx(*ix as u16)).truth);
    in_force.map(|(_, fact)| fact.name.clone()).collect()
}

/// The newest counted activities of rules that feed a changed predicate.
fn decisive(plan: &Plan, lead: &Lead, evaluation: &Evaluation) -> Vec<DecisiveActivity> {
    let feeds = |rule: u16| changed(evaluation).any(|(stage, entering)| plan.feeds(stage, entering, rule));
    let held = lead.keys.iter().map(|key| (key.t_ms, key.id, key.rule));
    let remembered = lead.remembered.iter().flat_map(|remembered| {
        let rules = lead.sets.get(remembered.set).iter().map(|rule| rule & !BY_VISIT);
        let unkeyed = rules.filter(|rule| plan.key_use_of(*rule) == KeyUse::None);
        unkeyed.map(|rule| (remembered.t_ms, remembered.id, rule))
    });
    let mut newest: Vec<(i64, u64, u16)> =
        held.chain(remembered).filter(|(_, _, rule)| feeds(*rule)).collect();
    newest.sort_unstable_by(|a, b| b.cmp(a));
    newest.truncate(DECISIVE);
    newest
        .into_iter()
        .map(|(t_ms, id, rule)| DecisiveActivity {
            rule: plan.model.rules[usize::from(rule)].id.clone(),
            t_ms,
            event_id_hash: format!("{id:016x}"),
            about: lead.notes.get(id).map(str::to_owned),
        })
        .collect()
}

/// Why a deadline changed a stage: facts that held a millisecond before and do not hold now, else decay.
pub(crate) fn cause_of_deadline(view: &View<'_>) -> Cause {
    let before = View { at_ms: view.at_ms - 1, ..*view };
    let ended = |ix: usize| {
        let fact = FactIx(ix as u16);
        before.fact(fact).truth && !view.fact(fact).truth
    };
    if (0..view.plan.model.facts.len()).any(ended) { Cause::FactExpired } else { Cause::Decay }
}
