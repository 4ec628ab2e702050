//! Measuring and printing figures: `figure NAME VALUE UNIT min..max`, the value being the median of the rounds.

#![allow(dead_code, unreachable_pub, reason = "each bench uses a part")]

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Ticks of `/proc/PID/stat` in a second: 100 on every Linux of ours.
const TICKS_PER_SECOND: f64 = 100.0;
/// Between two looks at what is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// CPU time of this process so far, user and system, all threads.
pub fn cpu() -> Duration {
    cpu_by(ClockId::ProcessCPUTime)
}

/// CPU time of this thread so far.
pub fn thread_cpu() -> Duration {
    cpu_by(ClockId::ThreadCPUTime)
}

/// Waits: looking all the time would cost the CPU that is measured.
#[expect(clippy::disallowed_methods, reason = "an even rate needs a clock")]
pub fn nap(time: Duration) {
    std::thread::sleep(time);
}

/// Waits without taking the CPU from those who work.
pub fn wait_for(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < limit, "not within {limit:?}: {what}");
        nap(LOOK_EVERY);
    }
}

fn cpu_by(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// User and system CPU of another process so far, seconds; in steps of 10 ms.
pub fn cpu_seconds_of(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process runs");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: f64 = [11, 12].iter().map(|field| fields[*field].parse::<f64>().expect("ticks")).sum();
    ticks / TICKS_PER_SECOND
}

/// Resident memory of another process in bytes: now, and at most so far.
pub fn memory_of(pid: u32) -> (u64, u64) {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let bytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("Linux");
        line.trim().trim_end_matches("kB").trim().parse::<u64>().expect("a number") * 1024
    };
    (bytes("VmRSS:"), bytes("VmHWM:"))
}

/// The value below which this share of the sorted values lies.
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    sorted[((sorted.len() as f64 * share) as usize).min(sorted.len() - 1)]
}

/// CPU time that `work` takes, in ns per item.
pub fn ns_per_item(items: usize, work: impl FnOnce()) -> f64 {
    let before = cpu();
    work();
    (cpu() - before).as_nanos() as f64 / items as f64
}

/// Prints one figure from its rounds.
pub fn figure(name: &str, unit: &str, rounds: &[f64]) {
    let mut sorted = rounds.to_vec();
    sorted.sort_by(f64::total_cmp);
    let median = sorted[sorted.len() / 2];
    println!("figure {name} {median:.2} {unit} {:.2}..{:.2}", sorted[0], sorted[sorted.len() - 1]);
}

/// Prints the ratio of two series measured in turn, round by round.
pub fn ratio(name: &str, above: &[f64], below: &[f64]) {
    let ratios: Vec<f64> = above.iter().zip(below).map(|(a, b)| a / b).collect();
    figure(name, "times", &ratios);
}

/// Resident memory of this process, bytes (`/proc/self/statm`).
pub fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: u64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("a number of pages");
    pages * rustix::param::page_size() as u64
}
