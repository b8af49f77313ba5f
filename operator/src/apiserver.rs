//! All requests to the API server: reads by watches, writes of children, statuses and events.

pub mod apply;
pub mod cache;
pub mod client;
pub mod event_writer;
pub(crate) mod exponential_delays;
pub mod leadership;
pub(crate) mod lease;
pub mod permissions;
pub mod related;
pub mod request;
pub mod scope;
pub mod status_writer;
