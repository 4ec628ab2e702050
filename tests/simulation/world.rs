//! The world of a run: a log, instances of the three services on it, a clock, and the schedule that says what happens
//! to them.
//!
//! A process steps while the world stands still, unless the schedule lets it sleep in the middle of a call: then the
//! following acts happen to the others, another process of the same instance among them, and afterwards the sleeper
//! goes on as if no time had passed. So calls of several processes interleave, always the later sleeper waking first.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use ripen::operators::{EmitterOperator, IngestOperator, ScorerOperator};
use ripen_emitter::EmitOptions;
use ripen_ingest::{Arrival, Limits};
use ripen_records::Topics;
use ripen_runtime::memory::{EndRequest, MemoryLog, MemoryReader, OffsetsRequest};
use ripen_runtime::{
    CommitInterval, Operator, OutboxLimits, PartitionState, Status, To, TopicPartition, Wait, Wiring, Worker,
    WorkerConfig, WorkerError,
};
use ripen_scorer::Base;

use crate::inputs::{self, SOURCE, START_MS};
use crate::log::{Control, ProcessLog};
use crate::plant::{BentLog, BentOperator, Bug, Peek};
use crate::schedule::{AHEAD_MOST_MS, Act, HOUR_MS, Id, Schedule, Service, Setup};

/// A broker takes a silent member for dead after this, aborts an open transaction after this, and has written all
/// marks of a decided one after this.
const SESSION_MS: i64 = 10_000;
const TRANSACTION_MS: i64 = 10_000;
const MARK_MS: i64 = 300;
/// A request is under way for at most this long.
const LATE_MS: i64 = 4_000;
/// The end of a run: everything due until so long after the last act has fired.
const AFTERWARDS_MS: i64 = 30 * HOUR_MS;
/// A partition without records gets a tick this often.
const IDLE_MS: i64 = 60_000;
/// Rounds of a second each until everything is done, and steps of a round: some ten times what is ever needed.
const ROUNDS: usize = 300;
const STEPS_OF_ROUND: usize = 5_000;

/// What was put in, in order, with its time.
#[derive(Debug, Clone)]
pub(crate) enum Fed {
    Click { partition: i32, ids: Vec<Id>, value: Vec<u8> },
    Link { ids: [Id; 2], value: Vec<u8> },
    Erase { id: Id, value: Vec<u8> },
    Switch { which: usize, epoch: u32 },
}

pub(crate) struct World {
    pub(crate) log: MemoryLog,
    pub(crate) topics: Topics,
    pub(crate) setup: Setup,
    bug: Option<Bug>,
    acts: Vec<Act>,
    next: Cell<usize>,
    now_ms: Cell<i64>,
    slots: RefCell<Vec<Slot>>,
    pids: Cell<usize>,
    late: RefCell<Vec<(i64, Late)>>,
    marked_ms: Cell<i64>,
    pub(crate) fed: RefCell<Vec<(i64, Fed)>>,
    active: Cell<(usize, u32)>,
    pub(crate) readers: RefCell<Vec<MemoryReader>>,
    violations: RefCell<Vec<String>>,
    /// What happened, in words, if somebody wants to read it.
    told: Option<RefCell<Vec<String>>>,
}

/// A request that is under way.
#[derive(Debug)]
pub(crate) enum Late {
    End(EndRequest),
    Offsets(OffsetsRequest),
}

/// An instance.
struct Slot {
    /// The process that has the instance's id now; taken out while it steps.
    current: Option<Box<dyn Process>>,
    control: Option<Rc<Control>>,
    /// Former processes that do not know it yet.
    zombies: Vec<(Rc<Control>, Box<dyn Process>)>,
    /// Since when the coordinator has heard nothing of it.
    silent_ms: Option<i64>,
    last: Wait,
}

