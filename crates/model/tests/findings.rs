//! What is wrong with a model is said with its place and a way out; one case for each kind of mistake.

use expect_test::{Expect, expect};
use ripen_model::compile;

/// A sound model, to which a mistake is added.
const SOUND: &str = "\
apiVersion: ripen/v1
model: {id: m, version: 1}
stages: [{id: visitor, owner: marketing}]
";

/// The findings of a file as `line:column message → way out`, one a line.
fn findings(text: &str) -> String {
    let Err(errors) = compile("m.yaml", text) else { return "sound\n".to_owned() };
    let lines = errors.findings.iter().map(|finding| {
        let way_out = finding.suggestion.as_ref().map(|way_out| format!(" → {way_out}")).unwrap_or_default();
        format!("{}:{} {}{way_out}\n", finding.line, finding.column, finding.message)
    });
    lines.collect()
}

/// Adds each part to the sound model and lists the findings; lines count from the part's first one.
fn check(parts: &[&str], expect: Expect) {
    let mut found = String::new();
    for part in parts {
        let errors = findings(&format!("{SOUND}{part}\n"));
        for line in errors.lines() {
            let (number, rest) = line.split_once(':').unwrap_or(("0", line));
            let number: usize = number.parse().unwrap_or(0);
            found.push_str(&format!("{}:{rest}\n", number.saturating_sub(SOUND.lines().count())));
        }
    }
    expect.assert_eq(&found);
}

/// A rule's `where`.
fn check_where(conditions: &[&str], expect: Expect) {
    let mut found = String::new();
    for condition in conditions {
        let errors = findings(&format!(
            "{SOUND}pages: {{price: [/price], model: [\"/models/{{model_id}}\"]}}\nlists: {{rivals: [a, b]}}\n\
             traits: {{phone: {{from: [properties.telephone], kind: phone}}}}\n\
             rules: [{{id: r, event: e, where: !}}]\n"
        )
        .replace('!', &format!("\"{condition}\"")));
        for line in errors.lines() {
            let (_, rest) = line.split_once(':').unwrap_or(("", line));
            let (column, message) = rest.split_once(' ').unwrap_or(("0", rest));
            let column = column.parse::<usize>().unwrap_or(0).saturating_sub(34);
            found.push_str(&format!("{condition}\n{:>column$} {message}\n", "^"));
        }
    }
    expect.assert_eq(&found);
}

/// A stage's `enter`.
fn check_enter(conditions: &[&str], expect: Expect) {
    let mut found = String::new();
    for condition in conditions {
        let errors = findings(&format!(
            "apiVersion: ripen/v1\nmodel: {{id: m, version: 1}}\nlists: {{rivals: [a]}}\n\
             scores: {{interest: {{half_life: 7d}}, intent: {{half_life: 3d}}}}\n\
             rules:\n  - {{id: view, event: e, once_per: [page.path], max: 5, set: {{contact: true}}}}\n  \
             - {{id: daily, event: e, once_per: [day]}}\n  - {{id: every, event: e}}\n\
             stages:\n  - {{id: a, owner: x}}\n  - {{id: b, owner: x, enter: \"{condition}\"}}\n"
        ));
        for line in errors.lines() {
            let (_, rest) = line.split_once(':').unwrap_or(("", line));
            let (column, message) = rest.split_once(' ').unwrap_or(("0", rest));
            let column = column.parse::<usize>().unwrap_or(0).saturating_sub(30);
            found.push_str(&format!("{condition}\n{:>column$} {message}\n", "^"));
        }
    }
    expect.assert_eq(&found);
}

