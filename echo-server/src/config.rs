//! The configuration of the server, as types that cannot hold what is not allowed.
//!
//! Nothing here reads flags, the environment or a clock; `cli` fills it in.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::num::NonZeroUsize;
use std::str::FromStr;
use std::time::Duration;

use echo_client::ipv6::{Ipv6Error, parse_ipv6};
use echo_protocol::line::Rules;
use echo_protocol::proxy_header::ProxyMode;
use echo_protocol::{Protocol, UnknownProtocol};

use crate::admin::MAX_CONNECTIONS;
use crate::faults::Faults;
use crate::limits::Limits;

/// How many listeners one process may have: as many as an EchoCluster may declare.
pub const MAX_LISTENERS: usize = 16;

/// Everything that [`Server::bind`](crate::server::Server::bind) and its threads need.
#[derive(Debug, Clone)]
pub struct Config {
    /// What to serve, and where; 1 to [`MAX_LISTENERS`].
    pub listeners: Vec<Listen>,
    /// Where health and metrics are served.
    pub admin: Endpoint,
    /// How many connections may be open there at once; each needs a descriptor.
    pub admin_connections: usize,
    /// How many worker threads answer connections; for HTTP there are as many more.
    pub threads: NonZeroUsize,
    /// How long a drain takes at most, from the signal until the last connection is cut.
    pub drain: Duration,
    /// How the protocol Line answers.
    pub line: Rules,
    /// The limits of connections.
    pub limits: Limits,
    /// One of so many lines is logged; 0: none.
    pub log_lines: u32,
    /// Faults that are injected.
    pub faults: Faults,
    /// The pod in which the server runs.
    pub pod_identity: PodIdentity,
}

impl Config {
    /// Returns whether a listener is served by the asynchronous engine: those of HTTP, and those with
    /// faults.
    pub(crate) fn is_async(&self, listen: Listen) -> bool {
        let is_faulty = self.faults.is_enabled() && !listen.protocol.is_datagrams();
        listen.protocol == Protocol::Http || is_faulty
    }

    /// Returns how many threads the asynchronous engine has: none without a listener for it, and one with
    /// faults, as the same connections are affected again only if one thread accepts them in their order.
    pub(crate) fn async_threads(&self) -> usize {
        if !self.listeners.iter().any(|listen| self.is_async(*listen)) {
            0
        } else if self.faults.is_enabled() {
            1
        } else {
            self.threads.get()
        }
    }
}

/// The pod in which the server runs, as far as flags say so; `Http` answers contain it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PodIdentity {
    /// The pod's name.
    pub pod: Option<String>,
    /// Its namespace.
    pub namespace: Option<String>,
    /// The node's name.
    pub node: Option<String>,
}

impl Default for Config {
    /// Serves `Line` on port 12345 by one thread.
    fn default() -> Self {
        let endpoint = |port| Endpoint {
            address: None,
            zone: 0,
            port,
        };
        Self {
            listeners: vec![Listen {
                protocol: Protocol::Line,
                endpoint: endpoint(12345),
                proxy: ProxyMode::Off,
            }],
            admin: endpoint(9090),
            admin_connections: MAX_CONNECTIONS,
            threads: NonZeroUsize::MIN,
            drain: Duration::from_secs(10),
            line: Rules::default(),
            limits: Limits::default(),
            log_lines: 0,
            faults: Faults::default(),
            pod_identity: PodIdentity::default(),
        }
    }
}

/// A protocol and where it is served, written `protocol:[address:]port[/proxy=mode]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listen {
    /// The protocol that is served there.
    pub protocol: Protocol,
    /// Where.
    pub endpoint: Endpoint,
    /// Whether connections begin with a header of the PROXY protocol.
    pub proxy: ProxyMode,
}

/// A port, on one address or on all, written `[address:]port`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint {
    /// The one address to listen on, or `0.0.0.0` or `[::]` for all of one family. None: all of them, IPv6
    /// and IPv4 where the machine has both.
    pub address: Option<IpAddr>,
    /// The index of the interface that is the zone of a link-local IPv6 address; 0 for any other.
    pub zone: u32,
    /// The port; 0 lets the system choose a free one.
    pub port: u16,
}

