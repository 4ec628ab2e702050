//! Conditions on a lead: scores, facts, stored traits and answers, windows over held matches; disqualification,
//! definitions and the stage where they are known.

use cel::common::ast::{CallExpr, Expr, IdedExpr, operators};

use super::sum::{Linear, constant};
use super::{LeadScope, Path, Reader, comparison_operator, set_of};
use crate::compiled::{RuleIx, TraitIx};
use crate::duration::parse_duration_ms;
use crate::expression::{Comparison, Constant, Expression, LeadAtom, LeadPredicate, LeadTest, Measure, Test};
use crate::findings::did_you_mean;
use crate::names::{WindowUse, hashed, is_kept_name};
use crate::number::MICROS_PER_UNIT;

/// Names of which a condition on a lead is made.
const ROOTS: [&str; 9] =
    ["score", "fact", "traits", "answers", "known", "disqualified", "any_definition", "stage", "lists"];
const FUNCTIONS: [&str; 6] = ["seen", "count", "days", "sum", "known_for", "stage_for"];

struct Window {
    measure: Measure,
    rule: RuleIx,
    window_ms: i64,
    summed: Option<crate::compiled::PropertyIx>,
}

enum Operand {
    Constant(Constant),
    Trait(TraitIx),
    Scores(Linear),
    Window(Window),
    Stage,
}

impl Reader<'_, '_> {
    pub(super) fn lead_leaf(&mut self, expr: &IdedExpr) -> Option<LeadPredicate> {
        let test = self.lead_test(expr)?;
        Some(Expression::Atom(LeadAtom { text: self.words(expr), test }))
    }

    fn lead_test(&mut self, expr: &IdedExpr) -> Option<LeadTest> {
        if let Some(path) = self.presence(expr) {
            let found = self.lead_trait(&path, "`has(…)` asks for a trait: `has(traits.<name>)`")?;
            return Some(LeadTest::Trait(found, Test::Present));
        }
        if let Some(path) = self.path(expr) {
            return self.lead_name(&path);
        }
        let at = self.own_place(expr);
        let Expr::Call(call) = &expr.expr else {
            self.add(self.place(expr), "this is not a condition");
            return None;
        };
        if let (Some(comparison), [left, right]) = (comparison_operator(&call.func_name), &call.args[..]) {
            let (left, right) = (self.lead_operand(left), self.lead_operand(right));
            return self.lead_comparison(left?, comparison, right?, at);
        }
        if let (operators::IN, [left, right]) = (call.func_name.as_str(), &call.args[..]) {
            return self.lead_membership(left, right, at);
        }
        if let Some(test) = self.text_function(call, at).ok()? {
            let target = call.target.as_deref()?;
            let Some(path) = self.path(target) else {
                self.add(self.place(target), "a text function is called on a trait");
                return None;
            };
            let found = self.lead_trait(&path, "a text function is called on a trait")?;
            self.visible_trait(found, path.at())?;
            return Some(LeadTest::Trait(found, test));
        }
        self.lead_function(call, at)
    }

    /// A name that is a condition by itself. `None` after a finding.
    fn lead_name(&mut self, path: &Path) -> Option<LeadTest> {
        match path.root() {
            "fact" => {
                let (name, at) = self.behind_root(path)?;
                let found = self.names.fact(&name).map(LeadTest::Fact);
                if found.is_none() {
                    let way_out = did_you_mean(&name, self.names.facts.names());
                    self.suggest(at, format!("unknown fact `{name}`: nothing sets it"), way_out);
                }
                found
            }
            "known" if path.rest().is_none() => Some(LeadTest::Known),
            "disqualified" if path.rest().is_none() => self.disqualified(path.at()),
            "any_definition" if path.rest().is_none() => self.any_definition(path.at()),
            "stage" if path.rest().is_none() => {
                self.stage_allowed(path.at())?;
                self.add(path.at(), "a stage is compared with a stage: `stage == 'mql'`");
                None
            }
            "traits" | "answers" => {
                let found = self.lead_trait(path, "")?;
                self.visible_trait(found, path.at())?;
                Some(LeadTest::Trait(found, Test::IsTrue))
            }
            "score" => {
                self.lead_score(path)?;
                self.add(path.at(), "a score is compared with a number: `score.x >= 20`");
                None
            }
            _ => {
                self.unknown_lead_name(path);
                None
            }
        }
    }

