//! A lead's curve as text: scores and stage over time.

use std::sync::Arc;

use ripen_model::Model;
use ripen_model::compiled::Persona;

use super::{RunError, end_ms, run};
use crate::words::{points, since};

/// Columns of a curve.
const COLUMNS: i64 = 60;

/// Shortest span of a curve, ms.
const SHORTEST_MS: i64 = 3_600_000;

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Scores that ever differ from zero, each scaled to its own extremes, and the stage as a number with its legend.
///
/// # Errors
/// See [`RunError`].
pub fn chart(model: &Arc<Model>, persona: &Persona) -> Result<String, RunError> {
    let (start_ms, end_ms) = (persona.start_ms, end_ms(persona).max(persona.start_ms + SHORTEST_MS));
    let instants: Vec<i64> =
        (0..COLUMNS).map(|n| start_ms + (end_ms - start_ms) * n / (COLUMNS - 1)).collect();
    let lived = run(model, persona, &instants)?;
    let names = model.scores.iter().map(|score| score.name.as_str());
    let width = names.chain(["stage"]).map(|name| name.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for (ix, score) in model.scores.iter().enumerate() {
        let of =
            |view: &Option<ripen_scorer::LeadView>| view.as_ref().map_or(0, |view| view.scores[ix].milli);
        let curve: Vec<i64> = lived.views.iter().map(|(_, view)| of(view)).collect();
        let (low, high) = curve.iter().fold((0, 0), |(low, high), milli| (low.min(*milli), high.max(*milli)));
        if (low, high) == (0, 0) {
            continue;
        }
        let bars: String = curve.iter().map(|milli| bar(*milli, low, high)).collect();
        let last = curve.last().copied().unwrap_or(0);
        text.push_str(&format!(
            "  {:width$} {bars} {} to {}, at the end {}\n",
            score.name,
            points(low),
            points(high),
            points(last)
        ));
    }
    let place = |stage: &str| model.stages.iter().position(|of| of.id == stage).unwrap_or(0);
    let stages: Vec<usize> =
        lived.views.iter().map(|(_, view)| view.as_ref().map_or(0, |view| place(&view.stage))).collect();
    let row: String = stages.iter().map(|stage| digit(*stage)).collect();
    let mut seen = stages;
    seen.sort_unstable();
    seen.dedup();
    let legend: Vec<String> =
        seen.iter().map(|stage| format!("{} {}", digit(*stage), model.stages[*stage].id)).collect();
    text.push_str(&format!("  {:width$} {row} {}\n", "stage", legend.join(", ")));
    let end = since(end_ms - start_ms);
    let gap = (COLUMNS as usize).saturating_sub(8 + end.chars().count());
    text.push_str(&format!("  {:width$} {}{}{end}", "", "0d 00:00", " ".repeat(gap)));
    Ok(text)
}

fn bar(milli: i64, low: i64, high: i64) -> char {
    let steps = BARS.len() as i128 - 1;
    let height = i128::from(milli - low) * steps / i128::from((high - low).max(1));
    if milli == 0 && low == 0 { ' ' } else { BARS[height.clamp(0, steps) as usize] }
}

/// The place of a stage as one character: 0 to 9, a to z, then `+`.
fn digit(stage: usize) -> char {
    u32::try_from(stage).ok().and_then(|stage| char::from_digit(stage, 36)).unwrap_or('+')
}
