//! A line of the trace: one lead after one record or one deadline.

use ripen_scorer::{Applied, LeadView};
use serde::Serialize;
use serde::ser::{SerializeMap as _, Serializer};

use crate::operators::Traced;
use crate::words::instant;

#[derive(Serialize)]
struct Line<'a> {
    lead: &'a str,
    at: String,
    /// `record` or `deadline`.
    on: &'static str,
    /// For a record: `accepted`, `merged`, `erased`, or why it was not counted.
    outcome: Option<&'static str>,
    input: Option<Input<'a>>,
    /// The lead is no more: forgotten, erased or merged into another.
    gone: bool,
    stage: Option<&'a str>,
    scores: Option<Scores<'a>>,
    audiences: &'a [String],
    seq: Option<u64>,
    next_deadline: Option<String>,
}

#[derive(Serialize)]
struct Input<'a> {
    file: &'a str,
    line: i64,
}

/// Thousandths by name, in the model's order.
struct Scores<'a>(&'a LeadView);

impl Serialize for Scores<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.scores.len()))?;
        for score in &self.0.scores {
            map.serialize_entry(&score.name, &score.milli)?;
        }
        map.end()
    }
}

/// The line without its end.
pub(super) fn line(traced: &Traced) -> String {
    let Traced { lead, at_ms, input, is_deadline, applied, view } = traced;
    let view = view.as_ref();
    let line = Line {
        lead,
        at: instant(*at_ms),
        on: if *is_deadline { "deadline" } else { "record" },
        outcome: applied.map(word),
        input: input.as_ref().map(|(file, line)| Input { file, line: line + 1 }),
        gone: view.is_none(),
        stage: view.map(|view| view.stage.as_str()),
        scores: view.map(Scores),
        audiences: view.map_or(&[], |view| &view.audiences),
        seq: view.map(|view| view.seq),
        next_deadline: view.and_then(|view| view.deadline_ms).map(instant),
    };
    serde_json::to_string(&line).expect("a line has text keys and whole numbers")
}

fn word(applied: Applied) -> &'static str {
    match applied {
        Applied::Accepted { .. } => "accepted",
        Applied::Filtered(reason) => reason.as_str(),
        Applied::Merged => "merged",
        Applied::Erased => "erased",
        _ => "applied",
    }
}
