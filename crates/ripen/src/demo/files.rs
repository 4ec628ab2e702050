//! The files of `--out`: the records that came in, what came out, and the month in numbers.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::tally::Summary;
use crate::failure::Failure;

/// One line of JSON per record, in the order of arrival; some are broken on purpose.
pub(super) const CLICKSTREAM: &str = "clickstream.jsonl";
const TRANSITIONS: &str = "transitions.jsonl";
const DEAD_LETTERS: &str = "dead-letters.jsonl";
const SUMMARY: &str = "summary.json";

/// The open files. What stood in them before is gone.
pub(super) struct Files {
    directory: PathBuf,
    clickstream: Lines,
    transitions: Lines,
    dead_letters: Lines,
}

struct Lines {
    path: PathBuf,
    file: BufWriter<File>,
}

#[derive(Serialize)]
struct DeadLetter<'a> {
    /// The line of the clickstream, from 1.
    line: i64,
    reason: &'a str,
    detail: &'a str,
}

impl Files {
    /// Makes the directory if it is not there, and the files in it.
    pub(super) fn create(directory: &Path) -> Result<Files, Failure> {
        fs::create_dir_all(directory).map_err(|error| Failure::write(directory, &error))?;
        Ok(Files {
            directory: directory.to_owned(),
            clickstream: Lines::create(directory.join(CLICKSTREAM))?,
            transitions: Lines::create(directory.join(TRANSITIONS))?,
            dead_letters: Lines::create(directory.join(DEAD_LETTERS))?,
        })
    }

    pub(super) fn click(&mut self, line: &[u8]) -> Result<(), Failure> {
        self.clickstream.push(line)
    }

    pub(super) fn transition(&mut self, json: &str) -> Result<(), Failure> {
        self.transitions.push(json.as_bytes())
    }

    /// `offset`: the place in the clickstream, from 0.
    pub(super) fn dead_letter(&mut self, offset: i64, reason: &str, detail: &str) -> Result<(), Failure> {
        let letter = DeadLetter { line: offset + 1, reason, detail };
        let json = serde_json::to_vec(&letter).map_err(Failure::new)?;
        self.dead_letters.push(&json)
    }

    /// Writes the summary and everything that is still buffered.
    pub(super) fn close(mut self, summary: &Summary) -> Result<(), Failure> {
        for lines in [&mut self.clickstream, &mut self.transitions, &mut self.dead_letters] {
            lines.file.flush().map_err(|error| Failure::write(&lines.path, &error))?;
        }
        let path = self.directory.join(SUMMARY);
        let mut json = serde_json::to_vec_pretty(summary).map_err(Failure::new)?;
        json.push(b'\n');
        fs::write(&path, json).map_err(|error| Failure::write(&path, &error))
    }
}

impl Lines {
    fn create(path: PathBuf) -> Result<Lines, Failure> {
        let file = File::create(&path).map_err(|error| Failure::write(&path, &error))?;
        Ok(Lines { path, file: BufWriter::new(file) })
    }

    fn push(&mut self, line: &[u8]) -> Result<(), Failure> {
        let written: io::Result<()> = self.file.write_all(line).and_then(|()| self.file.write_all(b"\n"));
        written.map_err(|error| Failure::write(&self.path, &error))
    }
}
