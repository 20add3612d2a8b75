//! What can be set about a broker and about a session, with defaults and their reasons.

mod backfill;
mod defaults;
mod drain;
mod lag;
mod limits;
mod max_age;
mod metadata;
mod pace;
mod reconnect;
mod retention;
mod session;
mod setting;
mod shard;

pub use backfill::Backfill;
pub use defaults::SessionDefaults;
pub use drain::Drain;
pub use lag::{Lag, LagPolicy};
pub use limits::{BrokerLimits, LimitPolicy, SessionLimit};
pub use max_age::MaxAge;
pub use pace::Pace;
pub use reconnect::Reconnect;
pub use retention::Retention;
pub use session::SessionConfig;
pub use shard::ShardNumber;

pub(crate) use defaults::check_ahead_wait;
pub(crate) use metadata::{Metadata, Value};
pub(crate) use setting::Setting;

use super::error::ConfigError;
use super::sequence::{CursorKeys, Epoch, EventIds, Sequencer};
use crate::event::EventId;
use core::time::Duration;

/// How a [`Broker`](crate::broker::Broker) behaves.
///
/// What belongs together is in a group: [`limits`](Self::limits), what a
/// [session](Self::session) has where it does not choose, and when peers
/// [come back](Self::reconnect).
///
/// ```
/// use sansse::broker::{BrokerConfig, Epoch, LimitPolicy};
/// use std::time::Duration;
///
/// let mut config = BrokerConfig::new(Epoch(0xbeef));
/// config.limits.sessions_per_client.policy = LimitPolicy::EvictOldest;
/// config.reconnect.retry = Some(Duration::from_secs(2));
/// ```
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
/// [`sessions_per_client`](BrokerLimits::sessions_per_client) for the client as a whole if its
/// sessions share a shard; [`shard`](Self::shard) divides the rate at which peers come back, and
/// nothing else. Give each its part of the limits.
#[cfg_attr(feature = "record", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BrokerConfig {
    /// Which life of the stream this is; see [`Epoch`].
    pub epoch: Epoch,
    /// Which shard this is, and of how many. The number is part of its sessions' ids; what is
    /// promised for each second holds for all shards together. Default [`ShardNumber::ONLY`]; a hub
    /// sets it.
    pub shard: ShardNumber,
    /// What ids events get that bring none. Default [`EventIds::Assigned`].
    pub event_ids: EventIds,
    /// Signs the ids that the broker makes, so that no peer can make one, and hides in them, if the
    /// keys say so, how much others are sent. Default `None`: ids are plain, and a peer that makes
    /// one by hand gets what is kept after that place:
    /// [what that costs](crate::broker#what-a-replay-costs). Without the feature `signed` there are no
    /// keys.
    // A secret is in no record.
    #[cfg_attr(feature = "record", serde(skip))]
    pub cursor_keys: Option<CursorKeys>,
    /// How much of the broadcast and of each named topic is kept. It bounds both how far a
    /// session may fall behind and how long it may be away.
    pub retention: Retention,
    /// How much is kept of what is published to one client or to one session. Smaller by default
    /// (256 events, 256 KiB), since there are many of them.
    ///
    /// It is also how far a session may be behind in this: one event more is refused with
    /// [`PublishError::NoRoom`](crate::broker::PublishError::NoRoom).
    pub private_retention: Retention,
    /// How far a publisher may be ahead of the sessions where it waits for them, and for how long
    /// a session counts that takes nothing.
    pub pace: Pace,
    /// How many of each thing there may be.
    pub limits: BrokerLimits,
    /// How long a client without a session is remembered, with its metadata and what is kept for
    /// it. Default 30 s: a reload or a change of network is no leave.
    pub client_grace: Duration,
    /// Keeps what is [applied](crate::broker::ShardMut::apply) for a client that has no session
    /// here, so that it resumes exactly when it comes. Default `false`: a client that is not here
    /// is on another shard, or nowhere.
    ///
    /// It is for several nodes that apply one log, where a client may come to any of them.
    /// [`ShardMut::set_keeps_for_absent`](crate::broker::ShardMut::set_keeps_for_absent) sets it
    /// while the broker runs. From the first event for it on, such a client is absent, as one is in
    /// its grace time, and with the same bounds:
    ///
    /// - what is kept for it is bounded by [`private_retention`](Self::private_retention);
    /// - it is forgotten when nothing was published to it for [`client_grace`](Self::client_grace).
    ///   So is what came for a client that was here and left: for such a client the longer of the
    ///   two times counts;
    /// - it counts for [`BrokerLimits::absent_clients`] with the others that are absent.
    ///
    /// What is forgotten or pushed out is a gap to the client that resumes from before it. Where
    /// many clients are elsewhere, set the grace time as long as a client may be away from this
    /// node without a gap.
    ///
    /// Such a client is not present: no event tells that it joins or leaves, and neither pages, nor
    /// a [`Roster`](crate::broker::Roster), nor [`Broker::client`](crate::broker::Broker::client)
    /// know it. [`Counters::absent_clients`](crate::broker::Counters) says how many there are. When
    /// its rights are [revoked](crate::broker::ClientMut::revoke), what is kept for it is dropped.
    pub keeps_for_absent: bool,
    /// What sessions have that do not choose for themselves.
    pub session: SessionDefaults,
    /// When peers come back.
    pub reconnect: Reconnect,
    /// Decides what looks random: the jitter of ages, and the order of a drain.
    /// Default 0; the same seed and the same inputs give the same outputs.
    pub seed: u64,
}

