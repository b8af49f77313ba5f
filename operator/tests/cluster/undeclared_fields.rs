//! Another client sets every field of a child that the operator does not declare. Each is removed, unless another field manager may own it.
//! The fields are those of the API server's OpenAPI document.

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::Resource;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::echo_clusters::REPAIRS_OF_A_GENERATION;
use crate::namespace::Namespace;
use crate::other_client::{Objects, json as to_json, objects};
use crate::wait;

/// The fields that the operator does not own, and why.
const UNOWNED_FIELDS: [(&str, &str); 3] = [
    (
        "/spec/paused",
        "kubectl rollout pause sets it, and the status reports it",
    ),
    (
        "/spec/template/metadata/annotations",
        "kubectl rollout restart sets one",
    ),
    ("/spec/ports/0/nodePort", "the API server allocates it"),
];

#[tokio::test]
async fn every_field_that_the_operator_does_not_declare_is_removed_or_has_another_manager() {
    let namespace = Namespace::alone("undeclared").await;
    let spec = json!({
        "replicas": 2, // with a PodDisruptionBudget
        "pod": {"nodeSelector": {"example.com/nowhere": "nowhere"}},
        "autoscaling": {"minReplicas": 2, "maxReplicas": 3, "targetCPUUtilizationPercentage": 70},
    });
    namespace.apply("hello", spec).await;
    let group = |name: &str| format!("/openapi/v3/apis/{name}");
    let (core, apps) = ("/openapi/v3/api/v1", group("apps/v1"));
    disturb::<Deployment>(&namespace, "hello", &apps, "apps.v1.Deployment").await;
    for name in ["hello", "hello-pods"] {
        disturb::<Service>(&namespace, name, core, "core.v1.Service").await;
    }
    let policies = group("networking.k8s.io/v1");
    let kind = "networking.v1.NetworkPolicy";
    disturb::<NetworkPolicy>(&namespace, "hello", &policies, kind).await;
    let budgets = group("policy/v1");
    let kind = "policy.v1.PodDisruptionBudget";
    disturb::<PodDisruptionBudget>(&namespace, "hello", &budgets, kind).await;
    let autoscalers = group("autoscaling/v2");
    let kind = "autoscaling.v2.HorizontalPodAutoscaler";
    disturb::<HorizontalPodAutoscaler>(&namespace, "hello", &autoscalers, kind).await;
}

/// Sets the undeclared fields of a child.
async fn disturb<K>(namespace: &Namespace, name: &str, document: &str, kind: &str)
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Serialize + DeserializeOwned,
{
    let (schemas, objects) = (schemas(namespace, document).await, objects::<K>(namespace));
    let schemas = Schemas(&schemas);
    let created = wait::until(&objects.api, name, "created", |_| true).await;
    let root = format!("#/components/schemas/io.k8s.api.{kind}Spec");
    let spec = schemas.resolve(&json!({ "$ref": root }));
    let mut fields = Vec::new();
    schemas.undeclared(&spec, &to_json(&created)["spec"], "/spec", &mut fields);
    set_and_await(namespace, &objects, name, &fields, as_known::<K>).await;
}

/// Returns an object as the operator decodes it: with the fields of the oldest supported Kubernetes.
fn as_known<K: Serialize + DeserializeOwned>(object: &Value) -> Value {
    let known: K = serde_json::from_value(object.clone()).unwrap();
    serde_json::to_value(known).unwrap()
}

/// Sets each field to the first of its values that the API server accepts, and waits until it is removed.
async fn set_and_await(
    namespace: &Namespace,
    objects: &Objects,
    name: &str,
    fields: &[Field],
    as_known: fn(&Value) -> Value,
) {
    let (mut removed, mut rejected, mut unowned, mut newer) = (0, Vec::new(), 0, Vec::new());
    for field in fields {
        if removed % REPAIRS_OF_A_GENERATION == 0 {
            namespace.new_generation("hello").await;
        }
        let (mut is_taken, mut is_known) = (false, true);
        for value in &field.values {
            let set = |object: &mut Value| {
                if let Some(parent) = object.pointer_mut(&field.parent) {
                    parent[&field.name] = value.clone();
                }
            };
            let Ok(edited) = objects.edit(name, set).await else {
                continue;
            };
            is_taken = edited.pointer(&field.pointer()).is_some();
            is_known = as_known(&edited).pointer(&field.pointer()).is_some();
            if is_taken {
                break;
            }
        }
        let pointer = field.pointer();
        if !is_taken {
            rejected.push(pointer);
        } else if UNOWNED_FIELDS.iter().any(|(known, _)| *known == pointer) {
            unowned += 1;
        } else if !is_known {
            newer.push(pointer);
        } else {
            let is_gone = |object: &_| to_json(object).pointer(&pointer).is_none();
            let what = format!("without {pointer}");
            wait::until(&objects.api, name, &what, is_gone).await;
            removed += 1;
        }
    }
    println!(
        "{} {name}: of {} undeclared fields {removed} were removed, {unowned} belong to others, {newer:?} are newer than the oldest supported Kubernetes, and the API server took no value for: {rejected:?}",
        objects.kind,
        fields.len(),
    );
    let is_deployment = objects.kind == "Deployment";
    assert!(
        !is_deployment || removed >= 80,
        "only {removed} fields of the Deployment were tried"
    );
}

