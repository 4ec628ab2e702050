//! What a partition does at its edges: without a model, out of budget, at the ends of time.

mod story;

use std::sync::Arc;

use ripen_records::{ActivityRecord, Field, Switch, Tick, Value};
use ripen_scorer::{Applied, Budget, FilterReason, LeadReader, Refused, Shard, StateError, can_switch};

const MODEL: &str = r#"
apiVersion: ripen/v1
model: {id: edges, version: 1}
scores: {heat: {half_life: 1d}}
traits: {city: {from: traits.city}}
rules:
  - {id: ping, event: ping, points: {heat: 20}}
  - {id: page, event: page_view, points: {heat: 0}, once_per: [page.path], max: 3}
stages:
  - {id: new, owner: marketing}
  - {id: warm, owner: marketing, enter: "score.heat >= 15", exit: "score.heat < 10"}
  - {id: local, owner: sales, enter: "traits.city == 'Omsk'"}
  - {id: done, owner: sales, terminal: true, enter: "traits.city == 'Perm'"}
"#;

/// The earliest instant there is, ms UTC.
const EARLIEST_MS: i64 = -(1 << 46);

fn tick(shard: &mut Shard, at_ms: i64, deadlines: u32) -> (Applied, usize) {
    let (tick, mut out) = (ActivityRecord::Tick(Tick { wall_ms: at_ms }), Vec::new());
    let applied = shard.apply("", &tick, at_ms, &mut Budget::new(deadlines), &mut out);
    (applied.expect("a tick"), out.len())
}

#[test]
fn deadlines_fire_as_far_as_the_budget_goes() {
    for budget in [0, 1, 2, 3, 4] {
        let mut shard = story::shard(&story::model(MODEL));
        for lead in ["anon:a", "anon:b", "anon:c"] {
            let _ =
                story::apply(&mut shard, &story::steps(&format!("0h ping lead={lead}"))[0], &mut Vec::new());
        }
        shard.commit();
        let at_ms = story::START_MS + 25 * 3_600_000;
        let is_enough = budget >= 3;
        let expected = if is_enough { Applied::Ticked } else { Applied::More };
        assert_eq!(tick(&mut shard, at_ms, budget), (expected, budget.min(3) as usize), "budget {budget}");
        assert_eq!(shard.next_deadline().is_some_and(|next_ms| next_ms <= at_ms), !is_enough);
        let (applied, rest) = tick(&mut shard, at_ms, 3);
        assert_eq!((applied, rest), (Applied::Ticked, 3 - budget.min(3) as usize), "after budget {budget}");
    }
}

#[test]
fn without_a_model_only_time_passes() {
    let (mut shard, mut out, at_ms) = (Shard::new(), Vec::new(), story::START_MS);
    let ping = story::steps("0h ping").remove(0);
    let model = story::model(MODEL);
    let switch = story::switch_to(&model, 1);
    assert_eq!(tick(&mut shard, at_ms, 0), (Applied::Ticked, 0));
    assert_eq!(shard.clock(), at_ms);
    let applied = shard.apply("anon:a", &ping.record, at_ms + 5, &mut Budget::new(9), &mut out);
    assert!(matches!(applied, Err(Refused::NoModel)) && shard.clock() == at_ms, "nothing is staged");
    // A state without any model has nothing to be restored under.
    let mut again = Shard::new();
    again.restore_meta(&shard.meta()).expect("readable");
    assert!(matches!(again.set_models(&[]), Err(StateError::Model { .. })));
    assert!(matches!(again.set_models(&[Arc::clone(&model)]), Err(StateError::Model { .. })));
    let applied =
        shard.apply("", &ActivityRecord::Switch(switch.clone()), at_ms + 7, &mut Budget::new(9), &mut out);
    assert_eq!((applied, shard.clock()), (Ok(Applied::Switched), at_ms + 7));
    shard.switch(&switch, Arc::clone(&model)).expect("a model");
    shard.commit();
    // A partition that has a model and no leads waits for nothing, restored or not.
    let mut again = Shard::new();
    again.restore_meta(&shard.meta()).expect("readable");
    again.set_models(&[model]).expect("the model of the state");
    assert_eq!((shard.next_deadline(), again.next_deadline()), (None, None));
}

#[test]
fn a_switch_says_what_it_asks_of_the_program() {
    let model = story::model(MODEL);
    let asked = story::switch_to(&model, 1);
    assert!(can_switch(&asked, &model).is_ok());
    for switch in [
        Switch { semantics: asked.semantics + 1, ..asked.clone() },
        Switch { state_format: asked.state_format + 1, ..asked.clone() },
        Switch { state_format: 0, ..asked.clone() },
    ] {
        assert!(matches!(can_switch(&switch, &model), Err(Refused::SwitchVersion { .. })), "{switch:?}");
    }
    let other = Switch { model_hash: "other".into(), ..asked };
    assert!(matches!(can_switch(&other, &model), Err(Refused::SwitchModel { .. })));
}

