//! The quick way through a record: one pass over well-formed JSON, 64 bytes at a time within strings.
//!
//! It has no word of its own on what is wrong: whatever it does not know for sure is [`Odd`], and the general
//! parser, which is slower by far, reads the text again and decides. So everything accepted here has to be
//! accepted there, with the same members; not the other way round.

mod marks;

use self::marks::{BLOCK, marks};
use super::{Members, Next, Raw, Shape};

/// Not JSON, or JSON that only the general parser reads: an escaped name, a number where an object is expected.
#[derive(Debug)]
pub(super) struct Odd;

/// Levels of a text: the bits that remember which of a skipped value's are objects.
pub(super) const LEVELS: usize = u64::BITS as usize;

/// Reads a text's members into `members`, if all of it is an object of at most `levels` levels.
pub(super) fn read_object<'de, M: Members<'de>>(
    json: &'de str,
    levels: usize,
    members: &mut M,
) -> Result<Shape, Odd> {
    let mut scanner = Scanner {
        text: json,
        at: 0,
        levels: levels.min(LEVELS),
        block: 0,
        marks: marks_of(json.as_bytes(), 0),
    };
    let shape = scanner.enter(members)?;
    match scanner.token() {
        None => Ok(shape),
        Some(_) => Err(Odd),
    }
}

struct Scanner<'de> {
    text: &'de str,
    at: usize,
    /// Levels that may still be entered or skipped.
    levels: usize,
    /// The block that was looked at last, and where in it plain text ends.
    block: usize,
    marks: u64,
}

impl<'de> Next<'de> for Scanner<'de> {
    type Error = Odd;

    #[inline]
    fn raw(&mut self) -> Result<Raw<'de>, Odd> {
        let first = self.token();
        let start = self.at;
        if first != Some(b'"') {
            self.value()?;
        } else if !self.string()? {
            return Ok(Raw::Plain(&self.text[start + 1..self.at - 1]));
        }
        Ok(Raw::Json(&self.text[start..self.at]))
    }

    fn skip(&mut self) -> Result<(), Odd> {
        self.value()
    }

    fn enter<M: Members<'de>>(&mut self, members: &mut M) -> Result<Shape, Odd> {
        match self.token() {
            Some(b'{') => {
                self.levels = self.levels.checked_sub(1).ok_or(Odd)?;
                self.object(members)?;
                self.levels += 1;
                Ok(Shape::Object)
            }
            Some(b'n' | b't' | b'f' | b'[') => self.value().map(|()| Shape::Other),
            Some(b'"') => self.plain_string().map(|_| Shape::Other),
            _ => Err(Odd),
        }
    }
}

impl<'de> Scanner<'de> {
    #[inline]
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The next byte that is no white space, not taken yet.
    #[inline]
    fn token(&mut self) -> Option<u8> {
        loop {
            match self.peek() {
                Some(b' ' | b'\n' | b'\t' | b'\r') => self.at += 1,
                other => return other,
            }
        }
    }

