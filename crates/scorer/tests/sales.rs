//! From marketing to sales and back: verdicts, audiences, hand-over, response clocks, feedback, alerts (S9, S11, S21).

mod story;

use expect_test::expect;
use story::{DEALER, check};

#[test]
fn concept_31_a_buyer_is_handed_over_answered_and_won() {
    check(
        DEALER,
        "0h50m page_view /models/a lead=user:1
         1h form_submit lead=user:1 form=test_drive phone=79001234567
         1h1m identify lead=user:1 traits.region=Moscow
         1h4m crm_first_touch lead=user:1 origin=server
         2h crm_accepted lead=user:1 origin=server
         240h crm_won lead=user:1 origin=server amount=2500000",
        expect![[r#"
            0d01:00:00.000 user:1 #1 visitor → sql past nurture, activity: interest 4.997 intent 60, leaves at 4d19:07:11.629
            0d01:00:00.000 user:1 #2 enters suppress_ads, activity
            0d01:01:00.000 user:1 #3 handed over in sql, activity: [phone region] after 3
            0d01:01:00.000 user:1 #4 sql is Open, activity, due 0d01:06:00.000
            0d01:04:00.000 user:1 #5 sql is Answered, activity
            10d00:00:00.000 user:1 #6 sql → customer, feedback: interest 1.864 intent 6.01 fit 20
            user:1 ends as customer, interest 1.864, intent 6.01, fit 20
        "#]],
    );
}

#[test]
fn concept_59_a_lead_that_nobody_answers_is_overdue_and_escalated() {
    check(
        DEALER,
        "0h form_submit lead=user:1 form=test_drive phone=79001234567 origin=server
         2h tick
         3h crm_first_touch lead=user:1 origin=server
         4h crm_rejected lead=user:1 origin=server
         5h page_view /price lead=user:1
         400h tick",
        expect![[r#"
            0d00:00:00.000 user:1 #1 visitor → sql past nurture, activity: intent 60, leaves at 4d18:07:11.629
            0d00:00:00.000 user:1 #2 enters suppress_ads, activity
            0d00:02:00.000 user:1 #3 handed over in sql without region, timer: [phone] after 1
            0d00:02:00.000 user:1 #4 sql is Open, timer, due 0d00:07:00.000
            0d00:07:00.000 user:1 #5 sql is Overdue, timer, due 0d00:17:00.000
            0d00:17:00.000 user:1 #6 sql is Escalated 1, timer, due 0d01:02:00.000
            0d01:02:00.000 user:1 #7 sql is Escalated 2, timer
            0d03:00:00.000 user:1 #8 sql is Answered, activity
            0d04:00:00.000 user:1 #9 sql → nurture, feedback:
            0d04:00:00.000 user:1 #10 leaves suppress_ads, feedback
            0d04:00:00.000 user:1 #11 enters nurture_email, feedback
            gone
            user:1 ends as nurture, intent 0.223
        "#]],
    );
}

#[test]
fn of_two_response_clocks_the_older_one_goes_on() {
    check(
        DEALER,
        "0h form_submit lead=user:2 form=test_drive phone=79001234567 origin=server
         1m form_submit lead=user:1 form=test_drive phone=79001234567 origin=server
         4m alias lead=user:2 to=user:1
         9m tick",
        expect![[r#"
            0d00:00:00.000 user:2 #1 visitor → sql past nurture, activity: intent 60, leaves at 4d18:07:11.629
            0d00:00:00.000 user:2 #2 enters suppress_ads, activity
            0d00:01:00.000 user:1 #1 visitor → sql past nurture, activity: intent 60, leaves at 4d18:08:11.629
            0d00:01:00.000 user:1 #2 enters suppress_ads, activity
            0d00:02:00.000 user:2 #3 handed over in sql without region, timer: [phone] after 1
            0d00:02:00.000 user:2 #4 sql is Open, timer, due 0d00:07:00.000
            0d00:03:00.000 user:1 #3 handed over in sql without region, timer: [phone] after 1
            0d00:03:00.000 user:1 #4 sql is Open, timer, due 0d00:08:00.000
            0d00:04:00.000 user:2 #5 leaves suppress_ads, merge
            0d00:04:00.000 user:2 #6 is merged into user:1, merge
            0d00:07:00.000 user:1 #5 sql is Overdue, timer, due 0d00:17:00.000
            gone
            user:1 ends as sql, intent 59.923
            user:2 gone
        "#]],
    );
}

#[test]
fn a_lead_that_was_handed_over_under_either_id_is_not_handed_over_again() {
    check(
        DEALER,
        "0h form_submit lead=user:2 form=test_drive phone=79001234567 origin=server
         3m form_submit lead=user:1 form=test_drive phone=79001234567 origin=server
         4m alias lead=user:2 to=user:1
         5m identify lead=user:1 traits.region=Moscow",
        expect![[r#"
            0d00:00:00.000 user:2 #1 visitor → sql past nurture, activity: intent 60, leaves at 4d18:07:11.629
            0d00:00:00.000 user:2 #2 enters suppress_ads, activity
            0d00:02:00.000 user:2 #3 handed over in sql without region, timer: [phone] after 1
            0d00:02:00.000 user:2 #4 sql is Open, timer, due 0d00:07:00.000
            0d00:03:00.000 user:1 #1 visitor → sql past nurture, activity: intent 60, leaves at 4d18:10:11.629
            0d00:03:00.000 user:1 #2 enters suppress_ads, activity
            0d00:04:00.000 user:2 #5 leaves suppress_ads, merge
            0d00:04:00.000 user:2 #6 is merged into user:1, merge
            user:1 ends as sql, intent 59.981, fit 20
            user:2 gone
        "#]],
    );
}

#[test]
fn concept_57_nothing_is_handed_over_without_what_sales_needs() {
    check(
        DEALER,
        "0h form_submit lead=anon:a form=test_drive origin=server
         1h identify phone=79001234567
         2h link to=user:7
         90h tick",
        expect![[r#"
            0d00:00:00.000 #1 visitor → sql past nurture, activity: intent 60, leaves at 4d18:07:11.629
            0d00:00:00.000 #2 enters suppress_ads, activity
            0d02:00:00.000 #3 leaves suppress_ads, merge
            0d02:00:00.000 #4 is merged into user:7, merge
            0d02:00:00.000 user:7 #1 visitor → sql, merge: intent 58.856, leaves at 4d18:07:11.629
            0d02:00:00.000 user:7 #2 enters suppress_ads, merge
            0d02:00:00.000 user:7 #3 handed over in sql without region, merge: [phone] after 2
            0d02:00:00.000 user:7 #4 sql is Open, merge, due 0d02:05:00.000
            0d02:05:00.000 user:7 #5 sql is Overdue, timer, due 0d02:15:00.000
            0d02:15:00.000 user:7 #6 sql is Escalated 1, timer, due 0d03:00:00.000
            0d03:00:00.000 user:7 #7 sql is Escalated 2, timer
            gone
        "#]],
    );
}

#[test]
fn concept_8_a_verdict_hides_a_lead_until_it_ends_or_is_lifted() {
    check(
        DEALER,
        "0h page_view / lead=user:1; 0h form_submit lead=user:1 form=test_drive arrived=0h
         0h page_view / lead=user:2; 0h form_submit lead=user:2 form=test_drive
         3h crm_accepted lead=user:2 origin=server
         2400h tick",
        expect![[r#"
            0d00:00:00.000 user:1 #1 visitor → nql past nurture, sql, verdict: intent 60, leaves at 90d00:00:00.000
            0d00:00:00.000 user:1 #2 enters suppress_ads, verdict
            0d00:00:00.000 user:2 #1 visitor → nql past nurture, sql, verdict: intent 60, leaves at 90d00:00:00.000
            0d00:00:00.000 user:2 #2 enters suppress_ads, verdict
            0d03:00:00.000 user:2 #3 nql → sql, feedback: intent 58.292, leaves at 60d03:00:00.000
            30d00:00:00.000 user:2 #4 leaves suppress_ads, fact_expired
            60d03:00:00.000 user:2 #5 sql → nurture, fact_expired:
            60d03:00:00.000 user:2 #6 enters nurture_email, fact_expired
            90d00:00:00.000 user:1 #3 nql → nurture, verdict_expired:
            90d00:00:00.000 user:1 #4 leaves suppress_ads, verdict_expired
            90d00:00:00.000 user:1 #5 enters nurture_email, verdict_expired
            gone
            user:1 ends as nurture
            user:2 ends as nurture
        "#]],
    );
}

#[test]
fn concept_38_a_lost_lead_is_recycled_and_cools_down() {
    check(
        DEALER,
        "0h form_submit lead=user:1 form=test_drive phone=79001234567 origin=server
         24h crm_lost lead=user:1 origin=server
         25h page_view /price lead=user:1
         48h form_submit lead=user:1 form=test_drive origin=server
         750h form_submit lead=user:1 form=test_drive origin=server
         1600h tick",
        expect![[r#"
            0d00:00:00.000 user:1 #1 visitor → sql past nurture, activity: intent 60, leaves at 4d18:07:11.629
            0d00:00:00.000 user:1 #2 enters suppress_ads, activity
            0d00:02:00.000 user:1 #3 handed over in sql without region, timer: [phone] after 1
            0d00:02:00.000 user:1 #4 sql is Open, timer, due 0d00:07:00.000
            0d00:07:00.000 user:1 #5 sql is Overdue, timer, due 0d00:17:00.000
            0d00:17:00.000 user:1 #6 sql is Escalated 1, timer, due 0d01:02:00.000
            0d01:02:00.000 user:1 #7 sql is Escalated 2, timer
            1d00:00:00.000 user:1 #8 sql → mql, feedback: intent 47.622, leaves at 31d00:00:00.000
            1d00:00:00.000 user:1 #9 enters retarget_warm, feedback
            1d00:00:00.000 user:1 #10 leaves suppress_ads, feedback
            1d00:00:00.000 user:1 #11 enters nurture_email, feedback
            1d00:00:00.000 user:1 #12 sql is Closed, feedback
            2d00:00:00.000 user:1 #13 leaves retarget_warm, activity
            2d00:00:00.000 user:1 #14 enters suppress_ads, activity
            31d00:00:00.000 user:1 #15 mql → nurture, decay: intent 0.084
            31d06:00:00.000 user:1 #16 nurture → sql, activity: intent 60.009, leaves at 36d00:08:09.628
            31d06:00:00.000 user:1 #17 leaves nurture_email, activity
            31d06:02:00.000 user:1 #18 handed over in sql without region, timer: [phone] after 5
            31d06:02:00.000 user:1 #19 sql is Open, timer, due 31d06:07:00.000
            31d06:07:00.000 user:1 #20 sql is Overdue, timer, due 31d06:17:00.000
            31d06:17:00.000 user:1 #21 sql is Escalated 1, timer, due 31d07:02:00.000
            31d07:02:00.000 user:1 #22 sql is Escalated 2, timer
            36d00:08:09.628 user:1 #23 sql → nurture, decay: intent 19.999
            36d00:08:09.628 user:1 #24 enters nurture_email, decay
            36d00:08:09.628 user:1 #25 sql is Closed, decay
            61d06:00:00.000 user:1 #26 leaves suppress_ads, fact_expired
            gone
            user:1 ends as nurture, intent 0.017
        "#]],
    );
}

#[test]
fn concept_6_a_refusal_by_sales_says_why() {
    let (_, decisions, _) = story::run(
        &story::model(DEALER),
        "0h form_submit lead=user:1 form=test_drive origin=server; 1h crm_disqualified lead=user:1 origin=server reason=spam",
    );
    let last = decisions.last().expect("decisions");
    let verdicts = last.explanation.verdicts.iter();
    let told: Vec<_> = verdicts.map(|v| (v.id.as_str(), v.reason.as_deref(), v.until_ms)).collect();
    let until_ms = story::START_MS + 3_600_000 + 180 * 86_400_000;
    assert_eq!(told, [("sales_refused", Some("spam"), Some(until_ms))]);
}

const ALERTS: &str = r#"
apiVersion: ripen/v1
model: {id: alerts, version: 1}
scores: {interest: {half_life: 1h}}
rules:
  - {id: view, event: page_view, points: {interest: 10}}
  - {id: quiet, event: quiet, set: {quiet: 2h}}
stages:
  - {id: new, owner: marketing}
  - {id: warm, owner: marketing, enter: "score.interest >= 20", exit: "score.interest < 5"}
alerts:
  - {id: hot, when: "score.interest >= 30", to: [sales, chat], cool_down: 3h}
  - {id: cooling, when: "stage == 'warm' && score.interest < 10", to: sales, cool_down: 1h}
  - {id: asked, event: price_asked, where: "properties.price >= 100", to: owner, cool_down: 1h}
  - {id: back, when: "!fact.quiet && stage_for('4h')", to: robot, cool_down: 1m}
audiences:
  long_warm: "stage == 'warm' && stage_for('1h')"
bonuses:
  - {id: habit, when: "count('view', '30m') >= 2", score: interest, points: 3}
"#;

#[test]
fn concept_84_alerts_fire_when_they_begin_to_hold_and_then_keep_silent() {
    check(
        ALERTS,
        "0h page_view; 1m page_view; 2m page_view; 3m price_asked price=99; 3m price_asked price=100
         4m price_asked price=500; 63m price_asked price=500; 64m quiet; 120m page_view; 121m page_view; 122m page_view
         240m page_view; 240m page_view; 241m page_view; 20h tick",
        expect![[r#"
            0d00:01:00.000 #1 new → warm, activity: interest 22.885, leaves at 0d02:00:30.607
            0d00:02:00.000 #2 alert hot to sales chat, activity
            0d00:03:00.000 #3 alert asked to owner, activity
            0d01:01:00.000 #4 enters long_warm, decay
            0d01:03:00.000 #5 alert asked to owner, activity
            0d01:36:06.356 #6 alert cooling to sales, decay
            0d03:55:25.297 #7 alert cooling to sales, decay
            0d04:00:00.000 #8 alert hot to sales chat, activity
            0d04:01:00.000 #9 alert back to robot, decay
            0d05:59:08.134 #10 alert cooling to sales, decay
            0d06:59:08.393 #11 warm → new, decay: interest 4.999
            0d06:59:08.393 #12 leaves long_warm, decay
            0d10:59:08.393 #13 alert back to robot, decay
            ends as new, interest 0.001
        "#]],
    );
}

#[test]
fn concept_112_the_first_and_the_last_touch_travel_with_decisions() {
    let (_, decisions, _) = story::run(
        &story::model(DEALER),
        "0h page_view /models/a utm.source=mail; 1h page_view /price utm.source=ads
         2h page_view /models/b; 30m page_view /blog/x utm.source=feed arrived=3h
         4h newsletter_subscribe",
    );
    let touches = decisions.last().map(|decision| decision.touches.clone()).expect("decisions");
    let told = |touch: Option<ripen_records::Touch>| {
        touch.map(|touch| (touch.source.unwrap_or_default(), touch.t_ms - story::START_MS))
    };
    assert_eq!(told(touches.first), Some(("mail".to_owned(), 0)));
    assert_eq!(told(touches.last), Some(("ads".to_owned(), 3_600_000)));
}
