//! A changelog as a scorer would have written it: leads with three activities each, made by the operator itself.

#![allow(dead_code, unreachable_pub, reason = "each bench uses a part")]

use std::thread;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use ripen::operators::ScorerOperator;
use ripen_records::{ActivityRecord, Switch, Text, encode_activity};
use ripen_runtime::memory::partition_of;
use ripen_runtime::worker::{META_KEY, PartitionMeta};
use ripen_runtime::{Changelog, Headers, Operator, Outbox, Outcome, Record, TimestampType};
use ripen_scorer::{SEMANTICS, STATE_FORMAT};

use crate::hot;
use crate::support::{Installation, PATIENCE, model_path};

/// What a lead of the changelog has looked at.
pub const PAGES: [&str; 3] = ["/models/m", "/models/n", "/models/o"];
/// Between two activities of a lead.
const BETWEEN_MS: i64 = 60_000;

/// Fills the installation's changelog with so many leads; answers how many records that are. The
/// activities are as far read as the group's offsets say, and the last ones were made now.
pub fn fill(site: &Installation, leads: usize) -> usize {
    let mut shares = vec![Vec::new(); site.partitions as usize];
    for lead in 0..leads {
        shares[partition_of(id(lead).as_bytes(), site.partitions) as usize].push(lead);
    }
    let now_ms = jiff::Timestamp::now().as_millisecond();
    let offsets = site.committed("scorer", &site.topics.activities);
    let partitions: Vec<(i32, i64)> = (0..site.partitions).zip(offsets).collect();
    thread::scope(|scope| {
        let part = |partitions: &[(i32, i64)]| -> usize {
            let fill =
                |(at, offset): &(i32, i64)| fill_partition(site, *at, *offset, &shares[*at as usize], now_ms);
            partitions.iter().map(fill).sum()
        };
        let halves = partitions.split_at(partitions.len() / 2);
        let other = scope.spawn(move || part(halves.1));
        part(halves.0) + other.join().expect("the other half is filled")
    })
}

/// What the trackers call one of the leads that [`fill`] makes.
pub fn anonymous_id(lead: usize) -> String {
    format!("{:016x}{:016x}", hot::mix(2 * lead as u64), hot::mix(2 * lead as u64 + 1))
}

fn id(lead: usize) -> String {
    format!("anon:{}", anonymous_id(lead))
}

fn fill_partition(site: &Installation, partition: i32, offset: i64, leads: &[usize], now_ms: i64) -> usize {
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
    let mut writer = Writer { site, producer, offset, records: 0 };
    operator.assigned(partition);
    operator.restored(partition, None).expect("an empty partition");
    writer.fill(&mut operator, &hash, partition, leads, now_ms);
    writer.producer.flush(PATIENCE).expect("everything is delivered");
    writer.records
}

struct Writer<'a> {
    site: &'a Installation,
    producer: BaseProducer,
    /// Of the activity that is next.
    offset: i64,
    records: usize,
}

impl Writer<'_> {
    fn fill(
        &mut self,
        operator: &mut ScorerOperator,
        hash: &str,
        partition: i32,
        leads: &[usize],
        now_ms: i64,
    ) {
        let mut out = Outbox::default();
        let start_ms = now_ms - leads.len() as i64 - PAGES.len() as i64 * BETWEEN_MS;
        let switch = ActivityRecord::Switch(Switch {
            epoch: 1,
            model_hash: Text::from(hash),
            semantics: SEMANTICS,
            state_format: STATE_FORMAT,
            at_ms: start_ms,
        });
        self.apply(operator, partition, None, &switch, start_ms, &mut out);
        for (index, lead) in leads.iter().enumerate() {
            let id = id(*lead);
            for (n, page) in PAGES.iter().enumerate() {
                let event_id = format!("{lead}-{n}");
                let at_ms = start_ms + index as i64 + (n as i64 + 1) * BETWEEN_MS;
                let record = ActivityRecord::Activity(hot::page_view(&id, &event_id, page, at_ms));
                self.apply(operator, partition, Some(&id), &record, at_ms, &mut out);
            }
            if index % hot::BATCH == hot::BATCH - 1 || index + 1 == leads.len() {
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
            next_offset: self.offset,
            state_format: operator.state_format(partition),
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
