//! Reading JSON by halves: known members of objects are kept as slices of the record, everything else is
//! skipped, and a slice is decoded when it is asked for.
//!
//! Nothing here recurses with the input: the parser skips values without recursion, and objects are entered
//! only where a reader names them.

mod scan;

use std::borrow::Cow;
use std::fmt;

use ripen_records::{Text, Value};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::bounds::{CONSENT_CATEGORIES, LIST_ELEMENTS, NAME_BYTES, VALUE_BYTES, cut};

/// One value of a record, already checked to be well formed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Raw<'a> {
    /// Not there.
    #[default]
    Missing,
    /// A string without escapes, as it stands between its quotes.
    Plain(&'a str),
    /// The JSON text of any other value.
    Json(&'a str),
}

impl<'a> Raw<'a> {
    /// The value that this JSON text is.
    pub(crate) fn of(json: &'a str) -> Raw<'a> {
        let inner = json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        match inner {
            Some(inner) if memchr::memchr(b'\\', inner.as_bytes()).is_none() => Raw::Plain(inner),
            _ => Raw::Json(json),
        }
    }

    /// The JSON text of an object or a list; empty for anything that is neither.
    pub(crate) fn nested(self) -> &'a str {
        match self {
            Raw::Json(json) if json.starts_with(['{', '[']) => json,
            _ => "",
        }
    }

    /// Missing or null.
    pub(crate) fn is_absent(self) -> bool {
        matches!(self, Raw::Missing | Raw::Json("null"))
    }

    pub(crate) fn is_object(self) -> bool {
        self.nested().starts_with('{')
    }

    pub(crate) fn is_array(self) -> bool {
        self.nested().starts_with('[')
    }

    /// This value unless it is absent or an empty text, else the other.
    pub(crate) fn or_if_empty(self, other: Raw<'a>) -> Raw<'a> {
        if self.is_absent() || self == Raw::Plain("") { other } else { self }
    }

    /// A string, unescaped. Half a surrogate pair (a text that was cut within an emoji) is replaced.
    pub(crate) fn string(self) -> Option<Cow<'a, str>> {
        match self {
            Raw::Plain(text) => Some(Cow::Borrowed(text)),
            Raw::Json(json) if json.starts_with('"') => unescaped(json).map(Cow::Owned),
            Raw::Json(_) | Raw::Missing => None,
        }
    }

    /// A string, or the canonical text of a number.
    pub(crate) fn text(self) -> Option<Cow<'a, str>> {
        match self {
            Raw::Json(json) if json.starts_with(|c: char| matches!(c, '-' | '0'..='9')) => {
                Some(Cow::Borrowed(canonical_number(json)))
            }
            _ => self.string(),
        }
    }

    /// Whether [`Self::text`] has something in it.
    pub(crate) fn has_text(self) -> bool {
        match self {
            Raw::Plain(text) => !text.is_empty(),
            // What is escaped has at least one character.
            Raw::Json(json) => json.starts_with(|c: char| matches!(c, '"' | '-' | '0'..='9')),
            Raw::Missing => false,
        }
    }

    /// [`Self::text`] unless it is empty, cut to `bytes`.
    pub(crate) fn bounded(self, bytes: usize) -> Option<Cow<'a, str>> {
        self.text().filter(|text| !text.is_empty()).map(|text| cut(text, bytes))
    }

    /// The value in the model's sense: null, empty texts, objects and lists within lists are absent.
    pub(crate) fn value(self) -> Option<Value<'a>> {
        if self.is_array() {
            let mut deserializer = serde_json::Deserializer::from_str(self.nested());
            return deserializer.deserialize_any(ListVisitor).ok().map(Value::Array);
        }
        self.scalar()
    }

    fn scalar(self) -> Option<Value<'a>> {
        let Raw::Json(json) = self else {
            let text = self.string().filter(|text| !text.is_empty())?;
            return Some(Value::String(Text(cut(text, VALUE_BYTES))));
        };
        match json.as_bytes().first()? {
            b'"' => unescaped(json).map(|text| Value::String(Text(cut(Cow::Owned(text), VALUE_BYTES)))),
            b't' => Some(Value::Boolean(true)),
            b'f' => Some(Value::Boolean(false)),
            b'-' | b'0'..=b'9' => ripen_model::parse_micros(json).map(|micros| Value::Number { micros }),
            _ => None,
        }
    }

    /// The members of an object that are booleans; `None` if it is no object.
    pub(crate) fn flags(self) -> Option<Vec<(String, bool)>> {
        let mut flags = Flags(Vec::new());
        self.is_object().then(|| read_generally(self.nested(), &mut flags)).map(|_| flags.0)
    }

    /// The elements of a list that are texts; `None` if it is no list.
    pub(crate) fn texts(self) -> Option<Vec<String>> {
        let elements = match self.is_array().then(|| self.value())?? {
            Value::Array(elements) => elements,
            _ => return None,
        };
        let text = |element| match element {
            Value::String(text) => Some(cut(text.0, NAME_BYTES).into_owned()),
            _ => None,
        };
        Some(elements.into_iter().filter_map(text).collect())
    }

    /// Reads this value's members if it is an object.
    pub(crate) fn read<M: Members<'a>>(self, members: &mut M) -> Result<Shape, serde_json::Error> {
        if self.is_object() { read_object(self.nested(), members) } else { Ok(Shape::Other) }
    }

    /// The elements of a list, at most `limit` and one more; nothing if it is no list.
    pub(crate) fn elements(self, limit: usize) -> Vec<Raw<'a>> {
        if !self.is_array() {
            return Vec::new();
        }
        let mut deserializer = serde_json::Deserializer::from_str(self.nested());
        deserializer.deserialize_any(ElementsVisitor { limit }).unwrap_or_default()
    }
}

