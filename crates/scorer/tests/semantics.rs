//! One rule of the semantics after another, each in the smallest story that shows it.

mod story;

use expect_test::expect;
use story::check;

/// Stages that read one score, a fact, a window, and what is known.
const MODEL: &str = r#"
apiVersion: ripen/v1
model: {id: semantics, version: 1}
time: {zone: Europe/Berlin, late_accept: 10d, forget: 200d, forget_anonymous: 50d, remember: 4}
pages:
  thing: ["/things/{thing_id}"]
scores:
  heat: {half_life: 1d, range: [0, 100], labels: {cold: 0, warm: 20}}
  total: {half_life: never, range: [-10, 10]}
groups:
  looking: {score: heat, max: 15}
rules:
  - {id: look, event: page_view, where: "page.kind == 'thing'", points: {heat: 10}, once_per: [page.thing_id], max: 2, group: looking}
  - {id: ask, event: ask, points: {heat: 40}, once: true}
  - {id: ping, event: ping, points: {total: 1}}
  - {id: complain, event: complain, points: {total: -4}}
  - {id: daily, event: use, points: {total: 2}, once_per: [day]}
  - {id: hourly, event: hour, points: {total: 2}, once_per: [hour]}
  - {id: apply, event: apply, set: {applied: 3d}, once: true}
  - {id: withdraw, event: withdraw, unset: [applied]}
  - {id: block, event: block, set: {blocked: 2d}}
  - {id: plan, event: plan, set: {planned: 60d}}
  - {id: buy, event: buy, set: {won: true}}
  - {id: ignored, event: whisper, points: {total: 5}, anonymous: ignore}
  - {id: returned, event: visit_started, where: "visit.gap_days >= 1", points: {total: 3}, once_per: [visit.number], max: 2}
  - {id: third_page, event: page_view, where: "visit.pages == 2", points: {total: 6}, once_per: [day]}
fit:
  - {id: role, trait: role, score: total, map: {ceo: 5}, default: -1, missing: 0}
stages:
  - {id: new, owner: marketing}
  - {id: grown, owner: marketing, enter: "score.total >= 5", exit: "score.total < 2"}
  - {id: warm, owner: marketing, enter: "score.heat >= 20", exit: "score.heat < 10"}
  - {id: applied, owner: sales, enter: "fact.applied", exit: "!fact.applied", min_dwell: 12h}
  - {id: planned, owner: sales, enter: "fact.planned", exit: "!fact.planned"}
  - {id: habit, owner: sales, enter: "days('daily', '5d') >= 3", exit: "count('daily', '5d') < 2"}
  - {id: customer, owner: sales, enter: "fact.won", terminal: true}
  - {id: blocked, owner: sales, enter: "fact.blocked", exit: "!fact.blocked", overrides: all}
"#;

