//! `ripen model show FILE`: the tracking plan.

use ripen_model::{Tracked, TrackingPlan};
use serde_json::json;

use super::{load, print, print_json};
use crate::cli::ModelArgs;
use crate::failure::{CommandResult, Ended};
use crate::model_file::ModelFile;

pub(super) fn run(arguments: &ModelArgs) -> CommandResult {
    let ModelFile { name, text, model } = match load(&arguments.file, arguments.json)? {
        Ok(file) => file,
        Err(ended) => return Ok(ended),
    };
    let plan = ripen_model::tracking_plan(&model, &text);
    let TrackingPlan { events, fields, pages, traits } = &plan;
    if arguments.json {
        let of = |tracked: &[Tracked]| {
            let entry = |tracked: &Tracked| json!({"name": tracked.name, "from": tracked.from, "read_by": tracked.read_by});
            tracked.iter().map(entry).collect::<Vec<_>>()
        };
        print_json(&json!({
            "file": name,
            "model": {"id": model.id, "version": model.version},
            "events": of(events),
            "fields": of(fields),
            "pages": of(pages),
            "traits": of(traits),
        }))?;
        return Ok(Ended::Good);
    }
    let mut told = format!("What has to be tracked for {} version {}\n", model.id, model.version);
    for (title, tracked) in [
        ("Events", events),
        ("Fields of events", fields),
        ("Pages, by path", pages),
        ("Traits that are kept, and where they are read", traits),
    ] {
        if tracked.is_empty() {
            continue;
        }
        told.push_str(&format!("\n{title}\n"));
        let width = tracked.iter().map(|entry| entry.name.chars().count()).max().unwrap_or(0);
        for entry in tracked {
            let from =
                if entry.from.is_empty() { String::new() } else { format!("{}; ", entry.from.join(", ")) };
            told.push_str(&format!("  {:width$}  {from}{}\n", entry.name, entry.read_by.join(", ")));
        }
    }
    print(&told)?;
    Ok(Ended::Good)
}
