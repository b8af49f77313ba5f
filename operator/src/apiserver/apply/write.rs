//! The writes of a child: a create, or a server-side apply.
//!
//! A create is a POST, so it never modifies an object that exists. The API server records it as an `Update` by the operator that owns
//! every field, defaults included. Before such a child is applied for the first time, that entry of `managedFields` becomes one of
//! `Apply`, as client-go's `csaupgrade` does it; otherwise a field that a later apply drops would stay, owned by the entry.
#![expect(
    clippy::disallowed_types,
    reason = "apply is where the operator writes children"
)]

use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde::Serialize;
use serde_json::json;

use super::Applier;
use crate::apiserver::request::{Error, Verb, patch_params, post_params, request};
use crate::metrics::WriteReason;
use crate::model::children::{ChangeAction, Child, describe};
use crate::model::decision::{is_update_entry, leftover_update_entry, update_entry_index};
use crate::model::drift::first_difference;
use crate::model::metadata::FIELD_MANAGER;

/// Where a child is written, and why.
pub(super) struct Target<'a, K> {
    pub(super) api: &'a Api<K>,
    pub(super) reason: WriteReason,
}

impl<'a, K> Target<'a, K> {
    /// Makes the target of an action.
    pub(super) fn new(api: &'a Api<K>, action: &ChangeAction) -> Self {
        let reason = action.into();
        Self { api, reason }
    }
}

/// An object as it was written, and how it differs from what is desired nevertheless.
pub(super) type Written<K> = (K, Option<String>);

impl Applier {
    /// Creates a child. An object of that name is a conflict.
    pub(super) async fn create<K: Child>(
        &self,
        target: &Target<'_, K>,
        desired: &K,
    ) -> Result<Written<K>, Error> {
        let parameters = post_params();
        let sent = target.api.create(&parameters, desired);
        let created = request(Verb::Create, desired, sent).await?;
        self.metrics.count_write::<K>(Verb::Create, target.reason);
        with_difference(desired, created)
    }

    /// Applies a child at the version that was compared; if that cannot bring it to its desired state, replaces it.
    pub(super) async fn update<K: Child>(
        &self,
        target: &Target<'_, K>,
        desired: &K,
        live: &K,
    ) -> Result<Written<K>, Error> {
        let converted = match update_entry_index(live) {
            Some(index) if leftover_update_entry(live).is_none() => {
                Some(self.convert_ownership(target, live, index).await?)
            }
            _ => None,
        };
        let live = converted.as_ref().unwrap_or(live);
        match self.server_side_apply(target, desired, live).await {
            Ok(applied) => match with_difference(desired, applied)? {
                (applied, None) => {
                    let applied = self.drop_update_entry(target, applied).await?;
                    Ok((applied, None))
                }
                (applied, Some(_)) => self.replace(target, desired, applied).await,
            },
            Err(error) if error.is_invalid() => self.replace(target, desired, live.clone()).await,
            Err(error) => Err(error),
        }
    }

    /// Applies `desired` by force, at the version of `live`.
    pub(super) async fn server_side_apply<K: Child>(
        &self,
        target: &Target<'_, K>,
        desired: &K,
        live: &K,
    ) -> Result<K, Error> {
        let mut desired = desired.clone();
        (desired.meta_mut().resource_version).clone_from(&live.meta().resource_version);
        // Without the UID, an apply creates an object that has been deleted meanwhile, whatever its resourceVersion.
        desired.meta_mut().uid.clone_from(&live.meta().uid);
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        let (name, body) = (desired.name_any(), Patch::Apply(&desired));
        let sent = target.api.patch(&name, &parameters, &body);
        let written = request(Verb::Apply, &desired, sent).await?;
        self.metrics.count_write::<K>(Verb::Apply, target.reason);
        Ok(written)
    }

    /// Changes the operation of the entry at `index` of `managedFields` from `Update` to `Apply`. If the copy is outdated, there may be no
    /// such entry; the API server then answers 422, since it carries the patch out before it compares the version.
    async fn convert_ownership<K: Child>(
        &self,
        target: &Target<'_, K>,
        live: &K,
        index: usize,
    ) -> Result<K, Error> {
        let operation = format!("/metadata/managedFields/{index}/operation");
        let body = json!([
            { "op": "replace", "path": "/metadata/resourceVersion", "value": live.resource_version() },
            { "op": "replace", "path": operation, "value": "Apply" },
        ]);
        let patch = serde_json::from_value(body)?;
        match self.patch(target, live, &Patch::<K>::Json(patch)).await {
            Err(error) if error.is_invalid() => Err(Error::Outdated {
                child: describe(live),
                message: error.cause().unwrap_or_default(),
            }),
            patched => patched,
        }
    }

    /// Removes the entry that an interrupted replacement has left in `managedFields`, if there is one.
    pub(super) async fn drop_update_entry<K: Child>(
        &self,
        target: &Target<'_, K>,
        live: K,
    ) -> Result<K, Error> {
        if leftover_update_entry(&live).is_none() {
            return Ok(live);
        }
        let entries = live.managed_fields().iter();
        let kept: Vec<_> = entries.filter(|entry| !is_update_entry(entry)).collect();
        let body = json!({ "metadata": {
            "resourceVersion": live.meta().resource_version,
            "managedFields": kept,
        }});
        self.patch(target, &live, &Patch::Merge(&body)).await
    }

    async fn patch<K: Child, P: Serialize + std::fmt::Debug + Sync>(
        &self,
        target: &Target<'_, K>,
        live: &K,
        body: &Patch<P>,
    ) -> Result<K, Error> {
        let (name, parameters) = (live.name_any(), patch_params());
        let sent = target.api.patch(&name, &parameters, body);
        let written = request(Verb::Patch, live, sent).await?;
        self.metrics.count_write::<K>(Verb::Patch, target.reason);
        Ok(written)
    }
}

/// Returns an object with its first difference from what is desired.
pub(super) fn with_difference<K: Child>(desired: &K, written: K) -> Result<Written<K>, Error> {
    let difference = first_difference(
        &serde_json::to_value(desired)?,
        &serde_json::to_value(&written)?,
    );
    Ok((written, difference))
}
