//! One child: compared with its desired state, and written if it differs.
#![expect(
    clippy::disallowed_types,
    reason = "apply is where the operator writes children"
)]

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::{Arc, MutexGuard, PoisonError};

use kube::{Api, ResourceExt};
use tokio::time::timeout;

use super::Applier;
use super::pause::paused;
use super::write::{Target, Written};
use crate::api::v1alpha1::EchoCluster;
use crate::apiserver::cache::{Cache, Unavailable};
use crate::apiserver::request::{CHILD_TIMEOUT, Error, Verb, request};
use crate::model::children::{
    Change, ChangeAction, Child, ChildState, ProblemKind, describe, describe_named,
};
use crate::model::decision::{
    Decision, decide, desired_state_hash, is_controlled_by, leftover_update_entry,
};
use crate::model::metadata::Owner;
use crate::model::validate::ValidatedSpec;

/// Names that are remembered as taken. Each that is forgotten costs one create that fails.
const MAX_NAMES_TAKEN: usize = 1024;

impl Applier {
    /// Brings one child to its desired state, or removes one that is not desired. Most of the time there is nothing to do.
    pub(super) async fn ensure_child<K: Child>(
        &self,
        cache: &Cache<K>,
        spec: &ValidatedSpec,
        desired: Option<K>,
    ) -> Result<ChildState<K>, Error> {
        match self.verified(cache, spec, desired.as_ref()) {
            Some(state) => Ok(state),
            // The future holds several objects of some kilobytes.
            None => Box::pin(self.apply_child(cache, spec, desired)).await,
        }
    }

    /// Returns the state of a child of which this version was compared before, and of one that is not desired and does not exist. Of a kind
    /// that is not available, the cached copies may no longer exist.
    fn verified<K: Child>(
        &self,
        cache: &Cache<K>,
        spec: &ValidatedSpec,
        desired: Option<&K>,
    ) -> Option<ChildState<K>> {
        let owner = &spec.owner;
        if cache.sync.unavailable().is_some() {
            return None;
        }
        let Some(desired) = desired else {
            let cached = cache.get(&owner.namespace, &owner.name);
            return cached.is_none().then_some(ChildState::Absent(None));
        };
        if spec.paused {
            return None;
        }
        let (namespace, name) = (&owner.namespace, desired.name_any());
        if !cache.is_verified(namespace, &name, desired_state_hash(desired)) {
            return None;
        }
        let live = if K::IS_OBSERVED {
            Some(cache.get(namespace, &name)?)
        } else {
            None
        };
        Some(self.unchanged(owner, desired, live))
    }

    /// Brings one child to its desired state, or removes one that is not desired.
    pub(super) async fn apply_child<K: Child>(
        &self,
        cache: &Cache<K>,
        spec: &ValidatedSpec,
        desired: Option<K>,
    ) -> Result<ChildState<K>, Error> {
        let owner = &spec.owner;
        let name = desired
            .as_ref()
            .map_or_else(|| owner.name.clone(), ResourceExt::name_any);
        let child = describe_named::<K>(&name);
        let problem = |kind, message| ChildState::problem(None, kind, child.clone(), message);
        let done = match (desired, cache.sync.unavailable()) {
            (Some(_), Some(Unavailable::Rejected(message))) => {
                Ok(problem(ProblemKind::NotServed, message))
            }
            (Some(_), Some(Unavailable::Failed(message))) => Err(Error::Unlisted {
                child: child.clone(),
                message,
            }),
            (desired, _) if spec.paused => paused(cache, owner, &name, desired.as_ref()),
            (Some(desired), None) => {
                match timeout(CHILD_TIMEOUT, self.ensure(cache, owner, desired)).await {
                    Ok(done) => done,
                    Err(_) => Err(Error::ChildTimedOut {
                        child: child.clone(),
                    }),
                }
            }
            (None, _) => self.remove(cache, owner, &name).await,
        };
        match done {
            Err(error) if error.is_namespace_terminating() => {
                let message = "cannot be created: the namespace is terminating".to_owned();
                Ok(problem(ProblemKind::AwaitingDeletion, message))
            }
            Err(error) => match error.rejection() {
                Some(message) => Ok(problem(ProblemKind::Rejected, message)),
                None => Err(error),
            },
            done => done,
        }
    }

