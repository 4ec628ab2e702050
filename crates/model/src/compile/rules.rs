//! Rules, the facts they set, and the windows that read them; every section that reacts to an event becomes a rule.

use super::{Compiler, duration_ms, milli};
use crate::compiled::{
    EventIndex, Fact, FactIx, GroupIx, KeyPart, Recurrence, Rule, RuleIx, RuleOrigin, ScoreIx,
};
use crate::duration::duration_text;
use crate::expression::Measure;
use crate::findings::did_you_mean;
use crate::predicate;
use crate::yaml::Node;

/// Keys held by a rule whose keys have a field and that states no `max`.
const DEFAULT_MAX: u16 = 32;

/// Times to live of one fact; the rule's place among them is a u8.
const MOST_TTLS: usize = 64;

/// How much longer than `late_accept` calendar keys are held, ms.
const SEALED_AFTER_MS: i64 = 86_400_000;

/// A rule and what is decided about it later.
pub(super) struct ReadRule {
    pub(super) rule: Rule,
    pub(super) group: Option<GroupIx>,
    /// The events it looks at.
    events: Vec<String>,
    /// The facts it sets, with the place and the time to live.
    sets: Vec<(FactIx, usize, Option<i64>)>,
    /// Where a `max` stands that needs a window to mean anything.
    idle_max: Option<usize>,
}

impl Compiler<'_, '_> {
    pub(super) fn declare_rules(&mut self) {
        self.unique_ids("rules", "rule");
        for (id, _) in self.listed("rules") {
            self.names.rules.intern(id);
        }
    }

    /// Facts are what rules and feedback set.
    pub(super) fn declare_facts(&mut self) {
        let rules = self.listed("rules").into_iter().map(|(_, rule)| rule);
        let feedback = self.named("feedback").into_iter().map(|(_, _, value)| value);
        let setters: Vec<&Node> = rules.chain(feedback).collect();
        for (name, _) in setters.iter().filter_map(|node| node.get("set")).flat_map(|set| set.entries()) {
            if let Some(name) = name.text() {
                self.names.facts.intern(name);
            }
        }
    }

    pub(super) fn rules(&mut self) -> Vec<ReadRule> {
        let listed = self.listed("rules");
        listed.into_iter().map(|(id, item)| self.rule(id, item)).collect()
    }

    fn rule(&mut self, id: &str, item: &Node) -> ReadRule {
        let condition = item
            .get("where")
            .and_then(|node| predicate::event_condition(&mut self.findings, &mut self.names, node));
        let points = self.points(item);
        let group = item.get("group").and_then(|node| self.group_of(id, node, &points));
        let recurrence = self.recurrence(item);
        let stated: Option<u16> = item.get("max").and_then(Node::number).and_then(|text| text.parse().ok());
        let mut idle_max = None;
        let max = match &recurrence {
            Recurrence::Every => {
                idle_max = item.get("max").map(Node::at);
                stated
            }
            Recurrence::Once => {
                if let Some(node) = item.get("max") {
                    self.findings.add(node.at(), "`once` holds one match: `max` has no meaning beside it");
                }
                Some(1)
            }
            Recurrence::Per(parts) => {
                let fields = parts.iter().any(|part| matches!(part, KeyPart::Field(_)));
                stated.or(fields.then_some(DEFAULT_MAX))
            }
        };
        let anonymous = item.get("anonymous").and_then(Node::text) != Some("ignore");
        let mut read = self.reaction(id.to_owned(), RuleOrigin::Rule, item);
        read.rule = Rule { condition, points, recurrence, max, anonymous, ..read.rule };
        ReadRule { group, idle_max, events: self.event_names(item), ..read }
    }

    /// A rule without points and keys that does what `set`, `unset` and `lift` of the item say.
    pub(super) fn reaction(&mut self, id: String, origin: RuleOrigin, item: &Node) -> ReadRule {
        let sets = self.sets(item);
        let mut unset = self.unset(item);
        for fact in self.lifted(item) {
            if !unset.contains(&fact) {
                unset.push(fact);
            }
        }
        let rule = Rule {
            id,
            condition: None,
            points: Vec::new(),
            recurrence: Recurrence::Every,
            max: None,
            set: Vec::new(),
            unset,
            summed: None,
            windowed: false,
            anonymous: true,
            origin,
        };
        ReadRule { rule, group: None, events: Vec::new(), sets, idle_max: None }
    }

    /// The same for an entry that names its events and may have a `where`.
    pub(super) fn conditional_reaction(&mut self, id: String, origin: RuleOrigin, item: &Node) -> ReadRule {
        let condition = item
            .get("where")
            .and_then(|node| predicate::event_condition(&mut self.findings, &mut self.names, node));
        let mut read = self.reaction(id, origin, item);
        read.rule.condition = condition;
        ReadRule { events: self.event_names(item), ..read }
    }