    /// `seen(…)` and `known_for(…)`, conditions by themselves. `None` after a finding.
    fn lead_function(&mut self, call: &CallExpr, at: usize) -> Option<LeadTest> {
        match (call.func_name.as_str(), &call.args[..]) {
            ("seen", [_, window_arg]) => {
                let rule = self.rule_argument(call, at)?;
                let window_ms = self.duration_argument(window_arg)?;
                let window = Window { measure: Measure::Count, rule, window_ms, summed: None };
                self.window_test(window, Comparison::GreaterOrEqual, MICROS_PER_UNIT, at)
            }
            ("known_for", [age]) => Some(LeadTest::KnownFor { age_ms: self.duration_argument(age)? }),
            ("stage_for", [age]) => {
                let allowed = self.stage_allowed(at);
                let age_ms = self.duration_argument(age)?;
                allowed.map(|()| LeadTest::StageFor { age_ms })
            }
            ("seen", _) => {
                self.add(at, "`seen` takes a rule and a window: `seen('rule', '30d')`");
                None
            }
            ("known_for" | "stage_for", _) => {
                let name = &call.func_name;
                self.add(at, format!("`{name}` takes a duration: `{name}('1d')`"));
                None
            }
            ("count" | "days" | "sum", _) => {
                let message = format!("`{}` is compared with a number", call.func_name);
                self.add(at, message);
                None
            }
            (operators::INDEX, _) => {
                self.add(at, "an index is a text constant: `traits['job title']`");
                None
            }
            // Operators: `_+_`, `@in`.
            (name, _) if name.starts_with(['_', '-', '!', '@']) => {
                self.add(at, "this is not a condition");
                None
            }
            (name, _) => {
                self.suggest(at, format!("unknown function `{name}`"), did_you_mean(name, FUNCTIONS));
                None
            }
        }
    }

    fn lead_operand(&mut self, expr: &IdedExpr) -> Option<Operand> {
        if let Some(constant) = self.constant(expr).ok()? {
            return Some(Operand::Constant(constant));
        }
        let at = self.place(expr);
        if let Some(path) = self.path(expr) {
            return match path.root() {
                "score" => self.linear(expr).map(Operand::Scores),
                "traits" | "answers" => {
                    let found = self.lead_trait(&path, "")?;
                    self.visible_trait(found, at)?;
                    Some(Operand::Trait(found))
                }
                "stage" if path.rest().is_none() => self.stage_allowed(at).map(|()| Operand::Stage),
                "fact" | "known" | "disqualified" | "any_definition" => {
                    let text = path.text();
                    let way_out = format!("write `{text}` or `!{text}`");
                    self.suggest(at, format!("`{text}` is a condition by itself"), Some(way_out));
                    None
                }
                _ => {
                    self.unknown_lead_name(&path);
                    None
                }
            };
        }
        let Expr::Call(call) = &expr.expr else {
            self.add(at, "neither a score, a trait, a window function nor a constant");
            return None;
        };
        if call.target.is_some() {
            self.text_function_as_value(call, self.own_place(expr));
            return None;
        }
        match call.func_name.as_str() {
            operators::ADD | operators::SUBSTRACT | operators::MULTIPLY | operators::NEGATE => {
                self.linear(expr).map(Operand::Scores)
            }
            "count" | "days" | "sum" => self.window(call, self.own_place(expr)).map(Operand::Window),
            "seen" | "known_for" | "stage_for" => {
                self.add(at, format!("`{}` is a condition by itself", call.func_name));
                None
            }
            _ => {
                self.lead_function(call, self.own_place(expr));
                None
            }
        }
    }

