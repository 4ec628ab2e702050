//! Expressions of a model file to compiled predicates: CEL syntax, parsed by the `cel` crate; names resolved,
//! constants exact.
//!
//! Here: what both scopes share. `event` compiles conditions on activities, `lead` conditions on leads,
//! `sum` the sums of scores in them; `guard` bounds an expression before it is parsed.

mod event;
mod guard;
mod lead;
mod sum;

pub(crate) use event::is_page_field;

use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, SourceInfo, operators};

use crate::expression::{Comparison, Constant, ConstantSet, EventPredicate, Expression, LeadPredicate, Test};
use crate::findings::{Findings, did_you_mean};
use crate::names::Names;
use crate::number::{LARGEST_MICROS, MICROS_PER_UNIT, NotExact, exact_scaled};
use crate::yaml::Node;

/// Compiles a `where`. `None` after a finding.
pub(crate) fn event_condition(
    findings: &mut Findings<'_>,
    names: &mut Names,
    node: &Node,
) -> Option<EventPredicate> {
    let text = node.raw()?.to_owned();
    let (expr, places) = parse(findings, node, &text)?;
    let mut reader = Reader { findings, names, scope: LeadScope::Stage, node, text: &text, places };
    reader.tree(&expr, &mut Reader::event_leaf)
}

/// Where a condition on a lead stands: what it may read depends on it, lest two things wait for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LeadScope {
    /// `enter` and `exit`, before the stage is known.
    Stage,
    /// Audiences, alerts and routes, once the stage is known.
    Outward,
    /// A portrait of a sales-ready lead.
    Definition,
    /// A disqualification.
    Verdict,
    /// A bonus.
    Bonus,
}

/// Compiles a condition on a lead. `None` after a finding.
pub(crate) fn lead_condition(
    findings: &mut Findings<'_>,
    names: &mut Names,
    scope: LeadScope,
    node: &Node,
) -> Option<LeadPredicate> {
    let text = node.raw()?.to_owned();
    let (expr, places) = parse(findings, node, &text)?;
    let mut reader = Reader { findings, names, scope, node, text: &text, places };
    reader.tree(&expr, &mut Reader::lead_leaf)
}

/// Resolves a field that stands outside an expression: a key of `once_per`. `None` after a finding.
pub(crate) fn key_field(
    findings: &mut Findings<'_>,
    names: &mut Names,
    node: &Node,
) -> Option<crate::expression::EventField> {
    field(findings, names, node, false)
}

/// Resolves a field whose value is kept with a lead or looked at. `None` after a finding.
pub(crate) fn value_field(
    findings: &mut Findings<'_>,
    names: &mut Names,
    node: &Node,
) -> Option<crate::expression::EventField> {
    field(findings, names, node, true)
}

fn field(
    findings: &mut Findings<'_>,
    names: &mut Names,
    node: &Node,
    looked_at: bool,
) -> Option<crate::expression::EventField> {
    let text = node.raw()?.to_owned();
    let (expr, places) = parse(findings, node, &text)?;
    let mut reader = Reader { findings, names, scope: LeadScope::Stage, node, text: &text, places };
    match reader.path(&expr) {
        Some(path) => {
            let field = reader.event_field(&path)?;
            if looked_at {
                reader.visible(field, path.at())?;
            }
            Some(field)
        }
        None => {
            reader.add(0, format!("`{text}` is not a field of an activity"));
            None
        }
    }
}

fn parse(findings: &mut Findings<'_>, node: &Node, text: &str) -> Option<(IdedExpr, SourceInfo)> {
    if text.trim().is_empty() || (node.text().is_none() && node.boolean().is_none()) {
        return None; // the shape check has said so
    }
    if let Err((at, message)) = guard::check(text) {
        findings.add(node.offset_within(findings.text(), at), message);
        return None;
    }
    match cel::parser::Parser::new().parse_with_source_info(text) {
        Ok(parsed) => Some(parsed),
        Err(errors) => {
            let error = errors.errors.first()?;
            let at = offset_of(text, error.pos);
            let message = format!("not an expression: {}", cause(&error.msg));
            findings.add(node.offset_within(findings.text(), at), message);
            None
        }
    }
}

