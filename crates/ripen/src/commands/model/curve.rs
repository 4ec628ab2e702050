//! `ripen model curve FILE --persona NAME`: scores and stages over time.

use ripen_records::Change;
use ripen_scorer::LeadView;
use serde_json::json;

use super::{load, print, print_json};
use crate::cli::CurveArgs;
use crate::failure::{CommandResult, Ended, Failure};
use crate::model_file::ModelFile;
use crate::persona;
use crate::words::{instant, points};

/// Rows at most: a year by the minute.
const MOST_ROWS: i64 = 600_000;

pub(super) fn run(arguments: &CurveArgs) -> CommandResult {
    let ModelFile { name, model, .. } = match load(&arguments.file, arguments.json)? {
        Ok(file) => file,
        Err(ended) => return Ok(ended),
    };
    let Some(persona) = model.personas.iter().find(|persona| persona.name == arguments.persona) else {
        let names: Vec<String> = model.personas.iter().map(|persona| format!("  {}", persona.name)).collect();
        let known = if names.is_empty() { "  none".to_owned() } else { names.join("\n") };
        let asked = &arguments.persona;
        return Err(Failure::Usage(format!("{name} has no test named {asked:?}; its tests are:\n{known}")));
    };
    let start_ms = persona.start_ms;
    let end_ms = arguments.until.map_or(persona::end_ms(persona), |until_ms| start_ms + until_ms);
    if (end_ms - start_ms) / arguments.step > MOST_ROWS {
        return Err(Failure::Usage(format!("over {MOST_ROWS} rows: choose a longer --step")));
    }
    let mut instants: Vec<i64> = (start_ms..=end_ms).step_by(arguments.step as usize).collect();
    instants.push(end_ms);
    instants.extend(persona.events.iter().map(|event| start_ms + event.at_ms));
    // Once to learn when the stage changes, once to look at those instants, too.
    let lived = persona::run(&model, persona, &[end_ms]).map_err(Failure::new)?;
    let changes = lived.decisions.iter().filter(|d| matches!(d.change, Change::StageChange(_)));
    instants.extend(changes.map(|decision| decision.effective_at_ms));
    instants.retain(|at_ms| *at_ms <= end_ms);
    let lived = persona::run(&model, persona, &instants).map_err(Failure::new)?;
    let first = &model.stages[0].id;
    let stage = |view: &Option<LeadView>| view.as_ref().map_or(first.clone(), |view| view.stage.clone());
    let milli = |view: &Option<LeadView>, ix: usize| view.as_ref().map_or(0, |view| view.scores[ix].milli);
    if arguments.json {
        let row = |(at_ms, view): &(i64, Option<LeadView>)| {
            let scores = model.scores.iter().enumerate();
            let scores = scores.map(|(ix, score)| (score.name.clone(), json!(milli(view, ix))));
            let scores: serde_json::Map<String, serde_json::Value> = scores.collect();
            json!({"at": instant(*at_ms), "scores_milli": scores, "stage": stage(view)})
        };
        let rows: Vec<_> = lived.views.iter().map(row).collect();
        print_json(&json!({"file": name, "persona": persona.name, "rows": rows}))?;
        return Ok(Ended::Good);
    }
    let mut csv = String::from("at");
    model.scores.iter().for_each(|score| csv.push_str(&format!(",{}", score.name)));
    csv.push_str(",stage\n");
    for (at_ms, view) in &lived.views {
        csv.push_str(&instant(*at_ms));
        for ix in 0..model.scores.len() {
            csv.push_str(&format!(",{}", points(milli(view, ix))));
        }
        csv.push_str(&format!(",{}\n", stage(view)));
    }
    print(&csv)?;
    Ok(Ended::Good)
}