/// A worker of any service.
pub(crate) trait Process {
    fn step(&mut self, now_ms: i64) -> Result<Wait, WorkerError>;
    fn finish(&mut self, now_ms: i64) -> Result<(), WorkerError>;
    fn vanish(&mut self);
    fn status(&self) -> Status;
    /// Committed leads of a partition, as the process has them in memory.
    fn base(&self, partition: i32) -> Option<Arc<Base>>;
}

impl<O: Operator + Peek> Process for Worker<ProcessLog, BentOperator<O>> {
    fn step(&mut self, now_ms: i64) -> Result<Wait, WorkerError> {
        Worker::step(self, now_ms)
    }

    fn finish(&mut self, now_ms: i64) -> Result<(), WorkerError> {
        Worker::finish(self, now_ms)
    }

    fn vanish(&mut self) {
        self.log_mut().vanish();
    }

    fn status(&self) -> Status {
        Worker::status(self)
    }

    fn base(&self, partition: i32) -> Option<Arc<Base>> {
        self.operator().base(partition)
    }
}

impl World {
    /// A world with everything that the setup names, nothing started; the first model is active.
    pub(crate) fn new(schedule: &Schedule, bug: Option<Bug>, is_told: bool) -> Rc<World> {
        let topics = Topics::with_prefix("");
        let Schedule { setup, acts } = schedule.clone();
        let log = MemoryLog::new(&inputs::log_topics(&topics, setup.partitions));
        log.set_now_ms(START_MS);
        if setup.marks_late {
            log.hold_marks();
        }
        let slot = |_: &Service| Slot {
            current: None,
            control: None,
            zombies: Vec::new(),
            silent_ms: None,
            last: Wait::Idle,
        };
        let slots = setup.slots.iter().map(slot).collect();
        let readers = inputs::log_topics(&topics, setup.partitions);
        let readers = readers.iter().map(|topic| log.reader(&topic.name)).collect();
        Rc::new(World {
            log,
            topics,
            setup,
            bug,
            acts,
            next: Cell::new(0),
            now_ms: Cell::new(START_MS),
            slots: RefCell::new(slots),
            pids: Cell::new(0),
            late: RefCell::default(),
            marked_ms: Cell::new(START_MS),
            fed: RefCell::default(),
            active: Cell::new((0, 0)),
            readers: RefCell::new(readers),
            violations: RefCell::default(),
            told: is_told.then(RefCell::default),
        })
    }

    /// Everything that the schedule says, then calm until everything is done.
    pub(crate) fn run(self: &Rc<World>) {
        self.activate(self.setup.first_model());
        (0..self.setup.slots.len()).for_each(|slot| self.start(slot));
        self.acts(usize::MAX);
        self.settle();
        self.pass(AFTERWARDS_MS);
        self.settle();
        // Ticks that an aborted transaction has lost come again within a minute.
        self.pass(IDLE_MS);
        self.settle();
    }

    /// Every process is killed at once, and started again.
    pub(crate) fn restart(self: &Rc<World>) {
        self.tell(|| "everything is started anew".to_owned());
        (0..self.setup.slots.len()).for_each(|slot| self.kill(slot));
        self.settle();
    }

    /// Ends every process, which know the world as the world knows them.
    pub(crate) fn close(&self) {
        for slot in self.slots.borrow_mut().iter_mut() {
            slot.current = None;
            slot.zombies.clear();
        }
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.now_ms.get()
    }

    /// Everything due until then has had the time to fire: ticks come a second apart, from clocks that may be off.
    pub(crate) fn settled_ms(&self) -> i64 {
        self.now_ms() - AHEAD_MOST_MS
    }

    pub(crate) fn violation(&self, what: String) {
        self.tell(|| format!("VIOLATION {what}"));
        self.violations.borrow_mut().push(what);
    }

    pub(crate) fn violations(&self) -> Vec<String> {
        self.violations.borrow().clone()
    }

    pub(crate) fn told(&self) -> Vec<String> {
        self.told.as_ref().map(|told| told.borrow().clone()).unwrap_or_default()
    }

