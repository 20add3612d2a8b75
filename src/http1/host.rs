//! Which texts are a host: [`is_host`].

use core::net::Ipv6Addr;

/// Returns whether a text is a host with perhaps a port, as `Host` and the authority of a target
/// have it (RFC 9110, 7.2; RFC 3986, 3.2.2 and 3.2.3). An empty one is for the caller to judge.
///
/// It is stricter than the grammar in two places, where no name of a host is lost by it:
///
/// - A comma is part of no name. Two `Host` lines that somebody joined have one.
/// - A port is one that TCP has, or empty.
pub(super) fn is_host(text: &[u8]) -> bool {
    let (host, port) = match text {
        [b'[', ..] => match text.iter().position(|byte| *byte == b']') {
            Some(end) => text.split_at(end + 1),
            None => return false,
        },
        _ => text.split_at(text.iter().position(|byte| *byte == b':').unwrap_or(text.len())),
    };
    let is_named = match host {
        [b'[', address @ .., b']'] => is_address(address),
        _ => is_name(host),
    };
    is_named && is_port(port)
}

/// What stands in brackets: an address of IPv6, or of a later version (RFC 3986, 3.2.2).
fn is_address(text: &[u8]) -> bool {
    let Ok(text) = core::str::from_utf8(text) else { return false };
    if text.parse::<Ipv6Addr>().is_ok() {
        return true;
    }
    let Some((version, address)) = text.split_once('.') else { return false };
    let Some(digits) = version.strip_prefix(['v', 'V']) else { return false };
    !digits.is_empty()
        && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
        && !address.is_empty()
        && address.bytes().all(|byte| is_plain(byte) || byte == b':')
}

/// A name, or an address of IPv4, which has the form of a name.
fn is_name(text: &[u8]) -> bool {
    let mut rest = text;
    while let [first, after @ ..] = rest {
        rest = match (first, after) {
            (b'%', [high, low, after @ ..])
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                after
            }
            _ if is_plain(*first) => after,
            _ => return false,
        };
    }
    !text.is_empty()
}

/// The colon and the digits behind a host, if any.
fn is_port(text: &[u8]) -> bool {
    match text {
        [] | [b':'] => true,
        [b':', digits @ ..] => {
            let port = digits.iter().try_fold(0_u32, |port, digit| {
                let digit = digit.is_ascii_digit().then(|| u32::from(digit - b'0'))?;
                Some(port.saturating_mul(10).saturating_add(digit))
            });
            port.is_some_and(|port| u16::try_from(port).is_ok())
        }
        _ => false,
    }
}

