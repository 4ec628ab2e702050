//! Visits: when one begins, and what rules see of it (S3a).

use crate::lead::{Lead, Visit};
use crate::moment::Moment;

/// Activities further apart than this are two visits, unless a session id says otherwise. A gap of exactly
/// this is still one.
const GAP_MS: i64 = 30 * 60 * 1_000;

const MS_PER_DAY: i64 = 86_400_000;
const MICROS: i64 = 1_000_000;

/// What an activity sees of its visit; itself not yet counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    number: u32,
    pages: u32,
    age_ms: i64,
    gap_ms: Option<i64>,
}

impl Stamp {
    pub(crate) fn number_micros(self) -> i64 {
        i64::from(self.number) * MICROS
    }

    pub(crate) fn pages_micros(self) -> i64 {
        i64::from(self.pages) * MICROS
    }

    pub(crate) fn seconds_micros(self) -> i64 {
        self.age_ms * 1_000
    }

    pub(crate) fn gap_days_micros(self) -> Option<i64> {
        let gap_ms = i128::from(self.gap_ms?);
        Some((gap_ms * i128::from(MICROS) / i128::from(MS_PER_DAY)) as i64)
    }
}

/// Applies an activity to the lead's visit. `None` if it has none: not of web or app origin, or older than the
/// current visit's start.
pub(crate) fn enter(lead: &mut Lead, moment: &Moment<'_>) -> Option<Entry> {
    if !moment.is_of_a_visitor() {
        return None;
    }
    let (t_ms, session) = (moment.t_ms, moment.session());
    let (mut visit, opened) = match lead.visit {
        None => {
            let first = Visit { number: 1, pages: 0, start_ms: t_ms, last_ms: t_ms, gap_ms: None, session };
            (first, true)
        }
        Some(visit) if t_ms < visit.start_ms => return None,
        Some(visit) if begins_another(&visit, t_ms, session) => {
            let another = Visit {
                number: visit.number.saturating_add(1),
                pages: 0,
                start_ms: t_ms,
                last_ms: visit.last_ms.max(t_ms),
                gap_ms: Some((t_ms - visit.last_ms).max(0)),
                session,
            };
            (another, true)
        }
        Some(visit) => {
            let session = visit.session.or(session);
            (Visit { last_ms: visit.last_ms.max(t_ms), session, ..visit }, false)
        }
    };
    let stamp = Stamp {
        number: visit.number,
        pages: visit.pages,
        age_ms: t_ms - visit.start_ms,
        gap_ms: visit.gap_ms,
    };
    if moment.is_page() {
        visit.pages = visit.pages.saturating_add(1);
    }
    lead.visit = Some(visit);
    Some(Entry { stamp, opened })
}

/// How an activity stands to its visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) stamp: Stamp,
    /// It opened the visit.
    pub(crate) opened: bool,
}

fn begins_another(visit: &Visit, t_ms: i64, session: Option<u64>) -> bool {
    match (session, visit.session) {
        (Some(session), Some(current)) => session != current,
        _ => t_ms - visit.last_ms > GAP_MS,
    }
}