    pub(crate) fn tell(&self, what: impl FnOnce() -> String) {
        if let Some(told) = &self.told {
            told.borrow_mut().push(format!("{:>9} {}", self.now_ms() - START_MS, what()));
        }
    }

    /// Every process's committed leads of a partition of activities.
    pub(crate) fn bases(&self, partition: i32) -> Vec<Arc<Base>> {
        let slots = self.slots.borrow();
        slots.iter().filter_map(|slot| slot.current.as_ref()?.base(partition)).collect()
    }

    pub(crate) fn send_late(&self, request: Late) {
        self.late.borrow_mut().push((self.now_ms(), request));
    }

    /// The next acts, happening to others than the sleeper.
    pub(crate) fn sleep(self: &Rc<World>, control: &Control, acts: usize) {
        let is_current = |slot: &Slot| slot.control.as_ref().is_some_and(|known| known.pid == control.pid);
        if is_current(&self.slots.borrow()[control.slot]) {
            self.slots.borrow_mut()[control.slot].silent_ms = Some(self.now_ms());
        }
        self.tell(|| format!("{} sleeps for {acts} acts", control.slot));
        self.acts(acts);
        self.tell(|| format!("{} wakes", control.slot));
        if !control.killed.get() && is_current(&self.slots.borrow()[control.slot]) {
            self.slots.borrow_mut()[control.slot].silent_ms = None;
        }
    }

    fn acts(self: &Rc<World>, most: usize) {
        for _ in 0..most {
            let Some(act) = self.acts.get(self.next.get()) else { return };
            self.next.set(self.next.get() + 1);
            self.tell(|| act.to_string());
            self.act(act);
        }
    }

    fn act(self: &Rc<World>, act: &Act) {
        match act {
            Act::Step(slot) => self.step(*slot),
            Act::StepZombie(slot) => self.step_zombie(*slot),
            Act::Pass(ms) => self.pass(*ms),
            Act::Click(click) => {
                let (partition, value) = inputs::click(click, self.now_ms());
                let ids = std::iter::once(Id::Anon(click.anon)).chain(click.user.map(Id::User)).collect();
                self.feed(Fed::Click { partition, ids, value });
            }
            Act::Again(which) => self.again(*which),
            Act::Link { a, b, explicit } => {
                let out = inputs::link(&self.topics, *a, *b, *explicit, self.now_ms());
                let value = out.get(0).value.unwrap_or_default().to_vec();
                self.feed(Fed::Link { ids: [*a, *b], value });
            }
            Act::Erase { id, suppress } => {
                let out = inputs::erase(&self.topics, *id, *suppress, self.now_ms());
                let value = out.get(0).value.unwrap_or_default().to_vec();
                self.feed(Fed::Erase { id: *id, value });
            }
            Act::Switch(which) => {
                let which = self.setup.first_model() + which;
                if self.active.get().0 != which {
                    self.activate(which);
                }
            }
            Act::Kill(slot) => self.kill(*slot),
            Act::Leave(slot) => self.leave(*slot),
            Act::Start(slot) => self.start(*slot),
            Act::Remove(slot) => self.remove(*slot),
            Act::Mark(which) => {
                self.log.write_mark(*which);
            }
            Act::Arrive => self.arrive(i64::MAX),
            Act::Leader { partition, ahead_ms } => {
                let at = TopicPartition::new(self.topics.activities.as_str(), *partition);
                self.log.change_leader(&at, *ahead_ms);
            }
            Act::Compact => self.log.compact(&self.topics.leads),
            Act::Fault { slot, at, skip, fault } => {
                if let Some(control) = &self.slots.borrow()[*slot].control {
                    control.arm(*at, *skip, *fault);
                }
            }
        }
    }

