//! What became of the month: records, leads by stage, the two persons. The content of `summary.json`.

use std::collections::{BTreeMap, HashMap};

use ripen_model::Model;
use ripen_records::{Change, Decision, StageChange};
use serde::{Serialize, Serializer};

use super::calendar;
use super::story::PERSONS;
use crate::pipeline;

/// Counts while the demo runs.
pub(super) struct Tally {
    stages: Vec<StageCount>,
    /// Leads that ever left the first stage.
    leads: HashMap<String, Reached>,
    by_cause: BTreeMap<&'static str, u64>,
    filtered: BTreeMap<String, u64>,
    dead_letters: BTreeMap<String, u64>,
    records: u64,
    story: [Option<Ended>; PERSONS.len()],
    told_for_this_model: bool,
}

/// Where a lead is, and which stages it has ever reached, by their place in the model.
struct Reached {
    now: usize,
    ever: Vec<bool>,
}

/// The month in numbers.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    pub(super) seed: u64,
    pub(super) days: i64,
    pub(super) visitors: u32,
    pub(super) model: ModelName,
    /// Records read; each is scored, filtered or a dead letter.
    pub(super) records: u64,
    pub(super) scored: u64,
    /// By reason.
    pub(super) filtered: BTreeMap<String, u64>,
    /// By reason.
    pub(super) dead_letters: BTreeMap<String, u64>,
    pub(super) leads: u64,
    pub(super) transitions: u64,
    pub(super) transitions_by_cause: BTreeMap<&'static str, u64>,
    /// Lowest first.
    pub(super) stages: Vec<StageCount>,
    pub(super) story: Vec<PersonEnd>,
}

/// Which model scored.
#[derive(Debug, Serialize)]
pub(super) struct ModelName {
    pub(super) id: String,
    pub(super) version: i64,
}

/// A stage of the funnel.
#[derive(Debug, Clone, Serialize)]
pub(super) struct StageCount {
    pub(super) stage: String,
    pub(super) owner: String,
    /// Leads in it at the end.
    pub(super) now: u64,
    /// Leads that were ever in it, or went past it to a higher one in one step.
    pub(super) reached: u64,
}

/// How a person of the story ended.
#[derive(Debug, Clone, Serialize)]
pub(super) struct PersonEnd {
    pub(super) lead: String,
    pub(super) told: &'static str,
    pub(super) stage: String,
    /// The stage that the story ends in; absent for a model that the story was not written for.
    pub(super) expected: Option<&'static str>,
    #[serde(rename = "since", serialize_with = "instant")]
    pub(super) since_ms: Option<i64>,
    #[serde(rename = "expected_exit_at", serialize_with = "instant")]
    pub(super) expected_exit_at_ms: Option<i64>,
}

impl PersonEnd {
    /// Whether the person ended elsewhere than the story says.
    pub(super) fn astray(&self) -> bool {
        self.expected.is_some_and(|expected| expected != self.stage)
    }
}

#[derive(Debug, Clone)]
struct Ended {
    stage: String,
    since_ms: i64,
    exit_at_ms: Option<i64>,
}

/// The lead id of a person of the story.
pub(super) fn story_lead(person: usize) -> String {
    format!("anon:{}", PERSONS[person].anonymous_id)
}

/// Which person of the story the lead is.
pub(super) fn person_of(lead: &str) -> Option<usize> {
    let id = lead.strip_prefix("anon:")?;
    PERSONS.iter().position(|person| person.anonymous_id == id)
}

impl Tally {
    /// `story`: whether the model is the one that the story was written for.
    pub(super) fn new(model: &Model, story: bool) -> Tally {
        let stages = model.stages.iter().map(|stage| StageCount {
            stage: stage.id.clone(),
            owner: stage.owner.clone(),
            now: 0,
            reached: 0,
        });
        Tally {
            stages: stages.collect(),
            leads: HashMap::new(),
            by_cause: BTreeMap::new(),
            filtered: BTreeMap::new(),
            dead_letters: BTreeMap::new(),
            records: 0,
            story: [const { None }; PERSONS.len()],
            told_for_this_model: story,
        }
    }

    pub(super) fn records(&self) -> u64 {
        self.records
    }

