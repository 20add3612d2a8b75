//! The broker behind futures: shards under short locks, and wakers for the tasks that wait.
//!
//! Publishers and connections share a [`Hub`]. It has no runtime in it: a [`Timer`] brings the
//! clock, and time passes in a future, [`Drive`], which is built together with the hub and spawned
//! once. Each call locks a shard, calls its [`Broker`](crate::broker::Broker), collects wakers,
//! unlocks, and wakes.
//!
//! Each stream begins with a [notice](crate::broker#what-a-peer-is-told), which tells the peer its
//! place. A [`Session`] has it at its first poll, so that it goes out together with the head, and
//! `open` fires in every browser. Later ones tell of every gap.
//!
//! # When there is no stream for now
//!
//! An `EventSource` comes back by itself after a lost connection and after the end of a stream. It
//! never does after an answer with another status than 200 ([WHATWG HTML,
//! 9.2.2](https://html.spec.whatwg.org/multipage/server-sent-events.html#sse-processing-model)): the
//! page stays as it is until somebody loads it again. A hub that is full, drains or is closed therefore
//! answers by a stream that says when to come back, and ends; [`RefuseBy`] says more.
//!
//! A proxy in front of the server does not know of that, and ends pages by its own 502. How to keep it
//! from that is in the guide [behind proxies](crate::guide::behind_proxies).
//!
//! # When your code panics
//!
//! A panic of the application's code costs the call in which it happens. A hub
//! [counts](crate::broker::Counters::panics) what it catches, and tells of it by the feature
//! `tracing`, as an error under the target `sansse::panic`. Where panics abort the process
//! (`panic = "abort"`), nothing is caught.
//!
//! | Your code | What its panic costs |
//! | --- | --- |
//! | the [listener](HubBuilder::on_event), or the subscriber of `tracing` | that event, for the listener alone. The next one comes, and the call that caused the event goes on |
//! | a waker, when it wakes | the one task may not be polled again. All others are woken |
//! | a value or a waker, when it is dropped | nothing else |
//! | a closure for [`metadata`](Hub::metadata) or [`presence_page`](Hub::presence_page) | the call panics. What it had changed of the metadata stays changed, and the hub goes on |
//! | a [`Timer`], in a call of the hub | the call panics, and nothing was done |
//! | a [`Timer`], in the [driver](Drive) | the driver panics and is gone, and the hub [closes](Drive) |

mod accept;
#[cfg(feature = "http-body")]
mod body;
mod drive;
mod ended;
mod health;
mod metadata;
#[cfg(feature = "metrics")]
mod metrics;
mod panicked;
#[cfg(feature = "record")]
mod record;
mod refusal;
mod session;
mod shards;
mod topics;
#[cfg(feature = "tracing")]
mod trace;
mod waiting;

pub use accept::Answer;
#[cfg(feature = "http-body")]
#[cfg_attr(docsrs, doc(cfg(feature = "http-body")))]
pub use body::{BodyError, ResponseBody};
pub use drive::Drive;
pub use health::Health;
pub use metadata::ClientMetadata;
#[cfg(feature = "serve")]
pub(crate) use refusal::Lacking;
pub use refusal::RefuseBy;
pub use session::{Cut, Session};

use refusal::USUAL_RETRY;
use shards::{FollowUp, Inner, Shard, lock};

#[cfg(not(feature = "record"))]
use crate::broker::Broker as ShardBroker;
#[cfg(feature = "signed")]
use crate::broker::CursorKeys;
use crate::broker::{
    Audience, BrokerConfig, BrokerEvent, ClientId, ConfigError, Counters, Drain, DrainError,
    EventNumber, Lag, LeaseError, LogStep, OpenError, PresenceCursor, PresencePage, PublishError,
    Published, Retention, ReturnsOfAll, RevokeError, SessionConfig, SessionId, ShardNumber,
    StreamEnd, TopicName, TopicSettingError,
};
#[cfg(feature = "cluster")]
use crate::broker::{Backfill, BackfillRequest, Backfilled, Sequencer};
use crate::event::Event;
use crate::http::{AcceptConfig, ResponseHead};
use crate::net::Timer;
#[cfg(feature = "record")]
use crate::record::RecordedBroker as ShardBroker;
use crate::sync::{AtomicBool, AtomicUsize, Mutex, Ordering};
use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;
use core::num::NonZeroU16;
#[cfg(feature = "cluster")]
use core::task::Waker;
use core::time::Duration;
use std::time::Instant;

