//! The hot path without Kafka: JSON → ingest → scorer, composed as the services compose it.

#![allow(dead_code, unreachable_pub, reason = "each bench uses a part")]

use std::hint::black_box;
use std::sync::Arc;

use ripen::demo::Traffic;
use ripen_ingest::{
    Arrival, Aside, Format, Ingest, Limits, Needed, NeededField, Outcome, PageFields, RecentLinks, Source,
    links,
};
use ripen_model::Model;
use ripen_model::compiled::PageReads;
use ripen_records::{
    Activity, ActivityRecord, Decision, Input, Origin, Page, Switch, Text, decode_activity, encode_activity,
};
use ripen_scorer::{Applied, Budget, SEMANTICS, STATE_FORMAT, Shard};

/// Records of one transaction.
pub const BATCH: usize = 5_000;

pub const MODEL: &str = include_str!("../dealer.yaml");

pub fn model() -> Arc<Model> {
    Arc::new(ripen_model::compile("dealer.yaml", MODEL).expect("the example compiles"))
}

/// A click of a visitor of its own who takes the price list: it decides a stage at once.
pub fn probe(number: u64) -> String {
    format!(
        r#"{{"type":"track","messageId":"p-{number}","anonymousId":"probe-{number}","event":"form_submit","properties":{{"form":"price_list"}}}}"#
    )
}

/// The dealer's model as it is activated where the clicks arrive long after they happened: none may be late.
pub fn patient_model() -> String {
    let model = include_str!("../../models/auto-dealer.yaml");
    let patient = model.replace("late_accept: 30d", "late_accept: 365d\n  forget_anonymous: 800d");
    assert_ne!(patient, model, "the model says how late is late");
    patient
}

/// One JSON record and its arrival.
#[derive(Clone, Copy)]
pub struct Click {
    pub json: &'static [u8],
    pub arrival_ms: i64,
}

/// So many events of the dealer's month that ingest accepts, in order of arrival; the same every time. They lie one
/// behind the other, as the records of a poll do.
pub fn clicks(leads: u32, count: usize) -> Vec<Click> {
    let mut ingest = ingest(&model());
    let (mut texts, mut clicks) = (Vec::new(), Vec::new());
    for delivered in Traffic::new(1, leads, 30) {
        let mut accepted = false;
        read(&mut ingest, &delivered.line, delivered.arrival_ms, 0, &mut |_, _, _| accepted = true);
        if accepted {
            texts.extend(&delivered.line);
            clicks.push((delivered.line.len(), delivered.arrival_ms));
        }
        if clicks.len() == count {
            break;
        }
    }
    assert_eq!(clicks.len(), count, "more leads are needed");
    let mut rest: &'static [u8] = texts.leak();
    let in_turn = clicks.into_iter().map(|(bytes, arrival_ms)| {
        let (json, behind) = rest.split_at(bytes);
        rest = behind;
        Click { json, arrival_ms }
    });
    in_turn.collect()
}

pub fn ingest(model: &Model) -> Ingest {
    let fields = model.fields();
    let needed = |names: &[String]| names.iter().map(|name| NeededField::new(name)).collect();
    let PageReads { url, host, title, name } = fields.page;
    let needed = Needed {
        page: PageFields { url, host, title, name },
        properties: needed(fields.properties),
        traits: needed(fields.traits),
        max_future_ms: model.time.max_future_ms,
    };
    Ingest::new(Limits::default(), Arrival::FromRecord, &needed)
}

pub fn shard(model: &Arc<Model>) -> Shard {
    let mut shard = Shard::new();
    let switch = Switch {
        epoch: 1,
        model_hash: Text::from(model.hash.as_str()),
        semantics: SEMANTICS,
        state_format: STATE_FORMAT,
        at_ms: 0,
    };
    shard.switch(&switch, Arc::clone(model)).expect("the first model");
    shard.commit();
    shard
}

fn read(
    ingest: &mut Ingest,
    json: &[u8],
    arrival_ms: i64,
    offset: i64,
    accept: &mut dyn FnMut(&ActivityRecord<'_>, &Activity<'_>, Aside<'_>),
) {
    let source = Source { topic: "clickstream", partition: 0, offset, timestamp_ms: arrival_ms };
    ingest.read(Format::Segment, &source, Some(json), &mut |element| {
        if let Outcome::Accepted { activity, record, aside } = element.outcome {
            accept(record, activity, aside);
        }
    });
}

/// The key that ingest gives to the record.
fn lead_of<'a>(record: &'a ActivityRecord<'_>) -> &'a str {
    match record {
        ActivityRecord::Activity(activity) => &activity.ids[0],
        _ => "",
    }
}

/// Reads the clicks into trees of values, as one who knows nothing of them would.
pub fn parse(clicks: &[Click]) {
    for click in clicks {
        black_box(serde_json::from_slice::<serde_json::Value>(click.json).is_ok());
    }
}

/// A record of the activities topic.
pub struct Keyed {
    pub lead: String,
    pub avro: Vec<u8>,
    pub arrival_ms: i64,
}

/// What ingest makes of the clicks.
pub fn records(model: &Model, clicks: &[Click]) -> Vec<Keyed> {
    let (mut ingest, mut recent_links, mut records) = (ingest(model), RecentLinks::default(), Vec::new());
    let mut put = |lead: &str, record: &ActivityRecord<'_>, arrival_ms: i64| {
        let mut avro = Vec::new();
        encode_activity(record, &mut avro).expect("it fits its schema");
        records.push(Keyed { lead: lead.to_owned(), avro, arrival_ms });
    };
    for batch in clicks.chunks(BATCH) {
        for (offset, click) in batch.iter().enumerate() {
            read(&mut ingest, click.json, click.arrival_ms, offset as i64, &mut |record, activity, aside| {
                for link in links(activity, &aside).filter(|link| recent_links.is_new(link)) {
                    let child = link.a.to_string();
                    put(&child, &ActivityRecord::Link(link), click.arrival_ms);
                }
                put(&activity.ids[0], record, click.arrival_ms);
            });
        }
        recent_links.commit();
    }
    records
}

