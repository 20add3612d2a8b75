//! What can be set about a broker and about a session, with defaults and their reasons.

use super::lag::{Lag, LagPolicy};
use super::limits::{self, AddressKey, LimitPolicy};
use super::names::{ClientId, Epoch, TopicName};
use super::pattern::{TopicFilter, TopicPattern};
use super::presence::Metadata;
#[cfg(feature = "signed")]
use super::signature::CursorKeys;
use crate::event::EventType;
use crate::last_event_id::LastEventId;
use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::fmt;
use core::num::{NonZeroU16, NonZeroU32};
use core::time::Duration;
use std::time::Instant;

/// How a [`Broker`](super::Broker) behaves.
///
/// # Several shards
///
/// Of a [hub](crate::hub)'s shards each has this configuration, and it says what holds for the hub:
/// how many sessions there may be, in all, of a client and from an address, and what comes back in a
/// second. What bounds the memory of what is kept holds for each shard, as
/// [`HubBuilder::with_shards`](crate::hub::HubBuilder::with_shards) says.
///
/// Brokers that are used as shards without a hub, perhaps on several machines, know nothing of each
/// other's sessions. Each limit holds for each of them, and
/// [`max_sessions_per_client`](Self::max_sessions_per_client) for the client as a whole if its
/// sessions share a shard; [`shards`](Self::shards) divides the rate at which peers come back, and
/// nothing else. Whoever runs them gives each its part of the limits.
#[cfg_attr(feature = "record", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BrokerConfig {
    /// Which life of the stream this is; see [`Epoch`].
    pub epoch: Epoch,
    /// The number of this shard, which is part of its sessions' ids. Default 0.
    pub shard: u16,
    /// How many shards there are, so that what is promised for each second holds for all of them
    /// together. Default 1; a hub sets it and the number.
    pub shards: NonZeroU16,
    /// What ids events get that bring none. Default [`EventIds::Assigned`].
    pub event_ids: EventIds,
    /// Signs the ids that the broker makes, so that no peer can make one. Default `None`: ids are
    /// plain, and a peer that makes one by hand gets what is kept after that place.
    #[cfg(feature = "signed")]
    #[cfg_attr(docsrs, doc(cfg(feature = "signed")))]
    // A secret is in no record.
    #[cfg_attr(feature = "record", serde(skip))]
    pub cursor_keys: Option<CursorKeys>,
    /// How much of the broadcast and of each named topic is kept. It bounds both how far a
    /// session may fall behind and how long it may be away.
    pub retention: Retention,
    /// How much is kept of what is published to one client or to one session. Smaller by default
    /// (256 events, 256 KiB), since there are many of them.
    pub private_retention: Retention,
    /// How many named topics may exist and patterns be in use at a time, together, in one shard.
    /// Default 100,000, some 20 MB when empty.
    pub max_topics: u32,
    /// Of how many topics it is remembered that they ended, when nobody subscribes to them and
    /// nothing of them is kept. Default 10,000; beyond it the one that ended first is forgotten.
    pub max_ended_topics: u32,
    /// How many sessions may exist at a time. Default 100,000: far above what one process can have
    /// in open files without being told so, and small enough to bound memory.
    pub max_sessions: u32,
    /// What a session meets that would be one more. Default [`LimitPolicy::Refuse`], so that those
    /// who are here are served.
    pub at_max_sessions: LimitPolicy,
    /// How many sessions one client may have at a time. Default 256: a browser holds at most some
    /// hundred streams to one server (HTTP/2), and people have several devices. Publishing to a
    /// client, and each end of a session of it, costs as much as it has sessions.
    pub max_sessions_per_client: u32,
    /// What a session meets that would be one more of its client's. Default
    /// [`LimitPolicy::Refuse`].
    pub at_max_sessions_per_client: LimitPolicy,
    /// How many sessions there may be at a time from one address, of those that
    /// [have one](SessionRequest::with_address). Default 1,000: one caller alone cannot take all
    /// sessions, and an office behind one address is let in. Where many are behind one (a mobile
    /// network's), it should be more.
    pub max_sessions_per_address: u32,
    /// What a session meets that would be one more from its address. Default
    /// [`LimitPolicy::Refuse`].
    pub at_max_sessions_per_address: LimitPolicy,
    /// How many bytes of events, encoded, all logs of one shard may keep together, at least 1.
    /// Default 256 MiB, a fraction of a small server's memory. Beyond it, the log that would keep
    /// the most with the new event gives up its oldest one (of two that keep equally much, the one
    /// whose oldest event is the older), so that whoever keeps less than an equal share loses
    /// nothing to those who keep more.
    pub max_retained_bytes: usize,
    /// To how many named topics and patterns one session may subscribe, together. Default 64;
    /// delivery looks at each.
    pub max_topics_per_session: u32,
    /// How many topics and patterns the [permission](SessionRequest::with_permitted) of one session
    /// may name, together. Default 256; each subscription is looked for in all of them. As many
    /// topics may be taken out of it [again](super::Broker::revoke_topic): a session from which one
    /// more is revoked ends with [`EndReason::Revoked`](super::EndReason).
    pub max_permitted_per_session: u32,
    /// How many clients without a session one shard remembers at a time. Default 100,000; beyond it
    /// the one that has been away longest is forgotten early.
    pub max_absent_clients: u32,
    /// How many outputs of one shard may wait unread in `poll_event` and, of ended sessions, in
    /// `poll_ready` before no session is opened there any more. Default 100,000.
    pub max_unread_events: u32,
    /// How long a client without a session is remembered, with its metadata and what is kept for
    /// it. Default 30 s: a reload or a change of network is no leave.
    pub client_grace: Duration,
    /// How long a session may have output without taking any before it is ended as stalled, unless
    /// [the session](SessionRequest::with_stall_timeout) says otherwise. Default 60 s, long enough
    /// for a phone in a tunnel. `None`: for ever.
    pub stall_timeout: Option<Duration>,
    /// How long nothing is sent to a session before it gets a heartbeat, unless the session says
    /// otherwise. Default 15 s, as the standard suggests (WHATWG HTML, 9.2.7). `None`: never.
    pub heartbeat: Option<Duration>,
    /// How far a session may be behind, and what it meets beyond that, unless the session or
    /// [the topic](super::Broker::set_lag) says otherwise. Default: as far as events are kept, and
    /// [`LagPolicy::Close`].
    pub lag: Lag,
    /// Tells the peers of what they lost, unless a session says otherwise: before the first event
    /// after a hole comes one of this type, whose data is `{"lost":n}`. Default `None`: they are
    /// told nothing.
    ///
    /// It has an id, from which a resumption is right. Where several topics have holes, one event
    /// tells of all, at the place of the first. It takes no position and is not kept.
    pub loss_announcement: Option<EventType>,
    /// Where a session starts whose last event id leads nowhere. Default [`StartAt::Oldest`].
    pub unresumable: StartAt,
    /// The reconnection time that each session is told at its start. Default `None`: the
    /// receiver's own, some 3 to 5 s in browsers.
    pub retry: Option<Duration>,
    /// Whether sessions are told different reconnection times, beginning with
    /// [`retry`](Self::retry), or 3 s without: so that if all connections are lost at once, at most
    /// [`reconnects_per_second`](Self::reconnects_per_second) come back in any second. The more
    /// sessions there are, the longer one of them waits, also after a loss of its own alone, and
    /// therefore it is off by default.
    pub spread_retry: bool,
    /// How many peers may come back in a second where they are told when to. Default 1,000, which
    /// one process can take, with the handshakes and whatever else each costs.
    pub reconnects_per_second: NonZeroU32,
    /// The least that [`Broker::retry_after`](super::Broker::retry_after) says, rounded up to whole
    /// seconds. Default 5 s.
    pub retry_after: Duration,
    /// The age at which a session ends with [`EndReason::MaxAge`](super::EndReason), when it has
    /// got what was published before. A peer that resumes misses nothing, and may come to another
    /// server, with other rights. Default `None`: it may grow as old as it likes.
    pub max_session_age: Option<Duration>,
    /// By how much less a session's maximum age may be, evenly, so that those that were opened
    /// together do not end together; less than [`max_session_age`](Self::max_session_age). Default
    /// zero.
    pub max_session_age_jitter: Duration,
    /// How long before a session's [lease](SessionRequest::with_lease) lapses the application is
    /// asked about it; or when half of a lease is over that is shorter than twice this. Default
    /// 30 s, enough to ask somebody else.
    pub lease_lead: Duration,
    /// What whatever looks random follows from: the jitter of ages, and the order of a drain.
    /// Default 0; the same seed and the same inputs give the same outputs.
    pub seed: u64,
}

