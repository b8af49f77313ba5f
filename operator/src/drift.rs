//! Finds the first owned field in which a live object differs from the desired one. Never does I/O.
//!
//! Owned is what the desired object declares. A map may hold more than that: other people's labels, annotations
//! and fields stay. A list that is declared is owned as a whole, with one exception: `metadata.ownerReferences`. So is a selector, which
//! one key more makes select nothing, and a rule of a NetworkPolicy, which one key more opens or closes.

use serde_json::{Map, Value};

use crate::labels::GENERATION_ANNOTATION;

/// The fields that identify an element of a list, by the list's name, as the Kubernetes API declares them
/// (`x-kubernetes-list-map-keys`). Elements of other lists are told apart by their place.
const LIST_MAP_KEYS: [(&str, &[&str]); 6] = [
    ("containers", &["name"]),
    ("env", &["name"]),
    ("imagePullSecrets", &["name"]),
    ("ownerReferences", &["uid"]),
    ("ports", &["containerPort", "port", "protocol"]),
    (
        "topologySpreadConstraints",
        &["topologyKey", "whenUnsatisfiable"],
    ),
];

/// The maps that the Kubernetes API declares to be one value (`x-kubernetes-map-type: atomic`), as far as children have them.
const ATOMIC_MAPS: [&str; 5] = [
    "labelSelector",
    "matchLabels",
    "nodeSelector",
    "podSelector",
    "selector",
];

/// The lists of a NetworkPolicy's rules, whose elements are one value down to their last field: a rule without peers allows all of them,
/// and `endPort` or `namespaceSelector` beside what is declared allows more. The API server fills in nothing below them that is not declared.
const ATOMIC_RULES: [&str; 2] = ["spec.ingress[", "spec.egress["];

/// Returns the path of the first owned field that differs, as `spec.replicas`, and what it is instead.
pub fn first_difference(desired: &Value, live: &Value) -> Option<String> {
    difference("", desired, live)
}

/// Returns the live object with every owned field as desired. Fields that the desired object does not declare stay, such as the
/// annotation of `kubectl rollout restart`; elements that others have added to a declared list go.
pub fn with_owned_fields(desired: &Value, live: &Value) -> Value {
    merged("", desired, live)
}

