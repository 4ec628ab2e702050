//! CPU per event at many leads over few, on real Kafka: of both services, and of the scorer by itself, whose work alone
//! depends on how many leads there are.
//!
//! `RIPEN_BENCH_LEADS=10000000 cargo bench --bench scale` has ten million leads; an ordinary run fewer.

#[path = "../tests/support/mod.rs"]
mod support;

mod changelog;
mod hot;
mod measure;

use std::time::Duration;

use hot::Drawn;
use measure::{cpu_seconds_of, figure, ratio, wait_for};
use ripen_harness::Leash;
use serde_json::json;
use support::{Installation, PATIENCE, Setup, are_shared, wait_until_shared};

const LEADS: usize = 1_000_000;
const FEW: usize = 100_000;
const PARTITIONS: i32 = 8;
/// Few enough that one of the few leads has hardly more activities than one of the many.
const EVENTS: usize = 100_000;
/// Until what the services need besides the leads has been in use: memory that is used for the first time is dear.
const WARM_UP: usize = 100_000;
const ROUNDS: usize = 5;
/// Ten millions, on a busy machine.
const LIMIT: Duration = Duration::from_secs(600);
/// Services that stand still while clicks are drawn stay in their group.
const KEPT: &str = "{session.timeout.ms: 1700000, max.poll.interval.ms: 1700000}";

fn main() {
    let leads = std::env::var("RIPEN_BENCH_LEADS").map_or(LEADS, |leads| leads.parse().expect("a number"));
    println!(
        "# {leads} leads over {FEW}, lz4, {PARTITIONS} partitions, two workers, {EVENTS} clicks a round"
    );
    let mut many = Site::new(leads);
    for (drawn, name) in [(Drawn::Evenly, "evenly"), (Drawn::Zipf, "zipf")] {
        let (mut above, mut below) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            // Anew each time, or its leads would have more and more activities.
            let mut few = Site::new(FEW);
            below.push(few.score(drawn, round));
            drop(few);
            above.push(many.score(drawn, round));
        }
        for (part, of) in PARTS {
            let [few, many] = [&below, &above].map(|series| series.iter().map(of).collect::<Vec<f64>>());
            figure(&format!("scale_{part}_event_at_few_leads_{name}"), "ns", &few);
            figure(&format!("scale_{part}_event_at_many_leads_{name}"), "ns", &many);
            ratio(&format!("scale_{part}_event_many_over_few_{name}"), &many, &few);
        }
    }
}

/// CPU of the services: seconds so far, or ns per click.
#[derive(Debug, Clone, Copy)]
struct Cpu {
    ingest: f64,
    scorer: f64,
}

/// A value of CPU.
type Part = fn(&Cpu) -> f64;

/// Whose CPU is compared.
const PARTS: [(&str, Part); 3] =
    [("ingest", |cpu| cpu.ingest), ("scorer", |cpu| cpu.scorer), ("services", |cpu| cpu.ingest + cpu.scorer)];

/// Both services, and leads.
struct Site {
    installation: Installation,
    ingest: Leash,
    scorer: Leash,
    leads: usize,
    /// Clicks so far: each has an id of its own.
    clicks: usize,
}

impl Site {
    fn new(leads: usize) -> Site {
        let setup = Setup { properties: KEPT.to_owned(), ..Setup::shared("scale", PARTITIONS, "auto") };
        let installation = Installation::of(&setup);
        changelog::fill(&installation, leads);
        let (ingest, scorer) = (installation.start("ingest"), installation.start("scorer"));
        wait_until_shared(&ingest, 1);
        wait_for("both workers have their share", LIMIT, || {
            are_shared(&scorer.output(), PARTITIONS as usize / 2)
        });
        Site { installation, ingest, scorer, leads, clicks: 0 }
    }

    /// CPU per click of leads that are drawn, in ns.
    fn score(&mut self, drawn: Drawn, round: usize) -> Cpu {
        let mut seed = round as u64 * (WARM_UP + EVENTS) as u64;
        self.take(WARM_UP, drawn, &mut seed);
        let Cpu { ingest, scorer } = self.take(EVENTS, drawn, &mut seed);
        let per_click = 1e9 / EVENTS as f64;
        Cpu { ingest: ingest * per_click, scorer: scorer * per_click }
    }

    /// Has the services read so many clicks that are there; CPU in seconds.
    fn take(&mut self, clicks: usize, drawn: Drawn, seed: &mut u64) -> Cpu {
        for service in [&mut self.ingest, &mut self.scorer] {
            service.freeze();
        }
        self.produce(clicks, drawn, seed);
        let before = self.cpu();
        for service in [&mut self.ingest, &mut self.scorer] {
            service.thaw();
        }
        for (service, topic) in
            [("ingest", &self.installation.source), ("scorer", &self.installation.topics.activities)]
        {
            wait_for("the end", PATIENCE, self.installation.end_of(service, topic));
        }
        let after = self.cpu();
        Cpu { ingest: after.ingest - before.ingest, scorer: after.scorer - before.scorer }
    }

    fn cpu(&self) -> Cpu {
        Cpu { ingest: cpu_seconds_of(self.ingest.pid()), scorer: cpu_seconds_of(self.scorer.pid()) }
    }

    fn produce(&mut self, clicks: usize, drawn: Drawn, seed: &mut u64) {
        let now = jiff::Timestamp::now();
        let first = self.clicks;
        self.clicks += clicks;
        self.installation.produce((first..self.clicks).map(|click| {
            let lead = changelog::anonymous_id(hot::draw(seed, self.leads, drawn));
            let page = changelog::PAGES[click % changelog::PAGES.len()];
            ("", page_call(&format!("drawn-{click}"), &lead, page, now), now.as_millisecond())
        }));
    }
}

/// A page call as a browser's tracker writes it, some 900 bytes.
fn page_call(message_id: &str, anonymous_id: &str, path: &str, now: jiff::Timestamp) -> Vec<u8> {
    let page = json!({
        "path": path,
        "url": format!("https://cars.example{path}"),
        "search": "",
        "referrer": "https://www.google.com/",
        "title": "A model and what it costs",
    });
    let now = now.to_string();
    let call = json!({
        "messageId": message_id,
        "type": "page",
        "anonymousId": anonymous_id,
        "userId": null,
        "context": {
            "library": {"name": "analytics.js", "version": "next-1.81.1"},
            "ip": "203.0.113.7",
            "userAgent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
                          Chrome/141.0.0.0 Safari/537.36",
            "locale": "en-GB",
            "timezone": "Europe/London",
            "screen": {"width": 1920, "height": 1080},
            "page": page,
        },
        "properties": page,
        "originalTimestamp": now,
        "timestamp": now,
        "sentAt": now,
        "receivedAt": now,
    });
    call.to_string().into_bytes()
}
