//! The id of a lead: `kind:value`, as it stands in keys, URLs and outputs.

use std::cmp::Ordering;
use std::fmt;

/// What an id identifies, from the strongest to the weakest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IdKind {
    /// The CRM's own id.
    Crm,
    /// The id of a signed-in user.
    User,
    /// SHA-256 (lower-case hex) of a trimmed, lower-cased e-mail address.
    Email,
    /// SHA-256 (lower-case hex) of a phone number's digits with country code.
    Phone,
    /// A device.
    Device,
    /// A cookie.
    Anon,
}

impl IdKind {
    /// Every kind, strongest first.
    pub const ALL: [IdKind; 6] =
        [IdKind::Crm, IdKind::User, IdKind::Email, IdKind::Phone, IdKind::Device, IdKind::Anon];

    /// The kind's word in `kind:value`.
    pub const fn as_str(self) -> &'static str {
        match self {
            IdKind::Crm => "crm",
            IdKind::User => "user",
            IdKind::Email => "email",
            IdKind::Phone => "phone",
            IdKind::Device => "device",
            IdKind::Anon => "anon",
        }
    }

    /// The kind of an id `kind:value`; `None` if it is none.
    pub fn of(id: &str) -> Option<IdKind> {
        Some(match id.as_bytes() {
            [b'c', b'r', b'm', b':', ..] => IdKind::Crm,
            [b'u', b's', b'e', b'r', b':', ..] => IdKind::User,
            [b'e', b'm', b'a', b'i', b'l', b':', ..] => IdKind::Email,
            [b'p', b'h', b'o', b'n', b'e', b':', ..] => IdKind::Phone,
            [b'd', b'e', b'v', b'i', b'c', b'e', b':', ..] => IdKind::Device,
            [b'a', b'n', b'o', b'n', b':', ..] => IdKind::Anon,
            _ => return None,
        })
    }

    /// The rank: 0 is the strongest; a device and a cookie are of one rank.
    pub const fn rank(self) -> u8 {
        match self {
            IdKind::Crm => 0,
            IdKind::User => 1,
            IdKind::Email => 2,
            IdKind::Phone => 3,
            IdKind::Device | IdKind::Anon => 4,
        }
    }

    /// Whether an id of this kind makes its lead known: everything beyond a device or a cookie.
    pub const fn is_known(self) -> bool {
        self.rank() < IdKind::Anon.rank()
    }
}

/// A lead id `kind:value`, 3 to 256 bytes of UTF-8. Ordered by (rank of kind, bytes).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct LeadId {
    kind: IdKind,
    text: Box<str>,
}

/// Why a text is no lead id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LeadIdError {
    /// There is no known `kind:` in front.
    #[error("lead id has no known kind")]
    UnknownKind,
    /// The value is empty.
    #[error("lead id has an empty value")]
    Empty,
    /// The whole id is over [`LeadId::MAX_BYTES`].
    #[error("lead id has {bytes} bytes, over the limit")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
}

impl LeadId {
    /// The longest id, `kind:` included.
    pub const MAX_BYTES: usize = 256;

    /// Makes the id `kind:value`.
    ///
    /// # Errors
    /// An empty value, or an id over [`LeadId::MAX_BYTES`].
    pub fn new(kind: IdKind, value: &str) -> Result<LeadId, LeadIdError> {
        if value.is_empty() {
            return Err(LeadIdError::Empty);
        }
        let bytes = kind.as_str().len() + 1 + value.len();
        if bytes > Self::MAX_BYTES {
            return Err(LeadIdError::TooLong { bytes });
        }
        let mut text = String::with_capacity(bytes);
        text.extend([kind.as_str(), ":", value]);
        Ok(LeadId { kind, text: text.into_boxed_str() })
    }

    /// Reads `kind:value`.
    ///
    /// # Errors
    /// An unknown kind, an empty value, or an id over [`LeadId::MAX_BYTES`].
    pub fn parse(text: &str) -> Result<LeadId, LeadIdError> {
        let kind = IdKind::of(text).ok_or(LeadIdError::UnknownKind)?;
        Self::new(kind, &text[kind.as_str().len() + 1..])
    }

    /// The kind.
    pub fn kind(&self) -> IdKind {
        self.kind
    }

    /// The whole id, `kind:value`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What stands behind `kind:`.
    pub fn value(&self) -> &str {
        &self.text[self.kind.as_str().len() + 1..]
    }
}

impl From<LeadId> for String {
    fn from(id: LeadId) -> String {
        id.text.into_string()
    }
}

impl Ord for LeadId {
    fn cmp(&self, other: &Self) -> Ordering {
        self.kind.rank().cmp(&other.kind.rank()).then_with(|| self.text.as_bytes().cmp(other.text.as_bytes()))
    }
}

impl PartialOrd for LeadId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for LeadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Shows the kind only: ids stay out of logs.
impl fmt::Debug for LeadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LeadId({}:…)", self.kind.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_a_whole_word_before_a_colon() {
        for kind in IdKind::ALL {
            let word = kind.as_str();
            assert_eq!(IdKind::of(&format!("{word}:1")), Some(kind));
            assert_eq!(IdKind::of(&format!("{word}:")), Some(kind));
            for text in
                [word.to_owned(), format!("{word}s:1"), format!("{}:1", &word[1..]), format!("_{word}:1")]
            {
                assert_eq!(IdKind::of(&text), None, "{text}");
            }
        }
        assert_eq!(IdKind::of(""), None);
        assert_eq!(IdKind::of("ä:1"), None);
    }
}