    /// The members of the object that begins here.
    fn object<M: Members<'de>>(&mut self, members: &mut M) -> Result<(), Odd> {
        self.at += 1;
        if self.token() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.token();
            let name = self.plain_string()?;
            self.colon()?;
            members.member(name, self)?;
            let end = self.token();
            self.at += 1;
            match end {
                Some(b',') => {}
                Some(b'}') => return Ok(()),
                _ => return Err(Odd),
            }
        }
    }

    #[inline]
    fn colon(&mut self) -> Result<(), Odd> {
        let colon = self.token();
        self.at += 1;
        if colon == Some(b':') { Ok(()) } else { Err(Odd) }
    }

    /// Skips the next value, however nested, without recursion.
    fn value(&mut self) -> Result<(), Odd> {
        // The lowest bit is the innermost level's: whether it is an object.
        let (mut objects, mut depth) = (0u64, 0);
        loop {
            let opened = self.scalar_or_opener(depth)?;
            if let Some(is_object) = opened {
                objects = objects << 1 | u64::from(is_object);
                depth += 1;
                if is_object {
                    self.skipped_name()?;
                }
                continue;
            }
            loop {
                if depth == 0 {
                    return Ok(());
                }
                let end = self.token();
                self.at += 1;
                match (end, objects & 1 == 1) {
                    (Some(b','), false) => break,
                    (Some(b','), true) => {
                        self.skipped_name()?;
                        break;
                    }
                    (Some(b'}'), true) | (Some(b']'), false) => {
                        objects >>= 1;
                        depth -= 1;
                    }
                    _ => return Err(Odd),
                }
            }
        }
    }

    /// Skips a value that is complete in itself, or enters one within `depth` others: an object (true) or a list.
    #[inline]
    fn scalar_or_opener(&mut self, depth: usize) -> Result<Option<bool>, Odd> {
        let first = self.token().ok_or(Odd)?;
        let is_object = match first {
            b'"' => return self.string().map(|_| None),
            b'{' => true,
            b'[' => false,
            b'-' | b'0'..=b'9' => return self.number().map(|()| None),
            b'n' => return self.literal("null").map(|()| None),
            b't' => return self.literal("true").map(|()| None),
            b'f' => return self.literal("false").map(|()| None),
            _ => return Err(Odd),
        };
        if depth == self.levels {
            return Err(Odd);
        }
        self.at += 1;
        if self.token() == Some(if is_object { b'}' } else { b']' }) {
            self.at += 1;
            return Ok(None);
        }
        Ok(Some(is_object))
    }

    #[inline]
    fn skipped_name(&mut self) -> Result<(), Odd> {
        self.token();
        self.string()?;
        self.colon()
    }

    /// The string that begins here, if nothing in it is escaped.
    #[inline(always)]
    fn plain_string(&mut self) -> Result<&'de str, Odd> {
        let start = self.at + 1;
        if self.string()? {
            return Err(Odd);
        }
        Ok(&self.text[start..self.at - 1])
    }

    /// Skips the string that begins here; whether anything in it is escaped.
    #[inline(always)]
    fn string(&mut self) -> Result<bool, Odd> {
        if self.peek() != Some(b'"') {
            return Err(Odd);
        }
        self.at = self.end_of_plain(self.at + 1);
        if self.peek() == Some(b'"') {
            self.at += 1;
            return Ok(false);
        }
        self.rest_of_escaped().map(|()| true)
    }

    #[cold]
    fn rest_of_escaped(&mut self) -> Result<(), Odd> {
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                _ => return Err(Odd),
            }
            self.at = self.end_of_plain(self.at);
        }
    }

    fn escape(&mut self) -> Result<(), Odd> {
        let rest = &self.text.as_bytes()[self.at + 1..];
        let bytes = match rest.first() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 2,
            Some(b'u') if rest.get(1..5).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)) => 6,
            _ => return Err(Odd),
        };
        self.at += bytes;
        Ok(())
    }

    fn literal(&mut self, word: &str) -> Result<(), Odd> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return Err(Odd);
        }
        self.at += word.len();
        Ok(())
    }

    fn number(&mut self) -> Result<(), Odd> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let starts_with_zero = self.peek() == Some(b'0');
        let whole = self.digits()?;
        if starts_with_zero && whole > 1 {
            return Err(Odd);
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    /// Where the first quote, backslash or control character stands from `at` on, or the text's end.
    #[inline(always)]
    fn end_of_plain(&mut self, at: usize) -> usize {
        let block = at / BLOCK;
        if block != self.block {
            (self.block, self.marks) = (block, marks_of(self.text.as_bytes(), block));
        }
        match self.marks >> (at % BLOCK) {
            0 => self.end_of_longer_plain(),
            marks => at + marks.trailing_zeros() as usize,
        }
    }

    /// The end of plain text that fills the rest of this block.
    fn end_of_longer_plain(&mut self) -> usize {
        loop {
            self.block += 1;
            self.marks = marks_of(self.text.as_bytes(), self.block);
            if self.marks != 0 {
                return self.block * BLOCK + self.marks.trailing_zeros() as usize;
            }
        }
    }

    /// Skips digits, one at least; how many.
    fn digits(&mut self) -> Result<usize, Odd> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        let count = self.at - start;
        if count == 0 { Err(Odd) } else { Ok(count) }
    }
}

