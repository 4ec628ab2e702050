//! Decision to outward contracts: CloudEvents of stage changes, and the table of leads.
//!
//! Owns what other systems read: `leads.transitions.v1` and `leads.profiles.v1`, their headers and their JSON.
//! It decides nothing about a lead and keeps no state: one decision in, its outward records out, the same bytes
//! each time. It does not know topics by their full names nor how they are written.

mod json;
mod profile;
mod transition;

use ripen_records::{Cause, Change, Decision, StageChange};

/// Which outward topic a record is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OutwardTopic {
    /// `leads.transitions.v1`
    Transitions,
    /// `leads.profiles.v1`
    Profiles,
}

/// One outward record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outward {
    /// The topic it is for.
    pub topic: OutwardTopic,
    /// The lead id, `kind:value`.
    pub key: String,
    /// The body; `None` is a tombstone of a compacted topic.
    pub value: Option<Vec<u8>>,
    /// Headers in their order, UTF-8.
    pub headers: Vec<(&'static str, String)>,
}

/// How outward records name their origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmitOptions {
    source: String,
    event_type: String,
    deliver_historical: bool,
}

/// Why options cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EmitOptionsError {
    /// A namespace stands in a URI and in an event type.
    #[error("namespace {namespace:?} is not made of lower-case letters, digits, dots and hyphens")]
    Namespace {
        /// The namespace given.
        namespace: String,
    },
}

impl EmitOptions {
    /// Options of a namespace, the company's name as in its domain: `acme`, `acme.eu`. Events come from
    /// `/ripen/<namespace>` and are of type `com.<namespace>.lead.stage.changed.v1`.
    ///
    /// # Errors
    /// A namespace that is empty, over 63 bytes, or has other characters than `a-z 0-9 . -`.
    pub fn new(namespace: &str) -> Result<EmitOptions, EmitOptionsError> {
        let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'.' || b == b'-';
        if namespace.is_empty() || namespace.len() > 63 || !namespace.bytes().all(legal) {
            return Err(EmitOptionsError::Namespace { namespace: namespace.to_owned() });
        }
        Ok(EmitOptions {
            source: format!("/ripen/{namespace}"),
            event_type: format!("com.{namespace}.lead.stage.changed.v1"),
            deliver_historical: false,
        })
    }

    /// Also delivers the decisions of a backfill, which are withheld by default.
    #[must_use]
    pub fn delivering_historical(mut self, deliver: bool) -> EmitOptions {
        self.deliver_historical = deliver;
        self
    }
}

/// Hands the outward records of a decision to `out`, the transition before the profile.
///
/// A change of stage gives both; the end of a life (forgotten, erased, merged into another lead) gives a tombstone
/// in place of the profile. Every other change has no outward contract here and gives nothing.
pub fn emit(decision: &Decision, options: &EmitOptions, mut out: impl FnMut(Outward)) {
    if decision.historical && !options.deliver_historical {
        return;
    }
    let stage_change = stage_change(decision);
    if let Some(change) = stage_change.filter(|change| change.from != change.to) {
        out(Outward {
            topic: OutwardTopic::Transitions,
            key: decision.lead.clone(),
            value: Some(transition::body(decision, change).into_bytes()),
            headers: transition::headers(decision, options),
        });
    }
    if ends_life(decision) {
        out(Outward {
            topic: OutwardTopic::Profiles,
            key: decision.lead.clone(),
            value: None,
            headers: Vec::new(),
        });
    } else if stage_change.is_some() {
        out(Outward {
            topic: OutwardTopic::Profiles,
            key: decision.lead.clone(),
            value: Some(profile::body(decision).into_bytes()),
            headers: vec![("content-type", "application/json".to_owned())],
        });
    }
}

/// A stage change as one line of JSON, without the line's end: the very body of its transition. `None` for a
/// decision that changes no stage.
pub fn transition_line(decision: &Decision) -> Option<String> {
    let change = stage_change(decision).filter(|change| change.from != change.to)?;
    Some(transition::body(decision, change))
}

fn stage_change(decision: &Decision) -> Option<&StageChange> {
    match &decision.change {
        Change::StageChange(change) => Some(change),
        _ => None,
    }
}

/// Whether the lead is gone afterwards. The stage change of a lead that is forgotten or erased is its last decision; one
/// that ends in the first stage has it all the same, from there to there, and only its profile tells of it.
fn ends_life(decision: &Decision) -> bool {
    matches!(decision.change, Change::MergedInto(_))
        || matches!(decision.cause, Cause::Forgotten | Cause::Erased) && stage_change(decision).is_some()
}
