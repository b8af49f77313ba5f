//! The rolling update, and how many pods may be evicted at the same time.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::rules;

/// The rolling update of the pods. Changing any of these fields does not restart pods.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::rollout_can_progress(), validation = rules::deadline_after_min_ready())]
pub struct Rollout {
    /// Maximum number of pods above `replicas` during a rolling update: a number from 0 to 1000, or a percentage up to 100%, rounded up.
    /// Default 25%. Changing it does not restart pods.
    #[serde(default = "defaults::max_surge")]
    pub max_surge: IntOrPercent,

    /// Maximum number of unavailable pods during a rolling update: a number from 0 to 1000, or a percentage up to 100%, rounded down.
    /// Default 0, so that the count never falls; cannot be 0 together with `maxSurge`. Changing it does not restart pods.
    #[serde(default = "defaults::max_unavailable")]
    pub max_unavailable: IntOrPercent,

    /// Seconds that a new pod must be ready before it counts as available, 0 to 3600. Default 0. Changing it does not restart pods.
    #[serde(default)]
    #[schemars(range(min = 0, max = 3600))]
    pub min_ready_seconds: i32,

    /// Seconds without progress after which a rollout counts as stalled (condition `Stalled`), 1 to 86400, more than `minReadySeconds`.
    /// Default 600. Changing it does not restart pods.
    #[serde(default = "defaults::progress_deadline_seconds")]
    #[schemars(range(min = 1, max = 86400))]
    pub progress_deadline_seconds: i32,

    /// Number of old ReplicaSets to retain, 0 to 100. Default 3. Changing it does not restart pods.
    #[serde(default = "defaults::revision_history_limit")]
    #[schemars(range(min = 0, max = 100))]
    pub revision_history_limit: i32,
}

impl Default for Rollout {
    fn default() -> Self {
        Self {
            max_surge: defaults::max_surge(),
            max_unavailable: defaults::max_unavailable(),
            min_ready_seconds: 0,
            progress_deadline_seconds: defaults::progress_deadline_seconds(),
            revision_history_limit: defaults::revision_history_limit(),
        }
    }
}

/// How many pods may be evicted at the same time, for example by `kubectl drain`: a PodDisruptionBudget, while `replicas` is more than 1.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Disruption {
    /// Whether to create a PodDisruptionBudget: `Limited` (default), or `Disabled` for none. There is none while `replicas` is 0 or 1,
    /// since it would either have no effect or prevent draining of nodes. Changing it does not restart pods.
    #[serde(default)]
    pub policy: DisruptionPolicy,

    /// Maximum number of pods that are unavailable because of evictions: a number from 1 to 1000, or a percentage from 1% to 100%, rounded
    /// up. Default 1. Changing it does not restart pods.
    #[serde(default = "defaults::disruption")]
    #[x_kube(validation = rules::disruption_allows_some())]
    pub max_unavailable: IntOrPercent,
}

impl Default for Disruption {
    fn default() -> Self {
        Self {
            policy: DisruptionPolicy::default(),
            max_unavailable: defaults::disruption(),
        }
    }
}

/// Whether evictions are limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DisruptionPolicy {
    /// By a PodDisruptionBudget.
    #[default]
    Limited,
    /// Not at all.
    Disabled,
}

/// A number of pods, or a percentage of `replicas`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum IntOrPercent {
    /// A number.
    Integer(i32),
    /// A percentage, as `25%`.
    Percent(String),
}

impl IntOrPercent {
    /// Returns the same as Kubernetes' own type.
    pub fn to_int_or_string(&self) -> IntOrString {
        match self {
            Self::Integer(number) => IntOrString::Int(*number),
            Self::Percent(text) => IntOrString::String(text.clone()),
        }
    }
}

impl JsonSchema for IntOrPercent {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "IntOrPercent".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "minimum": 0,
            "maximum": 1000,
            "maxLength": 4,
            "pattern": "^(100|[1-9]?[0-9])%$",
        })
    }
}

/// The values of fields that a user left out.
mod defaults {
    use super::IntOrPercent;

    pub(super) fn max_surge() -> IntOrPercent {
        IntOrPercent::Percent("25%".to_owned())
    }

    pub(super) fn max_unavailable() -> IntOrPercent {
        IntOrPercent::Integer(0)
    }

    pub(super) fn disruption() -> IntOrPercent {
        IntOrPercent::Integer(1)
    }

    pub(super) fn progress_deadline_seconds() -> i32 {
        600
    }

    pub(super) fn revision_history_limit() -> i32 {
        3
    }
}
