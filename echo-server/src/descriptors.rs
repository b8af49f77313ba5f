//! For how many connections the descriptors suffice.

use crate::admin::max_connections;
use crate::config::Config;

/// Descriptors reserved for what the process has once: probes, files and the runtime.
const KEPT: usize = 32;

/// Descriptors of each thread beside its listeners: what its events come from, and what wakes it.
const EACH_THREAD: usize = 4;

/// Lowers the numbers of connections to those that so many descriptors suffice for. The admin endpoint
/// has its own, so that health checks are accepted when all others are taken.
pub fn fit(config: &mut Config, limit: u64) {
    config.admin_connections = max_connections(limit);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let threads = config.threads.get() + config.async_threads() + 1; // and the main thread
    let of_threads = threads * (config.listeners.len() + EACH_THREAD);
    let kept = KEPT + config.admin_connections + of_threads;
    let most = limit.saturating_sub(kept).max(1);
    config.limits.max_connections = config.limits.max_connections.min(most);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_descriptors_are_shared_by_clients_and_the_admin_endpoint() {
        for (limit, admin, most) in [
            (1_000_000, 512, 10_000),
            (1024, 256, 726),
            (128, 32, 54),
            (0, 1, 1),
        ] {
            let mut config = Config::default();
            fit(&mut config, limit);
            assert_eq!(config.admin_connections, admin, "{limit}");
            assert_eq!(config.limits.max_connections, most, "{limit}");
        }
    }
}
