//! Every order in which records between ids can be applied, FIFO per sender and receiver only.
//!
//! A state is the committed bytes of all ids and the records under way. States are looked at once, however they are
//! reached; the leads are the scorer's own, each id in a transaction of its own.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use ripen_records::{
    Activity, ActivityRecord, Erase, Input, LeadId, Link, Origin, Text, decode_activity, encode_activity,
};
use ripen_scorer::{Applied, Budget, Shard};

use super::story::{self, START_MS};

/// The event `e0` is worth 1, `e1` 10, and so on: a sum says which of them count, and how often.
const MODEL: &str = r#"
apiVersion: ripen/v1
model: {id: search, version: 1}
scores: {total: {half_life: never}}
rules:
  - {id: e0, event: e0, points: {total: 1}}
  - {id: e1, event: e1, points: {total: 10}}
  - {id: e2, event: e2, points: {total: 100}}
  - {id: e3, event: e3, points: {total: 1000}}
stages:
  - {id: all, owner: marketing}
"#;

/// The broker's timestamp of every record: no deadline comes in between.
const NOW_MS: i64 = START_MS + 1_000_000;

/// Over this, something sends without end.
const MOST_RECORDS: usize = 200;

/// What comes from outside, and what is to come of it.
pub(crate) struct Search {
    ids: Vec<LeadId>,
    shard: Shard,
    start: State,
    senders: u8,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) states: usize,
    /// The ends: where nothing is under way any more.
    pub(crate) ends: BTreeSet<End>,
}

/// How it ends: the leads that are there, each with its sum; and how many links were refused on the way.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct End {
    pub(crate) leads: Vec<(String, i64)>,
    pub(crate) refused: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
struct State {
    leads: Vec<Option<Arc<[u8]>>>,
    /// By (sender, receiver).
    under_way: BTreeMap<(u8, u8), VecDeque<Arc<[u8]>>>,
    refused: u8,
}

impl Search {
    /// Nothing has happened to these ids.
    pub(crate) fn new(ids: &[&str]) -> Search {
        let start = State { leads: vec![None; ids.len()], ..State::default() };
        let ids: Vec<LeadId> = ids.iter().map(|id| LeadId::parse(id).expect("an id")).collect();
        let senders = ids.len() as u8;
        Search { ids, shard: story::shard(&story::model(MODEL)), start, senders }
    }

    /// The event `e{n}` of an id has been counted before anything else happens.
    pub(crate) fn counted(mut self, n: u8, id: usize) -> Search {
        let record = encoded(&self.event(n, id, 0));
        self.start = self.step(&self.start.clone(), id, &record, (u8::MAX, id as u8));
        self
    }

    /// Applies what is under way, in the order of the senders, before anything else happens.
    pub(crate) fn settled(mut self) -> Search {
        while let Some(((from, to), record)) = self.start.heads().into_iter().next() {
            self.start = self.step(&self.start.clone(), usize::from(to), &record, (from, to));
        }
        self
    }

    /// Some sender's event `e{n}` of an id is under way; it arrived at `minute`.
    pub(crate) fn event_under_way(self, n: u8, id: usize, minute: i64) -> Search {
        let event = self.event(n, id, minute);
        self.under_way(id, &event)
    }

    /// Some sender's link of two ids is under way to the weaker one.
    pub(crate) fn link(self, one: usize, other: usize) -> Search {
        self.link_by(one, other, false, 0)
    }

    pub(crate) fn alias(self, one: usize, other: usize) -> Search {
        self.link_by(one, other, true, 0)
    }

    pub(crate) fn link_by(self, one: usize, other: usize, explicit: bool, minute: i64) -> Search {
        let to = if self.ids[one] > self.ids[other] { one } else { other };
        let text = |id: usize| Text::from(self.ids[id].as_str().to_owned());
        let link = Link { a: text(one), b: text(other), explicit, arrival_ms: START_MS + minute * 60_000 };
        self.under_way(to, &ActivityRecord::Link(link))
    }

    /// Some sender's request to erase an id is under way; it arrived at `minute`.
    pub(crate) fn erase(self, id: usize, minute: i64, suppress: bool) -> Search {
        let erase = Erase { request_id: Text::from("r"), arrival_ms: START_MS + minute * 60_000, suppress };
        self.under_way(id, &ActivityRecord::Erase(erase))
    }

    /// Looks at every order; `MOST_STATES` bounds it.
    pub(crate) fn run(mut self) -> Found {
        let mut found = Found::default();
        // Whether a state is on the way to the one that is looked at.
        let mut seen: HashMap<[u8; 16], bool> = HashMap::new();
        let start = self.start.clone();
        let mut path: Vec<(State, [u8; 16], Vec<Head>)> = Vec::new();
        self.enter(start, &mut seen, &mut path, &mut found);
        while let Some((state, digest, heads)) = path.last_mut() {
            let Some(((from, to), record)) = heads.pop() else {
                seen.insert(*digest, false);
                path.pop();
                continue;
            };
            let state = state.clone();
            let next = self.step(&state, usize::from(to), &record, (from, to));
            self.enter(next, &mut seen, &mut path, &mut found);
        }
        found
    }

