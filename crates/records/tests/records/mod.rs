//! Records to test with: one of each kind, fixed, and random ones.

use std::borrow::Cow;

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use ripen_records::{
    Activity, ActivityRecord, Alert, Atom, Attribute, AudienceChange, Cause, Change, DecidingInput, Decision,
    DecisiveActivity, Erase, Explanation, Field, Handover, HandoverTrait, HistoryEntry, Input, Line,
    LineKind, Link, Origin, Page, Point, ResponseState, ResponseStep, Score, StageChange, Switch, Text, Tick,
    Touch, Touches, Transfer, Utm, Value, VerdictInForce,
};

/// One record of every branch, with every kind of value in them.
pub(crate) fn fixed_activities() -> Vec<(&'static str, ActivityRecord<'static>)> {
    let full = Activity {
        event_id: "ajs-next-1".into(),
        name: "page_view".into(),
        t_ms: 1_767_605_400_007,
        arrival_ms: 1_767_605_400_120,
        clamped: true,
        origin: Origin::Web,
        ids: vec!["user:u-1".into(), "anon:a-1".into()],
        session: Some("s-1".into()),
        page: Some(Page {
            path: Some("/models/купе".into()),
            url: Some("https://dealer.test/models/купе?utm_source=ad".into()),
            host: Some("dealer.test".into()),
            title: Some("Купе".into()),
            referrer: None,
            name: Some("Model".into()),
        }),
        utm: Some(Utm { source: Some("ad".into()), campaign: Some("autumn".into()), ..Utm::default() }),
        properties: vec![
            field("price", Value::Number { micros: -1_250_000 }),
            field("test_drive", Value::Boolean(false)),
            field("model_id", Value::String("coupe".into())),
            field(
                "tags",
                Value::Array(vec![
                    Value::String("new".into()),
                    Value::Boolean(true),
                    Value::Number { micros: i64::MAX },
                ]),
            ),
        ],
        traits: vec![field("none", Value::Array(vec![]))],
        input: Input { topic: "clickstream".into(), partition: 7, offset: 1 << 40 },
    };
    let bare = Activity {
        session: None,
        page: None,
        utm: None,
        properties: vec![],
        traits: vec![],
        origin: Origin::Unstated,
        clamped: false,
        ..full.clone()
    };
    vec![
        ("activity", ActivityRecord::Activity(full)),
        ("activity, bare", ActivityRecord::Activity(bare)),
        (
            "link",
            ActivityRecord::Link(Link {
                a: "user:u-1".into(),
                b: "anon:a-1".into(),
                explicit: false,
                arrival_ms: 1,
            }),
        ),
        (
            "transfer",
            ActivityRecord::Transfer(Transfer {
                from: "anon:a-1".into(),
                arrival_ms: 2,
                epoch: u32::MAX,
                format: u16::MAX,
                state: Cow::Borrowed(&[0, 255, 1]),
            }),
        ),
        ("point", ActivityRecord::Point(Point { root: "user:u-1".into() })),
        ("erase", ActivityRecord::Erase(Erase { request_id: "r-1".into(), arrival_ms: -3, suppress: true })),
        ("tick", ActivityRecord::Tick(Tick { wall_ms: 1_767_605_460_000 })),
        (
            "switch",
            ActivityRecord::Switch(Switch {
                epoch: 1,
                model_hash: "9f2c".into(),
                semantics: 1,
                state_format: 1,
                at_ms: 1_767_605_400_000,
            }),
        ),
    ]
}

