//! The model's own tests: persons, what they do, and what has to come of it. They are read here and run elsewhere.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::{Compiler, duration_ms, milli};
use crate::compiled::{
    AlertIx, AudienceIx, Expectation, ExpectedHandover, Persona, PersonaEvent, PersonaValue, ScoreIx, StageIx,
};
use crate::duration::duration_text;
use crate::findings::did_you_mean;
use crate::yaml::{Content, Node};

/// 2026-01-05T00:00Z, a Monday, ms: `0h` unless stated.
const DEFAULT_START_MS: i64 = 1_767_571_200_000;

/// States of a response clock besides `escalated_1`, `escalated_2`, …
const RESPONSES: [&str; 5] = ["none", "open", "overdue", "answered", "closed"];

impl Compiler<'_, '_> {
    pub(super) fn personas(&mut self) -> Vec<Persona> {
        let items = self.root.get("tests").map_or(&[][..], Node::items);
        let mut personas: Vec<Persona> = Vec::new();
        for item in items {
            let Some(name) = item.get("name").and_then(Node::text) else { continue };
            if personas.iter().any(|known| known.name == name)
                && let Some(node) = item.get("name")
            {
                self.findings.add(node.at(), format!("a second test `{name}`"));
            }
            let start_ms = item.get("start").map_or(Some(DEFAULT_START_MS), |node| self.start_ms(node));
            let traits = self.persona_values(item.get("traits"));
            let events = self.persona_events(item);
            let expect_node = item.get("expect");
            let nodes = match expect_node.map(|node| &node.content) {
                Some(Content::List(nodes)) => &nodes[..],
                Some(Content::Map(_)) => expect_node.map_or(&[][..], std::slice::from_ref),
                _ => &[],
            };
            if let (Some(node), true) = (expect_node, nodes.is_empty()) {
                self.findings.add(node.at(), "a test without an expectation tests nothing");
            }
            let last_ms = events.last().map_or(0, |event| event.at_ms);
            let expect = nodes.iter().map(|node| self.expectation(node, last_ms)).collect();
            personas.push(Persona {
                name: name.to_owned(),
                line: self.findings.line(item.at()),
                start_ms: start_ms.unwrap_or(DEFAULT_START_MS),
                traits,
                events,
                expect,
            });
        }
        personas
    }

    fn start_ms(&mut self, node: &Node) -> Option<i64> {
        let text = node.text()?;
        let date = || Some(text.parse::<Date>().ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp());
        let found = text.parse::<Timestamp>().ok().or_else(date);
        if found.is_none() {
            let message = format!("`{text}` is no instant");
            self.findings.suggest(node.at(), message, Some("write `2026-01-05T09:00Z`".to_owned()));
        }
        found.map(Timestamp::as_millisecond)
    }

    fn persona_values(&mut self, node: Option<&Node>) -> Vec<(String, PersonaValue)> {
        let mut values = Vec::new();
        for (key, node) in node.map_or(&[][..], Node::entries) {
            let Some(name) = key.text() else { continue };
            let value = match &node.content {
                Content::Scalar { .. } => self.scalar_constant(node).map(PersonaValue::One),
                Content::List(items) => {
                    let constants = items.iter().filter_map(|item| self.scalar_constant(item));
                    Some(PersonaValue::Many(constants.collect()))
                }
                Content::Map(entries) => {
                    let pairs = entries.iter().filter_map(|(key, value)| {
                        Some((key.raw()?.to_owned(), self.scalar_constant(value)?))
                    });
                    Some(PersonaValue::Map(pairs.collect()))
                }
            };
            if let Some(value) = value {
                values.push((name.to_owned(), value));
            }
        }
        values
    }

    fn persona_events(&mut self, item: &Node) -> Vec<PersonaEvent> {
        let mut events: Vec<PersonaEvent> = Vec::new();
        for node in item.get("events").map_or(&[][..], Node::items) {
            let at_ms = node.get("at").and_then(duration_ms);
            let Some((at_ms, event)) = at_ms.zip(node.get("event").and_then(Node::text)) else { continue };
            if let (Some(before), Some(at)) = (events.last(), node.get("at"))
                && before.at_ms > at_ms
            {
                let message = format!(
                    "events stand in the order of time: one before is at {}",
                    duration_text(before.at_ms)
                );
                self.findings.add(at.at(), message);
            }
            if let Some(path) = node.get("path")
                && path.text().is_some_and(|path| !path.starts_with('/'))
            {
                let way_out = Some("write `path: /pricing`, or a whole address as `url`".to_owned());
                self.findings.suggest(path.at(), "a path starts with `/`", way_out);
            }
            let raw = |key: &str| node.get(key).and_then(Node::raw).map(str::to_owned);
            let utm = |key: &str| node.get("utm")?.get(key)?.text().map(str::to_owned);
            events.push(PersonaEvent {
                at_ms,
                event: event.to_owned(),
                event_id: raw("event_id"),
                path: raw("path"),
                url: raw("url"),
                utm: ["source", "medium", "campaign", "term", "content"].map(utm),
                properties: self.persona_values(node.get("properties")),
                traits: self.persona_values(node.get("traits")),
                origin: raw("origin"),
                session: raw("session"),
                known: node.get("known").and_then(Node::boolean).unwrap_or(true),
            });
        }
        events
    }

