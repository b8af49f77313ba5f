//! A threaded echo server for the protocols `Line`, `Raw`, `Acknowledge`, `Udp` and `Http`, and a
//! client for it.
//!
//! `bind → accept → turn (read, answer, send or keep) → half-close → linger → close`, in worker
//! threads that share nothing; beside them one thread that serves health and metrics and watches
//! the workers.
//!
//! Read in this order: [`protocol`] (what is answered), `connection` (one client), `worker`
//! (one thread's clients), `tasks` (those of `Http`, and under [`faults`]), [`limits`] (how many, and
//! for how long), [`server`] (all threads), [`drain`] (how it ends), `admin` (health
//! and metrics).

pub mod cli;
pub mod config;
pub mod faults;
pub mod limits;
pub mod protocol;

mod admission;
mod connection;
mod counters;
mod end;
mod line_log;
mod listener;
mod probes;
pub mod proxy_header;
mod tasks;
mod worker;

mod admin;
pub mod drain;
pub mod server;

pub mod client;
pub mod descriptors;
pub mod exit;
pub mod signals;
pub mod telemetry;

pub use listener::BoundListener;
