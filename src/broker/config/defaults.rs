//! What a session has where it does not choose.

use super::super::error::ConfigError;
use super::{Lag, LagPolicy, MaxAge, OnGap, OnUnknownId};
use crate::event::{Event, EventType};
use crate::notice::Notice;
use core::time::Duration;

/// What sessions have that do not choose for themselves, and what holds for all of them.
#[cfg_attr(feature = "record", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionDefaults {
    /// How long nothing is sent to a session before it gets a heartbeat, unless
    /// [the session](crate::broker::SessionConfig::with_heartbeat) says otherwise. Default 15 s, as
    /// the standard suggests (WHATWG HTML, 9.2.7). `None`: never.
    pub heartbeat: Option<Duration>,
    /// The heartbeat as an event, unless
    /// [the session](crate::broker::SessionConfig::with_heartbeat_event) says otherwise. Default
    /// `None`: it is a comment line, of which no reader makes anything.
    ///
    /// A comment is invisible to JavaScript. With an event, such as one of the type `heartbeat`, a
    /// page can see that its stream is alive, and open another one when nothing came for twice the
    /// interval. An event of the type `message` would reach every `onmessage`. An id in it is left
    /// out, since a heartbeat never moves the reader's place.
    pub heartbeat_event: Option<Event>,
    /// How long a session may have output without taking any before it is ended as stalled, unless
    /// [the session](crate::broker::SessionConfig::with_stall_timeout) says otherwise. Default
    /// 60 s, long enough for a phone in a tunnel. `None`: for ever.
    ///
    /// The time counts from when there is output, such as a publish or a heartbeat that is due,
    /// whether or not the session's id has come out of
    /// [`poll_ready`](crate::broker::Broker::poll_ready). A poll of the session, or
    /// [progress](crate::broker::Broker::handle_progress), lets it begin anew, and so does the end of
    /// a [pause](crate::broker#pauses) of the driver, up to four times.
    pub stall_timeout: Option<Duration>,
    /// How far a session may be behind, and what it meets beyond that, unless the session or [the
    /// topic](crate::broker::TopicMut::set_lag) says otherwise. Default: as far as events are kept,
    /// and [`LagPolicy::Close`].
    pub lag: Lag,
    /// Tells peers their place and every gap, by [notices](crate::broker#what-a-peer-is-told) of
    /// this type, unless [the session](crate::broker::SessionConfig::with_notices) says otherwise.
    /// Default [`Notice::EVENT_TYPE`], for which no page listens by accident.
    ///
    /// `None` turns them off. Then a stream begins with its first event, however late that comes
    /// (Firefox fires `open` only with the first byte). A peer that loses the connection before it
    /// got an event with an id comes back without one, and misses what was published meanwhile.
    /// Nothing tells a peer that events are missing. After a [late
    /// subscription](crate::broker::SessionMut::subscribe) it may get events twice. It is for
    /// readers that cannot pass over events of a type that they do not know.
    pub notices: Option<EventType>,
    /// What a session gets that resumes after an id of this stream where something since then is
    /// kept no more. Default [`OnGap::ReplayKept`].
    pub on_gap: OnGap,
    /// What a session gets whose last event id leads to no place in this stream. It is told of the
    /// gap either way. Default [`OnUnknownId::StartAnew`], so that no request earns more bytes by
    /// an id that was made up than it gets without one: [what a replay
    /// costs](crate::broker#what-a-replay-costs) says how many they would be.
    pub on_unknown_id: OnUnknownId,
    /// How long a session waits whose last event id, or [start](crate::broker::StartAt::After), is
    /// ahead of this broker, until the broker has come as far. Then it resumes as if it had been
    /// opened at that moment, and after that time as [`Resumption::Ahead`] says.
    ///
    /// Default `None`: it does not wait. A broker on its own has given out all positions of its
    /// epoch itself, so that such an id was made up, or comes from a life of the stream that is
    /// lost. Where several nodes apply one log, one is often some milliseconds behind another, and a
    /// peer that changes between them brings such an id: 2 s are enough there, and
    /// [`ShardMut::set_ahead_wait`](crate::broker::ShardMut::set_ahead_wait) sets them while the
    /// broker runs.
    ///
    /// A session that waits is counted and bounded as every other. It gets heartbeats, and nothing
    /// else: what is published meanwhile costs it nothing, and a publish looks at those alone whose
    /// position has come. So a stranger's id of a position that never comes costs a session for that
    /// time, as a request without an id does. Positions of an engine may jump, so that none is too
    /// far ahead to be waited for. With [signed](crate::broker::BrokerConfig::cursor_keys) ids none
    /// can be made up.
    ///
    /// [`Resumption::Ahead`]: crate::broker::Resumption::Ahead
    pub ahead_wait: Option<Duration>,
    /// The age at which a session ends with [`EndReason::MaxAge`](crate::broker::EndReason). It
    /// first gets what was published before. A peer that resumes misses nothing, and may come to
    /// another server, with other rights. Default `None`: no age ends a session.
    pub max_age: Option<MaxAge>,
    /// How long before a session's [lease](crate::broker::SessionConfig::with_lease) lapses the
    /// application is asked about it. A lease shorter than twice this is asked about at half time.
    /// Default 30 s, enough to ask another service.
    pub lease_lead: Duration,
}

impl SessionDefaults {
    pub(super) const DEFAULT: Self = Self {
        heartbeat: Some(Duration::from_secs(15)),
        heartbeat_event: None,
        stall_timeout: Some(Duration::from_secs(60)),
        lag: Lag::new(LagPolicy::Close),
        notices: Some(Notice::EVENT_TYPE),
        on_gap: OnGap::ReplayKept,
        on_unknown_id: OnUnknownId::StartAnew,
        ahead_wait: None,
        max_age: None,
        lease_lead: Duration::from_secs(30),
    };

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.stall_timeout == Some(Duration::ZERO) {
            return Err(ConfigError::ZeroStallTimeout);
        }
        if self.heartbeat == Some(Duration::ZERO) {
            return Err(ConfigError::ZeroHeartbeat);
        }
        check_ahead_wait(self.ahead_wait)
    }
}

/// Checks [`SessionDefaults::ahead_wait`].
pub(crate) fn check_ahead_wait(wait: Option<Duration>) -> Result<(), ConfigError> {
    if wait == Some(Duration::ZERO) { Err(ConfigError::ZeroAheadWait) } else { Ok(()) }
}

impl Default for SessionDefaults {
    fn default() -> Self {
        Self::DEFAULT
    }
}
