//! How much is kept.

use super::super::error::ConfigError;
use core::num::NonZeroUsize;
use core::time::Duration;

/// How much of a topic is kept: no more than `events`, nor `bytes`, nor what is older than `age`.
///
/// The log that replays is also the queue that delivers, so a session may be as far behind as this.
#[cfg_attr(feature = "record", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// The number of events. Default 8,192, eight seconds at a thousand a second.
    pub events: NonZeroUsize,
    /// Their encoded size. Default 4 MiB. An event larger than this is refused.
    pub bytes: NonZeroUsize,
    /// Their age, more than zero; `None` for any. Default 5 minutes, in which most lost networks are
    /// back.
    pub age: Option<Duration>,
    /// Whether events that a newer one of the same [key](crate::EventKey) has superseded go
    /// first where there are too many events or bytes. Default `false`: the oldest go first.
    ///
    /// So the newest event of each key is kept as long as there is room for these, and a session
    /// that comes back, or is far behind, gets it. A superseded event that goes is not lost: no
    /// session is too far behind by it, it is no gap to a resumption, and for sessions that did not
    /// get it [`SessionSuperseded`](crate::broker::BrokerEvent::SessionSuperseded) counts it. An
    /// event that nothing superseded is lost when it goes. All events before it that are gone then
    /// count as lost too. The age holds for every event: to keep the newest of each key for good,
    /// set none.
    pub compact: bool,
}

impl Retention {
    pub(super) const DEFAULT: Self = Self {
        events: NonZeroUsize::new(8_192).unwrap(),
        bytes: NonZeroUsize::new(4 << 20).unwrap(),
        age: Some(Duration::from_secs(300)),
        compact: false,
    };

    /// What is kept of what is published to one client or to one session.
    pub(super) const PRIVATE: Self = Self {
        events: NonZeroUsize::new(256).unwrap(),
        bytes: NonZeroUsize::new(256 << 10).unwrap(),
        ..Self::DEFAULT
    };

    /// Checks that events are kept for any time.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if self.age == Some(Duration::ZERO) {
            return Err(ConfigError::ZeroRetentionAge);
        }
        Ok(())
    }
}
