//! What is decided about a lead before its stage: definitions, disqualifications and bonuses, and what they may
//! read of each other.

use std::collections::{BTreeSet, HashMap};

use foldhash::fast::FixedState;

use super::rules::ReadRule;
use super::{Compiler, duration_ms, milli};
use crate::compiled::{
    Bonus, Definition, FactIx, Reason, RuleOrigin, ScoreIx, Verdict, VerdictHolds, VerdictIx,
};
use crate::expression::{EventField, LeadPredicate, LeadTest};
use crate::predicate::{self, LeadScope};
use crate::yaml::Node;

/// What a condition reads that may itself depend on conditions.
#[derive(Debug, Default, Clone)]
struct Reads {
    scores: BTreeSet<ScoreIx>,
    any_definition: bool,
    disqualified: bool,
}

impl Reads {
    fn of<'c>(conditions: impl IntoIterator<Item = &'c LeadPredicate>) -> Reads {
        let mut reads = Reads::default();
        for atom in conditions.into_iter().flat_map(LeadPredicate::atoms) {
            match &atom.test {
                LeadTest::Score { terms, .. } => reads.scores.extend(terms.iter().map(|(score, _)| *score)),
                LeadTest::AnyDefinition => reads.any_definition = true,
                LeadTest::Disqualified => reads.disqualified = true,
                _ => {}
            }
        }
        reads
    }

    /// Together with what its definitions and disqualifications read.
    fn through(mut self, definitions: &Reads, disqualifying: &Reads) -> Reads {
        // Twice: a definition may ask for `disqualified` and a disqualification for `any_definition`.
        for _ in 0..2 {
            for (asked, inner) in [(self.any_definition, definitions), (self.disqualified, disqualifying)] {
                if asked {
                    self.scores.extend(&inner.scores);
                    self.any_definition |= inner.any_definition;
                    self.disqualified |= inner.disqualified;
                }
            }
        }
        self
    }
}

