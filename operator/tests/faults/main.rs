//! The operator beside faults of its requests, its process and its leadership, on a real API server.
//!
//! Each operator of a test reaches the API server through a [`proxy`] of its own, which delays, drops, truncates or answers requests, and
//! kills the operator before or after a write is committed. Operators run side by side, each in a namespace of its own.
//!
//! The final objects and the status have to be those of a run without faults, with as many writes. `make test-faults` and
//! `make test-pauses` run them on a control plane without nodes. They need:
//!
//! | variable | meaning |
//! |---|---|
//! | `KUBECONFIG` | an API server and a controller manager, without an operator; it may be disturbed |
//! | `ECHO_OPERATOR_TEST_POINTS` | how many faults of each test are tried; without it, all |
//! | `ECHO_OPERATOR_TEST_PAUSES` | how often a leader is paused; without it, 200 |
//! | `ECHO_OPERATOR_TEST_SEED` | the seed of the specs and of the choice of faults; without it, a random one, which is printed |
//! | `ECHO_OPERATOR_TEST_CLUSTER` | a program that takes `kill COMPONENT` and `restart COMPONENT`; without it, tests that stop the API server or etcd are skipped |
//! | `ECHO_OPERATOR_TEST_PROGRAM` | the operator that is tested, such as a release build; without it, the one that Cargo has built |
//! | `ECHO_OPERATOR_TEST_SKIPPED` | a file that gets a line `skipped: TEST: REASON` for each skipped test |
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests talk to a real API server, and learn from the environment which one"
)]
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and reports by printing"
)]
#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::large_futures,
    clippy::wildcard_enum_match_arm,
    reason = "tests know their numbers and have room"
)]
#![allow(
    missing_docs,
    clippy::missing_docs_in_private_items,
    clippy::missing_panics_doc,
    reason = "a test's name is its documentation"
)]

// Helpers of the cluster tests, of which these tests use a part.
#[path = "../cluster/spec_transitions/children.rs"]
#[allow(dead_code, reason = "the cluster tests use the rest")]
mod children;
#[path = "../cluster/echo_clusters.rs"]
#[allow(dead_code, reason = "the cluster tests use the rest")]
mod echo_clusters;
#[path = "../cluster/spec_transitions/generator.rs"]
#[allow(dead_code, reason = "the cluster tests use the rest")]
mod generator;
#[path = "../cluster/other_client.rs"]
#[allow(dead_code, reason = "the cluster tests use the rest")]
mod other_client;
#[path = "../cluster/owned_fields.rs"]
#[allow(dead_code, reason = "the cluster tests use the rest")]
mod owned_fields;
#[path = "../cluster/spec_transitions/samples.rs"]
mod samples;
#[path = "../cluster/schema.rs"]
#[allow(dead_code, reason = "the cluster tests use the rest")]
mod schema;
#[path = "../cluster/skip.rs"]
mod skip;
#[path = "../cluster/wait.rs"]
#[allow(dead_code, reason = "the cluster tests use the rest")]
mod wait;

// Helpers.
mod environment;
mod final_state;
mod namespace;
mod operator_process;
mod point;
mod proxy;
mod run;
mod site;
mod sweep;
mod workload;

// The tests.
mod outages;
mod pauses;
mod token;
mod watches;
mod writes;
