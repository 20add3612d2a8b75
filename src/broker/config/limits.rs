//! How many of something there may be.

use core::num::{NonZeroU32, NonZeroUsize};

/// What happens when a session is to be opened where there are as many as may be.
#[cfg_attr(feature = "record", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LimitPolicy {
    /// It is refused, with an [`OpenError`](crate::broker::OpenError). Those that are here stay.
    #[default]
    Refuse,
    /// It is opened, and the session that was opened the longest ago ends at once, with
    /// [`EndReason::Evicted`](crate::broker::EndReason::Evicted). So a page that is loaded again
    /// comes in at once, though the server does not know yet that its old connection is gone.
    ///
    /// A browser whose session was evicted comes back, and evicts another in its turn. Each session
    /// that may be evicted is therefore told a reconnection time of its own at its start: between
    /// once and twice [`Reconnect::retry`](crate::broker::Reconnect::retry) (3 s if that is not set,
    /// and 1 s at least), drawn anew from the [seed](crate::broker::BrokerConfig::seed). An evicted
    /// session leaves its place to the one that took it for that long, and readers that share too
    /// few places do not come back in step. Hence the promise: **of readers that all obey `retry`,
    /// none starves**. Of `n` readers for `m` places each is served again and again, for `m / n` of
    /// the time in the long run, and resumes where it was. It is no promise about any one turn: that
    /// may be short, and is over as soon as another reader comes.
    ///
    /// A peer that comes back sooner than it was told takes more than its part, and by many
    /// requests takes every place that the limit counts. So evict only among those that harm
    /// nobody else by it: the sessions of one [client](BrokerLimits::sessions_per_client) that the
    /// application knows. Among [all sessions](BrokerLimits::sessions) of a public server anyone can
    /// end anybody's stream; refuse there.
    EvictOldest,
}

/// How many sessions there may be, and what one more meets.
#[cfg_attr(feature = "record", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionLimit {
    /// How many there may be at a time.
    pub most: NonZeroU32,
    /// What a session meets that would be one more. Default [`LimitPolicy::Refuse`], so that those
    /// that are here are served.
    pub policy: LimitPolicy,
}

impl SessionLimit {
    const fn refusing(most: NonZeroU32) -> Self {
        Self { most, policy: LimitPolicy::Refuse }
    }

    /// Returns whether there are as many as may be.
    pub(crate) const fn is_reached(self, count: usize) -> bool {
        count >= self.most.get() as usize
    }

    pub(crate) const fn is_exceeded(self, count: usize) -> bool {
        count > self.most.get() as usize
    }

    /// Returns whether one more is refused.
    pub(crate) fn refuses(self, count: usize) -> bool {
        self.policy == LimitPolicy::Refuse && self.is_reached(count)
    }
}

