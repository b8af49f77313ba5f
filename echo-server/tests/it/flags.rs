//! Bad flags of the program: one line that names the flag, the value and what is allowed.

use std::net::TcpListener;
use std::process::{Command, Output};

/// Runs the program with arguments and variables, which must make it end.
fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_echo-server"))
        .args(arguments)
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

/// Runs the program, which must refuse with code 2 and one line, and gives the line without its
/// beginning.
fn refusal(arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let output = run(arguments, variables);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    text.strip_prefix("echo-server: ")
        .unwrap()
        .trim_end()
        .to_owned()
}

const LISTEN: &str = "for '--listen <PROTOCOL:[ADDRESS:]PORT[/proxy=MODE]>'";
const SHAPE: &str = "must be protocol:[address:]port, such as line:12345 or line:[::1]:12345";
const PORT: &str = "port must be 1 to 65535, or 0 for a free one that the system chooses";
const ADDRESS: &str = "address must be an IPv4 address, or an IPv6 address in brackets";
const THREADS: &str = "for '--threads <COUNT>': must be a whole number from 1 to 256";
const DRAIN: &str = "for '--drain-seconds <SECONDS>': must be a whole number from 0 to 3600";
const ADMIN: &str = "for '--admin <[ADDRESS:]PORT>'";

#[test]
fn a_bad_fault_or_sample_is_named_with_what_is_allowed() {
    for (flag, value, expected) in [
        (
            "--log-lines",
            "-1",
            bounds("log-lines", "COUNT", "0 to 1000000000"),
        ),
        (
            "--fault",
            "crash=1",
            format!("for '--fault <KIND=VALUE>': {FAULT}"),
        ),
        (
            "--fault-seed",
            "-1",
            bounds("fault-seed", "NUMBER", "0 to 4294967295"),
        ),
    ] {
        let expected = format!("invalid value '{value}' {expected}");
        assert_eq!(refusal(&[&format!("{flag}={value}")], &[]), expected);
    }
    assert_eq!(
        refusal(&["--fault=delay=5,rate=1", "--fault=delay=6"], &[]),
        "invalid value 'delay=6~0' for '--fault': there is another one of its kind; give each kind once"
    );
}

const FAULT: &str = "must be delay=MILLIS or delay=MILLIS~JITTER (0 to 60000, jitter at most the \
    delay), rate=BYTES or reset=BYTES (1 to 1000000000), or refuse=PERCENT, close=PERCENT or \
    corrupt=PERCENT (0 to 100)";

/// How a number beyond its bounds is refused.
fn bounds(flag: &str, name: &str, bounds: &str) -> String {
    format!("for '--{flag} <{name}>': must be a whole number from {bounds}")
}

#[test]
fn a_bad_prefix_takes_one_line_whatever_it_holds() {
    let rule = "for '--line-prefix <TEXT>': must be at most 6144 bytes without a line break";
    for (value, printed) in [
        ("a\n\nb", "a\\n\\nb"),
        ("\r", "\\r"),
        (&"x".repeat(6145), &"x".repeat(6145)),
    ] {
        let expected = format!("invalid value '{printed}' {rule}");
        assert_eq!(refusal(&[], &[("ECHO_LINE_PREFIX", value)]), expected);
        assert_eq!(refusal(&[&format!("--line-prefix={value}")], &[]), expected);
    }
}

#[test]
fn a_bad_value_is_named_with_its_flag_and_what_is_allowed() {
    let not_served = "protocol \"quote\" is not served; served: line, raw, acknowledge, udp, http";
    for (flag, value, expected) in [
        ("--listen", "12345", format!("{LISTEN}: {SHAPE}")),
        ("--listen", "quote:7", format!("{LISTEN}: {not_served}")),
        ("--listen", "line:99999", format!("{LISTEN}: {PORT}")),
        ("--listen", "line:::1:7", format!("{LISTEN}: {ADDRESS}")),
        ("--threads", "0", THREADS.to_owned()),
        ("--threads", "257", THREADS.to_owned()),
        ("--threads", "two", THREADS.to_owned()),
        ("--drain-seconds", "3601", DRAIN.to_owned()),
        ("--drain-seconds", "1.5", DRAIN.to_owned()),
        (
            "--max-connections",
            "0",
            bounds("max-connections", "COUNT", "1 to 1000000"),
        ),
        (
            "--max-connections-per-client",
            "1000001",
            bounds("max-connections-per-client", "COUNT", "0 to 1000000"),
        ),
        (
            "--max-line-bytes",
            "1073741825",
            bounds("max-line-bytes", "COUNT", "0 to 1073741824"),
        ),
        (
            "--first-byte-timeout-seconds",
            "3601",
            bounds("first-byte-timeout-seconds", "SECONDS", "0 to 3600"),
        ),
        (
            "--idle-timeout-seconds",
            "86401",
            bounds("idle-timeout-seconds", "SECONDS", "0 to 86400"),
        ),
        (
            "--write-timeout-seconds",
            "3601",
            bounds("write-timeout-seconds", "SECONDS", "0 to 3600"),
        ),
        (
            "--max-datagrams-per-second",
            "1000001",
            bounds("max-datagrams-per-second", "COUNT", "0 to 1000000"),
        ),
        ("--admin", "x:1", format!("{ADMIN}: {ADDRESS}")),
    ] {
        let expected = format!("invalid value '{value}' {expected}");
        assert_eq!(refusal(&[&format!("{flag}={value}")], &[]), expected);
    }
}

