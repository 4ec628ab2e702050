//! Each quirk of Segment-like JSON, one row a quirk: a record in, what became of it out.

use ripen_ingest::{
    Arrival, Element, Format, Ingest, Limits, Needed, NeededField, Outcome, PageFields, Sensitive, Source,
    links,
};
use ripen_records::{Text, Value};

const ARRIVAL: i64 = 1_767_571_200_000; // 2026-01-05T00:00:00Z
const SOURCE: Source<'_> = Source { topic: "clicks", partition: 3, offset: 42, timestamp_ms: ARRIVAL };

/// SHA-256 of `mail@yandex.ru` and of `79876543210`, by coreutils.
const EMAIL: &str = "bd93ea95f242f02313eccf0ab0bb7fe5121a052de42d2cb7bd332fb9f537cbfa";
const PHONE: &str = "8bf7d8ef683ac4d7cf7fc6390f99c06e76e0b2022ec0c857c92e0041a53a3d66";

fn ingest() -> Ingest {
    let fields = |names: &[&str]| names.iter().map(|name| NeededField::new(name)).collect::<Vec<_>>();
    let mut properties = fields(&["form", "dwell", "tags", "a.b", "note", "phone", "flag", "url", "result"]);
    properties.push(NeededField { name: "contact".into(), sensitive: Some(Sensitive::Phone) });
    let traits = fields(&["role", "email_domain", "email", "address.city"]);
    let needed = Needed { page: PageFields::ALL, properties, traits, max_future_ms: 300_000 };
    let limits = Limits { value_bytes: 4096, batch_elements: 3, ..Limits::default() };
    Ingest::new(limits, Arrival::Source, &needed)
}

fn read(value: Option<&[u8]>) -> Vec<String> {
    read_by(&mut ingest(), value)
}

fn read_by(ingest: &mut Ingest, value: Option<&[u8]>) -> Vec<String> {
    let mut told = Vec::new();
    ingest.read(Format::Segment, &SOURCE, value, &mut |element| told.push(describe(&element)));
    told
}

/// The parts of an activity that rows look at, one `name=value` each.
fn describe(element: &Element<'_>) -> String {
    let index = element.index.map(|index| format!("[{index}] ")).unwrap_or_default();
    let rest = match &element.outcome {
        Outcome::Filtered(reason) => format!("filtered {}", reason.as_str()),
        Outcome::Tick { .. } | Outcome::Link { .. } => "no activity".to_owned(),
        Outcome::DeadLetter { reason, detail } => format!("dead {}: {detail}", reason.as_str()),
        Outcome::Accepted { activity, aside, .. } => {
            let mut parts = vec![format!("name={}", activity.name.as_str())];
            let joined = links(activity, aside)
                .map(|link| format!("{}>{}{}", &*link.a, &*link.b, if link.explicit { "!" } else { "" }));
            parts.push(format!("links={}", joined.collect::<Vec<_>>().join(",")));
            parts
                .push(format!("ids={}", activity.ids.iter().map(Text::as_str).collect::<Vec<_>>().join(",")));
            parts.push(format!("event_id={}", activity.event_id.as_str()));
            parts.push(format!("t={}", activity.t_ms - ARRIVAL));
            parts.push(format!("clamped={}", activity.clamped));
            parts.push(format!("origin={:?}", activity.origin));
            let optional =
                |name: &str, text: Option<&Text<'_>>| text.map(|text| format!("{name}={}", text.as_str()));
            parts.extend(optional("session", activity.session.as_ref()));
            if let Some(page) = &activity.page {
                parts.extend(optional("path", page.path.as_ref()));
                parts.extend(optional("url", page.url.as_ref()));
                parts.extend(optional("host", page.host.as_ref()));
                parts.extend(optional("title", page.title.as_ref()));
                parts.extend(optional("referrer", page.referrer.as_ref()));
                parts.extend(optional("page", page.name.as_ref()));
            }
            if let Some(utm) = &activity.utm {
                parts.extend(optional("source", utm.source.as_ref()));
                parts.extend(optional("medium", utm.medium.as_ref()));
                parts.extend(optional("campaign", utm.campaign.as_ref()));
                parts.extend(optional("term", utm.term.as_ref()));
                parts.extend(optional("content", utm.content.as_ref()));
            }
            let fields = |prefix: &str, fields: &[ripen_records::Field<'_>]| -> Vec<String> {
                fields.iter().map(|f| format!("{prefix}.{}={}", f.name.as_str(), shown(&f.value))).collect()
            };
            parts.extend(fields("p", &activity.properties));
            parts.extend(fields("t", &activity.traits));
            parts.join(" ")
        }
    };
    index + &rest
}

