//! Deleted children and pods are created again. The children of a deleted EchoCluster are deleted.

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{DeleteParams, ListParams};
use kube::{Api, Resource, ResourceExt};
use operator::api::v1alpha1::EchoCluster;
use operator::model::metadata::selector_text;
use serde_json::json;

use crate::echo_clusters::uids;
use crate::namespace::Namespace;
use crate::wait::{self, Watched};

#[tokio::test]
async fn each_deleted_child_comes_back() {
    let namespace = Namespace::shared("child-deleted").await;
    namespace.apply_ready("hello", json!({"replicas": 2})).await;
    delete_and_await(&namespace.api::<Service>(), "hello").await;
    delete_and_await(&namespace.api::<Service>(), "hello-pods").await;
    delete_and_await(&namespace.api::<Deployment>(), "hello").await;
    namespace.ready("hello").await;
    namespace.ready_pods("hello", 2).await;
}

#[tokio::test]
async fn all_children_deleted_at_once_come_back() {
    let namespace = Namespace::shared("all-deleted").await;
    namespace.apply_ready("hello", json!({})).await;
    let (services, deployments) = (namespace.api::<Service>(), namespace.api::<Deployment>());
    tokio::join!(
        delete_and_await(&services, "hello"),
        delete_and_await(&services, "hello-pods"),
        delete_and_await(&deployments, "hello"),
    );
    namespace.ready("hello").await;
}

#[tokio::test]
async fn deleted_pods_come_back() {
    let namespace = Namespace::shared("pods-deleted").await;
    namespace.apply_ready("hello", json!({"replicas": 3})).await;
    let pods = namespace.api::<Pod>();
    let before = namespace.ready_pods("hello", 3).await;
    pods.delete(&before[0].name_any(), &DeleteParams::default())
        .await
        .unwrap();
    wait::until_gone(&pods, &before[0].name_any()).await;
    let between = namespace.ready_pods("hello", 3).await;
    let kept = uids(&between)
        .iter()
        .filter(|uid| uids(&before).contains(uid))
        .count();
    assert_eq!(kept, 2, "other pods than the deleted one are gone");

    let of_hello = ListParams::default().labels(&selector_text("hello"));
    pods.delete_collection(&DeleteParams::default(), &of_hello)
        .await
        .unwrap();
    for pod in &between {
        wait::until_gone(&pods, &pod.name_any()).await;
    }
    namespace.ready_pods("hello", 3).await;
    namespace.ready("hello").await;
}

#[tokio::test]
async fn a_deleted_echo_cluster_takes_everything_with_it() {
    let namespace = Namespace::shared("deletion").await;
    namespace.apply_ready("hello", json!({"replicas": 2})).await;
    let clusters = namespace.api::<EchoCluster>();
    clusters
        .delete("hello", &DeleteParams::default())
        .await
        .unwrap();
    none_left::<Deployment>(&namespace).await;
    none_left::<Service>(&namespace).await;
    none_left::<ReplicaSet>(&namespace).await;
    none_left::<Pod>(&namespace).await;
}

#[tokio::test]
async fn an_echo_cluster_made_anew_at_once_gets_children_of_its_own() {
    let namespace = Namespace::shared("made-anew").await;
    let first = namespace.apply_ready("hello", json!({})).await;
    let clusters = namespace.api::<EchoCluster>();
    clusters
        .delete("hello", &DeleteParams::default())
        .await
        .unwrap();
    let second = namespace.apply_ready("hello", json!({})).await;
    assert_ne!(first.uid(), second.uid());
    let is_of_second = |owners: &[OwnerReference]| uids_of(owners) == [second.uid().unwrap()];
    for name in ["hello", "hello-pods"] {
        let of_second = |service: &Service| is_of_second(service.owner_references());
        wait::until(&namespace.api(), name, "owned by the new one", of_second).await;
    }
    let of_second = |deployment: &Deployment| is_of_second(deployment.owner_references());
    wait::until(&namespace.api(), "hello", "owned by the new one", of_second).await;
}

fn uids_of(owners: &[OwnerReference]) -> Vec<String> {
    owners.iter().map(|owner| owner.uid.clone()).collect()
}

async fn none_left<K>(namespace: &Namespace)
where
    K: Watched + Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    wait::until_none(&namespace.api::<K>(), "").await;
}

/// Deletes a child and waits until another one has its name.
async fn delete_and_await<K: Watched>(api: &Api<K>, name: &str) {
    let before = api.get(name).await.unwrap().uid();
    api.delete(name, &DeleteParams::default()).await.unwrap();
    wait::until(api, name, "created again", |child| child.uid() != before).await;
}
