//! What goes wrong between the operator and the API server, as the seed has it.

use std::time::Duration;

use fastrand::Rng;

use crate::kind::Kind;
use crate::status::Failure;

/// What happens to one request.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// It takes that long.
    Slow(Duration),
    /// The API server answers with an error and does nothing.
    Error(Failure),
    /// The connection breaks before the request arrives.
    Refused,
    /// The connection breaks after the request was carried out.
    Lost,
    /// No answer comes, and nothing is done.
    Hang,
    /// No answer comes, although the request was carried out.
    HangAfter,
    /// The operator ends before the request arrives.
    CrashBefore,
    /// The operator ends after the request was carried out.
    CrashAfter,
}

/// What kind of request it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    List,
    Watch,
    Write,
    /// The writes of events, which are the least of the operator's duties.
    Event,
}

/// A request, as far as faults go by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) access: Access,
    pub(crate) kind: Option<Kind>,
    /// Whether it asks for another page of a list.
    pub(crate) is_continued: bool,
}

/// Faults that a test has written down.
type Script = Box<dyn FnMut(Asked) -> Option<Fault> + Send>;

/// How often each fault is, in a thousand requests.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rates {
    errors: u32,
    broken: u32,
    hanging: u32,
    crashes: u32,
    watch_ends: u32,
    expired: u32,
    dead_watches: u32,
    /// The longest delay of a request.
    slowness: Duration,
    /// The longest delay of a watch event.
    pub(crate) lag: Duration,
}

/// How a watch goes.
#[derive(Clone, Debug, Default)]
pub(crate) struct WatchFaults {
    pub(crate) lag: Duration,
    /// When it ends early, and whether with an error of the connection.
    pub(crate) closes: Option<(Duration, bool)>,
    /// When it reports that its resourceVersion is too old.
    pub(crate) expires: Option<Duration>,
    /// When it falls silent for ever.
    pub(crate) dies: Option<Duration>,
}

/// Chooses the faults.
pub(crate) struct Faults {
    rng: Rng,
    rates: Rates,
    /// The objects that a page of a list has at most.
    pub(crate) page: usize,
    /// What happens instead of what the seed has.
    pub(crate) script: Option<Script>,
    /// The kind whose watch events come late, and by how much.
    pub(crate) lagging: Option<(Kind, Duration)>,
}

impl Faults {
    /// Returns faults by a seed: some kinds of them, each at its own rate.
    pub(crate) fn of(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed ^ 0x5EED_FA17);
        let left_out = std::env::var("ECHO_OPERATOR_FAULTS_LEFT_OUT").unwrap_or_default();
        let mut rate = |name: &str, highest: u32| {
            let rate = if rng.bool() { rng.u32(1..=highest) } else { 0 };
            if left_out.split(',').any(|left_out| left_out == name) { 0 } else { rate }
        };
        let rates = Rates {
            errors: rate("errors", 150),
            broken: rate("broken", 150),
            hanging: rate("hanging", 30),
            crashes: rate("crashes", 100),
            watch_ends: rate("watch-ends", 300),
            expired: rate("expired", 200),
            dead_watches: rate("dead-watches", 100),
            slowness: Duration::from_millis(u64::from(rate("slowness", 1500))),
            lag: Duration::from_millis(u64::from(rate("lag", 8000))),
        };
        let page = if rng.bool() { rng.usize(1..4) } else { usize::MAX };
        Self { rng, rates, page, script: None, lagging: None }
    }

    /// Returns faults of which there are none.
    pub(crate) fn none() -> Self {
        Self {
            rng: Rng::with_seed(0),
            rates: Rates::default(),
            page: usize::MAX,
            script: None,
            lagging: None,
        }
    }

    /// Ends all faults, but for what has begun.
    pub(crate) fn stop(&mut self) {
        self.rates = Rates::default();
    }

    fn happens(&mut self, rate: u32) -> bool {
        rate > 0 && self.rng.u32(0..1000) < rate
    }

    /// Returns how long a request or an answer is under way.
    pub(crate) fn latency(&mut self) -> Duration {
        let fast = Duration::from_micros(self.rng.u64(500..5000));
        let slow = u64::try_from(self.rates.slowness.as_millis()).unwrap();
        if slow > 0 && self.rng.u8(0..4) == 0 {
            return fast + Duration::from_millis(self.rng.u64(0..=slow));
        }
        fast
    }

    /// Chooses what happens to a request.
    pub(crate) fn choose(&mut self, asked: Asked) -> Option<Fault> {
        if let Some(script) = &mut self.script {
            return script(asked);
        }
        let (rates, access) = (self.rates, asked.access);
        if access == Access::Write && self.happens(rates.crashes) {
            let before = self.rng.bool();
            return Some(if before { Fault::CrashBefore } else { Fault::CrashAfter });
        }
        if self.happens(rates.hanging) {
            return Some(if self.rng.bool() { Fault::Hang } else { Fault::HangAfter });
        }
        if self.happens(rates.broken) {
            return Some(if self.rng.bool() { Fault::Refused } else { Fault::Lost });
        }
        if matches!(access, Access::Watch | Access::List) && self.happens(rates.expired) {
            return Some(Fault::Error(Failure::expired()));
        }
        self.happens(rates.errors).then(|| Fault::Error(self.error(access)))
    }

    fn error(&mut self, access: Access) -> Failure {
        match self.rng.u8(0..6) {
            0 => Failure::new(500, "InternalError", "etcdserver: leader changed"),
            1 => Failure::new(429, "TooManyRequests", "too many requests, please try again later"),
            2 => Failure::new(504, "Timeout", "request did not complete within the allotted timeout"),
            3 if access == Access::Write => {
                Failure::new(409, "Conflict", "the object has been modified; please apply your changes")
            }
            4 => Failure::new(403, "Forbidden", "RBAC: not synchronized yet"),
            _ => Failure::new(503, "ServiceUnavailable", "apiserver is shutting down"),
        }
    }

    /// Chooses how a watch goes that may last for `timeout`.
    pub(crate) fn watch(&mut self, timeout: Duration) -> WatchFaults {
        let rates = self.rates;
        let within = |faults: &mut Self| {
            let limit = u64::try_from(timeout.as_millis()).unwrap().max(1);
            // Most of what is of interest happens soon.
            let limit = if faults.rng.bool() { limit } else { limit.min(3000) };
            Duration::from_millis(faults.rng.u64(0..limit))
        };
        let closes = self.happens(rates.watch_ends).then(|| (within(self), self.rng.bool()));
        let expires = self.happens(rates.expired).then(|| within(self));
        let dies = self.happens(rates.dead_watches).then(|| within(self));
        WatchFaults {
            lag: self.lag(),
            closes,
            expires,
            dies,
        }
    }

    fn lag(&mut self) -> Duration {
        // A watch of its own lag each, so that kinds overtake each other.
        match self.rng.u8(0..3) {
            0 => Duration::ZERO,
            1 => self.rates.lag / 10,
            _ => self.rates.lag,
        }
    }

    /// Returns the delay of one watch event.
    pub(crate) fn delay(&mut self, kind: Kind, longest: Duration) -> Duration {
        if let Some((_, lag)) = self.lagging.filter(|(lagging, _)| *lagging == kind) {
            return lag;
        }
        let most = u64::try_from(longest.as_millis()).unwrap();
        let fast = Duration::from_micros(self.rng.u64(200..2000));
        fast + Duration::from_millis(self.rng.u64(0..=most))
    }
}
