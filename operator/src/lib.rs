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
//! The modules below are in reading order. Those before [`apply`] and `observe`, `status`, `conditions` hold no client,
//! clock, randomness or environment; `.clippy.toml` enforces it.

pub mod admin;
pub mod api;
pub mod apply;
pub mod attempt;
pub mod backoff;
pub mod cache;
pub mod cli;
pub mod conditions;
pub mod controller;
pub mod desired;
pub mod drift;
pub mod events;
pub mod labels;
pub mod metrics;
pub mod observe;
pub mod plan;
pub mod quantity;
pub mod reconcile;
pub mod relist;
pub mod report;
pub mod status;
pub mod telemetry;
pub mod verdict;

#[cfg(test)]
mod fixtures;
