//! Why echo servers do not run: the status says it within seconds, with the cause and the remedy, and takes it back by itself.

use std::time::{Duration, Instant};

use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::api::core::v1::ResourceQuota;
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use operator::api::v1alpha1::EchoCluster;
use serde_json::{Value, json};

use crate::echo_clusters::{condition, tell};
use crate::namespace::Namespace;
use crate::wait;

/// How long after Kubernetes itself has said it the status may be silent.
const WITHIN: Duration = Duration::from_secs(5);

/// Applies a spec with a mistake, waits until `Degraded` tells of it, and then until a good one has made it well again.
async fn told_and_taken_back(namespace: &Namespace, bad: Value, reason: &str, words: &[&str]) {
    let clusters = namespace.api::<EchoCluster>();
    let started = Instant::now();
    namespace.apply("hello", bad).await;
    let expected = format!("True/{reason}");
    let is_told = |cluster: &EchoCluster| tell(cluster, "Degraded") == expected;
    let cluster = wait::until(&clusters, "hello", &expected, is_told).await;
    let message = &condition(&cluster, "Degraded").unwrap().message;
    println!(
        "after {:.1} s: {expected}: {message}",
        started.elapsed().as_secs_f32()
    );
    for word in words {
        assert!(message.contains(word), "{word:?} is not in: {message}");
    }
    namespace
        .event(reason, message.get(..20).unwrap_or(message))
        .await;
    namespace.apply_ready("hello", json!({"replicas": 1})).await;
    let well = |cluster: &EchoCluster| tell(cluster, "Degraded") == "False/AsExpected";
    wait::until(&clusters, "hello", "well again", well).await;
}

#[tokio::test]
async fn a_used_up_quota_is_told_within_seconds_and_taken_back_when_it_is_raised() {
    let namespace = Namespace::shared("quota").await;
    let quotas = namespace.api::<ResourceQuota>();
    let quota = json!({"metadata": {"name": "small"}, "spec": {"hard": {"pods": "1"}}});
    quotas
        .create(
            &PostParams::default(),
            &serde_json::from_value(quota).unwrap(),
        )
        .await
        .unwrap();
    let clusters = namespace.api::<EchoCluster>();
    namespace.apply("hello", json!({"replicas": 2})).await;
    let started = Instant::now();
    let is_told = |cluster: &EchoCluster| tell(cluster, "Degraded") == "True/QuotaExceeded";
    let cluster = wait::until(&clusters, "hello", "told", is_told).await;
    assert!(
        started.elapsed() < WITHIN,
        "told after {:?}",
        started.elapsed()
    );
    let message = &condition(&cluster, "Degraded").unwrap().message;
    assert!(message.contains("exceeded quota: small"), "{message}");
    assert!(message.contains("Raise the quota"), "{message}");
    quotas
        .delete("small", &DeleteParams::default())
        .await
        .unwrap();
    // The ReplicaSet controller tries again ever more rarely; a change of the EchoCluster is the remedy that helps at once.
    namespace.apply_ready("hello", json!({"replicas": 1})).await;
    let cluster = namespace.apply_ready("hello", json!({"replicas": 2})).await;
    assert_eq!(tell(&cluster, "Degraded"), "False/AsExpected");
}

#[tokio::test]
async fn pods_that_a_policy_refuses_are_told_within_seconds() {
    let namespace = Namespace::shared("refused-pods").await;
    let policy = Policy::refuse_pods(&namespace).await;
    let clusters = namespace.api::<EchoCluster>();
    namespace.apply("hello", json!({"replicas": 1})).await;
    let started = Instant::now();
    let is_told = |cluster: &EchoCluster| tell(cluster, "Degraded") == "True/Forbidden";
    let cluster = wait::until(&clusters, "hello", "told", is_told).await;
    assert!(
        started.elapsed() < WITHIN,
        "told after {:?}",
        started.elapsed()
    );
    let message = &condition(&cluster, "Degraded").unwrap().message;
    assert!(message.contains("no pods on Mondays"), "{message}");
    assert_eq!(tell(&cluster, "Ready"), "False/Forbidden");
    drop(policy);
}

#[tokio::test]
async fn pods_that_no_node_takes_are_told_and_taken_back() {
    let namespace = Namespace::shared("unschedulable").await;
    let bad = json!({"replicas": 1, "pod": {"nodeSelector": {"example.com/disk": "glass"}}});
    let words = ["find no node", "spec.pod"];
    told_and_taken_back(&namespace, bad, "ReplicasUnavailable", &words).await;
}

