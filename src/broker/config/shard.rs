//! Which shard of how many a broker is.

use core::num::NonZeroU16;

/// The number of a shard, and how many shards there are: the number is always the less.
///
/// ```
/// use sansse::broker::ShardNumber;
/// use std::num::NonZeroU16;
///
/// let four = NonZeroU16::new(4).unwrap();
/// let last = ShardNumber::new(3, four).unwrap();
/// assert_eq!((last.get(), last.of()), (3, four));
/// assert_eq!(ShardNumber::new(4, four), None);
/// ```
#[cfg_attr(
    feature = "record",
    derive(serde::Serialize, serde::Deserialize),
    serde(try_from = "(u16, NonZeroU16)", into = "(u16, NonZeroU16)")
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ShardNumber {
    number: u16,
    of: NonZeroU16,
}

impl ShardNumber {
    /// The number of a shard beside which there is no other.
    pub const ONLY: Self = Self { number: 0, of: NonZeroU16::MIN };

    /// Returns the number, from 0, of one of so many shards; `None` where there are not as many.
    pub const fn new(number: u16, of: NonZeroU16) -> Option<Self> {
        if number < of.get() { Some(Self { number, of }) } else { None }
    }

    /// Returns the number, from 0.
    pub const fn get(self) -> u16 {
        self.number
    }

    /// Returns how many shards there are.
    pub const fn of(self) -> NonZeroU16 {
        self.of
    }

    /// Returns the numbers of so many shards, in order.
    pub fn all(of: NonZeroU16) -> impl Iterator<Item = Self> {
        (0..of.get()).map(move |number| Self { number, of })
    }
}

impl Default for ShardNumber {
    fn default() -> Self {
        Self::ONLY
    }
}

#[cfg(feature = "record")]
impl From<ShardNumber> for (u16, NonZeroU16) {
    fn from(shard: ShardNumber) -> Self {
        (shard.number, shard.of)
    }
}

#[cfg(feature = "record")]
impl TryFrom<(u16, NonZeroU16)> for ShardNumber {
    type Error = &'static str;

    fn try_from((number, of): (u16, NonZeroU16)) -> Result<Self, Self::Error> {
        Self::new(number, of).ok_or("the number of a shard that is not there")
    }
}
