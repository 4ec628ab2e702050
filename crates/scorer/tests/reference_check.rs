//! The core against the reference interpreter: random models, random histories, equal in every number.
//!
//! Half of the histories are those of persons who come under several ids, which turn out to be theirs in the midst of it.
//!
//! `RIPEN_HISTORIES=100000` makes the run long, `RIPEN_SEED=17` runs one case alone, both together so many from there.

mod partition;
mod random;
mod reference;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use partition::Partition;
use random::dice::Dice;
use random::draft::Draft;
use random::events::{ERASURE_MS, End, EraseOn, Step, erased, history, linked};
use reference::reading::Line;
use reference::{Changed, Decided, Fate, Joined, Reference, Refusal, Said, SalesStep, Texts, power};
use ripen_model::{Model, compile};
use ripen_records::{
    ActivityRecord, Cause, Change, Decision, Erase, LeadId, Link, Score, Text, Tick, Touches, VerdictInForce,
    decode_activity,
};
use ripen_scorer::{Applied, FilterReason, LeadView, Sent, Shard};

/// Histories of a run, unless told otherwise.
const HISTORIES: u64 = 2_000;

/// Of a hundred histories so many have requests to forget somebody.
const ERASED: i64 = 40;

/// Kinds of decisions, causes, and what becomes of records.
const WORDS: [&str; 32] = [
    "stage",
    "entered",
    "left",
    "handover",
    "incomplete",
    "Open",
    "Overdue",
    "Escalated",
    "Answered",
    "Closed",
    "alert",
    "merged",
    "about",
    "activity",
    "decay",
    "fact_expired",
    "verdict",
    "verdict_expired",
    "feedback",
    "merge",
    "forgotten",
    "erased",
    "timer",
    "Accepted",
    "NotCounted(Duplicate)",
    "NotCounted(Late)",
    "NotCounted(Erased)",
    "NotCounted(Suppressed)",
    "Forwarded",
    "LinkRefused",
    "Merged",
    "Erased",
];

#[test]
fn the_core_agrees_with_the_reference_in_one_half() {
    agrees(0);
}

#[test]
fn the_core_agrees_with_the_reference_in_the_other_half() {
    agrees(1);
}

/// Every other seed, so that two tests share the work.
fn agrees(first: u64) {
    let from_environment = |name: &str| {
        #[expect(clippy::disallowed_methods, reason = "how long a run is, not what it computes")]
        let value = std::env::var(name).ok()?;
        value.parse::<u64>().ok()
    };
    let (from, count) = (from_environment("RIPEN_SEED"), from_environment("RIPEN_HISTORIES"));
    let count = count.unwrap_or(if from.is_some() { 1 } else { HISTORIES });
    let from = from.unwrap_or(0);
    let seeds: Vec<u64> = (from..from + count).filter(|seed| seed % 2 == first).collect();
    let mut undecided = 0;
    let mut told: BTreeMap<String, u64> = BTreeMap::new();
    for seed in &seeds {
        let mut dice = Dice::new(*seed);
        let draft = Draft::new(&mut dice);
        let mut steps = history(&mut dice, &draft);
        // Every other pair of seeds, so that both tests have some.
        if seed / 2 % 2 == 1 {
            steps = linked(&mut dice, &steps);
        }
        if dice.percent(ERASED) {
            steps = erased(&mut dice, &steps, draft.unit_s * 1_000);
        }
        match outcome(&draft, &steps) {
            Outcome::Equal(words) => words.into_iter().for_each(|word| *told.entry(word).or_default() += 1),
            Outcome::AtAnEdge => undecided += 1,
            Outcome::NoModel(errors) => panic!("seed {seed}: {errors}\n{}", draft.text()),
            Outcome::Different(_) => panic!("seed {seed}: {}", smallest(draft, steps)),
        }
    }
    // A rounding so near to an edge that the core's arithmetic may take either side is rarer than one in a million.
    assert!(undecided * 1_000 <= seeds.len(), "{undecided} histories are undecided");
    // Whatever can be decided has been decided many times over, save in a run of a few histories.
    for word in WORDS.iter().filter(|_| seeds.len() as u64 >= HISTORIES / 2) {
        let times = told.get(*word).copied().unwrap_or(0);
        assert!(times >= 10, "{word} was told {times} times: {told:?}");
    }
}

