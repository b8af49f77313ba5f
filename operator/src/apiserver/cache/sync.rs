//! Whether a cache is synchronized, and whether its watch is alive.

use std::marker::PhantomData;

use kube::Resource;
use tokio::sync::watch;
use tracing::{info, warn};

use super::health::WatchHealth;
use super::list_watch::{Error, Signal};

/// Whether a cache has been filled once. Any number of tasks may wait for that; `Store::wait_until_ready` of kube-runtime
/// wakes only the last one that has called it.
#[derive(Clone, Debug)]
pub struct CacheSync {
    /// The plural of the kind, for messages.
    pub kind: &'static str,
    /// Whether the watch is alive.
    pub health: WatchHealth,
    state: watch::Receiver<State>,
    requirement: Requirement,
}

/// Whether the operator can do without a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// It cannot: nothing is done until the kind is listed.
    Required,
    /// It can: EchoClusters that use the kind report it, and the others are not affected.
    Optional,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Pending,
    Synced,
    /// The kind cannot be listed, for the reason given. The watch goes on trying, at last every half minute.
    Unavailable(String),
}

/// A watch has ended before its cache was filled, as it does when the operator stops. No retry helps.
#[derive(Debug, thiserror::Error)]
#[error("failed to wait for the cache of {kind}: its watch has ended")]
pub struct WatchEnded {
    kind: &'static str,
}

impl CacheSync {
    /// Makes the sync state of the cache of kind `K`, and what keeps it up to date.
    pub(crate) fn of<K>(kind: &'static str, requirement: Requirement) -> (Self, SyncWriter<K>) {
        let (sender, state) = watch::channel(State::Pending);
        let health = WatchHealth::new();
        let writer = SyncWriter {
            state: sender,
            requirement,
            health: health.clone(),
            kind: PhantomData,
        };
        let sync = Self {
            kind,
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
        let is_done = |state: &State| is_done(state, self.requirement);
        match state.wait_for(is_done).await {
            Ok(_) => Ok(()),
            Err(_) => Err(WatchEnded { kind: self.kind }),
        }
    }

    /// Returns whether the cache is filled, or its kind is optional and unavailable.
    pub fn is_done(&self) -> bool {
        is_done(&self.state.borrow(), self.requirement)
    }

    /// Returns why the objects of the kind are unavailable, if they are.
    pub fn unavailable(&self) -> Option<String> {
        match &*self.state.borrow() {
            State::Unavailable(message) => Some(message.clone()),
            State::Pending | State::Synced => None,
        }
    }

    /// Whether the cache has no news for too long. An optional kind that is unavailable has none.
    pub fn is_blind(&self) -> bool {
        self.health.is_blind()
            && !(self.requirement == Requirement::Optional && self.unavailable().is_some())
    }

    /// Finds a cache whose watch is not answered although that of another kind is, so that only a new connection or a new process can help.
    pub fn find_blind(syncs: &[Self]) -> Option<&Self> {
        let is_reachable = syncs.iter().any(|sync| !sync.health.is_blind());
        let is_unanswered = |sync: &&Self| sync.is_blind() && sync.health.is_unanswered();
        syncs.iter().find(is_unanswered).filter(|_| is_reachable)
    }
}

fn is_done(state: &State, requirement: Requirement) -> bool {
    match state {
        State::Pending => false,
        State::Synced => true,
        State::Unavailable(_) => requirement == Requirement::Optional,
    }
}

/// Keeps a [`CacheSync`] up to date.
pub(crate) struct SyncWriter<K> {
    state: watch::Sender<State>,
    requirement: Requirement,
    health: WatchHealth,
    kind: PhantomData<fn(K)>,
}

impl<K: Resource<DynamicType = ()>> SyncWriter<K> {
    /// Takes in what happens on the watch, and logs its failures. Returns whether the kind has become available, or ceased to be.
    pub(crate) fn note(&self, signal: &Signal<K>) -> bool {
        match signal {
            Signal::Heard => {
                self.health.note_heard();
                false
            }
            Signal::Event(event) => {
                self.health.note_heard();
                let is_listed = matches!(event, super::WatchEvent::Listed(..));
                is_listed && self.set_synced()
            }
            Signal::Failed(error) => {
                self.health.note_failure(error.status().is_some());
                let has_changed = self.state.send_if_modified(|state| fail::<K>(state, error));
                log::<K>(self.requirement, has_changed, error);
                has_changed
            }
        }
    }

