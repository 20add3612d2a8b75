//! How far publishers may be ahead of those who read.

use core::num::NonZeroUsize;
use core::time::Duration;

/// How far a publisher that waits may be ahead of the sessions, and for how long it waits for one
/// that takes nothing.
///
/// It holds for publishers that ask: by
/// [`Hub::ready`](crate::hub::Hub::ready),
/// [`Hub::publish_when_room`](crate::hub::Hub::publish_when_room), or
/// [`Broker::wait_for_readers`](crate::broker::Broker::wait_for_readers). Plain publishing to
/// everyone and to topics waits for nobody, and a session that is behind meets its
/// [`Lag`](crate::broker::Lag).
///
/// A publisher that has come too far ahead waits until all sessions that count are within *half*
/// of these bounds. So it waits seldom and for long, and not before each event.
///
/// A session **has stalled** for a publisher when it has had something to take for the patience
/// and took nothing in that time. It does not count then, until it takes something again. So a
/// reader that is stopped, or whose network is gone, holds up a publisher once, for no longer than
/// the patience. A reader that takes a little now and then counts: the publisher is as slow as
/// that. Where one slow peer is not to slow down the others, publish without waiting.
///
/// ```
/// use sansse::broker::Pace;
/// use std::time::Duration;
///
/// let pace = Pace::new()
///     .with_events(100.try_into()?)
///     .with_patience(Duration::from_secs(1));
/// # Ok::<(), std::num::TryFromIntError>(())
/// ```
#[cfg_attr(feature = "record", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Pace {
    /// By how many events of the audience's the slowest session that counts may be behind. Default
    /// `None`: by half of what is [kept](crate::broker::Retention::events). More than that is taken
    /// as that: a session further behind could lose its place before the publisher looks again.
    pub events: Option<NonZeroUsize>,
    /// By how many bytes of encoded events it may be behind. Default `None`: by half of what is
    /// [kept](crate::broker::Retention::bytes), which also is the most.
    pub bytes: Option<NonZeroUsize>,
    /// For how long a session that has something to take and takes nothing counts. Default 3 s:
    /// longer than a lost packet or a busy moment of a page takes, and short enough for what waits
    /// for the publisher in turn. Zero: no session is waited for. It counts anew after a
    /// [pause](crate::broker#pauses) of the driver.
    pub patience: Duration,
}

impl Pace {
    pub(super) const DEFAULT: Self =
        Self { events: None, bytes: None, patience: Duration::from_secs(3) };

    /// Makes a pace with the defaults.
    pub const fn new() -> Self {
        Self::DEFAULT
    }

    /// Sets by how many events the slowest session that counts may be behind.
    pub const fn with_events(mut self, events: NonZeroUsize) -> Self {
        self.events = Some(events);
        self
    }

    /// Sets by how many bytes of encoded events the slowest session that counts may be behind.
    pub const fn with_bytes(mut self, bytes: NonZeroUsize) -> Self {
        self.bytes = Some(bytes);
        self
    }

    /// Sets for how long a session counts that has something to take and takes nothing.
    pub const fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self::DEFAULT
    }
}
