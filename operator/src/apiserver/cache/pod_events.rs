//! The events of pods, which have the causes that their status lacks. They are listed for one failing pod of an EchoCluster at a time: a
//! watch would bring the events of every pod of the cluster.
#![expect(clippy::disallowed_types, reason = "lists events")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::Event;
use kube::api::ListParams;
use kube::{Api, Client};
use tokio::time::Instant;
use tracing::debug;

use crate::model::metadata::Owner;
use crate::model::pod_failure::{PodEvent, PodFailure};

/// How long a list may take.
const LIST_TIMEOUT: Duration = Duration::from_secs(3);

/// Events of one pod that are read at most; a pod that fails has a few, which count up.
const LIST_LIMIT: u32 = 50;

/// The shortest time between two lists for the same pod. It doubles each time, up to [`LONGEST`].
const SHORTEST: Duration = Duration::from_secs(2);

/// The longest time between two lists for the same pod.
const LONGEST: Duration = Duration::from_mins(1);

/// Pods whose events are remembered at most.
const MAX_PODS: usize = 1024;

/// Completes pod failures from events. Clones share what is remembered.
#[derive(Clone)]
pub struct PodEvents {
    client: Client,
    pods: Arc<Mutex<HashMap<String, Remembered>>>,
}

/// The last answer for one pod.
#[derive(Clone)]
struct Remembered {
    events: Vec<PodEvent>,
    listed: Instant,
    interval: Duration,
}

impl PodEvents {
    /// Creates an empty cache.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            pods: Arc::default(),
        }
    }

    /// Completes a failure whose cause is not in the pod's status. If the events cannot be listed, those of the last list are used.
    pub async fn complete(&self, owner: &Owner, failure: PodFailure) -> PodFailure {
        if !failure.kind.needs_events() {
            return failure;
        }
        let remembered = self.lock().get(&failure.pod.uid).cloned();
        let interval = remembered.as_ref().map(|remembered| remembered.interval);
        if let Some(remembered) = &remembered
            && remembered.listed.elapsed() < remembered.interval
        {
            return failure.with_events(&remembered.events);
        }
        let events = match self.list(owner, &failure).await {
            Some(events) => events,
            None => remembered
                .map(|remembered| remembered.events)
                .unwrap_or_default(),
        };
        let completed = failure.with_events(&events);
        self.remember(&completed, events, interval);
        completed
    }

    async fn list(&self, owner: &Owner, failure: &PodFailure) -> Option<Vec<PodEvent>> {
        let api = Api::<Event>::namespaced(self.client.clone(), &owner.namespace);
        let of_pod = format!("involvedObject.uid={}", failure.pod.uid);
        let parameters = ListParams::default().fields(&of_pod).limit(LIST_LIMIT);
        match tokio::time::timeout(LIST_TIMEOUT, api.list(&parameters)).await {
            Ok(Ok(events)) => Some(events.items.into_iter().map(PodEvent::from).collect()),
            Ok(Err(error)) => {
                debug!(pod = failure.pod.name, %error, "failed to list the events of a pod");
                None
            }
            Err(_) => {
                debug!(
                    pod = failure.pod.name,
                    "failed to list the events of a pod in time"
                );
                None
            }
        }
    }

    fn remember(&self, failure: &PodFailure, events: Vec<PodEvent>, interval: Option<Duration>) {
        let mut pods = self.lock();
        if pods.len() >= MAX_PODS {
            pods.retain(|_, remembered| remembered.listed.elapsed() < 2 * LONGEST);
        }
        if pods.len() >= MAX_PODS {
            pods.clear();
        }
        let remembered = Remembered {
            events,
            listed: Instant::now(),
            interval: interval.map_or(SHORTEST, |interval| LONGEST.min(interval * 2)),
        };
        pods.insert(failure.pod.uid.clone(), remembered);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Remembered>> {
        self.pods.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
