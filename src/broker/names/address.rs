//! Where sessions come from, by name.

use super::super::error::NameError;
use super::check_length;
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
    /// Makes a key of any text, of 1 to [`MAX_NAME`](super::MAX_NAME) bytes.
    ///
    /// # Errors
    ///
    /// [`NameError::Empty`] and [`NameError::TooLong`], by the caller's fault.
    pub fn new(text: impl AsRef<str>) -> Result<Self, NameError> {
        check_length(text.as_ref()).map(|text| Self(Address::Other(text.into())))
    }

    /// Returns the address, or the text that the key is instead.
    #[cfg(feature = "record")]
    pub(crate) fn ip(&self) -> Result<IpAddr, &str> {
        match &self.0 {
            Address::V4(address) => Ok(IpAddr::V4(*address)),
            Address::V6(network) => Ok(IpAddr::V6(*network)),
            Address::Other(text) => Err(text),
        }
    }
}

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
