//! The Host header of an HTTP request: how many there may be, and what they may contain.

/// Why a request is answered by 400, with what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadHost {
    /// HTTP/1.1 requires a Host header.
    #[error("there is no Host header: HTTP/1.1 requires one, such as 'Host: example.com'")]
    Missing,
    /// A proxy and this server could each take another one.
    #[error("there are {0} Host headers: only one is allowed")]
    Several(usize),
    /// The value is no host.
    #[error(
        "invalid value {0:?} of Host: must be a name, an IPv4 address, or an IPv6 address in brackets, and may have a port after a colon"
    )]
    Invalid(String),
}

/// Checks a request's Host headers as RFC 9112, section 3.2, demands. They are required in HTTP/1.1.
///
/// # Errors
/// [`BadHost`].
pub fn check_hosts<'v>(
    values: impl Iterator<Item = &'v [u8]>,
    is_required: bool,
) -> Result<(), BadHost> {
    let values: Vec<_> = values.collect();
    match values.as_slice() {
        [] if is_required => Err(BadHost::Missing),
        [] => Ok(()),
        [value] if is_valid(value) => Ok(()),
        [value] => Err(BadHost::Invalid(
            String::from_utf8_lossy(value).into_owned(),
        )),
        several => Err(BadHost::Several(several.len())),
    }
}

/// Returns whether a value is a host and perhaps a port (RFC 3986, section 3.2.2). An empty host is valid;
/// it stands for a target without a name.
fn is_valid(value: &[u8]) -> bool {
    if let Some(rest) = value.strip_prefix(b"[") {
        let Some(end) = rest.iter().position(|byte| *byte == b']') else {
            return false;
        };
        let (literal, rest) = rest.split_at(end);
        // Clients also send the zones of addresses, and `v1.` may begin a future form.
        let is_literal = |byte: &u8| is_unreserved(*byte) || b":%".contains(byte);
        return !literal.is_empty()
            && literal.iter().all(is_literal)
            && is_port(rest.strip_prefix(b"]").unwrap_or_default());
    }
    let end = value.iter().position(|byte| *byte == b':');
    let (name, port) = value.split_at(end.unwrap_or(value.len()));
    is_name(name) && is_port(port)
}

/// Returns whether bytes are a name or an IPv4 address.
fn is_name(name: &[u8]) -> bool {
    let mut rest = name;
    while let Some((byte, after)) = rest.split_first() {
        rest = match (byte, after) {
            (b'%', [first, second, after @ ..])
                if first.is_ascii_hexdigit() && second.is_ascii_hexdigit() =>
            {
                after
            }
            (byte, _) if is_unreserved(*byte) || b"!$&'()*+,;=".contains(byte) => after,
            _ => return false,
        };
    }
    true
}

/// Returns whether a byte has no meaning of its own in a URI.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// Returns whether bytes are nothing, or a port after its colon.
fn is_port(bytes: &[u8]) -> bool {
    match bytes.split_first() {
        None => true,
        Some((colon, digits)) => *colon == b':' && digits.iter().all(u8::is_ascii_digit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks the Host headers of a request of HTTP/1.1.
    fn check(values: &[&str]) -> Result<(), BadHost> {
        check_hosts(values.iter().map(|value| value.as_bytes()), true)
    }

    #[test]
    fn one_host_is_required_and_another_one_is_an_error() {
        assert_eq!(check(&[]), Err(BadHost::Missing));
        assert_eq!(check_hosts([].into_iter(), false), Ok(()));
        assert_eq!(check(&["a", "a"]), Err(BadHost::Several(2)));
        let both = [&b"a"[..], b"b"].into_iter();
        assert_eq!(check_hosts(both, false), Err(BadHost::Several(2)));
    }

    #[test]
    fn names_addresses_and_ports_are_hosts() {
        for host in [
            "",
            ":80",
            "example.com",
            "example.com:8080",
            "a_b.example",
            "192.0.2.1:",
            "[::1]",
            "[2001:db8::1]:443",
            "[fe80::1%25eth0]:80",
            "[v1.x]",
            "caf%C3%A9",
            "a!$&'()*+,;=b",
        ] {
            assert_eq!(check(&[host]), Ok(()), "{host:?}");
        }
    }

    #[test]
    fn what_is_no_host_is_named() {
        for host in [
            "a b", "a/b", "a?b", "a#b", "user@a", "a:b", "a:80:80", "::1", "[::1", "[]", "[::1]x",
            "[::1]:x", "%", "%4", "%zz", "a,\u{e9}", "a\\b", "<a>", "\"", "[a]b[c]",
        ] {
            let expected = BadHost::Invalid(host.to_owned());
            assert_eq!(check(&[host]), Err(expected), "{host:?}");
        }
    }
}
