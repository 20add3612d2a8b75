//! What a broker tells the application: outcomes, and events with the queue in which they wait.

use super::names::{ClientId, SessionId};
use alloc::collections::{BTreeMap, VecDeque};
use core::fmt;
use std::time::Instant;

/// A session that was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Opened {
    /// Its id.
    pub session: SessionId,
    /// How its resumption went.
    pub resumption: Resumption,
}

/// How a session continues from where an earlier one broke off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Resumption {
    /// It asked for nothing from before, and starts now.
    Live,
    /// It brought no id and asked for all that is kept, which is replayed.
    Oldest {
        /// How many events.
        replayed: u64,
    },
    /// It brought no id and asked for the newest so many events, which are replayed.
    Last {
        /// How many events: as many as it asked for, or all that is kept.
        replayed: u64,
    },
    /// Everything since its last event id is replayed; nothing is missing, but what newer events
    /// of the same key have superseded in a [compact](crate::broker::Retention::compact) log.
    Complete {
        /// How many events. A session that [keeps the newest per
        /// key](crate::broker::LagPolicy::KeepNewestPerKey) does not get those of them that are
        /// superseded.
        replayed: u64,
    },
    /// Something that was published after its last event id is kept no more.
    ///
    /// What is kept of the rest is replayed, or nothing, as
    /// [`SessionDefaults::on_gap`](crate::broker::SessionDefaults::on_gap) says.
    Gap {
        /// How many events.
        replayed: u64,
    },
    /// Its last event id is no place in any stream: malformed, over-long, or an application's own
    /// id that is kept no more. What is replayed is as
    /// [`SessionDefaults::on_unknown_id`](crate::broker::SessionDefaults::on_unknown_id) says.
    UnknownId {
        /// How many events.
        replayed: u64,
    },
    /// Its last event id is from another life of the stream, so that it is not known what is
    /// missing. What is replayed is as for an unknown id.
    OtherEpoch {
        /// How many events.
        replayed: u64,
    },
    /// Its last event id names a position of this epoch that was not given out here yet: it was
    /// made by hand, or an epoch was used twice, or it comes from a shard that is ahead of this
    /// one. What is replayed is as for an unknown id. In the last case the session gets events again
    /// that it has, and misses none of this shard's.
    ///
    /// Where [`SessionDefaults::ahead_wait`](crate::broker::SessionDefaults::ahead_wait) is set, the
    /// session waited that long for the position first.
    Ahead {
        /// How many events.
        replayed: u64,
    },
    /// Its last event id is ahead, as for [`Ahead`](Self::Ahead), and the session waits for
    /// [so long](crate::broker::SessionDefaults::ahead_wait) until this shard has come as far. Until
    /// then nothing is said of its place, and nothing is replayed. Or what it missed is kept here no
    /// more, and is [read](crate::broker::ShardMut::set_backfill) from a log outside. What came of
    /// it is told by [`BrokerEvent::SessionResumed`].
    Waiting,
    /// Its last event id names a place without the code that this broker's keys make for it. It was
    /// forged, or is of another stream. Nothing is replayed: the session starts now. This comes
    /// only where [`BrokerConfig::cursor_keys`](crate::broker::BrokerConfig) are set.
    Forged,
}

impl Resumption {
    /// Returns how many events are replayed.
    pub const fn replayed(self) -> u64 {
        match self {
            Self::Live | Self::Waiting | Self::Forged => 0,
            Self::Oldest { replayed }
            | Self::Last { replayed }
            | Self::Complete { replayed }
            | Self::Gap { replayed }
            | Self::UnknownId { replayed }
            | Self::OtherEpoch { replayed }
            | Self::Ahead { replayed } => replayed,
        }
    }

    /// Returns whether the session may have missed something. Of one that is
    /// [waiting](Self::Waiting) that is not known yet, so that it may.
    pub const fn may_miss(self) -> bool {
        !matches!(
            self,
            Self::Live | Self::Oldest { .. } | Self::Last { .. } | Self::Complete { .. }
        )
    }

    /// Returns the same outcome with another number of replayed events, where it has one.
    pub(crate) const fn with_replayed(self, replayed: u64) -> Self {
        match self {
            Self::Live => Self::Live,
            Self::Oldest { .. } => Self::Oldest { replayed },
            Self::Last { .. } => Self::Last { replayed },
            Self::Complete { .. } => Self::Complete { replayed },
            Self::Gap { .. } => Self::Gap { replayed },
            Self::UnknownId { .. } => Self::UnknownId { replayed },
            Self::OtherEpoch { .. } => Self::OtherEpoch { replayed },
            Self::Ahead { .. } => Self::Ahead { replayed },
            Self::Waiting => Self::Waiting,
            Self::Forged => Self::Forged,
        }
    }

