//! The server and the client over real sockets, on ports that the system chooses, so that all tests
//! run side by side.

#[cfg(test)]
mod running;

#[cfg(test)]
mod admin;
#[cfg(test)]
mod client;
#[cfg(test)]
mod drain;
#[cfg(test)]
mod echo;
#[cfg(test)]
mod flags;
#[cfg(test)]
mod limits;
