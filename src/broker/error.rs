//! Every error of the broker, whose fault it is, and whether a refused peer comes back.

use crate::fault::Fault;
use crate::last_event_id::UnusableId;
use core::fmt;

/// Whether a peer whose session was [not opened](OpenError) is to come back, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ComesBack {
    /// It is not: another attempt meets the same error.
    Never,
    /// After [`Reconnect::retry_after`](crate::broker::Reconnect::retry_after): it has as
    /// many sessions or subscriptions as it may, and has to close one itself. As an HTTP status that is 429.
    AfterMinimum,
    /// When its turn comes among all that were refused, so that they do not come all at once. As an
    /// HTTP status that is 503.
    InTurn,
}

/// Why a text is no [`ClientId`](crate::broker::ClientId) and no other name, by the caller's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameError {
    /// The text is empty.
    Empty,
    /// The text is longer than [`MAX_NAME`](crate::broker::MAX_NAME) bytes.
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// The text holds a character that has no place in the name of a topic.
    Forbidden {
        /// Where it stands, in bytes.
        position: usize,
        /// What it is.
        character: char,
    },
    /// The text has more than [`MAX_LEVELS`](crate::broker::MAX_LEVELS) levels.
    TooManyLevels {
        /// How many.
        levels: usize,
    },
    /// A wildcard of a pattern is only a part of its level, or `**` is not the last level.
    Wildcard {
        /// Where it stands, in bytes.
        position: usize,
    },
    /// The text of a pattern holds no wildcard: it is the name of a topic.
    NoWildcard,
    /// The text is no [`SessionId`](crate::broker::SessionId).
    NoSession,
}

impl NameError {
    /// Returns whose fault it is.
    pub const fn fault(&self) -> Fault {
        Fault::Caller
    }
}

impl core::error::Error for NameError {}

/// A setting that cannot hold, by the caller's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// A retention of no age: the log is also the queue, so nothing could be delivered.
    ZeroRetentionAge,
    /// A heartbeat interval of zero would send heartbeats without end.
    ZeroHeartbeat,
    /// A stall timeout of zero would end every session.
    ZeroStallTimeout,
    /// A wait of no time for an id that is ahead; `None` is the setting without one.
    ZeroAheadWait,
    /// Keys sign the ids that the broker makes, and with
    /// [`EventIds::Own`](crate::broker::EventIds::Own) it makes none.
    NothingToSign,
    /// A maximum age of zero would end every session.
    ZeroSessionAge,
    /// With a jitter as large as the maximum age, a session could end as soon as it begins.
    JitterBeyondAge,
}

impl ConfigError {
    /// Returns whose fault it is.
    pub const fn fault(&self) -> Fault {
        Fault::Caller
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ZeroRetentionAge => "events that are kept for no time are not delivered",
            Self::ZeroHeartbeat => "a heartbeat interval of zero",
            Self::ZeroStallTimeout => "a stall timeout of zero",
            Self::ZeroAheadWait => "a wait of no time for ids that are ahead",
            Self::NothingToSign => "keys for ids of the broker's making, which makes none",
            Self::ZeroSessionAge => "a maximum age of zero",
            Self::JitterBeyondAge => "a jitter that leaves nothing of the maximum age",
        })
    }
}

impl core::error::Error for ConfigError {}