impl BrokerConfig {
    /// The defaults, in this epoch.
    pub const fn new(epoch: Epoch) -> Self {
        Self {
            epoch,
            shard: 0,
            shards: NonZeroU16::MIN,
            event_ids: EventIds::Assigned,
            #[cfg(feature = "signed")]
            cursor_keys: None,
            retention: Retention {
                events: 8_192,
                bytes: 4 << 20,
                age: Some(Duration::from_secs(300)),
                compact: false,
            },
            private_retention: Retention {
                events: 256,
                bytes: 256 << 10,
                age: Some(Duration::from_secs(300)),
                compact: false,
            },
            max_topics: 100_000,
            max_ended_topics: 10_000,
            max_sessions: 100_000,
            at_max_sessions: LimitPolicy::Refuse,
            max_sessions_per_client: 256,
            at_max_sessions_per_client: LimitPolicy::Refuse,
            max_sessions_per_address: 1_000,
            at_max_sessions_per_address: LimitPolicy::Refuse,
            max_retained_bytes: 256 << 20,
            max_topics_per_session: 64,
            max_permitted_per_session: 256,
            max_absent_clients: 100_000,
            max_unread_events: 100_000,
            client_grace: Duration::from_secs(30),
            stall_timeout: Some(Duration::from_secs(60)),
            heartbeat: Some(Duration::from_secs(15)),
            lag: Lag::new(LagPolicy::Close),
            loss_announcement: None,
            unresumable: StartAt::Oldest,
            retry: None,
            spread_retry: false,
            reconnects_per_second: NonZeroU32::MIN.saturating_add(999),
            retry_after: Duration::from_secs(5),
            max_session_age: None,
            max_session_age_jitter: Duration::ZERO,
            lease_lead: Duration::from_secs(30),
            seed: 0,
        }
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        for retention in [&self.retention, &self.private_retention] {
            retention.check()?;
        }
        check_stall_timeout(self.stall_timeout)?;
        #[cfg(feature = "signed")]
        if self.cursor_keys.is_some() && self.event_ids == EventIds::Own {
            return Err(ConfigError::NothingToSign);
        }
        self.lag.check()?;
        limits::check(self)?;
        match self.max_session_age {
            Some(Duration::ZERO) => return Err(ConfigError::ZeroSessionAge),
            Some(age) if age <= self.max_session_age_jitter => {
                return Err(ConfigError::JitterBeyondAge);
            }
            _ => {}
        }
        check_heartbeat(self.heartbeat)
    }
}

