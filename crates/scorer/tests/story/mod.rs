//! Stories: activities as lines of text, run through a shard; what it decided comes back as lines of text.
//!
//! A line is `at event [/path] [name=value …]`, `at` a duration after 2026-01-05T00:00Z. Names with a meaning:
//! `lead` (default `anon:a`), `id` (of the event; default its line), `arrived` (a duration; default `at`),
//! `origin`, `session`, `traits.x`, `utm.x`; every other is a property. The event `tick` only moves the clock; `link`,
//! `alias` and `erase` are the records of those names, of `lead` with the id in `to`.

#![allow(dead_code, reason = "not every test file uses all of it")]

use std::fmt::Write;
use std::sync::Arc;

use ripen_model::{Model, canonical_text, compile, parse_duration_ms, plain_decimal_micros};
use ripen_records::{
    Activity, ActivityRecord, Alert, AudienceChange, Change, Decision, Erase, Field, Handover, Input, Line,
    Link, Origin, Page, ResponseStep, Switch, Text, Tick, Utm, Value, decode_activity,
};
use ripen_scorer::{Applied, Budget, SEMANTICS, STATE_FORMAT, Sent, Shard};

/// 2026-01-05T00:00Z, a Monday.
pub(crate) const START_MS: i64 = 1_767_571_200_000;

/// The dealer's model of the repository.
pub(crate) const DEALER: &str = include_str!("../../../../models/auto-dealer.yaml");

pub(crate) fn model(text: &str) -> Arc<Model> {
    Arc::new(compile("test.yaml", text).unwrap_or_else(|errors| panic!("{errors}")))
}

/// A shard that has switched to the model.
pub(crate) fn shard(model: &Arc<Model>) -> Shard {
    shard_by(model, &switch_to(model, 1))
}

/// A shard that has switched to the model by this switch.
pub(crate) fn shard_by(model: &Arc<Model>, switch: &Switch<'_>) -> Shard {
    let mut shard = Shard::new();
    shard.switch(switch, Arc::clone(model)).expect("the first switch");
    shard.commit();
    shard
}

pub(crate) fn switch_to(model: &Model, epoch: u32) -> Switch<'static> {
    Switch {
        epoch,
        model_hash: model.hash.clone().into(),
        semantics: SEMANTICS,
        state_format: STATE_FORMAT,
        at_ms: START_MS,
    }
}

/// One line of a story.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) lead: String,
    pub(crate) at_ms: i64,
    pub(crate) arrival_ms: i64,
    pub(crate) record: ActivityRecord<'static>,
}

pub(crate) fn steps(story: &str) -> Vec<Step> {
    let lines = story.lines().flat_map(|line| line.split(';')).map(str::trim);
    lines.filter(|line| !line.is_empty()).enumerate().map(|(number, line)| step(number, line)).collect()
}

fn after(text: &str) -> i64 {
    START_MS + duration_ms(text)
}

pub(crate) fn duration_ms(text: &str) -> i64 {
    match text.strip_suffix("ms") {
        Some(ms) => ms.parse().unwrap_or_else(|_| panic!("{text} is no duration")),
        None => match text {
            "0" | "0h" => 0,
            text => parse_duration_ms(text).unwrap_or_else(|| panic!("{text} is no duration")),
        },
    }
}

fn value(text: &str) -> Value<'static> {
    match text {
        "true" => Value::Boolean(true),
        "false" => Value::Boolean(false),
        text => match plain_decimal_micros(text) {
            Some(micros) => Value::Number { micros },
            None => Value::String(text.to_owned().into()),
        },
    }
}

