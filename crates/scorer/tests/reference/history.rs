//! What a lead has done: accepted activities in the order in which they came, and what counts of them.

use std::collections::BTreeMap;

use ripen_model::Model;
use ripen_model::compiled::{Amount, Feedback, KeyPart, Reason, Recurrence, Rule, RuleOrigin, TraitSource};
use ripen_model::expression::EventField;
use ripen_records::{Activity, LeadId, Text};

use super::calendar::{bucket, sealed_at_ms};
use super::values::{Known, Seen, Stamp};

const HALF_HOUR_MS: i64 = 1_800_000;
const DAY_MS: i64 = 86_400_000;

/// An accepted activity.
#[derive(Debug, Clone)]
pub(crate) struct Accepted {
    pub(crate) name: String,
    pub(crate) t_ms: i64,
    pub(crate) id: u64,
    pub(crate) matches: Vec<Match>,
    /// The traits that it carries, by place.
    pub(crate) traits: Vec<(usize, Known)>,
    touch: Option<Texts>,
    /// A merge has found another copy of it, which counts in its place.
    pub(super) is_taken_back: bool,
}

/// Source, medium, campaign, term, content, the referrer's host.
pub(crate) type Texts = [Option<String>; 6];

/// An activity as the hand-over tells it: instant, name, path, dwell.
pub(crate) type Told = (i64, String, Option<String>, Option<i64>);

/// One rule that an activity, or the visit that it began, matches.
#[derive(Debug, Clone)]
pub(crate) struct Match {
    pub(crate) rule: usize,
    pub(crate) t_ms: i64,
    pub(crate) id: u64,
    /// The page's path, else the first field of its key.
    pub(crate) about: Option<String>,
    /// `None`: every match counts.
    pub(super) key: Option<String>,
    /// Not in a calendar bucket that was sealed by then, not taken back by a merge.
    pub(super) counts: bool,
    /// Of a match without a key: whether windows may see it.
    pub(super) is_held: bool,
    /// Scores that a merge has cleared of it.
    pub(super) cleared: Vec<usize>,
    /// The property that windows sum, millionths.
    pub(crate) summed: i64,
    /// What feedback says that the lead has brought in, millionths.
    brought: i64,
    /// An answer or a reason, by the trait that keeps it.
    kept: Option<(usize, Known)>,
}

/// The current visit.
#[derive(Debug, Clone)]
pub(super) struct Visit {
    pub(super) number: i64,
    start_ms: i64,
    pub(super) last_ms: i64,
    pages: i64,
    gap_ms: Option<i64>,
    session: Option<String>,
}

/// Everything that a lead's activities have left.
#[derive(Debug, Clone)]
pub(crate) struct History {
    pub(crate) accepted: Vec<Accepted>,
    /// The event time of the first activity with an id beyond a cookie.
    pub(crate) known_since_ms: Option<i64>,
    /// The instant of the last accepted activity or merge.
    pub(super) settled_ms: i64,
    pub(super) remembered: Vec<(i64, u64)>,
    pub(super) floor_ms: i64,
    pub(super) visit: Option<Visit>,
    /// What it did last, by arrival, or after a merge by event time.
    pub(super) log: Vec<(u64, Told)>,
}

/// Why an activity is not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    Duplicate,
    Late,
    /// It arrived before its id was erased.
    Erased,
    /// Its id was erased for good.
    Suppressed,
}

/// First 64 bits of BLAKE3.
pub(crate) fn hash(event_id: &str) -> u64 {
    u64::from_be_bytes(blake3::hash(event_id.as_bytes()).as_bytes()[..8].try_into().expect("eight bytes"))
}

impl Match {
    fn counted(&self) -> Counted {
        Counted { t_ms: self.t_ms, summed: self.summed }
    }
}

impl History {
    pub(crate) fn new() -> History {
        History {
            accepted: Vec::new(),
            known_since_ms: None,
            settled_ms: i64::MIN,
            remembered: Vec::new(),
            floor_ms: i64::MIN,
            visit: None,
            log: Vec::new(),
        }
    }

