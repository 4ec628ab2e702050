//! `ripen model test FILE`.

use ripen_model::Model;
use ripen_model::compiled::Persona;
use serde_json::json;
use std::sync::Arc;

use super::{load, print, print_json};
use crate::cli::ModelArgs;
use crate::failure::{CommandResult, Ended, Failure};
use crate::model_file::ModelFile;
use crate::persona::{self, Judged};
use crate::words::since;

pub(super) fn run(arguments: &ModelArgs) -> CommandResult {
    let ModelFile { name, model, .. } = match load(&arguments.file, arguments.json)? {
        Ok(file) => file,
        Err(ended) => return Ok(ended),
    };
    let mut failed = 0;
    let mut tests = Vec::new();
    for persona in &model.personas {
        let judged = persona::judge(&model, persona).map_err(|error| {
            Failure::Message(format!("{name}:{}: {}: {error}", persona.line, persona.name))
        })?;
        failed += usize::from(!judged.failed.is_empty());
        if arguments.json {
            tests.push(judged_json(&judged));
        } else {
            print(&told(&name, &model, persona, &judged)?)?;
        }
    }
    if arguments.json {
        print_json(&json!({"file": name, "tests": tests, "failed": failed}))?;
    } else {
        print(&format!("{} tests, {failed} failed\n", model.personas.len()))?;
    }
    Ok(if failed == 0 { Ended::Good } else { Ended::Findings })
}

fn told(file: &str, model: &Arc<Model>, persona: &Persona, judged: &Judged) -> Result<String, Failure> {
    let word = if judged.failed.is_empty() { "ok  " } else { "FAIL" };
    let mut text = format!("{word} {file}:{}: {}\n", judged.line, judged.name);
    if judged.failed.is_empty() {
        return Ok(text);
    }
    for failed in &judged.failed {
        text.push_str(&format!("  {file}:{}: at {}: {}\n", failed.line, since(failed.at_ms), failed.message));
        if let Some(turned) = &failed.turned {
            text.push_str(&format!("    {turned}\n"));
        }
    }
    for (ix, why) in &judged.dropped {
        let event = &persona.events[*ix];
        text.push_str(&format!(
            "  the event {} at {} did not count: {why}\n",
            event.event,
            since(event.at_ms)
        ));
    }
    text.push_str(&persona::chart(model, persona).map_err(Failure::new)?);
    text.push('\n');
    Ok(text)
}

fn judged_json(judged: &Judged) -> serde_json::Value {
    let failed = judged.failed.iter().map(|failed| {
        json!({
            "line": failed.line,
            "at_ms": failed.at_ms,
            "message": failed.message,
            "turned": failed.turned,
        })
    });
    let dropped = judged.dropped.iter().map(|(ix, why)| json!({"event": ix, "why": why}));
    json!({
        "name": judged.name,
        "line": judged.line,
        "ok": judged.failed.is_empty(),
        "failed": failed.collect::<Vec<_>>(),
        "dropped": dropped.collect::<Vec<_>>(),
    })
}
