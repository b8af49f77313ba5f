//! The lingering close of a connection.

use std::rc::Rc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::activity::Activity;
use super::session::Session;
use crate::engine::timeouts::LINGER_TIMEOUT;

/// Ends output, then discards what comes until the client closes: to close while something is unread
/// would be a reset, which can destroy an answer in transit. No other timeout runs meanwhile.
pub(super) async fn linger(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    session: &Session,
    activity: &Rc<Activity>,
) {
    if stream.shutdown().await.is_err() {
        return;
    }
    session.note_output_ended();
    let _held = activity.held();
    let mut buffer = vec![0; 4096];
    let rest = async {
        while stream
            .read(&mut buffer)
            .await
            .is_ok_and(|length| length > 0)
        {}
    };
    drop(timeout(LINGER_TIMEOUT, rest).await);
}