/// Takes the members of an object, one by one. Of a repeated name the last one counts, as in JavaScript; so a
/// text whose reading was given up half-way can be read again from its start into the same members.
pub(crate) trait Members<'de> {
    /// Takes one member: reads its value from `next`, exactly once.
    fn member<N: Next<'de>>(&mut self, name: &str, next: &mut N) -> Result<(), N::Error>;
}

/// The value that comes next in an object.
pub(crate) trait Next<'de> {
    /// Why it cannot be read.
    type Error;

    /// Keeps it as its text.
    fn raw(&mut self) -> Result<Raw<'de>, Self::Error>;

    /// Skips it.
    fn skip(&mut self) -> Result<(), Self::Error>;

    /// Reads its members if it is an object, skips it if not.
    fn enter<M: Members<'de>>(&mut self, members: &mut M) -> Result<Shape, Self::Error>;
}

/// What a value turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Object,
    Other,
}

/// Reads a JSON text's members into `members`, if it is an object. The whole text is checked.
pub(crate) fn read_object<'de, M: Members<'de>>(
    json: &'de str,
    members: &mut M,
) -> Result<Shape, serde_json::Error> {
    scan::read_object(json, scan::LEVELS, members).or_else(|scan::Odd| read_generally(json, members))
}

/// [`read_object`] of a text of at most `depth` levels; `None` if it is deeper.
pub(crate) fn read_bounded<'de, M: Members<'de>>(
    json: &'de str,
    depth: usize,
    members: &mut M,
) -> Option<Result<Shape, serde_json::Error>> {
    match scan::read_object(json, depth, members) {
        Ok(shape) => Some(Ok(shape)),
        Err(scan::Odd) if is_deeper_than(json, depth) => None,
        Err(scan::Odd) => Some(read_generally(json, members)),
    }
}

fn read_generally<'de, M: Members<'de>>(json: &'de str, members: &mut M) -> Result<Shape, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let shape = Object(members).deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(shape)
}

/// A map of the general parser, in front of a value.
struct General<A>(A);

impl<'de, A: MapAccess<'de>> Next<'de> for General<A> {
    type Error = A::Error;

    fn raw(&mut self) -> Result<Raw<'de>, A::Error> {
        self.0.next_value::<&'de RawValue>().map(|value| Raw::of(value.get()))
    }

    fn skip(&mut self) -> Result<(), A::Error> {
        self.0.next_value::<IgnoredAny>().map(|_| ())
    }

    fn enter<M: Members<'de>>(&mut self, members: &mut M) -> Result<Shape, A::Error> {
        self.0.next_value_seed(Object(members))
    }
}

/// An object's members, or nothing for any other value.
struct Object<'m, M>(&'m mut M);

impl<'de, M: Members<'de>> DeserializeSeed<'de> for Object<'_, M> {
    type Value = Shape;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Shape, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, M: Members<'de>> Visitor<'de> for Object<'_, M> {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Shape, A::Error> {
        let mut map = General(map);
        while let Some(name) = map.0.next_key::<Name<'de>>()? {
            self.0.member(&name.0, &mut map)?;
        }
        Ok(Shape::Object)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Shape, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Shape::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Shape, E> {
        Ok(Shape::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Shape, E> {
        Ok(Shape::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Shape, E> {
        Ok(Shape::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Shape, E> {
        Ok(Shape::Other)
    }

    fn visit_str<E>(self, _: &str) -> Result<Shape, E> {
        Ok(Shape::Other)
    }

    fn visit_unit<E>(self) -> Result<Shape, E> {
        Ok(Shape::Other)
    }
}

/// A member's name, borrowed unless it is escaped: a plain `Cow` would be copied each time.
struct Name<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(NameVisitor)
    }
}

struct NameVisitor;

impl<'de> Visitor<'de> for NameVisitor {
    type Value = Name<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Name(Cow::Borrowed(name)))
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Name(Cow::Owned(name.to_owned())))
    }
}

struct Flags(Vec<(String, bool)>);