/// How many of each thing a broker has at most.
///
/// Where zero of something would let nothing through, the number is one that cannot be zero: a
/// number from elsewhere is [converted](TryFrom), a zero is refused there.
///
/// ```
/// use sansse::broker::{BrokerConfig, Epoch};
///
/// let mut config = BrokerConfig::new(Epoch(0xbeef));
/// config.limits.sessions.most = 20_000.try_into()?;
/// config.limits.retained_bytes = (64 << 20).try_into()?;
/// # Ok::<(), std::num::TryFromIntError>(())
/// ```
#[cfg_attr(feature = "record", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BrokerLimits {
    /// How many sessions may exist at a time. Default 100,000: far above what one process can have
    /// in open files without being told so, and small enough to bound memory.
    pub sessions: SessionLimit,
    /// How many sessions one client may have at a time. Default 256: a browser holds at most some
    /// hundred streams to one server (HTTP/2), and people have several devices. Publishing to a
    /// client costs the same however many it has, until as much is kept for the client as may be:
    /// from then on each publish looks at each session. Each end of a session costs as much as its client
    /// has sessions.
    pub sessions_per_client: SessionLimit,
    /// How many sessions there may be at a time from one address, of those that
    /// [have one](crate::broker::SessionConfig::with_address). Default 1,000: one caller alone
    /// cannot take all sessions, and an office behind one address is let in. Where many are behind
    /// one (a mobile network's), it should be more.
    pub sessions_per_address: SessionLimit,
    /// How many named topics one shard may keep at a time: those that hold events, have
    /// [settings](crate::broker::Broker::topic_mut) of their own, or have ended and are remembered.
    /// Default 100,000, some 45 MB without their events. Publishing to one more is
    /// [refused](crate::broker::PublishError::TooManyTopics). What is only subscribed to does not
    /// count here, so that no subscriber takes room from publishers. What another shard had room for
    /// is kept beyond the limit where somebody has subscribed to it here.
    pub topics: u32,
    /// How many names there may be at a time in one shard only because somebody subscribed to them:
    /// topics that hold nothing, and patterns. Default 100,000, some 37 MB. Subscribing to one
    /// more is refused, until somebody unsubscribes or something is published.
    ///
    /// A topic that has held something comes to these when its events have expired and it still has
    /// a subscriber, also beyond the limit.
    pub subscribed_topics: u32,
    /// How many subscriptions to topics and patterns the sessions of one client may have at a time,
    /// all together. Default 2,000: with 256 sessions, some eight for each.
    pub subscriptions_per_client: u32,
    /// How many subscriptions the sessions from one
    /// [address](crate::broker::SessionConfig::with_address) may have at a time, in one shard. Default
    /// 16,000: with 1,000 sessions, sixteen for each, and a sixth of all names that
    /// [may be subscribed to](Self::subscribed_topics), so that one caller cannot keep the others from
    /// subscribing. Where many are behind one, it should be more.
    pub subscriptions_per_address: u32,
    /// How many events one pattern refers to for long, which are the newest of all topics that match
    /// it. Default 8,192, as many as one topic keeps. A session may be as far behind in what it gets by
    /// a pattern, and gets as much replayed of it. It is told that something is missing where there
    /// was more, also if its topic still keeps it.
    ///
    /// The first session with a pattern pays for a look at so many topics and events, which by
    /// default takes about a millisecond for the broadest pattern. Where more topics have names that
    /// begin as the pattern does up to its first wildcard, the look goes through so many events that
    /// were published last to any topic. What matched and lies before these counts as lost, whether
    /// or not there was anything.
    pub pattern_events: NonZeroU32,
    /// How many ended topics are remembered that have no subscriber and keep nothing. Default
    /// 10,000; beyond it the one that ended first is forgotten.
    pub ended_topics: u32,
    /// How many subscriptions one session may have, to named topics and patterns together. Default
    /// 64; delivery looks at each.
    pub topics_per_session: u32,
    /// How many topics and patterns the [permission](crate::broker::SessionConfig::with_permitted)
    /// of one session may name, together. Default 256; each subscription is looked for in all of
    /// them. Up to this number of topics and patterns can be
    /// [revoked](crate::broker::ClientMut::revoke_topic) from one session. One more ends the
    /// session, with [`EndReason::Revoked`](crate::broker::EndReason).
    pub permitted_per_session: u32,
    /// How many clients without a session one shard remembers at a time. Default 100,000; beyond it
    /// the one that has been away longest is forgotten early.
    pub absent_clients: u32,
    /// How many outputs of one shard may wait unread in `poll_event` and, of ended sessions, in
    /// `poll_ready` before no session is opened there any more. Default 100,000.
    pub unread_events: NonZeroU32,
    /// How many bytes of events, encoded, all logs of one shard may keep together.
    /// Default 256 MiB, a fraction of a small server's memory. Beyond it, the largest log gives
    /// up its oldest event; the new event counts as kept by its log. Of two logs of equal size, the
    /// one whose oldest event is older gives way. So a log that keeps less than an equal share
    /// loses nothing to those that keep more.
    ///
    /// An event takes some 110 bytes of memory beside these, so that logs of events of 100 bytes take
    /// twice this number.
    ///
    /// What patterns refer to is counted beside that, with 40 bytes for each event and 64 for an id of
    /// its own: all patterns together take no more than an eighth of this number, or 256 KiB if that
    /// is more. Beyond it, the pattern that refers to the most gives up its oldest references, and
    /// what these were counts as lost by that pattern.
    pub retained_bytes: NonZeroUsize,
}

impl BrokerLimits {
    pub(super) const DEFAULT: Self = Self {
        sessions: SessionLimit::refusing(NonZeroU32::new(100_000).unwrap()),
        sessions_per_client: SessionLimit::refusing(NonZeroU32::new(256).unwrap()),
        sessions_per_address: SessionLimit::refusing(NonZeroU32::new(1_000).unwrap()),
        topics: 100_000,
        subscribed_topics: 100_000,
        subscriptions_per_client: 2_000,
        subscriptions_per_address: 16_000,
        pattern_events: NonZeroU32::new(8_192).unwrap(),
        ended_topics: 10_000,
        topics_per_session: 64,
        permitted_per_session: 256,
        absent_clients: 100_000,
        unread_events: NonZeroU32::new(100_000).unwrap(),
        retained_bytes: NonZeroUsize::new(256 << 20).unwrap(),
    };
}

impl Default for BrokerLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}
