//! A fixed number of events through the hot path and nothing else, for the instruction count of `tests/gate`.
//!
//! The count is the difference of two runs, so what happens before the first event does not matter.

mod hot;

fn main() {
    // `cargo bench` passes `--bench`; the gate passes a number.
    let events = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(2_000);
    let clicks = hot::clicks(2_000, 12_000);
    let mut path = hot::Hot::new(&hot::model());
    path.run(&clicks[..events], true);
    println!("{events} events, {} decisions", path.decided);
}
