//! The metrics as OpenMetrics text, each summed over the threads at a scrape.
//!
//! Labels are the listener's protocol and port, reasons, and the worker's number: closed sets all.

mod text;

use std::time::Duration;

use super::health::Health;
use crate::close_reason::CloseReason;
use crate::counters::{Counter, Counters, LATENCY_BOUNDS};
use text::{Kind, Text, seconds};

/// Finds a number in a thread's set.
type Pick = fn(&Counters) -> &Counter;

/// The counters' names, what they count, and where they are.
const TOTALS: [(&str, &str, Pick); 4] = [
    (
        "echo_connections_accepted",
        "Connections accepted.",
        |set| &set.accepted,
    ),
    (
        "echo_lines",
        "Lines, requests or datagrams answered.",
        |set| &set.lines,
    ),
    (
        "echo_received_bytes",
        "Bytes received from clients.",
        |set| &set.received_bytes,
    ),
    ("echo_sent_bytes", "Bytes sent to clients.", |set| {
        &set.sent_bytes
    }),
];

/// A metric's name, what it counts, and where each of its reasons is.
type Reasons = (&'static str, &'static str, &'static [(&'static str, Pick)]);

/// What is counted by reason.
const BY_REASON: [Reasons; 3] = [
    (
        "echo_accept_errors",
        "Failed accepts, by reason.",
        &[
            ("exhausted", |set| &set.accept_exhausted),
            ("other", |set| &set.accept_failed),
        ],
    ),
    (
        "echo_connections_rejected",
        "Connections closed at once, by the limit that was reached.",
        &[
            ("max_connections", |set| &set.rejected),
            ("max_connections_per_client", |set| &set.rejected_client),
        ],
    ),
    (
        "echo_datagrams_dropped",
        "Datagrams without an answer, by reason.",
        &[
            ("port", |set| &set.dropped_port),
            ("rate", |set| &set.dropped_rate),
            ("loop", |set| &set.dropped_loop),
            ("unsent", |set| &set.dropped_unsent),
        ],
    ),
];

/// Writes all metrics.
pub(super) fn render(health: &Health) -> String {
    let mut scrape = Scrape {
        health,
        listeners: labels(health),
        text: Text::default(),
    };
    for (name, help, pick) in TOTALS {
        scrape.text.family(name, Kind::Counter, help);
        scrape.counter(name, "", |set| pick(set).get());
    }
    scrape.gauges();
    for (name, help, reasons) in BY_REASON {
        scrape.text.family(name, Kind::Counter, help);
        for (reason, pick) in reasons {
            scrape.counter(name, reason, |set| pick(set).get());
        }
    }
    let name = "echo_connections_closed";
    let help = "Connections ended, by the limit that was reached.";
    scrape.text.family(name, Kind::Counter, help);
    for reason in CloseReason::ALL {
        scrape.counter(name, reason.label(), |set| set.closed_for(reason).get());
    }
    scrape.log();
    scrape.threads();
    scrape.latency();
    scrape.text.end()
}

/// A scrape, as far as it is written.
struct Scrape<'a> {
    /// Where the counters are.
    health: &'a Health,
    /// The labels, and the listeners that have them: several where they differ only in their address.
    listeners: Vec<(String, Vec<usize>)>,
    /// What is written.
    text: Text,
}

