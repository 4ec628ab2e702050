//! The deliberately naive variant: what one writes first, and what `pipeline` is measured beside.
//!
//! It does the same job for the dealer's model (parse, remember event ids, match rules, once-per keys with
//! maxima, decay, facts, caps, stages), but generally: every event becomes a `serde_json::Value`, every lead a
//! set of `HashMap`s of strings, every rule is interpreted for every event, every contribution is decayed with
//! floats at every evaluation.

#![allow(unreachable_pub, reason = "a module of a bench")]

use std::collections::{HashMap, HashSet};

use serde_json::Value;

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

/// The dealer's rules, as in `models/auto-dealer.yaml`, save returning visits.
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

/// One lead.
#[derive(Default)]
pub struct Lead {
    seen: HashSet<String>,
    matches: HashMap<String, HashMap<String, f64>>,
    facts: HashMap<String, f64>,
    stages: HashMap<String, f64>,
    stage: String,
}

/// All leads.
pub struct Naive {
    rules: Vec<Rule>,
    leads: HashMap<String, Lead>,
}

impl Naive {
    pub fn new() -> Naive {
        Naive { rules: rules(), leads: HashMap::new() }
    }

    /// Scores one event; the new stage if it changed.
    pub fn score(&mut self, json: &[u8], arrival_ms: i64) -> Option<(String, String)> {
        let event: Value = serde_json::from_slice(json).ok()?;
        let lead_id = event["userId"].as_str().or_else(|| event["anonymousId"].as_str())?.to_owned();
        let lead = self.leads.entry(lead_id).or_default();
        if !lead.seen.insert(event["messageId"].as_str()?.to_owned()) {
            return None;
        }
        let name = match event["type"].as_str()? {
            "page" => "page_view".to_owned(),
            "identify" => "identify".to_owned(),
            _ => event["event"].as_str()?.to_owned(),
        };
        let t = arrival_ms as f64;
        for rule in &self.rules {
            if rule.events.contains(&name.as_str()) && holds(&rule.condition, &event) {
                count(rule, &event, t, lead);
            }
        }
        let before = std::mem::take(&mut lead.stage);
        let after = self.evaluate(event["userId"].as_str().or_else(|| event["anonymousId"].as_str())?, t);
        (before != after && !before.is_empty()).then_some((before, after))
    }

    fn evaluate(&mut self, lead_id: &str, t: f64) -> String {
        let lead = self.leads.get_mut(lead_id).expect("scored before");
        let mut sums: HashMap<(String, String), f64> = HashMap::new();
        for rule in &self.rules {
            for (score, points) in rule.points {
                let half_life = if *score == "interest" { 7.0 * DAY_MS } else { 3.0 * DAY_MS };
                let evidence: f64 = lead
                    .matches
                    .get(rule.id)
                    .map(|keys| keys.values().map(|at| (-(t - at) / half_life).exp2()).sum())
                    .unwrap_or(0.0);
                let group = rule.group.unwrap_or("").to_owned();
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
        lead.stage = stage.unwrap_or("visitor").to_owned();
        lead.stage.clone()
    }
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
