//! What a user may add to the pods: where they run, their labels and their annotations.
//!
//! Maps are atomic to server-side apply: it turns one that was emptied, as by `labels: {}` in a manifest, into `null` otherwise, and
//! the API server rejects that.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Affinity, Toleration};
use kube::KubeSchema;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::rules;

/// Scheduling and metadata of the pods. Changing any of its fields triggers a rolling update.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodSpec {
    /// Labels of the pods in addition to those of the operator, at most 32; never part of the selector. Keys that begin with
    /// `app.kubernetes.io/`, `kubernetes.io/`, `echo-operator.dev/` or `container.apparmor.`, and the key `pod-template-hash`, are
    /// rejected. Default: none. Changing it triggers a rolling update.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "labels_schema")]
    #[x_kube(validation = rules::free_keys(), validation = rules::label_keys(), validation = rules::label_values())]
    pub labels: BTreeMap<String, String>,

    /// Annotations of the pods, at most 32, with values up to 4096 characters. The same keys are rejected as for `labels`. Default: none.
    /// Changing it triggers a rolling update.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "annotations_schema")]
    #[x_kube(validation = rules::free_keys(), validation = rules::label_keys())]
    pub annotations: BTreeMap<String, String>,

    /// Labels that a node must have to run echo servers, at most 32, in addition to `kubernetes.io/os: linux`, which the operator always
    /// sets. Default: none. Changing it triggers a rolling update.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "labels_schema")]
    #[x_kube(validation = rules::label_keys(), validation = rules::label_values(), validation = rules::runs_on_linux())]
    pub node_selector: BTreeMap<String, String>,

    /// Taints of nodes that the pods tolerate, at most 32, as in any pod. Default: none. Changing it triggers a rolling update.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub tolerations: Vec<Toleration>,

    /// Affinity of the pods, as in any pod, in addition to `topologySpread`. Default: none. Changing it triggers a rolling update.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-map-type" = "atomic"))]
    pub affinity: Option<Affinity>,

    /// The PriorityClass of the pods, which must exist. Default: the cluster's default. Changing it triggers a rolling update.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
    )]
    pub priority_class_name: Option<String>,

    /// The RuntimeClass of the pods, for example one for gVisor, which must exist. Default: the node's own runtime. Changing it triggers a
    /// rolling update.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
    )]
    pub runtime_class_name: Option<String>,
}

/// Labels: keys up to a prefix of 253 and a name of 63 characters, values up to 63 (the rules of Kubernetes' labels).
pub(super) fn labels_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 32,
        "x-kubernetes-map-type": "atomic",
        "additionalProperties": { "type": "string", "maxLength": 63 },
    })
}

/// Annotations: the same keys, and values up to 4 KiB each, which is enough for what load balancers and scrapers read.
pub(super) fn annotations_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 32,
        "x-kubernetes-map-type": "atomic",
        "additionalProperties": { "type": "string", "maxLength": 4096 },
    })
}
