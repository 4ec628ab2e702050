//! Findings about stages: whether they can be entered and left, whether they flap, where a fall from them lands.

mod linted;

use linted::{check, findings, stage, told};

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
        // Scores are thousandths: there is none between these.
        (
            "score.heat > 99.999 && score.heat < 100",
            "`score.heat < 100` cannot hold: what is left of its range is 100 to 100",
        ),
        (
            "score.heat != 0 && score.heat <= 0",
            "`score.heat <= 0` cannot hold: what is left of its range is 0.001 to 100",
        ),
        (
            "score.heat != 100 && score.heat >= 100",
            "`score.heat >= 100` cannot hold: what is left of its range is 0 to 99.999",
        ),
        ("fact.a && !fact.a", "`fact.a` cannot hold and not hold"),
        ("fact.a && !fact['a']", "`fact.a` cannot hold and not hold"),
        (
            "traits.size < traits.seats && !(traits['size'] < traits.seats)",
            "a comparison of two traits cannot hold and not hold",
        ),
        ("traits.role == 'x' && traits.role == 'y'", "no value of `role` fits all of its conditions"),
        (
            "traits.role in ['x', 'y'] && traits.role.startsWith('z')",
            "no value of `role` fits all of its conditions",
        ),
        ("traits.size >= 5 && traits.size < 5", "no value of `size` fits all of its conditions"),
        ("known_for('1d') && !known", "an unknown lead is not known for any time"),
        ("known_for('1d') && !known_for('1h')", "its ages contradict each other"),
        ("known_for('1d') && !known_for('24h')", "its ages contradict each other"),
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
        "score.heat > 5",
        "score.heat != 100 && score.heat >= 99.999",
        "score.heat != 0 && score.heat <= 0.001",
        "0.5 * score.heat > 10 && 0.5 * score.heat < 10.001",
        "fact.a || (fact.a && !fact.a)",
        "traits.role == 'x' && !(traits.role == 'y')",
        "traits.size >= 5 && traits.size <= 5",
        "traits.size == 5 && traits.size in ['5', '6']",
        "traits.role.startsWith('x') && traits.role.endsWith('y')",
        "traits.size < traits.seats",
        "!known",
        "known && known_for('1d')",
        "count('view', '7d') >= 3 && count('view', '7d') <= 3",
        "score.heat <= 5 && score.heat >= 5",
    ] {
        check(&format!("{rules}{}", stage(enter, "")), "never_entered", "");
    }
}

#[test]
fn what_the_rules_can_reach_bounds_a_score() {
    let cases = [
        // Once, 32 paths by default, at most three.
        ("1d", "points: {heat: 9}, once: true", "9", "10"),
        ("1d", "points: {heat: 2}, once_per: [page.path]", "64", "65"),
        ("1d", "points: {heat: 2}, once_per: [page.path], max: 3", "6", "7"),
        // Two buckets' matches may lie a moment apart, and a clock change shortens a bucket by an hour or a half:
        // p · (1 + 1 / (1 − 2^(−Δ/H))) with Δ = 23 h, 30 min, 167 h.
        ("1d", "points: {heat: 10}, once_per: [day]", "30.603", "30.605"),
        ("1d", "points: {heat: 1}, once_per: [hour]", "70.75", "70.752"),
        ("1d", "points: {heat: 10}, once_per: [week]", "20.081", "20.083"),
        // No bound is below the exact sum, 968,072.030057…, whatever floats lose in 100 years.
        ("36500d", "points: {heat: 0.383}, once_per: [hour]", "968072.03", "968072.04"),
        // Every match: without bound, but for the range.
        ("1d", "points: {heat: 1}", "1000000", "1000001"),
    ];
    for (half_life, rule, reached, beyond) in cases {
        for (threshold, errors) in [(reached, 0), (beyond, 1)] {
            let sections = format!(
                "scores: {{heat: {{half_life: {half_life}, range: [0, 1000000]}}}}\n\
                 rules: [{{id: view, event: page_view, {rule}}}]\n{}",
                stage(&format!("score.heat >= {threshold}"), "")
            );
            let found = findings(&sections);
            let errors_found = found.iter().filter(|finding| finding.code == "never_entered").count();
            assert_eq!(errors_found, errors, "{rule} against {threshold}: {found:#?}");
        }
    }
}

