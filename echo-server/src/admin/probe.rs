//! The probe of a listener: one echo through it, on a connection that no metric and no limit counts.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use echo_protocol::conversation;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, UdpSocket};
use tokio::time::{sleep, timeout};

use crate::engine::Shared;
use crate::listener::BoundListener;

/// How long to wait for the answer to a datagram before it is sent again. The system drops datagrams that do not fit
/// into the buffer of a socket, which clients can keep full.
const RETRANSMISSION_TIMEOUT: Duration = Duration::from_millis(100);

/// How long the address of a probe is kept after an answer if several datagrams were sent. Those that are still
/// queued would otherwise be counted as a client's.
const KEPT: Duration = Duration::from_secs(1);

/// Sends what the listener's protocol answers, and compares the answer. The caller sets the deadline.
pub(super) async fn probe(listener: BoundListener, shared: &Shared) -> io::Result<()> {
    let (input, expected) = conversation::probe(listener.protocol, &shared.rules);
    let target = reachable(listener);
    let mut local = target; // of a link-local address, the zone as well
    local.set_port(0);
    let output = if listener.protocol.is_datagrams() {
        let socket = UdpSocket::bind(local).await?;
        let probe = shared.probes.announce(socket.local_addr()?);
        socket.connect(target).await?;
        let mut output = vec![0; expected.len() + 1];
        let (length, sent) = exchange_datagrams(&socket, &input, &mut output).await?;
        output.truncate(length);
        if sent > 1 {
            tokio::spawn(async move {
                sleep(KEPT).await;
                drop((probe, socket));
            });
        }
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

/// Sends a datagram again and again until one comes back, and returns its length and how many were sent.
async fn exchange_datagrams(
    socket: &UdpSocket,
    input: &[u8],
    output: &mut [u8],
) -> io::Result<(usize, u32)> {
    let mut sent = 0;
    loop {
        socket.send(input).await?;
        sent += 1;
        if let Ok(received) = timeout(RETRANSMISSION_TIMEOUT, socket.recv(output)).await {
            return Ok((received?, sent));
        }
    }
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

#[cfg(test)]
mod tests {
    use echo_protocol::Protocol;

    use super::*;

    #[tokio::test]
    async fn a_datagram_that_is_lost_is_sent_again() {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let listener = BoundListener {
            protocol: Protocol::Udp,
            address: server.local_addr().unwrap(),
            is_ipv6_only: false,
        };
        let shared = Shared::default();
        let answers = async {
            let mut datagram = [0; 16];
            server.recv_from(&mut datagram).await.unwrap(); // and not answered
            let (length, from) = server.recv_from(&mut datagram).await.unwrap();
            server.send_to(&datagram[..length], from).await.unwrap();
        };
        let exchange = async { tokio::join!(probe(listener, &shared), answers) };
        let exchanged = timeout(Duration::from_secs(5), exchange).await;
        exchanged.expect("it is not sent again").0.unwrap();
    }
}
