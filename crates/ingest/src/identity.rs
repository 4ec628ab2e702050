//! Whose event it is: the ids of a record, highest rank first.

use std::borrow::Cow;

use ripen_records::{IdKind, LeadId, LeadIdError};

use crate::bounds::IDS;
use crate::privacy::{self, Addresses};

/// Texts that trackers send where they know no id. The first block is the list that `PostHog` documents, the
/// rest are what other languages print for nothing. Compared trimmed and without regard to ASCII case.
const ILLEGAL_IDS: [&str; 23] = [
    "anonymous",
    "guest",
    "distinctid",
    "distinct_id",
    "id",
    "not_authenticated",
    "email",
    "undefined",
    "true",
    "false",
    "[object Object]",
    "NaN",
    "None",
    "null",
    "0",
    // Beyond it.
    "",
    "''",
    "\"\"",
    "nil",
    "n/a",
    "-",
    "-1",
    "unknown",
];

/// None of them is longer: `not_authenticated`.
const LONGEST_ILLEGAL_BYTES: usize = 17;

/// Apple's advertising id where tracking is refused.
const NO_DEVICE: &str = "00000000-0000-0000-0000-000000000000";

/// Whether a text is no id but a placeholder for one.
pub fn is_illegal_id(text: &str) -> bool {
    let text = text.trim_ascii();
    if text.len() > LONGEST_ILLEGAL_BYTES {
        return text == NO_DEVICE;
    }
    ILLEGAL_IDS.iter().any(|illegal| illegal.eq_ignore_ascii_case(text))
}

/// The ids of one record.
#[derive(Debug, Default)]
pub(crate) struct Ids {
    ids: Vec<LeadId>,
    /// Those that the record says are another name of the person, and does not merely carry.
    aliases: Vec<LeadId>,
    illegal: bool,
    too_long: bool,
}

/// The ids of one record in their order; the first one is the lead.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Ranked {
    pub(crate) ids: Vec<LeadId>,
    /// Bit n: the record says that the n-th id is another name of the person. [`IDS`] fit.
    pub(crate) aliases: u16,
}

/// Why a record has no usable id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoId {
    /// Nothing at all.
    Missing,
    /// Placeholders only.
    Illegal,
    /// One, over the limit of bytes: cutting it could make two persons one.
    TooLong,
}

impl Ids {
    /// No ids yet; they are collected in an empty list.
    pub(crate) fn in_room(room: Vec<LeadId>) -> Ids {
        Ids { ids: room, ..Ids::default() }
    }

    /// Adds an id as the tracker wrote it. One that looks like an e-mail address is one, whatever its field.
    pub(crate) fn add(&mut self, kind: IdKind, text: &str, addresses: Addresses) {
        if is_illegal_id(text) {
            self.illegal = true;
        } else if addresses.is_one(text) {
            self.add_email(text);
        } else {
            self.push(LeadId::new(kind, text));
        }
    }

    /// Adds an id that the record says is another name of the person.
    pub(crate) fn add_alias(&mut self, kind: IdKind, text: &str, addresses: Addresses) {
        let before = self.ids.len();
        self.add(kind, text, addresses);
        self.aliases.extend(self.ids.drain(before..));
    }

    /// Adds an e-mail address, hashed; anything else is no id.
    pub(crate) fn add_email(&mut self, text: &str) {
        match privacy::email_hash(text) {
            Some(hash) => self.push(LeadId::new(IdKind::Email, &hash)),
            None => self.illegal = true,
        }
    }

    /// Adds a phone number, hashed, if it has its country code: without it, it may be two persons'.
    pub(crate) fn add_phone(&mut self, text: &str) {
        match privacy::phone_hash(text) {
            Some((hash, true)) => self.push(LeadId::new(IdKind::Phone, &hash)),
            _ => self.illegal = true,
        }
    }

    /// The ids, highest rank first, within a rank bytewise; the first one is the lead.
    pub(crate) fn ranked(mut self) -> Result<Ranked, NoId> {
        // What the record carries anyway needs nobody to say so.
        self.aliases.retain(|alias| !self.ids.contains(alias));
        self.ids.extend(self.aliases.iter().cloned());
        if self.ids.is_empty() {
            return Err(match (self.too_long, self.illegal) {
                (true, _) => NoId::TooLong,
                (false, true) => NoId::Illegal,
                (false, false) => NoId::Missing,
            });
        }
        self.ids.sort_unstable();
        self.ids.dedup();
        self.ids.truncate(IDS);
        let is_alias = |id: &LeadId| u16::from(self.aliases.contains(id));
        let aliases = match self.aliases.as_slice() {
            [] => 0,
            _ => self.ids.iter().rev().fold(0, |bits, id| bits << 1 | is_alias(id)),
        };
        Ok(Ranked { ids: self.ids, aliases })
    }

