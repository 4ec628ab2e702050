//! `ripen reset`: puts a service's place in its input somewhere else, while none of its workers runs.
//!
//! Ingest and emitter are their offsets. The scorer's state belongs to its offsets, so both go: the group first,
//! then the topic of leads, made anew. Killed in between, the scorers find a state that says where it stands, or no
//! topic; never half of the leads. They then read the activities from the oldest on, and decide everything again.

use std::fmt;
use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ripen_records::{Switch, Text, Topics};
use ripen_runtime::kafka::{KafkaConfig, KafkaLog, admin, groups};
use ripen_runtime::log::PollLimits;
use ripen_runtime::worker::{META_KEY, PartitionMeta};
use ripen_runtime::{Headers, Log as _, OutRecord, Outbox, RecordBatch, To, TopicPartition};
use ripen_scorer::{OLDEST_STATE_FORMAT, SEMANTICS, Shard};

use super::broker;
use super::serve::Service;
use crate::activation::{self, Stored};
use crate::cli::{ResetArgs, ResetService};
use crate::config::{Config, Start};
use crate::failure::{CommandResult, Ended, Failure, say};
use crate::words;

/// Members that have stopped stay in their group for the session timeout; the coordinator needs a moment besides.
const EMPTY_SLACK: Duration = Duration::from_secs(5);
const EMPTY_PAUSE: Duration = Duration::from_millis(500);

pub(super) fn run(arguments: &ResetArgs, config: &Config) -> CommandResult {
    let client = broker::client("reset", config);
    admin::reach(&client).map_err(Failure::new)?;
    match (arguments.service, arguments.to) {
        (ResetService::Scorer, None) => scorer(&client, arguments.yes, config),
        (ResetService::Scorer, Some(_)) => Err(Failure::Usage(
            "the scorer begins at the oldest activity: its state is built from all of them; leave --to out"
                .to_owned(),
        )),
        (ResetService::Ingest | ResetService::Emitter, None) => {
            Err(Failure::Usage("say where to go on: --to earliest, latest or a time".to_owned()))
        }
        (ResetService::Ingest, Some(to)) => {
            let topics = config.sources.iter().map(|source| source.topic.clone()).collect();
            offsets(Service::Ingest, topics, to, arguments.yes, &client, config)
        }
        (ResetService::Emitter, Some(to)) => {
            let topics = vec![Topics::with_prefix(&config.prefix).decisions];
            offsets(Service::Emitter, topics, to, arguments.yes, &client, config)
        }
    }
}

/// Moves the offsets of a service without state.
fn offsets(
    service: Service,
    inputs: Vec<String>,
    to: Start,
    yes: bool,
    client: &KafkaConfig,
    config: &Config,
) -> CommandResult {
    let group = broker::group(service, config);
    let mut log = broker::writer("reset", config)?;
    let mut targets = Vec::new();
    for topic in &inputs {
        for at in broker::partitions(&mut log, topic)? {
            let target = match to {
                Start::Earliest => log.watermarks(&at).map(|(low, _)| low),
                Start::Latest => log.watermarks(&at).map(|(_, high)| high),
                Start::At(at_ms) => log.offset_at(&at, at_ms),
            };
            targets.push((at, target.map_err(Failure::new)?));
        }
    }
    let places: Vec<TopicPartition> = targets.iter().map(|(at, _)| at.clone()).collect();
    let committed = groups::committed(client, &group, &places).map_err(Failure::new)?;
    let moves = targets.iter().zip(committed).map(|((at, target), from)| {
        let from = from.map_or_else(|| "none".to_owned(), |offset| offset.to_string());
        format!("{at}: {from} -> {target}")
    });
    tell(format_args!("offsets of group {group}:"), moves)?;
    if !yes {
        return not_yet();
    }
    await_empty(client, &group)?;
    groups::move_to(client, &group, &targets).map_err(Failure::new)?;
    tell(format_args!("{} goes on there", service.as_str()), [])?;
    Ok(Ended::Good)
}

/// Drops the scorer's state and offsets.
fn scorer(client: &KafkaConfig, yes: bool, config: &Config) -> CommandResult {
    let group = broker::group(Service::Scorer, config);
    let topics = Topics::with_prefix(&config.prefix);
    let mut log = broker::writer("reset", config)?;
    let inputs = broker::partitions(&mut log, &topics.activities)?;
    let mut patience = broker::Patience::new();
    let models = activation::stored_models(&mut log, &topics, &mut |log| patience.wait(log));
    let models = models.map_err(Failure::new)?;
    let mut firsts = Vec::new();
    for at in &inputs {
        firsts.push(first(&mut log, at)?);
    }
    let spec = broker::own_specs(config).into_iter().find(|spec| spec.name == topics.leads);
    let spec = spec.ok_or_else(|| Failure::new("the topic of leads is not among Ripen's topics"))?;
    tell(
        format_args!("topic {} and group {group} are deleted; leads are scored again from:", topics.leads),
        firsts.iter().map(ToString::to_string),
    )?;
    if !yes {
        return not_yet();
    }
    await_empty(client, &group)?;
    groups::delete(client, &group).map_err(Failure::new)?;
    admin::delete_topic(client, &topics.leads).map_err(Failure::new)?;
    admin::apply(client, std::slice::from_ref(&spec)).map_err(Failure::new)?;
    let mut out = Outbox::default();
    for first in &firsts {
        first_state(first, &models, &topics, &group, &mut out)?;
    }
    if !out.is_empty() {
        log.append(&out).map_err(Failure::new)?;
    }
    tell(format_args!("done; start the scorers"), [])?;
    Ok(Ended::Good)
}

