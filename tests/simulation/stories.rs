//! Stories: acts that belong together. What they lead to needs several things to happen in one order and without
//! much between them, which hardly ever comes about by chance.

use ripen_runtime::Call;

use crate::dice::Dice;
use crate::schedule::{Act, Fault, HOUR_MS, Id, Mood, Service, Setup, id};

#[derive(Clone, Copy)]
enum Plot {
    LateEnd,
    LateOffsets,
    Zombie,
    Lost,
    Leaders,
    Forgotten,
    Erased,
    Outage,
}

/// A story, as its acts.
pub(crate) fn draw(dice: &mut Dice, setup: &Setup, mood: &Mood, clicks: &mut usize) -> Vec<Act> {
    let trouble = usize::from(mood.faults > 0);
    let plot = dice.weighted(&[
        (3 * trouble, Plot::LateEnd),
        (3 * trouble, Plot::LateOffsets),
        (3 * trouble, Plot::Zombie),
        (3 * trouble, Plot::Lost),
        (2, Plot::Leaders),
        (if setup.forgets { 2 } else { 0 }, Plot::Forgotten),
        (1, Plot::Erased),
        (1, Plot::Outage),
    ]);
    let mut story = Story { dice, setup, mood, clicks, acts: Vec::new() };
    match plot {
        Plot::LateEnd => story.late_end(),
        Plot::LateOffsets => story.late_offsets(),
        Plot::Zombie => story.zombie(),
        Plot::Lost => story.lost(),
        Plot::Leaders => story.leaders(),
        Plot::Forgotten => story.forgotten(),
        Plot::Erased => story.erased(),
        Plot::Outage => story.outage(),
    }
    story.acts
}

struct Story<'a> {
    dice: &'a mut Dice,
    setup: &'a Setup,
    mood: &'a Mood,
    clicks: &'a mut usize,
    acts: Vec<Act>,
}

