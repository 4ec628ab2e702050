//! A schedule: everything that will happen, drawn from one seed before anything does, so that a run is a function of
//! its schedule and a failing one can be cut down.

use std::fmt;

use ripen_runtime::Call;

use crate::dice::Dice;
use crate::inputs::{FORGETTING, MODELS};
use crate::stories;

pub(crate) const MINUTE_MS: i64 = 60_000;
pub(crate) const HOUR_MS: i64 = 60 * MINUTE_MS;
/// No clock, of an instance or a broker, is ahead of another one by as much.
pub(crate) const AHEAD_MOST_MS: i64 = MINUTE_MS;

/// A service, by its place in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Service {
    Ingest,
    Scorer,
    Emitter,
}

impl Service {
    pub(crate) const ALL: [Service; 3] = [Service::Ingest, Service::Scorer, Service::Emitter];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Service::Ingest => "ingest",
            Service::Scorer => "scorer",
            Service::Emitter => "emitter",
        }
    }
}

/// What holds for the whole run.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    /// Partitions of activities and leads; every other topic has two.
    pub(crate) partitions: i32,
    /// The services of the instances; an instance is known by its place here.
    pub(crate) slots: Vec<Service>,
    /// Input records and output records of a transaction.
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    /// 0: as soon as there is something.
    pub(crate) commit_ms: u32,
    /// Marks of decided transactions are written late, one by one.
    pub(crate) marks_late: bool,
    /// How far each instance's clock is off.
    pub(crate) skew_ms: Vec<i64>,
    /// Leads are forgotten within hours.
    pub(crate) forgets: bool,
    /// In the end everything is started anew, and compared once more.
    pub(crate) restarts: bool,
}

impl Setup {
    /// The first of the models that are activated.
    pub(crate) fn first_model(&self) -> usize {
        if self.forgets { FORGETTING } else { 0 }
    }

    /// Instances of a service.
    pub(crate) fn of(&self, service: Service) -> impl Iterator<Item = usize> {
        self.slots.iter().enumerate().filter(move |(_, of)| **of == service).map(|(slot, _)| slot)
    }
}

/// One thing that happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Act {
    /// An instance does a step.
    Step(usize),
    /// A process whose instance id was taken over by another one does a step.
    StepZombie(usize),
    /// Time passes.
    Pass(i64),
    /// A new record of a source.
    Click(Click),
    /// An earlier record comes again, as it was.
    Again(usize),
    /// Two ids are one person.
    Link { a: Id, b: Id, explicit: bool },
    /// A request to erase a lead.
    Erase { id: Id, suppress: bool },
    /// A model is activated, counted from the first one of the run.
    Switch(usize),
    /// A process is killed.
    Kill(usize),
    /// A process ends in order and leaves its group.
    Leave(usize),
    /// A process is started, beside one that is asleep too.
    Start(usize),
    /// The coordinator takes an instance for dead, rightly or not.
    Remove(usize),
    /// A mark of a decided transaction is written.
    Mark(usize),
    /// Requests that are under way arrive.
    Arrive,
    /// A partition of activities gets a leader whose clock is so far ahead.
    Leader { partition: i32, ahead_ms: i64 },
    /// The changelog is compacted.
    Compact,
    /// A call of an instance goes wrong: the one after `skip` others of its kind.
    Fault { slot: usize, at: Call, skip: usize, fault: Fault },
}

/// What goes wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It fails and does nothing, with an error of a class that allows for this.
    Retriable,
    Abortable,
    Fatal,
    /// It is done, and the answer is lost.
    Unanswered,
    /// It is done, and answered as if it may be repeated.
    UnansweredRetriable,
    /// The request is under way and nobody knows for how long.
    Late,
    /// The client has sent it twice, because a connection broke: the second was answered, the first is under way.
    LateCopy,
    /// The process is killed before it, or after it.
    Kill,
    KillAfter,
    /// The process sleeps before it, or after it, while so many acts happen to others.
    Sleep(usize),
    SleepAfter(usize),
}

