//! One connection, from its admission to its end, in any protocol.

use std::sync::Arc;
use std::time::Duration;

use echo_protocol::Protocol;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::activity::Activity;
use super::admitted_connection::AdmittedConnection;
use super::faulty::Faulty;
use super::metered::Metered;
use super::start::Started;
use super::{conversation, http, metered, start};
use crate::config::Listen;
use crate::end::End;
use crate::faults::ConnectionFaults;

/// How long to wait, after the end of output, for the client to close, as workers do.
const LINGER: Duration = Duration::from_secs(2);

/// Serves one connection that was let in, until it ends or the limits end it.
pub(super) async fn serve(stream: TcpStream, listen: Listen, mut connection: AdmittedConnection) {
    let is_http = listen.protocol == Protocol::Http;
    let activity = Arc::new(Activity::new(&connection.context().shared.limits, is_http));
    let end = tokio::select! {
        end = converse(stream, listen, &mut connection, &activity) => end,
        end = activity.overdue() => end,
    };
    connection.leave(end);
}

/// Ends output, then takes what comes until the client closes: to close while something is unread would
/// be a reset, which can destroy an answer on its way.
pub(super) async fn linger(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    if stream.shutdown().await.is_err() {
        return;
    }
    let mut rest = vec![0; 4096];
    let come = async { while stream.read(&mut rest).await.is_ok_and(|length| length > 0) {} };
    drop(timeout(LINGER, come).await);
}

/// Serves one connection until it ends.
async fn converse(
    mut stream: TcpStream,
    listen: Listen,
    connection: &mut AdmittedConnection,
    activity: &Arc<Activity>,
) -> End {
    let context = Arc::clone(connection.context());
    let injected = (!connection.is_probe())
        .then(|| context.next_connection_faults())
        .flatten();
    let now = Instant::now();
    let start = match begin(&mut stream, listen, connection, injected.as_ref(), now).await {
        Ok(start) => start,
        Err(end) => return end,
    };
    let is_http2 = start.is_http2;
    let shared = Arc::new(stream);
    let metered = Metered::new(
        Arc::clone(&shared),
        start.bytes,
        connection.counted(),
        Arc::clone(activity),
    );
    let stream = Faulty::new(metered, injected, Arc::clone(activity));
    let talk = async {
        if listen.protocol == Protocol::Http {
            http::serve(stream, is_http2, connection, activity, now).await
        } else {
            conversation::serve(stream, listen.protocol, connection, now).await
        }
    };
    tokio::select! {
        biased;
        end = talk => end,
        () = metered::is_reset(&shared) => End::Over,
    }
}

/// Reads how a connection begins, unless a fault ends it before that.
///
/// # Errors
/// How it ends instead.
async fn begin(
    stream: &mut TcpStream,
    listen: Listen,
    connection: &mut AdmittedConnection,
    injected: Option<&ConnectionFaults>,
    now: Instant,
) -> Result<Started, End> {
    if injected.is_some_and(|injected| injected.refused) {
        drop(SockRef::from(&*stream).set_linger(Some(Duration::ZERO)));
        return Err(End::Fault);
    }
    let context = Arc::clone(connection.context());
    let start = tokio::select! {
        biased;
        start = start::read(stream, listen, connection) => start?,
        () = context.drain_due(now) => {
            linger(stream).await;
            return Err(End::Over);
        }
    };
    if injected.is_some_and(|injected| injected.closed) {
        if start.bytes.is_empty() {
            tokio::select! {
                () = start::swallow(stream) => {}
                () = context.drain_due(now) => {}
            }
        }
        linger(stream).await; // what is unread would make it a reset
        return Err(End::Fault);
    }
    Ok(start)
}
