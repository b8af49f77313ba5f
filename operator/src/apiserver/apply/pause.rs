//! A child of a paused EchoCluster, which is compared but not written.

use crate::apiserver::cache::Cache;
use crate::apiserver::request::Error;
use crate::model::children::{ChangeAction, Child, ChildState, ProblemKind, describe_named};
use crate::model::decision::{Decision, belongs_to, decide, is_removable};
use crate::model::metadata::Owner;

/// Compares a child of a paused EchoCluster, and finds what will be written when the pause ends.
pub(super) fn paused<K: Child>(
    cache: &Cache<K>,
    owner: &Owner,
    name: &str,
    desired: Option<&K>,
) -> Result<ChildState<K>, Error> {
    let live = cache.get(&owner.namespace, name);
    let child = describe_named::<K>(name);
    let message = match (desired, live.as_deref()) {
        (None, None) => None,
        (None, Some(live)) => is_removable(owner, live).then(|| difference(ChangeAction::Deleted)),
        (Some(_), None) => Some(difference(ChangeAction::Created)),
        (Some(desired), Some(live)) => match decide(owner, desired, live)? {
            Decision::Unchanged => None,
            Decision::Write(action) => Some(difference(action)),
            Decision::NewerGeneration(field) => Some(field),
            Decision::AwaitDeletion(_) => Some("it is being deleted".to_owned()),
            Decision::NotOwned(message) => {
                let kind = ProblemKind::NameConflict;
                return Ok(ChildState::problem(None, kind, child, message));
            }
        },
    };
    let live = live.filter(|live| belongs_to(owner, &**live));
    Ok(match (live, message) {
        (live, Some(message)) => ChildState::problem(live, ProblemKind::Paused, child, message),
        (Some(live), None) => ChildState::Applied(live, None),
        (None, None) => ChildState::Absent(None),
    })
}

/// Returns how a child differs from what is desired, by the action that the end of the pause leads to.
fn difference(action: ChangeAction) -> String {
    match action {
        ChangeAction::Updated(field) | ChangeAction::Repaired(field) => field,
        ChangeAction::Scaled { from, .. } => format!("spec.replicas was {from}"),
        ChangeAction::Adopted => {
            "it was orphaned by an earlier EchoCluster of the same name".to_owned()
        }
        ChangeAction::Created => "it does not exist".to_owned(),
        ChangeAction::Deleted => "it is no longer required by the spec".to_owned(),
    }
}
