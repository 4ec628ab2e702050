//! The tests inside a model, played through a shard: arrival is event time, `0h` is the persona's start (S22).

use std::sync::Arc;

use ripen_model::Model;
use ripen_model::compiled::{Expectation, ExpectedHandover, Persona, PersonaEvent, PersonaValue};
use ripen_model::expression::Constant;
use ripen_records::{
    Activity, ActivityRecord, Cause, Change, Decision, Field, Input, Origin, Page, ResponseState, Text, Tick,
    Utm, Value,
};
use ripen_scorer::{Budget, LeadView, Shard};

use super::story;

const LEAD: &str = "anon:persona";

/// What became of a persona.
pub(crate) struct Life {
    pub(crate) decisions: Vec<Decision>,
    /// The lead at each expectation; `None`: forgotten, or not there yet.
    views: Vec<Option<LeadView>>,
}

/// Plays every persona of a model; gives the failed expectations, one a line.
pub(crate) fn judge(model: &Arc<Model>) -> Vec<String> {
    let mut failed = Vec::new();
    for persona in &model.personas {
        let life = play(model, persona);
        for (expected, view) in persona.expect.iter().zip(&life.views) {
            let case = Case { model, persona, expected, view: view.as_ref(), decisions: &life.decisions };
            let wrong = case.wrong();
            failed.extend(
                wrong.iter().map(|wrong| format!("{}: line {}: {wrong}", persona.name, expected.line)),
            );
        }
    }
    failed
}

/// Lets a persona live, and looks at it at each expectation, after everything of that instant.
pub(crate) fn play(model: &Arc<Model>, persona: &Persona) -> Life {
    let mut shard = story::shard(model);
    let traits = fields(&persona.traits);
    if !traits.is_empty() {
        shard.preset_traits(LEAD, &traits, persona.start_ms).expect("traits");
    }
    let mut looks: Vec<(i64, usize)> =
        persona.expect.iter().enumerate().map(|(ix, expected)| (at_ms(persona, expected), ix)).collect();
    looks.sort_unstable();
    let mut life = Life { decisions: Vec::new(), views: vec![None; persona.expect.len()] };
    let mut looks = looks.into_iter().peekable();
    for (ix, event) in persona.events.iter().enumerate() {
        let t_ms = persona.start_ms + event.at_ms;
        while let Some((at_ms, look)) = looks.next_if(|(at_ms, _)| *at_ms < t_ms) {
            life.views[look] = life_at(&mut shard, at_ms, &mut life.decisions);
        }
        let record = ActivityRecord::Activity(activity(model, event, ix, t_ms));
        let budget = &mut Budget::new(u32::MAX);
        let _ = shard.apply(LEAD, &record, t_ms, budget, &mut life.decisions).expect("an activity");
    }
    for (at_ms, look) in looks {
        life.views[look] = life_at(&mut shard, at_ms, &mut life.decisions);
    }
    let demoted = persona.expect.iter().filter_map(|expected| expected.demoted_by_ms).max();
    if let Some(by_ms) = demoted {
        let _ = life_at(&mut shard, persona.start_ms + by_ms, &mut life.decisions);
    }
    life
}

fn life_at(shard: &mut Shard, at_ms: i64, decisions: &mut Vec<Decision>) -> Option<LeadView> {
    let tick = ActivityRecord::Tick(Tick { wall_ms: at_ms });
    let _ = shard.apply("", &tick, at_ms, &mut Budget::new(u32::MAX), decisions).expect("a tick");
    shard.lead(LEAD, at_ms).expect("readable state")
}

/// The instant of an expectation: its own, or that of the last event.
fn at_ms(persona: &Persona, expected: &Expectation) -> i64 {
    let last_ms = persona.events.last().map_or(0, |event| event.at_ms);
    persona.start_ms + expected.at_ms.unwrap_or(last_ms)
}

fn activity(model: &Model, event: &PersonaEvent, ix: usize, t_ms: i64) -> Activity<'static> {
    let is_feedback = model.feedback.iter().any(|feedback| feedback.event == event.event);
    let origin = event.origin.as_deref().unwrap_or(if is_feedback { "server" } else { "web" });
    let text = |text: &Option<String>| text.clone().map(Text::from);
    let page = (event.path.is_some() || event.url.is_some()).then(|| Page {
        path: text(&event.path),
        url: text(&event.url),
        ..Page::default()
    });
    let [source, medium, campaign, term, content] = event.utm.each_ref().map(text);
    let has_utm = event.utm.iter().any(Option::is_some);
    let ids: &[&str] = if event.known { &[LEAD, "user:persona"] } else { &[LEAD] };
    Activity {
        event_id: event.event_id.clone().unwrap_or_else(|| format!("event {ix}")).into(),
        name: event.event.clone().into(),
        t_ms,
        arrival_ms: t_ms,
        clamped: false,
        origin: match origin {
            "web" => Origin::Web,
            "app" => Origin::App,
            _ => Origin::Server,
        },
        ids: ids.iter().map(|id| Text::from((*id).to_owned())).collect(),
        session: text(&event.session),
        page,
        utm: has_utm.then_some(Utm { source, medium, campaign, term, content }),
        properties: fields(&event.properties),
        traits: fields(&event.traits),
        input: Input { topic: Text::from("tests"), partition: 0, offset: ix as i64 },
    }
}

