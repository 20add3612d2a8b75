//! What a broker says: outcomes, events and errors.

use super::config::ConfigError;
use super::names::{ClientId, SessionId};
use core::fmt;
use std::time::Instant;

/// A session that was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Opened {
    /// Its id.
    pub session: SessionId,
    /// How its resumption went.
    pub resume: Resume,
}

/// How a session continues from where an earlier one broke off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Resume {
    /// It asked for nothing and starts now.
    Live,
    /// It brought no id and asked for all that is kept, which is replayed.
    Oldest {
        /// How many events.
        replayed: u64,
    },
    /// Everything since its last event id is replayed; nothing is missing, but what newer events
    /// of the same key have superseded in a [compact](super::Retention::compact) log.
    Complete {
        /// How many events; a session that
        /// [keeps the newest per key](super::LagPolicy::KeepNewestPerKey) is spared some of them.
        replayed: u64,
    },
    /// Its last event id is known to be older than something that is kept no more.
    ///
    /// What is kept after it is replayed, or nothing, as
    /// [`BrokerConfig::unresumable`](super::BrokerConfig) says.
    Gap {
        /// How many events.
        replayed: u64,
    },
    /// Its last event id is no place in any stream: malformed, over-long, or an application's own
    /// id that is kept no more. What is replayed is as for a gap; where ids are signed, nothing.
    UnknownId {
        /// How many events.
        replayed: u64,
    },
    /// Its last event id is from another life of the stream, so that nobody knows what is missing.
    /// What is replayed is as for a gap.
    OtherEpoch {
        /// How many events.
        replayed: u64,
    },
    /// Its last event id names a position of this epoch that was not given out here yet: it was
    /// made by hand, or an epoch was used twice, or it comes from a shard that is ahead of this
    /// one. What is replayed is as for a gap; in the last case the session gets again what it
    /// has.
    Ahead {
        /// How many events.
        replayed: u64,
    },
    /// Its last event id names a place without the code that this broker's keys make for it:
    /// forged, or of another stream. Nothing is replayed: the session starts now. Only where
    /// [`BrokerConfig::cursor_keys`](super::BrokerConfig) are set, by the feature `signed`.
    Forged,
}

impl Resume {
    /// How many events are replayed.
    pub const fn replayed(self) -> u64 {
        match self {
            Self::Live | Self::Forged => 0,
            Self::Oldest { replayed }
            | Self::Complete { replayed }
            | Self::Gap { replayed }
            | Self::UnknownId { replayed }
            | Self::OtherEpoch { replayed }
            | Self::Ahead { replayed } => replayed,
        }
    }

    /// Whether the session may have missed something.
    pub const fn may_miss(self) -> bool {
        !matches!(self, Self::Live | Self::Oldest { .. } | Self::Complete { .. })
    }

    pub(super) const fn with_replayed(self, replayed: u64) -> Self {
        match self {
            Self::Live => Self::Live,
            Self::Oldest { .. } => Self::Oldest { replayed },
            Self::Complete { .. } => Self::Complete { replayed },
            Self::Gap { .. } => Self::Gap { replayed },
            Self::UnknownId { .. } => Self::UnknownId { replayed },
            Self::OtherEpoch { .. } => Self::OtherEpoch { replayed },
            Self::Ahead { .. } => Self::Ahead { replayed },
            Self::Forged => Self::Forged,
        }
    }

    /// The word for it in an announcement.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Oldest { .. } => "oldest",
            Self::Complete { .. } => "complete",
            Self::Gap { .. } => "gap",
            Self::UnknownId { .. } => "unknown",
            Self::OtherEpoch { .. } => "other-epoch",
            Self::Ahead { .. } => "ahead",
            Self::Forged => "forged",
        }
    }
}

