//! Log lines that were dropped, which the log itself counts.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;

/// Reports the log lines that were dropped.
#[derive(Debug)]
pub(super) struct DroppedLogLines;

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
