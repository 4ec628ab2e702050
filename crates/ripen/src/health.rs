//! What the workers of this process say about themselves, for `/readyz` and the log.
//!
//! Each worker writes its own entry, once a step at most; readers copy. The lock is held for a copy, never across
//! a call to Kafka.

use std::sync::{Mutex, PoisonError};

use metrics::gauge;
use serde_json::{Value, json};

use crate::metrics::READY;

/// How far one worker is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkerState {
    /// Reaching Kafka, reading tables, waiting for partitions.
    Starting,
    /// Reading the changelogs of arriving partitions.
    Restoring {
        /// Partitions that are not ready.
        partitions: usize,
        /// Changelog records still to be read.
        records: u64,
    },
    /// Some partitions cannot go on; the others do.
    Blocked {
        /// How many.
        partitions: usize,
        /// Why the first of them cannot, and what to do.
        reason: String,
    },
    /// Working, with this many partitions; none is ready too, another instance may have them all.
    Ready {
        /// Partitions owned.
        partitions: usize,
    },
    /// Has ended.
    Stopped,
}

/// The entries of all workers.
#[derive(Debug)]
pub struct Health {
    workers: Mutex<Vec<Entry>>,
}

#[derive(Debug, Clone)]
struct Entry {
    service: &'static str,
    worker: usize,
    state: WorkerState,
}

/// A copy of all entries.
#[derive(Debug, Clone)]
pub struct Report {
    /// Whether every worker is ready.
    pub is_ready: bool,
    workers: Vec<Entry>,
}

impl Health {
    /// Entries for these services, `workers` each, all starting.
    pub fn new(services: &[&'static str], workers: usize) -> Health {
        let entry = |service, worker| Entry { service, worker, state: WorkerState::Starting };
        let entries = services
            .iter()
            .flat_map(|service| (0..workers).map(move |worker| entry(*service, worker)))
            .collect();
        Health { workers: Mutex::new(entries) }
    }

    /// Writes one worker's entry.
    pub fn set(&self, service: &str, worker: usize, state: WorkerState) {
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) =
            workers.iter_mut().find(|entry| entry.service == service && entry.worker == worker)
        {
            entry.state = state;
        }
        let is_ready = is_ready(&workers);
        drop(workers);
        gauge!(READY).set(if is_ready { 1.0 } else { 0.0 });
    }

    /// A copy of all entries.
    pub fn report(&self) -> Report {
        let workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Report { is_ready: is_ready(&workers), workers }
    }
}

fn is_ready(workers: &[Entry]) -> bool {
    workers.iter().all(|entry| matches!(entry.state, WorkerState::Ready { .. }))
}

impl Report {
    /// The body of `/readyz`.
    pub fn to_json(&self) -> Value {
        let workers: Vec<Value> = self.workers.iter().map(Entry::to_json).collect();
        let status = if self.is_ready { "ready" } else { "not ready" };
        let mut body = json!({ "status": status, "workers": workers });
        let reasons: Vec<String> = self.workers.iter().filter_map(Entry::reason).collect();
        if !reasons.is_empty() {
            body["reason"] = json!(reasons.join("; "));
        }
        body
    }
}

impl Entry {
    fn to_json(&self) -> Value {
        let mut value = json!({ "service": self.service, "worker": self.worker });
        match &self.state {
            WorkerState::Starting => value["state"] = json!("starting"),
            WorkerState::Restoring { partitions, records } => {
                value["state"] = json!("restoring");
                value["partitions"] = json!(partitions);
                value["records_remaining"] = json!(records);
            }
            WorkerState::Blocked { partitions, reason } => {
                value["state"] = json!("blocked");
                value["partitions"] = json!(partitions);
                value["reason"] = json!(reason);
            }
            WorkerState::Ready { partitions } => {
                value["state"] = json!("ready");
                value["partitions"] = json!(partitions);
            }
            WorkerState::Stopped => value["state"] = json!("stopped"),
        }
        value
    }

    fn reason(&self) -> Option<String> {
        let what = match &self.state {
            WorkerState::Ready { .. } => return None,
            WorkerState::Starting => "starting".to_owned(),
            WorkerState::Restoring { records, .. } => format!("restoring, {records} records to read"),
            WorkerState::Blocked { partitions, reason } => {
                format!("{partitions} partitions blocked: {reason}")
            }
            WorkerState::Stopped => "stopped".to_owned(),
        };
        Some(format!("{} {}: {what}", self.service, self.worker))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_means_every_worker_is() {
        let health = Health::new(&["scorer", "emitter"], 1);
        assert!(!health.report().is_ready);
        health.set("scorer", 0, WorkerState::Ready { partitions: 4 });
        health.set("emitter", 0, WorkerState::Restoring { partitions: 1, records: 7 });
        let body = health.report().to_json();
        assert_eq!(body["status"], "not ready");
        assert_eq!(body["reason"], "emitter 0: restoring, 7 records to read");
        health.set("emitter", 0, WorkerState::Ready { partitions: 0 });
        assert!(health.report().is_ready);
        assert_eq!(health.report().to_json().get("reason"), None);
        health.set("scorer", 0, WorkerState::Blocked { partitions: 2, reason: "no model".to_owned() });
        assert_eq!(health.report().to_json()["reason"], "scorer 0: 2 partitions blocked: no model");
    }
}
