#![expect(
    clippy::disallowed_methods,
    reason = "waiting for a condition needs a clock"
)]
//! An operator that a test has for itself.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
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
    /// Starts it with standard error there, and waits until its admin endpoint listens.
    pub(crate) fn start(stderr: Stdio) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let admin = free.local_addr().unwrap();
        drop(free);
        let kubeconfig =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("kubeconfig-{}", admin.port()));
        std::fs::write(&kubeconfig, KUBECONFIG).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_operator"))
            .args(["run", "--admin", &admin.to_string()])
            .env("KUBECONFIG", kubeconfig)
            .stderr(stderr)
            .spawn()
            .unwrap();
        let mut operator = Self { child, admin };
        wait_until("the admin endpoint listens", || {
            assert!(operator.child.try_wait().unwrap().is_none(), "it has ended");
            TcpStream::connect(admin).is_ok()
        });
        operator
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
