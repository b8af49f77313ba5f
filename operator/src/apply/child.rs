//! One child: read, judged, and written if need be.
#![expect(
    clippy::disallowed_types,
    reason = "apply is one of the two steps that do I/O"
)]

use kube::api::{DeleteParams, Preconditions, PropagationPolicy};
use kube::runtime::reflector::ObjectRef;
use kube::{Api, ResourceExt};
use serde::Serialize;

use super::outcome::{Change, ChangeAction, Child, Obstacle, Outcome, describe};
use super::request::{Error, request};
use super::{Applier, Verb};
use crate::api::v1alpha1::EchoCluster;
use crate::cache::Cache;
use crate::drift::first_difference;
use crate::plan::{Owner, Plan};
use crate::verdict::{Verdict, is_ours, verdict};

impl Applier {
    /// Brings one child to its desired form, or removes one that is not wanted.
    pub(super) async fn child<K: Child>(
        &self,
        cache: &Cache<K>,
        plan: &Plan,
        desired: Option<K>,
    ) -> Outcome<K> {
        let owner = &plan.owner;
        let name = desired
            .as_ref()
            .map_or_else(|| owner.name.clone(), ResourceExt::name_any);
        let child = format!("{} {name}", K::kind(&()));
        let done = match desired {
            desired if plan.paused => left_alone(cache, owner, &name, desired.as_ref()),
            Some(_) if cache.listing.is_not_served() => Ok(not_served::<K>(child.clone())),
            Some(desired) => self.settle(cache, owner, desired).await,
            None => self.remove(cache, owner, &name).await,
        };
        match done {
            Ok(outcome) => outcome,
            Err(error) if error.is_namespace_terminating() => {
                let message = "the namespace is being deleted".to_owned();
                Outcome::AwaitingDeletion(Obstacle { child, message })
            }
            Err(error) => match error.refusal() {
                Some(message) => Outcome::Refused(Obstacle { child, message }),
                None => Outcome::Failed(error),
            },
        }
    }

    async fn settle<K: Child>(
        &self,
        cache: &Cache<K>,
        owner: &Owner,
        desired: K,
    ) -> Result<Outcome<K>, Error> {
        let key = ObjectRef::from_obj(&desired);
        if let Some(cached) = cache.store.get(&key)
            && verdict(owner, &desired, Some(&*cached))? == Verdict::Keep
        {
            return Ok(self.kept(owner, K::clone(&cached)));
        }
        let api = Api::<K>::namespaced(self.client.clone(), &owner.namespace);
        let live = request(Verb::Get, &desired, api.get_opt(&desired.name_any())).await?;
        let child = describe(&desired);
        let action = match verdict(owner, &desired, live.as_ref())? {
            Verdict::Keep => return Ok(self.kept(owner, live.unwrap_or(desired))),
            Verdict::Foreign(message) => {
                return Ok(Outcome::NameTaken(Obstacle { child, message }));
            }
            Verdict::AwaitDeletion => {
                let message = "an older object of that name is being deleted".to_owned();
                return Ok(Outcome::AwaitingDeletion(Obstacle { child, message }));
            }
            Verdict::Stale(newer) => {
                self.check_that_it_is_stale(owner, &child).await?;
                ChangeAction::Repaired(newer)
            }
            Verdict::Create => ChangeAction::Created,
            Verdict::Update(field) => ChangeAction::Updated(field),
            Verdict::Scale { from, to } => ChangeAction::Scaled { from, to },
            Verdict::Repair(field) => ChangeAction::Repaired(field),
        };
        if let Some(live) = live.clone()
            && let Some(message) = self.contention.keeps_from_writing(&owner.uid, &child)
        {
            let obstacle = Obstacle { child, message };
            return Ok(Outcome::Contended(Box::new(live), obstacle, None));
        }
        let written = self.write(&api, &desired, live.as_ref()).await?;
        if live.is_none() && self.has_met_a_stranger(&api, &written).await? {
            let message = "was made by somebody else at the same moment".to_owned();
            return Ok(Outcome::NameTaken(Obstacle { child, message }));
        }
        let difference = first_difference(&json(&desired)?, &json(&written)?);
        let fought = self
            .contention
            .note(&owner.uid, &child, &action, difference);
        let change = Some(Change {
            child: child.clone(),
            action,
        });
        Ok(match fought {
            None => Outcome::Settled(Box::new(written), change),
            Some(message) => {
                Outcome::Contended(Box::new(written), Obstacle { child, message }, change)
            }
        })
    }

