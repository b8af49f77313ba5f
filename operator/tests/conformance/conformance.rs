//! The behaviour of an API server on which the operator depends, as requests with expected responses, for a real server and the simulated one.
//!
//! `requests.yaml` has the requests and `responses.yaml` the responses. The requests need the CRD, an empty namespace, and a client that may
//! do everything in it. What the controllers of a real cluster write meanwhile is left out of the responses.

mod session;

use kube::Client;
use serde_json::Value;

use self::session::{Request, Session};

/// Sends all requests, and returns their responses.
pub(crate) async fn responses(client: &Client, namespace: &str) -> Vec<Value> {
    let requests: Vec<Request> = serde_yaml::from_str(include_str!("requests.yaml")).unwrap();
    let mut session = Session::new(client, namespace);
    for request in &requests {
        session.send(request).await;
    }
    session.into_responses()
}

/// Returns the differences between the responses and the expected ones.
pub(crate) fn differences(responses: &[Value]) -> Vec<String> {
    let expected: Vec<Value> = serde_yaml::from_str(include_str!("responses.yaml")).unwrap();
    let pairs = responses.iter().zip(&expected);
    let different = pairs.filter(|(response, expected)| response != expected);
    let mut differences: Vec<String> = different
        .map(|(response, expected)| format!("is        {response}\nshould be {expected}\n"))
        .collect();
    if responses.len() != expected.len() {
        differences.push(format!(
            "{} responses, not {}",
            responses.len(),
            expected.len()
        ));
    }
    differences
}