enum Outcome {
    /// What was decided, and why, in words.
    Equal(Vec<String>),
    /// Different, but either neighbour of a rounding was right.
    AtAnEdge,
    NoModel(String),
    Different(String),
}

fn outcome(draft: &Draft, steps: &[Step]) -> Outcome {
    let model = match compile("random.yaml", &draft.text()) {
        Ok(model) => Arc::new(model),
        Err(errors) => return Outcome::NoModel(errors.to_string()),
    };
    let edges = power::edges();
    let compared = catch_unwind(AssertUnwindSafe(|| compare(&model, steps))).unwrap_or_else(|panic| {
        let message = panic.downcast_ref::<String>().map(String::as_str);
        let message = message.or(panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
        Err(format!("panic: {message}"))
    });
    match compared {
        Ok(words) => Outcome::Equal(words),
        Err(_) if power::edges() > edges => Outcome::AtAnEdge,
        Err(difference) => Outcome::Different(difference),
    }
}

/// Cuts a failing case down to what is needed to fail, and tells it.
fn smallest(mut draft: Draft, mut steps: Vec<Step>) -> String {
    let fails = |draft: &Draft, steps: &[Step]| match outcome(draft, steps) {
        Outcome::Different(difference) => Some(difference),
        _ => None,
    };
    let mut difference = fails(&draft, &steps).expect("it failed before");
    loop {
        let fewer = (0..steps.len()).rev().map(|ix| {
            let mut fewer = steps.clone();
            fewer.remove(ix);
            fewer
        });
        // Those that come at once, each a transaction of its own, are simpler.
        let eventful = (0..steps.len()).filter(|ix| !steps[*ix].is_plain());
        let fewer = fewer.chain(eventful.map(|ix| {
            let mut plainer = steps.clone();
            plainer[ix].make_plain();
            plainer
        }));
        if let Some((fewer, found)) =
            fewer.into_iter().find_map(|fewer| Some((fewer.clone(), fails(&draft, &fewer)?)))
        {
            (steps, difference) = (fewer, found);
            continue;
        }
        let smaller = draft.smaller();
        match smaller.into_iter().find_map(|smaller| Some((smaller.clone(), fails(&smaller, &steps)?))) {
            Some((smaller, found)) => (draft, difference) = (smaller, found),
            None => break,
        }
    }
    let told: String = steps.iter().map(|step| format!("{}\n", tell(step))).collect();
    format!("{difference}\n{}\n{told}", draft.text())
}

fn tell(step: &Step) -> String {
    let commits = match (step.end, step.deadlines) {
        (End::Commits, u32::MAX) => String::new(),
        (end, u32::MAX) => format!(", {end:?}"),
        (end, deadlines) => format!(", {end:?}, {deadlines} deadlines"),
    };
    let delivers = if step.delivers { "" } else { ", nothing comes before it" };
    let commits = format!("{commits}{delivers}");
    if let Some(link) = step.link {
        let word = if link.explicit { "is" } else { "belongs with" };
        let (at_ms, lead) = (step.timestamp_ms, step.lead);
        return format!("{at_ms} {lead} {word} {} arrival={}{commits}", link.other, link.arrival_ms);
    }
    if let Some(erase) = step.erase {
        let word = if erase.suppress { "is erased for good" } else { "is erased" };
        return format!("{} {} {word} arrival={}{commits}", step.timestamp_ms, step.lead, erase.arrival_ms);
    }
    let Some(activity) = &step.activity else { return format!("{} tick{commits}", step.timestamp_ms) };
    let mut said = format!("{} {} {} {}", step.timestamp_ms, step.lead, &*activity.name, &*activity.event_id);
    said += &format!(" t={} arrival={} {:?}", activity.t_ms, activity.arrival_ms, activity.origin);
    for field in activity.properties.iter().chain(&activity.traits) {
        said += &format!(" {}={:?}", &*field.name, field.value);
    }
    if let Some(path) = activity.page.as_ref().and_then(|page| page.path.as_ref()) {
        said += &format!(" {}", &**path);
    }
    if let Some(session) = &activity.session {
        said += &format!(" session={}", &**session);
    }
    said + &commits
}

/// Runs both and compares after every step; gives what was decided, and why.
fn compare(model: &Arc<Model>, steps: &[Step]) -> Result<Vec<String>, String> {
    let mut both = Both {
        model,
        core: Partition::new(model)?,
        reference: Reference::new(model),
        sent: VecDeque::new(),
        fates: Vec::new(),
    };
    for step in steps {
        let mut touched = Vec::new();
        while step.delivers && !both.sent.is_empty() {
            touched.push(both.deliver(step)?);
        }
        touched.push(both.apply(step)?);
        touched.extend(step.link.map(|link| link.other.to_owned()));
        both.core.end(step.end)?;
        touched.sort_unstable();
        touched.dedup();
        for lead in touched {
            compare_lead(model, &both.core.shard, &both.reference, step, &lead)?;
        }
    }
    let mut ids = BTreeSet::new();
    if let Some(twice) = both.core.decisions.iter().find(|of| !ids.insert(&of.id) && !is_forgotten(&both, of))
    {
        return Err(format!("two decisions of one id, {} {} {}", twice.lead, twice.born_ms, twice.seq));
    }
    let fates = both.fates.iter().map(|fate| format!("{fate:?}"));
    Ok(both.core.decisions.iter().flat_map(words).chain(fates).collect())
}

/// Whether nothing is left of the life of a decision by which another one of the same birth could be told: it was
/// forgotten, by the next record where the activity had arrived longer ago than leads are kept; or erased so long ago
/// that it is remembered no more.
fn is_forgotten(both: &Both<'_>, of: &Decision) -> bool {
    let is_old = of.decided_at_ms >= of.born_ms + ERASURE_MS;
    let mut life = both.core.decisions.iter().filter(|one| one.lead == of.lead && one.born_ms == of.born_ms);
    life.any(|one| one.cause == Cause::Forgotten || one.cause == Cause::Erased && is_old)
}

/// The core and the reference, side by side.
struct Both<'m> {
    model: &'m Model,
    core: Partition,
    reference: Reference,
    /// What the core's leads have sent to others.
    sent: VecDeque<Sent>,
    /// What has become of each record.
    fates: Vec<Fate>,
}

