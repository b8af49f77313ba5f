//! The servers: how each is started, and what the system tells about it while it runs.

use std::fs;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::processor::{self, Processors};

/// How long a server may take to listen: a virtual machine for Java has to start.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    /// The echo server of this project, with its limits and metrics.
    Echo,
    /// The C loops: level-triggered, edge-triggered, and all received before all is sent.
    Level,
    Edge,
    Phases,
    /// tokio.
    Tokio,
    /// A thread for each connection.
    Threads,
    /// The stand-in for the course's server.
    Java,
}

impl Peer {
    /// The loops in C, the best of which is the measure of a load.
    pub(crate) const C: [Self; 3] = [Self::Level, Self::Edge, Self::Phases];

    /// Its name in tables and pictures.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo-server",
            Self::Level => "C level",
            Self::Edge => "C edge",
            Self::Phases => "C phases",
            Self::Tokio => "tokio",
            Self::Threads => "Rust threads",
            Self::Java => "Java stand-in",
        }
    }
}

/// Where the programs are, and where they run.
#[derive(Debug)]
pub(crate) struct Programs {
    pub echo_server: PathBuf,
    /// The folder of the C loops, each called by its name.
    pub loops: PathBuf,
    /// The folder of the Java program's classes; none if there is no Java.
    pub java: Option<PathBuf>,
    pub processors: Processors,
}

impl Programs {
    /// Lists the servers that there are.
    pub(crate) fn peers(&self) -> Vec<Peer> {
        let mut peers = vec![Peer::Echo];
        peers.extend(Peer::C);
        peers.extend([Peer::Tokio, Peer::Threads]);
        peers.extend(self.java.as_ref().map(|_| Peer::Java));
        peers
    }

    /// Builds the command line of a server on a port.
    fn command(&self, peer: Peer, port: u16, flags: &[&str]) -> Result<Command> {
        let own = |mode: &str| -> Result<Command> {
            let mut command = Command::new(std::env::current_exe()?);
            command.arg(mode);
            Ok(command)
        };
        let mut command = match peer {
            Peer::Echo => {
                let mut command = Command::new(&self.echo_server);
                let listen = format!("--listen=line:0.0.0.0:{port}");
                command.args([
                    &listen,
                    "--admin=127.0.0.1:0",
                    "--threads=1",
                    "--drain-seconds=0",
                ]);
                command.args([
                    "--max-connections=20000",
                    "--max-connections-per-client=20000",
                ]);
                command.args(["--max-line-bytes=1073741824"]).args(flags);
                return Ok(command);
            }
            Peer::Level => Command::new(self.loops.join("level")),
            Peer::Edge => Command::new(self.loops.join("edge")),
            Peer::Phases => Command::new(self.loops.join("phases")),
            Peer::Tokio => own("tokio")?,
            Peer::Threads => own("threads")?,
            Peer::Java => {
                let mut command = Command::new("java");
                let classes = self.java.as_ref().context("there is no Java")?;
                command.arg("-cp").arg(classes).arg("EchoServer");
                command
            }
        };
        command.arg(port.to_string());
        Ok(command)
    }

    /// Starts a server, and waits until it takes connections.
    pub(crate) fn start(&self, peer: Peer, flags: &[&str]) -> Result<Server> {
        self.spawn(peer, |port| self.command(peer, port, flags))
    }

    /// Starts a server under valgrind, which writes how many instructions it has executed to a file when it
    /// has ended.
    pub(crate) fn start_counted(&self, peer: Peer, counts: &Path) -> Result<Server> {
        self.spawn(peer, |port| {
            let server = self.command(peer, port, &[])?;
            let mut command = Command::new("valgrind");
            command.args(["--tool=callgrind", "--quiet"]);
            command.arg(format!("--callgrind-out-file={}", counts.display()));
            command.arg(server.get_program()).args(server.get_args());
            Ok(command)
        })
    }

    /// Starts a server by its command line for a port, and waits until it takes connections.
    fn spawn(&self, peer: Peer, command: impl FnOnce(u16) -> Result<Command>) -> Result<Server> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let mut command = command(port)?;
        // Whoever logs for each line does so into a pipe that somebody reads, as in a container.
        let logs = peer == Peer::Java;
        let output = if logs { Stdio::piped() } else { Stdio::null() };
        command
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(Stdio::null());
        let (child, log, begin) = self.processors.on_server(|| {
            let begin = Instant::now();
            let mut child = command.spawn()?;
            let mut reader = Command::new("cat");
            reader.stdout(Stdio::null());
            let log = child.stdout.take().map(|log| reader.stdin(log).spawn());
            Ok((child, log.transpose()?, begin))
        })?;
        let mut server = Server {
            peer,
            child,
            log,
            address,
            started_in: Duration::ZERO,
        };
        loop {
            match TcpStream::connect(address) {
                Ok(_) => break,
                Err(error) if error.kind() != ErrorKind::ConnectionRefused => {
                    return Err(error.into());
                }
                Err(_) if begin.elapsed() > TIMEOUT => bail!("{} does not listen", peer.name()),
                Err(_) => {}
            }
        }
        server.started_in = begin.elapsed();
        Ok(server)
    }
}

/// A server that runs, until this is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    pub peer: Peer,
    child: Child,
    /// Who reads its log.
    log: Option<Child>,
    pub address: SocketAddr,
    /// From before the process was made until it took a connection.
    pub started_in: Duration,
}

impl Server {
    /// Ends it as a cluster does, and waits until it has written what it had to.
    pub(crate) fn end(mut self) -> Result<()> {
        kill(Pid::from_raw(self.child.id().try_into()?), Signal::SIGTERM)?;
        self.child.wait()?;
        Ok(())
    }

    /// Returns how long it has run on a processor.
    pub(crate) fn time(&self) -> Result<Duration> {
        processor::time_of(self.child.id())
    }

    /// Lists addresses of this machine that all lead to it.
    pub(crate) fn addresses(&self, count: u8) -> Vec<SocketAddr> {
        let port = self.address.port();
        (1..=count)
            .map(|last| (Ipv4Addr::new(127, 0, 0, last), port).into())
            .collect()
    }

    /// Returns the memory that it has resident, and the part of it that is its own, in bytes.
    pub(crate) fn memory(&self) -> Result<Memory> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        Ok(Memory {
            resident: field(&status, "VmRSS:")? * 1024,
            own: field(&status, "RssAnon:")? * 1024,
        })
    }

    /// Counts how often its threads were woken up.
    pub(crate) fn wake_ups(&self) -> Result<u64> {
        let mut sum = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let status = fs::read_to_string(task?.path().join("status"))?;
            sum += field(&status, "voluntary_ctxt_switches:")?;
        }
        Ok(sum)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        drop(self.log.as_mut().map(Child::wait)); // it ends with the log
    }
}

/// How much memory a process has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    /// All that is resident, its program's file included.
    pub resident: u64,
    /// What is no file's.
    pub own: u64,
}

/// Reads a number from a status file.
fn field(status: &str, name: &str) -> Result<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number
        .with_context(|| format!("there is no {name}"))?
        .parse()?)
}
