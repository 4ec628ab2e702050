//! Hand-over to sales, and how fast sales has to answer.

use super::{Compiler, duration_ms};
use crate::compiled::{Handover, Hours, Response, Stage, TraitIx};
use crate::findings::did_you_mean;
use crate::yaml::Node;

/// Most escalations of one clock.
const MOST_ESCALATIONS: usize = 16;

const WEEKDAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// The minutes of a day.
const DAY_MINUTES: u16 = 24 * 60;

impl Compiler<'_, '_> {
    pub(super) fn handover(&mut self) -> Option<Handover> {
        let section = self.root.get("handover")?;
        let node = section.get("stages")?;
        let mut stages = vec![false; self.names.stages.len()];
        for (stage, node) in self.stages_named(Some(node)) {
            if self.nature(stage).first {
                let message = "the first stage always holds: a lead is never handed over by entering it";
                self.findings.add(node.at(), message);
            }
            if let Some(hands_over) = stages.get_mut(stage.ix()) {
                *hands_over = true;
            }
        }
        if node.is_list() && node.items().is_empty() {
            self.findings.add(node.at(), "without a stage nothing is handed over");
        }
        let require = self.traits_named(section.get("require"));
        let enrich = self.traits_named(section.get("enrich"));
        let repeated = section.get("enrich").map_or(&[][..], Node::items).iter().zip(&enrich);
        for (node, _) in repeated.filter(|(_, wanted)| require.contains(wanted)) {
            self.findings
                .add(node.at(), "a required trait is waited for as long as it takes: it needs no `enrich`");
        }
        if let (Some(enriched), None, false) =
            (section.get("enrich"), section.get("max_wait"), enrich.is_empty())
        {
            let way_out = "add `max_wait`, or `max_wait: 0s` to send at once what is there".to_owned();
            self.findings.suggest(enriched.at(), "how long are these traits waited for?", Some(way_out));
        }
        let history = section.get("history").and_then(Node::number).and_then(|text| text.parse().ok());
        Some(Handover {
            stages,
            require,
            enrich,
            max_wait_ms: section.get("max_wait").and_then(duration_ms).unwrap_or(0),
            history: history.unwrap_or(0),
        })
    }

    fn traits_named(&mut self, node: Option<&Node>) -> Vec<TraitIx> {
        let mut traits = Vec::new();
        for node in node.map_or(&[][..], Node::items) {
            let Some(found) = self.trait_named(node) else { continue };
            if traits.contains(&found) {
                self.findings.add(node.at(), "this trait stands twice");
            } else {
                traits.push(found);
            }
        }
        traits
    }

    /// Gives the stages their response clocks.
    pub(super) fn responses(&mut self, stages: &mut [Stage], handover: Option<&Handover>) {
        for (name, key, item) in self.named("response") {
            let response = self.response(item);
            let Some(stage) = self.stage_named(key) else { continue };
            if handover.is_none_or(|handover| handover.stages.get(stage.ix()) != Some(&true)) {
                let message =
                    format!("nothing is handed over in the stage `{name}`: its clock would never start");
                let way_out = format!("add `{name}` to `stages` of `handover`");
                self.findings.suggest(key.at(), message, Some(way_out));
            }
            if let Some(stage) = stages.get_mut(stage.ix()) {
                stage.response = response;
            }
        }
    }

    fn response(&mut self, item: &Node) -> Option<Response> {
        let within_ms = self.some_time(item.get("within"));
        let answered_by =
            item.get("answered_by").map(|node| self.distinct_texts(node, "event")).unwrap_or_default();
        if let (Some(node), true) = (item.get("answered_by"), answered_by.is_empty()) {
            self.findings.add(node.at(), "without an event nobody can answer");
        }
        let mut last_ms = within_ms.unwrap_or(0);
        let mut escalate_ms = Vec::new();
        let escalations = item.get("escalate");
        for node in escalations.map_or(&[][..], Node::items) {
            let Some(ms) = duration_ms(node) else { continue };
            if ms <= last_ms {
                let way_out =
                    Some("all count from the same start, and each is later than the one before".to_owned());
                self.findings.suggest(
                    node.at(),
                    "an escalation that is not later than what precedes it",
                    way_out,
                );
            }
            last_ms = last_ms.max(ms);
            escalate_ms.push(ms);
        }
        if let Some(node) = escalations.filter(|_| escalate_ms.len() > MOST_ESCALATIONS) {
            self.findings.add(node.at(), format!("a clock has at most {MOST_ESCALATIONS} escalations"));
        }
        let hours = item.get("hours").map(|node| self.hours(node));
        Some(Response { within_ms: within_ms?, answered_by, escalate_ms, hours })
    }

