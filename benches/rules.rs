//! What the language costs: many rules against few, compiled conditions against an interpreter, scoring an activity
//! against parsing its JSON.

mod hot;
mod measure;

use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use hot::{Click, Hot, Keyed};
use measure::{figure, ns_per_item, ratio, thread_cpu};
use ripen_model::Model;
use ripen_model::compiled::{PageKindIx, PropertyIx};
use ripen_model::expression::{EventField, FieldValue, Fields};
use ripen_records::{ActivityRecord, decode_activity};
use ripen_scorer::{Applied, Budget, Shard};

const ROUNDS: usize = 7;
const CLICKS: usize = 40_000;

fn main() {
    let clicks = hot::clicks(6_000, CLICKS);
    many_rules(&clicks);
    interpreter();
    apply_and_parse(&clicks);
}

/// The same clicks under 50 rules and under 1,000: a quarter of what is more looks at page views, the rest at other
/// events.
fn many_rules(clicks: &[Click]) {
    let [few, many] = [50, 1_000].map(with_rules);
    let (mut of_few, mut of_many) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        for (model, rounds) in [(&few, &mut of_few), (&many, &mut of_many)] {
            let mut path = Hot::new(model);
            rounds.push(ns_per_item(clicks.len(), || path.run(clicks, false)));
            assert!(path.decided > 0, "the dealer's own rules still decide");
        }
    }
    ratio("rules_1000_over_50", &of_many, &of_few);
}

/// The dealer's model with rules added until there are `count`.
fn with_rules(count: usize) -> Arc<Model> {
    let own = hot::MODEL.matches("\n  - id: ").count();
    let at = hot::MODEL.find("\n# Who this person is").expect("the section behind the rules");
    let (before, after) = hot::MODEL.split_at(at);
    let mut rules = String::new();
    let mut kinds = String::new();
    for n in own..count {
        writeln!(kinds, "  more{n}: [\"/more/{n}/{{*rest}}\"]").expect("a string");
        let (event, condition) = match n % 4 {
            0 => ("page_view".to_owned(), format!("page.kind == 'more{n}'")),
            _ => (format!("event_{n}"), "properties.form == 'more'".to_owned()),
        };
        // A rule that gives points holds evidence: as many as fit into a lead's bound do.
        let gives = if n % 8 < 2 { "points: {interest: 1}, once: true" } else { "set: {more: 1d}" };
        writeln!(rules, "  - {{id: more{n}, event: {event}, where: \"{condition}\", {gives}}}")
            .expect("a string");
    }
    let before = before.replace("\npages:\n", &format!("\npages:\n{kinds}"));
    let text = format!("{before}\n{rules}{after}");
    Arc::new(ripen_model::compile("rules.yaml", &text).unwrap_or_else(|errors| panic!("{errors}")))
}

/// An activity as conditions see it, its fields in the model's slots.
#[derive(Debug)]
struct Event<'a> {
    kind: PageKindIx,
    properties: Vec<(PropertyIx, FieldValue<'a>)>,
}

impl Fields for Event<'_> {
    fn field(&self, field: EventField) -> Option<FieldValue<'_>> {
        match field {
            EventField::Property(ix) => {
                self.properties.iter().find(|(known, _)| *known == ix).map(|(_, value)| *value)
            }
            _ => None,
        }
    }

    fn page_kind(&self) -> Option<PageKindIx> {
        Some(self.kind)
    }
}

/// Conditions of the examples, compiled here and run by the interpreter of the library that parses them.
fn interpreter() {
    const CONDITIONS: [&str; 4] = [
        "page.kind == 'model'",
        "properties.dwell_seconds >= 90",
        "properties.form in ['demo', 'contact_sales', 'order']",
        "page.kind == 'price' && properties.form != 'none' || properties.form.startsWith('test')",
    ];
    let properties =
        [("dwell_seconds", FieldValue::Number(95_000_000)), ("form", FieldValue::Text("contact_sales"))];
    let mut context = cel::Context::default();
    let page = std::collections::HashMap::from([("kind", "price")]);
    let form = std::collections::HashMap::from([
        ("dwell_seconds", cel::Value::Int(95)),
        ("form", cel::Value::from("contact_sales")),
    ]);
    context.add_variable_from_value("page", page);
    context.add_variable_from_value("properties", form);
    let mut lines = String::new();
    for (n, condition) in CONDITIONS.iter().enumerate() {
        writeln!(lines, "  - {{id: r{n}, event: e, where: \"{condition}\", set: {{f: 1d}}}}")
            .expect("a string");
    }
    let text = format!(
        "apiVersion: ripen/v1\nmodel: {{id: m, version: 1}}\n\
         pages: {{model: [\"/m\"], price: [\"/p\"]}}\nrules:\n{lines}\
         stages: [{{id: a, owner: o}}, {{id: b, owner: o, enter: \"fact.f\"}}]\n"
    );
    let model = ripen_model::compile("conditions.yaml", &text).unwrap_or_else(|errors| panic!("{errors}"));
    let place = |names: &[String], name: &str| {
        names.iter().position(|known| known == name).expect("the conditions name it") as u16
    };
    let resolved = properties.map(|(name, value)| (PropertyIx(place(&model.properties, name)), value));
    let kind = PageKindIx(place(&model.page_kinds, "price"));
    let event = Event { kind, properties: resolved.to_vec() };
    let programs: Vec<_> =
        CONDITIONS.iter().map(|text| cel::Program::compile(text).expect("valid CEL")).collect();
    for (rule, program) in model.rules.iter().zip(&programs) {
        let compiled = rule.condition.as_ref().expect("a condition").matches(&event);
        let interpreted = program.execute(&context).expect("it runs");
        assert_eq!(cel::Value::Bool(compiled), interpreted, "both say the same of {}", rule.id);
    }
    let (mut compiled, mut interpreted) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        const TIMES: usize = 100_000;
        compiled.push(ns_per_item(TIMES, || {
            for _ in 0..TIMES {
                for rule in &model.rules {
                    black_box(rule.condition.as_ref().expect("a condition").matches(black_box(&event)));
                }
            }
        }));
        interpreted.push(ns_per_item(TIMES, || {
            for _ in 0..TIMES {
                for program in &programs {
                    let _ = black_box(program.execute(black_box(&context)));
                }
            }
        }));
    }
    ratio("interpreter_over_compiled", &interpreted, &compiled);
}

