//! What a candidate does next about the Lease: a pure function of what it has observed, its own clock and its own writes.
//!
//! No time in the Lease is used: the clocks of two nodes may differ. For a candidate, a Lease expires when it has not seen a renewal for the
//! Lease's duration, on its own clock, and every write is conditional on the version that it has seen. A leader stops
//! [`Timings::renew_deadline`] after it has sent its last successful write. Others wait for the duration, which is longer, from when they saw
//! that write, which is later. Clocks may differ in speed up to the ratio of the two.

use std::time::Duration;

/// The timings of the election, with client-go's names. Each is longer than the next ([`Timings::check`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timings {
    /// How long a Lease is valid after its last renewal. Other candidates wait for that time.
    pub lease_duration: Duration,
    /// How long the leader tries to renew the Lease before it stops.
    pub renew_deadline: Duration,
    /// The time between two renewals, and between two attempts.
    pub retry_period: Duration,
}

/// Timings without enough margin. The user has to choose others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTimings {
    /// The lease ends too soon after the deadline.
    #[error(
        "the lease duration has to be at least 1.2 times the renew deadline, since clocks differ"
    )]
    LeaseDuration,
    /// There is no time for a second attempt.
    #[error(
        "the renew deadline has to be at least three times the retry period, so that a failed attempt is repeated"
    )]
    RenewDeadline,
    /// Requests would follow each other without a pause.
    #[error("the retry period has to be at least a second")]
    RetryPeriod,
}

impl Timings {
    /// Checks that a leader stops before its Lease expires, and that it tries more than once.
    ///
    /// # Errors
    /// [`InvalidTimings`].
    pub fn check(self) -> Result<Self, InvalidTimings> {
        if self.lease_duration < self.renew_deadline.mul_f64(1.2) {
            return Err(InvalidTimings::LeaseDuration);
        }
        if self.renew_deadline < self.retry_period * 3 {
            return Err(InvalidTimings::RenewDeadline);
        }
        if self.retry_period < Duration::from_secs(1) {
            return Err(InvalidTimings::RetryPeriod);
        }
        Ok(self)
    }
}

/// What a Lease says. If two are equal, no candidate has written it in between; labels do not count.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Record {
    /// Who holds the Lease, unless it was released.
    pub holder: Option<String>,
    /// How long it is valid without a renewal.
    pub duration: Duration,
    /// Differs after each renewal: the UID and `renewTime`, which is compared and not read as a time.
    pub renewal: String,
}

/// What a candidate has observed of the Lease. Times are of its own monotonic clock.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Observed {
    /// The newest record that is known; `None` if there is no Lease.
    pub record: Option<Record>,
    /// Until when the holder that was observed last may lead.
    pub expiry: Duration,
    /// Whether the Lease has to be read again, since a request has failed, or its watch has ended.
    pub is_outdated: bool,
    /// No request is sent earlier, since the last one has failed.
    pub retry_at: Duration,
}

impl Default for Observed {
    fn default() -> Self {
        Self {
            record: None,
            expiry: Duration::ZERO,
            is_outdated: true,
            retry_at: Duration::ZERO,
        }
    }
}

impl Observed {
    /// Returns who holds the Lease, as far as is known.
    pub fn holder(&self) -> Option<&str> {
        self.record.as_ref()?.holder.as_deref()
    }

    /// Takes in what the API server has reported at `now`. Only a release ends a holder's time early: the holder of a Lease that was
    /// deleted, or edited, may still be leading.
    pub fn observe(&mut self, record: Option<Record>, now: Duration) {
        self.is_outdated = false;
        if self.record == record {
            return;
        }
        if let Some(record) = &record {
            self.expiry = match record.holder {
                Some(_) => self.expiry.max(now.saturating_add(record.duration)),
                None => now,
            };
        }
        self.record = record;
    }

    /// Takes in that the version may no longer be the newest, since a request has failed or the watch has ended. The next request is sent
    /// at `retry_at`, and reads the Lease.
    pub fn set_outdated(&mut self, retry_at: Duration) {
        self.is_outdated = true;
        self.retry_at = retry_at;
    }
}

/// What a candidate knows of itself.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// Its identity, which no other process has or has had.
    pub identity: &'a str,
    /// When its last successful write was about to be sent; `None` while it does not lead.
    pub renewed_at: Option<Duration>,
    /// The timings.
    pub timings: Timings,
}

/// What a candidate does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Read the Lease.
    Read,
    /// Write its own identity into the Lease, at the version observed; create it if there is none.
    Write,
    /// Do nothing until that time, or until the Lease changes.
    WaitUntil(Duration),
    /// End: it does not lead any more.
    Stop(Loss),
}

/// Why a leader does not lead any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Loss {
    /// The Lease could not be renewed in time.
    #[error("the Lease could not be renewed before the renew deadline")]
    Deadline,
    /// Another client has changed the holder of the Lease, or removed it.
    #[error("another client has changed the holder of the Lease")]
    Taken,
}

/// Decides what a candidate does at `now`.
pub fn decide(observed: &Observed, now: Duration, candidate: &Candidate<'_>) -> Decision {
    let is_own = observed.holder() == Some(candidate.identity);
    let Some(renewed_at) = candidate.renewed_at else {
        return match now {
            _ if now < observed.retry_at => Decision::WaitUntil(observed.retry_at),
            _ if observed.is_outdated => Decision::Read,
            // If the Lease has this identity although it does not lead, the reply to its write was lost.
            _ if now >= observed.expiry || is_own => Decision::Write,
            _ => Decision::WaitUntil(observed.expiry),
        };
    };
    let deadline = renewed_at + candidate.timings.renew_deadline;
    let renewal = match observed.record {
        Some(_) => renewed_at + candidate.timings.retry_period,
        None => now, // it was deleted, and other candidates wait until it would have expired
    };
    let next = renewal.max(observed.retry_at).min(deadline);
    match now {
        _ if now >= deadline => Decision::Stop(Loss::Deadline),
        _ if observed.record.is_some() && !is_own => Decision::Stop(Loss::Taken),
        _ if now < next => Decision::WaitUntil(next),
        _ if observed.is_outdated => Decision::Read,
        _ => Decision::Write,
    }
}

#[cfg(test)]
mod tests;