    /// Returns a word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Oldest { .. } => "oldest",
            Self::Last { .. } => "last",
            Self::Complete { .. } => "complete",
            Self::Gap { .. } => "gap",
            Self::UnknownId { .. } => "unknown",
            Self::OtherEpoch { .. } => "other-epoch",
            Self::Ahead { .. } => "ahead",
            Self::Waiting => "waiting",
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
        /// The client.
        client: ClientId,
    },
    /// A client had no session for the grace time. It is forgotten, with its metadata.
    ClientLeft {
        /// The client.
        client: ClientId,
    },
    /// A session was opened.
    SessionOpened {
        /// The session.
        session: SessionId,
        /// The client whose session it is; `None` for a session without a client.
        client: Option<ClientId>,
        /// How its resumption went.
        resumption: Resumption,
    },
    /// It was decided how a session resumes that was opened as
    /// [waiting](Resumption::Waiting). There is no more than one of these for each, and none where
    /// the session ended before.
    SessionResumed {
        /// The session.
        session: SessionId,
        /// The client whose session it is; `None` for a session without a client.
        client: Option<ClientId>,
        /// How its resumption went.
        resumption: Resumption,
    },
    /// A session was too far behind and its policy made it skip.
    ///
    /// Skips that follow each other before this event is polled are added up.
    SessionSkipped {
        /// The session.
        session: SessionId,
        /// The client whose session it is; `None` for a session without a client.
        client: Option<ClientId>,
        /// How many events it did not get.
        lost: u64,
    },
    /// A session did not get events, because newer ones of the same
    /// [key](crate::EventKey) have superseded them.
    ///
    /// Those that follow each other before this event is polled are added up.
    SessionSuperseded {
        /// The session.
        session: SessionId,
        /// The client whose session it is; `None` for a session without a client.
        client: Option<ClientId>,
        /// How many events were superseded.
        superseded: u64,
    },
    /// A session's lease is about to lapse. The session ends then, unless the lease is
    /// [renewed](crate::broker::SessionMut::renew_lease).
    LeaseExpiring {
        /// The session.
        session: SessionId,
        /// The client whose session it is; `None` for a session without a client.
        client: Option<ClientId>,
        /// Until when it may listen.
        until: Instant,
    },
    /// A session ended. There is exactly one of these for each that was opened, and none after it.
    SessionEnded {
        /// The session.
        session: SessionId,
        /// The client whose session it is; `None` for a session without a client.
        client: Option<ClientId>,
        /// Why it ended.
        reason: EndReason,
        /// How many events that were published to this session alone are lost with it.
        undelivered: u64,
    },
    /// The last session of a [drain](crate::broker::Broker::drain) is gone.
    Drained {
        /// The shard, which has no session any more.
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
        /// How many of the events that it did not get are kept no more. 0 says that it was only
        /// further behind than its [`Lag`](crate::broker::Lag) allows: it can resume without a
        /// loss.
        lost: u64,
    },
    /// It had output and took none for the stall timeout.
    Stalled,
    /// It had no broadcast, all its topics have ended, and it has got what they kept.
    TopicsEnded,
    /// It made room for a newer one, as
    /// [`LimitPolicy::EvictOldest`](crate::broker::LimitPolicy::EvictOldest) says. Its peer comes
    /// back after the reconnection time that it was told at the start, resumes, and evicts another
    /// in its turn.
    Evicted,
    /// It had the age of [`SessionDefaults::max_age`](crate::broker::SessionDefaults::max_age).
    MaxAge,
    /// Its turn came in a [drain](crate::broker::Broker::drain).
    Drained,
    /// Its [lease](crate::broker::SessionConfig::with_lease) lapsed and was not renewed.
    LeaseExpired,
    /// Its client's rights were [revoked](crate::broker::ClientMut::revoke).
    Revoked,
    /// Its driver [gave it up](crate::broker::Broker::give_way), since the memory was needed that its
    /// connection held. It had not taken what it was given, and held more than others did.
    GaveWay,
    /// The broker ended it at once, whatever it had not taken yet:
    /// [`Broker::abort`](crate::broker::Broker::abort) was called, or the time was over that a
    /// [drain](crate::broker::Broker::drain) has for those that do not take what they are to get.
    Aborted,
}

/// How a stream is to end on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StreamEnd {
    /// In good order, as a body does that is complete. The reader may take it for "that was all".
    Clean,
    /// As a body that was cut off: a chunked one without its last chunk (RFC 9112, section 8), in
    /// HTTP/2 by a reset of its stream. Every reader knows that something may follow. An
    /// `EventSource` comes back after either end; but many other readers come back after a cut
    /// alone, and take what they got before a clean end for the whole.
    Cut,
}

