//! The permissions that the operator lacks.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::apiserver::permissions::Permissions;
use crate::set_once::SetOnce;

/// Reports the permissions that are missing at the time of a scrape. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct MissingPermissions {
    permissions: SetOnce<Permissions>,
}

impl MissingPermissions {
    pub(super) fn set(&self, permissions: Permissions) {
        self.permissions.set(permissions);
    }
}

impl Collector for MissingPermissions {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let mut gauge = encoder.encode_descriptor(
            "missing_permissions",
            "Permissions that the operator lacks, by verb, resource and namespace, which is empty for all namespaces",
            None,
            MetricType::Gauge,
        )?;
        let missing = self.permissions.get().map(Permissions::missing);
        for permission in missing.into_iter().flatten() {
            let labels = [
                ("verb", permission.verb().to_owned()),
                ("resource", permission.resource()),
                (
                    "namespace",
                    permission.namespace().unwrap_or_default().to_owned(),
                ),
            ];
            ConstGauge::new(1_i64).encode(gauge.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
