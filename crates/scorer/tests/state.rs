//! State format 1, byte for byte: what was written once must be read for ever, so other bytes are another format, with a
//! number of its own and a reader for this one.

mod story;

use expect_test::expect;
use ripen_scorer::{STATE_FORMAT, Shard};

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

#[test]
fn the_bytes_of_format_1_do_not_change() {
    let model = story::model(MODEL);
    let (mut shard, mut out) = (story::shard(&model), Vec::new());
    for step in story::steps(STORY) {
        let _ = story::apply(&mut shard, &step, &mut out);
    }
    let records = records(&mut shard);
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let lines: Vec<String> = records.iter().map(|(id, bytes)| format!("{id} {}", hex(bytes))).collect();
    expect![[r#"
        anon:a 010100000100000080a30898a3010018748b9b0180e3188c9b010000000000000600000000000000000000000000000000000000616e6f6e3a610600757365723a31
        user:1 00015540010000006c98f0939b010018748b9b0100d24f8c9b010100000002000600020001000300040002000400000000002a00757365723a3180e3188c9b0180e3188c9b01040000000100000000d24f8c9b0100d24f8c9b0100dd6d000000010600616e6f6e3a61010000f5e18b9b01020080e3188c9b0100000000f5e18b9b010000003006da260300000001000000000000030000000200002ef9380f010000000018748b9b0155a2ba7e9f6dc22500008006ab8b9b012ee466306772139c000000f5e18b9b01363fddba2bcd1d67010000d24f8c9b01185db00e3b085ce8000001000000010001000000f3a02f0d9fa81c23000000006940725605be502503000000e260de951fa450ee01000100000000000000000002009f6dc2250018748b9b01fe022f616772139c8006ab8b9b01fe022f623b085ce800d24f8c9b01fe022f63"#]].assert_eq(&lines.join("\n"));
    let mut again = Shard::new();
    for (id, bytes) in &records {
        again.restore_lead(id, bytes).expect("format 1 is read");
    }
    again.restore_meta(&shard.meta()).expect("and so is the meta record");
    again.set_models(&[model]).expect("the same model");
    let at_ms = story::START_MS + 86_400_000;
    assert_eq!(again.lead("user:1", at_ms), shard.lead("user:1", at_ms));
    assert!(again.lead("user:1", at_ms).expect("readable").is_some_and(|lead| lead.stage == "hot"));
    assert_eq!(STATE_FORMAT, 1, "keep this test for format 1, and write one for the new format");
}
