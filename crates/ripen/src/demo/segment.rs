//! Writes a click as the trackers of the Segment family do: one JSON object, keys in a fixed order.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::calendar;
use super::site::{Browser, Campaign, ORIGIN};

/// What somebody did, before any tracker, network or server touched it.
#[derive(Debug, Clone)]
pub(super) struct Click {
    pub(super) at_ms: i64,
    pub(super) call: Call,
    /// The page it happened on; none for what a server reports.
    pub(super) page: Option<PageView>,
    pub(super) properties: Vec<(&'static str, Property)>,
    /// The visitor had told its account before.
    pub(super) identified: bool,
}

/// The tracker's call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Page,
    Track(&'static str),
    Identify,
}

/// A page as the browser shows it.
#[derive(Debug, Clone)]
pub(super) struct PageView {
    pub(super) path: String,
    /// The query with its `?`, or nothing.
    pub(super) search: String,
    pub(super) referrer: String,
}

/// The value of a property.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub(super) enum Property {
    Text(String),
    Number(i64),
}

/// Whose tracker writes, and what it knows of its user.
pub(super) struct Tracker<'a> {
    pub(super) anonymous_id: &'a str,
    pub(super) user_id: Option<&'a str>,
    pub(super) traits: Option<&'a Traits>,
    pub(super) browser: &'a Browser,
    pub(super) user_agent: &'a str,
    pub(super) ip: &'a str,
    pub(super) campaign: Option<&'a Campaign>,
    pub(super) style: Style,
}

/// What a visitor told about itself in a form.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Traits {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) email: Option<String>,
    pub(super) region: &'static str,
    pub(super) has_trade_in: bool,
}

/// Trackers differ in what they write where nothing is known, and in how they write time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// `userId: null`, `originalTimestamp` beside a corrected `timestamp`.
    Browser,
    /// `userId: ""`, times with the offset of Moscow, `timestamp` only: the client's clock.
    App,
    /// No context of a page; the server's clock is right.
    Server,
}

/// When a record was made, sent and received, by whose clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// The client's clock at the click.
    pub(super) original_ms: i64,
    /// The client's clock when the request was sent.
    pub(super) sent_ms: i64,
    /// The collector's clock.
    pub(super) received_ms: i64,
}

/// The record of a click.
pub(super) fn write(tracker: &Tracker<'_>, click: &Click, message_id: &str, times: Times) -> Vec<u8> {
    let (kind, event) = match click.call {
        Call::Page => ("page", None),
        Call::Track(event) => ("track", Some(event)),
        Call::Identify => ("identify", None),
    };
    let app = tracker.style == Style::App;
    let clock = if app { calendar::moscow } else { calendar::utc };
    let corrected_ms = times.received_ms - (times.sent_ms - times.original_ms);
    let record = Record {
        message_id,
        kind,
        event,
        anonymous_id: tracker.anonymous_id,
        user_id: tracker.user_id.filter(|_| click.identified).or(app.then_some("")),
        context: context(tracker, click),
        properties: (click.call != Call::Identify).then_some(Properties(click)),
        traits: if click.call == Call::Identify { tracker.traits } else { None },
        original_timestamp: (!app).then(|| clock(times.original_ms)),
        timestamp: clock(if app { times.original_ms } else { corrected_ms }),
        sent_at: clock(times.sent_ms),
        received_at: calendar::utc(times.received_ms),
    };
    serde_json::to_vec(&record).unwrap_or_default()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Record<'a> {
    message_id: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'static str>,
    anonymous_id: &'a str,
    user_id: Option<&'a str>,
    context: Context<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    properties: Option<Properties<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traits: Option<&'a Traits>,
    #[serde(skip_serializing_if = "Option::is_none")]
    original_timestamp: Option<String>,
    timestamp: String,
    sent_at: String,
    received_at: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Context<'a> {
    library: Library,
    ip: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    locale: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timezone: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    screen: Option<Screen>,
    #[serde(skip_serializing_if = "Option::is_none")]
    page: Option<PageContext<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    campaign: Option<CampaignContext>,
}

#[derive(Serialize)]
struct Library {
    name: &'static str,
    version: &'static str,
}

#[derive(Serialize)]
struct Screen {
    width: u32,
    height: u32,
}

#[derive(Serialize)]
struct PageContext<'a> {
    path: &'a str,
    url: String,
    search: &'a str,
    referrer: &'a str,
    title: &'static str,
}

/// `name` is what a URL calls `utm_campaign`.
#[derive(Serialize)]
struct CampaignContext {
    name: &'static str,
    source: &'static str,
    medium: &'static str,
    content: &'static str,
}

/// A page call repeats its page in the properties, as the trackers do.
struct Properties<'a>(&'a Click);

impl Serialize for Properties<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if self.0.call == Call::Page
            && let Some(page) = &self.0.page
        {
            map.serialize_entry("path", &page.path)?;
            map.serialize_entry("url", &url(page))?;
            map.serialize_entry("search", &page.search)?;
            map.serialize_entry("referrer", &page.referrer)?;
            map.serialize_entry("title", title(&page.path))?;
        }
        for (name, value) in &self.0.properties {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

fn context<'a>(tracker: &Tracker<'a>, click: &'a Click) -> Context<'a> {
    let library = match tracker.style {
        Style::Browser => Library { name: "analytics.js", version: "next-1.81.1" },
        Style::App => Library { name: "rudder-android-library", version: "1.27.0" },
        Style::Server => Library { name: "@segment/analytics-node", version: "2.3.0" },
    };
    let client = tracker.style != Style::Server;
    Context {
        library,
        ip: tracker.ip,
        user_agent: client.then_some(tracker.user_agent),
        locale: client.then_some("ru-RU"),
        timezone: client.then_some("Europe/Moscow"),
        screen: client
            .then_some(Screen { width: tracker.browser.screen.0, height: tracker.browser.screen.1 }),
        page: click.page.as_ref().map(|page| PageContext {
            path: &page.path,
            url: url(page),
            search: &page.search,
            referrer: &page.referrer,
            title: title(&page.path),
        }),
        campaign: tracker.campaign.filter(|_| client).map(|campaign| CampaignContext {
            name: campaign.name,
            source: campaign.source,
            medium: campaign.medium,
            content: campaign.content,
        }),
    }
}

fn url(page: &PageView) -> String {
    format!("{ORIGIN}{}{}", page.path, page.search)
}

fn title(path: &str) -> &'static str {
    match path.split('/').nth(1) {
        Some("models") if path.contains("/trims/") => "Комплектация — автосалон",
        Some("models") => "Модель — автосалон",
        Some("blog") => "Блог — автосалон",
        Some("price" | "delivery" | "payment") => "Цены и условия — автосалон",
        _ => "Автосалон",
    }
}
