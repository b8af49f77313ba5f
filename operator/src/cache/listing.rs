//! Whether a watch has listed what there is.

use kube::Resource;
use kube::runtime::watcher;
use tokio::sync::watch;
use tracing::{info, warn};

/// Whether a watch has listed once what there is. Any number of tasks may wait for that; the runtime's own
/// `Store::wait_until_ready` wakes only the one that has asked last, and the others sleep on.
#[derive(Clone, Debug)]
pub struct Listing {
    state: watch::Receiver<State>,
    need: Need,
}

/// Whether the operator can do without a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// It cannot: nothing is done until the kind is listed.
    Required,
    /// It can: EchoClusters that ask for the kind are told, and the others do not notice.
    Optional,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// Not yet.
    Pending,
    /// It has.
    Listed,
    /// It cannot, for the reason given. The watch goes on asking, at last every half minute.
    Unlistable(String),
}

/// A watch has ended before it listed anything, as it does when the operator stops. No retry helps.
#[derive(Debug, thiserror::Error)]
#[error("failed to wait for a watch, which has ended")]
pub struct WatchEnded;

impl Listing {
    /// Makes the listing of a watch over kind `K`, and what has to be shown each of the watch's events. It logs the errors, with the kind
    /// that the runtime's own messages lack.
    pub fn of<K: Resource<DynamicType = ()>>(
        need: Need,
    ) -> (
        Self,
        impl FnMut(&watcher::Result<watcher::Event<K>>) + Send + 'static,
    ) {
        let (listing, state) = watch::channel(State::Pending);
        let note = move |event: &watcher::Result<watcher::Event<K>>| match event {
            Ok(watcher::Event::InitDone) => {
                listing.send_if_modified(|state| {
                    std::mem::replace(state, State::Listed) != State::Listed
                });
            }
            Ok(_) => (),
            Err(error) => {
                let is_news = listing.send_if_modified(|state| fail::<K>(state, error));
                log::<K>(need, is_news, error);
            }
        };
        (Self { state, need }, note)
    }

    /// Waits for the list, or for the word that a kind that is optional cannot be listed.
    ///
    /// # Errors
    /// [`WatchEnded`].
    pub async fn wait(&self) -> Result<(), WatchEnded> {
        let mut state = self.state.clone();
        let need = self.need;
        state
            .wait_for(|state| is_done(state, need))
            .await
            .map_err(|_| WatchEnded)?;
        Ok(())
    }

    /// Tells whether there is a list, or none is needed.
    pub fn is_done(&self) -> bool {
        is_done(&self.state.borrow(), self.need)
    }

    /// Returns why objects of the kind cannot be had, in words for a person.
    pub fn obstacle(&self) -> Option<String> {
        match &*self.state.borrow() {
            State::Unlistable(obstacle) => Some(obstacle.clone()),
            State::Pending | State::Listed => None,
        }
    }

    /// Returns a stream with an item each time that the kind begins or ceases to be listed.
    pub fn changes(&self) -> impl futures::Stream<Item = ()> + Send + 'static + use<> {
        futures::stream::unfold(self.state.clone(), |mut state| async {
            state.changed().await.ok()?;
            Some(((), state))
        })
    }
}

fn is_done(state: &State, need: Need) -> bool {
    match state {
        State::Pending => false,
        State::Listed => true,
        State::Unlistable(_) => need == Need::Optional,
    }
}

/// Notes an error of a watch. One that has listed lives on what it knows while it cannot go on, unless the kind is gone. Returns whether
/// the state has changed.
fn fail<K: Resource<DynamicType = ()>>(state: &mut State, error: &watcher::Error) -> bool {
    let (api_version, plural) = (K::api_version(&()), K::plural(&()));
    let obstacle = if is_not_served(error) {
        format!("the cluster does not serve {api_version} {plural}")
    } else if *state == State::Pending {
        format!("the operator cannot list {api_version} {plural}: {error}")
    } else {
        return false;
    };
    let is_news = !matches!(state, State::Unlistable(_));
    *state = State::Unlistable(obstacle);
    is_news
}

fn log<K: Resource<DynamicType = ()>>(need: Need, is_news: bool, error: &watcher::Error) {
    let kind = K::kind(&());
    match need {
        Need::Optional if !is_not_served(error) => {
            warn!(%kind, %error, "failed to watch, will try again");
        }
        Need::Optional if is_news => {
            info!(%kind, "the cluster does not serve this kind, will look again");
        }
        Need::Optional => (),
        Need::Required => {
            warn!(%kind, %error, "failed to watch what the operator cannot do without, will try again");
        }
    }
}

/// Whether the API server has answered that there is no such kind.
fn is_not_served(error: &watcher::Error) -> bool {
    let (watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error)) =
        error
    else {
        return false;
    };
    matches!(error, kube::Error::Api(status) if status.code == 404)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::StreamExt;
    use k8s_openapi::api::core::v1::Service;

    use super::*;
    use crate::cache::keep;

    #[tokio::test]
    async fn everyone_who_waits_for_a_list_is_woken_by_it() {
        let (send, events) = futures::channel::mpsc::unbounded();
        let (cache, kept) = keep::<Service>(Need::Required, events);
        let waiting = [
            cache.listing.clone(),
            cache.listing.clone(),
            cache.listing.clone(),
        ]
        .map(|listed| tokio::spawn(async move { listed.wait().await }));
        tokio::spawn(kept.for_each(|_| std::future::ready(())));
        tokio::task::yield_now().await;
        assert!(!cache.listing.is_done());
        for event in [watcher::Event::Init, watcher::Event::InitDone] {
            send.unbounded_send(Ok(event)).unwrap();
        }
        for waiter in waiting {
            let woken = tokio::time::timeout(Duration::from_secs(10), waiter).await;
            woken.expect("a waiter sleeps on").unwrap().unwrap();
        }
    }

    fn refused(code: u16) -> watcher::Error {
        let status = kube::core::Status::failure("no", "reason").with_code(code);
        watcher::Error::InitialListFailed(kube::Error::Api(Box::new(status)))
    }

    #[test]
    fn a_kind_that_cannot_be_listed_stops_only_what_needs_it() {
        for code in [403, 404, 503] {
            let (required, mut note) = Listing::of::<Service>(Need::Required);
            note(&Err(refused(code)));
            assert!(!required.is_done(), "{code}");
            let (optional, mut note) = Listing::of::<Service>(Need::Optional);
            note(&Err(refused(code)));
            assert!(optional.is_done(), "{code}");
            assert!(optional.obstacle().is_some(), "{code}");
        }
    }

    #[test]
    fn a_list_stays_known_while_the_watch_fails_and_is_dropped_when_the_kind_goes() {
        let (listing, mut note) = Listing::of::<Service>(Need::Optional);
        note(&Ok(watcher::Event::InitDone));
        note(&Err(refused(503)));
        assert_eq!(listing.obstacle(), None);
        note(&Err(refused(404)));
        let obstacle = listing.obstacle().unwrap();
        assert_eq!(obstacle, "the cluster does not serve v1 services");
        note(&Ok(watcher::Event::InitDone));
        assert_eq!(listing.obstacle(), None);
    }
}
