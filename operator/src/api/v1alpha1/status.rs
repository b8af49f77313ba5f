//! The status: what the operator reports about an EchoCluster.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// The last observed state of an EchoCluster. Written by the operator only.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EchoClusterStatus {
    /// The `metadata.generation` that the operator has observed. 0 until the operator has written the status. While it is lower than the
    /// object's generation, the status is that of an older spec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// Non-terminating pods.
    #[serde(default)]
    pub replicas: i32,

    /// Pods that are ready: their readiness probe succeeds.
    #[serde(default)]
    pub ready_replicas: i32,

    /// Pods of the current pod template.
    #[serde(default)]
    pub updated_replicas: i32,

    /// Pods that have been ready for `spec.rollout.minReadySeconds`. The condition `Ready` counts these.
    #[serde(default)]
    pub available_replicas: i32,

    /// Label selector of the pods, in the form that a HorizontalPodAutoscaler and `kubectl get pods -l` use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,

    /// The address for clients in the cluster: `<name>.<namespace>.svc:<port>`, with the first port of the existing Service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,

    /// The image in the Deployment's pod template. During a rolling update, older pods run another image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,

    /// `Ready`: as many echo servers are available as `spec.replicas` requires, and the Service exists. `Reconciling`: a change is in
    /// progress; the message says what it waits for. `Stalled`: no progress is expected without intervention; the message has the cause and
    /// the remedy. All three are always present, and `Reconciling` and `Stalled` are never both True. The reasons are in docs/reference.md.
    #[serde(default)]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}
