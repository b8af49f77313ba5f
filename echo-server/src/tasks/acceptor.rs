//! The acceptor of one listener: accepts its connections until a drain, and those that were queued then.

use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinSet, yield_now};
use tokio::time::sleep;

use super::Context;
use super::admitted_connection::AdmittedConnection;
use super::connection::serve;
use crate::listener::ACCEPT_PAUSE;

/// Serves a listener's connections until a drain, then what is queued, then waits for their ends.
pub(super) async fn accept(socket: TcpListener, listener: usize, context: Arc<Context>) {
    let Some(listen) = context.shared.listeners.get(listener).copied() else {
        return;
    };
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            _ = context.drain_begun() => break, // first, as there may be no end of what can be accepted
            accepted = socket.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        match accepted {
            Ok((stream, client)) => {
                if let Some(connection) = AdmittedConnection::enter(&context, client, listener) {
                    connections.spawn(serve(stream, listen, connection));
                }
                yield_now().await; // so that those who are done give back descriptors
            }
            Err(error) => {
                if let Some(counters) = context.counters.get(listener) {
                    counters.note_accept_failed(&error);
                }
                sleep(ACCEPT_PAUSE).await;
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
            if let Some(connection) = AdmittedConnection::enter(&context, client, listener) {
                connections.spawn(serve(stream, listen, connection));
            }
        }
    }
    while connections.join_next().await.is_some() {}
}
