//! A YAML 1.2 file as a tree of nodes with places; nothing is interpreted here beyond the core schema.
//!
//! The tree is built from the event stream of serde-saphyr's parser and not through serde: the language
//! reports all findings of a file at once, duplicate keys among them, and reads numbers as text.

use std::ops::Range;

use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle, Span};

use crate::findings::Findings;

/// Deepest nesting of lists and maps; the language needs six.
const DEPTH: usize = 24;

/// Nodes at most; the largest sensible model has some ten thousand.
const NODES: usize = 500_000;

/// One node with its place.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// The bytes of a scalar; of a list or a map only where it begins.
    pub(crate) span: Range<usize>,
    pub(crate) content: Content,
}

#[derive(Debug, Clone)]
pub(crate) enum Content {
    Scalar { text: String, style: ScalarStyle },
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
}

/// A scalar by the core schema: only a plain one can be anything but a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Scalar<'a> {
    Null,
    Boolean(bool),
    Number(&'a str),
    Text(&'a str),
}

impl Node {
    /// The byte offset at which it starts.
    pub(crate) fn at(&self) -> usize {
        self.span.start
    }

    pub(crate) fn scalar(&self) -> Option<Scalar<'_>> {
        let Content::Scalar { text, style } = &self.content else { return None };
        Some(if *style == ScalarStyle::Plain { resolve(text) } else { Scalar::Text(text) })
    }

    /// The text of a scalar that is one.
    pub(crate) fn text(&self) -> Option<&str> {
        match self.scalar()? {
            Scalar::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn boolean(&self) -> Option<bool> {
        match self.scalar()? {
            Scalar::Boolean(truth) => Some(truth),
            _ => None,
        }
    }

    pub(crate) fn number(&self) -> Option<&str> {
        match self.scalar()? {
            Scalar::Number(text) => Some(text),
            _ => None,
        }
    }

    /// A scalar's text whatever its type: how keys are compared.
    pub(crate) fn raw(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    pub(crate) fn entries(&self) -> &[(Node, Node)] {
        match &self.content {
            Content::Map(entries) => entries,
            _ => &[],
        }
    }

    pub(crate) fn items(&self) -> &[Node] {
        match &self.content {
            Content::List(items) => items,
            _ => &[],
        }
    }

    pub(crate) fn is_list(&self) -> bool {
        matches!(self.content, Content::List(_))
    }

    /// The items of a list, or the one scalar itself.
    pub(crate) fn one_or_many(&self) -> &[Node] {
        match &self.content {
            Content::List(items) => items,
            Content::Scalar { .. } => std::slice::from_ref(self),
            Content::Map(_) => &[],
        }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entries().iter().find(|(name, _)| name.raw() == Some(key)).map(|(_, value)| value)
    }

    /// What it is, for messages.
    pub(crate) fn describe(&self) -> String {
        match (&self.content, self.scalar()) {
            (Content::List(_), _) => "a list".to_owned(),
            (Content::Map(_), _) => "a map".to_owned(),
            (_, None | Some(Scalar::Null)) => "nothing".to_owned(),
            (_, Some(Scalar::Boolean(truth))) => format!("the boolean `{truth}`"),
            (_, Some(Scalar::Number(number))) => format!("the number `{}`", short(number)),
            (_, Some(Scalar::Text(text))) => format!("the text `{}`", short(text)),
        }
    }

    /// The offset in the file of a byte of this scalar's text: exact for single-line scalars, folded ones
    /// included wherever their characters stand in the file as they are.
    pub(crate) fn offset_within(&self, file: &str, text_offset: usize) -> usize {
        let Content::Scalar { text, style } = &self.content else { return self.at() };
        let raw = file.get(self.span.clone()).unwrap_or_default();
        let quoted = matches!(style, ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted);
        let mut raw_chars = raw.char_indices().skip(usize::from(quoted));
        for (at, expected) in text.char_indices() {
            // A character of the text stands at the next equal one: between them are only escapes,
            // indentation and line breaks.
            let is_it =
                |(_, c): &(usize, char)| *c == expected || c.is_whitespace() && expected.is_whitespace();
            let Some((found, _)) = raw_chars.find(is_it) else { break };
            if at >= text_offset {
                return self.at() + found;
            }
            if *style == ScalarStyle::SingleQuoted && expected == '\'' {
                raw_chars.next();
            }
        }
        self.at()
    }
}

/// The file's one document; `None` after a finding.
pub(crate) fn parse(findings: &mut Findings<'_>) -> Option<Node> {
    let text = findings.text();
    let mut tree = Tree { parser: Parser::new_from_str(text), findings, nodes: 0 };
    tree.document()
}

struct Tree<'f, 'a, P> {
    parser: P,
    findings: &'f mut Findings<'a>,
    nodes: usize,
}

impl<'i, P> Tree<'_, '_, P>
where
    P: Iterator<Item = Result<(Event<'i>, Span), serde_saphyr::granit_parser::ScanError>>,
{
    fn document(&mut self) -> Option<Node> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => break,
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                _ if root.is_some() => {
                    self.findings.add(start(&span), "a model file holds one YAML document, this is a second");
                    return None;
                }
                event => root = Some(self.node(event, &span, 0)?),
            }
        }
        if root.is_none() {
            self.findings.add(0, "the file is empty");
        }
        root
    }

    /// The next event that is not presentation: comments come between any two.
    fn next(&mut self) -> Option<(Event<'i>, Span)> {
        loop {
            match self.parser.next()? {
                Ok((event, span)) if is_content(&event) => return Some((event, span)),
                Ok(_) => {}
                Err(error) => {
                    let at = error.marker().byte_offset().unwrap_or_default();
                    self.findings.add(at, format!("not YAML: {}", error.info()));
                    return None;
                }
            }
        }
    }

    fn node(&mut self, event: Event<'i>, span: &Span, depth: usize) -> Option<Node> {
        let from = start(span);
        self.nodes += 1;
        if depth > DEPTH || self.nodes > NODES {
            let message = format!("nested deeper than {DEPTH}, or more than {NODES} nodes");
            self.findings.add(from, message);
            return None;
        }
        let plain = |anchor: usize, tagged: bool| anchor == 0 && !tagged;
        match event {
            Event::Scalar(text, style, anchor, tag) if plain(anchor, tag.is_some()) => {
                let content = Content::Scalar { text: text.into_owned(), style };
                Some(Node { span: span.byte_range().unwrap_or(from..from), content })
            }
            Event::SequenceStart(_, anchor, tag) if plain(anchor, tag.is_some()) => {
                let mut items = Vec::new();
                loop {
                    let (event, span) = self.next()?;
                    if event == Event::SequenceEnd {
                        return Some(Node { span: from..from, content: Content::List(items) });
                    }
                    items.push(self.node(event, &span, depth + 1)?);
                }
            }
            Event::MappingStart(_, anchor, tag) if plain(anchor, tag.is_some()) => {
                let mut entries = Vec::new();
                loop {
                    let (event, span) = self.next()?;
                    if event == Event::MappingEnd {
                        return Some(Node { span: from..from, content: Content::Map(entries) });
                    }
                    let key = self.node(event, &span, depth + 1)?;
                    let (event, span) = self.next()?;
                    entries.push((key, self.node(event, &span, depth + 1)?));
                }
            }
            _ => {
                let message = "anchors, aliases and tags are not part of the language: write the value out";
                self.findings.add(from, message);
                None
            }
        }
    }
}

fn is_content(event: &Event<'_>) -> bool {
    let boundary = matches!(
        event,
        Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(..)
            | Event::DocumentEnd
            | Event::SequenceEnd
            | Event::MappingEnd
    );
    boundary || event.is_node()
}

fn start(span: &Span) -> usize {
    span.start.byte_offset().unwrap_or_default()
}

/// YAML 1.2, core schema: `yes`, `no` and `on` are texts.
fn resolve(text: &str) -> Scalar<'_> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Scalar::Null,
        "true" | "True" | "TRUE" => Scalar::Boolean(true),
        "false" | "False" | "FALSE" => Scalar::Boolean(false),
        _ if is_number(text) => Scalar::Number(text),
        _ => Scalar::Text(text),
    }
}

fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    if let Some(hex) = text.strip_prefix("0x") {
        return !hex.is_empty() && hex.bytes().all(|b| b.is_ascii_hexdigit());
    }
    if let Some(octal) = text.strip_prefix("0o") {
        return !octal.is_empty() && octal.bytes().all(|b| (b'0'..=b'7').contains(&b));
    }
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let (integer, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mantissa_fits = digits(integer) && digits(fraction) && !(integer.is_empty() && fraction.is_empty());
    let exponent_fits = exponent.is_none_or(|e| {
        let e = e.strip_prefix(['-', '+']).unwrap_or(e);
        !e.is_empty() && digits(e)
    });
    mantissa_fits && exponent_fits
}

fn short(text: &str) -> String {
    let mut shown: String = text.chars().take(40).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_scalars_have_types() {
        for (text, expect) in [
            ("yes", Scalar::Text("yes")),
            ("on", Scalar::Text("on")),
            ("NO", Scalar::Text("NO")),
            ("true", Scalar::Boolean(true)),
            ("~", Scalar::Null),
            ("1", Scalar::Number("1")),
            ("-0.50", Scalar::Number("-0.50")),
            ("1e3", Scalar::Number("1e3")),
            ("0x1f", Scalar::Number("0x1f")),
            (".inf", Scalar::Number(".inf")),
            ("1_000", Scalar::Text("1_000")),
            ("2026-11-01", Scalar::Text("2026-11-01")),
            ("30d", Scalar::Text("30d")),
            ("'1'", Scalar::Text("1")),
            ("\"true\"", Scalar::Text("true")),
        ] {
            let mut findings = Findings::new(text);
            let node = parse(&mut findings).unwrap();
            assert_eq!(node.scalar(), Some(expect), "{text}");
        }
    }

    #[test]
    fn a_place_within_a_scalar_is_a_place_in_the_file() {
        // In each file, the place of `x` in the scalar's text has to be the place of `x` in the file.
        for file in [
            "a: bc x",
            "a: 'bc x'",
            "a: 'b''c'' x'",
            "a: '''' \n",
            "a: \"b\\\"c\\\" x\"",
            "a: >-\n  bc\n  cd\n\n  x y\n",
            "a: |\n  bc\n  x y\n",
            "a: bc\n  de\n  x y\n",
            "a: 'äöü x'",
            "{a: \"bc\nde x\"}",
        ] {
            let mut findings = Findings::new(file);
            let root = parse(&mut findings).unwrap();
            let node = root.get("a").unwrap();
            if let Some(at) = node.raw().unwrap().find('x') {
                assert_eq!(Some(node.offset_within(file, at)), file.find('x'), "{file}");
            }
        }
    }

    #[test]
    fn what_the_language_does_not_have_is_refused() {
        for (file, expect) in [
            ("a: &x 1\nb: *x", "anchors"),
            ("a: !!str 1", "anchors"),
            ("a: &x [1]", "anchors"),
            ("a: !!seq [1]", "anchors"),
            ("a: &x {b: 1}", "anchors"),
            ("a: !!map {b: 1}", "anchors"),
            ("a: [1", "not YAML"),
            ("", "the file is empty"),
            ("a: 1\n---\nb: 2", "one YAML document"),
        ] {
            let mut findings = Findings::new(file);
            assert!(parse(&mut findings).is_none());
            let errors = findings.into_errors("m").to_string();
            assert!(errors.contains(expect), "{file}: {errors}");
        }
    }

    #[test]
    fn depth_and_size_are_bounded() {
        let check = |file: &str, nodes_before: usize, fits: bool| {
            let mut findings = Findings::new(file);
            let parser = Parser::new_from_str(file);
            let root = Tree { parser, findings: &mut findings, nodes: nodes_before }.document();
            assert_eq!(root.is_some(), fits, "{file}");
            let errors = findings.into_errors("m").to_string();
            assert_eq!(
                errors.contains("nested deeper than 24, or more than 500000 nodes"),
                !fits,
                "{errors}"
            );
        };
        for (open, within, close) in [("[", "x", "]"), ("{a: ", "x", "}"), ("{? ", "x", " : y}")] {
            for (depth, fits) in [(DEPTH, true), (DEPTH + 1, false)] {
                check(&format!("{}{within}{}", open.repeat(depth), close.repeat(depth)), 0, fits);
            }
        }
        // A list of one item is two nodes.
        check("[x]", NODES - 2, true);
        check("[x]", NODES - 1, false);
    }
}
