//! What the operator counts about itself, in Prometheus' text format.

use std::sync::Arc;
use std::time::Duration;

use kube::Resource;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, text::encode};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::apply::Verb;

/// How a pass ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum ReconcileResult {
    /// The children are as desired.
    Applied,
    /// A name taken or a refusal stands in the way.
    Blocked,
    /// Somebody else wrote at the same time.
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

/// The operator's counters. Clones count together.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    passes: Family<ResultLabels, Counter>,
    pass_duration: Histogram,
    writes: Family<WriteLabels, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        let passes = Family::default();
        let pass_duration = Histogram::new(exponential_buckets(0.0005, 2.0, 16)); // 0.5 ms to 16 s
        let writes = Family::default();
        let mut registry = Registry::with_prefix("echo_operator");
        registry.register(
            "reconcile",
            "Passes over an EchoCluster, by how they ended",
            passes.clone(),
        );
        registry.register(
            "reconcile_duration_seconds",
            "Time that a pass over an EchoCluster took",
            pass_duration.clone(),
        );
        registry.register(
            "writes",
            "Writes to the API server, by kind and verb, events left out",
            writes.clone(),
        );
        Self {
            registry: Arc::new(registry),
            passes,
            pass_duration,
            writes,
        }
    }
}

impl Metrics {
    /// Counts a pass and its time.
    pub fn observe_pass(&self, result: ReconcileResult, took: Duration) {
        self.passes.get_or_create(&ResultLabels { result }).inc();
        self.pass_duration.observe(took.as_secs_f64());
    }

    /// Counts a write to an object of kind `K`.
    pub fn count_write<K: Resource<DynamicType = ()>>(&self, verb: Verb) {
        let labels = WriteLabels {
            kind: K::kind(&()).into_owned(),
            verb,
        };
        self.writes.get_or_create(&labels).inc();
    }

    /// Returns all counters in Prometheus' text format.
    ///
    /// # Errors
    /// When the text cannot be written, which a string does not do.
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

    #[test]
    fn passes_and_writes_are_in_the_text() {
        let metrics = Metrics::default();
        metrics.observe_pass(ReconcileResult::Applied, Duration::from_millis(3));
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
}