/// Why a session was not opened.
///
/// Over HTTP a peer that [comes back](Self::comes_back) is answered by a stream that says so, or by
/// the status given here, as [`RefuseBy`](crate::hub::RefuseBy) says.
#[cfg_attr(feature = "record", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenError {
    /// The broker was closed. The HTTP status is 503.
    Closed,
    /// All topics of a session without the broadcast have ended, and nothing of them is left for
    /// it. The HTTP status is 204, after which an `EventSource` asks no more (WHATWG HTML, 9.2.2).
    TopicsEnded,
    /// The session asks for a topic, or a pattern, that is not
    /// [permitted](crate::broker::SessionConfig::with_permitted) to it. The HTTP status is 403.
    NotPermitted,
    /// The broker lets its sessions go. The HTTP status is 503.
    Draining,
    /// The hub belongs to a [realm](crate::cluster), and its node has not read yet what there was when
    /// it joined: it cannot say yet what a peer has missed. The HTTP status is 503.
    Joining,
    /// There are as many sessions as may be. The HTTP status is 503.
    TooManySessions,
    /// The client has as many sessions as it may. The HTTP status is 429.
    TooManySessionsOfClient {
        /// How many it may have.
        limit: u32,
    },
    /// There are as many sessions from this address as may be. The HTTP status is 429.
    TooManySessionsFromAddress {
        /// How many there may be.
        limit: u32,
    },
    /// There are as many topics and patterns to which nothing was published as
    /// [may be](crate::broker::BrokerLimits::subscribed_topics), and the session wants a new one. The
    /// HTTP status is 503.
    TooManyTopics,
    /// The client's sessions would have more subscriptions than they
    /// [may](crate::broker::BrokerLimits::subscriptions_per_client). The HTTP
    /// status is 429.
    TooManySubscriptionsOfClient {
        /// How many there may be.
        limit: u32,
    },
    /// The sessions from the address would have more subscriptions than they
    /// [may](crate::broker::BrokerLimits::subscriptions_per_address). The HTTP
    /// status is 429.
    TooManySubscriptionsFromAddress {
        /// How many there may be.
        limit: u32,
    },
    /// The session wants more topics than one may have, by the fault of the peer that asks for them.
    /// The HTTP status is 400.
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
    /// The session's lease is over already. The HTTP status is 403.
    LeaseInThePast,
}

impl OpenError {
    /// Returns whose fault it is.
    pub const fn fault(&self) -> Fault {
        match self {
            Self::NotPermitted | Self::LeaseInThePast | Self::TooManyTopicsOfSession { .. } => {
                Fault::Peer
            }
            Self::TooManyPermitted { .. } | Self::ZeroHeartbeat | Self::ZeroStallTimeout => {
                Fault::Caller
            }
            Self::TooManySessions
            | Self::TooManySessionsOfClient { .. }
            | Self::TooManySessionsFromAddress { .. }
            | Self::TooManyTopics
            | Self::TooManySubscriptionsOfClient { .. }
            | Self::TooManySubscriptionsFromAddress { .. }
            | Self::UnreadEvents => Fault::Limit,
            Self::Closed | Self::Draining | Self::Joining | Self::TopicsEnded => Fault::State,
        }
    }

    /// Returns whether the peer is to come back for another attempt, and when.
    pub const fn comes_back(&self) -> ComesBack {
        match self {
            Self::TopicsEnded => ComesBack::Never,
            // The peer itself has to close one, and others are not to wait for that.
            Self::TooManySessionsOfClient { .. }
            | Self::TooManySessionsFromAddress { .. }
            | Self::TooManySubscriptionsOfClient { .. }
            | Self::TooManySubscriptionsFromAddress { .. } => ComesBack::AfterMinimum,
            _ => match self.fault() {
                Fault::Peer | Fault::Caller => ComesBack::Never,
                _ => ComesBack::InTurn,
            },
        }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the broker is closed"),
            Self::TopicsEnded => f.write_str("all topics have ended, and nothing is left"),
            Self::NotPermitted => f.write_str("a topic that is not permitted"),
            Self::Draining => f.write_str("the broker lets its sessions go"),
            Self::Joining => f.write_str("the node has not read yet what there was"),
            Self::TooManySessions => f.write_str("too many sessions"),
            Self::TooManySessionsOfClient { limit } => {
                write!(f, "more than {limit} sessions of one client")
            }
            Self::TooManySessionsFromAddress { limit } => {
                write!(f, "more than {limit} sessions from one address")
            }
            Self::TooManyTopics => f.write_str("too many topics"),
            Self::TooManySubscriptionsOfClient { limit } => {
                write!(f, "more than {limit} subscriptions of one client")
            }
            Self::TooManySubscriptionsFromAddress { limit } => {
                write!(f, "more than {limit} subscriptions from one address")
            }
            Self::TooManyTopicsOfSession { limit } => {
                write!(f, "more than {limit} topics in one session")
            }
            Self::TooManyPermitted { limit } => {
                write!(f, "a permission of more than {limit} topics")
            }
            Self::UnreadEvents => f.write_str("too many events wait to be polled"),
            Self::ZeroHeartbeat => f.write_str("a heartbeat interval of zero"),
            Self::ZeroStallTimeout => f.write_str("a stall timeout of zero"),
            Self::LeaseInThePast => f.write_str("the lease is over already"),
        }
    }
}