    fn feed(&self, fed: Fed) {
        let Topics { activities, .. } = &self.topics;
        let control =
            |id: &Id, value| inputs::one(activities, To::Key, Some(id.to_string().as_bytes()), value);
        let out = match &fed {
            Fed::Click { partition, value, .. } => {
                inputs::one(SOURCE, To::Partition(*partition), None, value)
            }
            Fed::Link { ids: [id, _], value } | Fed::Erase { id, value } => control(id, value),
            Fed::Switch { which, epoch } => {
                inputs::activate(&self.topics, self.setup.partitions, *which, *epoch, self.now_ms())
            }
        };
        self.log.append(&out);
        self.fed.borrow_mut().push((self.now_ms(), fed));
    }

    fn again(&self, which: usize) {
        let clicks: Vec<Fed> = {
            let fed = self.fed.borrow();
            let is_click = |fed: &&Fed| matches!(fed, Fed::Click { .. });
            fed.iter().map(|(_, fed)| fed).filter(is_click).cloned().collect()
        };
        if !clicks.is_empty() {
            self.feed(clicks[which % clicks.len()].clone());
        }
    }

    fn activate(&self, which: usize) {
        let epoch = self.active.get().1 + 1;
        self.active.set((which, epoch));
        self.feed(Fed::Switch { which, epoch });
    }

    /// Time passes, and what brokers do when it does.
    pub(crate) fn pass(&self, ms: i64) {
        self.now_ms.set(self.now_ms() + ms);
        let now_ms = self.now_ms();
        self.log.set_now_ms(now_ms);
        self.arrive(now_ms - LATE_MS);
        if self.log.missing_marks() == 0 {
            self.marked_ms.set(now_ms);
        } else if now_ms - self.marked_ms.get() >= MARK_MS {
            while self.log.write_mark(0) {}
            self.marked_ms.set(now_ms);
        }
        self.log.time_out_transactions(TRANSACTION_MS);
        let silent = |slot: &Slot| slot.silent_ms.is_some_and(|since_ms| now_ms - since_ms >= SESSION_MS);
        let silent: Vec<usize> = {
            let slots = self.slots.borrow();
            (0..slots.len()).filter(|slot| silent(&slots[*slot])).collect()
        };
        silent.into_iter().for_each(|slot| self.remove(slot));
    }

    fn remove(&self, slot: usize) {
        let name = self.setup.slots[slot].name();
        if self.log.remove_member(name, &instance(slot)) {
            self.tell(|| format!("{slot} is removed from its group"));
        }
    }

    /// Requests sent until then arrive.
    fn arrive(&self, until_ms: i64) {
        let arrived: Vec<(i64, Late)> =
            self.late.borrow_mut().extract_if(.., |(sent_ms, _)| *sent_ms <= until_ms).collect();
        for (_, request) in arrived {
            match request {
                Late::End(request) => self.end_late(request),
                Late::Offsets(request) => {
                    let counts = self.log.add_offsets(&request);
                    self.tell(|| format!("late offsets of {}: {counts}", request.transactional_id));
                }
            }
        }
    }

    fn end_late(&self, mut request: EndRequest) {
        let mut counts = self.log.end(&request);
        let former = request.producer_epoch;
        while self.bug == Some(Bug::ProducerNotFenced) && !counts && request.producer_epoch < former + 50 {
            request.producer_epoch += 1;
            counts = self.log.end(&request);
        }
        self.tell(|| format!("late end of {}: {counts}", request.transactional_id));
    }