/// Where in the block plain text ends; behind the text's end everywhere.
#[inline]
fn marks_of(bytes: &[u8], block: usize) -> u64 {
    let rest = bytes.get(block * BLOCK..).unwrap_or_default();
    match rest.first_chunk::<BLOCK>() {
        Some(whole) => marks(whole),
        None => {
            // Zeros are control characters: no text goes on behind the end.
            let mut last = [0; BLOCK];
            last[..rest.len()].copy_from_slice(rest);
            marks(&last)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::read_generally;

    /// What was read, in order; `o` is entered.
    #[derive(Debug, Default, PartialEq, Eq)]
    struct Seen(Vec<(String, String)>);

    impl<'de> Members<'de> for Seen {
        fn member<N: Next<'de>>(&mut self, name: &str, next: &mut N) -> Result<(), N::Error> {
            let value = match name {
                "o" => format!("{:?}", next.enter(self)?),
                "s" => next.skip().map(|()| String::new())?,
                _ => format!("{:?}", next.raw()?),
            };
            self.0.push((name.to_owned(), value));
            Ok(())
        }
    }

    /// Whether the quick way reads the text; if so, the general parser has to read the same.
    fn check(json: &str) -> bool {
        let (mut quick, mut general) = (Seen::default(), Seen::default());
        let Ok(shape) = read_object(json, LEVELS, &mut quick) else { return false };
        assert_eq!(read_generally(json, &mut general).ok(), Some(shape), "{json}");
        assert_eq!(quick, general, "{json}");
        true
    }

    const SAMPLES: [&str; 12] = [
        "{}",
        r#" { "a" : 1 , "b":[ ] } "#,
        "{\"a\":\"я\",\n\t\"b\":null,\"s\":[true,false,{\"x\":[{}]}]}\r\n",
        r#"{"o":{"a":-0.5e+10,"o":{"a":"","s":{"x":{"y":[1,2,[3]]}}}},"a":[{"b":"c"}]}"#,
        r#"{"a":"with \"escapes\" \u00e9\\","b":"long enough for several words 😀 of it"}"#,
        r#"{"s":0,"a":10.25,"a":2E-3,"o":null,"o":[1,{"a":2}],"o":"text","o":true}"#,
        r#"{"s":{"\u0061":"\ud83d"},"a":"\/\b\f\n\r\t"}"#,
        "[1]",
        "null",
        "\"text\"",
        r#"{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{}}}}}}}}}}"#,
        "{\"12345678\":\"12345678\",\"1234567\":\"1234567\"}",
    ];

    #[test]
    fn what_is_read_quickly_reads_the_same_generally() {
        for json in SAMPLES {
            assert!(check(json), "{json}");
        }
    }

    #[test]
    fn one_changed_byte_never_parts_the_two() {
        for json in SAMPLES {
            for (at, _) in json.char_indices() {
                check(&json[..at]);
                let rest = &json[at..];
                let behind = &rest[rest.chars().next().map_or(0, char::len_utf8)..];
                for change in [
                    "", "\"", "\\", "\0", "\u{1f}", " ", "!", "0", "-", ".", "e", ",", ":", "{", "]", "}",
                    "я",
                ] {
                    check(&format!("{}{change}{behind}", &json[..at]));
                    check(&format!("{}{change}{rest}", &json[..at]));
                }
            }
        }
    }

    #[test]
    fn what_is_not_sure_is_left_to_the_general_parser() {
        let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(66), "]".repeat(66));
        for json in [r#"{"\u0061":1}"#, r#"{"o":1e999}"#, r#"{"o":"\ud83d"}"#, "12", "", &deep] {
            assert!(!check(json), "{json}");
        }
    }
}
