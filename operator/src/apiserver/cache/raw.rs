//! An object as the API server sends it, of which only the metadata is decoded.
//!
//! Most events of a watch report what the operator has just written, or a change of a status that leads to nothing. Such an object need not
//! be decoded, and encoded again for the cache.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta, Time};
use kube::Resource;
use serde::de::{DeserializeOwned, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::model::decision::only_update_entries;

/// An object of kind `K` whose fields beside the metadata are JSON. Of `managedFields`, which is half of an object's size, it has only what
/// [`only_update_entries`] leaves.
#[derive(Clone)]
pub(crate) struct Raw<K> {
    metadata: ObjectMeta,
    /// The other fields, as `"spec":{…},"status":{…}`.
    others: String,
    kind: PhantomData<fn() -> K>,
}

impl<K> Raw<K> {
    /// Returns the object as JSON.
    pub(super) fn json(&self) -> Vec<u8> {
        let mut json = br#"{"metadata":"#.to_vec();
        // Metadata that was decoded from JSON can be encoded. If it could not, the object would count as missing, and be read.
        if serde_json::to_writer(&mut json, &self.metadata).is_err() {
            return Vec::new();
        }
        if !self.others.is_empty() {
            json.push(b',');
            json.extend_from_slice(self.others.as_bytes());
        }
        json.push(b'}');
        json
    }
}

impl<K: DeserializeOwned> Raw<K> {
    /// Decodes the object.
    ///
    /// # Errors
    /// When it does not match the type. No retry helps.
    pub(crate) fn decode(&self) -> Result<K, serde_json::Error> {
        serde_json::from_slice(&self.json())
    }
}

impl<K> fmt::Debug for Raw<K> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.metadata.name.as_deref().unwrap_or_default();
        formatter.debug_tuple("Raw").field(&name).finish()
    }
}

impl<K: Resource<DynamicType = ()>> Resource for Raw<K> {
    type DynamicType = ();
    type Scope = K::Scope;

    fn kind((): &()) -> Cow<'_, str> {
        K::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        K::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        K::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        K::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl<'de, K> Deserialize<'de> for Raw<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RawVisitor(PhantomData))
    }
}

struct RawVisitor<K>(PhantomData<fn() -> K>);

impl<'de, K> Visitor<'de> for RawVisitor<K> {
    type Value = Raw<K>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        let (mut metadata, mut others) = (ObjectMeta::default(), String::new());
        while let Some(name) = fields.next_key::<String>()? {
            if name == "metadata" {
                metadata = fields.next_value::<ReducedMetadata>()?.0;
            } else {
                push_field(&mut others, &name, &fields.next_value::<Box<RawValue>>()?)?;
            }
        }
        Ok(Raw {
            metadata,
            others,
            kind: PhantomData,
        })
    }
}

/// Appends a field to fields as they are in a JSON object.
fn push_field<E: serde::de::Error>(
    fields: &mut String,
    name: &str,
    value: &RawValue,
) -> Result<(), E> {
    if !fields.is_empty() {
        fields.push(',');
    }
    fields.push_str(&serde_json::to_string(name).map_err(E::custom)?);
    fields.push(':');
    fields.push_str(value.get());
    Ok(())
}

/// Metadata of which `managedFields` is decoded without the fields, and reduced.
struct ReducedMetadata(ObjectMeta);

impl<'de> Deserialize<'de> for ReducedMetadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MetadataVisitor)
    }
}

struct MetadataVisitor;

impl<'de> Visitor<'de> for MetadataVisitor {
    type Value = ReducedMetadata;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("metadata")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        let (mut others, mut managers) = (String::new(), Vec::new());
        while let Some(name) = fields.next_key::<String>()? {
            if name == "managedFields" {
                managers = fields
                    .next_value::<Option<Vec<EntryWithoutFields>>>()?
                    .unwrap_or_default();
            } else {
                push_field(&mut others, &name, &fields.next_value::<Box<RawValue>>()?)?;
            }
        }
        let mut metadata: ObjectMeta =
            serde_json::from_str(&format!("{{{others}}}")).map_err(A::Error::custom)?;
        metadata.managed_fields = Some(managers.into_iter().map(Into::into).collect());
        only_update_entries(&mut metadata);
        Ok(ReducedMetadata(metadata))
    }
}

