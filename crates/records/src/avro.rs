//! Avro's binary encoding, as far as the internal records need it: a reader of hostile bytes that borrows from
//! them, and writers that append.
//!
//! Not a general Avro library: it follows no schema at run time. The functions in `codec` follow the schemas'
//! fields by hand, and the tests hold them against `apache-avro`.

use crate::Text;

/// What is wrong with a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The bytes end within a value.
    #[error("ends within a value")]
    Truncated,
    /// A number takes more than 64 bits, or is outside of its field's range.
    #[error("number out of range")]
    Range,
    /// A text is not UTF-8.
    #[error("text is not utf-8")]
    NotUtf8,
    /// A boolean is neither 0 nor 1.
    #[error("boolean is neither 0 nor 1")]
    NotBoolean,
    /// A union has no such branch, or an enum no such symbol.
    #[error("no such branch or symbol")]
    NoSuchBranch,
    /// A decision has no change, or several.
    #[error("a decision has exactly one change")]
    NotOneChange,
}

/// Elements that an array makes room for at once; more room comes as elements do.
const ROOM: usize = 64;

/// Reads values off the front of a body.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(body: &'a [u8]) -> Reader<'a> {
        Reader { rest: body }
    }

    /// How many bytes are left.
    pub(crate) fn left(&self) -> usize {
        self.rest.len()
    }

    pub(crate) fn boolean(&mut self) -> Result<bool, Fault> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Fault::NotBoolean),
        }
    }

    /// A `long`: zigzag, seven bits a byte, the lowest first.
    #[inline]
    pub(crate) fn long(&mut self) -> Result<i64, Fault> {
        let first = self.byte()?;
        let bits = if first < 0x80 { u64::from(first) } else { self.longer(first)? };
        Ok((bits >> 1) as i64 ^ -((bits & 1) as i64))
    }

    /// A `long` or `int` of a narrower type.
    pub(crate) fn narrow<T: TryFrom<i64>>(&mut self) -> Result<T, Fault> {
        T::try_from(self.long()?).map_err(|_| Fault::Range)
    }

    #[inline]
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Fault> {
        let len: usize = self.narrow()?;
        let (bytes, rest) = self.rest.split_at_checked(len).ok_or(Fault::Truncated)?;
        self.rest = rest;
        Ok(bytes)
    }

    #[inline(always)]
    pub(crate) fn text(&mut self) -> Result<Text<'a>, Fault> {
        std::str::from_utf8(self.bytes()?).map(Text::from).map_err(|_| Fault::NotUtf8)
    }

    pub(crate) fn string(&mut self) -> Result<String, Fault> {
        Ok(self.text()?.0.into_owned())
    }

    /// The symbol of an enum; `symbols` stand in the schema's order.
    pub(crate) fn symbol<T: Copy>(&mut self, symbols: &[T]) -> Result<T, Fault> {
        let position: usize = self.narrow()?;
        symbols.get(position).copied().ok_or(Fault::NoSuchBranch)
    }

    /// A union of null and something else, in this order.
    #[inline(always)]
    pub(crate) fn optional<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, Fault>,
    ) -> Result<Option<T>, Fault> {
        match self.long()? {
            0 => Ok(None),
            1 => read(self).map(Some),
            _ => Err(Fault::NoSuchBranch),
        }
    }

    /// An array, in any number of blocks. Every element of ours takes a byte at least, so a block that claims
    /// more elements than there are bytes is refused before anything is allocated.
    pub(crate) fn array<T>(
        &mut self,
        mut read: impl FnMut(&mut Self) -> Result<T, Fault>,
    ) -> Result<Vec<T>, Fault> {
        let mut items = Vec::new();
        loop {
            let count = self.long()?;
            if count == 0 {
                return Ok(items);
            }
            if count < 0 {
                // A block that also says its length in bytes, for readers that skip it.
                self.long()?;
            }
            let count = usize::try_from(count.unsigned_abs()).map_err(|_| Fault::Range)?;
            if count > self.left() {
                return Err(Fault::Truncated);
            }
            items.reserve(count.min(ROOM));
            for _ in 0..count {
                items.push(read(self)?);
            }
        }
    }

    #[inline]
    fn byte(&mut self) -> Result<u8, Fault> {
        let (&byte, rest) = self.rest.split_first().ok_or(Fault::Truncated)?;
        self.rest = rest;
        Ok(byte)
    }

    fn longer(&mut self, first: u8) -> Result<u64, Fault> {
        let mut bits = u64::from(first & 0x7F);
        for shift in (7..=63).step_by(7) {
            let byte = self.byte()?;
            if shift == 63 && byte > 1 {
                return Err(Fault::Range);
            }
            bits |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Ok(bits);
            }
        }
        Err(Fault::Range)
    }
}

