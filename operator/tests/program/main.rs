//! The built program as a process, without an API server: its log, its admin endpoint, and how it ends.

#[cfg(test)]
mod admin;
#[cfg(test)]
#[path = "../../../echo-server/admin-endpoint/tests/shared/flood.rs"]
mod flood;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod log;
