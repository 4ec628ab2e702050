//! What is fed: models, clicks, and the records that reach the activities by other ways than ingest.

use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use ripen::activation::push_switch;
use ripen::operators::Models;
use ripen_ingest::Format;
use ripen_model::Model;
use ripen_records::{ActivityRecord, Erase, Link, Switch, Text, Topics, encode_activity};
use ripen_runtime::memory::MemoryTopic;
use ripen_runtime::{Headers, OutRecord, Outbox, TimestampType, To};
use ripen_scorer::{OLDEST_STATE_FORMAT, SEMANTICS, STATE_FORMAT};

use crate::schedule::{Click, Id};

/// 2026-01-05T00:00:00Z, a Monday.
pub(crate) const START_MS: i64 = 1_767_571_200_000;

pub(crate) const SOURCE: &str = "clicks";
pub(crate) const SOURCE_PARTITIONS: i32 = 2;

/// Number of models that a run may activate: those from 0 on, or those from `FORGETTING` on, which are the same but for
/// forgetting a lead within hours.
pub(crate) const MODELS: usize = 3;
pub(crate) const FORGETTING: usize = MODELS;

/// The only models under which a score is a sum over all of a lead's activities, whenever they came: they differ in
/// what is read, not in what is counted.
pub(crate) const READ_ALIKE: [usize; 2] = [0, 1];

/// Small half-lives and short times, so that much becomes due within a run of hours.
const MODEL: &str = "
apiVersion: ripen/v1
model: {id: simulated, version: 1, agreed_by: [marketing], requires_agreement_of: [marketing]}
time: {zone: UTC, late_accept: 30d}
scores:
  heat:  {half_life: 2h, range: [0, 200]}
  worth: {half_life: never, range: [0, 100000]}
groups:
  browsing: {score: heat, max: 60}
rules:
  - {id: view, event: view, points: {heat: 9}, once_per: [properties.page], max: 4, group: browsing}
  - {id: press, event: press, points: {heat: 7, worth: 1}}
  - {id: form, event: form, points: {heat: 30, worth: 5}, once: true, set: {applied: 3h}}
  - {id: daily, event: [view, press, form], points: {worth: 2}, once_per: [day]}
  - {id: refused, event: refuse, once_per: [day], set: {not_now: 90m}}
  - {id: sold, event: won, once: true}
