//! The floor that consuming is measured against: librdkafka's batch call, nothing touched.

#![allow(dead_code, unreachable_pub, reason = "each bench uses a part")]

use std::ffi::CString;
use std::ptr;

use rdkafka::bindings;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use crate::measure::ns_per_item;
use crate::support::Installation;

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
