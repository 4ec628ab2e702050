//! Stages, and the hint that each carries.

use super::{Compiler, duration_ms};
use crate::compiled::{Stage, StageIx};
use crate::expression::LeadPredicate;
use crate::findings::did_you_mean;
use crate::predicate::{self, LeadScope};
use crate::yaml::Node;

/// Most stages of a funnel; each may be a latch of every lead.
const MOST_STAGES: usize = 64;

impl Compiler<'_, '_> {
    /// The names of stages, before any condition asks for one.
    pub(super) fn declare_stages(&mut self) {
        self.unique_ids("stages", "stage");
        for (id, _) in self.listed("stages") {
            self.names.stages.intern(id);
        }
    }

    pub(super) fn stages(&mut self) -> Vec<Stage> {
        if let Some(section) = self.root.get("stages").filter(|section| section.is_list()) {
            if section.items().is_empty() {
                self.findings.add(section.at(), "a model has at least one stage");
            }
            if section.items().len() > MOST_STAGES {
                self.findings.add(section.at(), format!("a model has at most {MOST_STAGES} stages"));
            }
        }
        let listed = self.listed("stages");
        let mut stages: Vec<Stage> =
            listed.into_iter().enumerate().map(|(ix, (id, item))| self.stage(ix, id, item)).collect();
        for (_, key, hint) in self.named("next_step") {
            let (stage, hint) = (self.stage_named(key), hint.text());
            if let Some(stage) = stage.and_then(|ix| stages.get_mut(ix.ix())) {
                stage.next_step = hint.map(str::to_owned);
            }
        }
        stages
    }

    fn stage(&mut self, ix: usize, id: &str, item: &Node) -> Stage {
        let terminal = item.get("terminal").and_then(Node::boolean).unwrap_or(false);
        let overrides = item.get("overrides").is_some();
        let enter = item.get("enter");
        let exit = item.get("exit");
        let min_dwell = item.get("min_dwell");
        if ix == 0 {
            for key in ["enter", "exit", "min_dwell", "terminal", "overrides"] {
                if let Some(node) = item.get(key) {
                    let message = format!("the first stage always holds, it has no `{key}`");
                    self.findings.add(node.at(), message);
                }
            }
        } else if enter.is_none() {
            self.findings.add(item.at(), format!("nothing leads to the stage `{id}`: it needs `enter`"));
        }
        if let (true, Some(exit)) = (terminal, exit) {
            self.findings.add(exit.at(), format!("the stage `{id}` is terminal, it has no `exit`"));
        }
        if let (None, Some(node)) = (exit, min_dwell)
            && ix > 0
        {
            self.findings
                .add(node.at(), format!("the stage `{id}` has no `exit`, `min_dwell` has no meaning"));
        }
        let owner = item.get("owner").and_then(Node::text).unwrap_or_default();
        Stage {
            id: id.to_owned(),
            owner: owner.to_owned(),
            enter: enter.and_then(|node| self.lead_condition(LeadScope::Stage, node)),
            exit: exit.and_then(|node| self.lead_condition(LeadScope::Stage, node)),
            min_dwell_ms: min_dwell.and_then(duration_ms).unwrap_or(0),
            terminal,
            overrides,
            next_step: None,
            response: None,
        }
    }

    pub(super) fn lead_condition(&mut self, scope: LeadScope, node: &Node) -> Option<LeadPredicate> {
        predicate::lead_condition(&mut self.findings, &mut self.names, scope, node)
    }

    /// The stage that a node names. `None` after a finding.
    pub(super) fn stage_named(&mut self, node: &Node) -> Option<StageIx> {
        let name = node.text()?;
        let found = self.names.stage(name);
        if found.is_none() {
            let way_out = did_you_mean(name, self.names.stages.names());
            self.findings.suggest(node.at(), format!("unknown stage `{name}`"), way_out);
        }
        found
    }

    /// The stages under a key with their places, each once.
    pub(super) fn stages_named<'n>(&mut self, node: Option<&'n Node>) -> Vec<(StageIx, &'n Node)> {
        let mut stages: Vec<(StageIx, &Node)> = Vec::new();
        for node in node.map_or(&[][..], Node::one_or_many) {
            let Some(stage) = self.stage_named(node) else { continue };
            if stages.iter().any(|(known, _)| *known == stage) {
                self.findings.add(node.at(), "this stage stands twice");
            } else {
                stages.push((stage, node));
            }
        }
        stages
    }

    /// Whether a stage of the file is the first, terminal, overriding.
    pub(super) fn nature(&self, stage: StageIx) -> Nature {
        let stages = self.listed("stages");
        let item = stages.get(stage.ix()).map(|(_, item)| *item);
        let terminal = item.and_then(|item| item.get("terminal")).and_then(Node::boolean);
        Nature {
            first: stage.0 == 0,
            terminal: terminal == Some(true),
            overrides: item.is_some_and(|item| item.get("overrides").is_some()),
            has_exit: item.is_some_and(|item| item.get("exit").is_some()),
        }
    }
}

/// What other sections have to know of a stage.
pub(super) struct Nature {
    pub(super) first: bool,
    pub(super) terminal: bool,
    pub(super) overrides: bool,
    pub(super) has_exit: bool,
}
