//! docs/concepts.md: every concept has its row, and every place that a row names exists.

use std::collections::BTreeMap;
use std::path::Path;

use clap::CommandFactory as _;
use ripen::cli::CommandLine;

const DOCUMENT: &str = include_str!("../docs/concepts.md");
const CONCEPTS: usize = 175;

/// One row: its number, the places in its last column, and whether something of it is left for later.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    number: usize,
    places: Vec<String>,
    is_later: bool,
}

/// Rows of the tables of concepts, in the document's order.
fn rows(document: &str) -> Vec<Row> {
    let cells = document.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let row = |line: &str| {
        let (number, rest) = line.split_once(" | ")?;
        let (_, shown) = rest.rsplit_once(" | ")?;
        let later = shown.split_once("*later:* ").map(|(_, what)| what.trim());
        Some(Row {
            number: number.parse().ok()?,
            places: quoted(shown),
            is_later: later.is_some_and(|w| !w.is_empty()),
        })
    };
    cells.filter_map(row).collect()
}

/// What stands between backticks.
fn quoted(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The files behind the short names, by name.
fn files(document: &str) -> BTreeMap<String, String> {
    let named = document.lines().filter_map(|line| {
        let (name, rest) = line.strip_prefix("| `")?.split_once("` | [")?;
        Some((name.to_owned(), rest.split_once(']')?.0.to_owned()))
    });
    named.collect()
}

/// What is wrong with the rows themselves.
fn wrong_rows(rows: &[Row]) -> Vec<String> {
    let mut wrong = Vec::new();
    let numbers: Vec<usize> = rows.iter().map(|row| row.number).collect();
    let all: Vec<usize> = (1..=CONCEPTS).collect();
    if numbers != all {
        let odd = (1..=CONCEPTS.max(numbers.len())).find(|n| numbers.get(n - 1) != Some(n));
        wrong.push(format!("the numbers are not 1 to {CONCEPTS}: look at {odd:?}"));
    }
    for row in rows {
        if row.places.is_empty() && !row.is_later {
            wrong.push(format!("{}: neither a place nor what is later", row.number));
        }
        // Persons and scenes, and their numbers: a test or a persona that says which concept it shows.
        let says = |place: &String| {
            place.split(|c: char| !c.is_ascii_digit()).any(|digits| digits == row.number.to_string())
        };
        if matches!(row.number, 41..=62 | 165) && !row.places.iter().any(says) {
            wrong.push(format!("{}: no place names its number", row.number));
        }
    }
    wrong
}

/// What is wrong with a place, if anything.
fn wrong_place(files: &BTreeMap<String, String>, place: &str) -> Option<String> {
    if let Some(words) = place.strip_prefix("ripen ") {
        return wrong_command(words);
    }
    let (name, what) = place.split_at(place.find([' ', ':', '#']).unwrap_or(place.len()));
    let Some(file) = files.get(name) else { return Some(format!("`{name}` is no place")) };
    let Ok(text) = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)) else {
        return Some(format!("{file} cannot be read"));
    };
    let is_there = if let Some(test) = what.strip_prefix("::") {
        is_test(&text, test)
    } else if let Some(words) = what.strip_prefix(" \"").and_then(|words| words.strip_suffix('"')) {
        has_persona(&text, words)
    } else if let Some(word) = what.strip_prefix(':') {
        has_word(&text, word)
    } else if let Some(heading) = what.strip_prefix('#') {
        let plain = |line: &str| line.trim_start_matches('#').trim().replace('`', "");
        text.lines().any(|line| line.starts_with('#') && plain(line) == heading)
    } else {
        return Some(format!("`{place}` says nothing about {file}"));
    };
    (!is_there).then(|| format!("`{place}` is not in {file}"))
}

