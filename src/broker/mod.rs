//! The broker machine: who is connected, who gets what, what is replayed, who is too slow, who is
//! to leave, and when.
//!
//! Its idea: a topic's log is both the replay buffer and the delivery queue, and a session is a
//! set of cursors into logs. No session has a queue, so a slow one costs nothing but its place,
//! and a `Last-Event-ID` only sets the cursors. A session without output stands on the parked
//! lists of its topics; a publish appends once and hands the whole list to the ready queue,
//! however long it is.
//!
//! One [`Broker`] is one shard: a plain value without a lock, a clock or a socket. Whoever drives
//! it passes the time, polls the outputs, and sleeps no longer than
//! [`poll_timeout`](Broker::poll_timeout) says.
//!
//! ```
//! use sansse::Event;
//! use sansse::broker::{Broker, BrokerConfig, Epoch, SessionRequest, Topic, Transmit};
//! # let now = std::time::Instant::now();
//!
//! let mut broker = Broker::new(now, BrokerConfig::new(Epoch(0xbeef)))?;
//! let session = broker.open(now, SessionRequest::new())?.session;
//! // A stream begins by telling the browser its place,
//! let Some(Transmit::Frame(frame)) = broker.poll_transmit(now, session) else { panic!() };
//! assert_eq!(frame.payload(), "id: beef-0\n\n");
//! // and until something is published, there is no more.
//! assert!(broker.poll_transmit(now, session).is_none());
//!
//! broker.publish(now, Topic::Broadcast, &Event::new("hello"))?;
//! assert_eq!(broker.poll_ready(), Some(session));
//! let Some(Transmit::Frame(frame)) = broker.poll_transmit(now, session) else { panic!() };
//! assert_eq!(frame.payload(), "id: beef-1\ndata: hello\n\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod admission;
mod arena;
mod batch;
mod clients;
mod clock;
mod config;
mod counters;
mod deadlines;
mod drain;
mod error;
mod event;
mod finite;
mod lag_machine;
mod lease;
mod limits;
mod log;
mod matched;
mod names;
mod occupancy;
mod one_or_many;
mod owned_timers;
mod pattern_tree;
mod permission;
mod presence;
mod publication;
mod publish;
mod ready;
mod reconnect;
#[cfg(feature = "record")]
#[cfg_attr(docsrs, doc(cfg(feature = "record")))]
pub mod record;
mod resume;
mod retained;
mod sequence;
#[cfg(feature = "signed")]
mod signature;
mod source;
mod state;
mod subscribe;
mod terms;
mod timers;
mod transmit;

pub use crate::encode::Framing;
pub use batch::Batch;
pub use clients::{PresenceCursor, PresencePage, PresentClient, Roster};
pub use config::{
    BrokerConfig, Drain, Lag, LagPolicy, LimitPolicy, Retention, SessionRequest, StartAt,
};
pub use counters::{Counters, Ended, Histogram, Lost, Refused, Resumed};
pub use error::{
    ComesBack, ConfigError, DrainError, LeaseError, NameError, OpenError, PublishError,
    RevokeError, RosterError, SubscribeError, TopicSettingError,
};
pub use event::{BrokerEvent, EndReason, EventNumber, Opened, Resume};
pub use names::{
    AddressKey, ClientId, EventKey, MAX_LEVELS, MAX_NAME, SessionId, TopicFilter, TopicName,
    TopicPattern,
};
pub use publication::Publication;
#[cfg(feature = "signed")]
#[cfg_attr(docsrs, doc(cfg(feature = "signed")))]
pub use sequence::{CursorKeys, KeyError, MIN_SECRET};
pub use sequence::{Epoch, EventIds, Published, Sequencer, Topic};
pub use subscribe::Place;
pub use transmit::{BatchEnd, Transmit};

pub(crate) use arena::Key;
pub(crate) use config::Value;
pub(crate) use occupancy::{Census, Eviction};
pub(crate) use reconnect::ReturnsOfAll;

use crate::encode::Frame;
use crate::event::Event;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use arena::Arena;
use clock::{Clock, Tick};
use drain::Draining;
use limits::{AddressState, Elsewhere, Opened as OpenedOrder};
use matched::View;
use owned_timers::{Owner, Timers};
use pattern_tree::PatternTree;
use ready::{Parked, Ready, ReadyQueue};
use reconnect::{Random, Returns};
use retained::Retained;
use state::{
    Client, Ending, NEVER, Phase, Seldom, Session, Slow, Subscription, TopicState, UNLISTED,
};
use std::time::Instant;
use subscribe::is_over;

