//! Finds partitions that the group has given to nobody.
//!
//! A cooperative rebalance has two halves: the first takes a partition from its owner, the second, once that one has
//! let go and joined again, gives it to another. If the owner dies between the two and comes back under its
//! `group.instance.id`, the coordinator (Kafka 4.1, classic protocol) lets it in without a rebalance, with what the
//! first half left it. Nobody has a reason to join again, and what was on its way stays without an owner until
//! something else moves the group. So each member that has joined looks whether all partitions have owners; if not, it
//! leaves and joins again, which makes the group give them away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use tracing::{debug, warn};

use super::{KafkaConfig, MemberConfig, groups};
use crate::log::{Call, ErrorClass, LogError};
use crate::record::TopicPartition;

/// Between two looks; twice as long after each time that something was found. A partition counts as left over when two
/// looks in a row find it so: on its way from one member to another, each has none for a moment.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// A thread that looks until all partitions have owners, and ends with the member.
#[derive(Debug)]
pub(super) struct Lookout {
    found: Arc<AtomicBool>,
    _member_lives: Sender<()>,
}

impl Lookout {
    pub(super) fn post(config: &KafkaConfig, identity: &MemberConfig) -> Result<Self, LogError> {
        let found = Arc::<AtomicBool>::default();
        let (member_lives, ended) = mpsc::channel();
        let (config, identity, finds) = (config.clone(), identity.clone(), Arc::clone(&found));
        let thread = std::thread::Builder::new().name("group-lookout".to_owned());
        let thread = thread.spawn(move || look(&config, &identity, &finds, &ended));
        thread.map_err(|error| LogError {
            class: ErrorClass::Fatal,
            call: Call::Assign,
            place: None,
            message: format!("no thread to look at the group: {error}"),
        })?;
        Ok(Lookout { found, _member_lives: member_lives })
    }

    /// Whether partitions were found since the last call.
    pub(super) fn has_found(&self) -> bool {
        self.found.swap(false, Ordering::Relaxed)
    }
}

fn look(config: &KafkaConfig, identity: &MemberConfig, found: &AtomicBool, ended: &Receiver<()>) {
    let mut before: Vec<TopicPartition> = Vec::new();
    let mut pause = LOOK_EVERY;
    while ended.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
        let now = match groups::ownerless(config, &identity.group, &identity.inputs) {
            Ok(Some(now)) if now.is_empty() => return,
            Ok(now) => now.unwrap_or_default(),
            Err(error) => {
                debug!(target: "kafka", "looking at the group: {error}");
                Vec::new()
            }
        };
        if let Some(at) = now.iter().find(|at| before.contains(at)) {
            warn!(group = identity.group, %at, "partitions without an owner: leaving the group and joining again");
            found.store(true, Ordering::Relaxed);
            before.clear();
            pause *= 2;
        } else {
            before = now;
        }
    }
}
