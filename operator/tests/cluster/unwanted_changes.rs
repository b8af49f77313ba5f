//! Every field that the operator owns is changed and removed by another client, and every child is deleted. Each is restored within a
//! second.

mod repairs;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::ResourceExt;
use operator::model::metadata::GENERATION_ANNOTATION;
use serde_json::{Value, json};

use self::repairs::{Repairs, disturb};
use crate::namespace::Namespace;
use crate::other_client::objects;
use crate::wait;

#[tokio::test]
async fn every_owned_field_that_another_client_changes_is_restored_within_a_second_and_unowned_fields_stay()
 {
    let namespace = Namespace::alone("unwanted").await;
    namespace.apply("full", full()).await;
    namespace.apply("balanced", balanced()).await;
    let (deployments, services) = (
        objects::<Deployment>(&namespace),
        objects::<Service>(&namespace),
    );
    let budgets = objects::<PodDisruptionBudget>(&namespace);
    let policies = objects::<NetworkPolicy>(&namespace);
    let autoscalers = objects::<HorizontalPodAutoscaler>(&namespace);
    let paused = [("paused", json!(true))];
    let repairs = tokio::join!(
        disturb(&namespace, &deployments, "full", &paused, 1),
        disturb(&namespace, &services, "full", &[], 1),
        disturb(&namespace, &services, "full-pods", &[], 1),
        disturb(&namespace, &budgets, "full", &[], 1),
        disturb(&namespace, &policies, "full", &[], 1),
        disturb(&namespace, &autoscalers, "full", &[], 1),
        disturb(&namespace, &services, "balanced", &[], 1),
    );
    Repairs::sum(<[Repairs; 7]>::from(repairs)).assert_goal();
}

/// A spec that creates every child and sets every field that needs no special node. No pod is created, since the PriorityClass does not
/// exist.
fn full() -> Value {
    let terms = json!([{"matchExpressions": [{"key": "example.com/zone", "operator": "In", "values": ["a"]}]}]);
    let node_affinity =
        json!({"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}});
    let near = json!([{"weight": 1, "podAffinityTerm": {"topologyKey": "example.com/rack"}}]);
    let far =
        json!([{"topologyKey": "example.com/rack", "labelSelector": {"matchLabels": {"a": "b"}}}]);
    json!({
        "replicas": 3,
        "imagePullSecrets": [{"name": "registry"}],
        "listeners": [
            {"name": "echo", "port": 12345},
            {"name": "lab", "port": 23456, "servicePort": 7},
            {"name": "udp", "port": 23457, "protocol": "Udp"},
            {"name": "web", "port": 8080, "protocol": "Http"},
        ],
        "threads": 2,
        "resources": {
            "requests": {"cpu": "10m", "memory": "16Mi", "ephemeral-storage": "16Mi"},
            "limits": {"cpu": "1", "memory": "64Mi", "ephemeral-storage": "64Mi"},
        },
        "service": {
            "type": "NodePort",
            "labels": {"example.com/team": "a"},
            "annotations": {"example.com/note": "a"},
            "nodePorts": {"echo": 30080, "lab": 30083, "udp": 30076, "web": 30078},
            "externalTrafficPolicy": "Local",
            "internalTrafficPolicy": "Local",
            "sessionAffinity": "ClientIP",
            "ipFamilyPolicy": "SingleStack",
            "trafficDistribution": "PreferClose",
        },
        "pod": {
            "labels": {"example.com/team": "a"},
            "annotations": {"example.com/note": "a"},
            "nodeSelector": {"example.com/disk": "a"},
            "tolerations": [{"key": "example.com/taint", "operator": "Exists", "effect": "NoSchedule"}],
            "affinity": {
                "nodeAffinity": node_affinity,
                "podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": near},
                "podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": far},
            },
            "priorityClassName": "none-such",
            "runtimeClassName": "none-such",
        },
        "topologySpread": "Hard",
        "rollout": {"minReadySeconds": 1},
        "autoscaling": {"minReplicas": 1, "maxReplicas": 10, "targetCPUUtilizationPercentage": 70},
        "network": {"policy": "SameNamespace"},
    })
}

/// A spec with the fields that only a Service of type LoadBalancer has.
fn balanced() -> Value {
    let service = json!({
        "type": "LoadBalancer",
        "loadBalancerClass": "example.com/none",
        "loadBalancerSourceRanges": ["192.0.2.0/24", "198.51.100.0/24"],
    });
    json!({"replicas": 0, "service": service})
}

#[tokio::test]
async fn a_selector_with_an_extra_key_is_restored() {
    let namespace = Namespace::shared("selector").await;
    namespace
        .apply_ready("hello", json!({"network": {"policy": "SameNamespace"}}))
        .await;
    let services = objects::<Service>(&namespace);
    let more = |service: &mut Value| service["spec"]["selector"]["x"] = json!("y");
    services.edit("hello", more).await.unwrap();
    let has_more = |service: &Service| {
        let selector = service.spec.clone().and_then(|spec| spec.selector);
        selector.is_some_and(|selector| selector.contains_key("x"))
    };
    wait::until(&namespace.api(), "hello", "restored", |service| {
        !has_more(service)
    })
    .await;
    let policies = objects::<NetworkPolicy>(&namespace);
    let more = |policy: &mut Value| policy["spec"]["podSelector"]["matchLabels"]["x"] = json!("y");
    policies.edit("hello", more).await.unwrap();
    let has_more =
        |policy: &NetworkPolicy| json!(policy)["spec"]["podSelector"]["matchLabels"]["x"] == "y";
    wait::until(&namespace.api(), "hello", "restored", |policy| {
        !has_more(policy)
    })
    .await;
}

#[tokio::test]
async fn a_network_policy_rule_with_an_extra_field_is_restored() {
    let namespace = Namespace::shared("rule").await;
    namespace.apply_ready("hello", json!({"replicas": 0})).await;
    let policies = objects::<NetworkPolicy>(&namespace);
    let end_port = "/spec/egress/0/ports/0/endPort";
    let more = |policy: &mut Value| {
        policy["spec"]["egress"][0]["ports"][0]["endPort"] = json!(65535);
    };
    let edited = policies.edit("hello", more).await.unwrap();
    assert_eq!(edited.pointer(end_port), Some(&json!(65535)));
    let has_more = |policy: &NetworkPolicy| json!(policy).pointer(end_port).is_some();
    wait::until(&namespace.api(), "hello", "restored", |policy| {
        !has_more(policy)
    })
    .await;
}

#[tokio::test]
async fn a_child_with_an_annotation_of_a_newer_generation_is_restored() {
    let namespace = Namespace::shared("generation").await;
    namespace.apply_ready("hello", json!({"replicas": 0})).await;
    let deployments = objects::<Deployment>(&namespace);
    let forge = |deployment: &mut Value| {
        deployment["metadata"]["annotations"][GENERATION_ANNOTATION] = json!("999");
        deployment["spec"]["replicas"] = json!(1);
    };
    deployments.edit("hello", forge).await.unwrap();
    let is_restored = |deployment: &Deployment| {
        deployment.annotations()[GENERATION_ANNOTATION] == "1"
            && deployment.spec.as_ref().and_then(|spec| spec.replicas) == Some(0)
    };
    wait::until(
        &namespace.api(),
        "hello",
        "of generation 1 again",
        is_restored,
    )
    .await;
}
