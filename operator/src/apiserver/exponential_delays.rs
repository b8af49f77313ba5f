//! The delays of an exponential backoff.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

/// Delays without end, which double from the first to the longest.
pub(crate) struct ExponentialDelays {
    delays: ExponentialBackoff,
    longest: Duration,
}

impl ExponentialDelays {
    /// Makes delays that are the same each time.
    pub(crate) fn new(first: Duration, longest: Duration) -> Self {
        Self {
            delays: builder(first, longest).build(),
            longest,
        }
    }

    /// Makes delays to each of which a random part of it is added, so that what has failed at the same time is not retried at the same time.
    pub(crate) fn with_jitter(first: Duration, longest: Duration) -> Self {
        Self {
            delays: builder(first, longest).with_jitter().build(),
            longest,
        }
    }

    /// Returns the next delay.
    pub(crate) fn next_delay(&mut self) -> Duration {
        self.delays.next().unwrap_or(self.longest)
    }
}

fn builder(first: Duration, longest: Duration) -> ExponentialBuilder {
    ExponentialBuilder::new()
        .with_min_delay(first)
        .with_max_delay(longest)
        .without_max_times()
}
