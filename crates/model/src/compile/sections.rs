//! The sections that others refer to: model, time, pages, traits, lists.

use jiff::tz::{TimeZone, TimeZoneDatabase};

use super::{Compiler, duration_ms};
use crate::compiled::{Agreement, PageKindIx, PageParameterIx, TimeRules, Trait, TraitKind, TraitSource};
use crate::expression::{Constant, ConstantSet};
use crate::findings::did_you_mean;
use crate::names::is_kept_name;
use crate::number::exact_scaled;
use crate::pages::{PageMatcher, parameter_names};
use crate::predicate::is_page_field;
use crate::shape::is_name;
use crate::yaml::{Node, Scalar};

/// A list whose file has not been put into the text.
pub(super) const LIST_NOT_LOADED: &str = "this list is in a file of its own, which has not been loaded";

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 86_400_000;

impl Compiler<'_, '_> {
    pub(super) fn identity(&mut self) -> Option<(String, i64, Agreement)> {
        let model = self.root.get("model")?;
        let texts = |key: &str| -> Vec<String> {
            let items = model.get(key).map_or(&[][..], Node::items);
            items.iter().filter_map(|item| item.text().map(str::to_owned)).collect()
        };
        let agreement = Agreement {
            agreed_by: texts("agreed_by"),
            required: texts("requires_agreement_of"),
            agreed_on: model.get("agreed_on").and_then(Node::text).map(str::to_owned),
        };
        let id = model.get("id")?.text()?.to_owned();
        Some((id, model.get("version")?.number()?.parse().ok()?, agreement))
    }

    pub(super) fn time(&mut self) -> Option<TimeRules> {
        let section = self.root.get("time");
        let node = |key: &str| section.and_then(|section| section.get(key));
        let duration = |key: &str, default_ms: i64| node(key).and_then(duration_ms).unwrap_or(default_ms);
        let late_accept_ms = duration("late_accept", 30 * DAY_MS);
        let forget_ms = duration("forget", 400 * DAY_MS);
        let forget_anonymous_ms = duration("forget_anonymous", (90 * DAY_MS).min(forget_ms));
        let remember = node("remember").and_then(Node::number).and_then(|text| text.parse().ok());
        for (key, value_ms) in [("forget", forget_ms), ("forget_anonymous", forget_anonymous_ms)] {
            if value_ms < late_accept_ms {
                let at = node(key).or(node("late_accept")).map_or(0, Node::at);
                let message =
                    format!("`{key}` is shorter than `late_accept`: late activities would revive leads");
                self.findings.add(at, message);
            }
        }
        let zone = match node("zone").and_then(|node| Some((node, node.text()?))) {
            None => TimeZone::UTC,
            Some((node, name)) => match TimeZoneDatabase::bundled().get(name) {
                Ok(zone) => zone,
                Err(_) => {
                    let database = TimeZoneDatabase::bundled();
                    let known: Vec<String> = database.available().map(|name| name.to_string()).collect();
                    let way_out = did_you_mean(name, known.iter().map(String::as_str));
                    self.findings.suggest(node.at(), format!("unknown time zone `{name}`"), way_out);
                    TimeZone::UTC
                }
            },
        };
        Some(TimeRules {
            zone,
            max_future_ms: duration("max_future", 5 * MINUTE_MS),
            late_accept_ms,
            forget_ms,
            forget_anonymous_ms,
            remember: remember.unwrap_or(128),
        })
    }

    pub(super) fn pages(&mut self) -> PageMatcher {
        let section = self.root.get("pages");
        let fold_case = section.and_then(|section| section.get("fold_case")).and_then(Node::boolean);
        let mut matcher = PageMatcher::new(fold_case.unwrap_or(false));
        for (name, _, patterns) in self.named("pages") {
            if name == "fold_case" {
                continue;
            }
            let kind = PageKindIx(self.names.page_kinds.intern(name));
            for node in patterns.one_or_many() {
                if let Some(pattern) = node.text() {
                    self.page_pattern(&mut matcher, kind, pattern, node.at());
                }
            }
        }
        matcher
    }

