//! Publishes events in the background, so that neither a slow API server nor a flood of changes delays a reconcile.
//!
//! An event that is repeated within six minutes, with the same note, becomes a count of the first one, as the recorder of the runtime does
//! it. An EchoCluster that keeps changing has its events published at a bounded rate, with client-go's numbers.
#![expect(
    clippy::disallowed_types,
    reason = "events are written to the API server"
)]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Recorder, Reporter};
use tokio::sync::{Mutex, mpsc};
use tokio::time::Instant;
use tracing::{debug, warn};

use crate::apiserver::request::{is_namespace_terminating, message_of};
use crate::metrics::Metrics;
use crate::model::metadata::FIELD_MANAGER;
use crate::model::status::events::Event;

/// How long writing an event may take.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest note that the API server takes, in bytes (the validation of `events.k8s.io/v1`).
const MAX_NOTE_BYTES: usize = 1024;

/// Events that wait. Further ones are dropped, and counted.
const QUEUE_CAPACITY: usize = 1024;

/// Events that are written at the same time. They are less urgent than any other write.
const CONCURRENCY: usize = 2;

/// Events of one EchoCluster that may be published without a pause (client-go: `defaultSpamBurst`).
const BURST: f64 = 25.0;

/// Further events of one EchoCluster in a second (client-go: `defaultSpamQPS`).
const EVENTS_PER_SECOND: f64 = 1.0 / 300.0;

/// How often token buckets that are full again are dropped.
const PRUNE_INTERVAL: Duration = Duration::from_mins(1);

/// Notes that are remembered to count their repetitions. A recorder forgets a note after six minutes.
const MAX_RECORDERS: usize = 256;

/// How long a recorder counts repetitions (`kube::runtime::events`).
const RECORDER_MEMORY: Duration = Duration::from_mins(6);

/// Queues events. Clones share the queue.
#[derive(Clone)]
pub struct EventWriter {
    queue: mpsc::Sender<Queued>,
    metrics: Metrics,
}

struct Queued {
    regarding: ObjectReference,
    event: Event,
}

impl EventWriter {
    /// Creates a writer, and the future that publishes the queued events. The future ends when all clones of the writer are dropped.
    pub fn new(client: Client, metrics: Metrics) -> (Self, impl Future<Output = ()> + Send) {
        // The channel of the futures crate grows with each clone of its sender.
        let (queue, mut receiver) = mpsc::channel(QUEUE_CAPACITY);
        let queued = futures::stream::poll_fn(move |context| receiver.poll_recv(context));
        let publisher = Arc::new(Publisher {
            client,
            reporter: Reporter::from(FIELD_MANAGER),
            recorders: Mutex::default(),
            buckets: Mutex::new(Buckets::new(Instant::now())),
            metrics: metrics.clone(),
        });
        let publish = queued.for_each_concurrent(CONCURRENCY, move |queued| {
            let publisher = Arc::clone(&publisher);
            async move { publisher.publish(queued).await }
        });
        (Self { queue, metrics }, publish)
    }

    /// Queues an event about `regarding`. If the queue is full, it is dropped.
    pub fn queue(&self, regarding: ObjectReference, event: Event) {
        let sent = self.queue.try_send(Queued { regarding, event });
        if sent.is_err() {
            self.metrics.count_dropped_event();
        }
    }
}

struct Publisher {
    client: Client,
    reporter: Reporter,
    /// One recorder for each note, since a recorder counts events of one reason as repetitions whatever their note.
    recorders: Mutex<HashMap<RecorderKey, (Recorder, Instant)>>,
    buckets: Mutex<Buckets>,
    metrics: Metrics,
}

/// The token buckets of EchoClusters, by UID and type of event.
struct Buckets {
    by_key: HashMap<String, TokenBucket>,
    /// When those that are full again were last dropped.
    pruned: Instant,
}

/// The UID of the EchoCluster, the reason and the note.
type RecorderKey = (String, String, String);

impl Publisher {
    async fn publish(&self, Queued { regarding, event }: Queued) {
        let uid = regarding.uid.clone().unwrap_or_default();
        // Warnings have a budget of their own.
        if !self.take_token(&format!("{uid} {:?}", event.type_)).await {
            self.metrics.count_dropped_event();
            return;
        }
        let mut note = event.note;
        note.truncate(note.floor_char_boundary(MAX_NOTE_BYTES));
        let recorder = self
            .recorder((uid, event.reason.clone(), note.clone()))
            .await;
        let event = kube::runtime::events::Event {
            type_: event.type_,
            reason: event.reason,
            note: Some(note),
            action: event.action.to_owned(),
            secondary: None,
        };
        let sent = tokio::time::timeout(PUBLISH_TIMEOUT, recorder.publish(&event, &regarding));
        let reason = event.reason.as_str();
        match sent.await {
            Ok(Ok(())) => (),
            Ok(Err(error)) if is_namespace_terminating(&error) => {
                debug!(
                    reason,
                    "no event is published in a namespace that is being deleted"
                );
            }
            Ok(Err(error)) => {
                warn!(
                    reason,
                    error = message_of(&error),
                    "failed to publish an event"
                );
            }
            Err(_) => warn!(reason, "failed to publish an event in time"),
        }
    }

