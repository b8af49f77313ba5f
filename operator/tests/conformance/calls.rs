//! What the operator relies on of an API server, as calls with the answers that they must get, from a real one as from the simulated one.
//!
//! The answers are in `answers.yaml`. The calls need a namespace of their own and a client that may do everything in it.

mod session;

use kube::Client;
use serde_json::{Value, json};

use self::session::{
    Session,
    Verb::{
        Apply, ApplyForced, Create, Delete, Get, GetMetadata, JsonPatch, List, MergePatch, Update,
    },
};

/// The answers as they must be.
pub(crate) const ANSWERS: &str = include_str!("answers.yaml");

/// Makes all calls, and returns their answers.
pub(crate) async fn answers(client: &Client, namespace: &str) -> Vec<Value> {
    let mut session = Session::new(client, namespace);
    creation(&mut session).await;
    server_side_apply(&mut session).await;
    preconditions(&mut session).await;
    managed_fields(&mut session).await;
    deletion(&mut session).await;
    services(&mut session).await;
    statuses(&mut session).await;
    lists(&mut session).await;
    deployments(&mut session).await;
    session.end()
}

fn policy(labels: &Value) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"labels": labels},
        "spec": {"podSelector": {"matchLabels": {"a": "b"}}, "policyTypes": ["Ingress"]},
    })
}

fn named(name: &str, mut object: Value) -> Value {
    object["metadata"]["name"] = name.into();
    object
}

const POLICIES: &str = "apis/networking.k8s.io/v1 networkpolicies";

async fn creation(session: &mut Session<'_>) {
    let made = named("made", policy(&json!({"one": "1"})));
    let path = &format!("{POLICIES}/made");
    session
        .call("create", "one", Create, POLICIES, made.clone())
        .await;
    session
        .call("create what exists", "one", Create, POLICIES, made)
        .await;
    session.call("get", "one", Get, path, Value::Null).await;
    session
        .call("get metadata", "one", GetMetadata, path, Value::Null)
        .await;
    let absent = &format!("{POLICIES}/absent");
    session
        .call("get what does not exist", "one", Get, absent, Value::Null)
        .await;
}

async fn server_side_apply(session: &mut Session<'_>) {
    let path = &format!("{POLICIES}/applied");
    let one = policy(&json!({"one": "1", "shared": "x"}));
    session
        .call("apply what does not exist", "one", Apply, path, one.clone())
        .await;
    session
        .call("apply the same again", "one", Apply, path, one.clone())
        .await;
    let more = policy(&json!({"one": "1", "shared": "x", "more": "yes"}));
    session
        .call("apply with a label more", "one", Apply, path, more)
        .await;
    session
        .call("apply with a label less", "one", Apply, path, one)
        .await;
    let mut wider = policy(&json!({"one": "1", "shared": "x"}));
    wider["spec"]["podSelector"] = json!({"matchLabels": {"c": "d"}});
    session
        .call("apply another spec", "one", Apply, path, wider)
        .await;
    let two = json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy"});
    let with = |labels: Value| {
        let mut object = two.clone();
        object["metadata"] = json!({ "labels": labels });
        object
    };
    session
        .call(
            "apply a label of another manager",
            "two",
            Apply,
            path,
            with(json!({"shared": "x"})),
        )
        .await;
    let without = policy(&json!({"one": "1"}));
    session
        .call("apply without a shared label", "one", Apply, path, without)
        .await;
    let other = with(json!({"shared": "x", "one": "2"}));
    session
        .call(
            "apply another value of another manager's label",
            "two",
            Apply,
            path,
            other.clone(),
        )
        .await;
    session
        .call("apply it by force", "two", ApplyForced, path, other)
        .await;
    session
        .call("apply nothing", "two", Apply, path, two.clone())
        .await;
    let merged = json!({"metadata": {"labels": {"three": "3"}, "annotations": {"note": "a"}}});
    session
        .call("merge patch", "three", MergePatch, path, merged.clone())
        .await;
    session
        .call("merge patch again", "three", MergePatch, path, merged)
        .await;
    let removed = json!({"metadata": {"labels": {"three": null}}});
    session
        .call(
            "merge patch that removes a label",
            "three",
            MergePatch,
            path,
            removed,
        )
        .await;
    let back = policy(&json!({"one": "1"}));
    session
        .call("apply after all that", "one", Apply, path, back)
        .await;
}

