//! The JSON of Segment, `RudderStack` and their like: what a message means. Where its parts stand is in `wire`.
//!
//! Parts that a tracker got wrong (a context that is a list, an id that is an object) count as missing; only
//! what the event's type cannot do without makes a record unreadable.

mod wire;

use std::borrow::Cow;

use ripen_records::{Activity, IdKind, Input, LeadId, Origin, Page, Text, Utm, Value};

pub(crate) use self::wire::Message;
use self::wire::{Brand, ExternalId};
use crate::Source;
use crate::bounds::{self, NAME_BYTES, TITLE_BYTES, URL_BYTES, UTM_BYTES, cut};
use crate::identity::{self, Ids, NoId, Ranked};
use crate::json::Raw;
use crate::needed::PageFields;
use crate::outcome::{DeadReason, RawConsent};
use crate::page::{PageUrl, UrlParts, clean_url, decoded_value, normalised_path, parameters};
use crate::privacy::{self, Addresses};
use crate::time::Moment;

/// What a call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Track,
    Page,
    Screen,
    Identify,
    Alias,
    Group,
}

impl<'n, 'de> Message<'n, 'de> {
    /// The user agent, or the brands that a browser names instead of one.
    pub(crate) fn user_agent(&self) -> Option<Cow<'de, str>> {
        let user_agent = self.context.user_agent.text().filter(|text| !text.is_empty());
        user_agent.or_else(|| brands(self.context.brands))
    }

    pub(crate) fn ip(&self) -> Raw<'de> {
        self.context.ip.or_if_empty(self.request_ip)
    }

    pub(crate) fn group(&self) -> Raw<'de> {
        self.group_id.or_if_empty(self.context.group_id)
    }

    pub(crate) fn consent(&self) -> RawConsent<'de> {
        self.context.consent
    }

    /// The event's name, by the type of the call; what is missing for it, as a dead letter's reason.
    pub(crate) fn call(&self) -> Result<Call<'de>, (DeadReason, &'static str)> {
        if self.kind.is_absent() {
            return Err((DeadReason::WrongShape, "no type"));
        }
        let Some(kind) = self.kind.string() else {
            return Err((DeadReason::WrongShape, "type is no text"));
        };
        let kind = Kind::parse(&kind).ok_or((DeadReason::UnknownType, "unknown type"))?;
        let name = match kind {
            Kind::Track => {
                let event = self.event.bounded(NAME_BYTES);
                self.addresses.cut_from(event.ok_or((DeadReason::WrongShape, "track without an event"))?)
            }
            Kind::Page => "page_view".into(),
            Kind::Screen => "screen_view".into(),
            Kind::Identify => "identify".into(),
            Kind::Alias => "alias".into(),
            Kind::Group => "group".into(),
        };
        Ok(Call { kind, name })
    }

    /// Every legal id, highest rank first, in the given room.
    pub(crate) fn ids(&self, call: &Call<'_>, room: Vec<LeadId>) -> Result<Ranked, NoId> {
        let mut ids = Ids::in_room(room);
        let plain = [
            (IdKind::User, self.user_id),
            (IdKind::Anon, self.anonymous_id),
            (IdKind::Device, self.context.device_id),
        ];
        for (kind, id) in plain {
            if let Some(text) = id.text() {
                ids.add(kind, &text, self.addresses);
            }
        }
        if call.kind == Kind::Alias
            && let Some(text) = self.previous_id.text()
        {
            ids.add_alias(self.previous_kind(&text), &text, self.addresses);
        }
        for crm in self.context.external_ids.elements(bounds::IDS) {
            let mut external = ExternalId::default();
            let _ = crm.read(&mut external);
            let of_crm = external.kind.string().is_some_and(|kind| kind.eq_ignore_ascii_case("crm"));
            if let (true, Some(text)) = (of_crm, external.id.text()) {
                ids.add(IdKind::Crm, &text, self.addresses);
            }
        }
        if let Some(text) = self.email(call) {
            ids.add_email(&text);
        }
        if let Some(text) = self.phone(call) {
            ids.add_phone(&text);
        }
        ids.ranked()
    }

    /// What an alias call renames. A browser that knew no user sends its cookie, which is its anonymous id too; one that
    /// did sends the user. A server sends no anonymous id, and most often means a cookie.
    fn previous_kind(&self, previous: &str) -> IdKind {
        match self.anonymous_id.text() {
            Some(anonymous) if !identity::is_illegal_id(&anonymous) && *anonymous != *previous => {
                IdKind::User
            }
            _ => IdKind::Anon,
        }
    }

    /// The activity; `ids` are those of [`Self::ids`], `bytes` the message's own JSON text.
    pub(crate) fn take_activity<'a>(
        &mut self,
        call: Call<'de>,
        ids: Vec<LeadId>,
        moment: Moment,
        needed: PageFields,
        bytes: &str,
        source: &Source<'a>,
    ) -> Activity<'a>
    where
        'de: 'a,
        'n: 'a,
    {
        let addresses = self.addresses;
        let tracker_id = self.message_id.or_if_empty(self.message_id_snake).text();
        let url = self.context.page.url.or_if_empty(self.properties.page.url);
        let path = self.context.page.path.or_if_empty(self.properties.page.path).bounded(usize::MAX);
        // Whether a referrer is another site shows beside the page's own host.
        let referrer = self.context.page.referrer.or_if_empty(self.properties.page.referrer);
        let host = needed.host || referrer.has_text();
        let parts = UrlParts { clean: needed.url, host, path: path.is_none() };
        let url = url.bounded(usize::MAX).map(|url| PageUrl::new(url, parts, addresses));
        let utm = self.utm(url.as_ref().map_or("", |url| &url.query));
        let page = self.page(call.kind, path, url, needed);
        let email = if self.traits.needed.needs("email_domain") { self.address(&call) } else { None };
        let session = self.context.session_id.bounded(NAME_BYTES).map(|id| Text(addresses.cut_from(id)));
        let origin = self.origin();
        let mut traits = std::mem::take(&mut self.traits.projected);
        let of_context = std::mem::take(&mut self.context.traits.projected);
        if call.kind == Kind::Group {
            // A group call's own traits are the account's, not the person's.
            traits = of_context;
        } else {
            traits.fill_from(of_context);
        }
        let mut traits = traits.into_fields(addresses);
        if let Some(domain) = email.and_then(|email| privacy::email_domain(&email))
            && !traits.iter().any(|field| field.name.as_str() == "email_domain")
        {
            let value = Value::String(cut(domain.into(), bounds::VALUE_BYTES).into());
            traits.push(ripen_records::Field { name: "email_domain".into(), value });
        }
        Activity {
            event_id: Text(identity::event_id(tracker_id, bytes, source.timestamp_ms, addresses)),
            name: Text(call.name),
            t_ms: moment.t_ms,
            arrival_ms: moment.arrival_ms,
            clamped: moment.clamped,
            origin,
            ids: ids.into_iter().map(|id| Text::from(String::from(id))).collect(),
            session,
            page,
            utm,
            properties: std::mem::take(&mut self.properties.projected).into_fields(addresses),
            traits,
            input: Input { topic: source.topic.into(), partition: source.partition, offset: source.offset },
        }
    }

    /// The three places of an address, in the order of how often they hold one.
    fn email(&self, call: &Call<'_>) -> Option<Cow<'de, str>> {
        let own = if call.kind == Kind::Group { Raw::default() } else { self.traits.email };
        self.context.traits.email.or_if_empty(own).or_if_empty(self.properties.email).bounded(NAME_BYTES)
    }

    fn phone(&self, call: &Call<'_>) -> Option<Cow<'de, str>> {
        let own = if call.kind == Kind::Group { Raw::default() } else { self.traits.phone };
        self.context.traits.phone.or_if_empty(own).or_if_empty(self.properties.phone).bounded(NAME_BYTES)
    }

    /// The address in one of its places, or the id that is one.
    fn address(&self, call: &Call<'_>) -> Option<Cow<'de, str>> {
        let shaped = |id: Raw<'de>| id.text().filter(|id| self.addresses.is_one(id));
        self.email(call).or_else(|| shaped(self.user_id)).or_else(|| shaped(self.anonymous_id))
    }

    /// What the tracker says of itself; whether a page makes an origin is decided by who reads the activity.
    fn origin(&self) -> Origin {
        let Some(channel) = self.channel.or_if_empty(self.context.channel).string() else {
            return Origin::Unstated;
        };
        let is_any = |words: &[&str]| words.iter().any(|word| word.eq_ignore_ascii_case(&channel));
        if is_any(&["web", "browser", "client"]) {
            Origin::Web
        } else if is_any(&["mobile", "app"]) {
            Origin::App
        } else if is_any(&["server", "sources", "cloud"]) {
            Origin::Server
        } else {
            Origin::Unstated
        }
    }

    /// The page of the context, else that of the properties, where page calls repeat it.
    fn page(
        &self,
        kind: Kind,
        path: Option<Cow<'de, str>>,
        url: Option<PageUrl<'de>>,
        needed: PageFields,
    ) -> Option<Page<'de>> {
        let addresses = self.addresses;
        let (context, properties) = (&self.context.page, &self.properties.page);
        let is_page = matches!(kind, Kind::Page | Kind::Screen);
        let referrer = context.referrer.or_if_empty(properties.referrer).bounded(usize::MAX);
        // Other calls have names and titles of their own among their properties: a product's, a file's.
        let title = if is_page { context.title.or_if_empty(properties.title) } else { context.title };
        let name = if is_page { self.name.or_if_empty(self.properties.name) } else { Raw::default() };
        let clean = |needed: bool, raw: Raw<'de>, bytes| {
            let text = if needed { raw.bounded(usize::MAX) } else { None };
            text.map(|text| Text(cut(addresses.cut_from(text), bytes)))
        };
        // Whether there is a page is a word of its own: what no model reads of it has to count.
        if path.is_none() && url.is_none() && referrer.is_none() && !title.has_text() && !name.has_text() {
            return None;
        }
        let url = url.unwrap_or_default();
        Some(Page {
            path: path.map(|path| normalised(path, addresses)).or(url.path).map(Text),
            url: url.clean.map(Text),
            host: url.host.map(Text),
            title: clean(needed.title, title, TITLE_BYTES),
            referrer: referrer.map(|referrer| Text(clean_url(referrer, addresses))),
            name: clean(needed.name, name, NAME_BYTES),
        })
    }

    /// The tracker's campaign, field by field else the first value in the URL's query.
    fn utm(&self, query: &str) -> Option<Utm<'de>> {
        let campaign = &self.context.campaign;
        let stated = [campaign.source, campaign.medium, campaign.name, campaign.term, campaign.content];
        let mut utm =
            stated.map(|raw| raw.bounded(usize::MAX).and_then(|text| utm_text(text, self.addresses)));
        let search = self.context.page.search.or_if_empty(self.properties.page.search);
        let search = if query.is_empty() { search.bounded(URL_BYTES) } else { None };
        for (name, value) in parameters(search.as_deref().unwrap_or(query)) {
            let place = match name {
                "utm_source" => 0,
                "utm_medium" => 1,
                "utm_campaign" => 2,
                "utm_term" => 3,
                "utm_content" => 4,
                _ => continue,
            };
            if utm[place].is_none() {
                utm[place] = utm_text(Cow::Owned(decoded_value(value).into_owned()), self.addresses);
            }
        }
        let [source, medium, campaign, term, content] = utm;
        let utm = Utm { source, medium, campaign, term, content };
        (utm != Utm::default()).then_some(utm)
    }
}