/// One decision of every kind of change.
pub(crate) fn fixed_decisions() -> Vec<(&'static str, Decision)> {
    let of = |change| Decision { change, ..stage_decision() };
    vec![
        ("decision, stage", stage_decision()),
        (
            "decision, audience",
            of(Change::AudienceChange(AudienceChange { audience: "mql_30d".into(), entered: true })),
        ),
        (
            "decision, handover",
            of(Change::Handover(Handover {
                stage: "sql".into(),
                incomplete: true,
                missing: vec!["phone".into()],
                traits: vec![HandoverTrait { name: "role".into(), value: "buyer".into() }],
                history: vec![HistoryEntry {
                    t_ms: 7,
                    event: "page_view".into(),
                    about: Some("/p".into()),
                    dwell_ms: Some(90_000),
                }],
            })),
        ),
        (
            "decision, response",
            of(Change::Response(ResponseStep {
                stage: "sql".into(),
                state: ResponseState::Escalated,
                step: 2,
                due_at_ms: Some(9),
            })),
        ),
        (
            "decision, alert",
            of(Change::Alert(Alert { alert: "vip_back".into(), to: vec!["sales".into(), "head".into()] })),
        ),
        ("decision, merged", of(Change::MergedInto("crm:c-1".into()))),
    ]
}

fn stage_decision() -> Decision {
    Decision {
        id: "f3b1c7de-6f0a-5d4e-9a57-2f6a1b8f0c11".into(),
        lead: "user:u-1".into(),
        born_ms: 1_767_605_400_000,
        seq: 2,
        effective_at_ms: 1_767_864_612_345,
        decided_at_ms: 1_767_864_613_001,
        historical: false,
        cause: Cause::FactExpired,
        change: Change::StageChange(StageChange {
            from: "visitor".into(),
            to: "mql".into(),
            from_owner: "robot".into(),
            to_owner: "marketing".into(),
            passed: vec!["iql".into()],
        }),
        model_id: "auto-dealer".into(),
        model_version: 7,
        model_hash: "9f2c".into(),
        stage: "mql".into(),
        owner: "marketing".into(),
        next_step: Some("call back".into()),
        scores: vec![
            Score { name: "interest".into(), milli: 59_400, label: Some("warm".into()) },
            Score { name: "fit".into(), milli: -1, label: None },
        ],
        expected_exit_at_ms: Some(1_768_469_412_345),
        expected_value_micros: Some(250_000_000),
        value_micros: 1,
        attributes: vec![Attribute { name: "priority".into(), value: "A".into() }],
        touches: Touches {
            first: Some(Touch { t_ms: 3, source: Some("ad".into()), ..Touch::default() }),
            last: None,
        },
        input: Some(DecidingInput { topic: "clickstream".into(), partition: 3, offset: 918_273 }),
        explanation: Explanation {
            lines: vec![Line {
                score: "interest".into(),
                kind: LineKind::Framework,
                id: "r".into(),
                milli: 59_400,
            }],
            decisive: vec![DecisiveActivity {
                rule: "r".into(),
                t_ms: 5,
                event_id_hash: "00c0ffee00c0ffee".into(),
                about: Some("/p".into()),
            }],
            atoms: vec![Atom { text: "score.interest >= 50".into(), value: None, truth: true }],
            facts: vec!["asked".into()],
            verdicts: vec![VerdictInForce {
                id: "competitor".into(),
                reason: Some("works there".into()),
                until_ms: Some(11),
            }],
        },
    }
}

fn field(name: &'static str, value: Value<'static>) -> Field<'static> {
    Field { name: name.into(), value }
}

/// Any record of the activities topic.
pub(crate) fn any_activity() -> impl Strategy<Value = ActivityRecord<'static>> {
    prop_oneof![
        4 => activity().prop_map(ActivityRecord::Activity),
        1 => (text(), text(), any::<bool>(), any::<i64>())
            .prop_map(|(a, b, explicit, arrival_ms)| ActivityRecord::Link(Link { a, b, explicit, arrival_ms })),
        1 => (text(), any::<i64>(), any::<u32>(), any::<u16>(), vec(any::<u8>(), 0..64)).prop_map(
            |(from, arrival_ms, epoch, format, state)| ActivityRecord::Transfer(Transfer {
                from, arrival_ms, epoch, format, state: Cow::Owned(state)
            })
        ),
        1 => text().prop_map(|root| ActivityRecord::Point(Point { root })),
        1 => (text(), any::<i64>(), any::<bool>()).prop_map(|(request_id, arrival_ms, suppress)| {
            ActivityRecord::Erase(Erase { request_id, arrival_ms, suppress })
        }),
        1 => any::<i64>().prop_map(|wall_ms| ActivityRecord::Tick(Tick { wall_ms })),
        1 => (any::<u32>(), text(), any::<u16>(), any::<u16>(), any::<i64>()).prop_map(
            |(epoch, model_hash, semantics, state_format, at_ms)| ActivityRecord::Switch(Switch {
                epoch, model_hash, semantics, state_format, at_ms
            })
        ),
    ]
}

