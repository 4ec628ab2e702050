//! `docs/failures.md` names a test for every failure: each has to be there.

use std::path::Path;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

#[test]
fn every_test_that_the_table_of_failures_names_exists() {
    let text = std::fs::read_to_string(Path::new(ROOT).join("docs/failures.md")).expect("docs/failures.md");
    let mut sources = String::new();
    for dir in ["tests", "tests/fault_runs", "crates/runtime/tests"] {
        for entry in std::fs::read_dir(Path::new(ROOT).join(dir)).expect("a directory of tests").flatten() {
            if entry.path().extension().is_some_and(|extension| extension == "rs") {
                sources.push_str(&std::fs::read_to_string(entry.path()).expect("a readable source"));
            }
        }
    }
    let rows = text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| failure"));
    let mut named = 0;
    for row in rows {
        let tests = row.trim_end_matches('|').rsplit_once('|').expect("a table").1;
        let mut names = tests.split(',').map(|name| name.trim().trim_matches('`')).peekable();
        assert!(names.peek().is_some_and(|name| !name.is_empty()), "no test: {row}");
        for name in names {
            assert!(sources.contains(&format!("fn {name}(")), "no test of this name: {name}");
            named += 1;
        }
    }
    assert!(named > 25, "only {named} tests are named: is the table still a table?");
}
