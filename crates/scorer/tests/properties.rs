//! What must hold for any history: checked on random ones, against definitions and not against the core's code.

mod story;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use proptest::prelude::*;
use ripen_model::Model;
use ripen_records::{Activity, ActivityRecord, Decision, Field, Input, Origin, Page, Text, Tick, Value};
use ripen_scorer::{Applied, Budget, LeadReader, Shard};
use story::{START_MS, Step, sum_of};

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// Every kind of recurrence, two speeds, negative points, facts, windows; nothing that reads visits.
const MODEL: &str = r#"
apiVersion: ripen/v1
model: {id: properties, version: 1}
time: {zone: Europe/Berlin, late_accept: 10d, forget: 200d, forget_anonymous: 50d}
pages:
  thing: ["/things/{thing_id}"]
scores:
  fast: {half_life: 7h, range: [-20, 60]}
  slow: {half_life: 5d, range: [0, 100]}
  ever: {half_life: never, range: [-100, 100]}
groups:
  looking: {score: slow, max: 17}
  moods: {score: fast, min: -6, max: 30}
rules:
  - {id: look, event: page_view, where: "page.kind == 'thing'", points: {slow: 7, fast: 3.5}, once_per: [page.thing_id], max: 2, group: looking}
  - {id: any_page, event: page_view, points: {fast: 1.25}}
  - {id: ask, event: ask, points: {slow: 20.001, fast: 15}, once: true, set: {asked: 2d}}
  - {id: topic, event: ask, points: {ever: 3}, once_per: [properties.n]}
  - {id: daily, event: use, points: {slow: 4}, once_per: [day], group: looking}
  - {id: hourly, event: use, points: {fast: 2}, once_per: [hour, properties.n], max: 3}
  - {id: spend, event: use, points: {ever: 0.5}, once_per: [day, properties.n], max: 5}
  - {id: moan, event: moan, points: {fast: -4}, group: moods}
  - {id: shout, event: moan, points: {slow: -3, ever: -1}, once_per: [properties.n], max: 2, unset: [asked]}
  - {id: calm, event: use, set: {calm: 30h}, points: {fast: 2.5}, group: moods}
stages:
  - {id: new, owner: marketing}
  - {id: seen, owner: marketing, enter: "score.slow >= 5 || fact.calm", exit: "score.slow < 2 && !fact.calm"}
  - {id: warm, owner: marketing, enter: "score.slow >= 14 && score.fast >= 3", exit: "score.slow < 8", min_dwell: 6h}
  - {id: mixed, owner: sales, enter: "score.fast - score.slow >= 4", exit: "score.fast - score.slow < -1"}
  - {id: asked, owner: sales, enter: "fact.asked && sum('spend', properties.n, '2d') >= 1", exit: "!fact.asked", min_dwell: 1h}
  - {id: habit, owner: sales, enter: "days('daily', '4d') >= 3", exit: "count('daily', '4d') < 2"}
  - {id: calm, owner: robot, enter: "fact.calm && !fact.asked && score.fast < 1", exit: "!fact.calm", overrides: all}
"#;

fn model() -> Arc<Model> {
    static MODEL_ONCE: OnceLock<Arc<Model>> = OnceLock::new();
    Arc::clone(MODEL_ONCE.get_or_init(|| story::model(MODEL)))
}

/// One activity: minutes after the start, what, which number.
#[derive(Debug, Clone, Copy)]
struct Event {
    t_ms: i64,
    kind: u8,
    n: u8,
    lead: u8,
}

fn event(span_ms: i64) -> impl Strategy<Value = Event> {
    // Coarse instants make equal ones and edges of buckets likely, fine ones everything else.
    let instant = prop_oneof![(0..span_ms / HOUR_MS).prop_map(|h| h * HOUR_MS), 0..span_ms];
    (instant, 0..4_u8, 0..4_u8, 0..3_u8).prop_map(|(t_ms, kind, n, lead)| Event { t_ms, kind, n, lead })
}

fn events(span_ms: i64, most: usize) -> impl Strategy<Value = Vec<Event>> {
    prop::collection::vec(event(span_ms), 1..most)
}