    /// S2. `now_ms` is the instant at which the lead is looked at; `of_known` tells that its own id is more than a
    /// cookie.
    pub(crate) fn accept(
        &mut self,
        model: &Model,
        activity: &Activity<'_>,
        now_ms: i64,
        of_known: bool,
    ) -> Result<(), Refusal> {
        let id = hash(&activity.event_id);
        let t_ms = activity.t_ms.min(activity.arrival_ms);
        if self.remembered.iter().any(|(_, known)| *known == id) {
            return Err(Refusal::Duplicate);
        }
        if activity.arrival_ms - t_ms > model.time.late_accept_ms || t_ms <= self.floor_ms {
            return Err(Refusal::Late);
        }
        self.settled_ms = now_ms;
        self.remembered.push((t_ms, id));
        self.forget_ids(model, now_ms);
        let is_known =
            activity.ids.iter().any(|id| LeadId::parse(id).is_ok_and(|lead| lead.kind().is_known()));
        if is_known || of_known {
            self.known_since_ms = Some(self.known_since_ms.unwrap_or(t_ms).min(t_ms));
        }
        let (began, stamp) = self.visit(model, activity, t_ms);
        let mut matches = Vec::new();
        if began {
            let started = Seen { model, activity, is_visit_start: true, visit: stamp.clone() };
            let id = hash(&format!("{}#visit", &*activity.event_id));
            matches.extend(matched(&started, t_ms, id, is_known, now_ms));
        }
        let seen = Seen { model, activity, is_visit_start: false, visit: stamp };
        matches.extend(matched(&seen, t_ms, id, is_known, now_ms));
        let traits = carried(&seen);
        let name = activity.name.to_string();
        let (touch, dwell_ms) = (touch(activity), dwell_ms(&seen));
        let path = activity.page.as_ref().and_then(|page| Some((**page.path.as_ref()?).to_owned()));
        self.log.push((id, (t_ms, name.clone(), path, dwell_ms)));
        self.accepted.push(Accepted { name, t_ms, id, matches, traits, touch, is_taken_back: false });
        Ok(())
    }

    /// Ids beyond `late_accept` go first, then the smallest; each that goes raises the floor.
    pub(super) fn forget_ids(&mut self, model: &Model, now_ms: i64) {
        self.remembered.sort_unstable();
        let too_old = |t_ms: i64| now_ms - t_ms > model.time.late_accept_ms;
        while self.remembered.len() > usize::from(model.time.remember)
            || self.remembered.first().is_some_and(|(t_ms, _)| too_old(*t_ms))
        {
            let (t_ms, _) = self.remembered.remove(0);
            self.floor_ms = self.floor_ms.max(t_ms);
        }
    }

    /// S3a: whether a visit begins, and what the activity sees of its visit.
    fn visit(&mut self, model: &Model, activity: &Activity<'_>, t_ms: i64) -> (bool, Option<Stamp>) {
        let seen = Seen { model, activity, is_visit_start: false, visit: None };
        if !seen.is_of_visits() {
            return (false, None);
        }
        let session = activity.session.as_ref().map(|session| session.to_string());
        if self.visit.as_ref().is_some_and(|visit| t_ms < visit.start_ms) {
            return (false, None);
        }
        let began = match (&self.visit, &session) {
            (None, _) => true,
            (Some(Visit { session: Some(own), .. }), Some(session)) => own != session,
            (Some(visit), _) => t_ms - visit.last_ms > HALF_HOUR_MS,
        };
        if began {
            let before = self.visit.take();
            self.visit = Some(Visit {
                number: before.as_ref().map_or(1, |visit| visit.number + 1),
                start_ms: t_ms,
                last_ms: before.as_ref().map_or(t_ms, |visit| visit.last_ms.max(t_ms)),
                pages: 0,
                gap_ms: before.as_ref().map(|visit| (t_ms - visit.last_ms).max(0)),
                session: session.clone(),
            });
        }
        let visit = self.visit.as_mut().expect("there is one now");
        let stamp = Stamp {
            number: visit.number,
            pages: visit.pages,
            seconds_micros: (t_ms - visit.start_ms) * 1_000,
            gap_days_micros: visit
                .gap_ms
                .map(|gap_ms| (i128::from(gap_ms) * 1_000_000 / i128::from(DAY_MS)) as i64),
        };
        visit.last_ms = visit.last_ms.max(t_ms);
        visit.session = visit.session.take().or(session);
        if seen.is_page() {
            visit.pages += 1;
        }
        (began, Some(stamp))
    }
}

