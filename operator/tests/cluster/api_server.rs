//! A real API server returns the responses on which the operator and the simulated API server depend.

use crate::conformance::{differences, responses};
use crate::namespace::Namespace;

#[tokio::test]
async fn the_api_server_answers_as_the_simulated_one() {
    let namespace = Namespace::shared("conformance").await;
    let responses = responses(&namespace.client, &namespace.name).await;
    let differences = differences(&responses);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
