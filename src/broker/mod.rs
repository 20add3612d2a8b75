//! The broker machine: which sessions are open, which events go to each, what is replayed, what
//! happens to sessions that are too slow, and when sessions end.
//!
//! A [`Broker`] is a plain value without a lock, a clock or a socket. Its driver passes the time,
//! polls the outputs, and sleeps no longer than [`poll_timeout`](Broker::poll_timeout) says.
//!
//! # Words
//!
//! - A **session** is one event stream to one connection; a **client** is a user, device or visitor
//!   of the application's, with any number of sessions, one after the other or at the same time.
//! - An event is published to an [`Audience`]: everyone, one client, one session, or a **topic**.
//!   Sessions subscribe to topics by name or by [pattern](TopicPattern).
//! - Each publish has a **position**, and event ids name positions. A session that resumes after an
//!   id gets what came after it, or learns that there is a gap: its [`Resumption`].
//! - An event that a session does not get is **lost** (no longer kept when its turn came),
//!   **superseded** (by a newer one of its [key](crate::EventKey)), **skipped** (by the session's
//!   [policy](LagPolicy)), or **excluded** (a late subscription had it already).
//!
//! # How it works
//!
//! A topic's log is both the replay buffer and the delivery queue, and a session is a set of
//! cursors into logs. No session has a queue, so a slow one costs nothing but its place, and a
//! `Last-Event-ID` only sets the cursors. A session without output waits on the lists of its
//! topics. A publish appends once, and moves the topic's whole list to the ready queue, however
//! long it is.
//!
//! A publish to everyone or to a topic waits for nobody, and pushes the oldest event out where there
//! is too much. A publisher that can wait asks first whether [those who read](Broker::wait_for_readers)
//! have come far enough. What is published to one session or client never pushes out what an open
//! session has yet to take: it is refused, with [`PublishError::NoRoom`].
//!
//! ```
//! use sansse::Event;
//! use sansse::broker::{Broker, BrokerConfig, Epoch, SessionConfig, Audience, Transmit};
//! # let now = std::time::Instant::now();
//!
//! let mut broker = Broker::new(now, BrokerConfig::new(Epoch(0xbeef)))?;
//! let session = broker.open(now, SessionConfig::new())?.session;
//! // A stream begins by telling the browser its place, in an event for which no page listens,
//! let Some(Transmit::Frame(frame)) = broker.poll_transmit(now, session) else { panic!() };
//! let notice = "id: beef-0\nevent: sansse-notice\n\
//!     data: {\"stream\":\"live\",\"replayed\":0,\"lost\":0,\"reason\":null}\n\n";
//! assert_eq!(frame.payload(), notice);
//! // and until something is published, there is no more.
//! assert!(broker.poll_transmit(now, session).is_none());
//!
//! broker.publish(now, Audience::Everyone, &Event::new("hello"))?;
//! assert_eq!(broker.poll_ready(), Some(session));
//! let Some(Transmit::Frame(frame)) = broker.poll_transmit(now, session) else { panic!() };
//! assert_eq!(frame.payload(), "id: beef-1\ndata: hello\n\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Pauses
//!
//! A process that is stopped, a machine that is suspended and a thread that does something else do
//! not look at their peers. What those took meanwhile is not known when time goes on, and a timer
//! often fires before a socket is looked at. So a driver that calls more than 250 ms after the time
//! that [`poll_timeout`](Broker::poll_timeout) said has **paused**, whatever call it makes first:
//!
//! - The silence of a session and of a reader that somebody waits for counts anew from the end of
//!   the pause: [`SessionDefaults::stall_timeout`], [`Pace::patience`].
//! - One silence is forgiven four pauses. A peer that is gone is ended by the stall timeout after
//!   the last of these, also where the driver is late each time or is stopped again and again. So is
//!   a wait of a publisher.
//! - What is promised for a time comes at that time: leases, maximum ages, retention, the grace time
//!   of clients, and drains.
//!
//! A pause through which nothing was due is not seen, and counts as silence.
//!
//! # What a peer is told
//!
//! Beside events a peer gets **notices**: events of the type
//! [`sansse-notice`](crate::Notice::EVENT_TYPE), with JSON as their data. They say where the peer is
//! and what it misses, so that nothing is lost without a word. Nobody has to listen to them for
//! this to work: the browser keeps their ids. A page that wants to show a gap does listen:
//!
//! ```text
//! source.addEventListener("sansse-notice", event => {
//!   const { stream, lost, reason } = JSON.parse(event.data);
//!   if (lost !== 0) show(`${lost ?? "some"} events are missing: ${reason}`);
//! });
//! ```
//!
//! | when | `stream` | `lost`, `reason` | from its id a peer gets |
//! | --- | --- | --- | --- |
//! | first in a stream without a last event id | `live`, or `kept` where [`StartAt`] asks for it | 0, `null` | what follows it |
//! | first in a stream that resumes | `complete` | 0, `null` | what follows it |
//! | first in a stream that resumes where something is kept no more | `gap` | the number, `retention` | what follows it |
//! | first in a stream that brought an id of another epoch, or one that leads nowhere | `gap` | `null`, and `restart`, `unknown-id`, `malformed-id`, `forged-id` or `ahead` | what follows it |
//! | before the first event after a hole in the middle, by a [policy](LagPolicy) | `gap` | the number, `lag` | what follows it |
//! | before the first event after a [cut](ShardMut::cut) of the log outside | `gap` | `null`, `log` | what follows it |
//! | before the replay of a [late subscription](SessionMut::subscribe) that misses something | `gap` | as at a beginning | it has no id |
//! | after such a replay, and at the end of a topic that ends with a comment | `place` | 0, `null` | what follows it |
//! | last in a stream that ends by a [drain](Broker::drain) or a [maximum age](MaxAge) | `ending` | 0, `null` | what was published after the end |
//!
//! - A notice takes no position, is not kept, and counts as no event.
//! - A session that [waits](SessionDefaults::ahead_wait) for a position that its last event id names
//!   gets heartbeats alone. Its stream begins as in the table once it is decided how it resumes. One
//!   that ends before that is told no place but its own.
//! - The number of lost events is `null` where it is not known exactly: where it is further back
//!   than the broker remembers, where an event was for several subscriptions of which one is a
//!   pattern, and where a compact log gave up superseded events in between. What is superseded or
//!   excluded is not lost.
//! - A notice has no id where the broker [makes none](EventIds::Own). Nor has that of a `kept`
//!   stream whose topics have lost events at different places: from no place on is it complete.
//! - The [reconnection time](Reconnect::retry) stands in the first notice, and that of a drain in
//!   the last one, since some readers pass over it in a block without data.
//! - One setting gives notices another type or turns them off:
//!   [`SessionDefaults::notices`], and [`SessionConfig::with_notices`] for one session. What that
//!   costs is said there.
//! - This library's [client](crate::client) takes notices out of the stream, and reports what is
//!   lost.
//!
//! # What to permit to strangers
//!
//! A peer that nobody knows can say which topics it wants, and from where on. What it may say is for
//! the application to bound; what it costs where it does not is bounded by default:
//!
//! | A stranger | By default | Better |
//! | --- | --- | --- |
//! | names topics | 64 a session, 2,000 subscriptions of one client, 16,000 from one [address](SessionConfig::with_address); names to which nothing was published count apart ([`BrokerLimits::subscribed_topics`]) and take no room from publishers | [`SessionConfig::with_permitted`]: the topics that there are |
//! | names patterns | as topics; each begins with the newest 8,192 events that match, and costs each publish that it matches | permit topics alone, or patterns below a prefix of the peer's own. `**` hears every topic |
//! | opens sessions | 1,000 from one [address](SessionConfig::with_address), if the address is told to the broker; 256 of one client | tell the address, and let a proxy in front bound requests a minute |
//! | makes up ids | gets what a newcomer gets, but for a place that is guessed right | [signed ids](BrokerConfig::cursor_keys), so that no place can be guessed |
//! | reads slowly or not at all | a place in the log; it ends as stalled, or as its [lag](Lag) says | a shorter [`SessionDefaults::stall_timeout`] |
//!
//! Publish under no id that a stranger chose, and let none choose a topic to publish to:
//! [`BrokerLimits::topics`] bounds these for all publishers together.
//!
//! # What a replay costs
//!
//! A request of some hundred bytes can be answered with all that is kept for it. By default:
//!
//! | what a request brings | what is sent for it, before anything new is published |
//! | --- | --- |
//! | no id | the first notice, at most 256 bytes; by [`StartAt`] up to what is kept |
//! | an id that leads nowhere: nonsense, of an earlier [`Epoch`], not given out yet | as without an id; of the last, after the [wait](SessionDefaults::ahead_wait) |
//! | a place of this stream | what is kept since then, at most 4 MiB for each topic and for the broadcast, and 256 KiB for the client |
//! | the same with [signed](BrokerConfig::cursor_keys) ids, made up | the first notice |
//!
//! A plain id is easily made up: `beef-1` of a stream whose epoch any peer is told. So a peer that
//! may listen to 64 topics, as many as a session may have, can ask for 64 x 4 MiB and the broadcast,
//! up to the 256 MiB that a shard keeps, and can come back for them. With signed ids it has to have
//! been there before, and gets no more than what was published since. A genuine id can still be
//! used again and again.
//!
//! Neither is stopped by counting bytes. What is replayed is no copy: the frames are those of the
//! log, one write at a time is in memory, and a peer that does not read is owed nothing more than
//! its place. What a replay costs is the upload, and a peer pays for it with as much download over
//! a connection of its own, as for any large file. A budget of bytes for an address or a client
//! would run out where a replay is due: when an office, or a mobile network, comes back after a lost
//! link. What bounds it:
//!
//! - [`Retention`] of the broadcast and the topics, and [`BrokerConfig::private_retention`]: how
//!   much there is, by events, bytes and age (5 minutes). [`BrokerLimits::retained_bytes`] bounds
//!   the whole of a shard.
//! - [`SessionConfig::with_permitted`], and [`BrokerLimits::topics_per_session`]: of how much of it
//!   one session can ask.
//! - [`BrokerLimits::sessions_per_address`] and [`BrokerLimits::sessions_per_client`]: how many
//!   replays there are at a time. How many requests an address may make in a minute is for the
//!   proxy in front to say.
//! - [`SessionDefaults::on_gap`] and [`SessionDefaults::on_unknown_id`]: whether all that is kept is
//!   sent to a peer that has missed more than that, or says nothing of what it has.
//! - [`Backfill`], where a log outside is [read](ShardMut::set_backfill) for peers that have missed
//!   more than that: how much of it one session gets, and how many wait for it. A stranger's id of
//!   an old place costs a read, which all share that stand near it; with signed ids none can be made
//!   up.

