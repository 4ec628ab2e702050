//! What must hold of any model and any history: the order of arrival, the bytes of a lead, hostile activities.

mod random;

use std::sync::Arc;

use random::dice::Dice;
use random::draft::Draft;
use random::events::{Step, history};
use ripen_model::{Model, compile};
use ripen_records::{ActivityRecord, Change, Decision, Field, Origin, Switch, Text, Tick, Value};
use ripen_scorer::{Budget, LeadReader, LeadView, SEMANTICS, STATE_FORMAT, Shard};

/// Models of each test.
const MODELS: u64 = 300;

/// A random model that remembers every id of a random history, and such a history.
fn case(seed: u64) -> (Arc<Model>, Vec<Step>) {
    let (model, _, steps) = case_with_text(seed);
    (model, steps)
}

fn case_with_text(seed: u64) -> (Arc<Model>, String, Vec<Step>) {
    let mut dice = Dice::new(seed);
    let mut draft = Draft::new(&mut dice);
    let steps = history(&mut dice, &draft);
    for entry in draft.sections.iter_mut().flat_map(|(_, entries)| entries) {
        if entry.starts_with("remember:") {
            *entry = "remember: 128".to_owned();
        }
    }
    let text = draft.text();
    let model = compile("random.yaml", &text).unwrap_or_else(|errors| panic!("seed {seed}: {errors}"));
    (Arc::new(model), text, steps)
}

fn shard(model: &Arc<Model>) -> Shard {
    let mut shard = Shard::new();
    let model_hash = model.hash.clone().into();
    // What a state is written in decides nothing: one model in two is under the older format.
    let state_format = if model.hash.as_str() < "8" { STATE_FORMAT } else { 1 };
    let switch = Switch { epoch: 1, model_hash, semantics: SEMANTICS, state_format, at_ms: 0 };
    shard.switch(&switch, Arc::clone(model)).expect("the first switch");
    shard.commit();
    shard
}

fn apply(shard: &mut Shard, step: &Step) {
    decide(shard, step);
}

fn decide(shard: &mut Shard, step: &Step) -> Vec<Decision> {
    let record = match &step.activity {
        Some(activity) => ActivityRecord::Activity((**activity).clone()),
        None => ActivityRecord::Tick(Tick { wall_ms: step.timestamp_ms }),
    };
    let (mut budget, mut out) = (Budget::new(u32::MAX), Vec::new());
    let _ = shard.apply(step.lead, &record, step.timestamp_ms, &mut budget, &mut out).expect("applied");
    out
}

/// Scores, facts and what the lead brought in: all that does not depend on the order of arrival.
fn unordered(shard: &Shard, lead: &str, at_ms: i64) -> Option<(Vec<i64>, Vec<String>, i64)> {
    let view = shard.lead(lead, at_ms).expect("readable")?;
    Some((view.scores.iter().map(|score| score.milli).collect(), view.facts, view.value_micros))
}

/// The steps with equal arrivals, each id once, none of them of a visit: those are of the order of arrival.
fn at_once(steps: &[Step], late_accept_ms: i64) -> Vec<Step> {
    let arrival_ms = steps.iter().map(|step| step.timestamp_ms).max().unwrap_or(0);
    let mut seen = std::collections::BTreeSet::new();
    let mut chosen = Vec::new();
    for step in steps {
        let Some(activity) = &step.activity else { continue };
        let is_new = seen.insert((step.lead, activity.event_id.to_string()));
        if is_new && arrival_ms - activity.t_ms <= late_accept_ms {
            let mut step = Step { timestamp_ms: arrival_ms, ..step.clone() };
            let activity = step.activity.as_mut().expect("an activity");
            (activity.arrival_ms, activity.origin) = (arrival_ms, Origin::Server);
            chosen.push(step);
        }
    }
    chosen
}

#[test]
fn no_order_of_arrival_changes_scores() {
    let mut compared = 0;
    for seed in 0..MODELS {
        let (model, steps) = case(seed);
        let steps = at_once(&steps, model.time.late_accept_ms);
        let mut dice = Dice::new(seed ^ 0xABCD);
        let mut shuffled = steps.clone();
        for ix in (1..shuffled.len()).rev() {
            shuffled.swap(ix, dice.within(0, ix as i64 + 1) as usize);
        }
        let [mut one, mut other] = [shard(&model), shard(&model)];
        steps.iter().for_each(|step| apply(&mut one, step));
        shuffled.iter().for_each(|step| apply(&mut other, step));
        for step in &steps {
            for later_ms in [0, 1_000, 3_600_000] {
                let at_ms = one.clock() + later_ms;
                let found = unordered(&one, step.lead, at_ms);
                assert_eq!(found, unordered(&other, step.lead, at_ms), "seed {seed}: {}", step.lead);
                compared +=
                    found.map_or(0, |(scores, ..)| scores.iter().filter(|score| **score != 0).count());
            }
        }
    }
    assert!(compared > 1_000, "only {compared} scores were anything but 0");
}

