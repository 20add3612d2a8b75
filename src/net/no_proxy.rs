//! Which hosts are reached without a proxy, in the form of `NO_PROXY`.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

/// Hosts that are reached without a proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Exceptions {
    rules: Vec<Rule>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    host: Host,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    Any,
    /// This name, and all that end with a dot and it.
    Name(String),
    /// All addresses that begin with as many bits of this one.
    Network(IpAddr, u8),
}

impl Exceptions {
    /// Adds what a list says. What is not understood matches nothing.
    pub(super) fn add(&mut self, list: &str) {
        let items = list.split(|c: char| c == ',' || c.is_ascii_whitespace());
        self.rules.extend(items.filter_map(parse));
    }

    pub(super) fn include(&self, host: &str, port: u16) -> bool {
        let name = normal(host);
        let address: Option<IpAddr> = name.parse().ok();
        self.rules.iter().any(|rule| {
            rule.port.is_none_or(|of_rule| of_rule == port)
                && match &rule.host {
                    Host::Any => true,
                    Host::Name(end) => match name.strip_suffix(end.as_str()) {
                        Some("") => true,
                        Some(before) => address.is_none() && before.ends_with('.'),
                        None => false,
                    },
                    Host::Network(network, bits) => {
                        address.is_some_and(|address| has_prefix(address, *network, *bits))
                    }
                }
        })
    }
}

fn parse(item: &str) -> Option<Rule> {
    let any = Rule { host: Host::Any, port: None };
    if item.is_empty() || item == "*" {
        return (item == "*").then_some(any);
    }
    if let Some(host) = parse_address(item) {
        return Some(Rule { host, port: None });
    }
    let (host, port) = match item.rsplit_once(':') {
        Some((host, port)) => (host, Some(port.parse().ok()?)),
        None => (item, None),
    };
    let host = match parse_address(host) {
        Some(address) => address,
        None if host == "*" => Host::Any,
        None => {
            let name = host.strip_prefix('*').unwrap_or(host);
            let name = normal(name.strip_prefix('.').unwrap_or(name));
            // Neither a network that is none, nor an address with too many colons.
            if name.is_empty() || name.contains(['/', ':', '[', '*']) {
                return None;
            }
            Host::Name(name)
        }
    };
    Some(Rule { host, port })
}

/// An address, perhaps in brackets, perhaps with a number of bits.
fn parse_address(text: &str) -> Option<Host> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits.parse::<u8>().ok()?)),
        None => (text, None),
    };
    let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address: IpAddr = bare.unwrap_or(address).parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.unwrap_or(most);
    (bits <= most).then_some(Host::Network(address, bits))
}

fn has_prefix(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    // Of an IPv4 address the bits stand at the top, as those of an IPv6 address do.
    let number = |address| match address {
        IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
        IpAddr::V6(address) => address.to_bits(),
    };
    let differing = number(address) ^ number(network);
    address.is_ipv4() == network.is_ipv4() && differing.leading_zeros() >= u32::from(bits)
}

/// A name without the dot that may end it, in small letters.
fn normal(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn included(list: &str, host: &str, port: u16) -> bool {
        let mut exceptions = Exceptions::default();
        exceptions.add(list);
        exceptions.include(host, port)
    }

    #[test]
    fn a_name_is_itself_and_all_below_it() {
        for list in
            ["example.org", ".example.org", "*.example.org", "EXAMPLE.ORG.", "a,example.org b"]
        {
            for (host, is_included) in [
                ("example.org", true),
                ("Example.Org.", true),
                ("deep.a.example.org", true),
                ("anexample.org", false),
                ("example.org.evil", false),
                ("org", false),
            ] {
                assert_eq!(included(list, host, 80), is_included, "{list} {host}");
            }
        }
    }

    #[test]
    fn a_port_narrows_a_rule() {
        assert!(included("a:8080", "a", 8080) && !included("a:8080", "a", 80));
        assert!(included("[::1]:8080", "::1", 8080) && !included("[::1]:8080", "::1", 80));
        assert!(included("127.0.0.1:80", "127.0.0.1", 80));
        assert!(included("*:80", "a", 80) && !included("*:80", "a", 81));
    }

    #[test]
    fn addresses_match_by_their_bits_and_names_do_not() {
        assert!(included("127.0.0.1", "127.0.0.1", 1) && !included("127.0.0.1", "127.0.0.10", 1));
        assert!(included("10.0.0.0/8", "10.255.1.2", 1) && !included("10.0.0.0/8", "11.0.0.1", 1));
        assert!(included("10.1.2.3/8", "10.9.9.9", 1) && included("0.0.0.0/0", "9.9.9.9", 1));
        assert!(included("::1", "::1", 1) && included("[::1]", "::1", 1));
        assert!(included("fd00::/8", "fdff::1", 1) && !included("fd00::/8", "fe00::1", 1));
        assert!(!included("0.0.0.0/0", "::1", 1) && !included("::/0", "127.0.0.1", 1));
        assert!(!included("10.0.0.0/8", "10.example", 1));
        assert!(!included("0.0.1", "127.0.0.1", 1), "the end of an address is no domain");
    }

    #[test]
    fn a_star_is_everything_and_nonsense_is_nothing() {
        assert!(included("a, *", "b", 1) && included("*", "::1", 1));
        for nonsense in [
            "",
            " , ",
            "10.0.0.0/33",
            "::/129",
            "a:b",
            "a:99999",
            "1::2::3",
            "/",
            "a/8",
            "*.",
            "x*y",
        ] {
            for host in ["a", "b", "10.0.0.1", "::1", "xzy"] {
                assert!(!included(nonsense, host, 1), "{nonsense} {host}");
            }
        }
    }
}
