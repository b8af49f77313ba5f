//! WebSocket as a client library speaks it, which is not ours: tungstenite.

use std::net::{SocketAddr, TcpStream};

use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::Frame;
use tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tungstenite::{Error, Message, WebSocket, client};

use crate::harness::{closed, connect, wait_until};
use crate::http::start;

/// Connects and switches to WebSocket.
fn open(address: SocketAddr) -> WebSocket<TcpStream> {
    let url = format!("ws://{address}/chat");
    let (socket, answer) = client(url, connect(address)).unwrap();
    assert_eq!(answer.status(), 101);
    socket
}

/// Makes a frame that is not the last one of a message unless it `is_final`.
fn fragment(kind: Data, payload: &'static [u8], is_final: bool) -> Message {
    Message::Frame(Frame::message(payload, OpCode::Data(kind), is_final))
}

/// Reads the close and the end after it, and returns the code.
fn read_close(socket: &mut WebSocket<TcpStream>) -> CloseCode {
    let Message::Close(Some(close)) = socket.read().unwrap() else {
        panic!("another message than a close with a code");
    };
    assert!(matches!(socket.read(), Err(Error::ConnectionClosed)));
    close.code
}

#[test]
fn a_client_library_gets_every_message_back() {
    let (_server, address) = start(&[]);
    let mut socket = open(address);
    let long = "€".repeat(1 << 16);
    for message in [
        Message::text("text"),
        Message::text(""),
        Message::text(&long),
        Message::binary(&b"\0\xff"[..]),
        Message::binary(long.into_bytes()),
    ] {
        socket.send(message.clone()).unwrap();
        assert!(socket.read().unwrap() == message);
    }
    for fragment in [
        fragment(Data::Text, b"frag \xe2", false),
        Message::Ping("ping".into()),
        fragment(Data::Continue, b"\x82", false),
        fragment(Data::Continue, b"\xac ments", true),
    ] {
        socket.send(fragment).unwrap();
    }
    assert_eq!(socket.read().unwrap(), Message::Pong("ping".into()));
    assert_eq!(socket.read().unwrap(), Message::text("frag € ments"));
}

#[test]
fn a_client_library_gets_its_close_code_back() {
    let (_server, address) = start(&[]);
    for code in [CloseCode::Normal, CloseCode::from(3001)] {
        let mut socket = open(address);
        let reason = "a reason".into();
        socket.close(Some(CloseFrame { code, reason })).unwrap();
        assert_eq!(read_close(&mut socket), code);
    }
}

#[test]
fn a_client_library_is_refused_text_that_is_not_utf8() {
    let (_server, address) = start(&[]);
    for fragments in [
        &[(Data::Text, &b"\xff"[..], true)][..],
        &[
            (Data::Text, b"\xe2\x82", false),
            (Data::Continue, b"x", true),
        ],
    ] {
        let mut socket = open(address);
        for (kind, payload, is_final) in fragments {
            let fragment = fragment(*kind, payload, *is_final);
            socket.send(fragment).unwrap();
        }
        assert_eq!(read_close(&mut socket), CloseCode::Invalid);
    }
}

#[test]
fn a_client_library_is_refused_a_message_that_is_longer_than_allowed() {
    let (server, address) = start(&["--max-line-bytes=1000"]);
    let mut socket = open(address);
    let longest = Message::binary(vec![b'x'; 1000]);
    socket.send(longest.clone()).unwrap();
    assert_eq!(socket.read().unwrap(), longest);
    socket.send(Message::binary(vec![b'x'; 1001])).unwrap();
    assert_eq!(read_close(&mut socket), CloseCode::Size);
    wait_until("it is counted", || {
        closed(server.admin, "http", "max_line_bytes") == 1
    });
}