async fn preconditions(session: &mut Session<'_>) {
    let path = &format!("{POLICIES}/applied");
    let at = |field: &str, value: &str| {
        let mut object = policy(&json!({"one": "1", "at": field}));
        object["metadata"][field] = value.into();
        object
    };
    session
        .call(
            "apply at an old version",
            "one",
            Apply,
            path,
            at("resourceVersion", "$OLD"),
        )
        .await;
    session
        .call(
            "apply at the current version",
            "one",
            Apply,
            path,
            at("resourceVersion", "$CURRENT"),
        )
        .await;
    session
        .call(
            "apply to another UID",
            "one",
            Apply,
            path,
            at("uid", "another"),
        )
        .await;
    session
        .call("apply to the UID", "one", Apply, path, at("uid", "$UID"))
        .await;
    let absent = &format!("{POLICIES}/at-version");
    session
        .call(
            "apply at a version what does not exist",
            "one",
            Apply,
            absent,
            at("resourceVersion", "12"),
        )
        .await;
    let absent = &format!("{POLICIES}/of-uid");
    session
        .call(
            "apply to a UID what does not exist",
            "one",
            Apply,
            absent,
            at("uid", "another"),
        )
        .await;
    let mut put = named("applied", at("resourceVersion", "$OLD"));
    session
        .call(
            "update at an old version",
            "three",
            Update,
            path,
            put.clone(),
        )
        .await;
    put["metadata"]["resourceVersion"] = "$CURRENT".into();
    session
        .call(
            "update at the current version",
            "three",
            Update,
            path,
            put.clone(),
        )
        .await;
    put["metadata"]["name"] = "absent".into();
    let absent = &format!("{POLICIES}/absent");
    session
        .call("update what does not exist", "three", Update, absent, put)
        .await;
    let stale = json!({"metadata": {"resourceVersion": "$OLD", "labels": {"a": "b"}}});
    session
        .call(
            "merge patch at an old version",
            "three",
            MergePatch,
            path,
            stale,
        )
        .await;
}

async fn managed_fields(session: &mut Session<'_>) {
    let path = &format!("{POLICIES}/converted");
    let made = named("converted", policy(&json!({"one": "1", "gone": "soon"})));
    session
        .call("create to convert", "one", Create, POLICIES, made)
        .await;
    let operation = "/metadata/managedFields/0/operation";
    let convert = json!([
        {"op": "test", "path": "/metadata/managedFields/0/manager", "value": "one"},
        {"op": "test", "path": operation, "value": "Update"},
        {"op": "replace", "path": operation, "value": "Apply"},
        {"op": "add", "path": "/metadata/resourceVersion", "value": "$CURRENT"},
    ]);
    session
        .call(
            "make an update an apply",
            "one",
            JsonPatch,
            path,
            convert.clone(),
        )
        .await;
    session
        .call("make it again, in vain", "one", JsonPatch, path, convert)
        .await;
    let less = policy(&json!({"one": "1"}));
    session
        .call(
            "apply with a label less than was created",
            "one",
            Apply,
            path,
            less.clone(),
        )
        .await;
    let stale = json!([{"op": "add", "path": "/metadata/resourceVersion", "value": "$OLD"}]);
    session
        .call(
            "JSON patch at an old version",
            "one",
            JsonPatch,
            path,
            stale,
        )
        .await;
    let twice = json!({"metadata": {"labels": {"one": "2"}}});
    session
        .call(
            "update a field of one's own apply",
            "one",
            MergePatch,
            path,
            twice,
        )
        .await;
    session
        .call(
            "apply against one's own update",
            "one",
            Apply,
            path,
            less.clone(),
        )
        .await;
    session
        .call("apply against it by force", "one", ApplyForced, path, less)
        .await;
    let reset = json!({"metadata": {"managedFields": [{}]}});
    session
        .call("forget all managers", "one", MergePatch, path, reset)
        .await;
    let owned = json!({"metadata": {"managedFields": [], "labels": {"one": null}}});
    session
        .call("send no managers", "one", MergePatch, path, owned)
        .await;
    let mut named = policy(&json!({}));
    named["metadata"]["managedFields"] = json!([{"manager": "one"}]);
    session
        .call("apply managed fields", "one", Apply, path, named)
        .await;
}

