//! The faults between the operator and the API server, chosen by the seed.

use std::collections::BTreeMap;
use std::hash::Hasher;
use std::time::Duration;

use fastrand::Rng;
use fnv::FnvHasher;

use crate::kind::Kind;
use crate::status::Failure;

/// The fault of one request.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// The request is delayed.
    Slow(Duration),
    /// The response is delayed.
    Late(Duration),
    /// The API server returns an error and does nothing.
    Error(Failure),
    /// The connection is reset before the request arrives.
    ResetBefore,
    /// The connection is reset after the request was carried out.
    ResetAfter,
    /// No response is sent, and nothing is done.
    Hang,
    /// The request is carried out, but no response is sent.
    HangAfter,
    /// The operator crashes before the request arrives.
    CrashBefore,
    /// The operator crashes after the request was carried out.
    CrashAfter,
}

/// The type of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    List,
    Watch,
    Write,
    /// Writes of events.
    Event,
}

/// The properties of a request by which faults are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RequestInfo {
    pub(crate) access: Access,
    pub(crate) kind: Option<Kind>,
    /// Whether it is for the second or a later page of a list.
    pub(crate) is_continued: bool,
}

/// Chooses the fault of each request, as a test defines it.
type Script = Box<dyn FnMut(RequestInfo) -> Option<Fault> + Send>;

/// How often each fault occurs, in a thousand requests.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rates {
    errors: u32,
    broken: u32,
    hanging: u32,
    crashes: u32,
    watch_ends: u32,
    expired: u32,
    stalled_watches: u32,
    /// The longest delay of a request.
    slowness: Duration,
    /// The longest delay of a watch event.
    pub(crate) lag: Duration,
}

/// The faults of one watch, by its age.
#[derive(Clone, Debug, Default)]
pub(crate) struct WatchFaults {
    pub(crate) lag: Duration,
    /// When it ends early, and whether by a connection error.
    pub(crate) closes: Option<(Duration, bool)>,
    /// When it reports that its resourceVersion is too old.
    pub(crate) expires: Option<Duration>,
    /// When it stalls: it stays open and sends nothing more.
    pub(crate) stalls: Option<Duration>,
}

/// Chooses the faults.
pub(crate) struct Faults {
    seed: u64,
    rates: Rates,
    /// How often each request was sent.
    counts: BTreeMap<String, u64>,
    /// The maximum number of objects in a page of a list.
    pub(crate) page: usize,
    /// Replaces the choice by the seed.
    pub(crate) script: Option<Script>,
    /// The kind whose watch events are delayed, and by how much.
    pub(crate) lagging: Option<(Kind, Duration)>,
}

