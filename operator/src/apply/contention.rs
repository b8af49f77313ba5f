//! Remembers children that somebody changes as soon as they are written, such as a mutating webhook, and makes the operator
//! wait ever longer before it writes them again. Without that, each write would be the cause of the next.
#![expect(
    clippy::disallowed_methods,
    reason = "measures how long ago a child was written"
)]

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

/// The first wait. It doubles each time, up to [`LONGEST`].
const FIRST: Duration = Duration::from_secs(4);

/// The longest wait: one write a minute, which no API server minds.
const LONGEST: Duration = Duration::from_mins(1);

/// The children that somebody else changes back. Clones speak of the same children.
#[derive(Clone, Default)]
pub struct Contention {
    contended: Arc<Mutex<HashMap<Key, Contended>>>,
}

/// The UID of the EchoCluster and the child, as `Service hello`.
type Key = (String, String);

struct Contended {
    field: String,
    until: Instant,
    waits: ExponentialBackoff,
}

impl Contention {
    /// Returns the field that somebody else changes back, while the child is not to be written.
    pub(super) fn keeps_from_writing(&self, owner_uid: &str, child: &str) -> Option<String> {
        let contended = self
            .contended
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let found = contended.get(&key(owner_uid, child))?;
        (Instant::now() < found.until).then(|| found.field.clone())
    }

    /// Notes what differed right after a write, or that nothing did.
    pub(super) fn note(&self, owner_uid: &str, child: &str, difference: Option<&str>) {
        let mut contended = self
            .contended
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let key = key(owner_uid, child);
        let Some(field) = difference else {
            contended.remove(&key);
            return;
        };
        let mut waits = contended
            .remove(&key)
            .map_or_else(waits, |found| found.waits);
        let until = Instant::now() + waits.next().unwrap_or(LONGEST);
        let field = field.to_owned();
        contended.retain(|_, found| found.until + LONGEST > Instant::now());
        contended.insert(
            key,
            Contended {
                field,
                until,
                waits,
            },
        );
    }
}

fn key(owner_uid: &str, child: &str) -> Key {
    (owner_uid.to_owned(), child.to_owned())
}

fn waits() -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(FIRST)
        .with_max_delay(LONGEST)
        .without_max_times()
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_that_was_changed_back_is_not_written_again_at_once() {
        let contention = Contention::default();
        contention.note("uid", "Service hello", Some("spec.type was \"NodePort\""));
        let kept = |uid: &str| contention.keeps_from_writing(uid, "Service hello");
        assert_eq!(kept("uid").as_deref(), Some("spec.type was \"NodePort\""));
        assert_eq!(kept("another"), None);
    }

    #[test]
    fn a_write_that_lasts_ends_the_wait() {
        let contention = Contention::default();
        contention.note("uid", "Service hello", Some("a field"));
        contention.note("uid", "Service hello", None);
        assert_eq!(contention.keeps_from_writing("uid", "Service hello"), None);
    }
}
