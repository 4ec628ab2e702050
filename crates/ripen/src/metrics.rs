//! Metrics of the process: the recorder, and every metric's name and description.
//!
//! The runtime's names stand in [`ripen_runtime::metrics`]; those that only the binary knows stand here. No label
//! ever holds a lead id: labels are services, workers, outcomes, and nothing that grows with the input.

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use ripen_runtime::metrics as runtime;

/// Gauge, always 1. Label `version`.
pub const BUILD_INFO: &str = "ripen_build_info";
/// Gauge: committed leads of the partitions that a scorer owns. Label `worker`.
pub const LEADS: &str = "ripen_leads";
/// Counter: stage transitions written. Labels `from`, `to`, `cause`: bounded by the model's stages.
pub const TRANSITIONS_TOTAL: &str = "ripen_transitions_total";
/// Gauge: 1 when `/readyz` says ready, else 0.
pub const READY: &str = "ripen_ready";

/// Counter: records that went to the dead-letter topic. Labels `service`, `reason`.
pub const DEAD_LETTERS_TOTAL: &str = "ripen_dead_letters_total";

/// Upper bounds of commit times: a drained commit takes 3 to 20 ms, one that takes 2 s is suspicious.
const COMMIT_SECONDS_BUCKETS: &[f64] =
    &[0.003, 0.006, 0.012, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0];

/// Installs the recorder and describes every metric.
///
/// # Errors
/// When this process has a recorder already.
pub fn install() -> Result<PrometheusHandle, String> {
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(
            metrics_exporter_prometheus::Matcher::Full(runtime::COMMIT_SECONDS.to_owned()),
            COMMIT_SECONDS_BUCKETS,
        )
        .map_err(|error| error.to_string())?
        .build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).map_err(|error| error.to_string())?;
    describe();
    gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    gauge!(READY).set(0.0);
    Ok(handle)
}

/// Says how many leads this thread's worker holds.
pub fn set_leads(leads: usize) {
    gauge!(LEADS, "worker" => worker()).set(leads as f64);
}

/// Counts stage transitions of a committed transaction.
pub fn count_transitions(from: &str, to: &str, cause: &'static str, count: u64) {
    let labels = [("from", from.to_owned()), ("to", to.to_owned()), ("cause", cause.to_owned())];
    counter!(TRANSITIONS_TOTAL, &labels).increment(count);
}

/// Counts dead letters of a committed transaction.
pub fn count_dead_letters(service: &'static str, reason: &'static str, count: u64) {
    counter!(DEAD_LETTERS_TOTAL, "service" => service, "reason" => reason).increment(count);
}

/// The number of this thread's worker: threads are named `service-number`.
fn worker() -> String {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or_default();
    name.rsplit_once('-').map_or("0", |(_, number)| number).to_owned()
}

fn describe() {
    describe_gauge!(BUILD_INFO, "Always 1; the label is the version");
    describe_gauge!(READY, "Whether every worker is ready");
    describe_histogram!(
        runtime::COMMIT_SECONDS,
        Unit::Seconds,
        "From the begin of a transaction's calls to its outcome"
    );
    describe_gauge!(
        runtime::RESTORE_REMAINING_RECORDS,
        "Changelog records still to be read by arriving partitions"
    );
    describe_gauge!(runtime::PARTITIONS_OWNED, "Partitions owned and running");
    describe_gauge!(runtime::PARTITIONS_BLOCKED, "Partitions that cannot go on");
    describe_counter!(runtime::RECORDS_TOTAL, "Records by what became of them");
    describe_gauge!(
        runtime::CLOCK_LAG_SECONDS,
        Unit::Seconds,
        "Wall clock minus the timestamp of the last record applied"
    );
    describe_counter!(runtime::TRANSACTIONS_TOTAL, "Transactions by result");
    describe_gauge!(LEADS, "Leads held in memory");
    describe_counter!(TRANSITIONS_TOTAL, "Stage transitions decided");
    describe_counter!(DEAD_LETTERS_TOTAL, "Records that went to the dead-letter topic");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_documented() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operations.md");
        let documented = std::fs::read_to_string(path).unwrap();
        for name in [
            BUILD_INFO,
            READY,
            LEADS,
            TRANSITIONS_TOTAL,
            DEAD_LETTERS_TOTAL,
            runtime::COMMIT_SECONDS,
            runtime::RESTORE_REMAINING_RECORDS,
            runtime::PARTITIONS_OWNED,
            runtime::PARTITIONS_BLOCKED,
            runtime::RECORDS_TOTAL,
            runtime::CLOCK_LAG_SECONDS,
            runtime::TRANSACTIONS_TOTAL,
        ] {
            assert!(documented.contains(&format!("| `{name}` |")), "{name} is not in docs/operations.md");
        }
    }
}
