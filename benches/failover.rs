//! `kill -9` of one of two scorers on real Kafka: how long until the other one decides for the partitions of the dead
//! one, and what of that is waiting for the group, restoring, and the first batch.
//!
//! `RIPEN_BENCH_LEADS=1000000 cargo bench --bench failover` gives each instance so many leads; an ordinary run 100,000.

#[path = "../tests/support/mod.rs"]
mod support;

mod changelog;
mod hot;
mod measure;

use std::time::{Duration, Instant};

use measure::figure;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use ripen_harness::Leash;
use support::{Installation, PATIENCE, wait_until};

const LEADS_EACH: usize = 100_000;
const PARTITIONS: u8 = 8;
const PROBE_EVERY: Duration = Duration::from_millis(5);
/// Partitions that are silent from the first of these on until the second have lost their scorer: all others decide
/// several times within it.
const SILENT: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(4)];

fn main() {
    let leads =
        std::env::var("RIPEN_BENCH_LEADS").map_or(LEADS_EACH, |leads| leads.parse().expect("a number"));
    println!("# {leads} leads for each of two instances, {PARTITIONS} partitions, session timeout 15 s");
    let site = Installation::new("failover", i32::from(PARTITIONS), "auto");
    changelog::fill(&site, leads * 2);
    let _ingest = site.start("ingest");
    let mut dies = site.start_instance("scorer", "scorer-a", &[]);
    let stays = site.start_instance("scorer", "scorer-b", &[]);
    let decided = Decided::new(&site);
    let mut probes = Probes::new(&site);
    // Both have their share when every partition decides and the group has come to rest.
    let mut seen = vec![None; usize::from(PARTITIONS)];
    wait_until("both scorers are at work", || {
        probes.send();
        decided.look(Instant::now(), &mut seen);
        [&dies, &stays].iter().all(|scorer| running(scorer) >= usize::from(PARTITIONS) / 2)
    });
    wait_until("every partition decides", || {
        probes.send();
        decided.look(Instant::now(), &mut seen);
        seen.iter().all(Option::is_some)
    });

    let log_before = stays.output().len();
    let (killed, killed_at) = (Instant::now(), jiff::Timestamp::now());
    dies.kill9();
    while killed.elapsed() < SILENT[0] {
        probes.send();
        decided.look(killed, &mut seen);
    }
    seen.fill(None);
    while killed.elapsed() < SILENT[1] {
        probes.send();
        decided.look(killed, &mut seen);
    }
    let orphans: Vec<usize> = (0..seen.len()).filter(|partition| seen[*partition].is_none()).collect();
    assert!(!orphans.is_empty() && orphans.len() < seen.len(), "no partition, or all, went silent: {seen:?}");
    wait_until("every partition decides again", || {
        probes.send();
        decided.look(killed, &mut seen);
        seen.iter().all(Option::is_some)
    });

    let log = stays.output();
    let told = |what: &str| -> Vec<f64> {
        let lines = log[log_before..].lines().filter(|line| line.contains(what));
        lines
            .filter_map(|line| Some((stamp(line)? - killed_at).total(jiff::Unit::Second).unwrap_or_default()))
            .collect()
    };
    let assigned = told("partitions assigned").first().copied().expect("the log tells of the assignment");
    let first_running =
        told("partition running").first().copied().expect("the log tells of running partitions");
    let last_running = told("partition running").last().copied().unwrap_or(first_running);
    let times: Vec<f64> =
        orphans.iter().filter_map(|partition| seen[*partition]).map(|d| d.as_secs_f64()).collect();
    let first = times.iter().copied().fold(f64::MAX, f64::min);
    let last = times.iter().copied().fold(0.0, f64::max);
    figure("failover_partitions", "partitions", &[orphans.len() as f64]);
    figure("failover_until_assigned", "s", &[assigned]);
    figure("failover_restore_of_first", "s", &[first_running - assigned]);
    figure("failover_restore_of_all", "s", &[last_running - assigned]);
    figure("failover_first_decision", "s", &[first]);
    figure("failover_first_batch", "s", &[first - first_running]);
    figure("failover_last_partition_decides", "s", &[last]);
}

fn running(scorer: &Leash) -> usize {
    scorer.output().matches("partition running").count()
}

/// When a line of the log was written.
fn stamp(line: &str) -> Option<jiff::Timestamp> {
    line.split_whitespace().find_map(|word| word.trim_matches(['"', ',']).parse().ok())
}

/// Clicks of visitors of their own who take the price list: each decides a stage at once.
struct Probes {
    producer: BaseProducer,
    topic: String,
    next: u64,
}

impl Probes {
    fn new(site: &Installation) -> Probes {
        let producer = ClientConfig::new()
            .set("bootstrap.servers", site.bootstrap())
            .set("linger.ms", "0")
            .create()
            .expect("a producer");
        Probes { producer, topic: site.source.clone(), next: 0 }
    }

    fn send(&mut self) {
        let number = self.next;
        self.next += 1;
        let click = hot::probe(number);
        let record = BaseRecord::<(), _>::to(&self.topic).payload(&click);
        self.producer.send(record).map_err(|(error, _)| error).expect("the queue has room");
        self.producer.poll(Duration::ZERO);
    }
}

/// Reads decisions; they lie in partitions of the same numbers as their leads.
struct Decided(BaseConsumer);

impl Decided {
    fn new(site: &Installation) -> Decided {
        let consumer = site.consumer("failover");
        let metadata =
            consumer.fetch_metadata(Some(&site.topics.decisions), PATIENCE).expect("the broker answers");
        let partitions = metadata.topics()[0].partitions().len();
        assert_eq!(partitions, usize::from(PARTITIONS), "decisions have the partitions of leads");
        let mut list = TopicPartitionList::new();
        for partition in 0..i32::from(PARTITIONS) {
            let added = list.add_partition_offset(&site.topics.decisions, partition, Offset::Beginning);
            added.expect("a legal offset");
        }
        consumer.assign(&list).expect("assigned");
        Decided(consumer)
    }

    /// Notes, for partitions that have not decided yet, how long after `since` they did; waits for the next probe.
    fn look(&self, since: Instant, seen: &mut [Option<Duration>]) {
        let until = Instant::now() + PROBE_EVERY;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            if let Some(Ok(message)) = self.0.poll(left) {
                seen[usize::try_from(message.partition()).expect("a number")].get_or_insert(since.elapsed());
            }
        }
    }
}
