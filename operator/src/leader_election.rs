//! Leader election: of several operators, the one that holds a Lease reconciles, and the others keep their caches filled.
//!
//! [`decide`] is the rule; this is the loop that does what it says. The Lease is watched, so that a follower leads some milliseconds after
//! the leader has released it. Each read and write has a deadline, and the watch as well.
#![expect(clippy::disallowed_types, reason = "passes on the client of the Lease")]

use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use kube::api::WatchEvent;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tracing::{info, warn};

use crate::apiserver::leadership::LeadershipWriter;
use crate::apiserver::lease::{Event, LeaseClient, NewHolder, WATCH_TIMEOUT};
use crate::apiserver::request::message_of;
use crate::model::leader_election::{Candidate, Decision, Loss, Observed, Record, Timings, decide};

/// The deadline of releasing the Lease. If that fails, another candidate waits until the Lease expires. Together with 45 s for running
/// reconciles and 2 s for events, this is shorter than `terminationGracePeriodSeconds` in `config/operator`.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(5);

/// How much longer than [`WATCH_TIMEOUT`] a watch may last, after which the API server has ended it.
const WATCH_GRACE: Duration = Duration::from_secs(5);

/// How often the same failure is logged.
const LOG_INTERVAL: Duration = Duration::from_mins(1);

/// Which Lease is held, by whom, and for how long.
#[derive(Clone, Debug)]
pub struct Configuration {
    /// The namespace of the Lease.
    pub namespace: String,
    /// The name of the Lease.
    pub name: String,
    /// The identity of this process. No other process may have or have had it.
    pub identity: String,
    /// The timings.
    pub timings: Timings,
    /// Returns the time that is written into the Lease.
    pub clock: fn() -> Timestamp,
}

/// A candidate of an election.
pub struct Election {
    configuration: Configuration,
    lease: LeaseClient,
    leadership: LeadershipWriter,
    observed: Observed,
    /// When its last successful write was about to be sent; `None` while it does not lead.
    renewed_at: Option<Duration>,
    /// Whether a write was sent, so that this process may be the holder although no reply has said so.
    may_hold: bool,
    /// Whether its last write was a conflict, and nothing else was observed since.
    has_conflicted: bool,
    watch: Watch,
    /// Since when it can neither write the Lease nor sees that another candidate does.
    failing_since: Option<Duration>,
    /// The failure that was logged last, and when.
    logged: Option<(String, Duration)>,
    /// What times are counted from.
    start: Instant,
}

/// The watch of the Lease.
#[derive(Default)]
struct Watch {
    events: Option<BoxStream<'static, kube::Result<WatchEvent<Lease>>>>,
    opened_at: Duration,
    /// It is not opened earlier, since it has failed.
    retry_at: Duration,
}

/// Why a request has failed.
enum Error {
    /// There was no answer before its deadline.
    TimedOut,
    /// The API server, or the connection, has answered with an error.
    Request(kube::Error),
}

impl Error {
    /// Whether another client has changed the Lease.
    fn is_conflict(&self) -> bool {
        matches!(self, Self::Request(kube::Error::Api(status)) if status.code == 409)
    }

    fn message(&self) -> String {
        match self {
            Self::TimedOut => "no answer in time".to_owned(),
            Self::Request(error) => message_of(error),
        }
    }
}

impl Election {
    /// Makes a candidate that sets `leadership`. The client must not depend on that leadership.
    pub fn new(client: Client, configuration: Configuration, leadership: LeadershipWriter) -> Self {
        let Configuration {
            namespace,
            name,
            timings,
            ..
        } = &configuration;
        Self {
            lease: LeaseClient::new(client, namespace, name, timings.lease_duration),
            configuration,
            leadership,
            observed: Observed::default(),
            renewed_at: None,
            may_hold: false,
            has_conflicted: false,
            watch: Watch::default(),
            failing_since: None,
            logged: None,
            start: Instant::now(),
        }
    }

