//! Where a lead came from: its first and its newest touch.

/// The first and the newest activity that came with a campaign or from another site.
///
/// One run of bytes, as they stand in the lead's own: hardly ever read and so never taken apart. Each touch: t · id u64 ·
/// which texts u8 · for each: bytes u8 · text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Touches {
    /// The first, then the newest unless it is the first.
    bytes: Vec<u8>,
    /// The bytes of the first; 0 for none.
    first_bytes: usize,
}

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Touch<'a> {
    pub(crate) t_ms: i64,
    pub(crate) id: u64,
    /// Source, medium, campaign, term, content, the referrer's host; each at most [`Touch::TEXT_BYTES`] bytes.
    pub(crate) texts: [Option<&'a str>; Touch::TEXTS],
}

impl<'a> Touch<'a> {
    pub(crate) const TEXTS: usize = 6;

    /// A text is cut here, in bytes.
    pub(crate) const TEXT_BYTES: usize = 64;

    /// What stands before the texts' presence.
    pub(crate) const HEAD_BYTES: usize = 14;

    fn read(bytes: &'a [u8]) -> Option<Touch<'a>> {
        let (t_ms, id) = order(bytes)?;
        let (&present, mut rest) = bytes[Touch::HEAD_BYTES..].split_first()?;
        let mut texts = [None; Touch::TEXTS];
        for (_, text) in texts.iter_mut().enumerate().filter(|(ix, _)| present & (1 << ix) != 0) {
            let (&length, after) = rest.split_first()?;
            let (bytes, after) = after.split_at_checked(usize::from(length))?;
            *text = Some(std::str::from_utf8(bytes).unwrap_or_default());
            rest = after;
        }
        Some(Touch { t_ms, id, texts })
    }

    fn append_to(&self, bytes: &mut Vec<u8>) {
        let texts: usize = self.texts.iter().flatten().map(|text| 1 + text.len()).sum();
        bytes.reserve(Touch::HEAD_BYTES + 1 + texts);
        bytes.extend_from_slice(&self.t_ms.to_le_bytes()[..6]);
        bytes.extend_from_slice(&self.id.to_le_bytes());
        let present = |(ix, text): (usize, &Option<&str>)| u8::from(text.is_some()) << ix;
        bytes.push(self.texts.iter().enumerate().map(present).sum());
        for text in self.texts.iter().flatten() {
            bytes.push(text.len() as u8);
            bytes.extend(text.as_bytes());
        }
    }
}

/// The place of the touch that begins here in canonical order; `None` if there is none.
fn order(bytes: &[u8]) -> Option<(i64, u64)> {
    let (t, rest) = bytes.split_first_chunk::<6>()?;
    let mut t_ms = [0; 8];
    t_ms[2..].copy_from_slice(t);
    // Shifting back down carries the sign.
    Some((i64::from_le_bytes(t_ms) >> 16, u64::from_le_bytes(*rest.first_chunk()?)))
}

impl Touches {
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.first_bytes = 0;
    }

    /// Takes over the two as they stand in a lead's bytes, either of them empty for none.
    pub(crate) fn set(&mut self, first: &[u8], newest: &[u8]) {
        self.bytes.clear();
        self.bytes.extend(first);
        self.bytes.extend(newest);
        self.first_bytes = first.len();
    }

    /// Both as they stand in a lead's bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Takes in a touch: the smallest and the largest in canonical order stay.
    pub(crate) fn add(&mut self, touch: Touch<'_>) {
        let at = (touch.t_ms, touch.id);
        let (first, newest) = self.bytes.split_at(self.first_bytes);
        match order(first) {
            Some(first) if at == first => {}
            Some(first) if at > first => {
                // Most often the same again, later.
                if order(newest).is_none_or(|newest| at > newest) {
                    self.bytes.truncate(self.first_bytes);
                    touch.append_to(&mut self.bytes);
                }
            }
            first_order => {
                let mut bytes = Vec::new();
                touch.append_to(&mut bytes);
                self.first_bytes = bytes.len();
                // What was the first is the newest if there is no other.
                let kept = if first_order.is_some() && newest.is_empty() { first } else { newest };
                bytes.extend(kept);
                self.bytes = bytes;
            }
        }
    }

    /// Takes in those of another lead.
    pub(crate) fn merge(&mut self, other: &Touches) {
        let (first, newest) = other.bytes.split_at(other.first_bytes);
        [first, newest].into_iter().filter_map(Touch::read).for_each(|touch| self.add(touch));
    }

    pub(crate) fn first(&self) -> Option<Touch<'_>> {
        Touch::read(&self.bytes[..self.first_bytes])
    }

    /// The newest, which may be the first.
    pub(crate) fn last(&self) -> Option<Touch<'_>> {
        Touch::read(&self.bytes[self.first_bytes..]).or_else(|| self.first())
    }

    pub(crate) fn has_first(&self) -> bool {
        self.first_bytes > 0
    }

    /// Whether the newest is another one than the first.
    pub(crate) fn has_newest(&self) -> bool {
        self.bytes.len() > self.first_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_touches_the_smallest_and_the_largest_stay_in_any_order() {
        let names = ["one", "another", "a third"];
        let touch = |t_ms: i64| {
            let source = Some(names[t_ms as usize - 1]);
            Touch { t_ms, id: 1, texts: [source, None, None, None, None, Some("host")] }
        };
        for order in [[1, 2, 3], [3, 2, 1], [2, 1, 3], [2, 3, 1], [1, 3, 2], [3, 1, 2]] {
            let mut touches = Touches::default();
            assert_eq!((touches.first(), touches.last()), (None, None));
            for t_ms in order.into_iter().chain(order) {
                touches.add(touch(t_ms));
                assert!(touches.has_first());
            }
            assert!(touches.has_newest());
            assert_eq!((touches.first(), touches.last()), (Some(touch(1)), Some(touch(3))), "{order:?}");
            let mut merged = Touches::default();
            merged.add(touch(2));
            assert_eq!(merged.last(), merged.first());
            merged.merge(&touches);
            assert_eq!(merged, touches);
        }
    }

    #[test]
    fn instants_before_1970_keep_their_order() {
        let mut touches = Touches::default();
        for (t_ms, id) in [(-5, 7), (-5, 8), (3, 1), (-6, u64::MAX)] {
            touches.add(Touch { t_ms, id, texts: [None; Touch::TEXTS] });
        }
        let order = |touch: Option<Touch<'_>>| touch.map(|touch| (touch.t_ms, touch.id));
        assert_eq!(order(touches.first()), Some((-6, u64::MAX)));
        assert_eq!(order(touches.last()), Some((3, 1)));
    }
}
