//! One shard: what the driver of several shards needs of each, so that they are one broker.
//!
//! Sessions of all shards count together where a session is opened with a [`Census`]: what all
//! other shards have. The driver asks each of the others for its [`Occupancy`], one after the
//! other, and opens no other session meanwhile. Sessions end as they like in between, which only
//! makes room.

use super::admission::{Census, Eviction, Occupancy};
use super::calls::Calls;
use super::clock::{Tick, ticks};
use super::delivery::Teller;
use super::names::AddressKey;
use super::sessions::Told;
use super::{
    Audience, Backfill, BackfillRequest, Backfilled, Broker, ConfigError, Drain, DrainError,
    EndReason, EventNumber, LogStep, OpenError, Opened, PublishError, Published, SessionConfig,
    SessionId,
};
#[cfg(feature = "signed")]
use super::{CursorKeys, EventIds};
use alloc::vec::Vec;
use core::time::Duration;
use std::time::Instant;

/// Looks at a [`Broker`] that is one shard among several; from [`Broker::shard`].
///
/// ```
/// use sansse::Event;
/// use sansse::broker::{Audience, Broker, BrokerConfig, Census, Epoch, SessionConfig, ShardNumber};
/// # let now = std::time::Instant::now();
///
/// let two = std::num::NonZeroU16::new(2).unwrap();
/// let mut shards = [0, 1].map(|number| {
///     let mut config = BrokerConfig::new(Epoch(1));
///     config.shard = ShardNumber::new(number, two).unwrap();
///     Broker::new(now, config).unwrap()
/// });
/// // A session is opened in one shard, beside what the others have.
/// let config = SessionConfig::new();
/// let census = |shards: &mut [Broker; 2]| {
///     let mut census = Census::default();
///     census.add(0, shards[0].shard().occupancy(&config));
///     census
/// };
/// let mut others = census(&mut shards);
/// if let Some(eviction) = shards[1].shard().eviction_for(now, &config, &others) {
///     shards[usize::from(eviction.shard())].shard_mut().evict(now, eviction);
///     others = census(&mut shards);
///     others.note_eviction();
/// }
/// let session = shards[1].shard_mut().open(now, config.clone(), &others)?.session;
/// // What one shard publishes, the others apply.
/// let published = shards[0].publish(now, Audience::Everyone, &Event::new("hello"))?;
/// shards[1].shard_mut().apply_beside(now, &published)?;
/// assert!(shards[1].session(session).is_open());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ShardRef<'a> {
    broker: &'a Broker,
}

/// Changes a [`Broker`], or a recorded broker, that is one shard among several; from
/// [`Broker::shard_mut`].
#[derive(Debug)]
pub struct ShardMut<'a, B = Broker> {
    broker: &'a mut B,
}

impl ShardRef<'_> {
    /// Returns what this shard has, for a session that is to be opened in another.
    pub fn occupancy(self, config: &SessionConfig) -> Occupancy {
        self.broker.occupancy(config)
    }

    /// Returns which session of another shard has to make room, if this one is to be opened here.
    /// `None`: none has to, or the session is refused. There is no more than one.
    pub fn eviction_for(
        self,
        now: Instant,
        config: &SessionConfig,
        others: &Census,
    ) -> Option<Eviction> {
        self.broker.eviction_for(now, config, others)
    }

    /// Checks that a session could be opened here beside those of the other shards, as
    /// [`ShardMut::open`] would. Nothing is opened, and a refusal is not counted.
    ///
    /// # Errors
    ///
    /// The [`OpenError`] that opening would meet.
    pub fn check_open(
        self,
        now: Instant,
        config: &SessionConfig,
        others: &Census,
    ) -> Result<(), OpenError> {
        let now = self.broker.clock.tick(now);
        self.broker.check_open(now, config, others.elsewhere())
    }

    /// Returns whether something can be published to `audience` here.
    ///
    /// # Errors
    ///
    /// Those of [`Broker::publish`] that do not depend on the event.
    pub fn check_publish(self, audience: &Audience) -> Result<(), PublishError> {
        self.broker.check_publish(audience)
    }

    /// Returns whether the open sessions of the client or the session for which this is have room
    /// for it here, so that they lose nothing by it. What is for everyone or for a topic always has
    /// room.
    ///
    /// [`ShardMut::apply`] does not ask: what was numbered elsewhere is published already, and a
    /// session that is behind meets its [`Lag`](super::Lag). Who numbers asks the shard of the
    /// client or the session first, as [`Broker::publish`] does.
    ///
    /// # Errors
    ///
    /// [`PublishError::NoRoom`].
    pub fn check_room(self, now: Instant, published: &Published) -> Result<(), PublishError> {
        let clock = &self.broker.clock;
        self.broker.check_room(clock.now().max(clock.tick(now)), published)
    }

    /// Returns the position of the newest event; 0 if there is none.
    pub fn last_position(self) -> u64 {
        self.broker.sequencer.last()
    }

    /// Returns the number of the newest [event](Broker::poll_event) that the application was, or is
    /// to be, told.
    pub fn last_event(self) -> EventNumber {
        self.broker.events.last_number()
    }

    /// Returns how many sessions there are from this address.
    pub fn sessions_from(self, address: &AddressKey) -> usize {
        self.broker.admission.sessions_from(address)
    }
}

