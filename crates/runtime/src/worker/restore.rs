//! From assignment to work: side tables, the committed offset, the changelog, the check that they agree.
//!
//! The order matters. The stable committed offset first: it waits until a predecessor's transaction is
//! decided. Then the changelog's high watermark as a read-uncommitted client sees it: whatever that
//! transaction wrote lies before it. Then the last stable offset has to reach it, and only then is the
//! changelog read, so that the first end reported really is the end.

use std::hint::black_box;
use std::ops::RangeInclusive;
use std::time::Duration;

use tracing::{error, info, warn};

use super::meta::{META_KEY, PartitionMeta};
use super::partition::{Partition, Phase};
use super::{FirstStart, Worker, WorkerConfig, WorkerError};
use crate::log::{ErrorClass, Log, LogError, PollLimits};
use crate::operator::{Blocked, Operator, Wiring};
use crate::record::{RecordBatch, TopicPartition};

/// What one step reads of changelogs and tables.
const READ_LIMITS: PollLimits = PollLimits { records: 10_000, bytes: 16 << 20 };
/// Memory that is asked for at once for the state that comes next.
const ROOM_BYTES: usize = 8 << 20;

/// Undecided transactions are aborted by the brokers long before this; a changelog that still does not show what
/// was written to it has lost it.
const SETTLE_LIMIT_MS: i64 = 120_000;
/// Brokers' clocks may differ by this much, so timestamps need not rise with the offsets.
const CLOCK_SKEW_MS: i64 = 60_000;

/// For how long and how often a call is repeated when a worker is made, and the pause between.
const OPEN_LIMIT_MS: i64 = 15_000;
const OPEN_REPEATS: u32 = 500;
const OPEN_PAUSE: Duration = Duration::from_millis(20);

/// Progress of the side tables.
#[derive(Debug, Default)]
pub(super) struct Tables {
    /// Partitions whose end has not been seen yet.
    pending: Vec<TopicPartition>,
    /// A record has arrived since holds were last looked at.
    pub(super) changed: bool,
}

/// Where the next step begins. A partition that has to be tried again ends its step, since each try may take
/// seconds and the group wants to be served; the next step begins behind it, so that no other one waits for it.
#[derive(Debug, Default)]
pub(super) struct Turns {
    locate: usize,
    restore: usize,
    /// Bytes read since room was made.
    read_bytes: usize,
}

impl Tables {
    pub(super) fn ready(&self) -> bool {
        self.pending.is_empty()
    }
}

/// Checks that the topics fit together and starts to read the tables.
pub(super) fn open<L: Log>(
    log: &mut L,
    wiring: &Wiring,
    config: &WorkerConfig,
) -> Result<Tables, WorkerError> {
    let give_up = |error| WorkerError::Log { service: config.service.clone(), error };
    let topics = |problem| WorkerError::Topics { service: config.service.clone(), problem };
    let count = |log: &mut L, topic: &str| {
        let count = patiently(log, |log| log.partition_count(topic)).map_err(give_up)?;
        count.ok_or_else(|| topics(format!("topic {topic} does not exist")))
    };
    for topic in &wiring.outputs {
        count(log, topic)?;
    }
    for input in &wiring.inputs {
        let partitions = count(log, input)?;
        if let Some(changelog) = &wiring.changelog {
            let found = count(log, changelog)?;
            if found != partitions {
                let problem = format!("topic {changelog} has {found} partitions, {input} has {partitions}");
                return Err(topics(problem));
            }
        }
    }
    let mut tables = Tables::default();
    for table in &wiring.tables {
        for partition in 0..count(log, table)? {
            tables.pending.push(TopicPartition::new(table.as_str(), partition));
        }
    }
    for at in &tables.pending {
        let (low, _) = patiently(log, |log| log.watermarks(at)).map_err(give_up)?;
        log.read_from(at, low).map_err(give_up)?;
    }
    Ok(tables)
}

