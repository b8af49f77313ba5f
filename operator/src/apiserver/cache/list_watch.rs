//! Lists the objects of a kind, and then watches them without end.
//!
//! The runtime's own `watcher` waits without a deadline for a list and for the start of a watch, reports the objects of a list one by one
//! before its end, and resumes at the same resourceVersion after HTTP 410 or 404. Here every request has a deadline, a list is one
//! event, and any answer of the API server that does not open the watch leads to a new list.

pub(crate) mod crd_presence;

use std::time::Duration;

use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use kube::api::{ListParams, WatchEvent as ApiEvent, WatchParams};
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout, timeout_at};

use self::crd_presence::CrdPresence;
use super::objects::WatchEvent;
use crate::apiserver::exponential_delays::ExponentialDelays;

/// The time after which the API server ends a watch, so that a half-open connection is detected. It sends a bookmark after a minute, and
/// another two seconds before the end, which may be too late by a fraction of a second (`storage/cacher/cache_watcher.go`:
/// `nextBookmarkTime`, "this covers 99% of cases"). A watch of a minute would have that one alone, and now and then none.
pub(crate) const WATCH_TIMEOUT: Duration = Duration::from_secs(75);

/// How much longer the operator waits for that end.
const WATCH_GRACE: Duration = Duration::from_secs(5);

/// The deadline of one page of a list, and of the start of a watch. The API server ends such a request after 60 s itself; a page takes
/// some 100 ms.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Objects in a page of a list, as in client-go (`tools/pager`).
const PAGE_SIZE: u32 = 500;

/// The delay after the first failure, before jitter; it doubles up to half of [`LONGEST_WAIT`] (client-go: `tools/cache/reflector.go`).
const FIRST_WAIT: Duration = Duration::from_millis(800);

/// The longest wait between two attempts, with jitter, which doubles a wait at most.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// The longest wait while the API server is not reachable or cannot answer, so that changes are noticed within seconds of its return. That
/// of client-go, [`LONGEST_WAIT`], is for programs on every node; of an operator there are two, with ten kinds each.
const LONGEST_OUTAGE_WAIT: Duration = Duration::from_secs(3);

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
    /// The API server has not ended the watch at its timeout.
    #[error("the watch did not end within {} s", (WATCH_TIMEOUT + WATCH_GRACE).as_secs())]
    NotEnded,
    /// The watch ended without an event or a bookmark.
    #[error("the watch ended without a bookmark, so its resourceVersion may be in the future")]
    NoBookmark,
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
            | Self::NotEnded
            | Self::NoBookmark
            | Self::NoResourceVersion => None,
        }
    }

    /// Whether the API server has answered that there is no such kind.
    pub(crate) fn is_not_served(&self) -> bool {
        self.status().is_some_and(|status| status.code == 404)
    }

    /// Whether the API server has answered, so that the connection to it works.
    pub(crate) fn is_answer(&self) -> bool {
        match self {
            Self::List(error) | Self::Start(error) | Self::Watch(error) => {
                matches!(error, kube::Error::Api(_) | kube::Error::SerdeError(_))
            }
            Self::EndedEarly | Self::NoBookmark | Self::NoResourceVersion => true,
            Self::TimedOut | Self::NotEnded => false,
        }
    }

    /// Whether the API server is not reachable, or cannot answer at present, so that it may be back at any time. One that is overloaded
    /// (429) is not: it has answered, and is sent fewer requests.
    fn is_outage(&self) -> bool {
        match self.status() {
            Some(status) => status.code >= 500,
            None => !self.is_answer(),
        }
    }

    /// Whether the watch cannot go on from the resourceVersion that it had. An overloaded API server (429, 500, 502, 503) leaves it valid;
    /// any other answer may mean that it has expired (410), or that the kind is gone (404).
    ///
    /// After a restore of etcd from a backup, it may be in the future. The API server opens such a watch, and delivers nothing until the
    /// resourceVersions have passed it: no error, and no bookmark, of which any other watch gets one after a minute
    /// (`storage/cacher/cache_watcher.go`: `process`, `nextBookmarkTime`).
    fn needs_list(&self) -> bool {
        let answered = |status: &kube::core::Status| !matches!(status.code, 429 | 500 | 502 | 503);
        matches!(
            self,
            Self::List(_) | Self::NoResourceVersion | Self::NotEnded | Self::NoBookmark
        ) || self.status().is_some_and(answered)
            || matches!(self, Self::Watch(kube::Error::SerdeError(_)))
    }
}

