//! What holds after every run.
//!
//! Interleavings may differ in one thing only: the order in which records come to stand in a partition of activities,
//! and when. Everything else is a function of that, since the core reads no clock and is told everything by the log.
//! So the run is compared twice:
//!
//! * **With its own log, to the byte.** The final log of activities goes through one scorer, record by record, and
//!   what comes out must be what is there: every decision of every lead in its order, every record that leads sent
//!   each other, every lead's bytes in the changelog and in memory, the partition's clock and models. The activities
//!   in turn must be what ingest makes of the source, what leads sent, and what was put there by hand, each exactly
//!   once (ticks may come as they like; a link that says what an earlier one said may be repeated or left out). What
//!   goes outward must be what the emitter makes of the decisions, dead letters what ingest and scorer refuse.
//! * **With the same inputs, one after the other.** Arrival decides when a stage is entered, but not what a lead is
//!   worth: once everything has been applied, scores and facts at one instant are the same, whoever did the work and
//!   in which order. Not compared: leads with an erasure among their ids (it ends what was applied before it, S10),
//!   runs in which leads are forgotten (that ends it, too, S20) or a link was refused (the first of two wins, S1), and
//!   runs under a model that counts otherwise than the one before it (what was applied before the switch is converted,
//!   S18).

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use ripen_records::{ActivityRecord, decode_activity, decode_decision};
use ripen_runtime::log::PollLimits;
use ripen_runtime::memory::partition_of;
use ripen_runtime::worker::{META_KEY, PartitionMeta};
use ripen_runtime::{RecordBatch, TopicPartition};
use ripen_scorer::LeadKey;

use crate::inputs::{READ_ALIKE, SOURCE};
use crate::reference::{self, Scored, ScorerAlone, Stored};
use crate::schedule::{AHEAD_MOST_MS, Id, Service};
use crate::world::{Fed, World};

type Bytes = Vec<u8>;

/// Everything that is wrong with a finished run.
pub(crate) fn check(world: &Rc<World>) -> Vec<String> {
    let mut wrong = world.violations();
    let mut stored = BTreeMap::new();
    if wrong.is_empty() {
        read_all(world, &mut stored);
        Check { world, stored: &stored, wrong: &mut wrong }.all();
    }
    if wrong.is_empty() && world.setup.restarts {
        world.restart();
        wrong = world.violations();
    }
    if wrong.is_empty() && world.setup.restarts {
        read_all(world, &mut stored);
        Check { world, stored: &stored, wrong: &mut wrong }.all();
    }
    wrong
}

struct Check<'a> {
    world: &'a World,
    stored: &'a BTreeMap<String, Vec<Stored>>,
    wrong: &'a mut Vec<String>,
}

impl<'a> Check<'a> {
    fn all(&mut self) {
        let world = self.world;
        let (topics, partitions) = (&world.topics, world.setup.partitions);
        let fed = world.fed.borrow();
        let models = activated(&fed);
        let mut scorer = ScorerAlone::new(topics, partitions, &models);
        for record in self.of(&topics.activities) {
            scorer.apply(record);
        }
        let scored = scorer.finish();
        self.decisions(&scored);
        self.state(&scored);
        self.offsets(&scored);
        let ingested = reference::ingested(topics, partitions, &models, self.of(SOURCE));
        self.activities(&scored, &ingested, &fed);
        self.dead_letters(&scored, &ingested);
        self.outward();
        self.sequences();
        self.scores(&scored, &fed, &models);
    }

