//! The PodMonitor, from which the Prometheus operator learns to scrape the echo servers.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::CustomResource;
use serde::{Deserialize, Serialize};

use super::container::ADMIN_PORT_NAME;
use crate::model::metadata;
use crate::model::validate::ValidatedSpec;

/// As much of a `monitoring.coreos.com/v1` PodMonitor as the operator sets.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "monitoring.coreos.com",
    version = "v1",
    kind = "PodMonitor",
    plural = "podmonitors",
    namespaced,
    schema = "disabled",
    derive = "PartialEq",
    derive = "Default"
)]
#[serde(rename_all = "camelCase")]
pub struct PodMonitorSpec {
    /// Which pods are scraped.
    #[serde(default)]
    pub selector: LabelSelector,
    /// Where each of them is scraped.
    #[serde(default)]
    pub pod_metrics_endpoints: Vec<PodMetricsEndpoint>,
}

/// A port of the pods that answers with metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodMetricsEndpoint {
    /// The name of the port.
    #[serde(default)]
    pub port: String,
    /// The path on it.
    #[serde(default)]
    pub path: String,
}

/// Builds the PodMonitor, if it is enabled.
pub fn pod_monitor(spec: &ValidatedSpec) -> Option<PodMonitor> {
    spec.pod_monitor.then(|| PodMonitor {
        metadata: metadata::child_metadata(&spec.owner, spec.owner.name.clone()),
        spec: PodMonitorSpec {
            selector: metadata::label_selector(&spec.owner.name),
            pod_metrics_endpoints: vec![PodMetricsEndpoint {
                port: ADMIN_PORT_NAME.to_owned(),
                path: "/metrics".to_owned(),
            }],
        },
    })
}
