//! Watches: the history of a kind as a stream of lines, which faults delay or end.

use std::time::Duration;

use fastrand::Rng;
use futures::Stream;
use http_body_util::StreamBody;
use hyper::body::{Bytes, Frame};
use serde_json::json;
use tokio::time::Instant;

use crate::faults::WatchFaults;
use crate::read::{Query, Selection};
use crate::server::{ApiServer, BoxError, Connection};
use crate::status::Failure;
use crate::store::{Change, tombstone};

/// One watch.
pub(crate) struct Watch {
    connection: Connection,
    selection: Selection,
    faults: WatchFaults,
    started: Instant,
    timeout: Duration,
    rng: Rng,
    /// The resourceVersion up to which every event was sent. At first it may be in the future: then nothing is sent until the
    /// resourceVersions have passed it.
    at: u64,
    /// How often etcd had been restored when it started.
    restores: u64,
    /// The next line: when it is sent, its resourceVersion and its text.
    next: Option<(Instant, u64, String)>,
    initial: Vec<String>,
    has_bookmarks: bool,
    is_over: bool,
}

type Item = Result<Frame<Bytes>, BoxError>;

/// What a watch does next.
enum Step {
    Send(String),
    End,
    Break,
    /// Nothing before that time, unless an object changes.
    Wait(Instant),
    /// Nothing more, while the connection stays open.
    Stall,
}

impl Watch {
    /// Starts a watch, or fails because its resourceVersion is too old.
    pub(crate) fn start(
        connection: Connection,
        selection: Selection,
        query: &Query,
        mut rng: Rng,
    ) -> Result<StreamBody<impl Stream<Item = Item> + Send + use<>>, Failure> {
        let number = |name: &str| {
            query
                .get(name)
                .and_then(|number| number.parse::<u64>().ok())
        };
        let timeout = Duration::from_secs(number("timeoutSeconds").unwrap_or(300));
        let state = connection.server.lock();
        let (at, initial) = match number("resourceVersion") {
            Some(version) if version > 0 => (version, Vec::new()),
            _ => {
                let objects = state.store.of_kind(selection.target.kind);
                let selected = objects.filter(|object| selection.selects(object));
                let lines = selected.map(|object| line("ADDED", object.json()));
                (state.store.resource_version, lines.collect())
            }
        };
        let mut faults = state.faults.watch(&mut rng, timeout);
        if at < state.store.compacted {
            // The API server sends an event; a proxy in front of it may return an error response instead.
            if faults.closes.is_some() {
                return Err(Failure::expired());
            }
            faults.expires = Some(Duration::ZERO);
        }
        let restores = state.store.restores;
        drop(state);
        let watch = Self {
            connection,
            selection,
            faults,
            started: Instant::now(),
            timeout,
            rng,
            at,
            restores,
            next: None,
            initial,
            has_bookmarks: query
                .get("allowWatchBookmarks")
                .is_some_and(|value| value == "true"),
            is_over: false,
        };
        Ok(StreamBody::new(futures::stream::unfold(
            watch,
            Self::proceed,
        )))
    }

    async fn proceed(mut self) -> Option<(Item, Self)> {
        let mut changed = self.connection.server.changes();
        loop {
            let step = if self.connection.is_alive() {
                self.step()
            } else {
                Step::Stall
            };
            match step {
                Step::Send(line) => return Some((Ok(Frame::data(Bytes::from(line))), self)),
                Step::End => return None,
                Step::Break => {
                    self.is_over = true;
                    let error = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
                    return Some((Err(error.into()), self));
                }
                Step::Stall => std::future::pending().await,
                Step::Wait(until) => {
                    tokio::select! {
                        biased;
                        _ = changed.changed(), if self.next.is_none() => (),
                        () = tokio::time::sleep_until(until) => (),
                    }
                }
            }
        }
    }

    fn step(&mut self) -> Step {
        let now = Instant::now();
        let age = now - self.started;
        if self.is_over {
            return Step::End;
        }
        let (restores, version) = {
            let state = self.connection.server.lock();
            (state.store.restores, state.store.resource_version)
        };
        if restores != self.restores {
            return Step::Break;
        }
        if self.faults.stalls.is_some_and(|after| age >= after) {
            return Step::Stall;
        }
        if let Some((after, with_error)) = self.faults.closes
            && age >= after
        {
            return if with_error { Step::Break } else { Step::End };
        }
        if self.faults.expires.is_some_and(|after| age >= after) {
            self.is_over = true;
            return Step::Send(line("ERROR", &Failure::expired().json().to_string()));
        }
        if let Some(line) = self.initial.pop() {
            return Step::Send(line);
        }
        if let Some(line) = self.due(now) {
            return Step::Send(line);
        }
        if age >= self.timeout {
            self.is_over = true;
            return if self.has_bookmarks && self.at <= version {
                Step::Send(self.bookmark())
            } else {
                Step::End
            };
        }
        Step::Wait(self.next_deadline(now))
    }

    fn next_deadline(&self, now: Instant) -> Instant {
        let faults = &self.faults;
        let ends = [
            Some(self.timeout),
            faults.closes.map(|(after, _)| after),
            faults.expires,
            faults.stalls,
        ];
        let ends = ends.into_iter().flatten().map(|after| self.started + after);
        let due = self.next.as_ref().map(|(due, ..)| *due);
        ends.chain(due).filter(|at| *at > now).min().unwrap_or(now)
    }

    /// Returns the next line if it is due.
    fn due(&mut self, now: Instant) -> Option<String> {
        if self.next.is_none() {
            let server = self.connection.server.clone();
            self.next = self.find_next(&server, now);
        }
        let (_, version, line) = self.next.take_if(|(due, ..)| *due <= now)?;
        self.at = version;
        Some(line)
    }

    fn find_next(&mut self, server: &ApiServer, now: Instant) -> Option<(Instant, u64, String)> {
        let state = server.lock();
        let history = &state.store.history;
        let from = history.partition_point(|change| change.resource_version <= self.at);
        let found = history[from..].iter().find_map(|change| {
            let line = self.line_of(change)?;
            Some((change.resource_version, line))
        });
        let Some((version, line)) = found else {
            self.at = self.at.max(state.store.resource_version);
            return None;
        };
        let kind = self.selection.target.kind;
        let due = now + state.faults.delay(&mut self.rng, kind, self.faults.lag);
        Some((due, version, line))
    }

    fn line_of(&self, change: &Change) -> Option<String> {
        if change.key.0 != self.selection.target.kind {
            return None;
        }
        let was = change
            .before
            .as_ref()
            .filter(|object| self.selection.selects(object));
        let is = change
            .after
            .as_ref()
            .filter(|object| self.selection.selects(object));
        match (was, is) {
            (None, None) => None,
            (None, Some(is)) => Some(line("ADDED", is.json())),
            (Some(_), Some(is)) => Some(line("MODIFIED", is.json())),
            (Some(was), None) => {
                let last = tombstone(was, change.resource_version);
                Some(line("DELETED", &last.to_string()))
            }
        }
    }

    fn bookmark(&self) -> String {
        let kind = self.selection.target.kind;
        let object = json!({
            "kind": kind.name(),
            "apiVersion": kind.api_version(),
            "metadata": {"resourceVersion": self.at.to_string(), "creationTimestamp": null},
        });
        line("BOOKMARK", &object.to_string())
    }
}

fn line(type_: &str, object: &str) -> String {
    format!("{{\"type\":\"{type_}\",\"object\":{object}}}\n")
}
