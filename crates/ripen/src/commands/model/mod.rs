//! `ripen model …`: what one does with a model file before, and when, it scores.
//!
//! Exit codes: 0 good, 1 findings or a failure, 2 usage. With `--json` the answer is one JSON document on stdout,
//! findings included.

mod activate;
mod check;
mod curve;
mod lint;
mod show;
mod test;

use std::io::Write as _;
use std::path::Path;

use ripen_model::ModelErrors;
use serde_json::{Value, json};

pub(super) use self::activate::activate;

use crate::cli::ModelCommand;
use crate::failure::{CommandResult, Ended, Failure};
use crate::model_file::{ModelFile, ModelFileError};

pub(super) fn run(command: &ModelCommand) -> CommandResult {
    match command {
        ModelCommand::Check(arguments) => check::run(arguments),
        ModelCommand::Lint(arguments) => lint::run(arguments),
        ModelCommand::Test(arguments) => test::run(arguments),
        ModelCommand::Show(arguments) => show::run(arguments),
        ModelCommand::Curve(arguments) => curve::run(arguments),
        ModelCommand::Schema => print(&ripen_model::schema()).map(|()| Ended::Good),
        ModelCommand::Activate { file } => Err(Failure::Usage(format!("{} needs a broker", file.display()))),
    }
}

/// Loads a model; one with errors is answered as asked for: in words on stderr, or in JSON on stdout.
fn load(path: &Path, as_json: bool) -> Result<Result<ModelFile, Ended>, Failure> {
    match ModelFile::load(path) {
        Ok(file) => Ok(Ok(file)),
        Err(ModelFileError::Errors(errors)) if as_json => {
            print_json(&json!({"file": errors.file_name, "findings": findings(&errors)}))?;
            Ok(Err(Ended::Findings))
        }
        Err(error) => Err(error.into()),
    }
}

fn findings(errors: &ModelErrors) -> Vec<Value> {
    let of = |finding: &ripen_model::Finding| {
        json!({
            "level": "error",
            "code": "not_compiled",
            "line": finding.line,
            "column": finding.column,
            "excerpt": finding.excerpt,
            "message": finding.message,
            "suggestion": finding.suggestion,
        })
    };
    errors.findings.iter().map(of).collect()
}

fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(Failure::stdout)
}

fn print_json(value: &Value) -> Result<(), Failure> {
    print(&format!("{value:#}\n"))
}
