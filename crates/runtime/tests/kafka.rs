//! The worker on a real broker: exactly once across a death in the middle of a batch, restore, ticks,
//! fencing, topics.

mod toy;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ripen_harness::{
    Broker, BrokerOptions, INIT_PRODUCER_ID, JOIN_GROUP, METADATA, Mischief, Proxy, Rule, SYNC_GROUP,
    TXN_OFFSET_COMMIT, shared_broker, topic_prefix,
};
use ripen_runtime::kafka::admin::{self, Finding, TopicSpec};
use ripen_runtime::kafka::{KafkaConfig, KafkaLog, MemberConfig, wall_clock_ms};
use ripen_runtime::memory::{FaultyLog, partition_of};
use ripen_runtime::{
    Call, Clock, GroupEvent, Log, LogError, Outbox, PartitionState, PollLimits, RecordBatch, TopicPartition,
    Wait, Worker, WorkerConfig, WorkerError, shell,
};
use toy::{Counter, Topics, expected, feed, push};

const PARTITIONS: i32 = 4;
const LIMIT: Duration = Duration::from_secs(60);
/// Serves the group, takes no record.
const NOTHING: PollLimits = PollLimits { records: 0, bytes: 0 };

fn kafka() -> KafkaConfig {
    KafkaConfig { bootstrap: shared_broker().bootstrap(), ..KafkaConfig::default() }
}

fn specs(topics: &Topics) -> Vec<TopicSpec> {
    let spec = |name: &str, partitions, settings: &[(&str, &str)]| TopicSpec {
        name: name.to_owned(),
        partitions,
        replication: None,
        settings: settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
    };
    vec![
        spec(&topics.input, PARTITIONS, &[("message.timestamp.type", "LogAppendTime")]),
        spec(&topics.output, PARTITIONS, &[]),
        spec(&topics.changelog, PARTITIONS, &[("cleanup.policy", "compact")]),
        spec(&topics.table, 1, &[("cleanup.policy", "compact")]),
    ]
}

fn made(name: &str) -> Topics {
    let topics = Topics::new(&topic_prefix(name));
    admin::apply(&kafka(), &specs(&topics)).unwrap();
    topics
}

fn identity(topics: &Topics, instance: &str) -> MemberConfig {
    MemberConfig {
        group: format!("{}group", topics.input),
        instance: instance.to_owned(),
        transactional_id: format!("{}-{instance}", topics.input),
        inputs: vec![topics.input.clone()],
        ..MemberConfig::default()
    }
}

fn worker(topics: &Topics, instance: &str) -> Worker<KafkaLog, Counter> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let id = format!("w{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let config = WorkerConfig { clock: Clock::Log, inputs: 50, ..WorkerConfig::new("counter", &id) };
    let log = KafkaLog::connect(&kafka(), &identity(topics, instance)).unwrap();
    Worker::new(log, Counter::new(topics), config).unwrap()
}

/// Steps until `done`, which has to come within the limit.
fn step_until<L: Log>(
    worker: &mut Worker<L, Counter>,
    what: &str,
    done: impl Fn(&Worker<L, Counter>) -> bool,
) {
    let deadline = Instant::now() + LIMIT;
    while !done(worker) {
        assert!(Instant::now() < deadline, "no {what}: {:?}", worker.status());
        if worker.step(wall_clock_ms()).unwrap() != Wait::Now {
            worker.log_mut().wait(Duration::from_millis(20));
        }
    }
}

fn append(topics: &Topics, out: &Outbox) {
    append_by(&kafka(), &format!("{}-feed", topics.input), out).unwrap();
}

/// Appends as somebody who is no worker.
fn append_by(kafka: &KafkaConfig, id: &str, out: &Outbox) -> Result<(), LogError> {
    let identity =
        MemberConfig { group: id.to_owned(), transactional_id: id.to_owned(), ..MemberConfig::default() };
    KafkaLog::connect(kafka, &identity)?.append(out)
}

/// Everything in a topic, read-committed, sorted.
fn contents(topics: &Topics, topic: &str) -> Vec<String> {
    contents_of(&kafka(), topics, topic)
}

