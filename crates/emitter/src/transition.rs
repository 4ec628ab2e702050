//! `leads.transitions.v1`: a stage change as a CloudEvent, binary mode, JSON.

use ripen_records::{Decision, StageChange};
use serde::Serialize;

use crate::EmitOptions;
use crate::json::{self, Micros, Milli, Object, instant};

/// The `$id` of `schemas/leads.transitions.v1.schema.json`.
pub(crate) const DATASCHEMA: &str = "urn:ripen:schema:leads.transitions.v1";

/// The body; the order of fields is part of the contract, since the same decision must give the same bytes.
#[derive(Serialize)]
struct Body<'a> {
    id: &'a str,
    lead: &'a str,
    born: String,
    seq: u64,
    from: &'a str,
    to: &'a str,
    from_owner: &'a str,
    to_owner: &'a str,
    passed: &'a [String],
    cause: &'static str,
    effective_at: String,
    decided_at: String,
    expected_exit_at: Option<String>,
    next_step: Option<&'a str>,
    route: Object<'a, &'a str>,
    expected_value: Option<Micros>,
    value: Micros,
    first_touch: Option<Touch<'a>>,
    last_touch: Option<Touch<'a>>,
    scores: Object<'a, Milli>,
    labels: Object<'a, &'a str>,
    decisive: Vec<Decisive<'a>>,
    explanation: Vec<Line<'a>>,
    atoms: Vec<Atom<'a>>,
    facts: &'a [String],
    verdicts: Vec<Verdict<'a>>,
    input: Option<Input<'a>>,
    model_id: &'a str,
    model_version: i64,
    model_hash: &'a str,
    historical: bool,
}

#[derive(Serialize)]
struct Decisive<'a> {
    rule: &'a str,
    at: String,
    about: Option<&'a str>,
    event_id_hash: &'a str,
}

#[derive(Serialize)]
struct Line<'a> {
    score: &'a str,
    kind: &'static str,
    id: &'a str,
    points: Milli,
}

#[derive(Serialize)]
struct Atom<'a> {
    text: &'a str,
    value: Option<&'a str>,
    truth: bool,
}

#[derive(Serialize)]
struct Touch<'a> {
    at: String,
    source: Option<&'a str>,
    medium: Option<&'a str>,
    campaign: Option<&'a str>,
    term: Option<&'a str>,
    content: Option<&'a str>,
    referrer_host: Option<&'a str>,
}

#[derive(Serialize)]
struct Verdict<'a> {
    id: &'a str,
    reason: Option<&'a str>,
    until: Option<String>,
}

#[derive(Serialize)]
struct Input<'a> {
    topic: &'a str,
    partition: i32,
    offset: i64,
}

/// CloudEvents attributes as the Kafka binding writes them: `ce_` in front, the content type apart.
pub(crate) fn headers(decision: &Decision, options: &EmitOptions) -> Vec<(&'static str, String)> {
    vec![
        ("ce_specversion", "1.0".to_owned()),
        ("ce_id", decision.id.clone()),
        ("ce_source", options.source.clone()),
        ("ce_type", options.event_type.clone()),
        ("ce_subject", decision.lead.clone()),
        ("ce_time", instant(decision.effective_at_ms)),
        ("ce_dataschema", DATASCHEMA.to_owned()),
        ("ce_partitionkey", decision.lead.clone()),
        ("content-type", "application/json".to_owned()),
    ]
}

pub(crate) fn body(decision: &Decision, change: &StageChange) -> String {
    let explanation = &decision.explanation;
    json::text(&Body {
        id: &decision.id,
        lead: &decision.lead,
        born: instant(decision.born_ms),
        seq: decision.seq,
        from: &change.from,
        to: &change.to,
        from_owner: &change.from_owner,
        to_owner: &change.to_owner,
        passed: &change.passed,
        cause: decision.cause.as_str(),
        effective_at: instant(decision.effective_at_ms),
        decided_at: instant(decision.decided_at_ms),
        expected_exit_at: decision.expected_exit_at_ms.map(instant),
        next_step: decision.next_step.as_deref(),
        route: json::route(decision),
        expected_value: decision.expected_value_micros.map(Micros),
        value: Micros(decision.value_micros),
        first_touch: decision.touches.first.as_ref().map(touch),
        last_touch: decision.touches.last.as_ref().map(touch),
        scores: json::scores(&decision.scores),
        labels: json::labels(&decision.scores),
        decisive: explanation.decisive.iter().map(decisive).collect(),
        explanation: explanation.lines.iter().map(line).collect(),
        atoms: explanation.atoms.iter().map(atom).collect(),
        facts: &explanation.facts,
        verdicts: explanation.verdicts.iter().map(verdict).collect(),
        input: decision.input.as_ref().map(|input| Input {
            topic: &input.topic,
            partition: input.partition,
            offset: input.offset,
        }),
        model_id: &decision.model_id,
        model_version: decision.model_version,
        model_hash: &decision.model_hash,
        historical: decision.historical,
    })
}

fn decisive(activity: &ripen_records::DecisiveActivity) -> Decisive<'_> {
    Decisive {
        rule: &activity.rule,
        at: instant(activity.t_ms),
        about: activity.about.as_deref(),
        event_id_hash: &activity.event_id_hash,
    }
}

fn line(line: &ripen_records::Line) -> Line<'_> {
    Line { score: &line.score, kind: line.kind.as_str(), id: &line.id, points: Milli(line.milli) }
}

fn atom(atom: &ripen_records::Atom) -> Atom<'_> {
    Atom { text: &atom.text, value: atom.value.as_deref(), truth: atom.truth }
}

fn touch(touch: &ripen_records::Touch) -> Touch<'_> {
    Touch {
        at: instant(touch.t_ms),
        source: touch.source.as_deref(),
        medium: touch.medium.as_deref(),
        campaign: touch.campaign.as_deref(),
        term: touch.term.as_deref(),
        content: touch.content.as_deref(),
        referrer_host: touch.referrer_host.as_deref(),
    }
}

fn verdict(verdict: &ripen_records::VerdictInForce) -> Verdict<'_> {
    Verdict { id: &verdict.id, reason: verdict.reason.as_deref(), until: verdict.until_ms.map(instant) }
}