stages:
  - {id: visitor, owner: marketing}
  - {id: warm, owner: marketing, enter: \"score.heat >= 15\", exit: \"score.heat < 8\"}
  - {id: hot, owner: sales, enter: \"score.heat >= 40 || fact.applied\", exit: \"score.heat < 20 && !fact.applied\"}
  - {id: customer, owner: sales, enter: \"seen('sold', '7d')\", terminal: true}
audiences:
  retarget: \"score.heat >= 12 && !fact.not_now\"
  cooling: \"score.heat < 12 && score.worth >= 4\"
handover: {stages: [hot], require: [], history: 5}
response:
  hot: {within: 5m, answered_by: refuse, escalate: [15m, 1h]}
alerts:
  - {id: very_hot, when: \"score.heat >= 60\", to: [sales], cool_down: 1h}
";

/// The file of a model.
pub(crate) fn model_text(which: usize) -> String {
    match which {
        0 => MODEL.to_owned(),
        FORGETTING.. => {
            let forgets = "late_accept: 100m, forget: 7h, forget_anonymous: 100m";
            model_text(which - FORGETTING).replace("late_accept: 30d", forgets)
        }
        1 => MODEL
            .replace("heat: 7, worth: 1", "heat: 11, worth: 3")
            .replace("score.heat >= 40", "score.heat >= 33")
            .replace("score.heat < 8", "score.heat < 10"),
        _ => MODEL
            .replace("half_life: 2h", "half_life: 5h")
            .replace("once_per: [properties.page], max: 4", "once_per: [properties.page], max: 2"),
    }
}

/// The models as services have them, kept so that no run compiles them again.
pub(crate) fn model(which: usize) -> &'static Arc<Model> {
    static KEPT: OnceLock<Vec<Arc<Model>>> = OnceLock::new();
    let taken_in = |which| {
        let (text, mut models) = (model_text(which), Models::default());
        models.record(b"simulated", Some(text.as_bytes()));
        Arc::clone(models.newest().unwrap_or_else(|| panic!("model {which} does not compile")))
    };
    &KEPT.get_or_init(|| (0..2 * MODELS).map(taken_in).collect())[which]
}

pub(crate) fn format(_topic: &str) -> Format {
    Format::Segment
}

pub(crate) fn log_topics(topics: &Topics, partitions: i32) -> Vec<MemoryTopic> {
    let Topics { activities, leads, models, decisions, transitions, profiles, dead_letters } = topics;
    let timestamps = TimestampType::LogAppendTime;
    vec![
        MemoryTopic::new(SOURCE, SOURCE_PARTITIONS),
        MemoryTopic { timestamps, ..MemoryTopic::new(activities, partitions) },
        MemoryTopic::compacted(leads, partitions),
        MemoryTopic::compacted(models, 1),
        MemoryTopic::new(decisions, 2),
        MemoryTopic::new(transitions, 2),
        MemoryTopic::new(profiles, 2),
        MemoryTopic::new(dead_letters, 2),
    ]
}

/// Appends what activating a model appends. The first one is activated by a version that knows the oldest state format.
pub(crate) fn activate(topics: &Topics, partitions: i32, which: usize, epoch: u32, now_ms: i64) -> Outbox {
    let mut out = Outbox::default();
    let switch = Switch {
        epoch,
        model_hash: Text::from(model(which).hash.as_str()),
        semantics: SEMANTICS,
        state_format: if epoch == 1 { OLDEST_STATE_FORMAT } else { STATE_FORMAT },
        at_ms: now_ms,
    };
    push_switch(&mut out, topics, &model_text(which), switch, partitions);
    out
}

/// A click as a tracker sends it.
pub(crate) fn click(click: &Click, now_ms: i64) -> (i32, Vec<u8>) {
    let Click { number, anon, user, event, page, back_ms, partition } = click;
    let at = Timestamp::from_millisecond(now_ms - back_ms).expect("a time of our own");
    let user = user.map(|user| format!(r#","userId":"u{user}""#)).unwrap_or_default();
    let text = format!(
        r#"{{"type":"track","messageId":"m{number}","anonymousId":"a{anon}"{user},"event":"{event}","properties":{{"page":"p{page}"}},"timestamp":"{at}"}}"#
    );
    (*partition, text.into_bytes())
}

pub(crate) fn link(topics: &Topics, a: Id, b: Id, explicit: bool, now_ms: i64) -> Outbox {
    let (a, b) = (a.to_string(), b.to_string());
    let record = Link { a: Text::from(a.as_str()), b: Text::from(b.as_str()), explicit, arrival_ms: now_ms };
    activity(topics, &a, &ActivityRecord::Link(record))
}

pub(crate) fn erase(topics: &Topics, id: Id, suppress: bool, now_ms: i64) -> Outbox {
    let id = id.to_string();
    let record = Erase { request_id: Text::from("request"), arrival_ms: now_ms, suppress };
    activity(topics, &id, &ActivityRecord::Erase(record))
}

fn activity(topics: &Topics, key: &str, record: &ActivityRecord<'_>) -> Outbox {
    let mut value = Vec::new();
    encode_activity(record, &mut value).expect("it fits its schema");
    one(&topics.activities, To::Key, Some(key.as_bytes()), &value)
}

/// One record.
pub(crate) fn one(topic: &str, to: To, key: Option<&[u8]>, value: &[u8]) -> Outbox {
    let mut out = Outbox::default();
    let headers = Headers::EMPTY;
    out.push(&OutRecord { topic, to, key, value: Some(value), headers, timestamp_ms: None });
    out
}
