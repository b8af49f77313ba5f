//! The simulated API server answers as a real one does.
//!
//! `UPDATE_GOLDEN=1` rewrites the answers; a test on a cluster compares them with those of a real API server.

use std::fs;
use std::path::Path;

use crate::conformance::{answers, differences};
use crate::faults::Faults;
use crate::server::{Actor, ApiServer};
use crate::world::runtime;

#[test]
fn the_simulated_api_server_answers_as_a_real_one() {
    let made = runtime().block_on(async {
        let server = ApiServer::new(Faults::none(), false);
        answers(&server.connect(Actor::User).client(), "default").await
    });
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/answers.yaml");
        fs::write(path, serde_yaml::to_string(&made).unwrap()).unwrap();
        return;
    }
    assert_eq!(differences(&made), [""; 0]);
}
