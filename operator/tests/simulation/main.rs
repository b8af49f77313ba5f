//! The whole operator on a simulated API server, in simulated time.
//!
//! Each run has one seed. It chooses the actions of users and of another client, whether the operator watches all namespaces or two of
//! them, and the faults between the operator and the API server: delayed watch events, lost responses, errors, crashes of the operator. The
//! clock advances only while every task waits, so that an hour takes milliseconds. After the last fault, the children must become those of a
//! run without faults, and then nothing may be written any more. [`oracle`] checks each write.
//!
//! | variable | meaning |
//! |---|---|
//! | `ECHO_OPERATOR_SIMULATIONS` | how many seeds are run; without it, 300 |
//! | `ECHO_OPERATOR_PAUSES` | how often operators with a leader election are paused; without it, 100 |
//! | `ECHO_OPERATOR_SEED` | the first seed, without it 1; of the runs with pauses, the only one |
//! | `ECHO_OPERATOR_FAULTS_LEFT_OUT` | faults that are not injected, such as `hanging,expired`; [`faults`] has their names |
//!
//! The simulated API server behaves as a real one where the operator depends on it: `tests/conformance` has requests to which both must
//! return the same responses.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the operator reaches the simulated API server through a real client"
)]
#![expect(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and reports by printing"
)]
#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]
#![allow(
    clippy::large_futures,
    clippy::wildcard_enum_match_arm,
    reason = "tests have room"
)]
#![allow(
    missing_docs,
    clippy::missing_docs_in_private_items,
    reason = "names document what has no comment"
)]

/// Runs on all cores allocate at the same time, which the allocator of the C library does slowly.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

// The API server.
mod defaults;
mod delete;
mod faults;
mod fields;
mod kind;
mod managed;
mod merge;
mod preconditions;
mod read;
mod request;
mod server;
mod status;
mod store;
mod strategy;
mod watch;
mod write;

// The runs.
mod actions;
mod clock;
mod controllers;
mod final_state;
mod oracle;
mod panics;
mod process;
mod run;

// The tests.
#[path = "../conformance/conformance.rs"]
mod conformance;
mod conformance_test;
mod pauses;
mod regressions;
mod seeds;
