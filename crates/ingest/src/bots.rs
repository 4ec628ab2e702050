//! Which user agents say of themselves that they are crawlers.
//!
//! Two lists of opposite faults meet here: generic patterns that also catch old phones and in-app browsers, and
//! an allow-list for those browsers, since paid social traffic comes through them. A name that only crawlers
//! bear overrules the allow-list. The lists are data (`data/bots/`), their origin and licence stand beside them.

use std::hash::BuildHasher;
use std::sync::LazyLock;

use foldhash::fast::FixedState;
use regex::{Regex, RegexBuilder};

/// Generic patterns, from isbot.
const PATTERNS: &str = include_str!("../../../data/bots/patterns.txt");
/// Names that only crawlers bear, and patterns of isbot that need look-around elsewhere.
const CRAWLERS: &str = include_str!("../../../data/bots/crawlers.txt");
/// Browsers within apps.
const IN_APP: &str = include_str!("../../../data/bots/in-app.txt");

static RULES: LazyLock<Rules> = LazyLock::new(Rules::compile);

/// User agents are looked at up to here; browsers stay below 512 bytes.
const USER_AGENT_BYTES: usize = 1024;

/// Verdicts held: a site sees some thousands of distinct user agents a day, most from few.
const SLOTS: usize = 4096;

struct Rules {
    patterns: Regex,
    crawlers: Regex,
    in_app: Regex,
}

impl Rules {
    fn compile() -> Rules {
        Rules {
            patterns: alternation(PATTERNS),
            crawlers: alternation(CRAWLERS),
            in_app: alternation(IN_APP),
        }
    }

    fn is_bot(&self, user_agent: &str) -> bool {
        self.crawlers.is_match(user_agent)
            || (self.patterns.is_match(user_agent) && !self.in_app.is_match(user_agent))
    }
}

/// One pattern a line, `#` in front of comments.
fn alternation(list: &str) -> Regex {
    let patterns: Vec<String> = list
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| format!("(?:{line})"))
        .collect();
    RegexBuilder::new(&patterns.join("|"))
        .case_insensitive(true)
        .size_limit(64 << 20)
        .build()
        .expect("the embedded lists are tested")
}

/// Tells crawlers, and remembers its verdicts: the patterns cost microseconds, a remembered verdict nanoseconds.
#[derive(Debug)]
pub(crate) struct Bots {
    /// One slot per hash; the user agent itself is compared, so that no collision can give a wrong verdict.
    slots: Vec<Option<(Box<str>, bool)>>,
}

impl Bots {
    pub(crate) fn new() -> Bots {
        Bots { slots: vec![None; SLOTS] }
    }

    /// Whether the user agent declares itself to be a crawler; an empty one declares nothing.
    pub(crate) fn is_bot(&mut self, user_agent: &str) -> bool {
        let user_agent = user_agent.trim_ascii();
        let user_agent = &user_agent[..user_agent.floor_char_boundary(USER_AGENT_BYTES)];
        if user_agent.is_empty() {
            return false;
        }
        let hash = FixedState::default().hash_one(user_agent);
        let place = (hash % self.slots.len() as u64) as usize;
        let slot = &mut self.slots[place];
        match slot {
            Some((held, verdict)) if **held == *user_agent => *verdict,
            _ => {
                let verdict = RULES.is_bot(user_agent);
                *slot = Some((user_agent.into(), verdict));
                verdict
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEBKIT: &str = "AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148";

    #[test]
    fn crawlers_say_so() {
        for user_agent in [
            "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
            "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)",
            "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/142.0.0.0 Safari/537.36",
            "curl/8.5.0",
            "python-requests/2.31.0",
            "WhatsApp/2.23.20.0 A",
            "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
            // A crawler that also wears an app's name.
            "Mozilla/5.0 (iPhone) [FBAN/FBIOS;FBAV/400.0] (compatible; examplebot/1.0)",
        ] {
            assert!(Bots::new().is_bot(user_agent), "{user_agent}");
        }
    }

    #[test]
    fn people_come_through_apps_and_odd_phones() {
        for suffix in [
            "[FBAN/FBIOS;FBAV/440.0.0.33.110;FBBV/541;FBDV/iPhone14,5;FBMD/iPhone;FBSN/iOS;FBSV/17.1;FBSS/3;FBLC/ru_RU;FBOP/5]",
            "Instagram 309.0.0.28.111 (iPhone14,5; iOS 17_1; ru_RU; ru; scale=3.00; 1170x2532; 536)",
            "musical_ly_32.5.0 JsSdk/2.0 NetType/WIFI Channel/App Store ByteLocale/en BytedanceWebview/d8a21c6",
            "[LinkedInApp]/9.29.1",
            "Safari Line/13.20.0",
            "VKAndroidApp/8.52-18123",
            "[Pinterest/iOS]",
            "Twitter for iPhone/10.15",
            "YaApp_iOS/2310.0 YaApp_iOS_Browser/2310.0 Safari/604.1",
            "Snapchat/12.60.0.38 (like Safari/8616.2.9.10.11, panda)",
            "GSA/290.0.580 Safari/604.1",
            "",
        ] {
            let user_agent =
                format!("Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) {WEBKIT} {suffix}");
            assert!(!Bots::new().is_bot(&user_agent), "{user_agent}");
        }
        for user_agent in [
            "",
            "Mozilla/5.0 (Linux; Android 12; CUBOT NOTE 30) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Mobile Safari/537.36",
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0",
            "Mozilla/5.0 (Linux; arm_64; Android 13) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/118.0.0.0 YaBrowser/23.11.0 Mobile Safari/537.36",
            "Mozilla/5.0 (SMART-TV; Linux; Tizen 6.0) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/4.0 Chrome/76.0 TV Safari/537.36",
        ] {
            assert!(!Bots::new().is_bot(user_agent), "{user_agent}");
        }
    }

    #[test]
    fn verdicts_are_remembered_within_a_bound() {
        let mut bots = Bots { slots: vec![None; 2] };
        // Three user agents in two slots: one of them is always forgotten, none gets another's verdict.
        let all = [
            ("curl/8.5.0", true),
            ("Mozilla/5.0 (X11; rv:1) Gecko Firefox/145.0", false),
            ("somebot/1", true),
        ];
        for (user_agent, verdict) in all.iter().cycle().take(12) {
            assert_eq!(bots.is_bot(user_agent), *verdict, "{user_agent}");
        }
        assert_eq!(bots.slots.len(), 2);
    }

    #[test]
    fn long_user_agents_are_cut_between_characters() {
        let long = format!("Mozilla/5.0 (X11; rv:1) Gecko {}", "я".repeat(USER_AGENT_BYTES));
        assert!(!Bots::new().is_bot(&long));
        assert!(!Bots::new().is_bot(&format!("{long} examplebot/1")), "beyond what is looked at");
    }
}