/// Repeats a call that may succeed later: a topic made a moment ago may have no leader yet.
fn patiently<L: Log, T>(log: &mut L, call: impl Fn(&mut L) -> Result<T, LogError>) -> Result<T, LogError> {
    let deadline_ms = log.now_ms() + OPEN_LIMIT_MS;
    let mut times = 0;
    loop {
        times += 1;
        let answer = call(log);
        let again = matches!(&answer, Err(error) if error.class == ErrorClass::Retriable);
        if !again || times >= OPEN_REPEATS || log.now_ms() >= deadline_ms {
            return answer;
        }
        log.wait(OPEN_PAUSE);
    }
}

impl<L: Log, O: Operator> Worker<L, O> {
    /// Reads tables and changelogs a bounded step further.
    pub(super) fn read_side(&mut self) -> Result<bool, WorkerError> {
        let mut batch = std::mem::take(&mut self.read);
        let mut ended = std::mem::take(&mut self.ended);
        batch.clear();
        ended.clear();
        let read = self.log.read(&mut batch, READ_LIMITS, &mut ended);
        if let Err(error) = read
            && error.class != ErrorClass::Retriable
        {
            return Err(self.give_up(error));
        }
        self.make_room(batch.bytes());
        self.take_side_records(&batch);
        for at in &ended {
            self.take_end(at);
        }
        let any = !batch.is_empty() || !ended.is_empty();
        (self.read, self.ended) = (batch, ended);
        Ok(any)
    }

    /// Asks for room ahead of the state that is read: left to itself the heap of a thread (glibc) grows page by page,
    /// with a call of the system for each.
    fn make_room(&mut self, bytes: usize) {
        self.turns.read_bytes += bytes;
        if self.turns.read_bytes > ROOM_BYTES / 2 {
            self.turns.read_bytes = 0;
            // Given back at once, which leaves it at the end of the heap.
            black_box(Vec::<u8>::with_capacity(ROOM_BYTES));
        }
    }

    fn take_side_records(&mut self, batch: &RecordBatch) {
        for record in batch.iter() {
            let Some(key) = record.key else { continue };
            if self.wiring.changelog.as_deref() != Some(record.topic) {
                self.operator.table_record(record.topic, key, record.value);
                self.tables.changed = true;
                continue;
            }
            let restoring = self.partitions.iter_mut().find(|p| p.at.partition == record.partition);
            let Some(Partition { phase, .. }) = restoring else { continue };
            let Phase::Reading { reached, meta, .. } = phase else { continue };
            *reached = record.offset + 1;
            let taken = if key == META_KEY {
                record.value.map(PartitionMeta::decode).transpose().map(|decoded| *meta = decoded)
            } else {
                self.operator.restore(record.partition, key, record.value)
            };
            if let Err(blocked) = taken {
                let reason =
                    format!("{}[{}]@{}: {}", record.topic, record.partition, record.offset, blocked.reason);
                stop(phase, &self.config.service, Blocked { reason, ..blocked });
            }
        }
    }

    /// The end of a table or changelog partition has been reached.
    fn take_end(&mut self, at: &TopicPartition) {
        self.tables.pending.retain(|pending| pending != at);
        if self.wiring.changelog.as_deref() != Some(&*at.topic) {
            return;
        }
        self.log.read_stop(at);
        let restoring = self.partitions.iter_mut().find(|p| p.at.partition == at.partition);
        let Some(Partition { phase, .. }) = restoring else { return };
        let Phase::Reading { committed, low, target, reached, meta } = phase else { return };
        let (committed, low, target) = (*committed, *low, *target);
        // The last record of a transaction is its marker, which is not shown.
        if *reached + 1 < target && !self.log.stable_end(at).is_ok_and(|stable| stable >= target) {
            // A new leader may know less for a moment: its end is not the changelog's.
            warn!(service = self.config.service, %at, reached, target, "changelog ends early: reading it again");
            self.operator.assigned(at.partition);
            *phase = Phase::Settling { committed, low, target, late: None };
            return;
        }
        *phase = Phase::Complete { committed, meta: meta.take() };
    }

