//! A child of a paused EchoCluster, which is compared but not written.

use crate::apiserver::cache::Cache;
use crate::apiserver::request::Error;
use crate::model::children::{Child, ChildState, ProblemKind};
use crate::model::decision::{Decision, decide, is_removable};
use crate::model::metadata::Owner;

/// Compares a child of a paused EchoCluster, and finds what will be written when the pause ends.
pub(super) fn paused<K: Child>(
    cache: &Cache<K>,
    owner: &Owner,
    name: &str,
    desired: Option<&K>,
) -> Result<ChildState<K>, Error> {
    let live = cache.get(&owner.namespace, name);
    let child = format!("{} {name}", K::kind(&()));
    let message = match (desired, live.as_deref()) {
        (None, None) => None,
        (None, Some(live)) => {
            is_removable(owner, live).then(|| "it is no longer required by the spec".to_owned())
        }
        (Some(desired), live) => match decide(owner, desired, live)? {
            Decision::Unchanged => None,
            Decision::Create => Some("it does not exist".to_owned()),
            Decision::Update(field) | Decision::Repair(field) | Decision::StaleCache(field) => {
                Some(field)
            }
            Decision::Adopt => {
                Some("it was orphaned by an earlier EchoCluster of the same name".to_owned())
            }
            Decision::Scale { from, .. } => Some(format!("spec.replicas was {from}")),
            Decision::AwaitDeletion => Some("it is being deleted".to_owned()),
            Decision::NotOwned(message) => {
                let kind = ProblemKind::NameConflict;
                return Ok(ChildState::problem(None, kind, child, message));
            }
        },
    };
    Ok(match (live, message) {
        (live, Some(message)) => ChildState::problem(live, ProblemKind::Paused, child, message),
        (Some(live), None) => ChildState::Applied(live, None),
        (None, None) => ChildState::Absent(None),
    })
}
