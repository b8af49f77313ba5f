//! The list of listeners: omitted fields, and the order.

use k8s_openapi::api::core::v1::Service;
use kube::Resource;
use operator::api::v1alpha1::EchoCluster;
use serde_json::{Value, json};

use crate::echo_clusters::uids;
use crate::namespace::Namespace;
use crate::wait;

#[tokio::test]
async fn a_list_that_is_applied_twice_is_unchanged_whatever_it_leaves_out() {
    let namespace = Namespace::shared("applied-twice").await;
    let shapes = [
        r#"[{"name": "echo", "port": 7007}]"#,
        r#"[{"name": "echo", "protocol": "Line", "port": 7007, "servicePort": 7007, "proxy": "Disabled"}]"#,
        r#"[{"proxy": "Disabled", "servicePort": 7007, "port": 7007, "protocol": "Line", "name": "echo"}]"#,
        r#"[{"port": 7007, "name": "udp", "protocol": "Udp"}, {"name": "tcp", "port": 7007}]"#,
    ];
    for listeners in shapes {
        let (api_version, kind) = (EchoCluster::api_version(&()), EchoCluster::kind(&()));
        // Written by hand, so that the order of the keys stays.
        let manifest = format!(
            r#"{{"apiVersion": "{api_version}", "kind": "{kind}", "metadata": {{"name": "hello"}},
            "spec": {{"replicas": 0, "listeners": {listeners}}}}}"#
        );
        let apply = ["apply", "--filename=-"];
        namespace.kubectl(&apply, &manifest).await.unwrap();
        let again = namespace.kubectl(&apply, &manifest).await.unwrap();
        assert!(
            again.trim_end().ends_with(" unchanged"),
            "{listeners}: {again}"
        );
        // The three-way merge of the last applied, the new and the live configuration.
        let difference = namespace.kubectl(&["diff", "--filename=-"], &manifest);
        assert_eq!(difference.await, Ok(String::new()), "{listeners}");
    }
}

#[tokio::test]
async fn another_order_of_listeners_moves_the_address_and_restarts_no_pod() {
    let namespace = Namespace::shared("order").await;
    let tcp = json!({"name": "tcp", "port": 7007, "servicePort": 7});
    let web = json!({"name": "web", "port": 8080, "servicePort": 80, "protocol": "Http"});
    let datagrams = json!({"name": "datagrams", "port": 7007, "servicePort": 7, "protocol": "Udp"});
    let spec = |listeners: &[&Value]| json!({"replicas": 2, "listeners": listeners});
    namespace
        .apply_ready("hello", spec(&[&web, &tcp, &datagrams]))
        .await;
    let before = uids(&namespace.ready_pods("hello", 2).await);
    for (order, address) in [
        ([&tcp, &web, &datagrams], 7),
        ([&datagrams, &tcp, &web], 7),
        ([&web, &datagrams, &tcp], 80),
    ] {
        let names: Vec<&Value> = order.iter().map(|listener| &listener["name"]).collect();
        let is_in_order = |service: &Service| {
            let ports = service.spec.clone().unwrap_or_default().ports;
            let found: Vec<Value> = ports
                .iter()
                .flatten()
                .map(|port| json!(port.name))
                .collect();
            json!(found) == json!(names)
        };
        namespace.apply("hello", spec(&order)).await;
        wait::until(&namespace.api(), "hello", "in order", is_in_order).await;
        let cluster = namespace.ready("hello").await;
        let expected = format!("hello.{}.svc:{address}", namespace.name);
        assert_eq!(cluster.status.unwrap().address, Some(expected), "{names:?}");
        let after = uids(&namespace.ready_pods("hello", 2).await);
        assert_eq!(after, before, "{names:?} has restarted pods");
    }
}