/// S3, S4: the rules that match, each with the key of its match.
fn matched(seen: &Seen<'_>, t_ms: i64, id: u64, is_known: bool, now_ms: i64) -> Vec<Match> {
    let model = seen.model;
    let mut matches = Vec::new();
    for rule in model.events.rules(seen.name()) {
        let found = &model.rules[rule.ix()];
        if !is_known && !found.anonymous
            || found.condition.as_ref().is_some_and(|wanted| !seen.matches(wanted))
        {
            continue;
        }
        let summed = found.summed.and_then(|property| seen.field(EventField::Property(property))?.number());
        matches.push(Match {
            rule: rule.ix(),
            t_ms,
            id,
            about: about(seen, found),
            key: key(seen, found, t_ms),
            counts: sealed_at_ms(model, found, t_ms).is_none_or(|sealed_ms| now_ms <= sealed_ms),
            is_held: true,
            cleared: Vec::new(),
            summed: summed.unwrap_or(0),
            brought: brought(seen, found).unwrap_or(0),
            kept: kept(seen, found),
        });
    }
    matches
}

fn about(seen: &Seen<'_>, rule: &Rule) -> Option<String> {
    let key_field = || match &rule.recurrence {
        Recurrence::Per(parts) => parts.iter().find_map(|part| match part {
            KeyPart::Field(field) => Some(*field),
            _ => None,
        }),
        _ => None,
    };
    seen.field(EventField::PagePath).or_else(|| seen.field(key_field()?))?.text()
}

/// The amount that a feedback states.
fn brought(seen: &Seen<'_>, rule: &Rule) -> Option<i64> {
    let RuleOrigin::Feedback(feedback) = rule.origin else { return None };
    match seen.model.feedback[feedback.ix()].value? {
        Amount::Stated(micros) => Some(micros),
        Amount::Field(field) => seen.field(field)?.number(),
        Amount::Trait(_) => None,
    }
}

/// The answer to a framework's question, or the reason of a verdict.
fn kept(seen: &Seen<'_>, rule: &Rule) -> Option<(usize, Known)> {
    let model = seen.model;
    match rule.origin {
        RuleOrigin::Answers => {
            let answers = model.answers.as_ref()?;
            let criterion = seen.field(answers.criterion)?.text()?;
            let (_, place) = answers.kept.iter().find(|(name, _)| *name == criterion)?;
            Some((place.ix(), seen.field(answers.value)?))
        }
        RuleOrigin::Verdict(verdict) => match model.verdicts[verdict.ix()].reason {
            Reason::Read(field, place) => Some((place.ix(), seen.field(field)?)),
            Reason::Stated(_) => None,
        },
        _ => None,
    }
}

fn key(seen: &Seen<'_>, rule: &Rule, t_ms: i64) -> Option<String> {
    let zone = &seen.model.time.zone;
    match &rule.recurrence {
        Recurrence::Every => None,
        Recurrence::Once => Some(String::new()),
        Recurrence::Per(parts) => {
            let parts = parts.iter().map(|part| match part {
                KeyPart::Field(field) => seen.field(*field).map_or("absent".to_owned(), |value| value.key()),
                calendar => bucket(zone, calendar, t_ms),
            });
            Some(parts.collect::<Vec<_>>().join("\n"))
        }
    }
}

/// What says where the lead came from: a campaign, or a page of another host.
fn touch(activity: &Activity<'_>) -> Option<Texts> {
    let present = |text: &Option<Text<'_>>| Some(text.as_ref()?.to_string()).filter(|text| !text.is_empty());
    let mut texts = Texts::default();
    if let Some(utm) = &activity.utm {
        texts = [&utm.source, &utm.medium, &utm.campaign, &utm.term, &utm.content, &None].map(present);
    }
    if let Some(page) = &activity.page {
        let host = present(&page.referrer).and_then(|referrer| {
            let (_, rest) = referrer.split_once("://")?;
            Some(rest.split(['/', '?', '#']).next()?.to_owned()).filter(|host| !host.is_empty())
        });
        let own = present(&page.host);
        texts[5] = host.filter(|host| own.is_some_and(|own| own != *host));
    }
    texts.iter().any(Option::is_some).then_some(texts)
}

/// How long the page was looked at.
fn dwell_ms(seen: &Seen<'_>) -> Option<i64> {
    seen.model.properties.iter().find(|name| *name == "dwell_seconds")?;
    let field = seen.activity.properties.iter().find(|field| *field.name == *"dwell_seconds")?;
    let micros = Known::of(&field.value)?.number()?;
    (micros >= 0).then_some(micros / 1_000)
}

