//! The beginning of a connection is decided once: with more bytes the result stays, and a header fits into them.
#![no_main]

use echo_protocol::proxy_header::{Header, MAX_HEADER_BYTES, ProxyMode};
use libfuzzer_sys::fuzz_target;

/// What connections begin with before it is changed: nothing, and a whole header of each version, which random bytes never come to.
const BEGINS: [&[u8]; 4] = [
    b"",
    b"PROXY TCP4 192.0.2.1 198.51.100.1 4000 7\r\n",
    b"PROXY TCP6 2001:db8:: ::1 4000 7\r\n",
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x01\x0f\xa0\0\x07",
];

/// A beginning, bytes of it to change, each at a place, and what follows.
type Changed = (u8, Vec<(u8, u8)>, Vec<u8>);

fuzz_target!(|given: Changed| {
    let (begin, changes, more) = given;
    let mut bytes = BEGINS[usize::from(begin) % BEGINS.len()].to_vec();
    for (place, byte) in changes {
        if let Some(changed) = bytes.get_mut(usize::from(place)) {
            *changed = byte;
        }
    }
    bytes.extend(more);
    for proxy in [ProxyMode::Optional, ProxyMode::Required] {
        let mut before = Header::Incomplete;
        for length in 0..=bytes.len() {
            let start = Header::parse(&bytes[..length], false, proxy);
            if before != Header::Incomplete {
                assert_eq!(start, before, "{proxy:?}, {length} bytes");
            }
            if let Header::Complete(header, _) = start {
                assert!(header <= length);
            }
            before = start;
        }
        assert!(before != Header::Incomplete || bytes.len() < MAX_HEADER_BYTES);
        assert!(Header::parse(&bytes, true, proxy) != Header::Incomplete);
    }
});
