//! The outward contracts, fixed by golden files and checked against the published schemas and CloudEvents'
//! own rules.

mod avro;

use expect_test::{ExpectFile, expect_file};
use ripen_emitter::{EmitOptions, Outward, OutwardTopic, emit, transition_line};
use ripen_records::{
    Alert, Atom, Attribute, AudienceChange, Cause, Change, DecidingInput, Decision, DecisiveActivity,
    Explanation, Handover, Line, LineKind, ResponseState, ResponseStep, Score, StageChange, Touch, Touches,
    VerdictInForce,
};
use serde_json::Value;

const TRANSITION_SCHEMA: &str = include_str!("../../../schemas/leads.transitions.v1.schema.json");
const PROFILE_SCHEMA: &str = include_str!("../../../schemas/leads.profiles.v1.schema.json");

#[test]
fn a_promotion_gives_a_transition_and_a_profile() {
    let records = emitted(&promotion());
    let [transition, profile] = records.as_slice() else { panic!("{} records", records.len()) };
    check(transition, OutwardTopic::Transitions, TRANSITION_SCHEMA, expect_file!["golden/promotion.txt"]);
    check(profile, OutwardTopic::Profiles, PROFILE_SCHEMA, expect_file!["golden/promotion-profile.txt"]);
}

#[test]
fn cooling_needs_no_activity() {
    let records = emitted(&cooling());
    let [transition, profile] = records.as_slice() else { panic!("{} records", records.len()) };
    check(transition, OutwardTopic::Transitions, TRANSITION_SCHEMA, expect_file!["golden/cooling.txt"]);
    check(profile, OutwardTopic::Profiles, PROFILE_SCHEMA, expect_file!["golden/cooling-profile.txt"]);
}

#[test]
fn the_end_of_a_life_is_a_tombstone() {
    for cause in [Cause::Forgotten, Cause::Erased] {
        let records = emitted(&Decision { cause, ..cooling() });
        let topics: Vec<_> = records.iter().map(|r| (r.topic, r.value.is_some())).collect();
        assert_eq!(topics, [(OutwardTopic::Transitions, true), (OutwardTopic::Profiles, false)], "{cause:?}");
    }
    let Change::StageChange(change) = cooling().change else { panic!("a change of stage") };
    let stayed = Change::StageChange(StageChange { to: change.from.clone(), ..change });
    let ended = Decision { change: stayed, cause: Cause::Forgotten, ..cooling() };
    let topics: Vec<_> = emitted(&ended).iter().map(|r| (r.topic, r.value.is_some())).collect();
    assert_eq!(topics, [(OutwardTopic::Profiles, false)], "a life that ends in the first stage");
    assert_eq!(transition_line(&ended), None);
    let merged =
        Decision { change: Change::MergedInto("crm:c-1".into()), cause: Cause::Merge, ..promotion() };
    let topics: Vec<_> = emitted(&merged).iter().map(|r| (r.topic, r.value.is_some())).collect();
    assert_eq!(topics, [(OutwardTopic::Profiles, false)]);
}

#[test]
fn a_tombstone_says_nothing_but_its_key() {
    let records = emitted(&Decision { cause: Cause::Forgotten, ..cooling() });
    let tombstone = records.last().expect("a tombstone");
    assert_eq!((tombstone.key.as_str(), tombstone.headers.len()), ("user:u-184467", 0));
}

#[test]
fn other_changes_have_no_contract_here() {
    for change in [
        Change::AudienceChange(AudienceChange { audience: "mql_30d".into(), entered: true }),
        Change::Handover(Handover {
            stage: "sql".into(),
            incomplete: false,
            missing: vec![],
            traits: vec![],
            history: vec![],
        }),
        Change::Response(ResponseStep {
            stage: "sql".into(),
            state: ResponseState::Open,
            step: 0,
            due_at_ms: None,
        }),
        Change::Alert(Alert { alert: "vip_back".into(), to: vec!["sales".into()] }),
    ] {
        // A lead that is forgotten leaves its audiences before its last change of stage.
        for cause in [Cause::Activity, Cause::Forgotten] {
            let decision = Decision { change: change.clone(), cause, ..promotion() };
            assert_eq!(emitted(&decision), [], "{change:?}");
            assert_eq!(transition_line(&decision), None);
        }
    }
}

#[test]
fn history_is_withheld_unless_asked_for() {
    let decision = Decision { historical: true, ..promotion() };
    assert_eq!(emitted(&decision), []);
    let mut records = Vec::new();
    emit(&decision, &options().delivering_historical(true), |record| records.push(record));
    assert_eq!(records.len(), 2);
    assert_eq!(body(&records[0])["historical"], Value::Bool(true));
}

#[test]
fn a_printed_line_is_the_very_body() {
    for decision in [promotion(), cooling()] {
        let line = transition_line(&decision).expect("a stage change");
        assert_eq!(emitted(&decision)[0].value.as_deref(), Some(line.as_bytes()));
        assert!(!line.contains('\n'));
    }
}