impl core::error::Error for OpenError {}

/// Why a session was not subscribed. Nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubscribeError {
    /// No such session is open, or it is about to end.
    UnknownSession,
    /// The session may not subscribe to that: it is not
    /// [permitted](crate::broker::SessionConfig::with_permitted), or was
    /// [revoked](crate::broker::ClientMut::revoke_topic) since.
    NotPermitted,
    /// There are as many topics and patterns to which nothing was published as
    /// [may be](crate::broker::BrokerLimits::subscribed_topics), and this would be a new one.
    TooManyTopics,
    /// The client's sessions would have more subscriptions than they
    /// [may](crate::broker::BrokerLimits::subscriptions_per_client).
    TooManySubscriptionsOfClient {
        /// How many there may be.
        limit: u32,
    },
    /// The sessions from the address would have more subscriptions than they
    /// [may](crate::broker::BrokerLimits::subscriptions_per_address).
    TooManySubscriptionsFromAddress {
        /// How many there may be.
        limit: u32,
    },
    /// The session has as many topics and patterns as one may have.
    TooManyTopicsOfSession {
        /// How many it may have.
        limit: u32,
    },
}

impl SubscribeError {
    /// Returns whose fault it is.
    pub const fn fault(&self) -> Fault {
        match self {
            Self::NotPermitted => Fault::Peer,
            Self::TooManyTopics
            | Self::TooManySubscriptionsOfClient { .. }
            | Self::TooManySubscriptionsFromAddress { .. }
            | Self::TooManyTopicsOfSession { .. } => Fault::Limit,
            Self::UnknownSession => Fault::State,
        }
    }
}

impl fmt::Display for SubscribeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownSession => f.write_str("no such session is open"),
            Self::NotPermitted => f.write_str("the topic is not permitted"),
            Self::TooManyTopics => f.write_str("too many topics"),
            Self::TooManySubscriptionsOfClient { limit } => {
                write!(f, "more than {limit} subscriptions of one client")
            }
            Self::TooManySubscriptionsFromAddress { limit } => {
                write!(f, "more than {limit} subscriptions from one address")
            }
            Self::TooManyTopicsOfSession { limit } => {
                write!(f, "more than {limit} topics in one session")
            }
        }
    }
}

impl core::error::Error for SubscribeError {}