/// A shared broker. Clones are handles to the same one.
///
/// ```no_run
/// # async fn example(timer: impl sansse::Timer) -> Result<(), Box<dyn std::error::Error>> {
/// use sansse::broker::{BrokerConfig, Epoch, SessionConfig, Audience};
/// use sansse::{Event, Hub};
///
/// let (hub, drive) = Hub::new(timer, BrokerConfig::new(Epoch(0xbeef)))?;
/// # fn spawn(_: sansse::hub::Drive) {}
/// // A task of any executor makes time pass:
/// spawn(drive);
/// // For each connection:
/// let session = hub.open(SessionConfig::new())?;
/// // From anywhere:
/// hub.publish(Audience::Everyone, &Event::new("hello"))?;
/// // `session` is a `Stream` of frames; dropping it closes the session.
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Hub {
    inner: Arc<Inner>,
}

/// Builds a [`Hub`] from the configuration of its broker, and from what a hub has beside that.
#[must_use = "there is no hub before it is built"]
pub struct HubBuilder {
    config: BrokerConfig,
    shards: NonZeroU16,
    head: ResponseHead,
    accept: AcceptConfig,
    refuse_by: RefuseBy,
    early_end: StreamEnd,
    on_event: Option<Listener>,
    #[cfg(feature = "record")]
    recorder: Option<record::Recorder>,
}

type Listener = Box<dyn Fn(EventNumber, BrokerEvent) + Send + Sync>;

impl HubBuilder {
    /// Begins a hub of one shard, with the default head and without a listener.
    pub fn new(config: BrokerConfig) -> Self {
        Self {
            config,
            shards: NonZeroU16::MIN,
            head: ResponseHead::new(),
            accept: AcceptConfig::new(),
            refuse_by: RefuseBy::default(),
            early_end: StreamEnd::Cut,
            on_event: None,
            #[cfg(feature = "record")]
            recorder: None,
        }
    }

    /// Sets over how many shards the sessions are spread, each with a lock of its own. Default 1,
    /// which is enough until several cores deliver at once. All sessions of a client share a shard.
    ///
    /// Limits on sessions hold for the hub as a whole, whatever the number of shards: how many
    /// there may be in all, of one client and from one address. The session that makes room is the
    /// one of all shards that was opened first. Sessions are opened one after the other, so that
    /// there always is a first. Opening a session therefore asks each shard for its numbers; ending
    /// one asks no other shard.
    ///
    /// Limits on memory hold for each shard:
    ///
    /// - The broadcast and the named topics are kept by every shard, in logs of its own that share
    ///   the events' bytes. What is published to one client or session is kept by its shard alone.
    ///   Where most is for everyone,
    ///   [`retained_bytes`](crate::broker::BrokerLimits::retained_bytes) is therefore what all
    ///   shards keep together; otherwise it is what each of them keeps.
    /// - [`topics`](crate::broker::BrokerLimits::topics) counts the topics that a shard knows.
    ///   Shards differ in those to which only their own sessions subscribe.
    /// - Each shard remembers [`absent_clients`](crate::broker::BrokerLimits::absent_clients),
    ///   [`ended_topics`](crate::broker::BrokerLimits::ended_topics) and
    ///   [`unread_events`](crate::broker::BrokerLimits::unread_events).
    ///
    /// ```
    /// # fn example(timer: impl sansse::Timer) -> Result<(), Box<dyn std::error::Error>> {
    /// use sansse::broker::{BrokerConfig, Epoch, LimitPolicy, SessionConfig};
    /// use sansse::hub::HubBuilder;
    /// use std::num::NonZeroU16;
    ///
    /// let mut config = BrokerConfig::new(Epoch(0xbeef));
    /// config.limits.sessions.most = 2.try_into()?;
    /// config.limits.sessions.policy = LimitPolicy::EvictOldest;
    /// let builder = HubBuilder::new(config).with_shards(NonZeroU16::new(8).unwrap());
    /// let (hub, _drive) = builder.build(timer)?;
    /// let sessions = [(); 3].map(|()| hub.open(SessionConfig::new()).unwrap());
    /// assert_eq!(hub.counters().sessions, 2, "the first made room for the third");
    /// # Ok(()) }
    /// ```
    pub fn with_shards(mut self, shards: NonZeroU16) -> Self {
        self.shards = shards;
        self
    }