impl Story<'_> {
    /// A request to commit is under way when its producer is replaced, and arrives in the middle of the next transaction,
    /// whose process is killed there.
    fn late_end(&mut self) {
        let slot = self.any();
        self.work(slot);
        self.fault(slot, Call::Commit, 0, Fault::Late);
        self.fault(slot, Call::SendOffsets, 1, Fault::Sleep(4));
        self.step(slot, 3);
        self.acts.extend([Act::Arrive, Act::Kill(slot), Act::Start(slot)]);
        self.step(slot, 3);
    }

    /// Offsets or an end are under way although their transaction is at its end, aborted or committed, and arrive in
    /// a later one, between its own offsets and its end or before these; then its process dies.
    fn late_offsets(&mut self) {
        let slot = self.any();
        self.work(slot);
        let faults = [
            (Call::SendOffsets, Fault::Late),
            (Call::SendOffsets, Fault::LateCopy),
            (Call::Commit, Fault::LateCopy),
            (Call::Abort, Fault::LateCopy),
        ];
        let (at, fault) = self.dice.pick(&faults);
        self.fault(slot, at, 0, fault);
        if at == Call::Abort {
            self.fault(slot, Call::SendOffsets, 0, Fault::Abortable);
        }
        self.step(slot, 3);
        self.work(slot);
        let sleeps_at = self.dice.pick(&[Call::Commit, Call::Commit, Call::SendOffsets]);
        self.fault(slot, sleeps_at, 0, Fault::Sleep(1));
        self.step(slot, 1);
        self.acts.push(Act::Arrive);
        self.step(slot, 1);
        self.acts.extend([Act::Kill(slot), Act::Start(slot)]);
        self.step(slot, 3);
    }

    /// A process sleeps in the middle of a transaction, another one takes its place and its work, and the sleeper wakes.
    fn zombie(&mut self) {
        let slot = self.any();
        self.work(slot);
        let at = self.dice.pick(&[Call::Begin, Call::Produce, Call::SendOffsets, Call::Commit]);
        let acts = 5 + self.dice.below(15);
        let skip = if at == Call::Produce { self.dice.below(2) } else { 0 };
        self.fault(slot, at, skip, Fault::Sleep(acts));
        self.step(slot, 1);
        self.acts.push(Act::Start(slot));
        self.step(slot, 5);
        self.work(slot);
        self.step(slot, 3);
        self.acts.extend([Act::StepZombie(slot), Act::StepZombie(slot)]);
        self.step(slot, 1);
    }

    /// A member is taken for dead with something applied, others take over, and it comes back.
    fn lost(&mut self) {
        let slot = self.any();
        self.work(slot);
        self.step(slot, 1);
        self.acts.push(Act::Remove(slot));
        let service = self.setup.slots[slot];
        for _ in 0..4 {
            self.all(service, |of| of != slot);
        }
        self.acts.push(Act::Pass(40));
        self.all(service, |of| of != slot);
        self.step(slot, 2);
        self.work(slot);
        self.step(slot, 2);
    }

    /// A partition's time goes back with its leader, just when it is restored.
    fn leaders(&mut self) {
        let Some(scorer) = self.one(Service::Scorer) else { return };
        let partition = self.dice.below(self.setup.partitions as usize) as i32;
        let ahead_ms = self.dice.pick(&[5_000, 20_000, 30_000]);
        self.acts.push(Act::Leader { partition, ahead_ms });
        self.work(scorer);
        self.all(Service::Scorer, |_| true);
        self.acts.push(Act::Leader { partition, ahead_ms: 0 });
        if self.dice.percent(70) {
            self.crash(Service::Scorer);
        }
        self.work(scorer);
        self.all(Service::Scorer, |_| true);
    }

    /// Leads are forgotten, and those who have forgotten them die.
    fn forgotten(&mut self) {
        let Some(scorer) = self.one(Service::Scorer) else { return };
        self.work(scorer);
        self.all(Service::Scorer, |_| true);
        self.acts.push(Act::Pass(self.dice.pick(&[2 * HOUR_MS, 8 * HOUR_MS])));
        for _ in 0..3 {
            self.all(Service::Scorer, |_| true);
        }
        self.crash(Service::Scorer);
        self.work(scorer);
        self.all(Service::Scorer, |_| true);
    }

    /// An id is erased, and who has erased it dies; then the id is back.
    fn erased(&mut self) {
        let Some(scorer) = self.one(Service::Scorer) else { return };
        let click = self.click();
        let id = if self.dice.percent(60) { Id::Anon(click) } else { id(self.dice) };
        self.work(scorer);
        if self.mood.erasures > 0 {
            self.acts.push(Act::Erase { id, suppress: self.dice.percent(40) });
        } else {
            let link = self.mood.link(self.dice);
            self.acts.push(link);
        }
        self.step(scorer, 1);
        self.all(Service::Scorer, |_| true);
        self.crash(Service::Scorer);
        self.acts.push(Act::Again(self.dice.below(1_000)));
        self.work(scorer);
    }

    /// A whole service is down for hours or more than a day, while the others go on.
    fn outage(&mut self) {
        let service = self.dice.pick(&Service::ALL);
        let slots: Vec<usize> = self.setup.of(service).collect();
        self.acts.extend(slots.iter().map(|slot| Act::Kill(*slot)));
        self.work(slots[0]);
        self.acts.push(Act::Pass(self.dice.pick(&[2 * HOUR_MS, 26 * HOUR_MS])));
        for _ in 0..2 {
            self.all(Service::Ingest, |of| !slots.contains(&of));
            self.all(Service::Scorer, |of| !slots.contains(&of));
        }
        self.acts.extend(slots.iter().map(|slot| Act::Start(*slot)));
        self.all(service, |_| true);
        self.all(service, |_| true);
    }

    /// Input that comes as far as the service of this instance.
    fn work(&mut self, slot: usize) {
        let count = 1 + self.dice.below(3);
        (0..count).for_each(|_| {
            self.click();
        });
        let service = self.setup.slots[slot];
        for before in Service::ALL.into_iter().take_while(|before| *before != service) {
            self.all(before, |_| true);
            self.all(before, |_| true);
        }
    }

    /// Answers the anonymous id.
    fn click(&mut self) -> u8 {
        *self.clicks += 1;
        let click = self.mood.click(self.dice, *self.clicks);
        let anon = click.anon;
        self.acts.push(Act::Click(click));
        anon
    }

    /// Some or all instances of a service are killed and started again.
    fn crash(&mut self, service: Service) {
        let slots: Vec<usize> = self.setup.of(service).collect();
        for slot in slots {
            self.acts.extend([Act::Kill(slot), Act::Start(slot)]);
        }
        for _ in 0..3 {
            self.all(service, |_| true);
        }
    }

    fn all(&mut self, service: Service, is_meant: impl Fn(usize) -> bool) {
        self.acts.extend(self.setup.of(service).filter(|slot| is_meant(*slot)).map(Act::Step));
    }

    fn step(&mut self, slot: usize, times: usize) {
        self.acts.extend((0..times).map(|_| Act::Step(slot)));
    }

    fn fault(&mut self, slot: usize, at: Call, skip: usize, fault: Fault) {
        self.acts.push(Act::Fault { slot, at, skip, fault });
    }

    fn any(&mut self) -> usize {
        self.dice.below(self.setup.slots.len())
    }

    fn one(&mut self, service: Service) -> Option<usize> {
        let slots: Vec<usize> = self.setup.of(service).collect();
        (!slots.is_empty()).then(|| self.dice.pick(&slots))
    }
}
