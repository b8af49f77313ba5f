//! Whatever datagrams come: no answer goes to an echo server's port, no client gets more answers than allowed, and none comes back for
//! ever.
#![no_main]

use std::collections::HashMap;

use echo_protocol::udp::{DatagramFilter, Source};
use libfuzzer_sys::fuzz_target;

/// Where the server listens.
const PORT: u16 = 12_345;

/// Answers of one client in a second.
const RATE: u32 = 150;

/// Datagrams alike that are answered one after the other at most: twice 99, as counts begin anew now and then.
const MOST_ALIKE: u32 = 198;

/// Datagrams alike: client, port, payload, how many, and milliseconds after those before.
type Alike = (u8, u16, Vec<u8>, u8, u16);

fuzz_target!(|datagrams: Vec<Alike>| {
    let mut filter = DatagramFilter::new(vec![PORT], Some(RATE));
    let (mut now, mut answered) = (0, HashMap::new());
    for (client, port, payload, count, later) in datagrams {
        now += u64::from(later);
        let source = Source {
            client: client.into(),
            port,
        };
        let mut alike = 0;
        for _ in 0..count {
            if filter.admit(source, &payload, now).is_err() {
                alike = 0;
                continue;
            }
            alike += 1;
            assert!(alike <= MOST_ALIKE, "it comes back for ever");
            assert!(![0, 7, PORT].contains(&port), "an echo server is answered");
            let all: &mut u64 = answered.entry(client).or_default();
            *all += 1;
            let most = u64::from(RATE) * (1000 + now) / 1000;
            assert!(
                *all <= most,
                "client {client} got {all} answers in {now} ms"
            );
        }
    }
});
