//! The status: what the operator reports about an EchoCluster.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// The last observed state of an EchoCluster. Written by the operator only.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EchoClusterStatus {
    /// The `metadata.generation` that the operator has observed. 0 in the default: none yet. While it is older than the object's
    /// generation, the status is that of an older spec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// Pods that exist, without terminating ones.
    #[serde(default)]
    pub replicas: i32,

    /// Pods that are ready: their readiness probe succeeds.
    #[serde(default)]
    pub ready_replicas: i32,

    /// Pods of the current pod template.
    #[serde(default)]
    pub updated_replicas: i32,

    /// Pods that have been ready for `spec.rollout.minReadySeconds`, which is what the condition `Ready` counts.
    #[serde(default)]
    pub available_replicas: i32,

    /// Label selector of the pods, in the form that a HorizontalPodAutoscaler and `kubectl get pods -l` take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,

    /// Where clients in the cluster connect to: `<name>.<namespace>.svc:<port>`, with the first port of the Service as it exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,

    /// The image of the Deployment as it exists. During a rolling update, older pods run another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,

    /// `Ready`: as many echo servers are available as `spec.replicas` asks for, and the Service exists. `Reconciling`: a change is in
    /// progress; the message says what it waits for. `Stalled`: nothing changes any more without a person or another system; the message
    /// has the cause and the remedy. All three are always present, and `Reconciling` and `Stalled` are never both True. The reasons are
    /// in docs/reference.md.
    #[serde(default)]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}