/// The stored traits that a record carries: of each the first present source.
fn carried(seen: &Seen<'_>) -> Vec<(usize, Known)> {
    use ripen_model::expression::EventField::{Property, RecordTrait};
    let traits = seen.model.traits.iter().enumerate();
    let found = traits.filter_map(|(ix, wanted)| {
        let value = wanted.from.iter().find_map(|source| match source {
            TraitSource::Trait(place) => seen.field(RecordTrait(*place)),
            TraitSource::Property(place) => seen.field(Property(*place)),
        })?;
        Some((ix, value))
    });
    found.collect()
}

/// A match that counts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counted {
    pub(crate) t_ms: i64,
    pub(crate) summed: i64,
}

/// The place of a match: of its activity among those accepted, and its own among that one's.
pub(super) type Place = (usize, usize);

/// What is known of a fact.
#[derive(Debug)]
pub(crate) struct FactMarks {
    /// Every set, with its time to live.
    pub(crate) sets: Vec<(i64, Option<i64>)>,
    /// The newest unset.
    pub(crate) unset_ms: Option<i64>,
}

impl History {
    pub(super) fn at(&self, (activity, ix): Place) -> &Match {
        &self.accepted[activity].matches[ix]
    }

    /// The places of all matches of a rule, in the order in which they came.
    pub(super) fn matches(&self, rule: usize) -> impl Iterator<Item = Place> {
        let places = self.accepted.iter().enumerate();
        let places = places.flat_map(|(activity, of)| (0..of.matches.len()).map(move |ix| (activity, ix)));
        places.filter(move |place| self.at(*place).rule == rule)
    }

    /// S4: the matches of a rule that count.
    pub(super) fn counting(&self, model: &Model, rule: usize) -> Vec<Place> {
        let counting = self.matches(rule).filter(|place| self.at(*place).counts);
        if matches!(model.rules[rule].recurrence, Recurrence::Every) {
            return counting.collect();
        }
        let newest = self.newest(counting.map(|place| (self.at(place).key.as_deref(), place)));
        self.newest_of(newest, model.rules[rule].max)
    }

    /// The matches of a rule that windows may see. A rule without keys holds one match for each event id: of one that
    /// came again, the newest.
    pub(super) fn holding(&self, model: &Model, rule: usize) -> Vec<Place> {
        if !matches!(model.rules[rule].recurrence, Recurrence::Every) {
            return self.counting(model, rule);
        }
        let held = self.matches(rule).filter(|place| self.at(*place).is_held);
        let newest = self.newest(held.map(|place| (self.at(place).id, place)));
        self.newest_of(newest, model.rules[rule].max)
    }

    /// Of each key the newest match; of several of one place in canonical order the first.
    fn newest<K: Ord>(&self, keyed: impl Iterator<Item = (K, Place)>) -> Vec<Place> {
        let mut newest: BTreeMap<K, Place> = BTreeMap::new();
        for (key, place) in keyed {
            let held = newest.entry(key).or_insert(place);
            if self.order(place) > self.order(*held) {
                *held = place;
            }
        }
        newest.into_values().collect()
    }

    fn newest_of(&self, mut places: Vec<Place>, max: Option<u16>) -> Vec<Place> {
        places.sort_by_key(|place| self.order(*place));
        let surplus = max.map_or(0, |max| places.len().saturating_sub(usize::from(max)));
        places.split_off(surplus)
    }

    fn order(&self, place: Place) -> (i64, u64) {
        (self.at(place).t_ms, self.at(place).id)
    }

    /// What counts of a rule in a score.
    pub(crate) fn counted(&self, model: &Model, rule: usize, score: usize) -> Vec<Counted> {
        let cleared_ms = self.cleared_ms(model, score);
        let counting = self.counting(model, rule).into_iter().map(|place| self.at(place));
        let left = counting.filter(|found| {
            cleared_ms.is_none_or(|cleared_ms| found.t_ms > cleared_ms) && !found.cleared.contains(&score)
        });
        left.map(Match::counted).collect()
    }

    /// What windows see of a rule.
    pub(crate) fn held(&self, model: &Model, rule: usize) -> Vec<Counted> {
        self.holding(model, rule).into_iter().map(|place| self.at(place).counted()).collect()
    }