    /// The names under `event`, each once.
    pub(super) fn event_names(&mut self, item: &Node) -> Vec<String> {
        let Some(event) = item.get("event") else { return Vec::new() };
        let names = self.distinct_texts(event, "event");
        if event.one_or_many().is_empty() {
            self.findings.add(event.at(), "without an event nothing matches");
        }
        names
    }

    /// The facts of the verdicts under `lift`.
    fn lifted(&mut self, item: &Node) -> Vec<FactIx> {
        let mut lifted = Vec::new();
        for node in item.get("lift").map_or(&[][..], Node::one_or_many) {
            let Some(name) = node.text() else { continue };
            let Some(verdict) = self.names.verdict(name) else {
                let way_out = did_you_mean(name, self.names.verdicts.names());
                self.findings.suggest(node.at(), format!("unknown disqualification `{name}`"), way_out);
                continue;
            };
            match self.names.verdict_facts.get(verdict.ix()).copied().flatten() {
                Some(fact) if lifted.contains(&fact) => {
                    self.findings.add(node.at(), format!("the disqualification `{name}` stands twice"));
                }
                Some(fact) => lifted.push(fact),
                None => {
                    let message =
                        format!("`{name}` holds exactly while its `when` does: nothing can lift it");
                    self.findings.add(node.at(), message);
                }
            }
        }
        lifted
    }

    fn points(&mut self, item: &Node) -> Vec<(ScoreIx, i64)> {
        let mut points = Vec::new();
        for (key, value) in item.get("points").map_or(&[][..], Node::entries) {
            if let (Some(score), Some(milli)) = (self.score_named(key), milli(value)) {
                points.push((score, milli));
            }
        }
        points
    }

    fn group_of(&mut self, id: &str, node: &Node, points: &[(ScoreIx, i64)]) -> Option<GroupIx> {
        let name = node.text()?;
        let Some(ix) = self.names.groups.get(name) else {
            let way_out = did_you_mean(name, self.names.groups.names());
            self.findings.suggest(node.at(), format!("unknown group `{name}`"), way_out);
            return None;
        };
        let score_node = self.root.get("groups")?.get(name)?.get("score")?;
        let score_name = score_node.raw()?;
        let score = self.names.score(score_name)?;
        if !points.iter().any(|(fed, _)| *fed == score) {
            let message = format!(
                "the group `{name}` caps the score `{score_name}`, to which rule `{id}` gives no points"
            );
            self.findings.add(node.at(), message);
        }
        Some(GroupIx(ix))
    }

    fn recurrence(&mut self, item: &Node) -> Recurrence {
        let Some(per) = item.get("once_per") else {
            return if item.get("once").is_some() { Recurrence::Once } else { Recurrence::Every };
        };
        if let Some(once) = item.get("once") {
            self.findings.add(once.at(), "`once` and `once_per` exclude each other");
        }
        let mut parts = Vec::new();
        for node in per.one_or_many() {
            let part = match node.text() {
                None => continue,
                Some("hour") => Some(KeyPart::Hour),
                Some("day") => Some(KeyPart::Day),
                Some("week") => Some(KeyPart::Week),
                Some(name) if !name.contains(['.', '[']) && name != "event" => {
                    let message = format!("`{name}` is no part of a key");
                    let words = ["day", "week", "hour", "event"];
                    let way_out = did_you_mean(name, words)
                        .unwrap_or_else(|| "use `day`, `week`, `hour` or a field: `page.path`".to_owned());
                    self.findings.suggest(node.at(), message, Some(way_out));
                    None
                }
                Some(_) => {
                    predicate::key_field(&mut self.findings, &mut self.names, node).map(KeyPart::Field)
                }
            };
            if let Some(part) = part {
                if parts.contains(&part) {
                    self.findings.add(node.at(), "this part of the key stands twice");
                }
                parts.push(part);
            }
        }
        if per.items().is_empty() && per.text().is_none() {
            self.findings.suggest(per.at(), "a key without parts", Some("write `once: true`".to_owned()));
        }
        Recurrence::Per(parts)
    }

    fn sets(&mut self, item: &Node) -> Vec<(FactIx, usize, Option<i64>)> {
        let mut sets = Vec::new();
        for (key, value) in item.get("set").map_or(&[][..], Node::entries) {
            let Some(fact) = key.text().and_then(|name| self.names.fact(name)) else { continue };
            let ttl_ms = duration_ms(value);
            if ttl_ms == Some(0) {
                self.findings.add(value.at(), "a fact that lives no time is never true");
            }
            sets.push((fact, value.at(), ttl_ms));
        }
        sets
    }

