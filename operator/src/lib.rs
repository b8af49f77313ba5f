//! The EchoCluster operator: turns each `EchoCluster` into a Deployment, Services and other children, which run echo servers over TCP,
//! UDP and HTTP, and keeps these children as desired.
//!
//! Everything it does for one EchoCluster is one straight line ([`reconcile`]):
//!
//! ```text
//! EchoCluster ─validate→ ValidatedSpec ─build→ Desired ─apply→ Applied ─observe→ Observed ─status→ EchoClusterStatus
//!                pure                   pure          I/O              pure              pure
//! ```
//!
//! Read [`reconcile`] first, then along the line. A folder is a tier: `api` holds data, `model` pure functions, `apiserver` all
//! requests to the API server, and `controller` decides when an EchoCluster is reconciled. `.clippy.toml` and `make lint` check that no
//! code reaches into an outer tier.

pub mod admin;
pub mod api;
pub mod apiserver;
pub mod cli;
pub mod controller;
pub mod leader_election;
pub mod metrics;
pub mod model;
pub mod reconcile;
pub mod telemetry;

mod set_once;

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod scripted;
