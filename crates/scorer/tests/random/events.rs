//! Random histories: activities that come late, twice and out of order, ticks, links and requests to erase.

use ripen_records::{Activity, Field, Input, Origin, Page, Text, Utm, Value};

use super::dice::Dice;
use super::draft::Draft;

/// 2026-01-05T00:00Z, a Monday.
const START_MS: i64 = 1_767_571_200_000;

/// The Saturday before clocks change in Berlin and Lord Howe, 2026-03-28T12:00Z.
const CHANGE_MS: i64 = 1_774_699_200_000;

/// One record of the log.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    /// The broker's timestamp.
    pub(crate) timestamp_ms: i64,
    pub(crate) lead: &'static str,
    /// `None`: a link, a request to erase or a tick.
    pub(crate) activity: Option<Box<Activity<'static>>>,
    pub(crate) link: Option<LinkTo>,
    pub(crate) erase: Option<EraseOn>,
    /// Whether what leads have sent to others comes before it.
    pub(crate) delivers: bool,
    /// How many deadlines fire in one transaction before it.
    pub(crate) deadlines: u32,
    pub(crate) end: End,
}

/// How a transaction goes on after a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    GoesOn,
    Commits,
    /// It is dropped, done once more, and committed.
    Aborts,
    /// It is committed, and another process goes on from the changelog.
    Restarts,
}

/// The lead's id and another one are one person.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LinkTo {
    pub(crate) other: &'static str,
    pub(crate) explicit: bool,
    pub(crate) arrival_ms: i64,
}

/// The lead's person is to be forgotten.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EraseOn {
    pub(crate) suppress: bool,
    pub(crate) arrival_ms: i64,
}

/// Ids of every rank that matters, two of them of one.
const LINKED: [&str; 5] = ["anon:a", "device:c", "user:b", "user:e", "crm:d"];

/// An id that belongs to another one is forgotten after 350 days without a record at the earliest.
const LONGEST_MS: i64 = 340 * 86_400_000 - ERASURE_MS;

/// So long is an erasure remembered.
pub(crate) const ERASURE_MS: i64 = 30 * 86_400_000;

const NAMES: [&str; 15] = [
    "page_view",
    "page_view",
    "page_view",
    "ask",
    "ask",
    "use",
    "use",
    "call",
    "call",
    "page_leave",
    "refused",
    "won",
    "lost",
    "back",
    "answer",
];

const LEADS: [&str; 5] = ["anon:a", "anon:a", "user:b", "device:c", "crm:d"];

pub(crate) fn history(dice: &mut Dice, draft: &Draft) -> Vec<Step> {
    let unit_ms = draft.unit_s * 1_000;
    let leads = &LEADS[..dice.number(&[1, 1, 3, 5]) as usize];
    let mut clock_ms = dice.number(&[START_MS, START_MS, CHANGE_MS]);
    let mut steps = Vec::new();
    for number in 0..dice.within(3, 26) {
        clock_ms += wait(dice, unit_ms);
        let tick = dice.percent(12);
        let activity = (!tick).then(|| Box::new(activity(dice, draft, clock_ms, number)));
        let lead = dice.pick(leads);
        let timestamp_ms = if dice.percent(4) { clock_ms - dice.within(0, unit_ms) } else { clock_ms };
        let activity = activity.map(|mut activity| {
            activity.ids = vec![Text::from(lead)];
            if dice.percent(20) {
                activity.ids.push(Text::from("anon:z"));
            }
            // An arrival is never later than the log's own time.
            activity.arrival_ms = activity.arrival_ms.min(clock_ms);
            activity.t_ms = activity.t_ms.min(activity.arrival_ms);
            activity
        });
        let (deadlines, end) = transaction(dice);
        steps.push(Step {
            timestamp_ms,
            lead,
            activity,
            link: None,
            erase: None,
            delivers: true,
            deadlines,
            end,
        });
    }
    clock_ms += unit_ms * dice.number(&[0, 10, 100, 5_000]);
    let end = Step {
        timestamp_ms: clock_ms,
        lead: leads[0],
        activity: None,
        link: None,
        erase: None,
        delivers: true,
        deadlines: u32::MAX,
        end: End::Commits,
    };
    steps.push(end);
    steps
}

