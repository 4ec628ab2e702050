//! Ripen's own activities: what a line becomes, and that the published schema says the same of it.

use ripen_ingest::{
    Arrival, Element, Format, Ingest, Limits, Needed, NeededField, Outcome, PageFields, Source,
};
use ripen_records::Text;

const ARRIVAL: i64 = 1_767_571_200_000; // 2026-01-05T00:00:00Z
const SCHEMA: &str = include_str!("../../../schemas/ripen-input.v1.schema.json");

/// What a line becomes when it stands in a file, or in a topic.
fn read(line: &str, arrival: Arrival) -> String {
    let fields = |names: &[&str]| names.iter().map(|name| NeededField::new(name)).collect::<Vec<_>>();
    let needed = Needed {
        page: PageFields::ALL,
        properties: fields(&["form", "a.b"]),
        traits: fields(&["role", "email_domain", "email"]),
        ..Needed::default()
    };
    let limits = Limits { value_bytes: 4096, ..Limits::default() };
    let source = Source { topic: "f.jsonl", partition: 0, offset: 7, timestamp_ms: ARRIVAL };
    let mut told = Vec::new();
    let mut ingest = Ingest::new(limits, arrival, &needed);
    ingest.read(Format::Ripen, &source, Some(line.as_bytes()), &mut |element| told.push(describe(&element)));
    told.join(" | ")
}

fn describe(element: &Element<'_>) -> String {
    let activity = match &element.outcome {
        Outcome::Accepted { activity, .. } => activity,
        Outcome::Tick { at_ms } => return format!("tick {}", at_ms - ARRIVAL),
        Outcome::Link { a, b, explicit, arrival_ms } => {
            let word = if *explicit { "merge" } else { "link" };
            return format!("{word} {} {} {:?}", a.as_str(), b.as_str(), arrival_ms.map(|ms| ms - ARRIVAL));
        }
        Outcome::Filtered(reason) => return format!("filtered {}", reason.as_str()),
        Outcome::DeadLetter { reason, detail } => return format!("{}: {detail}", reason.as_str()),
    };
    let ids: Vec<&str> = activity.ids.iter().map(Text::as_str).collect();
    let mut parts = vec![activity.name.to_string(), ids.join(",")];
    parts.push(format!(
        "t={} arrival={}",
        activity.t_ms.wrapping_sub(ARRIVAL),
        activity.arrival_ms.wrapping_sub(ARRIVAL)
    ));
    if activity.clamped {
        parts.push("clamped".to_owned());
    }
    parts.push(format!("{:?}", activity.origin));
    parts.extend(activity.session.iter().map(|session| format!("session={}", session.as_str())));
    if let Some(page) = &activity.page {
        parts.extend(page.path.iter().map(|path| format!("path={}", path.as_str())));
        parts.extend(page.referrer.iter().map(|referrer| format!("referrer={}", referrer.as_str())));
    }
    if let Some(utm) = &activity.utm {
        parts.extend(utm.source.iter().map(|source| format!("source={}", source.as_str())));
        parts.extend(utm.campaign.iter().map(|campaign| format!("campaign={}", campaign.as_str())));
    }
    for (kind, fields) in [("p", &activity.properties), ("t", &activity.traits)] {
        parts.extend(fields.iter().map(|field| format!("{kind}.{}={:?}", field.name.as_str(), field.value)));
    }
    if activity.event_id.len() < 64 {
        parts.push(format!("id={}", activity.event_id.as_str()));
    }
    parts.join(" ")
}

#[track_caller]
fn check(line: &str, expect: &str) {
    assert_eq!(read(line, Arrival::FromRecord), expect, "{line}");
    // What the schema refuses is a bad line, and what it allows is none, save where more is asked than it can say.
    let schema: serde_json::Value = serde_json::from_str(SCHEMA).expect("the schema is JSON");
    let validator = jsonschema::validator_for(&schema).expect("the schema is one");
    let beyond_schema = expect.starts_with("filtered") || expect.contains("RFC 3339");
    if let (Ok(value), false) = (serde_json::from_str::<serde_json::Value>(line), beyond_schema) {
        let is_bad = ["wrong_shape", "no_id", "too_large"].iter().any(|reason| expect.starts_with(reason));
        assert_eq!(validator.is_valid(&value), !is_bad, "{line}");
    }
}

