//! `(desired, live) → Decision`: what to do about one child. Never does I/O.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{
    ManagedFieldsEntry, ObjectMeta, OwnerReference,
};
use kube::{Resource, ResourceExt};
use serde::Serialize;
use serde_json::Value;

use crate::api::v1alpha1::EchoCluster;
use crate::model::children::ChangeAction;
use crate::model::drift;
use crate::model::hash::hash;
use crate::model::metadata::Owner;
use crate::model::metadata::{
    DESIRED_HASH_ANNOTATION, FIELD_MANAGER, GENERATION_ANNOTATION, OWNER_UID_ANNOTATION,
    TRACKING_ANNOTATIONS, foreign_finalizers, selector_labels,
};

/// What to do about a child that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is as desired.
    Unchanged,
    /// It is not as desired, and has to be written.
    Write(ChangeAction),
    /// It is being deleted, and its name is free only when it is gone; the text names what it waits for.
    AwaitDeletion(String),
    /// It was written for a newer generation than that of the cached EchoCluster; the text names it. Either the cache is outdated, or
    /// another client has changed the generation annotation.
    NewerGeneration(String),
    /// It does not belong to the EchoCluster, for the reason in the text, and is never written.
    NotOwned(String),
}

/// What to do about an object that has the name of a child which is not desired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removal {
    /// It does not belong to the EchoCluster.
    Keep,
    /// It has to be deleted.
    Delete,
    /// It is being deleted; the text names what it waits for.
    AwaitDeletion(String),
}

/// Decides what to do about a child of `owner`, from its desired and its live state.
///
/// # Errors
/// An object that cannot be written as JSON; no retry helps.
pub fn decide<K>(owner: &Owner, desired: &K, live: &K) -> Result<Decision, serde_json::Error>
where
    K: Resource<DynamicType = ()> + Serialize,
{
    if let Some(other) = other_owner(owner, live) {
        return Ok(other);
    }
    if live.meta().deletion_timestamp.is_some() {
        return Ok(await_deletion(live));
    }
    if is_orphan(owner, live) {
        return Ok(Decision::Write(ChangeAction::Adopted)); // its generation is that of the earlier EchoCluster
    }
    if let Some(newer) = generation(live).filter(|generation| *generation > owner.generation) {
        let field = format!("metadata.annotations.{GENERATION_ANNOTATION} was {newer}");
        return Ok(Decision::NewerGeneration(field));
    }
    let (desired_json, live_json) = (serde_json::to_value(desired)?, serde_json::to_value(live)?);
    let difference = drift::first_difference(&desired_json, &live_json)
        .or_else(|| leftover_update_entry(live))
        .or_else(|| unreadable_generation(live));
    let hash = |object: &K| object.annotations().get(DESIRED_HASH_ANNOTATION).cloned();
    Ok(match difference {
        None => Decision::Unchanged,
        Some(field) if hash(desired) == hash(live) => {
            Decision::Write(ChangeAction::Repaired(field))
        }
        Some(_) => Decision::Write(change(&desired_json, &live_json)),
    })
}

/// Decides what to do about an object that has the name of a child which is not desired.
pub fn decide_removal<K: Resource>(owner: &Owner, live: &K) -> Removal {
    match other_owner(owner, live) {
        None if live.meta().deletion_timestamp.is_none() => Removal::Delete,
        None | Some(Decision::AwaitDeletion(_)) => Removal::AwaitDeletion(removal_message(live)),
        Some(_) => Removal::Keep,
    }
}

/// Returns what is reported about a child that is not desired, while it is being deleted.
pub fn removal_message<K: Resource>(live: &K) -> String {
    format!("is being deleted{}", blocking_finalizers(live))
}

fn await_deletion<K: Resource>(live: &K) -> Decision {
    Decision::AwaitDeletion(format!(
        "cannot be created: an object with the same name is being deleted{}",
        blocking_finalizers(live)
    ))
}

/// Lists the finalizers of other controllers that block a deletion.
fn blocking_finalizers<K: Resource>(live: &K) -> String {
    match foreign_finalizers(live.finalizers()).as_slice() {
        [] => String::new(),
        foreign => format!(" and waits for its finalizers: {}", foreign.join(", ")),
    }
}

