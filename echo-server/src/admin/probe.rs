//! The probe of a listener: one echo through it, on a connection that no metric and no limit counts.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use echo_protocol::conversation;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, UdpSocket};

use crate::engine::Shared;
use crate::listener::BoundListener;

/// Sends what the listener's protocol answers, and compares the answer.
pub(super) async fn probe(listener: BoundListener, shared: &Shared) -> io::Result<()> {
    let (input, expected) = conversation::probe(listener.protocol, &shared.rules);
    let target = reachable(listener);
    let mut local = target; // of a link-local address, the zone as well
    local.set_port(0);
    let output = if listener.protocol.is_datagrams() {
        let socket = UdpSocket::bind(local).await?;
        let _probe = shared.probes.announce(socket.local_addr()?);
        socket.connect(target).await?;
        socket.send(&input).await?;
        let mut output = vec![0; expected.len() + 1];
        let length = socket.recv(&mut output).await?;
        output.truncate(length);
        output
    } else {
        let socket = match target {
            SocketAddr::V4(_) => TcpSocket::new_v4(),
            SocketAddr::V6(_) => TcpSocket::new_v6(),
        }?;
        // Bound before it connects, so that its address can be announced first.
        socket.bind(local)?;
        let _probe = shared.probes.announce(socket.local_addr()?);
        let mut stream = socket.connect(target).await?;
        stream.write_all(&input).await?;
        let mut output = vec![0; expected.len()];
        stream.read_exact(&mut output).await?;
        output
    };
    let wrong = || io::Error::other("the answer is not what was sent");
    (output == expected).then_some(()).ok_or_else(wrong)
}

/// Returns an address of this machine that reaches a listener: loopback when it listens on all of
/// them. IPv4 reaches a dual-stack listener also where IPv6 is switched off.
fn reachable(listener: BoundListener) -> SocketAddr {
    let mut target = listener.address;
    if target.ip().is_unspecified() {
        target.set_ip(if listener.is_ipv6_only {
            Ipv6Addr::LOCALHOST.into()
        } else {
            Ipv4Addr::LOCALHOST.into()
        });
    }
    target
}