fn contents_of(kafka: &KafkaConfig, topics: &Topics, topic: &str) -> Vec<String> {
    let identity = MemberConfig { inputs: Vec::new(), ..identity(topics, "contents") };
    let mut log = KafkaLog::connect(kafka, &identity).unwrap();
    let places: Vec<TopicPartition> = (0..log.partition_count(topic).unwrap().unwrap())
        .map(|partition| TopicPartition::new(topic, partition))
        .collect();
    for at in &places {
        log.read_from(at, 0).unwrap();
    }
    let (mut batch, mut ended) = (RecordBatch::new(), Vec::new());
    let deadline = Instant::now() + LIMIT;
    while ended.len() < places.len() {
        assert!(Instant::now() < deadline, "{topic} has no end");
        log.read(&mut batch, PollLimits { records: 1_000, bytes: 1 << 20 }, &mut ended).unwrap();
        log.wait(Duration::from_millis(20));
    }
    let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
    let mut texts: Vec<String> = batch
        .iter()
        .inspect(|record| {
            if let Some(key) = record.key {
                assert_eq!(
                    record.partition,
                    partition_of(key, places.len() as i32),
                    "co-partitioned with Java"
                );
            }
        })
        .map(|record| text(record.value))
        .collect();
    texts.sort();
    texts
}

#[test]
fn a_death_in_the_middle_leaves_every_record_counted_once() {
    let topics = made("death");
    let keys: Vec<u8> = (0..400).map(|n| (n % 23) as u8).collect();
    append(&topics, &feed(&topics, &keys, 1));
    let mut first = worker(&topics, "a");
    step_until(&mut first, "commit", |worker| worker.operator().total() > 50);
    let done = first.operator().total();
    assert!(done < 400, "killed in the middle, not at the end");
    // What a kill does: the producer and the member are simply gone, a transaction stays open.
    let mut out = Outbox::default();
    push(&mut out, &topics.output, "k1", "never to be seen", 1);
    first.log_mut().begin().unwrap();
    first.log_mut().produce(&out).unwrap();
    first.log_mut().drain().unwrap();
    std::mem::forget(first);
    let mut second = worker(&topics, "a");
    step_until(&mut second, "total", |worker| worker.operator().total() == 400);
    assert!(second.operator().restored_with_meta > 0, "state came from the changelog");
    assert!(second.status().partitions.iter().all(|partition| partition.state == PartitionState::Running));
    assert_eq!(contents(&topics, &topics.output), expected(&keys));
}

#[test]
fn a_stopped_worker_commits_and_its_successor_goes_on() {
    let topics = made("stop");
    let keys = [1, 2, 3, 4, 1, 2];
    append(&topics, &feed(&topics, &keys, 1));
    let mut first = worker(&topics, "a");
    let stop = AtomicBool::new(false);
    shell::run(&mut first, &stop, |worker| {
        if worker.operator().total() == 6 {
            stop.store(true, Ordering::Relaxed);
        }
    })
    .unwrap();
    drop(first);
    append(&topics, &feed(&topics, &keys, 1));
    let mut second = worker(&topics, "a");
    step_until(&mut second, "total", |worker| worker.operator().total() == 12);
    assert_eq!(contents(&topics, &topics.output), expected(&[keys, keys].concat()));
}

/// Ends the other thread of a test even when this one panics.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn two_members_share_the_partitions_and_count_once() {
    let topics = made("share");
    let keys: Vec<u8> = (0..200).map(|n| (n % 19) as u8).collect();
    append(&topics, &feed(&topics, &keys, 1));
    let mut a = worker(&topics, "a");
    step_until(&mut a, "total", |worker| worker.operator().total() == 200);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let stopping = StopOnDrop(&stop);
        let joined = scope.spawn(|| {
            let mut b = worker(&topics, "b");
            let mut most = 0;
            shell::run(&mut b, &stop, |worker| most = most.max(worker.status().partitions.len())).unwrap();
            most
        });
        step_until(&mut a, "share", |worker| worker.status().partitions.len() == 2);
        append(&topics, &feed(&topics, &keys, 1));
        let deadline = Instant::now() + LIMIT;
        while Instant::now() < deadline && contents(&topics, &topics.output).len() < 400 {
            a.step(wall_clock_ms()).unwrap();
        }
        drop(stopping);
        assert_eq!(joined.join().unwrap(), 2);
    });
    assert_eq!(contents(&topics, &topics.output), expected(&[keys.clone(), keys].concat()));
}

