#![expect(
    clippy::disallowed_methods,
    reason = "waiting for a condition needs a clock"
)]
//! Servers that a test has for itself: in the test's process, or as the built program.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::num::NonZeroUsize;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use echo_server::config::Config;
use echo_server::server::{Ended, ServeError, Server};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// Far beyond what anything here takes; a test that waits as long has failed.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);

/// A server in this process.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) others: Vec<SocketAddr>,
    pub(crate) admin: SocketAddr,
    stops: Option<UnboundedSender<()>>,
    thread: Option<JoinHandle<Result<Ended, ServeError>>>,
}

impl Running {
    /// Starts a server of two threads with one listener.
    pub(crate) fn start(drain: Duration) -> Self {
        Self::start_with(&["line:127.0.0.1:0"], drain)
    }

    pub(crate) fn start_with(listeners: &[&str], drain: Duration) -> Self {
        Self::start_late(listeners, drain, |_| ()).0
    }

    /// Starts a server of two threads after `meanwhile` has done something with its address, such
    /// as connecting.
    pub(crate) fn start_late<T>(
        listeners: &[&str],
        drain: Duration,
        meanwhile: impl FnOnce(SocketAddr) -> T,
    ) -> (Self, T) {
        let config = Config {
            listeners: listeners.iter().map(|text| text.parse().unwrap()).collect(),
            admin: "127.0.0.1:0".parse().unwrap(),
            threads: NonZeroUsize::new(2).unwrap(),
            drain,
            ..Config::default()
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let server = Server::bind(&config).unwrap();
        let mut addresses = server.listeners().iter().map(|listener| listener.address);
        let address = addresses.next().unwrap();
        let (others, admin) = (addresses.collect(), server.admin());
        let done_meanwhile = meanwhile(address);
        let (sender, stops) = unbounded_channel();
        let thread = thread::spawn(move || runtime.block_on(server.serve(stops)));
        let (stops, thread) = (Some(sender), Some(thread));
        let running = Self {
            address,
            others,
            admin,
            stops,
            thread,
        };
        (running, done_meanwhile)
    }

    pub(crate) fn connect(&self) -> TcpStream {
        connect(self.address)
    }

    /// Does what a signal does.
    pub(crate) fn signal(&self) {
        self.stops.as_ref().unwrap().send(()).unwrap();
    }

    /// Waits for the end.
    pub(crate) fn ended(mut self) -> Ended {
        self.thread.take().unwrap().join().unwrap().unwrap()
    }

    /// Sends a request to the admin endpoint; gives the status, the head and the body.
    pub(crate) fn admin(&self, method: &str, path: &str) -> (u16, String, String) {
        request(self.admin, method, path)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let (Some(stops), Some(thread)) = (self.stops.take(), self.thread.take()) {
            let _ = stops.send(()).and_then(|()| stops.send(()));
            drop(thread.join());
        }
    }
}

/// The built program, as a process with one worker thread.
pub(crate) struct Program {
    pub(crate) child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    first_line: String,
    stderr: Option<BufReader<ChildStderr>>,
}

impl Program {
    /// Starts it, and reads from its first log line where it listens.
    pub(crate) fn start(drain_seconds: u64) -> Self {
        Self::start_flags(&["--drain-seconds", &drain_seconds.to_string()])
    }

    /// Starts it with flags.
    pub(crate) fn start_flags(flags: &[&str]) -> Self {
        Self::start_after(":", flags)
    }

    /// Starts it with flags after a shell's command.
    pub(crate) fn start_after(command: &str, flags: &[&str]) -> Self {
        Self::start_all(
            command,
            &[&["--listen", "line:127.0.0.1:0"], flags].concat(),
        )
    }

    /// Starts it with flags, one of which must be a listener for lines.
    pub(crate) fn start_bare(flags: &[&str]) -> Self {
        Self::start_all(":", flags)
    }

    /// Starts it after a shell's command, with no listener but those of the flags.
    fn start_all(command: &str, flags: &[&str]) -> Self {
        let mut child = Command::new("sh")
            .args(["-c", &format!("{command}; exec \"$0\" \"$@\"")])
            .arg(env!("CARGO_BIN_EXE_echo-server"))
            .args(["--admin", "127.0.0.1:0", "--threads", "1"])
            .args(flags)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("listeners=") {
            line.clear();
            assert!(stderr.read_line(&mut line).unwrap() > 0, "it ended early");
        }
        let address_after = |words: &str| {
            let (_, after) = line.split_once(words).expect(&line);
            after
                .split(['"', ' ', ','])
                .next()
                .unwrap()
                .parse()
                .unwrap()
        };
        let (address, admin) = (address_after("listeners=\"line:"), address_after("admin="));
        Self {
            child,
            address,
            admin,
            first_line: line,
            stderr: Some(stderr),
        }
    }

    /// Takes descriptors from it while it runs, which it did not reckon with.
    pub(crate) fn leave_descriptors(&self, most: u64) {
        let pid = self.child.id().try_into().unwrap();
        rlimit::prlimit(pid, rlimit::Resource::NOFILE, Some((most, most)), None).unwrap();
    }

    /// Sends a signal, by its name without SIG.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id();
        assert!(
            Command::new("kill")
                .args([format!("-{name}"), pid.to_string()])
                .status()
                .unwrap()
                .success()
        );
    }

    /// Whether SIGSTOP has reached all of its threads.
    pub(crate) fn is_stopped(&self) -> bool {
        let mut statuses = self.threads();
        statuses.all(|status| status.contains("\nState:\tT"))
    }

