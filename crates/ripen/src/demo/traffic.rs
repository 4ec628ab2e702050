//! The month's records in the order of their arrival, made while they are read.
//!
//! Memory is bounded by the visitors and by what is on its way: a session is played when its time comes, and what
//! has arrived by then is handed out before. Every visitor draws from a stream of its own, so that the same seed
//! gives the same bytes however the sessions interleave.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::calendar;
use super::delivery::{self, Delivered};
use super::session;
use super::story;
use super::visitor::Visitor;

/// An iterator over the records of the month.
pub struct Traffic {
    visitors: Vec<Visitor>,
    /// The start of each visitor's next session and the visitor, the earliest first.
    sessions: BinaryHeap<Reverse<(i64, u32)>>,
    on_the_way: BinaryHeap<Reverse<OnTheWay>>,
    sent: u64,
    end_ms: i64,
}

impl Traffic {
    /// A month of `days` days and `visitors` visitors beside the two of the story.
    pub fn new(seed: u64, visitors: u32, days: i64) -> Traffic {
        let mut traffic = Traffic {
            visitors: Vec::with_capacity(visitors as usize),
            sessions: BinaryHeap::with_capacity(visitors as usize),
            on_the_way: BinaryHeap::new(),
            sent: 0,
            end_ms: calendar::day_start_ms(days),
        };
        for number in 0..visitors {
            let (visitor, start_ms) = Visitor::new(seed, number, days);
            traffic.visitors.push(visitor);
            traffic.sessions.push(Reverse((start_ms, number)));
        }
        traffic.send(story::records(days));
        traffic
    }

    fn send(&mut self, delivered: Vec<Delivered>) {
        for delivered in delivered {
            // What arrives after the month is not in the month's log.
            if delivered.arrival_ms < self.end_ms {
                self.sent += 1;
                self.on_the_way
                    .push(Reverse(OnTheWay { order: (delivered.arrival_ms, self.sent), delivered }));
            }
        }
    }

    fn play(&mut self, start_ms: i64, number: u32) {
        let visitor = &mut self.visitors[number as usize];
        let session = session::play(visitor, start_ms);
        let mut delivered = Vec::with_capacity(session.clicks.len() + 1);
        delivery::deliver(visitor, &session.clicks, &mut delivered);
        delivery::report(visitor, &session.reported, &mut delivered);
        if let Some(next_ms) = visitor.next_session_ms(session.ended_ms)
            && next_ms < self.end_ms
        {
            self.sessions.push(Reverse((next_ms, number)));
        }
        self.send(delivered);
    }
}

impl Iterator for Traffic {
    type Item = Delivered;

    fn next(&mut self) -> Option<Delivered> {
        loop {
            let session = self.sessions.peek().map(|Reverse(session)| *session);
            let arrived_ms = self.on_the_way.peek().map(|Reverse(first)| first.order.0);
            match (session, arrived_ms) {
                // Nothing of a session that is still to come can arrive before its start.
                (Some((start_ms, _)), Some(arrived_ms)) if arrived_ms <= start_ms => {}
                (Some((start_ms, number)), _) => {
                    self.sessions.pop();
                    self.play(start_ms, number);
                    continue;
                }
                (None, _) => {}
            }
            return self.on_the_way.pop().map(|Reverse(first)| first.delivered);
        }
    }
}

/// A record ordered by its arrival, then by when it was sent.
struct OnTheWay {
    order: (i64, u64),
    delivered: Delivered,
}

impl PartialEq for OnTheWay {
    fn eq(&self, other: &OnTheWay) -> bool {
        self.order == other.order
    }
}

impl Eq for OnTheWay {}

impl PartialOrd for OnTheWay {
    fn partial_cmp(&self, other: &OnTheWay) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for OnTheWay {
    fn cmp(&self, other: &OnTheWay) -> std::cmp::Ordering {
        self.order.cmp(&other.order)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(seed: u64, visitors: u32, days: i64) -> Vec<Delivered> {
        Traffic::new(seed, visitors, days).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes() {
        let digest = |seed| {
            let mut hasher = blake3::Hasher::new();
            for delivered in Traffic::new(seed, 300, 30) {
                hasher.update(&delivered.line);
                hasher.update(b"\n");
            }
            hasher.finalize().to_hex().to_string()
        };
        assert_eq!(digest(1), digest(1));
        assert_ne!(digest(1), digest(2));
    }

    #[test]
    fn records_arrive_in_order_within_the_month() {
        let lines = lines(1, 500, 12);
        assert!(lines.is_sorted_by_key(|delivered| delivered.arrival_ms));
        assert!(lines.iter().all(|delivered| calendar::day_of(delivered.arrival_ms) < 12));
        assert!(lines.iter().all(|delivered| !delivered.line.contains(&b'\n')));
    }

    #[test]
    fn a_shorter_month_still_tells_the_story() {
        let lines = lines(1, 0, story::SHORTEST_DAYS);
        assert_eq!(lines.len(), 16);
    }

    #[test]
    fn traffic_has_what_real_traffic_has() {
        let lines = lines(1, 2_000, 30);
        let texts: Vec<String> =
            lines.iter().map(|delivered| String::from_utf8_lossy(&delivered.line).into_owned()).collect();
        let share = |needle: &str| texts.iter().filter(|text| text.contains(needle)).count();
        assert!(share("Googlebot") > 0, "crawlers");
        assert!(share("robot_call") > 0, "the voice robot");
        assert!(share("\"userId\":\"u-") > 0, "accounts");
        assert!(share("+03:00\"") > 0, "offsets");
        let unreadable = lines
            .iter()
            .filter(|delivered| serde_json::from_slice::<serde::de::IgnoredAny>(&delivered.line).is_err());
        assert!(unreadable.count() > 0, "broken records");
        let mut ids: Vec<&str> = texts
            .iter()
            .filter_map(|text| text.split("\"messageId\":\"").nth(1)?.split('"').next())
            .collect();
        let all = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert!(all > ids.len(), "messages sent twice");
        assert!((8..=40).contains(&(lines.len() / 2_000)), "{} records of 2,000 visitors", lines.len());
    }
}
