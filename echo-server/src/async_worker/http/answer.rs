//! The answer to a request: its description as JSON, or its body as it came.

use std::borrow::Cow;
use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use echo_protocol::http_host::check_hosts;
use echo_protocol::http_options::HttpOptions;
use http_body_util::{BodyExt, Either, Full, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST, HeaderValue,
    SEC_WEBSOCKET_VERSION, UPGRADE, X_CONTENT_TYPE_OPTIONS,
};
use hyper::http::request::Parts;
use hyper::http::uri::PathAndQuery;
use hyper::{Method, Request, Response, StatusCode, Version};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::super::activity::Activity;
use super::super::exchange::Exchange;
use super::super::session::{Counted, Session};
use super::body::{Answer, Content, RequestBody};
use super::websocket::{self, OpeningHandshake};
use crate::config::PodIdentity;

/// The longest body that is described; a longer one is answered by 413. Described, one of control
/// characters is six times as long.
const DESCRIBED_BYTES: usize = 4 * 1024;

/// The longest description; a longer one, of a head that grows as it is described, is answered by 413.
const DESCRIPTION_BYTES: usize = 32 * 1024;

/// The type of whatever is not JSON. `nosniff` keeps browsers from guessing another.
const PLAIN_TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// The type of descriptions, and of bodies that say so.
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The answer to a body that ends early, or whose chunks are none.
const BROKEN_BODY: &str = "the body is broken";

/// Answers one connection's requests.
#[derive(Debug)]
pub(super) struct Answerer {
    /// The client.
    client: SocketAddr,
    /// The pod in which the server runs.
    pod_identity: PodIdentity,
    /// Where requests are counted.
    counted: Counted,
    /// Records delays.
    activity: Rc<Activity>,
    /// A request to upgrade to WebSocket was accepted, so no other one comes.
    is_upgraded: Cell<bool>,
}

impl Answerer {
    /// Begins for a connection.
    pub(super) fn new(session: &Session, activity: Rc<Activity>) -> Self {
        Self {
            client: session.client(),
            pod_identity: session.context().shared.pod_identity.clone(),
            counted: session.counted(),
            activity,
            is_upgraded: Cell::new(false),
        }
    }

    /// Returns whether the connection is one of WebSocket when hyper has sent its last answer.
    pub(super) fn is_upgraded(&self) -> bool {
        self.is_upgraded.get()
    }

    /// Answers a request, and counts it like a line; the delay that it asks for is not counted as
    /// its latency.
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Response<Answer> {
        let exchange = Exchange::begin(&self.activity);
        let begin = Instant::now();
        let is_head = request.method() == Method::HEAD;
        let (answer, delay) = self.respond(request).await;
        let mut answer = guarded(answer, is_head);
        if self.activity.is_close_announced() && !self.is_upgraded() {
            let close = HeaderValue::from_static("close");
            answer.headers_mut().append(CONNECTION, close);
        }
        if let Some(counters) = self.counted.get() {
            let took = begin.elapsed().saturating_sub(delay);
            counters.latency.observe(1, took);
        }
        let length = answer.body().size_hint().exact().unwrap_or_default();
        self.counted.note_lines(self.client, 1, length);
        Answer::watched(answer, exchange)
    }

    /// Does what a request asks for, and returns how long it asked to wait.
    async fn respond(&self, request: Request<Incoming>) -> (Response<Content>, Duration) {
        let refuse = |sentence: &str| (plain(StatusCode::BAD_REQUEST, sentence), Duration::ZERO);
        let hosts = request.headers().get_all(HOST).into_iter();
        let is_required = request.version() == Version::HTTP_11;
        if let Err(bad) = check_hosts(hosts.map(HeaderValue::as_bytes), is_required) {
            return refuse(&bad.to_string());
        }
        let uri = request.uri();
        let options = match HttpOptions::read(uri.path(), uri.query()) {
            Ok(options) => options,
            Err(bad) => return refuse(&bad.to_string()),
        };
        if request.method() == Method::CONNECT {
            // It would ask for a tunnel.
            let answer = plain(StatusCode::METHOD_NOT_ALLOWED, "CONNECT is not allowed");
            return (answer, Duration::ZERO);
        }
        if !options.delay.is_zero() {
            self.activity.hold(options.delay).await;
        }
        let mut answer = if let Some(answer) = self.upgrade(&request) {
            answer
        } else if options.is_raw {
            raw(request).await
        } else {
            self.describe(request).await
        };
        if answer.status().is_success() {
            *answer.status_mut() = StatusCode::from_u16(options.status).unwrap_or_default();
        }
        (answer, options.delay)
    }

    /// Answers a request to upgrade to WebSocket; nothing if it is none.
    fn upgrade(&self, request: &Request<Incoming>) -> Option<Response<Content>> {
        Some(match OpeningHandshake::read(request) {
            OpeningHandshake::Absent => return None,
            OpeningHandshake::UnknownVersion => {
                let mut answer =
                    plain(StatusCode::UPGRADE_REQUIRED, "only version 13 is supported");
                let headers = answer.headers_mut();
                headers.insert(SEC_WEBSOCKET_VERSION, websocket::VERSION);
                headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
                headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
                answer
            }
            OpeningHandshake::InvalidKey => plain(
                StatusCode::BAD_REQUEST,
                "Sec-WebSocket-Key must be 16 bytes in base64",
            ),
            OpeningHandshake::Accepted(headers) => {
                self.is_upgraded.set(true);
                let mut answer = whole(String::new());
                *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
                answer.headers_mut().extend(headers);
                answer
            }
        })
    }