/// What happened, for the application to see.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BrokerEvent {
    /// A client that was unknown has its first session.
    ClientJoined {
        /// Who.
        client: ClientId,
    },
    /// A client had no session for the grace time and is forgotten, with its metadata.
    ClientLeft {
        /// Who.
        client: ClientId,
    },
    /// A session was opened.
    SessionOpened {
        /// Which.
        session: SessionId,
        /// Whose.
        client: Option<ClientId>,
        /// How its resumption went.
        resume: Resume,
    },
    /// A session was too far behind and its policy made it skip.
    ///
    /// Skips that follow each other before this event is polled are added up.
    SessionSkipped {
        /// Which.
        session: SessionId,
        /// Whose.
        client: Option<ClientId>,
        /// How many events it did not get.
        lost: u64,
    },
    /// A session was spared events that newer ones of the same [key](super::EventKey) have
    /// superseded.
    ///
    /// Those that follow each other before this event is polled are added up.
    SessionCoalesced {
        /// Which.
        session: SessionId,
        /// Whose.
        client: Option<ClientId>,
        /// How many events it did not get and need not have.
        coalesced: u64,
    },
    /// A session's lease is about to lapse: it ends then, unless the lease is
    /// [renewed](super::Broker::renew_lease).
    LeaseExpiring {
        /// Which.
        session: SessionId,
        /// Whose.
        client: Option<ClientId>,
        /// Until when it may listen.
        until: Instant,
    },
    /// A session ended. There is exactly one of these for each that was opened, and none after it.
    SessionEnded {
        /// Which.
        session: SessionId,
        /// Whose.
        client: Option<ClientId>,
        /// Why.
        reason: EndReason,
        /// How many events published to this session alone it did not take, and no other ever
        /// will.
        undelivered: u64,
    },
    /// The last session of a [drain](super::Broker::drain) is gone.
    Drained {
        /// The shard that has none any more.
        shard: u16,
    },
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EndReason {
    /// Its driver said that the connection is gone.
    Disconnected,
    /// The application closed it.
    Closed,
    /// The broker was closed.
    Shutdown,
    /// It was too far behind, and its policy is to close.
    Lagged {
        /// How many of the events that it did not get are kept no more; with 0, it was only
        /// further behind than its [`Lag`](super::Lag) allows, and can resume without a loss.
        lost: u64,
    },
    /// It had output and took none for the stall timeout.
    Stalled,
    /// All its topics have ended, it has what they kept, and it does without the broadcast.
    TopicsEnded,
    /// It made room for a newer one, as [`LimitPolicy::EvictOldest`](super::LimitPolicy) says.
    Evicted,
    /// It had the age of [`BrokerConfig::max_session_age`](super::BrokerConfig).
    MaxAge,
    /// Its turn came in a [drain](super::Broker::drain).
    Drained,
    /// Its [lease](super::SessionRequest::with_lease) lapsed and was not renewed.
    LeaseExpired,
    /// Its client's rights were [revoked](super::Broker::revoke).
    Revoked,
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disconnected => f.write_str("the connection is gone"),
            Self::Closed => f.write_str("closed by the application"),
            Self::Shutdown => f.write_str("the broker was closed"),
            Self::Lagged { lost } => write!(f, "too far behind by {lost} events"),
            Self::Stalled => f.write_str("took nothing for too long"),
            Self::TopicsEnded => f.write_str("all its topics have ended"),
            Self::Evicted => f.write_str("made room for a newer session"),
            Self::MaxAge => f.write_str("had the maximum age"),
            Self::LeaseExpired => f.write_str("its lease lapsed"),
            Self::Revoked => f.write_str("its client's rights were revoked"),
            Self::Drained => f.write_str("the broker lets its sessions go"),
        }
    }
}

