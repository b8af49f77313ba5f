#![expect(
    clippy::disallowed_methods,
    reason = "waiting for a condition needs a clock"
)]
//! An operator that a test has for itself.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{self, Child, ChildStderr, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::flood::PROBE_TIMEOUT;

/// Far beyond what anything here takes; a test that waits as long has failed.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);

/// A cluster whose API server does not exist.
const KUBECONFIG: &str = r#"{"apiVersion": "v1", "kind": "Config", "current-context": "c",
  "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
  "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
  "users": [{"name": "u", "user": {}}]}"#;

/// A running operator.
pub(crate) struct Operator {
    child: Child,
    pub(crate) admin: SocketAddr,
}

impl Operator {
    /// Starts it, and reads from its log where its admin endpoint is. The rest of the log is discarded.
    pub(crate) fn start() -> Self {
        Self::start_after(":")
    }

    /// Starts it after a shell's command.
    pub(crate) fn start_after(command: &str) -> Self {
        let (operator, mut log) = Self::start_with_log(command);
        thread::spawn(move || io::copy(&mut log, &mut io::sink()));
        operator
    }

    /// Starts it after a shell's command, and returns what follows in its log.
    pub(crate) fn start_with_log(command: &str) -> (Self, BufReader<ChildStderr>) {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
        // Of its own, since another test may be reading one that is being written.
        let name = format!("kubeconfig-{}-{:?}", process::id(), thread::current().id());
        let kubeconfig = directory.join(name);
        std::fs::write(&kubeconfig, KUBECONFIG).unwrap();
        let mut child = Command::new("sh")
            .args(["-c", &format!("{command}; exec \"$0\" \"$@\"")])
            .arg(env!("CARGO_BIN_EXE_operator"))
            .args(["run", "--admin", "127.0.0.1:0", "--log-format", "text"])
            .env("KUBECONFIG", kubeconfig)
            .env("NO_COLOR", "1")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("starting") {
            line.clear();
            assert!(log.read_line(&mut line).unwrap() > 0, "it has ended");
        }
        let (_, address) = line.split_once(" admin=").expect(&line);
        let admin = address.split_whitespace().next().unwrap().parse().unwrap();
        (Self { child, admin }, log)
    }

    /// Counts its descriptors.
    pub(crate) fn descriptors(&self) -> usize {
        let path = format!("/proc/{}/fd", self.child.id());
        std::fs::read_dir(path).unwrap().count()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let kill = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(kill.unwrap().success());
    }

    /// Does what the kubelet does, and returns the whole answer.
    pub(crate) fn get(&self, path: &str) -> io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&self.admin, PROBE_TIMEOUT)?;
        stream.set_read_timeout(Some(PROBE_TIMEOUT))?;
        let head = "HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
        write!(stream, "GET {path} {head}")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// Reads a counter.
    pub(crate) fn counter(&self, name: &str) -> u64 {
        let text = self.get("/metrics").unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.expect(&text).trim().parse().unwrap()
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Asks over and over until the answer is yes.
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < TIMEOUT, "waited in vain until {what}");
        thread::yield_now();
    }
}