impl<'a, B: Calls> ShardMut<'a, B> {
    pub(crate) const fn new(broker: &'a mut B) -> Self {
        Self { broker }
    }

    /// Ends the session that has to make room for one that another shard opens. After this, that
    /// shard is asked for nothing more: opening cannot fail for lack of room.
    ///
    /// It is the oldest session now, should the one that was the oldest have left meanwhile. An
    /// eviction that is for another shard does nothing here.
    pub fn evict(self, now: Instant, eviction: Eviction) {
        if eviction.shard() == self.broker.as_ref().config.shard.get() {
            self.broker.evict_oldest(now, eviction.address());
        }
    }

    /// Opens a session, as [`Broker::open`] does, beside those of the other shards.
    ///
    /// # Errors
    ///
    /// [`OpenError`]; then nothing was done.
    pub fn open(
        self,
        now: Instant,
        config: SessionConfig,
        others: &Census,
    ) -> Result<Opened, OpenError> {
        self.broker.open_beside(now, config, others.elsewhere())
    }

    /// Publishes what another shard or an engine outside has numbered.
    ///
    /// Each shard is to apply every event, also those for a client or a session of another shard:
    /// the position of the newest event decides which last event ids are valid. Positions that are
    /// left out are lost, as by a [`cut`](Self::cut); so are the first ones of a stream that this shard
    /// joins late. A client or a session that is not here is no error.
    ///
    /// Where a topic would be one too many, it keeps nothing here. This is no error either:
    /// sessions with a pattern that matches have lost the event.
    ///
    /// All sessions of one client belong on one shard, since what is published to the client is
    /// kept there alone. What is for a client that has no session here is kept where
    /// [`BrokerConfig::keeps_for_absent`](super::BrokerConfig::keeps_for_absent) says so. Otherwise
    /// a shard that is rebuilt from its history, before its first session, does not know which
    /// clients were its own: what was published to any client is a gap to each client that resumes
    /// from before it.
    ///
    /// # Errors
    ///
    /// [`PublishError`]; then nothing was done.
    pub fn apply(self, now: Instant, published: &Published) -> Result<(), PublishError> {
        self.broker.apply(now, published)
    }

    /// Publishes what an engine outside has numbered, as [`apply`](Self::apply) does, and what is
    /// so old already: history that is loaded. The event goes when it is as old as its topic's
    /// [retention](super::Retention) says, counted from when it was first published. Ages below a
    /// second count as none, and what is too old already is kept for a second, in which those get it
    /// who listen.
    ///
    /// # Errors
    ///
    /// [`PublishError`]; then nothing was done.
    pub fn apply_aged(
        self,
        now: Instant,
        published: &Published,
        age: Duration,
    ) -> Result<(), PublishError> {
        self.broker.apply_aged(now, published, age)
    }

