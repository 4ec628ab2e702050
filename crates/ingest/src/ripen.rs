//! Ripen's own activities, one JSON object a line: for tests, and for those who prepare their own data.
//!
//! Unlike a tracker's record a line is taken at its word: an unknown key or a wrong type makes it unreadable, its
//! event time is not corrected. What a line says of pages, campaigns, properties and traits goes the way of a
//! tracker's message, so that paths, campaigns and what is personal are treated by the same code.

use std::borrow::Cow;

use jiff::Timestamp;
use ripen_records::{Activity, IdKind, LeadId, LeadIdError, Text};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::identity::{Ids, NoId};
use crate::outcome::{DeadReason, FilterReason};
use crate::privacy::Addresses;
use crate::time::{Arrival, is_within_calendar};

/// What a line is.
#[derive(Debug)]
pub(crate) enum Line {
    /// An activity: its message in a tracker's words, and what the message cannot say.
    Activity(Box<Stated>),
    /// Two ids are one person; whether whatever their ranks.
    Link { a: LeadId, b: LeadId, explicit: bool },
    /// Time passed.
    Tick(i64),
}

/// What a line states and no tracker's message can.
#[derive(Debug)]
pub(crate) struct Stated {
    /// The message as a tracker would write it; its own id is a placeholder.
    pub(crate) message: String,
    ids: Vec<LeadId>,
    at_ms: Option<i64>,
    arrival_ms: Option<i64>,
}

/// Why a line is no activity.
#[derive(Debug)]
pub(crate) enum Refusal {
    Dead(DeadReason, Cow<'static, str>),
    Filtered(FilterReason),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire<'a> {
    lead: Option<String>,
    ids: Option<Vec<String>>,
    event: Option<String>,
    event_id: Option<String>,
    at: Option<Instant>,
    arrival: Option<Instant>,
    path: Option<String>,
    url: Option<String>,
    title: Option<String>,
    referrer: Option<String>,
    utm: Option<Campaign>,
    #[serde(borrow)]
    properties: Option<&'a RawValue>,
    #[serde(borrow)]
    traits: Option<&'a RawValue>,
    session: Option<String>,
    origin: Option<Origin>,
    link: Option<[String; 2]>,
    merge: Option<[String; 2]>,
    tick: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Campaign {
    source: Option<String>,
    medium: Option<String>,
    campaign: Option<String>,
    term: Option<String>,
    content: Option<String>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Origin {
    Web,
    App,
    Server,
}

/// Milliseconds since 1970, or RFC 3339.
#[derive(Deserialize)]
#[serde(untagged)]
enum Instant {
    Ms(i64),
    Text(String),
}

/// The message as a tracker would write it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Message<'a> {
    r#type: &'static str,
    event: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<&'a str>,
    anonymous_id: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'a Origin>,
    context: Context<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    properties: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traits: Option<&'a RawValue>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Context<'a> {
    session_id: Option<&'a str>,
    page: PageMembers<'a>,
    campaign: CampaignMembers<'a>,
}

#[derive(Serialize)]
struct PageMembers<'a> {
    path: Option<&'a str>,
    url: Option<&'a str>,
    title: Option<&'a str>,
    referrer: Option<&'a str>,
}

#[derive(Serialize, Default)]
struct CampaignMembers<'a> {
    source: Option<&'a str>,
    medium: Option<&'a str>,
    name: Option<&'a str>,
    term: Option<&'a str>,
    content: Option<&'a str>,
}

impl Line {
    /// Reads a line. Details name places and keys of the format, never what the record holds.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Line, Refusal> {
        let text = std::str::from_utf8(bytes)
            .map_err(|error| dead(DeadReason::InvalidUtf8, format!("at byte {}", error.valid_up_to())))?;
        let json = text.strip_prefix('\u{feff}').unwrap_or(text);
        // A list of as many values would do for the parser.
        if json.trim_start().starts_with('[') {
            return Err(dead(DeadReason::WrongShape, "not an object"));
        }
        let wire: Wire<'_> = serde_json::from_str(json).map_err(|error| unreadable(&error))?;
        match (&wire.tick, &wire.link, &wire.merge) {
            (None, None, None) => wire.activity(),
            _ if !wire.is_control() => {
                Err(dead(DeadReason::WrongShape, "a tick, a link or a merge is the one key of its line"))
            }
            (Some(at_ms), ..) => Ok(Line::Tick(*at_ms)),
            (_, Some(ids), _) => link(ids, false),
            (.., Some(ids)) => link(ids, true),
        }
    }
}