    /// Takes part in the election while `work`, which the leader does, is running, and releases the Lease when it ends.
    ///
    /// # Errors
    /// [`Loss`]: this process has ceased to be the leader. Nothing of `work` runs any more, and the process has to end.
    pub async fn lead<T>(mut self, work: impl Future<Output = T>) -> Result<T, Loss> {
        let ended = tokio::select! {
            biased; // nothing of the work runs any more when the leadership is lost
            loss = self.run() => return Err(loss),
            ended = work => ended,
        };
        self.release().await;
        Ok(ended)
    }

    /// Takes part in the election as soon as this process can lead, until it ceases to be the leader. Returns why; the process has to end
    /// then, since it may have work in progress.
    pub async fn run(&mut self) -> Loss {
        self.leadership.until_candidate().await;
        let Configuration {
            namespace,
            name,
            identity,
            ..
        } = &self.configuration;
        info!(namespace, name, identity, "waiting to become the leader");
        loop {
            let now = self.now();
            match decide(&self.observed, now, &self.candidate()) {
                Decision::Read => self.read(now).await,
                Decision::Write => self.write(now).await,
                Decision::WaitUntil(time) => self.wait_until(time).await,
                Decision::Stop(loss) => {
                    self.leadership.end();
                    return loss;
                }
            }
        }
    }

    /// Releases the Lease, if this process holds it, so that another candidate leads at once. All work of the leader has to be done.
    pub async fn release(mut self) {
        self.leadership.end();
        if !self.may_hold {
            return;
        }
        match timeout(RELEASE_TIMEOUT, self.try_release()).await {
            Ok(Ok(true)) => info!("released the Lease"),
            Ok(Ok(false)) => (), // another one holds it
            Ok(Err(error)) => warn!(error = message_of(&error), "failed to release the Lease"),
            Err(_) => warn!("failed to release the Lease in time"),
        }
    }

    /// Returns whether it has released the Lease.
    async fn try_release(&mut self) -> kube::Result<bool> {
        let (identity, now) = (&self.configuration.identity, (self.configuration.clock)());
        if let Ok(true) = self.lease.release(identity, now).await {
            return Ok(true);
        }
        // A write that was interrupted may have been carried out.
        self.lease.read().await?;
        self.lease.release(identity, now).await
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn candidate(&self) -> Candidate<'_> {
        Candidate {
            identity: &self.configuration.identity,
            renewed_at: self.renewed_at,
            timings: self.configuration.timings,
        }
    }

    /// Returns the deadline of an attempt that begins at `now`. It leaves time for another attempt, and is never later than the renew
    /// deadline of a leader.
    fn attempt_deadline(&self, now: Duration) -> Instant {
        let renew_deadline = self.configuration.timings.renew_deadline;
        let end = now + renew_deadline / 2;
        let leading = self
            .renewed_at
            .map(|renewed_at| renewed_at + renew_deadline);
        self.start + leading.map_or(end, |deadline| end.min(deadline))
    }

    async fn read(&mut self, now: Duration) {
        let deadline = self.attempt_deadline(now);
        match in_time(deadline, self.lease.read()).await {
            Ok(record) => self.observe(record),
            Err(error) => self.fail("read", now, &error),
        }
    }

    async fn write(&mut self, now: Duration) {
        let deadline = self.attempt_deadline(now);
        let holder = NewHolder {
            identity: &self.configuration.identity,
            lease_duration: self.configuration.timings.lease_duration,
            now: (self.configuration.clock)(),
        };
        self.may_hold = true;
        match in_time(deadline, self.lease.acquire_or_renew(holder)).await {
            Ok(record) => {
                self.clear_failure();
                self.observe(record);
                self.lead_since(now);
            }
            // What has changed is read at once, but not again and again.
            Err(error) if error.is_conflict() && !self.has_conflicted => {
                self.has_conflicted = true;
                self.watch.events = None; // it has not reported the change
                self.observed.set_outdated(now);
            }
            Err(error) => self.fail("write", now, &error),
        }
    }

    fn lead_since(&mut self, sent: Duration) {
        if self.renewed_at.is_none() {
            info!("became the leader");
        }
        self.renewed_at = Some(sent);
        let deadline = self.start + sent + self.configuration.timings.renew_deadline;
        self.leadership.lead_until(deadline);
    }