impl Both<'_> {
    /// Applies a step; gives the lead that it was for.
    fn apply(&mut self, step: &Step) -> Result<String, String> {
        let timestamp_ms = step.timestamp_ms;
        let lead = LeadId::parse(step.lead).expect("a lead id");
        let (record, expected) = match (&step.activity, step.link, step.erase) {
            (Some(activity), ..) => {
                let expected = self.reference.apply(&lead, activity, timestamp_ms);
                (ActivityRecord::Activity((**activity).clone()), expected)
            }
            (_, Some(link), _) => {
                let other = LeadId::parse(link.other).expect("a lead id");
                let (explicit, arrival_ms) = (link.explicit, link.arrival_ms);
                let joined = Joined { ids: [lead.clone(), other], explicit, arrival_ms };
                let (a, b) = (Text::from(step.lead), Text::from(link.other));
                let expected = self.reference.link(&lead, joined, timestamp_ms);
                (ActivityRecord::Link(Link { a, b, explicit, arrival_ms }), expected)
            }
            (.., Some(EraseOn { suppress, arrival_ms })) => {
                let expected = self.reference.erase(&lead, arrival_ms, suppress, timestamp_ms);
                (ActivityRecord::Erase(Erase { request_id: Text::from("r"), arrival_ms, suppress }), expected)
            }
            _ => {
                let expected = self.reference.tick(timestamp_ms);
                (ActivityRecord::Tick(Tick { wall_ms: timestamp_ms }), expected)
            }
        };
        self.compare(step, step.lead, &record, expected)?;
        Ok(step.lead.to_owned())
    }

    /// What was sent first comes to its lead, whose id is given.
    fn deliver(&mut self, step: &Step) -> Result<String, String> {
        let Sent { lead_id, value } = self.sent.pop_front().expect("something was sent");
        let record = decode_activity(&value).map_err(|error| error.to_string())?;
        let Some((lead, expected)) = self.reference.deliver(step.timestamp_ms) else {
            return Err(format!("to {lead_id} the core has sent {record:?}"));
        };
        equal("who is sent to", step, &lead_id.as_str(), &lead.as_str())?;
        self.compare(step, &lead_id, &record, expected)?;
        Ok(lead_id)
    }

    /// The core's part, and what it decides.
    fn compare(
        &mut self,
        step: &Step,
        lead: &str,
        record: &ActivityRecord<'_>,
        expected: Fate,
    ) -> Result<(), String> {
        let compared = self.core.decisions.len();
        let (applied, sent) = self.core.apply(lead, record, step.timestamp_ms, step.deadlines)?;
        self.sent.extend(sent);
        let found = match applied {
            Applied::Accepted { .. } => Fate::Accepted,
            Applied::Filtered(FilterReason::Duplicate) => Fate::NotCounted(Refusal::Duplicate),
            Applied::Filtered(FilterReason::Late) => Fate::NotCounted(Refusal::Late),
            Applied::Filtered(FilterReason::Erased) => Fate::NotCounted(Refusal::Erased),
            Applied::Filtered(FilterReason::Suppressed) => Fate::NotCounted(Refusal::Suppressed),
            Applied::Erased => Fate::Erased,
            Applied::Forwarded => Fate::Forwarded,
            Applied::Linked => Fate::Linked,
            Applied::LinkRefused => Fate::LinkRefused,
            Applied::Merged => Fate::Merged,
            Applied::Ticked => Fate::Ticked,
            other => return Err(format!("{other:?} after {}", tell(step))),
        };
        equal("fate", step, &found, &expected)?;
        self.fates.push(found);
        let found = self.core.decisions[compared..].iter().map(|decision| said(self.model, decision));
        for activity in
            self.core.decisions[compared..].iter().flat_map(|decision| &decision.explanation.decisive)
        {
            let is_true = activity.about.as_ref().is_none_or(|about| {
                self.reference.abouts.contains(&(activity.event_id_hash.clone(), about.clone()))
            });
            equal("what it was about", step, &is_true, &true)?;
        }
        equal("decisions", step, &found.collect::<Vec<_>>().as_slice(), &&self.reference.said[compared..])?;
        Ok(())
    }
}