/// Returns how a child changes whose desired state has changed. The tracking annotations always differ then, so they are ignored.
fn change(desired: &Value, live: &Value) -> ChangeAction {
    let mut desired = desired.clone();
    if let Some(annotations) = desired.pointer_mut("/metadata/annotations")
        && let Some(annotations) = annotations.as_object_mut()
    {
        annotations.retain(|key, _| !TRACKING_ANNOTATIONS.contains(&key.as_str()));
    }
    let Some(field) = drift::first_difference(&desired, live) else {
        return ChangeAction::Updated(
            "a field was removed from the spec, or the hash annotation was changed".to_owned(),
        );
    };
    let replicas = |object: &Value| object.pointer("/spec/replicas").and_then(Value::as_i64);
    if let (Some(from), Some(to)) = (replicas(live), replicas(&desired))
        && from != to
    {
        let mut scaled = live.clone();
        if let Some(replicas) = scaled.pointer_mut("/spec/replicas") {
            *replicas = to.into();
        }
        if drift::first_difference(&desired, &scaled).is_none() {
            return ChangeAction::Scaled { from, to };
        }
    }
    ChangeAction::Updated(field)
}

/// Returns a hash of the desired state of a child, from its tracking annotations: the hash of the child, and the UID of the EchoCluster. The
/// generation is excluded: most changes of an EchoCluster affect one child, and a difference in the generation alone is not written.
pub fn desired_state_hash<K: Resource>(desired: &K) -> u64 {
    let identity = [DESIRED_HASH_ANNOTATION, OWNER_UID_ANNOTATION];
    hash(&identity.map(|key| desired.annotations().get(key)))
}

/// Whether an object is a child of `owner`, also while its owner reference is missing. A child that an earlier EchoCluster has orphaned is
/// none until it is adopted.
pub fn belongs_to<K: Resource>(owner: &Owner, live: &K) -> bool {
    is_removable(owner, live) && !is_orphan(owner, live)
}

/// Whether a child has no controller, and was created for an earlier EchoCluster of this name, which can no longer exist beside this one:
/// after `kubectl delete --cascade=orphan`, or a restore from a backup. (One that was restored together with its owner reference to the
/// earlier EchoCluster is deleted by garbage collection, and awaited.)
fn is_orphan<K: Resource>(owner: &Owner, live: &K) -> bool {
    let owner_uid = live.annotations().get(OWNER_UID_ANNOTATION);
    let has_selector_labels = || {
        let labels = live.labels();
        let expected = selector_labels(&owner.name);
        expected
            .iter()
            .all(|(key, value)| labels.get(key) == Some(value))
    };
    controller(live).is_none()
        && owner_uid.is_some_and(|uid| *uid != owner.uid)
        && has_selector_labels()
}

/// Whether an object that is no longer desired may be deleted: a child of `owner`, or one that an earlier EchoCluster of this name has
/// orphaned.
pub fn is_removable<K: Resource>(owner: &Owner, live: &K) -> bool {
    other_owner(owner, live).is_none()
}

/// Whether a child has the owner reference by which Kubernetes deletes it together with its EchoCluster (apimachinery:
/// `metav1.IsControlledBy`).
pub fn is_controlled_by<K: Resource>(owner: &Owner, live: &K) -> bool {
    controller(live).is_some_and(|controller| controller.uid == owner.uid)
}

fn controller<K: Resource>(live: &K) -> Option<&OwnerReference> {
    let mut references = live.owner_references().iter();
    references.find(|reference| reference.controller == Some(true))
}

/// Returns the decision about an object that does not belong to `owner`: it has another controller, or it has none and no annotation with
/// the UID of `owner`. A child whose owner reference was removed still has that annotation, and is repaired.
fn other_owner<K: Resource>(owner: &Owner, live: &K) -> Option<Decision> {
    match controller(live) {
        Some(controller) if controller.uid == owner.uid => None,
        Some(controller) if is_predecessor(owner, controller) => Some(await_deletion(live)),
        Some(controller) => Some(Decision::NotOwned(format!(
            "is controlled by {} {}",
            controller.kind, controller.name
        ))),
        None => match live.annotations().get(OWNER_UID_ANNOTATION) {
            Some(uid) if *uid == owner.uid => None,
            Some(_) if is_orphan(owner, live) => None,
            Some(_) => Some(Decision::NotOwned(
                "was created for another EchoCluster".to_owned(),
            )),
            None => Some(Decision::NotOwned(
                "was not created by the operator".to_owned(),
            )),
        },
    }
}

