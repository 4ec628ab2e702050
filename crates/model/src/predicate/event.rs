//! Conditions on one activity: only what its record carries may decide, so that the set of activities counts and
//! not the order in which they came.

use cel::common::ast::{Expr, IdedExpr, operators};

use super::{Path, Reader, comparison_operator, set_of};
use crate::expression::{Comparison, Constant, EventAtom, EventField, EventPredicate, Expression, Test};
use crate::findings::did_you_mean;

/// The fields of a page and of campaign parameters.
const PAGE: [(&str, EventField); 7] = [
    ("kind", EventField::PageKind),
    ("path", EventField::PagePath),
    ("url", EventField::PageUrl),
    ("host", EventField::PageHost),
    ("title", EventField::PageTitle),
    ("referrer", EventField::PageReferrer),
    ("name", EventField::PageName),
];
const UTM: [(&str, EventField); 5] = [
    ("source", EventField::UtmSource),
    ("medium", EventField::UtmMedium),
    ("campaign", EventField::UtmCampaign),
    ("term", EventField::UtmTerm),
    ("content", EventField::UtmContent),
];
const VISIT: [(&str, EventField); 4] = [
    ("number", EventField::VisitNumber),
    ("pages", EventField::VisitPages),
    ("seconds", EventField::VisitSeconds),
    ("gap_days", EventField::VisitGapDays),
];
const ROOTS: [&str; 7] = ["event", "page", "utm", "properties", "traits", "visit", "lists"];

/// Whether a page parameter may not have this name.
pub(crate) fn is_page_field(name: &str) -> bool {
    PAGE.iter().any(|(field, _)| *field == name)
}

enum Operand {
    Field(EventField, usize),
    Constant(Constant),
}

impl Reader<'_, '_> {
    pub(super) fn event_leaf(&mut self, expr: &IdedExpr) -> Option<EventPredicate> {
        if let Some(path) = self.presence(expr) {
            let field = self.event_field(&path)?;
            return Some(Expression::Atom(EventAtom::Field(field, Test::Present)));
        }
        if let Some(path) = self.path(expr) {
            let field = self.event_field(&path)?;
            self.visible(field, path.at())?;
            return Some(Expression::Atom(EventAtom::Field(field, Test::IsTrue)));
        }
        let at = self.own_place(expr);
        let Expr::Call(call) = &expr.expr else {
            self.add(self.place(expr), "this is not a condition");
            return None;
        };
        if let (Some(comparison), [left, right]) = (comparison_operator(&call.func_name), &call.args[..]) {
            let (left, right) = (self.event_operand(left), self.event_operand(right));
            return self.event_comparison(left?, comparison, right?, at);
        }
        if let (operators::IN, [left, right]) = (call.func_name.as_str(), &call.args[..]) {
            return self.event_membership(left, right, at);
        }
        if let Some(test) = self.text_function(call, at).ok()? {
            let target = call.target.as_deref()?;
            let Some(path) = self.path(target) else {
                self.add(self.place(target), "a text function is called on a field of the activity");
                return None;
            };
            let field = self.event_field(&path)?;
            self.visible(field, path.at())?;
            return Some(Expression::Atom(EventAtom::Field(field, test)));
        }
        self.not_for_events(&call.func_name, self.place(expr));
        None
    }

    /// The field that a dotted name stands for. `None` after a finding.
    pub(super) fn event_field(&mut self, path: &Path) -> Option<EventField> {
        let root = path.root();
        if root == "event" {
            if let Some((rest, at)) = path.rest() {
                self.add(at, format!("`event` is the event's name and has no `{rest}`"));
                return None;
            }
            return Some(EventField::Event);
        }
        match root {
            "score" | "fact" | "answers" | "known" | "disqualified" | "any_definition" | "stage" => {
                let message =
                    format!("`{root}` is what a lead has become: a `where` reads its activity alone");
                let way_out = "put it into `enter` or `exit`".to_owned();
                self.suggest(path.at(), message, Some(way_out));
                return None;
            }
            "lists" => {
                self.add(path.at(), "a list stands on the right of `in`");
                return None;
            }
            _ if !ROOTS.contains(&root) => {
                let message = format!("unknown name `{}`", path.text());
                self.suggest(path.at(), message, did_you_mean(root, ROOTS));
                return None;
            }
            _ => {}
        }
        let Some((name, at)) = path.rest() else {
            self.add(path.at(), format!("name the field: `{root}.<name>`"));
            return None;
        };
        let known: &[(&str, EventField)] = match root {
            "properties" => return Some(EventField::Property(self.names.property(&name))),
            "traits" => return Some(EventField::RecordTrait(self.names.record_trait(&name))),
            "utm" => &UTM,
            "visit" => &VISIT,
            _ => &PAGE,
        };
        if let Some((_, field)) = known.iter().find(|(field, _)| *field == name) {
            self.names.read(*field);
            return Some(*field);
        }
        if root == "page"
            && let Some(parameter) = self.names.page_parameter(&name)
        {
            return Some(EventField::PageParameter(parameter));
        }
        let parameters = if root == "page" { Some(self.names.page_parameters.names()) } else { None };
        let candidates = known.iter().map(|(field, _)| *field).chain(parameters.into_iter().flatten());
        let way_out = did_you_mean(&name, candidates);
        let message = match root {
            "page" => format!("unknown page field or parameter `{name}`"),
            _ => format!("`{root}` has no `{name}`"),
        };
        self.suggest(at, message, way_out);
        None
    }