/// One shard of a broker.
///
/// Inputs act at once; outputs are polled, in any order and as often as the caller likes:
///
/// - [`poll_ready`](Self::poll_ready): which sessions have output again;
/// - [`poll_transmit`](Self::poll_transmit): what goes to one session;
/// - [`poll_event`](Self::poll_event): what happened;
/// - [`poll_timeout`](Self::poll_timeout): when to call [`handle_timeout`](Self::handle_timeout).
#[derive(Debug)]
pub struct Broker {
    config: BrokerConfig,
    sequencer: Sequencer,
    clock: Clock,
    sessions: Arena<Session>,
    clients: Arena<Client>,
    client_keys: BTreeMap<ClientId, Key>,
    /// Clients without a session, the longest absent first.
    absent: BTreeSet<(Tick, Key)>,
    addresses: Arena<AddressState>,
    address_keys: BTreeMap<AddressKey, Key>,
    opened: OpenedOrder,
    retained: Retained,
    /// What is only to be counted.
    counters: Counters,
    /// By the position of the end, the topics whose end is remembered though nobody has them.
    ended: BTreeMap<u64, u32>,
    topics: Arena<TopicState>,
    topic_slots: BTreeMap<TopicName, u32>,
    broadcast: u32,
    /// Those in use.
    patterns: PatternTree,
    /// The newest position lost with a topic, or with a client, that is no longer known. Whoever
    /// comes back from before it may have missed something, and is told so.
    forgotten_topics: u64,
    forgotten_clients: u64,
    /// The newest position that other shards gave and this one never saw.
    left_out: u64,
    ready: ReadyQueue,
    timers: Timers,
    /// Sessions that ended and whose driver has not been told so yet.
    untold: BTreeMap<Key, EndReason>,
    events: VecDeque<BrokerEvent>,
    /// How many events were polled, so that a queued one can be found by its number.
    events_polled: u64,
    heartbeat: Frame,
    /// What `poll_transmit` lends when it is kept nowhere else.
    lent: Option<Frame>,
    closed: bool,
    draining: Option<Box<Draining>>,
    random: Random,
    returns: Returns,
    /// Values of the application's that somebody else is to drop, if anybody is.
    let_go: Option<Vec<Value>>,
}

impl Broker {
    /// A broker without sessions.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for a setting that cannot hold.
    pub fn new(now: Instant, config: BrokerConfig) -> Result<Self, ConfigError> {
        config.check()?;
        let mut topics = Arena::new();
        let broadcast = topics.insert(TopicState::new(None, 0)).slot();
        Ok(Self {
            sequencer: config.sequencer(),
            random: Random::new(&config),
            returns: Returns::new(&config),
            config,
            clock: Clock::new(now),
            sessions: Arena::new(),
            clients: Arena::new(),
            client_keys: BTreeMap::new(),
            absent: BTreeSet::new(),
            addresses: Arena::new(),
            address_keys: BTreeMap::new(),
            opened: OpenedOrder::default(),
            retained: Retained::default(),
            counters: Counters::default(),
            ended: BTreeMap::new(),
            topics,
            topic_slots: BTreeMap::new(),
            broadcast,
            patterns: PatternTree::default(),
            forgotten_topics: 0,
            forgotten_clients: 0,
            left_out: 0,
            ready: ReadyQueue::default(),
            timers: Timers::default(),
            untold: BTreeMap::new(),
            events: VecDeque::new(),
            events_polled: 0,
            heartbeat: Frame::new(&Event::heartbeat()),
            lent: None,
            closed: false,
            draining: None,
            let_go: None,
        })
    }

    /// Opens a session.
    ///
    /// It is not parked: [`poll_transmit`](Self::poll_transmit) is to be called for it first,
    /// without waiting for [`poll_ready`](Self::poll_ready).
    ///
    /// # Errors
    ///
    /// [`OpenError`]; then nothing was done.
    pub fn open(&mut self, now: Instant, request: SessionRequest) -> Result<Opened, OpenError> {
        self.open_beside(now, request, &Elsewhere::default())
    }

