//! Findings about rules, fields and samples: a model that has each, with the place and the arithmetic, and one that has
//! not.

mod linted;

use std::collections::BTreeSet;

use linted::{check, findings, model, stage, told};
use ripen_model::{Level, compile, lint_sample};

#[test]
fn rules_and_facts_that_nothing_reads() {
    let sections = "rules:\n  - {id: idle, event: a}\n  - {id: dead, event: b, set: {never_read: 1d}}\n  \
                    - {id: window, event: c, once_per: [day]}\n  - {id: heat, event: d, points: {heat: 20}, once: true}\n";
    let stages = stage("score.heat >= 10 || seen('window', '2d')", "");
    let found = findings(&format!("{sections}{stages}"));
    assert_eq!(
        told(&found, "unread_rule"),
        "warning at «idle, event:»: nothing reads the rule `idle`: it gives no points, no window counts it\n\
         warning at «dead, event:»: nothing reads the rule `dead`: it gives no points, no window counts it"
    );
    assert_eq!(
        told(&found, "unread_fact"),
        "warning at «{never_read:»: the fact `never_read` is set, and nothing reads it"
    );
    check(
        "feedback:\n  crm_won: {set: {won: true}}\n",
        "unread_fact",
        "warning at «{won: true}}»: the fact `won` is set, and nothing reads it",
    );
}

#[test]
fn a_habit_that_reaches_a_stage_alone_tells_its_steady_state() {
    // 5 / (1 − 2^(−1/7)) = 53.02; after 8 days 5 · (1 − 2^(−8/7)) / (1 − 2^(−1/7)) = 29.0, after 9 31.3.
    let rule = |rest: &str| {
        format!("rules: [{{id: habit, event: x, points: {{heat: 5}}, once_per: [day]{rest}}}]\n")
    };
    check(
        &format!("{}{}", rule(""), stage("score.heat >= 30", "")),
        "habit",
        "warning at «{heat: 5}, o»: the rule `habit` alone reaches `warm` after 9 by habit: once per day, \
         5 points of `heat` add up to 53 (p / (1 − 2^(−Δ/H)))",
    );
    check(&format!("{}{}", rule(""), stage("score.heat >= 54", "")), "habit", "");
    let capped = "groups: {browsing: {score: heat, max: 20}}\n";
    check(&format!("{}{capped}{}", rule(", group: browsing"), stage("score.heat >= 30", "")), "habit", "");
    let fit = |missing: i64| {
        let fit = |score: &str| {
            format!("{{id: {score}, trait: t, score: {score}, map: {{x: 1}}, missing: {missing}}}")
        };
        let scores = "scores: {heat: {half_life: 7d}, other: {half_life: 7d}}\n";
        format!("{scores}fit: [{}]\n{}{}", fit("other"), rule(""), stage("score.heat >= 50", ""))
    };
    // A trait that is absent gives to its own score.
    assert!(told(&findings(&fit(-10)), "habit").contains("alone reaches `warm`"));
    let given = fit(10).replace("score: other", "score: heat").replace(">= 50", ">= 60");
    assert!(told(&findings(&given), "habit").contains("alone reaches `warm` after "));
    assert_eq!(told(&findings(&fit(-10).replace("score: other", "score: heat")), "habit"), "");
    // The first match does it: no habit.
    check(&format!("{}{}", rule(""), stage("score.heat >= 5", "")), "habit", "");
    check(
        &format!("{}{}", rule(""), stage("score.heat >= 30 && fact.a", ""))
            .replace("rules: [", "rules: [{id: f, event: f, set: {a: true}}, "),
        "habit",
        "",
    );
}

#[test]
fn a_habit_is_told_by_its_finest_bucket() {
    // p / (1 − 2^(−Δ/H)) with p = 5 and H = 7 d.
    for (per, word, times, sum) in [
        ("hour", "hour", 2, "1214.4"),
        ("day", "day", 2, "53"),
        ("week", "week", 3, "10"),
        ("week, day", "day", 2, "53"),
    ] {
        let rules = format!(
            "scores: {{heat: {{half_life: 7d}}}}\n\
             rules: [{{id: habit, event: x, points: {{heat: 5}}, once_per: [{per}]}}]\n"
        );
        check(
            &format!("{rules}{}", stage("score.heat >= 8", "")),
            "habit",
            &format!(
                "warning at «{{heat: 5}}, o»: the rule `habit` alone reaches `warm` after {times} by habit: once per {word}, \
                 5 points of `heat` add up to {sum} (p / (1 − 2^(−Δ/H)))"
            ),
        );
    }
}

