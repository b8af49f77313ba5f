//! Writes the status of an EchoCluster when it differs from the current one, at a bounded rate, and queues the events of the transition.
#![expect(
    clippy::disallowed_types,
    reason = "the status is the last of the operator's writes"
)]

mod write_throttle;

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{Api, Patch};
use kube::core::error_boundary::InvalidObject;
use kube::core::{ApiResource, DynamicObject, PartialObjectMeta, PartialObjectMetaExt};
use kube::runtime::reflector::ObjectRef;
use kube::{Client, Resource};
use serde::Deserialize;
use serde_json::json;

use self::write_throttle::WriteThrottle;
use crate::api::v1alpha1::conditions::ConditionType;
use crate::api::v1alpha1::{EchoCluster, EchoClusterStatus};
use crate::apiserver::event_writer::EventWriter;
use crate::apiserver::request::{Error, Verb, patch_params, request};
use crate::metrics::{Metrics, WriteReason};
use crate::model::status::events::Event;

/// Writes statuses and queues events. Clones share what is remembered.
#[derive(Clone)]
pub struct StatusWriter {
    client: Client,
    events: EventWriter,
    metrics: Metrics,
    throttle: WriteThrottle,
}

/// The status of one EchoCluster in one reconcile.
pub struct StatusUpdate<'a> {
    writer: &'a StatusWriter,
    cluster: PartialObjectMeta<EchoCluster>,
    status: EchoClusterStatus,
    /// The conditions of other controllers, which each write keeps.
    foreign: Vec<Condition>,
}

impl StatusWriter {
    /// Makes a writer; `metrics` count the writes.
    pub fn new(client: Client, events: EventWriter, metrics: Metrics) -> Self {
        Self {
            client,
            events,
            metrics,
            throttle: WriteThrottle::default(),
        }
    }

    /// Begins to update the status of an EchoCluster: from the status that the cached copy has, or from what was written last, if the copy is
    /// older.
    pub fn update_of(
        &self,
        cluster: &impl Resource<DynamicType = ()>,
        status: Option<EchoClusterStatus>,
    ) -> StatusUpdate<'_> {
        let mut cluster: PartialObjectMeta<EchoCluster> =
            cluster.meta().clone().into_response_partial();
        let mut status = match self.throttle.newer_write(&cluster) {
            Some((resource_version, status)) => {
                cluster.metadata.resource_version = Some(resource_version);
                status
            }
            None => status.unwrap_or_default(),
        };
        let foreign = take_foreign_conditions(&mut status);
        StatusUpdate {
            writer: self,
            cluster,
            status,
            foreign,
        }
    }

    /// Takes in a version of an EchoCluster that the watch has delivered. Returns whether it is the operator's own last write.
    pub fn record_delivery(&self, cluster: &impl Resource<DynamicType = ()>) -> bool {
        self.throttle.record_delivery(cluster)
    }

    /// Begins to update the status of an EchoCluster that cannot be decoded, so that its status has to be requested. A status that cannot be
    /// decoded either counts as none.
    ///
    /// # Errors
    /// [`Error`] when the request fails. A retry may help.
    pub async fn update_of_undecodable(
        &self,
        cluster: &InvalidObject,
    ) -> Result<StatusUpdate<'_>, Error> {
        let metadata = cluster.metadata.clone();
        let (name, namespace) = (
            metadata.name.clone().unwrap_or_default(),
            metadata.namespace.clone().unwrap_or_default(),
        );
        let kind = ApiResource::erase::<EchoCluster>(&());
        let api = Api::<DynamicObject>::namespaced_with(self.client.clone(), &namespace, &kind);
        let cluster: PartialObjectMeta<EchoCluster> = metadata.into_response_partial();
        let found = request(Verb::Get, &cluster, api.get(&name)).await?;
        let status = found.data.get("status");
        let status = status.and_then(|status| EchoClusterStatus::deserialize(status).ok());
        Ok(self.update_of(&cluster, status))
    }

    /// Forgets an EchoCluster that no longer exists.
    pub fn forget(&self, cluster: &ObjectRef<EchoCluster>) {
        self.throttle.forget(cluster);
    }
}

/// Removes the conditions of other controllers from a status, and returns them.
fn take_foreign_conditions(status: &mut EchoClusterStatus) -> Vec<Condition> {
    let is_foreign =
        |condition: &mut Condition| !ConditionType::ALL.iter().any(|own| own.is_of(condition));
    status.conditions.extract_if(.., is_foreign).collect()
}

impl StatusUpdate<'_> {
    /// Returns the status as it was last written.
    pub fn status(&self) -> &EchoClusterStatus {
        &self.status
    }

    /// Returns the rest of `grace`, counted from when the generation of `status` was first seen.
    pub fn defer(&self, status: &EchoClusterStatus, grace: Duration) -> Option<Duration> {
        let generation = status.observed_generation.unwrap_or_default();
        (self.writer.throttle).defer(&self.cluster, generation, grace)
    }

    /// Writes `status` if it differs, and queues the events of the transition.
    ///
    /// It is written at the resourceVersion of the EchoCluster that it was computed from, and as a whole, by a JSON patch: server-side
    /// apply fails while the stored spec has a field of another type than the schema, and it cannot remove a field that another client has
    /// written. An EchoCluster gets one write in two seconds at most, whatever its pods do: an earlier one is deferred, and the time that
    /// is left is returned.
    ///
    /// # Errors
    /// [`Error`]; a conflict means that the EchoCluster has changed, and that the next reconcile reads the newer version.
    pub async fn write_if_changed(
        &mut self,
        status: EchoClusterStatus,
    ) -> Result<Option<Duration>, Error> {
        if status == self.status {
            return Ok(None);
        }
        if let Some(wait) = (self.writer.throttle).wait(&self.cluster, &self.status, &status) {
            return Ok(Some(wait));
        }
        let metadata = &self.cluster.metadata;
        let name = metadata.name.clone().unwrap_or_default();
        let namespace = metadata.namespace.clone().unwrap_or_default();
        let mut complete = status.clone();
        complete.conditions.extend_from_slice(&self.foreign);
        let body = serde_json::from_value(json!([
            { "op": "replace", "path": "/metadata/resourceVersion", "value": metadata.resource_version },
            { "op": "add", "path": "/status", "value": complete },
        ]))?;
        let api = Api::<PartialObjectMeta<EchoCluster>>::namespaced(
            self.writer.client.clone(),
            &namespace,
        );
        let (parameters, body) = (patch_params(), Patch::<()>::Json(body));
        let sent = api.patch_status(&name, &parameters, &body);
        let written = request(Verb::Patch, &self.cluster, sent).await?;
        let metrics = &self.writer.metrics;
        metrics.count_write::<EchoCluster>(Verb::Patch, WriteReason::Status);
        (self.writer.throttle).record_write(&written, &self.status, complete);
        let events = Event::of_transition(&self.status, &status);
        self.cluster = written;
        self.status = status;
        for event in events {
            self.queue_event(event);
        }
        Ok(None)
    }

    /// Queues an event about the EchoCluster.
    pub fn queue_event(&self, event: Event) {
        self.writer
            .events
            .queue(self.cluster.object_ref(&()), event);
    }
}
