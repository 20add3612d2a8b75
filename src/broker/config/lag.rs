//! How far sessions may be behind.

use core::num::NonZeroUsize;

/// What happens to a session that is too far behind in a topic: further than events are kept, or
/// than its [`Lag`] allows.
///
/// Each topic is looked at by itself. What is lost is told to the application with
/// [`SessionSkipped`](crate::broker::BrokerEvent::SessionSkipped), and to the peer by a
/// [notice](crate::broker#what-a-peer-is-told).
#[cfg_attr(feature = "record", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LagPolicy {
    /// It ends, with [`EndReason::Lagged`](crate::broker::EndReason::Lagged). A browser reconnects
    /// and resumes, or is told of the gap.
    #[default]
    Close,
    /// It goes on with the oldest event that is kept and within its bounds.
    SkipToOldest,
    /// It goes on with the next event to be published to the topic.
    SkipToNewest,
    /// It passes events that a newer one of the same [key](crate::EventKey) has superseded:
    /// those beyond its bounds, or all of them where it has no bounds. So a session that keeps up
    /// gets everything, and one that does not gets the newest of each key, in the order of
    /// publishing. Events without a key are never superseded. Where the next event is kept no more,
    /// the session goes on with the oldest that is, as with [`SkipToOldest`](Self::SkipToOldest). A
    /// [compact](crate::broker::Retention::compact) log makes that seldom.
    ///
    /// Superseded events are no loss. They are counted apart, in
    /// [`SessionSuperseded`](crate::broker::BrokerEvent::SessionSuperseded).
    KeepNewestPerKey,
}

/// How far a session may be behind in one topic, and what happens beyond that.
///
/// No session can be further behind than the topic's [`Retention`](crate::broker::Retention); these
/// bounds are closer. A publisher [that waits](crate::broker::Pace) looks at the retention alone. They count what was published to the topic since the session's place in it,
/// whenever the session is polled. A single event is never too far, however large.
///
/// A replay is within any bounds: if a session ended for it, its peer would come back for the same.
/// Until the session has got the replay, only what is published later counts, in all its topics.
///
/// A session that is [opened with a lag](crate::broker::SessionConfig::with_lag) has it in all
/// topics. A session without has that of [each topic](crate::broker::TopicMut::set_lag), and where
/// a topic has none, that of the [broker](crate::broker::SessionDefaults::lag).
///
/// ```
/// use sansse::broker::{Lag, LagPolicy, SessionConfig};
///
/// let lag = Lag::new(LagPolicy::SkipToOldest)
///     .with_events(100.try_into()?)
///     .with_bytes((64 << 10).try_into()?);
/// let config = SessionConfig::new().with_lag(lag);
/// // Where the retention alone is the bound, the policy is enough.
/// let config = SessionConfig::new().with_lag(LagPolicy::SkipToNewest);
/// # Ok::<(), std::num::TryFromIntError>(())
/// ```
#[cfg_attr(feature = "record", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lag {
    /// What happens to the session. Default [`LagPolicy::Close`].
    pub policy: LagPolicy,
    /// By how many events it may be behind. Default `None`: by what is kept.
    pub events: Option<NonZeroUsize>,
    /// By how many bytes of encoded events it may be behind. Default `None`: by what
    /// is kept.
    pub bytes: Option<NonZeroUsize>,
}

impl Lag {
    /// Makes a lag without bounds of its own: a session meets the policy where the retention ends.
    /// [`LagPolicy::KeepNewestPerKey`] then passes every superseded event.
    pub const fn new(policy: LagPolicy) -> Self {
        Self { policy, events: None, bytes: None }
    }

    /// Sets by how many events a session may be behind.
    pub const fn with_events(mut self, events: NonZeroUsize) -> Self {
        self.events = Some(events);
        self
    }

    /// Sets by how many bytes of encoded events a session may be behind.
    pub const fn with_bytes(mut self, bytes: NonZeroUsize) -> Self {
        self.bytes = Some(bytes);
        self
    }

    /// Returns whether it has bounds beside those of the retention.
    pub(crate) const fn is_bounded(&self) -> bool {
        self.events.is_some() || self.bytes.is_some()
    }
}

impl From<LagPolicy> for Lag {
    fn from(policy: LagPolicy) -> Self {
        Self::new(policy)
    }
}
