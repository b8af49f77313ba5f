//! Invalid specs are rejected before they are stored, with a message that names the remedy.

mod bad_specs;
mod bounds;

use futures::{StreamExt, stream};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use kube::api::{DynamicObject, PostParams};
use kube::core::Status;
use kube::{Api, Resource, ResourceExt};
use operator::api::v1alpha1::EchoCluster;
use operator::model::metadata::headless_service_name;
use serde_json::{Value, json};

use self::bad_specs::{BadSpec, bad_specs};
use self::bounds::beyond_bounds;
use crate::echo_clusters::{condition, status_and_reason};
use crate::namespace::Namespace;
use crate::other_client::objects;
use crate::schema::{SchemaPath, fields, spec_schema};
use crate::wait;

/// The number of concurrent requests.
const CONCURRENCY: usize = 8;

#[tokio::test]
async fn each_bad_spec_is_rejected_with_its_remedy() {
    let namespace = Namespace::shared("rejection").await;
    let clusters = objects::<EchoCluster>(&namespace).api;
    if let Err(rejection) = dry_run(&clusters, "hello", &json!({})).await {
        panic!(
            "the smallest EchoCluster is rejected: {}",
            rejection.message
        );
    }
    let schema = spec_schema(&namespace.client).await;
    let (ruled_out, out_of_bounds) = (bad_specs(), beyond_bounds(&schema));
    let all = ruled_out.iter().chain(&out_of_bounds);
    let rejections: Vec<Result<(&str, String), String>> = stream::iter(all)
        .map(|bad| rejection(&clusters, bad))
        .buffer_unordered(CONCURRENCY)
        .collect()
        .await;
    let (rejections, complaints): (Vec<_>, Vec<_>) =
        rejections.into_iter().partition(Result::is_ok);
    let complaints: Vec<String> = complaints.into_iter().filter_map(Result::err).collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    let rules = rules(&schema);
    for (field, message_part) in &rules {
        let mut rejections = rejections.iter().flatten();
        assert!(
            rejections
                .any(|(rejected, message)| rejected == field && message.contains(message_part)),
            "no bad spec breaks the rule of {field} with the message: {message_part}"
        );
    }
    println!(
        "{} bad specs were rejected: {} break one of {} rules, {} go beyond a bound",
        ruled_out.len() + out_of_bounds.len(),
        ruled_out.len(),
        rules.len(),
        out_of_bounds.len()
    );
    assert!(ruled_out.len() + out_of_bounds.len() >= 100);
}

#[tokio::test]
async fn a_load_balancer_class_that_changes_is_rejected() {
    let namespace = Namespace::shared("load-balancer-class").await;
    let service = json!({"type": "LoadBalancer", "loadBalancerClass": "example.com/a"});
    let stored = namespace
        .apply("hello", json!({"replicas": 0, "service": service}))
        .await;
    let clusters = objects::<EchoCluster>(&namespace);
    for class in [json!("example.com/b"), Value::Null] {
        let rejected = clusters.edit("hello", |cluster| {
            cluster["spec"]["service"]["loadBalancerClass"] = class.clone();
        });
        let rejection = rejected.await.unwrap_err();
        assert!(
            rejection.message.contains(CLASS_STAYS),
            "{class}: {}",
            rejection.message
        );
    }
    let plain = json!({"replicas": 0});
    let changed = namespace.apply("hello", plain).await;
    assert!(changed.metadata.generation > stored.metadata.generation);
}

/// The message of the only transition rule.
const CLASS_STAYS: &str =
    "loadBalancerClass cannot change while type is LoadBalancer; set type to ClusterIP first";

#[tokio::test]
async fn each_spec_at_its_bounds_is_accepted() {
    let namespace = Namespace::shared("bounds").await;
    let clusters = objects::<EchoCluster>(&namespace).api;
    let sixteen: Vec<Value> = (0..16)
        .map(|index| json!({"name": format!("echo-{index}"), "port": 2000 + index}))
        .collect();
    for spec in [
        json!({"replicas": 0, "threads": 1, "drainSeconds": 0}),
        json!({"replicas": 1000, "threads": 256, "drainSeconds": 3600}),
        json!({"image": "a".repeat(500)}),
        json!({"pod": {"nodeSelector": {"kubernetes.io/os": "linux"}}}),
        json!({"listeners": sixteen}),
        json!({"listeners": [{"name": "a23456789012345", "port": 1024, "servicePort": 1}]}),
        json!({"listeners": [{"name": "a", "port": 65535, "servicePort": 65535}]}),
        json!({"listeners": [{"name": "a", "port": 2000, "protocol": "Raw"}, {"name": "b", "port": 2000, "protocol": "Udp"}]}),
        json!({"listeners": [{"name": "a", "port": 2000, "protocol": "Http", "proxy": "Required"}]}),
        json!({"listeners": [{"name": "a", "port": 2000, "protocol": "Udp", "proxy": "Disabled"}]}),
        json!({"listeners": [{"name": "a", "port": 2000}, {"name": "b", "port": 2000, "protocol": "Udp"}],
            "service": {"type": "NodePort", "nodePorts": {"a": 30000, "b": 30000}}}),
        json!({"faults": {"delayMilliseconds": 60000, "jitterMilliseconds": 60000, "seed": 4_294_967_295_u32}}),
        json!({"faults": {}}),
        json!({"resources": {"requests": {"cpu": 1, "memory": "64Mi"}, "limits": {"cpu": "1000m", "memory": "64Mi"}}}),
        json!({"resources": {"requests": {}, "limits": {}}, "service": {"type": "LoadBalancer"}}),
    ] {
        let answer = dry_run(&clusters, "hello", &spec).await;
        assert!(
            answer.is_ok(),
            "{spec} is rejected: {}",
            answer.unwrap_err().message
        );
    }
}