pub(super) fn check_heartbeat(heartbeat: Option<Duration>) -> Result<(), ConfigError> {
    match heartbeat {
        Some(Duration::ZERO) => Err(ConfigError::ZeroHeartbeat),
        _ => Ok(()),
    }
}

pub(super) fn check_stall_timeout(timeout: Option<Duration>) -> Result<(), ConfigError> {
    match timeout {
        Some(Duration::ZERO) => Err(ConfigError::ZeroStallTimeout),
        _ => Ok(()),
    }
}

/// How much of a topic is kept: no more than `events`, nor `bytes`, nor what is older than `age`.
///
/// The log that replays is also the queue that delivers, so a session may be as far behind as this.
#[cfg_attr(feature = "record", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// The number of events, at least 1. Default 8,192, eight seconds at a thousand a second.
    pub events: usize,
    /// Their encoded size, at least 1 byte. Default 4 MiB. An event larger than this is refused.
    pub bytes: usize,
    /// Their age; `None` for any. Default 5 minutes, in which most lost networks are back.
    pub age: Option<Duration>,
    /// Whether events that a newer one of the same [key](super::EventKey) has superseded go first
    /// where there are too many events or bytes. Default `false`: the oldest go first.
    ///
    /// So the newest event of each key is kept as long as there is room for those, and whoever
    /// comes back, or is far behind, gets it. What goes as superseded is not missing: no session
    /// is too far behind by it, it is no gap to a resumption, and sessions that did not get it
    /// count it in [`SessionCoalesced`](super::BrokerEvent::SessionCoalesced). Where an event that
    /// nothing superseded had to go after all, those before it count as lost like it. The age
    /// spares no event: where the newest of each key is to be kept for good, there must be none.
    pub compact: bool,
}

