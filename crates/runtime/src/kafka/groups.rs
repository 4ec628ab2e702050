//! Consumer groups seen from outside: whether anybody is in one, where it stands, and moving it while nobody is.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::groups::GroupList;
use rdkafka::{Offset, TopicPartitionList};

use super::admin;
use super::client::Quiet;
use super::errors::classify;
use super::{KafkaConfig, created, partition_count};
use crate::log::{Call, ErrorClass, LogError};
use crate::record::TopicPartition;

/// How long the group's coordinator may take to answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// The number of members of a group, those included that have stopped within their session timeout; 0 if there
/// is no such group.
///
/// # Errors
/// When the cluster cannot be asked.
pub fn members(config: &KafkaConfig, group: &str) -> Result<usize, LogError> {
    let list = listed(&consumer(config, group)?, group)?;
    Ok(list.groups().iter().filter(|found| found.name() == group).map(|found| found.members().len()).sum())
}

/// The partitions of these topics that no member of a group has; `None` while the group is giving them away, and where
/// one of the topics does not exist.
pub(super) fn ownerless(
    config: &KafkaConfig,
    group: &str,
    topics: &[String],
) -> Result<Option<Vec<TopicPartition>>, LogError> {
    let consumer = consumer(config, group)?;
    let list = listed(&consumer, group)?;
    let stable = list.groups().iter().find(|found| found.name() == group && found.state() == "Stable");
    let Some(stable) = stable else { return Ok(None) };
    let mut ownerless = Vec::new();
    for topic in topics {
        let Some(count) = partition_count(&consumer, topic)? else { return Ok(None) };
        ownerless.extend((0..count).map(|partition| TopicPartition::new(topic.as_str(), partition)));
    }
    for member in stable.members() {
        let Some(assigned) = assigned(member.assignment().unwrap_or_default()) else { return Ok(None) };
        ownerless.retain(|at| !assigned.contains(at));
    }
    Ok(Some(ownerless))
}

/// What the coordinator says of a group.
fn listed(consumer: &BaseConsumer<Quiet>, group: &str) -> Result<GroupList, LogError> {
    let list = consumer.client().fetch_group_list(Some(group), REQUEST_TIMEOUT);
    list.map_err(|error| classify(Call::Metadata, &error))
}

/// The partitions in a member's assignment (`ConsumerProtocolAssignment` of Kafka's protocol: a version, then each topic
/// with its partitions); `None` for bytes that are no such thing.
fn assigned(bytes: &[u8]) -> Option<Vec<TopicPartition>> {
    let mut assigned = Vec::new();
    if bytes.is_empty() {
        return Some(assigned);
    }
    let mut rest = bytes.get(2..)?;
    for _ in 0..int(&mut rest)? {
        let (len, name) = rest.split_first_chunk()?;
        let (name, after) = name.split_at_checked(usize::try_from(i16::from_be_bytes(*len)).ok()?)?;
        let topic = std::str::from_utf8(name).ok()?;
        rest = after;
        for _ in 0..int(&mut rest)? {
            assigned.push(TopicPartition::new(topic, int(&mut rest)?));
        }
    }
    Some(assigned)
}

fn int(rest: &mut &[u8]) -> Option<i32> {
    let (bytes, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(i32::from_be_bytes(*bytes))
}

/// The group's committed offsets; `None` where there is none.
///
/// # Errors
/// When the cluster cannot be asked.
pub fn committed(
    config: &KafkaConfig,
    group: &str,
    partitions: &[TopicPartition],
) -> Result<Vec<Option<i64>>, LogError> {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for at in partitions {
        list.add_partition(&at.topic, at.partition);
    }
    let found = consumer(config, group)?.committed_offsets(list, REQUEST_TIMEOUT);
    let found = found.map_err(|error| classify(Call::Committed, &error))?;
    let offset = |at: &TopicPartition| match found.find_partition(&at.topic, at.partition)?.offset() {
        Offset::Offset(offset) => Some(offset),
        _ => None,
    };
    Ok(partitions.iter().map(offset).collect())
}

/// Commits offsets for a group without members.
///
/// # Errors
/// When the cluster refuses, as it does while somebody is in the group.
pub fn move_to(config: &KafkaConfig, group: &str, offsets: &[(TopicPartition, i64)]) -> Result<(), LogError> {
    let consumer = consumer(config, group)?;
    let mut list = TopicPartitionList::with_capacity(offsets.len());
    for (at, offset) in offsets {
        let added = list.add_partition_offset(&at.topic, at.partition, Offset::Offset(*offset));
        added.map_err(|error| classify(Call::Assign, &error).at(at))?;
    }
    consumer.commit(&list, CommitMode::Sync).map_err(|error| classify(Call::SendOffsets, &error))
}

/// Deletes a group with its offsets; one that does not exist is as good as deleted.
///
/// # Errors
/// When the cluster refuses, as it does while somebody is in the group.
pub fn delete(config: &KafkaConfig, group: &str) -> Result<(), LogError> {
    let client = admin::client(config)?;
    let deleted = admin::block_on(client.delete_groups(&[group], &admin::options()));
    for result in deleted.map_err(|error| classify(Call::Metadata, &error))? {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::GroupIdNotFound)) => {}
            Err((name, code)) => {
                let error = classify(Call::Metadata, &KafkaError::AdminOp(code));
                let message = format!("group {name} could not be deleted: {code}");
                return Err(LogError { class: ErrorClass::Fatal, message, ..error });
            }
        }
    }
    Ok(())
}

/// A client under the group's name that does not join it.
fn consumer(config: &KafkaConfig, group: &str) -> Result<BaseConsumer<Quiet>, LogError> {
    let mut client = config.client(&[]);
    client.set("group.id", group).set("enable.auto.commit", "false");
    created(client.create_with_context(Quiet::default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assignment_is_read_whole_or_not_at_all() {
        let mut bytes = vec![0, 3, 0, 0, 0, 2, 0, 2];
        bytes.extend(b"in");
        bytes.extend([0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 1, 1, 0, 1]);
        bytes.extend(b"b");
        bytes.extend([0, 0, 0, 0]);
        let expected = vec![TopicPartition::new("in", 0), TopicPartition::new("in", 257)];
        assert_eq!(assigned(&[bytes.as_slice(), &[0, 0, 0, 1, 9]].concat()), Some(expected));
        assert_eq!(assigned(&[]), Some(Vec::new()));
        for end in 1..bytes.len() {
            assert_eq!(assigned(&bytes[..end]), None, "{end}");
        }
    }
}
