//! The scorer as an operator: activities in, decisions out, leads in the changelog.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::Sender;

use ripen_model::Model;
use ripen_records::{
    ActivityRecord, Change, Decision, DecodeError, Switch, Tick, Topics, decode_activity, encode_activity,
    encode_decision,
};
use ripen_runtime::{
    Blocked, Changelog, Headers, Operator, OutRecord, Outbox, Outcome, Record, RecordBatch, To, Wiring,
};
use ripen_scorer::{
    Applied, Base, Budget, OLDEST_STATE_FORMAT, Refused, STATE_FORMAT, Sent, Shard, can_switch,
};

use super::blocked::{NEWER_VERSION, no_model, unknown_schema};
use super::counts::Counts;
use super::dead_letter::{self, Refusal};
use super::trace::{self, Traced};
use super::{Models, Transitions};

/// What becomes of the records that leads send each other (S1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BetweenLeads {
    /// They go back into the activities, under their keys.
    #[default]
    Written,
    /// They are applied at once. For a log of its own with one partition, where the next record must find them done,
    /// whatever a transaction holds.
    AppliedAtOnce,
    /// The log that is read holds them already.
    Replayed,
}

/// Partitions of leads, each a [`Shard`].
#[derive(Debug)]
pub struct ScorerOperator {
    topics: Topics,
    models: Models,
    shards: BTreeMap<i32, Shard>,
    counts: Counts,
    transitions: Transitions,
    traced: Option<Sender<Traced>>,
    between: BetweenLeads,
    /// What leads have sent and is to be applied before the next record.
    at_once: VecDeque<Sent>,
    // Reused from record to record.
    decisions: Vec<Decision>,
    encoded: Vec<u8>,
}

impl ScorerOperator {
    /// A scorer without partitions.
    pub fn new(topics: Topics) -> ScorerOperator {
        ScorerOperator {
            topics,
            models: Models::default(),
            shards: BTreeMap::new(),
            counts: Counts::new("scorer"),
            transitions: Transitions::default(),
            traced: None,
            between: BetweenLeads::Written,
            at_once: VecDeque::new(),
            decisions: Vec::new(),
            encoded: Vec::new(),
        }
    }

    /// Tells every applied record and every fired deadline. For runs in memory, where no transaction is aborted.
    #[must_use]
    pub fn traced(mut self, sink: Sender<Traced>) -> ScorerOperator {
        self.traced = Some(sink);
        self
    }

    /// Says what becomes of the records that leads send each other.
    #[must_use]
    pub fn between_leads(mut self, between: BetweenLeads) -> ScorerOperator {
        self.between = between;
        self
    }

    /// The models that came through the log.
    pub fn models(&self) -> &Models {
        &self.models
    }

