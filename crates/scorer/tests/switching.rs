//! What a switch leaves of a lead (S18), one thing at a time: latches, evidence, keys, facts, names; and in what order.

mod story;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use expect_test::{Expect, expect};
use ripen_records::{ActivityRecord, Decision, Switch, Tick};
use ripen_scorer::{Applied, Budget, Shard};

const MODEL: &str = r#"
apiVersion: ripen/v1
model: {id: switching, version: 1}
scores: {heat: {half_life: 1d}, total: {half_life: never}}
rules:
  - {id: ping, event: ping, points: {heat: 10, total: 1}}
  - {id: order, event: order, points: {total: 100}, once_per: [properties.a], max: 9}
  - {id: meet, event: meet, set: {friend: 30d}}
stages:
  - {id: new, owner: marketing}
  - {id: warm, owner: marketing, enter: "score.heat >= 15", exit: "score.heat < 5"}
  - {id: close, owner: sales, enter: "fact.friend", exit: "!fact.friend"}
"#;

/// Switches a partition to the model, as of its clock.
fn switch(shard: &mut Shard, text: &str, epoch: u32) {
    let model = story::model(text);
    let at_ms = shard.clock().max(story::START_MS);
    let switch = Switch { at_ms, ..story::switch_to(&model, epoch) };
    shard.switch(&switch, model).expect("another model");
}

/// A tick at the partition's clock.
fn tick(shard: &mut Shard) -> Vec<Decision> {
    let (at_ms, mut out) = (shard.clock().max(story::START_MS), Vec::new());
    let tick = ActivityRecord::Tick(Tick { wall_ms: at_ms });
    let applied = shard.apply("", &tick, at_ms, &mut Budget::new(u32::MAX), &mut out);
    assert_eq!(applied, Ok(Applied::Ticked));
    out
}

fn tell(shard: &mut Shard, story: &str, epoch: u32) -> Vec<Decision> {
    let mut out = Vec::new();
    for mut step in story::steps(story) {
        if let ActivityRecord::Activity(activity) = &mut step.record {
            activity.event_id = format!("{epoch} {}", &*activity.event_id).into();
        }
        let _ = story::apply(shard, &step, &mut out);
        shard.commit();
    }
    out
}

/// Runs stories one after the other, each under a model of its own; a tick brings the leads to it.
fn check(parts: &[(&str, &str)], expect: Expect) {
    let (mut shard, mut said, mut leads) = (Shard::new(), String::new(), BTreeSet::new());
    for (epoch, (model, story)) in (1..).zip(parts) {
        switch(&mut shard, model, epoch);
        shard.commit();
        let mut decisions = tick(&mut shard);
        shard.commit();
        decisions.extend(tell(&mut shard, story, epoch));
        decisions.iter().for_each(|decision| said.push_str(&story::say(decision)));
        leads.extend(story::steps(story).into_iter().map(|step| step.lead));
    }
    for lead in leads {
        let Some(view) = shard.lead(&lead, shard.clock()).expect("readable") else { continue };
        let scores = view.scores.iter().map(|score| format!(" {} {}", score.name, score.milli));
        writeln!(said, "{lead} is {},{}", view.stage, scores.collect::<String>()).expect("a string");
    }
    expect.assert_eq(&said);
}

fn second(text: &str) -> String {
    text.replace("version: 1", "version: 2")
}

