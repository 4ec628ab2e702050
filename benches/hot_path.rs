//! A fixed number of events through the hot path and nothing else, for the instruction counts of `tests/gate`.
//!
//! A count is the difference of two runs, so what happens before the first event does not matter. What is counted:
//! `rekeyed`, both services with the activity's record between them; `fused`, without it; `read`, ingest alone;
//! `parse`, the same texts read into `serde_json::Value`.

mod hot;

use hot::Hot;

fn main() {
    // `cargo bench` passes `--bench`; the gate passes a number and what is to be counted.
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let events = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(2_000);
    let counted = arguments.get(1).map_or("rekeyed", String::as_str);
    let clicks = hot::clicks(2_000, 12_000);
    let clicks = &clicks[..events];
    let mut path = Hot::new(&hot::model());
    match counted {
        "fused" => path.run(clicks, false),
        "read" => path.read_only(clicks),
        "parse" => hot::parse(clicks),
        _ => path.run(clicks, true),
    }
    println!("{events} events, {} decisions", path.decided);
}
