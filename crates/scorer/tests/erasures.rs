//! Erasures to the millisecond: how long one is remembered, what it is told with, and which life comes after it (S1).

mod story;

use std::collections::BTreeSet;

use ripen_records::{ActivityRecord, decode_activity};
use ripen_scorer::{Applied, Budget, FilterReason};

const MODEL: &str = r#"
apiVersion: ripen/v1
model: {id: erasures, version: 1}
time: {late_accept: 40d, forget: 50d}
scores: {heat: {half_life: 1d}}
rules:
  - {id: form, event: form, points: {heat: 20}}
stages:
  - {id: new, owner: marketing}
  - {id: warm, owner: marketing, enter: "score.heat >= 15", exit: "score.heat < 10"}
"#;

/// Thirty days, under the life that comes after it, too.
#[test]
fn an_erasure_is_remembered_for_thirty_days_and_no_longer() {
    let accepted = Applied::Accepted { counted: 1, is_new_lead: false };
    for (at, expected) in [
        ("2591999999ms", Applied::Filtered(FilterReason::Erased)),
        ("2592000000ms", accepted),
        ("2592000001ms", accepted),
    ] {
        let mut shard = story::shard(&story::model(MODEL));
        let mut last = None;
        for step in story::steps(&format!("0h erase; 1h form; {at} tick; {at} form arrived=0h")) {
            let clock_ms = step.at_ms;
            let mut budget = Budget::new(u32::MAX);
            let applied = shard.apply(&step.lead, &step.record, clock_ms, &mut budget, &mut Vec::new());
            last = Some(applied.expect("applied"));
            shard.commit();
        }
        assert_eq!(last, Some(expected), "at {at}");
    }
}

/// Decisions are told apart by their lead, the birth of its life and their number.
#[test]
fn a_life_that_a_merge_brings_to_an_erased_id_is_born_after_the_erasure() {
    for born in ["10799998ms", "10799999ms", "3h"] {
        let story = format!(
            "0h form lead=anon:b; {born} form lead=user:1; 3h erase lead=user:1; 4h link lead=anon:b to=user:1"
        );
        let (_, decisions, _) = story::run(&story::model(MODEL), &story);
        let of_user: Vec<&str> =
            decisions.iter().filter(|of| of.lead == "user:1").map(|of| of.id.as_str()).collect();
        let distinct: BTreeSet<&&str> = of_user.iter().collect();
        assert_eq!((of_user.len(), distinct.len()), (3, 3), "born at {born}: entered, erased, entered again");
    }
}

/// A host whose clock is fast keeps nobody away under any id: all of them are told the partition's time.
#[test]
fn an_erasure_is_told_to_other_ids_as_of_now() {
    let mut shard = story::shard(&story::model(MODEL));
    for step in story::steps("0h form; 1h link to=user:1; 2h tick") {
        let _ = story::apply(&mut shard, &step, &mut Vec::new());
    }
    let erase = story::steps("2h erase lead=user:1 arrived=8h").remove(0);
    let mut budget = Budget::new(u32::MAX);
    let applied = shard.apply(&erase.lead, &erase.record, shard.clock(), &mut budget, &mut Vec::new());
    assert_eq!(applied, Ok(Applied::Erased));
    let sent = shard.take_sent();
    let told = sent.iter().map(|sent| match decode_activity(&sent.value).expect("of our own") {
        ActivityRecord::Erase(erase) => (sent.lead_id.as_str(), erase.arrival_ms),
        other => panic!("{other:?}"),
    });
    assert_eq!(told.collect::<Vec<_>>(), [("anon:a", shard.clock())]);
}
