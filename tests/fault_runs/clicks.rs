//! Clicks for a fault run: made from a seed, written while things go wrong, remembered.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, NoCustomPartitioner, Producer, ProducerContext};
use ripen_harness::Dice;
use ripen_runtime::kafka::Bootstrap;

use crate::support::Installation;

/// Few enough for many clicks each, many enough for every partition.
const PERSONS: u64 = 400;
/// How far back a repeated click may lie.
const REPEATED_WITHIN: usize = 2_000;
const DELIVERY_LIMIT: Duration = Duration::from_secs(400);
const FLUSH_STEP: Duration = Duration::from_secs(5);

/// What was written into the source topic.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fed {
    /// Message ids of the clicks, as often as each was written.
    pub(crate) clicks: Vec<String>,
    /// Records that no format knows.
    pub(crate) junk: usize,
}

/// A thread that writes clicks until it is told to stop.
#[derive(Debug)]
pub(crate) struct Feed {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Fed, String>>,
}

impl Feed {
    /// Writes about `per_second` clicks a second into the source topic.
    pub(crate) fn start(site: &Installation, seed: u64, per_second: u32) -> Feed {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, topic) = (Arc::clone(&stop), site.source.clone());
        let producer = producer(site.bootstrap(), &site.dir().join("feed.log"));
        let bootstrap = Bootstrap::new(site.bootstrap());
        let thread =
            std::thread::spawn(move || feed(&producer, bootstrap, &topic, seed, per_second, &stopped));
        Feed { stop, thread }
    }

    /// Ends it; everything it wrote is in the topic, once. Otherwise says what is not.
    pub(crate) fn stop(self) -> Result<Fed, String> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the feed ends by itself")
    }
}

/// Writes down what the feed's client says.
#[derive(Debug)]
struct Log {
    file: File,
    began: Instant,
}

impl Log {
    fn line(&self, text: std::fmt::Arguments<'_>) {
        // What is lost here is lost to whoever looks for the reason of a failure, no more.
        let _ = writeln!(&self.file, "{:.3} s {text}", self.began.elapsed().as_secs_f64());
    }
}

impl ClientContext for Log {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.line(format_args!("{level:?} {facility} {message}"));
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.line(format_args!("{error}: {reason}"));
    }
}

impl ProducerContext<NoCustomPartitioner> for Log {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, _: ()) {
        if let Err((error, record)) = result {
            self.line(format_args!("a record for partition {} was given up: {error}", record.partition()));
        }
    }
}

fn producer(bootstrap: &str, log: &Path) -> BaseProducer<Log> {
    ClientConfig::new()
        .set_log_level(RDKafkaLogLevel::Info)
        .set("bootstrap.servers", bootstrap)
        .set("enable.idempotence", "true")
        .set("linger.ms", "5")
        // Without end: what was given up would be a click that was never fed.
        .set("message.timeout.ms", "0")
        .set("reconnect.backoff.max.ms", "1000")
        .create_with_context(Log { file: File::create(log).expect("a log"), began: Instant::now() })
        .expect("a producer")
}

fn feed(
    producer: &BaseProducer<Log>,
    mut bootstrap: Bootstrap,
    topic: &str,
    seed: u64,
    per_second: u32,
    stop: &AtomicBool,
) -> Result<Fed, String> {
    let mut dice = Dice::new(seed);
    let (mut fed, mut recent) = (Fed::default(), VecDeque::new());
    let began = Instant::now();
    let mut written = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        let due = (began.elapsed().as_secs_f64() * f64::from(per_second)) as u64;
        while written < due {
            let (key, value) = record(&mut dice, written, &mut recent, &mut fed);
            let mut record = BaseRecord::to(topic).key(&key).payload(&value);
            // A broker that is down for long fills the queue: the feed waits for it.
            while let Err((_, again)) = producer.send(record) {
                record = again;
                producer.poll(Duration::from_millis(100));
            }
            written += 1;
        }
        producer.poll(Duration::from_millis(5));
        if bootstrap.is_due() {
            bootstrap.recall(producer.client());
        }
    }
    let ended = Instant::now();
    while let Err(error) = producer.flush(FLUSH_STEP) {
        bootstrap.recall(producer.client());
        if ended.elapsed() > DELIVERY_LIMIT {
            return Err(format!("the feed still has {} records: {error}", producer.in_flight_count()));
        }
    }
    Ok(fed)
}

/// A record as it is written.
#[derive(Debug, Clone)]
struct Click {
    person: u64,
    id: String,
    value: String,
}

/// The next record: key and value.
fn record(dice: &mut Dice, number: u64, recent: &mut VecDeque<Click>, fed: &mut Fed) -> (String, String) {
    if dice.happens(5) {
        fed.junk += 1;
        return ("junk".to_owned(), format!("{{\"junk\": {number}"));
    }
    let click = if dice.happens(50) && !recent.is_empty() {
        // A tracker repeats itself, soon or late.
        recent[dice.between(0, recent.len() as u64) as usize].clone()
    } else {
        click(dice, number)
    };
    fed.clicks.push(click.id.clone());
    recent.push_back(click.clone());
    if recent.len() > REPEATED_WITHIN {
        recent.pop_front();
    }
    (format!("p-{}", click.person), click.value)
}

fn click(dice: &mut Dice, number: u64) -> Click {
    let person = dice.between(0, PERSONS);
    let event = match dice.between(0, 100) {
        0..4 => r#""type":"track","event":"credit_calculated""#.to_owned(),
        4..7 => r#""type":"track","event":"form_submit","properties":{"form":"test_drive"}"#.to_owned(),
        7..13 => sales_answer(dice).to_owned(),
        13..16 => format!(r#""type":"identify","traits":{{"email":"p{person}@shop.example"}}"#),
        path => {
            let path = format!("/models/m{}", path % 7);
            format!(
                r#""type":"page","properties":{{"path":"{path}"}},"context":{{"page":{{"path":"{path}"}}}}"#
            )
        }
    };
    let id = format!("m-{number}");
    let value = format!(r#"{{"messageId":"{id}",{},{event}}}"#, ids(dice, person));
    Click { person, id, value }
}

/// What the CRM says of a lead, whether sales has got it or not.
fn sales_answer(dice: &mut Dice) -> &'static str {
    match dice.between(0, 12) {
        0..4 => r#""type":"track","event":"crm_first_touch""#,
        4..6 => r#""type":"track","event":"crm_accepted""#,
        6 => r#""type":"track","event":"crm_rejected""#,
        7 => r#""type":"track","event":"crm_lost""#,
        8 => r#""type":"track","event":"crm_won","properties":{"amount":1200}"#,
        9..11 => r#""type":"track","event":"contract_end""#,
        _ => r#""type":"track","event":"crm_disqualified","properties":{"reason":"refused"}"#,
    }
}

/// One person has two browsers; one in four signs in now and then, and is seen by other ids from then on.
fn ids(dice: &mut Dice, person: u64) -> String {
    let browser = if dice.happens(300) { "b" } else { "a" };
    let anonymous = format!(r#""anonymousId":"{browser}-{person}""#);
    match (person % 4, dice.between(0, 10)) {
        (0, 0..2) => format!(r#"{anonymous},"userId":"u-{person}""#),
        (0, 2) => format!(r#""userId":"u-{person}""#),
        _ => anonymous,
    }
}
