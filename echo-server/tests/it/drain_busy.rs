//! Clients that send without a pause while the server drains: each is closed before the deadline, after a whole
//! answer.

use std::net::{SocketAddr, TcpStream};

use http_body_util::{BodyExt, Full};
use hyper::Request;

use crate::admin_flood::attack_alone;
use crate::busy_client::{Received, send_without_pause};
use crate::harness::{Program, connect};
use crate::http::{block_on, http2};
use crate::http2::{begin, ping};
use crate::websocket::{frame, switch};

/// The Close frame of a server that ends.
const GOING_AWAY: &[u8] = b"\x88\x02\x03\xe9";

/// A client of one protocol.
struct Client {
    /// The protocol of the listener.
    protocol: &'static str,
    /// Begins the connection.
    connect: fn(SocketAddr) -> TcpStream,
    /// What is sent again and again.
    piece: Vec<u8>,
    /// Returns whether what was received are whole answers.
    is_whole: fn(&Received) -> bool,
}

/// Returns a client of each protocol.
fn clients() -> Vec<Client> {
    vec![
        Client {
            protocol: "raw",
            connect,
            piece: b"hello".to_vec(),
            is_whole: |_| true,
        },
        Client {
            protocol: "line",
            connect,
            piece: b"hello\n".to_vec(),
            is_whole: |received| {
                let answer = b"Server received: hello\n";
                received.length % 23 == 0 && received.end.ends_with(answer)
            },
        },
        Client {
            protocol: "http",
            connect,
            // Long, as so many bytes of requests are answered first as may have arrived before the drain.
            piece: [
                &b"GET /?status=204 HTTP/1.1\r\nHost: h\r\nX: "[..],
                &[b'x'; 1_000],
                b"\r\n\r\n",
            ]
            .concat(),
            is_whole: |received| {
                let end = String::from_utf8_lossy(&received.end);
                let last = end.rsplit("HTTP/1.1 204").next().unwrap_or_default();
                last.contains("connection: close\r\n") && last.ends_with("\r\n\r\n")
            },
        },
        Client {
            protocol: "http",
            connect: switch,
            piece: frame(0x81, b"a message"),
            is_whole: |received| received.end.ends_with(&[&b"e"[..], GOING_AWAY].concat()),
        },
        Client {
            protocol: "http",
            connect: switch,
            piece: [frame(0x02, b"frag"), frame(0x89, b""), frame(0x80, b"ment")].concat(),
            is_whole: |received| {
                let is_complete = received.length % 14 == 4;
                let last = [&b"\x80\x04ment"[..], GOING_AWAY].concat();
                is_complete && received.end.ends_with(&last)
            },
        },
    ]
}

/// Lets a client send without a pause to a server that drains, and returns what is wrong.
fn failure(client: &Client, fault: Option<&str>) -> Option<String> {
    let listeners = ["--listen=raw:127.0.0.1:0", "--listen=http:127.0.0.1:0"];
    let flags = listeners.into_iter().chain(["--drain-seconds=20"]);
    let mut server = Program::start_flags(&flags.chain(fault).collect::<Vec<_>>());
    let stream = (client.connect)(server.listener(client.protocol));
    server.signal("TERM");
    let received = send_without_pause(stream, &client.piece);
    let log = server.log_until("drained");
    let wrong = match received {
        Some(_) if log.contains("cut=") => log,
        None => "not closed".to_owned(),
        Some(received) if received.is_reset => "reset".to_owned(),
        Some(received) if received.length < 1_000 || !(client.is_whole)(&received) => {
            let end = received.end.escape_ascii();
            format!("{} bytes, at their end {end}", received.length)
        }
        Some(_) => return None,
    };
    let piece = client.piece.get(..20).unwrap_or(&client.piece);
    let piece = piece.escape_ascii();
    Some(format!("{} {piece} {fault:?}: {wrong}", client.protocol))
}

#[test]
fn a_client_that_never_pauses_is_closed_by_a_drain_after_a_whole_answer_in_both_engines() {
    let _attack = attack_alone();
    let clients = clients();
    let failures: Vec<_> = [None, Some("--fault=delay=0")]
        .into_iter()
        .flat_map(|fault| {
            clients
                .iter()
                .filter_map(move |client| failure(client, fault))
        })
        .collect();
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn a_client_of_http2_that_always_has_requests_is_closed_by_a_drain_after_their_answers() {
    let _attack = attack_alone();
    let mut server = Program::start_flags(&["--listen=http:127.0.0.1:0", "--drain-seconds=20"]);
    let address = server.listener("http");
    server.signal("TERM");
    let answered = block_on(async {
        let (sender, connection) = http2(address).await;
        let requests = [(); 4].map(|()| {
            let mut sender = sender.clone();
            tokio::spawn(async move {
                let mut answered = 0;
                while sender.ready().await.is_ok() {
                    let request = Request::get("http://h/").body(Full::default()).unwrap();
                    let Ok(answer) = sender.send_request(request).await else {
                        break; // not processed, as the server has said
                    };
                    answer.into_body().collect().await.expect("a whole answer");
                    answered += 1;
                }
                answered
            })
        });
        drop(sender);
        connection.await.expect("no reset");
        let mut all = 0;
        for request in requests {
            all += request.await.unwrap();
        }
        all
    });
    assert!(answered > 100, "{answered}");
    let log = server.log_until("drained");
    assert!(!log.contains("cut="), "{log}");
}

#[test]
fn a_client_of_http2_that_acknowledges_nothing_and_never_pauses_is_closed_by_a_drain() {
    let _attack = attack_alone();
    // The announcement takes 3 s, and the client has 2 s to acknowledge the end.
    let mut server = Program::start_flags(&["--listen=http:127.0.0.1:0", "--drain-seconds=20"]);
    let stream = begin(server.listener("http"), 1 << 16);
    server.signal("TERM");
    assert!(send_without_pause(stream, &ping()).is_some());
    let log = server.log_until("drained");
    assert!(!log.contains("cut="), "{log}");
}
