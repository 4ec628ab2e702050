//! CPU per event of ingest and scorer on real Kafka, exactly once, over that of a raw batch consume of the same topic
//! on the same broker.
//!
//! The services run as processes of their own; what they used is read from `/proc` before and after. A warm-up batch
//! comes first, so that starting, joining and restoring do not count.

#[path = "../tests/support/mod.rs"]
mod support;

mod hot;
mod measure;

use std::ffi::CString;
use std::ptr;

use hot::Click;
use measure::{figure, ns_per_item, ratio};
use rdkafka::bindings;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};
use support::Installation;

const WARM_UP: usize = 5_000;
const EVENTS: usize = 200_000;
const ROUNDS: usize = 3;
const SOURCE_PARTITIONS: i32 = 2;
/// Ticks of `/proc/PID/stat` in a second: 100 on every Linux of ours.
const TICKS_PER_SECOND: f64 = 100.0;

fn main() {
    let clicks = hot::clicks(40_000, WARM_UP + EVENTS);
    let bytes: usize = clicks.iter().map(|click| click.json.len()).sum();
    println!(
        "# {EVENTS} events of {} bytes each on average, lz4, 8 partitions of leads",
        bytes / clicks.len()
    );
    let (mut raw, mut ingest, mut scorer) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let site = Installation::new("bench", 8, "auto");
        let services = [site.start("ingest"), site.start("scorer")];
        feed(&site, &clicks[..WARM_UP]);
        let before: Vec<f64> = services.iter().map(|service| cpu_seconds(service.pid())).collect();
        feed(&site, &clicks[WARM_UP..]);
        let used: Vec<f64> = services
            .iter()
            .zip(before)
            .map(|(service, before)| cpu_seconds(service.pid()) - before)
            .collect();
        ingest.push(used[0] * 1e9 / EVENTS as f64);
        scorer.push(used[1] * 1e9 / EVENTS as f64);
        drop(services);
        raw.push(raw_consume(&site, WARM_UP + EVENTS));
    }
    let both: Vec<f64> = ingest.iter().zip(&scorer).map(|(ingest, scorer)| ingest + scorer).collect();
    figure("kafka_raw_batch_consume_event", "ns", &raw);
    figure("kafka_ingest_event", "ns", &ingest);
    figure("kafka_scorer_event", "ns", &scorer);
    ratio("kafka_ingest_and_scorer_over_raw", &both, &raw);
}

/// Produces the clicks and waits until both services have committed them.
fn feed(site: &Installation, clicks: &[Click]) {
    let now_ms = jiff::Timestamp::now().as_millisecond();
    site.produce(clicks.iter().map(|click| ("", click.json.clone(), now_ms)));
    site.wait_until_at_end("ingest", &site.source);
    site.wait_until_at_end("scorer", &site.topics.activities);
}

/// User and system CPU of a process so far.
fn cpu_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process runs");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: f64 = [11, 12].iter().map(|field| fields[*field].parse::<f64>().expect("ticks")).sum();
    ticks / TICKS_PER_SECOND
}

/// CPU per event of reading the source topic with librdkafka's batch call and touching nothing.
fn raw_consume(site: &Installation, events: usize) -> f64 {
    let consumer = site.consumer("raw");
    let mut list = TopicPartitionList::new();
    for partition in 0..SOURCE_PARTITIONS {
        list.add_partition_offset(&site.source, partition, Offset::Beginning).expect("a legal offset");
    }
    ns_per_item(events, || {
        consumer.assign(&list).expect("assigned");
        consume_batches(&consumer, &site.source, events);
    })
}

#[expect(unsafe_code, reason = "the batch call has no safe wrapper; a benchmark of it has no other way")]
fn consume_batches(consumer: &BaseConsumer, topic: &str, events: usize) {
    let client = consumer.client().native_ptr();
    let name = CString::new(topic).expect("no zero byte");
    let mut messages = vec![ptr::null_mut(); 1_000];
    let mut left = events;
    // SAFETY: `client` lives as long as `consumer`; every message and queue taken is given back.
    unsafe {
        let queues: Vec<_> = (0..SOURCE_PARTITIONS)
            .map(|partition| {
                let queue = bindings::rd_kafka_queue_get_partition(client, name.as_ptr(), partition);
                bindings::rd_kafka_queue_forward(queue, ptr::null_mut());
                queue
            })
            .collect();
        while left > 0 {
            for queue in &queues {
                let got =
                    bindings::rd_kafka_consume_batch_queue(*queue, 10, messages.as_mut_ptr(), messages.len());
                for message in &messages[..usize::try_from(got).expect("no error")] {
                    if (**message).err == bindings::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                        left -= 1;
                    }
                    bindings::rd_kafka_message_destroy(*message);
                }
            }
        }
        queues.into_iter().for_each(|queue| bindings::rd_kafka_queue_destroy(queue));
    }
}
