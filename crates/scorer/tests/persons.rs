//! The dealer's persons, by concept number, under the model of the repository.

mod story;

use expect_test::expect;
use story::{DEALER, check};

#[test]
fn concept_41_browsing_reading_and_following_make_an_mql() {
    check(
        DEALER,
        "0h page_view /models/a; 0h page_view /models/b; 0h page_view /models/c
         0h page_view /blog/winter-tyres; 0h social_subscribe
         30d tick",
        expect![[r#"
            0d00:00:00.000 #1 visitor → mql past nurture, activity: interest 31, leaves at 4d10:14:04.899
            0d00:00:00.000 #2 enters retarget_warm, activity
            4d10:14:04.899 #3 mql → nurture, decay: interest 19.998
            4d10:14:04.899 #4 leaves retarget_warm, decay
            ends as nurture, interest 1.589
        "#]],
    );
}

#[test]
fn concept_42_studied_left_came_back_and_booked_a_test_drive() {
    check(
        DEALER,
        "0h page_view /models/a; 0h page_view /models/a/trims/sport; 0h page_view /models/b/trims/base
         48h page_view /models/a
         48h5m form_submit form=test_drive
         60d tick",
        expect![[r#"
            2d00:05:00.000 #1 visitor → sql past nurture, activity: interest 19.837 intent 78.285, leaves at 7d21:50:05.362
            2d00:05:00.000 #2 enters suppress_ads, activity
            7d21:50:05.362 #3 sql → nurture, decay: interest 11.053 intent 19.999
            7d21:50:05.362 #4 enters nurture_email, decay
            32d00:05:00.000 #5 leaves suppress_ads, fact_expired
            ends as nurture, interest 0.064
        "#]],
    );
}

#[test]
fn concept_43_a_return_within_one_to_fourteen_days_counts() {
    check(
        DEALER,
        "0h page_view /price; 1m page_view /delivery; 2m page_view /payment; 3m newsletter_subscribe
         23h credit_calculated lead=anon:b
         2d page_view /
         2d1m credit_calculated
         20d page_view /
         20d1m credit_calculated",
        expect![[r#"
            0d00:03:00.000 #1 visitor → nurture, activity: interest 12 intent 29.99
            0d00:03:00.000 #2 enters nurture_email, activity
            2d00:01:00.000 #3 nurture → sql, activity: interest 14.845 intent 50.897, leaves at 6d01:02:41.443
            2d00:01:00.000 #4 leaves nurture_email, activity
            6d01:02:41.443 #5 sql → nurture, decay: interest 9.948 intent 19.999
            6d01:02:41.443 #6 enters nurture_email, decay
            ends as nurture, interest 2.497, intent 20.795
            anon:b ends as visitor, intent 0.246
        "#]],
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "what is said of one lead stands whole")]
fn concepts_147_and_110_every_decision_says_why_in_words_of_the_model() {
    let story =
        "0h page_view /models/a; 0h page_view /models/a/trims/sport; 0h page_view /models/b/trims/base
         1h page_view /models/c; 1h page_view /models/d; 1h page_view /models/e; 1h page_view /models/f
         48h page_view /models/a
         48h5m form_submit form=test_drive traits.region=Moscow
         60d tick";
    let (_, decisions, _) = story::run(&story::model(DEALER), story);
    let said: String = decisions.iter().map(|d| story::say(d) + &story::say_why(d)).collect();
    expect![[r#"
        0d01:00:00.000 #1 visitor → mql past nurture, activity: interest 30 intent 9.904, leaves at 4d18:23:29.052
          interest Rule model_view: 19.979
          interest Rule trim_view: 11.951
          interest Cap browsing: -1.93
          intent Rule trim_view: 9.904
          fact.contact is false, it was false
          score.interest >= 30 is true, it was 30
          fact.not_now is false, it was false
          model_view at 0d01:00:00.000 /models/e
          model_view at 0d01:00:00.000 /models/d
          model_view at 0d01:00:00.000 /models/c
          trim_view at 0d00:00:00.000 /models/a/trims/sport
          trim_view at 0d00:00:00.000 /models/b/trims/base
          facts: 
          input: clicks[0] 5
        0d01:00:00.000 #2 enters retarget_warm, activity
          interest Rule model_view: 19.979
          interest Rule trim_view: 11.951
          interest Cap browsing: -1.93
          intent Rule trim_view: 9.904
          stage in ['iql', 'mql'] is true, it was mql
          fact.applied is false, it was false
          disqualified is false, it was 
          facts: 
          input: clicks[0] 5
        2d00:05:00.000 #3 mql → sql, activity: interest 34.998 intent 78.285 fit 20, leaves at 7d21:50:05.362
          interest Rule model_view: 21.467
          interest Rule trim_view: 9.841
          interest Cap browsing: -1.308
          interest Rule came_back: 4.998
          intent Rule trim_view: 6.295
          intent Rule came_back: 11.99
          intent Rule test_drive: 60
          fit Fit region: 20
          fact.contact is true, it was true
          score.intent >= 50 is true, it was 78.285
          test_drive at 2d00:05:00.000 -
          came_back at 2d00:00:00.000 /models/a
          trim_view at 0d00:00:00.000 /models/a/trims/sport
          trim_view at 0d00:00:00.000 /models/b/trims/base
          facts: contact, applied
          input: clicks[0] 8
        2d00:05:00.000 #4 leaves retarget_warm, activity
          interest Rule model_view: 21.467
          interest Rule trim_view: 9.841
          interest Cap browsing: -1.308
          interest Rule came_back: 4.998
          intent Rule trim_view: 6.295
          intent Rule came_back: 11.99
          intent Rule test_drive: 60
          fit Fit region: 20
          stage in ['iql', 'mql'] is false, it was sql
          fact.applied is true, it was true
          disqualified is false, it was 
          test_drive at 2d00:05:00.000 -
          facts: contact, applied
          input: clicks[0] 8
        2d00:05:00.000 #5 enters suppress_ads, activity
          interest Rule model_view: 21.467
          interest Rule trim_view: 9.841
          interest Cap browsing: -1.308
          interest Rule came_back: 4.998
          intent Rule trim_view: 6.295
          intent Rule came_back: 11.99
          intent Rule test_drive: 60
          fit Fit region: 20
          fact.applied is true, it was true
          fact.won is false, it was false
          disqualified is false, it was 
          test_drive at 2d00:05:00.000 -
          facts: contact, applied
          input: clicks[0] 8
        7d21:50:05.362 #6 sql → mql, decay: interest 20.229 intent 19.999 fit 20, leaves at 8d00:36:00.081
          interest Rule model_view: 11.961
          interest Rule trim_view: 5.483
          interest Rule came_back: 2.785
          intent Rule trim_view: 1.608
          intent Rule came_back: 3.063
          intent Rule test_drive: 15.328
          fit Fit region: 20
          score.intent < 20 is true, it was 19.999
          fact.in_work is false, it was false
          test_drive at 2d00:05:00.000 -
          came_back at 2d00:00:00.000 /models/a
          trim_view at 0d00:00:00.000 /models/a/trims/sport
          trim_view at 0d00:00:00.000 /models/b/trims/base
          facts: contact, applied
        7d21:50:05.362 #7 enters nurture_email, decay
          interest Rule model_view: 11.961
          interest Rule trim_view: 5.483
          interest Rule came_back: 2.785
          intent Rule trim_view: 1.608
          intent Rule came_back: 3.063
          intent Rule test_drive: 15.328
          fit Fit region: 20
          stage in ['iql', 'nurture', 'mql'] is true, it was mql
          fact.contact is true, it was true
          fact.no_email is false, it was false
          test_drive at 2d00:05:00.000 -
          facts: contact, applied
        8d00:36:00.081 #8 mql → nurture, decay: interest 19.999 intent 19.474 fit 20
          interest Rule model_view: 11.826
          interest Rule trim_view: 5.42
          interest Rule came_back: 2.753
          intent Rule trim_view: 1.566
          intent Rule came_back: 2.983
          intent Rule test_drive: 14.925
          fit Fit region: 20
          score.interest < 20 is true, it was 19.999
          fact.not_now is false, it was false
          came_back at 2d00:00:00.000 /models/a
          model_view at 2d00:00:00.000 /models/a
          model_view at 0d01:00:00.000 /models/e
          model_view at 0d01:00:00.000 /models/d
          model_view at 0d01:00:00.000 /models/f
          facts: contact, applied
        32d00:05:00.000 #9 leaves suppress_ads, fact_expired
          interest Rule model_view: 1.101
          interest Rule trim_view: 0.504
          interest Rule came_back: 0.256
          intent Rule trim_view: 0.006
          intent Rule came_back: 0.012
          intent Rule test_drive: 0.058
          fit Fit region: 20
          fact.applied is false, it was false
          fact.won is false, it was false
          disqualified is false, it was 
          test_drive at 2d00:05:00.000 -
          facts: contact
    "#]].assert_eq(&said);
}