fn link(ids: &[String; 2], explicit: bool) -> Result<Line, Refusal> {
    let one = |id: &String| ranked(std::slice::from_ref(id)).map(|mut ids| ids.swap_remove(0));
    Ok(Line::Link { a: one(&ids[0])?, b: one(&ids[1])?, explicit })
}

impl Wire<'_> {
    /// Whether it is one tick, link or merge, and says nothing of an activity.
    fn is_control(&self) -> bool {
        let controls = [self.tick.is_some(), self.link.is_some(), self.merge.is_some()];
        let texts =
            [&self.lead, &self.event, &self.event_id, &self.path, &self.url, &self.title, &self.referrer];
        controls.into_iter().filter(|some| *some).count() == 1
            && texts.into_iter().all(Option::is_none)
            && (self.ids.is_none() && self.at.is_none() && self.arrival.is_none() && self.utm.is_none())
            && (self.properties.is_none() && self.traits.is_none())
            && (self.session.is_none() && self.origin.is_none())
    }

    fn activity(&self) -> Result<Line, Refusal> {
        let Some(event) = self.event.as_deref().filter(|event| !event.is_empty()) else {
            return Err(dead(DeadReason::WrongShape, "no event"));
        };
        for (name, value) in [("properties", self.properties), ("traits", self.traits)] {
            if value.is_some_and(|value| !value.get().starts_with('{') && value.get() != "null") {
                return Err(dead(DeadReason::WrongShape, format!("{name} is no object")));
            }
        }
        let campaign = self.utm.as_ref().map_or_else(CampaignMembers::default, |utm| CampaignMembers {
            source: utm.source.as_deref(),
            medium: utm.medium.as_deref(),
            name: utm.campaign.as_deref(),
            term: utm.term.as_deref(),
            content: utm.content.as_deref(),
        });
        let message = Message {
            r#type: "track",
            event,
            message_id: self.event_id.as_deref(),
            anonymous_id: "placeholder",
            channel: self.origin.as_ref(),
            context: Context {
                session_id: self.session.as_deref(),
                page: PageMembers {
                    path: self.path.as_deref(),
                    url: self.url.as_deref(),
                    title: self.title.as_deref(),
                    referrer: self.referrer.as_deref(),
                },
                campaign,
            },
            properties: self.properties,
            traits: self.traits,
        };
        Ok(Line::Activity(Box::new(Stated {
            message: serde_json::to_string(&message).expect("a message has text keys"),
            ids: self.ids()?,
            at_ms: instant_ms("at", self.at.as_ref())?,
            arrival_ms: instant_ms("arrival", self.arrival.as_ref())?,
        })))
    }

    /// The ids, `lead` in front of the ranked others.
    fn ids(&self) -> Result<Vec<LeadId>, Refusal> {
        let none: &[String] = &[];
        let others = self.ids.as_deref().unwrap_or(none);
        if self.lead.is_none() && others.is_empty() {
            return Err(dead(DeadReason::NoId, "neither lead nor ids"));
        }
        let mut ids = ranked(self.lead.as_slice())?;
        if !others.is_empty() {
            for id in ranked(others)? {
                if !ids.contains(&id) {
                    ids.push(id);
                }
            }
        }
        Ok(ids)
    }
}

