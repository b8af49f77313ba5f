//! The writes of a child: a create, or a server-side apply.
//!
//! A create is a POST, so it never modifies an object that exists. The API server records it as an `Update` by the operator that owns
//! every field. A label or an annotation that a later apply no longer has would stay, owned by that entry of `managedFields`. So before
//! such an apply the entry becomes one of `Apply`, as client-go's `csaupgrade` does it. In the spec, what stays is found by comparison.
#![expect(
    clippy::disallowed_types,
    reason = "apply is where the operator writes children"
)]

use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use super::Applier;
use crate::apiserver::request::{Error, Verb, request};
use crate::model::children::Child;
use crate::model::decision::{has_apply_entry, update_entry_index};
use crate::model::drift::{first_difference, has_undeclared_fields, has_undeclared_metadata};
use crate::model::metadata::FIELD_MANAGER;

/// An object as it was written, and how it still differs from its desired state.
pub(super) type Written<K> = (K, Option<String>);

impl Applier {
    /// Creates a child. An object of that name is a conflict.
    pub(super) async fn create<K: Child>(
        &self,
        api: &Api<K>,
        desired: &K,
    ) -> Result<Written<K>, Error> {
        let created = request(Verb::Create, desired, api.create(&post_params(), desired)).await?;
        self.metrics.count_write::<K>(Verb::Create);
        compared(desired, created)
    }

    /// Applies a child at the version that was compared; if that cannot bring it to its desired state, replaces it.
    pub(super) async fn update<K: Child>(
        &self,
        api: &Api<K>,
        desired: &K,
        live: &K,
    ) -> Result<Written<K>, Error> {
        let (desired_json, live_json) =
            (serde_json::to_value(desired)?, serde_json::to_value(live)?);
        let converted = match update_entry_index(live) {
            Some(index) if has_undeclared_metadata(&desired_json, &live_json) => {
                Some(self.convert_ownership(api, live, index).await?)
            }
            // An apply would leave the field, so that the pods would be restarted twice: by it, and by the removal.
            Some(_) if has_undeclared_fields(&desired_json, &live_json) => {
                return self.replace(api, desired, live.clone()).await;
            }
            _ => None,
        };
        let live = converted.as_ref().unwrap_or(live);
        match self.server_side_apply(api, desired, live).await {
            Ok(applied) => match compared(desired, applied)? {
                (applied, Some(_)) => self.replace(api, desired, applied).await,
                unchanged => Ok(unchanged),
            },
            Err(error) if error.is_invalid() => self.replace(api, desired, live.clone()).await,
            Err(error) => Err(error),
        }
    }

    /// Applies `desired` by force, at the version of `live`.
    pub(super) async fn server_side_apply<K: Child>(
        &self,
        api: &Api<K>,
        desired: &K,
        live: &K,
    ) -> Result<K, Error> {
        let mut desired = desired.clone();
        (desired.meta_mut().resource_version).clone_from(&live.meta().resource_version);
        // Without the UID, an apply creates an object that has been deleted meanwhile, whatever its resourceVersion.
        desired.meta_mut().uid.clone_from(&live.meta().uid);
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        let (name, body) = (desired.name_any(), Patch::Apply(&desired));
        let sent = api.patch(&name, &parameters, &body);
        let written = request(Verb::Apply, &desired, sent).await?;
        self.metrics.count_write::<K>(Verb::Apply);
        Ok(written)
    }

    /// Makes the entry of a create or an update, at `index` of `managedFields`, one of an apply. If there is one of an apply, it has every
    /// field that was desired since, so the other is removed.
    async fn convert_ownership<K: Child>(
        &self,
        api: &Api<K>,
        live: &K,
        index: usize,
    ) -> Result<K, Error> {
        let entry = format!("/metadata/managedFields/{index}");
        let convert = if has_apply_entry(live) {
            json!({ "op": "remove", "path": entry })
        } else {
            json!({ "op": "replace", "path": format!("{entry}/operation"), "value": "Apply" })
        };
        let version = json!({ "op": "replace", "path": "/metadata/resourceVersion", "value": live.resource_version() });
        let patch = Patch::<K>::Json(serde_json::from_value(json!([version, convert]))?);
        let parameters = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let name = live.name_any();
        let written = request(Verb::Patch, live, api.patch(&name, &parameters, &patch)).await?;
        self.metrics.count_write::<K>(Verb::Patch);
        Ok(written)
    }
}

/// Returns the parameters of a create or an update.
pub(super) fn post_params() -> PostParams {
    PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    }
}

/// Returns an object with its first difference from its desired state.
pub(super) fn compared<K: Child>(desired: &K, written: K) -> Result<Written<K>, Error> {
    let difference = first_difference(
        &serde_json::to_value(desired)?,
        &serde_json::to_value(&written)?,
    );
    Ok((written, difference))
}