#[test]
fn a_replaced_worker_ends_with_the_reason() {
    let topics = made("replaced");
    let mut zombie = worker(&topics, "a");
    step_until(&mut zombie, "partitions", |worker| {
        worker.status().partitions.len() == 4 && worker.status().ready()
    });
    let mut heir = worker(&topics, "a");
    append(&topics, &feed(&topics, &[1, 2, 3], 1));
    step_until(&mut heir, "total", |worker| worker.operator().total() == 3);
    let deadline = Instant::now() + LIMIT;
    let error = loop {
        assert!(Instant::now() < deadline, "the zombie lives");
        match zombie.step(wall_clock_ms()) {
            Err(error) => break error,
            Ok(_) => zombie.log_mut().wait(Duration::from_millis(20)),
        }
    };
    assert!(matches!(error, WorkerError::Fenced { .. }), "{error}");
    assert_eq!(contents(&topics, &topics.output), expected(&[1, 2, 3]));
}

/// Polls until the group has something to say to this member.
fn event(log: &mut KafkaLog, mut meanwhile: impl FnMut()) -> GroupEvent {
    let deadline = Instant::now() + LIMIT;
    loop {
        assert!(Instant::now() < deadline, "no event");
        log.poll(&mut RecordBatch::new(), NOTHING, &[]).unwrap();
        if let Some(event) = log.next_event() {
            return event;
        }
        meanwhile();
        log.wait(Duration::from_millis(20));
    }
}

/// A member that has been told to give partitions up and has not yet, and the one that they are for.
fn asked_to_give(topics: &Topics) -> (KafkaLog, KafkaLog) {
    let mut a = KafkaLog::connect(&kafka(), &identity(topics, "a")).unwrap();
    assert!(matches!(event(&mut a, || ()), GroupEvent::Assigned(_)));
    let mut b = KafkaLog::connect(&kafka(), &identity(topics, "b")).unwrap();
    let joining = || b.poll(&mut RecordBatch::new(), NOTHING, &[]).unwrap();
    assert!(matches!(event(&mut a, joining), GroupEvent::Revoked(_)));
    (a, b)
}

#[test]
fn a_member_that_owes_the_group_an_answer_can_be_closed() {
    let topics = made("owing");
    let (a, _b) = asked_to_give(&topics);
    let (closed, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        drop(a);
        closed.send(()).unwrap();
    });
    told.recv_timeout(Duration::from_secs(20)).expect("closing hangs");
}

#[test]
fn partitions_that_a_death_in_a_rebalance_leaves_to_nobody_find_an_owner() {
    let topics = made("ownerless");
    let (a, b) = asked_to_give(&topics);
    drop(a);
    // The group lets it in again with what it was to keep, and moves nothing more.
    let a = KafkaLog::connect(&kafka(), &identity(&topics, "a")).unwrap();
    let mut members = [(a, Vec::new()), (b, Vec::new())];
    let deadline = Instant::now() + 2 * LIMIT;
    while members.iter().map(|(_, owned)| owned.len()).sum::<usize>() < PARTITIONS as usize {
        assert!(Instant::now() < deadline, "somebody owns {:?} only", members.map(|(_, owned)| owned));
        for (log, owned) in &mut members {
            log.poll(&mut RecordBatch::new(), NOTHING, &[]).unwrap();
            match log.next_event() {
                Some(GroupEvent::Assigned(partitions)) => owned.extend(partitions),
                Some(GroupEvent::Revoked(partitions) | GroupEvent::Lost(partitions)) => {
                    owned.retain(|at| !partitions.contains(at));
                    log.release(&partitions).unwrap();
                }
                None => log.wait(Duration::from_millis(20)),
            }
        }
    }
    let mut owned = members.map(|(_, owned)| owned).concat();
    owned.sort_unstable();
    owned.dedup();
    assert_eq!(owned.len(), PARTITIONS as usize, "{owned:?}");
}