impl Faults {
    /// Returns the faults of a seed: some types of them, each at its own rate.
    pub(crate) fn of(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed ^ 0x5EED_FA17);
        let left_out = std::env::var("ECHO_OPERATOR_FAULTS_LEFT_OUT").unwrap_or_default();
        let mut rate = |name: &str, highest: u32| {
            let rate = if rng.bool() { rng.u32(1..=highest) } else { 0 };
            if left_out.split(',').any(|left_out| left_out == name) {
                0
            } else {
                rate
            }
        };
        let rates = Rates {
            errors: rate("errors", 150),
            broken: rate("broken", 150),
            hanging: rate("hanging", 30),
            crashes: rate("crashes", 100),
            watch_ends: rate("watch-ends", 300),
            expired: rate("expired", 200),
            stalled_watches: rate("stalled-watches", 100),
            slowness: Duration::from_millis(u64::from(rate("slowness", 1500))),
            lag: Duration::from_millis(u64::from(rate("lag", 8000))),
        };
        let page = if rng.bool() {
            rng.usize(1..4)
        } else {
            usize::MAX
        };
        Self {
            seed,
            rates,
            page,
            ..Self::none()
        }
    }

    /// Returns the faults of a network that loses and delays some requests, by less than the margin of a Lease.
    pub(crate) fn of_network(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed ^ 0x7E7);
        let rates = Rates {
            errors: rng.u32(0..30),
            broken: rng.u32(0..30),
            hanging: rng.u32(0..10),
            watch_ends: rng.u32(0..100),
            slowness: Duration::from_millis(rng.u64(0..1000)),
            lag: Duration::from_millis(rng.u64(0..3000)),
            ..Rates::default()
        };
        Self {
            seed,
            rates,
            ..Self::none()
        }
    }

    /// Injects no faults.
    pub(crate) fn none() -> Self {
        Self {
            seed: 0,
            rates: Rates::default(),
            counts: BTreeMap::new(),
            page: usize::MAX,
            script: None,
            lagging: None,
        }
    }

    /// Injects no more faults. Those that have begun continue.
    pub(crate) fn stop(&mut self) {
        self.rates = Rates::default();
    }

    /// Returns the random numbers of a request. They depend on its method, its path and how often it was sent, and not on concurrent
    /// requests, so that a run does not depend on the order in which the operator's tasks wake up.
    pub(crate) fn rng(&mut self, request: &str) -> Rng {
        let count = self.counts.entry(request.to_owned()).or_default();
        *count += 1;
        let mut hasher = FnvHasher::with_key(self.seed);
        hasher.write(request.as_bytes());
        hasher.write_u64(*count);
        Rng::with_seed(hasher.finish())
    }

    /// Returns the latency of a request or a response.
    pub(crate) fn latency(&self, rng: &mut Rng) -> Duration {
        let fast = Duration::from_millis(rng.u64(1..16));
        let slow = millis(self.rates.slowness);
        if slow > 0 && rng.u8(0..4) == 0 {
            return fast + Duration::from_millis(rng.u64(0..=slow));
        }
        fast
    }

    /// Chooses the fault of a request.
    pub(crate) fn choose(&mut self, info: RequestInfo, rng: &mut Rng) -> Option<Fault> {
        if let Some(script) = &mut self.script {
            return script(info);
        }
        let (rates, access) = (self.rates, info.access);
        if access == Access::Write && happens(rng, rates.crashes) {
            return Some(either(rng, Fault::CrashBefore, Fault::CrashAfter));
        }
        if happens(rng, rates.hanging) {
            return Some(either(rng, Fault::Hang, Fault::HangAfter));
        }
        if happens(rng, rates.broken) {
            return Some(either(rng, Fault::ResetBefore, Fault::ResetAfter));
        }
        if matches!(access, Access::Watch | Access::List) && happens(rng, rates.expired) {
            return Some(Fault::Error(Failure::expired()));
        }
        happens(rng, rates.errors).then(|| Fault::Error(error(rng, access)))
    }

    /// Chooses the faults of a watch that lasts for `timeout` at most.
    pub(crate) fn watch(&self, rng: &mut Rng, timeout: Duration) -> WatchFaults {
        let rates = self.rates;
        let within = |rng: &mut Rng| {
            // Half of the faults occur in the first three seconds, when most events are sent.
            let limit = if rng.bool() {
                millis(timeout)
            } else {
                millis(timeout).min(3000)
            };
            Duration::from_millis(rng.u64(0..limit.max(1)))
        };
        // Each watch has its own lag, so that the events of different kinds arrive in any order.
        let lag = [Duration::ZERO, rates.lag / 10, rates.lag][rng.usize(0..3)];
        let closes = happens(rng, rates.watch_ends).then(|| (within(rng), rng.bool()));
        let expires = happens(rng, rates.expired).then(|| within(rng));
        let stalls = happens(rng, rates.stalled_watches).then(|| within(rng));
        WatchFaults {
            lag,
            closes,
            expires,
            stalls,
        }
    }

    /// Returns the delay of one watch event.
    pub(crate) fn delay(&self, rng: &mut Rng, kind: Kind, longest: Duration) -> Duration {
        if let Some((_, lag)) = self.lagging.filter(|(lagging, _)| *lagging == kind) {
            return lag;
        }
        Duration::from_millis(1 + rng.u64(0..=millis(longest)))
    }
}

fn happens(rng: &mut Rng, rate: u32) -> bool {
    rate > 0 && rng.u32(0..1000) < rate
}

fn either(rng: &mut Rng, one: Fault, other: Fault) -> Fault {
    if rng.bool() { one } else { other }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap()
}

fn error(rng: &mut Rng, access: Access) -> Failure {
    match rng.u8(0..6) {
        0 => Failure::new(500, "InternalError", "etcdserver: leader changed"),
        1 => Failure::new(
            429,
            "TooManyRequests",
            "too many requests, please try again later",
        ),
        2 => Failure::new(
            504,
            "Timeout",
            "request did not complete within the allotted timeout",
        ),
        3 if access == Access::Write => Failure::new(
            409,
            "Conflict",
            "the object has been modified; please apply your changes",
        ),
        4 => Failure::new(403, "Forbidden", "RBAC: not synchronized yet"),
        _ => Failure::new(503, "ServiceUnavailable", "apiserver is shutting down"),
    }
}
