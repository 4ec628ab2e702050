//! The tests inside a model: persons, what they do, and what has to come of it, through the real scorer.
//!
//! Every event goes the way of a record of Ripen's own format, so that paths, campaigns and what is personal are
//! treated as in production; arrival is event time. Nothing here reads a clock.

mod chart;
mod judge;

use std::collections::BTreeMap;
use std::sync::Arc;

use ripen_ingest::{Arrival, Element, Format, Ingest, Limits, Outcome, Source};
use ripen_model::compiled::{Persona, PersonaEvent, PersonaValue};
use ripen_model::expression::Constant;
use ripen_model::{Model, canonical_text};
use ripen_records::{ActivityRecord, Decision, Field, Switch, Text, Tick, Value};
use ripen_scorer::{Applied, Budget, LeadView, Refused, SEMANTICS, STATE_FORMAT, Shard};
use serde::Serialize;
use serde::ser::{SerializeMap as _, Serializer};
use serde_json::value::RawValue;

pub use self::chart::chart;
pub use self::judge::{Failed, Judged, judge};

use crate::operators::needed_by;

/// The lead that a persona is; its known events carry [`KNOWN_ID`], too.
const LEAD: &str = "anon:persona";
const KNOWN_ID: &str = "user:persona";

/// Why a persona cannot be run. Each one is a defect of the program or of the model's numbers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the scorer refuses it: {0}")]
pub struct RunError(#[from] Refused);

/// What became of a persona.
#[derive(Debug, Clone, Default)]
pub struct Run {
    /// Every decision, in order.
    pub decisions: Vec<Decision>,
    /// The lead at each instant that was asked for (ms UTC), in the order of time; `None` before its first activity
    /// and after it was forgotten.
    pub views: Vec<(i64, Option<LeadView>)>,
    /// Events that did not count: their place in the test from 0, and why.
    pub dropped: Vec<(usize, String)>,
}

impl Run {
    /// The lead at an instant that was asked for.
    pub fn view(&self, at_ms: i64) -> Option<&LeadView> {
        self.views.iter().find(|(at, _)| *at == at_ms).and_then(|(_, view)| view.as_ref())
    }
}

/// Lets a persona live, and looks at it at each of `instants` (ms UTC), after everything of that instant.
///
/// # Errors
/// See [`RunError`].
pub fn run(model: &Arc<Model>, persona: &Persona, instants: &[i64]) -> Result<Run, RunError> {
    let mut stage = Rehearsal::new(model, persona)?;
    let mut instants = instants.to_vec();
    instants.sort_unstable();
    instants.dedup();
    let mut next = instants.into_iter().peekable();
    for (ix, event) in persona.events.iter().enumerate() {
        let at_ms = persona.start_ms + event.at_ms;
        while let Some(instant) = next.next_if(|instant| *instant < at_ms) {
            stage.look(instant)?;
        }
        stage.act(ix, event, at_ms)?;
    }
    for instant in next {
        stage.look(instant)?;
    }
    Ok(stage.run)
}

/// The last instant that a persona's test speaks of, ms UTC.
pub fn end_ms(persona: &Persona) -> i64 {
    let events = persona.events.iter().map(|event| event.at_ms);
    let expected = persona.expect.iter().flat_map(|expect| [expect.at_ms, expect.demoted_by_ms]).flatten();
    persona.start_ms + events.chain(expected).max().unwrap_or(0)
}

struct Rehearsal<'m> {
    model: &'m Model,
    shard: Shard,
    ingest: Ingest,
    run: Run,
}

impl<'m> Rehearsal<'m> {
    fn new(model: &'m Arc<Model>, persona: &Persona) -> Result<Rehearsal<'m>, RunError> {
        let mut shard = Shard::new();
        let switch = Switch {
            epoch: 1,
            model_hash: Text::from(model.hash.as_str()),
            semantics: SEMANTICS,
            state_format: STATE_FORMAT,
            at_ms: persona.start_ms,
        };
        shard.switch(&switch, Arc::clone(model))?;
        let traits = fields(&persona.traits);
        if !traits.is_empty() {
            shard.preset_traits(LEAD, &traits, persona.start_ms)?;
        }
        let ingest = Ingest::new(Limits::default(), Arrival::FromRecord, &needed_by(model));
        Ok(Rehearsal { model, shard, ingest, run: Run::default() })
    }

    fn act(&mut self, ix: usize, event: &PersonaEvent, at_ms: i64) -> Result<(), RunError> {
        let line = line(self.model, ix, event, at_ms);
        let source = Source { topic: "tests", partition: 0, offset: ix as i64, timestamp_ms: at_ms };
        let Rehearsal { shard, ingest, run, .. } = self;
        let mut refused = Ok(());
        ingest.read(Format::Ripen, &source, Some(line.as_bytes()), &mut |element: Element<'_>| {
            let dropped = match element.outcome {
                Outcome::Accepted { record, .. } => {
                    match shard.apply(LEAD, record, at_ms, &mut Budget::new(u32::MAX), &mut run.decisions) {
                        Ok(Applied::Filtered(reason)) => reason.as_str().to_owned(),
                        Ok(_) => return,
                        Err(error) => {
                            refused = Err(error);
                            return;
                        }
                    }
                }
                Outcome::Filtered(reason) => reason.as_str().to_owned(),
                Outcome::DeadLetter { reason, detail } => format!("{}: {detail}", reason.as_str()),
                Outcome::Tick { .. } | Outcome::Link { .. } => return,
            };
            run.dropped.push((ix, dropped));
        });
        Ok(refused?)
    }

