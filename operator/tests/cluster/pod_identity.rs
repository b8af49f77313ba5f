//! A prefix names the pod and the node that answer, and nothing else of it is replaced.

use kube::ResourceExt;
use serde_json::json;

use crate::echo_clusters::node_of;
use crate::namespace::Namespace;
use crate::wait;

#[tokio::test]
async fn a_prefix_names_the_pod_and_the_node_and_other_dollars_stay() {
    let namespace = Namespace::shared("pod-identity").await;
    let named = json!({"replicas": 2, "line": {"prefix": "$(POD_NAME) on $(NODE_NAME): "}});
    // The kubelet has a value for the second variable, but must not expand it.
    let text = "$(HOME) $(KUBERNETES_SERVICE_HOST) $5 $$ $$(POD_NAME): ";
    let literal = json!({"replicas": 1, "line": {"prefix": text}});
    tokio::join!(
        namespace.apply_ready("named", named),
        namespace.apply_ready("literal", literal),
    );
    let caller = &namespace.ready_pods("literal", 1).await[0];
    let pods = namespace.ready_pods("named", 2).await;
    let probe = [
        "probe",
        "--any-prefix",
        "--all-addresses",
        "--timeout-seconds=2",
        "named-pods:12345",
    ];
    let each_answers = async || {
        let output = namespace.echo_client(caller, &probe).await?;
        let names_both = pods.iter().all(|pod| {
            let expected = format!(
                "1 of 2 answers from \"{} on {}: \"",
                pod.name_any(),
                node_of(pod)
            );
            output.lines().any(|line| line.starts_with(&expected))
        });
        names_both.then_some(()).ok_or(output)
    };
    wait::until_ok("an answer that names each pod and its node", each_answers).await;

    let literal = async || match namespace.echo(caller, "literal:12345", "good day").await? {
        output
            if output.contains("$(HOME) $(KUBERNETES_SERVICE_HOST) $5 $ $(POD_NAME): good day") =>
        {
            Ok(())
        }
        output => Err(output),
    };
    wait::until_ok("an answer with a prefix as it was written", literal).await;
}
