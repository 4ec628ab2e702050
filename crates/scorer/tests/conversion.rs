//! Another model for the leads that are there (S18).

mod story;

use std::fmt::Write as _;
use std::sync::Arc;

use expect_test::{Expect, expect};
use ripen_records::{Change, decode_activity};
use ripen_scorer::{Applied, Budget, LeadReader, LeadView, Shard};

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

/// What page a path is was looked up under the model before, and is kept for the next activity.
#[test]
fn a_path_is_the_page_that_the_active_model_calls_it() {
    let model = |version: u32, price: &str| {
        story::model(&format!(
            "apiVersion: ripen/v1\nmodel: {{id: pages, version: {version}}}\npages: {{price: [{price}]}}\n\
             scores: {{interest: {{half_life: 1d}}}}\nrules:\n  - {{id: price, event: page_view, \
             where: \"page.kind == 'price'\", points: {{interest: 1}}}}\nstages: [{{id: new, owner: m}}]\n"
        ))
    };
    let mut shard = Shard::new();
    let mut counted = Vec::new();
    for (epoch, price) in (1..).zip(["/a", "/b", "/a"]) {
        let model = model(epoch, price);
        shard.switch(&story::switch_to(&model, epoch), Arc::clone(&model)).expect("a model");
        for path in ["/a", "/b"] {
            let view = story::steps(&format!("{epoch}h page_view {path} id={epoch}{path}")).remove(0);
            match story::apply(&mut shard, &view, &mut Vec::new()) {
                Applied::Accepted { counted: 1, .. } => counted.push((epoch, path)),
                Applied::Accepted { counted: 0, .. } => {}
                other => panic!("{other:?}"),
            }
        }
        shard.commit();
    }
    assert_eq!(counted, [(1, "/a"), (2, "/b"), (3, "/a")]);
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

/// Something of everything that a lead keeps. Each `#` is a place for an entry before those that are there.
const PLACES: &str = r#"
apiVersion: ripen/v1
model: {id: places, version: 1}
time: {late_accept: 10d}
scores: {#scores interest: {half_life: 1d}, total: {half_life: never}}
rules:
  #rules
  - {id: view, event: page_view, points: {interest: 8}, once_per: [page.path], max: 3}
  - {id: back, event: visit_started, points: {total: 1000}}
  - {id: return, event: visit_started, points: {total: 100}, once_per: [day], max: 5}
  - {id: ping, event: ping, points: {total: 1}}
  - {id: lost, event: gift, points: {total: 10}}
  - {id: short, event: short, set: {contact: 1d}}
  - {id: long, event: long, set: {contact: 3d}}
  - {id: drop, event: drop, unset: [contact]}
  - {id: order, event: order, once_per: [properties.order], max: 9}
disqualify:
  #verdicts
  - {id: refused, event: refuse, reason: {from: properties.reason}, until: 2d, cap_stage: warm}
stages:
  - {id: new, owner: marketing}
  #stages
  - {id: warm, owner: marketing, enter: "score.interest >= 15 || sum('order', properties.price, '9d') >= 50", exit: "score.interest < 10", min_dwell: 2h}
  - {id: hot, owner: sales, enter: "fact.contact && traits.plan == 'pro'", exit: "!fact.contact"}
feedback:
  cleared: {clear: [total]}
  lost: {clear: [interest], recycle_to: warm, for: 1d, cooldown: {stage: hot, for: 3h}}
audiences:
  #audiences
  near: "stage == 'warm'"
  far: "score.total >= 1000 && stage == 'new'"
alerts:
  #alerts
  - {id: glad, when: "score.interest >= 8", to: sales, cool_down: 5h}
  - {id: rich, when: "score.total >= 5", to: sales, cool_down: 2d}
handover: {stages: [hot], require: [plan], history: 20}
response: {hot: {within: 5m, answered_by: called, escalate: [1h, 20h]}}
"#;

const PLACES_STORY: &str = "
    0h page_view /a session=s1; 1h ping; 1h30m long; 2h page_view /b session=s2 dwell=3; 2h30m whatever
    2h40m order order=1 price=30; 2h50m order order=2 price=25; 3h identify traits.plan=pro; 3h10m short
    3h20m refuse reason=rude; 4h ping; 4h gift; 5h ping; 6h cleared t=1; 4h30m ping arrived=7h
    3h30m cleared arrived=8h; 9h page_view /c session=s3; 52h tick; 53h long; 53h1m called; 54h lost
    54h10m drop; 55h page_view /d; 56h page_view /a; 57h short; 58h page_view /e; 60h tick; 80h long
    4h ping id=twice; 100h page_view /f id=both session=s4; 99h page_view /f id=both session=s5 lead=user:1
    100h ping id=again; 99h ping id=again lead=user:1; 101h gift lead=user:1; 102h alias to=user:1
    103h long lead=user:1; 104h page_view /g lead=user:1; 200h tick";

/// Leads go on under a model that has all of it and something more before each, as if there had been no switch; wherever
/// in the story it comes.
#[test]
fn where_things_stand_in_a_model_does_not_matter() {
    let fill = |entries: [&str; 7]| {
        let names = ["#scores", "#rules", "#verdicts", "#stages", "#audiences", "#alerts"];
        let filled = names
            .iter()
            .zip(entries)
            .fold(PLACES.to_owned(), |text, (name, entry)| text.replace(name, entry));
        story::model(&filled.replace("version: 1", entries[6]))
    };
    let before = fill(["", "", "", "", "", "", "version: 1"]);
    let after = fill([
        "odd: {half_life: 2d},",
        "- {id: odd, event: odd, points: {odd: 1}, set: {odd: 1h, contact: 12h}}
  - {id: cleared, event: odd_page, points: {odd: 1}}
  - {id: glad, event: aaa, points: {odd: 1}, where: \"properties.aaa == 1 && traits.aaa == 2\"}",
        "- {id: odd_one, event: odd_one, reason: odd, until: 1d}",
        "- {id: odd, owner: marketing, enter: \"fact.odd\", exit: \"!fact.odd\"}",
        "odd: \"fact.odd\"",
        "- {id: odd, when: \"fact.odd\", to: sales, cool_down: 1h}",
        "version: 2",
    ]);
    let steps = story::steps(PLACES_STORY);
    let told = |switch_at: Option<usize>| {
        let (mut shard, mut told) = (story::shard(&before), Vec::new());
        for (ix, step) in steps.iter().enumerate() {
            if switch_at == Some(ix) {
                let mut switch = story::switch_to(&after, 2);
                switch.at_ms = shard.clock();
                shard.switch(&switch, Arc::clone(&after)).expect("another model");
            }
            let mut decisions = Vec::new();
            let _ = story::apply(&mut shard, step, &mut decisions);
            shard.commit();
            for decision in &decisions {
                let more = match &decision.change {
                    Change::Handover(handover) => format!("{:?}", handover.history),
                    _ => String::new(),
                };
                told.push(story::say(decision) + &story::say_why(decision) + &more);
            }
            for lead in ["anon:a", "user:1"] {
                let view = shard.lead(lead, shard.clock()).expect("readable");
                told.push(format!("{lead} after {ix}: {:?}", view.map(standing)));
            }
        }
        told
    };
    let straight = told(None);
    for at in 1..steps.len() {
        let switched = told(Some(at));
        let differs = straight.iter().zip(&switched).position(|(one, other)| one != other);
        let places = differs.map(|place| (&straight[place], &switched[place]));
        assert_eq!(places, None, "a switch before step {at}");
        assert_eq!(straight.len(), switched.len());
    }
}

/// A lead's stage, scores but those of nothing, and facts.
fn standing(view: LeadView) -> (String, Vec<(String, i64)>, Vec<String>) {
    let scores = view.scores.into_iter().filter(|score| score.milli != 0);
    (view.stage, scores.map(|score| (score.name, score.milli)).collect(), view.facts)
}