    fn of(&self, topic: &str) -> &'a [Stored] {
        self.stored.get(topic).map_or(&[], Vec::as_slice)
    }

    fn wrong(&mut self, what: String) {
        self.wrong.push(what);
    }

    /// Each lead's decisions are those of its log.
    fn decisions(&mut self, scored: &Scored) {
        let (found, expected) = (by_key(self.of(&self.world.topics.decisions)), by_key(&scored.decisions));
        for key in found.keys().chain(expected.keys()).collect::<BTreeSet<_>>() {
            let (found, expected) = (found.get(key), expected.get(key));
            if found != expected {
                let of = |list: Option<&Vec<Payload>>| words(list.map_or(&[], Vec::as_slice));
                let key = text(Some(key));
                self.wrong(format!("decisions of {key}: {}, expected {}", of(found), of(expected)));
            }
        }
    }

    /// Changelog and memory hold what the log of activities says; each lead is in one place, its own.
    fn state(&mut self, scored: &Scored) {
        let mut kept: BTreeMap<(i32, Bytes), Bytes> = BTreeMap::new();
        for Stored { partition, key, value, .. } in self.of(&self.world.topics.leads) {
            let key = key.clone().unwrap_or_default();
            match value {
                _ if key == META_KEY => continue,
                Some(value) => kept.insert((*partition, key), value.clone()),
                None => kept.remove(&(*partition, key)),
            };
        }
        for key in kept.keys().chain(scored.leads.keys()).collect::<BTreeSet<_>>() {
            let (found, expected) = (kept.get(key).map(Vec::len), scored.leads.get(key).map(Vec::len));
            if kept.get(key) != scored.leads.get(key) {
                let (partition, id) = (key.0, text(Some(&key.1)));
                self.wrong(format!("changelog of {id} in {partition}: {found:?} bytes, not {expected:?}"));
            }
            if partition_of(&key.1, self.world.setup.partitions) != key.0 {
                self.wrong(format!("{} is in partition {}, which is not its own", text(Some(&key.1)), key.0));
            }
        }
        for partition in 0..self.world.setup.partitions {
            let bases = self.world.bases(partition);
            if bases.len() != 1 {
                self.wrong(format!("partition {partition} is in memory {} times", bases.len()));
            }
            let Some(base) = bases.first() else { continue };
            let expected = scored.leads.iter().filter(|((of, _), _)| *of == partition);
            let mut count = 0;
            for ((_, id), bytes) in expected {
                count += 1;
                let same = base.get(&LeadKey::of(&text(Some(id)))).is_some_and(|held| **held == **bytes);
                if !same {
                    self.wrong(format!("memory of partition {partition} has another {}", text(Some(id))));
                }
            }
            if base.len() != count {
                self.wrong(format!("memory of partition {partition}: {} leads, not {count}", base.len()));
            }
        }
    }

    /// Offsets, state and clock agree, and are at the end of the log; nothing that is due is left.
    fn offsets(&mut self, scored: &Scored) {
        let world = self.world;
        let mut metas = BTreeMap::new();
        for Stored { partition, key, value, .. } in self.of(&world.topics.leads) {
            if key.as_deref() == Some(META_KEY) {
                metas.insert(*partition, PartitionMeta::decode(value.as_deref().unwrap_or_default()));
            }
        }
        let inputs = [
            (Service::Ingest, SOURCE.to_owned()),
            (Service::Scorer, world.topics.activities.clone()),
            (Service::Emitter, world.topics.decisions.clone()),
        ];
        let mut found = Vec::new();
        for (service, topic) in inputs {
            let mut ends: BTreeMap<i32, i64> = BTreeMap::new();
            for Stored { partition, offset, .. } in self.of(&topic) {
                ends.insert(*partition, offset + 1);
            }
            for (partition, end) in ends {
                let at = TopicPartition::new(topic.as_str(), partition);
                let committed = world.log.committed(service.name(), &at);
                if committed.as_ref().is_none_or(|committed| committed.offset < end) {
                    found.push(format!("{at} was read up to {committed:?} of {end}"));
                }
                if service != Service::Scorer {
                    continue;
                }
                match (metas.get(&partition), &committed) {
                    (Some(Ok(meta)), Some(committed)) => {
                        if (meta.next_offset, &meta.marker) != (committed.offset, &committed.marker) {
                            found.push(format!("{at}: committed {committed:?}, state of {meta:?}"));
                        }
                        if Some(&meta.operator) != scored.metas.get(&partition) {
                            found.push(format!("{at}: clock or models differ from those of its log"));
                        }
                    }
                    (meta, committed) => found.push(format!("{at}: committed {committed:?}, state {meta:?}")),
                }
                let due = scored.deadlines.get(&partition).copied().flatten();
                if due.is_some_and(|due_ms| due_ms <= world.settled_ms()) {
                    found.push(format!("{at}: a deadline of {due:?} has not fired"));
                }
            }
        }
        self.wrong.append(&mut found);
    }

    /// The activities are what ingest wrote, what leads sent, what was put there, and ticks.
    fn activities(&mut self, scored: &Scored, ingested: &[Stored], fed: &[(i64, Fed)]) {
        let activities = &self.world.topics.activities;
        let mut balance: BTreeMap<(Bytes, Bytes), i64> = BTreeMap::new();
        let mut links_of_ingest = BTreeSet::new();
        let payload = |record: &Stored| {
            (record.key.clone().unwrap_or_default(), record.value.clone().unwrap_or_default())
        };
        for record in ingested.iter().filter(|record| record.topic == *activities) {
            match link_of(record) {
                Some(link) => {
                    links_of_ingest.insert(link);
                }
                None => *balance.entry(payload(record)).or_default() -= 1,
            }
        }
        for (_, record) in &scored.sent {
            *balance.entry(payload(record)).or_default() -= 1;
        }
        for (_, fed) in fed {
            let (id, value) = match fed {
                Fed::Link { ids: [id, _], value } | Fed::Erase { id, value } => (id, value),
                Fed::Click { .. } | Fed::Switch { .. } => continue,
            };
            *balance.entry((id.to_string().into_bytes(), value.clone())).or_default() -= 1;
        }
        let mut links_more: BTreeMap<(Bytes, Bytes), (String, String, bool)> = BTreeMap::new();
        for record in self.of(activities).iter().filter(|record| !is_tick_or_switch(record)) {
            *balance.entry(payload(record)).or_default() += 1;
            if let Some(link) = link_of(record) {
                links_more.insert(payload(record), link);
            }
        }
        let mut found_links = BTreeSet::new();
        let mut found = Vec::new();
        for (record, count) in &balance {
            match links_more.get(record) {
                Some(link) if *count > 0 && links_of_ingest.contains(link) => {
                    found_links.insert(link.clone());
                }
                _ if *count == 0 => {}
                _ => {
                    let what = decode_activity(&record.1).map(|activity| format!("{activity:?}"));
                    let much = if *count > 0 { "too much" } else { "missing" };
                    found.push(format!("activities of {}: {count} {much}: {what:?}", text(Some(&record.0))));
                }
            }
        }
        for link in links_of_ingest.difference(&found_links) {
            found.push(format!("a link is missing: {link:?}"));
        }
        self.wrong.append(&mut found);
        self.order_of_sent(scored);
    }

    /// What one partition sent to another is there in the order of sending.
    fn order_of_sent(&mut self, scored: &Scored) {
        let partitions = self.world.setup.partitions;
        for from in 0..partitions {
            for to in 0..partitions {
                let sent = scored.sent.iter().filter(|(of, record)| *of == from && record.partition == to);
                let there = self.of(&self.world.topics.activities);
                let mut there = there.iter().filter(|record| record.partition == to);
                let mut missed = None;
                for (_, sent) in sent {
                    if !there.any(|record| record.key == sent.key && record.value == sent.value) {
                        missed = Some(format!(
                            "what {from} sent to {to} is out of order: {}",
                            text(sent.key.as_ref())
                        ));
                        break;
                    }
                }
                self.wrong.extend(missed);
            }
        }
    }

    fn dead_letters(&mut self, scored: &Scored, ingested: &[Stored]) {
        let dead_letters = &self.world.topics.dead_letters;
        let of_ingest = ingested.iter().filter(|record| record.topic == *dead_letters);
        let payload = |record: &Stored| (record.value.clone(), record.headers.clone());
        let mut expected: Vec<_> = of_ingest.chain(&scored.dead_letters).map(payload).collect();
        let mut found: Vec<_> = self.of(dead_letters).iter().map(payload).collect();
        expected.sort();
        found.sort();
        if found != expected {
            self.wrong(format!("{} dead letters, expected {}", found.len(), expected.len()));
        }
    }

    /// What went outward is what the emitter makes of the decisions, in their order.
    fn outward(&mut self) {
        let topics = &self.world.topics;
        let emitted = reference::emitted(topics, self.of(&topics.decisions));
        for topic in [&topics.transitions, &topics.profiles] {
            let expected: Vec<Stored> =
                emitted.iter().filter(|record| record.topic == *topic).cloned().collect();
            if by_key(self.of(topic)) != by_key(&expected) {
                let (found, expected) = (self.of(topic).len(), expected.len());
                self.wrong(format!(
                    "{topic}: {found} records, other ones than the {expected} of the decisions"
                ));
            }
        }
    }

    /// Decisions of a life are numbered 1 to n. A lead that was forgotten leaves nothing behind, so the next life may have
    /// the same birth, if two activities of one millisecond are applied hours apart.
    fn sequences(&mut self) {
        let mut last: BTreeMap<(String, i64), u64> = BTreeMap::new();
        let mut found = Vec::new();
        for record in self.of(&self.world.topics.decisions) {
            let Ok(decision) = decode_decision(record.value.as_deref().unwrap_or_default()) else {
                found.push("a decision cannot be read".to_owned());
                continue;
            };
            let seq = last.entry((decision.lead.clone(), decision.born_ms)).or_default();
            let is_next = decision.seq == *seq + 1 || (self.world.setup.forgets && decision.seq == 1);
            if !is_next {
                let key = record.key.clone().unwrap_or_default();
                let all = by_key(self.of(&self.world.topics.decisions)).remove(&key).unwrap_or_default();
                let (lead, next) = (&decision.lead, decision.seq);
                found.push(format!("{lead}: decision {next} follows {seq} in {}", words(&all)));
            }
            *seq = decision.seq;
        }
        self.wrong.append(&mut found);
    }

    /// Scores and facts are those of the same inputs in sequence.
    fn scores(&mut self, scored: &Scored, fed: &[(i64, Fed)], models: &[usize]) {
        // No clock of a partition is later.
        let (world, until_ms) = (self.world, self.world.now_ms() + AHEAD_MOST_MS);
        if world.setup.forgets || models.iter().any(|model| !READ_ALIKE.contains(model)) {
            return;
        }
        let calm = reference::sequential(&world.topics, world.setup.partitions, models, fed, until_ms);
        if scored.refused_links > 0 || calm.refused_links > 0 {
            return;
        }
        let active = fed.iter().rev().find_map(|(_, fed)| match fed {
            Fed::Switch { which, .. } => Some(*which),
            _ => None,
        });
        let active = active.unwrap_or_default();
        let views = [scored, &calm].map(|scored| reference::views(scored, active, until_ms));
        let [Ok(found), Ok(expected)] = views else {
            self.wrong(format!("{views:?}"));
            return;
        };
        let skipped = erased(fed);
        for lead in found.keys().chain(expected.keys()).collect::<BTreeSet<_>>() {
            if skipped.contains(lead) {
                continue;
            }
            let of = |views: &BTreeMap<String, ripen_scorer::LeadView>| {
                views.get(lead).map(|view| {
                    let scores: Vec<i64> = view.scores.iter().map(|score| score.milli).collect();
                    (scores, view.facts.clone(), view.value_micros)
                })
            };
            if of(&found) != of(&expected) {
                self.wrong(format!("{lead} is {:?}, in sequence {:?}", of(&found), of(&expected)));
            }
        }
    }
}