/// A habit brings its own facts and matches, once each in its bucket, and nothing of others.
#[test]
fn a_habit_meets_the_conditions_that_it_feeds_itself() {
    let rules = "rules:\n  - {id: other, event: y, once_per: [day], set: {theirs: true}}\n  \
                 - {id: habit, event: x, points: {heat: 5}, once_per: [day], set: {mine: true}}\n";
    for (enter, reached) in [
        ("score.heat >= 30 && fact.mine", "after 9"),
        ("score.heat >= 30 && fact.theirs", ""),
        ("days('habit', '7d') >= 5", "after 5"),
        ("days('habit', '7d') >= 8", ""),
        ("score.heat >= 30 && days('other', '7d') >= 1", ""),
        ("score.heat >= 30 && days('other', '7d') < 1", "after 9"),
        // What its matches add up to is not known.
        ("score.heat >= 30 && sum('habit', 'amount', '7d') < 100", ""),
    ] {
        let told = told(&findings(&format!("{rules}{}", stage(enter, ""))), "habit");
        let expect = told.contains(&format!("the rule `habit` alone reaches `warm` {reached} by habit"));
        assert!(if reached.is_empty() { told.is_empty() } else { expect }, "{enter}: {told}");
    }
}

#[test]
fn a_full_group_stays_full_for_as_long_as_it_was_overfed() {
    // 16 · 5 = 80 against 20: two half-lives.
    let sections = "groups: {browsing: {score: heat, max: 20}}\n\
        rules: [{id: view, event: page_view, points: {heat: 5}, once_per: [page.path], max: 16, group: browsing}]\n";
    check(
        sections,
        "cap_banking",
        "info at «20}}»: after its plausible maximum the group `browsing` stays at its cap of 20 for 14d \
         (H·log2(raw/cap), raw 80)",
    );
    check(&sections.replace("max: 16", "max: 4"), "cap_banking", "");
    // For ever: without a half-life; as long as it is fed: by every match, of a rule that gives it points.
    let another = |points: i64| {
        let rule = format!("[{{id: click, event: b, points: {{heat: {points}}}, group: browsing}}, ");
        told(&findings(&sections.replace("rules: [", &format!("rules: {rule}"))), "cap_banking")
    };
    assert!(another(0).contains("for 14d"), "{}", another(0));
    assert!(another(1).contains("as long as there were matches"), "{}", another(1));
    let lasting =
        format!("scores: {{heat: {{half_life: never}}}}\n{sections}").replace("page.path], max: 16", "day]");
    assert!(told(&findings(&lasting), "cap_banking").ends_with("for ever: its score never fades"));
}

#[test]
fn penalties_that_fade_and_points_without_once() {
    let sections = "rules:\n  - {id: bad, event: a, points: {heat: -20}, once: true}\n  - {id: click, event: b, points: {heat: 9}}\n";
    let found = findings(sections);
    assert_eq!(
        told(&found, "fading_penalty"),
        "warning at «{heat: -20},»: the penalty of the rule `bad` fades: half of its -20 points of `heat` come back \
         within 7d"
    );
    assert_eq!(
        told(&found, "double_click"),
        "warning at «{heat: 9}}»: every match of the rule `click` counts: a double click counts twice"
    );
    assert_eq!(
        told(&found, "mixed_signs"),
        "warning at «\"score.heat »: stage `warm`, `enter`: what `score.heat >= 10` reads fades with both signs, so it \
         may rise while nothing happens\n\
         warning at «\"score.heat »: stage `warm`, `exit`: what `score.heat < 5` reads fades with both signs, so it may \
         rise while nothing happens"
    );
    check(
        "scores: {heat: {half_life: never, range: [0, 100]}}\nrules: [{id: bad, event: a, points: {heat: -20}, once: true}]\nstages: [{id: cold, owner: m}]\n",
        "fading_penalty",
        "",
    );
}

#[test]
fn no_points_are_neither_a_penalty_nor_a_sign() {
    let rule =
        |id: &str, points: i64| format!("{{id: {id}, event: e, points: {{heat: {points}}}, once: true}}");
    let mixed = "what `score.heat >= 10` reads fades with both signs, so it may rise while nothing happens";
    for (points, expect) in [([5, 7], ""), ([-5, -7], ""), ([0, 7], ""), ([0, -7], ""), ([5, -7], mixed)] {
        let sections = format!(
            "rules: [{}, {}]\n{}",
            rule("a", points[0]),
            rule("b", points[1]),
            // Asked twice, told once.
            stage("score.heat >= 10 || (score.heat > 5 && known)", "")
        );
        let found = findings(&sections);
        let told_mixed = told(&found, "mixed_signs");
        assert!(
            told_mixed.ends_with(expect) && told_mixed.is_empty() == expect.is_empty(),
            "{points:?}: {told_mixed}"
        );
        assert_eq!(told_mixed.lines().count(), usize::from(!expect.is_empty()), "{points:?}");
        let penalties = points.iter().filter(|points| **points < 0).count();
        assert_eq!(told(&found, "fading_penalty").lines().count(), penalties, "{points:?}");
    }
    // What is subtracted has the other sign, and what never fades none.
    let subtracted = |half_life: &str| {
        let sections = format!(
            "scores: {{heat: {{half_life: 7d}}, other: {{half_life: {half_life}}}}}\n\
             rules: [{{id: r, event: e, points: {{heat: 5, other: 5}}, once: true}}]\n{}",
            stage("score.heat - score.other >= 3", "")
        );
        told(&findings(&sections), "mixed_signs")
    };
    assert!(subtracted("1d").contains("what `score.heat - score.other >= 3` reads fades with both signs"));
    assert_eq!(subtracted("never"), "");
}

