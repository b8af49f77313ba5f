//! What the server tells about itself.

use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use crate::harness::{self, Program, Running, connect, exchange, ping, request, wait_until};

const DRAIN: Duration = Duration::from_secs(1);

/// Reads one number of a scrape; labels are those of a listener, in their order.
fn number(server: &Running, name: &str, port: u16) -> u64 {
    let (status, _, body) = server.admin("GET", "/metrics");
    assert_eq!(status, 200);
    let start = format!("{name}{{protocol=\"line\",port=\"{port}\"}} ");
    let line = body.lines().find_map(|line| line.strip_prefix(&start));
    line.unwrap_or_else(|| panic!("no {start} in:\n{body}"))
        .parse()
        .unwrap()
}

#[test]
fn a_whole_server_is_alive_and_ready() {
    let server = Running::start_with(&["line:127.0.0.1:0", "line:0"], DRAIN);
    for path in ["/livez", "/readyz"] {
        let (status, _, body) = server.admin("GET", path);
        assert_eq!((status, body.as_str()), (200, "ok\n"), "{path}");
    }
}

#[test]
fn lines_connections_and_bytes_are_counted_by_listener_and_probes_are_not() {
    let server = Running::start_with(&["line:127.0.0.1:0", "line:127.0.0.1:0"], DRAIN);
    let (port, other) = (server.address.port(), server.others[0].port());
    for _ in 0..5 {
        assert_eq!(server.admin("GET", "/readyz").0, 200);
    }
    exchange(&server.connect(), b"ab\nc");
    let open = server.connect();
    ping(&open, "d");
    wait_until("one connection is closed", || {
        number(&server, "echo_connections_active", port) == 1
    });
    for (name, expected) in [
        ("echo_connections_accepted_total", 2),
        ("echo_connections_active", 1),
        ("echo_lines_total", 3),
        ("echo_received_bytes_total", 6),
        ("echo_sent_bytes_total", 3 * 18 + 4),
    ] {
        assert_eq!(number(&server, name, port), expected, "{name}");
        assert_eq!(
            number(&server, name, other),
            0,
            "{name} of the other listener"
        );
    }
    ping(&connect(server.others[0]), "e");
    assert_eq!(number(&server, "echo_lines_total", other), 1);
    drop(open);
    wait_until("none is open", || {
        number(&server, "echo_connections_active", port) == 0
    });
}

#[test]
fn the_latency_of_lines_and_the_workers_time_are_measured() {
    let server = Program::start_flags(&[]);
    let stream = connect(server.address);
    let lines = 50;
    for number in 0..lines {
        ping(&stream, &number.to_string());
    }
    let scrape = || request(server.admin, "GET", "/metrics").2;
    let value = |start: &str| -> f64 {
        let body = scrape();
        let line = body.lines().find(|line| line.starts_with(start));
        let number = line.and_then(|line| line.rsplit(' ').next());
        number.expect(&body).parse().unwrap()
    };
    // The last line's pass may end after its answer was read.
    wait_until("every line's latency is known", || {
        value("echo_line_latency_seconds_count{") >= f64::from(lines)
    });
    let sum = value("echo_line_latency_seconds_sum{");
    assert!(sum > 0.0 && sum < 1.0, "{sum} s");
    let busy = value("echo_worker_busy_seconds_total{worker=\"0\"}");
    assert!(busy >= sum, "busy for {busy} s, lines took {sum} s");
    let all = value("echo_line_latency_seconds_bucket{le=\"+Inf\",");
    assert!((all - f64::from(lines)).abs() < 0.5, "{all}");
}

#[test]
fn a_client_that_reads_nothing_costs_backpressure_seconds() {
    let server = Program::start_flags(&[]);
    let mut stream = connect(server.address);
    stream.set_nonblocking(true).unwrap();
    let value = |start: &str| -> f64 {
        let (_, _, body) = request(server.admin, "GET", "/metrics");
        let line = body.lines().find(|line| line.starts_with(start));
        let number = line.and_then(|line| line.rsplit(' ').next());
        number.expect(&body).parse().unwrap()
    };
    wait_until("it has pending output", || {
        drop(stream.write(&[b'\n'; 16_384]));
        value("echo_connections_stalled{") > 0.0
    });
    wait_until("that is counted", || {
        ping(&connect(server.address), "the worker passes"); // an idle one would not
        value("echo_backpressure_seconds_total{") > 0.0
    });
    drop(stream);
    wait_until("it is over", || value("echo_connections_stalled{") == 0.0);
}

