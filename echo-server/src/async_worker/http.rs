//! The protocol `Http`: HTTP/1.1, and HTTP/2 without TLS for clients that begin with it.

mod answer;
mod body;
mod executor;
mod websocket;

use std::convert::Infallible;
use std::future::pending;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::task::coop::unconstrained;
use tokio::time::{Instant, sleep};

use super::activity::Activity;
use super::faulty_stream::FaultyStream;
use super::linger::linger;
use super::session::Session;
use crate::close_reason::CloseReason;
use crate::counters::count;
use crate::drain::DRAIN_QUIET_PERIOD;
use crate::engine::timeouts::LINGER_TIMEOUT;
use crate::limits::Limits;
use crate::listener::MOST_UNREAD_BYTES;
use answer::Answerer;
use body::Answer;
use executor::LocalExecutor;

/// The longest head of a request in bytes; a longer one is answered by 431. What an HTTP/1.1
/// connection buffers at most is this in each direction.
const HEAD_BYTES: usize = 16 * 1024;

/// [`HEAD_BYTES`], for HTTP/2, where each header counts 32 bytes more (RFC 9113, section 6.5.2). Half
/// as much, as [`STREAMS`] heads can be held at once, and a header of 3 bytes takes about 180 then.
const HEADER_LIST_BYTES: u32 = 8 * 1024;

/// Requests at once on one HTTP/2 connection, each of which may hold a body.
const STREAMS: u32 = 4;

/// Bytes that an HTTP/2 client may send before they are read, of one stream and of all.
const WINDOW_BYTES: u32 = 64 * 1024;

/// Bytes of answers that one HTTP/2 stream buffers.
const SEND_BYTES: usize = 16 * 1024;

/// The most bytes that have come to an HTTP/1.1 connection and were not answered: in the system's buffer and in hyper's.
const MOST_UNANSWERED_BYTES: usize = MOST_UNREAD_BYTES + HEAD_BYTES;

/// Serves a connection until it ends; a drain lets it end after the requests that have come.
pub(super) async fn serve(
    mut stream: FaultyStream,
    is_http2: bool,
    session: &Session,
    activity: &Rc<Activity>,
    begin: Instant,
) -> CloseReason {
    let answerer = Rc::new(Answerer::new(session, Rc::clone(activity)));
    let service = service_fn(|request: Request<Incoming>| {
        let answerer = Rc::clone(&answerer);
        async move { Ok::<Response<Answer>, Infallible>(answerer.answer(request).await) }
    });
    let context = session.context();
    let due = context.drain_due(begin);
    let io = TokioIo::new(&mut stream);
    let mut upgraded_reason = None;
    let served = if is_http2 {
        activity.count_steps();
        // It ends when the client has acknowledged that no further request will be answered; without that, when no
        // request is open after this time.
        let unacknowledged = async {
            sleep(LINGER_TIMEOUT).await;
            activity.all_answered().await;
        };
        let mut connection = http2().serve_connection(io, service);
        let shut_down = http2::Connection::graceful_shutdown;
        serve_until_shutdown(&mut connection, due, shut_down, unacknowledged).await
    } else {
        let due = async {
            due.await;
            let most_unanswered = count(MOST_UNANSWERED_BYTES);
            activity
                .announce_close(DRAIN_QUIET_PERIOD, most_unanswered)
                .await;
        };
        let http = http1(head_timeout(&context.shared.limits));
        let mut connection = http.serve_connection(io, service);
        let shut_down = http1::Connection::graceful_shutdown;
        let served = serve_until_shutdown(&mut connection, due, shut_down, pending()).await;
        let start = connection.into_parts().read_buf;
        if served.is_ok() && answerer.is_upgraded() {
            upgraded_reason = Some(websocket::serve(&mut stream, &start, session, begin).await);
        }
        served
    };
    if !activity.is_reset() {
        linger(&mut stream, session, activity).await;
    }
    if let Some(reason) = upgraded_reason {
        return reason;
    }
    match served {
        Err(error) if error.is_timeout() => context.timeouts.reason(activity.awaited_input()),
        Err(_) if activity.is_reset() => CloseReason::Fault,
        Ok(()) | Err(_) => CloseReason::Completed,
    }
}

/// Serves a connection until it ends. Begins its graceful shutdown when that is `due`, and from then on serves it no
/// longer than until it is `overdue`. Neither is subject to the task's budget, which a client that never pauses uses
/// up.
async fn serve_until_shutdown<C, E>(
    connection: &mut C,
    due: impl Future<Output = ()>,
    shut_down: impl FnOnce(Pin<&mut C>),
    overdue: impl Future<Output = ()>,
) -> Result<(), E>
where
    C: Future<Output = Result<(), E>> + Unpin,
{
    tokio::select! {
        biased;
        served = &mut *connection => return served,
        () = unconstrained(due) => shut_down(Pin::new(&mut *connection)),
    }
    tokio::select! {
        biased;
        served = connection => served,
        () = unconstrained(overdue) => Ok(()),
    }
}

/// Returns how long the head of a request may take to come: as long as a connection may be idle, and no less than
/// the first one may take, whose own timeout is [`Activity`]'s.
fn head_timeout(limits: &Limits) -> Option<Duration> {
    let first = limits.first_byte_timeout.unwrap_or_default();
    limits.idle_timeout.map(|idle| idle.max(first))
}

/// Sets HTTP/1.1's limits.
fn http1(head_timeout: Option<Duration>) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(head_timeout)
        .max_buf_size(HEAD_BYTES)
        .half_close(true);
    http
}

/// Sets HTTP/2's limits.
fn http2() -> http2::Builder<LocalExecutor> {
    let mut http = http2::Builder::new(LocalExecutor);
    http.timer(TokioTimer::new())
        .max_header_list_size(HEADER_LIST_BYTES)
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .max_send_buf_size(SEND_BYTES);
    http
}
