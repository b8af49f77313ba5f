//! The acceptor of one listener: accepts its connections until a drain, and those that are queued then.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use admin_endpoint::accept_errors::ACCEPT_PAUSE;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinSet, yield_now};
use tokio::time::{Instant, sleep};

use super::context::Context;
use super::serve::serve;
use super::session::Session;
use crate::engine::accept_errors::{Attempt, PauseLog, accept_queued};

/// Serves a listener's connections until a drain, then what is queued, then waits until all are closed.
pub(super) async fn accept(socket: TcpListener, listener_index: usize, context: Rc<Context>) {
    let Some(listen) = context.shared.listeners.get(listener_index).copied() else {
        return;
    };
    let counters = context.counters.get(listener_index);
    let mut connections = JoinSet::new();
    let mut pause_log = PauseLog::default();
    let begin = |stream, client, connections: &mut JoinSet<()>| {
        if let Some(session) = Session::admit(&context, client, listener_index) {
            connections.spawn_local(serve(stream, listen, session));
        }
    };
    loop {
        let accepted = tokio::select! {
            biased;
            _ = context.drain_begun() => break, // first, as there may be no end of what can be accepted
            accepted = accept_next(&socket, &mut connections) => accepted,
        };
        let accepted = accepted.map(|(stream, client)| begin(stream, client, &mut connections));
        match Attempt::new(accepted, counters) {
            // So that connections that are done release descriptors.
            Attempt::More | Attempt::Empty => yield_now().await,
            Attempt::Refused(error) => {
                pause_log.warn(&error, Instant::now().into_std());
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    // Calls accept directly, as the runtime may not have polled the queued connections yet.
    if let Ok(socket) = socket.into_std() {
        accept_queued(|| {
            let accepted = socket.accept().and_then(|(stream, client)| {
                stream.set_nonblocking(true)?;
                begin(TcpStream::from_std(stream)?, client, &mut connections);
                Ok(())
            });
            Attempt::new(accepted, counters)
        });
    }
    while connections.join_next().await.is_some() {}
}

/// Accepts the next connection, and releases the tasks of those that have ended before: first, as there may be no
/// end of what can be accepted.
async fn accept_next(
    socket: &TcpListener,
    connections: &mut JoinSet<()>,
) -> io::Result<(TcpStream, SocketAddr)> {
    loop {
        tokio::select! {
            biased;
            Some(_) = connections.join_next() => {}
            accepted = socket.accept() => return accepted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn connections_that_have_ended_are_released_before_the_next_one_is_accepted() {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let _clients = [(); 2].map(|()| std::net::TcpStream::connect(address).unwrap());
        socket.accept().await.unwrap(); // so the next one is accepted without a wait
        let mut connections = JoinSet::new();
        for _ in 0..10 {
            connections.spawn(async {});
        }
        yield_now().await; // they end
        accept_next(&socket, &mut connections).await.unwrap();
        assert_eq!(connections.len(), 0);
    }
}
