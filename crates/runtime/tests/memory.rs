//! The worker over the log in memory: exactly once through aborts, unknown outcomes, fencing, crashes and
//! rebalances.

mod toy;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use ripen_runtime::memory::{
    Fault, FaultyLog, MemoryClient, MemoryLog, MemoryReader, MemoryTopic, partition_of,
};
use ripen_runtime::{
    Call, Clock, CommitInterval, ErrorClass, FirstStart, GroupEvent, Log, Outbox, OutboxLimits,
    PartitionState, PollLimits, RecordBatch, TimestampType, TopicPartition, Wait, Worker, WorkerConfig,
    WorkerError, run_until_idle,
};
use toy::{Counter, SECOND_MS, Topics, expected, feed, push};

const PARTITIONS: i32 = 4;

fn log(topics: &Topics) -> MemoryLog {
    MemoryLog::new(&[
        MemoryTopic::new(&topics.input, PARTITIONS),
        MemoryTopic::new(&topics.output, PARTITIONS),
        MemoryTopic::compacted(&topics.changelog, PARTITIONS),
        MemoryTopic::compacted(&topics.table, 1),
    ])
}

fn client(log: &MemoryLog, topics: &Topics, instance: &str) -> MemoryClient {
    log.client("counter", instance, &format!("tx-{instance}"), std::slice::from_ref(&topics.input))
}

fn config() -> WorkerConfig {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let id = format!("w{}", NEXT.fetch_add(1, Ordering::Relaxed));
    WorkerConfig { clock: Clock::Log, inputs: 7, ..WorkerConfig::new("counter", &id) }
}

fn worker(log: &MemoryLog, topics: &Topics, instance: &str) -> Worker<MemoryClient, Counter> {
    Worker::new(client(log, topics, instance), Counter::new(topics), config()).unwrap()
}

fn outputs(reader: &mut MemoryReader) -> Vec<String> {
    let mut batch = RecordBatch::new();
    reader.read(&mut batch, PollLimits { records: usize::MAX, bytes: usize::MAX });
    let mut texts: Vec<String> =
        batch.iter().map(|record| String::from_utf8(record.value.unwrap().to_vec()).unwrap()).collect();
    texts.sort();
    texts
}

#[test]
fn every_record_is_counted_once_and_offsets_move_with_the_state() {
    let topics = Topics::new("");
    let log = log(&topics);
    let mut reader = log.reader(&topics.output);
    let mut worker = worker(&log, &topics, "a");
    let keys: Vec<u8> = (0..200).map(|n| n % 13).collect();
    log.append(&feed(&topics, &keys, 1));
    run_until_idle(&mut [&mut worker], 0).unwrap();
    assert_eq!(outputs(&mut reader), expected(&keys));
    assert_eq!(worker.operator().total(), 200);
    assert!(worker.status().ready());
    assert_eq!(log.held(&topics.input), 0, "consumed records are dropped");
}

#[test]
fn every_record_is_expected_before_it_is_applied() {
    let topics = Topics::new("");
    for expects in [0, 1, 3, 7, 100] {
        let log = log(&topics);
        let mut counter = Counter::new(&topics);
        counter.expects = expects;
        let mut worker = Worker::new(client(&log, &topics, "a"), counter, config()).unwrap();
        log.append(&feed(&topics, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1], 1));
        run_until_idle(&mut [&mut worker], 0).unwrap();
        assert_eq!((worker.operator().total(), worker.operator().unexpected), (21, 0), "{expects} at once");
    }
}

#[test]
fn a_restarted_worker_goes_on_where_its_predecessor_committed() {
    let topics = Topics::new("");
    let log = log(&topics);
    let mut reader = log.reader(&topics.output);
    let keys: Vec<u8> = (0..100).map(|n| n % 5).collect();
    log.append(&feed(&topics, &keys, 1));
    let mut first = worker(&log, &topics, "a");
    for _ in 0..9 {
        first.step(0).unwrap();
    }
    assert!((1..100).contains(&first.operator().total()), "killed in the middle");
    drop(first);
    let mut second = worker(&log, &topics, "a");
    run_until_idle(&mut [&mut second], 0).unwrap();
    assert_eq!(outputs(&mut reader), expected(&keys));
    assert!(second.operator().restored_with_meta > 0);
}