    fn hours(&mut self, node: &Node) -> Hours {
        let mut hours = Hours::default();
        for (key, spans) in node.entries() {
            let Some(days) = key.text().and_then(weekdays) else {
                let way_out = key.text().and_then(|name| did_you_mean(name, WEEKDAYS));
                let way_out =
                    way_out.unwrap_or_else(|| "use `mon` … `sun` or a range such as `mon-fri`".to_owned());
                let name = key.raw().unwrap_or_default();
                self.findings.suggest(key.at(), format!("`{name}` is no day of the week"), Some(way_out));
                continue;
            };
            let mut minutes = Vec::new();
            for node in spans.one_or_many() {
                match node.text().and_then(span) {
                    Some(span) => minutes.push(span),
                    None => {
                        let way_out = "from and to in one day: `09:00-18:00`, `00:00-24:00`".to_owned();
                        self.findings.suggest(node.at(), "these are no hours of a day", Some(way_out));
                    }
                }
            }
            minutes.sort_unstable();
            if minutes.windows(2).any(|pair| pair[1].0 <= pair[0].1) {
                self.findings.add(spans.at(), "these hours overlap or touch: write them as one");
            }
            for day in days {
                if hours.week[day].is_empty() {
                    hours.week[day].clone_from(&minutes);
                } else {
                    self.findings.add(key.at(), format!("`{}` stands twice", WEEKDAYS[day]));
                }
            }
        }
        if hours.week.iter().all(Vec::is_empty) {
            self.findings.add(node.at(), "without hours the clock would never run");
        }
        hours
    }
}

/// `mon`, or `mon-fri`, from Monday = 0.
fn weekdays(text: &str) -> Option<std::ops::RangeInclusive<usize>> {
    let day = |name: &str| WEEKDAYS.iter().position(|known| *known == name);
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let (from, to) = (day(from)?, day(to)?);
    (from <= to).then_some(from..=to)
}

/// `09:00-18:00` in minutes of the day.
fn span(text: &str) -> Option<(u16, u16)> {
    let minute = |text: &str| -> Option<u16> {
        let (hours, minutes) = text.split_once(':')?;
        let digits = |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(hours) || !digits(minutes) {
            return None;
        }
        let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
        (minutes < 60 && hours * 60 + minutes <= DAY_MINUTES).then_some(hours * 60 + minutes)
    };
    let (from, to) = text.split_once('-')?;
    let (from, to) = (minute(from.trim())?, minute(to.trim())?);
    (from < to).then_some((from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_minutes_of_a_day() {
        for (text, expect) in [
            ("09:00-18:00", Some((540, 1080))),
            ("00:00-24:00", Some((0, 1440))),
            ("09:30 - 13:15", Some((570, 795))),
            ("18:00-09:00", None),
            ("09:00-09:00", None),
            ("09:00-24:01", None),
            ("09:60-18:00", None),
            ("9:00-18:00", None),
            ("09:00", None),
            ("", None),
        ] {
            assert_eq!(span(text), expect, "{text}");
        }
    }

    #[test]
    fn weekdays_are_ranges() {
        for (text, expect) in [
            ("mon", Some(0..=0)),
            ("mon-fri", Some(0..=4)),
            ("sat-sun", Some(5..=6)),
            ("sun-mon", None),
            ("Monday", None),
            ("mon-", None),
        ] {
            assert_eq!(weekdays(text), expect, "{text}");
        }
    }
}
