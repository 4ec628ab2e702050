//! Each finding of the linter: a model that has it, with the place and the arithmetic, and one that has not.

use std::collections::BTreeSet;

use ripen_model::{Level, LintFinding, compile, lint, lint_sample};

/// A model of these sections; scores, rules and stages are as usual unless they are given.
fn model(sections: &str) -> String {
    let mut text = "apiVersion: ripen/v1\nmodel: {id: tiny, version: 1}\n".to_owned();
    for (section, usual) in [
        ("scores:", "scores: {heat: {half_life: 7d, range: [0, 100]}}\n"),
        ("rules:", "rules: [{id: view, event: page_view, points: {heat: 5}, once_per: [page.path]}]\n"),
        (
            "stages:",
            "stages: [{id: cold, owner: m}, {id: warm, owner: m, enter: \"score.heat >= 10\", exit: \"score.heat < 5\", min_dwell: 1d}]\n",
        ),
    ] {
        if !sections.lines().any(|line| line.starts_with(section)) {
            text.push_str(usual);
        }
    }
    text + sections
}

fn findings(sections: &str) -> Vec<LintFinding> {
    let text = model(sections);
    let model = compile("m.yaml", &text).unwrap_or_else(|errors| panic!("{errors}"));
    lint(&model, &text)
}