async fn deletion(session: &mut Session<'_>) {
    let path = &format!("{POLICIES}/converted");
    let with = |field: &str, value: &str| json!({"preconditions": {field: value}});
    session
        .call(
            "delete another UID",
            "",
            Delete,
            path,
            with("uid", "another"),
        )
        .await;
    session
        .call(
            "delete an old version",
            "",
            Delete,
            path,
            with("resourceVersion", "$OLD"),
        )
        .await;
    session
        .call(
            "delete the current version",
            "",
            Delete,
            path,
            with("resourceVersion", "$CURRENT"),
        )
        .await;
    session
        .call("delete what does not exist", "", Delete, path, Value::Null)
        .await;
    let path = &format!("{POLICIES}/made");
    let hold = json!({"metadata": {"finalizers": ["example.com/hold"]}});
    session
        .call("add a finalizer", "one", MergePatch, path, hold)
        .await;
    let background = json!({"propagationPolicy": "Background"});
    session
        .call(
            "delete what has a finalizer",
            "",
            Delete,
            path,
            background.clone(),
        )
        .await;
    session
        .call("delete it again", "", Delete, path, background)
        .await;
    let apply = policy(&json!({"two": "2"}));
    session
        .call("apply to what is being deleted", "two", Apply, path, apply)
        .await;
    let release = json!({"metadata": {"finalizers": null}});
    session
        .call("remove the finalizer", "one", MergePatch, path, release)
        .await;
    session
        .call("get what was held", "", Get, path, Value::Null)
        .await;
}

const SERVICES: &str = "api/v1 services";

fn service(ports: &Value, spec: &Value) -> Value {
    let mut spec = spec.clone();
    spec["ports"] = ports.clone();
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"labels": {"app": "conformance"}}, "spec": spec})
}

async fn services(session: &mut Session<'_>) {
    let path = &format!("{SERVICES}/service");
    let echo = json!({"name": "echo", "port": 7, "protocol": "TCP", "targetPort": "echo"});
    let web = json!({"name": "web", "port": 80, "protocol": "TCP"});
    let selector = json!({"selector": {"a": "b"}});
    session
        .call(
            "apply a Service",
            "one",
            Apply,
            path,
            service(&json!([echo]), &selector),
        )
        .await;
    let theirs = json!({"apiVersion": "v1", "kind": "Service", "spec": {"ports": [web]}});
    session
        .call(
            "apply a port of another manager",
            "two",
            Apply,
            path,
            theirs,
        )
        .await;
    let both = service(
        &json!([echo, {"name": "more", "port": 9, "protocol": "UDP"}]),
        &selector,
    );
    session
        .call("apply a port more", "one", Apply, path, both)
        .await;
    session
        .call(
            "apply a port less",
            "one",
            Apply,
            path,
            service(&json!([echo]), &selector),
        )
        .await;
    let other = json!({"selector": {"c": "d"}});
    session
        .call(
            "apply another selector",
            "one",
            Apply,
            path,
            service(&json!([echo]), &other),
        )
        .await;
    let node_port = json!({"selector": {"c": "d"}, "type": "NodePort"});
    session
        .call(
            "apply type NodePort",
            "one",
            Apply,
            path,
            service(&json!([echo]), &node_port),
        )
        .await;
    let cluster_ip = json!({"selector": {"c": "d"}, "type": "ClusterIP"});
    session
        .call(
            "apply type ClusterIP",
            "one",
            Apply,
            path,
            service(&json!([echo]), &cluster_ip),
        )
        .await;
    let headless = json!({"selector": {"c": "d"}, "clusterIP": "None"});
    session
        .call(
            "apply another address",
            "one",
            Apply,
            path,
            service(&json!([echo]), &headless),
        )
        .await;
    let path = &format!("{SERVICES}/headless");
    session
        .call(
            "apply a headless Service",
            "one",
            Apply,
            path,
            service(&json!([echo]), &headless),
        )
        .await;
    let made = named(
        "created",
        service(&json!([{"name": "echo", "port": 7}]), &selector),
    );
    session
        .call("create a Service", "one", Create, SERVICES, made)
        .await;
}