    /// Sets the head of the responses that are streams, and with it which pages of other origins
    /// may read them, for all requests that [`Hub::accept`] answers. Default
    /// [`ResponseHead::new`].
    ///
    /// ```
    /// # fn example(timer: impl sansse::Timer) -> Result<(), Box<dyn std::error::Error>> {
    /// use sansse::broker::{BrokerConfig, Epoch};
    /// use sansse::http::{Cors, ResponseHead};
    /// use sansse::hub::HubBuilder;
    ///
    /// let head = ResponseHead::new().with_cors(Cors::origins(["https://app.example"])?);
    /// let builder = HubBuilder::new(BrokerConfig::new(Epoch(0xbeef))).with_response_head(head);
    /// let (hub, drive) = builder.build(timer)?;
    /// # Ok(()) }
    /// ```
    pub fn with_response_head(mut self, head: ResponseHead) -> Self {
        self.head = head;
        self
    }

    /// Sets which requests for streams [`Hub::accept`] answers: for which hosts and of which origins,
    /// and how their query may name the last event id. Default [`AcceptConfig::DEFAULT`]: all.
    ///
    /// ```
    /// # fn example(timer: impl sansse::Timer) -> Result<(), Box<dyn std::error::Error>> {
    /// use sansse::broker::{BrokerConfig, Epoch};
    /// use sansse::http::{AcceptConfig, Hosts};
    /// use sansse::hub::HubBuilder;
    ///
    /// // A program on somebody's own machine, which no page of the web is to listen to.
    /// let accept = AcceptConfig::new().with_hosts(Hosts::new());
    /// let builder = HubBuilder::new(BrokerConfig::new(Epoch(0xbeef))).with_accept(accept);
    /// let (hub, drive) = builder.build(timer)?;
    /// # Ok(()) }
    /// ```
    pub fn with_accept(mut self, accept: AcceptConfig) -> Self {
        self.accept = accept;
        self
    }

    /// Sets how requests for a stream are refused that are to come back; [`RefuseBy`] says who needs
    /// which. Default [`RefuseBy::Stream`].
    ///
    /// ```
    /// # fn example(timer: impl sansse::Timer) -> Result<(), Box<dyn std::error::Error>> {
    /// use sansse::broker::{BrokerConfig, Epoch};
    /// use sansse::hub::{HubBuilder, RefuseBy};
    ///
    /// // All who ask are services, which know what a 503 is.
    /// let builder = HubBuilder::new(BrokerConfig::new(Epoch(0xbeef))).with_refusals(RefuseBy::Status);
    /// let (hub, drive) = builder.build(timer)?;
    /// # Ok(()) }
    /// ```
    pub fn with_refusals(mut self, by: RefuseBy) -> Self {
        self.refuse_by = by;
        self
    }

    /// Sets how streams end on the wire that the hub ends although there will be more to read: by a
    /// [close](Hub::close) or a [drain](Hub::drain), and at the [maximum
    /// age](crate::broker::SessionDefaults::max_age). Default [`StreamEnd::Cut`].
    ///
    /// - With [`StreamEnd::Cut`] every reader knows that it is to come back. An `EventSource` does
    ///   so after either end. Many other readers do so after a cut alone: loops over `fetch`,
    ///   `curl`, clients of language models, and this library's own
    ///   [`one_shot`](crate::client::ClientConfig::one_shot). They take a clean end for "that was
    ///   all". The cost: a browser writes a line to its console, and a proxy one to its log, for
    ///   each stream that is cut.
    /// - With [`StreamEnd::Clean`] there are no such lines. It is for a server whose readers all
    ///   come back after a clean end, as those of an `EventSource` do.
    ///
    /// Sessions that ended for other reasons are not concerned; see
    /// [`EndReason::stream_end`](crate::broker::EndReason::stream_end).
    pub const fn with_early_end(mut self, end: StreamEnd) -> Self {
        self.early_end = end;
        self
    }

