//! How long a text of an activity may be, in bytes of UTF-8. Longer ones are cut at a character's boundary;
//! what identifies (event ids, lead ids) is never cut: two ids must not become one.

use std::borrow::Cow;

/// An event id; a longer one is replaced by its BLAKE3.
pub const EVENT_ID_BYTES: usize = 256;
/// An event's name, a page's own name, a session id.
pub const NAME_BYTES: usize = 256;
/// A page's path.
pub const PATH_BYTES: usize = 1024;
/// A URL or a referrer.
pub const URL_BYTES: usize = 2048;
/// A host: the limit of DNS.
pub const HOST_BYTES: usize = 255;
/// A page's title.
pub const TITLE_BYTES: usize = 256;
/// A campaign parameter.
pub const UTM_BYTES: usize = 256;
/// A text among properties and traits.
pub const VALUE_BYTES: usize = 1024;
/// Elements of a list among properties and traits; further ones are dropped.
pub const LIST_ELEMENTS: usize = 64;
/// Ids of one record; the lower ranked ones beyond are dropped.
pub const IDS: usize = 16;
/// Categories of consent on either side.
pub const CONSENT_CATEGORIES: usize = 64;

/// The text, or the longest part of it within `bytes` that ends at a character's boundary.
pub(crate) fn cut<'a>(text: Cow<'a, str>, bytes: usize) -> Cow<'a, str> {
    if text.len() <= bytes {
        return text;
    }
    let end = text.floor_char_boundary(bytes);
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[..end]),
        Cow::Owned(mut text) => {
            text.truncate(end);
            Cow::Owned(text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(cut("абв".into(), 6), "абв");
        assert_eq!(cut("абв".into(), 5), "аб");
        assert_eq!(cut(Cow::Owned("абв".to_owned()), 1), "");
    }
}
