//! Structured merge, as server-side apply does it, by the list and map types of the Kubernetes API.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::fields::FieldSet;
use crate::kind::Kind;

/// How a value is merged and owned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// A scalar, or a list or map that is one value.
    Atomic,
    /// A map whose fields have owners of their own.
    Granular,
    /// A list whose elements are identified by these fields.
    Keyed(&'static [&'static str]),
    /// A list of distinct scalars.
    Set,
}

/// Maps that are one value, by the name of the field. `[]` means an element of the list.
const ATOMIC_MAPS: [&str; 10] = [
    "configMapKeyRef",
    "fieldRef",
    "imagePullSecrets[]",
    "labelSelector",
    "nodeSelector",
    "ownerReferences[]",
    "podSelector",
    "resourceFieldRef",
    "secretKeyRef",
    "selector",
];

fn shape(kind: Kind, field: &str, value: &Value) -> Shape {
    match value {
        Value::Object(_) if ATOMIC_MAPS.contains(&field) => Shape::Atomic,
        Value::Object(_) => Shape::Granular,
        Value::Array(_) => list_shape(kind, field),
        _ => Shape::Atomic,
    }
}

fn list_shape(kind: Kind, field: &str) -> Shape {
    match (field, kind) {
        ("containers" | "initContainers" | "env" | "imagePullSecrets" | "volumes", _) => {
            Shape::Keyed(&["name"])
        }
        ("conditions", _) => Shape::Keyed(&["type"]),
        ("ownerReferences", _) => Shape::Keyed(&["uid"]),
        ("volumeMounts", _) => Shape::Keyed(&["mountPath"]),
        ("topologySpreadConstraints", _) => Shape::Keyed(&["topologyKey", "whenUnsatisfiable"]),
        ("ports", Kind::Service) => Shape::Keyed(&["port", "protocol"]),
        ("ports", Kind::Deployment | Kind::Pod) => Shape::Keyed(&["containerPort", "protocol"]),
        ("finalizers", _) | ("loadBalancerSourceRanges", Kind::EchoCluster) => Shape::Set,
        _ => Shape::Atomic,
    }
}

/// Returns the path element of a list's element. A protocol that is left out is TCP.
fn key(keys: &[&str], element: &Value) -> String {
    let part = |key: &&str| {
        let default = (*key == "protocol").then(|| Value::from("TCP"));
        let value = element.get(*key).cloned().or(default);
        ((*key).to_owned(), value.unwrap_or(Value::Null))
    };
    let parts: BTreeMap<String, Value> = keys.iter().map(part).collect();
    format!("k:{}", serde_json::to_string(&parts).unwrap())
}

