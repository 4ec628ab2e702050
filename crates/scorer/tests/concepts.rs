//! What marketing people expect of a scoring tool, by concept number: the table is docs/concepts.md.
//!
//! Persons stand as personas in the model files of `concepts/`; here are their runner, and what needs a crowd.

mod persona;
mod story;

use ripen_model::{Level, lint};
use ripen_records::{Change, Decision};
use std::fmt::Write as _;

const COURSE: &str = include_str!("concepts/course.yaml");
const CALL_TRACKING: &str = include_str!("concepts/call-tracking.yaml");
const PRODUCT: &str = include_str!("concepts/product.yaml");
const SOFTWARE: &str = include_str!("concepts/software.yaml");
const SHOP: &str = include_str!("concepts/shop.yaml");
const DIRECTOR: &str = include_str!("concepts/director.yaml");
const WEBINAR: &str = include_str!("concepts/webinar.yaml");
const TOUCHES: &str = include_str!("concepts/touches.yaml");
const SAAS: &str = include_str!("../../../models/saas.yaml");
const COSMETICS: &str = include_str!("../../../models/shop.yaml");
const WAREHOUSE: &str = include_str!("../../../models/b2b.yaml");

/// Every persona of a file comes out right, and the linter has no error against the file.
#[track_caller]
fn check(text: &str) {
    let model = story::model(text);
    let findings = lint(&model, text);
    let errors: Vec<_> = findings.iter().filter(|finding| finding.level == Level::Error).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    assert!(!model.personas.is_empty(), "there is no persona");
    let failed = persona::judge(&model);
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn concepts_41_and_42_the_dealers_persons() {
    check(story::DEALER);
}

#[test]
fn concepts_29_and_54_the_persons_of_the_call_tracking_example() {
    check(SAAS);
}

#[test]
fn concepts_39_and_81_the_persons_of_the_shop_example() {
    check(COSMETICS);
}

#[test]
fn concepts_90_and_113_the_persons_of_the_warehouse_example() {
    check(WAREHOUSE);
}

#[test]
fn concepts_47_to_50_a_course() {
    check(COURSE);
}

#[test]
fn concepts_44_to_46_and_53_the_path_to_a_trial() {
    check(CALL_TRACKING);
}

#[test]
fn concept_52_software() {
    check(SOFTWARE);
}

#[test]
fn concepts_51_58_60_and_61_a_shop() {
    check(SHOP);
}

#[test]
fn concepts_54_56_57_59_and_62_sales_to_companies() {
    check(DIRECTOR);
}

#[test]
fn concept_55_the_persons_of_a_webinar() {
    check(WEBINAR);
}

#[test]
fn concepts_59_and_141_letters_and_attempts() {
    check(TOUCHES);
}

#[test]
fn concepts_2_28_29_34_40_145_and_146_a_product() {
    check(PRODUCT);
}

#[test]
fn a_broken_promise_is_reported() {
    let cases = [
        (
            COURSE,
            "in: [warm_letters], never: [mql, sql]",
            "in: [remind_later]",
            "remind_later is false, expected true",
        ),
        (COURSE, "never: [sql], demoted_by: 21d", "never: [sql], demoted_by: 2d", "fall by time is false"),
        (COURSE, "{at: 72h, stage: visitor}", "{at: 72h, stage: mql}", "stage is visitor, expected mql"),
        (
            COURSE,
            "stage: visitor, never: [sql]",
            "never: [visitor, iql, mql, sql], owner: sales",
            "owner is marketing",
        ),
        (COURSE, "stage: sql, owner: sales", "stage: sql, never: [iql]", "having been in iql is true"),
        (CALL_TRACKING, "content: 14.34}", "content: 14.339}", "content is 14340, expected 14339"),
        (SHOP, "alert: lost, never: [sql]", "alert: lost, in: [band_news]", "band_news is false"),
        (SHOP, "visit.pages >= 8", "visit.pages >= 9", "lost is false, expected true"),
        (DIRECTOR, "response: escalated_2", "response: open", "response is escalated_2, expected open"),
        (DIRECTOR, "{at: 90s, handover: true", "{at: 90s, handover: false", "hand-over as expected is false"),
    ];
    for (text, promise, broken, expected) in cases {
        assert!(text.contains(promise), "{promise} is in no file");
        let failed = persona::judge(&story::model(&text.replacen(promise, broken, 1)));
        assert!(failed.iter().any(|failed| failed.contains(expected)), "{expected}: {failed:?}");
    }
}

/// Stages in the order in which a lead entered them.
fn stages<'a>(decisions: &'a [Decision], lead: &str) -> Vec<&'a str> {
    let of = decisions.iter().filter(|decision| decision.lead == lead);
    of.filter_map(|decision| match &decision.change {
        Change::StageChange(change) => Some(change.to.as_str()),
        _ => None,
    })
    .collect()
}

