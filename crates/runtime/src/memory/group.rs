//! Consumer groups of a log in memory: who owns which partition.
//!
//! Assignment is cooperative and sticky: a partition moves only if its owner has more than its share, and it
//! is given to the next owner after the old one has released it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::log::GroupEvent;
use crate::record::TopicPartition;

#[derive(Debug, Default)]
pub(super) struct Group {
    members: BTreeMap<String, Member>,
    owners: BTreeMap<TopicPartition, String>,
    /// Every partition of every subscribed topic.
    all: BTreeSet<TopicPartition>,
    /// Asked back, not released yet.
    moving: BTreeSet<TopicPartition>,
}

#[derive(Debug, Default)]
struct Member {
    epoch: u64,
    present: bool,
    events: VecDeque<GroupEvent>,
}

impl Group {
    /// Adds a member, or replaces one of the same name, whose partitions it keeps; answers its epoch.
    pub(super) fn join(&mut self, instance: &str, partitions: impl Iterator<Item = TopicPartition>) -> u64 {
        self.all.extend(partitions);
        let member = self.members.entry(instance.to_owned()).or_default();
        member.epoch += 1;
        member.present = true;
        member.events.clear();
        let epoch = member.epoch;
        let owned: Vec<_> = self.owned(instance);
        self.moving.retain(|at| !owned.contains(at));
        self.tell(instance, GroupEvent::Assigned(owned));
        self.rebalance();
        epoch
    }

    /// A member of this epoch is gone: its partitions are free.
    pub(super) fn leave(&mut self, instance: &str, epoch: u64) {
        if !self.is_current(instance, epoch) {
            return;
        }
        if let Some(member) = self.members.get_mut(instance) {
            member.present = false;
            member.events.clear();
        }
        for at in self.owned(instance) {
            self.owners.remove(&at);
            self.moving.remove(&at);
        }
        self.rebalance();
    }

    /// Whether this member has not been replaced.
    pub(super) fn is_current(&self, instance: &str, epoch: u64) -> bool {
        self.members.get(instance).is_some_and(|member| member.epoch == epoch && member.present)
    }

    pub(super) fn owns(&self, instance: &str, at: &TopicPartition) -> bool {
        self.owners.get(at).is_some_and(|owner| owner == instance)
    }

    pub(super) fn next_event(&mut self, instance: &str) -> Option<GroupEvent> {
        self.members.get_mut(instance)?.events.pop_front()
    }

    pub(super) fn release(&mut self, instance: &str, partitions: &[TopicPartition]) {
        for at in partitions {
            if self.owns(instance, at) {
                self.owners.remove(at);
                self.moving.remove(at);
            }
        }
        self.rebalance();
    }

    fn owned(&self, instance: &str) -> Vec<TopicPartition> {
        let mine = self.owners.iter().filter(|(_, owner)| *owner == instance);
        mine.map(|(at, _)| at.clone()).collect()
    }

    fn tell(&mut self, instance: &str, event: GroupEvent) {
        let (GroupEvent::Assigned(list) | GroupEvent::Revoked(list) | GroupEvent::Lost(list)) = &event;
        if list.is_empty() {
            return;
        }
        if let Some(member) = self.members.get_mut(instance) {
            member.events.push_back(event);
        }
    }

    fn rebalance(&mut self) {
        let present: Vec<String> =
            self.members.iter().filter(|(_, member)| member.present).map(|(name, _)| name.clone()).collect();
        if present.is_empty() {
            return;
        }
        let share = self.all.len().div_ceil(present.len());
        let mut counts: BTreeMap<String, usize> = present.into_iter().map(|name| (name, 0)).collect();
        let mut events: BTreeMap<String, (Vec<TopicPartition>, Vec<TopicPartition>)> = BTreeMap::new();
        for (at, owner) in &self.owners {
            let count = counts.entry(owner.clone()).or_default();
            if *count < share {
                *count += 1;
            } else if self.moving.insert(at.clone()) {
                events.entry(owner.clone()).or_default().1.push(at.clone());
            }
        }
        let free: Vec<TopicPartition> =
            self.all.iter().filter(|at| !self.owners.contains_key(*at)).cloned().collect();
        for at in free {
            let fewest = counts.iter_mut().min_by_key(|(name, count)| (**count, (*name).clone()));
            let Some((name, count)) = fewest else { break };
            *count += 1;
            events.entry(name.clone()).or_default().0.push(at.clone());
            self.owners.insert(at, name.clone());
        }
        for (name, (assigned, revoked)) in events {
            self.tell(&name, GroupEvent::Revoked(revoked));
            self.tell(&name, GroupEvent::Assigned(assigned));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partitions(count: i32) -> impl Iterator<Item = TopicPartition> {
        (0..count).map(|partition| TopicPartition::new("in", partition))
    }

    fn counts(group: &Group) -> Vec<usize> {
        let present = group.members.iter().filter(|(_, member)| member.present);
        present.map(|(name, _)| group.owned(name).len()).collect()
    }

    fn settle(group: &mut Group) {
        let names: Vec<String> = group.members.keys().cloned().collect();
        let mut quiet = false;
        while !quiet {
            quiet = true;
            for name in &names {
                while let Some(event) = group.next_event(name) {
                    quiet = false;
                    if let GroupEvent::Revoked(list) = event {
                        group.release(name, &list);
                    }
                }
            }
        }
    }

    #[test]
    fn partitions_move_to_new_members_and_no_more_than_needed() {
        let mut group = Group::default();
        for (name, expected) in
            [("a", vec![8]), ("b", vec![4, 4]), ("c", vec![3, 3, 2]), ("d", vec![2, 2, 2, 2])]
        {
            let before = group.owners.clone();
            group.join(name, partitions(8));
            settle(&mut group);
            assert_eq!(counts(&group), expected);
            let moved = before.iter().filter(|(at, owner)| group.owners[*at] != **owner).count();
            assert_eq!(moved, if before.is_empty() { 0 } else { group.owned(name).len() });
        }
    }

    #[test]
    fn a_member_that_returns_keeps_its_partitions_and_fences_its_former_self() {
        let mut group = Group::default();
        let first = group.join("a", partitions(4));
        group.join("b", partitions(4));
        settle(&mut group);
        let owned = group.owned("a");
        let second = group.join("a", partitions(4));
        assert!(!group.is_current("a", first) && group.is_current("a", second));
        assert_eq!(group.owned("a"), owned);
        assert_eq!(group.next_event("a"), Some(GroupEvent::Assigned(owned)));
    }
}
