//! The API server answers as the operator and the simulation of `tests/simulation` rely on.

use crate::conformance::{answers, differences};
use crate::namespace::Namespace;

#[tokio::test]
async fn the_api_server_answers_as_the_simulated_one() {
    let namespace = Namespace::shared("conformance").await;
    let answers = answers(&namespace.client, &namespace.name).await;
    let differences = differences(&answers);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
