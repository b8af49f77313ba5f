//! Leadership: the permission to write, until the renew deadline. The client checks it for each write ([`super::client::connect`]), whatever
//! code makes the request. What has been handed to the connection by then may still be sent.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// Whether this process is the leader. Clones share it.
#[derive(Clone, Debug)]
pub struct Leadership {
    /// The name of the Lease, if there is an election.
    lease: Option<Arc<str>>,
    state: watch::Receiver<State>,
    failure: watch::Receiver<Option<String>>,
    is_candidate: Arc<watch::Sender<bool>>,
}

/// Sets the [`Leadership`]. After it is dropped, the leadership ends at its deadline.
#[derive(Debug)]
pub struct LeadershipWriter {
    state: watch::Sender<State>,
    failure: watch::Sender<Option<String>>,
    is_candidate: watch::Receiver<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// There is no election: this is the only process.
    Unconditional,
    /// Another process may be the leader.
    Follower,
    /// This process is the leader until then.
    LeaderUntil(Instant),
}

impl State {
    fn is_leader(self) -> bool {
        match self {
            Self::Unconditional => true,
            Self::Follower => false,
            Self::LeaderUntil(deadline) => Instant::now() < deadline,
        }
    }
}

/// A write that was not sent or was cancelled, since this process is not the leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this process is not the leader")]
pub struct NotLeader;

impl Leadership {
    /// Returns the leadership of a process that is the only one, and needs no election.
    pub fn unconditional() -> Self {
        Self::begin(None, State::Unconditional).1
    }

    /// Returns the leadership of a process that takes part in the election of this Lease. It begins as a follower.
    pub fn elected(lease: &str) -> (LeadershipWriter, Self) {
        Self::begin(Some(lease.into()), State::Follower)
    }

    fn begin(lease: Option<Arc<str>>, state: State) -> (LeadershipWriter, Self) {
        let (state_writer, state) = watch::channel(state);
        let (failure_writer, failure) = watch::channel(None);
        let (candidate, is_candidate) = watch::channel(false);
        let writer = LeadershipWriter {
            state: state_writer,
            failure: failure_writer,
            is_candidate,
        };
        let leadership = Self {
            lease,
            state,
            failure,
            is_candidate: Arc::new(candidate),
        };
        (writer, leadership)
    }

    /// Returns the name of the Lease, if there is an election.
    pub fn lease(&self) -> Option<&str> {
        self.lease.as_deref()
    }

    /// Returns whether this process is the leader at this moment.
    pub fn is_leader(&self) -> bool {
        self.state.borrow().is_leader()
    }

    /// Becomes a candidate, and waits until this process is the leader. That may take for ever.
    pub async fn acquire(&self) {
        self.is_candidate.send_replace(true);
        wait_for(&self.state, |state| state.is_leader()).await;
    }

    /// Returns why this process cannot take part in the election, if it has not been able to for some time.
    pub fn failure(&self) -> Option<String> {
        self.failure.borrow().clone()
    }

    /// Waits until this process is not the leader. Returns at once if it is a follower.
    pub(super) async fn ended(&self) {
        let mut state = self.state.clone();
        loop {
            let current = *state.borrow_and_update();
            let deadline = match current {
                State::Unconditional => std::future::pending().await,
                State::Follower => return,
                State::LeaderUntil(deadline) => deadline,
            };
            if Instant::now() >= deadline {
                return;
            }
            tokio::select! {
                () = sleep_until(deadline) => (),
                Ok(()) = state.changed() => (), // renewed or ended; an error means that the writer was dropped, and then the deadline decides
            }
        }
    }
}

/// Waits for a value; for ever, if its sender was dropped.
async fn wait_for<T>(values: &watch::Receiver<T>, matches: impl FnMut(&T) -> bool) {
    if values.clone().wait_for(matches).await.is_err() {
        std::future::pending::<()>().await;
    }
}

impl LeadershipWriter {
    /// Waits until this process is a candidate: it could not do the work of a leader before.
    pub async fn until_candidate(&self) {
        wait_for(&self.is_candidate, |is_candidate| *is_candidate).await;
    }

    /// Makes this process the leader until `deadline`.
    pub fn lead_until(&self, deadline: Instant) {
        self.state.send_replace(State::LeaderUntil(deadline));
    }

    /// Makes this process a follower.
    pub fn end(&self) {
        self.state.send_replace(State::Follower);
    }

    /// Sets why this process cannot take part in the election.
    pub fn set_failure(&self, failure: Option<String>) {
        self.failure.send_replace(failure);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn leadership_ends_at_its_deadline_unless_it_is_renewed() {
        let (writer, leadership) = Leadership::elected("echo-operator");
        assert!(!leadership.is_leader());
        let started = Instant::now();
        leadership.ended().await;
        writer.lead_until(started + Duration::from_secs(10));
        leadership.acquire().await;
        let renewal = async {
            tokio::time::sleep(Duration::from_secs(2)).await;
            writer.lead_until(started + Duration::from_secs(12));
            drop(writer);
        };
        tokio::join!(renewal, leadership.ended());
        assert_eq!(started.elapsed(), Duration::from_secs(12));
        assert!(!leadership.is_leader());
    }

    #[tokio::test(start_paused = true)]
    async fn leadership_ends_at_once_when_it_is_lost() {
        let (writer, leadership) = Leadership::elected("echo-operator");
        writer.lead_until(Instant::now() + Duration::from_secs(10));
        let started = Instant::now();
        tokio::join!(async { writer.end() }, leadership.ended());
        assert_eq!(started.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_without_an_election_leads_at_any_time() {
        let leadership = Leadership::unconditional();
        leadership.acquire().await;
        tokio::time::advance(Duration::from_hours(1000)).await;
        assert!(leadership.is_leader());
    }
}