impl Retention {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.events == 0 || self.bytes == 0 || self.age == Some(Duration::ZERO) {
            return Err(ConfigError::ZeroRetention);
        }
        Ok(())
    }
}

/// What ids a broker gives to events.
#[cfg_attr(feature = "record", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventIds {
    /// Each event that brings no id gets `epoch-position`, and a session learns its place at its
    /// start, so that it can resume from anywhere.
    #[default]
    Assigned,
    /// Events have the ids that they bring, or none. A session can resume only from an event that
    /// brought an id: what comes without may arrive twice, and what is published before the
    /// first of them is missed by whoever loses the connection then.
    Own,
}

/// Where a session starts that does not continue another, or cannot.
#[cfg_attr(feature = "record", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartAt {
    /// With the oldest event that is kept: as little as possible is missing.
    Oldest,
    /// With the next event to be published.
    #[default]
    Newest,
}

/// A session to be opened: who, with what, from where.
///
/// ```
/// use sansse::broker::{ClientId, SessionRequest, TopicName};
///
/// let request = SessionRequest::new()
///     .with_client(ClientId::new("alice")?)
///     .with_topic(TopicName::new("news")?);
/// # Ok::<(), sansse::broker::NameError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct SessionRequest {
    pub(super) client: Option<ClientId>,
    pub(super) topics: Vec<TopicName>,
    pub(super) patterns: Vec<TopicPattern>,
    pub(super) permitted: Option<Vec<TopicFilter>>,
    pub(super) without_broadcast: bool,
    pub(super) last_event_id: LastEventId,
    pub(super) start: StartAt,
    #[expect(clippy::option_option, reason = "unset is not the same as set to none")]
    pub(super) heartbeat: Option<Option<Duration>>,
    #[expect(clippy::option_option, reason = "unset is not the same as set to none")]
    pub(super) stall_timeout: Option<Option<Duration>>,
    pub(super) lag: Option<Lag>,
    #[expect(clippy::option_option, reason = "unset is not the same as set to none")]
    pub(super) loss_announcement: Option<Option<EventType>>,
    pub(super) announce: Option<EventType>,
    pub(super) opening_comment: Option<Cow<'static, str>>,
    pub(super) metadata: Metadata,
    pub(super) address: Option<AddressKey>,
    pub(super) lease: Option<Instant>,
}

impl SessionRequest {
    /// A session of nobody in particular, with the broadcast alone, from now on.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whose session it is. Default: nobody's; it cannot be published to by client.
    pub fn with_client(mut self, client: ClientId) -> Self {
        self.client = Some(client);
        self
    }

    /// Subscribes to a named topic as well; naming one twice is the same as once.
    pub fn with_topic(mut self, topic: TopicName) -> Self {
        self.topics.push(topic);
        self
    }

    /// Subscribes to all topics that match a pattern as well, those to come included. What matches
    /// several of the session's patterns and topics reaches it once.
    ///
    /// Resuming covers them all, also topics that came to be in the meantime. Of a session that
    /// falls behind, an event counts as lost once for each subscription that it was for. The first
    /// session with a pattern pays for a look at all topics whose names begin as it does.
    pub fn with_pattern(mut self, pattern: TopicPattern) -> Self {
        self.patterns.push(pattern);
        self
    }

    /// Subscribes to a topic or to a pattern, whichever `filter` is.
    pub fn with_filter(self, filter: TopicFilter) -> Self {
        match filter {
            TopicFilter::Topic(topic) => self.with_topic(topic),
            TopicFilter::Pattern(pattern) => self.with_pattern(pattern),
        }
    }