/// The lead as it was last looked at, and its scores at the partition's clock.
fn compare_lead(
    model: &Model,
    shard: &Shard,
    reference: &Reference,
    step: &Step,
    lead: &str,
) -> Result<(), String> {
    for at_ms in [0, shard.clock()] {
        let view = shard.lead(lead, at_ms).map_err(|error| error.to_string())?;
        let standing = reference.standing(lead, at_ms);
        let (view, standing) = match (view, standing) {
            (None, None) => return Ok(()),
            (Some(view), Some(standing)) => (view, standing),
            (view, standing) => return equal("lead", step, &view.is_some(), &standing.is_some()),
        };
        equal("birth", step, &view.born_ms, &standing.born_ms)?;
        equal("sequence", step, &view.seq, &standing.seq)?;
        equal("last instant", step, &view.last_ms, &standing.last_ms)?;
        equal("stage", step, &view.stage, &standing.stage)?;
        equal("scores", step, &scores(&view), &standing.scores)?;
        equal("lines", step, &lines(&view.lines), &standing.lines)?;
        equal("facts", step, &shard_facts(model, &view), &standing.facts)?;
        equal("labels", step, &labels(&view.scores), &standing.labels)?;
        equal("verdicts", step, &verdicts(&view.verdicts), &standing.verdicts)?;
        equal("audiences", step, &view.audiences, &standing.audiences)?;
        equal("hand-over", step, &view.is_handed_over, &standing.is_handed_over)?;
        equal("response", step, &view.response, &standing.response)?;
        // What is over by now is not kept: an exit is announced as of the look that an activity brings.
        if at_ms == 0 && step.activity.is_some() {
            equal("expected exit", step, &view.expected_exit_at_ms, &standing.expected_exit_ms)?;
        }
    }
    Ok(())
}

fn shard_facts(model: &Model, view: &LeadView) -> Vec<String> {
    let names = model.facts.iter().map(|fact| &fact.name);
    names.filter(|name| view.facts.contains(name)).cloned().collect()
}

fn equal<T: std::fmt::Debug + PartialEq>(
    what: &str,
    step: &Step,
    core: &T,
    reference: &T,
) -> Result<(), String> {
    if core == reference {
        return Ok(());
    }
    Err(format!("{what} after {}\ncore:      {core:?}\nreference: {reference:?}", tell(step)))
}

fn scores(view: &LeadView) -> Vec<i64> {
    view.scores.iter().map(|score| score.milli).collect()
}

fn labels(scores: &[Score]) -> Vec<Option<String>> {
    scores.iter().map(|score| score.label.clone()).collect()
}

fn verdicts(verdicts: &[VerdictInForce]) -> Vec<(String, Option<String>)> {
    verdicts.iter().map(|verdict| (verdict.id.clone(), verdict.reason.clone())).collect()
}