impl Stated {
    /// Completes the activity that became of the message; `source_ms` is the source record's timestamp.
    pub(crate) fn complete(
        &self,
        activity: &mut Activity<'_>,
        arrival: Arrival,
        source_ms: i64,
        max_future_ms: i64,
    ) {
        let arrival_ms = match arrival {
            Arrival::Source => source_ms,
            Arrival::FromRecord => self.arrival_ms.or(self.at_ms).unwrap_or(source_ms),
        };
        let at_ms = self.at_ms.unwrap_or(arrival_ms);
        activity.ids = self.ids.iter().map(|id| Text(Cow::Owned(id.as_str().to_owned()))).collect();
        activity.arrival_ms = arrival_ms;
        activity.t_ms = at_ms.min(arrival_ms);
        activity.clamped = at_ms > arrival_ms.saturating_add(max_future_ms);
    }
}

/// Ids as `kind:value`, highest rank first; none of no ids.
fn ranked(texts: &[String]) -> Result<Vec<LeadId>, Refusal> {
    if texts.is_empty() {
        return Ok(Vec::new());
    }
    let mut ids = Ids::default();
    for text in texts {
        let kind = text.split_once(':').and_then(|(word, value)| {
            let kind = IdKind::ALL.into_iter().find(|kind| kind.as_str() == word)?;
            Some((kind, value))
        });
        match kind {
            Some((IdKind::Email, value)) => ids.add_email(value),
            Some((IdKind::Phone, value)) => ids.add_phone(value),
            Some((kind, value)) => ids.add(kind, value, Addresses::of(value)),
            None => {
                let kinds = IdKind::ALL.map(IdKind::as_str).join(", ");
                let detail = format!("an id is no kind:value, kinds: {kinds}");
                return Err(dead(DeadReason::WrongShape, detail));
            }
        }
    }
    ids.ranked().map(|ranked| ranked.ids).map_err(|why| match why {
        NoId::Illegal => Refusal::Filtered(FilterReason::IllegalId),
        NoId::Missing => dead(DeadReason::NoId, "no id"),
        NoId::TooLong => dead(DeadReason::NoId, "id over 256 bytes"),
    })
}

/// The id `kind:value` as the lead that it stands for has it: an e-mail address or a phone number is hashed, wherever it
/// stands. A hash stays.
///
/// # Errors
/// What is wrong with it; never the text itself.
pub fn lead_id(text: &str) -> Result<LeadId, LeadIdError> {
    match ranked(&[text.to_owned()]) {
        Ok(mut ids) => Ok(ids.swap_remove(0)),
        Err(Refusal::Filtered(_)) => Err(LeadIdError::Empty),
        Err(Refusal::Dead(DeadReason::NoId, _)) => Err(LeadIdError::TooLong { bytes: text.len() }),
        Err(Refusal::Dead(..)) => Err(LeadIdError::UnknownKind),
    }
}

fn instant_ms(key: &str, instant: Option<&Instant>) -> Result<Option<i64>, Refusal> {
    let wrong = |what: &str| dead(DeadReason::WrongShape, format!("{key} {what}"));
    let Some(instant) = instant else { return Ok(None) };
    let ms = match instant {
        Instant::Ms(ms) => *ms,
        Instant::Text(text) => match text.parse::<Timestamp>() {
            Ok(timestamp) => timestamp.as_millisecond(),
            Err(_) => return Err(wrong("is neither milliseconds nor RFC 3339")),
        },
    };
    if is_within_calendar(ms) { Ok(Some(ms)) } else { Err(wrong("is before 1970 or after 2200")) }
}

fn dead(reason: DeadReason, detail: impl Into<Cow<'static, str>>) -> Refusal {
    Refusal::Dead(reason, detail.into())
}

/// The parser's words quote the record, save the kind of what is wrong.
fn unreadable(error: &serde_json::Error) -> Refusal {
    let words = error.to_string();
    let what = match error.classify() {
        serde_json::error::Category::Data => {
            let known =
                ["unknown field", "duplicate field", "invalid type", "unknown variant", "invalid length"];
            known.into_iter().find(|what| words.starts_with(what)).unwrap_or("wrong value")
        }
        _ => "not json",
    };
    let reason = if what == "not json" { DeadReason::NotJson } else { DeadReason::WrongShape };
    dead(reason, format!("{what}, line {} column {}", error.line(), error.column()))
}
