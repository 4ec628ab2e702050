//! What is told about a lead once its stage is known: audiences, routes, value, alerts.

use super::rules::ReadRule;
use super::{Compiler, duration_ms};
use crate::compiled::{
    Alert, AlertIx, Amount, Audience, ExpectedValue, Route, RuleOrigin, ScoreIx, TraitIx, TraitKind,
};
use crate::expression::{Constant, Expression, LeadPredicate};
use crate::findings::did_you_mean;
use crate::number::{canonical_text, exact_scaled};
use crate::predicate::LeadScope;
use crate::yaml::Node;

impl Compiler<'_, '_> {
    /// The names of audiences and alerts, for tests.
    pub(super) fn declare_outward(&mut self) {
        for (name, ..) in self.named("audiences") {
            self.names.audiences.intern(name);
        }
        self.unique_ids("alerts", "alert");
        for (id, _) in self.listed("alerts") {
            self.names.alerts.intern(id);
        }
    }

    pub(super) fn audiences(&mut self) -> Vec<Audience> {
        let mut audiences = Vec::new();
        for (name, _, node) in self.named("audiences") {
            if let Some(when) = self.lead_condition(LeadScope::Outward, node) {
                audiences.push(Audience { name: name.to_owned(), when });
            }
        }
        audiences
    }

    pub(super) fn route(&mut self) -> Route {
        let mut route = Route::default();
        for (name, key, node) in self.named("route") {
            if name == "topic" {
                route.topic = self.topic(node);
                continue;
            }
            if node.is_list() && node.items().is_empty() {
                self.findings.add(key.at(), format!("the attribute `{name}` has no cases"));
            }
            let mut cases: Vec<(LeadPredicate, String)> = Vec::new();
            let mut always = false;
            for case in node.items() {
                let [condition, value] = case.items() else { continue };
                if always {
                    self.findings
                        .add(condition.at(), "the case before always holds: this one is never reached");
                }
                let when = self.lead_condition(LeadScope::Outward, condition);
                let value = self.scalar_constant(value).map(|constant| text_of(&constant));
                if let (Some(when), Some(value)) = (when, value) {
                    always |= matches!(when, Expression::Constant(true));
                    cases.push((when, value));
                }
            }
            route.attributes.push((name.to_owned(), cases));
        }
        route
    }

    fn topic(&mut self, node: &Node) -> Vec<ScoreIx> {
        let mut topic = Vec::new();
        for node in node.items() {
            let Some(score) = self.score_named(node) else { continue };
            if topic.contains(&score) {
                self.findings.add(node.at(), "this score stands twice");
            } else {
                topic.push(score);
            }
        }
        if node.is_list() && node.items().len() < 2 {
            self.findings.add(node.at(), "a topic is the highest of several scores");
        }
        topic
    }

    pub(super) fn value(&mut self) -> Option<ExpectedValue> {
        let section = self.root.get("value")?;
        let mut probability_micros = vec![0; self.names.stages.len()];
        let probabilities = section.get("probability")?;
        for (key, value) in probabilities.entries() {
            let micros = value.number().and_then(|text| exact_scaled(text, 6).ok());
            let stage = self.stage_named(key).and_then(|stage| probability_micros.get_mut(stage.ix()));
            if let (Some(known), Some(micros)) = (stage, micros) {
                *known = micros;
            }
        }
        if probabilities.entries().is_empty() {
            self.findings.add(probabilities.at(), "without a probability every value is 0");
        }
        let node = section.get("amount")?;
        let amount = match self.scalar_constant(node)? {
            Constant::Number(micros) if micros > 0 => Amount::Stated(micros),
            Constant::Text(_) => Amount::Trait(self.amount_trait(node)?),
            _ => {
                self.findings.add(node.at(), "an amount is a number above 0 or the name of a trait");
                return None;
            }
        };
        Some(ExpectedValue { probability_micros, amount })
    }

    fn amount_trait(&mut self, node: &Node) -> Option<TraitIx> {
        let found = self.trait_named(node)?;
        if !matches!(self.names.stored.get(found.ix())?.kind, TraitKind::Any | TraitKind::Number) {
            self.findings.add(node.at(), "an amount is a number, and this trait is none");
        }
        Some(found)
    }

    /// The stored trait that a node names. `None` after a finding.
    pub(super) fn trait_named(&mut self, node: &Node) -> Option<TraitIx> {
        let name = node.text()?;
        if let Some(bare) = name.strip_prefix("traits.") {
            let message = "a trait is named here without `traits.`";
            self.findings.suggest(node.at(), message, Some(format!("write `{bare}`")));
            return None;
        }
        if crate::names::is_kept_name(name) {
            let way_out = Some("give it another name in `traits`: `{from: traits.…}`".to_owned());
            let message = format!("`{name}` is a name that Ripen keeps for itself");
            self.findings.suggest(node.at(), message, way_out);
            return None;
        }
        Some(self.names.stored_trait(name))
    }

    /// The alerts, and the rules that look at the events of some.
    pub(super) fn alerts(&mut self) -> (Vec<Alert>, Vec<ReadRule>) {
        let (mut alerts, mut rules) = (Vec::new(), Vec::new());
        for (id, item) in self.listed("alerts") {
            let event_bound = self.event_or_condition("alert", id, item);
            let ix = self.names.alert(id).unwrap_or(AlertIx(u16::MAX));
            let when = item.get("when").and_then(|node| self.lead_condition(LeadScope::Outward, node));
            if event_bound {
                rules.push(self.conditional_reaction(format!("alerts.{id}"), RuleOrigin::Alert(ix), item));
            }
            let to = item.get("to").map(|node| self.distinct_texts(node, "recipient")).unwrap_or_default();
            let cool_down_ms = item.get("cool_down").and_then(duration_ms).unwrap_or(0);
            alerts.push(Alert { id: id.to_owned(), when, to, cool_down_ms });
        }
        (alerts, rules)
    }

    /// The audience that a node names. `None` after a finding.
    pub(super) fn audience_named(&mut self, node: &Node) -> Option<crate::compiled::AudienceIx> {
        let name = node.text()?;
        let found = self.names.audience(name);
        if found.is_none() {
            let way_out = did_you_mean(name, self.names.audiences.names());
            self.findings.suggest(node.at(), format!("unknown audience `{name}`"), way_out);
        }
        found
    }

    /// The alert that a node names. `None` after a finding.
    pub(super) fn alert_named(&mut self, node: &Node) -> Option<AlertIx> {
        let name = node.text()?;
        let found = self.names.alert(name);
        if found.is_none() {
            let way_out = did_you_mean(name, self.names.alerts.names());
            self.findings.suggest(node.at(), format!("unknown alert `{name}`"), way_out);
        }
        found
    }
}

/// A constant as a text that travels.
fn text_of(constant: &Constant) -> String {
    match constant {
        Constant::Boolean(truth) => truth.to_string(),
        Constant::Number(micros) => canonical_text(*micros).to_string(),
        Constant::Text(text) => text.clone(),
    }
}