    /// Records that nothing was published at the positions after the newest one here, up to
    /// `through`: what the log of an engine has there concerns no session of this shard. No session
    /// is told anything.
    ///
    /// # Errors
    ///
    /// [`PublishError::Closed`], or [`PublishError::OutOfOrder`] for a position that is not after the
    /// newest one; then nothing was done.
    pub fn skip(self, now: Instant, through: u64) -> Result<(), PublishError> {
        self.broker.skip(now, through)
    }

    /// Records that what was published at the positions after the newest one here, up to `through`,
    /// is lost, or may be. Each session is told of it when it has got what came before: by a
    /// [notice](super#what-a-peer-is-told) of a gap whose number of events is not known, with the id
    /// of the last of these positions. One that resumes from before that position is told too.
    ///
    /// Sessions without notices are told nothing. The cost is that of all sessions once, as at a
    /// [drain](Broker::drain).
    ///
    /// ```
    /// use sansse::broker::{Broker, BrokerConfig, Epoch, SessionConfig, Transmit};
    /// # let now = std::time::Instant::now();
    ///
    /// let mut broker = Broker::new(now, BrokerConfig::new(Epoch(1)))?;
    /// let session = broker.open(now, SessionConfig::new())?.session;
    /// while broker.poll_transmit(now, session).is_some() {}
    /// broker.shard_mut().cut(now, 40)?;
    /// let Some(Transmit::Frame(frame)) = broker.poll_transmit(now, session) else { panic!() };
    /// let told = "id: 1-40\nevent: sansse-notice\n\
    ///     data: {\"stream\":\"gap\",\"replayed\":0,\"lost\":null,\"reason\":\"log\"}\n\n";
    /// assert_eq!(frame.payload(), told);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`PublishError::Closed`], or [`PublishError::OutOfOrder`] for a position that is not after the
    /// newest one; then nothing was done.
    pub fn cut(self, now: Instant, through: u64) -> Result<(), PublishError> {
        self.broker.cut(now, through)
    }

    /// Does what the log of an engine outside says: [`apply_aged`](Self::apply_aged),
    /// [`skip`](Self::skip), [`cut`](Self::cut), or the revocation of a client's rights.
    ///
    /// An event that this shard cannot keep, though its log has it, is lost here: it is larger than
    /// the retention permits, or brings an id that cannot be one here. So each step is done, whatever
    /// it brings. What was published to a topic after its end reaches nobody.
    ///
    /// # Errors
    ///
    /// [`PublishError::Closed`], [`PublishError::OtherEpoch`], or [`PublishError::OutOfOrder`] for a
    /// position that is not after the newest one; then nothing was done.
    pub fn apply_step(self, now: Instant, step: &LogStep) -> Result<(), PublishError> {
        let broker = self.broker;
        match step {
            LogStep::Publish { published, age } => match broker.apply_aged(now, published, *age) {
                Err(PublishError::TopicEnded) => broker.skip(now, published.position()),
                Err(PublishError::TooLarge { .. } | PublishError::UnusableId(_)) => {
                    broker.cut(now, published.position())
                }
                result => result,
            },
            LogStep::Skip { through } => broker.skip(now, *through),
            LogStep::Cut { through } => broker.cut(now, *through),
            LogStep::Revoke { position, client } => {
                pass(broker, now, *position)?;
                // A client that is not here has nothing to lose.
                broker.revoke(now, client).map_or(Ok(()), |_| Ok(()))
            }
            LogStep::RevokeTopic { position, client, topic } => {
                pass(broker, now, *position)?;
                broker.revoke_topic(now, client, topic).map_or(Ok(()), |_| Ok(()))
            }
            LogStep::Drain { position, drain } => {
                pass(broker, now, *position)?;
                // One that drains already goes on as it was told to.
                let _ = broker.drain_by_log(now, drain.clone());
                Ok(())
            }
        }
    }