mod absent;
mod admission;
mod ahead;
mod arena;
mod backfill;
mod backfilled;
mod calls;
mod clients;
mod clock;
mod close;
mod config;
mod counters;
mod delivery;
mod error;
mod event;
mod log_step;
mod names;
mod one_or_many;
mod open;
mod poll;
mod publish;
mod publishers;
mod rights;
mod sequence;
mod sessions;
mod shard;
mod subscribe;
mod time;
mod timers;
mod topics;
mod wait;

pub use crate::encode::Framing;
pub use backfill::BackfillRequest;
pub use backfilled::Backfilled;
#[cfg(feature = "cluster")]
pub(crate) use backfilled::Stretch;
pub use clients::{PresenceCursor, PresencePage, PresentClient, Roster};
pub use config::{
    Backfill, BrokerConfig, BrokerLimits, Drain, Lag, LagPolicy, LimitPolicy, MaxAge, OnGap,
    OnUnknownId, Pace, Reconnect, Retention, SessionConfig, SessionDefaults, SessionLimit,
    ShardNumber, StartAt,
};
pub use counters::{Counters, Ended, Histogram, Lost, Panics, Refused, Resumed};
pub use delivery::{Batch, Filled, Transmit};
pub use error::{
    ComesBack, ConfigError, DrainError, LeaseError, NameError, OpenError, PublishError,
    RevokeError, RosterError, SubscribeError, TopicSettingError,
};
pub use event::{BrokerEvent, EndReason, EventNumber, Opened, Resumption, StreamEnd};
pub use names::{
    AddressKey, ClientId, MAX_LEVELS, MAX_NAME, SessionId, TopicFilter, TopicName, TopicPattern,
};
pub use sequence::{Audience, Epoch, EventIds, LogRecord, LogRecordError, Published, Sequencer};
#[cfg(feature = "signed")]
#[cfg_attr(docsrs, doc(cfg(feature = "signed")))]
pub use sequence::{CursorKeys, KeyError, MIN_SECRET};
#[cfg(feature = "cluster")]
pub(crate) use sequence::{Reader, put_record, put_text, put_time, split_record};

