//! From a file's text to a [`Model`]: every section in the order of what refers to what.
//!
//! The shape check has reported wrong keys and types before; what does not have its shape is skipped here without
//! another word, so that one mistake is one finding.

mod bundle;
mod feedback;
mod frameworks;
mod handover;
mod outward;
mod personas;
mod rules;
mod scoring;
mod sections;
mod stages;
mod verdicts;

pub use bundle::bundle;

use crate::bounds;
use crate::compiled::Model;
use crate::findings::{Findings, ModelErrors};
use crate::language::FILE;
use crate::names::Names;
use crate::yaml::Node;
use crate::{shape, yaml};

/// Longest model file, bytes.
const LARGEST_FILE: usize = 4 << 20;

/// Most entries of any one section; indices are u16, and no funnel needs as many.
const MOST_ENTRIES: usize = 8_192;

/// Most entries of any list or map within a section; the values of `lists` alone are more.
const MOST_NESTED: usize = 4_096;

/// Sections of which a lead keeps places in a list whose length is a u8.
const COUNTED: [&str; 4] = ["scores", "disqualify", "audiences", "alerts"];
const MOST_COUNTED: usize = 255;

/// Parses, checks and compiles a model file.
///
/// # Errors
/// Every finding of the file at once, with its place in `file_name`. Nothing in a model is ever ignored: a list in
/// a file of its own is a finding, too, unless [`crate::bundle`] has put it into the text before.
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
        self.declare();
        let mut rules = self.rules();
        let (verdicts, of_verdicts) = self.verdicts();
        let (feedback, of_feedback) = self.feedback();
        let (alerts, of_alerts) = self.alerts();
        rules.extend(of_verdicts.into_iter().chain(of_feedback).chain(of_alerts));
        let fits = self.fits();
        let bonuses = self.bonuses();
        let framework = self.framework();
        let definitions = self.definitions();
        self.order(&bonuses, &definitions, &verdicts);
        let mut stages = self.stages();
        let audiences = self.audiences();
        let route = self.route();
        let value = self.value();
        let handover = self.handover();
        self.responses(&mut stages, handover.as_ref());
        let personas = self.personas();
        let (of_answers, answers) = self.answers().unzip();
        rules.extend(of_answers);
        let facts = self.facts(&mut rules);
        self.windows(&mut rules, time.as_ref()?.late_accept_ms);
        scoring::assign_groups(&mut groups, &rules);
        let events = rules::events(&rules);
        let rules: Vec<_> = rules.into_iter().map(|read| read.rule).collect();
        let (id, version, agreement) = self.identity()?;
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
            page_reads: names.page_reads,
            hashed_properties,
            hashed_traits,
            scores,
            groups,
            rules,
            events,
            facts,
            traits: names.stored,
            fits,
            bonuses,
            framework,
            answers,
            definitions,
            verdicts,
            feedback,
            stages,
            audiences,
            route,
            value,
            alerts,
            handover,
            personas,
        })
    }

    /// The names that conditions may mention before their sections are read.
    fn declare(&mut self) {
        self.declare_rules();
        self.declare_facts();
        self.declare_stages();
        self.declare_verdicts();
        self.declare_answers();
        self.declare_outward();
    }

    fn counts_fit(&mut self) -> bool {
        let mut fit = true;
        for (key, section) in self.root.entries() {
            let name = key.raw().unwrap_or_default();
            let most = if COUNTED.contains(&name) { MOST_COUNTED } else { MOST_ENTRIES };
            if section.entries().len().max(section.items().len()) > most {
                self.findings.add(key.at(), format!("this section has at most {most} entries"));
                fit = false;
            }
            if name != "lists" {
                let within = section.items().iter().chain(section.entries().iter().map(|(_, value)| value));
                for node in within {
                    fit &= self.nested_counts_fit(node);
                }
            }
        }
        fit
    }

    fn nested_counts_fit(&mut self, node: &Node) -> bool {
        if node.entries().len().max(node.items().len()) > MOST_NESTED {
            self.findings.add(node.at(), format!("this has at most {MOST_NESTED} entries"));
            return false;
        }
        let within = node.items().iter().chain(node.entries().iter().map(|(_, value)| value));
        let mut fit = true;
        for node in within {
            fit &= self.nested_counts_fit(node);
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

    /// The texts of a node, each once; what they are called if one stands twice.
    fn distinct_texts(&mut self, node: &Node, what: &str) -> Vec<String> {
        let mut texts: Vec<String> = Vec::new();
        for node in node.one_or_many() {
            let Some(text) = node.text() else { continue };
            if texts.iter().any(|known| known == text) {
                self.findings.add(node.at(), format!("the {what} `{text}` stands twice"));
            } else {
                texts.push(text.to_owned());
            }
        }
        texts
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