    /// Moves arriving partitions on; answers whether any moved.
    pub(super) fn restore(&mut self, now_ms: i64) -> Result<bool, WorkerError> {
        if !self.tables.ready() || self.partitions.iter().all(Partition::is_running) {
            return Ok(false);
        }
        let mut any = self.locate(now_ms)?;
        let (count, first) = (self.partitions.len(), self.turns.restore);
        for index in (0..count).map(|step| (first + step) % count) {
            let moved = match &self.partitions[index].phase {
                Phase::Settling { committed, low, target, .. } => {
                    let (committed, low, target) = (*committed, *low, *target);
                    self.settle(index, committed, low, target, now_ms)
                }
                Phase::Complete { committed, meta } => {
                    let (committed, meta) = (*committed, meta.clone());
                    self.hand_over(index, committed, meta.as_ref());
                    Ok(true)
                }
                Phase::Agreed { start } => {
                    let start = *start;
                    self.begin(index, start).map(|()| true)
                }
                _ => Ok(false),
            };
            match moved {
                Ok(moved) => any |= moved,
                Err(error) if error.class == ErrorClass::Retriable => {
                    self.turns.restore = index + 1;
                    break;
                }
                Err(error) => return Err(self.give_up(error)),
            }
        }
        Ok(any)
    }

    /// Starts to read the changelog once everything that was in it is decided.
    fn settle(
        &mut self,
        index: usize,
        committed: Option<i64>,
        low: i64,
        target: i64,
        now_ms: i64,
    ) -> Result<bool, LogError> {
        let changelog = self.changelog_of(index);
        let stable = self.log.stable_end(&changelog)?;
        if stable < target {
            let partition = &mut self.partitions[index];
            let is_late = now_ms - partition.assigned_ms > SETTLE_LIMIT_MS;
            let Phase::Settling { late, .. } = &mut partition.phase else { return Ok(false) };
            let is_new = is_late && late.is_none();
            if is_new {
                *late = Some(cut_short(&changelog, stable, target));
            }
            return Ok(is_new);
        }
        self.log.read_from(&changelog, low)?;
        self.partitions[index].phase = Phase::Reading { committed, low, target, reached: low, meta: None };
        Ok(true)
    }

    /// Asks for the committed offsets of partitions that have just arrived.
    fn locate(&mut self, now_ms: i64) -> Result<bool, WorkerError> {
        let is_new = |p: &&Partition| matches!(p.phase, Phase::Locating);
        let arrived: Vec<TopicPartition> =
            self.partitions.iter().filter(is_new).map(|p| p.at.clone()).collect();
        if arrived.is_empty() {
            return Ok(false);
        }
        let committed = match self.log.committed(&arrived) {
            Ok(committed) => committed,
            Err(error) if error.class == ErrorClass::Retriable => return Ok(false),
            Err(error) => return Err(self.give_up(error)),
        };
        let (count, first) = (arrived.len(), self.turns.locate);
        for which in (0..count).map(|step| (first + step) % count) {
            let (at, committed) = (&arrived[which], &committed[which]);
            let Some(index) = self.partitions.iter().position(|p| p.at == *at) else { continue };
            match self.locate_one(index, committed.as_ref().map(|committed| committed.offset), now_ms) {
                Ok(()) => {}
                Err(error) if error.class == ErrorClass::Retriable => {
                    self.turns.locate = which + 1;
                    break;
                }
                Err(error) => return Err(self.give_up(error)),
            }
        }
        Ok(true)
    }

    fn locate_one(&mut self, index: usize, committed: Option<i64>, now_ms: i64) -> Result<(), LogError> {
        if self.wiring.changelog.is_none() {
            let at = self.partitions[index].at.clone();
            let (low, high) = self.log.watermarks(&at)?;
            let start = match (committed, self.config.first_start) {
                (Some(offset), _) => offset,
                (None, FirstStart::Earliest) => low,
                (None, FirstStart::Latest) => high,
                (None, FirstStart::Time(at_ms)) => self.log.offset_at(&at, at_ms)?,
            };
            self.run(index, start, low..=high)?;
            let partition = &mut self.partitions[index];
            if committed.is_none() && partition.is_running() {
                // Otherwise a successor would begin at its own "latest", and miss what was written between.
                partition.unpinned = true;
                partition.touched = true;
                self.opened_ms.get_or_insert(now_ms);
            }
            return Ok(());
        }
        let changelog = self.changelog_of(index);
        let (low, high) = self.log.watermarks(&changelog)?;
        self.partitions[index].phase = if low == high {
            Phase::Complete { committed, meta: None }
        } else {
            Phase::Settling { committed, low, target: high, late: None }
        };
        Ok(())
    }

