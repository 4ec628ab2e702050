//! One session on the site: which pages, for how long, and what was done there.

use super::calendar::{HOUR_MS, MINUTE_MS, SECOND_MS};
use super::prng::Prng;
use super::segment::{Call, Click, PageView, Property, Traits};
use super::site;
use super::visitor::{Intent, Visitor};

/// Seconds on a page, as quantiles; a blog article holds its readers longer.
const DWELL_SECONDS: [i64; 9] = [2, 5, 9, 16, 27, 42, 68, 115, 420];
const READING_SECONDS: [i64; 7] = [6, 25, 60, 95, 150, 240, 600];

/// What happened in a session: the visitor's own clicks, and what the dealer's servers report later.
pub(super) struct Session {
    /// In the order of time.
    pub(super) clicks: Vec<Click>,
    /// Calls of the voice robot, in the order of time.
    pub(super) reported: Vec<Click>,
    pub(super) ended_ms: i64,
}

/// Plays the visitor's next session from `start_ms`.
pub(super) fn play(visitor: &mut Visitor, start_ms: i64) -> Session {
    visitor.sessions += 1;
    if visitor.intent == Intent::Crawling {
        return crawl(visitor, start_ms);
    }
    let pages = visitor.prng.quantile(match visitor.intent {
        Intent::PassingBy => &[1, 1, 1, 2, 3],
        Intent::Browsing => &[1, 2, 3, 4, 9],
        _ => &[2, 3, 4, 6, 8, 15],
    });
    let mut browsing = Browsing::new(visitor, start_ms);
    for _ in 0..pages {
        browsing.read_page(visitor);
    }
    browsing.acts(visitor);
    let reported = browsing.reported;
    Session { clicks: browsing.clicks, reported, ended_ms: browsing.now_ms }
}

struct Browsing {
    now_ms: i64,
    referrer: String,
    /// The query of the landing page.
    search: String,
    path: String,
    clicks: Vec<Click>,
    reported: Vec<Click>,
    identified: bool,
}

impl Browsing {
    fn new(visitor: &mut Visitor, start_ms: i64) -> Browsing {
        let campaign = visitor.campaign.filter(|_| visitor.sessions == 1).map(|at| &site::CAMPAIGNS[at]);
        let (search, referrer) = match campaign {
            Some(campaign) => (
                format!(
                    "?utm_source={}&utm_medium={}&utm_campaign={}&utm_content={}",
                    campaign.source, campaign.medium, campaign.name, campaign.content
                ),
                campaign.referrer,
            ),
            None => (String::new(), *visitor.prng.pick(&site::REFERRERS)),
        };
        Browsing {
            now_ms: start_ms,
            referrer: referrer.to_owned(),
            search,
            path: String::new(),
            clicks: Vec::new(),
            reported: Vec::new(),
            identified: visitor.user_id.is_some(),
        }
    }

    /// Opens a page, stays for a while, and mostly says so on leaving.
    fn read_page(&mut self, visitor: &mut Visitor) {
        if !self.path.is_empty() {
            self.referrer = format!("{}{}", site::ORIGIN, self.path);
            self.search.clear();
        }
        self.path = path(visitor);
        self.push(Call::Page, Vec::new());
        let blog = self.path.starts_with("/blog");
        let seconds = visitor.prng.quantile(if blog { &READING_SECONDS } else { &DWELL_SECONDS });
        self.now_ms += seconds * SECOND_MS + visitor.prng.between(0, 999);
        // A tab that the system kills says nothing.
        if visitor.prng.chance(6_000) {
            let depth = visitor.prng.between(10, 100);
            self.push(
                Call::Track("page_leave"),
                vec![("dwell_seconds", Property::Number(seconds)), ("scroll_depth", Property::Number(depth))],
            );
        }
    }

    /// What a visitor does beyond reading, at most once a session each.
    fn acts(&mut self, visitor: &mut Visitor) {
        let serious = matches!(visitor.intent, Intent::Considering | Intent::Buying);
        let buying = visitor.intent == Intent::Buying;
        if serious && visitor.prng.chance(if buying { 3_000 } else { 900 }) {
            self.credit(visitor);
        }
        if !visitor.follows && visitor.intent != Intent::PassingBy && visitor.prng.chance(450) {
            visitor.follows = true;
            let network = *visitor.prng.pick(&["vk", "telegram"]);
            let event = if visitor.prng.chance(5_000) { "social_subscribe" } else { "Social Followed" };
            self.push_later(visitor, Call::Track(event), vec![("network", text(network))]);
        }
        if !visitor.newsletter && visitor.intent != Intent::PassingBy && visitor.prng.chance(400) {
            visitor.newsletter = true;
            self.push_later(visitor, Call::Track("newsletter_subscribe"), vec![("list", text("digest"))]);
            self.introduce(visitor, 3_000);
        } else if visitor.newsletter && visitor.prng.chance(250) {
            self.push_later(visitor, Call::Track("unsubscribe"), vec![("list", text("digest"))]);
        }
        if serious && !visitor.price_list && visitor.prng.chance(900) {
            visitor.price_list = true;
            self.form(visitor, "price_list");
            self.robot_call(visitor);
        }
        if buying && !visitor.applied && visitor.sessions >= 2 && visitor.prng.chance(3_200) {
            visitor.applied = true;
            self.form(visitor, "test_drive");
        }
    }

