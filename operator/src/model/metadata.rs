//! Names, labels, annotations and owner references of the children.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference};
use kube::core::{PartialObjectMeta, PartialObjectMetaExt};
use kube::{Resource, ResourceExt};

use crate::api::v1alpha1::{EchoCluster, HEADLESS_SERVICE_SUFFIX};

/// The identity of an EchoCluster, which its children carry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// `metadata.name`; the children's names derive from it.
    pub name: String,
    /// `metadata.namespace`, which is also that of the children.
    pub namespace: String,
    /// `metadata.uid`, which distinguishes this EchoCluster from an earlier one of the same name.
    pub uid: String,
    /// `metadata.generation`, which counts the changes of its spec.
    pub generation: i64,
}

impl Owner {
    /// Returns the identity of `cluster`.
    pub fn of(cluster: &impl Resource) -> Self {
        Self {
            name: cluster.name_any(),
            namespace: cluster.namespace().unwrap_or_default(),
            uid: cluster.uid().unwrap_or_default(),
            generation: cluster.meta().generation.unwrap_or_default(),
        }
    }

    /// Returns the EchoCluster as a request names it.
    pub fn reference(&self) -> PartialObjectMeta<EchoCluster> {
        let metadata = ObjectMeta {
            name: Some(self.name.clone()),
            namespace: Some(self.namespace.clone()),
            ..ObjectMeta::default()
        };
        metadata.into_response_partial()
    }
}

/// The operator's name: as a field manager, in events, and in [`MANAGED_BY_LABEL`].
pub const FIELD_MANAGER: &str = "echo-operator";

/// The label of all children and pods of all EchoClusters, and its value. Watches are scoped by it.
pub const MANAGED_BY_LABEL: (&str, &str) = ("app.kubernetes.io/managed-by", FIELD_MANAGER);

/// The label that holds the EchoCluster's name.
pub const INSTANCE_LABEL: &str = "app.kubernetes.io/instance";

/// The label by which the Deployment controller distinguishes the pods of different pod templates.
pub const POD_TEMPLATE_HASH_LABEL: &str = "pod-template-hash";

/// The annotation of a child with the UID of the EchoCluster that it was created for. It distinguishes a child whose owner reference was
/// removed from a foreign object.
pub const OWNER_UID_ANNOTATION: &str = "echo-operator.dev/owner-uid";

/// The annotation of a child with the generation of the EchoCluster that it was last written for. A child is never reverted to an older
/// generation.
pub const GENERATION_ANNOTATION: &str = "echo-operator.dev/generation";

/// The annotation of a child with the hash of what was applied, which reveals fields that are no longer desired.
pub const DESIRED_HASH_ANNOTATION: &str = "echo-operator.dev/desired-hash";

/// The annotations that a child gets beside the user's.
pub const TRACKING_ANNOTATIONS: [&str; 3] = [
    OWNER_UID_ANNOTATION,
    GENERATION_ANNOTATION,
    DESIRED_HASH_ANNOTATION,
];

/// The annotation of an EchoCluster that restarts its pods when it changes; it is copied to them.
pub const RESTARTED_AT_ANNOTATION: &str = "echo-operator.dev/restarted-at";

/// Returns the labels that select the pods of `cluster_name`. They never change, since selectors cannot.
pub fn selector_labels(cluster_name: &str) -> BTreeMap<String, String> {
    [
        ("app.kubernetes.io/name", "echo-server"),
        (INSTANCE_LABEL, cluster_name),
        MANAGED_BY_LABEL,
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .collect()
}

/// Returns the selector of the pods of `cluster_name`.
pub fn label_selector(cluster_name: &str) -> LabelSelector {
    LabelSelector {
        match_labels: Some(selector_labels(cluster_name)),
        ..LabelSelector::default()
    }
}

/// Returns the same selector as the one string that the scale subresource requires.
pub fn selector_text(cluster_name: &str) -> String {
    let pairs: Vec<String> = selector_labels(cluster_name)
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    pairs.join(",")
}

/// Returns the name of the headless Service, which gives each pod an address of its own.
pub fn headless_service_name(cluster_name: &str) -> String {
    format!("{cluster_name}{HEADLESS_SERVICE_SUFFIX}")
}

/// The finalizers by which garbage collection itself waits for the dependents of an object, or releases them
/// (<https://kubernetes.io/docs/concepts/architecture/garbage-collection/#cascading-deletion>).
const GARBAGE_COLLECTION_FINALIZERS: [&str; 2] = ["foregroundDeletion", "orphan"];

/// Returns the finalizers that other controllers have to remove before a deletion completes.
pub fn foreign_finalizers(finalizers: &[String]) -> Vec<&str> {
    let finalizers = finalizers.iter().map(String::as_str);
    finalizers
        .filter(|finalizer| !GARBAGE_COLLECTION_FINALIZERS.contains(finalizer))
        .collect()
}

/// Returns the metadata of a child: its name, labels, and the owner reference that lets Kubernetes delete it
/// together with its EchoCluster.
pub fn child_metadata(owner: &Owner, name: String) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(owner.namespace.clone()),
        labels: Some(selector_labels(&owner.name)),
        owner_references: Some(vec![OwnerReference {
            api_version: EchoCluster::api_version(&()).into_owned(),
            kind: EchoCluster::kind(&()).into_owned(),
            name: owner.name.clone(),
            uid: owner.uid.clone(),
            controller: Some(true),
            block_owner_deletion: Some(true),
        }]),
        ..ObjectMeta::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finalizers_of_garbage_collection_are_not_foreign() {
        let finalizers = ["foregroundDeletion", "example.com/hold", "orphan"];
        let finalizers = finalizers.map(ToOwned::to_owned);
        assert_eq!(foreign_finalizers(&finalizers), ["example.com/hold"]);
    }

    #[test]
    fn the_selector_text_names_every_selector_label() {
        assert_eq!(
            selector_text("hello"),
            "app.kubernetes.io/instance=hello,app.kubernetes.io/managed-by=echo-operator,app.kubernetes.io/name=echo-server"
        );
    }
}
