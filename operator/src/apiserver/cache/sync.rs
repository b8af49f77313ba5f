//! Whether a cache is synchronized, and whether its watch is alive.

use std::marker::PhantomData;

use kube::Resource;
use tokio::sync::watch;
use tracing::{info, warn};

use super::WatchEvent;
use super::health::WatchHealth;
use super::list_watch::{Error, ListWatchEvent};
use crate::apiserver::scope::Scope;

/// Whether a cache has been filled once. Any number of tasks may wait for that; `Store::wait_until_ready` of kube-runtime
/// wakes only the last one that has called it.
#[derive(Clone, Debug)]
pub struct CacheSync {
    /// The plural of the kind, for messages.
    pub kind: &'static str,
    /// The namespace, if only its objects are cached.
    pub scope: Scope,
    /// Whether the watch is alive.
    pub health: WatchHealth,
    state: watch::Receiver<State>,
    requirement: Requirement,
}

/// Whether the operator can do without a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// It cannot. Nothing is reconciled until the kind is listed.
    Required,
    /// It can. Only EchoClusters that use the kind report it.
    Optional,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Pending,
    Synced,
    /// The kind cannot be listed. The list is repeated, at least every 30 s, or when its CustomResourceDefinition is created.
    Unavailable(Unavailable),
}

/// Why the objects of a kind cannot be listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unavailable {
    /// The API server does not serve the kind, or the operator is not allowed to list it. An administrator has to act.
    Rejected(String),
    /// The list failed with an error that a retry may resolve.
    Failed(String),
}

/// A watch has ended before its cache was filled, as it does when the operator stops. No retry helps.
#[derive(Debug, thiserror::Error)]
#[error("failed to wait for the cache of {what}: its watch has ended")]
pub struct WatchEnded {
    what: String,
}

impl CacheSync {
    /// Makes the sync state of the cache of kind `K` in a scope, and what keeps it up to date.
    pub(crate) fn of<K>(
        kind: &'static str,
        requirement: Requirement,
        scope: &Scope,
    ) -> (Self, SyncWriter<K>) {
        let (sender, state) = watch::channel(State::Pending);
        let health = WatchHealth::new();
        let writer = SyncWriter {
            state: sender,
            scope: scope.clone(),
            requirement,
            health: health.clone(),
            kind: PhantomData,
        };
        let sync = Self {
            kind,
            scope: scope.clone(),
            health,
            state,
            requirement,
        };
        (sync, writer)
    }

    /// Waits until the cache is filled, or until an optional kind has turned out to be unavailable.
    ///
    /// # Errors
    /// [`WatchEnded`].
    pub async fn wait(&self) -> Result<(), WatchEnded> {
        let mut state = self.state.clone();
        let has_synced = |state: &State| has_synced(state, self.requirement);
        match state.wait_for(has_synced).await {
            Ok(_) => Ok(()),
            Err(_) => Err(WatchEnded { what: self.name() }),
        }
    }

    /// Waits until the cache is filled, or its kind has turned out to be unavailable, required or not.
    pub(crate) async fn wait_for_answer(&self) {
        let mut state = self.state.clone();
        // An error means that the watch has ended.
        let _ = state.wait_for(|state| *state != State::Pending).await;
    }

    /// Returns what is cached, as a message names it: `Services in namespace "a"`.
    pub fn name(&self) -> String {
        format!("{}{}", self.kind, self.scope)
    }

    /// Returns whether the cache is filled, or its kind is optional and unavailable.
    pub fn has_synced(&self) -> bool {
        has_synced(&self.state.borrow(), self.requirement)
    }

    /// Returns why the objects of the kind are unavailable, if they are.
    pub fn unavailable(&self) -> Option<Unavailable> {
        match &*self.state.borrow() {
            State::Unavailable(why) => Some(why.clone()),
            State::Pending | State::Synced => None,
        }
    }

    /// Whether the cache has not been updated for too long. That of an optional kind that is unavailable is empty.
    pub fn is_stale(&self) -> bool {
        self.health.is_stale() && self.is_watched()
    }

    /// Whether the kind is watched. An optional kind that is unavailable is not.
    pub fn is_watched(&self) -> bool {
        self.requirement == Requirement::Required || self.unavailable().is_none()
    }

    /// Finds a cache whose watch is not answered although that of another kind is, so that only a new connection or a new process can help.
    pub fn find_stale(syncs: &[Self]) -> Option<&Self> {
        let is_reachable = syncs.iter().any(|sync| !sync.health.is_stale());
        let is_unanswered = |sync: &&Self| sync.is_stale() && sync.health.is_stale_and_unanswered();
        syncs.iter().find(is_unanswered).filter(|_| is_reachable)
    }
}

fn has_synced(state: &State, requirement: Requirement) -> bool {
    match state {
        State::Pending => false,
        State::Synced => true,
        State::Unavailable(_) => requirement == Requirement::Optional,
    }
}

/// Keeps a [`CacheSync`] up to date.
pub(crate) struct SyncWriter<K> {
    state: watch::Sender<State>,
    scope: Scope,
    requirement: Requirement,
    health: WatchHealth,
    kind: PhantomData<fn(K)>,
}

