//! One child: read, judged, and written if need be.
#![expect(
    clippy::disallowed_types,
    reason = "apply is one of the two steps that do I/O"
)]

use k8s_openapi::NamespaceResourceScope;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::request::{Error, request};
use super::{Applier, Verb};
use crate::api::v1alpha1::EchoCluster;
use crate::cache::Cache;
use crate::drift::first_difference;
use crate::plan::Owner;
use crate::verdict::{Verdict, verdict};

/// How it stands with one child after a pass.
#[derive(Debug)]
pub enum Outcome<K> {
    /// It is as desired; the change, if any, that it took.
    Settled(Box<K>, Option<Change>),
    /// An object that belongs to somebody else has its name.
    NameTaken(Obstacle),
    /// The API server refuses it.
    Refused(Obstacle),
    /// Somebody changes it as soon as it is written; as it is now.
    Contended(Box<K>, Obstacle),
    /// A request failed in a way that a later pass may mend.
    Failed(Error),
    /// An older object of its name is on its way out, or the namespace is.
    AwaitingDeletion(Obstacle),
}

/// What a pass did to a child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The child, as `Deployment hello`.
    pub child: String,
    /// What was done.
    pub action: ChangeAction,
}

/// What was done to a child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeAction {
    /// It did not exist.
    Created,
    /// The EchoCluster or the operator had changed.
    Updated,
    /// Somebody had changed it; the text names the field.
    Repaired(String),
}

/// Why a child is not as desired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// The child, as `Service hello`.
    pub child: String,
    /// What stands in the way, in words for a person.
    pub message: String,
}

/// A kind of object that an EchoCluster owns.
pub trait Child:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + std::fmt::Debug
    + Default
    + Serialize
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
}

impl Child for k8s_openapi::api::apps::v1::Deployment {}
impl Child for k8s_openapi::api::core::v1::Service {}

/// Returns how messages name an object: `Deployment hello`.
pub fn describe<K: Resource<DynamicType = ()>>(object: &K) -> String {
    format!("{} {}", K::kind(&()), object.name_any())
}

impl Applier {
    /// Brings one child to its desired form.
    pub(super) async fn child<K: Child>(
        &self,
        cache: &Cache<K>,
        owner: &Owner,
        desired: K,
    ) -> Outcome<K> {
        let child = describe(&desired);
        match self.settle(cache, owner, desired).await {
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
            return Ok(settled(K::clone(&cached), None));
        }
        let api = Api::<K>::namespaced(self.client.clone(), &owner.namespace);
        let live = request(Verb::Get, &desired, api.get_opt(&desired.name_any())).await?;
        let child = describe(&desired);
        let action = match verdict(owner, &desired, live.as_ref())? {
            Verdict::Keep => return Ok(settled(live.unwrap_or(desired), None)),
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
            Verdict::Update => ChangeAction::Updated,
            Verdict::Repair(field) => ChangeAction::Repaired(field),
        };
        if let Some(live) = live.clone()
            && let Some(message) = self.contention.keeps_from_writing(&owner.uid, &child)
        {
            return Ok(Outcome::Contended(
                Box::new(live),
                Obstacle { child, message },
            ));
        }
        let written = self.write(&api, &desired, live.as_ref()).await?;
        if live.is_none() && self.has_met_a_stranger(&api, &written).await? {
            let message = "was made by somebody else at the same moment".to_owned();
            return Ok(Outcome::NameTaken(Obstacle { child, message }));
        }
        let difference = first_difference(&json(&desired)?, &json(&written)?);
        self.contention
            .note(&owner.uid, &child, difference.as_deref());
        Ok(match difference {
            None => settled(written, Some(Change { child, action })),
            Some(message) => Outcome::Contended(Box::new(written), Obstacle { child, message }),
        })
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

fn settled<K>(object: K, change: Option<Change>) -> Outcome<K> {
    Outcome::Settled(Box::new(object), change)
}

fn json(object: &impl Serialize) -> Result<serde_json::Value, Error> {
    Ok(serde_json::to_value(object)?)
}
