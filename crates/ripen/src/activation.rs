//! Activating a model: the file goes into the models topic, a switch to it into every partition of activities, all
//! in one transaction, so that no service sees the one without the other.
//!
//! Works on any log. Two activations at once fence each other: they share one transactional id, and the topic is
//! read after the producer has been initialised.

use std::sync::Arc;

use ripen_model::{Level, Model};
use ripen_records::{ActivityRecord, Switch, Text, Topics, encode_activity};
use ripen_runtime::log::PollLimits;
use ripen_runtime::{ErrorClass, Headers, Log, LogError, OutRecord, Outbox, RecordBatch, To, TopicPartition};

use crate::persona::{self, RunError};

/// Header of a model's record: the epoch that it was activated with, in decimal digits.
pub const EPOCH_HEADER: &str = "ripen-epoch";

/// What one read of the models topic brings.
const READ_LIMITS: PollLimits = PollLimits { records: 100, bytes: 16 << 20 };

/// A model that is active.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActiveModel {
    /// The file's hash.
    pub hash: String,
    /// Counts activations, from 1.
    pub epoch: u32,
}

/// How an activation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Activated {
    /// The model is active from here on.
    Now(ActiveModel),
    /// It was active before; nothing was written.
    Already(ActiveModel),
}

/// Why a model was not activated.
#[derive(Debug, thiserror::Error)]
pub enum ActivationError {
    /// Departments have to agree first.
    #[error(
        "model {id} needs the agreement of {missing}: `model.agreed_by` has to name everybody whom \
         `model.requires_agreement_of` names"
    )]
    Agreement {
        /// The model.
        id: String,
        /// Who is missing.
        missing: String,
    },
    /// Its own tests fail.
    #[error(
        "model {id} is not activated: {failed} of its {tests} tests fail, `ripen model test` shows how:\n{which}"
    )]
    Tests {
        /// The model.
        id: String,
        /// How many fail.
        failed: usize,
        /// How many there are.
        tests: usize,
        /// Their names, and the first expectation of each that failed.
        which: String,
    },
    /// It has errors that the linter finds.
    #[error("model {id} is not activated: `ripen model lint` finds errors:\n{errors}")]
    Lint {
        /// The model.
        id: String,
        /// The errors with their places.
        errors: String,
    },
    /// One of its tests cannot be run.
    #[error("model {id} is not activated: the test `{test}` cannot be run: {error}")]
    Run {
        /// The model.
        id: String,
        /// The test.
        test: String,
        /// Why.
        error: RunError,
    },
    /// A record of the models topic that was not written by an activation.
    #[error("model {hash} in topic {topic} has no epoch: it was not written by `ripen model activate`")]
    Foreign {
        /// Its key.
        hash: String,
        /// The topic.
        topic: String,
    },
    /// A topic is missing.
    #[error("topic {topic} does not exist; `ripen topics apply` makes it")]
    NoTopic {
        /// Its name.
        topic: String,
    },
    /// The log has failed.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// Whether a model may be activated at all: agreed upon, without an error of the linter, its own tests passed.
/// `name` is the file's, for places.
///
/// # Errors
/// The first of these that is not so.
pub fn examine(name: &str, model: &Arc<Model>, text: &str) -> Result<(), ActivationError> {
    let id = || model.id.clone();
    let missing = model.agreement.missing();
    if !missing.is_empty() {
        return Err(ActivationError::Agreement { id: id(), missing: missing.join(", ") });
    }
    let found = ripen_model::lint(model, text);
    let errors: Vec<String> = found
        .iter()
        .filter(|finding| finding.level == Level::Error)
        .map(|finding| finding.display(name).to_string())
        .collect();
    if !errors.is_empty() {
        return Err(ActivationError::Lint { id: id(), errors: errors.join("\n") });
    }
    let mut which = Vec::new();
    for persona in &model.personas {
        let judged = persona::judge(model, persona).map_err(|error| ActivationError::Run {
            id: id(),
            test: persona.name.clone(),
            error,
        })?;
        if let Some(failed) = judged.failed.first() {
            which.push(format!("{name}:{}: {}: {}", failed.line, judged.name, failed.message));
        }
    }
    match which.len() {
        0 => Ok(()),
        failed => {
            let tests = model.personas.len();
            Err(ActivationError::Tests { id: id(), failed, tests, which: which.join("\n") })
        }
    }
}

