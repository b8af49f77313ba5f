//! Which metrics a listener has: those that can count, by its protocol and the limits. A series that always was 0 would look like a
//! measurement.

use echo_protocol::Protocol;
use echo_protocol::proxy_header::ProxyMode;

use crate::admin::health::Health;
use crate::close_reason::CloseReason;
use crate::limits::Limits;

/// A protocol and port, with the listeners that have them: several where they differ only in their address.
pub(super) struct Listener {
    /// The labels of its series.
    pub(super) labels: String,
    /// Where its counters are.
    pub(super) indexes: Vec<usize>,
    protocol: Protocol,
    /// Whether some of its connections may begin with a PROXY header.
    has_proxy: bool,
    /// Whether some of its connections begin with none.
    has_no_proxy: bool,
    limits: Limits,
    has_faults: bool,
}

impl Listener {
    /// Lists the protocols and ports, each once.
    pub(super) fn all(health: &Health) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        for (index, bound) in health.listeners.iter().enumerate() {
            let (protocol, port) = (bound.protocol, bound.address.port());
            let labels = format!("protocol=\"{}\",port=\"{port}\"", protocol.name());
            let is_proxied = health.shared.proxy_mode(index) != ProxyMode::Off;
            match all.iter_mut().find(|known| known.labels == labels) {
                Some(known) => {
                    known.indexes.push(index);
                    known.has_proxy |= is_proxied;
                    known.has_no_proxy |= !is_proxied;
                }
                None => all.push(Self {
                    labels,
                    indexes: vec![index],
                    protocol,
                    has_proxy: is_proxied,
                    has_no_proxy: !is_proxied,
                    limits: health.shared.limits.clone(),
                    has_faults: !health.shared.faults.faults.is_empty(),
                }),
            }
        }
        all
    }

    /// Whether it has connections.
    pub(super) fn is_stream(&self) -> bool {
        !self.protocol.is_datagrams()
    }

    /// Whether it has datagrams.
    pub(super) fn is_datagrams(&self) -> bool {
        self.protocol.is_datagrams()
    }

    /// Whether it has datagrams, and their rate is limited.
    pub(super) fn has_datagram_rate(&self) -> bool {
        self.is_datagrams() && self.limits.datagrams_per_second.is_some()
    }

    /// Whether its input has parts that can be counted.
    pub(super) fn has_lines(&self) -> bool {
        self.protocol != Protocol::Raw
    }

    /// Whether a connection can be rejected because of its client, which is known at once only without a proxy.
    pub(super) fn has_client_limit(&self) -> bool {
        let limit = self.limits.max_connections_per_client;
        self.is_stream() && self.has_no_proxy && limit.is_some()
    }

    /// Whether a connection can be closed for this reason.
    pub(super) fn can_close_for(&self, reason: CloseReason) -> bool {
        let limits = &self.limits;
        self.is_stream()
            && match reason {
                CloseReason::Completed => true,
                CloseReason::ClientLimit => {
                    self.has_proxy && limits.max_connections_per_client.is_some()
                }
                CloseReason::InvalidProxyHeader => self.has_proxy,
                CloseReason::Fault => self.has_faults,
                CloseReason::FirstByteTimeout => limits.first_byte_timeout.is_some(),
                CloseReason::IdleTimeout => limits.idle_timeout.is_some(),
                CloseReason::WriteTimeout => limits.write_timeout.is_some(),
                CloseReason::LineTooLong => {
                    let has_length = matches!(self.protocol, Protocol::Line | Protocol::Http);
                    has_length && limits.max_message_bytes.is_some()
                }
            }
    }
}
