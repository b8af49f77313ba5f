//! The connections of each client, where a client is an IPv4 address or an IPv6 network.
//!
//! Holds only clients that have connections, so its size is bounded by theirs.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;

use slab::Slab;

/// The key of a client while it has connections: one more than its index. Four bytes, also as an option,
/// since every connection keeps one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ClientKey(NonZeroU32);

/// Counts connections by client.
#[derive(Debug)]
pub(super) struct Clients {
    /// The most that one client may have.
    most: usize,
    /// The clients with connections.
    slots: Slab<Client>,
    /// Where each is in `slots`. Hashed with a secret, as clients choose their addresses.
    keys: HashMap<u64, ClientKey>,
}

/// A client with connections.
#[derive(Debug)]
struct Client {
    /// Its [`network`].
    network: u64,
    /// How many it has.
    open: usize,
}

impl Clients {
    /// Begins with none.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            slots: Slab::new(),
            keys: HashMap::new(),
        }
    }

    /// Counts one more connection of a client; none if it has as many as are allowed.
    pub(super) fn enter(&mut self, address: IpAddr) -> Option<ClientKey> {
        let network = network(address);
        if let Some(key) = self.keys.get(&network) {
            let client = self.slots.get_mut(index(*key))?;
            client.open = (client.open < self.most).then_some(client.open + 1)?;
            return Some(*key);
        }
        let place = u32::try_from(self.slots.vacant_key()).ok()?;
        let key = ClientKey(NonZeroU32::MIN.checked_add(place)?);
        self.slots.insert(Client { network, open: 1 });
        self.keys.insert(network, key);
        Some(key)
    }

    /// Counts one connection less.
    pub(super) fn leave(&mut self, key: ClientKey) {
        let Some(client) = self.slots.get_mut(index(key)) else {
            return;
        };
        client.open -= 1;
        if client.open == 0 {
            self.keys.remove(&client.network);
            self.slots.remove(index(key));
        }
    }
}

/// Returns a key's index.
fn index(ClientKey(key): ClientKey) -> usize {
    usize::try_from(key.get() - 1).unwrap_or(usize::MAX)
}

/// Returns what counts as one client: an IPv4 address, in IPv6 form or not, or the first 64 bits of
/// an IPv6 address, as a subscriber gets at least that many addresses (RFC 6177). The two never
/// meet but in ::/32, which is loopback and reserved (RFC 4291).
pub(crate) fn network(address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(v4) => u64::from(v4.to_bits()),
        IpAddr::V6(v6) => u64::try_from(v6.to_bits() >> 64).unwrap_or(u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_client_is_an_ipv4_address_in_any_form_or_64_bits_of_ipv6() {
        for (one, other, are_same) in [
            ("10.0.0.1", "::ffff:10.0.0.1", true),
            ("10.0.0.1", "10.0.0.2", false),
            ("2001:db8:1:2::1", "2001:db8:1:2:ffff::2", true),
            ("2001:db8:1:2::1", "2001:db8:1:3::1", false),
            ("::1", "127.0.0.1", false),
        ] {
            let [first, second] = [one, other].map(|text| network(text.parse().unwrap()));
            assert_eq!(first == second, are_same, "{one} and {other}");
        }
    }

    #[test]
    fn a_client_without_connections_is_forgotten() {
        let mut clients = Clients::new(1);
        for number in 0..1_000_u32 {
            let key = clients.enter(IpAddr::V4(number.into())).unwrap();
            assert_eq!(clients.enter(IpAddr::V4(number.into())), None);
            clients.leave(key);
        }
        assert!(clients.keys.is_empty() && clients.slots.is_empty());
        assert!(clients.slots.capacity() < 10);
    }
}