    /// Sets the listener, which is called for each [`BrokerEvent`] with the event's number within
    /// its shard, as a [`Roster`](crate::broker::Roster) wants it. Default: events are dropped.
    ///
    /// The listener is called for one event at a time, in order within a shard. No lock is held
    /// then, so that it may call the hub. It runs on the thread that caused the event: it should be
    /// quick, or send the event on. A call that panics loses its event and nothing else; see [when
    /// your code panics](self#when-your-code-panics).
    pub fn on_event(
        mut self,
        listener: impl Fn(EventNumber, BrokerEvent) + Send + Sync + 'static,
    ) -> Self {
        self.on_event = Some(Box::new(listener));
        self
    }

    /// Builds the hub, and the future that makes time pass for it. The future is to be spawned; see
    /// [`Drive`].
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for a setting that cannot hold.
    pub fn build(mut self, timer: impl Timer) -> Result<(Hub, Drive), ConfigError> {
        let now = timer.now();
        if self.refuse_by == RefuseBy::Stream {
            // Or a page would keep for ever the time that a refusal told it.
            self.config.reconnect.retry.get_or_insert(USUAL_RETRY);
        }
        let sequencer = self.config.sequencer();
        let shards = ShardNumber::all(self.shards).map(|shard| {
            let mut config = self.config.clone();
            config.shard = shard;
            #[cfg(feature = "record")]
            let mut broker = record::broker(now, config, self.recorder.clone())?;
            #[cfg(not(feature = "record"))]
            let mut broker = ShardBroker::new(now, config)?;
            broker.keep_let_go();
            Ok(Mutex::new(Shard::new(broker)))
        });
        let inner = Inner {
            timer: Box::new(timer),
            built: now,
            head: self.head,
            accept: self.accept,
            refuse_by: self.refuse_by,
            notices: self.config.session.notices.clone(),
            early_end: self.early_end,
            pace: self.config.pace,
            sequencer: Mutex::new(sequencer),
            returns: Mutex::new(ReturnsOfAll::new(now, &self.config.reconnect)),
            shards: shards.collect::<Result<_, ConfigError>>()?,
            turn: AtomicUsize::new(0),
            is_of_realm: AtomicBool::new(false),
            #[cfg(all(feature = "cluster", feature = "signed"))]
            later_keys: Mutex::new(None),
            is_joining: AtomicBool::new(false),
            refused_joining: AtomicUsize::new(0),
            #[cfg(feature = "cluster")]
            backfiller: Mutex::new(None),
            driver: drive::Driver::new(),
            on_event: self.on_event,
            delivering: AtomicBool::new(false),
            panicked: panicked::Panicked::default(),
        };
        let inner = Arc::new(inner);
        let drive = Drive::new(&inner);
        Ok((Hub { inner }, drive))
    }
}

impl Hub {
    /// Builds a hub of one shard, without a listener for events, and the future that makes time
    /// pass for it; [`HubBuilder`] has more.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for a setting that cannot hold.
    pub fn new(timer: impl Timer, config: BrokerConfig) -> Result<(Self, Drive), ConfigError> {
        HubBuilder::new(config).build(timer)
    }

    /// Opens a session.
    ///
    /// # Errors
    ///
    /// [`OpenError`]; then nothing was done.
    pub fn open(&self, config: SessionConfig) -> Result<Session, OpenError> {
        self.inner.open(config)
    }

    /// Returns how long a peer that was refused with this error is to wait, for a `Retry-After` or a
    /// `retry`; `None` where waiting does not help. [`accept`](Self::accept) and
    /// [`refusal`](Self::refusal) put it into their responses by themselves. As [`Broker::retry_after`](crate::broker::Broker::retry_after), for all shards
    /// together.
    pub fn retry_after(&self, error: &OpenError) -> Option<Duration> {
        self.inner.retry_after(*error)
    }

    /// Leaves it to a realm's log to give positions from now on; `None` where that comes too late.
    #[cfg(feature = "cluster")]
    pub(crate) fn begin_realm(&self) -> Option<Sequencer> {
        self.inner.begin_realm()
    }

    /// Returns the keys that were set since the last call, or since the realm began.
    #[cfg(all(feature = "cluster", feature = "signed"))]
    pub(crate) fn take_later_keys(&self) -> Option<CursorKeys> {
        lock(&self.inner.later_keys).take()
    }