#[test]
fn expired_offsets_are_replaced_by_the_changelogs_meta_record() {
    let topics = Topics::new("");
    let log = log(&topics);
    let mut reader = log.reader(&topics.output);
    let keys: Vec<u8> = (0..50).map(|n| n % 5).collect();
    log.append(&feed(&topics, &keys, 1));
    let mut first = worker(&log, &topics, "a");
    run_until_idle(&mut [&mut first], 0).unwrap();
    first.log_mut().expire_offsets();
    drop(first);
    let mut second = worker(&log, &topics, "a");
    run_until_idle(&mut [&mut second], 0).unwrap();
    assert_eq!(outputs(&mut reader), expected(&keys));
}

/// What stops the partition of `k1` when a worker of `application` starts.
fn stopped(log: &MemoryLog, topics: &Topics, application: &str) -> String {
    let config = WorkerConfig { application: application.to_owned(), ..config() };
    let mut worker = Worker::new(client(log, topics, "a"), Counter::new(topics), config).unwrap();
    run_until_idle(&mut [&mut worker], 0).unwrap();
    let at = TopicPartition::new(topics.input.as_str(), partition_of(b"k1", PARTITIONS));
    let status = worker.status();
    let partition = status.partitions.iter().find(|partition| partition.at == at).unwrap();
    let PartitionState::Blocked(blocked) = &partition.state else { panic!("{partition:?}") };
    blocked.to_string()
}

#[test]
fn a_topic_that_was_made_anew_stops_the_partition() {
    const HOUR_MS: i64 = 3_600_000;
    let topics = Topics::new("");
    for (records, part) in [
        (0, "next offset 3 of in[1] is outside the log, which holds 0 to 0"),
        (5, "the topic has later ones from offset 0 on: it was made anew; `ripen reset scorer`"),
    ] {
        let log = log(&topics);
        log.append(&feed(&topics, &[1, 1, 1], HOUR_MS));
        let mut first = worker(&log, &topics, "a");
        run_until_idle(&mut [&mut first], 0).unwrap();
        drop(first);
        log.remake(&topics.input);
        log.append(&feed(&topics, &vec![1; records], 2 * HOUR_MS));
        let stopped = stopped(&log, &topics, "counter");
        assert!(stopped.contains(part), "{stopped}");
    }
}

#[test]
fn the_state_of_another_application_is_refused() {
    let topics = Topics::new("");
    let log = log(&topics);
    log.append(&feed(&topics, &[1], 1));
    let mut first = worker(&log, &topics, "a");
    run_until_idle(&mut [&mut first], 0).unwrap();
    drop(first);
    let stopped = stopped(&log, &topics, "another");
    assert!(stopped.contains("has the state of application counter, this is another"), "{stopped}");
}

#[test]
fn state_and_offsets_that_disagree_stop_the_partition() {
    let topics = Topics::new("");
    let log = log(&topics);
    log.append(&feed(&topics, &[1, 1, 1], 1));
    let mut first = worker(&log, &topics, "a");
    run_until_idle(&mut [&mut first], 0).unwrap();
    drop(first);
    let mut stranger = client(&log, &topics, "a");
    let at = TopicPartition::new(topics.input.as_str(), partition_of(b"k1", PARTITIONS));
    stranger.begin().unwrap();
    stranger.send_offsets_of_nobody(&[(at.clone(), 1)], "someone").unwrap();
    stranger.commit().unwrap();
    drop(stranger);
    let mut second = worker(&log, &topics, "a");
    run_until_idle(&mut [&mut second], 0).unwrap();
    let status = second.status();
    let stopped = status.partitions.iter().find(|partition| partition.at == at).unwrap();
    let PartitionState::Blocked(blocked) = &stopped.state else { panic!("{stopped:?}") };
    assert!(blocked.to_string().contains("committed offset 1 of in["), "{blocked}");
    assert!(blocked.advice.contains("reset"));
}

#[test]
fn a_replaced_member_ends_and_commits_nothing() {
    let topics = Topics::new("");
    let log = log(&topics);
    let mut reader = log.reader(&topics.output);
    let mut zombie = worker(&log, &topics, "a");
    run_until_idle(&mut [&mut zombie], 0).unwrap();
    let mut heir = worker(&log, &topics, "a");
    let keys = [1, 2, 3, 1];
    log.append(&feed(&topics, &keys, 1));
    assert!(matches!(zombie.step(0), Err(WorkerError::Fenced { .. })));
    run_until_idle(&mut [&mut heir], 0).unwrap();
    assert_eq!(outputs(&mut reader), expected(&keys));
}

