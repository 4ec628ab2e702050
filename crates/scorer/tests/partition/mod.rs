//! One partition of the core with its changelog: its transactions end, are dropped and done once more, its process dies.

use std::collections::BTreeMap;
use std::sync::Arc;

use ripen_model::Model;
use ripen_records::{ActivityRecord, Decision, Switch, decode_activity, encode_activity};
use ripen_scorer::{Applied, Budget, SEMANTICS, STATE_FORMAT, Sent, Shard};

use super::random::events::End;

pub(crate) struct Partition {
    model: Arc<Model>,
    pub(crate) shard: Shard,
    pub(crate) decisions: Vec<Decision>,
    changelog: BTreeMap<String, Vec<u8>>,
    /// Of the decisions, those of ended transactions.
    committed: usize,
    /// What the open transaction has done.
    open: Vec<Done>,
}

/// A record, and what came of it.
struct Done {
    lead: String,
    record: Vec<u8>,
    timestamp_ms: i64,
    applied: Applied,
    sent: Vec<Sent>,
}

impl Partition {
    /// Without leads, under a model.
    pub(crate) fn new(model: &Arc<Model>) -> Result<Partition, String> {
        let mut shard = Shard::new();
        let switch = Switch {
            epoch: 1,
            model_hash: model.hash.clone().into(),
            semantics: SEMANTICS,
            state_format: STATE_FORMAT,
            at_ms: 0,
        };
        shard.switch(&switch, Arc::clone(model)).map_err(|refused| refused.to_string())?;
        shard.commit();
        Ok(Partition {
            model: Arc::clone(model),
            shard,
            decisions: Vec::new(),
            changelog: BTreeMap::new(),
            committed: 0,
            open: Vec::new(),
        })
    }

    /// Applies a record, so many deadlines in one transaction; what became of it, and what is sent to others.
    pub(crate) fn apply(
        &mut self,
        lead: &str,
        record: &ActivityRecord<'_>,
        timestamp_ms: i64,
        deadlines: u32,
    ) -> Result<(Applied, Vec<Sent>), String> {
        let applied = loop {
            let mut budget = Budget::new(deadlines);
            let applied = self.shard.apply(lead, record, timestamp_ms, &mut budget, &mut self.decisions);
            match applied.map_err(|refused| refused.to_string())? {
                Applied::More => self.commit(),
                applied => break applied,
            }
        };
        let mut bytes = Vec::new();
        encode_activity(record, &mut bytes).map_err(|error| error.to_string())?;
        let sent = self.shard.take_sent();
        self.open.push(Done {
            lead: lead.to_owned(),
            record: bytes,
            timestamp_ms,
            applied,
            sent: sent.clone(),
        });
        Ok((applied, sent))
    }

    pub(crate) fn end(&mut self, end: End) -> Result<(), String> {
        match end {
            End::GoesOn => {}
            End::Commits => self.commit(),
            End::Aborts => {
                self.repeat()?;
                self.commit();
            }
            End::Restarts => {
                self.commit();
                self.restart()?;
            }
        }
        Ok(())
    }

    fn commit(&mut self) {
        let changelog = &mut self.changelog;
        self.shard.seal(&mut |lead, bytes| {
            match bytes {
                Some(bytes) => changelog.insert(lead.to_owned(), bytes.to_vec()),
                None => changelog.remove(lead),
            };
        });
        self.shard.commit();
        self.open.clear();
        self.committed = self.decisions.len();
    }

    /// The open transaction once more, from the state before it: everything has to come out as before.
    fn repeat(&mut self) -> Result<(), String> {
        self.shard.abort();
        let mut decisions = Vec::new();
        for done in &self.open {
            let record = decode_activity(&done.record).map_err(|error| error.to_string())?;
            let mut budget = Budget::new(u32::MAX);
            let applied =
                self.shard.apply(&done.lead, &record, done.timestamp_ms, &mut budget, &mut decisions);
            let applied = applied.map_err(|refused| refused.to_string())?;
            let sent = self.shard.take_sent();
            if (applied, &sent) != (done.applied, &done.sent) {
                let before = (done.applied, &done.sent);
                return Err(format!("once more: {applied:?} {sent:?}, before: {before:?}"));
            }
        }
        if decisions != self.decisions[self.committed..] {
            let before = &self.decisions[self.committed..];
            return Err(format!("once more: {decisions:?}\nbefore: {before:?}"));
        }
        Ok(())
    }

    fn restart(&mut self) -> Result<(), String> {
        let mut shard = Shard::new();
        let restored = |error: ripen_scorer::StateError| error.to_string();
        for (lead, bytes) in &self.changelog {
            shard.restore_lead(lead, bytes).map_err(restored)?;
        }
        shard.restore_meta(&self.shard.meta()).map_err(restored)?;
        shard.set_models(&[Arc::clone(&self.model)]).map_err(restored)?;
        self.shard = shard;
        Ok(())
    }
}
