//! docs/echo-server.md names every flag and every metric.

use std::process::Command;

use crate::harness::{Program, request};

const TEXT: &str = include_str!("../../../docs/echo-server.md");

#[test]
fn every_flag_is_documented() {
    let program = env!("CARGO_BIN_EXE_echo-server");
    let help = Command::new(program).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let words = help
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("--"));
    let flags: Vec<_> = words
        .map(|words| words.split(' ').next().unwrap_or_default())
        .collect();
    assert!(flags.len() > 15, "{flags:?}");
    for flag in flags {
        assert!(TEXT.contains(&format!("`--{flag}`")), "--{flag} is missing");
    }
}

/// Makes a server export every metric with every reason.
const EVERYTHING: [&str; 14] = [
    "--listen",
    "udp:127.0.0.1:0",
    "--listen",
    "http:127.0.0.1:0/proxy=optional",
    "--max-connections-per-client",
    "100",
    "--first-byte-timeout-seconds",
    "10",
    "--max-line-bytes",
    "1000",
    "--fault",
    "delay=1",
    "--fault-seed",
    "1",
];

#[test]
fn every_metric_and_reason_is_documented_and_exists() {
    let server = Program::start_flags(&EVERYTHING);
    let (_, _, body) = request(server.admin, "GET", "/metrics");
    let mut names = Vec::new();
    let lines = body.lines().filter(|line| !line.starts_with('#'));
    for line in lines {
        let name = line.split(['{', ' ']).next().unwrap_or_default();
        let name = ["_bucket", "_sum", "_count"]
            .iter()
            .fold(name, |name, end| name.strip_suffix(end).unwrap_or(name));
        assert!(TEXT.contains(&format!("`{name}`")), "{name} is missing");
        names.push(name);
        if let Some((_, reason)) = line.split_once("reason=\"") {
            let reason = reason.split('"').next().unwrap_or_default();
            assert!(TEXT.contains(&format!("`{reason}`")), "{reason} is missing");
        }
    }
    let words = TEXT.split('`').skip(1).step_by(2);
    for documented in words.filter(|word| word.starts_with("echo_")) {
        assert!(names.contains(&documented), "{documented} does not exist");
    }
}
