//! What the operator reports about an EchoCluster.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// What was last observed of an EchoCluster. Written by the operator only.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EchoClusterStatus {
    /// The `metadata.generation` that this status speaks of. Older than the object's generation: the operator has
    /// not yet looked at the newest change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// Pods that exist, terminating ones left out.
    #[serde(default)]
    pub replicas: i32,

    /// Pods that answer: their readiness probe succeeds.
    #[serde(default)]
    pub ready_replicas: i32,

    /// Pods that run the newest pod template.
    #[serde(default)]
    pub updated_replicas: i32,

    /// Pods that have answered for `spec.rollout.minReadySeconds`, which is what `Ready` counts.
    #[serde(default)]
    pub available_replicas: i32,

    /// Label selector of the pods, in the form that a HorizontalPodAutoscaler and `kubectl get pods -l` take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,

    /// Where clients in the cluster connect to: `<name>.<namespace>.svc:<port>` of the first listener.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,

    /// The image that the echo servers are told to run. During a rolling update, older pods run another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,

    /// `Ready`: as many echo servers are available as are asked for. `Progressing`: work is on its way.
    /// `Degraded`: something is wrong that a person may have to mend; the message says what, and what to do. The reasons are in
    /// docs/reference.md.
    #[serde(default)]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}
