//! The behaviour of an API server on which the operator depends, as requests with expected responses, for a real server and the simulated
//! one.
//!
//! `requests.yaml` has the requests and `responses.yaml` the responses. The requests need the CRD, an empty namespace, and a client that
//! may do everything in it. What the controllers of a real cluster write meanwhile is left out of the responses.

mod session;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kube::Client;
use serde_json::Value;

use self::session::{Request, Session};

/// Sends all requests, and returns their responses.
pub(crate) async fn responses(client: &Client, namespace: &str) -> Vec<Value> {
    let requests: Vec<Request> = serde_yaml::from_str(include_str!("requests.yaml")).unwrap();
    let mut session = Session::new(client, namespace);
    for (index, request) in requests.iter().enumerate() {
        let next = requests.get(index + 1);
        if next.is_some_and(|next| next.repeats(request)) {
            first_half_of_a_second().await;
        }
        session.send(request).await;
    }
    session.into_responses()
}

/// Waits for the next second if this one is half over, so that two requests have the same time. The entries of `managedFields` are in the
/// order of their times, in seconds: an apply in a later second is written, although it changes nothing, if its entry moves behind another.
async fn first_half_of_a_second() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let milliseconds = now.unwrap_or_default().subsec_millis();
    if milliseconds > 500 {
        tokio::time::sleep(Duration::from_millis(u64::from(1_010 - milliseconds))).await;
    }
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
