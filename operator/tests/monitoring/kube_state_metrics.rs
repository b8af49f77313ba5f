//! The configuration for kube-state-metrics.

use serde_json::{Value, json};

/// Adds the fields of `metadata` that the API server sets to the schema, which does not have them.
fn schema() -> Value {
    let crd: Value = serde_yaml::from_str(include_str!("../../../crds/echoclusters.yaml")).unwrap();
    let mut schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone();
    schema["properties"]["metadata"] = json!({"properties": {
        "name": {}, "namespace": {}, "generation": {}, "creationTimestamp": {},
    }});
    schema
}

/// Finds the schema of a field below another one. That of a list is the schema of its elements.
#[track_caller]
fn field(schema: &Value, path: &Value) -> Value {
    let mut schema = schema.clone();
    for part in path.as_array().into_iter().flatten() {
        let part = part.as_str().unwrap();
        let object = schema.get("items").unwrap_or(&schema);
        let found = object["properties"].get(part);
        schema = found.unwrap_or_else(|| panic!("no field {path}")).clone();
    }
    schema.get("items").unwrap_or(&schema).clone()
}

#[test]
fn every_path_exists_in_the_schema() {
    let configuration: Value = serde_yaml::from_str(include_str!(
        "../../../config/monitoring/kube-state-metrics.yaml"
    ))
    .unwrap();
    let resource = &configuration["spec"]["resources"][0];
    let kind = json!({"group": "echo-operator.dev", "version": "v1alpha1", "kind": "EchoCluster"});
    assert_eq!(resource["groupVersionKind"], kind);
    let schema = schema();
    for path in resource["labelsFromPath"].as_object().unwrap().values() {
        field(&schema, path);
    }
    let metrics = resource["metrics"].as_array().unwrap();
    assert!(metrics.len() > 10, "{} metrics", metrics.len());
    for metric in metrics {
        let name = metric["name"].as_str().unwrap();
        assert!(metric["help"].as_str().unwrap().ends_with('.'), "{name}");
        let each = &metric["each"];
        let keys = [
            ("Gauge", "gauge"),
            ("Info", "info"),
            ("StateSet", "stateSet"),
        ];
        let (_, key) = keys
            .iter()
            .find(|(type_, _)| each["type"] == *type_)
            .unwrap();
        let value = field(&schema, &each[key]["path"]);
        field(&value, &each[key]["valueFrom"]);
        let labels = each[key]["labelsFromPath"].as_object();
        for path in labels.into_iter().flat_map(|labels| labels.values()) {
            field(&value, path);
        }
    }
}
