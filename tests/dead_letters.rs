//! Each kind of record that cannot be used, between good ones: it has its reason, keeps its bytes, key and headers,
//! and the stream goes on.

use ripen::operators::IngestOperator;
use ripen_ingest::{Arrival, Format, Limits};
use ripen_records::{ActivityRecord, Topics, decode_activity, headers};
use ripen_runtime::log::PollLimits;
use ripen_runtime::memory::{MemoryLog, MemoryTopic};
use ripen_runtime::worker::run_until_idle;
use ripen_runtime::{Clock, Headers, Operator, OutRecord, Outbox, RecordBatch, To, Worker, WorkerConfig};

const SOURCE: &str = "clickstream";
const READ_ALL: PollLimits = PollLimits { records: usize::MAX, bytes: usize::MAX };
const LIMITS: Limits = Limits { value_bytes: 2_000, depth: 8, batch_elements: 100 };

/// A bad record and the reason it has to get; `None` is a tombstone.
fn bad_records() -> Vec<(Option<Vec<u8>>, &'static str)> {
    let deep = format!(
        r#"{{"type":"track","anonymousId":"a","event":"x","properties":{}1{}}}"#,
        "[".repeat(20),
        "]".repeat(20)
    );
    let large =
        format!(r#"{{"type":"track","anonymousId":"a","event":"x","filler":"{}"}}"#, "x".repeat(3_000));
    let text = |json: &str| Some(json.as_bytes().to_vec());
    vec![
        (text("nonsense"), "not_json"),
        (text(r#"{"type":"track","anonymousId":"a""#), "not_json"),
        (text("[1, 2]"), "wrong_shape"),
        (text(r#"{"type":"track","anonymousId":"a"}"#), "wrong_shape"),
        (text(r#"{"type":"track","event":"x"}"#), "no_id"),
        (text(r#"{"type":"audienceList","anonymousId":"a"}"#), "unknown_type"),
        (text(&large), "too_large"),
        (text(&deep), "too_deep"),
        (Some(b"{\"type\":\"track\",\"event\":\"\xff\",\"anonymousId\":\"a\"}".to_vec()), "invalid_utf8"),
        (None, "tombstone"),
    ]
}

#[test]
fn each_has_its_reason_and_its_bytes_and_the_stream_goes_on() {
    let (log, topics) = log();
    let (mut dead, mut activities) = (log.reader(&topics.dead_letters), log.reader(&topics.activities));
    let bad = bad_records();
    log.append(&input(&topics, &bad));
    ingest_all(&log, &topics);

    let mut batch = RecordBatch::new();
    dead.read(&mut batch, READ_ALL);
    let told: Vec<_> = batch
        .iter()
        .map(|record| {
            let header =
                |name| record.headers.get(name).map(|value| String::from_utf8_lossy(value).into_owned());
            assert_eq!(record.key, Some(b"key".as_slice()));
            assert_eq!(header("traceparent").as_deref(), Some("00-1"), "its own headers stay");
            assert_eq!(header(headers::TOPIC).as_deref(), Some(SOURCE));
            let offset: i64 = header(headers::OFFSET).expect("an offset").parse().expect("a number");
            (record.value.map(<[u8]>::to_vec), header(headers::REASON).expect("a reason"), offset)
        })
        .collect();
    let expected: Vec<_> =
        bad.into_iter().zip(0..).map(|((value, reason), n)| (value, reason.to_owned(), 2 * n)).collect();
    assert_eq!(told, expected);

    batch.clear();
    activities.read(&mut batch, READ_ALL);
    let accepted: Vec<String> = batch
        .iter()
        .map(|record| match decode_activity(record.value.expect("a value")).expect("our schema") {
            ActivityRecord::Activity(activity) => activity.event_id.to_string(),
            other => panic!("{other:?}"),
        })
        .collect();
    let good: Vec<String> = (0..expected.len()).map(|n| format!("good-{n}")).collect();
    assert_eq!(accepted, good, "each good record between them is read, once and in order");
}

/// A batch's good elements count; its bad ones are written with the whole record, once for each reason.
#[test]
fn a_batch_is_written_once_for_each_reason() {
    let batch = r#"{"batch":[{"type":"track","messageId":"good","anonymousId":"a","event":"x"},
        {"type":"track","event":"x"}, 7, {"type":"track","event":"y"}]}"#;
    let (log, topics) = log();
    let (mut dead, mut activities) = (log.reader(&topics.dead_letters), log.reader(&topics.activities));
    let mut out = model(&topics);
    out.push(&record(SOURCE, b"key", Some(batch.as_bytes())));
    log.append(&out);
    ingest_all(&log, &topics);
    let mut read = RecordBatch::new();
    dead.read(&mut read, READ_ALL);
    let told: Vec<String> = read
        .iter()
        .map(|record| {
            assert_eq!(record.value, Some(batch.as_bytes()));
            let header =
                |name| String::from_utf8_lossy(record.headers.get(name).unwrap_or_default()).into_owned();
            format!("{} {}", header(headers::REASON), header("x-ripen-elements"))
        })
        .collect();
    assert_eq!(told, ["wrong_shape 2", "no_id 1,3"]);
    read.clear();
    activities.read(&mut read, READ_ALL);
    assert_eq!(read.len(), 1);
}

fn log() -> (MemoryLog, Topics) {
    let topics = Topics::with_prefix("");
    let log = MemoryLog::new(&[
        MemoryTopic::new(SOURCE, 1),
        MemoryTopic::new(&topics.activities, 1),
        MemoryTopic::compacted(&topics.models, 1),
        MemoryTopic::new(&topics.dead_letters, 1),
    ]);
    (log, topics)
}

fn ingest_all(log: &MemoryLog, topics: &Topics) {
    let operator =
        IngestOperator::new(topics.clone(), [(SOURCE.to_owned(), Format::Segment)], LIMITS, Arrival::Source);
    let client = log.client("ingest", "ingest", "ingest", &operator.wiring().inputs);
    let config = WorkerConfig { clock: Clock::Log, ..WorkerConfig::new("ingest", "ingest") };
    let mut worker = Worker::new(client, operator, config).expect("the topics are there");
    run_until_idle(&mut [&mut worker], 0).expect("no record ends it");
}

/// The model, then bad and good records in turn.
fn input(topics: &Topics, bad: &[(Option<Vec<u8>>, &'static str)]) -> Outbox {
    let mut out = model(topics);
    for (n, (value, _)) in bad.iter().enumerate() {
        out.push(&record(SOURCE, b"key", value.as_deref()));
        let good = format!(r#"{{"type":"track","messageId":"good-{n}","anonymousId":"a{n}","event":"x"}}"#);
        out.push(&record(SOURCE, b"key", Some(good.as_bytes())));
    }
    out
}

fn model(topics: &Topics) -> Outbox {
    let model = include_str!("../models/auto-dealer.yaml");
    let hash = ripen_model::compile("auto-dealer.yaml", model).expect("it compiles").hash;
    let mut out = Outbox::default();
    out.push(&record(&topics.models, hash.as_bytes(), Some(model.as_bytes())));
    out
}

fn record<'a>(topic: &'a str, key: &'a [u8], value: Option<&'a [u8]>) -> OutRecord<'a> {
    const TRACE: &[(&str, Option<&[u8]>)] = &[("traceparent", Some(b"00-1"))];
    OutRecord {
        topic,
        to: To::Partition(0),
        key: Some(key),
        value,
        headers: Headers::new(TRACE),
        timestamp_ms: Some(1_793_491_200_000),
    }
}
