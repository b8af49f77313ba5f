//! The Deployment controller and the garbage collector of Kubernetes, with the least that the runs need.

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;
use serde_json::{Value, json};

use crate::clock;
use crate::kind::Kind;
use crate::server::{Actor, ApiServer};
use crate::status::Failure;
use crate::store::{Object, Store};
use crate::write::{Call, Written};

const MANAGER: &str = "kube-controller-manager";

/// Rolls out Deployments, one step at a time.
#[derive(Default)]
pub(crate) struct Controllers {
    /// The pod template of the newest pods of each Deployment, by UID.
    rolled_out: BTreeMap<String, Value>,
}

impl Controllers {
    /// Runs the controllers forever. During the first `slowness`, they wait up to three seconds before each step.
    pub(crate) async fn run(mut self, server: ApiServer, seed: u64, slowness: Duration) {
        let mut rng = Rng::with_seed(seed ^ 0xC0_27_80);
        let mut changes = server.changes();
        let started = tokio::time::Instant::now();
        loop {
            let most = if started.elapsed() < slowness {
                3000
            } else {
                30
            };
            tokio::time::sleep(Duration::from_millis(rng.u64(1..most))).await;
            let has_collected = rng.u8(0..3) == 0 && collect(&server);
            let is_idle = !has_collected && !self.roll_out(&server, &mut rng) && !collect(&server);
            if is_idle && changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Writes the next status of one Deployment. Returns whether there was one to write.
    fn roll_out(&mut self, server: &ApiServer, rng: &mut Rng) -> bool {
        let next = {
            let state = server.lock();
            let deployments = state.store.of_kind(Kind::Deployment);
            let mut due = deployments.filter_map(|deployment| {
                let next = self.next(deployment, rng, &clock::text())?;
                Some((deployment.key().2, next))
            });
            due.next()
        };
        let Some((name, status)) = next else {
            return false;
        };
        let call = Call::new(Kind::Deployment, &name, MANAGER).status();
        let _ = server.act(Actor::System, |store| {
            store.merge_patch(&call, &json!({ "status": status }))
        });
        true
    }

    /// Returns the next status of a Deployment, unless it is up to date.
    fn next(&mut self, deployment: &Object, rng: &mut Rng, now: &str) -> Option<Value> {
        let (spec, status) = (&deployment.value["spec"], &deployment.value["status"]);
        let generation = deployment.value["metadata"]["generation"]
            .as_i64()
            .unwrap_or_default();
        let desired = spec["replicas"].as_i64().unwrap_or_default();
        let mut counts = ["replicas", "updatedReplicas", "availableReplicas"]
            .map(|count| status[count].as_i64().unwrap_or_default());
        let template = &spec["template"];
        let is_observed = status["observedGeneration"].as_i64() == Some(generation);
        let is_new = self.rolled_out.get(deployment.uid()) != Some(template);
        if is_new {
            self.rolled_out
                .insert(deployment.uid().to_owned(), template.clone());
            counts[1] = 0;
        } else if is_observed {
            if counts == [desired; 3] {
                return None;
            }
            counts = progress(counts, desired, rng.bool());
        }
        Some(written(generation, counts, counts == [desired; 3], now))
    }
}

/// Takes a step of a rollout, or all of them.
fn progress(counts: [i64; 3], desired: i64, at_once: bool) -> [i64; 3] {
    let [replicas, updated, available] = counts;
    if updated < desired && !at_once {
        let updated = updated + 1;
        return [replicas.max(updated), updated, available.min(desired)];
    }
    [desired; 3]
}

fn written(
    generation: i64,
    [replicas, updated, available]: [i64; 3],
    is_done: bool,
    now: &str,
) -> Value {
    let count = |number: i64| (number > 0).then_some(number);
    let reason = if is_done {
        "NewReplicaSetAvailable"
    } else {
        "ReplicaSetUpdated"
    };
    json!({
        "observedGeneration": generation,
        "replicas": count(replicas),
        "updatedReplicas": count(updated),
        "readyReplicas": count(available),
        "availableReplicas": count(available),
        "conditions": [{
            "type": "Progressing",
            "status": "True",
            "reason": reason,
            "message": "",
            "lastTransitionTime": now,
            "lastUpdateTime": now,
        }],
    })
}

fn collect(server: &ApiServer) -> bool {
    let collected = |store: &mut Store| {
        let change = store
            .collect_garbage()
            .ok_or_else(|| Failure::bad_request("nothing to collect"))?;
        let object = change
            .after
            .clone()
            .or_else(|| change.before.clone())
            .unwrap();
        Ok(Written {
            object,
            change: Some(change),
        })
    };
    server.act(Actor::System, collected).is_ok()
}
