use std::sync::{Arc, Mutex};

use futures::FutureExt;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{advance, sleep};

use super::*;
use crate::apiserver::leadership::Leadership;
use crate::scripted::{Answer, failure, scripted_by_body};

const TIMINGS: Timings = Timings {
    lease_duration: Duration::from_secs(15),
    renew_deadline: Duration::from_secs(10),
    retry_period: Duration::from_secs(2),
};

/// One Lease, as the API server keeps it.
#[derive(Default)]
struct Store {
    lease: Option<Value>,
    version: u64,
    watches: Vec<mpsc::UnboundedSender<Value>>,
    requests: usize,
}

type Shared = Arc<Mutex<Store>>;

impl Store {
    fn answer(&mut self, request: &str, body: &Value) -> Answer {
        self.requests += 1;
        if request.contains("watch=true") {
            let (sender, receiver) = mpsc::unbounded_channel();
            self.watches.push(sender);
            return Answer::LiveWatch(receiver);
        }
        let stored = self
            .lease
            .as_ref()
            .map(|lease| &lease["metadata"]["resourceVersion"]);
        match request.split(' ').next() {
            Some("GET") => match &self.lease {
                Some(lease) => Answer::With(200, lease.clone()),
                None => failure(404, "not found"),
            },
            Some("POST") if stored.is_none() => self.store(body.clone()),
            Some("PUT") if stored == Some(&body["metadata"]["resourceVersion"]) => {
                assert!(
                    body["metadata"]["uid"].is_string(),
                    "it could create a deleted Lease"
                );
                self.store(body.clone())
            }
            _ => failure(409, "the Lease has changed"),
        }
    }

    fn store(&mut self, mut lease: Value) -> Answer {
        self.version += 1;
        lease["metadata"]["resourceVersion"] = json!(self.version.to_string());
        lease["metadata"]["uid"] = json!("uid");
        self.lease = Some(lease.clone());
        self.report("MODIFIED", &lease);
        Answer::With(200, lease)
    }

    fn report(&mut self, event: &str, lease: &Value) {
        let event = json!({"type": event, "object": lease});
        self.watches
            .retain(|watch| watch.send(event.clone()).is_ok());
    }