    fn page_pattern(&mut self, matcher: &mut PageMatcher, kind: PageKindIx, pattern: &str, at: usize) {
        let cut = pattern.len() > 1 && pattern.ends_with('/');
        if !pattern.starts_with('/') || pattern.contains("//") || cut || pattern.contains(['?', '#']) {
            let message = format!("the page pattern `{pattern}` can never match");
            let way_out = "a path starts with `/`; query, fragment, `//` and a last `/` are cut".to_owned();
            self.findings.suggest(at, message, Some(way_out));
            return;
        }
        let names = parameter_names(pattern);
        for (ix, name) in names.iter().enumerate() {
            if !is_name(name) || is_page_field(name) {
                let message = format!("a page parameter cannot be named `{name}`");
                let way_out = "a name of letters, digits and `_` that is no field of a page".to_owned();
                self.findings.suggest(at, message, Some(way_out));
                return;
            }
            if names[..ix].contains(name) {
                self.findings.add(at, format!("the page parameter `{name}` stands twice in one pattern"));
                return;
            }
        }
        let parameters = names.iter().map(|name| PageParameterIx(self.names.page_parameters.intern(name)));
        let parameters = parameters.collect();
        if let Err(error) = matcher.insert(pattern, kind, parameters) {
            let cause = match error {
                matchit::InsertError::Conflict { with } => format!("it conflicts with `{with}`"),
                matchit::InsertError::InvalidParamSegment => {
                    "one parameter per segment is allowed".to_owned()
                }
                matchit::InsertError::InvalidCatchAll => "`{*name}` stands at the end of a path".to_owned(),
                _ => "its braces do not match".to_owned(),
            };
            self.findings.add(at, format!("the page pattern `{pattern}` is not usable: {cause}"));
        }
    }

    pub(super) fn lists(&mut self) {
        for (name, _, value) in self.named("lists") {
            if let Some(file) = value.text() {
                let way_out = format!("load `{file}` together with the model");
                self.findings.suggest(value.at(), LIST_NOT_LOADED, Some(way_out));
            }
            let mut set = ConstantSet::default();
            for item in value.items() {
                if let Some(constant) = self.scalar_constant(item) {
                    set.insert(constant);
                }
            }
            self.names.lists.insert(name.to_owned(), set);
        }
    }

    /// A YAML scalar as a constant of the language. `None` after a finding.
    pub(super) fn scalar_constant(&mut self, node: &Node) -> Option<Constant> {
        match node.scalar()? {
            Scalar::Null => None,
            Scalar::Boolean(truth) => Some(Constant::Boolean(truth)),
            Scalar::Text("") => {
                self.findings.add(node.at(), "an empty text is absent: no value equals it");
                None
            }
            Scalar::Text(text) => Some(Constant::Text(text.to_owned())),
            Scalar::Number(text) => match exact_scaled(text, 6) {
                Ok(micros) => Some(Constant::Number(micros)),
                Err(_) => {
                    let message = format!("`{text}` is not a decimal number with at most 6 decimals");
                    self.findings.suggest(
                        node.at(),
                        message,
                        Some("put it in quotes if it is a text".to_owned()),
                    );
                    None
                }
            },
        }
    }

    pub(super) fn declare_traits(&mut self) {
        for (name, key, value) in self.named("traits") {
            if is_kept_name(name) {
                self.findings.add(key.at(), format!("`{name}` is a name that Ripen keeps for itself"));
            }
            let kind = match value.get("kind").and_then(Node::text) {
                Some("text") => TraitKind::Text,
                Some("number") => TraitKind::Number,
                Some("bool") => TraitKind::Bool,
                Some("email") => TraitKind::Email,
                Some("phone") => TraitKind::Phone,
                _ => crate::names::default_kind(name),
            };
            let mut from = Vec::new();
            for node in value.get("from").map_or(&[][..], Node::one_or_many) {
                match node.text().and_then(|text| text.split_once('.')) {
                    Some(("traits", name)) if !name.is_empty() => {
                        from.push(TraitSource::Trait(self.names.record_trait(name)));
                    }
                    Some(("properties", name)) if !name.is_empty() => {
                        from.push(TraitSource::Property(self.names.property(name)));
                    }
                    _ => {
                        let message = "a trait is read from `traits.<name>` or `properties.<name>`";
                        self.findings.add(node.at(), message);
                    }
                }
            }
            if value.get("from").is_none() {
                from.push(TraitSource::Trait(self.names.record_trait(name)));
            } else if from.is_empty() {
                self.findings.add(key.at(), format!("the trait `{name}` is read from nowhere"));
            }
            self.names.declared.push(Trait { name: name.to_owned(), from, kind });
        }
    }
}
