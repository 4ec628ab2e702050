//! Avro single-object encoding of the internal records: `C3 01`, the schema's CRC-64-AVRO fingerprint (little
//! endian), the body.
//!
//! The schemas are compiled in, so there is no registry to be down. A record of another schema is refused by
//! its fingerprint's name: it was written by another version, and guessing would score wrongly.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use serde_avro_fast::de::read::SliceRead;
use serde_avro_fast::de::{DeserializerConfig, DeserializerState};
use serde_avro_fast::ser::SerializerConfig;

use crate::{ActivityRecord, Decision};

/// The schema of `ripen.activities.v1`, as published.
pub const ACTIVITIES_SCHEMA: &str = include_str!("../../../schemas/ripen.activities.v1.avsc");

/// The schema of `ripen.decisions.v1`, as published.
pub const DECISIONS_SCHEMA: &str = include_str!("../../../schemas/ripen.decisions.v1.avsc");

/// Bytes in front of a body: two of magic, eight of fingerprint.
pub const HEADER_BYTES: usize = 10;

const MAGIC: [u8; 2] = [0xC3, 0x01];

static ACTIVITIES: LazyLock<serde_avro_fast::Schema> = LazyLock::new(|| compiled_in(ACTIVITIES_SCHEMA));
static DECISIONS: LazyLock<serde_avro_fast::Schema> = LazyLock::new(|| compiled_in(DECISIONS_SCHEMA));

/// Why bytes are not a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes do not begin with `C3 01` and a fingerprint.
    #[error("not an avro single object: {bytes} bytes without its header")]
    NotSingleObject {
        /// How many bytes there are.
        bytes: usize,
    },
    /// A record of a schema that this version does not know.
    #[error(
        "unknown schema fingerprint {fingerprint:016x}, expected {expected:016x}: written by another version"
    )]
    UnknownSchema {
        /// The CRC-64-AVRO fingerprint found.
        fingerprint: u64,
        /// The fingerprint of the schema that this version knows.
        expected: u64,
    },
    /// The body does not follow the schema.
    #[error("malformed {record}: {reason}")]
    Malformed {
        /// What it should have been.
        record: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// Bytes are left over behind the body.
    #[error("{bytes} bytes behind the end of the {record}")]
    Trailing {
        /// What was read.
        record: &'static str,
        /// How many are left.
        bytes: usize,
    },
}

/// Why a record cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot encode {record}: {reason}")]
pub struct EncodeError {
    /// What was to be written.
    pub record: &'static str,
    /// What is wrong: a number out of Avro's range, a list in a list.
    pub reason: String,
}

/// Appends a record of `ripen.activities.v1` to `out`.
///
/// # Errors
/// A [`crate::Value::Array`] within an array, which has no place in the schema. `out` is then as it was.
pub fn encode_activity(record: &ActivityRecord<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    encode("activity record", record, &ACTIVITIES, out)
}

/// Reads a record of `ripen.activities.v1`; texts borrow from `bytes`.
///
/// Allocates at most 56 bytes per byte read, whatever lengths the bytes claim.
///
/// # Errors
/// Bytes without the header, of an unknown schema, malformed, or with more behind them.
pub fn decode_activity(bytes: &[u8]) -> Result<ActivityRecord<'_>, DecodeError> {
    decode("activity record", bytes, &ACTIVITIES)
}

/// Appends a record of `ripen.decisions.v1` to `out`.
///
/// # Errors
/// A `seq` above `i64::MAX`. `out` is then as it was.
pub fn encode_decision(decision: &Decision, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    encode("decision", decision, &DECISIONS, out)
}

/// Reads a record of `ripen.decisions.v1`.
///
/// Allocates at most 56 bytes per byte read, whatever lengths the bytes claim.
///
/// # Errors
/// Bytes without the header, of an unknown schema, malformed, or with more behind them.
pub fn decode_decision(bytes: &[u8]) -> Result<Decision, DecodeError> {
    decode("decision", bytes, &DECISIONS)
}

/// The CRC-64-AVRO fingerprint of the activities' schema.
pub fn activities_fingerprint() -> u64 {
    u64::from_le_bytes(*ACTIVITIES.rabin_fingerprint())
}

/// The CRC-64-AVRO fingerprint of the decisions' schema.
pub fn decisions_fingerprint() -> u64 {
    u64::from_le_bytes(*DECISIONS.rabin_fingerprint())
}

fn compiled_in(text: &str) -> serde_avro_fast::Schema {
    text.parse().expect("a schema that is compiled in parses: the tests parse it")
}

fn encode<T: Serialize>(
    record: &'static str,
    value: &T,
    schema: &serde_avro_fast::Schema,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let start = out.len();
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(schema.rabin_fingerprint());
    let encoded = serde_avro_fast::to_datum(value, &mut *out, &mut SerializerConfig::new(schema));
    encoded.map(|_| ()).map_err(|e| {
        out.truncate(start);
        EncodeError { record, reason: e.to_string() }
    })
}

fn decode<'a, T: Deserialize<'a>>(
    record: &'static str,
    bytes: &'a [u8],
    schema: &serde_avro_fast::Schema,
) -> Result<T, DecodeError> {
    let body = body_of(bytes, *schema.rabin_fingerprint())?;
    let mut config = DeserializerConfig::new(schema);
    // Every element takes a byte at least, so no honest list is longer than the body.
    config.max_seq_size = body.len();
    let mut state = DeserializerState::with_config(SliceRead::new(body), config);
    let value = T::deserialize(state.deserializer())
        .map_err(|e| DecodeError::Malformed { record, reason: e.to_string() })?;
    match std::io::BufRead::fill_buf(&mut state.into_reader()) {
        Ok([]) => Ok(value),
        Ok(rest) => Err(DecodeError::Trailing { record, bytes: rest.len() }),
        Err(e) => Err(DecodeError::Malformed { record, reason: e.to_string() }),
    }
}

fn body_of(bytes: &[u8], expected: [u8; 8]) -> Result<&[u8], DecodeError> {
    let not_single_object = DecodeError::NotSingleObject { bytes: bytes.len() };
    let Some((header, body)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
        return Err(not_single_object);
    };
    let [m0, m1, fingerprint @ ..] = *header;
    if [m0, m1] != MAGIC {
        return Err(not_single_object);
    }
    if fingerprint != expected {
        return Err(DecodeError::UnknownSchema {
            fingerprint: u64::from_le_bytes(fingerprint),
            expected: u64::from_le_bytes(expected),
        });
    }
    Ok(body)
}