/// Why an event was not published. Nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PublishError {
    /// The [driver](crate::hub::Drive) of the hub was dropped, so that no time passes for it any
    /// more: it has closed, and heals when it is built anew.
    NotDriven,
    /// The broker was closed, or the node of the [realm](crate::cluster) has shut down.
    Closed,
    /// No such client is connected, or was within the grace time.
    UnknownClient,
    /// No such session is open, or it is about to end.
    UnknownSession,
    /// There are as many topics as may be, and this would be a new one.
    TooManyTopics,
    /// The topic was ended.
    TopicEnded,
    /// The encoded event is larger than all that the topic may keep, or all topics together, or than
    /// the batches of a [realm](crate::cluster).
    TooLarge {
        /// Its size in bytes.
        size: usize,
        /// The topic's [`Retention::bytes`](crate::broker::Retention), or the broker's
        /// [`retained_bytes`](crate::broker::BrokerLimits::retained_bytes) if that is less. Of a
        /// realm, it is `batch_bytes` of the node's configuration.
        limit: usize,
    },
    /// The event brings an id with which its receiver could not come back.
    UnusableId(UnusableId),
    /// A session, or an open session of the client, has not taken as much as is
    /// [kept](crate::broker::BrokerConfig::private_retention), so that it would lose an event by
    /// this one; or all logs together keep as much as
    /// [they may](crate::broker::BrokerLimits::retained_bytes), and this one would give way. Nothing
    /// is lost: publish it again when the session has taken something, as
    /// [`Hub::publish_when_room`](crate::hub::Hub::publish_when_room) does.
    NoRoom,
    /// It was numbered in another epoch than this broker's.
    OtherEpoch,
    /// Its position is not after that of an event that is already here. Also the answer to an event
    /// that is to be numbered when no position is left.
    OutOfOrder {
        /// The position of the newest event here.
        last: u64,
    },
    /// The hub's stream is that of a [realm](crate::cluster), whose engine gives the positions:
    /// publish to the realm.
    OfRealm,
    /// The realm's engine cannot be reached, or does not serve this node now. Nothing was published;
    /// publish it again when the engine is back. `Realm::last_error` says why: some causes, such as a
    /// wrong password or another epoch, do not go by themselves.
    EngineDown,
    /// As much waits to be appended to the realm's log as may. Nothing was published; publish it
    /// again in a moment.
    Busy,
    /// The engine was asked to append it, and its answer did not come in time: it may be published,
    /// now or later, or not.
    Unconfirmed,
}

impl PublishError {
    /// Returns whose fault it is.
    pub const fn fault(&self) -> Fault {
        match self {
            Self::UnusableId(error) => error.fault(),
            Self::NotDriven | Self::OtherEpoch | Self::OutOfOrder { .. } | Self::OfRealm => {
                Fault::Caller
            }
            Self::TooManyTopics | Self::TooLarge { .. } | Self::NoRoom | Self::Busy => Fault::Limit,
            Self::EngineDown | Self::Unconfirmed => Fault::Transport,
            Self::Closed | Self::UnknownClient | Self::UnknownSession | Self::TopicEnded => {
                Fault::State
            }
        }
    }
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotDriven => f.write_str("the driver of the hub is gone"),
            Self::Closed => f.write_str("the broker is closed, or the node has shut down"),
            Self::UnknownClient => f.write_str("no such client is connected"),
            Self::UnknownSession => f.write_str("no such session is open"),
            Self::TooManyTopics => f.write_str("too many topics"),
            Self::TopicEnded => f.write_str("the topic has ended"),
            Self::TooLarge { size, limit } => {
                write!(f, "an event of {size} bytes, where {limit} are the most")
            }
            Self::UnusableId(error) => error.fmt(f),
            Self::NoRoom => f.write_str("a session has yet to take all that is kept for it"),
            Self::OtherEpoch => f.write_str("the event belongs to another epoch"),
            Self::OutOfOrder { last } => {
                write!(f, "position {last} is here already, and the event does not come after it")
            }
            Self::OfRealm => f.write_str("the hub belongs to a realm: publish to that"),
            Self::EngineDown => f.write_str("the realm's engine is down"),
            Self::Busy => f.write_str("too much waits to be appended to the realm's log"),
            Self::Unconfirmed => f.write_str("the realm's engine has not said whether it has it"),
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

impl TopicSettingError {
    /// Returns whose fault it is.
    pub const fn fault(&self) -> Fault {
        match self {
            Self::Config(error) => error.fault(),
            Self::TooManyTopics => Fault::Limit,
        }
    }
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

/// Why a lease was not renewed. Nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LeaseError {
    /// No such session is open.
    UnknownSession,
    /// The lease would be over already, by the caller's fault.
    InThePast,
}

impl LeaseError {
    /// Returns whose fault it is.
    pub const fn fault(&self) -> Fault {
        match self {
            Self::InThePast => Fault::Caller,
            Self::UnknownSession => Fault::State,
        }
    }
}

impl fmt::Display for LeaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownSession => "no such session is open",
            Self::InThePast => "the lease would be over already",
        })
    }
}

