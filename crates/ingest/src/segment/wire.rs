//! Where everything stands in a message: each object takes the members it knows and skips the rest.

use crate::json::{Members, Next, Raw};
use crate::needed::{Projected, Projection};
use crate::outcome::RawConsent;
use crate::privacy::Addresses;
use crate::time::Times;

/// A message as it stands in its record.
#[derive(Debug)]
pub(crate) struct Message<'n, 'de> {
    pub(crate) times: Times<'de>,
    pub(crate) batch: Raw<'de>,
    /// Whether anything in it can be an e-mail address.
    pub(super) addresses: Addresses,
    pub(super) kind: Raw<'de>,
    pub(super) event: Raw<'de>,
    pub(super) name: Raw<'de>,
    pub(super) message_id: Raw<'de>,
    pub(super) message_id_snake: Raw<'de>,
    pub(super) anonymous_id: Raw<'de>,
    pub(super) user_id: Raw<'de>,
    pub(super) previous_id: Raw<'de>,
    pub(super) group_id: Raw<'de>,
    pub(super) channel: Raw<'de>,
    pub(super) request_ip: Raw<'de>,
    pub(super) context: Context<'n, 'de>,
    pub(super) properties: Properties<'n, 'de>,
    pub(super) traits: Traits<'n, 'de>,
}

#[derive(Debug)]
pub(super) struct Context<'n, 'de> {
    pub(super) user_agent: Raw<'de>,
    pub(super) brands: Raw<'de>,
    pub(super) ip: Raw<'de>,
    pub(super) group_id: Raw<'de>,
    pub(super) channel: Raw<'de>,
    pub(super) session_id: Raw<'de>,
    pub(super) device_id: Raw<'de>,
    pub(super) external_ids: Raw<'de>,
    pub(super) page: PageMembers<'de>,
    pub(super) campaign: Campaign<'de>,
    pub(super) consent: RawConsent<'de>,
    pub(super) traits: Traits<'n, 'de>,
}

#[derive(Debug, Default)]
pub(super) struct PageMembers<'de> {
    pub(super) url: Raw<'de>,
    pub(super) path: Raw<'de>,
    pub(super) referrer: Raw<'de>,
    pub(super) search: Raw<'de>,
    pub(super) title: Raw<'de>,
}

#[derive(Debug, Default)]
pub(super) struct Campaign<'de> {
    pub(super) source: Raw<'de>,
    pub(super) medium: Raw<'de>,
    pub(super) name: Raw<'de>,
    pub(super) term: Raw<'de>,
    pub(super) content: Raw<'de>,
}

#[derive(Debug)]
pub(super) struct Properties<'n, 'de> {
    pub(super) needed: &'n Projection,
    pub(super) projected: Projected<'n, 'de>,
    pub(super) page: PageMembers<'de>,
    pub(super) name: Raw<'de>,
    pub(super) email: Raw<'de>,
    pub(super) phone: Raw<'de>,
}

#[derive(Debug)]
pub(super) struct Traits<'n, 'de> {
    pub(super) needed: &'n Projection,
    pub(super) projected: Projected<'n, 'de>,
    pub(super) email: Raw<'de>,
    pub(super) phone: Raw<'de>,
}

impl<'n, 'de> Message<'n, 'de> {
    /// A message of which nothing has been read yet; it stands in `text`.
    pub(crate) fn new(text: &str, properties: &'n Projection, traits: &'n Projection) -> Self {
        let person = || Traits {
            needed: traits,
            projected: Projected::default(),
            email: Raw::default(),
            phone: Raw::default(),
        };
        Message {
            times: Times::default(),
            batch: Raw::default(),
            addresses: Addresses::of(text),
            kind: Raw::default(),
            event: Raw::default(),
            name: Raw::default(),
            message_id: Raw::default(),
            message_id_snake: Raw::default(),
            anonymous_id: Raw::default(),
            user_id: Raw::default(),
            previous_id: Raw::default(),
            group_id: Raw::default(),
            channel: Raw::default(),
            request_ip: Raw::default(),
            context: Context {
                user_agent: Raw::default(),
                brands: Raw::default(),
                ip: Raw::default(),
                group_id: Raw::default(),
                channel: Raw::default(),
                session_id: Raw::default(),
                device_id: Raw::default(),
                external_ids: Raw::default(),
                page: PageMembers::default(),
                campaign: Campaign::default(),
                consent: RawConsent::default(),
                traits: person(),
            },
            properties: Properties {
                needed: properties,
                projected: Projected::default(),
                page: PageMembers::default(),
                name: Raw::default(),
                email: Raw::default(),
                phone: Raw::default(),
            },
            traits: person(),
        }
    }
}

