//! The tracking plan of a model: every event, field, page and trait that it reads, and who reads it.

use std::collections::BTreeMap;

use crate::compiled::{
    Amount, KeyPart, Model, Reason, Recurrence, Rule, RuleOrigin, TraitIx, TraitSource, VerdictHolds,
};
use crate::expression::{EventAtom, EventField, LeadPredicate, LeadTest};
use crate::findings::Findings;
use crate::yaml::{self, Node};

/// What has to be tracked, each part in the order of names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrackingPlan {
    /// Events by name; `*` is any.
    pub events: Vec<Tracked>,
    /// Fields of events: properties, traits, campaign, page, visit.
    pub fields: Vec<Tracked>,
    /// Page kinds with the patterns of their paths.
    pub pages: Vec<Tracked>,
    /// Traits that are kept with the fields they are read from.
    pub traits: Vec<Tracked>,
}

/// One thing to track.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tracked {
    /// Its name.
    pub name: String,
    /// For pages the patterns, for traits the fields.
    pub from: Vec<String>,
    /// Who reads it, in words: `rule model_view`.
    pub read_by: Vec<String>,
}

/// The tracking plan of a model and of the text that it was compiled from.
pub fn tracking_plan(model: &Model, text: &str) -> TrackingPlan {
    let mut readers =
        Readers { model, events: Tally::default(), fields: Tally::default(), kinds: Tally::default() };
    readers.rules();
    readers.responses();
    let traits = traits(model, &mut readers.fields);
    let root = yaml::parse(&mut Findings::new(text));
    let mut pages = Vec::new();
    let patterns = root.as_ref().and_then(|root| root.get("pages")).map_or(&[][..], Node::entries);
    for (key, node) in patterns.iter().filter(|(key, _)| key.raw() != Some("fold_case")) {
        let name = key.raw().unwrap_or_default().to_owned();
        let from = node.one_or_many().iter().filter_map(Node::raw).map(str::to_owned).collect();
        let read_by = readers.kinds.0.remove(&name).unwrap_or_default();
        pages.push(Tracked { name, from, read_by });
    }
    TrackingPlan { events: readers.events.tracked(), fields: readers.fields.tracked(), pages, traits }
}

/// Readers by name, each once, in the order in which they were found.
#[derive(Default)]
struct Tally(BTreeMap<String, Vec<String>>);

impl Tally {
    fn add(&mut self, name: &str, reader: &str) {
        let readers = self.0.entry(name.to_owned()).or_default();
        if !readers.iter().any(|known| known == reader) {
            readers.push(reader.to_owned());
        }
    }

    fn tracked(self) -> Vec<Tracked> {
        let tracked = self.0.into_iter();
        tracked.map(|(name, read_by)| Tracked { name, from: Vec::new(), read_by }).collect()
    }
}

struct Readers<'m> {
    model: &'m Model,
    events: Tally,
    fields: Tally,
    kinds: Tally,
}

impl Readers<'_> {
    fn rules(&mut self) {
        let model = self.model;
        let mut named: Vec<(&String, _)> = model.events.named.iter().collect();
        named.sort_by_key(|(name, _)| *name);
        for (ix, rule) in model.rules.iter().enumerate() {
            let reader = reader(model, rule);
            let is_for = |rules: &[crate::compiled::RuleIx]| rules.iter().any(|rule| rule.ix() == ix);
            if is_for(&model.events.any) {
                self.events.add("*", &reader);
            } else {
                for (event, _) in named.iter().filter(|(_, rules)| is_for(rules)) {
                    self.events.add(event, &reader);
                }
            }
            self.condition(rule, &reader);
            if let Recurrence::Per(parts) = &rule.recurrence {
                for part in parts {
                    if let KeyPart::Field(field) = part {
                        self.field(*field, &reader);
                    }
                }
            }
            if let Some(summed) = rule.summed {
                self.field(EventField::Property(summed), &reader);
            }
            match rule.origin {
                RuleOrigin::Verdict(ix) => {
                    if let Reason::Read(field, _) = &model.verdicts[ix.ix()].reason {
                        self.field(*field, &reader);
                    }
                }
                RuleOrigin::Feedback(ix) => {
                    if let Some(Amount::Field(field)) = model.feedback[ix.ix()].value {
                        self.field(field, &reader);
                    }
                }
                RuleOrigin::Answers => {
                    if let Some(answers) = &model.answers {
                        self.field(answers.criterion, &reader);
                        self.field(answers.value, &reader);
                    }
                }
                RuleOrigin::Rule | RuleOrigin::Alert(_) => {}
            }
        }
    }

    fn condition(&mut self, rule: &Rule, reader: &str) {
        for atom in rule.condition.as_ref().map(|condition| condition.atoms()).unwrap_or_default() {
            match atom {
                EventAtom::Field(field, _) => self.field(*field, reader),
                EventAtom::Fields(left, _, right) => {
                    self.field(*left, reader);
                    self.field(*right, reader);
                }
                EventAtom::PageKind(kind) => {
                    self.kinds.add(&self.model.page_kinds[kind.ix()], reader);
                }
            }
        }
    }

    fn field(&mut self, field: EventField, reader: &str) {
        self.fields.add(&self.model.field_name(field), reader);
    }

    fn responses(&mut self) {
        for stage in &self.model.stages {
            for event in stage.response.iter().flat_map(|response| &response.answered_by) {
                self.events.add(event, &format!("response clock of {}", stage.id));
            }
        }
    }
}