    /// A process is started, unless one is at work.
    fn start(self: &Rc<World>, slot: usize) {
        let silent = {
            let slots = self.slots.borrow();
            slots[slot].control.is_none() || slots[slot].silent_ms.is_some()
        };
        if !silent {
            return;
        }
        let pid = self.pids.get();
        self.pids.set(pid + 1);
        let control = Control::new(slot, pid);
        let limits = Limits::default();
        let source = [(SOURCE.to_owned(), inputs::format(SOURCE))];
        let topics = self.topics.clone();
        let process: Result<Box<dyn Process>, WorkerError> = match self.setup.slots[slot] {
            Service::Ingest => {
                self.worker(&control, IngestOperator::new(topics, source, limits, Arrival::Source))
            }
            Service::Scorer => self.worker(&control, ScorerOperator::new(topics)),
            Service::Emitter => self.worker(
                &control,
                EmitterOperator::new(topics, EmitOptions::new("simulated").expect("a namespace")),
            ),
        };
        match process {
            Ok(process) => {
                let mut slots = self.slots.borrow_mut();
                let slot = &mut slots[slot];
                // One that is between two steps has lost its id; one that sleeps finds out when it wakes.
                if let (Some(former), Some(control)) = (slot.current.take(), slot.control.take()) {
                    slot.zombies.push((control, former));
                }
                slot.current = Some(process);
                slot.control = Some(control);
                slot.silent_ms = None;
                slot.last = Wait::Now;
            }
            Err(error) => self.violation(format!("{slot} does not start: {error}")),
        }
    }

