//! A threaded echo server for the protocols `Line`, `Raw`, `Acknowledge`, `Udp` and `Http`, which
//! [`echo_protocol`] defines.
//!
//! There are two engines with modules of the same names: `worker`, in whose threads connections share nothing,
//! and `async_worker`, which serves `Http` and injects [`faults`]. In both, a connection goes through
//! `accept → header → process → half-close → linger → close`; `engine` has the rules that they share.
//! Beside them one thread serves health and metrics and watches the others.
//!
//! Read in this order: `engine`, `worker`, `async_worker`, [`limits`], [`server`] (all threads),
//! [`drain`] (how it ends), `admin` (health and metrics).

pub mod cli;
pub mod config;
pub mod faults;
pub mod limits;

mod access_log;
mod admission;
mod close_reason;
mod counters;
mod listener;
mod probes;

mod async_worker;
mod engine;
mod worker;

mod admin;
pub mod drain;
pub mod server;

pub mod descriptors;
pub mod signals;
pub mod telemetry;

pub use listener::BoundListener;
