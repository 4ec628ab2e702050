//! How large a lead may get, and what each part of a model adds to that, worked out by hand from the sizes of the state.

use ripen_model::compiled::Model;
use ripen_model::{LARGEST_LEAD_BYTES, compile};

/// 128 fixed, 64 · 258 for ids, 10 · (16 + 2) remembered, a stage's 36, 2 · 12 for scores, 64 for the clock of sales,
/// 2 · (20 + 6 · 66) for touches, 8 · 145 of history.
const BARE: u64 = 128 + 16_512 + 180 + 36 + 24 + 64 + 832 + 1_160;

/// A model with this in it: more of the section `time`, more scores, or sections behind the first stage.
fn model(more: &str) -> Model {
    compiled(more).unwrap_or_else(|errors| panic!("{errors}"))
}

fn compiled(more: &str) -> Result<Model, String> {
    let (mut time, mut scores, mut sections) = (", remember: 10", "", "");
    match more {
        _ if more.starts_with(", remember") => time = more,
        _ if more.starts_with(',') => scores = more,
        _ => sections = more,
    }
    let text = format!(
        "apiVersion: ripen/v1\nmodel: {{id: m, version: 1}}\ntime: {{late_accept: 30d{time}}}\n\
         scores: {{heat: {{half_life: 1d}}, ever: {{half_life: never}}{scores}}}\n\
         stages:\n  - {{id: a, owner: m}}\n{sections}"
    );
    compile("m.yaml", &text).map_err(|errors| errors.to_string())
}

#[test]
fn each_part_of_a_model_adds_what_it_may_keep() {
    let rule = |rest: &str| format!("rules: [{{id: r, event: e{rest}}}]");
    // A rule alone: 4, and 2 in each of 10 sets.
    let cases = [
        (String::new(), 0),
        ("  - {id: b, owner: m, enter: known}".to_owned(), 36),
        (", more: {half_life: 1d}".to_owned(), 12),
        (", remember: 11".to_owned(), 18),
        (rule(""), 24),
        (rule(", points: {heat: 1}"), 24 + 32 * 11),
        (rule(", points: {ever: 1}"), 24 + 11),
        (rule(", once: true"), 24 + 26),
        (rule(", once_per: [properties.x], max: 3"), 24 + 3 * 26),
        // 31 days until a bucket is sealed, and three buckets more.
        (rule(", once_per: [hour]"), 24 + 747 * 26),
        (rule(", once_per: [day]"), 24 + 34 * 26),
        (rule(", once_per: [week]"), 24 + 7 * 26),
        (rule(", set: {f: 1d}"), 24 + 2 * 10),
        ("rules: [{id: r, event: e, set: {f: 1d}}, {id: s, event: g, set: {f: 2d}}]".to_owned(), 28 + 3 * 10),
        ("rules: [{id: r, event: visit_started}]".to_owned(), 4 + 10 * 2 * 2),
        ("rules: [{id: r, event: '*'}, {id: s, event: e}]".to_owned(), 8 + 10 * 2 * 3),
        ("  - {id: b, owner: m, enter: \"traits.role == 'x'\"}".to_owned(), 36 + 256 + 40),
        ("audiences: {known: known}".to_owned(), 4),
        ("disqualify: [{id: d, when: known, reason: x}]".to_owned(), 4),
        ("alerts: [{id: l, when: known, to: [m]}]".to_owned(), 16),
        (
            "  - {id: b, owner: m, enter: known}\nhandover: {stages: [b], history: 20}".to_owned(),
            36 + 12 * 145,
        ),
        // A visit that opened with one of those adds 12 and 64.
        (
            "  - {id: b, owner: m, enter: known}\nhandover: {stages: [b], history: 20}\n\
             rules: [{id: r, event: visit_started}]"
                .to_owned(),
            36 + 12 * 145 + 20 * 76 + 4 + 10 * 2 * 2,
        ),
    ];
    for (sections, more) in cases {
        assert_eq!(model(&sections).worst_case_bytes_per_lead(), BARE + more, "{sections}");
    }
}

#[test]
fn a_key_keeps_the_property_that_a_window_sums() {
    let of = |measure: &str| {
        let stage = format!("  - {{id: b, owner: m, enter: \"{measure} >= 1\"}}\n");
        model(&format!("{stage}rules: [{{id: r, event: e}}]")).worst_case_bytes_per_lead()
    };
    assert_eq!(of("sum('r', properties.n, '1d')") - of("count('r', '1d')"), 32 * 10);
}