    pub(super) fn record(&mut self) {
        self.records += 1;
    }

    pub(super) fn filtered(&mut self, reason: &str) {
        count(&mut self.filtered, reason);
    }

    pub(super) fn dead_letter(&mut self, reason: &str) {
        count(&mut self.dead_letters, reason);
    }

    pub(super) fn transition(&mut self, decision: &Decision) {
        let Change::StageChange(change) = &decision.change else { return };
        *self.by_cause.entry(decision.cause.as_str()).or_default() += 1;
        if let Some(person) = person_of(&decision.lead) {
            self.story[person] = Some(Ended {
                stage: change.to.clone(),
                since_ms: decision.effective_at_ms,
                exit_at_ms: decision.expected_exit_at_ms,
            });
        }
        self.moved(&decision.lead, change);
    }

    fn moved(&mut self, lead: &str, change: &StageChange) {
        let places: Vec<usize> = std::iter::once(&change.to)
            .chain(&change.passed)
            .filter_map(|id| self.stages.iter().position(|stage| stage.stage == *id))
            .collect();
        let Some(to) = places.first().copied() else { return };
        if !self.leads.contains_key(lead) {
            let ever = vec![false; self.stages.len()];
            self.leads.insert(lead.to_owned(), Reached { now: 0, ever });
        }
        let Some(reached) = self.leads.get_mut(lead) else { return };
        reached.now = to;
        for place in places {
            if place > 0 && !std::mem::replace(&mut reached.ever[place], true) {
                self.stages[place].reached += 1;
            }
        }
    }

    /// A lead has become a part of another one: what both have reached was reached once.
    pub(super) fn merged(&mut self, lead: &str, into: &str) {
        let Some(absorbed) = self.leads.remove(lead) else { return };
        let survivor = self.leads.entry(into.to_owned());
        let survivor = survivor.or_insert_with(|| Reached { now: 0, ever: vec![false; self.stages.len()] });
        for (place, ever) in absorbed.ever.into_iter().enumerate().filter(|(_, ever)| *ever) {
            if std::mem::replace(&mut survivor.ever[place], ever) {
                self.stages[place].reached -= 1;
            }
        }
    }

    /// The month's numbers.
    pub(super) fn summary(
        mut self,
        seed: u64,
        days: i64,
        visitors: u32,
        ended: pipeline::Summary,
        model: &Model,
    ) -> Summary {
        let risen = self.leads.values().filter(|reached| reached.now > 0);
        for reached in risen {
            self.stages[reached.now].now += 1;
        }
        // Every lead begins in the first stage; one that never left it has no transition.
        let above: u64 = self.stages.iter().map(|stage| stage.now).sum();
        self.stages[0].now = ended.leads.saturating_sub(above);
        self.stages[0].reached = ended.leads;
        let story = PERSONS.iter().zip(&self.story).enumerate().map(|(person, (told, ended))| PersonEnd {
            lead: story_lead(person),
            told: told.told,
            stage: ended.as_ref().map_or_else(|| self.stages[0].stage.clone(), |ended| ended.stage.clone()),
            expected: self.told_for_this_model.then_some(told.ends_in),
            since_ms: ended.as_ref().map(|ended| ended.since_ms),
            expected_exit_at_ms: ended.as_ref().and_then(|ended| ended.exit_at_ms),
        });
        Summary {
            seed,
            days,
            visitors,
            model: ModelName { id: model.id.clone(), version: model.version },
            records: self.records,
            scored: ended.scored,
            leads: ended.leads,
            transitions: self.by_cause.values().sum(),
            story: story.collect(),
            filtered: self.filtered,
            dead_letters: self.dead_letters,
            transitions_by_cause: self.by_cause,
            stages: self.stages,
        }
    }
}

fn instant<S: Serializer>(at_ms: &Option<i64>, serializer: S) -> Result<S::Ok, S::Error> {
    at_ms.map(calendar::utc).serialize(serializer)
}

fn count(counts: &mut BTreeMap<String, u64>, reason: &str) {
    match counts.get_mut(reason) {
        Some(count) => *count += 1,
        None => {
            counts.insert(reason.to_owned(), 1);
        }
    }
}
