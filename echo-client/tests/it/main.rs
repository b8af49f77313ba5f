//! The client over real sockets: against the echo server, and against servers that are broken.

#[cfg(test)]
mod broken_servers;
#[cfg(test)]
mod harness;

#[cfg(test)]
mod check;
#[cfg(test)]
mod client;
#[cfg(test)]
mod endless_servers;
#[cfg(test)]
mod ends;
#[cfg(test)]
mod load;
#[cfg(test)]
mod probe;
#[cfg(test)]
mod stopped;
