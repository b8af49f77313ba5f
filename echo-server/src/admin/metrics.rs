//! The metrics as OpenMetrics text, each summed over the threads at a scrape.
//!
//! Labels are the listener's protocol and port, reasons, and the worker's number: closed sets all.

mod listener;
mod text;

use std::time::Duration;

use super::health::Health;
use crate::close_reason::CloseReason;
use crate::counters::{Counter, Counters, LATENCY_BOUNDS};
use listener::Listener;
use text::{Kind, Text, seconds};

/// Finds a number in a thread's set.
type Pick = fn(&Counters) -> &Counter;

/// Whether a listener can have a number other than 0.
type Has = fn(&Listener) -> bool;

/// The counters' names, what they count, which listeners have them, and where they are.
const TOTALS: [(&str, &str, Has, Pick); 4] = [
    (
        "echo_connections_accepted",
        "Connections accepted.",
        Listener::is_stream,
        |set| &set.accepted,
    ),
    (
        "echo_lines",
        "Lines, requests or datagrams answered.",
        Listener::has_lines,
        |set| &set.lines,
    ),
    (
        "echo_received_bytes",
        "Bytes received from clients.",
        |_| true,
        |set| &set.received_bytes,
    ),
    (
        "echo_sent_bytes",
        "Bytes sent to clients.",
        |_| true,
        |set| &set.sent_bytes,
    ),
];

/// A metric's name, what it counts, and of each of its reasons which listeners have it, and where it is.
type Reasons = (
    &'static str,
    &'static str,
    &'static [(&'static str, Has, Pick)],
);

/// What is counted by reason.
const BY_REASON: [Reasons; 3] = [
    (
        "echo_accept_errors",
        "Failed accepts, by reason.",
        &[
            ("exhausted", Listener::is_stream, |set| {
                &set.accept_exhausted
            }),
            ("other", Listener::is_stream, |set| &set.accept_failed),
        ],
    ),
    (
        "echo_connections_rejected",
        "Connections closed at once, by the limit that was reached.",
        &[
            ("max_connections", Listener::is_stream, |set| &set.rejected),
            (
                "max_connections_per_client",
                Listener::has_client_limit,
                |set| &set.rejected_client,
            ),
        ],
    ),
    (
        "echo_datagrams_dropped",
        "Datagrams without an answer, by reason.",
        &[
            ("port", Listener::is_datagrams, |set| &set.dropped_port),
            ("rate", Listener::has_datagram_rate, |set| &set.dropped_rate),
            ("loop", Listener::is_datagrams, |set| &set.dropped_loop),
            ("unsent", Listener::is_datagrams, |set| &set.dropped_unsent),
        ],
    ),
];

/// Writes all metrics.
pub(super) fn render(health: &Health) -> String {
    let mut scrape = Scrape {
        health,
        listeners: Listener::all(health),
        text: Text::default(),
    };
    for (name, help, has, pick) in TOTALS {
        scrape.counters(name, help, &[("", has, pick)]);
    }
    scrape.gauges();
    for (name, help, reasons) in BY_REASON {
        scrape.counters(name, help, reasons);
    }
    scrape.closed();
    scrape.log();
    scrape.threads();
    scrape.latency();
    scrape.text.end()
}

/// A scrape, as far as it is written.
struct Scrape<'a> {
    /// Where the counters are.
    health: &'a Health,
    /// What the counters belong to.
    listeners: Vec<Listener>,
    /// What is written.
    text: Text,
}

