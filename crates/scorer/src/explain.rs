//! Decisions and what they rest on, in words of the model (S15, S16).

use ripen_model::compiled::{Amount, Fact, FactIx, Reason, TraitIx, Verdict, VerdictHolds};
use ripen_model::expression::{LeadAtom, LeadPredicate, LeadTest, Measure};
use ripen_model::{canonical_text, plain_decimal_micros};
use ripen_records::{
    Alert, Atom, Attribute, AudienceChange, Cause, Change, DecidingInput, Decision, DecisiveActivity,
    Explanation, Handover, HandoverTrait, HistoryEntry, Line, LineKind, ResponseStep, Score, StageChange,
    Touch, Touches, VerdictInForce,
};
use uuid::Uuid;

use crate::deadlines;
use crate::evidence::{self, Decay};
use crate::lead::{BY_VISIT, TraitValue};
use crate::moment::Moment;
use crate::outlook::{NEVER_CHANGES, View};
use crate::plan::{Fed, KeyUse, Plan};
use crate::sales::SalesStep;
use crate::scores::{self, Reading};
use crate::stages::{Changed, Evaluation};
use crate::touches;

/// The namespace of decision ids: UUIDv5 of `decisions.ripen` in the DNS namespace of RFC 9562, fixed for ever.
const DECISIONS: Uuid = Uuid::from_u128(0x434e_042e_ed5b_5631_bf9b_9c40_1beb_4f77);

/// Decisive activities of a decision.
const DECISIVE: usize = 5;

/// The circumstances of an evaluation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Circumstances<'a> {
    pub(crate) cause: Cause,
    pub(crate) decided_at_ms: i64,
    pub(crate) historical: bool,
    /// The activity that decided; `None` at a deadline.
    pub(crate) moment: Option<&'a Moment<'a>>,
}

impl Circumstances<'_> {
    /// No activity decided.
    pub(crate) fn without_activity(cause: Cause, decided_at_ms: i64, historical: bool) -> Self {
        Circumstances { cause, decided_at_ms, historical, moment: None }
    }
}

/// The decisions of an evaluation, the first of them numbered `seq`; their number. `view.lead` is as it is afterwards.
///
/// The stage comes first, then what follows from it; at the end of a life the stage comes last.
pub(crate) fn decide(
    view: &View<'_>,
    evaluation: &Evaluation,
    seq: u32,
    of: Circumstances<'_>,
    out: &mut Vec<Decision>,
) -> u32 {
    let before = out.len();
    let ends = matches!(of.cause, Cause::Forgotten | Cause::Erased);
    // A life that was told of is told to be over, in whatever stage it ends.
    let has_moved = evaluation.has_moved() || (ends && seq > 1);
    let seq_of = |out: &Vec<Decision>| seq + (out.len() - before) as u32;
    if has_moved && !ends {
        out.push(stage_decision(view, evaluation, seq_of(out), of));
    }
    for changed in &evaluation.changes {
        out.push(changed_decision(view, changed, has_moved, seq_of(out), of));
    }
    if has_moved && ends {
        out.push(stage_decision(view, evaluation, seq_of(out), of));
    }
    (out.len() - before) as u32
}

fn stage_decision(view: &View<'_>, evaluation: &Evaluation, seq: u32, of: Circumstances<'_>) -> Decision {
    let fed: Vec<Fed> = changed(evaluation).map(|(fed, _)| fed).collect();
    let predicates = changed(evaluation).filter_map(|(fed, stage)| {
        let stage = &view.plan.model.stages[usize::from(stage)];
        if matches!(fed, Fed::Enter(_)) { stage.enter.as_ref() } else { stage.exit.as_ref() }
    });
    let mut decision = decision(view, seq, stage_change(view.plan, evaluation), of);
    decision.explanation.decisive = decisive(view, &fed);
    decision.explanation.atoms = atoms(view, predicates);
    decision
}

fn changed_decision(
    view: &View<'_>,
    changed: &Changed,
    has_moved: bool,
    seq: u32,
    of: Circumstances<'_>,
) -> Decision {
    let model = &view.plan.model;
    let (change, fed, predicate) = match changed {
        Changed::Audience { audience, entered } => {
            let definition = &model.audiences[usize::from(*audience)];
            let change = AudienceChange { audience: definition.name.clone(), entered: *entered };
            (Change::AudienceChange(change), Fed::Audience(*audience), Some(&definition.when))
        }
        Changed::Alert(alert) => {
            let definition = &model.alerts[usize::from(*alert)];
            let change = Alert { alert: definition.id.clone(), to: definition.to.clone() };
            (Change::Alert(change), Fed::Alert(*alert), definition.when.as_ref())
        }
        Changed::Sales(step) => {
            // Without an activity and without another stage it is a timer that ran out.
            let is_timer = of.moment.is_none() && !has_moved && !is_of_the_whole(of.cause);
            let cause = if is_timer { Cause::Timer } else { of.cause };
            return decision(view, seq, sales_step(view, step), Circumstances { cause, ..of });
        }
    };
    let mut decision = decision(view, seq, change, of);
    decision.explanation.decisive = decisive(view, &[fed]);
    decision.explanation.atoms = atoms(view, predicate);
    decision
}

