//! What the words of a file come to in the model, and what holds where it says nothing.

use ripen_model::compile;
use ripen_model::compiled::{HashedKind, Model, TraitKind};

const DAY_MS: i64 = 86_400_000;

/// A model of two scores and one stage with these sections.
fn model(sections: &str) -> Model {
    let text = format!(
        "apiVersion: ripen/v1\nmodel: {{id: m, version: 1}}\n\
         scores: {{heat: {{half_life: 1d}}, ever: {{half_life: never}}}}\n\
         stages:\n  - {{id: a, owner: m}}\n{sections}\n"
    );
    compile("m.yaml", &text).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn a_file_that_says_nothing_of_time_has_these_rules() {
    let time = |section: &str| {
        let time = model(section).time;
        let durations = [time.max_future_ms, time.late_accept_ms, time.forget_ms, time.forget_anonymous_ms];
        (durations, time.remember, time.zone.iana_name().map(str::to_owned))
    };
    let utc = Some("UTC".to_owned());
    assert_eq!(time(""), ([300_000, 30 * DAY_MS, 400 * DAY_MS, 90 * DAY_MS], 128, utc.clone()));
    // Who is not known is never kept longer than who is.
    assert_eq!(time("time: {forget: 40d}"), ([300_000, 30 * DAY_MS, 40 * DAY_MS, 40 * DAY_MS], 128, utc));
}

#[test]
fn a_lead_that_is_sent_back_stays_for_thirty_days_or_as_long_as_is_said() {
    for (more, stays_ms) in [("", 30 * DAY_MS), (", for: 2d", 2 * DAY_MS)] {
        let model = model(&format!(
            "  - {{id: b, owner: m, enter: known, exit: '!known'}}\nfeedback: {{lost: {{recycle_to: b{more}}}}}"
        ));
        assert_eq!(model.feedback[0].recycle.map(|(stage, ms)| (stage.0, ms)), Some((1, stays_ms)));
    }
}

#[test]
fn a_score_without_a_range_holds_a_million_either_way() {
    let scores = model("").scores;
    assert_eq!((scores[0].min_milli, scores[0].max_milli), (-1_000_000_000, 1_000_000_000));
}

#[test]
fn traits_are_of_the_kind_that_is_said_and_hashed_wherever_they_come_from() {
    use HashedKind::{Email, Phone};
    let model = model(
        "traits:\n  who: {from: [traits.mail, properties.m], kind: email}\n  \
         call: {from: [traits.mobile, properties.p], kind: phone}\n  \
         age: {kind: number}\n  vip: {kind: bool}\n  role: {kind: text}\n  email: {kind: text}\n\
         definitions: {d: has(traits.who) && has(traits.call) && traits.age > 5 && traits.vip && traits.role == 'x' \
         && has(traits.email) && has(traits.phone) && has(traits.plan)}\n\
         rules: [{id: r, event: e, where: has(properties.email) && has(properties.x)}]",
    );
    let kinds: Vec<(&str, TraitKind)> =
        model.traits.iter().map(|kept| (kept.name.as_str(), kept.kind)).collect();
    assert_eq!(
        kinds,
        [
            ("who", TraitKind::Email),
            ("call", TraitKind::Phone),
            ("age", TraitKind::Number),
            ("vip", TraitKind::Bool),
            ("role", TraitKind::Text),
            ("email", TraitKind::Text),
            ("phone", TraitKind::Phone),
            ("plan", TraitKind::Any),
        ]
    );
    let fields = model.fields();
    let hashed = |names: &[String], kinds: &[Option<HashedKind>]| -> Vec<(String, Option<HashedKind>)> {
        assert_eq!(names.len(), kinds.len());
        names.iter().cloned().zip(kinds.iter().copied()).filter(|(_, kind)| kind.is_some()).collect()
    };
    let of = |name: &str, kind| (name.to_owned(), Some(kind));
    assert_eq!(
        hashed(fields.traits, fields.hashed_traits),
        [of("mail", Email), of("mobile", Phone), of("email", Email), of("phone", Phone)]
    );
    assert_eq!(
        hashed(fields.properties, fields.hashed_properties),
        [of("m", Email), of("p", Phone), of("email", Email)]
    );
}

#[test]
fn groups_are_those_of_the_file_and_one_for_what_is_in_none() {
    let groups = |rules: &str| -> Vec<(Option<String>, u16, usize)> {
        let sections =
            format!("groups: {{some: {{score: heat, max: 5}}, idle: {{score: heat, max: 5}}}}\n{rules}");
        model(&sections).groups.into_iter().map(|of| (of.name, of.score.0, of.terms.len())).collect()
    };
    let of_file = |terms| [(Some("some".to_owned()), 0, terms), (Some("idle".to_owned()), 0, 0)];
    assert_eq!(groups("rules: [{id: r, event: e, group: some, points: {heat: 1}}]"), of_file(1));
    let in_none = [(None, 0, 1), (None, 1, 2)];
    let rules = "rules: [{id: r, event: e, group: some, points: {heat: 1, ever: 1}}, {id: s, event: e, points: {heat: 1, ever: 2}}]";
    assert_eq!(groups(rules), [&of_file(1)[..], &in_none].concat());
}
