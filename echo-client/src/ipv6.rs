//! IPv6 addresses as both programs read them: with the zone of a link-local address (RFC 4007), which is a
//! network interface: `fe80::1%eth0`.

use std::net::Ipv6Addr;

use nix::net::if_::{if_indextoname, if_nametoindex};

/// What is wrong with an IPv6 address, and the remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Ipv6Error {
    /// It is none.
    #[error("must be an IPv6 address, such as ::1 or fe80::1%eth0")]
    Syntax,
    /// It is link-local, and every interface has such a network.
    #[error("link-local address {0} needs its zone, which is a network interface: {0}%eth0")]
    ZoneMissing(Ipv6Addr),
    /// This machine has no such interface.
    #[error("zone {0} is no network interface; `ip link` lists them")]
    ZoneUnknown(String),
    /// It is not link-local.
    #[error(
        "address {0} has no zone, as only link-local addresses (fe80::/10) do; leave %{1} away"
    )]
    ZoneNeedless(Ipv6Addr, String),
}

/// Reads an address without brackets. Returns it with the index of its zone's interface, 0 for none.
///
/// # Errors
/// An [`Ipv6Error`] to be printed. [`Ipv6Error::ZoneUnknown`] may pass when an interface is added.
pub fn parse_ipv6(text: &str) -> Result<(Ipv6Addr, u32), Ipv6Error> {
    let (address, zone) = match text.split_once('%') {
        Some((address, zone)) => (address, Some(zone)),
        None => (text, None),
    };
    let address: Ipv6Addr = address.parse().map_err(|_| Ipv6Error::Syntax)?;
    match zone {
        Some(zone) if address.is_unicast_link_local() => find_zone(zone)
            .map(|index| (address, index))
            .ok_or_else(|| Ipv6Error::ZoneUnknown(zone.to_owned())),
        Some(zone) => Err(Ipv6Error::ZoneNeedless(address, zone.to_owned())),
        None if address.is_unicast_link_local() => Err(Ipv6Error::ZoneMissing(address)),
        None => Ok((address, 0)),
    }
}

/// Finds the interface of a zone by its name, or by its index, as which the system prints it.
fn find_zone(zone: &str) -> Option<u32> {
    // Of an index that is none, nix gives an empty name.
    let is_index = |index: &u32| if_indextoname(*index).is_ok_and(|name| !name.is_empty());
    let by_index = || zone.parse().ok().filter(is_index);
    if_nametoindex(zone).ok().or_else(by_index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_is_read_by_name_and_by_index() {
        let index = if_nametoindex("lo").unwrap();
        let address = "fe80::1".parse().unwrap();
        assert_eq!(parse_ipv6("fe80::1%lo"), Ok((address, index)));
        let by_index = format!("fe80::1%{index}");
        assert_eq!(parse_ipv6(&by_index), Ok((address, index)));
        assert_eq!(parse_ipv6("::1"), Ok((Ipv6Addr::LOCALHOST, 0)));
    }

    #[test]
    fn a_zone_is_only_where_it_must_be_and_exists() {
        let [link_local, loopback] = ["fe80::1", "::1"].map(|text| text.parse().unwrap());
        let unknown = |zone: &str| Ipv6Error::ZoneUnknown(zone.to_owned());
        for (text, expected) in [
            ("fe80::1", Ipv6Error::ZoneMissing(link_local)),
            ("fe80::1%", unknown("")),
            ("fe80::1%none", unknown("none")),
            ("fe80::1%4000000", unknown("4000000")),
            ("fe80::1%lo%lo", unknown("lo%lo")),
            ("::1%lo", Ipv6Error::ZoneNeedless(loopback, "lo".to_owned())),
            ("1.2.3.4%lo", Ipv6Error::Syntax),
            ("%lo", Ipv6Error::Syntax),
            ("", Ipv6Error::Syntax),
        ] {
            assert_eq!(parse_ipv6(text), Err(expected), "{text:?}");
        }
    }
}
