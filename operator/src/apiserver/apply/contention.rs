//! Children that another writer changes as soon as they are written, such as a mutating webhook, or again and again, such as an autoscaler
//! of the Deployment or a second installation of the operator. Such a child is written with exponential backoff; otherwise each write
//! would trigger the next.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kube::ResourceExt;
use tokio::time::Instant;

use crate::apiserver::exponential_delays::ExponentialDelays;
use crate::model::children::{
    ChangeAction, Child as ChildKind, ChildProblem, ProblemKind, describe,
};
use crate::model::hash::hash;
use crate::model::metadata::{Owner, TRACKING_ANNOTATIONS};

/// The wait after the write that was recognized as contended. It doubles each time, up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_secs(4);

/// The longest wait: one write a minute is no load for an API server.
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// More writes than this of the same desired state are contention, whatever fields they restored. Manual changes are fewer; an
/// autoscaler, which writes every 15 s, reaches it in two and a half minutes.
const MAX_REPEATED_WRITES: u32 = 10;

/// After so long without a write, contention has ended: twice the longest wait.
const CONTENTION_WINDOW: Duration = Duration::from_mins(2);

/// How often children that were not written for the window are forgotten.
const PRUNE_INTERVAL: Duration = Duration::from_secs(30);

/// The children that another writer reverts. Clones share them.
#[derive(Clone)]
pub struct Contention {
    children: Arc<Mutex<Children>>,
}

/// The children that were written recently.
struct Children {
    by_key: HashMap<Key, Child>,
    /// When others were last forgotten.
    pruned: Instant,
}

/// The UID of the EchoCluster and the child, as `Service hello`.
type Key = (String, String);

/// What is remembered of a child that was written recently.
struct Child {
    /// The [`generation_hash`] of the desired state that was written.
    generation_hash: u64,
    /// How often that state has been written.
    writes: u32,
    /// What another client does, and until when the child is not written.
    contended: Option<(ChildProblem, Instant)>,
    delays: ExponentialDelays,
    written: Instant,
}

impl Default for Contention {
    fn default() -> Self {
        Self {
            children: Arc::new(Mutex::new(Children {
                by_key: HashMap::new(),
                pruned: Instant::now(),
            })),
        }
    }
}

impl Contention {
    /// Returns what another client does, while the child must not be written. Another desired state is written at once.
    pub(super) fn suspended<K: ChildKind>(
        &self,
        owner: &Owner,
        desired: &K,
    ) -> Option<ChildProblem> {
        let children = self.lock();
        let child = children.by_key.get(&key(owner, &describe(desired)))?;
        let (problem, until) = child.contended.as_ref()?;
        let is_same = child.generation_hash == generation_hash(desired);
        (is_same && Instant::now() < *until).then(|| problem.clone())
    }

    /// Returns what another client has done recently, although the child is as desired now.
    pub(super) fn recently_contended(&self, owner: &Owner, child: &str) -> Option<ChildProblem> {
        let children = self.lock();
        let child = children.by_key.get(&key(owner, child))?;
        let (problem, _) = child.contended.as_ref()?;
        child.is_recent(Instant::now()).then(|| problem.clone())
    }

    /// Returns whether the desired state of the child was written more than once recently.
    pub(super) fn was_repeated(&self, owner: &Owner, child: &str) -> bool {
        let children = self.lock();
        let child = children.by_key.get(&key(owner, child));
        child.is_some_and(|child| child.writes > 1 && child.is_recent(Instant::now()))
    }

