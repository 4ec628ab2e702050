//! The example models compile to what they say.

use ripen_model::Model;
use ripen_model::compile;
use ripen_model::compiled::{
    Amount, ExpectedHandover, KeyPart, PersonaValue, Reason, Recurrence, Rule, RuleOrigin, VerdictHolds,
};
use ripen_model::expression::{Constant, Test};

const AUTO_DEALER: &str = include_str!("../../../models/auto-dealer.yaml");
const SAAS: &str = include_str!("../../../models/saas.yaml");
const SHOP: &str = include_str!("../../../models/shop.yaml");
const B2B: &str = include_str!("../../../models/b2b.yaml");

fn model(text: &str) -> Model {
    compile("model.yaml", text).unwrap_or_else(|errors| panic!("{errors}"))
}

fn names<'m, T>(items: &'m [T], name: impl Fn(&'m T) -> &'m str) -> Vec<&'m str> {
    items.iter().map(name).collect()
}

fn rule<'m>(model: &'m Model, id: &str) -> &'m Rule {
    model.rules.iter().find(|rule| rule.id == id).unwrap_or_else(|| panic!("{id}"))
}

#[test]
fn the_dealers_model_compiles() {
    let model = compile("models/auto-dealer.yaml", AUTO_DEALER).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(model.id, "auto-dealer");
    assert_eq!(model.version, 3);
    assert!(model.agreement.missing().is_empty());
    assert_eq!(model.hash.len(), 64);
    assert_eq!(model.page_kinds, ["model", "trim", "price", "blog"]);
    assert_eq!(model.page_parameters, ["model_id", "trim_id", "article"]);
    assert_eq!(model.properties, ["phone", "dwell_seconds", "form", "result", "reason", "amount"]);
    assert_eq!(
        model.stages.iter().map(|stage| stage.id.as_str()).collect::<Vec<_>>(),
        ["visitor", "nurture", "iql", "mql", "sql", "customer", "nql"]
    );
    let labels = [(0, "cold".to_owned()), (20_000, "warm".to_owned()), (60_000, "hot".to_owned())];
    assert_eq!(model.scores[0].labels, labels);
    let rule = |id: &str| model.rules.iter().find(|rule| rule.id == id).unwrap();
    assert_eq!(rule("blog_read").max, None);
    assert!(matches!(&rule("blog_read").recurrence, Recurrence::Per(parts) if parts[..] == [KeyPart::Day]));
    assert_eq!(rule("model_view").max, Some(8));
    // Two groups of the file, then one nameless group for each score with ungrouped rules.
    let groups: Vec<_> = model.groups.iter().map(|group| (group.name.as_deref(), group.score.0)).collect();
    assert_eq!(groups, [(Some("browsing"), 0), (Some("content"), 0), (None, 0), (None, 1)]);
    let intent: Vec<_> = model.groups[3].terms.iter().map(|(rule, points)| (rule.0, *points)).collect();
    assert_eq!(intent[0], (1, 5_000), "the intent of a trim view is in no group");
    let of_file = ["contact", "applied", "magnet", "not_now", "no_email", "in_work", "won"];
    let of_verdicts = ["verdict.paid_fake", "verdict.fraud_placement", "verdict.sales_refused"];
    assert_eq!(names(&model.facts, |fact| &fact.name), [&of_file[..], &of_verdicts].concat());
    assert_eq!(model.facts.iter().filter(|fact| fact.is_verdict).count(), of_verdicts.len());
    assert!(model.worst_case_bytes_per_lead() < ripen_model::LARGEST_LEAD_BYTES);
}

#[test]
fn every_section_of_an_example_is_compiled() {
    // Rules of the file and of other sections, stages, verdicts, feedback, audiences, alerts, tests.
    for (text, expect) in [
        (AUTO_DEALER, [13, 7, 7, 4, 4, 3, 0, 7]),
        (SAAS, [19, 5, 8, 2, 4, 2, 0, 6]),
        (SHOP, [19, 4, 9, 2, 3, 6, 2, 14]),
        (B2B, [17, 12, 8, 5, 8, 5, 3, 13]),
    ] {
        let model = model(text);
        let of_file = model.file_rules().count();
        let found = [
            of_file,
            model.rules.len() - of_file,
            model.stages.len(),
            model.verdicts.len(),
            model.feedback.len(),
            model.audiences.len(),
            model.alerts.len(),
            model.personas.len(),
        ];
        assert_eq!(found, expect, "{}", model.id);
        assert!(model.agreement.missing().is_empty());
        assert!(model.worst_case_bytes_per_lead() < 64 * 1024, "{}", model.id);
    }
}

#[test]
fn who_has_not_agreed_is_named() {
    let model = model(
        "apiVersion: ripen/v1\nmodel: {id: m, version: 1, agreed_by: [sales], requires_agreement_of: [boss, sales, law]}\n\
         stages: [{id: a, owner: m}]\n",
    );
    assert_eq!(model.agreement.missing(), ["boss", "law"]);
}