#[test]
fn the_same_decision_gives_the_same_bytes() {
    assert_eq!(emitted(&promotion()), emitted(&promotion()));
}

/// CloudEvents 1.0: attribute names and types, and the Kafka binding's headers in binary mode.
#[test]
fn headers_are_a_cloud_event_in_binary_mode() {
    let records = emitted(&promotion());
    let headers = &records[0].headers;
    let get =
        |name: &str| headers.iter().find(|(n, _)| *n == name).map(|(_, v)| v.as_str()).unwrap_or_default();
    for required in ["ce_specversion", "ce_id", "ce_source", "ce_type"] {
        assert!(!get(required).is_empty(), "{required}");
    }
    for (name, value) in headers {
        let attribute = name.strip_prefix("ce_").unwrap_or(name);
        let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        assert!(*name == "content-type" || attribute.bytes().all(legal) && attribute.len() <= 20, "{name}");
        assert!(!value.is_empty() && !value.chars().any(char::is_control), "{name}");
        assert_eq!(headers.iter().filter(|(n, _)| n == name).count(), 1, "{name} once");
    }
    assert_eq!(get("ce_specversion"), "1.0");
    assert_eq!(get("ce_type"), "com.acme.lead.stage.changed.v1");
    assert!(get("ce_source").starts_with('/'), "a URI reference with a path");
    assert!(get("ce_dataschema").starts_with("urn:ripen:schema:"), "an absolute URI");
    assert_eq!(get("content-type"), "application/json");
    assert_eq!(get("ce_partitionkey"), records[0].key, "the key mapper's extension is the record's key");
    assert_eq!(get("ce_subject"), records[0].key);
    assert_eq!(body(&records[0])["id"], get("ce_id"));
    assert_eq!(body(&records[0])["effective_at"], get("ce_time"));
    let schema: Value = serde_json::from_str(TRANSITION_SCHEMA).expect("json");
    assert_eq!(schema["$id"], get("ce_dataschema"));
    let structured_mode = get("content-type").starts_with("application/cloudevents");
    assert!(!structured_mode, "a reader would look for the attributes in the body");
}

#[test]
fn a_namespace_stands_in_a_uri() {
    for namespace in ["acme", "acme.eu", "a-1"] {
        assert!(EmitOptions::new(namespace).is_ok(), "{namespace}");
    }
    for namespace in ["", "Acme", "a b", "a/b", "ä", &"a".repeat(64)] {
        assert!(EmitOptions::new(namespace).is_err(), "{namespace}");
    }
}

/// The lines of a score add up to it in the text of the body, which has all decimals.
#[test]
fn explanation_lines_add_up() {
    let records = emitted(&promotion());
    let body = body(&records[0]);
    let milli = |number: &Value| (number.as_f64().expect("a number") * 1000.0).round() as i64;
    for (score, points) in body["scores"].as_object().expect("scores") {
        let lines = body["explanation"].as_array().expect("lines").iter();
        let sum: i64 = lines.filter(|l| l["score"] == **score).map(|l| milli(&l["points"])).sum();
        assert_eq!(sum, milli(points), "{score}");
    }
}

/// What `docs/contracts.md` shows is what is sent.
#[test]
fn the_documented_examples_are_the_golden_files() {
    let docs = include_str!("../../../docs/contracts.md");
    let examples: Vec<String> =
        docs.split("```json\n").skip(1).map(|rest| minified(until_fence(rest))).collect();
    let sent: Vec<String> = emitted(&promotion()).iter().map(text).collect();
    assert_eq!(examples, sent);
    let headers: String =
        emitted(&promotion())[0].headers.iter().map(|(n, v)| format!("{n}: {v}\n")).collect();
    assert!(docs.contains(&headers), "headers in docs/contracts.md should be:\n{headers}");
}

fn until_fence(text: &str) -> &str {
    text.split("```").next().unwrap_or_default()
}

fn minified(json: &str) -> String {
    let mut in_text = false;
    let mut escaped = false;
    let mut out = String::new();
    for c in json.chars() {
        let quote = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        in_text ^= quote;
        if in_text || !c.is_whitespace() {
            out.push(c);
        }
    }
    out
}

/// Fixes the record's bytes, and holds them against the JSON Schema, and the transition against its Avro schema.
fn check(record: &Outward, topic: OutwardTopic, schema: &str, golden: ExpectFile) {
    assert_eq!(record.topic, topic);
    let headers: String = record.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    golden.assert_eq(&format!("key: {}\n{headers}\n{}\n", record.key, text(record)));

    let schema: Value = serde_json::from_str(schema).expect("schema is json");
    let validator =
        jsonschema::options().should_validate_formats(true).build(&schema).expect("schema is valid");
    let body = body(record);
    let errors: Vec<String> = validator.iter_errors(&body).map(|e| e.to_string()).collect();
    assert_eq!(errors, [""; 0]);
    let fields: Vec<&String> = body.as_object().expect("an object").keys().collect();
    let described = schema["properties"].as_object().expect("properties");
    assert!(fields.iter().all(|field| described.contains_key(*field)), "every field is described");

    if topic == OutwardTopic::Transitions {
        avro::check(&body);
    }
}