fn step(number: usize, event: Event, arrival_ms: i64) -> Step {
    let lead = format!("user:{}", event.lead);
    let page = Page { path: Some(format!("/things/{}", event.n).into()), ..Page::default() };
    let activity = Activity {
        event_id: format!("event-{number}").into(),
        name: Text::from(["page_view", "ask", "use", "moan"][usize::from(event.kind)]),
        t_ms: START_MS + event.t_ms,
        arrival_ms,
        clamped: false,
        origin: Origin::Web,
        ids: vec![lead.clone().into()],
        session: None,
        page: (event.kind == 0).then_some(page),
        utm: None,
        properties: vec![Field {
            name: Text::from("n"),
            value: Value::Number { micros: i64::from(event.n) * 1_000_000 },
        }],
        traits: Vec::new(),
        input: Input { topic: Text::from("clicks"), partition: 0, offset: number as i64 },
    };
    Step { lead, at_ms: arrival_ms, arrival_ms, record: ActivityRecord::Activity(activity) }
}

fn tick(at_ms: i64) -> Step {
    let record = ActivityRecord::Tick(Tick { wall_ms: at_ms });
    Step { lead: String::new(), at_ms, arrival_ms: at_ms, record }
}

/// Applied in order of time, each arriving at its own instant.
fn in_order(mut events: Vec<Event>) -> Vec<Step> {
    events.sort_by_key(|event| event.t_ms);
    events.iter().enumerate().map(|(n, event)| step(n, *event, START_MS + event.t_ms)).collect()
}

fn run(steps: &[Step]) -> (Shard, Vec<Decision>) {
    let mut shard = story::shard(&model());
    let mut decisions = Vec::new();
    for step in steps {
        let _ = story::apply(&mut shard, step, &mut decisions);
        shard.commit();
    }
    (shard, decisions)
}

/// Scores of every lead at an instant.
fn scores(shard: &Shard, at_ms: i64) -> Vec<(String, Vec<i64>)> {
    let leads = (0..3).map(|lead| format!("user:{lead}"));
    let milli = |lead: &str| {
        let view = shard.lead(lead, at_ms).expect("readable")?;
        for score in &view.scores {
            assert_eq!(sum_of(&view.lines, &score.name), score.milli, "lines add up");
        }
        Some(view.scores.iter().map(|score| score.milli).collect())
    };
    leads.filter_map(|lead| milli(&lead).map(|milli| (lead, milli))).collect()
}