fn step(number: usize, line: &str) -> Step {
    let mut words = line.split_whitespace();
    let at_ms = after(words.next().expect("a time"));
    let name = words.next().expect("an event");
    let mut activity = Activity {
        event_id: format!("e{number}").into(),
        name: name.to_owned().into(),
        t_ms: at_ms,
        arrival_ms: at_ms,
        clamped: false,
        origin: Origin::Web,
        ids: Vec::new(),
        session: None,
        page: None,
        utm: None,
        properties: Vec::new(),
        traits: Vec::new(),
        input: Input { topic: Text::from("clicks"), partition: 0, offset: number as i64 },
    };
    let (mut lead, mut to) = ("anon:a".to_owned(), String::new());
    for word in words {
        if word.starts_with('/') {
            activity.page = Some(Page { path: Some(word.to_owned().into()), ..Page::default() });
            continue;
        }
        let (key, text) = word.split_once('=').unwrap_or_else(|| panic!("{word} is no name=value"));
        match key {
            "lead" => lead = text.to_owned(),
            "to" => to = text.to_owned(),
            "utm.source" => {
                activity.utm = Some(Utm { source: Some(text.to_owned().into()), ..Utm::default() })
            }
            "id" => activity.event_id = text.to_owned().into(),
            "arrived" => activity.arrival_ms = after(text),
            "session" => activity.session = Some(text.to_owned().into()),
            "origin" => {
                activity.origin = match text {
                    "web" => Origin::Web,
                    "app" => Origin::App,
                    "server" => Origin::Server,
                    _ => Origin::Unstated,
                }
            }
            key => {
                let (fields, name) = match key.strip_prefix("traits.") {
                    Some(name) => (&mut activity.traits, name),
                    None => (&mut activity.properties, key),
                };
                fields.push(Field { name: name.to_owned().into(), value: value(text) });
            }
        }
    }
    activity.ids = vec![lead.clone().into()];
    let arrival_ms = activity.arrival_ms;
    let record = match name {
        "tick" => ActivityRecord::Tick(Tick { wall_ms: at_ms }),
        "link" | "alias" => ActivityRecord::Link(Link {
            a: lead.clone().into(),
            b: to.into(),
            explicit: name == "alias",
            arrival_ms,
        }),
        "erase" => {
            ActivityRecord::Erase(Erase { request_id: "r1".into(), arrival_ms, suppress: to == "suppress" })
        }
        _ => ActivityRecord::Activity(activity),
    };
    Step { lead, at_ms, arrival_ms, record }
}

/// Applies a step with all the deadlines it wants, and everything that it makes others be sent.
pub(crate) fn apply(shard: &mut Shard, step: &Step, out: &mut Vec<Decision>) -> Applied {
    let mut budget = Budget::new(u32::MAX);
    let applied = shard.apply(&step.lead, &step.record, step.arrival_ms, &mut budget, out);
    let applied = applied.unwrap_or_else(|refused| panic!("{refused}"));
    let mut sent: std::collections::VecDeque<Sent> = shard.take_sent().into();
    while let Some(Sent { lead_id, value }) = sent.pop_front() {
        let record = decode_activity(&value).expect("of our own");
        let _ = shard.apply(&lead_id, &record, step.arrival_ms, &mut budget, out).expect("applied");
        sent.extend(shard.take_sent());
    }
    applied
}

/// Runs a story, each line a transaction, and says what came of it.
pub(crate) fn run(model: &Arc<Model>, story: &str) -> (Shard, Vec<Decision>, String) {
    let mut shard = shard(model);
    let (mut decisions, mut said) = (Vec::new(), String::new());
    for step in steps(story) {
        let before = decisions.len();
        let applied = apply(&mut shard, &step, &mut decisions);
        shard.commit();
        match applied {
            Applied::Filtered(reason) => {
                writeln!(said, "{} filtered: {}", since_start(step.at_ms), reason.as_str())
                    .expect("a string");
            }
            Applied::LinkRefused => {
                writeln!(said, "{} link refused", since_start(step.at_ms)).expect("a string");
            }
            _ => {}
        }
        decisions[before..].iter().for_each(|decision| said.push_str(&say(decision)));
    }
    let mut leads: Vec<String> = steps(story).into_iter().map(|step| step.lead).collect();
    leads.sort();
    leads.dedup();
    leads.iter().for_each(|lead| said.push_str(&say_end(&shard, lead)));
    (shard, decisions, said)
}