    /// Waits until that time, or until the watch reports a change.
    async fn wait_until(&mut self, time: Duration) {
        let now = self.now();
        if self.watch.events.is_none() && now < self.watch.retry_at {
            sleep_until(self.start + time.min(self.watch.retry_at)).await;
            return;
        }
        let overdue = self.watch.opened_at + WATCH_TIMEOUT + WATCH_GRACE;
        let is_open = self.watch.events.is_some();
        let deadline = if is_open { time.min(overdue) } else { time };
        let Ok(event) = timeout_at(self.start + deadline, self.next_event()).await else {
            if is_open && self.now() >= overdue {
                self.watch.events = None;
            }
            return;
        };
        match event {
            Ok(Some(Event::Observed(record))) => self.observe(record),
            Ok(Some(Event::Older)) => (),
            // It goes on from the version that was observed last.
            Ok(None) => {
                self.watch.events = None;
                self.watch.retry_at =
                    self.watch.opened_at + self.configuration.timings.retry_period;
            }
            Ok(Some(Event::Failed(error))) | Err(error) => {
                let (now, error) = (self.now(), Error::Request(error));
                if self.renewed_at.is_none() {
                    self.fail("watch", now, &error);
                } else {
                    // A leader needs no watch to renew the Lease.
                    self.watch.events = None;
                    self.watch.retry_at = now + self.configuration.timings.retry_period;
                    self.log_failure("watch", &error);
                }
            }
        }
    }

    /// Returns the next event of the watch; `None` at its end.
    async fn next_event(&mut self) -> kube::Result<Option<Event>> {
        if self.watch.events.is_none() {
            self.watch.opened_at = self.start.elapsed();
            self.watch.events = Some(self.lease.watch().await?);
        }
        let Some(events) = &mut self.watch.events else {
            return Ok(None);
        };
        let event = events.next().await.transpose()?;
        Ok(event.map(|event| self.lease.observe_event(event)))
    }

    /// Takes in what the Lease says.
    fn observe(&mut self, record: Option<Record>) {
        let before = self.observed.clone();
        self.observed.observe(record, self.start.elapsed());
        if before.record != self.observed.record {
            self.has_conflicted = false;
        }
        let holder = self.observed.holder();
        if before.holder() != holder {
            info!(
                holder = holder.unwrap_or("none"),
                "the holder of the Lease has changed"
            );
        }
        // As long as another candidate renews the Lease, this one can wait.
        let is_foreign = holder.is_some_and(|holder| holder != self.configuration.identity);
        if is_foreign && self.observed.expiry > before.expiry {
            self.clear_failure();
        }
    }

    /// Takes in that the election works, so that no failure is reported.
    fn clear_failure(&mut self) {
        self.failing_since = None;
        self.leadership.set_failure(None);
    }

    /// Takes in the failure of a request that was sent at `sent`, and reports one that lasts. The Lease is read next, after a pause; its
    /// watch is opened anew, since it may hang.
    fn fail(&mut self, verb: &'static str, sent: Duration, error: &Error) {
        let timings = self.configuration.timings;
        let retry_at = sent + timings.retry_period;
        self.watch.events = None;
        self.watch.retry_at = retry_at;
        self.observed.set_outdated(retry_at);
        let message = self.log_failure(verb, error);
        let since = *self.failing_since.get_or_insert(sent);
        if self.now() >= since + timings.renew_deadline {
            self.leadership.set_failure(Some(message));
        }
    }

    /// Logs a failure, unless it was logged a short time ago. Returns its message.
    fn log_failure(&mut self, verb: &'static str, error: &Error) -> String {
        let now = self.now();
        let message = format!("failed to {verb} the Lease: {}", error.message());
        let is_known =
            |(logged, at): &(String, Duration)| *logged == message && now < *at + LOG_INTERVAL;
        if !self.logged.as_ref().is_some_and(is_known) {
            warn!("{message}");
            self.logged = Some((message.clone(), now));
        }
        message
    }
}

/// Waits for a request until its deadline.
async fn in_time<T>(
    deadline: Instant,
    sent: impl Future<Output = kube::Result<T>>,
) -> Result<T, Error> {
    match timeout_at(deadline, sent).await {
        Ok(result) => result.map_err(Error::Request),
        Err(_) => Err(Error::TimedOut),
    }
}

#[cfg(test)]
mod tests;
