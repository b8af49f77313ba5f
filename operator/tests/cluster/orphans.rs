//! Children that an earlier EchoCluster of the same name has orphaned are adopted, without a restart of their pods.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{DeleteParams, Patch, PatchParams, PropagationPolicy};
use kube::{Api, Resource, ResourceExt};
use operator::api::v1alpha1::EchoCluster;
use serde_json::{Value, json};

use crate::echo_clusters::{status_and_reason, uids};
use crate::namespace::Namespace;
use crate::wait::{self, Watched};

/// EchoClusters that are deleted at once; the operator's watch lags behind some of the deletions.
const MANY: usize = 10;

#[tokio::test]
async fn children_that_were_orphaned_are_adopted_with_their_pods() {
    let namespace = Namespace::shared("orphans").await;
    // The earlier EchoCluster has a higher generation than the one that comes after it.
    namespace.apply_ready("hello", json!({"replicas": 1})).await;
    let first = namespace.apply_ready("hello", json!({"replicas": 2})).await;
    let before = uids(&namespace.ready_pods("hello", 2).await);
    orphan(&namespace, "hello").await;
    let second = namespace.apply_ready("hello", json!({"replicas": 2})).await;
    assert_ne!(first.uid(), second.uid());
    assert_eq!(status_and_reason(&second, "Stalled"), "False/AsExpected");
    is_owned_by::<Deployment>(&namespace, "hello", &second).await;
    is_owned_by::<Service>(&namespace, "hello", &second).await;
    is_owned_by::<Service>(&namespace, "hello-pods", &second).await;
    let after = uids(&namespace.ready_pods("hello", 2).await);
    assert_eq!(after, before, "pods were restarted");
    namespace.event("Adopted", "Adopted Deployment hello").await;
}

#[tokio::test]
async fn a_child_that_was_orphaned_and_is_no_longer_desired_is_deleted() {
    let namespace = Namespace::shared("unwanted-orphans").await;
    namespace.apply_ready("hello", json!({"replicas": 2})).await;
    let budgets = namespace.api::<PodDisruptionBudget>();
    wait::until(&budgets, "hello", "created", |_| true).await;
    orphan(&namespace, "hello").await;
    namespace.apply_ready("hello", json!({"replicas": 1})).await;
    wait::until_gone(&budgets, "hello").await;
}

#[tokio::test]
async fn orphaning_leaves_every_child_although_the_watch_lags() {
    let namespace = Namespace::shared("orphaning").await;
    let names: Vec<String> = (0..MANY).map(|index| format!("hello-{index}")).collect();
    for name in &names {
        namespace.apply(name, json!({"replicas": 0})).await;
    }
    for name in &names {
        namespace.ready(name).await;
    }
    let deployments = namespace.api::<Deployment>();
    let mut before = Vec::new();
    for name in &names {
        before.push(deployments.get(name).await.unwrap().uid());
    }
    futures::future::join_all(names.iter().map(|name| orphan(&namespace, name))).await;
    for (name, uid) in names.iter().zip(before) {
        let left = deployments.get(name).await.unwrap();
        assert_eq!(left.uid(), uid, "Deployment {name} was deleted");
        assert!(left.owner_references().is_empty(), "{name}: {left:?}");
    }
}

#[tokio::test]
async fn removed_owner_references_are_restored_and_no_pod_restarts() {
    let namespace = Namespace::shared("stripped").await;
    let cluster = namespace.apply_ready("hello", json!({"replicas": 1})).await;
    let before = uids(&namespace.ready_pods("hello", 1).await);
    let strip = json!({"metadata": {"ownerReferences": null}});
    patch(&namespace.api::<Deployment>(), "hello", &strip).await;
    patch(&namespace.api::<Service>(), "hello", &strip).await;
    is_owned_by::<Deployment>(&namespace, "hello", &cluster).await;
    is_owned_by::<Service>(&namespace, "hello", &cluster).await;
    assert_eq!(uids(&namespace.ready_pods("hello", 1).await), before);
}

#[tokio::test]
async fn children_orphaned_by_an_echo_cluster_of_another_name_are_not_adopted() {
    let namespace = Namespace::shared("other-orphans").await;
    namespace.apply_ready("hello", json!({"replicas": 0})).await;
    orphan(&namespace, "hello").await;
    let services = namespace.api::<Service>();
    let relabel = json!({"metadata": {"labels": {"app.kubernetes.io/instance": "other"}}});
    patch(&services, "hello", &relabel).await;
    namespace.apply("hello", json!({"replicas": 0})).await;
    let is_in_conflict =
        |cluster: &EchoCluster| status_and_reason(cluster, "Stalled") == "True/NameConflict";
    let clusters = namespace.api::<EchoCluster>();
    let cluster = wait::until(&clusters, "hello", "in conflict", is_in_conflict).await;
    assert_eq!(status_and_reason(&cluster, "Ready"), "False/NameConflict");
    let service = services.get("hello").await.unwrap();
    assert!(service.owner_references().is_empty());
}

/// Deletes an EchoCluster and leaves its children, and waits until it is gone.
async fn orphan(namespace: &Namespace, name: &str) {
    let clusters = namespace.api::<EchoCluster>();
    let parameters = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Orphan),
        ..DeleteParams::default()
    };
    clusters.delete(name, &parameters).await.unwrap();
    wait::until_gone(&clusters, name).await;
}

async fn is_owned_by<K>(namespace: &Namespace, name: &str, cluster: &EchoCluster)
where
    K: Watched + Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
{
    let uid = cluster.uid().unwrap();
    let is_owned = |child: &K| {
        let mut owners = child.owner_references().iter();
        owners.any(|owner| owner.uid == uid && owner.controller == Some(true))
    };
    wait::until(&namespace.api::<K>(), name, "owned", is_owned).await;
}

async fn patch<K: Watched>(api: &Api<K>, name: &str, patch: &Value) {
    let (parameters, patch) = (PatchParams::default(), Patch::Merge(patch));
    api.patch(name, &parameters, &patch).await.unwrap();
}
