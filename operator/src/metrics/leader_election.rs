//! Whether this process leads, as client-go reports it.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::apiserver::leadership::Leadership;
use crate::set_once::SetOnce;

/// Reports whether this process leads at the time of a scrape. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct MasterStatus {
    leadership: SetOnce<Leadership>,
}

impl MasterStatus {
    pub(super) fn set(&self, leadership: Leadership) {
        self.leadership.set(leadership);
    }
}

impl Collector for MasterStatus {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let mut gauge = encoder.encode_descriptor(
            "leader_election_master_status",
            "Whether this process is the leader: 0 indicates backup, 1 indicates master",
            None,
            MetricType::Gauge,
        )?;
        if let Some(leadership) = self.leadership.get()
            && let Some(lease) = leadership.lease()
        {
            let status = ConstGauge::new(i64::from(leadership.is_leader()));
            status.encode(gauge.encode_family(&[("name", lease)])?)?;
        }
        Ok(())
    }
}
