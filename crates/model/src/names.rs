//! The names that a model file defines or mentions, each with its index.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use crate::compiled::{
    AlertIx, AudienceIx, FactIx, HashedKind, PageKindIx, PageParameterIx, PageReads, PropertyIx,
    RecordTraitIx, RuleIx, ScoreIx, StageIx, Trait, TraitIx, TraitKind, TraitSource, VerdictIx,
};
use crate::expression::{ConstantSet, EventField, Measure};

/// Names in the order of their first mention.
#[derive(Debug, Default)]
pub(crate) struct Interner {
    names: Vec<String>,
    index: HashMap<String, u16, FixedState>,
}

impl Interner {
    /// The name's index; a new name gets the next one. A file too large for u16 fails its bounds check later.
    pub(crate) fn intern(&mut self, name: &str) -> u16 {
        if let Some(ix) = self.index.get(name) {
            return *ix;
        }
        let ix = u16::try_from(self.names.len()).unwrap_or(u16::MAX);
        self.names.push(name.to_owned());
        self.index.insert(name.to_owned(), ix);
        ix
    }

    pub(crate) fn get(&self, name: &str) -> Option<u16> {
        self.index.get(name).copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    pub(crate) fn into_names(self) -> Vec<String> {
        self.names
    }
}

/// A window function's use of a rule, checked once the rules' keys are known.
#[derive(Debug)]
pub(crate) struct WindowUse {
    /// Where it stands in the file.
    pub(crate) at: usize,
    pub(crate) rule: RuleIx,
    pub(crate) measure: Measure,
    pub(crate) summed: Option<PropertyIx>,
    pub(crate) window_ms: i64,
    /// The keys or days that it takes to satisfy it, if that many are needed.
    pub(crate) least: Option<i64>,
}

/// All names of one file.
#[derive(Debug, Default)]
pub(crate) struct Names {
    pub(crate) page_kinds: Interner,
    pub(crate) page_parameters: Interner,
    pub(crate) properties: Interner,
    pub(crate) record_traits: Interner,
    pub(crate) page_reads: PageReads,
    pub(crate) scores: Interner,
    pub(crate) groups: Interner,
    pub(crate) rules: Interner,
    pub(crate) facts: Interner,
    pub(crate) lists: HashMap<String, ConstantSet, FixedState>,
    /// The traits of the `traits` section.
    pub(crate) declared: Vec<Trait>,
    /// Those that are kept with a lead.
    pub(crate) stored: Vec<Trait>,
    pub(crate) windows: Vec<WindowUse>,
    pub(crate) stages: Interner,
    pub(crate) audiences: Interner,
    pub(crate) alerts: Interner,
    /// The disqualifications with what remembers each: event-bound ones have a fact behind those of the file.
    pub(crate) verdicts: Interner,
    pub(crate) verdict_facts: Vec<Option<FactIx>>,
    /// Whether any of them disqualifies, rather than caps.
    pub(crate) disqualifies: bool,
    /// Whether there is any portrait of a sales-ready lead.
    pub(crate) has_definitions: bool,
    /// Whether the file says where answers are read from.
    pub(crate) has_answers: bool,
    /// Other names of criteria, with the name under which the answer is kept.
    pub(crate) aliases: HashMap<String, String, FixedState>,
    /// Criteria whose answers are kept, in the order of their first mention.
    pub(crate) answers: Vec<(String, TraitIx)>,
}

/// What stands before the name of a trait that no record carries: answers by criterion, reasons by verdict.
const ANSWERS_PREFIX: &str = "answers.";
const REASON_PREFIX: &str = "reason.";

/// Most criteria whose answers are kept, over all frameworks and conditions; each is a trait of every lead.
pub(crate) const MOST_CRITERIA: usize = 128;

/// Whether a trait of the file cannot have this name.
pub(crate) fn is_kept_name(name: &str) -> bool {
    name.starts_with(ANSWERS_PREFIX) || name.starts_with(REASON_PREFIX)
}

impl Names {
    /// Notes that something reads this field of an activity.
    pub(crate) fn read(&mut self, field: EventField) {
        let page = &mut self.page_reads;
        match field {
            EventField::PageUrl => page.url = true,
            EventField::PageHost => page.host = true,
            EventField::PageTitle => page.title = true,
            EventField::PageName => page.name = true,
            _ => {}
        }
    }

    pub(crate) fn page_kind(&self, name: &str) -> Option<PageKindIx> {
        self.page_kinds.get(name).map(PageKindIx)
    }

    pub(crate) fn page_parameter(&self, name: &str) -> Option<PageParameterIx> {
        self.page_parameters.get(name).map(PageParameterIx)
    }

    pub(crate) fn property(&mut self, name: &str) -> PropertyIx {
        PropertyIx(self.properties.intern(name))
    }

    pub(crate) fn record_trait(&mut self, name: &str) -> RecordTraitIx {
        RecordTraitIx(self.record_traits.intern(name))
    }

    pub(crate) fn score(&self, name: &str) -> Option<ScoreIx> {
        self.scores.get(name).map(ScoreIx)
    }

