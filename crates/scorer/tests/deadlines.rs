//! What time alone does to a lead, to the millisecond (S13), where the parts of a score move against each other.

mod story;

use expect_test::expect;
use story::check;

/// Praise is capped, blame is not: while more praise is left than counts, the score rises as blame fades, and falls
/// after that. A friend has some points more.
fn torn(points: i64, liked_from: i64) -> String {
    format!(
        r#"
apiVersion: ripen/v1
model: {{id: torn, version: 1}}
scores:
  heat: {{half_life: 1d, range: [-100, 100]}}
groups:
  praised: {{score: heat, max: 15}}
rules:
  - {{id: praise, event: praise, points: {{heat: 100}}, group: praised}}
  - {{id: blame, event: blame, points: {{heat: -30}}}}
  - {{id: meet, event: meet, set: {{friend: true}}}}
bonuses:
  - {{id: friend, when: "fact.friend", score: heat, points: {points}}}
stages:
  - {{id: new, owner: marketing}}
alerts:
  - {{id: liked, when: "score.heat >= {liked_from}", to: sales, cool_down: 5d}}
"#
    )
}

#[test]
fn a_score_that_rises_before_it_falls_is_seen_at_its_height() {
    let liked = |points, liked_from, story| {
        let (_, decisions, _) = story::run(&story::model(&torn(points, liked_from)), story);
        decisions.iter().map(story::say).collect::<String>()
    };
    for (points, liked_from) in [(1, 9), (3, 11), (-3, 5)] {
        // With the blame first nothing is to come but the end, in months, when the praise arrives.
        let story = "0h meet; 0h blame; 0h praise; 5d tick";
        expect![[r#"
            2d02:23:10.979 #1 alert liked to sales, decay
        "#]]
        .assert_eq(&liked(points, liked_from, story));
        let story = "0h meet; 0h praise; 0h blame; 5d tick";
        expect![[r#"
            0d00:00:00.000 #1 alert liked to sales, activity
        "#]]
        .assert_eq(&liked(points, liked_from, story));
    }
}

/// What waits for more than time: a stage that nothing hides, a cool-down, a bonus that comes and goes.
const WAITING: &str = r#"
apiVersion: ripen/v1
model: {id: waiting, version: 1}
scores: {total: {half_life: never}, heat: {half_life: 1d}}
rules:
  - {id: hello, event: hello, points: {total: 10}}
  - {id: meet, event: meet, set: {friend: true}}
  - {id: guest, event: guest, set: {guest: 1d}}
  - {id: party, event: party, set: {party: 2d}}
  - {id: glow, event: glow, points: {heat: 10}}
bonuses:
  - {id: welcome, when: "fact.guest || !fact.party", score: total, points: 5}
disqualify:
  - {id: refused, event: refuse, reason: rude, until: 2d, cap_stage: warm}
  - {id: tepid, when: "score.heat >= 5", reason: tepid, cap_stage: warm}
stages:
  - {id: new, owner: marketing}
  - {id: warm, owner: marketing, enter: "score.total >= 100"}
  - {id: close, owner: sales, enter: "fact.friend", exit: "!fact.friend"}
  - {id: vip, owner: sales, overrides: all, enter: "fact.friend && score.total >= 25", exit: "!fact.friend"}
feedback:
  lost: {cooldown: {stage: vip, for: 3h}}
audiences: {rich: "score.total >= 15"}
"#;

#[test]
fn a_verdict_that_ends_shows_the_stage_that_it_has_hidden() {
    check(
        WAITING,
        "0h meet; 1h refuse; 100h tick",
        expect![[r#"
        0d00:00:00.000 #1 new → close, activity: total 5
        0d01:00:00.000 #2 close → new, verdict: total 5
        2d01:00:00.000 #3 new → close, verdict_expired: total 5
        ends as close, total 5
    "#]],
    );
    // Its condition ends by itself.
    check(
        WAITING,
        "0h meet; 1h glow; 100h tick",
        expect![[r#"
        0d00:00:00.000 #1 new → close, activity: total 5
        0d01:00:00.000 #2 close → new, verdict: total 5 heat 10
        1d01:00:12.466 #3 new → close, verdict_expired: total 5 heat 4.999
        ends as close, total 5, heat 0.573
    "#]],
    );
}

#[test]
fn a_stage_that_overrides_is_entered_again_when_its_cool_down_is_over() {
    check(
        WAITING,
        "0h meet; 0h hello; 0h hello; 1h lost; 100h tick",
        expect![[r#"
        0d00:00:00.000 #1 new → close, activity: total 5
        0d00:00:00.000 #2 enters rich, activity
        0d00:00:00.000 #3 close → vip, activity: total 25
        0d01:00:00.000 #4 vip → close, feedback: total 25
        0d04:00:00.000 #5 close → vip, decay: total 25
        ends as vip, total 25
    "#]],
    );
}

#[test]
fn a_bonus_that_goes_and_comes_back_is_seen_both_times() {
    check(
        WAITING,
        "0h hello; 1h guest; 2h party; 100h tick",
        expect![[r#"
        0d00:00:00.000 #1 enters rich, activity
        1d01:00:00.000 #2 leaves rich, fact_expired
        2d02:00:00.000 #3 enters rich, fact_expired
        ends as new, total 15
    "#]],
    );
}

/// Whoever is sent back to a stage leaves those above it, whatever their conditions say, and those below stay.
#[test]
fn a_lead_that_is_sent_back_leaves_the_stages_above() {
    let model = r#"
apiVersion: ripen/v1
model: {id: back, version: 1}
scores: {total: {half_life: never}}
rules:
  - {id: hello, event: hello, points: {total: 10}}
stages:
  - {id: new, owner: marketing}
  - {id: seen, owner: marketing, enter: "score.total >= 10", exit: "score.total < 5"}
  - {id: warm, owner: marketing, enter: "score.total >= 20", exit: "score.total < 15"}
  - {id: hot, owner: sales, enter: "score.total >= 30", exit: "score.total < 25"}
feedback:
  lost: {clear: [total], recycle_to: warm, for: 2d}
  wrong: {recycle_to: seen, for: 1d}
"#;
    check(
        model,
        "0h hello; 1h hello; 2h hello; 3h lost; 4h hello; 100h tick",
        expect![[r#"
        0d00:00:00.000 #1 new → seen, activity: total 10
        0d01:00:00.000 #2 seen → warm, activity: total 20
        0d02:00:00.000 #3 warm → hot, activity: total 30
        0d03:00:00.000 #4 hot → warm, feedback:, leaves at 2d03:00:00.000
        2d03:00:00.000 #5 warm → seen, decay: total 10
        ends as seen, total 10
    "#]],
    );
    check(
        model,
        "0h hello; 1h hello; 2h hello; 3h wrong; 4h whatever; 100h tick",
        expect![[r#"
        0d00:00:00.000 #1 new → seen, activity: total 10
        0d01:00:00.000 #2 seen → warm, activity: total 20
        0d02:00:00.000 #3 warm → hot, activity: total 30
        0d03:00:00.000 #4 hot → seen, feedback: total 30
        0d04:00:00.000 #5 seen → hot past warm, activity: total 30
        ends as hot, total 30
    "#]],
    );
}

/// A lead rests while time alone can only take conditions away; a fact that ends may give one.
#[test]
fn a_lead_that_waits_for_a_fact_to_end_does_not_rest() {
    let model = r#"
apiVersion: ripen/v1
model: {id: resting, version: 1}
scores: {total: {half_life: never}}
rules:
  - {id: hello, event: hello, points: {total: 10}}
  - {id: pause, event: pause, set: {paused: 1d}}
  - {id: other, event: other, set: {other: 3d}}
stages:
  - {id: new, owner: marketing}
  - {id: warm, owner: marketing, enter: "score.total >= 10 && !fact.paused"}
"#;
    check(
        model,
        "0h pause; 1h hello; 30h whatever; 40h whatever",
        expect![[r#"
        1d06:00:00.000 #1 new → warm, activity: total 10
        ends as warm, total 10
    "#]],
    );
    check(
        model,
        "0h other; 0h pause; 1h hello; 30h whatever; 40h whatever",
        expect![[r#"
        1d06:00:00.000 #1 new → warm, activity: total 10
        ends as warm, total 10
    "#]],
    );
}