#[test]
fn concept_44_what_may_be_shown_is_decided_at_the_instant_of_the_click() {
    let (_, decisions, _) = story::run(
        &story::model(CALL_TRACKING),
        "0h page_view /blog/one; 1m page_view /cases/1; 2m page_view /cases/2; 3m newsletter_subscribed
         24h page_view /cases/3; 24h6s popup_dismissed discount_percent=10",
    );
    let offers: Vec<(i64, bool)> = decisions
        .iter()
        .filter_map(|decision| match &decision.change {
            Change::AudienceChange(change) => {
                Some((decision.effective_at_ms - story::START_MS, change.entered))
            }
            _ => None,
        })
        .collect();
    assert_eq!(offers[..2], [(180_000, true), (86_406_000, false)]);
}

#[test]
fn concept_45_each_stage_carries_its_next_step() {
    let model = story::model(CALL_TRACKING);
    let persona = model.personas.iter().find(|persona| persona.name.starts_with("concept 45")).expect("it");
    let decisions = persona::play(&model, persona).decisions;
    let told = |decision: &Decision| match &decision.change {
        Change::StageChange(change) => {
            Some((change.to.clone(), decision.next_step.clone().unwrap_or_default()))
        }
        _ => None,
    };
    let steps: Vec<(String, String)> = decisions.iter().filter_map(told).take(3).collect();
    let steps: Vec<(&str, &str)> =
        steps.iter().map(|(stage, step)| (stage.as_str(), step.as_str())).collect();
    assert_eq!(
        steps,
        [
            ("reader", "offer the newsletter below the next article"),
            ("mql", "invite to the free trial"),
            ("sql", "call today, help with the first number"),
        ]
    );
}

#[test]
fn concept_46_the_same_trial_makes_an_sql_or_a_pql_as_the_file_says() {
    let trial = "0h free_trial";
    let sql = CALL_TRACKING.replace("\"Trial Started\"", "free_trial");
    let (_, decisions, _) = story::run(&story::model(&sql), trial);
    assert_eq!(stages(&decisions, "anon:a"), ["sql"]);
    assert_eq!(decisions[0].owner, "sales");

    let pql = sql.replace("agreed_to_trial: \"fact.trial\"", "agreed_to_trial: \"score.content >= 50\"").replace(
        "  - {id: sql, owner",
        "  - {id: pql, owner: marketing, enter: \"fact.trial\", exit: \"!fact.trial\"}\n  - {id: sql, owner",
    );
    let (_, decisions, _) = story::run(&story::model(&pql), trial);
    assert_eq!(stages(&decisions, "anon:a"), ["pql"]);
    assert_eq!(decisions[0].owner, "marketing");
}

