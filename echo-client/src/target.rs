//! A server's name and port, as a command line has them.

use std::fmt;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};
use std::str::FromStr;

use crate::ipv6::{Ipv6Error, parse_ipv6};

/// The port of an EchoCluster's first listener, unless it says otherwise.
const DEFAULT_PORT: u16 = 12345;

/// Where to connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// A name or an address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// What is wrong with a target, and what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TargetError {
    /// It has another shape.
    #[error("must be HOST, HOST:PORT or [IPV6]:PORT, with a port from 1 to 65535")]
    Shape,
    /// Its IPv6 address is none, or has a wrong zone.
    #[error(transparent)]
    Ipv6(#[from] Ipv6Error),
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let is_bare = is_bare_ipv6(text);
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !is_bare && !text.ends_with(']') => (host, parse_port(port)?),
            _ => (text, DEFAULT_PORT),
        };
        let bracketed = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        if let Some(address) = bracketed.or_else(|| is_bare.then_some(host)) {
            parse_ipv6(address)?;
        } else if host.is_empty() || host.contains([':', '/', '[', ']', '%']) {
            return Err(TargetError::Shape);
        }
        Ok(Self {
            host: bracketed.unwrap_or(host).to_owned(),
            port,
        })
    }
}

/// Returns whether a text is an IPv6 address as a whole, with or without a zone. What follows a colon in a
/// zone would be a port, which needs brackets before it.
fn is_bare_ipv6(text: &str) -> bool {
    let (address, zone) = text.split_once('%').unwrap_or((text, ""));
    address.parse::<Ipv6Addr>().is_ok() && !zone.contains([':', ']'])
}

/// Reads a port, digits only.
fn parse_port(text: &str) -> Result<u16, TargetError> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|port| digits && *port > 0)
        .ok_or(TargetError::Shape)
}

impl Target {
    /// Returns its address, if it is written as one of IPv6. One that stands for an address of IPv4
    /// (`::ffff:192.0.2.1`) is that, which no IPv6 is needed for.
    pub(crate) fn ipv6(&self) -> Option<SocketAddr> {
        let (address, zone) = parse_ipv6(&self.host).ok()?;
        Some(match address.to_ipv4_mapped() {
            Some(ipv4) => SocketAddr::from((ipv4, self.port)),
            None => SocketAddrV6::new(address, self.port, 0, zone).into(),
        })
    }

    /// Returns it for a header: the zone is this machine's own matter (RFC 6874, section 4).
    pub(crate) fn without_zone(&self) -> Self {
        let host = self.host.split('%').next().unwrap_or_default();
        Self {
            host: host.to_owned(),
            port: self.port,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(formatter, "[{}]:{}", self.host, self.port)
        } else {
            write!(formatter, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_may_have_a_port_and_an_ipv6_address_brackets() {
        for (text, host, port) in [
            ("localhost", "localhost", 12345),
            ("hello.default.svc:8080", "hello.default.svc", 8080),
            ("127.0.0.1:1", "127.0.0.1", 1),
            ("::1", "::1", 12345),
            ("[::1]", "::1", 12345),
            ("[fd00::2]:8080", "fd00::2", 8080),
            ("[::ffff:127.0.0.1]:80", "::ffff:127.0.0.1", 80),
            ("fe80::1%lo", "fe80::1%lo", 12345),
            ("[fe80::1%lo]", "fe80::1%lo", 12345),
            ("[fe80::1%1]:80", "fe80::1%1", 80),
        ] {
            assert_eq!(
                text.parse(),
                Ok(Target {
                    host: host.to_owned(),
                    port
                }),
                "{text}"
            );
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            ":80",
            "host:",
            "host:0",
            "host:65536",
            "host:+1",
            "host:http",
            "a:b:1",
            "[::1",
            "host%lo",
            "1.2.3.4%lo",
            "fe80::1%lo:80",
        ] {
            assert_eq!(text.parse::<Target>(), Err(TargetError::Shape), "{text}");
        }
        for text in [
            "[a]:1",
            "[1.2.3.4]:1",
            "fe80::1",
            "[fe80::1%none]:1",
            "::1%lo",
        ] {
            let error = text.parse::<Target>().unwrap_err();
            assert!(matches!(error, TargetError::Ipv6(_)), "{text}: {error}");
        }
    }

    #[test]
    fn an_ipv6_address_needs_no_look_up_and_a_mapped_one_is_of_ipv4() {
        for (text, expected) in [
            ("[::1]:7", Some("[::1]:7")),
            ("[fe80::1%lo]:7", Some("[fe80::1%1]:7")),
            ("[::ffff:192.0.2.1]:7", Some("192.0.2.1:7")),
            ("localhost:7", None),
        ] {
            let address = text.parse::<Target>().unwrap().ipv6();
            assert_eq!(
                address,
                expected.map(|text| text.parse().unwrap()),
                "{text}"
            );
        }
        let target: Target = "[fe80::1%lo]:7".parse().unwrap();
        assert_eq!(target.without_zone().to_string(), "[fe80::1]:7");
    }
}
