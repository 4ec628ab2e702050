//! Random models, as the text of a model file: every one of them compiles.

mod beside;

use super::dice::Dice;

/// A model file by sections, so that a failing one can be cut down.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    /// The unit of its durations, s: half-lives, windows and dwells are a few of them.
    pub(crate) unit_s: i64,
    /// `late_accept`, s.
    pub(crate) late_s: i64,
    /// Of each section its name and its entries.
    pub(crate) sections: Vec<(&'static str, Vec<String>)>,
}

/// What is known of a rule before it is written.
struct Rule {
    once_per: Option<String>,
    has_field: bool,
    max: i64,
    windowed: bool,
    facts: Vec<usize>,
}

struct Author<'d> {
    dice: &'d mut Dice,
    unit_s: i64,
    late_s: i64,
    scores: Vec<&'static str>,
    groups: Vec<(String, usize)>,
    rules: Vec<Rule>,
    facts: usize,
    stages: Vec<Nature>,
    /// The score that bonuses feed.
    bonus_score: Option<usize>,
    has_answers: bool,
    definitions: i64,
    /// Whether each verdict is bound to an event.
    verdicts: Vec<bool>,
    /// Stages that hand over.
    selling: Vec<usize>,
    /// What the condition that is being written may read.
    scope: Scope,
}

/// What is known of a stage before it is written.
#[derive(Default)]
struct Nature {
    terminal: bool,
    overrides: bool,
    has_exit: bool,
}

/// What a condition may read beside what every one may.
#[derive(Debug, Clone, Copy, Default)]
struct Scope {
    /// Not the score that bonuses feed.
    bonus_free: bool,
    disqualified: bool,
    definitions: bool,
    stage: bool,
}

impl Scope {
    fn outward() -> Scope {
        Scope { bonus_free: false, disqualified: true, definitions: true, stage: true }
    }
}

const UNITS_S: [i64; 6] = [1, 10, 60, 900, 3_600, 21_600];
const SCORES: [&str; 3] = ["fast", "slow", "ever"];
const TRAITS: [&str; 9] = [
    "traits.region == 'north'",
    "traits.region != 'north'",
    "!(traits.region == 'north')",
    "has(traits.region)",
    "traits.region in lists.words",
    "traits.region.startsWith('so')",
    "traits.revenue >= 20",
    "'north' in traits.tags",
    "traits.revenue > traits.region",
];
const WHERE: [&str; 23] = [
    "properties.n >= 2",
    "properties.n != 3",
    "properties.n == properties.m",
    "properties.word == 'north'",
    "!(properties.word == 'north')",
    "properties.word == '2'",
    "properties.word > '1'",
    "properties.word < 3",
    "properties.word in lists.words",
    "has(properties.word) && !has(properties.flag)",
    "properties.flag",
    "properties.word.contains('o') || properties.word.matches('^[0-9]$')",
    "'north' in properties.tags",
    "traits.region == 'south'",
    "page.kind == 'thing'",
    "page.kind != 'thing'",
    "page.thing_id == '2' || page.path == '/'",
    "utm.source == 'vk' && !(event == 'ask')",
    "visit.pages >= 1",
    "visit.seconds < 90.5",
    "has(visit.gap_days) && visit.gap_days < 0.25",
    "visit.number == 2",
    "properties.dwell_seconds >= 2",
];
const KEYS: [&str; 12] = [
    "page.path",
    "page.thing_id",
    "properties.n",
    "properties.word",
    "properties.flag",
    "visit.number",
    "traits.region",
    "day",
    "hour",
    "week",
    "hour, week",
    "day, properties.n",
];
const EVENTS: [&str; 8] =
    ["page_view", "page_view", "ask", "use", "call", "visit_started", "[ask, use, page_leave]", "\"*\""];

impl Draft {
    pub(crate) fn new(dice: &mut Dice) -> Draft {
        let unit_s = dice.number(&UNITS_S);
        let late_s = unit_s * dice.number(&[3, 20, 90, 400]);
        let scores = SCORES[..dice.within(1, 4) as usize].to_vec();
        let facts = dice.within(0, 4) as usize;
        let mut author = Author {
            dice,
            unit_s,
            late_s,
            scores,
            groups: Vec::new(),
            rules: Vec::new(),
            facts,
            stages: vec![Nature::default()],
            bonus_score: None,
            has_answers: false,
            definitions: 0,
            verdicts: Vec::new(),
            selling: Vec::new(),
            scope: Scope::default(),
        };
        author.plan();
        Draft { unit_s, late_s, sections: author.sections() }
    }

