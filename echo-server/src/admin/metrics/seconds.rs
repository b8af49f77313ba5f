//! What is measured in seconds: the latency of lines, backpressure, and how busy the workers are.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::super::health::Health;
use super::{Labels, labels, sum};
use crate::counters::LATENCY_BOUNDS;

/// A counter of seconds.
type Seconds = Counter<f64, AtomicU64>;

/// Registers all of them.
pub(super) fn register(registry: &mut Registry, health: &Health) {
    let backpressure = Family::<Labels, Seconds>::default();
    for (index, labels) in labels(health) {
        let stalled = sum(health, index, |set| set.stalled_nanos.get());
        backpressure.get_or_create(&labels).inc_by(seconds(stalled));
    }
    registry.register(
        "echo_backpressure_seconds",
        "Time for which connections were not read, since their clients took no answers, added up over the connections",
        backpressure,
    );
    let busy = Family::<Labels, Seconds>::default();
    for (number, worker) in health.workers.iter().enumerate() {
        let Some(load) = worker.load() else { continue };
        let spent = seconds(load.busy_nanos.get());
        busy.get_or_create(&vec![("worker", number.to_string())])
            .inc_by(spent);
    }
    registry.register(
        "echo_worker_busy_seconds",
        "Time in which a worker thread did not wait; its rate is the busy share",
        busy,
    );
    let latencies = labels(health).map(|(index, labels)| Latency::of(health, index, labels));
    registry.register_collector(Box::new(Latencies(latencies.collect())));
}

/// The latency of lines at each listener.
#[derive(Debug)]
struct Latencies(Vec<Latency>);

/// The latency of lines at one listener.
#[derive(Debug)]
struct Latency {
    /// The listener.
    labels: Labels,
    /// The sum in seconds.
    sum: f64,
    /// Bounds in seconds, and how many lines are between each and the one before.
    buckets: Vec<(f64, u64)>,
}

impl Latency {
    /// Adds up what the workers have measured.
    fn of(health: &Health, listener: usize, labels: Labels) -> Self {
        let bounds = LATENCY_BOUNDS.iter().map(Duration::as_secs_f64);
        let lines = |bucket| {
            let read = |counter: &crate::counters::Counter| counter.get();
            sum(health, listener, |set| {
                set.latency.lines.get(bucket).map_or(0, read)
            })
        };
        let nanos = sum(health, listener, |set| set.latency.nanos.get());
        Self {
            labels,
            sum: seconds(nanos),
            buckets: bounds
                .chain([f64::INFINITY])
                .enumerate()
                .map(|(bucket, bound)| (bound, lines(bucket)))
                .collect(),
        }
    }
}

impl Collector for Latencies {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut family = encoder.encode_descriptor(
            "echo_line_latency_seconds",
            "From when a worker learned of a line until all that it learned of with it was answered",
            None,
            MetricType::Histogram,
        )?;
        for latency in &self.0 {
            let lines = latency.buckets.iter().map(|(_, lines)| lines).sum();
            family
                .encode_family(&latency.labels)?
                .encode_histogram::<NoLabelSet>(latency.sum, lines, &latency.buckets, None)?;
        }
        Ok(())
    }
}

/// Turns nanoseconds into seconds.
fn seconds(nanos: u64) -> f64 {
    Duration::from_nanos(nanos).as_secs_f64()
}
