//! Writes the status of an EchoCluster, when it differs from what is there, and the events that go with it.
#![expect(
    clippy::disallowed_types,
    reason = "the status is the last of the operator's writes"
)]

use kube::api::{Api, Patch, PatchParams};
use kube::core::error_boundary::InvalidObject;
use kube::core::{ApiResource, Object, PartialObjectMeta, PartialObjectMetaExt};
use kube::{Client, Resource};
use serde_json::json;

use crate::api::v1alpha1::{EchoCluster, EchoClusterStatus};
use crate::apply::outcome::Change;
use crate::apply::{Error, Verb, request};
use crate::conditions::ConditionType;
use crate::events::{Event, Events};
use crate::labels::FIELD_MANAGER;
use crate::metrics::Metrics;

/// What reporting works with.
#[derive(Clone)]
pub struct Reporter {
    /// Where the status is written.
    pub client: Client,
    /// Where events are written.
    pub events: Events,
    /// Counts the writes.
    pub metrics: Metrics,
}

/// What has been told of one EchoCluster so far, in this pass and before.
pub struct Report<'a> {
    reporter: &'a Reporter,
    cluster: PartialObjectMeta<EchoCluster>,
    told: EchoClusterStatus,
}

impl Reporter {
    /// Starts the report of a pass, from the EchoCluster's metadata and the status that it has.
    pub fn report(
        &self,
        cluster: &impl Resource<DynamicType = ()>,
        told: Option<EchoClusterStatus>,
    ) -> Report<'_> {
        let cluster = cluster.meta().clone().into_response_partial();
        Report {
            reporter: self,
            cluster,
            told: ours(told),
        }
    }
}

impl Reporter {
    /// Starts the report of an EchoCluster whose spec cannot be read, so that the status that it has must be asked for.
    ///
    /// # Errors
    /// [`Error`] when it cannot be had. A retry may help.
    pub async fn report_unreadable(&self, cluster: &InvalidObject) -> Result<Report<'_>, Error> {
        let metadata = cluster.metadata.clone();
        let (name, namespace) = (
            metadata.name.clone().unwrap_or_default(),
            metadata.namespace.clone().unwrap_or_default(),
        );
        let kind = ApiResource::erase::<EchoCluster>(&());
        let api = Api::<Unread>::namespaced_with(self.client.clone(), &namespace, &kind);
        let cluster = metadata.into_response_partial();
        let found = request(Verb::Get, &cluster, api.get(&name)).await?;
        Ok(Report {
            reporter: self,
            cluster,
            told: ours(found.status),
        })
    }
}

/// An EchoCluster as far as it can be read in any case.
type Unread = Object<serde_json::Value, EchoClusterStatus>;

/// Leaves out the conditions of other controllers: server-side apply keeps them as long as we do not speak of them.
fn ours(told: Option<EchoClusterStatus>) -> EchoClusterStatus {
    let mut told = told.unwrap_or_default();
    told.conditions.retain(|condition| {
        ConditionType::ALL
            .iter()
            .any(|type_| type_.is_of(condition))
    });
    told
}

impl Report<'_> {
    /// Returns the status as it was last told.
    pub fn told(&self) -> &EchoClusterStatus {
        &self.told
    }

    /// Writes `status` if it is news, at the version of the EchoCluster that it was computed from, and an event if the
    /// reason of `Ready` has become one that a person wants to know.
    ///
    /// # Errors
    /// [`Error`]; a conflict means that the EchoCluster has changed, and a look at the newer one is all that is needed.
    pub async fn tell(&mut self, status: EchoClusterStatus) -> Result<(), Error> {
        if status == self.told {
            return Ok(());
        }
        let metadata = &self.cluster.metadata;
        let body = json!({
            "apiVersion": EchoCluster::api_version(&()),
            "kind": EchoCluster::kind(&()),
            "metadata": { "resourceVersion": metadata.resource_version, "uid": metadata.uid },
            "status": status,
        });
        let namespace = metadata.namespace.clone().unwrap_or_default();
        let api = Api::<PartialObjectMeta<EchoCluster>>::namespaced(
            self.reporter.client.clone(),
            &namespace,
        );
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        let name = metadata.name.clone().unwrap_or_default();
        let body = Patch::Apply(&body);
        let sent = api.patch_status(&name, &parameters, &body);
        let written = request(Verb::Apply, &self.cluster, sent).await?;
        self.reporter
            .metrics
            .count_write::<EchoCluster>(Verb::Apply);
        let events = Event::of_transition(&self.told, &status);
        self.cluster = written;
        self.told = status;
        for event in events {
            self.publish(event).await;
        }
        Ok(())
    }

    /// Publishes an event for each change that the pass has made to a child.
    pub async fn tell_changes(&self, changes: &[Change]) {
        for change in changes {
            self.publish(Event::of_change(change)).await;
        }
    }

    async fn publish(&self, event: Event) {
        self.reporter.events.publish(&self.cluster, event).await;
    }
}