fn touches(touches: &Touches) -> Vec<(i64, Texts)> {
    let told = touches.first.iter().chain(&touches.last).map(|of| {
        let texts = [&of.source, &of.medium, &of.campaign, &of.term, &of.content, &of.referrer_host];
        (of.t_ms, texts.map(Clone::clone))
    });
    told.collect()
}

fn lines(lines: &[ripen_records::Line]) -> Vec<Line> {
    let told = lines.iter().filter(|line| line.milli != 0);
    sorted(told.map(|line| (line.score.clone(), line.kind, line.id.clone(), line.milli)).collect())
}

fn sorted(mut lines: Vec<Line>) -> Vec<Line> {
    lines.sort_by_key(|line| (line.0.clone(), line.1.as_str(), line.2.clone()));
    lines
}

fn words(decision: &Decision) -> Vec<String> {
    let change = match &decision.change {
        Change::StageChange(_) => "stage".to_owned(),
        Change::AudienceChange(change) => if change.entered { "entered" } else { "left" }.to_owned(),
        Change::Handover(handover) => if handover.incomplete { "incomplete" } else { "handover" }.to_owned(),
        Change::Response(step) => format!("{:?}", step.state),
        Change::Alert(_) => "alert".to_owned(),
        Change::MergedInto(_) => "merged".to_owned(),
    };
    let decisive = decision.explanation.decisive.iter();
    let abouts = decisive.filter(|of| of.about.is_some()).map(|_| "about".to_owned());
    [change, decision.cause.as_str().to_owned()].into_iter().chain(abouts).collect()
}

/// A decision of the core in the reference's words.
fn said(model: &Model, decision: &Decision) -> Said {
    let change = match &decision.change {
        Change::StageChange(change) => {
            let (from, to) = (change.from.clone(), change.to.clone());
            Changed::Stage { from, to, passed: change.passed.clone() }
        }
        Change::AudienceChange(change) => {
            Changed::Audience { audience: change.audience.clone(), entered: change.entered }
        }
        Change::Handover(handover) => {
            let traits = handover.traits.iter().map(|of| (of.name.clone(), of.value.clone())).collect();
            assert_eq!(
                handover.incomplete,
                !handover.missing.is_empty(),
                "incomplete if anything is missing"
            );
            let (stage, missing) = (handover.stage.clone(), handover.missing.clone());
            // What is no path is the key of a rule.
            let path = |about: &Option<String>| about.clone().filter(|about| about.starts_with('/'));
            let told = handover.history.iter();
            let told = told.map(|of| (of.t_ms, of.event.clone(), path(&of.about), of.dwell_ms));
            Changed::Sales(SalesStep::HandedOver { stage, missing, traits, history: told.collect() })
        }
        Change::Response(step) => Changed::Sales(SalesStep::Response {
            stage: step.stage.clone(),
            state: step.state,
            escalation: usize::from(step.step),
            due_ms: step.due_at_ms,
        }),
        Change::Alert(alert) => Changed::Alert { alert: alert.alert.clone(), to: alert.to.clone() },
        Change::MergedInto(survivor) => Changed::MergedInto(survivor.clone()),
    };
    let facts = model.facts.iter().map(|fact| &fact.name);
    Said {
        lead: decision.lead.clone(),
        born_ms: decision.born_ms,
        seq: decision.seq,
        decided_ms: decision.decided_at_ms,
        decided: Decided {
            at_ms: decision.effective_at_ms,
            cause: decision.cause,
            change,
            stage: model.stages.iter().position(|stage| stage.id == decision.stage).expect("a stage"),
            scores: decision.scores.iter().map(|score| score.milli).collect(),
            labels: labels(&decision.scores),
            touches: touches(&decision.touches),
            lines: lines(&decision.explanation.lines),
            facts: facts.filter(|name| decision.explanation.facts.contains(name)).cloned().collect(),
            verdicts: verdicts(&decision.explanation.verdicts),
            decisive: {
                let decisive = decision.explanation.decisive.iter();
                decisive.map(|of| (of.rule.clone(), of.t_ms, of.event_id_hash.clone())).collect()
            },
            expected_exit_ms: decision.expected_exit_at_ms,
            value_micros: decision.value_micros,
            expected_value_micros: decision.expected_value_micros,
            attributes: {
                let attributes = decision.attributes.iter();
                attributes.map(|of| (of.name.clone(), of.value.clone())).collect()
            },
        },
    }
}
