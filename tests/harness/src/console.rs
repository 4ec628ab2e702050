//! Kafka's own command-line tools: an opinion on the broker's contents that is not ours.

use std::time::Duration;

use crate::jars::java_tool;

/// Separators that no key, header or text value of a test contains.
const COLUMN_END: &str = "\u{1f}";
const HEADER_END: &str = "\u{1e}";
const RECORD_END: &str = "\u{1d}\n";
/// What the JVM needs to start and end.
const JVM_ALLOWANCE: Duration = Duration::from_secs(60);
/// What it may take to print a topic of a long run on a busy machine: cut off, it would end within a record.
const PRINTING_LIMIT: Duration = Duration::from_secs(600);

/// What one run of the console consumer reads: from the beginning of the topic, committed records only.
#[derive(Debug, Clone)]
pub struct ConsoleRun {
    /// Ends the run after so many records.
    pub max_messages: usize,
    /// Ends the run when no record has come for so long.
    pub idle_limit: Duration,
}

impl ConsoleRun {
    /// Reads up to `max_messages`; gives up when none has come for 15 s.
    pub fn of(max_messages: usize) -> Self {
        Self { max_messages, idle_limit: Duration::from_secs(15) }
    }
}

/// One record as the console consumer prints it: as text, where bytes that are not UTF-8 are shown as replacement
/// characters, or as bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsoleRecord<T = String> {
    /// Partition number.
    pub partition: i32,
    /// Offset in the partition.
    pub offset: i64,
    /// Record timestamp, milliseconds since 1970.
    pub timestamp_ms: i64,
    /// Names and values, in the record's order.
    pub headers: Vec<(String, String)>,
    /// `None`: the record has no key.
    pub key: Option<T>,
    /// `None`: a tombstone.
    pub value: Option<T>,
}

impl<T> ConsoleRecord<T> {
    /// Value of the first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }
}

/// Reads `topic` from its beginning, read-committed, with the Java console consumer.
///
/// # Panics
/// When the consumer prints something else than records.
pub fn console_consumer(bootstrap: &str, topic: &str, run: &ConsoleRun) -> Vec<ConsoleRecord> {
    consume(bootstrap, topic, run, &[])
}

/// The same with keys and values to the last byte.
///
/// # Panics
/// As [`console_consumer`].
pub fn console_bytes(bootstrap: &str, topic: &str, run: &ConsoleRun) -> Vec<ConsoleRecord<Vec<u8>>> {
    // Kafka's `Bytes` prints what is not printable ASCII, and the backslash, as `\xNN`.
    let escaping = ["key", "value"]
        .map(|part| format!("{part}.deserializer=org.apache.kafka.common.serialization.BytesDeserializer"));
    let unescaped = |text: String| {
        let bytes = unescape(&text).unwrap_or_else(|| panic!("not as Bytes prints: {text:?}"));
        // The formatter gives the literal for what is not there to the deserializer as well.
        (bytes != NULL.as_bytes()).then_some(bytes)
    };
    consume(bootstrap, topic, run, &escaping)
        .into_iter()
        .map(|record| ConsoleRecord {
            partition: record.partition,
            offset: record.offset,
            timestamp_ms: record.timestamp_ms,
            headers: record.headers,
            key: record.key.and_then(unescaped),
            value: record.value.and_then(unescaped),
        })
        .collect()
}

fn consume(bootstrap: &str, topic: &str, run: &ConsoleRun, formatting: &[String]) -> Vec<ConsoleRecord> {
    let max_messages = run.max_messages.to_string();
    let idle_limit_ms = run.idle_limit.as_millis().to_string();
    let properties = [
        "print.partition=true".to_owned(),
        "print.offset=true".to_owned(),
        "print.timestamp=true".to_owned(),
        "print.headers=true".to_owned(),
        "print.key=true".to_owned(),
        format!("key.separator={COLUMN_END}"),
        format!("headers.separator={HEADER_END}"),
        format!("line.separator={RECORD_END}"),
        format!("null.literal={NULL}"),
    ];
    let mut args = vec!["--bootstrap-server", bootstrap, "--topic", topic, "--from-beginning"];
    args.extend(["--isolation-level", "read_committed"]);
    args.extend(["--max-messages", &max_messages, "--timeout-ms", &idle_limit_ms]);
    for property in properties.iter().chain(formatting) {
        args.extend(["--property", property]);
    }
    let limit = run.idle_limit + JVM_ALLOWANCE + PRINTING_LIMIT;
    let output = java_tool("org.apache.kafka.tools.consumer.ConsoleConsumer", &args, limit);
    let text = String::from_utf8_lossy(&output.stdout);
    let records = text.split_terminator(RECORD_END).map(|line| {
        record(line).unwrap_or_else(|| {
            panic!("console consumer printed {line:?} and said {}", String::from_utf8_lossy(&output.stderr))
        })
    });
    records.collect()
}