#[test]
fn a_line_is_taken_at_its_word() {
    check(
        r#"{"lead":"user:u1","event":"page_view","at":"2026-01-05T00:00:00Z"}"#,
        "page_view user:u1 t=0 arrival=0 Unstated",
    );
    check(
        r#"{"ids":["anon:a","user:u1","user:u1"],"event":"x","event_id":"e-1","at":1767571190000,"arrival":1767571200000,
            "session":"s1","origin":"web"}"#,
        "x user:u1,anon:a t=-10000 arrival=0 Web session=s1 id=e-1",
    );
    check(
        r#"{"lead":"anon:a","ids":["user:u1"],"event":"x","arrival":1767571200001}"#,
        "x anon:a,user:u1 t=1 arrival=1 Unstated",
    );
    check(r#"{"lead":"anon:a","event":"x"}"#, "x anon:a t=0 arrival=0 Unstated");
    check(r#"{"tick":1767571200005}"#, "tick 5");
}

#[test]
fn pages_campaigns_and_persons_are_treated_as_those_of_trackers() {
    check(
        r#"{"lead":"anon:a","event":"page_view","url":"https://s.test/a//b/?utm_source=Ad&utm_campaign=x","utm":{"campaign":" Autumn "}}"#,
        "page_view anon:a t=0 arrival=0 Unstated path=/a/b source=ad campaign=autumn",
    );
    check(
        r#"{"lead":"anon:a","event":"x","path":"/p/","referrer":"https://r.test/","properties":{"form":"demo","unread":1,"a":{"b":2}},"traits":{"role":"ceo"}}"#,
        "x anon:a t=0 arrival=0 Unstated path=/p referrer=https://r.test/ p.form=String(Text(\"demo\")) \
         p.a.b=Number { micros: 2000000 } t.role=String(Text(\"ceo\"))",
    );
    let hash = "bd93ea95f242f02313eccf0ab0bb7fe5121a052de42d2cb7bd332fb9f537cbfa";
    check(
        r#"{"lead":"email:Mail@Yandex.ru","event":"x","traits":{"email":"mail@yandex.ru"}}"#,
        &format!(
            "x email:{hash} t=0 arrival=0 Unstated t.email=String(Text(\"{hash}\")) \
             t.email_domain=String(Text(\"yandex.ru\"))"
        ),
    );
    // An address among the properties is no id: only a line's own ids are.
    check(
        r#"{"lead":"anon:a","event":"x","properties":{"email":"mail@yandex.ru"}}"#,
        "x anon:a t=0 arrival=0 Unstated t.email_domain=String(Text(\"yandex.ru\"))",
    );
}

#[test]
fn event_time_is_never_above_arrival() {
    check(
        r#"{"lead":"anon:a","event":"x","at":1767571260000,"arrival":1767571200000}"#,
        "x anon:a t=0 arrival=0 Unstated",
    );
    check(
        r#"{"lead":"anon:a","event":"x","at":1767571500001,"arrival":1767571200000}"#,
        "x anon:a t=0 arrival=0 clamped Unstated",
    );
}

#[test]
fn bad_lines_say_what_is_wrong_and_quote_nothing() {
    check("nonsense", "not_json: not json, line 1 column 2");
    check("[]", "wrong_shape: not an object");
    check(r#"{"lead":"anon:a"}"#, "wrong_shape: no event");
    check(r#"{"lead":"anon:a","event":""}"#, "wrong_shape: no event");
    check(r#"{"event":"x"}"#, "no_id: neither lead nor ids");
    check(
        r#"{"lead":"a","event":"x"}"#,
        "wrong_shape: an id is no kind:value, kinds: crm, user, email, phone, device, anon",
    );
    check(r#"{"lead":"anon:null","event":"x"}"#, "filtered illegal_id");
    check(r#"{"lead":"anon:a","event":"x","evnt_id":1}"#, "wrong_shape: unknown field, line 1 column 38");
    check(r#"{"lead":"anon:a","event":"x","properties":[]}"#, "wrong_shape: properties is no object");
    check(
        r#"{"lead":"anon:a","event":"x","origin":"moon"}"#,
        "wrong_shape: unknown variant, line 1 column 44",
    );
    check(
        r#"{"lead":"anon:a","event":"x","at":"yesterday"}"#,
        "wrong_shape: at is neither milliseconds nor RFC 3339",
    );
    check(r#"{"lead":"anon:a","event":"x","at":1.5}"#, "wrong_shape: wrong value, line 1 column 38");
    check(r#"{"lead":"anon:a","event":"x","tick":5}"#, ONE_KEY);
    check(r#"{"tick":"5"}"#, "wrong_shape: invalid type, line 1 column 11");
    check(r#"{"tick":5,"link":["user:u","anon:a"]}"#, ONE_KEY);
    check(r#"{"merge":["user:u","anon:a"],"event":"x"}"#, ONE_KEY);
    check(r#"{"link":["user:u"]}"#, "wrong_shape: invalid length, line 1 column 18");
    check(
        r#"{"link":["user:u","x"]}"#,
        "wrong_shape: an id is no kind:value, kinds: crm, user, email, phone, device, anon",
    );
    check(r#"{"link":["user:u","anon:guest"]}"#, "filtered illegal_id");
    let long = format!(r#"{{"lead":"anon:a","event":"x","title":"{}"}}"#, "x".repeat(5_000));
    assert!(
        read(&long, Arrival::FromRecord).starts_with("too_large"),
        "{}",
        read(&long, Arrival::FromRecord)
    );
}

const ONE_KEY: &str = "wrong_shape: a tick, a link or a merge is the one key of its line";

#[test]
fn links_and_merges_join_ids() {
    let link = r#"{"link":["anon:a","user:u"]}"#;
    check(link, "link anon:a user:u None");
    check(r#"{"merge":["user:u","user:v"]}"#, "merge user:u user:v None");
    assert_eq!(read(link, Arrival::Source), "link anon:a user:u Some(0)");
}

#[test]
fn the_clock_of_a_topic_is_that_of_its_brokers() {
    let arrival = r#"{"lead":"anon:a","event":"x","at":1767571190000,"arrival":5}"#;
    assert_eq!(read(arrival, Arrival::Source), "x anon:a t=-10000 arrival=0 Unstated");
    assert_eq!(
        read(r#"{"tick":5}"#, Arrival::Source),
        "wrong_shape: a tick belongs into a file: the clock of a topic is that of its brokers"
    );
}

#[test]
fn hostile_lines_are_read_or_refused() {
    for line in [
        "{".repeat(4_000),
        format!("{}{}", r#"{"lead":"anon:a","event":"x","properties":"#, "[".repeat(3_000)),
        format!(
            r#"{{"lead":"anon:a","event":"x","properties":{}1{}}}"#,
            r#"{"a":"#.repeat(100),
            "}".repeat(100)
        ),
        r#"{"lead":"anon:a","event":"x","at":9223372036854775807,"arrival":-9223372036854775808}"#.to_owned(),
        r#"{"lead":"anon:a","event":"x","properties":{"form":1e999999}}"#.to_owned(),
        "\u{feff}{\"tick\":1}".to_owned(),
    ] {
        let told = read(&line, Arrival::FromRecord);
        assert!(!told.is_empty() && !told.contains(" | "), "exactly one outcome: {told}");
    }
    let mut told = Vec::new();
    let source = Source { topic: "f", partition: 0, offset: 0, timestamp_ms: 0 };
    let mut ingest = Ingest::new(Limits::default(), Arrival::FromRecord, &Needed::default());
    ingest.read(Format::Ripen, &source, Some(b"{\"lead\":\"\xff\"}"), &mut |element| {
        told.push(describe(&element))
    });
    ingest.read(Format::Ripen, &source, None, &mut |element| told.push(describe(&element)));
    assert_eq!(told, ["invalid_utf8: at byte 9", "tombstone: no value"]);
}