/// The findings of one code, one a line: level, the excerpt's word at the column, message.
fn told(findings: &[LintFinding], code: &str) -> String {
    let of = findings.iter().filter(|finding| finding.code == code);
    let line = |f: &LintFinding| {
        let at: String = f.excerpt.chars().skip(f.column - 1).take(12).collect();
        format!("{} at «{at}»: {}", f.level.as_str(), f.message)
    };
    of.map(line).collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn check(sections: &str, code: &str, expect: &str) {
    let findings = findings(sections);
    assert_eq!(told(&findings, code), expect, "{findings:#?}");
}

/// Stages of a model with one more, whose `enter` and `exit` these are.
fn stage(enter: &str, exit: &str) -> String {
    let exit = if exit.is_empty() { String::new() } else { format!(", exit: \"{exit}\", min_dwell: 1d") };
    format!("stages:\n  - {{id: cold, owner: m}}\n  - {{id: warm, owner: m, enter: \"{enter}\"{exit}}}\n")
}

#[test]
fn a_stage_that_feedback_sends_leads_to_needs_no_other_way() {
    let never = stage("score.heat > 100", "");
    check(&format!("{never}feedback:\n  crm_back: {{recycle_to: warm}}\n"), "never_entered", "");
    let told =
        told(&findings(&format!("{never}feedback:\n  crm_back: {{clear: [heat]}}\n")), "never_entered");
    assert!(told.contains("the stage `warm` can never be entered"), "{told}");
}

#[test]
fn a_stage_that_nothing_reaches_is_an_error() {
    let cases = [
        ("score.heat > 100", "`score.heat > 100` cannot hold: what is left of its range is 0 to 100"),
        (
            "score.heat >= 50 && score.heat < 50",
            "`score.heat < 50` cannot hold: what is left of its range is 50 to 100",
        ),
        ("fact.a && !fact.a", "`fact.a` cannot hold and not hold"),
        ("traits.role == 'x' && traits.role == 'y'", "no value of `role` fits all of its conditions"),
        (
            "traits.role in ['x', 'y'] && traits.role.startsWith('z')",
            "no value of `role` fits all of its conditions",
        ),
        ("traits.size >= 5 && traits.size < 5", "no value of `size` fits all of its conditions"),
        ("known_for('1d') && !known", "an unknown lead is not known for any time"),
        ("known_for('1d') && !known_for('1h')", "its ages contradict each other"),
        (
            "count(view, '7d') >= 3 && count(view, '7d') < 2",
            "`count(view, '7d') < 2` contradicts the rest, or more than is held",
        ),
    ];
    let fact = "  - {id: f, event: f, set: {a: true}}\n";
    let rules = format!(
        "rules:\n  - {{id: view, event: page_view, points: {{heat: 5}}, once_per: [page.path]}}\n{fact}"
    );
    for (enter, why) in cases {
        let enter = enter.replace("view, ", "'view', ");
        let why = why.replace("view, ", "'view', ");
        let expect = format!("error at «\"{:.11}»: the stage `warm` can never be entered: {why}", enter);
        check(&format!("{rules}{}", stage(&enter, "")), "never_entered", &expect);
    }
    for enter in [
        "score.heat >= 100",
        "fact.a || (fact.a && !fact.a)",
        "traits.role == 'x' && !(traits.role == 'y')",
        "traits.size >= 5 && traits.size <= 5",
        "traits.size == 5 && traits.size in ['5', '6']",
        "traits.role.startsWith('x') && traits.role.endsWith('y')",
        "known && known_for('1d')",
        "score.heat <= 5 && score.heat >= 5",
    ] {
        check(&format!("{rules}{}", stage(enter, "")), "never_entered", "");
    }
}

#[test]
fn what_the_rules_can_reach_bounds_a_score() {
    let cases = [
        // Once, 32 paths by default, and a group's cap.
        ("points: {heat: 9}, once: true", 9, 10),
        ("points: {heat: 2}, once_per: [page.path]", 64, 65),
        ("points: {heat: 2}, once_per: [page.path], max: 3", 6, 7),
        // Daily with a half-life of a day: below 3 + a step; every match: without bound.
        ("points: {heat: 10}, once_per: [day]", 30, 40),
        ("points: {heat: 1}", 100, 101),
    ];
    for (rule, reached, beyond) in cases {
        for (threshold, errors) in [(reached, 0), (beyond, 1)] {
            let sections = format!(
                "scores: {{heat: {{half_life: 1d, range: [0, 100]}}}}\n\
                 rules: [{{id: view, event: page_view, {rule}}}]\n{}",
                stage(&format!("score.heat >= {threshold}"), "")
            );
            let found = findings(&sections);
            let errors_found = found.iter().filter(|finding| finding.code == "never_entered").count();
            assert_eq!(errors_found, errors, "{rule} against {threshold}: {found:#?}");
        }
    }
}

#[test]
fn an_exit_that_can_hold_while_enter_holds_is_an_error() {
    let rules = "rules:\n  - {id: view, event: page_view, points: {heat: 5}, once_per: [page.path], max: 9}\n  \
                 - {id: f, event: f, set: {a: 1d, b: true}}\n";
    let check = |enter: &str, exit: &str, expect: &str| {
        check(&format!("{rules}{}", stage(enter, exit)), "exit_while_enter", expect);
    };
    check("score.heat >= 20 && !fact.a", "score.heat < 10 || fact.a", "");
    check("fact.a || fact.b", "!(fact.a || fact.b)", "");
    check(
        "score.heat >= 20 || fact.a",
        "score.heat < 10",
        "error at «\"score.heat »: `exit` of the stage `warm` can hold while its `enter` holds: fact.a && score.heat < 10",
    );
    check(
        "score.heat >= 10",
        "score.heat < 20",
        "error at «\"score.heat »: `exit` of the stage `warm` can hold while its `enter` holds: \
         score.heat >= 10 && score.heat < 20",
    );
    check("score.heat >= 10", "score.heat < 10", "");
    check(
        "traits.size >= 5 || traits.role.matches('a+')",
        "!(traits.size >= 5) && !traits.role.matches('a+')",
        "",
    );
}

#[test]
fn definitions_and_verdicts_are_read_through() {
    let sections = "rules:\n  - {id: view, event: page_view, points: {heat: 5}, once_per: [page.path], max: 9}\n  \
        - {id: f, event: f, set: {a: 1d}}\n\
        definitions: {hot: \"score.heat >= 20\", asked: \"fact.a && traits.role == 'x'\"}\n\
        disqualify:\n  - {id: rival, when: \"traits.role == 'rival'\", reason: rival}\n  \
        - {id: fraud, event: f, reason: fraud, until: 1d}\n";
    let check = |enter: &str, exit: &str, expect: &str| {
        let found = findings(&format!("{sections}{}", stage(enter, exit)));
        let told: Vec<&str> = found
            .iter()
            .filter(|f| ["never_entered", "exit_while_enter", "not_decided"].contains(&f.code))
            .map(|f| f.message.as_str())
            .collect();
        assert_eq!(told.join("\n"), expect);
    };
    check("any_definition", "!any_definition", "");
    check("any_definition || fact.a", "!any_definition && !fact.a", "");
    check("disqualified", "!disqualified", "");
    check(
        "any_definition && score.heat < 20 && !fact.a",
        "",
        "the stage `warm` can never be entered: `score.heat < 20` cannot hold: what is left of its range is 20 to 45",
    );
    check(
        "disqualified && !disqualified",
        "",
        "the stage `warm` can never be entered: `traits.role == 'rival'` cannot hold and not hold",
    );
    check(
        "any_definition",
        "disqualified",
        "`exit` of the stage `warm` can hold while its `enter` holds: score.heat >= 20 && traits.role == 'rival'",
    );
}

#[test]
fn a_fall_lands_where_no_audience_looks() {
    let sections = |audience: &str| {
        format!(
            "rules: [{{id: view, event: page_view, points: {{heat: 5}}, once_per: [page.path], max: 9, set: {{seen: true}}}}]\n\
             stages:\n  - {{id: cold, owner: m}}\n  - {{id: known, owner: m, enter: \"fact.seen || score.heat >= 10\"}}\n  \
             - {{id: warm, owner: m, enter: \"score.heat >= 20\", exit: \"score.heat < 5\", min_dwell: 1d}}\n\
             audiences: {{mail: \"{audience}\"}}\n"
        )
    };
    // Who is warm was known before, so nobody falls to `cold`.
    check(&sections("stage in ['known', 'warm']"), "unread_landing", "");
    check(
        &sections("stage == 'warm'"),
        "unread_landing",
        "warning at «known, owner»: a fall from `warm` may land in `known`, which no audience reads",
    );
}

#[test]
fn what_is_not_decided_is_said() {
    let sections = "scores:\n  fast: {half_life: 1d, range: [0, 100]}\n  slow: {half_life: 7d, range: [0, 100]}\n\
        rules: [{id: view, event: page_view, points: {fast: 5, slow: 5}, once_per: [page.path]}]\n";
    check(
        &format!("{sections}{}", stage("score.fast >= 20", "score.slow < 10")),
        "not_decided",
        "info at «\"score.slow »: whether `exit` of the stage `warm` can hold while its `enter` holds is not decided: \
         `score.fast >= 20 && score.slow < 10`: `fast` and `slow` rise by the same activities",
    );
}

/// A score that never fades may hang on the rest of a condition, but not on itself.
#[test]
fn a_lasting_score_alone_is_decided() {
    let lasting = |enter: &str| {
        let stage = stage(enter, "");
        format!("scores: {{heat: {{half_life: never, range: [0, 100]}}}}\n{stage}")
    };
    check(&lasting("score.heat >= 20"), "not_decided", "");
    let told = told(&findings(&lasting("score.heat >= 20 && known")), "not_decided");
    assert!(told.contains("`score.heat` never fades and may hang on the rest"), "{told}");
}

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
fn thresholds_closer_than_a_step_flap() {
    let rules = "rules: [{id: view, event: page_view, points: {heat: 15}, once_per: [page.path]}]\n";
    let stages = |dwell: &str| {
        format!(
            "stages:\n  - {{id: cold, owner: m}}\n  - {{id: warm, owner: m, enter: \"score.heat >= 20\", exit: \"score.heat < 10\"{dwell}}}\n"
        )
    };
    check(
        &format!("{rules}{}", stages("")),
        "flapping",
        "warning at «\"score.heat »: the stage `warm` is entered at `score.heat >= 20` and left at `score.heat < 10`, \
         10 apart; without activity it holds for 7d (H·log2(enter/exit)); a single step is up to 15",
    );
    check(&format!("{rules}{}", stages(", min_dwell: 1d")), "flapping", "");
    check(
        &format!("{rules}{}", stages(", min_dwell: 1d")),
        "dwell",
        "info at «\"score.heat »: the stage `warm` is entered at `score.heat >= 20` and left at `score.heat < 10`, \
         10 apart; without activity it holds for 7d (H·log2(enter/exit))",
    );
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
        &stage("traits.role != 'x'", ""),
        "unequal_optional",
        "warning at «\"traits.role»: stage `warm`, `enter`: `!=` does not hold where `traits.role` is absent",
    );
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
