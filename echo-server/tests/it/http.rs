//! The protocol Http: what is answered, in both versions, at each limit and to odd shapes.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr};

use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http2::{self, Connection, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::harness::{
    Program, closed, connect, exchange, expect, is_rejected, read_to_end, request, wait_until,
};

const LISTEN: &str = "--listen=http:127.0.0.1:0";

/// A program with a listener for HTTP, and where that is.
pub(crate) fn start(flags: &[&str]) -> (Program, SocketAddr) {
    let server = Program::start_flags(&[&[LISTEN], flags].concat());
    let address = server.listener("http");
    (server, address)
}

/// Sends what makes a request and reads what comes until the end of output.
fn ask(address: SocketAddr, question: &str) -> String {
    let mut stream = connect(address);
    stream.write_all(question.as_bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    String::from_utf8(read_to_end(&stream)).unwrap()
}

/// What a test asks in HTTP/2, and what has to run for it.
pub(crate) type Http2 = (
    SendRequest<Full<Bytes>>,
    Connection<TokioIo<TcpStream>, Full<Bytes>, TokioExecutor>,
);

/// Begins with HTTP/2.
pub(crate) async fn http2(address: SocketAddr) -> Http2 {
    let stream = TcpStream::connect(address).await.unwrap();
    let shaken = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
    shaken.unwrap()
}

/// Runs a client.
pub(crate) fn block_on<T>(client: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().unwrap().block_on(client)
}

/// Reads what a program counts of its requests.
fn number(server: &Program, metric: &str) -> u64 {
    let (_, _, body) = request(server.admin, "GET", "/metrics");
    let start = format!("{metric}{{protocol=\"http\"");
    let line = body.lines().find(|line| line.starts_with(&start)).unwrap();
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

/// Reads how many requests of a program were answered.
fn requests(server: &Program) -> u64 {
    number(server, "echo_lines_total")
}

#[test]
fn a_request_is_described_as_by_the_gateway_apis_echo_server_with_client_and_node() {
    let place = ["--pod-name=p", "--pod-namespace=s", "--node-name=n"];
    let (server, address) = start(&place);
    let stream = connect(address);
    let client = stream.local_addr().unwrap().to_string();
    (&stream)
        .write_all(b"PUT /a/b?c=d HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 5\r\nConnection: close\r\n\r\n\"\x01\xff\xc3\xa9")
        .unwrap();
    let answer = String::from_utf8(read_to_end(&stream)).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    for header in [
        "content-type: application/json",
        "x-content-type-options: nosniff",
    ] {
        assert!(head.lines().any(|line| line == header), "{head}");
    }
    let expected = json!({
        "path": "/a/b?c=d", "host": "h", "method": "PUT", "proto": "HTTP/1.1",
        "headers": {"x-a": ["1", "2"], "content-length": ["5"], "connection": ["close"]},
        "namespace": "s", "pod": "p", "node": "n",
        "query": "c=d", "body": "\"\u{1}\u{fffd}\u{e9}", "bodyBytes": 5, "client": client,
    });
    assert_eq!(body.parse::<Value>().unwrap(), expected);
    assert_eq!(request(server.admin, "GET", "/readyz").0, 200);
    wait_until("it is counted, and no probe is", || requests(&server) == 1);
}

#[test]
fn an_absolute_target_names_the_host_and_one_without_a_path_is_described_as_it_is() {
    let (_server, address) = start(&[]);
    for (target, path, host) in [
        ("http://a:1/b?c", "/b?c", "a:1"),
        ("http://a", "/", "a"),
        ("*", "*", "h"),
    ] {
        let question = format!("OPTIONS {target} HTTP/1.1\r\nHost: h\r\n\r\n");
        let answer = ask(address, &question);
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let described: Value = body.parse().unwrap();
        assert_eq!(described["path"], path, "{target}");
        assert_eq!(described["host"], host, "{target}");
    }
}

#[test]
fn a_raw_body_comes_back_while_it_is_sent() {
    let (_server, address) = start(&[]);
    let mut stream = connect(address);
    let head = "POST /raw HTTP/1.1\r\nHost: h\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = Vec::new();
    for piece in ["one", "two", "three"] {
        let chunk = format!("{:x}\r\n{piece}\r\n", piece.len());
        stream.write_all(chunk.as_bytes()).unwrap();
        while !answer.ends_with(chunk.as_bytes()) {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            answer.extend(byte);
        }
    }
    stream.write_all(b"0\r\n\r\n").unwrap();
    expect(&stream, b"0\r\n\r\n");
    let head = String::from_utf8(answer).unwrap();
    assert!(
        head.contains("content-type: text/plain; charset=utf-8\r\n"),
        "{head}"
    );
}

#[test]
fn a_client_that_expects_100_gets_it_before_its_body_wherever_that_is_read() {
    let (_server, address) = start(&[]);
    for (target, length) in [
        ("/", "Content-Length: 5"),
        ("/raw", "Content-Length: 5"),
        ("/x?raw&status=201", "Transfer-Encoding: chunked"),
        ("/?delay=0.1", "Transfer-Encoding: chunked"),
    ] {
        let mut stream = connect(address);
        let head = format!(
            "POST {target} HTTP/1.1\r\nHost: h\r\nExpect: 100-Continue\r\n{length}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        expect(&stream, b"HTTP/1.1 100 Continue\r\n\r\n");
        let body = if length.starts_with("Content") {
            "hello"
        } else {
            "5\r\nhello\r\n0\r\n\r\n"
        };
        stream.write_all(body.as_bytes()).unwrap();
        let answer = String::from_utf8(read_to_end(&stream)).unwrap();
        assert!(answer.starts_with("HTTP/1.1 20"), "{target}: {answer}");
        assert!(answer.contains("hello"), "{target}: {answer}");
    }
    let mut stream = connect(address);
    let early =
        "POST /raw HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    stream.write_all(early.as_bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    expect(&stream, b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 400 ");
    let refused =
        "POST /?status=1 HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    let mut stream = connect(address);
    stream.write_all(refused.as_bytes()).unwrap();
    expect(&stream, b"HTTP/1.1 400 ");
}

#[test]
fn a_request_of_http_1_1_without_exactly_one_valid_host_is_refused() {
    let (_server, address) = start(&[]);
    for (hosts, version, status) in [
        ("", "1.1", "400"),
        ("Host: a\r\nHost: a\r\n", "1.1", "400"),
        ("Host: a b\r\n", "1.1", "400"),
        ("Host: a\r\nHost: b\r\n", "1.0", "400"),
        ("Host:\r\n", "1.1", "204"),
        ("Host: [::1]:80\r\n", "1.1", "204"),
        ("", "1.0", "204"),
    ] {
        for target in ["/?status=204", "/raw?status=204"] {
            let answer = ask(
                address,
                &format!("GET {target} HTTP/{version}\r\n{hosts}\r\n"),
            );
            let found = answer.split(' ').nth(1);
            assert_eq!(found, Some(status), "{hosts:?} {version}: {answer}");
        }
    }
}

#[test]
fn status_and_delay_are_obeyed_and_what_is_out_of_bounds_is_explained() {
    let (_server, address) = start(&[]);
    let get = |target: &str| {
        ask(
            address,
            &format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n"),
        )
    };
    assert!(get("/?status=418&delay=0.01").starts_with("HTTP/1.1 418 "));
    let empty = get("/?status=204");
    assert!(
        empty.starts_with("HTTP/1.1 204 ") && empty.ends_with("\r\n\r\n"),
        "{empty}"
    );
    for (target, sentence) in [
        (
            "/?status=100",
            "invalid value \"100\" of status: must be a whole number from 200 to 599\n",
        ),
        (
            "/?delay=31",
            "invalid value \"31\" of delay: must be a number of seconds from 0 to 30\n",
        ),
    ] {
        let answer = get(target);
        assert!(
            answer.starts_with("HTTP/1.1 400 ") && answer.ends_with(sentence),
            "{answer}"
        );
        assert!(answer.contains("content-type: text/plain"), "{answer}");
    }
    let tunnel = ask(address, "CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(tunnel.starts_with("HTTP/1.1 405 "), "{tunnel}");
}

#[test]
fn http2_is_spoken_with_clients_that_begin_with_it() {
    let (_server, address) = start(&[]);
    block_on(async {
        let (mut sender, connection) = http2(address).await;
        tokio::spawn(connection);
        for number in 0..3 {
            let body = Full::new(Bytes::from(format!("body {number}")));
            let question = Request::post(format!("http://h/{number}?status=201")).body(body);
            let answer = sender.send_request(question.unwrap()).await.unwrap();
            assert_eq!(answer.status(), 201);
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            let described: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(described["proto"], "HTTP/2.0");
            assert_eq!(described["host"], "h");
            assert_eq!(described["path"], format!("/{number}?status=201"));
            assert_eq!(described["body"], format!("body {number}"));
        }
        let large = Bytes::from(vec![b'x'; 1 << 20]);
        let question = Request::post("http://h/raw").body(Full::new(large.clone()));
        let answer = sender.send_request(question.unwrap()).await.unwrap();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert!(body == large);
    });
}

#[test]
fn to_head_only_the_head_of_the_answer_to_get_comes() {
    let (_server, address) = start(&[]);
    let ask = |method: &str, target: &str| {
        let head = format!("{method} {target} HTTP/1.1\r\nHost: h\r\n\r\n");
        let answer = String::from_utf8(exchange(&connect(address), head.as_bytes())).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), body.len())
    };
    let length = |head: &str| {
        let (_, after) = head.split_once("content-length: ")?;
        after.lines().next()?.parse().ok()
    };
    for target in ["/", "/?status=500", "/?status=1"] {
        let (head, bytes) = ask("HEAD", target);
        assert_eq!(bytes, 0, "{target}");
        let of_get = ask("GET", target).1;
        let told: usize = length(&head).unwrap();
        assert!(told.abs_diff(of_get) <= 2, "{told}, {of_get}: {head}"); // as its method is, and its port may be
    }
    assert_eq!(length(&ask("HEAD", "/?status=204").0), None::<usize>);
    block_on(async {
        let (mut sender, connection) = http2(address).await;
        tokio::spawn(connection);
        for (target, body) in [("", ""), ("?status=1", ""), ("raw", "body"), ("raw", "")] {
            let question = Request::head(format!("http://h/{target}"));
            let question = question.body(Full::from(body)).unwrap();
            let answer = sender.send_request(question).await.unwrap();
            assert!(answer.headers().contains_key("content-length"), "{target}");
            let body = answer.into_body().collect().await.unwrap();
            assert_eq!(body.to_bytes().len(), 0);
        }
    });
}

#[test]
fn in_http2_a_head_of_more_than_8_kib_is_refused() {
    let (_server, address) = start(&[]);
    block_on(async {
        let (mut sender, connection) = http2(address).await;
        tokio::spawn(connection);
        for (kib, status) in [(7, 200), (9, 431), (7, 200)] {
            let question = Request::get("http://h/").header("x", "x".repeat(kib * 1024));
            let question = question.body(Full::default()).unwrap();
            let answer = sender.send_request(question).await.unwrap();
            assert_eq!(answer.status(), status, "{kib} KiB");
        }
    });
}

#[test]
fn every_answer_is_counted_with_its_latency() {
    let (server, address) = start(&[]);
    for target in ["/?status=1", "/?delay=99", "/?status=204", "/?delay=0.01"] {
        let head = format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
        ask(address, &head);
    }
    ask(address, "CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n");
    wait_until("all are counted", || requests(&server) == 5);
    assert_eq!(number(&server, "echo_line_latency_seconds_count"), 5);
}

#[test]
fn an_ipv4_client_is_reported_as_such_however_it_connects() {
    let flags = ["--listen=http:0", "--listen=http:0/proxy=optional"];
    let server = Program::start_flags(&flags);
    let mut listeners = server.listeners("http");
    let [plain, proxied] = [(); 2].map(|()| listeners.remove(0).port());
    let client = |port: u16, header: &str| {
        let stream = connect((Ipv4Addr::LOCALHOST, port).into());
        let own = stream.local_addr().unwrap();
        let question = format!("{header}GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        let answer = String::from_utf8(exchange(&stream, question.as_bytes())).unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let described: Value = body.parse().unwrap();
        (described["client"].as_str().unwrap().to_owned(), own)
    };
    for (port, header) in [
        (plain, ""),
        (proxied, ""),
        (proxied, "PROXY UNKNOWN\r\n"),
        (proxied, "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"), // LOCAL
    ] {
        let (told, own) = client(port, header);
        assert_eq!(told, own.to_string(), "{header:?}");
    }
    let mapped = "PROXY TCP6 ::ffff:192.0.2.1 ::1 4000 7\r\n";
    assert_eq!(client(proxied, mapped).0, "192.0.2.1:4000");
}

#[test]
fn a_head_or_a_described_body_too_long_is_refused() {
    let (_server, address) = start(&[]);
    let long = "x".repeat(20 * 1024);
    let mut stream = connect(address);
    let head = format!("GET / HTTP/1.1\r\nHost: h\r\nX: {long}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    expect(&stream, b"HTTP/1.1 431 ");
    let body = "x".repeat(4 * 1024 + 1);
    let head = format!(
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = connect(address);
    stream.write_all((head + &body).as_bytes()).unwrap();
    expect(&stream, b"HTTP/1.1 413 ");
}

#[test]
fn limits_of_connections_hold_for_http_too() {
    let (server, address) = start(&["--max-connections=1"]);
    let first = connect(address);
    (&first)
        .write_all(b"GET /?status=204 HTTP/1.1\r\nHost: h\r\n\r\n")
        .unwrap();
    expect(&first, b"HTTP/1.1 204 ");
    assert!(is_rejected(connect(address)));
    assert!(
        is_rejected(connect(server.address)),
        "nor at another listener"
    );
    assert_eq!(request(server.admin, "GET", "/readyz").0, 200);
}

#[test]
fn the_client_behind_a_proxy_is_reported() {
    let server = Program::start_flags(&["--listen=http:127.0.0.1:0/proxy=required"]);
    let address = server.listener("http");
    let header = "PROXY TCP4 192.0.2.1 198.51.100.1 4000 7\r\n";
    let answer = ask(
        address,
        &format!("{header}GET / HTTP/1.1\r\nHost: h\r\n\r\n"),
    );
    assert!(answer.contains("\"client\":\"192.0.2.1:4000\""), "{answer}");
    let bad = connect(address);
    (&bad)
        .write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        .unwrap();
    assert!(is_rejected(bad));
    wait_until("it is counted", || {
        closed(server.admin, "http", "proxy_header") == 1
    });
    assert_eq!(request(server.admin, "GET", "/readyz").0, 200);
}

#[test]
fn what_could_smuggle_a_request_is_refused_or_is_one_request() {
    let (_server, address) = start(&[]);
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n";
    for head in [
        "Content-Length: 4\r\nContent-Length: 5\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: 5, 6\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding: \x0bchunked\r\n",
        "X: y\r\n Content-Length: 5\r\n",
        "X: y\0z\r\n",
        "Content-Length: 5\rX: y\r\n",
    ] {
        let question = format!("POST / HTTP/1.1\r\nHost: h\r\n{head}\r\n");
        let answer = ask(address, &format!("{question}0\r\n\r\n{smuggled}"));
        assert!(answer.starts_with("HTTP/1.1 400 "), "{head:?}: {answer}");
        assert!(!answer.contains("/smuggled"), "{head:?}: {answer}");
    }
    // Where both tell a length, chunks do (RFC 9112, section 6.3), and the connection goes on or ends.
    let both = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 60\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let answer = ask(address, &format!("{both}{smuggled}"));
    assert!(answer.contains("\"bodyBytes\":0"), "{answer}");
}