impl EndReason {
    /// Returns how the stream of a session that ended so is to end on the wire.
    ///
    /// | Reason | End |
    /// | --- | --- |
    /// | [`Closed`](Self::Closed), [`TopicsEnded`](Self::TopicsEnded) | clean: there is no more |
    /// | [`Shutdown`](Self::Shutdown), [`Drained`](Self::Drained), [`MaxAge`](Self::MaxAge) | `early`: the session has all that was published so far, and its stream goes on elsewhere |
    /// | all others | cut: the session has not got all that was for it, or may get no more |
    ///
    /// For `early`, [`StreamEnd::Cut`] is right unless all readers are known to come back after a
    /// clean end too.
    ///
    /// ```
    /// use sansse::broker::{EndReason, StreamEnd};
    ///
    /// assert_eq!(EndReason::TopicsEnded.stream_end(StreamEnd::Cut), StreamEnd::Clean);
    /// assert_eq!(EndReason::MaxAge.stream_end(StreamEnd::Clean), StreamEnd::Clean);
    /// assert_eq!(EndReason::Lagged { lost: 7 }.stream_end(StreamEnd::Clean), StreamEnd::Cut);
    /// ```
    pub const fn stream_end(self, early: StreamEnd) -> StreamEnd {
        match self {
            Self::Closed | Self::TopicsEnded => StreamEnd::Clean,
            Self::Shutdown | Self::Drained | Self::MaxAge => early,
            Self::Disconnected
            | Self::Lagged { .. }
            | Self::Stalled
            | Self::Evicted
            | Self::LeaseExpired
            | Self::Revoked
            | Self::GaveWay
            | Self::Aborted => StreamEnd::Cut,
        }
    }
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
            Self::GaveWay => f.write_str("held more than there is room for"),
            Self::Drained => f.write_str("the broker lets its sessions go"),
            Self::Aborted => f.write_str("ended at once by the broker"),
        }
    }
}

/// The number of an event: the events of each shard are numbered from 1 on, in the order in which
/// they happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EventNumber {
    shard: u16,
    number: u64,
}

impl EventNumber {
    pub(crate) const fn new(shard: u16, number: u64) -> Self {
        Self { shard, number }
    }

    /// Returns the shard whose event it is.
    pub const fn shard(self) -> u16 {
        self.shard
    }

    /// Returns the number; 0 before the first event.
    pub const fn get(self) -> u64 {
        self.number
    }
}

/// The events that wait to be polled.
///
/// Events that tell of the same loss are added up: while the event of one session and kind waits,
/// more of that kind is added to it, wherever it stands. Once it was polled, more makes a new
/// event.
#[derive(Debug)]
pub(crate) struct EventQueue {
    shard: u16,
    /// The first has the number after [`polled`](Self::polled).
    events: VecDeque<BrokerEvent>,
    /// How many events were polled.
    polled: u64,
    /// The numbers of the events in the queue to which more may be added.
    adding: BTreeMap<(SessionId, Sum), u64>,
}

/// What is added up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Sum {
    Skipped,
    Superseded,
}

impl EventQueue {
    pub(crate) const fn new(shard: u16) -> Self {
        Self { shard, events: VecDeque::new(), polled: 0, adding: BTreeMap::new() }
    }

    /// Queues an event.
    pub(crate) fn push(&mut self, event: BrokerEvent) {
        self.events.push_back(event);
    }

    /// Tells that a session lost so many events. `client` is asked only if no event of it waits.
    pub(crate) fn skipped(
        &mut self,
        session: SessionId,
        client: impl FnOnce() -> Option<ClientId>,
        lost: u64,
    ) {
        if !self.add(session, Sum::Skipped, lost) {
            self.push(BrokerEvent::SessionSkipped { session, client: client(), lost });
        }
    }

    /// Tells that so many events of a session were superseded. `client` is asked only if no event
    /// of it waits.
    pub(crate) fn superseded(
        &mut self,
        session: SessionId,
        client: impl FnOnce() -> Option<ClientId>,
        superseded: u64,
    ) {
        if !self.add(session, Sum::Superseded, superseded) {
            self.push(BrokerEvent::SessionSuperseded { session, client: client(), superseded });
        }
    }