/// The parser's message without its grammar's token names.
fn cause(message: &str) -> String {
    let message = message.strip_prefix("Syntax error: ").unwrap_or(message);
    if message.contains("'<EOF>'") {
        return "it ends too early".to_owned();
    }
    let message = message.split(" expecting ").next().unwrap_or(message);
    message
        .replace("mismatched input", "unexpected")
        .replace("extraneous input", "unexpected")
        .replace("token recognition error at:", "cannot read")
        .replace("no viable alternative at input", "cannot read")
}

/// The byte at a line and column, both from 1, as the parser counts them.
fn offset_of(text: &str, (line, column): (isize, isize)) -> usize {
    let line_ix = usize::try_from(line - 1).unwrap_or_default();
    let column_ix = usize::try_from(column - 1).unwrap_or_default();
    let line_start: usize = text.split_inclusive('\n').take(line_ix).map(str::len).sum();
    let within = text.get(line_start..).unwrap_or_default().char_indices().nth(column_ix);
    within.map_or(text.len().saturating_sub(1), |(at, _)| line_start + at)
}

/// Reads one expression.
struct Reader<'r, 'a> {
    findings: &'r mut Findings<'a>,
    names: &'r mut Names,
    /// Where it stands, if it is a condition on a lead.
    scope: LeadScope,
    node: &'r Node,
    text: &'r str,
    places: SourceInfo,
}

/// A dotted name: `traits.address.city`, with the place of each part.
struct Path {
    parts: Vec<(String, usize)>,
}

impl Path {
    fn root(&self) -> &str {
        &self.parts[0].0
    }

    fn at(&self) -> usize {
        self.parts[0].1
    }

    /// Everything behind the root, and the place of its first part.
    fn rest(&self) -> Option<(String, usize)> {
        let (_, at) = self.parts.get(1)?;
        let names: Vec<&str> = self.parts[1..].iter().map(|(name, _)| name.as_str()).collect();
        Some((names.join("."), *at))
    }

    fn text(&self) -> String {
        self.parts.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(".")
    }
}

impl<'r, 'a> Reader<'r, 'a> {
    /// The boolean skeleton; what is neither `&&`, `||`, `!` nor a literal goes to `leaf`. All parts are read,
    /// so that all their findings are made, before any is given up.
    fn tree<A>(
        &mut self,
        expr: &IdedExpr,
        leaf: &mut impl FnMut(&mut Self, &IdedExpr) -> Option<Expression<A>>,
    ) -> Option<Expression<A>> {
        match &expr.expr {
            Expr::Literal(LiteralValue::Boolean(truth)) => Some(Expression::Constant(*truth.inner())),
            Expr::Call(call) => match (call.func_name.as_str(), &call.args[..]) {
                (operators::LOGICAL_AND, [left, right]) => {
                    let (left, right) = (self.tree(left, leaf), self.tree(right, leaf));
                    let mut parts = Vec::new();
                    for side in [left?, right?] {
                        match side {
                            Expression::All(inner) => parts.extend(inner),
                            other => parts.push(other),
                        }
                    }
                    Some(Expression::All(parts))
                }
                (operators::LOGICAL_OR, [left, right]) => {
                    let (left, right) = (self.tree(left, leaf), self.tree(right, leaf));
                    let mut parts = Vec::new();
                    for side in [left?, right?] {
                        match side {
                            Expression::Any(inner) => parts.extend(inner),
                            other => parts.push(other),
                        }
                    }
                    Some(Expression::Any(parts))
                }
                (operators::LOGICAL_NOT, [inner]) => Some(Expression::Not(Box::new(self.tree(inner, leaf)?))),
                _ => leaf(self, expr),
            },
            _ => leaf(self, expr),
        }
    }

    fn add(&mut self, at: usize, message: impl Into<String>) {
        self.suggest(at, message, None);
    }

