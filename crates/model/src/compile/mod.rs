//! From a file's text to a [`Model`]: every section in the order of what refers to what.
//!
//! The shape check has reported wrong keys and types before; what does not have its shape is skipped here without
//! another word, so that one mistake is one finding.

mod rules;
mod scoring;
mod sections;
mod stages;

use crate::bounds;
use crate::compiled::{Model, Route};
use crate::findings::{Findings, ModelErrors};
use crate::language::FILE;
use crate::names::Names;
use crate::yaml::Node;
use crate::{shape, yaml};

/// Longest model file, bytes.
const LARGEST_FILE: usize = 4 << 20;

/// Most entries of any one section; indices are u16, and no funnel needs as many.
const MOST_ENTRIES: usize = 8_192;

/// Parses, checks and compiles a model file.
///
/// # Errors
/// Every finding of the file at once, with its place in `file_name`. A section or key of the language that this
/// version does not execute is a finding, too: nothing in a model is ever ignored.
pub fn compile(file_name: &str, text: &str) -> Result<Model, ModelErrors> {
    let mut findings = Findings::new(text);
    if text.len() > LARGEST_FILE {
        findings.add(0, format!("a model file has at most {LARGEST_FILE} bytes"));
        return Err(findings.into_errors(file_name));
    }
    let Some(root) = yaml::parse(&mut findings) else { return Err(findings.into_errors(file_name)) };
    shape::check(&mut findings, &root, &FILE);
    let mut compiler = Compiler { findings, names: Names::default(), root: &root };
    let model = compiler.model();
    if compiler.findings.is_empty()
        && let Some(model) = &model
        && let Err(message) = bounds::check(model)
    {
        compiler.findings.add(root.at(), message);
    }
    match model {
        Some(model) if compiler.findings.is_empty() => Ok(model),
        _ => Err(compiler.findings.into_errors(file_name)),
    }
}

/// What is known of a file while it is compiled.
struct Compiler<'f, 'a> {
    findings: Findings<'a>,
    names: Names,
    root: &'f Node,
}

impl<'f> Compiler<'f, '_> {
    /// The model; it is complete only if nothing was found.
    fn model(&mut self) -> Option<Model> {
        if !self.counts_fit() {
            return None;
        }
        let time = self.time();
        let pages = self.pages();
        self.lists();
        self.declare_traits();
        let scores = self.scores();
        let mut groups = self.groups();
        self.declare_rules();
        self.declare_facts();
        let mut rules = self.rules();
        let facts = self.facts(&mut rules);
        let fits = self.fits();
        let stages = self.stages();
        self.windows(&mut rules, time.as_ref()?.late_accept_ms);
        scoring::assign_groups(&mut groups, &rules);
        let rules: Vec<_> = rules.into_iter().map(|read| read.rule).collect();
        let (id, version, agreement) = self.identity()?;
        let events = self.events();
        let hashed_properties = self.names.hashed_properties();
        let hashed_traits = self.names.hashed_traits();
        let names = std::mem::take(&mut self.names);
        Some(Model {
            id,
            version,
            hash: blake3::hash(self.findings.text().as_bytes()).to_hex().to_string(),
            agreement,
            time: time?,
            pages,
            page_kinds: names.page_kinds.into_names(),
            page_parameters: names.page_parameters.into_names(),
            properties: names.properties.into_names(),
            record_traits: names.record_traits.into_names(),
            hashed_properties,
            hashed_traits,
            scores,
            groups,
            rules,
            events,
            facts,
            traits: names.stored,
            fits,
            stages,
            bonuses: Vec::new(),
            framework: None,
            answers: None,
            definitions: Vec::new(),
            verdicts: Vec::new(),
            feedback: Vec::new(),
            audiences: Vec::new(),
            route: Route::default(),
            value: None,
            alerts: Vec::new(),
            handover: None,
            personas: Vec::new(),
        })
    }

    fn counts_fit(&mut self) -> bool {
        let root = self.root;
        let mut fit = true;
        for (key, section) in root.entries() {
            if section.entries().len().max(section.items().len()) > MOST_ENTRIES {
                self.findings.add(key.at(), format!("a section has at most {MOST_ENTRIES} entries"));
                fit = false;
            }
        }
        fit
    }

    /// The entries of a section that is a map, with their names.
    fn named(&self, section: &str) -> Vec<(&'f str, &'f Node, &'f Node)> {
        let entries = self.root.get(section).map_or(&[][..], Node::entries);
        entries.iter().filter_map(|(key, value)| Some((key.raw()?, key, value))).collect()
    }

    /// The entries of a section that is a list, with their ids; one without an id is left out.
    fn listed(&self, section: &str) -> Vec<(&'f str, &'f Node)> {
        let items = self.root.get(section).map_or(&[][..], Node::items);
        items.iter().filter_map(|item| Some((item.get("id")?.text()?, item))).collect()
    }

    /// Reports ids that stand twice in a listed section.
    fn unique_ids(&mut self, section: &str, what: &str) {
        let mut seen = std::collections::HashSet::<_, foldhash::fast::FixedState>::default();
        for (id, item) in self.listed(section) {
            if !seen.insert(id)
                && let Some(node) = item.get("id")
            {
                self.findings.add(node.at(), format!("a second {what} `{id}`"));
            }
        }
    }
}

/// Thousandths of a node that the shape check has accepted.
fn milli(node: &Node) -> Option<i64> {
    crate::number::exact_scaled(node.number()?, 3).ok()
}

/// Milliseconds of a node that the shape check has accepted.
fn duration_ms(node: &Node) -> Option<i64> {
    crate::duration::parse_duration_ms(node.text()?)
}
