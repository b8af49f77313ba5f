//! A threaded TCP echo server for the `Line` protocol, and a client for it.
//!
//! `bind → accept → turn (read, answer, send or owe) → half-close → linger → close`, in worker
//! threads that share nothing; beside them one thread that serves health and metrics and watches
//! the workers.
//!
//! Read in this order: [`protocol::line`] (what is answered), `connection` (one client), `worker`
//! (one thread's clients), [`limits`] (how
//! many, and for how long), [`server`] (all threads), [`drain`] (how it ends), `admin` (what it
//! tells about itself).

pub mod cli;
pub mod config;
pub mod limits;
pub mod protocol;

mod admission;
mod connection;
mod counters;
mod listener;
mod probes;
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
