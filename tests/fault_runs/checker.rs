//! What must hold after a run: every topic, as the Java consumer reads it (committed records only), against what was
//! fed and against the sequential reference.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ripen_harness::{ConsoleRun, console_bytes};
use ripen_records::{ActivityRecord, Change, Decision, Link, decode_activity, decode_decision};
use ripen_runtime::worker::{META_KEY, PartitionMeta};

use crate::clicks::Fed;
use crate::reference::{self, Leads, Output, Stored, Written};
use crate::support::Installation;

/// As in the configuration of [`Installation`].
const NAMESPACE: &str = "test";
/// Violations of one kind that are shown.
const SHOWN: usize = 5;

/// What stands in every topic after a run.
#[derive(Debug, Clone)]
pub(crate) struct Contents {
    source: Vec<Stored>,
    models: Vec<Stored>,
    pub(crate) activities: Vec<Stored>,
    pub(crate) leads: Vec<Stored>,
    pub(crate) decisions: Vec<Stored>,
    pub(crate) transitions: Vec<Stored>,
    pub(crate) profiles: Vec<Stored>,
    pub(crate) dead_letters: Vec<Stored>,
    /// The scorer's committed offsets.
    applied: Vec<i64>,
}

/// How much a run did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Amount {
    pub(crate) clicks: usize,
    pub(crate) decisions: usize,
    pub(crate) transitions: usize,
}

impl Contents {
    /// Reads all topics with the Java console consumer.
    pub(crate) fn read(site: &Installation) -> Contents {
        let topics = &site.topics;
        let names = [
            &site.source,
            &topics.models,
            &topics.activities,
            &topics.leads,
            &topics.decisions,
            &topics.transitions,
            &topics.profiles,
            &topics.dead_letters,
        ];
        // Most of a reading is the consumer's wait for more: all at once.
        let mut read: Vec<Vec<Stored>> = std::thread::scope(|scope| {
            let threads = names.map(|topic| scope.spawn(move || read_topic(site, topic)));
            threads.into_iter().map(|thread| thread.join().expect("the topic can be read")).collect()
        });
        let mut next = || read.remove(0);
        Contents {
            source: next(),
            models: next(),
            activities: next(),
            leads: next(),
            decisions: next(),
            transitions: next(),
            profiles: next(),
            dead_letters: next(),
            applied: site.committed("scorer", &topics.activities),
        }
    }

    /// The stages that decisions led to.
    pub(crate) fn stages(&self) -> BTreeSet<String> {
        let decided = |record: &Stored| decode_decision(record.value.as_deref()?).ok();
        self.decisions.iter().filter_map(decided).map(|decision| decision.stage).collect()
    }

    /// How much there is.
    pub(crate) fn amount(&self) -> Amount {
        Amount {
            clicks: self.source.len(),
            decisions: self.decisions.len(),
            transitions: self.transitions.len(),
        }
    }

    /// Everything that does not hold; nothing if all does.
    pub(crate) fn violations(&self, site: &Installation, fed: &Fed) -> Vec<String> {
        let topics = &site.topics;
        let mut violations = Violations::default();
        let ingested = reference::ingest(topics, &site.source, &self.models, &self.source);
        let mut applied = self.activities.clone();
        applied.retain(|record| record.offset < self.applied[record.partition as usize]);
        let (scored, leads) = reference::score(topics, site.partitions, &self.models, &applied);
        let emitted = reference::emit(topics, NAMESPACE, &self.decisions);
        self.check_activities(&ingested, &scored, &topics.activities, &mut violations);
        self.check_clicks(fed, &scored, &topics.activities, &mut violations);
        let of = |output: &Output, topic: &str| output.get(topic).cloned().unwrap_or_default();
        compare_by_key("decision", &self.decisions, &of(&scored, &topics.decisions), &mut violations);
        compare_by_key("transition", &self.transitions, &of(&emitted, &topics.transitions), &mut violations);
        compare_by_key("profile", &self.profiles, &of(&emitted, &topics.profiles), &mut violations);
        let dead = [&ingested, &scored, &emitted].map(|output| of(output, &topics.dead_letters)).concat();
        compare_sets("dead letter", values(&self.dead_letters), values_of(&dead), &mut violations);
        self.check_decisions(&mut violations);
        self.check_state(&leads, &mut violations);
        violations.0
    }