#[test]
fn visits_and_absent_fields() {
    let rule = |condition: &str| {
        format!(
            "rules: [{{id: view, event: page_view, where: \"{condition}\", points: {{heat: 15}}, once: true}}]\n"
        )
    };
    check(
        &rule("visit.pages >= 3"),
        "reads_visit",
        "info at «\"visit.pages»: rule `view` reads `visit.pages`: what it counts depends on the order of arrival",
    );
    check(&rule("page.path == '/plans' && properties.plan == 'free'"), "reads_visit", "");
    check(
        &rule("properties.plan != 'free'"),
        "unequal_optional",
        "warning at «\"properties.»: rule `view`: `!=` does not hold where `properties.plan` is absent",
    );
    check(
        &rule("!(properties.plan == 'free')"),
        "unequal_optional",
        "warning at «\"properties.»: rule `view`: the negation holds where `properties.plan` is absent, too"
            .replace("\"properties.", "\"!(propertie")
            .as_str(),
    );
    check(&rule("has(properties.plan) && properties.plan != 'free'"), "unequal_optional", "");
    check(&rule("properties.plan == 'free'"), "unequal_optional", "");
    check(
        &rule("properties.plan != properties.old"),
        "unequal_optional",
        "warning at «\"properties.»: rule `view`: `!=` does not hold where `properties.plan` is absent",
    );
    check(&rule("properties.plan == properties.old"), "unequal_optional", "");
    check(
        "rules: [{id: view, event: page_view, points: {heat: 15}, once_per: [day, visit.number]}]\n",
        "reads_visit",
        "info at «[day, visit.»: rule `view` reads `visit.number`: what it counts depends on the order of arrival",
    );
}

#[test]
fn traits_that_may_be_absent() {
    let unequal = "`!=` does not hold where `traits.role` is absent";
    let negated = "the negation holds where `traits.role` is absent, too";
    for (enter, expect) in [
        ("traits.role != 'x'", unequal),
        ("!(traits.role == 'x')", negated),
        ("!(traits.role in ['x', 'y'])", negated),
        ("traits.role == 'x'", ""),
        ("!(traits.role != 'x')", ""),
        ("traits.role in ['x', 'y']", ""),
        ("traits.role != traits.old", unequal),
        ("!(traits.role == traits.old)", negated),
        ("traits.role == traits.old", ""),
        ("!(traits.role != traits.old)", ""),
        ("has(traits.role) && traits.role != 'x'", ""),
        ("has(traits.old) && traits.role != 'x'", unequal),
    ] {
        let told = told(&findings(&stage(enter, "")), "unequal_optional");
        let expect = match expect {
            "" => String::new(),
            of => format!("warning at «\"{enter:.11}»: stage `warm`, `enter`: {of}"),
        };
        assert_eq!(told, expect, "{enter}");
    }
}

#[test]
fn a_sample_tells_names_that_nobody_sends() {
    let text = model(
        "rules: [{id: a, event: [sign_up, page_view], points: {heat: 15}, once: true}, {id: v, event: visit_started, set: {x: 1d}}]\n",
    );
    let model = compile("m.yaml", &text).unwrap_or_else(|errors| panic!("{errors}"));
    let seen: BTreeSet<String> = ["page_view", "Sign Up", "signup"].map(str::to_owned).into();
    let found = lint_sample(&model, &text, &seen);
    assert_eq!(
        told(&found, "event_not_in_sample"),
        "warning at «sign_up, pag»: the event `sign_up` never occurs in the sample"
    );
    assert_eq!(found[0].suggestion.as_deref(), Some("did you mean `signup`?"));
    assert_eq!(
        told(&found, "event_not_in_model"),
        "info at «rules: [{id:»: the event `Sign Up` of the sample is named by nothing in the model\n\
         info at «rules: [{id:»: the event `signup` of the sample is named by nothing in the model"
    );
}

#[test]
fn bytes_are_told_and_findings_are_ordered_by_weight() {
    let found = findings("");
    let bytes = told(&found, "bytes");
    assert!(bytes.starts_with("info at «model: {id: »: a lead takes about "), "{bytes}");
    let mut levels: Vec<Level> = found.iter().map(|finding| finding.level).collect();
    levels.sort();
    assert_eq!(levels, found.iter().map(|finding| finding.level).collect::<Vec<_>>());
}

#[test]
fn a_finding_is_shown_as_compilers_show_theirs() {
    let found = findings("rules:\n  - {id: click, event: b, points: {heat: 11}}\n");
    let click = found.iter().find(|finding| finding.code == "double_click").expect("the finding");
    assert_eq!(
        click.display("m.yaml").to_string(),
        "m.yaml:6:35: warning[double_click]: every match of the rule `click` counts: a double click counts twice\n \
         6 |   - {id: click, event: b, points: {heat: 11}}\n   |                                   \
         ^ say `once: true`, or what makes two matches the same with `once_per`"
    );
}