/// Creates a topic with the Java admin tool, `config` as `name=value`, with as many replicas as the brokers make by
/// default.
///
/// # Panics
/// When the broker refuses.
pub fn create_topic(bootstrap: &str, topic: &str, partitions: u32, config: &[&str]) {
    let partitions = partitions.to_string();
    let mut args = vec!["--bootstrap-server", bootstrap, "--create", "--topic", topic];
    args.extend(["--partitions", &partitions]);
    for pair in config {
        args.extend(["--config", pair]);
    }
    let output = java_tool("org.apache.kafka.tools.TopicCommand", &args, JVM_ALLOWANCE);
    let said = [&output.stdout, &output.stderr].map(|said| String::from_utf8_lossy(said));
    assert!(output.status.success(), "topic {topic}: {}: {}", output.status, said.join(" "));
}

const NULL: &str = "\u{1c}null";

/// `CreateTime:1␟Partition:0␟Offset:2␟name:value␞name:value␟key␟value`, where ␟ and ␞ are the separators.
fn record(line: &str) -> Option<ConsoleRecord> {
    let mut columns = line.splitn(6, COLUMN_END);
    let timestamp_ms = columns.next()?.split_once(':')?.1.parse().ok()?;
    let partition = columns.next()?.strip_prefix("Partition:")?.parse().ok()?;
    let offset = columns.next()?.strip_prefix("Offset:")?.parse().ok()?;
    let headers = match columns.next()? {
        "NO_HEADERS" => Vec::new(),
        headers => headers
            .split(HEADER_END)
            .map(|header| header.split_once(':').map(|(name, value)| (name.to_owned(), value.to_owned())))
            .collect::<Option<_>>()?,
    };
    let mut text = || columns.next().map(|text| (text != NULL).then(|| text.to_owned()));
    Some(ConsoleRecord { partition, offset, timestamp_ms, headers, key: text()?, value: text()? })
}

fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        rest = more;
        if *first != b'\\' {
            bytes.push(*first);
            continue;
        }
        let (code, more) = rest.split_at_checked(3)?;
        let digits = std::str::from_utf8(code).ok()?.strip_prefix('x')?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = more;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printed_line_becomes_a_record() {
        let line = "LogAppendTime:7\u{1f}Partition:3\u{1f}Offset:9\u{1f}ce_id:a:b\u{1e}ce_type:t\u{1f}user:1\u{1f}{\"a\":\"\u{1f}\"}";
        let record = record(line).expect("well formed");
        assert_eq!((record.timestamp_ms, record.partition, record.offset), (7, 3, 9));
        assert_eq!(record.header("ce_id"), Some("a:b"));
        assert_eq!(record.key.as_deref(), Some("user:1"));
        assert_eq!(record.value.as_deref(), Some("{\"a\":\"\u{1f}\"}"));
    }

    #[test]
    fn bytes_come_back_from_their_escapes() {
        let check =
            |text: &str, expect: Option<&[u8]>| assert_eq!(unescape(text).as_deref(), expect, "{text}");
        check("", Some(b""));
        check(r"a\x00\xFFb\x5Cx", Some(b"a\x00\xffb\\x"));
        check(r"\x0", None);
        check(r"\y00", None);
    }

    #[test]
    fn missing_key_headers_and_value_are_told_apart_from_empty_ones() {
        let null =
            "CreateTime:7\u{1f}Partition:0\u{1f}Offset:0\u{1f}NO_HEADERS\u{1f}\u{1c}null\u{1f}\u{1c}null";
        let absent = record(null).expect("well formed");
        assert_eq!((absent.headers.len(), absent.key, absent.value), (0, None, None));
        let empty = "CreateTime:7\u{1f}Partition:0\u{1f}Offset:0\u{1f}NO_HEADERS\u{1f}\u{1f}";
        let empty = record(empty).expect("well formed");
        assert_eq!((empty.key.as_deref(), empty.value.as_deref()), (Some(""), Some("")));
        assert_eq!(record("Processed a total of 3 messages"), None);
    }
}
