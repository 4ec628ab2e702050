//! Shapes of YAML: what a section may hold, checked before anything is compiled, so that every unknown key and
//! wrong type of a file is found at once.

use crate::duration::parse_duration_ms;
use crate::findings::{Findings, did_you_mean};
use crate::number::{NotExact, exact_scaled};
use crate::yaml::{Content, Node, Scalar};

/// What a node may be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape {
    /// A non-empty text.
    Text,
    /// A name that can stand in an expression.
    Name,
    /// An identifier: letters, digits, `_`, `.`, `-`, 64 at most.
    Id,
    /// Any scalar but null.
    Scalar,
    Boolean,
    /// `true` alone.
    True,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A whole number from..=to.
    Integer(i64, i64),
    /// A number with at most so many decimals, from..=to.
    Decimal(u32, i64, i64),
    Duration,
    /// `2026-11-01`.
    Date,
    /// An expression.
    Predicate,
    List(&'static Shape),
    OneOrMany(&'static Shape),
    /// Exactly two items.
    Pair(&'static Shape, &'static Shape),
    /// Keys of the first shape, values of the second.
    Map(&'static Shape, &'static Shape),
    Record(&'static Record),
    /// The first shape whose YAML type fits is checked; the text says what is expected.
    Either(&'static str, &'static [Shape]),
}

/// A map with known keys.
#[derive(Debug)]
pub(crate) struct Record {
    /// What it is, for messages: "rule".
    pub(crate) what: &'static str,
    pub(crate) keys: &'static [Key],
    /// Any other key; `None`: there is no other key.
    pub(crate) rest: Option<Rest>,
}

/// Keys that the file's author names.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rest {
    pub(crate) keys: &'static Shape,
    pub(crate) values: &'static Shape,
    /// What such a key is, for editors.
    pub(crate) about: &'static str,
}

/// One key of a record.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) shape: Shape,
    pub(crate) required: bool,
    /// What it is for, for editors.
    pub(crate) about: &'static str,
}

/// A key that may be absent.
pub(crate) const fn key(name: &'static str, shape: Shape, about: &'static str) -> Key {
    Key { name, shape, required: false, about }
}

/// A key that has to be there.
pub(crate) const fn need(name: &'static str, shape: Shape, about: &'static str) -> Key {
    Key { name, shape, required: true, about }
}

/// A record without keys of the author's own.
pub(crate) const fn record(what: &'static str, keys: &'static [Key]) -> Record {
    Record { what, keys, rest: None }
}

/// Checks a node against a shape; every misfit is a finding.
pub(crate) fn check(findings: &mut Findings<'_>, node: &Node, shape: &Shape) {
    if let Some(expected) = misfit(node, shape) {
        findings.add(node.at(), format!("expected {expected}, found {}", node.describe()));
        return;
    }
    match shape {
        Shape::List(item) | Shape::OneOrMany(item) => {
            for node in node.one_or_many() {
                check(findings, node, item);
            }
        }
        Shape::Pair(first, second) => {
            check(findings, &node.items()[0], first);
            check(findings, &node.items()[1], second);
        }
        Shape::Map(key_shape, value_shape) => {
            duplicates(findings, node);
            for (key, value) in node.entries() {
                check(findings, key, key_shape);
                check(findings, value, value_shape);
            }
        }
        Shape::Record(record) => check_record(findings, node, record),
        Shape::Either(_, shapes) => {
            let fitting = shapes.iter().find(|shape| misfit(node, shape).is_none());
            if let Some(shape) = fitting {
                check(findings, node, shape);
            }
        }
        _ => {}
    }
}

fn check_record(findings: &mut Findings<'_>, node: &Node, record: &Record) {
    duplicates(findings, node);
    for (key_node, value) in node.entries() {
        let name = key_node.raw().unwrap_or_default();
        match (record.keys.iter().find(|key| key.name == name), record.rest) {
            (Some(key), _) => check(findings, value, &key.shape),
            (None, Some(rest)) => {
                check(findings, key_node, rest.keys);
                check(findings, value, rest.values);
            }
            (None, None) => {
                let way_out = did_you_mean(name, record.keys.iter().map(|key| key.name));
                let message = match &key_node.content {
                    Content::Scalar { .. } => format!("unknown key `{name}` in {}", a(record.what)),
                    _ => format!("expected a key of {}, found {}", a(record.what), key_node.describe()),
                };
                findings.suggest(key_node.at(), message, way_out);
            }
        }
    }
    for key in record.keys.iter().filter(|key| key.required && node.get(key.name).is_none()) {
        findings.add(node.at(), format!("{} needs `{}`", a(record.what), key.name));
    }
}

