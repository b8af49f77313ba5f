//! Bad specs that follow from the schema: for each bound of each field, a value just beyond it.

use serde_json::{Value, json};

use super::bad_specs::BadSpec;
use crate::schema::{SchemaPath, Step, fields, smallest, spec_with};

/// Keywords of a schema that reject no value.
const HARMLESS: [&str; 9] = [
    "additionalProperties",
    "default",
    "description",
    "items",
    "properties",
    "title",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-map-type",
    "x-kubernetes-validations", // see `bad_specs`
];

/// Returns a bad spec for each bound, and its rejection in the API server's own message.
///
/// # Panics
/// When the schema has a keyword that is not supported here, so that every new one is tested.
pub(super) fn beyond_bounds(schema: &Value) -> Vec<BadSpec> {
    let mut bad = Vec::new();
    for (path, field) in fields(schema, &SchemaPath::default()) {
        for keyword in field.as_object().unwrap().keys() {
            if HARMLESS.contains(&keyword.as_str()) {
                continue;
            }
            if keyword == "required" {
                bad.extend(without_required(schema, &path, field));
            } else if let Some((value, message)) = beyond(&path, field, keyword) {
                let spec = spec_with(schema, &path, value);
                bad.push(BadSpec::beyond_bound(spec, &path.to_string(), &message));
            }
        }
    }
    bad
}

/// Returns specs that each lack one required field.
fn without_required(schema: &Value, path: &SchemaPath, field: &Value) -> Vec<BadSpec> {
    let names = field["required"].as_array().unwrap();
    let without = |name: &Value| {
        let name = name.as_str().unwrap();
        let mut value = smallest(field);
        value.as_object_mut().unwrap().remove(name);
        let missing = path.join(Step::Property(name.to_owned()));
        let spec = spec_with(schema, path, value);
        BadSpec::beyond_bound(spec, &missing.to_string(), "Required value")
    };
    names.iter().map(without).collect()
}

/// Returns a value that violates `keyword` of a field and nothing else, and the error message. Returns nothing where a narrower keyword
/// fails first.
fn beyond(path: &SchemaPath, field: &Value, keyword: &str) -> Option<(Value, String)> {
    let bound = &field[keyword];
    let text = bound.as_str().unwrap_or_default();
    let number = bound.as_f64().unwrap_or_default() as i64;
    let count = usize::try_from(number).unwrap_or_default();
    Some(match keyword {
        "type" if field.get("enum").is_some() => return None,
        "type" if text == "string" => (json!(7), format!("must be of type {text}")),
        "type" => (json!("text"), format!("must be of type {text}")),
        "x-kubernetes-int-or-string" => (json!(true), "must be of type integer,string".to_owned()),
        "format" if field.get("maximum").is_some() => return None,
        "format" if text == "int32" => (json!(1_u64 << 31), format!("with format {text}")),
        "format" if text == "int64" => (json!(1_u64 << 63), format!("must be of type {text}")),
        "minimum" => (
            json!(number - 1),
            format!("in body should be greater than or equal to {number}"),
        ),
        "maximum" => (
            json!(number + 1),
            format!("in body should be less than or equal to {number}"),
        ),
        "minLength" => (
            json!("a".repeat(count - 1)),
            format!("in body should be at least {count} chars long"),
        ),
        "maxLength" => (
            json!("1".repeat(count + 1)),
            format!("Too long: may not be more than {count} bytes"),
        ),
        "pattern" => (json!("!"), format!("in body should match '{text}'")),
        "enum" => (json!("edited"), unsupported(bound)),
        "minItems" => (
            elements(field, count - 1),
            format!("in body should have at least {count} items"),
        ),
        "maxItems" => (
            elements(field, count + 1),
            format!("Too many: {}: must have at most {count} items", count + 1),
        ),
        "maxProperties" => (
            entries(field, count + 1),
            format!("Too many: {}: must have at most {count} items", count + 1),
        ),
        "x-kubernetes-list-type" if text == "atomic" => return None,
        "x-kubernetes-list-type" => (
            json!([smallest(&field["items"]), smallest(&field["items"])]),
            "Duplicate value".to_owned(),
        ),
        _ => panic!("{path} has {keyword}: {bound}, which no test tries to break; teach this one"),
    })
}

fn unsupported(allowed: &Value) -> String {
    let values = allowed.as_array().unwrap().iter().map(Value::to_string);
    let values: Vec<String> = values.collect();
    format!(
        "Unsupported value: \"edited\": supported values: {}",
        values.join(", ")
    )
}

/// Returns a list of `count` elements without a common value.
fn elements(field: &Value, count: usize) -> Value {
    let other = |value: &Value, index: usize| match value {
        Value::String(text) => json!(format!("{text}{index}")),
        Value::Number(number) => json!(number.as_i64().unwrap() + i64::try_from(index).unwrap()),
        value => value.clone(),
    };
    let element = |index| match smallest(&field["items"]) {
        Value::Object(object) => object
            .iter()
            .map(|(name, value)| (name.clone(), other(value, index)))
            .collect(),
        value => other(&value, index),
    };
    (0..count).map(element).collect()
}

fn entries(field: &Value, count: usize) -> Value {
    let value = smallest(&field["additionalProperties"]);
    (0..count)
        .map(|index| (format!("a{index}"), value.clone()))
        .collect()
}