/// Whether the controller is an earlier EchoCluster of the same name, whose children Kubernetes is about to delete.
fn is_predecessor(owner: &Owner, controller: &OwnerReference) -> bool {
    controller.api_version == EchoCluster::api_version(&())
        && controller.kind == EchoCluster::kind(&())
        && controller.name == owner.name
}

/// Returns the generation of the EchoCluster that a child was written for.
pub fn generation<K: Resource>(live: &K) -> Option<i64> {
    live.annotations().get(GENERATION_ANNOTATION)?.parse().ok()
}

/// Returns the difference if the generation annotation is missing or not a number. Without it, stale writes could not be detected.
fn unreadable_generation<K: Resource>(live: &K) -> Option<String> {
    let is_unreadable = generation(live).is_none();
    is_unreadable.then(|| format!("metadata.annotations.{GENERATION_ANNOTATION} was not a number"))
}

/// Finds what a replacement (see `apiserver::apply::replace`) has left behind that was interrupted: fields that an update of the operator
/// owns beside its apply, so that no later apply could remove them.
pub fn leftover_update_entry<K: Resource>(live: &K) -> Option<String> {
    let has_apply_entry = live.managed_fields().iter().any(is_apply_entry);
    let found = has_apply_entry && update_entry_index(live).is_some();
    found.then(|| {
        format!("metadata.managedFields contained a leftover Update entry of {FIELD_MANAGER}")
    })
}

/// Returns the index of the entry in `metadata.managedFields` that a create or an update by the operator has left. The API server records
/// a create as an `Update`, which owns every field, defaults included.
pub fn update_entry_index<K: Resource>(live: &K) -> Option<usize> {
    live.managed_fields().iter().position(is_update_entry)
}

/// Removes from `metadata.managedFields` what no decision needs. The indices of what stays are those of the live object.
pub fn only_update_entries(metadata: &mut ObjectMeta) {
    let Some(entries) = &mut metadata.managed_fields else {
        return;
    };
    let needed = entries.iter().position(is_update_entry);
    entries.truncate(needed.map_or(0, |index| index + 1));
    for entry in entries.iter_mut() {
        entry.fields_v1 = None;
    }
    if entries.is_empty() {
        metadata.managed_fields = None;
    }
}

/// Whether an entry of `managedFields` stems from a create or an update by the operator.
pub fn is_update_entry(entry: &ManagedFieldsEntry) -> bool {
    is_of_operator(entry, "Update")
}

fn is_apply_entry(entry: &ManagedFieldsEntry) -> bool {
    is_of_operator(entry, "Apply")
}

