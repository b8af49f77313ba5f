//! Waits for an expected state by a watch. If it is not reached in time, the test fails with the last observed state.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::pin::pin;
use std::time::Duration;

use futures::StreamExt;
use kube::api::{WatchEvent, WatchParams};
use kube::runtime::watcher::{self, Event, watch_object};
use kube::runtime::{WatchStreamExt, watcher as watch};
use kube::{Api, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

/// The timeout of every wait. Most take a few seconds on an idle machine; the rest is for a busy one.
pub(crate) const DEADLINE: Duration = Duration::from_mins(1);

/// The interval of polling for what cannot be watched, such as a file.
pub(crate) const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// A kind that can be watched.
pub(crate) trait Watched:
    Resource + Clone + Debug + Serialize + DeserializeOwned + Send + 'static
{
}

impl<K> Watched for K where
    K: Resource + Clone + Debug + Serialize + DeserializeOwned + Send + 'static
{
}

/// Waits until an object fulfils the condition, and returns it.
pub(crate) async fn until<K: Watched>(
    api: &Api<K>,
    name: &str,
    what: &str,
    condition: impl FnMut(&K) -> bool,
) -> K {
    until_within(DEADLINE, api, name, what, condition).await
}

/// Waits up to `deadline`, for what takes longer.
pub(crate) async fn until_within<K: Watched>(
    deadline: Duration,
    api: &Api<K>,
    name: &str,
    what: &str,
    condition: impl FnMut(&K) -> bool,
) -> K {
    let mut condition = condition;
    let is_fulfilled = |object: Option<&K>| object.is_some_and(&mut condition);
    let found = until_some_or_none(deadline, api, name, what, is_fulfilled);
    found.await.unwrap()
}

/// Waits until the object does not exist.
pub(crate) async fn until_gone<K: Watched>(api: &Api<K>, name: &str) {
    until_some_or_none(DEADLINE, api, name, "gone", |object| object.is_none()).await;
}

async fn until_some_or_none<K: Watched>(
    deadline: Duration,
    api: &Api<K>,
    name: &str,
    what: &str,
    mut condition: impl FnMut(Option<&K>) -> bool,
) -> Option<K> {
    let mut last = None;
    let seen = async {
        let mut objects = pin!(watch_object(api.clone(), name).default_backoff());
        loop {
            // A failed watch is resumed, so that no state is missed.
            if let Some(Ok(object)) = objects.next().await {
                last = object;
                if condition(last.as_ref()) {
                    return last.clone();
                }
            }
        }
    };
    let in_time = tokio::time::timeout(deadline, seen).await;
    in_time.unwrap_or_else(|_| late(&format!("{name} should be: {what}"), &last))
}

/// Waits until all objects with `labels` together fulfil the condition, and returns them. The condition is evaluated after each event of
/// the watch, in order.
pub(crate) async fn until_all<K: Watched>(
    api: &Api<K>,
    labels: &str,
    what: &str,
    mut condition: impl FnMut(&[&K]) -> bool,
) -> Vec<K> {
    let mut objects = BTreeMap::new();
    let seen = async {
        let config = watcher::Config::default().labels(labels);
        let mut events = pin!(watch(api.clone(), config).default_backoff());
        let mut is_listed = false;
        loop {
            match events.next().await {
                Some(Ok(Event::Init)) => {
                    is_listed = false;
                    objects.clear();
                }
                Some(Ok(Event::InitDone)) => is_listed = true,
                Some(Ok(Event::InitApply(object) | Event::Apply(object))) => {
                    objects.insert(object.name_any(), object);
                }
                Some(Ok(Event::Delete(object))) => {
                    objects.remove(&object.name_any());
                }
                Some(Err(_)) | None => continue,
            }
            if is_listed && condition(&objects.values().collect::<Vec<_>>()) {
                return;
            }
        }
    };
    let in_time = tokio::time::timeout(DEADLINE, seen).await;
    let objects: Vec<K> = objects.into_values().collect();
    match in_time {
        Ok(()) => objects,
        Err(_) => late(
            &format!("objects with {labels} should be: {what}"),
            &objects,
        ),
    }
}

/// Waits until no object has `labels`.
pub(crate) async fn until_none<K: Watched>(api: &Api<K>, labels: &str) {
    until_all(api, labels, "none", |objects: &[&K]| objects.is_empty()).await;
}

/// Returns the first state of any object of a kind after `resource_version` that fulfils the condition. No event since then is missed.
pub(crate) async fn first<K: Watched>(
    api: &Api<K>,
    resource_version: &str,
    what: &str,
    mut condition: impl FnMut(&K) -> bool,
) -> K {
    let seen = async {
        let everything = WatchParams::default();
        let mut history = pin!(api.watch(&everything, resource_version).await.unwrap());
        while let Some(event) = history.next().await {
            if let WatchEvent::Added(object) | WatchEvent::Modified(object) = event.unwrap()
                && condition(&object)
            {
                return object;
            }
        }
        panic!("{what}: the watch has ended")
    };
    let in_time = tokio::time::timeout(DEADLINE, seen).await;
    in_time.unwrap_or_else(|_| panic!("not within {} s: {what}", DEADLINE.as_secs()))
}

/// Retries an operation until it succeeds, for what cannot be watched.
pub(crate) async fn until_ok<T>(
    what: &str,
    mut attempt: impl AsyncFnMut() -> Result<T, String>,
) -> T {
    let mut last = None;
    let tried = async {
        let mut ticks = tokio::time::interval(POLL_INTERVAL);
        loop {
            ticks.tick().await;
            match attempt().await {
                Ok(outcome) => return outcome,
                Err(error) => last = Some(error),
            }
        }
    };
    let in_time = tokio::time::timeout(DEADLINE, tried).await;
    in_time.unwrap_or_else(|_| late(what, &last))
}

fn late<T>(what: &str, last: &impl Serialize) -> T {
    let mut last = json!(last);
    if let Some(metadata) = last.get_mut("metadata") {
        metadata["managedFields"] = json!("left out");
    }
    panic!(
        "not within {} s: {what}; last state: {last}",
        DEADLINE.as_secs()
    )
}
