//! The operator's metrics, in the OpenMetrics text format.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use kube::Resource;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabelSet, EncodeLabelValue, EncodeMetric, text::encode,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::apiserver::cache::CacheSync;
use crate::apiserver::request::Verb;

/// How a reconcile ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum ReconcileResult {
    /// The children are as desired.
    Applied,
    /// The spec is invalid, or a child has a problem that the operator cannot solve.
    Blocked,
    /// Nothing was to be applied: the EchoCluster is paused, is being deleted, or no longer exists.
    Skipped,
    /// Another client wrote at the same time.
    Conflict,
    /// A request failed.
    Error,
    /// It took too long.
    Timeout,
    /// It panicked: a bug.
    Panic,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    result: ReconcileResult,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WriteLabels {
    kind: String,
    verb: Verb,
}

/// The operator's metrics. Clones share them.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    reconciles: Family<ResultLabels, Counter>,
    reconcile_duration: Histogram,
    writes: Family<WriteLabels, Counter>,
    dropped_events: Counter,
    watches: Watches,
}

impl Default for Metrics {
    fn default() -> Self {
        let reconciles = Family::default();
        let reconcile_duration = Histogram::new(exponential_buckets(0.0005, 2.0, 19)); // 0.5 ms to 131 s, the deadline of a reconcile
        let writes = Family::default();
        let mut registry = Registry::with_prefix("echo_operator");
        registry.register(
            "reconcile",
            "Reconciles of an EchoCluster, by result",
            reconciles.clone(),
        );
        registry.register(
            "reconcile_duration_seconds",
            "Duration of a reconcile of an EchoCluster",
            reconcile_duration.clone(),
        );
        registry.register(
            "writes",
            "Writes to the API server by kind and verb, without events",
            writes.clone(),
        );
        let dropped_events = Counter::default();
        registry.register(
            "dropped_events",
            "Events that were dropped because there were too many",
            dropped_events.clone(),
        );
        registry.register_collector(Box::new(DroppedLogLines));
        let watches = Watches::default();
        registry.register_collector(Box::new(watches.clone()));
        Self {
            registry: Arc::new(registry),
            reconciles,
            reconcile_duration,
            writes,
            dropped_events,
            watches,
        }
    }
}

/// Reports each watch at the time of a scrape.
#[derive(Clone, Debug, Default)]
struct Watches {
    caches: Arc<OnceLock<Vec<CacheSync>>>,
}

impl Collector for Watches {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let caches = self.caches.get().map(Vec::as_slice).unwrap_or_default();
        let mut ages = encoder.encode_descriptor(
            "watch_age",
            "Time since the API server last answered the list or watch of a kind",
            Some(&Unit::Seconds),
            MetricType::Gauge,
        )?;
        for cache in caches {
            let age = ConstGauge::new(cache.health.age().as_secs_f64());
            age.encode(ages.encode_family(&[("kind", cache.kind)])?)?;
        }
        let mut failures = encoder.encode_descriptor(
            "watch_failures",
            "Failed lists and watches of a kind",
            None,
            MetricType::Counter,
        )?;
        for cache in caches {
            let count = ConstCounter::new(cache.health.failures());
            count.encode(failures.encode_family(&[("kind", cache.kind)])?)?;
        }
        Ok(())
    }
}

/// Reports the log lines that were dropped, which the log itself counts.
#[derive(Debug)]
struct DroppedLogLines;

impl Collector for DroppedLogLines {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let counter = encoder.encode_descriptor(
            "log_lines_dropped",
            "Log lines dropped, since the log could not be written",
            None,
            MetricType::Counter,
        )?;
        ConstCounter::new(log_writer::dropped_lines()).encode(counter)
    }
}

impl Metrics {
    /// Counts a reconcile and its time.
    pub fn observe_reconcile(&self, result: ReconcileResult, took: Duration) {
        self.reconciles
            .get_or_create(&ResultLabels { result })
            .inc();
        self.reconcile_duration.observe(took.as_secs_f64());
    }

    /// Counts a write to an object of kind `K`.
    pub fn count_write<K: Resource<DynamicType = ()>>(&self, verb: Verb) {
        let labels = WriteLabels {
            kind: K::kind(&()).into_owned(),
            verb,
        };
        self.writes.get_or_create(&labels).inc();
    }

    /// Counts an event that was dropped by the queue or rate limit.
    pub fn count_dropped_event(&self) {
        self.dropped_events.inc();
    }

    /// Sets the caches whose watches are reported.
    pub fn set_caches(&self, caches: Vec<CacheSync>) {
        // There is one controller in a process, so this is called once.
        let _ = self.watches.caches.set(caches);
    }

    /// Returns all metrics in the OpenMetrics text format.
    ///
    /// # Errors
    /// When a collector fails to encode its metrics.
    pub fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::apps::v1::Deployment;

    use super::*;
    use crate::apiserver::cache::Requirement;

    #[test]
    fn reconciles_and_writes_are_in_the_text() {
        let metrics = Metrics::default();
        metrics.observe_reconcile(ReconcileResult::Applied, Duration::from_millis(3));
        metrics.count_write::<Deployment>(Verb::Apply);
        let text = metrics.text().unwrap();
        assert!(
            text.contains("echo_operator_reconcile_total{result=\"Applied\"} 1"),
            "{text}"
        );
        assert!(
            text.contains("echo_operator_writes_total{kind=\"Deployment\",verb=\"Apply\"} 1"),
            "{text}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_age_of_each_watch_is_in_the_text() {
        let (sync, _writer) = CacheSync::of::<Deployment>("Deployments", Requirement::Required);
        let metrics = Metrics::default();
        metrics.set_caches(vec![sync]);
        tokio::time::advance(Duration::from_secs(7)).await;
        let text = metrics.text().unwrap();
        let age = "echo_operator_watch_age_seconds{kind=\"Deployments\"} 7.0";
        assert!(text.contains(age), "{text}");
    }
}