    /// Does what a [step](Self::apply_step) says that concerns a client or a session of another
    /// shard, where all began together: its position passes here, and the event counts as published.
    ///
    /// # Errors
    ///
    /// As [`apply_step`](Self::apply_step).
    pub(crate) fn apply_step_beside(
        self,
        now: Instant,
        step: &LogStep,
    ) -> Result<(), PublishError> {
        match step {
            LogStep::Publish { published, .. } => self.broker.apply_beside(now, published),
            LogStep::Revoke { position, .. } | LogStep::RevokeTopic { position, .. } => {
                pass(self.broker, now, *position)
            }
            LogStep::Skip { .. } | LogStep::Cut { .. } | LogStep::Drain { .. } => {
                self.apply_step(now, step)
            }
        }
    }

    /// Publishes what another shard has numbered, as [`apply`](Self::apply) does, where all shards
    /// began together: a client that is not here is on another, and nothing is kept for it.
    ///
    /// # Errors
    ///
    /// [`PublishError`]; then nothing was done.
    pub fn apply_beside(self, now: Instant, published: &Published) -> Result<(), PublishError> {
        self.broker.apply_beside(now, published)
    }

    /// Sets how long sessions wait from now on whose last event id is ahead of this shard, instead
    /// of [`SessionDefaults::ahead_wait`](super::SessionDefaults::ahead_wait). Those that wait
    /// already wait as long as they were to.
    ///
    /// ```
    /// use sansse::broker::{
    ///     Audience, Broker, BrokerConfig, BrokerEvent, Epoch, EventIds, Resumption, Sequencer,
    ///     SessionConfig,
    /// };
    /// use sansse::{Event, LastEventId};
    /// use std::time::Duration;
    /// # let now = std::time::Instant::now();
    ///
    /// let mut node = Broker::new(now, BrokerConfig::new(Epoch(0xbeef)))?;
    /// node.shard_mut().set_ahead_wait(now, Some(Duration::from_secs(2)))?;
    /// // A browser had an event from another node that has not come to this one yet.
    /// let last = LastEventId::from_header(b"beef-1");
    /// let opened = node.open(now, SessionConfig::new().with_last_event_id(last))?;
    /// assert_eq!(opened.resumption, Resumption::Waiting);
    /// assert!(node.poll_transmit(now, opened.session).is_none());
    ///
    /// let mut log = Sequencer::new(Epoch(0xbeef), 0, EventIds::Assigned);
    /// node.shard_mut().apply(now, &log.publish(Audience::Everyone, &Event::new("hello")))?;
    /// # node.poll_event();
    /// let Some((_, BrokerEvent::SessionResumed { resumption, .. })) = node.poll_event() else {
    ///     panic!()
    /// };
    /// assert_eq!(resumption, Resumption::Complete { replayed: 0 });
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConfigError::ZeroAheadWait`](super::ConfigError); then nothing was done.
    pub fn set_ahead_wait(self, now: Instant, wait: Option<Duration>) -> Result<(), ConfigError> {
        self.broker.set_ahead_wait(now, wait)
    }

    /// Sets whether what is [applied](Self::apply) from now on is kept for clients that have no
    /// session here, instead of [`BrokerConfig::keeps_for_absent`](super::BrokerConfig). What came
    /// before is not, so that it is a gap to a client that is not known and resumes from before it.
    ///
    /// Among the shards of one hub, a client's sessions are all on one: apply what is for the client
    /// there, and [`apply_beside`](Self::apply_beside) it in the others.
    ///
    /// ```
    /// use sansse::broker::{
    ///     Audience, Broker, BrokerConfig, ClientId, Epoch, EventIds, Resumption, Sequencer,
    ///     SessionConfig,
    /// };
    /// use sansse::{Event, LastEventId};
    /// # let now = std::time::Instant::now();
    ///
    /// let mut node = Broker::new(now, BrokerConfig::new(Epoch(0xbeef)))?;
    /// node.shard_mut().set_keeps_for_absent(now, true);
    /// let alice = ClientId::new("alice")?;
    /// let mut log = Sequencer::new(Epoch(0xbeef), 0, EventIds::Assigned);
    /// node.shard_mut().apply(now, &log.publish(Audience::Everyone, &Event::new("for all")))?;
    /// // She is connected to another node, and comes to this one.
    /// node.shard_mut().apply(now, &log.publish(alice.clone().into(), &Event::new("for alice")))?;
    /// let last = LastEventId::from_header(b"beef-1");
    /// let config = SessionConfig::new().with_client(alice).with_last_event_id(last);
    /// assert_eq!(node.open(now, config)?.resumption, Resumption::Complete { replayed: 1 });
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_keeps_for_absent(self, now: Instant, keeps: bool) {
        self.broker.set_keeps_for_absent(now, keeps);
    }

