//! Holds a JSON body against the Avro form of the transition: same names, same shape, every value has a place.

use apache_avro::schema::{DecimalSchema, NamesRef, RecordSchema, ResolvedSchema, Schema};
use apache_avro::types::Value as Avro;
use apache_avro::{reader::datum::GenericDatumReader, writer::datum::GenericDatumWriter};
use serde_json::Value;

const SCHEMA: &str = include_str!("../../../../schemas/leads.transitions.v1.avsc");

/// Turns the body into Avro by the schema, writes it, reads it back.
pub(crate) fn check(body: &Value) {
    let schema = Schema::parse_str(SCHEMA).expect("schema parses");
    let resolved = ResolvedSchema::try_from(&schema).expect("every name is defined");
    let value = convert(body, &schema, resolved.get_names(), "body");
    assert!(value.validate(&schema));
    let writer = GenericDatumWriter::builder(&schema).build().expect("a writer");
    let bytes = writer.write_value_to_vec(value.clone()).expect("encodes");
    let reader = GenericDatumReader::builder(&schema).build().expect("a reader");
    let read = reader.read_value(&mut bytes.as_slice()).expect("decodes");
    assert_eq!(read, value);
}

fn convert(json: &Value, schema: &Schema, names: &NamesRef<'_>, at: &str) -> Avro {
    let object = || json.as_object().unwrap_or_else(|| panic!("{at} is no object"));
    let text = || json.as_str().unwrap_or_else(|| panic!("{at} is no text")).to_owned();
    match schema {
        Schema::String => Avro::String(text()),
        Schema::Boolean => Avro::Boolean(json.as_bool().unwrap_or_else(|| panic!("{at} is no boolean"))),
        Schema::Long => Avro::Long(json.as_i64().unwrap_or_else(|| panic!("{at} is no integer"))),
        Schema::Int => Avro::Int(json.as_i64().and_then(|n| i32::try_from(n).ok()).expect("an int")),
        Schema::TimestampMillis => {
            Avro::TimestampMillis(text().parse::<jiff::Timestamp>().expect("an instant").as_millisecond())
        }
        Schema::Decimal(DecimalSchema { scale, .. }) => {
            let unit = 10_f64.powi(i32::try_from(*scale).expect("a small scale"));
            let scaled = (json.as_f64().unwrap_or_else(|| panic!("{at} is no number")) * unit).round() as i64;
            Avro::Decimal(scaled.to_be_bytes().into())
        }
        Schema::Array(array) => {
            let items = json.as_array().unwrap_or_else(|| panic!("{at} is no array"));
            Avro::Array(items.iter().map(|item| convert(item, &array.items, names, at)).collect())
        }
        Schema::Map(map) => {
            Avro::Map(object().iter().map(|(k, v)| (k.clone(), convert(v, &map.types, names, k))).collect())
        }
        Schema::Union(union) => {
            let position = u32::from(!json.is_null());
            Avro::Union(position, Box::new(convert(json, &union.variants()[position as usize], names, at)))
        }
        Schema::Null => Avro::Null,
        Schema::Ref { name } => convert(json, names[name], names, at),
        Schema::Record(RecordSchema { fields, .. }) => {
            let present: Vec<&str> = object().keys().map(String::as_str).collect();
            let mut known: Vec<&str> = fields.iter().map(|f| f.name.as_str()).collect();
            known.sort_unstable();
            assert_eq!(present, known, "fields of {at}");
            let field = |f: &apache_avro::schema::RecordField| {
                (f.name.clone(), convert(&json[&f.name], &f.schema, names, &f.name))
            };
            Avro::Record(fields.iter().map(field).collect())
        }
        other => panic!("{at}: no form for {other:?}"),
    }
}