    /// Hashed fields may be asked for their presence only. `None` after a finding.
    pub(super) fn visible(&mut self, field: EventField, at: usize) -> Option<()> {
        let hashed = match field {
            EventField::RecordTrait(ix) => self.names.is_hashed_trait(ix),
            EventField::Property(ix) => self.names.is_hashed_property(ix),
            _ => false,
        };
        if hashed {
            let message = "e-mail addresses and phone numbers are hashed before any rule sees them";
            self.suggest(at, message, Some("only `has(…)` can be asked".to_owned()));
            return None;
        }
        Some(())
    }

    fn event_operand(&mut self, expr: &IdedExpr) -> Option<Operand> {
        if let Some(constant) = self.constant(expr).ok()? {
            return Some(Operand::Constant(constant));
        }
        let at = self.place(expr);
        if let Some(path) = self.path(expr) {
            let field = self.event_field(&path)?;
            self.visible(field, at)?;
            return Some(Operand::Field(field, at));
        }
        match &expr.expr {
            Expr::Call(call) if call.target.is_some() => {
                self.text_function_as_value(call, self.own_place(expr));
            }
            Expr::Call(call) => self.not_for_events(&call.func_name, at),
            Expr::List(_) => self.add(at, "a list stands on the right of `in`"),
            _ => self.add(at, "neither a field of the activity nor a constant"),
        }
        None
    }

    fn event_comparison(
        &mut self,
        left: Operand,
        comparison: Comparison,
        right: Operand,
        at: usize,
    ) -> Option<EventPredicate> {
        let (field, comparison, constant) = match (left, right) {
            (Operand::Field(left, _), Operand::Field(right, _)) => {
                return Some(Expression::Atom(EventAtom::Fields(left, comparison, right)));
            }
            (Operand::Constant(_), Operand::Constant(_)) => {
                self.add(at, "two constants are compared: the condition would never change");
                return None;
            }
            (Operand::Field(field, _), Operand::Constant(constant)) => (field, comparison, constant),
            (Operand::Constant(constant), Operand::Field(field, _)) => {
                (field, comparison.flipped(), constant)
            }
        };
        let equality = matches!(comparison, Comparison::Equal | Comparison::NotEqual);
        if field == EventField::PageKind && equality {
            let is_kind = self.page_kind(&constant, at)?;
            let present = Expression::Atom(EventAtom::Field(EventField::PageKind, Test::Present));
            return Some(match comparison {
                Comparison::Equal => is_kind,
                // A page of no kind is absent, and what is absent satisfies no comparison.
                _ => Expression::All(vec![present, Expression::Not(Box::new(is_kind))]),
            });
        }
        let test = self.comparison(comparison, constant, at)?;
        Some(Expression::Atom(EventAtom::Field(field, test)))
    }

    /// `page.kind == constant`, resolved. `None` after a finding.
    fn page_kind(&mut self, constant: &Constant, at: usize) -> Option<EventPredicate> {
        let Constant::Text(name) = constant else {
            self.add(at, "a page kind is a text");
            return None;
        };
        if let Some(kind) = self.names.page_kind(name) {
            return Some(Expression::Atom(EventAtom::PageKind(kind)));
        }
        let way_out = did_you_mean(name, self.names.page_kinds.names());
        self.suggest(at, format!("unknown page kind `{name}`"), way_out);
        None
    }

    fn event_membership(&mut self, left: &IdedExpr, right: &IdedExpr, at: usize) -> Option<EventPredicate> {
        let operand = self.event_operand(left);
        if let Expr::List(_) = &right.expr {
            let constants = self.constant_list(right);
            let Operand::Field(field, _) = operand? else {
                self.add(at, "a constant is looked for in a list of constants: this would never change");
                return None;
            };
            let constants = constants?;
            if field == EventField::PageKind {
                let kinds = constants.iter().map(|constant| self.page_kind(constant, at));
                return kinds.collect::<Option<Vec<_>>>().map(Expression::Any);
            }
            return Some(Expression::Atom(EventAtom::Field(field, Test::In(set_of(constants)))));
        }
        let Some(path) = self.path(right) else {
            self.add(at, "on the right of `in` stands a list, `lists.<name>` or a field that holds a list");
            return None;
        };
        if let Some(list) = self.named_list(&path) {
            let Operand::Field(field, _) = operand? else {
                self.add(at, "a constant is looked for in a list of constants: this would never change");
                return None;
            };
            return Some(Expression::Atom(EventAtom::Field(field, Test::In(list?))));
        }
        let field = self.event_field(&path)?;
        self.visible(field, path.at())?;
        match operand? {
            Operand::Constant(constant) => {
                Some(Expression::Atom(EventAtom::Field(field, Test::Has(constant))))
            }
            Operand::Field(_, left_at) => {
                self.add(left_at, "only a constant can be looked for in a field that holds a list");
                None
            }
        }
    }

    fn not_for_events(&mut self, function: &str, at: usize) {
        let message = match function {
            "seen" | "count" | "days" | "sum" | "known_for" | "stage_for" => {
                format!("`{function}` reads what is stored: a `where` reads its activity alone")
            }
            operators::ADD | operators::SUBSTRACT | operators::MULTIPLY | operators::NEGATE => {
                "there is no arithmetic on the fields of an activity".to_owned()
            }
            operators::INDEX => "an index is a text constant: `properties['File Name']`".to_owned(),
            operators::LOGICAL_AND | operators::LOGICAL_OR | operators::LOGICAL_NOT | operators::IN => {
                "a condition is not a value that can be compared".to_owned()
            }
            name if comparison_operator(name).is_some() => {
                "a condition is not a value that can be compared".to_owned()
            }
            name => format!("unknown function `{name}`"),
        };
        self.add(at, message);
    }
}