/// An entry of `managedFields` without its fields.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EntryWithoutFields {
    api_version: Option<String>,
    fields_type: Option<String>,
    manager: Option<String>,
    operation: Option<String>,
    subresource: Option<String>,
    time: Option<Time>,
}

impl From<EntryWithoutFields> for ManagedFieldsEntry {
    fn from(entry: EntryWithoutFields) -> Self {
        Self {
            api_version: entry.api_version,
            fields_type: entry.fields_type,
            fields_v1: None,
            manager: entry.manager,
            operation: entry.operation,
            subresource: entry.subresource,
            time: entry.time,
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Service;
    use kube::api::{ObjectList, WatchEvent};
    use serde_json::{Value, json};

    use super::*;
    use crate::apiserver::cache::reduce;
    use crate::model::metadata::FIELD_MANAGER;

    fn service() -> Value {
        let manager = |name: &str, operation: &str| {
            json!({"manager": name, "operation": operation, "apiVersion": "v1", "time": "2026-01-01T00:00:00Z",
                "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:ports": {}}}})
        };
        let managers = [
            manager("kubectl", "Update"),
            manager(FIELD_MANAGER, "Update"),
            manager("kubectl", "Apply"),
        ];
        let metadata = json!({"name": "hello", "namespace": "default", "resourceVersion": "7", "uid": "u",
            "labels": {"a": "b \"c\""}, "managedFields": managers});
        json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata,
            "spec": {"clusterIP": "10.0.0.1", "ports": [{"port": 1, "name": "ä"}]}, "status": {}})
    }

    /// Decodes an object in one step, and drops what no reconcile reads.
    fn typed(service: Value) -> Service {
        let mut service: Service = serde_json::from_value(service).unwrap();
        reduce(&mut service);
        service
    }

    #[test]
    fn a_raw_object_decodes_to_what_the_object_decodes_to() {
        let raw: Raw<Service> = serde_json::from_str(&service().to_string()).unwrap();
        assert_eq!(raw.decode().unwrap(), typed(service()));
        assert_eq!(*raw.meta(), typed(service()).metadata);
        let bare = json!({"metadata": {"name": "hello"}});
        let raw: Raw<Service> = serde_json::from_str(&bare.to_string()).unwrap();
        assert_eq!(raw.decode().unwrap(), typed(bare));
    }

    #[test]
    fn lists_and_watches_have_raw_objects() {
        let list = json!({"kind": "ServiceList", "apiVersion": "v1", "metadata": {"resourceVersion": "9"}, "items": [service()]});
        let list: ObjectList<Raw<Service>> = serde_json::from_str(&list.to_string()).unwrap();
        assert_eq!(list.items[0].decode().unwrap(), typed(service()));
        // The API server sends the type first. After it, the object is decoded without a copy.
        let event = format!(r#"{{"type":"MODIFIED","object":{}}}"#, service());
        let WatchEvent::Modified(raw) =
            serde_json::from_str::<WatchEvent<Raw<Service>>>(&event).unwrap()
        else {
            panic!("another event");
        };
        assert_eq!(raw.decode().unwrap(), typed(service()));
    }

    #[test]
    fn an_object_that_does_not_match_its_type_still_has_its_metadata() {
        let wrong = json!({"metadata": {"name": "hello"}, "spec": {"ports": "none"}});
        let raw: Raw<Service> = serde_json::from_str(&wrong.to_string()).unwrap();
        assert_eq!(raw.meta().name.as_deref(), Some("hello"));
        assert!(raw.decode().is_err());
    }
}
