//! Which timeout applies to a connection, and when it expires.

use tokio::time::{Instant, sleep_until};

use super::activity::Activity;
use crate::close_reason::CloseReason;
use crate::engine::timeouts::{Awaited, Timeouts};

/// Waits until a timeout of the connection expires, and returns why it is closed.
pub(super) async fn expired(activity: &Activity, timeouts: &Timeouts) -> CloseReason {
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
            if awaited == Awaited::WriteProgress {
                activity.reset();
            }
            return timeouts.reason(awaited);
        }
        tokio::select! {
            () = sleep_until(due) => {}
            () = activity.changed() => {}
        }
    }
}
