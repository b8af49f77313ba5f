//! What all workers share: nothing that the path of a line writes to.

use std::net::IpAddr;
use std::sync::Arc;

use echo_protocol::line::Rules;
use echo_protocol::proxy_header::Proxy;

use crate::admission::{Admission, Admitted, Rejection};
use crate::config::{Config, Listen, Place};
use crate::faults::Faults;
use crate::limits::Limits;
use crate::probes::Probes;

/// The rules and counts that hold for all workers together.
#[derive(Debug)]
pub(crate) struct Shared {
    /// The protocol of each listener.
    pub(crate) listeners: Vec<Listen>,
    /// How lines are answered.
    pub(crate) rules: Rules,
    /// How long a connection may be idle or stuck.
    pub(crate) limits: Limits,
    /// How many connections there are.
    pub(crate) admission: Admission,
    /// One of so many lines is logged; 0: none.
    pub(crate) log_lines: u32,
    /// What goes wrong on purpose.
    pub(crate) faults: Faults,
    /// Where the server runs.
    pub(crate) place: Place,
    /// The connections that the server makes to itself.
    pub(crate) probes: Arc<Probes>,
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
            place: config.place.clone(),
            probes: Arc::default(),
        }
    }

    /// Lets a connection of a listener in: behind a proxy without its client, whom a header names later.
    ///
    /// # Errors
    /// The limit that says otherwise.
    pub(crate) fn enter(&self, listener: usize, client: IpAddr) -> Result<Admitted, Rejection> {
        match self.listeners.get(listener).map(|listen| listen.proxy) {
            None | Some(Proxy::Off) => self.admission.enter(client),
            Some(Proxy::Optional | Proxy::Required) => self.admission.enter_unknown(),
        }
    }
}

impl Default for Shared {
    fn default() -> Self {
        Self::new(&Config::default())
    }
}
