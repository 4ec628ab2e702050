//! The deliberately naive variant: what one writes first, and what `pipeline` is measured beside.
//!
//! It does the same job for the dealer's model (crawlers, times, event ids, visits, traits, rules, once-per keys with
//! maxima, decay, facts, caps, fit, stages, leads that cool down while nothing happens, the first and the newest
//! touch, what a lead did last, decisions with their reasons, and state that is written once a transaction), but
//! generally: every event becomes a `serde_json::Value`, every lead a set of `HashMap`s of strings, every rule is
//! interpreted for every event, every contribution is decayed with floats at every evaluation, deadlines stand in an
//! ordered set, and a lead is written as JSON. It lacks what nobody writes first: exact instants, order
//! independence, bounds, hashed addresses.

#![allow(unreachable_pub, reason = "a module of a bench")]

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

use serde::Serialize;
use serde_json::{Value, json};

const DAY_MS: f64 = 86_400_000.0;

/// A condition, interpreted.
pub enum Condition {
    Always,
    PathPrefix { prefix: &'static str, segments: usize },
    PathIn(&'static [&'static str]),
    PropertyIs(&'static str, &'static str),
    PropertyAtLeast(&'static str, f64),
}

/// One rule, interpreted.
pub struct Rule {
    pub id: &'static str,
    pub events: &'static [&'static str],
    pub condition: Condition,
    pub points: &'static [(&'static str, f64)],
    pub once: bool,
    pub key: Option<&'static str>,
    pub max: usize,
    pub group: Option<&'static str>,
    pub set: &'static [(&'static str, f64)],
}

/// The dealer's rules, as in `benches/dealer.yaml`; returning visits are counted apart.
#[expect(clippy::too_many_lines, reason = "a table")]
pub fn rules() -> Vec<Rule> {
    let rule = |id, events, condition, points, key, max, group| Rule {
        id,
        events,
        condition,
        points,
        once: false,
        key,
        max,
        group,
        set: &[],
    };
    let once = |id, events, condition, points, set| Rule {
        id,
        events,
        condition,
        points,
        once: true,
        key: None,
        max: 1,
        group: None,
        set,
    };
    const MONTH: f64 = 30.0 * DAY_MS;
    const EVER: f64 = f64::INFINITY;
    let page: &[&str] = &["page_view"];
    vec![
        rule(
            "model_view",
            page,
            Condition::PathPrefix { prefix: "/models/", segments: 2 },
            &[("interest", 5.0)],
            Some("path"),
            8,
            Some("browsing"),
        ),
        rule(
            "trim_view",
            page,
            Condition::PathPrefix { prefix: "/models/", segments: 4 },
            &[("interest", 6.0), ("intent", 5.0)],
            Some("path"),
            8,
            Some("browsing"),
        ),
        rule(
            "long_read",
            &["page_leave"],
            Condition::PropertyAtLeast("dwell_seconds", 90.0),
            &[("interest", 3.0)],
            Some("path"),
            5,
            Some("browsing"),
        ),
        rule(
            "blog_read",
            page,
            Condition::PathPrefix { prefix: "/blog/", segments: 2 },
            &[("interest", 4.0)],
            Some("day"),
            30,
            Some("content"),
        ),
        once(
            "social_follow",
            &["social_subscribe", "Social Followed"],
            Condition::Always,
            &[("interest", 12.0)],
            &[],
        ),
        once(
            "newsletter",
            &["newsletter_subscribe"],
            Condition::Always,
            &[("interest", 12.0)],
            &[("contact", EVER)],
        ),
        rule(
            "credit_calculator",
            &["credit_calculated"],
            Condition::Always,
            &[("intent", 20.0)],
            Some("day"),
            30,
            None,
        ),
        rule(
            "price_terms",
            page,
            Condition::PathIn(&["/price", "/delivery", "/payment"]),
            &[("intent", 10.0)],
            Some("path"),
            3,
            None,
        ),
        once(
            "test_drive",
            &["form_submit"],
            Condition::PropertyIs("form", "test_drive"),
            &[("intent", 60.0)],
            &[("applied", MONTH), ("contact", EVER)],
        ),
        once(
            "price_list",
            &["form_submit"],
            Condition::PropertyIs("form", "price_list"),
            &[("interest", 5.0)],
            &[("magnet", EVER), ("contact", EVER)],
        ),
        Rule {
            set: &[("not_now", MONTH)],
            ..rule(
                "call_refused",
                &["robot_call"],
                Condition::PropertyIs("result", "not_interested"),
                &[],
                Some("day"),
                30,
                None,
            )
        },
        once("unsubscribe", &["unsubscribe"], Condition::Always, &[], &[("no_email", EVER)]),
    ]
}

/// Where a lead came from.
#[derive(Clone, Serialize)]
struct Touch {
    at: f64,
    from: HashMap<String, String>,
}

