//! When peers come back.

use core::num::NonZeroU32;
use core::time::Duration;

/// When peers come back that lost their connection or were refused.
#[cfg_attr(feature = "record", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reconnect {
    /// The reconnection time that each session is told at its start, in its first
    /// [notice](crate::broker#what-a-peer-is-told). Default `None`: the receiver's own, some 3 to
    /// 5 s in browsers. A hub that [refuses by stream](crate::hub::RefuseBy::Stream) tells 3 s
    /// then, so that a peer forgets the time that a refusal told it. A session that may be
    /// [evicted](crate::broker::LimitPolicy::EvictOldest) is told up to twice as much.
    pub retry: Option<Duration>,
    /// Whether sessions are told different reconnection times, beginning with
    /// [`retry`](Self::retry), or 3 s without: so that if all connections are lost at once, at most
    /// [`per_second`](Self::per_second) come back in any second. The more sessions there are, the
    /// longer one of them waits, also after a loss of its own alone, and therefore it is off by
    /// default. Where sessions may be evicted, and are told up to twice as much, the rate holds on
    /// average.
    pub spread_retry: bool,
    /// How many peers may come back in a second where they are told when to. Default 1,000, which
    /// one process can take, with the handshakes and whatever else each costs.
    pub per_second: NonZeroU32,
    /// The least that [`Broker::retry_after`](crate::broker::Broker::retry_after) says, rounded up
    /// to whole seconds: after how long a peer that was refused comes back. Default 5 s.
    pub retry_after: Duration,
}

impl Reconnect {
    pub(super) const DEFAULT: Self = Self {
        retry: None,
        spread_retry: false,
        per_second: NonZeroU32::new(1_000).unwrap(),
        retry_after: Duration::from_secs(5),
    };
}

impl Default for Reconnect {
    fn default() -> Self {
        Self::DEFAULT
    }
}
