//! The connections that the server makes to itself to prove that it echoes: known by their
//! addresses, so that no metric counts them.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::admission::canonical;

/// The addresses from which probes come right now. Empty nearly always, and then free to ask.
#[derive(Debug, Default)]
pub(crate) struct Probes {
    /// How many there are, so that a worker need not lock to learn that there are none.
    count: AtomicUsize,
    /// The addresses.
    addresses: Mutex<Vec<SocketAddr>>,
}

/// A probe under way; dropping it removes its address.
#[derive(Debug)]
pub(crate) struct Probe {
    /// Where the address is kept.
    probes: Arc<Probes>,
    /// The address.
    address: SocketAddr,
}

impl Probes {
    /// Announces a probe, before it connects from `address`.
    pub(crate) fn announce(self: &Arc<Self>, address: SocketAddr) -> Probe {
        let address = canonical(address); // without a zone, as the client's is compared
        let mut addresses = self.lock();
        addresses.push(address);
        self.count.store(addresses.len(), Ordering::Release);
        Probe {
            probes: Arc::clone(self),
            address,
        }
    }

    /// Returns whether a client's address is a probe's. A dual-stack listener reports IPv4 clients in
    /// IPv6 form.
    pub(crate) fn contains(&self, client: SocketAddr) -> bool {
        self.count.load(Ordering::Acquire) > 0 && self.lock().contains(&canonical(client))
    }

    /// Locks the addresses. A panic elsewhere leaves them whole, so poison means nothing here.
    fn lock(&self) -> MutexGuard<'_, Vec<SocketAddr>> {
        self.addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        let mut addresses = self.probes.lock();
        addresses.retain(|address| *address != self.address);
        self.probes.count.store(addresses.len(), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_is_known_until_it_ends_also_in_ipv6_form() {
        let probes = Arc::new(Probes::default());
        let client = "[::ffff:127.0.0.1]:4000".parse().unwrap();
        assert!(!probes.contains(client));
        let probe = probes.announce("127.0.0.1:4000".parse().unwrap());
        assert!(probes.contains(client));
        assert!(!probes.contains("127.0.0.1:4001".parse().unwrap()));
        drop(probe);
        assert!(!probes.contains(client));
    }
}
