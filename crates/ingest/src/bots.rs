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
        let slot = &mut self.slots[(hash % SLOTS as u64) as usize];
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