/// An id by kind and number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Id {
    User(u8),
    Anon(u8),
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Id::User(n) => write!(f, "user:u{n}"),
            Id::Anon(n) => write!(f, "anon:a{n}"),
        }
    }
}

/// A record of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Click {
    pub(crate) number: usize,
    pub(crate) anon: u8,
    pub(crate) user: Option<u8>,
    pub(crate) event: &'static str,
    pub(crate) page: u8,
    /// It happened so long before it is appended.
    pub(crate) back_ms: i64,
    pub(crate) partition: i32,
}

/// A run, complete.
#[derive(Debug, Clone)]
pub(crate) struct Schedule {
    pub(crate) setup: Setup,
    pub(crate) acts: Vec<Act>,
}

/// Events that the model knows, one that it does not, and one that is no event.
const EVENTS: [(usize, &str); 7] =
    [(30, "view"), (25, "press"), (8, "form"), (5, "refuse"), (3, "won"), (6, "other"), (2, "")];

impl Schedule {
    /// What a seed says.
    pub(crate) fn of(seed: u64) -> Schedule {
        let mut dice = Dice::new(seed);
        let setup = setup(&mut dice);
        let count = dice.pick(&[60, 150, 250, 250]);
        // Some runs are calm, some know no identity, some no erasure, some one model.
        let mood = Mood {
            faults: dice.pick(&[0, 4, 8, 16]),
            links: dice.pick(&[0, 1, 3]),
            erasures: dice.pick(&[0, 0, 1]),
            switches: dice.pick(&[0, 0, 1, 1]),
            tidy: dice.percent(50),
            stories: dice.pick(&[0, 10, 25]),
        };
        let mut acts = Vec::with_capacity(count);
        let mut clicks = 0;
        while acts.len() < count {
            if dice.below(1_000) < mood.stories {
                acts.extend(stories::draw(&mut dice, &setup, &mood, &mut clicks));
            } else {
                acts.push(mood.act(&mut dice, &setup, &mut clicks));
            }
        }
        Schedule { setup, acts }
    }
}

fn setup(dice: &mut Dice) -> Setup {
    let mut slots = Vec::new();
    for (service, most) in [(Service::Ingest, 2), (Service::Scorer, 3), (Service::Emitter, 2)] {
        for _ in 0..=dice.below(most) {
            slots.push(service);
        }
    }
    let skew_ms = slots.iter().map(|_| dice.pick(&[0, 0, 0, -20_000, 20_000])).collect();
    Setup {
        partitions: dice.pick(&[1, 2, 3, 4]),
        slots,
        inputs: dice.pick(&[1, 3, 8, 100]),
        outputs: dice.pick(&[2, 6, 1_000]),
        commit_ms: dice.pick(&[0, 0, 40]),
        marks_late: dice.percent(50),
        skew_ms,
        forgets: dice.percent(30),
        restarts: dice.percent(50),
    }
}

pub(crate) struct Mood {
    pub(crate) faults: usize,
    links: usize,
    pub(crate) erasures: usize,
    switches: usize,
    /// An anonymous id belongs to one user: no link is refused.
    tidy: bool,
    /// In so many of a thousand cases several acts belong together.
    stories: usize,
}

#[derive(Clone, Copy)]
enum Kind {
    Step,
    StepZombie,
    Pass,
    Click,
    Again,
    Link,
    Erase,
    Switch,
    Kill,
    Leave,
    Start,
    Remove,
    Mark,
    Arrive,
    Leader,
    Compact,
    Fault,
}