    fn enter(
        &mut self,
        state: State,
        seen: &mut HashMap<[u8; 16], bool>,
        path: &mut Vec<(State, [u8; 16], Vec<Head>)>,
        found: &mut Found,
    ) {
        let digest = state.digest();
        match seen.insert(digest, true) {
            Some(true) => panic!("records go round in a circle"),
            Some(false) => {
                seen.insert(digest, false);
                return;
            }
            None => {}
        }
        assert!(
            state.under_way.values().map(VecDeque::len).sum::<usize>() < MOST_RECORDS,
            "more and more records"
        );
        found.states += 1;
        let heads = state.heads();
        if heads.is_empty() {
            found.ends.insert(self.end(&state));
        }
        path.push((state, digest, heads));
    }

    /// Applies the oldest record on one way.
    fn step(&mut self, state: &State, to: usize, record: &[u8], way: (u8, u8)) -> State {
        let mut next = state.clone();
        if let Some(records) = next.under_way.get_mut(&way) {
            records.pop_front();
            if records.is_empty() {
                next.under_way.remove(&way);
            }
        }
        let id = self.ids[to].as_str();
        match &state.leads[to] {
            Some(bytes) => self.shard.restore_lead(id, bytes).expect("its own bytes"),
            None => self.shard.restore_removal(id),
        }
        let decoded = decode_activity(record).expect("of our own");
        let mut decisions = Vec::new();
        let budget = &mut Budget::new(u32::MAX);
        let applied = self.shard.apply(id, &decoded, NOW_MS, budget, &mut decisions).expect("applied");
        next.refused += u8::from(applied == Applied::LinkRefused);
        for sent in self.shard.take_sent() {
            let place =
                self.ids.iter().position(|id| id.as_str() == sent.lead_id).expect("an id of the search");
            next.under_way.entry((to as u8, place as u8)).or_default().push_back(sent.value.into());
        }
        self.shard.seal(&mut |lead, bytes| {
            assert_eq!(lead, id, "a record touches its own lead only");
            next.leads[to] = bytes.map(Arc::from);
        });
        self.shard.abort();
        next
    }

    fn end(&mut self, state: &State) -> End {
        let mut leads = Vec::new();
        for (id, bytes) in self.ids.iter().zip(&state.leads) {
            let Some(bytes) = bytes else { continue };
            self.shard.restore_lead(id.as_str(), bytes).expect("its own bytes");
            if let Some(view) = self.shard.lead(id.as_str(), NOW_MS).expect("readable") {
                leads.push((id.as_str().to_owned(), view.scores[0].milli / 1_000));
            }
        }
        End { leads, refused: state.refused }
    }

    fn event(&self, n: u8, id: usize, minute: i64) -> ActivityRecord<'static> {
        let at_ms = START_MS + minute * 60_000;
        ActivityRecord::Activity(Activity {
            event_id: Text::from(format!("e{n}")),
            name: Text::from(format!("e{n}")),
            t_ms: at_ms,
            arrival_ms: at_ms,
            clamped: false,
            origin: Origin::Server,
            ids: vec![Text::from(self.ids[id].as_str().to_owned())],
            session: None,
            page: None,
            utm: None,
            properties: Vec::new(),
            traits: Vec::new(),
            input: Input { topic: Text::from("clicks"), partition: 0, offset: 0 },
        })
    }

    fn under_way(mut self, to: usize, record: &ActivityRecord<'_>) -> Search {
        let way = (self.senders, to as u8);
        self.senders += 1;
        self.start.under_way.entry(way).or_default().push_back(encoded(record).into());
        self
    }

    /// What has been put under way last comes from the sender of what was put under way before.
    pub(crate) fn behind(mut self) -> Search {
        self.senders -= 1;
        let (&way, _) =
            self.start.under_way.iter().find(|(way, _)| way.0 == self.senders).expect("the last one");
        let records = self.start.under_way.remove(&way).expect("just found");
        self.start.under_way.entry((self.senders - 1, way.1)).or_default().extend(records);
        self
    }
}

/// The oldest record of a way.
type Head = ((u8, u8), Arc<[u8]>);

impl State {
    fn heads(&self) -> Vec<Head> {
        self.under_way.iter().map(|(way, records)| (*way, Arc::clone(&records[0]))).collect()
    }

    fn digest(&self) -> [u8; 16] {
        let mut hasher = blake3::Hasher::new();
        let mut put = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        for lead in &self.leads {
            put(lead.as_deref().unwrap_or_default());
        }
        put(&[self.refused]);
        for ((from, to), records) in &self.under_way {
            put(&[*from, *to]);
            records.iter().for_each(|record| put(record));
            put(&[]);
        }
        let mut digest = [0; 16];
        digest.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        digest
    }
}

fn encoded(record: &ActivityRecord<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_activity(record, &mut bytes).expect("it fits its schema");
    bytes
}
