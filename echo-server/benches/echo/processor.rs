//! The two processors: which they are, who runs on them, and how long.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::time::{ClockId, clock_getcpuclockid};
use nix::unistd::Pid;

/// This process.
const SELF: Pid = Pid::from_raw(0);

/// One processor for the server at hand, one for the client.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Processors {
    pub server: usize,
    pub client: usize,
}

impl Processors {
    /// Takes the first two that this process may use, and moves it to the client's.
    pub(crate) fn take() -> Result<Self> {
        let allowed = sched_getaffinity(SELF)?;
        let mut allowed =
            (0..CpuSet::count()).filter(|index| allowed.is_set(*index).unwrap_or(false));
        let needed = "two processors are needed, one for the server and one for the client";
        let processors = Self {
            server: allowed.next().context(needed)?,
            client: allowed.next().context(needed)?,
        };
        move_to(processors.client)?;
        Ok(processors)
    }

    /// Exchange something on the server's processor: a process that is started there stays there.
    pub(crate) fn on_server<T>(self, act: impl FnOnce() -> Result<T>) -> Result<T> {
        move_to(self.server)?;
        let done = act();
        move_to(self.client)?;
        done
    }
}

/// Moves this thread, and what it starts from now on, to one processor.
fn move_to(processor: usize) -> Result<()> {
    let mut one = CpuSet::new();
    one.set(processor)?;
    Ok(sched_setaffinity(SELF, &one)?)
}

/// Returns how long a process has run, its ended threads included.
pub(crate) fn time_of(process: u32) -> Result<Duration> {
    let process = Pid::from_raw(i32::try_from(process)?);
    Ok(clock_getcpuclockid(process)?.now()?.into())
}

/// Returns how long this process has run.
pub(crate) fn own_time() -> Result<Duration> {
    Ok(ClockId::CLOCK_PROCESS_CPUTIME_ID.now()?.into())
}

/// Returns how long a processor was busy since the machine began: with processes, and with nothing
/// because the machine is a virtual one that had to wait.
pub(crate) fn busy(processor: usize) -> Result<(Duration, Duration)> {
    let stat = fs::read_to_string("/proc/stat")?;
    let name = format!("cpu{processor} ");
    let line = stat.lines().find_map(|line| line.strip_prefix(&name));
    let ticks = line.context("/proc/stat does not tell of the processor")?;
    let ticks: Vec<u64> = ticks
        .split(' ')
        .map_while(|tick| tick.parse().ok())
        .collect();
    let of = |index: usize| ticks.get(index).copied().unwrap_or_default();
    // user, nice, system, idle, waiting, hard interrupts, soft interrupts, stolen; hundredths
    let busy = of(0) + of(1) + of(2) + of(5) + of(6);
    Ok((
        Duration::from_millis(busy * 10),
        Duration::from_millis(of(7) * 10),
    ))
}
