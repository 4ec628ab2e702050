//! `ripen model check FILE`.

use serde_json::json;

use super::{load, print, print_json};
use crate::cli::ModelArgs;
use crate::failure::{CommandResult, Ended};
use crate::model_file::ModelFile;

pub(super) fn run(arguments: &ModelArgs) -> CommandResult {
    let ModelFile { name, model, .. } = match load(&arguments.file, arguments.json)? {
        Ok(file) => file,
        Err(ended) => return Ok(ended),
    };
    let rules = model.file_rules().count();
    let missing = model.agreement.missing();
    if arguments.json {
        print_json(&json!({
            "file": name,
            "findings": [],
            "model": {
                "id": model.id,
                "version": model.version,
                "hash": model.hash,
                "rules": rules,
                "scores": model.scores.len(),
                "stages": model.stages.len(),
                "tests": model.personas.len(),
                "missing_agreement_of": missing,
            },
        }))?;
        return Ok(Ended::Good);
    }
    let mut text = format!(
        "{name}: model {} version {}: {rules} rules, {} scores, {} stages, {} tests\nhash {}\n",
        model.id,
        model.version,
        model.scores.len(),
        model.stages.len(),
        model.personas.len(),
        model.hash
    );
    if !missing.is_empty() {
        text.push_str(&format!("not agreed yet: {}\n", missing.join(", ")));
    }
    print(&text)?;
    Ok(Ended::Good)
}