fn shown(value: &Value<'_>) -> String {
    match value {
        Value::Boolean(flag) => flag.to_string(),
        Value::Number { micros } => format!("{micros}u"),
        Value::String(text) => text.as_str().to_owned(),
        Value::Array(values) => format!("[{}]", values.iter().map(shown).collect::<Vec<_>>().join(",")),
    }
}

/// Every word of `expect` is one of the outcome's words; a word with `!` in front is none of them.
fn check(why: &str, json: &str, expect: &str) {
    let told = read(Some(json.as_bytes()));
    assert_eq!(told.len(), 1, "{why}: {told:?}");
    let words: Vec<&str> = told[0].split(' ').collect();
    for word in expect.split(' ') {
        match word.strip_prefix('!') {
            Some(absent) => {
                assert!(!words.iter().any(|w| w.starts_with(absent)), "{why}: {word} in {words:?}")
            }
            None => assert!(words.contains(&word), "{why}: no {word} in {words:?}"),
        }
    }
}

/// S1: a record links its lead with each of its other ids; explicitly, if the record says that they are one person.
#[test]
fn links_of_a_record() {
    for (why, json, expect) in [
        ("one id", r#"{"type":"page","anonymousId":"a"}"#, "links="),
        ("signed in", r#"{"type":"page","anonymousId":"a","userId":"u"}"#, "links=anon:a>user:u"),
        ("identify", r#"{"type":"identify","anonymousId":"a","userId":"u"}"#, "links=anon:a>user:u"),
        ("a group is no person", r#"{"type":"group","anonymousId":"a","groupId":"g"}"#, "links="),
        (
            "its member is",
            r#"{"type":"group","anonymousId":"a","userId":"u","groupId":"g"}"#,
            "links=anon:a>user:u",
        ),
        (
            "cookie and device are of one rank",
            r#"{"type":"track","event":"x","anonymousId":"z","context":{"device":{"id":"a"}}}"#,
            "links=device:a>anon:z",
        ),
        (
            "each to the strongest, and to no other",
            r#"{"type":"identify","anonymousId":"a","userId":"u","context":{"externalIds":[{"type":"crm","id":"7"}]},
                "traits":{"email":"mail@yandex.ru"}}"#,
            &format!("links=user:u>crm:7,email:{EMAIL}>crm:7,anon:a>crm:7"),
        ),
        (
            "an address as a user id",
            r#"{"type":"page","anonymousId":"a","userId":"mail@yandex.ru"}"#,
            &format!("links=anon:a>email:{EMAIL}"),
        ),
        ("placeholders", r#"{"type":"page","anonymousId":"a","userId":"null"}"#, "links="),
        (
            "twice the same",
            r#"{"type":"page","anonymousId":"mail@yandex.ru","userId":"mail@yandex.ru"}"#,
            "links=",
        ),
        ("an alias", r#"{"type":"alias","previousId":"a","userId":"u"}"#, "links=anon:a>user:u!"),
        (
            "a browser's alias of the cookie that it shows anyway",
            r#"{"type":"alias","previousId":"a","anonymousId":"a","userId":"u"}"#,
            "links=anon:a>user:u",
        ),
        (
            "a browser's alias of a user",
            r#"{"type":"alias","previousId":"v","anonymousId":"a","userId":"u"}"#,
            "links=user:v>user:u!,anon:a>user:u",
        ),
        (
            "and of one who stays",
            r#"{"type":"alias","previousId":"t","anonymousId":"a","userId":"u"}"#,
            "links=user:u>user:t!,anon:a>user:t",
        ),
    ] {
        check(why, json, expect);
    }
}

#[test]
fn types_and_names() {
    for (why, json, expect) in [
        ("track", r#"{"type":"track","event":"form_submit","userId":"u"}"#, "name=form_submit ids=user:u"),
        ("case varies", r#"{"type":"Track","event":"E","userId":"u"}"#, "name=E"),
        ("page", r#"{"type":"PAGE","name":"Home","userId":"u"}"#, "name=page_view page=Home"),
        (
            "its name among properties",
            r#"{"type":"page","properties":{"name":"Home"},"userId":"u"}"#,
            "page=Home",
        ),
        ("screen", r#"{"type":"screen","name":"Cart","userId":"u"}"#, "name=screen_view page=Cart"),
        ("identify", r#"{"type":"Identify","userId":"u"}"#, "name=identify"),
        ("group", r#"{"type":"group","groupId":"g","userId":"u"}"#, "name=group ids=user:u"),
        ("alias", r#"{"type":"Alias","previousId":"a","userId":"u"}"#, "name=alias ids=user:u,anon:a"),
        (
            "a track's name is no page's",
            r#"{"type":"track","event":"E","properties":{"name":"Pen"},"userId":"u"}"#,
            "!page=",
        ),
        ("unknown", r#"{"type":"audienceList","userId":"u"}"#, "dead unknown_type:"),
        ("no type", r#"{"event":"E","userId":"u"}"#, "dead wrong_shape:"),
        ("type no text", r#"{"type":7,"event":"E","userId":"u"}"#, "dead wrong_shape:"),
        ("track without event", r#"{"type":"track","userId":"u"}"#, "dead wrong_shape:"),
        ("track with an empty event", r#"{"type":"track","event":"","userId":"u"}"#, "dead wrong_shape:"),
        (
            "an address in a name",
            r#"{"type":"track","event":"mail:mail@yandex.ru","userId":"u"}"#,
            "name=mail:",
        ),
    ] {
        check(why, json, expect);
    }
}

#[test]
fn ids() {
    let email = format!("email:{EMAIL}");
    let phone = format!("phone:{PHONE}");
    let track = |rest: &str| format!(r#"{{"type":"track","event":"E",{rest}}}"#);
    for (why, rest, expect) in [
        ("anonymous", r#""anonymousId":"a""#, "ids=anon:a"),
        ("integer", r#""anonymousId":17"#, "ids=anon:17"),
        ("integer beyond floats", r#""userId":9007199254740993"#, "ids=user:9007199254740993"),
        ("empty beside another", r#""anonymousId":"a","userId":"""#, "ids=anon:a"),
        ("null beside another", r#""anonymousId":"a","userId":null"#, "ids=anon:a"),
        ("illegal beside another", r#""anonymousId":"a","userId":"undefined""#, "ids=anon:a"),
        (
            "ranked",
            r#""anonymousId":"a","userId":"u","context":{"device":{"id":"d"}}"#,
            "ids=user:u,anon:a,device:d",
        ),
        (
            "crm",
            r#""userId":"u","context":{"externalIds":[{"type":"crm","id":"c"},{"type":"ga","id":"g"}]}"#,
            "ids=crm:c,user:u",
        ),
        (
            "crm, Rudder",
            r#""userId":"u","context":{"externalId":[{"type":"crm","id":7}]}"#,
            "ids=crm:7,user:u",
        ),
        (
            "e-mail, context",
            r#""context":{"traits":{"email":" Mail@Yandex.ru"}},"traits":{"email":"x@y.example"}"#,
            &format!("ids={email}"),
        ),
        ("e-mail, traits", r#""traits":{"email":"mail@yandex.ru"}"#, &format!("ids={email}")),
        ("e-mail, properties", r#""properties":{"email":"mail@yandex.ru"}"#, &format!("ids={email}")),
        ("e-mail as user id", r#""userId":"mail@yandex.ru""#, &format!("ids={email}")),
        ("e-mail as cookie", r#""anonymousId":"mail@yandex.ru""#, &format!("ids={email}")),
        ("phone", r#""properties":{"phone":"+7 (987) 654-32-10"}"#, &format!("ids={phone}")),
        ("phone as a number", r#""traits":{"phone":79876543210}"#, &format!("ids={phone}")),
        ("phone without country", r#""anonymousId":"a","traits":{"phone":"9876543210"}"#, "ids=anon:a"),
        ("escapes", r#""userId":"\u0041\n""#, "ids=user:A\n"),
        (
            "too long beside another",
            &format!(r#""anonymousId":"a","userId":"{}""#, "u".repeat(300)),
            "ids=anon:a",
        ),
        ("too long", &format!(r#""userId":"{}""#, "u".repeat(300)), "dead no_id:"),
        ("empty only", r#""anonymousId":"","userId":"""#, "filtered illegal_id"),
        ("illegal only", r#""anonymousId":"[object Object]","userId":0"#, "filtered illegal_id"),
        ("none", r#""userId":null"#, "dead no_id:"),
        ("odd", r#""userId":{"id":1},"anonymousId":[1]"#, "dead no_id:"),
        ("the last of two", r#""userId":"u","userId":"v""#, "ids=user:v"),
        ("odd context", r#""userId":"u","context":[],"traits":"x","properties":3"#, "ids=user:u"),
    ] {
        check(why, &track(rest), expect);
    }
    check(
        "a group's address is the account's",
        r#"{"type":"group","groupId":"g","anonymousId":"a","traits":{"email":"mail@yandex.ru","role":"x"}}"#,
        "ids=anon:a !t.",
    );
}

#[test]
fn event_ids() {
    let track = |rest: &str| format!(r#"{{"type":"track","event":"E","userId":"u"{rest}}}"#);
    for (why, rest, expect) in [
        ("camel", r#","messageId":"m""#, "event_id=m"),
        ("snake", r#","message_id":"m""#, "event_id=m"),
        ("camel first", r#","message_id":"n","messageId":"m""#, "event_id=m"),
        ("empty camel", r#","message_id":"n","messageId":"""#, "event_id=n"),
        ("number", r#","messageId":12"#, "event_id=12"),
    ] {
        check(why, &track(rest), expect);
    }
    let derived = read(Some(track("").as_bytes()));
    assert_eq!(derived, read(Some(track("").as_bytes())), "the same bytes, the same id");
    assert_ne!(derived, read(Some(track(" ").as_bytes())), "other bytes, another id");
}

#[test]
fn times() {
    let track = |rest: &str| format!(r#"{{"type":"track","event":"E","userId":"u",{rest}}}"#);
    for (why, rest, expect) in [
        ("offset", r#""timestamp":"2026-01-05T05:29:00+05:30""#, "t=-60000"),
        ("number", r#""timestamp":1767571140000"#, "t=-60000"),
        (
            "server corrected",
            r#""timestamp":"2026-01-04T23:59:00Z","originalTimestamp":"2026-01-05T09:59:00Z","sentAt":"2026-01-05T10:00:00Z""#,
            "t=-60000",
        ),
        ("raw", r#""timestamp":"2026-01-05T09:59:00Z","sentAt":"2026-01-05T10:00:00Z""#, "t=-60000"),
        (
            "collected",
            r#""timestamp":"2026-01-05T09:59:00Z","sentAt":"2026-01-05T10:00:00Z","receivedAt":"2026-01-04T23:59:30Z""#,
            "t=-90000",
        ),
        ("none", r#""x":1"#, "t=0"),
        ("garbage", r#""timestamp":"now""#, "t=0 clamped=false"),
        ("future", r#""timestamp":"2026-01-05T00:05:01Z""#, "t=0 clamped=true"),
        ("near future", r#""timestamp":"2026-01-05T00:05:00Z""#, "t=0 clamped=false"),
    ] {
        check(why, &track(rest), expect);
    }
}

#[test]
fn pages_and_campaigns() {
    let page = |rest: &str| format!(r#"{{"type":"page","userId":"u",{rest}}}"#);
    for (why, rest, expect) in [
        (
            "context",
            r#""context":{"page":{"url":"https://S.example/models/a/?x=1#y","path":"/models/a/","referrer":"https://r.example/","title":"A"}}"#,
            "path=/models/a url=https://S.example/models/a/?x=1#y host=s.example title=A referrer=https://r.example/",
        ),
        (
            "properties",
            r#""properties":{"url":"https://s.example/a","path":"/a","title":"A"}"#,
            "path=/a host=s.example title=A p.url=https://s.example/a",
        ),
        (
            "path from the URL",
            r#""context":{"page":{"url":"https://s.example//a%20b/"}}"#,
            "url=https://s.example//a%20b/",
        ),
        (
            "campaign",
            r#""context":{"campaign":{"source":" Google ","medium":"cpc","name":"Spring","term":"t","content":"c"}}"#,
            "source=google medium=cpc campaign=spring term=t content=c",
        ),
        (
            "query",
            r#""context":{"page":{"url":"https://s.example/?utm_source=A%2BB&utm_campaign=x+y&utm_source=z"}}"#,
            "source=a+b campaign=x",
        ),
        ("search", r#""context":{"page":{"path":"/","search":"?utm_medium=cpc"}}"#, "medium=cpc"),
        (
            "the campaign first, the query for the rest",
            r#""context":{"campaign":{"source":"a"},"page":{"url":"/?utm_source=b&utm_term=t"}}"#,
            "source=a term=t",
        ),
        (
            "address in a query",
            r#""context":{"page":{"url":"https://s.example/?e=mail%40yandex.ru"}}"#,
            "url=https://s.example/?e=",
        ),
        (
            "address in a referrer",
            r#""context":{"page":{"referrer":"https://r.example/?q=mail@yandex.ru&x=1"}}"#,
            "referrer=https://r.example/?q=&x=1",
        ),
        ("session", r#""context":{"sessionId":1767571200000}"#, "session=1767571200000"),
        ("channel", r#""channel":"server""#, "origin=Server"),
        ("channel, browser", r#""channel":"browser""#, "origin=Web"),
        ("channel, mobile", r#""context":{"channel":"mobile"}"#, "origin=App"),
        ("no channel", r#""x":1"#, "origin=Unstated !path="),
    ] {
        check(why, &page(rest), expect);
    }
}

#[test]
fn only_what_is_needed_is_kept() {
    let track = |rest: &str| format!(r#"{{"type":"track","event":"E","userId":"u",{rest}}}"#);
    for (why, rest, expect) in [
        (
            "text",
            r#""properties":{"form":"test_drive","name":"Jane","last_name":"Doe"}"#,
            "p.form=test_drive !p.name !p.last_name",
        ),
        ("number", r#""properties":{"dwell":90.1234567}"#, "p.dwell=90123456u"),
        ("boolean", r#""properties":{"flag":false}"#, "p.flag=false"),
        ("list", r#""properties":{"tags":["a",1,true,null,"",[2],{"b":3}]}"#, "p.tags=[a,1000000u,true]"),
        ("nested", r#""properties":{"a":{"b":"c","d":{"b":1}}}"#, "p.a.b=c"),
        ("null and empty", r#""properties":{"form":"","note":null,"dwell":{}}"#, "!p."),
        ("declared phone", r#""properties":{"contact":"+7 987 654-32-10"}"#, &format!("p.contact={PHONE}")),
        ("phone by name", r#""properties":{"phone":"79876543210"}"#, &format!("p.phone={PHONE}")),
        ("an address anywhere", r#""properties":{"note":"mail@yandex.ru"}"#, &format!("p.note={EMAIL}")),
        ("an address within a text", r#""properties":{"note":"to:mail@yandex.ru"}"#, "p.note=to:"),
        (
            "an address within a list",
            r#""properties":{"tags":["mail@yandex.ru"]}"#,
            &format!("p.tags=[{EMAIL}]"),
        ),
        (
            "traits of the call first",
            r#""traits":{"role":"a"},"context":{"traits":{"role":"b","address":{"city":"X"}}}"#,
            "t.role=a t.address.city=X",
        ),
        ("traits of the context", r#""context":{"traits":{"role":"b"}}"#, "t.role=b"),
        (
            "domain",
            r#""traits":{"email":"Mail@Yandex.RU "}"#,
            &format!("t.email={EMAIL} t.email_domain=yandex.ru"),
        ),
        ("domain of the user id", r#""x":1,"userId":"mail@yandex.ru""#, "t.email_domain=yandex.ru"),
        ("stated domain", r#""traits":{"email_domain":" Rival.Example "}"#, "t.email_domain=rival.example"),
        ("half an emoji", r#""properties":{"note":"a\ud83d"}"#, "p.note=a\u{fffd}\u{fffd}\u{fffd}"),
    ] {
        check(why, &track(rest), expect);
    }
}

#[test]
fn dead_letters() {
    let deep = format!("{}1{}", r#"{"a":"#.repeat(33), "}".repeat(33));
    let large = format!(r#"{{"a":"{}"}}"#, "x".repeat(4096));
    for (value, expect) in [
        (None, "dead tombstone: no value"),
        (Some(&b"\xff{}"[..]), "dead invalid_utf8: at byte 0"),
        (Some(b"{\"a\":\"\xc3\x28\"}"), "dead invalid_utf8: at byte 6"),
        (Some(large.as_bytes()), "dead too_large: 4104 bytes"),
        (Some(deep.as_bytes()), "dead too_deep: over 32 levels"),
        (Some(b""), "dead not_json: line 1 column 0"),
        (Some(b"jane@shop.example"), "dead not_json: line 1 column 1"),
        (Some(b"{\"type\":\"track\""), "dead not_json: line 1 column 15"),
        (Some(b"{} {}"), "dead not_json: line 1 column 4"),
        (Some(b"[]"), "dead wrong_shape: not an object"),
        (Some(b"\"text\""), "dead wrong_shape: not an object"),
        (Some(b"null"), "dead wrong_shape: not an object"),
        (Some(b"{}"), "dead wrong_shape: no type"),
        (Some(br#"{"type":"record","userId":"u"}"#), "dead unknown_type: unknown type"),
        (Some(br#"{"type":"page"}"#), "dead no_id: no id"),
        (Some(br#"{"batch":{}}"#), "dead wrong_shape: batch is no list"),
        (Some(br#"{"batch":[1,2,3,4]}"#), "dead too_large: batch of over 3 elements"),
    ] {
        assert_eq!(read(value), [expect], "{value:?}");
    }
}

#[test]
fn a_byte_order_mark_is_no_harm() {
    check("bom", "\u{feff}{\"type\":\"page\",\"userId\":\"u\"}", "name=page_view");
}

#[test]
fn every_element_of_a_batch_has_its_outcome() {
    let batch = r#"{"sentAt":"2026-01-05T10:00:00Z","batch":[
        {"type":"track","event":"E","userId":"u","messageId":"m","timestamp":"2026-01-05T09:59:00Z"},
        {"type":"track","event":"E"},
        {"type":"page","userId":"null"}]}"#;
    assert_eq!(
        read(Some(batch.as_bytes())),
        [
            "[0] name=E links= ids=user:u event_id=m t=-60000 clamped=false origin=Unstated",
            "[1] dead no_id: no id",
            "[2] filtered illegal_id"
        ]
    );
    let odd = r#"{"batch":[7,{"batch":[]}]}"#;
    let expect = ["[0] dead wrong_shape: not an object", "[1] dead wrong_shape: batch within a batch"];
    assert_eq!(read(Some(odd.as_bytes())), expect);
    assert_eq!(read(Some(br#"{"batch":[]}"#)), ["filtered empty_batch"]);
}

#[test]
fn crawlers_are_filtered() {
    let page = |user_agent: &str| {
        format!(r#"{{"type":"page","userId":"u","context":{{"userAgent":"{user_agent}"}}}}"#)
    };
    check(
        "crawler",
        &page("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"),
        "filtered bot",
    );
    check(
        "browser",
        &page(
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36",
        ),
        "name=page_view",
    );
    let brands = r#"{"type":"page","userId":"u","context":{"userAgentData":{"brands":[{"brand":"HeadlessChrome","version":"1"}]}}}"#;
    check("brands", brands, "filtered bot");
}

#[test]
fn what_stays_within_ingest() {
    let seen = |json: &str| {
        let mut seen = None;
        ingest().read(Format::Segment, &SOURCE, Some(json.as_bytes()), &mut |element| {
            if let Outcome::Accepted { aside, .. } = element.outcome {
                let ip = aside.ip().map(|ip| ip.to_string()).unwrap_or_default();
                let group = aside.group_id().unwrap_or_default().into_owned();
                seen = Some(format!("{ip} {group} {:?}", aside.consent()));
            }
        });
        seen.unwrap()
    };
    for (rest, expect) in [
        (r#""request_ip":"[::1]:57363""#, "::1  Unstated"),
        (r#""requestIp":"192.0.2.1:80""#, "192.0.2.1  Unstated"),
        (r#""context":{"ip":"2001:db8::1","groupId":"g"}"#, "2001:db8::1 g Unstated"),
        (r#""context":{"ip":"nowhere","group_id":"h"}"#, " h Unstated"),
        (r#""context":{"consent":{"categoryPreferences":{}}}"#, "  Stated { granted: [], denied: [] }"),
        (
            r#""context":{"consent":{"categoryPreferences":{"ads":false,"site":true}}}"#,
            r#"  Stated { granted: ["site"], denied: ["ads"] }"#,
        ),
        (
            r#""context":{"consentManagement":{"allowedConsentIds":["a"],"deniedConsentIds":["b"]}}"#,
            r#"  Stated { granted: ["a"], denied: ["b"] }"#,
        ),
    ] {
        assert_eq!(seen(&format!(r#"{{"type":"page","userId":"u",{rest}}}"#)), expect, "{rest}");
    }
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    /// Any JSON, with the names that ingest looks at among its names.
    fn any_json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            any::<bool>().prop_map(|flag| flag.to_string()),
            "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,9})?([eE][+-]?[0-9]{1,4})?",
            any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
            Just(r#""\ud83d""#.to_owned()),
            "\"(track|page|identify|group|alias|a@b.example|/%[0-9A-F]{2}/+|\\?utm_source=%4|2026-0[0-9]-01T00:00:00Z)\"",
        ];
        leaf.prop_recursive(6, 64, 6, |inner| {
            let name = "(type|event|name|messageId|userId|anonymousId|previousId|timestamp|sentAt|receivedAt|\
                originalTimestamp|batch|context|properties|traits|page|campaign|url|path|search|referrer|email|phone|\
                form|a|b|tags|userAgent|userAgentData|brands|device|id|externalIds|consent|categoryPreferences|x)";
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(|v| format!("[{}]", v.join(","))),
                prop::collection::vec((name, inner), 0..8).prop_map(|members| {
                    let members: Vec<String> = members.iter().map(|(n, v)| format!("\"{n}\":{v}")).collect();
                    format!("{{{}}}", members.join(","))
                }),
            ]
        })
    }

    fn bytes_of(value: &[u8]) -> (usize, Vec<u8>) {
        let (mut told, mut bytes) = (0, Vec::new());
        ingest().read(Format::Segment, &SOURCE, Some(value), &mut |element| {
            told += 1;
            if let Outcome::Accepted { activity, record, .. } = element.outcome {
                assert!(activity.t_ms <= activity.arrival_ms);
                assert!(!activity.ids.is_empty());
                ripen_records::encode_activity(record, &mut bytes).unwrap();
            }
        });
        (told, bytes)
    }

    proptest! {
        #[test]
        fn bytes_never_panic(value in prop::collection::vec(any::<u8>(), 0..256)) {
            prop_assert_eq!(bytes_of(&value).0, 1);
        }

        #[test]
        fn the_same_record_gives_the_same_bytes(json in any_json()) {
            let (told, bytes) = bytes_of(json.as_bytes());
            prop_assert!(told >= 1);
            prop_assert_eq!(bytes_of(json.as_bytes()), (told, bytes));
        }

        #[test]
        fn cut_records_never_panic(json in any_json(), at in 0usize..200) {
            bytes_of(&json.as_bytes()[..at.min(json.len())]);
        }

        #[test]
        fn no_address_leaves(local in "[a-z]{3,9}", place in 0usize..9) {
            let address = format!("{local}@shop.example");
            let rest = [
                format!(r#""userId":"{address}""#),
                format!(r#""properties":{{"note":"see {address}","form":"{address}","tags":["x {address}"]}}"#),
                format!(r#""traits":{{"email":"{address}","role":"{address}"}}"#),
                format!(r#""context":{{"page":{{"url":"https://s.example/{address}?a={local}%40shop.example#{address}"}}}}"#),
                format!(r#""context":{{"page":{{"referrer":"https://{address}/","title":"{address}","path":"/x/{address}"}}}}"#),
                format!(r#""messageId":"{address}""#),
                format!(r#""context":{{"campaign":{{"source":"{address}"}},"sessionId":"{address}"}}"#),
                format!(r#""name":"{address}""#),
                format!(r#""anonymousId":"{address}","previousId":"{address}""#),
            ];
            for kind in ["page", "identify", "alias"] {
                let json = format!(r#"{{"type":"{kind}","userId":"u",{}}}"#, rest[place]);
                let (_, bytes) = bytes_of(json.as_bytes());
                prop_assert!(!bytes.is_empty());
                let text = String::from_utf8_lossy(&bytes).into_owned();
                prop_assert!(!text.contains("@shop") && !text.contains("%40shop"), "{}: {}", rest[place], text);
            }
        }
    }
}

#[test]
fn of_a_page_only_what_is_needed_travels() {
    let check = |context: &str, page: PageFields, expect: &str| {
        let json = format!(
            r#"{{"type":"page","messageId":"m","anonymousId":"a","name":"N","context":{{"page":{context}}}}}"#
        );
        let needed = Needed { page, ..Needed::default() };
        let told =
            read_by(&mut Ingest::new(Limits::default(), Arrival::Source, &needed), Some(json.as_bytes()));
        let (_, told) = told[0].split_once("origin=Unstated").expect("an activity");
        assert_eq!(told.trim(), expect, "{context}");
    };
    let none = PageFields::default();
    let full = r#"{"path":"/a/","url":"https://s.example/b?utm_source=x","title":"T","referrer":"https://r.example/"}"#;
    check(full, none, "path=/a host=s.example referrer=https://r.example/ source=x");
    check(
        full,
        PageFields { url: true, ..none },
        "path=/a url=https://s.example/b?utm_source=x host=s.example referrer=https://r.example/ source=x",
    );
    check(
        full,
        PageFields { host: true, ..none },
        "path=/a host=s.example referrer=https://r.example/ source=x",
    );
    check(
        full,
        PageFields { title: true, ..none },
        "path=/a host=s.example title=T referrer=https://r.example/ source=x",
    );
    check(
        full,
        PageFields { name: true, ..none },
        "path=/a host=s.example referrer=https://r.example/ page=N source=x",
    );
    check(r#"{"url":"https://s.example/b/"}"#, none, "path=/b");
    check(r#"{"url":"https://s.example/b/"}"#, PageFields { host: true, ..none }, "path=/b host=s.example");
}

#[test]
fn a_page_of_which_nothing_is_needed_is_still_a_page() {
    let page_of = |json: &str| {
        let mut page = None;
        let mut ingest = Ingest::new(Limits::default(), Arrival::Source, &Needed::default());
        ingest.read(Format::Segment, &SOURCE, Some(json.as_bytes()), &mut |element| {
            if let Outcome::Accepted { activity, .. } = element.outcome {
                page = Some(activity.page.is_some());
            }
        });
        page
    };
    let call = |page: &str| {
        page_of(&format!(r#"{{"type":"track","event":"e","anonymousId":"a","context":{{"page":{page}}}}}"#))
    };
    assert_eq!(call(r#"{"title":"T"}"#), Some(true));
    assert_eq!(call(r#"{"title":""}"#), Some(false));
    assert_eq!(call("{}"), Some(false));
    assert_eq!(page_of(r#"{"type":"page","name":"N","anonymousId":"a"}"#), Some(true));
}