impl Endpoint {
    /// Lists the socket addresses to try, first the preferred one.
    ///
    /// All addresses are one dual-stack IPv6 socket. A machine without IPv6 refuses that, so IPv4
    /// alone comes second.
    pub fn candidates(self) -> Vec<SocketAddr> {
        let any = [
            IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        ];
        let addresses = self
            .address
            .map_or_else(|| any.to_vec(), |address| vec![address]);
        let at = |address| match address {
            IpAddr::V4(address) => SocketAddrV4::new(address, self.port).into(),
            IpAddr::V6(address) => SocketAddrV6::new(address, self.port, 0, self.zone).into(),
        };
        addresses.into_iter().map(at).collect()
    }

    /// Returns whether both cannot be had by one process: whether an address and port are in both.
    pub(crate) fn overlaps(self, other: Self) -> bool {
        let is_in = |one: Option<IpAddr>, other: Option<IpAddr>| match (one, other) {
            (None, _) => true,
            (Some(one), Some(other)) => {
                one.is_ipv6() == other.is_ipv6() && (one.is_unspecified() || one == other)
            }
            (Some(_), None) => false,
        };
        let shares_address = is_in(self.address, other.address) && self.zone_fits(other)
            || is_in(other.address, self.address) && other.zone_fits(self);
        self.port != 0 && self.port == other.port && shares_address
    }

    /// Returns whether its zone, if it has one, is that of another.
    fn zone_fits(self, other: Self) -> bool {
        self.zone == 0 || self.zone == other.zone
    }
}

/// What is wrong with a [`Listen`] or an [`Endpoint`], and what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// There is no colon between protocol and port.
    #[error("must be protocol:[address:]port, such as line:12345 or line:[::1]:12345")]
    Shape,
    /// The protocol is none that is served.
    #[error(transparent)]
    Protocol(#[from] UnknownProtocol),
    /// The port is no number, or too large.
    #[error("port must be 1 to 65535, or 0 for a free one that the system chooses")]
    Port,
    /// The address is no IP address.
    #[error("address must be an IPv4 address, or an IPv6 address in brackets")]
    Address,
    /// The zone of the IPv6 address is missing or wrong.
    #[error(transparent)]
    Zone(#[from] Ipv6Error),
    /// What follows the port is no option, or none of this protocol.
    #[error(
        "after the port, only /proxy=off, /proxy=optional or /proxy=required is allowed, the last two not with udp"
    )]
    Option,
}

impl FromStr for Listen {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let (protocol, endpoint) = text.split_once(':').ok_or(ParseError::Shape)?;
        let (endpoint, option) = match endpoint.split_once('/') {
            Some((endpoint, option)) => (endpoint, Some(option)),
            None => (endpoint, None),
        };
        let protocol: Protocol = protocol.parse()?;
        let endpoint = endpoint.parse()?;
        let proxy = match option.map(|option| option.strip_prefix("proxy=").unwrap_or_default()) {
            None => ProxyMode::Off,
            Some(name) => name.parse().map_err(|()| ParseError::Option)?,
        };
        if proxy != ProxyMode::Off && protocol.is_datagrams() {
            return Err(ParseError::Option);
        }
        Ok(Self {
            protocol,
            endpoint,
            proxy,
        })
    }
}

impl FromStr for Endpoint {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let (address, zone, port) = match text.rsplit_once(':') {
            Some((address, port)) => {
                let (address, zone) = parse_address(address)?;
                (Some(address), zone, port)
            }
            None => (None, 0, text),
        };
        let digits = port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port
            .parse()
            .ok()
            .filter(|_| digits)
            .ok_or(ParseError::Port)?;
        Ok(Self {
            address,
            zone,
            port,
        })
    }
}