impl Mood {
    fn act(&self, dice: &mut Dice, setup: &Setup, clicks: &mut usize) -> Act {
        let trouble = usize::from(self.faults > 0);
        let kind = dice.weighted(&[
            (60, Kind::Step),
            (trouble, Kind::StepZombie),
            (8, Kind::Pass),
            (16, Kind::Click),
            (2, Kind::Again),
            (self.links, Kind::Link),
            (self.erasures, Kind::Erase),
            (self.switches, Kind::Switch),
            (2 * trouble, Kind::Kill),
            (trouble, Kind::Leave),
            (4 * trouble, Kind::Start),
            (2 * trouble, Kind::Remove),
            (if setup.marks_late { 8 } else { 0 }, Kind::Mark),
            (2 * trouble, Kind::Arrive),
            (trouble, Kind::Leader),
            (usize::from(setup.restarts), Kind::Compact),
            (self.faults, Kind::Fault),
        ]);
        let slot = dice.below(setup.slots.len());
        match kind {
            Kind::Step => Act::Step(slot),
            Kind::StepZombie => Act::StepZombie(slot),
            Kind::Pass => Act::Pass(dice.weighted(&[
                (6, 1),
                (6, 40),
                (6, 700),
                (4, 5_000),
                (2, 61_000),
                (2, 20 * MINUTE_MS),
                (1, 3 * HOUR_MS),
            ])),
            Kind::Click => {
                *clicks += 1;
                Act::Click(self.click(dice, *clicks))
            }
            Kind::Again => Act::Again(dice.below(1_000)),
            Kind::Link => self.link(dice),
            Kind::Erase => Act::Erase { id: id(dice), suppress: dice.percent(30) },
            Kind::Switch => Act::Switch(dice.below(MODELS)),
            Kind::Kill => Act::Kill(slot),
            Kind::Leave => Act::Leave(slot),
            Kind::Start => Act::Start(slot),
            Kind::Remove => Act::Remove(slot),
            Kind::Mark => Act::Mark(dice.below(8)),
            Kind::Arrive => Act::Arrive,
            Kind::Leader => leader(dice, setup),
            Kind::Compact => Act::Compact,
            Kind::Fault => fault(dice, slot),
        }
    }

    pub(crate) fn click(&self, dice: &mut Dice, number: usize) -> Click {
        let anon = dice.below(6) as u8;
        let user = dice.percent(25).then(|| if self.tidy { anon / 2 } else { dice.below(3) as u8 });
        Click {
            number,
            anon,
            user,
            event: dice.weighted(&EVENTS),
            page: dice.below(6) as u8,
            back_ms: dice.weighted(&[
                (8, 0),
                (8, dice.clone().between(0, MINUTE_MS)),
                (2, 5 * HOUR_MS),
                (1, -HOUR_MS),
            ]),
            partition: dice.below(2) as i32,
        }
    }

    pub(crate) fn link(&self, dice: &mut Dice) -> Act {
        if self.tidy {
            let anon = dice.below(6) as u8;
            return Act::Link { a: Id::Anon(anon), b: Id::User(anon / 2), explicit: false };
        }
        Act::Link { a: id(dice), b: id(dice), explicit: dice.percent(20) }
    }
}

pub(crate) fn id(dice: &mut Dice) -> Id {
    if dice.percent(35) { Id::User(dice.below(3) as u8) } else { Id::Anon(dice.below(6) as u8) }
}

fn leader(dice: &mut Dice, setup: &Setup) -> Act {
    let ahead_ms = dice.pick(&[0, 0, 0, 5_000, 20_000, 30_000]);
    Act::Leader { partition: dice.below(setup.partitions as usize) as i32, ahead_ms }
}