/// Causes that reach every part of a lead.
fn is_of_the_whole(cause: Cause) -> bool {
    matches!(cause, Cause::Merge | Cause::ModelChange | Cause::Forgotten | Cause::Erased)
}

/// A lead leaves an audience that the model does not name any more.
pub(crate) fn left_gone_audience(
    view: &View<'_>,
    audience: String,
    seq: u32,
    of: Circumstances<'_>,
) -> Decision {
    decision(view, seq, Change::AudienceChange(AudienceChange { audience, entered: false }), of)
}

/// The last decision of a lead that another one has absorbed.
pub(crate) fn merged_into(view: &View<'_>, survivor: &str, seq: u32, of: Circumstances<'_>) -> Decision {
    decision(view, seq, Change::MergedInto(survivor.to_owned()), of)
}

/// A decision without decisive activities and atoms.
fn decision(view: &View<'_>, seq: u32, change: Change, of: Circumstances<'_>) -> Decision {
    let View { plan, lead, at_ms, .. } = *view;
    let model = &plan.model;
    let stage = &model.stages[usize::from(lead.stage)];
    let input = of.moment.map(|moment| DecidingInput {
        topic: moment.activity.input.topic.to_string(),
        partition: moment.activity.input.partition,
        offset: moment.activity.input.offset,
    });
    Decision {
        id: decision_id(&model.id, &lead.id, lead.born_ms, seq).to_string(),
        lead: lead.id.to_string(),
        born_ms: lead.born_ms,
        seq: u64::from(seq),
        effective_at_ms: at_ms,
        decided_at_ms: of.decided_at_ms,
        historical: of.historical,
        cause: of.cause,
        change,
        model_id: model.id.clone(),
        model_version: model.version,
        model_hash: model.hash.clone(),
        stage: stage.id.clone(),
        owner: stage.owner.clone(),
        next_step: stage.next_step.clone(),
        scores: scores_of(plan, &view.now.milli),
        expected_exit_at_ms: deadlines::expected_exit_ms(view),
        expected_value_micros: expected_value_micros(view),
        value_micros: lead.value_micros,
        attributes: attributes(view),
        touches: Touches { first: lead.touches.first().map(touch), last: lead.touches.last().map(touch) },
        input,
        explanation: Explanation {
            lines: lines(view),
            facts: facts_in_force(view),
            verdicts: verdicts_in_force(view),
            ..Explanation::default()
        },
    }
}

fn stage_change(plan: &Plan, evaluation: &Evaluation) -> Change {
    let stage = |ix: u16| &plan.model.stages[usize::from(ix)];
    let (from, to) = (stage(evaluation.from), stage(evaluation.to));
    let gone = evaluation.gone.as_ref();
    let passed = evaluation.set.iter().filter(|stage| **stage < evaluation.to);
    Change::StageChange(StageChange {
        from: gone.map_or(&from.id, |(id, _)| id).clone(),
        to: to.id.clone(),
        from_owner: gone.map_or(&from.owner, |(_, owner)| owner).clone(),
        to_owner: to.owner.clone(),
        passed: passed.map(|passed| stage(*passed).id.clone()).collect(),
    })
}

fn sales_step(view: &View<'_>, step: &SalesStep) -> Change {
    let model = &view.plan.model;
    let stage = |ix: u16| model.stages[usize::from(ix)].id.clone();
    match step {
        SalesStep::HandedOver { stage: ix, missing } => {
            let name = |ix: &TraitIx| model.traits[ix.ix()].name.clone();
            let asked =
                model.handover.iter().flat_map(|handover| handover.require.iter().chain(&handover.enrich));
            let present = asked.filter_map(|ix| {
                let value = trait_text(view.lead.stored_trait(ix.0)?);
                Some(HandoverTrait { name: name(ix), value })
            });
            Change::Handover(Handover {
                stage: stage(*ix),
                incomplete: !missing.is_empty(),
                missing: missing.iter().map(name).collect(),
                traits: present.collect(),
                history: history(view),
            })
        }
        SalesStep::Response { stage: ix, state, escalation, due_ms } => Change::Response(ResponseStep {
            stage: stage(*ix),
            state: *state,
            step: *escalation,
            due_at_ms: *due_ms,
        }),
    }
}