#[test]
fn a_late_older_match_of_a_held_key_changes_nothing() {
    let text = r#"
apiVersion: ripen/v1
model: {id: held, version: 1}
scores: {heat: {half_life: 90s, range: [-100, 100]}}
rules:
  - {id: once, event: ask, points: {heat: 10.001}, once: true}
  - {id: each, event: ask, points: {heat: 5.5}, once_per: [properties.n], max: 2}
  - {id: day, event: ask, points: {heat: -3}, once_per: [day]}
stages: [{id: first, owner: marketing}]
"#;
    let model = Arc::new(compile("held.yaml", text).unwrap_or_else(|errors| panic!("{errors}")));
    let (_, steps) = case(1);
    let mut step = steps.into_iter().find(|step| step.activity.is_some()).expect("an activity");
    step.lead = "user:a";
    let noon_ms = 1_767_614_400_000;
    let mut ask = |id: &str, n: i64, t_ms: i64| {
        step.timestamp_ms = noon_ms;
        let activity = step.activity.as_mut().expect("an activity");
        (activity.event_id, activity.name) = (id.to_owned().into(), Text::from("ask"));
        (activity.t_ms, activity.arrival_ms, activity.ids) = (t_ms, noon_ms, vec![Text::from("user:a")]);
        let value = Value::Number { micros: n * 1_000_000 };
        activity.properties = vec![Field { name: Text::from("n"), value }];
        step.clone()
    };
    let mut shard = shard(&model);
    for step in [ask("a", 1, noon_ms - 60_001), ask("b", 2, noon_ms - 30_000)] {
        apply(&mut shard, &step);
    }
    let before = unordered(&shard, "user:a", noon_ms);
    for ix in 0..50 {
        let late = ask(&format!("late-{ix}"), 1 + ix % 3, noon_ms - 60_002 - 777 * ix);
        apply(&mut shard, &late);
        assert_eq!(unordered(&shard, "user:a", noon_ms), before, "{ix}");
    }
}

#[test]
fn a_lead_is_what_its_bytes_say_and_they_stay_within_their_bound() {
    for seed in 0..MODELS {
        let (model, steps) = case(seed);
        let reader = LeadReader::new(Arc::clone(&model));
        let mut shard = shard(&model);
        for step in &steps {
            apply(&mut shard, step);
            let staged: Option<LeadView> = shard.lead(step.lead, shard.clock()).expect("readable");
            shard.commit();
            let committed = shard.lead(step.lead, shard.clock()).expect("readable");
            assert_eq!(staged, committed, "seed {seed}: the same before and after its bytes");
            for entry in shard.base().iter() {
                let bytes = entry.value().len() as u64;
                let bound = model.worst_case_bytes_per_lead();
                assert!(bytes <= bound, "seed {seed}: {bytes} bytes, {bound} are the bound");
                let view = reader.read(entry.value(), shard.clock()).expect("readable").expect("alive");
                assert_eq!(Some(&view), shard.lead(&view.lead, shard.clock()).expect("readable").as_ref());
            }
        }
    }
}

/// What the linter says can never be entered, no history enters.
#[test]
fn no_history_contradicts_the_linter() {
    let (mut entered, mut unreachable) = (0, 0);
    for seed in 0..3 * MODELS {
        let (model, text, steps) = case_with_text(seed);
        let never: Vec<String> = ripen_model::lint(&model, &text)
            .into_iter()
            .filter(|finding| finding.code == "never_entered")
            .map(|finding| finding.message)
            .collect();
        unreachable += never.len();
        let mut shard = shard(&model);
        for decision in steps.iter().flat_map(|step| decide(&mut shard, step)) {
            let Change::StageChange(change) = &decision.change else { continue };
            for stage in change.passed.iter().chain([&change.to]) {
                let says = format!("the stage `{stage}` can never be entered");
                let wrong = never.iter().find(|message| message.starts_with(&says));
                assert_eq!(wrong, None, "seed {seed} enters it: {decision:?}");
                entered += 1;
            }
        }
    }
    assert!(entered > 500 && unreachable > 50, "{entered} entered, {unreachable} can never be");
}

#[test]
fn no_activity_is_too_strange() {
    let numbers = [0, 1, -1, i64::MAX, i64::MIN, 9_200_000_000_000_000_000, -9_200_000_000_000_000_000];
    let instants = [-4_000_000_000_000, -1, 0, 1, 7_258_118_400_000, 60_000_000_000_000];
    for seed in 0..MODELS {
        let (model, steps) = case(seed);
        let mut dice = Dice::new(seed);
        let mut shard = shard(&model);
        for mut step in steps {
            if let Some(activity) = &mut step.activity {
                for field in activity.properties.iter_mut().chain(&mut activity.traits) {
                    field.value = match dice.within(0, 5) {
                        0 => Value::Number { micros: dice.number(&numbers) },
                        1 => Value::String(Text::from("")),
                        2 => Value::String("é".repeat(5_000).into()),
                        3 => Value::Array(Vec::new()),
                        _ => Value::Array(vec![Value::Number { micros: dice.number(&numbers) }; 300]),
                    };
                }
                if dice.percent(30) {
                    activity.event_id = "x".repeat(256).into();
                }
                if dice.percent(50) {
                    let at_ms = dice.number(&instants);
                    (step.timestamp_ms, activity.arrival_ms, activity.t_ms) = (at_ms, at_ms, at_ms);
                }
            }
            apply(&mut shard, &step);
            shard.commit();
            for entry in shard.base().iter() {
                assert!(entry.value().len() as u64 <= model.worst_case_bytes_per_lead(), "seed {seed}");
            }
        }
    }
}
