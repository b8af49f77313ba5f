//! docs/echo-server.md explains every word of a load's report.

use super::program;
use crate::harness::EchoServer;

const TEXT: &str = include_str!("../../../../docs/echo-server.md");

#[test]
fn every_word_of_the_report_is_documented() {
    let (_, text) = TEXT.split_once("\n## echo-client\n").unwrap();
    let server = EchoServer::start();
    let report = |flag: &str| {
        let output = program(server.address, &["--seconds=1", "--quiet", flag]);
        String::from_utf8(output.stdout).unwrap()
    };
    let json = report("--json");
    let keys: Vec<_> = json.split('"').skip(1).step_by(2).collect();
    assert!(keys.len() > 15, "{json}");
    let is_word = |key: &&str| !key.starts_with('p') && *key != "max" && *key != "connections";
    for key in keys.into_iter().filter(is_word) {
        let is_there = text.contains(&format!("`{key}`")) || text.contains(&format!(".{key}`"));
        assert!(is_there, "{key} is missing");
    }
    let table = report("--connections=1");
    for line in table.lines().filter(|line| !line.starts_with("latency")) {
        let (_, words) = line.split_once(' ').unwrap();
        for words in words.split([',', '(']) {
            let words = words.trim_start_matches(|c: char| !c.is_alphabetic());
            let words = words.trim_end_matches([' ', ')']);
            let words = words.split_once("B/s ").map_or(words, |(_, words)| words);
            assert!(text.contains(words), "{words:?} is missing");
        }
    }
}