    /// Lets sessions wait that are older than memory, for what the driver of a realm reads; `None`: they
    /// resume from memory.
    #[cfg(feature = "cluster")]
    pub(crate) fn set_backfill(&self, backfill: Option<Backfill>) {
        self.inner.set_backfill(backfill);
    }

    /// Tells for which sessions something is to be read, and wakes this task when there are others.
    /// `has_applied` says that something was applied since, by which sessions may be older.
    #[cfg(feature = "cluster")]
    pub(crate) fn poll_backfills(
        &self,
        waker: &Waker,
        has_applied: bool,
        read: impl FnMut(BackfillRequest),
    ) {
        self.inner.poll_backfills(waker, has_applied, read);
    }

    /// Hands to a session what was read for it; `None`: nothing could be. Returns after which position
    /// it needs more.
    #[cfg(feature = "cluster")]
    pub(crate) fn backfill(&self, session: SessionId, read: Option<&Backfilled>) -> Option<u64> {
        self.inner.backfill(session, read)
    }

    /// Opens sessions from now on, since what there was in the realm's log is read.
    #[cfg(feature = "cluster")]
    pub(crate) fn end_joining(&self) {
        self.inner.is_joining.store(false, Ordering::Release);
    }

    /// Returns whether there is no other handle to the hub, nor a session.
    #[cfg(feature = "cluster")]
    pub(crate) fn is_last_handle(&self) -> bool {
        Arc::strong_count(&self.inner) == 1
    }

    /// Returns the clock.
    #[cfg(feature = "cluster")]
    pub(crate) fn timer(&self) -> &dyn Timer {
        &*self.inner.timer
    }

    /// Returns whether something can be published to `audience` here.
    #[cfg(feature = "cluster")]
    pub(crate) fn check_audience(&self, audience: &Audience) -> Result<(), PublishError> {
        self.inner.check_audience(audience)
    }

    /// Returns the head of the streams that the hub answers with.
    #[cfg(feature = "serve")]
    pub(crate) fn head(&self) -> &ResponseHead {
        &self.inner.head
    }

    /// Publishes an event to an audience, on all shards. An event with a [key](crate::EventKey)
    /// supersedes earlier ones with an equal key.
    ///
    /// This waits for nobody: of what is for everyone or for a topic, the oldest goes where there is
    /// too much. What is for one session or client is refused with [`PublishError::NoRoom`] instead
    /// of pushing out what an open session has not taken. A publisher that can wait uses
    /// [`publish_when_room`](Self::publish_when_room).
    ///
    /// # Errors
    ///
    /// [`PublishError`]; then nothing was published.
    pub fn publish(
        &self,
        audience: impl Into<Audience>,
        event: &Event,
    ) -> Result<Published, PublishError> {
        self.inner.publish(audience.into(), event)
    }

    /// Does what the log of an engine outside says, step by step, as
    /// [`ShardMut::apply_step`](crate::broker::ShardMut::apply_step): a whole page of it under one
    /// lock of each shard, and each session is woken once.
    ///
    /// The steps come after all that the hub has, and each after the one before it. Who lets a hub
    /// follow such a log publishes to the log, and not to the hub, which would give the same positions
    /// again.
    ///
    /// # Errors
    ///
    /// [`PublishError::OutOfOrder`], [`PublishError::OtherEpoch`], [`PublishError::Closed`] or
    /// [`PublishError::NotDriven`]; then nothing was done.
    pub fn apply_all(&self, steps: &[LogStep]) -> Result<(), PublishError> {
        self.inner.apply_all(steps)
    }

    /// Closes a session: it gets what was published before, then its end. Returns whether there
    /// was such a session.
    pub fn close_session(&self, session: SessionId) -> bool {
        usize::from(session.shard()) < self.inner.shards.len()
            && self.inner.with(session.shard().into(), |shard, now| {
                shard.broker.session_mut(session).close(now)
            })
    }

    /// Closes the hub: each session gets what was published before, then its end, and no other is
    /// opened. The [driver](Drive) is ready when the last session is gone. On the wire that end is
    /// [as it was set](HubBuilder::with_early_end). Who asks from then on is [told](RefuseBy) to
    /// come back later.
    pub fn close(&self) {
        self.inner.for_all_at_once(|shard, now| shard.broker.close(now));
    }

