//! The CustomResourceDefinition as it is installed.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrArray,
};
use kube::CustomResourceExt;

use serde_json::json;

use super::EchoCluster;
use crate::api::v1alpha1::conditions::{ConditionType, Reason};

/// The label with the release of a CustomResourceDefinition, by which config/policies/no_crd_downgrade.yaml recognizes an older one.
pub const VERSION_LABEL: &str = "app.kubernetes.io/version";

/// Builds the CustomResourceDefinition whose schema gives new EchoClusters `echo_server_image`.
///
/// What the derive gets wrong is corrected here: it declares every optional field as nullable, while the API
/// conventions allow absent fields only, and it keeps the line breaks of doc comments, which `kubectl explain` breaks again.
///
/// # Errors
/// [`SchemaShapeError`] when the derived schema has no `spec.image`; no retry helps.
pub fn custom_resource_definition(
    echo_server_image: &str,
) -> Result<CustomResourceDefinition, SchemaShapeError> {
    let mut crd = EchoCluster::crd();
    let labels = [
        ("app.kubernetes.io/part-of", "echo-operator"),
        (VERSION_LABEL, env!("CARGO_PKG_VERSION")),
    ];
    let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
    crd.metadata.labels = Some(labels.into());
    let schema = crd
        .spec
        .versions
        .iter_mut()
        .find_map(|version| version.schema.as_mut()?.open_api_v3_schema.as_mut())
        .ok_or(SchemaShapeError)?;
    normalize(schema);
    // Every field of the spec has a default, so the spec itself may be absent. The API server checks the rules on this default as it
    // stands, and some read `service`.
    schema.required = None;
    let spec = property(schema, "spec").ok_or(SchemaShapeError)?;
    spec.default = Some(JSON(json!({ "service": {} })));
    let image = property(spec, "image").ok_or(SchemaShapeError)?;
    image.default = Some(JSON(echo_server_image.into()));
    let status = property(schema, "status").ok_or(SchemaShapeError)?;
    status.default = Some(JSON(pending()));
    Ok(crd)
}

/// Returns the status of an EchoCluster before the operator has reported one: without a default, tools that go by kstatus would take it for
/// ready. `lastTransitionTime` is required, and a default cannot hold the time of creation; the epoch is what the Gateway API has there
/// (<https://github.com/kubernetes-sigs/gateway-api>, `GatewayStatus`).
fn pending() -> serde_json::Value {
    let conditions = ConditionType::ALL.map(|type_| {
        json!({
            "type": type_,
            "status": "Unknown",
            "reason": Reason::Pending,
            "message": "Waiting for the operator to report a status.",
            "observedGeneration": 0,
            "lastTransitionTime": "1970-01-01T00:00:00Z",
        })
    });
    json!({ "observedGeneration": 0, "conditions": conditions })
}

/// The derived schema lacks a field that must be in it.
#[derive(Debug, thiserror::Error)]
#[error("failed to find spec.image in the schema of EchoCluster")]
pub struct SchemaShapeError;

fn property<'a>(schema: &'a mut JSONSchemaProps, name: &str) -> Option<&'a mut JSONSchemaProps> {
    schema.properties.as_mut()?.get_mut(name)
}

/// Removes `nullable`, and the line breaks of the source text from descriptions, in all properties and list elements.
fn normalize(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    if let Some(description) = schema.description.as_mut() {
        *description = description.replace('\n', " ");
    }
    for property in schema
        .properties
        .iter_mut()
        .flat_map(|properties| properties.values_mut())
    {
        normalize(property);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = schema.items.as_mut() {
        normalize(items);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// Scalars that are booleans in YAML 1.1, which kubectl reads, and strings in YAML 1.2.
    const BOOLEANS: [&str; 6] = ["y", "n", "yes", "no", "on", "off"];

    /// Lists every schema below `schema`, and itself.
    fn all(schema: &Value) -> Vec<&Value> {
        let properties = schema["properties"].as_object();
        let properties = properties.into_iter().flat_map(|all| all.values());
        let below = properties.chain(schema.get("items"));
        let below = below.chain(schema.get("additionalProperties"));
        [schema].into_iter().chain(below.flat_map(all)).collect()
    }

    fn crd() -> Value {
        let crd = json!(custom_resource_definition("example.com/image").unwrap());
        crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
    }

    #[test]
    fn no_entry_of_a_list_has_a_default_which_apply_would_take_for_a_difference() {
        let schema = crd();
        let lists = all(&schema)
            .into_iter()
            .filter_map(|schema| schema.get("items"));
        let lists: Vec<&Value> = lists.collect();
        assert!(lists.len() > 10, "{} lists", lists.len());
        for entry in lists.into_iter().flat_map(all) {
            assert_eq!(entry.get("default"), None, "{entry}");
        }
    }

    #[test]
    fn no_field_gives_pods_more_than_an_echo_server_needs_or_redirects_traffic_of_others() {
        let beyond = [
            "args",
            "automountServiceAccountToken",
            "command",
            "env",
            "envFrom",
            "ephemeralContainers",
            "externalIPs",
            "externalName",
            "hostIPC",
            "hostNetwork",
            "hostPID",
            "hostPath",
            "hostPort",
            "initContainers",
            "secretName",
            "securityContext",
            "serviceAccount",
            "serviceAccountName",
            "volumeMounts",
            "volumes",
        ];
        let schema = crd();
        let properties = all(&schema)
            .into_iter()
            .filter_map(|schema| schema["properties"].as_object());
        let fields: Vec<&String> = properties.flat_map(|fields| fields.keys()).collect();
        assert!(fields.len() > 50, "{} fields", fields.len());
        for field in fields {
            assert!(!beyond.contains(&field.as_str()), "{field}");
        }
    }

    #[test]
    fn the_label_names_this_release() {
        let crd = custom_resource_definition("example.com/image").unwrap();
        let labels = crd.metadata.labels.unwrap();
        assert_eq!(labels[VERSION_LABEL], env!("CARGO_PKG_VERSION"));
    }

    #[test]
    fn no_value_of_an_enum_is_a_boolean_to_kubectl() {
        let schema = crd();
        let enums = all(&schema)
            .into_iter()
            .filter_map(|schema| schema["enum"].as_array());
        let values: Vec<&str> = enums.flatten().filter_map(Value::as_str).collect();
        assert!(values.contains(&"Disabled"), "{values:?}");
        for value in values {
            assert!(
                !BOOLEANS.contains(&value.to_lowercase().as_str()),
                "{value}"
            );
        }
    }
}
