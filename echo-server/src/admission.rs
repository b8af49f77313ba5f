//! Admission: counts the connections of all workers, and those of each client where that is
//! limited.
//!
//! Called once when a connection comes and once when it goes, never between. Only a limit per client
//! takes a lock.

pub(crate) mod clients;

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::limits::Limits;
use clients::{ClientKey, Clients};

/// The counts that all workers share.
#[derive(Debug)]
pub(crate) struct Admission {
    /// Connections open now.
    open: AtomicUsize,
    /// The most that may be.
    most: usize,
    /// The connections of each client, if they are limited.
    clients: Option<Mutex<Clients>>,
}

/// What is released when the connection ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Admitted(Option<ClientKey>);

/// Which limit rejects a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rejection {
    /// There are as many as are allowed in all.
    MaxConnections,
    /// The client has as many as one is allowed.
    MaxConnectionsPerClient,
}

impl Admission {
    /// Begins without connections.
    pub(crate) fn new(limits: &Limits) -> Self {
        let clients = |most| Mutex::new(Clients::new(most));
        Self {
            open: AtomicUsize::new(0),
            most: limits.max_connections,
            clients: limits.max_connections_per_client.map(clients),
        }
    }

    /// Admits a connection, if the limits allow. Each that is admitted must [`Self::leave`].
    pub(crate) fn enter(&self, client: IpAddr) -> Result<Admitted, Rejection> {
        let admitted = self.enter_unknown()?;
        self.enter_client(client)
            .inspect_err(|_| self.leave(admitted))
    }

    /// Admits a connection whose client is not known yet.
    pub(crate) fn enter_unknown(&self) -> Result<Admitted, Rejection> {
        let one_more = |open| (open < self.most).then_some(open + 1);
        self.open
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more)
            .map_err(|_| Rejection::MaxConnections)?;
        Ok(Admitted(None))
    }

    /// Records the client of a connection that was admitted.
    pub(crate) fn enter_client(&self, client: IpAddr) -> Result<Admitted, Rejection> {
        let Some(clients) = &self.clients else {
            return Ok(Admitted(None));
        };
        let entered = clients
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .enter(client);
        entered
            .map(|key| Admitted(Some(key)))
            .ok_or(Rejection::MaxConnectionsPerClient)
    }

    /// Removes a connection that was admitted.
    pub(crate) fn leave(&self, admitted: Admitted) {
        self.open.fetch_sub(1, Ordering::Relaxed);
        if let (Admitted(Some(key)), Some(clients)) = (admitted, &self.clients) {
            clients
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .leave(key);
        }
    }
}

/// Names a client of IPv4 as such, which a socket of both families names in IPv6 form.
pub(crate) fn canonical(client: SocketAddr) -> SocketAddr {
    SocketAddr::new(client.ip().to_canonical(), client.port())
}

impl Default for Admission {
    fn default() -> Self {
        Self::new(&Limits::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Limits on connections in all and of one client.
    fn admission(most: usize, most_of_one: Option<usize>) -> Admission {
        Admission::new(&Limits {
            max_connections: most,
            max_connections_per_client: most_of_one,
            ..Limits::default()
        })
    }

    #[test]
    fn as_many_as_allowed_are_let_in_and_one_more_when_one_leaves() {
        let (admission, client) = (admission(2, None), IpAddr::from([127, 0, 0, 1]));
        let first = admission.enter(client).unwrap();
        admission.enter(client).unwrap();
        assert_eq!(admission.enter(client), Err(Rejection::MaxConnections));
        admission.leave(first);
        admission.enter(client).unwrap();
        assert_eq!(admission.enter(client), Err(Rejection::MaxConnections));
    }

    #[test]
    fn who_is_kept_out_as_a_client_takes_no_place_of_others() {
        let admission = admission(2, Some(1));
        let [one, two] = [[10, 0, 0, 1], [10, 0, 0, 2]].map(IpAddr::from);
        let first = admission.enter(one).unwrap();
        let kept_out = Err(Rejection::MaxConnectionsPerClient);
        assert_eq!(admission.enter(one), kept_out);
        assert_eq!(admission.enter(one), kept_out);
        admission.enter(two).unwrap();
        admission.leave(first);
        admission.enter(one).unwrap();
    }

    #[test]
    fn never_more_are_let_in_than_allowed_by_threads_at_once() {
        let admission = admission(10, None);
        let enter_many = || {
            let enter = |_| admission.enter(IpAddr::from([127, 0, 0, 1])).is_ok();
            (0..100).map(enter).filter(|entered| *entered).count()
        };
        let entered: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(enter_many)).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum()
        });
        assert_eq!(entered, 10);
    }
}
