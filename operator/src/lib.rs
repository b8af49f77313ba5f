//! The EchoCluster operator: turns each `EchoCluster` into a Deployment and Services that run TCP echo servers, and keeps
//! them so.
//!
//! Everything it does for one EchoCluster is one straight line ([`reconcile`]):
//!
//! ```text
//! EchoCluster ─plan→ Plan ─desired→ Desired ─apply→ Applied ─observe→ Observed ─status→ EchoClusterStatus
//!              pure         pure            I/O             pure               pure
//! ```
//!
//! Read [`reconcile`] first, then along the line. The modules stand below by tier; those of the first hold no client, clock,
//! randomness or environment, and `.clippy.toml` and `make lint` see to it.

// What is asked for and told, and the plain steps between.
pub mod api;
pub mod autoscaler_problem;
pub mod conditions;
pub mod desired;
pub mod drift;
pub mod labels;
pub mod observe;
pub mod plan;
pub mod pod_failure;
pub mod quantity;
pub mod relist;
pub mod status;
pub mod verdict;

// The edges: reads and writes, metrics and logs.
pub mod admin;
pub mod apply;
pub mod cache;
pub mod events;
pub mod metrics;
pub mod related;
pub mod status_writer;
pub mod telemetry;

// The flow: one pass, and one attempt at it.
pub mod attempt;
pub mod backoff;
pub mod reconcile;

// The shell.
pub mod cli;
pub mod controller;

#[cfg(test)]
mod fixtures;
