//! The queue of EchoClusters, with the metrics of client-go's workqueue as controller-runtime reports them.

use std::borrow::Cow;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use super::CONTROLLER;
use crate::set_once::SetOnce;

/// The state of the queue at the time of a scrape.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct QueueState {
    /// Keys that wait because of a change, or because they are due.
    pub(crate) changed: u32,
    /// Keys that wait because all EchoClusters are reconciled.
    pub(crate) all: u32,
    /// Keys that are processed and have a slot.
    pub(crate) active: u32,
    /// Keys that are processed and have released their slot.
    pub(crate) stragglers: u32,
    /// How many slots there are.
    pub(crate) slots: u32,
    /// The sum of the times for which they have been processed.
    pub(crate) unfinished: Duration,
    /// The longest of these times.
    pub(crate) longest: Duration,
}

type Read = Box<dyn Fn() -> QueueState + Send + Sync>;

/// The metrics of the queue. Clones share them.
#[derive(Clone)]
pub(crate) struct Workqueue {
    adds: Counter,
    retries: Counter,
    queue_duration: Histogram,
    work_duration: Histogram,
    read: SetOnce<Read>,
}

impl Default for Workqueue {
    fn default() -> Self {
        let duration = || Histogram::new(exponential_buckets(1e-8, 10.0, 12));
        Self {
            adds: Counter::default(),
            retries: Counter::default(),
            queue_duration: duration(),
            work_duration: duration(),
            read: SetOnce::default(),
        }
    }
}

impl Workqueue {
    /// Makes the metrics, and registers them.
    pub(super) fn register(registry: &mut Registry) -> Self {
        let this = Self::default();
        let labels = ["name", "controller"].map(|name| (name.into(), CONTROLLER.into()));
        let named = registry.sub_registry_with_labels(labels.into_iter());
        let named = named.sub_registry_with_prefix("workqueue");
        named.register(
            "adds",
            "Total number of adds handled by workqueue",
            this.adds.clone(),
        );
        named.register(
            "retries",
            "Total number of retries handled by workqueue",
            this.retries.clone(),
        );
        named.register(
            "queue_duration_seconds",
            "How long in seconds an item stays in workqueue before being requested",
            this.queue_duration.clone(),
        );
        named.register(
            "work_duration_seconds",
            "How long in seconds processing an item from workqueue takes",
            this.work_duration.clone(),
        );
        let read = this.read.clone();
        named.register_collector(Box::new(Gauges {
            read,
            metrics: QUEUE,
        }));
        let label = (Cow::Borrowed("controller"), Cow::Borrowed(CONTROLLER));
        let controller = registry.sub_registry_with_label(label);
        let controller = controller.sub_registry_with_prefix("controller_runtime");
        let read = this.read.clone();
        controller.register_collector(Box::new(Gauges {
            read,
            metrics: WORKERS,
        }));
        let own = registry.sub_registry_with_prefix("echo_operator");
        let read = this.read.clone();
        own.register_collector(Box::new(Gauges { read, metrics: OWN }));
        this
    }

    /// Sets how the state of the queue is read.
    pub(crate) fn set_state(&self, read: impl Fn() -> QueueState + Send + Sync + 'static) {
        self.read.set(Box::new(read));
    }

    /// Counts a key that was added.
    pub(crate) fn count_add(&self) {
        self.adds.inc();
    }

    /// Counts a key that is added again after a failure.
    pub(crate) fn count_retry(&self) {
        self.retries.inc();
    }

    /// Counts the time that a key has waited.
    pub(crate) fn observe_wait(&self, waited: Duration) {
        self.queue_duration.observe(waited.as_secs_f64());
    }

    /// Counts the time that processing a key has taken.
    pub(crate) fn observe_work(&self, took: Duration) {
        self.work_duration.observe(took.as_secs_f64());
    }
}

/// A gauge: its name, its help, and its samples with the value of the label `priority`, if it has one.
type Gauge = (
    &'static str,
    &'static str,
    fn(&QueueState) -> Vec<(Option<&'static str>, f64)>,
);

/// Gauges of the workqueue. The priorities are those of controller-runtime, where what is listed at the start has -100.
const QUEUE: &[Gauge] = &[
    (
        "depth",
        "Current depth of workqueue by workqueue and priority",
        |state| {
            vec![
                (Some("0"), state.changed.into()),
                (Some("-100"), state.all.into()),
            ]
        },
    ),
    (
        "unfinished_work_seconds",
        "How many seconds of work has been done that is in progress and has not been observed by work_duration",
        |state| vec![(None, state.unfinished.as_secs_f64())],
    ),
    (
        "longest_running_processor_seconds",
        "How many seconds the longest running processor for workqueue has been running",
        |state| vec![(None, state.longest.as_secs_f64())],
    ),
];

/// Gauges of the controller. Stragglers are not among the workers.
const WORKERS: &[Gauge] = &[
    (
        "active_workers",
        "Number of currently used workers per controller",
        |state| vec![(None, state.active.into())],
    ),
    (
        "max_concurrent_reconciles",
        "Maximum number of concurrent reconciles per controller",
        |state| vec![(None, state.slots.into())],
    ),
];

/// Gauges of the operator's own.
const OWN: &[Gauge] = &[(
    "stragglers",
    "Reconciles that take much longer than others, and have released their slot",
    |state| vec![(None, state.stragglers.into())],
)];

/// Reports gauges at the time of a scrape.
#[derive(Debug)]
struct Gauges {
    read: SetOnce<Read>,
    metrics: &'static [Gauge],
}

impl Collector for Gauges {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let state = self.read.get().map(|read| read()).unwrap_or_default();
        for (name, help, samples) in self.metrics {
            let mut gauge = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (priority, value) in samples(&state) {
                match priority {
                    Some(priority) => {
                        let labels = [("priority", priority)];
                        ConstGauge::new(value).encode(gauge.encode_family(&labels)?)?;
                    }
                    None => ConstGauge::new(value).encode(gauge.encode_family(&NO_LABELS)?)?,
                }
            }
        }
        Ok(())
    }
}

/// A sample without labels of its own.
const NO_LABELS: [(&str, &str); 0] = [];
