//! Values that no specification foresees: each has an outcome, none stops the stream, and memory stays bounded.
//!
//! `docs/odd-input.md` has the same table in words.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::Value;

const MODEL: &str = r#"
apiVersion: ripen/v1
model: {id: odd, version: 1}
scores: {n: {half_life: never}}
rules:
  - {id: huge, event: e, where: "properties.x >= 9100000000000", points: {n: 1}}
  - {id: number, event: e, where: "properties.x > 0", points: {n: 1}}
  - {id: other, event: e, where: "!(properties.x == 'a')", points: {n: 1}}
  - {id: unlike, event: e, where: "properties.x != 'a'", points: {n: 1}}
  - {id: tagged, event: e, where: "'a' in properties.tags", points: {n: 1}}
  - {id: untagged, event: e, where: "!has(properties.tags)", points: {n: 1}}
stages:
  - {id: new, owner: marketing}
  - {id: counted, owner: marketing, enter: "score.n > 0"}
"#;

const AT: &str = r#""timestamp":"2026-11-01T10:00:00Z""#;

fn event(lead: &str, properties: &str, times: &str) -> String {
    format!(
        r#"{{"type":"track","event":"e","messageId":"{}","anonymousId":"{lead}","properties":{properties},{times}}}"#,
        lead.len()
    )
}

/// Runs `ripen score` over lines: transitions, and what it said.
fn score(lines: &str) -> (Vec<Value>, String) {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("model.yaml"), MODEL).expect("a file");
    let mut child = Command::new(env!("CARGO_BIN_EXE_ripen"))
        .current_dir(directory.path())
        .args(["score", "--model", "model.yaml", "--format", "segment"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    child.stdin.take().expect("a pipe").write_all(lines.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{output:?}");
    let transitions = String::from_utf8(output.stdout).expect("UTF-8");
    let transitions = transitions.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    (transitions, String::from_utf8(output.stderr).expect("UTF-8"))
}

/// The rules that counted in the first decision, or what was said of the line.
fn outcome(line: &str) -> String {
    let (transitions, said) = score(line);
    let Some(first) = transitions.first() else {
        return said.lines().next().unwrap_or_default().to_owned();
    };
    let lines = first["explanation"].as_array().expect("a list").iter();
    lines.map(|line| line["id"].as_str().expect("a rule")).collect::<Vec<_>>().join(" ")
}

#[test]
fn odd_values_of_a_property() {
    for (properties, expected) in [
        // Not JSON, by its own rules.
        (r#"{"x":NaN}"#, "stdin:1: not_json"),
        (r#"{"x":Infinity}"#, "stdin:1: not_json"),
        // Numbers are read from their digits, never through a float, and stop at ±9.2·10¹².
        (r#"{"x":1e999}"#, "huge number other unlike untagged"),
        (r#"{"x":9007199254740993}"#, "huge number other unlike untagged"),
        (r#"{"x":1234567890123456789}"#, "huge number other unlike untagged"),
        (r#"{"x":-1234567890123456789}"#, "other unlike untagged"),
        (r#"{"x":-0}"#, "other unlike untagged"),
        // Below a millionth there is nothing: floored.
        (r#"{"x":1e-9}"#, "other unlike untagged"),
        // A text that is a plain decimal is that number where a number is asked for; any other text is absent there.
        (r#"{"x":"12"}"#, "number other unlike untagged"),
        (r#"{"x":"1e3"}"#, "other unlike untagged"),
        (r#"{"x":"twelve"}"#, "other unlike untagged"),
        // Absent: every comparison is false, `!=` included, and a negation turns that around.
        (r#"{"x":null}"#, "other untagged"),
        (r#"{"x":""}"#, "other untagged"),
        (r#"{"x":{"y":1}}"#, "other untagged"),
        (r#"{}"#, "other untagged"),
        (r#"{"tags":[]}"#, "other untagged"),
        (r#"{"tags":["a"]}"#, "other tagged"),
        (r#"{"tags":[["a"]]}"#, "other untagged"),
    ] {
        let told = outcome(&event("a", properties, AT));
        assert!(told.starts_with(expected), "{properties}: {told}");
    }
}

#[test]
fn odd_times() {
    for (times, expected) in [
        (r#""timestamp":"1969-12-31T23:59:59Z""#, "stdin:1: wrong_shape: arrival before 1970 or after 2200"),
        (r#""timestamp":"2300-01-01T00:00:00Z""#, "stdin:1: wrong_shape: arrival before 1970 or after 2200"),
        // With an arrival of its own: a clock that was never set, and one that is far ahead.
        (r#""timestamp":"1969-12-31T23:59:59Z","receivedAt":"2026-11-01T10:00:00Z""#, "other untagged"),
        (r#""timestamp":"2300-01-01T00:00:00Z","receivedAt":"2026-11-01T10:00:00Z""#, "other untagged"),
        (r#""timestamp":"yesterday","receivedAt":"2026-11-01T10:00:00Z""#, "other untagged"),
    ] {
        let told = outcome(&event("a", "{}", times));
        assert!(told.starts_with(expected), "{times}: {told}");
    }
    let far = event("a", "{}", r#""timestamp":"2300-01-01T00:00:00Z","receivedAt":"2026-11-01T10:00:00Z""#);
    let (transitions, _) = score(&far);
    assert_eq!(transitions[0]["effective_at"], "2026-11-01T10:00:00.000Z", "no fact lies in the future");
}

#[test]
fn a_huge_id_is_refused_and_the_next_record_is_scored() {
    let lines = format!("{}\n{}\n", event(&"a".repeat(10_000), "{}", AT), event("b", "{}", AT));
    let (transitions, said) = score(&lines);
    assert!(said.starts_with("stdin:1: no_id: id over 256 bytes"), "{said}");
    assert_eq!(transitions[0]["lead"], "anon:b");
}
