use serde_json::{Value, json};

use super::*;

/// Returns the failure of a pod with this status, and this beside `status` in it.
fn failure_of(status: &Value) -> Option<PodFailure> {
    let init = json!({"name": "proxy", "restartPolicy": "Always"});
    let spec = json!({"containers": [], "initContainers": [init, {"name": "setup"}], "schedulingGates": [{"name": "example.com/gate"}]});
    let metadata =
        json!({"name": "hello-1-a", "uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z"});
    let pod = json!({"metadata": metadata, "spec": spec, "status": status});
    pod_failure(&serde_json::from_value(pod).unwrap())
}

fn container(name: &str, fields: &Value) -> Value {
    let mut status =
        json!({"name": name, "image": "", "imageID": "", "ready": false, "restartCount": 0});
    for (key, value) in fields.as_object().unwrap() {
        status[key] = value.clone();
    }
    status
}

/// Returns the failure of a pod whose echo server has this status.
fn of_echo_server(fields: &Value) -> Option<PodFailure> {
    failure_of(&json!({"containerStatuses": [container("echo-server", fields)]}))
}

fn summary(failure: Option<PodFailure>) -> Option<(PodFailureKind, bool, String)> {
    failure.map(|failure| (failure.kind, failure.is_backed_off, failure.message))
}

fn waiting(reason: &str, message: &str) -> Value {
    json!({"state": {"waiting": {"reason": reason, "message": message}}})
}

#[test]
fn a_ready_container_is_no_failure() {
    let ready = json!({"state": {"running": {}}, "ready": true, "started": true});
    assert_eq!(of_echo_server(&ready), None);
}

#[test]
fn a_missing_image_is_reported_alike_during_and_between_tries_but_for_the_back_off() {
    let during = of_echo_server(&waiting("ErrImagePull", "x: not found"));
    let between = "Back-off pulling image \"x\": ErrImagePull: x: not found";
    let between = of_echo_server(&waiting("ImagePullBackOff", between));
    let message = "x: not found".to_owned();
    assert_eq!(
        summary(during),
        Some((PodFailureKind::ImagePull, false, message.clone()))
    );
    assert_eq!(
        summary(between),
        Some((PodFailureKind::ImagePull, true, message))
    );
}

#[test]
fn an_image_that_may_not_be_pulled_needs_no_second_try() {
    let never = of_echo_server(&waiting("ErrImageNeverPull", "x is not present"));
    assert!(never.unwrap().is_backed_off);
}

#[test]
fn a_crash_is_a_first_failure_once_and_a_back_off_from_the_second_restart_on() {
    let ended =
        json!({"terminated": {"exitCode": 1, "reason": "Error", "message": "a\nno such flag"}});
    let crash = |restarts: i32, state: Value| {
        let fields =
            json!({"state": state, "lastState": ended, "restartCount": restarts, "started": false});
        summary(of_echo_server(&fields))
    };
    let message = "Error, exit code 1: no such flag".to_owned();
    let (kind, running) = (PodFailureKind::CrashLoop, json!({"running": {}}));
    let backing_off = json!({"waiting": {"reason": "CrashLoopBackOff"}});
    assert_eq!(
        crash(1, running.clone()),
        Some((kind, false, message.clone()))
    );
    assert_eq!(crash(2, backing_off), Some((kind, true, message.clone())));
    assert_eq!(crash(3, running), Some((kind, true, message)));
}

#[test]
fn a_container_killed_for_its_memory_is_out_of_memory() {
    let ended = json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}});
    let fields = json!({"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": ended, "restartCount": 3});
    assert_eq!(
        of_echo_server(&fields).unwrap().kind,
        PodFailureKind::OutOfMemory
    );
}

#[test]
fn a_container_that_has_started_since_its_crash_is_not_ready_and_no_crash() {
    let ended = json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}});
    let fields =
        json!({"state": {"running": {}}, "lastState": ended, "restartCount": 3, "started": true});
    assert_eq!(
        of_echo_server(&fields).unwrap().kind,
        PodFailureKind::NotReady
    );
}