/// The same history under several ids, some of which turn out to be one person's in the midst of it.
pub(crate) fn linked(dice: &mut Dice, steps: &[Step]) -> Vec<Step> {
    let span_ms = steps.iter().map(|step| step.timestamp_ms).max().unwrap_or(0) - START_MS;
    let ids = &LINKED[dice.within(0, 3) as usize..];
    let mut linked: Vec<Step> = Vec::new();
    let most = dice.within(1, 5);
    for step in steps {
        let mut step = Step { delivers: dice.percent(75), ..step.clone() };
        if let Some(activity) = &mut step.activity {
            step.lead = dice.pick(ids);
            activity.ids = vec![Text::from(step.lead)];
            copy(dice, activity, &linked);
        }
        linked.push(step.clone());
        let links = linked.iter().filter(|step| step.link.is_some()).count() as i64;
        if links < most && dice.percent(25) && span_ms < LONGEST_MS {
            let (lead, other) = (dice.pick(ids), dice.pick(ids));
            let arrival_ms = step.timestamp_ms - dice.number(&[0, 0, 1, 5_000]);
            let link = LinkTo { other, explicit: dice.percent(30), arrival_ms };
            linked.push(Step { lead, activity: None, link: Some(link), delivers: dice.percent(75), ..step });
        }
    }
    linked.last_mut().expect("it ends with a tick").delivers = true;
    linked
}

/// The same history with requests to forget its persons, what was under way meanwhile, and what comes long after.
pub(crate) fn erased(dice: &mut Dice, steps: &[Step], unit_ms: i64) -> Vec<Step> {
    let ids: Vec<&'static str> = steps.iter().map(|step| step.lead).collect();
    let at = dice.within(0, steps.len() as i64) as usize;
    let (mut erased, rest) = (steps[..at].to_vec(), &steps[at..]);
    let clock_ms = erased.iter().chain(&rest[..1]).map(|step| step.timestamp_ms).max().expect("one at least");
    let request = |dice: &mut Dice, clock_ms: i64| {
        let arrival_ms = clock_ms - dice.number(&[0, 0, 0, 1, 5_000, 2 * unit_ms, -3_000]);
        let erase = EraseOn { suppress: dice.percent(15), arrival_ms };
        let lead = dice.pick(&ids);
        let delivers = dice.percent(75);
        let (deadlines, end) = transaction(dice);
        Step {
            timestamp_ms: clock_ms,
            lead,
            activity: None,
            link: None,
            erase: Some(erase),
            delivers,
            deadlines,
            end,
        }
    };
    erased.push(request(dice, clock_ms));
    let arrival_ms = erased[at].erase.map_or(clock_ms, |erase| erase.arrival_ms.min(clock_ms));
    // Now and then all that follows comes when the erasure is just not, or no more, remembered.
    let last_ms = arrival_ms + ERASURE_MS + dice.number(&[-1, 0, 1]);
    let (later, pause_ms) = if dice.percent(20) {
        let later = dice.within(0, rest.len() as i64) as usize;
        (later, (last_ms - rest[later].timestamp_ms).max(0))
    } else {
        (rest.len(), 0)
    };
    for (ix, step) in rest.iter().enumerate() {
        let mut step = step.clone();
        if ix >= later {
            step.delay(pause_ms);
        }
        if let Some(activity) = step.activity.as_mut().filter(|_| dice.percent(25)) {
            activity.arrival_ms = (arrival_ms + dice.number(&[-1, 0, 0, 1])).min(activity.arrival_ms);
            activity.t_ms = activity.t_ms.min(activity.arrival_ms);
        }
        if let Some(link) = step.link.as_mut().filter(|_| dice.percent(40)) {
            link.arrival_ms = (arrival_ms + dice.number(&[-1, 0, 0, 1])).min(link.arrival_ms);
        }
        let again = dice.percent(8).then(|| request(dice, step.timestamp_ms));
        erased.push(step);
        erased.extend(again);
    }
    erased.last_mut().expect("some").delivers = true;
    erased
}

impl Step {
    /// Whether everything comes at once, and each record is a transaction.
    pub(crate) fn is_plain(&self) -> bool {
        self.delivers && self.deadlines == u32::MAX && self.end == End::Commits
    }

    pub(crate) fn make_plain(&mut self) {
        (self.delivers, self.deadlines, self.end) = (true, u32::MAX, End::Commits);
    }

    /// The same a while later.
    fn delay(&mut self, by_ms: i64) {
        self.timestamp_ms += by_ms;
        if let Some(activity) = &mut self.activity {
            activity.arrival_ms += by_ms;
            activity.t_ms += by_ms;
        }
        if let Some(link) = &mut self.link {
            link.arrival_ms += by_ms;
        }
    }
}

/// Makes it, now and then, a copy of an activity before it, as a pixel and a server send the same one.
fn copy(dice: &mut Dice, activity: &mut Activity<'static>, before: &[Step]) {
    let before: Vec<&Activity<'static>> = before.iter().filter_map(|step| step.activity.as_deref()).collect();
    if before.is_empty() || !dice.percent(20) {
        return;
    }
    let same = before[dice.within(0, before.len() as i64) as usize];
    activity.event_id = same.event_id.clone();
    if dice.percent(70) {
        activity.name = same.name.clone();
        activity.page = same.page.clone();
        activity.properties = same.properties.clone();
    }
    if dice.percent(70) {
        activity.t_ms = (same.t_ms + dice.number(&[0, 0, -1, 1, 400])).min(activity.arrival_ms);
    }
}

