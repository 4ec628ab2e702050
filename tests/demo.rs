//! `ripen demo` as a user runs it: a small month with a fixed seed.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use expect_test::expect_file;
use serde_json::Value;

const FILES: [&str; 4] = ["clickstream.jsonl", "transitions.jsonl", "dead-letters.jsonl", "summary.json"];

fn ripen(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ripen"));
    command.current_dir(directory).stdin(Stdio::null());
    command
}

/// A month of 400 visitors, kept in `out` of the directory.
fn month(directory: &Path, seed: u32) -> Output {
    let seed = seed.to_string();
    let output = ripen(directory)
        .args(["demo", "--leads", "400", "--seed", &seed, "--out", "out"])
        .output()
        .expect("the demo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

fn read(directory: &Path, file: &str) -> Vec<u8> {
    fs::read(directory.join("out").join(file)).expect("the demo wrote the file")
}

fn lines(bytes: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(bytes).expect("JSON is UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect("every line is JSON")).collect()
}

/// The stages a person of the story was in, in the order of time, with the causes of the changes.
fn path_of(transitions: &[Value], lead: &str) -> Vec<(String, String)> {
    let of_lead = transitions.iter().filter(|transition| transition["lead"] == lead);
    of_lead
        .map(|transition| {
            let text = |field: &str| transition[field].as_str().expect("a text").to_owned();
            (text("to"), text("cause"))
        })
        .collect()
}

#[test]
fn a_month_in_numbers_is_as_it_was() {
    let directory = tempfile::tempdir().expect("a directory");
    month(directory.path(), 7);
    let summary = String::from_utf8(read(directory.path(), "summary.json")).expect("UTF-8");
    expect_file!["golden/demo-summary.json"].assert_eq(&summary);
}

#[test]
fn concepts_41_42_43_the_two_persons_end_as_the_story_says() {
    let directory = tempfile::tempdir().expect("a directory");
    let output = month(directory.path(), 7);
    let transitions = lines(&output.stdout);
    let to = |stage: &str| (stage.to_owned(), "activity".to_owned());
    assert_eq!(path_of(&transitions, "anon:story-person-1").last(), Some(&to("mql")));
    assert_eq!(path_of(&transitions, "anon:story-person-2"), [to("sql")]);
    let booked = transitions.iter().find(|transition| transition["lead"] == "anon:story-person-2");
    let decisive = booked.expect("a transition")["decisive"].to_string();
    assert!(decisive.contains("came_back") && decisive.contains("test_drive"), "{decisive}");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("✓ story-person-1 is mql since"), "{told}");
    assert!(told.contains("✓ story-person-2 is sql since"), "{told}");
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_one_does_not() {
    let directories = [0, 1, 2].map(|_| tempfile::tempdir().expect("a directory"));
    let outputs = [(0, 3), (1, 3), (2, 4)].map(|(at, seed)| month(directories[at].path(), seed).stdout);
    assert!(outputs[0] == outputs[1], "transitions differ");
    assert!(outputs[0] != outputs[2], "the seed does nothing");
    for file in FILES {
        let [first, second] = [0, 1].map(|at| read(directories[at].path(), file));
        assert!(first == second, "{file} differs");
    }
    assert!(outputs[0] == read(directories[0].path(), "transitions.jsonl"), "stdout is not the file");
}

#[test]
fn every_record_is_scored_filtered_or_a_dead_letter() {
    let directory = tempfile::tempdir().expect("a directory");
    month(directory.path(), 7);
    let summary: Value = serde_json::from_slice(&read(directory.path(), "summary.json")).expect("JSON");
    let sum = |field: &str| -> u64 {
        summary[field].as_object().expect("counts").values().filter_map(Value::as_u64).sum()
    };
    let (filtered, dead) = (sum("filtered"), sum("dead_letters"));
    assert!(filtered > 0 && dead > 0, "{summary}");
    let records = read(directory.path(), "clickstream.jsonl").split(|byte| *byte == b'\n').count() - 1;
    assert_eq!(summary["records"], records);
    assert_eq!(summary["scored"].as_u64().map(|scored| scored + filtered + dead), Some(records as u64));
    assert_eq!(lines(&read(directory.path(), "dead-letters.jsonl")).len() as u64, dead);
    let stages = summary["stages"].as_array().expect("stages");
    let now: u64 = stages.iter().filter_map(|stage| stage["now"].as_u64()).sum();
    assert_eq!(summary["leads"], now, "a lead is in exactly one stage");
}

#[test]
fn the_month_as_a_file_is_scored_the_same() {
    let directory = tempfile::tempdir().expect("a directory");
    let demo = month(directory.path(), 5);
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/models/auto-dealer.yaml");
    let scored = ripen(&directory.path().join("out"))
        .args(["score", "--model", model, "--format", "segment", "clickstream.jsonl"])
        .output()
        .expect("score runs");
    assert!(scored.status.success(), "{}", String::from_utf8_lossy(&scored.stderr));
    assert!(scored.stdout == demo.stdout, "the same records gave other transitions");
}

#[test]
fn a_reader_that_goes_away_ends_the_demo_quietly() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut demo = ripen(directory.path())
        .args(["demo", "--leads", "2000"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the demo starts");
    let mut first = String::new();
    BufReader::new(demo.stdout.take().expect("a pipe")).read_line(&mut first).expect("a line");
    assert!(first.starts_with('{'), "{first}");
    let output = demo.wait_with_output().expect("the demo ends");
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn a_model_that_is_not_there_is_one_sentence() {
    let directory = tempfile::tempdir().expect("a directory");
    let output = ripen(directory.path()).args(["demo", "--model", "none.yaml"]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(said, "error: cannot read none.yaml: no such file or directory\n");
}