    /// Lets sessions that resume from before what is in memory wait for what is read of a log outside,
    /// from now on, or not; at first they do not. Without it, those that wait resume from memory.
    ///
    /// Such a session gets heartbeats, and nothing else, until it is decided how it resumes; see
    /// [`Resumption::Waiting`](super::Resumption). The driver asks
    /// [`poll_backfill`](Self::poll_backfill) what is to be read, and brings it page by page by
    /// [`backfill`](Self::backfill). Then the session begins as if all of that had been in memory:
    /// its stream begins with how it resumes, what was read follows, then what is in memory, and then
    /// what is published. Where a page has more than concerns the session, it gets what is for it:
    /// what it had subscribed to when it was opened, without what it has unsubscribed from, or lost
    /// the right to, since.
    ///
    /// ```
    /// use sansse::broker::{
    ///     Audience, Backfill, Backfilled, Broker, BrokerConfig, Epoch, EventIds, Resumption,
    ///     Sequencer, SessionConfig,
    /// };
    /// use sansse::{Event, LastEventId};
    /// # let now = std::time::Instant::now();
    ///
    /// let mut log = Sequencer::new(Epoch(0xbeef), 0, EventIds::Assigned);
    /// let old: Vec<_> = ["a", "b", "c"]
    ///     .map(|data| log.publish(Audience::Everyone, &Event::new(data)))
    ///     .into();
    /// // This node begins after what was published first.
    /// let mut node = Broker::new(now, BrokerConfig::new(Epoch(0xbeef)))?;
    /// node.shard_mut().set_backfill(now, Some(Backfill::DEFAULT));
    /// node.shard_mut().cut(now, 3)?;
    /// node.shard_mut().apply(now, &log.publish(Audience::Everyone, &Event::new("d")))?;
    ///
    /// let last = LastEventId::from_header(b"beef-1");
    /// let opened = node.open(now, SessionConfig::new().with_last_event_id(last))?;
    /// assert_eq!(opened.resumption, Resumption::Waiting);
    /// let request = node.shard_mut().poll_backfill().expect("it missed something");
    /// assert_eq!((request.session, request.after), (opened.session, 1));
    /// let read = Backfilled::new(0, 0, 3, old);
    /// assert_eq!(node.shard_mut().backfill(now, request.session, &read), None);
    ///
    /// # let mut data = Vec::new();
    /// # while let Some(sansse::broker::Transmit::Frame(frame)) =
    /// #     node.poll_transmit(now, opened.session)
    /// # {
    /// #     data.extend_from_slice(&frame.payload());
    /// # }
    /// # let data = String::from_utf8(data)?;
    /// // Its stream: that it is complete, "b" and "c" from the log, and "d" from memory.
    /// assert!(data.contains("complete") && data.ends_with("id: beef-4\ndata: d\n\n"));
    /// # assert!(data.contains("data: b\n\nid: beef-3\ndata: c\n\n"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_backfill(self, now: Instant, backfill: Option<Backfill>) {
        self.broker.set_backfill(now, backfill);
    }

    /// Returns the next session for which something is to be read, and after which position; once
    /// for each that [waits](Self::set_backfill). Ask after each session that was opened, and after
    /// each [step](Self::apply_step) that was done.
    pub fn poll_backfill(self) -> Option<BackfillRequest> {
        self.broker.poll_backfill()
    }

    /// Takes what was read for a session that [waits](Self::set_backfill), and for others perhaps.
    /// Returns after which position it needs more. `None`: that was all, or the session waits no
    /// more.
    ///
    /// What is read may begin before that position, and end where it likes: what lies beyond the
    /// newest position here is not looked at. It is to go on where the page before it ended. Where
    /// it begins later, or says that something is missing, the session is told of a gap; where it
    /// leads no further, the session resumes from memory.
    pub fn backfill(self, now: Instant, session: SessionId, read: &Backfilled) -> Option<u64> {
        self.broker.backfill(now, session, read)
    }

    /// Says that nothing more can be read for a session that [waits](Self::set_backfill): it resumes
    /// from what is in memory, and is told of the gap. Returns whether there was such a session.
    pub fn end_backfill(self, now: Instant, session: SessionId) -> bool {
        self.broker.end_backfill(now, session)
    }

    /// Signs the ids of all that is published from now on with other keys. What the earlier ones
    /// signed stays valid if the new keys [accept](CursorKeys::accepting) it; without that, such
    /// an id is [forged](super::Resumption::Forged).
    ///
    /// # Errors
    ///
    /// [`ConfigError::NothingToSign`] with [`EventIds::Own`]; then nothing was done.
    #[cfg(feature = "signed")]
    #[cfg_attr(docsrs, doc(cfg(feature = "signed")))]
    pub fn set_cursor_keys(self, keys: CursorKeys) -> Result<(), ConfigError> {
        self.broker.set_cursor_keys(keys)
    }
}