fn fields(values: &[(String, PersonaValue)]) -> Vec<Field<'static>> {
    let mut fields = Vec::new();
    let mut push = |name: String, value| fields.push(Field { name: name.into(), value });
    for (name, value) in values {
        match value {
            PersonaValue::One(constant) => push(name.clone(), value_of(constant)),
            PersonaValue::Many(constants) => {
                push(name.clone(), Value::Array(constants.iter().map(value_of).collect()));
            }
            PersonaValue::Map(entries) => {
                entries.iter().for_each(|(key, constant)| push(format!("{name}.{key}"), value_of(constant)))
            }
        }
    }
    fields
}

fn value_of(constant: &Constant) -> Value<'static> {
    match constant {
        Constant::Boolean(truth) => Value::Boolean(*truth),
        Constant::Number(micros) => Value::Number { micros: *micros },
        Constant::Text(text) => Value::String(text.clone().into()),
    }
}

/// One expectation of one persona.
struct Case<'a> {
    model: &'a Model,
    persona: &'a Persona,
    expected: &'a Expectation,
    view: Option<&'a LeadView>,
    decisions: &'a [Decision],
}

impl Case<'_> {
    /// What is not as expected.
    fn wrong(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut compare = |what: &str, found: String, expected: String| {
            if found != expected {
                wrong.push(format!("{what} is {found}, expected {expected}"));
            }
        };
        let (model, expected) = (self.model, self.expected);
        let first = &model.stages[0];
        let (stage, owner) = self.view.map_or((&first.id, &first.owner), |view| (&view.stage, &view.owner));
        if let Some(ix) = expected.stage {
            compare("stage", stage.clone(), model.stages[ix.ix()].id.clone());
        }
        if let Some(expected) = &expected.owner {
            compare("owner", owner.clone(), expected.clone());
        }
        let inside = |name: &String| self.view.is_some_and(|view| view.audiences.contains(name));
        for (listed, is_in) in [(&expected.within, true), (&expected.outside, false)] {
            for ix in listed {
                let name = &model.audiences[ix.ix()].name;
                compare(name, inside(name).to_string(), is_in.to_string());
            }
        }
        for (ix, milli) in &expected.scores {
            let found = self.view.map_or(0, |view| view.scores[ix.ix()].milli);
            compare(&model.scores[ix.ix()].name, found.to_string(), milli.to_string());
        }
        if let Some(expected) = expected.handover {
            let found = self.handover();
            let is_as_expected =
                found == expected || (expected == ExpectedHandover::Yes && found != ExpectedHandover::No);
            compare("hand-over as expected", is_as_expected.to_string(), true.to_string());
        }
        if let Some(expected) = &expected.response {
            compare("response", self.response(), expected.clone());
        }
        for ix in &expected.alerts {
            let id = &model.alerts[ix.ix()].id;
            let fired =
                self.so_far().any(|d| matches!(&d.change, Change::Alert(alert) if alert.alert == *id));
            compare(id, fired.to_string(), true.to_string());
        }
        for ix in &expected.never {
            let id = &model.stages[ix.ix()].id;
            let entered = self.so_far().any(|d| stages_of(d).is_some_and(|(_, to)| to == id));
            compare(&format!("having been in {id}"), entered.to_string(), false.to_string());
        }
        if let Some(by_ms) = expected.demoted_by_ms {
            let by_ms = self.persona.start_ms + by_ms;
            let at_ms = at_ms(self.persona, expected);
            let left = self
                .decisions
                .iter()
                .find(|d| d.effective_at_ms > at_ms && stages_of(d).is_some_and(|(from, _)| from == stage));
            let found = left.is_some_and(|d| d.effective_at_ms <= by_ms && is_of_time(d));
            compare("fall by time", found.to_string(), true.to_string());
        }
        wrong
    }

    fn so_far(&self) -> impl Iterator<Item = &Decision> {
        let at_ms = at_ms(self.persona, self.expected);
        self.decisions.iter().filter(move |decision| decision.effective_at_ms <= at_ms)
    }

    fn handover(&self) -> ExpectedHandover {
        let last = self.so_far().filter_map(|decision| match &decision.change {
            Change::Handover(handover) => Some(handover.incomplete),
            _ => None,
        });
        match last.last() {
            None => ExpectedHandover::No,
            Some(false) => ExpectedHandover::Yes,
            Some(true) => ExpectedHandover::Incomplete,
        }
    }

    fn response(&self) -> String {
        if let Some(running) = self.view.and_then(|view| view.response.clone()) {
            return running;
        }
        let last = self.so_far().filter_map(|decision| match &decision.change {
            Change::Response(step) => Some(step.state),
            _ => None,
        });
        match last.last() {
            None => "none",
            Some(ResponseState::Answered) => "answered",
            Some(_) => "closed",
        }
        .to_owned()
    }
}

fn stages_of(decision: &Decision) -> Option<(&str, &str)> {
    match &decision.change {
        Change::StageChange(change) => Some((&change.from, &change.to)),
        _ => None,
    }
}

fn is_of_time(decision: &Decision) -> bool {
    matches!(
        decision.cause,
        Cause::Decay
            | Cause::FactExpired
            | Cause::Verdict
            | Cause::VerdictExpired
            | Cause::Timer
            | Cause::Forgotten
    ) && decision.input.is_none()
}