    /// Describes a request in JSON.
    async fn describe(&self, request: Request<Incoming>) -> Response<Content> {
        let (head, body) = request.into_parts();
        let body = body.map_frame(|frame| {
            self.activity.note_step();
            frame
        });
        let body = match Limited::new(body, DESCRIBED_BYTES).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<http_body_util::LengthLimitError>() => {
                let sentence = format!(
                    "only bodies of at most {DESCRIBED_BYTES} bytes are described; \
                     /raw and ?raw answer any as it came"
                );
                return plain(StatusCode::PAYLOAD_TOO_LARGE, &sentence);
            }
            Err(_) => return plain(StatusCode::BAD_REQUEST, BROKEN_BODY),
        };
        let text = self.description(&head, &body);
        let mut text = format!("{text}\n");
        text.shrink_to_fit(); // it may be pending for long
        if text.len() > DESCRIPTION_BYTES {
            let sentence = format!("the description is longer than {DESCRIPTION_BYTES} bytes");
            return plain(StatusCode::PAYLOAD_TOO_LARGE, &sentence);
        }
        let mut answer = whole(text);
        answer.headers_mut().insert(CONTENT_TYPE, JSON);
        answer
    }

    /// Returns a description. `path`, which contains the query, `host`, `method`, `proto`, `headers`,
    /// `namespace` and `pod` are those of the Gateway API's conformance echo server, so that its clients
    /// decode the answer.
    fn description(&self, head: &Parts, body: &[u8]) -> Value {
        let target = head.uri.path_and_query();
        json!({
            "path": target.map_or_else(|| head.uri.path(), PathAndQuery::as_str),
            "host": host(head),
            "method": head.method.as_str(),
            "proto": format!("{:?}", head.version),
            "headers": headers(head),
            "namespace": self.pod_identity.namespace,
            "pod": self.pod_identity.pod,
            "node": self.pod_identity.node,
            "query": head.uri.query(),
            "body": String::from_utf8_lossy(body),
            "bodyBytes": body.len(),
            "client": self.client.to_string(),
        })
    }
}

/// Returns the host that a request is for: of HTTP/2 and of an absolute target that is in the target.
fn host(Parts { headers, uri, .. }: &Parts) -> Option<Cow<'_, str>> {
    let named = headers.get(HOST);
    let in_target = uri.authority().map(|host| Cow::Borrowed(host.as_str()));
    in_target.or_else(|| named.map(|host| String::from_utf8_lossy(host.as_bytes())))
}

/// Returns a request's body back as it comes, of any length. If the client waits for `100 Continue`, the
/// answer begins when the body does, as an answer that has begun would be no request to send the body.
async fn raw(request: Request<Incoming>) -> Response<Content> {
    let (head, body) = request.into_parts();
    let is_json = head.headers.get(CONTENT_TYPE) == Some(&JSON);
    let mut body = RequestBody::new(body);
    if expects_continue(&head) && body.begin().await.is_err() {
        return plain(StatusCode::BAD_REQUEST, BROKEN_BODY);
    }
    let mut answer = Response::new(Either::Right(body));
    let kind = if is_json { JSON } else { PLAIN_TEXT };
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer
}

/// Returns whether a client may send the body only after `100 Continue`. hyper sends that in HTTP/1.1 only.
fn expects_continue(head: &Parts) -> bool {
    let expected = head.headers.get(EXPECT);
    head.version == Version::HTTP_11
        && expected.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// Describes headers: all values of each name, except of the host, which is described by itself.
fn headers(Parts { headers, .. }: &Parts) -> Value {
    let mut described = Map::new();
    for name in headers.keys().filter(|name| **name != HOST) {
        let values = headers.get_all(name).into_iter();
        let values = values.map(|value| String::from_utf8_lossy(value.as_bytes()).into());
        described.insert(name.to_string(), Value::Array(values.collect()));
    }
    Value::Object(described)
}

/// Answers with a sentence.
fn plain(status: StatusCode, sentence: &str) -> Response<Content> {
    let mut answer = whole(format!("{sentence}\n"));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, PLAIN_TEXT);
    answer
}

/// Answers with a text.
fn whole(text: String) -> Response<Content> {
    Response::new(Either::Left(Full::from(text)))
}

/// Adds what every answer has, and takes the body from those that may have none. To HEAD its length
/// is sent; hyper removes the body of HTTP/1.1 by itself, that of HTTP/2 not.
fn guarded(mut answer: Response<Content>, is_head: bool) -> Response<Content> {
    let length = answer.body().size_hint().exact();
    let headers = answer.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let has_body = ![204, 205, 304].contains(&answer.status().as_u16());
    if !has_body {
        answer.headers_mut().remove(CONTENT_TYPE);
    } else if let (true, Some(length)) = (is_head, length) {
        answer.headers_mut().insert(CONTENT_LENGTH, length.into());
    }
    if is_head || !has_body {
        *answer.body_mut() = Either::Left(Full::default());
    }
    answer
}