/// Both services without the records between them.
pub struct Hot {
    pub ingest: Ingest,
    pub shard: Shard,
    recent_links: RecentLinks,
    decisions: Vec<Decision>,
    encoded: Vec<u8>,
    pub decided: usize,
    pub changelog_bytes: usize,
}

impl Hot {
    pub fn new(model: &Arc<Model>) -> Hot {
        Hot {
            ingest: ingest(model),
            shard: shard(model),
            recent_links: RecentLinks::default(),
            decisions: Vec::new(),
            encoded: Vec::new(),
            decided: 0,
            changelog_bytes: 0,
        }
    }

    /// Scores the clicks, a transaction for each [`BATCH`]; through the activity's Avro if `rekeyed`.
    pub fn run(&mut self, clicks: &[Click], rekeyed: bool) {
        for batch in clicks.chunks(BATCH) {
            for (offset, click) in batch.iter().enumerate() {
                self.click(click, offset as i64, rekeyed);
            }
            let changelog_bytes = &mut self.changelog_bytes;
            self.shard.seal(&mut |lead, value| *changelog_bytes += lead.len() + value.map_or(0, <[u8]>::len));
            self.shard.commit();
            self.recent_links.commit();
        }
    }

    /// Only reads the clicks, as ingest does.
    pub fn read_only(&mut self, clicks: &[Click]) {
        for (offset, click) in clicks.iter().enumerate() {
            read(&mut self.ingest, click.json, click.arrival_ms, offset as i64, &mut |_, activity, _| {
                black_box(activity);
            });
        }
    }

    fn click(&mut self, click: &Click, offset: i64, rekeyed: bool) {
        let Hot { ingest, shard, recent_links, decisions, encoded, decided, .. } = self;
        read(ingest, click.json, click.arrival_ms, offset, &mut |record, activity, aside| {
            for link in links(activity, &aside) {
                if recent_links.is_new(&link) {
                    let child = link.a.to_string();
                    apply(shard, &child, &ActivityRecord::Link(link), click.arrival_ms, decisions);
                }
            }
            decisions.clear();
            let mut budget = Budget::new(10_000);
            let applied = if rekeyed {
                encoded.clear();
                encode_activity(record, encoded).expect("it fits its schema");
                let record = decode_activity(encoded).expect("just written");
                shard.apply(lead_of(&record), &record, click.arrival_ms, &mut budget, decisions)
            } else {
                shard.apply(&activity.ids[0], record, click.arrival_ms, &mut budget, decisions)
            };
            assert!(!matches!(applied, Ok(Applied::More) | Err(_)), "{applied:?}");
            *decided += decisions.len();
        });
    }
}

/// Applies a record and what the leads send each other because of it.
pub fn apply(
    shard: &mut Shard,
    lead: &str,
    record: &ActivityRecord<'_>,
    arrival_ms: i64,
    decisions: &mut Vec<Decision>,
) {
    decisions.clear();
    let applied = shard.apply(lead, record, arrival_ms, &mut Budget::new(10_000), decisions);
    assert!(!matches!(applied, Ok(Applied::More) | Err(_)), "{applied:?}");
    for sent in shard.take_sent() {
        let record = decode_activity(&sent.value).expect("of the shard's own");
        apply(shard, &sent.lead_id, &record, arrival_ms, decisions);
    }
}

/// Which leads the clicks are of.
#[derive(Debug, Clone, Copy)]
pub enum Drawn {
    /// Each as often as any other: the cache helps least.
    Evenly,
    /// The n-th one as often as 1/n of the first, as visitors of a site come.
    Zipf,
}

/// The number of a lead, below `leads`.
pub fn draw(seed: &mut u64, leads: usize, drawn: Drawn) -> usize {
    *seed = seed.wrapping_add(1);
    let share = (mix(*seed) >> 11) as f64 / (1_u64 << 53) as f64;
    let lead = match drawn {
        Drawn::Evenly => share * leads as f64,
        Drawn::Zipf => (leads as f64).powf(share) - 1.0,
    };
    (lead as usize).min(leads - 1)
}

/// SplitMix64's step and mix: spreads numbers, each to one of its own.
pub fn mix(number: u64) -> u64 {
    let spread = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mixed = (spread ^ (spread >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed ^ (mixed >> 27)
}

/// A page view as ingest writes it.
pub fn page_view<'a>(id: &'a str, event_id: &'a str, path: &'a str, at: i64) -> Activity<'a> {
    Activity {
        event_id: Text::from(event_id),
        name: Text::from("page_view"),
        t_ms: at,
        arrival_ms: at,
        clamped: false,
        origin: Origin::Web,
        ids: vec![Text::from(id)],
        session: None,
        page: Some(Page { path: Some(Text::from(path)), ..Page::default() }),
        utm: None,
        properties: Vec::new(),
        traits: Vec::new(),
        input: Input { topic: Text::from("clickstream"), partition: 0, offset: 0 },
    }
}