/// Makes `model` (compiled from `text`) the one that scores, once it has passed [`examine`]. `at_ms` is the instant of
/// the switch, Unix milliseconds; `wait` is called while nothing arrives, and fails when it has taken too long.
///
/// # Errors
/// See [`ActivationError`]; nothing has been written then.
pub fn activate<L: Log>(
    log: &mut L,
    topics: &Topics,
    model: &Model,
    text: &str,
    at_ms: i64,
    wait: &mut dyn FnMut(&mut L) -> Result<(), LogError>,
) -> Result<Activated, ActivationError> {
    let partitions = partition_count(log, &topics.activities)?;
    let before = stored_models(log, topics, wait)?.pop().map(|newest| newest.active);
    if let Some(active) = before.as_ref().filter(|active| active.hash == model.hash) {
        return Ok(Activated::Already(active.clone()));
    }
    // Going back to an older model is an activation like any other.
    let epoch = before.map_or(1, |before| before.epoch + 1);
    let active = ActiveModel { hash: model.hash.clone(), epoch };
    let mut out = Outbox::default();
    push_activation(&mut out, topics, &active, text, partitions, at_ms);
    log.append(&out)?;
    Ok(Activated::Now(active))
}

/// The records of an activation: the model's file, and a switch to it in each of `partitions`.
pub fn push_activation(
    out: &mut Outbox,
    topics: &Topics,
    active: &ActiveModel,
    text: &str,
    partitions: i32,
    at_ms: i64,
) {
    let switch = Switch {
        epoch: active.epoch,
        model_hash: Text::from(active.hash.as_str()),
        semantics: ripen_scorer::SEMANTICS,
        state_format: ripen_scorer::STATE_FORMAT,
        at_ms,
    };
    push_switch(out, topics, text, switch, partitions);
}

/// The same by a switch of any version: the model of its hash, and itself in each of `partitions`.
pub fn push_switch(out: &mut Outbox, topics: &Topics, text: &str, switch: Switch<'_>, partitions: i32) {
    let (epoch, at_ms) = (switch.epoch.to_string(), switch.at_ms);
    out.push(&OutRecord {
        topic: &topics.models,
        to: To::Partition(0),
        key: Some(switch.model_hash.as_bytes()),
        value: Some(text.as_bytes()),
        headers: Headers::new(&[(EPOCH_HEADER, Some(epoch.as_bytes()))]),
        timestamp_ms: Some(at_ms),
    });
    let mut value = Vec::new();
    encode_activity(&ActivityRecord::Switch(switch), &mut value).expect("a switch fits its schema");
    for partition in 0..partitions {
        out.push(&OutRecord {
            topic: &topics.activities,
            to: To::Partition(partition),
            key: None,
            value: Some(&value),
            headers: Headers::EMPTY,
            timestamp_ms: Some(at_ms),
        });
    }
}

/// An activated model in the models topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its hash and latest epoch.
    pub active: ActiveModel,
    /// When it was activated last, Unix milliseconds.
    pub at_ms: i64,
    /// The model's file.
    pub text: String,
}