    /// Adds to the event that waits, and returns whether there is one. If not, the next event to be
    /// pushed is it.
    fn add(&mut self, session: SessionId, sum: Sum, more: u64) -> bool {
        let next = self.last_number().get() + 1;
        let number = *self.adding.entry((session, sum)).or_insert(next);
        let index = usize::try_from(number - self.polled - 1).unwrap_or(usize::MAX);
        match (sum, self.events.get_mut(index)) {
            (Sum::Skipped, Some(BrokerEvent::SessionSkipped { lost: count, .. }))
            | (Sum::Superseded, Some(BrokerEvent::SessionSuperseded { superseded: count, .. })) => {
                *count += more;
                true
            }
            _ => false,
        }
    }

    /// Takes the next event, with its number.
    pub(crate) fn poll(&mut self) -> Option<(EventNumber, BrokerEvent)> {
        let event = self.events.pop_front()?;
        self.polled += 1;
        let sum = match &event {
            BrokerEvent::SessionSkipped { session, .. } => Some((*session, Sum::Skipped)),
            BrokerEvent::SessionSuperseded { session, .. } => Some((*session, Sum::Superseded)),
            _ => None,
        };
        if let Some(sum) = sum {
            self.adding.remove(&sum);
        }
        Some((EventNumber::new(self.shard, self.polled), event))
    }

    /// Returns the number of the newest event, polled or not.
    pub(crate) fn last_number(&self) -> EventNumber {
        EventNumber::new(self.shard, self.polled + self.events.len() as u64)
    }

    /// Returns how many events wait.
    pub(crate) fn len(&self) -> usize {
        self.events.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::super::arena::Key;
    use super::*;
    use core::num::NonZeroU32;

    const SHARD: u16 = 3;

    fn session(slot: u32) -> SessionId {
        SessionId::of(SHARD, Key::new(slot, NonZeroU32::MIN))
    }

    fn client() -> Option<ClientId> {
        ClientId::new("alice").ok()
    }

    fn nobody() -> Option<ClientId> {
        panic!("an event waits, so that nobody is asked for the client")
    }

    fn skipped(slot: u32, lost: u64) -> BrokerEvent {
        BrokerEvent::SessionSkipped { session: session(slot), client: client(), lost }
    }

    fn superseded(slot: u32, superseded: u64) -> BrokerEvent {
        BrokerEvent::SessionSuperseded { session: session(slot), client: client(), superseded }
    }

    fn drained() -> BrokerEvent {
        BrokerEvent::Drained { shard: SHARD }
    }

    /// All that waits, with the numbers.
    fn all(queue: &mut EventQueue) -> alloc::vec::Vec<(u64, BrokerEvent)> {
        core::iter::from_fn(|| queue.poll()).map(|(number, event)| (number.get(), event)).collect()
    }

    #[test]
    fn losses_add_up_while_their_event_waits_wherever_that_stands() {
        let mut queue = EventQueue::new(SHARD);
        queue.push(drained());
        queue.skipped(session(0), client, 1);
        queue.push(drained());
        queue.skipped(session(0), nobody, 2);
        queue.poll();
        queue.skipped(session(0), nobody, 4);
        assert_eq!(queue.len(), 2);
        assert_eq!(all(&mut queue), [(2, skipped(0, 7)), (3, drained())]);
    }

    #[test]
    fn nothing_is_added_to_an_event_that_was_polled() {
        let mut queue = EventQueue::new(SHARD);
        queue.skipped(session(0), client, 1);
        assert_eq!(all(&mut queue), [(1, skipped(0, 1))]);
        queue.skipped(session(0), client, 2);
        assert_eq!(all(&mut queue), [(2, skipped(0, 2))]);
        assert!(queue.adding.is_empty(), "{:?}", queue.adding);
    }

    #[test]
    fn sessions_and_kinds_are_told_apart() {
        let mut queue = EventQueue::new(SHARD);
        queue.skipped(session(0), client, 1);
        queue.superseded(session(0), client, 2);
        queue.superseded(session(1), client, 4);
        queue.superseded(session(0), nobody, 8);
        queue.skipped(session(0), nobody, 16);
        queue.superseded(session(1), nobody, 32);
        let expected = [(1, skipped(0, 17)), (2, superseded(0, 10)), (3, superseded(1, 36))];
        assert_eq!(all(&mut queue), expected);
    }

    #[test]
    fn events_are_numbered_from_one_on() {
        let mut queue = EventQueue::new(SHARD);
        assert_eq!(queue.last_number(), EventNumber::new(SHARD, 0));
        assert!(queue.is_empty() && queue.poll().is_none());
        queue.push(drained());
        queue.push(drained());
        assert_eq!(queue.last_number(), EventNumber::new(SHARD, 2));
        assert_eq!(queue.poll(), Some((EventNumber::new(SHARD, 1), drained())));
        assert_eq!(queue.last_number(), EventNumber::new(SHARD, 2));
        assert_eq!((queue.len(), queue.is_empty()), (1, false));
    }
}
