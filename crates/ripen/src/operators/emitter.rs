//! The emitter as an operator: decisions in, outward records out.

use std::collections::BTreeMap;

use ripen_emitter::{EmitOptions, Outward, OutwardTopic, emit};
use ripen_records::{DecodeError, Topics, decode_decision};
use ripen_runtime::{Headers, Operator, OutRecord, Outbox, Outcome, Record, To, Wiring};

use super::blocked::unknown_schema;
use super::counts::Counts;
use super::dead_letter::{self, Refusal};

/// Turns each decision into the records of the outward contracts.
#[derive(Debug)]
pub struct EmitterOperator {
    topics: Topics,
    options: EmitOptions,
    counts: Counts,
}

impl EmitterOperator {
    /// An emitter for these topics.
    pub fn new(topics: Topics, options: EmitOptions) -> EmitterOperator {
        EmitterOperator { topics, options, counts: Counts::new("emitter") }
    }

    fn refuse(
        &mut self,
        record: &Record<'_>,
        reason: &'static str,
        detail: &str,
        out: &mut Outbox,
    ) -> Outcome {
        let refusal = Refusal { service: "emitter", reason, detail, elements: &[] };
        dead_letter::refuse(&self.topics.dead_letters, record, &refusal, &mut self.counts, out)
    }

    /// Committed outcomes since the start, by their word.
    pub fn totals(&self) -> &BTreeMap<&'static str, u64> {
        self.counts.totals()
    }
}

impl Operator for EmitterOperator {
    fn wiring(&self) -> Wiring {
        let Topics { decisions, transitions, profiles, dead_letters, .. } = &self.topics;
        Wiring {
            inputs: vec![decisions.clone()],
            tables: Vec::new(),
            outputs: vec![transitions.clone(), profiles.clone(), dead_letters.clone()],
            changelog: None,
            clocked: false,
        }
    }

    fn apply(&mut self, record: &Record<'_>, out: &mut Outbox) -> Outcome {
        let Some(value) = record.value else {
            return self.refuse(record, "tombstone", "decision without a value", out);
        };
        let decision = match decode_decision(value) {
            Ok(decision) => decision,
            Err(error @ DecodeError::UnknownSchema { .. }) => {
                return Outcome::Blocked(unknown_schema(record, &error));
            }
            Err(error) => return self.refuse(record, "wrong_shape", &error.to_string(), out),
        };
        let Topics { transitions, profiles, .. } = &self.topics;
        emit(&decision, &self.options, |outward: Outward| {
            let headers: Vec<(&str, Option<&[u8]>)> =
                outward.headers.iter().map(|(name, value)| (*name, Some(value.as_bytes()))).collect();
            out.push(&OutRecord {
                topic: match outward.topic {
                    OutwardTopic::Transitions => transitions,
                    OutwardTopic::Profiles => profiles,
                },
                to: To::Key,
                key: Some(outward.key.as_bytes()),
                value: outward.value.as_deref(),
                headers: Headers::new(&headers),
                timestamp_ms: None,
            });
        });
        self.counts.add("emitted");
        Outcome::Applied
    }

    fn committed(&mut self) {
        self.counts.commit();
    }

    fn aborted(&mut self) {
        self.counts.abort();
    }

    fn outcomes(&mut self, report: &mut dyn FnMut(&'static str, u64)) {
        self.counts.report(report);
    }
}
