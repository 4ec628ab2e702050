//! A changelog as a scorer would have written it: leads with three activities each, made by the operator itself.

#![allow(unreachable_pub, reason = "part of several benches")]

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use ripen::operators::ScorerOperator;
use ripen_records::{ActivityRecord, Switch, Text, encode_activity};
use ripen_runtime::worker::{META_KEY, PartitionMeta};
use ripen_runtime::{Changelog, Headers, Operator, Outbox, Outcome, Record, TimestampType};
use ripen_scorer::{SEMANTICS, STATE_FORMAT};

use crate::hot;
use crate::support::{Installation, PATIENCE, model_path};

const PAGES: [&str; 3] = ["/models/m", "/models/n", "/models/o"];
/// 1 November 2026.
const START_MS: i64 = 1_793_491_200_000;

/// Fills the installation's changelog with so many leads, spread evenly; answers how many records that are. Nothing
/// of the activities has been read then, as far as offsets and state say.
pub fn fill(site: &Installation, leads: usize) -> usize {
    let text = std::fs::read_to_string(model_path()).expect("the example model");
    let hash = ripen_model::compile("model.yaml", &text).unwrap_or_else(|errors| panic!("{errors}")).hash;
    let mut operator = ScorerOperator::new(site.topics.clone());
    operator.table_record(&site.topics.models, hash.as_bytes(), Some(text.as_bytes()));
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", site.bootstrap())
        .set("compression.codec", "lz4")
        .set("linger.ms", "5")
        .set("queue.buffering.max.messages", "1000000")
        .create()
        .expect("a producer");
    let mut writer = Writer { site, producer, records: 0 };
    for partition in 0..site.partitions {
        operator.assigned(partition);
        operator.restored(partition, None).expect("an empty partition");
        let share = leads.div_ceil(site.partitions as usize);
        writer.fill_partition(&mut operator, &hash, partition, share);
        operator.revoked(partition);
    }
    writer.producer.flush(PATIENCE).expect("everything is delivered");
    writer.records
}

struct Writer<'a> {
    site: &'a Installation,
    producer: BaseProducer,
    records: usize,
}

impl Writer<'_> {
    fn fill_partition(&mut self, operator: &mut ScorerOperator, hash: &str, partition: i32, leads: usize) {
        let mut out = Outbox::default();
        let switch = ActivityRecord::Switch(Switch {
            epoch: 1,
            model_hash: Text::from(hash),
            semantics: SEMANTICS,
            state_format: STATE_FORMAT,
            at_ms: START_MS,
        });
        self.apply(operator, partition, None, &switch, START_MS, &mut out);
        for lead in 0..leads {
            let id = format!("anon:{partition:04x}{lead:028x}");
            for (n, page) in PAGES.iter().enumerate() {
                let event_id = format!("{partition}-{lead}-{n}");
                let at_ms = START_MS + lead as i64 + n as i64 * 60_000;
                let record = ActivityRecord::Activity(hot::page_view(&id, &event_id, page, at_ms));
                self.apply(operator, partition, Some(&id), &record, at_ms, &mut out);
            }
            if lead % hot::BATCH == hot::BATCH - 1 || lead + 1 == leads {
                self.seal(operator, partition, &mut out);
            }
        }
    }

    fn apply(
        &self,
        operator: &mut ScorerOperator,
        partition: i32,
        lead: Option<&str>,
        activity: &ActivityRecord<'_>,
        timestamp_ms: i64,
        out: &mut Outbox,
    ) {
        let mut value = Vec::new();
        encode_activity(activity, &mut value).expect("it fits its schema");
        let record = Record {
            topic: &self.site.topics.activities,
            partition,
            offset: 0,
            timestamp_ms,
            timestamp_type: TimestampType::LogAppendTime,
            key: lead.map(str::as_bytes),
            value: Some(&value),
            headers: Headers::EMPTY,
        };
        let outcome = operator.apply(&record, out);
        assert_eq!(outcome, Outcome::Applied);
        out.clear();
    }

    fn seal(&mut self, operator: &mut ScorerOperator, partition: i32, out: &mut Outbox) {
        let mut meta = PartitionMeta {
            next_offset: 0,
            state_format: operator.state_format(),
            application: self.site.group("scorer"),
            marker: "bench:1".to_owned(),
            operator: Vec::new(),
        };
        let topic = self.site.topics.leads.as_str();
        let mut changelog = Changelog::new(out, topic, partition);
        operator.seal(partition, &mut changelog, &mut meta.operator);
        changelog.put(META_KEY, &meta.encode());
        operator.committed();
        for record in out.iter() {
            let mut message = BaseRecord::to(topic).partition(partition);
            (message.key, message.payload) = (record.key, record.value);
            while let Err((_, again)) = self.producer.send(message) {
                self.producer.poll(Duration::from_millis(1));
                message = again;
            }
            self.records += 1;
        }
        self.producer.poll(Duration::ZERO);
        out.clear();
    }
}
