//! What the workers of this process say about themselves, for `/readyz` and the log.
//!
//! Each worker writes its own entry, once a step at most; readers copy. The lock is held for a copy, never across
//! a call to Kafka.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use metrics::gauge;
use ripen_runtime::Status;
use ripen_runtime::worker::PartitionState;
use serde_json::{Value, json};

use crate::metrics::READY;

/// What is said while there is no model.
pub const NO_MODEL: &str = "no model has been activated; activate one with `ripen model activate FILE`";

/// So many failed transactions in a row are no passing matter: a second of them at least.
const ABORTS_TOLD: u32 = 20;

/// How far one worker is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkerState {
    /// Reaching Kafka, reading tables, waiting for partitions.
    Starting,
    /// Nothing can be done before a model has been activated.
    NoModel,
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
    /// One transaction after the other fails; nothing of them has happened, and they are tried again.
    Aborting {
        /// How many in a row.
        count: u32,
        /// Why the last one failed.
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

impl WorkerState {
    /// What a worker's status amounts to: what hinders it first, then what it still has to do.
    pub fn of(status: &Status) -> WorkerState {
        if !status.tables_read {
            return WorkerState::Starting;
        }
        let mut blocked = status.partitions.iter().filter_map(|partition| match &partition.state {
            PartitionState::Blocked(blocked) => Some((&partition.at, blocked)),
            _ => None,
        });
        if let Some((at, first)) = blocked.next() {
            return WorkerState::Blocked {
                partitions: 1 + blocked.count(),
                reason: format!("{at}: {first}"),
            };
        }
        if status.aborts.in_a_row >= ABORTS_TOLD {
            let count = status.aborts.in_a_row;
            return WorkerState::Aborting { count, reason: status.aborts.reason.clone() };
        }
        let remaining: Vec<u64> = status
            .partitions
            .iter()
            .filter_map(|partition| match partition.state {
                PartitionState::Restoring { remaining } => Some(u64::try_from(remaining).unwrap_or(0)),
                _ => None,
            })
            .collect();
        if !remaining.is_empty() {
            return WorkerState::Restoring { partitions: remaining.len(), records: remaining.iter().sum() };
        }
        WorkerState::Ready { partitions: status.partitions.len() }
    }

    /// The state in a word.
    pub const fn as_str(&self) -> &'static str {
        match self {
            WorkerState::Starting => "starting",
            WorkerState::NoModel => "no model",
            WorkerState::Restoring { .. } => "restoring",
            WorkerState::Blocked { .. } => "blocked",
            WorkerState::Aborting { .. } => "aborting",
            WorkerState::Ready { .. } => "ready",
            WorkerState::Stopped => "stopped",
        }
    }
}

impl fmt::Display for WorkerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WorkerState::Starting | WorkerState::Stopped => f.write_str(self.as_str()),
            WorkerState::NoModel => f.write_str(NO_MODEL),
            WorkerState::Restoring { partitions, records } => {
                write!(f, "restoring {partitions} partitions, {records} records to read")
            }
            WorkerState::Blocked { partitions, reason } => {
                write!(f, "{partitions} partitions blocked, {reason}")
            }
            WorkerState::Aborting { count, reason } => {
                write!(f, "{count} transactions in a row failed, the last one: {reason}")
            }
            WorkerState::Ready { partitions } => write!(f, "ready with {partitions} partitions"),
        }
    }
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

    /// Writes one worker's entry; answers whether it is another state than before.
    pub fn set(&self, service: &str, worker: usize, state: WorkerState) -> bool {
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        let of_worker = |entry: &&mut Entry| entry.service == service && entry.worker == worker;
        let Some(entry) = workers.iter_mut().find(of_worker) else { return false };
        let is_new = entry.state != state;
        entry.state = state;
        let is_ready = is_ready(&workers);
        drop(workers);
        gauge!(READY).set(if is_ready { 1.0 } else { 0.0 });
        is_new
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
        let mut value =
            json!({ "service": self.service, "worker": self.worker, "state": self.state.as_str() });
        match &self.state {
            WorkerState::Starting | WorkerState::NoModel | WorkerState::Stopped => {}
            WorkerState::Restoring { partitions, records } => {
                value["partitions"] = json!(partitions);
                value["records_remaining"] = json!(records);
            }
            WorkerState::Blocked { partitions, reason } => {
                value["partitions"] = json!(partitions);
                value["reason"] = json!(reason);
            }
            WorkerState::Aborting { count, reason } => {
                value["aborts"] = json!(count);
                value["reason"] = json!(reason);
            }
            WorkerState::Ready { partitions } => value["partitions"] = json!(partitions),
        }
        value
    }

    fn reason(&self) -> Option<String> {
        let is_ready = matches!(self.state, WorkerState::Ready { .. });
        (!is_ready).then(|| format!("{} {}: {}", self.service, self.worker, self.state))
    }
}

#[cfg(test)]
mod tests {
    use ripen_runtime::Aborts;

    use super::*;

    #[test]
    fn a_second_of_failed_transactions_is_told_a_single_one_is_not() {
        for (in_a_row, ready) in [(1, true), (19, true), (20, false)] {
            let aborts = Aborts { in_a_row, reason: "commit transaction: timed out".to_owned() };
            let state = WorkerState::of(&Status { tables_read: true, aborts, ..Status::default() });
            assert_eq!(state == WorkerState::Ready { partitions: 0 }, ready, "{state}");
            let told = "20 transactions in a row failed, the last one: commit transaction: timed out";
            assert!(ready || state.to_string() == told, "{state}");
        }
    }

    #[test]
    fn ready_means_every_worker_is() {
        let health = Health::new(&["scorer", "emitter"], 1);
        assert!(!health.report().is_ready);
        health.set("scorer", 0, WorkerState::Ready { partitions: 4 });
        health.set("emitter", 0, WorkerState::Restoring { partitions: 1, records: 7 });
        let body = health.report().to_json();
        assert_eq!(body["status"], "not ready");
        assert_eq!(body["reason"], "emitter 0: restoring 1 partitions, 7 records to read");
        health.set("emitter", 0, WorkerState::Ready { partitions: 0 });
        assert!(health.report().is_ready);
        assert_eq!(health.report().to_json().get("reason"), None);
        health.set("scorer", 0, WorkerState::Blocked { partitions: 2, reason: "no model".to_owned() });
        assert_eq!(health.report().to_json()["reason"], "scorer 0: 2 partitions blocked, no model");
    }
}