#[tokio::test]
async fn the_longest_name_works_and_one_character_more_is_rejected() {
    let namespace = Namespace::shared("long-name").await;
    let longest = "a".repeat(50);
    namespace
        .apply_ready(&longest, json!({"replicas": 0}))
        .await;
    let services = namespace.api::<Service>();
    services.get(&longest).await.unwrap();
    let headless = headless_service_name(&longest);
    services.get(&headless).await.unwrap();
    let clusters = objects::<EchoCluster>(&namespace).api;
    let rejection = dry_run(&clusters, &"a".repeat(51), &json!({})).await;
    assert!(rejection.unwrap_err().message.contains(NAME_RULE));
}

#[tokio::test]
async fn fields_that_this_release_does_not_know_are_dropped_and_the_rest_works() {
    let namespace = Namespace::shared("unknown-fields").await;
    let manifest = json!({
        "apiVersion": EchoCluster::api_version(&()),
        "kind": EchoCluster::kind(&()),
        "metadata": {"name": "hello"},
        "spec": {"replicas": 0, "fromTheFuture": {"a": 1}, "service": {"fromTheFuture": true}},
    });
    let apply = ["apply", "--validate=false", "--filename=-"];
    namespace
        .kubectl(&apply, &manifest.to_string())
        .await
        .unwrap();
    namespace.ready("hello").await;
    let stored = objects::<EchoCluster>(&namespace).get("hello").await;
    assert_eq!(stored["spec"].get("fromTheFuture"), None);
    assert_eq!(stored["spec"]["service"], json!({"type": "ClusterIP"}));
}

#[tokio::test]
async fn an_amount_in_another_notation_changes_nothing() {
    let namespace = Namespace::shared("notations").await;
    let notations = [
        ("1000m", "0.1", "64Mi"),
        ("1", "100m", "67108864"),
        ("1e0", "1e-1", "65536Ki"),
        ("0.001e3", "+0.1", "0.0625Gi"),
        ("1000000u", "100000000n", "67108864000m"),
    ];
    let deployments = namespace.api::<Deployment>();
    let mut first: Option<Deployment> = None;
    for (limit, request, memory) in notations {
        let limits = json!({"cpu": limit, "memory": memory});
        let resources = json!({"requests": {"cpu": request, "memory": memory}, "limits": limits});
        let spec = json!({"replicas": 0, "resources": resources});
        namespace.apply_ready("hello", spec).await;
        let deployment = deployments.get("hello").await.unwrap();
        let first = first.get_or_insert_with(|| deployment.clone());
        assert_eq!(
            deployment.resource_version(),
            first.resource_version(),
            "{resources} has written the Deployment"
        );
    }
}

#[tokio::test]
async fn each_bad_name_is_rejected_with_its_remedy() {
    let namespace = Namespace::shared("names").await;
    let clusters = objects::<EchoCluster>(&namespace).api;
    for name in [&"a".repeat(51), "1hello", "hello.world"] {
        let rejection = dry_run(&clusters, name, &json!({})).await.unwrap_err();
        let message_part = format!("metadata.name is {name}: {NAME_RULE}");
        assert!(
            rejection.message.contains(&message_part),
            "{}",
            rejection.message
        );
    }
    let rejection = dry_run(&clusters, "hello-pods", &json!({})).await;
    let message_part = "metadata.name is hello-pods: the suffix -pods is reserved for headless Services; choose another name";
    let message = rejection.unwrap_err().message;
    assert!(message.contains(message_part), "{message}");
}

const NAME_RULE: &str =
    "it must be at most 50 characters of a-z, 0-9 and -, begin with a letter and end with a letter";

