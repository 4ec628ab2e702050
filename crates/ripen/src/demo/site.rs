//! The dealer's site and the world around it: pages, campaigns, browsers, crawlers, names. All invented; domains
//! and addresses are those reserved for examples.

use super::prng::Prng;

/// The site's origin.
pub(super) const ORIGIN: &str = "https://www.dealer.example";

/// The models on offer, the popular ones first.
pub(super) const MODELS: [&str; 10] =
    ["aurora", "breeze", "comet", "drift", "ember", "fjord", "glade", "halo", "indigo", "juniper"];
pub(super) const MODEL_WEIGHTS: [u32; 10] = [30, 24, 18, 14, 11, 9, 7, 5, 3, 2];

/// The trims of every model.
pub(super) const TRIMS: [&str; 5] = ["base", "comfort", "sport", "winter", "premium"];

/// Pages that tell the terms.
pub(super) const TERMS: [&str; 3] = ["/price", "/delivery", "/payment"];

/// Articles of the blog.
pub(super) const ARTICLES: [&str; 12] = [
    "winter-tyres",
    "first-service",
    "aurora-or-breeze",
    "trade-in-in-an-hour",
    "credit-without-fear",
    "2026/road-trip-to-karelia",
    "2026/what-a-test-drive-shows",
    "child-seats",
    "hybrid-in-the-city",
    "how-we-check-used-cars",
    "osago-and-casco",
    "зимняя-резина",
];

/// Where visitors come from.
pub(super) struct Campaign {
    pub(super) source: &'static str,
    pub(super) medium: &'static str,
    pub(super) name: &'static str,
    pub(super) content: &'static str,
    /// The referring site.
    pub(super) referrer: &'static str,
}

pub(super) const CAMPAIGNS: [Campaign; 6] = [
    Campaign {
        source: "yandex",
        medium: "cpc",
        name: "brand_moscow",
        content: "text_1",
        referrer: "https://yandex.ru/",
    },
    Campaign {
        source: "yandex",
        medium: "cpc",
        name: "models_october",
        content: "text_4",
        referrer: "https://yandex.ru/",
    },
    Campaign {
        source: "vk",
        medium: "social",
        name: "autumn_drive",
        content: "carousel",
        referrer: "https://vk.com/",
    },
    Campaign { source: "newsletter", medium: "email", name: "digest_10", content: "button", referrer: "" },
    Campaign { source: "telegram", medium: "social", name: "channel", content: "post_118", referrer: "" },
    Campaign {
        source: "auto-portal",
        medium: "referral",
        name: "stock",
        content: "card",
        referrer: "https://auto-portal.example/stock",
    },
];

/// Referrers without a campaign; most visitors have none.
pub(super) const REFERRERS: [&str; 6] =
    ["", "", "", "https://yandex.ru/", "https://www.google.com/", "https://auto-portal.example/reviews"];

/// A browser and what goes with it.
pub(super) struct Browser {
    pub(super) user_agent: &'static str,
    /// Width and height of its screen.
    pub(super) screen: (u32, u32),
    pub(super) mobile: bool,
}

pub(super) const BROWSERS: [Browser; 10] = [
    Browser {
        user_agent: "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
        screen: (1920, 1080),
        mobile: false,
    },
    Browser {
        user_agent: "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 YaBrowser/25.10.0.0 Safari/537.36",
        screen: (1536, 864),
        mobile: false,
    },
    Browser {
        user_agent: "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Safari/605.1.15",
        screen: (1440, 900),
        mobile: false,
    },
    Browser {
        user_agent: "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:143.0) Gecko/20100101 Firefox/143.0",
        screen: (1920, 1200),
        mobile: false,
    },
    Browser {
        user_agent: "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36 Edg/141.0.0.0",
        screen: (2560, 1440),
        mobile: false,
    },
    Browser {
        user_agent: "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1",
        screen: (393, 852),
        mobile: true,
    },
    Browser {
        user_agent: "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Mobile Safari/537.36",
        screen: (412, 915),
        mobile: true,
    },
    Browser {
        user_agent: "Mozilla/5.0 (Linux; Android 15; SM-S931B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36",
        screen: (360, 780),
        mobile: true,
    },
    Browser {
        user_agent: "Mozilla/5.0 (Linux; Android 14; 2312DRA50G) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 YaBrowser/25.9.0.0 Mobile Safari/537.36",
        screen: (393, 873),
        mobile: true,
    },
    Browser {
        user_agent: "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Instagram 395.0.0.0",
        screen: (390, 844),
        mobile: true,
    },
];
pub(super) const BROWSER_WEIGHTS: [u32; 10] = [26, 16, 6, 5, 5, 14, 14, 5, 7, 2];

/// Crawlers, monitors and scripts.
pub(super) const CRAWLERS: [&str; 7] = [
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/140.0.0.0 Safari/537.36",
    "python-requests/2.32.3",
    "curl/8.14.1",
];

/// Regions as the forms write them, and how often.
pub(super) const REGIONS: [&str; 5] = ["Moscow", "Moscow Oblast", "Tula", "Kaluga", "Tver"];
pub(super) const REGION_WEIGHTS: [u32; 5] = [46, 30, 9, 8, 7];

const FIRST_NAMES: [&str; 12] = [
    "anna", "ivan", "olga", "pavel", "irina", "sergey", "elena", "dmitry", "maria", "nikita", "yulia", "oleg",
];
const LAST_NAMES: [&str; 10] =
    ["volkov", "orlov", "sokolov", "lebedev", "kozlov", "morozov", "zaytsev", "belov", "komarov", "gusev"];
const MAIL_DOMAINS: [&str; 4] = ["example.com", "example.org", "mail.example", "inbox.example"];

/// An e-mail address at a domain reserved for examples.
pub(super) fn email(prng: &mut Prng) -> String {
    let (first, last) = (prng.pick(&FIRST_NAMES), prng.pick(&LAST_NAMES));
    format!("{first}.{last}{}@{}", prng.between(1, 9_999), prng.pick(&MAIL_DOMAINS))
}

/// An address of the three networks reserved for documentation.
pub(super) fn ip(prng: &mut Prng) -> String {
    let network = prng.pick(&["192.0.2", "198.51.100", "203.0.113"]);
    format!("{network}.{}", prng.between(1, 254))
}

/// A model, the popular ones more often.
pub(super) fn model(prng: &mut Prng) -> &'static str {
    MODELS[prng.weighted(&MODEL_WEIGHTS)]
}
