//! The whole operator on a simulated API server, in simulated time.
//!
//! A run has one seed. It chooses the actions of users and of other clients, what goes wrong between the operator and the API server, and when: watch
//! events that come late, answers that are lost, errors, crashes of the operator. The clock stands still while there is something to do,
//! so that an hour takes milliseconds. When nothing goes wrong any more, the children must become those of a calm world, and then nothing
//! may be written any more; what must hold at each write is in [`oracle`].
//!
//! | variable | meaning |
//! |---|---|
//! | `ECHO_OPERATOR_SIMULATIONS` | how many seeds are run; without it, 300 |
//! | `ECHO_OPERATOR_SEED` | the first seed; without it, 1 |
//! | `ECHO_OPERATOR_FAULTS_LEFT_OUT` | faults that do not happen, to look for others, as `hanging,expired`; [`faults`] has their names |
//!
//! The API server behaves as the real one as far as the operator can observe: `tests/conformance` has calls whose answers must be the same
//! from both.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the operator talks to a simulated API server through a real client"
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

/// That of the operator.
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
mod read;
mod request;
mod server;
mod status;
mod store;
mod strategy;
mod watch;
mod write;

// The world around it.
mod actions;
mod clock;
mod controllers;
mod final_state;
mod oracle;
mod preconditions;
mod world;

// The tests.
#[path = "../conformance/conformance.rs"]
mod conformance;
mod conformance_test;
mod known_faults;
mod seeds;
