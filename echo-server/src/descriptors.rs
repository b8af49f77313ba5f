//! For how many connections the descriptors suffice.

use crate::config::Config;

/// Descriptors reserved for what the process has once: 32 admin connections, probes, files and the runtime.
const KEPT: usize = 64;

/// Descriptors of each thread beside its listeners: what its events come from, and what wakes it.
const EACH_THREAD: usize = 4;

/// Returns how many connections so many descriptors suffice for, at least one.
pub fn left_for_connections(limit: u64, config: &Config) -> usize {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let threads = config.threads.get() + config.async_threads() + 1; // and the main thread
    let kept = KEPT + threads * (config.listeners.len() + EACH_THREAD);
    limit.saturating_sub(kept).max(1)
}