    fn delete(&mut self) {
        self.version += 1;
        let mut lease = self.lease.take().unwrap();
        lease["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.report("DELETED", &lease);
    }

    fn spec(&self, field: &str) -> Value {
        self.lease.as_ref().unwrap()["spec"][field].clone()
    }
}

/// Makes a candidate whose requests are answered while it is `reachable`.
fn candidate(store: &Shared, identity: &str) -> (Election, Leadership, Arc<Mutex<bool>>) {
    let (election, leadership, reachable) = candidate_of(store, identity);
    become_candidate(&leadership);
    (election, leadership, reachable)
}

/// Makes a process that is not a candidate yet.
fn candidate_of(store: &Shared, identity: &str) -> (Election, Leadership, Arc<Mutex<bool>>) {
    let reachable = Arc::new(Mutex::new(true));
    let (store, is_reachable) = (Arc::clone(store), Arc::clone(&reachable));
    let (client, _) = scripted_by_body(move |_, request, body| {
        if *is_reachable.lock().unwrap() {
            store.lock().unwrap().answer(request, body)
        } else {
            Answer::Hang
        }
    });
    let (writer, leadership) = Leadership::elected("echo-operator");
    let configuration = Configuration {
        namespace: "echo-system".to_owned(),
        name: "echo-operator".to_owned(),
        identity: identity.to_owned(),
        timings: TIMINGS,
        clock: || Timestamp::UNIX_EPOCH, // a clock that has stopped
    };
    (
        Election::new(client, configuration, writer),
        leadership,
        reachable,
    )
}

/// Makes a process a candidate, as the controller does when its caches are filled.
fn become_candidate(leadership: &Leadership) {
    let _ = leadership.acquire().now_or_never();
}

/// Runs a candidate for some time. Returns why it has stopped, if it has.
async fn run_for(election: &mut Election, seconds: u64) -> Option<Loss> {
    timeout(Duration::from_secs(seconds), election.run())
        .await
        .ok()
}

#[tokio::test(start_paused = true)]
async fn the_first_candidate_leads_and_the_second_follows_as_long_as_the_lease_is_renewed() {
    let store = Shared::default();
    let (mut one, first, _) = candidate(&store, "one");
    let (mut two, second, _) = candidate(&store, "two");
    run_for(&mut one, 1).await;
    assert!(first.is_leader());
    let both = async { tokio::join!(run_for(&mut one, 600), run_for(&mut two, 600)) };
    assert_eq!(both.await, (None, None));
    assert!(first.is_leader() && !second.is_leader());
    let store = store.lock().unwrap();
    assert_eq!(store.spec("leaseTransitions"), 0);
    assert_eq!(store.spec("leaseDurationSeconds"), 15);
    // A renewal each two seconds, and a watch of each in a minute; nothing is polled.
    assert!(store.requests <= 330, "{}", store.requests);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_disappears_is_replaced_when_its_lease_has_expired_and_not_before() {
    let store = Shared::default();
    let (mut one, _, _) = candidate(&store, "one");
    run_for(&mut one, 1).await;
    let (mut two, second, _) = candidate(&store, "two");
    drop(one);
    run_for(&mut two, 14).await;
    assert!(!second.is_leader());
    run_for(&mut two, 2).await;
    assert!(second.is_leader());
    assert_eq!(store.lock().unwrap().spec("leaseTransitions"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_leader_whose_requests_are_not_answered_stops_before_another_can_lead() {
    let store = Shared::default();
    let (mut one, first, reachable) = candidate(&store, "one");
    let (mut two, second, _) = candidate(&store, "two");
    run_for(&mut one, 1).await;
    *reachable.lock().unwrap() = false;
    let (loss, ()) = tokio::join!(run_for(&mut one, 60), async {
        run_for(&mut two, 9).await;
    });
    assert_eq!(loss, Some(Loss::Deadline));
    assert!(!first.is_leader() && !second.is_leader());
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_is_not_answered_is_repeated_in_time() {
    let store = Shared::default();
    let (mut one, first, reachable) = candidate(&store, "one");
    run_for(&mut one, 1).await;
    *reachable.lock().unwrap() = false;
    let outage = async {
        sleep(Duration::from_secs(4)).await;
        *reachable.lock().unwrap() = true;
    };
    let (loss, ()) = tokio::join!(run_for(&mut one, 60), outage);
    assert_eq!(loss, None);
    assert!(first.is_leader());
}

#[tokio::test(start_paused = true)]
async fn a_process_that_cannot_lead_yet_does_not_touch_the_lease() {
    let store = Shared::default();
    let (mut one, leadership, _) = candidate_of(&store, "one");
    assert_eq!(run_for(&mut one, 60).await, None);
    assert_eq!(store.lock().unwrap().requests, 0);
    become_candidate(&leadership);
    run_for(&mut one, 1).await;
    assert!(leadership.is_leader());
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_ends_at_its_timeout_does_not_delay_a_hand_over() {
    let store = Shared::default();
    let (mut one, _, _) = candidate(&store, "one");
    let (mut two, second, _) = candidate(&store, "two");
    run_for(&mut one, 1).await;
    let leads = async {
        tokio::select! {
            _ = two.run() => unreachable!(),
            () = second.acquire() => Instant::now(),
        }
    };
    let released = async {
        let run = async {
            run_for(&mut one, 9).await;
            store.lock().unwrap().watches.clear();
            run_for(&mut one, 1).await;
        };
        run.await;
        one.release().await;
        Instant::now()
    };
    let (leads, released) = tokio::join!(leads, released);
    assert!(leads - released < Duration::from_millis(100));
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_was_acquired_without_an_answer_is_released() {
    let store = Shared::default();
    let (mut one, _, _) = candidate(&store, "one");
    let acquired = async {
        while store.lock().unwrap().lease.is_none() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        () = acquired => (),
        _ = one.run() => unreachable!(),
    }
    one.renewed_at = None; // the answer had not arrived
    one.observed = Observed::default();
    one.release().await;
    assert_eq!(store.lock().unwrap().spec("holderIdentity"), Value::Null);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_was_paused_beyond_its_deadline_does_not_lead_when_it_continues() {
    let store = Shared::default();
    let (mut one, first, _) = candidate(&store, "one");
    run_for(&mut one, 1).await;
    advance(TIMINGS.renew_deadline).await;
    assert!(!first.is_leader());
    assert_eq!(run_for(&mut one, 1).await, Some(Loss::Deadline));
}

#[tokio::test(start_paused = true)]
async fn a_released_lease_is_taken_at_once() {
    let store = Shared::default();
    let (mut one, first, _) = candidate(&store, "one");
    let (mut two, second, _) = candidate(&store, "two");
    run_for(&mut one, 1).await;
    run_for(&mut two, 1).await;
    let started = Instant::now();
    let follow = tokio::spawn(async move { two.run().await });
    sleep(Duration::from_millis(1)).await;
    one.release().await;
    assert!(!first.is_leader());
    second.acquire().await;
    assert!(started.elapsed() < Duration::from_millis(100));
    follow.abort();
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_released_although_its_last_renewal_was_interrupted() {
    let store = Shared::default();
    let (mut one, _, _) = candidate(&store, "one");
    run_for(&mut one, 1).await;
    {
        let mut store = store.lock().unwrap();
        let renewed = store.lease.clone().unwrap();
        store.store(renewed); // its reply is lost
    }
    one.release().await;
    assert_eq!(store.lock().unwrap().spec("holderIdentity"), Value::Null);
}

#[tokio::test(start_paused = true)]
async fn a_follower_releases_nothing() {
    let store = Shared::default();
    let (mut one, _, _) = candidate(&store, "one");
    let (mut two, _, _) = candidate(&store, "two");
    run_for(&mut one, 1).await;
    run_for(&mut two, 1).await;
    two.release().await;
    assert_eq!(store.lock().unwrap().spec("holderIdentity"), "one");
}

#[tokio::test(start_paused = true)]
async fn a_deleted_lease_has_the_same_holder_again() {
    let store = Shared::default();
    let (mut one, first, _) = candidate(&store, "one");
    let (mut two, second, _) = candidate(&store, "two");
    run_for(&mut one, 1).await;
    let deletion = async {
        sleep(Duration::from_secs(5)).await;
        store.lock().unwrap().delete();
    };
    let (_, _, ()) = tokio::join!(run_for(&mut two, 30), run_for(&mut one, 30), deletion);
    assert!(first.is_leader() && !second.is_leader());
    assert_eq!(store.lock().unwrap().spec("holderIdentity"), "one");
}

#[tokio::test(start_paused = true)]
async fn fields_of_other_clients_are_kept() {
    let store = Shared::default();
    let (mut one, _, _) = candidate(&store, "one");
    run_for(&mut one, 1).await;
    {
        let mut store = store.lock().unwrap();
        let mut lease = store.lease.clone().unwrap();
        lease["metadata"]["annotations"] = json!({"example.com/note": "kept"});
        lease["spec"]["strategy"] = json!("OldestEmulationVersion");
        store.store(lease);
    }
    assert_eq!(run_for(&mut one, 30).await, None);
    let store = store.lock().unwrap();
    assert_eq!(store.spec("strategy"), "OldestEmulationVersion");
    let lease = store.lease.clone().unwrap();
    assert_eq!(lease["metadata"]["annotations"]["example.com/note"], "kept");
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_cannot_be_written_is_reported_after_the_renew_deadline() {
    let (client, requests) = scripted_by_body(|_, request, _| match request.split(' ').next() {
        Some("GET") if !request.contains("watch=true") => failure(404, "not found"),
        _ => failure(403, "leases is forbidden"),
    });
    let (writer, leadership) = Leadership::elected("echo-operator");
    become_candidate(&leadership);
    let (mut one, _, _) = candidate(&Shared::default(), "one");
    let configuration = one.configuration.clone();
    one = Election::new(client, configuration, writer);
    run_for(&mut one, 9).await;
    assert_eq!(leadership.failure(), None);
    run_for(&mut one, 9).await;
    let failure = leadership.failure().unwrap();
    assert!(failure.contains("leases is forbidden"), "{failure}");
    assert!(requests.lock().unwrap().len() < 24);
}