    /// Tells of a child that is as desired, and whether somebody has fought over it lately.
    fn kept<K: Child>(&self, owner: &Owner, live: K) -> Outcome<K> {
        let child = describe(&live);
        match self.contention.fought_lately(&owner.uid, &child) {
            None => Outcome::Settled(Box::new(live), None),
            Some(message) => Outcome::Contended(Box::new(live), Obstacle { child, message }, None),
        }
    }

    /// Deletes a child that is no longer wanted, if it is ours, and only as it was when that was found out.
    async fn remove<K: Child>(
        &self,
        cache: &Cache<K>,
        owner: &Owner,
        name: &str,
    ) -> Result<Outcome<K>, Error> {
        let key = ObjectRef::new(name).within(&owner.namespace);
        let Some(live) = cache.store.get(&key) else {
            return Ok(Outcome::Absent(None));
        };
        if !is_ours(owner, &*live) || live.meta().deletion_timestamp.is_some() {
            return Ok(Outcome::Absent(None));
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

    /// Applies a child; where that cannot bring it to its desired form, replaces it.
    async fn write<K: Child>(
        &self,
        api: &Api<K>,
        desired: &K,
        live: Option<&K>,
    ) -> Result<K, Error> {
        let applied = self.server_side_apply(api, desired, live).await;
        let Some(live) = live else {
            return applied;
        };
        match applied {
            Ok(written) if first_difference(&json(desired)?, &json(&written)?).is_none() => {
                self.drop_update_entry(api, written).await
            }
            Ok(written) => self.replace(api, desired, written).await,
            Err(error) if error.is_invalid() => self.replace(api, desired, live.clone()).await,
            Err(error) => Err(error),
        }
    }

    /// Asks whether the EchoCluster at hand is really older than the child says, or the child's stamp was forged.
    async fn check_that_it_is_stale(&self, owner: &Owner, child: &str) -> Result<(), Error> {
        let api = Api::<EchoCluster>::namespaced(self.client.clone(), &owner.namespace);
        let cluster = owner.reference();
        let newest = request(Verb::Get, &cluster, api.get_metadata(&owner.name)).await?;
        let is_newest = newest.metadata.generation <= Some(owner.generation)
            && newest.metadata.uid.as_deref() == Some(owner.uid.as_str());
        if is_newest {
            return Ok(());
        }
        let child = child.to_owned();
        Err(Error::StaleCluster { child })
    }
}

/// Looks at a child of a paused EchoCluster, and finds what waits for the end of the pause.
fn left_alone<K: Child>(
    cache: &Cache<K>,
    owner: &Owner,
    name: &str,
    desired: Option<&K>,
) -> Result<Outcome<K>, Error> {
    let live = cache
        .store
        .get(&ObjectRef::new(name).within(&owner.namespace));
    let child = format!("{} {name}", K::kind(&()));
    let message = match (desired, live.as_deref()) {
        (None, None) => None,
        (None, Some(live)) => is_ours(owner, live).then(|| "is no longer wanted".to_owned()),
        (Some(desired), live) => match verdict(owner, desired, live)? {
            Verdict::Keep => None,
            Verdict::Create => Some("does not exist".to_owned()),
            Verdict::Update(field) | Verdict::Repair(field) | Verdict::Stale(field) => Some(field),
            Verdict::Scale { from, .. } => Some(format!("spec.replicas was {from}")),
            Verdict::AwaitDeletion => Some("is being deleted".to_owned()),
            Verdict::Foreign(message) => {
                return Ok(Outcome::NameTaken(Obstacle { child, message }));
            }
        },
    };
    let live = live.map(|live| Box::new(K::clone(&live)));
    Ok(Outcome::LeftAlone(
        live,
        message.map(|message| Obstacle { child, message }),
    ))
}

fn not_served<K: Child>(child: String) -> Outcome<K> {
    let message = format!(
        "the cluster does not serve {} {}",
        K::api_version(&()),
        K::plural(&())
    );
    Outcome::NotServed(Obstacle { child, message })
}

fn json(object: &impl Serialize) -> Result<serde_json::Value, Error> {
    Ok(serde_json::to_value(object)?)
}
