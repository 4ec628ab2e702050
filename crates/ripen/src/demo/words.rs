//! How the demo says things to a person: a transition in two lines, the funnel as a table, counts by reason.
//!
//! Pure text: width and colour are inputs.

use console::{measure_text_width, truncate_str};
use indicatif::HumanCount;
use ripen_model::Model;
use ripen_records::{Cause, Change, Decision, DecisiveActivity, Score};

use super::calendar;
use super::tally::{self, PersonEnd, StageCount, Summary};

/// Columns of text at most: longer lines are hard to read on wide terminals.
const WIDEST: usize = 110;
/// The longest bar of the funnel, columns.
const BAR: usize = 24;
/// A date and two spaces: the second line of a transition is indented by as much.
const INDENT: &str = "              ";
/// Columns for `visitor → nurture`.
const STEP: usize = 17;

/// Width and colour of what is written to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Page {
    pub(super) columns: usize,
    pub(super) colour: bool,
}

/// The colours in use; each has a meaning of its own.
#[derive(Clone, Copy)]
enum Ink {
    /// Headings, the persons of the story.
    Bold,
    /// Context.
    Dim,
    /// Upward, as told.
    Green,
    /// Downward.
    Yellow,
    /// Not as told.
    Red,
}

impl Page {
    /// A page of a terminal so many columns wide.
    pub(super) fn new(columns: usize, colour: bool) -> Page {
        Page { columns: columns.clamp(40, WIDEST), colour }
    }