#[test]
fn once_counts_the_newest_match() {
    check(
        MODEL,
        "0h ask; 1d ask; 10d tick",
        expect![[r#"
        0d00:00:00.000 #1 new → warm, activity: heat 40, leaves at 2d00:00:06.233
        3d00:00:06.233 #2 warm → new, decay: heat 9.999 total 3
        ends as new, heat 0.078, total 3
    "#]],
    );
}

#[test]
fn a_late_older_match_of_a_held_key_changes_nothing() {
    check(
        MODEL,
        "1d ask; 0h ask arrived=1d1m; 10d tick",
        expect![[r#"
        1d00:00:00.000 #1 new → warm, activity: heat 40, leaves at 3d00:00:06.233
        3d00:00:06.233 #2 warm → new, decay: heat 9.999
        ends as new, heat 0.078
    "#]],
    );
}

#[test]
fn max_keeps_the_newest_keys_and_a_group_is_capped_when_it_is_read() {
    // Two things of 10 points are held, 15 of them count; the cap is lifted as they fade.
    check(
        MODEL,
        "0h page_view /things/a; 0h page_view /things/b; 0h page_view /things/c; 0h ask; 10d tick",
        expect![[r#"
            0d00:00:00.000 #1 new → grown, activity: heat 15 total 6
            0d00:00:00.000 #2 grown → warm, activity: heat 55 total 6, leaves at 2d14:02:23.877
            2d14:02:23.877 #3 warm → grown, decay: heat 9.999 total 6
            ends as grown, heat 0.059, total 6
        "#]],
    );
}

#[test]
fn min_dwell_holds_a_stage_and_its_end_is_exact() {
    check(
        MODEL,
        "0h apply; 1h withdraw; 5d tick",
        expect![[r#"
        0d00:00:00.000 #1 new → applied, activity:, leaves at 3d00:00:00.000
        0d12:00:00.000 #2 applied → new, decay:
        ends as new
    "#]],
    );
    // Applied for again in time: the latch was never cleared.
    check(
        MODEL,
        "0h apply; 1h withdraw; 11h apply; 11h tick",
        expect![[r#"
        0d00:00:00.000 #1 new → applied, activity:, leaves at 3d00:00:00.000
        ends as applied
    "#]],
    );
}

#[test]
fn a_fact_ends_by_itself_and_sets_are_maxima() {
    check(
        MODEL,
        "0h apply; 1d apply; 10d tick",
        expect![[r#"
        0d00:00:00.000 #1 new → applied, activity:, leaves at 3d00:00:00.000
        4d00:00:00.000 #2 applied → new, fact_expired: total 3
        ends as new, total 3
    "#]],
    );
    check(
        MODEL,
        "0h apply; 1d withdraw; 1d apply; 2d withdraw; 10d tick",
        expect![[r#"
        0d00:00:00.000 #1 new → applied, activity:, leaves at 3d00:00:00.000
        1d00:00:00.000 #2 applied → new, activity: total 3
        1d00:00:00.000 #3 new → applied, activity: total 3, leaves at 4d00:00:00.000
        2d00:00:00.000 #4 applied → grown, activity: total 6
        ends as grown, total 6
    "#]],
    );
    check(
        MODEL,
        "1d apply; 0h withdraw arrived=1d1m; 10d tick",
        expect![[r#"
        1d00:00:00.000 #1 new → applied, activity:, leaves at 4d00:00:00.000
        4d00:00:00.000 #2 applied → new, fact_expired:
        ends as new
    "#]],
    );
}

#[test]
fn an_overriding_stage_hides_all_others_and_uncovers_them() {
    check(
        MODEL,
        "0h apply; 1h block; 10d tick",
        expect![[r#"
        0d00:00:00.000 #1 new → applied, activity:, leaves at 3d00:00:00.000
        0d01:00:00.000 #2 applied → blocked, activity:, leaves at 2d01:00:00.000
        2d01:00:00.000 #3 blocked → applied, fact_expired:, leaves at 3d00:00:00.000
        3d00:00:00.000 #4 applied → new, fact_expired:
        ends as new
    "#]],
    );
}

#[test]
fn windows_count_distinct_local_days_and_leave_on_time() {
    check(
        MODEL,
        "0h use; 1d use; 1d1h use; 2d use; 20d tick",
        expect![[r#"
        1d00:00:00.000 #1 new → grown, activity: total 7
        2d00:00:00.000 #2 grown → habit, activity: total 9, leaves at 6d01:00:00.000
        6d01:00:00.000 #3 habit → grown, decay: total 9
        ends as grown, total 9
    "#]],
    );
}

#[test]
fn the_day_is_local_and_the_repeated_hour_is_two() {
    // 22:30 and 23:30 UTC are two days in Berlin; 25 October 2026 has its hour from 2 to 3 twice.
    check(
        MODEL,
        "22h30m use; 23h30m use; 30h use; 30h ping; 30h tick",
        expect![[r#"
        1d06:00:00.000 #1 new → grown, activity: total 5
        ends as grown, total 5
    "#]],
    );
    check(
        MODEL,
        "293d0h10m hour; 293d0h20m hour; 293d1h10m hour",
        expect![[r#"
        ends as new, total 4
    "#]],
    );
}

#[test]
fn every_match_of_a_rule_without_recurrence_counts() {
    check(
        MODEL,
        "0h ping; 0h ping; 0h ping; 0h ping; 0h ping; 1h complain",
        expect![[r#"
        0d00:00:00.000 #1 new → grown, activity: total 5
        0d01:00:00.000 #2 grown → new, activity: total 1
        ends as new, total 1
    "#]],
    );
}

#[test]
fn a_duplicate_and_what_is_too_old_do_not_count() {
    check(
        MODEL,
        "0h ping id=x; 1h ping id=x; 20d ping id=y; 9d ping id=z arrived=20d",
        expect![[r#"
        0d01:00:00.000 filtered: duplicate
        20d00:00:00.000 #1 new → grown, activity: total 5
        9d00:00:00.000 filtered: late
        ends as grown, total 5
    "#]],
    );
}

#[test]
fn a_forgotten_event_id_raises_the_floor() {
    check(
        MODEL,
        "1h ping; 2h ping; 3h ping; 4h ping; 5h ping; 1h ping id=again arrived=6h; 1h30m ping arrived=6h; 1h15m ping arrived=6h",
        expect![[r#"
            0d05:00:00.000 #1 new → grown, activity: total 5
            0d01:00:00.000 filtered: late
            0d01:15:00.000 filtered: late
            ends as grown, total 6
        "#]],
    );
}

#[test]
fn anonymous_activities_may_be_ignored() {
    check(
        MODEL,
        "0h whisper; 0h whisper lead=user:1",
        expect![[r#"
        0d00:00:00.000 user:1 #1 new → grown, activity: total 5
        ends as new
        user:1 ends as grown, total 5
    "#]],
    );
}

#[test]
fn a_visit_begins_after_thirty_minutes_or_with_a_session_id() {
    // The gap is counted from the last activity; 30 minutes sharp are one visit.
    check(
        MODEL,
        "0h page_view /; 30m page_view /; 1h page_view /; 3d page_view /",
        expect![[r#"
        0d01:00:00.000 #1 new → grown, activity: total 6
        ends as grown, total 9
    "#]],
    );
    check(
        MODEL,
        "0h page_view / session=1; 2h page_view / session=1; 3h page_view / session=1
         1d4h page_view / session=2; 1d3h page_view / session=3",
        expect![[r#"
            0d03:00:00.000 #1 new → grown, activity: total 6
            ends as grown, total 9
        "#]],
    );
    check(
        MODEL,
        "0h page_view /; 2d page_view / origin=server; 2d page_view / origin=unstated",
        expect![[r#"
            ends as new, total 3
        "#]],
    );
}

#[test]
fn a_trait_keeps_its_newest_value_and_absent_ones_never_overwrite() {
    check(
        MODEL,
        "0h identify traits.role=ceo; 1h identify; 1h identify traits.role=boss; 30m identify traits.role=ceo arrived=2h",
        expect![[r#"
            0d00:00:00.000 #1 new → grown, activity: total 5
            0d01:00:00.000 #2 grown → new, activity: total -1
            ends as new, total -1
        "#]],
    );
}

#[test]
fn a_lead_is_forgotten_and_its_next_life_begins_anew() {
    check(
        MODEL,
        "0h ping; 60d ping; 61d ping; 62d ping; 63d ping; 64d ping; 300d tick; 301d apply",
        expect![[r#"
            61d00:00:00.000 #1 new → grown, activity: total 5
            264d00:00:00.000 #2 grown → new, forgotten: total 10
            301d00:00:00.000 #1 new → applied, activity:, leaves at 304d00:00:00.000
            ends as applied
        "#]],
    );
    check(
        MODEL,
        "0h whisper lead=user:1; 190d ping lead=user:1; 500d tick; 501d whisper lead=user:1",
        expect![[r#"
            0d00:00:00.000 user:1 #1 new → grown, activity: total 5
            390d00:00:00.000 user:1 #2 grown → new, forgotten: total 9
            501d00:00:00.000 user:1 #1 new → grown, activity: total 5
            gone
            user:1 ends as grown, total 5
        "#]],
    );
}

#[test]
fn a_customer_is_never_forgotten() {
    check(
        MODEL,
        "0h buy; 900d tick; 900d apply; 1000d ping",
        expect![[r#"
        0d00:00:00.000 #1 new → customer, activity:
        ends as customer, total 7
    "#]],
    );
}

#[test]
fn an_anonymous_lead_that_falls_late_is_forgotten_a_millisecond_later() {
    check(
        MODEL,
        "0h plan; 60d tick; 60d plan",
        expect![[r#"
        0d00:00:00.000 #1 new → planned, activity:, leaves at 60d00:00:00.000
        60d00:00:00.000 #2 planned → new, fact_expired:
        60d00:00:00.000 #3 new → planned, activity: total 3, leaves at 120d00:00:00.000
        ends as planned, total 3
    "#]],
    );
    check(
        MODEL,
        "0h plan; 5184000001ms tick; 5184000001ms plan",
        expect![[r#"
            0d00:00:00.000 #1 new → planned, activity:, leaves at 60d00:00:00.000
            60d00:00:00.000 #2 planned → new, fact_expired:
            60d00:00:00.001 #3 new → new, forgotten:
            60d00:00:00.001 #1 new → planned, activity:, leaves at 120d00:00:00.001
            ends as planned
        "#]],
    );
}

#[test]
fn deadlines_of_one_instant_fire_by_rank_and_id() {
    check(
        MODEL,
        "0h apply lead=anon:b; 0h apply lead=user:2; 0h apply lead=anon:a; 0h apply lead=user:10; 9d tick",
        expect![[r#"
            0d00:00:00.000 anon:b #1 new → applied, activity:, leaves at 3d00:00:00.000
            0d00:00:00.000 user:2 #1 new → applied, activity:, leaves at 3d00:00:00.000
            0d00:00:00.000 #1 new → applied, activity:, leaves at 3d00:00:00.000
            0d00:00:00.000 user:10 #1 new → applied, activity:, leaves at 3d00:00:00.000
            3d00:00:00.000 user:10 #2 applied → new, fact_expired:
            3d00:00:00.000 user:2 #2 applied → new, fact_expired:
            3d00:00:00.000 #2 applied → new, fact_expired:
            3d00:00:00.000 anon:b #2 applied → new, fact_expired:
            ends as new
            anon:b ends as new
            user:10 ends as new
            user:2 ends as new
        "#]],
    );
}

#[test]
fn an_activity_behind_the_clock_is_evaluated_at_its_arrival() {
    check(
        MODEL,
        "2d tick; 1d apply arrived=1d; 1d ask; 9d tick",
        expect![[r#"
        1d00:00:00.000 #1 new → applied, activity:, leaves at 4d00:00:00.000
        4d00:00:00.000 #2 applied → new, fact_expired: heat 5
        ends as new, heat 0.156
    "#]],
    );
}

#[test]
fn the_whole_calendar_may_come_and_nothing_breaks() {
    let model = story::model(MODEL);
    let mut shard = story::shard(&model);
    let mut out = Vec::new();
    let extremes = [i64::MIN, -(1 << 46), -1, 0, 1, 4_102_444_800_000, (1 << 46) - 1, 1 << 46, i64::MAX];
    for (number, (timestamp_ms, t_ms)) in extremes.iter().flat_map(|a| extremes.map(|b| (*a, b))).enumerate()
    {
        let story = format!("0h use id=x{number} n=1; 0h apply id=y{number} lead=user:1");
        for mut step in story::steps(&story) {
            if let ripen_records::ActivityRecord::Activity(activity) = &mut step.record {
                activity.t_ms = t_ms;
                activity.arrival_ms = timestamp_ms;
            }
            let mut budget = ripen_scorer::Budget::new(100);
            let applied = shard.apply(&step.lead, &step.record, timestamp_ms, &mut budget, &mut out);
            let refused = matches!(applied, Err(ripen_scorer::Refused::Timestamp { .. }));
            assert_eq!(refused, !(-(1 << 46)..1 << 46).contains(&timestamp_ms), "{timestamp_ms}");
            shard.commit();
        }
    }
}

#[test]
fn keys_of_a_day_are_sealed_when_no_activity_can_reach_them() {
    // Ten days late at most, and one to spare: on the twelfth day the first one is sealed. Its points stay.
    let held = |story: &str| {
        let (shard, _, _) = story::run(&story::model(MODEL), story);
        shard.base().iter().next().expect("one lead").value().len()
    };
    let one = held("0h use origin=server");
    let both = held("0h use origin=server; 10d use origin=server");
    let sealed = held("0h use origin=server; 12d use origin=server");
    assert!(both > one + 24, "two keys");
    // The first event id is forgotten along with the key; the floor that it leaves takes six bytes.
    assert_eq!(sealed, one + 6);
    check(
        MODEL,
        "0h use origin=server; 12d use origin=server",
        expect![[r#"
        ends as new, total 4
    "#]],
    );
}

#[test]
fn a_lead_of_many_activities_stays_small() {
    let story: String =
        (0..5_000).map(|n| format!("{n}m use id=i{n} n={n}\n{n}m page_view /things/{n}\n")).collect();
    let (shard, _, _) = story::run(&story::model(MODEL), &story);
    let bytes = shard.base().iter().next().expect("one lead").value().len();
    assert!(bytes < 700, "{bytes} bytes");
}

#[test]
fn what_is_nobodys_is_ignored_or_refused_by_name() {
    let mut shard = story::shard(&story::model(MODEL));
    let point = ripen_records::ActivityRecord::Point(ripen_records::Point { root: "user:1".into() });
    let ignored = shard.apply("anon:1", &point, 0, &mut ripen_scorer::Budget::new(1), &mut Vec::new());
    assert_eq!(ignored, Ok(ripen_scorer::Applied::Ignored));
    let step = &story::steps("0h ping lead=nobody")[0];
    let refused = shard.apply("nobody", &step.record, 0, &mut ripen_scorer::Budget::new(1), &mut Vec::new());
    expect!["the record's key is no lead id: lead id has no known kind"]
        .assert_eq(&refused.expect_err("refused").to_string());
}

#[test]
fn without_a_model_nothing_is_applied() {
    let mut shard = ripen_scorer::Shard::new();
    let step = &story::steps("0h ping")[0];
    let mut budget = ripen_scorer::Budget::new(1);
    let refused = shard.apply(&step.lead, &step.record, step.arrival_ms, &mut budget, &mut Vec::new());
    assert_eq!(refused, Err(ripen_scorer::Refused::NoModel));
    assert_eq!(shard.clock(), i64::MIN, "nothing is staged");
    let model = story::model(MODEL);
    shard.switch(&story::switch_to(&model, 3), std::sync::Arc::clone(&model)).expect("the first");
    shard.abort();
    assert_eq!(shard.epoch(), None, "a switch is staged too");
    shard.switch(&story::switch_to(&model, 3), std::sync::Arc::clone(&model)).expect("the first");
    shard.switch(&story::switch_to(&model, 4), std::sync::Arc::clone(&model)).expect("the same again");
    shard.commit();
    assert_eq!(shard.epoch(), Some((4, model.hash.as_str())));
    let other = story::model(&MODEL.replace("version: 1", "version: 2"));
    shard.switch(&story::switch_to(&other, 5), std::sync::Arc::clone(&other)).expect("another model");
    assert_eq!(shard.epoch(), Some((5, other.hash.as_str())));
    let refused =
        shard.switch(&story::switch_to(&other, 6), model).expect_err("the model is not the one named");
    assert!(matches!(refused, ripen_scorer::Refused::SwitchModel { .. }), "{refused}");
}

#[test]
fn broken_bytes_are_refused_and_break_nothing() {
    let model = story::model(MODEL);
    let story = "0h page_view /things/a session=s; 1h use lead=anon:a traits.role=ceo n=5; 2h ask; 3h apply; 60h page_view /things/b
                 61h ping; 62h ping; 63h ping; 64h ping";
    let (shard, _, _) = story::run(&model, story);
    let bytes = shard.base().iter().next().expect("one lead").value().to_vec();
    let reader = ripen_scorer::LeadReader::new(std::sync::Arc::clone(&model));
    assert!(reader.read(&bytes, 0).is_ok());
    for end in 0..bytes.len() {
        assert!(reader.read(&bytes[..end], 0).is_err(), "cut at {end}");
    }
    let longer = [bytes.as_slice(), &[0]].concat();
    assert_eq!(reader.read(&longer, 0), Err(ripen_scorer::StateError::Trailing { bytes: 1 }));
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut broken = bytes.clone();
            broken[at] ^= 1 << bit;
            // Either refused or read as something else; never a panic.
            let _ = reader.read(&broken, 0);
        }
    }
    let mut other = ripen_scorer::Shard::new();
    assert_eq!(other.restore_lead("anon:b", &bytes), Err(ripen_scorer::StateError::OtherLead));
}

#[test]
fn an_exit_that_holds_already_is_announced_for_the_next_look() {
    // The answer came so late that the stage is not kept any more: it is entered, and left a millisecond later.
    check(
        r#"
apiVersion: ripen/v1
model: {id: recycled, version: 1}
rules:
  - {id: call, event: call, set: {called: 1h}}
stages:
  - {id: new, owner: marketing}
  - {id: warm, owner: marketing, enter: "fact.called", exit: "!fact.called"}
feedback:
  lost: {recycle_to: warm, for: 2h}
"#,
        "0h lost arrived=3h; 1d tick",
        expect![[r#"
            0d03:00:00.000 #1 new → warm, feedback:, leaves at 0d03:00:00.001
            0d03:00:00.001 #2 warm → new, decay:
            ends as new
        "#]],
    );
}

/// A deadline that changes nothing is no instant of the lead: what arrived before it and comes behind it is looked at as of
/// its arrival, when the stage was still kept, or still cooled down.
#[test]
fn what_ended_at_a_deadline_without_a_change_holds_for_what_arrived_before_it() {
    let model = |feedback: &str| {
        format!(
            r#"
apiVersion: ripen/v1
model: {{id: behind, version: 1}}
rules:
  - {{id: call, event: call, set: {{called: 1d}}}}
  - {{id: done, event: done, set: {{done: 5d}}}}
stages:
  - {{id: new, owner: marketing}}
  - {{id: warm, owner: marketing, enter: "fact.called", exit: "fact.done"}}
  - {{id: top, owner: marketing, enter: "fact.called && fact.done", exit: "!fact.called"}}
feedback:
  lost: {feedback}
"#
        )
    };
    check(
        &model("{recycle_to: warm, for: 2h}"),
        "0h lost; 3h tick; 1h done; 4h tick",
        expect![[r#"
        0d00:00:00.000 #1 new → warm, feedback:
        0d02:00:00.000 #2 warm → new, decay:
        ends as new
    "#]],
    );
    check(
        &model("{cooldown: {stage: warm, for: 2h}}"),
        "0h lost; 3h tick; 1h call; 4h tick; 5h call",
        expect![[r#"
            0d05:00:00.000 #1 new → warm, activity:
            ends as warm
        "#]],
    );
}
