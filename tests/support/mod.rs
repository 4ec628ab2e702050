//! An installation of Ripen on a real broker: topics and processes of its own, and readers of what it wrote.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};
use ripen_harness::{Leash, create_topic, shared_broker, topic_prefix};
use ripen_records::Topics;

const RIPEN: &str = env!("CARGO_BIN_EXE_ripen");

/// How long a step of a test may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// One installation: a prefix, a source topic, a configuration file.
#[derive(Debug)]
pub struct Installation {
    pub topics: Topics,
    pub source: String,
    pub partitions: i32,
    bootstrap: String,
    prefix: String,
    dir: tempfile::TempDir,
}

/// What an installation is made of.
#[derive(Debug, Clone)]
pub struct Setup {
    pub name: String,
    /// Where this test looks, and where the processes connect to, which may be a proxy.
    pub bootstrap: String,
    pub processes: String,
    pub partitions: i32,
    pub replication: u32,
    pub workers: u32,
    pub commit: String,
    /// librdkafka properties, as YAML.
    pub properties: String,
    pub model: PathBuf,
}

impl Setup {
    /// The shared broker, two workers a process, the dealer's model.
    pub fn shared(name: &str, partitions: i32, commit: &str) -> Setup {
        let bootstrap = shared_broker().bootstrap();
        Setup {
            name: name.to_owned(),
            processes: bootstrap.clone(),
            bootstrap,
            partitions,
            replication: 1,
            workers: 2,
            commit: commit.to_owned(),
            properties: "{}".to_owned(),
            model: model_path(),
        }
    }
}

/// A record as it stands in a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    pub partition: i32,
    pub offset: i64,
    pub timestamp_ms: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
}

impl Installation {
    /// Topics made by `ripen topics apply`, the dealer's model activated.
    pub fn new(name: &str, partitions: i32, commit: &str) -> Installation {
        Installation::of(&Setup::shared(name, partitions, commit))
    }

    /// The same of another make.
    pub fn of(setup: &Setup) -> Installation {
        let Setup { bootstrap, processes, partitions, replication, workers, commit, properties, .. } = setup;
        let prefix = topic_prefix(&setup.name);
        let source = format!("{prefix}clickstream");
        create_topic(bootstrap, &source, 2, &["retention.ms=-1"]);
        let dir = tempfile::tempdir().expect("a temporary directory");
        let in_sync = replication.div_ceil(2);
        let config = format!(
            "kafka: {{bootstrap: '{processes}', properties: {properties}}}\nprefix: '{prefix}'\nnamespace: test\n\
             workers: {workers}\nsources: [{{topic: '{source}', format: segment}}]\n\
             ingest: {{start: earliest}}\ncommit: {commit}\n\
             topics: {{partitions: {partitions}, replication: {replication}, min_insync_replicas: {in_sync}}}\n\
             http: {{listen: '127.0.0.1:0'}}\n"
        );
        std::fs::write(dir.path().join("ripen.yaml"), config).expect("the configuration is written");
        let installation = Installation {
            topics: Topics::with_prefix(&prefix),
            source,
            partitions: *partitions,
            bootstrap: bootstrap.clone(),
            prefix,
            dir,
        };
        installation.run(&["topics", "apply"]);
        installation.run(&["model", "activate", &setup.model.display().to_string()]);
        installation
    }

