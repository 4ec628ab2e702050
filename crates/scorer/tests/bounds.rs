//! No lead grows without end (S20).

mod story;

use ripen_records::ActivityRecord;
use ripen_scorer::{Budget, LeadReader};
use story::{DEALER, START_MS};

/// Activities of one lead; `RIPEN_ACTIVITIES` asks for more.
const ACTIVITIES: u32 = 50_000;

#[test]
#[expect(clippy::disallowed_methods, reason = "the number of activities is asked for from outside")]
fn a_lead_of_very_many_activities_stays_within_its_bound() {
    let asked = std::env::var("RIPEN_ACTIVITIES").ok().and_then(|count| count.parse().ok());
    let count: u32 = asked.unwrap_or(ACTIVITIES);
    let model = story::model(DEALER);
    let mut shard = story::shard(&model);
    let (mut largest, mut decided) = (0, Vec::new());
    let names = [
        "page_view /models/",
        "page_view /models/x/trims/",
        "credit_calculated n=",
        "anything /",
        "robot_call /",
    ];
    for n in 0..count {
        let name = names[(n % 5) as usize];
        // Every third one is late; ids, paths and properties never repeat.
        let late = if n % 3 == 0 { n % 1_000 } else { 0 };
        let line = format!(
            "{}s {name}{n} id=i{n} lead=user:1 arrived={}s result=not_interested",
            7 * n - 7 * late.min(n),
            7 * n
        );
        let step = &story::steps(&line)[0];
        let ActivityRecord::Activity(_) = &step.record else { panic!("an activity") };
        let mut budget = Budget::new(u32::MAX);
        decided.clear();
        let _ = shard
            .apply(&step.lead, &step.record, step.arrival_ms, &mut budget, &mut decided)
            .expect("applied");
        if n % 1_000 == 999 {
            shard.seal(&mut |_, value| largest = largest.max(value.map_or(0, <[u8]>::len)));
            shard.commit();
        }
    }
    let bound = model.worst_case_bytes_per_lead();
    assert!(largest as u64 <= bound, "{largest} bytes, at most {bound}");
    assert!(largest < 16_384, "{largest} bytes: what it holds is what the model asks for");
    let reader = LeadReader::new(model);
    for entry in shard.base().iter() {
        assert!(reader.read(entry.value(), START_MS).expect("readable").is_some());
    }
}
