//! The Lease of the leader: reads, conditional writes and a watch. None of them is repeated here.
#![expect(
    clippy::disallowed_types,
    reason = "the Lease is written by a client of its own, which needs no leadership"
)]

use std::time::Duration;

use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ObjectMeta, WatchEvent, WatchParams};
use kube::{Api, Client, ResourceExt};

use crate::apiserver::cache::version;
use crate::apiserver::request::post_params;
use crate::model::leader_election::Record;

/// The time after which the API server ends a watch of the Lease, so that one that delivers nothing any more is noticed.
pub(crate) const WATCH_TIMEOUT: Duration = Duration::from_mins(1);

/// The longest time that a Lease is waited for, whatever someone has written into it. It is the longest that the flags allow.
pub(crate) const LONGEST_DURATION: Duration = Duration::from_hours(1);

/// The Lease of one name.
pub(crate) struct LeaseClient {
    api: Api<Lease>,
    name: String,
    /// The Lease as it was last read or written, with fields of other clients, which a write keeps.
    last: Option<Lease>,
    /// The duration of a Lease that has none.
    default_duration: Duration,
}

/// What an event of the watch means.
pub(crate) enum Event {
    /// The Lease has changed.
    Observed(Option<Record>),
    /// Nothing new.
    Older,
    /// The watch cannot go on.
    Failed(kube::Error),
}

/// What a candidate writes into the Lease.
#[derive(Clone, Copy)]
pub(crate) struct NewHolder<'a> {
    /// Who holds it from now on.
    pub(crate) identity: &'a str,
    /// How long it is valid.
    pub(crate) lease_duration: Duration,
    /// The time of the write, which only people read.
    pub(crate) now: Timestamp,
}

impl LeaseClient {
    /// Makes a client of the Lease of this name. A Lease without a duration is valid for `default_duration`.
    pub(crate) fn new(
        client: Client,
        namespace: &str,
        name: &str,
        default_duration: Duration,
    ) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            name: name.to_owned(),
            last: None,
            default_duration,
        }
    }

    /// Reads the Lease.
    pub(crate) async fn read(&mut self) -> kube::Result<Option<Record>> {
        let lease = self.api.get_opt(&self.name).await?;
        Ok(self.remember(lease))
    }

    /// Acquires or renews the Lease, if it is as it was last read, or still does not exist.
    pub(crate) async fn acquire_or_renew(
        &mut self,
        holder: NewHolder<'_>,
    ) -> kube::Result<Option<Record>> {
        let spec = self.last.as_ref().and_then(|lease| lease.spec.as_ref());
        let spec = held(spec.cloned().unwrap_or_default(), holder);
        self.write(spec).await
    }

    /// Removes `identity` as the holder, if the Lease is as it was last read. Returns whether it was the holder.
    pub(crate) async fn release(&mut self, identity: &str, now: Timestamp) -> kube::Result<bool> {
        let spec = self.last.as_ref().and_then(|lease| lease.spec.clone());
        let spec = spec.unwrap_or_default();
        if spec.holder_identity.as_deref() != Some(identity) {
            return Ok(false);
        }
        self.write(released(spec, now)).await?;
        Ok(true)
    }

    async fn write(&mut self, spec: LeaseSpec) -> kube::Result<Option<Record>> {
        let parameters = post_params();
        let written = if let Some(last) = self.last.clone() {
            // With the UID, since the API server would create a Lease that was deleted by a PUT without one.
            let lease = Lease {
                spec: Some(spec),
                ..last
            };
            self.api.replace(&self.name, &parameters, &lease).await?
        } else {
            let metadata = ObjectMeta {
                name: Some(self.name.clone()),
                ..ObjectMeta::default()
            };
            let lease = Lease {
                metadata,
                spec: Some(spec),
            };
            self.api.create(&parameters, &lease).await?
        };
        Ok(self.remember(Some(written)))
    }

    /// Watches the Lease from the version that was last read. It ends with an error, or at its timeout.
    pub(crate) async fn watch(
        &self,
    ) -> kube::Result<BoxStream<'static, kube::Result<WatchEvent<Lease>>>> {
        let parameters = WatchParams::default()
            .fields(&format!("metadata.name={}", self.name))
            .disable_bookmarks();
        let parameters = WatchParams {
            timeout: u32::try_from(WATCH_TIMEOUT.as_secs()).ok(),
            ..parameters
        };
        let version = self.last.as_ref().and_then(ResourceExt::resource_version);
        let events = self
            .api
            .watch(&parameters, version.as_deref().unwrap_or_default())
            .await?;
        Ok(events.into_stream().boxed())
    }

    /// Takes in an event of the watch, unless it is older than what was read or written since. Returns whether the watch goes on.
    pub(crate) fn observe_event(&mut self, event: WatchEvent<Lease>) -> Event {
        let (lease, is_deleted) = match event {
            WatchEvent::Added(lease) | WatchEvent::Modified(lease) => (lease, false),
            WatchEvent::Deleted(lease) => (lease, true),
            WatchEvent::Bookmark(_) => return Event::Older,
            WatchEvent::Error(status) => return Event::Failed(kube::Error::Api(status)),
        };
        let known = self.last.as_ref().map(version);
        if known.is_some_and(|known| version(&lease) <= known) {
            return Event::Older;
        }
        Event::Observed(self.remember((!is_deleted).then_some(lease)))
    }

    fn remember(&mut self, lease: Option<Lease>) -> Option<Record> {
        let record = lease
            .as_ref()
            .map(|lease| record_of(lease, self.default_duration));
        self.last = lease;
        record
    }
}

