//! The headers of a dead letter: why a record could not be used, and where it came from.
//!
//! The record keeps its key, value and headers to the byte; these stand behind its own. Beside Ripen's names
//! stand those of Kafka Connect, which tools already show. No header holds personal data: `detail` names
//! places and limits, never values.

/// Why: a word of a closed set, the same as in metrics.
pub const REASON: &str = "x-ripen-reason";
/// What exactly, for people: a position, a limit, a type; no values of the record.
pub const DETAIL: &str = "x-ripen-detail";
/// The topic the record was read from.
pub const TOPIC: &str = "x-ripen-topic";
/// Its partition, decimal.
pub const PARTITION: &str = "x-ripen-partition";
/// Its offset, decimal.
pub const OFFSET: &str = "x-ripen-offset";

/// [`TOPIC`] in Kafka Connect's words.
pub const CONNECT_TOPIC: &str = "__connect.errors.topic";
/// [`PARTITION`] in Kafka Connect's words.
pub const CONNECT_PARTITION: &str = "__connect.errors.partition";
/// [`OFFSET`] in Kafka Connect's words.
pub const CONNECT_OFFSET: &str = "__connect.errors.offset";
/// The service that gave up, `ripen-ingest`, where Kafka Connect names the connector.
pub const CONNECT_CONNECTOR_NAME: &str = "__connect.errors.connector.name";
/// [`REASON`] where Kafka Connect names the class of the exception.
pub const CONNECT_EXCEPTION_CLASS_NAME: &str = "__connect.errors.exception.class.name";
/// [`DETAIL`] where Kafka Connect has the exception's message.
pub const CONNECT_EXCEPTION_MESSAGE: &str = "__connect.errors.exception.message";

/// Longest detail that is written, bytes; a longer one is cut.
pub const MAX_DETAIL_BYTES: usize = 512;

/// A record that could not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeadLetter<'a> {
    /// The service that gave up: `ingest`, `scorer`, `emitter`.
    pub service: &'a str,
    /// Why, a word of a closed set.
    pub reason: &'a str,
    /// What exactly; no values of the record.
    pub detail: &'a str,
    /// The topic it was read from.
    pub topic: &'a str,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
}

/// The headers to put behind the record's own, in this order.
pub fn dead_letter_headers(letter: &DeadLetter<'_>) -> [(&'static str, String); 11] {
    let detail = cut(letter.detail);
    let (partition, offset) = (letter.partition.to_string(), letter.offset.to_string());
    [
        (REASON, letter.reason.to_owned()),
        (DETAIL, detail.to_owned()),
        (TOPIC, letter.topic.to_owned()),
        (PARTITION, partition.clone()),
        (OFFSET, offset.clone()),
        (CONNECT_TOPIC, letter.topic.to_owned()),
        (CONNECT_PARTITION, partition),
        (CONNECT_OFFSET, offset),
        (CONNECT_CONNECTOR_NAME, format!("ripen-{}", letter.service)),
        (CONNECT_EXCEPTION_CLASS_NAME, letter.reason.to_owned()),
        (CONNECT_EXCEPTION_MESSAGE, detail.to_owned()),
    ]
}

fn cut(detail: &str) -> &str {
    &detail[..detail.floor_char_boundary(MAX_DETAIL_BYTES)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(detail: &str) -> [(&'static str, String); 11] {
        dead_letter_headers(&DeadLetter {
            service: "ingest",
            reason: "not_json",
            detail,
            topic: "clickstream",
            partition: 3,
            offset: 41,
        })
    }

    #[test]
    fn both_vocabularies_say_the_same() {
        let headers = letter("expected value at column 1");
        let get = |name| headers.iter().find(|(n, _)| *n == name).map(|(_, value)| value.as_str());
        for (ours, connects, value) in [
            (REASON, CONNECT_EXCEPTION_CLASS_NAME, "not_json"),
            (DETAIL, CONNECT_EXCEPTION_MESSAGE, "expected value at column 1"),
            (TOPIC, CONNECT_TOPIC, "clickstream"),
            (PARTITION, CONNECT_PARTITION, "3"),
            (OFFSET, CONNECT_OFFSET, "41"),
        ] {
            assert_eq!((get(ours), get(connects)), (Some(value), Some(value)), "{ours}");
        }
        assert_eq!(get(CONNECT_CONNECTOR_NAME), Some("ripen-ingest"));
    }

    #[test]
    fn a_long_detail_is_cut_between_characters() {
        let headers = letter(&"ж".repeat(400));
        assert_eq!(headers[1].1.len(), MAX_DETAIL_BYTES);
        let headers = letter(&format!("a{}", "ж".repeat(400)));
        assert_eq!(headers[1].1.len(), MAX_DETAIL_BYTES - 1);
    }
}