impl Scrape<'_> {
    /// Writes a counter of each listener that has it, with a reason unless that is empty.
    fn counters(&mut self, name: &str, help: &str, reasons: &[(&str, Has, Pick)]) {
        let mut samples = Vec::new();
        for (reason, has, pick) in reasons {
            for listener in self.listeners.iter().filter(|listener| has(listener)) {
                let total = sum(self.health, &listener.indexes, |set| pick(set).get());
                samples.push((with_reason(&listener.labels, reason), total));
            }
        }
        self.family(name, help, samples);
    }

    /// Writes why connections were closed.
    fn closed(&mut self) {
        let mut samples = Vec::new();
        for reason in CloseReason::ALL {
            let can_close = |listener: &&Listener| listener.can_close_for(reason);
            for listener in self.listeners.iter().filter(can_close) {
                let closed = |set: &Counters| set.closed_for(reason).get();
                let total = sum(self.health, &listener.indexes, closed);
                samples.push((with_reason(&listener.labels, reason.label()), total));
            }
        }
        let help = "Connections ended, by the limit that was reached.";
        self.family("echo_connections_closed", help, samples);
    }

    /// Writes a family of counters, unless no listener has one.
    fn family(&mut self, name: &str, help: &str, samples: Vec<(String, u64)>) {
        if samples.is_empty() {
            return;
        }
        self.text.family(name, Kind::Counter, help);
        for (labels, total) in samples {
            self.text.sample(&format!("{name}_total"), &labels, total);
        }
    }

    /// Lists the listeners that have connections.
    fn streams(&self) -> Vec<&Listener> {
        let listeners = self.listeners.iter();
        listeners.filter(|listener| listener.is_stream()).collect()
    }

    /// Writes what is missing in the log.
    fn log(&mut self) {
        let name = "echo_log_lines_dropped";
        let help = "Log lines dropped, since the log could not be written.";
        self.text.family(name, Kind::Counter, help);
        let dropped = log_writer::dropped_lines();
        self.text.sample(&format!("{name}_total"), "", dropped);
    }

    /// Writes how many connections there are, and how many there may be.
    fn gauges(&mut self) {
        let health = self.health;
        let counts = self.streams().into_iter().map(|listener| {
            let indexes = &listener.indexes;
            // Read first, so that the difference is never negative.
            let closed = sum(health, indexes, Counters::all_closed);
            let accepted = sum(health, indexes, |set| set.accepted.get());
            let stalled = sum(health, indexes, Counters::stalled);
            (
                listener.labels.clone(),
                accepted.saturating_sub(closed),
                stalled,
            )
        });
        let counts: Vec<_> = counts.collect();
        if counts.is_empty() {
            return;
        }
        let name = "echo_connections_active";
        self.text.family(name, Kind::Gauge, "Connections open now.");
        for (labels, active, _) in &counts {
            self.text.sample(name, labels, active);
        }
        let name = "echo_connections_stalled";
        let help = "Connections not read now, since their clients take no answers.";
        self.text.family(name, Kind::Gauge, help);
        for (labels, _, stalled) in &counts {
            self.text.sample(name, labels, stalled);
        }
        let name = "echo_connections_limit";
        let help = "Connections that may be open at once, of all listeners together.";
        self.text.family(name, Kind::Gauge, help);
        let limit = health.shared.limits.max_connections;
        self.text.sample(name, "", limit);
    }

    /// Writes how many worker threads there are and where their time goes.
    fn threads(&mut self) {
        let workers = self.health.workers.iter();
        let loads: Vec<_> = workers.map(|worker| worker.load()).collect();
        let name = "echo_threads";
        self.text.family(name, Kind::Gauge, "Worker threads.");
        self.text.sample(name, "", loads.iter().flatten().count());
        self.backpressure();
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

    /// Writes for how long connections were not read.
    fn backpressure(&mut self) {
        let health = self.health;
        let times = self.streams().into_iter().map(|listener| {
            let stalled = sum(health, &listener.indexes, |set| set.stalled_nanos.get());
            (listener.labels.clone(), seconds(stalled))
        });
        let times: Vec<_> = times.collect();
        if times.is_empty() {
            return;
        }
        let help = "Time for which connections were not read, since their clients took no answers, added \
                    up over the connections.";
        let name = "echo_backpressure_seconds";
        self.text.family(name, Kind::Counter, help);
        for (labels, stalled) in times {
            let name = "echo_backpressure_seconds_total";
            self.text.sample(name, &labels, stalled);
        }
    }

    /// Writes the histogram of the latency of lines at each listener.
    fn latency(&mut self) {
        let name = "echo_line_latency_seconds";
        let help = "From the event by which a worker received a line until all lines received with it were answered.";
        let listeners = self.listeners.iter();
        let listeners: Vec<_> = listeners.filter(|listener| listener.has_lines()).collect();
        if listeners.is_empty() {
            return;
        }
        self.text.family(name, Kind::Histogram, help);
        for Listener {
            labels, indexes, ..
        } in listeners
        {
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

/// Adds a reason to labels, unless it is empty.
fn with_reason(labels: &str, reason: &str) -> String {
    if reason.is_empty() {
        return labels.to_owned();
    }
    format!("{labels},reason=\"{reason}\"")
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
