//! Avro single-object encoding of the internal records: `C3 01`, the schema's CRC-64-AVRO fingerprint (little
//! endian), the body.
//!
//! The schemas are compiled in, so there is no registry to be down. A record of another schema is refused by
//! its fingerprint's name: it was written by another version, and guessing would score wrongly.
//!
//! The schemas have no logical types: libraries disagree on the canonical form of a logical type, and with it on
//! the fingerprint. Instants are plain longs, their unit last in their names.

mod activities;
mod decisions;

use crate::avro::{Fault, Reader};
use crate::{ActivityRecord, Decision};

/// The schema of `ripen.activities.v1`, as published.
pub const ACTIVITIES_SCHEMA: &str = include_str!("../../../schemas/ripen.activities.v1.avsc");

/// The CRC-64-AVRO fingerprint of [`ACTIVITIES_SCHEMA`].
pub const ACTIVITIES_FINGERPRINT: u64 = 0x6742_fade_fdce_10cf;

/// The schema of `ripen.decisions.v1`, as published.
pub const DECISIONS_SCHEMA: &str = include_str!("../../../schemas/ripen.decisions.v1.avsc");

/// The CRC-64-AVRO fingerprint of [`DECISIONS_SCHEMA`].
pub const DECISIONS_FINGERPRINT: u64 = 0xb5ca_4f0f_bd34_006b;

/// Bytes in front of a body: two of magic, eight of fingerprint.
pub const HEADER_BYTES: usize = 10;

const MAGIC: [u8; 2] = [0xC3, 0x01];

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
    #[error("malformed {record}: {fault}, {left} bytes before its end")]
    Malformed {
        /// What it should have been.
        record: &'static str,
        /// What is wrong.
        fault: Fault,
        /// How many bytes were left.
        left: usize,
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
pub enum EncodeError {
    /// A list within a list, which has no place in the schema.
    #[error("list within a list in field {field:?}")]
    NestedList {
        /// The field's name.
        field: String,
    },
    /// A `seq` above `i64::MAX`.
    #[error("seq {seq} is out of range")]
    Seq {
        /// The number.
        seq: u64,
    },
}

/// Appends a record of `ripen.activities.v1` to `out`.
///
/// # Errors
/// A [`crate::Value::Array`] within an array. `out` is then as it was.
pub fn encode_activity(record: &ActivityRecord<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    encode(ACTIVITIES_FINGERPRINT, out, |out| activities::put_record(record, out))
}

/// Reads a record of `ripen.activities.v1`; texts borrow from `bytes`.
///
/// Allocates at most 64 bytes per byte read, and 4 KiB, whatever lengths the bytes claim.
///
/// # Errors
/// Bytes without the header, of an unknown schema, malformed, or with more behind them.
pub fn decode_activity(bytes: &[u8]) -> Result<ActivityRecord<'_>, DecodeError> {
    decode("activity record", ACTIVITIES_FINGERPRINT, bytes, activities::record)
}

/// Appends a record of `ripen.decisions.v1` to `out`.
///
/// # Errors
/// A `seq` above `i64::MAX`. `out` is then as it was.
pub fn encode_decision(decision: &Decision, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    encode(DECISIONS_FINGERPRINT, out, |out| decisions::put_decision(decision, out))
}

/// Reads a record of `ripen.decisions.v1`.
///
/// Allocates at most 64 bytes per byte read, and 8 KiB, whatever lengths the bytes claim.
///
/// # Errors
/// Bytes without the header, of an unknown schema, malformed, or with more behind them.
pub fn decode_decision(bytes: &[u8]) -> Result<Decision, DecodeError> {
    decode("decision", DECISIONS_FINGERPRINT, bytes, decisions::decision)
}

fn encode(
    fingerprint: u64,
    out: &mut Vec<u8>,
    put: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    let start = out.len();
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&fingerprint.to_le_bytes());
    put(out).inspect_err(|_| out.truncate(start))
}

fn decode<'a, T>(
    record: &'static str,
    expected: u64,
    bytes: &'a [u8],
    read: impl FnOnce(&mut Reader<'a>) -> Result<T, Fault>,
) -> Result<T, DecodeError> {
    let mut body = Reader::new(body_of(bytes, expected)?);
    let value =
        read(&mut body).map_err(|fault| DecodeError::Malformed { record, fault, left: body.left() })?;
    match body.left() {
        0 => Ok(value),
        bytes => Err(DecodeError::Trailing { record, bytes }),
    }
}

fn body_of(bytes: &[u8], expected: u64) -> Result<&[u8], DecodeError> {
    let not_single_object = DecodeError::NotSingleObject { bytes: bytes.len() };
    let Some((&[m0, m1, ref fingerprint @ ..], body)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
        return Err(not_single_object);
    };
    let fingerprint = u64::from_le_bytes(*fingerprint);
    match [m0, m1] == MAGIC {
        false => Err(not_single_object),
        true if fingerprint != expected => Err(DecodeError::UnknownSchema { fingerprint, expected }),
        true => Ok(body),
    }
}