    /// Records a write, and how the child differed from the desired state right after it. Returns what another client does, if the child is
    /// contended.
    pub(super) fn record<K: ChildKind>(
        &self,
        owner: &Owner,
        desired: &K,
        action: &ChangeAction,
        difference: Option<String>,
    ) -> Option<ChildProblem> {
        let mut children = self.lock();
        let now = Instant::now();
        children.prune(now);
        let key = key(owner, &describe(desired));
        let hash = generation_hash(desired);
        let is_same = |child: &Child| child.generation_hash == hash && child.is_recent(now);
        if !children.by_key.get(&key).is_some_and(is_same) {
            let new = Child::new(hash, now);
            children.by_key.insert(key.clone(), new);
        }
        let child = children.by_key.get_mut(&key)?;
        child.written = now;
        child.writes += 1;
        let is_repeated = child.writes > MAX_REPEATED_WRITES;
        let reverted = difference.map(|difference| (ProblemKind::Contended, difference));
        let (kind, message) = reverted.or_else(|| is_repeated.then(|| undone(action)))?;
        let wait = match action {
            // A missing child serves no client, so it is created again at a steady rate.
            ChangeAction::Created => FIRST_WAIT,
            ChangeAction::Updated(_)
            | ChangeAction::Scaled { .. }
            | ChangeAction::Repaired(_)
            | ChangeAction::Adopted
            | ChangeAction::Deleted => child.delays.next_delay(),
        };
        let until = now + wait;
        let problem = ChildProblem {
            kind,
            child: describe(desired),
            message,
        };
        child.contended = Some((problem.clone(), until));
        Some(problem)
    }

    fn lock(&self) -> MutexGuard<'_, Children> {
        self.children.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Children {
    /// Forgets children that were not written recently, from time to time: each write would search through those of all EchoClusters
    /// otherwise.
    fn prune(&mut self, now: Instant) {
        if now.duration_since(self.pruned) >= PRUNE_INTERVAL {
            self.by_key.retain(|_, child| child.is_recent(now));
            self.pruned = now;
        }
    }
}

impl Child {
    /// Whether it was written within the window.
    fn is_recent(&self, now: Instant) -> bool {
        now.duration_since(self.written) < CONTENTION_WINDOW
    }

