//! Where sessions come from, by name.

use super::super::error::NameError;
use super::{Form, check};
use crate::text::text_value;
use alloc::sync::Arc;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where a session comes from, by a key of the application's own, for
/// [`BrokerLimits::sessions_per_address`](crate::broker::BrokerLimits::sessions_per_address).
///
/// An IP address as a key is what one subscriber has: an IPv4 address, or the first 64 bits of an
/// IPv6 address, since one subscriber has all of the 2⁶⁴ addresses behind these (RFC 6177). An
/// IPv4 address written as IPv6 is that IPv4 address. Behind a proxy, the peer's address is the
/// proxy's: take what the proxy vouches for.
///
/// ```
/// use sansse::broker::AddressKey;
/// use std::net::IpAddr;
///
/// let key = |text: &str| AddressKey::from(text.parse::<IpAddr>().unwrap());
/// assert_eq!(key("2001:db8::1"), key("2001:db8::2"));
/// assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
/// assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
/// assert_eq!(key("2001:db8::1").to_string(), "2001:db8::/64");
/// // Or anything else that many sessions may share:
/// let tenant = AddressKey::new("tenant 7")?;
/// # Ok::<(), sansse::broker::NameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressKey(Address);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Address {
    V4(Ipv4Addr),
    /// The first 64 bits; the others are zero.
    V6(Ipv6Addr),
    Other(Arc<str>),
}

impl AddressKey {
    /// Makes a key of any text, of 1 to [`MAX_NAME`](super::MAX_NAME) bytes. The text of an IP
    /// address is that address, and so is the text that [`Display`](fmt::Display) writes for one.
    ///
    /// # Errors
    ///
    /// [`NameError::Empty`] and [`NameError::TooLong`], by the caller's fault.
    pub fn new(text: impl AsRef<str>) -> Result<Self, NameError> {
        let text = check(text.as_ref(), Form::Any)?;
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(address.into());
        }
        let network = text.strip_suffix("/64").and_then(|network| network.parse().ok());
        match network.map(|network: Ipv6Addr| Self::from(IpAddr::V6(network))) {
            Some(key) if key.0.is_v6() => Ok(key),
            _ => Ok(Self(Address::Other(text.into()))),
        }
    }
}

impl Address {
    const fn is_v6(&self) -> bool {
        matches!(self, Self::V6(_))
    }
}

text_value!(AddressKey, NameError);

impl From<IpAddr> for AddressKey {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => Address::V4(address),
            IpAddr::V6(address) => Address::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        })
    }
}

impl fmt::Display for AddressKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Address::V4(address) => address.fmt(f),
            Address::V6(network) => write!(f, "{network}/64"),
            Address::Other(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    fn ip(text: &str) -> AddressKey {
        text.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn the_text_of_an_address_is_that_address() {
        for text in ["192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1"] {
            assert_eq!(AddressKey::new(text), Ok(ip(text)));
        }
        assert_eq!(AddressKey::new("2001:db8::/64"), Ok(ip("2001:db8::9")));
    }

    #[test]
    fn what_is_shown_of_a_key_is_read_as_that_key() {
        let others = ["tenant 7", "192.0.2.1/64", "::ffff:192.0.2.1/64", "x/64", "/64"];
        let others = others.map(|text| AddressKey::new(text).unwrap());
        for key in [ip("192.0.2.1"), ip("2001:db8::1")].into_iter().chain(others) {
            assert_eq!(key.to_string().parse(), Ok(key));
        }
        assert!(matches!(AddressKey::new("192.0.2.1/64").unwrap().0, Address::Other(_)));
    }
}
