//! How long a watch that fails waits before it tries again.

use std::time::Duration;

use kube::runtime::utils::Backoff;
use kube::runtime::watcher::DefaultBackoff;

/// Returns the runtime's own waits, 0.8 s and doubled up to 30 s, which begin anew only after two minutes without a failure. The runtime
/// begins anew with each sign of life, and takes for one that a watch *begins* to list: a kind that is not served would be asked for
/// every second, for ever.
pub fn patient() -> impl Backoff {
    Patient::default()
}

#[derive(Default)]
struct Patient(DefaultBackoff);

impl Iterator for Patient {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.0.next()
    }
}

impl Backoff for Patient {
    fn reset(&mut self) {}
}

#[cfg(test)]
mod tests {
    use futures::{StreamExt, stream};
    use kube::runtime::WatchStreamExt;
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_list_that_begins_and_fails_is_asked_for_ever_more_rarely() {
        let started = Instant::now();
        let begins_and_fails = stream::iter([Ok(()), Err(())]).cycle();
        let tries = begins_and_fails.take(20).backoff(patient());
        tries.collect::<Vec<_>>().await;
        assert!(started.elapsed() > Duration::from_mins(1));
    }
}