pub(crate) use admission::ReturnsOfAll;
pub use admission::{Census, Eviction, Occupancy};
pub use log_step::LogStep;
pub use publish::TopicMut;
pub use publishers::WaitId;
pub use rights::{ClientMut, ClientRef};
pub use shard::{ShardMut, ShardRef};
pub use subscribe::{SessionMut, SessionRef};

pub(crate) use arena::Key;
#[cfg(feature = "record")]
pub(crate) use calls::Calls;
pub(crate) use config::Value;
#[cfg(feature = "record")]
pub(crate) use {admission::Elsewhere, clock::Tick};

use crate::encode::Frame;
use admission::Admission;
use alloc::vec::Vec;
use clients::{Client, Clients};
use clock::Clock;
use delivery::Passed;
use event::EventQueue;
use publishers::Publishers;
use sessions::Sessions;
use std::time::Instant;
use topics::Topics;

/// Whether a [`Broker`] opens sessions, or lets them go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BrokerState {
    /// It opens sessions.
    Open,
    /// It [drains](Broker::drain): its sessions have their turns, and no other is opened.
    Draining,
    /// It drained, and the last session is gone.
    Drained,
    /// It was closed: no session is opened and nothing published.
    Closed,
}

/// A broker, or one shard of one.
///
/// Inputs act at once. Outputs are polled, in any order and as often as the caller likes:
///
/// - [`poll_ready`](Self::poll_ready): which sessions have output again;
/// - [`poll_transmit`](Self::poll_transmit): what goes to one session;
/// - [`poll_event`](Self::poll_event): what happened;
/// - [`poll_wait`](Self::poll_wait): which publishers have waited long enough;
/// - [`poll_timeout`](Self::poll_timeout): when to call [`handle_timeout`](Self::handle_timeout).
///
/// What concerns one session, client or topic is asked of a handle:
///
/// - [`session`](Self::session) and [`session_mut`](Self::session_mut): its client and topics;
///   subscribe, renew its lease, close it;
/// - [`client`](Self::client) and [`client_mut`](Self::client_mut): its sessions and metadata; revoke
///   its rights;
/// - [`topic_mut`](Self::topic_mut): end it, set its retention and its lag;
/// - [`shard`](Self::shard) and [`shard_mut`](Self::shard_mut): what the driver of several shards
///   needs.
#[derive(Debug)]
pub struct Broker {
    config: BrokerConfig,
    sequencer: Sequencer,
    /// The newest position that other shards gave and this one never saw.
    unseen: u64,
    clock: Clock,
    topics: Topics,
    sessions: Sessions,
    clients: Clients,
    publishers: Publishers,
    admission: Admission,
    events: EventQueue,
    /// What is read for sessions that are older than memory; `None`: nothing.
    backfill: Option<Backfill>,
    /// What is only to be counted.
    counters: Counters,
    /// What `poll_transmit` lends when it is kept nowhere else.
    lent: Option<Frame>,
    /// Values of the application's that are to be dropped outside of a lock; `None` where each is
    /// dropped at once.
    let_go: Option<Vec<Value>>,
}