/// What a lead did.
#[derive(Clone, Serialize)]
struct Deed {
    at: f64,
    event: String,
    rule: String,
    about: String,
}

/// One lead.
#[derive(Default, Serialize)]
pub struct Lead {
    seen: HashSet<String>,
    matches: HashMap<String, HashMap<String, f64>>,
    facts: HashMap<String, f64>,
    traits: HashMap<String, Value>,
    stages: HashMap<String, f64>,
    stage: String,
    last_ms: Option<f64>,
    deadline: Option<i64>,
    decisions: u64,
    first_touch: Option<Touch>,
    last_touch: Option<Touch>,
    /// The last eight that counted.
    deeds: VecDeque<Deed>,
}

/// A change of stage, explained.
pub struct Change {
    pub from: String,
    pub to: String,
    pub explanation: Value,
}

/// All leads.
pub struct Naive {
    rules: Vec<Rule>,
    leads: HashMap<String, Lead>,
    deadlines: BTreeSet<(i64, String)>,
    /// Leads that have to be written.
    changed: HashSet<String>,
}

const CRAWLERS: [&str; 12] = [
    "bot",
    "crawl",
    "spider",
    "slurp",
    "headless",
    "preview",
    "facebookexternalhit",
    "curl",
    "wget",
    "python",
    "monitor",
    "lighthouse",
];

impl Naive {
    pub fn new() -> Naive {
        Naive { rules: rules(), leads: HashMap::new(), deadlines: BTreeSet::new(), changed: HashSet::new() }
    }

    /// Writes what the transaction has changed; the bytes of it.
    pub fn write(&mut self) -> usize {
        let bytes = |lead_id: String| serde_json::to_vec(&self.leads[&lead_id]).expect("plain data").len();
        self.changed.drain().map(bytes).sum()
    }

    /// Scores one event; the changes of stage up to it, those of cooling leads included.
    pub fn score(&mut self, json: &[u8], arrival_ms: i64) -> Vec<Change> {
        let mut changes = self.cool(arrival_ms);
        let Ok(event) = serde_json::from_slice::<Value>(json) else { return changes };
        let agent = event["context"]["userAgent"].as_str().unwrap_or("").to_lowercase();
        if CRAWLERS.iter().any(|crawler| agent.contains(crawler)) {
            return changes;
        }
        let Some(lead_id) = event["userId"].as_str().or_else(|| event["anonymousId"].as_str()) else {
            return changes;
        };
        let name = match event["type"].as_str() {
            Some("page") => "page_view".to_owned(),
            Some("identify") => "identify".to_owned(),
            _ => event["event"].as_str().unwrap_or("").to_owned(),
        };
        let t = event_time(&event, arrival_ms);
        let lead = self.leads.entry(lead_id.to_owned()).or_default();
        if !lead.seen.insert(event["messageId"].as_str().unwrap_or("").to_owned()) {
            return changes;
        }
        self.changed.insert(lead_id.to_owned());
        note_touch(&event, t, lead);
        if let Some(traits) = event["traits"].as_object().or_else(|| event["context"]["traits"].as_object()) {
            for (name, value) in traits {
                lead.traits.insert(name.clone(), value.clone());
            }
        }
        let gap_days = lead.last_ms.map_or(0.0, |last| (t - last) / DAY_MS);
        lead.last_ms = Some(lead.last_ms.unwrap_or(t).max(t));
        if (1.0..=14.0).contains(&gap_days) {
            let days = lead.matches.entry("came_back".to_owned()).or_default();
            days.insert(format!("{}", (t / DAY_MS).floor()), t);
        }
        for rule in &self.rules {
            if rule.events.contains(&name.as_str()) && holds(&rule.condition, &event) {
                count(rule, &event, t, lead);
                let about = event["context"]["page"]["path"].as_str().unwrap_or("").to_owned();
                lead.deeds.push_back(Deed { at: t, event: name.clone(), rule: rule.id.to_owned(), about });
                if lead.deeds.len() > 8 {
                    lead.deeds.pop_front();
                }
            }
        }
        let lead_id = lead_id.to_owned();
        changes.extend(self.settle(&lead_id, arrival_ms));
        changes
    }

    /// Leads whose deadline has come.
    fn cool(&mut self, now_ms: i64) -> Vec<Change> {
        let mut changes = Vec::new();
        while let Some((at_ms, lead_id)) = self.deadlines.first().filter(|(at, _)| *at <= now_ms).cloned() {
            self.deadlines.remove(&(at_ms, lead_id.clone()));
            changes.extend(self.settle(&lead_id, at_ms));
        }
        changes
    }

