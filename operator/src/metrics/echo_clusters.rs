//! How many EchoClusters there are, by the condition `Ready`.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use kube::core::DeserializeGuard;
use kube::runtime::reflector::Store;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::api::v1alpha1::EchoCluster;
use crate::api::v1alpha1::conditions::ConditionType;

/// The status and the reason of an EchoCluster that has no condition `Ready`, or cannot be decoded.
const UNKNOWN: (&str, &str) = ("Unknown", "");

/// Counts the EchoClusters at the time of a scrape. Clones share it.
#[derive(Clone, Default)]
pub(super) struct EchoClusters {
    store: Arc<OnceLock<Store<DeserializeGuard<EchoCluster>>>>,
}

impl EchoClusters {
    pub(super) fn set(&self, store: Store<DeserializeGuard<EchoCluster>>) {
        // There is one controller in a process, so this is called once.
        let _ = self.store.set(store);
    }
}

impl std::fmt::Debug for EchoClusters {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("EchoClusters")
            .finish_non_exhaustive()
    }
}

impl Collector for EchoClusters {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let clusters = self.store.get().map(Store::state).unwrap_or_default();
        let mut counts = BTreeMap::<_, i64>::new();
        for cluster in &clusters {
            *counts.entry(ready(cluster)).or_default() += 1;
        }
        let mut gauge = encoder.encode_descriptor(
            "echoclusters",
            "EchoClusters by status and reason of the condition Ready",
            None,
            MetricType::Gauge,
        )?;
        for ((status, reason), count) in counts {
            let labels = [("status", status), ("reason", reason)];
            ConstGauge::new(count).encode(gauge.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

/// Returns the status and the reason of the condition `Ready`.
fn ready(cluster: &DeserializeGuard<EchoCluster>) -> (&str, &str) {
    let status = cluster
        .0
        .as_ref()
        .ok()
        .and_then(|cluster| cluster.status.as_ref());
    let mut conditions = status.into_iter().flat_map(|status| &status.conditions);
    let ready = conditions.find(|condition| ConditionType::Ready.is_of(condition));
    ready.map_or(UNKNOWN, |ready| (&ready.status, &ready.reason))
}