async fn statuses(session: &mut Session<'_>) {
    let path = &format!("{SERVICES}/service/status");
    let condition = |type_: &str, status: &str| {
        json!({"type": type_, "status": status, "reason": "Test", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z"})
    };
    let status = |conditions: Value| {
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"labels": {"from": "status"}},
            "spec": {"externalName": "ignored"},
            "status": {"conditions": conditions},
        })
    };
    let one = status(json!([condition("One", "True")]));
    session
        .call("apply a status", "one", Apply, path, one.clone())
        .await;
    session
        .call("apply the same status", "one", Apply, path, one)
        .await;
    let two = status(json!([condition("Two", "True")]));
    session
        .call(
            "apply a condition of another manager",
            "two",
            Apply,
            path,
            two,
        )
        .await;
    let taken = status(json!([condition("One", "False")]));
    session
        .call(
            "apply another value of a condition",
            "two",
            Apply,
            path,
            taken,
        )
        .await;
    let absent = &format!("{SERVICES}/absent/status");
    let nothing = status(json!([condition("One", "True")]));
    session
        .call(
            "apply a status of what does not exist",
            "one",
            Apply,
            absent,
            nothing,
        )
        .await;
}

async fn lists(session: &mut Session<'_>) {
    let page = |more: &str| format!("{SERVICES}?limit=2&labelSelector=app%3Dconformance{more}");
    session
        .call("list a page", "", List, &page(""), Value::Null)
        .await;
    session
        .call(
            "list the next page",
            "",
            List,
            &page("&continue=$NEXT"),
            Value::Null,
        )
        .await;
    let all = format!("{SERVICES}?labelSelector=app%3Dconformance");
    session.call("list all", "", List, &all, Value::Null).await;
    let none = format!("{SERVICES}?labelSelector=app%3Dnone");
    session
        .call("list none", "", List, &none, Value::Null)
        .await;
}

const DEPLOYMENTS: &str = "apis/apps/v1 deployments";

/// Makes a Deployment without pods.
fn deployment(containers: &Value) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"a": "b"}},
            "template": {
                "metadata": {"labels": {"a": "b"}},
                "spec": {"containers": containers},
            },
        },
    })
}

async fn deployments(session: &mut Session<'_>) {
    let path = &format!("{DEPLOYMENTS}/deployment");
    let probe = json!({"httpGet": {"path": "/", "port": 80}});
    let port = |number: u16| json!({"containerPort": number});
    let container = json!({"name": "echo", "image": "echo:1", "args": ["a", "b"], "ports": [port(1), port(2)],
        "env": [{"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        "livenessProbe": probe});
    let wanted = deployment(&json!([container]));
    session
        .call("apply a Deployment", "one", Apply, path, wanted.clone())
        .await;
    session
        .call(
            "apply the same Deployment",
            "one",
            Apply,
            path,
            wanted.clone(),
        )
        .await;
    let renamed = json!([{"op": "replace", "path": "/spec/template/spec/containers/0/name", "value": "other"}]);
    session
        .call("rename a container", "two", JsonPatch, path, renamed)
        .await;
    session
        .call(
            "apply after a container was renamed",
            "one",
            Apply,
            path,
            wanted.clone(),
        )
        .await;
    let mut moved = wanted.clone();
    moved["spec"]["selector"]["matchLabels"]["c"] = "d".into();
    moved["spec"]["template"]["metadata"]["labels"]["c"] = "d".into();
    session
        .call(
            "apply another selector of a Deployment",
            "one",
            Apply,
            path,
            moved,
        )
        .await;
    session
        .call(
            "apply no containers",
            "one",
            ApplyForced,
            path,
            deployment(&json!([])),
        )
        .await;
    let made = named("created", wanted);
    session
        .call("create a Deployment", "one", Create, DEPLOYMENTS, made)
        .await;
}
