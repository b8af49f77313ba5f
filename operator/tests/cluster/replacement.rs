//! Changes that server-side apply alone cannot revert: swapped list elements and swapped alternatives.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use serde_json::{Value, json};

use crate::echo_clusters::uids;
use crate::namespace::Namespace;
use crate::other_client::{Objects, json as to_json, objects};
use crate::wait;

/// A change by another client.
type Swap = (&'static str, fn(&mut Value));

const DEPLOYMENT_SWAPS: [Swap; 5] = [
    ("a second container", |object| {
        let containers = &mut object["spec"]["template"]["spec"]["containers"];
        containers
            .as_array_mut()
            .unwrap()
            .push(json!({"name": "second", "image": "second"}));
    }),
    ("a probe of another kind", |object| {
        let container = &mut object["spec"]["template"]["spec"]["containers"][0];
        container["livenessProbe"] = json!({"tcpSocket": {"port": 1}});
    }),
    ("the strategy Recreate", |object| {
        object["spec"]["strategy"] = json!({"type": "Recreate"});
    }),
    ("two ports with each other's names", |object| {
        let ports = &mut object["spec"]["template"]["spec"]["containers"][0]["ports"];
        ports[0]["name"] = json!("admin");
        ports[1]["name"] = json!("echo");
    }),
    ("everything at once", |object| {
        let container = json!([{"name": "other", "image": "other"}]);
        object["spec"]["template"]["spec"]["containers"] = container;
        object["spec"]["replicas"] = json!(0);
        object["metadata"]["ownerReferences"] = json!([]);
    }),
];

const SERVICE_SWAPS: [Swap; 4] = [
    ("a second port", |object| {
        let ports = object["spec"]["ports"].as_array_mut().unwrap();
        ports.push(json!({"name": "second", "port": 2, "protocol": "TCP"}));
    }),
    ("the port's name at another port", |object| {
        object["spec"]["ports"] = json!([{"name": "echo", "port": 7, "protocol": "TCP"}]);
    }),
    ("no selector", |object| {
        drop(object["spec"].as_object_mut().unwrap().remove("selector"));
    }),
    ("a name elsewhere", |object| {
        object["spec"] = json!({"type": "ExternalName", "externalName": "example.com"});
    }),
];

#[tokio::test]
async fn what_apply_cannot_restore_is_replaced() {
    let namespace = Namespace::shared("replacement").await;
    namespace.apply_ready("hello", json!({"replicas": 0})).await;
    let (deployments, services) = (
        objects::<Deployment>(&namespace),
        objects::<Service>(&namespace),
    );
    tokio::join!(
        disturb(&deployments, "hello", &DEPLOYMENT_SWAPS),
        disturb(&services, "hello", &SERVICE_SWAPS),
        disturb(&services, "hello-pods", &SERVICE_SWAPS),
    );
}

#[tokio::test]
async fn a_disruption_budget_with_the_other_bound_is_replaced() {
    let namespace = Namespace::shared("other-bound").await;
    namespace.apply("hello", json!({"replicas": 2})).await;
    let budgets = objects::<PodDisruptionBudget>(&namespace);
    wait::until(&budgets.api, "hello", "created", |_| true).await;
    let other_bound: Swap = ("minAvailable, which maxUnavailable excludes", |object| {
        let spec = object["spec"].as_object_mut().unwrap();
        drop(spec.remove("maxUnavailable"));
        drop(spec.insert("minAvailable".to_owned(), json!(1)));
    });
    disturb(&budgets, "hello", &[other_bound]).await;
}

/// Makes each change and waits until the object's spec and its owner are restored.
async fn disturb(objects: &Objects, name: &str, swaps: &[Swap]) {
    let original = objects.get(name).await;
    for (what, swap) in swaps {
        println!("{} {name}: {what}", objects.kind);
        let swapped = objects.edit(name, swap).await.unwrap();
        assert_ne!(
            settled(&swapped),
            settled(&original),
            "{what}: the API server did not take it"
        );
        let is_restored = |object: &_| settled(&to_json(object)) == settled(&original);
        wait::until(
            &objects.api,
            name,
            &format!("as before {what}"),
            is_restored,
        )
        .await;
    }
    assert_eq!(
        objects.get(name).await["metadata"]["uid"],
        original["metadata"]["uid"],
        "it was made anew"
    );
}

/// Returns what must be restored: the spec and the owner.
fn settled(object: &Value) -> Value {
    let mut spec = object["spec"].clone();
    spec.as_object_mut().unwrap().remove("externalName"); // not the operator's, so it may stay
    // The API server may allocate another address to a Service that had none for a moment.
    for address in ["clusterIP", "clusterIPs"] {
        if spec[address] != "None" && spec[address] != json!(["None"]) {
            spec[address] = Value::Null;
        }
    }
    json!([spec, object["metadata"]["ownerReferences"]])
}

#[tokio::test]
async fn a_replacement_keeps_fields_of_other_managers_and_restarts_no_pod() {
    let namespace = Namespace::shared("unowned-fields").await;
    namespace.apply_ready("hello", json!({"replicas": 1})).await;
    let restart = ["rollout", "restart", "deployment/hello"];
    namespace.kubectl(&restart, "").await.unwrap();
    let status = ["rollout", "status", "deployment/hello", "--timeout=60s"];
    namespace.kubectl(&status, "").await.unwrap();
    let before = uids(&namespace.ready_pods("hello", 1).await);
    let services = objects::<Service>(&namespace);
    let add_to_service = |service: &mut Value| {
        service["metadata"]["annotations"]["example.com/note"] = json!("mine");
        service["spec"]["publishNotReadyAddresses"] = json!(true);
        let ports = service["spec"]["ports"].as_array_mut().unwrap();
        ports.push(json!({"name": "extra", "port": 9999}));
    };
    services.edit("hello", add_to_service).await.unwrap();
    let is_restored = |service: &_| {
        let service = to_json(service);
        let ports = service["spec"]["ports"].as_array();
        ports.is_some_and(|ports| ports.len() == 1)
    };
    let service = wait::until(&services.api, "hello", "one port", is_restored).await;
    let service = to_json(&service);
    assert_eq!(
        service["metadata"]["annotations"]["example.com/note"],
        "mine"
    );
    assert_eq!(service["spec"]["publishNotReadyAddresses"], Value::Null);
    let deployments = objects::<Deployment>(&namespace);
    let add_port = |deployment: &mut Value| {
        let container = &mut deployment["spec"]["template"]["spec"]["containers"][0];
        let ports = container["ports"].as_array_mut().unwrap();
        ports.push(json!({"name": "dbg", "containerPort": 5005}));
    };
    deployments.edit("hello", add_port).await.unwrap();
    let is_restored = |deployment: &_| {
        let container = &to_json(deployment)["spec"]["template"]["spec"]["containers"][0];
        container["ports"]
            .as_array()
            .is_some_and(|ports| ports.len() == 2)
    };
    let deployment = wait::until(&deployments.api, "hello", "two ports", is_restored).await;
    let template = &to_json(&deployment)["spec"]["template"];
    let restarted_at = &template["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"];
    assert!(restarted_at.is_string(), "{template}");
    // The template is that of the old pods again, so the pods that the edit has started are deleted.
    namespace.ready("hello").await;
    assert_eq!(uids(&namespace.ready_pods("hello", 1).await), before);
}

#[tokio::test]
async fn a_field_that_cannot_change_gets_its_new_value_after_steps_that_the_operator_has_not_written()
 {
    let namespace = Namespace::shared("immutable").await;
    let spec =
        |paused: bool, service: Value| json!({"replicas": 0, "paused": paused, "service": service});
    let balanced = |class: &str| json!({"type": "LoadBalancer", "loadBalancerClass": class});
    let has_class = |class: &'static str| {
        move |service: &Service| {
            let spec = service.spec.as_ref();
            spec.and_then(|spec| spec.load_balancer_class.as_deref()) == Some(class)
        }
    };
    let services = namespace.api::<Service>();
    namespace
        .apply("hello", spec(false, balanced("example.com/a")))
        .await;
    wait::until(&services, "hello", "of class a", has_class("example.com/a")).await;
    for service in [
        balanced("example.com/a"),
        json!({}),
        balanced("example.com/b"),
    ] {
        namespace.apply("hello", spec(true, service)).await;
    }
    namespace
        .apply("hello", spec(false, balanced("example.com/b")))
        .await;
    wait::until(&services, "hello", "of class b", has_class("example.com/b")).await;
}