    /// To which named topics the session may subscribe, now and as long as it lasts: those that one
    /// of these [covers](TopicFilter::covers), and patterns of which one covers all that they match.
    /// Anything else is refused, [when the session is opened](super::OpenError::NotPermitted) and
    /// [later](super::SubscribeError::NotPermitted); nothing permits nothing. In place of what was
    /// said before. Default: everything, so that whoever calls decides.
    ///
    /// So what a peer asks for can be handed on as it is, and what it may have is said once, where
    /// that is known. The broadcast, and what is published to the client or to the session, is not
    /// part of it; [`without_broadcast`](Self::without_broadcast) is for that. A topic that is
    /// [revoked](super::Broker::revoke_topic) is no longer permitted.
    ///
    /// At most [`BrokerConfig::max_permitted_per_session`]; naming one twice is the same as once.
    ///
    /// ```
    /// use sansse::broker::{Broker, BrokerConfig, Epoch, OpenError, SessionRequest, TopicFilter};
    /// # let now = std::time::Instant::now();
    ///
    /// let mut broker = Broker::new(now, BrokerConfig::new(Epoch(0xbeef)))?;
    /// // As a token says, say,
    /// let rights = ["news", "team/7/**"].map(|text| TopicFilter::new(text).unwrap());
    /// // and as the query asks.
    /// let asked = |text| Ok::<_, sansse::broker::NameError>(
    ///     SessionRequest::new().with_permitted(rights.clone()).with_filter(TopicFilter::new(text)?),
    /// );
    /// broker.open(now, asked("team/7/*")?)?;
    /// let refused = broker.open(now, asked("team/*/news")?);
    /// assert_eq!(refused, Err(OpenError::NotPermitted));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_permitted(mut self, filters: impl IntoIterator<Item = TopicFilter>) -> Self {
        self.permitted = Some(filters.into_iter().collect());
        self
    }

    /// Does without the broadcast. Such a session ends when all its topics have
    /// [ended](super::Broker::end_topic); it has to have one for that, and no pattern, since what
    /// matches may yet come to be. What is published to it alone, or to its client, does not keep
    /// it open. Default: every session gets the broadcast.
    pub fn without_broadcast(mut self) -> Self {
        self.without_broadcast = true;
        self
    }

    /// Where a session starts that brings no last event id. Default [`StartAt::Newest`]. With
    /// [`StartAt::Oldest`] a page that is loaded again gets all that is kept.
    pub fn with_start(mut self, start: StartAt) -> Self {
        self.start = start;
        self
    }

    /// Where an earlier stream broke off, as the request says. Default: nowhere.
    pub fn with_last_event_id(mut self, id: LastEventId) -> Self {
        self.last_event_id = id;
        self
    }

    /// The heartbeat interval of this session; `None` for no heartbeats. Default: the broker's.
    pub fn with_heartbeat(mut self, interval: Option<Duration>) -> Self {
        self.heartbeat = Some(interval);
        self
    }

    /// How long this session may have output without taking any before it is
    /// [ended as stalled](super::EndReason::Stalled), more than zero; `None`: for ever. Default:
    /// [the broker's](BrokerConfig::stall_timeout).
    ///
    /// ```
    /// use sansse::broker::SessionRequest;
    /// use std::time::Duration;
    ///
    /// // A service nearby that takes nothing for so long is not coming back.
    /// let request = SessionRequest::new().with_stall_timeout(Some(Duration::from_secs(5)));
    /// ```
    pub fn with_stall_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.stall_timeout = Some(timeout);
        self
    }

    /// How far this session may be behind in each of its topics, and what it meets beyond that.
    /// Default: what was [said for the topic](super::Broker::set_lag), or else the broker's.
    pub fn with_lag(mut self, lag: impl Into<Lag>) -> Self {
        self.lag = Some(lag.into());
        self
    }

    /// Tells the peer of what it lost, by an event of this type, as
    /// [`BrokerConfig::loss_announcement`] says; `None`: it is told nothing. Default: the broker's.
    pub fn with_loss_announcement(mut self, event_type: Option<EventType>) -> Self {
        self.loss_announcement = Some(event_type);
        self
    }

    /// Tells the peer how its resumption went: the stream begins with an event of this type whose
    /// data is `{"outcome":"…","replayed":n}`, where the outcome is one of `live`, `oldest`,
    /// `complete`, `gap`, `unknown`, `other-epoch`, `ahead` and `forged`. Default: the peer is told
    /// nothing.
    ///
    /// It is also how every receiver learns its place at once. A stream begins with an id and no
    /// event otherwise. By the standard a receiver remembers that, but some, among them clients for
    /// Node.js, remember ids of events alone: when such a one loses its connection before the first
    /// event, it comes back without an id, and misses what was published meanwhile.
    pub fn with_announcement(mut self, event_type: EventType) -> Self {
        self.announce = Some(event_type);
        self
    }

    /// Begins the stream with a comment, such as the padding that some polyfills ask for. Default:
    /// none.
    pub fn with_opening_comment(mut self, text: impl Into<Cow<'static, str>>) -> Self {
        self.opening_comment = Some(text.into());
        self
    }

    /// Keeps `value` with the client, in place of an earlier one of its type, from before anybody
    /// hears of the session. Without a client there is nobody to keep it with.
    pub fn with_metadata<T: Clone + Send + Sync + 'static>(mut self, value: T) -> Self {
        self.metadata.insert(value);
        self
    }

    /// Where the session comes from, to be counted with the others from there. Default: it is not
    /// counted.
    ///
    /// ```
    /// use sansse::broker::{AddressKey, SessionRequest};
    ///
    /// # let peer: std::net::SocketAddr = "192.0.2.1:50000".parse().unwrap();
    /// let request = SessionRequest::new().with_address(AddressKey::from(peer.ip()));
    /// ```
    pub fn with_address(mut self, address: AddressKey) -> Self {
        self.address = Some(address);
        self
    }

    /// Until when the session may listen, as a token does that expires. Before that the application
    /// is asked by [`BrokerEvent::LeaseExpiring`](super::BrokerEvent), and may
    /// [renew](super::Broker::renew_lease) it; otherwise the session ends at that time with
    /// [`EndReason::LeaseExpired`](super::EndReason), whatever it has not taken yet. Default: for
    /// as long as the session lasts.
    pub fn with_lease(mut self, until: Instant) -> Self {
        self.lease = Some(until);
        self
    }

    /// Without anything named twice.
    pub(crate) fn normalized(mut self) -> Self {
        self.topics.sort_unstable();
        self.topics.dedup();
        self.patterns.sort_unstable();
        self.patterns.dedup();
        if let Some(permitted) = &mut self.permitted {
            permitted.sort_unstable();
            permitted.dedup();
        }
        self
    }

    pub(crate) fn client(&self) -> Option<&ClientId> {
        self.client.as_ref()
    }
}