/// All models in the models topic, by their epochs.
///
/// # Errors
/// A missing topic, a record that no activation wrote, a log that fails; whatever `wait` answers.
pub fn stored_models<L: Log>(
    log: &mut L,
    topics: &Topics,
    wait: &mut dyn FnMut(&mut L) -> Result<(), LogError>,
) -> Result<Vec<Stored>, ActivationError> {
    let mut reading = Vec::new();
    for partition in 0..partition_count(log, &topics.models)? {
        let at = TopicPartition::new(topics.models.as_str(), partition);
        let (low, _) = patiently(log, wait, |log| log.watermarks(&at))?;
        log.read_from(&at, low)?;
        reading.push(at);
    }
    let mut found: Vec<Stored> = Vec::new();
    let (mut batch, mut ended) = (RecordBatch::new(), Vec::new());
    while !reading.is_empty() {
        batch.clear();
        ended.clear();
        log.read(&mut batch, READ_LIMITS, &mut ended)?;
        for record in batch.iter() {
            let hash = String::from_utf8_lossy(record.key.unwrap_or_default()).into_owned();
            found.retain(|model| model.active.hash != hash);
            let Some(value) = record.value else { continue };
            let epoch = record.headers.get(EPOCH_HEADER).and_then(|digits| std::str::from_utf8(digits).ok());
            let Some(epoch) = epoch.and_then(|digits| digits.parse().ok()) else {
                return Err(ActivationError::Foreign { hash, topic: topics.models.clone() });
            };
            let text = String::from_utf8_lossy(value).into_owned();
            found.push(Stored { active: ActiveModel { hash, epoch }, at_ms: record.timestamp_ms, text });
        }
        reading.retain(|at| !ended.contains(at));
        for at in &ended {
            log.read_stop(at);
        }
        if batch.is_empty() && !reading.is_empty() {
            wait(log)?;
        }
    }
    found.sort_by_key(|model| model.active.epoch);
    Ok(found)
}

/// Repeats a call that may succeed later: a topic made a moment ago may have no leader yet.
fn patiently<L: Log, T>(
    log: &mut L,
    wait: &mut dyn FnMut(&mut L) -> Result<(), LogError>,
    mut call: impl FnMut(&mut L) -> Result<T, LogError>,
) -> Result<T, LogError> {
    loop {
        match call(log) {
            Err(error) if error.class == ErrorClass::Retriable => wait(log).map_err(|_| error)?,
            answer => return answer,
        }
    }
}

fn partition_count(log: &mut impl Log, topic: &str) -> Result<i32, ActivationError> {
    log.partition_count(topic)?.ok_or_else(|| ActivationError::NoTopic { topic: topic.to_owned() })
}

#[cfg(test)]
mod tests {
    use ripen_records::decode_activity;
    use ripen_runtime::Call;
    use ripen_runtime::memory::{MemoryClient, MemoryLog, MemoryTopic};

    use super::*;

    const MODEL: &str = "apiVersion: ripen/v1\n\
        model: {id: tiny, version: 1, agreed_by: [marketing], requires_agreement_of: [marketing]}\n\
        scores: {interest: {half_life: 7d, range: [0, 100]}}\n\
        rules: [{id: view, event: page_view, points: {interest: 5}, once_per: [day]}]\n\
        stages: [{id: visitor, owner: marketing}, {id: warm, owner: marketing, enter: \"score.interest >= 5\"}]\n";

    fn log(topics: &Topics) -> MemoryLog {
        MemoryLog::new(&[MemoryTopic::new(&topics.activities, 3), MemoryTopic::compacted(&topics.models, 1)])
    }

    fn activate_text(log: &MemoryLog, topics: &Topics, text: &str) -> Result<Activated, ActivationError> {
        let model = ripen_model::compile("model.yaml", text).unwrap_or_else(|errors| panic!("{errors}"));
        let model = Arc::new(model);
        examine("model.yaml", &model, text)?;
        let mut client: MemoryClient = log.client("", "activate", "activate", &[]);
        activate(&mut client, topics, &model, text, 7, &mut |_| panic!("in memory nothing is waited for"))
    }

    fn examine_text(text: &str) -> Result<(), ActivationError> {
        let model = ripen_model::compile("model.yaml", text).unwrap_or_else(|errors| panic!("{errors}"));
        examine("model.yaml", &Arc::new(model), text)
    }

