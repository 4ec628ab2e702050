//! The values of properties and traits, and the text type that borrows from its record.

use std::borrow::Cow;
use std::ops::Deref;

/// How many units of [`Value::Number`] make 1.
pub const MICROS_PER_UNIT: i64 = 1_000_000;

/// A text that borrows from the record it was read from wherever it can.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Text<'a>(pub Cow<'a, str>);

impl Text<'_> {
    /// The text as a plain slice.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same text, owning its bytes.
    pub fn into_owned(self) -> Text<'static> {
        Text(Cow::Owned(self.0.into_owned()))
    }
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Text(Cow::Borrowed(text))
    }
}

impl From<String> for Text<'_> {
    fn from(text: String) -> Self {
        Text(Cow::Owned(text))
    }
}

impl<'a> From<Cow<'a, str>> for Text<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        Text(text)
    }
}

/// One value of a property or trait. Null, `""`, maps and nested lists are absent and never travel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value<'a> {
    /// A JSON boolean.
    Boolean(bool),
    /// A number in millionths, further digits floored, saturated at ±9.2·10¹² units.
    Number {
        /// Millionths of one.
        micros: i64,
    },
    /// A text as it came.
    String(Text<'a>),
    /// A flat list; its elements are never lists themselves.
    Array(Vec<Value<'a>>),
}