fn activity() -> impl Strategy<Value = Activity<'static>> {
    let origin =
        prop_oneof![Just(Origin::Unstated), Just(Origin::Web), Just(Origin::App), Just(Origin::Server)];
    let head = (text(), text(), any::<i64>(), any::<i64>(), any::<bool>(), origin, vec(text(), 0..4));
    let page = (texts(), of(text())).prop_map(|([path, url, host, title, referrer], name)| Page {
        path,
        url,
        host,
        title,
        referrer,
        name,
    });
    let utm = texts().prop_map(|[source, medium, campaign, term, content]| Utm {
        source,
        medium,
        campaign,
        term,
        content,
    });
    let tail = (of(text()), of(page), of(utm), fields(), fields(), (text(), any::<i32>(), any::<i64>()));
    (head, tail).prop_map(|(head, tail)| {
        let (event_id, name, t_ms, arrival_ms, clamped, origin, ids) = head;
        let (session, page, utm, properties, traits, (topic, partition, offset)) = tail;
        let input = Input { topic, partition, offset };
        Activity {
            event_id,
            name,
            t_ms,
            arrival_ms,
            clamped,
            origin,
            ids,
            session,
            page,
            utm,
            properties,
            traits,
            input,
        }
    })
}

fn fields() -> impl Strategy<Value = Vec<Field<'static>>> {
    let scalar = || {
        prop_oneof![
            any::<bool>().prop_map(Value::Boolean),
            any::<i64>().prop_map(|micros| Value::Number { micros }),
            text().prop_map(Value::String),
        ]
    };
    let value = prop_oneof![3 => scalar(), 1 => vec(scalar(), 0..4).prop_map(Value::Array)];
    vec((text(), value).prop_map(|(name, value)| Field { name, value }), 0..5)
}

/// Any decision.
pub(crate) fn any_decision() -> impl Strategy<Value = Decision> {
    let head = (string(), any::<i64>(), 1..=i64::MAX as u64, any::<i64>(), any::<i64>(), any::<bool>());
    let cause = (0..11_usize).prop_map(|position| {
        [
            Cause::Activity,
            Cause::Decay,
            Cause::FactExpired,
            Cause::Verdict,
            Cause::VerdictExpired,
            Cause::Merge,
            Cause::Feedback,
            Cause::ModelChange,
            Cause::Timer,
            Cause::Forgotten,
            Cause::Erased,
        ][position]
    });
    let score =
        (string(), any::<i64>(), of(string())).prop_map(|(name, milli, label)| Score { name, milli, label });
    let input = (string(), any::<i32>(), any::<i64>()).prop_map(|(topic, partition, offset)| DecidingInput {
        topic,
        partition,
        offset,
    });
    let tail = (vec(score, 0..3), of(any::<i64>()), of(input), explanation());
    (head, cause, change(), business(), tail).prop_map(|(head, cause, change, business, tail)| {
        let (id, born_ms, seq, effective_at_ms, model_version, historical) = head;
        let (scores, expected_exit_at_ms, input, explanation) = tail;
        let base = Decision { id, born_ms, seq, effective_at_ms, model_version, historical, ..business };
        Decision { cause, change, scores, expected_exit_at_ms, input, explanation, ..base }
    })
}

