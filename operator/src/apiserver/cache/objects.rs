//! The newest known copy of each object of a kind: as the watch delivered it, or as the operator's own last write left it.
//!
//! A watch delivers a write some time after the write's response. Until then the cached copy is older than what the operator wrote, and a
//! decision that is made on it would undo the write or take the old state for the current one. Therefore the response of a write goes into
//! the cache, and an older copy does not replace it. The API server orders versions of one kind by their resourceVersion, as an integer
//! (Kubernetes API concepts, "Resource versions").

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use kube::{Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::CacheChange;
use super::packed::Packed;
use super::raw::Raw;

/// How long an own write takes precedence over older copies. A watch is renewed after 75 s at most, so it has delivered the write by then.
/// After a restore of etcd from a backup, resourceVersions are smaller than before, and the write may have been lost: the watch takes
/// precedence after this time, and a write that it has not delivered is forgotten.
pub(crate) const OWN_WRITE_PRECEDENCE: Duration = Duration::from_mins(2);

/// A namespace and a name.
pub(crate) type Key = (String, String);

/// Returns the value that an object is indexed by, as client-go's `IndexFunc` does it; none for a kind that has no index.
pub(crate) type IndexFn<K> = Option<fn(&K) -> Option<Key>>;

/// What a watch reports. Listed objects are packed as `L`.
#[derive(Debug)]
pub(crate) enum WatchEvent<K, L = K> {
    /// All objects that exist, and the resourceVersion of the list.
    Listed(Vec<L>, String),
    /// An object was created or changed.
    Applied(K),
    /// An object was deleted; its last state.
    Deleted(K),
}

/// The objects of one kind.
pub(super) struct Objects<K> {
    by_key: HashMap<Key, Entry<K>>,
    index_fn: IndexFn<K>,
    /// The keys of the objects, by the value that they are indexed by.
    index: HashMap<Key, BTreeSet<Key>>,
    /// The operator's own writes that the watch has not delivered yet.
    own_writes: HashMap<Key, OwnWrite>,
    /// The newest version that the watch has delivered, of any object. A response that is not newer is known already, also if the object
    /// has been deleted since.
    delivered: Option<u64>,
}

/// A write by the operator that the watch has not delivered yet.
struct OwnWrite {
    at: Instant,
    /// The UID of the object, if the write has deleted it. Any version of it is older.
    deleted: Option<String>,
}

/// A cached object.
pub(super) struct Entry<K> {
    object: Packed<K>,
    /// The value that the object is indexed by.
    indexed_by: Option<Key>,
    /// The hash of the desired state that this version was compared with and matched: see [`Objects::set_verified`].
    verified: Option<u64>,
}

impl<K: Resource<DynamicType = ()> + Serialize + DeserializeOwned> Entry<K> {
    /// Packs an object.
    fn new(object: &K, index_fn: IndexFn<K>) -> Self {
        Self {
            object: Packed::new(object),
            indexed_by: index_fn.and_then(|index_fn| index_fn(object)),
            verified: None,
        }
    }

    /// The same for an object that was not decoded.
    pub(super) fn of_raw(raw: &Raw<K>, index_fn: IndexFn<K>) -> Self {
        let indexed_by = index_fn.and_then(|index_fn| index_fn(&raw.decode().ok()?));
        Self {
            object: Packed::of_raw(raw),
            indexed_by,
            verified: None,
        }
    }
}

#[cfg(test)]
impl<K> Default for Objects<K> {
    fn default() -> Self {
        Self::new(None)
    }
}

impl<K> Objects<K> {
    /// Makes a cache whose objects are indexed by what `index_fn` returns for them.
    pub(super) fn new(index_fn: IndexFn<K>) -> Self {
        Self {
            by_key: HashMap::new(),
            index_fn,
            index: HashMap::new(),
            own_writes: HashMap::new(),
            delivered: None,
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.index_fn);
    }
}

impl<K: Resource<DynamicType = ()> + Serialize + DeserializeOwned> Objects<K> {
    /// Returns the newest known copy of an object.
    pub(super) fn get(&self, key: &Key) -> Option<Arc<K>> {
        self.by_key.get(key)?.object.unpack()
    }

    /// Returns the first object by name that is indexed by this value.
    pub(super) fn by_index(&self, value: &Key) -> Option<Arc<K>> {
        self.get(self.index.get(value)?.first()?)
    }

    /// Replaces an object. Returns the value that the one before was indexed by.
    fn set(&mut self, key: Key, entry: Entry<K>) -> Option<Key> {
        let before = self.remove(&key);
        if let Some(value) = &entry.indexed_by {
            let keys = self.index.entry(value.clone()).or_default();
            keys.insert(key.clone());
        }
        self.by_key.insert(key, entry);
        before
    }

    /// Removes an object. Returns the value that it was indexed by.
    fn remove(&mut self, key: &Key) -> Option<Key> {
        let value = self.by_key.remove(key)?.indexed_by?;
        if let Some(keys) = self.index.get_mut(&value) {
            keys.remove(key);
            if keys.is_empty() {
                self.index.remove(&value);
            }
        }
        Some(value)
    }

    /// Returns whether the newest known copy of an object was compared with the desired state of this hash, and matched.
    pub(super) fn is_verified(&self, key: &Key, desired_state_hash: u64) -> bool {
        let entry = self.by_key.get(key);
        entry.is_some_and(|entry| entry.verified == Some(desired_state_hash))
    }

    /// Records that this version of an object was compared with the desired state of this hash, and matched.
    pub(super) fn set_verified(&mut self, object: &K, desired_state_hash: u64) {
        let is_same = |entry: &&mut Entry<K>| {
            let meta = object.meta();
            entry.object.uid() == meta.uid.as_deref()
                && entry.object.resource_version() == meta.resource_version.as_deref()
        };
        if let Some(entry) = self.by_key.get_mut(&key(object)).filter(is_same) {
            entry.verified = Some(desired_state_hash);
        }
    }

    /// Takes in an event of the watch. Returns what it has changed.
    pub(super) fn apply(
        &mut self,
        event: WatchEvent<Raw<K>, (Key, Entry<K>)>,
        now: Instant,
    ) -> Option<CacheChange<Raw<K>>> {
        let before = self.delivered;
        self.delivered = match &event {
            WatchEvent::Listed(_, resource_version) => parse(Some(resource_version)),
            WatchEvent::Applied(object) | WatchEvent::Deleted(object) => version(object),
        };
        match event {
            WatchEvent::Listed(listed, _) => {
                if self.delivered < before {
                    // etcd was restored from a backup, and newer writes are lost.
                    self.own_writes.clear();
                }
                self.replace(listed, now);
                Some(CacheChange::All)
            }
            WatchEvent::Applied(object) => {
                let (key, delivered) = (key(&object), object.resource_version());
                let current = self.by_key.get(&key);
                if current.is_some_and(|current| {
                    current.object.resource_version() == delivered.as_deref()
                }) {
                    self.own_writes.remove(&key);
                    return None;
                }
                if self.is_older_than_own_write(&key, &object, now) {
                    return None;
                }
                self.own_writes.remove(&key);
                let entry = Entry::of_raw(&object, self.index_fn);
                let after = entry.indexed_by.clone();
                let before = self.set(key, entry);
                Some(CacheChange::Object(object, [before, after]))
            }
            WatchEvent::Deleted(object) => {
                let key = key(&object);
                if !self.is_deleted(&key, &object)
                    && self.is_older_than_own_write(&key, &object, now)
                {
                    return None;
                }
                self.own_writes.remove(&key);
                let before = self.remove(&key);
                Some(CacheChange::Object(object, [before, None]))
            }
        }
    }

    /// Stores the response of a write, unless the watch has already delivered a newer version. That one may differ from what was written.
    pub(super) fn insert_newer(&mut self, object: &K, now: Instant) {
        let key = key(object);
        let written = version(object);
        let current = self.by_key.get(&key);
        let current = current.map(|current| parse(current.object.resource_version()));
        let is_known = written.is_some() && written <= self.delivered;
        if is_known || current >= Some(written) {
            return;
        }
        let write = OwnWrite {
            at: now,
            deleted: None,
        };
        self.own_writes.insert(key.clone(), write);
        self.set(key, Entry::new(object, self.index_fn));
    }

    /// Forgets the objects that the operator has written, and the watch has not delivered although it had the time: etcd was restored from
    /// a backup, and nothing will be delivered of one that does not exist any more. One that does exist is found when it is created.
    /// Returns whether there were any. To be called when the watch has answered.
    pub(super) fn forget_undelivered(&mut self, now: Instant) -> bool {
        let is_overdue = |(_, write): &(&Key, &OwnWrite)| !write.is_protected(now);
        let overdue = self.own_writes.iter().filter(is_overdue);
        let overdue: Vec<Key> = overdue.map(|(key, _)| key.clone()).collect();
        for key in &overdue {
            self.own_writes.remove(key);
            self.remove(key);
        }
        !overdue.is_empty()
    }

    /// Removes an object that the operator has deleted, unless another one has its name. The watch may still deliver older versions of it.
    pub(super) fn remove_deleted(&mut self, deleted: &K, now: Instant) {
        let (key, uid) = (key(deleted), deleted.uid());
        let current = self.by_key.get(&key);
        if current.is_some_and(|current| current.object.uid() == uid.as_deref()) {
            let write = OwnWrite {
                at: now,
                deleted: uid,
            };
            self.own_writes.insert(key.clone(), write);
            self.remove(&key);
        }
    }

    /// Replaces everything by what was listed, but for what the operator has written after the list was made.
    fn replace(&mut self, listed: Vec<(Key, Entry<K>)>, now: Instant) {
        let mut before = std::mem::take(&mut self.by_key);
        self.index.clear();
        for (key, mut entry) in listed {
            let known = before
                .get(&key)
                .filter(|known| known.object.resource_version() == entry.object.resource_version());
            entry.verified = known.and_then(|known| known.verified);
            self.set(key, entry);
        }
        for (key, write) in std::mem::take(&mut self.own_writes) {
            if !write.is_protected(now) {
                continue;
            }
            let own = before.remove(&key);
            if let Some(uid) = &write.deleted {
                let listed = self.by_key.get(&key);
                if listed.is_some_and(|listed| listed.object.uid() == Some(uid)) {
                    self.remove(&key);
                    self.own_writes.insert(key, write);
                }
            } else if let Some(own) =
                own.filter(|own| parse(own.object.resource_version()) > self.delivered)
            {
                self.set(key.clone(), own);
                self.own_writes.insert(key, write);
            }
        }
    }

    /// Whether what the watch has delivered of an object is older than the operator's own write of it.
    fn is_older_than_own_write(&self, key: &Key, object: &Raw<K>, now: Instant) -> bool {
        let write = self.own_writes.get(key);
        if !write.is_some_and(|write| write.is_protected(now)) {
            return false;
        }
        let own = self.by_key.get(key);
        let own = own.and_then(|own| parse(own.object.resource_version()));
        own > version(object) || self.is_deleted(key, object)
    }

    /// Whether the operator has deleted an object, and the watch has not delivered that.
    fn is_deleted(&self, key: &Key, object: &Raw<K>) -> bool {
        let write = self.own_writes.get(key);
        write.is_some_and(|write| write.deleted.is_some() && write.deleted == object.uid())
    }
}

impl OwnWrite {
    /// Whether it takes precedence over older copies.
    fn is_protected(&self, now: Instant) -> bool {
        now.duration_since(self.at) < OWN_WRITE_PRECEDENCE
    }
}

/// Returns the key of an object.
pub(super) fn key<K: Resource>(object: &K) -> Key {
    (object.namespace().unwrap_or_default(), object.name_any())
}

/// Returns the resourceVersion as a number; nothing if it is none, as those of an extension API server may be.
pub(crate) fn version<K: Resource>(object: &K) -> Option<u64> {
    parse(object.meta().resource_version.as_deref())
}

/// Returns a resourceVersion as a number.
pub(crate) fn parse(resource_version: Option<&str>) -> Option<u64> {
    resource_version?.parse().ok()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Service;
    use kube::api::ObjectMeta;

    use super::*;

    fn service(version: &str) -> Service {
        service_named("hello", version)
    }

    fn service_named(name: &str, version: &str) -> Service {
        let metadata = ObjectMeta {
            name: Some(name.to_owned()),
            resource_version: Some(version.to_owned()),
            ..ObjectMeta::default()
        };
        Service {
            metadata,
            ..Service::default()
        }
    }

    fn with_uid(version: &str, uid: &str) -> Service {
        let mut service = service(version);
        service.metadata.uid = Some(uid.to_owned());
        service
    }

    type Event = WatchEvent<Raw<Service>, (Key, Entry<Service>)>;

    fn raw(service: &Service) -> Raw<Service> {
        serde_json::from_str(&serde_json::to_string(service).unwrap()).unwrap()
    }

    fn applied(service: &Service) -> Event {
        WatchEvent::Applied(raw(service))
    }

    fn deleted(service: &Service) -> Event {
        WatchEvent::Deleted(raw(service))
    }

    fn listed(services: &[Service], version: &str) -> Event {
        let pack = |service: &Service| (key(service), Entry::new(service, Some(of_label)));
        WatchEvent::Listed(services.iter().map(pack).collect(), version.to_owned())
    }

    fn of_label(service: &Service) -> Option<Key> {
        let of = service.labels().get("of")?;
        Some((String::new(), of.clone()))
    }

    fn current(objects: &Objects<Service>) -> Option<String> {
        let key = (String::new(), "hello".to_owned());
        objects.get(&key)?.resource_version()
    }

    fn written(version: &str, now: Instant) -> Objects<Service> {
        let mut objects = Objects::default();
        objects.apply(applied(&service("3")), now);
        objects.insert_newer(&service(version), now);
        objects
    }

    #[test]
    fn an_older_copy_does_not_replace_an_own_write() {
        let now = Instant::now();
        let mut objects = written("7", now);
        assert!(objects.apply(applied(&service("5")), now).is_none());
        assert!(objects.apply(deleted(&service("6")), now).is_none());
        assert_eq!(current(&objects).as_deref(), Some("7"));
        assert!(objects.apply(applied(&service("10")), now).is_some());
        assert_eq!(current(&objects).as_deref(), Some("10"));
        assert!(objects.apply(deleted(&service("11")), now).is_some());
        assert_eq!(current(&objects), None);
    }

    #[test]
    fn the_event_of_an_own_write_changes_nothing() {
        let now = Instant::now();
        let mut objects = written("7", now);
        assert!(objects.apply(applied(&service("7")), now).is_none());
        assert!(objects.own_writes.is_empty());
    }

    #[test]
    fn a_list_made_before_an_own_write_does_not_undo_it_and_a_later_one_does() {
        let now = Instant::now();
        let mut objects = written("7", now);
        objects.apply(listed(&[service("3")], "6"), now);
        assert_eq!(current(&objects).as_deref(), Some("7"));
        objects.apply(listed(&[], "6"), now);
        assert_eq!(current(&objects).as_deref(), Some("7"));
        objects.apply(listed(&[], "8"), now);
        assert_eq!(current(&objects), None);
        assert!(objects.own_writes.is_empty());
    }

    #[test]
    fn the_response_of_a_write_does_not_replace_a_newer_version_of_the_watch() {
        let now = Instant::now();
        let mut objects = written("7", now);
        objects.apply(applied(&service("9")), now);
        objects.insert_newer(&service("8"), now);
        assert_eq!(current(&objects).as_deref(), Some("9"));
    }

    #[test]
    fn the_response_of_a_create_does_not_bring_back_an_object_that_was_deleted_meanwhile() {
        let now = Instant::now();
        let mut objects = Objects::default();
        objects.apply(applied(&service("5")), now);
        objects.apply(deleted(&service("6")), now);
        objects.insert_newer(&service("5"), now);
        assert_eq!(current(&objects), None);
    }

    #[test]
    fn after_a_restore_of_etcd_the_watch_takes_precedence_in_the_end() {
        let now = Instant::now();
        let mut objects = written("700", now);
        let later = now + OWN_WRITE_PRECEDENCE;
        assert!(objects.apply(applied(&service("5")), later).is_some());
        assert_eq!(current(&objects).as_deref(), Some("5"));
    }

    #[test]
    fn a_list_that_is_older_than_what_was_delivered_undoes_every_own_write() {
        let now = Instant::now();
        let mut objects = written("700", now);
        objects.apply(applied(&service_named("other", "650")), now);
        objects.apply(listed(&[], "500"), now);
        assert_eq!(current(&objects), None);
        assert!(objects.own_writes.is_empty());
    }

    #[test]
    fn no_older_copy_brings_back_an_object_that_the_operator_has_deleted() {
        let now = Instant::now();
        let version = |version| with_uid(version, "old");
        let mut objects = Objects::default();
        objects.insert_newer(&version("7"), now);
        objects.remove_deleted(&version("7"), now);
        assert!(objects.apply(applied(&version("7")), now).is_none());
        objects.apply(listed(&[version("7")], "7"), now);
        assert_eq!(current(&objects), None);
        assert!(objects.apply(deleted(&version("8")), now).is_some());
        assert!(objects.own_writes.is_empty());
        objects.apply(applied(&with_uid("9", "new")), now);
        assert_eq!(current(&objects).as_deref(), Some("9"));
    }

    #[test]
    fn an_object_of_the_name_of_a_deleted_one_is_another_object() {
        let now = Instant::now();
        let mut objects = Objects::default();
        objects.insert_newer(&with_uid("7", "old"), now);
        objects.remove_deleted(&with_uid("7", "old"), now);
        objects.apply(applied(&with_uid("6", "new")), now);
        assert_eq!(current(&objects).as_deref(), Some("6"));
        objects.remove_deleted(&with_uid("7", "old"), now);
        assert_eq!(current(&objects).as_deref(), Some("6"));
    }

    #[test]
    fn an_own_write_that_is_never_delivered_is_forgotten_in_the_end() {
        let now = Instant::now();
        let mut objects = written("700", now);
        objects.apply(listed(&[], "600"), now);
        assert!(!objects.forget_undelivered(now));
        assert_eq!(current(&objects).as_deref(), Some("700"));
        assert!(objects.forget_undelivered(now + OWN_WRITE_PRECEDENCE));
        assert_eq!(current(&objects), None);
        assert!(objects.own_writes.is_empty());
    }

    #[test]
    fn objects_are_found_by_their_index_as_they_change() {
        let by = |name: &str| (String::new(), name.to_owned());
        let labeled = |version: &str, of: &str| {
            let mut service = service(version);
            service.labels_mut().insert("of".to_owned(), of.to_owned());
            service
        };
        let now = Instant::now();
        let mut objects = Objects::new(Some(of_label));
        objects.apply(listed(&[labeled("1", "a")], "1"), now);
        assert!(objects.by_index(&by("a")).is_some());
        let change = objects.apply(applied(&labeled("2", "b")), now);
        assert!(
            matches!(change, Some(CacheChange::Object(_, keys)) if keys == [Some(by("a")), Some(by("b"))])
        );
        assert!(objects.by_index(&by("a")).is_none() && objects.by_index(&by("b")).is_some());
        objects.insert_newer(&(labeled("3", "c")), now);
        assert!(objects.by_index(&by("b")).is_none() && objects.by_index(&by("c")).is_some());
        objects.apply(deleted(&labeled("4", "c")), now);
        assert!(objects.index.is_empty());
        objects.apply(applied(&labeled("5", "a")), now);
        objects.apply(listed(&[], "6"), now);
        assert!(objects.index.is_empty());
    }
}