fn record_of(lease: &Lease, default_duration: Duration) -> Record {
    let spec = lease.spec.as_ref();
    let renewed = spec.and_then(|spec| spec.renew_time.as_ref());
    let seconds = spec.and_then(|spec| spec.lease_duration_seconds);
    let seconds = seconds.and_then(|seconds| u64::try_from(seconds).ok());
    let duration = seconds
        .filter(|seconds| *seconds > 0)
        .map(Duration::from_secs);
    let holder = spec.and_then(|spec| spec.holder_identity.clone());
    Record {
        renewal: format!("{:?} {renewed:?}", lease.metadata.uid),
        holder: holder.filter(|holder| !holder.is_empty()),
        duration: duration.map_or(default_duration, |duration| duration.min(LONGEST_DURATION)),
    }
}

/// Returns the spec with its holder. The fields of coordinated leader election stay.
fn held(mut spec: LeaseSpec, holder: NewHolder<'_>) -> LeaseSpec {
    let seconds = i32::try_from(holder.lease_duration.as_secs()).unwrap_or(i32::MAX);
    let now = after(spec.renew_time.as_ref(), holder.now);
    if spec.holder_identity.as_deref() != Some(holder.identity) {
        let transitions = spec
            .lease_transitions
            .map_or(0, |count| count.saturating_add(1));
        spec.lease_transitions = Some(transitions);
        spec.acquire_time = Some(MicroTime(now));
        spec.holder_identity = Some(holder.identity.to_owned());
    }
    spec.renew_time = Some(MicroTime(now));
    spec.lease_duration_seconds = Some(seconds);
    spec
}

/// Returns the spec without a holder, as client-go releases a Lease: with the shortest duration that the API server accepts.
fn released(mut spec: LeaseSpec, now: Timestamp) -> LeaseSpec {
    spec.holder_identity = None;
    spec.renew_time = Some(MicroTime(after(spec.renew_time.as_ref(), now)));
    spec.lease_duration_seconds = Some(1);
    spec
}

/// Returns the time of a write: now, but later than the time of the last one, since a write that changes nothing is no renewal, and clocks
/// differ. The API server keeps microseconds.
fn after(last: Option<&MicroTime>, now: Timestamp) -> Timestamp {
    let next = last.and_then(|last| last.0.checked_add(Duration::from_micros(1)).ok());
    next.map_or(now, |next| next.max(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULT: Duration = Duration::from_secs(15);

    fn lease(duration: Option<i32>, renewed: i64) -> Lease {
        let spec = LeaseSpec {
            holder_identity: Some("one".to_owned()),
            lease_duration_seconds: duration,
            renew_time: Some(MicroTime(Timestamp::from_second(renewed).unwrap())),
            ..LeaseSpec::default()
        };
        Lease {
            spec: Some(spec),
            ..Lease::default()
        }
    }

    #[test]
    fn a_duration_that_is_missing_or_absurd_is_replaced() {
        let duration = |seconds| record_of(&lease(seconds, 0), DEFAULT).duration;
        assert_eq!(duration(Some(6)), Duration::from_secs(6));
        for missing in [None, Some(0), Some(-1)] {
            assert_eq!(duration(missing), DEFAULT);
        }
        assert_eq!(duration(Some(i32::MAX)), LONGEST_DURATION);
    }

    #[test]
    fn each_renewal_is_later_than_the_last_whatever_the_clock_says() {
        let renewed = |clock: i64| {
            let spec = lease(Some(15), 1_000).spec.unwrap();
            let holder = NewHolder {
                identity: "one",
                lease_duration: DEFAULT,
                now: Timestamp::from_second(clock).unwrap(),
            };
            held(spec, holder).renew_time.unwrap().0
        };
        assert_eq!(renewed(2_000).as_second(), 2_000);
        assert_eq!(renewed(500).as_microsecond(), 1_000_000_001);
        assert_eq!(renewed(1_000).as_microsecond(), 1_000_000_001);
    }
}
