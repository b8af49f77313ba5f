//! Remembers children that somebody changes as soon as they are written, such as a mutating webhook, or again and again, such as
//! an autoscaler of the Deployment, and makes the operator wait ever longer before it writes them again. Without that, each write
//! would be the cause of the next.
#![expect(
    clippy::disallowed_methods,
    reason = "measures how long ago a child was written"
)]

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

use super::outcome::ChangeAction;
use crate::plan::Owner;

/// The first wait. It doubles each time, up to [`LONGEST`].
const FIRST: Duration = Duration::from_secs(4);

/// The longest wait: one write a minute, which no API server minds.
const LONGEST: Duration = Duration::from_mins(1);

/// So many repairs of one field are a fight. A person who tries something out gives up earlier; an autoscaler, which writes every 15 s,
/// gets there in two and a half minutes.
const MANY_REPAIRS: u32 = 10;

/// After so long without a repair, a fight is over: twice the longest wait.
const CALM: Duration = Duration::from_mins(2);

/// The children that somebody else changes back. Clones speak of the same children.
#[derive(Clone, Default)]
pub struct Contention {
    children: Arc<Mutex<HashMap<Key, Child>>>,
}

/// The UID of the EchoCluster and the child, as `Service hello`.
type Key = (String, String);

/// What is remembered of a child.
struct Child {
    /// How often each field was repaired.
    repairs: HashMap<String, u32>,
    /// What somebody fights over, and until when it is left to him.
    fight: Option<(String, Instant)>,
    /// The EchoCluster's generation at which it was fought over.
    generation: i64,
    waits: ExponentialBackoff,
    last: Instant,
}

impl Contention {
    /// Returns what somebody fights over, while the child is not to be written. What the user has changed since is written at once.
    pub(super) fn keeps_from_writing(&self, owner: &Owner, child: &str) -> Option<String> {
        let children = self.lock();
        let child = children.get(&key(&owner.uid, child))?;
        let (field, until) = child.fight.as_ref()?;
        let is_as_fought_over = child.generation == owner.generation;
        (is_as_fought_over && Instant::now() < *until).then(|| field.clone())
    }

    /// Returns what somebody has fought over lately, although the child is as desired now.
    pub(super) fn fought_lately(&self, owner_uid: &str, child: &str) -> Option<String> {
        let children = self.lock();
        let child = children.get(&key(owner_uid, child))?;
        let (field, _) = child.fight.as_ref()?;
        (child.last.elapsed() < CALM).then(|| field.clone())
    }

    /// Notes a write and what differed right after it. Returns what somebody fights over, if anybody does.
    pub(super) fn note(
        &self,
        owner: &Owner,
        child: &str,
        action: &ChangeAction,
        difference: Option<String>,
    ) -> Option<String> {
        let mut children = self.lock();
        let now = Instant::now();
        children.retain(|_, child| child.last.elapsed() < CALM);
        let repaired = match action {
            ChangeAction::Repaired(field) => Some(field),
            ChangeAction::Created
            | ChangeAction::Updated(_)
            | ChangeAction::Scaled { .. }
            | ChangeAction::Adopted
            | ChangeAction::Deleted => None,
        };
        let key = key(&owner.uid, child);
        if difference.is_none() && repaired.is_none() {
            children.remove(&key);
            return None;
        }
        let child = children.entry(key).or_insert_with(|| Child::new(now));
        child.last = now;
        child.generation = owner.generation;
        let again = repaired.and_then(|field| child.repair(field));
        let field = difference.or(again)?;
        let until = now + child.waits.next().unwrap_or(LONGEST);
        child.fight = Some((field.clone(), until));
        Some(field)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Child>> {
        self.children.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Child {
    fn new(now: Instant) -> Self {
        Self {
            repairs: HashMap::new(),
            fight: None,
            generation: 0,
            waits: waits(),
            last: now,
        }
    }

    /// Counts a repair. Returns the field if it is repaired again and again.
    fn repair(&mut self, field: &str) -> Option<String> {
        let path = field.split_once(' ').map_or(field, |(path, _)| path);
        let repairs = self.repairs.entry(path.to_owned()).or_default();
        *repairs += 1;
        (*repairs >= MANY_REPAIRS).then(|| field.to_owned())
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
    use crate::fixtures::echo_cluster;
    use crate::plan::owner as owner_of;

    const CHILD: &str = "Service hello";

    fn owner(uid: &str, generation: i64) -> Owner {
        Owner {
            uid: uid.to_owned(),
            generation,
            ..owner_of(&echo_cluster())
        }
    }

    fn repair(contention: &Contention, difference: Option<&str>) -> Option<String> {
        let action = ChangeAction::Repaired("spec.type was \"NodePort\"".to_owned());
        contention.note(
            &owner("uid", 1),
            CHILD,
            &action,
            difference.map(ToOwned::to_owned),
        )
    }

    #[test]
    fn a_child_that_was_changed_back_is_not_written_again_at_once() {
        let contention = Contention::default();
        repair(&contention, Some("spec.type was \"NodePort\""));
        let kept =
            |uid: &str, generation| contention.keeps_from_writing(&owner(uid, generation), CHILD);
        assert_eq!(
            kept("uid", 1).as_deref(),
            Some("spec.type was \"NodePort\"")
        );
        assert_eq!(kept("another", 1), None);
        assert_eq!(kept("uid", 2), None, "a change by the user has to wait");
    }

    #[test]
    fn a_repair_that_lasts_is_no_fight() {
        let contention = Contention::default();
        assert_eq!(repair(&contention, None), None);
        assert_eq!(contention.keeps_from_writing(&owner("uid", 1), CHILD), None);
        assert_eq!(contention.fought_lately("uid", CHILD), None);
    }

    #[test]
    fn a_field_that_is_repaired_again_and_again_is_fought_over() {
        let contention = Contention::default();
        let told: Vec<_> = (0..MANY_REPAIRS)
            .map(|_| repair(&contention, None))
            .collect();
        assert_eq!(
            told.iter().flatten().count(),
            1,
            "the last repair tells: {told:?}"
        );
        assert!(
            contention
                .keeps_from_writing(&owner("uid", 1), CHILD)
                .is_some()
        );
        assert!(contention.fought_lately("uid", CHILD).is_some());
    }

    #[test]
    fn an_update_of_ours_begins_anew() {
        let contention = Contention::default();
        repair(&contention, Some("a field"));
        contention.note(
            &owner("uid", 1),
            CHILD,
            &ChangeAction::Updated(String::new()),
            None,
        );
        assert_eq!(contention.keeps_from_writing(&owner("uid", 1), CHILD), None);
    }
}