    fn lead_comparison(
        &mut self,
        left: Operand,
        comparison: Comparison,
        right: Operand,
        at: usize,
    ) -> Option<LeadTest> {
        use Operand::{Constant as Fixed, Scores, Stage, Trait, Window};
        match (left, right) {
            (Stage, Fixed(constant)) | (Fixed(constant), Stage) => {
                self.stage_test(&[constant], comparison, at)
            }
            (Stage, _) | (_, Stage) => {
                self.add(at, "a stage is compared with the id of a stage: `stage == 'mql'`");
                None
            }
            (Trait(left), Trait(right)) => Some(LeadTest::Traits(left, comparison, right)),
            (Trait(found), Fixed(constant)) => {
                let test = self.comparison(comparison, constant, at)?;
                Some(LeadTest::Trait(found, test))
            }
            (Fixed(constant), Trait(found)) => {
                let test = self.comparison(comparison.flipped(), constant, at)?;
                Some(LeadTest::Trait(found, test))
            }
            (Window(window), Fixed(Constant::Number(micros))) => {
                self.window_test(window, comparison, micros, at)
            }
            (Fixed(Constant::Number(micros)), Window(window)) => {
                self.window_test(window, comparison.flipped(), micros, at)
            }
            (Scores(left), Scores(right)) => self.score_test(left, comparison, right, at),
            (Scores(left), Fixed(Constant::Number(micros))) => {
                self.score_test(left, comparison, constant(micros), at)
            }
            (Fixed(Constant::Number(micros)), Scores(right)) => {
                self.score_test(right, comparison.flipped(), constant(micros), at)
            }
            (Fixed(_), Fixed(_)) => {
                self.add(at, "two constants are compared: the condition would never change");
                None
            }
            (Scores(_), _) | (_, Scores(_)) => {
                self.add(at, "a score is compared with a number or with scores");
                None
            }
            (Window(_), _) | (_, Window(_)) => {
                self.add(at, "a window function is compared with a number");
                None
            }
        }
    }

    fn lead_membership(&mut self, left: &IdedExpr, right: &IdedExpr, at: usize) -> Option<LeadTest> {
        let operand = self.lead_operand(left);
        if let (Some(Operand::Stage), Expr::List(_)) = (&operand, &right.expr) {
            let stages = self.constant_list(right)?;
            return self.stage_test(&stages, Comparison::Equal, at);
        }
        let set = if let Expr::List(_) = &right.expr {
            Some(self.constant_list(right).map(set_of))
        } else {
            let Some(path) = self.path(right) else {
                self.add(
                    at,
                    "on the right of `in` stands a list, `lists.<name>` or a trait that holds a list",
                );
                return None;
            };
            let list = self.named_list(&path);
            if list.is_none() {
                let found = self.lead_trait(&path, "a constant is looked for in a list or a trait")?;
                self.visible_trait(found, path.at())?;
                let Operand::Constant(constant) = operand? else {
                    self.add(at, "only a constant can be looked for in a trait that holds a list");
                    return None;
                };
                return Some(LeadTest::Trait(found, Test::Has(constant)));
            }
            list
        };
        let Operand::Trait(found) = operand? else {
            self.add(at, "only a trait, an answer or the stage can be looked for in a list of constants");
            return None;
        };
        Some(LeadTest::Trait(found, Test::In(set??)))
    }

    // ---- stage, verdicts, definitions

    /// `None` after a finding: the stage is not known yet where this condition stands.
    fn stage_allowed(&mut self, at: usize) -> Option<()> {
        if self.scope == LeadScope::Outward {
            return Some(());
        }
        let message =
            "the stage follows from this condition: only audiences, alerts and routes can ask for it";
        let way_out = "ask for what leads to the stage: a score or a fact".to_owned();
        self.suggest(at, message, Some(way_out));
        None
    }