#[test]
fn the_file_itself() {
    let mut found = String::new();
    for text in [
        "",
        "a: [",
        "a: 1\na: 2\n",
        "- 1",
        "apiVersion: ripen/v2\nmodel: {id: m}\nstages: []\n",
        "apiVersion: ripen/v1\nmodel: {id: m, version: 1.5}\nstagse: []\n",
        "apiVersion: ripen/v1\nmodel: {id: a b, version: 1, agreed_on: 1.11.2026}\nstages: {}\n",
    ] {
        found.push_str(&findings(text));
        found.push_str("--\n");
    }
    expect![[r#"
        1:1 the file is empty
        --
        1:4 not YAML: unclosed bracket '['
        --
        1:1 a model file needs `apiVersion`
        1:1 a model file needs `model`
        1:1 a model file needs `stages`
        1:1 unknown key `a` in a model file
        2:1 duplicate key `a`
        2:1 unknown key `a` in a model file
        --
        1:1 expected a map, found a list
        --
        1:13 expected `ripen/v1`, found the text `ripen/v2`
        2:8 a model needs `version`
        3:9 a model has at least one stage
        --
        1:1 a model file needs `stages`
        2:25 expected a whole number from 1 to 1000000000, found the number `1.5`
        3:1 unknown key `stagse` in a model file → did you mean `stages`?
        --
        2:13 expected an id of letters, digits, `_`, `.` and `-`, found the text `a b`
        2:41 expected a date such as `2026-11-01`, found the text `1.11.2026`
        3:9 expected a list, found a map
        --
    "#]]
    .assert_eq(&found);
}

#[test]
fn a_finding_is_printed_with_its_line() {
    let text = format!("{SOUND}rules:\n  - {{id: r, evnet: page_view}}\n");
    expect![[r#"
        models/m.yaml:5:5: error: a rule needs `event`
         5 |   - {id: r, evnet: page_view}
           |     ^
        models/m.yaml:5:13: error: unknown key `evnet` in a rule
         5 |   - {id: r, evnet: page_view}
           |             ^ did you mean `event`?"#]]
    .assert_eq(&compile("models/m.yaml", &text).unwrap_err().to_string());
}

#[test]
fn keys_and_types() {
    check(
        &[
            "time: {zone: Europe/Moscwo}",
            "time: {late_accept: 30 days}",
            "time: {late_accept: 30d, forget: 10d}",
            "time: {remember: 0}",
            "time: {remember: 1.5}",
            "scores: {a: {half_life: 500, range: [0]}}",
            "scores: {a: {half_life: 0s, range: [5, 5], labels: {x: 0, y: 0}}}",
            "scores: {a: {half_life: 1d, range: [0, 100], labels: {x: -0.001, y: 100.001, z: 100}}}",
            "scores: {a: {half_live: 7d}, a: {half_life: never}}",
            "scores: {a-b: {half_life: 7d}}",
            "scores: {1a: {half_life: 7d}, _a: {half_life: 7d, range: [low, 5]}}",
            "groups: {g: {score: a, max: 1}}",
            "scores: {a: {half_life: never}}\ngroups: {g: {score: a}, h: {score: a, min: 5, max: 1}}",
            "rules: [{id: r, event: e, points: {a: 1}}]",
            "rules: {}",
            "rules: [{id: 5, event: [e, e]}]",
            "rules: [{id: r, event: [5]}, {id: s, event: []}]",
            "scores: {a: {half_life: qwertyuiopasdfghjklzxcvbnmqwertyuiopasdfghjkl}}",
            "rules: [{id: r, event: e, once: yes, anonymous: no}]",
            "rules: [{id: r, event: e}, {id: r, event: f}]",
            "lists: {a: rivals.txt, b: ['']}",
            "lists: {a: [0x1F, 0x, 0xy, 0o17, 0o8, -.inf, .nan, 1.5e-3, 1e, '1e']}",
        ],
        expect![[r#"
            1:14 unknown time zone `Europe/Moscwo` → did you mean `Europe/Moscow`?
            1:21 expected a duration such as `30d` or `1h30m`, found the text `30 days`
            1:21 `forget_anonymous` is shorter than `late_accept`: late activities would revive leads
            1:34 `forget` is shorter than `late_accept`: late activities would revive leads
            1:18 expected a whole number from 1 to 4096, found the number `0`
            1:18 expected a whole number from 1 to 4096, found the number `1.5`
            1:25 expected a duration or `never`, found the number `500`
            1:37 expected a list of two, found a list
            1:25 a half-life is at least 1s, or `never`
            1:36 the range is empty: lower end first
            1:62 the label `y` starts where another one does
            1:58 the label `x` starts outside the score's range
            1:69 the label `y` starts outside the score's range
            1:13 a score needs `half_life`
            1:14 unknown key `half_live` in a score → did you mean `half_life`?
            1:30 duplicate key `a`
            1:10 expected a name of letters, digits and `_`, found the text `a-b`
            1:10 expected a name of letters, digits and `_`, found the text `1a`
            1:59 expected a number, found the text `low`
            1:21 unknown score `a`
            2:10 the group `g` caps nothing: it needs `max` or `min`
            2:28 the group `h` has a `min` above its `max`
            1:36 unknown score `a`
            1:8 expected a list, found a map
            1:14 expected an id of letters, digits, `_`, `.` and `-`, found the number `5`
            1:25 expected a text (put it in quotes), found the number `5`
            1:45 without an event nothing matches
            1:25 expected a duration or `never`, found the text `qwertyuiopasdfghjklzxcvbnmqwertyuiopasdf…`
            1:33 expected `true`, found the text `yes`
            1:49 expected `count` or `ignore`, found the text `no`
            1:33 a second rule `r`
            1:12 this list is in a file of its own, which has not been loaded → load `rivals.txt` together with the model
            1:28 an empty text is absent: no value equals it
            1:13 `0x1F` is not a decimal number with at most 6 decimals → put it in quotes if it is a text
            1:28 `0o17` is not a decimal number with at most 6 decimals → put it in quotes if it is a text
            1:39 `-.inf` is not a decimal number with at most 6 decimals → put it in quotes if it is a text
            1:46 `.nan` is not a decimal number with at most 6 decimals → put it in quotes if it is a text
            1:52 `1.5e-3` is not a decimal number with at most 6 decimals → put it in quotes if it is a text
        "#]],
    );
}

#[test]
fn points_and_numbers() {
    check(
        &[
            "scores: {a: {half_life: 7d}}\nrules: [{id: r, event: e, points: {a: 1.0005}}]",
            "scores: {a: {half_life: 7d}}\nrules: [{id: r, event: e, points: {a: 10001}}]",
            "scores: {a: {half_life: 7d}}\nrules: [{id: r, event: e, points: {a: '5'}}]",
            "scores: {a: {half_life: 7d}}\nrules: [{id: r, event: e, points: {a: 1e3}}]",
            "scores: {a: {half_life: 7d}}\nfit: [{id: f, trait: t, score: a}]",
            "scores: {a: {half_life: 7d}}\nfit: [{id: f, trait: t, score: b, map: {1: 1, 1.0: 2, '': 3}}]",
            "scores: {a: {half_life: 7d}}\nfit: [{id: f, trait: t, score: a, bands: [[1, 1], [10, 2]]}]",
            "scores: {a: {half_life: 7d}}\nfit: [{id: f, trait: email, score: a, map: {x: 1}}]",
        ],
        expect![[r#"
            2:39 expected a number with at most 3 decimals, found the number `1.0005`
            2:39 expected a number from -10000 to 10000, found the number `10001`
            2:39 expected a number, found the text `5`
            2:39 expected a plain decimal number, found the number `1e3`
            2:7 a fit has either `map` or `bands`
            2:32 unknown score `b` → did you mean `a`?
            2:47 this value stands twice
            2:55 an empty text is absent: no value equals it
            2:52 the first bound that a value reaches counts: this band is never reached → put the largest bound first
            2:22 e-mail addresses and phone numbers are stored hashed and fit nothing
        "#]],
    );
}

#[test]
fn rules() {
    check(
        &[
            "rules: [{id: r, event: e, once: true, once_per: [day]}]",
            "rules: [{id: r, event: e, once: true, max: 3}]",
            "rules: [{id: r, event: e, max: 3}]",
            "rules: [{id: r, event: e, once_per: [dya, page.model, day, day, lists.x]}]",
            "rules: [{id: r, event: e, once_per: []}]",
            "rules: [{id: r, event: e, once_per: [page.path], max: 5000}]",
            "rules: [{id: r, event: e, set: {f: 30d, g: no, h: 0s}, unset: [ff]}]",
            "rules: [{id: r, event: e, set: {f: 30d}, unset: [f, f]}]",
            "rules: [{id: r, event: e, group: g}]",
            "scores: {a: {half_life: 7d}, b: {half_life: 7d}}\ngroups: {g: {score: a, max: 5}}\n\
             rules: [{id: r, event: e, points: {b: 5}, group: g}]",
            "traits: {t: {from: [user.t, traits., properties.], kind: string}}",
        ],
        expect![[r#"
            1:33 `once` and `once_per` exclude each other
            1:44 `once` holds one match: `max` has no meaning beside it
            1:32 `max` has no meaning here: a rule that counts every activity holds no keys → add `once_per`, or cap a group's points
            1:38 `dya` is no part of a key → did you mean `day`?
            1:48 unknown page field or parameter `model`
            1:60 this part of the key stands twice
            1:65 a list stands on the right of `in`
            1:37 a key without parts → write `once: true`
            1:55 expected a whole number from 1 to 1024, found the number `5000`
            1:44 expected a duration such as `30d`, or `true`, found the text `no`
            1:51 a fact that lives no time is never true
            1:64 unknown fact `ff`: nothing sets it → did you mean `f`?
            1:53 the fact `f` stands twice
            1:34 unknown group `g`
            3:50 the group `g` caps the score `a`, to which rule `r` gives no points
            1:10 the trait `t` is read from nowhere
            1:21 a trait is read from `traits.<name>` or `properties.<name>`
            1:29 a trait is read from `traits.<name>` or `properties.<name>`
            1:38 a trait is read from `traits.<name>` or `properties.<name>`
            1:58 expected `text` or `number` or `bool` or `email` or `phone`, found the text `string`
        "#]],
    );
}

#[test]
fn pages() {
    check(
        &[
            "pages: {a: [/x], b: [/x]}",
            "pages: {a: [\"/x/{id}\"], b: [\"/x/{other}\"]}",
            "pages: {a: [x, /x/, //x, '/x?a=b']}",
            "pages: {a: [\"/{path}\"], b: [\"/x/{a}/{a}\"], c: [\"/y/{a\"], d: [\"/z/{*a}/b\"]}",
            "pages: {a: [\"/x/{a}{b}\"], b: [\"/y/{}\"]}",
            "pages: {fold_case: sometimes}",
        ],
        expect![[r#"
            1:22 the page pattern `/x` is not usable: it conflicts with `/x`
            1:29 the page pattern `/x/{other}` is not usable: it conflicts with `/x/{id}`
            1:13 the page pattern `x` can never match → a path starts with `/`; query, fragment, `//` and a last `/` are cut
            1:16 the page pattern `/x/` can never match → a path starts with `/`; query, fragment, `//` and a last `/` are cut
            1:21 the page pattern `//x` can never match → a path starts with `/`; query, fragment, `//` and a last `/` are cut
            1:26 the page pattern `/x?a=b` can never match → a path starts with `/`; query, fragment, `//` and a last `/` are cut
            1:13 a page parameter cannot be named `path` → a name of letters, digits and `_` that is no field of a page
            1:29 the page parameter `a` stands twice in one pattern
            1:48 the page pattern `/y/{a` is not usable: its braces do not match
            1:62 the page pattern `/z/{*a}/b` is not usable: `{*name}` stands at the end of a path
            1:13 the page pattern `/x/{a}{b}` is not usable: one parameter per segment is allowed
            1:31 a page parameter cannot be named `` → a name of letters, digits and `_` that is no field of a page
            1:20 expected `true` or `false`, found the text `sometimes`
        "#]],
    );
}

#[test]
fn stages() {
    check(
        &["stages: [{id: s, owner: m, enter: known}]"],
        expect![[r#"
            1:1 duplicate key `stages`
        "#]],
    );
    let mut found = String::new();
    for stages in [
        "[{id: a, owner: m, enter: known, exit: known, min_dwell: 1d, terminal: true, overrides: all}]",
        "[{id: a, owner: m}, {id: b, owner: m}]",
        "[{id: a, owner: m}, {id: a, owner: m, enter: known, terminal: true, exit: known}]",
        "[{id: a, owner: m}, {id: b, enter: known, min_dwell: 1d, overrides: some}]",
        "[{id: a, owner: m, min_dwell: 1d}]",
        "[]",
    ] {
        let header = "apiVersion: ripen/v1\nmodel: {id: m, version: 1}\n";
        found.push_str(&findings(&format!("{header}stages: {stages}\n")));
        found.push_str("--\n");
    }
    expect![[r#"
        3:35 the first stage always holds, it has no `enter`
        3:48 the first stage always holds, it has no `exit`
        3:48 the stage `a` is terminal, it has no `exit`
        3:66 the first stage always holds, it has no `min_dwell`
        3:80 the first stage always holds, it has no `terminal`
        3:97 the first stage always holds, it has no `overrides`
        --
        3:29 nothing leads to the stage `b`: it needs `enter`
        --
        3:34 a second stage `a`
        3:83 the stage `a` is terminal, it has no `exit`
        --
        3:29 a stage needs `owner`
        3:62 the stage `b` has no `exit`, `min_dwell` has no meaning
        3:77 expected `all`, found the text `some`
        --
        3:39 the first stage always holds, it has no `min_dwell`
        --
        3:9 a model has at least one stage
        --
    "#]]
    .assert_eq(&found);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn conditions_on_activities() {
    check_where(
        &[
            "page.kind == 'pricing'",
            "page.kind in ['price', 'modle']",
            "page.knid == 'price'",
            "page.modl_id == 'a'",
            "proprties.x == 1",
            "utm.sourse == 'a'",
            "visit.pages",
            "event.name == 'a'",
            "score.interest > 1",
            "seen('r', '30d')",
            "fact.x",
            "stage == 'a'",
            "properties.x == 0.0000001",
            "properties.x == 1e3",
            "properties.x == 99999999999999",
            "properties.x == 9200000000000",
            "properties.x == ''",
            "properties.x == null",
            "properties.x > true",
            "1 == 1",
            "properties.x + 1 > 2",
            "properties.x in lists.rivlas",
            "properties.x in []",
            "properties.x in properties.y",
            "'a' in ['a']",
            "properties.x.startWith('a')",
            "properties.x.startsWith(1)",
            "properties.x.matches('(')",
            "traits.phone == '+7'",
            "properties.telephone == '+7'",
            "properties.email.contains('@')",
            "properties.x ? true : false",
            "properties.x ==",
            "properties.x == 'a",
            "properties.x.exists(y, y == 1)",
            "has(event)",
            "(properties.x == 1) == true",
            "has(properties.x) == true",
            "properties.x.endsWith('a') == true",
            "properties.x.length() > 1",
            "['a'] == properties.x",
            "size(properties.x) > 1",
            "properties.a == 1 && page.knd == 'x' || propertie.y == 2",
        ],
        expect![[r#"
            page.kind == 'pricing'
                      ^ unknown page kind `pricing` → did you mean `price`?
            page.kind in ['price', 'modle']
                      ^ unknown page kind `modle` → did you mean `model`?
            page.knid == 'price'
                 ^ unknown page field or parameter `knid` → did you mean `kind`?
            page.modl_id == 'a'
                 ^ unknown page field or parameter `modl_id` → did you mean `model_id`?
            proprties.x == 1
            ^ unknown name `proprties.x` → did you mean `properties`?
            utm.sourse == 'a'
                ^ `utm` has no `sourse` → did you mean `source`?
            visit.pages
            ^ sound
            event.name == 'a'
                  ^ `event` is the event's name and has no `name`
            score.interest > 1
            ^ `score` is what a lead has become: a `where` reads its activity alone → put it into `enter` or `exit`
            seen('r', '30d')
            ^ `seen` reads what is stored: a `where` reads its activity alone
            fact.x
            ^ `fact` is what a lead has become: a `where` reads its activity alone → put it into `enter` or `exit`
            stage == 'a'
            ^ `stage` is what a lead has become: a `where` reads its activity alone → put it into `enter` or `exit`
            properties.x == 0.0000001
                            ^ a number has at most 6 decimals
            properties.x == 1e3
                            ^ write the number as a plain decimal, such as 0.5
            properties.x == 99999999999999
                            ^ the number is too large: numbers reach ±9.2·10¹²
            properties.x == 9200000000000
                            ^ the number is too large: numbers reach ±9.2·10¹²
            properties.x == ''
                            ^ an empty text is absent, and nothing compares with what is absent → use `has(…)` or `!has(…)`
            properties.x == null
                            ^ null is absent, and nothing compares with what is absent → use `has(…)` or `!has(…)`
            properties.x > true
                         ^ a boolean is equal or not, it has no order
            1 == 1
              ^ two constants are compared: the condition would never change
            properties.x + 1 > 2
            ^ there is no arithmetic on the fields of an activity
            properties.x in lists.rivlas
                                  ^ unknown list `rivlas` → did you mean `rivals`?
            properties.x in []
                            ^ an empty list: the condition would never hold
            properties.x in properties.y
            ^ only a constant can be looked for in a field that holds a list
            'a' in ['a']
                ^ a constant is looked for in a list of constants: this would never change
            properties.x.startWith('a')
                         ^ unknown function `startWith` → did you mean `startsWith`?
            properties.x.startsWith(1)
                         ^ `startsWith` takes one text constant
            properties.x.matches('(')
                                 ^ not a regular expression: unclosed group
            traits.phone == '+7'
            ^ e-mail addresses and phone numbers are hashed before any rule sees them → only `has(…)` can be asked
            properties.telephone == '+7'
            ^ e-mail addresses and phone numbers are hashed before any rule sees them → only `has(…)` can be asked
            properties.email.contains('@')
            ^ e-mail addresses and phone numbers are hashed before any rule sees them → only `has(…)` can be asked
            properties.x ? true : false
                         ^ `?` is not part of the language
            properties.x ==
                          ^ not an expression: it ends too early
            properties.x == 'a
                            ^ not an expression: cannot read ''a'
            properties.x.exists(y, y == 1)
                               ^ this is not a condition
            has(event)
                ^ not an expression: invalid argument to has() macro
            (properties.x == 1) == true
             ^ a condition is not a value that can be compared
            has(properties.x) == true
               ^ neither a field of the activity nor a constant
            properties.x.endsWith('a') == true
                         ^ a condition is not a value that can be compared
            properties.x.length() > 1
                         ^ unknown function `length`
            ['a'] == properties.x
            ^ a list stands on the right of `in`
            size(properties.x) > 1
            ^ unknown function `size`
            properties.a == 1 && page.knd == 'x' || propertie.y == 2
                                      ^ unknown page field or parameter `knd` → did you mean `kind`?
            properties.a == 1 && page.knd == 'x' || propertie.y == 2
                                                    ^ unknown name `propertie.y` → did you mean `properties`?
        "#]],
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn conditions_on_leads() {
    check_enter(
        &[
            "score.intrest >= 30",
            "score.interest",
            "score.interest >= 30.0005",
            "score.interest >= 'a'",
            "-score.interest",
            "(score.interest > 1) == true",
            "score.interest.startsWith('a')",
            "score.interest - score.interest > 1",
            "score.interest * score.intent > 1",
            "score.interest * 0.000001 * 0.1 > 1",
            "score.interest * 100000 > 1",
            "traits.x + 1 > 2",
            "traits.x.startsWith('a') == true",
            "traits.x.count('view', '30d') > 1",
            "has(traits.x) == true",
            "has(fact.contact) && has(page.url)",
            "'a' in fact.contact",
            "fact.contct",
            "fact.contact == true",
            "known == true",
            "known.x && disqualified.x",
            "any_definition.x || stage.x",
            "disqualified",
            "any_definition",
            "answers.budget == 'yes'",
            "stage == 'a'",
            "stage_for('3d')",
            "seen('veiw', '30d')",
            "seen(view, '30d')",
            "seen('view')",
            "seen('view', '30 days')",
            "seen('view', '0s')",
            "count('view', '30d')",
            "count('view', '30d') >= 6",
            "count('view', '30d') > 5",
            "count('view', '30d') >= 1.5",
            "count('every', '30d') >= 33",
            "days('daily', '32d') >= 5",
            "seen('daily', '60d') == true",
            "sum('view', amount, '30d') > 1 && sum('view', price, '30d') > 1",
            "sum('view', '30d') > 1",
            "sum('view', traits.amount, '30d') > 1",
            "known_for(1)",
            "page.kind == 'price'",
            "traits.email == 'a'",
            "traits.x in lists.none",
            "score.interest in [1, 2]",
            "countt('view', '30d') > 1",
            "lists.rivals",
            "knwon",
        ],
        expect![[r#"
            score.intrest >= 30
                  ^ unknown score `intrest` → did you mean `interest`?
            score.interest
            ^ a score is compared with a number: `score.x >= 20`
            score.interest >= 30.0005
                           ^ a threshold has at most 3 decimals
            score.interest >= 'a'
                           ^ a score is compared with a number or with scores
            -score.interest
            ^ this is not a condition
            (score.interest > 1) == true
                            ^ this is not a condition
            score.interest.startsWith('a')
            ^ a text function is called on a trait
            score.interest - score.interest > 1
                                            ^ no score is left on either side: the condition would never change
            score.interest * score.intent > 1
                           ^ a score is multiplied with a number, not with a score
            score.interest * 0.000001 * 0.1 > 1
                                      ^ the product of these constants has more than 6 decimals
            score.interest * 100000 > 1
                                    ^ the weights of scores reach ±10000
            traits.x + 1 > 2
            ^ only scores can be added, `traits.x` is none
            traits.x.startsWith('a') == true
                     ^ a condition is not a value that can be compared
            traits.x.count('view', '30d') > 1
                     ^ unknown function `count`
            has(traits.x) == true
               ^ neither a score, a trait, a window function nor a constant
            has(fact.contact) && has(page.url)
                ^ `has(…)` asks for a trait: `has(traits.<name>)`
            has(fact.contact) && has(page.url)
                                     ^ `page` belongs to one activity, this is a condition on a lead → count the activity with a rule and use its score, its fact or `seen(…)`
            'a' in fact.contact
                   ^ a constant is looked for in a list or a trait
            fact.contct
                 ^ unknown fact `contct`: nothing sets it → did you mean `contact`?
            fact.contact == true
            ^ `fact.contact` is a condition by itself → write `fact.contact` or `!fact.contact`
            known == true
            ^ `known` is a condition by itself → write `known` or `!known`
            known.x && disqualified.x
            ^ unknown name `known.x` → did you mean `known`?
            known.x && disqualified.x
                       ^ unknown name `disqualified.x` → did you mean `disqualified`?
            any_definition.x || stage.x
            ^ unknown name `any_definition.x` → did you mean `any_definition`?
            any_definition.x || stage.x
                                ^ unknown name `stage.x` → did you mean `stage`?
            disqualified
            ^ `disqualified` is never true: no entry of `disqualify` is without `cap_stage`
            any_definition
            ^ `any_definition` is never true: there are no `definitions`
            answers.budget == 'yes'
                    ^ there are no answers: `frameworks.answers` says where they are read from
            stage == 'a'
            ^ the stage follows from this condition: only audiences, alerts and routes can ask for it → ask for what leads to the stage: a score or a fact
            stage_for('3d')
            ^ the stage follows from this condition: only audiences, alerts and routes can ask for it → ask for what leads to the stage: a score or a fact
            seen('veiw', '30d')
                 ^ unknown rule `veiw` → did you mean `view`?
            seen(view, '30d')
            ^ `seen` takes the id of a rule in quotes
            seen('view')
            ^ `seen` takes a rule and a window: `seen('rule', '30d')`
            seen('view', '30 days')
                         ^ expected a duration in quotes, such as '30d'
            seen('view', '0s')
                         ^ expected a duration in quotes, such as '30d'
            count('view', '30d')
            ^ `count` is compared with a number
            count('view', '30d') >= 6
                                 ^ rule `view` holds 5 matches: there are never 6 matches → give the rule `max: 6`
            count('view', '30d') > 5
                                 ^ rule `view` holds 5 matches: there are never 6 matches → give the rule `max: 6`
            count('view', '30d') >= 1.5
                                 ^ matches and days are counted in whole numbers
            count('every', '30d') >= 33
                                  ^ rule `every` holds 32 matches: there are never 33 matches → give the rule `max: 33`
            days('daily', '32d') >= 5
                                 ^ the window is longer than rule `daily` holds its days (31d) → use a window of 31d, or give the rule a `max`
            seen('daily', '60d') == true
            ^ `seen` is a condition by itself
            sum('view', amount, '30d') > 1 && sum('view', price, '30d') > 1
                                                                        ^ rule `view` is summed over two properties, it keeps one
            sum('view', '30d') > 1
            ^ `sum` takes a rule, a property and a window: `sum('rule', 'amount', '30d')`
            sum('view', traits.amount, '30d') > 1
                        ^ expected the name of a property
            known_for(1)
                      ^ expected a duration in quotes, such as '30d'
            page.kind == 'price'
            ^ `page` belongs to one activity, this is a condition on a lead → count the activity with a rule and use its score, its fact or `seen(…)`
            traits.email == 'a'
            ^ e-mail addresses and phone numbers are stored hashed → only `has(…)` can be asked
            traits.x in lists.none
                              ^ unknown list `none`
            score.interest in [1, 2]
                           ^ only a trait, an answer or the stage can be looked for in a list of constants
            countt('view', '30d') > 1
            ^ unknown function `countt` → did you mean `count`?
            lists.rivals
            ^ a list stands on the right of `in`
            knwon
            ^ unknown name `knwon` → did you mean `known`?
        "#]],
    );
}

#[test]
fn what_is_sound_is_not_found() {
    check(
        &[
            "time: {zone: UTC, max_future: 0s, late_accept: 1h, forget: 1d, forget_anonymous: 1h, remember: 4096}",
            "pages: {fold_case: true, a: /x, b: [\"/x/{id}\", \"/y/{*rest}\", \"/x/new\"]}",
            "pages: {home: /, a: \"/{{x}}/{y}\"}",
            "traits: {t: {}, u: {from: traits.v, kind: number}}",
            "scores: {a: {half_life: 1s}, b: {half_life: never, range: [-0.5, 1000000], labels: {x: -0.5, y: 3.125}}}",
            "scores: {a: {half_life: 1s, labels: {x: -1000000, y: 1000000}}}",
            "rules: [{id: r, event: '*', once_per: day, unset: f, set: {f: true}}]",
            "lists: {l: [a, 1, true, 'true', 0.5]}",
            "scores: {a: {half_life: 1d}}\ngroups: {g: {score: a, min: 5, max: 5}}",
        ],
        expect![[r#"
            0:sound
            0:sound
            0:sound
            0:sound
            0:sound
            0:sound
            0:sound
            0:sound
            0:sound
        "#]],
    );
}

#[test]
fn sound_conditions_are_not_found() {
    check_where(
        &[
            "true",
            "!(page.kind == 'price') && page.kind != 'model'",
            "page.model_id == properties.model",
            "properties['File Name'].matches('(?i)^a+$')",
            "properties.x.contains('(')",
            "properties.x < 9199999999999.999999",
            "properties.a.b.c >= -0.5 && 5 < visit.gap_days",
            "'x' in properties.tags && properties.y in lists.rivals && event in ['a', 'b', 1, true]",
            "has(properties.email) && has(traits.phone) && !has(visit.pages)",
            "properties.is_dealer && utm.source.endsWith('ads')",
        ],
        expect![[r#"
            true
            ^ sound
            !(page.kind == 'price') && page.kind != 'model'
            ^ sound
            page.model_id == properties.model
            ^ sound
            properties['File Name'].matches('(?i)^a+$')
            ^ sound
            properties.x.contains('(')
            ^ sound
            properties.x < 9199999999999.999999
            ^ sound
            properties.a.b.c >= -0.5 && 5 < visit.gap_days
            ^ sound
            'x' in properties.tags && properties.y in lists.rivals && event in ['a', 'b', 1, true]
            ^ sound
            has(properties.email) && has(traits.phone) && !has(visit.pages)
            ^ sound
            properties.is_dealer && utm.source.endsWith('ads')
            ^ sound
        "#]],
    );
    check_enter(
        &[
            "score.interest >= 30.125 && !fact.contact && known && known_for('1d')",
            "score.interest + 0.5 * score.intent - 2 > 30",
            "2 * (score.interest - score.intent) >= -score.intent",
            "30 < score.interest",
            "count('view', '30d') > 0",
            "count('view', '30d') > 4",
            "score.interest * 10000 > 1",
            "seen('view', '90d') || count('view', '30d') >= 5 || days('daily', '31d') >= 5",
            "count('every', '30d') >= 32 && sum('view', 'amount', '30d') >= 0.5",
            "sum('view', properties.amount, '1w') > 100",
            "traits.role in ['a', 'b'] && traits.revenue > traits.target && 'x' in traits.tags",
            "has(traits.email) && !(traits.role == 'x')",
        ],
        expect![[r#"
            score.interest >= 30.125 && !fact.contact && known && known_for('1d')
            ^ sound
            score.interest + 0.5 * score.intent - 2 > 30
            ^ sound
            2 * (score.interest - score.intent) >= -score.intent
            ^ sound
            30 < score.interest
            ^ sound
            count('view', '30d') > 0
            ^ sound
            count('view', '30d') > 4
            ^ sound
            score.interest * 10000 > 1
            ^ sound
            seen('view', '90d') || count('view', '30d') >= 5 || days('daily', '31d') >= 5
            ^ sound
            count('every', '30d') >= 32 && sum('view', 'amount', '30d') >= 0.5
            ^ sound
            sum('view', properties.amount, '1w') > 100
            ^ sound
            traits.role in ['a', 'b'] && traits.revenue > traits.target && 'x' in traits.tags
            ^ sound
            has(traits.email) && !(traits.role == 'x')
            ^ sound
        "#]],
    );
}
