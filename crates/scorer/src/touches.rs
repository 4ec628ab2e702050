//! Where a lead came from: its first and its newest touch.

/// The first and the newest activity that came with a campaign or from another site.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Touches {
    pub(crate) first: Option<Box<Touch>>,
    /// `None` while it is the first one.
    pub(crate) last: Option<Box<Touch>>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Touch {
    pub(crate) t_ms: i64,
    pub(crate) id: u64,
    /// Source, medium, campaign, term, content, the referrer's host; each at most [`Touch::TEXT_BYTES`] bytes.
    pub(crate) texts: [Option<Box<str>>; Touch::TEXTS],
}

impl Touch {
    pub(crate) const TEXTS: usize = 6;

    /// A text is cut here, in bytes.
    pub(crate) const TEXT_BYTES: usize = 64;
}

impl Touches {
    /// Takes in a touch of these texts: most often the newest one again, later.
    pub(crate) fn note(&mut self, t_ms: i64, id: u64, texts: [Option<&str>; Touch::TEXTS]) {
        let newest = self.last.as_mut().filter(|last| (t_ms, id) > (last.t_ms, last.id));
        match newest {
            Some(last) if last.texts.iter().map(Option::as_deref).eq(texts) => {
                (last.t_ms, last.id) = (t_ms, id);
            }
            _ => self.add(Touch { t_ms, id, texts: texts.map(|text| text.map(Into::into)) }),
        }
    }

    /// Takes in a touch: the smallest and the largest in canonical order stay.
    pub(crate) fn add(&mut self, touch: Touch) {
        match &self.first {
            None => self.first = Some(Box::new(touch)),
            Some(first) if (touch.t_ms, touch.id) < (first.t_ms, first.id) => {
                let before = self.first.replace(Box::new(touch));
                if self.last.is_none() {
                    self.last = before;
                }
            }
            Some(first) if (touch.t_ms, touch.id) == (first.t_ms, first.id) => {}
            Some(_) => {
                let newer =
                    self.last.as_ref().is_none_or(|last| (touch.t_ms, touch.id) > (last.t_ms, last.id));
                if newer {
                    self.last = Some(Box::new(touch));
                }
            }
        }
    }

    pub(crate) fn last(&self) -> Option<&Touch> {
        self.last.as_deref().or(self.first.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_touches_the_smallest_and_the_largest_stay_in_any_order() {
        let touch = |t_ms: i64| Touch { t_ms, id: 1, texts: Default::default() };
        for order in [[1, 2, 3], [3, 2, 1], [2, 1, 3], [2, 3, 1]] {
            let mut touches = Touches::default();
            order.into_iter().for_each(|t_ms| touches.add(touch(t_ms)));
            assert_eq!(touches.first.as_ref().map(|touch| touch.t_ms), Some(1));
            assert_eq!(touches.last().map(|touch| touch.t_ms), Some(3));
        }
    }
}