fn is_of_operator(entry: &ManagedFieldsEntry, operation: &str) -> bool {
    entry.manager.as_deref() == Some(FIELD_MANAGER)
        && entry.operation.as_deref() == Some(operation)
        && entry.subresource.is_none()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Service;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use k8s_openapi::jiff::Timestamp;

    use super::*;
    use crate::fixtures::echo_cluster;
    use crate::model::build::build;
    use crate::model::validate::validate;

    fn decision_after(change: impl FnOnce(&mut Service)) -> Decision {
        let spec = validate(&echo_cluster()).unwrap();
        let desired = build(&spec).unwrap().service;
        let mut live = desired.clone();
        change(&mut live);
        decide(&spec.owner, &desired, &live).unwrap()
    }

    fn annotate(service: &mut Service, key: &str, value: &str) {
        service
            .annotations_mut()
            .insert(key.to_owned(), value.to_owned());
    }

    #[test]
    fn a_child_as_desired_is_kept() {
        assert_eq!(decision_after(|_| ()), Decision::Unchanged);
    }

    #[test]
    fn an_edited_field_is_repaired() {
        let decision = decision_after(|service| {
            service.spec.as_mut().unwrap().type_ = Some("NodePort".into());
        });
        assert_eq!(
            decision,
            Decision::Write(ChangeAction::Repaired("spec.type was \"NodePort\"".into()))
        );
    }

    #[test]
    fn a_child_made_from_something_else_is_updated() {
        let decision = decision_after(|service| {
            annotate(service, DESIRED_HASH_ANNOTATION, "0");
            service.spec.as_mut().unwrap().type_ = Some("NodePort".into());
        });
        assert_eq!(
            decision,
            Decision::Write(ChangeAction::Updated("spec.type was \"NodePort\"".into()))
        );
    }

    #[test]
    fn a_corrupt_generation_is_repaired() {
        let decision = decision_after(|service| annotate(service, GENERATION_ANNOTATION, "many"));
        assert!(
            matches!(decision, Decision::Write(ChangeAction::Repaired(_))),
            "{decision:?}"
        );
    }

    #[test]
    fn a_child_of_a_newer_generation_requires_a_check_of_the_echo_cluster() {
        let decision = decision_after(|service| annotate(service, GENERATION_ANNOTATION, "2"));
        assert!(
            matches!(decision, Decision::NewerGeneration(_)),
            "{decision:?}"
        );
    }

    #[test]
    fn a_child_that_is_being_deleted_is_waited_for() {
        let spec = validate(&echo_cluster()).unwrap();
        let desired = build(&spec).unwrap().service;
        let mut live = desired.clone();
        live.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
        let finalizers = ["foregroundDeletion", "example.com/hold"];
        live.metadata.finalizers = Some(finalizers.map(ToOwned::to_owned).into());
        let message = "is being deleted and waits for its finalizers: example.com/hold";
        assert_eq!(
            decide(&spec.owner, &desired, &live).unwrap(),
            Decision::AwaitDeletion(format!(
                "cannot be created: an object with the same name {message}"
            ))
        );
        assert_eq!(
            decide_removal(&spec.owner, &live),
            Removal::AwaitDeletion(message.to_owned())
        );
    }

    #[test]
    fn an_object_of_another_controller_is_foreign() {
        let decision = decision_after(|service| {
            let reference = &mut service.owner_references_mut()[0];
            (reference.kind, reference.uid) = ("Other".into(), "other".into());
        });
        assert_eq!(
            decision,
            Decision::NotOwned("is controlled by Other hello".into())
        );
    }

    #[test]
    fn a_child_of_a_deleted_echo_cluster_of_the_same_name_is_waited_for() {
        let decision =
            decision_after(|service| service.owner_references_mut()[0].uid = "older".into());
        assert!(
            matches!(decision, Decision::AwaitDeletion(_)),
            "{decision:?}"
        );
    }

    #[test]
    fn an_object_without_owner_and_tracking_annotation_is_foreign() {
        let decision = decision_after(|service| {
            service.owner_references_mut().clear();
            service.annotations_mut().clear();
        });
        assert!(matches!(decision, Decision::NotOwned(_)));
    }

    /// A child that an earlier EchoCluster of the same name, of more generations, has orphaned.
    fn orphan(service: &mut Service) {
        service.meta_mut().owner_references = None;
        annotate(service, OWNER_UID_ANNOTATION, "older");
        annotate(service, GENERATION_ANNOTATION, "7");
    }

    #[test]
    fn a_child_orphaned_by_an_earlier_echo_cluster_is_foreign_until_it_is_adopted() {
        assert_eq!(
            decision_after(orphan),
            Decision::Write(ChangeAction::Adopted)
        );
        let spec = validate(&echo_cluster()).unwrap();
        let mut live = build(&spec).unwrap().service;
        orphan(&mut live);
        assert!(!belongs_to(&spec.owner, &live) && is_removable(&spec.owner, &live));
    }

    #[test]
    fn a_child_that_an_earlier_echo_cluster_of_another_name_has_left_is_foreign() {
        let decision = decision_after(|service| {
            orphan(service);
            let label = crate::model::metadata::INSTANCE_LABEL.to_owned();
            service.labels_mut().insert(label, "other".to_owned());
        });
        assert!(matches!(decision, Decision::NotOwned(_)), "{decision:?}");
        let decision = decision_after(|service| {
            orphan(service);
            service.labels_mut().clear();
        });
        assert!(matches!(decision, Decision::NotOwned(_)), "{decision:?}");
    }

    #[test]
    fn a_child_whose_owner_reference_was_removed_is_taken_back() {
        let decision = decision_after(|service| service.meta_mut().owner_references = None);
        assert_eq!(
            decision,
            Decision::Write(ChangeAction::Repaired(
                "metadata.ownerReferences was missing".into()
            ))
        );
    }
}