    fn expectation(&mut self, node: &Node, last_ms: i64) -> Expectation {
        if node.entries().iter().all(|(key, _)| key.raw() == Some("at")) {
            self.findings.add(node.at(), "an expectation that expects nothing");
        }
        let at_ms = node.get("at").and_then(duration_ms);
        let stage = node.get("stage").and_then(|node| self.stage_named(node));
        let within = self.audiences_named(node.get("in"));
        let outside = self.audiences_named(node.get("not_in"));
        if let (Some(not_in), true) = (node.get("not_in"), outside.iter().any(|ix| within.contains(ix))) {
            self.findings.add(not_in.at(), "nobody is in an audience and not in it");
        }
        let never = self.stages_named(node.get("never"));
        for (_, node) in never.iter().filter(|(never, _)| stage == Some(*never)) {
            self.findings.add(node.at(), "a stage that is expected cannot be one that was never entered");
        }
        Expectation {
            line: self.findings.line(node.at()),
            at_ms,
            stage,
            owner: node.get("owner").and_then(|node| self.owner_named(node)),
            within,
            outside,
            scores: self.expected_scores(node),
            handover: node.get("handover").map(|node| match node.boolean() {
                Some(true) => ExpectedHandover::Yes,
                Some(false) => ExpectedHandover::No,
                None => ExpectedHandover::Incomplete,
            }),
            response: node.get("response").and_then(|node| self.expected_response(node)),
            alerts: self.alerts_named(node.get("alert")),
            demoted_by_ms: self.demoted_by(node, stage, at_ms.unwrap_or(last_ms)),
            never: never.into_iter().map(|(stage, _)| stage).collect(),
        }
    }

    fn audiences_named(&mut self, node: Option<&Node>) -> Vec<AudienceIx> {
        let nodes = node.map_or(&[][..], Node::one_or_many);
        nodes.iter().filter_map(|node| self.audience_named(node)).collect()
    }

    fn alerts_named(&mut self, node: Option<&Node>) -> Vec<AlertIx> {
        let nodes = node.map_or(&[][..], Node::one_or_many);
        nodes.iter().filter_map(|node| self.alert_named(node)).collect()
    }

    fn expected_scores(&mut self, node: &Node) -> Vec<(ScoreIx, i64)> {
        let mut scores = Vec::new();
        for (key, value) in node.get("score").map_or(&[][..], Node::entries) {
            if let (Some(score), Some(milli)) = (self.score_named(key), milli(value)) {
                scores.push((score, milli));
            }
        }
        scores
    }

    fn owner_named(&mut self, node: &Node) -> Option<String> {
        let name = node.text()?;
        let stages = self.listed("stages");
        let owners: Vec<&str> = stages.iter().filter_map(|(_, item)| item.get("owner")?.text()).collect();
        if !owners.contains(&name) {
            let way_out = did_you_mean(name, owners);
            self.findings.suggest(node.at(), format!("no stage has the owner `{name}`"), way_out);
        }
        Some(name.to_owned())
    }

    fn expected_response(&mut self, node: &Node) -> Option<String> {
        let name = node.text()?;
        let escalation = name.strip_prefix("escalated_").and_then(|number| number.parse::<usize>().ok());
        if let Some(number) = escalation {
            let clocks = self.named("response");
            let escalations = clocks.iter().filter_map(|(_, _, clock)| clock.get("escalate"));
            let most = escalations.map(|node| node.items().len()).max().unwrap_or(0);
            if number == 0 || number > most {
                self.findings.add(node.at(), format!("no response clock has an escalation {number}"));
            }
        } else if !RESPONSES.contains(&name) {
            let way_out = did_you_mean(name, RESPONSES.into_iter().chain(["escalated_1"]));
            self.findings.suggest(node.at(), format!("`{name}` is no state of a response clock"), way_out);
        }
        Some(name.to_owned())
    }

    fn demoted_by(&mut self, node: &Node, stage: Option<StageIx>, at_ms: i64) -> Option<i64> {
        let by = node.get("demoted_by")?;
        let by_ms = duration_ms(by)?;
        if by_ms <= at_ms {
            let way_out = Some("it counts from `0h`, too".to_owned());
            self.findings.suggest(by.at(), "`demoted_by` is later than `at`", way_out);
        }
        if stage.map(|stage| self.nature(stage)).is_some_and(|stage| stage.first || stage.terminal) {
            self.findings.add(by.at(), "time never ends this stage");
        }
        Some(by_ms)
    }
}