#[test]
fn a_missing_or_wrong_zone_is_named_with_the_remedy() {
    for (flag, value, expected) in [
        (
            "--admin",
            "[fe80::1]:1",
            format!(
                "{ADMIN}: link-local address fe80::1 needs its zone, which is a network interface: fe80::1%eth0"
            ),
        ),
        (
            "--listen",
            "line:[fe80::1%none]:7",
            format!("{LISTEN}: zone none is no network interface; `ip link` lists them"),
        ),
        (
            "--listen",
            "line:[::1%lo]:7",
            format!(
                "{LISTEN}: address ::1 has no zone, as only link-local addresses (fe80::/10) do; leave %lo away"
            ),
        ),
        ("--admin", "", format!("{ADMIN}: {PORT}")),
    ] {
        let expected = format!("invalid value '{value}' {expected}");
        assert_eq!(refusal(&[&format!("{flag}={value}")], &[]), expected);
    }
}

#[test]
fn variables_are_checked_like_the_flags_that_they_stand_for() {
    let not_served = "protocol \"quote\" is not served; served: line, raw, acknowledge, udp, http";
    for (variable, value, expected) in [
        (
            "ECHO_LISTEN",
            "line:1,quote:2",
            format!("'quote:2' {LISTEN}: {not_served}"),
        ),
        ("ECHO_THREADS", "none", format!("'none' {THREADS}")),
        ("ECHO_DRAIN_SECONDS", "-1", format!("'-1' {DRAIN}")),
        (
            "ECHO_MAX_CONNECTIONS",
            "x",
            format!("'x' {}", bounds("max-connections", "COUNT", "1 to 1000000")),
        ),
        (
            "ECHO_MAX_CONNECTIONS_PER_CLIENT",
            "x",
            format!(
                "'x' {}",
                bounds("max-connections-per-client", "COUNT", "0 to 1000000")
            ),
        ),
        (
            "ECHO_MAX_LINE_BYTES",
            "x",
            format!(
                "'x' {}",
                bounds("max-line-bytes", "COUNT", "0 to 1073741824")
            ),
        ),
        (
            "ECHO_IDLE_TIMEOUT_SECONDS",
            "x",
            format!(
                "'x' {}",
                bounds("idle-timeout-seconds", "SECONDS", "0 to 86400")
            ),
        ),
        (
            "ECHO_WRITE_TIMEOUT_SECONDS",
            "x",
            format!(
                "'x' {}",
                bounds("write-timeout-seconds", "SECONDS", "0 to 3600")
            ),
        ),
        (
            "ECHO_ADMIN",
            "12345",
            taken("line:12345", 12345, "'--admin'"),
        ),
    ] {
        let expected = format!("invalid value {expected}");
        assert_eq!(refusal(&[], &[(variable, value)]), expected, "{variable}");
    }
}

/// How a port that has an owner already is refused, from the value on.
fn taken(value: &str, port: u16, owner: &str) -> String {
    let rule = "each needs its own port, or an address that no other has";
    format!("'{value}' for '--listen': port {port} is taken by {owner}; {rule}")
}

#[test]
fn two_listeners_cannot_have_one_port_nor_the_admin_port() {
    assert_eq!(
        refusal(
            &["--listen", "line:7000", "--listen", "line:127.0.0.1:7000"],
            &[]
        ),
        format!(
            "invalid value {}",
            taken("line:127.0.0.1:7000", 7000, "another '--listen'")
        )
    );
    let same = [
        "--listen=line:127.0.0.1:7000",
        "--listen=raw:[::ffff:127.0.0.1]:7000",
    ];
    assert_eq!(
        refusal(&same, &[]),
        format!(
            "invalid value {}",
            taken("raw:127.0.0.1:7000", 7000, "another '--listen'")
        )
    );
    assert_eq!(
        refusal(&["--listen", "line:9090"], &[]),
        format!("invalid value {}", taken("line:9090", 9090, "'--admin'"))
    );
    let seventeen: Vec<_> = (7000..7017)
        .map(|port| format!("--listen=line:{port}"))
        .collect();
    let seventeen: Vec<_> = seventeen.iter().map(String::as_str).collect();
    assert_eq!(
        refusal(&seventeen, &[]),
        "invalid value of 17 listeners for '--listen': at most 16 are allowed"
    );
}

#[test]
fn unknown_flags_and_missing_values_take_one_line_too() {
    assert_eq!(
        refusal(&["--port", "1"], &[]),
        "unexpected argument '--port' found; --help lists what is allowed"
    );
    assert_eq!(
        refusal(&["--threads"], &[]),
        "a value is required for '--threads <COUNT>' but none was supplied; \
         --help lists what is allowed"
    );
}

#[test]
fn a_port_in_use_is_one_clear_line_and_code_1() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    for (flags, start) in [
        (
            [format!("--listen=line:{address}"), "--admin=0".to_owned()],
            format!("line:{address} (--listen)"),
        ),
        (
            [
                "--listen=line:127.0.0.1:0".to_owned(),
                format!("--admin={address}"),
            ],
            format!("{address} (--admin)"),
        ),
    ] {
        let output = run(&flags.each_ref().map(String::as_str), &[]);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert_eq!(
            text,
            format!(
                "echo-server: failed to listen on {start}: Address already in use (os error 98)\n"
            )
        );
    }
}

#[test]
fn help_and_version_go_to_standard_output_with_code_0() {
    for (flag, expected) in [
        ("--help", "ECHO_LISTEN"),
        ("--version", env!("CARGO_PKG_VERSION")),
    ] {
        let output = run(&[flag], &[]);
        assert_eq!(output.status.code(), Some(0));
        assert!(
            String::from_utf8(output.stdout).unwrap().contains(expected),
            "{flag}"
        );
    }
}
