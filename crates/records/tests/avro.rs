//! The records' encoding, held against `apache-avro`: schemas, fingerprints, bytes in both directions; and
//! against hostile bytes.

mod records;

use apache_avro::rabin::Rabin;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::schema_compatibility::SchemaCompatibility;
use apache_avro::types::Value as Avro;
use apache_avro::writer::datum::GenericDatumWriter;
use apache_avro::{AvroResult, Schema};
use expect_test::expect_file;
use proptest::prelude::*;
use records::{any_activity, any_decision, fixed_activities, fixed_decisions};
use ripen_records::{
    ACTIVITIES_FINGERPRINT, ACTIVITIES_SCHEMA, ActivityRecord, Cause, DECISIONS_FINGERPRINT,
    DECISIONS_SCHEMA, Decision, DecodeError, EncodeError, Fault, Field, HEADER_BYTES, Value, decode_activity,
    decode_decision, encode_activity, encode_decision,
};

#[test]
fn fingerprints_are_those_of_the_schemas() {
    for (text, fingerprint) in
        [(ACTIVITIES_SCHEMA, ACTIVITIES_FINGERPRINT), (DECISIONS_SCHEMA, DECISIONS_FINGERPRINT)]
    {
        let bytes = schema(text).fingerprint::<Rabin>().bytes;
        let expect = u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
        assert_eq!(format!("{fingerprint:#018x}"), format!("{expect:#018x}"));
    }
}

#[test]
fn schemas_can_read_what_they_wrote() {
    for text in [ACTIVITIES_SCHEMA, DECISIONS_SCHEMA] {
        let (writer, reader) = (schema(text), schema(text));
        assert!(SchemaCompatibility::mutual_read(&writer, &reader).is_ok());
    }
}

#[test]
fn every_field_is_documented() {
    for text in [ACTIVITIES_SCHEMA, DECISIONS_SCHEMA] {
        let fields = text.matches("{\"name\": ").count();
        let documented =
            text.lines().filter(|l| l.contains("{\"name\": ")).all(|l| l.contains("\"doc\": \""));
        assert!(fields > 20 && documented);
    }
}

/// Bytes that lie in topics must stay readable: a change here needs another schema and a reader of both.
#[test]
fn bytes_are_fixed() {
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let mut lines = String::new();
    for (name, record) in fixed_activities() {
        lines.push_str(&format!("{name}: {}\n", hex(&activity_bytes(&record))));
    }
    for (name, decision) in fixed_decisions() {
        lines.push_str(&format!("{name}: {}\n", hex(&decision_bytes(&decision))));
    }
    expect_file!["golden/records.txt"].assert_eq(&lines);
}

#[test]
fn fixed_records_go_both_ways() {
    for (_, record) in fixed_activities() {
        check_activity(&record);
    }
    for (_, decision) in fixed_decisions() {
        check_decision(&decision);
    }
}

#[test]
fn the_oracle_reads_the_same_words() {
    let Avro::Record(fields) = oracle(DECISIONS_SCHEMA, &decision_bytes(&fixed_decisions()[0].1)) else {
        panic!("a record")
    };
    let get = |name: &str| fields.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone());
    assert_eq!(get("lead"), Some(Avro::String("user:u-1".into())));
    assert_eq!(get("seq"), Some(Avro::Long(2)));
    assert_eq!(get("effective_at_ms"), Some(Avro::Long(1_767_864_612_345)));
    assert_eq!(get("cause"), Some(Avro::Enum(2, Cause::FactExpired.as_str().into())));
}

#[test]
fn texts_borrow_from_the_record() {
    let bytes = activity_bytes(&fixed_activities()[0].1);
    let Ok(ActivityRecord::Activity(activity)) = decode_activity(&bytes) else { panic!("an activity") };
    let within = |text: &str| bytes.as_ptr_range().contains(&text.as_ptr());
    assert!(within(&activity.event_id) && within(activity.session.as_deref().expect("a session")));
    assert!(activity.properties.iter().all(|f| within(&f.name)));
}

#[test]
fn an_unknown_schema_is_named() {
    let mut bytes = activity_bytes(&fixed_activities()[6].1);
    bytes[2..HEADER_BYTES].copy_from_slice(&0x0123_4567_89AB_CDEF_u64.to_le_bytes());
    let error = decode_activity(&bytes).expect_err("another schema");
    assert_eq!(
        error,
        DecodeError::UnknownSchema { fingerprint: 0x0123_4567_89AB_CDEF, expected: ACTIVITIES_FINGERPRINT }
    );
    assert!(error.to_string().contains("0123456789abcdef"), "{error}");
    let decision = decision_bytes(&fixed_decisions()[0].1);
    assert!(matches!(decode_activity(&decision), Err(DecodeError::UnknownSchema { .. })));
}

#[test]
fn what_is_no_single_object_is_refused() {
    for bytes in [&b""[..], b"\xC3", b"\xC3\x01\0\0\0\0\0\0\0", b"{\"event\":\"page_view\"}", &[0; 64]] {
        assert_eq!(decode_activity(bytes), Err(DecodeError::NotSingleObject { bytes: bytes.len() }));
    }
}

#[test]
fn bytes_behind_the_end_are_refused() {
    let mut bytes = activity_bytes(&fixed_activities()[6].1);
    bytes.push(0);
    assert_eq!(decode_activity(&bytes), Err(DecodeError::Trailing { record: "activity record", bytes: 1 }));
}

