//! The thread around a worker: reads the clock, waits, stops.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::kafka::wall_clock_ms;
use crate::log::Log;
use crate::operator::Operator;
use crate::worker::{Wait, Worker, WorkerError};

/// The stop flag is looked at this often.
const WAIT_LIMIT_MS: i64 = 100;
/// A busy worker reports this often; one that waits, more often.
const REPORT_EVERY_MS: i64 = 200;
const REPORT_WAITING_EVERY_MS: i64 = 10;

/// Runs a worker on this thread until `stop` is set or it has to end. `report` gets the worker now and then,
/// at least five times a second.
///
/// A stop commits what has been applied, within the deadlines of its calls; dropping the worker then closes
/// its clients without leaving the group, so that a restart within the session timeout keeps its partitions.
///
/// # Errors
/// Why the worker has to end.
pub fn run<L: Log, O: Operator>(
    worker: &mut Worker<L, O>,
    stop: &AtomicBool,
    mut report: impl FnMut(&Worker<L, O>),
) -> Result<(), WorkerError> {
    let mut reported_ms = i64::MIN;
    while !stop.load(Ordering::Relaxed) {
        let now_ms = wall_clock_ms();
        let wait_ms = match worker.step(now_ms)? {
            Wait::Now => 0,
            Wait::Until(at_ms) => (at_ms - wall_clock_ms()).clamp(0, WAIT_LIMIT_MS),
            Wait::Idle => WAIT_LIMIT_MS,
        };
        let report_every_ms = if wait_ms > 0 { REPORT_WAITING_EVERY_MS } else { REPORT_EVERY_MS };
        if now_ms.saturating_sub(reported_ms) >= report_every_ms {
            report(worker);
            reported_ms = now_ms;
        }
        if wait_ms > 0 {
            worker.log_mut().wait(Duration::from_millis(wait_ms as u64));
        }
    }
    worker.finish(wall_clock_ms())
}