#[test]
fn concept_53_a_habit_does_not_grow_without_bound() {
    let mut story = String::new();
    for day in 0..200 {
        for article in 0..5 {
            writeln!(story, "{day}d{article}m page_view /blog/{day}-{article}").expect("a string");
        }
    }
    let (shard, decisions, _) = story::run(&story::model(CALL_TRACKING), &story);
    assert_eq!(stages(&decisions, "anon:a"), ["reader", "mql"], "reading alone is no wish to buy");
    let view = shard.lead("anon:a", shard.clock()).expect("readable state").expect("a lead");
    assert_eq!(view.scores[0].milli, 60_000, "the range ends what habit can give");
    let rule = view.lines.iter().find(|line| line.id == "blog").expect("a line");
    // Once a day, for ever: 3 / (1 − 2^(−1/14)).
    assert!((62_000..=62_200).contains(&rule.milli), "{}", rule.milli);
}

#[test]
fn concept_56_a_thousand_addresses_are_not_handed_over_as_they_are() {
    let story: String = (0..1_000)
        .map(|n| format!("0h contact_imported lead=user:{n} origin=server traits.email=a{n}@list.example\n"))
        .collect();
    let (_, decisions, _) = story::run(&story::model(DIRECTOR), &story);
    assert_eq!(decisions.len(), 1_000, "each is a contact and nothing else");
    for decision in &decisions {
        assert!(matches!(&decision.change, Change::StageChange(change) if change.to == "contact"));
    }
}

/// One who registered for a webinar.
#[derive(Debug, Clone, Copy)]
struct Registered {
    attended: bool,
    took_offer: bool,
    director: bool,
    revenue_usd: u32,
    saw_prices: bool,
}

impl Registered {
    /// What the portrait of the model says, in other words.
    fn matches(self) -> bool {
        self.attended && self.director && self.revenue_usd > 1_000_000 && self.saw_prices
    }

    fn story(self, n: usize) -> String {
        let role = if self.director { "marketing_director" } else { "specialist" };
        let revenue = self.revenue_usd;
        let lead = format!("lead=user:{n}");
        let mut story = format!(
            "0h webinar_registered {lead} webinar=9 traits.role={role} traits.revenue_usd={revenue}\n"
        );
        for (did, event) in [
            (self.attended, "24h webinar_attended webinar=9"),
            (self.took_offer, "24h50m offer_accepted"),
            (self.saw_prices, "25h page_view /prices"),
        ] {
            if did {
                writeln!(story, "{event} {lead}").expect("a string");
            }
        }
        story
    }
}

/// People of every kind, mixed by the remainders of a number: `attending` of 100 attend, every 36th of those takes
/// the offer, every third is a director, two of three earn above a million, seven of ten looked at the prices.
fn cohort(size: usize, attending: usize) -> Vec<Registered> {
    let mut people = Vec::new();
    let mut attendees = 0;
    for n in 0..size {
        let attended = n * 37 % 100 < attending;
        attendees += usize::from(attended);
        people.push(Registered {
            attended,
            took_offer: attended && attendees % 36 == 0,
            director: n % 3 == 0,
            revenue_usd: [1_000_000, 1_000_001, 25_000_000][n / 3 % 3],
            saw_prices: n / 9 % 10 < 7,
        });
    }
    people
}

