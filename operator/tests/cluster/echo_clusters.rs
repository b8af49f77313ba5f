//! EchoClusters and their pods.

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{Patch, PatchParams};
use kube::{Resource, ResourceExt};
use operator::api::v1alpha1::EchoCluster;
use operator::model::metadata::selector_text;
use serde_json::{Value, json};

use crate::namespace::Namespace;
use crate::wait;

/// The field manager of the tests.
pub(crate) const TESTER: &str = "other-client";

/// How many repairs of a child a test may cause before it calls [`Namespace::new_generation`]: the operator takes more repairs of one
/// generation for contention, and backs off.
pub(crate) const REPAIRS_OF_A_GENERATION: usize = 8;

impl Namespace {
    /// Applies an EchoCluster with the given fields alone; the API server sets the defaults.
    pub(crate) async fn apply(&self, name: &str, spec: Value) -> EchoCluster {
        let applied = self.try_apply(name, spec).await;
        applied.expect("failed to apply the EchoCluster")
    }

    /// Applies an EchoCluster that may be rejected.
    ///
    /// # Errors
    /// The error of the API server or of the connection to it.
    pub(crate) async fn try_apply(&self, name: &str, spec: Value) -> kube::Result<EchoCluster> {
        let cluster = json!({
            "apiVersion": EchoCluster::api_version(&()),
            "kind": EchoCluster::kind(&()),
            "metadata": {"name": name},
            "spec": spec,
        });
        let parameters = PatchParams::apply(TESTER).force();
        self.api()
            .patch(name, &parameters, &Patch::Apply(&cluster))
            .await
    }

    /// Waits until an EchoCluster is settled.
    pub(crate) async fn ready(&self, name: &str) -> EchoCluster {
        wait::until(&self.api(), name, "ready and settled", is_settled).await
    }

    /// Gives an EchoCluster a new generation that has the same children: the amount of memory is written another way.
    pub(crate) async fn new_generation(&self, name: &str) {
        let clusters = self.api::<EchoCluster>();
        let current = json!(clusters.get(name).await.unwrap());
        let memory = &current["spec"]["resources"]["requests"]["memory"];
        let memory = if memory == "16Mi" { "16384Ki" } else { "16Mi" };
        let patch = json!({"spec": {"resources": {"requests": {"memory": memory}}}});
        clusters
            .patch(name, &PatchParams::default(), &Patch::Merge(&patch))
            .await
            .unwrap();
    }

    /// Applies an EchoCluster and waits until it is ready.
    pub(crate) async fn apply_ready(&self, name: &str, spec: Value) -> EchoCluster {
        self.apply(name, spec).await;
        self.ready(name).await
    }

    /// Waits until exactly `count` pods of an EchoCluster exist and all are ready, and returns them.
    pub(crate) async fn ready_pods(&self, name: &str, count: usize) -> Vec<Pod> {
        let what = format!("{count} pods, all ready");
        let all_ready = |pods: &[&Pod]| pods.len() == count && pods.iter().all(|pod| is_ready(pod));
        wait::until_all(&self.api(), &selector_text(name), &what, all_ready).await
    }
}

/// Whether the status is that of the newest generation, and reports `Ready=True` and `Reconciling=False`.
pub(crate) fn is_settled(cluster: &EchoCluster) -> bool {
    cluster.status.as_ref().is_some_and(|status| {
        status.observed_generation == cluster.metadata.generation
            && condition(cluster, "Ready").is_some_and(|ready| ready.status == "True")
            && condition(cluster, "Reconciling").is_some_and(|found| found.status == "False")
    })
}

/// Finds a condition of an EchoCluster.
pub(crate) fn condition<'a>(cluster: &'a EchoCluster, type_: &str) -> Option<&'a Condition> {
    let status = cluster.status.as_ref()?;
    status
        .conditions
        .iter()
        .find(|condition| condition.type_ == type_)
}

/// Returns the status and the reason of a condition, as `True/Ready`.
pub(crate) fn status_and_reason(cluster: &EchoCluster, type_: &str) -> String {
    condition(cluster, type_).map_or_else(
        || "none".to_owned(),
        |condition| format!("{}/{}", condition.status, condition.reason),
    )
}

/// Whether a pod is ready and is not being deleted.
pub(crate) fn is_ready(pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    let mut conditions = status
        .and_then(|status| status.conditions.as_ref())
        .into_iter()
        .flatten();
    pod.metadata.deletion_timestamp.is_none()
        && conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Returns the node that a pod runs on.
pub(crate) fn node_of(pod: &Pod) -> String {
    pod.spec.clone().unwrap().node_name.unwrap_or_default()
}

/// Returns the sorted UIDs of objects.
pub(crate) fn uids<K: Resource>(objects: &[K]) -> Vec<String> {
    let mut uids: Vec<String> = objects.iter().filter_map(ResourceExt::uid).collect();
    uids.sort();
    uids
}
