//! From one scorer to four and back while clicks come in: nothing is lost or decided twice, and a newcomer takes no
//! more partitions than its share.

use std::collections::BTreeMap;

use rdkafka::consumer::Consumer;
use ripen_harness::Leash;

use crate::checker::Contents;
use crate::clicks::Feed;
use crate::round::{is_consumed, is_work};
use crate::support::{Installation, PATIENCE, Setup, wait_until};
use crate::world::World;
use crate::{alone, setup};

const PARTITIONS: i32 = 8;

/// Partitions by their owner's client id.
type Owners = BTreeMap<i32, String>;

#[test]
fn from_one_scorer_to_four_and_back_under_load() {
    let _alone = alone();
    let world = World::one_broker();
    let setup = Setup { partitions: PARTITIONS, ..setup("scale", &world) };
    let site = Installation::of(&setup);
    let mut ingest = site.start("ingest");
    let mut emitter = site.start("emitter");
    let feed = Feed::start(&site, 4, 200);
    let mut scorers: Vec<Leash> = Vec::new();
    let mut before = Owners::new();
    for count in 1..=4 {
        scorers.push(site.start_instance("scorer", &format!("scorer-{count}"), &[]));
        let owners = settled(&site, count);
        if count > 1 {
            let moved = owners.iter().filter(|(partition, owner)| before[*partition] != **owner).count();
            let share = PARTITIONS as usize / count;
            assert!(
                moved <= share,
                "{moved} partitions moved when number {count} came, its share is {share}"
            );
        }
        before = owners;
    }
    for count in (1..4).rev() {
        let mut leaver = scorers.pop().expect("one is left");
        assert_eq!(leaver.terminate(), 0, "{}", leaver.output());
        settled(&site, count);
    }
    let fed = feed.stop().expect("everything is delivered");
    wait_until("ingest is done", || is_consumed(&site, "ingest", &site.source, |_| true));
    assert_eq!(ingest.terminate(), 0, "{}", ingest.output());
    wait_until("the scorer is done", || is_consumed(&site, "scorer", &site.topics.activities, is_work));
    assert_eq!(scorers[0].terminate(), 0, "{}", scorers[0].output());
    wait_until("the emitter is done", || is_consumed(&site, "emitter", &site.topics.decisions, |_| true));
    assert_eq!(emitter.terminate(), 0, "{}", emitter.output());
    let contents = Contents::read(&site);
    let violations = contents.violations(&site, &fed);
    assert!(violations.is_empty(), "{}", violations.join("\n"));
    assert!(contents.amount().decisions > 200, "too little happened: {:?}", contents.amount());
}

/// The owners once the group has this many members and each partition has one.
fn settled(site: &Installation, members: usize) -> Owners {
    let mut owners = Owners::new();
    wait_until(&format!("{members} scorers share the partitions"), || {
        let Some((found, seen)) = assignment(site) else { return false };
        owners = seen;
        found == members && owners.len() == PARTITIONS as usize
    });
    owners
}

/// The members of the scorers' group, and who owns what; nothing while the group is between two assignments.
fn assignment(site: &Installation) -> Option<(usize, Owners)> {
    let consumer = site.consumer("describer");
    let group = site.group("scorer");
    let list = consumer.client().fetch_group_list(Some(&group), PATIENCE).ok()?;
    let group = list.groups().iter().find(|found| found.name() == group && found.state() == "Stable")?;
    let mut owners = Owners::new();
    for member in group.members() {
        for partition in partitions(member.assignment()?) {
            owners.insert(partition, member.client_id().to_owned());
        }
    }
    Some((group.members().len(), owners))
}

/// The partitions in an assignment of Kafka's consumer protocol: a version (i16), then topics, each with its name
/// and partitions (i32); numbers are big-endian, texts and lists begin with their length.
fn partitions(mut bytes: &[u8]) -> Vec<i32> {
    fn number<const N: usize>(bytes: &mut &[u8]) -> usize {
        let (head, rest) = bytes.split_first_chunk::<N>().expect("an assignment");
        *bytes = rest;
        head.iter().fold(0, |number, byte| number << 8 | usize::from(*byte))
    }
    let mut partitions = Vec::new();
    let _version = number::<2>(&mut bytes);
    for _ in 0..number::<4>(&mut bytes) {
        let name = number::<2>(&mut bytes);
        bytes = &bytes[name..];
        for _ in 0..number::<4>(&mut bytes) {
            partitions.push(number::<4>(&mut bytes) as i32);
        }
    }
    partitions
}