    /// The test of being in one of these stages, or not. `None` after a finding.
    fn stage_test(&mut self, stages: &[Constant], comparison: Comparison, at: usize) -> Option<LeadTest> {
        if !matches!(comparison, Comparison::Equal | Comparison::NotEqual) {
            let way_out = "name them: `stage in ['mql', 'sql']`".to_owned();
            self.suggest(at, "stages are compared with `==`, `!=` and `in` only", Some(way_out));
            return None;
        }
        let equal = comparison == Comparison::Equal;
        let mut by_stage = vec![!equal; self.names.stages.len()];
        let mut complete = true;
        for stage in stages {
            let found = match stage {
                Constant::Text(name) => self.names.stage(name),
                _ => None,
            };
            match found.and_then(|ix| by_stage.get_mut(ix.ix())) {
                Some(truth) => *truth = equal,
                None => {
                    self.unknown_stage(stage, at);
                    complete = false;
                }
            }
        }
        complete.then_some(LeadTest::Stage(by_stage))
    }

    fn unknown_stage(&mut self, constant: &Constant, at: usize) {
        match constant {
            Constant::Text(name) => {
                let way_out = did_you_mean(name, self.names.stages.names());
                self.suggest(at, format!("unknown stage `{name}`"), way_out);
            }
            _ => self.add(at, "a stage is compared with the id of a stage: `stage == 'mql'`"),
        }
    }

    fn disqualified(&mut self, at: usize) -> Option<LeadTest> {
        if self.scope == LeadScope::Verdict {
            self.add(at, "a disqualification cannot ask whether the lead is disqualified");
            return None;
        }
        if !self.names.disqualifies {
            let message = "`disqualified` is never true: no entry of `disqualify` is without `cap_stage`";
            self.add(at, message);
            return None;
        }
        Some(LeadTest::Disqualified)
    }

    fn any_definition(&mut self, at: usize) -> Option<LeadTest> {
        if self.scope == LeadScope::Definition {
            self.add(at, "a definition cannot ask whether a definition fits");
            return None;
        }
        if !self.names.has_definitions {
            self.add(at, "`any_definition` is never true: there are no `definitions`");
            return None;
        }
        Some(LeadTest::AnyDefinition)
    }

    // ---- traits

    /// A stored trait or the newest answer to a criterion. `None` after a finding.
    fn lead_trait(&mut self, path: &Path, otherwise: &str) -> Option<TraitIx> {
        if path.root() == "answers" {
            let (criterion, at) = self.behind_root(path)?;
            if !self.names.has_answers {
                self.add(at, "there are no answers: `frameworks.answers` says where they are read from");
                return None;
            }
            return Some(self.names.answer(&criterion));
        }
        if path.root() != "traits" {
            if ROOTS.contains(&path.root()) {
                self.add(path.at(), otherwise);
            } else {
                self.unknown_lead_name(path);
            }
            return None;
        }
        let (name, at) = self.behind_root(path)?;
        if is_kept_name(&name) {
            let way_out = "give it another name in `traits`: `{from: traits.…}`".to_owned();
            self.suggest(at, format!("`{name}` is a name that Ripen keeps for itself"), Some(way_out));
            return None;
        }
        Some(self.names.stored_trait(&name))
    }

    fn visible_trait(&mut self, ix: TraitIx, at: usize) -> Option<()> {
        if self.names.stored.get(ix.ix()).is_some_and(|stored| hashed(stored.kind)) {
            let message = "e-mail addresses and phone numbers are stored hashed";
            self.suggest(at, message, Some("only `has(…)` can be asked".to_owned()));
            return None;
        }
        Some(())
    }

    // ---- windows

    /// `count`, `days` and `sum`. `None` after a finding.
    fn window(&mut self, call: &CallExpr, at: usize) -> Option<Window> {
        let (measure, summed, window_arg) = match (call.func_name.as_str(), &call.args[..]) {
            ("count", [_, window]) => (Measure::Count, None, window),
            ("days", [_, window]) => (Measure::Days, None, window),
            ("sum", [_, property, window]) => (Measure::Sum, Some(self.property_argument(property)?), window),
            ("sum", _) => {
                self.add(at, "`sum` takes a rule, a property and a window: `sum('rule', 'amount', '30d')`");
                return None;
            }
            (name, _) => {
                self.add(at, format!("`{name}` takes a rule and a window: `{name}('rule', '30d')`"));
                return None;
            }
        };
        let rule = self.rule_argument(call, at)?;
        let window_ms = self.duration_argument(window_arg)?;
        Some(Window { measure, rule, window_ms, summed })
    }