#[test]
fn metrics_are_openmetrics_text_with_threads_and_failed_accepts() {
    let server = Running::start(DRAIN);
    let (_, head, body) = server.admin("GET", "/metrics");
    assert!(
        head.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8"),
        "{head}"
    );
    let port = server.address.port();
    for line in [
        "echo_threads 2".to_owned(),
        "echo_connections_limit 10000".to_owned(),
        "# TYPE echo_lines counter".to_owned(),
        "# TYPE echo_connections_active gauge".to_owned(),
        format!(
            "echo_accept_errors_total{{protocol=\"line\",port=\"{port}\",reason=\"exhausted\"}} 0"
        ),
        format!("echo_accept_errors_total{{protocol=\"line\",port=\"{port}\",reason=\"other\"}} 0"),
    ] {
        assert!(
            body.lines().any(|found| found == line),
            "no {line} in:\n{body}"
        );
    }
    assert!(body.ends_with("# EOF\n"), "{body}");
}

#[test]
fn a_listener_has_no_series_that_can_never_count() {
    let listeners = ["--listen=raw:127.0.0.1:0", "--listen=udp:127.0.0.1:0"];
    let flags = [listeners[0], listeners[1], "--idle-timeout-seconds=0"];
    let server = Program::start_flags(&flags);
    let (_, _, body) = request(server.admin, "GET", "/metrics");
    let has = |name: &str, protocol: &str, end: &str| {
        let start = format!("{name}{{protocol=\"{protocol}\",");
        let found = |line: &str| line.starts_with(&start) && line.contains(end);
        body.lines().any(found)
    };
    assert!(has("echo_lines_total", "udp", "") && !has("echo_lines_total", "raw", ""));
    assert!(has("echo_connections_active", "raw", ""));
    assert!(!has("echo_connections_active", "udp", ""));
    assert!(has("echo_datagrams_dropped_total", "udp", "rate"));
    assert!(!has("echo_datagrams_dropped_total", "line", ""));
    let closed = |reason: &str| has("echo_connections_closed_total", "line", reason);
    assert!(closed("none") && closed("write_timeout"));
    for disabled in [
        "idle_timeout",
        "first_byte_timeout",
        "fault",
        "proxy_header",
        "max_line_bytes",
        "max_connections_per_client",
    ] {
        assert!(!closed(disabled), "{disabled}");
    }
}

#[test]
fn without_descriptors_left_accepting_pauses_and_goes_on_when_connections_close() {
    let mut server = Program::start(1);
    server.leave_descriptors(40);
    let clients: Vec<_> = (0..60).map(|_| connect(server.address)).collect();
    server.wait_for_log("failed to accept");
    let mut waiting = clients.last().unwrap();
    waiting.write_all(b"hello\n").unwrap();
    waiting
        .set_read_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    assert_eq!(
        waiting.read(&mut [0; 64]).unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
    drop(clients);
    ping(&connect(server.address), "served again");
    let (_, _, body) = request(server.admin, "GET", "/metrics");
    let errors = body
        .lines()
        .find(|line| line.contains("reason=\"exhausted\""))
        .unwrap();
    let errors: u64 = errors.rsplit(' ').next().unwrap().parse().unwrap();
    assert!((1..100).contains(&errors), "{errors} failed accepts"); // one each 100 ms
}

#[test]
fn no_more_connections_are_taken_than_leave_descriptors_for_the_admin_endpoint() {
    let server = Program::start_after("ulimit -n 128", &["--listen=http:127.0.0.1:0"]);
    let clients: Vec<_> = (0..100)
        .flat_map(|_| [server.address, server.listener("http")])
        .map(connect)
        .collect();
    wait_until("some were turned away", || {
        harness::number(
            server.admin,
            "echo_connections_rejected",
            "line",
            "max_connections",
        ) > 0
    });
    assert_eq!(request(server.admin, "GET", "/livez").0, 200);
    assert_eq!(request(server.admin, "GET", "/readyz").0, 200);
    let refused = harness::number(server.admin, "echo_accept_errors", "line", "exhausted");
    assert_eq!(refused, 0);
    drop(clients);
}

#[test]
fn other_paths_and_methods_are_refused() {
    let server = Running::start(DRAIN);
    for (method, path, expected) in [
        ("GET", "/", 404),
        ("GET", "/livez/", 404),
        ("POST", "/nothing", 404),
        ("POST", "/livez", 405),
        ("DELETE", "/metrics", 405),
        ("HEAD", "/livez", 200),
        ("GET", "/livez?verbose", 200),
    ] {
        let (status, head, _) = server.admin(method, path);
        assert_eq!(status, expected, "{method} {path}");
        assert_eq!(head.contains("allow: get, head"), expected == 405, "{head}");
    }
}
