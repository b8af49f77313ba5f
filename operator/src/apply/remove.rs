//! A child that is no longer wanted.
#![expect(
    clippy::disallowed_types,
    reason = "apply is one of the two steps that do I/O"
)]

use kube::api::{DeleteParams, Preconditions, PropagationPolicy};
use kube::runtime::reflector::ObjectRef;
use kube::{Api, ResourceExt};

use super::outcome::{Change, ChangeAction, Child, Outcome, describe};
use super::request::{Error, request};
use super::{Applier, Verb};
use crate::cache::Cache;
use crate::plan::Owner;
use crate::verdict::{generation, is_owned, is_removable};

impl Applier {
    /// Deletes a child that is no longer wanted, if it is ours or an earlier EchoCluster of this name has left it, and only at the version
    /// that was judged.
    pub(super) async fn remove<K: Child>(
        &self,
        cache: &Cache<K>,
        owner: &Owner,
        name: &str,
    ) -> Result<Outcome<K>, Error> {
        let key = ObjectRef::new(name).within(&owner.namespace);
        let Some(live) = cache.store.get(&key) else {
            return Ok(Outcome::Absent(None));
        };
        if !is_removable(owner, &*live) || live.meta().deletion_timestamp.is_some() {
            return Ok(Outcome::Absent(None));
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
            Err(error) if error.is_not_found() => return Ok(Outcome::Absent(None)),
            deleted => drop(deleted?),
        }
        self.metrics.count_write::<K>(Verb::Delete);
        Ok(Outcome::Absent(Some(Change {
            child: describe(&*live),
            action: ChangeAction::Deleted,
        })))
    }
}
