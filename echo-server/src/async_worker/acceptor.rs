//! The acceptor of one listener: accepts its connections until a drain, and those that are queued then.

use std::rc::Rc;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinSet, yield_now};
use tokio::time::{Instant, sleep};

use super::context::Context;
use super::serve::serve;
use super::session::Session;
use crate::engine::accept_errors::{ACCEPT_PAUSE, PauseLog, must_pause};

/// Serves a listener's connections until a drain, then what is queued, then waits until all are closed.
pub(super) async fn accept(socket: TcpListener, listener_index: usize, context: Rc<Context>) {
    let Some(listen) = context.shared.listeners.get(listener_index).copied() else {
        return;
    };
    let mut connections = JoinSet::new();
    let mut pause_log = PauseLog::default();
    loop {
        let accepted = tokio::select! {
            biased;
            _ = context.drain_begun() => break, // first, as there may be no end of what can be accepted
            accepted = socket.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        match accepted {
            Ok((stream, client)) => {
                if let Some(session) = Session::admit(&context, client, listener_index) {
                    connections.spawn_local(serve(stream, listen, session));
                }
                yield_now().await; // so that connections that are done release descriptors
            }
            Err(error) => {
                if must_pause(&error, context.counters.get(listener_index)) {
                    pause_log.warn(&error, Instant::now().into_std());
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
    // Calls accept directly, as the runtime may not have polled the queued connections yet.
    if let Ok(socket) = socket.into_std() {
        while let Ok((stream, client)) = socket.accept() {
            let stream = stream
                .set_nonblocking(true)
                .and_then(|()| TcpStream::from_std(stream));
            let Ok(stream) = stream else { continue };
            if let Some(session) = Session::admit(&context, client, listener_index) {
                connections.spawn_local(serve(stream, listen, session));
            }
        }
    }
    while connections.join_next().await.is_some() {}
}