/// It would not be entered again: only its latch keeps the lead there.
#[test]
fn a_latch_is_kept() {
    check(
        &[(MODEL, "0h ping; 0h ping; 20h tick"), (&second(MODEL), "21h order a=1; 80h tick")],
        expect![[r#"
            0d00:00:00.000 #1 new → warm, activity: heat 20 total 2, leaves at 2d00:00:12.466
            2d00:00:12.466 #2 warm → new, decay: heat 4.999 total 102
            anon:a is new, heat 1984 total 102000
        "#]],
    );
}

#[test]
fn a_new_score_takes_its_evidence_from_one_of_its_own_half_life() {
    for (before, after, expect) in [
        (
            "total: {half_life: never}",
            "all: {half_life: never}",
            expect![[r#"
            0d00:00:00.000 #1 new → warm, activity: heat 20 total 2, leaves at 2d00:00:12.466
            anon:a is warm, heat 5000 total 2000 all 2000
        "#]],
        ),
        (
            "heat: {half_life: 1d}",
            "pace: {half_life: 1d}",
            expect![[r#"
            0d00:00:00.000 #1 new → warm, activity: heat 20 total 2, leaves at 2d00:00:12.466
            anon:a is warm, heat 5000 pace 500 total 2000
        "#]],
        ),
    ] {
        let name = &after[..after.find(':').expect("a name")];
        let more = second(MODEL)
            .replace(before, &format!("{before}, {after}"))
            .replace("heat: 10, total: 1", &format!("heat: 10, total: 1, {name}: 1"));
        check(&[(MODEL, "0h ping; 0h ping; 24h tick"), (&more, "48h tick; 48h nothing")], expect);
    }
}

/// Of the times to live of the new model the next longer one holds, else the longest.
#[test]
fn a_fact_lives_on_by_the_time_nearest_to_its_own() {
    for (one, other, expect) in [
        (
            "10d",
            "20d",
            expect![[r#"
            0d00:00:00.000 #1 new → close, activity:, leaves at 30d00:00:00.000
            20d00:00:00.000 #2 close → new, fact_expired:
            90d00:00:00.000 #3 new → new, forgotten:
        "#]],
        ),
        (
            "20d",
            "10d",
            expect![[r#"
            0d00:00:00.000 #1 new → close, activity:, leaves at 30d00:00:00.000
            20d00:00:00.000 #2 close → new, fact_expired:
            90d00:00:00.000 #3 new → new, forgotten:
        "#]],
        ),
        (
            "20d",
            "40d",
            expect![[r#"
            0d00:00:00.000 #1 new → close, activity:, leaves at 30d00:00:00.000
            40d00:00:00.000 #2 close → new, fact_expired:
            90d00:00:00.000 #3 new → new, forgotten:
        "#]],
        ),
        (
            "50d",
            "40d",
            expect![[r#"
            0d00:00:00.000 #1 new → close, activity:, leaves at 30d00:00:00.000
            40d00:00:00.000 #2 close → new, fact_expired:
            90d00:00:00.000 #3 new → new, forgotten:
        "#]],
        ),
    ] {
        let more = second(MODEL).replace(
            "set: {friend: 30d}}",
            &format!("set: {{friend: {one}}}}}\n  - {{id: other, event: other, set: {{friend: {other}}}}}"),
        );
        check(&[(MODEL, "0h meet; 24h tick"), (&more, "100d tick")], expect);
    }
}

#[test]
fn a_rule_is_no_feedback_of_the_same_name() {
    let model = MODEL.replace("id: ping,", "id: feedback.ping,");
    let model = model.replace("stages:", "feedback:\n  ping: {value: 5}\nstages:");
    check(
        &[(&model, "0h ping; 0h order a=1"), (&second(&model), "1h order a=1; 1h ping")],
        expect![[r#"
        0d01:00:00.000 #1 new → warm, feedback: heat 19.715 total 102, leaves at 2d00:30:25.462
        anon:a is warm, heat 19715 total 102000
    "#]],
    );
}

/// The same texts in another field are other keys.
#[test]
fn keys_of_other_fields_are_sealed() {
    check(
        &[
            (MODEL, "0h order a=1 b=2; 1h order a=2 b=1"),
            (
                &second(&MODEL.replace("[properties.a]", "[properties.b]")),
                "2h order a=1 b=2; 3h order a=2 b=2",
            ),
        ],
        expect![[r#"
            anon:a is new, heat 0 total 300000
        "#]],
    );
}

/// A rule has come to give points: for what it holds, so that no match takes back what it never gave.
#[test]
fn a_rule_that_gave_nothing_gives_points_for_the_keys_that_it_holds() {
    let held = "points: {total: 100}, once_per: [properties.a], max: 9";
    let idle = MODEL.replace(held, "once_per: [properties.a], max: 2");
    let paying = second(MODEL).replace("max: 9", "max: 2");
    let rekeyed = paying.replace("[properties.a]", "[properties.b]");
    let before = "0h order a=1 b=1; 1h order a=2 b=2";
    for (before, story, after, expect) in [
        (
            before,
            "2h whatever",
            &paying,
            expect![[r#"
            anon:a is new, heat 0 total 200000
        "#]],
        ),
        (
            before,
            "2h order a=1",
            &paying,
            expect![[r#"
            anon:a is new, heat 0 total 200000
        "#]],
        ),
        (
            before,
            "2h order a=3; 3h order a=4",
            &paying,
            expect![[r#"
            anon:a is new, heat 0 total 200000
        "#]],
        ),
        // Keys of other fields are no keys of the rule any more.
        (
            before,
            "2h order b=3",
            &rekeyed,
            expect![[r#"
            anon:a is new, heat 0 total 100000
        "#]],
        ),
        // What the CRM has cleared is not given afterwards.
        (
            "0h order a=1; 1h lost; 2h order a=2; 3h order a=3",
            "4h whatever",
            &paying,
            expect![[r#"
            anon:a is new, heat 0 total 200000
        "#]],
        ),
        (
            "0h order a=1; 1h order a=2; 1h lost",
            "4h whatever",
            &paying,
            expect![[r#"
            anon:a is new, heat 0 total 0
        "#]],
        ),
    ] {
        let clears = |text: &str| text.replace("stages:", "feedback: {lost: {clear: [total]}}\nstages:");
        check(&[(&clears(&idle), before), (&clears(after), story)], expect);
    }
    // One that counts every activity has counted nothing.
    let idle = MODEL.replace("points: {heat: 10, total: 1}", "set: {seen: true}");
    check(
        &[(&idle, "0h ping; 1h ping"), (&second(MODEL), "2h ping")],
        expect![[r#"
        anon:a is new, heat 10000 total 1000
    "#]],
    );
    let copies = "0h ping id=one; 0h ping id=one lead=user:1";
    check(
        &[(&idle, copies), (&second(MODEL), "2h link to=user:1")],
        expect![[r#"
        0d02:00:00.000 #1 is merged into user:1, merge
        user:1 is new, heat 0 total 0
    "#]],
    );
}

#[test]
fn an_id_that_belongs_to_another_one_decides_nothing() {
    let eager = second(MODEL).replace("enter: \"score.heat >= 15\"", "enter: \"score.heat < 50\"");
    check(
        &[(MODEL, "0h ping; 1h link to=user:1"), (&eager, "2h ping; 3h ping lead=user:1")],
        expect![[r#"
        0d01:00:00.000 #1 is merged into user:1, merge
        0d01:00:00.000 user:1 #1 new → warm, model_change: heat 9.715 total 1
        user:1 is warm, heat 28885 total 3000
    "#]],
    );
}

#[test]
fn decisions_of_a_switch_are_counted_like_all_others() {
    let told = MODEL
        .replace("stages:", "audiences: {known: \"score.total >= 1\", asked: \"score.total >= 2\"}\nstages:");
    let gone = second(MODEL).replace("id: close,", "id: closer,");
    check(
        &[
            (&told, "0h ping; 0h ping; 1h meet"),
            (&gone, "2h ping; 90h tick"),
            (&told.replace("version: 1", "version: 3"), "91h ping"),
        ],
        expect![[r#"
            0d00:00:00.000 #1 enters known, activity
            0d00:00:00.000 #2 new → warm, activity: heat 20 total 2, leaves at 2d00:00:12.466
            0d00:00:00.000 #3 enters asked, activity
            0d01:00:00.000 #4 warm → close, activity: heat 19.431 total 2, leaves at 30d01:00:00.000
            0d01:00:00.000 #5 close → closer, model_change: heat 19.431 total 2, leaves at 30d01:00:00.000
            0d01:00:00.000 #6 leaves known, model_change
            0d01:00:00.000 #7 leaves asked, model_change
            3d18:00:00.000 #8 closer → close, model_change: heat 2.274 total 3, leaves at 30d01:00:00.000
            3d18:00:00.000 #9 enters known, model_change
            3d18:00:00.000 #10 enters asked, model_change
            anon:a is close, heat 12209 total 4000
        "#]],
    );
}

/// Its next life is another one, which begins under the new model.
#[test]
fn a_lead_that_was_forgotten_before_a_switch_is_not_brought_to_it() {
    let eager = second(MODEL).replace("enter: \"score.heat >= 15\"", "enter: \"score.heat < 50\"");
    let run = |commits: bool| {
        let mut shard = Shard::new();
        switch(&mut shard, MODEL, 1);
        let _ = tell(&mut shard, "0h ping", 1);
        let mut decisions = Vec::new();
        for (text, line) in [(None, "100d tick"), (Some(&eager), "100d ping id=second")] {
            if let Some(text) = text {
                switch(&mut shard, text, 2);
            }
            let _ = story::apply(&mut shard, &story::steps(line)[0], &mut decisions);
            if commits {
                shard.commit();
            }
        }
        decisions
    };
    let decisions = run(false);
    expect![[r#"
        100d00:00:00.000 #1 new → warm, activity: heat 10 total 1
    "#]]
    .assert_eq(&decisions.iter().map(story::say).collect::<String>());
    assert_eq!(decisions, run(true));
}

/// What sales asked for no more is not kept either.
#[test]
fn names_that_no_hand_over_asks_for_are_dropped() {
    let asked = MODEL.replace("stages:", "handover: {stages: [close], require: [], history: 20}\nstages:");
    let asked = asked
        .replace("rules:", "traits: {city: {from: traits.city}}\nrules:")
        .replace("require: []", "require: [city]");
    let mut shard = Shard::new();
    for (epoch, (model, is_kept)) in (1..).zip([(&asked, true), (&second(MODEL), false)]) {
        switch(&mut shard, model, epoch);
        let _ = tick(&mut shard);
        if epoch == 1 {
            let _ = tell(&mut shard, "0h ping; 1h rather_unusual; 2h ping", epoch);
        }
        shard.commit();
        let base = shard.base();
        let holds = base.iter().any(|lead| lead.value().windows(14).any(|text| text == b"rather_unusual"));
        assert_eq!(holds, is_kept, "under model {epoch}");
    }
}

/// Whatever a transaction holds, and whatever model the partition was restored under.
#[test]
fn every_switch_brings_every_lead_to_its_model() {
    let models: Vec<String> =
        [10, 20, 40].map(|points| MODEL.replace("heat: 10", &format!("heat: {points}"))).to_vec();
    let run = |commits: bool, restarts: bool| {
        let mut shard = Shard::new();
        let mut decisions = Vec::new();
        for (epoch, text) in (1..).zip(&models) {
            switch(&mut shard, text, epoch);
            if commits {
                shard.commit();
            }
            decisions.extend(tick(&mut shard));
            if commits {
                shard.commit();
            }
            assert_eq!(
                shard.next_deadline().filter(|at_ms| *at_ms <= shard.clock() + 1),
                None,
                "all are swept"
            );
            for lead in 0..=epoch {
                let line = format!("{epoch}h ping lead=anon:{lead} id={epoch}");
                let _ = story::apply(&mut shard, &story::steps(&line)[0], &mut decisions);
            }
            if commits {
                shard.commit();
            }
            if restarts {
                shard = again(&shard, &models[..epoch as usize]);
            }
        }
        shard.commit();
        let stages =
            (0..=3).map(|lead| shard.lead(&format!("anon:{lead}"), shard.clock()).expect("readable"));
        (decisions, stages.collect::<Vec<_>>())
    };
    let expected = run(true, false);
    assert!(expected.0.iter().any(|decision| decision.cause == ripen_records::Cause::ModelChange));
    assert_eq!(run(false, false), expected, "in one transaction");
    assert_eq!(run(true, true), expected, "with restarts");
}

/// The partition as it is restored.
fn again(shard: &Shard, texts: &[String]) -> Shard {
    let mut again = Shard::new();
    for lead in 0..9 {
        let id = format!("anon:{lead}");
        if let Some(bytes) = shard.base().get(&ripen_scorer::LeadKey::of(&id)) {
            again.restore_lead(&id, &bytes).expect("just written");
        }
    }
    again.restore_meta(&shard.meta()).expect("just written");
    let models: Vec<_> = texts.iter().map(|text| story::model(text)).collect();
    let of_hash = |hash: &str| models.iter().find(|model| model.hash == hash).map(Arc::clone);
    let models: Vec<_> = again.restored_models().into_iter().filter_map(of_hash).collect();
    again.set_models(&models).expect("the models of the state");
    again
}

/// Leads that were touched meanwhile stand under the new model already and do not count.
#[test]
fn a_tick_brings_256_leads_to_another_model() {
    for (leads, touched, ticks) in [(256, 0, 1), (257, 0, 2), (300, 100, 1), (512, 0, 2)] {
        let mut shard = Shard::new();
        switch(&mut shard, MODEL, 1);
        let ping = |shard: &mut Shard, lead: usize, epoch: u32| {
            let _ = story::apply(
                shard,
                &story::steps(&format!("{epoch}h ping lead=anon:{lead} id={epoch}"))[0],
                &mut Vec::new(),
            );
        };
        (0..leads).for_each(|lead| ping(&mut shard, lead, 1));
        shard.commit();
        switch(&mut shard, &second(MODEL), 2);
        shard.commit();
        (0..touched).for_each(|lead| ping(&mut shard, lead, 2));
        let mut needed = 0;
        while shard.next_deadline().is_some_and(|at_ms| at_ms <= shard.clock() + 1) {
            let _ = tick(&mut shard);
            needed += 1;
        }
        assert_eq!(needed, ticks, "{leads} leads, {touched} touched");
    }
}

/// Two models never share an epoch, whatever the switch calls it.
#[test]
fn a_switch_of_an_older_number_takes_the_next_one() {
    let mut shard = Shard::new();
    for (number, epoch) in [(7, 7), (7, 8), (3, 9), (20, 20)] {
        switch(&mut shard, &MODEL.replace("version: 1", &format!("version: {epoch}")), number);
        assert_eq!(shard.epoch().map(|(epoch, _)| epoch), Some(epoch));
        let _ = tell(&mut shard, &format!("{epoch}h order a={epoch}"), epoch);
        let _ = tick(&mut shard);
        shard.commit();
    }
    let view = shard.lead("anon:a", shard.clock()).expect("readable under its own model").expect("a lead");
    assert_eq!(story::sum_of(&view.lines, "total"), 400_000);
}
