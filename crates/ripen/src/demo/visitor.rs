//! Who comes to the site in a month, how often, and what they want there.

use super::calendar::{self, DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS};
use super::prng::Prng;
use super::segment::{Style, Traits};
use super::site;

/// What a visitor is up to. The shares are guesses that look like a dealer's site: most people see a
/// page or two and are never seen again; a few in a hundred mean to buy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Intent {
    PassingBy,
    Browsing,
    Considering,
    Buying,
    /// A crawler, monitor or script.
    Crawling,
}

const INTENTS: [(Intent, u32); 5] = [
    (Intent::PassingBy, 590),
    (Intent::Browsing, 240),
    (Intent::Considering, 100),
    (Intent::Buying, 40),
    (Intent::Crawling, 30),
];

/// Days between two visits, as quantiles: the same day, the next days, a week, a fortnight.
const GAP_DAYS: [i64; 11] = [0, 0, 1, 1, 1, 2, 3, 4, 6, 8, 15];

/// How wrong clients' clocks are, in ms, as quantiles: most are right to the second, some are minutes off.
const SKEW_MS: [i64; 9] = [
    -9 * MINUTE_MS,
    -40 * SECOND_MS,
    -2 * SECOND_MS,
    -300,
    0,
    300,
    2 * SECOND_MS,
    45 * SECOND_MS,
    11 * MINUTE_MS,
];

/// One visitor: everything that lasts longer than a session.
#[derive(Debug, Clone)]
pub(super) struct Visitor {
    pub(super) prng: Prng,
    pub(super) intent: Intent,
    pub(super) anonymous_id: String,
    pub(super) user_id: Option<String>,
    pub(super) traits: Option<Traits>,
    pub(super) browser: usize,
    /// Which crawler, if it is one.
    pub(super) crawler: usize,
    pub(super) ip: String,
    pub(super) style: Style,
    /// Added to the true time to get the client's.
    pub(super) skew_ms: i64,
    /// The campaign of the first visit, if it came by one.
    pub(super) campaign: Option<usize>,
    /// The model it likes best.
    pub(super) favourite: &'static str,
    /// Sessions so far.
    pub(super) sessions: u32,
    /// Sessions that it will have if the month is long enough.
    pub(super) sessions_wanted: u32,
    pub(super) newsletter: bool,
    pub(super) follows: bool,
    pub(super) price_list: bool,
    pub(super) applied: bool,
}

impl Visitor {
    /// The visitor with this number and the start of its first session.
    pub(super) fn new(seed: u64, number: u32, days: i64) -> (Visitor, i64) {
        let mut prng = Prng::new(seed, u64::from(number) + 1);
        let intent = INTENTS[prng.weighted(&INTENTS.map(|(_, weight)| weight))].0;
        let browser = prng.weighted(&site::BROWSER_WEIGHTS);
        let app = site::BROWSERS[browser].mobile && intent != Intent::Crawling && prng.chance(1_500);
        let skew_ms = match prng.below(100) {
            0..=1 => prng.between(-30 * HOUR_MS, 30 * HOUR_MS),
            2 => -prng.between(300 * DAY_MS, 2_000 * DAY_MS),
            _ => prng.quantile(&SKEW_MS),
        };
        let visitor = Visitor {
            intent,
            anonymous_id: prng.uuid(),
            user_id: None,
            traits: None,
            browser,
            crawler: prng.below(site::CRAWLERS.len() as u64) as usize,
            ip: site::ip(&mut prng),
            style: if app { Style::App } else { Style::Browser },
            skew_ms,
            campaign: prng.chance(4_500).then(|| prng.below(site::CAMPAIGNS.len() as u64) as usize),
            favourite: site::model(&mut prng),
            sessions: 0,
            sessions_wanted: sessions(&mut prng, intent),
            newsletter: false,
            follows: false,
            price_list: false,
            applied: false,
            prng,
        };
        visitor.with_first_session(days)
    }

    fn with_first_session(mut self, days: i64) -> (Visitor, i64) {
        let day = calendar::first_day(&mut self.prng, days);
        let at_ms = calendar::day_start_ms(day) + calendar::hour_of_day_ms(&mut self.prng);
        (self, at_ms)
    }

    /// When the next session begins, if there is to be one; `ended_ms` is the end of the last one.
    pub(super) fn next_session_ms(&mut self, ended_ms: i64) -> Option<i64> {
        if self.sessions >= self.sessions_wanted {
            return None;
        }
        let day = calendar::day_of(ended_ms) + self.prng.quantile(&GAP_DAYS);
        let at_ms = calendar::day_start_ms(day) + calendar::hour_of_day_ms(&mut self.prng);
        // The same day, but at least a coffee later.
        Some(at_ms.max(ended_ms + self.prng.between(40 * MINUTE_MS, 5 * HOUR_MS)))
    }
}

fn sessions(prng: &mut Prng, intent: Intent) -> u32 {
    let wanted = match intent {
        Intent::PassingBy => prng.quantile(&[1, 1, 1, 1, 2]),
        Intent::Browsing => prng.quantile(&[1, 1, 2, 3, 4]),
        Intent::Considering => prng.quantile(&[2, 3, 4, 6, 12]),
        Intent::Buying => prng.quantile(&[2, 3, 5, 7, 13]),
        Intent::Crawling => prng.quantile(&[1, 1, 2, 6]),
    };
    wanted as u32
}