fn wrong_command(words: &str) -> Option<String> {
    let mut command = CommandLine::command();
    for word in words.split(' ') {
        if let Some(flag) = word.strip_prefix("--") {
            if !command.get_arguments().any(|argument| argument.get_long() == Some(flag)) {
                return Some(format!("`ripen {words}`: there is no flag --{flag}"));
            }
            continue;
        }
        let Some(next) = command.find_subcommand(word).cloned() else {
            return Some(format!("`ripen {words}`: there is no command {word}"));
        };
        command = next;
    }
    None
}

/// A function of this name with `#[test]` among its attributes, or within `proptest!`, which wants it there, too.
fn is_test(text: &str, name: &str) -> bool {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let Some(at) = lines.iter().position(|line| line.starts_with(&format!("fn {name}("))) else {
        return false;
    };
    lines[..at].iter().rev().take_while(|line| line.starts_with("#[")).any(|line| *line == "#[test]")
}

/// Exactly one persona whose name contains the words.
fn has_persona(text: &str, words: &str) -> bool {
    let model = ripen_model::compile("model.yaml", text).unwrap_or_else(|errors| panic!("{errors}"));
    model.personas.iter().filter(|persona| persona.name.contains(words)).count() == 1
}

/// A word of a model file, before its tests and outside of comments.
fn has_word(text: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let model = text.lines().take_while(|line| *line != "tests:");
    let code = model.map(|line| line.split(" #").next().unwrap_or_default());
    code.filter(|line| !line.starts_with('#'))
        .any(|line| line.split(|c| !is_part(c)).any(|part| part == word))
}

#[test]
fn every_concept_has_a_row_and_every_place_exists() {
    let (rows, files) = (rows(DOCUMENT), files(DOCUMENT));
    let mut wrong = wrong_rows(&rows);
    for row in &rows {
        let places = row.places.iter().filter_map(|place| wrong_place(&files, place));
        wrong.extend(places.map(|finding| format!("{}: {finding}", row.number)));
    }
    let is_named = |name: &String| {
        let of = |place: &String| {
            place.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with([' ', ':', '#']))
        };
        rows.iter().flat_map(|row| &row.places).any(of)
    };
    wrong.extend(files.keys().filter(|name| !is_named(name)).map(|name| format!("nothing is in `{name}`")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_place_that_does_not_exist_is_found() {
    let mut files = files(DOCUMENT);
    files.insert("gone".to_owned(), "docs/gone.md".to_owned());
    for place in [
        "dealer:test_driven",
        "dealer \"browsed the moon\"",
        "course \"concept\"",
        "dealer",
        "nowhere:test_drive",
        "gone#Values",
        "model.md#Valued",
        "persons::concept_41",
        "concepts::check",
        "ripen model lint --samples",
        "ripen model guess",
        "ripen guess",
    ] {
        assert!(wrong_place(&files, place).is_some(), "{place}");
    }
    for place in [
        "dealer:test_drive",
        "dealer \"browsed, read\"",
        "model.md#Values",
        "model.md#handover and response",
        "persons::concept_43_a_return_within_one_to_fourteen_days_counts",
        "ripen model lint --sample",
    ] {
        assert_eq!(wrong_place(&files, place), None, "{place}");
    }
}

#[test]
fn a_number_that_is_missing_or_shown_by_nothing_is_found() {
    let good = rows(DOCUMENT);
    assert_eq!(wrong_rows(&good), [""; 0]);
    let changed = |change: &dyn Fn(&mut Vec<Row>)| {
        let mut rows = good.clone();
        change(&mut rows);
        wrong_rows(&rows).len()
    };
    assert_eq!(changed(&|rows| drop(rows.remove(6))), 1);
    assert_eq!(changed(&|rows| rows.insert(3, rows[3].clone())), 1);
    assert_eq!(changed(&|rows| drop(rows.pop())), 1);
    assert_eq!(changed(&|rows| rows[46].places = vec!["dealer:iql".to_owned()]), 1, "47 is not named");
    assert_eq!(changed(&|rows| rows[3].places.clear()), 1);
}
