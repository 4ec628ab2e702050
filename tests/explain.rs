//! `ripen explain` as a user runs it: a file of transitions, and a lead at the end of its records.

use std::fs;
use std::process::{Command, Output, Stdio};

use expect_test::{Expect, expect};

const MODEL: &str = r#"
apiVersion: ripen/v1
model: {id: tiny, version: 1}
scores:
  interest: {half_life: 1d, range: [0, 100], labels: {cold: 0, hot: 12}}
  fit: {half_life: never, range: [-20, 20]}
groups: {reading: {score: interest, max: 5}}
rules:
  - {id: demo, event: demo_request, points: {interest: 10}, once: true, set: {asked: 7d}}
  - {id: page, event: page_view, points: {interest: 4}, once_per: [page.path], max: 3, group: reading}
fit:
  - {id: role, trait: role, score: fit, map: {student: -5}}
stages:
  - {id: visitor, owner: marketing}
  - {id: warm, owner: marketing, enter: "score.interest >= 10 && !(traits.role == 'ceo')", exit: "score.interest < 5"}
"#;

const RECORDS: &str = r#"{"lead":"anon:a","event":"page_view","at":"2026-10-05T09:58:00Z","path":"/a"}
{"lead":"anon:a","event":"page_view","at":"2026-10-05T09:59:00Z","path":"/b","traits":{"role":"student"}}
{"lead":"anon:a","event":"demo_request","at":"2026-10-05T10:00:00Z"}
"#;

fn ripen(directory: &std::path::Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ripen"))
        .current_dir(directory)
        .args(arguments)
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .expect("ripen starts")
}

/// Runs `ripen explain` where the model, the records and their transitions are.
fn explain(arguments: &[&str]) -> (i32, String) {
    let directory = tempfile::tempdir().expect("a directory");
    fs::write(directory.path().join("model.yaml"), MODEL).expect("a file");
    fs::write(directory.path().join("records.jsonl"), RECORDS).expect("a file");
    let score = [
        "score",
        "--model",
        "model.yaml",
        "--format",
        "ripen",
        "--until",
        "2026-10-08T00:00:00Z",
        "records.jsonl",
    ];
    let scored = ripen(directory.path(), &score);
    fs::write(directory.path().join("transitions.jsonl"), scored.stdout).expect("a file");
    fs::write(directory.path().join("empty.jsonl"), "\n").expect("a file");
    fs::write(directory.path().join("other.jsonl"), "{\"lead\":1}\n").expect("a file");
    let output = ripen(directory.path(), &[&["explain"], arguments].concat());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().expect("a code"), text(&output.stdout) + &text(&output.stderr))
}

#[track_caller]
fn check(arguments: &[&str], code: i32, expect: &Expect) {
    let (found, said) = explain(arguments);
    expect.assert_eq(&said);
    assert_eq!(found, code);
}

/// Concepts 147 and 110: a decision says why, in the words of the model, and its sums are sums.
#[test]
fn transitions_are_told_in_words_of_the_model() {
    check(
        &["transitions.jsonl"],
        0,
        &expect![[r#"
        anon:a: visitor → warm at 2026-10-05T10:00:00.000Z
          because of an activity
          decided by records.jsonl, partition 0, offset 2
        what changed it
          score.interest >= 10 holds: it was 15
          traits.role == 'ceo' does not hold: it was student
          demo at 2026-10-05T10:00:00.000Z
          page at 2026-10-05T09:59:00.000Z, /b
          page at 2026-10-05T09:58:00.000Z, /a
        scores
          interest 15 (hot)
            + 7.994  rule page
            - 2.994  cap reading
            +    10  rule demo
          fit -5
            - 5  fit role
        facts: asked
        if nothing more happens it leaves warm at 2026-10-07T06:20:34.529Z
        model tiny version 1

        anon:a: warm → visitor at 2026-10-07T06:20:34.529Z
          because of cooling down: nobody did anything
        what changed it
          score.interest < 5 holds: it was 4.999
          demo at 2026-10-05T10:00:00.000Z
          page at 2026-10-05T09:59:00.000Z, /b
          page at 2026-10-05T09:58:00.000Z, /a
        scores
          interest 4.999 (cold)
            + 2.221  rule page
            + 2.778  rule demo
          fit -5
            - 5  fit role
        facts: asked
        if nothing more happens it stays in visitor
        model tiny version 1
    "#]],
    );
}

#[test]
fn a_lead_is_told_as_it_stands() {
    check(
        &["anon:a", "--model", "model.yaml", "--format", "ripen", "--records", "records.jsonl"],
        0,
        &expect![[r#"
            anon:a at 2026-10-05T10:00:00.000Z: warm, owned by marketing
              first seen 2026-10-05T09:58:00.000Z, 1 decisions since
            scores
              interest 15 (hot)
                + 7.994  rule page
                - 2.994  cap reading
                +    10  rule demo
              fit -5
                - 5  fit role
            facts: asked
            not handed over
            if nothing more happens it leaves warm at 2026-10-07T06:20:34.529Z
            looked at again by itself at 2026-10-07T06:20:34.529Z
        "#]],
    );
}

#[test]
fn what_cannot_be_explained_is_said() {
    let lead = ["--model", "model.yaml", "--format", "ripen", "--records", "records.jsonl"];
    let cases: [(&[&str], i32, &str); 6] = [
        (&[&["anon:none"][..], &lead].concat(), 1, "there is no lead anon:none at 2026-10-05T10:00:00.000Z"),
        (&["anon:a"], 2, "name what was scored: --model FILE"),
        (&["none.jsonl"], 1, "cannot read none.jsonl: no such file"),
        (&["empty.jsonl"], 1, "empty.jsonl holds no transition"),
        (&["other.jsonl"], 1, "other.jsonl:1: no transition"),
        (&["model.yaml"], 1, "model.yaml:2: no JSON"),
    ];
    for (arguments, code, expect) in cases {
        let (found, said) = explain(arguments);
        assert!(said.contains(expect), "{arguments:?}: {said}");
        assert_eq!(found, code, "{arguments:?}");
    }
    assert_eq!(explain(&["anon:a", "--records", "records.jsonl"]).0, 2, "a model and a format are needed");
}

#[test]
fn lines_that_do_not_add_up_are_shown_up() {
    let directory = tempfile::tempdir().expect("a directory");
    let line = r#"{"lead":"anon:a","from":"a","to":"b","cause":"decay","effective_at":"2026-10-05T10:00:00.000Z",
        "scores":{"heat":5.000},"labels":{},"explanation":[{"score":"heat","kind":"rule","id":"r","points":4.999}]}"#;
    fs::write(directory.path().join("t.jsonl"), line.replace('\n', " ")).expect("a file");
    let output = ripen(directory.path(), &["explain", "t.jsonl"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("these lines add up to 4.999, not to the score"), "{said}");
}
