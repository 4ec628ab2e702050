//! Consumer groups of a log in memory: who owns which partition.
//!
//! Assignment is cooperative and sticky: a partition moves only if its owner has more than its share, and it
//! is given to the next owner after the old one has released it. Each change of the assignment is a generation;
//! a member takes part in it when it polls.

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
    generation: u64,
}

#[derive(Debug, Default)]
struct Member {
    epoch: u64,
    present: bool,
    /// The generation it has taken part in.
    generation: u64,
    events: VecDeque<GroupEvent>,
    /// It was removed, and had these; it has not been told.
    lost: Vec<TopicPartition>,
}

/// What a member is to its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It takes part in the current generation.
    Current,
    /// The group has moved on since it polled last, or has removed it.
    Behind,
    /// Another member has its instance id.
    Replaced,
}

impl Group {
    /// Adds a member, or replaces one of the same name, whose partitions it keeps; answers its epoch.
    pub(super) fn join(&mut self, instance: &str, partitions: impl Iterator<Item = TopicPartition>) -> u64 {
        self.all.extend(partitions);
        let member = self.members.entry(instance.to_owned()).or_default();
        member.epoch += 1;
        member.present = true;
        member.events.clear();
        member.lost.clear();
        let epoch = member.epoch;
        let owned: Vec<_> = self.owned(instance);
        self.moving.retain(|at| !owned.contains(at));
        self.tell(instance, GroupEvent::Assigned(owned));
        self.rebalance();
        epoch
    }

    /// A member of this epoch is gone: its partitions are free.
    pub(super) fn leave(&mut self, instance: &str, epoch: u64) {
        if self.standing(instance, epoch) != Standing::Replaced {
            self.remove(instance);
        }
    }

    /// A member is gone or is held for gone; whether there was one.
    pub(super) fn remove(&mut self, instance: &str) -> bool {
        let owned = self.owned(instance);
        let Some(member) = self.members.get_mut(instance).filter(|member| member.present) else {
            return false;
        };
        member.present = false;
        member.events.clear();
        member.lost.clone_from(&owned);
        for at in owned {
            self.owners.remove(&at);
            self.moving.remove(&at);
        }
        self.rebalance();
        true
    }

    pub(super) fn standing(&self, instance: &str, epoch: u64) -> Standing {
        match self.members.get(instance) {
            Some(member) if member.epoch != epoch => Standing::Replaced,
            Some(member) if member.present && member.generation == self.generation => Standing::Current,
            _ => Standing::Behind,
        }
    }

    /// Whether it has not been removed.
    pub(super) fn has(&self, instance: &str) -> bool {
        self.members.get(instance).is_some_and(|member| member.present)
    }

    /// A member shows that it lives, and takes part in the current generation. One that was removed is told what it
    /// has lost, and joins anew when it has let go of it.
    pub(super) fn poll(&mut self, instance: &str) {
        let Some(member) = self.members.get_mut(instance) else { return };
        if member.present {
            member.generation = self.generation;
        } else if !member.lost.is_empty() {
            let lost = std::mem::take(&mut member.lost);
            member.events.push_back(GroupEvent::Lost(lost));
        } else if member.events.is_empty() {
            member.present = true;
            self.rebalance();
            if let Some(member) = self.members.get_mut(instance) {
                member.generation = self.generation;
            }
        }
    }

    pub(super) fn owns(&self, instance: &str, at: &TopicPartition) -> bool {
        self.owners.get(at).is_some_and(|owner| owner == instance)
    }

    /// Who owns what.
    pub(super) fn owners(&self) -> BTreeMap<TopicPartition, String> {
        self.owners.clone()
    }

    pub(super) fn next_event(&mut self, instance: &str, epoch: u64) -> Option<GroupEvent> {
        self.members.get_mut(instance).filter(|member| member.epoch == epoch)?.events.pop_front()
    }

    pub(super) fn release(&mut self, instance: &str, epoch: u64, partitions: &[TopicPartition]) {
        if self.standing(instance, epoch) == Standing::Replaced {
            return;
        }
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
        self.generation += u64::from(!events.is_empty());
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
                let epoch = group.members[name].epoch;
                group.poll(name);
                while let Some(event) = group.next_event(name, epoch) {
                    quiet = false;
                    if let GroupEvent::Revoked(list) | GroupEvent::Lost(list) = event {
                        group.release(name, epoch, &list);
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
        group.poll("a");
        let standings = [group.standing("a", first), group.standing("a", second)];
        assert_eq!(standings, [Standing::Replaced, Standing::Current]);
        assert_eq!(group.owned("a"), owned);
        assert_eq!(group.next_event("a", first), None, "events are the successor's");
        assert_eq!(group.next_event("a", second), Some(GroupEvent::Assigned(owned)));
    }

    #[test]
    fn a_removed_member_is_told_what_it_lost_before_it_gets_anything() {
        let mut group = Group::default();
        let epoch = group.join("a", partitions(4));
        settle(&mut group);
        let owned = group.owned("a");
        group.join("b", partitions(4));
        assert!(group.remove("a") && !group.remove("a"));
        assert_eq!(group.standing("a", epoch), Standing::Behind);
        assert_eq!(group.owned("b"), owned);
        group.poll("a");
        assert_eq!(group.next_event("a", epoch), Some(GroupEvent::Lost(owned.clone())));
        assert_eq!(group.next_event("a", epoch), None);
        group.release("a", epoch, &owned);
        settle(&mut group);
        assert_eq!(counts(&group), [2, 2]);
        assert_eq!(group.standing("a", epoch), Standing::Current);
    }
}
