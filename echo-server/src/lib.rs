//! A threaded echo server for the protocols `Line`, `Raw`, `Acknowledge`, `Udp` and `Http`, which
//! `echo_protocol` defines.
//!
//! `bind → accept → turn (read, answer, send or keep) → half-close → linger → close`, in worker
//! threads that share nothing; beside them one thread that serves health and metrics and watches
//! the workers.
//!
//! Read in this order: `connection` (one client), `worker`
//! (one thread's clients), `tasks` (those of `Http`, and under [`faults`]), [`limits`] (how many, and
//! for how long), [`server`] (all threads), [`drain`] (how it ends), `admin` (health
//! and metrics).

pub mod cli;
pub mod config;
pub mod faults;
pub mod limits;

mod admission;
mod connection;
mod counters;
mod end;
mod line_log;
mod listener;
mod probes;
mod tasks;
mod worker;

mod admin;
pub mod drain;
pub mod server;

pub mod descriptors;
pub mod signals;
pub mod telemetry;

pub use listener::BoundListener;
