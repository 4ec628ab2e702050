//! What happens to clicks between the browser and the log: clocks that are wrong, networks that are slow, phones that
//! are offline, requests sent twice, records that arrive broken.

use super::calendar::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS};
use super::prng::Prng;
use super::segment::{self, Click, Style, Times, Tracker};
use super::site;
use super::visitor::{Intent, Visitor};

/// Milliseconds from the browser to the collector, as quantiles. The slow end puts clicks out of order.
const NETWORK_MS: [i64; 9] = [40, 70, 110, 160, 240, 380, 700, 1_900, 16_000];

/// Shares of 10,000.
const OFFLINE_SESSIONS: u64 = 120;
const FORGOTTEN_SESSIONS: u64 = 6;
const SENT_TWICE: u64 = 130;
const CLOCK_AHEAD: u64 = 4;
const BROKEN: u64 = 16;

/// A record on its way into the log.
pub struct Delivered {
    /// When it arrives, ms UTC.
    pub arrival_ms: i64,
    /// One line of JSON, mostly.
    pub line: Vec<u8>,
}

/// Delivers what a visitor did in one session.
pub(super) fn deliver(visitor: &mut Visitor, clicks: &[Click], out: &mut Vec<Delivered>) {
    let Some(last) = clicks.last() else { return };
    let mut prng = visitor.prng.clone();
    let mobile = site::BROWSERS[visitor.browser].mobile && visitor.intent != Intent::Crawling;
    let held_until_ms = if mobile && prng.chance(OFFLINE_SESSIONS) {
        // Sent when the phone is online again: hours or days later, all at once.
        Some(last.at_ms + prng.quantile(&[20 * MINUTE_MS, 3 * HOUR_MS, 14 * HOUR_MS, 4 * DAY_MS]))
    } else {
        None
    };
    // A phone from a drawer: what it did was done weeks before it was sent.
    let forgotten_ms =
        if mobile && prng.chance(FORGOTTEN_SESSIONS) { prng.between(5 * DAY_MS, 70 * DAY_MS) } else { 0 };
    for click in clicks {
        let true_sent_ms = held_until_ms.unwrap_or(click.at_ms) + prng.between(0, 400);
        let ahead_ms = if prng.chance(CLOCK_AHEAD) { prng.between(HOUR_MS, 40 * HOUR_MS) } else { 0 };
        let times = Times {
            original_ms: click.at_ms - forgotten_ms + visitor.skew_ms + ahead_ms,
            sent_ms: true_sent_ms + visitor.skew_ms,
            received_ms: true_sent_ms + prng.quantile(&NETWORK_MS),
        };
        send(visitor, click, times, &mut prng, out);
    }
    visitor.prng = prng;
}

/// Delivers what a server of the dealer reported about a visitor.
pub(super) fn report(visitor: &mut Visitor, clicks: &[Click], out: &mut Vec<Delivered>) {
    let mut prng = visitor.prng.clone();
    for click in clicks {
        let message_id = format!("node-next-{}-{}", click.at_ms, prng.uuid());
        let times = Times {
            original_ms: click.at_ms,
            sent_ms: click.at_ms + 5 * SECOND_MS,
            received_ms: click.at_ms + 5 * SECOND_MS + prng.between(8, 60),
        };
        let tracker = Tracker { style: Style::Server, ip: "203.0.113.10", ..tracker(visitor) };
        let line = segment::write(&tracker, click, &message_id, times);
        out.push(Delivered { arrival_ms: times.received_ms, line });
    }
    visitor.prng = prng;
}

fn send(visitor: &Visitor, click: &Click, times: Times, prng: &mut Prng, out: &mut Vec<Delivered>) {
    let message_id = format!("ajs-next-{}-{}", times.original_ms, prng.uuid());
    let tracker = tracker(visitor);
    let line = segment::write(&tracker, click, &message_id, times);
    if prng.chance(SENT_TWICE) {
        // The answer got lost: the same message, sent and received once more.
        let later_ms = prng.quantile(&[900, 5_000, 30 * SECOND_MS, 10 * MINUTE_MS, 2 * DAY_MS]);
        let again =
            Times { sent_ms: times.sent_ms + later_ms, received_ms: times.received_ms + later_ms, ..times };
        let line = segment::write(&tracker, click, &message_id, again);
        out.push(Delivered { arrival_ms: again.received_ms, line });
    }
    if prng.chance(BROKEN) {
        let line = broken(prng, &line, visitor);
        out.push(Delivered { arrival_ms: times.received_ms, line });
    } else {
        out.push(Delivered { arrival_ms: times.received_ms, line });
    }
}

/// A record as broken software sends it.
fn broken(prng: &mut Prng, line: &[u8], visitor: &Visitor) -> Vec<u8> {
    let text = String::from_utf8_lossy(line).into_owned();
    let anonymous_id = format!("\"anonymousId\":\"{}\"", visitor.anonymous_id);
    match prng.below(12) {
        // Cut off by a proxy.
        0..=3 => line[..line.len() * 2 / 3].to_vec(),
        4 => b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>".to_vec(),
        // A browser that keeps no cookie.
        5 => text.replacen(&anonymous_id, "\"anonymousId\":\"\"", 1).into_bytes(),
        6 => text.replacen(&format!("{anonymous_id},"), "", 1).into_bytes(),
        // A template that was never filled in.
        7 => text.replacen(&anonymous_id, "\"anonymousId\":\"undefined\"", 1).into_bytes(),
        8 => text.replacen("\"type\":\"", "\"type\":\"audience", 1).into_bytes(),
        9 => format!("[{}]", i64::from(visitor.sessions)).into_bytes(),
        // Half of a two-byte letter.
        10 => {
            let mut bytes = text.replacen("ru-RU", "ru-R?", 1).into_bytes();
            if let Some(at) = bytes.windows(5).position(|window| window == b"ru-R?") {
                bytes[at + 4] = 0xd0;
            }
            bytes
        }
        _ => format!("{}null{}", "{\"a\":".repeat(200), "}".repeat(200)).into_bytes(),
    }
}

fn tracker(visitor: &Visitor) -> Tracker<'_> {
    let browser = &site::BROWSERS[visitor.browser];
    let crawler = visitor.intent == Intent::Crawling;
    Tracker {
        anonymous_id: &visitor.anonymous_id,
        user_id: visitor.user_id.as_deref(),
        traits: visitor.traits.as_ref(),
        browser,
        user_agent: if crawler { site::CRAWLERS[visitor.crawler] } else { browser.user_agent },
        ip: &visitor.ip,
        campaign: visitor.campaign.filter(|_| visitor.sessions == 1).map(|at| &site::CAMPAIGNS[at]),
        style: visitor.style,
    }
}
