//! A child that admission changes at each write, as a platform's policy or webhook does it.

use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::PostParams;
use operator::api::v1alpha1::EchoCluster;
use serde_json::json;

use crate::audit::{self, AuditLog};
use crate::cluster_policy::ClusterPolicy;
use crate::echo_clusters::{condition, status_and_reason};
use crate::namespace::Namespace;
use crate::skip::skip;
use crate::wait;

/// A rule that the platform adds to each NetworkPolicy.
const ADDED_RULE: &str = r#"[JSONPatch{op: "add", path: "/spec/egress/-",
    value: {"ports": dyn([dyn({"port": dyn(443), "protocol": dyn("TCP")})])}}]"#;

fn egress_rules(policy: &NetworkPolicy) -> usize {
    let rules = policy.spec.as_ref().and_then(|spec| spec.egress.as_ref());
    rules.map_or(0, Vec::len)
}

/// Waits until admission adds its rule to a NetworkPolicy.
async fn until_in_force(namespace: &Namespace) {
    let policies = namespace.api::<NetworkPolicy>();
    let probe = json!({"metadata": {"name": "probe"}, "spec": {"podSelector": {}, "egress": [{}]}});
    let probe: NetworkPolicy = serde_json::from_value(probe).unwrap();
    let dry_run = PostParams {
        dry_run: true,
        field_manager: None,
    };
    let in_force = async || match policies.create(&dry_run, &probe).await {
        Ok(policy) if egress_rules(&policy) == 2 => Ok(()),
        answer => Err(format!("{answer:?}")),
    };
    wait::until_ok("the policy is in force", in_force).await;
}

#[tokio::test]
async fn a_network_policy_that_admission_changes_is_reported_and_restored_after_the_end_of_that() {
    if !ClusterPolicy::can_mutate() {
        return skip(
            "the cluster serves no MutatingAdmissionPolicy (Kubernetes 1.36 and later do)",
        );
    }
    let namespace = Namespace::shared("mutated").await;
    let rule = json!({"apiGroups": ["networking.k8s.io"], "apiVersions": ["v1"],
        "operations": ["CREATE", "UPDATE"], "resources": ["networkpolicies"]});
    let mutation = ClusterPolicy::patching(&namespace, &rule, ADDED_RULE);
    until_in_force(&namespace).await;
    let log = AuditLog::from_now(&namespace).await;
    namespace.apply("hello", json!({"replicas": 0})).await;
    let is_reported =
        |cluster: &EchoCluster| status_and_reason(cluster, "Stalled") == "True/ConflictingWriter";
    let cluster = wait::until(&namespace.api(), "hello", "contended", is_reported).await;
    let message = &condition(&cluster, "Stalled").unwrap().message;
    assert!(message.contains("NetworkPolicy hello"), "{message}");
    if let Some(log) = &log {
        // Once apply has not restored the rules, the NetworkPolicy is replaced as a whole.
        let is_replaced = async || {
            let writes = log.writes();
            let is_update = |write: &audit::Write| {
                write.resource == "networkpolicies" && write.verb == "update"
            };
            if writes.iter().any(is_update) {
                return Ok(());
            }
            Err(audit::list(&writes))
        };
        wait::until_ok("the NetworkPolicy is replaced", is_replaced).await;
    }
    let policies = namespace.api::<NetworkPolicy>();
    let added = egress_rules(&policies.get("hello").await.unwrap());
    drop(mutation);
    let is_restored = |policy: &NetworkPolicy| egress_rules(policy) < added;
    wait::until(&policies, "hello", "restored", is_restored).await;
}