    /// The state is complete: checks it against the committed offset.
    fn hand_over(&mut self, index: usize, committed: Option<i64>, meta: Option<&PartitionMeta>) {
        let (at, changelog) = (self.partitions[index].at.clone(), self.changelog_of(index));
        let operator_meta = meta.map(|meta| meta.operator.as_slice());
        let agreed = meta
            .map_or(Ok(()), |meta| {
                readable(&changelog, meta, self.operator.newest_state_format(), &self.config.application)
            })
            .and_then(|()| agree(&at, &changelog, committed, meta))
            .and_then(|start| self.operator.restored(at.partition, operator_meta).map(|()| start));
        match agreed {
            Ok(start) => self.partitions[index].phase = Phase::Agreed { start },
            Err(blocked) => stop(&mut self.partitions[index].phase, &self.config.service, blocked),
        }
    }

    /// Starts a restored partition, unless its input is another one than its state came from. Deleting a topic
    /// deletes the offsets committed for it, and the offset that the state names may exist in a new one.
    fn begin(&mut self, index: usize, start: Option<i64>) -> Result<(), LogError> {
        let at = self.partitions[index].at.clone();
        let (low, high) = self.log.watermarks(&at)?;
        let start = start.unwrap_or(low);
        if let Some(clock_ms) = self.operator.clock(at.partition) {
            let later = self.log.offset_at(&at, clock_ms.saturating_add(CLOCK_SKEW_MS))?;
            // Where there are none, the answer is the end.
            if later < start.min(high) {
                let blocked = remade(&at, start, later, clock_ms);
                stop(&mut self.partitions[index].phase, &self.config.service, blocked);
                return Ok(());
            }
        }
        self.run(index, start, low..=high)
    }

    /// Starts to read a partition, unless its offset is not `within` the log any more.
    fn run(&mut self, index: usize, start: i64, within: RangeInclusive<i64>) -> Result<(), LogError> {
        let at = self.partitions[index].at.clone();
        if !within.contains(&start) {
            let blocked = Blocked {
                reason: format!(
                    "next offset {start} of {at} is outside the log, which holds {} to {}",
                    within.start(),
                    within.end()
                ),
                advice: format!(
                    "records were lost by retention, or the topic was made anew: `ripen reset {}` goes on with \
                     what there is",
                    self.config.service
                ),
            };
            stop(&mut self.partitions[index].phase, &self.config.service, blocked);
            return Ok(());
        }
        // Refused if it has been taken away again meanwhile: the group's next event says so.
        self.log.start(&at, start)?;
        info!(service = self.config.service, %at, offset = start, "partition running");
        let partition = &mut self.partitions[index];
        partition.phase = Phase::Running;
        partition.position = start;
        partition.committed_position = start;
        Ok(())
    }

    fn changelog_of(&self, index: usize) -> TopicPartition {
        let topic = self.wiring.changelog.as_deref().unwrap_or_default();
        TopicPartition::new(topic, self.partitions[index].at.partition)
    }
}

fn stop(phase: &mut Phase, service: &str, blocked: Blocked) {
    error!(service, "partition stopped: {blocked}");
    *phase = Phase::Stopped(blocked);
}

