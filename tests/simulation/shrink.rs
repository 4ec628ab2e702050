//! Cuts a failing schedule down: fewer acts, as long as it still fails.

use crate::schedule::Schedule;

/// Runs that are spent on it.
const RUNS: usize = 1_500;

/// The smallest schedule found that still fails.
pub(crate) fn shrink(schedule: &Schedule, fails: impl Fn(&Schedule) -> bool) -> Schedule {
    let mut best = schedule.clone();
    let mut runs = 0;
    let mut chunk = best.acts.len().div_ceil(2);
    while chunk > 0 {
        let mut from = 0;
        let mut any = false;
        while from < best.acts.len() && runs < RUNS {
            let mut fewer = best.clone();
            fewer.acts.drain(from..(from + chunk).min(best.acts.len()));
            runs += 1;
            if fails(&fewer) {
                best = fewer;
                any = true;
            } else {
                from += chunk;
            }
        }
        if runs >= RUNS {
            break;
        }
        if chunk > 1 || !any {
            chunk /= 2;
        }
    }
    best
}