impl Broker {
    /// Makes a broker without sessions.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for a setting that cannot hold.
    pub fn new(now: Instant, config: BrokerConfig) -> Result<Self, ConfigError> {
        config.check()?;
        Ok(Self {
            sequencer: config.sequencer(),
            unseen: 0,
            clock: Clock::new(now),
            topics: Topics::new(&config.limits, config.retention, config.private_retention),
            sessions: Sessions::new(config.shard.get(), &config.session),
            clients: Clients::new(config.client_grace, config.limits.absent_clients),
            publishers: Publishers::new(),
            admission: Admission::new(&config),
            events: EventQueue::new(config.shard.get()),
            backfill: None,
            counters: Counters::default(),
            lent: None,
            let_go: None,
            config,
        })
    }

    /// Returns whether sessions are opened, or are let go.
    pub fn state(&self) -> BrokerState {
        if self.admission.is_closed() {
            BrokerState::Closed
        } else if !self.admission.is_draining() {
            BrokerState::Open
        } else if self.sessions.len() == 0 {
            BrokerState::Drained
        } else {
            BrokerState::Draining
        }
    }

    /// Returns whether no session is opened any more and the last one is gone.
    pub(crate) fn is_over(&self) -> bool {
        self.state() != BrokerState::Open && self.sessions.len() == 0
    }

