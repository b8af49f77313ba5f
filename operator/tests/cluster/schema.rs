//! The schema of `spec` in the cluster, field by field.

use std::fmt;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, Client, CustomResourceExt};
use operator::api::v1alpha1::EchoCluster;
use serde_json::{Map, Value, json};

/// The path of a field in the schema, such as `spec.listeners[].port` or `spec.pod.labels{}`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SchemaPath(pub(crate) Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A property of that name.
    Property(String),
    /// Any element of a list.
    Element,
    /// The value of any key of a map.
    Entry,
}

impl fmt::Display for SchemaPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("spec")?;
        for step in &self.0 {
            match step {
                Step::Property(name) => write!(formatter, ".{name}")?,
                Step::Element => formatter.write_str("[]")?,
                Step::Entry => formatter.write_str("{}")?,
            }
        }
        Ok(())
    }
}

impl SchemaPath {
    pub(crate) fn join(&self, step: Step) -> Self {
        Self(self.0.iter().cloned().chain([step]).collect())
    }
}

/// Reads the schema of an EchoCluster from the cluster, and returns its `spec`.
pub(crate) async fn spec_schema(client: &Client) -> Value {
    let crds = Api::<CustomResourceDefinition>::all(client.clone());
    let crd = crds.get(EchoCluster::crd_name()).await.unwrap();
    let version = &crd.spec.versions[0];
    let schema = version.schema.as_ref().unwrap().open_api_v3_schema.as_ref();
    json!(schema.unwrap())["properties"]["spec"].clone()
}

/// Lists every field below `schema`, and itself.
pub(crate) fn fields<'a>(schema: &'a Value, path: &SchemaPath) -> Vec<(SchemaPath, &'a Value)> {
    let mut found = vec![(path.clone(), schema)];
    for (step, below) in below(schema) {
        found.extend(fields(below, &path.join(step)));
    }
    found
}

/// Lists the fields directly below `schema`.
pub(crate) fn below(schema: &Value) -> Vec<(Step, &Value)> {
    let properties = schema["properties"].as_object();
    let properties = properties
        .into_iter()
        .flatten()
        .map(|(name, below)| (Step::Property(name.clone()), below));
    let element = schema.get("items").map(|below| (Step::Element, below));
    let entry = schema
        .get("additionalProperties")
        .map(|below| (Step::Entry, below));
    properties.chain(element).chain(entry).collect()
}

/// Returns the smallest valid value of a field.
pub(crate) fn smallest(schema: &Value) -> Value {
    if let Some(value) = schema["enum"].get(0) {
        return value.clone();
    }
    if schema["x-kubernetes-int-or-string"] == json!(true) {
        return json!(1);
    }
    match schema["type"].as_str().unwrap_or_default() {
        "object" => {
            let required = schema["required"].as_array().into_iter().flatten();
            let value = |name: &Value| {
                let name = name.as_str().unwrap();
                (name.to_owned(), smallest(&schema["properties"][name]))
            };
            Value::Object(required.map(value).collect())
        }
        "array" => {
            let length = schema["minItems"].as_u64().unwrap_or_default();
            (0..length).map(|_| smallest(&schema["items"])).collect()
        }
        "string" => json!("a"),
        "integer" => json!(schema["minimum"].as_f64().unwrap_or_default() as i64),
        "boolean" => json!(false),
        other => panic!("type {other} is not supported here"),
    }
}

/// Returns a spec with `value` at `path`, and otherwise only required fields.
pub(crate) fn spec_with(schema: &Value, path: &SchemaPath, value: Value) -> Value {
    let mut spec = place(schema, &path.0, value);
    let field = path.to_string();
    // Fields that validation rules across fields require beside it.
    if field.starts_with("spec.service.nodePorts")
        || field.starts_with("spec.service.externalTrafficPolicy")
    {
        spec["service"]["type"] = json!("NodePort");
    } else if field.starts_with("spec.service.loadBalancer") {
        spec["service"]["type"] = json!("LoadBalancer");
    } else if field == "spec.autoscaling.minReplicas" {
        spec["autoscaling"]["maxReplicas"] = json!(1000);
    } else if field == "spec.rollout.minReadySeconds" {
        spec["rollout"]["progressDeadlineSeconds"] = json!(86400);
    }
    spec
}

fn place(schema: &Value, path: &[Step], value: Value) -> Value {
    let Some((step, rest)) = path.split_first() else {
        return value;
    };
    match step {
        Step::Element => json!([place(&schema["items"], rest, value)]),
        Step::Entry => {
            let key = if schema["additionalProperties"]["type"] == "integer" {
                "echo" // a node port goes by the name of a listener
            } else {
                "cpu" // a resource, and as good a label as any
            };
            json!({ key: place(&schema["additionalProperties"], rest, value) })
        }
        Step::Property(name) => {
            let mut object = match smallest(schema) {
                Value::Object(object) => object,
                _ => Map::new(),
            };
            let placed = place(&schema["properties"][name], rest, value);
            object.insert(name.clone(), placed);
            Value::Object(object)
        }
    }
}
