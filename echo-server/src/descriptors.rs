//! How many descriptors the process may have: each connection takes one.

use crate::config::Config;

/// Descriptors that are kept back for what there is once: 32 admin connections, probes, files and the runtime.
const KEPT: usize = 64;

/// Descriptors of each thread beside its listeners: what its events come from, and what wakes it.
const EACH_THREAD: usize = 4;

/// Returns how many connections so many descriptors suffice for, at least one.
pub fn left_for_connections(limit: u64, config: &Config) -> usize {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let threads = config.threads.get() + 2; // one for tasks and one for all else
    let kept = KEPT + threads * (config.listeners.len() + EACH_THREAD);
    limit.saturating_sub(kept).max(1)
}
