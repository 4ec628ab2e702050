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
fn every_key_of_the_language_is_named() {
    let schema: serde_json::Value = serde_json::from_str(&ripen_model::schema()).unwrap();
    let mut keys = 0;
    for definition in schema["$defs"].as_object().unwrap().values() {
        for key in definition["properties"].as_object().into_iter().flatten().map(|(key, _)| key) {
            let words = [format!("`{key}`"), format!("`{key}:"), format!("{key}:")];
            assert!(words.iter().any(|word| DOCUMENT.contains(word)), "{key}");
            keys += 1;
        }
    }
    assert!(keys > 100, "{keys} keys");
}

#[test]
fn every_rule_of_meaning_is_told() {
    for number in 1..=23 {
        assert!(DOCUMENT.contains(&format!("\n**S{number} ")), "S{number}");
    }
    assert!(DOCUMENT.contains("\n**S3a "));
}
