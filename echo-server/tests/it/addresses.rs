//! Addresses of `--listen` and `--admin`: each means what it says.

use std::fs::read_to_string;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use crate::harness::{Program, Running, connect, exchange, ping, request};

const DRAIN: Duration = Duration::from_secs(1);

/// Chooses a port that is free for both families.
fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

#[test]
fn two_addresses_may_have_one_port_and_are_counted_together_where_their_protocol_is_one() {
    let port = free_port();
    let listeners = [
        format!("line:127.0.0.1:{port}"),
        format!("line:[::1]:{port}"),
        format!("raw:127.0.0.2:{port}"),
    ];
    let server = Running::start_with(&listeners.each_ref().map(String::as_str), DRAIN);
    assert_eq!(server.admin("GET", "/readyz").0, 200);
    for address in [server.address, server.others[0]] {
        ping(&connect(address), "a");
    }
    assert_eq!(exchange(&connect(server.others[1]), b"raw"), b"raw");
    let (_, _, body) = server.admin("GET", "/metrics");
    for (protocol, connections) in [("line", 2), ("raw", 1)] {
        let labels = format!("{{protocol=\"{protocol}\",port=\"{port}\"}}");
        let name = "echo_connections_accepted_total";
        let sample = format!("\n{name}{labels} {connections}\n");
        assert_eq!(body.matches(&sample).count(), 1, "{body}");
        let all = body.matches(&format!("\n{name}{labels}")).count();
        assert_eq!(all, 1, "{body}");
    }
}

#[test]
fn all_addresses_of_one_family_are_not_those_of_the_other() {
    for protocol in ["line", "http"] {
        let port = free_port();
        let [v4, v6] = [
            format!("{protocol}:0.0.0.0:{port}"),
            format!("{protocol}:[::]:{port}"),
        ];
        let reaches = |address| TcpStream::connect(SocketAddr::new(address, port)).is_ok();
        let (loopback_v4, loopback_v6) = (Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into());
        for (listener, is_v4) in [(&v4, true), (&v6, false)] {
            let server = Running::start_with(&[listener], DRAIN);
            assert_eq!(server.admin("GET", "/readyz").0, 200, "{listener}");
            assert_eq!(reaches(loopback_v4), is_v4, "{listener}");
            assert_eq!(reaches(loopback_v6), !is_v4, "{listener}");
        }
        let both = Running::start_with(&[&v4, &v6], DRAIN);
        assert!(reaches(loopback_v4) && reaches(loopback_v6));
        assert_eq!(both.admin("GET", "/readyz").0, 200);
    }
    let port = free_port();
    let server = Running::start_with(&[&format!("udp:[::]:{port}")], DRAIN);
    assert_eq!(server.admin("GET", "/readyz").0, 200);
    let other = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port));
    assert!(other.is_ok(), "{other:?}");
}

#[test]
fn an_ipv4_address_in_the_form_of_ipv6_is_listened_on() {
    let server = Running::start_with(&["line:[::ffff:127.0.0.1]:0"], DRAIN);
    assert!(server.address.is_ipv4());
    ping(&server.connect(), "a");
    assert_eq!(server.admin("GET", "/readyz").0, 200);
}

/// Finds a link-local address of this machine, as `fe80::1%eth0`; a machine may have none.
fn link_local() -> Option<String> {
    let addresses = read_to_string("/proc/net/if_inet6").ok()?;
    addresses.lines().find_map(|line| {
        let mut fields = line.split_whitespace();
        let bits = u128::from_str_radix(fields.next()?, 16).ok()?;
        let address = Ipv6Addr::from_bits(bits);
        let (interface, flags) = (fields.next_back()?, fields.nth(3)?);
        let is_usable = flags == "80"; // permanent, and no duplicate
        (address.is_unicast_link_local() && is_usable).then(|| format!("{address}%{interface}"))
    })
}

#[test]
fn a_link_local_address_is_listened_on_in_its_zone() {
    let Some(address) = link_local() else {
        return;
    };
    let listen = format!("--listen=line:[{address}]:0,http:[{address}]:0,udp:[{address}]:0");
    let server = Program::start_bare(&[&listen]);
    assert_eq!(request(server.admin, "GET", "/readyz").0, 200);
    for protocol in ["line", "http", "udp"] {
        let port = server.listener(protocol).port();
        let output = Command::new(env!("CARGO_BIN_EXE_echo-server"))
            .arg0("echo-client")
            .args(["probe", &format!("[{address}]:{port}")])
            .arg(format!("--protocol={protocol}"))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            (output.status.code(), text.as_ref()),
            (Some(0), ""),
            "{protocol}"
        );
    }
    let (_, _, body) = request(server.admin, "GET", "/metrics");
    let labels = format!("{{protocol=\"line\",port=\"{}\"}}", server.address.port());
    let accepted = format!("\necho_connections_accepted_total{labels} 1\n"); // probes are not counted
    assert!(body.contains(&accepted), "{body}");
}
