//! What a partition keeps beside its leads: its clock and the model that holds.

use crate::error::StateError;

/// The version of these bytes.
const META_FORMAT: u16 = 1;

const HASH_BYTES: usize = 64;

/// A partition's clock, epoch and model hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Meta {
    pub(crate) clock_ms: i64,
    /// Epoch and model hash; `None` before the first switch.
    pub(crate) epoch: Option<(u32, String)>,
}

/// `format u16 · clock i64 · epoch u32 (0: none) · hash 64 bytes, if there is an epoch`, little-endian.
pub(crate) fn encode(clock_ms: i64, epoch: Option<(u32, &str)>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(14 + HASH_BYTES);
    bytes.extend(META_FORMAT.to_le_bytes());
    bytes.extend(clock_ms.to_le_bytes());
    bytes.extend(epoch.map_or(0, |(epoch, _)| epoch).to_le_bytes());
    bytes.extend(epoch.map_or("", |(_, hash)| hash).as_bytes());
    bytes
}

pub(crate) fn decode(bytes: &[u8]) -> Result<Meta, StateError> {
    let truncated = StateError::Truncated { bytes: bytes.len() };
    let (Some((format, rest)), true) = (bytes.split_first_chunk::<2>(), bytes.len() >= 14) else {
        return Err(truncated);
    };
    let format = u16::from_le_bytes(*format);
    if format != META_FORMAT {
        return Err(StateError::Format { format });
    }
    let (Some((clock, rest)), Some((epoch, _))) =
        (rest.split_first_chunk::<8>(), rest.get(8..).and_then(<[u8]>::split_first_chunk::<4>))
    else {
        return Err(truncated);
    };
    let hash = std::str::from_utf8(&rest[4..]).map_err(|_| StateError::Text)?;
    let epoch = match u32::from_le_bytes(*epoch) {
        0 => None,
        epoch => Some((epoch, hash.to_owned())),
    };
    Ok(Meta { clock_ms: i64::from_le_bytes(*clock), epoch })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let hash = "ab".repeat(32);
        for epoch in [None, Some((7, hash.as_str()))] {
            let meta = decode(&encode(-5, epoch)).expect("just written");
            assert_eq!(meta, Meta { clock_ms: -5, epoch: epoch.map(|(n, h)| (n, h.to_owned())) });
        }
        assert_eq!(decode(&[1, 0, 0]), Err(StateError::Truncated { bytes: 3 }));
        assert_eq!(decode(&[9; 20]), Err(StateError::Format { format: 0x909 }));
    }
}