/// Trimmed and lower-cased; absent if nothing is left.
fn utm_text(text: Cow<'_, str>, addresses: Addresses) -> Option<Text<'_>> {
    let text = addresses.cut_from(text);
    let plain = text.bytes().all(|b| b.is_ascii_graphic() && !b.is_ascii_uppercase());
    let text = match text {
        text if plain => text,
        Cow::Owned(mut text) if text.is_ascii() && text.trim().len() == text.len() => {
            text.make_ascii_lowercase();
            Cow::Owned(text)
        }
        text if text.is_ascii() => text.trim().to_ascii_lowercase().into(),
        text => text.trim().to_lowercase().into(),
    };
    (!text.is_empty()).then(|| Text(cut(text, UTM_BYTES)))
}

fn normalised(path: Cow<'_, str>, addresses: Addresses) -> Cow<'_, str> {
    match path {
        Cow::Borrowed(path) => normalised_path(path, addresses),
        Cow::Owned(path) => Cow::Owned(normalised_path(&path, addresses).into_owned()),
    }
}

/// What a message is, and its event's name.
#[derive(Debug)]
pub(crate) struct Call<'de> {
    kind: Kind,
    name: Cow<'de, str>,
}

impl Kind {
    /// Trackers write the type in every case.
    fn parse(text: &str) -> Option<Kind> {
        const KINDS: [(&str, Kind); 6] = [
            ("track", Kind::Track),
            ("page", Kind::Page),
            ("screen", Kind::Screen),
            ("identify", Kind::Identify),
            ("alias", Kind::Alias),
            ("group", Kind::Group),
        ];
        KINDS.into_iter().find(|(word, _)| word.eq_ignore_ascii_case(text)).map(|(_, kind)| kind)
    }
}

/// `[{"brand": "HeadlessChrome", "version": "120"}, …]` as a user agent would name them.
fn brands<'de>(list: Raw<'de>) -> Option<Cow<'de, str>> {
    let mut names = String::new();
    for element in list.elements(8) {
        let mut brand = Brand::default();
        let _ = element.read(&mut brand);
        if let Some(name) = brand.0.bounded(64) {
            names.push_str(if names.is_empty() { "Mozilla/5.0 " } else { " " });
            names.push_str(&name);
        }
    }
    (!names.is_empty()).then_some(Cow::Owned(names))
}