/// Whether this version of this application can go on with a state.
fn readable(
    changelog: &TopicPartition,
    meta: &PartitionMeta,
    state_format: u16,
    application: &str,
) -> Result<(), Blocked> {
    if meta.application != application {
        return Err(Blocked {
            reason: format!(
                "{changelog} has the state of application {}, this is {application}",
                meta.application
            ),
            advice: "give each application topics of its own, by its prefix".to_owned(),
        });
    }
    if meta.state_format > state_format {
        return Err(Blocked {
            reason: format!(
                "{changelog} has state format {}, this version reads up to {state_format}",
                meta.state_format
            ),
            advice: "run the version that wrote it, or a newer one".to_owned(),
        });
    }
    Ok(())
}

/// Where to start (`None`: at the oldest record), or why state and offsets cannot belong together. The two are
/// written in one transaction, so they differ only if something else has changed one of them. Offsets of a group
/// expire, a changelog does not: without them the meta record decides.
fn agree(
    input: &TopicPartition,
    changelog: &TopicPartition,
    committed: Option<i64>,
    meta: Option<&PartitionMeta>,
) -> Result<Option<i64>, Blocked> {
    let reset = "offsets and changelog must be reset together: `ripen reset scorer`".to_owned();
    match (committed, meta) {
        (Some(offset), Some(meta)) if offset != meta.next_offset => Err(Blocked {
            reason: format!(
                "the group has committed offset {offset} of {input}, {changelog} has state up to {}",
                meta.next_offset
            ),
            advice: reset,
        }),
        (_, Some(meta)) => Ok(Some(meta.next_offset)),
        (Some(offset), None) => Err(Blocked {
            reason: format!("the group has committed offset {offset} of {input}, but {changelog} is empty"),
            advice: reset,
        }),
        (None, None) => Ok(None),
    }
}

fn cut_short(changelog: &TopicPartition, stable: i64, target: i64) -> Blocked {
    Blocked {
        reason: format!(
            "{changelog} can be read up to {stable} only, {target} had been written: brokers have lost the rest, or a \
             transaction is left open"
        ),
        advice: "look for the missing replica or end the transaction with `kafka-transactions`; if records are lost, \
                 `ripen reset scorer` builds the state anew from the activities"
            .to_owned(),
    }
}

fn remade(at: &TopicPartition, start: i64, later: i64, clock_ms: i64) -> Blocked {
    Blocked {
        reason: format!(
            "the state goes up to offset {start} of {at}, with records up to {clock_ms} (Unix ms), but the topic has \
             later ones from offset {later} on: it was made anew"
        ),
        advice: "`ripen reset scorer` builds the state anew from what the topic holds now".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(committed: Option<i64>, meta: Option<(i64, u16, &str)>, expected: Result<Option<i64>, &str>) {
        let (input, changelog) = (TopicPartition::new("in", 3), TopicPartition::new("state", 3));
        let meta = meta.map(|(next_offset, state_format, application)| PartitionMeta {
            next_offset,
            state_format,
            application: application.to_owned(),
            marker: "w:1".to_owned(),
            operator: Vec::new(),
        });
        let agreed = (meta.as_ref())
            .map_or(Ok(()), |meta| readable(&changelog, meta, 2, "ours"))
            .and_then(|()| agree(&input, &changelog, committed, meta.as_ref()));
        match expected {
            Ok(start) => assert_eq!(agreed, Ok(start)),
            Err(part) => {
                let blocked = agreed.unwrap_err().to_string();
                assert!(blocked.contains(part), "{blocked}");
            }
        }
    }

    #[test]
    fn state_and_offsets_start_together_or_not_at_all() {
        check(Some(20), Some((20, 2, "ours")), Ok(Some(20)));
        check(None, Some((20, 1, "ours")), Ok(Some(20)));
        check(None, None, Ok(None));
        check(
            Some(20),
            Some((19, 2, "ours")),
            Err("committed offset 20 of in[3], state[3] has state up to 19"),
        );
        check(Some(20), None, Err("state[3] is empty"));
        check(Some(20), Some((20, 3, "ours")), Err("state format 3, this version reads up to 2"));
        check(
            Some(20),
            Some((20, 2, "theirs")),
            Err("state[3] has the state of application theirs, this is ours"),
        );
    }
}