#[test]
fn partitions_with_a_backlog_take_turns() {
    let topics = made("turns");
    let keys: Vec<u8> = (0..=255).cycle().take(4_000).collect();
    append(&topics, &feed(&topics, &keys, 1));
    let mut log = KafkaLog::connect(&kafka(), &identity(&topics, "a")).unwrap();
    let GroupEvent::Assigned(places) = event(&mut log, || ()) else { panic!("nothing assigned") };
    for at in &places {
        log.start(at, 0).unwrap();
    }
    let mut batch = RecordBatch::new();
    let deadline = Instant::now() + LIMIT;
    let mut counts = [0; PARTITIONS as usize];
    while counts.contains(&0) {
        assert!(Instant::now() < deadline && counts.iter().sum::<i32>() < 1_000, "{counts:?}");
        batch.clear();
        log.poll(&mut batch, PollLimits { records: 10, bytes: 1 << 20 }, &[]).unwrap();
        batch.iter().for_each(|record| counts[record.partition as usize] += 1);
        log.wait(Duration::from_millis(20));
    }
}

#[test]
fn a_deadline_is_met_by_a_tick() {
    let topics = made("tick");
    let config = WorkerConfig::new("counter", "ticking");
    let log = KafkaLog::connect(&kafka(), &identity(&topics, "a")).unwrap();
    let mut worker = Worker::new(log, Counter::new(&topics), config).unwrap();
    let at_ms = wall_clock_ms() + 3_000;
    let mut out = Outbox::default();
    push(&mut out, &topics.input, "k1", &format!("until:{at_ms}"), 1);
    append(&topics, &out);
    step_until(&mut worker, "count", |worker| worker.operator().total() == 1);
    step_until(&mut worker, "tick", |worker| worker.status().transactions >= 3);
    let late_ms = wall_clock_ms() - at_ms;
    assert!((0..2_000).contains(&late_ms), "{late_ms} ms late");
    assert_eq!(contents(&topics, &topics.output), [format!("k1!{at_ms}"), "k1=1".to_owned()]);
}

fn broker_behind_a_proxy() -> (Proxy, Broker) {
    let proxy = Proxy::start(1);
    let options = BrokerOptions { proxy_port: Some(proxy.port()), ..BrokerOptions::default() };
    let (broker, behind) = Broker::start_with(&options);
    proxy.connect_to(behind);
    (proxy, broker)
}

#[test]
fn a_start_waits_for_a_coordinator_that_does_not_answer() {
    let (proxy, _broker) = broker_behind_a_proxy();
    // Longer than one call waits, which is ten seconds; what is sent again on another connection is answered.
    let mischief = Mischief::Hang(Duration::from_secs(12));
    proxy.misbehave(&[Rule { kind: Some(INIT_PRODUCER_ID), per_mille: 1_000, mischief }]);
    let kafka = KafkaConfig { bootstrap: proxy.bootstrap(), ..KafkaConfig::default() };
    let began = Instant::now();
    std::thread::scope(|scope| {
        let topics = Topics::new("silent-");
        let connected = scope.spawn(move || KafkaLog::connect(&kafka, &identity(&topics, "a")).map(drop));
        while proxy.done() == 0 && !connected.is_finished() {
            std::thread::park_timeout(Duration::from_millis(10));
        }
        proxy.behave();
        connected.join().expect("no panic").expect("it waits for longer than one call");
    });
    assert!(began.elapsed() >= Duration::from_secs(10), "the first call was answered");
}

