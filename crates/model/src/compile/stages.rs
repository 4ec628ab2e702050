//! Stages.

use super::{Compiler, duration_ms};
use crate::compiled::Stage;
use crate::expression::LeadPredicate;
use crate::predicate;
use crate::yaml::Node;

/// Most stages of a funnel; each may be a latch of every lead.
const MOST_STAGES: usize = 64;

impl Compiler<'_, '_> {
    pub(super) fn stages(&mut self) -> Vec<Stage> {
        self.unique_ids("stages", "stage");
        if let Some(section) = self.root.get("stages").filter(|section| section.is_list()) {
            if section.items().is_empty() {
                self.findings.add(section.at(), "a model has at least one stage");
            }
            if section.items().len() > MOST_STAGES {
                self.findings.add(section.at(), format!("a model has at most {MOST_STAGES} stages"));
            }
        }
        let listed = self.listed("stages");
        listed.into_iter().enumerate().map(|(ix, (id, item))| self.stage(ix, id, item)).collect()
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
            enter: enter.and_then(|node| self.lead_condition(node)),
            exit: exit.and_then(|node| self.lead_condition(node)),
            min_dwell_ms: min_dwell.and_then(duration_ms).unwrap_or(0),
            terminal,
            overrides,
            next_step: None,
            response: None,
        }
    }

    fn lead_condition(&mut self, node: &Node) -> Option<LeadPredicate> {
        predicate::lead_condition(&mut self.findings, &mut self.names, node)
    }
}