    fn new(generation_hash: u64, now: Instant) -> Self {
        Self {
            generation_hash,
            writes: 0,
            contended: None,
            delays: ExponentialDelays::new(FIRST_WAIT, LONGEST_WAIT),
            written: now,
        }
    }
}

/// Returns what another client had done to a child, by the action that has undone it.
fn undone(action: &ChangeAction) -> (ProblemKind, String) {
    let message = match action {
        ChangeAction::Repaired(field) | ChangeAction::Updated(field) => field.clone(),
        ChangeAction::Scaled { from, .. } => format!("spec.replicas was {from}"),
        ChangeAction::Adopted => "metadata.ownerReferences was missing".to_owned(),
        ChangeAction::Created | ChangeAction::Deleted => {
            return (ProblemKind::DeletedRepeatedly, "it was deleted".to_owned());
        }
    };
    (ProblemKind::Contended, message)
}

/// Returns a hash of the desired state and of the generation of the EchoCluster. After a change by the user, a child does not wait, even if
/// its own desired state is the same.
fn generation_hash<K: ChildKind>(desired: &K) -> u64 {
    hash(&TRACKING_ANNOTATIONS.map(|key| desired.annotations().get(key)))
}

fn key(owner: &Owner, child: &str) -> Key {
    (owner.uid.clone(), child.to_owned())
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Service;

    use super::*;
    use crate::fixtures::echo_cluster;
    use crate::model::build::build;
    use crate::model::metadata::RESTARTED_AT_ANNOTATION;
    use crate::model::validate::validate;

    const CHILD: &str = "Service hello";
    const FIELD: &str = "spec.type was \"NodePort\"";

    fn owner(generation: i64) -> (Owner, Service) {
        let mut cluster = echo_cluster();
        cluster.metadata.generation = Some(generation);
        let spec = validate(&cluster).unwrap();
        let service = build(&spec).unwrap().service;
        (spec.owner, service)
    }

    fn write(
        contention: &Contention,
        action: &ChangeAction,
        difference: Option<&str>,
    ) -> Option<ChildProblem> {
        let (owner, service) = owner(1);
        contention.record(&owner, &service, action, difference.map(ToOwned::to_owned))
    }

    fn suspended(contention: &Contention, generation: i64) -> Option<String> {
        let (owner, service) = owner(generation);
        let problem = contention.suspended(&owner, &service)?;
        Some(problem.message)
    }

    fn repaired() -> ChangeAction {
        ChangeAction::Repaired(FIELD.to_owned())
    }

    #[tokio::test]
    async fn a_child_that_differs_right_after_a_write_is_not_written_again_at_once() {
        let contention = Contention::default();
        write(&contention, &repaired(), Some(FIELD));
        assert_eq!(suspended(&contention, 1).as_deref(), Some(FIELD));
        assert_eq!(
            suspended(&contention, 2),
            None,
            "a change by the user has to wait"
        );
    }

    #[tokio::test]
    async fn a_restart_by_the_annotation_does_not_wait_for_contention() {
        let contention = Contention::default();
        let mut cluster = echo_cluster();
        let spec = validate(&cluster).unwrap();
        let deployment = build(&spec).unwrap().deployment;
        contention.record(
            &spec.owner,
            &deployment,
            &repaired(),
            Some(FIELD.to_owned()),
        );
        let suspended = contention.suspended(&spec.owner, &deployment);
        assert_eq!(suspended.unwrap().message, FIELD);
        let restarted_at = (RESTARTED_AT_ANNOTATION.to_owned(), "now".to_owned());
        cluster.metadata.annotations = Some([restarted_at].into());
        let spec = validate(&cluster).unwrap();
        let deployment = build(&spec).unwrap().deployment;
        assert_eq!(contention.suspended(&spec.owner, &deployment), None);
    }

    #[tokio::test]
    async fn a_repair_that_lasts_is_not_contention() {
        let contention = Contention::default();
        assert_eq!(write(&contention, &repaired(), None), None);
        assert_eq!(suspended(&contention, 1), None);
        assert_eq!(contention.recently_contended(&owner(1).0, CHILD), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_child_that_was_not_written_for_the_window_is_forgotten() {
        let contention = Contention::default();
        write(&contention, &repaired(), Some(FIELD));
        tokio::time::advance(CONTENTION_WINDOW).await;
        assert_eq!(contention.recently_contended(&owner(1).0, CHILD), None);
        let mut other = owner(1).0;
        other.uid = "other".to_owned();
        let service = owner(1).1;
        contention.record(&other, &service, &repaired(), None);
        assert_eq!(contention.lock().by_key.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn repeated_writes_of_the_same_state_are_contention_whatever_they_restore() {
        let actions = [
            repaired(),
            ChangeAction::Updated("metadata.annotations.hash was \"x\"".to_owned()),
            ChangeAction::Created,
            ChangeAction::Scaled { from: 1, to: 3 },
        ];
        for action in actions {
            let contention = Contention::default();
            let mut writes = 0;
            let minute = Instant::now() + Duration::from_mins(1);
            while Instant::now() < minute {
                if suspended(&contention, 1).is_none() {
                    write(&contention, &action, None);
                    writes += 1;
                }
                tokio::time::advance(Duration::from_millis(50)).await;
            }
            assert!(
                writes <= MAX_REPEATED_WRITES + 15,
                "{action:?}: {writes} writes"
            );
            let problem = contention.recently_contended(&owner(1).0, CHILD).unwrap();
            let is_deletion = problem.kind == ProblemKind::DeletedRepeatedly;
            assert_eq!(is_deletion, action == ChangeAction::Created);
        }
    }

    #[tokio::test]
    async fn a_write_of_another_generation_begins_anew() {
        let contention = Contention::default();
        write(&contention, &repaired(), Some("a field"));
        let (owner, service) = owner(2);
        let action = ChangeAction::Updated(String::new());
        assert_eq!(contention.record(&owner, &service, &action, None), None);
        assert_eq!(contention.suspended(&owner, &service), None);
    }
}
