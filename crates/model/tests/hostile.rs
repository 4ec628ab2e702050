//! Whatever a file holds, it is compiled or refused: no input panics, hangs or overflows the stack.

use proptest::prelude::*;
use ripen_model::{bundle, canonical_text, compile, parse_duration_ms, parse_micros};

const EXAMPLES: [&str; 4] = [
    include_str!("../../../models/auto-dealer.yaml"),
    include_str!("../../../models/saas.yaml"),
    include_str!("../../../models/shop.yaml"),
    include_str!("../../../models/b2b.yaml"),
];

const HEADER: &str = "apiVersion: ripen/v1\nmodel: {id: m, version: 1}\nscores: {a: {half_life: 7d}}\n";

/// Pieces of the language, put together without sense.
const PIECES: [&str; 48] = [
    "properties",
    "page.kind",
    "score.a",
    "fact.f",
    "traits.x",
    "lists.l",
    "known",
    "stage",
    "stage_for('1d')",
    "answers.x",
    "disqualified",
    "any_definition",
    "event: e",
    "when: known",
    "null, {}: []",
    "'a'",
    "\"",
    "'",
    "1",
    "0.5",
    "1e9",
    "==",
    "!=",
    "<",
    " in ",
    "&&",
    "||",
    "!",
    "-",
    "+",
    "*",
    "(",
    ")",
    "[",
    "]",
    ",",
    ".",
    "has(",
    "seen('r', '30d')",
    ".matches('(')",
    ".startsWith(",
    "true",
    "null",
    "{",
    "}",
    "?",
    "é",
    "\\",
];

/// A file with one condition in a rule and in a stage, written as a quoted scalar.
fn with_condition(condition: &str) -> String {
    let quoted = condition.replace('\'', "''");
    format!(
        "{HEADER}rules: [{{id: r, event: e, where: '{quoted}'}}]\n\
         definitions: {{d: '{quoted}'}}\ndisqualify: [{{id: v, when: '{quoted}', reason: x}}]\n\
         bonuses: [{{id: b, when: '{quoted}', score: a, points: 1}}]\naudiences: {{w: '{quoted}'}}\n\
         route: {{q: [['{quoted}', 1]]}}\nalerts: [{{id: l, when: '{quoted}'}}]\n\
         stages: [{{id: x, owner: o}}, {{id: y, owner: o, enter: '{quoted}'}}]\n"
    )
}

/// Compiles; findings must stand inside the file.
fn compiles_or_says_why(text: &str) {
    if let Err(errors) = compile("m.yaml", text) {
        assert!(!errors.findings.is_empty());
        let lines = text.lines().count();
        for finding in &errors.findings {
            assert!(finding.line >= 1 && finding.line <= lines + 1, "{finding:?}");
        }
        let _ = errors.to_string();
    }
}

#[test]
fn deep_and_long_files_are_refused_quietly() {
    for condition in [
        "(".repeat(100_000),
        "!".repeat(10_000) + "known",
        "-".repeat(10_000) + "1 > 0",
        "a".to_owned() + &".a".repeat(10_000),
        "a".to_owned() + &"[0]".repeat(5_000),
        vec!["1"; 10_000].join(" + "),
        vec!["known"; 2_000].join(" && "),
        vec!["known"; 2_000].join(" == "),
        "(known && ".repeat(8) + "known" + &")".repeat(8),
        "'".repeat(10_000),
        format!("properties.a in [{}]", vec!["'x'"; 4_000].join(",")),
        format!("properties.a.matches('{}')", "(a{1000}){1000}"),
        "x".repeat(1_000_000),
    ] {
        compiles_or_says_why(&with_condition(&condition));
    }
    for text in [
        "[".repeat(100_000),
        "{a: ".repeat(100_000),
        "- ".repeat(10_000),
        "a:\n".repeat(50_000),
        "? ".repeat(10_000),
        "\u{0}".to_owned(),
        "\u{feff}apiVersion: ripen/v1".to_owned(),
        "a: &x [*x]".to_owned(),
        "<<: {a: 1}".to_owned(),
        "%YAML 9.9\n---\na: 1".to_owned(),
        "stages: [null, 1, [a], {}]\nrules: [null, {id: r}]\nscores: {? [a] : b}\n".to_owned(),
        format!("{HEADER}stages:\n{}", "  - {id: a, owner: b}\n".repeat(10_000)),
        format!("{HEADER}stages: [{{id: a, owner: b}}]\nlists: {{l: [{}]}}", vec!["x"; 100_000].join(",")),
    ] {
        compiles_or_says_why(&text);
    }
}