#[test]
fn a_first_start_at_the_latest_record_is_kept_across_aborts_and_restarts() {
    let topics = Topics::new("");
    let log = log(&topics);
    let mut reader = log.reader(&topics.output);
    log.append(&feed(&topics, &[1, 2, 3, 4], 1));
    let mut aborts = 3;
    let some = move |_, call| {
        let aborts_now = call == Call::Commit && aborts > 0;
        aborts -= i32::from(aborts_now);
        aborts_now.then_some(Fault { class: ErrorClass::Abortable, takes_effect: false })
    };
    let stateless = || {
        let mut counter = Counter::new(&topics);
        counter.stateless = true;
        counter
    };
    let latest = || WorkerConfig { first_start: FirstStart::Latest, ..config() };
    let faulty = FaultyLog::new(client(&log, &topics, "a"), some);
    let mut first = Worker::new(faulty, stateless(), latest()).unwrap();
    run_until_idle(&mut [&mut first], 0).unwrap();
    drop(first);
    log.append(&feed(&topics, &[5, 6, 7, 8], 1));
    let mut second = Worker::new(client(&log, &topics, "a"), stateless(), latest()).unwrap();
    run_until_idle(&mut [&mut second], 0).unwrap();
    assert_eq!(outputs(&mut reader), ["k5=1", "k6=1", "k7=1", "k8=1"]);
}

#[test]
fn an_aborted_transaction_is_never_seen() {
    let topics = Topics::new("");
    let log = log(&topics);
    let mut reader = log.reader(&topics.output);
    let mut member = client(&log, &topics, "a");
    let mut out = Outbox::default();
    push(&mut out, &topics.output, "k1", "aborted", 1);
    member.begin().unwrap();
    member.produce(&out).unwrap();
    member.abort().unwrap();
    assert!(member.commit().is_err(), "nothing is left to commit");
    member.begin().unwrap();
    member.produce(&out).unwrap();
    member.recreate().unwrap();
    assert!(member.commit().is_err(), "a new producer has no transaction");
    assert_eq!(outputs(&mut reader), Vec::<String>::new());
}

/// A member with an open transaction: one record of output, and offset 7 of the input's first partition.
fn open_transaction(log: &MemoryLog, topics: &Topics, at: &TopicPartition) -> MemoryClient {
    let mut member = client(log, topics, "a");
    let mut out = Outbox::default();
    push(&mut out, &topics.output, "k1", "first", 1);
    member.poll(&mut RecordBatch::new(), PollLimits { records: 1, bytes: 1 }, &[]).unwrap();
    member.begin().unwrap();
    member.produce(&out).unwrap();
    member.send_offsets(&[(at.clone(), 7)], "m:1").unwrap();
    member
}

fn committed(member: &mut MemoryClient, at: &TopicPartition) -> Result<Option<i64>, ErrorClass> {
    let answer = member.committed(std::slice::from_ref(at)).map_err(|error| error.class)?;
    Ok(answer[0].as_ref().map(|committed| committed.offset))
}

#[test]
fn readers_wait_for_an_undecided_transaction_and_so_do_its_offsets() {
    let topics = Topics::new("");
    let log = log(&topics);
    let mut reader = log.reader(&topics.output);
    let at = TopicPartition::new(topics.input.as_str(), 0);
    let output = TopicPartition::new(topics.output.as_str(), partition_of(b"k1", PARTITIONS));
    let mut owner = open_transaction(&log, &topics, &at);
    let mut later = Outbox::default();
    push(&mut later, &topics.output, "k1", "later", 1);
    log.append(&later);
    let mut other = client(&log, &topics, "b");
    assert_eq!(outputs(&mut reader), Vec::<String>::new());
    assert_eq!((other.watermarks(&output).unwrap().1, other.stable_end(&output).unwrap()), (2, 0));
    assert_eq!(committed(&mut other, &at), Err(ErrorClass::Retriable));
    log.hold_marks();
    owner.commit().unwrap();
    assert_eq!(committed(&mut other, &at), Err(ErrorClass::Retriable), "decided, and not yet told");
    assert_eq!(log.missing_marks(), 2);
    while log.write_mark(1) {}
    assert_eq!(outputs(&mut reader), ["first", "later"]);
    assert_eq!(committed(&mut other, &at), Ok(Some(7)));
}

