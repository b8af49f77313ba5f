//! SIGTERM and SIGINT as messages: one for each signal.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Catches both signals from now on. Must be called inside the runtime that is to see them.
///
/// # Errors
/// The system's, when it lets the process catch no signals; a retry does not help.
pub fn stops() -> io::Result<UnboundedReceiver<()>> {
    let (sender, stops) = unbounded_channel();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if sender.send(()).is_err() {
                return;
            }
        }
    });
    Ok(stops)
}