    #[test]
    fn a_model_goes_into_its_topic_and_a_switch_into_every_partition() {
        let topics = Topics::with_prefix("t-");
        let log = log(&topics);
        let mut activities = log.reader(&topics.activities);
        let activated = activate_text(&log, &topics, MODEL).unwrap();
        let Activated::Now(active) = activated else { panic!("{activated:?}") };
        let mut batch = RecordBatch::new();
        assert_eq!(activities.read(&mut batch, READ_LIMITS), 3);
        for (partition, record) in batch.iter().enumerate() {
            assert_eq!(record.partition, partition as i32);
            let decoded = decode_activity(record.value.unwrap()).unwrap();
            let ActivityRecord::Switch(switch) = decoded else { panic!("{decoded:?}") };
            assert_eq!((switch.epoch, &*switch.model_hash, switch.at_ms), (1, active.hash.as_str(), 7));
        }
        assert_eq!(activate_text(&log, &topics, MODEL).unwrap(), Activated::Already(active));
        assert_eq!(activities.read(&mut batch, READ_LIMITS), 0, "nothing is written twice");
    }

    #[test]
    fn what_cannot_be_activated_is_refused_with_the_reason() {
        let topics = Topics::with_prefix("t-");
        let log = log(&topics);
        let check = |text: &str, expect: &str| {
            let error = activate_text(&log, &topics, text).unwrap_err().to_string();
            assert!(error.contains(expect), "{error}");
        };
        check(
            &MODEL.replace("requires_agreement_of: [marketing]", "requires_agreement_of: [marketing, sales]"),
            "model tiny needs the agreement of sales",
        );
        let never = MODEL.replace("score.interest >= 5", "score.interest >= 101");
        check(&never, "model.yaml:5:79: error[never_entered]: the stage `warm` can never be entered");
        let test = |stage: &str| {
            format!(
                "{MODEL}tests:\n  - {{name: reads, events: [{{at: 0h, event: page_view}}], expect: {{stage: {stage}}}}}\n"
            )
        };
        check(&test("visitor"), "1 of its 1 tests fail");
        check(&test("visitor"), "model.yaml:7: reads: the stage is `warm`, expected `visitor`");
        assert!(examine_text(&test("warm")).is_ok());
    }

    #[test]
    fn another_model_and_the_way_back_are_activations() {
        let topics = Topics::with_prefix("t-");
        let log = log(&topics);
        let next = MODEL.replace("version: 1", "version: 2");
        let epochs = [MODEL, next.as_str(), next.as_str(), MODEL].map(|text| {
            match activate_text(&log, &topics, text).unwrap() {
                Activated::Now(active) => (true, active.epoch),
                Activated::Already(active) => (false, active.epoch),
            }
        });
        assert_eq!(epochs, [(true, 1), (true, 2), (false, 2), (true, 3)]);
    }

    #[test]
    fn what_may_succeed_later_is_repeated_within_limits() {
        let failed = |call, class| LogError { class, call, place: None, message: "no leader".to_owned() };
        let check = |class, patience: u32, expect: Result<u32, &str>| {
            let (mut calls, mut left) = (0, patience);
            let mut wait = |_: &mut MemoryClient| {
                left = left.checked_sub(1).ok_or_else(|| failed(Call::Read, ErrorClass::Retriable))?;
                Ok(())
            };
            let mut client = MemoryLog::default().client("", "activate", "activate", &[]);
            let answer = patiently(&mut client, &mut wait, |_| {
                calls += 1;
                if calls > 4 { Ok(calls) } else { Err(failed(Call::Watermarks, class)) }
            });
            assert_eq!(answer.map_err(|error| error.to_string()), expect.map_err(str::to_owned));
        };
        check(ErrorClass::Retriable, 4, Ok(5));
        check(ErrorClass::Retriable, 3, Err("read watermarks: no leader"));
        check(ErrorClass::Fatal, 4, Err("read watermarks: no leader"));
    }

    #[test]
    fn a_missing_topic_is_named() {
        let topics = Topics::with_prefix("none-");
        let error = activate_text(&MemoryLog::default(), &topics, MODEL).unwrap_err().to_string();
        assert_eq!(error, "topic none-ripen.activities.v1 does not exist; `ripen topics apply` makes it");
    }
}
