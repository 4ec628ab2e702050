//! Names of the runtime's metrics. They are updated once per transaction or step, never per record.

/// Histogram, seconds: from the begin of a transaction's calls to its outcome. Label `service`.
pub const COMMIT_SECONDS: &str = "ripen_commit_seconds";
/// Gauge: changelog records still to be read by arriving partitions. Labels `service`, `worker`.
pub const RESTORE_REMAINING_RECORDS: &str = "ripen_restore_remaining_records";
/// Gauge: partitions owned and running. Labels `service`, `worker`.
pub const PARTITIONS_OWNED: &str = "ripen_partitions_owned";
/// Gauge: partitions that cannot go on. Labels `service`, `worker`.
pub const PARTITIONS_BLOCKED: &str = "ripen_partitions_blocked";
/// Counter: records by what became of them. Labels `service`, `outcome`.
pub const RECORDS_TOTAL: &str = "ripen_records_total";
/// Gauge, seconds: wall clock minus the timestamp of the last record applied. Labels `service`, `worker`.
pub const CLOCK_LAG_SECONDS: &str = "ripen_clock_lag_seconds";
/// Counter: transactions by result (`committed`, `aborted`). Labels `service`, `result`.
pub const TRANSACTIONS_TOTAL: &str = "ripen_transactions_total";