fn merged(path: &str, desired: &Value, live: &Value) -> Value {
    match (desired, live) {
        (Value::Object(desired), Value::Object(live)) if !is_atomic(path) => {
            let mut merged_map = live.clone();
            for (name, value) in desired {
                let found = live.get(name).unwrap_or(&Value::Null);
                merged_map.insert(name.clone(), merged(&join(path, name), value, found));
            }
            Value::Object(merged_map)
        }
        (Value::Array(desired), Value::Array(live)) => {
            let keys = list_map_keys(path);
            let elements = desired.iter().map(|element| {
                let found = keys.and_then(|keys| {
                    let mut live = live.iter();
                    live.find(|found| has_same_keys(keys, element, found))
                });
                found.map_or_else(|| element.clone(), |found| merged(path, element, found))
            });
            Value::Array(elements.collect())
        }
        _ => desired.clone(),
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

/// Whether the last name of a path is that of a map which is one value.
fn is_atomic(path: &str) -> bool {
    ATOMIC_MAPS.contains(&path.rsplit('.').next().unwrap_or(path))
        || ATOMIC_RULES.iter().any(|rules| path.starts_with(rules))
}

/// Returns the fields that identify an element of the list at a path; none where its place does.
fn list_map_keys(path: &str) -> Option<&'static [&'static str]> {
    let list = path.rsplit('.').next().unwrap_or(path);
    LIST_MAP_KEYS
        .iter()
        .find(|(name, _)| *name == list)
        .map(|(_, keys)| *keys)
}

fn difference(path: &str, desired: &Value, live: &Value) -> Option<String> {
    match (desired, live) {
        (Value::Object(desired), Value::Object(live)) => map_difference(path, desired, live),
        (Value::Array(desired), Value::Array(live)) => list_difference(path, desired, live),
        _ if desired == live => None,
        _ => Some(format!("{path} was {live}")),
    }
}

fn map_difference(
    path: &str,
    desired: &Map<String, Value>,
    live: &Map<String, Value>,
) -> Option<String> {
    let differing = desired
        .iter()
        .filter(|(name, _)| *name != GENERATION_ANNOTATION)
        .find_map(|(name, value)| {
            let path = join(path, name);
            match live.get(name) {
                Some(found) => difference(&path, value, found),
                None if is_empty(value) => None,
                None => Some(format!("{path} was missing")),
            }
        });
    differing.or_else(|| {
        let mut more = live.keys().filter(|name| !desired.contains_key(*name));
        let name = more.next().filter(|_| is_atomic(path))?;
        Some(format!("{path}.{name} was there"))
    })
}

fn list_difference(path: &str, desired: &[Value], live: &[Value]) -> Option<String> {
    let list = path.rsplit('.').next().unwrap_or(path);
    let keys = list_map_keys(path);
    let found_for = |index: usize, element: &Value| match keys {
        Some(keys) => live
            .iter()
            .find(|found| has_same_keys(keys, element, found)),
        None => live.get(index),
    };
    let differing = desired.iter().enumerate().find_map(|(index, element)| {
        let path = format!("{path}[{index}]");
        match found_for(index, element) {
            Some(found) => difference(&path, element, found),
            None => Some(format!("{path} was missing")),
        }
    });
    differing.or_else(|| {
        let has_more = live.len() > desired.len() && list != "ownerReferences";
        has_more.then(|| {
            format!(
                "{path} had {} elements too many",
                live.len() - desired.len()
            )
        })
    })
}

fn has_same_keys(keys: &[&str], desired: &Value, live: &Value) -> bool {
    keys.iter().all(|key| desired.get(key) == live.get(key))
}

/// Whether the API server would leave out a field of this value.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_replacement_keeps_the_fields_and_drops_the_list_elements_of_others() {
        let desired = json!({"spec": {"selector": {"a": "b"}, "ports": [{"port": 7, "protocol": "TCP", "name": "echo"}]}});
        let live = json!({"spec": {
            "publishNotReadyAddresses": true,
            "selector": {"a": "b", "c": "d"},
            "ports": [
                {"port": 9, "protocol": "TCP", "name": "extra"},
                {"port": 7, "protocol": "TCP", "name": "other", "nodePort": 30007},
            ],
        }});
        let expected = json!({"spec": {
            "publishNotReadyAddresses": true,
            "selector": {"a": "b"},
            "ports": [{"port": 7, "protocol": "TCP", "name": "echo", "nodePort": 30007}],
        }});
        let replacement = with_owned_fields(&desired, &live);
        assert_eq!(replacement, expected);
        assert_eq!(first_difference(&desired, &replacement), None);
    }

    fn assert_difference(desired: &Value, live: &Value, expected: Option<&str>) {
        assert_eq!(first_difference(desired, live).as_deref(), expected);
    }

    #[test]
    fn fields_that_are_not_declared_do_not_matter() {
        let live = json!({"spec": {"replicas": 1, "paused": true}, "status": {}});
        assert_difference(&json!({"spec": {"replicas": 1}}), &live, None);
    }

    #[test]
    fn a_changed_leaf_is_named_with_its_value() {
        let live = json!({"spec": {"replicas": 7}});
        assert_difference(
            &json!({"spec": {"replicas": 1}}),
            &live,
            Some("spec.replicas was 7"),
        );
    }

    #[test]
    fn a_removed_leaf_is_named() {
        assert_difference(
            &json!({"spec": {"replicas": 1}}),
            &json!({"spec": {}}),
            Some("spec.replicas was missing"),
        );
    }

    #[test]
    fn the_order_of_a_keyed_list_does_not_matter() {
        let one = json!({"port": 1, "protocol": "TCP"});
        let two = json!({"port": 2, "protocol": "TCP"});
        assert_difference(
            &json!({"ports": [one, two]}),
            &json!({"ports": [two, one]}),
            None,
        );
        let [one, two] = ["POD_NAME", "NODE_NAME"].map(|name| json!({"name": name}));
        assert_difference(
            &json!({"env": [one, two]}),
            &json!({"env": [two, one]}),
            None,
        );
    }

    #[test]
    fn the_order_of_arguments_matters() {
        assert_difference(
            &json!({"args": ["a", "b"]}),
            &json!({"args": ["b", "a"]}),
            Some("args[0] was \"b\""),
        );
    }

    #[test]
    fn an_added_list_element_is_a_difference() {
        let live = json!({"containers": [{"name": "a"}, {"name": "b"}]});
        assert_difference(
            &json!({"containers": [{"name": "a"}]}),
            &live,
            Some("containers had 1 elements too many"),
        );
    }

    #[test]
    fn a_renamed_list_element_is_a_difference() {
        let live = json!({"containers": [{"name": "b"}]});
        assert_difference(
            &json!({"containers": [{"name": "a"}]}),
            &live,
            Some("containers[0] was missing"),
        );
    }

    #[test]
    fn a_second_owner_reference_is_none_of_our_business() {
        let live = json!({"ownerReferences": [{"uid": "other"}, {"uid": "ours"}]});
        assert_difference(&json!({"ownerReferences": [{"uid": "ours"}]}), &live, None);
    }

    #[test]
    fn the_generation_stamp_alone_is_no_difference() {
        let desired = json!({"annotations": {GENERATION_ANNOTATION: "2"}});
        assert_difference(
            &desired,
            &json!({"annotations": {GENERATION_ANNOTATION: "1"}}),
            None,
        );
    }

    #[test]
    fn a_selector_with_one_key_more_differs() {
        let desired = json!({"spec": {"selector": {"a": "b"}}});
        let live = json!({"spec": {"selector": {"a": "b", "x": "y"}}});
        assert_difference(&desired, &live, Some("spec.selector.x was there"));
        let policy = json!({"spec": {"podSelector": {"matchLabels": {"a": "b"}}}});
        let live = json!({"spec": {"podSelector": {"matchLabels": {"a": "b", "x": "y"}}}});
        let found = Some("spec.podSelector.matchLabels.x was there");
        assert_difference(&policy, &live, found);
    }

    #[test]
    fn a_rule_of_a_network_policy_with_one_field_more_differs() {
        let desired = json!({"spec": {"egress": [{"ports": [{"port": 53, "protocol": "UDP"}]}]}});
        let wider = json!({"port": 53, "protocol": "UDP", "endPort": 65535});
        let live = json!({"spec": {"egress": [{"ports": [wider]}]}});
        let found = Some("spec.egress[0].ports[0].endPort was there");
        assert_difference(&desired, &live, found);
        let desired = json!({"spec": {"ingress": [{"from": [{"podSelector": {}}]}]}});
        let peer = json!({"podSelector": {}, "namespaceSelector": {}});
        let live = json!({"spec": {"ingress": [{"from": [peer]}]}});
        let found = Some("spec.ingress[0].from[0].namespaceSelector was there");
        assert_difference(&desired, &live, found);
    }
}