impl<'f> Compiler<'f, '_> {
    /// Names of verdicts and what remembers them; facts of the file have to be declared before.
    pub(super) fn declare_verdicts(&mut self) {
        self.unique_ids("disqualify", "disqualification");
        let mut facts = self.names.facts.len();
        for (id, item) in self.listed("disqualify") {
            if self.names.rules.get(id).is_some()
                && let Some(node) = item.get("id")
            {
                let message =
                    format!("`{id}` is a rule already: a rule and a disqualification need two names");
                self.findings.add(node.at(), message);
            }
            self.names.disqualifies |= item.get("cap_stage").is_none();
            if self.names.verdict(id).is_some() {
                continue;
            }
            self.names.verdicts.intern(id);
            let fact = item.get("event").map(|_| FactIx(u16::try_from(facts).unwrap_or(u16::MAX)));
            facts += usize::from(fact.is_some());
            self.names.verdict_facts.push(fact);
        }
        self.names.has_definitions = !self.named("definitions").is_empty();
    }

    pub(super) fn definitions(&mut self) -> Vec<Definition> {
        let mut definitions = Vec::new();
        for (name, _, node) in self.named("definitions") {
            if let Some(when) = self.lead_condition(LeadScope::Definition, node) {
                definitions.push(Definition { name: name.to_owned(), when });
            }
        }
        definitions
    }

    /// The disqualifications, and the rules that look at the events of some.
    pub(super) fn verdicts(&mut self) -> (Vec<Verdict>, Vec<ReadRule>) {
        let (mut verdicts, mut rules) = (Vec::new(), Vec::new());
        for (id, item) in self.listed("disqualify") {
            let event_bound = self.event_or_condition("disqualification", id, item);
            if !event_bound && let Some(node) = item.get("until") {
                let message = "`until` counts from an event: a `when` holds exactly while it does";
                self.findings.add(node.at(), message);
            }
            let until_ms = self.some_time(item.get("until"));
            let reason = self.reason(id, item, event_bound);
            let cap_stage = item.get("cap_stage").and_then(|node| self.capped(node));
            let ix = self.names.verdict(id);
            let fact = ix.and_then(|ix| self.names.verdict_facts.get(ix.ix()).copied().flatten());
            let when = item.get("when").and_then(|node| self.lead_condition(LeadScope::Verdict, node));
            let holds = match (fact, when) {
                (Some(fact), _) => {
                    let origin = RuleOrigin::Verdict(ix.unwrap_or(VerdictIx(u16::MAX)));
                    let rule = self.conditional_reaction(format!("disqualify.{id}"), origin, item);
                    rules.push(rule.setting(fact, item.at(), until_ms));
                    VerdictHolds::Fact(fact)
                }
                (None, Some(when)) => VerdictHolds::While(when),
                (None, None) => continue,
            };
            verdicts.push(Verdict { id: id.to_owned(), holds, reason, cap_stage });
        }
        (verdicts, rules)
    }

    fn reason(&mut self, id: &str, item: &Node, event_bound: bool) -> Reason {
        let Some(from) = item.get("reason").and_then(|reason| reason.get("from")) else {
            let stated = item.get("reason").and_then(Node::text).unwrap_or_default();
            return Reason::Stated(stated.to_owned());
        };
        if !event_bound {
            let way_out = Some("write the reason itself".to_owned());
            self.findings.suggest(
                from.at(),
                "without an event there is no field to read a reason from",
                way_out,
            );
        }
        let field = predicate::value_field(&mut self.findings, &mut self.names, from);
        Reason::Read(field.unwrap_or(EventField::Event), self.names.reason(id))
    }

    /// The stage of `cap_stage`, if capping there hides anything. `None` after a finding.
    fn capped(&mut self, node: &Node) -> Option<crate::compiled::StageIx> {
        let stage = self.stage_named(node)?;
        let stages = self.listed("stages");
        let above = &stages[(stage.ix() + 1).min(stages.len())..];
        let name = node.text().unwrap_or_default();
        if stages.get(stage.ix()).is_some_and(|(_, item)| item.get("overrides").is_some()) {
            let message = format!("`{name}` overrides all other stages: there is nothing above it");
            self.findings.add(node.at(), message);
        } else if above.iter().all(|(_, item)| item.get("overrides").is_some()) {
            let message = format!("no stage stands above `{name}`: nothing would be hidden");
            self.findings.add(node.at(), message);
        }
        Some(stage)
    }

    pub(super) fn bonuses(&mut self) -> Vec<Bonus> {
        self.unique_ids("bonuses", "bonus");
        let mut bonuses = Vec::new();
        for (id, item) in self.listed("bonuses") {
            let when = item.get("when").and_then(|node| self.lead_condition(LeadScope::Bonus, node));
            let score = item.get("score").and_then(|node| self.score_named(node));
            let points = item.get("points").and_then(milli);
            if let (Some(node), Some(0)) = (item.get("points"), points) {
                self.findings.add(node.at(), "a bonus of 0 points does nothing");
            }
            if let (Some(when), Some(score), Some(milli)) = (when, score, points) {
                bonuses.push(Bonus { id: id.to_owned(), when, score, milli });
            }
        }
        bonuses
    }

    /// Reports what would have to be known before itself.
    pub(super) fn order(&mut self, bonuses: &[Bonus], definitions: &[Definition], verdicts: &[Verdict]) {
        let of_definitions = Reads::of(definitions.iter().map(|definition| &definition.when));
        let disqualifying = verdicts.iter().filter(|verdict| verdict.cap_stage.is_none());
        let of_disqualifying = Reads::of(disqualifying.filter_map(condition));
        let reads = |when| Reads::of([when]).through(&of_definitions, &of_disqualifying);
        for definition in definitions.iter().filter(|definition| reads(&definition.when).any_definition) {
            let node = self.root.get("definitions").and_then(|section| section.get(&definition.name));
            let message = format!(
                "a circle: the definition `{}` asks whether the lead is disqualified, and a disqualification asks \
                 for `any_definition`",
                definition.name
            );
            self.findings.add(node.map_or(0, Node::at), message);
        }
        let places = self.places("disqualify", "when");
        for verdict in verdicts {
            let Some(when) = condition(verdict).filter(|when| reads(when).disqualified) else { continue };
            // A direct question has been reported at its place.
            if when.atoms().iter().any(|atom| matches!(atom.test, LeadTest::Disqualified)) {
                continue;
            }
            let message = format!(
                "a circle: the disqualification `{}` asks for `any_definition`, and a definition asks whether the \
                 lead is disqualified",
                verdict.id
            );
            self.findings.add(places.get(verdict.id.as_str()).copied().unwrap_or(0), message);
        }
        let fed: BTreeSet<ScoreIx> = bonuses.iter().map(|bonus| bonus.score).collect();
        let places = self.places("bonuses", "when");
        for bonus in bonuses {
            let Some(score) = reads(&bonus.when).scores.intersection(&fed).next().copied() else { continue };
            let by_way = match Reads::of([&bonus.when]).scores.contains(&score) {
                true => "",
                false => ", by way of `any_definition` or `disqualified`",
            };
            let name = self.names.scores.names().nth(score.ix()).unwrap_or_default();
            let message = format!(
                "the bonus `{}` reads the score `{name}`{by_way}, which depends on a bonus",
                bonus.id
            );
            let way_out = "read a fact, a window or another score".to_owned();
            let at = places.get(bonus.id.as_str()).copied().unwrap_or(0);
            self.findings.suggest(at, message, Some(way_out));
        }
    }

    /// Where the condition of each entry of a section stands.
    fn places(&self, section: &str, key: &str) -> HashMap<&'f str, usize, FixedState> {
        let listed = self.listed(section).into_iter();
        listed.filter_map(|(id, item)| Some((id, item.get(key)?.at()))).collect()
    }

    /// Reports an entry that has neither or both of `event` and `when`; whether it has an event.
    pub(super) fn event_or_condition(&mut self, what: &str, id: &str, item: &Node) -> bool {
        let (event, when) = (item.get("event"), item.get("when"));
        match (event, when) {
            (Some(_), Some(when)) => {
                let message = format!("the {what} `{id}` has either `event` or `when`, not both");
                self.findings.add(when.at(), message);
            }
            (None, None) => {
                let message = format!("the {what} `{id}` needs `event` or `when`");
                self.findings.add(item.at(), message);
            }
            _ => {}
        }
        if let (None, Some(node)) = (event, item.get("where")) {
            let way_out = Some("use `when` for a condition on the lead".to_owned());
            self.findings.suggest(
                node.at(),
                "`where` is a condition on an event, and there is none",
                way_out,
            );
        }
        event.is_some()
    }

    /// A duration that is not zero. `None` without one or after a finding.
    pub(super) fn some_time(&mut self, node: Option<&Node>) -> Option<i64> {
        let node = node?;
        let ms = duration_ms(node)?;
        if ms == 0 {
            self.findings.add(node.at(), "a duration of 0 has no effect here");
            return None;
        }
        Some(ms)
    }
}

fn condition(verdict: &Verdict) -> Option<&LeadPredicate> {
    match &verdict.holds {
        VerdictHolds::While(when) => Some(when),
        VerdictHolds::Fact(_) => None,
    }
}