fn emitted(decision: &Decision) -> Vec<Outward> {
    let mut records = Vec::new();
    emit(decision, &options(), |record| records.push(record));
    records
}

fn options() -> EmitOptions {
    EmitOptions::new("acme").expect("a namespace")
}

fn text(record: &Outward) -> String {
    String::from_utf8(record.value.clone().expect("a value")).expect("utf-8")
}

fn body(record: &Outward) -> Value {
    serde_json::from_str(&text(record)).expect("json")
}

fn score(name: &str, milli: i64, label: Option<&str>) -> Score {
    Score { name: name.into(), milli, label: label.map(Into::into) }
}

fn line(score: &str, kind: LineKind, id: &str, milli: i64) -> Line {
    Line { score: score.into(), kind, id: id.into(), milli }
}

fn promotion() -> Decision {
    Decision {
        id: "f3b1c7de-6f0a-5d4e-9a57-2f6a1b8f0c11".into(),
        lead: "user:u-184467".into(),
        born_ms: 1_767_605_400_000,
        seq: 2,
        effective_at_ms: 1_767_864_612_345,
        decided_at_ms: 1_767_864_613_001,
        historical: false,
        cause: Cause::Activity,
        change: Change::StageChange(StageChange {
            from: "visitor".into(),
            to: "mql".into(),
            from_owner: "robot".into(),
            to_owner: "marketing".into(),
            passed: vec!["nurture".into(), "iql".into()],
        }),
        model_id: "auto-dealer".into(),
        model_version: 7,
        model_hash: "9f2c4e8a1b3d5f60718293a4b5c6d7e8f90123456789abcdef0123456789abcd".into(),
        stage: "mql".into(),
        owner: "marketing".into(),
        next_step: Some("send the price list".into()),
        scores: vec![score("interest", 59_400, Some("warm")), score("fit", 20_000, None)],
        expected_exit_at_ms: Some(1_768_469_412_345),
        expected_value_micros: Some(22_500_500_000),
        value_micros: 0,
        attributes: vec![
            Attribute { name: "priority".into(), value: "A".into() },
            Attribute { name: "topic".into(), value: "interest".into() },
        ],
        touches: Touches {
            first: Some(Touch {
                t_ms: 1_767_605_400_007,
                source: Some("ad".into()),
                campaign: Some("autumn".into()),
                ..Touch::default()
            }),
            last: Some(Touch {
                t_ms: 1_767_864_611_900,
                referrer_host: Some("search.example".into()),
                ..Touch::default()
            }),
        },
        input: Some(DecidingInput { topic: "clickstream".into(), partition: 3, offset: 918_273 }),
        explanation: Explanation {
            lines: vec![
                line("interest", LineKind::Rule, "configurator", 45_000),
                line("interest", LineKind::Rule, "price_list", 19_400),
                line("interest", LineKind::Cap, "browsing", -5_000),
                line("fit", LineKind::Fit, "region", 20_000),
            ],
            decisive: vec![DecisiveActivity {
                rule: "configurator".into(),
                t_ms: 1_767_864_611_900,
                event_id_hash: "00c0ffee00c0ffee".into(),
                about: Some("/models/coupe \"x\"".into()),
            }],
            atoms: vec![
                Atom { text: "score.interest >= 50".into(), value: Some("59.400".into()), truth: true },
                Atom { text: "traits.role == 'buyer'".into(), value: None, truth: false },
            ],
            facts: vec!["asked_for_price".into()],
            verdicts: vec![VerdictInForce {
                id: "call_refused".into(),
                reason: Some("asked to be left alone".into()),
                until_ms: Some(1_768_469_412_345),
            }],
        },
    }
}

fn cooling() -> Decision {
    Decision {
        id: "0c9be7b0-1f5e-5b0a-8a0e-7d4f3e2d1c0b".into(),
        seq: 3,
        effective_at_ms: 1_768_469_412_345,
        decided_at_ms: 1_768_469_460_000,
        cause: Cause::Decay,
        change: Change::StageChange(StageChange {
            from: "mql".into(),
            to: "nurture".into(),
            from_owner: "marketing".into(),
            to_owner: "robot".into(),
            passed: vec![],
        }),
        stage: "nurture".into(),
        owner: "robot".into(),
        next_step: None,
        expected_value_micros: None,
        value_micros: 150_000_000,
        attributes: vec![],
        touches: Touches::default(),
        scores: vec![score("interest", 29_999, Some("warm")), score("fit", -500, None)],
        expected_exit_at_ms: None,
        input: None,
        explanation: Explanation {
            lines: vec![
                line("interest", LineKind::Rule, "configurator", 29_999),
                line("fit", LineKind::Fit, "region", -500),
            ],
            atoms: vec![Atom {
                text: "score.interest < 30".into(),
                value: Some("29.999".into()),
                truth: true,
            }],
            ..Explanation::default()
        },
        ..promotion()
    }
}
