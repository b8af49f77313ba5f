//! The PodMonitor that configures the Prometheus Operator to scrape the pods.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::CustomResource;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::api::v1alpha1::ADMIN_PORT_NAME;
use crate::model::metadata;
use crate::model::validate::ValidatedSpec;

/// The name of the CustomResourceDefinition of PodMonitors.
pub const POD_MONITOR_CRD: &str = "podmonitors.monitoring.coreos.com";

/// A `monitoring.coreos.com/v1` PodMonitor: what the operator sets, and other fields as they are, so that they are compared, too.
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
    /// Fields that the operator does not set.
    #[serde(flatten)]
    pub others: BTreeMap<String, Value>,
}

/// A port of the pods that serves metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodMetricsEndpoint {
    /// The name of the port.
    #[serde(default)]
    pub port: String,
    /// The path on it.
    #[serde(default)]
    pub path: String,
    /// Fields that the operator does not set.
    #[serde(flatten)]
    pub others: BTreeMap<String, Value>,
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
                ..PodMetricsEndpoint::default()
            }],
            ..PodMonitorSpec::default()
        },
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::fixtures::full_echo_cluster;
    use crate::model::build::build;
    use crate::model::children::ChangeAction;
    use crate::model::decision::{Decision, decide};
    use crate::model::validate::validate;

    #[test]
    fn a_field_that_another_client_has_added_is_a_difference() {
        let spec = validate(&full_echo_cluster()).unwrap();
        let desired = build(&spec).unwrap().pod_monitor.unwrap();
        for (pointer, field, value) in [
            ("/spec", "namespaceSelector", json!({"any": true})),
            ("/spec/podMetricsEndpoints/0", "interval", json!("1s")),
        ] {
            let mut live = serde_json::to_value(&desired).unwrap();
            live.pointer_mut(pointer).unwrap()[field] = value;
            let live = serde_json::from_value(live).unwrap();
            let decision = decide(&spec.owner, &desired, &live).unwrap();
            let Decision::Write(ChangeAction::Repaired(found)) = decision else {
                panic!("{decision:?}");
            };
            assert!(found.contains(field), "{found}");
        }
    }
}
