//! What goes wrong on purpose.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::rules;

/// Faults to inject, for tests of clients. They affect connections, not datagrams or probes. Changing any of its fields triggers a rolling
/// update.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::jitter_within_delay())]
pub struct Faults {
    /// Delay of each answer in milliseconds, 0 to 60000. Default 0. Changing it triggers a rolling update.
    #[serde(default)]
    #[schemars(range(min = 0, max = 60000))]
    pub delay_milliseconds: i32,

    /// Jitter: each delay is longer or shorter by up to this many milliseconds, 0 to `delayMilliseconds`. Default 0. Changing it triggers a
    /// rolling update.
    #[serde(default)]
    #[schemars(range(min = 0, max = 60000))]
    pub jitter_milliseconds: i32,

    /// Bandwidth limit of each connection in bytes per second of answers, 0 to 1000000000. Default 0, which means no limit. Changing it
    /// triggers a rolling update.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_000_000_000))]
    pub rate_bytes_per_second: i32,

    /// Bytes of answers after which a connection is reset, 0 to 1000000000. Default 0, which means never. Changing it triggers a rolling
    /// update.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_000_000_000))]
    pub reset_after_bytes: i32,

    /// Percentage of connections that are reset immediately, 0 to 100. Default 0. Changing it triggers a rolling update.
    #[serde(default)]
    #[schemars(range(min = 0, max = 100))]
    pub refuse_percent: i32,

    /// Percentage of connections that are closed without an answer after the first input, 0 to 100. Default 0. Changing it triggers a
    /// rolling update.
    #[serde(default)]
    #[schemars(range(min = 0, max = 100))]
    pub close_percent: i32,

    /// Percentage of answers in which one byte is wrong, 0 to 100. Default 0. Changing it triggers a rolling update.
    #[serde(default)]
    #[schemars(range(min = 0, max = 100))]
    pub corrupt_percent: i32,

    /// Random seed, 0 to 4294967295: with the same seed and order of connections, the same connections and answers are affected. Default 0.
    /// Changing it triggers a rolling update while a fault is enabled.
    #[serde(default)]
    #[schemars(range(min = 0, max = 4_294_967_295_i64))]
    pub seed: i64,
}

impl Faults {
    /// Lists what is on, by field and value; a seed alone makes no fault.
    pub fn on(&self) -> Vec<(&'static str, i32)> {
        [
            ("delayMilliseconds", self.delay_milliseconds),
            ("jitterMilliseconds", self.jitter_milliseconds),
            ("rateBytesPerSecond", self.rate_bytes_per_second),
            ("resetAfterBytes", self.reset_after_bytes),
            ("refusePercent", self.refuse_percent),
            ("closePercent", self.close_percent),
            ("corruptPercent", self.corrupt_percent),
        ]
        .into_iter()
        .filter(|(_, value)| *value > 0)
        .collect()
    }
}