#[test]
fn an_end_that_arrives_late_counts_unless_its_producer_was_fenced() {
    for fenced in [false, true] {
        let topics = Topics::new("");
        let log = log(&topics);
        let mut reader = log.reader(&topics.output);
        let at = TopicPartition::new(topics.input.as_str(), 0);
        let mut owner = open_transaction(&log, &topics, &at);
        let request = owner.end_request(true);
        if fenced {
            log.set_now_ms(10 * SECOND_MS + 1);
            assert_eq!(log.time_out_transactions(10 * SECOND_MS), 1);
            assert_eq!(owner.commit().map_err(|error| error.class), Err(ErrorClass::Fatal));
        }
        assert_eq!(log.end(&request), !fenced);
        assert_eq!(committed(&mut owner, &at), Ok((!fenced).then_some(7)));
        assert_eq!(outputs(&mut reader).is_empty(), fenced);
    }
}

#[test]
fn a_removed_member_commits_nothing_until_it_has_joined_again() {
    let topics = Topics::new("");
    let log = log(&topics);
    let at = TopicPartition::new(topics.input.as_str(), 0);
    let mut sleeper = open_transaction(&log, &topics, &at);
    sleeper.abort().unwrap();
    assert!(log.remove_member("counter", "a"));
    sleeper.begin().unwrap();
    let refused = sleeper.send_offsets(&[(at.clone(), 8)], "m:2").map_err(|error| error.class);
    assert_eq!((refused, sleeper.assignment_lost()), (Err(ErrorClass::Abortable), true));
    sleeper.abort().unwrap();
    let mut seen = Vec::new();
    for _ in 0..3 {
        sleeper.poll(&mut RecordBatch::new(), PollLimits { records: 1, bytes: 1 }, &[]).unwrap();
        while let Some(event) = sleeper.next_event() {
            match event {
                GroupEvent::Lost(list) => {
                    seen.push(("lost", list.len()));
                    sleeper.release(&list).unwrap();
                }
                GroupEvent::Assigned(list) => seen.push(("assigned", list.len())),
                GroupEvent::Revoked(list) => seen.push(("revoked", list.len())),
            }
        }
    }
    assert_eq!(seen, [("lost", 4), ("assigned", 4)]);
    sleeper.begin().unwrap();
    sleeper.send_offsets(&[(at.clone(), 8)], "m:3").unwrap();
    sleeper.commit().unwrap();
    assert_eq!(committed(&mut sleeper, &at), Ok(Some(8)));
}

#[test]
fn partitions_move_between_members_without_loss() {
    let topics = Topics::new("");
    let log = log(&topics);
    let mut reader = log.reader(&topics.output);
    let mut a = worker(&log, &topics, "a");
    let keys: Vec<u8> = (0..60).map(|n| n % 11).collect();
    log.append(&feed(&topics, &keys[..30], 1));
    for _ in 0..6 {
        a.step(0).unwrap();
    }
    let mut b = worker(&log, &topics, "b");
    log.append(&feed(&topics, &keys[30..], 1));
    run_until_idle(&mut [&mut a, &mut b], 0).unwrap();
    assert_eq!(a.status().partitions.len(), 2);
    assert_eq!(b.status().partitions.len(), 2);
    drop(a);
    run_until_idle(&mut [&mut b], 0).unwrap();
    assert_eq!(b.status().partitions.len(), 4);
    assert_eq!(b.operator().total(), 60);
    assert_eq!(outputs(&mut reader), expected(&keys));
}

#[test]
fn a_storm_of_deadlines_is_cut_and_fires_each_once() {
    let topics = Topics::new("");
    let log = log(&topics);
    let mut reader = log.reader(&topics.output);
    let limits = OutboxLimits { records: 10, bytes: usize::MAX };
    let config = WorkerConfig { outbox: limits, inputs: 1_000, ..config() };
    let mut worker = Worker::new(client(&log, &topics, "a"), Counter::new(&topics), config).unwrap();
    let mut out = Outbox::default();
    for key in 0..250 {
        push(&mut out, &topics.input, &format!("k{key}"), "until:1000", 1);
    }
    for key in 0..PARTITIONS * 20 {
        push(&mut out, &topics.input, &format!("k{key}"), "", 2_000);
    }
    log.append(&out);
    run_until_idle(&mut [&mut worker], 0).unwrap();
    let fired: Vec<String> = outputs(&mut reader).into_iter().filter(|text| text.contains('!')).collect();
    let mut expected: Vec<String> = (0..250).map(|key| format!("k{key}!1000")).collect();
    expected.sort();
    assert_eq!(fired, expected);
    assert!(worker.status().transactions >= 25 + 25, "{} transactions", worker.status().transactions);
}

