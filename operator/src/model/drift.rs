//! Finds the first owned field in which a live object differs from the desired one.
//!
//! In `metadata`, owned is what the desired object declares; labels, annotations and owner references of other clients stay. The whole
//! `spec` is owned. A field that the desired object does not declare has to be absent there, since the builders declare every field that
//! the API server would set to a default; `UNOWNED_FIELDS` are the exceptions. So a field that opens a NetworkPolicy or a Service cannot be
//! added unnoticed. A list is owned as a whole, but for `metadata.ownerReferences`.

use serde_json::{Map, Value};

use crate::model::metadata::GENERATION_ANNOTATION;

/// The fields of a `spec` that are not owned unless they are declared. `[]` stands for any element of a list.
const UNOWNED_FIELDS: [&str; 8] = [
    // The API server allocates them.
    "spec.clusterIP",
    "spec.clusterIPs",
    "spec.healthCheckNodePort",
    "spec.ipFamilies",
    "spec.ports[].nodePort",
    // `kubectl rollout pause` sets it, and the status reports it.
    "spec.paused",
    // `kubectl rollout restart` sets an annotation, and so do tools that restart pods when a Secret changes.
    "spec.template.metadata.annotations",
    "spec.template.metadata.labels",
];

/// The fields that identify an element of a list, by the list's name, as the Kubernetes API declares them
/// (`x-kubernetes-list-map-keys`). Elements of other lists are identified by their index.
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

/// Returns the path of the first owned field that differs, as `spec.replicas`, and what it is instead.
pub fn first_difference(desired: &Value, live: &Value) -> Option<String> {
    difference("", desired, live)
}

/// Returns the live object with every owned field as desired. Unowned fields stay, such as the annotation of `kubectl rollout restart`.
pub fn with_owned_fields(desired: &Value, live: &Value) -> Value {
    merged("", desired, live)
}

fn merged(path: &str, desired: &Value, live: &Value) -> Value {
    match (desired, live) {
        (Value::Object(desired), Value::Object(live)) => {
            let of_others = live.iter().filter(|(name, _)| is_unowned(path, name));
            let of_others = of_others.map(|(name, value)| (name.clone(), value.clone()));
            let mut merged_map: Map<String, Value> = of_others.collect();
            for (name, value) in desired {
                let found = live.get(name).unwrap_or(&Value::Null);
                merged_map.insert(name.clone(), merged(&join(path, name), value, found));
            }
            Value::Object(merged_map)
        }
        (Value::Array(desired), Value::Array(live)) => {
            let keys = list_map_keys(path);
            let elements = desired.iter().enumerate().map(|(index, element)| {
                let found = keys.and_then(|keys| {
                    let mut live = live.iter();
                    live.find(|found| has_same_keys(keys, element, found))
                });
                found.map_or_else(
                    || element.clone(),
                    |found| merged(&format!("{path}[{index}]"), element, found),
                )
            });
            Value::Array(elements.collect())
        }
        _ => desired.clone(),
    }
}

/// Whether a field is not owned unless the desired object declares it.
fn is_unowned(path: &str, name: &str) -> bool {
    if path != "spec" && !path.starts_with("spec.") {
        return true;
    }
    let (parent, field) = (without_indices(path), without_indices(&join(path, name)));
    UNOWNED_FIELDS.contains(&parent.as_str()) || UNOWNED_FIELDS.contains(&field.as_str())
}