/// Committed bytes, clock and deadline: all that a partition is.
fn state(shard: &Shard) -> (BTreeMap<String, Vec<u8>>, Vec<u8>, Option<i64>) {
    let reader = LeadReader::new(model());
    let base = shard.base();
    let leads = base.iter().map(|entry| {
        let lead = reader.read(entry.value(), 0).expect("readable").expect("a lead").lead;
        (lead, entry.value().to_vec())
    });
    (leads.collect(), shard.meta(), shard.next_deadline())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn order_does_not_change_scores(events in events(9 * DAY_MS, 40), keys in prop::collection::vec(any::<u64>(), 40)) {
        let arrival_ms = START_MS + 9 * DAY_MS;
        let steps: Vec<Step> = events.iter().enumerate().map(|(n, event)| step(n, *event, arrival_ms)).collect();
        let mut shuffled: Vec<(u64, Step)> = keys.into_iter().zip(steps.iter().cloned()).collect();
        shuffled.sort_by_key(|(key, _)| *key);
        let shuffled: Vec<Step> = shuffled.into_iter().map(|(_, step)| step).collect();
        let (one, _) = run(&steps);
        let (other, _) = run(&shuffled);
        for later_ms in [0, HOUR_MS, 3 * DAY_MS, 40 * DAY_MS] {
            prop_assert_eq!(scores(&one, arrival_ms + later_ms), scores(&other, arrival_ms + later_ms));
        }
    }

    #[test]
    fn scores_are_what_the_definitions_say(events in events(20 * DAY_MS, 60)) {
        let steps = in_order(events);
        let (shard, _) = run(&steps);
        for later_ms in [0, 1, 5 * HOUR_MS, 4 * DAY_MS, 30 * DAY_MS] {
            let at_ms = shard.clock() + later_ms;
            for (lead, milli) in scores(&shard, at_ms) {
                let exact = reference::scores(&steps, &lead, at_ms);
                for ((milli, exact), roundings) in milli.iter().zip(exact).zip([2.0, 2.0, 1.0]) {
                    // Half a thousandth for each group, and what 64 bits leave over.
                    let off = (*milli as f64 - exact * 1_000.0).abs();
                    prop_assert!(off <= roundings * 0.5 + 1e-5, "{lead}: {milli} is not {exact}");
                }
            }
        }
    }

    #[test]
    fn deadlines_are_exact_however_often_the_clock_moves(events in events(6 * DAY_MS, 25), steps_ms in prop::collection::vec(1..9 * HOUR_MS, 40)) {
        let steps = in_order(events);
        let end = tick(START_MS + 300 * DAY_MS);
        let mut ticked: Vec<Step> = Vec::new();
        let mut at_ms = START_MS;
        let mut waits = steps_ms.iter().cycle();
        for step in &steps {
            while at_ms < step.arrival_ms {
                ticked.push(tick(at_ms));
                at_ms += waits.next().expect("endless");
            }
            ticked.push(step.clone());
        }
        for _ in 0..100 {
            ticked.push(tick(at_ms));
            at_ms += waits.next().expect("endless");
        }
        ticked.push(end.clone());
        let (_, some) = run(&[steps, vec![end]].concat());
        let (_, many) = run(&ticked);
        let told = |decisions: &[Decision]| -> Vec<Decision> {
            let mut told = decisions.to_vec();
            // Only `decided_at` follows the clock; leads are told apart, since a clock that moves seldom fires
            // later deadlines of one lead before earlier activities of another one are read.
            told.iter_mut().for_each(|decision| decision.decided_at_ms = 0);
            told.sort_by(|a, b| (&a.lead, a.born_ms, a.seq).cmp(&(&b.lead, b.born_ms, b.seq)));
            told
        };
        prop_assert_eq!(told(&some), told(&many));
    }

    #[test]
    fn the_announced_exit_is_the_first_millisecond(events in events(4 * DAY_MS, 25)) {
        let steps = in_order(events);
        let (mut shard, _) = run(&steps);
        for lead in ["user:0", "user:1", "user:2"] {
            let Some(view) = shard.lead(lead, shard.clock()).expect("readable") else { continue };
            let Some(exit_ms) = view.expected_exit_at_ms else { continue };
            let mut decisions = Vec::new();
            let _ = story::apply(&mut shard, &tick(exit_ms - 1), &mut decisions);
            decisions.retain(|decision| decision.lead == lead);
            // A stage that rises by itself may come in between; nothing else may.
            let overridden = decisions.iter().any(|decision| decision.stage == "calm") || view.stage == "calm";
            prop_assert!(decisions.is_empty() || overridden);
            let _ = story::apply(&mut shard, &tick(exit_ms), &mut decisions);
            decisions.retain(|decision| decision.lead == lead);
            if !overridden {
                prop_assert_eq!(decisions.first().map(|d| d.effective_at_ms), Some(exit_ms));
            }
            shard.abort();
        }
    }

    #[test]
    fn positive_scores_never_rise_by_themselves(events in events(4 * DAY_MS, 25), waits_ms in prop::collection::vec(0..8 * HOUR_MS, 60)) {
        let cheerful: Vec<Event> = events.into_iter().filter(|event| event.kind != 3).collect();
        let (shard, _) = run(&in_order(cheerful));
        let mut at_ms = shard.clock();
        let mut before = scores(&shard, at_ms);
        for wait_ms in waits_ms {
            at_ms += wait_ms;
            let now = scores(&shard, at_ms);
            for ((_, before), (_, now)) in before.iter().zip(&now) {
                prop_assert!(before.iter().zip(now).all(|(before, now)| now <= before));
            }
            before = now;
        }
    }

    #[test]
    fn an_abort_leaves_no_trace(events in events(30 * DAY_MS, 60), cuts in prop::collection::vec((1..6_usize, 0..6_usize), 20)) {
        let steps = in_order(events);
        let (calm, _) = run(&steps);
        let mut shard = story::shard(&model());
        let mut rest = steps.as_slice();
        for (size, aborted) in cuts.into_iter().cycle() {
            let before = state(&shard);
            for step in &rest[..aborted.min(rest.len())] {
                let _ = story::apply(&mut shard, step, &mut Vec::new());
            }
            shard.seal(&mut |_, _| {});
            shard.abort();
            prop_assert_eq!(state(&shard), before);
            let (batch, later) = rest.split_at(size.min(rest.len()));
            for step in batch {
                let _ = story::apply(&mut shard, step, &mut Vec::new());
            }
            shard.commit();
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(state(&shard), state(&calm));
    }

    #[test]
    fn whatever_is_expected_changes_nothing(
        events in events(30 * DAY_MS, 60),
        batches in prop::collection::vec((1..20_usize, prop::collection::vec(0..5_usize, 0..40)), 20),
    ) {
        let steps = in_order(events);
        let (calm, told) = run(&steps);
        let (mut shard, mut told_too) = (story::shard(&model()), Vec::new());
        let mut rest = steps.as_slice();
        for (size, mut leads) in batches.into_iter().cycle() {
            while !leads.is_empty() {
                let ids = leads.iter().map(|lead| ["user:0", "user:1", "user:2", "user:9", ""][*lead]);
                let taken = shard.expect(ids);
                prop_assert!(taken > 0);
                leads.drain(..taken);
            }
            let (batch, later) = rest.split_at(size.min(rest.len()));
            for step in batch {
                let _ = story::apply(&mut shard, step, &mut told_too);
            }
            shard.commit();
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(state(&shard), state(&calm));
        prop_assert_eq!(told_too, told);
    }

    #[test]
    fn a_restored_shard_goes_on_as_if_nothing_had_happened(events in events(30 * DAY_MS, 60), cut in 0..60_usize) {
        let steps = in_order(events);
        let (head, tail) = steps.split_at(cut.min(steps.len()));
        let (mut one, _) = run(head);
        let mut other = Shard::new();
        let (leads, meta, _) = state(&one);
        leads.iter().for_each(|(lead, bytes)| other.restore_lead(lead, bytes).expect("restored"));
        other.restore_meta(&meta).expect("restored");
        other.set_models(&[model()]).expect("the same model");
        // The one that went on may still hold timers that nobody waits for: their deadlines do not count.
        let leads_and_meta = |shard: &Shard| (state(shard).0, state(shard).1);
        prop_assert_eq!(leads_and_meta(&one), leads_and_meta(&other));
        let mut told = [Vec::new(), Vec::new()];
        for step in tail.iter().chain([&tick(START_MS + 90 * DAY_MS)]) {
            prop_assert_eq!(story::apply(&mut one, step, &mut told[0]), story::apply(&mut other, step, &mut told[1]));
            one.commit();
            other.commit();
        }
        prop_assert_eq!(&told[0], &told[1]);
        prop_assert_eq!(leads_and_meta(&one), leads_and_meta(&other));
    }

    #[test]
    fn a_budget_cuts_a_storm_into_pieces_and_changes_nothing(events in events(3 * DAY_MS, 25), room in 1..4_u32) {
        let steps = in_order(events);
        let end = tick(START_MS + 300 * DAY_MS);
        let (mut one, _) = run(&steps);
        let (mut other, _) = run(&steps);
        let (mut whole, mut pieces) = (Vec::new(), Vec::new());
        let _ = story::apply(&mut one, &end, &mut whole);
        one.commit();
        loop {
            let applied = other.apply("", &end.record, end.arrival_ms, &mut Budget::new(room), &mut pieces);
            other.commit();
            if applied.expect("a tick") != Applied::More {
                break;
            }
        }
        prop_assert_eq!(whole, pieces);
        prop_assert_eq!(state(&one), state(&other));
    }

    #[test]
    fn decisions_are_numbered_without_gaps(events in events(60 * DAY_MS, 60)) {
        let (_, decisions) = run(&[in_order(events), vec![tick(START_MS + 400 * DAY_MS)]].concat());
        let mut last: BTreeMap<(String, i64), (u64, String)> = BTreeMap::new();
        for decision in decisions {
            let ripen_records::Change::StageChange(change) = decision.change else { continue };
            let life = (decision.lead.clone(), decision.born_ms);
            let (seq, stage) = last.get(&life).cloned().unwrap_or((0, "new".to_owned()));
            prop_assert_eq!(decision.seq, seq + 1);
            prop_assert_eq!(change.from, stage);
            last.insert(life, (decision.seq, change.to));
        }
    }
}

/// Scores from lists of activities and real numbers, as the definitions put it.
mod reference {
    use super::*;

    type Counted = Vec<(i64, [u8; 8])>;

    /// (event time, canonical id, key) of every match.
    fn counted(matches: Vec<(i64, [u8; 8], String)>, max: usize) -> Counted {
        let mut newest: BTreeMap<String, (i64, [u8; 8])> = BTreeMap::new();
        for (t_ms, id, key) in matches {
            let held = newest.entry(key).or_insert((t_ms, id));
            *held = (*held).max((t_ms, id));
        }
        let mut counted: Counted = newest.into_values().collect();
        counted.sort_unstable_by(|a, b| b.cmp(a));
        counted.truncate(max);
        counted
    }

    fn decayed(counted: &Counted, at_ms: i64, half_life_ms: f64) -> f64 {
        counted.iter().map(|(t_ms, _)| (-((at_ms - t_ms) as f64) / half_life_ms).exp2()).sum()
    }

    /// fast, slow, ever.
    pub(super) fn scores(steps: &[Step], lead: &str, at_ms: i64) -> [f64; 3] {
        let matches = |name: &str, key: &dyn Fn(&Activity<'_>) -> String, max: usize| {
            let of_lead =
                steps.iter().filter(|step| step.lead == lead).filter_map(|step| match &step.record {
                    ActivityRecord::Activity(activity) if *activity.name == *name => Some(activity),
                    _ => None,
                });
            let found = of_lead.map(|activity| {
                let hash = blake3::hash(activity.event_id.as_bytes());
                let id = hash.as_bytes()[..8].try_into().expect("eight bytes");
                (activity.t_ms, id, key(activity))
            });
            counted(found.collect(), max)
        };
        let each = |activity: &Activity<'_>| activity.event_id.to_string();
        let n = |activity: &Activity<'_>| format!("{:?}", activity.properties[0].value);
        // Berlin in January is an hour ahead.
        let hour = |activity: &Activity<'_>| (activity.t_ms + HOUR_MS).div_euclid(HOUR_MS);
        let day = |activity: &Activity<'_>| (activity.t_ms + HOUR_MS).div_euclid(DAY_MS).to_string();
        let path = |activity: &Activity<'_>| {
            format!("{:?}", activity.page.as_ref().and_then(|page| page.path.as_ref()))
        };
        let look = matches("page_view", &path, 2);
        let any_page = matches("page_view", &each, usize::MAX);
        let ask = matches("ask", &|_| String::new(), 1);
        let topic = matches("ask", &n, 32);
        let daily = matches("use", &day, usize::MAX);
        let hourly = matches("use", &|a| format!("{} {}", hour(a), n(a)), 3);
        let spend = matches("use", &|a| format!("{} {}", day(a), n(a)), 5);
        let moan = matches("moan", &each, usize::MAX);
        let shout = matches("moan", &n, 2);
        let calm = matches("use", &each, usize::MAX);
        let fast = |counted: &Counted| decayed(counted, at_ms, 7.0 * HOUR_MS as f64);
        let slow = |counted: &Counted| decayed(counted, at_ms, 5.0 * DAY_MS as f64);
        let moods = (2.5 * fast(&calm) - 4.0 * fast(&moan)).clamp(-6.0, 30.0);
        let looking = (7.0 * slow(&look) + 4.0 * slow(&daily)).min(17.0);
        let fast =
            moods + 3.5 * fast(&look) + 1.25 * fast(&any_page) + 15.0 * fast(&ask) + 2.0 * fast(&hourly);
        let slow = looking + 20.001 * slow(&ask) - 3.0 * slow(&shout);
        let ever = 3.0 * topic.len() as f64 + 0.5 * spend.len() as f64 - shout.len() as f64;
        [fast.clamp(-20.0, 60.0), slow.clamp(0.0, 100.0), ever.clamp(-100.0, 100.0)]
    }
}