    fn suggest(&mut self, at: usize, message: impl Into<String>, way_out: Option<String>) {
        let at = self.node.offset_within(self.findings.text(), at);
        self.findings.suggest(at, message, way_out);
    }

    /// The place of a node's own token: a name, an operator, a function's name.
    fn own_place(&self, expr: &IdedExpr) -> usize {
        let token = self.places.offset_for(expr.id).map_or(0, |(start, _)| start as usize);
        let Expr::Call(call) = &expr.expr else { return token };
        // The parser gives a call the place of its bracket.
        let before = self.text.get(..token).unwrap_or_default();
        if before.ends_with(&call.func_name) { token - call.func_name.len() } else { token }
    }

    /// The place at which an expression begins.
    fn place(&self, expr: &IdedExpr) -> usize {
        let own = self.own_place(expr);
        let inner: Option<usize> = match &expr.expr {
            Expr::Call(CallExpr { target, args, .. }) => {
                target.as_deref().into_iter().chain(args).map(|part| self.place(part)).min()
            }
            Expr::Select(select) => Some(self.place(&select.operand)),
            _ => None,
        };
        inner.map_or(own, |inner| inner.min(own))
    }

    fn token(&self, expr: &IdedExpr) -> &str {
        let (start, stop) = self.places.offset_for(expr.id).unwrap_or_default();
        self.text.get(start as usize..=stop as usize).unwrap_or_default()
    }

    /// The dotted name that an expression is, if it is one; `properties['File Name']` is one, too.
    fn path(&self, expr: &IdedExpr) -> Option<Path> {
        let (parent, name, at) = match &expr.expr {
            Expr::Ident(name) => return Some(Path { parts: vec![(name.clone(), self.own_place(expr))] }),
            Expr::Select(select) if !select.test => {
                (&*select.operand, select.field.clone(), self.own_place(expr) + 1)
            }
            Expr::Call(CallExpr { func_name, target: None, args }) if func_name == operators::INDEX => {
                let [parent, index] = &args[..] else { return None };
                let Expr::Literal(LiteralValue::String(name)) = &index.expr else { return None };
                (parent, name.inner().to_owned(), self.own_place(index))
            }
            _ => return None,
        };
        let mut path = self.path(parent)?;
        path.parts.push((name, at));
        Some(path)
    }

    /// The name whose presence `has(…)` tests.
    fn presence(&self, expr: &IdedExpr) -> Option<Path> {
        let Expr::Select(select) = &expr.expr else { return None };
        if !select.test {
            return None;
        }
        let mut path = self.path(&select.operand)?;
        path.parts.push((select.field.clone(), self.place(&select.operand)));
        Some(path)
    }

    /// A literal as a constant; `Ok(None)`: it is no literal. `Err` after a finding.
    fn constant(&mut self, expr: &IdedExpr) -> Result<Option<Constant>, ()> {
        let at = self.own_place(expr);
        let Expr::Literal(literal) = &expr.expr else { return Ok(None) };
        let constant = match literal {
            LiteralValue::Boolean(truth) => Constant::Boolean(*truth.inner()),
            LiteralValue::String(text) if text.inner().is_empty() => {
                let message = "an empty text is absent, and nothing compares with what is absent";
                self.suggest(at, message, Some("use `has(…)` or `!has(…)`".to_owned()));
                return Err(());
            }
            LiteralValue::String(text) => Constant::Text(text.inner().to_owned()),
            LiteralValue::Int(units) => {
                let micros = units.inner().checked_mul(MICROS_PER_UNIT);
                match micros.filter(|micros| micros.unsigned_abs() < LARGEST_MICROS.unsigned_abs()) {
                    Some(micros) => Constant::Number(micros),
                    None => {
                        self.add(at, "the number is too large: numbers reach ±9.2·10¹²");
                        return Err(());
                    }
                }
            }
            // The parser has read a float: the literal's own text is exact.
            LiteralValue::Double(value) => {
                let negative = value.inner().is_sign_negative();
                let token = self.token(expr);
                // CEL allows `.5`; the grammar of a token leaves nothing else to add.
                let padded = if token.starts_with('.') { format!("0{token}") } else { token.to_owned() };
                match exact_scaled(&padded, 6) {
                    Ok(micros) => Constant::Number(if negative { -micros } else { micros }),
                    Err(why) => {
                        let message = match why {
                            NotExact::TooManyDecimals => "a number has at most 6 decimals",
                            NotExact::TooLarge => "the number is too large: numbers reach ±9.2·10¹²",
                            NotExact::NotANumber => "write the number as a plain decimal, such as 0.5",
                        };
                        self.add(at, message);
                        return Err(());
                    }
                }
            }
            LiteralValue::Null => {
                let way_out = Some("use `has(…)` or `!has(…)`".to_owned());
                self.suggest(at, "null is absent, and nothing compares with what is absent", way_out);
                return Err(());
            }
            LiteralValue::UInt(_) | LiteralValue::Bytes(_) => {
                self.add(at, "only texts, decimal numbers, `true` and `false` are constants");
                return Err(());
            }
        };
        Ok(Some(constant))
    }