    /// Compares a child with its cached copy, and writes it if it differs. If the cached copy turns out to be outdated, the child is read,
    /// and compared again.
    async fn ensure<K: Child>(
        &self,
        cache: &Cache<K>,
        owner: &Owner,
        desired: K,
    ) -> Result<ChildState<K>, Error> {
        let cached = cache.get(&owner.namespace, &desired.name_any());
        let api = Api::<K>::namespaced(self.client.clone(), &owner.namespace);
        let mut rejected = None;
        if cached.is_some() || !self.is_name_taken(&desired) {
            let is_create = cached.is_none();
            match self.attempt(cache, &api, owner, &desired, cached).await {
                Err(error) if error.is_write_conflict() => (),
                // A Service may exist outside of the cache, without its label. Its own node ports are allocated then, which the API server
                // checks before the name.
                Err(error) if is_create && error.rejection().is_some() => rejected = Some(error),
                done => return done,
            }
        }
        let read = request(Verb::Get, &desired, api.get_opt(&desired.name_any())).await?;
        if let (None, Some(error)) = (&read, rejected) {
            return Err(error);
        }
        let attempt = self.attempt(cache, &api, owner, &desired, read.map(Arc::new));
        let done = attempt.await;
        let is_taken = matches!(&done, Ok(ChildState::Problem { problem, .. })
            if problem.kind == ProblemKind::NameConflict);
        self.set_name_taken(&desired, is_taken);
        done
    }

    /// Decides about a child from its copy `live`, and carries the decision out.
    async fn attempt<K: Child>(
        &self,
        cache: &Cache<K>,
        api: &Api<K>,
        owner: &Owner,
        desired: &K,
        live: Option<Arc<K>>,
    ) -> Result<ChildState<K>, Error> {
        let (written, action) = match live {
            None => {
                if let Some(state) = self.suspended(owner, desired, None) {
                    return Ok(state);
                }
                let child = describe(desired);
                if self.contention.was_repeated(owner, &child) {
                    // Of an EchoCluster that no longer exists, garbage collection deletes each child that is created.
                    self.check_echo_cluster(owner, &child).await?;
                }
                let action = ChangeAction::Created;
                let target = Target::new(api, &action);
                (self.create(&target, desired).await?, action)
            }
            Some(live) => match self.decide(cache, owner, desired, &live).await? {
                ControlFlow::Break(state) => return Ok(state),
                ControlFlow::Continue(action) => {
                    let target = Target::new(api, &action);
                    (self.update(&target, desired, &live).await?, action)
                }
            },
        };
        Ok(self.record_write(cache, owner, desired, written, action))
    }

    /// Decides what has to be done to a child that exists; if nothing, returns its state.
    async fn decide<K: Child>(
        &self,
        cache: &Cache<K>,
        owner: &Owner,
        desired: &K,
        live: &Arc<K>,
    ) -> Result<ControlFlow<ChildState<K>, ChangeAction>, Error> {
        let child = describe(desired);
        let blocked = |kind, message| {
            let state = ChildState::problem(None, kind, child.clone(), message);
            Ok(ControlFlow::Break(state))
        };
        let (action, is_newer) = match decide(owner, desired, &**live)? {
            Decision::Unchanged => {
                cache.set_verified(live, desired_state_hash(desired));
                let live = Some(Arc::clone(live));
                return Ok(ControlFlow::Break(self.unchanged(owner, desired, live)));
            }
            Decision::NotOwned(message) => return blocked(ProblemKind::NameConflict, message),
            Decision::AwaitDeletion(message) => {
                return blocked(ProblemKind::AwaitingDeletion, message);
            }
            Decision::NewerGeneration(newer) => (ChangeAction::Repaired(newer), true),
            Decision::Write(action) => (action, false),
        };
        if let Some(state) = self.suspended(owner, desired, Some(live)) {
            return Ok(ControlFlow::Break(state));
        }
        // The write would restore a missing owner reference. An EchoCluster that is deleted with `--cascade=orphan` loses its children
        // before the watch reports its end; with the owner reference, garbage collection would delete them.
        if is_newer || !is_controlled_by(owner, &**live) {
            self.check_echo_cluster(owner, &child).await?;
        }
        Ok(ControlFlow::Continue(action))
    }

