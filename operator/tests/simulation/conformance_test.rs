//! The simulated API server returns the same responses as a real one.
//!
//! `UPDATE_GOLDEN=1` rewrites the expected responses; a test on a cluster compares them with those of a real API server.

use std::fs;
use std::path::Path;

use crate::conformance::{differences, responses};
use crate::faults::Faults;
use crate::run::runtime;
use crate::server::{Actor, ApiServer};

#[test]
fn the_simulated_api_server_answers_as_a_real_one() {
    let found = runtime().block_on(async {
        let server = ApiServer::new(Faults::none(), false);
        responses(&server.connect(Actor::User).client(), "default").await
    });
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/responses.yaml");
        fs::write(path, serde_yaml::to_string(&found).unwrap()).unwrap();
        return;
    }
    assert_eq!(differences(&found), [""; 0]);
}
