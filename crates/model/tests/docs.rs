//! The examples of the language's document compile, and its broken one breaks as it says.

use ripen_model::compile;

const DOCUMENT: &str = include_str!("../../../docs/model.md");

/// What an example leaves out, section by section.
const REST: [(&str, &str); 4] = [
    ("apiVersion", "apiVersion: ripen/v1"),
    ("model", "model: {id: m, version: 1}"),
    ("scores", "scores: {fit: {half_life: never}}"),
    ("stages", "stages: [{id: visitor, owner: marketing}]"),
];

/// The fenced blocks: what stands behind the fence, and the text.
fn blocks() -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in DOCUMENT.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(kind), None) => open = Some((kind.to_owned(), String::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some((_, text))) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    blocks
}

/// The example with the sections that it leaves out in front.
fn complete(example: &str) -> String {
    let mut text = String::new();
    for (section, default) in REST {
        if !example.lines().any(|line| line.starts_with(&format!("{section}:"))) {
            text.push_str(default);
            text.push('\n');
        }
    }
    text + example
}

#[test]
fn every_example_compiles() {
    let examples: Vec<String> =
        blocks().into_iter().filter(|(kind, _)| kind == "yaml").map(|(_, text)| text).collect();
    assert!(examples.len() >= 10, "{} examples", examples.len());
    for example in examples {
        if let Err(errors) = compile("model.yaml", &complete(&example)) {
            panic!("{example}\n{errors}");
        }
    }
}

#[test]
fn the_broken_example_breaks_as_it_says() {
    let blocks = blocks();
    let at = blocks.iter().position(|(kind, _)| kind == "yaml broken").unwrap();
    let text = complete(&blocks[at].1);
    let errors = compile("model.yaml", &text).unwrap_err();
    assert_eq!(format!("{errors}\n"), blocks[at + 1].1);
}

#[test]
fn every_section_of_the_language_is_named() {
    // The loader names the sections it knows when it suggests one; the document has to name each, too.
    for section in [
        "model",
        "time",
        "pages",
        "traits",
        "scores",
        "groups",
        "rules",
        "lists",
        "fit",
        "stages",
        "bonuses",
        "frameworks",
        "definitions",
        "disqualify",
        "feedback",
        "audiences",
        "route",
        "value",
        "alerts",
        "next_step",
        "handover",
        "response",
        "tests",
    ] {
        assert!(DOCUMENT.contains(&format!("`{section}`")), "{section}");
    }
}
