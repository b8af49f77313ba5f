//! Answers that the API server did not give, or not in this way.

use futures::{StreamExt, stream};
use http_body_util::{BodyExt, StreamBody};
use hyper::Response;
use hyper::body::{Bytes, Frame};
use serde_json::json;

use super::{Body, BoxError, Cut, known};

/// Returns an error, as the API server formats it.
pub(super) fn failure(code: u16, reason: &str) -> Response<Body> {
    let status = json!({
        "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure",
        "code": code, "reason": reason, "message": "the fault proxy answers so",
    });
    let mut response = Response::builder()
        .status(code)
        .header("content-type", "application/json");
    if code == 429 {
        response = response.header("retry-after", "1");
    }
    response.body(known(status.to_string())).unwrap()
}

/// Waits until an answer has arrived as a whole.
pub(super) async fn whole(response: Response<Body>) -> Result<Bytes, Cut> {
    let body = response.into_body().collect().await;
    Ok(body.map_err(|_| Cut)?.to_bytes())
}

/// Ends an answer in the middle of its first part: of an object, a list, or an event of a watch.
pub(super) fn truncated(response: Response<Body>) -> Response<Body> {
    response.map(|body| {
        let halves = body.into_data_stream().map(|part| {
            let part = part?;
            Ok::<_, BoxError>(Frame::data(part.slice(..part.len() / 2)))
        });
        let end = stream::once(async { Err(BoxError::from(Cut)) });
        StreamBody::new(halves.take(1).chain(end)).boxed_unsync()
    })
}

/// Never goes on after the headers of an answer.
pub(super) fn silent(response: Response<Body>) -> Response<Body> {
    response.map(|_| StreamBody::new(stream::pending::<Result<_, BoxError>>()).boxed_unsync())
}