#[test]
fn a_blocked_partition_waits_for_the_table_and_others_go_on() {
    let topics = Topics::new("");
    let log = log(&topics);
    let mut reader = log.reader(&topics.output);
    let mut counter = Counter::new(&topics);
    counter.needs_table = true;
    let mut worker = Worker::new(client(&log, &topics, "a"), counter, config()).unwrap();
    let partition = |key: u8| partition_of(format!("k{key}").as_bytes(), PARTITIONS);
    let other = (2u8..).find(|key| partition(*key) != partition(1)).unwrap();
    let mut out = Outbox::default();
    push(&mut out, &topics.input, "k1", "", 1);
    push(&mut out, &topics.input, "k1", "word:x", 1);
    push(&mut out, &topics.input, "k1", "", 1);
    push(&mut out, &topics.input, &format!("k{other}"), "", 1);
    log.append(&out);
    run_until_idle(&mut [&mut worker], 0).unwrap();
    assert_eq!(outputs(&mut reader), ["k1=1".to_owned(), format!("k{other}=1")]);
    assert!(!worker.status().ready());
    log.append(&feed(&topics, &[1, other], 1));
    run_until_idle(&mut [&mut worker], 0).unwrap();
    assert_eq!(outputs(&mut reader), [format!("k{other}=2")]);
    let mut table = Outbox::default();
    push(&mut table, &topics.table, "x", "", 1);
    log.append(&table);
    run_until_idle(&mut [&mut worker], 0).unwrap();
    assert_eq!(outputs(&mut reader), ["k1=2", "k1=3", "k1=4"]);
    assert!(worker.status().ready());
}

#[test]
fn deadlines_that_fired_before_a_block_fire_once_across_a_restart() {
    let topics = Topics::new("");
    let log = log(&topics);
    let mut reader = log.reader(&topics.output);
    let mut out = Outbox::default();
    push(&mut out, &topics.input, "k1", "until:1000", 1);
    push(&mut out, &topics.input, "k1", "late:x", 2_000);
    log.append(&out);
    for _ in 0..2 {
        let mut counter = Counter::new(&topics);
        counter.needs_table = true;
        let mut worker = Worker::new(client(&log, &topics, "a"), counter, config()).unwrap();
        run_until_idle(&mut [&mut worker], 0).unwrap();
        assert!(!worker.status().ready());
    }
    assert_eq!(outputs(&mut reader), ["k1!1000", "k1=1"]);
}

#[test]
fn the_gauge_of_blocked_partitions_follows_holds() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let blocked = |count: u8| {
        let line = format!("ripen_partitions_blocked{{service=\"counter\",worker=\"0\"}} {count}");
        recorder.handle().render().contains(&line)
    };
    metrics::with_local_recorder(&recorder, || {
        let topics = Topics::new("");
        let log = log(&topics);
        let mut counter = Counter::new(&topics);
        counter.needs_table = true;
        let mut worker = Worker::new(client(&log, &topics, "a"), counter, config()).unwrap();
        run_until_idle(&mut [&mut worker], 0).unwrap();
        assert!(blocked(0));
        let mut out = Outbox::default();
        push(&mut out, &topics.input, "k1", "word:x", 1);
        log.append(&out);
        run_until_idle(&mut [&mut worker], 0).unwrap();
        assert!(blocked(1));
        let mut table = Outbox::default();
        push(&mut table, &topics.table, "x", "", 1);
        log.append(&table);
        run_until_idle(&mut [&mut worker], 0).unwrap();
        assert!(blocked(0));
    });
}

/// A worker on the wall clock, over topics whose time is the log's.
fn clocked() -> (Topics, MemoryLog, Worker<MemoryClient, Counter>) {
    let topics = Topics::new("");
    let log = log(&topics);
    let input =
        MemoryTopic { timestamps: TimestampType::LogAppendTime, ..MemoryTopic::new("in2", PARTITIONS) };
    log.create(&input);
    let topics = Topics { input: input.name, ..topics };
    let config = WorkerConfig { clock: Clock::Wall, ..config() };
    let worker = Worker::new(client(&log, &topics, "a"), Counter::new(&topics), config).unwrap();
    (topics, log, worker)
}

