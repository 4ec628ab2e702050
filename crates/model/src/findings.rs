//! What is wrong with a model file, with the place and a way out.

use std::fmt;

/// Findings kept at most, the first of the file; a broken one may have thousands, and nobody reads them.
const MOST_FINDINGS: usize = 1_000;

/// Findings printed at most.
const SHOWN: usize = 200;

/// Longest name, in characters, for which a near one is looked for.
const LONGEST_SLIP: usize = 100;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The line's text, cut at 200 characters.
    pub excerpt: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub suggestion: Option<String>,
}

/// Everything that is wrong with a model file, in the file's order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ModelErrors {
    /// The file's name, as given.
    pub file_name: String,
    /// The findings, by place; there is at least one, and the first 1,000 are kept.
    pub findings: Vec<Finding>,
}

impl fmt::Display for ModelErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (ix, finding) in self.findings.iter().take(SHOWN).enumerate() {
            if ix > 0 {
                writeln!(f)?;
            }
            let Finding { line, column, excerpt, message, suggestion } = finding;
            let gutter = line.to_string();
            writeln!(f, "{}:{line}:{column}: error: {message}", self.file_name)?;
            writeln!(f, " {gutter} | {excerpt}")?;
            let column = (*column).min(200);
            write!(f, " {:width$} | {:>column$}", "", "^", width = gutter.len())?;
            if let Some(suggestion) = suggestion {
                write!(f, " {suggestion}")?;
            }
        }
        if self.findings.len() > SHOWN {
            write!(f, "\n… and {} more", self.findings.len() - SHOWN)?;
        }
        Ok(())
    }
}

/// Collects findings while a file is read.
#[derive(Debug)]
pub(crate) struct Findings<'a> {
    text: &'a str,
    /// Where each line starts.
    starts: Vec<usize>,
    found: Vec<(usize, String, Option<String>)>,
}

impl<'a> Findings<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Findings { text, starts, found: Vec::new() }
    }

    /// The model file's text.
    pub(crate) fn text(&self) -> &'a str {
        self.text
    }

    /// Notes a finding at a byte offset.
    pub(crate) fn add(&mut self, offset: usize, message: impl Into<String>) {
        self.found.push((offset, message.into(), None));
    }

    /// The same with a way out.
    pub(crate) fn suggest(&mut self, offset: usize, message: impl Into<String>, way_out: Option<String>) {
        self.found.push((offset, message.into(), way_out));
    }

    /// The line of a byte offset, from 1.
    pub(crate) fn line(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset.min(self.text.len()))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// All findings by place, each once.
    pub(crate) fn into_errors(mut self, file_name: &str) -> ModelErrors {
        self.found.sort();
        self.found.dedup();
        self.found.truncate(MOST_FINDINGS);
        let found = std::mem::take(&mut self.found);
        let findings = found.into_iter().map(|(offset, message, suggestion)| {
            let line = self.line(offset);
            let start = self.starts[line - 1];
            let (column, excerpt) = within_line(&self.text[start..], offset - start);
            Finding { line, column, excerpt, message, suggestion }
        });
        ModelErrors { file_name: file_name.to_owned(), findings: findings.collect() }
    }
}

/// The line and the column (from 1) of a byte of a text, and the line.
pub(crate) fn place(text: &str, offset: usize) -> (usize, usize, String) {
    let offset = text.floor_char_boundary(offset.min(text.len()));
    let start = text[..offset].rfind('\n').map_or(0, |end| end + 1);
    let line = text[..start].matches('\n').count() + 1;
    let (column, excerpt) = within_line(&text[start..], offset - start);
    (line, column, excerpt)
}

/// "did you mean …", if a candidate is near enough to be a slip of the pen.
pub(crate) fn did_you_mean<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(name, candidates).map(|candidate| format!("did you mean `{candidate}`?"))
}

fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = name.chars().count();
    // A name of a thousand characters is no slip; the comparison's cost grows with the square.
    if length > LONGEST_SLIP {
        return None;
    }
    let allowed = length.div_ceil(3).max(1);
    candidates
        .into_iter()
        .filter(|candidate| candidate.chars().count().abs_diff(length) <= allowed)
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, candidate)| candidate)
}

/// The column of a byte in the line that `rest` begins with, and the line's text.
fn within_line(rest: &str, offset: usize) -> (usize, String) {
    let line = rest.lines().next().unwrap_or_default();
    let column = line.char_indices().take_while(|(at, _)| *at < offset).count() + 1;
    // A tab counts as one character, as in the column: the caret stays below its place.
    let excerpt = line.chars().take(200).map(|c| if c.is_control() { ' ' } else { c }).collect();
    (column, excerpt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_shows_its_place() {
        let mut findings = Findings::new("a: 1\nпоинты: 2\n");
        findings.suggest(17, "unknown key `x`", did_you_mean("pionts", ["points", "once"]));
        let errors = findings.into_errors("m.yaml");
        assert_eq!(
            errors.to_string(),
            "m.yaml:2:7: error: unknown key `x`\n 2 | поинты: 2\n   |       ^ did you mean `points`?"
        );
    }

    #[test]
    fn only_near_names_are_suggested() {
        assert_eq!(
            did_you_mean("pageview", ["page_view", "page_leave"]).unwrap(),
            "did you mean `page_view`?"
        );
        assert_eq!(did_you_mean("xyz", ["page_view"]), None);
        // A third of the name may differ, however many bytes its letters take.
        assert_eq!(did_you_mean("оценка", ["оценка😀😀"]).unwrap(), "did you mean `оценка😀😀`?");
        assert_eq!(did_you_mean("оценка", ["оценка_ab"]), None);
        for (length, is_slip) in [(LONGEST_SLIP, true), (LONGEST_SLIP + 1, false)] {
            let found = did_you_mean(&"ж".repeat(length), [format!("{}x", "ж".repeat(length)).as_str()]);
            assert_eq!(found.is_some(), is_slip, "{length} characters");
        }
    }
}
