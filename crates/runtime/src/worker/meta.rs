//! The record that says how far a partition's state has come: written to the changelog in every transaction.

use crate::operator::Blocked;

/// Key of the meta record in a changelog. Keys that begin with a zero byte belong to the runtime.
pub const META_KEY: &[u8] = b"\0meta";

const LAYOUT: u8 = 1;
/// Layout, state format, next offset, lengths of application and marker.
const HEADER_BYTES: usize = 1 + 2 + 8 + 2 + 2;

/// What the runtime keeps per partition. Layout 1, little-endian: `u8` layout, `u16` state format, `i64` next
/// offset, `u16` length of the application, `u16` length of the marker, their bytes, the operator's own bytes
/// to the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionMeta {
    /// Offset of the first input record that the state does not contain.
    pub next_offset: i64,
    /// Version of the layout of the operator's changelog records.
    pub state_format: u16,
    /// Whose state it is: the consumer group. A changelog of another one is refused.
    pub application: String,
    /// The transaction that wrote this: `worker-id:n`; also in the committed offset's metadata string.
    pub marker: String,
    /// The operator's own bytes.
    pub operator: Vec<u8>,
}

impl PartitionMeta {
    /// The record's value.
    pub fn encode(&self) -> Vec<u8> {
        let texts = self.application.len() + self.marker.len();
        let mut bytes = Vec::with_capacity(HEADER_BYTES + texts + self.operator.len());
        bytes.push(LAYOUT);
        bytes.extend_from_slice(&self.state_format.to_le_bytes());
        bytes.extend_from_slice(&self.next_offset.to_le_bytes());
        bytes.extend_from_slice(&(self.application.len() as u16).to_le_bytes());
        bytes.extend_from_slice(&(self.marker.len() as u16).to_le_bytes());
        bytes.extend_from_slice(self.application.as_bytes());
        bytes.extend_from_slice(self.marker.as_bytes());
        bytes.extend_from_slice(&self.operator);
        bytes
    }

    /// Reads a record's value.
    ///
    /// # Errors
    /// A layout this version does not know, or bytes that are cut.
    pub fn decode(bytes: &[u8]) -> Result<PartitionMeta, Blocked> {
        let layout = bytes.first().copied().unwrap_or_default();
        if layout != LAYOUT {
            return Err(Blocked {
                reason: format!(
                    "the changelog's meta record has layout {layout}, this version reads {LAYOUT}"
                ),
                advice: "run the version that wrote it, or a newer one".to_owned(),
            });
        }
        let Some((header, rest)) = bytes.split_at_checked(HEADER_BYTES) else { return Err(cut(bytes)) };
        let state_format = u16::from_le_bytes([header[1], header[2]]);
        let next_offset = i64::from_le_bytes(header[3..11].try_into().unwrap_or_default());
        let len = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]) as usize;
        let Some((application, rest)) = rest.split_at_checked(len(11)) else { return Err(cut(bytes)) };
        let Some((marker, operator)) = rest.split_at_checked(len(13)) else { return Err(cut(bytes)) };
        let text = |text: &[u8]| String::from_utf8(text.to_vec()).map_err(|_| cut(bytes));
        Ok(PartitionMeta {
            next_offset,
            state_format,
            application: text(application)?,
            marker: text(marker)?,
            operator: operator.to_vec(),
        })
    }
}

fn cut(bytes: &[u8]) -> Blocked {
    Blocked {
        reason: format!("the changelog's meta record of {} bytes does not decode", bytes.len()),
        advice: "something else writes to the changelog: give it a topic of its own, then reset".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta() -> PartitionMeta {
        PartitionMeta {
            next_offset: 1 << 40,
            state_format: 7,
            application: "ripen-scorer".to_owned(),
            marker: "w-1:9".to_owned(),
            operator: vec![1, 2, 3],
        }
    }

    #[test]
    fn meta_survives_the_changelog() {
        assert_eq!(PartitionMeta::decode(&meta().encode()), Ok(meta()));
    }

    #[test]
    fn a_cut_or_foreign_meta_is_refused() {
        let bytes = meta().encode();
        for len in 0..HEADER_BYTES + meta().application.len() + meta().marker.len() {
            assert!(PartitionMeta::decode(&bytes[..len]).is_err(), "{len} bytes");
        }
        assert!(PartitionMeta::decode(b"\x02anything").unwrap_err().reason.contains("layout 2"));
    }
}
