//! A lead's last activities, for explanations and the hand-over.

/// The lead's last activities, for explanations and the hand-over.
///
/// One run of bytes, oldest first by arrival, hardly ever read and so never taken apart. Each entry: the id's upper
/// half u32 · t · name u8 · about bytes u8, its top bit telling of a dwell · if the name is [`EventName::OTHER`]: its
/// bytes u8, the name · about · dwell u32 ms.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct History(pub(crate) Vec<u8>);

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HistoryEntry<'a> {
    /// The upper half of the event id's hash: enough to tell a few activities apart.
    pub(crate) id: u32,
    pub(crate) t_ms: i64,
    pub(crate) name: EventName<'a>,
    /// A path or a key's value; empty for none.
    pub(crate) about: &'a str,
    pub(crate) dwell_ms: Option<u32>,
}

/// The name of an event in a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventName<'a> {
    /// Not kept: the model asks for no history.
    Unkept,
    /// The place, below [`EventName::PLACES`], among the names that the model's rules look at.
    Named(u8),
    /// Any other name.
    Other(&'a str),
}

impl EventName<'_> {
    /// Names of the model that take one byte.
    pub(crate) const PLACES: u8 = 254;

    const UNKEPT: u8 = 254;
    const OTHER: u8 = 255;
}

impl History {
    /// Entries kept where the model asks for fewer: for the decisive activities of explanations.
    pub(crate) const LEAST: usize = 8;

    /// Names and what they were about are cut here, in bytes.
    const TEXT_BYTES: usize = 64;

    const HEAD_BYTES: usize = 12;
    const HAS_DWELL: u8 = 0x80;

    /// Adds an entry; beyond `most` of its kind, [`EventName::Unkept`] or not, the oldest ones go. A visit that opened
    /// takes no place of the activities that sales are told of.
    pub(crate) fn add(&mut self, entry: HistoryEntry<'_>, most: usize) {
        self.put(entry);
        self.cut_to(most);
    }

    /// Drops the oldest entries while there are more than `most` of a kind.
    pub(crate) fn cut_to(&mut self, most: usize) {
        let mut held = [0; 2];
        for (unkept, _) in self.heads() {
            held[usize::from(unkept)] += 1;
        }
        let mut surplus = 0;
        for (unkept, bytes) in self.heads() {
            if held.iter().all(|count| *count <= most) {
                break;
            }
            held[usize::from(unkept)] -= 1;
            surplus += bytes;
        }
        self.0.drain(..surplus);
    }

    /// Whether each entry's name is unkept and the bytes that it takes, oldest first, from the entries' heads alone.
    fn heads(&self) -> impl Iterator<Item = (bool, usize)> {
        let mut rest = self.0.as_slice();
        std::iter::from_fn(move || {
            let &[code, about] = rest.get(Self::HEAD_BYTES - 2..Self::HEAD_BYTES)?.first_chunk::<2>()?;
            let name = match code {
                EventName::OTHER => 1 + usize::from(*rest.get(Self::HEAD_BYTES)?),
                _ => 0,
            };
            let dwell = if about & Self::HAS_DWELL != 0 { 4 } else { 0 };
            let bytes = Self::HEAD_BYTES + name + usize::from(about & !Self::HAS_DWELL) + dwell;
            rest = rest.get(bytes..)?;
            Some((code == EventName::UNKEPT, bytes))
        })
    }

    /// Takes in another history, by event time.
    pub(crate) fn merge(&mut self, other: &History, most: usize) {
        let own = std::mem::take(self);
        let mut entries: Vec<HistoryEntry<'_>> = own.iter().chain(other.iter()).collect();
        entries.sort_by_key(|entry| (entry.t_ms, entry.id));
        entries.dedup_by_key(|entry| (entry.t_ms, entry.id));
        entries.into_iter().for_each(|entry| self.put(entry));
        self.cut_to(most);
    }

    /// What the activity `id` was about, if that is still known.
    pub(crate) fn about(&self, id: u64) -> Option<&str> {
        let id = (id >> 32) as u32;
        self.iter().find(|entry| entry.id == id && !entry.about.is_empty()).map(|entry| entry.about)
    }

