//! `ripen score` as a user runs it: lines in, transitions out, everything else on standard error.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// Ten points and warm; cold again after a day and a bit.
const MODEL: &str = r#"
apiVersion: ripen/v1
model: {id: tiny, version: 1}
scores:
  interest: {half_life: 1d, range: [0, 100]}
rules:
  - {id: demo, event: demo_request, points: {interest: 10}, once: true}
stages:
  - {id: visitor, owner: marketing}
  - {id: warm, owner: marketing, enter: "score.interest >= 10", exit: "score.interest < 5"}
"#;

/// A record of `lead`, received at the minute `minute` of a day.
fn click(lead: &str, event: &str, minute: u32) -> String {
    let at = format!("2026-10-05T{:02}:{:02}:00Z", minute / 60, minute % 60);
    format!(
        r#"{{"messageId":"m-{lead}-{minute}","type":"track","event":"{event}","anonymousId":"{lead}","timestamp":"{at}","receivedAt":"{at}"}}"#
    )
}

fn crawler(minute: u32) -> String {
    click("crawler", "demo_request", minute)
        .replace(r#""type""#, r#""context":{"userAgent":"Mozilla/5.0 (compatible; Googlebot/2.1)"},"type""#)
}

/// Runs `ripen score` in a directory that has the model and the file `clicks.jsonl`.
fn score(clicks: &[u8], arguments: &[&str], stdin: &[u8]) -> Output {
    let directory = tempfile::tempdir().expect("a directory");
    fs::write(directory.path().join("model.yaml"), MODEL).expect("a file");
    fs::write(directory.path().join("clicks.jsonl"), clicks).expect("a file");
    score_in(directory.path(), arguments, stdin)
}

fn score_in(directory: &Path, arguments: &[&str], stdin: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_ripen"))
        .current_dir(directory)
        .args(["score", "--model", "model.yaml"])
        .args(if arguments.contains(&"--format") { &[][..] } else { &["--format", "segment"] })
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("score starts");
    let mut input = child.stdin.take().expect("a pipe");
    // A run that refuses its arguments has gone before it reads.
    let _ = input.write_all(stdin);
    drop(input);
    child.wait_with_output().expect("score ends")
}

/// `lead from>to cause` of every transition.
fn transitions(output: &Output) -> Vec<String> {
    let text = std::str::from_utf8(&output.stdout).expect("UTF-8");
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("every line is JSON"));
    let field = |line: &Value, name: &str| line[name].as_str().expect("a text").to_owned();
    lines
        .map(|line| {
            let [lead, from, to, cause] = ["lead", "from", "to", "cause"].map(|name| field(&line, name));
            format!("{lead} {from}>{to} {cause}")
        })
        .collect()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn bad_lines_are_named_and_counted_and_blank_ones_skipped() {
    let lines = [
        click("a", "demo_request", 1),
        String::new(),
        "not json".to_owned(),
        "   ".to_owned(),
        crawler(2),
        click("", "demo_request", 3),
        r#"{"type":"track","event":"x"}"#.to_owned(),
        click("b", "demo_request", 4),
    ];
    let output = score(lines.join("\n").as_bytes(), &["clicks.jsonl"], b"");
    assert!(output.status.success());
    assert_eq!(transitions(&output), ["anon:a visitor>warm activity", "anon:b visitor>warm activity"]);
    let said = said(&output);
    assert!(said.contains("clicks.jsonl:3: not_json"), "{said}");
    assert!(said.contains("clicks.jsonl:7: no_id"), "{said}");
    assert!(said.contains("read 6, scored 2, filtered 2, bad 2;"), "{said}");
}

#[test]
fn bytes_that_are_not_text_are_one_bad_line() {
    let mut bytes = click("a", "demo_request", 1).into_bytes();
    bytes.extend(b"\r\n{\"anonymousId\":\"\xd0\"}\r\n");
    bytes.extend(click("b", "demo_request", 2).into_bytes());
    let output = score(&bytes, &["clicks.jsonl"], b"");
    assert!(output.status.success());
    assert_eq!(transitions(&output).len(), 2);
    let said = said(&output);
    assert!(said.contains("clicks.jsonl:2: invalid_utf8"), "{said}");
}

#[test]
fn a_huge_line_is_one_bad_line() {
    let huge = format!("{{\"x\":\"{}\"}}", "x".repeat(5 << 20));
    let lines = [click("a", "demo_request", 1), huge, click("b", "demo_request", 2)];
    let output = score(lines.join("\n").as_bytes(), &["clicks.jsonl"], b"");
    assert!(output.status.success());
    assert_eq!(transitions(&output).len(), 2);
    let said = said(&output);
    assert!(said.contains("clicks.jsonl:2: too_large"), "{said}");
    assert!(said.contains("read 3, scored 2, filtered 0, bad 1;"), "{said}");
}

#[test]
fn standard_input_is_read_where_no_file_is_named() {
    let clicks = click("a", "demo_request", 1);
    for arguments in [&[][..], &["-"]] {
        let output = score(b"", arguments, clicks.as_bytes());
        assert_eq!(transitions(&output), ["anon:a visitor>warm activity"], "{}", said(&output));
    }
}

#[test]
fn files_are_read_one_after_the_other() {
    let clicks = format!("{}\n", click("a", "demo_request", 1));
    let later = click("b", "demo_request", 2);
    let output = score(clicks.as_bytes(), &["clicks.jsonl", "-"], later.as_bytes());
    assert_eq!(transitions(&output), ["anon:a visitor>warm activity", "anon:b visitor>warm activity"]);
}

#[test]
fn a_message_that_comes_twice_counts_once() {
    let clicks = [click("a", "demo_request", 1), click("a", "demo_request", 1)].join("\n");
    let output = score(clicks.as_bytes(), &["clicks.jsonl"], b"");
    assert!(said(&output).contains("read 2, scored 1, filtered 1, bad 0;"), "{}", said(&output));
}

#[test]
fn leads_cool_down_as_far_as_time_goes() {
    let clicks = click("a", "demo_request", 0);
    let warm = "anon:a visitor>warm activity";
    let cases: [(&[&str], &[&str]); 3] = [
        (&[], &[warm]),
        (&["--until", "2026-10-05T12:00:00Z"], &[warm]),
        (&["--until", "2026-10-08T00:00:00+03:00"], &[warm, "anon:a warm>visitor decay"]),
    ];
    for (until, expected) in cases {
        let output = score(clicks.as_bytes(), &[&["clicks.jsonl"], until].concat(), b"");
        assert_eq!(transitions(&output), expected, "{until:?}: {}", said(&output));
    }
}

#[test]
fn what_cannot_be_read_is_one_sentence() {
    let cases: [(&[&str], &str); 3] = [
        (&["none.jsonl"], "error: cannot read none.jsonl: no such file or directory\n"),
        (&["clicks.jsonl", "none.jsonl"], "error: cannot read none.jsonl: no such file or directory\n"),
        (&["."], "error: cannot read .: is a directory\n"),
    ];
    for (arguments, sentence) in cases {
        let output = score(click("a", "demo_request", 1).as_bytes(), arguments, b"");
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(said(&output), sentence);
        assert!(output.stdout.is_empty(), "nothing is scored before every file is there");
    }
}

#[test]
fn what_makes_no_sense_is_usage() {
    for arguments in [&["--until", "tomorrow"], &["--format", "csv"]] {
        let output = score(b"", arguments, b"");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", said(&output));
    }
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let mut clicks = String::new();
    for lead in 0..3_000 {
        clicks.push_str(&click(&format!("v{lead}"), "demo_request", lead % 600));
        clicks.push('\n');
    }
    let directory = tempfile::tempdir().expect("a directory");
    fs::write(directory.path().join("model.yaml"), MODEL).expect("a file");
    fs::write(directory.path().join("clicks.jsonl"), clicks).expect("a file");
    let mut child = Command::new(env!("CARGO_BIN_EXE_ripen"))
        .current_dir(directory.path())
        .args(["score", "--model", "model.yaml", "--format", "segment", "clicks.jsonl"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("score starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("score ends");
    assert!(output.status.success());
    assert_eq!(said(&output), "");
}

/// S1: what was done before signing in counts for the person who signs in, however many lines lie between; another
/// person at the same device stays another one.
#[test]
fn records_that_show_two_ids_join_their_leads() {
    let signed_in = |user: &str, event: &str, minute| {
        click("tablet", event, minute).replace(r#""type""#, &format!(r#""userId":"{user}","type""#))
    };
    let mut lines = vec![click("tablet", "demo_request", 0)];
    lines.extend((1..1_500).map(|n| click(&format!("v{n}"), "page_view", 1)));
    lines.extend([signed_in("one", "page_view", 2), click("tablet", "page_view", 3)]);
    lines.extend([signed_in("two", "demo_request", 4), click("tablet", "page_view", 5)]);
    let output = score(lines.join("\n").as_bytes(), &["clicks.jsonl"], b"");
    let expected = [
        "anon:tablet visitor>warm activity",
        "user:one visitor>warm merge",
        "user:two visitor>warm activity",
    ];
    assert_eq!(transitions(&output), expected, "{}", said(&output));
    assert!(said(&output).contains("3 transitions; 1 links refused"), "{}", said(&output));
}

/// Ripen's own activities: two leads that become one, and time that passes.
const OWN: &str = r#"{"lead":"anon:a","event":"demo_request","event_id":"1","at":"2026-10-05T10:00:00Z"}
{"lead":"anon:b","event":"page_view","event_id":"2","at":"2026-10-05T10:01:00Z"}
{"lead":"anon:b","event":"page_view","event_id":"2","at":"2026-10-05T10:01:00Z"}
{"link":["anon:b","anon:a"]}
{"lead":"anon:b","event":"page_view","event_id":"3","at":"2026-10-05T10:02:00Z"}
{"tick":1791360000000}
{"unknown":1}
"#;

#[test]
fn own_activities_links_and_ticks_are_scored() {
    let output = score(OWN.as_bytes(), &["--format", "ripen", "clicks.jsonl"], b"");
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(transitions(&output), ["anon:a visitor>warm activity", "anon:a warm>visitor decay"]);
    let said = said(&output);
    assert!(said.contains("clicks.jsonl:7: wrong_shape: unknown field"), "{said}");
    assert!(said.contains("read 7, scored 3, filtered 1, bad 1;"), "{said}");
}

#[test]
fn a_trace_follows_every_record_and_every_deadline() {
    let output = score(OWN.as_bytes(), &["--format", "ripen", "--trace", "clicks.jsonl"], b"");
    let text = std::str::from_utf8(&output.stdout).expect("UTF-8");
    let told: Vec<String> = text
        .lines()
        .map(|line| {
            let line: Value = serde_json::from_str(line).expect("every line is JSON");
            let text = |name: &str| line[name].as_str().unwrap_or("-").to_owned();
            let score = &line["scores"]["interest"];
            let input = &line["input"]["line"];
            let [lead, at, on, outcome, stage] = ["lead", "at", "on", "outcome", "stage"].map(text);
            format!(
                "{lead} {at} {on} {outcome} line {input}: {stage} {score}, next {}",
                text("next_deadline")
            )
        })
        .collect();
    let expect = expect_test::expect![[r#"
        anon:a 2026-10-05T10:00:00.000Z record accepted line 1: warm 10000, next 2026-10-06T10:00:12.466Z
        anon:b 2026-10-05T10:01:00.000Z record accepted line 2: visitor 0, next 2027-01-03T10:01:00.000Z
        anon:b 2026-10-05T10:01:00.000Z record duplicate line 3: visitor 0, next 2027-01-03T10:01:00.000Z
        anon:a 2026-10-05T10:01:00.000Z record merged line null: warm 9995, next 2026-10-06T10:00:12.466Z
        anon:a 2026-10-05T10:02:00.000Z record accepted line 5: warm 9990, next 2026-10-06T10:00:12.466Z
        anon:a 2026-10-06T10:00:12.466Z deadline - line null: visitor 4999, next 2027-01-03T10:02:00.000Z"#]];
    expect.assert_eq(&told.join("\n"));
}
