//! State formats, byte for byte: what was written once must be read for ever, so other bytes are another format, with a
//! number of its own and a reader for the older ones. Which one is written, the newest switch says.

mod story;

use std::sync::Arc;

use expect_test::{Expect, expect};
use ripen_model::Model;
use ripen_records::{ActivityRecord, Switch, Tick};
use ripen_scorer::{Applied, Budget, LeadKey, LeadReader, STATE_FORMAT, Shard, StateError};

const MODEL: &str = r#"
apiVersion: ripen/v1
model: {id: state, version: 1}
scores: {interest: {half_life: 1d}, total: {half_life: never}}
traits: {city: {from: traits.city}}
rules:
  - {id: view, event: page_view, points: {interest: 5, total: 1}, once_per: [page.path], max: 3}
  - {id: form, event: form, points: {interest: 20}, once: true, set: {contact: 3d}}
stages:
  - {id: new, owner: marketing}
  - {id: warm, owner: marketing, enter: "score.interest >= 15", exit: "score.interest < 10"}
  - {id: hot, owner: sales, enter: "fact.contact && known", exit: "!fact.contact"}
"#;

const STORY: &str =
    "0h page_view /a; 1h page_view /b; 2h form; 3h link to=user:1; 4h page_view /c lead=user:1";

/// The committed records of the partition, one a line: id, bytes in hex.
fn records(shard: &mut Shard) -> Vec<(String, Vec<u8>)> {
    let mut records = Vec::new();
    shard.seal(&mut |lead, bytes| {
        records.push((lead.to_owned(), bytes.expect("nobody is forgotten").to_vec()));
    });
    records.sort();
    records
}

/// A switch to the model that names this state format.
fn switch(model: &Model, epoch: u32, state_format: u16) -> Switch<'static> {
    Switch { state_format, ..story::switch_to(model, epoch) }
}

fn tell(shard: &mut Shard, story: &str) {
    for step in story::steps(story) {
        let _ = story::apply(shard, &step, &mut Vec::new());
    }
}

/// A shard with the records and the meta record of another.
fn restored(records: &[(String, Vec<u8>)], meta: &[u8], model: &Arc<Model>) -> Shard {
    let mut shard = Shard::new();
    for (id, bytes) in records {
        shard.restore_lead(id, bytes).expect("the format is read");
    }
    shard.restore_meta(meta).expect("and so is the meta record");
    let models = vec![Arc::clone(model); shard.restored_models().len()];
    shard.set_models(&models).expect("the same model");
    shard
}

/// What the story leaves behind under a switch that names the format.
fn check(format: u16, expect: &Expect) {
    let model = story::model(MODEL);
    let mut shard = story::shard_by(&model, &switch(&model, 1, format));
    tell(&mut shard, STORY);
    let records = records(&mut shard);
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let lines: Vec<String> = records.iter().map(|(id, bytes)| format!("{id} {}", hex(bytes))).collect();
    expect.assert_eq(&lines.join("\n"));
    let again = restored(&records, &shard.meta(), &model);
    assert_eq!(again.state_format(), format);
    let at_ms = story::START_MS + 86_400_000;
    assert_eq!(again.lead("user:1", at_ms), shard.lead("user:1", at_ms));
    assert!(again.lead("user:1", at_ms).expect("readable").is_some_and(|lead| lead.stage == "hot"));
}

