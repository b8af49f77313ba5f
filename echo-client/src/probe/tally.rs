//! How many answers came from each echo server.

use std::fmt;
use std::net::SocketAddr;

/// Counts what came of probes, in the order in which each outcome came first.
#[derive(Debug, Default)]
pub(super) struct Tally(Vec<Row>);

/// Probes with one outcome.
#[derive(Debug)]
struct Row {
    /// The outcome, such as the name of the echo server.
    outcome: String,
    /// How many probes had it.
    count: u32,
    /// The addresses that it came from.
    addresses: Vec<SocketAddr>,
}

impl Tally {
    /// Counts a probe.
    pub(super) fn add(&mut self, outcome: String, address: SocketAddr) {
        let known = self.0.iter_mut().find(|row| row.outcome == outcome);
        if let Some(row) = known {
            row.count += 1;
            if !row.addresses.contains(&address) {
                row.addresses.push(address);
            }
        } else {
            self.0.push(Row {
                outcome,
                count: 1,
                addresses: vec![address],
            });
        }
    }
}

impl fmt::Display for Tally {
    /// Writes a line for each outcome.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: u32 = self.0.iter().map(|row| row.count).sum();
        for row in &self.0 {
            write!(formatter, "{} of {all} {}", row.count, row.outcome)?;
            for (index, address) in row.addresses.iter().enumerate() {
                let before = if index == 0 { " at " } else { ", " };
                write!(formatter, "{before}{address}")?;
            }
            formatter.write_str("\n")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_counted_with_each_of_their_addresses_once() {
        let [one, two] = ["192.0.2.1:7", "[2001:db8::1]:7"].map(|text| text.parse().unwrap());
        let mut tally = Tally::default();
        assert_eq!(tally.to_string(), "");
        for (outcome, address) in [("a", one), ("b", two), ("a", two), ("a", one)] {
            tally.add(outcome.to_owned(), address);
        }
        assert_eq!(
            tally.to_string(),
            format!("3 of 4 a at {one}, {two}\n1 of 4 b at {two}\n")
        );
    }
}