#[test]
fn a_container_that_cannot_be_started_is_reported_alike_during_and_between_tries() {
    let message = "exec: \"none\": not found in 3f2504e04f8941d39a0c0305e82c33013f2504e0";
    let during = of_echo_server(&waiting("RunContainerError", message)).unwrap();
    let ended =
        json!({"terminated": {"exitCode": 128, "reason": "StartError", "message": message}});
    let between = json!({"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": ended, "restartCount": 2});
    let between = of_echo_server(&between).unwrap();
    assert_eq!(
        (during.kind, &during.message),
        (between.kind, &between.message)
    );
    assert_eq!(during.message, "exec: \"none\": not found in …");
    assert!(between.is_backed_off && !during.is_backed_off);
}

#[test]
fn a_container_killed_for_its_liveness_probe_is_reported_with_the_probes_message() {
    let ended = json!({"terminated": {"exitCode": 137, "reason": "Error"}});
    let fields = json!({"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": ended, "restartCount": 3});
    let failed = event("Unhealthy", "Liveness probe failed: timeout", 2);
    let killing = event(
        "Killing",
        "Container echo-server failed liveness probe, will be restarted",
        3,
    );
    let crash = of_echo_server(&fields)
        .unwrap()
        .with_events(&[failed, killing]);
    assert_eq!(crash.message, "Liveness probe failed: timeout");
}

#[test]
fn an_earlier_run_that_was_killed_for_its_probe_is_not_the_cause_of_a_later_crash() {
    let fields = |started: &str| {
        let ended = json!({"terminated": {"exitCode": 1, "reason": "Error", "startedAt": started}});
        json!({"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": ended, "restartCount": 3})
    };
    let message = "Container echo-server failed startup probe, will be restarted";
    let killing = [event("Killing", message, 10)];
    let kind = |started: &str| {
        let crash = of_echo_server(&fields(started)).unwrap();
        crash.with_events(&killing).kind
    };
    assert_eq!(kind("1970-01-01T00:00:05Z"), PodFailureKind::StartupProbe);
    assert_eq!(kind("1970-01-01T00:00:15Z"), PodFailureKind::CrashLoop);
}

#[test]
fn a_pod_that_the_kubelet_does_not_admit_is_reported_with_its_reason() {
    let status = json!({"phase": "Failed", "reason": "OutOfcpu", "message": "Node didn't have enough resource: cpu, requested: 1, used: 2"});
    let rejected = failure_of(&status).unwrap();
    assert!(
        rejected.message.starts_with("OutOfcpu: Node didn't"),
        "{rejected:?}"
    );
}

#[test]
fn a_start_after_the_loss_of_the_node_is_no_crash() {
    let lost = json!({"terminated": {"exitCode": 255, "reason": "Unknown"}});
    let fields =
        json!({"state": {"running": {}}, "lastState": lost, "restartCount": 4, "started": false});
    assert_eq!(
        of_echo_server(&fields).unwrap().kind,
        PodFailureKind::NotStarted
    );
}

#[test]
fn containers_that_admission_has_added_are_named_by_their_role() {
    let image = waiting("ImagePullBackOff", "x: not found");
    let initializing = container("echo-server", &waiting("PodInitializing", ""));
    for (name, role) in [
        ("setup", ContainerRole::Init),
        ("proxy", ContainerRole::Sidecar),
    ] {
        let status = json!({"initContainerStatuses": [container(name, &image)], "containerStatuses": [initializing]});
        let failed = failure_of(&status).unwrap().container.unwrap();
        assert_eq!((failed.name.as_str(), failed.role), (name, role));
    }
    let beside = container("agent", &image);
    let ready = container(
        "echo-server",
        &json!({"state": {"running": {}}, "ready": true, "started": true}),
    );
    let failed = failure_of(&json!({"containerStatuses": [ready, beside]}));
    assert_eq!(
        failed.unwrap().container.unwrap().role,
        ContainerRole::Sidecar
    );
}

#[test]
fn an_init_container_that_has_completed_is_no_failure_and_one_that_runs_on_is_not_ready() {
    let waits = container("echo-server", &waiting("PodInitializing", ""));
    let of = |state: Value| {
        let init = container("setup", &json!({ "state": state }));
        summary(failure_of(
            &json!({"initContainerStatuses": [init], "containerStatuses": [waits]}),
        ))
    };
    let completed = json!({"terminated": {"exitCode": 0, "reason": "Completed"}});
    assert_eq!(of(completed), None);
    let not_completed = Some((
        PodFailureKind::NotReady,
        false,
        "it has not completed".to_owned(),
    ));
    assert_eq!(of(json!({"running": {}})), not_completed);
}