    /// The constants of `in [...]` or `in lists.x`. `None` after a finding.
    fn constant_list(&mut self, expr: &IdedExpr) -> Option<Vec<Constant>> {
        let Expr::List(list) = &expr.expr else { return None };
        let mut constants = Vec::new();
        let mut complete = true;
        for element in &list.elements {
            match self.constant(element) {
                Ok(Some(constant)) => constants.push(constant),
                Ok(None) => {
                    self.add(self.place(element), "a list holds constants only");
                    complete = false;
                }
                Err(()) => complete = false,
            }
        }
        if list.elements.is_empty() {
            self.add(self.own_place(expr), "an empty list: the condition would never hold");
            complete = false;
        }
        complete.then_some(constants)
    }

    /// `lists.<name>`, if the path is one. `Some(None)` after a finding.
    fn named_list(&mut self, path: &Path) -> Option<Option<ConstantSet>> {
        if path.root() != "lists" {
            return None;
        }
        let Some((name, at)) = path.rest() else {
            self.add(path.at(), "name the list: `lists.<name>`");
            return Some(None);
        };
        let found = self.names.lists.get(&name).cloned();
        if found.is_none() {
            let way_out = did_you_mean(&name, self.names.lists.keys().map(String::as_str));
            self.suggest(at, format!("unknown list `{name}`"), way_out);
        }
        Some(found)
    }

    /// The test of a text function: `x.startsWith('a')`. `Ok(None)`: the call is none. `Err` after a finding.
    fn text_function(&mut self, call: &CallExpr, at: usize) -> Result<Option<Test>, ()> {
        const FUNCTIONS: [&str; 4] = ["startsWith", "endsWith", "contains", "matches"];
        if call.target.is_none() {
            return Ok(None);
        }
        let name = call.func_name.as_str();
        if !FUNCTIONS.contains(&name) {
            self.suggest(at, format!("unknown function `{name}`"), did_you_mean(name, FUNCTIONS));
            return Err(());
        }
        let argument = match &call.args[..] {
            [argument] => self.constant(argument)?,
            _ => None,
        };
        let Some(Constant::Text(part)) = argument else {
            self.add(at, format!("`{name}` takes one text constant"));
            return Err(());
        };
        Ok(Some(match name {
            "startsWith" => Test::StartsWith(part),
            "endsWith" => Test::EndsWith(part),
            "contains" => Test::Contains(part),
            _ => match regex::RegexBuilder::new(&part).size_limit(1 << 20).build() {
                Ok(pattern) => Test::Matches(pattern),
                Err(error) => {
                    let cause = error.to_string();
                    let cause = cause.lines().last().unwrap_or_default().trim_start_matches("error: ");
                    self.add(self.place(&call.args[0]), format!("not a regular expression: {cause}"));
                    return Err(());
                }
            },
        }))
    }

    /// What is wrong with a text function where a value is expected.
    fn text_function_as_value(&mut self, call: &CallExpr, at: usize) {
        if let Ok(Some(_)) = self.text_function(call, at) {
            self.add(at, "a condition is not a value that can be compared");
        }
    }