impl<'de> Members<'de> for Message<'_, 'de> {
    fn member<N: Next<'de>>(&mut self, name: &str, next: &mut N) -> Result<(), N::Error> {
        // By length first: a name is compared with few others.
        let place = match (name.len(), name) {
            (4, "type") => &mut self.kind,
            (4, "name") => &mut self.name,
            (5, "event") => &mut self.event,
            (5, "batch") => &mut self.batch,
            (6, "userId") => &mut self.user_id,
            (6, "sentAt") => &mut self.times.sent_at,
            (6, "traits") => return enter(&mut self.traits, next),
            (7, "channel") => &mut self.channel,
            (7, "context") => return enter(&mut self.context, next),
            (7, "groupId") => &mut self.group_id,
            (9, "messageId") => &mut self.message_id,
            (9, "requestIp") => &mut self.request_ip,
            (9, "timestamp") => &mut self.times.timestamp,
            (10, "message_id") => &mut self.message_id_snake,
            (10, "previousId") => &mut self.previous_id,
            (10, "properties") => return enter(&mut self.properties, next),
            (10, "receivedAt") => &mut self.times.received_at,
            (10, "request_ip") => &mut self.request_ip,
            (11, "anonymousId") => &mut self.anonymous_id,
            (17, "originalTimestamp") => &mut self.times.original_timestamp,
            _ => return next.skip(),
        };
        *place = next.raw()?;
        Ok(())
    }
}

impl<'de> Members<'de> for Context<'_, 'de> {
    fn member<N: Next<'de>>(&mut self, name: &str, next: &mut N) -> Result<(), N::Error> {
        let place = match (name.len(), name) {
            (2, "ip") => &mut self.ip,
            (4, "page") => return enter(&mut self.page, next),
            (6, "device") => return enter(&mut Only("id", &mut self.device_id), next),
            (6, "traits") => return enter(&mut self.traits, next),
            (7, "channel") => &mut self.channel,
            (7, "consent") => {
                return enter(&mut Only("categoryPreferences", &mut self.consent.categories), next);
            }
            (7, "groupId") | (8, "group_id") => &mut self.group_id,
            (8, "campaign") => return enter(&mut self.campaign, next),
            (9, "sessionId") | (10, "session_id") => &mut self.session_id,
            (9, "userAgent") => &mut self.user_agent,
            (10, "externalId") | (11, "externalIds") => &mut self.external_ids,
            (13, "userAgentData") => return enter(&mut Only("brands", &mut self.brands), next),
            (17, "consentManagement") => return enter(&mut self.consent, next),
            _ => return next.skip(),
        };
        *place = next.raw()?;
        Ok(())
    }
}

/// One member of an object.
struct Only<'p, 'de>(&'static str, &'p mut Raw<'de>);

impl<'de> Members<'de> for Only<'_, 'de> {
    fn member<N: Next<'de>>(&mut self, name: &str, next: &mut N) -> Result<(), N::Error> {
        if name != self.0 {
            return next.skip();
        }
        *self.1 = next.raw()?;
        Ok(())
    }
}

