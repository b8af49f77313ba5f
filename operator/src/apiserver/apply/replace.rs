//! The replacement of a child that server-side apply cannot restore.
//!
//! Apply merges, so it cannot restore an object whose list elements or alternatives another writer has exchanged: a renamed container stays
//! beside the desired one, and a probe with two handlers is rejected. Such a child is replaced by an update that has all owned fields as
//! desired and the fields of others as they are; if the API server rejects that, as with the two handlers, the update has the desired spec
//! as a whole. The child is then applied once more, and the `Update` entry that the replacement has left in `managedFields` is removed.

use kube::ResourceExt;
use serde_json::Value;

use super::Applier;
use super::write::{Target, Written, with_difference};
use crate::apiserver::request::{Error, Verb, post_params, request};
use crate::model::children::Child;
use crate::model::drift::with_owned_fields;

/// How often a child that was replaced is applied while others write to it. During a rollout its status is written a few times a second.
const MAX_APPLY_ATTEMPTS: usize = 5;

impl Applier {
    /// Replaces a child, and restores the ownership by apply. The fields of others stay, unless they make the child invalid.
    pub(super) async fn replace<K: Child>(
        &self,
        target: &Target<'_, K>,
        desired: &K,
        live: K,
    ) -> Result<Written<K>, Error> {
        let (desired_json, live_json) =
            (serde_json::to_value(desired)?, serde_json::to_value(&live)?);
        let merged = with_owned_fields(&desired_json, &live_json);
        let replaced = match self.put(target, desired, merged).await {
            Err(error) if error.is_invalid() => {
                self.replace_spec(target, desired, live_json, desired_json)
                    .await?
            }
            replaced => replaced?,
        };
        self.restore_apply_ownership(target, desired, replaced)
            .await
    }

    /// Replaces the spec as a whole. If the API server rejects that too, because of a field that cannot be changed in place, removes that
    /// field, so that the desired one can be applied: it may have got another value in steps that the operator has not observed.
    async fn replace_spec<K: Child>(
        &self,
        target: &Target<'_, K>,
        desired: &K,
        live: Value,
        desired_json: Value,
    ) -> Result<K, Error> {
        let whole = with_spec_of(live.clone(), desired_json);
        let error = match self.put(target, desired, whole).await {
            Err(error) if error.is_invalid() => error,
            replaced => return replaced,
        };
        let plain =
            (error.invalid_fields()).find_map(|field| desired.without_immutable_field(field));
        let Some(plain) = plain else {
            return Err(error);
        };
        let plain = with_spec_of(live, serde_json::to_value(plain)?);
        self.put(target, desired, plain).await
    }

    /// Updates a child to `replacement`, which carries the version that was compared. It is sent without `managedFields`, since those of a
    /// cached copy are incomplete, and the API server keeps the stored ones if it gets none.
    async fn put<K: Child>(
        &self,
        target: &Target<'_, K>,
        desired: &K,
        replacement: Value,
    ) -> Result<K, Error> {
        let mut replacement: K = serde_json::from_value(replacement)?;
        replacement.meta_mut().managed_fields = None;
        let (name, parameters) = (desired.name_any(), post_params());
        let sent = target.api.replace(&name, &parameters, &replacement);
        let replaced = request(Verb::Update, desired, sent).await?;
        self.metrics.count_write::<K>(Verb::Update, target.reason);
        Ok(replaced)
    }

    /// Applies a child that was replaced. A controller that writes its status meanwhile does not change the result; after any other write,
    /// the next reconcile completes the work.
    async fn restore_apply_ownership<K: Child>(
        &self,
        target: &Target<'_, K>,
        desired: &K,
        replaced: K,
    ) -> Result<Written<K>, Error> {
        let mut live = replaced.clone();
        for _ in 0..MAX_APPLY_ATTEMPTS {
            let applied = match self.server_side_apply(target, desired, &live).await {
                Ok(applied) => self.drop_update_entry(target, applied).await,
                error => error,
            };
            match applied {
                Err(error) if error.is_write_conflict() => (),
                done => return with_difference(desired, done?),
            }
            live = request(Verb::Get, desired, target.api.get(&desired.name_any())).await?;
            let is_same = live.meta().uid == replaced.meta().uid;
            if !is_same || with_difference(desired, live.clone())?.1.is_some() {
                break;
            }
        }
        with_difference(desired, replaced)
    }
}

/// Returns the live object with the desired spec in place of its own.
fn with_spec_of(mut live: Value, mut desired: Value) -> Value {
    if let (Some(object), Some(spec)) = (live.as_object_mut(), desired.get_mut("spec")) {
        object.insert("spec".to_owned(), spec.take());
    }
    live
}
