//! Writes the status of an EchoCluster when it differs from the current one, at a bounded rate, and queues the events of the transition.
#![expect(
    clippy::disallowed_types,
    reason = "the status is the last of the operator's writes"
)]

mod pace;

use std::time::Duration;

use kube::api::{Api, Patch, PatchParams};
use kube::core::error_boundary::InvalidObject;
use kube::core::{ApiResource, Object, PartialObjectMeta, PartialObjectMetaExt};
use kube::runtime::reflector::ObjectRef;
use kube::{Client, Resource};
use serde_json::json;

use self::pace::Pace;
use crate::api::v1alpha1::conditions::ConditionType;
use crate::api::v1alpha1::{EchoCluster, EchoClusterStatus};
use crate::apiserver::event_writer::EventWriter;
use crate::apiserver::request::{Error, Verb, request};
use crate::metrics::Metrics;
use crate::model::metadata::FIELD_MANAGER;
use crate::model::status::events::Event;

/// Writes statuses and queues events. Clones share what is remembered.
#[derive(Clone)]
pub struct StatusWriter {
    client: Client,
    events: EventWriter,
    metrics: Metrics,
    pace: Pace,
}

/// The status of one EchoCluster in one reconcile.
pub struct Current<'a> {
    writer: &'a StatusWriter,
    cluster: PartialObjectMeta<EchoCluster>,
    status: EchoClusterStatus,
}

impl StatusWriter {
    /// Makes a writer; `metrics` count the writes.
    pub fn new(client: Client, events: EventWriter, metrics: Metrics) -> Self {
        Self {
            client,
            events,
            metrics,
            pace: Pace::default(),
        }
    }

    /// Starts from the EchoCluster's metadata and the status that it has; from what was written last, if the cached copy is older.
    pub fn of(
        &self,
        cluster: &impl Resource<DynamicType = ()>,
        status: Option<EchoClusterStatus>,
    ) -> Current<'_> {
        let mut cluster: PartialObjectMeta<EchoCluster> =
            cluster.meta().clone().into_response_partial();
        let status = match self.pace.newer_write(&cluster) {
            Some((resource_version, status)) => {
                cluster.metadata.resource_version = Some(resource_version);
                status
            }
            None => own_conditions(status),
        };
        Current {
            writer: self,
            cluster,
            status,
        }
    }

    /// Takes in a version of an EchoCluster that the watch has delivered. Returns whether it is the operator's own last write.
    pub fn note_delivered(&self, cluster: &impl Resource<DynamicType = ()>) -> bool {
        self.pace.note_delivered(cluster)
    }

    /// Starts from an EchoCluster whose spec cannot be decoded, so that its status has to be requested.
    ///
    /// # Errors
    /// [`Error`] when the request fails. A retry may help.
    pub async fn of_undecodable(&self, cluster: &InvalidObject) -> Result<Current<'_>, Error> {
        let metadata = cluster.metadata.clone();
        let (name, namespace) = (
            metadata.name.clone().unwrap_or_default(),
            metadata.namespace.clone().unwrap_or_default(),
        );
        let kind = ApiResource::erase::<EchoCluster>(&());
        let api = Api::<Undecoded>::namespaced_with(self.client.clone(), &namespace, &kind);
        let cluster = metadata.into_response_partial();
        let found = request(Verb::Get, &cluster, api.get(&name)).await?;
        Ok(Current {
            writer: self,
            cluster,
            status: own_conditions(found.status),
        })
    }

    /// Forgets an EchoCluster that no longer exists.
    pub fn forget(&self, cluster: &ObjectRef<EchoCluster>) {
        self.pace.forget(cluster);
    }
}

/// An EchoCluster whose spec stays undecoded.
type Undecoded = Object<serde_json::Value, EchoClusterStatus>;

/// Leaves out the conditions of other controllers: server-side apply keeps those that it does not get.
fn own_conditions(status: Option<EchoClusterStatus>) -> EchoClusterStatus {
    let mut status = status.unwrap_or_default();
    status.conditions.retain(|condition| {
        ConditionType::ALL
            .iter()
            .any(|type_| type_.is_of(condition))
    });
    status
}

impl Current<'_> {
    /// Returns the status as it was last written.
    pub fn status(&self) -> &EchoClusterStatus {
        &self.status
    }

    /// Returns how long a status is not written yet that may wait for `grace` after its generation was first seen.
    pub fn defer(&self, status: &EchoClusterStatus, grace: Duration) -> Option<Duration> {
        let generation = status.observed_generation.unwrap_or_default();
        (self.writer.pace).defer(&self.cluster, generation, grace)
    }

    /// Writes `status` if it differs, at the resourceVersion of the EchoCluster that it was computed from, and queues the events
    /// of the transition. Whatever pods do, an EchoCluster gets one write in two seconds at most: one that comes earlier is deferred, and the
    /// time that is left is returned.
    ///
    /// # Errors
    /// [`Error`]; a conflict means that the EchoCluster has changed, and that the next reconcile sees the newer one.
    pub async fn write_if_changed(
        &mut self,
        status: EchoClusterStatus,
    ) -> Result<Option<Duration>, Error> {
        if status == self.status {
            return Ok(None);
        }
        if let Some(wait) = (self.writer.pace).wait(&self.cluster, &self.status, &status) {
            return Ok(Some(wait));
        }
        let metadata = &self.cluster.metadata;
        let name = metadata.name.clone().unwrap_or_default();
        let namespace = metadata.namespace.clone().unwrap_or_default();
        let body = json!({
            "apiVersion": EchoCluster::api_version(&()),
            "kind": EchoCluster::kind(&()),
            "metadata": { "resourceVersion": metadata.resource_version, "uid": metadata.uid },
            "status": status,
        });
        let api = Api::<PartialObjectMeta<EchoCluster>>::namespaced(
            self.writer.client.clone(),
            &namespace,
        );
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        let body = Patch::Apply(&body);
        let sent = api.patch_status(&name, &parameters, &body);
        let written = request(Verb::Apply, &self.cluster, sent).await?;
        self.writer.metrics.count_write::<EchoCluster>(Verb::Apply);
        (self.writer.pace).note(&written, &self.status, &status);
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
