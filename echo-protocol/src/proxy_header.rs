//! The PROXY protocol, versions 1 and 2: what a proxy writes before a connection's own bytes, to
//! name the client.
//!
//! By the specification of HAProxy (`doc/proxy-protocol.txt`). Pure: it reads bytes that others
//! have received, and takes none of them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::{FromStr, from_utf8};

/// The longest header that is read. The longest of version 1 has 107 bytes, one of version 2 with
/// every usual addition some hundred.
pub const MAX_HEADER_BYTES: usize = 4096;

/// Begins a header of version 1.
const V1: &[u8] = b"PROXY ";

/// The most bytes of a header of version 1, its end included.
const V1_BYTES: usize = 107;

/// Begins a header of version 2.
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// The bytes of a header of version 2 before its addresses.
const V2_FIXED_BYTES: usize = 16;

/// Whether a listener's connections begin with a header. Only proxies should reach one where it is
/// not `Off`, as anybody can write a header.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ProxyMode {
    /// They do not; a header is input like any other.
    #[default]
    Off,
    /// They may. Input that begins like a header is waited for.
    Optional,
    /// They must; others are closed.
    Required,
}

impl ProxyMode {
    /// Names it as `--listen` spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Optional => "optional",
            Self::Required => "required",
        }
    }
}

impl FromStr for ProxyMode {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let all = [Self::Off, Self::Optional, Self::Required];
        all.into_iter().find(|proxy| proxy.name() == text).ok_or(())
    }
}

/// What a connection's first bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// More bytes are needed.
    Incomplete,
    /// No header.
    Absent,
    /// A header of so many bytes. It names a client, unless the connection is the proxy's own or
    /// its client is unknown.
    Complete(usize, Option<SocketAddr>),
    /// The beginning of a header that is none.
    Invalid,
}

impl Header {
    /// Returns what the first bytes are by a listener's rule; `is_end` if no more will come.
    pub fn parse(bytes: &[u8], is_end: bool, proxy: ProxyMode) -> Self {
        match read(bytes) {
            Self::Incomplete if !is_end => Self::Incomplete,
            Self::Incomplete | Self::Absent if proxy == ProxyMode::Optional => Self::Absent,
            Self::Incomplete | Self::Absent => Self::Invalid,
            known @ (Self::Complete(..) | Self::Invalid) => known,
        }
    }
}

/// Returns what the first bytes are.
fn read(bytes: &[u8]) -> Header {
    let begins_like = |start: &[u8]| bytes.iter().zip(start).all(|(one, other)| one == other);
    if begins_like(V2) {
        read_v2(bytes).unwrap_or(Header::Incomplete)
    } else if begins_like(V1) {
        read_v1(bytes)
    } else {
        Header::Absent
    }
}

/// Reads a header of version 1: a line of fields.
fn read_v1(bytes: &[u8]) -> Header {
    let line = bytes.get(..V1_BYTES).unwrap_or(bytes);
    let Some(end) = line.windows(2).position(|two| two == b"\r\n") else {
        let is_open = bytes.len() < V1_BYTES;
        return if is_open {
            Header::Incomplete
        } else {
            Header::Invalid
        };
    };
    let words = line.get(V1.len()..end).map(from_utf8);
    let Some(Ok(words)) = words else {
        return Header::Invalid;
    };
    let client = match words.split(' ').collect::<Vec<_>>().as_slice() {
        ["UNKNOWN", ..] => Some(None),
        ["TCP4", from, to, from_port, to_port] => {
            client::<Ipv4Addr>(from, to, from_port, to_port).map(Some)
        }
        ["TCP6", from, to, from_port, to_port] => {
            client::<Ipv6Addr>(from, to, from_port, to_port).map(Some)
        }
        _ => None,
    };
    client.map_or(Header::Invalid, |client| Header::Complete(end + 2, client))
}

/// Reads the fields of version 1 after the family, all of which must be valid.
fn client<A: FromStr + Into<IpAddr>>(
    from: &str,
    to: &str,
    from_port: &str,
    to_port: &str,
) -> Option<SocketAddr> {
    to.parse::<A>().ok()?;
    port(to_port)?;
    let address = from.parse::<A>().ok()?;
    Some(SocketAddr::new(address.into(), port(from_port)?))
}

/// Reads a port, which is digits alone.
fn port(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

/// Reads a header of version 2; none if more bytes must come first.
fn read_v2(bytes: &[u8]) -> Option<Header> {
    let [command, family, high, low] = *bytes.get(V2.len()..)?.first_chunk()?;
    let length = V2_FIXED_BYTES + usize::from(u16::from_be_bytes([high, low]));
    if length > MAX_HEADER_BYTES {
        return Some(Header::Invalid);
    }
    let addresses = bytes.get(V2_FIXED_BYTES..length)?;
    let client = match (command, family >> 4, family & 0xf) {
        // The proxy's own connection, such as a health check; an unknown family, or a Unix socket.
        (0x20, ..) | (0x21, 0 | 3, 0..=2) => Some(None),
        (0x21, 1, 1 | 2) => v4(addresses).map(Some),
        (0x21, 2, 1 | 2) => v6(addresses).map(Some),
        _ => None,
    };
    Some(client.map_or(Header::Invalid, |client| Header::Complete(length, client)))
}

/// Reads the first of two IPv4 addresses, and its port after both.
fn v4(addresses: &[u8]) -> Option<SocketAddr> {
    let (ip, rest) = addresses.split_first_chunk::<4>()?;
    let [.., high, low, _, _] = rest.first_chunk::<8>()?;
    let port = u16::from_be_bytes([*high, *low]);
    Some(SocketAddr::new(Ipv4Addr::from(*ip).into(), port))
}

/// Reads the first of two IPv6 addresses, and its port after both.
fn v6(addresses: &[u8]) -> Option<SocketAddr> {
    let (ip, rest) = addresses.split_first_chunk::<16>()?;
    let [.., high, low, _, _] = rest.first_chunk::<20>()?;
    let port = u16::from_be_bytes([*high, *low]);
    Some(SocketAddr::new(Ipv6Addr::from(*ip).into(), port))
}

#[cfg(test)]
mod tests;
