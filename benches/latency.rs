//! From a click to its decision, as a read-committed consumer sees it, on real Kafka at half load: over the time that a
//! plain transaction takes on the same broker, and over the commit interval, with what each interval costs.
//!
//! Ingest and scorer run as processes of their own. The load are the demo's clicks; the clicks that are timed come from
//! visitors of their own who take the price list, which decides a stage at once.
//!
//! `RIPEN_BENCH_RUNS=auto,auto_idle cargo bench --bench latency` makes only these runs; `RIPEN_BENCH_MOST=40000` takes
//! this for the largest rate, so that runs compare.

#[path = "../tests/support/mod.rs"]
mod support;

mod hot;
mod measure;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use hot::Click;
use measure::{cpu_seconds_of, figure, nap, quantile};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerGroupMetadata};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use ripen_harness::{create_topic, shared_broker, topic_prefix};
use support::{Installation, PATIENCE, wait_until, wait_until_shared};

/// Partitions of activities, leads and decisions: each that a transaction touches first is a trip to its coordinator.
const PARTITIONS: u8 = 8;
/// A name, the commit interval, and the share of the largest rate. The light ones first: a broker that has served
/// the others answers them late.
const RUNS: [(&str, &str, f64); 8] = [
    ("auto_idle", "auto", 0.0),
    ("auto_tenth", "auto", 0.1),
    ("auto", "auto", 0.5),
    ("5ms", "5ms", 0.5),
    ("10ms", "10ms", 0.5),
    ("50ms", "50ms", 0.5),
    ("100ms", "100ms", 0.5),
    ("500ms", "500ms", 0.5),
];
const WARM_UP: Duration = Duration::from_secs(3);
const MEASURED: Duration = Duration::from_secs(9);
/// Between two timed clicks; no multiple or part of an interval.
const PROBE_EVERY: Duration = Duration::from_micros(11_300);
/// Between two portions of the load.
const LOAD_EVERY: Duration = Duration::from_millis(5);
/// Clicks of the load, sent again and again under new ids; those of the first group warm up.
const CLICKS: usize = 150_000;
const FIRST: usize = 10_000;
const PLAIN_WARM_UP: usize = 1_000;
const PLAIN: usize = 1_000;
const PLAIN_RECORDS: i32 = 10;
/// Between two plain transactions beside the load: few enough to be no load of their own.
const PLAIN_EVERY: Duration = Duration::from_millis(40);

fn main() {
    let plain = Arc::new(Plain::new());
    let mut plain_ms: Vec<f64> =
        (0..PLAIN_WARM_UP + PLAIN).map(|_| plain.transaction_ms()).skip(PLAIN_WARM_UP).collect();
    plain_ms.sort_by(f64::total_cmp);
    let (plain_p50, plain_p99) = (quantile(&plain_ms, 0.5), quantile(&plain_ms, 0.99));
    figure("plain_transaction_p50", "ms", &[plain_p50]);
    figure("plain_transaction_p99", "ms", &[plain_p99]);
    let clicks = Arc::new(hot::clicks(60_000, CLICKS));
    let wanted = std::env::var("RIPEN_BENCH_RUNS").unwrap_or_default();
    let wanted = |name: &str| wanted.is_empty() || wanted.split(',').any(|run| run == name);
    let mut most = None;
    for (name, interval, share) in RUNS.into_iter().filter(|(name, ..)| wanted(name)) {
        let mut rate = 0.0;
        if share > 0.0 {
            let most = *most.get_or_insert_with(|| match std::env::var("RIPEN_BENCH_MOST") {
                Ok(given) => given.parse().expect("clicks a second"),
                Err(_) => largest_rate(&clicks),
            });
            rate = most * share;
            println!("# {PARTITIONS} partitions; {rate:.0} of {most:.0} clicks a second");
        }
        let run = measure(interval, rate, &clicks, &plain);
        let alone = (interval == "auto").then_some((plain_p50, plain_p99));
        report(&format!("latency_{name}"), &run, alone);
    }
}

