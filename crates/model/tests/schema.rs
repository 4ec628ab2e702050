//! The schema for editors is up to date, accepts every example model and refuses each kind of slip that it can see.

use expect_test::expect_file;
use jsonschema::Validator;
use ripen_model::compile;
use serde_json::Value;

const EXAMPLES: [(&str, &str); 4] = [
    ("models/auto-dealer.yaml", include_str!("../../../models/auto-dealer.yaml")),
    ("models/saas.yaml", include_str!("../../../models/saas.yaml")),
    ("models/shop.yaml", include_str!("../../../models/shop.yaml")),
    ("models/b2b.yaml", include_str!("../../../models/b2b.yaml")),
];

fn validator() -> Validator {
    let schema: Value = serde_json::from_str(&ripen_model::schema()).unwrap();
    assert!(jsonschema::meta::is_valid(&schema), "a schema of its draft");
    jsonschema::draft202012::new(&schema).unwrap()
}

fn json_of(yaml: &str) -> Value {
    serde_saphyr::from_str(yaml).unwrap_or_else(|error| panic!("{error}\n{yaml}"))
}

#[test]
fn the_committed_schema_is_the_printed_one() {
    expect_file!["../../../schemas/ripen-model.v1.schema.json"].assert_eq(&ripen_model::schema());
}

#[test]
fn the_example_models_fit() {
    let validator = validator();
    for (name, text) in EXAMPLES {
        let found: Vec<String> = validator
            .iter_errors(&json_of(text))
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(found.is_empty(), "{name}: {found:#?}");
    }
}

/// Each breaks one part of this model; the loader says where, the schema underlines it.
const SOUND: &str = r#"
apiVersion: ripen/v1
model: {id: m, version: 1, agreed_on: 2026-11-01}
time: {late_accept: 30d, remember: 128}
scores: {interest: {half_life: 7d, range: [0, 100]}}
rules: [{id: r, event: page_view, points: {interest: 5}, once_per: [day], set: {seen: 30d}}]
disqualify: [{id: d, event: spam, reason: {from: properties.reason}}]
route: {queue: [["fact.seen", vip]]}
stages:
  - {id: visitor, owner: marketing}
  - {id: mql, owner: marketing, enter: "score.interest >= 5"}
"#;

#[test]
fn each_kind_of_slip_is_refused_by_schema_and_loader() {
    let validator = validator();
    assert!(validator.is_valid(&json_of(SOUND)));
    assert!(compile("m.yaml", SOUND).is_ok());
    for (kind, sound, broken) in [
        ("another version of the language", "ripen/v1", "ripen/v2"),
        ("an unknown section", "rules:", "rulez:"),
        ("an unknown key", "once_per:", "once_pre:"),
        ("a key that is missing", "event: page_view, ", ""),
        ("a section that is missing", "model: {id: m, version: 1, agreed_on: 2026-11-01}", "groups: {}"),
        ("a list in place of a map", "{interest: 5}", "[interest, 5]"),
        ("a map in place of a list", "[day]", "{day: 1}"),
        ("a text in place of a number", "interest: 5", "interest: five"),
        ("a number in place of a text", "event: page_view", "event: 5"),
        ("no duration", "30d, remember", "30 days, remember"),
        ("no date", "2026-11-01", "1.11.2026"),
        ("no id", "id: m,", "id: m m,"),
        ("no name", "set: {seen:", "set: {se-en:"),
        ("a number out of its range", "remember: 128", "remember: 0"),
        ("no whole number", "version: 1,", "version: 1.5,"),
        ("points beyond the limit", "interest: 5", "interest: 10001"),
        ("a pair of one", "[0, 100]", "[0]"),
        ("a case of three", "[\"fact.seen\", vip]", "[\"fact.seen\", vip, 1]"),
        ("neither of two shapes", "{from: properties.reason}", "{form: properties.reason}"),
        ("an empty condition", "\"score.interest >= 5\"", "\"\""),
        ("a number as a condition", "\"score.interest >= 5\"", "5"),
    ] {
        let text = SOUND.replacen(sound, broken, 1);
        assert_ne!(text, SOUND, "{kind}");
        assert!(!validator.is_valid(&json_of(&text)), "the schema accepts {kind}");
        assert!(compile("m.yaml", &text).is_err(), "the loader accepts {kind}");
    }
}
