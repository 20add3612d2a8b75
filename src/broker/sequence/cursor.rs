//! Places in a stream, and how they are written into event ids.

use crate::event::EventId;
use alloc::format;
use core::fmt;

/// Which life of the stream a position belongs to.
///
/// Positions start anew when a process does, so every process must have another epoch: a random
/// number, or one that is counted up on disk. All shards of one stream share one, and two streams
/// whose readers could be mixed up have different ones: where that cannot be promised, let
/// `CursorKeys` (feature `signed`) bind ids to their stream. Adapters bring a function that draws
/// one, since the core draws no random numbers.
#[cfg_attr(feature = "record", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

impl Epoch {
    /// Returns the epoch of a stream that outlives its processes, and that several may share, such as
    /// a [realm](crate::cluster): 48 bits that follow from its name. The same name always gives the
    /// same one.
    ///
    /// It is only for streams whose positions never begin anew, which is what a
    /// [`Log`](crate::cluster::Log) promises.
    ///
    /// ```
    /// use sansse::broker::Epoch;
    ///
    /// assert_eq!(Epoch::of_name("chat"), Epoch::of_name("chat"));
    /// assert_ne!(Epoch::of_name("chat"), Epoch::of_name("news"));
    /// ```
    pub const fn of_name(name: &str) -> Self {
        // FNV-1a, of 64 bits.
        let (mut hash, mut rest) = (0xcbf2_9ce4_8422_2325_u64, name.as_bytes());
        while let [byte, behind @ ..] = rest {
            hash = (hash ^ *byte as u64).wrapping_mul(0x0100_0000_01b3);
            rest = behind;
        }
        Self(hash >> 16)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

/// A place in a stream, as the broker writes it into event ids: `epoch-position`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    epoch: Epoch,
    position: u64,
}

impl Cursor {
    pub(crate) const fn new(epoch: Epoch, position: u64) -> Self {
        Self { epoch, position }
    }

    pub(crate) const fn epoch(self) -> Epoch {
        self.epoch
    }

    pub(crate) const fn position(self) -> u64 {
        self.position
    }

    /// Reads a cursor. Only the exact text that [`event_id`](Self::event_id) writes is one.
    pub(super) fn parse(id: &EventId) -> Option<Self> {
        let (epoch, position) = id.as_str().split_once('-')?;
        let cursor = Self {
            epoch: Epoch(u64::from_str_radix(epoch, 16).ok()?),
            position: position.parse().ok()?,
        };
        (cursor.event_id() == *id).then_some(cursor)
    }

    pub(super) fn event_id(self) -> EventId {
        EventId::trusted(format!("{:x}-{}", self.epoch.0, self.position))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_text_of_a_cursor_is_one() {
        let cursor = Cursor { epoch: Epoch(0xbeef), position: 17 };
        assert_eq!(cursor.event_id().as_str(), "beef-17");
        let parse = |text: &'static str| Cursor::parse(&EventId::new(text).unwrap());
        assert_eq!(parse("beef-17"), Some(cursor));
        for text in ["", "-", "beef", "beef-", "-17", "BEEF-17", "+beef-17", "beef-+17"] {
            assert_eq!(parse(text), None, "{text}");
        }
        for text in ["0beef-17", "beef-017", "beef-17 ", "beef-18446744073709551616", "beef--1"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