/// A setting that cannot hold, by the caller's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// A retention of nothing: the log is also the queue, so nothing could be delivered.
    ZeroRetention,
    /// A heartbeat interval of zero would send heartbeats without end.
    ZeroHeartbeat,
    /// A stall timeout of zero would end every session.
    ZeroStallTimeout,
    /// Keys sign the ids that the broker makes, and with [`EventIds::Own`] it makes none.
    NothingToSign,
    /// Who may be behind by nothing could get nothing.
    ZeroLag,
    /// With [`BrokerConfig::max_sessions`] of zero no session could be opened.
    ZeroSessions,
    /// With [`BrokerConfig::max_sessions_per_client`] of zero no client could have a session.
    ZeroSessionsPerClient,
    /// With [`BrokerConfig::max_sessions_per_address`] of zero no address could have a session.
    ZeroSessionsPerAddress,
    /// With [`BrokerConfig::max_unread_events`] of zero no session could be opened.
    ZeroUnreadEvents,
    /// A maximum age of zero would end every session.
    ZeroSessionAge,
    /// With [`BrokerConfig::max_session_age_jitter`] as large as the maximum age, a session could
    /// end as soon as it begins.
    JitterBeyondAge,
    /// With [`BrokerConfig::max_retained_bytes`] of zero nothing could be delivered.
    ZeroRetainedBytes,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ZeroRetention => "a retention of nothing delivers nothing",
            Self::ZeroHeartbeat => "a heartbeat interval of zero",
            Self::ZeroStallTimeout => "a stall timeout of zero",
            Self::NothingToSign => "keys for ids of the broker's making, which makes none",
            Self::ZeroLag => "sessions that may be behind by nothing",
            Self::ZeroSessions => "a limit of no sessions",
            Self::ZeroSessionsPerClient => "a limit of no sessions for each client",
            Self::ZeroSessionsPerAddress => "a limit of no sessions for each address",
            Self::ZeroUnreadEvents => "a limit of no unread events lets no session in",
            Self::ZeroSessionAge => "a maximum age of zero",
            Self::JitterBeyondAge => "a jitter that leaves nothing of the maximum age",
            Self::ZeroRetainedBytes => "retaining nothing delivers nothing",
        })
    }
}

impl core::error::Error for ConfigError {}