    /// As [`open`](Self::open), for one shard among several whose sessions count as well.
    pub(crate) fn open_beside(
        &mut self,
        now: Instant,
        request: SessionRequest,
        elsewhere: &Elsewhere,
    ) -> Result<Opened, OpenError> {
        let now = self.clock.advance(now);
        let mut request = request.normalized();
        let metadata = request.take_metadata();
        if !elsewhere.has_made_room
            && let Err(error) = self.check_open(now, &request, elsewhere)
        {
            self.counters.refuse(error);
            self.let_go([metadata.into_value()]);
            return Err(error);
        }
        let topics = self.subscribe_all(&request);
        let client = if let Some(id) = request.client() {
            Some(self.join(id, metadata))
        } else {
            self.let_go([metadata.into_value()]);
            None
        };
        let own_log = client.and_then(|client| self.clients.get(client));
        let own_log = own_log.map(|client| View::Log(&client.log));
        let (resume, cursors) =
            self.resume(request.last_event_id(), request.start(), &topics, own_log);
        let is_place_due =
            request.is_without_broadcast() && self.ends_without_id(&topics, own_log, &cursors);
        self.counters.open(resume);
        let opening = self.opening_frame(&request, resume);
        let terms = self.terms(now, &mut request);
        let subscriptions = topics
            .iter()
            .zip(&cursors.topics)
            .map(|(&topic, &cursor)| Subscription { cursor, topic, index: UNLISTED })
            .collect();
        let slow = Slow::of(request.lag(), request.loss_announcement().clone());
        let may_meet_bounds =
            resume.replayed() > 0 && self.may_be_bounded(request.lag(), topics.iter().copied());
        let replayed_through = if may_meet_bounds { self.sequencer.last() } else { 0 };
        let seldom = Seldom { opening, is_place_due, replayed_through, slow, ..Seldom::default() };
        let key = self.sessions.insert(Session {
            client,
            subscriptions,
            client_cursor: cursors.client,
            seldom: seldom.boxed(),
            lag_policy: request.lag().map(|lag| lag.policy),
            phase: Phase::Ready,
            queued: false,
            heartbeat_due: false,
            poll: 0,
            sent_at: now,
            polled_at: now,
            armed: NEVER,
            terms,
        });
        if let Some(client) = client.and_then(|client| self.clients.get_mut(client)) {
            client.sessions.push(key);
        }
        if let Some(session) = self.sessions.get_mut(key) {
            for (subscription, gone) in cursors.gone {
                session.set_gone(subscription, gone);
            }
        }
        self.arm_session(key);
        let session = self.session_id(key);
        let client = request.client().cloned();
        self.emit(BrokerEvent::SessionOpened { session, client, resume });
        self.count_in(key, elsewhere);
        Ok(Opened { session, resume })
    }

    /// Takes note that the connection of a session is gone. Nothing more is said to whoever
    /// drives it. A session that is not open is no error.
    pub fn handle_disconnect(&mut self, now: Instant, session: SessionId) {
        self.clock.advance(now);
        if let Some(key) = self.key_of(session) {
            self.tell_end(key);
            self.end(key, EndReason::Disconnected, Told::Already);
        }
    }

    /// Closes a session: it gets what was published before, then its end. Says whether there is
    /// such a session.
    pub fn close_session(&mut self, now: Instant, session: SessionId) -> bool {
        self.clock.advance(now);
        self.key_of(session).is_some_and(|key| self.finish(key, EndReason::Closed))
    }

    /// Closes the broker: each session gets what was published before, then its end, and no
    /// other is opened. A session that does not take it meets the stall timeout.
    pub fn close(&mut self, now: Instant) {
        self.clock.advance(now);
        if core::mem::replace(&mut self.closed, true) {
            return;
        }
        self.stop_draining();
        let keys: Vec<Key> = self.sessions.keys().collect();
        for key in keys {
            self.finish(key, EndReason::Shutdown);
        }
    }

    /// Closes the broker and ends all sessions at once, whatever they have not taken yet.
    pub fn abort(&mut self, now: Instant) {
        self.close(now);
        let keys: Vec<Key> = self.sessions.keys().collect();
        for key in keys {
            self.end(key, EndReason::Shutdown, Told::ByReady);
        }
    }

    /// Whether the broker was closed; then no session is opened and nothing published.
    pub const fn is_closed(&self) -> bool {
        self.closed
    }

    /// Whether there is such a session, and it has not ended.
    pub fn is_open(&self, session: SessionId) -> bool {
        self.session(session).is_some()
    }

    /// The next session that has output again, or that ended and is to be told so.
    ///
    /// A session to which [`poll_transmit`](Self::poll_transmit) said `None` is parked, and comes out
    /// exactly once when it has output again; not if it was polled before and got some, since it is
    /// parked no more. A session that ended as stalled comes out once, parked or not: whoever drives
    /// it may wait for a write that never ends.
    ///
    /// `None` here: no parked session has output; `publish`, `apply`, `close_session`, `close` and
    /// `handle_timeout` may change that.
    pub fn poll_ready(&mut self) -> Option<SessionId> {
        loop {
            let key = match self.ready.pop()? {
                Ready::Ended(key) if self.untold.contains_key(&key) => key,
                Ready::Ended(_) => continue,
                Ready::Session(key) => {
                    let Some(session) = self.sessions.get_mut(key) else { continue };
                    session.queued = false;
                    if session.phase != Phase::Woken {
                        continue;
                    }
                    session.phase = Phase::Ready;
                    key
                }
                Ready::Topic(parked) => {
                    let Some(key) = self.unlist(parked) else { continue };
                    key
                }
            };
            return Some(self.session_id(key));
        }
    }

