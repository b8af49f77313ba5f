//! The server and the client over real sockets, on ports that the system chooses, so that all tests
//! run side by side.

#[cfg(test)]
mod running;
#[cfg(test)]
mod wrong;

#[cfg(test)]
mod abuse;
#[cfg(test)]
mod admin;
#[cfg(test)]
mod check;
#[cfg(test)]
mod client;
#[cfg(test)]
mod docs;
#[cfg(test)]
mod drain;
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
mod load;
#[cfg(test)]
mod log;
#[cfg(test)]
mod probe;
#[cfg(test)]
mod protocols;
#[cfg(test)]
mod proxy;
#[cfg(test)]
mod udp;