impl Scrape<'_> {
    /// Writes a counter of each listener, with a reason unless that is empty.
    fn counter(&mut self, name: &str, reason: &str, read: impl Fn(&Counters) -> u64) {
        let name = format!("{name}_total");
        for (labels, indexes) in &self.listeners {
            let total = sum(self.health, indexes, &read);
            if reason.is_empty() {
                self.text.sample(&name, labels, total);
            } else {
                let labels = format!("{labels},reason=\"{reason}\"");
                self.text.sample(&name, &labels, total);
            }
        }
    }

    /// Writes what is missing in the log.
    fn log(&mut self) {
        let name = "echo_log_lines_dropped";
        let help = "Log lines dropped, since the log could not be written.";
        self.text.family(name, Kind::Counter, help);
        let dropped = log_writer::dropped_lines();
        self.text.sample(&format!("{name}_total"), "", dropped);
    }

    /// Writes how many connections there are.
    fn gauges(&mut self) {
        let name = "echo_connections_active";
        self.text.family(name, Kind::Gauge, "Connections open now.");
        for (labels, indexes) in &self.listeners {
            // Read first, so that the difference is never negative.
            let closed = sum(self.health, indexes, Counters::all_closed);
            let accepted = sum(self.health, indexes, |set| set.accepted.get());
            self.text
                .sample(name, labels, accepted.saturating_sub(closed));
        }
        let name = "echo_connections_stalled";
        let help = "Connections not read now, since their clients take no answers.";
        self.text.family(name, Kind::Gauge, help);
        for (labels, indexes) in &self.listeners {
            let stalled = sum(self.health, indexes, Counters::stalled);
            self.text.sample(name, labels, stalled);
        }
    }

    /// Writes how many worker threads there are and where their time goes.
    fn threads(&mut self) {
        let workers = self.health.workers.iter();
        let loads: Vec<_> = workers.map(|worker| worker.load()).collect();
        let name = "echo_threads";
        self.text.family(name, Kind::Gauge, "Worker threads.");
        self.text.sample(name, "", loads.iter().flatten().count());
        let help = "Time for which connections were not read, since their clients took no answers, added \
                    up over the connections.";
        let name = "echo_backpressure_seconds";
        self.text.family(name, Kind::Counter, help);
        for (labels, indexes) in &self.listeners {
            let stalled = sum(self.health, indexes, |set| set.stalled_nanos.get());
            let name = "echo_backpressure_seconds_total";
            self.text.sample(name, labels, seconds(stalled));
        }
        let help = "Time in which a worker thread did not wait; its rate is the busy share.";
        self.text
            .family("echo_worker_busy_seconds", Kind::Counter, help);
        for (number, load) in loads.iter().enumerate() {
            if let Some(load) = load {
                let labels = format!("worker=\"{number}\"");
                let busy = seconds(load.busy_nanos.get());
                self.text
                    .sample("echo_worker_busy_seconds_total", &labels, busy);
            }
        }
    }

    /// Writes the histogram of the latency of lines at each listener.
    fn latency(&mut self) {
        let name = "echo_line_latency_seconds";
        let help = "From when a worker learned of a line until all that it learned of with it was answered.";
        self.text.family(name, Kind::Histogram, help);
        for (labels, indexes) in &self.listeners {
            let bounds = LATENCY_BOUNDS.iter().map(Duration::as_nanos);
            let bounds = bounds.map(|bound| seconds(u64::try_from(bound).unwrap_or(u64::MAX)));
            let mut lines = 0;
            let buckets = bounds.chain(["+Inf".to_owned()]).enumerate();
            let buckets: Vec<_> = buckets
                .map(|(bucket, bound)| {
                    lines += sum(self.health, indexes, |set| {
                        set.latency.lines.get(bucket).map_or(0, Counter::get)
                    });
                    (bound, lines)
                })
                .collect();
            let nanos = sum(self.health, indexes, |set| set.latency.nanos.get());
            self.text
                .sample("echo_line_latency_seconds_sum", labels, seconds(nanos));
            self.text
                .sample("echo_line_latency_seconds_count", labels, lines);
            for (bound, lines) in buckets {
                let labels = format!("le=\"{bound}\",{labels}");
                self.text
                    .sample("echo_line_latency_seconds_bucket", &labels, lines);
            }
        }
    }
}

/// Lists the labels of the listeners, each once, and which listeners have them.
fn labels(health: &Health) -> Vec<(String, Vec<usize>)> {
    let mut all: Vec<(String, Vec<usize>)> = Vec::new();
    for (index, listener) in health.listeners.iter().enumerate() {
        let (protocol, port) = (listener.protocol.name(), listener.address.port());
        let labels = format!("protocol=\"{protocol}\",port=\"{port}\"");
        match all.iter_mut().find(|(known, _)| *known == labels) {
            Some((_, indexes)) => indexes.push(index),
            None => all.push((labels, vec![index])),
        }
    }
    all
}

/// Adds up one number of listeners over them and the threads.
fn sum(health: &Health, indexes: &[usize], read: impl Fn(&Counters) -> u64) -> u64 {
    let of_one = |index: &usize| {
        let workers = health.workers.iter();
        let sets = workers.filter_map(|worker| worker.counters(*index));
        sets.map(&read).sum::<u64>()
    };
    indexes.iter().map(of_one).sum()
}
