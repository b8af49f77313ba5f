//! Finds the children that vanished while a watch was down.
//!
//! When a watch is set up anew, the runtime lists what there is and says nothing of what there is no longer, so that the
//! deletion of a child in the gap would go unseen until the next full pass. Here the keys before and after are compared.
//! Never does I/O.

use std::collections::HashMap;
use std::hash::Hash;

use kube::Resource;
use kube::api::ObjectMeta;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher::{Event, Result};

/// The children that a watch knows of, as far as their owners can be found by it.
pub struct Relist<K: Resource> {
    known: HashMap<ObjectRef<K>, ObjectMeta>,
    before: HashMap<ObjectRef<K>, ObjectMeta>,
}

impl<K: Resource> Default for Relist<K>
where
    K::DynamicType: Eq + Hash,
{
    fn default() -> Self {
        Self {
            known: HashMap::new(),
            before: HashMap::new(),
        }
    }
}

impl<K: Resource<DynamicType = ()> + Default> Relist<K> {
    /// Passes an event on; behind the end of a list, adds a deletion for each child that was known before and is not in
    /// the list.
    pub fn complete(&mut self, event: Result<Event<K>>) -> Vec<Result<Event<K>>> {
        let mut events = Vec::with_capacity(1);
        let mut vanished = HashMap::new();
        match &event {
            Ok(Event::Init) => self.before.extend(std::mem::take(&mut self.known)),
            Ok(Event::InitApply(child) | Event::Apply(child)) => {
                let key = ObjectRef::from_obj(child);
                self.before.remove(&key);
                self.known.insert(key, whereabouts(child));
            }
            Ok(Event::Delete(child)) => {
                self.known.remove(&ObjectRef::from_obj(child));
            }
            Ok(Event::InitDone) => vanished = std::mem::take(&mut self.before),
            Err(_) => (),
        }
        events.push(event);
        events.extend(vanished.into_values().map(|metadata| {
            let mut child = K::default();
            *child.meta_mut() = metadata;
            Ok(Event::Delete(child))
        }));
        events
    }
}

/// Keeps of a child's metadata what tells where it was and whose.
fn whereabouts<K: Resource>(child: &K) -> ObjectMeta {
    ObjectMeta {
        name: child.meta().name.clone(),
        namespace: child.meta().namespace.clone(),
        labels: child.meta().labels.clone(),
        owner_references: child.meta().owner_references.clone(),
        ..ObjectMeta::default()
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Service;

    use super::*;

    fn service(name: &str) -> Service {
        Service {
            metadata: ObjectMeta {
                name: Some(name.into()),
                ..ObjectMeta::default()
            },
            ..Service::default()
        }
    }

    fn deletions(relist: &mut Relist<Service>, events: Vec<Event<Service>>) -> Vec<String> {
        events
            .into_iter()
            .flat_map(|event| relist.complete(Ok(event)))
            .filter_map(|event| match event {
                Ok(Event::Delete(child)) => child.metadata.name,
                _ => None,
            })
            .collect()
    }

    fn list(names: &[&str]) -> Vec<Event<Service>> {
        let listed = names.iter().map(|name| Event::InitApply(service(name)));
        std::iter::once(Event::Init)
            .chain(listed)
            .chain([Event::InitDone])
            .collect()
    }

    #[test]
    fn a_child_that_vanished_between_two_lists_is_reported_as_deleted() {
        let mut relist = Relist::default();
        assert!(deletions(&mut relist, list(&["a", "b"])).is_empty());
        assert_eq!(deletions(&mut relist, list(&["b"])), ["a"]);
        assert!(deletions(&mut relist, list(&["b"])).is_empty());
    }

    #[test]
    fn a_list_that_broke_off_and_began_again_forgets_nothing() {
        let mut relist = Relist::default();
        deletions(&mut relist, list(&["a", "b"]));
        deletions(
            &mut relist,
            vec![Event::Init, Event::InitApply(service("b"))],
        );
        assert_eq!(deletions(&mut relist, list(&[])).len(), 2);
    }

    #[test]
    fn a_child_that_was_seen_to_go_is_not_reported_twice() {
        let mut relist = Relist::default();
        deletions(&mut relist, list(&["a"]));
        relist.complete(Ok(Event::Delete(service("a"))));
        assert!(deletions(&mut relist, list(&[])).is_empty());
    }
}
