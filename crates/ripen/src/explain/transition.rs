//! A transition in words: from the JSON that `ripen score` prints.

use std::io::Write as _;
use std::path::Path;

use serde_json::Value;

use super::{Part, sum};
use crate::failure::{CommandResult, Ended, Failure};
use crate::score::{for_each_line, readable};

pub(super) fn run(path: &Path) -> CommandResult {
    readable(path)?;
    let mut stdout = std::io::stdout().lock();
    let mut told = 0_u64;
    for_each_line(path, &mut |line, file, number| {
        let bad = |why: &str| Failure::Message(format!("{file}:{}: {why}", number + 1));
        let transition: Value =
            serde_json::from_slice(line).map_err(|error| bad(&format!("no JSON: {error}")))?;
        let words = words(&transition).ok_or_else(|| {
            bad("no transition: it has no lead, from, to, cause, scores and explanation, as `ripen score` prints them")
        })?;
        let gap = if told > 0 { "\n" } else { "" };
        told += 1;
        write!(stdout, "{gap}{words}").map_err(Failure::stdout)
    })?;
    stdout.flush().map_err(Failure::stdout)?;
    match told {
        0 => Err(Failure::Message(format!("{} holds no transition", path.display()))),
        _ => Ok(Ended::Good),
    }
}

/// The whole transition; `None` if it is none.
fn words(transition: &Value) -> Option<String> {
    let text = |name: &str| transition[name].as_str();
    let list = |name: &str| transition[name].as_array().map_or(&[][..], Vec::as_slice);
    let (from, to) = (text("from")?, text("to")?);
    let passed: Vec<&str> = list("passed").iter().filter_map(Value::as_str).collect();
    let passed = if passed.is_empty() { String::new() } else { format!(" past {}", passed.join(", ")) };
    let mut words = format!("{}: {from} → {to}{passed} at {}\n", text("lead")?, text("effective_at")?);
    words.push_str(&format!("  because of {}\n", cause(text("cause")?)));
    if let Value::Object(input) = &transition["input"] {
        words.push_str(&format!(
            "  decided by {}, partition {}, offset {}\n",
            input.get("topic")?.as_str()?,
            input.get("partition")?,
            input.get("offset")?
        ));
    }
    words.push_str("what changed it\n");
    for atom in list("atoms") {
        let truth = if atom["truth"].as_bool()? { "holds" } else { "does not hold" };
        let read = atom["value"].as_str().map_or("absent".to_owned(), |value| format!("it was {value}"));
        words.push_str(&format!("  {} {truth}: {read}\n", atom["text"].as_str()?));
    }
    for activity in list("decisive") {
        let about = activity["about"].as_str().map_or(String::new(), |about| format!(", {about}"));
        words.push_str(&format!("  {} at {}{about}\n", activity["rule"].as_str()?, activity["at"].as_str()?));
    }
    words.push_str("scores\n");
    for (name, score) in in_order(transition)? {
        let parts: Option<Vec<Part<'_>>> = list("explanation")
            .iter()
            .filter(|line| line["score"].as_str() == Some(name))
            .map(|line| {
                let (kind, id) = (line["kind"].as_str()?, line["id"].as_str()?);
                Some(Part { kind, id, milli: milli(&line["points"])? })
            })
            .collect();
        words.push_str(&sum(name, milli(score)?, transition["labels"][name].as_str(), &parts?));
    }
    words.push_str(&around(transition));
    Some(words)
}

/// Scores with lines in the lines' order, which is the model's, then those without.
fn in_order(transition: &Value) -> Option<Vec<(&str, &Value)>> {
    let scores = transition["scores"].as_object()?;
    let mut names: Vec<&str> = Vec::new();
    let lines = transition["explanation"].as_array().map_or(&[][..], Vec::as_slice);
    let explained = lines.iter().filter_map(|line| line["score"].as_str());
    for name in explained.chain(scores.keys().map(String::as_str)) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.into_iter().map(|name| Some((name, scores.get(name)?))).collect()
}

/// Facts, disqualifications, route, value, and what comes next.
fn around(transition: &Value) -> String {
    let mut words = String::new();
    let list = |name: &str| transition[name].as_array().map_or(&[][..], Vec::as_slice);
    let facts: Vec<&str> = list("facts").iter().filter_map(Value::as_str).collect();
    if !facts.is_empty() {
        words.push_str(&format!("facts: {}\n", facts.join(", ")));
    }
    for verdict in list("verdicts") {
        let reason = verdict["reason"].as_str().map_or(String::new(), |reason| format!(" ({reason})"));
        let until = verdict["until"].as_str().map_or(String::new(), |until| format!(" until {until}"));
        words.push_str(&format!(
            "disqualified by {}{reason}{until}\n",
            verdict["id"].as_str().unwrap_or_default()
        ));
    }
    if let Some(route) = transition["route"].as_object().filter(|route| !route.is_empty()) {
        let parts: Vec<String> = route
            .iter()
            .map(|(name, value)| format!("{name} {}", value.as_str().unwrap_or_default()))
            .collect();
        words.push_str(&format!("route: {}\n", parts.join(", ")));
    }
    if let Some(step) = transition["next_step"].as_str() {
        words.push_str(&format!("next step: {step}\n"));
    }
    let to = transition["to"].as_str().unwrap_or_default();
    words.push_str(&match transition["expected_exit_at"].as_str() {
        Some(exit) => format!("if nothing more happens it leaves {to} at {exit}\n"),
        None => format!("if nothing more happens it stays in {to}\n"),
    });
    let model = transition["model_id"].as_str().unwrap_or_default();
    words.push_str(&format!("model {model} version {}\n", transition["model_version"]));
    words
}

fn cause(word: &str) -> String {
    let known = match word {
        "activity" => "an activity",
        "decay" => "cooling down: nobody did anything",
        "fact_expired" => "a fact that expired",
        "verdict" => "a disqualification",
        "verdict_expired" => "a disqualification that expired",
        "merge" => "a merge with another lead",
        "feedback" => "an answer of the CRM",
        "model_change" => "another version of the model",
        "timer" => "a timer",
        "forgotten" => "a long time without any activity",
        "erased" => "an erasure on request",
        other => other,
    };
    known.to_owned()
}

/// Thousandths of a decimal with three places: exact up to 2⁵³ of them.
fn milli(points: &Value) -> Option<i64> {
    Some((points.as_f64()? * 1_000.0).round() as i64)
}
