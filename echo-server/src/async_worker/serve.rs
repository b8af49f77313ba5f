//! One connection, from its admission until it is closed, in any protocol.

use std::rc::Rc;

use admin_endpoint::set_reset_on_close;
use echo_protocol::Protocol;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::activity::Activity;
use super::faulty_stream::FaultyStream;
use super::header::{self, Beginning};
use super::linger::linger;
use super::metered_stream::{self, MeteredStream};
use super::session::Session;
use super::{conversation, http, timeouts};
use crate::close_reason::CloseReason;
use crate::config::Listen;
use crate::faults::FaultPlan;

/// Serves a connection until it ends or a timeout closes it.
pub(super) async fn serve(stream: TcpStream, listen: Listen, mut session: Session) {
    let activity = Rc::new(Activity::new(listen.protocol == Protocol::Http));
    let context = Rc::clone(session.context());
    let reason = tokio::select! {
        biased;
        reason = exchange(stream, listen, &mut session, &activity) => reason,
        reason = timeouts::expired(&activity, &context.timeouts) => reason,
    };
    session.close(reason);
}

/// Serves a connection until it ends.
async fn exchange(
    mut stream: TcpStream,
    listen: Listen,
    session: &mut Session,
    activity: &Rc<Activity>,
) -> CloseReason {
    let plan = (!session.is_probe()).then(|| session.context().next_fault_plan());
    let plan = plan.flatten();
    let now = Instant::now();
    let begun = begin(&mut stream, listen, session, activity, plan.as_ref(), now);
    let beginning = match begun.await {
        Ok(beginning) => beginning,
        Err(reason) => return reason,
    };
    let is_http2 = beginning.is_http2;
    let shared = Rc::new(stream);
    let metered = MeteredStream::new(
        Rc::clone(&shared),
        beginning.bytes,
        session.counted(),
        Rc::clone(activity),
    );
    let stream = FaultyStream::new(metered, plan, Rc::clone(activity));
    let served = async {
        if listen.protocol == Protocol::Http {
            http::serve(stream, is_http2, session, activity, now).await
        } else {
            conversation::serve(stream, listen.protocol, session, activity, now).await
        }
    };
    tokio::select! {
        biased;
        reason = served => reason,
        () = metered_stream::is_reset(&shared) => CloseReason::Completed,
    }
}

/// Reads how a connection begins, unless a fault ends it before that.
///
/// # Errors
/// Why it is closed instead.
async fn begin(
    stream: &mut TcpStream,
    listen: Listen,
    session: &mut Session,
    activity: &Rc<Activity>,
    plan: Option<&FaultPlan>,
    now: Instant,
) -> Result<Beginning, CloseReason> {
    if plan.is_some_and(|plan| plan.refused) {
        set_reset_on_close(stream);
        return Err(CloseReason::Fault);
    }
    let context = Rc::clone(session.context());
    let beginning = tokio::select! {
        biased;
        beginning = header::read(stream, listen, session) => beginning?,
        () = context.drain_due(now) => {
            linger(stream, session, activity).await;
            return Err(CloseReason::Completed);
        }
    };
    if plan.is_some_and(|plan| plan.closed) {
        if beginning.bytes.is_empty() {
            tokio::select! {
                () = header::read_and_discard(stream) => {}
                () = context.drain_due(now) => {}
            }
        }
        linger(stream, session, activity).await; // what is unread would make it a reset
        return Err(CloseReason::Fault);
    }
    Ok(beginning)
}