    /// The next thing that happened. `None`: nothing since; any input, and `poll_transmit`, may
    /// change that.
    ///
    /// They are kept until polled. When [`BrokerConfig::max_unread_events`] wait, no session is
    /// opened any more.
    pub fn poll_event(&mut self) -> Option<BrokerEvent> {
        let event = self.events.pop_front()?;
        match &event {
            BrokerEvent::SessionSkipped { session, .. } => {
                if let Some(session) = self.sessions.get_mut(session.key()) {
                    session.forget_skip_event();
                }
            }
            BrokerEvent::SessionCoalesced { session, .. } => {
                if let Some(session) = self.sessions.get_mut(session.key()) {
                    session.forget_coalesced_event();
                }
            }
            _ => {}
        }
        self.events_polled += 1;
        Some(event)
    }

    /// As [`poll_event`](Self::poll_event), with the number of the event, by which a
    /// [page of those who are here](Self::presence_page) says what it takes into account. Events
    /// that are polled without it are numbered too.
    pub fn poll_numbered_event(&mut self) -> Option<(EventNumber, BrokerEvent)> {
        let event = self.poll_event()?;
        Some((EventNumber::new(self.config.shard, self.events_polled), event))
    }

    /// The number of the newest event, polled or not.
    pub fn last_event(&self) -> EventNumber {
        let number = self.events_polled + self.events.len() as u64;
        EventNumber::new(self.config.shard, number)
    }

    /// Whether [`poll_event`](Self::poll_event) has something.
    pub fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// What the broker has done, and how much there is in it now. It costs a copy of some hundred
    /// numbers.
    pub fn counters(&self) -> Counters {
        Counters {
            sessions: self.sessions.len() as u64,
            clients: self.clients.len() as u64,
            // But for the broadcast.
            topics: self.topics.len() as u64 - 1,
            retained_bytes: self.retained.bytes() as u64,
            unread_events: self.events.len() as u64,
            ..self.counters.clone()
        }
    }

    /// The position of the newest event; 0 if there is none.
    pub const fn last_position(&self) -> u64 {
        self.sequencer.last()
    }

    /// Makes a parked session ready for a reason of its own.
    fn wake(&mut self, key: Key) {
        let now = self.clock.now();
        let Some(session) = self.sessions.get_mut(key) else { return };
        if session.phase == Phase::Parked {
            session.phase = Phase::Woken;
            session.polled_at = now;
            if !core::mem::replace(&mut session.queued, true) {
                self.ready.push(Ready::Session(key));
            }
            self.arm_session(key);
        }
    }

    /// Takes a subscription off the list that a publish has made ready. Gives its session if that
    /// was parked and has something now.
    fn unlist(&mut self, parked: Parked) -> Option<Key> {
        let now = self.clock.now();
        let session = self.sessions.at_mut(parked.session)?;
        let subscription = session.subscriptions.get_mut(parked.subscription as usize)?;
        let topic = self.topics.at(subscription.topic)?;
        if subscription.index == UNLISTED || topic.is_waiting(parked, subscription) {
            // What the entry was about is gone.
            return None;
        }
        subscription.index = UNLISTED;
        if session.phase != Phase::Parked {
            return None;
        }
        if topic.end() <= subscription.cursor
            && !(topic.has_ended() && is_over(&self.topics, session, self.broadcast))
        {
            // It was polled in the meantime and has already got what this is about.
            self.list(parked);
            return None;
        }
        session.phase = Phase::Ready;
        session.polled_at = now;
        let key = self.sessions.key_at(parked.session)?;
        self.arm_session(key);
        Some(key)
    }

    /// Puts a subscription on its topic's parked list.
    fn list(&mut self, parked: Parked) {
        let Some(session) = self.sessions.at_mut(parked.session) else { return };
        let Some(subscription) = session.subscriptions.get_mut(parked.subscription as usize) else {
            return;
        };
        subscription.list(&mut self.topics, parked);
    }

    /// Lets a session have what there is, and then its end.
    fn finish(&mut self, key: Key, reason: EndReason) -> bool {
        self.finish_with(key, reason, None)
    }