/// Whether a kind has become available or ceased to be, which concerns every EchoCluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Availability {
    /// It is as it was.
    Unchanged,
    /// It is no longer available.
    Lost,
    /// It is available again.
    Restored,
}

impl<K: Resource<DynamicType = ()>> SyncWriter<K> {
    /// Takes in an event of the list and watch, and logs failures. `handle` stores the objects in the cache before the cache counts as filled,
    /// so that waiters read a filled cache. Returns the result of `handle`, too.
    pub(crate) fn process<L, T>(
        &self,
        event: ListWatchEvent<K, L>,
        handle: impl FnOnce(WatchEvent<K, L>) -> T,
    ) -> (Availability, Option<T>) {
        match event {
            ListWatchEvent::Page | ListWatchEvent::Progress => {
                self.health.record_response();
                (Availability::Unchanged, None)
            }
            ListWatchEvent::Objects(event) => {
                let is_listed = matches!(event, WatchEvent::Listed(..));
                let change = handle(event);
                self.health.record_response();
                if is_listed {
                    self.health.record_list();
                }
                let is_restored = is_listed && self.set_synced();
                let availability = if is_restored {
                    Availability::Restored
                } else {
                    Availability::Unchanged
                };
                (availability, Some(change))
            }
            ListWatchEvent::Failed(error) => (self.process_failure(&error), None),
        }
    }

    fn process_failure(&self, error: &Error) -> Availability {
        self.health.record_failure(error.is_answer());
        let is_lost =
            self.requirement == Requirement::Optional && self.health.is_stale_but_answered();
        let mut is_new = false;
        self.state.send_if_modified(|state| {
            let before = state.clone();
            fail::<K>(state, error, &self.scope, is_lost);
            is_new = is_unavailable(state) && !is_unavailable(&before);
            *state != before
        });
        self.log(is_new, error);
        if is_new {
            Availability::Lost
        } else {
            Availability::Unchanged
        }
    }

    /// Returns whether the kind was unavailable.
    fn set_synced(&self) -> bool {
        let before = self.state.send_replace(State::Synced);
        is_unavailable(&before)
    }

    fn log(&self, is_new: bool, error: &Error) {
        let (kind, namespace) = (K::kind(&()), self.scope.namespace());
        match self.requirement {
            Requirement::Optional if !error.is_not_served() => {
                warn!(%kind, namespace, %error, "failed to watch an optional kind, retrying");
            }
            Requirement::Optional if is_new => {
                info!(%kind, namespace, "the API server does not serve this optional kind");
            }
            Requirement::Optional => (),
            Requirement::Required => {
                warn!(%kind, namespace, %error, "failed to watch a required kind, retrying");
            }
        }
    }
}

fn is_unavailable(state: &State) -> bool {
    matches!(state, State::Unavailable(_))
}