    /// The activities are what ingest made of the source and what the scorer sent to other leads, each once.
    fn check_activities(&self, ingested: &Output, scored: &Output, topic: &str, violations: &mut Violations) {
        let (mut activities, mut links) = (Vec::new(), BTreeSet::new());
        for record in &self.activities {
            let value = record.value.clone().unwrap_or_default();
            match decode_activity(&value) {
                Ok(ActivityRecord::Tick(_) | ActivityRecord::Switch(_)) => {}
                Ok(ActivityRecord::Link(link)) => _ = links.insert(said_by(&link)),
                Ok(_) => activities.push((record.key.clone(), value)),
                Err(error) => violations.add("activity", format!("does not decode: {error}")),
            }
        }
        let (mut expected, mut expected_links) = (Vec::new(), BTreeSet::new());
        for written in [ingested, scored].iter().filter_map(|output| output.get(topic)).flatten() {
            let value = written.value.clone().unwrap_or_default();
            // A link may be written again after a restart, by another record; which changes nothing.
            match decode_activity(&value) {
                Ok(ActivityRecord::Link(link)) => _ = expected_links.insert(said_by(&link)),
                _ => expected.push((written.key.clone(), value)),
            }
        }
        compare_sets("activity", activities, expected, violations);
        compare_sets("link", links.into_iter().collect(), expected_links.into_iter().collect(), violations);
    }

    /// Every click that was fed has become one activity: by its id, not by anything that an operator says.
    fn check_clicks(&self, fed: &Fed, scored: &Output, topic: &str, violations: &mut Violations) {
        let forwarded =
            scored.get(topic).into_iter().flatten().filter_map(|written| written.value.as_deref());
        let mut ids = event_ids(self.activities.iter().filter_map(|record| record.value.as_deref()));
        for (id, count) in event_ids(forwarded) {
            // One too few shows below as a count that is wrong.
            ids.entry(id).and_modify(|all| *all -= count);
        }
        let mut expected = BTreeMap::new();
        for id in &fed.clicks {
            *expected.entry(id.clone()).or_insert(0) += 1;
        }
        for (id, times) in &expected {
            let found = ids.remove(id).unwrap_or_default();
            if found != *times {
                violations.add("click", format!("{id} was fed {times} times, is there {found} times"));
            }
        }
        for (id, times) in ids {
            violations.add("click", format!("{id} was never fed, is there {times} times"));
        }
        if self.dead_letters.len() != fed.junk {
            let found = self.dead_letters.len();
            violations.add("junk", format!("{} records were fed, {found} dead letters are there", fed.junk));
        }
    }

    /// `seq` of each lead and life is 1, 2, 3 …; ids do not repeat; every change of stage goes out once.
    fn check_decisions(&self, violations: &mut Violations) {
        let mut lives: BTreeMap<(String, i64), Vec<u64>> = BTreeMap::new();
        let (mut ids, mut outward) = (BTreeSet::new(), BTreeSet::new());
        for record in &self.decisions {
            let Some(decision) = decision(record, violations) else { continue };
            lives.entry((decision.lead.clone(), decision.born_ms)).or_default().push(decision.seq);
            if matches!(&decision.change, Change::StageChange(change) if change.from != change.to) {
                outward.insert(decision.id.clone());
            }
            if !ids.insert(decision.id.clone()) {
                violations.add("decision", format!("{} stands twice", decision.id));
            }
        }
        for ((lead, born), seqs) in lives {
            if !seqs.iter().copied().eq(1..=seqs.len() as u64) {
                violations.add("seq", format!("of {lead} born {born}: {seqs:?}"));
            }
        }
        let mut told = BTreeSet::new();
        for transition in &self.transitions {
            let id = transition.header("ce_id").unwrap_or_default().to_owned();
            if !told.insert(id.clone()) {
                violations.add("transition", format!("{id} stands twice"));
            }
        }
        for id in told.symmetric_difference(&outward) {
            violations.add("transition", format!("{id} is not both decided and told"));
        }
    }

    /// The changelog holds the reference's leads, and each partition's meta record the group's offset.
    fn check_state(&self, expected: &Leads, violations: &mut Violations) {
        let mut found = Leads::new();
        let mut next_offsets: BTreeMap<i32, i64> = BTreeMap::new();
        for record in &self.leads {
            let key = record.key.clone().unwrap_or_default();
            if key != META_KEY {
                found.insert((record.partition, key), record.value.clone());
                continue;
            }
            match PartitionMeta::decode(record.value.as_deref().unwrap_or_default()) {
                Ok(meta) => _ = next_offsets.insert(record.partition, meta.next_offset),
                Err(blocked) => violations.add("meta", blocked.to_string()),
            }
        }
        for (partition, next_offset) in next_offsets {
            let committed = self.applied[partition as usize];
            if committed != next_offset {
                violations.add("meta", format!("[{partition}] says {next_offset}, committed is {committed}"));
            }
        }
        // A lead that came and went within one transaction leaves no trace; one record a transaction leaves two.
        let standing = |leads: &Leads| -> Vec<(i32, Vec<u8>, Vec<u8>)> {
            let standing = leads
                .iter()
                .filter_map(|((partition, key), value)| Some((*partition, key.clone(), value.clone()?)));
            standing.collect()
        };
        compare_sets("lead", standing(&found), standing(expected), violations);
    }
}

