//! Feedback: what the CRM's answers do to facts, stages, scores and the lead's value.

use super::rules::ReadRule;
use super::{Compiler, duration_ms};
use crate::compiled::{Amount, Feedback, FeedbackIx, RuleOrigin, ScoreIx, StageIx};
use crate::expression::Constant;
use crate::predicate;
use crate::yaml::Node;

/// How long a recycled lead stays whatever `exit` says, unless stated.
const DEFAULT_RECYCLE_MS: i64 = 30 * 86_400_000;

impl Compiler<'_, '_> {
    /// The feedback, and the rules that look at its events.
    pub(super) fn feedback(&mut self) -> (Vec<Feedback>, Vec<ReadRule>) {
        let (mut feedback, mut rules) = (Vec::new(), Vec::new());
        for (event, key, item) in self.named("feedback") {
            if event == "*" {
                self.findings.add(key.at(), "feedback is one event with a name");
            }
            if item.entries().is_empty() {
                self.findings.add(key.at(), format!("the feedback `{event}` does nothing"));
            }
            let ix = FeedbackIx(u16::try_from(feedback.len()).unwrap_or(u16::MAX));
            let rule = self.reaction(format!("feedback.{event}"), RuleOrigin::Feedback(ix), item);
            rules.push(rule.at(vec![event.to_owned()]));
            let compiled = Feedback {
                event: event.to_owned(),
                cooldown: item.get("cooldown").and_then(|node| self.cooldown(node)),
                recycle: self.recycle(item),
                clear: self.cleared(item),
                reopen: self.reopened(item),
                value: item.get("value").and_then(|node| self.feedback_value(node)),
            };
            self.undone(item, &compiled);
            feedback.push(compiled);
        }
        (feedback, rules)
    }

    fn cooldown(&mut self, node: &Node) -> Option<(StageIx, i64)> {
        let for_ms = self.some_time(node.get("for"));
        let stage_node = node.get("stage")?;
        let stage = self.stage_named(stage_node)?;
        let name = stage_node.text().unwrap_or_default();
        let nature = self.nature(stage);
        if nature.first {
            self.findings
                .add(stage_node.at(), format!("the first stage always holds: `{name}` cannot cool down"));
        }
        if nature.terminal {
            let message = format!("the stage `{name}` is terminal: it cannot cool down");
            self.findings.suggest(stage_node.at(), message, Some("use `reopen`".to_owned()));
        }
        Some((stage, for_ms?))
    }

    fn recycle(&mut self, item: &Node) -> Option<(StageIx, i64)> {
        let Some(node) = item.get("recycle_to") else {
            if let Some(stated) = item.get("for") {
                let way_out =
                    Some("a cool-down has a `for` of its own: `cooldown: {stage: …, for: …}`".to_owned());
                self.findings.suggest(stated.at(), "`for` belongs to `recycle_to`", way_out);
            }
            return None;
        };
        let stage = self.stage_named(node)?;
        let name = node.text().unwrap_or_default();
        let nature = self.nature(stage);
        if nature.terminal || nature.overrides {
            let what = if nature.terminal { "is terminal" } else { "overrides all others" };
            self.findings.add(node.at(), format!("the stage `{name}` {what}: no lead is sent back to it"));
        }
        if let (Some(stated), false) = (item.get("for"), nature.has_exit) {
            let message = format!("the stage `{name}` has no `exit` that could be ignored");
            self.findings.add(stated.at(), message);
        }
        Some((stage, item.get("for").and_then(duration_ms).unwrap_or(DEFAULT_RECYCLE_MS)))
    }

    fn cleared(&mut self, item: &Node) -> Vec<ScoreIx> {
        let mut cleared = Vec::new();
        for node in item.get("clear").map_or(&[][..], Node::one_or_many) {
            let Some(score) = self.score_named(node) else { continue };
            if cleared.contains(&score) {
                self.findings.add(node.at(), "this score stands twice");
            } else {
                cleared.push(score);
            }
        }
        cleared
    }

    fn reopened(&mut self, item: &Node) -> Vec<StageIx> {
        let stages = self.stages_named(item.get("reopen"));
        for (stage, node) in &stages {
            if !self.nature(*stage).terminal {
                let message = "this stage is not terminal: its `exit` ends it";
                self.findings.suggest(node.at(), message, Some("use `cooldown` or `recycle_to`".to_owned()));
            }
        }
        stages.into_iter().map(|(stage, _)| stage).collect()
    }

    /// Reports a feedback whose parts contradict each other.
    fn undone(&mut self, item: &Node, feedback: &Feedback) {
        if let (Some((cooled, _)), Some((recycled, _))) = (feedback.cooldown, feedback.recycle)
            && cooled == recycled
            && let Some(node) = item.get("cooldown").and_then(|node| node.get("stage"))
        {
            self.findings.add(node.at(), "the stage that the lead is sent back to cannot cool down at once");
        }
    }

    fn feedback_value(&mut self, node: &Node) -> Option<Amount> {
        match self.scalar_constant(node)? {
            Constant::Number(micros) => Some(Amount::Stated(micros)),
            Constant::Text(name) if name.starts_with("properties.") || name.starts_with("traits.") => {
                let field = predicate::value_field(&mut self.findings, &mut self.names, node)?;
                Some(Amount::Field(field))
            }
            _ => {
                self.findings.add(node.at(), "a value is a number, `properties.<name>` or `traits.<name>`");
                None
            }
        }
    }
}
