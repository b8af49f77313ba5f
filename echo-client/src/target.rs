//! A server's name and port, as a command line has them.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

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

/// Says that a target cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be HOST, HOST:PORT or [IPV6]:PORT, with a port from 1 to 65535")]
pub(crate) struct TargetError;

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let bare_v6 = text.parse::<Ipv6Addr>().is_ok();
        let (host, port) = match text
            .rsplit_once(':')
            .filter(|_| !bare_v6 && !text.ends_with(']'))
        {
            Some((host, port)) => (host, parse_port(port)?),
            None => (text, DEFAULT_PORT),
        };
        let host = match host.strip_prefix('[') {
            Some(rest) => {
                let address = rest.strip_suffix(']').ok_or(TargetError)?;
                address.parse::<Ipv6Addr>().map_err(|_| TargetError)?;
                address
            }
            None if host.is_empty() || host.contains([':', '/', '[', ']']) && !bare_v6 => {
                return Err(TargetError);
            }
            None => host,
        };
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }
}

/// Reads a port, digits only.
fn parse_port(text: &str) -> Result<u16, TargetError> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|port| digits && *port > 0)
        .ok_or(TargetError)
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
            "[a]:1",
        ] {
            assert_eq!(text.parse::<Target>(), Err(TargetError), "{text}");
        }
    }
}