    fn worker<O: Operator + Peek + 'static>(
        self: &Rc<World>,
        control: &Rc<Control>,
        operator: O,
    ) -> Result<Box<dyn Process>, WorkerError> {
        let Setup { slots, inputs, outputs, commit_ms, .. } = &self.setup;
        let service = slots[control.slot].name();
        let instance = instance(control.slot);
        let Wiring { inputs: topics, .. } = operator.wiring();
        let transactional_id = format!("{service}-{instance}");
        let client = self.log.client(service, &instance, &transactional_id, &topics);
        let bent = BentLog::new(client, &self.log, service, &self.topics.leads, self.bug);
        let log = ProcessLog::new(bent, Rc::clone(self), Rc::clone(control));
        let operator = BentOperator::new(operator, self.bug, Rc::clone(self));
        let config = WorkerConfig {
            inputs: *inputs,
            outbox: OutboxLimits { records: *outputs, ..OutboxLimits::default() },
            commit: match commit_ms {
                0 => CommitInterval::Auto,
                ms => CommitInterval::FixedMs(*ms),
            },
            ..WorkerConfig::new(service, &format!("{instance}.{}", control.pid))
        };
        Ok(Box::new(Worker::new(log, operator, config)?))
    }

    fn step(self: &Rc<World>, slot: usize) {
        let taken = {
            let mut slots = self.slots.borrow_mut();
            let Slot { current, control, .. } = &mut slots[slot];
            current.take().zip(control.clone())
        };
        if let Some((process, control)) = taken {
            self.step_of(process, control);
        }
    }

    fn step_zombie(self: &Rc<World>, slot: usize) {
        let taken = self.slots.borrow_mut()[slot].zombies.pop();
        if let Some((control, process)) = taken {
            self.step_of(process, control);
        }
    }

    fn step_of(self: &Rc<World>, mut process: Box<dyn Process>, control: Rc<Control>) {
        let slot = control.slot;
        let answer = process.step(self.now_ms() + self.setup.skew_ms[slot]);
        let mut slots = self.slots.borrow_mut();
        let of = &mut slots[slot];
        let is_current = of.control.as_ref().is_some_and(|known| known.pid == control.pid);
        match answer {
            Ok(wait) if !control.killed.get() => {
                if is_current {
                    of.last = wait;
                    of.current = Some(process);
                } else {
                    of.zombies.push((control, process));
                }
            }
            answer => {
                if let Err(error) = answer {
                    self.tell(|| format!("{slot} ends: {error}"));
                }
                process.vanish();
                if is_current {
                    of.control = None;
                    of.silent_ms.get_or_insert(self.now_ms());
                }
            }
        }
    }

    fn kill(&self, slot: usize) {
        let mut slots = self.slots.borrow_mut();
        let of = &mut slots[slot];
        let Some(control) = of.control.take() else { return };
        control.killed.set(true);
        of.silent_ms.get_or_insert(self.now_ms());
        if let Some(mut process) = of.current.take() {
            process.vanish();
        }
    }

    fn leave(self: &Rc<World>, slot: usize) {
        let taken = {
            let mut slots = self.slots.borrow_mut();
            let Slot { current, control, .. } = &mut slots[slot];
            current.take().zip(control.clone())
        };
        let Some((mut process, control)) = taken else { return };
        let answer = process.finish(self.now_ms() + self.setup.skew_ms[slot]);
        if answer.is_err() || control.killed.get() {
            process.vanish();
        }
        let mut slots = self.slots.borrow_mut();
        let of = &mut slots[slot];
        if of.control.as_ref().is_some_and(|known| known.pid == control.pid) {
            of.control = None;
            of.silent_ms.get_or_insert(self.now_ms());
        }
        drop(slots);
        drop(process);
    }

    /// No more trouble: every instance runs, until nothing is left to do.
    fn settle(self: &Rc<World>) {
        self.tell(|| "calm from here on".to_owned());
        self.arrive(i64::MAX);
        for slot in 0..self.setup.slots.len() {
            let controls: Vec<Rc<Control>> = {
                let slots = self.slots.borrow();
                let zombies = slots[slot].zombies.iter().map(|(control, _)| Rc::clone(control));
                zombies.chain(slots[slot].control.clone()).collect()
            };
            controls.iter().for_each(|control| control.disarm());
        }
        for _ in 0..ROUNDS {
            if !self.round() {
                self.violation("nobody ever comes to rest".to_owned());
                return;
            }
            match self.unsettled() {
                None => return,
                Some(what) => self.tell(|| format!("still {what}")),
            }
            self.pass(1_000);
        }
        let what = self.unsettled().unwrap_or_default();
        self.violation(format!("not done after {ROUNDS} s of calm: {what}"));
    }

    /// Everybody steps until nobody has anything to do; false if that never happens.
    fn round(self: &Rc<World>) -> bool {
        let count = self.setup.slots.len();
        for _ in 0..STEPS_OF_ROUND / count {
            for slot in 0..count {
                self.start(slot);
                self.step(slot);
                let zombies = self.slots.borrow()[slot].zombies.len();
                (0..zombies).for_each(|_| self.step_zombie(slot));
            }
            if self.slots.borrow().iter().all(|slot| slot.last != Wait::Now && slot.current.is_some()) {
                return true;
            }
        }
        false
    }

    /// What is still to be waited for.
    fn unsettled(&self) -> Option<String> {
        if self.log.missing_marks() > 0 {
            return Some("marks are missing".to_owned());
        }
        let slots = self.slots.borrow();
        for (number, slot) in slots.iter().enumerate() {
            let Some(process) = &slot.current else { return Some(format!("{number} is not running")) };
            let status = process.status();
            if let Some(partition) =
                status.partitions.iter().find(|partition| partition.state != PartitionState::Running)
            {
                return Some(format!("{number}: {} is {:?}", partition.at, partition.state));
            }
            if !status.tables_read {
                return Some(format!("{number} reads tables"));
            }
            // Behind a deadline that is due there may be more.
            if let Wait::Until(at_ms) = slot.last
                && at_ms - self.setup.skew_ms[number] <= self.now_ms() + 1_500
            {
                return Some(format!("{number} waits for a moment that is near"));
            }
        }
        for service in Service::ALL {
            let of = |(_, is): &(usize, &Service)| **is == service;
            let instances = self.setup.slots.iter().enumerate().filter(of).map(|(slot, _)| slot);
            let owned: usize = instances
                .filter_map(|slot| slots[slot].current.as_ref())
                .map(|process| process.status().partitions.len())
                .sum();
            let all = self.log.owners(service.name()).len();
            if owned != all || all == 0 {
                return Some(format!("{}: {owned} of {all} partitions are taken", service.name()));
            }
        }
        None
    }
}

fn instance(slot: usize) -> String {
    format!("i{slot}")
}