/// Why a session was not opened.
#[cfg_attr(feature = "record", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenError {
    /// The broker was closed. An HTTP answer is 503.
    Closed,
    /// All topics of a session without the broadcast have ended, and nothing of them is left for
    /// it. An HTTP answer is 204, after which an `EventSource` asks no more (WHATWG HTML, 9.2.2).
    TopicsEnded,
    /// The session asks for a topic, or a pattern, that is not
    /// [permitted](super::SessionRequest::with_permitted) to it. An HTTP answer is 403.
    NotPermitted,
    /// The broker lets its sessions go. An HTTP answer is 503 with `Retry-After`.
    Draining,
    /// There are as many sessions as may be. An HTTP answer is 503 with `Retry-After`.
    TooManySessions,
    /// The client has as many sessions as it may. An HTTP answer is 429 with `Retry-After`.
    TooManySessionsOfClient {
        /// How many it may have.
        limit: u32,
    },
    /// There are as many sessions from this address as may be. An HTTP answer is 429 with
    /// `Retry-After`.
    TooManySessionsFromAddress {
        /// How many there may be.
        limit: u32,
    },
    /// There are as many topics as may be, and the session wants a new one. An HTTP answer is 503.
    TooManyTopics,
    /// The session wants more topics than one may have, by the caller's fault.
    TooManyTopicsOfSession {
        /// How many it may have.
        limit: u32,
    },
    /// The session's permission names more topics and patterns than one may, by the caller's fault.
    TooManyPermitted {
        /// How many it may name.
        limit: u32,
    },
    /// Too many events wait to be polled: the application does not read them.
    UnreadEvents,
    /// The session asks for a heartbeat interval of zero, by the caller's fault.
    ZeroHeartbeat,
    /// The session asks for a stall timeout of zero, by the caller's fault.
    ZeroStallTimeout,
    /// The session asks for a [`Lag`](super::Lag) with a bound of zero, by the caller's fault.
    ZeroLag,
    /// The session's lease is over already. An HTTP answer is 403.
    LeaseInThePast,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the broker is closed"),
            Self::TopicsEnded => f.write_str("all topics have ended, and nothing is left"),
            Self::NotPermitted => f.write_str("a topic that is not permitted"),
            Self::Draining => f.write_str("the broker lets its sessions go"),
            Self::TooManySessions => f.write_str("too many sessions"),
            Self::TooManySessionsOfClient { limit } => {
                write!(f, "more than {limit} sessions of one client")
            }
            Self::TooManySessionsFromAddress { limit } => {
                write!(f, "more than {limit} sessions from one address")
            }
            Self::TooManyTopics => f.write_str("too many topics"),
            Self::TooManyTopicsOfSession { limit } => {
                write!(f, "more than {limit} topics in one session")
            }
            Self::TooManyPermitted { limit } => {
                write!(f, "a permission of more than {limit} topics")
            }
            Self::UnreadEvents => f.write_str("too many events wait to be polled"),
            Self::ZeroHeartbeat => f.write_str("a heartbeat interval of zero"),
            Self::ZeroStallTimeout => f.write_str("a stall timeout of zero"),
            Self::ZeroLag => f.write_str("a session that may be behind by nothing"),
            Self::LeaseInThePast => f.write_str("the lease is over already"),
        }
    }
}

impl core::error::Error for OpenError {}

/// Why an event was not published. Nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PublishError {
    /// The broker was closed.
    Closed,
    /// No such client is connected, or was within the grace time.
    UnknownClient,
    /// No such session is open.
    UnknownSession,
    /// There are as many topics as may be, and this would be a new one.
    TooManyTopics,
    /// The topic was ended.
    TopicEnded,
    /// The encoded event is larger than all that the topic may keep, or all topics together.
    TooLarge {
        /// Its size in bytes.
        size: usize,
        /// The topic's [`Retention::bytes`](super::Retention), or the broker's
        /// [`max_retained_bytes`](super::BrokerConfig::max_retained_bytes) if that is less.
        limit: usize,
    },
    /// It was numbered in another epoch than this broker's.
    OtherEpoch,
    /// It was numbered before an event that is already here.
    OutOfOrder {
        /// The position of the newest event here.
        last: u64,
    },
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the broker is closed"),
            Self::UnknownClient => f.write_str("no such client is connected"),
            Self::UnknownSession => f.write_str("no such session is open"),
            Self::TooManyTopics => f.write_str("too many topics"),
            Self::TopicEnded => f.write_str("the topic has ended"),
            Self::TooLarge { size, limit } => {
                write!(f, "an event of {size} bytes, where {limit} are kept")
            }
            Self::OtherEpoch => f.write_str("the event belongs to another epoch"),
            Self::OutOfOrder { last } => write!(f, "the event comes after position {last}"),
        }
    }
}

impl core::error::Error for PublishError {}

/// Why a topic's retention or lag was not set. Nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TopicSettingError {
    /// The setting cannot hold.
    Config(ConfigError),
    /// There are as many topics as may be, and this would be a new one.
    TooManyTopics,
}

impl fmt::Display for TopicSettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::TooManyTopics => f.write_str("too many topics"),
        }
    }
}

impl core::error::Error for TopicSettingError {}