/// A field that an object does not have, and values that the API server may accept.
struct Field {
    parent: String,
    name: String,
    values: Vec<Value>,
}

impl Field {
    fn pointer(&self) -> String {
        format!("{}/{}", self.parent, self.name)
    }
}

async fn schemas(namespace: &Namespace, path: &str) -> Map<String, Value> {
    let request = http::Request::get(path).body(Vec::new()).unwrap();
    let document: Value = namespace.client.request(request).await.unwrap();
    document["components"]["schemas"]
        .as_object()
        .unwrap()
        .clone()
}

/// The schemas of a group, by name.
struct Schemas<'a>(&'a Map<String, Value>);

impl Schemas<'_> {
    /// Resolves references.
    fn resolve(&self, schema: &Value) -> Value {
        let reference = schema["$ref"]
            .as_str()
            .or_else(|| schema["allOf"][0]["$ref"].as_str());
        let Some(reference) = reference else {
            return schema.clone();
        };
        let name = reference.rsplit('/').next().unwrap();
        self.resolve(&self.0[name])
    }

    /// Finds the fields that an object and its nested objects do not have.
    fn undeclared(&self, schema: &Value, object: &Value, path: &str, found: &mut Vec<Field>) {
        let properties = schema["properties"].as_object().into_iter().flatten();
        for (name, property) in properties {
            let (property, pointer) = (self.resolve(property), format!("{path}/{name}"));
            match &object[name] {
                Value::Null => found.push(Field {
                    parent: path.to_owned(),
                    name: name.clone(),
                    values: self.samples(&property, 0),
                }),
                Value::Array(elements) => {
                    let items = self.resolve(&property["items"]);
                    if let Some(first) = elements.first().filter(|first| first.is_object()) {
                        self.undeclared(&items, first, &format!("{pointer}/0"), found);
                    }
                }
                value @ Value::Object(_) => self.undeclared(&property, value, &pointer, found),
                _ => (),
            }
        }
    }

    /// Returns values that a schema allows.
    fn samples(&self, schema: &Value, depth: usize) -> Vec<Value> {
        if depth > 6 {
            return Vec::new();
        }
        match schema["type"].as_str() {
            Some("boolean") => vec![json!(true), json!(false)],
            Some("integer" | "number") => vec![json!(1), json!(7), json!(1000)],
            Some("array") => {
                let items = self.samples(&self.resolve(&schema["items"]), depth + 1);
                items.into_iter().map(|item| json!([item])).collect()
            }
            Some("object") => self.objects(schema, depth),
            _ => strings(schema),
        }
    }

    /// Returns objects with the required fields and at most one other field.
    fn objects(&self, schema: &Value, depth: usize) -> Vec<Value> {
        let Some(properties) = schema["properties"].as_object() else {
            return vec![json!({"example.com": "a"}), json!({"cpu": "1"}), json!({})];
        };
        let required = schema["required"].as_array().into_iter().flatten();
        let mut least = Map::new();
        for name in required.filter_map(Value::as_str) {
            let samples = self.samples(&self.resolve(&properties[name]), depth + 1);
            least.extend(
                samples
                    .into_iter()
                    .next()
                    .map(|value| (name.to_owned(), value)),
            );
        }
        let with = |(name, property): (&String, &Value)| {
            let samples = self.samples(&self.resolve(property), depth + 1);
            let mut object = least.clone();
            object.insert(name.clone(), samples.into_iter().next()?);
            Some(Value::Object(object))
        };
        let mut objects = vec![Value::Object(least.clone())];
        objects.extend(
            properties
                .iter()
                .filter_map(with)
                .take(if depth == 0 { 30 } else { 3 }),
        );
        objects
    }
}

/// Returns texts that are valid for many fields.
fn strings(schema: &Value) -> Vec<Value> {
    let known = schema["enum"].as_array().into_iter().flatten().cloned();
    let common = [
        "example",
        "1",
        "/example",
        "192.0.2.1",
        "Never",
        "Always",
        "Local",
        "admin",
        "Exists",
        "PreferClose",
    ];
    known.chain(common.map(Value::from)).collect()
}
