//! Each protocol is answered through the Service, and faults are injected only where the spec enables them.

use serde_json::json;

use crate::echo_clusters::{condition, status_and_reason};
use crate::namespace::Namespace;
use crate::wait;

#[tokio::test]
async fn each_protocol_is_answered_through_the_service() {
    let namespace = Namespace::shared("protocols").await;
    let listeners = json!([
        {"name": "line", "port": 2001, "protocol": "Line", "servicePort": 1},
        {"name": "raw", "port": 2002, "protocol": "Raw", "servicePort": 7},
        {"name": "udp", "port": 2002, "protocol": "Udp", "servicePort": 7}, // the same numbers, as for the echo of RFC 862
        {"name": "acknowledge", "port": 2003, "protocol": "Acknowledge"},
        {"name": "http", "port": 8080, "protocol": "Http", "servicePort": 80},
    ]);
    let spec = json!({"replicas": 2, "listeners": listeners});
    let (_, caller) = &tokio::join!(
        namespace.apply_ready("hello", spec),
        namespace.client("caller"),
    );
    for (protocol, of_service, of_pods) in [
        ("line", 1, 2001),
        ("raw", 7, 2002),
        ("udp", 7, 2002),
        ("acknowledge", 2003, 2003),
        ("http", 80, 8080),
    ] {
        for address in [
            format!("hello:{of_service}"),
            format!("hello-pods:{of_pods}"),
        ] {
            let protocol = format!("--protocol={protocol}");
            let probe = [
                "probe",
                &protocol,
                "--all-addresses",
                "--timeout-seconds=2",
                &address,
            ];
            let call = async || namespace.echo_client(caller, &probe).await;
            let what = format!("an answer from {address} to {protocol}");
            let output = wait::until_ok(&what, call).await;
            let answers = output.lines().filter(|line| line.contains(": connect "));
            let addresses = answers.count();
            assert!(
                addresses
                    >= if address.starts_with("hello-pods") {
                        2
                    } else {
                        1
                    },
                "{what}: {output}"
            );
        }
    }
}

#[tokio::test]
async fn faults_are_reported_by_ready_and_follow_the_field() {
    let namespace = Namespace::shared("faults").await;
    let spec = json!({"replicas": 1, "faults": {"closePercent": 100}});
    let (_, caller) = &tokio::join!(
        namespace.apply_ready("hello", spec),
        namespace.client("caller"),
    );
    let cluster = namespace.ready("hello").await;
    let message = condition(&cluster, "Ready").unwrap().message.clone();
    assert!(
        message.contains("Fault injection is enabled: closePercent 100."),
        "{message}"
    );
    assert_eq!(status_and_reason(&cluster, "Stalled"), "False/AsExpected");
    let is_closed = async || match namespace.echo(caller, "hello:12345", "good day").await {
        Err(said) if said.contains("closed the connection before it had answered") => Ok(()),
        other => Err(format!("{other:?}")),
    };
    wait::until_ok("a connection that is closed without an answer", is_closed).await;

    let cluster = namespace.apply_ready("hello", json!({"replicas": 1})).await;
    let message = condition(&cluster, "Ready").unwrap().message.clone();
    assert_eq!(message, "1 of 1 replicas are available.");
    let call = async || namespace.echo(caller, "hello:12345", "good day").await;
    wait::until_ok("an echo without faults", call).await;
}