    fn push(&mut self, id: Result<LeadId, LeadIdError>) {
        match id {
            Ok(id) => self.ids.push(id),
            Err(LeadIdError::TooLong { .. }) => self.too_long = true,
            Err(LeadIdError::Empty | LeadIdError::UnknownKind) => self.illegal = true,
        }
    }
}

/// The event's id: the tracker's, kept apart from others whatever its length, or the BLAKE3 of the record's
/// bytes and its source's timestamp. An id that holds an address is hashed.
pub(crate) fn event_id<'a>(
    tracker: Option<Cow<'a, str>>,
    bytes: &str,
    timestamp_ms: i64,
    addresses: Addresses,
) -> Cow<'a, str> {
    match tracker {
        Some(id) if !is_illegal_id(&id) => {
            let with_address = addresses.are_possible() && id.contains('@');
            let plain = id.len() <= crate::bounds::EVENT_ID_BYTES && !with_address;
            if plain { id } else { blake3::hash(id.as_bytes()).to_hex().to_string().into() }
        }
        _ => {
            let mut hasher = blake3::Hasher::new();
            hasher.update(bytes.as_bytes());
            hasher.update(&timestamp_ms.to_le_bytes());
            hasher.finalize().to_hex().to_string().into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranked(ids: &[(IdKind, &str)]) -> Result<Vec<String>, NoId> {
        let mut all = Ids::default();
        for (kind, text) in ids {
            all.add(*kind, text, Addresses::of(text));
        }
        Ok(all.ranked()?.ids.iter().map(|id| id.as_str().to_owned()).collect())
    }

    #[test]
    fn ids_are_ranked() {
        let all = [(IdKind::Anon, "b"), (IdKind::Device, "c"), (IdKind::User, "u"), (IdKind::Anon, "b")];
        assert_eq!(ranked(&all).unwrap(), ["user:u", "anon:b", "device:c"]);
    }

    #[test]
    fn an_address_is_an_email_whatever_its_field() {
        let ids = ranked(&[(IdKind::User, "Mail@Yandex.ru"), (IdKind::Anon, "mail@yandex.ru")]).unwrap();
        assert_eq!(ids, ["email:bd93ea95f242f02313eccf0ab0bb7fe5121a052de42d2cb7bd332fb9f537cbfa"]);
    }

    #[test]
    fn placeholders_are_no_ids() {
        for text in ILLEGAL_IDS.into_iter().chain([NO_DEVICE]) {
            assert!(is_illegal_id(&text.to_uppercase()), "{text}");
        }
        for text in ["", " ", "null", "NULL", "undefined", "Guest", "0", "[object Object]", "NaN", "None"] {
            assert_eq!(ranked(&[(IdKind::User, text)]), Err(NoId::Illegal), "{text}");
            assert_eq!(ranked(&[(IdKind::User, text), (IdKind::Anon, "a")]).unwrap(), ["anon:a"], "{text}");
        }
        assert_eq!(ranked(&[]), Err(NoId::Missing));
    }

    #[test]
    fn an_alias_is_one_unless_the_record_carries_it_anyway() {
        for (alias, expect) in
            [((IdKind::User, "a"), 0b01), ((IdKind::Anon, "z"), 0b100), ((IdKind::Anon, "c"), 0)]
        {
            let mut ids = Ids::default();
            ids.add_alias(alias.0, alias.1, Addresses::of(alias.1));
            ids.add(IdKind::Anon, "c", Addresses::of("c"));
            ids.add(IdKind::User, "u", Addresses::of("u"));
            assert_eq!(ids.ranked().map(|ranked| ranked.aliases), Ok(expect), "{alias:?}");
        }
    }

    #[test]
    fn long_ids_are_not_cut() {
        assert_eq!(ranked(&[(IdKind::User, &"x".repeat(252))]), Err(NoId::TooLong));
        assert_eq!(ranked(&[(IdKind::User, &"x".repeat(251))]).unwrap()[0].len(), LeadId::MAX_BYTES);
    }

    #[test]
    fn event_ids() {
        let event_id = |tracker: Option<Cow<'static, str>>, bytes, timestamp_ms| {
            let addresses = Addresses::of(tracker.as_deref().unwrap_or_default());
            event_id(tracker, bytes, timestamp_ms, addresses)
        };
        assert_eq!(event_id(Some("m-1".into()), "{}", 5), "m-1");
        let derived = event_id(None, "{}", 5);
        assert_eq!(derived.len(), 64);
        assert_eq!(event_id(Some("null".into()), "{}", 5), derived);
        assert_ne!(event_id(None, "{}", 6), derived);
        assert_ne!(event_id(None, "{ }", 5), derived);
        let long =
            [event_id(Some("x".repeat(257).into()), "", 0), event_id(Some("x".repeat(258).into()), "", 0)];
        assert_eq!(long[0].len(), 64);
        assert_ne!(long[0], long[1]);
    }
}