    /// Returns whether this is a change that concerns every EchoCluster, as after the kind was unavailable.
    fn set_synced(&self) -> bool {
        let mut was_unavailable = false;
        self.state.send_if_modified(|state| {
            let before = std::mem::replace(state, State::Synced);
            was_unavailable = matches!(before, State::Unavailable(_));
            before != State::Synced
        });
        was_unavailable
    }
}

/// Notes a failure. A cache that is filled keeps what it has while the watch cannot go on, unless the kind is gone. Returns whether the
/// state has changed.
fn fail<K: Resource<DynamicType = ()>>(state: &mut State, error: &Error) -> bool {
    let (api_version, plural) = (K::api_version(&()), K::plural(&()));
    let message = if is_not_served(error) {
        format!("the API server has no resource {plural} in {api_version}")
    } else if *state == State::Pending {
        format!("the operator cannot list {api_version} {plural}: {error}")
    } else {
        return false;
    };
    let has_changed = !matches!(state, State::Unavailable(_));
    *state = State::Unavailable(message);
    has_changed
}

fn log<K: Resource<DynamicType = ()>>(requirement: Requirement, is_new: bool, error: &Error) {
    let kind = K::kind(&());
    match requirement {
        Requirement::Optional if !is_not_served(error) => {
            warn!(%kind, %error, "failed to watch an optional kind, retrying");
        }
        Requirement::Optional if is_new => {
            info!(%kind, "the API server does not serve this optional kind");
        }
        Requirement::Optional => (),
        Requirement::Required => {
            warn!(%kind, %error, "failed to watch a required kind, retrying");
        }
    }
}

/// Whether the API server has answered that there is no such kind.
fn is_not_served(error: &Error) -> bool {
    error.status().is_some_and(|status| status.code == 404)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Service;

    use super::*;
    use crate::apiserver::cache::WatchEvent;
    use crate::apiserver::cache::health::BLIND_AFTER;

    fn listed() -> Signal<Service> {
        Signal::Event(WatchEvent::Listed(Vec::new(), "1".to_owned()))
    }

    fn refused(code: u16) -> Signal<Service> {
        let status = kube::core::Status::failure("no", "reason").with_code(code);
        Signal::Failed(Error::List(kube::Error::Api(Box::new(status))))
    }

    #[tokio::test]
    async fn every_task_that_waits_is_woken_by_the_first_list() {
        let (sync, writer) = CacheSync::of::<Service>("Services", Requirement::Required);
        let waiting = [sync.clone(), sync.clone(), sync.clone()]
            .map(|sync| tokio::spawn(async move { sync.wait().await }));
        tokio::task::yield_now().await;
        assert!(!sync.is_done());
        writer.note(&listed());
        for waiter in waiting {
            waiter.await.unwrap().unwrap();
        }
    }

    #[tokio::test]
    async fn a_kind_that_cannot_be_listed_stops_only_what_requires_it() {
        for code in [403, 404, 503] {
            let (required, writer) = CacheSync::of::<Service>("Services", Requirement::Required);
            writer.note(&refused(code));
            assert!(!required.is_done(), "{code}");
            let (optional, writer) = CacheSync::of::<Service>("Services", Requirement::Optional);
            writer.note(&refused(code));
            assert!(
                optional.is_done() && optional.unavailable().is_some(),
                "{code}"
            );
            assert!(writer.note(&listed()), "{code}");
            assert!(
                optional.is_done() && optional.unavailable().is_none(),
                "{code}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_kind_is_blind_when_it_is_not_answered_although_another_is() {
        let (services, _writer) = CacheSync::of::<Service>("Services", Requirement::Required);
        let (pods, other) = CacheSync::of::<Service>("Pods", Requirement::Required);
        let syncs = [services, pods];
        tokio::time::advance(BLIND_AFTER).await;
        assert!(
            CacheSync::find_blind(&syncs).is_none(),
            "nothing is reachable"
        );
        other.note(&Signal::Heard);
        assert_eq!(CacheSync::find_blind(&syncs).unwrap().kind, "Services");
    }

    #[tokio::test]
    async fn a_filled_cache_is_kept_while_its_watch_fails_unless_the_kind_is_gone() {
        let (sync, writer) = CacheSync::of::<Service>("Services", Requirement::Optional);
        writer.note(&listed());
        assert!(!writer.note(&refused(503)));
        assert!(sync.unavailable().is_none());
        assert!(writer.note(&refused(404)));
        assert!(sync.unavailable().is_some());
    }
}
