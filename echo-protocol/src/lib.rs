//! What the echo server answers: each protocol as a state machine over bytes.
//!
//! No code here opens a socket, reads a clock or starts a thread: bytes and times are arguments. So
//! every rule can be tested and fuzzed without a server; `fuzz/` has the targets.
//!
//! [`conversation`] is the protocol of one connection: [`mod@line`], [`raw`] or [`acknowledge`]. [`udp`]
//! decides which datagrams are answered, [`proxy_header`] reads who the client behind a proxy is, and
//! [`http_options`] reads what the path and query of an HTTP request ask for, and [`http_host`] checks its
//! Host header. [`websocket`] echoes frames after an upgrade.

pub mod acknowledge;
pub mod conversation;
pub mod http_host;
pub mod http_options;
pub mod line;
mod protocol;
pub mod proxy_header;
pub mod raw;
pub mod udp;
pub mod websocket;

pub use protocol::{Protocol, UnknownProtocol};