#[test]
fn every_cut_is_an_error() {
    for (name, record) in fixed_activities() {
        let bytes = activity_bytes(&record);
        for len in 0..bytes.len() {
            assert!(decode_activity(&bytes[..len]).is_err(), "{name} cut at {len}");
        }
    }
    let bytes = decision_bytes(&fixed_decisions()[0].1);
    for len in 0..bytes.len() {
        assert!(decode_decision(&bytes[..len]).is_err(), "cut at {len}");
    }
}

#[test]
fn a_decision_has_exactly_one_change() {
    let bytes = decision_bytes(&fixed_decisions()[5].1);
    // The last part of the change: branch 1, seven bytes of text.
    let at = bytes.windows(9).position(|w| w == b"\x02\x0Ecrm:c-1").expect("the part");
    let none = [&bytes[..at], &[0], &bytes[at + 9..]].concat();
    let two = [&bytes[..at - 1], b"\x02\x02a\x02\x02b\0", &bytes[at..]].concat();
    for bytes in [none, two] {
        let error = decode_decision(&bytes).expect_err("not one change");
        assert!(matches!(error, DecodeError::Malformed { fault: Fault::NotOneChange, .. }), "{error}");
    }
}

#[test]
fn what_has_no_place_in_the_schema_is_not_written() {
    let mut out = vec![1, 2, 3];
    let ActivityRecord::Activity(mut activity) = fixed_activities().swap_remove(0).1 else {
        panic!("an activity")
    };
    let nested = Value::Array(vec![Value::Array(vec![])]);
    activity.traits.push(Field { name: "deep".into(), value: nested });
    let error = encode_activity(&ActivityRecord::Activity(activity), &mut out);
    assert_eq!(error, Err(EncodeError::NestedList { field: "deep".into() }));
    let decision = Decision { seq: u64::MAX, ..fixed_decisions().swap_remove(0).1 };
    assert_eq!(encode_decision(&decision, &mut out), Err(EncodeError::Seq { seq: u64::MAX }));
    assert_eq!(out, [1, 2, 3], "nothing is left behind");
}

proptest! {
    #[test]
    fn activities_go_both_ways(record in any_activity()) {
        check_activity(&record);
    }

    #[test]
    fn decisions_go_both_ways(decision in any_decision()) {
        check_decision(&decision);
    }

    /// Whatever comes, the answer is a record or an error; and what reads as a record is one.
    #[test]
    fn random_bodies_never_panic(body in proptest::collection::vec(any::<u8>(), 0..400)) {
        for fingerprint in [ACTIVITIES_FINGERPRINT, DECISIONS_FINGERPRINT] {
            let bytes = [&[0xC3, 0x01][..], &fingerprint.to_le_bytes(), &body].concat();
            survive(&bytes);
        }
        survive(&body);
    }

    #[test]
    fn flipped_bits_never_panic(record in any_activity(), decision in any_decision(), bit in any::<prop::sample::Index>()) {
        for mut bytes in [activity_bytes(&record), decision_bytes(&decision)] {
            let bit = bit.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            survive(&bytes);
        }
    }
}

fn survive(bytes: &[u8]) {
    if let Ok(record) = decode_activity(bytes) {
        check_activity(&record);
    }
    if let Ok(decision) = decode_decision(bytes) {
        check_decision(&decision);
    }
}

/// We read what we wrote; the oracle reads it too and writes the same bytes; we read what the oracle writes in
/// blocks, which is another, equally legal form.
fn check_activity(record: &ActivityRecord<'_>) {
    let bytes = activity_bytes(record);
    assert_eq!(decode_activity(&bytes).as_ref(), Ok(record));
    let value = oracle(ACTIVITIES_SCHEMA, &bytes);
    assert_eq!(rewritten(ACTIVITIES_SCHEMA, &bytes, &value, None).expect("the oracle writes"), bytes);
    let blocks = rewritten(ACTIVITIES_SCHEMA, &bytes, &value, Some(1)).expect("the oracle writes");
    assert_eq!(decode_activity(&blocks).as_ref(), Ok(record));
}

fn check_decision(decision: &Decision) {
    let bytes = decision_bytes(decision);
    assert_eq!(decode_decision(&bytes).as_ref(), Ok(decision));
    let value = oracle(DECISIONS_SCHEMA, &bytes);
    assert_eq!(rewritten(DECISIONS_SCHEMA, &bytes, &value, None).expect("the oracle writes"), bytes);
    let blocks = rewritten(DECISIONS_SCHEMA, &bytes, &value, Some(1)).expect("the oracle writes");
    assert_eq!(decode_decision(&blocks).as_ref(), Ok(decision));
}

fn activity_bytes(record: &ActivityRecord<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_activity(record, &mut bytes).expect("a record of the schema");
    bytes
}

fn decision_bytes(decision: &Decision) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_decision(decision, &mut bytes).expect("a record of the schema");
    bytes
}

fn oracle(text: &str, bytes: &[u8]) -> Avro {
    let schema = schema(text);
    let reader = GenericDatumReader::builder(&schema).build().expect("a reader");
    let mut body = &bytes[HEADER_BYTES..];
    let value = reader.read_value(&mut body).expect("the oracle reads");
    assert!(body.is_empty(), "the oracle reads to the end");
    value
}

fn rewritten(text: &str, bytes: &[u8], value: &Avro, block: Option<usize>) -> AvroResult<Vec<u8>> {
    let schema = schema(text);
    let writer = GenericDatumWriter::builder(&schema).maybe_target_block_size(block).build()?;
    let mut out = bytes[..HEADER_BYTES].to_vec();
    writer.write_value_ref(&mut out, value)?;
    Ok(out)
}

fn schema(text: &str) -> Schema {
    Schema::parse_str(text).expect("schema parses")
}