    /// Committed outcomes since the start, by their word.
    pub fn totals(&self) -> &BTreeMap<&'static str, u64> {
        self.counts.totals()
    }

    /// Number of committed leads, over all partitions.
    pub fn leads(&self) -> usize {
        self.shards.values().map(Shard::leads).sum()
    }

    /// Committed leads of a partition, for readers.
    pub fn base(&self, partition: i32) -> Option<Arc<Base>> {
        self.shards.get(&partition).map(Shard::base)
    }

    fn score(&mut self, record: &Record<'_>, activity: &ActivityRecord<'_>, out: &mut Outbox) -> Outcome {
        let Some(shard) = self.shards.get_mut(&record.partition) else {
            return Outcome::Blocked(Blocked {
                reason: format!("partition {} is not assigned", record.partition),
                advice: "report this: a record came before its partition".to_owned(),
            });
        };
        let lead = match record.key.map(std::str::from_utf8) {
            Some(Ok(lead)) => lead,
            None => "",
            Some(Err(_)) => return self.refuse(record, "invalid_utf8", "key is not UTF-8", out),
        };
        let model = match activity {
            ActivityRecord::Switch(switch) => match self.models.get(&switch.model_hash) {
                Some(model) => Some((switch, Arc::clone(model))),
                None => return Outcome::Blocked(unknown_model(switch)),
            },
            _ => None,
        };
        // Asked before the deadlines in front of the switch fire: a record that blocks leaves nothing staged.
        if let Some((switch, model)) = &model
            && let Err(refused) = can_switch(switch, model)
        {
            return Outcome::Blocked(blocked(&refused));
        }
        let room = u32::try_from(out.remaining()).unwrap_or(u32::MAX);
        self.decisions.clear();
        let mut applied = match &self.traced {
            Some(sink) => trace::apply(shard, lead, activity, record, room, &mut self.decisions, sink),
            None => {
                shard.apply(lead, activity, record.timestamp_ms, &mut Budget::new(room), &mut self.decisions)
            }
        };
        if let (Ok(Applied::Switched), Some((switch, model))) = (&applied, model) {
            applied = shard.switch(switch, model).map(|()| Applied::Switched);
        }
        let sent = shard.take_sent();
        self.write_decisions(out);
        match self.between {
            BetweenLeads::Written => self.write_sent(&sent, out),
            BetweenLeads::AppliedAtOnce => self.at_once.extend(sent),
            BetweenLeads::Replayed => {}
        }
        match applied {
            Ok(Applied::More) => Outcome::More,
            Ok(applied) => {
                self.counts.add(outcome_word(applied));
                Outcome::Applied
            }
            Err(Refused::NoModel) => Outcome::Blocked(no_model()),
            Err(
                refused @ (Refused::SwitchVersion { .. } | Refused::SwitchModel { .. } | Refused::State(_)),
            ) => Outcome::Blocked(blocked(&refused)),
            Err(Refused::LeadId(_)) => self.refuse(record, "no_id", "key is no lead id", out),
            Err(refused @ Refused::Timestamp { .. }) => {
                self.refuse(record, "wrong_shape", &refused.to_string(), out)
            }
        }
    }

    fn write_decisions(&mut self, out: &mut Outbox) {
        for decision in &self.decisions {
            if let Change::StageChange(change) = &decision.change
                && change.from != change.to
            {
                self.transitions.add(&change.from, &change.to, decision.cause);
            }
            self.encoded.clear();
            encode_decision(decision, &mut self.encoded).expect("a decision of our own fits its schema");
            out.push(&OutRecord {
                topic: &self.topics.decisions,
                to: To::Key,
                key: Some(decision.lead.as_bytes()),
                value: Some(&self.encoded),
                headers: Headers::EMPTY,
                timestamp_ms: None,
            });
        }
    }

    /// Records for other leads go back into the activities, under their keys.
    fn write_sent<'s>(&self, sent: impl IntoIterator<Item = &'s Sent>, out: &mut Outbox) {
        for Sent { lead_id, value } in sent {
            out.push(&OutRecord {
                topic: &self.topics.activities,
                to: To::Key,
                key: Some(lead_id.as_bytes()),
                value: Some(value),
                headers: Headers::EMPTY,
                timestamp_ms: None,
            });
        }
    }

    /// Applies what leads have sent each other since `record`, and what they send on; what cannot be applied now goes
    /// into the log after all.
    fn apply_at_once(&mut self, record: &Record<'_>, out: &mut Outbox) {
        while let Some(sent) = self.at_once.pop_front() {
            let of_lead = Record { key: Some(sent.lead_id.as_bytes()), value: Some(&sent.value), ..*record };
            let Ok(activity) = decode_activity(&sent.value) else { continue };
            if self.score(&of_lead, &activity, out) != Outcome::Applied {
                self.at_once.push_front(sent);
                let rest = std::mem::take(&mut self.at_once);
                self.write_sent(&rest, out);
            }
        }
    }

    fn refuse(
        &mut self,
        record: &Record<'_>,
        reason: &'static str,
        detail: &str,
        out: &mut Outbox,
    ) -> Outcome {
        let refusal = Refusal { service: "scorer", reason, detail, elements: &[] };
        dead_letter::refuse(&self.topics.dead_letters, record, &refusal, &mut self.counts, out)
    }
}