    fn ink(self, ink: Ink, text: &str) -> String {
        if !self.colour {
            return text.to_owned();
        }
        let code = match ink {
            Ink::Bold => 1,
            Ink::Dim => 2,
            Ink::Green => 32,
            Ink::Yellow => 33,
            Ink::Red => 31,
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    fn fit(self, line: &str) -> String {
        truncate_str(line, self.columns, "…").into_owned()
    }

    /// The line above everything.
    pub(super) fn title(self, seed: u64, days: i64, visitors: u32, model: &Model) -> String {
        let title = format!("{} visitors, {days} days at a car dealer's", HumanCount(visitors.into()));
        let rest = format!(" (seed {seed}, model {} v{})", model.id, model.version);
        self.fit(&format!("{}{}", self.ink(Ink::Bold, &title), self.ink(Ink::Dim, &rest)))
    }

    /// A transition in two lines.
    pub(super) fn transition(self, decision: &Decision, model: &Model) -> String {
        let Change::StageChange(change) = &decision.change else { return String::new() };
        let place = |id: &str| model.stages.iter().position(|stage| stage.id == id);
        let up = place(&change.to) > place(&change.from);
        let story = tally::person_of(&decision.lead).is_some();
        let date = self.ink(Ink::Dim, &calendar::spoken(decision.effective_at_ms));
        let lead = short_lead(&decision.lead);
        let lead = format!("{lead:<15}");
        let lead = if story { self.ink(Ink::Bold, &lead) } else { lead };
        let to = self.ink(if up { Ink::Green } else { Ink::Yellow }, &change.to);
        let step = measure_text_width(&change.from) + 3 + measure_text_width(&change.to);
        let pad = " ".repeat(STEP.saturating_sub(step));
        let scores = scores(decision);
        let first = self.fit(&format!("{date}  {lead}  {} → {to}{pad}  {scores}", change.from));
        let second = self.ink(Ink::Dim, &self.fit(&format!("{INDENT}{}", why(decision))));
        format!("{first}\n{second}")
    }

    /// Everything after the last transition.
    pub(super) fn report(self, summary: &Summary, hidden: u64) -> String {
        let mut text = String::new();
        let mut line = |part: &str| {
            text.push_str(&self.fit(part));
            text.push('\n');
        };
        if hidden > 0 {
            let hidden = format!("… and {} transitions more, like these", HumanCount(hidden));
            line(&self.ink(Ink::Dim, &hidden));
        }
        line("");
        for row in self.funnel(&summary.stages) {
            line(&row);
        }
        line("");
        line(&format!(
            "{} records: {} scored, {} filtered, {} dead letters",
            HumanCount(summary.records),
            HumanCount(summary.scored),
            HumanCount(summary.filtered.values().sum()),
            HumanCount(summary.dead_letters.values().sum())
        ));
        for (heading, counts) in [("filtered", &summary.filtered), ("dead letters", &summary.dead_letters)] {
            for row in self.reasons(heading, counts) {
                line(&row);
            }
        }
        line("");
        for person in &summary.story {
            for row in self.person(person) {
                line(&row);
            }
        }
        text
    }

    /// The stages, highest first, with a bar for how many leads reached each.
    fn funnel(self, stages: &[StageCount]) -> Vec<String> {
        let widest = |head: &str, of: fn(&StageCount) -> String| {
            stages.iter().map(|stage| measure_text_width(&of(stage))).max().unwrap_or(0).max(head.len())
        };
        let stage = widest("stage", |stage| stage.stage.clone());
        let owner = widest("owner", |stage| stage.owner.clone());
        let now = widest("leads now", |stage| HumanCount(stage.now).to_string());
        let reached = widest("ever entered", |stage| HumanCount(stage.reached).to_string());
        let used = stage + owner + now + reached + 8;
        let bar = self.columns.saturating_sub(used).min(BAR);
        let most = stages.iter().map(|stage| stage.reached).max().unwrap_or(0).max(1);
        let heading = format!(
            "{:<stage$}  {:<owner$}  {:>now$}  {:>reached$}",
            "stage", "owner", "leads now", "ever entered"
        );
        let mut rows = vec![self.ink(Ink::Bold, &heading)];
        rows.extend(stages.iter().rev().map(|row| {
            format!(
                "{:<stage$}  {:<owner$}  {:>now$}  {:>reached$}  {}",
                row.stage,
                row.owner,
                HumanCount(row.now).to_string(),
                HumanCount(row.reached).to_string(),
                self.ink(Ink::Green, &strip(row.reached, most, bar))
            )
        }));
        rows
    }

    /// Counts by reason, the largest first, over as many lines as they need.
    fn reasons(self, heading: &str, counts: &std::collections::BTreeMap<String, u64>) -> Vec<String> {
        let mut counts: Vec<(&String, &u64)> = counts.iter().collect();
        counts.sort_by_key(|(reason, count)| (std::cmp::Reverse(**count), (*reason).clone()));
        let mut rows = Vec::new();
        let mut row = format!("  {heading:<12} ");
        let mut first = true;
        for (reason, count) in counts {
            let item = format!("{reason} {}", HumanCount(*count));
            if !first && measure_text_width(&row) + item.len() + 3 > self.columns {
                rows.push(std::mem::replace(&mut row, format!("  {:<12} ", "")));
                first = true;
            }
            row.push_str(if first { "" } else { " · " });
            row.push_str(&item);
            first = false;
        }
        if !first {
            rows.push(row);
        }
        rows
    }

    fn person(self, person: &PersonEnd) -> [String; 2] {
        let mark = match person.expected {
            None => "·".to_owned(),
            Some(_) if person.astray() => self.ink(Ink::Red, "✗"),
            Some(_) => self.ink(Ink::Green, "✓"),
        };
        let name = self.ink(Ink::Bold, person.lead.trim_start_matches("anon:"));
        let mut ended = format!("{mark} {name} is {}", person.stage);
        if let Some(since_ms) = person.since_ms {
            ended.push_str(&format!(" since {}", calendar::spoken(since_ms)));
        }
        if person.astray() {
            ended.push_str(&format!(", and not {} as told", person.expected.unwrap_or_default()));
        } else if let Some(exit_ms) = person.expected_exit_at_ms {
            ended.push_str(&format!(", left alone until {}", calendar::spoken(exit_ms)));
        }
        [ended, format!("  {}", self.ink(Ink::Dim, person.told))]
    }
}

/// `anon:6c1f0a2e…`: enough of an id to tell leads apart.
fn short_lead(lead: &str) -> String {
    if tally::person_of(lead).is_some() {
        return lead.trim_start_matches("anon:").to_owned();
    }
    let (kind, value) = lead.split_once(':').unwrap_or(("", lead));
    match value.char_indices().nth(10) {
        Some(_) => format!("{kind}:{}…", value.chars().take(8).collect::<String>()),
        None => lead.to_owned(),
    }
}

/// `interest 31.0, intent 22.1`: the scores that were looked at to decide, all of them if none was.
fn scores(decision: &Decision) -> String {
    let read = |score: &&Score| {
        let name = format!("score.{}", score.name);
        decision.explanation.atoms.iter().any(|atom| atom.text.contains(&name))
    };
    let looked_at: Vec<&Score> = decision.scores.iter().filter(read).collect();
    let shown = if looked_at.is_empty() { decision.scores.iter().collect() } else { looked_at };
    let told = shown.iter().filter(|score| score.milli != 0).map(|score| {
        let tenths = score.milli.div_euclid(100);
        let sign = if tenths < 0 { "-" } else { "" };
        format!("{} {sign}{}.{}", score.name, tenths.abs() / 10, tenths.abs() % 10)
    });
    told.collect::<Vec<String>>().join(", ")
}

/// The activities that decided, or, where time alone decided, what became true.
fn why(decision: &Decision) -> String {
    let cause = decision.cause.as_str();
    if decision.cause == Cause::Activity && !decision.explanation.decisive.is_empty() {
        return format!("{cause}: {}", activities(&decision.explanation.decisive));
    }
    let held: Vec<&str> =
        decision.explanation.atoms.iter().filter(|atom| atom.truth).map(|atom| atom.text.as_str()).collect();
    if held.is_empty() { cause.to_owned() } else { format!("{cause}: {}", held.join(", ")) }
}

/// `test_drive, price_terms, model_view ×2`: the rules that the activities count in, the newest first.
fn activities(decisive: &[DecisiveActivity]) -> String {
    let mut counts: Vec<(&str, u32)> = Vec::new();
    for activity in decisive {
        match counts.iter_mut().find(|(rule, _)| *rule == activity.rule) {
            Some((_, count)) => *count += 1,
            None => counts.push((&activity.rule, 1)),
        }
    }
    let told = counts.iter().map(|(rule, count)| match count {
        1 => (*rule).to_owned(),
        _ => format!("{rule} ×{count}"),
    });
    told.collect::<Vec<String>>().join(", ")
}

/// A bar whose length is `count` of `most`; whoever has anybody has an eighth of a column.
fn strip(count: u64, most: u64, columns: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (count * columns as u64 * 8).div_ceil(most) as usize;
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}

#[cfg(test)]
mod tests {
    use ripen_records::{Atom, Explanation, Touches};

    use super::*;

    #[test]
    fn leads_are_shortened_for_people() {
        assert_eq!(short_lead("anon:6c1f0a2e-7d10-4c2b-9a33-0f6f2f1b7a11"), "anon:6c1f0a2e…");
        assert_eq!(short_lead("user:u-123456"), "user:u-123456");
        assert_eq!(short_lead("user:u-123456789"), "user:u-123456…");
        assert_eq!(short_lead("anon:story-person-1"), "story-person-1");
    }

    fn decision(scores: &[(&str, i64)], atoms: &[&str], rules: &[&str]) -> Decision {
        let score = |(name, milli): &(&str, i64)| Score { name: (*name).into(), milli: *milli, label: None };
        let atom = |text: &&str| Atom { text: (*text).into(), value: None, truth: true };
        let activity = |rule: &&str| DecisiveActivity {
            rule: (*rule).into(),
            t_ms: 0,
            event_id_hash: String::new(),
            about: None,
        };
        Decision {
            id: String::new(),
            lead: "anon:a".into(),
            born_ms: 0,
            seq: 1,
            effective_at_ms: calendar::START_MS,
            decided_at_ms: calendar::START_MS,
            historical: false,
            cause: if rules.is_empty() { Cause::Decay } else { Cause::Activity },
            change: Change::MergedInto(String::new()),
            model_id: String::new(),
            model_version: 1,
            model_hash: String::new(),
            stage: String::new(),
            owner: String::new(),
            next_step: None,
            expected_value_micros: None,
            value_micros: 0,
            attributes: Vec::new(),
            touches: Touches::default(),
            scores: scores.iter().map(score).collect(),
            expected_exit_at_ms: None,
            input: None,
            explanation: Explanation {
                decisive: rules.iter().map(activity).collect(),
                atoms: atoms.iter().map(atom).collect(),
                ..Explanation::default()
            },
        }
    }

    #[test]
    fn the_scores_that_decided_are_told_to_a_tenth() {
        let all = [("interest", 31_049), ("intent", 0), ("fit", -10_000)];
        assert_eq!(scores(&decision(&all, &[], &[])), "interest 31.0, fit -10.0");
        assert_eq!(scores(&decision(&all, &["score.interest >= 30"], &[])), "interest 31.0");
    }

    #[test]
    fn activities_or_what_time_made_true_are_the_reason() {
        let rules = ["social_follow", "model_view", "long_read", "model_view"];
        assert_eq!(
            why(&decision(&[], &["score.interest >= 30"], &rules)),
            "activity: social_follow, model_view ×2, long_read"
        );
        assert_eq!(why(&decision(&[], &["score.interest < 20"], &[])), "decay: score.interest < 20");
    }

    #[test]
    fn bars_are_never_longer_than_their_column() {
        assert_eq!(strip(10, 10, 4), "████");
        assert_eq!(strip(1, 1_000, 4), "▏");
        assert_eq!(strip(0, 1_000, 4), "");
    }
}