    /// Returns whether [`poll_event`](Self::poll_event) has something.
    pub(crate) fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// Returns what the broker has done, and how much there is in it now. It costs a copy of some
    /// hundred numbers.
    pub fn counters(&self) -> Counters {
        Counters {
            sessions: self.sessions.len() as u64,
            waiting: self.sessions.waiting() as u64,
            clients: self.clients.len() as u64,
            absent_clients: self.clients.kept() as u64,
            topics: self.topics.len() as u64,
            subscribed_topics: self.topics.subscribed_only() as u64,
            retained_bytes: self.topics.retained_bytes() as u64,
            pattern_bytes: self.topics.pattern_bytes() as u64,
            unread_events: self.events.len() as u64,
            ..self.counters.clone()
        }
    }

    /// Returns a page of the clients that are present, those in their grace time included, in the
    /// order of their ids: up to `limit` of them (1 at least) after `after`, or from the first on.
    /// `details` takes what is wanted from the metadata of each.
    ///
    /// The pages and the numbered [events](Self::poll_event) together tell exactly which clients
    /// are present, though pages are taken at different times: a [`Roster`] puts them together. The
    /// cost is that of the page, however many clients there are.
    pub fn presence_page<T>(
        &self,
        after: Option<&ClientId>,
        limit: usize,
        details: impl FnMut(&ClientId, &http::Extensions) -> T,
    ) -> PresencePage<T> {
        self.clients.page(after, limit, details, self.events.last_number())
    }

    /// Returns whose session it is.
    fn client_of(&self, session: Key) -> Option<&ClientId> {
        let client = self.sessions.get(session)?.client()?;
        self.clients.at(client).map(Client::id)
    }

    /// Returns the number of nanoseconds after which it was, or will be, this time.
    #[cfg(feature = "record")]
    pub(crate) fn tick(&self, instant: Instant) -> Tick {
        self.clock.tick(instant)
    }

    /// Returns the latest time that the broker was told.
    #[cfg(feature = "record")]
    pub(crate) const fn now(&self) -> Tick {
        self.clock.now()
    }

    /// Returns the time so many nanoseconds after the broker was made; `None` where the platform
    /// has none.
    #[cfg(feature = "record")]
    pub(crate) fn instant(&self, tick: Tick) -> Option<Instant> {
        self.clock.instant(tick)
    }

    /// Returns whether [`poll_ready`](Self::poll_ready) has entries to look at.
    #[cfg(feature = "record")]
    pub(crate) const fn has_ready(&self) -> bool {
        self.sessions.has_ready()
    }

    /// Returns whether the session's newest poll gave this batch.
    #[cfg(feature = "record")]
    pub(crate) fn is_newest(&self, session: SessionId, batch: &Batch) -> bool {
        let state = self.sessions.by_id(session);
        state.is_some_and(|state| batch.is_of(session, state.poll()))
    }

    /// Drops values of the application's, or leaves that to the caller, which may hold a lock
    /// around the broker: a value may do anything when it is dropped, such as taking that lock.
    pub(super) fn let_go(&mut self, values: impl IntoIterator<Item = Value>) {
        if let Some(kept) = &mut self.let_go {
            kept.extend(values);
        }
    }

    /// Keeps the application's values that are to be dropped, from now on, for
    /// [`take_let_go`](Self::take_let_go).
    pub(crate) fn keep_let_go(&mut self) {
        self.let_go.get_or_insert_default();
    }

    pub(crate) fn take_let_go(&mut self) -> Vec<Value> {
        self.let_go.as_mut().map(core::mem::take).unwrap_or_default()
    }
}

/// Where it is noted what a session did not get.
struct Notes<'a> {
    events: &'a mut EventQueue,
    counters: &'a mut Counters,
    clients: &'a Clients,
}

impl<'a> Notes<'a> {
    #[inline]
    const fn new(
        events: &'a mut EventQueue,
        counters: &'a mut Counters,
        clients: &'a Clients,
    ) -> Self {
        Self { events, counters, clients }
    }

    /// Counts what a session did not get, and tells the application.
    #[inline]
    fn note(&mut self, id: SessionId, client: Option<Key>, passed: Passed) {
        if passed != Passed::default() {
            self.note_some(id, client, passed);
        }
    }

    #[cold]
    fn note_some(&mut self, id: SessionId, client: Option<Key>, passed: Passed) {
        let client = || self.clients.at(client?).map(|client| client.id().clone());
        if passed.lost() > 0 {
            self.counters.lost.skipped += passed.lost();
            self.events.skipped(id, client, passed.lost());
        }
        if passed.superseded() > 0 {
            self.counters.superseded += passed.superseded();
            self.events.superseded(id, client, passed.superseded());
        }
    }
}
