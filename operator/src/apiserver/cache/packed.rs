//! An object as JSON.
//!
//! As JSON, an object takes much less memory than in its typed form, in which each string is an allocation and each map a node of eleven
//! entries. It is decoded when a reconcile compares it or reports its state; a settled EchoCluster has a reconcile each 10 to 20 minutes.

use std::marker::PhantomData;
use std::sync::Arc;

use kube::{Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::raw::Raw;

/// An object of kind `K` as JSON, and what is read of it more often.
pub(super) struct Packed<K> {
    json: Box<[u8]>,
    uid: Option<String>,
    resource_version: Option<String>,
    kind: PhantomData<fn() -> K>,
}

impl<K: Resource<DynamicType = ()> + Serialize + DeserializeOwned> Packed<K> {
    /// Packs an object, such as the response of a write.
    pub(super) fn new(object: &K) -> Self {
        Self {
            // The encoding of what was decoded from JSON does not fail. If it did, the object would count as missing, and be read.
            json: serde_json::to_vec(object).unwrap_or_default().into(),
            uid: object.uid(),
            resource_version: object.resource_version(),
            kind: PhantomData,
        }
    }

    /// Packs an object that was not decoded.
    pub(super) fn of_raw(raw: &Raw<K>) -> Self {
        Self {
            json: raw.json().into(),
            uid: raw.uid(),
            resource_version: raw.resource_version(),
            kind: PhantomData,
        }
    }

    /// Returns the object.
    pub(super) fn unpack(&self) -> Option<Arc<K>> {
        serde_json::from_slice(&self.json).ok().map(Arc::new)
    }

    /// Returns `metadata.uid`.
    pub(super) fn uid(&self) -> Option<&str> {
        self.uid.as_deref()
    }

    /// Returns `metadata.resourceVersion`.
    pub(super) fn resource_version(&self) -> Option<&str> {
        self.resource_version.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::to_value;

    use super::*;
    use crate::fixtures::echo_cluster;
    use crate::model::build::build;
    use crate::model::validate::validate;

    #[test]
    fn a_packed_object_is_the_same_when_it_is_unpacked() {
        let desired = build(&validate(&echo_cluster()).unwrap()).unwrap();
        let unpacked = Packed::new(&desired.deployment).unpack().unwrap();
        assert_eq!(*unpacked, desired.deployment);
        let unpacked = Packed::new(&desired.service).unpack().unwrap();
        assert_eq!(
            to_value(&*unpacked).unwrap(),
            to_value(desired.service).unwrap()
        );
    }
}