fn history(view: &View<'_>) -> Vec<HistoryEntry> {
    let entries = view.lead.history.iter().filter_map(|entry| {
        Some(HistoryEntry {
            t_ms: entry.t_ms,
            event: view.plan.event_text(entry.name)?.to_owned(),
            about: Some(entry.about).filter(|about| !about.is_empty()).map(str::to_owned),
            dwell_ms: entry.dwell_ms.map(i64::from),
        })
    });
    let mut entries: Vec<HistoryEntry> = entries.collect();
    let most = view.plan.model.handover.as_ref().map_or(0, |handover| usize::from(handover.history));
    entries.drain(..entries.len().saturating_sub(most));
    entries.sort_by_key(|entry| entry.t_ms);
    entries
}

fn touch(touch: touches::Touch<'_>) -> Touch {
    let text = |ix: usize| touch.texts[ix].map(str::to_owned);
    Touch {
        t_ms: touch.t_ms,
        source: text(0),
        medium: text(1),
        campaign: text(2),
        term: text(3),
        content: text(4),
        referrer_host: text(5),
    }
}

/// Probability of the stage times the amount, floored to millionths; `None` without an amount.
pub(crate) fn expected_value_micros(view: &View<'_>) -> Option<i64> {
    let value = view.plan.model.value.as_ref()?;
    let amount = match value.amount {
        Amount::Stated(micros) => micros,
        Amount::Trait(ix) => match view.lead.stored_trait(ix.0)? {
            TraitValue::Number(micros) => *micros,
            TraitValue::Text(text) => plain_decimal_micros(text)?,
            TraitValue::Boolean(_) | TraitValue::List(_) => return None,
        },
        Amount::Field(_) => return None,
    };
    let probability = value.probability_micros.get(usize::from(view.lead.stage)).copied().unwrap_or(0);
    let micros = (i128::from(amount) * i128::from(probability)).div_euclid(1_000_000);
    i64::try_from(micros).ok()
}