/// Which objects of a kind are listed and watched.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Selector {
    /// All.
    All,
    /// Those with a label of this key and value.
    Label((&'static str, &'static str)),
    /// The one of this name.
    Name(&'static str),
}

impl Selector {
    fn labels(self) -> Option<String> {
        match self {
            Self::Label((key, value)) => Some(format!("{key}={value}")),
            Self::All | Self::Name(_) => None,
        }
    }

    fn fields(self) -> Option<String> {
        match self {
            Self::Name(name) => Some(format!("metadata.name={name}")),
            Self::All | Self::Label(_) => None,
        }
    }
}

/// What [`list_watch`] reports, in the order in which it happens. Listed objects are packed as `L`.
#[derive(Debug)]
pub(crate) enum ListWatchEvent<K, L = K> {
    /// A page of a list was received that is not the last.
    Page,
    /// The watch has delivered a bookmark, or has ended at its timeout.
    Progress,
    /// Objects were listed, or one has changed.
    Objects(WatchEvent<K, L>),
    /// A request has failed. It is repeated.
    Failed(Error),
}

/// What is listed and watched.
pub(crate) struct Source<K> {
    /// Where.
    pub(crate) api: Api<K>,
    /// Which objects.
    pub(crate) selector: Selector,
    /// While the API server does not serve the kind, it is listed again when this CustomResourceDefinition is created; without it, after some
    /// time.
    pub(crate) crd: Option<CrdPresence>,
}

/// Lists and watches the objects of a source. Each object of a list is packed as soon as it is decoded: a list of all objects of a large
/// cluster would take ten times the memory otherwise. The stream never ends.
pub(crate) fn list_watch<K, L>(
    source: Source<K>,
    pack: impl Fn(K) -> L + Send + 'static,
) -> impl Stream<Item = ListWatchEvent<K, L>> + Send
where
    K: Resource + Clone + std::fmt::Debug + DeserializeOwned + Send + 'static,
    L: Send + 'static,
{
    let list_watch = ListWatch {
        source,
        pack,
        phase: Phase::List(Pages::default()),
        wait: None,
        delays: delays(),
    };
    futures::stream::unfold(list_watch, |mut this| async move {
        let event = this.next().await;
        Some((event, this))
    })
}

struct ListWatch<K, L, P> {
    source: Source<K>,
    pack: P,
    phase: Phase<K, L>,
    /// What to wait for before the next request, after a failure.
    wait: Option<Wait>,
    delays: ExponentialDelays,
}

enum Wait {
    For(Duration),
    /// Until the CustomResourceDefinition exists.
    Crd(CrdPresence),
}

enum Phase<K, L> {
    /// List the next page.
    List(Pages<L>),
    /// Watch from this resourceVersion on.
    Start(String),
    Watch(Watch<K>),
}

/// The pages of a list so far.
struct Pages<L> {
    objects: Vec<L>,
    /// Where the next page begins.
    token: Option<String>,
}

impl<L> Default for Pages<L> {
    fn default() -> Self {
        Self {
            objects: Vec::new(),
            token: None,
        }
    }
}

struct Watch<K> {
    resource_version: String,
    /// Whether it has delivered an event or a bookmark.
    has_delivered: bool,
    events: BoxStream<'static, kube::Result<ApiEvent<K>>>,
    started: Instant,
}

