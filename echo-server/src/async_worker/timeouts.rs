//! Which timeout applies to a connection, and when it expires.

use tokio::task::coop::unconstrained;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until};

use super::activity::Activity;
use crate::close_reason::CloseReason;
use crate::engine::timeouts::{Awaited, Timeouts};

/// Waits until a timeout of the connection expires, and returns why it is closed. Must be polled after the
/// connection in the same task, which then has retried a write before it is closed for a client that
/// reads nothing.
///
/// Not subject to the task's budget: a client that never pauses lets the connection use that up at each
/// poll, and then tokio's timers do not expire.
pub(super) async fn expired(activity: &Activity, timeouts: &Timeouts) -> CloseReason {
    unconstrained(wait(activity, timeouts)).await
}

/// See [`expired`].
async fn wait(activity: &Activity, timeouts: &Timeouts) -> CloseReason {
    let mut has_retried = false;
    loop {
        let waiting = activity.waiting(timeouts);
        let due = waiting.and_then(|(since, awaited)| {
            let timeout = timeouts.after(awaited)?;
            Some((activity.at(since) + timeout, awaited))
        });
        let Some((due, awaited)) = due else {
            activity.changed().await;
            continue;
        };
        if Instant::now() >= due {
            let is_stuck = awaited == Awaited::WriteProgress;
            if is_stuck && !has_retried && activity.retry_write() {
                has_retried = true;
                yield_now().await;
                continue;
            }
            if is_stuck {
                activity.reset();
            }
            return timeouts.reason(awaited);
        }
        has_retried = false;
        tokio::select! {
            () = sleep_until(due) => {}
            () = activity.changed() => {}
        }
    }
}
