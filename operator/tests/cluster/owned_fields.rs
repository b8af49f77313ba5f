//! The fields of an object that the operator owns by `metadata.managedFields`, and other values for them.

use std::fmt;

use operator::model::metadata::FIELD_MANAGER;
use serde_json::{Map, Value, json};

/// Other valid values for enums and quantities.
const ALTERNATIVES: [(&str, &str); 26] = [
    ("1", "2"),
    ("10m", "11m"),
    ("16Mi", "17Mi"),
    ("AlwaysAllow", "IfHealthyBudget"),
    ("25%", "26%"),
    ("64Mi", "65Mi"),
    ("ClusterIP", "NodePort"),
    ("ClientIP", "None"),
    ("Cluster", "Local"),
    ("ClusterFirst", "Default"),
    ("DoNotSchedule", "ScheduleAnyway"),
    ("FallbackToLogsOnError", "File"),
    ("HTTP", "HTTPS"),
    ("IfNotPresent", "Always"),
    ("Local", "Cluster"),
    ("NodePort", "ClusterIP"),
    ("None", "ClientIP"),
    ("PreferClose", "PreferSameZone"),
    ("RuntimeDefault", "Unconfined"),
    ("ScheduleAnyway", "DoNotSchedule"),
    ("SingleStack", "PreferDualStack"),
    ("TCP", "UDP"),
    ("UDP", "TCP"),
    ("metadata.name", "metadata.uid"),
    ("metadata.namespace", "metadata.uid"),
    ("spec.nodeName", "status.hostIP"),
];

/// The path of a field in an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path(Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// Into a map.
    Field(String),
    /// Into a list, to the element that has these keys.
    Element(Map<String, Value>),
}

/// Lists the fields that the operator owns: leaves and list elements.
pub(crate) fn owned_fields(object: &Value) -> Vec<Path> {
    let entries = object
        .pointer("/metadata/managedFields")
        .and_then(Value::as_array);
    // A child that has not changed since its creation has an entry with operation Update.
    let ours = entries
        .into_iter()
        .flatten()
        .filter(|entry| entry["manager"] == FIELD_MANAGER && entry["subresource"].is_null());
    let mut fields = Vec::new();
    for entry in ours {
        walk(&entry["fieldsV1"], &Path(Vec::new()), &mut fields);
    }
    fields
}

fn walk(owned: &Value, path: &Path, fields: &mut Vec<Path>) {
    let owned = owned.as_object().unwrap();
    if owned.is_empty() || (path.is_element() && owned.contains_key(".")) {
        fields.push(path.clone());
    }
    for (key, below) in owned {
        let step = match key.split_once(':') {
            Some(("f", name)) => Step::Field(name.to_owned()),
            Some(("k", keys)) => Step::Element(serde_json::from_str(keys).unwrap()),
            _ if key == "." => continue,
            _ => panic!(
                "{path}: the operator owns a single value of a set, {key}, which is not supported here"
            ),
        };
        let steps = path.0.iter().cloned().chain([step]).collect();
        walk(below, &Path(steps), fields);
    }
}

impl Path {
    /// Returns the value at the path, if it exists.
    pub(crate) fn get<'a>(&self, object: &'a Value) -> Option<&'a Value> {
        self.0.iter().try_fold(object, |value, step| match step {
            Step::Field(name) => value.get(name),
            Step::Element(keys) => value.as_array()?.iter().find(|element| has(element, keys)),
        })
    }

    /// Sets the value at the path.
    pub(crate) fn set(&self, object: &mut Value, value: Value) {
        *self.get_mut(object) = value;
    }

    /// Removes the value at the path.
    pub(crate) fn remove(&self, object: &mut Value) {
        let (last, parents) = self.0.split_last().unwrap();
        let parent = Self(parents.to_vec()).get_mut_owned(object);
        match last {
            Step::Field(name) => drop(parent.as_object_mut().unwrap().remove(name)),
            Step::Element(keys) => parent
                .as_array_mut()
                .unwrap()
                .retain(|element| !has(element, keys)),
        }
    }

    /// Whether this is an element of a list as a whole.
    pub(crate) fn is_element(&self) -> bool {
        matches!(self.0.last(), Some(Step::Element(_)))
    }

    /// Whether the field identifies an element of a list.
    pub(crate) fn is_list_key(&self) -> bool {
        match self.0.as_slice() {
            [.., Step::Element(keys), Step::Field(name)] => keys.contains_key(name),
            _ => false,
        }
    }

    fn get_mut<'a>(&self, object: &'a mut Value) -> &'a mut Value {
        self.clone().get_mut_owned(object)
    }

    fn get_mut_owned(self, object: &mut Value) -> &mut Value {
        self.0.into_iter().fold(object, |value, step| match step {
            Step::Field(name) => &mut value[name],
            Step::Element(keys) => {
                let mut elements = value.as_array_mut().unwrap().iter_mut();
                elements.find(|element| has(element, &keys)).unwrap()
            }
        })
    }
}

impl fmt::Display for Path {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.0.iter().enumerate() {
            match step {
                Step::Field(name) if index == 0 => formatter.write_str(name)?,
                Step::Field(name) => write!(formatter, ".{name}")?,
                Step::Element(keys) => {
                    let keys: Vec<String> = keys
                        .iter()
                        .map(|(key, value)| format!("{key}={value}"))
                        .collect();
                    write!(formatter, "[{}]", keys.join(",").replace('"', ""))?;
                }
            }
        }
        Ok(())
    }
}

fn has(element: &Value, keys: &Map<String, Value>) -> bool {
    keys.iter()
        .all(|(key, value)| element.get(key) == Some(value))
}

/// Returns other values of the same type. The API server may reject some.
pub(crate) fn altered(value: &Value) -> Vec<Value> {
    match value {
        Value::Null => vec![json!("edited")],
        Value::Bool(flag) => vec![json!(!flag)],
        Value::Number(number) => vec![json!(number.as_i64().unwrap() + 1)],
        Value::String(text) => match ALTERNATIVES.iter().find(|(known, _)| known == text) {
            Some((_, alternative)) => vec![json!(alternative)],
            None => vec![json!(format!("{text}-edited"))],
        },
        Value::Array(elements) => {
            let more = elements.iter().cloned().chain([json!("edited")]).collect();
            let fewer = elements.iter().skip(1).cloned().collect();
            let with_first = |first| [first].into_iter().chain(elements.iter().skip(1).cloned());
            let others = elements.first().map(altered).unwrap_or_default();
            let others = others.into_iter().map(|first| with_first(first).collect());
            [more, fewer].into_iter().chain(others).collect()
        }
        Value::Object(fields) => {
            let alter = |name: &String, field: &Value| {
                let with = |other| {
                    let mut fields = fields.clone();
                    fields.insert(name.clone(), other);
                    Value::Object(fields)
                };
                altered(field).into_iter().map(with).collect::<Vec<_>>()
            };
            fields
                .iter()
                .flat_map(|(name, field)| alter(name, field))
                .collect()
        }
    }
}