impl<'de> Members<'de> for Flags {
    fn member<N: Next<'de>>(&mut self, name: &str, next: &mut N) -> Result<(), N::Error> {
        let value = next.raw()?;
        if let (Some(Value::Boolean(flag)), true) = (value.scalar(), self.0.len() < CONSENT_CATEGORIES) {
            self.0.push((cut(name.into(), NAME_BYTES).into_owned(), flag));
        }
        Ok(())
    }
}

struct ListVisitor;

impl<'de> Visitor<'de> for ListVisitor {
    type Value = Vec<Value<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut values = Vec::new();
        while let Some(element) = seq.next_element::<&'de RawValue>()? {
            if values.len() < LIST_ELEMENTS {
                values.extend(Raw::of(element.get()).scalar());
            }
        }
        Ok(values)
    }
}

struct ElementsVisitor {
    limit: usize,
}

impl<'de> Visitor<'de> for ElementsVisitor {
    type Value = Vec<Raw<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = seq.next_element::<&'de RawValue>()? {
            if elements.len() <= self.limit {
                elements.push(Raw::of(element.get()));
            }
        }
        Ok(elements)
    }
}

/// The text of a string with escapes.
fn unescaped(json: &str) -> Option<String> {
    serde_json::from_str::<String>(json).ok().or_else(|| {
        let mut deserializer = serde_json::Deserializer::from_str(json);
        deserializer.deserialize_bytes(LossyText).ok()
    })
}

struct LossyText;

impl<'de> Visitor<'de> for LossyText {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<String, E> {
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }
}

/// A number as an id: `12.0` is `12`; integers of any length stay as they are.
fn canonical_number(json: &str) -> &str {
    match json.split_once('.') {
        Some((whole, fraction)) if fraction.bytes().all(|b| b == b'0') => whole,
        _ => json,
    }
}

/// Whether arrays and objects are nested deeper than `limit`, without recursion. Exact for JSON; for anything
/// else it only has to end.
fn is_deeper_than(json: &str, limit: usize) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                if depth > limit {
                    return true;
                }
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A value of a record, for the tests of this crate.
    pub(crate) fn json(text: &str) -> Raw<'_> {
        Raw::of(text)
    }

    #[test]
    fn depth_is_counted_outside_of_strings() {
        for (json, limit, expect) in [
            ("{}", 1, false),
            ("[[]]", 1, true),
            ("[[]]", 2, false),
            (r#"{"a":"[[[["}"#, 1, false),
            (r#"{"a":"\"[[[["}"#, 1, false),
            ("[],[],[],[]", 1, false),
            ("[[[[", 3, true),
        ] {
            assert_eq!(is_deeper_than(json, limit), expect, "{json} over {limit}");
        }
    }

    #[test]
    fn both_ways_of_reading_know_the_same_depth() {
        for (json, depth) in [
            ("{}", 1),
            (r#"{"a":{}}"#, 2),
            (r#"{"a":[]}"#, 2),
            (r#"{"a":[{"b":1}]}"#, 3),
            (r#"{"a":[[],{"b":[]}],"c":2}"#, 4),
            (r#"{"o":{"o":{"a":[1]}}}"#, 4),
            (r#"{"\u006f":{"o":{"a":[1]}}}"#, 4),
            (r#"{"o":{"s":{}},"s":[[[]]]}"#, 4),
        ] {
            for limit in 0..6 {
                let read = read_bounded(json, limit, &mut Entered);
                let expect = (depth <= limit).then_some(Shape::Object);
                assert_eq!(read.map(|read| read.unwrap()), expect, "{json} within {limit}");
            }
        }
    }

    /// Enters `o`, skips `s`, keeps the rest.
    struct Entered;

    impl<'de> Members<'de> for Entered {
        fn member<N: Next<'de>>(&mut self, name: &str, next: &mut N) -> Result<(), N::Error> {
            match name {
                "o" => next.enter(self).map(|_| ()),
                "s" => next.skip(),
                _ => next.raw().map(|_| ()),
            }
        }
    }

    #[test]
    fn half_a_surrogate_pair_is_replaced() {
        assert_eq!(Raw::of(r#""a\ud83d""#).string().as_deref(), Some("a\u{fffd}\u{fffd}\u{fffd}"));
        assert_eq!(Raw::of(r#""\ud83d\ude00\n""#).string().as_deref(), Some("😀\n"));
    }

    #[test]
    fn ids_keep_every_digit() {
        assert_eq!(Raw::of("12.0").text().as_deref(), Some("12"));
        assert_eq!(Raw::of("12345678901234567890123").text().as_deref(), Some("12345678901234567890123"));
    }

    #[test]
    fn lists_are_flat_and_bounded() {
        let list = format!("[{}]", vec!["1"; LIST_ELEMENTS + 9].join(","));
        assert!(
            matches!(Raw::of(&list).value(), Some(Value::Array(values)) if values.len() == LIST_ELEMENTS)
        );
        assert_eq!(
            Raw::of(r#"["a",[1],{"b":1},null,""]"#).value(),
            Some(Value::Array(vec![Value::String("a".into())]))
        );
    }
}