    /// What the system says of each of its threads.
    fn threads(&self) -> impl Iterator<Item = String> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("status")).unwrap())
    }

    /// Where the listener for datagrams is that was asked for beside the usual one.
    pub(crate) fn udp(&self) -> SocketAddr {
        self.listener("udp")
    }

    /// Where the first listener of a protocol is.
    pub(crate) fn listener(&self, protocol: &str) -> SocketAddr {
        self.listeners(protocol)[0]
    }

    /// Where the listeners of a protocol are.
    pub(crate) fn listeners(&self, protocol: &str) -> Vec<SocketAddr> {
        let (_, listeners) = self.first_line.split_once("listeners=\"").unwrap();
        let listeners = listeners.split('"').next().unwrap().split(',');
        let addresses = listeners.filter_map(|one| one.strip_prefix(protocol)?.strip_prefix(':'));
        addresses.map(|address| address.parse().unwrap()).collect()
    }

    /// Waits for a log line that holds these words.
    pub(crate) fn wait_for_log(&mut self, words: &str) {
        self.log_until(words);
    }

    /// Returns the log from where it was last read to a line that holds these words.
    pub(crate) fn log_until(&mut self, words: &str) -> String {
        let mut log = String::new();
        let stderr = self.stderr.as_mut().unwrap();
        while !log.contains(words) {
            assert!(
                stderr.read_line(&mut log).unwrap() > 0,
                "the log ended without {words:?}"
            );
        }
        log
    }

    /// Closes the reader of its log.
    pub(crate) fn close_log(&mut self) {
        self.stderr = None;
    }

    /// Waits for its end, and returns its exit code.
    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        let mut status = None;
        wait_until("the program has ended", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status?.code()
    }

    /// How often the worker has gone to sleep.
    pub(crate) fn wake_ups(&self) -> u64 {
        let mut threads = self.threads();
        let worker = threads.find(|status| status.starts_with("Name:\techo-0\n"));
        let worker = worker.unwrap();
        let sleeps = worker.lines().find(|line| line.starts_with("voluntary"));
        sleeps
            .unwrap()
            .split_whitespace()
            .nth(1)
            .unwrap()
            .parse()
            .unwrap()
    }

    /// How many descriptors it has open.
    pub(crate) fn descriptors(&self) -> usize {
        let open = std::fs::read_dir(format!("/proc/{}/fd", self.child.id()));
        open.unwrap().count()
    }

    /// The most memory that the process ever had resident, in KiB.
    pub(crate) fn peak_kib(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmHWM:"))
            .unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Connects, with a time limit on whatever is done with the stream.
pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    stream.set_write_timeout(Some(TIMEOUT)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Sends everything and the end of input, and reads until the end of output.
pub(crate) fn exchange(mut stream: &TcpStream, question: &[u8]) -> Vec<u8> {
    stream.write_all(question).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    read_to_end(stream)
}

/// Reads until the end of output.
pub(crate) fn read_to_end(mut stream: &TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    answer
}

/// Reads exactly as much as is expected, and compares.
pub(crate) fn expect(mut stream: &TcpStream, expected: &[u8]) {
    let mut answer = vec![0; expected.len()];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(
        answer.escape_ascii().to_string(),
        expected.escape_ascii().to_string()
    );
}

/// Sends one line and checks its answer.
pub(crate) fn ping(mut stream: &TcpStream, line: &str) {
    stream.write_all(format!("{line}\n").as_bytes()).unwrap();
    expect(stream, format!("Server received: {line}\n").as_bytes());
}

/// Asks over and over until the answer is yes.
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < TIMEOUT, "waited in vain until {what}");
        thread::yield_now();
    }
}

/// Sends an HTTP request; gives the status, the head and the body.
pub(crate) fn request(admin: SocketAddr, method: &str, path: &str) -> (u16, String, String) {
    let head = format!("{method} {path} HTTP/1.1\r\nHost: echo\r\nConnection: close\r\n\r\n");
    let mut stream = connect(admin);
    stream.write_all(head.as_bytes()).unwrap();
    let answer = String::from_utf8(read_to_end(&stream)).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split_whitespace().nth(1).unwrap().parse().unwrap();
    (status, head.to_ascii_lowercase(), body.to_owned())
}

/// Reads a metric's number of one listener for one reason.
pub(crate) fn number(admin: SocketAddr, metric: &str, protocol: &str, reason: &str) -> u64 {
    let (_, _, body) = request(admin, "GET", "/metrics");
    let start = format!("{metric}_total{{protocol=\"{protocol}\",");
    let end = format!("reason=\"{reason}\"}} ");
    let lines = body.lines().filter(|line| line.starts_with(&start));
    let mut numbers = lines.filter_map(|line| line.split_once(&end));
    numbers.next().expect(&body).1.parse().unwrap()
}

/// Reads how many connections of a listener were closed for a reason.
pub(crate) fn closed(admin: SocketAddr, protocol: &str, reason: &str) -> u64 {
    number(admin, "echo_connections_closed", protocol, reason)
}

/// Returns how many connections of a protocol are not read, since they have pending output.
pub(crate) fn stalled(admin: SocketAddr, protocol: &str) -> usize {
    let (_, _, body) = request(admin, "GET", "/metrics");
    let start = format!("echo_connections_stalled{{protocol=\"{protocol}\"");
    let line = body.lines().find(|line| line.starts_with(&start)).unwrap();
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

/// Returns whether the server has closed a connection without an answer.
pub(crate) fn is_rejected(mut stream: TcpStream) -> bool {
    match stream.read(&mut [0; 8]) {
        Ok(length) => length == 0,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}
