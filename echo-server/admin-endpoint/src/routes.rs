//! What each request is answered with.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;

use crate::HealthAndMetrics;
use crate::request::{BadRequest, Method, Path, Request};
use crate::response::Response;
use crate::single_flight::SingleFlight;

/// The paths, and what is behind them.
#[derive(Debug)]
pub(super) struct Routes<S> {
    /// The program.
    source: Arc<S>,
    /// The text of metrics that is being rendered. All requests that come meanwhile share it, since as many texts as
    /// there may be connections would take too much memory. Health checks never wait for it.
    metrics: SingleFlight<Result<Bytes, String>>,
}

impl<S: HealthAndMetrics> Routes<S> {
    /// Begins without a request.
    pub(super) fn new(source: Arc<S>) -> Self {
        let metrics = SingleFlight::default();
        Self { source, metrics }
    }

    /// Responds to what has been read.
    pub(super) async fn respond(&self, request: Result<Request, BadRequest>) -> Response {
        let request = match request {
            Ok(request) => request,
            Err(BadRequest::TooLong) => {
                let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
                return Response::plain(status, "the head of the request is too long");
            }
            Err(BadRequest::Malformed) => {
                let sentence = "the request is not HTTP/1.1, or has not one valid Host";
                return Response::plain(StatusCode::BAD_REQUEST, sentence);
            }
        };
        if request.method == Method::Other && request.path != Path::Other {
            let methods = "only GET and HEAD are allowed";
            return Response::plain(StatusCode::METHOD_NOT_ALLOWED, methods);
        }
        match request.path {
            Path::Live => of_check(self.source.live().await),
            Path::Ready => of_check(self.source.ready().await),
            Path::Metrics => self.metrics().await,
            Path::Other => {
                let paths = "there are /livez, /readyz and /metrics";
                Response::plain(StatusCode::NOT_FOUND, paths)
            }
        }
    }

    /// Responds with the metrics.
    async fn metrics(&self) -> Response {
        let source = Arc::clone(&self.source);
        let render = || async move { source.metrics().await.map(Bytes::from) };
        let interrupted = || Err("the metrics were interrupted".to_owned());
        let text = self.metrics.result(render).await;
        match text.unwrap_or_else(interrupted) {
            Ok(text) => Response::metrics(text),
            Err(reason) => Response::plain(StatusCode::INTERNAL_SERVER_ERROR, &reason),
        }
    }
}

/// Responds with the result of a health check.
fn of_check(result: Result<(), String>) -> Response {
    match result {
        Ok(()) => Response::plain(StatusCode::OK, "ok"),
        Err(reason) => Response::plain(StatusCode::SERVICE_UNAVAILABLE, &reason),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use bytes::Buf;
    use tokio::sync::Notify;
    use tokio::task::{JoinSet, yield_now};

    use super::*;
    use crate::MAX_CONNECTIONS;

    /// A program that renders its metrics, or fails to, when the test says so.
    #[derive(Default)]
    struct Scripted {
        fails: bool,
        renderings: AtomicUsize,
        rendered: Notify,
    }

    impl HealthAndMetrics for Scripted {
        async fn live(self: &Arc<Self>) -> Result<(), String> {
            Ok(())
        }

        async fn ready(self: &Arc<Self>) -> Result<(), String> {
            Err("not yet".to_owned())
        }

        async fn metrics(self: &Arc<Self>) -> Result<String, String> {
            self.renderings.fetch_add(1, Ordering::Relaxed);
            self.rendered.notified().await;
            if self.fails {
                return Err("no text".to_owned());
            }
            Ok("# EOF\n".to_owned())
        }
    }

    /// A request for a path.
    fn get(path: Path) -> Request {
        let method = Method::Get;
        Request { method, path }
    }

    /// A response as it is sent.
    fn text(response: Response) -> String {
        let mut bytes = response.into_bytes(false);
        let bytes = bytes.copy_to_bytes(bytes.remaining());
        String::from_utf8(bytes.into()).unwrap()
    }

    #[tokio::test]
    async fn all_who_ask_for_metrics_at_once_get_one_text_and_health_checks_do_not_wait_for_it() {
        let source = Arc::new(Scripted::default());
        let routes = Arc::new(Routes::new(Arc::clone(&source)));
        let mut scrapes = JoinSet::new();
        for _ in 0..MAX_CONNECTIONS {
            let routes = Arc::clone(&routes);
            scrapes.spawn(async move { routes.respond(Ok(get(Path::Metrics))).await });
        }
        while source.renderings.load(Ordering::Relaxed) == 0 {
            yield_now().await;
        }
        let live = text(routes.respond(Ok(get(Path::Live))).await);
        assert!(live.starts_with("HTTP/1.1 200 "), "{live}");
        assert_eq!(source.renderings.load(Ordering::Relaxed), 1);
        source.rendered.notify_waiters();
        let responses = scrapes.join_all().await;
        for response in &responses {
            assert_eq!(response.body.as_ptr(), responses[0].body.as_ptr());
        }
    }

    #[tokio::test]
    async fn metrics_that_cannot_be_rendered_are_an_error_of_the_server_with_a_sentence() {
        let fails = true;
        let source = Arc::new(Scripted {
            fails,
            ..Scripted::default()
        });
        source.rendered.notify_one();
        let response = text(Routes::new(source).respond(Ok(get(Path::Metrics))).await);
        assert!(response.starts_with("HTTP/1.1 500 "), "{response}");
        assert!(response.ends_with("\r\n\r\nno text\n"), "{response}");
    }
}
