//! `ripen model check`, `lint`, `test`, `show` and `curve` as a user runs them: words, JSON and exit codes.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use expect_test::{Expect, expect};
use serde_json::Value;

/// Two stages, a test that passes and what a linter says nothing about.
const MODEL: &str = r#"apiVersion: ripen/v1
model: {id: tiny, version: 1}
time: {zone: UTC}
pages: {offer: ["/offers/{offer_id}"]}
traits: {phone: {from: [traits.phone, properties.phone], kind: phone}}
scores:
  interest: {half_life: 1d, range: [0, 100]}
rules:
  - {id: demo, event: demo_request, points: {interest: 10}, once: true}
  - {id: offer, event: page_view, where: "page.kind == 'offer'", points: {interest: 4}, once_per: [page.offer_id], max: 2}
stages:
  - {id: visitor, owner: marketing}
  - {id: warm, owner: sales, enter: "score.interest >= 10", exit: "score.interest < 5", min_dwell: 1h}
feedback:
  crm_lost: {clear: [interest], recycle_to: visitor}
audiences: {ads: "stage == 'visitor' && score.interest >= 1"}
handover: {stages: [warm], require: [phone]}
response: {warm: {within: 5m, answered_by: crm_first_touch, escalate: [15m]}}
tests:
  - name: asked for a demo
    traits: {phone: "+7 987 654-32-10"}
    events:
      - {at: 0h, event: demo_request}
      - {at: 1h, event: crm_first_touch, origin: server}
    expect:
      - {at: 10m, stage: warm, owner: sales, not_in: [ads], score: {interest: 9.952}, handover: true, response: overdue}
      - {at: 30m, response: escalated_1}
      - {at: 2h, response: answered, demoted_by: 2d}
      - {at: 2d, stage: visitor, in: [ads], response: answered}
  - name: nobody called
    traits: {phone: "+7 987 654-32-10"}
    events: [{at: 0h, event: demo_request}]
    expect: {at: 2d, response: closed}
  - name: looked at an offer
    events: [{at: 0h, event: page_view, path: /offers/1, known: false}]
    expect: {stage: visitor, score: {interest: 4}, handover: false, response: none, never: [warm]}
"#;

struct Answer {
    code: i32,
    stdout: String,
    stderr: String,
}

/// Runs `ripen model …` in a directory that has the model.
fn run(model: &str, arguments: &[&str]) -> Answer {
    let directory = tempfile::tempdir().expect("a directory");
    fs::write(directory.path().join("m.yaml"), model).expect("a file");
    let clicks = r#"{"type":"track","messageId":"1","anonymousId":"a","event":"demo_requested"}"#;
    fs::write(directory.path().join("clicks.jsonl"), format!("{clicks}\nnonsense\n")).expect("a file");
    run_in(directory.path(), arguments)
}

