//! What can be set about a broker and about a session, with defaults and their reasons.

mod drain;
mod lag;
mod limits;
mod metadata;
mod retention;
mod session;
mod setting;

pub use drain::Drain;
pub use lag::{Lag, LagPolicy};
pub use limits::LimitPolicy;
pub use retention::Retention;
pub use session::SessionConfig;

pub(crate) use metadata::{Metadata, Value};
pub(crate) use setting::Setting;

use super::error::ConfigError;
use super::sequence::{CursorKeys, Epoch, EventIds, Sequencer};
use crate::event::{EventId, EventType};
use core::num::{NonZeroU16, NonZeroU32};
use core::time::Duration;

/// How a [`Broker`](crate::broker::Broker) behaves.
///
/// # Several shards
///
/// Of a [hub](crate::hub)'s shards each has this configuration, and it says what holds for the hub:
/// how many sessions there may be, in all, of a client and from an address, and what comes back in
/// a second. What bounds the memory of what is kept holds for each shard, as
/// [`HubBuilder::with_shards`](crate::hub::HubBuilder::with_shards) says.
///
/// Brokers that are used as shards without a hub, perhaps on several machines, know nothing of each
/// other's sessions. Each limit holds for each of them, and
/// [`max_sessions_per_client`](Self::max_sessions_per_client) for the client as a whole if its
/// sessions share a shard; [`shards`](Self::shards) divides the rate at which peers come back, and
/// nothing else. Give each its part of the limits.
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
    /// plain, and a peer that makes one by hand gets what is kept after that place. Without the
    /// feature `signed` there are no keys.
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
    /// [have one](SessionConfig::with_address). Default 1,000: one caller alone cannot take all
    /// sessions, and an office behind one address is let in. Where many are behind one (a mobile
    /// network's), it should be more.
    pub max_sessions_per_address: u32,
    /// What a session meets that would be one more from its address. Default
    /// [`LimitPolicy::Refuse`].
    pub at_max_sessions_per_address: LimitPolicy,
    /// How many bytes of events, encoded, all logs of one shard may keep together, at least 1.
    /// Default 256 MiB, a fraction of a small server's memory. Beyond it, the log that would keep
    /// the most with the new event gives up its oldest one (of two that keep equally much, the one
    /// whose oldest event is the older), so that a log that keeps less than an equal share
    /// loses nothing to those that keep more.
    pub max_retained_bytes: usize,
    /// To how many named topics and patterns one session may subscribe, together. Default 64;
    /// delivery looks at each.
    pub max_topics_per_session: u32,
    /// How many topics and patterns the [permission](SessionConfig::with_permitted) of one session
    /// may name, together. Default 256; each subscription is looked for in all of them. As many
    /// topics may be taken out of it [again](crate::broker::ClientMut::revoke_topic): a session
    /// from which one more is revoked ends with [`EndReason::Revoked`](crate::broker::EndReason).
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
    /// [the session](SessionConfig::with_stall_timeout) says otherwise. Default 60 s, long enough
    /// for a phone in a tunnel. `None`: for ever.
    pub stall_timeout: Option<Duration>,
    /// How long nothing is sent to a session before it gets a heartbeat, unless the session says
    /// otherwise. Default 15 s, as the standard suggests (WHATWG HTML, 9.2.7). `None`: never.
    pub heartbeat: Option<Duration>,
    /// How far a session may be behind, and what it meets beyond that, unless the session or [the
    /// topic](crate::broker::TopicMut::set_lag) says otherwise. Default: as far as events are kept,
    /// and [`LagPolicy::Close`].
    pub lag: Lag,
    /// Tells the peers of what they lost, unless a session says otherwise: before the first event
    /// after a hole comes one of this type, whose data is `{"lost":n}`. Default `None`: they are
    /// told nothing.
    ///
    /// It has an id, from which a resumption is right. Where several topics have holes, one event
    /// tells of all, at the place of the first. It takes no position and is not kept.
    pub loss_announcement: Option<EventType>,
    /// What a session gets that resumes where something may be missing: after a gap, or from an id
    /// that leads nowhere. Default [`OnGap::ReplayKept`].
    pub on_gap: OnGap,
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
    /// The least that [`Broker::retry_after`](crate::broker::Broker::retry_after) says, rounded up
    /// to whole seconds. Default 5 s.
    pub retry_after: Duration,
    /// The age at which a session ends with [`EndReason::MaxAge`](crate::broker::EndReason), when
    /// it has got what was published before. A peer that resumes misses nothing, and may come to
    /// another server, with other rights. Default `None`: it may grow as old as it likes.
    pub max_session_age: Option<Duration>,
    /// By how much less a session's maximum age may be, evenly, so that those that were opened
    /// together do not end together; less than [`max_session_age`](Self::max_session_age). Default
    /// zero.
    pub max_session_age_jitter: Duration,
    /// How long before a session's [lease](SessionConfig::with_lease) lapses the application is
    /// asked about it; or when half of a lease is over that is shorter than twice this. Default
    /// 30 s, enough to ask somebody else.
    pub lease_lead: Duration,
    /// Decides what looks random: the jitter of ages, and the order of a drain.
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
            on_gap: OnGap::ReplayKept,
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

    /// Returns the numbering of a stream that begins with this configuration.
    pub(crate) fn sequencer(&self) -> Sequencer {
        Sequencer::signing(self.epoch, self.event_ids, self.cursor_keys.clone())
    }

    /// Checks that all settings can hold together.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        for retention in [&self.retention, &self.private_retention] {
            retention.check()?;
        }
        if self.stall_timeout == Some(Duration::ZERO) {
            return Err(ConfigError::ZeroStallTimeout);
        }
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
        if self.heartbeat == Some(Duration::ZERO) {
            return Err(ConfigError::ZeroHeartbeat);
        }
        Ok(())
    }
}

/// From where on a session gets what it subscribes to, where no last event id says so.
#[cfg_attr(
    feature = "record",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case")
)]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartAt {
    /// What is published from now on.
    #[default]
    Now,
    /// All that is kept, and what is published from now on.
    Oldest,
    /// What came after the event with this id, as when a session resumes.
    After(EventId),
}

/// What a session gets that resumes where something may be missing.
#[cfg_attr(
    feature = "record",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case")
)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnGap {
    /// All that is kept from its place on, or all that is kept if its place is not known: as little
    /// as possible is missing.
    #[default]
    ReplayKept,
    /// What is published from now on.
    StartNow,
}
