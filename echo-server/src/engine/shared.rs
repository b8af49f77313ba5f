//! What all threads share: nothing that the path of a line writes to.

use std::net::SocketAddr;
use std::sync::Arc;

use echo_protocol::line::Rules;
use echo_protocol::proxy_header::ProxyMode;

use crate::admission::{Admission, Admitted};
use crate::close_reason::CloseReason;
use crate::config::{Config, Listen, PodIdentity};
use crate::counters::Counters;
use crate::faults::Faults;
use crate::limits::Limits;
use crate::probes::Probes;

/// The rules and counts that hold for all threads together.
#[derive(Debug)]
pub(crate) struct Shared {
    /// The listeners, by their `listener_index`.
    pub(crate) listeners: Vec<Listen>,
    /// How lines are answered.
    pub(crate) rules: Rules,
    /// How many connections there may be, and their timeouts.
    pub(crate) limits: Limits,
    /// How many connections there are.
    pub(crate) admission: Admission,
    /// One of so many lines is logged; 0: none.
    pub(crate) log_lines: u32,
    /// Faults that are injected.
    pub(crate) faults: Faults,
    /// The pod in which the server runs.
    pub(crate) pod_identity: PodIdentity,
    /// The connections that the server makes to itself.
    pub(crate) probes: Arc<Probes>,
}

/// What a connection holds from its admission until it is closed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Permit {
    /// Its share of the limits.
    pub(crate) admitted: Admitted,
    /// Which set of counters it is counted in: that of its listener, or the last one for a probe.
    pub(crate) counters_index: u8,
}

impl Shared {
    /// Begins with no connections.
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            listeners: config.listeners.clone(),
            rules: config.line.clone(),
            limits: config.limits.clone(),
            admission: Admission::new(&config.limits),
            log_lines: config.log_lines,
            faults: config.faults.clone(),
            pod_identity: config.pod_identity.clone(),
            probes: Arc::default(),
        }
    }

    /// Makes a thread's counters: a set for each listener, and a last one for probes, which no metric
    /// shows.
    pub(crate) fn new_counters(&self) -> Arc<[Counters]> {
        (0..=self.listeners.len())
            .map(|_| Counters::default())
            .collect()
    }

    /// Admits a connection of a listener, unless a limit rejects it, which is counted. Behind a proxy
    /// its client is admitted later, when the header has come. A probe is subject to no limit.
    pub(crate) fn admit(
        &self,
        counters: &[Counters],
        client: SocketAddr,
        listener_index: usize,
    ) -> Option<Permit> {
        let is_probe = self.probes.contains(client);
        let admitted = if is_probe {
            Ok(Admitted::default())
        } else if self.proxy_mode(listener_index) == ProxyMode::Off {
            self.admission.enter(client.ip())
        } else {
            self.admission.enter_unknown()
        };
        let index = if is_probe {
            self.listeners.len()
        } else {
            listener_index
        };
        let set = counters.get(index)?;
        match admitted {
            Ok(admitted) => Some(Permit {
                admitted,
                counters_index: u8::try_from(index).unwrap_or(u8::MAX),
            }),
            Err(rejection) => {
                set.rejected_by(rejection).add(1);
                None
            }
        }
    }

    /// Releases a closed connection's permit, and counts why it was closed.
    pub(crate) fn release(&self, counters: &[Counters], permit: Permit, reason: CloseReason) {
        if !self.is_probe(permit.counters_index) {
            self.admission.leave(permit.admitted);
        }
        if let Some(set) = counters.get(usize::from(permit.counters_index)) {
            set.closed_for(reason).add(1);
        }
    }

    /// Returns whether a connection that is counted there is a probe.
    pub(crate) fn is_probe(&self, counters_index: u8) -> bool {
        usize::from(counters_index) == self.listeners.len()
    }

    /// Returns whether a connection that is counted there begins with a PROXY header. A probe does not.
    pub(crate) fn proxy_mode(&self, counters_index: usize) -> ProxyMode {
        let listen = self.listeners.get(counters_index);
        listen.map_or(ProxyMode::Off, |listen| listen.proxy)
    }
}

impl Default for Shared {
    fn default() -> Self {
        Self::new(&Config::default())
    }
}
