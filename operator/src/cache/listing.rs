//! Whether a watch has listed what there is.

use kube::Resource;
use kube::runtime::watcher;
use tokio::sync::watch;
use tracing::{info, warn};

/// Whether a watch has listed once what there is. Any number of tasks may wait for that; the runtime's own
/// `Store::wait_until_ready` wakes only the one that has asked last, and the others sleep on.
#[derive(Clone, Debug)]
pub struct Listing(watch::Receiver<State>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Not yet.
    Pending,
    /// It has.
    Listed,
    /// There can be nothing, since the API server does not know the kind. The watch goes on asking, every half minute.
    NotServed,
}

/// A watch has ended before it listed anything, as it does when the operator stops. No retry helps.
#[derive(Debug, thiserror::Error)]
#[error("failed to wait for a watch, which has ended")]
pub struct WatchEnded;

impl Listing {
    /// Makes the listing of a watch over kind `K`, and what has to be shown each of the watch's events. It logs the errors, with the kind
    /// that the runtime's own messages lack.
    pub fn of<K: Resource<DynamicType = ()>>() -> (
        Self,
        impl FnMut(&watcher::Result<watcher::Event<K>>) + Send + 'static,
    ) {
        let (listing, watched) = watch::channel(State::Pending);
        let kind = K::kind(&());
        let note = move |event: &watcher::Result<watcher::Event<K>>| match event {
            Ok(watcher::Event::InitDone) => {
                listing.send_if_modified(|state| {
                    std::mem::replace(state, State::Listed) != State::Listed
                });
            }
            Ok(_) => (),
            Err(error) if is_not_served(error) => {
                if listing.send_if_modified(|state| {
                    std::mem::replace(state, State::NotServed) != State::NotServed
                }) {
                    info!(%kind, "the cluster does not serve this kind, will look again");
                }
            }
            Err(error) => warn!(%kind, %error, "failed to watch, will try again"),
        };
        (Self(watched), note)
    }

    /// Waits for the list, or for the word that there is none.
    ///
    /// # Errors
    /// [`WatchEnded`].
    pub async fn wait(&self) -> Result<(), WatchEnded> {
        let mut listing = self.0.clone();
        listing
            .wait_for(|state| *state != State::Pending)
            .await
            .map_err(|_| WatchEnded)?;
        Ok(())
    }

    /// Tells whether there is a list, or none to be had.
    pub fn is_done(&self) -> bool {
        *self.0.borrow() != State::Pending
    }

    /// Tells whether the API server does not know the kind.
    pub fn is_not_served(&self) -> bool {
        *self.0.borrow() == State::NotServed
    }

    /// Returns a stream with an item each time that the kind begins or ceases to be served.
    pub fn changes(&self) -> impl futures::Stream<Item = ()> + Send + 'static + use<> {
        futures::stream::unfold(self.0.clone(), |mut listing| async {
            listing.changed().await.ok()?;
            Some(((), listing))
        })
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
        let (cache, kept) = keep::<Service>(events);
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
}
