//! Who holds something: [`PeerKey`].

use core::any::Any;
use core::net::{IpAddr, SocketAddr};

/// A peer: an address, or a connection where no address is known.
///
/// Of an IPv6 address it is the first 64 bits, since one subscriber has all that follow these (RFC
/// 6177). It is one word, since every event stream keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::serve) struct PeerKey(u64);

/// Where connections are numbered, beside all addresses: none that is given out begins with these 8
/// bits (RFC 4291, 2.4), and those of IPv4 are smaller.
const CONNECTIONS: u64 = 0x01 << 56;

impl PeerKey {
    /// Returns the key of what a listener knows of a peer, on its connection with this number.
    pub(in crate::serve) fn of<P: 'static>(peer: &P, connection: u64) -> Self {
        let peer: &dyn Any = peer;
        let address = match peer.downcast_ref::<SocketAddr>() {
            Some(address) => Some(address.ip()),
            None => peer.downcast_ref::<IpAddr>().copied(),
        };
        address.map_or_else(|| Self::of_connection(connection), Self::of_address)
    }

    fn of_address(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => address.to_bits().into(),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments().map(u64::from);
                a << 48 | b << 32 | c << 16 | d
            }
        })
    }

    pub(super) const fn of_connection(number: u64) -> Self {
        Self(CONNECTIONS | (number & (CONNECTIONS - 1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_its_address_whatever_its_port_and_a_connection_where_none_is_known() {
        let of = |text: &str| PeerKey::of(&text.parse::<SocketAddr>().unwrap(), 1);
        assert_eq!(of("192.0.2.1:1"), of("192.0.2.1:2"));
        assert_eq!(of("192.0.2.1:1"), of("[::ffff:192.0.2.1]:1"));
        assert_ne!(of("192.0.2.1:1"), of("192.0.2.2:1"));
        assert_eq!(of("[2001:db8::1]:1"), of("[2001:db8::2]:2"));
        assert_ne!(of("[2001:db8::1]:1"), of("[2001:db8:0:1::1]:1"));
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        assert_eq!(PeerKey::of(&address, 1), of("192.0.2.1:1"));
        assert_eq!(PeerKey::of(&"a pipe", 1), PeerKey::of(&"another", 1));
        assert_ne!(PeerKey::of(&"a pipe", 1), PeerKey::of(&"a pipe", 2));
    }
}