/// Passes one position that holds no event; what is left out before it is lost.
fn pass(broker: &mut impl Calls, now: Instant, position: u64) -> Result<(), PublishError> {
    let last = broker.as_ref().sequencer.last();
    if let Some(before) = position.checked_sub(1).filter(|before| *before > last) {
        broker.cut(now, before)?;
    }
    broker.skip(now, position)
}

impl Broker {
    /// Returns a handle that looks at the broker as one shard among several.
    pub const fn shard(&self) -> ShardRef<'_> {
        ShardRef { broker: self }
    }

    /// Returns a handle that drives the broker as one shard among several.
    pub const fn shard_mut(&mut self) -> ShardMut<'_> {
        ShardMut::new(self)
    }

    fn occupancy(&self, request: &SessionConfig) -> Occupancy {
        self.admission.occupancy(self.sessions.len(), request.address())
    }

    fn eviction_for(
        &self,
        now: Instant,
        request: &SessionConfig,
        census: &Census,
    ) -> Option<Eviction> {
        let now = self.clock.now().max(self.clock.tick(now));
        let elsewhere = census.elsewhere();
        if !elsewhere.has_made_room() && self.check_open(now, request, elsewhere).is_err() {
            return None;
        }
        let client = request.client().and_then(|id| self.clients.key_of(id));
        let of_client = client.and_then(|client| self.oldest_of(client));
        self.admission.eviction_for(self.sessions.len(), of_client, request.address(), census)
    }

    /// Ends the oldest session, or the oldest from this address, for one that another shard opens.
    pub(super) fn evict_oldest(&mut self, now: Instant, address: Option<&AddressKey>) {
        self.advance(now);
        if let Some(oldest) = self.admission.oldest(address) {
            self.end(oldest, EndReason::Evicted, Told::ByReady);
        }
    }

    /// Publishes what another shard has numbered, where all began together: a client that is not
    /// here is on another.
    pub(super) fn apply_beside(
        &mut self,
        now: Instant,
        published: &Published,
    ) -> Result<(), PublishError> {
        self.apply_numbered(now, published, 0, false)
    }

    /// Publishes what was numbered elsewhere and is so old, and keeps it for a client that is not
    /// here, or not.
    fn apply_numbered(
        &mut self,
        now: Instant,
        published: &Published,
        age: Tick,
        keeps: bool,
    ) -> Result<(), PublishError> {
        let now = self.advance(now);
        if self.admission.is_closed() {
            return Err(PublishError::Closed);
        }
        if published.epoch() != self.sequencer.epoch() {
            return Err(PublishError::OtherEpoch);
        }
        let (position, last) = (published.position(), self.sequencer.last());
        self.check_position(published)?;
        match self.append(now, published, age) {
            Err(PublishError::UnknownClient) if keeps => {
                self.keep_for_absent(now, published, age);
            }
            Err(PublishError::TooLarge { .. }) if self.is_for_absent(published) => {
                self.lose_for_absent(published);
            }
            // No session here has it; one that comes later is told of the gap.
            Err(PublishError::TooManyTopics) => self.miss(now, published),
            Ok(()) | Err(PublishError::UnknownClient | PublishError::UnknownSession) => {}
            Err(error) => return Err(error),
        }
        if position > last + 1 {
            self.lose_through(now, position - 1);
        }
        if !published.is_end() {
            self.counters.publish(published.frame());
        }
        self.sequencer.observe(position);
        self.note_position();
        Ok(())
    }

    /// Publishes what another shard or an engine has numbered, as [`ShardMut::apply`] says.
    pub(super) fn apply(
        &mut self,
        now: Instant,
        published: &Published,
    ) -> Result<(), PublishError> {
        self.apply_aged(now, published, Duration::ZERO)
    }

    /// Publishes history, as [`ShardMut::apply_aged`] says.
    pub(super) fn apply_aged(
        &mut self,
        now: Instant,
        published: &Published,
        age: Duration,
    ) -> Result<(), PublishError> {
        let (keeps, is_unused) = (self.config.keeps_for_absent, self.sessions.is_unused());
        self.apply_numbered(now, published, ticks(age), keeps)?;
        if let Audience::Client(_) = published.audience() {
            if keeps {
                self.forget_absent();
            } else if is_unused {
                // The client may be one of an earlier process, whose history this is.
                self.clients.note_forgotten(published.position());
            }
        }
        Ok(())
    }

    /// Drains the broker, as [`Broker::drain`] does, since a log outside says so.
    pub(super) fn drain_by_log(&mut self, now: Instant, drain: Drain) -> Result<(), DrainError> {
        self.drain(now, drain)
    }

    /// Passes positions that hold nothing, as [`ShardMut::skip`] says.
    pub(super) fn skip(&mut self, now: Instant, through: u64) -> Result<(), PublishError> {
        self.advance(now);
        self.check_passing(through)?;
        self.sequencer.observe(through);
        self.note_position();
        Ok(())
    }

    /// Passes positions whose events are lost, as [`ShardMut::cut`] says.
    pub(super) fn cut(&mut self, now: Instant, through: u64) -> Result<(), PublishError> {
        let now = self.advance(now);
        self.check_passing(through)?;
        self.sequencer.observe(through);
        self.lose_through(now, through);
        self.note_position();
        Ok(())
    }

    const fn check_passing(&self, through: u64) -> Result<(), PublishError> {
        if self.admission.is_closed() {
            return Err(PublishError::Closed);
        }
        self.check_order(through)
    }

    /// Records that what was published up to this position may be lost, and tells each session that
    /// is to get more than it had by then.
    fn lose_through(&mut self, now: Tick, through: u64) {
        self.unseen = through;
        self.counters.cuts += 1;
        let keys: Vec<_> = self.sessions.keys().collect();
        for key in keys {
            let usual = self.config.session.notices.as_ref();
            if let Some(session) = self.sessions.get_mut(key)
                && session.ending().is_none()
                // What it is told is decided with its place.
                && !session.is_ahead()
                && Teller::of(session, usual, &self.sequencer).tells()
            {
                session.extras_mut().add_cut(through);
                self.sessions.wake(now, key);
            }
        }
    }

    #[cfg(feature = "signed")]
    pub(super) fn set_cursor_keys(&mut self, keys: CursorKeys) -> Result<(), ConfigError> {
        if self.sequencer.ids() == EventIds::Own {
            return Err(ConfigError::NothingToSign);
        }
        self.sequencer.set_cursor_keys(keys);
        Ok(())
    }

    /// Counts what no topic here can keep as lost.
    fn miss(&mut self, now: Tick, published: &Published) {
        self.topics.note_forgotten(published.position());
        if let (false, Audience::Topic(name)) = (published.is_end(), published.audience()) {
            self.topics.miss(now, name, published.position(), self.sessions.ready_mut());
        }
    }
}

#[cfg(test)]
#[path = "shard_tests.rs"]
mod tests;
