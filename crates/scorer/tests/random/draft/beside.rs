//! The sections beside scores, rules and stages.

use super::{Author, Scope, WHERE};

const ANSWERS: [&str; 4] =
    ["answers.budget == 'north'", "has(answers.need)", "answers.timing >= 2", "answers.need in lists.words"];

impl Author<'_> {
    pub(super) fn bonuses(&mut self) -> Vec<String> {
        let Some(score) = self.bonus_score else { return Vec::new() };
        let name = self.scores[score];
        let scope = Scope { bonus_free: true, ..Scope::default() };
        let mut entries = Vec::new();
        for ix in 0..self.dice.within(1, 3) {
            let when = self.condition_in(scope);
            let points = self.points();
            entries.push(format!("- {{id: bonus{ix}, when: \"{when}\", score: {name}, points: {points}}}"));
        }
        entries
    }

    pub(super) fn frameworks(&mut self) -> Vec<String> {
        if !self.has_answers {
            return Vec::new();
        }
        let score = self.scores[self.dice.within(0, self.scores.len() as i64) as usize];
        let used = self.dice.pick(&["own", "other"]);
        vec![
            format!("use: {used}"),
            format!("score: {score}"),
            "positive: {budget: [north, {at_least: 2}], need: [south, true]}".to_owned(),
            "answers: {event: [call, answer], criterion: properties.criterion, value: properties.word}"
                .to_owned(),
            "own: {budget: 40, need: 20.5, timing: 15}".to_owned(),
            "other: {money: 1, need: 2, urgency: 4, alias: {money: budget, urgency: timing}}".to_owned(),
        ]
    }

    pub(super) fn definitions(&mut self) -> Vec<String> {
        let scope = Scope { disqualified: true, ..Scope::default() };
        (0..self.definitions).map(|ix| format!("portrait{ix}: \"{}\"", self.condition_in(scope))).collect()
    }

    pub(super) fn verdicts(&mut self) -> Vec<String> {
        let mut entries = Vec::new();
        for ix in 0..self.verdicts.len() {
            let mut text = format!("- {{id: verdict{ix}");
            if self.verdicts[ix] {
                text += &format!(", event: {}", self.dice.pick(&["refused", "ask", "[refused, use]"]));
                if self.dice.percent(30) {
                    text += &format!(", where: \"{}\"", self.dice.pick(&WHERE));
                }
                if self.dice.percent(75) {
                    text += &format!(", until: {}", self.duration(1, 40));
                }
                text += self.dice.pick(&[", reason: bad", ", reason: {from: properties.word}"]);
            } else {
                text += &format!(", when: \"{}\", reason: rival", self.condition_in(Scope::default()));
            }
            // Something has to stand above the cap, and what overrides is not hidden.
            let last = self.stages.iter().rposition(|stage| !stage.overrides).unwrap_or(0);
            let caps: Vec<usize> = (0..last).filter(|stage| !self.stages[*stage].overrides).collect();
            // The first one makes `disqualified` possible.
            if ix > 0 && !caps.is_empty() && self.dice.percent(40) {
                let cap = caps[self.dice.within(0, caps.len() as i64) as usize];
                text += &format!(", cap_stage: {}", self.stage_name(cap));
            }
            entries.push(text + "}");
        }
        entries
    }

    pub(super) fn feedback(&mut self) -> Vec<String> {
        let mut entries = Vec::new();
        for event in ["won", "lost", "back"] {
            if self.dice.percent(60) {
                let parts = self.feedback_parts();
                if !parts.is_empty() {
                    entries.push(format!("{event}: {{{}}}", parts.join(", ")));
                }
            }
        }
        entries
    }

    fn feedback_parts(&mut self) -> Vec<String> {
        let mut parts = Vec::new();
        if self.facts > 0 && self.dice.percent(40) {
            parts.push(format!("set: {{fact0: {}}}", self.duration(1, 40)));
        }
        if self.facts > 1 && self.dice.percent(40) {
            parts.push("unset: [fact1]".to_owned());
        }
        let lifted = self.lifted(40);
        if !lifted.is_empty() {
            parts.push(lifted);
        }
        let mut usable: Vec<usize> = (1..self.stages.len()).filter(|ix| !self.stages[*ix].terminal).collect();
        if !usable.is_empty() && self.dice.percent(40) {
            let at = self.dice.within(0, usable.len() as i64) as usize;
            let (stage, length) = (self.stage_name(usable.remove(at)), self.duration(1, 30));
            parts.push(format!("cooldown: {{stage: {stage}, for: {length}}}"));
        }
        usable.retain(|ix| !self.stages[*ix].overrides);
        if !usable.is_empty() && self.dice.percent(40) {
            let stage = usable[self.dice.within(0, usable.len() as i64) as usize];
            parts.push(format!("recycle_to: {}", self.stage_name(stage)));
            if self.stages[stage].has_exit {
                parts.push(format!("for: {}", self.duration(1, 30)));
            }
        }
        if self.dice.percent(40) {
            parts.push(format!(
                "clear: [{}]",
                self.scores[self.dice.within(0, self.scores.len() as i64) as usize]
            ));
        }
        let terminal: Vec<String> = (0..self.stages.len())
            .filter(|ix| self.stages[*ix].terminal)
            .map(|ix| self.stage_name(ix))
            .collect();
        if !terminal.is_empty() && self.dice.percent(60) {
            parts.push(format!("reopen: [{}]", terminal.join(", ")));
        }
        if self.dice.percent(40) {
            parts.push(format!("value: {}", self.dice.pick(&["12.5", "properties.n"])));
        }
        parts
    }

    /// What a rule or feedback takes back of event-bound verdicts.
    pub(super) fn lifted(&mut self, percent: i64) -> String {
        let mut lifted = Vec::new();
        for ix in 0..self.verdicts.len() {
            if self.verdicts[ix] && self.dice.percent(percent) {
                lifted.push(format!("verdict{ix}"));
            }
        }
        if lifted.is_empty() { String::new() } else { format!("lift: [{}]", lifted.join(", ")) }
    }

    pub(super) fn audiences(&mut self) -> Vec<String> {
        let scope = Scope::outward();
        (0..self.dice.within(0, 4))
            .map(|ix| format!("audience{ix}: \"{}\"", self.condition_in(scope)))
            .collect()
    }

    pub(super) fn alerts(&mut self) -> Vec<String> {
        let mut entries = Vec::new();
        for ix in 0..self.dice.within(0, 3) {
            let mut text = format!("- {{id: alert{ix}, to: [sales, boss]");
            if self.dice.percent(60) {
                text += &format!(", when: \"{}\"", self.condition_in(Scope::outward()));
            } else {
                text += &format!(", event: {}", self.dice.pick(&["ask", "\"*\"", "visit_started"]));
                if self.dice.percent(40) {
                    text += &format!(", where: \"{}\"", self.dice.pick(&WHERE));
                }
            }
            if self.dice.percent(50) {
                text += &format!(", cool_down: {}", self.duration(1, 10));
            }
            entries.push(text + "}");
        }
        entries
    }

    pub(super) fn route(&mut self) -> Vec<String> {
        let mut entries = Vec::new();
        if self.dice.percent(40) {
            let (one, other) = (self.condition_in(Scope::outward()), self.condition_in(Scope::outward()));
            entries.push(format!("priority: [[\"{one}\", high], [\"{other}\", low]]"));
        }
        if self.scores.len() > 1 && self.dice.percent(40) {
            entries.push(format!("topic: [{}]", self.scores.join(", ")));
        }
        entries
    }

    pub(super) fn value(&mut self) -> Vec<String> {
        if self.stages.len() < 2 || self.dice.percent(60) {
            return Vec::new();
        }
        let amount = self.dice.pick(&["1200.5", "revenue"]);
        vec![format!("probability: {{{}: 0.25}}", self.stage_name(1)), format!("amount: {amount}")]
    }

    pub(super) fn handover(&mut self) -> Vec<String> {
        if self.selling.is_empty() {
            return Vec::new();
        }
        let stages: Vec<String> = self.selling.iter().map(|ix| self.stage_name(*ix)).collect();
        let mut entries = vec![format!("stages: [{}]", stages.join(", "))];
        if self.dice.percent(40) {
            entries.push("require: [region]".to_owned());
        }
        if self.dice.percent(50) {
            entries.push("enrich: [revenue, tags]".to_owned());
            entries.push(format!("max_wait: {}", self.duration(1, 8)));
        }
        if self.dice.percent(60) {
            entries.push(format!("history: {}", self.dice.number(&[1, 4, 20])));
        }
        entries
    }

    pub(super) fn response(&mut self) -> Vec<String> {
        let mut entries = Vec::new();
        for stage in self.selling.clone() {
            if self.dice.percent(60) {
                let within_s = self.unit_s * self.dice.within(1, 5);
                let mut text = format!(
                    "{}: {{within: {within_s}s, answered_by: [call, use, won]",
                    self.stage_name(stage)
                );
                if self.dice.percent(60) {
                    let first_s = within_s + self.unit_s * self.dice.within(1, 5);
                    text += &format!(
                        ", escalate: [{first_s}s, {}s]",
                        first_s + self.dice.within(1, 4) * self.unit_s
                    );
                }
                if self.dice.percent(30) {
                    text += self.dice.pick(&[
                        ", hours: {mon-fri: \"09:00-18:00\", sat: [\"10:00-11:30\", \"13:00-14:00\"]}",
                        ", hours: {mon-sun: \"00:00-24:00\"}",
                        ", hours: {mon-sun: [\"00:00-03:17\", \"12:30-24:00\"]}",
                    ]);
                }
                entries.push(text + "}");
            }
        }
        entries
    }

    /// Atoms that only some conditions may have; `None`: another one.
    pub(super) fn wide_atom(&mut self) -> Option<String> {
        let scope = self.scope;
        match self.dice.within(0, 5) {
            0 if scope.disqualified && !self.verdicts.is_empty() => Some("disqualified".to_owned()),
            1 if scope.definitions && self.definitions > 0 => Some("any_definition".to_owned()),
            2 if self.has_answers => Some(self.dice.pick(&ANSWERS).to_owned()),
            3 if scope.stage => {
                let stage = self.dice.within(0, self.stages.len() as i64) as usize;
                let name = self.stage_name(stage);
                Some(match self.dice.within(0, 3) {
                    0 => format!("stage == '{name}'"),
                    1 => format!("stage != '{name}'"),
                    _ => format!("stage in ['{name}', 'first']"),
                })
            }
            4 if scope.stage => Some(format!("stage_for('{}')", self.duration(1, 20))),
            _ => None,
        }
    }
}
