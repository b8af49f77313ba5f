//! Labels and annotations of all children.

use std::collections::BTreeMap;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::rules;

/// Labels and annotations of all children: the Deployment, the Services and the optional objects. Pods are configured in `spec.pod`, so
/// that a change here does not restart pods.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChildMetadata {
    /// Labels of all children in addition to those of the operator, at most 32, for example labels that a policy of the cluster requires.
    /// Does not apply to pods; use `spec.pod.labels`. `spec.service.labels` takes precedence for the Service. Keys that begin with
    /// `app.kubernetes.io/`, `kubernetes.io/`, `echo-operator.dev/` or `container.apparmor.`, and the key `pod-template-hash`, are
    /// rejected. Default: none. Changing it does not restart pods.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "super::pod::labels_schema")]
    #[x_kube(validation = rules::free_keys(), validation = rules::label_keys(), validation = rules::label_values())]
    pub labels: BTreeMap<String, String>,

    /// Annotations of all children in addition to those of the operator, at most 32, with values up to 4096 characters. Does not apply to
    /// pods; use `spec.pod.annotations`. `spec.service.annotations` takes precedence for the Service. The same keys are rejected as for
    /// `labels`. Default: none. Changing it does not restart pods.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "super::pod::annotations_schema")]
    #[x_kube(validation = rules::free_keys(), validation = rules::label_keys())]
    pub annotations: BTreeMap<String, String>,
}