impl Operator for ScorerOperator {
    fn wiring(&self) -> Wiring {
        let Topics { activities, leads, models, decisions, dead_letters, .. } = &self.topics;
        Wiring {
            inputs: vec![activities.clone()],
            tables: vec![models.clone()],
            // Ticks go back into the activities.
            outputs: vec![decisions.clone(), dead_letters.clone(), activities.clone()],
            changelog: Some(leads.clone()),
            clocked: true,
        }
    }

    fn expect(&mut self, records: &RecordBatch, from: usize) -> usize {
        let partition = records.get(from).partition;
        let Some(shard) = self.shards.get_mut(&partition) else { return from + 1 };
        let next = (from..records.len()).map(|index| records.get(index));
        let leads = next
            .take_while(|record| record.partition == partition)
            .map(|record| record.key.and_then(|key| std::str::from_utf8(key).ok()).unwrap_or_default());
        from + shard.expect(leads)
    }

    fn apply(&mut self, record: &Record<'_>, out: &mut Outbox) -> Outcome {
        let Some(value) = record.value else {
            return self.refuse(record, "tombstone", "activity without a value", out);
        };
        match decode_activity(value) {
            Ok(activity) => {
                let outcome = self.score(record, &activity, out);
                self.apply_at_once(record, out);
                outcome
            }
            Err(error @ DecodeError::UnknownSchema { .. }) => {
                Outcome::Blocked(unknown_schema(record, &error))
            }
            Err(error) => self.refuse(record, "wrong_shape", &error.to_string(), out),
        }
    }

    fn committed(&mut self) {
        for shard in self.shards.values_mut() {
            shard.commit();
        }
        self.counts.commit();
        self.transitions.commit();
    }

    fn aborted(&mut self) {
        for shard in self.shards.values_mut() {
            shard.abort();
        }
        self.counts.abort();
        self.transitions.abort();
    }

    fn table_record(&mut self, _topic: &str, key: &[u8], value: Option<&[u8]>) {
        self.models.record(key, value);
    }

    fn outcomes(&mut self, report: &mut dyn FnMut(&'static str, u64)) {
        self.counts.report(report);
        self.transitions.publish();
        crate::metrics::set_leads(self.leads());
    }

    fn newest_state_format(&self) -> u16 {
        STATE_FORMAT
    }

    fn state_format(&self, partition: i32) -> u16 {
        self.shards.get(&partition).map_or(OLDEST_STATE_FORMAT, Shard::state_format)
    }

    fn assigned(&mut self, partition: i32) {
        self.shards.insert(partition, Shard::new());
    }

    fn restore(&mut self, partition: i32, key: &[u8], value: Option<&[u8]>) -> Result<(), Blocked> {
        let shard = self.shards.get_mut(&partition).ok_or_else(|| unusable("partition is not assigned"))?;
        let lead = std::str::from_utf8(key).map_err(|_| unusable("key is not UTF-8"))?;
        match value {
            Some(value) => shard.restore_lead(lead, value).map_err(|error| unusable(&error.to_string())),
            None => {
                shard.restore_removal(lead);
                Ok(())
            }
        }
    }

    fn restored(&mut self, partition: i32, meta: Option<&[u8]>) -> Result<(), Blocked> {
        let shard = self.shards.get_mut(&partition).ok_or_else(|| unusable("partition is not assigned"))?;
        if let Some(meta) = meta {
            shard.restore_meta(meta).map_err(|error| unusable(&error.to_string()))?;
        }
        let known = |hash: &str| {
            self.models.get(hash).map(Arc::clone).ok_or_else(|| Blocked {
                reason: format!("model {hash} of the restored leads is not in {}", self.topics.models),
                advice: "activate it again with `ripen model activate FILE`".to_owned(),
            })
        };
        let models = shard.restored_models().into_iter().map(known);
        let models: Vec<Arc<Model>> = models.collect::<Result<_, Blocked>>()?;
        if models.is_empty() {
            return Ok(());
        }
        shard.set_models(&models).map_err(|error| unusable(&error.to_string()))
    }

    fn clock(&self, partition: i32) -> Option<i64> {
        self.shards.get(&partition).map(Shard::clock).filter(|clock| *clock != i64::MIN)
    }

    fn revoked(&mut self, partition: i32) {
        self.shards.remove(&partition);
    }

    fn seal(&mut self, partition: i32, changelog: &mut Changelog<'_>, meta: &mut Vec<u8>) {
        let Some(shard) = self.shards.get_mut(&partition) else { return };
        shard.seal(&mut |lead, value| match value {
            Some(value) => changelog.put(lead.as_bytes(), value),
            None => changelog.delete(lead.as_bytes()),
        });
        meta.extend(shard.meta());
    }

    fn next_deadline(&self, partition: i32) -> Option<i64> {
        self.shards.get(&partition)?.next_deadline()
    }

    fn tick(&mut self, partition: i32, at_ms: i64, out: &mut Outbox) {
        self.encoded.clear();
        encode_activity(&ActivityRecord::Tick(Tick { wall_ms: at_ms }), &mut self.encoded)
            .expect("a tick fits its schema");
        out.push(&OutRecord {
            topic: &self.topics.activities,
            to: To::Partition(partition),
            key: None,
            value: Some(&self.encoded),
            headers: Headers::EMPTY,
            timestamp_ms: Some(at_ms),
        });
    }
}

fn outcome_word(applied: Applied) -> &'static str {
    match applied {
        Applied::Accepted { .. } => "scored",
        Applied::Filtered(reason) => reason.as_str(),
        Applied::Forwarded => "forwarded",
        Applied::Linked => "linked",
        Applied::LinkRefused => "link_conflict",
        Applied::Merged => "merged",
        Applied::Erased => "erased_lead",
        Applied::Ignored => "ignored",
        Applied::Ticked => "ticked",
        Applied::Switched => "switched",
        Applied::More => "more",
    }
}