    /// Evaluates a lead and notes when to look at it again.
    fn settle(&mut self, lead_id: &str, at_ms: i64) -> Option<Change> {
        let (from, to, scores) = self.evaluate(lead_id, at_ms as f64);
        let lead = self.leads.get_mut(lead_id).expect("scored before");
        if let Some(deadline) = lead.deadline.take() {
            self.deadlines.remove(&(deadline, lead_id.to_owned()));
        }
        let half_lives = |score: &str, exit: f64| (scores[score] / exit).log2();
        self.changed.insert(lead_id.to_owned());
        let in_ms = match to.as_str() {
            "mql" => Some(7.0 * DAY_MS * half_lives("interest", 20.0)),
            "sql" => Some(3.0 * DAY_MS * half_lives("intent", 20.0)),
            _ => None,
        };
        if let Some(in_ms) = in_ms {
            let at_ms = at_ms + (in_ms as i64).max(60_000);
            lead.deadline = Some(at_ms);
            self.deadlines.insert((at_ms, lead_id.to_owned()));
        }
        if from == to || from.is_empty() {
            return None;
        }
        lead.decisions += 1;
        let facts = lead.facts.iter().filter(|(_, until)| (at_ms as f64) < **until);
        let facts: Vec<&String> = facts.map(|(fact, _)| fact).collect();
        let mut newest: Vec<&Deed> = lead.deeds.iter().collect();
        newest.sort_by(|a, b| b.at.total_cmp(&a.at));
        newest.truncate(5);
        let labels = [("hot", 60.0), ("warm", 20.0), ("cold", 0.0)];
        let label = labels.into_iter().find(|(_, least)| scores["interest"] >= *least);
        let explanation = json!({
            "id": format!("auto-dealer/{lead_id}/{}", lead.decisions),
            "lead": lead_id,
            "from": from,
            "to": to,
            "at": at_ms,
            "expected_exit": lead.deadline,
            "scores": scores,
            "label": label.map(|(label, _)| label),
            "lines": lines(&self.rules, lead, at_ms as f64),
            "facts": facts,
            "traits": lead.traits,
            "decisive": newest,
            "first_touch": lead.first_touch,
            "last_touch": lead.last_touch,
        });
        Some(Change { from, to, explanation })
    }

    fn evaluate(&mut self, lead_id: &str, t: f64) -> (String, String, HashMap<String, f64>) {
        let lead = self.leads.get_mut(lead_id).expect("scored before");
        let mut sums: HashMap<(String, String), f64> = HashMap::new();
        let came_back: [(&str, f64); 2] = [("interest", 5.0), ("intent", 12.0)];
        let all = self.rules.iter().map(|rule| (rule.id, rule.points, rule.group));
        for (id, points, group) in all.chain([("came_back", came_back.as_slice(), None)]) {
            for (score, points) in points {
                let half_life = if *score == "interest" { 7.0 * DAY_MS } else { 3.0 * DAY_MS };
                let keys = lead.matches.get(id);
                let evidence: f64 =
                    keys.map_or(0.0, |keys| keys.values().map(|at| (-(t - at) / half_life).exp2()).sum());
                let group = group.unwrap_or("").to_owned();
                *sums.entry(((*score).to_owned(), group)).or_default() += points * evidence;
            }
        }
        let score = |name: &str| -> f64 {
            let cap = |group: &str| match group {
                "browsing" => 30.0,
                "content" => 20.0,
                _ => f64::INFINITY,
            };
            let total: f64 =
                sums.iter().filter(|((s, _), _)| s == name).map(|((_, g), sum)| sum.min(cap(g))).sum();
            total.clamp(0.0, 100.0)
        };
        let fact = |name: &str| lead.facts.get(name).is_some_and(|until| t < *until);
        let (interest, intent) = (score("interest"), score("intent"));
        let region = match lead.traits.get("region").and_then(Value::as_str) {
            Some("Moscow") => 20.0,
            Some("Moscow Oblast") => 15.0,
            Some(_) => -10.0,
            None => 0.0,
        };
        let trade_in = if lead.traits.get("has_trade_in") == Some(&Value::Bool(true)) { 10.0 } else { 0.0 };
        let stages = [
            ("nurture", fact("contact") || interest >= 30.0, false, 0.0),
            ("iql", fact("magnet"), false, 0.0),
            ("mql", interest >= 30.0 && !fact("not_now"), interest < 20.0 || fact("not_now"), DAY_MS / 2.0),
            ("sql", fact("contact") && intent >= 50.0, intent < 20.0, DAY_MS),
        ];
        for (stage, enter, exit, dwell) in stages {
            if enter {
                lead.stages.entry(stage.to_owned()).or_insert(t);
            } else if exit && lead.stages.get(stage).is_some_and(|since| t - since >= dwell) {
                lead.stages.remove(stage);
            }
        }
        let stage = ["sql", "mql", "iql", "nurture"].into_iter().find(|s| lead.stages.contains_key(*s));
        let to = stage.unwrap_or("visitor").to_owned();
        let from = std::mem::replace(&mut lead.stage, to.clone());
        let scores = [("interest", interest), ("intent", intent), ("fit", region + trade_in)];
        (from, to, scores.into_iter().map(|(name, score)| (name.to_owned(), score)).collect())
    }
}

