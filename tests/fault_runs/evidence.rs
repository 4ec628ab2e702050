//! What is kept when something was violated, so that it can be found out how: what brokers said, and their logs.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Of one round. Offsets and transactions of a round are some megabytes.
const LIMIT_BYTES: u64 = 64 << 20;

/// Copies each broker's log files and producer snapshots from its directory into one of its own under `into`: those of
/// offsets and transactions first, the other topics' as far as the limit allows.
pub(crate) fn keep<'a>(brokers: impl IntoIterator<Item = &'a Path>, into: &Path) -> io::Result<()> {
    keep_up_to(LIMIT_BYTES, brokers, into)
}

fn keep_up_to<'a>(
    mut left_bytes: u64,
    brokers: impl IntoIterator<Item = &'a Path>,
    into: &Path,
) -> io::Result<()> {
    let mut files = Vec::new();
    for (number, broker) in (1..).zip(brokers) {
        let target = into.join(format!("broker-{number}"));
        files.push((0, broker.join("broker.log"), target.join("broker.log")));
        for partition in listed(&broker.join("data")) {
            let name = partition.file_name().unwrap_or_default().to_owned();
            let is_internal = name.to_string_lossy().starts_with("__");
            let kept =
                |file: &PathBuf| file.extension().is_some_and(|kind| kind == "log" || kind == "snapshot");
            for file in listed(&partition).into_iter().filter(kept) {
                let to = target.join(&name).join(file.file_name().unwrap_or_default());
                files.push((if is_internal { 1 } else { 2 }, file, to));
            }
        }
    }
    files.sort();
    for (_, from, to) in files {
        // It may have been compacted away meanwhile.
        let Ok(bytes) = fs::metadata(&from).map(|found| found.len()) else { continue };
        if bytes == 0 || bytes > left_bytes {
            continue;
        }
        left_bytes -= bytes;
        fs::create_dir_all(to.parent().unwrap_or(into))?;
        fs::copy(from, to)?;
    }
    Ok(())
}

/// What is in a directory; nothing if it is none.
fn listed(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir).map(|entries| entries.flatten().map(|entry| entry.path()).collect()).unwrap_or_default()
}

#[test]
fn logs_of_offsets_and_transactions_are_kept_first_and_no_more_than_the_limit() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let files = [
        ("broker.log", 10),
        ("data/__consumer_offsets-1/00.log", 30),
        ("data/__consumer_offsets-1/00.index", 1_000),
        ("data/__transaction_state-0/00.log", 40),
        ("data/a-0/00.log", 50),
        ("data/b-0/00.log", 15),
        ("data/b-0/01.snapshot", 5),
    ];
    for (name, bytes) in files {
        let path = dir.path().join("one").join(name);
        fs::create_dir_all(path.parent().expect("it has one")).expect("a directory");
        fs::write(path, vec![7; bytes]).expect("a file");
    }
    let into = dir.path().join("kept");
    let one = dir.path().join("one");
    keep_up_to(100, [one.as_path(), dir.path().join("gone").as_path()], &into).expect("it can be copied");
    let kept = |name: &str| into.join("broker-1").join(name.trim_start_matches("data/")).exists();
    let names: Vec<&str> = files.iter().map(|(name, _)| *name).filter(|name| kept(name)).collect();
    let expected = [
        "broker.log",
        "data/__consumer_offsets-1/00.log",
        "data/__transaction_state-0/00.log",
        "data/b-0/00.log",
        "data/b-0/01.snapshot",
    ];
    assert_eq!(names, expected);
}
