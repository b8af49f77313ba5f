//! What the operator relies on of an API server, as calls with the answers that they must get, from a real one as from the simulated one.
//!
//! `calls.yaml` has the calls and `answers.yaml` the answers. The calls need the CRD, an empty namespace of their own, and a client that
//! may do everything in it. The controllers of a real cluster may work in it meanwhile; what they write is left out of the answers.

mod session;

use kube::Client;
use serde_json::Value;

use self::session::{Call, Session};

/// Makes all calls, and returns their answers.
pub(crate) async fn answers(client: &Client, namespace: &str) -> Vec<Value> {
    let calls: Vec<Call> = serde_yaml::from_str(include_str!("calls.yaml")).unwrap();
    let mut session = Session::new(client, namespace);
    for call in &calls {
        session.call(call).await;
    }
    session.end()
}

/// Returns how answers differ from those that they must be.
pub(crate) fn differences(answers: &[Value]) -> Vec<String> {
    let expected: Vec<Value> = serde_yaml::from_str(include_str!("answers.yaml")).unwrap();
    let pairs = answers.iter().zip(&expected);
    let different = pairs.filter(|(answer, expected)| answer != expected);
    let mut differences: Vec<String> = different
        .map(|(answer, expected)| format!("is        {answer}\nshould be {expected}\n"))
        .collect();
    if answers.len() != expected.len() {
        differences.push(format!("{} answers, not {}", answers.len(), expected.len()));
    }
    differences
}