/// What each rule brings to each score.
fn lines(rules: &[Rule], lead: &Lead, t: f64) -> HashMap<String, f64> {
    let mut lines = HashMap::new();
    for rule in rules {
        let Some(keys) = lead.matches.get(rule.id) else { continue };
        for (score, points) in rule.points {
            let half_life = if *score == "interest" { 7.0 * DAY_MS } else { 3.0 * DAY_MS };
            let evidence: f64 = keys.values().map(|at| (-(t - at) / half_life).exp2()).sum();
            lines.insert(format!("{}/{score}", rule.id), points * evidence);
        }
    }
    lines
}

/// Notes the campaign and the other site that an event came from.
fn note_touch(event: &Value, t: f64, lead: &mut Lead) {
    let (context, page) = (&event["context"], &event["context"]["page"]);
    let mut from = HashMap::new();
    let mut put = |name: &str, text: &str| {
        let text = text.trim().to_lowercase();
        if !text.is_empty() {
            from.entry(name.to_owned()).or_insert(text);
        }
    };
    for (field, name) in [
        ("source", "source"),
        ("medium", "medium"),
        ("name", "campaign"),
        ("term", "term"),
        ("content", "content"),
    ] {
        put(name, context["campaign"][field].as_str().unwrap_or(""));
    }
    let url = page["url"].as_str().unwrap_or("");
    for (name, value) in
        url.split_once('?').map_or("", |(_, query)| query).split('&').filter_map(|p| p.split_once('='))
    {
        if let Some(name) = name.strip_prefix("utm_") {
            put(name, value);
        }
    }
    let host =
        |url: &str| url.split_once("://").map(|(_, rest)| rest.split('/').next().unwrap_or("").to_owned());
    if let Some(referrer) =
        page["referrer"].as_str().and_then(host).filter(|other| Some(other) != host(url).as_ref())
    {
        put("referrer", &referrer);
    }
    if from.is_empty() {
        return;
    }
    let touch = Touch { at: t, from };
    if lead.first_touch.as_ref().is_none_or(|first| t < first.at) {
        lead.first_touch = Some(touch.clone());
    }
    if lead.last_touch.as_ref().is_none_or(|last| t >= last.at) {
        lead.last_touch = Some(touch);
    }
}

/// The tracker's time, corrected by what its clock was off when it sent the record.
fn event_time(event: &Value, arrival_ms: i64) -> f64 {
    let instant = |name: &str| -> Option<i64> {
        event[name].as_str()?.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
    };
    let received = instant("receivedAt").unwrap_or(arrival_ms);
    let told = match (instant("originalTimestamp"), instant("timestamp"), instant("sentAt")) {
        (Some(_), Some(corrected), _) => corrected,
        (_, Some(own), Some(sent)) => received - (sent - own),
        (_, Some(own), None) => own,
        _ => arrival_ms,
    };
    told.min(arrival_ms) as f64
}

fn holds(condition: &Condition, event: &Value) -> bool {
    let path = event["context"]["page"]["path"].as_str().unwrap_or("");
    match condition {
        Condition::Always => true,
        Condition::PathPrefix { prefix, segments } => {
            path.starts_with(prefix) && path.split('/').filter(|s| !s.is_empty()).count() == *segments
        }
        Condition::PathIn(paths) => paths.contains(&path),
        Condition::PropertyIs(name, value) => event["properties"][*name].as_str() == Some(value),
        Condition::PropertyAtLeast(name, least) => {
            event["properties"][*name].as_f64().is_some_and(|value| value >= *least)
        }
    }
}

fn count(rule: &Rule, event: &Value, t: f64, lead: &mut Lead) {
    let key = match rule.key {
        _ if rule.once => String::new(),
        Some("day") => format!("{}", (t / DAY_MS).floor()),
        Some("path") => event["context"]["page"]["path"].as_str().unwrap_or("").to_owned(),
        _ => event["messageId"].as_str().unwrap_or("").to_owned(),
    };
    let keys = lead.matches.entry(rule.id.to_owned()).or_default();
    let at = keys.entry(key).or_insert(t);
    *at = at.max(t);
    if keys.len() > rule.max {
        let oldest = keys.iter().min_by(|a, b| a.1.total_cmp(b.1)).map(|(key, _)| key.clone());
        oldest.map(|key| keys.remove(&key));
    }
    for (fact, ttl) in rule.set {
        let until = lead.facts.entry((*fact).to_owned()).or_insert(0.0);
        *until = until.max(t + ttl);
    }
}