/// A decision with any route, value and touches.
fn business() -> impl Strategy<Value = Decision> {
    let attribute = (string(), string()).prop_map(|(name, value)| Attribute { name, value });
    let touch = || {
        let utm = [of(string()), of(string()), of(string()), of(string()), of(string()), of(string())];
        (any::<i64>(), utm).prop_map(|(t_ms, [source, medium, campaign, term, content, referrer_host])| {
            Touch { t_ms, source, medium, campaign, term, content, referrer_host }
        })
    };
    let touches = (of(touch()), of(touch())).prop_map(|(first, last)| Touches { first, last });
    (of(string()), of(any::<i64>()), any::<i64>(), vec(attribute, 0..3), touches).prop_map(
        |(next_step, expected_value_micros, value_micros, attributes, touches)| Decision {
            next_step,
            expected_value_micros,
            value_micros,
            attributes,
            touches,
            ..stage_decision()
        },
    )
}

fn change() -> impl Strategy<Value = Change> {
    let state = prop_oneof![
        Just(ResponseState::Open),
        Just(ResponseState::Overdue),
        Just(ResponseState::Escalated),
        Just(ResponseState::Answered),
        Just(ResponseState::Closed),
    ];
    let handed = (string(), string()).prop_map(|(name, value)| HandoverTrait { name, value });
    let entry = (any::<i64>(), string(), of(string()), of(any::<i64>()))
        .prop_map(|(t_ms, event, about, dwell_ms)| HistoryEntry { t_ms, event, about, dwell_ms });
    prop_oneof![
        (string(), string(), string(), string(), vec(string(), 0..3)).prop_map(
            |(from, to, from_owner, to_owner, passed)| {
                Change::StageChange(StageChange { from, to, from_owner, to_owner, passed })
            }
        ),
        (string(), any::<bool>())
            .prop_map(|(audience, entered)| Change::AudienceChange(AudienceChange { audience, entered })),
        (string(), any::<bool>(), vec(string(), 0..3), vec(handed, 0..3), vec(entry, 0..3)).prop_map(
            |(stage, incomplete, missing, traits, history)| {
                Change::Handover(Handover { stage, incomplete, missing, traits, history })
            }
        ),
        (string(), state, any::<u16>(), of(any::<i64>())).prop_map(|(stage, state, step, due_at_ms)| {
            Change::Response(ResponseStep { stage, state, step, due_at_ms })
        }),
        (string(), vec(string(), 0..3)).prop_map(|(alert, to)| Change::Alert(Alert { alert, to })),
        string().prop_map(Change::MergedInto),
    ]
}

fn explanation() -> impl Strategy<Value = Explanation> {
    let kind = prop_oneof![
        Just(LineKind::Rule),
        Just(LineKind::Cap),
        Just(LineKind::Range),
        Just(LineKind::Fit),
        Just(LineKind::Bonus),
        Just(LineKind::Framework),
    ];
    let line = (string(), kind, string(), any::<i64>()).prop_map(|(score, kind, id, milli)| Line {
        score,
        kind,
        id,
        milli,
    });
    let decisive = (string(), any::<i64>(), string(), of(string()))
        .prop_map(|(rule, t_ms, event_id_hash, about)| DecisiveActivity { rule, t_ms, event_id_hash, about });
    let atom =
        (string(), of(string()), any::<bool>()).prop_map(|(text, value, truth)| Atom { text, value, truth });
    let verdict = (string(), of(string()), of(any::<i64>()))
        .prop_map(|(id, reason, until_ms)| VerdictInForce { id, reason, until_ms });
    (vec(line, 0..4), vec(decisive, 0..4), vec(atom, 0..4), vec(string(), 0..3), vec(verdict, 0..3)).prop_map(
        |(lines, decisive, atoms, facts, verdicts)| Explanation { lines, decisive, atoms, facts, verdicts },
    )
}

fn texts() -> impl Strategy<Value = [Option<Text<'static>>; 5]> {
    [of(text()), of(text()), of(text()), of(text()), of(text())]
}

fn text() -> impl Strategy<Value = Text<'static>> {
    string().prop_map(Text::from)
}

/// Mostly short, at times long enough for a length of two bytes.
fn string() -> impl Strategy<Value = String> {
    prop_oneof![9 => "\\PC{0,9}", 1 => "[a-zж]{60,90}"]
}
