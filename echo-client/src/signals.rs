//! SIGINT and SIGTERM: what was found so far is printed, and then the program ends by the signal.
//!
//! Both are blocked and awaited by a thread, since a handler could neither lock nor print. So they also
//! end the client where it is the first process of a container, for which the system ignores a signal that
//! no thread awaits.

use std::fmt::Display;
use std::io::{self, Write};
use std::mem::forget;
use std::process::exit;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal, raise};

use super::error::ClientError;

/// How long printing may take: standard output may be a pipe whose reader has stopped.
const GRACE: Duration = Duration::from_secs(2);

/// From now on, prints what was found so far when a signal comes, and ends. Nothing may be printed
/// without holding the lock, and what was printed at the end must be reset.
///
/// # Errors
/// Those of [`on_signal`].
pub(crate) fn print_on_signal<T>(found: &Arc<Mutex<T>>) -> Result<(), ClientError>
where
    T: Display + Send + 'static,
{
    let found = Arc::clone(found);
    on_signal(move |_| {
        let found = lock(&found);
        drop(io::stdout().write_all(found.to_string().as_bytes())); // the program ends anyhow
        forget(found); // so that nothing is printed after it
    })
}

/// From now on, calls `conclude` in another thread when a signal comes, and ends the program when it has
/// returned or [`GRACE`] is over. Must be called before the program has other threads, once.
///
/// # Errors
/// [`ClientError::Signals`]; a retry does not help.
pub(crate) fn on_signal(conclude: impl FnOnce(Signal) + Send + 'static) -> Result<(), ClientError> {
    let signals = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM]);
    let blocked = signals.thread_block();
    blocked.map_err(|error| ClientError::Signals(error.into()))?;
    let waiting = thread::Builder::new().spawn(move || {
        let Ok(signal) = signals.wait() else {
            return;
        };
        let (sender, concluded) = channel::<()>();
        let concluding = thread::Builder::new().spawn(move || {
            conclude(signal);
            drop(sender);
        });
        if concluding.is_ok() {
            _ = concluded.recv_timeout(GRACE);
        }
        end_by(signal);
    });
    waiting.map(drop).map_err(ClientError::Signals)
}

/// Ends the program by a signal, so that a shell sees that and ends its script as well.
#[expect(clippy::exit, reason = "a signal ends the program wherever it is")]
pub(crate) fn end_by(signal: Signal) -> ! {
    _ = SigSet::from(signal).thread_unblock();
    _ = raise(signal);
    exit(128 + signal as i32); // what a shell reports, where the signal itself is ignored
}

/// Locks what was found. A panic elsewhere leaves it whole, so poison means nothing here.
pub(crate) fn lock<T>(found: &Mutex<T>) -> MutexGuard<'_, T> {
    found.lock().unwrap_or_else(PoisonError::into_inner)
}
