//! Two leads become one (S10): what both know counts once, and of what each knows the newer or the stronger stays.

mod story;

use expect_test::expect;
use ripen_records::Change;
use story::check;

const MODEL: &str = r#"
apiVersion: ripen/v1
model: {id: merging, version: 1}
scores: {total: {half_life: never}, heat: {half_life: 1h}}
traits: {city: {from: traits.city}, phone: {from: properties.phone}}
rules:
  - {id: view, event: page_view, points: {total: 1}, once_per: [page.path], max: 9}
  - {id: visit, event: visit_started, points: {total: 100}}
  - {id: third, event: visit_started, where: "visit.number == 3", points: {total: 1000}}
  - {id: buy, event: buy, where: "properties.price >= 10", points: {total: 10}}
  - {id: glow, event: glow, points: {heat: 10}}
stages:
  - {id: new, owner: marketing}
  - {id: buyer, owner: marketing, enter: "count('buy', '30d') >= 1", exit: "count('buy', '30d') < 1"}
alerts:
  - {id: warm, when: "score.heat >= 5", to: sales, cool_down: 2h}
  - {id: called, event: call, to: sales, cool_down: 5h}
"#;

/// Of two copies of one activity the later one counts: the other is taken back whatever has become of it since.
#[test]
fn the_older_copy_is_taken_back_as_far_as_it_counts() {
    check(
        MODEL,
        // The later copy is too cheap to count.
        "0h buy id=b price=20 origin=server; 1h buy id=b price=5 lead=user:1 origin=server; 2h link to=user:1
         3h tick lead=user:1",
        expect![[r#"
            0d00:00:00.000 #1 new → buyer, activity: total 10, leaves at 30d00:00:00.000
            0d02:00:00.000 #2 is merged into user:1, merge
            gone
            user:1 ends as new
        "#]],
    );
    check(
        MODEL,
        // What else the lead has seen is known still: it counts no second time.
        "0h page_view /a id=a origin=server; 0h page_view /b origin=server; 0h buy price=10 origin=server
         1h page_view /a id=a lead=user:1 origin=server; 2h link to=user:1
         3h page_view /b lead=user:1 origin=server; 3h page_view /a lead=user:1 origin=server",
        expect![[r#"
            0d00:00:00.000 #1 new → buyer, activity: total 12, leaves at 30d00:00:00.000
            0d02:00:00.000 #2 is merged into user:1, merge
            0d02:00:00.000 user:1 #1 new → buyer, merge: total 12, leaves at 30d00:00:00.000
            gone
            user:1 ends as buyer, total 12
        "#]],
    );
    check(
        MODEL,
        // Another activity has replaced the older copy already.
        "0h page_view /a id=a lead=user:1 origin=server; 2h page_view /a lead=user:1 origin=server
         1h page_view /a id=a arrived=3h origin=server; 4h link to=user:1; 4h tick lead=user:1",
        expect![[r#"
            0d04:00:00.000 #1 is merged into user:1, merge
            gone
            user:1 ends as new, total 1
        "#]],
    );
}

/// The copies are one activity; what they say differently is the survivor's.
#[test]
fn of_two_copies_of_one_instant_the_survivor_s_trait_stays() {
    let model =
        MODEL.replace("{id: view,", "{id: moscow, event: identify, points: {heat: 0}}\n  - {id: view,");
    let model = model.replace(
        "enter: \"count('buy', '30d') >= 1\", exit: \"count('buy', '30d') < 1\"",
        "enter: \"traits.city == 'Omsk'\", exit: \"traits.city != 'Omsk'\"",
    );
    for (absorbed, survivor, expect) in [
        (
            "Omsk",
            "Perm",
            expect![[r#"
            0d00:00:00.000 #1 new → buyer, activity:
            0d01:00:00.000 #2 is merged into user:1, merge
            gone
            user:1 ends as new
        "#]],
        ),
        (
            "Perm",
            "Omsk",
            expect![[r#"
            0d00:00:00.000 user:1 #1 new → buyer, activity:
            0d01:00:00.000 #1 is merged into user:1, merge
            gone
            user:1 ends as buyer
        "#]],
        ),
    ] {
        check(
            &model,
            &format!(
                "0h identify id=i traits.city={absorbed} origin=server
                 0h identify id=i traits.city={survivor} lead=user:1 origin=server
                 1h link to=user:1; 1h tick lead=user:1"
            ),
            expect,
        );
    }
}

/// The later one, of one instant the survivor's: only one of them is dear enough to count.
#[test]
fn of_two_copies_one_counts() {
    for (absorbed, survivor, total) in [
        ("0h buy id=b price=20", "1h buy id=b price=5", 0),
        ("0h buy id=b price=5", "1h buy id=b price=20", 10_000),
        ("1h buy id=b price=5", "0h buy id=b price=20", 0),
        ("1h buy id=b price=20", "0h buy id=b price=5", 10_000),
        ("1h buy id=b price=5", "1h buy id=b price=20", 10_000),
        ("1h buy id=b price=20", "1h buy id=b price=5", 0),
        ("1h buy id=b price=20", "1h buy id=b price=30", 10_000),
    ] {
        let story = format!(
            "{absorbed} origin=server; {survivor} origin=server lead=user:1; 2h link to=user:1; 3h tick"
        );
        let (shard, _, _) = story::run(&story::model(MODEL), &story);
        let view = shard.lead("user:1", shard.clock()).expect("readable").expect("a lead");
        assert_eq!(story::sum_of(&view.lines, "total"), total, "{story}");
    }
}

/// What is cleared stays so: by the newest of the CRM's answers, in whatever order they come.
#[test]
fn a_score_is_cleared_up_to_the_newest_answer() {
    let model = MODEL.replace("stages:", "feedback: {lost: {clear: [total]}}\nstages:");
    let buy = "buy price=10 origin=server";
    for (story, total) in [
        (format!("0h {buy}; 1h lost origin=server; 2h {buy}; 3h lost origin=server; 4h {buy}"), 10_000),
        (
            format!("0h {buy}; 3h lost origin=server; 1h lost origin=server arrived=3h; 2h {buy} arrived=4h"),
            0,
        ),
        (format!("0h {buy}; 1h lost origin=server; 1h lost id=again origin=server; 2h {buy}"), 10_000),
    ] {
        let (shard, _, _) = story::run(&story::model(&model), &story);
        let view = shard.lead("anon:a", shard.clock()).expect("readable").expect("a lead");
        assert_eq!(story::sum_of(&view.lines, "total"), total, "{story}");
    }
}

/// Late for the lead's deadlines, but not for the activities that it still remembers.
#[test]
fn what_an_answer_that_comes_after_a_deadline_leaves_counts() {
    let model = MODEL.replace("scores:", "time: {late_accept: 1h}\nscores:").replace(
        "stages:",
        "feedback: {lost: {clear: [total]}}\naudiences: {old: \"stage_for('2h')\"}\nstages:",
    );
    for (lost, total) in [("20m", 10_000), ("30m", 0), ("40m", 0)] {
        let story = format!("30m buy price=10 origin=server; 5h tick; {lost} lost origin=server");
        let (shard, decisions, _) = story::run(&story::model(&model), &story);
        assert!(decisions.iter().any(|decision| matches!(decision.change, Change::AudienceChange(_))));
        let view = shard.lead("anon:a", shard.clock()).expect("readable").expect("a lead");
        assert_eq!(story::sum_of(&view.lines, "total"), total, "{story}");
    }
}

/// Days of which nothing can be accepted any more are sealed, but not before what counts in them is told apart.
#[test]
fn copies_of_long_ago_count_once() {
    let model = MODEL
        .replace("scores:", "time: {late_accept: 1h}\nscores:")
        .replace("stages:", "  - {id: daily, event: ping, points: {total: 7}, once_per: [day]}\nstages:");
    for (other, total) in [("1h ping id=i", 7_000), ("1h ping id=j", 14_000), ("25h ping id=i", 7_000)] {
        let story = format!(
            "0h ping id=i origin=server; {other} origin=server lead=user:1; 5d link to=user:1; 5d tick lead=user:1"
        );
        let (shard, _, _) = story::run(&story::model(&model), &story);
        let view = shard.lead("user:1", shard.clock()).expect("readable").expect("a lead");
        assert_eq!(story::sum_of(&view.lines, "total"), total, "{story}");
    }
}

#[test]
fn of_two_copies_of_one_instant_the_survivor_s_campaign_stays() {
    for (before, sources) in
        [("0h ping utm.source=first lead=user:1;", ["first", "kept"]), ("", ["kept", "kept"])]
    {
        let story = format!(
            "{before} 1h ping id=i utm.source=absorbed; 1h ping id=i utm.source=kept lead=user:1
             2h link to=user:1; 3h call lead=user:1"
        );
        let (_, decisions, _) = story::run(&story::model(MODEL), &story);
        let touches = &decisions.last().expect("an alert").touches;
        let found = [&touches.first, &touches.last].map(|touch| touch.as_ref()?.source.as_deref());
        assert_eq!(found, sources.map(Some), "{story}");
    }
}

#[test]
fn of_two_response_clocks_of_one_instant_the_survivor_s_goes_on() {
    let form = "form_submit form=test_drive phone=79001234567 origin=server";
    let story = format!(
        "0h {form} lead=user:1; 0h {form} lead=user:2; 3m crm_first_touch origin=server lead=user:1
         4m alias lead=user:2 to=user:1; 9m tick"
    );
    let (_, decisions, _) = story::run(&story::model(story::DEALER), &story);
    let of_user = decisions.iter().filter(|decision| decision.lead == "user:1");
    expect![[r#"
        0d00:00:00.000 user:1 #1 visitor → sql past nurture, activity: intent 60, leaves at 4d18:07:11.629
        0d00:00:00.000 user:1 #2 enters suppress_ads, activity
        0d00:02:00.000 user:1 #3 handed over in sql without region, timer: [phone] after 1
        0d00:02:00.000 user:1 #4 sql is Open, timer, due 0d00:07:00.000
        0d00:03:00.000 user:1 #5 sql is Answered, activity
    "#]]
    .assert_eq(&of_user.map(story::say).collect::<String>());
}

#[test]
fn an_alert_that_either_side_has_given_is_not_given_again() {
    check(
        MODEL,
        // The survivor is warm still, and its cool-down is over.
        "0h glow id=1; 0h glow lead=user:1; 0h glow id=2 lead=user:1; 0h glow id=3 lead=user:1; 0h glow id=4 lead=user:1
         1h59m tick; 2h1m link to=user:1; 6h tick lead=user:1",
        expect![[r#"
            0d00:00:00.000 #1 alert warm to sales, activity
            0d00:00:00.000 user:1 #1 alert warm to sales, activity
            0d02:01:00.000 #2 is merged into user:1, merge
            gone
            user:1 ends as new, total 200, heat 0.781
        "#]],
    );
    check(
        MODEL,
        "0h call; 4h call lead=user:1; 5h link to=user:1; 8h call; 9h1m call",
        expect![[r#"
            0d00:00:00.000 #1 alert called to sales, activity
            0d04:00:00.000 user:1 #1 alert called to sales, activity
            0d05:00:00.000 #2 is merged into user:1, merge
            0d09:01:00.000 user:1 #2 alert called to sales, activity
            gone
            user:1 ends as new, total 1400
        "#]],
    );
}

#[test]
fn the_newer_visit_goes_on_and_all_are_counted() {
    for (absorbed, survivor, expect) in [
        (
            "0h",
            "1h",
            expect![[r#"
                0d01:10:00.000 #1 is merged into user:1, merge
                gone
                user:1 ends as new, total 1304
            "#]],
        ),
        (
            "1h",
            "0h",
            expect![[r#"
                0d01:10:00.000 #1 is merged into user:1, merge
                gone
                user:1 ends as new, total 1304
            "#]],
        ),
    ] {
        check(
            MODEL,
            &format!(
                "{absorbed} page_view /a id=a; {survivor} page_view /b id=b lead=user:1
                 1h10m link to=user:1; 1h20m page_view /c id=c lead=user:1; 5h page_view /d id=d lead=user:1"
            ),
            expect,
        );
    }
}

#[test]
fn what_a_merge_brings_to_sales_is_the_merge_s_doing() {
    let model =
        MODEL.replace("alerts:", "handover: {stages: [buyer], require: [phone], history: 3}\nalerts:");
    check(
        &model,
        "0h buy price=10 lead=user:1 origin=server; 0h whatever phone=79001234567 origin=server; 1h link to=user:1
         2h tick lead=user:1",
        expect![[r#"
            0d00:00:00.000 user:1 #1 new → buyer, activity: total 10, leaves at 30d00:00:00.000
            0d01:00:00.000 #1 is merged into user:1, merge
            0d01:00:00.000 user:1 #2 handed over in buyer, merge: [phone] after 2
            gone
            user:1 ends as buyer, total 10
        "#]],
    );
}

#[test]
fn sales_are_told_how_long_a_page_was_looked_at() {
    let model = MODEL
        .replace(
            "{id: glow, event: glow,",
            "{id: glow, event: glow, where: \"properties.dwell_seconds >= 1\",",
        )
        .replace("alerts:", "handover: {stages: [buyer], require: [phone], history: 3}\nalerts:");
    let story = "0h page_view /a dwell_seconds=7.25 lead=user:1; 1h page_view /b lead=user:1
                 2h buy price=10 phone=79001234567 lead=user:1";
    let (_, decisions, _) = story::run(&story::model(&model), story);
    let handed_over = decisions.iter().find_map(|decision| match &decision.change {
        Change::Handover(handover) => Some(&handover.history),
        _ => None,
    });
    let dwells = handed_over.expect("a hand-over").iter().map(|entry| entry.dwell_ms);
    assert_eq!(dwells.collect::<Vec<_>>(), [Some(7_250), None, None]);
}