    fn window_test(
        &mut self,
        window: Window,
        comparison: Comparison,
        micros: i64,
        at: usize,
    ) -> Option<LeadTest> {
        let Window { measure, rule, window_ms, summed } = window;
        let counts = measure != Measure::Sum;
        if counts && (micros < 0 || micros % MICROS_PER_UNIT != 0) {
            self.add(at, "matches and days are counted in whole numbers");
            return None;
        }
        let threshold = if counts { micros / MICROS_PER_UNIT } else { micros };
        let least = match comparison {
            _ if !counts => None,
            Comparison::Greater => Some(threshold + 1),
            Comparison::GreaterOrEqual | Comparison::Equal => Some(threshold),
            _ => None,
        };
        let at = self.node.offset_within(self.findings.text(), at);
        self.names.windows.push(WindowUse { at, rule, measure, summed, window_ms, least });
        Some(LeadTest::Window { measure, rule, window_ms, comparison, threshold })
    }

    fn rule_argument(&mut self, call: &CallExpr, at: usize) -> Option<RuleIx> {
        let first = call.args.first()?;
        let Some(Constant::Text(name)) = self.constant(first).ok()? else {
            self.add(at, format!("`{}` takes the id of a rule in quotes", call.func_name));
            return None;
        };
        let found = self.names.rule(&name);
        if found.is_none() {
            let way_out = did_you_mean(&name, self.names.rules.names());
            self.suggest(self.own_place(first), format!("unknown rule `{name}`"), way_out);
        }
        found
    }

    fn duration_argument(&mut self, expr: &IdedExpr) -> Option<i64> {
        let constant = self.constant(expr).ok()?;
        let duration_ms = match constant {
            Some(Constant::Text(text)) => parse_duration_ms(&text).filter(|ms| *ms > 0),
            _ => None,
        };
        if duration_ms.is_none() {
            self.add(self.place(expr), "expected a duration in quotes, such as '30d'");
        }
        duration_ms
    }

    /// `'amount'`, `amount` or `properties.amount`.
    fn property_argument(&mut self, expr: &IdedExpr) -> Option<crate::compiled::PropertyIx> {
        if let Some(Constant::Text(name)) = self.constant(expr).ok()? {
            return Some(self.names.property(name.strip_prefix("properties.").unwrap_or(&name)));
        }
        let name = match self.path(expr) {
            Some(path) if path.root() == "properties" => path.rest().map(|(name, _)| name),
            Some(path) if path.rest().is_none() => Some(path.root().to_owned()),
            _ => None,
        };
        if name.is_none() {
            self.add(self.place(expr), "expected the name of a property");
        }
        name.map(|name| self.names.property(&name))
    }

    // ---- names

    pub(super) fn behind_root(&mut self, path: &Path) -> Option<(String, usize)> {
        let rest = path.rest();
        if rest.is_none() {
            self.add(path.at(), format!("name it: `{}.<name>`", path.root()));
        }
        rest
    }

    fn unknown_lead_name(&mut self, path: &Path) {
        let root = path.root();
        if matches!(root, "event" | "page" | "utm" | "properties" | "visit") {
            let message = format!("`{root}` belongs to one activity, this is a condition on a lead");
            let way_out =
                "count the activity with a rule and use its score, its fact or `seen(…)`".to_owned();
            self.suggest(path.at(), message, Some(way_out));
            return;
        }
        let message = match root {
            "lists" => "a list stands on the right of `in`".to_owned(),
            _ => format!("unknown name `{}`", path.text()),
        };
        let candidates = ROOTS.iter().chain(&FUNCTIONS).copied();
        let way_out = if root == "lists" { None } else { did_you_mean(root, candidates) };
        self.suggest(path.at(), message, way_out);
    }
}