#[test]
fn a_tick_is_written_when_a_deadline_passes_and_only_then() {
    let (topics, log, mut worker) = clocked();
    let mut reader = log.reader(&topics.output);
    let mut inputs = log.reader(&topics.input);
    let mut out = Outbox::default();
    push(&mut out, &topics.input, "k1", "until:30500", 0);
    log.set_now_ms(10 * SECOND_MS);
    log.append(&out);
    run_until_idle(&mut [&mut worker], 10 * SECOND_MS).unwrap();
    assert_eq!(worker.step(10 * SECOND_MS).unwrap(), Wait::Until(30_500));
    log.set_now_ms(30_499);
    run_until_idle(&mut [&mut worker], 30_499).unwrap();
    assert_eq!(outputs(&mut reader), ["k1=1"]);
    log.set_now_ms(30_500);
    run_until_idle(&mut [&mut worker], 30_500).unwrap();
    assert_eq!(outputs(&mut reader), ["k1!30500"]);
    assert_eq!(outputs(&mut inputs), ["tick", "until:30500"]);
}

#[test]
fn an_idle_partition_gets_a_tick_a_minute() {
    let (topics, log, mut worker) = clocked();
    let mut inputs = log.reader(&topics.input);
    for second in 0..=150 {
        log.set_now_ms(second * SECOND_MS);
        run_until_idle(&mut [&mut worker], second * SECOND_MS).unwrap();
    }
    assert_eq!(outputs(&mut inputs).len(), 2 * PARTITIONS as usize);
}

#[test]
fn a_record_from_the_future_is_held_back_until_its_time() {
    let (topics, log, mut worker) = clocked();
    let mut reader = log.reader(&topics.output);
    log.set_now_ms(100 * SECOND_MS);
    log.append(&feed(&topics, &[1], 0));
    run_until_idle(&mut [&mut worker], 0).unwrap();
    assert_eq!(outputs(&mut reader), Vec::<String>::new());
    assert!(!worker.status().ready());
    assert_eq!(worker.step(0).unwrap(), Wait::Until(40 * SECOND_MS));
    run_until_idle(&mut [&mut worker], 40 * SECOND_MS).unwrap();
    assert_eq!(outputs(&mut reader), ["k1=1"]);
    assert!(worker.status().ready());
}

#[test]
fn a_fixed_interval_collects_records_of_several_steps() {
    let topics = Topics::new("");
    let log = log(&topics);
    let config = WorkerConfig { commit: CommitInterval::FixedMs(50), inputs: 1_000, ..config() };
    let mut worker = Worker::new(client(&log, &topics, "a"), Counter::new(&topics), config).unwrap();
    for now_ms in [0, 10, 20, 40] {
        log.append(&feed(&topics, &[1, 2], 1));
        run_until_idle(&mut [&mut worker], now_ms).unwrap();
        assert_eq!(worker.operator().total(), 0);
    }
    assert_eq!(worker.step(40).unwrap(), Wait::Until(50));
    run_until_idle(&mut [&mut worker], 50).unwrap();
    assert_eq!(worker.operator().total(), 8);
    assert_eq!(worker.status().transactions, 1);
}

#[test]
fn a_worker_that_needs_a_new_producer_too_often_ends() {
    let topics = Topics::new("");
    let log = log(&topics);
    let always =
        |_, call| (call == Call::Commit).then_some(Fault { class: ErrorClass::Unknown, takes_effect: false });
    let client = FaultyLog::new(client(&log, &topics, "a"), always);
    let mut worker = Worker::new(client, Counter::new(&topics), config()).unwrap();
    log.append(&feed(&topics, &[1], 1));
    let error = run_until_idle(&mut [&mut worker], 0).unwrap_err();
    assert!(matches!(error, WorkerError::Unstable { count: 5, .. }), "{error}");
}

/// New producers while each of ten transactions is slow in this call.
fn new_producers(slow: Call) -> usize {
    let topics = Topics::new("");
    let log = log(&topics);
    let clock = log.clone();
    let mut now_ms = 0;
    let recreated = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&recreated);
    let plan = move |_, call| {
        if call == slow {
            now_ms += 2_500;
            clock.set_now_ms(now_ms);
        }
        counted.fetch_add(u64::from(call == Call::Recreate), Ordering::Relaxed);
        None
    };
    let client = FaultyLog::new(client(&log, &topics, "a"), plan);
    let mut worker = Worker::new(client, Counter::new(&topics), config()).unwrap();
    for n in 0..10 {
        log.append(&feed(&topics, &[1], 1));
        // All within the window of the limit: that a producer was unsteady does not count.
        run_until_idle(&mut [&mut worker], n * 1_000).unwrap();
    }
    assert_eq!(worker.operator().total(), 10);
    recreated.load(Ordering::Relaxed) as usize
}