/// Prints a run's figures, over those of a plain transaction with nothing beside it if they are given, and over those of
/// plain transactions made meanwhile on the same loaded broker.
fn report(name: &str, run: &Run, alone: Option<(f64, f64)>) {
    let (p50, p99) = (quantile(&run.latencies_ms, 0.5), quantile(&run.latencies_ms, 0.99));
    figure(&format!("{name}_p50"), "ms", &[p50]);
    figure(&format!("{name}_p99"), "ms", &[p99]);
    figure(&format!("{name}_cores"), "cores", &[run.cores]);
    if run.clicks_per_second > 0.0 {
        figure(&format!("{name}_click"), "ns", &[run.cores * 1e9 / run.clicks_per_second]);
    }
    if let Some((plain_p50, plain_p99)) = alone {
        figure(&format!("{name}_p50_over_plain"), "times", &[p50 / plain_p50]);
        figure(&format!("{name}_p99_over_plain"), "times", &[p99 / plain_p99]);
        let (beside_p50, beside_p99) = (quantile(&run.plain_ms, 0.5), quantile(&run.plain_ms, 0.99));
        figure(&format!("{name}_plain_beside_p50"), "ms", &[beside_p50]);
        figure(&format!("{name}_plain_beside_p99"), "ms", &[beside_p99]);
        figure(&format!("{name}_p50_over_plain_beside"), "times", &[p50 / beside_p50]);
        figure(&format!("{name}_p99_over_plain_beside"), "times", &[p99 / beside_p99]);
    }
}

/// Who makes transactions of ten records over the partitions and one offset, drained before the commit.
struct Plain {
    topic: String,
    producer: BaseProducer,
    group: ConsumerGroupMetadata,
}

impl Plain {
    fn new() -> Plain {
        let bootstrap = shared_broker().bootstrap();
        let topic = format!("{}plain", topic_prefix("latency"));
        create_topic(&bootstrap, &topic, u32::from(PARTITIONS), &[]);
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &bootstrap)
            .set("group.id", &topic)
            .create()
            .expect("a consumer");
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", &bootstrap)
            .set("transactional.id", &topic)
            .set("linger.ms", "0")
            .create()
            .expect("a producer");
        producer.init_transactions(PATIENCE).expect("transactions");
        let group = consumer.group_metadata().expect("the group's metadata");
        Plain { topic, producer, group }
    }

    /// How long one takes, in milliseconds.
    fn transaction_ms(&self) -> f64 {
        let Plain { topic, producer, group } = self;
        let began = Instant::now();
        producer.begin_transaction().expect("begun");
        for record in 0..PLAIN_RECORDS {
            let record = BaseRecord::<(), _>::to(topic)
                .partition(record % i32::from(PARTITIONS))
                .payload("0123456789");
            producer.send(record).map_err(|(error, _)| error).expect("room");
        }
        while producer.in_flight_count() > 0 {
            producer.poll(Duration::ZERO);
            nap(Duration::from_micros(100));
        }
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(topic, 0, Offset::Offset(0)).expect("a legal offset");
        producer.send_offsets_to_transaction(&offsets, group, PATIENCE).expect("offsets");
        producer.commit_transaction(PATIENCE).expect("committed");
        began.elapsed().as_secs_f64() * 1e3
    }

    /// One after the other with a pause between, until told to stop: milliseconds.
    fn beside(&self, stop: &AtomicBool) -> Vec<f64> {
        let mut taken_ms = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            taken_ms.push(self.transaction_ms());
            nap(PLAIN_EVERY);
        }
        taken_ms
    }
}