fn element_field(field: &str) -> String {
    format!("{field}[]")
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Collects the fields that a value has.
pub(crate) fn collect(kind: Kind, field: &str, value: &Value, set: &mut FieldSet) {
    match shape(kind, field, value) {
        Shape::Atomic => set.is_member = true,
        Shape::Granular => {
            let map = value.as_object().unwrap();
            set.is_member |= map.is_empty();
            for (name, value) in map {
                collect(kind, name, value, set.child(format!("f:{name}")));
            }
        }
        Shape::Keyed(keys) => {
            for element in array(value) {
                let below = set.child(key(keys, element));
                below.is_member = true;
                collect(kind, &element_field(field), element, below);
            }
        }
        Shape::Set => {
            for element in array(value) {
                set.child(format!("v:{element}")).is_member = true;
            }
        }
    }
}

/// Collects the fields of a value and all of their parents.
fn collect_all(kind: Kind, field: &str, value: &Value, set: &mut FieldSet) {
    fn mark(set: &mut FieldSet) {
        set.is_member = true;
        set.children.values_mut().for_each(mark);
    }
    collect(kind, field, value, set);
    mark(set);
}

/// Merges an applied configuration into a live value.
pub(crate) fn merge(kind: Kind, field: &str, live: &Value, applied: &Value) -> Value {
    let shapes = (shape(kind, field, live), shape(kind, field, applied));
    match (live, applied) {
        (Value::Object(live), Value::Object(new))
            if shapes == (Shape::Granular, Shape::Granular) =>
        {
            let mut merged = live.clone();
            for (name, value) in new {
                let below = match live.get(name) {
                    Some(found) => merge(kind, name, found, value),
                    None => value.clone(),
                };
                merged.insert(name.clone(), below);
            }
            Value::Object(merged)
        }
        (Value::Array(live), Value::Array(new)) => match shapes.1 {
            Shape::Keyed(keys) => merge_keyed(kind, field, keys, live, new),
            Shape::Set => {
                let mut merged = live.clone();
                merged.extend(new.iter().filter(|value| !live.contains(value)).cloned());
                Value::Array(merged)
            }
            Shape::Atomic | Shape::Granular => applied.clone(),
        },
        _ => applied.clone(),
    }
}

/// Merges lists whose elements have keys, in the order of the applied list. Elements that only the live list has keep their place.
fn merge_keyed(kind: Kind, field: &str, keys: &[&str], live: &[Value], new: &[Value]) -> Value {
    let live_keys: Vec<String> = live.iter().map(|element| key(keys, element)).collect();
    let new_keys: Vec<String> = new.iter().map(|element| key(keys, element)).collect();
    let mut merged = Vec::with_capacity(live.len() + new.len());
    let mut at = 0;
    let keep_live_only = |merged: &mut Vec<Value>, at: &mut usize| {
        while *at < live.len() && !new_keys.contains(&live_keys[*at]) {
            merged.push(live[*at].clone());
            *at += 1;
        }
    };
    for (element, element_key) in new.iter().zip(&new_keys) {
        keep_live_only(&mut merged, &mut at);
        let found = live_keys.iter().position(|key| key == element_key);
        merged.push(found.map_or_else(
            || element.clone(),
            |found| merge(kind, &element_field(field), &live[found], element),
        ));
        if found == Some(at) {
            at += 1;
        }
    }
    while at < live.len() {
        keep_live_only(&mut merged, &mut at);
        at += 1;
    }
    Value::Array(merged)
}

/// Removes what `last` has and `kept` does not: fields that a manager applied before, no longer applies, and that no other manager owns.
pub(crate) fn prune(kind: Kind, field: &str, value: &mut Value, last: &FieldSet, kept: &FieldSet) {
    let is_pruned = |element: &str| {
        // The metadata have fields that no manager owns.
        element != "f:metadata"
            && last.children.contains_key(element)
            && !kept.children.contains_key(element)
    };
    let nothing = FieldSet::default();
    let descend = |element: &str, field: &str, below: &mut Value| {
        if let Some(last) = last.children.get(element) {
            let kept = kept.children.get(element).unwrap_or(&nothing);
            prune(kind, field, below, last, kept);
        }
    };
    let shape = shape(kind, field, value);
    match (value, shape) {
        (Value::Object(map), Shape::Granular) => {
            map.retain(|name, _| !is_pruned(&format!("f:{name}")));
            for (name, below) in map {
                descend(&format!("f:{name}"), name, below);
            }
        }
        (Value::Array(elements), Shape::Keyed(keys)) => {
            elements.retain(|element| !is_pruned(&key(keys, element)));
            for element in elements {
                descend(&key(keys, element), &element_field(field), element);
            }
        }
        (Value::Array(elements), Shape::Set) => {
            elements.retain(|element| !is_pruned(&format!("v:{element}")));
        }
        _ => (),
    }
}

/// The fields in which two values differ.
#[derive(Default)]
pub(crate) struct Changes {
    /// Fields that are new or have another value.
    pub(crate) written: FieldSet,
    /// Fields that no longer exist.
    pub(crate) removed: FieldSet,
}

/// Compares two objects.
pub(crate) fn compare(kind: Kind, before: &Value, after: &Value) -> Changes {
    let mut changes = Changes::default();
    let Changes { written, removed } = &mut changes;
    difference(kind, "", (Some(before), Some(after)), written, removed);
    drop_empty(written);
    drop_empty(removed);
    changes
}

fn difference(
    kind: Kind,
    field: &str,
    values: (Option<&Value>, Option<&Value>),
    written: &mut FieldSet,
    removed: &mut FieldSet,
) {
    let (before, after) = match values {
        (None, None) => return,
        (None, Some(after)) => return collect_all(kind, field, after, written),
        (Some(before), None) => return collect_all(kind, field, before, removed),
        (Some(before), Some(after)) if before == after => return,
        (Some(before), Some(after)) => (before, after),
    };
    let shapes = (shape(kind, field, before), shape(kind, field, after));
    let (before, after, field) = match shapes {
        (Shape::Granular, Shape::Granular) => (by_name(before), by_name(after), None),
        (Shape::Keyed(keys), Shape::Keyed(_)) => {
            let below = Some(element_field(field));
            (by_key(keys, before), by_key(keys, after), below)
        }
        (Shape::Set, Shape::Set) => (
            by_value(before),
            by_value(after),
            Some(element_field(field)),
        ),
        _ => {
            written.is_member = true;
            return;
        }
    };
    let elements: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for element in elements {
        let name = field.as_deref().unwrap_or_else(|| &element[2..]);
        let values = (before.get(element).copied(), after.get(element).copied());
        let (written, removed) = (
            written.child(element.clone()),
            removed.child(element.clone()),
        );
        difference(kind, name, values, written, removed);
    }
}

fn by_name(map: &Value) -> BTreeMap<String, &Value> {
    let fields = map.as_object().into_iter().flat_map(Map::iter);
    fields
        .map(|(name, value)| (format!("f:{name}"), value))
        .collect()
}

fn by_key<'a>(keys: &[&str], list: &'a Value) -> BTreeMap<String, &'a Value> {
    array(list)
        .iter()
        .map(|element| (key(keys, element), element))
        .collect()
}

fn by_value(list: &Value) -> BTreeMap<String, &Value> {
    array(list)
        .iter()
        .map(|element| (format!("v:{element}"), element))
        .collect()
}

/// Removes nodes without members.
pub(crate) fn drop_empty(set: &mut FieldSet) {
    set.children.values_mut().for_each(drop_empty);
    set.children.retain(|_, child| !child.is_empty());
}