    /// As [`finish`](Self::finish), with a frame between the two.
    fn finish_with(&mut self, key: Key, reason: EndReason, last_words: Option<Frame>) -> bool {
        let through = self.sequencer.last();
        let Some(session) = self.sessions.get_mut(key) else { return false };
        if session.ending().is_none() {
            let end = |subscription: &Subscription| {
                self.topics.at(subscription.topic).map_or(0, TopicState::end)
            };
            let topics = session.subscriptions.iter().map(end).collect();
            let client = session.client.and_then(|client| self.clients.get(client));
            let client = client.map_or(0, |client| client.log.end());
            let ending = Ending { reason, through, topics, client, last_words };
            session.seldom_mut().ending = Some(ending);
            self.wake(key);
        }
        true
    }

    /// Ends a session, at once and for good.
    fn end(&mut self, key: Key, reason: EndReason, told: Told) {
        let uncounted = self.sessions.get_mut(key).map_or(0, Session::take_uncounted);
        self.note_coalesced(key, uncounted);
        let Some(session) = self.sessions.remove(key) else { return };
        let mut void = usize::from(session.queued);
        for (subscription, number) in session.subscriptions.iter().zip(0..) {
            let parked = Parked { session: key.slot(), subscription: number };
            void += usize::from(self.leave_topic(parked, subscription));
        }
        self.void_ready(void);
        self.count_out(key, session.address());
        let private = session.private();
        if let Some(private) = private {
            self.retained.update((Owner::Session, key.slot()), private.log.footprint(), None);
        }
        let undelivered = private.map_or(0, |private| private.log.end() - private.cursor);
        let client = session.client.and_then(|client| self.leave(client, key));
        if told == Told::ByReady {
            self.untold.insert(key, reason);
            self.ready.push(Ready::Ended(key));
        }
        self.counters.end(reason, undelivered);
        let session = self.session_id(key);
        self.emit(BrokerEvent::SessionEnded { session, client, reason, undelivered });
        self.forget_absent();
        self.emit_drained();
    }

    /// Whoever drives a session that ended is told so now, if it was not before.
    fn tell_end(&mut self, key: Key) -> Option<EndReason> {
        let reason = self.untold.remove(&key)?;
        self.void_ready(1);
        Some(reason)
    }

    /// Takes note that `count` entries of the ready queue tell nothing any more.
    fn void_ready(&mut self, count: usize) {
        if count > 0 {
            let (sessions, topics, untold) = (&self.sessions, &self.topics, &self.untold);
            let waits_elsewhere = |parked: &Parked| {
                let session = sessions.at(parked.session)?;
                let subscription = session.subscriptions.get(parked.subscription as usize)?;
                let topic = topics.at(subscription.topic)?;
                Some(subscription.index == UNLISTED || topic.is_waiting(*parked, subscription))
            };
            self.ready.void(count, |ready| match ready {
                Ready::Topic(parked) => waits_elsewhere(parked) == Some(false),
                Ready::Session(key) => sessions.get(*key).is_some_and(|session| session.queued),
                Ready::Ended(key) => untold.contains_key(key),
            });
        }
    }

    /// Says whether the subscription leaves a void entry in the ready queue.
    fn leave_topic(&mut self, parked: Parked, subscription: &Subscription) -> bool {
        let Some(topic) = self.topics.at_mut(subscription.topic) else { return false };
        topic.subscribers -= 1;
        let listed = subscription.index != UNLISTED;
        let waits = listed && topic.is_waiting(parked, subscription);
        if waits {
            topic.parked.swap_remove(subscription.index as usize);
            if let Some(&moved) = topic.parked.get(subscription.index as usize)
                && let Some(session) = self.sessions.at_mut(moved.session)
                && let Some(other) = session.subscriptions.get_mut(moved.subscription as usize)
            {
                other.index = subscription.index;
            }
        }
        self.release_topic(subscription.topic);
        listed && !waits
    }

    fn emit(&mut self, event: BrokerEvent) {
        self.events.push_back(event);
    }

    fn session(&self, id: SessionId) -> Option<&Session> {
        self.sessions.get(self.key_of(id)?)
    }

    fn key_of(&self, id: SessionId) -> Option<Key> {
        (id.shard() == self.config.shard).then(|| id.key())
    }

    fn session_id(&self, key: Key) -> SessionId {
        SessionId::new(self.config.shard, key)
    }
}

/// How whoever drives a session learns of its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// It said so itself, or is being told in the same call.
    Already,
    /// Its id comes out of `poll_ready`.
    ByReady,
}