#[test]
fn sections_of_any_size_are_refused_quietly() {
    let many = |count: usize, item: &dyn Fn(usize) -> String| -> String {
        (0..count).map(item).collect::<Vec<_>>().join(", ")
    };
    let stages = "stages: [{id: x, owner: o}, {id: y, owner: o, enter: known}]";
    for section in [
        format!("audiences: {{{}}}", many(10_000, &|ix| format!("a{ix}: known"))),
        format!("disqualify: [{}]", many(300, &|ix| format!("{{id: v{ix}, event: e, reason: x}}"))),
        format!("alerts: [{}]", many(300, &|ix| format!("{{id: l{ix}, event: e}}"))),
        format!("feedback: {{{}}}", many(9_000, &|ix| format!("e{ix}: {{value: 1}}"))),
        format!("bonuses: [{}]", many(500, &|ix| format!("{{id: b{ix}, when: score.a > 1, score: a, points: 1}}"))),
        format!("definitions: {{{}}}", many(2_000, &|ix| format!("d{ix}: any_definition"))),
        format!("tests: [{}]", many(1_000, &|ix| format!("{{name: p{ix}, expect: {{at: 1h, owner: p}}}}"))),
        format!(
            "frameworks: {{use: F, score: a, answers: {{event: e, criterion: properties.c, value: properties.v}}, F: {{{}}}}}",
            many(1_000, &|ix| format!("c{ix}: 1"))
        ),
        format!("handover: {{stages: [y], require: [{}]}}", many(1_000, &|ix| format!("t{ix}"))),
        format!("handover: {{stages: [y], require: [{}]}}", many(200_000, &|ix| format!("t{ix}"))),
        format!("alerts: [{{id: l, event: [{}]}}]", many(200_000, &|ix| format!("e{ix}"))),
        "handover: {stages: [null, [], {}]}\nresponse: {? [a] : {hours: {? {} : []}}}\ntests: [1, {}, {name: n, events: 5}]".to_owned(),
        "frameworks: {use: [], answers: 5, X: []}\nfeedback: {? [] : {}, x: []}\nroute: {topic: {}, q: [[], 5]}".to_owned(),
    ] {
        let text = format!("{HEADER}{stages}\n{section}\n");
        assert!(compile("m.yaml", &text).is_err(), "{}", &section[..60]);
        compiles_or_says_why(&text);
    }
}

#[test]
fn a_model_too_large_for_a_lead_is_refused() {
    let rules: String = (0..200)
        .map(|ix| {
            format!("  - {{id: r{ix}, event: e, points: {{a: 1}}, once_per: [page.path], max: 1024}}\n")
        })
        .collect();
    let text = format!("{HEADER}stages: [{{id: a, owner: b}}]\nrules:\n{rules}");
    let errors = compile("m.yaml", &text).unwrap_err();
    assert_eq!(errors.findings.len(), 1, "{errors}");
    assert!(errors.findings[0].message.starts_with("one lead could take"), "{errors}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_text_is_refused(text in "\\PC{0,300}") {
        compiles_or_says_why(&text);
        let _ = parse_duration_ms(&text);
        let _ = parse_micros(&text);
    }

    #[test]
    fn arbitrary_conditions_are_refused(pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..25)) {
        compiles_or_says_why(&with_condition(&pieces.concat()));
        compiles_or_says_why(&with_condition(&pieces.join(" ")));
    }

    #[test]
    fn a_mutated_model_is_compiled_or_refused(
        example in prop::sample::select(&EXAMPLES[..]),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..5, 0_usize..PIECES.len()), 1..6),
    ) {
        let mut text: Vec<char> = example.chars().collect();
        for (place, edit, piece) in edits {
            let at = place.index(text.len());
            let end = (at + 10).min(text.len());
            match edit {
                0 => drop(text.drain(at..end)),
                1 => drop(text.splice(at..at, PIECES[piece].chars())),
                2 => drop(text.splice(at..end, PIECES[piece].chars())),
                3 => {
                    let copy: Vec<char> = text[at..].iter().take(60).copied().collect();
                    text.splice(at..at, copy);
                }
                _ => text.swap(at, end - 1),
            }
        }
        compiles_or_says_why(&text.into_iter().collect::<String>());
    }

    #[test]
    fn any_file_of_a_list_becomes_a_list(values in "\\PC{0,60}(\n\\PC{0,60}){0,6}") {
        let text = format!("{HEADER}stages: [{{id: x, owner: o}}]\nlists: {{l: values.txt}}\n");
        let bundled = bundle("m.yaml", &text, &mut |_| Ok(values.clone()));
        if let Ok(bundled) = bundled {
            prop_assert_eq!(bundled.lines().count(), text.lines().count());
            let compiled = compile("m.yaml", &bundled);
            prop_assert!(compiled.is_ok(), "{:?}", compiled.map(|_| ()));
        }
    }

    #[test]
    fn a_number_reads_its_own_text(micros in -9_200_000_000_000_000_000_i64..=9_200_000_000_000_000_000) {
        prop_assert_eq!(parse_micros(&canonical_text(micros)), Some(micros));
    }

    #[test]
    fn numbers_floor_and_saturate_as_their_digits_say(
        negative in any::<bool>(), units in "[0-9]{1,16}", decimals in "[0-9]{0,12}", exponent in -20_i32..20,
    ) {
        let sign = if negative { "-" } else { "" };
        let point = if decimals.is_empty() { "" } else { "." };
        let text = format!("{sign}{units}{point}{decimals}e{exponent}");
        // The same in 128-bit numbers: all digits, scaled by a power of ten that fits, then floored.
        let digits: i128 = format!("{units}{decimals}").parse().unwrap();
        let digits = if negative { -digits } else { digits };
        let power = exponent - i32::try_from(decimals.len()).unwrap() + 6;
        let limit = 9_200_000_000_000_000_000_i128;
        let exact = if power >= 0 {
            10_i128.checked_pow(power.unsigned_abs()).and_then(|scale| digits.checked_mul(scale))
                .unwrap_or(if negative { -limit } else { limit })
        } else {
            digits.div_euclid(10_i128.pow(power.unsigned_abs()))
        };
        prop_assert_eq!(parse_micros(&text).map(i128::from), Some(exact.clamp(-limit, limit)), "{}", text);
    }
}