/// The oldest record of a partition of activities.
#[derive(Debug)]
struct First {
    at: TopicPartition,
    offset: i64,
    /// Its timestamp, where older ones have been deleted: the switch to the model of that time among them, perhaps.
    cut_ms: Option<i64>,
}

impl fmt::Display for First {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} offset {}", self.at, self.offset)?;
        match self.cut_ms {
            Some(at_ms) => write!(f, ", {}: older activities are not there any more", words::instant(at_ms)),
            None => Ok(()),
        }
    }
}

fn first(log: &mut KafkaLog, at: &TopicPartition) -> Result<First, Failure> {
    let (low, high) = log.watermarks(at).map_err(Failure::new)?;
    let mut first = First { at: at.clone(), offset: low, cut_ms: None };
    if low == 0 || low == high {
        return Ok(first);
    }
    let mut patience = broker::Patience::new();
    let (mut batch, mut ended) = (RecordBatch::new(), Vec::new());
    log.read_from(at, low).map_err(Failure::new)?;
    while batch.is_empty() && ended.is_empty() {
        log.read(&mut batch, PollLimits { records: 1, bytes: 1 }, &mut ended).map_err(Failure::new)?;
        if batch.is_empty() && ended.is_empty() {
            patience.wait(log).map_err(Failure::new)?;
        }
    }
    log.read_stop(at);
    first.cut_ms = batch.iter().next().map(|record| record.timestamp_ms);
    Ok(first)
}

/// Where the first switch may have been deleted with old activities, the state begins with the model of that time.
fn first_state(
    first: &First,
    models: &[Stored],
    topics: &Topics,
    application: &str,
    out: &mut Outbox,
) -> Result<(), Failure> {
    let Some(cut_ms) = first.cut_ms else { return Ok(()) };
    let Some(stored) = model_at(models, cut_ms) else { return Ok(()) };
    let model = ripen_model::compile(&stored.active.hash, &stored.text)
        .map_err(|errors| Failure::new(format_args!("model of topic {}: {errors}", topics.models)))?;
    let mut shard = Shard::new();
    let switch = Switch {
        epoch: stored.active.epoch,
        model_hash: Text::from(stored.active.hash.as_str()),
        semantics: SEMANTICS,
        // Switches that are still in the log name a newer one.
        state_format: OLDEST_STATE_FORMAT,
        at_ms: stored.at_ms,
    };
    shard.switch(&switch, Arc::new(model)).map_err(Failure::new)?;
    let meta = PartitionMeta {
        next_offset: first.offset,
        state_format: shard.state_format(),
        application: application.to_owned(),
        marker: "reset".to_owned(),
        operator: shard.meta(),
    };
    out.push(&OutRecord {
        topic: &topics.leads,
        to: To::Partition(first.at.partition),
        key: Some(META_KEY),
        value: Some(&meta.encode()),
        headers: Headers::EMPTY,
        timestamp_ms: None,
    });
    Ok(())
}

/// The model that was active at a time, as far as the topic of models tells: it keeps each model's last activation.
fn model_at(models: &[Stored], at_ms: i64) -> Option<&Stored> {
    models.iter().rev().find(|model| model.at_ms <= at_ms).or(models.first())
}

/// Waits until the last member's session has ended.
fn await_empty(client: &KafkaConfig, group: &str) -> Result<(), Failure> {
    let until = Instant::now() + client.session_timeout() + EMPTY_SLACK;
    let mut told = false;
    loop {
        let members = groups::members(client, group).map_err(Failure::new)?;
        if members == 0 {
            return Ok(());
        }
        if Instant::now() >= until {
            return Err(Failure::new(format_args!(
                "group {group} still has {members} members: stop every instance of the service first; nothing was \
                 changed"
            )));
        }
        if !told {
            say(format_args!("group {group} has {members} members: waiting for their sessions to end"));
            told = true;
        }
        std::thread::park_timeout(EMPTY_PAUSE);
    }
}

fn not_yet() -> CommandResult {
    say(format_args!("nothing was changed; stop the service, then add --yes"));
    Ok(Ended::Findings)
}

fn tell(title: fmt::Arguments<'_>, lines: impl IntoIterator<Item = String>) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{title}").map_err(Failure::stdout)?;
    for line in lines {
        writeln!(stdout, "  {line}").map_err(Failure::stdout)?;
    }
    stdout.flush().map_err(Failure::stdout)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::ActiveModel;

    #[test]
    fn the_model_of_a_time_is_the_last_one_activated_by_then() {
        let stored = |epoch, at_ms| Stored {
            active: ActiveModel { hash: format!("m{epoch}"), epoch },
            at_ms,
            text: String::new(),
        };
        let models = [stored(1, 100), stored(2, 200), stored(4, 400)];
        for (at_ms, epoch) in [(50, 1), (100, 1), (199, 1), (200, 2), (399, 2), (400, 4), (900, 4)] {
            assert_eq!(model_at(&models, at_ms).map(|model| model.active.epoch), Some(epoch), "{at_ms}");
        }
        assert_eq!(model_at(&[], 1), None);
    }
}