/// A decision in a line, its decisive activities in those below.
pub(crate) fn say(decision: &Decision) -> String {
    let mut line = format!("{} ", since_start(decision.effective_at_ms));
    if decision.lead != "anon:a" {
        write!(line, "{} ", decision.lead).expect("a string");
    }
    write!(line, "#{} ", decision.seq).expect("a string");
    let cause = decision.cause.as_str();
    let change = match &decision.change {
        Change::StageChange(change) => change,
        Change::AudienceChange(AudienceChange { audience, entered }) => {
            let verb = if *entered { "enters" } else { "leaves" };
            return format!("{line}{verb} {audience}, {cause}\n");
        }
        Change::Handover(Handover { stage, missing, traits, history, .. }) => {
            let traits: Vec<&str> = traits.iter().map(|kept| kept.name.as_str()).collect();
            let (traits, count) = (traits.join(" "), history.len());
            let missing =
                if missing.is_empty() { String::new() } else { format!(" without {}", missing.join(" ")) };
            return format!("{line}handed over in {stage}{missing}, {cause}: [{traits}] after {count}\n");
        }
        Change::Response(ResponseStep { stage, state, step, due_at_ms }) => {
            let due = due_at_ms.map_or(String::new(), |due_ms| format!(", due {}", since_start(due_ms)));
            let step = if *step > 0 { format!(" {step}") } else { String::new() };
            return format!("{line}{stage} is {state:?}{step}, {cause}{due}\n");
        }
        Change::Alert(Alert { alert, to }) => {
            return format!("{line}alert {alert} to {}, {cause}\n", to.join(" "));
        }
        Change::MergedInto(root) => return format!("{line}is merged into {root}, {cause}\n"),
    };
    write!(line, "{} → {}", change.from, change.to).expect("a string");
    if !change.passed.is_empty() {
        write!(line, " past {}", change.passed.join(", ")).expect("a string");
    }
    write!(line, ", {}:", decision.cause.as_str()).expect("a string");
    for score in decision.scores.iter().filter(|score| score.milli != 0) {
        write!(line, " {} {}", score.name, canonical_text(score.milli * 1_000)).expect("a string");
    }
    if let Some(exit_ms) = decision.expected_exit_at_ms {
        write!(line, ", leaves at {}", since_start(exit_ms)).expect("a string");
    }
    line.push('\n');
    line
}

/// What a decision rests on, one thing a line.
pub(crate) fn say_why(decision: &Decision) -> String {
    let why = &decision.explanation;
    let mut said = String::new();
    for line in &why.lines {
        let milli = canonical_text(line.milli * 1_000);
        writeln!(said, "  {} {:?} {}: {milli}", line.score, line.kind, line.id).expect("a string");
    }
    for atom in &why.atoms {
        let value = atom.value.as_deref().unwrap_or("absent");
        writeln!(said, "  {} is {}, it was {value}", atom.text, atom.truth).expect("a string");
    }
    for activity in &why.decisive {
        let about = activity.about.as_deref().unwrap_or("-");
        writeln!(said, "  {} at {} {about}", activity.rule, since_start(activity.t_ms)).expect("a string");
    }
    writeln!(said, "  facts: {}", why.facts.join(", ")).expect("a string");
    if let Some(input) = &decision.input {
        writeln!(said, "  input: {}[{}] {}", input.topic, input.partition, input.offset).expect("a string");
    }
    said
}

/// How a lead stands at the story's end.
fn say_end(shard: &Shard, lead: &str) -> String {
    let name = if lead == "anon:a" { String::new() } else { format!("{lead} ") };
    let Some(view) = shard.lead(lead, shard.clock()).expect("readable state") else {
        return format!("{name}gone\n");
    };
    let mut line = format!("{name}ends as {}", view.stage);
    for score in view.scores.iter().filter(|score| score.milli != 0) {
        write!(line, ", {} {}", score.name, canonical_text(score.milli * 1_000)).expect("a string");
    }
    line + "\n"
}

/// An instant as a duration after the start.
pub(crate) fn since_start(at_ms: i64) -> String {
    let ms = at_ms - START_MS;
    let (days, rest) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
    let (hours, minutes, seconds) = (rest / 3_600_000, rest / 60_000 % 60, rest % 60_000);
    let seconds = format!("{}.{:03}", seconds / 1_000, seconds % 1_000);
    format!("{days}d{hours:02}:{minutes:02}:{seconds:0>6}")
}

/// Lines of one score.
pub(crate) fn sum_of(lines: &[Line], score: &str) -> i64 {
    lines.iter().filter(|line| line.score == score).map(|line| line.milli).sum()
}

/// Runs a story and compares what was said.
pub(crate) fn check(model_text: &str, story: &str, expect: expect_test::Expect) {
    let (_, decisions, said) = run(&model(model_text), story);
    for decision in &decisions {
        for score in &decision.scores {
            assert_eq!(
                sum_of(&decision.explanation.lines, &score.name),
                score.milli,
                "lines of {}",
                score.name
            );
        }
    }
    expect.assert_eq(&said);
}