#[tokio::test]
async fn what_the_schema_cannot_validate_is_reported_in_the_status_until_it_is_corrected() {
    let namespace = Namespace::shared("invalid").await;
    let huge = json!({"replicas": 0, "resources": {"limits": {"cpu": "1e99999"}}});
    namespace.apply("hello", huge).await;
    let is_invalid =
        |cluster: &EchoCluster| status_and_reason(cluster, "Stalled") == "True/InvalidSpec";
    let cluster = wait::until(&namespace.api(), "hello", "reported as invalid", is_invalid).await;
    let ready = condition(&cluster, "Ready").unwrap();
    assert_eq!(
        (ready.status.as_str(), ready.reason.as_str()),
        ("False", "InvalidSpec")
    );
    assert!(
        ready
            .message
            .starts_with("spec.resources.limits.cpu is 1e99999: "),
        "{}",
        ready.message
    );
    let event = namespace
        .event("InvalidSpec", "spec.resources.limits.cpu is 1e99999")
        .await;
    assert_eq!(event.type_.as_deref(), Some("Warning"));
    let corrected = namespace.apply_ready("hello", json!({"replicas": 0})).await;
    assert_eq!(status_and_reason(&corrected, "Stalled"), "False/AsExpected");
}

/// Returns the field and the expected part of the message of a rejection. It is an error if the spec is rejected for another reason, or for
/// more than one.
async fn rejection<'a>(
    clusters: &Api<DynamicObject>,
    bad: &'a BadSpec,
) -> Result<(&'a str, String), String> {
    let BadSpec {
        spec,
        field,
        message_part,
        is_beyond_bound,
    } = bad;
    let Err(rejection) = dry_run(clusters, "hello", spec).await else {
        return Err(format!("{spec} is accepted"));
    };
    let all: Vec<_> = rejection
        .details
        .iter()
        .flat_map(|details| &details.causes)
        .collect();
    // Causes without a field, or with the path of a subresource, repeat another one or report that rules were not evaluated.
    let mut causes: Vec<_> = all
        .iter()
        .filter(|cause| cause.field.starts_with("spec"))
        .collect();
    // A value beyond a bound may also break a validation rule, but none of another field or of a field inside of it.
    if *is_beyond_bound {
        causes.retain(|cause| {
            cause.message.contains(message_part)
                || !(is_at(field, &cause.field) || is_around(field, &cause.field))
        });
    }
    if causes.is_empty() {
        causes = all.iter().collect();
    }
    let is_expected = matches!(causes.as_slice(), [cause]
        if (cause.field == "<nil>" || is_at(field, &cause.field)) && cause.message.contains(message_part));
    let message = rejection.message.clone();
    if is_expected {
        return Ok((field, message));
    }
    Err(format!(
        "{spec} is not rejected because {field} {message_part}, or not for that alone: {message}"
    ))
}

/// Whether the API server's name of a field, such as `spec.listeners[0].port`, is that of a field of the schema, such as
/// `spec.listeners[].port`. A duplicate element is named by its own path.
fn is_at(field: &str, found: &str) -> bool {
    let found = found.replace("[0]", "[]");
    let (known, _) = field.split_once("{}").unwrap_or((field, ""));
    found == field
        || found.strip_suffix("[1]") == Some(field)
        || known != field && found.starts_with(known)
}

/// Whether the API server's name of a field is that of an object that holds the field.
fn is_around(field: &str, found: &str) -> bool {
    field.starts_with(&format!("{}.", found.replace("[0]", "[]")))
}

/// Lists the rules of a schema: the field, and the message or its longest constant part.
fn rules(schema: &Value) -> Vec<(String, String)> {
    let mut rules = Vec::new();
    for (path, field) in fields(schema, &SchemaPath::default()) {
        for rule in field["x-kubernetes-validations"]
            .as_array()
            .into_iter()
            .flatten()
        {
            let message_part = match rule["message"].as_str() {
                Some(message) => message.to_owned(),
                None => longest_literal(rule["messageExpression"].as_str().unwrap()),
            };
            if !message_part.starts_with(CLASS_STAYS) {
                rules.push((path.to_string(), message_part));
            }
        }
    }
    rules
}

fn longest_literal(expression: &str) -> String {
    let literals = expression.split('\'').skip(1).step_by(2);
    literals
        .max_by_key(|literal| literal.len())
        .unwrap()
        .to_owned()
}

/// Applies an EchoCluster by a dry run.
async fn dry_run(clusters: &Api<DynamicObject>, name: &str, spec: &Value) -> Result<(), Status> {
    let cluster = json!({
        "apiVersion": EchoCluster::api_version(&()),
        "kind": EchoCluster::kind(&()),
        "metadata": {"name": name},
        "spec": spec,
    });
    let parameters = PostParams {
        dry_run: true,
        field_manager: None,
    };
    match clusters
        .create(&parameters, &serde_json::from_value(cluster).unwrap())
        .await
    {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 422 => Err(*status),
        Err(error) => panic!("failed to send {spec}: {error}"),
    }
}
