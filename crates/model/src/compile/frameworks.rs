//! Frameworks: criteria with weights over one set of answers, and where the answers are read from.

use super::rules::ReadRule;
use super::{Compiler, milli};
use crate::compiled::{Answers, Criterion, Framework, RuleOrigin};
use crate::expression::{Comparison, Constant, EventField, Test};
use crate::findings::did_you_mean;
use crate::names::MOST_CRITERIA;
use crate::number::exact_scaled;
use crate::predicate;
use crate::yaml::Node;

/// Keys of the section that are no frameworks.
const OWN_KEYS: [&str; 4] = ["use", "score", "positive", "answers"];

impl<'f> Compiler<'f, '_> {
    /// The frameworks of the file: name, its place, criteria.
    fn listed_frameworks(&self) -> Vec<(&'f str, &'f Node, &'f Node)> {
        let entries = self.named("frameworks");
        entries.into_iter().filter(|(name, ..)| !OWN_KEYS.contains(name)).collect()
    }

    /// Criteria and their other names, before any condition asks for an answer.
    pub(super) fn declare_answers(&mut self) {
        let section = self.root.get("frameworks");
        self.names.has_answers = section.is_some_and(|section| section.get("answers").is_some());
        let frameworks = self.listed_frameworks();
        for (_, _, framework) in &frameworks {
            for (alias, node) in framework.get("alias").map_or(&[][..], Node::entries) {
                self.alias(framework, alias, node);
            }
        }
        for (name, _, framework) in &frameworks {
            for (criterion, key) in criteria(framework) {
                if self.names.aliases.contains_key(criterion) && !is_alias(framework, criterion) {
                    let kept_as = &self.names.aliases[criterion];
                    let message = format!(
                        "`{criterion}` is answered as `{kept_as}` in another framework and by itself in `{name}`"
                    );
                    let way_out = format!("add `alias: {{{criterion}: {kept_as}}}`");
                    self.findings.suggest(key.at(), message, Some(way_out));
                }
                self.names.answer(criterion);
            }
        }
    }

    fn alias(&mut self, framework: &Node, alias: &Node, node: &Node) {
        let (Some(name), Some(kept_as)) = (alias.text(), node.text()) else { return };
        if !criteria(framework).any(|(criterion, _)| criterion == name) {
            let way_out = did_you_mean(name, criteria(framework).map(|(criterion, _)| criterion));
            let message = format!("`{name}` is no criterion of this framework");
            self.findings.suggest(alias.at(), message, way_out);
        }
        if is_alias(framework, kept_as) {
            self.findings.add(node.at(), format!("`{kept_as}` is itself another name"));
            return;
        }
        let known = self.names.aliases.entry(name.to_owned()).or_insert_with(|| kept_as.to_owned());
        if known != kept_as {
            let message = format!("`{name}` is answered as `{known}` in another framework");
            self.findings.add(node.at(), message);
        }
    }

    /// The framework in use. `None` without the section or after a finding.
    pub(super) fn framework(&mut self) -> Option<Framework> {
        let section = self.root.get("frameworks")?;
        let score = section.get("score").and_then(|node| self.score_named(node));
        let positive = self.positive(section);
        let frameworks = self.listed_frameworks();
        let mut compiled = Vec::new();
        for (name, key, framework) in frameworks {
            let mut of_framework = Vec::new();
            for (criterion, _) in criteria(framework) {
                let answer = self.names.answer(criterion);
                let kept_as = self.names.aliases.get(criterion).map_or(criterion, String::as_str);
                let tests = positive.iter().find(|(name, _)| name == kept_as).map(|(_, tests)| tests.clone());
                let weight_milli = framework.get(criterion).and_then(milli).unwrap_or(0);
                of_framework.push(Criterion {
                    name: criterion.to_owned(),
                    answer,
                    weight_milli,
                    positive: tests.unwrap_or_else(yes),
                });
            }
            if of_framework.iter().map(|criterion| criterion.weight_milli).sum::<i64>() <= 0 {
                self.findings
                    .add(key.at(), format!("the weights of the framework `{name}` add up to nothing"));
            }
            compiled.push((name.to_owned(), of_framework));
        }
        let used = section.get("use")?;
        let name = used.text()?;
        let Some((_, criteria)) = compiled.iter().find(|(known, _)| known == name) else {
            let way_out = did_you_mean(name, compiled.iter().map(|(name, _)| name.as_str()));
            self.findings.suggest(used.at(), format!("unknown framework `{name}`"), way_out);
            return None;
        };
        Some(Framework { name: name.to_owned(), score: score?, criteria: criteria.clone() })
    }

    /// What a good answer is, by the name under which it is kept.
    fn positive(&mut self, section: &Node) -> Vec<(String, Vec<Test>)> {
        let mut positive = Vec::new();
        for (key, answers) in section.get("positive").map_or(&[][..], Node::entries) {
            let Some(criterion) = key.text() else { continue };
            if let Some(kept_as) = self.names.aliases.get(criterion) {
                let way_out = Some(format!("write `{kept_as}`"));
                let message = format!("answers to `{criterion}` are kept as `{kept_as}`");
                self.findings.suggest(key.at(), message, way_out);
            } else if !self.names.answers.iter().any(|(known, _)| known == criterion) {
                let way_out =
                    did_you_mean(criterion, self.names.answers.iter().map(|(name, _)| name.as_str()));
                self.findings.suggest(key.at(), format!("unknown criterion `{criterion}`"), way_out);
            }
            if answers.is_list() && answers.items().is_empty() {
                self.findings.add(answers.at(), format!("no answer to `{criterion}` would be good"));
            }
            let mut tests = Vec::new();
            for answer in answers.items() {
                let at_least = answer.get("at_least").and_then(Node::number);
                if let Some(bound) = at_least.and_then(|text| exact_scaled(text, 6).ok()) {
                    tests.push(Test::Compare(Comparison::GreaterOrEqual, Constant::Number(bound)));
                } else if let Some(constant) = self.scalar_constant(answer) {
                    tests.push(Test::Compare(Comparison::Equal, constant));
                }
            }
            positive.push((criterion.to_owned(), tests));
        }
        positive
    }

    /// Where answers are read, and the rule that looks at their events. Criteria are complete only once every
    /// condition has been read.
    pub(super) fn answers(&mut self) -> Option<(ReadRule, Answers)> {
        let section = self.root.get("frameworks")?;
        if self.names.answers.len() > MOST_CRITERIA {
            let message = format!("answers to at most {MOST_CRITERIA} criteria are kept");
            self.findings.add(section.at(), message);
        }
        let node = section.get("answers")?;
        let rule = self.reaction("frameworks.answers".to_owned(), RuleOrigin::Answers, node);
        let events = self.event_names(node);
        let criterion = self.answer_field(node, "criterion");
        let value = self.answer_field(node, "value");
        let mut kept = self.names.answers.clone();
        let mut aliases: Vec<_> = self.names.aliases.iter().collect();
        aliases.sort();
        for (alias, kept_as) in aliases {
            if let Some((_, answer)) = self.names.answers.iter().find(|(name, _)| name == kept_as) {
                kept.push((alias.clone(), *answer));
            }
        }
        Some((rule.at(events), Answers { criterion: criterion?, value: value?, kept }))
    }

    fn answer_field(&mut self, answers: &Node, key: &str) -> Option<EventField> {
        let node = answers.get(key)?;
        predicate::value_field(&mut self.findings, &mut self.names, node)
    }
}

/// The criteria of a framework with their places.
fn criteria(framework: &Node) -> impl Iterator<Item = (&str, &Node)> {
    let entries = framework.entries().iter().filter_map(|(key, _)| Some((key.text()?, key)));
    entries.filter(|(name, _)| *name != "alias")
}

fn is_alias(framework: &Node, criterion: &str) -> bool {
    framework.get("alias").is_some_and(|aliases| aliases.get(criterion).is_some())
}

fn yes() -> Vec<Test> {
    let equal = |constant| Test::Compare(Comparison::Equal, constant);
    vec![equal(Constant::Boolean(true)), equal(Constant::Text("yes".to_owned()))]
}
