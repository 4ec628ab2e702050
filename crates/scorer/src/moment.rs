//! One activity as rules see it: its fields resolved to the model's slots once.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use ripen_model::compiled::{KeyPart, PageKindIx, RecordTraitIx, Recurrence, Rule, TraitKind, TraitSource};
use ripen_model::expression::{EventField, FieldValue, Fields, List};
use ripen_model::pages::{PageMatch, PageMatcher};
use ripen_model::{canonical_text, plain_decimal_micros};
use ripen_records::{Activity, Origin, Text, Value};

use crate::calendar;
use crate::lead::{TraitList, TraitValue};
use crate::plan::{Plan, VISIT_STARTED, source_field};
use crate::touches::Touch;
use crate::visit::Stamp;

/// Texts of a trait are cut here, in bytes; ingest cuts at the same length or earlier.
const TRAIT_TEXT_BYTES: usize = 256;

/// The elements of a list trait are kept up to this many bytes in all, each with three of its own.
const TRAIT_LIST_BYTES: usize = 256;

/// Paths whose page kind is remembered, across leads. A full memo is emptied: paths repeat, floods do not.
const MEMO_PATHS: usize = 4_096;

/// Texts whose keys are remembered; a power of two.
const MEMO_KEYS: usize = 1_024;

/// Texts over this, in bytes, are hashed each time.
const MEMO_KEY_BYTES: usize = 128;

/// What was worked out of texts that repeat from lead to lead.
#[derive(Debug, Default)]
pub(crate) struct Memo {
    pages: PageMemo,
    keys: RefCell<KeyMemo>,
}

impl Memo {
    /// Drops the page kinds, which belong to one model; the key of a text is the same under all.
    pub(crate) fn forget_pages(&mut self) {
        self.pages.clear();
    }
}

/// Page kinds by path: matching is the most expensive field of a page view.
#[derive(Debug, Default)]
struct PageMemo {
    places: HashMap<Box<str>, usize, FixedState>,
    matches: Vec<Option<PageMatch>>,
}

impl PageMemo {
    fn clear(&mut self) {
        self.places.clear();
        self.matches.clear();
    }

    fn of(&mut self, matcher: &PageMatcher, path: &str) -> Option<&PageMatch> {
        let place = match self.places.get(path) {
            Some(place) => *place,
            None => {
                if self.matches.len() >= MEMO_PATHS {
                    self.clear();
                }
                self.matches.push(matcher.matches(path));
                self.places.insert(path.into(), self.matches.len() - 1);
                self.matches.len() - 1
            }
        };
        self.matches[place].as_ref()
    }
}

/// Keys (S4) of texts, each in the one place that a cheap hash of it names; the text itself is compared, so that
/// whoever makes two texts of one hash gains nothing but that both are hashed in full.
#[derive(Debug)]
struct KeyMemo(Vec<(String, u64)>);

impl Default for KeyMemo {
    fn default() -> KeyMemo {
        KeyMemo(vec![Default::default(); MEMO_KEYS])
    }
}

impl KeyMemo {
    fn key(&mut self, text: &str, work_out: impl FnOnce() -> u64) -> u64 {
        // A place that holds nothing yet holds the empty text.
        if text.is_empty() || text.len() > MEMO_KEY_BYTES {
            return work_out();
        }
        let hash = FixedState::default().hash_one(text);
        let (held, key) = &mut self.0[hash as usize % MEMO_KEYS];
        if held != text {
            held.clear();
            held.push_str(text);
            *key = work_out();
        }
        *key
    }
}

