//! `leads.profiles.v1`: the newest of each lead, a compacted table for whoever joins it.

use ripen_records::Decision;
use serde::Serialize;

use crate::json::{self, Micros, Milli, Object, instant};

/// The value; the order of fields is part of the contract.
#[derive(Serialize)]
struct Body<'a> {
    lead: &'a str,
    stage: &'a str,
    owner: &'a str,
    since: String,
    scores: Object<'a, Milli>,
    labels: Object<'a, &'a str>,
    expected_exit_at: Option<String>,
    next_step: Option<&'a str>,
    route: Object<'a, &'a str>,
    expected_value: Option<Micros>,
    value: Micros,
    born: String,
    seq: u64,
    updated_at: String,
    model_id: &'a str,
    model_version: i64,
    model_hash: &'a str,
}

/// The profile after a stage change: the lead is in its stage since the change.
pub(crate) fn body(decision: &Decision) -> String {
    json::text(&Body {
        lead: &decision.lead,
        stage: &decision.stage,
        owner: &decision.owner,
        since: instant(decision.effective_at_ms),
        scores: json::scores(&decision.scores),
        labels: json::labels(&decision.scores),
        expected_exit_at: decision.expected_exit_at_ms.map(instant),
        next_step: decision.next_step.as_deref(),
        route: json::route(decision),
        expected_value: decision.expected_value_micros.map(Micros),
        value: Micros(decision.value_micros),
        born: instant(decision.born_ms),
        seq: decision.seq,
        updated_at: instant(decision.decided_at_ms),
        model_id: &decision.model_id,
        model_version: decision.model_version,
        model_hash: &decision.model_hash,
    })
}