type Payload = (Option<Bytes>, Vec<(String, Option<Bytes>)>);

fn by_key(records: &[Stored]) -> BTreeMap<Bytes, Vec<Payload>> {
    let mut map: BTreeMap<Bytes, Vec<Payload>> = BTreeMap::new();
    for record in records {
        let key = record.key.clone().unwrap_or_default();
        map.entry(key).or_default().push((record.value.clone(), record.headers.clone()));
    }
    map
}

/// Decisions in short.
fn words(decisions: &[Payload]) -> String {
    let one = |(value, _): &Payload| match decode_decision(value.as_deref().unwrap_or_default()) {
        Ok(decision) => format!(
            "{}.{}@{}/{}:{}->{}",
            decision.born_ms - crate::inputs::START_MS,
            decision.seq,
            decision.effective_at_ms - crate::inputs::START_MS,
            decision.decided_at_ms - crate::inputs::START_MS,
            decision.cause.as_str(),
            decision.stage
        ),
        Err(error) => error.to_string(),
    };
    format!("{:?}", decisions.iter().map(one).collect::<Vec<_>>())
}

fn text(bytes: Option<&Bytes>) -> String {
    bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned()).unwrap_or_default()
}

fn link_of(record: &Stored) -> Option<(String, String, bool)> {
    match decode_activity(record.value.as_deref()?) {
        Ok(ActivityRecord::Link(link)) => Some((link.a.to_string(), link.b.to_string(), link.explicit)),
        _ => None,
    }
}