#[test]
fn a_typical_lead_has_seen_three_pages() {
    // Header 42, id 37, visit 20, 3 · (15 + 12 + 12) remembered and told of, two sets of 4, 106 in memory.
    const BARE: u64 = 42 + 37 + 20 + 117 + 8 + 106;
    let rules = |rules: &[&str]| format!("rules: [{}]", rules.join(", "));
    for (rules, more) in [
        (rules(&[]), 0),
        (rules(&["{id: r, event: e, points: {heat: 1}}"]), 0),
        (rules(&["{id: r, event: page_view, set: {f: 1d}}"]), 0),
        (rules(&["{id: r, event: page_view, points: {heat: 1}}"]), 2 * 10),
        (rules(&["{id: r, event: page_view, points: {heat: 1, ever: 1}}"]), 3 * 10),
        (rules(&["{id: r, event: page_view, points: {heat: 1}, once_per: [page.path]}"]), 2 * 10 + 3 * 10),
        (
            rules(&[
                "{id: r, event: page_view, points: {heat: 1}}",
                "{id: s, event: page_view, points: {heat: 1, ever: 1}}",
            ]),
            3 * 10,
        ),
    ] {
        let sections = if rules == "rules: []" { String::new() } else { rules.clone() };
        assert_eq!(model(&sections).typical_bytes_per_lead(), BARE + more, "{rules}");
    }
    // Places of more than 254 rules take two bytes each: 10 in the header, one for each activity.
    let many: Vec<String> = (0..255).map(|n| format!("{{id: r{n}, event: e}}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(model(&rules(&many[1..])).typical_bytes_per_lead(), BARE);
    assert_eq!(model(&rules(&many)).typical_bytes_per_lead(), BARE + 10 + 3);
}

#[test]
fn a_model_whose_lead_could_take_too_much_is_refused_with_its_largest_rules() {
    // A rule: 4, and 2 in each of 10 sets; a key: 26.
    let of = |keys_of_last: u64| {
        let max = |rule: u64| if rule < 9 { 1_000 } else { keys_of_last };
        let rule = |n| format!("{{id: r{n}, event: e, once_per: [properties.x], max: {}}}", max(n));
        format!("rules: [{}]", (0..10).map(rule).collect::<Vec<_>>().join(", "))
    };
    let bytes = |keys_of_last: u64| BARE + 10 * 24 + (9_000 + keys_of_last) * 26;
    assert!(bytes(344) <= LARGEST_LEAD_BYTES && LARGEST_LEAD_BYTES < bytes(345));
    assert_eq!(model(&of(344)).worst_case_bytes_per_lead(), bytes(344));
    let refused = compiled(&of(345)).expect_err("one key too many");
    let said =
        "one lead could take 262146 bytes, 262144 are allowed; the largest rules: `r8` 26004, `r7` 26004";
    assert!(refused.contains(said), "{refused}");
}

fn numbered(count: usize, entry: &dyn Fn(usize) -> String) -> String {
    (0..count).map(entry).collect::<Vec<_>>().join(", ")
}

fn audiences(count: usize) -> String {
    format!("audiences: {{{}}}", numbered(count, &|n| format!("a{n}: known")))
}

fn pages(count: usize) -> String {
    format!("pages: {{shop: [{}]}}", numbered(count, &|n| format!("/p{n}")))
}

fn events(count: usize) -> String {
    format!("rules: [{{id: r, event: [{}]}}]", numbered(count, &|n| format!("e{n}")))
}

#[test]
fn what_a_section_and_an_entry_may_hold_is_counted() {
    let scores = |count| format!(", {}", numbered(count - 2, &|n| format!("s{n}: {{half_life: 1d}}")));
    let lists = |count| format!("lists: {{{}}}", numbered(count, &|n| format!("l{n}: [x]")));
    let stages =
        |count| (1..count).map(|n| format!("  - {{id: s{n}, owner: m, enter: known}}\n")).collect::<String>();
    let escalations = |count| {
        let minutes = numbered(count, &|n| format!("{}m", n + 2));
        format!(
            "{}handover: {{stages: [s1]}}\nresponse: {{s1: {{within: 1m, answered_by: e, escalate: [{minutes}]}}}}",
            stages(2)
        )
    };
    let criteria = |count| {
        let answers = "answers: {event: q, criterion: properties.c, value: properties.v}";
        let criteria = numbered(count, &|n| format!("c{n}: 1"));
        format!("frameworks: {{use: F, score: ever, {answers}, F: {{{criteria}}}}}")
    };
    let section = |most| format!("this section has at most {most} entries");
    let entry = || "this has at most 4096 entries".to_owned();
    type Sections<'a> = &'a dyn Fn(usize) -> String;
    let cases: [(Sections<'_>, usize, String); 8] = [
        (&scores, 255, section("255")),
        (&audiences, 255, section("255")),
        (&lists, 8_192, section("8192")),
        (&pages, 4_096, entry()),
        (&events, 4_096, entry()),
        (&stages, 64, "a model has at most 64 stages".to_owned()),
        (&escalations, 16, "a clock has at most 16 escalations".to_owned()),
        (&criteria, 128, "answers to at most 128 criteria are kept".to_owned()),
    ];
    for (text, most, said) in cases {
        assert!(compiled(&text(most)).is_ok(), "{most} fit: {:?}", compiled(&text(most)).err());
        let refused = compiled(&text(most + 1)).expect_err("one too many");
        assert!(refused.contains(&said), "{refused}");
        assert_eq!(refused.matches("at most").count(), 1, "{refused}");
    }
    let values = numbered(10_000, &|n| format!("v{n}"));
    assert!(compiled(&format!("lists: {{l: [{values}]}}")).is_ok(), "the values of a list are not entries");
}

#[test]
fn what_holds_too_much_is_not_read_further() {
    for too_much in [audiences(256), pages(4_097), events(4_097)] {
        let refused = compiled(&format!("{too_much}\nalerts: [{{id: neither_event_nor_when}}]"));
        assert_eq!(refused.expect_err("too much").matches("error:").count(), 1);
    }
}

#[test]
fn a_file_has_four_mebibytes_at_most() {
    let text = "apiVersion: ripen/v1\nmodel: {id: m, version: 1}\nstages: [{id: a, owner: m}]\n#";
    for (bytes, fits) in [(4 << 20, true), ((4 << 20) + 1, false)] {
        let padded = format!("{text}{}", "x".repeat(bytes - text.len()));
        let said =
            compile("m.yaml", &padded).map(|_| ()).map_err(|errors| errors.findings[0].message.clone());
        let expected = if fits { Ok(()) } else { Err("a model file has at most 4194304 bytes".to_owned()) };
        assert_eq!(said, expected);
    }
}
