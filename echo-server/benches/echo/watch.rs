//! What else the two processors do while servers race: it tells how far figures can be trusted.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::processor::{self, Processors};
use crate::server::{Programs, Server};

/// Which parts of a processor's time went elsewhere.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Share {
    /// To programs that are no part of the benchmark.
    pub others: f64,
    /// To other virtual machines.
    pub stolen: f64,
}

/// Watches what else the two processors do while servers race.
pub(crate) struct Watch {
    processors: Processors,
    /// How long was watched; and in that time of both processors: busy, stolen, with the benchmark.
    watched: Duration,
    spent: [[Duration; 3]; 2],
    begin: (Instant, [[Duration; 3]; 2]),
    pub shares: [Share; 2],
}

impl Watch {
    pub(crate) fn begin(programs: &Programs) -> Result<Self> {
        let processors = programs.processors;
        let begin = (Instant::now(), Self::spent(processors, &[])?);
        let (watched, spent) = (Duration::ZERO, Default::default());
        Ok(Self {
            processors,
            watched,
            spent,
            begin,
            shares: Default::default(),
        })
    }

    pub(crate) fn resume(&mut self, servers: &[Server]) -> Result<()> {
        self.begin = (Instant::now(), Self::spent(self.processors, servers)?);
        Ok(())
    }

    pub(crate) fn pause(&mut self, servers: &[Server]) -> Result<()> {
        let (since, before) = self.begin;
        let now = Self::spent(self.processors, servers)?;
        self.watched += since.elapsed();
        for place in 0..2 {
            for kind in 0..3 {
                self.spent[place][kind] += now[place][kind].saturating_sub(before[place][kind]);
            }
            let [busy, stolen, own] = self.spent[place].map(|time| time.as_secs_f64());
            let watched = self.watched.as_secs_f64();
            self.shares[place] = Share {
                others: (busy - own).max(0.0) / watched,
                stolen: stolen / watched,
            };
        }
        Ok(())
    }

    /// Returns how long both processors were busy, were stolen, and ran the benchmark.
    fn spent(processors: Processors, servers: &[Server]) -> Result<[[Duration; 3]; 2]> {
        let (server, client) = (
            processor::busy(processors.server)?,
            processor::busy(processors.client)?,
        );
        let mut raced = Duration::ZERO;
        for server in servers {
            raced += server.time()?;
        }
        Ok([
            [server.0, server.1, raced],
            [client.0, client.1, processor::own_time()?],
        ])
    }
}
