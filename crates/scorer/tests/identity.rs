//! Who is who: links, merges, erasures (S1, S10).

mod story;

use std::collections::BTreeMap;

use expect_test::expect;
use proptest::prelude::*;
use ripen_records::Decision;
use ripen_scorer::{Applied, Budget, FilterReason};
use story::check;

const MODEL: &str = r#"
apiVersion: ripen/v1
model: {id: identity, version: 1}
scores: {interest: {half_life: 1d}, total: {half_life: never}}
rules:
  - {id: view, event: page_view, points: {interest: 5, total: 1}, once_per: [page.path], max: 3}
  - {id: ping, event: ping, points: {total: 10}}
  - {id: form, event: form, points: {interest: 20}, once: true, set: {contact: 3d}}
stages:
  - {id: new, owner: marketing}
  - {id: warm, owner: marketing, enter: "score.interest >= 15", exit: "score.interest < 10"}
  - {id: hot, owner: sales, enter: "fact.contact && known", exit: "!fact.contact"}
"#;

#[test]
fn concept_3_the_anonymous_history_is_credited_when_the_person_becomes_known() {
    check(
        MODEL,
        "0h page_view /a; 1h page_view /b; 2h form
         3h link to=user:1
         3h page_view /c lead=user:1
         4h page_view /d",
        expect![[r#"
            0d02:00:00.000 #1 new → warm, activity: interest 29.577 total 2, leaves at 1d15:32:57.068
            0d03:00:00.000 #2 is merged into user:1, merge
            0d03:00:00.000 user:1 #1 new → hot, merge: interest 28.735 total 2, leaves at 3d02:00:00.000
            gone
            user:1 ends as hot, interest 33.32, total 3
        "#]],
    );
}

#[test]
fn concept_3_an_activity_that_both_remember_counts_once() {
    check(
        MODEL,
        "0h ping id=one; 0h ping id=one lead=user:1; 1h ping id=two; 2h ping id=three lead=user:1
         2h page_view /a id=p; 3h page_view /a id=q lead=user:1; 3h page_view /b id=p lead=user:1
         4h link to=user:1
         5h ping id=two lead=user:1",
        expect![[r#"
            0d04:00:00.000 #1 is merged into user:1, merge
            0d05:00:00.000 filtered: duplicate
            gone
            user:1 ends as new, interest 9.439, total 32
        "#]],
    );
}

#[test]
fn an_erasure_of_the_survivor_reaches_the_ids_that_it_has_absorbed() {
    check(
        MODEL,
        "0h ping; 0h ping lead=email:e; 1h link to=email:e; 2h link lead=email:e to=user:1; 3h erase lead=user:1
         4h ping; 5h ping lead=email:e; 6h ping lead=user:1",
        expect![[r#"
            0d01:00:00.000 #1 is merged into email:e, merge
            0d02:00:00.000 email:e #1 is merged into user:1, merge
            ends as new, total 10
            email:e ends as new, total 10
            user:1 ends as new, total 10
        "#]],
    );
}

#[test]
fn the_older_copy_of_an_activity_is_taken_back_with_its_key_and_its_visit() {
    let visits = MODEL.replace(
        "rules:",
        "rules:\n  - {id: day, event: visit_started, points: {total: 1000}, once_per: [day], max: 2}\n  - {id: visit, event: visit_started, points: {total: 100}}",
    );
    check(
        &visits,
        "0h page_view /a id=p; 1h page_view /b id=p lead=user:1; 2h link to=user:1",
        expect![[r#"
        0d02:00:00.000 #1 is merged into user:1, merge
        gone
        user:1 ends as new, interest 4.858, total 1101
    "#]],
    );
}

/// A stub is dropped 400 days after it was of use last, not after it was made.
#[test]
fn an_id_that_is_used_stays_known_for_years() {
    let used = "0h ping; 1h link to=user:1; 300d ping; 650d ping; 1000d ping";
    let (shard, _, _) = story::run(&story::model(MODEL), used);
    let total = |id: &str| {
        let lead = shard.lead(id, shard.clock()).expect("readable")?;
        Some(story::sum_of(&lead.lines, "total"))
    };
    assert_eq!((total("anon:a"), total("user:1")), (None, Some(40_000)));
    let (shard, _, _) = story::run(&story::model(MODEL), "0h ping; 1h link to=user:1; 401d ping");
    let lead = shard.lead("anon:a", shard.clock()).expect("readable").expect("a lead of its own again");
    assert_eq!(story::sum_of(&lead.lines, "total"), 10_000);
}

#[test]
fn an_anonymous_activity_stays_one_when_its_id_has_been_merged() {
    let model = MODEL.replace("{id: ping, event: ping,", "{id: ping, event: ping, anonymous: ignore,");
    for log in
        ["0h ping; 1h ping lead=user:1; 2h link to=user:1", "0h link to=user:1; 1h ping; 2h ping lead=user:1"]
    {
        let (shard, _, _) = story::run(&story::model(&model), &format!("{log}; 3h tick"));
        let lead = shard.lead("user:1", shard.clock()).expect("readable").expect("a lead");
        assert_eq!(story::sum_of(&lead.lines, "total"), 10_000, "{log}");
    }
}

#[test]
fn a_shared_device_does_not_fuse_its_visitors() {
    check(
        MODEL,
        "0h form; 1h link to=user:1; 2h link to=user:2; 3h page_view /x; 4h page_view /y lead=user:2
         5h link lead=user:1 to=user:2; 6h alias lead=user:1 to=user:2; 7h page_view /z",
        expect![[r#"
            0d00:00:00.000 #1 new → warm, activity: interest 20, leaves at 1d00:00:06.233
            0d01:00:00.000 #2 is merged into user:1, merge
            0d01:00:00.000 user:1 #1 new → hot, merge: interest 19.431, leaves at 3d00:00:00.000
            0d02:00:00.000 link refused
            0d05:00:00.000 link refused
            0d06:00:00.000 user:2 #1 is merged into user:1, merge
            gone
            user:1 ends as hot, interest 30.379, total 3
            user:2 gone
        "#]],
    );
}

#[test]
fn links_chain_up_to_the_strongest_id() {
    check(
        MODEL,
        "0h ping; 0h ping lead=email:e; 0h ping lead=crm:9
         1h link to=email:e; 2h link lead=anon:a to=crm:9; 3h link lead=email:e to=crm:9; 4h ping; 5h ping lead=email:e",
        expect![[r#"
            0d01:00:00.000 #1 is merged into email:e, merge
            0d02:00:00.000 email:e #1 is merged into crm:9, merge
            gone
            crm:9 ends as new, total 50
            email:e gone
        "#]],
    );
}

#[test]
fn concept_85_erasure_ends_the_life_under_every_id_and_what_was_under_way_is_dropped() {
    check(
        MODEL,
        "0h form; 1h link to=user:1; 2h ping lead=user:1
         3h erase
         4h ping arrived=3h; 4h ping lead=user:1 arrived=3h; 5h ping lead=user:1; 6h ping",
        expect![[r#"
            0d00:00:00.000 #1 new → warm, activity: interest 20, leaves at 1d00:00:06.233
            0d01:00:00.000 #2 is merged into user:1, merge
            0d01:00:00.000 user:1 #1 new → hot, merge: interest 19.431, leaves at 3d00:00:00.000
            0d03:00:00.000 user:1 #2 hot → new, erased: interest 18.34 total 10
            0d04:00:00.000 filtered: erased
            0d04:00:00.000 filtered: erased
            ends as new, total 10
            user:1 ends as new, total 10
        "#]],
    );
    check(
        MODEL,
        "0h form; 3h erase to=suppress; 5h ping; 6h link to=user:1; 900h ping",
        expect![[r#"
        0d00:00:00.000 #1 new → warm, activity: interest 20, leaves at 1d00:00:06.233
        0d03:00:00.000 #2 warm → new, erased: interest 18.34
        0d05:00:00.000 filtered: suppressed
        0d06:00:00.000 filtered: suppressed
        37d12:00:00.000 filtered: suppressed
        gone
    "#]],
    );
}

#[test]
fn lives_of_one_id_have_births_of_their_own() {
    // Both lives of the user begin with a lead that was born at the same instant.
    let (_, decisions, _) = story::run(
        &story::model(MODEL),
        "0h form lead=anon:a; 0h form lead=anon:b
         1h link lead=anon:a to=user:1
         2h erase lead=user:1
         3h link lead=anon:b to=user:1",
    );
    assert_eq!(ids_of(&decisions, "user:1"), (3, 3), "entered, erased, entered again");
    // The erasure reaches an id whose life has just ended in the erased lead; the next activity is of the same instant.
    let (_, decisions, _) = story::run(
        &story::model(MODEL),
        "0h erase lead=user:1
         1h form; 1h link to=user:1 arrived=0h
         1h form; 1h link to=user:1
         2h form; 2h link to=user:1",
    );
    assert_eq!(ids_of(&decisions, "anon:a"), (4, 4), "entered and merged, twice");
}

/// How many decisions a lead has, and how many ids they have.
fn ids_of(decisions: &[Decision], lead: &str) -> (usize, usize) {
    let of_lead = decisions.iter().filter(|decision| decision.lead == lead);
    let mut ids: Vec<&str> = of_lead.map(|decision| decision.id.as_str()).collect();
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    (count, ids.len())
}

/// A fast clock gives an activity an arrival that the partition has not come to: it counts as of now, as the request does.
#[test]
fn an_activity_of_the_instant_of_an_erasure_begins_no_life_of_the_same_birth() {
    let mut shard = story::shard(&story::model(MODEL));
    let (mut decisions, mut applied) = (Vec::new(), Vec::new());
    for step in story::steps(
        "0h form arrived=1h; 0h erase arrived=1h; 0h form arrived=2h; 0h tick; 0h form arrived=1h",
    ) {
        let timestamp_ms = story::START_MS + i64::from(step.record == story::steps("0h tick")[0].record);
        let budget = &mut Budget::new(u32::MAX);
        applied.push(
            shard.apply(&step.lead, &step.record, timestamp_ms, budget, &mut decisions).expect("applied"),
        );
        shard.commit();
    }
    let is_new_lead = |applied: &Applied| matches!(applied, Applied::Accepted { is_new_lead: true, .. });
    assert_eq!(applied[2], Applied::Filtered(FilterReason::Erased));
    assert!(is_new_lead(&applied[0]) && is_new_lead(&applied[4]), "{applied:?}");
    assert_eq!(ids_of(&decisions, "anon:a"), (3, 3), "entered, erased, entered again");
}

#[test]
fn a_life_that_was_told_of_is_told_to_be_over_in_the_first_stage_too() {
    check(
        &MODEL.replace("scores:", "time: {late_accept: 1h, forget: 90d, forget_anonymous: 30d}\nscores:"),
        "0h form; 100d tick",
        expect![[r#"
            0d00:00:00.000 #1 new → warm, activity: interest 20, leaves at 1d00:00:06.233
            1d00:00:06.233 #2 warm → new, decay: interest 9.999
            30d00:00:00.000 #3 new → new, forgotten:
            gone
        "#]],
    );
}

#[test]
fn an_erasure_outlasts_the_life_that_comes_after_it() {
    check(
        &MODEL.replace("scores:", "time: {late_accept: 1h, forget: 40d, forget_anonymous: 2h}\nscores:"),
        "0h erase; 1h ping; 719h tick; 719h ping arrived=0h; 720h tick; 720h ping arrived=0h; 720h ping",
        expect![[r#"
            29d23:00:00.000 filtered: erased
            ends as new, total 10
        "#]],
    );
}

#[test]
fn an_erasure_is_remembered_as_long_in_one_transaction_as_in_many() {
    let model = story::model(&MODEL.replace("scores:", "time: {late_accept: 40d, forget: 50d}\nscores:"));
    let steps = story::steps("0h erase; 1h ping; 721h ping; 721h ping arrived=0h");
    let [one, many] = [false, true].map(|each| {
        let (mut shard, mut last) = (story::shard(&model), None);
        for step in &steps {
            last = Some(story::apply(&mut shard, step, &mut Vec::new()));
            if each {
                shard.commit();
            }
        }
        last
    });
    assert_eq!(one, Some(Applied::Accepted { counted: 1, is_new_lead: false }));
    assert_eq!(one, many);
}

/// It had no life that the request could end: what came behind the request is not held against it.
#[test]
fn an_id_that_belonged_to_another_one_without_a_life_refuses_what_came_before_the_request() {
    check(
        MODEL,
        "1h link lead=user:1 to=crm:9; 2h erase lead=user:1 arrived=0h
         2h ping lead=user:1 arrived=30m; 3h ping lead=user:1 arrived=0h",
        expect![[r#"
            0d03:00:00.000 filtered: erased
            user:1 ends as new, total 10
        "#]],
    );
}

/// A tablet that was its first visitor's when it was erased is so after a second request.
#[test]
fn a_request_that_is_repeated_erases_no_other_visitor() {
    check(
        MODEL,
        "0h ping; 0h ping lead=user:2; 1h link to=user:1; 3h erase; 4h erase; 5h link to=user:2 arrived=2h",
        expect![[r#"
            0d01:00:00.000 #1 is merged into user:1, merge
            0d05:00:00.000 link refused
            gone
            user:2 ends as new, total 10
        "#]],
    );
}

/// An id was erased before it is known to whom it belonged: whoever that was is erased, as far as ids of one kind stand
/// for one person.
#[test]
fn a_link_from_before_an_erasure_erases_whom_the_id_belonged_to() {
    const IDS: [&str; 5] = ["anon:a", "anon:b", "crm:9", "user:1", "user:2"];
    let lives: String = IDS.iter().map(|id| format!("0h ping lead={id}; ")).collect();
    for (erased, later, left) in [
        ("anon:b", "5h link lead=anon:b to=user:1 arrived=2h", "anon:a crm:9 user:2"),
        ("anon:b", "5h link lead=anon:b to=user:1 arrived=4h", "anon:a crm:9 user:1 user:2"),
        // Devices of one person; users are told apart, unless somebody says that they are one.
        ("anon:b", "5h link lead=anon:b to=anon:a arrived=2h", "crm:9 user:1 user:2"),
        ("user:2", "5h link lead=user:2 to=user:1 arrived=2h", "refused: anon:a anon:b crm:9 user:1"),
        ("user:2", "5h alias lead=user:2 to=user:1 arrived=2h", "anon:a anon:b crm:9"),
        // It belonged to the first of them; and to one of each kind.
        (
            "anon:b",
            "5h link lead=anon:b to=user:1 arrived=2h; 6h link lead=anon:b to=user:2 arrived=2h",
            "refused: anon:a crm:9 user:2",
        ),
        (
            "anon:b",
            "5h link lead=anon:b to=user:1 arrived=2h; 6h alias lead=anon:b to=user:2 arrived=2h",
            "anon:a crm:9",
        ),
        (
            "anon:b",
            "5h link lead=anon:b to=user:1 arrived=2h; 6h link lead=anon:b to=crm:9 arrived=2h",
            "anon:a user:2",
        ),
        // Said again, it erases no later life.
        (
            "anon:b",
            "5h link lead=anon:b to=user:1 arrived=2h; 6h ping lead=user:1; 7h link lead=anon:b to=user:1 arrived=2h",
            "anon:a crm:9 user:1 user:2",
        ),
        // The id has begun another life meanwhile, which is nobody's yet.
        (
            "anon:b",
            "4h ping lead=anon:b; 5h link lead=anon:b to=user:1 arrived=2h",
            "anon:a anon:b crm:9 user:2",
        ),
        (
            "anon:b",
            "4h ping lead=anon:b; 5h link lead=anon:b to=anon:a arrived=2h",
            "anon:b crm:9 user:1 user:2",
        ),
        (
            "user:2",
            "4h ping lead=user:2; 5h link lead=user:2 to=user:1 arrived=2h",
            "anon:a anon:b crm:9 user:1 user:2",
        ),
        (
            "user:2",
            "4h ping lead=user:2; 5h alias lead=user:2 to=user:1 arrived=2h",
            "anon:a anon:b crm:9 user:2",
        ),
        // What belongs to the erased id is another matter.
        ("user:1", "5h link lead=anon:b to=user:1 arrived=2h", "anon:a crm:9 user:2"),
    ] {
        let (shard, _, said) =
            story::run(&story::model(MODEL), &format!("{lives}3h erase lead={erased}; {later}"));
        let lives = |id: &&str| shard.lead(id, shard.clock()).expect("readable").is_some();
        let refused = if said.contains("refused") { "refused: " } else { "" };
        let found = IDS.into_iter().filter(lives).collect::<Vec<_>>().join(" ");
        assert_eq!(format!("{refused}{found}"), left, "{erased} erased, {later}");
    }
}

#[test]
fn an_activity_that_is_too_late_leaves_an_erasure_as_it_is() {
    let model = story::model(MODEL);
    let steps = story::steps("0h form; 100h erase; 0h form arrived=721h; 50h ping arrived=100h");
    for transactions in [[true, true, true], [true, true, false], [true, false, false], [false, false, false]]
    {
        let (mut shard, mut decisions) = (story::shard(&model), Vec::new());
        let mut applied = Vec::new();
        for (number, step) in steps.iter().enumerate() {
            applied.push(story::apply(&mut shard, step, &mut decisions));
            if transactions.get(number).is_none_or(|ends| *ends) {
                shard.commit();
            }
        }
        let filtered = [FilterReason::Late, FilterReason::Erased].map(Applied::Filtered);
        assert_eq!(applied[2..], filtered, "transactions end here: {transactions:?}");
    }
}

#[test]
fn a_lead_merged_into_a_forgotten_one_is_the_same_in_one_transaction_and_in_many() {
    let time = "time: {late_accept: 1h, forget: 7h, forget_anonymous: 2h}\nscores:";
    let model = story::model(&MODEL.replace("scores:", time));
    let steps = story::steps(
        "0h erase lead=user:1; 1h ping lead=user:1
         9h ping; 9h link to=user:1",
    );
    let [one, many] = [false, true].map(|each| {
        let mut shard = story::shard(&model);
        for step in &steps {
            let _ = story::apply(&mut shard, step, &mut Vec::new());
            if each {
                shard.commit();
            }
        }
        shard.commit();
        let base = shard.base();
        base.iter().map(|entry| (*entry.key(), entry.value().clone())).collect::<BTreeMap<_, _>>()
    });
    assert_eq!(one.len(), 2, "the user and a stub");
    assert_eq!(one, many);
}

/// Rules of every recurrence, caps, a cleared score, facts: what has to come out the same however a person is split.
const WIDE: &str = r#"
apiVersion: ripen/v1
model: {id: wide, version: 1}
scores: {interest: {half_life: 1d, range: [0, 90]}, total: {half_life: never}, intent: {half_life: 6h}}
groups: {pages: {score: interest, max: 30}}
rules:
  - {id: view, event: page_view, points: {interest: 7, total: 1}, once_per: [page.path], max: 3, group: pages}
  - {id: daily, event: page_view, points: {interest: 2, intent: -1}, once_per: [day]}
  - {id: ping, event: ping, points: {total: 10, intent: 4}}
  - {id: form, event: form, points: {interest: 20}, once: true, set: {contact: 3d}}
  - {id: gone, event: gone, unset: [contact], points: {intent: -3}, once_per: [properties.n], max: 2}
feedback:
  crm_rejected: {clear: [intent, total], set: {refused: 1d}}
stages:
  - {id: new, owner: marketing}
  - {id: warm, owner: marketing, enter: "score.interest >= 15 && !fact.refused", exit: "score.interest < 10"}
  - {id: hot, owner: sales, enter: "fact.contact && known && score.intent > 2", exit: "!fact.contact"}
"#;

const IDS: [&str; 5] = ["anon:a", "anon:b", "device:c", "email:e", "user:u"];

/// A person's scores and facts when all of it is said and done.
fn state_of(lines: &[String], lead: &str) -> (Vec<(String, i64)>, Vec<String>) {
    let (shard, _, _) = story::run(&story::model(WIDE), &lines.join("\n"));
    let view = shard.lead(lead, shard.clock()).expect("readable").expect("a lead");
    let scores = view.scores.iter().map(|score| (score.name.clone(), score.milli)).collect();
    for score in &view.scores {
        assert_eq!(story::sum_of(&view.lines, &score.name), score.milli, "lines add up");
    }
    (scores, view.facts)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn any_split_and_any_order_of_merges_gives_the_same_scores(
        happened in prop::collection::vec((0..5_usize, 0..7_usize, 0..4_u8, 0..4_000_i64), 1..40),
        links in prop::collection::vec((0..5_usize, 0..5_usize, 0..4_000_i64), 0..6),
        last in prop::sample::subsequence(vec![0_usize, 1, 2, 3], 4).prop_shuffle(),
    ) {
        let names = ["page_view", "ping", "form", "gone", "crm_rejected", "page_view", "ping"];
        let mut happened: Vec<_> = happened.into_iter().enumerate().collect();
        happened.sort_by_key(|(n, (_, _, _, at))| (*at, *n));
        let mut split: Vec<(i64, String)> = Vec::new();
        let mut whole: Vec<String> = Vec::new();
        for (n, (id, name, about, at)) in happened {
            let line = |lead: &str| {
                format!("{at}m {} /p{about} id=e{n} n={about} origin=server lead={lead}", names[name])
            };
            split.push((at, line(IDS[id])));
            whole.push(line(IDS[4]));
        }
        // Some links come in the middle of it; in the end every id belongs to the user.
        for (from, to, at) in links {
            split.push((at, format!("{at}m link lead={} to={}", IDS[from], IDS[to])));
        }
        split.sort_by_key(|(at, _)| *at);
        let mut split: Vec<String> = split.into_iter().map(|(_, line)| line).collect();
        split.extend(last.into_iter().map(|id| format!("4001m link lead={} to=user:u", IDS[id])));
        // Whoever has no life yet needs one to be looked at.
        for lines in [&mut split, &mut whole] {
            lines.push("4001m nothing lead=user:u origin=server".to_owned());
            lines.push("4002m tick".to_owned());
        }
        prop_assert_eq!(state_of(&split, "user:u"), state_of(&whole, "user:u"));
    }
}