/// An activity at the moment it is applied.
#[derive(Debug)]
pub(crate) struct Moment<'a> {
    pub(crate) activity: &'a Activity<'a>,
    plan: &'a Plan,
    page: Option<&'a PageMatch>,
    keys: &'a RefCell<KeyMemo>,
    /// Carried properties that the model reads.
    properties: Vec<(u16, Carried<'a>)>,
    /// Carried traits that the model reads.
    traits: Vec<(u16, Carried<'a>)>,
    /// First 64 bits of BLAKE3 of the event id.
    pub(crate) id: u64,
    /// Event time, never above `arrival_ms`.
    pub(crate) t_ms: i64,
    pub(crate) arrival_ms: i64,
    /// Whether one of the record's ids is more than a cookie; the lead's own may be, if it was sent on to it.
    pub(crate) known: bool,
    pub(crate) stamp: Option<Stamp>,
    /// This is the derived activity that opens a visit.
    pub(crate) opens_visit: bool,
}

#[derive(Debug, Clone, Copy)]
enum Carried<'a> {
    Boolean(bool),
    Number(i64),
    Text(&'a str),
    List(Elements<'a>),
}

#[derive(Debug, Clone, Copy)]
struct Elements<'a>(&'a [Value<'a>]);

impl List for Elements<'_> {
    fn any(&self, test: &mut dyn FnMut(FieldValue<'_>) -> bool) -> bool {
        self.0.iter().any(|value| match value {
            Value::Boolean(truth) => test(FieldValue::Boolean(*truth)),
            Value::Number { micros } => test(FieldValue::Number(*micros)),
            Value::String(text) if !text.is_empty() => test(FieldValue::Text(text)),
            Value::String(_) | Value::Array(_) => false,
        })
    }
}

impl<'a> Moment<'a> {
    /// Resolves the fields of an activity that arrived at `arrival_ms`; `t` is cut to it.
    pub(crate) fn new(
        plan: &'a Plan,
        memo: &'a mut Memo,
        activity: &'a Activity<'a>,
        known: bool,
        arrival_ms: i64,
    ) -> Moment<'a> {
        let path = activity.page.as_ref().and_then(|page| present(page.path.as_ref()));
        let carried = |fields: &'a [ripen_records::Field<'a>], slot: &dyn Fn(&str) -> Option<u16>| {
            let resolve = |f: &'a ripen_records::Field<'a>| Some((slot(&f.name)?, carried(&f.value)?));
            fields.iter().filter_map(resolve).collect()
        };
        let Memo { pages, keys } = memo;
        Moment {
            page: path.and_then(|path| pages.of(&plan.model.pages, path)),
            keys,
            properties: carried(&activity.properties, &|name| plan.property(name).map(|ix| ix.0)),
            traits: carried(&activity.traits, &|name| plan.record_trait(name).map(|ix| ix.0)),
            id: hash64(activity.event_id.as_bytes()),
            t_ms: activity.t_ms.min(arrival_ms),
            arrival_ms,
            known,
            stamp: None,
            opens_visit: false,
            activity,
            plan,
        }
    }

    /// The activity `visit_started` derived from this one: its page, utm and visit, nothing else of it (S23).
    pub(crate) fn visit_started(&self) -> Moment<'a> {
        Moment {
            properties: Vec::new(),
            traits: Vec::new(),
            id: hash64([&*self.activity.event_id, "#visit"].concat().as_bytes()),
            opens_visit: true,
            ..*self
        }
    }

    pub(crate) fn name(&self) -> &str {
        if self.opens_visit { VISIT_STARTED } else { &self.activity.name }
    }

    /// Whether the activity touches visits: a stated origin decides, else a page, a screen, a session id or a
    /// page context (S3a).
    pub(crate) fn is_of_a_visitor(&self) -> bool {
        match self.activity.origin {
            Origin::Web | Origin::App => true,
            Origin::Server => false,
            Origin::Unstated => {
                self.is_page() || self.activity.session.is_some() || self.activity.page.is_some()
            }
        }
    }

    pub(crate) fn is_page(&self) -> bool {
        matches!(self.activity.name.as_str(), "page_view" | "screen_view")
    }

    /// Hash of the session id, never 0.
    pub(crate) fn session(&self) -> Option<u64> {
        present(self.activity.session.as_ref()).map(|session| hash64(session.as_bytes()).max(1))
    }

    /// Whether the rule matches, its event name aside.
    pub(crate) fn matches(&self, rule: &Rule) -> bool {
        (self.known || rule.anonymous) && rule.condition.as_ref().is_none_or(|where_| where_.matches(self))
    }

    /// The 64 bits that stand for the rule's key (S4): a single calendar part by its number, everything else
    /// hashed. An absent field is a value of its own; 1 and "1" are one.
    pub(crate) fn key(&self, rule: &Rule) -> u64 {
        match &rule.recurrence {
            // Held for windows only: each activity is its own key.
            Recurrence::Every => self.id,
            Recurrence::Once => 0,
            Recurrence::Per(parts) => match parts.as_slice() {
                [part] if !matches!(part, KeyPart::Field(_)) => {
                    calendar::bucket(&self.plan.model.time.zone, part, self.t_ms).unwrap_or(0) as u64
                }
                &[KeyPart::Field(field)] => match self.field(field) {
                    Some(FieldValue::Text(text)) => {
                        self.keys.borrow_mut().key(text, || self.hash_parts(&[KeyPart::Field(field)]))
                    }
                    _ => self.hash_parts(&[KeyPart::Field(field)]),
                },
                parts => self.hash_parts(parts),
            },
        }
    }

    fn hash_parts(&self, parts: &[KeyPart]) -> u64 {
        let mut hasher = blake3::Hasher::new();
        let mut put = |tag: u8, bytes: &[u8]| {
            hasher.update(&[tag]);
            hasher.update(&(bytes.len() as u32).to_le_bytes());
            hasher.update(bytes);
        };
        for part in parts {
            match part {
                KeyPart::Field(field) => match self.field(*field) {
                    None | Some(FieldValue::List(_)) => put(0, &[]),
                    Some(FieldValue::Boolean(truth)) => put(1, &[u8::from(truth)]),
                    Some(FieldValue::Number(micros)) => put(2, canonical_text(micros).as_bytes()),
                    Some(FieldValue::Text(text)) => match plain_decimal_micros(text) {
                        Some(micros) => put(2, canonical_text(micros).as_bytes()),
                        None => put(3, text.as_bytes()),
                    },
                },
                calendar_part => {
                    let bucket = calendar::bucket(&self.plan.model.time.zone, calendar_part, self.t_ms);
                    put(4, &bucket.unwrap_or(0).to_le_bytes());
                }
            }
        }
        first64(&hasher.finalize())
    }

    /// The property that `sum` adds up, millionths; what is absent or no number adds nothing.
    pub(crate) fn summed(&self, rule: &Rule) -> i64 {
        rule.summed.and_then(|property| self.number(EventField::Property(property))).unwrap_or(0)
    }

    /// A field as a number, millionths; `None` for one that is absent or no number.
    pub(crate) fn number(&self, field: EventField) -> Option<i64> {
        match self.field(field)? {
            FieldValue::Number(micros) => Some(micros),
            FieldValue::Text(text) => plain_decimal_micros(text),
            FieldValue::Boolean(_) | FieldValue::List(_) => None,
        }
    }

    /// A field as a trait keeps it.
    pub(crate) fn kept(&self, field: EventField) -> Option<TraitValue> {
        kept(self.field(field)?, TraitKind::Any)
    }

    /// A field that is a name.
    pub(crate) fn word(&self, field: EventField) -> Option<&str> {
        match self.field(field)? {
            FieldValue::Text(text) => Some(text),
            _ => None,
        }
    }

    /// How long the page was looked at, ms.
    pub(crate) fn dwell_ms(&self) -> Option<u32> {
        let micros = self.number(EventField::Property(self.plan.dwell?))?;
        u32::try_from(micros / 1_000).ok()
    }

    /// What the activity says as a touch, if it came with a campaign or from another site.
    pub(crate) fn touch(&self) -> Option<Touch<'a>> {
        let utm = self.activity.utm.as_ref();
        let referrer = self.activity.page.as_ref().and_then(|page| self.foreign_referrer(page));
        if utm.is_none() && referrer.is_none() {
            return None;
        }
        let utm = utm.map(|utm| [&utm.source, &utm.medium, &utm.campaign, &utm.term, &utm.content]);
        let mut texts = [None; Touch::TEXTS];
        for (text, field) in texts.iter_mut().zip(utm.into_iter().flatten()) {
            *text = present(field.as_ref()).map(|field| cut(field, Touch::TEXT_BYTES));
        }
        texts[Touch::TEXTS - 1] = referrer.map(|host| cut(host, Touch::TEXT_BYTES));
        let is_empty = texts.iter().all(Option::is_none);
        (!is_empty).then_some(Touch { t_ms: self.t_ms, id: self.id, texts })
    }

    /// The host of the referrer, if it is known to be another one than the page's.
    fn foreign_referrer(&self, page: &'a ripen_records::Page<'a>) -> Option<&'a str> {
        let referrer = present(page.referrer.as_ref())?;
        let scheme = referrer.as_bytes().windows(3).position(|behind| behind == b"://")?;
        let rest = &referrer[scheme + 3..];
        let end = rest.bytes().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
        let host = Some(&rest[..end]).filter(|host| !host.is_empty())?;
        (host != present(page.host.as_ref())?).then_some(host)
    }

    /// The traits that this record carries: place, value.
    pub(crate) fn carried_traits(&self) -> impl Iterator<Item = (u16, TraitValue)> {
        let all = self.plan.model.traits.iter().enumerate();
        all.filter_map(|(ix, definition)| {
            let first = definition.from.iter().find_map(|&source| self.field(source_field(source)))?;
            Some((ix as u16, kept(first, definition.kind)?))
        })
    }

    /// Whether any trait can come from this record.
    pub(crate) fn carries_traits(&self) -> bool {
        let from_property = |source: &TraitSource| matches!(source, TraitSource::Property(_));
        !self.traits.is_empty()
            || (!self.properties.is_empty()
                && self.plan.model.traits.iter().any(|t| t.from.iter().any(from_property)))
    }

    /// What the activity was about, for explanations: the page's path, else the first key field of a rule.
    pub(crate) fn about(&self, rule: &Rule) -> Option<Cow<'_, str>> {
        let key_field = || match &rule.recurrence {
            Recurrence::Per(parts) => parts.iter().find_map(|part| match part {
                KeyPart::Field(field) => Some(*field),
                _ => None,
            }),
            _ => None,
        };
        let text = |field: EventField| match self.field(field)? {
            FieldValue::Text(text) => Some(Cow::Borrowed(text)),
            FieldValue::Number(micros) => Some(Cow::Owned(canonical_text(micros).to_string())),
            FieldValue::Boolean(_) | FieldValue::List(_) => None,
        };
        text(EventField::PagePath).or_else(|| text(key_field()?))
    }
}

