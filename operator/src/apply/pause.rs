//! A child of a paused EchoCluster, which is looked at and left alone.

use kube::runtime::reflector::ObjectRef;

use super::Error;
use super::outcome::{Child, Obstacle, Outcome};
use crate::cache::Cache;
use crate::plan::Owner;
use crate::verdict::{Verdict, is_removable, verdict};

/// Looks at a child of a paused EchoCluster, and finds what waits for the end of the pause.
pub(super) fn left_alone<K: Child>(
    cache: &Cache<K>,
    owner: &Owner,
    name: &str,
    desired: Option<&K>,
) -> Result<Outcome<K>, Error> {
    let live = cache
        .store
        .get(&ObjectRef::new(name).within(&owner.namespace));
    let child = format!("{} {name}", K::kind(&()));
    let message = match (desired, live.as_deref()) {
        (None, None) => None,
        (None, Some(live)) => is_removable(owner, live).then(|| "is no longer wanted".to_owned()),
        (Some(desired), live) => match verdict(owner, desired, live)? {
            Verdict::Keep => None,
            Verdict::Create => Some("does not exist".to_owned()),
            Verdict::Update(field) | Verdict::Repair(field) | Verdict::Stale(field) => Some(field),
            Verdict::Adopt => Some("an earlier EchoCluster of this name has left it".to_owned()),
            Verdict::Scale { from, .. } => Some(format!("spec.replicas was {from}")),
            Verdict::AwaitDeletion => Some("is being deleted".to_owned()),
            Verdict::Foreign(message) => {
                return Ok(Outcome::NameTaken(Obstacle { child, message }));
            }
        },
    };
    let live = live.map(|live| Box::new(K::clone(&live)));
    Ok(Outcome::LeftAlone(
        live,
        message.map(|message| Obstacle { child, message }),
    ))
}