    fn unset(&mut self, item: &Node) -> Vec<FactIx> {
        let mut unset = Vec::new();
        for node in item.get("unset").map_or(&[][..], Node::one_or_many) {
            let Some(name) = node.text() else { continue };
            match self.names.fact(name) {
                Some(fact) if unset.contains(&fact) => {
                    self.findings.add(node.at(), format!("the fact `{name}` stands twice"));
                }
                Some(fact) => unset.push(fact),
                None => {
                    let way_out = did_you_mean(name, self.names.facts.names());
                    let message = format!("unknown fact `{name}`: nothing sets it");
                    self.findings.suggest(node.at(), message, way_out);
                }
            }
        }
        unset
    }

    /// The facts with their distinct times to live, and each rule's place among them.
    pub(super) fn facts(&mut self, rules: &mut [ReadRule]) -> Vec<Fact> {
        let names = self.names.facts.names();
        let mut facts: Vec<Fact> = names
            .map(|name| Fact { name: name.to_owned(), ttls_ms: Vec::new(), is_verdict: false })
            .collect();
        for (name, fact) in self.names.verdicts.names().zip(&self.names.verdict_facts) {
            if fact.is_some() {
                // No fact of the file has a dot in its name.
                let name = format!("verdict.{name}");
                facts.push(Fact { name, ttls_ms: Vec::new(), is_verdict: true });
            }
        }
        for read in rules {
            for (fact, at, ttl_ms) in read.sets.drain(..) {
                let Some(ttls) = facts.get_mut(fact.ix()).map(|fact| &mut fact.ttls_ms) else { continue };
                let place = ttls.iter().position(|known| *known == ttl_ms).unwrap_or_else(|| {
                    ttls.push(ttl_ms);
                    ttls.len() - 1
                });
                if place >= MOST_TTLS {
                    let message = format!("a fact has at most {MOST_TTLS} different times to live");
                    self.findings.add(at, message);
                }
                read.rule.set.push((fact, u8::try_from(place).unwrap_or(u8::MAX)));
            }
        }
        facts
    }

    /// Tells the rules that windows read them, and windows what they cannot see.
    pub(super) fn windows(&mut self, rules: &mut [ReadRule], late_accept_ms: i64) {
        for window in std::mem::take(&mut self.names.windows) {
            let Some(read) = rules.get_mut(window.rule.ix()) else { continue };
            let rule = &mut read.rule;
            rule.windowed = true;
            read.idle_max = None;
            if matches!(rule.recurrence, Recurrence::Every) && rule.max.is_none() {
                rule.max = Some(DEFAULT_MAX);
            }
            if let Some(property) = window.summed {
                if rule.summed.is_some_and(|known| known != property) {
                    let message = format!("rule `{}` is summed over two properties, it keeps one", rule.id);
                    self.findings.add(window.at, message);
                }
                rule.summed = Some(property);
            }
            let held_ms = late_accept_ms.saturating_add(SEALED_AFTER_MS);
            if rule.max.is_none() && window.window_ms > held_ms {
                let held = duration_text(held_ms);
                let message = format!("the window is longer than rule `{}` holds its days ({held})", rule.id);
                let way_out = format!("use a window of {held}, or give the rule a `max`");
                self.findings.suggest(window.at, message, Some(way_out));
            }
            if let (Some(max), Some(least)) = (rule.max, window.least)
                && least > i64::from(max)
            {
                let what = if window.measure == Measure::Days { "days" } else { "matches" };
                let message =
                    format!("rule `{}` holds {max} matches: there are never {least} {what}", rule.id);
                let way_out = format!("give the rule `max: {least}`");
                self.findings.suggest(window.at, message, Some(way_out));
            }
        }
        for at in rules.iter().filter_map(|read| read.idle_max) {
            let message = "`max` has no meaning here: a rule that counts every activity holds no keys";
            self.findings.suggest(at, message, Some("add `once_per`, or cap a group's points".to_owned()));
        }
    }
}

impl ReadRule {
    /// The same, looking at these events.
    pub(super) fn at(self, events: Vec<String>) -> ReadRule {
        ReadRule { events, ..self }
    }

    /// The same, setting a fact for a time.
    pub(super) fn setting(mut self, fact: FactIx, at: usize, ttl_ms: Option<i64>) -> ReadRule {
        self.sets.push((fact, at, ttl_ms));
        self
    }
}

/// Rules by event name.
pub(super) fn events(rules: &[ReadRule]) -> EventIndex {
    let mut index = EventIndex::default();
    for name in rules.iter().flat_map(|read| &read.events).filter(|name| *name != "*") {
        index.named.entry(name.clone()).or_default();
    }
    for (ix, read) in rules.iter().enumerate() {
        let rule = RuleIx(u16::try_from(ix).unwrap_or(u16::MAX));
        if read.events.iter().any(|name| name == "*") {
            index.any.push(rule);
            index.named.values_mut().for_each(|rules| rules.push(rule));
        } else {
            for name in &read.events {
                if let Some(rules) = index.named.get_mut(name) {
                    rules.push(rule);
                }
            }
        }
    }
    index
}
