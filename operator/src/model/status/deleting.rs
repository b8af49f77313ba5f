//! The status of an EchoCluster that is being deleted: what still exists, and what blocks the deletion.

use k8s_openapi::jiff::Timestamp;

use super::{not_stalled, status_with_conditions, update};
use crate::api::v1alpha1::EchoClusterStatus;
use crate::api::v1alpha1::conditions::ConditionStatus::{False, True};
use crate::api::v1alpha1::conditions::ConditionType::{Ready, Reconciling};
use crate::api::v1alpha1::conditions::Reason;
use crate::model::metadata::{Owner, foreign_finalizers};
use crate::model::observed::LiveObjects;

/// What still exists of an EchoCluster that is being deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remaining {
    /// The children, as `Service hello`, with their finalizers.
    pub children: Vec<(String, Vec<String>)>,
    /// The finalizers of the EchoCluster itself.
    pub finalizers: Vec<String>,
}

/// Returns the status of an EchoCluster that is being deleted. Kubernetes deletes the children, by their owner references.
pub fn deleting(
    owner: &Owner,
    remaining: &Remaining,
    live: &LiveObjects,
    previous: &EchoClusterStatus,
    now: Timestamp,
) -> EchoClusterStatus {
    let message = message(owner, remaining);
    let updates = vec![
        update(
            Ready,
            False,
            Reason::Deleting,
            "The EchoCluster is being deleted.",
        ),
        update(Reconciling, True, Reason::Deleting, &message),
        not_stalled(),
    ];
    status_with_conditions(owner, live, updates, previous, now)
}

fn message(owner: &Owner, remaining: &Remaining) -> String {
    let mut is_blocked = false;
    let mut children = Vec::new();
    for (child, finalizers) in &remaining.children {
        let foreign = foreign_finalizers(finalizers);
        is_blocked |= !foreign.is_empty();
        children.push(match foreign.as_slice() {
            [] => child.clone(),
            foreign => format!("{child} (finalizers: {})", foreign.join(", ")),
        });
    }
    let foreign = foreign_finalizers(&remaining.finalizers);
    let sentences = [
        Some(format!("EchoCluster {} is being deleted.", owner.name)),
        (!children.is_empty()).then(|| format!("Remaining children: {}.", children.join(", "))),
        (!foreign.is_empty())
            .then(|| format!("Finalizers of the EchoCluster: {}.", foreign.join(", "))),
        (is_blocked || !foreign.is_empty()).then(|| {
            "The deletion completes when the controllers of these finalizers remove them."
                .to_owned()
        }),
    ];
    let sentences: Vec<String> = sentences.into_iter().flatten().collect();
    sentences.join(" ")
}
