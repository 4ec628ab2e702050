//! Another model for the leads that are there (S18).

mod story;

use std::fmt::Write as _;
use std::sync::Arc;

use expect_test::{Expect, expect};
use ripen_records::{Change, decode_activity};
use ripen_scorer::{Applied, Budget, LeadReader, Shard};

const BEFORE: &str = r#"
apiVersion: ripen/v1
model: {id: conversion, version: 1}
scores: {interest: {half_life: 1d}, total: {half_life: never}}
rules:
  - {id: view, event: page_view, points: {interest: 8, total: 1}, once_per: [page.path], max: 3}
  - {id: ping, event: ping, points: {interest: 4, total: 1}}
  - {id: form, event: form, points: {interest: 20}, once: true, set: {contact: 3d}}
stages:
  - {id: new, owner: marketing}
  - {id: warm, owner: marketing, enter: "score.interest >= 15", exit: "score.interest < 10"}
  - {id: hot, owner: sales, enter: "fact.contact", exit: "!fact.contact"}
"#;

/// Runs a story under one model, switches to another, and says how leads stand before and after.
fn check(before: &str, story: &str, after: &str, expect: Expect) {
    let (mut shard, _, mut said) = story::run(&story::model(before), story);
    let model = story::model(after);
    let mut switch = story::switch_to(&model, 2);
    switch.at_ms = shard.clock();
    shard.switch(&switch, Arc::clone(&model)).expect("another model");
    shard.commit();
    // A partition that was restored in between goes on in the same way.
    let mut restored = restored(&shard, &[story::model(before), Arc::clone(&model)]);
    let tick = format!("{}h tick", (shard.clock() - story::START_MS) / 3_600_000);
    let mut told = Vec::new();
    for shard in [&mut shard, &mut restored] {
        assert!(shard.next_deadline().is_some_and(|at_ms| at_ms <= shard.clock() + 1), "there is work to do");
        let mut decisions = Vec::new();
        let _ = story::apply(shard, &story::steps(&tick)[0], &mut decisions);
        shard.commit();
        told.push(decisions);
    }
    assert_eq!(told[0], told[1]);
    for decision in &told[0] {
        said.push_str(&story::say(decision));
        if let Change::StageChange(_) = decision.change {
            let lines = &decision.explanation.lines;
            for score in &decision.scores {
                assert_eq!(story::sum_of(lines, &score.name), score.milli);
            }
        }
    }
    let reader = LeadReader::new(model);
    for entry in shard.base().iter() {
        let view = reader.read(entry.value(), shard.clock()).expect("of the new model").expect("a lead");
        let scores = view.scores.iter().map(|score| format!("{} {}", score.name, score.milli));
        writeln!(said, "is {} {}", view.stage, scores.collect::<Vec<_>>().join(" ")).expect("a string");
    }
    expect.assert_eq(&said);
}

fn restored(shard: &Shard, models: &[Arc<ripen_model::Model>]) -> Shard {
    let mut restored = Shard::new();
    let reader = LeadReader::new(Arc::clone(&models[0]));
    for entry in shard.base().iter() {
        let lead = reader.read(entry.value(), 0).expect("of the old model").expect("a lead").lead;
        restored.restore_lead(&lead, entry.value()).expect("just written");
    }
    restored.restore_meta(&shard.meta()).expect("just written");
    restored.set_models(models).expect("the models of the state");
    restored
}

#[test]
fn a_partition_without_leads_waits_for_the_same_tick_once_it_is_restored() {
    let models = [BEFORE, &BEFORE.replace("version: 1", "version: 2")].map(story::model);
    let mut shard = Shard::new();
    for (epoch, model) in (1..).zip(&models) {
        shard.switch(&story::switch_to(model, epoch), Arc::clone(model)).expect("a model");
        shard.commit();
    }
    let mut restored = restored(&shard, &models);
    assert_eq!(shard.next_deadline(), Some(shard.clock() + 1));
    for shard in [&mut shard, &mut restored] {
        assert_eq!(shard.next_deadline(), Some(shard.clock() + 1));
        let _ = story::apply(shard, &story::steps("1h tick")[0], &mut Vec::new());
        assert_eq!(shard.next_deadline(), None);
    }
}