    /// Sets until when a session may listen, by the clock of the hub's timer; see
    /// [`SessionMut::renew_lease`](crate::broker::SessionMut::renew_lease).
    ///
    /// # Errors
    ///
    /// [`LeaseError`]; then the lease is as it was.
    pub fn renew_lease(&self, session: SessionId, until: Instant) -> Result<(), LeaseError> {
        let shard = usize::from(session.shard());
        if shard >= self.inner.shards.len() {
            return Err(LeaseError::UnknownSession);
        }
        self.inner
            .with(shard, |shard, now| shard.broker.session_mut(session).renew_lease(now, until))
    }

    /// Ends all sessions of a client at once, and drops what they have not taken yet; see
    /// [`ClientMut::revoke`](crate::broker::ClientMut::revoke). Returns how many there were.
    ///
    /// # Errors
    ///
    /// [`RevokeError`].
    pub fn revoke(&self, client: &ClientId) -> Result<usize, RevokeError> {
        let shard = self.inner.shard_of(Some(client));
        self.inner.with(shard, |shard, now| shard.broker.client_mut(client).revoke(now))
    }

    /// Takes a named topic from all sessions of a client at once; see
    /// [`ClientMut::revoke_topic`](crate::broker::ClientMut::revoke_topic). Returns from how many.
    ///
    /// # Errors
    ///
    /// [`RevokeError`].
    pub fn revoke_topic(&self, client: &ClientId, topic: &TopicName) -> Result<usize, RevokeError> {
        let shard = self.inner.shard_of(Some(client));
        self.inner
            .with(shard, |shard, now| shard.broker.client_mut(client).revoke_topic(now, topic))
    }

    /// Ends all sessions over a period, on all shards: each gets what was published before its
    /// turn, the farewell, and its end, and no other is opened. The [driver](Drive) is ready when
    /// the last session is gone. Who asks meanwhile is [told](RefuseBy) to come back later.
    ///
    /// # Errors
    ///
    /// [`DrainError`]; then nothing was done.
    pub fn drain(&self, drain: Drain) -> Result<(), DrainError> {
        let mut result = Ok(());
        // All shards close at once, and drain at once, so that all give the same result.
        self.inner.for_all_at_once(|shard, now| {
            result = result.and(shard.broker.drain(now, drain.clone()));
        });
        result
    }

    /// Ends all sessions at once, drops what they have not taken yet, and closes the hub.
    pub fn abort(&self) {
        self.inner.for_all_at_once(|shard, now| shard.broker.abort(now));
    }

    /// Returns what the hub has done, and how much there is in it now, such as how many sessions
    /// are open. It is the sum of the shards, which are locked one after the other. What was
    /// published is counted once. Topics, and what they keep, are counted for each shard that knows
    /// them.
    pub fn counters(&self) -> Counters {
        let mut sum = Counters::default();
        for shard in &self.inner.shards {
            let counters = lock(shard).broker.counters();
            // Every shard has seen everything that was published: the last one's count is the hub's.
            let published = (counters.published, counters.published_bytes, counters.cuts);
            sum += &counters;
            (sum.published, sum.published_bytes, sum.cuts) = published;
        }
        sum.refused.joining += self.inner.refused_joining.load(Ordering::Relaxed) as u64;
        sum.panics = self.inner.panicked.counted();
        sum.lost_drivers = self.inner.driver.is_gone().into();
        sum
    }

    /// Returns how many sessions a client has now: `Some(0)` in its grace time, and `None` for a
    /// client that is not known, or was absent for longer.
    pub fn sessions_of(&self, client: &ClientId) -> Option<usize> {
        let shard = self.inner.shard_of(Some(client));
        self.inner.with(shard, |shard, _| {
            shard.broker.client(client).map(|client| client.sessions().len())
        })
    }

