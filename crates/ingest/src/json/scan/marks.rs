//! Where plain text ends: a bit for each quote, backslash and control character of 64 bytes.
//!
//! Written so that the compiler makes vector instructions of it: no branch, and every byte treated alike.

/// Bytes that are looked at together.
pub(super) const BLOCK: usize = 64;

/// A byte's own bit within its word's eight.
const BITS: [u8; BLOCK] = {
    let mut bits = [0; BLOCK];
    let mut place = 0;
    while place < BLOCK {
        bits[place] = 1 << (place % 8);
        place += 1;
    }
    bits
};

/// A bit for each byte that ends plain text, the first byte's the lowest.
#[inline]
pub(super) fn marks(block: &[u8; BLOCK]) -> u64 {
    let mut bits = BITS;
    for (bit, byte) in bits.iter_mut().zip(block) {
        let ends = (*byte == b'"') | (*byte == b'\\') | (*byte < 0x20);
        *bit = if ends { *bit } else { 0 };
    }
    // The product's highest byte is the sum of the word's bytes, none of which share a bit.
    let (words, _) = bits.as_chunks::<8>();
    let mut marks = [0; 8];
    for (byte, word) in marks.iter_mut().zip(words) {
        *byte = (u64::from_le_bytes(*word).wrapping_mul(u64::MAX / 255) >> 56) as u8;
    }
    u64::from_le_bytes(marks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_is_marked_at_each_place_or_not() {
        for byte in 0..=u8::MAX {
            for place in 0..BLOCK {
                for around in [b'a', b'"', 0xFF, 0x7F, 0x80, 0x1F] {
                    let mut block = [around; BLOCK];
                    block[place] = byte;
                    let ends = |byte: &u8| u64::from(matches!(byte, b'"' | b'\\' | 0..0x20));
                    let expect = block.iter().rev().fold(0, |marks, byte| marks << 1 | ends(byte));
                    assert_eq!(marks(&block), expect, "{byte} at {place} within {around}");
                }
            }
        }
    }
}
