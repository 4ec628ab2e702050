//! What is wrong with definitions, disqualifications, feedback, hand-over and all that is told about a lead; one case
//! for each kind of mistake.

use expect_test::{Expect, expect};
use ripen_model::compile;

/// A sound model, to which a section is added.
const SOUND: &str = "\
apiVersion: ripen/v1
model: {id: m, version: 1}
scores: {a: {half_life: 7d}, b: {half_life: never}}
rules: [{id: r, event: e, once_per: [day], points: {a: 5}, set: {f: 30d, won: true}}]
stages:
  - {id: visitor, owner: marketing}
  - {id: mql, owner: marketing, enter: score.a >= 5, exit: score.a < 2}
  - {id: sql, owner: sales, enter: fact.f, exit: '!fact.f'}
  - {id: customer, owner: sales, enter: fact.won, terminal: true}
  - {id: nql, owner: marketing, enter: score.b > 5, exit: score.b <= 5, overrides: all}
";

/// Adds each part to the sound model and lists the findings; lines count from the part's first one.
fn check(parts: &[&str], expect: Expect) {
    let mut found = String::new();
    for part in parts {
        let Err(errors) = compile("m.yaml", &format!("{SOUND}{part}\n")) else {
            found.push_str("sound\n");
            continue;
        };
        for finding in &errors.findings {
            let way_out =
                finding.suggestion.as_ref().map(|way_out| format!(" → {way_out}")).unwrap_or_default();
            let line = finding.line as i64 - SOUND.lines().count() as i64;
            found.push_str(&format!("{line}:{} {}{way_out}\n", finding.column, finding.message));
        }
    }
    expect.assert_eq(&found);
}

