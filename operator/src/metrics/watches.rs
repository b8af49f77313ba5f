//! The list and watch of each kind.

use std::collections::BTreeMap;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

use crate::apiserver::cache::CacheSync;
use crate::set_once::SetOnce;

/// Reports each watch at the time of a scrape. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Watches {
    caches: SetOnce<Vec<CacheSync>>,
}

/// The watches of one kind.
#[derive(Default)]
struct Kind {
    /// How long ago the oldest was answered; nothing if none is open, since the kind is not served.
    age: Option<Duration>,
    failures: u64,
    restarts: u64,
}

impl Watches {
    pub(super) fn set(&self, caches: Vec<CacheSync>) {
        self.caches.set(caches);
    }
}

impl Collector for Watches {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        // A kind that is watched in several namespaces is reported once, as old as the oldest of its watches.
        let mut kinds = BTreeMap::<_, Kind>::new();
        for cache in self.caches.get().into_iter().flatten() {
            let kind = kinds.entry(cache.kind).or_default();
            let age = cache.is_watched().then(|| cache.health.age());
            kind.age = age.max(kind.age);
            kind.failures += cache.health.failures();
            kind.restarts += cache.health.restarts();
        }
        let mut ages = encoder.encode_descriptor(
            "watch_age",
            "Time since the API server last answered the list or watch of a kind",
            Some(&Unit::Seconds),
            MetricType::Gauge,
        )?;
        for (name, kind) in &kinds {
            if let Some(age) = kind.age {
                let age = ConstGauge::new(age.as_secs_f64());
                age.encode(ages.encode_family(&[("kind", *name)])?)?;
            }
        }
        let mut failures = encoder.encode_descriptor(
            "watch_failures",
            "Failed lists and watches of a kind",
            None,
            MetricType::Counter,
        )?;
        for (name, kind) in &kinds {
            let count = ConstCounter::new(kind.failures);
            count.encode(failures.encode_family(&[("kind", *name)])?)?;
        }
        let mut restarts = encoder.encode_descriptor(
            "watch_restarts",
            "Lists of a kind after its first one, since its watch could not go on",
            None,
            MetricType::Counter,
        )?;
        for (name, kind) in &kinds {
            let count = ConstCounter::new(kind.restarts);
            count.encode(restarts.encode_family(&[("kind", *name)])?)?;
        }
        Ok(())
    }
}