fn run_in(directory: &Path, arguments: &[&str]) -> Answer {
    let output = Command::new(env!("CARGO_BIN_EXE_ripen"))
        .current_dir(directory)
        .arg("model")
        .args(arguments)
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .expect("ripen starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    assert!(!stderr.contains("panicked"), "{stderr}");
    Answer { code: output.status.code().expect("an exit code"), stdout, stderr }
}

#[track_caller]
fn check(model: &str, arguments: &[&str], code: i32, expect: &Expect) {
    let answer = run(model, arguments);
    expect.assert_eq(&format!("{}{}", answer.stdout, answer.stderr));
    assert_eq!(answer.code, code);
}

fn json(model: &str, arguments: &[&str], code: i32) -> Value {
    let answer = run(model, &[arguments, &["--json"]].concat());
    assert_eq!(answer.code, code, "{}{}", answer.stdout, answer.stderr);
    serde_json::from_str(&answer.stdout).expect("one JSON document")
}

#[test]
fn a_model_that_compiles_is_described() {
    let answer = run(MODEL, &["check", "m.yaml"]);
    let first = answer.stdout.lines().next();
    assert_eq!(first, Some("m.yaml: model tiny version 1: 2 rules, 1 scores, 2 stages, 3 tests"));
    assert_eq!(json(MODEL, &["check", "m.yaml"], 0)["model"]["tests"], 3);
}

#[test]
fn errors_are_told_in_words_or_as_json() {
    let broken = MODEL.replace("once: true", "once: yes");
    for command in ["check", "lint", "test", "show"] {
        let answer = run(&broken, &[command, "m.yaml"]);
        assert_eq!(answer.code, 1);
        assert!(answer.stderr.starts_with("m.yaml:9:"), "{command}: {}", answer.stderr);
        let findings = &json(&broken, &[command, "m.yaml"], 1)["findings"];
        assert_eq!((&findings[0]["level"], &findings[0]["line"]), (&"error".into(), &9.into()), "{command}");
    }
    assert_eq!(run(MODEL, &["check", "none.yaml"]).code, 1);
    assert_eq!(run(MODEL, &["check"]).code, 2);
    assert_eq!(run(MODEL, &["lint", "m.yaml", "--sample"]).code, 2);
}

#[test]
fn personas_pass_through_the_real_scorer() {
    check(
        MODEL,
        &["test", "m.yaml"],
        0,
        &expect![[r#"
            ok   m.yaml:20: asked for a demo
            ok   m.yaml:30: nobody called
            ok   m.yaml:34: looked at an offer
            3 tests, 0 failed
        "#]],
    );
    assert_eq!(json(MODEL, &["test", "m.yaml"], 0)["failed"], 0);
}

#[test]
fn a_failing_expectation_shows_the_curve_and_where_things_turned() {
    let wrong = MODEL
        .replace("{at: 2h, response: answered, demoted_by: 2d}", "{at: 2h, response: open, demoted_by: 12h}")
        .replace("{at: 2d, stage: visitor, in: [ads]", "{at: 2d, stage: warm, owner: sales, not_in: [ads]")
        .replace("never: [warm]", "owner: sales")
        .replace("score: {interest: 4}", "stage: warm, score: {interest: 5}")
        .replace("expect: {stage: visitor, stage: warm", "expect: {stage: warm");
    check(
        &wrong,
        &["test", "m.yaml"],
        1,
        &expect![[r#"
            FAIL m.yaml:20: asked for a demo
              m.yaml:28: at 0d 02:00: the response clock is `answered`, expected `open`
                0d 01:00 response clock of `warm`: answered, activity
              m.yaml:28: at 0d 02:00: the stage `warm` is not left by time, by 0d 12:00
                if nothing more happens, it is left at 1d 00:00:12.466
              m.yaml:29: at 2d 00:00: the stage is `visitor`, expected `warm`
                1d 00:00:12.466 warm → visitor, decay: demo
              m.yaml:29: at 2d 00:00: the owner is `marketing`, expected `sales`
                1d 00:00:12.466 warm → visitor, decay: demo
              m.yaml:29: at 2d 00:00: the lead is in the audience `ads`, expected not in it
                1d 00:00:12.466 entered `ads`, decay: demo
              interest █▇▇▇▇▇▇▆▆▆▆▆▆▆▆▅▅▅▅▅▅▅▅▅▄▄▄▄▄▄▄▄▄▄▄▄▄▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▂▂▂▂▂▂ 0 to 10, at the end 2.5
              stage    111111111111111111111111111111000000000000000000000000000000 0 visitor, 1 warm
                       0d 00:00                                            2d 00:00
            ok   m.yaml:30: nobody called
            FAIL m.yaml:34: looked at an offer
              m.yaml:36: at 0d 00:00: the stage is `visitor`, expected `warm`
                `warm` was not entered: `score.interest >= 10` (it is 4)
              m.yaml:36: at 0d 00:00: the owner is `marketing`, expected `sales`
              m.yaml:36: at 0d 00:00: `score.interest` is 4, expected 5
                it is made of offer 4
              interest █▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇ 0 to 4, at the end 3.886
              stage    000000000000000000000000000000000000000000000000000000000000 0 visitor
                       0d 00:00                                            0d 01:00
            3 tests, 2 failed
        "#]],
    );
    let answer = json(&wrong, &["test", "m.yaml"], 1);
    assert_eq!(answer["failed"], 2);
    assert_eq!(answer["tests"][0]["failed"][0]["at_ms"], 7_200_000);
}

#[test]
fn every_expectation_can_fail() {
    let cases = [
        ("handover: true", "handover: incomplete", "there was a hand-over, expected an incomplete hand-over"),
        ("handover: false", "handover: true", "there was no hand-over, expected a hand-over"),
        ("response: overdue", "response: open", "the response clock is `overdue`, expected `open`"),
        ("response: none", "response: open", "the response clock is `none`, expected `open`"),
        ("response: closed", "response: answered", "the response clock is `closed`, expected `answered`"),
        (
            "in: [ads], response: answered",
            "in: [ads], response: closed",
            "the response clock is `answered`, expected `closed`",
        ),
        ("9.952", "9.953", "`score.interest` is 9.952, expected 9.953"),
        ("owner: sales, not_in", "owner: marketing, not_in", "the owner is `sales`, expected `marketing`"),
        ("not_in: [ads]", "in: [ads]", "the lead is not in the audience `ads`, expected in it"),
        ("demoted_by: 2d", "demoted_by: 3h", "the stage `warm` is not left by time, by 0d 03:00"),
        ("stage: warm, owner", "stage: visitor, owner", "the stage is `warm`, expected `visitor`"),
    ];
    for (from, to, expect) in cases {
        let wrong = MODEL.replacen(from, to, 1);
        assert_ne!(wrong, MODEL, "{from}");
        let answer = run(&wrong, &["test", "m.yaml"]);
        assert_eq!(answer.code, 1, "{to}: {}{}", answer.stdout, answer.stderr);
        assert!(answer.stdout.contains(expect), "{to}: {}", answer.stdout);
    }
}

#[test]
fn events_that_do_not_count_are_told_with_a_failure() {
    let wrong = MODEL
        .replace("{at: 0h, event: page_view, path: /offers/1, known: false}", "{at: 0h, event: page_view, event_id: x, path: /offers/1}, {at: 1h, event: page_view, event_id: x, path: /offers/2}")
        .replace("score: {interest: 4}", "score: {interest: 8}");
    let answer = run(&wrong, &["test", "m.yaml"]);
    assert!(
        answer.stdout.contains("the event page_view at 0d 01:00 did not count: duplicate"),
        "{}",
        answer.stdout
    );
}

#[test]
fn lint_findings_have_levels_and_decide_the_exit_code() {
    let answer = json(MODEL, &["lint", "m.yaml"], 0);
    let levels = answer["findings"].as_array().expect("a list").iter().map(|finding| &finding["level"]);
    assert!(levels.clone().all(|level| level == "info"), "{answer:#}");
    assert!(levels.count() > 0);
    let clicking = MODEL.replace("interest: 10}, once: true", "interest: 10}");
    let answer = run(&clicking, &["lint", "m.yaml"]);
    assert_eq!(answer.code, 1);
    assert!(answer.stdout.contains("m.yaml:9:45: warning[double_click]"), "{}", answer.stdout);
    assert!(answer.stdout.ends_with("infos\n"), "{}", answer.stdout);
}

#[test]
fn a_sample_tells_names_that_do_not_meet() {
    let answer = run(MODEL, &["lint", "m.yaml", "--sample", "clicks.jsonl"]);
    assert_eq!(answer.code, 1);
    for expect in [
        "warning[event_not_in_sample]: the event `demo_request` never occurs in the sample",
        "did you mean `demo_requested`?",
        "info[event_not_in_model]: the event `demo_requested` of the sample is named by nothing in the model",
    ] {
        assert!(answer.stdout.contains(expect), "{}", answer.stdout);
    }
    assert!(answer.stderr.contains("clicks.jsonl:2: not_json"), "{}", answer.stderr);
}

/// Concept 111: what has to be tracked.
#[test]
fn concept_111_the_tracking_plan() {
    check(
        MODEL,
        &["show", "m.yaml"],
        0,
        &expect![[r#"
        What has to be tracked for tiny version 1

        Events
          crm_first_touch  response clock of warm
          crm_lost         feedback
          demo_request     rule demo
          page_view        rule offer

        Fields of events
          page.offer_id     rule offer
          properties.phone  trait phone
          traits.phone      trait phone

        Pages, by path
          offer  /offers/{offer_id}; rule offer

        Traits that are kept, and where they are read
          phone  traits.phone, properties.phone; hand-over
    "#]],
    );
    let answer = json(MODEL, &["show", "m.yaml"], 0);
    assert_eq!(answer["pages"][0]["from"][0], "/offers/{offer_id}");
}

#[test]
fn a_curve_is_a_table() {
    check(
        MODEL,
        &["curve", "m.yaml", "--persona", "asked for a demo", "--step", "12h"],
        0,
        &expect![[r#"
        at,interest,stage
        2026-01-05T00:00:00.000Z,10,warm
        2026-01-05T01:00:00.000Z,9.715,warm
        2026-01-05T12:00:00.000Z,7.071,warm
        2026-01-06T00:00:00.000Z,5,warm
        2026-01-06T00:00:12.466Z,4.999,visitor
        2026-01-06T12:00:00.000Z,3.536,visitor
        2026-01-07T00:00:00.000Z,2.5,visitor
    "#]],
    );
    let answer = json(
        MODEL,
        &["curve", "m.yaml", "--persona", "asked for a demo", "--step", "1d", "--until", "1d"],
        0,
    );
    assert_eq!(answer["rows"][0]["scores_milli"]["interest"], 10_000);
    let unknown = run(MODEL, &["curve", "m.yaml", "--persona", "nobody"]);
    assert_eq!(unknown.code, 2);
    assert!(unknown.stderr.contains("  looked at an offer"), "{}", unknown.stderr);
    assert_eq!(run(MODEL, &["curve", "m.yaml", "--persona", "looked at an offer", "--step", "0s"]).code, 2);
}

#[test]
fn the_schema_is_the_published_one() {
    let published = include_str!("../schemas/ripen-model.v1.schema.json");
    assert_eq!(run(MODEL, &["schema"]).stdout, published);
}

#[test]
fn lists_beside_a_model_are_part_of_it() {
    let model = MODEL.replace("audiences:", "lists: {rivals: rivals.txt}\naudiences:");
    let missing = run(&model, &["check", "m.yaml"]);
    assert_eq!(missing.code, 1);
    assert!(missing.stderr.contains("the list `rivals.txt` cannot be loaded"), "{}", missing.stderr);
    let directory = tempfile::tempdir().expect("a directory");
    fs::write(directory.path().join("m.yaml"), &model).expect("a file");
    let mut hashes = Vec::new();
    for rivals in ["a.example\n", "# ours\n\na.example\nb.example\n"] {
        fs::write(directory.path().join("rivals.txt"), rivals).expect("a file");
        let answer = run_in(directory.path(), &["check", "m.yaml", "--json"]);
        assert_eq!(answer.code, 0, "{}", answer.stderr);
        let answer: Value = serde_json::from_str(&answer.stdout).expect("JSON");
        hashes.push(answer["model"]["hash"].clone());
    }
    assert_ne!(hashes[0], hashes[1], "the list is part of the model's hash");
}

/// Every example model passes its own tests and has no error of the linter.
#[test]
fn example_models_can_be_activated() {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    for entry in fs::read_dir(&models).expect("the models") {
        let path = entry.expect("a model").path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let name = path.to_str().expect("UTF-8");
            let tests = run_in(&models, &["test", name]);
            assert_eq!(tests.code, 0, "{}{}", tests.stdout, tests.stderr);
            let lint = run_in(&models, &["lint", name]);
            assert!(lint.stdout.contains("0 errors,"), "{}{}", lint.stdout, lint.stderr);
        }
    }
}

#[test]
fn a_model_that_is_not_ready_is_not_activated() {
    let agreed = MODEL
        .replace("version: 1}", "version: 1, agreed_by: [marketing], requires_agreement_of: [marketing]}");
    for (model, expect) in [
        (agreed.replace("agreed_by: [marketing]", "agreed_by: []"), "needs the agreement of marketing"),
        (agreed.replace("9.952", "9.953"), "1 of its 3 tests fail"),
        (agreed.replace(">= 10", ">= 19"), "error[never_entered]"),
    ] {
        // Refused before a broker is looked for.
        let answer = run(&model, &["activate", "m.yaml", "--bootstrap", "127.0.0.1:1"]);
        assert_eq!(answer.code, 1);
        assert!(answer.stderr.contains(expect), "{expect}: {}", answer.stderr);
    }
}
