//! Bytes of memory per lead at a million leads, everything counted: what the process grew by.

mod hot;
mod measure;

use measure::{figure, resident_bytes};
use ripen_records::ActivityRecord;
use ripen_scorer::{Applied, Budget};

const LEADS: usize = 1_000_000;
/// 1 November 2026.
const START_MS: i64 = 1_793_491_200_000;

/// What is measured: a name, a model, the pages that a visitor opens, and how many.
const CASES: [(&str, &str, [&str; 3], i64); 4] = [
    ("bench", hot::MODEL, DEALER_PAGES, 3),
    ("bench", hot::MODEL, DEALER_PAGES, 12),
    ("auto-dealer", include_str!("../models/auto-dealer.yaml"), DEALER_PAGES, 3),
    ("saas", include_str!("../models/saas.yaml"), ["/blog/seo", "/cases/7", "/pricing"], 3),
];
const DEALER_PAGES: [&str; 3] = ["/models/m", "/models/n", "/models/o"];

fn main() {
    // Each case in a process of its own: memory that an earlier one gave back would be used again unseen.
    let case = std::env::args().skip(1).find_map(|argument| argument.parse::<usize>().ok());
    if let Some(case) = case {
        return measure_leads(case);
    }
    let this = std::env::current_exe().expect("a path");
    for case in 0..CASES.len() {
        let status = std::process::Command::new(&this).arg(case.to_string()).status().expect("it starts");
        assert!(status.success(), "case {case}: {status}");
    }
}

fn measure_leads(case: usize) {
    let (name, text, pages, activities) = CASES[case];
    let model = ripen_model::compile(name, text).unwrap_or_else(|errors| panic!("{errors}"));
    let model = std::sync::Arc::new(model);
    let before = resident_bytes();
    let mut shard = hot::shard(&model);
    let mut encoded_bytes = 0;
    for lead in 0..LEADS {
        let id = format!("anon:{lead:032x}");
        for n in 0..activities {
            let event_id = format!("{lead}-{n}");
            let path = match n / 3 {
                0 => pages[n as usize].to_owned(),
                round => format!("{}{round}", pages[n as usize % 3]),
            };
            let at = START_MS + (lead as i64) / 10 + n * 60_000;
            let record = ActivityRecord::Activity(hot::page_view(&id, &event_id, &path, at));
            let applied = shard.apply(&id, &record, at, &mut Budget::new(10_000), &mut Vec::new());
            assert!(matches!(applied, Ok(Applied::Accepted { counted: 1.., .. })), "{applied:?}");
        }
        if lead % hot::BATCH == hot::BATCH - 1 {
            shard.seal(&mut |_, value| encoded_bytes += value.map_or(0, <[u8]>::len));
            shard.commit();
        }
    }
    let per_lead = (resident_bytes() - before) as f64 / LEADS as f64;
    figure(&format!("state_{name}_{activities}_activities"), "bytes", &[per_lead]);
    let value = encoded_bytes as f64 / LEADS as f64;
    figure(&format!("state_{name}_{activities}_activities_changelog_value"), "bytes", &[value]);
    if activities == 3 {
        let typical = model.typical_bytes_per_lead() as f64;
        figure(&format!("state_{name}_over_typical"), "times", &[per_lead / typical]);
    }
}