fn blocked(refused: &Refused) -> Blocked {
    Blocked { reason: refused.to_string(), advice: NEWER_VERSION.to_owned() }
}

fn unknown_model(switch: &Switch<'_>) -> Blocked {
    Blocked {
        reason: format!("switch to model {}, which is not known here", &*switch.model_hash),
        advice: "activate it again with `ripen model activate FILE`".to_owned(),
    }
}

fn unusable(reason: &str) -> Blocked {
    Blocked {
        reason: format!("changelog record cannot be used: {reason}"),
        advice: "run the version of ripen that wrote it, or start anew under another prefix".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use ripen_ingest::{Arrival, Format, Limits};
    use ripen_records::{Text, encode_activity};
    use ripen_runtime::TimestampType;
    use ripen_scorer::SEMANTICS;

    use super::super::IngestOperator;
    use super::*;

    const DAY_MS: i64 = 86_400_000;

    fn record<'a>(topic: &'a str, key: Option<&'a [u8]>, value: &'a [u8], timestamp_ms: i64) -> Record<'a> {
        Record {
            topic,
            partition: 0,
            offset: 0,
            timestamp_ms,
            timestamp_type: TimestampType::CreateTime,
            key,
            value: Some(value),
            headers: Headers::EMPTY,
        }
    }

    /// A lead in a stage that it will leave by itself; its partition's one activity was at 0.
    fn scorer_with_a_lead(hash: &str, file: &str) -> ScorerOperator {
        let topics = Topics::with_prefix("");
        let source = [("clicks".to_owned(), Format::Segment)];
        let mut ingest = IngestOperator::new(topics.clone(), source, Limits::default(), Arrival::Source);
        let mut scorer = ScorerOperator::new(topics);
        ingest.table_record("", hash.as_bytes(), Some(file.as_bytes()));
        scorer.table_record("", hash.as_bytes(), Some(file.as_bytes()));
        scorer.assigned(0);
        let (mut activities, mut out) = (Outbox::default(), Outbox::default());
        let click = br#"{"type":"track","messageId":"m1","anonymousId":"a1","event":"form_submit",
            "properties":{"form":"price_list"}}"#;
        let _ = ingest.apply(&record("clicks", None, click, 0), &mut activities);
        let first = switch(hash, SEMANTICS);
        let activity = activities.get(0);
        for (key, value) in [(None, first.as_slice()), (activity.key, activity.value.expect("a value"))] {
            let outcome = scorer.apply(&record(activity.topic, key, value, 0), &mut out);
            assert_eq!(outcome, Outcome::Applied);
        }
        assert!(!out.is_empty(), "it is in a stage");
        scorer.committed();
        scorer
    }

    fn switch(hash: &str, semantics: u16) -> Vec<u8> {
        switch_of(hash, semantics, STATE_FORMAT)
    }

    fn switch_of(hash: &str, semantics: u16, state_format: u16) -> Vec<u8> {
        let switch = Switch { epoch: 2, model_hash: Text::from(hash), semantics, state_format, at_ms: 0 };
        let mut value = Vec::new();
        encode_activity(&ActivityRecord::Switch(switch), &mut value).expect("it fits");
        value
    }

    #[test]
    fn another_model_holds_from_its_switch_and_a_tick_brings_the_leads_to_it() {
        let file = include_str!("../../../../models/auto-dealer.yaml");
        let next = file.replace("enter: \"fact.magnet\"", "enter: \"fact.won\"\n    exit: \"!fact.won\"");
        let hash = |file: &str| ripen_model::compile("auto-dealer.yaml", file).expect("it compiles").hash;
        let mut scorer = scorer_with_a_lead(&hash(file), file);
        let (mut out, to) = (Outbox::default(), switch(&hash(&next), SEMANTICS));
        let unknown = scorer.apply(&record("activities", None, &to, DAY_MS), &mut out);
        assert!(matches!(unknown, Outcome::Blocked(_)), "the model has not come yet: {unknown:?}");
        scorer.table_record("", hash(&next).as_bytes(), Some(next.as_bytes()));
        assert_eq!(scorer.apply(&record("activities", None, &to, DAY_MS), &mut out), Outcome::Applied);
        assert_eq!(scorer.next_deadline(0), Some(DAY_MS + 1), "there are leads to bring along");
        assert_eq!(out.len(), 0, "the switch itself decides nothing");
        scorer.tick(0, DAY_MS + 1, &mut out);
        let tick = out.get(0).value.expect("a tick").to_vec();
        out.clear();
        assert_eq!(scorer.apply(&record("activities", None, &tick, DAY_MS + 1), &mut out), Outcome::Applied);
        let decision =
            ripen_records::decode_decision(out.get(0).value.expect("a decision")).expect("of ours");
        assert_eq!((decision.cause, decision.stage.as_str()), (ripen_records::Cause::ModelChange, "nurture"));
        assert_eq!(decision.model_hash, hash(&next));
        scorer.committed();
        assert!(scorer.next_deadline(0) > Some(2 * DAY_MS), "all of them are there");
    }

    #[test]
    fn a_switch_that_blocks_leaves_nothing_staged() {
        let file = include_str!("../../../../models/auto-dealer.yaml");
        let hash = ripen_model::compile("auto-dealer.yaml", file).expect("it compiles").hash;
        let mut scorer = scorer_with_a_lead(&hash, file);
        let before = (scorer.next_deadline(0), scorer.clock(0));
        assert!(before.0.is_some_and(|deadline_ms| deadline_ms < 500 * DAY_MS), "{before:?}");
        let mut out = Outbox::default();
        for (semantics, state_format) in [(SEMANTICS + 1, STATE_FORMAT), (SEMANTICS, STATE_FORMAT + 1)] {
            let newer = switch_of(&hash, semantics, state_format);
            let outcome = scorer.apply(&record("activities", None, &newer, 500 * DAY_MS), &mut out);
            let Outcome::Blocked(blocked) = outcome else { panic!("{outcome:?}") };
            assert!(blocked.reason.contains("is beyond this version"), "{blocked}");
            assert_eq!((out.len(), scorer.next_deadline(0), scorer.clock(0)), (0, before.0, before.1));
        }
        // After an upgrade the switches of the older version are still in the log.
        let same = switch_of(&hash, SEMANTICS, STATE_FORMAT - 1);
        let outcome = scorer.apply(&record("activities", None, &same, 500 * DAY_MS), &mut out);
        assert_eq!(outcome, Outcome::Applied);
        assert!(!out.is_empty(), "the deadline in front of it has fired");
    }
}
