//! The protocols that a listener can serve, by name.

use std::fmt;
use std::str::FromStr;

/// The protocol of a listener.
///
/// A closed enum, so that a metric's label can take no other value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Answers each line with a prefix and the line: [`Line`](crate::line::Line).
    Line,
    /// Answers bytes with the same bytes, RFC 862 over TCP: [`Raw`](crate::raw::Raw).
    Raw,
    /// Answers the first bytes of a connection once, then ends it: [`Acknowledge`](crate::acknowledge::Acknowledge).
    Acknowledge,
    /// Answers each datagram with the same datagram, RFC 862 over UDP: [`DatagramFilter`](crate::udp::DatagramFilter).
    Udp,
    /// Answers each request of HTTP/1.1 or HTTP/2 with its description or its body. Spoken by a
    /// library, outside of this module.
    Http,
}

impl Protocol {
    /// Lists every protocol served, in the order in which an error message names them.
    pub const ALL: &[Self] = &[
        Self::Line,
        Self::Raw,
        Self::Acknowledge,
        Self::Udp,
        Self::Http,
    ];

    /// Names the protocol as `--listen` and the metrics spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Line => "line",
            Self::Raw => "raw",
            Self::Acknowledge => "acknowledge",
            Self::Udp => "udp",
            Self::Http => "http",
        }
    }
}

impl Protocol {
    /// Returns whether it is spoken in datagrams rather than over connections.
    pub const fn is_datagrams(self) -> bool {
        matches!(self, Self::Udp)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A name is no protocol; says which ones there are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("protocol {found:?} is not served; served: {}", served())]
pub struct UnknownProtocol {
    /// The name as it was written.
    pub found: String,
}

/// Joins the names of all protocols for a message.
fn served() -> String {
    let names: Vec<_> = Protocol::ALL
        .iter()
        .map(|protocol| protocol.name())
        .collect();
    names.join(", ")
}

impl FromStr for Protocol {
    type Err = UnknownProtocol;

    fn from_str(text: &str) -> Result<Self, UnknownProtocol> {
        Self::ALL
            .iter()
            .copied()
            .find(|protocol| protocol.name() == text)
            .ok_or_else(|| UnknownProtocol {
                found: text.to_owned(),
            })
    }
}