#[test]
fn concept_111_the_tracking_plan_names_the_readers() {
    let text = "apiVersion: ripen/v1\nmodel: {id: m, version: 1}\npages: {price: /price}\n\
        rules: [{id: view, event: page_view, where: \"page.kind == 'price'\", once_per: [properties.n]}]\n\
        disqualify: [{id: spam, event: report, where: properties.hard, reason: spam}]\n\
        feedback: {won: {lift: [spam]}}\n\
        alerts: [{id: call, event: ask, to: [sales]}]\n\
        frameworks: {use: BANT, score: need, BANT: {budget: 1}, answers: {event: ask, criterion: properties.c, value: properties.v}}\n\
        scores: {need: {half_life: never}}\n\
        stages: [{id: a, owner: m}, {id: b, owner: m, enter: \"traits.role == 'x' && traits.has < traits.wants\"}]\n\
        handover: {stages: [b]}\nresponse: {b: {within: 1h, answered_by: [ring]}}\n";
    let plan = ripen_model::tracking_plan(&model(text), text);
    let parts =
        [("event", plan.events), ("field", plan.fields), ("page", plan.pages), ("trait", plan.traits)];
    let told = parts.into_iter().flat_map(|(part, tracked)| {
        let line = move |of: ripen_model::Tracked| {
            let from =
                if of.from.is_empty() { String::new() } else { format!(" from {}", of.from.join(", ")) };
            format!("{part} {}{from}: {}\n", of.name, of.read_by.join(", "))
        };
        tracked.into_iter().map(line)
    });
    expect_test::expect![[r#"
        event ask: alert call, answers to the framework
        event page_view: rule view
        event report: disqualification spam
        event ring: response clock of b
        event won: feedback
        field properties.c: answers to the framework
        field properties.hard: disqualification spam
        field properties.n: rule view
        field properties.v: answers to the framework
        field traits.has: trait has
        field traits.role: trait role
        field traits.wants: trait wants
        page price from /price: rule view
        trait answers.budget: criterion budget
        trait has from traits.has: stage b
        trait role from traits.role: stage b
        trait wants from traits.wants: stage b
    "#]]
    .assert_eq(&told.collect::<String>());
}

#[test]
fn what_reacts_to_an_event_is_a_rule() {
    let model = model(AUTO_DEALER);
    let accepted = rule(&model, "feedback.crm_accepted");
    assert_eq!(accepted.origin, RuleOrigin::Feedback(ripen_model::compiled::FeedbackIx(0)));
    let fact = |name: &str| model.facts.iter().position(|fact| fact.name == name).unwrap();
    assert_eq!(accepted.set.iter().map(|(ix, _)| ix.ix()).collect::<Vec<_>>(), [fact("in_work")]);
    let lifted: Vec<usize> = accepted.unset.iter().map(|ix| ix.ix()).collect();
    assert_eq!(
        lifted,
        ["paid_fake", "fraud_placement", "sales_refused"].map(|id| fact(&format!("verdict.{id}")))
    );
    let fake = rule(&model, "disqualify.paid_fake");
    assert!(matches!(fake.recurrence, Recurrence::Every) && fake.max.is_none() && fake.points.is_empty());
    assert!(fake.condition.is_some() && fake.anonymous);
    let VerdictHolds::Fact(remembered) = model.verdicts[0].holds else { panic!("event-bound") };
    assert_eq!(model.facts[remembered.ix()].ttls_ms, [Some(90 * 86_400_000)]);
    assert!(matches!(model.verdicts[2].holds, VerdictHolds::While(_)));
    let Reason::Read(_, kept) = model.verdicts[3].reason else { panic!("read") };
    assert_eq!(
        (model.traits[kept.ix()].name.as_str(), model.traits[kept.ix()].from.len()),
        ("reason.sales_refused", 0)
    );
    let looked_at = |event: &str| -> Vec<&str> {
        model.events.rules(event).iter().map(|ix| model.rules[ix.ix()].id.as_str()).collect()
    };
    let of_forms = ["test_drive", "price_list", "disqualify.paid_fake", "disqualify.fraud_placement"];
    assert_eq!(looked_at("form_submit"), of_forms);
    assert_eq!(looked_at("crm_disqualified"), ["disqualify.sales_refused"]);
    assert_eq!(looked_at("crm_won"), ["feedback.crm_won"]);
    assert!(matches!(model.feedback[2].value, Some(Amount::Field(_))));
    assert_eq!(model.feedback[3].recycle, Some((ripen_model::compiled::StageIx(3), 30 * 86_400_000)));
}

#[test]
fn frameworks_share_their_answers() {
    let model = model(SAAS);
    let framework = model.framework.as_ref().unwrap();
    assert_eq!((framework.name.as_str(), model.scores[framework.score.ix()].name.as_str()), ("BANT", "need"));
    let weights: Vec<(&str, i64)> = framework
        .criteria
        .iter()
        .map(|criterion| (criterion.name.as_str(), criterion.weight_milli))
        .collect();
    assert_eq!(weights, [("budget", 40_000), ("authority", 25_000), ("need", 20_000), ("timing", 15_000)]);
    let [yes, at_least] = &framework.criteria[0].positive[..] else { panic!("two good answers") };
    assert!(matches!(yes, Test::Compare(_, Constant::Text(text)) if text == "yes"));
    assert!(matches!(at_least, Test::Compare(_, Constant::Number(50_000_000_000))));
    assert_eq!(framework.criteria[1].positive.len(), 2, "true and yes");
    let answers = model.answers.as_ref().unwrap();
    let kept = |name: &str| answers.kept.iter().find(|(known, _)| known == name).unwrap().1;
    assert_eq!(kept("budget"), framework.criteria[0].answer);
    assert_eq!(
        (kept("money"), kept("urgency"), kept("timeline")),
        (kept("budget"), kept("timing"), kept("timing"))
    );
    assert_eq!(model.traits[kept("plans_to_buy").ix()].name, "answers.plans_to_buy");
    assert_eq!(rule(&model, "frameworks.answers").origin, RuleOrigin::Answers);
    assert_eq!(model.verdicts[1].cap_stage, Some(ripen_model::compiled::StageIx(1)));
}

#[test]
fn what_is_told_travels_as_it_is_written() {
    let model = model(B2B);
    let [priority, desk] = &model.route.attributes[..] else { panic!("two attributes") };
    assert_eq!(priority.1.iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>(), ["A", "A", "B", "C"]);
    assert_eq!((desk.0.as_str(), desk.1.len(), model.route.topic.len()), ("desk", 4, 3));
    let value = model.value.as_ref().unwrap();
    assert_eq!(value.probability_micros, [0, 0, 50_000, 120_000, 250_000, 500_000, 1_000_000, 0]);
    assert!(matches!(value.amount, Amount::Trait(ix) if model.traits[ix.ix()].name == "budget"));
    let handover = model.handover.as_ref().unwrap();
    assert_eq!(handover.stages.iter().filter(|hands_over| **hands_over).count(), 1);
    assert_eq!(
        (handover.require.len(), handover.enrich.len(), handover.max_wait_ms, handover.history),
        (2, 3, 600_000, 40)
    );
    let sql = model.stages.iter().find(|stage| stage.id == "sql").unwrap();
    let response = sql.response.as_ref().unwrap();
    assert_eq!((response.within_ms, &response.escalate_ms[..]), (3_600_000, &[14_400_000, 32_400_000][..]));
    let hours = response.hours.as_ref().unwrap();
    assert_eq!(hours.week[3], [(510, 750), (810, 1050)]);
    assert_eq!((hours.week[4].as_slice(), hours.week[5].len()), (&[(510, 900)][..], 0));
    assert!(sql.next_step.as_ref().unwrap().starts_with("call with"));
    let when: Vec<bool> = model.alerts.iter().map(|alert| alert.when.is_some()).collect();
    assert_eq!(when, [false, true, true]);
    assert_eq!(
        (model.alerts[0].to.as_slice(), model.alerts[0].cool_down_ms),
        (&["product_marketing".to_owned()][..], 7 * 86_400_000)
    );
}

#[test]
fn personas_are_read_as_they_are_written() {
    let model = model(B2B);
    let friday = &model.personas[3];
    assert_eq!(friday.start_ms, 1_767_970_800_000, "2026-01-09T15:00Z");
    assert_eq!(model.personas[1].start_ms, 1_767_571_200_000, "2026-01-05T00:00Z");
    assert!(B2B.lines().nth(friday.line - 1).unwrap().contains("Friday afternoon"));
    assert!(
        matches!(&friday.traits[2], (name, PersonaValue::One(Constant::Text(text))) if name == "industry" && text == "retail")
    );
    assert_eq!(
        (friday.events[0].at_ms, friday.events[0].known, friday.events[0].origin.as_deref()),
        (0, true, None)
    );
    assert_eq!(friday.expect[0].handover, Some(ExpectedHandover::Yes));
    assert_eq!(friday.expect[3].response.as_deref(), Some("escalated_1"));
    let stuck = model.personas.last().unwrap();
    assert_eq!(stuck.expect[1].demoted_by_ms, Some(32 * 86_400_000));
    assert_eq!(stuck.expect[1].alerts.len(), 1);
}

#[test]
fn a_model_is_shared_between_threads() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<ripen_model::Model>();
    shared::<ripen_model::ModelErrors>();
}
