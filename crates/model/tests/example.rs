//! The example model compiles to what it says.

use ripen_model::compile;
use ripen_model::compiled::{KeyPart, Recurrence};

const AUTO_DEALER: &str = include_str!("../../../models/auto-dealer.yaml");

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
    assert_eq!(
        model.facts.iter().map(|fact| fact.name.as_str()).collect::<Vec<_>>(),
        ["contact", "applied", "magnet", "not_now"]
    );
    assert!(model.worst_case_bytes_per_lead() < ripen_model::LARGEST_LEAD_BYTES);
}

#[test]
fn a_model_is_shared_between_threads() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<ripen_model::Model>();
    shared::<ripen_model::ModelErrors>();
}