#[test]
fn only_slow_offsets_or_a_slow_commit_need_a_new_producer_not_a_slow_delivery() {
    assert_eq!(new_producers(Call::Produce), 0);
    assert_eq!(new_producers(Call::SendOffsets), 10);
    assert_eq!(new_producers(Call::Commit), 10);
}

/// Whatever an aborted transaction has left under way must not meet the next one.
#[test]
fn the_producer_of_an_aborted_transaction_does_not_go_on() {
    for at in [Call::Produce, Call::SendOffsets, Call::Commit] {
        let topics = Topics::new("");
        let log = log(&topics);
        let calls = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&calls);
        let mut aborts = 20;
        let plan = move |_, call| {
            noted.lock().unwrap().push(call);
            let fails = call == at && aborts > 0;
            aborts -= i32::from(fails);
            fails.then_some(Fault { class: ErrorClass::Abortable, takes_effect: false })
        };
        let client = FaultyLog::new(client(&log, &topics, "a"), plan);
        let mut worker = Worker::new(client, Counter::new(&topics), config()).unwrap();
        log.append(&feed(&topics, &[1], 1));
        run_until_idle(&mut [&mut worker], 0).unwrap();
        assert_eq!(worker.operator().total(), 1, "{at:?}: it has not ended, however many were aborted");
        let calls = calls.lock().unwrap();
        let replaced = calls.iter().filter(|call| **call == Call::Recreate).count();
        assert_eq!(replaced, 20, "{at:?}");
        let begins = calls.windows(2).filter(|pair| pair[1] == Call::Begin && pair[0] != Call::Recreate);
        assert_eq!(begins.count(), 1, "the first alone; {at:?}: {calls:?}");
    }
}

#[test]
fn a_group_that_does_not_answer_ends_the_worker_within_the_limit() {
    let topics = Topics::new("");
    let log = log(&topics);
    let clock = log.clone();
    let (mut now_ms, mut sent) = (0, false);
    let plan = move |_, call| {
        let class = match call {
            Call::Commit => ErrorClass::Unknown,
            Call::Committed if sent => ErrorClass::Retriable,
            _ => return None,
        };
        sent = true;
        now_ms += 5_000;
        clock.set_now_ms(now_ms);
        Some(Fault { class, takes_effect: false })
    };
    let client = FaultyLog::new(client(&log, &topics, "a"), plan);
    let mut worker = Worker::new(client, Counter::new(&topics), config()).unwrap();
    log.append(&feed(&topics, &[1], 1));
    run_until_idle(&mut [&mut worker], 0).unwrap_err();
    assert!(worker.log_mut().now_ms() <= 20_000, "{} ms", worker.log_mut().now_ms());
}

/// Memory under a downstream that takes nothing is the batch in hand: no more is read before it is committed.
#[test]
fn a_stalled_downstream_stops_the_reading() {
    let topics = Topics::new("");
    let log = log(&topics);
    let mut reader = log.reader(&topics.output);
    let keys: Vec<u8> = (0..200).collect();
    log.append(&feed(&topics, &keys, 1));
    let stalled = Fault { class: ErrorClass::Abortable, takes_effect: false };
    let plan = move |calls, call| (call == Call::Produce && calls < 1_000).then_some(stalled);
    let faulty = FaultyLog::new(client(&log, &topics, "a"), plan);
    let mut worker = Worker::new(faulty, Counter::new(&topics), config()).unwrap();
    while worker.log_mut().calls() < 1_000 {
        worker.step(0).unwrap();
        assert!(worker.log_mut().polled() <= 7, "{} records read", worker.log_mut().polled());
    }
    assert!(worker.status().aborts.in_a_row > 100);
    run_until_idle(&mut [&mut worker], 0).unwrap();
    assert_eq!(outputs(&mut reader), expected(&keys));
    assert_eq!(worker.status().aborts.in_a_row, 0);
}

