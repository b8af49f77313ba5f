//! The metrics as OpenMetrics text, each summed over the workers at a scrape.
//!
//! Labels are the listener's protocol and port, reasons, and the worker's number: closed sets all.

mod seconds;

use std::fmt;

use hyper::header::HeaderValue;
use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::health::Health;
use crate::close_reason::CloseReason;
use crate::counters::{self, Counters, count};

/// What the text is, for the scraper.
pub(super) const CONTENT_TYPE: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// Finds a number in a worker's set.
type Pick = fn(&Counters) -> &counters::Counter;

/// The counters' names, what they count, and where they are. The text adds `_total` to each name.
const TOTALS: [(&str, &str, Pick); 4] = [
    ("echo_connections_accepted", "Connections accepted", |set| {
        &set.accepted
    }),
    (
        "echo_lines",
        "Lines, requests or datagrams answered",
        |set| &set.lines,
    ),
    (
        "echo_received_bytes",
        "Bytes received from clients",
        |set| &set.received_bytes,
    ),
    ("echo_sent_bytes", "Bytes sent to clients", |set| {
        &set.sent_bytes
    }),
];

/// A metric's name, what it counts, and where each of its reasons is.
type Reasons = (&'static str, &'static str, &'static [(&'static str, Pick)]);

/// What is counted by reason.
const BY_REASON: [Reasons; 3] = [
    (
        "echo_accept_errors",
        "Failed accepts, by reason",
        &[
            ("exhausted", |set| &set.accept_exhausted),
            ("other", |set| &set.accept_failed),
        ],
    ),
    (
        "echo_connections_rejected",
        "Connections closed at once, by the limit that was reached",
        &[
            ("max_connections", |set| &set.rejected),
            ("max_connections_per_client", |set| &set.rejected_client),
        ],
    ),
    (
        "echo_datagrams_dropped",
        "Datagrams without an answer, by reason",
        &[
            ("port", |set| &set.dropped_port),
            ("rate", |set| &set.dropped_rate),
            ("loop", |set| &set.dropped_loop),
            ("unsent", |set| &set.dropped_unsent),
        ],
    ),
];

/// The labels of a number.
type Labels = Vec<(&'static str, String)>;

/// Renders all metrics.
///
/// # Errors
/// None in practice: writing to a string does not fail.
pub(super) fn render(health: &Health) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    for (name, help, pick) in TOTALS {
        let family = Family::<Labels, Counter>::default();
        for (index, labels) in labels(health) {
            family
                .get_or_create(&labels)
                .inc_by(sum(health, index, |set| pick(set).get()));
        }
        registry.register(name, help, family);
    }
    registry.register(
        "echo_connections_active",
        "Connections open now",
        active(health),
    );
    registry.register(
        "echo_connections_stalled",
        "Connections not read now, since their clients take no answers",
        stalled(health),
    );
    for (name, help, reasons) in BY_REASON {
        registry.register(name, help, by_reason(health, reasons));
    }
    let closed = CloseReason::ALL.map(|reason| (reason.label(), reason));
    registry.register(
        "echo_connections_closed",
        "Connections ended, by the limit that was reached",
        counted_by(health, &closed, |set, reason| set.closed_for(reason)),
    );
    let threads = Gauge::<i64>::default();
    let workers = health
        .workers
        .iter()
        .filter(|worker| worker.load().is_some());
    threads.set(gauge(count(workers.count())));
    registry.register("echo_threads", "Worker threads", threads);
    seconds::register(&mut registry, health);
    let mut rendered = String::new();
    text::encode(&mut rendered, &registry)?;
    Ok(rendered)
}

/// Counts open connections: accepted, and not ended.
fn active(health: &Health) -> Family<Labels, Gauge> {
    let family = Family::<Labels, Gauge>::default();
    for (index, labels) in labels(health) {
        // Read first, so that the difference is never negative.
        let closed = sum(health, index, Counters::all_closed);
        let accepted = sum(health, index, |set| set.accepted.get());
        family
            .get_or_create(&labels)
            .set(gauge(accepted.saturating_sub(closed)));
    }
    family
}

/// Counts connections that are not read, since they have pending output.
fn stalled(health: &Health) -> Family<Labels, Gauge> {
    let family = Family::<Labels, Gauge>::default();
    for (index, labels) in labels(health) {
        let stalled = sum(health, index, Counters::stalled);
        family.get_or_create(&labels).set(gauge(stalled));
    }
    family
}

/// Counts one metric by its reasons.
fn by_reason(health: &Health, reasons: &[(&'static str, Pick)]) -> Family<Labels, Counter> {
    counted_by(health, reasons, |set, pick| pick(set))
}

/// Counts one metric by labels of `reason`, each with what finds its counter.
fn counted_by<R: Copy>(
    health: &Health,
    reasons: &[(&'static str, R)],
    pick: impl Fn(&Counters, R) -> &counters::Counter,
) -> Family<Labels, Counter> {
    let family = Family::<Labels, Counter>::default();
    for (index, labels) in labels(health) {
        for (label, reason) in reasons {
            let mut labels = labels.clone();
            labels.push(("reason", (*label).to_owned()));
            family
                .get_or_create(&labels)
                .inc_by(sum(health, index, |set| pick(set, *reason).get()));
        }
    }
    family
}

/// Lists the listeners' places and labels.
fn labels(health: &Health) -> impl Iterator<Item = (usize, Labels)> {
    health
        .listeners
        .iter()
        .enumerate()
        .map(|(index, listener)| {
            let port = listener.address.port().to_string();
            (
                index,
                vec![
                    ("protocol", listener.protocol.name().to_owned()),
                    ("port", port),
                ],
            )
        })
}

/// Adds up one number of one listener over the workers.
fn sum(health: &Health, listener: usize, read: impl Fn(&Counters) -> u64) -> u64 {
    let sets = health
        .workers
        .iter()
        .filter_map(|worker| worker.counters(listener));
    sets.map(read).sum()
}

/// Turns a count into what a gauge holds.
fn gauge(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
