//! One port of the echo servers and its protocol.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::rules;

/// A port that every echo server of the cluster listens on.
// A field that is left out has no default in the schema, but in `validate`. A default would be stored in each entry of the list, and
// clients that compare lists as a whole, as `kubectl apply` and Argo CD do for custom resources, would find a difference each time.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::proxy_fits_the_protocol())]
pub struct Listener {
    /// The name of the listener, and of its port in the pods and in the Service: at most 15 characters of a-z, 0-9 and '-' with at least
    /// one letter (the rule of port names). `admin` is the name of the admin endpoint's port. Changing it triggers a rolling update and
    /// acts like removing and adding a listener: its port is unavailable until a new pod is ready.
    #[schemars(length(min = 1, max = 15))]
    #[x_kube(validation = rules::listener_name(), validation = rules::not_the_admin_name())]
    pub name: String,

    /// The protocol of the port. `Line` (default): each line is answered by `spec.line.prefix` and the line; the line `exit` is answered
    /// and then the connection is closed. `Raw`: each byte is echoed unchanged (RFC 862). `Acknowledge`: the first input is echoed with the
    /// prefix `Acknowledged: `, and the connection is closed. `Udp`: each datagram is echoed (RFC 862). `Http` (HTTP/1.1, and HTTP/2
    /// without TLS): the answer describes the request, and names the pod and its node; after an upgrade to WebSocket, each message is
    /// echoed. Changing it triggers a rolling update.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Protocol")]
    pub protocol: Option<Protocol>,

    /// The port in the pods, 1024 to 65535 (the echo servers run without privileges), except 9090, which is the port of the admin endpoint.
    /// A listener of protocol `Udp` and one of another protocol may share a port. Changing it triggers a rolling update.
    #[schemars(range(min = 1024, max = 65535))]
    #[x_kube(validation = rules::not_the_admin_port())]
    pub port: i32,

    /// The port of the Service, 1 to 65535. Default: the same as `port`. Changing it does not restart pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub service_port: Option<i32>,

    /// Whether connections begin with a header of the PROXY protocol, version 1 or 2, which names the client. `Disabled` (default): they do
    /// not. `Optional`: a header is used if present. `Required`: connections without a header are closed. Clients can forge the header, so
    /// allow only proxies to connect to such a listener. Not for `Udp`. Changing it triggers a rolling update.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ProxyMode")]
    pub proxy: Option<ProxyMode>,
}

/// The protocol of a listener.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
pub enum Protocol {
    /// Answers each line with a prefix and the line.
    #[default]
    Line,
    /// Answers bytes with the same bytes.
    Raw,
    /// Answers what is sent first, and closes.
    Acknowledge,
    /// Answers datagrams with the same datagrams.
    Udp,
    /// Answers requests with what they were.
    Http,
}

impl Protocol {
    /// Returns the echo server's own name of the protocol, as its `--listen` flag takes it.
    pub fn as_flag(self) -> &'static str {
        match self {
            Self::Line => "line",
            Self::Raw => "raw",
            Self::Acknowledge => "acknowledge",
            Self::Udp => "udp",
            Self::Http => "http",
        }
    }

    /// Returns the protocol as the `appProtocol` of a Service port names it; none for datagrams, which meshes leave alone.
    pub fn app_protocol(self) -> Option<&'static str> {
        match self {
            Self::Udp => None,
            Self::Http => Some("http"),
            Self::Line | Self::Raw | Self::Acknowledge => Some("tcp"),
        }
    }

    /// Returns what carries the protocol, as a Service port and a NetworkPolicy name it.
    pub fn transport(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Line | Self::Raw | Self::Acknowledge | Self::Http => "TCP",
        }
    }
}

/// Whether connections begin with a header of the PROXY protocol.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
pub enum ProxyMode {
    /// They do not.
    #[default]
    Disabled,
    /// They may.
    Optional,
    /// They must.
    Required,
}

impl ProxyMode {
    /// Returns the echo server's own name of the mode, as its `--listen` flag takes it; none for the flag's default.
    pub fn as_flag(self) -> Option<&'static str> {
        match self {
            Self::Disabled => None,
            Self::Optional => Some("optional"),
            Self::Required => Some("required"),
        }
    }
}