    /// S8.
    pub(crate) fn fact(&self, model: &Model, fact: usize) -> FactMarks {
        let (mut sets, mut unset_ms) = (Vec::new(), None);
        for found in self.accepted.iter().flat_map(|activity| &activity.matches) {
            let rule = &model.rules[found.rule];
            let set = rule.set.iter().filter(|(set, _)| set.ix() == fact);
            let ttls = &model.facts[fact].ttls_ms;
            sets.extend(set.map(|(_, place)| (found.t_ms, ttls[usize::from(*place)])));
            if rule.unset.iter().any(|unset| unset.ix() == fact) {
                unset_ms = unset_ms.max(Some(found.t_ms));
            }
        }
        FactMarks { sets, unset_ms }
    }

    /// The newest value of a trait.
    pub(crate) fn stored_trait(&self, ix: usize) -> Option<Known> {
        let carried = self.accepted.iter().filter_map(|activity| {
            let (_, value) = activity.traits.iter().find(|(place, _)| *place == ix)?;
            Some(((activity.t_ms, activity.id), value))
        });
        let kept = self.accepted.iter().flat_map(|activity| &activity.matches).filter_map(|found| {
            let (place, value) = found.kept.as_ref()?;
            (*place == ix).then_some(((found.t_ms, found.id), value))
        });
        // Of two copies of one activity, the survivor's.
        let mut values: Vec<((i64, u64), &Known)> = carried.chain(kept).collect();
        values.sort_by_key(|(order, _)| std::cmp::Reverse(*order));
        values.first().map(|(_, value)| (*value).clone())
    }

    /// The first and the last touch in the order of events.
    pub(crate) fn touches(&self) -> Vec<(i64, Texts)> {
        let touches = self.accepted.iter().filter_map(|of| Some(((of.t_ms, of.id), of.touch.as_ref()?)));
        // Of one that came again, the one that came first.
        let first = touches.clone().min_by_key(|(order, _)| *order);
        let last = touches.rev().max_by_key(|(order, _)| *order);
        first.into_iter().chain(last).map(|((t_ms, _), texts)| (t_ms, texts.clone())).collect()
    }

    /// The latest activities, as many as the hand-over asks for, in the order of events.
    pub(crate) fn told(&self, model: &Model) -> Vec<Told> {
        let most = model.handover.as_ref().map_or(0, |handover| usize::from(handover.history));
        let latest = &self.log[self.log.len().saturating_sub(most)..];
        let mut told: Vec<Told> = latest.iter().map(|(_, told)| told.clone()).collect();
        told.sort_by_key(|(t_ms, ..)| *t_ms);
        told
    }

    /// Feedbacks, each with its event time.
    fn feedback<'a>(&'a self, model: &'a Model) -> impl Iterator<Item = (i64, &'a Feedback)> {
        let matches = self.accepted.iter().flat_map(|activity| &activity.matches);
        matches.filter_map(|found| match model.rules[found.rule].origin {
            RuleOrigin::Feedback(ix) => Some((found.t_ms, &model.feedback[ix.ix()])),
            _ => None,
        })
    }

    /// Cool-downs: stage, from, until.
    pub(crate) fn cooldowns(&self, model: &Model) -> Vec<(usize, i64, i64)> {
        let of = |(t_ms, feedback): (i64, &Feedback)| {
            feedback.cooldown.map(|(stage, for_ms)| (stage.ix(), t_ms, t_ms + for_ms))
        };
        self.feedback(model).filter_map(of).collect()
    }

    /// Times in which a recycled stage's exit is not read: stage, from, until.
    pub(crate) fn holds(&self, model: &Model) -> Vec<(usize, i64, i64)> {
        let of = |(t_ms, feedback): (i64, &Feedback)| {
            feedback.recycle.map(|(stage, for_ms)| (stage.ix(), t_ms, t_ms + for_ms))
        };
        self.feedback(model).filter_map(of).collect()
    }

    /// What feedback says that the lead has brought in, millionths.
    pub(crate) fn brought(&self) -> i64 {
        self.accepted.iter().flat_map(|activity| &activity.matches).map(|found| found.brought).sum()
    }

    /// The newest instant at which the CRM cleared a score.
    pub(crate) fn cleared_ms(&self, model: &Model, score: usize) -> Option<i64> {
        let clears = self
            .feedback(model)
            .filter(|(_, feedback)| feedback.clear.iter().any(|clear| clear.ix() == score));
        clears.map(|(t_ms, _)| t_ms).max()
    }
}
