//! What a partition keeps beside its leads: its clock and the models of its leads.

use crate::error::StateError;
use crate::layout;

const HASH_BYTES: usize = 64;
const HEAD_BYTES: usize = 19;
const EPOCH_BYTES: usize = 4 + HASH_BYTES;

/// A partition's clock and models.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Meta {
    /// The format that the partition's leads are written in. These bytes are the same in every one so far.
    pub(crate) format: u16,
    pub(crate) clock_ms: i64,
    /// The instant of the newest switch.
    pub(crate) switched_ms: i64,
    /// Epochs and model hashes, ascending: those that leads may still be written under, and the active one last. Empty
    /// before the first switch.
    pub(crate) epochs: Vec<(u32, String)>,
}

/// `format u16 · clock i64 · switched i64 · epochs u8 · for each: epoch u32 · hash 64 bytes`, little-endian.
pub(crate) fn encode(meta: &Meta) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD_BYTES + meta.epochs.len() * EPOCH_BYTES);
    bytes.extend(meta.format.to_le_bytes());
    bytes.extend(meta.clock_ms.to_le_bytes());
    bytes.extend(meta.switched_ms.to_le_bytes());
    bytes.push(meta.epochs.len() as u8);
    for (epoch, hash) in &meta.epochs {
        bytes.extend(epoch.to_le_bytes());
        bytes.extend(hash.as_bytes());
    }
    bytes
}

pub(crate) fn decode(bytes: &[u8]) -> Result<Meta, StateError> {
    let truncated = || StateError::Truncated { bytes: bytes.len() };
    let (format, rest) = bytes.split_first_chunk::<2>().ok_or_else(truncated)?;
    let format = u16::from_le_bytes(*format);
    if !layout::is_known(format) {
        return Err(StateError::Format { format });
    }
    let (clock, rest) = rest.split_first_chunk::<8>().ok_or_else(truncated)?;
    let (switched, rest) = rest.split_first_chunk::<8>().ok_or_else(truncated)?;
    let (&[count], mut rest) = rest.split_first_chunk::<1>().ok_or_else(truncated)?;
    let mut epochs = Vec::new();
    for _ in 0..count {
        let (epoch, after) = rest.split_first_chunk::<4>().ok_or_else(truncated)?;
        let (hash, after) = after.split_at_checked(HASH_BYTES).ok_or_else(truncated)?;
        let hash = std::str::from_utf8(hash).map_err(|_| StateError::Text)?;
        epochs.push((u32::from_le_bytes(*epoch), hash.to_owned()));
        rest = after;
    }
    if !rest.is_empty() {
        return Err(StateError::Trailing { bytes: rest.len() });
    }
    let (clock_ms, switched_ms) = (i64::from_le_bytes(*clock), i64::from_le_bytes(*switched));
    Ok(Meta { format, clock_ms, switched_ms, epochs })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let hash = "ab".repeat(32);
        for epochs in [vec![], vec![(7, hash.clone())], vec![(1, "cd".repeat(32)), (7, hash.clone())]] {
            let meta = Meta { format: 1, clock_ms: -5, switched_ms: 9, epochs };
            let bytes = encode(&meta);
            assert_eq!(decode(&bytes), Ok(meta));
            for cut in 0..bytes.len() {
                assert_eq!(decode(&bytes[..cut]), Err(StateError::Truncated { bytes: cut }));
            }
        }
        assert_eq!(decode(&[9; 20]), Err(StateError::Format { format: 0x909 }));
    }
}