    fn look(&mut self, at_ms: i64) -> Result<(), RunError> {
        let tick = ActivityRecord::Tick(Tick { wall_ms: at_ms });
        let budget = &mut Budget::new(u32::MAX);
        let _ = self.shard.apply("", &tick, at_ms, budget, &mut self.run.decisions)?;
        let view = self.shard.lead(LEAD, at_ms).map_err(Refused::from)?;
        self.run.views.push((at_ms, view));
        Ok(())
    }
}

/// The event as a line of Ripen's own format.
fn line(model: &Model, ix: usize, event: &PersonaEvent, at_ms: i64) -> String {
    let is_feedback = model.feedback.iter().any(|feedback| feedback.event == event.event);
    let [source, medium, campaign, term, content] = event.utm.each_ref().map(Option::as_deref);
    let line = Line {
        lead: LEAD,
        ids: if event.known { &[KNOWN_ID] } else { &[] },
        event: &event.event,
        event_id: event.event_id.clone().unwrap_or_else(|| format!("test event {ix}")),
        at: at_ms,
        arrival: at_ms,
        path: event.path.as_deref(),
        url: event.url.as_deref(),
        utm: Campaign { source, medium, campaign, term, content },
        properties: Object(&event.properties),
        traits: Object(&event.traits),
        session: event.session.as_deref(),
        origin: event.origin.as_deref().unwrap_or(if is_feedback { "server" } else { "web" }),
    };
    serde_json::to_string(&line).expect("a line has text keys")
}

#[derive(Serialize)]
struct Line<'a> {
    lead: &'static str,
    ids: &'static [&'static str],
    event: &'a str,
    event_id: String,
    at: i64,
    arrival: i64,
    path: Option<&'a str>,
    url: Option<&'a str>,
    utm: Campaign<'a>,
    properties: Object<'a>,
    traits: Object<'a>,
    session: Option<&'a str>,
    origin: &'a str,
}

#[derive(Serialize)]
struct Campaign<'a> {
    source: Option<&'a str>,
    medium: Option<&'a str>,
    campaign: Option<&'a str>,
    term: Option<&'a str>,
    content: Option<&'a str>,
}

struct Object<'a>(&'a [(String, PersonaValue)]);

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in self.0 {
            match value {
                PersonaValue::One(constant) => map.serialize_entry(name, &Scalar(constant))?,
                PersonaValue::Many(constants) => {
                    map.serialize_entry(name, &constants.iter().map(Scalar).collect::<Vec<_>>())?;
                }
                PersonaValue::Map(entries) => {
                    let entries = entries.iter().map(|(key, constant)| (key, Scalar(constant)));
                    map.serialize_entry(name, &entries.collect::<BTreeMap<_, _>>())?;
                }
            }
        }
        map.end()
    }
}

/// Numbers keep every digit: they go through their decimal text.
struct Scalar<'a>(&'a Constant);

impl Serialize for Scalar<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Constant::Boolean(truth) => serializer.serialize_bool(*truth),
            Constant::Text(text) => serializer.serialize_str(text),
            Constant::Number(micros) => {
                let text = canonical_text(*micros).to_string();
                RawValue::from_string(text).map_err(serde::ser::Error::custom)?.serialize(serializer)
            }
        }
    }
}

/// Traits as fields; nested ones by `name.key`.
fn fields(values: &[(String, PersonaValue)]) -> Vec<Field<'static>> {
    let mut fields = Vec::new();
    let mut field = |name: String, value| fields.push(Field { name: Text::from(name), value });
    for (name, value) in values {
        match value {
            // As ingest has it.
            PersonaValue::One(Constant::Text(domain)) if name == "email_domain" => {
                field(name.clone(), Value::String(Text::from(domain.trim().to_lowercase())));
            }
            PersonaValue::One(constant) => field(name.clone(), value_of(constant)),
            PersonaValue::Many(constants) => {
                field(name.clone(), Value::Array(constants.iter().map(value_of).collect()));
            }
            PersonaValue::Map(entries) => {
                for (key, constant) in entries {
                    field(format!("{name}.{key}"), value_of(constant));
                }
            }
        }
    }
    fields
}

fn value_of(constant: &Constant) -> Value<'static> {
    match constant {
        Constant::Boolean(truth) => Value::Boolean(*truth),
        Constant::Number(micros) => Value::Number { micros: *micros },
        Constant::Text(text) => Value::String(Text::from(text.clone())),
    }
}