impl<K, L, P: Fn(K) -> L> ListWatch<K, L, P>
where
    K: Resource + Clone + std::fmt::Debug + DeserializeOwned + Send + 'static,
{
    async fn next(&mut self) -> ListWatchEvent<K, L> {
        match self.wait.take() {
            Some(Wait::For(wait)) => tokio::time::sleep(wait).await,
            Some(Wait::Crd(mut crd)) => crd.wait_while_absent().await,
            None => (),
        }
        // A phase that is interrupted begins again with a list.
        match std::mem::replace(&mut self.phase, Phase::List(Pages::default())) {
            Phase::List(pages) => match self.list_page(pages).await {
                Ok(event) => event,
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

    /// Lists one page. Each is a sign that the API server answers: a list of many pages may take minutes.
    async fn list_page(&mut self, mut pages: Pages<L>) -> Result<ListWatchEvent<K, L>, Error> {
        let mut parameters = ListParams::default().limit(PAGE_SIZE);
        parameters.label_selector = self.source.selector.labels();
        parameters.field_selector = self.source.selector.fields();
        parameters.continue_token = pages.token.take();
        let page = timeout(REQUEST_TIMEOUT, self.source.api.list(&parameters)).await;
        let page = page.map_err(|_| Error::TimedOut)?.map_err(Error::List)?;
        pages.objects.extend(page.items.into_iter().map(&self.pack));
        pages.token = page.metadata.continue_.filter(|token| !token.is_empty());
        if pages.token.is_some() {
            self.phase = Phase::List(pages);
            return Ok(ListWatchEvent::Page);
        }
        let version = page.metadata.resource_version;
        let version = version.filter(|version| !version.is_empty());
        let version = version.ok_or(Error::NoResourceVersion)?;
        self.phase = Phase::Start(version.clone());
        Ok(ListWatchEvent::Objects(WatchEvent::Listed(
            pages.objects,
            version,
        )))
    }

    async fn start(&mut self, resource_version: &str) -> Result<Watch<K>, Error> {
        let parameters = WatchParams {
            label_selector: self.source.selector.labels(),
            field_selector: self.source.selector.fields(),
            timeout: u32::try_from(WATCH_TIMEOUT.as_secs()).ok(),
            ..WatchParams::default()
        };
        let started = self.source.api.watch(&parameters, resource_version);
        let events = timeout(REQUEST_TIMEOUT, started).await;
        Ok(Watch {
            resource_version: resource_version.to_owned(),
            has_delivered: false,
            events: events
                .map_err(|_| Error::TimedOut)?
                .map_err(Error::Start)?
                .boxed(),
            started: Instant::now(),
        })
    }

    async fn watch(&mut self, mut watch: Watch<K>) -> ListWatchEvent<K, L> {
        let deadline = watch.started + WATCH_TIMEOUT + WATCH_GRACE;
        let Ok(event) = timeout_at(deadline, watch.events.next()).await else {
            return self.fail(Error::NotEnded, None);
        };
        let (event, resource_version) = match event {
            Some(Ok(ApiEvent::Added(object) | ApiEvent::Modified(object))) => {
                let resource_version = object.resource_version();
                (
                    ListWatchEvent::Objects(WatchEvent::Applied(object)),
                    resource_version,
                )
            }
            Some(Ok(ApiEvent::Deleted(object))) => {
                let resource_version = object.resource_version();
                (
                    ListWatchEvent::Objects(WatchEvent::Deleted(object)),
                    resource_version,
                )
            }
            Some(Ok(ApiEvent::Bookmark(bookmark))) => (
                ListWatchEvent::Progress,
                Some(bookmark.metadata.resource_version),
            ),
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
        watch.has_delivered = true;
        self.reset_if_stable(watch.started);
        self.phase = Phase::Watch(watch);
        event
    }

    /// Goes on after a watch that the API server has ended.
    fn end(&mut self, watch: Watch<K>) -> ListWatchEvent<K, L> {
        if watch.started.elapsed() < SHORTEST_WATCH {
            return self.fail(Error::EndedEarly, Some(watch.resource_version));
        }
        self.reset_if_stable(watch.started);
        if !watch.has_delivered {
            return self.fail(Error::NoBookmark, None);
        }
        self.phase = Phase::Start(watch.resource_version);
        ListWatchEvent::Progress
    }

    /// Decides how to go on after a failure: with a new list, or from the resourceVersion that the watch had.
    fn fail(&mut self, error: Error, resource_version: Option<String>) -> ListWatchEvent<K, L> {
        let crd = self.source.crd.as_ref();
        let crd = crd.filter(|crd| error.is_not_served() && crd.is_absent());
        let delay = self.delays.next_delay();
        self.wait = Some(match crd {
            Some(crd) => Wait::Crd(crd.clone()),
            None if error.is_outage() => Wait::For(delay.min(LONGEST_OUTAGE_WAIT)),
            None => Wait::For(delay),
        });
        self.phase = match resource_version {
            Some(resource_version) if !error.needs_list() => Phase::Start(resource_version),
            _ => Phase::List(Pages::default()),
        };
        ListWatchEvent::Failed(error)
    }

    fn reset_if_stable(&mut self, started: Instant) {
        if started.elapsed() >= STABLE_AFTER {
            self.delays = delays();
        }
    }
}

fn delays() -> ExponentialDelays {
    ExponentialDelays::with_jitter(FIRST_WAIT, LONGEST_WAIT / 2)
}

#[cfg(test)]
mod tests;