/// A request for offsets is under way although the client has given up its connection, and comes to the broker in a later
/// transaction of the same worker, between its own offsets and its commit. The broker, which tells producers apart by
/// their epochs and not their transactions, must not take the older offsets for the newer transaction's. Ten seconds.
#[test]
fn offsets_that_come_late_are_refused() {
    let (proxy, broker) = broker_behind_a_proxy();
    let direct = KafkaConfig { bootstrap: broker.bootstrap(), ..KafkaConfig::default() };
    let kafka = KafkaConfig { bootstrap: proxy.bootstrap(), ..KafkaConfig::default() };
    // One is sent once more and answered, so that its transaction is committed; or none is, and it is aborted.
    for (name, count) in [("twice-", 1), ("aborted-", 100)] {
        let topics = Topics::new(name);
        admin::apply(&direct, &specs(&topics)).unwrap();
        let at = [TopicPartition::new(topics.input.as_str(), partition_of(b"k1", PARTITIONS))];
        let feed_one = || append_by(&direct, "late-feed", &feed(&topics, &[1], 1)).unwrap();
        let (aborts, is_third) = (AtomicU64::new(0), AtomicBool::new(false));
        let start = || {
            let log = KafkaLog::connect(&kafka, &identity(&topics, "a")).unwrap();
            let log = FaultyLog::new(log, |_, call| {
                if call == Call::Abort {
                    aborts.fetch_add(1, Ordering::Relaxed);
                    proxy.hold_back(TXN_OFFSET_COMMIT, 0);
                }
                if call == Call::Commit && is_third.swap(false, Ordering::Relaxed) {
                    proxy.release();
                }
                None
            });
            let config = WorkerConfig { clock: Clock::Log, ..WorkerConfig::new("counter", name) };
            Worker::new(log, Counter::new(&topics), config).unwrap()
        };
        let mut worker = start();
        feed_one();
        step_until(&mut worker, "first", |worker| worker.operator().total() == 1);
        proxy.hold_back(TXN_OFFSET_COMMIT, count);
        feed_one();
        step_until(&mut worker, "second", |worker| worker.operator().total() == 2);
        let committed = |log: &mut dyn Log| log.committed(&at).unwrap()[0].as_ref().unwrap().offset;
        let second = committed(worker.log_mut());
        assert!(proxy.held() > 0, "{name}: nothing is held back");
        assert_eq!(aborts.load(Ordering::Relaxed) > 0, count > 1, "{name}");
        is_third.store(true, Ordering::Relaxed);
        feed_one();
        step_until(&mut worker, "third", |worker| worker.operator().total() == 3);
        assert_eq!(proxy.held(), 0, "{name}: released before the third commit");
        let third = committed(worker.log_mut());
        assert!(third > second, "{name}: offset {third} is committed, it was {second} before");
        drop(worker);
        let mut worker = start();
        feed_one();
        step_until(&mut worker, "fourth", |worker| worker.operator().total() == 4);
        assert_eq!(contents_of(&direct, &topics, &topics.output), expected(&[1; 4]), "{name}");
    }
}

#[test]
fn a_broker_that_dies_and_comes_back_costs_nothing() {
    let mut broker = Broker::start();
    let kafka = KafkaConfig { bootstrap: broker.bootstrap(), ..KafkaConfig::default() };
    let topics = Topics::new("outage-");
    admin::apply(&kafka, &specs(&topics)).unwrap();
    let keys: Vec<u8> = (0..200).map(|n| (n % 7) as u8).collect();
    let feed_id = "outage-feed";
    append_by(&kafka, feed_id, &feed(&topics, &keys, 1)).unwrap();
    let start = || {
        let log = KafkaLog::connect(&kafka, &identity(&topics, "a")).unwrap();
        let config = WorkerConfig { clock: Clock::Log, inputs: 10, ..WorkerConfig::new("counter", "outage") };
        Worker::new(log, Counter::new(&topics), config).unwrap()
    };
    let mut worker = start();
    step_until(&mut worker, "commit", |worker| worker.operator().total() > 20);
    broker.kill9();
    std::thread::scope(|scope| {
        let back = scope.spawn(|| broker.restart());
        let deadline = Instant::now() + LIMIT;
        while !back.is_finished() || worker.operator().total() < 200 {
            assert!(Instant::now() < deadline, "{:?}", worker.status());
            match worker.step(wall_clock_ms()) {
                Ok(_) => worker.log_mut().wait(Duration::from_millis(5)),
                // The group may forget the member id it gave last, and take its own member for a stranger. The
                // process then ends and is started again.
                Err(WorkerError::Fenced { .. }) => {
                    drop(std::mem::replace(&mut worker, start()));
                }
                Err(error) => panic!("{error}"),
            }
        }
    });
    assert_eq!(contents_of(&kafka, &topics, &topics.output), expected(&keys));
}