#[test]
fn concept_55_of_a_webinars_registrations_those_who_match_are_found() {
    for (size, attending) in [(200, 50), (250, 44), (300, 40)] {
        let people = cohort(size, attending);
        let story: String = people.iter().enumerate().map(|(n, person)| person.story(n)).collect();
        let (shard, _, _) = story::run(&story::model(WEBINAR), &story);
        let at_ms = story::START_MS + 26 * 3_600_000;
        let (mut attended, mut took_offer, mut matched) = (0, 0, 0);
        for (n, person) in people.iter().enumerate() {
            let view = shard.lead(&format!("user:{n}"), at_ms).expect("readable state").expect("a lead");
            let expected = match (person.matches() || person.took_offer, person.attended) {
                (true, _) => "sql",
                (false, true) => "attended",
                (false, false) => "registered",
            };
            assert_eq!(view.stage, expected, "{n}: {person:?}");
            attended += usize::from(person.attended);
            took_offer += usize::from(person.took_offer);
            matched += usize::from(person.matches());
        }
        // The numbers of the concept: 200–300 register, 30–50 % of them attend, 2–3 % of those answer the offer
        // at once, 15–20 match.
        assert!((200..=300).contains(&people.len()));
        assert!((people.len() * 30..=people.len() * 50).contains(&(attended * 100)), "{attended} of {size}");
        assert!((100..=150).contains(&attended), "{attended} of {size}");
        assert!((attended * 2..=attended * 3).contains(&(took_offer * 100)), "{took_offer} of {attended}");
        assert!((15..=20).contains(&matched), "{matched} of {attended}");
    }
}

#[test]
fn concepts_90_to_95_the_same_answers_under_four_frameworks() {
    let story = "0h qualification_answer criterion=budget value=60000
                 1h qualification_answer criterion=authority value=yes
                 2h qualification_answer criterion=need value=no";
    for (framework, milli) in [("BANT", 65_000), ("ANUM", 55_000), ("CHAMP", 45_000), ("GPCTBA", 25_000)] {
        let text = SAAS.replace("use: BANT", &format!("use: {framework}"));
        let model = story::model(&text);
        let (shard, _, _) = story::run(&model, story);
        let view = shard.lead("anon:a", shard.clock()).expect("readable state").expect("a lead");
        let need = view.scores.iter().find(|score| score.name == "need").expect("a score");
        assert_eq!(need.milli, milli, "{framework}");
    }
}

#[test]
fn concept_112_a_lead_knows_its_first_and_its_last_campaign() {
    let (_, decisions, _) = story::run(
        &story::model(CALL_TRACKING),
        "0h page_view /blog/one utm.source=fair; 1d page_view /cases/1 utm.source=letter
         2d page_view /cases/2; 2d page_view /cases/3; 2d page_view /cases/4",
    );
    let mql = decisions.iter().rfind(|d| matches!(d.change, Change::StageChange(_))).expect("a stage");
    let source = |touch: &Option<ripen_records::Touch>| touch.as_ref().and_then(|touch| touch.source.clone());
    assert_eq!(stages(&decisions, "anon:a"), ["reader", "mql"]);
    assert_eq!(source(&mql.touches.first).as_deref(), Some("fair"));
    assert_eq!(source(&mql.touches.last).as_deref(), Some("letter"));
}

#[test]
fn concept_165_each_number_decides_something() {
    // The number where it stands, another one in its place, and the person whose promise that breaks.
    let cases = [
        (DIRECTOR, "revenue_usd > 1000000", "revenue_usd > 999999", "concept 54: a million"),
        (DIRECTOR, "within: 1h", "within: 2h", "concept 59: nobody calls"),
        (DIRECTOR, "escalate: [1d, 2d]", "escalate: [2d, 3d]", "concept 59: nobody calls"),
        (TOUCHES, "within: 1h", "within: 2h", "concept 59: the letter"),
        (TOUCHES, "count('touch', '60d') < 5", "count('touch', '60d') < 4", "concept 141: five attempts"),
        (CALL_TRACKING, "discount_percent == 10", "discount_percent == 11", "concept 44: an offer is for"),
        (CALL_TRACKING, "visit.seconds < 15", "visit.seconds < 3", "concept 44: an offer is for"),
        (CALL_TRACKING, "visit.seconds < 15", "visit.seconds < 61", "concept 44: the same offer"),
    ];
    for (text, number, other, person) in cases {
        assert!(text.contains(number), "{number} is in no file");
        let failed = persona::judge(&story::model(&text.replace(number, other)));
        assert!(failed.iter().any(|failed| failed.starts_with(person)), "{number}: {failed:?}");
    }
}