    pub(crate) fn fact(&self, name: &str) -> Option<FactIx> {
        self.facts.get(name).map(FactIx)
    }

    pub(crate) fn rule(&self, name: &str) -> Option<RuleIx> {
        self.rules.get(name).map(RuleIx)
    }

    /// A trait that is read from a lead and hence stored: as declared, or from `traits.<name>`.
    pub(crate) fn stored_trait(&mut self, name: &str) -> TraitIx {
        if let Some(ix) = self.stored.iter().position(|stored| stored.name == name) {
            return TraitIx(u16::try_from(ix).unwrap_or(u16::MAX));
        }
        let declared = self.declared.iter().find(|declared| declared.name == name).cloned();
        let stored = declared.unwrap_or_else(|| {
            let from = vec![TraitSource::Trait(self.record_trait(name))];
            Trait { name: name.to_owned(), from, kind: default_kind(name) }
        });
        self.stored.push(stored);
        TraitIx(u16::try_from(self.stored.len() - 1).unwrap_or(u16::MAX))
    }

    /// The trait that keeps the newest answer to a criterion.
    pub(crate) fn answer(&mut self, criterion: &str) -> TraitIx {
        let criterion = self.aliases.get(criterion).map_or(criterion, String::as_str);
        if let Some((_, kept)) = self.answers.iter().find(|(name, _)| name == criterion) {
            return *kept;
        }
        if let Some((_, last)) = self.answers.last().filter(|_| self.answers.len() > MOST_CRITERIA) {
            return *last; // one too many is enough for a finding
        }
        let criterion = criterion.to_owned();
        let kept = self.keep(format!("{ANSWERS_PREFIX}{criterion}"));
        self.answers.push((criterion, kept));
        kept
    }

    /// The trait that keeps what an event gave as the reason of a verdict.
    pub(crate) fn reason(&mut self, verdict: &str) -> TraitIx {
        self.keep(format!("{REASON_PREFIX}{verdict}"))
    }

    /// A trait that no record carries: rules keep it.
    fn keep(&mut self, name: String) -> TraitIx {
        self.stored.push(Trait { name, from: Vec::new(), kind: TraitKind::Any });
        TraitIx(u16::try_from(self.stored.len() - 1).unwrap_or(u16::MAX))
    }

    pub(crate) fn stage(&self, name: &str) -> Option<StageIx> {
        self.stages.get(name).map(StageIx)
    }

    pub(crate) fn verdict(&self, name: &str) -> Option<VerdictIx> {
        self.verdicts.get(name).map(VerdictIx)
    }

    pub(crate) fn audience(&self, name: &str) -> Option<AudienceIx> {
        self.audiences.get(name).map(AudienceIx)
    }

    pub(crate) fn alert(&self, name: &str) -> Option<AlertIx> {
        self.alerts.get(name).map(AlertIx)
    }

    /// How ingest hashes each record trait, if it does.
    pub(crate) fn hashed_traits(&self) -> Vec<Option<HashedKind>> {
        let names = self.record_traits.names().enumerate();
        names.map(|(ix, name)| self.hashed_as(name, TraitSource::Trait(RecordTraitIx(ix as u16)))).collect()
    }

    /// How ingest hashes each property, if it does.
    pub(crate) fn hashed_properties(&self) -> Vec<Option<HashedKind>> {
        let names = self.properties.names().enumerate();
        names.map(|(ix, name)| self.hashed_as(name, TraitSource::Property(PropertyIx(ix as u16)))).collect()
    }

    /// Whether a condition never sees this record trait's text.
    pub(crate) fn is_hashed_trait(&self, ix: RecordTraitIx) -> bool {
        let name = self.record_traits.names().nth(ix.ix()).unwrap_or_default();
        self.hashed_as(name, TraitSource::Trait(ix)).is_some()
    }

    /// Whether a condition never sees this property's text.
    pub(crate) fn is_hashed_property(&self, ix: PropertyIx) -> bool {
        let name = self.properties.names().nth(ix.ix()).unwrap_or_default();
        self.hashed_as(name, TraitSource::Property(ix)).is_some()
    }

    fn hashed_as(&self, name: &str, source: TraitSource) -> Option<HashedKind> {
        let mut declared = self.declared.iter().filter(|declared| declared.from.contains(&source));
        declared.find_map(|declared| hashed_kind(declared.kind)).or(hashed_kind(default_kind(name)))
    }
}

/// Personal data is hashed even where a file forgets to say so.
pub(crate) fn default_kind(name: &str) -> TraitKind {
    match name {
        "email" => TraitKind::Email,
        "phone" => TraitKind::Phone,
        _ => TraitKind::Any,
    }
}

/// Whether a trait's text is replaced by a hash.
pub(crate) fn hashed(kind: TraitKind) -> bool {
    hashed_kind(kind).is_some()
}

fn hashed_kind(kind: TraitKind) -> Option<HashedKind> {
    match kind {
        TraitKind::Email => Some(HashedKind::Email),
        TraitKind::Phone => Some(HashedKind::Phone),
        _ => None,
    }
}