#[test]
fn an_echo_server_that_exits_with_0_crashes() {
    let ended = json!({"terminated": {"exitCode": 0, "reason": "Completed"}});
    let fields = json!({"state": ended, "restartCount": 1});
    assert_eq!(
        of_echo_server(&fields).unwrap().kind,
        PodFailureKind::CrashLoop
    );
}

#[test]
fn a_pod_without_a_node_is_reported_with_the_schedulers_message_or_with_its_gates() {
    let scheduled = |reason: &str| {
        let condition = json!({"type": "PodScheduled", "status": "False", "reason": reason, "message": "0/3 nodes are available.",
            "lastTransitionTime": "2026-01-02T00:00:00Z"});
        failure_of(&json!({ "conditions": [condition] })).unwrap()
    };
    let unschedulable = scheduled("Unschedulable");
    assert_eq!(unschedulable.message, "0/3 nodes are available");
    assert_eq!(
        unschedulable.since.unwrap().to_string(),
        "2026-01-02T00:00:00Z"
    );
    let gated = scheduled("SchedulingGated");
    assert_eq!(gated.kind, PodFailureKind::SchedulingGated);
    assert_eq!(gated.message, "scheduling gates are set: example.com/gate");
}

#[test]
fn an_evicted_pod_is_reported_without_the_numbers_that_differ_each_time() {
    let message =
        "The node was low on resource: memory. Threshold quantity: 100Mi, available: 92344Ki. ";
    let evicted =
        failure_of(&json!({"phase": "Failed", "reason": "Evicted", "message": message})).unwrap();
    assert_eq!(
        (evicted.kind, evicted.message.as_str()),
        (
            PodFailureKind::Evicted,
            "Evicted: The node was low on resource: memory"
        )
    );
    assert_eq!(
        failure_of(&json!({"phase": "Failed", "reason": "NodeLost"})),
        None
    );
}

fn event(reason: &str, message: &str, second: i64) -> PodEvent {
    PodEvent {
        reason: reason.to_owned(),
        message: message.to_owned(),
        field_path: String::new(),
        is_warning: reason != "Killing",
        at: Timestamp::from_second(second).ok(),
    }
}

#[test]
fn a_sandbox_that_is_never_created_has_its_cause_in_the_last_warning_without_its_ids() {
    let scheduled = json!({"type": "PodScheduled", "status": "True"});
    let creating = container("echo-server", &waiting("ContainerCreating", ""));
    let status = json!({"conditions": [scheduled], "containerStatuses": [creating]});
    let failure = failure_of(&status).unwrap();
    assert_eq!(
        (failure.kind, failure.message.as_str()),
        (PodFailureKind::NotCreated, "")
    );
    let id = "0f".repeat(32);
    let events = [
        event("FailedMount", "configmap \"x\" not found", 1),
        event(
            "FailedCreatePodSandBox",
            &format!("sandbox \"{id}\" of 10.0.0.7: no runtime."),
            2,
        ),
    ];
    let failure = failure.with_events(&events);
    assert_eq!(failure.message, "sandbox \"…\" of …: no runtime");
}

#[test]
fn a_container_that_the_kubelet_kills_for_its_startup_probe_does_not_crash() {
    let ended = json!({"terminated": {"exitCode": 0, "reason": "Completed"}});
    let fields = json!({"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": ended, "restartCount": 3});
    let crash = of_echo_server(&fields).unwrap();
    let unhealthy = event("Unhealthy", "Startup probe failed: connection refused", 2);
    let crashed = crash.clone().with_events(std::slice::from_ref(&unhealthy));
    assert_eq!(crashed, crash, "a probe may fail before a container exits");
    let killing = event(
        "Killing",
        "Container echo-server failed startup probe, will be restarted",
        3,
    );
    let killed = crash.with_events(&[unhealthy, killing]);
    assert_eq!(
        (killed.kind, killed.message.as_str(), killed.is_backed_off),
        (
            PodFailureKind::StartupProbe,
            "Startup probe failed: connection refused",
            true
        )
    );
}

#[test]
fn an_event_of_another_container_is_not_the_cause() {
    let fields = json!({"state": {"running": {}}, "started": true});
    let mut of_another = event("Unhealthy", "Readiness probe failed: x", 1);
    of_another.field_path = "spec.containers{agent}".to_owned();
    let failure = of_echo_server(&fields).unwrap();
    assert_eq!(failure.clone().with_events(&[of_another]), failure);
}