#[tokio::test]
async fn resources_that_no_node_has_are_told_and_taken_back() {
    let namespace = Namespace::shared("impossible").await;
    let resources = json!({"requests": {"cpu": "1000"}, "limits": {}});
    let bad = json!({"replicas": 1, "resources": resources});
    told_and_taken_back(
        &namespace,
        bad,
        "ReplicasUnavailable",
        &["Insufficient cpu", "spec.resources"],
    )
    .await;
}

#[tokio::test]
async fn a_rollout_past_its_deadline_is_told_and_the_old_pods_stay_ready() {
    let namespace = Namespace::shared("deadline").await;
    namespace.apply_ready("hello", json!({"replicas": 1})).await;
    let pod = json!({"nodeSelector": {"example.com/disk": "glass"}});
    let bad = json!({"replicas": 1, "pod": pod, "rollout": {"progressDeadlineSeconds": 1}});
    namespace.apply("hello", bad).await;
    let is_stuck =
        |cluster: &EchoCluster| tell(cluster, "Progressing") == "False/ReplicasUnavailable";
    let cluster = wait::until(&namespace.api(), "hello", "stuck", is_stuck).await;
    assert_eq!(tell(&cluster, "Ready"), "True/RollingOut");
    assert_eq!(tell(&cluster, "Degraded"), "True/ReplicasUnavailable");
    let cluster = namespace.apply_ready("hello", json!({"replicas": 1})).await;
    assert_eq!(tell(&cluster, "Degraded"), "False/AsExpected");
}

#[tokio::test]
async fn an_image_that_is_no_echo_server_is_told_as_a_crash_with_its_last_words() {
    let namespace = Namespace::shared("crash").await;
    let image = namespace.operator_image().await;
    let bad = json!({"replicas": 1, "image": image});
    let words = [
        "end by themselves",
        "exit code 2",
        "kubectl logs --previous",
    ];
    told_and_taken_back(&namespace, bad, "CrashLoop", &words).await;
}

/// A policy of the cluster that refuses every pod of one namespace. It goes when this is dropped.
struct Policy {
    name: String,
}

impl Policy {
    async fn refuse_pods(namespace: &Namespace) -> Self {
        let name = namespace.name.clone();
        let policies = Api::<ValidatingAdmissionPolicy>::all(namespace.client.clone());
        let bindings = Api::<ValidatingAdmissionPolicyBinding>::all(namespace.client.clone());
        let pods = json!({"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]});
        let here = json!({"matchLabels": {"kubernetes.io/metadata.name": name}});
        let constraints = json!({"resourceRules": [pods], "namespaceSelector": here});
        let policy = json!({"metadata": {"name": name}, "spec": {"matchConstraints": constraints,
            "validations": [{"expression": "false", "message": "no pods on Mondays"}]}});
        let binding = json!({"metadata": {"name": name}, "spec": {"policyName": name, "validationActions": ["Deny"]}});
        let nothing = PostParams::default();
        policies
            .create(&nothing, &serde_json::from_value(policy).unwrap())
            .await
            .unwrap();
        bindings
            .create(&nothing, &serde_json::from_value(binding).unwrap())
            .await
            .unwrap();
        let refused = async || {
            let pod = json!({"metadata": {"generateName": "probe-"}, "spec": {"containers": [{"name": "c", "image": "c",
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}],
                "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}}}});
            let dry_run = PostParams {
                dry_run: true,
                ..PostParams::default()
            };
            let pods =
                Api::<k8s_openapi::api::core::v1::Pod>::namespaced(namespace.client.clone(), &name);
            match pods
                .create(&dry_run, &serde_json::from_value(pod).unwrap())
                .await
            {
                Err(error) if error.to_string().contains("Mondays") => Ok(()),
                answer => Err(format!("{answer:?}")),
            }
        };
        wait::until_ok("the policy is in force", refused).await;
        Self { name }
    }
}

impl Drop for Policy {
    fn drop(&mut self) {
        for kind in [
            "validatingadmissionpolicybinding",
            "validatingadmissionpolicy",
        ] {
            if let Err(error) =
                crate::kubectl::run(&["delete", kind, &self.name, "--wait=false"], "")
            {
                println!("failed to delete {kind} {}: {error}", self.name);
            }
        }
    }
}

impl Namespace {
    /// Returns the operator's own image, which every node that runs it has, and which is no echo server.
    async fn operator_image(&self) -> String {
        let pod = crate::deployed_operator::pod(&self.client).await;
        pod.spec.unwrap().containers[0].image.clone().unwrap()
    }
}