/// Everything committed in a topic, as the Java consumer tells it. How much there is, another reader says first; one
/// more is asked for, so that the consumer shows whatever else there may be.
fn read_topic(site: &Installation, topic: &str) -> Vec<Stored> {
    let count = site.read(topic).len();
    for idle_limit in [Duration::from_secs(5), Duration::from_secs(30)] {
        let run = ConsoleRun { max_messages: count + 1, idle_limit };
        let mut records = console_bytes(site.bootstrap(), topic, &run);
        // Fewer: a consumer that had no time to begin on a busy machine.
        if records.len() >= count {
            records.sort_by_key(|record| (record.partition, record.offset));
            return records;
        }
    }
    panic!("the Java consumer shows fewer than {count} records of {topic}");
}

/// What does not hold, some of each kind.
#[derive(Debug, Default)]
struct Violations(Vec<String>);

impl Violations {
    fn add(&mut self, kind: &str, what: String) {
        self.0.push(format!("{kind}: {what}"));
    }
}

/// The same records of each key in the same order.
fn compare_by_key(kind: &str, found: &[Stored], expected: &[Written], violations: &mut Violations) {
    let mut keys: BTreeMap<Vec<u8>, (Vec<Written>, Vec<Written>)> = BTreeMap::new();
    for record in found {
        let record = Written::from(record);
        keys.entry(record.key.clone().unwrap_or_default()).or_default().0.push(record);
    }
    for record in expected {
        keys.entry(record.key.clone().unwrap_or_default()).or_default().1.push(record.clone());
    }
    let differing: Vec<_> = keys.iter().filter(|(_, (found, expected))| found != expected).collect();
    for (key, (found, expected)) in differing.iter().take(SHOWN) {
        let at = found.iter().zip(expected).position(|(found, expected)| found != expected);
        let place =
            at.map_or_else(|| "none of them differs".to_owned(), |at| difference(&found[at], &expected[at]));
        let key = String::from_utf8_lossy(key);
        violations.add(
            kind,
            format!("{key} has {} records, the reference {}; {place}", found.len(), expected.len()),
        );
    }
    if differing.len() > SHOWN {
        violations.add(kind, format!("{} further keys differ", differing.len() - SHOWN));
    }
}

fn difference(found: &Written, expected: &Written) -> String {
    let show = |written: &Written| {
        let value = written.value.as_deref().unwrap_or_default();
        match decode_decision(value) {
            Ok(decision) => format!("{decision:?}"),
            Err(_) => String::from_utf8_lossy(value).into_owned(),
        }
    };
    format!("first difference:\n  found    {}\n  expected {}", show(found), show(expected))
}

/// The same things as often, in any order.
fn compare_sets<T: Ord + std::fmt::Debug>(
    kind: &str,
    mut found: Vec<T>,
    mut expected: Vec<T>,
    violations: &mut Violations,
) {
    found.sort_unstable();
    expected.sort_unstable();
    if found == expected {
        return;
    }
    let at = found.iter().zip(&expected).take_while(|(found, expected)| found == expected).count();
    violations.add(
        kind,
        format!(
            "{} are there, {} in the reference; first difference: {:?} and {:?}",
            found.len(),
            expected.len(),
            found.get(at),
            expected.get(at)
        ),
    );
}

fn values(records: &[Stored]) -> Vec<Option<Vec<u8>>> {
    records.iter().map(|record| record.value.clone()).collect()
}

fn values_of(written: &[Written]) -> Vec<Option<Vec<u8>>> {
    written.iter().map(|record| record.value.clone()).collect()
}

/// How often each event id stands among these activities.
fn event_ids<'a>(values: impl Iterator<Item = &'a [u8]>) -> BTreeMap<String, i64> {
    let mut ids = BTreeMap::new();
    for value in values {
        if let Ok(ActivityRecord::Activity(activity)) = decode_activity(value) {
            *ids.entry(activity.event_id.to_string()).or_insert(0) += 1;
        }
    }
    ids
}

fn decision(record: &Stored, violations: &mut Violations) -> Option<Decision> {
    match decode_decision(record.value.as_deref().unwrap_or_default()) {
        Ok(decision) => Some(decision),
        Err(error) => {
            violations.add("decision", format!("does not decode: {error}"));
            None
        }
    }
}

/// What a link says, whichever record has shown it.
fn said_by(link: &Link<'_>) -> Vec<u8> {
    format!("{} {} {}", &*link.a, &*link.b, link.explicit).into_bytes()
}
