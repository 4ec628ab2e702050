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
            4d10:14:04.899 #2 mql → nurture, decay: interest 19.998
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
            7d21:50:05.362 #2 sql → nurture, decay: interest 11.053 intent 19.999
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
            2d00:01:00.000 #2 nurture → sql, activity: interest 14.845 intent 50.897, leaves at 6d01:02:41.443
            6d01:02:41.443 #3 sql → nurture, decay: interest 9.948 intent 19.999
            ends as nurture, interest 2.497, intent 20.795
            anon:b ends as visitor, intent 0.246
        "#]],
    );
}