impl<'de> Members<'de> for RawConsent<'de> {
    fn member<N: Next<'de>>(&mut self, name: &str, next: &mut N) -> Result<(), N::Error> {
        match name {
            "allowedConsentIds" => self.allowed = next.raw()?,
            "deniedConsentIds" => self.denied = next.raw()?,
            _ => next.skip()?,
        }
        Ok(())
    }
}

impl<'de> PageMembers<'de> {
    fn place(&mut self, name: &str) -> Option<&mut Raw<'de>> {
        match (name.len(), name) {
            (3, "url") => Some(&mut self.url),
            (4, "path") => Some(&mut self.path),
            (5, "title") => Some(&mut self.title),
            (6, "search") => Some(&mut self.search),
            (8, "referrer") => Some(&mut self.referrer),
            _ => None,
        }
    }
}

impl<'de> Members<'de> for PageMembers<'de> {
    fn member<N: Next<'de>>(&mut self, name: &str, next: &mut N) -> Result<(), N::Error> {
        match self.place(name) {
            Some(place) => *place = next.raw()?,
            None => next.skip()?,
        }
        Ok(())
    }
}

impl<'de> Members<'de> for Campaign<'de> {
    fn member<N: Next<'de>>(&mut self, name: &str, next: &mut N) -> Result<(), N::Error> {
        match name {
            "source" => self.source = next.raw()?,
            "medium" => self.medium = next.raw()?,
            // The tracker's name of a campaign is utm_campaign.
            "name" => self.name = next.raw()?,
            "term" => self.term = next.raw()?,
            "content" => self.content = next.raw()?,
            _ => next.skip()?,
        }
        Ok(())
    }
}

impl<'de> Members<'de> for Properties<'_, 'de> {
    fn member<N: Next<'de>>(&mut self, name: &str, next: &mut N) -> Result<(), N::Error> {
        let place = match name {
            "name" => Some(&mut self.name),
            "email" => Some(&mut self.email),
            "phone" => Some(&mut self.phone),
            _ => self.page.place(name),
        };
        take(next, self.needed.child(name), place, &mut self.projected)
    }
}

impl<'de> Members<'de> for Traits<'_, 'de> {
    fn member<N: Next<'de>>(&mut self, name: &str, next: &mut N) -> Result<(), N::Error> {
        let place = match name {
            "email" => Some(&mut self.email),
            "phone" => Some(&mut self.phone),
            _ => None,
        };
        take(next, self.needed.child(name), place, &mut self.projected)
    }
}

#[derive(Default)]
pub(super) struct ExternalId<'de> {
    pub(super) id: Raw<'de>,
    pub(super) kind: Raw<'de>,
}

impl<'de> Members<'de> for ExternalId<'de> {
    fn member<N: Next<'de>>(&mut self, name: &str, next: &mut N) -> Result<(), N::Error> {
        match name {
            "id" => self.id = next.raw()?,
            "type" => self.kind = next.raw()?,
            _ => next.skip()?,
        }
        Ok(())
    }
}

#[derive(Default)]
pub(super) struct Brand<'de>(pub(super) Raw<'de>);

impl<'de> Members<'de> for Brand<'de> {
    fn member<N: Next<'de>>(&mut self, name: &str, next: &mut N) -> Result<(), N::Error> {
        if name != "brand" {
            return next.skip();
        }
        self.0 = next.raw()?;
        Ok(())
    }
}

/// Reads the next value into a place of its own, into what the models need, or both.
fn take<'n, 'de, N: Next<'de>>(
    next: &mut N,
    needed: Option<&'n Projection>,
    place: Option<&mut Raw<'de>>,
    projected: &mut Projected<'n, 'de>,
) -> Result<(), N::Error> {
    if needed.is_none() && place.is_none() {
        return next.skip();
    }
    let value = next.raw()?;
    if let Some(place) = place {
        *place = value;
    }
    if let Some(needed) = needed {
        projected.take(needed, value);
    }
    Ok(())
}

fn enter<'de, M: Members<'de>, N: Next<'de>>(members: &mut M, next: &mut N) -> Result<(), N::Error> {
    next.enter(members).map(|_| ())
}