impl Fields for Moment<'_> {
    fn field(&self, field: EventField) -> Option<FieldValue<'_>> {
        let (page, utm) = (self.activity.page.as_ref(), self.activity.utm.as_ref());
        match field {
            EventField::Event => Some(FieldValue::Text(self.name())),
            EventField::PageKind => {
                let kind = self.page_kind()?;
                Some(FieldValue::Text(self.plan.model.page_kinds.get(kind.ix())?))
            }
            EventField::PagePath => text(page?.path.as_ref()),
            EventField::PageUrl => text(page?.url.as_ref()),
            EventField::PageHost => text(page?.host.as_ref()),
            EventField::PageTitle => text(page?.title.as_ref()),
            EventField::PageReferrer => text(page?.referrer.as_ref()),
            EventField::PageName => text(page?.name.as_ref()),
            EventField::PageParameter(ix) => {
                let (_, value) = self.page?.parameters.iter().find(|(parameter, _)| *parameter == ix)?;
                (!value.is_empty()).then_some(FieldValue::Text(value))
            }
            EventField::UtmSource => text(utm?.source.as_ref()),
            EventField::UtmMedium => text(utm?.medium.as_ref()),
            EventField::UtmCampaign => text(utm?.campaign.as_ref()),
            EventField::UtmTerm => text(utm?.term.as_ref()),
            EventField::UtmContent => text(utm?.content.as_ref()),
            EventField::Property(ix) => find(&self.properties, ix.0),
            EventField::RecordTrait(RecordTraitIx(ix)) => find(&self.traits, ix),
            EventField::VisitNumber => self.stamp.map(|s| FieldValue::Number(s.number_micros())),
            EventField::VisitPages => self.stamp.map(|s| FieldValue::Number(s.pages_micros())),
            EventField::VisitSeconds => self.stamp.map(|s| FieldValue::Number(s.seconds_micros())),
            EventField::VisitGapDays => self.stamp?.gap_days_micros().map(FieldValue::Number),
        }
    }

    fn page_kind(&self) -> Option<PageKindIx> {
        self.page.map(|page| page.kind)
    }
}