    /// Runs a command to its end; it has to succeed.
    pub fn run(&self, arguments: &[&str]) -> Output {
        let output = self.try_run(arguments);
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "ripen {arguments:?} ended with {}: {text}", output.status);
        output
    }

    /// Runs a command to its end, however that ends.
    pub fn try_run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(RIPEN);
        command.arg("--config").arg(self.dir.path().join("ripen.yaml")).args(arguments);
        command.output().expect("ripen starts")
    }

    /// Activates another model.
    pub fn activate(&self, text: &str) {
        let path = self.dir.path().join("model.yaml");
        std::fs::write(&path, text).expect("the model is written");
        self.run(&["model", "activate", &path.display().to_string()]);
    }

    /// Starts a service as a process of its own.
    pub fn start(&self, service: &str) -> Leash {
        self.start_instance(service, service, &[])
    }

    /// One instance of a service; `environment` as `NAME=value`. Its log bears its name and is appended to.
    pub fn start_instance(&self, service: &str, instance: &str, environment: &[String]) -> Leash {
        let mut command = vec!["env".to_owned()];
        command.extend_from_slice(environment);
        command.extend([RIPEN.to_owned(), "--config".to_owned()]);
        command.push(self.dir.path().join("ripen.yaml").display().to_string());
        command.extend(["--set".to_owned(), format!("instance={instance}"), service.to_owned()]);
        Leash::start(command, &self.dir.path().join(format!("{instance}.log")), None)
    }

    /// What an instance has printed.
    pub fn log(&self, instance: &str) -> String {
        std::fs::read_to_string(self.dir.path().join(format!("{instance}.log"))).unwrap_or_default()
    }

    /// Where configuration and logs are.
    pub fn dir(&self) -> &std::path::Path {
        self.dir.path()
    }

    /// Keeps this directory, and says where it is.
    pub fn keep(&mut self) -> &std::path::Path {
        self.dir.disable_cleanup(true);
        self.dir.path()
    }

    /// Writes records into the source topic: key, value, timestamp.
    pub fn produce<'a>(&self, records: impl IntoIterator<Item = (&'a str, Vec<u8>, i64)>) {
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap)
            .set("linger.ms", "5")
            .set("compression.codec", "lz4")
            .set("queue.buffering.max.messages", "500000")
            .create()
            .expect("a producer");
        for (key, value, timestamp_ms) in records {
            let record = BaseRecord::to(&self.source).key(key).payload(&value).timestamp(timestamp_ms);
            producer.send(record).map_err(|(error, _)| error).expect("the queue has room");
            producer.poll(Duration::ZERO);
        }
        producer.flush(PATIENCE).expect("everything is delivered");
    }

    /// Everything that is committed in a topic at this moment, partition by partition.
    pub fn read(&self, topic: &str) -> Vec<Stored> {
        let consumer = self.consumer("reader");
        let partitions = self.partition_numbers(&consumer, topic);
        let mut list = TopicPartitionList::new();
        for partition in &partitions {
            list.add_partition_offset(topic, *partition, Offset::Beginning).expect("a legal offset");
        }
        consumer.assign(&list).expect("assigned");
        let mut ended = 0;
        let mut stored = Vec::new();
        while ended < partitions.len() {
            match consumer.poll(PATIENCE).expect("the broker answers in time") {
                Ok(message) => stored.push(Stored {
                    partition: message.partition(),
                    offset: message.offset(),
                    timestamp_ms: message.timestamp().to_millis().unwrap_or_default(),
                    key: message.key().map(<[u8]>::to_vec),
                    value: message.payload().map(<[u8]>::to_vec),
                }),
                Err(KafkaError::PartitionEOF(_)) => ended += 1,
                Err(error) => panic!("reading {topic}: {error}"),
            }
        }
        stored.sort_by_key(|record| (record.partition, record.offset));
        stored
    }

    /// The offset that a service's group has committed in each partition of a topic; 0 where there is none.
    pub fn committed(&self, service: &str, topic: &str) -> Vec<i64> {
        let consumer = self.consumer(&self.group(service));
        let mut list = TopicPartitionList::new();
        for partition in self.partition_numbers(&consumer, topic) {
            list.add_partition(topic, partition);
        }
        let committed = consumer.committed_offsets(list, PATIENCE).expect("the group answers");
        let mut offsets: Vec<(i32, i64)> = committed
            .elements()
            .iter()
            .map(|element| (element.partition(), element.offset().to_raw().unwrap_or_default().max(0)))
            .collect();
        offsets.sort_unstable();
        offsets.into_iter().map(|(_, offset)| offset).collect()
    }

    /// How many transactions the workers of a service have committed, by the markers in their offsets: those that still
    /// own a partition of the topic.
    pub fn transactions(&self, service: &str, topic: &str) -> u64 {
        let consumer = self.consumer(&self.group(service));
        let mut list = TopicPartitionList::new();
        for partition in self.partition_numbers(&consumer, topic) {
            list.add_partition(topic, partition);
        }
        let committed = consumer.committed_offsets(list, PATIENCE).expect("the group answers");
        let mut newest = BTreeMap::<String, u64>::new();
        for element in committed.elements() {
            let Some((worker, number)) = element.metadata().rsplit_once(':') else { continue };
            let newest = newest.entry(worker.to_owned()).or_default();
            *newest = number.parse().map_or(*newest, |number| (*newest).max(number));
        }
        newest.values().sum()
    }

    /// Waits until a service has committed everything that stands in a topic now.
    pub fn wait_until_consumed(&self, service: &str, topic: &str) {
        wait_until(&format!("{service} has consumed {topic}"), || {
            let committed = self.committed(service, topic);
            self.read(topic).iter().all(|record| record.offset < committed[record.partition as usize])
        });
    }

    /// Whether a service's group stands at the end of a topic, without reading it; cheap to ask again.
    pub fn end_of(&self, service: &str, topic: &str) -> impl Fn() -> bool {
        let group = self.consumer(&self.group(service));
        let mut partitions = TopicPartitionList::new();
        for partition in self.partition_numbers(&group, topic) {
            partitions.add_partition(topic, partition);
        }
        move || {
            let committed = group.committed_offsets(partitions.clone(), PATIENCE).expect("the group answers");
            committed.elements().iter().all(|element| {
                let (topic, partition) = (element.topic(), element.partition());
                let (_, end) = group.fetch_watermarks(topic, partition, PATIENCE).expect("watermarks");
                // The last records may be markers, one of each of two workers' transactions: nobody commits past them.
                element.offset().to_raw().unwrap_or_default().max(0) >= end - 2
            })
        }
    }

    /// A read-committed consumer of a group, nothing assigned yet.
    pub fn consumer(&self, group: &str) -> BaseConsumer {
        ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap)
            .set("group.id", group)
            .set("isolation.level", "read_committed")
            .set("enable.partition.eof", "true")
            .set("enable.auto.commit", "false")
            .create()
            .expect("a consumer")
    }

    /// The consumer group of a service.
    pub fn group(&self, service: &str) -> String {
        format!("{}ripen-{service}", self.prefix)
    }

    /// The broker's address.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    fn partition_numbers(&self, consumer: &BaseConsumer, topic: &str) -> Vec<i32> {
        let metadata = consumer.fetch_metadata(Some(topic), PATIENCE).expect("the broker answers");
        metadata.topics()[0].partitions().iter().map(|partition| partition.id()).collect()
    }
}

/// The example model.
pub fn model_path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("models/auto-dealer.yaml")
}

/// Asks again until it holds.
///
/// # Panics
/// When it does not within [`PATIENCE`].
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
    }
}

/// Waits until both workers of a service have so many partitions each: the second one joins some seconds after the first.
pub fn wait_until_shared(service: &Leash, partitions_each: usize) {
    wait_until("both workers have their share", || are_shared(&service.output(), partitions_each));
}

/// Whether a service's log says of both workers that they have so many partitions each.
pub fn are_shared(log: &str, partitions_each: usize) -> bool {
    let ready = format!("ready with {partitions_each} partitions");
    ["worker=0", "worker=1"].iter().all(|worker| {
        let last = log.lines().rfind(|line| line.contains("ready with") && line.contains(worker));
        last.is_some_and(|line| line.contains(&ready))
    })
}
