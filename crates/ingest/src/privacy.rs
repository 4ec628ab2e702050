//! What is personal and what becomes of it: e-mail addresses and phone numbers leave as SHA-256 or not at all.
//!
//! Fields that are known to hold them are hashed. Besides, anything that looks like an address is hashed where
//! it is a whole value and cut where it stands within a text: trackers put addresses into URLs and titles.

use std::borrow::Cow;

use sha2::{Digest, Sha256};

/// The longest address that mail can reach (RFC 5321).
const EMAIL_BYTES: usize = 254;

/// Whether a record can hold an address at all: without an at sign, and without a percent sign or a backslash,
/// which may stand for one, nothing in it is one, and its texts need not be looked at one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Addresses {
    possible: bool,
}

impl Addresses {
    /// What can be in texts that come from this one.
    pub(crate) fn of(text: &str) -> Addresses {
        Addresses { possible: memchr::memchr3(b'@', b'%', b'\\', text.as_bytes()).is_some() }
    }

    pub(crate) fn are_possible(self) -> bool {
        self.possible
    }

    /// The text without the addresses in it, also those with a percent-encoded `@`.
    pub(crate) fn cut_from(self, text: Cow<'_, str>) -> Cow<'_, str> {
        if self.possible { without_emails(text) } else { text }
    }

    /// Whether a whole text looks like an address.
    pub(crate) fn is_one(self, text: &str) -> bool {
        self.possible && is_email(text)
    }
}

/// SHA-256 of the trimmed, lower-cased address, 64 lower-case hex digits. A value that is such a hash already
/// stays. `None` for anything without something on either side of one `@`.
pub(crate) fn email_hash(text: &str) -> Option<String> {
    let text = text.trim();
    if text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Some(text.to_ascii_lowercase());
    }
    let (local, domain) = text.split_once('@')?;
    let plausible = !local.is_empty()
        && !domain.is_empty()
        && !domain.contains('@')
        && text.len() <= EMAIL_BYTES
        && !text.contains(char::is_whitespace);
    plausible.then(|| sha256_hex(text.to_lowercase().as_bytes()))
}

/// The trimmed, lower-cased domain of an address.
pub(crate) fn email_domain(text: &str) -> Option<String> {
    let domain = text.trim().rsplit_once('@')?.1.to_lowercase();
    (!domain.is_empty() && !domain.contains(char::is_whitespace)).then_some(domain)
}

/// Whether a whole text looks like an address: one `@`, and a domain with a dot and a name behind it.
fn is_email(text: &str) -> bool {
    if memchr::memchr(b'@', text.as_bytes()).is_none() {
        return false;
    }
    let text = text.trim();
    let Some((local, domain)) = text.split_once('@') else { return false };
    !local.is_empty()
        && text.len() <= EMAIL_BYTES
        && local.chars().all(is_local_char)
        && domain.chars().all(is_domain_char)
        && is_domain(domain)
}

/// SHA-256 of a phone number's digits, 64 lower-case hex digits, and whether the number has a country code and
/// so may identify. A value that is such a hash already stays. `None` for fewer than 7 or more than 15 digits
/// (E.164).
pub(crate) fn phone_hash(text: &str) -> Option<(String, bool)> {
    let text = text.trim();
    if text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Some((text.to_ascii_lowercase(), true));
    }
    if text.len() > 64 {
        return None;
    }
    let all: String = text.chars().filter(char::is_ascii_digit).collect();
    let digits = all.strip_prefix("00").unwrap_or(&all);
    if !(7..=15).contains(&digits.len()) {
        return None;
    }
    // Without a sign of it, 11 digits are the least that hold a country code and a national number.
    let international = text.starts_with('+') || all.starts_with("00");
    let complete = international || (digits.len() >= 11 && !digits.starts_with('0'));
    Some((sha256_hex(digits.as_bytes()), complete))
}

