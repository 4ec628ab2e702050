//! What real trackers sent, as they sent it and as a collector passed it on: both give the same activities.

use expect_test::expect;
use ripen_ingest::{Arrival, Format, Ingest, Limits, Needed, NeededField, Outcome, PageFields, Source};
use ripen_records::{Text, Value};

const RAW: &str = include_str!("../../../tests/fixtures/trackers/raw.jsonl");
const RAW_RECEIVED_MS: &str = include_str!("../../../tests/fixtures/trackers/raw.received_ms");
const COLLECTED: &str = include_str!("../../../tests/fixtures/trackers/collected.jsonl");

fn ingest(arrival: Arrival) -> Ingest {
    let fields = |names: &[&str]| names.iter().map(|name| NeededField::new(name)).collect();
    let (properties, traits) = (fields(&["form"]), fields(&["region", "phone", "email_domain"]));
    let needed = Needed { page: PageFields::ALL, properties, traits, max_future_ms: 300_000 };
    Ingest::new(Limits::default(), arrival, &needed)
}

/// One line for each outcome. Cookies are random: they are numbered as they come.
fn story(arrival: Arrival, records: impl Iterator<Item = (&'static str, i64)>) -> String {
    let mut ingest = ingest(arrival);
    let mut told = String::new();
    let mut cookies: Vec<String> = Vec::new();
    for (offset, (line, timestamp_ms)) in records.enumerate() {
        let source = Source { topic: "clicks", partition: 0, offset: offset as i64, timestamp_ms };
        ingest.read(Format::Segment, &source, Some(line.as_bytes()), &mut |element| {
            let line = match element.outcome {
                Outcome::Accepted { activity: a, .. } => {
                    let id = |id: &Text<'_>| match id.strip_prefix("anon:") {
                        Some(cookie) => {
                            let place =
                                cookies.iter().position(|known| known == cookie).unwrap_or_else(|| {
                                    cookies.push(cookie.to_owned());
                                    cookies.len() - 1
                                });
                            format!("anon:#{}", place + 1)
                        }
                        None => id.chars().take(14).collect(),
                    };
                    let ids: Vec<String> = a.ids.iter().map(id).collect();
                    let path = a.page.as_ref().and_then(|page| page.path.as_deref()).unwrap_or("-");
                    let campaign = a.utm.as_ref().and_then(|utm| utm.campaign.as_deref()).unwrap_or("-");
                    let fields = a.properties.iter().chain(&a.traits).map(|field| match &field.value {
                        Value::String(text) => format!(" {}={:.12}", field.name.as_str(), text.as_str()),
                        other => format!(" {}={other:?}", field.name.as_str()),
                    });
                    let (t, ids) = (a.t_ms - 1_767_603_600_000, ids.join(","));
                    format!("{t} {} {ids} {path} {campaign}{}", a.name.as_str(), fields.collect::<String>())
                }
                Outcome::Filtered(reason) => format!("filtered {}", reason.as_str()),
                Outcome::Tick { .. } | Outcome::Link { .. } => "no activity".to_owned(),
                Outcome::DeadLetter { reason, detail } => format!("dead {} {detail}", reason.as_str()),
            };
            told.push_str(&line);
            told.push('\n');
        });
    }
    told
}

/// Concepts 41 and 42: the two persons of the dealer's story, as their trackers told it.
#[test]
fn the_dealers_story() {
    let received = RAW_RECEIVED_MS.lines().map(|line| line.parse::<i64>().unwrap());
    let raw = story(Arrival::Source, RAW.lines().zip(received));
    expect![[r#"
        120 page_view anon:#1 /models/a winter tyres
        60120 page_view anon:#1 /models/b -
        120120 page_view anon:#1 /models/c -
        240120 page_view anon:#1 /blog/winter-tyres -
        360120 social_subscribe anon:#1 /blog/winter-tyres -
        600120 page_view anon:#2 /models/a -
        720120 page_view anon:#2 /models/a/trims/sport -
        900120 page_view anon:#2 /models/b/trims/base -
        173400120 page_view anon:#2 /models/a -
        filtered bot
        173700120 form_submit anon:#2 - - form=test_drive
        180000120 identify user:buyer-17,email:0a864352,phone:45d30d1d - - phone=45d30d1d5515 region=Moscow email_domain=example.com
        180000120 form_submit user:buyer-17 - - form=price_list
    "#]].assert_eq(&raw);
    let collected = story(Arrival::FromRecord, COLLECTED.lines().map(|line| (line, 0)));
    assert_eq!(raw, collected);
}
