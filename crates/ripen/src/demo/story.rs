//! The two persons of the dealer's story, at fixed moments near the end of the month.
//!
//! One looks at several models, reads the blog, follows the dealer and leaves: a lead for marketing. The other
//! studies trims, leaves, comes back two days later and books a test drive: a lead for sales. Both are late enough in
//! the month that neither cools down before its end.

use super::calendar::{self, HOUR_MS, MINUTE_MS};
use super::delivery::Delivered;
use super::segment::{self, Call, Click, PageView, Property, Style, Times, Tracker};
use super::site;

/// The fewest days in which the story fits.
pub(super) const SHORTEST_DAYS: i64 = 6;

/// One person and where it must end.
pub(super) struct Person {
    pub(super) anonymous_id: &'static str,
    /// The stage of the bundled model that the story ends in.
    pub(super) ends_in: &'static str,
    /// The story in a line.
    pub(super) told: &'static str,
}

/// The two persons.
pub(super) const PERSONS: [Person; 2] = [
    Person {
        anonymous_id: "story-person-1",
        ends_in: "mql",
        told: "looked at three models, read the blog, followed on social media, left",
    },
    Person {
        anonymous_id: "story-person-2",
        ends_in: "sql",
        told: "studied trims, left, came back two days later, booked a test drive",
    },
];

/// What a person does: minutes after the first click, and the click.
enum Step {
    Opens(&'static str),
    Leaves { dwell_seconds: i64 },
    Does(&'static str, &'static [(&'static str, &'static str)]),
}

const TWO_DAYS_MIN: i64 = 2 * 24 * 60;

const FIRST: [(i64, Step); 9] = [
    (0, Step::Opens("/models/aurora")),
    (2, Step::Opens("/models/breeze")),
    (5, Step::Opens("/models/comet")),
    (7, Step::Leaves { dwell_seconds: 120 }),
    (8, Step::Opens("/blog/aurora-or-breeze")),
    (11, Step::Leaves { dwell_seconds: 175 }),
    (12, Step::Opens("/blog/winter-tyres")),
    (14, Step::Leaves { dwell_seconds: 80 }),
    (15, Step::Does("social_subscribe", &[("network", "vk")])),
];

const SECOND: [(i64, Step); 7] = [
    (0, Step::Opens("/models/aurora")),
    (1, Step::Opens("/models/aurora/trims/sport")),
    (4, Step::Opens("/models/breeze/trims/premium")),
    (6, Step::Leaves { dwell_seconds: 130 }),
    (TWO_DAYS_MIN, Step::Opens("/models/aurora")),
    (TWO_DAYS_MIN + 3, Step::Opens("/price")),
    (TWO_DAYS_MIN + 5, Step::Does("form_submit", &[("form", "test_drive"), ("model_id", "aurora")])),
];

/// Every record of the two, for a month of `days` days.
pub(super) fn records(days: i64) -> Vec<Delivered> {
    let evening_ms = calendar::day_start_ms(days - 3) + 19 * HOUR_MS + 40 * MINUTE_MS;
    let two_days_before_ms = calendar::day_start_ms(days - 5) + 12 * HOUR_MS + 5 * MINUTE_MS;
    let mut records = person(&PERSONS[0], evening_ms, &FIRST, 5);
    records.extend(person(&PERSONS[1], two_days_before_ms, &SECOND, 0));
    records
}

fn person(person: &Person, start_ms: i64, steps: &[(i64, Step)], browser: usize) -> Vec<Delivered> {
    let tracker = Tracker {
        anonymous_id: person.anonymous_id,
        user_id: None,
        traits: None,
        browser: &site::BROWSERS[browser],
        user_agent: site::BROWSERS[browser].user_agent,
        ip: "192.0.2.41",
        campaign: None,
        style: Style::Browser,
    };
    let mut path = "/";
    let mut delivered = Vec::with_capacity(steps.len());
    for (number, (minute, step)) in steps.iter().enumerate() {
        let (call, properties) = match *step {
            Step::Opens(opened) => {
                path = opened;
                (Call::Page, Vec::new())
            }
            Step::Leaves { dwell_seconds } => {
                (Call::Track("page_leave"), vec![("dwell_seconds", Property::Number(dwell_seconds))])
            }
            Step::Does(event, properties) => (
                Call::Track(event),
                properties.iter().map(|(name, value)| (*name, Property::Text((*value).to_owned()))).collect(),
            ),
        };
        let page = Some(PageView { path: path.to_owned(), search: String::new(), referrer: String::new() });
        let at_ms = start_ms + minute * MINUTE_MS;
        let click = Click { at_ms, call, page, properties, identified: false };
        let times = Times { original_ms: at_ms, sent_ms: at_ms + 20, received_ms: at_ms + 150 };
        let message_id = format!("{}-{:02}", person.anonymous_id, number + 1);
        let line = segment::write(&tracker, &click, &message_id, times);
        delivered.push(Delivered { arrival_ms: times.received_ms, line });
    }
    delivered
}