fn transaction(dice: &mut Dice) -> (u32, End) {
    let deadlines = if dice.percent(10) { dice.within(1, 3) as u32 } else { u32::MAX };
    let end = match dice.within(0, 20) {
        0..6 => End::GoesOn,
        6..8 => End::Aborts,
        8..10 => End::Restarts,
        _ => End::Commits,
    };
    (deadlines, end)
}

fn wait(dice: &mut Dice, unit_ms: i64) -> i64 {
    match dice.within(0, 20) {
        0..3 => 0,
        3 => dice.within(1, 4),
        4..8 => unit_ms * dice.within(1, 6),
        8..15 => dice.within(1, 3 * unit_ms),
        15..19 => dice.within(1, 20 * unit_ms),
        _ => dice.within(1, 400 * unit_ms),
    }
}

fn activity(dice: &mut Dice, draft: &Draft, clock_ms: i64, number: i64) -> Activity<'static> {
    let (unit_ms, late_ms) = (draft.unit_s * 1_000, draft.late_s * 1_000);
    let arrival_ms = if dice.percent(10) { clock_ms - dice.within(0, 3 * unit_ms) } else { clock_ms };
    let t_ms = match dice.within(0, 20) {
        0..12 => arrival_ms,
        12..14 => arrival_ms.div_euclid(unit_ms) * unit_ms,
        14..18 => arrival_ms - dice.within(0, 5 * unit_ms),
        18 => arrival_ms - dice.within(0, late_ms),
        _ => arrival_ms - late_ms + dice.within(-1, 2),
    };
    // Now and then an id comes again, with whatever else it carries.
    let id = if dice.percent(12) { dice.within(0, number + 1) } else { number };
    let name = dice.pick(&NAMES);
    let is_page = name.starts_with("page");
    let path = dice.pick(&["/", "/things/1", "/things/2", "/things/3", "/shop", "/nowhere"]);
    let host = dice.percent(30).then(|| Text::from("us.example"));
    let referrer = ["https://us.example/things/1", "https://news.example/?q=1", "news.example"];
    let referrer = dice.percent(30).then(|| Text::from(dice.pick(&referrer)));
    let page = Page { path: Some(Text::from(path)), host, referrer, ..Page::default() };
    let session = if dice.percent(25) { Some(Text::from(dice.pick(&["s", "t"]))) } else { None };
    let campaign = dice.percent(50).then(|| Text::from(dice.pick(&["", "spring"])));
    let utm = Utm { source: Some(Text::from(dice.pick(&["vk", "mail"]))), campaign, ..Utm::default() };
    Activity {
        event_id: format!("event-{id}").into(),
        name: Text::from(name),
        t_ms,
        arrival_ms,
        clamped: false,
        origin: [Origin::Web, Origin::Web, Origin::Unstated, Origin::Server, Origin::App]
            [dice.within(0, 5) as usize],
        ids: Vec::new(),
        session,
        page: (is_page || dice.percent(15)).then_some(page),
        utm: dice.percent(30).then_some(utm),
        properties: fields(dice, &["n", "m", "word", "flag", "tags", "criterion", "dwell_seconds"]),
        traits: if dice.percent(35) { fields(dice, &["region", "revenue", "tags"]) } else { Vec::new() },
        input: Input { topic: Text::from("clicks"), partition: 0, offset: number },
    }
}

fn fields(dice: &mut Dice, names: &[&'static str]) -> Vec<Field<'static>> {
    let mut fields = Vec::new();
    for name in names {
        if dice.percent(55) {
            fields.push(Field { name: Text::from(*name), value: value(dice, name) });
        }
    }
    fields
}

fn value(dice: &mut Dice, name: &str) -> Value<'static> {
    let text = |text: &'static str| Value::String(Text::from(text));
    let number = |micros: i64| Value::Number { micros };
    match name {
        "n" | "m" | "dwell_seconds" if dice.percent(85) => number(dice.within(0, 5) * 1_000_000),
        "revenue" if dice.percent(85) => number(dice.number(&[-1, 0, 19_999_999, 20_000_000, 35_500_000])),
        "criterion" => text(dice.pick(&["budget", "need", "money", "timing", "other"])),
        "flag" => Value::Boolean(dice.percent(60)),
        "tags" => Value::Array(vec![text(dice.pick(&["north", "east"])), number(2_000_000)]),
        _ => match dice.within(0, 8) {
            0 => text("2"),
            1 => number(2_000_000),
            2 => text("25.5"),
            3 => Value::Boolean(true),
            _ => text(dice.pick(&["north", "south", "3", "zone 1"])),
        },
    }
}