/// The first 64 bits of BLAKE3, as a number.
pub(crate) fn hash64(bytes: &[u8]) -> u64 {
    first64(&blake3::hash(bytes))
}

fn first64(hash: &blake3::Hash) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&hash.as_bytes()[..8]);
    u64::from_be_bytes(first)
}

fn present<'t>(text: Option<&'t Text<'_>>) -> Option<&'t str> {
    text.map(Text::as_str).filter(|text| !text.is_empty())
}

fn text<'t>(text: Option<&'t Text<'_>>) -> Option<FieldValue<'t>> {
    present(text).map(FieldValue::Text)
}

fn carried<'a>(value: &'a Value<'a>) -> Option<Carried<'a>> {
    Some(match value {
        Value::Boolean(truth) => Carried::Boolean(*truth),
        Value::Number { micros } => Carried::Number(*micros),
        Value::String(text) if text.is_empty() => return None,
        Value::String(text) => Carried::Text(text),
        Value::Array(elements) if elements.is_empty() => return None,
        Value::Array(elements) => Carried::List(Elements(elements)),
    })
}

/// Few properties travel with an activity: a scan beats a table.
fn find<'s>(carried: &'s [(u16, Carried<'_>)], ix: u16) -> Option<FieldValue<'s>> {
    let (_, value) = carried.iter().find(|(slot, _)| *slot == ix)?;
    Some(match value {
        Carried::Boolean(truth) => FieldValue::Boolean(*truth),
        Carried::Number(micros) => FieldValue::Number(*micros),
        Carried::Text(text) => FieldValue::Text(text),
        Carried::List(elements) => FieldValue::List(elements),
    })
}

/// A value as the trait's kind keeps it; `None` for one that the kind cannot be, which is as good as absent.
fn kept(value: FieldValue<'_>, kind: TraitKind) -> Option<TraitValue> {
    let text = |text: &str| TraitValue::Text(cut(text, TRAIT_TEXT_BYTES).into());
    match (kind, value) {
        (TraitKind::Any | TraitKind::Bool, FieldValue::Boolean(truth)) => Some(TraitValue::Boolean(truth)),
        (TraitKind::Any | TraitKind::Number, FieldValue::Number(micros)) => Some(TraitValue::Number(micros)),
        (TraitKind::Number, FieldValue::Text(plain)) => plain_decimal_micros(plain).map(TraitValue::Number),
        (TraitKind::Text | TraitKind::Email | TraitKind::Phone, FieldValue::Number(micros)) => {
            Some(text(&canonical_text(micros)))
        }
        (TraitKind::Any | TraitKind::Text | TraitKind::Email | TraitKind::Phone, FieldValue::Text(t)) => {
            Some(text(t))
        }
        (TraitKind::Any, FieldValue::List(list)) => {
            let (mut elements, mut bytes) = (Vec::new(), 0);
            list.any(&mut |element| {
                let Some((element, taken)) = kept_element(element) else { return false };
                bytes += taken;
                if bytes <= TRAIT_LIST_BYTES {
                    elements.push(element);
                }
                bytes > TRAIT_LIST_BYTES
            });
            (!elements.is_empty()).then_some(TraitValue::List(TraitList(elements)))
        }
        _ => None,
    }
}

/// An element of a list as it is kept, and its bytes in a lead's state. A list holds no lists.
fn kept_element(element: FieldValue<'_>) -> Option<(TraitValue, usize)> {
    let element = kept(element, TraitKind::Any)?;
    let bytes = match &element {
        TraitValue::Boolean(_) => 2,
        TraitValue::Number(_) => 9,
        TraitValue::Text(text) => 3 + text.len(),
        TraitValue::List(_) => return None,
    };
    Some((element, bytes))
}

/// The longest prefix of at most `bytes` bytes that ends at a character.
fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_the_key_that_was_worked_out_for_it() {
        let mut memo = KeyMemo::default();
        for (key, text) in ["", "a", "b", "", "a"].into_iter().enumerate() {
            let first = if text == "a" { 1 } else { key as u64 };
            assert_eq!(memo.key(text, || key as u64), first, "{text:?} as number {key}");
        }
    }
    #[test]
    fn a_trait_keeps_what_its_kind_can_be() {
        use TraitKind::{Any, Bool, Email, Number, Phone, Text};
        let (plain, words) = (FieldValue::Text("42.50"), FieldValue::Text("forty"));
        let (number, truth) = (FieldValue::Number(42_500_000), FieldValue::Boolean(true));
        let text = |text: &str| Some(TraitValue::Text(text.into()));
        let as_number = Some(TraitValue::Number(42_500_000));
        let as_truth = Some(TraitValue::Boolean(true));
        for (kind, expected) in [
            (Any, [text("42.50"), text("forty"), as_number.clone(), as_truth.clone()]),
            (Number, [as_number.clone(), None, as_number, None]),
            (Bool, [None, None, None, as_truth]),
            (Text, [text("42.50"), text("forty"), text("42.5"), None]),
            (Email, [text("42.50"), text("forty"), text("42.5"), None]),
            (Phone, [text("42.50"), text("forty"), text("42.5"), None]),
        ] {
            for (value, expected) in [plain, words, number, truth].into_iter().zip(expected) {
                assert_eq!(kept(value, kind), expected, "{value:?} as {kind:?}");
            }
        }
    }

    /// How many of a list's elements a trait keeps; `None` where there is nothing to keep.
    fn held(elements: &[Value<'_>]) -> Option<usize> {
        let list = Value::Array(elements.to_vec());
        let Carried::List(elements) = carried(&list)? else { return None };
        match kept(FieldValue::List(&elements), TraitKind::Any)? {
            TraitValue::List(list) => Some(list.0.len()),
            _ => None,
        }
    }

    #[test]
    fn a_list_is_kept_up_to_its_bytes_without_what_is_empty() {
        let text = |bytes: usize| Value::String("x".repeat(bytes).into());
        let (number, truth) = (Value::Number { micros: 7 }, Value::Boolean(true));
        for (elements, expected) in [
            (vec![], None),
            (vec![text(0)], None),
            (vec![Value::Array(vec![text(1)])], None),
            (vec![text(0), text(1), Value::Array(vec![text(1)]), truth.clone()], Some(2)),
            // 256 bytes in all are kept, and not one more.
            (vec![text(253)], Some(1)),
            (vec![text(254)], None),
            (vec![truth.clone(); 129], Some(128)),
            (vec![number; 29], Some(28)),
            (vec![text(125); 3], Some(2)),
            (vec![text(125), text(126)], Some(1)),
            (vec![text(2), text(246), truth.clone(), truth.clone()], Some(3)),
            // What does not fit ends the list.
            (vec![text(200), text(100), truth], Some(1)),
        ] {
            assert_eq!(held(&elements), expected, "{elements:?}");
        }
    }

    #[test]
    fn what_is_empty_is_absent() {
        let empty = [Value::String("".into()), Value::Array(Vec::new())];
        assert!(empty.iter().all(|value| carried(value).is_none()));
    }
}
