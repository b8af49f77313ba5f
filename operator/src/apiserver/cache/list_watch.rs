//! Lists the objects of a kind, and then watches them without end.
//!
//! The runtime's own `watcher` waits without a deadline for a list and for the start of a watch, reports the objects of a list one by one
//! before its end, and asks for the same resourceVersion again after HTTP 410 or 404. Here every request has a deadline, a list is one
//! event, and any answer of the API server that does not open the watch leads to a new list.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use kube::api::{ListParams, WatchEvent as ApiEvent, WatchParams};
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout, timeout_at};

use super::objects::WatchEvent;

/// The time after which the API server ends a watch, so that a connection that died without a sign is noticed.
pub(crate) const WATCH_TIMEOUT: Duration = Duration::from_mins(1);

/// How much longer the operator waits for that end.
const WATCH_GRACE: Duration = Duration::from_secs(5);

/// The deadline of one page of a list, and of the start of a watch. The API server ends such a request after 60 s itself; a page takes
/// some 100 ms.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Objects in a page of a list, as in client-go (`tools/pager`).
const PAGE_SIZE: u32 = 500;

/// The wait after the first failure; it doubles up to [`LONGEST_WAIT`], with jitter (client-go: `tools/cache/reflector.go`).
const FIRST_WAIT: Duration = Duration::from_millis(800);

/// The longest wait between two tries.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// After a watch that has lasted for so long, the next failure waits for [`FIRST_WAIT`] again.
const STABLE_AFTER: Duration = Duration::from_secs(30);

/// A watch that ends earlier has failed: the API server ends one after [`WATCH_TIMEOUT`], or when it stops.
const SHORTEST_WATCH: Duration = Duration::from_secs(10);

