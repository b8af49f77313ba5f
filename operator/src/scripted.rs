//! An API server for tests that answers each request by a script.
#![expect(clippy::disallowed_types, reason = "makes the client of a test")]

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tower::service_fn;

/// The requests that a scripted API server has received, as `GET /api/v1/services?limit=500`.
pub(crate) type Requests = Arc<Mutex<Vec<String>>>;

/// What the API server does with a request.
pub(crate) enum Answer {
    /// Answers with a status code and an object.
    With(u16, Value),
    /// Answers after that time.
    Late(Duration, Box<Self>),
    /// Answers a watch with these events, and keeps the connection open.
    Watch(Vec<Value>),
    /// Answers a watch with the events that arrive here.
    LiveWatch(mpsc::UnboundedReceiver<Value>),
    /// Answers a watch with these events, and ends it.
    EndedWatch(Vec<Value>),
    /// Answers a watch with these events, and ends it after that time.
    EndingWatch(Duration, Vec<Value>),
    /// Never answers.
    Hang,
}

/// Makes a client of an API server that answers the `n`-th request, from 0, by `script`.
pub(crate) fn scripted(
    script: impl Fn(usize, &str) -> Answer + Send + Sync + 'static,
) -> (Client, Requests) {
    scripted_by_body(move |count, line, _| script(count, line))
}

/// The same; the script also gets the body of the request.
pub(crate) fn scripted_by_body(
    script: impl Fn(usize, &str, &Value) -> Answer + Send + Sync + 'static,
) -> (Client, Requests) {
    let requests = Requests::default();
    let (received, script) = (Arc::clone(&requests), Arc::new(script));
    let service = service_fn(move |request: Request<Body>| {
        let line = format!("{} {}", request.method(), request.uri());
        let count = {
            let mut received = received.lock().unwrap();
            received.push(line.clone());
            received.len() - 1
        };
        let script = Arc::clone(&script);
        async move {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let body = serde_json::from_slice(&body).unwrap_or_default();
            let mut answer = script(count, &line, &body);
            while let Answer::Late(after, late) = answer {
                tokio::time::sleep(after).await;
                answer = *late;
            }
            Ok::<_, Infallible>(match answer {
                Answer::With(code, object) => {
                    respond(code, Full::from(object.to_string()).boxed_unsync())
                }
                Answer::Watch(events) => respond(200, watch_body(&events, None)),
                Answer::LiveWatch(events) => respond(200, live_body(events)),
                Answer::EndedWatch(events) => {
                    respond(200, watch_body(&events, Some(Duration::ZERO)))
                }
                Answer::EndingWatch(after, events) => {
                    respond(200, watch_body(&events, Some(after)))
                }
                Answer::Hang | Answer::Late(..) => std::future::pending().await,
            })
        }
    });
    (Client::new(service, "default"), requests)
}

/// Returns an error as the API server answers it.
pub(crate) fn failure(code: u16, message: &str) -> Answer {
    let reason = if code == 404 { "NotFound" } else { "Test" };
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "reason": reason, "code": code});
    Answer::With(code, status)
}

type ResponseBody = UnsyncBoxBody<Bytes, Infallible>;

fn respond(code: u16, body: ResponseBody) -> Response<ResponseBody> {
    Response::builder().status(code).body(body).unwrap()
}

/// Returns a body with the events that arrive.
fn live_body(events: mpsc::UnboundedReceiver<Value>) -> ResponseBody {
    let lines = futures::stream::unfold(events, |mut events| async move {
        let event = events.recv().await?;
        Some((Ok(Frame::data(Bytes::from(format!("{event}\n")))), events))
    });
    StreamBody::new(lines).boxed_unsync()
}

/// Returns a body with the events, which ends after that time.
fn watch_body(events: &[Value], ends: Option<Duration>) -> ResponseBody {
    let lines: Vec<_> = events
        .iter()
        .map(|event| Ok(Frame::data(Bytes::from(format!("{event}\n")))))
        .collect();
    let end = futures::stream::once(async move {
        match ends {
            Some(after) => tokio::time::sleep(after).await,
            None => std::future::pending().await,
        }
    });
    let end = end.filter_map(|()| std::future::ready(None));
    StreamBody::new(futures::stream::iter(lines).chain(end)).boxed_unsync()
}