fn city(name: &str) -> [Field<'static>; 1] {
    [Field { name: "city".into(), value: Value::String(name.to_owned().into()) }]
}

/// What was set beforehand is seen by the first activity that comes, even one that says nothing itself.
#[test]
fn a_preset_trait_is_known_from_the_next_activity_on() {
    for (before, after) in [("0h whatever", "0h something id=s"), ("0h ping", "1h something id=s")] {
        let mut shard = story::shard(&story::model(MODEL));
        let tell = |shard: &mut Shard, line: &str| {
            let _ = story::apply(shard, &story::steps(line)[0], &mut Vec::new());
            shard.commit();
        };
        tell(&mut shard, before);
        let score = |shard: &Shard| {
            let view = shard.lead("anon:a", story::START_MS).expect("readable").expect("a lead");
            (view.stage, story::sum_of(&view.lines, "heat"))
        };
        let (_, heat) = score(&shard);
        shard.preset_traits("anon:a", &city("Omsk"), shard.clock()).expect("preset");
        shard.commit();
        assert_eq!(score(&shard).1, heat, "the lead is what it was");
        tell(&mut shard, after);
        assert_eq!(score(&shard).0, "local", "after {before}");
    }
    let mut shard = story::shard(&story::model(MODEL));
    shard.preset_traits("anon:new", &city("Omsk"), story::START_MS).expect("preset");
    let _ = story::apply(&mut shard, &story::steps("0h something lead=anon:new")[0], &mut Vec::new());
    assert_eq!(shard.lead("anon:new", 0).expect("readable").expect("a lead").stage, "local");
}

/// A trait alone moves a lead that rests otherwise.
#[test]
fn an_activity_that_only_says_who_it_is_is_looked_at() {
    let mut shard = story::shard(&story::model(MODEL));
    for line in ["0h whatever", "1h identify traits.city=Omsk id=i"] {
        let _ = story::apply(&mut shard, &story::steps(line)[0], &mut Vec::new());
    }
    assert_eq!(shard.lead("anon:a", 0).expect("readable").expect("a lead").stage, "local");
}

/// A finished lead waits for nothing; any other one at least for the end of its life.
#[test]
fn readers_are_told_the_armed_deadline() {
    let model = story::model(MODEL);
    let (shard, _, _) = story::run(&model, "0h whatever; 0h identify traits.city=Perm lead=anon:b");
    let reader = LeadReader::new(model);
    for (lead, is_armed) in [("anon:a", true), ("anon:b", false)] {
        let bytes = shard.base().get(&ripen_scorer::LeadKey::of(lead)).expect("a lead").clone();
        let view = reader.read(&bytes, story::START_MS).expect("readable").expect("a lead");
        assert_eq!(view.deadline_ms.is_some(), is_armed, "{lead}");
        assert!(view.deadline_ms.is_none_or(|at_ms| Some(at_ms) == shard.next_deadline()));
    }
}

#[test]
fn no_activity_is_older_than_the_earliest_instant() {
    for (t_ms, expected) in [
        (EARLIEST_MS, Applied::Accepted { counted: 1, is_new_lead: true }),
        (EARLIEST_MS + 1, Applied::Accepted { counted: 1, is_new_lead: true }),
        (EARLIEST_MS - 1, Applied::Filtered(FilterReason::Late)),
        (EARLIEST_MS - 2, Applied::Filtered(FilterReason::Late)),
    ] {
        let mut shard = story::shard(&story::model(MODEL));
        let mut step = story::steps("0h ping").remove(0);
        let ActivityRecord::Activity(activity) = &mut step.record else { panic!("an activity") };
        (activity.t_ms, activity.arrival_ms) = (t_ms, EARLIEST_MS + 2);
        let applied =
            shard.apply("anon:a", &step.record, EARLIEST_MS + 2, &mut Budget::new(9), &mut Vec::new());
        assert_eq!(applied, Ok(expected), "{} ms after the earliest instant", t_ms - EARLIEST_MS);
    }
}

/// How many rules an activity has counted in is what its record answers.
#[test]
fn a_key_that_displaces_another_one_counts_and_one_that_finds_no_room_does_not() {
    let mut shard = story::shard(&story::model(MODEL));
    let mut counted = Vec::new();
    for line in [
        "5h page_view /a",
        "6h page_view /b id=b",
        "7h page_view /c id=c",
        "8h page_view /d id=d",
        "1h page_view /e id=e arrived=9h",
    ] {
        match story::apply(&mut shard, &story::steps(line)[0], &mut Vec::new()) {
            Applied::Accepted { counted: rules, .. } => counted.push(rules),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(counted, [1, 1, 1, 1, 0]);
}