fn reader(model: &Model, rule: &Rule) -> String {
    match rule.origin {
        RuleOrigin::Rule => format!("rule {}", rule.id),
        RuleOrigin::Verdict(ix) => format!("disqualification {}", model.verdicts[ix.ix()].id),
        RuleOrigin::Feedback(_) => "feedback".to_owned(),
        RuleOrigin::Alert(ix) => format!("alert {}", model.alerts[ix.ix()].id),
        RuleOrigin::Answers => "answers to the framework".to_owned(),
    }
}

/// Kept traits with their sources and readers; the fields that they are read from have the trait for a reader.
fn traits(model: &Model, fields: &mut Tally) -> Vec<Tracked> {
    let mut readers = Tally::default();
    let mut read = |ix: TraitIx, reader: &str| readers.add(&model.traits[ix.ix()].name, reader);
    for fit in &model.fits {
        read(fit.source, &format!("fit {}", fit.id));
    }
    for (reader, predicate) in lead_predicates(model) {
        for atom in predicate.atoms() {
            match &atom.test {
                LeadTest::Trait(ix, _) => read(*ix, &reader),
                LeadTest::Traits(left, _, right) => {
                    read(*left, &reader);
                    read(*right, &reader);
                }
                _ => {}
            }
        }
    }
    if let Some(handover) = &model.handover {
        handover.require.iter().chain(&handover.enrich).for_each(|ix| read(*ix, "hand-over"));
    }
    if let Some(Amount::Trait(ix)) = model.value.as_ref().map(|value| value.amount) {
        read(ix, "value");
    }
    for criterion in model.framework.iter().flat_map(|framework| &framework.criteria) {
        read(criterion.answer, &format!("criterion {}", criterion.name));
    }
    let mut tracked = Vec::new();
    // Reasons are kept, and nobody reads them but decisions.
    for kept in model.traits.iter().filter(|kept| readers.0.contains_key(&kept.name)) {
        let source = |source: &TraitSource| match source {
            TraitSource::Trait(ix) => EventField::RecordTrait(*ix),
            TraitSource::Property(ix) => EventField::Property(*ix),
        };
        let from: Vec<String> = kept.from.iter().map(|from| model.field_name(source(from))).collect();
        from.iter().for_each(|field| fields.add(field, &format!("trait {}", kept.name)));
        let read_by = readers.0.get(&kept.name).cloned().unwrap_or_default();
        tracked.push(Tracked { name: kept.name.clone(), from, read_by });
    }
    tracked.sort_by(|a, b| a.name.cmp(&b.name));
    tracked
}

fn lead_predicates(model: &Model) -> Vec<(String, &LeadPredicate)> {
    let mut all = Vec::new();
    for stage in &model.stages {
        let conditions = stage.enter.iter().chain(&stage.exit);
        all.extend(conditions.map(|predicate| (format!("stage {}", stage.id), predicate)));
    }
    all.extend(model.bonuses.iter().map(|bonus| (format!("bonus {}", bonus.id), &bonus.when)));
    all.extend(model.definitions.iter().map(|of| (format!("definition {}", of.name), &of.when)));
    for verdict in &model.verdicts {
        if let VerdictHolds::While(when) = &verdict.holds {
            all.push((format!("disqualification {}", verdict.id), when));
        }
    }
    all.extend(model.audiences.iter().map(|of| (format!("audience {}", of.name), &of.when)));
    for alert in &model.alerts {
        all.extend(alert.when.iter().map(|when| (format!("alert {}", alert.id), when)));
    }
    for (name, cases) in &model.route.attributes {
        all.extend(cases.iter().map(|(case, _)| (format!("route {name}"), case)));
    }
    all
}