    /// Returns the state of a child that must not be written now, since another writer reverts it.
    fn suspended<K: Child>(
        &self,
        owner: &Owner,
        desired: &K,
        live: Option<&Arc<K>>,
    ) -> Option<ChildState<K>> {
        let problem = self.contention.suspended(owner, desired)?;
        Some(ChildState::Problem {
            live: live.cloned(),
            problem,
            change: None,
        })
    }

    /// Takes in the response of a write, and returns the state of the child.
    fn record_write<K: Child>(
        &self,
        cache: &Cache<K>,
        owner: &Owner,
        desired: &K,
        (written, difference): Written<K>,
        action: ChangeAction,
    ) -> ChildState<K> {
        let written = cache.insert(written);
        if difference.is_none() && leftover_update_entry(&*written).is_none() {
            cache.set_verified(&written, desired_state_hash(desired));
        }
        let child = describe(desired);
        let problem = (self.contention).record(owner, desired, &action, difference);
        let change = Some(Change { child, action });
        match problem {
            None => ChildState::Applied(written, change),
            Some(problem) => ChildState::Problem {
                live: Some(written),
                problem,
                change,
            },
        }
    }

    /// Returns the state of a child that is as desired, with the object if it was read; another writer may have reverted it recently.
    fn unchanged<K: Child>(
        &self,
        owner: &Owner,
        desired: &K,
        live: Option<Arc<K>>,
    ) -> ChildState<K> {
        let child = describe(desired);
        match (self.contention.recently_contended(owner, &child), live) {
            (None, Some(live)) => ChildState::Applied(live, None),
            (None, None) => ChildState::Verified,
            (Some(problem), live) => ChildState::Problem {
                live,
                problem,
                change: None,
            },
        }
    }

    /// Reads the EchoCluster, and fails if the cached one is older, or if it is being deleted.
    pub(super) async fn check_echo_cluster(&self, owner: &Owner, child: &str) -> Result<(), Error> {
        let api = Api::<EchoCluster>::namespaced(self.client.clone(), &owner.namespace);
        let cluster = owner.reference();
        let newest = request(Verb::Get, &cluster, api.get_metadata(&owner.name)).await?;
        let is_newest = newest.metadata.generation <= Some(owner.generation)
            && newest.metadata.uid.as_deref() == Some(owner.uid.as_str())
            && newest.metadata.deletion_timestamp.is_none();
        if is_newest {
            return Ok(());
        }
        let child = child.to_owned();
        Err(Error::StaleEchoCluster { child })
    }

    fn is_name_taken<K: Child>(&self, desired: &K) -> bool {
        self.names_taken().contains(&name_key(desired))
    }

    fn set_name_taken<K: Child>(&self, desired: &K, is_taken: bool) {
        let mut names_taken = self.names_taken();
        if is_taken {
            if names_taken.len() >= MAX_NAMES_TAKEN {
                names_taken.clear();
            }
            names_taken.insert(name_key(desired));
        } else {
            names_taken.remove(&name_key(desired));
        }
    }

    fn names_taken(&self) -> MutexGuard<'_, HashSet<String>> {
        (self.names_taken.lock()).unwrap_or_else(PoisonError::into_inner)
    }
}

fn name_key<K: Child>(desired: &K) -> String {
    let namespace = desired.namespace().unwrap_or_default();
    describe_named::<K>(&format!("{namespace}/{}", desired.name_any()))
}