impl core::error::Error for LeaseError {}

/// Why nothing was revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RevokeError {
    /// No such client is connected, or was within the grace time.
    UnknownClient,
}

impl RevokeError {
    /// Returns whose fault it is.
    pub const fn fault(&self) -> Fault {
        match self {
            Self::UnknownClient => Fault::State,
        }
    }
}

impl fmt::Display for RevokeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownClient => f.write_str("no such client is connected"),
        }
    }
}

impl core::error::Error for RevokeError {}

/// Why a broker does not drain. Nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DrainError {
    /// The broker was closed.
    Closed,
    /// It drains already. [`Broker::close`](crate::broker::Broker::close) ends all that are left.
    AlreadyDraining,
    /// The farewell brings an id, by the caller's fault: it would take the place from which a
    /// session resumes.
    FarewellWithId,
}

impl DrainError {
    /// Returns whose fault it is.
    pub const fn fault(&self) -> Fault {
        match self {
            Self::FarewellWithId => Fault::Caller,
            Self::Closed | Self::AlreadyDraining => Fault::State,
        }
    }
}

impl fmt::Display for DrainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "the broker is closed",
            Self::AlreadyDraining => "the broker drains already",
            Self::FarewellWithId => "a farewell with an id",
        })
    }
}

impl core::error::Error for DrainError {}

/// Why a roster cannot go on. It is to be begun anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RosterError {
    /// The page does not follow the one before, by the caller's fault.
    OutOfOrder,
    /// More than 100,000 changes wait for pages that did not come.
    TooManyWaiting,
}

impl RosterError {
    /// Returns whose fault it is.
    pub const fn fault(&self) -> Fault {
        match self {
            Self::OutOfOrder => Fault::Caller,
            Self::TooManyWaiting => Fault::Limit,
        }
    }
}

impl fmt::Display for RosterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OutOfOrder => "the page does not follow the one before",
            Self::TooManyWaiting => "too many changes wait for a page",
        })
    }
}

impl core::error::Error for RosterError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_peer_for_which_waiting_helps_comes_back() {
        use OpenError as E;
        let (of_client, from_address) =
            (E::TooManySessionsOfClient { limit: 1 }, E::TooManySessionsFromAddress { limit: 1 });
        for (error, blame, comes_back) in [
            (E::Closed, Fault::State, ComesBack::InTurn),
            (E::Draining, Fault::State, ComesBack::InTurn),
            (E::Joining, Fault::State, ComesBack::InTurn),
            (E::TopicsEnded, Fault::State, ComesBack::Never),
            (E::NotPermitted, Fault::Peer, ComesBack::Never),
            (E::LeaseInThePast, Fault::Peer, ComesBack::Never),
            (E::TooManySessions, Fault::Limit, ComesBack::InTurn),
            (of_client, Fault::Limit, ComesBack::AfterMinimum),
            (from_address, Fault::Limit, ComesBack::AfterMinimum),
            (E::TooManyTopics, Fault::Limit, ComesBack::InTurn),
            (E::TooManySubscriptionsOfClient { limit: 1 }, Fault::Limit, ComesBack::AfterMinimum),
            (
                E::TooManySubscriptionsFromAddress { limit: 1 },
                Fault::Limit,
                ComesBack::AfterMinimum,
            ),
            (E::UnreadEvents, Fault::Limit, ComesBack::InTurn),
            (E::TooManyTopicsOfSession { limit: 1 }, Fault::Peer, ComesBack::Never),
            (E::TooManyPermitted { limit: 1 }, Fault::Caller, ComesBack::Never),
            (E::ZeroHeartbeat, Fault::Caller, ComesBack::Never),
            (E::ZeroStallTimeout, Fault::Caller, ComesBack::Never),
        ] {
            assert_eq!((error.fault(), error.comes_back()), (blame, comes_back), "{error}");
        }
    }
}