/// Sets the state after a failure. A cache that is filled keeps what it has while the watch cannot go on, unless the kind is gone, or
/// `is_lost`: it is optional, and the API server has answered its requests with errors until the cache was stale.
fn fail<K: Resource<DynamicType = ()>>(
    state: &mut State,
    error: &Error,
    scope: &Scope,
    is_lost: bool,
) {
    let (api_version, plural) = (K::api_version(&()), K::plural(&()));
    if error.is_not_served() {
        let message = format!("the API server has no resource {plural} in {api_version}");
        *state = State::Unavailable(Unavailable::Rejected(message));
    } else if *state != State::Synced || is_lost {
        let message = format!("the operator cannot list {api_version} {plural}{scope}: {error}");
        let is_forbidden = error.status().is_some_and(|status| status.code == 403);
        *state = State::Unavailable(if is_forbidden {
            Unavailable::Rejected(message)
        } else {
            Unavailable::Failed(message)
        });
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Service;

    use super::*;
    use crate::apiserver::cache::health::STALE_AFTER;

    fn listed() -> ListWatchEvent<Service> {
        ListWatchEvent::Objects(WatchEvent::Listed(Vec::new(), "1".to_owned()))
    }

    fn answered_with(code: u16) -> ListWatchEvent<Service> {
        let status = kube::core::Status::failure("no", "reason").with_code(code);
        ListWatchEvent::Failed(Error::List(kube::Error::Api(Box::new(status))))
    }

    fn process(writer: &SyncWriter<Service>, event: ListWatchEvent<Service>) -> Availability {
        writer.process(event, drop).0
    }

    #[tokio::test]
    async fn every_task_that_waits_is_woken_by_the_first_list() {
        let (sync, writer) =
            CacheSync::of::<Service>("Services", Requirement::Required, &Scope::Cluster);
        let waiting = [sync.clone(), sync.clone(), sync.clone()]
            .map(|sync| tokio::spawn(async move { sync.wait().await }));
        tokio::task::yield_now().await;
        assert!(!sync.has_synced());
        process(&writer, listed());
        for waiter in waiting {
            waiter.await.unwrap().unwrap();
        }
    }

    #[tokio::test]
    async fn a_list_is_taken_in_before_the_cache_counts_as_filled() {
        let (sync, writer) =
            CacheSync::of::<Service>("Services", Requirement::Required, &Scope::Cluster);
        let (_, had_synced) = writer.process(listed(), |_| sync.has_synced());
        assert_eq!((had_synced, sync.has_synced()), (Some(false), true));
    }

    #[tokio::test]
    async fn a_kind_that_cannot_be_listed_stops_only_what_requires_it() {
        for code in [403, 404, 503] {
            let (required, writer) =
                CacheSync::of::<Service>("Services", Requirement::Required, &Scope::Cluster);
            process(&writer, answered_with(code));
            assert!(!required.has_synced(), "{code}");
            let (optional, writer) =
                CacheSync::of::<Service>("Services", Requirement::Optional, &Scope::Cluster);
            process(&writer, answered_with(code));
            assert!(
                optional.has_synced() && optional.unavailable().is_some(),
                "{code}"
            );
            assert_eq!(process(&writer, listed()), Availability::Restored, "{code}");
            assert!(
                optional.has_synced() && optional.unavailable().is_none(),
                "{code}"
            );
        }
    }

    #[tokio::test]
    async fn an_unavailable_kind_has_the_text_of_its_last_error() {
        let (sync, writer) =
            CacheSync::of::<Service>("Services", Requirement::Optional, &Scope::Cluster);
        process(&writer, ListWatchEvent::Failed(Error::TimedOut));
        let Some(Unavailable::Failed(message)) = sync.unavailable() else {
            panic!("{:?}", sync.unavailable());
        };
        assert!(message.contains("no answer"), "{message}");
        assert_eq!(
            process(&writer, answered_with(403)),
            Availability::Unchanged
        );
        let Some(Unavailable::Rejected(message)) = sync.unavailable() else {
            panic!("{:?}", sync.unavailable());
        };
        assert!(!message.contains("no answer"), "{message}");
    }

    #[tokio::test]
    async fn each_list_after_the_first_one_is_a_restart() {
        let (sync, writer) =
            CacheSync::of::<Service>("Services", Requirement::Required, &Scope::Cluster);
        for expected in [0, 1, 2] {
            process(&writer, listed());
            process(&writer, ListWatchEvent::Progress);
            process(&writer, answered_with(410));
            assert_eq!(sync.health.restarts(), expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_kind_is_stale_when_it_is_not_answered_although_another_is() {
        let (services, writer) =
            CacheSync::of::<Service>("Services", Requirement::Required, &Scope::Cluster);
        let (pods, other) =
            CacheSync::of::<Service>("Pods", Requirement::Required, &Scope::Cluster);
        let syncs = [services, pods];
        tokio::time::advance(STALE_AFTER).await;
        let stale = || CacheSync::find_stale(&syncs).map(|sync| sync.kind);
        assert_eq!(stale(), None, "nothing is reachable");
        process(&other, ListWatchEvent::Progress);
        assert_eq!(stale(), Some("Services"));
        let undecodable = serde_json::from_str::<Service>("[]").unwrap_err();
        let answers = [
            Error::List(kube::Error::SerdeError(undecodable)),
            Error::EndedEarly,
            Error::NoBookmark,
            Error::NoResourceVersion,
        ];
        for answer in answers {
            process(&writer, ListWatchEvent::Failed(answer));
            assert_eq!(stale(), None, "it has answered");
        }
        let reset = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        let unanswered = [
            Error::Watch(kube::Error::ReadEvents(reset)),
            Error::TimedOut,
            Error::NotEnded,
        ];
        for error in unanswered {
            process(&writer, ListWatchEvent::Failed(error));
            assert_eq!(stale(), Some("Services"));
        }
    }

    #[tokio::test]
    async fn a_filled_cache_is_kept_while_its_watch_fails_unless_the_kind_is_gone() {
        let (sync, writer) =
            CacheSync::of::<Service>("Services", Requirement::Optional, &Scope::Cluster);
        process(&writer, listed());
        assert_eq!(
            process(&writer, answered_with(503)),
            Availability::Unchanged
        );
        assert!(sync.unavailable().is_none());
        assert_eq!(process(&writer, answered_with(404)), Availability::Lost);
        assert!(sync.unavailable().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn an_optional_kind_that_is_answered_with_errors_until_it_is_stale_is_unavailable() {
        let kinds = [
            (Requirement::Optional, true),
            (Requirement::Required, false),
        ];
        for (requirement, is_unavailable) in kinds {
            let (sync, writer) = CacheSync::of::<Service>("Services", requirement, &Scope::Cluster);
            process(&writer, listed());
            process(&writer, answered_with(403));
            assert!(sync.unavailable().is_none());
            tokio::time::advance(STALE_AFTER).await;
            process(&writer, ListWatchEvent::Failed(Error::TimedOut));
            assert!(sync.unavailable().is_none() && sync.is_stale());
            process(&writer, answered_with(403));
            assert_eq!(sync.unavailable().is_some(), is_unavailable);
            assert_eq!(sync.is_stale(), !is_unavailable);
        }
    }
}
