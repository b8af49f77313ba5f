//! What all children are marked with.

use std::collections::BTreeMap;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::rules;

/// Labels and annotations of all children: the Deployment, the Services and the optional ones. The pods are none of them and have their
/// own in `spec.pod`, so that a change restarts no pod.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChildMetadata {
    /// Labels that each child gets beside the operator's own, at most 32, such as those that a policy of the cluster demands. Not the
    /// pods, which `spec.pod.labels` is for. `spec.service.labels` goes before it for the Service. Keys of `app.kubernetes.io/`,
    /// `kubernetes.io/` and `echo-operator.dev/`, and `pod-template-hash`, are refused. Default: none. A change restarts no pod.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "super::pod::labels_schema")]
    #[x_kube(validation = rules::free_keys(), validation = rules::label_keys(), validation = rules::label_values())]
    pub labels: BTreeMap<String, String>,

    /// Annotations that each child gets beside the operator's own, at most 32, with values up to 4096 characters. Not the pods, which
    /// `spec.pod.annotations` is for. `spec.service.annotations` goes before it for the Service. The same keys are refused as for
    /// `labels`. Default: none. A change restarts no pod.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "super::pod::annotations_schema")]
    #[x_kube(validation = rules::free_keys(), validation = rules::label_keys())]
    pub annotations: BTreeMap<String, String>,
}