    /// Returns a page of the clients that are known, those in their grace time included, and the
    /// cursor of the next page.
    ///
    /// A page has up to `limit` clients (1 at least) from the cursor on. The default cursor is the
    /// beginning. Clients come shard by shard, and in the order of their ids within one. `details`
    /// picks what the page is to have of each client's metadata. It runs under the lock of a shard,
    /// as for [`metadata`](Self::metadata).
    ///
    /// ```
    /// # fn example(timer: impl sansse::Timer) -> Result<(), Box<dyn std::error::Error>> {
    /// use sansse::broker::{BrokerConfig, Epoch, PresenceCursor, Roster};
    /// use sansse::hub::HubBuilder;
    /// use std::sync::{Arc, Mutex};
    ///
    /// let roster = Arc::new(Mutex::new(Roster::new()));
    /// let follower = roster.clone();
    /// let (hub, _drive) = HubBuilder::new(BrokerConfig::new(Epoch(0xbeef)))
    ///     .on_event(move |number, event| {
    ///         follower.lock().unwrap().apply(number, &event).unwrap();
    ///     })
    ///     .build(timer)?;
    /// let mut next = Some(PresenceCursor::default());
    /// while let Some(cursor) = next {
    ///     // The roster is not locked here: the listener locks it, and this may call the listener.
    ///     let (page, following) = hub.presence_page(&cursor, 1_000, |_, _| ());
    ///     roster.lock().unwrap().apply_page(page)?;
    ///     next = following;
    /// }
    /// # Ok(()) }
    /// ```
    pub fn presence_page<T>(
        &self,
        cursor: &PresenceCursor,
        limit: usize,
        details: impl FnMut(&ClientId, &http::Extensions) -> T,
    ) -> (PresencePage<T>, Option<PresenceCursor>) {
        // A cursor of this hub never lies beyond the last shard; one of another hub may.
        let last = self.inner.shards.len() - 1;
        let shard = usize::from(cursor.shard()).min(last);
        let page = self
            .inner
            .with(shard, |shard, _| shard.broker.presence_page(cursor.after(), limit, details));
        let another = || PresenceCursor::new(cursor.shard() + 1, None);
        let next = page.next_cursor().or_else(|| (shard < last).then(another));
        (page, next)
    }

    /// Sets how much of one named topic is kept from now on; `None` for the configuration's.
    ///
    /// # Errors
    ///
    /// [`TopicSettingError`].
    pub fn set_retention(
        &self,
        topic: &TopicName,
        retention: Option<Retention>,
    ) -> Result<(), TopicSettingError> {
        let mut result = Ok(());
        self.inner.for_all_at_once(|shard, now| {
            result = result.and(shard.broker.topic_mut(topic).set_retention(now, retention));
        });
        result
    }

    /// Signs the ids of all that is published from now on with other keys, on all shards at once,
    /// as [`ShardMut::set_cursor_keys`](crate::broker::ShardMut::set_cursor_keys) says. Of a hub that
    /// is a node of a [realm](crate::cluster) these are the ids of all that the node reads from now on:
    /// set the same keys on all nodes, and let all accept the new ones before the first one signs with
    /// them.
    ///
    /// # Errors
    ///
    /// [`ConfigError::NothingToSign`] where the broker makes no ids; then nothing was done.
    #[cfg(feature = "signed")]
    #[cfg_attr(docsrs, doc(cfg(feature = "signed")))]
    pub fn set_cursor_keys(&self, keys: CursorKeys) -> Result<(), ConfigError> {
        let mut sequencer = lock(&self.inner.sequencer);
        for shard in &self.inner.shards {
            lock(shard).broker.shard_mut().set_cursor_keys(keys.clone())?;
        }
        #[cfg(feature = "cluster")]
        lock(&self.inner.later_keys).replace(keys.clone());
        sequencer.set_cursor_keys(keys);
        Ok(())
    }

    /// Sets how far behind sessions may be in one named topic from now on, and what happens to them
    /// beyond that; `None` for the configuration's. A session that was opened with a lag of its own
    /// keeps that.
    ///
    /// # Errors
    ///
    /// [`TopicSettingError`].
    pub fn set_lag(&self, topic: &TopicName, lag: Option<Lag>) -> Result<(), TopicSettingError> {
        let mut result = Ok(());
        self.inner.for_all_at_once(|shard, now| {
            result = result.and(shard.broker.topic_mut(topic).set_lag(now, lag));
        });
        result
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("shards", &self.inner.shards.len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for HubBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubBuilder")
            .field("config", &self.config)
            .field("shards", &self.shards)
            .finish_non_exhaustive()
    }
}
