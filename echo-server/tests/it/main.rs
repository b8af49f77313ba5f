//! The server over real sockets, on ports that the system chooses, so that all tests
//! run side by side.

#[cfg(test)]
#[path = "../../admin-endpoint/tests/shared/flood.rs"]
mod flood;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod overload;

#[cfg(test)]
mod abuse;
#[cfg(test)]
mod addresses;
#[cfg(test)]
mod admin;
#[cfg(test)]
mod admin_flood;
#[cfg(test)]
mod busy_client;
#[cfg(test)]
mod docs;
#[cfg(test)]
mod drain;
#[cfg(test)]
mod drain_busy;
#[cfg(test)]
mod echo;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod flags;
#[cfg(test)]
mod http;
#[cfg(test)]
mod http2;
#[cfg(test)]
mod http_harm;
#[cfg(test)]
mod http_random;
#[cfg(test)]
mod http_time;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod log;
#[cfg(test)]
mod multi_call;
#[cfg(test)]
mod protocols;
#[cfg(test)]
mod proxy;
#[cfg(test)]
mod udp;
#[cfg(test)]
mod websocket;
#[cfg(test)]
mod websocket_client;
