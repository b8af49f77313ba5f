//! End-to-end tests of the deployed operator on a real cluster: changes by users, failures of nodes and pods, and the reaction of the
//! operator. No test reads the operator's log.
//!
//! `make test` starts a cluster and runs them. Without it, they need:
//!
//! | variable | meaning |
//! |---|---|
//! | `KUBECONFIG` | a cluster with the operator in it (`make deploy`); `kubectl` must be on the PATH |
//! | `ECHO_OPERATOR_TEST_AUDIT_LOG` | the API server's audit log; without it, tests that count writes are skipped |
//! | `ECHO_OPERATOR_TEST_ENFORCES_NETWORK_POLICIES` | set where the cluster's network enforces NetworkPolicies; without it, tests that try connections against them are skipped |
//! | `ECHO_OPERATOR_TEST_REGISTRY` | a registry with `echo-server` and, for user `echo` with password `echo-password`, `private/echo-server`; without it, tests that pull images are skipped |
//! | `ECHO_OPERATOR_TEST_PRIVATE_REGISTRY` | the registry of `private/echo-server`, if it is another one |
//! | `ECHO_OPERATOR_TEST_SEED` | the seed of `spec_transitions`, to repeat its specs; without it, a random one, which is printed |
//! | `ECHO_OPERATOR_TEST_TRANSITIONS` | how many specs `spec_transitions` applies; without it, 500 |
//! | `ECHO_OPERATOR_TEST_CLUSTER` | a program that takes `kill NODE` and `restart NODE`; without it, the test that loses a node is skipped |
//! | `ECHO_OPERATOR_TEST_SKIPPED` | a file that gets a line `skipped: TEST: REASON` for each skipped test, which `cargo test` counts as passed |
//!
//! Each test has its own namespace, and they run in parallel; `-- --test-threads=8` is fastest on two cores. They wait for an expected
//! state by a watch, for [`wait::DEADLINE`] at most.
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

// Helpers.
mod admission;
mod audit;
mod client;
mod cluster_policy;
mod deployed_operator;
mod echo_clusters;
mod kubectl;
#[path = "../monitoring/configuration.rs"]
mod monitoring_configuration;
mod namespace;
mod node;
mod other_client;
mod own_operator;
mod owned_fields;
mod schema;
mod skip;
mod wait;

// The tests. They begin in the order of their names.
mod api_server;
mod at_rest;
mod autoscaling;
mod causes;
#[path = "../conformance/conformance.rs"]
mod conformance;
mod creation;
mod deletion;
mod demands;
mod disruption;
mod documents;
mod events;
mod image_pull;
mod leader_election;
mod listeners;
mod monitoring;
mod mutated_children;
mod name_conflict;
mod network_policy;
mod optional_children;
mod orphans;
mod pause;
mod permissions;
mod pod_failures;
mod pod_identity;
mod policies;
mod protocols;
mod recovery;
mod rejection;
mod replacement;
mod rollout;
mod scale;
mod spec_transitions;
mod status;
mod stored_objects;
mod undeclared_fields;
mod under_load;
mod unwanted_changes;
mod watched_namespaces;
