//! Which matches count, until when they can be told apart (S4), and what a decision says of them (S15, S16).

mod story;

use expect_test::{Expect, expect};

const MODEL: &str = r#"
apiVersion: ripen/v1
model: {id: counting, version: 1}
time: {late_accept: 1h}
scores: {total: {half_life: never}, heat: {half_life: 1d}}
traits: {amount: {from: [properties.first, properties.second]}}
rules:
  - {id: daily, event: ping, points: {total: 1}, once_per: [day]}
  - {id: twice, event: ping, points: {total: 100}, once_per: [day], max: 2}
  - {id: look, event: look, points: {heat: 20}, once_per: [properties.item], max: 5}
  - {id: chill, event: chill, points: {heat: -30}}
  - {id: meet, event: meet, set: {friend: true}}
definitions:
  buyer: "score.heat >= 30 && traits.amount >= 5"
  admirer: "score.heat >= 45"
disqualify:
  - {id: keen, when: "any_definition && !fact.friend", reason: keen, cap_stage: new}
  - {id: debtor, when: "traits.amount < 0", reason: debtor}
stages:
  - {id: new, owner: marketing}
  - {id: seen, owner: marketing, enter: "score.total >= 1 || score.heat >= 15", exit: "disqualified"}
  - {id: fit, owner: sales, enter: "any_definition", exit: "!any_definition"}
  - {id: marked, owner: sales, enter: "fact.friend && score.total >= 1", exit: "!fact.friend"}
"#;

/// Runs a story and compares what was said, and why.
fn check(story: &str, expect: Expect) {
    let (shard, decisions, _) = story::run(&story::model(MODEL), story);
    let mut said: String =
        decisions.iter().map(|decision| story::say(decision) + &story::say_why(decision)).collect();
    let view = shard.lead("anon:a", shard.clock()).expect("readable").expect("a lead");
    said.push_str(&format!("{} with {} points\n", view.stage, story::sum_of(&view.lines, "total") / 1_000));
    expect.assert_eq(&said);
}

