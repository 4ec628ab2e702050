//! `ripen model lint FILE`.

use std::collections::BTreeSet;
use std::path::Path;

use ripen_ingest::{Arrival, Element, Ingest, Limits, Needed, Outcome, Source};
use ripen_model::{Level, LintFinding};
use serde_json::json;

use super::{load, print, print_json};
use crate::cli::LintArgs;
use crate::failure::{CommandResult, Ended, Failure, say};
use crate::model_file::ModelFile;
use crate::pipeline::SourceFormat;
use crate::score::for_each_line;

/// Names kept of a sample: a log whose names hold ids has no end of them.
const MOST_NAMES: usize = 10_000;

pub(super) fn run(arguments: &LintArgs) -> CommandResult {
    let file = match load(&arguments.file, arguments.json)? {
        Ok(file) => file,
        Err(ended) => return Ok(ended),
    };
    let ModelFile { name, text, model } = &file;
    let mut findings = ripen_model::lint(model, text);
    if let Some(path) = &arguments.sample {
        let names = names(path, arguments.format)?;
        findings.extend(ripen_model::lint_sample(model, text, &names));
        findings.sort_by_key(|finding| (finding.level, finding.line, finding.column));
    }
    let count = |level: Level| findings.iter().filter(|finding| finding.level == level).count();
    let (errors, warnings, infos) = (count(Level::Error), count(Level::Warning), count(Level::Info));
    if arguments.json {
        let findings: Vec<_> = findings.iter().map(finding_json).collect();
        print_json(&json!({"file": name, "findings": findings}))?;
    } else {
        let mut text: String =
            findings.iter().map(|finding| format!("{}\n", finding.display(name))).collect();
        text.push_str(&format!("{errors} errors, {warnings} warnings, {infos} infos\n"));
        print(&text)?;
    }
    Ok(if errors + warnings == 0 { Ended::Good } else { Ended::Findings })
}

fn finding_json(finding: &LintFinding) -> serde_json::Value {
    json!({
        "level": finding.level.as_str(),
        "code": finding.code,
        "line": finding.line,
        "column": finding.column,
        "excerpt": finding.excerpt,
        "message": finding.message,
        "suggestion": finding.suggestion,
    })
}

/// The names of a sample's events, as ingest calls them.
fn names(path: &Path, format: SourceFormat) -> Result<BTreeSet<String>, Failure> {
    let mut names = BTreeSet::new();
    let mut ingest = Ingest::new(Limits::default(), Arrival::FromRecord, &Needed::default());
    let mut bad: u64 = 0;
    for_each_line(path, &mut |line, file, number| {
        let source = Source { topic: file, partition: 0, offset: number, timestamp_ms: 0 };
        ingest.read(format, &source, Some(line), &mut |element: Element<'_>| match element.outcome {
            Outcome::Accepted { activity, .. } if names.len() < MOST_NAMES => {
                names.insert(activity.name.to_string());
            }
            Outcome::DeadLetter { reason, detail } => {
                bad += 1;
                if bad == 1 {
                    say(format_args!("{file}:{}: {}: {detail}", number + 1, reason.as_str()));
                }
            }
            _ => {}
        });
        Ok(())
    })?;
    if bad > 1 {
        say(format_args!("{bad} records of the sample cannot be read"));
    }
    Ok(names)
}