/// Clicks a second that both services together get through.
fn largest_rate(clicks: &[Click]) -> f64 {
    let site = Installation::new("latency", i32::from(PARTITIONS), "auto");
    site.activate(&hot::patient_model());
    let services = [site.start("ingest"), site.start("scorer")];
    feed(&site, &clicks[..FIRST]);
    wait_until_shared(&services[0], 1);
    wait_until_shared(&services[1], usize::from(PARTITIONS) / 2);
    let began = Instant::now();
    feed(&site, &clicks[FIRST..]);
    (CLICKS - FIRST) as f64 / began.elapsed().as_secs_f64()
}

/// Produces the clicks and waits until both services have committed them.
fn feed(site: &Installation, clicks: &[Click]) {
    let now_ms = jiff::Timestamp::now().as_millisecond();
    site.produce(clicks.iter().map(|click| ("", click.json.to_vec(), now_ms)));
    wait_until("ingest is at the end", site.end_of("ingest", &site.source));
    wait_until("the scorer is at the end", site.end_of("scorer", &site.topics.activities));
}

struct Run {
    /// Sorted.
    latencies_ms: Vec<f64>,
    /// Of plain transactions meanwhile; sorted.
    plain_ms: Vec<f64>,
    /// That both services used.
    cores: f64,
    /// That were really sent, the timed ones not counted.
    clicks_per_second: f64,
}

fn measure(interval: &str, rate: f64, clicks: &Arc<Vec<Click>>, plain: &Arc<Plain>) -> Run {
    let site = Installation::new("latency", i32::from(PARTITIONS), interval);
    site.activate(&hot::patient_model());
    let services = [site.start("ingest"), site.start("scorer")];
    feed(&site, &clicks[..FIRST]);
    wait_until_shared(&services[0], 1);
    wait_until_shared(&services[1], usize::from(PARTITIONS) / 2);
    let decisions = decisions(&site);
    let stop = Arc::new(AtomicBool::new(false));
    let sent = Arc::new(Mutex::new(HashMap::<u64, Instant>::new()));
    let loaded = Arc::new(AtomicU64::new(0));
    let load = {
        let (producer, source) = (producer(&site, "5"), site.source.clone());
        let (clicks, stop, loaded) = (Arc::clone(clicks), Arc::clone(&stop), Arc::clone(&loaded));
        thread::spawn(move || load(&producer, &source, rate, &clicks[FIRST..], &stop, &loaded))
    };
    let probes = {
        let (producer, source) = (producer(&site, "0"), site.source.clone());
        let (stop, sent) = (Arc::clone(&stop), Arc::clone(&sent));
        thread::spawn(move || probe(&producer, &source, &stop, &sent))
    };
    let plain = {
        let (plain, stop) = (Arc::clone(plain), Arc::clone(&stop));
        thread::spawn(move || plain.beside(&stop))
    };
    let began = Instant::now();
    let mut window: Option<(Instant, f64, u64)> = None;
    let cpu = || services.iter().map(|service| cpu_seconds_of(service.pid())).sum::<f64>();
    let mut latencies_ms = Vec::new();
    let (mut cores, mut clicks_per_second) = (0.0, 0.0);
    while !stop.load(Ordering::Relaxed) || !sent.lock().expect("not poisoned").is_empty() {
        assert!(
            began.elapsed() < PATIENCE,
            "{} decisions are missing",
            sent.lock().expect("not poisoned").len()
        );
        if let Some(Ok(message)) = decisions.poll(Duration::from_millis(20))
            && let Some(at) =
                probe_number(message.key()).and_then(|n| sent.lock().expect("not poisoned").remove(&n))
            && window.is_some()
        {
            latencies_ms.push(at.elapsed().as_secs_f64() * 1e3);
        }
        if window.is_none() && began.elapsed() >= WARM_UP {
            window = Some((Instant::now(), cpu(), loaded.load(Ordering::Relaxed)));
        }
        if let Some((since, cpu_before, loaded_before)) = window
            && began.elapsed() >= WARM_UP + MEASURED
            && !stop.swap(true, Ordering::Relaxed)
        {
            let seconds = since.elapsed().as_secs_f64();
            cores = (cpu() - cpu_before) / seconds;
            clicks_per_second = (loaded.load(Ordering::Relaxed) - loaded_before) as f64 / seconds;
        }
    }
    load.join().expect("the load has not panicked");
    probes.join().expect("the probes have not panicked");
    let mut plain_ms = plain.join().expect("the plain transactions have not panicked");
    latencies_ms.sort_by(f64::total_cmp);
    plain_ms.sort_by(f64::total_cmp);
    Run { latencies_ms, plain_ms, cores, clicks_per_second }
}