/// Unreserved characters and those that delimit inside a part (RFC 3986, 2.2 and 2.3), without the
/// comma.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+;=".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use alloc::vec;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    #[test]
    fn names_addresses_and_ports_are_hosts() {
        for text in [
            "a",
            "a.example",
            "A.Example.",
            "xn--bcher-kva.example",
            "a_b",
            "localhost:8080",
            "a:",
            "a:0",
            "a:00080",
            "a:65535",
            "192.0.2.1",
            "192.0.2.1:80",
            // Names, however much they look like addresses.
            "999.1.1.1",
            "1.2.3",
            "a%2Db",
            "a!$&'()*+;=b",
            "[::1]",
            "[::1]:443",
            "[::1]:",
            "[2001:DB8::7]",
            "[::ffff:192.0.2.1]",
            "[1:2:3:4:5:6:7:8]",
            "[v1.a:b]",
            "[vF0.~]:1",
        ] {
            assert!(is_host(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn what_holds_more_or_less_than_a_host_is_none() {
        for text in [
            "",
            ":80",
            "a b",
            " a",
            "a ",
            "a\t",
            "a,b",
            "a, a",
            "user@a",
            "user:secret@a",
            "a@",
            "a/",
            "/a",
            "a?b",
            "a#b",
            "http://a",
            "a\\b",
            "a\"b",
            "<a>",
            "a^b",
            "a`b",
            "a{b}",
            "a|b",
            "bücher.example",
            "a\u{7f}",
            "a\0",
            "a%",
            "a%4",
            "a%zz",
            "a:65536",
            "a:18446744073709551617",
            "a:-1",
            "a:+1",
            "a: 80",
            "a:80 ",
            "a:8o",
            "a:80:80",
            "::1",
            "1:2:3:4:5:6:7:8",
            "[",
            "]",
            "[]",
            "[]:80",
            "[::1",
            "::1]",
            "[::1]80",
            "[::1]a",
            "[::1]]",
            "[[::1]]",
            "a[::1]",
            "[192.0.2.1]",
            "[a]",
            "[:::1]",
            "[12345::]",
            "[1:2:3:4:5:6:7:8:9]",
            "[fe80::1%eth0]",
            "[fe80::1%25eth0]",
            "[::1]:65536",
            "[v.a]",
            "[v1.]",
            "[v1]",
            "[vg.a]",
            "[v1.a@b]",
        ] {
            assert!(!is_host(text.as_bytes()), "{text}");
        }
        assert!(!is_host(b"a\xff"));
    }

    /// The grammar, read slowly: from the end, by text, one rule after the other.
    fn naive(text: &str) -> bool {
        let (host, port) = match text.rsplit_once(':') {
            // A colon inside brackets is none before a port.
            Some((host, port)) if !port.contains(']') => (host, port),
            _ => (text, ""),
        };
        let has_port = port.is_empty()
            || (port.chars().all(|character| character.is_ascii_digit())
                && port.trim_start_matches('0').len() <= 5
                && port.parse::<f64>().unwrap() <= 65535.0);
        has_port && naive_host(host)
    }

    fn naive_host(host: &str) -> bool {
        let allowed = |text: &str, more: &str| {
            text.chars().all(|character| {
                matches!(character, 'a'..='z' | 'A'..='Z' | '0'..='9')
                    || "-._~!$&'()*+;=".contains(character)
                    || more.contains(character)
            })
        };
        if let Some(inside) = host.strip_prefix('[') {
            let Some(inside) = inside.strip_suffix(']') else { return false };
            let is_later = inside.to_lowercase().strip_prefix('v').is_some_and(|later| {
                let parts: Vec<&str> = later.splitn(2, '.').collect();
                matches!(parts[..], [version, address] if !version.is_empty()
                    && version.chars().all(|digit| digit.is_ascii_hexdigit())
                    && !address.is_empty()
                    && allowed(address, ":"))
            });
            return inside.parse::<Ipv6Addr>().is_ok() || is_later;
        }
        let mut parts = host.split('%');
        let first = parts.next().unwrap_or_default();
        !host.is_empty()
            && allowed(first, "")
            && parts.all(|part| {
                part.len() >= 2
                    && part.is_char_boundary(2)
                    && part[..2].chars().all(|digit| digit.is_ascii_hexdigit())
                    && allowed(&part[2..], "")
            })
    }

    fn texts() -> impl Strategy<Value = String> {
        let pieces = prop::sample::select(vec![
            "a",
            "b.c",
            "[",
            "]",
            ":",
            ":80",
            ":65535",
            ":65536",
            "::",
            "1",
            "[::1]",
            "[v1.",
            "%",
            "%41",
            "@",
            ",",
            " ",
            "/",
            "é",
            "~",
            "0",
            "f",
            "v",
            ".",
            "192.0.2.1",
        ]);
        prop::collection::vec(pieces, 0..6).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn any_text_is_judged_as_the_grammar_read_slowly_judges_it(text in texts()) {
            prop_assert_eq!(is_host(text.as_bytes()), naive(&text), "{}", text);
        }

        #[test]
        fn any_bytes_are_judged(bytes in prop::collection::vec(any::<u8>(), 0..20)) {
            let is_text = is_host(&bytes);
            let same = core::str::from_utf8(&bytes).is_ok_and(naive);
            prop_assert_eq!(is_text, same);
        }
    }
}