#[test]
fn a_member_offers_no_offsets_under_a_new_name_for_what_it_had_under_the_old() {
    let (proxy, broker) = broker_behind_a_proxy();
    let brief = [("session.timeout.ms", "4000"), ("heartbeat.interval.ms", "500")];
    let properties = brief.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let direct = KafkaConfig { bootstrap: broker.bootstrap(), properties, ..KafkaConfig::default() };
    let topics = Topics::new("renamed-");
    admin::apply(&direct, &specs(&topics)).unwrap();
    append_by(&direct, "renamed-feed", &feed(&topics, &[1, 2, 3, 4, 5, 6, 7, 8], 1)).unwrap();
    let proxied = KafkaConfig { bootstrap: proxy.bootstrap(), ..direct.clone() };
    let mut late = KafkaLog::connect(&proxied, &identity(&topics, "late")).unwrap();
    let GroupEvent::Assigned(places) = event(&mut late, || ()) else { panic!("nothing assigned") };
    assert_eq!(places.len(), PARTITIONS as usize);
    let offers = |places: &[TopicPartition], offset| -> Vec<_> {
        places.iter().map(|at| (at.clone(), offset)).collect()
    };
    // When the group asks its members to join again, it hears nothing of this one until it has forgotten it.
    let delayed = |kind, ms| Rule {
        kind: Some(kind),
        per_mille: 1_000,
        mischief: Mischief::DelayRequest(Duration::from_millis(ms)),
    };
    proxy.misbehave(&[delayed(JOIN_GROUP, 8_000)]);
    let mut other = KafkaLog::connect(&direct, &identity(&topics, "other")).unwrap();
    let all = event(&mut other, || late.poll(&mut RecordBatch::new(), NOTHING, &[]).unwrap());
    assert_eq!(all, GroupEvent::Assigned(places.clone()));
    other.begin().unwrap();
    other.send_offsets(&offers(&places, 2), "by the owner").unwrap();
    other.commit().unwrap();

    // Under its new name it is a member long before it is told what it has.
    proxy.misbehave(&[delayed(SYNC_GROUP, 3_000)]);
    let (mut old, mut owned) = (places.clone(), [Vec::new(), places.clone()]);
    let deadline = Instant::now() + LIMIT;
    while !old.is_empty() || owned.concat().len() < places.len() {
        assert!(Instant::now() < deadline, "{old:?} are left, {owned:?} are owned");
        for (log, owned) in [&mut late, &mut other].into_iter().zip(&mut owned) {
            log.poll(&mut RecordBatch::new(), NOTHING, &[]).unwrap();
            match log.next_event() {
                Some(GroupEvent::Assigned(given)) => owned.extend(given),
                Some(GroupEvent::Revoked(taken)) => {
                    owned.retain(|at| !taken.contains(at));
                    log.release(&taken).unwrap();
                }
                Some(GroupEvent::Lost(taken)) => {
                    owned.retain(|at| !taken.contains(at));
                    old.retain(|at| !taken.contains(at));
                    log.release(&taken).unwrap();
                }
                None => {}
            }
        }
        if !old.is_empty() {
            late.begin().unwrap();
            let offered = late.send_offsets(&offers(&old, 1), "by one that was the owner");
            let ended = if offered.is_ok() { late.commit() } else { late.abort() };
            ended.unwrap();
        }
        late.wait(Duration::from_millis(20));
    }
    let committed = other.committed(&places).unwrap();
    assert!(committed.iter().flatten().all(|found| found.marker == "by the owner"), "{committed:?}");
    let mut owned = owned.concat();
    owned.sort_unstable();
    assert_eq!(owned, places);
}

