//! The writes themselves: server-side apply, and the replacement for what apply cannot mend.
//!
//! Apply merges, and cannot restore an object whose list elements or alternatives another writer has swapped: a renamed container stays
//! beside ours, a probe gets two handlers and is refused. Then the child is replaced, by an update, with all owned fields as desired and
//! the fields of others as they are; where the API server refuses that, as with the two handlers, with the desired spec as a whole.
//! Then it is applied once more. An update leaves a second entry of ours in `managedFields`, which would hold fields for ever that a
//! later apply drops; so that entry is removed in the end.
#![expect(
    clippy::disallowed_types,
    reason = "apply is one of the two steps that do I/O"
)]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use super::outcome::Child;
use super::request::{Error, request};
use super::{Applier, Verb};
use crate::drift::{first_difference, with_owned_fields};
use crate::labels::FIELD_MANAGER;
use crate::verdict::{cut_short_replacement, is_replacement_entry};

/// How often a child that was replaced is applied while others write to it. A rollout has a few writes of its status a second.
const ATTEMPTS_TO_OWN: usize = 5;

impl Applier {
    /// Applies `desired`. A child that exists is taken over by force, but only at the version that was judged; one that
    /// does not is created, and not by force, so that an object that somebody creates at the same moment stays his.
    pub(super) async fn server_side_apply<K: Child>(
        &self,
        api: &Api<K>,
        desired: &K,
        live: Option<&K>,
    ) -> Result<K, Error> {
        let mut desired = desired.clone();
        let mut parameters = PatchParams::apply(FIELD_MANAGER);
        if let Some(live) = live {
            desired
                .meta_mut()
                .resource_version
                .clone_from(&live.meta().resource_version);
            parameters = parameters.force();
        }
        let (name, body) = (desired.name_any(), Patch::Apply(&desired));
        let sent = api.patch(&name, &parameters, &body);
        let written = request(Verb::Apply, &desired, sent).await?;
        self.metrics.count_write::<K>(Verb::Apply);
        Ok(written)
    }

    /// Tells whether a child that was to be created existed already, made by somebody else since it was looked for. What was
    /// applied to it is given back then: an apply of nothing drops all fields of ours, the owner reference too.
    pub(super) async fn has_met_a_stranger<K: Child>(
        &self,
        api: &Api<K>,
        written: &K,
    ) -> Result<bool, Error> {
        let is_ours = |entry: &ManagedFieldsEntry| entry.manager.as_deref() == Some(FIELD_MANAGER);
        if written.managed_fields().iter().all(is_ours) {
            return Ok(false);
        }
        let nothing = Patch::Apply(json!({
            "apiVersion": K::api_version(&()),
            "kind": K::kind(&()),
            "metadata": { "resourceVersion": written.meta().resource_version },
        }));
        let (name, parameters) = (written.name_any(), PatchParams::apply(FIELD_MANAGER));
        let sent = api.patch(&name, &parameters, &nothing);
        request(Verb::Apply, written, sent).await?;
        self.metrics.count_write::<K>(Verb::Apply);
        Ok(true)
    }

    /// Replaces a child, and makes apply its owner again. The fields of others stay, unless they make the child invalid.
    pub(super) async fn replace<K: Child>(
        &self,
        api: &Api<K>,
        desired: &K,
        live: K,
    ) -> Result<K, Error> {
        let (desired_json, live_json) =
            (serde_json::to_value(desired)?, serde_json::to_value(&live)?);
        let merged = with_owned_fields(&desired_json, &live_json);
        let replaced = match self.update(api, desired, merged).await {
            Err(error) if error.is_invalid() => {
                let whole = with_spec_of(live_json, desired_json);
                self.update(api, desired, whole).await?
            }
            replaced => replaced?,
        };
        self.own_again(api, desired, replaced).await
    }

    /// Updates a child to `replacement`, which carries the version that was judged.
    async fn update<K: Child>(
        &self,
        api: &Api<K>,
        desired: &K,
        replacement: Value,
    ) -> Result<K, Error> {
        let replacement: K = serde_json::from_value(replacement)?;
        let parameters = PostParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        let name = desired.name_any();
        let sent = api.replace(&name, &parameters, &replacement);
        let replaced = request(Verb::Update, desired, sent).await?;
        self.metrics.count_write::<K>(Verb::Update);
        Ok(replaced)
    }

    /// Makes apply the owner of a child that was replaced. A controller that writes its status meanwhile changes nothing of ours.
    /// Where somebody else is faster, the replacement is told all the same, and the next pass finds what is left to do.
    async fn own_again<K: Child>(
        &self,
        api: &Api<K>,
        desired: &K,
        replaced: K,
    ) -> Result<K, Error> {
        let expected = serde_json::to_value(desired)?;
        let mut live = replaced.clone();
        for _ in 0..ATTEMPTS_TO_OWN {
            let applied = match self.server_side_apply(api, desired, Some(&live)).await {
                Ok(applied) => self.drop_update_entry(api, applied).await,
                error => error,
            };
            match applied {
                Err(error) if error.is_conflict() => (),
                done => return done,
            }
            live = request(Verb::Get, desired, api.get(&desired.name_any())).await?;
            let is_same = live.meta().uid == replaced.meta().uid;
            if !is_same || first_difference(&expected, &serde_json::to_value(&live)?).is_some() {
                break;
            }
        }
        Ok(replaced)
    }

    /// Removes the entry that a replacement has left in `managedFields`, if there is one.
    pub(super) async fn drop_update_entry<K: Child>(
        &self,
        api: &Api<K>,
        live: K,
    ) -> Result<K, Error> {
        if cut_short_replacement(&live).is_none() {
            return Ok(live);
        }
        let kept: Vec<_> = live
            .meta()
            .managed_fields
            .iter()
            .flatten()
            .filter(|entry| !is_replacement_entry(entry))
            .collect();
        let body = json!({ "metadata": {
            "resourceVersion": live.meta().resource_version,
            "managedFields": kept,
        }});
        let parameters = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let (name, body) = (live.name_any(), Patch::Merge(&body));
        let sent = api.patch(&name, &parameters, &body);
        let written = request(Verb::Patch, &live, sent).await?;
        self.metrics.count_write::<K>(Verb::Patch);
        Ok(written)
    }
}

/// Returns the live object with the desired spec in place of its own.
fn with_spec_of(mut live: Value, mut desired: Value) -> Value {
    if let (Some(object), Some(spec)) = (live.as_object_mut(), desired.get_mut("spec")) {
        object.insert("spec".to_owned(), spec.take());
    }
    live
}
