//! The list and watch of each kind.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

use crate::apiserver::cache::CacheSync;

/// Reports each watch at the time of a scrape. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Watches {
    caches: Arc<OnceLock<Vec<CacheSync>>>,
}

impl Watches {
    pub(super) fn set(&self, caches: Vec<CacheSync>) {
        // There is one controller in a process, so this is called once.
        let _ = self.caches.set(caches);
    }
}

impl Collector for Watches {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        // A kind that is watched in several namespaces is reported once, as old as the oldest of its watches.
        let mut kinds = BTreeMap::<_, (Duration, u64)>::new();
        for cache in self.caches.get().into_iter().flatten() {
            let (age, failures) = kinds.entry(cache.kind).or_default();
            *age = cache.health.age().max(*age);
            *failures += cache.health.failures();
        }
        let mut ages = encoder.encode_descriptor(
            "watch_age",
            "Time since the API server last answered the list or watch of a kind",
            Some(&Unit::Seconds),
            MetricType::Gauge,
        )?;
        for (kind, (age, _)) in &kinds {
            let age = ConstGauge::new(age.as_secs_f64());
            age.encode(ages.encode_family(&[("kind", *kind)])?)?;
        }
        let mut failures = encoder.encode_descriptor(
            "watch_failures",
            "Failed lists and watches of a kind",
            None,
            MetricType::Counter,
        )?;
        for (kind, (_, count)) in &kinds {
            let count = ConstCounter::new(*count);
            count.encode(failures.encode_family(&[("kind", *kind)])?)?;
        }
        Ok(())
    }
}
