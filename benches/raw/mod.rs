//! The floors that consuming and producing are measured against: librdkafka's cheapest calls, nothing touched.

#![allow(dead_code, unreachable_pub, reason = "each bench uses a part")]

use std::ffi::CString;
use std::ptr;
use std::time::Duration;

use rdkafka::bindings;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka::{Offset, TopicPartitionList};

use crate::measure::{nap, ns_per_item};
use crate::support::{Installation, PATIENCE, Stored};

/// Between two looks whether a transaction's records have been acknowledged.
const LOOK_EVERY: Duration = Duration::from_micros(500);

/// CPU per record of reading a topic read-committed, in ns; its partitions from 0 on hold `records`
/// or some more.
pub fn consume(site: &Installation, topic: &str, partitions: i32, records: usize) -> f64 {
    let consumer = site.consumer("raw");
    let mut list = TopicPartitionList::new();
    for partition in 0..partitions {
        list.add_partition_offset(topic, partition, Offset::Beginning).expect("a legal offset");
    }
    ns_per_item(records, || {
        consumer.assign(&list).expect("assigned");
        consume_batches(&consumer, topic, partitions, records);
    })
}

#[expect(unsafe_code, reason = "the batch call has no safe wrapper that touches nothing")]
fn consume_batches(consumer: &BaseConsumer, topic: &str, partitions: i32, records: usize) {
    let client = consumer.client().native_ptr();
    let name = CString::new(topic).expect("no zero byte");
    let mut messages = vec![ptr::null_mut(); 1_000];
    let mut left = records;
    // SAFETY: `client` lives as long as `consumer`; every message and queue taken is given back.
    unsafe {
        let queues: Vec<_> = (0..partitions)
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
                        left = left.saturating_sub(1);
                    }
                    bindings::rd_kafka_message_destroy(*message);
                }
            }
        }
        queues.into_iter().for_each(|queue| bindings::rd_kafka_queue_destroy(queue));
    }
}

/// CPU per record of writing records into a topic, lz4, in transactions of `at_once`, in ns.
pub fn produce(site: &Installation, topic: &str, records: &[Stored], at_once: usize) -> f64 {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", site.bootstrap())
        .set("transactional.id", topic)
        .set("linger.ms", "1")
        .set("compression.codec", "lz4")
        .set("delivery.report.only.error", "true")
        .create()
        .expect("a producer");
    producer.init_transactions(PATIENCE).expect("the coordinator answers");
    ns_per_item(records.len(), || {
        for records in records.chunks(at_once) {
            producer.begin_transaction().expect("none is open");
            produce_batch(&producer, topic, records);
            while producer.in_flight_count() > 0 {
                producer.poll(Duration::ZERO);
                nap(LOOK_EVERY);
            }
            producer.commit_transaction(PATIENCE).expect("nothing stands in the way");
        }
    })
}

#[expect(unsafe_code, reason = "producing by handle has no safe wrapper")]
fn produce_batch(producer: &BaseProducer, topic: &str, records: &[Stored]) {
    let name = CString::new(topic).expect("no zero byte");
    let parts = |bytes: &Option<Vec<u8>>| {
        bytes.as_ref().map_or((ptr::null_mut(), 0), |bytes| (bytes.as_ptr().cast_mut().cast(), bytes.len()))
    };
    // SAFETY: the topic's handle is given back while the producer lives; keys and values are copied.
    unsafe {
        let topic =
            bindings::rd_kafka_topic_new(producer.client().native_ptr(), name.as_ptr(), ptr::null_mut());
        for Stored { partition, key, value, .. } in records {
            let ((key, key_len), (value, value_len)) = (parts(key), parts(value));
            let refused = bindings::rd_kafka_produce(
                topic,
                *partition,
                bindings::RD_KAFKA_MSG_F_COPY,
                value,
                value_len,
                key,
                key_len,
                ptr::null_mut(),
            );
            assert_eq!(refused, 0, "the queue has room");
        }
        bindings::rd_kafka_topic_destroy(topic);
    }
}
