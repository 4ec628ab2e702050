//! Where a lead stands after records were scored.

use std::io::Write as _;
use std::path::Path;

use ripen_scorer::LeadView;

use super::{ExplainArguments, Part, sum};
use crate::failure::{CommandResult, Ended, Failure, say};
use crate::model_file::ModelFile;
use crate::pipeline::{Pipeline, PipelineOptions, PipelineOutput, Place, SourceFormat, SourceRecord};
use crate::score::{RECORDS_PER_DRAIN, for_each_line, readable};
use crate::words::instant;

pub(super) fn run(arguments: &ExplainArguments, model: &Path, format: SourceFormat) -> CommandResult {
    let ModelFile { text, model, .. } = ModelFile::load(model)?;
    for path in &arguments.records {
        readable(path)?;
    }
    let options = PipelineOptions::default();
    let mut pipeline = Pipeline::new(&model, &text, format, &options).map_err(Failure::new)?;
    let mut bad = 0_u64;
    let mut take = |output: PipelineOutput<'_>| {
        if let PipelineOutput::DeadLetter { place, reason, detail } = output {
            bad += 1;
            if bad == 1 {
                say(format_args!("{}:{}: {reason}: {detail}", place.file, place.line + 1));
            }
        }
    };
    let mut fed = 0;
    for path in &arguments.records {
        for_each_line(path, &mut |line, file, number| {
            fed += 1;
            pipeline.feed(&SourceRecord { key: None, value: line, place: Place { file, line: number } });
            if fed % RECORDS_PER_DRAIN == 0 {
                pipeline.drain(&mut take).map_err(Failure::new)?;
            }
            Ok(())
        })?;
    }
    pipeline.finish(arguments.until, &mut take).map_err(Failure::new)?;
    if bad > 1 {
        say(format_args!("{bad} records cannot be read"));
    }
    let at_ms = pipeline.clock_ms();
    let lead = &arguments.target;
    let Some(view) = pipeline.lead(lead, at_ms).map_err(Failure::new)? else {
        return Err(Failure::Message(format!(
            "there is no lead {lead} at {}: it never was, was forgotten, or was merged into another",
            instant(at_ms)
        )));
    };
    let mut stdout = std::io::stdout().lock();
    stdout
        .write_all(words(&view, at_ms).as_bytes())
        .and_then(|()| stdout.flush())
        .map_err(Failure::stdout)?;
    Ok(Ended::Good)
}

fn words(view: &LeadView, at_ms: i64) -> String {
    let LeadView { lead, stage, owner, .. } = view;
    let mut words = format!("{lead} at {}: {stage}, owned by {owner}\n", instant(at_ms.max(view.last_ms)));
    words.push_str(&format!("  first seen {}, {} decisions since\n", instant(view.born_ms), view.seq));
    words.push_str("scores\n");
    for score in &view.scores {
        let lines = view.lines.iter().filter(|line| line.score == score.name);
        let parts: Vec<Part<'_>> =
            lines.map(|line| Part { kind: line.kind.as_str(), id: &line.id, milli: line.milli }).collect();
        words.push_str(&sum(&score.name, score.milli, score.label.as_deref(), &parts));
    }
    if !view.facts.is_empty() {
        words.push_str(&format!("facts: {}\n", view.facts.join(", ")));
    }
    for verdict in &view.verdicts {
        let reason = verdict.reason.as_ref().map_or(String::new(), |reason| format!(" ({reason})"));
        let until =
            verdict.until_ms.map_or(String::new(), |until_ms| format!(" until {}", instant(until_ms)));
        words.push_str(&format!("disqualified by {}{reason}{until}\n", verdict.id));
    }
    if !view.audiences.is_empty() {
        words.push_str(&format!("audiences: {}\n", view.audiences.join(", ")));
    }
    let handed = if view.is_handed_over { "handed over to sales" } else { "not handed over" };
    match &view.response {
        Some(state) => words.push_str(&format!("{handed}, response {state}\n")),
        None => words.push_str(&format!("{handed}\n")),
    }
    let route: Vec<String> =
        view.attributes.iter().map(|attribute| format!("{} {}", attribute.name, attribute.value)).collect();
    if !route.is_empty() {
        words.push_str(&format!("route: {}\n", route.join(", ")));
    }
    if let Some(micros) = view.expected_value_micros {
        words.push_str(&format!("expected value: {}\n", ripen_model::canonical_text(micros)));
    }
    if let Some(step) = &view.next_step {
        words.push_str(&format!("next step: {step}\n"));
    }
    words.push_str(&match view.expected_exit_at_ms {
        Some(exit_ms) => format!("if nothing more happens it leaves {stage} at {}\n", instant(exit_ms)),
        None => format!("if nothing more happens it stays in {stage}\n"),
    });
    if let Some(deadline_ms) = view.deadline_ms {
        words.push_str(&format!("looked at again by itself at {}\n", instant(deadline_ms)));
    }
    words
}