/// Reads an IPv4 address, or an IPv6 address in brackets with its zone. One that stands for an address of
/// IPv4 (`[::ffff:192.0.2.1]`) is that: no socket of IPv6 alone could listen on it.
fn parse_address(text: &str) -> Result<(IpAddr, u32), ParseError> {
    let bracketed = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let Some(v6) = bracketed else {
        let v4 = text.parse().map_err(|_| ParseError::Address)?;
        return Ok((IpAddr::V4(v4), 0));
    };
    match parse_ipv6(v6) {
        Ok((address, zone)) => Ok((IpAddr::V6(address).to_canonical(), zone)),
        Err(Ipv6Error::Syntax) => Err(ParseError::Address),
        Err(error) => Err(error.into()),
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.protocol, self.endpoint)?;
        match self.proxy {
            ProxyMode::Off => Ok(()),
            proxy @ (ProxyMode::Optional | ProxyMode::Required) => {
                write!(formatter, "/proxy={}", proxy.name())
            }
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            None => self.port.fmt(formatter),
            Some(_) => self
                .candidates()
                .iter()
                .try_for_each(|address| address.fmt(formatter)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_printed_back() {
        for text in [
            "line:12345",
            "line:127.0.0.1:12345",
            "line:[::1]:12345",
            "line:[::]:0",
            "line:0.0.0.0:7",
            "line:[fe80::1%1]:7",
            "raw:7",
            "acknowledge:12345",
            "line:12345/proxy=optional",
            "raw:[::1]:12345/proxy=required",
        ] {
            assert_eq!(text.parse::<Listen>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn an_address_of_ipv4_in_the_form_of_ipv6_is_one_of_ipv4() {
        for (text, expected) in [
            ("line:[::ffff:192.0.2.1]:7", "line:192.0.2.1:7"),
            ("line:[::ffff:0.0.0.0]:7", "line:0.0.0.0:7"),
            ("line:[fe80::1%lo]:7", "line:[fe80::1%1]:7"),
        ] {
            assert_eq!(text.parse::<Listen>().unwrap().to_string(), expected);
        }
    }

    #[test]
    fn endpoints_overlap_where_one_socket_would_take_what_is_meant_for_another() {
        let endpoints = |texts: [&str; 2]| texts.map(|text| text.parse::<Endpoint>().unwrap());
        for (texts, expected) in [
            (["7", "7"], true),
            (["7", "8"], false),
            (["0", "0"], false),
            (["7", "127.0.0.1:7"], true),
            (["7", "[::1]:7"], true),
            (["7", "[fe80::1%1]:7"], true),
            (["7", "0.0.0.0:7"], true),
            (["0.0.0.0:7", "[::]:7"], false),
            (["0.0.0.0:7", "127.0.0.1:7"], true),
            (["0.0.0.0:7", "[::1]:7"], false),
            (["[::]:7", "[::1]:7"], true),
            (["[::]:7", "[fe80::1%1]:7"], true),
            (["[::]:7", "127.0.0.1:7"], false),
            (["127.0.0.1:7", "127.0.0.2:7"], false),
            (["127.0.0.1:7", "[::ffff:127.0.0.1]:7"], true),
            (["127.0.0.1:7", "[::1]:7"], false),
            (["[fe80::1%1]:7", "[fe80::1%1]:7"], true),
        ] {
            let [one, other] = endpoints(texts);
            assert_eq!(one.overlaps(other), expected, "{texts:?}");
            assert_eq!(other.overlaps(one), expected, "{texts:?}");
        }
        let [one, mut other] = endpoints(["[fe80::1%1]:7", "[fe80::1%1]:7"]);
        other.zone = 2;
        assert!(!one.overlaps(other) && !other.overlaps(one));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, expected) in [
            ("12345", ParseError::Shape),
            ("", ParseError::Shape),
            ("line:", ParseError::Port),
            ("line:65536", ParseError::Port),
            ("line:-1", ParseError::Port),
            ("line:+1", ParseError::Port),
            ("line:http", ParseError::Port),
            ("line:::1:12345", ParseError::Address),
            ("line:localhost:12345", ParseError::Address),
            ("line:[127.0.0.1]:12345", ParseError::Address),
            ("line::12345", ParseError::Address),
            (
                "line:[fe80::1%none]:7",
                ParseError::Zone(Ipv6Error::ZoneUnknown("none".to_owned())),
            ),
            (
                "line:[fe80::1]:7",
                ParseError::Zone(Ipv6Error::ZoneMissing("fe80::1".parse().unwrap())),
            ),
            ("line:1/", ParseError::Option),
            ("line:1/proxy", ParseError::Option),
            ("line:1/proxy=on", ParseError::Option),
            ("line:1/required", ParseError::Option),
            ("udp:1/proxy=required", ParseError::Option),
            (
                "quote:17",
                ParseError::Protocol(UnknownProtocol {
                    found: "quote".to_owned(),
                }),
            ),
        ] {
            assert_eq!(text.parse::<Listen>(), Err(expected), "{text:?}");
        }
    }

    #[test]
    fn without_an_address_both_families_are_tried_and_with_one_only_that() {
        let any = "9090".parse::<Endpoint>().unwrap().candidates();
        assert_eq!(
            any,
            [
                "[::]:9090".parse().unwrap(),
                "0.0.0.0:9090".parse().unwrap()
            ]
        );
        let one = "127.0.0.1:9090".parse::<Endpoint>().unwrap().candidates();
        assert_eq!(one, ["127.0.0.1:9090".parse().unwrap()]);
    }
}