fn a(what: &str) -> String {
    let article = if what.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {what}")
}

fn duplicates(findings: &mut Findings<'_>, node: &Node) {
    let mut seen = std::collections::HashSet::<_, foldhash::fast::FixedState>::default();
    for (key, _) in node.entries() {
        if let Some(name) = key.raw()
            && !seen.insert((name, key.scalar()))
        {
            findings.add(key.at(), format!("duplicate key `{name}`"));
        }
    }
}

/// What was expected instead, if the node itself (not its parts) does not fit.
fn misfit(node: &Node, shape: &Shape) -> Option<String> {
    let expected = |fits: bool, what: &str| (!fits).then(|| what.to_owned());
    let list = matches!(node.content, Content::List(_));
    let map = matches!(node.content, Content::Map(_));
    match shape {
        Shape::Text => match node.scalar() {
            Some(Scalar::Text("")) => Some("a text that is not empty".to_owned()),
            Some(Scalar::Number(_) | Scalar::Boolean(_)) => Some("a text (put it in quotes)".to_owned()),
            other => expected(matches!(other, Some(Scalar::Text(_))), "a text"),
        },
        Shape::Name => expected(node.text().is_some_and(is_name), "a name of letters, digits and `_`"),
        Shape::Id => expected(node.text().is_some_and(is_id), "an id of letters, digits, `_`, `.` and `-`"),
        Shape::Scalar => expected(!matches!(node.scalar(), None | Some(Scalar::Null)), "a value"),
        Shape::Boolean => expected(node.boolean().is_some(), "`true` or `false`"),
        Shape::True => expected(node.boolean() == Some(true), "`true`"),
        Shape::Word(words) => {
            let fits = node.text().is_some_and(|text| words.contains(&text));
            (!fits).then(|| words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" or "))
        }
        Shape::Integer(from, to) => {
            let value = node.number().and_then(|text| text.parse::<i64>().ok());
            let fits = value.is_some_and(|value| (*from..=*to).contains(&value));
            (!fits).then(|| format!("a whole number from {from} to {to}"))
        }
        Shape::Decimal(decimals, from, to) => misfit_decimal(node, *decimals, *from, *to),
        Shape::Duration => {
            expected(node.text().and_then(parse_duration_ms).is_some(), "a duration such as `30d` or `1h30m`")
        }
        Shape::Date => {
            let date = node.text().and_then(|text| text.parse::<jiff::civil::Date>().ok());
            expected(date.is_some(), "a date such as `2026-11-01`")
        }
        Shape::Predicate => {
            let fits = node.text().is_some_and(|text| !text.trim().is_empty()) || node.boolean().is_some();
            expected(fits, "an expression in quotes")
        }
        Shape::List(_) => expected(list, "a list"),
        Shape::OneOrMany(_) => expected(!map, "a value or a list"),
        Shape::Pair(..) => expected(list && node.items().len() == 2, "a list of two"),
        Shape::Map(..) | Shape::Record(_) => expected(map, "a map"),
        Shape::Either(what, shapes) => {
            expected(shapes.iter().any(|shape| misfit(node, shape).is_none()), what)
        }
    }
}

fn misfit_decimal(node: &Node, decimals: u32, from: i64, to: i64) -> Option<String> {
    let Some(text) = node.number() else { return Some("a number".to_owned()) };
    let scale = 10_i64.pow(decimals);
    match exact_scaled(text, decimals) {
        Ok(value) if (from * scale..=to * scale).contains(&value) => None,
        Ok(_) | Err(NotExact::TooLarge) => Some(format!("a number from {from} to {to}")),
        Err(NotExact::TooManyDecimals) => Some(format!("a number with at most {decimals} decimals")),
        Err(NotExact::NotANumber) => Some("a plain decimal number".to_owned()),
    }
}

/// `[A-Za-z_][A-Za-z0-9_]*`, 64 at most.
pub(crate) fn is_name(text: &str) -> bool {
    let first = text.bytes().next();
    first.is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && text.len() <= 64
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn is_id(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    (1..=64).contains(&text.len()) && text.bytes().all(allowed)
}
