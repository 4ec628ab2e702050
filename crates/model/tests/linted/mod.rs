//! Small models and what the linter tells of them, as lines of text.

use ripen_model::{LintFinding, compile, lint};

/// A model of these sections; scores, rules and stages are as usual unless they are given.
pub(crate) fn model(sections: &str) -> String {
    let mut text = "apiVersion: ripen/v1\nmodel: {id: tiny, version: 1}\n".to_owned();
    for (section, usual) in [
        ("scores:", "scores: {heat: {half_life: 7d, range: [0, 100]}}\n"),
        ("rules:", "rules: [{id: view, event: page_view, points: {heat: 5}, once_per: [page.path]}]\n"),
        (
            "stages:",
            "stages: [{id: cold, owner: m}, {id: warm, owner: m, enter: \"score.heat >= 10\", exit: \"score.heat < 5\", min_dwell: 1d}]\n",
        ),
    ] {
        if !sections.lines().any(|line| line.starts_with(section)) {
            text.push_str(usual);
        }
    }
    text + sections
}

pub(crate) fn findings(sections: &str) -> Vec<LintFinding> {
    let text = model(sections);
    let model = compile("m.yaml", &text).unwrap_or_else(|errors| panic!("{errors}"));
    lint(&model, &text)
}

/// The findings of one code, one a line: level, the excerpt's word at the column, message.
pub(crate) fn told(findings: &[LintFinding], code: &str) -> String {
    let of = findings.iter().filter(|finding| finding.code == code);
    let line = |f: &LintFinding| {
        let at: String = f.excerpt.chars().skip(f.column - 1).take(12).collect();
        format!("{} at «{at}»: {}", f.level.as_str(), f.message)
    };
    of.map(line).collect::<Vec<_>>().join("\n")
}

#[track_caller]
pub(crate) fn check(sections: &str, code: &str, expect: &str) {
    let findings = findings(sections);
    assert_eq!(told(&findings, code), expect, "{findings:#?}");
}

/// Stages of a model with one more, whose `enter` and `exit` these are.
pub(crate) fn stage(enter: &str, exit: &str) -> String {
    let exit = if exit.is_empty() { String::new() } else { format!(", exit: \"{exit}\", min_dwell: 1d") };
    format!("stages:\n  - {{id: cold, owner: m}}\n  - {{id: warm, owner: m, enter: \"{enter}\"{exit}}}\n")
}
