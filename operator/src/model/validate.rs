//! `EchoCluster → ValidatedSpec`: the spec, validated and with its defaults resolved. Never does I/O.
//!
//! The schema rejects most invalid specs before they are stored. They are validated again here, since an object may have been stored under
//! an older schema. No later step reads the spec of the EchoCluster.

mod limits;
pub mod listeners;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::ResourceExt;

pub use self::listeners::ValidatedListener;
use crate::api::v1alpha1::{
    Autoscaling, ChildMetadata, Disruption, EchoCluster, Faults, ImagePullPolicy, Limits,
    NetworkPolicyMode, PodSpec, ResourceQuantity, Rollout, ServiceSpec, TopologySpread,
};
use crate::model::metadata::{Owner, RESTARTED_AT_ANNOTATION};
use crate::model::quantity;

/// A spec that is valid.
#[derive(Clone, Debug, PartialEq)]
pub struct ValidatedSpec {
    /// The EchoCluster.
    pub owner: Owner,
    /// How many pods, 0 to 1000.
    pub replicas: i32,
    /// The echo server image.
    pub image: String,
    /// When the kubelet pulls it.
    pub image_pull_policy: ImagePullPolicy,
    /// The names of the Secrets that it is pulled with.
    pub image_pull_secrets: Vec<String>,
    /// At least one listener, in the order of the spec; names are unique, and so are ports, Service ports and node ports of each
    /// transport.
    pub listeners: Vec<ValidatedListener>,
    /// What an answer of protocol `Line` begins with.
    pub line_prefix: String,
    /// Worker threads; the echo server decides where none are given.
    pub threads: Option<i32>,
    /// The limits of an echo server; each within its bounds.
    pub limits: Limits,
    /// The faults that are injected, if any; each within its bounds.
    pub faults: Option<Faults>,
    /// How long a stopping echo server may take.
    pub drain: Duration,
    /// Resource requests in canonical notation.
    pub resource_requests: BTreeMap<String, Quantity>,
    /// Resource limits in canonical notation.
    pub resource_limits: BTreeMap<String, Quantity>,
    /// Labels and annotations of all children.
    pub metadata: ChildMetadata,
    /// How the Service is reached, and its labels and annotations.
    pub service: ServiceSpec,
    /// Where the pods run, and their labels and annotations.
    pub pod: PodSpec,
    /// How the pods are spread.
    pub topology_spread: TopologySpread,
    /// The value of the restart annotation. The pods are restarted when it changes.
    pub restarted_at: Option<String>,
    /// How a change reaches the pods.
    pub rollout: Rollout,
    /// How many pods evictions may disrupt.
    pub disruption: Disruption,
    /// How the EchoCluster is autoscaled, if it is.
    pub autoscaling: Option<Autoscaling>,
    /// Who reaches the pods.
    pub network: NetworkPolicyMode,
    /// Whether a PodMonitor lets the Prometheus operator scrape the pods.
    pub pod_monitor: bool,
    /// Whether children are not written.
    pub paused: bool,
}

impl ValidatedSpec {
    /// Returns the listeners in the order of their names, which the pod template has, so that another order in the spec restarts no
    /// pod. The Service keeps the order of the spec, since its first port is the address.
    pub fn listeners_by_name(&self) -> Vec<&ValidatedListener> {
        let mut listeners: Vec<_> = self.listeners.iter().collect();
        listeners.sort_by(|one, other| one.name.cmp(&other.name));
        listeners
    }
}

/// A field whose value is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} is {value}: {remedy}")]
pub struct InvalidSpec {
    /// The path of the field, as `spec.replicas`.
    pub field: String,
    /// The value found.
    pub value: String,
    /// What is allowed, or what to do.
    pub remedy: String,
}

/// How many replicas an EchoCluster may have, as the schema has it.
pub const REPLICAS: RangeInclusive<i32> = 0..=1000;

/// Turns an EchoCluster into a validated spec.
///
/// # Errors
/// [`InvalidSpec`] for the first invalid field. A retry cannot succeed until the EchoCluster changes.
pub fn validate(cluster: &EchoCluster) -> Result<ValidatedSpec, InvalidSpec> {
    let spec = &cluster.spec;
    let secrets = spec.image_pull_secrets.iter();
    Ok(ValidatedSpec {
        owner: Owner::of(cluster),
        replicas: within("spec.replicas", spec.replicas, REPLICAS)?,
        image: spec.image.clone(),
        image_pull_policy: spec.image_pull_policy,
        image_pull_secrets: secrets.map(|secret| secret.name.clone()).collect(),
        listeners: listeners::listeners(&spec.listeners, &spec.service.node_ports)?,
        line_prefix: spec.line.prefix.clone(),
        threads: spec
            .threads
            .map(|threads| within("spec.threads", threads, 1..=256))
            .transpose()?,
        limits: limits::limits(&spec.limits)?,
        faults: spec.faults.as_ref().map(limits::faults).transpose()?,
        drain: Duration::from_secs(u64::from(
            within("spec.drainSeconds", spec.drain_seconds, 0..=3600)?.unsigned_abs(),
        )),
        resource_requests: canonical("spec.resources.requests", &spec.resources.requests)?,
        resource_limits: canonical("spec.resources.limits", &spec.resources.limits)?,
        metadata: spec.metadata.clone(),
        service: spec.service.clone(),
        pod: spec.pod.clone(),
        topology_spread: spec.topology_spread,
        restarted_at: cluster.annotations().get(RESTARTED_AT_ANNOTATION).cloned(),
        rollout: spec.rollout.clone(),
        disruption: spec.disruption.clone(),
        autoscaling: spec.autoscaling.clone(),
        network: spec.network.policy,
        pod_monitor: spec.monitoring.pod_monitor,
        paused: spec.paused,
    })
}

fn canonical(
    field: &str,
    quantities: &BTreeMap<String, ResourceQuantity>,
) -> Result<BTreeMap<String, Quantity>, InvalidSpec> {
    quantities
        .iter()
        .map(|(resource, amount)| {
            let text = match amount {
                ResourceQuantity::Integer(number) => number.to_string(),
                ResourceQuantity::Text(text) => text.clone(),
            };
            let canonical = quantity::canonical(&text).map_err(|error| {
                invalid(&format!("{field}.{resource}"), &text, &error.to_string())
            })?;
            Ok((resource.clone(), Quantity(canonical)))
        })
        .collect()
}

fn within(field: &str, value: i32, allowed: RangeInclusive<i32>) -> Result<i32, InvalidSpec> {
    if allowed.contains(&value) {
        return Ok(value);
    }
    let remedy = format!(
        "choose a number from {} to {}",
        allowed.start(),
        allowed.end()
    );
    Err(invalid(field, value, &remedy))
}

fn invalid(field: &str, value: impl Display, remedy: &str) -> InvalidSpec {
    InvalidSpec {
        field: field.to_owned(),
        value: value.to_string(),
        remedy: remedy.to_owned(),
    }
}

#[cfg(test)]
mod tests;
