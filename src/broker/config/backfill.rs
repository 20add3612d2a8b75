//! What is read of a log outside for sessions that are older than memory.

use core::num::{NonZeroU32, NonZeroUsize};
use core::time::Duration;

/// How much a shard gives to sessions that resume from before what it has in memory, where the rest
/// is read from a log outside; see [`ShardMut::set_backfill`](crate::broker::ShardMut).
///
/// ```
/// use sansse::broker::Backfill;
/// use std::time::Duration;
///
/// let mut backfill = Backfill::DEFAULT;
/// assert_eq!((backfill.wait, backfill.events.get()), (Duration::from_secs(10), 10_000));
/// backfill.wait = Duration::from_secs(3);
/// ```
#[cfg_attr(feature = "record", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backfill {
    /// How long a session waits for what is read. After that it resumes from what is in memory, and
    /// is told of the gap. Default 10 s: a browser waits as long before it shows anything.
    pub wait: Duration,
    /// How many sessions of a shard may wait at a time. Each further one resumes at once from what
    /// is in memory. Default 16,384: those of a node that went away, and no flood of invented ids.
    pub sessions: NonZeroU32,
    /// How many events one session gets at most. Where there are more, it gets the newest of them,
    /// and is told of the gap. Default 10,000: about what a log keeps in memory, and more than a page
    /// shows.
    pub events: NonZeroU32,
    /// How many bytes of events one session gets at most, the newest of them. Default 4 MiB, as
    /// [`Retention::bytes`](crate::broker::Retention) of memory.
    pub bytes: NonZeroUsize,
}

impl Backfill {
    /// The defaults.
    pub const DEFAULT: Self = Self {
        wait: Duration::from_secs(10),
        sessions: NonZeroU32::new(16_384).unwrap(),
        events: NonZeroU32::new(10_000).unwrap(),
        bytes: NonZeroUsize::new(4 << 20).unwrap(),
    };
}

impl Default for Backfill {
    fn default() -> Self {
        Self::DEFAULT
    }
}