#[test]
fn the_bytes_of_format_1_do_not_change() {
    check(
        1,
        &expect![[r#"
            anon:a 010100000100000080a30898a3010018748b9b0180e3188c9b010000000000000600000000000000000000000000000000000000616e6f6e3a610600757365723a31
            user:1 00015540010000006c98f0939b010018748b9b0100d24f8c9b010100000002000600020001000300040002000400000000002a00757365723a3180e3188c9b0180e3188c9b01040000000100000000d24f8c9b0100d24f8c9b0100dd6d000000010600616e6f6e3a61010000f5e18b9b01020080e3188c9b0100000000f5e18b9b010000003006da260300000001000000000000030000000200002ef9380f010000000018748b9b0155a2ba7e9f6dc22500008006ab8b9b012ee466306772139c000000f5e18b9b01363fddba2bcd1d67010000d24f8c9b01185db00e3b085ce8000001000000010001000000f3a02f0d9fa81c23000000006940725605be502503000000e260de951fa450ee01000100000000000000000002009f6dc2250018748b9b01fe022f616772139c8006ab8b9b01fe022f623b085ce800d24f8c9b01fe022f63"#]],
    );
}

#[test]
fn the_bytes_of_format_2_do_not_change() {
    check(
        2,
        &expect![[r#"
            anon:a 010200000100000080a30898a3010018748b9b0180e3188c9b0100000000000600000000000000000000616e6f6e3a610600757365723a31
            user:1 00025540010000006c98f0939b010018748b9b0100d24f8c9b0101000000020602010304020400002a00757365723a3180e3188c9b0180e3188c9b01040000000100000000d24f8c9b0100d24f8c9b0100dd6d000000010600616e6f6e3a610100f5e18b9b010280e3188c9b01000000f5e18b9b0100003006da26030000000100000000000300000002002ef9380f010000000018748b9b0155a2ba7e9f6dc225008006ab8b9b012ee466306772139c0000f5e18b9b01363fddba2bcd1d670100d24f8c9b01185db00e3b085ce800010000000100010000f3a02f0d9fa81c2300006940725605be50250300e260de951fa450ee01010000000000000000029f6dc2250018748b9b01fe022f616772139c8006ab8b9b01fe022f623b085ce800d24f8c9b01fe022f63"#]],
    );
    assert_eq!(STATE_FORMAT, 2, "keep this test for format 2, and write one for the new format");
}

/// The format that a record says it is in.
fn formats(records: &[(String, Vec<u8>)]) -> Vec<u8> {
    records.iter().map(|(_, bytes)| bytes[1]).collect()
}

#[test]
fn the_older_format_is_written_until_a_switch_names_the_newer_one() {
    let model = story::model(MODEL);
    let mut older = story::shard_by(&model, &switch(&model, 1, 1));
    tell(&mut older, STORY);
    let written = records(&mut older);
    older.commit();
    // As after an upgrade of the program: the state is the older one's.
    let mut shard = restored(&written, &older.meta(), &model);
    tell(&mut shard, "5h page_view /d lead=user:1 id=d");
    assert_eq!(formats(&records(&mut shard)), [1], "an older program may still have to read it");
    shard.commit();
    shard.switch(&switch(&model, 2, 2), Arc::clone(&model)).expect("the same model again");
    tell(&mut shard, "6h page_view /e lead=user:1 id=e");
    let newer = records(&mut shard);
    assert_eq!(formats(&newer), [2]);
    assert_eq!(shard.state_format(), 2);
    shard.commit();
    // Leads of both formats side by side; and a switch by an older program takes nothing back.
    let both = [written.iter().filter(|(id, _)| id == "anon:a").cloned().collect(), newer].concat();
    assert_eq!(formats(&both), [1, 2]);
    let mut shard = restored(&both, &shard.meta(), &model);
    shard.switch(&switch(&model, 3, 1), Arc::clone(&model)).expect("an older program's");
    tell(&mut shard, "7h page_view /f lead=user:1 id=f");
    assert_eq!(formats(&records(&mut shard)), [2]);
    tell(
        &mut older,
        "5h page_view /d lead=user:1 id=d; 6h page_view /e lead=user:1 id=e; 7h page_view /f lead=user:1 id=f",
    );
    let at_ms = story::START_MS + 86_400_000;
    assert_eq!(shard.lead("user:1", at_ms), older.lead("user:1", at_ms), "the format decides nothing");
}

/// Whether a lead goes on after a restart as it would have without one, to the last byte.
fn survives_a_restart(model: &Arc<Model>, before: &str, after: &str) {
    for format in [1, 2] {
        let mut shard = story::shard_by(model, &switch(model, 1, format));
        tell(&mut shard, before);
        let written = records(&mut shard);
        let mut again = restored(&written, &shard.meta(), model);
        for shard in [&mut shard, &mut again] {
            tell(shard, after);
        }
        assert_eq!(records(&mut again), records(&mut shard), "format {format}");
    }
}

#[test]
fn a_lead_of_more_than_fits_a_byte_is_read_as_it_was_written() {
    let text =
        MODEL.replace("max: 3", "max: 400").replace("version: 1}", "version: 1}\ntime: {remember: 400}");
    let model = story::model(&text);
    for count in [252, 253, 254, 255, 256, 300] {
        // Each of them is a key, and is remembered.
        let many: Vec<String> = (0..count).map(|minute| format!("{minute}m page_view /{minute}")).collect();
        survives_a_restart(&model, &many.join("\n"), "6h page_view /last id=last");
    }
}

#[test]
fn instants_before_and_after_1970_are_read_as_they_were_written() {
    let model = story::model(MODEL);
    for at_ms in [-(1 << 46), -1, 0, 1, (1 << 46) - 1] {
        let mut shard = story::shard(&model);
        let mut step = story::steps("0h form").remove(0);
        let ActivityRecord::Activity(activity) = &mut step.record else { panic!("an activity") };
        (activity.t_ms, activity.arrival_ms) = (at_ms, at_ms);
        let applied = shard.apply("anon:a", &step.record, at_ms, &mut Budget::new(9), &mut Vec::new());
        assert_eq!(applied, Ok(Applied::Accepted { counted: 1, is_new_lead: true }));
        let again = restored(&records(&mut shard), &shard.meta(), &model);
        assert_eq!(again.lead("anon:a", at_ms), shard.lead("anon:a", at_ms));
        assert!(again.lead("anon:a", at_ms).expect("readable").is_some_and(|lead| lead.last_ms == at_ms));
    }
}

#[test]
fn what_a_visit_s_beginning_matched_is_told_from_what_its_page_matched() {
    let model = |rules: usize| {
        let rule = |n| format!("  - {{id: r{n}, event: [visit_started, page_view], points: {{heat: 1}}}}\n");
        let rules: String = (0..rules).map(rule).collect();
        story::model(&format!(
            "apiVersion: ripen/v1\nmodel: {{id: visits, version: 1}}\nscores: {{heat: {{half_life: 1d}}}}\nrules:\n{rules}\
             stages: [{{id: s, owner: m}}]\n"
        ))
    };
    // The set of what opens a visit has every rule twice: 128 of them are more than fits a byte, 255 have wide places.
    for rules in [1, 127, 128, 254, 255] {
        survives_a_restart(
            &model(rules),
            "0h page_view /a; 5h page_view /b",
            "10h page_view /c id=c; 10h page_view /d id=d",
        );
    }
}

/// Versions of leads are restored one after the other, as a changelog that has not been compacted shows them.
#[test]
fn older_versions_of_a_lead_change_nothing_but_what_they_cost() {
    let model = story::model(MODEL);
    let mut shard = story::shard(&model);
    let mut versions = Vec::new();
    for step in story::steps(STORY) {
        let _ = story::apply(&mut shard, &step, &mut Vec::new());
        versions.extend(records(&mut shard));
        shard.commit();
    }
    let newest = versions.len();
    assert!(newest > 4, "several versions of some leads");
    let (mut out, at_ms) = (Vec::new(), story::START_MS + 20 * 86_400_000);
    let mut cool = |shard: &mut Shard| {
        let tick = ActivityRecord::Tick(Tick { wall_ms: at_ms });
        out.clear();
        let applied = shard.apply("", &tick, at_ms, &mut Budget::new(u32::MAX), &mut out);
        assert_eq!(applied, Ok(Applied::Ticked));
        out.clone()
    };
    // So often, there are more timers of older versions than are kept.
    for times in [1, 3_000] {
        let all: Vec<_> = std::iter::repeat_n(&versions, times).flatten().cloned().collect();
        let mut again = restored(&all, &shard.meta(), &model);
        let decisions = cool(&mut again);
        assert_eq!(decisions, cool(&mut restored(&versions[newest - 1..], &shard.meta(), &model)));
        assert!(!decisions.is_empty(), "the lead cools by itself");
    }
}

/// More leads than wait for each map of the base, their versions and removals in between.
#[test]
fn the_newest_record_of_each_of_many_leads_counts() {
    const LEADS: usize = 80_000;
    let model = story::model(MODEL);
    let mut shard = story::shard(&model);
    let mut versions = [const { Vec::new() }; 2];
    for (hour, versions) in versions.iter_mut().enumerate() {
        for lead in 0..LEADS {
            let step =
                story::steps(&format!("{hour}h page_view /{hour} lead=anon:{lead:05} id={hour}")).remove(0);
            let _ = story::apply(&mut shard, &step, &mut Vec::new());
        }
        *versions = records(&mut shard);
        shard.commit();
    }
    let [first, second] = versions;
    let mut again = Shard::new();
    for (at, ((id, bytes), (_, newer))) in first.iter().zip(&second).enumerate() {
        let before = at.saturating_sub(LEADS / 2);
        again.restore_lead(id, bytes).expect("the format is read");
        if at % 2 == 0 {
            again.restore_lead(id, newer).expect("the format is read");
        }
        // Long after it came, and soon.
        if before % 3 == 1 {
            again.restore_removal(&first[before].0);
        }
        if at % 10 == 9 {
            again.restore_removal(id);
        }
    }
    again.restore_meta(&shard.meta()).expect("the meta record");
    again.set_models(&[model]).expect("the same model");
    let is_gone = |at: usize| at % 10 == 9 || at < LEADS / 2 && at % 3 == 1;
    let mut there = 0;
    for (at, (id, bytes)) in first.iter().enumerate() {
        let found = again.base().get(&LeadKey::of(id)).map(|bytes| bytes.to_vec());
        let expected = if at % 2 == 0 { &second[at].1 } else { bytes };
        assert_eq!(found.as_ref(), (!is_gone(at)).then_some(expected), "{id}");
        there += usize::from(!is_gone(at));
    }
    assert_eq!((again.base().len(), again.leads()), (there, there));
}

/// What a run over history and one that is traced ask of a partition besides.
#[test]
fn a_backfill_marks_its_decisions_and_deadlines_are_noted_on_request() {
    let model = story::model(MODEL);
    let steps = story::steps("0h form; 1h page_view /b; 2h page_view /a lead=anon:other; 9000h tick");
    let run = |is_asked: bool| {
        let (mut shard, mut decisions, mut fired) = (story::shard(&model), Vec::new(), Vec::new());
        if is_asked {
            shard.set_historical(true);
            shard.note_fired();
        }
        let mut leads = Vec::new();
        for step in &steps {
            let _ = story::apply(&mut shard, step, &mut decisions);
            shard.commit();
            leads.push(shard.leads());
            fired.extend(shard.take_fired());
        }
        assert!(shard.take_fired().is_empty(), "each is told once");
        (decisions, fired, leads)
    };
    let (plain, unasked, leads) = run(false);
    let (mut marked, fired, _) = run(true);
    assert_eq!(leads[..3], [1, 1, 2]);
    assert!(unasked.is_empty() && !plain.is_empty() && plain.iter().all(|decision| !decision.historical));
    assert!(marked.iter().all(|decision| decision.historical));
    marked.iter_mut().for_each(|decision| decision.historical = false);
    assert_eq!(plain, marked, "nothing else differs");
    let at_deadlines = plain.iter().filter(|decision| {
        matches!(decision.cause, ripen_records::Cause::Decay | ripen_records::Cause::Forgotten)
    });
    for decision in at_deadlines {
        let noted = (decision.lead.clone(), decision.effective_at_ms);
        assert!(fired.contains(&noted), "{noted:?} of {fired:?}");
    }
    assert!(fired.is_sorted_by_key(|(_, at_ms)| *at_ms) && !fired.is_empty());
}

#[test]
fn an_alert_leaves_one_mark_however_often_it_is_given() {
    let model =
        story::model(&format!("{MODEL}alerts:\n  - {{id: called, event: call, to: sales, cool_down: 1h}}\n"));
    let calls: Vec<String> = (0..300).map(|hour| format!("{hour}h call")).collect();
    survives_a_restart(&model, &calls.join("\n"), "301h call id=last");
}

/// What is written to a partition tells matches apart under later versions, too.
#[test]
fn keys_of_the_calendar_are_its_numbers() {
    let rule =
        |part: &str| format!("  - {{id: {part}, event: ping, points: {{total: 1}}, once_per: [{part}]}}\n");
    let rules: String = ["hour", "day", "week"].map(rule).concat();
    let model = story::model(&format!(
        "apiVersion: ripen/v1\nmodel: {{id: keys, version: 1}}\ntime: {{zone: Europe/Berlin}}\n\
         scores: {{total: {{half_life: never}}}}\nrules:\n{rules}stages: [{{id: s, owner: m}}]\n"
    ));
    let mut shard = story::shard(&model);
    tell(&mut shard, "0h ping");
    let written = records(&mut shard);
    // Hours since 1970 on the clock of Berlin, and how many seconds it is ahead; days; weeks.
    for key in [(490_993 << 20) + 3_600, 20_458, 2_923_u64] {
        let holds = written[0].1.windows(8).any(|bytes| bytes == key.to_le_bytes());
        assert!(holds, "{key} in {:?}", written[0].1);
    }
}

#[test]
fn a_history_that_ends_within_an_entry_is_refused() {
    let model = story::model(MODEL);
    let mut shard = story::shard(&model);
    tell(&mut shard, STORY);
    let (_, mut bytes) = records(&mut shard).pop().expect("the user");
    let reader = LeadReader::new(model);
    assert!(reader.read(&bytes, 0).is_ok());
    // The last entry ends with the length of its path and the path, `/c`.
    let length = bytes.len() - 3;
    bytes[length] += 1;
    assert!(matches!(reader.read(&bytes, 0), Err(StateError::Trailing { .. })));
}

#[test]
fn an_id_that_is_no_lead_any_more_is_read_as_none() {
    let model = story::model(MODEL);
    let mut shard = story::shard(&model);
    tell(
        &mut shard,
        "0h form; 0h form lead=anon:b; 0h form lead=anon:c; 1h erase; 1h erase lead=anon:b to=suppress; 1h link lead=anon:c to=user:1",
    );
    let written = records(&mut shard);
    let reader = LeadReader::new(Arc::clone(&model));
    let read = |bytes: &[u8]| reader.read(bytes, 0).expect("readable").is_some();
    let alive: Vec<(&str, bool)> = written.iter().map(|(id, bytes)| (id.as_str(), read(bytes))).collect();
    assert_eq!(alive, [("anon:a", false), ("anon:b", false), ("anon:c", false), ("user:1", true)]);
    assert_eq!(restored(&written, &shard.meta(), &model).leads(), 1);
}
