//! Where plain text ends: a bit for each quote, backslash and control character of 64 bytes.

use wide::u8x16;

/// Bytes that are looked at together.
pub(super) const BLOCK: usize = 64;

/// A bit for each byte that ends plain text, the first byte's the lowest.
#[inline]
pub(super) fn marks(block: &[u8; BLOCK]) -> u64 {
    let (quote, backslash) = (u8x16::splat(b'"'), u8x16::splat(b'\\'));
    let largest_control = u8x16::splat(0x1F);
    let (sixteens, _) = block.as_chunks::<16>();
    let mut marks = 0;
    for (place, bytes) in sixteens.iter().enumerate() {
        let bytes = u8x16::new(*bytes);
        let is_control = bytes.min(largest_control).simd_eq(bytes);
        let ends = is_control | bytes.simd_eq(quote) | bytes.simd_eq(backslash);
        marks |= u64::from(ends.to_bitmask()) << (16 * place);
    }
    marks
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
