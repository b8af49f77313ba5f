//! Values and pure functions: what an EchoCluster means, what its children should be, and what its status is.
//!
//! Nothing here holds a client, a clock, randomness, the environment or a log, so all of it is tested by calling it.

pub mod autoscaler_problem;
pub mod build;
pub mod children;
pub mod decision;
pub mod drift;
pub mod hash;
pub mod leader_election;
pub mod metadata;
pub mod observed;
pub mod pod_failure;
pub mod quantity;
pub mod status;
pub mod validate;