/// A broker that has only just started answers so: it knows topics, but is not in its own list of brokers yet.
#[test]
fn clients_that_are_told_of_no_brokers_find_them_again() {
    let (proxy, broker) = broker_behind_a_proxy();
    let direct = KafkaConfig { bootstrap: broker.bootstrap(), ..KafkaConfig::default() };
    let topics = Topics::new("forgotten-");
    admin::apply(&direct, &specs(&topics)).unwrap();
    let keys: Vec<u8> = (0..100).map(|n| (n % 7) as u8).collect();
    append_by(&direct, "forgotten-feed", &feed(&topics, &keys, 1)).unwrap();
    // Every client asks every second, not only after a connection broke.
    let asking = ("topic.metadata.refresh.interval.ms".to_owned(), "1000".to_owned());
    let kafka = KafkaConfig { bootstrap: proxy.bootstrap(), properties: vec![asking], ..direct.clone() };
    let log = KafkaLog::connect(&kafka, &identity(&topics, "a")).unwrap();
    let config = WorkerConfig { clock: Clock::Log, inputs: 50, ..WorkerConfig::new("counter", "forgotten") };
    let mut worker = Worker::new(log, Counter::new(&topics), config).unwrap();
    step_until(&mut worker, "total", |worker| worker.operator().total() == 100);
    let mut all = keys.clone();
    // Whether a client gives up depends on which of its threads comes first, and what it then was about.
    for _ in 0..3 {
        let asked = proxy.done();
        proxy.misbehave(&[Rule {
            kind: Some(METADATA),
            per_mille: 1_000,
            mischief: Mischief::NameNoBrokers,
        }]);
        std::thread::scope(|scope| {
            let told = scope.spawn(|| {
                let began = Instant::now();
                // Most clients, and for a while.
                while proxy.done() < asked + 3 || began.elapsed() < Duration::from_millis(1_500) {
                    assert!(began.elapsed() < LIMIT, "the clients have not asked");
                    append_by(&direct, "forgotten-feed", &feed(&topics, &keys, 1)).unwrap();
                    all.extend(&keys);
                }
                proxy.behave();
            });
            step_until(&mut worker, "time", |_| told.is_finished());
        });
        step_until(&mut worker, "total", |worker| worker.operator().total() == all.len() as u64);
    }
    assert_eq!(contents_of(&direct, &topics, &topics.output), expected(&all));
}

#[test]
fn a_record_over_a_topics_limit_is_named_with_topic_and_size() {
    let topics = made("large");
    let mut out = Outbox::default();
    // Does not compress much: the brokers' limit is for the compressed batch.
    let letter = |n: u32| char::from(b'!' + (n.wrapping_mul(2_654_435_761) >> 25) as u8 % 90);
    let text: String = (0..2_000_000).map(|n: u32| letter(n ^ n.wrapping_mul(n) >> 7)).collect();
    push(&mut out, &topics.output, "k1", &text, 1);
    let error = append_by(&kafka(), &format!("{}-feed", topics.input), &out).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("2000002 bytes") && text.contains(&topics.output), "{text}");
    assert_eq!(contents(&topics, &topics.output), Vec::<String>::new());
}

#[test]
fn topics_are_made_checked_and_named_when_wrong() {
    let topics = Topics::new(&topic_prefix("topics"));
    let mut specs = specs(&topics);
    let missing = admin::check(&kafka(), &specs).unwrap();
    assert_eq!(missing.iter().filter(|finding| matches!(finding, Finding::Missing { .. })).count(), 4);
    assert_eq!(admin::apply(&kafka(), &specs).unwrap().len(), 4);
    assert_eq!(admin::apply(&kafka(), &specs).unwrap(), Vec::<String>::new());
    let ours = |findings: Vec<Finding>| -> Vec<String> {
        findings.iter().filter(|f| !matches!(f, Finding::Broker { .. })).map(Finding::to_string).collect()
    };
    assert_eq!(ours(admin::check(&kafka(), &specs).unwrap()), Vec::<String>::new());
    specs[1].partitions = 5;
    specs[2].settings[0].1 = "delete".to_owned();
    specs[3].replication = Some(3);
    let found = ours(admin::check(&kafka(), &specs).unwrap());
    assert!(found.iter().any(|f| f.contains("out has 4 partitions, 5 are configured")), "{found:?}");
    assert!(found.iter().any(|f| f.contains("words has 1 replicas, 3 are configured")), "{found:?}");
    assert!(
        found.iter().any(|f| f.contains("counts has cleanup.policy=compact, should be delete")),
        "{found:?}"
    );
}

#[test]
fn an_unreachable_broker_is_named_within_ten_seconds() {
    let config = KafkaConfig { bootstrap: "127.0.0.1:9".to_owned(), ..KafkaConfig::default() };
    let began = Instant::now();
    let names_it = |error: LogError| error.to_string().contains("127.0.0.1:9");
    assert!(names_it(admin::reach(&config).unwrap_err()));
    assert!(began.elapsed() < Duration::from_secs(10));
}