    pub(crate) fn text(&self) -> String {
        let sections = self.sections.iter().filter(|(_, entries)| !entries.is_empty());
        let written = sections.map(|(name, entries)| {
            let entries: String = entries.iter().map(|entry| format!("  {entry}\n")).collect();
            format!("{name}:\n{entries}")
        });
        format!("apiVersion: ripen/v1\nmodel: {{id: random, version: 1}}\n{}", written.collect::<String>())
    }

    /// The same draft with one entry less, for each entry.
    pub(crate) fn smaller(&self) -> Vec<Draft> {
        let places = self.sections.iter().enumerate();
        let places = places.flat_map(|(ix, (_, entries))| (0..entries.len()).map(move |entry| (ix, entry)));
        let without = |(ix, entry): (usize, usize)| {
            let mut draft = self.clone();
            draft.sections[ix].1.remove(entry);
            draft
        };
        places.map(without).collect()
    }
}

impl Author<'_> {
    /// What the parts are, before any of them is written.
    fn plan(&mut self) {
        for ix in 0..self.dice.within(0, 3) {
            let score = self.dice.within(0, self.scores.len() as i64) as usize;
            self.groups.push((format!("group{ix}"), score));
        }
        let count = self.dice.within(2, 9).max(self.facts as i64);
        for ix in 0..count {
            let once_per = match self.dice.within(0, 10) {
                0..3 => None,
                3 => Some(String::new()),
                _ => Some(self.dice.pick(&KEYS).to_owned()),
            };
            let has_field = once_per.as_ref().is_some_and(|key| key.contains('.'));
            let max = if once_per.as_deref() == Some("") { 1 } else { self.dice.number(&[1, 2, 3, 5, 32]) };
            let sets = (0..self.facts).filter(|fact| *fact == ix as usize || self.dice.percent(15));
            let facts = sets.collect();
            self.rules.push(Rule { once_per, has_field, max, windowed: false, facts });
        }
        for _ in 1..self.dice.within(2, 7) {
            let kind = self.dice.within(0, 12);
            let overrides = self.dice.percent(15);
            self.stages.push(Nature { terminal: kind == 0, overrides, has_exit: kind > 1 });
        }
        // Half of the models have nothing beside scores, rules and stages.
        if self.dice.percent(50) {
            return;
        }
        if self.scores.len() > 1 && self.dice.percent(50) {
            self.bonus_score = Some(self.dice.within(0, self.scores.len() as i64) as usize);
        }
        self.has_answers = self.dice.percent(40);
        self.definitions = self.dice.within(0, 3);
        for _ in 0..self.dice.within(0, 4) {
            let event_bound = self.dice.percent(50);
            self.verdicts.push(event_bound);
        }
        self.selling = (1..self.stages.len()).filter(|_| self.dice.percent(50)).collect();
    }

    fn sections(&mut self) -> Vec<(&'static str, Vec<String>)> {
        // What reads rules is written before the rules: their `max` needs a reader.
        let stages = self.stage_entries();
        let mut readers = vec![("bonuses", self.bonuses()), ("definitions", self.definitions())];
        readers.push(("disqualify", self.verdicts()));
        if self.dice.percent(50) {
            readers.push(("feedback", self.feedback()));
            readers.push(("audiences", self.audiences()));
            readers.push(("alerts", self.alerts()));
            readers.push(("route", self.route()));
            readers.push(("value", self.value()));
        }
        let mut sections = vec![
            ("time", self.time()),
            ("pages", vec!["thing: [\"/things/{thing_id}\"]".to_owned(), "shop: [/shop, /cart]".to_owned()]),
            ("lists", vec!["words: [north, 2, \"3\", true]".to_owned()]),
            ("scores", self.score_entries()),
            ("groups", self.group_entries()),
            ("rules", (0..self.rules.len()).map(|ix| self.rule(ix)).collect()),
            ("fit", self.fits()),
            ("frameworks", self.frameworks()),
            ("stages", stages),
            ("handover", self.handover()),
            ("response", self.response()),
        ];
        sections.extend(readers);
        sections
    }

    fn stage_name(&self, ix: usize) -> String {
        if ix == 0 { "first".to_owned() } else { format!("stage{ix}") }
    }

    fn time(&mut self) -> Vec<String> {
        let zone = self.dice.pick(&["UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe"]);
        let forget_s = self.late_s + self.unit_s * self.dice.number(&[0, 30, 500, 2_000]);
        let anonymous_s = self.late_s + self.unit_s * self.dice.number(&[0, 10, 300]);
        let remember = self.dice.number(&[1, 3, 8, 128]);
        vec![
            format!("zone: {zone}"),
            format!("late_accept: {}s", self.late_s),
            format!("forget: {forget_s}s"),
            format!("forget_anonymous: {anonymous_s}s"),
            format!("remember: {remember}"),
        ]
    }

    /// A duration of `least` to `most` units.
    fn duration(&mut self, least: i64, most: i64) -> String {
        let odd_s = if self.dice.percent(30) { self.dice.within(0, self.unit_s + 1) } else { 0 };
        format!("{}s", self.unit_s * self.dice.within(least, most + 1) + odd_s)
    }

    fn score_entries(&mut self) -> Vec<String> {
        let mut entries = Vec::new();
        for name in self.scores.clone() {
            let half_life = match name {
                "fast" => self.duration(1, 4),
                "slow" => self.duration(5, 60),
                _ => "never".to_owned(),
            };
            let range =
                self.dice.pick(&["", ", range: [0, 100]", ", range: [-20, 30.5]", ", range: [-3, 12]"]);
            let labels = if self.dice.percent(30) { ", labels: {cold: 0, warm: 5.5, hot: 12}" } else { "" };
            entries.push(format!("{name}: {{half_life: {half_life}{range}{labels}}}"));
        }
        entries
    }

    fn group_entries(&mut self) -> Vec<String> {
        let mut entries = Vec::new();
        for (name, score) in self.groups.clone() {
            let caps =
                self.dice.pick(&["max: 12", "max: 7.25", "min: -4", "min: -2.5, max: 20", "max: 3, min: 1"]);
            entries.push(format!("{name}: {{score: {}, {caps}}}", self.scores[score]));
        }
        entries
    }

    fn points(&mut self) -> String {
        match self.dice.within(0, 10) {
            0 => "10000".to_owned(),
            1 => format!("{}", self.dice.within(1, 4)),
            2 => format!("-{}.{}", self.dice.within(0, 9), self.dice.within(1, 999)),
            3 => format!("-{}", self.dice.within(1, 30)),
            _ => format!("{}.{:03}", self.dice.within(0, 30), self.dice.within(1, 1_000)),
        }
    }

    fn rule(&mut self, ix: usize) -> String {
        let mut text = format!("- {{id: rule{ix}, event: {}", self.dice.pick(&EVENTS));
        if self.dice.percent(50) {
            text += &format!(", where: \"{}\"", self.dice.pick(&WHERE));
        }
        let mut fed = Vec::new();
        for (score, name) in self.scores.clone().into_iter().enumerate() {
            if self.dice.percent(55) {
                fed.push((score, format!("{name}: {}", self.points())));
            }
        }
        if !fed.is_empty() {
            let points: Vec<&str> = fed.iter().map(|(_, points)| points.as_str()).collect();
            text += &format!(", points: {{{}}}", points.join(", "));
        }
        let group = self.groups.iter().find(|(_, score)| fed.iter().any(|(fed, _)| fed == score));
        if let Some((group, _)) = group
            && self.dice.percent(50)
        {
            text += &format!(", group: {group}");
        }
        let rule = &self.rules[ix];
        let stated = (rule.has_field && rule.max < 32)
            || (!rule.has_field && rule.once_per.is_some() && rule.max < 6)
            || (rule.once_per.is_none() && rule.windowed);
        match rule.once_per.as_deref() {
            None => {}
            Some("") => text += ", once: true",
            Some(key) => text += &format!(", once_per: [{key}]"),
        }
        if stated && rule.once_per.as_deref() != Some("") {
            text += &format!(", max: {}", rule.max);
        }
        let facts = rule.facts.clone();
        if !facts.is_empty() {
            let sets: Vec<String> = facts
                .iter()
                .map(|fact| {
                    let ttl = if self.dice.percent(20) { "true".to_owned() } else { self.duration(1, 40) };
                    format!("fact{fact}: {ttl}")
                })
                .collect();
            text += &format!(", set: {{{}}}", sets.join(", "));
        }
        let unset: Vec<String> =
            (0..self.facts).filter(|_| self.dice.percent(12)).map(|fact| format!("fact{fact}")).collect();
        if !unset.is_empty() {
            text += &format!(", unset: [{}]", unset.join(", "));
        }
        let lifted = self.lifted(10);
        if !lifted.is_empty() {
            text += &format!(", {lifted}");
        }
        if self.dice.percent(10) {
            text += ", anonymous: ignore";
        }
        text + "}"
    }

    fn fits(&mut self) -> Vec<String> {
        let mut entries = Vec::new();
        for ix in 0..self.dice.within(0, 3) {
            let score = self.scores[self.dice.within(0, self.scores.len() as i64) as usize];
            let table = self.dice.pick(&[
                "trait: region, map: {north: 5, south: -3.5, \"2\": 1.25}, default: 1",
                "trait: region, map: {north: 2, true: 4}, missing: -1",
                "trait: revenue, bands: [[30, 8], [20, 4.5], [0, -2]], default: -6, missing: 0.5",
            ]);
            entries.push(format!("- {{id: fit{ix}, score: {score}, {table}}}"));
        }
        entries
    }

    fn stage_entries(&mut self) -> Vec<String> {
        let scope = Scope { stage: false, ..Scope::outward() };
        let mut entries = vec!["- {id: first, owner: marketing}".to_owned()];
        for ix in 1..self.stages.len() {
            let enter = self.condition_in(scope);
            let mut text = format!("- {{id: stage{ix}, owner: sales, enter: \"{enter}\"");
            if self.stages[ix].terminal {
                text += ", terminal: true";
            }
            if self.stages[ix].has_exit {
                let exit =
                    if self.dice.percent(30) { format!("!({enter})") } else { self.condition_in(scope) };
                text += &format!(", exit: \"{exit}\"");
                if self.dice.percent(30) {
                    text += &format!(", min_dwell: {}", self.duration(1, 12));
                }
            }
            if self.stages[ix].overrides {
                text += ", overrides: all";
            }
            entries.push(text + "}");
        }
        entries
    }

    fn condition_in(&mut self, scope: Scope) -> String {
        self.scope = scope;
        self.condition(2)
    }

    /// A condition on a lead.
    fn condition(&mut self, depth: i64) -> String {
        if depth == 0 || self.dice.percent(40) {
            return self.atom();
        }
        match self.dice.within(0, 5) {
            0 => format!("!({})", self.condition(depth - 1)),
            1 | 2 => format!("({} && {})", self.condition(depth - 1), self.condition(depth - 1)),
            _ => format!("({} || {})", self.condition(depth - 1), self.condition(depth - 1)),
        }
    }

    fn atom(&mut self) -> String {
        if let Some(atom) = self.dice.percent(35).then(|| self.wide_atom()).flatten() {
            return atom;
        }
        match self.dice.within(0, 12) {
            0..5 => self.score_atom(),
            5 | 6 if self.facts > 0 => format!("fact.fact{}", self.dice.within(0, self.facts as i64)),
            7 => self.dice.pick(&TRAITS).to_owned(),
            8 if self.dice.percent(50) => "known".to_owned(),
            8 => format!("known_for('{}')", self.duration(1, 30)),
            9..11 => self.window_atom(),
            _ => self.score_atom(),
        }
    }

    fn score_atom(&mut self) -> String {
        let comparison = self.comparison();
        let mut scores: Vec<&str> = self.scores.clone();
        if let Some(score) = self.bonus_score.filter(|_| self.scope.bonus_free) {
            scores.remove(score);
        }
        let one = self.dice.within(0, scores.len() as i64) as usize;
        let threshold = match self.dice.within(0, 4) {
            0 => format!("{}.{:03}", self.dice.within(0, 20), self.dice.within(0, 1_000)),
            1 => format!("-{}", self.dice.within(0, 6)),
            _ => self.dice.within(0, 30).to_string(),
        };
        let one_name = scores[one];
        if scores.len() == 1 || self.dice.percent(60) {
            return format!("score.{one_name} {comparison} {threshold}");
        }
        let other = scores[(one + 1) % scores.len()];
        match self.dice.within(0, 5) {
            0 => format!("score.{one_name} + score.{other} {comparison} {threshold}"),
            1 => format!("score.{one_name} + 0.5 * score.{other} {comparison} {threshold}"),
            2 => format!("score.{one_name} - score.{other} {comparison} {threshold}"),
            3 => format!("0.333333 * score.{one_name} - 2 * score.{other} {comparison} {threshold}"),
            _ => format!("score.{one_name} {comparison} score.{other}"),
        }
    }

    fn comparison(&mut self) -> &'static str {
        self.dice.pick(&[">=", ">=", ">=", "<", "<", ">", "<=", "==", "!="])
    }

    fn window_atom(&mut self) -> String {
        let ix = self.dice.within(0, self.rules.len() as i64) as usize;
        self.rules[ix].windowed = true;
        // Held at least that long, whatever the rule's keys.
        let most = (self.late_s / self.unit_s).min(60);
        let window = format!("{}s", self.unit_s * self.dice.within(1, most + 1));
        let most = self.rules[ix].max.min(4);
        let times = self.dice.within(1, most + 1);
        let comparison = self.dice.pick(&[">=", ">=", "<", "=="]);
        match self.dice.within(0, 5) {
            0 => format!("seen('rule{ix}', '{window}')"),
            1 | 2 => format!("count('rule{ix}', '{window}') {comparison} {times}"),
            3 => format!("days('rule{ix}', '{window}') {comparison} {times}"),
            _ => format!("sum('rule{ix}', properties.n, '{window}') {comparison} {times}"),
        }
    }
}