/// Matches of a calendar are told apart until no activity can reach them: then what they gave stays for good, and is
/// no more one of the `max`.
#[test]
fn the_key_of_a_day_is_sealed_when_nothing_can_reach_it() {
    // Two days of the last count where there is a `max`, however long ago.
    check(
        "0h ping; 24h ping; 240h ping; 264h ping",
        expect![[r#"
        0d00:00:00.000 #1 new → seen, activity: total 101
          total Rule daily: 1
          total Rule twice: 100
          score.total >= 1 is true, it was 101
          score.heat >= 15 is false, it was 0
          twice at 0d00:00:00.000 -
          daily at 0d00:00:00.000 -
          facts: 
          input: clicks[0] 0
        seen with 204 points
    "#]],
    );
    // A day and an hour after its end the first day is known still, a millisecond later it is not.
    check(
        "0h ping; 176400000ms meet",
        expect![[r#"
        0d00:00:00.000 #1 new → seen, activity: total 101
          total Rule daily: 1
          total Rule twice: 100
          score.total >= 1 is true, it was 101
          score.heat >= 15 is false, it was 0
          twice at 0d00:00:00.000 -
          daily at 0d00:00:00.000 -
          facts: 
          input: clicks[0] 0
        2d01:00:00.000 #2 seen → marked, activity: total 101
          total Rule daily: 1
          total Rule twice: 100
          fact.friend is true, it was true
          score.total >= 1 is true, it was 101
          meet at 2d01:00:00.000 -
          twice at 0d00:00:00.000 -
          daily at 0d00:00:00.000 -
          facts: friend
          input: clicks[0] 1
        marked with 101 points
    "#]],
    );
    check(
        "0h ping; 176400001ms meet",
        expect![[r#"
        0d00:00:00.000 #1 new → seen, activity: total 101
          total Rule daily: 1
          total Rule twice: 100
          score.total >= 1 is true, it was 101
          score.heat >= 15 is false, it was 0
          twice at 0d00:00:00.000 -
          daily at 0d00:00:00.000 -
          facts: 
          input: clicks[0] 0
        2d01:00:00.001 #2 seen → marked, activity: total 101
          total Rule daily: 1
          total Rule twice: 100
          fact.friend is true, it was true
          score.total >= 1 is true, it was 101
          meet at 2d01:00:00.001 -
          twice at 0d00:00:00.000 -
          facts: friend
          input: clicks[0] 1
        marked with 101 points
    "#]],
    );
}

/// An activity may have arrived long before the lead's last one.
#[test]
fn a_sealed_day_takes_nothing_more() {
    check(
        "0h ping; 240h ping; 30m ping arrived=1h",
        expect![[r#"
        0d00:00:00.000 #1 new → seen, activity: total 101
          total Rule daily: 1
          total Rule twice: 100
          score.total >= 1 is true, it was 101
          score.heat >= 15 is false, it was 0
          twice at 0d00:00:00.000 -
          daily at 0d00:00:00.000 -
          facts: 
          input: clicks[0] 0
        seen with 202 points
    "#]],
    );
}

#[test]
fn a_decision_tells_of_definitions_and_verdicts_what_they_read() {
    check(
        "0h look item=1 first=6; 1h look item=2; 2h look item=3",
        expect![[r#"
        0d00:00:00.000 #1 new → seen, activity: heat 20
          heat Rule look: 20
          score.total >= 1 is false, it was 0
          score.heat >= 15 is true, it was 20
          look at 0d00:00:00.000 1
          facts: 
          input: clicks[0] 0
        0d01:00:00.000 #2 seen → new, verdict: heat 39.431
          heat Rule look: 39.431
          any_definition is true, it was buyer
          score.heat >= 30 is true, it was 39.431
          traits.amount >= 5 is true, it was 6
          look at 0d01:00:00.000 2
          look at 0d00:00:00.000 1
          facts: 
          input: clicks[0] 1
        new with 0 points
    "#]],
    );
    check(
        "0h look item=1 first=; 0h look item=1 first= second=7; 0h meet; 1h look item=42",
        expect![[r#"
        0d00:00:00.000 #1 new → seen, activity: heat 20
          heat Rule look: 20
          score.total >= 1 is false, it was 0
          score.heat >= 15 is true, it was 20
          look at 0d00:00:00.000 1
          facts: 
          input: clicks[0] 0
        0d01:00:00.000 #2 seen → fit, activity: heat 39.431, leaves at 0d10:27:54.314
          heat Rule look: 39.431
          any_definition is true, it was buyer
          score.heat >= 30 is true, it was 39.431
          traits.amount >= 5 is true, it was 7
          look at 0d01:00:00.000 42
          look at 0d00:00:00.000 1
          facts: friend
          input: clicks[0] 3
        fit with 0 points
    "#]],
    );
    check(
        "0h look item=1; 1h chill first=-5",
        expect![[r#"
            0d00:00:00.000 #1 new → seen, activity: heat 20
              heat Rule look: 20
              score.total >= 1 is false, it was 0
              score.heat >= 15 is true, it was 20
              look at 0d00:00:00.000 1
              facts: 
              input: clicks[0] 0
            0d01:00:00.000 #2 seen → new, verdict: heat -10.569
              heat Rule look: 19.431
              heat Rule chill: -30
              disqualified is true, it was debtor
              traits.amount < 0 is true, it was -5
              facts: 
              input: clicks[0] 1
            new with 0 points
        "#]],
    );
}

/// A verdict whose condition falls with time ends as a verdict does.
#[test]
fn a_verdict_that_decays_is_said_to_have_expired() {
    check(
        "0h ping; 0h look item=1 first=6; 0h look item=2; 400h tick",
        expect![[r#"
        0d00:00:00.000 #1 new → seen, activity: total 101
          total Rule daily: 1
          total Rule twice: 100
          score.total >= 1 is true, it was 101
          score.heat >= 15 is false, it was 0
          twice at 0d00:00:00.000 -
          daily at 0d00:00:00.000 -
          facts: 
          input: clicks[0] 0
        0d00:00:00.000 #2 seen → new, verdict: total 101 heat 40
          total Rule daily: 1
          total Rule twice: 100
          heat Rule look: 40
          any_definition is true, it was buyer
          score.heat >= 30 is true, it was 40
          traits.amount >= 5 is true, it was 6
          look at 0d00:00:00.000 1
          look at 0d00:00:00.000 2
          facts: 
          input: clicks[0] 2
        0d09:57:41.318 #3 new → seen, verdict_expired: total 101 heat 29.999
          total Rule daily: 1
          total Rule twice: 100
          heat Rule look: 29.999
          any_definition is false, it was 
          look at 0d00:00:00.000 1
          look at 0d00:00:00.000 2
          facts: 
        seen with 101 points
    "#]],
    );
}
