use super::*;

/// A header of version 2 with these addresses.
fn v2(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
    let length = u16::try_from(addresses.len()).unwrap().to_be_bytes();
    [V2, &[command, family], &length, addresses].concat()
}

/// Two addresses and their ports, of which the first is 192.0.2.1:4000.
const V4: [u8; 12] = [192, 0, 2, 1, 10, 0, 0, 1, 0x0f, 0xa0, 0, 7];

/// Whole headers and the clients that they name.
fn headers() -> Vec<(Vec<u8>, Option<&'static str>)> {
    let mut v6 = vec![0; 36];
    v6[..4].copy_from_slice(&[0x20, 1, 0x0d, 0xb8]);
    v6[32..34].copy_from_slice(&4000_u16.to_be_bytes());
    let longest = "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff \
                   ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n";
    assert_eq!(longest.len(), V1_BYTES);
    vec![
        (
            b"PROXY TCP4 192.0.2.1 10.0.0.1 4000 7\r\n".into(),
            Some("192.0.2.1:4000"),
        ),
        (
            b"PROXY TCP6 2001:db8:: ::1 4000 7\r\n".into(),
            Some("[2001:db8::]:4000"),
        ),
        (b"PROXY UNKNOWN\r\n".into(), None),
        (longest.into(), None),
        (v2(0x21, 0x11, &V4), Some("192.0.2.1:4000")),
        (
            v2(0x21, 0x11, &[&V4[..], &[4, 0, 1, 0]].concat()),
            Some("192.0.2.1:4000"),
        ),
        (v2(0x21, 0x12, &V4), Some("192.0.2.1:4000")),
        (v2(0x21, 0x21, &v6), Some("[2001:db8::]:4000")),
        (v2(0x21, 0x31, &[b'/'; 216]), None),
        (v2(0x21, 0x00, &[]), None),
        (v2(0x20, 0x00, &[]), None),
        (v2(0x20, 0x11, &V4), None),
    ]
}

#[test]
fn a_header_is_known_when_its_last_byte_has_come_and_not_before() {
    for (header, client) in headers() {
        let client = client.map(|client| client.parse().unwrap());
        let text = header.escape_ascii().to_string();
        for length in 0..header.len() {
            assert_eq!(
                read(&header[..length]),
                Header::Incomplete,
                "{length} of {text}"
            );
        }
        for more in [&b""[..], b"\n", b"PROXY TCP4", &[0; 5000]] {
            let expected = Header::Complete(header.len(), client);
            assert_eq!(read(&[&header, more].concat()), expected, "{text}");
        }
    }
}

#[test]
fn what_only_begins_like_a_header_is_bad() {
    for bad in [
        &b"PROXY \r\n"[..],
        b"PROXY TCP5 1.2.3.4 1.2.3.4 1 1\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 1 1\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 +1 1\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 65536 1\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3 1 1\r\n",
        b"PROXY TCP4 ::1 1.2.3.4 1 1\r\n",
        b"PROXY TCP6 1.2.3.4 ::1 1 1\r\n",
        b"PROXY  TCP4 1.2.3.4 1.2.3.4 1 1\r\n",
        b"PROXY TCP4 \xff 1.2.3.4 1 1\r\n",
        &[V1, &[b'x'; V1_BYTES]].concat(),
        &v2(0x11, 0x11, &V4), // another version
        &v2(0x22, 0x11, &V4), // another command
        &v2(0x21, 0x41, &V4), // another family
        &v2(0x21, 0x13, &V4), // another transport
        &v2(0x21, 0x11, &V4[..11]),
        &v2(0x21, 0x21, &[0; 35]),
        &v2(0x21, 0x11, &[0; MAX_HEADER_BYTES]),
    ] {
        assert_eq!(read(bad), Header::Invalid, "{}", bad.escape_ascii());
    }
}

#[test]
fn a_rule_decides_about_what_is_no_header_and_about_the_end_of_input() {
    use ProxyMode::{Optional, Required};
    for (bytes, is_end, proxy, expected) in [
        (&b"hello"[..], false, Optional, Header::Absent),
        (b"hello", false, Required, Header::Invalid),
        (b"PRO", false, Optional, Header::Incomplete),
        (b"PRO", false, Required, Header::Incomplete),
        (b"PRO", true, Optional, Header::Absent),
        (b"PRO", true, Required, Header::Invalid),
        (b"PROXY \r\n", false, Optional, Header::Invalid),
    ] {
        let text = bytes.escape_ascii();
        assert_eq!(Header::parse(bytes, is_end, proxy), expected, "{text}");
    }
}

#[test]
fn a_result_stays_as_more_bytes_come_and_a_header_fits_the_input() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let headers = headers();
    for _ in 0..20_000 {
        let (header, _) = &headers[random.usize(..headers.len())];
        let mut bytes = header.clone();
        bytes.extend((0..random.usize(..20)).map(|_| random.u8(..)));
        for _ in 0..random.usize(..4) {
            let place = random.usize(..bytes.len());
            bytes[place] = random.u8(..);
        }
        let mut before = Header::Incomplete;
        for length in 0..=bytes.len() {
            let start = read(&bytes[..length]);
            if before != Header::Incomplete {
                assert_eq!(start, before, "{}", bytes.escape_ascii());
            }
            if let Header::Complete(header, _) = start {
                assert!(header <= length);
            }
            before = start;
        }
    }
}