/// The route: of each attribute the first case that holds; the topic is the highest of its scores, if any of them is
/// above 0.
pub(crate) fn attributes(view: &View<'_>) -> Vec<Attribute> {
    let route = &view.plan.model.route;
    let cases = route.attributes.iter().filter_map(|(name, cases)| {
        let (_, value) = cases.iter().find(|(when, _)| view.holds(when))?;
        Some(Attribute { name: name.clone(), value: value.clone() })
    });
    let mut attributes: Vec<Attribute> = cases.collect();
    // Of equal scores the first: `max_by_key` would take the last.
    let highest = route.topic.iter().rev().max_by_key(|score| view.now.milli[score.ix()]);
    if let Some(score) = highest.filter(|score| view.now.milli[score.ix()] > 0) {
        let value = view.plan.model.scores[score.ix()].name.clone();
        attributes.push(Attribute { name: "topic".to_owned(), value });
    }
    attributes
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
/// before it; caps, bonuses, fits, the framework and the range are lines of their own. Lines of 0 are left out.
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
        for bonus in plan.score_bonuses[ix].iter().map(|&bonus| &plan.model.bonuses[bonus]) {
            if view.holds(&bonus.when) {
                line(LineKind::Bonus, &bonus.id, bonus.milli);
            }
        }
        for &fit in &plan.score_fits[ix] {
            line(LineKind::Fit, &plan.model.fits[fit].id, scores::fit_milli(plan, lead, fit));
        }
        if let Some(framework) = plan.model.framework.as_ref().filter(|f| f.score.ix() == ix) {
            line(LineKind::Framework, &framework.name, scores::framework_milli(lead, framework));
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

/// The predicates that changed a latch, and their stage.
fn changed(evaluation: &Evaluation) -> impl Iterator<Item = (Fed, u16)> {
    let set = evaluation.set.iter().map(|stage| (Fed::Enter(*stage), *stage));
    set.chain(evaluation.cleared.iter().map(|stage| (Fed::Exit(*stage), *stage)))
}

/// The atoms of predicates, each once, those of portraits and verdicts that they ask for included.
fn atoms<'p>(view: &View<'_>, predicates: impl IntoIterator<Item = &'p LeadPredicate>) -> Vec<Atom> {
    let mut told: Vec<Atom> = Vec::new();
    for predicate in predicates {
        add_atoms(view, predicate, &mut told);
    }
    told
}

fn add_atoms(view: &View<'_>, predicate: &LeadPredicate, told: &mut Vec<Atom>) {
    for atom in predicate.atoms() {
        if told.iter().any(|known| known.text == atom.text) {
            continue;
        }
        let truth = view.atom_holds(atom);
        told.push(Atom { text: atom.text.clone(), value: value_of(view, atom), truth });
        let model = &view.plan.model;
        match &atom.test {
            LeadTest::AnyDefinition => {
                let fitting = model.definitions.iter().filter(|definition| view.holds(&definition.when));
                fitting.for_each(|definition| add_atoms(view, &definition.when, told));
            }
            LeadTest::Disqualified => {
                let holding = model.verdicts.iter().filter(|verdict| view.verdict_holds(verdict));
                for verdict in holding {
                    if let VerdictHolds::While(when) = &verdict.holds {
                        add_atoms(view, when, told);
                    }
                }
            }
            _ => {}
        }
    }
}

/// What an atom read, in words; `None` for an absent trait.
fn value_of(view: &View<'_>, atom: &LeadAtom) -> Option<String> {
    match &atom.test {
        LeadTest::Score { terms, .. } => {
            let micros = view.weighted_nano(terms).div_euclid(1_000);
            Some(canonical_text(micros as i64).to_string())
        }
        LeadTest::Fact(_) | LeadTest::Known => Some(view.atom_holds(atom).to_string()),
        LeadTest::AnyDefinition => {
            let fitting =
                view.plan.model.definitions.iter().filter(|definition| view.holds(&definition.when));
            let names: Vec<&str> = fitting.map(|definition| definition.name.as_str()).collect();
            Some(names.join(", "))
        }
        LeadTest::Disqualified => {
            let verdicts = view.plan.model.verdicts.iter().filter(|verdict| verdict.cap_stage.is_none());
            let holding = verdicts.filter(|verdict| view.verdict_holds(verdict));
            let ids: Vec<&str> = holding.map(|verdict| verdict.id.as_str()).collect();
            Some(ids.join(", "))
        }
        LeadTest::Stage(_) => Some(view.plan.model.stages[usize::from(view.lead.stage)].id.clone()),
        LeadTest::StageFor { .. } => Some(format!("{}s", (view.at_ms - view.lead.stage_since_ms) / 1_000)),
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
    let in_force = facts.filter(|(ix, fact)| !fact.is_verdict && view.fact(FactIx(*ix as u16)).truth);
    in_force.map(|(_, fact)| fact.name.clone()).collect()
}

pub(crate) fn verdicts_in_force(view: &View<'_>) -> Vec<VerdictInForce> {
    let holding = view.plan.model.verdicts.iter().filter(|verdict| view.verdict_holds(verdict));
    let told = holding.map(|verdict| VerdictInForce {
        id: verdict.id.clone(),
        reason: match &verdict.reason {
            Reason::Stated(reason) => Some(reason.clone()),
            Reason::Read(_, kept_in) => view.lead.stored_trait(kept_in.0).map(trait_text),
        },
        until_ms: match &verdict.holds {
            VerdictHolds::Fact(fact) => {
                Some(view.fact(*fact).next_ms).filter(|until_ms| *until_ms != NEVER_CHANGES)
            }
            VerdictHolds::While(_) => None,
        },
    });
    told.collect()
}

/// The newest counted activities of rules that feed what changed.
fn decisive(view: &View<'_>, changed: &[Fed]) -> Vec<DecisiveActivity> {
    let View { plan, lead, .. } = *view;
    let feeds = |rule: u16| changed.iter().any(|fed| plan.feeds(*fed, rule));
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
            about: lead.history.about(id).map(str::to_owned),
        })
        .collect()
}

/// Why an activity changed a lead.
pub(crate) fn cause_of_activity(plan: &Plan, evaluation: &Evaluation, is_feedback: bool) -> Cause {
    let falls = evaluation.to < evaluation.from;
    let overrides = evaluation.to != evaluation.from && plan.overrides.contains(&evaluation.to);
    if is_feedback {
        Cause::Feedback
    } else if evaluation.has_new_verdict && (falls || overrides) {
        Cause::Verdict
    } else {
        Cause::Activity
    }
}

/// Why a deadline changed a lead, by comparing it with a millisecond before: a verdict that ended or began, a fact that
/// ended, else decay. `then` is room to read in.
pub(crate) fn cause_of_deadline(view: &View<'_>, then: &mut Reading) -> Cause {
    let at_ms = view.at_ms - 1;
    then.read(view.plan, view.lead, at_ms);
    let before = View { at_ms, now: then, ..*view };
    let model = &view.plan.model;
    let held = |verdict: &Verdict| (before.verdict_holds(verdict), view.verdict_holds(verdict));
    if model.verdicts.iter().any(|verdict| held(verdict) == (true, false)) {
        return Cause::VerdictExpired;
    }
    if model.verdicts.iter().any(|verdict| held(verdict) == (false, true)) {
        return Cause::Verdict;
    }
    let ended = |(ix, fact): (usize, &Fact)| {
        let ix = FactIx(ix as u16);
        !fact.is_verdict && before.fact(ix).truth && !view.fact(ix).truth
    };
    if model.facts.iter().enumerate().any(ended) { Cause::FactExpired } else { Cause::Decay }
}
