//! How a drain spends its time. Pure: it computes durations and reads no clock.
//!
//! `--drain-seconds` is the whole of it, from the first signal (SIGTERM or SIGINT):
//!
//! 1. Announce: `/readyz` fails, everything else goes on as before, new connections included, so
//!    that load balancers and endpoints can catch up. Half of the whole, at most 3 s.
//! 2. Finish: what is queued at the listeners is accepted and they close. Each connection is
//!    answered what it has sent; as soon as no line of it is open and it has taken its answers, it
//!    receives the end of output, and has 2 s to close. One that has sent nothing yet has 0.25 s to
//!    begin, as its first bytes may be in transit. After the same time, one whose client never pauses is
//!    answered the complete lines that have come, and then ends in the same way.
//! 3. Cut, at the deadline: what is left is closed. The process ends with code 0, and earlier if
//!    nothing is left.
//!
//! A second signal ends the process at once, with code 130.

use std::time::Duration;

/// The longest announcement. Endpoints and proxies are updated within a second or two.
const LONGEST_ANNOUNCEMENT: Duration = Duration::from_secs(3);

/// How long to wait, after the listeners have closed, for what may be in transit: the first bytes of
/// clients that have just connected, and one more request of HTTP/1.1; and for a pause of clients that send. A few
/// round trips to most of the world.
pub(crate) const DRAIN_QUIET_PERIOD: Duration = Duration::from_millis(250);

/// Returns how long to go on as before, given the whole drain.
pub(crate) fn announcement(whole: Duration) -> Duration {
    (whole / 2).min(LONGEST_ANNOUNCEMENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_a_drain_is_announcement_but_no_more_than_three_seconds() {
        for (whole, expected) in [(0, 0), (1, 500), (4, 2_000), (6, 3_000), (3_600, 3_000)] {
            let announced = announcement(Duration::from_secs(whole));
            assert_eq!(announced, Duration::from_millis(expected), "{whole} s");
        }
    }
}
