//! The deletion of a child that is no longer desired.
#![expect(
    clippy::disallowed_types,
    reason = "apply is where the operator writes children"
)]

use kube::api::{DeleteParams, Preconditions, PropagationPolicy};
use kube::{Api, ResourceExt};

use super::Applier;
use crate::apiserver::cache::Cache;
use crate::apiserver::request::{Error, Verb, request};
use crate::model::children::{Change, ChangeAction, Child, ChildState, describe};
use crate::model::decision::{generation, is_owned, is_removable};
use crate::model::metadata::Owner;

impl Applier {
    /// Deletes a child that is no longer desired, if it belongs to the EchoCluster or was orphaned by an earlier one of its name, and only
    /// at the version that was compared.
    pub(super) async fn remove<K: Child>(
        &self,
        cache: &Cache<K>,
        owner: &Owner,
        name: &str,
    ) -> Result<ChildState<K>, Error> {
        let Some(live) = cache.get(&owner.namespace, name) else {
            return Ok(ChildState::Absent(None));
        };
        if !is_removable(owner, &*live) || live.meta().deletion_timestamp.is_some() {
            return Ok(ChildState::Absent(None));
        }
        if generation(&*live) > Some(owner.generation) || !is_owned(owner, &*live) {
            let child = describe(&*live);
            self.check_that_it_is_current(owner, &child).await?;
        }
        let parameters = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Background),
            preconditions: Some(Preconditions {
                uid: live.uid(),
                resource_version: live.resource_version(),
            }),
            ..DeleteParams::default()
        };
        let api = Api::<K>::namespaced(self.client.clone(), &owner.namespace);
        match request(Verb::Delete, &*live, api.delete(name, &parameters)).await {
            Err(error) if error.is_not_found() => return Ok(ChildState::Absent(None)),
            deleted => drop(deleted?),
        }
        self.metrics.count_write::<K>(Verb::Delete);
        Ok(ChildState::Absent(Some(Change {
            child: describe(&*live),
            action: ChangeAction::Deleted,
        })))
    }
}
