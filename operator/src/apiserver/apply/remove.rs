//! The deletion of a child that is no longer desired.
#![expect(
    clippy::disallowed_types,
    reason = "apply is where the operator writes children"
)]

use std::sync::Arc;

use kube::api::{DeleteParams, Preconditions, PropagationPolicy};
use kube::{Api, ResourceExt};

use super::Applier;
use crate::apiserver::cache::Cache;
use crate::apiserver::request::{Error, Verb, request};
use crate::metrics::WriteReason;
use crate::model::children::{
    Change, ChangeAction, Child, ChildProblem, ChildState, ProblemKind, describe,
};
use crate::model::decision::{
    Removal, decide_removal, generation, is_controlled_by, removal_message,
};
use crate::model::metadata::Owner;

impl Applier {
    /// Deletes a child that is no longer desired, if it belongs to the EchoCluster or was orphaned by an earlier one of its name, and only
    /// at the version that was compared. One that is being deleted is awaited, since it still has an effect.
    pub(super) async fn remove<K: Child>(
        &self,
        cache: &Cache<K>,
        owner: &Owner,
        name: &str,
    ) -> Result<ChildState<K>, Error> {
        let Some(live) = cache.get(&owner.namespace, name) else {
            return Ok(ChildState::Absent(None));
        };
        let child = describe(&*live);
        match decide_removal(owner, &*live) {
            Removal::Delete => (),
            Removal::Keep => return Ok(ChildState::Absent(None)),
            Removal::AwaitDeletion(message) => {
                let kind = ProblemKind::AwaitingDeletion;
                return Ok(ChildState::problem(None, kind, child, message));
            }
        }
        if generation(&*live) > Some(owner.generation) || !is_controlled_by(owner, &*live) {
            self.check_echo_cluster(owner, &child).await?;
        }
        let change = Some(Change {
            child: child.clone(),
            action: ChangeAction::Deleted,
        });
        Ok(match self.delete(cache, &live).await? {
            // Another client has deleted it, or the operator before.
            Deletion::NotFound => ChildState::Absent(None),
            Deletion::Deleted => ChildState::Absent(change),
            Deletion::Finalizing(remaining) => ChildState::Problem {
                live: None,
                problem: ChildProblem {
                    kind: ProblemKind::AwaitingDeletion,
                    child,
                    message: removal_message(&*remaining),
                },
                change,
            },
        })
    }

    /// Deletes an object at the version that was compared, and takes the response into the cache. Without finalizers an object no longer
    /// exists, although some kinds, such as Service, are returned.
    async fn delete<K: Child>(
        &self,
        cache: &Cache<K>,
        live: &Arc<K>,
    ) -> Result<Deletion<K>, Error> {
        let namespace = live.namespace().unwrap_or_default();
        let api = Api::<K>::namespaced(self.client.clone(), &namespace);
        let parameters = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Background),
            preconditions: Some(Preconditions {
                uid: live.uid(),
                resource_version: live.resource_version(),
            }),
            ..DeleteParams::default()
        };
        let name = live.name_any();
        let sent = api.delete(&name, &parameters);
        let deleted = match request(Verb::Delete, &**live, sent).await {
            Err(error) if error.is_not_found() => {
                cache.remove(live);
                return Ok(Deletion::NotFound);
            }
            deleted => deleted?,
        };
        let reason = WriteReason::from(&ChangeAction::Deleted);
        self.metrics.count_write::<K>(Verb::Delete, reason);
        let remaining = deleted.left();
        if let Some(remaining) = remaining.filter(|object| !object.finalizers().is_empty()) {
            return Ok(Deletion::Finalizing(cache.insert(remaining)));
        }
        cache.remove(live);
        Ok(Deletion::Deleted)
    }
}

/// The result of a deletion.
enum Deletion<K> {
    /// The object did not exist any more.
    NotFound,
    /// It no longer exists.
    Deleted,
    /// It stays until its finalizers are removed.
    Finalizing(Arc<K>),
}