/// Why a list or a watch ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The API server answered a list with an error, or not at all.
    #[error("failed to list: {0}")]
    List(#[source] kube::Error),
    /// The API server answered the start of a watch with an error, or not at all.
    #[error("failed to start the watch: {0}")]
    Start(#[source] kube::Error),
    /// The watch has delivered an error.
    #[error("the watch failed: {0}")]
    Watch(#[source] kube::Error),
    /// The API server has not answered in time.
    #[error("no answer within {} s", REQUEST_TIMEOUT.as_secs())]
    TimedOut,
    /// The watch ended soon after it had begun.
    #[error("the watch ended within {} s", SHORTEST_WATCH.as_secs())]
    EndedEarly,
    /// The watch delivered neither an event nor a bookmark nor its end.
    #[error("the watch delivered nothing for {} s", (WATCH_TIMEOUT + WATCH_GRACE).as_secs())]
    Silent,
    /// A list or an object has no resourceVersion, so it cannot be watched from there.
    #[error("the answer has no resourceVersion")]
    NoResourceVersion,
}

impl Error {
    /// Returns the API server's answer, if it has given one.
    pub(crate) fn status(&self) -> Option<&kube::core::Status> {
        match self {
            Self::List(kube::Error::Api(status))
            | Self::Start(kube::Error::Api(status))
            | Self::Watch(kube::Error::Api(status)) => Some(status),
            Self::List(_)
            | Self::Start(_)
            | Self::Watch(_)
            | Self::TimedOut
            | Self::EndedEarly
            | Self::Silent
            | Self::NoResourceVersion => None,
        }
    }

    /// Whether the watch cannot go on from the resourceVersion that it had. An overloaded API server (429, 5xx) leaves it valid; any other
    /// answer may mean that it has expired (410), lies in the future (504 is sent for both an overload and this), or that the kind is gone.
    fn needs_list(&self) -> bool {
        let answered = |status: &kube::core::Status| !matches!(status.code, 429 | 500 | 502 | 503);
        matches!(self, Self::List(_) | Self::NoResourceVersion | Self::Silent)
            || self.status().is_some_and(answered)
            || matches!(self, Self::Watch(kube::Error::SerdeError(_)))
    }
}

/// What happens on a watch, in its order.
#[derive(Debug)]
pub(crate) enum Signal<K> {
    /// The API server has answered: a watch has delivered a bookmark, or has ended at its timeout.
    Heard,
    /// Objects have changed.
    Event(WatchEvent<K>),
    /// A request has failed. It is repeated.
    Failed(Error),
}

/// Lists and watches the objects of `api` that `selector` selects, each reduced to what is needed by `reduce`. The stream never ends.
pub(crate) fn list_watch<K>(
    api: Api<K>,
    selector: Option<&'static str>,
    reduce: fn(&mut K),
) -> impl Stream<Item = Signal<K>> + Send
where
    K: Resource + Clone + std::fmt::Debug + DeserializeOwned + Send + 'static,
{
    let list_watch = ListWatch {
        api,
        selector,
        reduce,
        phase: Phase::List,
        wait: None,
        waits: waits(),
    };
    futures::stream::unfold(list_watch, |mut this| async move {
        let signal = this.next().await;
        Some((signal, this))
    })
}

struct ListWatch<K> {
    api: Api<K>,
    selector: Option<&'static str>,
    reduce: fn(&mut K),
    phase: Phase<K>,
    /// How long to wait before the next request, after a failure.
    wait: Option<Duration>,
    waits: ExponentialBackoff,
}

enum Phase<K> {
    List,
    /// Watch from this resourceVersion on.
    Start(String),
    Watch(Watch<K>),
}

struct Watch<K> {
    resource_version: String,
    events: BoxStream<'static, kube::Result<ApiEvent<K>>>,
    started: Instant,
}

impl<K> ListWatch<K>
where
    K: Resource + Clone + std::fmt::Debug + DeserializeOwned + Send + 'static,
{
    async fn next(&mut self) -> Signal<K> {
        if let Some(wait) = self.wait.take() {
            tokio::time::sleep(wait).await;
        }
        // A phase that is interrupted begins again with a list.
        match std::mem::replace(&mut self.phase, Phase::List) {
            Phase::List => match self.list().await {
                Ok((objects, resource_version)) => {
                    self.phase = Phase::Start(resource_version.clone());
                    Signal::Event(WatchEvent::Listed(objects, resource_version))
                }
                Err(error) => self.fail(error, None),
            },
            Phase::Start(resource_version) => match self.start(&resource_version).await {
                // That a watch was opened is no sign that it delivers anything.
                Ok(watch) => self.watch(watch).await,
                Err(error) => self.fail(error, Some(resource_version)),
            },
            Phase::Watch(watch) => self.watch(watch).await,
        }
    }

    async fn list(&mut self) -> Result<(Vec<K>, String), Error> {
        let mut parameters = ListParams::default().limit(PAGE_SIZE);
        parameters.label_selector = self.selector.map(ToOwned::to_owned);
        let mut objects = Vec::new();
        loop {
            let page = timeout(REQUEST_TIMEOUT, self.api.list(&parameters)).await;
            let page = page.map_err(|_| Error::TimedOut)?.map_err(Error::List)?;
            objects.extend(page.items.into_iter().map(|mut object| {
                (self.reduce)(&mut object);
                object
            }));
            let is_last = page
                .metadata
                .continue_
                .as_deref()
                .unwrap_or_default()
                .is_empty();
            if is_last {
                let resource_version = page.metadata.resource_version.unwrap_or_default();
                return if resource_version.is_empty() {
                    Err(Error::NoResourceVersion)
                } else {
                    Ok((objects, resource_version))
                };
            }
            parameters.continue_token = page.metadata.continue_;
        }
    }

    async fn start(&mut self, resource_version: &str) -> Result<Watch<K>, Error> {
        let parameters = WatchParams {
            label_selector: self.selector.map(ToOwned::to_owned),
            timeout: u32::try_from(WATCH_TIMEOUT.as_secs()).ok(),
            ..WatchParams::default()
        };
        let started = self.api.watch(&parameters, resource_version);
        let events = timeout(REQUEST_TIMEOUT, started).await;
        Ok(Watch {
            resource_version: resource_version.to_owned(),
            events: events
                .map_err(|_| Error::TimedOut)?
                .map_err(Error::Start)?
                .boxed(),
            started: Instant::now(),
        })
    }

    async fn watch(&mut self, mut watch: Watch<K>) -> Signal<K> {
        let deadline = watch.started + WATCH_TIMEOUT + WATCH_GRACE;
        let Ok(event) = timeout_at(deadline, watch.events.next()).await else {
            return self.fail(Error::Silent, None);
        };
        let (signal, resource_version) = match event {
            Some(Ok(ApiEvent::Added(mut object) | ApiEvent::Modified(mut object))) => {
                let resource_version = object.resource_version();
                (self.reduce)(&mut object);
                (Signal::Event(WatchEvent::Applied(object)), resource_version)
            }
            Some(Ok(ApiEvent::Deleted(mut object))) => {
                let resource_version = object.resource_version();
                (self.reduce)(&mut object);
                (Signal::Event(WatchEvent::Deleted(object)), resource_version)
            }
            Some(Ok(ApiEvent::Bookmark(bookmark))) => {
                (Signal::Heard, Some(bookmark.metadata.resource_version))
            }
            Some(Ok(ApiEvent::Error(status))) => {
                let error = Error::Watch(kube::Error::Api(status));
                return self.fail(error, Some(watch.resource_version));
            }
            Some(Err(error)) => {
                return self.fail(Error::Watch(error), Some(watch.resource_version));
            }
            None => return self.end(watch),
        };
        let Some(resource_version) = resource_version.filter(|version| !version.is_empty()) else {
            return self.fail(Error::NoResourceVersion, None);
        };
        watch.resource_version = resource_version;
        self.reset_if_stable(watch.started);
        self.phase = Phase::Watch(watch);
        signal
    }

    /// Goes on after a watch that the API server has ended.
    fn end(&mut self, watch: Watch<K>) -> Signal<K> {
        if watch.started.elapsed() < SHORTEST_WATCH {
            return self.fail(Error::EndedEarly, Some(watch.resource_version));
        }
        self.reset_if_stable(watch.started);
        self.phase = Phase::Start(watch.resource_version);
        Signal::Heard
    }

    /// Decides how to go on after a failure: with a new list, or from the resourceVersion that the watch had.
    fn fail(&mut self, error: Error, resource_version: Option<String>) -> Signal<K> {
        self.wait = Some(self.waits.next().unwrap_or(LONGEST_WAIT));
        self.phase = match resource_version {
            Some(resource_version) if !error.needs_list() => Phase::Start(resource_version),
            _ => Phase::List,
        };
        Signal::Failed(error)
    }

    fn reset_if_stable(&mut self, started: Instant) {
        if started.elapsed() >= STABLE_AFTER {
            self.waits = waits();
        }
    }
}

fn waits() -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(FIRST_WAIT)
        .with_max_delay(LONGEST_WAIT)
        .without_max_times()
        .with_jitter()
        .build()
}

#[cfg(test)]
mod tests;
