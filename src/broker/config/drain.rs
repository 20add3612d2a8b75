//! How sessions are let go.

use crate::event::Event;
use core::time::Duration;

/// How a broker lets its sessions go.
///
/// With `n` sessions, their ends lie `over / n` apart, and each is told a reconnection time such
/// that they come back `(over + spread) / n` apart: of peers that keep to it, no more than
/// `n / (over + spread)` in any second, plus one, to within a millisecond. Who goes when is drawn
/// by [`BrokerConfig::seed`](crate::broker::BrokerConfig::seed).
///
/// On the wire the streams are cut by default, so that every reader knows that it is to come back;
/// see [`EndReason::stream_end`](crate::broker::EndReason::stream_end).
///
/// # When they come back
///
/// Where other servers take the sessions over, behind a load balancer that sends nobody here any
/// more, peers may come back at once. Where the next server is this process started anew, they are
/// to come back when it has gone: `least` is then no less than the period and the
/// [patience](Self::with_patience) together, as below. A peer that comes earlier meets
/// [`OpenError::Draining`](crate::broker::OpenError::Draining). A hub answers it by [a stream that
/// says come back](crate::hub::RefuseBy::Stream), unless it was told to answer by statuses: those end
/// an `EventSource` for good, and with them `least` is to be that long in any case.
///
/// A browser keeps the last reconnection time that it was told for as long as the page lives. The
/// server that takes the sessions over should tell its own again, as a hub does by default:
/// [`Reconnect::retry`](crate::broker::Reconnect::retry).
///
/// ```
/// use sansse::broker::{
///     Broker, BrokerConfig, BrokerState, Drain, Epoch, OpenError, SessionConfig, Transmit,
/// };
/// use sansse::{Event, EventType};
/// use std::time::Duration;
/// # let now = std::time::Instant::now();
///
/// let mut broker = Broker::new(now, BrokerConfig::new(Epoch(0xbeef)))?;
/// let session = broker.open(now, SessionConfig::new())?.session;
/// // 10,000 sessions would go at 500 a second. They would come back at 100 a second, from the time
/// // on when patience is over with the last of them.
/// let farewell = Event::new("back soon").with_type(EventType::new("maintenance")?);
/// let drain = Drain::new(Duration::from_secs(20))
///     .with_patience(Duration::from_secs(10))
///     .with_retry(Duration::from_secs(30), Duration::from_secs(80))
///     .with_farewell(farewell);
/// broker.drain(now, drain)?;
/// assert_eq!(broker.open(now, SessionConfig::new()), Err(OpenError::Draining));
/// // Its driver polls it as ever, and it gets what was published, the farewell, and its end.
/// while let Some(Transmit::Frame(_)) = broker.poll_transmit(now, session) {}
/// assert_eq!(broker.state(), BrokerState::Drained);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[cfg_attr(feature = "record", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drain {
    over: Duration,
    retry: Option<(Duration, Duration)>,
    farewell: Option<Event>,
    patience: Duration,
    lets_topics_end: bool,
}

impl Drain {
    /// Makes a drain that ends all sessions over this period, evenly; zero for all at once. The
    /// first one ends at once.
    pub const fn new(over: Duration) -> Self {
        let patience = Duration::from_secs(10);
        Self { over, retry: None, farewell: None, patience, lets_topics_end: false }
    }

    /// Sets the reconnection times that sessions are told when they go: from `least` for the first
    /// to `least + spread` for the last. The spread is for sessions that must be gone sooner than
    /// they may come back. Default: none is told, and peers do as they were told before, or as they
    /// please.
    pub const fn with_retry(mut self, least: Duration, spread: Duration) -> Self {
        self.retry = Some((least, spread));
        self
    }

    /// Sets an event that each session gets last of all, before the
    /// [notice](crate::broker#what-a-peer-is-told) that its stream ends. It has no position and
    /// must bring no id, so that the session's place is not lost by it. Default: none.
    pub fn with_farewell(mut self, event: Event) -> Self {
        self.farewell = Some(event);
        self
    }

    /// Sets how long after the period sessions may still take what they have not got yet, before
    /// the last ones [end at once](crate::broker::EndReason::Aborted). Default 10 s: a supervisor that waits 30 s for a process to stop
    /// is not kept waiting by one slow peer.
    pub const fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Lets sessions [without the broadcast](crate::broker::SessionConfig::topics_only) go
    /// on until their topics [have ended](crate::broker::TopicMut::end), instead of having a
    /// turn: an answer that is streamed once is completed, unless patience is over before. Default:
    /// they have their turn as all others.
    pub const fn letting_topics_end(mut self) -> Self {
        self.lets_topics_end = true;
        self
    }

    /// Returns the period over which all sessions end.
    pub(crate) const fn over(&self) -> Duration {
        self.over
    }

    /// Returns the least reconnection time that is told, and how much more the last one is told.
    pub(crate) const fn retry(&self) -> Option<(Duration, Duration)> {
        self.retry
    }

    /// Returns what each session gets last of all.
    pub(crate) const fn farewell(&self) -> Option<&Event> {
        self.farewell.as_ref()
    }

    /// Returns how long after the period sessions may take what they have not got yet.
    pub(crate) const fn patience(&self) -> Duration {
        self.patience
    }

    /// Returns whether sessions without the broadcast have no turn.
    pub(crate) const fn lets_topics_end(&self) -> bool {
        self.lets_topics_end
    }
}