const STORY: &str =
    "0h page_view /a; 1h page_view /b; 2h ping; 24h ping; 25h form; 26h page_view /c; 48h tick";

#[test]
fn concept_114_points_and_thresholds_hold_at_once() {
    check(
        BEFORE,
        STORY,
        &BEFORE.replace("interest: 8", "interest: 1").replace("score.interest < 10", "score.interest < 40"),
        expect![[r#"
            0d01:00:00.000 #1 new → warm, activity: interest 15.772 total 2, leaves at 0d16:46:44.642
            1d01:00:00.000 #2 warm → hot, activity: interest 33.831 total 4, leaves at 4d01:00:00.000
            ends as hot, interest 21.649, total 5
            is hot interest 14390 total 5000
        "#]],
    );
}

#[test]
fn what_the_crm_has_cleared_is_not_counted_again() {
    let before = format!("{BEFORE}feedback:\n  lost: {{clear: [interest]}}\n");
    check(
        &before,
        "0h page_view /a; 1h page_view /b; 1h lost; 2h page_view /c; 48h tick",
        &before.replace("half_life: 1d", "half_life: 12h"),
        expect![[r#"
            0d01:00:00.000 #1 new → warm, activity: interest 15.772 total 2, leaves at 0d16:46:44.642
            0d01:00:00.000 #2 warm → new, feedback: total 2
            ends as new, interest 2.119, total 3
            is new interest 561 total 3000
        "#]],
    );
}

#[test]
fn a_changed_half_life_counts_held_keys_again_and_carries_the_rest() {
    check(
        BEFORE,
        STORY,
        &BEFORE.replace("half_life: 1d", "half_life: 12h"),
        expect![[r#"
        0d01:00:00.000 #1 new → warm, activity: interest 15.772 total 2, leaves at 0d16:46:44.642
        1d01:00:00.000 #2 warm → hot, activity: interest 33.831 total 4, leaves at 4d01:00:00.000
        ends as hot, interest 21.649, total 5
        is hot interest 11631 total 5000
    "#]],
    );
    check(
        BEFORE,
        STORY,
        &BEFORE.replace("half_life: 1d", "half_life: never"),
        expect![[r#"
        0d01:00:00.000 #1 new → warm, activity: interest 15.772 total 2, leaves at 0d16:46:44.642
        1d01:00:00.000 #2 warm → hot, activity: interest 33.831 total 4, leaves at 4d01:00:00.000
        ends as hot, interest 21.649, total 5
        is hot interest 47059 total 5000
    "#]],
    );
}

#[test]
fn what_is_not_named_any_more_is_dropped() {
    let after = BEFORE
        .replace("  - {id: ping, event: ping, points: {interest: 4, total: 1}}\n", "")
        .replace("  - {id: hot, owner: sales, enter: \"fact.contact\", exit: \"!fact.contact\"}\n", "");
    check(
        BEFORE,
        STORY,
        &after,
        expect![[r#"
        0d01:00:00.000 #1 new → warm, activity: interest 15.772 total 2, leaves at 0d16:46:44.642
        1d01:00:00.000 #2 warm → hot, activity: interest 33.831 total 4, leaves at 4d01:00:00.000
        ends as hot, interest 21.649, total 5
        2d00:00:00.000 #3 hot → warm, model_change: interest 18.589 total 3, leaves at 2d21:28:09.854
        is warm interest 18589 total 3000
    "#]],
    );
}

#[test]
fn changed_keys_are_sealed_and_fewer_keys_take_back() {
    check(
        BEFORE,
        STORY,
        &BEFORE.replace("[page.path], max: 3", "[page.path], max: 1"),
        expect![[r#"
        0d01:00:00.000 #1 new → warm, activity: interest 15.772 total 2, leaves at 0d16:46:44.642
        1d01:00:00.000 #2 warm → hot, activity: interest 33.831 total 4, leaves at 4d01:00:00.000
        ends as hot, interest 21.649, total 5
        is hot interest 17590 total 3000
    "#]],
    );
    check(
        BEFORE,
        STORY,
        &BEFORE.replace("[page.path], max: 3", "[page.url], max: 3"),
        expect![[r#"
        0d01:00:00.000 #1 new → warm, activity: interest 15.772 total 2, leaves at 0d16:46:44.642
        1d01:00:00.000 #2 warm → hot, activity: interest 33.831 total 4, leaves at 4d01:00:00.000
        ends as hot, interest 21.649, total 5
        is hot interest 21649 total 5000
    "#]],
    );
}

#[test]
fn a_rule_that_feeds_a_new_score_feeds_it_with_what_it_counted() {
    let after = BEFORE
        .replace("total: {half_life: never}", "total: {half_life: never}, slow: {half_life: 4d}")
        .replace("points: {interest: 8, total: 1}", "points: {interest: 8, total: 1, slow: 8}");
    check(
        BEFORE,
        STORY,
        &after,
        expect![[r#"
        0d01:00:00.000 #1 new → warm, activity: interest 15.772 total 2, leaves at 0d16:46:44.642
        1d01:00:00.000 #2 warm → hot, activity: interest 33.831 total 4, leaves at 4d01:00:00.000
        ends as hot, interest 21.649, total 5
        is hot interest 21649 total 5000 slow 18180
    "#]],
    );
}

#[test]
fn a_longer_life_of_a_fact_holds_at_once() {
    check(
        BEFORE,
        STORY,
        &BEFORE.replace("contact: 3d", "contact: 30d"),
        expect![[r#"
        0d01:00:00.000 #1 new → warm, activity: interest 15.772 total 2, leaves at 0d16:46:44.642
        1d01:00:00.000 #2 warm → hot, activity: interest 33.831 total 4, leaves at 4d01:00:00.000
        ends as hot, interest 21.649, total 5
        is hot interest 21649 total 5000
    "#]],
    );
}

#[test]
fn an_activity_and_a_switch_in_one_transaction_are_as_in_two() {
    let (before, after) =
        (story::model(BEFORE), story::model(&BEFORE.replace("half_life: 1d", "half_life: 12h")));
    let run = |commits_between: bool| {
        let mut shard = story::shard(&before);
        let mut decisions = Vec::new();
        for step in story::steps("0h page_view /a; 25h form; 26h page_view /c") {
            let _ = story::apply(&mut shard, &step, &mut decisions);
        }
        if commits_between {
            shard.commit();
        }
        let switch = story::switch_to(&after, 2);
        shard.switch(&switch, Arc::clone(&after)).expect("another model");
        shard.commit();
        let bytes: Vec<Box<[u8]>> = shard.base().iter().map(|entry| entry.value().clone()).collect();
        bytes
    };
    assert_eq!(run(false), run(true));
}

#[test]
fn a_lead_that_comes_late_from_under_an_older_model_is_converted() {
    let (before, after) =
        (story::model(BEFORE), story::model(&BEFORE.replace("half_life: 1d", "half_life: 12h")));
    let (mut sender, mut receiver, mut decisions) =
        (story::shard(&before), story::shard(&before), Vec::new());
    for step in story::steps("0h page_view /a; 1h ping") {
        let _ = story::apply(&mut sender, &step, &mut decisions);
    }
    let link = &story::steps("2h link to=user:1")[0];
    let _ = sender.apply(&link.lead, &link.record, link.arrival_ms, &mut Budget::new(9), &mut decisions);
    let transfer = sender.take_sent().pop().expect("a transfer");
    // The receiver has been under the new model for long: none of its own leads stands under the older one.
    let mut switch = story::switch_to(&after, 2);
    switch.at_ms = story::START_MS + 48 * 3_600_000;
    receiver.switch(&switch, Arc::clone(&after)).expect("another model");
    let _ = story::apply(&mut receiver, &story::steps("48h tick")[0], &mut decisions);
    receiver.commit();
    assert_eq!(receiver.next_deadline(), None, "nothing is left to do");
    let record = decode_activity(&transfer.value).expect("of our own");
    let late_ms = switch.at_ms + 3_600_000;
    let applied = receiver.apply(&transfer.lead_id, &record, late_ms, &mut Budget::new(9), &mut decisions);
    assert_eq!(applied, Ok(Applied::Merged));
    receiver.commit();
    let view = receiver.lead("user:1", late_ms).expect("readable").expect("a lead");
    let scores: Vec<String> =
        view.scores.iter().map(|score| format!("{} {}", score.name, score.milli)).collect();
    expect!["interest 1443 total 2000"].assert_eq(&scores.join(" "));
}