pub(crate) fn put_boolean(value: bool, out: &mut Vec<u8>) {
    out.push(u8::from(value));
}

pub(crate) fn put_long(value: i64, out: &mut Vec<u8>) {
    let mut bits = ((value << 1) ^ (value >> 63)) as u64;
    while bits >= 0x80 {
        out.push(bits as u8 | 0x80);
        bits >>= 7;
    }
    out.push(bits as u8);
}

pub(crate) fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    put_long(bytes.len() as i64, out);
    out.extend_from_slice(bytes);
}

pub(crate) fn put_text(text: &str, out: &mut Vec<u8>) {
    put_bytes(text.as_bytes(), out);
}

pub(crate) fn put_optional<T>(value: Option<T>, out: &mut Vec<u8>, put: impl FnOnce(T, &mut Vec<u8>)) {
    put_long(i64::from(value.is_some()), out);
    if let Some(value) = value {
        put(value, out);
    }
}

/// An array in one block.
pub(crate) fn put_array<T, E>(
    items: &[T],
    out: &mut Vec<u8>,
    mut put: impl FnMut(&T, &mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    if !items.is_empty() {
        put_long(items.len() as i64, out);
        for item in items {
            put(item, out)?;
        }
    }
    put_long(0, out);
    Ok(())
}

/// An array of what can always be written.
pub(crate) fn put_list<T>(items: &[T], out: &mut Vec<u8>, mut put: impl FnMut(&T, &mut Vec<u8>)) {
    let put = |item: &T, out: &mut Vec<u8>| {
        put(item, out);
        Ok::<(), std::convert::Infallible>(())
    };
    match put_array(items, out, put) {
        Ok(()) => (),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longs_are_zigzag_varints() {
        // The table of the Avro specification, and the ends of the range.
        for (value, bytes) in [
            (0, vec![0x00]),
            (-1, vec![0x01]),
            (1, vec![0x02]),
            (-2, vec![0x03]),
            (2, vec![0x04]),
            (-64, vec![0x7F]),
            (64, vec![0x80, 0x01]),
            (i64::MAX, vec![0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01]),
            (i64::MIN, vec![0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01]),
        ] {
            let mut out = Vec::new();
            put_long(value, &mut out);
            assert_eq!(out, bytes);
            assert_eq!(Reader::new(&bytes).long(), Ok(value));
        }
    }

    #[test]
    fn a_long_of_more_than_64_bits_is_refused() {
        let mut bytes = [0xFF; 11];
        assert_eq!(Reader::new(&bytes).long(), Err(Fault::Range));
        bytes[9] = 0x02;
        assert_eq!(Reader::new(&bytes).long(), Err(Fault::Range));
        assert_eq!(Reader::new(&bytes[..4]).long(), Err(Fault::Truncated));
    }

    #[test]
    fn claims_beyond_the_bytes_are_refused() {
        let mut claim = Vec::new();
        put_long(i64::MAX, &mut claim);
        assert_eq!(Reader::new(&claim).bytes(), Err(Fault::Truncated));
        assert_eq!(Reader::new(&claim).array(Reader::long), Err(Fault::Truncated));
        let mut negative = Vec::new();
        put_long(i64::MIN, &mut negative);
        put_long(0, &mut negative);
        assert_eq!(Reader::new(&negative).bytes(), Err(Fault::Range));
        assert_eq!(Reader::new(&negative).array(Reader::long), Err(Fault::Truncated));
    }
}
