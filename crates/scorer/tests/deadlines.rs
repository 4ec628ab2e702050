//! What time alone does to a lead, to the millisecond (S13), where the parts of a score move against each other.

mod story;

use expect_test::expect;

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