    fn credit(&mut self, visitor: &mut Visitor) {
        let amount = visitor.prng.between(8, 40) * 100_000;
        let months = *visitor.prng.pick(&[24, 36, 60, 84]);
        self.push_later(
            visitor,
            Call::Track("credit_calculated"),
            vec![
                ("model_id", text(visitor.favourite)),
                ("amount", Property::Number(amount)),
                ("months", Property::Number(months)),
            ],
        );
    }

    fn form(&mut self, visitor: &mut Visitor, form: &'static str) {
        self.push_later(
            visitor,
            Call::Track("form_submit"),
            vec![("form", text(form)), ("model_id", text(visitor.favourite))],
        );
        self.introduce(visitor, 6_000);
    }

    /// In some cases the site learns who it is: mostly a region and a car to trade in, sometimes an account.
    fn introduce(&mut self, visitor: &mut Visitor, of_ten_thousand: u64) {
        if !visitor.prng.chance(of_ten_thousand) {
            return;
        }
        let account = visitor.prng.chance(1_500);
        let email = account.then(|| site::email(&mut visitor.prng));
        visitor.traits = Some(Traits {
            email,
            region: site::REGIONS[visitor.prng.weighted(&site::REGION_WEIGHTS)],
            has_trade_in: visitor.prng.chance(3_500),
        });
        if account && visitor.user_id.is_none() {
            visitor.user_id = Some(format!("u-{}", visitor.prng.between(100_000, 999_999_999)));
        }
        self.now_ms += visitor.prng.between(200, 2_000);
        self.identified = visitor.user_id.is_some();
        self.push(Call::Identify, Vec::new());
    }

    /// The dealer's robot rings those who left a number, hours later; the telephony server reports how it went.
    fn robot_call(&mut self, visitor: &mut Visitor) {
        if !visitor.prng.chance(7_000) {
            return;
        }
        let result = ["no_answer", "interested", "not_interested"][visitor.prng.weighted(&[50, 32, 18])];
        self.reported.push(Click {
            at_ms: self.now_ms + visitor.prng.between(HOUR_MS, 26 * HOUR_MS),
            call: Call::Track("robot_call"),
            page: None,
            properties: vec![
                ("result", text(result)),
                ("seconds", Property::Number(visitor.prng.between(5, 120))),
            ],
            identified: self.identified,
        });
    }

    fn push_later(&mut self, visitor: &mut Visitor, call: Call, properties: Vec<(&'static str, Property)>) {
        self.now_ms += visitor.prng.between(4 * SECOND_MS, 2 * MINUTE_MS);
        self.push(call, properties);
    }

    fn push(&mut self, call: Call, properties: Vec<(&'static str, Property)>) {
        let page = PageView {
            path: self.path.clone(),
            search: self.search.clone(),
            referrer: self.referrer.clone(),
        };
        let identified = self.identified;
        self.clicks.push(Click { at_ms: self.now_ms, call, page: Some(page), properties, identified });
    }
}

/// A crawler takes page after page, a second or so each, and never leaves one properly.
fn crawl(visitor: &mut Visitor, start_ms: i64) -> Session {
    let mut now_ms = start_ms;
    let mut clicks = Vec::new();
    for _ in 0..visitor.prng.between(3, 24) {
        let path = path(visitor);
        let page = PageView { path, search: String::new(), referrer: String::new() };
        clicks.push(Click {
            at_ms: now_ms,
            call: Call::Page,
            page: Some(page),
            properties: Vec::new(),
            identified: false,
        });
        now_ms += visitor.prng.between(300, 4_000);
    }
    Session { clicks, reported: Vec::new(), ended_ms: now_ms }
}

/// The next page: the start page, a model, a trim, the terms or the blog, as the visitor's intent has it.
fn path(visitor: &mut Visitor) -> String {
    let weights: [u32; 5] = match visitor.intent {
        Intent::PassingBy => [46, 24, 4, 2, 24],
        Intent::Browsing => [34, 30, 6, 2, 28],
        Intent::Considering => [24, 32, 18, 8, 18],
        Intent::Buying => [18, 28, 28, 18, 8],
        Intent::Crawling => [20, 30, 30, 5, 15],
    };
    let loyal = visitor.prng.chance(7_000);
    let model = if loyal { visitor.favourite } else { site::model(&mut visitor.prng) };
    match visitor.prng.weighted(&weights) {
        0 => "/".to_owned(),
        1 => with_slash(&mut visitor.prng, format!("/models/{model}")),
        2 => format!("/models/{model}/trims/{}", visitor.prng.pick(&site::TRIMS)),
        3 => (*visitor.prng.pick(&site::TERMS)).to_owned(),
        _ => format!("/blog/{}", visitor.prng.pick(&site::ARTICLES)),
    }
}

/// Some links have a slash at the end; it is the same page.
fn with_slash(prng: &mut Prng, mut path: String) -> String {
    if prng.chance(700) {
        path.push('/');
    }
    path
}

fn text(value: &str) -> Property {
    Property::Text(value.to_owned())
}
