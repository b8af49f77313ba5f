//! Every field that the API of a child has and the operator does not declare, set by another client: each is removed, unless it is one that
//! belongs to others. The fields are those of the API server's own OpenAPI document.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use serde_json::{Map, Value, json};

use crate::namespace::Namespace;
use crate::stranger::{Objects, json as to_json, objects};
use crate::wait;

/// The fields that belong to others, and why.
const OF_OTHERS: [(&str, &str); 3] = [
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

/// So many repairs of one generation are contention, which slows the operator down.
const REPAIRS_OF_A_GENERATION: usize = 8;

#[tokio::test]
async fn every_field_that_the_operator_does_not_declare_is_removed_or_belongs_to_others() {
    let namespace = Namespace::alone("undeclared").await;
    let spec = json!({
        "replicas": 2, // with a PodDisruptionBudget
        "pod": {"nodeSelector": {"example.com/nowhere": "nowhere"}},
        "autoscaling": {"minReplicas": 2, "maxReplicas": 3, "targetCPUUtilizationPercentage": 70},
    });
    namespace.apply("hello", spec).await;
    let core = schemas(&namespace, "/openapi/v3/api/v1").await;
    let apps = schemas(&namespace, "/openapi/v3/apis/apps/v1").await;
    let policy = schemas(&namespace, "/openapi/v3/apis/policy/v1").await;
    let networking = schemas(&namespace, "/openapi/v3/apis/networking.k8s.io/v1").await;
    let autoscaling = schemas(&namespace, "/openapi/v3/apis/autoscaling/v2").await;
    for (objects, name, schemas, kind) in [
        (
            objects::<Deployment>(&namespace),
            "hello",
            &apps,
            "apps.v1.Deployment",
        ),
        (
            objects::<Service>(&namespace),
            "hello",
            &core,
            "core.v1.Service",
        ),
        (
            objects::<Service>(&namespace),
            "hello-pods",
            &core,
            "core.v1.Service",
        ),
        (
            objects::<PodDisruptionBudget>(&namespace),
            "hello",
            &policy,
            "policy.v1.PodDisruptionBudget",
        ),
        (
            objects::<NetworkPolicy>(&namespace),
            "hello",
            &networking,
            "networking.v1.NetworkPolicy",
        ),
        (
            objects::<HorizontalPodAutoscaler>(&namespace),
            "hello",
            &autoscaling,
            "autoscaling.v2.HorizontalPodAutoscaler",
        ),
    ] {
        let schemas = Schemas(schemas);
        let created = wait::until(&objects.api, name, "created", |_| true).await;
        let mut fields = Vec::new();
        let root = format!("#/components/schemas/io.k8s.api.{kind}Spec");
        let spec = schemas.resolve(&json!({ "$ref": root }));
        schemas.undeclared(&spec, &to_json(&created)["spec"], "/spec", &mut fields);
        disturb(&namespace, &objects, name, &fields).await;
    }
}

/// Sets each field to the first of its values that the API server takes, and waits until it is gone.
async fn disturb(namespace: &Namespace, objects: &Objects, name: &str, fields: &[Field]) {
    let (mut removed, mut rejected, mut of_others) = (0, Vec::new(), 0);
    for field in fields {
        if removed % REPAIRS_OF_A_GENERATION == 0 {
            namespace.new_generation("hello").await;
        }
        let mut is_taken = false;
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
            if is_taken {
                break;
            }
        }
        let pointer = field.pointer();
        if !is_taken {
            rejected.push(pointer);
        } else if OF_OTHERS.iter().any(|(known, _)| *known == pointer) {
            of_others += 1;
        } else {
            let is_gone = |object: &_| to_json(object).pointer(&pointer).is_none();
            let what = format!("without {pointer}");
            wait::until(&objects.api, name, &what, is_gone).await;
            removed += 1;
        }
    }
    println!(
        "{} {name}: of {} undeclared fields {removed} were removed, {of_others} belong to others, and the API server took none of {} for: {rejected:?}",
        objects.kind,
        fields.len(),
        rejected.len(),
    );
    assert!(fields.is_empty() || removed > 0, "{} {name}", objects.kind);
}

/// A field that an object does not have, and values that the API server may take for it.
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
    /// Follows references.
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

    /// Finds the fields that an object does not have, in it and in all that it has.
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

    /// Returns objects: the required fields alone, and each other field with them.
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

/// Returns texts that many fields of a type take.
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
    ];
    known.chain(common.map(Value::from)).collect()
}