#[test]
fn a_worker_whose_every_transaction_is_aborted_ends() {
    let topics = Topics::new("");
    let log = log(&topics);
    let always = |_, call| {
        (call == Call::SendOffsets).then_some(Fault { class: ErrorClass::Abortable, takes_effect: false })
    };
    let client = FaultyLog::new(client(&log, &topics, "a"), always);
    let mut worker = Worker::new(client, Counter::new(&topics), config()).unwrap();
    log.append(&feed(&topics, &[1], 1));
    let error = run_until_idle(&mut [&mut worker], 0).unwrap_err();
    assert!(matches!(error, WorkerError::Stuck { .. }), "{error}");
    assert_eq!(worker.operator().total(), 0);
}

#[test]
fn missing_and_unequal_topics_are_named() {
    let topics = Topics::new("");
    let bare = MemoryLog::new(&[MemoryTopic::new(&topics.input, 4), MemoryTopic::new(&topics.output, 1)]);
    let open = |log: &MemoryLog| {
        Worker::new(client(log, &topics, "a"), Counter::new(&topics), config())
            .map(|_| ())
            .unwrap_err()
            .to_string()
    };
    assert_eq!(open(&bare), "counter: topic counts does not exist; `ripen topics apply` makes it");
    bare.create(&MemoryTopic::compacted(&topics.changelog, 3));
    assert_eq!(
        open(&bare),
        "counter: topic counts has 3 partitions, in has 4; `ripen topics apply` makes it"
    );
}

/// The fault of a run: which call, how.
type Plan = Arc<Mutex<Vec<(u64, Fault)>>>;

/// Feeds `keys`, makes the planned calls fail, restarts the worker when it ends, until all is done; answers
/// the outputs.
fn run_with_faults(keys: &[u8], faults: Vec<(u64, Fault)>, crashes: &[u64]) -> Vec<String> {
    let topics = Topics::new("");
    let log = log(&topics);
    let mut reader = log.reader(&topics.output);
    let plan: Plan = Arc::new(Mutex::new(faults));
    let calls = Arc::new(AtomicU64::new(0));
    let start = |crashed: &Arc<Mutex<Option<u64>>>| {
        let (plan, calls, crashed) = (Arc::clone(&plan), Arc::clone(&calls), Arc::clone(crashed));
        let faults = move |_, _| {
            let call = calls.fetch_add(1, Ordering::Relaxed);
            // A crash after a call looks, to everybody else, as if the process had died in it.
            if crashed.lock().unwrap().is_some_and(|at| call >= at) {
                return Some(Fault { class: ErrorClass::Fenced, takes_effect: call % 2 == 0 });
            }
            let mut plan = plan.lock().unwrap();
            let found = plan.iter().position(|(at, _)| *at == call)?;
            Some(plan.remove(found).1)
        };
        let client = FaultyLog::new(client(&log, &topics, "a"), faults);
        Worker::new(client, Counter::new(&topics), config()).unwrap()
    };
    log.append(&feed(&topics, keys, 1));
    for crash in crashes.iter().map(|at| Some(calls.load(Ordering::Relaxed) + at)).chain([None]) {
        let crashed = Arc::new(Mutex::new(crash));
        for now_ms in 0..20 {
            let mut worker = start(&crashed);
            // Ten minutes apart: planned faults must not add up to "too often".
            match run_until_idle(&mut [&mut worker], now_ms * 700_000) {
                Ok(()) => break,
                Err(_) => *crashed.lock().unwrap() = None,
            }
        }
    }
    outputs(&mut reader)
}

fn fault() -> impl Strategy<Value = Fault> {
    let class = prop_oneof![
        Just(ErrorClass::Retriable),
        Just(ErrorClass::Abortable),
        Just(ErrorClass::Fatal),
        Just(ErrorClass::Unknown),
    ];
    // Only an unknown outcome may hide an effect; the other classes say that there was none.
    (class, any::<bool>()).prop_map(|(class, takes_effect)| Fault {
        class,
        takes_effect: takes_effect && class == ErrorClass::Unknown,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn faults_and_crashes_change_no_output(
        keys in proptest::collection::vec(0u8..9, 1..60),
        faults in proptest::collection::vec((0u64..60, fault()), 0..6),
        crashes in proptest::collection::vec(0u64..25, 0..4),
    ) {
        prop_assert_eq!(run_with_faults(&keys, faults, &crashes), expected(&keys));
    }
}
