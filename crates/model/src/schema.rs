//! The language as a JSON Schema, for editors: completion, words beside keys, misspelt keys underlined.
//!
//! Printed from the tables of `language`, so it knows what the loader knows of keys and types. What needs more than one
//! place of a file to be judged (names, expressions, circles) is the loader's alone.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::language::FILE;
use crate::shape::{Record, Shape};

/// The schema as text, JSON Schema draft 2020-12, with a newline at its end.
pub fn schema() -> String {
    let mut definitions = BTreeMap::new();
    let root = of_shape(&FILE, &mut definitions);
    let whole = object([
        ("$defs", Value::Object(definitions.into_iter().collect())),
        ("$id", json!("urn:ripen:schema:ripen-model.v1")),
        ("$ref", root["$ref"].clone()),
        ("$schema", json!("https://json-schema.org/draft/2020-12/schema")),
        ("description", json!("A scoring model of Ripen, read as YAML 1.2.")),
        ("title", json!("Scoring model, ripen/v1")),
    ]);
    format!("{whole:#}\n")
}

/// An object whose keys stand in the order of the alphabet, however maps are built elsewhere in the program.
fn object<'k>(entries: impl IntoIterator<Item = (&'k str, Value)>) -> Value {
    let sorted: BTreeMap<&str, Value> = entries.into_iter().collect();
    Value::Object(sorted.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

fn text(pattern: &str) -> Value {
    object([("type", json!("string")), ("pattern", json!(pattern))])
}

fn list(items: Value) -> Value {
    object([("type", json!("array")), ("items", items)])
}

fn any_of(shapes: Vec<Value>) -> Value {
    object([("anyOf", Value::Array(shapes))])
}

fn of_shape(shape: &Shape, definitions: &mut BTreeMap<String, Value>) -> Value {
    match shape {
        Shape::Text => object([("type", json!("string")), ("minLength", json!(1))]),
        Shape::Name => text("^[A-Za-z_][A-Za-z0-9_]{0,63}$"),
        Shape::Id => text("^[A-Za-z0-9_.-]{1,64}$"),
        Shape::Scalar => object([("type", json!(["boolean", "number", "string"]))]),
        Shape::Boolean => object([("type", json!("boolean"))]),
        Shape::True => object([("const", json!(true))]),
        Shape::Word(words) => object([("enum", json!(words))]),
        Shape::Integer(from, to) => {
            object([("type", json!("integer")), ("minimum", json!(from)), ("maximum", json!(to))])
        }
        // A limit on decimals is left to the loader: `multipleOf` of binary fractions is not exact.
        Shape::Decimal(_, from, to) => {
            object([("type", json!("number")), ("minimum", json!(from)), ("maximum", json!(to))])
        }
        Shape::Duration => text("^([0-9]+[smhdw])+$"),
        Shape::Date => text("^[0-9]{4}-[0-9]{2}-[0-9]{2}$"),
        Shape::Predicate => any_of(vec![text("\\S"), object([("type", json!("boolean"))])]),
        Shape::List(item) => list(of_shape(item, definitions)),
        Shape::OneOrMany(item) => {
            let item = of_shape(item, definitions);
            any_of(vec![item.clone(), list(item)])
        }
        Shape::Pair(first, second) => object([
            ("type", json!("array")),
            ("prefixItems", Value::Array(vec![of_shape(first, definitions), of_shape(second, definitions)])),
            ("minItems", json!(2)),
            ("maxItems", json!(2)),
        ]),
        Shape::Map(keys, values) => {
            let values = of_shape(values, definitions);
            let map = [("type", json!("object")), ("additionalProperties", values)];
            object(map.into_iter().chain(names_of(keys, definitions)))
        }
        Shape::Record(record) => {
            let name = record.what.replace("'s", "").replace(' ', "-");
            if !definitions.contains_key(&name) {
                let compiled = of_record(record, definitions);
                definitions.insert(name.clone(), compiled);
            }
            object([("$ref", json!(format!("#/$defs/{name}")))])
        }
        Shape::Either(_, shapes) => any_of(shapes.iter().map(|shape| of_shape(shape, definitions)).collect()),
    }
}

fn of_record(record: &Record, definitions: &mut BTreeMap<String, Value>) -> Value {
    let about = |mut shape: Value, about: &str| {
        if let Value::Object(keys) = &mut shape {
            keys.insert("description".to_owned(), json!(about));
        }
        shape
    };
    let keys: Vec<(&str, Value)> = record
        .keys
        .iter()
        .map(|key| (key.name, about(of_shape(&key.shape, definitions), key.about)))
        .collect();
    let required: Vec<&str> = record.keys.iter().filter(|key| key.required).map(|key| key.name).collect();
    let others = match record.rest {
        None => json!(false),
        Some(rest) => about(of_shape(rest.values, definitions), rest.about),
    };
    let names = record.rest.and_then(|rest| names_of(rest.keys, definitions));
    let mut entries =
        vec![("type", json!("object")), ("properties", object(keys)), ("additionalProperties", others)];
    if !required.is_empty() {
        entries.push(("required", json!(required)));
    }
    object(entries.into_iter().chain(names))
}

/// What keys have to look like, where a file's author names them; a key of any scalar type arrives as its text.
fn names_of(keys: &Shape, definitions: &mut BTreeMap<String, Value>) -> Option<(&'static str, Value)> {
    let constrained = matches!(keys, Shape::Name | Shape::Id | Shape::Word(_));
    constrained.then(|| ("propertyNames", of_shape(keys, definitions)))
}