/// The text without the addresses in it, also those with a percent-encoded `@`.
fn without_emails(text: Cow<'_, str>) -> Cow<'_, str> {
    if memchr::memchr2(b'@', b'%', text.as_bytes()).is_none() {
        return text;
    }
    let mut kept = String::new();
    // Everything before `done` is decided; the search for the next `@` goes on at `from`.
    let (mut done, mut from) = (0, 0);
    while let Some((at, sign)) = next_at_sign(&text, from) {
        let start = at - trailing_bytes(&text[done..at], is_local_char);
        let after = at + sign;
        let run = &text[after..];
        let domain = &run[..run.find(|c| !is_domain_char(c)).unwrap_or(run.len())];
        let domain = domain.trim_end_matches(['.', '-']);
        from = after;
        if start < at && is_domain(domain) {
            kept.push_str(&text[done..start]);
            done = after + domain.len();
            from = done;
        }
    }
    if done == 0 {
        return text;
    }
    kept.push_str(&text[done..]);
    Cow::Owned(kept)
}

/// Lower-case hex of SHA-256.
fn sha256_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digest = Sha256::digest(bytes);
    digest
        .iter()
        .flat_map(|b| [b >> 4, b & 15])
        .map(|nibble| char::from(DIGITS[usize::from(nibble)]))
        .collect()
}

fn next_at_sign(text: &str, from: usize) -> Option<(usize, usize)> {
    let rest = &text[from..];
    rest.char_indices().find_map(|(at, c)| match c {
        '@' => Some((from + at, 1)),
        '%' if rest[at..].starts_with("%40") => Some((from + at, 3)),
        '%' if rest[at..].starts_with("%2540") => Some((from + at, 5)),
        _ => None,
    })
}

fn trailing_bytes(text: &str, holds: fn(char) -> bool) -> usize {
    text.len() - text.trim_end_matches(holds).len()
}

fn is_local_char(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '.' | '_' | '%' | '+' | '-' | '\'')
}

fn is_domain_char(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '.' | '-')
}

/// A dot, and behind the last one a name of two characters or more that is no number.
fn is_domain(domain: &str) -> bool {
    domain.rsplit_once('.').is_some_and(|(rest, top)| {
        !rest.is_empty() && top.chars().count() >= 2 && !top.bytes().all(|b| b.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_that_ad_platforms_take() {
        // The addresses are samples of Yandex Audience, the digests those of coreutils' sha256sum.
        let email = "bd93ea95f242f02313eccf0ab0bb7fe5121a052de42d2cb7bd332fb9f537cbfa";
        for text in ["mail@yandex.ru", " Mail@Yandex.RU\n", email, &email.to_uppercase()] {
            assert_eq!(email_hash(text).as_deref(), Some(email), "{text}");
        }
        let phone = "8bf7d8ef683ac4d7cf7fc6390f99c06e76e0b2022ec0c857c92e0041a53a3d66";
        for text in ["79876543210", "+7 (987) 654-32-10", "0079876543210", phone] {
            assert_eq!(phone_hash(text), Some((phone.to_owned(), true)), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_not_hashed() {
        for text in ["", "n/a", "@", "a@", "@b", "a@b@c", "a b@c.example"] {
            assert_eq!(email_hash(text), None, "{text}");
        }
    }

    #[test]
    fn phones_identify_only_with_a_country_code() {
        for (text, expect) in [
            ("+1 202 555 0100", Some(true)),
            ("0012025550100", Some(true)),
            ("12025550100", Some(true)),
            ("2025550100", Some(false)),
            ("0202555010", Some(false)),
            ("555", None),
            ("call me", None),
            ("1234567890123456", None),
        ] {
            assert_eq!(phone_hash(text).map(|(_, complete)| complete), expect, "{text}");
        }
    }

    #[test]
    fn whole_addresses() {
        for (text, expect) in [
            ("jane@shop.example", true),
            (" Jane+x@shop.example ", true),
            ("иван@почта.рф", true),
            ("jane@localhost", false),
            ("@jane", false),
            ("12345@N00", false),
            ("jane@shop.example, joe@shop.example", false),
            ("jane@shop.example/x", false),
        ] {
            assert_eq!(is_email(text), expect, "{text}");
        }
    }

    #[test]
    fn addresses_are_cut_out_of_texts() {
        for (text, expect) in [
            ("/models/a", "/models/a"),
            ("/unsubscribe/jane@shop.example", "/unsubscribe/"),
            ("?email=jane%40shop.example&x=1", "?email=&x=1"),
            ("?next=%2Fu%3Fe%3Djane%2540shop.example", "?next="),
            ("Inbox: jane@shop.example, joe@shop.example.", "Inbox: , ."),
            ("/photos/12345@N00/", "/photos/12345@N00/"),
            ("/maps/@55.75,37.61,12z", "/maps/@55.75,37.61,12z"),
            ("привет я@почта.рф!", "привет !"),
            ("@@@", "@@@"),
        ] {
            assert_eq!(without_emails(text.into()), expect, "{text}");
        }
    }
}