    /// A comparison with a constant, if such a one can ever hold. `None` after a finding.
    fn comparison(&mut self, comparison: Comparison, constant: Constant, at: usize) -> Option<Test> {
        let ordered = !matches!(comparison, Comparison::Equal | Comparison::NotEqual);
        if ordered && matches!(constant, Constant::Boolean(_)) {
            self.add(at, "a boolean is equal or not, it has no order");
            return None;
        }
        Some(Test::Compare(comparison, constant))
    }

    /// The file's words for an expression, one spacing for all.
    fn words(&self, expr: &IdedExpr) -> String {
        match &expr.expr {
            Expr::Literal(literal) => {
                let negative = match literal {
                    LiteralValue::Int(value) => *value.inner() < 0,
                    LiteralValue::Double(value) => value.inner().is_sign_negative(),
                    _ => false,
                };
                let token = self.token(expr);
                if negative && !token.starts_with('-') { format!("-{token}") } else { token.to_owned() }
            }
            Expr::Ident(name) => name.clone(),
            Expr::Select(select) if select.test => {
                format!("has({}.{})", self.words(&select.operand), select.field)
            }
            Expr::Select(select) => format!("{}.{}", self.words(&select.operand), select.field),
            Expr::List(list) => {
                format!("[{}]", list.elements.iter().map(|e| self.words(e)).collect::<Vec<_>>().join(", "))
            }
            Expr::Call(call) => self.words_of_call(call),
            _ => "…".to_owned(),
        }
    }

    fn words_of_call(&self, call: &CallExpr) -> String {
        let arguments: Vec<String> = call.args.iter().map(|argument| self.words(argument)).collect();
        if let Some(target) = &call.target {
            return format!("{}.{}({})", self.words(target), call.func_name, arguments.join(", "));
        }
        match (call.func_name.as_str(), &arguments[..]) {
            (operators::INDEX, [list, index]) => format!("{list}[{index}]"),
            (operators::NEGATE, [inner]) => format!("-{inner}"),
            (operators::LOGICAL_NOT, [inner]) => format!("!{inner}"),
            (operator, [left, right]) if infix(operator).is_some() => {
                let factor = |ix: usize, text: &str| {
                    let inner_sum = matches!(&call.args[ix].expr, Expr::Call(inner)
                        if matches!(inner.func_name.as_str(), operators::ADD | operators::SUBSTRACT));
                    let binds_tighter =
                        operator == operators::MULTIPLY || (operator == operators::SUBSTRACT && ix == 1);
                    if inner_sum && binds_tighter { format!("({text})") } else { text.to_owned() }
                };
                let sign = infix(operator).unwrap_or_default();
                format!("{} {sign} {}", factor(0, left), factor(1, right))
            }
            (name, _) => format!("{name}({})", arguments.join(", ")),
        }
    }
}

/// An operator's sign within a leaf; `&&` and `||` stand between leaves.
fn infix(operator: &str) -> Option<&'static str> {
    Some(match operator {
        operators::ADD => "+",
        operators::SUBSTRACT => "-",
        operators::MULTIPLY => "*",
        operators::IN => "in",
        operators::EQUALS => "==",
        operators::NOT_EQUALS => "!=",
        operators::LESS => "<",
        operators::LESS_EQUALS => "<=",
        operators::GREATER => ">",
        operators::GREATER_EQUALS => ">=",
        _ => return None,
    })
}

fn comparison_operator(name: &str) -> Option<Comparison> {
    Some(match name {
        operators::EQUALS => Comparison::Equal,
        operators::NOT_EQUALS => Comparison::NotEqual,
        operators::LESS => Comparison::Less,
        operators::LESS_EQUALS => Comparison::LessOrEqual,
        operators::GREATER => Comparison::Greater,
        operators::GREATER_EQUALS => Comparison::GreaterOrEqual,
        _ => return None,
    })
}

/// A set of constants.
fn set_of(constants: Vec<Constant>) -> ConstantSet {
    let mut set = ConstantSet::default();
    for constant in constants {
        set.insert(constant);
    }
    set
}