    async fn recorder(&self, key: RecorderKey) -> Recorder {
        let mut recorders = self.recorders.lock().await;
        if recorders.len() >= MAX_RECORDERS {
            recorders.retain(|_, (_, used)| used.elapsed() < RECORDER_MEMORY);
        }
        if recorders.len() >= MAX_RECORDERS {
            recorders.clear();
        }
        let now = Instant::now();
        let new = || Recorder::new(self.client.clone(), self.reporter.clone());
        let (recorder, used) = recorders.entry(key).or_insert_with(|| (new(), now));
        *used = now;
        recorder.clone()
    }

    async fn take_token(&self, key: &str) -> bool {
        self.buckets.lock().await.take(key, Instant::now())
    }
}

impl Buckets {
    fn new(now: Instant) -> Self {
        Self {
            by_key: HashMap::new(),
            pruned: now,
        }
    }

    /// Takes a token, if there is one. Buckets that are full again are dropped from time to time: each event of ten thousand EchoClusters
    /// would search through all of them otherwise.
    fn take(&mut self, key: &str, now: Instant) -> bool {
        if now.duration_since(self.pruned) >= PRUNE_INTERVAL {
            self.by_key
                .retain(|_, bucket| bucket.tokens_at(now) < BURST);
            self.pruned = now;
        }
        let bucket = self.by_key.entry(key.to_owned());
        bucket.or_insert_with(|| TokenBucket::full(now)).take(now)
    }
}

/// Limits the events of one EchoCluster.
#[derive(Clone, Copy)]
struct TokenBucket {
    tokens: f64,
    at: Instant,
}

impl TokenBucket {
    fn full(now: Instant) -> Self {
        Self {
            tokens: BURST,
            at: now,
        }
    }

    fn tokens_at(&self, now: Instant) -> f64 {
        let refilled = now.duration_since(self.at).as_secs_f64() * EVENTS_PER_SECOND;
        BURST.min(self.tokens + refilled)
    }

    fn take(&mut self, now: Instant) -> bool {
        let tokens = self.tokens_at(now);
        if tokens < 1.0 {
            return false;
        }
        *self = Self {
            tokens: tokens - 1.0,
            at: now,
        };
        true
    }
}

#[cfg(test)]
mod tests {
    use kube::Resource;

    use super::*;
    use crate::fixtures::echo_cluster;
    use crate::scripted::{Answer, scripted};

    #[tokio::test]
    async fn events_that_the_queue_has_no_room_for_are_dropped_and_counted() {
        let (client, requests) = scripted(|_, _| Answer::Hang);
        let metrics = Metrics::default();
        let (writer, publish) = EventWriter::new(client, metrics.clone());
        let publish = tokio::spawn(publish);
        let room = QUEUE_CAPACITY + CONCURRENCY;
        for count in 0..room + 10 {
            let regarding = echo_cluster().object_ref(&());
            let uid = Some(count.to_string());
            writer.clone().queue(
                ObjectReference { uid, ..regarding },
                Event::normal("Test", String::new()),
            );
            tokio::task::yield_now().await;
        }
        assert_eq!(requests.lock().unwrap().len(), CONCURRENCY);
        let text = metrics.text().unwrap();
        assert!(text.contains("dropped_events_total 10"), "{text}");
        publish.abort();
    }

    #[test]
    fn a_bucket_that_is_full_again_is_dropped() {
        let start = Instant::now();
        let mut buckets = Buckets::new(start);
        assert!(buckets.take("a", start));
        let later = start + Duration::from_mins(6);
        assert!(buckets.take("b", later));
        assert_eq!(buckets.by_key.len(), 1);
    }

    #[test]
    fn a_burst_of_events_is_published_and_then_one_in_five_minutes() {
        let start = Instant::now();
        let mut bucket = TokenBucket::full(start);
        let burst = (0..1000).filter(|_| bucket.take(start)).count();
        assert_eq!(burst, 25);
        assert!(!bucket.take(start + Duration::from_secs(299)));
        assert!(bucket.take(start + Duration::from_secs(301)));
    }

    /// Publishes `count` events of one EchoCluster with different notes. Returns how many requests the API server has received.
    async fn publish(count: usize, answer: fn() -> Answer, metrics: Metrics) -> usize {
        let (client, requests) = scripted(move |_, _| answer());
        let (writer, publish) = EventWriter::new(client, metrics);
        for number in 0..count {
            let event = Event::normal("Test", number.to_string());
            writer.queue(echo_cluster().object_ref(&()), event);
        }
        drop(writer);
        publish.await;
        requests.lock().unwrap().len()
    }

    #[tokio::test(start_paused = true)]
    async fn events_of_one_echo_cluster_beyond_the_burst_are_not_sent_but_counted() {
        let metrics = Metrics::default();
        let forbidden = || crate::scripted::failure(403, "no");
        assert_eq!(publish(40, forbidden, metrics.clone()).await, 25);
        let text = metrics.text().unwrap();
        assert!(text.contains("dropped_events_total 15"), "{text}");
    }

    #[tokio::test(start_paused = true)]
    async fn events_that_are_not_answered_delay_the_next_ones_by_a_bounded_time() {
        let started = Instant::now();
        let sent = publish(3 * CONCURRENCY, || Answer::Hang, Metrics::default()).await;
        assert_eq!(sent, 3 * CONCURRENCY);
        assert_eq!(started.elapsed(), 3 * PUBLISH_TIMEOUT);
    }
}