impl BrokerConfig {
    /// Makes a configuration of this epoch that has all the defaults.
    pub const fn new(epoch: Epoch) -> Self {
        Self {
            epoch,
            shard: ShardNumber::ONLY,
            event_ids: EventIds::Assigned,
            cursor_keys: None,
            retention: Retention::DEFAULT,
            private_retention: Retention::PRIVATE,
            pace: Pace::DEFAULT,
            limits: BrokerLimits::DEFAULT,
            client_grace: Duration::from_secs(30),
            keeps_for_absent: false,
            session: SessionDefaults::DEFAULT,
            reconnect: Reconnect::DEFAULT,
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
        if self.cursor_keys.is_some() && self.event_ids == EventIds::Own {
            return Err(ConfigError::NothingToSign);
        }
        self.session.check()
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
    /// The newest so many events that are kept, and what is published from now on: a page that is
    /// loaded shows the last lines of a chat at once. [`Resumption::Last`](super::Resumption::Last)
    /// says how many they are.
    ///
    /// They are the newest of all that the session gets, in the order in which they were published:
    /// of three lively topics and a quiet one there may be none of the quiet one. What several
    /// subscriptions match counts once. All that was published counts, also what a newer event of
    /// the same key has superseded, and comments. It is bounded by what is kept: for more than
    /// that, and for [`u64::MAX`], it is all of it.
    ///
    /// To have some of each topic, subscribe to each
    /// [with its own start](super::SessionMut::subscribe).
    Last(u64),
    /// What came after the event with this id, as when a session resumes.
    After(EventId),
}

/// What a session gets that resumes after an id of this stream where something since then is kept
/// no more.
#[cfg_attr(
    feature = "record",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case")
)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnGap {
    /// All that is kept from its place on: as little as possible is missing.
    #[default]
    ReplayKept,
    /// What is published from now on.
    StartNow,
}

/// What a session gets whose last event id leads to no place in this stream: one of an earlier
/// [`Epoch`], one that was not given out here yet, one of the application's own whose event is kept
/// no more, or nonsense.
///
/// Such an id says nothing of what its sender has, and costs nothing to make. The session is told
/// of a gap, with the number of events unknown.
#[cfg_attr(
    feature = "record",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case")
)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnUnknownId {
    /// What a session gets that brings no id, as its
    /// [start](crate::broker::SessionConfig::with_start) says: by default, what is published from
    /// now on.
    #[default]
    StartAnew,
    /// All that is kept: as little as possible is missing after a restart of the server whose
    /// history was restored, or where events have [their own ids](EventIds::Own). Any request then
    /// gets that much by an id that it made up, once for each connection; keep little, or let only
    /// known peers in. Where ids are [signed](BrokerConfig::cursor_keys), nonsense gets no more
    /// than without an id all the same, and an id whose code is wrong gets nothing.
    ReplayKept,
}