/// Each part that feeds a score moves its range, and no part of another score does.
#[test]
fn a_score_ranges_over_all_that_feeds_it() {
    let cases = [
        ("{heat: 9}, once: true", "", "0 to 9"),
        ("{heat: -20}, once: true", "", "-20 to 0"),
        ("{heat: 9}, once: true}, {id: s, event: e, points: {heat: 7}, once: true", "", "0 to 16"),
        ("{heat: -20}, once: true}, {id: s, event: e, points: {heat: -30}, once: true", "", "-50 to 0"),
        ("{heat: -20}, once: true}, {id: s, event: e, points: {heat: 7}, once: true", "", "-20 to 7"),
        // However often they are counted, no points are none.
        ("{heat: 0}", "", "0 to 0"),
        ("{heat: -20}, group: g, once: true", "groups: {g: {score: heat, min: -8}}", "-8 to 0"),
        ("{heat: 20}, group: g, once: true", "groups: {g: {score: heat, max: 8}}", "0 to 8"),
        ("{heat: 9}, once: true", "fit: [{id: f, trait: t, score: heat, map: {a: -3, b: 5}}]", "-3 to 14"),
        (
            "{heat: 9}, once: true",
            "fit: [{id: f, trait: t, score: heat, map: {a: 5}, default: -4}]",
            "-4 to 14",
        ),
        (
            "{heat: 9}, once: true",
            "fit: [{id: f, trait: t, score: heat, bands: [[10, 5]], missing: -6}]",
            "-6 to 14",
        ),
        (
            "{heat: 9}, once: true",
            "fit: [{id: f, trait: t, score: other, map: {a: 5}, missing: -6}]",
            "0 to 9",
        ),
        ("{heat: 9}, once: true", "bonuses: [{id: b, when: known, score: heat, points: 7}]", "0 to 16"),
        ("{heat: 9}, once: true", "bonuses: [{id: b, when: known, score: heat, points: -7}]", "-7 to 9"),
        ("{heat: 9}, once: true", "bonuses: [{id: b, when: known, score: other, points: 7}]", "0 to 9"),
        ("{heat: 9}, once: true", "frameworks: {use: F, score: heat, FRAME}", "0 to 109"),
        ("{heat: 9}, once: true", "frameworks: {use: F, score: other, FRAME}", "0 to 9"),
    ];
    for (points, more, expect) in cases {
        let more = more.replace(
            "FRAME",
            "F: {a: 1}, answers: {event: ask, criterion: properties.c, value: properties.v}",
        );
        let sections = format!(
            "scores: {{heat: {{half_life: 1d, range: [-1000, 1000]}}, other: {{half_life: 1d}}}}\n\
             rules: [{{id: r, event: e, points: {points}}}]\n{more}\n{}",
            stage("score.heat > 1000", "")
        );
        let told = told(&findings(&sections), "never_entered");
        assert_eq!(told.rsplit(" is ").next(), Some(expect), "{points} {more}: {told}");
    }
    // A sum of scores: each end by the end of every part, a negative weight exchanges them.
    for (sum, expect) in [
        ("score.heat + score.other", "-60 to 120"),
        ("score.heat + 2 * score.other", "-110 to 220"),
        ("score.heat - 0.5 * score.other", "-60 to 45"),
    ] {
        let sections = format!(
            "scores: {{heat: {{half_life: 1d, range: [-10, 20]}}, other: {{half_life: 1d, range: [-50, 100]}}}}\n\
             rules: [{{id: r, event: e, points: {{heat: 1, other: 1}}}}, {{id: s, event: e, points: {{heat: -1, other: -1}}}}]\n{}",
            stage(&format!("{sum} > 1000"), "")
        );
        let told = told(&findings(&sections), "never_entered");
        assert_eq!(told.rsplit(" is ").next(), Some(expect), "{sum}: {told}");
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
    // A stage that is left, too, holds nobody who falls.
    for (enter, exit) in [("fact.seen", "!fact.seen"), ("score.heat >= 10", "score.heat < 2")] {
        let left = format!("enter: \"{enter}\", exit: \"{exit}\", min_dwell: 1d");
        let text = sections("stage == 'warm'").replace("enter: \"fact.seen || score.heat >= 10\"", &left);
        check(
            &text,
            "unread_landing",
            "warning at «cold, owner:»: a fall from `known`, `warm` may land in `cold`, which no audience reads\n\
             warning at «known, owner»: a fall from `warm` may land in `known`, which no audience reads",
        );
    }
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

#[test]
fn conditions_that_may_hang_on_each_other_are_not_decided() {
    let rules = "rules:\n  - {id: view, event: page_view, points: {heat: 5}, once_per: [page.path], max: 9}\n  \
                 - {id: other, event: other, once_per: [day]}\n";
    // 2 to the 12th alternatives are looked at, no more.
    let pairs = |number: usize| vec!["(known || traits.role == 'x')"; number].join(" && ");
    let windows = |second: &str| format!("count('view', '7d') >= 3 && {second} < 2");
    let cases = [
        ("traits.size < traits.seats && traits.role == 'x'", ""),
        (
            "traits.size < traits.seats && traits.size > 5",
            "two traits are compared that other conditions read, too",
        ),
        (
            "traits.size < traits.seats && traits.seats > 5",
            "two traits are compared that other conditions read, too",
        ),
        (
            "traits.size < traits.seats && traits.rows < traits.seats",
            "two traits are compared that other conditions read, too",
        ),
        // A number just below a bound, and one written as a text.
        ("traits.size.endsWith('9') && !(traits.size >= 5)", ""),
        ("traits.size == 5 && traits.size.startsWith('5.')", "the conditions on `size` are not comparable"),
        (&windows("count('other', '7d')"), ""),
        (&windows("count('view', '1d')"), "several windows read one rule"),
        (&windows("days('view', '7d')"), "several windows read one rule"),
        (&pairs(12), ""),
        (&pairs(13), "it has over 4096 alternatives"),
        (&format!("({}) || ({})", pairs(11), pairs(11)), ""),
        (&format!("({}) || ({}) || !known", pairs(11), pairs(11)), "it has over 4096 alternatives"),
    ];
    for (enter, doubt) in cases {
        let found = findings(&format!("{rules}{}", stage(enter, "")));
        assert_eq!(told(&found, "never_entered"), "", "{enter}");
        let told = told(&found, "not_decided");
        assert!(told.is_empty() == doubt.is_empty() && told.ends_with(doubt), "{enter}: {told}");
    }
}

#[test]
fn scores_of_common_sources_hang_on_each_other() {
    let of = |x: &str, y: &str| {
        format!(
            "fit: [{{id: f, trait: t, score: {x}, map: {{a: 1}}}}, {{id: g, trait: {y}, map: {{a: 1}}}}]\n"
        )
    };
    let decided =
        "`exit` of the stage `warm` can hold while its `enter` holds: score.x >= 20 && score.y < 10";
    let doubtful = "`x` and `y` rise by the same activities";
    let cases = [
        ("", "score.x >= 20", decided),
        (&of("z", "u, score: z"), "score.x >= 20", decided),
        (&of("x", "u, score: y"), "score.x >= 20", decided),
        (&of("x", "t, score: y"), "score.x >= 20", doubtful),
        ("", "score.x + score.z >= 20", "score.x + score.z >= 20 && score.y < 10"),
        ("", "score.x + score.y >= 20", "several sums read `score.y`"),
    ];
    for (fit, enter, expect) in cases {
        let rules: Vec<String> = ["x", "y", "z"]
            .map(|score| {
                format!("{{id: {score}, event: {score}, points: {{{score}: 5}}, once_per: [page.path]}}")
            })
            .into();
        let range = "{half_life: 7d, range: [-50, 100]}";
        let sections = format!(
            "scores: {{x: {range}, y: {range}, z: {range}}}\nrules: [{}]\n{fit}{}",
            rules.join(", "),
            stage(enter, "score.y < 10")
        );
        let found = findings(&sections);
        let told = [told(&found, "exit_while_enter"), told(&found, "not_decided")].concat();
        assert!(told.ends_with(expect), "{fit}{enter}: {told}");
    }
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
fn a_step_of_the_whole_gap_does_not_flap() {
    let sections = |points: &str, enter: &str, exit: &str| {
        format!(
            "rules: [{{id: view, event: page_view, points: {{heat: {points}}}, once_per: [page.path]}}]\n\
             stages:\n  - {{id: cold, owner: m}}\n  - {{id: warm, owner: m, enter: \"{enter}\", exit: \"{exit}\"}}\n"
        )
    };
    check(&sections("10", "score.heat >= 20", "score.heat < 10"), "flapping", "");
    let told = |sections: &str| told(&findings(sections), "flapping");
    assert!(told(&sections("10.1", "score.heat >= 20", "score.heat < 10")).ends_with("is up to 10.1"));
    // A weight weighs the step, too.
    assert!(told(&sections("6", "2 * score.heat >= 20", "2 * score.heat < 10")).ends_with("is up to 12"));
}

/// Who enters at the very threshold at which the stage is left is out a moment later.
#[test]
fn one_threshold_for_both_flaps() {
    let stages = "stages: [{id: cold, owner: m}, {id: warm, owner: m, enter: score.heat >= 10, exit: score.heat < 10}]\n";
    check(
        stages,
        "flapping",
        "warning at «score.heat <»: the stage `warm` is entered at `score.heat >= 10` and left at `score.heat < 10`, \
         0 apart; without activity it holds for 0s (H·log2(enter/exit)); a single step is up to 5",
    );
}

#[test]
fn how_long_a_stage_is_held_follows_from_its_slowest_loss() {
    let told = |half_life: &str, more: &str, enter: &str, exit: &str| {
        let sections = format!(
            "scores: {{heat: {{half_life: {half_life}, range: [0, 100]}}, other: {{half_life: 7d, range: [0, 100]}}}}\n\
             {more}{}",
            stage(enter, exit)
        );
        let told = told(&findings(&sections), "dwell");
        told.split(", ").skip(1).collect::<Vec<_>>().join(", ")
    };
    let held = |gap: &str, time: &str| {
        format!("{gap} apart; without activity it holds for {time} (H·log2(enter/exit))")
    };
    // 7 d · log2(4) and 7 d · 0.585; 2 h · 0.585: from a day on to the hour, below to the minute.
    assert_eq!(told("7d", "", "score.heat >= 40", "score.heat < 10"), held("30", "14d"));
    assert_eq!(told("7d", "", "score.heat >= 30", "score.heat < 20"), held("10", "4d2h"));
    assert_eq!(told("2h", "", "score.heat >= 30", "score.heat < 20"), held("10", "1h10m"));
    assert_eq!(
        told("1d", "", "score.heat + score.other >= 40", "score.heat + score.other < 20"),
        held("20", "1d")
    );
    // Only what is entered upwards and left downwards is a threshold.
    assert_eq!(told("1d", "", "score.heat >= 40 && score.heat < 60", "score.heat < 20"), held("20", "1d"));
    // No such time: towards zero, of two sums, of what never fades, what is subtracted or what does not fade beside it.
    assert_eq!(told("7d", "", "score.heat >= 40", "score.heat <= 0"), "");
    assert_eq!(told("7d", "", "score.heat >= 40", "score.other < 20"), "");
    assert_eq!(told("never", "", "score.heat >= 40", "score.heat < 20"), "");
    assert_eq!(told("7d", "", "score.heat - score.other >= 40", "score.heat - score.other < 20"), "");
    let bonus = "bonuses: [{id: b, when: known, score: heat, points: 7}]\n";
    assert_eq!(told("7d", bonus, "score.heat >= 40", "score.heat < 20"), "");
}

/// A cap holds a penalty at its size while what earned the stage fades: 25 − 5 is below 10 after 0.74 half-lives, not 1.
#[test]
fn a_capped_penalty_makes_no_promise() {
    let told = |range: &str, group: &str, points: i64, enter: &str, exit: &str| {
        let sections = format!(
            "scores: {{heat: {{half_life: 7d{range}}}, other: {{half_life: 7d, range: [0, 100]}}}}\n\
             groups: {{g: {{score: heat, {group}}}}}\n\
             rules: [{{id: good, event: a, points: {{heat: 5}}, once_per: [page.path]}}, \
             {{id: bad, event: b, points: {{heat: {points}}}, once: true, group: g}}]\n{}",
            stage(enter, exit)
        );
        told(&findings(&sections), "dwell")
    };
    let promise = "it holds for 7d (H·log2(enter/exit))";
    let (enter, exit) = ("score.heat >= 20", "score.heat < 10");
    assert_eq!(told(", range: [-10, 100]", "min: -5", -20, enter, exit), "");
    assert_eq!(told(", range: [-10, 100]", "max: -5", -20, enter, exit), "");
    assert!(told(", range: [-10, 100]", "min: 0", -20, enter, exit).ends_with(promise));
    assert!(told(", range: [-10, 100]", "max: 0", -20, enter, exit).ends_with(promise));
    assert!(told(", range: [-10, 100]", "min: -5", 0, enter, exit).ends_with(promise));
    // Beside another score one below zero would have to fade in the same time, in no range that holds it.
    let (enter, exit) = ("score.heat + score.other >= 20", "score.heat + score.other < 10");
    assert_eq!(told(", range: [-10, 100]", "max: 0", -20, enter, exit), "");
    assert_eq!(told(", range: [-30, 100]", "max: 0", -20, enter, exit), "");
    assert!(told(", range: [0, 100]", "max: 0", -20, enter, exit).ends_with(promise));
}