#[test]
fn keys_and_types() {
    check(
        &[
            "handover: {stages: [sql], requrie: [phone], max_wait: soon, history: 5000}",
            "bonuses: [{id: b, when: known, score: a}, {id: b, when: known, score: x, points: 0}]",
            "tests: [{name: t, events: [{at: 0h, event: e, proprties: {}}], expect: {stage: mql, nevr: [b]}}]",
            "value: {probability: {mql: 1.5, sql: -0.1, customer: 0.1234567}, amount: 0}",
            "route: {priority: [[known, high, 1]], topic: a}",
            "disqualify: [{id: d, event: e, reason: {form: x}}]",
            "feedback: {won: {valeu: 1}}",
            "audiences: {'a b': known, c: ''}",
        ],
        expect![[r#"
            1:27 unknown key `requrie` in a handover section → did you mean `require`?
            1:55 expected a duration such as `30d` or `1h30m`, found the text `soon`
            1:70 expected a whole number from 0 to 400, found the number `5000`
            1:11 a bonus needs `points`
            1:48 a second bonus `b`
            1:71 unknown score `x` → did you mean `a`?
            1:82 a bonus of 0 points does nothing
            1:47 unknown key `proprties` in a test's event → did you mean `properties`?
            1:85 unknown key `nevr` in a test's expectation → did you mean `never`?
            1:28 expected a number from 0 to 1, found the number `1.5`
            1:38 expected a number from 0 to 1, found the number `-0.1`
            1:54 expected a number with at most 6 decimals, found the number `0.1234567`
            1:74 an amount is a number above 0 or the name of a trait
            1:20 expected a list of two, found a list
            1:46 expected a list, found the text `a`
            1:40 a reason needs `from`
            1:41 unknown key `form` in a reason → did you mean `from`?
            1:18 unknown key `valeu` in a feedback → did you mean `value`?
            1:13 expected an id of letters, digits, `_`, `.` and `-`, found the text `a b`
            1:30 expected an expression in quotes, found the text ``
        "#]],
    );
}

#[test]
fn frameworks() {
    const ANSWERS: &str = "  answers: {event: q, criterion: properties.c, value: properties.v}\n";
    let parts = [
        "frameworks: {use: BANT, score: b, BANT: {budget: 40}}".to_owned(),
        format!("frameworks:\n{ANSWERS}  use: BNAT\n  score: c\n  BANT: {{budget: 40}}"),
        format!("frameworks:\n{ANSWERS}  use: X\n  score: b\n  X: {{budget: 0}}\n  Y: {{}}"),
    ];
    let more = [
        "X: {budget: -1, money: 5, alias: {mony: budget}}",
        "X: {budget: 1}\n  Y: {money: 1, alias: {money: budget}}\n  Z: {money: 1}",
        "X: {money: 1, alias: {money: cash}}\n  Y: {money: 1, alias: {money: budget}}",
        "X: {money: 1, alias: {money: money}}",
        "X: {cash: 1, money: 1, alias: {cash: money, money: budget}}",
        "X: {money: 1, alias: {money: budget}}\n  positive: {money: [yes], bugdet: [yes], budget: []}",
        "X: {budget: 1}\n  positive: {budget: [{at_most: 1}, '']}",
    ];
    let more = more.map(|rest| format!("frameworks:\n{ANSWERS}  use: X\n  score: b\n  {rest}"));
    let fields = ANSWERS.replace("properties.c", "score.a").replace("properties.v", "traits.email");
    let fields = format!("frameworks:\n{fields}  use: X\n  score: b\n  X: {{budget: 1}}");
    let parts: Vec<String> = parts.into_iter().chain(more).chain([fields]).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    check(
        &parts,
        expect![[r#"
        1:13 a frameworks section needs `answers`
        3:8 unknown framework `BNAT` → did you mean `BANT`?
        4:10 unknown score `c` → did you mean `a`?
        5:3 the weights of the framework `X` add up to nothing
        6:3 the weights of the framework `Y` add up to nothing
        5:15 expected a number from 0 to 10000, found the number `-1`
        5:37 `mony` is no criterion of this framework → did you mean `money`?
        7:7 `money` is answered as `budget` in another framework and by itself in `Z` → add `alias: {money: budget}`
        6:32 `money` is answered as `cash` in another framework
        5:32 `money` is itself another name
        5:40 `money` is itself another name
        6:14 answers to `money` are kept as `budget` → write `budget`
        6:28 unknown criterion `bugdet` → did you mean `budget`?
        6:51 no answer to `budget` would be good
        6:23 a positive answer needs `at_least`
        6:24 unknown key `at_most` in a positive answer → did you mean `at_least`?
        6:37 an empty text is absent: no value equals it
        2:34 `score` is what a lead has become: a `where` reads its activity alone → put it into `enter` or `exit`
        2:50 e-mail addresses and phone numbers are hashed before any rule sees them → only `has(…)` can be asked
    "#]],
    );
}

#[test]
fn disqualifications() {
    check(
        &[
            "disqualify: [{id: d, reason: x}]",
            "disqualify: [{id: d, event: e, when: known, reason: x}]",
            "disqualify: [{id: d, when: known, where: properties.a == 1, until: 30d, reason: x}]",
            "disqualify: [{id: d, when: known, reason: {from: properties.reason}}]",
            "disqualify: [{id: d, event: e, until: 0s, reason: {from: propertis.reason}}]",
            "disqualify: [{id: r, event: e, reason: x}, {id: r, event: e, reason: x}]",
            "disqualify: [{id: d, when: known, reason: x, cap_stage: mlq}]",
            "disqualify: [{id: d, when: known, reason: x, cap_stage: nql}]",
            "disqualify: [{id: d, when: known, reason: x, cap_stage: customer}]",
            "disqualify: [{id: d, when: disqualified || stage == 'mql', reason: x}]",
            "feedback: {no: {lift: [d, d, w, x]}}\ndisqualify: [{id: d, event: e, reason: x}, {id: w, when: known, reason: x}]",
            "audiences: {x: disqualified}\ndisqualify: [{id: d, when: known, reason: x, cap_stage: mql}]",
        ],
        expect![[r#"
            1:14 the disqualification `d` needs `event` or `when`
            1:38 the disqualification `d` has either `event` or `when`, not both
            1:42 `where` is a condition on an event, and there is none → use `when` for a condition on the lead
            1:68 `until` counts from an event: a `when` holds exactly while it does
            1:50 without an event there is no field to read a reason from → write the reason itself
            1:39 a duration of 0 has no effect here
            1:58 unknown name `propertis.reason` → did you mean `properties`?
            1:19 `r` is a rule already: a rule and a disqualification need two names
            1:49 `r` is a rule already: a rule and a disqualification need two names
            1:49 a second disqualification `r`
            1:57 unknown stage `mlq` → did you mean `mql`?
            1:57 `nql` overrides all other stages: there is nothing above it
            1:57 no stage stands above `customer`: nothing would be hidden
            1:28 a disqualification cannot ask whether the lead is disqualified
            1:44 the stage follows from this condition: only audiences, alerts and routes can ask for it → ask for what leads to the stage: a score or a fact
            1:27 the disqualification `d` stands twice
            1:30 `w` holds exactly while its `when` does: nothing can lift it
            1:33 unknown disqualification `x` → did you mean `d`?
            1:16 `disqualified` is never true: no entry of `disqualify` is without `cap_stage`
        "#]],
    );
}

#[test]
fn circles() {
    check(
        &[
            "definitions: {x: any_definition}",
            "definitions: {x: disqualified}\ndisqualify: [{id: d, when: any_definition, reason: x}]",
            "definitions: {x: disqualified}\ndisqualify: [{id: d, when: known, reason: x}]",
            "definitions: {x: known}\ndisqualify: [{id: d, when: any_definition, reason: x}]",
            "bonuses: [{id: b, when: score.a > 1, score: a, points: 1}]",
            "bonuses: [{id: b, when: score.b > 1, score: a, points: 1}, {id: c, when: score.a > 1, score: b, points: 1}]",
            "bonuses: [{id: b, when: any_definition, score: a, points: 1}]\ndefinitions: {x: score.a > 1}",
            "bonuses: [{id: b, when: '!disqualified', score: a, points: 1}]\n\
             disqualify: [{id: d, when: any_definition, reason: x}]\ndefinitions: {x: score.a > 1}",
            "bonuses: [{id: b, when: any_definition, score: a, points: 1}]\ndefinitions: {x: score.b > 1}",
        ],
        expect![[r#"
            1:18 a definition cannot ask whether a definition fits
            1:18 a circle: the definition `x` asks whether the lead is disqualified, and a disqualification asks for `any_definition`
            2:28 a circle: the disqualification `d` asks for `any_definition`, and a definition asks whether the lead is disqualified
            sound
            sound
            1:25 the bonus `b` reads the score `a`, which depends on a bonus → read a fact, a window or another score
            1:25 the bonus `b` reads the score `b`, which depends on a bonus → read a fact, a window or another score
            1:74 the bonus `c` reads the score `a`, which depends on a bonus → read a fact, a window or another score
            1:25 the bonus `b` reads the score `a`, by way of `any_definition` or `disqualified`, which depends on a bonus → read a fact, a window or another score
            1:25 the bonus `b` reads the score `a`, by way of `any_definition` or `disqualified`, which depends on a bonus → read a fact, a window or another score
            sound
        "#]],
    );
}

#[test]
fn feedback() {
    check(
        &[
            "feedback: {x: {}, '*': {set: {f: 1d}}}",
            "feedback: {x: {set: {f: 1d}}, x: {unset: [f]}}",
            "feedback: {x: {cooldown: {stage: customer, for: 1d}}}",
            "feedback: {x: {cooldown: {stage: visitor, for: 1d}}}",
            "feedback: {x: {cooldown: {stage: sqll, for: 0s}}}",
            "feedback: {x: {recycle_to: customer}, y: {recycle_to: nql}, z: {recycle_to: mlq}}",
            "feedback: {x: {recycle_to: visitor, for: 1d}}",
            "feedback: {x: {set: {f: 1d}, for: 1d}}",
            "feedback: {x: {recycle_to: mql, cooldown: {stage: mql, for: 1d}}}",
            "feedback: {x: {clear: [a, a, c]}}",
            "feedback: {x: {reopen: [customer, customer, mql, x]}}",
            "feedback: {x: {unset: [ff], lift: d}}",
            "feedback: {x: {value: amount}, y: {value: properties.email}, z: {value: true}}",
        ],
        expect![[r#"
            1:12 the feedback `x` does nothing
            1:19 feedback is one event with a name
            1:31 duplicate key `x`
            1:34 the stage `customer` is terminal: it cannot cool down → use `reopen`
            1:34 the first stage always holds: `visitor` cannot cool down
            1:34 unknown stage `sqll` → did you mean `sql`?
            1:45 a duration of 0 has no effect here
            1:28 the stage `customer` is terminal: no lead is sent back to it
            1:55 the stage `nql` overrides all others: no lead is sent back to it
            1:77 unknown stage `mlq` → did you mean `mql`?
            1:42 the stage `visitor` has no `exit` that could be ignored
            1:35 `for` belongs to `recycle_to` → a cool-down has a `for` of its own: `cooldown: {stage: …, for: …}`
            1:51 the stage that the lead is sent back to cannot cool down at once
            1:27 this score stands twice
            1:30 unknown score `c` → did you mean `a`?
            1:35 this stage stands twice
            1:45 this stage is not terminal: its `exit` ends it → use `cooldown` or `recycle_to`
            1:50 unknown stage `x`
            1:24 unknown fact `ff`: nothing sets it → did you mean `f`?
            1:35 unknown disqualification `d`
            1:23 a value is a number, `properties.<name>` or `traits.<name>`
            1:43 e-mail addresses and phone numbers are hashed before any rule sees them → only `has(…)` can be asked
            1:73 a value is a number, `properties.<name>` or `traits.<name>`
        "#]],
    );
}

#[test]
fn what_is_told() {
    check(
        &[
            "audiences: {x: stage == 'mlq'}",
            "audiences: {x: 'stage > \"mql\"'}",
            "audiences: {x: stage}",
            "audiences: {x: stage.is == 'mql'}",
            "audiences: {x: 'stage in [\"mql\", 1]'}",
            "audiences: {x: 'stage == traits.x'}",
            "audiences: {x: \"stage_for(3)\", y: \"stage_for('3d') == true\"}",
            "audiences: {x: known, x: known}",
            "definitions: {x: stage == 'mql'}",
            "bonuses: [{id: b, when: \"stage_for('3d')\", score: a, points: 1}]",
            "route: {priority: [], queue: [[known, ''], [true, low], [known, high]], topic: [a, a, c]}",
            "route: {topic: [a]}",
            "value: {probability: {}, amount: true}",
            "value: {probability: {mlq: 0.5}, amount: traits.budget}",
            "value: {probability: {mql: 0.5}, amount: phone}",
            "traits: {budget: {kind: text}}\nvalue: {probability: {mql: 0.5}, amount: budget}",
            "alerts: [{id: x}, {id: x, event: e, when: known, to: [a, a]}, {id: y, when: known, where: properties.a == 1}]",
            "next_step: {mlq: call}",
            "traits: {answers.x: {}}\naudiences: {x: traits.reason.y == 'z'}\nhandover: {stages: [sql], require: [answers.x]}",
        ],
        expect![[r#"
            1:22 unknown stage `mlq` → did you mean `mql`?
            1:23 stages are compared with `==`, `!=` and `in` only → name them: `stage in ['mql', 'sql']`
            1:16 a stage is compared with a stage: `stage == 'mql'`
            1:16 unknown name `stage.is` → did you mean `stage`?
            1:23 a stage is compared with the id of a stage: `stage == 'mql'`
            1:23 a stage is compared with the id of a stage: `stage == 'mql'`
            1:27 expected a duration in quotes, such as '30d'
            1:36 `stage_for` is a condition by itself
            1:23 duplicate key `x`
            1:18 the stage follows from this condition: only audiences, alerts and routes can ask for it → ask for what leads to the stage: a score or a fact
            1:26 the stage follows from this condition: only audiences, alerts and routes can ask for it → ask for what leads to the stage: a score or a fact
            1:9 the attribute `priority` has no cases
            1:39 an empty text is absent: no value equals it
            1:58 the case before always holds: this one is never reached
            1:84 this score stands twice
            1:87 unknown score `c` → did you mean `a`?
            1:16 a topic is the highest of several scores
            1:22 without a probability every value is 0
            1:34 an amount is a number above 0 or the name of a trait
            1:23 unknown stage `mlq` → did you mean `mql`?
            1:42 a trait is named here without `traits.` → write `budget`
            1:42 an amount is a number, and this trait is none
            2:42 an amount is a number, and this trait is none
            1:10 the alert `x` needs `event` or `when`
            1:24 a second alert `x`
            1:43 the alert `x` has either `event` or `when`, not both
            1:58 the recipient `a` stands twice
            1:91 `where` is a condition on an event, and there is none → use `when` for a condition on the lead
            1:13 unknown stage `mlq` → did you mean `mql`?
            1:10 `answers.x` is a name that Ripen keeps for itself
            2:23 `reason.y` is a name that Ripen keeps for itself → give it another name in `traits`: `{from: traits.…}`
            3:37 `answers.x` is a name that Ripen keeps for itself → give it another name in `traits`: `{from: traits.…}`
        "#]],
    );
}

#[test]
fn handover_and_response() {
    check(
        &[
            "handover: {stages: [visitor, sql, sql, slq]}",
            "handover: {stages: [], require: [phone, phone, traits.email], enrich: [phone]}",
            "handover: {stages: [sql], enrich: [region]}",
            "response: {sql: {within: 5m, answered_by: touch}}",
            "handover: {stages: [sql]}\nresponse: {mql: {within: 5m, answered_by: touch}, slq: {within: 1m, answered_by: touch}}",
            "handover: {stages: [sql]}\nresponse: {sql: {within: 0s, answered_by: []}}",
            "handover: {stages: [sql]}\nresponse: {sql: {within: 5m, answered_by: touch, escalate: [5m, 1h, 30m]}}",
            "handover: {stages: [sql]}\nresponse: {sql: {within: 5m, answered_by: touch, hours: {}}}",
            "handover: {stages: [sql]}\nresponse: {sql: {within: 5m, answered_by: touch, hours: {mun: '09:00-18:00', fri-mon: '09:00-18:00', tue: '18:00-09:00'}}}",
            "handover: {stages: [sql]}\nresponse: {sql: {within: 5m, answered_by: touch, hours: {mon-fri: ['09:00-13:00', '12:00-18:00'], wed: '09:00-10:00'}}}",
        ],
        expect![[r#"
            1:21 the first stage always holds: a lead is never handed over by entering it
            1:35 this stage stands twice
            1:40 unknown stage `slq` → did you mean `sql`?
            1:20 without a stage nothing is handed over
            1:41 this trait stands twice
            1:48 a trait is named here without `traits.` → write `email`
            1:71 how long are these traits waited for? → add `max_wait`, or `max_wait: 0s` to send at once what is there
            1:72 a required trait is waited for as long as it takes: it needs no `enrich`
            1:35 how long are these traits waited for? → add `max_wait`, or `max_wait: 0s` to send at once what is there
            1:12 nothing is handed over in the stage `sql`: its clock would never start → add `sql` to `stages` of `handover`
            2:12 nothing is handed over in the stage `mql`: its clock would never start → add `mql` to `stages` of `handover`
            2:51 unknown stage `slq` → did you mean `sql`?
            2:26 a duration of 0 has no effect here
            2:43 without an event nobody can answer
            2:61 an escalation that is not later than what precedes it → all count from the same start, and each is later than the one before
            2:69 an escalation that is not later than what precedes it → all count from the same start, and each is later than the one before
            2:57 without hours the clock would never run
            2:57 without hours the clock would never run
            2:58 `mun` is no day of the week → did you mean `mon`?
            2:78 `fri-mon` is no day of the week → use `mon` … `sun` or a range such as `mon-fri`
            2:107 these are no hours of a day → from and to in one day: `09:00-18:00`, `00:00-24:00`
            2:67 these hours overlap or touch: write them as one
            2:99 `wed` stands twice
        "#]],
    );
}

#[test]
fn personas() {
    check(
        &[
            "tests: [{name: t, expect: []}, {name: t, expect: {at: 1h}}]",
            "tests: [{name: t, start: tomorrow, expect: {stage: mlq, owner: salse, in: [x], not_in: y, score: {c: 1}, alert: z, never: [w]}}]",
            "tests: [{name: t, events: [{at: 2h, event: e}, {at: 1h, event: e, path: pricing}], expect: {stage: mql}}]",
            "tests: [{name: t, events: [{at: 2h, event: e}], expect: {stage: mql, demoted_by: 1h, never: [mql]}}]",
            "tests: [{name: t, expect: [{stage: visitor, demoted_by: 1h}, {stage: customer, demoted_by: 1h}]}]",
            "tests: [{name: t, expect: {response: opne, handover: partly}}]",
            "tests: [{name: t, expect: [{response: escalated_0}, {response: escalated_2}]}]\n\
             handover: {stages: [sql]}\nresponse: {sql: {within: 5m, answered_by: touch, escalate: [1h]}}",
            "audiences: {x: known}\ntests: [{name: t, expect: {in: x, not_in: x}}]",
            "tests: [{name: t, traits: {a: ''}, events: [{at: 0h, event: e, utm: {sorce: x}, known: maybe}], expect: {stage: mql}}]",
        ],
        expect![[r#"
            1:27 a test without an expectation tests nothing
            1:39 a second test `t`
            1:50 an expectation that expects nothing
            1:26 `tomorrow` is no instant → write `2026-01-05T09:00Z`
            1:52 unknown stage `mlq` → did you mean `mql`?
            1:64 no stage has the owner `salse` → did you mean `sales`?
            1:76 unknown audience `x`
            1:88 unknown audience `y`
            1:99 unknown score `c` → did you mean `a`?
            1:113 unknown alert `z`
            1:124 unknown stage `w`
            1:53 events stand in the order of time: one before is at 2h
            1:73 a path starts with `/` → write `path: /pricing`, or a whole address as `url`
            1:82 `demoted_by` is later than `at` → it counts from `0h`, too
            1:94 a stage that is expected cannot be one that was never entered
            1:57 time never ends this stage
            1:92 time never ends this stage
            1:38 `opne` is no state of a response clock → did you mean `open`?
            1:54 expected `true`, `false` or `incomplete`, found the text `partly`
            1:39 no response clock has an escalation 0
            1:64 no response clock has an escalation 2
            2:43 nobody is in an audience and not in it
            1:31 an empty text is absent: no value equals it
            1:70 expected `source` or `medium` or `campaign` or `term` or `content`, found the text `sorce`
            1:88 expected `true` or `false`, found the text `maybe`
        "#]],
    );
}

#[test]
fn what_is_sound_is_not_found() {
    check(
        &[
            "frameworks:\n  use: A\n  score: b\n  answers: {event: [q, w], criterion: properties.c, value: properties.v}\n  \
             A: {budget: 40, money: 0}\n  B: {cash: 1, alias: {cash: budget}}\n  positive: {budget: [true, {at_least: 5}, 7]}\n\
             audiences: {x: answers.plans == 'soon' && has(answers.budget) && answers.cash > 5}",
            "definitions: {x: disqualified, y: \"seen('r', '7d')\"}\ndisqualify: [{id: d, when: score.a > 5, reason: x}]",
            "disqualify:\n  - {id: d, event: '*', where: properties.x == 1, reason: {from: properties.why}, until: 3d, cap_stage: visitor}\n\
             feedback: {x: {lift: d}}",
            "bonuses: [{id: b, when: \"days('r', '7d') >= 3\", score: a, points: -1.5}]",
            "feedback:\n  x: {set: {f: 1d}, unset: won, cooldown: {stage: nql, for: 1d}, recycle_to: mql, for: 1d, clear: a, reopen: customer, value: 5}\n  \
             y: {recycle_to: visitor, value: traits.sum}",
            "audiences: {x: \"stage in ['mql', 'sql'] && !(stage == 'visitor') && 'nql' != stage\", y: \"stage_for('3d')\"}",
            "route: {priority: [[fact.f, 1], [stage == 'sql', true], [true, low]], topic: [a, b]}\n\
             value: {probability: {mql: 0.25, sql: 1}, amount: budget}\nnext_step: {sql: call}",
            "alerts: [{id: r, event: e, where: properties.x > 1, to: boss, cool_down: 1h}, {id: y, when: stage == 'sql'}]",
            "handover: {stages: [sql, customer], require: [phone], enrich: [region], max_wait: 2m, history: 50}\n\
             response: {sql: {within: 5m, answered_by: touch, escalate: [15m, 1h], hours: {mon-fri: ['09:00-13:00', '14:00-18:00'], sat: '10:00-24:00'}}}\n\
             tests: [{name: t, start: 2026-03-01, traits: {tags: [a, b], address: {city: x}}, expect: {response: escalated_2, handover: incomplete}}]",
        ],
        expect![[r#"
            sound
            sound
            sound
            sound
            sound
            sound
            sound
            sound
            sound
        "#]],
    );
}
