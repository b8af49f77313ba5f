//! One child: read, judged, and written if need be.
#![expect(
    clippy::disallowed_types,
    reason = "apply is one of the two steps that do I/O"
)]

use std::ops::ControlFlow;

use kube::runtime::reflector::ObjectRef;
use kube::{Api, ResourceExt};
use serde::Serialize;

use super::outcome::{Change, ChangeAction, Child, Obstacle, Outcome, describe};
use super::pause::left_alone;
use super::request::{Error, request};
use super::{Applier, Verb};
use crate::api::v1alpha1::EchoCluster;
use crate::cache::Cache;
use crate::drift::first_difference;
use crate::plan::{Owner, Plan};
use crate::verdict::{Verdict, is_owned, verdict};

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
            Some(desired) => match cache.listing.obstacle() {
                Some(message) => Ok(Outcome::NotServed(Obstacle {
                    child: child.clone(),
                    message,
                })),
                None => self.settle(cache, owner, desired).await,
            },
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
        let action = match self.judge(owner, &desired, live.clone()).await? {
            ControlFlow::Continue(action) => action,
            ControlFlow::Break(outcome) => return Ok(outcome),
        };
        let child = describe(&desired);
        let written = self.write(&api, &desired, live.as_ref()).await?;
        if live.is_none() && self.has_met_a_stranger(&api, &written).await? {
            let message = "was made by somebody else at the same moment".to_owned();
            return Ok(Outcome::NameTaken(Obstacle { child, message }));
        }
        let difference = first_difference(&json(&desired)?, &json(&written)?);
        let fought = self.contention.note(owner, &child, &action, difference);
        let change = Change {
            child: child.clone(),
            action,
        };
        Ok(match fought {
            None => Outcome::Settled(Box::new(written), Some(change)),
            Some(message) => {
                let obstacle = Obstacle { child, message };
                Outcome::Contended(Box::new(written), obstacle, Some(change))
            }
        })
    }

    /// Decides whether a child has to be written, and what that will have been; else how it stands with it.
    async fn judge<K: Child>(
        &self,
        owner: &Owner,
        desired: &K,
        live: Option<K>,
    ) -> Result<ControlFlow<Outcome<K>, ChangeAction>, Error> {
        let child = describe(desired);
        let verdict = verdict(owner, desired, live.as_ref())?;
        if needs_owner(owner, live.as_ref(), &verdict) {
            // An EchoCluster that is deleted with `--cascade=orphan` loses its children before the watch reports its end. Put back, the
            // owner reference would let garbage collection delete them.
            self.check_that_it_is_current(owner, &child).await?;
        }
        let action = match verdict {
            Verdict::Keep => {
                let live = live.unwrap_or_else(|| desired.clone());
                return Ok(ControlFlow::Break(self.kept(owner, live)));
            }
            Verdict::Foreign(message) => {
                let obstacle = Obstacle { child, message };
                return Ok(ControlFlow::Break(Outcome::NameTaken(obstacle)));
            }
            Verdict::AwaitDeletion => {
                let message = "an older object of that name is being deleted".to_owned();
                let obstacle = Obstacle { child, message };
                return Ok(ControlFlow::Break(Outcome::AwaitingDeletion(obstacle)));
            }
            Verdict::Stale(newer) => {
                self.check_that_it_is_current(owner, &child).await?;
                ChangeAction::Repaired(newer)
            }
            Verdict::Create => ChangeAction::Created,
            Verdict::Update(field) => ChangeAction::Updated(field),
            Verdict::Scale { from, to } => ChangeAction::Scaled { from, to },
            Verdict::Repair(field) => ChangeAction::Repaired(field),
            Verdict::Adopt => ChangeAction::Adopted,
        };
        Ok(
            match (live, self.contention.keeps_from_writing(owner, &child)) {
                (Some(live), Some(message)) => {
                    let obstacle = Obstacle { child, message };
                    ControlFlow::Break(Outcome::Contended(Box::new(live), obstacle, None))
                }
                _ => ControlFlow::Continue(action),
            },
        )
    }

    /// Tells of a child that is as desired, and whether somebody has fought over it lately.
    fn kept<K: Child>(&self, owner: &Owner, live: K) -> Outcome<K> {
        let child = describe(&live);
        match self.contention.fought_lately(&owner.uid, &child) {
            None => Outcome::Settled(Box::new(live), None),
            Some(message) => Outcome::Contended(Box::new(live), Obstacle { child, message }, None),
        }
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

    /// Reads the EchoCluster, and fails if the one at hand is older, or if it is being deleted. A stamp of a newer generation was forged
    /// otherwise.
    pub(super) async fn check_that_it_is_current(
        &self,
        owner: &Owner,
        child: &str,
    ) -> Result<(), Error> {
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
        Err(Error::StaleCluster { child })
    }
}

/// Whether a child exists that would get its owner reference, which it lacks.
fn needs_owner<K: Child>(owner: &Owner, live: Option<&K>, verdict: &Verdict) -> bool {
    let is_written = match verdict {
        Verdict::Update(_) | Verdict::Scale { .. } | Verdict::Repair(_) | Verdict::Adopt => true,
        Verdict::Keep
        | Verdict::Create
        | Verdict::AwaitDeletion
        | Verdict::Stale(_) // checked in any case
        | Verdict::Foreign(_) => false,
    };
    is_written && live.is_some_and(|live| !is_owned(owner, live))
}

fn json(object: &impl Serialize) -> Result<serde_json::Value, Error> {
    Ok(serde_json::to_value(object)?)
}