fn fault(dice: &mut Dice, slot: usize) -> Act {
    let at = dice.weighted(&[
        (2, Call::Poll),
        (2, Call::Begin),
        (4, Call::Produce),
        (5, Call::SendOffsets),
        (10, Call::Commit),
        (2, Call::Abort),
        (2, Call::Recreate),
        (3, Call::Committed),
        (2, Call::Watermarks),
        (2, Call::Assign),
        (3, Call::Read),
    ]);
    let nap = 1 + dice.below(40);
    let errors: &[Fault] = match at {
        Call::Begin => &[Fault::Retriable, Fault::Fatal],
        Call::Produce => &[Fault::Retriable, Fault::UnansweredRetriable, Fault::Abortable, Fault::Fatal],
        Call::SendOffsets => &[
            Fault::Retriable,
            Fault::UnansweredRetriable,
            Fault::Abortable,
            Fault::Fatal,
            Fault::Late,
            Fault::LateCopy,
        ],
        Call::Commit => &[
            Fault::Retriable,
            Fault::UnansweredRetriable,
            Fault::Abortable,
            Fault::Fatal,
            Fault::Unanswered,
            Fault::Late,
            Fault::LateCopy,
        ],
        Call::Abort => &[Fault::Retriable, Fault::UnansweredRetriable, Fault::Fatal, Fault::LateCopy],
        Call::Recreate => &[Fault::Retriable, Fault::Fatal],
        Call::Committed | Call::Watermarks | Call::Read => &[Fault::Retriable],
        _ => &[],
    };
    let mut kinds =
        vec![(2, Fault::Kill), (2, Fault::KillAfter), (3, Fault::Sleep(nap)), (2, Fault::SleepAfter(nap))];
    kinds.extend(errors.iter().map(|fault| (2, *fault)));
    Act::Fault { slot, at, skip: dice.below(3), fault: dice.weighted(&kinds) }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Setup { partitions, slots, inputs, outputs, commit_ms, marks_late, skew_ms, forgets, restarts } =
            &self.setup;
        writeln!(
            f,
            "partitions {partitions}, at most {inputs} inputs and {outputs} outputs a transaction, "
        )?;
        writeln!(
            f,
            "commit after {commit_ms} ms, marks late: {marks_late}, leads are forgotten: {forgets}, "
        )?;
        writeln!(f, "everything is started anew in the end: {restarts}")?;
        for (slot, service) in slots.iter().enumerate() {
            writeln!(f, "  {slot}: {}, clock off by {} ms", service.name(), skew_ms[slot])?;
        }
        for act in &self.acts {
            writeln!(f, "  {act}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Act::Step(slot) => write!(f, "{slot} steps"),
            Act::StepZombie(slot) => write!(f, "a former process of {slot} steps"),
            Act::Pass(ms) => write!(f, "{ms} ms pass"),
            Act::Click(Click { number, anon, user, event, page, back_ms, partition }) => {
                write!(f, "click {number} in source partition {partition}: {event:?} by anon:a{anon}")?;
                if let Some(user) = user {
                    write!(f, " as user:u{user}")?;
                }
                write!(f, " on page {page}, {back_ms} ms ago")
            }
            Act::Again(which) => write!(f, "an earlier click again ({which})"),
            Act::Link { a, b, explicit } => write!(f, "link {a} {b}, explicit: {explicit}"),
            Act::Erase { id, suppress } => write!(f, "erase {id}, suppress: {suppress}"),
            Act::Switch(model) => write!(f, "model {model} is activated"),
            Act::Kill(slot) => write!(f, "{slot} is killed"),
            Act::Leave(slot) => write!(f, "{slot} ends in order"),
            Act::Start(slot) => write!(f, "{slot} is started"),
            Act::Remove(slot) => write!(f, "{slot} is taken for dead"),
            Act::Mark(which) => write!(f, "a mark is written ({which})"),
            Act::Arrive => write!(f, "late requests arrive"),
            Act::Leader { partition, ahead_ms } => {
                write!(f, "activities[{partition}] has another leader, {ahead_ms} ms ahead")
            }
            Act::Compact => write!(f, "the changelog is compacted"),
            Act::Fault { slot, at, skip, fault } => {
                write!(f, "{slot}: {fault:?} at `{}` number {}", at.as_str(), skip + 1)
            }
        }
    }
}