/// Sends clicks at an even rate until it is told to stop.
fn load(
    producer: &BaseProducer,
    topic: &str,
    rate: f64,
    clicks: &[Click],
    stop: &AtomicBool,
    loaded: &AtomicU64,
) {
    let began = Instant::now();
    let mut next = 0;
    let mut json = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let due = (began.elapsed().as_secs_f64() * rate) as usize;
        for number in next..due {
            let (round, click) = (number / clicks.len(), &clicks[number % clicks.len()]);
            click.json.clone_into(&mut json);
            if round > 0 {
                rename(&mut json, round);
            }
            let record = BaseRecord::<(), _>::to(topic).payload(&json);
            producer.send(record).map_err(|(error, _)| error).expect("the queue has room");
        }
        next = due;
        loaded.store(next as u64, Ordering::Relaxed);
        producer.poll(Duration::ZERO);
        nap(LOAD_EVERY);
    }
    producer.flush(PATIENCE).expect("delivered");
}

/// Gives a click that was sent before another id, so that it counts again.
fn rename(json: &mut [u8], round: usize) {
    const MARK: &[u8] = b"\"messageId\":\"";
    let mark = json.windows(MARK.len()).position(|window| window == MARK).expect("every click has an id");
    json[mark + MARK.len()] = b'A' + u8::try_from(round).expect("few rounds");
}

/// Sends a click of a new visitor at a time, and notes when.
fn probe(producer: &BaseProducer, topic: &str, stop: &AtomicBool, sent: &Mutex<HashMap<u64, Instant>>) {
    for number in 0_u64.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let click = hot::probe(number);
        sent.lock().expect("not poisoned").insert(number, Instant::now());
        let record = BaseRecord::<(), _>::to(topic).payload(&click);
        producer.send(record).map_err(|(error, _)| error).expect("the queue has room");
        producer.poll(Duration::ZERO);
        nap(PROBE_EVERY);
    }
    producer.flush(PATIENCE).expect("delivered");
}

fn probe_number(key: Option<&[u8]>) -> Option<u64> {
    let key = std::str::from_utf8(key?).ok()?;
    key.rsplit_once("probe-")?.1.parse().ok()
}

/// The load comes in batches, as from producers with the usual `linger.ms` of 5; the timed clicks without delay.
fn producer(site: &Installation, linger_ms: &str) -> BaseProducer {
    ClientConfig::new()
        .set("bootstrap.servers", site.bootstrap())
        .set("linger.ms", linger_ms)
        .set("compression.codec", "lz4")
        .set("queue.buffering.max.messages", "500000")
        .create()
        .expect("a producer")
}

/// A read-committed consumer that stands at the end of the decisions.
fn decisions(site: &Installation) -> BaseConsumer {
    let consumer = site.consumer("latency");
    let topic = &site.topics.decisions;
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE).expect("the broker answers");
    let mut list = TopicPartitionList::new();
    for partition in metadata.topics()[0].partitions() {
        let (_, end) = consumer.fetch_watermarks(topic, partition.id(), PATIENCE).expect("watermarks");
        list.add_partition_offset(topic, partition.id(), Offset::Offset(end)).expect("a legal offset");
    }
    consumer.assign(&list).expect("assigned");
    consumer
}