fn is_tick_or_switch(record: &Stored) -> bool {
    let activity = decode_activity(record.value.as_deref().unwrap_or_default());
    matches!(activity, Ok(ActivityRecord::Tick(_) | ActivityRecord::Switch(_)))
}

fn activated(fed: &[(i64, Fed)]) -> Vec<usize> {
    let switches = fed.iter().filter_map(|(_, fed)| match fed {
        Fed::Switch { which, .. } => Some(*which),
        _ => None,
    });
    switches.collect::<BTreeSet<usize>>().into_iter().collect()
}

/// Ids that are joined to one that was erased.
fn erased(fed: &[(i64, Fed)]) -> BTreeSet<String> {
    let mut joined: Vec<BTreeSet<Id>> = Vec::new();
    let mut join = |ids: &[Id]| {
        let mut all: BTreeSet<Id> = ids.iter().copied().collect();
        joined.retain(|set| {
            let meets = !set.is_disjoint(&all);
            if meets {
                all.extend(set);
            }
            !meets
        });
        joined.push(all);
    };
    let mut gone = BTreeSet::new();
    for (_, fed) in fed {
        match fed {
            Fed::Click { ids, .. } => join(ids),
            Fed::Link { ids, .. } => join(ids),
            Fed::Erase { id, .. } => {
                gone.insert(*id);
                join(&[*id]);
            }
            Fed::Switch { .. } => {}
        }
    }
    let sets = joined.iter().filter(|set| !set.is_disjoint(&gone));
    sets.flatten().map(Id::to_string).collect()
}

/// Adds every committed record that has come, by topic, each partition in its order.
fn read_all(world: &World, stored: &mut BTreeMap<String, Vec<Stored>>) {
    let mut batch = RecordBatch::new();
    let limits = PollLimits { records: usize::MAX, bytes: usize::MAX };
    for reader in world.readers.borrow_mut().iter_mut() {
        reader.read(&mut batch, limits);
    }
    for record in batch.iter() {
        stored.entry(record.topic.to_owned()).or_default().push(Stored::of(&record));
    }
}
