//! CPU and memory of the echo servers.

use std::borrow::Cow;
use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::rules;

/// CPU and memory of each echo server.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::requests_within_limits(), validation = rules::memory_limit_is_enough())]
pub struct Resources {
    /// Resource requests of each echo server: `cpu`, `memory` and `ephemeral-storage`, none more than its limit. Default: 10m CPU, 16Mi
    /// memory. Changing it triggers a rolling update.
    #[serde(
        default = "default_requests",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    #[schemars(extend("maxProperties" = 3, "x-kubernetes-map-type" = "atomic"))]
    #[x_kube(validation = rules::known_resources())]
    pub requests: BTreeMap<String, ResourceQuantity>,

    /// Resource limits; the memory limit must be at least 8Mi. Possible are `cpu`, `memory` and `ephemeral-storage`. Default: 64Mi memory
    /// and no limit on CPU. Changing it triggers a rolling update.
    #[serde(default = "default_limits", skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 3, "x-kubernetes-map-type" = "atomic"))]
    #[x_kube(validation = rules::known_resources())]
    pub limits: BTreeMap<String, ResourceQuantity>,
}

impl Default for Resources {
    fn default() -> Self {
        Self {
            requests: default_requests(),
            limits: default_limits(),
        }
    }
}

/// An amount of a resource as a user may write it: `250m`, `64Mi`, `"0.5"` or `2`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ResourceQuantity {
    /// A bare number, as in `cpu: 2`.
    Integer(i64),
    /// A number with an optional suffix.
    Text(String),
}

impl JsonSchema for ResourceQuantity {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ResourceQuantity".into()
    }

    /// The schema that Kubernetes' own CRDs give to a quantity, without negative numbers.
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "minimum": 0,
            "maxLength": 64,
            "pattern": r"^\+?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?[0-9]+))?$",
            "description": "An amount, as in 250m, 64Mi or 2: a number with an optional suffix (n, u, m, k, M, G, T, P, E; Ki, Mi, Gi, Ti, Pi, Ei).",
        })
    }
}

/// Enough for thousands of idle connections: an echo server holds a few MiB and a few bytes a connection.
fn default_requests() -> BTreeMap<String, ResourceQuantity> {
    quantities([("cpu", "10m"), ("memory", "16Mi")])
}

/// Memory only: a CPU limit would throttle bursts without benefit on an idle node.
fn default_limits() -> BTreeMap<String, ResourceQuantity> {
    quantities([("memory", "64Mi")])
}

fn quantities<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, ResourceQuantity> {
    pairs
        .into_iter()
        .map(|(name, amount)| (name.to_owned(), ResourceQuantity::Text(amount.to_owned())))
        .collect()
}