    /// The entries, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = HistoryEntry<'_>> {
        let mut rest = self.0.as_slice();
        std::iter::from_fn(move || {
            let (entry, after) = HistoryEntry::split_first(rest)?;
            rest = after;
            Some(entry)
        })
    }

    /// Bytes at the end that are no entry; 0 for whatever was written here.
    pub(crate) fn trailing_bytes(&self) -> usize {
        self.0.len() - self.iter().map(|entry| entry.bytes()).sum::<usize>()
    }

    fn put(&mut self, entry: HistoryEntry<'_>) {
        let cut = |text: &str| text.floor_char_boundary(Self::TEXT_BYTES);
        let about = &entry.about[..cut(entry.about)];
        let dwell = if entry.dwell_ms.is_some() { Self::HAS_DWELL } else { 0 };
        self.0.extend(entry.id.to_le_bytes());
        self.0.extend(&entry.t_ms.to_le_bytes()[..6]);
        let (code, other) = match entry.name {
            EventName::Unkept => (EventName::UNKEPT, None),
            EventName::Named(place) => (place, None),
            EventName::Other(name) => (EventName::OTHER, Some(&name[..cut(name)])),
        };
        self.0.extend([code, about.len() as u8 | dwell]);
        if let Some(name) = other {
            self.0.push(name.len() as u8);
            self.0.extend(name.as_bytes());
        }
        self.0.extend(about.as_bytes());
        self.0.extend(entry.dwell_ms.iter().flat_map(|dwell_ms| dwell_ms.to_le_bytes()));
    }
}

impl<'a> HistoryEntry<'a> {
    fn split_first(bytes: &'a [u8]) -> Option<(HistoryEntry<'a>, &'a [u8])> {
        let (id, after) = bytes.split_first_chunk::<4>()?;
        let (t, after) = after.split_first_chunk::<6>()?;
        let (&[code, about], mut after) = after.split_first_chunk::<2>()?;
        let mut text = |bytes: usize| {
            let (text, rest) = after.split_at_checked(bytes)?;
            after = rest;
            Some(text)
        };
        let word = |bytes| std::str::from_utf8(bytes).unwrap_or_default();
        let name = match code {
            EventName::OTHER => {
                let length = usize::from(*text(1)?.first()?);
                EventName::Other(word(text(length)?))
            }
            EventName::UNKEPT => EventName::Unkept,
            place => EventName::Named(place),
        };
        let (has_dwell, about) = (about & History::HAS_DWELL != 0, about & !History::HAS_DWELL);
        let about = word(text(usize::from(about))?);
        let dwell_ms = if has_dwell { text(4)?.try_into().ok().map(u32::from_le_bytes) } else { None };
        let mut t_ms = [0; 8];
        t_ms[2..].copy_from_slice(t);
        let t_ms = i64::from_le_bytes(t_ms) >> 16;
        Some((HistoryEntry { id: u32::from_le_bytes(*id), t_ms, name, about, dwell_ms }, after))
    }

    fn bytes(&self) -> usize {
        let name = if let EventName::Other(name) = self.name { 1 + name.len() } else { 0 };
        let dwell = if self.dwell_ms.is_some() { 4 } else { 0 };
        History::HEAD_BYTES + name + self.about.len() + dwell
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_entries_are_kept_cut_at_a_character() {
        let mut history = History::default();
        for id in 0..20_u32 {
            let about = format!("/{id}/{}", "ü".repeat(60));
            let name = if id == 12 { EventName::Other("odd") } else { EventName::Named(3) };
            let dwell_ms = (id % 2 == 0).then_some(id);
            history.add(HistoryEntry { id, t_ms: -5 + i64::from(id), name, about: &about, dwell_ms }, 8);
        }
        assert_eq!(history.iter().map(|entry| entry.id).collect::<Vec<_>>(), (12..20).collect::<Vec<_>>());
        assert_eq!(history.about(11 << 32), None);
        assert_eq!(history.about(19 << 32), Some(format!("/19/{}", "ü".repeat(30)).as_str()));
        let first = history.iter().next().map(|entry| (entry.t_ms, entry.name, entry.dwell_ms));
        assert_eq!(first, Some((7, EventName::Other("odd"), Some(12))));
        assert_eq!(history.iter().map(|entry| entry.bytes()).sum::<usize>(), history.0.len());
        assert_eq!(History(vec![1; 20]).about(1), None, "whatever bytes there are");
    }

    #[test]
    fn a_visit_takes_no_place_of_an_activity() {
        let mut history = History::default();
        for id in 0..30_u32 {
            let name = if id % 3 == 0 { EventName::Unkept } else { EventName::Named(3) };
            history.add(HistoryEntry { id, t_ms: i64::from(id), name, about: "/", dwell_ms: None }, 8);
        }
        let told = history.iter().filter(|entry| entry.name != EventName::Unkept);
        assert_eq!(told.map(|entry| entry.id).collect::<Vec<_>>(), [19, 20, 22, 23, 25, 26, 28, 29]);
        assert_eq!(history.iter().count(), 12, "with the visits that opened since");
    }
}