/// Scoring an activity with its lead in the cache, against parsing its JSON: into a tree of values by the library,
/// and as ingest does. Once by itself, the second half of the clicks after the first, and once as what the whole path
/// takes beyond ingest, from its first click on.
fn apply_and_parse(clicks: &[Click]) {
    let model = hot::model();
    let records = hot::records(&model, clicks);
    let (before, after) = records.split_at(records.len() / 2);
    let (mut apply, mut in_path) = (Vec::new(), Vec::new());
    let (mut parse, mut ingest) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let mut shard = hot::shard(&model);
        score(&mut shard, before);
        apply.push(score(&mut shard, after) / after.len() as f64);
        parse.push(ns_per_item(clicks.len(), || hot::parse(clicks)));
        let mut path = Hot::new(&model);
        let whole = ns_per_item(clicks.len(), || path.run(clicks, false));
        let read = ns_per_item(clicks.len(), || path.read_only(clicks));
        in_path.push(whole - read);
        ingest.push(read);
    }
    figure("apply", "ns/event", &apply);
    ratio("apply_over_json_value", &apply, &parse);
    ratio("apply_in_path_over_json_value", &in_path, &parse);
    ratio("apply_in_path_over_ingest", &in_path, &ingest);
    let uniform = apply_uniformly(&model, parse.len());
    figure("apply_uniform", "ns/event", &uniform);
    ratio("apply_uniform_over_json_value", &uniform, &parse);
}

/// CPU of scoring records, ns, a transaction for each [`hot::BATCH`]. They are decoded a few at a time, which is not counted.
fn score(shard: &mut Shard, records: &[Keyed]) -> f64 {
    let mut decisions = Vec::new();
    let mut spent = Duration::ZERO;
    for batch in records.chunks(hot::BATCH) {
        for few in batch.chunks(256) {
            let decoded: Vec<_> =
                few.iter().map(|keyed| decode_activity(&keyed.avro).expect("just written")).collect();
            let before = thread_cpu();
            let mut expected = 0;
            for (n, (keyed, record)) in few.iter().zip(&decoded).enumerate() {
                if n >= expected {
                    expected = n + shard.expect(few[n..].iter().map(|keyed| keyed.lead.as_str()));
                }
                hot::apply(shard, &keyed.lead, record, keyed.arrival_ms, &mut decisions);
            }
            spent += thread_cpu() - before;
        }
        let before = thread_cpu();
        shard.seal(&mut |lead, value| {
            black_box((lead, value));
        });
        shard.commit();
        spent += thread_cpu() - before;
    }
    spent.as_nanos() as f64
}

/// Scoring page views of leads drawn uniformly from a million, so that none is in the cache: decoding and encoding
/// every lead included, which hardly ever comes twice in a transaction.
fn apply_uniformly(model: &Arc<Model>, rounds: usize) -> Vec<f64> {
    const LEADS: u64 = 1_000_000;
    const VIEWS: usize = 50_000;
    /// 1 November 2026.
    const START_MS: i64 = 1_793_491_200_000;
    let mut shard = hot::shard(model);
    let mut views = 0;
    let mut view = |shard: &mut Shard, lead: u64| {
        views += 1;
        let (id, event_id) = (format!("anon:{lead:032x}"), format!("v{views}"));
        let path = format!("/models/m{}", views % 5);
        let at = START_MS + views * 10;
        let record = ActivityRecord::Activity(hot::page_view(&id, &event_id, &path, at));
        let applied = shard.apply(&id, &record, at, &mut Budget::new(10_000), &mut Vec::new());
        assert!(matches!(applied, Ok(Applied::Accepted { .. })), "{applied:?}");
        if views % hot::BATCH as i64 == 0 {
            shard.seal(&mut |_, _| {});
            shard.commit();
        }
    };
    (0..2 * LEADS).for_each(|lead| view(&mut shard, lead % LEADS));
    // Knuth's linear congruential generator: the same leads in every run.
    let mut drawn = 12_345_u64;
    let mut round = || {
        ns_per_item(VIEWS, || {
            for _ in 0..VIEWS {
                drawn =
                    (drawn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407))
                        >> 1;
                view(&mut shard, drawn % LEADS);
            }
        })
    };
    (0..rounds).map(|_| round()).collect()
}