/// Returns a path with `[]` for each index of a list.
fn without_indices(path: &str) -> String {
    let mut parts = path.split('[');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |path, part| {
        let rest = part.split_once(']').map_or("", |(_, rest)| rest);
        format!("{path}[]{rest}")
    })
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
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
        .find_map(|(name, value)| match live.get(name) {
            // Most fields are equal, and need no path.
            Some(found) if found == value => None,
            Some(found) => difference(&join(path, name), value, found),
            None if is_empty(value) => None,
            None => Some(format!("{} was missing", join(path, name))),
        });
    differing.or_else(|| {
        let mut undeclared = live
            .iter()
            .filter(|(name, value)| !desired.contains_key(*name) && !value.is_null());
        let (name, value) = undeclared.find(|(name, _)| !is_unowned(path, name))?;
        Some(format!("{} was {value}", join(path, name)))
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
        has_more.then(|| match live.len() - desired.len() {
            1 => format!("{path} had 1 unexpected element"),
            count => format!("{path} had {count} unexpected elements"),
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
    fn a_replacement_keeps_fields_of_other_managers_and_drops_undeclared_ones() {
        let desired = json!({"spec": {"selector": {"a": "b"}, "ports": [{"port": 7, "protocol": "TCP", "name": "echo"}]}});
        let live = json!({"metadata": {"labels": {"x": "y"}}, "spec": {
            "publishNotReadyAddresses": true,
            "clusterIP": "10.0.0.1",
            "selector": {"a": "b", "c": "d"},
            "ports": [
                {"port": 9, "protocol": "TCP", "name": "extra"},
                {"port": 7, "protocol": "TCP", "name": "other", "nodePort": 30007},
            ],
        }});
        let expected = json!({"metadata": {"labels": {"x": "y"}}, "spec": {
            "clusterIP": "10.0.0.1",
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
    fn undeclared_fields_of_the_metadata_and_the_status_are_not_owned() {
        let live = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"replicas": 1}, "status": {"replicas": 1}});
        assert_difference(
            &json!({"metadata": {}, "spec": {"replicas": 1}}),
            &live,
            None,
        );
    }

    #[test]
    fn an_undeclared_field_of_the_spec_is_a_difference_unless_it_has_another_manager() {
        let desired = json!({"spec": {"replicas": 1, "template": {"metadata": {}, "spec": {}}}});
        let with = |pointer: &str, field: &str, value: Value| {
            let mut live = desired.clone();
            live.pointer_mut(pointer).unwrap()[field] = value;
            live
        };
        let live = with("/spec", "minReadySeconds", json!(5));
        assert_difference(&desired, &live, Some("spec.minReadySeconds was 5"));
        let live = with("/spec/template/spec", "hostNetwork", json!(true));
        assert_difference(
            &desired,
            &live,
            Some("spec.template.spec.hostNetwork was true"),
        );
        assert_difference(&desired, &with("/spec", "paused", json!(true)), None);
        let restarted = json!({"kubectl.kubernetes.io/restartedAt": "now"});
        let live = with("/spec/template/metadata", "annotations", restarted);
        assert_difference(&desired, &live, None);
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
            Some("containers had 1 unexpected element"),
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
    fn additional_owner_references_are_ignored() {
        let live = json!({"ownerReferences": [{"uid": "other"}, {"uid": "ours"}]});
        assert_difference(&json!({"ownerReferences": [{"uid": "ours"}]}), &live, None);
    }

    #[test]
    fn the_generation_annotation_alone_is_no_difference() {
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
        assert_difference(&desired, &live, Some("spec.selector.x was \"y\""));
        let policy = json!({"spec": {"podSelector": {"matchLabels": {"a": "b"}}}});
        let live = json!({"spec": {"podSelector": {"matchLabels": {"a": "b", "x": "y"}}}});
        let found = Some("spec.podSelector.matchLabels.x was \"y\"");
        assert_difference(&policy, &live, found);
    }

    #[test]
    fn a_rule_of_a_network_policy_with_one_field_more_differs() {
        let desired = json!({"spec": {"egress": [{"ports": [{"port": 53, "protocol": "UDP"}]}]}});
        let wider = json!({"port": 53, "protocol": "UDP", "endPort": 65535});
        let live = json!({"spec": {"egress": [{"ports": [wider]}]}});
        let found = Some("spec.egress[0].ports[0].endPort was 65535");
        assert_difference(&desired, &live, found);
        let desired = json!({"spec": {"ingress": [{"from": [{"podSelector": {}}]}]}});
        let peer = json!({"podSelector": {}, "namespaceSelector": {}});
        let live = json!({"spec": {"ingress": [{"from": [peer]}]}});
        let found = Some("spec.ingress[0].from[0].namespaceSelector was {}");
        assert_difference(&desired, &live, found);
    }
}
